/* SPDX-License-Identifier: BSD-2-Clause */
/* The tree as a map holds it, and the contexts of the networks that it names. */
#include "gslb-dns/steer/steer_internal.h"

#include <stdlib.h>
#include <string.h>

static char *copy_codes(const char *codes)
{
    return codes != NULL ? base_strdup(codes) : NULL;
}

/* FNV-1a, as the door has it. */
static uint64_t hash_name(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (; *name != '\0'; name++)
        h = (h ^ (uint8_t)*name) * 0x100000001b3u;
    return h;
}

static struct steer_tree_branch copy_branch(const struct steer_branch *from)
{
    return (struct steer_tree_branch){
        .name = base_strdup(from->name),
        .is_node = from->is_node,
        .target = from->target,
        .weight = from->weight,
        .bias_km = from->bias_km,
        .countries = copy_codes(from->countries),
        .continents = copy_codes(from->continents),
        .is_default = from->countries == NULL && from->continents == NULL && from->n_networks == 0,
        .salt = hash_name(from->name),
    };
}

struct place_of_branch {
    uint32_t place, branch;
};

static int by_place(const void *a, const void *b)
{
    const struct place_of_branch *x = a, *y = b;

    return (x->place > y->place) - (x->place < y->place);
}

/* The branches of a nearest node by where their regions stand in the default order. */
static void order_branches(const struct steer_map *map, struct steer_tree_node *n,
                           const uint32_t *place_of)
{
    struct place_of_branch *sorted = base_alloc(n->n * sizeof(*sorted));

    n->order = base_alloc(n->n * sizeof(*n->order));
    for (uint32_t i = 0; i < n->n; i++) {
        const struct steer_tree_branch *b = &map->branches[n->first + i];

        ensure(!b->is_node);
        n->has_bias |= b->bias_km < 0 || b->bias_km > 0;
        sorted[i] = (struct place_of_branch){place_of[b->target], n->first + i};
    }
    qsort(sorted, n->n, sizeof(*sorted), by_place);
    for (uint32_t i = 0; i < n->n; i++)
        n->order[i] = sorted[i].branch;
    free(sorted);
}

static void copy_node(struct steer_map *map, size_t number, const struct steer_node *from,
                      const uint32_t *place_of)
{
    struct steer_tree_node *n = &map->nodes[number];

    *n = (struct steer_tree_node){.name = base_strdup(from->name),
                                  .policy = from->policy,
                                  .first = (uint32_t)map->n_branches,
                                  .n = (uint32_t)from->n};
    ensure(from->n > 0);
    for (size_t i = 0; i < from->n; i++) {
        const struct steer_branch *b = &from->branches[i];

        ensure(b->is_node ? b->target > number && b->target < map->n_nodes : b->target < map->n);
        map->branches[map->n_branches++] = copy_branch(b);
    }
    map->is_by_location |= from->policy->is_by_location;
    map->is_drawn |= from->policy->is_drawn;
    map->is_rotating |= from->policy->is_rotating;
    if (from->policy == &steer_geo)
        n->geo_number = (uint16_t)map->n_geo++;
    if (from->policy == &steer_nearest)
        order_branches(map, n, place_of);
}

/* ---- networks ---- */

/* A rule's network. */
struct rule {
    struct prefix prefix;
    uint16_t geo_number, branch;
};

static int compare_prefixes(const struct prefix *a, const struct prefix *b)
{
    int by_bytes;

    if (a->ip.family != b->ip.family)
        return a->ip.family < b->ip.family ? -1 : 1;
    by_bytes = memcmp(a->ip.bytes, b->ip.bytes, a->ip.family == 4 ? 4 : 16);
    return by_bytes != 0 ? by_bytes : (a->length > b->length) - (a->length < b->length);
}

static int by_prefix(const void *a, const void *b)
{
    const struct rule *x = a, *y = b;

    return compare_prefixes(&x->prefix, &y->prefix);
}

static struct rule *list_rules(const struct steer_map *map, const struct steer_tree *tree,
                               size_t *n)
{
    struct rule *rules = NULL;
    size_t cap = 0;

    *n = 0;
    for (size_t i = 0; i < tree->n; i++)
        for (size_t b = 0; map->nodes[i].policy == &steer_geo && b < tree->nodes[i].n; b++) {
            const struct steer_branch *from = &tree->nodes[i].branches[b];

            for (size_t k = 0; k < from->n_networks; k++) {
                BASE_GROW(rules, *n, cap);
                rules[(*n)++] =
                    (struct rule){from->networks[k], map->nodes[i].geo_number, (uint16_t)b};
            }
        }
    if (*n > 0)
        qsort(rules, *n, sizeof(*rules), by_prefix);
    return rules;
}

/* The context that the last row is: one that was there, or a new one. */
static uint32_t keep_context(struct steer_map *map)
{
    const uint16_t *last = &map->contexts[map->n_contexts * map->n_geo];

    for (size_t i = map->n_contexts; i > 0; i--)
        if (memcmp(&map->contexts[(i - 1) * map->n_geo], last, map->n_geo * sizeof(*last)) == 0)
            return (uint32_t)(i - 1);
    return (uint32_t)map->n_contexts++;
}

/* The row behind the last context, for it to be filled; as the given one is. */
static uint16_t *start_context(struct steer_map *map, uint32_t from)
{
    size_t row = map->n_geo * sizeof(uint16_t);

    if (map->n_contexts == map->contexts_cap) {
        map->contexts_cap = 2 * map->contexts_cap;
        map->contexts = base_realloc(map->contexts, map->contexts_cap * row);
    }
    return memcpy(&map->contexts[map->n_contexts * map->n_geo], &map->contexts[from * map->n_geo],
                  row);
}

/* Networks inside of each other follow one another in the order of rules, so that those around one
 * lie on a stack: it takes over what they decide. */
static void add_networks(struct steer_map *map, const struct rule *rules, size_t n)
{
    size_t stack[129], depth = 0;

    map->overrides = base_zalloc(n, sizeof(*map->overrides));
    for (size_t i = 0; i < n;) {
        struct geo_override *o = &map->overrides[map->n_overrides];
        uint16_t *row;

        o->prefix = rules[i].prefix;
        while (depth > 0) {
            const struct prefix *outer = &map->overrides[stack[depth - 1]].prefix;
            if (outer->ip.family == o->prefix.ip.family && prefix_has(outer, &o->prefix.ip))
                break;
            depth--;
        }
        row = start_context(map, depth > 0 ? map->overrides[stack[depth - 1]].class_id : 0);
        for (; i < n && compare_prefixes(&rules[i].prefix, &o->prefix) == 0; i++)
            row[rules[i].geo_number] = rules[i].branch;
        o->class_id = keep_context(map);
        stack[depth++] = map->n_overrides++;
    }
}

uint32_t steer_find_context(const struct steer_map *map, const struct ip *client)
{
    uint32_t context = 0;
    int longest = -1;

    for (size_t i = 0; client != NULL && i < map->n_overrides; i++) {
        const struct geo_override *o = &map->overrides[i];

        if (o->prefix.ip.family == client->family && o->prefix.length > longest &&
            prefix_has(&o->prefix, client))
            longest = o->prefix.length, context = o->class_id;
    }
    return context;
}

/* ---- life ---- */

void steer_tree_copy(struct steer_map *map, const struct steer_tree *tree)
{
    uint32_t *place_of = base_alloc(map->n * sizeof(*place_of));
    size_t n_branches = 0, n_rules;
    struct rule *rules;

    for (size_t i = 0; i < map->n; i++)
        place_of[map->default_order[i]] = (uint32_t)i;
    for (size_t i = 0; i < tree->n; i++)
        n_branches += tree->nodes[i].n;
    ensure(tree->n > 0 && n_branches < STEER_NO_RULE + 1);
    map->n_nodes = tree->n;
    map->nodes = base_zalloc(tree->n, sizeof(*map->nodes));
    map->branches = base_zalloc(n_branches, sizeof(*map->branches));
    for (size_t i = 0; i < tree->n; i++)
        copy_node(map, i, &tree->nodes[i], place_of);
    free(place_of);
    map->contexts_cap = 4;
    map->contexts = base_alloc(map->contexts_cap * (map->n_geo + 1) * sizeof(*map->contexts));
    for (size_t i = 0; i < map->n_geo; i++)
        map->contexts[i] = STEER_NO_RULE;
    map->n_contexts = 1;
    rules = list_rules(map, tree, &n_rules);
    if (n_rules > 0)
        add_networks(map, rules, n_rules);
    free(rules);
}

void steer_tree_free(struct steer_map *map)
{
    for (size_t i = 0; i < map->n_branches; i++) {
        free(map->branches[i].name);
        free(map->branches[i].countries);
        free(map->branches[i].continents);
    }
    for (size_t i = 0; i < map->n_nodes; i++) {
        free(map->nodes[i].name);
        free(map->nodes[i].order);
    }
    free(map->branches);
    free(map->nodes);
    free(map->overrides);
    free(map->contexts);
}

static bool is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool is_same_branch(const struct steer_tree_branch *a, const struct steer_tree_branch *b)
{
    return strcmp(a->name, b->name) == 0 && a->is_node == b->is_node && a->target == b->target &&
           a->weight == b->weight && memcmp(&a->bias_km, &b->bias_km, sizeof(a->bias_km)) == 0 &&
           is_same_text(a->countries, b->countries) && is_same_text(a->continents, b->continents) &&
           a->is_default == b->is_default;
}

bool steer_tree_is_alike(const struct steer_map *a, const struct steer_map *b)
{
    if (a->n_nodes != b->n_nodes || a->n_branches != b->n_branches ||
        a->n_overrides != b->n_overrides || a->n_contexts != b->n_contexts)
        return false;
    for (size_t i = 0; i < a->n_nodes; i++)
        if (a->nodes[i].policy != b->nodes[i].policy || a->nodes[i].n != b->nodes[i].n ||
            strcmp(a->nodes[i].name, b->nodes[i].name) != 0)
            return false;
    for (size_t i = 0; i < a->n_branches; i++)
        if (!is_same_branch(&a->branches[i], &b->branches[i]))
            return false;
    for (size_t i = 0; i < a->n_overrides; i++)
        if (compare_prefixes(&a->overrides[i].prefix, &b->overrides[i].prefix) != 0 ||
            a->overrides[i].class_id != b->overrides[i].class_id)
            return false;
    return memcmp(a->contexts, b->contexts, a->n_contexts * a->n_geo * sizeof(*a->contexts)) == 0;
}

size_t steer_tree_bound(const struct steer_map *map, size_t node)
{
    const struct steer_tree_node *n = &map->nodes[node];
    size_t sum = 0, most = 0;

    for (uint32_t i = n->first; i < n->first + n->n; i++) {
        const struct steer_tree_branch *b = &map->branches[i];
        size_t length = b->is_node ? steer_tree_bound(map, b->target) : 1;

        sum += length + (n->policy->is_drawn ? STEER_GROUP_HEAD : 0);
        most = length > most ? length : most;
    }
    if (n->policy == &steer_geo)
        return most;
    return sum + (n->policy->is_drawn ? STEER_GROUP_HEAD : 0);
}
