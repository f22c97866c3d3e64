/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/steer/steer_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct steer_policy *const steer_policies[] = {&steer_nearest,  &steer_failover, &steer_geo,
                                                     &steer_weighted, &steer_sticky,   NULL};

const struct steer_policy *steer_find_policy(struct str name)
{
    for (size_t i = 0; steer_policies[i] != NULL; i++)
        if (str_is(name, steer_policies[i]->name))
            return steer_policies[i];
    return NULL;
}

/* ---- ranked lists, each kept once ---- */

static size_t list_bytes(const struct steer_map *map)
{
    return map->stride * (map->is_wide ? sizeof(uint16_t) : sizeof(uint8_t));
}

static uint8_t *list_at(const struct steer_map *map, uint32_t class_id)
{
    return (uint8_t *)map->lists + class_id * list_bytes(map);
}

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

/* Not keyed: the lists come from the operator's own regions and database. */
static uint64_t hash_list(const uint8_t *list, size_t bytes)
{
    uint64_t h = bytes, word;

    for (; bytes >= sizeof(word); list += sizeof(word), bytes -= sizeof(word)) {
        memcpy(&word, list, sizeof(word));
        h = mix(h, word);
    }
    word = 0;
    memcpy(&word, list, bytes);
    return mix(h, word);
}

/* The slot of a list that equals the one of class_id, or the empty one where that belongs. */
static uint32_t *find_slot(const struct steer_map *map, uint32_t class_id)
{
    const uint8_t *list = list_at(map, class_id);
    size_t bytes = list_bytes(map);
    uint64_t i = hash_list(list, bytes) & (map->n_slots - 1);

    while (map->by_hash[i] != 0 && memcmp(list_at(map, map->by_hash[i] - 1), list, bytes) != 0)
        i = (i + 1) & (map->n_slots - 1);
    return &map->by_hash[i];
}

static void grow_slots(struct steer_map *map)
{
    free(map->by_hash);
    map->n_slots = map->n_slots ? 2 * map->n_slots : 64;
    map->by_hash = base_zalloc(map->n_slots, sizeof(*map->by_hash));
    for (uint32_t class_id = 0; class_id < map->n_classes; class_id++)
        *find_slot(map, class_id) = class_id + 1;
}

/* Writes the list under construction behind the last class. */
static void store_list(struct steer_map *map)
{
    size_t first = (size_t)map->n_classes * map->stride;

    if (map->n_classes == map->classes_cap) {
        map->classes_cap = map->classes_cap ? 2 * map->classes_cap : 16;
        map->lists = base_realloc(map->lists, map->classes_cap * list_bytes(map));
    }
    if (map->is_wide)
        memcpy(map->wide + first, map->list, map->stride * sizeof(*map->list));
    else
        for (size_t i = 0; i < map->stride; i++)
            map->narrow[first + i] = (uint8_t)map->list[i];
}

static uint32_t class_of_list(struct steer_map *map)
{
    uint32_t *slot;

    store_list(map);
    if (map->n_classes >= map->n_slots / 2)
        grow_slots(map);
    slot = find_slot(map, map->n_classes);
    if (*slot == 0)
        *slot = ++map->n_classes;
    return *slot - 1;
}

void steer_write_branch(struct steer_writer *w, uint32_t branch)
{
    const struct steer_tree_branch *b = &w->map->branches[branch];

    if (b->is_node) {
        w->map->nodes[b->target].policy->write(w, b->target);
        return;
    }
    ensure(w->n < w->map->stride);
    w->list[w->n++] = b->target;
}

/* A region that the list has, or one of a group in it: it was looked at when the end is reached. */
static void fill_up(struct steer_writer *w)
{
    uint16_t filler = w->list[w->n - 1];

    while (w->n < w->map->stride)
        w->list[w->n++] = filler;
}

uint32_t steer_classify_within(void *arg, const struct geo_location *where, uint32_t context)
{
    struct steer_map *map = arg;
    struct steer_writer w = {map, where, context, map->keys, map->list, 0};

    ensure(context < map->n_contexts);
    if (!map->is_by_location && map->n_classes > 0)
        return 0;
    map->nodes[0].policy->write(&w, 0);
    fill_up(&w);
    return class_of_list(map);
}

uint32_t steer_classify(void *arg, const struct geo_location *where)
{
    return steer_classify_within(arg, where, 0);
}

const struct geo_override *steer_overrides(const struct steer_map *map, size_t *n)
{
    *n = map->n_overrides;
    return map->overrides;
}

/* ---- life ---- */

static void check_order(const uint16_t *order, size_t n)
{
    uint64_t *seen = base_zalloc(STEER_BITMAP_WORDS(n), sizeof(*seen));

    for (size_t i = 0; i < n; i++) {
        ensure(order[i] < n && !(seen[order[i] / 64] >> order[i] % 64 & 1));
        seen[order[i] / 64] |= (uint64_t)1 << order[i] % 64;
    }
    free(seen);
}

static void keep_regions(struct steer_map *map, const struct steer_region *regions, size_t n,
                         const uint16_t *default_order)
{
    ensure(n >= 1 && n <= STEER_REGIONS_MAX);
    map->n = n;
    map->regions = base_alloc(n * sizeof(*map->regions));
    map->points = base_alloc(n * sizeof(*map->points));
    map->default_order = base_alloc(n * sizeof(*map->default_order));
    memcpy(map->regions, regions, n * sizeof(*regions));
    for (size_t i = 0; i < n; i++) {
        map->points[i] = steer_point_of(regions[i].latitude, regions[i].longitude);
        map->default_order[i] = default_order != NULL ? default_order[i] : (uint16_t)i;
    }
    check_order(map->default_order, n);
}

struct steer_map *steer_map_new_tree(const struct steer_tree *tree,
                                     const struct steer_region *regions, size_t n,
                                     const uint16_t *default_order)
{
    struct steer_map *map = base_zalloc(1, sizeof(*map));

    keep_regions(map, regions, n, default_order);
    steer_tree_copy(map, tree);
    map->stride = steer_tree_bound(map, 0);
    map->is_wide = n > UINT8_MAX + 1 || map->is_drawn;
    map->keys = base_alloc(2 * map->n_branches * sizeof(*map->keys));
    map->list = base_alloc(map->stride * sizeof(*map->list));
    ensure(steer_classify(map, NULL) == 0 && map->n_classes == 1);
    return map;
}

struct steer_map *steer_map_new(const struct steer_policy *policy,
                                const struct steer_region *regions, size_t n,
                                const uint16_t *default_order)
{
    struct steer_branch *branches = base_zalloc(n, sizeof(*branches));
    struct steer_node node = {policy->name, policy, branches, n};
    struct steer_tree tree = {&node, 1};
    struct steer_map *map;

    for (size_t i = 0; i < n; i++)
        branches[i] =
            (struct steer_branch){.name = "",
                                  .weight = 1,
                                  .target = default_order != NULL ? default_order[i] : (uint16_t)i};
    map = steer_map_new_tree(&tree, regions, n, default_order);
    free(branches);
    return map;
}

void steer_map_free(struct steer_map *map)
{
    if (map == NULL)
        return;
    free(map->regions);
    free(map->points);
    free(map->default_order);
    free(map->keys);
    free(map->list);
    free(map->lists);
    steer_tree_free(map);
    free(map->by_hash);
    free(map);
}

bool steer_map_is_alike(const struct steer_map *a, const struct steer_map *b)
{
    return a->n == b->n && memcmp(a->regions, b->regions, a->n * sizeof(*a->regions)) == 0 &&
           memcmp(a->default_order, b->default_order, a->n * sizeof(*a->default_order)) == 0 &&
           steer_tree_is_alike(a, b);
}

size_t steer_region_count(const struct steer_map *map)
{
    return map->n;
}

uint32_t steer_class_count(const struct steer_map *map)
{
    return map->n_classes;
}

bool steer_is_by_location(const struct steer_map *map)
{
    return map->is_by_location;
}

bool steer_is_drawn(const struct steer_map *map)
{
    return map->is_drawn;
}

bool steer_is_rotating(const struct steer_map *map)
{
    return map->is_rotating;
}

size_t steer_map_bytes(const struct steer_map *map)
{
    return sizeof(*map) + map->classes_cap * list_bytes(map) +
           map->n_slots * sizeof(*map->by_hash) + map->stride * sizeof(*map->list) +
           map->n * (sizeof(*map->regions) + sizeof(*map->points) + sizeof(*map->default_order)) +
           map->n_branches * (sizeof(*map->branches) + 2 * sizeof(*map->keys)) +
           map->n_overrides * sizeof(*map->overrides);
}

/* ---- the hot path ---- */

uint16_t steer_ranked_at(const struct steer_map *map, uint32_t class_id, size_t place)
{
    size_t at = (size_t)class_id * map->stride + place;

    ensure(class_id < map->n_classes && place < map->stride && !map->is_drawn);
    return map->is_wide ? map->wide[at] : map->narrow[at];
}

uint16_t steer_pick(const struct steer_map *map, uint32_t class_id, const uint64_t *usable)
{
    size_t first = (size_t)class_id * map->stride;

    ensure(class_id < map->n_classes);
    for (size_t i = first; i < first + map->stride; i++) {
        uint16_t region = map->is_wide ? map->wide[i] : map->narrow[i];
        if (usable[region / 64] >> region % 64 & 1)
            return region;
    }
    return STEER_NONE;
}

uint16_t steer_pick_drawn(const struct steer_map *map, uint32_t class_id, const uint64_t *usable,
                          const struct steer_draw *draw, bool *has_drawn)
{
    const uint16_t *list;

    *has_drawn = false;
    if (!map->is_drawn)
        return steer_pick(map, class_id, usable);
    ensure(class_id < map->n_classes);
    list = map->wide + (size_t)class_id * map->stride;
    return steer_pick_in(map, list, list + map->stride, usable, draw, has_drawn);
}
