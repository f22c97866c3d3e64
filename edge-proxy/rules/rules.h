/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rules: what the operator wants done to messages on their way through. Field lines that go and
 * come, prefixes of paths that are replaced, pages for errors, and nothing that tells visitors
 * where the origins are.
 * Place on the path: request asks it once a route is known, and hands it the lines that it has
 * written. Pure: texts in, texts out.
 * Lifetime: the table is part of a generation and points into its config.
 * Threads: immutable once built; any thread.
 */
#ifndef EDGE_PROXY_RULES_H
#define EDGE_PROXY_RULES_H

#include "edge-proxy/config/config.h"
#include "edge-proxy/fields/fields.h"

struct rules_table;
struct rules_table *rules_table_new(const struct config *config);
void rules_table_free(struct rules_table *t);

/* ---- Field lines ---- */

enum rules_side { RULES_REQUEST, RULES_RESPONSE };

/* Writes what {variable} stands for. */
typedef void rules_value_fn(void *arg, unsigned variable, struct writer *w);

/* What w holds from `lines` on are field lines, each with its CRLF: takes out those that the
 * route's rules name and appends what they add. */
void rules_apply(const struct rules_table *t, const struct config_route *route,
                 enum rules_side side, struct writer *w, uint8_t *lines, rules_value_fn *value,
                 void *arg);
/* Names of response fields that visitors of this pool must not see; NULL: none. */
const struct field_names *rules_hidden_names(const struct rules_table *t, uint16_t pool);
/* Names of response fields with the tags of this site's responses. */
const struct field_names *rules_tag_names(const struct rules_table *t,
                                          const struct config_site *site);

/* ---- Paths and references ---- */

/* The path as the origin is asked for it. */
void rules_write_path(const struct config_route *route, struct str path, struct writer *w);

/* Where the visitor came to. */
struct rules_place {
    struct str scheme;    /* "https" */
    struct str authority; /* as asked for; empty: unknown, nothing is turned back */
};
/* Location and Content-Location among the lines of w: those that name an origin of the pool, or a
 * path with the replacement, lead back to the visitor's place and prefix. */
void rules_turn_back(const struct config_pool *pool, const struct config_route *route,
                     const struct rules_place *place, struct writer *w, uint8_t *lines);

/* ---- Pages ---- */

/* The operator's page for this status; NULL: none. */
const struct config_page *rules_find_page(const struct config_pages *pages, unsigned status);
/* Is the site closed for this client? */
bool rules_is_closed(const struct config_site *site, const struct ip *client);

#endif
