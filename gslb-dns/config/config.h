/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config: what the operator wrote in gslb-dns.yaml, checked and typed. A configuration is
 * immutable and belongs to one generation of the world; it names things by index: services refer
 * to regions, regions to edges, by their place in these arrays. Control thread.
 */
#ifndef GSLB_DNS_CONFIG_H
#define GSLB_DNS_CONFIG_H

#include "common/addr/addr.h"
#include "common/arena/arena.h"
#include "common/error/error.h"
#include "common/tls/tls.h"
#include "gslb-dns/cookie/cookie.h"

/* An edge: one machine with edge-proxy, known by the name in its certificate. */
struct config_edge {
    const char *name;
    uint16_t region;
    const struct ip *addresses; /* what visitors are sent to, IPv4 and IPv6 */
    size_t n_addresses;
};

struct config_region {
    const char *name;
    double latitude, longitude;
    uint32_t first_edge, n_edges; /* its edges stand together in config.edges */
};

/* Where a node of a policy's tree leads, and for whom; as steer has it. */
struct config_branch {
    const char *to; /* a region or a policy */
    bool is_policy;
    uint32_t target; /* of that index in regions or policies */
    uint32_t weight;
    double bias_km;
    const struct prefix *networks;
    size_t n_networks;
    const char *countries, *continents; /* two letters each, one after the other; NULL: none */
};

/* A node of policies' trees. */
struct config_policy {
    const char *name, *type; /* type: a policy that steer knows */
    struct place place;
    const struct config_branch *branches;
    size_t n_branches;
};

enum { CONFIG_NO_POLICY = UINT32_MAX };

enum config_all_down { CONFIG_SERVE_ALL, CONFIG_REFUSE, CONFIG_NODATA, CONFIG_FALLBACK };

/* A steered name: A and AAAA are answered by policy. */
struct config_service {
    const char *name;        /* as written, without the final dot */
    struct place place;      /* of its key, for messages that need the zones */
    const char *policy;      /* a name that steer knows, unless it is */
    uint32_t own_policy;     /* one of policies; or CONFIG_NO_POLICY */
    const uint16_t *regions; /* in configured order; those of its own policy */
    size_t n_regions;
    uint32_t ttl_s;
    uint32_t max_addresses; /* in one answer */
    enum config_all_down all_down;
    const struct ip *fallback; /* with CONFIG_FALLBACK */
    size_t n_fallback;
};

enum config_denial { CONFIG_NSEC, CONFIG_NSEC3, CONFIG_COMPACT };
enum config_cds { CONFIG_CDS_YES, CONFIG_CDS_NO, CONFIG_CDS_DELETE };
/* How signing changes a zone's SOA serial. */
enum config_signed_serial { CONFIG_SERIAL_INCREMENT, CONFIG_SERIAL_UNIXTIME, CONFIG_SERIAL_KEEP };

/* How a zone is signed; durations in seconds. */
struct config_dnssec {
    const char *keys_path; /* the directory of the key files; NULL: the zone is not signed here */
    struct place place;
    enum config_denial denial;
    const char *nsec3_salt; /* hexadecimal digits; NULL: none */
    uint32_t nsec3_iterations;
    bool is_nsec3_opt_out;
    enum config_cds cds;
    enum config_signed_serial serial;
    uint32_t validity_s, refresh_s;
    uint32_t dnskey_ttl_s, zone_max_ttl_s, propagation_delay_s;
    uint32_t parent_ds_ttl_s, parent_propagation_delay_s;
};

/* What a zone's SOA serial must do when its data changes. */
enum config_serial { CONFIG_SERIAL_WARN, CONFIG_SERIAL_STRICT, CONFIG_SERIAL_ANY };

/* A secret that this node shares with other servers (RFC 8945). */
struct config_tsig_key {
    const char *name; /* without the final dot */
    struct place place;
    const char *algorithm; /* a name that tsig knows */
    const char *secret;    /* base64; or */
    const char *secret_path;
};

enum { CONFIG_NO_KEY = UINT32_MAX };

/* Who may do something: whoever asks from there, signed by that key. */
struct config_client {
    struct prefix from; /* family 0: from anywhere */
    uint32_t key;       /* index in tsig_keys; CONFIG_NO_KEY: unsigned will do */
};

/* Another name server. */
struct config_server {
    struct addr at;
    uint32_t key;         /* index in tsig_keys; CONFIG_NO_KEY: messages are not signed */
    const char *tls_name; /* of a primary: RFC 9103, its certificate is for this name; NULL: TCP */
};

/* Texts of the file that name peers and servers. */
struct config_list {
    const char *const *texts;
    const struct place *places;
    size_t n;
};

/* What a service's name is in an outgoing zone transfer. */
enum config_steered { CONFIG_STEERED_ADDRESSES, CONFIG_STEERED_OMIT };

struct config_zone_transfers {
    const struct config_client *allow; /* may transfer the zone from here; none: nobody */
    size_t n_allow;
    const struct config_server *notify; /* are told when the zone has changed */
    size_t n_notify;
    enum config_steered steered;
    uint64_t history_bytes;                /* of what changed, for IXFR; 0: none is kept */
    const struct config_server *primaries; /* whose copy the zone is; none: it has a file */
    size_t n_primaries;
    const struct config_client *notifiers; /* beside these, who may say that it has changed */
    size_t n_notifiers;
    struct config_list allow_text, notify_text, primaries_text, notifiers_text;
};

struct config_zone {
    const char *name; /* without the final dot; "." for the root */
    const char *path; /* of its zone file, or of the copy */
    enum config_serial serial;
    struct place place;
    struct config_dnssec dnssec;
    struct config_zone_transfers transfers;
};

/* How copies of others' zones are kept. */
struct config_secondary {
    const char *directory; /* NULL: no zone is such a copy */
    const char *ca_path;   /* NULL: the system's */
    struct place place;
    uint32_t transfers;              /* at once */
    uint32_t timeout_ms, max_time_s; /* of a primary's silence; of a transfer */
    uint64_t max_bytes, max_records;
    uint32_t min_wait_s, max_wait_s; /* bounds of SOA timers */
};

/* When an edge leaves the answers and comes back (gdnsd's down_thresh and up_thresh). */
struct config_health {
    uint32_t stale_after_ms;    /* without a report for so long: down */
    uint32_t down_threshold;    /* bad reports in a row that take an edge out */
    uint32_t up_threshold;      /* good reports in a row that bring it back */
    uint32_t keep_last_view_ms; /* all edges lost at once: keep the last good view for so long;
                                   0: do not */
};

/* A certificate for DNS over TLS and HTTPS; the first is the default, SNI picks among the others.
 */
struct config_certificate {
    const char *certificate_path, *key_path;
    struct place place;
};

/* The fast path of one interface (XDP), beside the sockets. */
enum config_xdp_mode { CONFIG_XDP_OFF, CONFIG_XDP_AUTO, CONFIG_XDP_NATIVE, CONFIG_XDP_GENERIC };
struct config_xdp {
    const char *interface;
    struct place place;
    enum config_xdp_mode mode;
    uint32_t queues; /* 0: all */
};

/* Another gslb-dns node of the site. */
struct config_peer {
    const char *name; /* in its certificate */
    struct addr address;
    struct place place;
};

/* Keys for the edges' session tickets are derived from the first; all are good. In memory of its
 * own (tls_secret_alloc). */
enum { CONFIG_TICKET_SECRETS_MAX = 4 };
struct config_ticket_secrets {
    uint8_t secrets[CONFIG_TICKET_SECRETS_MAX][TLS_TICKET_SECRET_BYTES];
    size_t n;
};

struct config_control {
    const struct config_peer *peers;
    size_t n_peers;
    const struct addr *listen; /* for edges and remote operators; none: no channel */
    size_t n_listen;
    struct place listen_place;
    const char *socket_path; /* gslbctl's local socket; NULL: none */
    struct place socket_place;
    const char *certificate_path, *key_path, *ca_path;
    struct place tls_place;
    const char *ticket_secrets_path; /* NULL: the process makes up its own */
    struct place ticket_secrets_place;
    struct config_ticket_secrets *ticket_secrets; /* NULL: no file */
    uint32_t ticket_period_s;                     /* 0: edges are not sent any keys */
};

enum config_cookie_rule { CONFIG_COOKIE_NEVER, CONFIG_COOKIE_UNDER_LIMIT, CONFIG_COOKIE_ALWAYS };

struct config_cookies {
    bool is_off;
    const char *secrets_path; /* NULL: the process makes up its own */
    struct place secrets_place;
    enum config_cookie_rule require;
    struct cookie_secrets secrets; /* as the file has them; n 0: no file */
};

struct config_rate_limit {
    uint32_t per_second; /* 0: no limit */
    uint32_t slip;       /* 0: nothing is sent above the limit */
    const struct prefix *exempt;
    size_t n_exempt;
};

/* What queries of class CHAOS are told; NULL: nothing. */
struct config_identity {
    const char *version, *id;
};

struct config {
    struct arena arena; /* everything below lives here */
    const char *path;
    const struct addr *listen; /* UDP and TCP */
    size_t n_listen;
    struct place listen_place;
    const struct addr *listen_tls, *listen_https;
    size_t n_listen_tls, n_listen_https;
    struct place listen_tls_place, listen_https_place;
    const struct config_certificate *certificates;
    size_t n_certificates;
    int min_tls_version;  /* OpenSSL's number */
    const char *doh_path; /* RFC 8484: where it is served */
    const struct prefix *proxies;
    size_t n_proxies;
    uint32_t workers;           /* 0: one per CPU */
    uint32_t udp_payload_bytes; /* largest UDP answer (EDNS buffer size we announce) */
    const char *nsid;           /* NULL: not told */
    struct config_identity identity;
    struct config_cookies cookies;
    struct config_rate_limit rate_limit;
    uint32_t tcp_threads; /* 0: as many as workers */
    uint32_t tcp_idle_ms, tcp_max_connections;
    struct addr metrics; /* length 0: off */
    struct place metrics_place;
    const char *state_path; /* drains and challenges survive restarts here; NULL: not kept */
    const char *const *geo_paths;
    size_t n_geo_paths;
    struct place geo_place;
    const char *geo_cache_path; /* a directory; NULL: nothing is cached */
    const struct config_region *regions;
    size_t n_regions;
    const struct config_edge *edges;
    size_t n_edges;
    const uint16_t *region_order; /* for clients without a location: all regions */
    const struct config_policy *policies;
    size_t n_policies;
    const struct config_service *services;
    size_t n_services;
    const struct config_tsig_key *tsig_keys;
    size_t n_tsig_keys;
    const struct config_zone *zones;
    size_t n_zones;
    struct config_secondary secondary;
    struct config_health health;
    struct config_control control;
    const struct config_xdp *xdp;
    size_t n_xdp;
};

/* Reads and checks path; all mistakes go to errors (NULL is returned then). The caller frees. */
struct config *config_load(const char *path, struct errors *errors);
void config_free(struct config *c);
/* The reference of all keys, in mdoc(7): the chapter of the manual page is this text. */
void config_describe(struct text *out);

#endif
