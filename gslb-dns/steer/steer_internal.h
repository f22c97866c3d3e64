/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GSLB_DNS_STEER_INTERNAL_H
#define GSLB_DNS_STEER_INTERNAL_H

#include "gslb-dns/steer/steer.h"

/* A point on the unit sphere. */
struct steer_point {
    double x, y, z;
};

struct steer_map {
    const struct steer_policy *policy;
    size_t n;
    struct steer_region *regions;
    struct steer_point *points; /* of regions */
    uint16_t *default_order;    /* place to region */
    uint64_t *keys;             /* room for 2 n, for a policy to sort in */
    uint16_t *ranked;           /* room for n, the list under construction */

    /* Lists lie one after the other in order of class, n elements each; one byte per element as
     * long as all indices fit, which halves what the hot path touches. */
    bool is_wide;
    uint32_t n_classes, classes_cap;
    union {
        uint8_t *narrow;
        uint16_t *wide;
        void *lists;
    };
    uint32_t *by_hash; /* class + 1, 0: empty; n_slots is a power of 2 */
    uint32_t n_slots;
};

struct steer_point steer_point_of(double latitude, double longitude);
/* The straight line through the sphere between two points, in radii: orders as distance does. */
double steer_chord(const struct steer_point *a, const struct steer_point *b);

#endif
