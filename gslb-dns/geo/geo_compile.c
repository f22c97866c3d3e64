/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From places to classes: the leaves as the database has them, each place's class in its stead,
 * and a small trie of overrides beside them. Both are walked in the order of addresses, equal
 * siblings joined as soon as both are there, so that the list of leaves is at any time the shortest
 * partition of what was walked.
 */
#include "gslb-dns/geo/geo_internal.h"

#include "common/clock/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRESS_PLACES = 4096 };
#define NO_CLASS UINT32_MAX

/* ---- overrides ---- */

struct overlay_node {
    uint32_t child[2]; /* 0: none, for the root is nobody's child */
    uint32_t class_id; /* NO_CLASS: says nothing here */
};

struct overlay {
    struct overlay_node *nodes;
    size_t n, cap;
};

static uint32_t add_overlay_node(struct overlay *o)
{
    BASE_GROW(o->nodes, o->n, o->cap);
    o->nodes[o->n] = (struct overlay_node){.class_id = NO_CLASS};
    return (uint32_t)o->n++;
}

static void add_overlay(struct overlay *o, const struct prefix *prefix, uint32_t class_id)
{
    uint32_t at = 0;

    for (unsigned bit = 0; bit < prefix->length; bit++) {
        unsigned side = prefix->ip.bytes[bit / 8] >> (7 - bit % 8) & 1;
        if (o->nodes[at].child[side] == 0) {
            uint32_t fresh = add_overlay_node(o);
            o->nodes[at].child[side] = fresh;
        }
        at = o->nodes[at].child[side];
    }
    o->nodes[at].class_id = class_id;
}

static struct overlay overlay_of(const struct geo_plan *plan, int family)
{
    struct overlay o = {0};

    add_overlay_node(&o);
    for (unsigned i = 0; family == 6 && i < GEO_EMBEDDINGS; i++)
        add_overlay(&o, &geo_embeddings[i].prefix, GEO_CLASSES_MAX + i);
    for (size_t i = 0; i < plan->n_overrides; i++) {
        ensure(plan->overrides[i].class_id < GEO_CLASSES_MAX); /* beyond are the embeddings */
        if (plan->overrides[i].prefix.ip.family == family)
            add_overlay(&o, &plan->overrides[i].prefix, plan->overrides[i].class_id);
    }
    return o;
}

/* ---- classes inside of overrides ---- */

/* Those that were asked for so far, of one plan; both families ask. */
struct within {
    const struct geo_plan *plan;
    const struct geo_places *places;
    pthread_mutex_t lock;
    uint32_t **class_of; /* by the override's number, then by place; NULL, NO_CLASS: not yet */
    size_t n;
    bool is_full; /* there were more classes than fit */
};

static struct within within_of(const struct geo_plan *plan, const struct geo_places *places)
{
    struct within x = {.plan = plan, .places = places};

    for (size_t i = 0; plan->classify_within != NULL && i < plan->n_overrides; i++)
        if (plan->overrides[i].class_id >= x.n)
            x.n = plan->overrides[i].class_id + (size_t)1;
    x.class_of = x.n > 0 ? base_zalloc(x.n, sizeof(x.class_of[0])) : NULL;
    pthread_mutex_init(&x.lock, NULL);
    return x;
}

static void forget_within(struct within *x)
{
    for (size_t i = 0; i < x->n; i++)
        free(x->class_of[i]);
    free(x->class_of);
    pthread_mutex_destroy(&x->lock);
}

static uint32_t ask_within(struct within *x, uint32_t number, uint32_t place)
{
    struct geo_location where = geo_place_location(&x->places->places[place]);
    uint32_t class_id = x->plan->classify_within(x->plan->arg, place == 0 ? NULL : &where, number);

    if (class_id < GEO_CLASSES_MAX)
        return class_id;
    x->is_full = true;
    return 0;
}

static uint32_t class_within(struct within *x, uint32_t number, uint32_t place)
{
    uint32_t class_id;

    pthread_mutex_lock(&x->lock);
    if (x->class_of[number] == NULL) {
        x->class_of[number] = base_alloc(x->places->n_places * sizeof(uint32_t));
        memset(x->class_of[number], 0xff, x->places->n_places * sizeof(uint32_t));
    }
    if (x->class_of[number][place] == NO_CLASS)
        x->class_of[number][place] = ask_within(x, number, place);
    class_id = x->class_of[number][place];
    pthread_mutex_unlock(&x->lock);
    return class_id;
}

/* ---- the walk ---- */

/* What is made of one family's leaves. */
struct walk {
    const struct geo_plan *plan;
    int family;
    const uint32_t *class_of; /* by place */
    struct within *within;
    const uint32_t *next; /* of the database's leaves */
    struct geo_leaves out;
    struct geo_table *table; /* what comes of it */
};

/* Where the walk stands: in the database anywhere below a leaf, or where more of them begin; and in
 * the innermost override, NO_CLASS in none. */
struct spot {
    bool is_leaf;
    uint32_t place;
    uint32_t override;
};

/* Does the override alone tell the class, whatever the place? */
static bool is_settled(const struct walk *w, const struct spot *spot)
{
    return spot->override != NO_CLASS &&
           (w->plan->classify_within == NULL || spot->override >= GEO_CLASSES_MAX);
}

static uint32_t class_at(struct walk *w, const struct spot *spot, uint32_t place)
{
    if (spot->override == NO_CLASS)
        return w->class_of[place];
    return is_settled(w, spot) ? spot->override : class_within(w->within, spot->override, place);
}

/* All leaves that begin here, up to the end of a prefix of this depth. */
static void copy_leaves(struct walk *w, const struct spot *spot, unsigned depth)
{
    struct geo_position end = geo_end_of(w->out.end, depth);

    do {
        uint32_t leaf = *w->next++;
        geo_leaves_add(&w->out, class_at(w, spot, GEO_LEAF_CLASS(leaf)), GEO_LEAF_DEPTH(leaf));
    } while (!geo_is_same_position(w->out.end, end));
}

static void skip_leaves(struct walk *w, unsigned depth)
{
    struct geo_position at = {0, 0}, end = geo_end_of(at, depth);

    do
        at = geo_end_of(at, GEO_LEAF_DEPTH(*w->next++));
    while (!geo_is_same_position(at, end));
}

static const struct overlay_node *half_of(const struct overlay *o, const struct overlay_node *over,
                                          unsigned side)
{
    return over == NULL || over->child[side] == 0 ? NULL : &o->nodes[over->child[side]];
}

/* over: NULL where no override lies in the prefix. */
static void walk(struct walk *w, struct spot spot, const struct overlay *o,
                 const struct overlay_node *over, unsigned depth)
{
    const struct overlay_node *halves[2] = {half_of(o, over, 0), half_of(o, over, 1)};

    if (!spot.is_leaf && GEO_LEAF_DEPTH(*w->next) == depth) {
        spot.is_leaf = true;
        spot.place = GEO_LEAF_CLASS(*w->next++);
    }
    if (over != NULL && over->class_id != NO_CLASS)
        spot.override = over->class_id;
    if (halves[0] != NULL || halves[1] != NULL) {
        walk(w, spot, o, halves[0], depth + 1);
        walk(w, spot, o, halves[1], depth + 1);
    } else if (spot.is_leaf) {
        geo_leaves_add(&w->out, class_at(w, &spot, spot.place), depth);
    } else if (is_settled(w, &spot)) {
        skip_leaves(w, depth);
        geo_leaves_add(&w->out, spot.override, depth);
    } else {
        copy_leaves(w, &spot, depth);
    }
}

/* Without overrides there are no more leaves than the database has. */
static struct walk walk_of(struct within *within, int family, const uint32_t *class_of,
                           const struct geo_leaves *from, struct geo_table *table)
{
    struct walk w = {within->plan, family, class_of, within, from->words, .table = table};

    w.out.cap = from->n + 1;
    w.out.words = base_alloc_large(w.out.cap * sizeof(w.out.words[0]));
    return w;
}

static void *walk_family(void *arg)
{
    struct walk *w = arg;
    struct overlay o = overlay_of(w->plan, w->family);

    walk(w, (struct spot){.override = NO_CLASS}, &o, o.nodes, 0);
    geo_leaves_end(&w->out);
    free(o.nodes);
    geo_table_build(w->table, w->out.words, w->out.n);
    free(w->out.words);
    return NULL;
}

/* ---- both families ---- */

static struct outcome compile_both(struct geo_map *map, const struct geo_places *places,
                                   const struct geo_plan *plan, const uint32_t *class_of)
{
    struct geo_map_stats *stats = &map->stats;
    struct within within = within_of(plan, places);
    struct walk v4 = walk_of(&within, 4, class_of, &places->v4, &map->v4);
    struct walk v6 = walk_of(&within, 6, class_of, &places->v6, &map->v6);
    pthread_t thread;

    ensure(pthread_create(&thread, NULL, walk_family, &v6) == 0);
    walk_family(&v4);
    pthread_join(thread, NULL);
    stats->leaves_v4 = (uint32_t)v4.out.n;
    stats->leaves_v6 = (uint32_t)v6.out.n;
    stats->bytes = sizeof(*map) + geo_table_bytes(&map->v4) + geo_table_bytes(&map->v6);
    forget_within(&within);
    return within.is_full ? OUTCOME_FAILED : OUTCOME_OK;
}

static void say_full(struct errors *errors)
{
    errors_add(errors, (struct place){0},
               "the GeoIP database cannot be used: it leads to more distinct answers than the map "
               "can hold");
}

/* The class of each place. NULL: there are too many classes. */
static uint32_t *classify(const struct geo_places *places, const struct geo_plan *plan,
                          struct progress *progress, struct errors *errors)
{
    uint32_t *class_of = base_alloc(places->n_places * sizeof(class_of[0]));

    for (uint32_t i = 0; i < places->n_places; i++) {
        struct geo_location where = geo_place_location(&places->places[i]);

        class_of[i] = plan->classify(plan->arg, i == 0 ? NULL : &where);
        if (class_of[i] >= GEO_CLASSES_MAX) {
            say_full(errors);
            free(class_of);
            return NULL;
        }
        if (progress != NULL && i % PROGRESS_PLACES == 0)
            progress_step(progress, i);
    }
    return class_of;
}

struct geo_map *geo_compile(const struct geo_places *places, const struct geo_plan *plan,
                            struct progress *progress, struct errors *errors)
{
    static uint32_t nowhere[] = {GEO_LEAF(0, 0)};
    static struct geo_place no_place;
    static const struct geo_places none = {.places = &no_place,
                                           .n_places = 1,
                                           .v4 = {.words = nowhere, .n = 1},
                                           .v6 = {.words = nowhere, .n = 1}};
    struct geo_map *map = base_zalloc(1, sizeof(*map));
    int64_t started_us = clock_mono_us();
    uint32_t *class_of;
    bool is_full = false;

    if (places == NULL)
        places = &none;
    if (progress != NULL)
        progress_start(progress, "ranking the regions for each place", places->n_places);
    class_of = classify(places, plan, progress, errors);
    if (class_of != NULL)
        is_full = has_failed(compile_both(map, places, plan, class_of));
    if (progress != NULL)
        progress_end(progress);
    if (class_of == NULL || is_full) {
        if (is_full) {
            say_full(errors);
            geo_map_free(map);
        } else {
            free(map);
        }
        free(class_of);
        return NULL;
    }
    free(class_of);
    map->stats.records = places->records;
    map->stats.places = places->n_places - 1;
    map->stats.damaged_records = places->damaged_records;
    map->stats.compile_ms = (double)(clock_mono_us() - started_us) / 1000;
    return map;
}

void geo_map_free(struct geo_map *map)
{
    if (map == NULL)
        return;
    geo_table_free(&map->v4);
    geo_table_free(&map->v6);
    free(map);
}

struct geo_map_stats geo_map_get_stats(const struct geo_map *map)
{
    return map->stats;
}
