/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside config: the file as it is written, before names become indices. */
#ifndef EDGE_PROXY_CONFIG_INTERNAL_H
#define EDGE_PROXY_CONFIG_INTERNAL_H

#include "common/conf/conf.h"
#include "edge-proxy/config/config.h"

struct file_route {
    struct config_route route; /* all but its pool */
    struct place place;
    const char *pool;
    struct place pool_place;
};

struct file_site {
    const char *name;
    struct place place;
    const char *const *aliases;
    const struct place *alias_places;
    size_t n_aliases;
    const struct file_route *routes;
    size_t n_routes;
    bool is_redirect_https;
    struct place redirect_place;
};

struct file_pool {
    struct config_pool pool; /* all but its origins */
    struct place place;
    const struct config_origin *origins;
    const struct place *origin_places;
    size_t n_origins;
    struct place check_place;
};

struct file {
    struct config config; /* what needs no second look lands here at once */
    struct place memory_place, object_place, target_place;
    const struct place *server_places;
    const struct file_pool *pools;
    size_t n_pools;
    const struct file_site *sites;
    size_t n_sites;
};

extern const struct conf_struct config_schema;
extern const struct conf_struct config_pool_schema;
extern const struct conf_struct config_site_schema;
extern const struct conf_struct config_tls_schema;

/* names.c */
const char *config_check_host(struct str host);
const char *config_check_host_name(struct str *name);
const char *config_check_authority(struct str text);
const char *config_check_path(struct str path);
const char *config_check_hash_key(struct str key);
const char *config_check_prefix(struct str *prefix);

#endif
