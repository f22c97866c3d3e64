/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * steer: from where a client is and which regions can serve, to one region.
 *
 * A policy is a short tree: its leaves are regions, its inner nodes choose among their branches.
 * At load a steer_map works the tree out for each location (and operator's network) that geo's
 * compiler shows it, as far as it can be without the client: what is left is a list, best region
 * first, and each distinct list is kept once. Its number is the location class that geo_find
 * returns. A query then takes the first usable region of its class's list.
 *
 *   tree + location ──at load──▶ list of the class ──with health, and a draw──▶ region
 *
 * Lists are full, so that the nearest healthy region is found exactly, whatever is down. Where a
 * policy draws (weighted, sticky), the list holds a group in the branches' stead, and the draw is
 * made among those branches that have a usable region. `gslbctl explain` follows the same lists.
 *
 * Draws are by rendezvous hashing, so that every node draws alike and a branch that goes takes only
 * its own clients along: the branch with the least -ln(u) / weight is drawn, where
 *   u      (h >> 12) + 0.5, divided by 2^52
 *   h      mix(key ^ FNV-1a of the branch's name, 64 bits)
 *   mix    the finalizer of SplitMix64
 *   key    mix(prefix): the first 24 bits of an IPv4 address as a number, or 2^48 more than the
 *          first 48 of an IPv6 address; weighted: mix(that + window), so that who asks again in
 *          another window of time may be drawn elsewhere
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
#define STEER_REGIONS_MAX 65000
/* The words of a bitmap with one bit for each of n regions: bit i % 64 of word i / 64. */
#define STEER_BITMAP_WORDS(n) (((size_t)(n) + 63) / 64)

struct steer_region {
    double latitude, longitude; /* degrees, north and east positive */
};

struct steer_map;
struct steer_policy;

/* Where a node leads. */
struct steer_branch {
    const char *name; /* of the region or the node */
    bool is_node;
    uint16_t target; /* a region, or a later node of the tree */
    double bias_km;  /* nearest: added to the region's distance */
    uint32_t weight; /* weighted and sticky, at least 1 */
    /* geo: whom it is for. Codes of two letters one after the other ("DEATCH"); NULL: none. A
     * branch without any is the default; there is one. */
    const char *countries, *continents;
    const struct prefix *networks;
    size_t n_networks;
};

struct steer_node {
    const char *name;
    const struct steer_policy *policy;
    const struct steer_branch *branches; /* of nearest, all regions */
    size_t n;
};

/* nodes[0] is the root; branches lead to later nodes only, so that there are no cycles. */
struct steer_tree {
    const struct steer_node *nodes;
    size_t n;
};

/* How a node chooses; one record per policy. */
struct steer_writer;
struct steer_policy {
    const char *name;           /* as the configuration writes it */
    const char *summary;        /* one line for its manual */
    bool is_by_location;        /* the choice depends on where the client is */
    bool is_drawn, is_rotating; /* by a draw; by another one in each window */
    /* Writes the node's regions, best first; where may be NULL or without coordinates. Equal
     * regions keep the default order. */
    void (*write)(struct steer_writer *w, size_t node);
};
extern const struct steer_policy steer_nearest;           /* by great-circle distance */
extern const struct steer_policy steer_failover;          /* the order of its branches */
extern const struct steer_policy steer_geo;               /* by network, country, continent */
extern const struct steer_policy steer_weighted;          /* drawn anew in each window */
extern const struct steer_policy steer_sticky;            /* drawn by the client's prefix alone */
extern const struct steer_policy *const steer_policies[]; /* ends with NULL */
/* NULL: no policy has this name. */
const struct steer_policy *steer_find_policy(struct str name);

/* A map over n regions (1 to STEER_REGIONS_MAX); all is copied. default_order: n region indices,
 * each once, for clients without a location and among equals; NULL: 0 to n - 1. Class 0 is that of
 * clients without a location, and exists from the start. */
struct steer_map *steer_map_new_tree(const struct steer_tree *tree,
                                     const struct steer_region *regions, size_t n,
                                     const uint16_t *default_order);
/* The same for a tree of one node, which has all regions in the default order. */
struct steer_map *steer_map_new(const struct steer_policy *policy,
                                const struct steer_region *regions, size_t n,
                                const uint16_t *default_order);
void steer_map_free(struct steer_map *map);
/* Do both steer the same regions by the same tree, so that their classes mean the same for the
 * same database? */
bool steer_map_is_alike(const struct steer_map *a, const struct steer_map *b);

/* The class of clients at this place (NULL: unknown), added when it is new. Its type is that of
 * geo_plan.classify, with the map as arg. */
uint32_t steer_classify(void *map, const struct geo_location *where);
/* The same inside networks that the tree names: geo_plan.classify_within, for what
 * steer_overrides tells. */
uint32_t steer_classify_within(void *map, const struct geo_location *where, uint32_t context);
/* All networks that the tree names, each with the number of what it decides; for geo_plan. */
const struct geo_override *steer_overrides(const struct steer_map *map, size_t *n);

/* Who draws. */
struct steer_draw {
    uint64_t prefix; /* steer_draw_prefix() */
    uint64_t window; /* of time: wall clock in seconds by the service's TTL, rounded down */
};
enum { STEER_DRAW_BITS_V4 = 24, STEER_DRAW_BITS_V6 = 48 };
/* client NULL: an address that may not be used. */
uint64_t steer_draw_prefix(const struct ip *client);

/* The best of the usable regions for a class, STEER_NONE when none is. usable has
 * STEER_BITMAP_WORDS(n) words, bits from n on zero. For maps that draw nothing. Hot path. */
uint16_t steer_pick(const struct steer_map *map, uint32_t class_id, const uint64_t *usable);
/* The same for any map. has_drawn: the client's prefix had a say. */
uint16_t steer_pick_drawn(const struct steer_map *map, uint32_t class_id, const uint64_t *usable,
                          const struct steer_draw *draw, bool *has_drawn);
/* The region at a place (from 0) of a class's list; of maps that draw nothing. */
uint16_t steer_ranked_at(const struct steer_map *map, uint32_t class_id, size_t place);

/* false: all clients get class 0; answer with scope 0, skip geo_find. */
bool steer_is_by_location(const struct steer_map *map);
bool steer_is_drawn(const struct steer_map *map);
bool steer_is_rotating(const struct steer_map *map);
size_t steer_region_count(const struct steer_map *map);
uint32_t steer_class_count(const struct steer_map *map);
size_t steer_map_bytes(const struct steer_map *map);

/* For explain: the regions of a class, each once, in the order in which they would be taken; those
 * of a group in the order of the tree. Returns how many. */
struct steer_choice {
    uint16_t region;
    double distance_km; /* NaN: the client has no location, or the tree does not ask */
};
/* out has room for steer_region_count() choices. where: of the client, or NULL. */
size_t steer_explain(const struct steer_map *map, uint32_t class_id,
                     const struct geo_location *where, struct steer_choice *out);
/* For explain: what each node on the way from the root decided for this client, one line for each,
 * ended by a newline. */
void steer_trace(const struct steer_map *map, const struct ip *client,
                 const struct geo_location *where, const uint64_t *usable,
                 const struct steer_draw *draw, struct text *out);

/* Great-circle distance on a sphere of the Earth's mean radius (6371.0088 km); to a millimetre for
 * near and for opposite points alike. */
double steer_distance_km(double latitude_a, double longitude_a, double latitude_b,
                         double longitude_b);

#endif
