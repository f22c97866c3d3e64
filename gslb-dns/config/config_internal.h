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

struct file_service {
    struct config_service service; /* all but its regions */
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

/* Fills the secrets of c from their files. */
void config_read_secrets(struct conf *f, struct config *c, struct errors *errors);

/* The lists of peers and servers, by the keys that they name. */
void config_read_transfers(struct conf *f, struct arena *a, struct config *c);

#endif
