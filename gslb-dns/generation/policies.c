/* SPDX-License-Identifier: BSD-2-Clause */
/* From a service's policy, as it is configured, to the tree that steer takes. */
#include "gslb-dns/generation/generation_internal.h"

#include <stdlib.h>
#include <string.h>

struct builder {
    const struct config *c;
    const struct config_service *service;
    struct arena arena;
    struct steer_node *nodes;
    size_t n, cap;
};

static uint16_t index_of(const struct config_service *s, uint32_t region)
{
    for (size_t k = 0; k < s->n_regions; k++)
        if (s->regions[k] == region)
            return (uint16_t)k;
    ensure(false); /* the configuration has made the list of what the policy names */
    return 0;
}

/* Writes a policy and all below it, a policy that stands in two places twice. */
static uint16_t add_policy(struct builder *b, uint32_t policy)
{
    const struct config_policy *p = &b->c->policies[policy];
    struct steer_branch *branches = arena_zalloc(&b->arena, p->n_branches * sizeof(branches[0]));
    size_t number = b->n;

    BASE_GROW(b->nodes, b->n, b->cap);
    b->nodes[b->n++] =
        (struct steer_node){p->name, steer_find_policy(str_of(p->type)), branches, p->n_branches};
    for (size_t i = 0; i < p->n_branches; i++) {
        const struct config_branch *from = &p->branches[i];

        branches[i] = (struct steer_branch){
            .name = from->to,
            .is_node = from->is_policy,
            .target =
                from->is_policy ? add_policy(b, from->target) : index_of(b->service, from->target),
            .bias_km = from->bias_km,
            .weight = from->weight,
            .countries = from->countries,
            .continents = from->continents,
            .networks = from->networks,
            .n_networks = from->n_networks,
        };
    }
    return (uint16_t)number;
}

/* A policy without a tree of its own: all regions, in the service's order. */
static void add_type(struct builder *b)
{
    const struct config_service *s = b->service;
    struct steer_branch *branches = arena_zalloc(&b->arena, s->n_regions * sizeof(branches[0]));

    for (size_t k = 0; k < s->n_regions; k++)
        branches[k] = (struct steer_branch){
            .name = b->c->regions[s->regions[k]].name, .target = (uint16_t)k, .weight = 1};
    BASE_GROW(b->nodes, b->n, b->cap);
    b->nodes[b->n++] = (struct steer_node){s->policy, steer_find_policy(str_of(s->policy)),
                                           branches, s->n_regions};
}

/* The site's region order, told in the service's own indices. */
static void order_regions(const struct config *c, const struct config_service *s, uint16_t *out)
{
    uint16_t *index = base_alloc(c->n_regions * sizeof(index[0]));
    size_t n = 0;

    memset(index, 0xff, c->n_regions * sizeof(index[0]));
    for (size_t k = 0; k < s->n_regions; k++)
        index[s->regions[k]] = (uint16_t)k;
    for (size_t i = 0; i < c->n_regions; i++)
        if (index[c->region_order[i]] != STEER_NONE)
            out[n++] = index[c->region_order[i]];
    ensure(n == s->n_regions);
    free(index);
}

struct steer_map *generation_make_steer_map(const struct config *c, const struct config_service *s)
{
    struct steer_region *regions = base_zalloc(s->n_regions, sizeof(regions[0]));
    uint16_t *order = base_zalloc(s->n_regions, sizeof(order[0]));
    struct builder b = {.c = c, .service = s};
    struct steer_map *map;

    for (size_t k = 0; k < s->n_regions; k++)
        regions[k] = (struct steer_region){c->regions[s->regions[k]].latitude,
                                           c->regions[s->regions[k]].longitude};
    order_regions(c, s, order);
    arena_init(&b.arena, 4096);
    if (s->own_policy != CONFIG_NO_POLICY)
        add_policy(&b, s->own_policy);
    else
        add_type(&b);
    map = steer_map_new_tree(&(struct steer_tree){b.nodes, b.n}, regions, s->n_regions, order);
    arena_free(&b.arena);
    free(b.nodes);
    free(regions);
    free(order);
    return map;
}
