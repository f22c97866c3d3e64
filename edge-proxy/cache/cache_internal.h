/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the cache room share. The locks are told at each struct. */
#ifndef EDGE_PROXY_CACHE_INTERNAL_H
#define EDGE_PROXY_CACHE_INTERNAL_H

#include "edge-proxy/cache/cache.h"
#include "edge-proxy/disk/disk.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    CACHE_SHARDS = 16,
    CACHE_SEGMENT_MIN = 16 << 10, /* first segment of a body of unknown length */
    CACHE_SEGMENT_MAX = 1 << 20,
    CACHE_FILE_MIN = 256 << 10, /* below it sendfile costs more than a copy */
    CACHE_FILES_SHARE = 8,      /* of the files that may be open, one in so many */
    CACHE_WINDOW = 256 << 10,   /* of a body that has outgrown the store */
    CACHE_PASS_S = 120,         /* a key found uncacheable skips the queue for so long */
    CACHE_FREQUENCY_MAX = 3,
    CACHE_MALLOC_OVERHEAD = 8, /* of each allocation, as glibc has it */
    CACHE_INDEX_OVERHEAD = 16, /* of each object: its share of the buckets, which double */
};

/* ---- Waiting ---- */

struct waiter_list {
    struct cache_waiter *first, **last;
};

/* One who waits: in exactly one list (under the shard's lock), or in the mail to its loop. Its
 * loop's thread alone looks at is_cancelled. Freed when the letter arrives or by a cancel. */
struct cache_waiter {
    struct cache_waiter *next, **prev;
    struct waiter_list *list; /* NULL: in the mail. The shard's lock. */
    struct cache_shard *shard;
    struct cache_waker waker;
    struct cache_waiter **owner; /* cleared when the letter arrives; or NULL */
    bool is_cancelled;
    enum cache_wake why;
    unsigned fail_status;
};

void waiters_init(struct waiter_list *l);
struct cache_waiter *waiters_add(struct waiter_list *l, struct cache_shard *shard,
                                 const struct cache_waker *waker);
/* Moves all to *out; the shard's lock is held. */
void waiters_take(struct waiter_list *l, struct waiter_list *out);
/* Posts them; no lock is held. */
void waiters_wake(struct waiter_list *l, enum cache_wake why, unsigned fail_status);

/* ---- Bodies ---- */

/* A run of body bytes. Never moves; what it holds is told by the body's available. */
struct cache_segment {
    struct cache_segment *next; /* published by the store to available that follows it */
    uint64_t start;             /* position of its first byte */
    size_t cap;
    uint8_t bytes[];
};

enum body_state { BODY_FILLING, BODY_WHOLE, BODY_BROKEN };

/* While a body grows. The shard's lock. */
struct cache_fill {
    struct waiter_list waiters; /* readers at the end */
    struct waiter_list resume;  /* the filler, stopped by a full window */
    struct cache_reader *readers;
    struct cache_segment *last;   /* the filler's */
    struct cache_waiter *stopped; /* the filler's own, on its thread */
    _Atomic bool is_windowed;
};

struct cache_body {
    _Atomic uint32_t refs; /* objects that share it */
    _Atomic uint8_t state;
    bool is_file;               /* its one segment is: see segment.c */
    bool has_inline;            /* its one segment lies behind it */
    _Atomic uint64_t available; /* bytes that may be read */
    uint64_t expected_bytes;    /* UINT64_MAX: not known */
    struct cache *cache;
    struct cache_shard *shard;
    struct cache_segment *first;
    uint64_t held_bytes;     /* of segments, as accounted */
    struct cache_fill *fill; /* NULL once it has ended. The shard's lock. */
};

enum {
    CACHE_SEGMENT_OVERHEAD = sizeof(struct cache_segment) + CACHE_MALLOC_OVERHEAD,
    CACHE_BODY_OVERHEAD = sizeof(struct cache_body) + CACHE_SEGMENT_OVERHEAD,
};

/* What a body of this length needs behind it: a small one that is known is one allocation; else 0.
 */
static inline size_t segment_inline_bytes(uint64_t expected_bytes)
{
    return expected_bytes < CACHE_FILE_MIN ? sizeof(struct cache_segment) + expected_bytes : 0;
}

/* segment.c. For b, behind those it has. */
struct cache_segment *segment_new(struct cache_body *b, size_t cap);
void segment_free(struct cache_body *b, struct cache_segment *s);
/* A body to be filled; bytes are already reserved for expected_bytes when that is known. */
struct cache_body *body_new(struct cache *c, struct cache_shard *shard, uint64_t expected_bytes);
/* The bytes are reserved first, so that what is stored fits; NULL: no room. */
struct cache_body *body_reserve(struct cache *c, struct cache_shard *s, uint64_t body_bytes);
void body_release(struct cache_body *b);
/* Opens a reader at the start; the shard's lock is held. */
void reader_attach(struct cache_reader *r, struct cache_object *o);

/* ---- Objects ---- */

enum purge_verdict { PURGE_NONE, PURGE_SOFT, PURGE_HARD };
enum object_kind { OBJECT_RESPONSE, OBJECT_PASS };
enum object_queue { QUEUE_NONE, QUEUE_SMALL, QUEUE_MAIN };

/* Immutable but for refs, frequency, checked, soft_s (atomic) and the links (the shard's lock). */
struct cache_object {
    _Atomic uint32_t refs; /* the index holds one */
    _Atomic uint8_t frequency;
    _Atomic bool is_persisted; /* on the disk, or on its way */
    uint8_t kind, queue;
    bool is_indexed;
    uint16_t status;
    uint16_t key_bytes;
    uint32_t vary_bytes, lines_bytes;
    uint16_t etag_bytes, last_modified_bytes, n_tags;
    bool has_more_tags;
    _Atomic uint32_t soft_s; /* wall clock: stale since, by a soft purge; 0: it is not */
    uint32_t etag_offset, last_modified_offset; /* in lines */
    uint32_t own_bytes;                         /* of this allocation, as accounted */
    uint64_t hash;
    struct cache *cache;
    struct cache_body *body; /* NULL: a pass marker */
    struct cache_object *chain;
    struct cache_object *newer, *older; /* of its queue */
    int64_t stored_s, last_modified_s, date_s;
    uint64_t stamp;           /* of the newest purge when it was asked for */
    _Atomic uint64_t checked; /* of the newest purge that was looked at */
    struct freshness fresh;
    char data[]; /* key, vary, lines, tags */
};

static inline struct str object_key(const struct cache_object *o)
{
    return (struct str){o->data, o->key_bytes};
}
static inline struct str object_vary(const struct cache_object *o)
{
    return (struct str){o->data + o->key_bytes, o->vary_bytes};
}
static inline struct str object_lines(const struct cache_object *o)
{
    return (struct str){o->data + o->key_bytes + o->vary_bytes, o->lines_bytes};
}

static inline struct purge_subject object_subject(const struct cache_object *o)
{
    return (struct purge_subject){
        .key = object_key(o),
        .tags = o->data + o->key_bytes + o->vary_bytes + o->lines_bytes,
        .n_tags = o->n_tags,
        .has_more_tags = o->has_more_tags,
    };
}

static inline size_t object_data_bytes(const struct cache_object *o)
{
    return o->key_bytes + o->vary_bytes + o->lines_bytes + o->n_tags * sizeof(uint64_t);
}

/* The purges since it was looked at last; any thread that holds a reference or the shard's lock. */
enum purge_verdict object_check_purges(const struct cache_object *o);
/* Its freshness, cut short by a soft purge. */
struct freshness object_freshness(const struct cache_object *o);

/* Does this request select that variant (RFC 9111 section 4.1)? */
bool object_is_selected(const struct cache_object *o, const struct fields *request);
/* A response object without a body yet, NULL: its fields are too large. One reference, the
 * caller's; bytes are accounted. */
struct cache_object *object_new(struct cache *c, struct str key, uint64_t hash,
                                const struct freshness_exchange *x, const struct freshness *f,
                                const struct purge_tags *tags);
struct cache_object *object_new_pass(struct cache *c, struct str key, uint64_t hash, int64_t now_s);
/* The object that of describes, with its key, vary, lines and tags. One reference; NULL: no room.
 */
struct cache_object *object_restore(struct cache *c, uint64_t hash, const struct cache_object *of,
                                    const char *data);
void object_read_tags(const struct cache_object *o, struct purge_tags *out);
/* The fields of a stored response as they are after a 304 (RFC 9111 section 3.2). */
void object_merge_fields(const struct cache_object *o, const struct fields *update,
                         struct fields *out);

/* ---- The store ---- */

/* A fetch under way. The shard's lock. */
struct cache_lead {
    struct cache_lead *next, **prev;
    struct cache *cache;
    struct cache_shard *shard;
    struct cache_object *object; /* to be revalidated, or NULL */
    struct waiter_list waiters;
    uint64_t hash;
    int64_t now_s; /* of the look-up */
    bool is_solo;  /* nobody waits for it: the answer would have to be validated again anyway */
    bool is_load;  /* from the disk */
    bool is_invalidated; /* what the disk has is no longer right */
    uint64_t stamp;      /* of the newest purge then */
    const struct purge_tags *tags;
    size_t key_bytes;
    char key[];
};

struct queue {
    struct cache_object *newest, *oldest;
    uint64_t bytes;
};

struct cache_shard {
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    struct cache_object **buckets;
    size_t n_buckets, n_objects;
    struct queue small, main;
    _Atomic uint64_t bytes; /* of both queues, for those who hold no lock */
    uint64_t *ghosts;       /* fingerprint and the eviction's number, direct-mapped */
    size_t n_ghosts;
    uint32_t n_ghosted;
    struct cache_lead *flights;
    uint64_t lookups, hits, insertions, evictions, collapsed, purged;
};

struct cache {
    struct disk *disk; /* NULL: none */
    _Atomic uint64_t memory_bytes, max_object_bytes;
    _Atomic uint64_t used_bytes;
    _Atomic uint64_t no_room;
    _Atomic uint64_t n_files; /* bodies that have one */
    _Atomic uint64_t purged_soft;
    uint64_t files_max;
    uint64_t seed;
    struct purge_marks *purges;
    struct cache_shard shards[CACHE_SHARDS];
};

uint64_t store_hash(const struct cache *c, struct str key);
struct cache_shard *store_shard(struct cache *c, uint64_t hash);
/* Takes bytes from the budget, evicting where needed; false: no room. No lock is held. */
bool store_reserve(struct cache *c, uint64_t bytes);
void store_unreserve(struct cache *c, uint64_t bytes);
/* With the shard's lock held: */
struct cache_object *store_first(struct cache_shard *s, uint64_t hash);
/* Indexes o, replacing the same variant and, over CACHE_VARIANTS_MAX, the oldest one. Those
 * replaced are chained to *dropped, to be released without the lock. */
void store_insert(struct cache_shard *s, struct cache_object *o, struct cache_object **dropped);
void store_remove(struct cache_shard *s, struct cache_object *o, struct cache_object **dropped);
/* Is a response there for the same key and the same selecting fields? */
bool store_has_variant(const struct cache_shard *s, const struct cache_object *o);
/* The body of o, of unknown length, has grown. */
void store_grow(struct cache_shard *s, struct cache_object *o, uint64_t bytes);
/* Without the lock. */
void store_release_dropped(struct cache_object *dropped);
bool store_is_indexed(struct cache_object *o);

/* ---- The disk (persist.c). No lock is held; the cache has a disk ---- */

/* Has it been asked for again, is it whole, and not on its way yet? Then the caller must write it.
 */
static inline bool persist_is_due(struct cache_object *o)
{
    return o->cache->disk != NULL &&
           !atomic_load_explicit(&o->is_persisted, memory_order_relaxed) &&
           atomic_load_explicit(&o->frequency, memory_order_relaxed) > 0 &&
           atomic_load_explicit(&o->body->state, memory_order_acquire) == BODY_WHOLE &&
           !atomic_exchange_explicit(&o->is_persisted, true, memory_order_relaxed);
}
void persist_write(struct cache *c, struct cache_object *o);
/* What memory has stored is newer than what the disk has. */
void persist_replace(struct cache *c, const struct cache_object *o);
/* Reads what there is for the key, and then ends the lead; false: nothing, it stays the caller's.
 */
bool persist_load(struct cache *c, struct cache_lead *lead);

#endif
