/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/generation/generation_internal.h"

#include "common/clock/clock.h"

#include <stdlib.h>

struct generation *generation_load(const char *path, const struct generation *previous,
                                   struct errors *errors)
{
    struct generation *g;
    struct config *config = config_load(path, errors);
    bool has_signers, has_zones, has_steering;

    if (config == NULL)
        return NULL;
    g = base_zalloc(1, sizeof(*g));
    g->config = config;
    /* All, so that all mistakes are told at once. */
    has_signers = !has_failed(generation_load_signers(g, clock_wall_s(), errors));
    has_zones = !has_failed(generation_load_zones(g, previous, errors));
    has_steering = !has_failed(generation_load_steering(g, previous, errors));
    if (has_signers && has_zones && has_steering)
        return g;
    generation_free(g);
    return NULL;
}

void generation_free(struct generation *g)
{
    if (g == NULL)
        return;
    generation_free_steering(g);
    generation_free_zones(g);
    generation_free_signers(g);
    config_free(g->config);
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
