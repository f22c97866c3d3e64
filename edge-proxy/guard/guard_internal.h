/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of guard share. */
#ifndef EDGE_PROXY_GUARD_INTERNAL_H
#define EDGE_PROXY_GUARD_INTERNAL_H

#include "edge-proxy/guard/guard.h"

#include "common/buckets/buckets.h"

/* ---- networks.c: is an address in one of very many prefixes? ---- */

/* Disjoint ranges in the order of their addresses. Zero: empty. */
struct networks {
    struct network {
        uint8_t first[16], last[16];
    } * v4, *v6;
    size_t n_v4, n_v6;
};
void networks_build(struct networks *out, const struct prefix *prefixes, size_t n);
void networks_free(struct networks *s);
bool networks_have(const struct networks *s, const struct ip *ip);

/* ---- census.c: how many connections each client has open ---- */

struct census;
struct census *census_new(void);
void census_free(struct census *c);
/* One more of client, unless it has `most` already (0: any number). */
bool census_enter(struct census *c, uint64_t client, uint32_t most);
void census_leave(struct census *c, uint64_t client);

/* ---- load.c: how far loops lag behind ---- */

struct load;
struct load *load_new(unsigned n_workers);
void load_free(struct load *l);
/* Turns away a part of the new connections, by the load: shall this one be? */
bool load_refuses(struct load *l, const struct worker *w, bool is_tls);

struct guard {
    struct buckets *rates, *scores;
    struct census *census;
    struct load *load;
};

#endif
