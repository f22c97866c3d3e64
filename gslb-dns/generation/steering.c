/* SPDX-License-Identifier: BSD-2-Clause */
/* The GeoIP database, compiled once for each distinct set of regions and policy, and not again
 * while all of that stays as it is. */
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

/* One steering for each set of services that are steered alike, not compiled yet. Tells for each
 * service which one is its own. */
static struct shared_steering *plan_steering(const struct config *c, size_t *item_of)
{
    struct shared_steering *x = base_zalloc(1, sizeof(*x));
    const struct config_service **first = base_zalloc(c->n_services, sizeof(first[0]));

    x->refs = 1;
    x->items = base_zalloc(c->n_services, sizeof(x->items[0]));
    for (size_t i = 0; i < c->n_services; i++) {
        const struct config_service *s = &c->services[i];
        size_t k = 0;

        while (k < x->n && !is_steered_alike(first[k], s))
            k++;
        if (k == x->n) {
            first[x->n] = s;
            x->items[x->n++].steer = make_steer_map(c, s);
        }
        item_of[i] = k;
    }
    free(first);
    return x;
}

static void release(struct shared_steering *x)
{
    if (x == NULL || atomic_fetch_sub(&x->refs, 1) > 1)
        return;
    for (size_t i = 0; i < x->n; i++) {
        if (x->items[i].map != NULL)
            geo_map_free(x->items[i].map);
        steer_map_free(x->items[i].steer);
    }
    free(x->items);
    free(x->geo_text);
    geo_close(x->geo);
    free(x);
}

static bool is_same_database(const struct shared_steering *x, const struct config *c)
{
    if (x->geo == NULL || c->n_geo_paths == 0)
        return x->geo == NULL && c->n_geo_paths == 0;
    return geo_is_unchanged(x->geo, c->geo_paths, c->n_geo_paths);
}

/* Whether all that would be compiled has been. */
static bool is_compiled(const struct shared_steering *x, const struct shared_steering *plan)
{
    if (x->n != plan->n)
        return false;
    for (size_t i = 0; i < x->n; i++)
        if (!steer_map_is_alike(x->items[i].steer, plan->items[i].steer))
            return false;
    return true;
}

static struct outcome compile(const struct geo_db *db, struct steering *x, struct errors *errors)
{
    struct geo_plan plan = {.classify = steer_classify, .arg = x->steer};
    struct progress progress; /* geo_compile starts and ends it */

    if (!steer_map_policy(x->steer)->is_by_location)
        return OUTCOME_OK;
    x->map = geo_compile(db, &plan, &progress, errors);
    return x->map != NULL ? OUTCOME_OK : OUTCOME_FAILED;
}

bool generation_has_family(const struct config *c, const struct config_service *s, uint8_t family)
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

/* "geo.mmdb (GeoLite2-City), built …; 12034 IPv4 and 4402 IPv6 prefixes in 1.2 MiB, compiled in
 * 140 ms"; services of other regions have prefixes of their own, which are added up. */
static char *describe(const struct shared_steering *x)
{
    struct text t = {0};
    struct geo_map_stats sum = {0};
    char *databases, size[TEXT_SHORT];
    unsigned n_maps = 0;

    if (x->geo == NULL)
        return base_strdup("none: no location is known");
    databases = geo_describe(x->geo);
    text_adds(&t, databases);
    free(databases);
    for (size_t i = 0; i < x->n; i++) {
        struct geo_map_stats stats;

        if (x->items[i].map == NULL)
            continue;
        stats = geo_map_get_stats(x->items[i].map);
        n_maps++;
        sum.leaves_v4 += stats.leaves_v4;
        sum.leaves_v6 += stats.leaves_v6;
        sum.bytes += stats.bytes;
        sum.compile_ms += stats.compile_ms;
    }
    if (n_maps == 0)
        return t.p;
    text_adds(&t, "; ");
    if (n_maps > 1)
        text_addf(&t, "%u maps: ", n_maps);
    text_addf(&t, "%u IPv4 and %u IPv6 prefixes in %s, compiled in %.0f ms", sum.leaves_v4,
              sum.leaves_v6, text_format_bytes(sum.bytes, size), sum.compile_ms);
    return t.p;
}

static struct outcome compile_all(const struct config *c, struct shared_steering *x,
                                  struct errors *errors)
{
    struct outcome outcome = OUTCOME_OK;

    if (c->n_geo_paths > 0) {
        x->geo = geo_open(c->geo_paths, c->n_geo_paths, errors, c->geo_place);
        if (x->geo == NULL)
            return OUTCOME_FAILED;
    }
    for (size_t i = 0; i < x->n; i++)
        if (has_failed(compile(x->geo, &x->items[i], errors)))
            outcome = OUTCOME_FAILED;
    x->geo_text = describe(x);
    if (x->geo != NULL)
        geo_rest(x->geo);
    return outcome;
}

static struct world_service service_of(const struct config *c, const struct config_service *s,
                                       const struct steering *x)
{
    return (struct world_service){
        .steer = x->steer,
        .map = x->map,
        .ttl_s = s->ttl_s,
        .max_addresses = (uint16_t)s->max_addresses,
        .has_a = generation_has_family(c, s, 4),
        .has_aaaa = generation_has_family(c, s, 6),
    };
}

struct outcome generation_load_steering(struct generation *g, const struct generation *previous,
                                        struct errors *errors)
{
    const struct config *c = g->config;
    size_t *item_of = base_zalloc(c->n_services, sizeof(item_of[0]));
    struct shared_steering *plan = plan_steering(c, item_of);
    struct outcome outcome = OUTCOME_OK;

    if (previous != NULL && (previous->config == c || (is_same_database(previous->steering, c) &&
                                                       is_compiled(previous->steering, plan)))) {
        release(plan);
        g->steering = previous->steering;
        atomic_fetch_add(&g->steering->refs, 1);
    } else {
        g->steering = plan;
        outcome = compile_all(c, plan, errors);
    }
    g->services = base_zalloc(c->n_services, sizeof(g->services[0]));
    for (size_t i = 0; i < c->n_services; i++)
        g->services[i] = service_of(c, &c->services[i], &g->steering->items[item_of[i]]);
    free(item_of);
    return outcome;
}

void generation_free_steering(struct generation *g)
{
    release(g->steering);
    free(g->services);
}
