/* SPDX-License-Identifier: BSD-2-Clause */
/* Which steered name lies in which zone, and loading those zones that have changed. */
#include "gslb-dns/generation/generation_internal.h"

#include <stdlib.h>
#include <string.h>

/* For each service, the zone that it lies in by longest match; SIZE_MAX: none, which is said. */
static size_t find_home(const struct wire_name *service, const struct wire_name *zones, size_t n)
{
    size_t best = SIZE_MAX;

    for (size_t z = 0; z < n; z++)
        if (wire_name_is_below(service, &zones[z]) &&
            (best == SIZE_MAX || zones[z].n_labels > zones[best].n_labels))
            best = z;
    return best;
}

struct homes {
    struct wire_name *zones;
    struct wire_name *services;
    size_t *home; /* by service */
};

static struct outcome find_homes(const struct config *c, struct homes *out, struct errors *errors)
{
    struct outcome outcome = OUTCOME_OK;

    out->zones = base_zalloc(c->n_zones, sizeof(out->zones[0]));
    out->services = base_zalloc(c->n_services, sizeof(out->services[0]));
    out->home = base_zalloc(c->n_services, sizeof(out->home[0]));
    for (size_t z = 0; z < c->n_zones; z++)
        ensure(wire_name_parse(str_of(c->zones[z].name), &out->zones[z]));
    for (size_t s = 0; s < c->n_services; s++) {
        ensure(wire_name_parse(str_of(c->services[s].name), &out->services[s]));
        out->home[s] = find_home(&out->services[s], out->zones, c->n_zones);
        if (out->home[s] == SIZE_MAX) {
            errors_add(errors, c->services[s].place,
                       "no zone here contains the service '%s'; add its zone under zones:",
                       c->services[s].name);
            outcome = OUTCOME_FAILED;
        }
    }
    return outcome;
}

static void free_homes(struct homes *h)
{
    free(h->zones);
    free(h->services);
    free(h->home);
}

static void collect_services(const struct config *c, const struct homes *homes, size_t zone,
                             struct shared_zone *out)
{
    out->services = base_zalloc(c->n_services, sizeof(out->services[0]));
    for (size_t s = 0; s < c->n_services; s++) {
        if (homes->home[s] != zone)
            continue;
        out->services[out->n_services++] = (struct zone_service){
            .name = homes->services[s],
            .service = (uint16_t)s,
            .place = c->services[s].place,
        };
    }
}

static bool has_same_services(const struct shared_zone *a, const struct shared_zone *b)
{
    if (a->n_services != b->n_services)
        return false;
    for (size_t i = 0; i < a->n_services; i++)
        if (a->services[i].service != b->services[i].service ||
            a->services[i].name.length != b->services[i].name.length ||
            memcmp(a->services[i].name.bytes, b->services[i].name.bytes,
                   a->services[i].name.length) != 0)
            return false;
    return true;
}

/* The same zone of the previous generation, if nothing about it has changed. */
static struct shared_zone *find_unchanged(const struct generation *previous,
                                          const struct config_zone *zone,
                                          const struct shared_zone *fresh)
{
    if (previous == NULL)
        return NULL;
    for (size_t z = 0; z < previous->config->n_zones; z++) {
        const struct config_zone *old = &previous->config->zones[z];

        if (strcmp(old->name, zone->name) == 0 && strcmp(old->path, zone->path) == 0 &&
            has_same_services(previous->zones[z], fresh) &&
            zone_is_unchanged(previous->zone_array[z]))
            return previous->zones[z];
    }
    return NULL;
}

static void release_zone(struct shared_zone *z)
{
    if (z == NULL || atomic_fetch_sub(&z->refs, 1) > 1)
        return;
    zone_release(z->zone);
    free(z->services);
    free(z);
}

/* The zone as it is, or one that has yet to be loaded. */
static struct shared_zone *find_or_prepare(const struct config *c, const struct homes *homes,
                                           size_t zone, const struct generation *previous)
{
    struct shared_zone *fresh = base_zalloc(1, sizeof(*fresh)), *same;

    fresh->refs = 1;
    collect_services(c, homes, zone, fresh);
    same = find_unchanged(previous, &c->zones[zone], fresh);
    if (same == NULL)
        return fresh;
    release_zone(fresh);
    atomic_fetch_add(&same->refs, 1);
    return same;
}

/* Counts what is to be loaded. Returns what a person who waits is told: the zone's name, or how
 * many there are. */
static char *count_work(struct generation *g, uint64_t *effort)
{
    const struct config *c = g->config;
    size_t newest = 0;

    *effort = 0;
    for (size_t z = 0; z < c->n_zones; z++) {
        if (g->zones[z]->zone != NULL)
            continue;
        *effort += zone_effort(c->zones[z].path);
        newest = z;
        g->n_fresh_zones++;
    }
    return g->n_fresh_zones == 1 ? base_printf("loading the zone %s", c->zones[newest].name)
                                 : base_printf("loading %zu zones", g->n_fresh_zones);
}

static struct outcome load_fresh_zones(struct generation *g, struct errors *errors)
{
    const struct config *c = g->config;
    struct outcome outcome = OUTCOME_OK;
    struct progress progress;
    uint64_t effort;
    char *what = count_work(g, &effort);

    progress_start(&progress, what, effort);
    for (size_t z = 0; z < c->n_zones; z++) {
        struct shared_zone *shared = g->zones[z];

        if (shared->zone == NULL)
            shared->zone =
                zone_load(&(struct zone_source){c->zones[z].name, c->zones[z].path,
                                                shared->services, shared->n_services, &progress},
                          errors);
        if (shared->zone == NULL)
            outcome = OUTCOME_FAILED;
        g->zone_array[z] = shared->zone;
    }
    progress_end(&progress);
    free(what);
    return outcome;
}

struct outcome generation_load_zones(struct generation *g, const struct generation *previous,
                                     struct errors *errors)
{
    const struct config *c = g->config;
    struct homes homes;
    struct outcome outcome = find_homes(c, &homes, errors);

    g->zones = base_zalloc(c->n_zones, sizeof(struct shared_zone *));
    g->zone_array = base_zalloc(c->n_zones, sizeof(struct zone *));
    for (size_t z = 0; z < c->n_zones; z++)
        g->zones[z] = find_or_prepare(c, &homes, z, previous);
    free_homes(&homes);
    if (has_failed(load_fresh_zones(g, errors)))
        outcome = OUTCOME_FAILED;
    if (!has_failed(outcome))
        g->zone_set = zone_set_new(g->zone_array, c->n_zones);
    return outcome;
}

void generation_free_zones(struct generation *g)
{
    if (g->zone_set != NULL)
        zone_set_free(g->zone_set);
    for (size_t z = 0; g->zones != NULL && z < g->config->n_zones; z++)
        release_zone(g->zones[z]);
    free(g->zones);
    free(g->zone_array);
}
