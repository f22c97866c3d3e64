/* SPDX-License-Identifier: BSD-2-Clause */
/* The GeoIP database, compiled once for each distinct set of regions and policy, and not again
 * while all of that stays as it is. */
#include "gslb-dns/generation/generation_internal.h"

#include <stdlib.h>
#include <string.h>

static bool is_steered_alike(const struct config_service *a, const struct config_service *b)
{
    return strcmp(a->policy, b->policy) == 0 && a->own_policy == b->own_policy &&
           a->n_regions == b->n_regions &&
           memcmp(a->regions, b->regions, a->n_regions * sizeof(a->regions[0])) == 0;
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
            x->items[x->n++].steer = generation_make_steer_map(c, s);
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
    generation_stop_keeping(x->keeper);
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

static bool is_by_location(const struct steering *x)
{
    return steer_is_by_location(x->steer);
}

static struct outcome compile(const struct geo_places *places, struct steering *x,
                              struct errors *errors)
{
    struct geo_plan plan = {
        .classify = steer_classify, .arg = x->steer, .classify_within = steer_classify_within};
    struct progress progress; /* geo_compile starts and ends it */

    if (!is_by_location(x))
        return OUTCOME_OK;
    plan.overrides = steer_overrides(x->steer, &plan.n_overrides);
    x->map = geo_compile(places, &plan, &progress, errors);
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

/* "; 12034 IPv4 and 4402 IPv6 prefixes in 1.2 MiB, read in 400 ms, compiled in 140 ms"; services of
 * other regions have prefixes of their own, which are added up. */
static void describe_maps(const struct shared_steering *x, const char *from, double read_ms,
                          struct text *out)
{
    struct geo_map_stats sum = {0};
    char size[TEXT_SHORT];
    unsigned n_maps = 0;

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
    text_adds(out, "; ");
    if (n_maps > 1)
        text_addf(out, "%u maps: ", n_maps);
    text_addf(out, "%u IPv4 and %u IPv6 prefixes in %s, read%s in %.0f ms, compiled in %.0f ms",
              sum.leaves_v4, sum.leaves_v6, text_format_bytes(sum.bytes, size), from, read_ms,
              sum.compile_ms);
}

/* A policy that asks where clients are wants all places; for the others it is enough that the
 * database could be used. */
static struct outcome compile_places(const struct config *c, struct shared_steering *x,
                                     struct geo_places **places, bool *is_from_cache,
                                     struct errors *errors)
{
    struct outcome outcome = OUTCOME_OK;
    struct text t = {0};
    bool is_wanted = false;

    for (size_t i = 0; i < x->n; i++)
        is_wanted |= is_by_location(&x->items[i]);
    if (!is_wanted && has_failed(geo_read(x->geo, errors, c->geo_place)))
        return OUTCOME_FAILED;
    if (!is_wanted) {
        x->geo_text = geo_describe(x->geo);
        return OUTCOME_OK;
    }
    *places = generation_load_places(c, x->geo, is_from_cache, errors);
    if (*places == NULL)
        return OUTCOME_FAILED;
    for (size_t i = 0; i < x->n; i++)
        if (has_failed(compile(*places, &x->items[i], errors)))
            outcome = OUTCOME_FAILED;
    text_adds(&t, geo_places_text(*places));
    describe_maps(x, *is_from_cache ? " from the cache" : "", geo_places_read_ms(*places), &t);
    x->geo_text = t.p;
    return outcome;
}

static struct outcome compile_nowhere(struct shared_steering *x, struct errors *errors)
{
    x->geo_text = base_strdup("none: no location is known");
    for (size_t i = 0; i < x->n; i++)
        if (has_failed(compile(NULL, &x->items[i], errors)))
            return OUTCOME_FAILED;
    return OUTCOME_OK;
}

static struct outcome compile_all(const struct config *c, struct shared_steering *x, bool is_trial,
                                  struct errors *errors)
{
    struct geo_places *places = NULL;
    bool is_from_cache = false;
    struct outcome outcome;

    if (c->n_geo_paths == 0)
        return compile_nowhere(x, errors);
    x->geo = geo_open_resting(c->geo_paths, c->n_geo_paths, errors, c->geo_place);
    if (x->geo == NULL)
        return OUTCOME_FAILED;
    outcome = compile_places(c, x, &places, &is_from_cache, errors);
    geo_rest(x->geo);
    if (places != NULL && c->geo_cache_path != NULL && !is_from_cache && !is_trial)
        x->keeper = generation_keep_places(c, places);
    else
        geo_places_free(places);
    return outcome;
}

static struct world_service service_of(const struct config *c, const struct config_service *s,
                                       const struct steering *x)
{
    return (struct world_service){
        .steer = x->steer,
        .map = x->map,
        .is_drawn = steer_is_drawn(x->steer),
        .ttl_s = s->ttl_s,
        .max_addresses = (uint8_t)s->max_addresses,
        .has_a = generation_has_family(c, s, 4),
        .has_aaaa = generation_has_family(c, s, 6),
    };
}

struct outcome generation_load_steering(struct generation *g, const struct generation_wish *wish,
                                        const struct generation *previous, struct errors *errors)
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
        outcome = compile_all(c, plan, wish->is_trial, errors);
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
