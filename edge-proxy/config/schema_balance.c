/* SPDX-License-Identifier: BSD-2-Clause */
/* Of edge-proxy.yaml: how a pool chooses among its origins, and what it does when they fail. */
#include "edge-proxy/config/config_internal.h"

static const struct conf_choice POLICIES[] = {
    {"round-robin", CONFIG_POLICY_ROUND_ROBIN},
    {"least-requests", CONFIG_POLICY_LEAST_REQUESTS},
    {"hash", CONFIG_POLICY_HASH},
    {NULL, 0},
};

static const struct conf_field BALANCE_FIELDS[] = {
    {
        .key = "policy",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct config_balance, policy),
        .choices = POLICIES,
        .preset = "round-robin",
        .help = "round-robin: in turns, by weight. least-requests: of two that are drawn by "
                "weight, the one whose requests under way times latency is less. hash: requests "
                "with equal keys go to one origin; when it is out, only its keys move. May stand "
                "for the whole section: balance: least-requests.",
    },
    {
        .key = "hash-key",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct config_balance, hash_key),
        .preset = "path",
        .check = config_check_hash_key,
        .help = "What hash looks at: client (the visitor's address), path (without its query), "
                "header NAME, or cookie NAME. Requests that lack it go to any origin.",
    },
    {
        .key = "hash-bound",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_balance, factor_percent),
        .none = "off",
        .min = "101",
        .max = "100000",
        .unit = "percent",
        .help = "An origin with more than so many percent of its fair part of all requests under "
                "way is passed over for the key's next choice, so that one popular key cannot sink "
                "one origin. 125 to 200 are usual; off: keys stay whatever the load.",
    },
    {
        .key = "latency-decay",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_balance, decay_ms),
        .preset = "10s",
        .min = "10ms",
        .max = "1h",
        .help = "least-requests: how fast an origin's latency is forgotten. A rise counts at once.",
    },
    {
        .key = "slow-start",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_balance, slow_start_ms),
        .none = "off",
        .min = "100ms",
        .max = "1h",
        .help = "An origin that comes back, or is added by a reload, begins with a tenth of its "
                "share and has all of it after so long.",
    },
    {
        .key = "spill-below",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_balance, spill_percent),
        .preset = "70",
        .max = "100",
        .unit = "percent",
        .help = "While less than so many percent of a group's weight can be asked, the group gets "
                "less than all requests, in proportion, and the next priority the rest. 0: the "
                "next priority is used only when nobody of this one is left.",
    },
    {
        .key = "panic-below",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_balance, panic_percent),
        .preset = "0",
        .max = "100",
        .unit = "percent",
        .help = "While less than so many percent of the pool's weight can be asked, health is "
                "taken for a mistake of the checks, and all origins are asked; status tells it. "
                "0: never, and a pool whose origins are all down answers 503.",
    },
};
const struct conf_struct config_balance_schema = {
    .what = "balance",
    .size = sizeof(struct config_balance),
    CONF_FIELDS(BALANCE_FIELDS),
    .shorthand = "policy",
};

static const struct conf_field RETRY_FIELDS[] = {
    {
        .key = "attempts",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_retry, attempts),
        .preset = "3",
        .min = "1",
        .max = "10",
        .help = "So often is a request sent at most, each time to another origin. What no origin "
                "has seen of may always be sent again, what one has only if its method is "
                "idempotent and nothing of an answer came. May stand for the whole section.",
    },
    {
        .key = "on-status",
        .kind = CONF_NUMBER,
        .slot = CONF_LIST(struct config_retry, statuses, n_statuses),
        .min = "500",
        .max = "599",
        .max_items = 100,
        .help = "Answers to idempotent requests that are not passed on while another origin can "
                "be asked, such as [502, 503, 504].",
    },
    {
        .key = "try-timeout",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_retry, try_timeout_ms),
        .none = "off",
        .min = "10ms",
        .max = "1h",
        .help = "One attempt at a request without a body, from its start to the head of the "
                "answer, gets so long; then the next begins. off: connect-timeout and "
                "first-byte-timeout alone.",
    },
    {
        .key = "budget",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_retry, budget_percent),
        .preset = "20",
        .max = "100",
        .unit = "percent",
        .help = "Of the pool's requests under way, so many may be repetitions of what an origin "
                "has already seen. Beyond that failures are passed on, or a pool in trouble would "
                "get a multiple of its load.",
    },
    {
        .key = "budget-min",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_retry, budget_min),
        .preset = "10",
        .max = "1000000",
        .unit = "per second",
        .help = "So many repetitions are within the budget in any case.",
    },
};
const struct conf_struct config_retry_schema = {
    .what = "retry",
    .size = sizeof(struct config_retry),
    CONF_FIELDS(RETRY_FIELDS),
    .shorthand = "attempts",
};

static const struct conf_field QUEUE_FIELDS[] = {
    {
        .key = "length",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_queue, length),
        .preset = "100",
        .max = "100000",
        .unit = "requests",
        .help = "So many may wait; more are answered 503 with Retry-After at once. 0: nobody "
                "waits. May stand for the whole section.",
    },
    {
        .key = "timeout",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_queue, timeout_ms),
        .preset = "5s",
        .min = "10ms",
        .max = "10m",
        .help = "Who has waited for so long is answered 503 with Retry-After. Visitors that close "
                "their connection, or their side of it, leave the queue.",
    },
};
const struct conf_struct config_queue_schema = {
    .what = "queue",
    .size = sizeof(struct config_queue),
    CONF_FIELDS(QUEUE_FIELDS),
    .shorthand = "length",
};

static const struct conf_field EJECTION_FIELDS[] = {
    {
        .key = "failures",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_ejection, failures),
        .none = "off",
        .preset = "5",
        .min = "1",
        .max = "100000",
        .unit = "requests",
        .help = "So many requests in a row without a connection, without an answer, or answered "
                "502, 503 or 504, eject an origin. May stand for the whole section.",
    },
    {
        .key = "server-errors",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_ejection, server_errors),
        .none = "off",
        .min = "1",
        .max = "100000",
        .unit = "requests",
        .help = "The same, any answer of 5xx included.",
    },
    {
        .key = "outlier-below",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_ejection, outlier_percent),
        .none = "off",
        .min = "1",
        .max = "100",
        .unit = "percent",
        .help = "An origin is ejected when less than so many percent of the others' rate of "
                "success is its own.",
    },
    {
        .key = "outlier-interval",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_ejection, outlier_interval_ms),
        .preset = "10s",
        .min = "100ms",
        .max = "1h",
        .help = "Rates are compared over so long.",
    },
    {
        .key = "outlier-requests",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_ejection, outlier_requests),
        .preset = "50",
        .min = "1",
        .max = "1000000",
        .unit = "requests",
        .help = "Rates of fewer requests say nothing.",
    },
    {
        .key = "time",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_ejection, base_ms),
        .preset = "2s",
        .min = "10ms",
        .max = "1d",
        .help = "So long is an origin out; each further time twice as long. An ejected origin is "
                "asked when there is no other, and an answer ends the ejection.",
    },
    {
        .key = "max-time",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_ejection, most_ms),
        .preset = "1m",
        .min = "10ms",
        .max = "1d",
        .help = "At most so long. After so long without an ejection the time begins anew.",
    },
    {
        .key = "max-share",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_ejection, most_percent),
        .preset = "50",
        .max = "100",
        .unit = "percent",
        .help = "Of the pool's origins at most so many are out for their answers, and always one "
                "may be. Those that take no connections do not count.",
    },
};
const struct conf_struct config_ejection_schema = {
    .what = "ejection",
    .size = sizeof(struct config_ejection),
    CONF_FIELDS(EJECTION_FIELDS),
    .shorthand = "failures",
};
