/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config: what the operator wrote in edge-proxy.yaml, checked and typed. Immutable; one per
 * generation. Things refer to each other by index. Control thread loads it, workers read it.
 */
#ifndef EDGE_PROXY_CONFIG_H
#define EDGE_PROXY_CONFIG_H

#include "common/addr/addr.h"
#include "common/arena/arena.h"
#include "common/buckets/buckets.h"
#include "common/error/error.h"
#include "common/template/template.h"

/* Whoever is no load balancer. */
enum config_others { CONFIG_OTHERS_REFUSED, CONFIG_OTHERS_VISITORS };

/* Load balancers that say by a PROXY header whom they bring. */
struct config_proxies {
    const struct prefix *from;
    size_t n_from;       /* 0: nobody does */
    uint32_t timeout_ms; /* until the header is there */
    enum config_others others;
};

struct config_listener {
    struct addr address;
    struct place place;
    bool is_tls;
    struct config_proxies proxies;
};

struct config_certificate {
    const char *certificate_path, *key_path; /* the chain and its key, PEM */
    struct place place;
};

/* Visitors who name (SNI) what no certificate has, or nobody. */
enum config_unknown_name { CONFIG_UNKNOWN_DEFAULT, CONFIG_UNKNOWN_REJECT };

struct config_tls {
    const struct config_certificate *certificates; /* the first is the default; SNI picks */
    size_t n_certificates;
    const char *folder; /* with more of them; NULL: none */
    struct place folder_place;
    int min_version; /* TLS1_2_VERSION or TLS1_3_VERSION */
    enum config_unknown_name unknown_name;
    uint32_t ticket_period_s; /* of keys for session tickets, this edge's own */
};

/* TLS towards an origin or pool. */
struct config_origin_tls {
    bool is_on;
    const char *server_name; /* SNI and the name that is verified; NULL: the Host that is sent */
    const char *ca_path;     /* NULL: the system's */
    bool is_unverified;      /* operator's explicit wish */
    const char *certificate_path, *key_path; /* ours, for origins that ask; NULL: none */
    int min_version;                         /* TLS1_2_VERSION or TLS1_3_VERSION */
    struct place place;
};

/* What a name with several addresses stands for: one origin, or an origin for each. */
enum { CONFIG_POOL_PLACES = 64 }; /* origins of a pool, all addresses of a name included */
enum config_resolve { CONFIG_RESOLVE_ANY, CONFIG_RESOLVE_ALL };

struct config_origin {
    const char *name; /* as written, for logs and status */
    struct addr address;
    const char *host; /* to be resolved, in place of the address; NULL: has an address */
    uint16_t port;    /* with host */
    struct place place;
    enum config_resolve resolve;
    uint32_t max_addresses; /* with CONFIG_RESOLVE_ALL */
    uint32_t weight;
    uint32_t priority;     /* 0 is asked first */
    uint32_t max_requests; /* 0: any number */
};

/* How names of origins are resolved. */
struct config_resolver {
    const struct addr *servers; /* none: the system's */
    size_t n_servers;
    uint32_t timeout_ms, tries;
    uint32_t min_ttl_ms, max_ttl_ms;
    uint32_t negative_hold_ms; /* a name that is denied keeps its addresses for so long */
    uint32_t start_timeout_ms;
};

enum config_policy { CONFIG_POLICY_ROUND_ROBIN, CONFIG_POLICY_LEAST_REQUESTS, CONFIG_POLICY_HASH };
enum config_hash_key { CONFIG_KEY_CLIENT, CONFIG_KEY_PATH, CONFIG_KEY_HEADER, CONFIG_KEY_COOKIE };

/* Which origin of a pool is asked. */
struct config_balance {
    enum config_policy policy;
    const char *hash_key; /* as written */
    enum config_hash_key key;
    const char *key_name;    /* of the field or cookie */
    uint32_t factor_percent; /* bound of a hashed origin's load, of the mean; 0: none */
    uint32_t decay_ms;       /* of latencies */
    uint32_t slow_start_ms;  /* 0: none */
    uint32_t spill_percent, panic_percent;
};

/* When a request may be sent again, which is only if that can do no harm. */
struct config_retry {
    uint32_t attempts;        /* exchanges for one request, the first one included */
    const uint16_t *statuses; /* answers that are not taken while another origin is left */
    size_t n_statuses;
    uint32_t try_timeout_ms; /* 0: none but the pool's own */
    uint32_t budget_percent, budget_min;
};

/* When an origin is left out for a while because of what became of requests. */
struct config_ejection {
    uint32_t failures, server_errors; /* in a row; 0: does not count */
    uint32_t outlier_percent;         /* of the others' rate of success; 0: off */
    uint32_t outlier_interval_ms, outlier_requests;
    uint32_t base_ms, most_ms;
    uint32_t most_percent; /* of the origins */
};

struct config_check {
    const char *method, *path, *host; /* path NULL: a connection is enough */
    const char *body;                 /* stands in the body; NULL: anything */
    const char *body_pattern;         /* matches the body: POSIX extended */
    uint32_t interval_ms, timeout_ms;
    uint32_t fast_interval_ms; /* while the state may be about to change */
    uint32_t rise, fall;
    uint16_t status_low, status_high; /* inclusive */
};

/* Requests that wait until an origin may have them. */
struct config_queue {
    uint32_t length, timeout_ms;
};

struct config_pool {
    const char *name;
    const struct config_origin *origins;
    size_t n_origins;
    struct config_origin_tls tls;
    struct config_balance balance;
    struct config_retry retry;
    struct config_ejection ejection;
    struct config_check check; /* interval_ms 0: no active checks */
    unsigned send_proxy; /* PROXY_V1, PROXY_V2: connections say whom they bring; 0: they do not */
    const char *host_header;   /* sent instead of the client's Host; NULL: the client's */
    bool is_hidden;            /* visitors must not learn what the origins are, nor where */
    const char *const *hidden; /* names of more response fields that stay here */
    size_t n_hidden;
    uint32_t connect_timeout_ms, first_byte_timeout_ms, idle_timeout_ms;
    uint32_t attempt_delay_ms; /* RFC 8305: before the next address is tried too */
    uint32_t keep_idle;        /* idle connections kept to each origin */
    uint32_t max_requests;     /* under way; 0: any number */
    bool is_limited;           /* there is a limit, of the pool or of an origin */
    struct config_queue queue; /* who would be one too many waits here */
};

/* What {names} in templates stand for, of the request at hand. */
#define CONFIG_VARIABLES(X)                                        \
    X(CLIENT, "client", "the visitor's address")                   \
    X(EDGE, "edge", "this edge's name")                            \
    X(HOST, "host", "the host that was asked for, without port")   \
    X(METHOD, "method", "GET and its like")                        \
    X(PATH, "path", "as it was asked for, before any replacement") \
    X(QUERY, "query", "with its question mark, or empty")          \
    X(REQUEST_ID, "request-id", "as in the access log")            \
    X(SCHEME, "scheme", "http or https")                           \
    X(TLS, "tls", "the version of TLS, or empty")

enum config_variable {
#define CONFIG_ENUM_(id, name, help) CONFIG_VARIABLE_##id,
    CONFIG_VARIABLES(CONFIG_ENUM_)
#undef CONFIG_ENUM_
};
extern const char *const config_variable_names[]; /* by enum config_variable; ends with NULL */

/* A field line to be added. */
struct config_line {
    const char *name;
    struct template value;
};
/* What is done to the field lines of a message: lines with these names go, then lines come. */
struct config_field_rules {
    const char *const *gone;
    size_t n_gone;
    const struct config_line *lines;
    size_t n_lines;
};

/* The body of an answer that the proxy makes itself. */
struct config_page {
    uint16_t status_low, status_high; /* inclusive */
    struct str body;
    const char *content_type;
};
struct config_pages {
    const struct config_page *pages; /* those for one status first */
    size_t n;
};

/* Networks that may come, or may not; none allowed: all may. */
struct config_access {
    const struct prefix *allowed, *denied;
    size_t n_allowed, n_denied;
};

/* Requests of one key. */
struct config_rate_limit {
    const char *name;
    enum config_hash_key key;
    const char *key_name; /* of the field or cookie */
    struct buckets_rate rate;
    uint64_t id; /* the same over reloads */
};

/* What one client may do. A rate with token_us 0: anything. */
struct config_clients {
    uint32_t prefix_v4, prefix_v6; /* who counts as one client */
    uint32_t max_connections;      /* open at once; 0: any number */
    struct buckets_rate connections, handshakes, score;
    const struct prefix *exempt, *denied;
    size_t n_exempt, n_denied;
};

/* Certificates that a site asks its visitors for. */
enum config_verify { CONFIG_VERIFY_OFF, CONFIG_VERIFY_OPTIONAL, CONFIG_VERIFY_REQUIRED };
struct config_credentials {
    enum config_verify verify;
    const char *const *ca_paths; /* whose certificates are good, PEM */
    size_t n_ca;
    const char *const *crl_paths; /* which are not any more, PEM; none: that is not asked */
    size_t n_crl;
    uint32_t depth; /* CAs between the certificate and one of those */
    struct place place;
};

struct config_maintenance {
    bool is_on;
    struct config_page page; /* body.p NULL: the one for 503 */
    uint32_t retry_after_s;
    const struct prefix *admitted; /* clients that see the site even so */
    size_t n_admitted;
};

struct config_route {
    const char *prefix;       /* of the path, ends in '/' or matches whole segments */
    uint32_t index;           /* among the routes of all sites */
    uint16_t pool;            /* unless redirect_status is set */
    uint16_t redirect_status; /* 0: none */
    struct template redirect; /* the Location */
    const char *replacement;  /* what the origin gets in place of prefix; NULL: prefix */
    struct config_field_rules request, response; /* the site's and its own */
    struct config_access access;
    const struct config_rate_limit *rate_limits;
    size_t n_rate_limits;
    bool has_own_errors; /* origins' answers with a page of ours get its body */
    bool is_cached;
    uint32_t
        default_ttl_s; /* freshness for responses that carry none and have a validator; 0: none */
    bool has_client_no_cache; /* request Cache-Control: no-cache is obeyed */
};

struct config_site {
    const char *name;
    uint32_t index;
    struct config_access access;
    const char *const *hosts; /* lower case; "*.example.com" matches one or more labels; "*" any */
    size_t n_hosts;
    const struct config_route *routes; /* longest prefix first */
    size_t n_routes;
    bool is_redirect_https;
    const char *const *tag_fields; /* names of response fields with tags to purge by */
    size_t n_tag_fields;
    bool has_shown_tags; /* visitors get them, too */
    struct config_credentials credentials;
    struct config_pages pages; /* its own, then everybody's */
    struct config_maintenance maintenance;
};

struct config_disk {
    const char *path;        /* NULL: none */
    const char *purges_path; /* where purges are kept beside it */
    uint64_t bytes;
    uint32_t record_bytes; /* expected of one response */
    struct place place;
};

struct config_cache {
    uint64_t memory_bytes; /* 0: no cache */
    uint64_t max_object_bytes;
    struct config_disk disk;
};

struct config_peer {
    const char *name; /* as written */
    struct addr address;
};

struct config_control {
    const struct config_peer *servers; /* every gslb-dns node; none: no channel */
    size_t n_servers;
    const char *certificate_path, *key_path, *ca_path;
    struct place tls_place;
    const char *socket_path; /* gslbctl's local socket; NULL: none */
    struct place socket_place;
    uint32_t report_interval_ms;
};

struct config_limits {
    uint32_t header_timeout_ms;  /* whole request head, absolute */
    uint32_t handshake_ms;       /* of TLS, absolute */
    uint32_t waiting_handshakes; /* per worker; beyond them newcomers are refused, counted */
    uint32_t keep_alive_ms;      /* idle between requests */
    uint32_t body_idle_ms;       /* no progress of a body, either direction */
    uint32_t tunnel_idle_ms;     /* no byte in either direction of an upgraded connection */
    uint32_t min_rate_bytes;     /* per second, of a request's body; 0: any */
    uint32_t min_send_bytes;     /* per second, of a response that is there to be sent; 0: any */
    uint32_t max_lag_ms;         /* of a worker's loop, above which its load is high; 0: none */
    uint32_t head_bytes;         /* request head */
    uint32_t max_connections;    /* per process; above it new ones are refused, counted */
    uint64_t buffer_bytes;       /* of all connections; near it new requests are refused */
    uint32_t target_connections; /* load report: what this edge should carry */
    uint32_t idle_origin_connections; /* kept, of the whole process */
    uint32_t drain_ms;                /* at shutdown: wait so long for open requests */
    uint32_t drain_notice_ms;         /* before that: still accepting, but telling the DNS nodes */
    uint32_t upgrade_drain_ms; /* the same for open requests when a newer program has taken over */
};

struct config_http2 {
    bool is_on;
    uint32_t streams;                        /* open at once, per connection */
    uint32_t stream_bytes, connection_bytes; /* of requests' bodies, ahead of the origin */
    uint32_t abuse_limit, abuse_leak; /* a connection's score, and how much a second forgives */
};

enum config_forwarded { CONFIG_FORWARDED_X, CONFIG_FORWARDED_RFC7239, CONFIG_FORWARDED_BOTH };

struct config {
    struct arena arena;
    const char *path;
    const char *name; /* of this edge: must be its certificate's */
    uint32_t workers; /* 0: one per CPU */
    const struct config_listener *listeners;
    size_t n_listeners;
    struct config_tls tls;
    const struct config_pool *pools;
    size_t n_pools;
    bool has_send_proxy; /* of any pool */
    struct config_resolver resolver;
    const struct config_site *sites;
    size_t n_sites;
    size_t n_routes;           /* of all sites */
    struct config_pages pages; /* where no site is known */
    struct config_cache cache;
    struct config_limits limits;
    struct config_http2 http2;
    struct config_clients clients;
    struct config_control control;
    enum config_forwarded forwarded;
    const struct prefix *trusted; /* peers whose X-Forwarded-For and Forwarded are kept */
    size_t n_trusted;
    const char *access_log_path; /* "-" is standard output; NULL: off */
    struct place access_log_place;
    struct addr metrics; /* length 0: off */
    struct place metrics_place;
};

struct config *config_load(const char *path, struct errors *errors);
void config_free(struct config *c);
/* The reference of all keys, in mdoc(7): the chapter of the manual page is this text. */
void config_describe(struct text *out);

#endif
