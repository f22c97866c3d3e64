/* SPDX-License-Identifier: BSD-2-Clause */
/* All that edge-proxy.yaml can say. The reference in edge-proxy.yaml(5) is made from this table. */
#include "edge-proxy/config/config_internal.h"

static const struct conf_choice OTHERS[] = {
    {"refuse", CONFIG_OTHERS_REFUSED},
    {"serve", CONFIG_OTHERS_VISITORS},
    {NULL, 0},
};

static const struct conf_field PROXIES_FIELDS[] = {
    {
        .key = "from",
        .kind = CONF_PREFIX,
        .slot = CONF_LIST(struct config_proxies, from, n_from),
        .is_required = true,
        .max_items = 256,
        .help = "Who may say so: load balancers. A header of version 1 or 2 of the PROXY protocol "
                "must come first on each of their connections, before TLS too; whom it names is "
                "the visitor for limits, networks, the origins' X-Forwarded-For and the log. One "
                "for nobody (UNKNOWN, LOCAL) leaves it to the load balancer's own address. May "
                "stand for the whole mapping.",
    },
    {
        .key = "others",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct config_proxies, others),
        .choices = OTHERS,
        .preset = "refuse",
        .help = "What becomes of connections from elsewhere: refused, or served as visitors that "
                "come by themselves and send no header.",
    },
    {
        .key = "timeout",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_proxies, timeout_ms),
        .preset = "3s",
        .min = "100ms",
        .max = "1m",
        .help = "For the header to come, whole.",
    },
};
static const struct conf_struct PROXIES = {
    .what = "proxy-protocol",
    .size = sizeof(struct config_proxies),
    CONF_FIELDS(PROXIES_FIELDS),
    .shorthand = "from",
};

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
    {
        .key = "proxy-protocol",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct config_listener, proxies),
        .of = &PROXIES,
        .help = "Visitors come by load balancers, which say who they are.",
    },
};
static const struct conf_struct LISTENER = {
    .what = "listener",
    .size = sizeof(struct config_listener),
    CONF_FIELDS(LISTENER_FIELDS),
    .shorthand = "address",
    .place = CONF_AT(struct config_listener, place),
};

static const struct conf_field DISK_FIELDS[] = {
    {
        .key = "file",
        .kind = CONF_PATH,
        .slot = CONF_ONE(struct config_disk, path),
        .place = CONF_AT(struct config_disk, place),
        .is_required = true,
        .help = "A file of its own, which is made when it is not there, or a block device. What "
                "else it holds is never overwritten.",
    },
    {
        .key = "purges",
        .kind = CONF_PATH,
        .slot = CONF_ONE(struct config_disk, purges_path),
        .help = "A small file with the purges of what is there. Absent: the name of the file with "
                ".purges behind it; for a device it is required.",
    },
    {
        .key = "size",
        .kind = CONF_BYTES,
        .slot = CONF_ONE(struct config_disk, bytes),
        .is_required = true,
        .min = "16MiB",
        .max = "256TiB",
        .help = "Taken at once. Another size, or another object-size, begins with an empty file.",
    },
    {
        .key = "object-size",
        .kind = CONF_BYTES,
        .slot = CONF_ONE(struct config_disk, record_bytes),
        .preset = "16KiB",
        .min = "1KiB",
        .max = "1MiB",
        .help = "What a response is expected to take, on average: there is an index of 20 bytes of "
                "memory for each that fits.",
    },
};
static const struct conf_struct DISK = {
    .what = "disk",
    .size = sizeof(struct config_disk),
    CONF_FIELDS(DISK_FIELDS),
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
    {
        .key = "disk",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file, config.cache.disk),
        .of = &DISK,
        .help = "Where responses are kept that were asked for more than once, for longer than "
                "memory has room, and over restarts. Absent: nowhere. Changes count from the next "
                "start or upgrade on.",
    },
};
static const struct conf_struct CACHE = {
    .what = "cache",
    .size = sizeof(struct file),
    CONF_FIELDS(CACHE_FIELDS),
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
        .key = "handshake-timeout",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct file, config.limits.handshake_ms),
        .preset = "10s",
        .min = "100ms",
        .max = "1h",
        .help = "For a TLS handshake, from the connection's beginning.",
    },
    {
        .key = "waiting-handshakes",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct file, config.limits.waiting_handshakes),
        .preset = "4096",
        .min = "1",
        .max = "1000000",
        .unit = "handshakes",
        .help =
            "A worker spends a millisecond at a time on new TLS handshakes and then looks after "
            "established connections; so many newcomers may wait for it, beyond them they are "
            "refused and counted.",
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
        .key = "tunnel-idle",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct file, config.limits.tunnel_idle_ms),
        .preset = "1h",
        .min = "100ms",
        .max = "7d",
        .help =
            "A tunnel, which is what a WebSocket makes of a connection, ends after so long without "
            "a byte in either direction.",
    },
    {
        .key = "min-rate",
        .kind = CONF_BYTES,
        .slot = CONF_ONE(struct file, config.limits.min_rate_bytes),
        .none = "off",
        .preset = "100",
        .min = "1",
        .max = "1GiB",
        .help =
            "A request's body that comes slower than so many bytes per second, for body-idle or "
            "longer, is given up; off: one byte per body-idle is enough.",
    },
    {
        .key = "min-send-rate",
        .kind = CONF_BYTES,
        .slot = CONF_ONE(struct file, config.limits.min_send_bytes),
        .none = "off",
        .preset = "100",
        .min = "1",
        .max = "1GiB",
        .help =
            "A visitor who takes a response slower than so many bytes per second, for body-idle "
            "or longer, is cut off; off: one byte per body-idle is enough.",
    },
    {
        .key = "max-lag",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct file, config.limits.max_lag_ms),
        .none = "off",
        .preset = "100ms",
        .min = "10ms",
        .max = "1m",
        .help =
            "When work waits longer than this on the whole, most new TLS handshakes are turned "
            "away; at twice as much also requests that need an origin (503, or what is stale in "
            "the cache), and when that lasts this edge reports itself overloaded, so that "
            "visitors are sent elsewhere.",
    },
    {
        .key = "head-size",
        .kind = CONF_BYTES,
        .slot = CONF_ONE(struct file, config.limits.head_bytes),
        .preset = "32KiB",
        .min = "4KiB",
        .max = "32KiB",
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
        .key = "buffers",
        .kind = CONF_BYTES,
        .slot = CONF_ONE(struct file, config.limits.buffer_bytes),
        .none = "auto",
        .min = "2MiB",
        .max = "16TiB",
        .help =
            "Memory for what is on its way between visitors and origins, 64 KiB for each side of a "
            "request; as it runs out, new requests are answered 503 and counted; auto: half of the "
            "machine's memory.",
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
        .key = "idle-origin-connections",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct file, config.limits.idle_origin_connections),
        .preset = "4096",
        .min = "1",
        .max = "1000000",
        .unit = "connections",
        .help = "Unused connections to origins that the process keeps, of all pools together. A "
                "connection that its worker has not used for 200ms serves any worker.",
    },
    {
        .key = "drain-notice",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct file, config.limits.drain_notice_ms),
        .preset = "2s",
        .max = "1h",
        .help =
            "At shutdown, the DNS nodes are told and visitors still let in for so long, before "
            "the sockets close: as long as the answers' ttl, if nobody is to meet a closed door. "
            "Only with control servers, and not at SIGINT.",
    },
    {
        .key = "upgrade-drain",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct file, config.limits.upgrade_drain_ms),
        .preset = "1h",
        .max = "30d",
        .help =
            "After a newer program has taken over (SIGUSR2), what is still open here, WebSockets "
            "and long downloads, gets so long to finish.",
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

static const struct conf_field HTTP2_FIELDS[] = {
    {
        .key = "enabled",
        .kind = CONF_BOOL,
        .slot = CONF_ONE(struct config_http2, is_on),
        .preset = "true",
        .help = "Whether visitors who offer HTTP/2 by ALPN get it.",
    },
    {
        .key = "streams",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_http2, streams),
        .preset = "100",
        .min = "1",
        .max = "1000",
        .unit = "requests",
        .help = "Requests that one connection may have open at once.",
    },
    {
        .key = "stream-window",
        .kind = CONF_BYTES,
        .slot = CONF_ONE(struct config_http2, stream_bytes),
        .preset = "256KiB",
        .min = "64KiB",
        .max = "16MiB",
        .help = "So much of one request's body is taken before the origin has read it.",
    },
    {
        .key = "connection-window",
        .kind = CONF_BYTES,
        .slot = CONF_ONE(struct config_http2, connection_bytes),
        .preset = "1MiB",
        .min = "64KiB",
        .max = "64MiB",
        .help = "The same for all requests of a connection together.",
    },
    {
        .key = "abuse-limit",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_http2, abuse_limit),
        .none = "off",
        .preset = "2000",
        .min = "100",
        .max = "1000000",
        .unit = "points",
        .help = "What costs us more than the client has points (a reset before the answer 8, an "
                "error 16, a ping 4, \\&...); a connection with more than so many is ended with "
                "GOAWAY, "
                "ENHANCE_YOUR_CALM.",
    },
    {
        .key = "abuse-leak",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_http2, abuse_leak),
        .preset = "100",
        .max = "1000000",
        .unit = "points",
        .help = "So many points a second are forgiven.",
    },
};
static const struct conf_struct HTTP2 = {
    .what = "http2",
    .size = sizeof(struct config_http2),
    CONF_FIELDS(HTTP2_FIELDS),
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
        .help =
            "Threads that serve visitors; auto: one per CPU. A change waits for the next start.",
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
        .of = &config_tls_schema,
        .help = "For the listeners with tls.",
    },
    {
        .key = "cache",
        .kind = CONF_STRUCT,
        .slot = CONF_SECTION(struct file),
        .of = &CACHE,
        .help = "The cache, in memory and on disk.",
    },
    {
        .key = "pools",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file, pools, n_pools),
        .of = &config_pool_schema,
        .is_required = true,
        .max_items = 65535,
        .help = "Groups of origins, by name.",
    },
    {
        .key = "resolver",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file, config.resolver),
        .of = &config_resolver_schema,
        .help = "How the names of origins are resolved.",
    },
    {
        .key = "sites",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file, sites, n_sites),
        .of = &config_site_schema,
        .is_required = true,
        .help = "What is served, by host.",
    },
    {
        .key = "error-pages",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file, pages, n_pages),
        .of = &config_page_schema,
        .help = "Bodies of the answers that edge-proxy makes itself, by status, for all sites and "
                "for requests to none.",
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
        .key = "http2",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file, config.http2),
        .of = &HTTP2,
        .help = "HTTP/2 with visitors, on the listeners with tls.",
    },
    {
        .key = "clients",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file, config.clients),
        .of = &config_clients_schema,
        .help = "What one visitor may do.",
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
