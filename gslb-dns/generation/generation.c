/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/generation/generation_internal.h"

#include "common/clock/clock.h"

#include <stdlib.h>

/* That of the file, or the one that is there. */
static struct shared_config *find_config(const struct generation_wish *wish,
                                         const struct generation *previous, struct errors *errors)
{
    struct shared_config *shared;
    struct config *config;

    if (wish->path == NULL) {
        atomic_fetch_add(&previous->shared_config->refs, 1);
        return previous->shared_config;
    }
    config = config_load(wish->path, errors);
    if (config == NULL)
        return NULL;
    shared = base_zalloc(1, sizeof(*shared));
    shared->refs = 1;
    shared->config = config;
    return shared;
}

static void release_config(struct shared_config *shared)
{
    if (atomic_fetch_sub(&shared->refs, 1) > 1)
        return;
    config_free(shared->config);
    free(shared);
}

struct generation *generation_reload(const struct generation_wish *wish,
                                     const struct generation *previous, struct errors *errors)
{
    struct generation *g;
    struct shared_config *config = find_config(wish, previous, errors);
    bool has_signers, has_keys, has_zones, has_steering;

    if (config == NULL)
        return NULL;
    g = base_zalloc(1, sizeof(*g));
    g->shared_config = config;
    g->config = config->config;
    /* All, so that all mistakes are told at once. */
    g->signatures =
        previous != NULL ? steered_signatures_hold(previous->signatures) : steered_signatures_new();
    has_signers = !has_failed(generation_load_signers(g, wish, previous, clock_wall_s(), errors));
    has_keys = !has_failed(generation_load_tsig_keys(g, errors));
    has_zones = !has_failed(generation_load_zones(g, wish, previous, errors));
    has_steering = !has_failed(generation_load_steering(g, wish, previous, errors));
    generation_load_guard(g, previous);
    if (has_signers && has_keys && has_zones && has_steering) {
        generation_sign_steered(g);
        generation_keep_histories(g, previous);
        generation_list_zones(g);
        return g;
    }
    generation_take_faults(g, errors);
    generation_free(g);
    return NULL;
}

struct generation *generation_load(const char *path, const struct generation *previous,
                                   struct errors *errors)
{
    return generation_reload(&(struct generation_wish){.path = path}, previous, errors);
}

void generation_free(struct generation *g)
{
    if (g == NULL)
        return;
    generation_free_guard(g);
    generation_free_steering(g);
    generation_free_transfers(g);
    generation_free_histories(g);
    generation_free_zones(g);
    steered_signatures_release(g->signatures);
    generation_free_signers(g);
    release_config(g->shared_config);
    free(g);
}

const struct config *generation_config(const struct generation *g)
{
    return g->config;
}

const struct zone *generation_zone(const struct generation *g, size_t zone)
{
    return g->zone_array[zone];
}

const struct sign_signer *generation_signer(const struct generation *g, size_t zone)
{
    return g->signers[zone];
}

size_t generation_find_zone(const struct generation *g, const char *name)
{
    struct wire_name wanted, zone;

    if (!wire_name_parse(str_of(name), &wanted))
        return SIZE_MAX;
    for (size_t z = 0; z < g->config->n_zones; z++)
        if (wire_name_parse(str_of(g->config->zones[z].name), &zone) &&
            wanted.length == zone.length && wire_name_is_below(&wanted, &zone))
            return z;
    return SIZE_MAX;
}

bool generation_is_zone_read(const struct generation *g, size_t zone)
{
    return g->is_read[zone];
}

const struct errors *generation_zone_fault(const struct generation *g, size_t zone)
{
    return g->faults[zone] != NULL ? &g->faults[zone]->errors : NULL;
}

size_t generation_broken_zones(const struct generation *g)
{
    return g->n_broken_zones;
}

size_t generation_fresh_zones(const struct generation *g)
{
    return g->n_fresh_zones;
}

struct geo_db *generation_geo(const struct generation *g)
{
    return g->steering->geo;
}

const char *generation_geo_text(const struct generation *g)
{
    return g->steering->geo_text;
}
