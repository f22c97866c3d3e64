/* SPDX-License-Identifier: BSD-2-Clause */
/* The GeoIP database, compiled once for each distinct set of regions and policy. */
#include "gslb-dns/generation/generation_internal.h"

#include <stdlib.h>
#include <string.h>

static bool is_steered_alike(const struct config_service *a, const struct config_service *b)
{
    return strcmp(a->policy, b->policy) == 0 && a->n_regions == b->n_regions &&
           memcmp(a->regions, b->regions, a->n_regions * sizeof(a->regions[0])) == 0;
}

/* The site's region order, told in the service's own indices. */
static void order_regions(const struct config *c, const struct config_service *s, uint16_t *out)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_regions; i++)
        for (size_t k = 0; k < s->n_regions; k++)
            if (s->regions[k] == c->region_order[i])
                out[n++] = (uint16_t)k;
    ensure(n == s->n_regions);
}

static struct steer_map *make_steer_map(const struct config *c, const struct config_service *s)
{
    const struct steer_policy *policy = steer_find_policy(str_of(s->policy));
    struct steer_region *regions = base_zalloc(s->n_regions, sizeof(regions[0]));
    uint16_t *order = base_zalloc(s->n_regions, sizeof(order[0]));
    struct steer_map *map;

    ensure(policy != NULL); /* the configuration has checked it */
    for (size_t k = 0; k < s->n_regions; k++)
        regions[k] = (struct steer_region){c->regions[s->regions[k]].latitude,
                                           c->regions[s->regions[k]].longitude};
    order_regions(c, s, order);
    /* A policy that does not ask where a client is follows the order that the service gives. */
    map = steer_map_new(policy, regions, s->n_regions, policy->is_by_location ? order : NULL);
    free(regions);
    free(order);
    return map;
}

static struct outcome compile(struct generation *g, struct steering *x, struct errors *errors)
{
    struct geo_plan plan = {.classify = steer_classify, .arg = x->steer};
    struct progress progress; /* geo_compile starts and ends it */

    if (!steer_map_policy(x->steer)->is_by_location)
        return OUTCOME_OK;
    x->map = geo_compile(g->geo, &plan, &progress, errors);
    return x->map != NULL ? OUTCOME_OK : OUTCOME_FAILED;
}

static struct steering *find_steering(struct generation *g, const struct config_service *s)
{
    for (size_t i = 0; i < g->n_steerings; i++)
        if (is_steered_alike(g->steerings[i].first, s))
            return &g->steerings[i];
    return NULL;
}

static bool has_family(const struct config *c, const struct config_service *s, uint8_t family)
{
    for (size_t k = 0; k < s->n_regions; k++) {
        const struct config_region *r = &c->regions[s->regions[k]];

        for (size_t e = 0; e < r->n_edges; e++)
            for (size_t a = 0; a < c->edges[r->first_edge + e].n_addresses; a++)
                if (c->edges[r->first_edge + e].addresses[a].family == family)
                    return true;
    }
    for (size_t a = 0; a < s->n_fallback; a++)
        if (s->all_down == CONFIG_FALLBACK && s->fallback[a].family == family)
            return true;
    return false;
}

static struct outcome make_service(struct generation *g, size_t i, struct errors *errors)
{
    const struct config_service *s = &g->config->services[i];
    struct steering *x = find_steering(g, s);
    struct outcome outcome = OUTCOME_OK;

    if (x == NULL) {
        x = &g->steerings[g->n_steerings++];
        *x = (struct steering){.first = s, .steer = make_steer_map(g->config, s)};
        outcome = compile(g, x, errors);
    }
    g->services[i] = (struct world_service){
        .steer = x->steer,
        .map = x->map,
        .ttl_s = s->ttl_s,
        .max_addresses = (uint16_t)s->max_addresses,
        .has_a = has_family(g->config, s, 4),
        .has_aaaa = has_family(g->config, s, 6),
    };
    return outcome;
}

/* "GeoLite2-City, built …; 12034 IPv4 and 4402 IPv6 prefixes, 1.2 MiB, compiled in 140 ms" */
static char *describe(const struct generation *g)
{
    struct text t = {0};
    char *databases = geo_describe(g->geo), size[TEXT_SHORT];

    text_adds(&t, databases);
    free(databases);
    for (size_t i = 0; i < g->n_steerings; i++) {
        struct geo_map_stats stats;

        if (g->steerings[i].map == NULL)
            continue;
        stats = geo_map_get_stats(g->steerings[i].map);
        text_addf(&t, "; %u IPv4 and %u IPv6 prefixes in %s, compiled in %.0f ms", stats.leaves_v4,
                  stats.leaves_v6, text_format_bytes(stats.bytes, size), stats.compile_ms);
    }
    return t.p;
}

struct outcome generation_load_steering(struct generation *g, struct errors *errors)
{
    const struct config *c = g->config;
    struct outcome outcome = OUTCOME_OK;

    if (c->n_geo_paths > 0) {
        g->geo = geo_open(c->geo_paths, c->n_geo_paths, errors, c->geo_place);
        if (g->geo == NULL)
            return OUTCOME_FAILED;
    }
    g->services = base_zalloc(c->n_services, sizeof(g->services[0]));
    g->steerings = base_zalloc(c->n_services, sizeof(g->steerings[0]));
    for (size_t i = 0; i < c->n_services; i++)
        if (has_failed(make_service(g, i, errors)))
            outcome = OUTCOME_FAILED;
    g->geo_text = g->geo != NULL ? describe(g) : base_strdup("none: no location is known");
    if (g->geo != NULL)
        geo_rest(g->geo);
    return outcome;
}

void generation_free_steering(struct generation *g)
{
    for (size_t i = 0; i < g->n_steerings; i++) {
        if (g->steerings[i].map != NULL)
            geo_map_free(g->steerings[i].map);
        steer_map_free(g->steerings[i].steer);
    }
    free(g->steerings);
    free(g->services);
    free(g->geo_text);
    if (g->geo != NULL)
        geo_close(g->geo);
}
