/* SPDX-License-Identifier: BSD-2-Clause */
/* All that edge-proxy.yaml can say. The reference in edge-proxy.yaml(5) is made from this table. */
#include "edge-proxy/config/config_internal.h"

#include <openssl/ssl.h>
#include <string.h>

static bool is_letter_or_digit(uint8_t c)
{
    return (uint8_t)(text_lower(c) - 'a') < 26 || (uint8_t)(c - '0') < 10;
}

/* A host as the Host field and SNI carry it: a name, "*.name", "*", or an IP address. */
static const char *check_host(struct str host)
{
    struct ip ip;
    size_t label = 0;

    if (str_is(host, "*"))
        return NULL;
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        return ip_parse((struct str){host.p + 1, host.n - 2}, &ip) && ip.family == 6
                   ? NULL
                   : "is not an IPv6 address in brackets";
    if (host.n > 2 && host.p[0] == '*' && host.p[1] == '.')
        host = (struct str){host.p + 2, host.n - 2};
    if (host.n > 253)
        return "is longer than a host name can be (253 characters)";
    for (size_t i = 0; i < host.n; i++) {
        uint8_t c = (uint8_t)host.p[i];

        if (c == '*')
            return "has '*' in a wrong place; \"*.example.com\" and \"*\" are understood";
        if (c == ':')
            return "has a port or a ':'; a site is named by its host alone, an IPv6 address is "
                   "in brackets";
        label = c == '.' ? 0 : label + 1;
        if (label > 63 || (c == '.' && (i == 0 || host.p[i - 1] == '.')) ||
            (c == '.' && i + 1 == host.n))
            return "has an empty label, a final dot, or one longer than 63 characters";
        if (c != '.' && c != '-' && c != '_' && !is_letter_or_digit(c))
            return "is not a host name: letters, digits, '-' and '_' in labels between dots";
    }
    return NULL;
}

static const char *check_host_name(struct str *name)
{
    return check_host(*name);
}

/* What may be sent as a Host field: a host, and a port if need be. */
static const char *check_authority(struct str text)
{
    const char *colon = memrchr(text.p, ':', text.n);
    uint64_t port;

    if (colon != NULL && colon > text.p && text.p[text.n - 1] != ']') {
        if (!text_parse_u64((struct str){colon + 1, text.n - (size_t)(colon - text.p) - 1},
                            &port) ||
            port == 0 || port > 65535)
            return "has no valid port behind ':'";
        text.n = (size_t)(colon - text.p);
    }
    return memchr(text.p, '*', text.n) ? "is a pattern, not a host" : check_host(text);
}

/* RFC 3986 section 3.3, as far as prefixes need it. */
static const char *check_path(struct str path)
{
    if (path.n == 0 || path.p[0] != '/')
        return "does not begin with '/'";
    for (size_t i = 0; i < path.n; i++)
        if ((uint8_t)path.p[i] <= ' ' || (uint8_t)path.p[i] >= 0x7f)
            return "has a character that a path writes as %XX";
        else if (path.p[i] == '#')
            return "has '#', which never reaches a server";
    return NULL;
}

static const char *check_prefix(struct str *prefix)
{
    if (memchr(prefix->p, '?', prefix->n) != NULL)
        return "has a query; routes are chosen by the path alone";
    return check_path(*prefix);
}

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

static const struct conf_field LISTENER_FIELDS[] = {
    {
        .key = "address",
        .kind = CONF_ADDR,
        .slot = CONF_ONE(struct config_listener, address),
        .is_required = true,
        .help = "The IP address and port to listen on. May stand for the whole listener.",
    },
    {
        .key = "tls",
        .kind = CONF_BOOL,
        .slot = CONF_ONE(struct config_listener, is_tls),
        .preset = "false",
        .help = "Whether visitors speak TLS here.",
    },
};
static const struct conf_struct LISTENER = {
    .what = "listener",
    .size = sizeof(struct config_listener),
    CONF_FIELDS(LISTENER_FIELDS),
    .shorthand = "address",
    .place = CONF_AT(struct config_listener, place),
};

static const struct conf_field CERTIFICATE_FIELDS[] = {
    {
        .key = "certificate",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct config_certificate, certificate_path),
        .is_required = true,
        .help = "The certificate and its chain, PEM.",
    },
    {
        .key = "key",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct config_certificate, key_path),
        .is_required = true,
        .help = "Its private key, PEM.",
    },
};
static const struct conf_struct CERTIFICATE = {
    .what = "certificate",
    .size = sizeof(struct config_certificate),
    CONF_FIELDS(CERTIFICATE_FIELDS),
    .place = CONF_AT(struct config_certificate, place),
};

static const struct conf_choice TLS_VERSIONS[] = {
    {"1.2", TLS1_2_VERSION},
    {"1.3", TLS1_3_VERSION},
    {NULL, 0},
};

static const struct conf_field TLS_FIELDS[] = {
    {
        .key = "certificates",
        .kind = CONF_STRUCT,
        .slot = CONF_LIST(struct config_tls, certificates, n_certificates),
        .of = &CERTIFICATE,
        .expects = "a mapping {certificate: FILE, key: FILE}",
        .help = "What visitors are shown: the one whose names match, else the first.",
    },
    {
        .key = "min-version",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct config_tls, min_version),
        .choices = TLS_VERSIONS,
        .preset = "1.2",
        .help = "The oldest version of TLS that visitors may speak.",
    },
};
static const struct conf_struct TLS = {
    .what = "tls",
    .size = sizeof(struct config_tls),
    CONF_FIELDS(TLS_FIELDS),
};

static const struct conf_field CACHE_FIELDS[] = {
    {
        .key = "memory",
        .kind = CONF_BYTES,
        .slot = CONF_ONE(struct file, config.cache.memory_bytes),
        .place = CONF_AT(struct file, memory_place),
        .none = "off",
        .preset = "256MiB",
        .min = "1MiB",
        .max = "16TiB",
        .help = "Memory for cached responses; off: nothing is cached.",
    },
    {
        .key = "max-object",
        .kind = CONF_BYTES,
        .slot = CONF_ONE(struct file, config.cache.max_object_bytes),
        .place = CONF_AT(struct file, object_place),
        .none = "auto",
        .min = "1KiB",
        .help = "The largest response that is cached, at most half of memory; auto: 16MiB, or half "
                "of memory if that is less.",
    },
};
static const struct conf_struct CACHE = {
    .what = "cache",
    .size = sizeof(struct file),
    CONF_FIELDS(CACHE_FIELDS),
};

static const struct conf_field ORIGIN_FIELDS[] = {
    {
        .key = "address",
        .kind = CONF_ADDR,
        .slot = CONF_ONE(struct config_origin, address),
        .is_required = true,
        .expects = "an IP address with port such as 10.0.0.1:8080 (names are not resolved)",
        .help = "Its IP address and port; names are not resolved. May stand for the whole origin.",
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
};
static const struct conf_struct ORIGIN = {
    .what = "origin",
    .size = sizeof(struct config_origin),
    CONF_FIELDS(ORIGIN_FIELDS),
    .shorthand = "address",
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
        .check = check_host,
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
};
static const struct conf_struct ORIGIN_TLS = {
    .what = "tls",
    .size = sizeof(struct config_origin_tls),
    CONF_FIELDS(ORIGIN_TLS_FIELDS),
    .shorthand = "enabled",
};

static const struct conf_field CHECK_FIELDS[] = {
    {
        .key = "path",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct config_check, path),
        .check = check_path,
        .help = "What is asked for by GET. Absent: a connection that opens is enough.",
    },
    {
        .key = "host",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct config_check, host),
        .check = check_authority,
        .help = "The Host of that request. Absent: the pool's host, else the origin's address.",
    },
    {
        .key = "interval",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_check, interval_ms),
        .preset = "2s",
        .min = "100ms",
        .max = "1h",
        .help = "From one check of an origin to the next.",
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
        .max_items = 4096,
        .expects = "an IP address with port such as 10.0.0.1:8080, or a mapping",
        .help = "The servers behind this proxy.",
    },
    {
        .key = "tls",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file_pool, pool.tls),
        .of = &ORIGIN_TLS,
        .none = "off",
        .help = "TLS towards the origins.",
    },
    {
        .key = "host",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct file_pool, pool.host_header),
        .check = check_authority,
        .help = "Sent to the origins in place of the visitor's Host.",
    },
    {
        .key = "check",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file_pool, pool.check),
        .place = CONF_AT(struct file_pool, check_place),
        .of = &CHECK,
        .none = "off",
        .help = "How the origins' health is watched. Absent: only by the requests themselves.",
    },
    {
        .key = "connect-timeout",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct file_pool, pool.connect_timeout_ms),
        .preset = "3s",
        .min = "10ms",
        .max = "10m",
        .help = "For a connection to open; then the next origin is tried.",
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
        .preset = "32",
        .max = "100000",
        .unit = "connections",
        .help = "Unused connections that each worker keeps for later requests.",
    },
};
static const struct conf_struct POOL = {
    .what = "pool",
    .size = sizeof(struct file_pool),
    CONF_FIELDS(POOL_FIELDS),
    .name = CONF_AT(struct file_pool, pool.name),
    .place = CONF_AT(struct file_pool, place),
};

static const struct conf_field ROUTE_FIELDS[] = {
    {
        .key = "pool",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct file_route, pool),
        .place = CONF_AT(struct file_route, pool_place),
        .is_required = true,
        .help = "The pool that serves it. May stand for the whole route: /: app.",
    },
    {
        .key = "cache",
        .kind = CONF_BOOL,
        .slot = CONF_ONE(struct file_route, route.is_cached),
        .preset = "true",
        .help = "Whether responses may come from the cache and go into it.",
    },
    {
        .key = "default-ttl",
        .kind = CONF_DURATION_S,
        .slot = CONF_ONE(struct file_route, route.default_ttl_s),
        .preset = "0s",
        .max = "365d",
        .help = "Freshness of responses that have a validator and say nothing themselves.",
    },
    {
        .key = "client-no-cache",
        .kind = CONF_BOOL,
        .slot = CONF_ONE(struct file_route, route.has_client_no_cache),
        .preset = "false",
        .help = "Whether a visitor's Cache-Control: no-cache makes the proxy ask the origin.",
    },
};
static const struct conf_struct ROUTE = {
    .what = "route",
    .size = sizeof(struct file_route),
    CONF_FIELDS(ROUTE_FIELDS),
    .shorthand = "pool",
    .name = CONF_AT(struct file_route, route.prefix),
    .place = CONF_AT(struct file_route, place),
    .check_name = check_prefix,
};

static const struct conf_field SITE_FIELDS[] = {
    {
        .key = "aliases",
        .kind = CONF_STRING,
        .slot = CONF_LIST(struct file_site, aliases, n_aliases),
        .item_places = CONF_AT(struct file_site, alias_places),
        .check = check_host,
        .expects = "a host",
        .help = "More hosts of this site. \"*.example.com\" stands for all names below "
                "example.com, \"*\" for any host that no other site has.",
    },
    {
        .key = "redirect-to-https",
        .kind = CONF_BOOL,
        .slot = CONF_ONE(struct file_site, is_redirect_https),
        .place = CONF_AT(struct file_site, redirect_place),
        .preset = "false",
        .help = "Whether requests without TLS are sent to https.",
    },
    {
        .key = "routes",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file_site, routes, n_routes),
        .of = &ROUTE,
        .is_required = true,
        .help = "Prefixes of the path; the longest that matches takes the request.",
    },
};
static const struct conf_struct SITE = {
    .what = "site",
    .size = sizeof(struct file_site),
    CONF_FIELDS(SITE_FIELDS),
    .name = CONF_AT(struct file_site, name),
    .place = CONF_AT(struct file_site, place),
    .check_name = check_host_name,
};

static const struct conf_field SERVER_FIELDS[] = {
    {
        .key = "name",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct config_peer, name),
        .help = "For logs and status. Absent: the address.",
    },
    {
        .key = "address",
        .kind = CONF_ADDR,
        .slot = CONF_ONE(struct config_peer, address),
        .is_required = true,
        .expects = "an IP address with port such as 192.0.2.53:8530 (names are not resolved)",
        .help = "The IP address and port of its control channel. May stand for the whole server.",
    },
};
static const struct conf_struct SERVER = {
    .what = "server",
    .size = sizeof(struct config_peer),
    CONF_FIELDS(SERVER_FIELDS),
    .shorthand = "address",
};

static const struct conf_field CONTROL_FIELDS[] = {
    {
        .key = "servers",
        .kind = CONF_STRUCT,
        .slot = CONF_LIST(struct file, config.control.servers, config.control.n_servers),
        .of = &SERVER,
        .item_places = CONF_AT(struct file, server_places),
        .expects = "an IP address with port such as 192.0.2.53:8530, or a mapping",
        .max_items = 1024,
        .help = "Every gslb-dns node that this edge reports to. Without any, none knows of it.",
    },
    {
        .key = "certificate",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct file, config.control.certificate_path),
        .place = CONF_AT(struct file, config.control.tls_place),
        .help = "This edge's certificate from the private CA, PEM; its name is this edge's name.",
    },
    {
        .key = "key",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct file, config.control.key_path),
        .help = "The certificate's private key, PEM.",
    },
    {
        .key = "ca",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct file, config.control.ca_path),
        .help = "The private CA that the servers' certificates must come from, PEM.",
    },
    {
        .key = "socket",
        .kind = CONF_PATH,
        .slot = CONF_ONE(struct file, config.control.socket_path),
        .place = CONF_AT(struct file, config.control.socket_place),
        .help = "The local socket for gslbctl. Its file mode decides who may command this edge.",
    },
    {
        .key = "report-interval",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct file, config.control.report_interval_ms),
        .preset = "1s",
        .min = "50ms",
        .max = "1m",
        .help = "From one report to the next. The servers' stale-after must be longer.",
    },
};
static const struct conf_struct CONTROL = {
    .what = "control",
    .size = sizeof(struct file),
    CONF_FIELDS(CONTROL_FIELDS),
};

static const struct conf_field LIMITS_FIELDS[] = {
    {
        .key = "header-timeout",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct file, config.limits.header_timeout_ms),
        .preset = "10s",
        .min = "100ms",
        .max = "1h",
        .help = "For a whole request head to arrive, from its first byte.",
    },
    {
        .key = "keep-alive",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct file, config.limits.keep_alive_ms),
        .preset = "60s",
        .min = "100ms",
        .max = "1d",
        .help = "A connection without a request for so long is closed.",
    },
    {
        .key = "body-idle",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct file, config.limits.body_idle_ms),
        .preset = "60s",
        .min = "100ms",
        .max = "1d",
        .help = "A body that makes no progress for so long, in either direction, is given up.",
    },
    {
        .key = "head-size",
        .kind = CONF_BYTES,
        .slot = CONF_ONE(struct file, config.limits.head_bytes),
        .preset = "32KiB",
        .min = "4KiB",
        .max = "256KiB",
        .help = "The largest request head; a larger one is answered 431.",
    },
    {
        .key = "max-connections",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct file, config.limits.max_connections),
        .preset = "20000",
        .min = "1",
        .max = "10000000",
        .unit = "connections",
        .help = "From visitors, of the whole process; above it new ones are refused and counted.",
    },
    {
        .key = "target-connections",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct file, config.limits.target_connections),
        .place = CONF_AT(struct file, target_place),
        .none = "auto",
        .min = "1",
        .max = "10000000",
        .unit = "connections",
        .help = "What this edge should carry, for its load report; auto: three quarters of "
                "max-connections.",
    },
    {
        .key = "drain",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct file, config.limits.drain_ms),
        .preset = "30s",
        .max = "1d",
        .help = "At shutdown, requests under way get so long to finish.",
    },
};
static const struct conf_struct LIMITS = {
    .what = "limits",
    .size = sizeof(struct file),
    CONF_FIELDS(LIMITS_FIELDS),
};

static const struct conf_choice FORWARDED[] = {
    {"x-forwarded", CONFIG_FORWARDED_X},
    {"rfc7239", CONFIG_FORWARDED_RFC7239},
    {"both", CONFIG_FORWARDED_BOTH},
    {NULL, 0},
};

static const struct conf_field TOP_FIELDS[] = {
    {
        .key = "name",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct file, config.name),
        .is_required = true,
        .check = conf_check_name,
        .help = "This edge's name, as in its certificate and in the servers' regions.",
    },
    {
        .key = "workers",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct file, config.workers),
        .none = "auto",
        .min = "1",
        .max = "1024",
        .unit = "threads",
        .help = "Threads that serve visitors; auto: one per CPU.",
    },
    {
        .key = "listen",
        .kind = CONF_STRUCT,
        .slot = CONF_LIST(struct file, config.listeners, config.n_listeners),
        .of = &LISTENER,
        .is_required = true,
        .max_items = 256,
        .expects = "an IP address with port such as 192.0.2.1:80, or a mapping",
        .help = "Where visitors connect.",
    },
    {
        .key = "tls",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file, config.tls),
        .of = &TLS,
        .help = "For the listeners with tls.",
    },
    {
        .key = "cache",
        .kind = CONF_STRUCT,
        .slot = CONF_SECTION(struct file),
        .of = &CACHE,
        .help = "The memory cache.",
    },
    {
        .key = "pools",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file, pools, n_pools),
        .of = &POOL,
        .is_required = true,
        .max_items = 65535,
        .help = "Groups of origins, by name.",
    },
    {
        .key = "sites",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file, sites, n_sites),
        .of = &SITE,
        .is_required = true,
        .help = "What is served, by host.",
    },
    {
        .key = "forwarded",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct file, config.forwarded),
        .choices = FORWARDED,
        .preset = "x-forwarded",
        .help = "How origins learn of the visitor: X-Forwarded-For and its kin, Forwarded (RFC "
                "7239), or both.",
    },
    {
        .key = "trusted-proxies",
        .kind = CONF_PREFIX,
        .slot = CONF_LIST(struct file, config.trusted, config.n_trusted),
        .help = "Peers whose own X-Forwarded-For and Forwarded are kept; all others' are removed.",
    },
    {
        .key = "access-log",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct file, config.access_log_path),
        .place = CONF_AT(struct file, config.access_log_place),
        .preset = "stdout",
        .expects = "stdout, off, or the path of a file",
        .help = "One line of JSON per request: stdout, off, or a file, which is opened anew at "
                "each reload.",
    },
    {
        .key = "limits",
        .kind = CONF_STRUCT,
        .slot = CONF_SECTION(struct file),
        .of = &LIMITS,
        .help = "Time and space that a visitor can take.",
    },
    {
        .key = "control",
        .kind = CONF_STRUCT,
        .slot = CONF_SECTION(struct file),
        .of = &CONTROL,
        .help = "The channel to gslb-dns. With servers, certificate, key and ca are required.",
    },
    {
        .key = "metrics",
        .kind = CONF_ADDR,
        .slot = CONF_ONE(struct file, config.metrics),
        .place = CONF_AT(struct file, config.metrics_place),
        .none = "off",
        .help = "Address for counters as Prometheus text, by GET /metrics.",
    },
};
const struct conf_struct config_schema = {
    .what = "edge-proxy.yaml",
    .size = sizeof(struct file),
    CONF_FIELDS(TOP_FIELDS),
};
