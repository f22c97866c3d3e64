/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stored responses on disk. One is written when it is asked for the second time; one that memory
 * has not is looked for there before the origin is asked: the look-up that finds it waits, as if
 * another request were fetching it, and looks up again when it is in memory.
 *
 * Memory is always right: what it stores, replaces or forgets is forgotten on the disk, so that an
 * older response never comes back.
 */
#include "edge-proxy/cache/cache_internal.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* A record's head begins with it; key, vary, lines and tags follow. A change of it, or of what they
 * mean, is a new CACHE_DISK_FORMAT. */
struct persisted {
    uint32_t status, key_bytes, vary_bytes, lines_bytes;
    uint32_t etag_offset, etag_bytes, last_modified_offset, last_modified_bytes;
    uint32_t n_tags, has_more_tags;
    uint64_t stamp; /* see purge */
    int64_t stored_s, last_modified_s, date_s;
    struct freshness fresh;
};

static uint16_t variant_of(struct str vary)
{
    return (uint16_t)XXH3_64bits(vary.p, vary.n);
}

/* ---- Writing ---- */

struct persist_write {
    struct disk_write w;
    struct cache_object *object;         /* a reference */
    const struct cache_segment *segment; /* where the last copy ended */
    char head[];
};

static void copy_body(struct disk_write *w, uint64_t offset, void *out, size_t n)
{
    struct persist_write *p = CONTAINER_OF(w, struct persist_write, w);

    if (p->segment == NULL || offset < p->segment->start)
        p->segment = p->object->body->first;
    for (uint8_t *to = out; n > 0;) {
        size_t at, part;

        while (offset >= p->segment->start + p->segment->cap)
            p->segment = p->segment->next;
        at = (size_t)(offset - p->segment->start);
        part = p->segment->cap - at < n ? p->segment->cap - at : n;
        memcpy(to, p->segment->bytes + at, part);
        to += part;
        offset += part;
        n -= part;
    }
}

static void end_write(struct disk_write *w)
{
    struct persist_write *p = CONTAINER_OF(w, struct persist_write, w);

    cache_object_release(p->object);
    free(p);
}

void persist_replace(struct cache *c, const struct cache_object *o)
{
    if (o->kind == OBJECT_RESPONSE)
        disk_remove(c->disk, object_key(o), variant_of(object_vary(o)));
    else
        disk_remove_key(c->disk, object_key(o));
}

void persist_write(struct cache *c, struct cache_object *o)
{
    size_t data_bytes = object_data_bytes(o);
    struct persist_write *p = base_alloc(sizeof(*p) + sizeof(struct persisted) + data_bytes);
    struct persisted head = {
        .status = o->status,
        .key_bytes = o->key_bytes,
        .vary_bytes = o->vary_bytes,
        .lines_bytes = o->lines_bytes,
        .etag_offset = o->etag_offset,
        .etag_bytes = o->etag_bytes,
        .last_modified_offset = o->last_modified_offset,
        .last_modified_bytes = o->last_modified_bytes,
        .n_tags = o->n_tags,
        .has_more_tags = o->has_more_tags,
        .stamp = o->stamp,
        .stored_s = o->stored_s,
        .last_modified_s = o->last_modified_s,
        .date_s = o->date_s,
        .fresh = o->fresh,
    };

    *p = (struct persist_write){
        .w = {.key = object_key(o),
              .variant = variant_of(object_vary(o)),
              .head = {p->head, sizeof(head) + data_bytes},
              .body_bytes = atomic_load_explicit(&o->body->available, memory_order_relaxed),
              .copy = copy_body,
              .done = end_write},
        .object = cache_object_hold(o),
    };
    memcpy(p->head, &head, sizeof(head));
    memcpy(p->head + sizeof(head), o->data, data_bytes);
    if (!disk_write(c->disk, &p->w)) {
        atomic_store_explicit(&o->is_persisted, false,
                              memory_order_relaxed); /* the next hit tries */
        end_write(&p->w);
    } else if (!store_is_indexed(o)) {
        persist_replace(c, o); /* it was replaced or forgotten just before */
    }
}

/* ---- Loading ---- */

/* All variants of a key, from the look-up that found them until the last read is released. The
 * reads run on the disk's threads, at the same time. */
struct persist_load {
    struct cache *cache;
    struct cache_lead *lead;     /* its waiters are woken when each read has begun or failed */
    _Atomic unsigned n_to_begin; /* the lead is valid while it is above 0 */
    _Atomic unsigned n_to_release;
    struct persist_read {
        struct disk_read r;
        struct persist_load *load;
        struct cache_object *object; /* being filled */
        bool has_begun;
    } reads[];
};

static void begin(struct persist_read *x)
{
    if (x->has_begun)
        return;
    x->has_begun = true;
    if (atomic_fetch_sub_explicit(&x->load->n_to_begin, 1, memory_order_acq_rel) == 1)
        cache_lead_fail(x->load->lead, 0); /* all look again, whatever came of it */
}

/* The object that a record's head describes, without its body; NULL: it is none of this key's, or
 * there is no room. */
static struct cache_object *object_of(struct persist_load *load, struct str head)
{
    const struct cache_lead *lead = load->lead;
    struct persisted p;

    if (head.n < sizeof(p))
        return NULL;
    memcpy(&p, head.p, sizeof(p));
    head.p += sizeof(p);
    head.n -= sizeof(p);
    if (p.key_bytes != lead->key_bytes || p.n_tags > PURGE_TAGS_MAX ||
        head.n !=
            (uint64_t)p.key_bytes + p.vary_bytes + p.lines_bytes + p.n_tags * sizeof(uint64_t) ||
        memcmp(head.p, lead->key, p.key_bytes) != 0)
        return NULL;
    return object_restore(load->cache, lead->hash,
                          &(struct cache_object){
                              .status = (uint16_t)p.status,
                              .key_bytes = (uint16_t)p.key_bytes,
                              .vary_bytes = p.vary_bytes,
                              .lines_bytes = p.lines_bytes,
                              .etag_offset = p.etag_offset,
                              .etag_bytes = (uint16_t)p.etag_bytes,
                              .last_modified_offset = p.last_modified_offset,
                              .last_modified_bytes = (uint16_t)p.last_modified_bytes,
                              .n_tags = (uint16_t)p.n_tags,
                              .has_more_tags = p.has_more_tags != 0,
                              .stamp = p.stamp,
                              .stored_s = p.stored_s,
                              .last_modified_s = p.last_modified_s,
                              .date_s = p.date_s,
                              .fresh = p.fresh,
                          },
                          head.p);
}

static bool take_head(struct disk_read *r, struct str head, uint64_t body_bytes)
{
    struct persist_read *x = CONTAINER_OF(r, struct persist_read, r);
    struct cache_shard *s = x->load->lead->shard;
    struct cache_object *o = object_of(x->load, head), *dropped = NULL;
    bool is_newest;

    if (o == NULL)
        return false;
    if (object_check_purges(o) == PURGE_HARD) {
        persist_replace(x->load->cache, o);
        cache_object_release(o);
        return false;
    }
    o->body = body_reserve(x->load->cache, s, body_bytes);
    if (o->body == NULL) {
        cache_object_release(o);
        return false;
    }
    x->object = o;
    pthread_mutex_lock(&s->lock);
    is_newest = !x->load->lead->is_invalidated && !store_has_variant(s, o);
    if (is_newest)
        store_insert(s, o, &dropped);
    pthread_mutex_unlock(&s->lock);
    store_release_dropped(dropped);
    begin(x);
    return is_newest;
}

static bool take_body(struct disk_read *r, const void *bytes, size_t n)
{
    struct persist_read *x = CONTAINER_OF(r, struct persist_read, r);

    cache_fill_append(x->object, bytes, n, NULL);
    return cache_fill_is_wanted(x->object);
}

static void end_read(struct disk_read *r, bool is_whole)
{
    struct persist_read *x = CONTAINER_OF(r, struct persist_read, r);

    if (x->object != NULL) {
        cache_fill_end(x->object, is_whole);
        cache_object_release(x->object);
    }
    begin(x);
}

static void release_read(struct disk_read *r)
{
    struct persist_load *load = CONTAINER_OF(r, struct persist_read, r)->load;

    if (atomic_fetch_sub_explicit(&load->n_to_release, 1, memory_order_acq_rel) == 1)
        free(load);
}

static const struct disk_read_ops read_ops = {take_head, take_body, end_read, release_read};

/* The share of those reads that were refused, and of persist_load itself. */
static void drop_share(struct persist_load *load, unsigned n)
{
    if (atomic_fetch_sub_explicit(&load->n_to_begin, n, memory_order_acq_rel) == n)
        cache_lead_fail(load->lead, 0);
    if (atomic_fetch_sub_explicit(&load->n_to_release, n, memory_order_acq_rel) == n)
        free(load);
}

bool persist_load(struct cache *c, struct cache_lead *lead)
{
    struct disk_place places[DISK_VARIANTS_MAX];
    unsigned n = disk_find(c->disk, (struct str){lead->key, lead->key_bytes}, places), n_taken = 0;
    struct persist_load *load;

    if (n == 0)
        return false;
    load = base_zalloc(1, sizeof(*load) + n * sizeof(load->reads[0]));
    load->cache = c;
    load->lead = lead;
    load->n_to_begin = load->n_to_release = n + 1;
    for (unsigned i = 0; i < n; i++) {
        struct persist_read *x = &load->reads[i];

        *x = (struct persist_read){.r = {.place = places[i], .ops = &read_ops}, .load = load};
        if (disk_read(c->disk, &x->r))
            n_taken++;
    }
    if (n_taken > 0)
        drop_share(load, n - n_taken + 1);
    else
        free(load);
    return n_taken > 0;
}
