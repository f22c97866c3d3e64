/* SPDX-License-Identifier: BSD-2-Clause */
/* What the lists and the tree say, for people. */
#include "gslb-dns/steer/steer_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the regions of a class ---- */

struct listing {
    const struct steer_map *map;
    const struct geo_location *where; /* NULL: no distances */
    bool *is_listed;
    struct steer_choice *out;
    size_t n;
};

static void list_region(struct listing *l, uint16_t region)
{
    const struct steer_region *r = &l->map->regions[region];

    if (l->is_listed[region])
        return;
    l->is_listed[region] = true;
    l->out[l->n++] = (struct steer_choice){
        region, l->where != NULL ? steer_distance_km(l->where->latitude, l->where->longitude,
                                                     r->latitude, r->longitude)
                                 : NAN};
}

static void list_words(struct listing *l, const uint16_t *at, const uint16_t *end)
{
    for (; at < end; at++) {
        const uint16_t *group_end;

        if (*at < STEER_GROUP) {
            list_region(l, *at);
            continue;
        }
        group_end = at + STEER_GROUP_HEAD + at[1];
        for (const uint16_t *b = at + STEER_GROUP_HEAD; b < group_end; b += STEER_GROUP_HEAD + b[1])
            list_words(l, b + STEER_GROUP_HEAD, b + STEER_GROUP_HEAD + b[1]);
        at = group_end - 1;
    }
}

size_t steer_explain(const struct steer_map *map, uint32_t class_id,
                     const struct geo_location *where, struct steer_choice *out)
{
    struct listing l = {.map = map, .out = out};
    uint16_t *words = base_alloc(map->stride * sizeof(*words));
    size_t first = (size_t)class_id * map->stride;

    ensure(class_id < map->n_classes);
    if (where != NULL && where->has_coordinates && map->is_by_location)
        l.where = where;
    l.is_listed = base_zalloc(map->n, sizeof(*l.is_listed));
    for (size_t i = 0; i < map->stride; i++)
        words[i] = map->is_wide ? map->wide[first + i] : map->narrow[first + i];
    list_words(&l, words, words + map->stride);
    free(l.is_listed);
    free(words);
    return l.n;
}

/* ---- the way through the tree ---- */

struct trace {
    struct steer_writer writer; /* for lists that are looked at on the way */
    const uint64_t *usable;
    const struct steer_draw *draw;
    struct text *out;
};

static uint16_t pick_branch(struct trace *t, uint32_t branch)
{
    bool has_drawn;

    t->writer.n = 0;
    steer_write_branch(&t->writer, branch);
    return steer_pick_in(t->writer.map, t->writer.list, t->writer.list + t->writer.n, t->usable,
                         t->draw, &has_drawn);
}

static bool is_branch_usable(struct trace *t, uint32_t branch)
{
    return pick_branch(t, branch) != STEER_NONE;
}

/* The branch of a group's node that is drawn; n_branches: none. */
static uint32_t trace_draw(struct trace *t, size_t node, uint64_t *weight, uint64_t *all)
{
    const struct steer_map *map = t->writer.map;
    const struct steer_tree_node *n = &map->nodes[node];
    const uint16_t *drawn;
    uint32_t branch;

    *all = 0;
    for (uint32_t i = n->first; i < n->first + n->n; i++)
        *all += is_branch_usable(t, i) ? map->branches[i].weight : 0;
    t->writer.n = 0;
    n->policy->write(&t->writer, node);
    drawn = steer_draw_branch(map, t->writer.list, t->usable, t->draw);
    branch = drawn != NULL ? drawn[0] : (uint32_t)map->n_branches;
    *weight = drawn != NULL ? map->branches[branch].weight : 0;
    return branch;
}

static uint32_t trace_first(struct trace *t, const struct steer_tree_node *n)
{
    for (uint32_t i = n->first; i < n->first + n->n; i++)
        if (is_branch_usable(t, i))
            return i;
    return (uint32_t)t->writer.map->n_branches;
}

static uint32_t trace_nearest(struct trace *t, size_t node)
{
    const struct steer_map *map = t->writer.map;
    const struct steer_tree_node *n = &map->nodes[node];
    uint16_t region;
    bool has_drawn;

    t->writer.n = 0;
    n->policy->write(&t->writer, node);
    region = steer_pick_in(map, t->writer.list, t->writer.list + t->writer.n, t->usable, t->draw,
                           &has_drawn);
    for (uint32_t i = n->first; i < n->first + n->n; i++)
        if (map->branches[i].target == region)
            return i;
    return (uint32_t)map->n_branches;
}

static bool is_located(const struct trace *t)
{
    return t->writer.where != NULL && t->writer.where->has_coordinates;
}

static uint32_t trace_node(struct trace *t, size_t node)
{
    const struct steer_map *map = t->writer.map;
    const struct steer_tree_node *n = &map->nodes[node];
    uint32_t branch;

    text_addf(t->out, "%s (%s): ", n->name, n->policy->name);
    if (n->policy == &steer_geo) {
        const char *why;
        branch = steer_geo_branch(&t->writer, node, &why);
        text_addf(t->out, "%s, %s\n", map->branches[branch].name, why);
    } else if (n->policy->is_drawn) {
        uint64_t weight, all;
        branch = trace_draw(t, node, &weight, &all);
        if (branch < map->n_branches)
            text_addf(t->out, "%s, drawn with weight %llu of %llu\n", map->branches[branch].name,
                      (unsigned long long)weight, (unsigned long long)all);
    } else if (n->policy == &steer_nearest) {
        branch = trace_nearest(t, node);
        if (branch < map->n_branches)
            text_addf(t->out, "%s, the first usable of %u by %s\n", map->branches[branch].name,
                      n->n, is_located(t) ? "distance" : "the region order");
    } else {
        branch = trace_first(t, n);
        if (branch < map->n_branches)
            text_addf(t->out, "%s, the first usable, number %u of %u\n", map->branches[branch].name,
                      branch - n->first + 1, n->n);
    }
    if (branch == map->n_branches)
        text_adds(t->out, "no branch has a usable region\n");
    return branch;
}

void steer_trace(const struct steer_map *map, const struct ip *client,
                 const struct geo_location *where, const uint64_t *usable,
                 const struct steer_draw *draw, struct text *out)
{
    struct trace t = {.writer = {.map = map,
                                 .where = where,
                                 .context = steer_find_context(map, client),
                                 .keys = base_alloc(2 * map->n_branches * sizeof(uint64_t)),
                                 .list = base_alloc(map->stride * sizeof(uint16_t))},
                      .usable = usable,
                      .draw = draw,
                      .out = out};
    size_t node = 0;

    for (;;) {
        uint32_t branch = trace_node(&t, node);

        if (branch == map->n_branches || !map->branches[branch].is_node)
            break;
        node = map->branches[branch].target;
    }
    free(t.writer.keys);
    free(t.writer.list);
}
