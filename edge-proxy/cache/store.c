/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The index, the budget and S3-FIFO (Yang et al., SOSP 2023): new objects enter a small queue that
 * holds a tenth of the bytes; those asked for again move on to the main queue when they reach its
 * end, the others leave and are remembered as ghosts; a ghost that comes back enters the main queue
 * at once. A hit only raises a counter of two bits.
 */
#include "edge-proxy/cache/cache_internal.h"

#define XXH_INLINE_ALL
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <xxhash.h>

enum { FIRST_BUCKETS = 1024, GHOST_OBJECT_BYTES = 2048 };

static uint64_t open_files_max(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

struct cache *cache_new(uint64_t memory_bytes, uint64_t max_object_bytes)
{
    struct cache *c = aligned_alloc(CACHE_LINE, sizeof(*c));

    ensure(c != NULL);
    memset(c, 0, sizeof(*c));
    cache_set_limits(c, memory_bytes, max_object_bytes);
    c->files_max = open_files_max() / CACHE_FILES_SHARE;
    c->purges = purge_marks_new(PURGE_BUCKETS);
    ensure(getrandom(&c->seed, sizeof(c->seed), 0) == sizeof(c->seed));
    for (size_t i = 0; i < CACHE_SHARDS; i++) {
        struct cache_shard *s = &c->shards[i];

        pthread_mutex_init(&s->lock, NULL);
        s->n_buckets = FIRST_BUCKETS;
        s->buckets = base_zalloc(s->n_buckets, sizeof(s->buckets[0]));
        s->n_ghosts = 1024;
        while (s->n_ghosts * GHOST_OBJECT_BYTES * CACHE_SHARDS < memory_bytes)
            s->n_ghosts *= 2;
        s->ghosts = base_zalloc(s->n_ghosts, sizeof(s->ghosts[0]));
    }
    return c;
}

void cache_set_limits(struct cache *c, uint64_t memory_bytes, uint64_t max_object_bytes)
{
    atomic_store_explicit(&c->memory_bytes, memory_bytes, memory_order_relaxed);
    atomic_store_explicit(&c->max_object_bytes, max_object_bytes, memory_order_relaxed);
}

void cache_set_disk(struct cache *c, struct disk *d)
{
    c->disk = d;
}

void cache_free(struct cache *c)
{
    if (c->disk != NULL)
        disk_close(c->disk); /* nobody loads or writes any more */
    for (size_t i = 0; i < CACHE_SHARDS; i++) {
        struct cache_shard *s = &c->shards[i];
        struct cache_object *dropped = NULL;

        ensure(s->flights == NULL);
        for (size_t b = 0; b < s->n_buckets; b++)
            while (s->buckets[b] != NULL)
                store_remove(s, s->buckets[b], &dropped);
        store_release_dropped(dropped);
        free(s->buckets);
        free(s->ghosts);
        pthread_mutex_destroy(&s->lock);
    }
    ensure(atomic_load(&c->used_bytes) == 0);
    purge_marks_free(c->purges);
    free(c);
}

struct purge_marks *cache_purges(const struct cache *c)
{
    return c->purges;
}

uint64_t store_hash(const struct cache *c, struct str key)
{
    return XXH3_64bits_withSeed(key.p, key.n, c->seed);
}

struct cache_shard *store_shard(struct cache *c, uint64_t hash)
{
    return &c->shards[hash >> 60]; /* the buckets use the low bits */
}

_Static_assert(CACHE_SHARDS == 16, "store_shard takes four bits");

/* ---- Queues ---- */

static struct queue *queue_of(struct cache_shard *s, const struct cache_object *o)
{
    return o->queue == QUEUE_SMALL ? &s->small : &s->main;
}

/* What an object weighs in its queue: the body is known by then, or grows (its reservation). */
static uint64_t weight(const struct cache_object *o)
{
    uint64_t bytes = o->own_bytes;

    if (o->body != NULL)
        bytes += CACHE_BODY_OVERHEAD;
    if (o->body != NULL)
        bytes += o->body->expected_bytes != UINT64_MAX
                     ? o->body->expected_bytes
                     : atomic_load_explicit(&o->body->available, memory_order_relaxed);
    return bytes;
}

static void add_bytes(struct cache_shard *s, struct queue *q, int64_t bytes)
{
    q->bytes += (uint64_t)bytes;
    atomic_store_explicit(&s->bytes, s->small.bytes + s->main.bytes, memory_order_relaxed);
}

static void queue_push(struct cache_shard *s, struct cache_object *o, enum object_queue which)
{
    struct queue *q;

    o->queue = (uint8_t)which;
    q = queue_of(s, o);
    o->newer = NULL;
    o->older = q->newest;
    if (q->newest != NULL)
        q->newest->newer = o;
    else
        q->oldest = o;
    q->newest = o;
    add_bytes(s, q, (int64_t)weight(o));
}

static void queue_remove(struct cache_shard *s, struct cache_object *o)
{
    struct queue *q = queue_of(s, o);

    if (o->newer != NULL)
        o->newer->older = o->older;
    else
        q->newest = o->older;
    if (o->older != NULL)
        o->older->newer = o->newer;
    else
        q->oldest = o->newer;
    add_bytes(s, q, -(int64_t)weight(o));
    o->queue = QUEUE_NONE;
}

/* ---- Ghosts ---- */

static void ghost_add(struct cache_shard *s, uint64_t hash)
{
    s->n_ghosted++;
    s->ghosts[hash & (s->n_ghosts - 1)] = (hash & 0xffffffff00000000) | s->n_ghosted;
}

static bool ghost_take(struct cache_shard *s, uint64_t hash)
{
    uint64_t *slot = &s->ghosts[hash & (s->n_ghosts - 1)];
    bool is_known =
        *slot != 0 && (*slot ^ hash) >> 32 == 0 && s->n_ghosted - (uint32_t)*slot < s->n_ghosts;

    if (is_known)
        *slot = 0;
    return is_known;
}

/* ---- Index ---- */

static void grow(struct cache_shard *s)
{
    size_t n = s->n_buckets * 2;
    struct cache_object **buckets = base_zalloc(n, sizeof(buckets[0]));

    for (size_t b = 0; b < s->n_buckets; b++)
        for (struct cache_object *o = s->buckets[b], *next; o != NULL; o = next) {
            struct cache_object **slot = &buckets[o->hash & (n - 1)];

            next = o->chain;
            o->chain = *slot;
            *slot = o;
        }
    free(s->buckets);
    s->buckets = buckets;
    s->n_buckets = n;
}

struct cache_object *store_first(struct cache_shard *s, uint64_t hash)
{
    return s->buckets[hash & (s->n_buckets - 1)];
}

void store_remove(struct cache_shard *s, struct cache_object *o, struct cache_object **dropped)
{
    struct cache_object **link = &s->buckets[o->hash & (s->n_buckets - 1)];

    ensure(o->is_indexed);
    while (*link != o)
        link = &(*link)->chain;
    *link = o->chain;
    o->is_indexed = false;
    s->n_objects--;
    queue_remove(s, o);
    o->chain = *dropped;
    *dropped = o;
}

/* Those that the new object takes the place of: pass markers, the same variant, and the oldest
 * variant when there are too many. */
static void make_place(struct cache_shard *s, const struct cache_object *o,
                       struct cache_object **dropped)
{
    struct cache_object *oldest = NULL, *next;
    unsigned n_variants = 0;

    for (struct cache_object *x = store_first(s, o->hash); x != NULL; x = next) {
        next = x->chain;
        if (x->hash != o->hash || !str_eq(object_key(x), object_key(o)))
            continue;
        if (x->kind != OBJECT_RESPONSE || o->kind != OBJECT_RESPONSE ||
            str_eq(object_vary(x), object_vary(o))) {
            store_remove(s, x, dropped);
        } else {
            n_variants++;
            oldest = x; /* the chain is newest first */
        }
    }
    if (n_variants >= CACHE_VARIANTS_MAX)
        store_remove(s, oldest, dropped);
}

void store_insert(struct cache_shard *s, struct cache_object *o, struct cache_object **dropped)
{
    struct cache_object **slot;

    make_place(s, o, dropped);
    if (s->n_objects >= s->n_buckets)
        grow(s);
    slot = &s->buckets[o->hash & (s->n_buckets - 1)];
    o->chain = *slot;
    *slot = o;
    o->is_indexed = true;
    s->n_objects++;
    s->insertions++;
    cache_object_hold(o);
    queue_push(s, o, ghost_take(s, o->hash) ? QUEUE_MAIN : QUEUE_SMALL);
}

bool store_has_variant(const struct cache_shard *s, const struct cache_object *o)
{
    for (const struct cache_object *x = s->buckets[o->hash & (s->n_buckets - 1)]; x != NULL;
         x = x->chain)
        if (x->hash == o->hash && x->kind == OBJECT_RESPONSE &&
            str_eq(object_key(x), object_key(o)) && str_eq(object_vary(x), object_vary(o)))
            return true;
    return false;
}

bool store_is_indexed(struct cache_object *o)
{
    struct cache_shard *s = store_shard(o->cache, o->hash);
    bool is_indexed;

    pthread_mutex_lock(&s->lock);
    is_indexed = o->is_indexed;
    pthread_mutex_unlock(&s->lock);
    return is_indexed;
}

void store_grow(struct cache_shard *s, struct cache_object *o, uint64_t bytes)
{
    if (o->is_indexed)
        add_bytes(s, queue_of(s, o), (int64_t)bytes);
}

void store_release_dropped(struct cache_object *dropped)
{
    for (struct cache_object *o = dropped, *next; o != NULL; o = next) {
        next = o->chain;
        cache_object_release(o);
    }
}

/* ---- Budget ---- */

/* In use, or growing: evicting it would free nothing now. */
static bool is_pinned(const struct cache_object *o)
{
    return atomic_load_explicit(&o->refs, memory_order_relaxed) > 1 ||
           (o->body != NULL &&
            atomic_load_explicit(&o->body->state, memory_order_relaxed) == BODY_FILLING);
}

/* One step of S3-FIFO: an object leaves, or moves on. */
static void evict_step(struct cache_shard *s, struct cache_object **dropped)
{
    bool is_small_due =
        s->small.oldest != NULL &&
        (s->main.oldest == NULL || s->small.bytes * 10 >= s->small.bytes + s->main.bytes);
    struct cache_object *o = is_small_due ? s->small.oldest : s->main.oldest;
    unsigned frequency = atomic_load_explicit(&o->frequency, memory_order_relaxed);
    bool is_purged = object_check_purges(o) == PURGE_HARD;

    if (is_pinned(o) || (frequency > 0 && !is_purged)) {
        queue_remove(s, o);
        if (!is_small_due && frequency > 0)
            frequency--;
        else if (is_small_due)
            frequency = 0;
        atomic_store_explicit(&o->frequency, (uint8_t)frequency, memory_order_relaxed);
        queue_push(s, o, QUEUE_MAIN);
        return;
    }
    if (is_small_due && !is_purged)
        ghost_add(s, o->hash);
    s->evictions++;
    store_remove(s, o, dropped);
}

static bool is_over(const struct cache *c)
{
    return atomic_load_explicit(&c->used_bytes, memory_order_relaxed) >
           atomic_load_explicit(&c->memory_bytes, memory_order_relaxed);
}

/* The shard that holds most of what may still be evicted, NULL: none does. */
static struct cache_shard *fullest(struct cache *c, unsigned exhausted)
{
    struct cache_shard *best = NULL;
    uint64_t most = 0;

    for (unsigned i = 0; i < CACHE_SHARDS; i++) {
        uint64_t bytes = atomic_load_explicit(&c->shards[i].bytes, memory_order_relaxed);

        if (bytes > most && (exhausted >> i & 1) == 0) {
            most = bytes;
            best = &c->shards[i];
        }
    }
    return best;
}

/* Some steps in one shard, few enough that the lock is never held for long. False: it has nothing
 * left that can leave, after so many steps that each object has had its chances. */
static bool evict_some(struct cache *c, struct cache_shard *s, size_t *steps)
{
    struct cache_object *dropped = NULL;
    size_t left;

    pthread_mutex_lock(&s->lock);
    for (left = 16; left > 0 && s->n_objects > 0 && is_over(c) && dropped == NULL; left--)
        evict_step(s, &dropped);
    *steps = dropped != NULL ? 0 : *steps + 16 - left;
    left = s->n_objects * (CACHE_FREQUENCY_MAX + 2);
    pthread_mutex_unlock(&s->lock);
    store_release_dropped(dropped);
    return *steps < left;
}

/* Always from the fullest shard, so that no key suffers for the shard it fell into. */
static void evict(struct cache *c)
{
    unsigned exhausted = 0;
    struct cache_shard *s = NULL, *now;
    size_t steps = 0;

    while (is_over(c) && (now = fullest(c, exhausted)) != NULL) {
        if (now != s)
            steps = 0;
        s = now;
        if (!evict_some(c, s, &steps))
            exhausted |= 1u << (s - c->shards);
    }
}

bool store_reserve(struct cache *c, uint64_t bytes)
{
    if (bytes > atomic_load_explicit(&c->memory_bytes, memory_order_relaxed))
        return false;
    atomic_fetch_add_explicit(&c->used_bytes, bytes, memory_order_relaxed);
    if (is_over(c))
        evict(c);
    if (!is_over(c))
        return true;
    store_unreserve(c, bytes);
    atomic_fetch_add_explicit(&c->no_room, 1, memory_order_relaxed);
    return false;
}

void store_unreserve(struct cache *c, uint64_t bytes)
{
    atomic_fetch_sub_explicit(&c->used_bytes, bytes, memory_order_relaxed);
}

void cache_read_figures(const struct cache *c, struct cache_figures *out)
{
    *out = (struct cache_figures){
        .bytes = atomic_load_explicit(&c->used_bytes, memory_order_relaxed),
        .bytes_limit = atomic_load_explicit(&c->memory_bytes, memory_order_relaxed),
        .no_room = atomic_load_explicit(&c->no_room, memory_order_relaxed),
        .purged_soft = atomic_load_explicit(&c->purged_soft, memory_order_relaxed),
    };
    for (size_t i = 0; i < CACHE_SHARDS; i++) {
        struct cache_shard *s = (struct cache_shard *)&c->shards[i];

        pthread_mutex_lock(&s->lock);
        out->lookups += s->lookups;
        out->hits += s->hits;
        out->objects += s->n_objects;
        out->insertions += s->insertions;
        out->evictions += s->evictions;
        out->collapsed += s->collapsed;
        out->purged += s->purged;
        pthread_mutex_unlock(&s->lock);
    }
}
