/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a database says, made small: its search tree walked once, on all cores, and each of its
 * records read once.
 *
 *   split the tree ─▶ walk the parts ─▶ read the records ─▶ number the places ─▶ join the leaves
 *   (in order)        (offset, depth)   (by offset)          (each once)          (place, depth)
 *
 * The walk does not look at records: it only marks in a bitmap where they begin, so that parts
 * share nothing else. A record's number is then the count of marks before its own.
 */
#include "gslb-dns/geo/geo_internal.h"

#include "common/bytes/bytes.h"
#include "common/clock/clock.h"
#include "common/net/net.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    DATA_SEPARATOR = 16, /* zero bytes between the tree and the data */
    VISITS_BLOCK = 65536,
    SPLIT_DEPTH_V4 = 10, /* parts small enough to be dealt out evenly */
    SPLIT_DEPTH_V6 = 20,
    CHUNK_WORDS = 512, /* of the bitmap, for one core to read the records of */
};

/* The database's records. */
struct records {
    const struct geo_file *file;
    uint32_t n_nodes;
    size_t n_words;
    _Atomic uint64_t *begins; /* a bit for each byte of the data that a record begins at */
    uint32_t *before;         /* by word: how many begin before it */
    uint32_t n;
    _Atomic size_t next_chunk; /* to be taken by a worker */
    struct geo_place *read;
    uint32_t *place_of; /* by record: its number among the distinct ones */
};

/* A part of the tree, and what became of it: n raw leaves of a worker's. */
struct part {
    struct records *records;
    uint32_t node;
    uint8_t family, depth;
    struct worker *worker;
    size_t first, n;
};

/* A leaf as the tree has it: the depth below, above it the offset of the record plus one, 0 for
 * none. */
#define RAW_LEAF(offset_plus_one, depth) ((uint64_t)(offset_plus_one) << 8 | (depth))

struct survey;
struct worker {
    struct survey *survey;
    pthread_t thread;
    const struct part *part;
    uint64_t *leaves;
    size_t n_leaves, leaves_cap;
    uint64_t visits;
    uint32_t damaged_records;
};

struct survey {
    struct records records[2]; /* by the db's files */
    const struct geo_db *db;
    struct part *parts; /* in the order of addresses, IPv4 first */
    size_t n_parts, parts_cap, n_v4_parts;
    struct worker *workers;
    size_t n_workers;
    struct geo_places *out;
    _Atomic size_t next; /* part to be taken by a worker */
    _Atomic uint64_t visits;
    uint64_t visits_max;
    const char *_Atomic damage; /* sticky: what is wrong with the tree */
    pthread_mutex_t lock;       /* of progress */
    struct progress *progress;
};

static void run_workers(struct survey *s, size_t n, void *(*work)(void *worker))
{
    n = n < s->n_workers ? n : s->n_workers;
    for (size_t i = 1; i < n; i++) {
        ensure(pthread_create(&s->workers[i].thread, NULL, work, &s->workers[i]) == 0);
        pthread_setname_np(s->workers[i].thread, "read-geoip");
    }
    work(&s->workers[0]);
    for (size_t i = 1; i < n; i++)
        pthread_join(s->workers[i].thread, NULL);
}

/* ---- the tree ---- */

/* libmaxminddb's MMDB_read_node without its calls: every node of millions is read once. Records of
 * 24, 28 or 32 bits; in the middle byte of two of 28 the upper half is the left one's. */
static void read_node(const struct records *r, uint32_t node, uint32_t out[2])
{
    const MMDB_s *mmdb = &r->file->mmdb;
    const uint8_t *p = mmdb->file_content + (size_t)node * mmdb->full_record_byte_size;

    if (mmdb->metadata.record_size == 28) {
        out[0] = (uint32_t)(p[3] & 0xf0) << 20 | bytes_get_u24(p);
        out[1] = bytes_get_u32(p + 3) & 0x0fffffff;
    } else if (mmdb->metadata.record_size == 24) {
        out[0] = bytes_get_u24(p);
        out[1] = bytes_get_u24(p + 3);
    } else {
        out[0] = bytes_get_u32(p);
        out[1] = bytes_get_u32(p + 4);
    }
}

typedef unsigned __int128 wide; /* an address, left-aligned */

static wide wide_of(const struct ip *ip)
{
    wide w = 0;

    for (unsigned i = 0; i < 16; i++)
        w = w << 8 | (i < ip_bits(ip) / 8 ? ip->bytes[i] : 0);
    return w;
}

static wide first_bits(wide address, unsigned n)
{
    return n == 0 ? 0 : address >> (128 - n);
}

/* Whether a prefix that embeds IPv4 lies below this one, or is it. */
static bool has_embedding(wide address, unsigned depth, bool *is_it)
{
    bool has = false;

    *is_it = false;
    for (unsigned i = 0; i < GEO_EMBEDDINGS; i++) {
        const struct prefix *p = &geo_embeddings[i].prefix;

        if (p->length < depth || first_bits(wide_of(&p->ip), depth) != first_bits(address, depth))
            continue;
        has = true;
        *is_it = *is_it || p->length == depth;
    }
    return has;
}

/* Deals the tree out into parts. What embeds IPv4 is left out of IPv6: geo_compile puts the IPv4
 * map there, and a database may have all of IPv4 at each such place. */
static void split(struct survey *s, const struct part *whole, wide address)
{
    struct part part = *whole, halves[2] = {*whole, *whole};
    unsigned enough = whole->family == 4 ? SPLIT_DEPTH_V4 : SPLIT_DEPTH_V6;
    bool is_embedding = false;
    bool is_above = whole->family == 6 && has_embedding(address, whole->depth, &is_embedding);
    uint32_t children[2];

    if (is_embedding)
        part.node = part.records->n_nodes;
    if (is_embedding || part.node >= part.records->n_nodes || (part.depth >= enough && !is_above)) {
        BASE_GROW(s->parts, s->n_parts, s->parts_cap);
        s->parts[s->n_parts++] = part;
        return;
    }
    read_node(part.records, part.node, children);
    for (unsigned side = 0; side < 2; side++) {
        halves[side].node = children[side];
        halves[side].depth++;
        split(s, &halves[side], address | (wide)side << (127 - part.depth));
    }
}

static void tell_visits(struct worker *w)
{
    struct survey *s = w->survey;

    /* A tree has no more nodes than the file; writers share the IPv4 subtree among the prefixes
     * that embed it, nothing else. More visits than a few times that: the links run in circles. */
    if (atomic_fetch_add(&s->visits, VISITS_BLOCK) > s->visits_max)
        s->damage = "its search tree is damaged";
    if (s->progress == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    progress_add(s->progress, VISITS_BLOCK);
    pthread_mutex_unlock(&s->lock);
}

/* What a record of the tree leads to: below n_nodes a node, that number itself nothing, above it
 * data, counted from the end of the tree. */
static void take_leaf(struct worker *w, uint32_t record, unsigned depth)
{
    struct records *r = w->part->records;
    uint32_t offset = record - r->n_nodes - DATA_SEPARATOR;

    BASE_GROW(w->leaves, w->n_leaves, w->leaves_cap);
    if (record == r->n_nodes) {
        w->leaves[w->n_leaves++] = RAW_LEAF(0, depth);
        return;
    }
    if (record - r->n_nodes < DATA_SEPARATOR || offset >= r->file->mmdb.data_section_size) {
        w->survey->damage = "a network points outside the file";
        return;
    }
    w->leaves[w->n_leaves++] = RAW_LEAF((uint64_t)offset + 1, depth);
    if (!(atomic_load_explicit(&r->begins[offset / 64], memory_order_relaxed) >> offset % 64 & 1))
        atomic_fetch_or_explicit(&r->begins[offset / 64], (uint64_t)1 << offset % 64,
                                 memory_order_relaxed);
}

static void walk(struct worker *w, uint32_t record, unsigned depth)
{
    uint32_t children[2];

    if (record >= w->part->records->n_nodes) {
        take_leaf(w, record, depth);
        return;
    }
    if (depth == (w->part->family == 4 ? 32 : 128))
        w->survey->damage = "its search tree is deeper than an address";
    if (++w->visits % VISITS_BLOCK == 0)
        tell_visits(w);
    if (atomic_load_explicit(&w->survey->damage, memory_order_relaxed) != NULL)
        return;
    read_node(w->part->records, record, children);
    walk(w, children[0], depth + 1);
    walk(w, children[1], depth + 1);
}

static void *walk_parts(void *arg)
{
    struct worker *w = arg;
    size_t i;

    while ((i = atomic_fetch_add(&w->survey->next, 1)) < w->survey->n_parts) {
        struct part *part = &w->survey->parts[i];

        w->part = part;
        part->worker = w;
        part->first = w->n_leaves;
        walk(w, part->node, part->depth);
        part->n = w->n_leaves - part->first;
    }
    return NULL;
}

static void split_family(struct survey *s, const struct geo_file *file, uint8_t family)
{
    const MMDB_s *mmdb = &file->mmdb;
    struct part whole = {.records = &s->records[file - s->db->files], .family = family};

    if (family == 4 && mmdb->metadata.ip_version == 6)
        whole.node = mmdb->ipv4_start_node.node_value;
    split(s, &whole, 0);
}

/* ---- the records ---- */

static void open_records(struct records *r, const struct geo_file *file)
{
    *r = (struct records){.file = file,
                          .n_nodes = file->mmdb.metadata.node_count,
                          .n_words = file->mmdb.data_section_size / 64 + 1};
    r->begins = base_zalloc(r->n_words, sizeof(*r->begins));
}

static void number_records(struct records *r)
{
    r->before = base_alloc(r->n_words * sizeof(*r->before));
    for (size_t i = 0; i < r->n_words; i++) {
        r->before[i] = r->n;
        r->n += (uint32_t)__builtin_popcountll(r->begins[i]);
    }
    r->read = base_zalloc(r->n + 1, sizeof(*r->read));
    r->place_of = base_zalloc(r->n + 1, sizeof(*r->place_of));
}

static void read_chunk(struct worker *w, struct records *r, size_t chunk)
{
    size_t end = (chunk + 1) * CHUNK_WORDS < r->n_words ? (chunk + 1) * CHUNK_WORDS : r->n_words;

    for (size_t i = chunk * CHUNK_WORDS; i < end; i++) {
        struct geo_place *out = &r->read[r->before[i]];

        for (uint64_t left = r->begins[i]; left != 0; left &= left - 1) {
            uint32_t offset = (uint32_t)(i * 64 + (unsigned)__builtin_ctzll(left));
            struct geo_location where;

            if (has_failed(geo_record_read(&r->file->mmdb, r->file->layout, offset, &where)))
                w->damaged_records++;
            *out++ = geo_place_of(&where);
        }
    }
}

static void *read_records(void *arg)
{
    struct worker *w = arg;
    size_t n, i;

    for (size_t f = 0; f < w->survey->db->n_files; f++) {
        struct records *r = &w->survey->records[f];

        n = (r->n_words + CHUNK_WORDS - 1) / CHUNK_WORDS;
        while ((i = atomic_fetch_add(&r->next_chunk, 1)) < n)
            read_chunk(w, r, i);
    }
    return NULL;
}

/* ---- the places ---- */

struct place_set {
    struct geo_places *out;
    uint32_t *slots; /* place, 0: empty, for the first place is not looked for */
    uint32_t mask, cap;
};

static uint32_t hash_place(const struct geo_place *p)
{
    uint64_t words[sizeof(*p) / 8], h = 0;

    memcpy(words, p, sizeof(*p));
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        h = (h ^ words[i]) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    return (uint32_t)h;
}

static uint32_t number_place(struct place_set *set, const struct geo_place *p)
{
    struct geo_places *out = set->out;
    uint32_t i = hash_place(p) & set->mask;

    if (p->flags == 0)
        return 0;
    while (set->slots[i] != 0) {
        if (memcmp(&out->places[set->slots[i]], p, sizeof(*p)) == 0)
            return set->slots[i];
        i = (i + 1) & set->mask;
    }
    BASE_GROW(out->places, out->n_places, set->cap);
    set->slots[i] = out->n_places;
    out->places[out->n_places] = *p;
    return out->n_places++;
}

/* Place 0 is that of who has none. */
static void number_places(struct survey *s)
{
    struct place_set set = {.out = s->out, .mask = 1023};
    uint32_t n = s->records[0].n + s->records[1].n;

    while (set.mask < 2 * n)
        set.mask = 2 * set.mask + 1;
    set.slots = base_zalloc((size_t)set.mask + 1, sizeof(*set.slots));
    BASE_GROW(s->out->places, s->out->n_places, set.cap);
    s->out->places[s->out->n_places++] = (struct geo_place){0};
    for (size_t f = 0; f < s->db->n_files; f++)
        for (uint32_t i = 0; i < s->records[f].n; i++)
            s->records[f].place_of[i] = number_place(&set, &s->records[f].read[i]);
    free(set.slots);
}

static uint32_t place_at(const struct records *r, uint64_t offset_plus_one)
{
    uint64_t offset = offset_plus_one - 1;
    uint64_t below = ((uint64_t)1 << offset % 64) - 1;

    if (offset_plus_one == 0)
        return 0;
    return r->place_of[r->before[offset / 64] +
                       (unsigned)__builtin_popcountll(r->begins[offset / 64] & below)];
}

static void join_part(struct geo_leaves *out, const struct part *part)
{
    const uint64_t *leaves = part->worker->leaves + part->first;

    for (size_t i = 0; i < part->n; i++) {
        uint32_t place = place_at(part->records, leaves[i] >> 8);
        geo_leaves_add(out, place, (uint8_t)leaves[i]);
    }
}

static void *join_families(void *arg)
{
    struct worker *w = arg;
    struct survey *s = w->survey;
    bool is_alone = s->n_workers == 1, is_first = w == s->workers;

    for (size_t i = 0; (is_first || is_alone) && i < s->n_v4_parts; i++)
        join_part(&s->out->v4, &s->parts[i]);
    for (size_t i = s->n_v4_parts; (!is_first || is_alone) && i < s->n_parts; i++)
        join_part(&s->out->v6, &s->parts[i]);
    return NULL;
}

/* ---- all of it ---- */

static void start_survey(struct survey *s)
{
    uint64_t nodes = 0;

    for (size_t f = 0; f < s->db->n_files; f++) {
        open_records(&s->records[f], &s->db->files[f]);
        nodes += s->records[f].n_nodes;
    }
    if (s->progress != NULL)
        progress_start(s->progress, "reading the GeoIP database", nodes);
    if (s->db->v4 != NULL)
        split_family(s, s->db->v4, 4);
    s->n_v4_parts = s->n_parts;
    if (s->db->v6 != NULL)
        split_family(s, s->db->v6, 6);
    s->n_workers = net_cpu_count();
    s->workers = base_zalloc(s->n_workers, sizeof(*s->workers));
    for (size_t i = 0; i < s->n_workers; i++)
        s->workers[i].survey = s;
    s->visits_max = 4 * nodes + (1 + s->n_workers) * VISITS_BLOCK;
    pthread_mutex_init(&s->lock, NULL);
}

static void end_survey(struct survey *s)
{
    for (size_t f = 0; f < s->db->n_files; f++) {
        free(s->records[f].begins);
        free(s->records[f].before);
        free(s->records[f].read);
        free(s->records[f].place_of);
    }
    for (size_t i = 0; i < s->n_workers; i++)
        free(s->workers[i].leaves);
    free(s->workers);
    free(s->parts);
    pthread_mutex_destroy(&s->lock);
    if (s->progress != NULL)
        progress_end(s->progress);
}

static void survey(struct survey *s)
{
    start_survey(s);
    run_workers(s, s->n_parts, walk_parts);
    if (s->damage != NULL)
        return;
    for (size_t f = 0; f < s->db->n_files; f++)
        number_records(&s->records[f]);
    run_workers(s, SIZE_MAX, read_records);
    number_places(s);
    run_workers(s, 2, join_families);
    geo_leaves_end(&s->out->v4);
    geo_leaves_end(&s->out->v6);
    s->out->records = s->records[0].n + s->records[1].n;
    for (size_t i = 0; i < s->n_workers; i++)
        s->out->damaged_records += s->workers[i].damaged_records;
    if (s->out->n_places > GEO_CLASSES_MAX)
        s->damage = "it knows more distinct places than the map can hold";
}

void geo_places_warn(const struct geo_places *p, const struct geo_db *db, struct errors *errors)
{
    if (p->damaged_records > 0)
        errors_warn(errors, (struct place){.file = db->files[0].path},
                    "%u of the GeoIP database's %u records are damaged and count as no location: "
                    "fetch it again",
                    p->damaged_records, p->records);
}

struct geo_places *geo_places_read(const struct geo_db *db, struct progress *progress,
                                   struct errors *errors)
{
    struct geo_places *out = base_zalloc(1, sizeof(*out));
    struct survey s = {.db = db, .out = out, .progress = progress};
    int64_t started_us = clock_mono_us();

    out->origin = geo_origin_of(db);
    out->text = geo_describe(db);
    survey(&s);
    end_survey(&s);
    if (s.damage != NULL) {
        errors_add(errors, (struct place){.file = db->files[0].path},
                   "the GeoIP database cannot be used: %s", s.damage);
        geo_places_free(out);
        return NULL;
    }
    geo_places_warn(out, db, errors);
    out->read_ms = (double)(clock_mono_us() - started_us) / 1000;
    return out;
}

void geo_places_free(struct geo_places *p)
{
    if (p == NULL)
        return;
    free(p->text);
    if (p->file == NULL) { /* else they lie in it */
        free(p->places);
        free(p->v4.words);
        free(p->v6.words);
    }
    free(p->file);
    free(p);
}

const char *geo_places_text(const struct geo_places *p)
{
    return p->text;
}

double geo_places_read_ms(const struct geo_places *p)
{
    return p->read_ms;
}
