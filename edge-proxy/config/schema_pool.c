/* SPDX-License-Identifier: BSD-2-Clause */
/* Of edge-proxy.yaml: pools, their origins and checks. */
#include "edge-proxy/config/config_internal.h"

#include "common/proxy/proxy.h"

#include <string.h>

/* "200-399", "204" */
static const char *parse_status(struct str text, void *owner)
{
    static const char EXPECTED[] = "a status or a range of them such as 200-399";
    struct config_check *check = owner;
    const char *dash = memchr(text.p, '-', text.n);
    struct str low = text, high = text;
    uint64_t a, b;

    if (dash != NULL) {
        low.n = (size_t)(dash - text.p);
        high = (struct str){dash + 1, text.n - low.n - 1};
    }
    if (!text_parse_u64(low, &a) || !text_parse_u64(high, &b) || a < 100 || b > 599 || a > b)
        return EXPECTED;
    check->status_low = (uint16_t)a;
    check->status_high = (uint16_t)b;
    return NULL;
}

static const struct conf_choice RESOLVE[] = {
    {"any", CONFIG_RESOLVE_ANY},
    {"all", CONFIG_RESOLVE_ALL},
    {NULL, 0},
};

static const struct conf_choice SEND_PROXY[] = {
    {"off", 0},
    {"v1", PROXY_V1},
    {"v2", PROXY_V2},
    {NULL, 0},
};

static const struct conf_field ORIGIN_FIELDS[] = {
    {
        .key = "address",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct config_origin, name),
        .is_required = true,
        .check = config_check_origin,
        .expects = "an address or a name with port, such as 10.0.0.1:8080 or app.example.net:8080",
        .help =
            "Its IP address, or its name, and its port: 10.0.0.1:8080, [2001:db8::1]:8080, "
            "app.example.net:8080. May stand for the whole origin. Names are resolved by DNS "
            "and /etc/hosts, as they stand, and again before their TTL has passed; see resolver.",
    },
    {
        .key = "resolve",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct config_origin, resolve),
        .choices = RESOLVE,
        .preset = "any",
        .help = "What a name with several addresses stands for. any: one origin; a connection goes "
                "to whichever address answers first (RFC 8305), beginning with another one each "
                "time. all: an origin for each address, balanced and checked by itself.",
    },
    {
        .key = "max-addresses",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_origin, max_addresses),
        .preset = "8",
        .min = "1",
        .max = "16",
        .unit = "addresses",
        .help = "With resolve: all, places for so many addresses; each counts as an origin of the "
                "pool, which has 64 at most.",
    },
    {
        .key = "weight",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_origin, weight),
        .preset = "1",
        .min = "1",
        .max = "1000",
        .help = "Its share of the requests, in proportion to the others'.",
    },
    {
        .key = "priority",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_origin, priority),
        .preset = "0",
        .max = "7",
        .help = "Origins of one priority are a group. Requests go to the group of priority 0 as "
                "long as it can take them, then to the next; see spill-below.",
    },
    {
        .key = "max-requests",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_origin, max_requests),
        .none = "off",
        .min = "1",
        .max = "1000000",
        .unit = "requests",
        .help = "So many requests at most are under way to it, of all workers together; one is a "
                "connection in use. An origin that has them is passed over, and the next priority "
                "asked; when all have them, requests wait in the pool's queue.",
    },
};
static const struct conf_struct ORIGIN = {
    .what = "origin",
    .size = sizeof(struct config_origin),
    CONF_FIELDS(ORIGIN_FIELDS),
    .shorthand = "address",
    .place = CONF_AT(struct config_origin, place),
};

static const struct conf_field ORIGIN_TLS_FIELDS[] = {
    {
        .key = "enabled",
        .kind = CONF_BOOL,
        .slot = CONF_ONE(struct config_origin_tls, is_on),
        .preset = "true",
        .help = "May stand for the whole section: tls: on.",
    },
    {
        .key = "server-name",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct config_origin_tls, server_name),
        .check = config_check_host,
        .help = "The name that is asked for (SNI) and verified. Absent: the host that is sent.",
    },
    {
        .key = "ca",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct config_origin_tls, ca_path),
        .help = "Whom to trust, PEM. Absent: the system's authorities.",
    },
    {
        .key = "verify",
        .kind = CONF_BOOL_NOT,
        .slot = CONF_ONE(struct config_origin_tls, is_unverified),
        .preset = "true",
        .help = "Whether the origin's certificate is verified. Without, anybody in between can "
                "read and change what visitors get.",
    },
    {
        .key = "certificate",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct config_origin_tls, certificate_path),
        .help = "This edge's own certificate and its chain, PEM, for origins that ask for one.",
    },
    {
        .key = "key",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct config_origin_tls, key_path),
        .help = "That certificate's private key, PEM.",
    },
    {
        .key = "min-version",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct config_origin_tls, min_version),
        .choices = config_tls_versions,
        .preset = "1.2",
        .help = "The oldest version of TLS that is spoken to the origins.",
    },
};
static const struct conf_struct ORIGIN_TLS = {
    .what = "tls",
    .size = sizeof(struct config_origin_tls),
    CONF_FIELDS(ORIGIN_TLS_FIELDS),
    .shorthand = "enabled",
};

static const struct conf_choice CHECK_METHODS[] = {
    {"GET", 0},
    {"HEAD", 0},
    {"OPTIONS", 0},
    {NULL, 0},
};

static const struct conf_field CHECK_FIELDS[] = {
    {
        .key = "path",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct config_check, path),
        .check = config_check_path,
        .help = "What is asked for. Absent: a connection that opens is enough.",
    },
    {
        .key = "method",
        .kind = CONF_WORD,
        .slot = CONF_ONE(struct config_check, method),
        .choices = CHECK_METHODS,
        .preset = "GET",
        .help = "By which method.",
    },
    {
        .key = "body",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct config_check, body),
        .help = "Text that a good answer has in its body, within the first 32 KiB.",
    },
    {
        .key = "body-pattern",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct config_check, body_pattern),
        .check = config_check_pattern,
        .help = "A POSIX extended regular expression, see regex(7), that the same part of a good "
                "answer's body matches.",
    },
    {
        .key = "host",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct config_check, host),
        .check = config_check_authority,
        .help = "The Host of that request. Absent: the pool's host, else the origin's address.",
    },
    {
        .key = "interval",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_check, interval_ms),
        .preset = "2s",
        .min = "100ms",
        .max = "1h",
        .help = "From one check of an origin to the next, a tenth more or less, so that edges "
                "do not check in step.",
    },
    {
        .key = "fast-interval",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_check, fast_interval_ms),
        .none = "off",
        .min = "100ms",
        .max = "1h",
        .help = "The interval while checks disagree with the origin's state, until rise or fall "
                "is reached; off: interval.",
    },
    {
        .key = "timeout",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_check, timeout_ms),
        .none = "auto",
        .min = "10ms",
        .max = "1h",
        .help = "A check that takes longer has failed. At most the interval; auto: 1s, or the "
                "interval if that is shorter.",
    },
    {
        .key = "rise",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_check, rise),
        .preset = "2",
        .min = "1",
        .max = "1000",
        .unit = "checks",
        .help = "So many good checks in a row bring an origin back.",
    },
    {
        .key = "fall",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_check, fall),
        .preset = "3",
        .min = "1",
        .max = "1000",
        .unit = "checks",
        .help = "So many bad checks in a row take an origin out.",
    },
    {
        .key = "status",
        .kind = CONF_CUSTOM,
        .slot = CONF_ONE(struct config_check, status_low),
        .parse = parse_status,
        .expects = "a status or a range of them such as 200-399",
        .preset = "200-399",
        .help = "The status codes of a good answer.",
    },
};
static const struct conf_struct CHECK = {
    .what = "check",
    .size = sizeof(struct config_check),
    CONF_FIELDS(CHECK_FIELDS),
};

static const struct conf_field POOL_FIELDS[] = {
    {
        .key = "origins",
        .kind = CONF_STRUCT,
        .slot = CONF_LIST(struct file_pool, origins, n_origins),
        .of = &ORIGIN,
        .item_places = CONF_AT(struct file_pool, origin_places),
        .is_required = true,
        .max_items = 64,
        .expects = "an address or a name with port such as 10.0.0.1:8080, or a mapping",
        .help = "The servers behind this proxy.",
    },
    {
        .key = "balance",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file_pool, pool.balance),
        .of = &config_balance_schema,
        .help = "Which of the origins is asked.",
    },
    {
        .key = "retry",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file_pool, pool.retry),
        .of = &config_retry_schema,
        .help = "When a request is sent to another origin.",
    },
    {
        .key = "max-requests",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct file_pool, pool.max_requests),
        .none = "off",
        .min = "1",
        .max = "1000000",
        .unit = "requests",
        .help = "So many requests at most are under way to the pool, of all workers together; one "
                "is a connection in use. Repetitions count too. Others wait in the queue.",
    },
    {
        .key = "queue",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file_pool, pool.queue),
        .of = &config_queue_schema,
        .help = "Where requests wait that max-requests holds back: the oldest goes first.",
    },
    {
        .key = "ejection",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file_pool, pool.ejection),
        .of = &config_ejection_schema,
        .help = "When an origin is left out for a while because of what became of requests.",
    },
    {
        .key = "tls",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file_pool, pool.tls),
        .place = CONF_AT(struct file_pool, pool.tls.place),
        .of = &ORIGIN_TLS,
        .none = "off",
        .help = "TLS towards the origins.",
    },
    {
        .key = "host",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct file_pool, pool.host_header),
        .check = config_check_authority,
        .help = "Sent to the origins in place of the visitor's Host.",
    },
    {
        .key = "send-proxy",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct file_pool, pool.send_proxy),
        .choices = SEND_PROXY,
        .preset = "off",
        .help = "The version of the PROXY protocol by which connections to the origins say, before "
                "TLS, whom they bring and where that visitor came to; of checks, that they bring "
                "nobody. Such a connection serves requests of one visitor's connection only. What "
                "is fetched for the cache brings the visitor who asked first.",
    },
    {
        .key = "hide-origin",
        .kind = CONF_BOOL,
        .slot = CONF_ONE(struct file_pool, pool.is_hidden),
        .preset = "true",
        .help =
            "Whether visitors are kept from learning what the origins are and where: Server, "
            "X-Powered-By and the like, and Alt-Svc, are taken out of responses, and a Location "
            "that names an origin, or host, leads back to where the visitor came from.",
    },
    {
        .key = "hide",
        .kind = CONF_STRING,
        .slot = CONF_LIST(struct file_pool, pool.hidden, pool.n_hidden),
        .check = config_check_field_name,
        .expects = "the name of a header field",
        .max_items = 256,
        .help = "More header fields of responses that are for this edge alone. They are not stored "
                "either.",
    },
    {
        .key = "check",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file_pool, pool.check),
        .place = CONF_AT(struct file_pool, check_place),
        .of = &CHECK,
        .none = "off",
        .help =
            "How the origins' health is watched. Absent: only by the requests themselves. An edge "
            "with a route to a pool that has no healthy origin reports that it cannot serve.",
    },
    {
        .key = "connect-timeout",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct file_pool, pool.connect_timeout_ms),
        .preset = "3s",
        .min = "10ms",
        .max = "10m",
        .help = "For a connection to open, TLS included; then the next origin is tried.",
    },
    {
        .key = "attempt-delay",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct file_pool, pool.attempt_delay_ms),
        .preset = "250ms",
        .min = "10ms",
        .max = "10s",
        .help = "An address of an origin that has not answered for so long is joined by the "
                "next; the first to answer is taken (RFC 8305). IPv6 goes first, unless it "
                "was the slower one lately.",
    },
    {
        .key = "first-byte-timeout",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct file_pool, pool.first_byte_timeout_ms),
        .preset = "60s",
        .min = "10ms",
        .max = "1d",
        .help = "From the end of a request to the first byte of its response.",
    },
    {
        .key = "idle-timeout",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct file_pool, pool.idle_timeout_ms),
        .preset = "60s",
        .min = "10ms",
        .max = "1d",
        .help = "An unused connection to an origin is closed after so long.",
    },
    {
        .key = "keep-idle",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct file_pool, pool.keep_idle),
        .preset = "128",
        .max = "100000",
        .unit = "connections",
        .help = "Unused connections to each address that are kept for later requests, of all "
                "workers together (each keeps one at least).",
    },
};
const struct conf_struct config_pool_schema = {
    .what = "pool",
    .size = sizeof(struct file_pool),
    CONF_FIELDS(POOL_FIELDS),
    .name = CONF_AT(struct file_pool, pool.name),
    .place = CONF_AT(struct file_pool, place),
};

static const struct conf_field RESOLVER_FIELDS[] = {
    {
        .key = "servers",
        .kind = CONF_ADDR,
        .slot = CONF_LIST(struct config_resolver, servers, n_servers),
        .port = 53,
        .max_items = 16,
        .help = "The name servers that are asked, in this order. Absent: those of "
                "/etc/resolv.conf.",
    },
    {
        .key = "timeout",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_resolver, timeout_ms),
        .preset = "1s",
        .min = "50ms",
        .max = "1m",
        .help = "For the answer to a first question; later ones may take longer.",
    },
    {
        .key = "tries",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_resolver, tries),
        .preset = "3",
        .min = "1",
        .max = "20",
        .help = "How often each server is asked before a question counts as failed.",
    },
    {
        .key = "min-ttl",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_resolver, min_ttl_ms),
        .preset = "1s",
        .min = "100ms",
        .max = "1d",
        .help = "A name is not asked for more often than this, whatever its TTL. After a failure "
                "it is asked for again so soon, then after twice as long, up to 30s.",
    },
    {
        .key = "max-ttl",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_resolver, max_ttl_ms),
        .preset = "5m",
        .min = "100ms",
        .max = "7d",
        .help = "A name is asked for at least this often.",
    },
    {
        .key = "negative-hold",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_resolver, negative_hold_ms),
        .preset = "30s",
        .max = "7d",
        .help = "A name that is said to have no address (any more) keeps the ones it had for so "
                "long. When the name servers fail, it keeps them until they answer.",
    },
    {
        .key = "start-timeout",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_resolver, start_timeout_ms),
        .preset = "2s",
        .max = "1m",
        .help = "A start or a reload waits so long for names that are not known yet; an origin "
                "whose name has no address then is down until it has one.",
    },
};
const struct conf_struct config_resolver_schema = {
    .what = "resolver",
    .size = sizeof(struct config_resolver),
    CONF_FIELDS(RESOLVER_FIELDS),
};
