/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GSLB_DNS_STEER_INTERNAL_H
#define GSLB_DNS_STEER_INTERNAL_H

#include "gslb-dns/steer/steer.h"

#define STEER_EARTH_RADIUS_KM 6371.0088 /* the mean of its three axes (IUGG) */

/* A list is made of words. Below STEER_REGIONS_MAX: a region. From there on: a group, which is this
 * word, the number of words that follow the second one, and its branches: each the branch's number
 * in the map, the number of its words, and these. */
enum {
    STEER_GROUP = 0xfff0,
    STEER_GROUP_ROTATING = 1,
    STEER_GROUP_EQUAL = 2, /* all weights are equal */
    STEER_GROUP_HEAD = 2,
    STEER_NO_RULE = 0xffff,
};

/* A point on the unit sphere. */
struct steer_point {
    double x, y, z;
};

struct steer_tree_branch {
    char *name;
    bool is_node;
    uint16_t target;
    uint32_t weight;
    double bias_km;
    char *countries, *continents;
    bool is_default;
    uint64_t salt; /* what the name is to draws */
};

struct steer_tree_node {
    char *name;
    const struct steer_policy *policy;
    uint32_t first, n;   /* its branches */
    uint16_t geo_number; /* among the nodes of policy geo */
    bool has_bias;
    uint32_t *order; /* nearest: its branches in the default order of their regions */
};

struct steer_map {
    /* Lists lie one after the other in order of class, stride elements each, short ones filled up
     * with a region that they have; one byte per element as long as all indices fit, which halves
     * what the hot path touches. */
    size_t stride;
    bool is_wide;
    uint32_t n_classes, classes_cap;
    union {
        uint8_t *narrow;
        uint16_t *wide;
        void *lists;
    };

    size_t n;
    struct steer_region *regions;
    struct steer_point *points; /* of regions */
    uint16_t *default_order;    /* place to region */
    uint64_t *keys;             /* room for two of each branch, for a policy to sort in */
    uint16_t *list;             /* room for stride words, the list under construction */

    struct steer_tree_node *nodes;
    size_t n_nodes;
    struct steer_tree_branch *branches;
    size_t n_branches;
    bool is_by_location, is_drawn, is_rotating;

    /* Networks, each with a context: which rule of each geo node it falls to, if any. Context 0 is
     * outside of all. */
    struct geo_override *overrides; /* sorted by address, then by length */
    size_t n_overrides;
    uint16_t *contexts; /* n_geo each: the branch within the node, or STEER_NO_RULE */
    size_t n_contexts, contexts_cap, n_geo;

    uint32_t *by_hash; /* class + 1, 0: empty; n_slots is a power of 2 */
    uint32_t n_slots;
};

/* A list that is being written. */
struct steer_writer {
    const struct steer_map *map;
    const struct geo_location *where;
    uint32_t context;
    uint64_t *keys; /* as in the map */
    uint16_t *list;
    size_t n;
};

/* Writes a branch by its number in the map: a region, or what its node writes. */
void steer_write_branch(struct steer_writer *w, uint32_t branch);
/* The branch that a geo node has for the writer's client, by its number in the map, and in words
 * why. */
uint32_t steer_geo_branch(const struct steer_writer *w, size_t node, const char **why);
/* The branch of a group that is drawn, NULL: none has a usable region. */
const uint16_t *steer_draw_branch(const struct steer_map *map, const uint16_t *group,
                                  const uint64_t *usable, const struct steer_draw *draw);
/* The first region of a list that is to be taken. */
uint16_t steer_pick_in(const struct steer_map *map, const uint16_t *at, const uint16_t *end,
                       const uint64_t *usable, const struct steer_draw *draw, bool *has_drawn);

/* Fills what the map has of the tree; its regions and their order are there. */
void steer_tree_copy(struct steer_map *map, const struct steer_tree *tree);
void steer_tree_free(struct steer_map *map);
bool steer_tree_is_alike(const struct steer_map *a, const struct steer_map *b);
/* How long a list can be. */
size_t steer_tree_bound(const struct steer_map *map, size_t node);
/* The context of an address. */
uint32_t steer_find_context(const struct steer_map *map, const struct ip *client);

struct steer_point steer_point_of(double latitude, double longitude);
/* The straight line through the sphere between two points, in radii: orders as distance does. */
double steer_chord(const struct steer_point *a, const struct steer_point *b);

static inline bool steer_is_usable(const uint64_t *usable, uint16_t region)
{
    return usable[region / 64] >> region % 64 & 1;
}

#endif
