/* SPDX-License-Identifier: BSD-2-Clause */
/* What gslb-dns.yaml can say against abuse, and about who answers. */
#include "gslb-dns/config/config_internal.h"

static const struct conf_choice REQUIRE[] = {
    {"never", CONFIG_COOKIE_NEVER},
    {"under-limit", CONFIG_COOKIE_UNDER_LIMIT},
    {"always", CONFIG_COOKIE_ALWAYS},
    {NULL, 0},
};

static const struct conf_field COOKIES_FIELDS[] = {
    {
        .key = "enabled",
        .kind = CONF_BOOL_NOT,
        .slot = CONF_ONE(struct config_cookies, is_off),
        .preset = "yes",
        .help = "Whether queries with a cookie get one back.",
    },
    {
        .key = "secrets",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct config_cookies, secrets_path),
        .place = CONF_AT(struct config_cookies, secrets_place),
        .help = "A file with one to four secrets, each 32 hexadecimal digits on a line of its own "
                "(openssl rand -hex 16), readable only by this program. The first makes cookies, "
                "all are accepted. Nodes that share an address need the same file. Absent: a "
                "random secret for the life of the process.",
    },
    {
        .key = "require",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct config_cookies, require),
        .choices = REQUIRE,
        .preset = "under-limit",
        .help =
            "When a client that knows cookies must show a valid one, by UDP, and gets BADCOOKIE "
            "with a fresh one instead of an answer: never; under-limit: when rate-limit would "
            "drop its answer; always.",
    },
};
const struct conf_struct config_cookies_schema = {
    .what = "cookies",
    .size = sizeof(struct config_cookies),
    CONF_FIELDS(COOKIES_FIELDS),
};

static const struct conf_field LIMIT_FIELDS[] = {
    {
        .key = "per-second",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_rate_limit, per_second),
        .none = "off",
        .min = "1",
        .max = "1000000",
        .unit = "answers",
        .help = "Answers by UDP to one client address in a second. Networks around it get more: "
                "IPv4 /24 32 times as many, /20 256, /18 768; IPv6 /64 2 times, /56 3, /48 4, "
                "/32 64. Clients with a valid cookie, and TCP, are never limited. Absent or off: "
                "no limit. 200 is more than a resolver of a large provider asks one zone.",
    },
    {
        .key = "slip",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_rate_limit, slip),
        .none = "off",
        .preset = "2",
        .min = "1",
        .max = "100",
        .unit = "answers",
        .help = "Above the limit one in so many answers is sent, empty and with TC, so that a "
                "client whose address others forge can ask by TCP; the others are dropped. off: "
                "all are dropped.",
    },
    {
        .key = "exempt",
        .kind = CONF_PREFIX,
        .slot = CONF_LIST(struct config_rate_limit, exempt, n_exempt),
        .max_items = 64,
        .help = "Networks that are not limited, of monitoring for example.",
    },
};
const struct conf_struct config_rate_limit_schema = {
    .what = "rate-limit",
    .size = sizeof(struct config_rate_limit),
    CONF_FIELDS(LIMIT_FIELDS),
    .shorthand = "per-second",
};

static const char *check_identity(struct str text)
{
    return text.n > 255 ? "must have at most 255 bytes" : NULL;
}

static const struct conf_field IDENTITY_FIELDS[] = {
    {
        .key = "version",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct config_identity, version),
        .check = check_identity,
        .help =
            "Answers version.bind and version.server, type TXT of class CHAOS. Absent: REFUSED.",
    },
    {
        .key = "id",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct config_identity, id),
        .check = check_identity,
        .help = "Answers id.server and hostname.bind (RFC 4892). Absent: REFUSED.",
    },
};
const struct conf_struct config_identity_schema = {
    .what = "identity",
    .size = sizeof(struct config_identity),
    CONF_FIELDS(IDENTITY_FIELDS),
};
