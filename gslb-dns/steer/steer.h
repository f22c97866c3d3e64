/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * steer: from where a client is and which regions can serve, to one region.
 *
 * At load a steer_map ranks all regions for each location that geo's compiler shows it and keeps
 * each distinct ranked list once; a list's number is the location class that geo_find returns.
 * A query then takes the first usable region of its class's list. Lists are full, so that the
 * nearest healthy region is found exactly, whatever is down. `gslbctl explain` runs the same
 * ranking and prints its distances.
 *
 * Place: below world, beside geo_find on the DNS path. Pure: no I/O, no globals, no clock.
 * Lifetime: a map belongs to one generation; it grows only while geo_compile calls it, and does not
 * change after. Threads: one while it grows, any number then.
 */
#ifndef GSLB_DNS_STEER_H
#define GSLB_DNS_STEER_H

#include "common/base/base.h"
#include "common/text/text.h"
#include "gslb-dns/geo/geo.h"

#define STEER_NONE UINT16_MAX
#define STEER_REGIONS_MAX 65535
/* The words of a bitmap with one bit for each of n regions: bit i % 64 of word i / 64. */
#define STEER_BITMAP_WORDS(n) (((size_t)(n) + 63) / 64)

struct steer_region {
    double latitude, longitude; /* degrees, north and east positive */
};

struct steer_map;

/* How regions are ranked for a client; one record per policy, each in a file of its own. */
struct steer_policy {
    const char *name;    /* as the configuration writes it */
    const char *summary; /* one line for its manual */
    bool is_by_location; /* false: all clients get class 0; answer with scope 0, skip geo_find */
    /* Writes each region's index once into ranked, best first. where may be NULL or without
     * coordinates. Equal regions keep the default order. */
    void (*rank)(const struct steer_map *map, const struct geo_location *where, uint16_t *ranked);
};
extern const struct steer_policy steer_nearest;           /* by great-circle distance */
extern const struct steer_policy steer_failover;          /* the default order, for everybody */
extern const struct steer_policy *const steer_policies[]; /* ends with NULL */
/* NULL: no policy has this name. */
const struct steer_policy *steer_find_policy(struct str name);

/* A map over n regions (1 to STEER_REGIONS_MAX, copied). default_order: n region indices, each
 * once, for clients without a location and among equals; NULL: 0 to n - 1. Class 0 is that order
 * and exists from the start. */
struct steer_map *steer_map_new(const struct steer_policy *policy,
                                const struct steer_region *regions, size_t n,
                                const uint16_t *default_order);
void steer_map_free(struct steer_map *map);
/* Do both rank the same regions by the same policy, so that their classes mean the same for the
 * same database? */
bool steer_map_is_alike(const struct steer_map *a, const struct steer_map *b);

/* The class of clients at this place (NULL: unknown), added when it is new. Its type is that of
 * geo_plan.classify, with the map as arg. */
uint32_t steer_classify(void *map, const struct geo_location *where);

/* The best of the usable regions for a class, STEER_NONE when none is. usable has
 * STEER_BITMAP_WORDS(n) words, bits from n on zero. Hot path. */
uint16_t steer_pick(const struct steer_map *map, uint32_t class_id, const uint64_t *usable);
/* The region at a place (from 0) of a class's ranked list. */
uint16_t steer_ranked_at(const struct steer_map *map, uint32_t class_id, size_t place);

size_t steer_region_count(const struct steer_map *map);
uint32_t steer_class_count(const struct steer_map *map);
size_t steer_map_bytes(const struct steer_map *map);
const struct steer_policy *steer_map_policy(const struct steer_map *map);

/* For explain: all regions as the policy ranks them for this client. */
struct steer_choice {
    uint16_t region;
    double distance_km; /* NaN: the client has no location, or the policy does not ask */
};
/* out has room for steer_region_count() choices. */
void steer_explain(const struct steer_map *map, const struct geo_location *where,
                   struct steer_choice *out);

/* Great-circle distance on a sphere of the Earth's mean radius (6371.0088 km); to a millimetre for
 * near and for opposite points alike. */
double steer_distance_km(double latitude_a, double longitude_a, double latitude_b,
                         double longitude_b);

#endif
