/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk: the database's trie and a small trie of overrides side by side, each leaf emitted in
 * the order of addresses, equal siblings joined as soon as both are there. So the list of leaves is
 * at any time the shortest partition of what was walked, and needs no addresses: each leaf begins
 * where the one before ends.
 */
#include "gslb-dns/geo/geo_internal.h"

#include "common/bytes/bytes.h"
#include "common/clock/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    DATA_SEPARATOR = 16, /* zero bytes between the tree and the data */
    PROGRESS_VISITS = 65536,
};

/* ---- classes by record ---- */

/* Most records are shared by many networks; each is read and classified once. */
struct class_cache {
    struct slot {
        uint32_t offset, class_id;
    } * slots; /* class_id NO_CLASS: empty */
    uint32_t n, mask;
};
#define NO_CLASS UINT32_MAX

static uint32_t first_slot(const struct class_cache *c, uint32_t offset)
{
    return (offset * 2654435769u) >> 7 & c->mask;
}

static struct slot *find_slot(const struct class_cache *c, uint32_t offset)
{
    uint32_t i = first_slot(c, offset);

    while (c->slots[i].class_id != NO_CLASS && c->slots[i].offset != offset)
        i = (i + 1) & c->mask;
    return &c->slots[i];
}

static void resize_cache(struct class_cache *c, uint32_t n_slots)
{
    struct class_cache old = *c;

    c->mask = n_slots - 1;
    c->slots = base_alloc(n_slots * sizeof(*c->slots));
    memset(c->slots, 0xff, n_slots * sizeof(*c->slots));
    if (old.slots == NULL)
        return;
    for (uint32_t i = 0; i <= old.mask; i++)
        if (old.slots[i].class_id != NO_CLASS)
            *find_slot(c, old.slots[i].offset) = old.slots[i];
    free(old.slots);
}

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
        ensure(plan->overrides[i].class_id < GEO_CLASSES_MAX);
        if (plan->overrides[i].prefix.ip.family == family)
            add_overlay(&o, &plan->overrides[i].prefix, plan->overrides[i].class_id);
    }
    return o;
}

/* ---- the walk ---- */

/* What the walks of both families share. */
struct compilation {
    const struct geo_plan *plan;
    uint32_t no_location_class;
    pthread_mutex_t lock; /* of what follows, and of the plan's classify */
    struct progress *progress;
};

struct walk {
    struct compilation *common;
    int family;
    const struct geo_file *file; /* NULL: no database for this family */
    struct class_cache cache;    /* of file */
    struct overlay overlay;
    uint32_t no_location_class;
    unsigned bits; /* of an address */
    uint32_t *leaves;
    size_t n_leaves, leaves_cap;
    uint64_t visits, visits_max;
    const char *damage; /* sticky: what is wrong with the tree */
    uint32_t damaged_records, records;
    struct geo_table *table; /* what comes of it */
};

/* Where the walk stands in the database: at a node, or anywhere below a leaf. */
struct spot {
    bool is_leaf;
    uint32_t id; /* of the node, or the class */
};

static uint32_t check_class(struct walk *w, uint32_t class_id)
{
    if (class_id < GEO_CLASSES_MAX)
        return class_id;
    w->damage = "it leads to more distinct answers than the map can hold";
    return w->no_location_class;
}

static uint32_t classify_record(struct walk *w, uint32_t offset)
{
    struct geo_location where;
    uint32_t class_id;

    w->records++;
    if (has_failed(geo_record_read(&w->file->mmdb, w->file->layout, offset, &where))) {
        w->damaged_records++;
        return w->no_location_class;
    }
    if (!where.has_country && !where.has_coordinates)
        return w->no_location_class;
    pthread_mutex_lock(&w->common->lock);
    class_id = w->common->plan->classify(w->common->plan->arg, &where);
    pthread_mutex_unlock(&w->common->lock);
    return check_class(w, class_id);
}

static uint32_t class_at(struct walk *w, uint32_t offset)
{
    struct slot *slot = find_slot(&w->cache, offset);

    if (slot->class_id != NO_CLASS)
        return slot->class_id;
    *slot = (struct slot){offset, classify_record(w, offset)};
    if (++w->cache.n > w->cache.mask / 2)
        resize_cache(&w->cache, 2 * (w->cache.mask + 1));
    return find_slot(&w->cache, offset)->class_id;
}

/* What a record of the tree leads to: below node_count a node, that number itself nothing, above it
 * data, counted from the end of the tree. */
static struct spot spot_of(struct walk *w, uint32_t record)
{
    const MMDB_s *mmdb = &w->file->mmdb;
    uint32_t n = mmdb->metadata.node_count;

    if (record < n)
        return (struct spot){false, record};
    if (record == n)
        return (struct spot){true, w->no_location_class};
    if (record - n >= DATA_SEPARATOR && record - n - DATA_SEPARATOR < mmdb->data_section_size)
        return (struct spot){true, class_at(w, record - n - DATA_SEPARATOR)};
    w->damage = "a network points outside the file";
    return (struct spot){true, w->no_location_class};
}

/* libmaxminddb's MMDB_read_node without its calls: every node of millions is read once. Records of
 * 24, 28 or 32 bits; in the middle byte of two of 28 the upper half is the left one's. */
static void read_records(const uint8_t *p, unsigned bits, uint32_t out[2])
{
    if (bits == 28) {
        out[0] = (uint32_t)(p[3] & 0xf0) << 20 | bytes_get_u24(p);
        out[1] = bytes_get_u32(p + 3) & 0x0fffffff;
    } else if (bits == 24) {
        out[0] = bytes_get_u24(p);
        out[1] = bytes_get_u24(p + 3);
    } else {
        out[0] = bytes_get_u32(p);
        out[1] = bytes_get_u32(p + 4);
    }
}

/* Half of the walk's time was waiting for the cache's slots. */
static void prefetch_class(const struct walk *w, uint32_t record)
{
    uint32_t n = w->file->mmdb.metadata.node_count;

    if (record > n)
        __builtin_prefetch(&w->cache.slots[first_slot(&w->cache, record - n - DATA_SEPARATOR)]);
}

static void tell_progress(struct walk *w)
{
    struct compilation *common = w->common;

    if (common->progress == NULL)
        return;
    pthread_mutex_lock(&common->lock);
    progress_add(common->progress, PROGRESS_VISITS);
    pthread_mutex_unlock(&common->lock);
}

static void read_children(struct walk *w, uint32_t node_id, uint32_t children[2])
{
    const MMDB_s *mmdb = &w->file->mmdb;

    /* A tree has no more nodes than the file; writers share the IPv4 subtree among the prefixes
     * that embed it, nothing else. More visits than a few times that: the links run in circles. */
    if (++w->visits > w->visits_max || node_id >= mmdb->metadata.node_count) {
        w->damage = "its search tree is damaged";
        children[0] = children[1] = mmdb->metadata.node_count;
        return;
    }
    if (w->visits % PROGRESS_VISITS == 0)
        tell_progress(w);
    read_records(mmdb->file_content + (size_t)node_id * mmdb->full_record_byte_size,
                 mmdb->metadata.record_size, children);
    prefetch_class(w, children[0]);
    prefetch_class(w, children[1]);
}

static void emit(struct walk *w, uint32_t class_id, unsigned depth)
{
    BASE_GROW(w->leaves, w->n_leaves, w->leaves_cap);
    w->leaves[w->n_leaves++] = GEO_LEAF(class_id, depth);
}

/* Both halves of a prefix of this depth are out: two equal leaves become one. */
static void join(struct walk *w, unsigned depth)
{
    uint32_t *last = &w->leaves[w->n_leaves - 1];

    if (GEO_LEAF_DEPTH(*last) != depth + 1 || last[-1] != *last)
        return;
    last[-1] = GEO_LEAF(GEO_LEAF_CLASS(*last), depth);
    w->n_leaves--;
}

static void walk(struct walk *w, struct spot spot, uint32_t overlay, unsigned depth);

/* No override lies below. */
static void walk_alone(struct walk *w, struct spot spot, unsigned depth)
{
    uint32_t children[2];

    if (spot.is_leaf) {
        emit(w, spot.id, depth);
        return;
    }
    if (depth == w->bits)
        w->damage = "its search tree is deeper than an address";
    if (w->damage != NULL)
        return;
    read_children(w, spot.id, children);
    walk_alone(w, spot_of(w, children[0]), depth + 1);
    walk_alone(w, spot_of(w, children[1]), depth + 1);
    if (w->damage == NULL)
        join(w, depth);
}

static void walk_beside(struct walk *w, struct spot spot, uint32_t overlay, unsigned depth)
{
    const struct overlay_node *over = &w->overlay.nodes[overlay];
    struct spot children[2] = {spot, spot};

    if (over->class_id != NO_CLASS)
        children[0] = children[1] = spot = (struct spot){true, over->class_id};
    if (over->child[0] == 0 && over->child[1] == 0) {
        walk_alone(w, spot, depth);
        return;
    }
    if (w->damage != NULL)
        return;
    if (!spot.is_leaf) {
        uint32_t records[2];

        read_children(w, spot.id, records);
        children[0] = spot_of(w, records[0]);
        children[1] = spot_of(w, records[1]);
    }
    walk(w, children[0], over->child[0], depth + 1);
    walk(w, children[1], over->child[1], depth + 1);
    if (w->damage == NULL)
        join(w, depth);
}

static void walk(struct walk *w, struct spot spot, uint32_t overlay, unsigned depth)
{
    if (overlay == 0)
        walk_alone(w, spot, depth);
    else
        walk_beside(w, spot, overlay, depth);
}

/* ---- one family ---- */

static struct spot start_of(struct walk *w)
{
    const MMDB_s *mmdb = w->file == NULL ? NULL : &w->file->mmdb;

    if (mmdb == NULL)
        return (struct spot){true, w->no_location_class};
    if (w->family == 6 || mmdb->metadata.ip_version == 4)
        return (struct spot){false, 0};
    return spot_of(w, mmdb->ipv4_start_node.node_value);
}

static uint64_t node_count(const struct geo_file *file)
{
    return file == NULL ? 0 : file->mmdb.metadata.node_count;
}

static void *walk_family(void *arg)
{
    struct walk *w = arg;

    w->bits = w->family == 4 ? 32 : 128;
    w->no_location_class = w->common->no_location_class;
    w->overlay = overlay_of(w->common->plan, w->family);
    w->visits_max = 4 * node_count(w->file) + 1024;
    resize_cache(&w->cache, 1024);
    walk_beside(w, start_of(w), 0, 0);
    free(w->overlay.nodes);
    free(w->cache.slots);
    if (w->damage == NULL)
        geo_table_build(w->table, w->leaves, w->n_leaves);
    free(w->leaves);
    return NULL;
}

static struct outcome judge(const struct walk *w, struct errors *errors)
{
    struct place place = {.file = w->file == NULL ? NULL : w->file->path};

    if (w->damage != NULL) {
        errors_add(errors, place, "the GeoIP database cannot be used: %s", w->damage);
        return OUTCOME_FAILED;
    }
    if (w->damaged_records > 0)
        errors_warn(errors, place,
                    "%u of the GeoIP database's %u records are damaged and count as no location: "
                    "fetch it again",
                    w->damaged_records, w->records);
    return OUTCOME_OK;
}

static struct outcome compile_both(struct compilation *common, struct geo_map *map,
                                   const struct geo_db *db, struct errors *errors)
{
    struct geo_map_stats *stats = &map->stats;
    struct walk v4 = {.common = common, .family = 4, .table = &map->v4};
    struct walk v6 = {.common = common, .family = 6, .table = &map->v6};
    pthread_t thread;

    v4.file = db == NULL ? NULL : db->v4;
    v6.file = db == NULL ? NULL : db->v6;
    ensure(pthread_create(&thread, NULL, walk_family, &v6) == 0);
    walk_family(&v4);
    pthread_join(thread, NULL);
    if (has_failed(judge(&v4, errors)) || has_failed(judge(&v6, errors)))
        return OUTCOME_FAILED;
    stats->leaves_v4 = (uint32_t)v4.n_leaves;
    stats->leaves_v6 = (uint32_t)v6.n_leaves;
    stats->damaged_records = v4.damaged_records + v6.damaged_records;
    stats->records = v4.records + v6.records;
    stats->bytes = sizeof(*map) + geo_table_bytes(&map->v4) + geo_table_bytes(&map->v6);
    return OUTCOME_OK;
}

struct geo_map *geo_compile(const struct geo_db *db, const struct geo_plan *plan,
                            struct progress *progress, struct errors *errors)
{
    struct geo_map *map = base_zalloc(1, sizeof(*map));
    struct compilation common = {.plan = plan, .progress = progress};
    int64_t started_us = clock_mono_us();
    struct outcome result;

    if (progress != NULL)
        progress_start(progress, "compiling the GeoIP database",
                       db == NULL ? 0 : node_count(db->v4) + node_count(db->v6));
    common.no_location_class = plan->classify(plan->arg, NULL);
    ensure(common.no_location_class < GEO_CLASSES_MAX);
    pthread_mutex_init(&common.lock, NULL);
    result = compile_both(&common, map, db, errors);
    pthread_mutex_destroy(&common.lock);
    if (progress != NULL)
        progress_end(progress);
    if (has_failed(result)) {
        geo_map_free(map);
        return NULL;
    }
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
