/* SPDX-License-Identifier: BSD-2-Clause */
/* All that gslb-dns.yaml can say. The reference in gslb-dns.yaml(5) is made from this table. */
#include "gslb-dns/config/config_internal.h"

#include <openssl/tls1.h>

#include <string.h>

static const char *check_service_name(struct str *name)
{
    if (name->p[0] == '*')
        return "is a wildcard; a service steers one name";
    if (str_is(*name, "."))
        return "is the root; a service steers a name in one of the zones";
    return config_check_dns_name(name, "-_");
}

static const char *check_nsid(struct str text)
{
    return text.n > 128 ? "must have at most 128 bytes" : NULL;
}

static const char *check_doh_path(struct str text)
{
    if (text.n == 0 || text.p[0] != '/')
        return "must begin with '/'";
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] <= ' ' || text.p[i] == '?' || text.p[i] == '#' || text.p[i] > '~')
            return "must be the path of a URI, without '?' and '#'";
    }
    return NULL;
}

static const struct conf_field PEER_FIELDS[] = {
    {
        .key = "address",
        .kind = CONF_ADDR,
        .slot = CONF_ONE(struct config_peer, address),
        .is_required = true,
        .help = "Where its control channel listens. May stand for the whole peer: "
                "ns2: 192.0.2.54:8530.",
    },
};
static const struct conf_struct PEER = {
    .what = "peer",
    .size = sizeof(struct config_peer),
    CONF_FIELDS(PEER_FIELDS),
    .shorthand = "address",
    .name = CONF_AT(struct config_peer, name),
    .place = CONF_AT(struct config_peer, place),
};

static const struct conf_field CONTROL_FIELDS[] = {
    {
        .key = "listen",
        .kind = CONF_ADDR,
        .slot = CONF_LIST(struct file, config.control.listen, config.control.n_listen),
        .place = CONF_AT(struct file, config.control.listen_place),
        .item_places = CONF_AT(struct file, control_places),
        .help = "Addresses, each with its port, where edges report and remote operators connect "
                "over mutual TLS. Without any there is no control channel.",
    },
    {
        .key = "socket",
        .kind = CONF_PATH,
        .slot = CONF_ONE(struct file, config.control.socket_path),
        .place = CONF_AT(struct file, config.control.socket_place),
        .help = "The local socket for gslbctl. Its file mode decides who may command this node.",
    },
    {
        .key = "certificate",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct file, config.control.certificate_path),
        .place = CONF_AT(struct file, config.control.tls_place),
        .help = "This node's certificate from the private CA, PEM.",
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
        .help = "The private CA that every edge and operator must have a certificate from, PEM.",
    },
    {
        .key = "ticket-period",
        .kind = CONF_DURATION_S,
        .slot = CONF_ONE(struct file, config.control.ticket_period_s),
        .none = "off",
        .preset = "12h",
        .min = "2s",
        .max = "7d",
        .help = "How long edges make session tickets (TLS) by one key, which is the same on all "
                "edges, so that a visitor of one can resume at another; it is good for one more "
                "such time. off: every edge has keys of its own.",
    },
    {
        .key = "ticket-secrets",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct file, config.control.ticket_secrets_path),
        .place = CONF_AT(struct file, config.control.ticket_secrets_place),
        .help = "A file with one to four secrets from which those keys are derived, each 64 "
                "hexadecimal digits on a line of its own (openssl rand -hex 32), readable only by "
                "this program, the same on all nodes, whose clocks must agree to a minute or so. "
                "Tickets are made by the first, and taken by all. Absent: a random secret for the "
                "life of the process; edges then get keys from each node, and agree on one of "
                "them.",
    },
    {
        .key = "peers",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file, config.control.peers, config.control.n_peers),
        .of = &PEER,
        .max_items = 64,
        .help = "The other gslb-dns nodes, each under the name in its certificate. They tell each "
                "other what operators ask of one of them for all: acme-dns-01. Each node lists all "
                "others, and listens.",
    },
};
/* Its keys land in members of struct file itself: the section is only the file's grouping. */
static const struct conf_struct CONTROL = {
    .what = "control",
    .size = sizeof(struct file),
    CONF_FIELDS(CONTROL_FIELDS),
};

static const struct conf_field GEOIP_FIELDS[] = {
    {
        .key = "databases",
        .kind = CONF_FILE,
        .slot = CONF_LIST(struct file, config.geo_paths, config.n_geo_paths),
        .place = CONF_AT(struct file, config.geo_place),
        .help = "MaxMind DB files with coordinates or countries: one for both address families, or "
                "one each. Without any, every client gets the default region order.",
    },
    {
        .key = "cache",
        .kind = CONF_PATH,
        .slot = CONF_ONE(struct file, config.geo_cache_path),
        .preset = CONFIG_CACHE_OF_UNIT,
        .none = "off",
        .help = "A directory where what the databases say is kept in a form that loads several "
                "times as fast, whatever the regions. It is written beside the work after a "
                "database was read, used as long as that file is the same, and may be deleted at "
                "any time. The default is the directory that systemd gives the unit; started by "
                "other means there is none.",
    },
};
static const struct conf_struct GEOIP = {
    .what = "geoip",
    .size = sizeof(struct file),
    CONF_FIELDS(GEOIP_FIELDS),
};

static const struct conf_field HEALTH_FIELDS[] = {
    {
        .key = "stale-after",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_health, stale_after_ms),
        .preset = "3s",
        .min = "100ms",
        .max = "1h",
        .help = "An edge that has not reported for so long is down.",
    },
    {
        .key = "down-threshold",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_health, down_threshold),
        .preset = "1",
        .min = "1",
        .max = "1000",
        .unit = "reports",
        .help = "So many bad reports in a row take an edge out of the answers.",
    },
    {
        .key = "up-threshold",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_health, up_threshold),
        .preset = "5",
        .min = "1",
        .max = "1000",
        .unit = "reports",
        .help = "So many good reports in a row bring an edge back.",
    },
    {
        .key = "keep-last-view",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_health, keep_last_view_ms),
        .none = "off",
        .preset = "10m",
        .max = "40d",
        .help = "When all edges fall silent at once, this node suspects itself and keeps its last "
                "good view for so long.",
    },
};
static const struct conf_struct HEALTH = {
    .what = "health",
    .size = sizeof(struct config_health),
    CONF_FIELDS(HEALTH_FIELDS),
};

static const struct conf_field LOCATION_FIELDS[] = {
    {
        .key = "latitude",
        .kind = CONF_DOUBLE,
        .slot = CONF_ONE(struct file_location, latitude),
        .is_required = true,
        .min = "-90",
        .max = "90",
        .help = "Degrees, north positive.",
    },
    {
        .key = "longitude",
        .kind = CONF_DOUBLE,
        .slot = CONF_ONE(struct file_location, longitude),
        .is_required = true,
        .min = "-180",
        .max = "180",
        .help = "Degrees, east positive.",
    },
};
static const struct conf_struct LOCATION = {
    .what = "location",
    .size = sizeof(struct file_location),
    CONF_FIELDS(LOCATION_FIELDS),
    .is_tuple = true,
};

static const struct conf_field EDGE_FIELDS[] = {
    {
        .key = "addresses",
        .kind = CONF_IP,
        .slot = CONF_LIST(struct file_edge, addresses, n_addresses),
        .item_places = CONF_AT(struct file_edge, address_places),
        .is_required = true,
        .max_items = 64,
        .help = "What visitors are sent to, IPv4 and IPv6. May stand for the whole edge: "
                "eu-west-1: [192.0.2.1, \"2001:db8::1\"].",
    },
};
static const struct conf_struct EDGE = {
    .what = "edge",
    .size = sizeof(struct file_edge),
    CONF_FIELDS(EDGE_FIELDS),
    .shorthand = "addresses",
    .name = CONF_AT(struct file_edge, name),
    .place = CONF_AT(struct file_edge, place),
};

static const struct conf_field REGION_FIELDS[] = {
    {
        .key = "location",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file_region, location),
        .of = &LOCATION,
        .is_required = true,
        .expects = "[latitude, longitude] in degrees",
        .help = "Where its visitors are near: [latitude, longitude] in degrees.",
    },
    {
        .key = "edges",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file_region, edges, n_edges),
        .of = &EDGE,
        .is_required = true,
        .help = "Its edges, each under the name in its certificate.",
    },
};
static const struct conf_struct REGION = {
    .what = "region",
    .size = sizeof(struct file_region),
    CONF_FIELDS(REGION_FIELDS),
    .name = CONF_AT(struct file_region, name),
    .place = CONF_AT(struct file_region, place),
};

static const struct conf_choice ALL_DOWN[] = {
    {"serve-all", CONFIG_SERVE_ALL},
    {"refuse", CONFIG_REFUSE},
    {"nodata", CONFIG_NODATA},
    {"fallback", CONFIG_FALLBACK},
    {NULL, 0},
};

static const struct conf_field SERVICE_FIELDS[] = {
    {
        .key = "regions",
        .kind = CONF_STRING,
        .slot = CONF_LIST(struct file_service, regions, n_regions),
        .item_places = CONF_AT(struct file_service, region_places),
        .is_required = false,
        .expects = "the name of a region",
        .help = "The regions that serve this name; all of them when absent. Policy failover takes "
                "them in this order. Not with a policy of your own, which names its regions.",
    },
    {
        .key = "policy",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct file_service, service.policy),
        .place = CONF_AT(struct file_service, policy_place),
        .preset = "nearest",
        .help = "How a client's region is chosen among the healthy ones: nearest to the client; "
                "failover: the first in order; weighted: an equal share of the clients for each, "
                "now these and then those; sticky: the same, and always the same clients; or one "
                "of policies, by name.",
    },
    {
        .key = "ttl",
        .kind = CONF_DURATION_S,
        .slot = CONF_ONE(struct file_service, service.ttl_s),
        .preset = "30s",
        .max = "1d",
        .help = "Of the answers. The shorter, the sooner visitors leave a failed edge.",
    },
    {
        .key = "max-addresses",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct file_service, service.max_addresses),
        .preset = "8",
        .min = "1",
        .max = "32",
        .unit = "addresses",
        .help = "The most addresses of one family in one answer.",
    },
    {
        .key = "all-down",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct file_service, service.all_down),
        .choices = ALL_DOWN,
        .preset = "serve-all",
        .help = "What clients get when every edge of the service is down: serve-all answers as if "
                "all were up, refuse answers REFUSED, nodata answers without addresses, fallback "
                "answers with the addresses of that key.",
    },
    {
        .key = "fallback",
        .kind = CONF_IP,
        .slot = CONF_LIST(struct file_service, service.fallback, service.n_fallback),
        .place = CONF_AT(struct file_service, fallback_place),
        .max_items = 32,
        .help = "Addresses for all-down: fallback, of a sorry server for example.",
    },
};
static const struct conf_struct SERVICE = {
    .what = "service",
    .size = sizeof(struct file_service),
    CONF_FIELDS(SERVICE_FIELDS),
    .name = CONF_AT(struct file_service, service.name),
    .place = CONF_AT(struct file_service, service.place),
    .check_name = check_service_name,
};

static const struct conf_field TCP_FIELDS[] = {
    {
        .key = "threads",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct file, config.tcp_threads),
        .none = "auto",
        .min = "1",
        .max = "1024",
        .unit = "threads",
        .help = "Threads that serve connections; auto: as many as workers. A change waits for the "
                "next start.",
    },
    {
        .key = "idle-timeout",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct file, config.tcp_idle_ms),
        .preset = "10s",
        .min = "100ms",
        .max = "1h",
        .help = "A connection without a query for so long is closed.",
    },
    {
        .key = "max-connections",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct file, config.tcp_max_connections),
        .preset = "1000",
        .min = "1",
        .max = "1000000",
        .unit = "connections",
        .help = "At most so many at a time; above it the one that was idle longest gives way.",
    },
};
static const struct conf_struct TCP = {
    .what = "tcp",
    .size = sizeof(struct file),
    CONF_FIELDS(TCP_FIELDS),
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
        .slot = CONF_LIST(struct file, config.certificates, config.n_certificates),
        .of = &CERTIFICATE,
        .expects = "a mapping {certificate: FILE, key: FILE}",
        .help = "What clients are shown: the one whose names match, else the first. A reload reads "
                "the files anew; connections stay.",
    },
    {
        .key = "min-version",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct file, config.min_tls_version),
        .choices = TLS_VERSIONS,
        .preset = "1.2",
        .help = "The oldest version of TLS that clients may speak.",
    },
};
static const struct conf_struct TLS = {
    .what = "tls",
    .size = sizeof(struct file),
    CONF_FIELDS(TLS_FIELDS),
};

static const struct conf_field HTTPS_FIELDS[] = {
    {
        .key = "path",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct file, config.doh_path),
        .preset = "/dns-query",
        .check = check_doh_path,
        .help = "Where queries are taken, by GET and POST. Clients must speak HTTP/2.",
    },
};
static const struct conf_struct HTTPS = {
    .what = "https",
    .size = sizeof(struct file),
    CONF_FIELDS(HTTPS_FIELDS),
};

static const char *check_interface(struct str *name)
{
    if (name->n > 15)
        return "is longer than the name of an interface can be (15 characters)";
    for (size_t i = 0; i < name->n; i++) {
        if (name->p[i] <= ' ' || strchr("/:\"\\", name->p[i]) != NULL)
            return "is not the name of an interface";
    }
    return NULL;
}

static const struct conf_choice XDP_MODES[] = {
    {"off", CONFIG_XDP_OFF},
    {"auto", CONFIG_XDP_AUTO},
    {"native", CONFIG_XDP_NATIVE},
    {"generic", CONFIG_XDP_GENERIC},
    {"true", CONFIG_XDP_AUTO},
    {"false", CONFIG_XDP_OFF},
    {NULL, 0},
};
static const struct conf_field XDP_FIELDS[] = {
    {
        .key = "mode",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct config_xdp, mode),
        .choices = XDP_MODES,
        .preset = "auto",
        .help = "native: in the driver; generic: in front of the network stack, with any driver "
                "and slower; auto: native if the driver can, else generic. true is auto, false is "
                "off. May stand for the whole interface: eth0: true.",
    },
    {
        .key = "queues",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_xdp, queues),
        .none = "all",
        .min = "1",
        .max = "1024",
        .unit = "queues",
        .help = "So many of its receive queues, with a thread each; all: every one. What comes by "
                "the others goes to the sockets.",
    },
};
static const struct conf_struct XDP = {
    .what = "interface",
    .size = sizeof(struct config_xdp),
    CONF_FIELDS(XDP_FIELDS),
    .shorthand = "mode",
    .name = CONF_AT(struct config_xdp, interface),
    .place = CONF_AT(struct config_xdp, place),
    .check_name = check_interface,
};

static const struct conf_field PROXY_FIELDS[] = {
    {
        .key = "from",
        .kind = CONF_PREFIX,
        .slot = CONF_LIST(struct file, config.proxies, config.n_proxies),
        .is_required = true,
        .max_items = 256,
        .help = "Who may say so: load balancers. A header of version 2 of the PROXY protocol must "
                "come first on each of their connections, before TLS too, and in each of their "
                "datagrams; whom it names is the client for steering, cookies and all limits. "
                "Without one, and with one from anybody else, nothing is answered.",
    },
};
static const struct conf_struct PROXY = {
    .what = "proxy-protocol",
    .size = sizeof(struct file),
    CONF_FIELDS(PROXY_FIELDS),
};

static const struct conf_field TOP_FIELDS[] = {
    {
        .key = "listen",
        .kind = CONF_ADDR,
        .slot = CONF_LIST(struct file, config.listen, config.n_listen),
        .place = CONF_AT(struct file, config.listen_place),
        .item_places = CONF_AT(struct file, listen_places),
        .is_required = true,
        .port = 53,
        .max_items = 256,
        .help = "Addresses for DNS over UDP and TCP.",
    },
    {
        .key = "listen-tls",
        .kind = CONF_ADDR,
        .slot = CONF_LIST(struct file, config.listen_tls, config.n_listen_tls),
        .place = CONF_AT(struct file, config.listen_tls_place),
        .item_places = CONF_AT(struct file, tls_places),
        .port = 853,
        .max_items = 256,
        .help = "Addresses for DNS over TLS (RFC 7858). They need tls.",
    },
    {
        .key = "listen-https",
        .kind = CONF_ADDR,
        .slot = CONF_LIST(struct file, config.listen_https, config.n_listen_https),
        .place = CONF_AT(struct file, config.listen_https_place),
        .item_places = CONF_AT(struct file, https_places),
        .port = 443,
        .max_items = 256,
        .help = "Addresses for DNS over HTTPS (RFC 8484). They need tls.",
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
            "Threads that answer queries; auto: one per CPU. A change waits for the next start.",
    },
    {
        .key = "udp-payload-size",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct file, config.udp_payload_bytes),
        .preset = "1232",
        .min = "512",
        .max = "4096",
        .unit = "bytes",
        .help = "The largest answer over UDP, announced by EDNS; a longer one is truncated.",
    },
    {
        .key = "nsid",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct file, config.nsid),
        .check = check_nsid,
        .help = "What this node calls itself when asked by NSID (RFC 5001), to tell the nodes of a "
                "site apart: dig +nsid. At most 128 bytes. Absent: it does not say.",
    },
    {
        .key = "identity",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file, config.identity),
        .of = &config_identity_schema,
        .help = "What this node tells of itself by the names of class CHAOS. Absent: nothing.",
    },
    {
        .key = "cookies",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file, config.cookies),
        .of = &config_cookies_schema,
        .help = "DNS cookies (RFC 7873, RFC 9018): clients that have shown where they are.",
    },
    {
        .key = "rate-limit",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file, config.rate_limit),
        .of = &config_rate_limit_schema,
        .help = "A limit of the answers by UDP, against floods in the name of others. May be the "
                "number alone: rate-limit: 200.",
    },
    {
        .key = "tcp",
        .kind = CONF_STRUCT,
        .slot = CONF_SECTION(struct file),
        .of = &TCP,
        .help = "Connections over TCP, with TLS and without.",
    },
    {
        .key = "tls",
        .kind = CONF_STRUCT,
        .slot = CONF_SECTION(struct file),
        .of = &TLS,
        .help = "For listen-tls and listen-https.",
    },
    {
        .key = "https",
        .kind = CONF_STRUCT,
        .slot = CONF_SECTION(struct file),
        .of = &HTTPS,
        .help = "For listen-https.",
    },
    {
        .key = "xdp",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file, config.xdp, config.n_xdp),
        .of = &XDP,
        .max_items = 64,
        .help = "Interfaces whose UDP queries are answered by XDP, past the kernel's network stack "
                "and its packet filter. Absent: none. Where it cannot be had, the sockets serve.",
    },
    {
        .key = "proxy-protocol",
        .kind = CONF_STRUCT,
        .slot = CONF_SECTION(struct file),
        .of = &PROXY,
        .help = "Clients that come by load balancers, which say who they are.",
    },
    {
        .key = "metrics",
        .kind = CONF_ADDR,
        .slot = CONF_ONE(struct file, config.metrics),
        .place = CONF_AT(struct file, config.metrics_place),
        .none = "off",
        .help = "Address for counters as Prometheus text, by GET /metrics.",
    },
    {
        .key = "state",
        .kind = CONF_PATH,
        .slot = CONF_ONE(struct file, config.state_path),
        .help =
            "A file where drains and challenges (gslbctl acme-dns-01) survive a restart, and, with "
            ".purges behind its name, the purges that edges may have missed. Absent: they do not.",
    },
    {
        .key = "control",
        .kind = CONF_STRUCT,
        .slot = CONF_SECTION(struct file),
        .of = &CONTROL,
        .help = "The channel to edges and operators. With listen, certificate, key and ca are "
                "required.",
    },
    {
        .key = "geoip",
        .kind = CONF_STRUCT,
        .slot = CONF_SECTION(struct file),
        .of = &GEOIP,
        .help = "Where clients are.",
    },
    {
        .key = "health",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file, config.health),
        .of = &HEALTH,
        .help = "When an edge leaves the answers and comes back.",
    },
    {
        .key = "regions",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file, regions, n_regions),
        .of = &REGION,
        .max_items = 65000,
        .help = "Places with edges, by name.",
    },
    {
        .key = "region-order",
        .kind = CONF_STRING,
        .slot = CONF_LIST(struct file, region_order, n_order),
        .item_places = CONF_AT(struct file, order_places),
        .expects = "the name of a region",
        .help = "The order of regions for clients without a location. Regions that it leaves out "
                "follow in the order of the file.",
    },
    {
        .key = "tsig-keys",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file, config.tsig_keys, config.n_tsig_keys),
        .of = &config_tsig_key_schema,
        .max_items = 10000,
        .help = "Secrets shared with other servers (TSIG, RFC 8945), by the name that both sides "
                "have for them. A query that is signed by one of them gets a signed answer.",
    },
    {
        .key = "secondary",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file, config.secondary),
        .of = &config_secondary_schema,
        .help = "How zones with primaries are kept: where, and within which limits.",
    },
    {
        .key = "zones",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file, config.zones, config.n_zones),
        .of = &config_zone_schema,
        .is_required = true,
        .help = "What this server is authoritative for, by name.",
    },
    {
        .key = "policies",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file, policies, n_policies),
        .of = &config_policy_schema,
        .max_items = 10000,
        .help = "Policies of your own, by name, for services and for each other: short trees whose "
                "leaves are regions.",
    },
    {
        .key = "services",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file, services, n_services),
        .of = &SERVICE,
        .max_items = 65535,
        .help = "Steered names: their A and AAAA records are the edges that suit the client. Each "
                "stands in one of the zones.",
    },
};
const struct conf_struct config_schema = {
    .what = "gslb-dns.yaml",
    .size = sizeof(struct file),
    CONF_FIELDS(TOP_FIELDS),
};
