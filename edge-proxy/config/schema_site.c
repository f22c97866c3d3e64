/* SPDX-License-Identifier: BSD-2-Clause */
/* Of edge-proxy.yaml: sites and their routes. */
#include "edge-proxy/config/config_internal.h"

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
    .check_name = config_check_prefix,
};

static const struct conf_field SITE_FIELDS[] = {
    {
        .key = "aliases",
        .kind = CONF_STRING,
        .slot = CONF_LIST(struct file_site, aliases, n_aliases),
        .item_places = CONF_AT(struct file_site, alias_places),
        .check = config_check_host,
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
const struct conf_struct config_site_schema = {
    .what = "site",
    .size = sizeof(struct file_site),
    CONF_FIELDS(SITE_FIELDS),
    .name = CONF_AT(struct file_site, name),
    .place = CONF_AT(struct file_site, place),
    .check_name = config_check_host_name,
};
