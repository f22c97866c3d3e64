/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/steer/steer_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A sort key: the chord in steps of a fifth of a micrometre above, the place in the default order
 * below. So equals fall into that order, and what is equal by symmetry is not torn apart by the
 * last bits of a cosine. With a bias the arc takes the chord's place, since only that adds up. */
#define PLACE_BITS 16
#define STEPS_PER_RADIUS ((double)((uint64_t)1 << 45))
#define BIAS_MAX_KM 20000.0 /* the configuration has it so */

static double arc_of(double chord, double bias_km)
{
    double arc = 2 * asin(fmin(chord / 2, 1));

    return arc + (bias_km + BIAS_MAX_KM) / STEER_EARTH_RADIUS_KM;
}

/* An arc with a bias of up to 20000 km is below 9.5 radii: 4 bits more than a radius has. */
#define ARC_STEPS_PER_RADIUS ((double)((uint64_t)1 << 44))

static void make_keys(const struct steer_writer *w, const struct steer_tree_node *n)
{
    struct steer_point client = steer_point_of(w->where->latitude, w->where->longitude);

    for (size_t place = 0; place < n->n; place++) {
        const struct steer_tree_branch *b = &w->map->branches[n->order[place]];
        double chord = steer_chord(&client, &w->map->points[b->target]);
        double steps = n->has_bias ? arc_of(chord, b->bias_km) * ARC_STEPS_PER_RADIUS
                                   : chord * STEPS_PER_RADIUS;

        w->keys[place] = (uint64_t)(steps + 0.5) << PLACE_BITS | place;
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

static void sort_keys(uint64_t *keys, size_t n)
{
    if (n <= 24)
        sort_by_insertion(keys, n);
    else if (n <= 8 * BUCKETS)
        sort_by_buckets(keys, keys + n, n);
    else
        qsort(keys, n, sizeof(*keys), compare_keys);
}

static void write_nearest(struct steer_writer *w, size_t node)
{
    const struct steer_tree_node *n = &w->map->nodes[node];
    bool is_located = w->where != NULL && w->where->has_coordinates;

    if (is_located) {
        make_keys(w, n);
        sort_keys(w->keys, n->n);
    }
    for (size_t i = 0; i < n->n; i++) {
        size_t place = is_located ? w->keys[i] & ((1u << PLACE_BITS) - 1) : i;

        steer_write_branch(w, n->order[place]);
    }
}

const struct steer_policy steer_nearest = {
    .name = "nearest",
    .summary = "the region with the shortest great-circle distance from the client",
    .is_by_location = true,
    .write = write_nearest,
};
