/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside config: the file as it is written, before names become indices. */
#ifndef EDGE_PROXY_CONFIG_INTERNAL_H
#define EDGE_PROXY_CONFIG_INTERNAL_H

#include "common/conf/conf.h"
#include "edge-proxy/config/config.h"

/* NAME: VALUE */
struct file_line {
    const char *name, *value;
};
struct file_field_rules {
    const struct file_line *set, *add;
    size_t n_set, n_add;
    const char *const *remove;
    size_t n_remove;
};

/* STATUS: FILE */
struct file_page {
    const char *status, *path;
    struct place place;
};

struct file_rate_limit {
    struct config_rate_limit limit; /* all but its key and id */
    const char *by;
    uint32_t burst; /* 0: not written */
};

struct file_route {
    struct config_route route; /* all but its pool and its templates */
    struct place place;
    const char *pool;
    struct place pool_place;
    const char *redirect;
    struct place redirect_place, replacement_place;
    int redirect_status; /* 0: none is written */
    struct file_field_rules request, response;
    const struct file_rate_limit *rate_limits;
    size_t n_rate_limits;
};

struct file_site {
    const char *name;
    struct place place;
    struct config_access access;
    struct file_field_rules request, response;
    const struct file_page *pages;
    size_t n_pages;
    struct config_maintenance maintenance; /* all but its page */
    const char *maintenance_path;
    struct place maintenance_place;
    const char *const *aliases;
    const struct place *alias_places;
    size_t n_aliases;
    const struct file_route *routes;
    size_t n_routes;
    bool is_redirect_https;
    struct place redirect_place;
    const char *const *tag_fields;
    size_t n_tag_fields;
    bool has_shown_tags;
    struct config_credentials credentials;
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
    const struct file_page *pages;
    size_t n_pages;
};

/* The second look at a file. */
struct check {
    struct conf *f;
    struct file *file;
    struct config *config; /* being built */
    struct arena *arena;
    struct conf_index pools; /* name to index */
    bool *is_used;           /* per pool: a route leads there */
};

extern const struct conf_choice config_tls_versions[];
extern const struct conf_struct config_schema;
extern const struct conf_struct config_pool_schema;
extern const struct conf_struct config_balance_schema, config_retry_schema, config_ejection_schema;
extern const struct conf_struct config_queue_schema;
extern const struct conf_struct config_resolver_schema;
extern const struct conf_struct config_site_schema;
extern const struct conf_struct config_tls_schema;
extern const struct conf_struct config_page_schema;
extern const struct conf_struct config_clients_schema;
extern const struct conf_struct config_rate_limit_schema;

/* "client", "header NAME" and the like, which config_check_hash_key has seen. */
void config_split_key(const char *key, enum config_hash_key *kind, const char **name);

/* sites.c: sites with their routes, once the pools are built. */
void config_build_sites(struct check *k);
/* In the arena. */
const char *config_lower_case(struct check *k, const char *s);

/* names.c */
const char *config_check_host(struct str host);
const char *config_check_host_name(struct str *name);
const char *config_check_authority(struct str text);
/* An address or a name, with a port. */
const char *config_check_origin(struct str text);
const char *config_check_path(struct str path);
const char *config_check_hash_key(struct str key);
const char *config_check_pattern(struct str pattern);
const char *config_check_prefix(struct str *prefix);
/* Names and values of field lines that rules may touch; values with {variables}. */
const char *config_check_field_name(struct str name);
const char *config_check_line_name(struct str *name);
const char *config_check_template(struct str value);
/* "404", or "4xx" for all of them. */
const char *config_check_statuses(struct str *statuses);

#endif
