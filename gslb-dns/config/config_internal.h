/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside config: the file as it is written, before names become indices. */
#ifndef GSLB_DNS_CONFIG_INTERNAL_H
#define GSLB_DNS_CONFIG_INTERNAL_H

#include "common/conf/conf.h"
#include "gslb-dns/config/config.h"

struct file_edge {
    const char *name;
    struct place place;
    const struct ip *addresses;
    const struct place *address_places;
    size_t n_addresses;
};

struct file_location {
    double latitude, longitude;
};

struct file_region {
    const char *name;
    struct place place;
    struct file_location location;
    const struct file_edge *edges;
    size_t n_edges;
};

struct file_branch {
    const char *to;
    struct place place;
    uint32_t weight;
    double bias_km;
    const struct prefix *networks;
    const struct place *network_places;
    size_t n_networks;
    const char *const *countries, *const *continents;
    const struct place *country_places, *continent_places;
    size_t n_countries, n_continents;
};

struct file_policy {
    const char *name, *type;
    struct place place;
    const struct file_branch *branches;
    size_t n_branches;
};

struct file_service {
    struct config_service service; /* all but its regions */
    struct place policy_place;
    const char *const *regions;
    const struct place *region_places;
    size_t n_regions;
    struct place fallback_place;
};

struct file {
    struct config config; /* what needs no second look lands here at once */
    const struct place *listen_places, *tls_places, *https_places, *control_places;
    const struct file_region *regions;
    size_t n_regions;
    const char *const *region_order;
    const struct place *order_places;
    size_t n_order;
    const struct file_policy *policies;
    size_t n_policies;
    const struct file_service *services;
    size_t n_services;
};

/* systemd's word for the CacheDirectory of a unit; as a path it is the last part. */
#define CONFIG_CACHE_OF_UNIT "$CACHE_DIRECTORY"

extern const struct conf_struct config_schema;
extern const struct conf_struct config_cookies_schema;
extern const struct conf_struct config_rate_limit_schema;
extern const struct conf_struct config_identity_schema;
extern const struct conf_struct config_tsig_key_schema;
extern const struct conf_struct config_zone_schema;
extern const struct conf_struct config_secondary_schema;

/* A name in DNS (RFC 1035 section 2.3.4), its final dot taken off; extra: characters besides
 * letters, digits, '-' and '_'. */
const char *config_check_dns_name(struct str *name, const char *extra);

extern const struct conf_struct config_policy_schema;
/* Names of regions to their indices, and the same of policies; and what a check knows of them. */
struct policy_names {
    const struct conf_index *regions;
    struct conf_index policies;
};
/* Fills c->policies from the file; regions are there. Mistakes are told. The caller frees
 * names->policies. */
void config_read_policies(struct conf *f, struct arena *a, const struct file *file,
                          struct config *c, struct policy_names *names);
/* Resolves a service's policy, whose regions it then has. true: it is one of policies. */
bool config_find_policy(struct conf *f, struct arena *a, const struct config *c,
                        const struct policy_names *names, const struct file_service *from,
                        struct config_service *out);
/* Warns of policies that no service leads to. */
void config_check_use(struct conf *f, const struct config *c);

/* Fills the secrets of c from their files. */
void config_read_secrets(struct conf *f, struct config *c, struct errors *errors);

/* The lists of peers and servers, by the keys that they name. */
void config_read_transfers(struct conf *f, struct arena *a, struct config *c);

#endif
