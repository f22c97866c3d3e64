/* SPDX-License-Identifier: BSD-2-Clause */
/* Of edge-proxy.yaml: what one visitor may do. */
#include "edge-proxy/config/config_internal.h"

#include <string.h>

#define RATE_WORDS "a rate such as 10/s, 100/m or 1000/h"

/* NULL, or what was expected. The burst is what the rate names, unless it is written apart. */
static const char *parse_rate(struct str text, struct buckets_rate *out)
{
    static const struct {
        char letter;
        uint64_t us;
    } units[] = {{'s', 1000000}, {'m', 60000000}, {'h', 3600000000}, {'d', 86400000000}};
    const char *slash = memchr(text.p, '/', text.n);
    uint64_t n;

    if (slash == NULL || slash + 2 != text.p + text.n ||
        !text_parse_u64((struct str){text.p, (size_t)(slash - text.p)}, &n) || n == 0)
        return RATE_WORDS;
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (slash[1] != units[i].letter)
            continue;
        if (n > units[i].us)
            return "at most 1000000/s";
        *out = (struct buckets_rate){units[i].us / n, n};
        return NULL;
    }
    return RATE_WORDS;
}

static const char *parse_limit_rate(struct str text, void *owner)
{
    return parse_rate(text, &((struct file_rate_limit *)owner)->limit.rate);
}

static const char *parse_connections(struct str text, void *owner)
{
    return parse_rate(text, &((struct config_clients *)owner)->connections);
}

static const char *parse_handshakes(struct str text, void *owner)
{
    return parse_rate(text, &((struct config_clients *)owner)->handshakes);
}

static const char *parse_score(struct str text, void *owner)
{
    return parse_rate(text, &((struct config_clients *)owner)->score);
}

static const struct conf_field RATE_LIMIT_FIELDS[] = {
    {
        .key = "rate",
        .kind = CONF_CUSTOM,
        .slot = CONF_ONE(struct file_rate_limit, limit.rate),
        .parse = parse_limit_rate,
        .is_required = true,
        .expects = RATE_WORDS,
        .help = "Requests in a second (10/s), minute (m), hour (h) or day (d). May stand for the "
                "whole limit.",
    },
    {
        .key = "burst",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct file_rate_limit, burst),
        .min = "1",
        .max = "1000000000",
        .unit = "requests",
        .help = "How many may come at once. Absent: as many as the rate names.",
    },
    {
        .key = "by",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct file_rate_limit, by),
        .check = config_check_hash_key,
        .preset = "client",
        .help = "Whose requests are counted together: client (see clients), path (without its "
                "query), header NAME, or cookie NAME. Requests that lack it count by client.",
    },
};
const struct conf_struct config_rate_limit_schema = {
    .what = "rate limit",
    .size = sizeof(struct file_rate_limit),
    CONF_FIELDS(RATE_LIMIT_FIELDS),
    .shorthand = "rate",
    .name = CONF_AT(struct file_rate_limit, limit.name),
};

static const struct conf_field CLIENTS_FIELDS[] = {
    {
        .key = "max-connections",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_clients, max_connections),
        .none = "off",
        .min = "1",
        .max = "10000000",
        .unit = "connections",
        .help = "Open at once of one visitor. More are closed as they come.",
    },
    {
        .key = "new-connections",
        .kind = CONF_CUSTOM,
        .slot = CONF_ONE(struct config_clients, connections),
        .parse = parse_connections,
        .none = "off",
        .expects = RATE_WORDS,
        .help = "Connections that one visitor may open: a rate such as 50/s, or 600/m.",
    },
    {
        .key = "new-handshakes",
        .kind = CONF_CUSTOM,
        .slot = CONF_ONE(struct config_clients, handshakes),
        .parse = parse_handshakes,
        .none = "off",
        .expects = RATE_WORDS,
        .help = "Of those, with TLS, whose handshakes cost a hundred times what a request does.",
    },
    {
        .key = "max-score",
        .kind = CONF_CUSTOM,
        .slot = CONF_ONE(struct config_clients, score),
        .parse = parse_score,
        .none = "off",
        .expects = RATE_WORDS,
        .help =
            "How much mischief is borne, in points that are forgiven at this rate (300/m: up to "
            "300 at once, gone after a minute): 25 for breaking HTTP/2, 10 for a malformed "
            "request, 5 for one that is too slow, 3 for a failed handshake, 2 for a host or "
            "place that is not to be had, 1 for a request above a rate. At half the score a "
            "visitor's rates and connections are halved, at three quarters quartered, above it "
            "connections are closed.",
    },
    {
        .key = "deny",
        .kind = CONF_PREFIX,
        .slot = CONF_LIST(struct config_clients, denied, n_denied),
        .help = "Networks whose connections are closed as they come.",
    },
    {
        .key = "exempt",
        .kind = CONF_PREFIX,
        .slot = CONF_LIST(struct config_clients, exempt, n_exempt),
        .help = "Networks to which none of this applies, nor rate-limits, nor max-lag: whoever "
                "watches this edge, another proxy in front.",
    },
    {
        .key = "ipv4-prefix",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_clients, prefix_v4),
        .preset = "32",
        .min = "8",
        .max = "32",
        .unit = "bits",
        .help = "Addresses that agree in so many bits are one visitor.",
    },
    {
        .key = "ipv6-prefix",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_clients, prefix_v6),
        .preset = "64",
        .min = "16",
        .max = "128",
        .unit = "bits",
        .help = "The same of IPv6, where one line has a whole network of addresses.",
    },
};
const struct conf_struct config_clients_schema = {
    .what = "clients",
    .size = sizeof(struct config_clients),
    CONF_FIELDS(CLIENTS_FIELDS),
};
