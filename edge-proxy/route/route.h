/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * route: which site and which of its routes a request is for. A pure look-up in tables that are
 * built once per generation.
 * Place on the path: request asks it first. Lifetime: the table is part of a generation and points
 * into its config. Threads: immutable once built; any thread.
 */
#ifndef EDGE_PROXY_ROUTE_H
#define EDGE_PROXY_ROUTE_H

#include "common/text/text.h"
#include "edge-proxy/config/config.h"

struct route_table;

struct route_table *route_table_new(const struct config *config);
void route_table_free(struct route_table *t);

struct route {
    const struct config_site *site;
    const struct config_route *route;
};
enum route_verdict {
    ROUTE_FOUND,
    ROUTE_NO_SITE, /* no site has this host: 421 (RFC 9110 section 15.5.20) */
    ROUTE_NO_PATH, /* the site has no route for this path: 404; out->site is set */
};
/* The site of a host, as route_find takes it; empty: of those who name none. NULL: there is none.
 */
const struct config_site *route_find_site(const struct route_table *t, struct str host);
/* host as the client wrote it, without port: the exact name, else the longest wildcard, else "*".
 * Of the site's routes the longest prefix that ends on a segment border. */
enum route_verdict route_find(const struct route_table *t, struct str host, struct str path,
                              struct route *out);

#endif
