/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bodies: filled by one, read by many at the same time. The filler writes behind available and then
 * raises it; a reader never looks beyond it. Waiting, windows and the end are under the shard's
 * lock.
 */
#include "edge-proxy/cache/cache_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- Waiters ---- */

void waiters_init(struct waiter_list *l)
{
    l->first = NULL;
    l->last = &l->first;
}

struct cache_waiter *waiters_add(struct waiter_list *l, struct cache_shard *shard,
                                 const struct cache_waker *waker)
{
    struct cache_waiter *w = base_alloc(sizeof(*w));

    *w = (struct cache_waiter){.shard = shard, .waker = *waker, .list = l, .prev = l->last};
    *l->last = w;
    l->last = &w->next;
    return w;
}

void waiters_take(struct waiter_list *l, struct waiter_list *out)
{
    *out = *l;
    if (out->first == NULL)
        out->last = &out->first;
    waiters_init(l);
    for (struct cache_waiter *w = out->first; w != NULL; w = w->next)
        w->list = NULL;
}

static void on_letter(void *arg)
{
    struct cache_waiter *w = arg;

    if (!w->is_cancelled) {
        if (w->owner != NULL)
            *w->owner = NULL;
        w->waker.wake(w->waker.arg, w->why, w->fail_status);
    }
    free(w);
}

void waiters_wake(struct waiter_list *l, enum cache_wake why, unsigned fail_status)
{
    for (struct cache_waiter *w = l->first, *next; w != NULL; w = next) {
        next = w->next;
        w->why = why;
        w->fail_status = fail_status;
        loop_post(w->waker.loop, on_letter, w);
    }
}

void cache_waiter_cancel(struct cache_waiter *w)
{
    struct waiter_list *l;

    pthread_mutex_lock(&w->shard->lock);
    l = w->list;
    if (l != NULL) {
        *w->prev = w->next;
        if (w->next != NULL)
            w->next->prev = w->prev;
        else
            l->last = w->prev;
    }
    pthread_mutex_unlock(&w->shard->lock);
    if (l != NULL)
        free(w);
    else
        w->is_cancelled = true; /* its letter is under way, to this thread */
}

/* ---- Bodies ---- */

static void add_segment(struct cache_body *b, size_t cap)
{
    struct cache_segment *s = segment_new(b, cap);

    s->start = atomic_load_explicit(&b->available, memory_order_relaxed);
    if (b->fill->last != NULL)
        __atomic_store_n(&b->fill->last->next, s, __ATOMIC_RELEASE);
    else
        b->first = s;
    b->fill->last = s;
}

struct cache_body *body_new(struct cache *c, struct cache_shard *shard, uint64_t expected_bytes)
{
    bool is_known = expected_bytes != UINT64_MAX;
    size_t inline_bytes = segment_inline_bytes(expected_bytes);
    struct cache_body *b = base_alloc(sizeof(*b) + inline_bytes);

    *b = (struct cache_body){.refs = 1, .has_inline = inline_bytes > 0};
    b->cache = c;
    b->shard = shard;
    b->expected_bytes = expected_bytes;
    b->held_bytes = CACHE_BODY_OVERHEAD + (is_known ? expected_bytes : CACHE_SEGMENT_MIN);
    b->fill = base_zalloc(1, sizeof(*b->fill));
    waiters_init(&b->fill->waiters);
    waiters_init(&b->fill->resume);
    add_segment(b, is_known ? expected_bytes : CACHE_SEGMENT_MIN);
    return b;
}

struct cache_body *body_reserve(struct cache *c, struct cache_shard *s, uint64_t body_bytes)
{
    if (body_bytes == UINT64_MAX)
        return store_reserve(c, CACHE_BODY_OVERHEAD + CACHE_SEGMENT_MIN)
                   ? body_new(c, s, UINT64_MAX)
                   : NULL;
    if (body_bytes > atomic_load_explicit(&c->max_object_bytes, memory_order_relaxed) ||
        !store_reserve(c, CACHE_BODY_OVERHEAD + body_bytes))
        return NULL;
    return body_new(c, s, body_bytes);
}

void body_release(struct cache_body *b)
{
    if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1)
        return;
    ensure(b->fill == NULL);
    for (struct cache_segment *s = b->first, *next; s != NULL; s = next) {
        next = s->next;
        segment_free(b, s);
    }
    store_unreserve(b->cache, b->held_bytes);
    free(b);
}

/* ---- Windows ---- */

/* The body has outgrown what may be stored. It leaves the index, so that no reader joins, and goes
 * on as a stream: what all readers have passed is freed, and the filler waits for them. */
static void open_window(struct cache_object *o, struct cache_object **dropped)
{
    if (o->is_indexed)
        store_remove(o->body->shard, o, dropped);
    atomic_store_explicit(&o->body->fill->is_windowed, true, memory_order_relaxed);
}

static uint64_t slowest_position(const struct cache_body *b)
{
    uint64_t slowest = atomic_load_explicit(&b->available, memory_order_relaxed);

    for (const struct cache_reader *r = b->fill->readers; r != NULL; r = r->next) {
        uint64_t position = __atomic_load_n(&r->position, __ATOMIC_ACQUIRE);

        if (position < slowest)
            slowest = position;
    }
    return slowest;
}

/* Frees the segments behind the slowest reader. A reader that has just reached a segment's end may
 * still look at its next, so that one stays. */
static void trim_window(struct cache_body *b)
{
    uint64_t slowest = slowest_position(b);

    while (b->first != b->fill->last && b->first->start + b->first->cap < slowest) {
        struct cache_segment *s = b->first;

        b->first = s->next;
        segment_free(b, s);
    }
}

static bool is_window_full(const struct cache_body *b)
{
    return atomic_load_explicit(&b->available, memory_order_relaxed) - slowest_position(b) >
           CACHE_WINDOW;
}

/* A reader of a windowed body has moved on: room for the filler? */
static void on_window_moved(struct cache_body *b)
{
    struct waiter_list resume;

    waiters_init(&resume);
    pthread_mutex_lock(&b->shard->lock);
    if (b->fill != NULL && atomic_load_explicit(&b->fill->is_windowed, memory_order_relaxed)) {
        trim_window(b);
        if (!is_window_full(b))
            waiters_take(&b->fill->resume, &resume);
    }
    pthread_mutex_unlock(&b->shard->lock);
    waiters_wake(&resume, CACHE_WAKE_LOOK, 0);
}

/* ---- Filling ---- */

static size_t next_cap(size_t cap)
{
    return cap * 2 > CACHE_SEGMENT_MAX ? CACHE_SEGMENT_MAX : cap * 2;
}

/* Of the segments that n more bytes need behind the last one. */
static uint64_t missing_bytes(const struct cache_body *b, size_t n)
{
    size_t cap = b->fill->last->cap;
    size_t room = cap - (size_t)(atomic_load_explicit(&b->available, memory_order_relaxed) -
                                 b->fill->last->start);
    uint64_t missing = 0;

    for (; n > room; room = cap) {
        n -= room;
        cap = next_cap(cap);
        missing += cap + CACHE_SEGMENT_OVERHEAD;
    }
    return missing;
}

/* May n more bytes be kept? Else the window opens. */
static bool can_store_more(struct cache_object *o, size_t n)
{
    struct cache_body *b = o->body;
    uint64_t size = atomic_load_explicit(&b->available, memory_order_relaxed) + n;
    uint64_t missing = missing_bytes(b, n);

    if (b->expected_bytes != UINT64_MAX)
        return true; /* reserved at the start */
    if (atomic_load_explicit(&b->fill->is_windowed, memory_order_relaxed))
        return false;
    if (size > atomic_load_explicit(&b->cache->max_object_bytes, memory_order_relaxed) ||
        (missing > 0 && !store_reserve(b->cache, missing)))
        return false;
    b->held_bytes += missing;
    return true;
}

/* Only the filler touches last and what lies behind available. */
static void copy_in(struct cache_body *b, const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        uint64_t available = atomic_load_explicit(&b->available, memory_order_relaxed);
        size_t used = (size_t)(available - b->fill->last->start);
        size_t part = b->fill->last->cap - used < n ? b->fill->last->cap - used : n;

        if (part == 0) {
            add_segment(b, next_cap(b->fill->last->cap));
            continue;
        }
        memcpy(b->fill->last->bytes + used, bytes, part);
        atomic_store_explicit(&b->available, available + part, memory_order_release);
        bytes += part;
        n -= part;
    }
}

bool cache_fill_append(struct cache_object *o, const void *bytes, size_t n,
                       const struct cache_waker *resume)
{
    struct cache_body *b = o->body;
    struct cache_object *dropped = NULL;
    struct waiter_list readers;
    bool is_stored = can_store_more(o, n), goes_on = true;

    pthread_mutex_lock(&b->shard->lock);
    if (!is_stored && !atomic_load_explicit(&b->fill->is_windowed, memory_order_relaxed))
        open_window(o, &dropped);
    copy_in(b, bytes, n);
    if (is_stored && b->expected_bytes == UINT64_MAX)
        store_grow(b->shard, o, n);
    if (!is_stored) {
        trim_window(b);
        if (is_window_full(b)) {
            goes_on = false;
            b->fill->stopped = waiters_add(&b->fill->resume, b->shard, resume);
            b->fill->stopped->owner = &b->fill->stopped;
        }
    }
    waiters_take(&b->fill->waiters, &readers);
    pthread_mutex_unlock(&b->shard->lock);
    waiters_wake(&readers, CACHE_WAKE_LOOK, 0);
    store_release_dropped(dropped);
    return goes_on;
}

void cache_fill_end(struct cache_object *o, bool is_whole)
{
    struct cache_body *b = o->body;
    struct cache_object *dropped = NULL;
    struct waiter_list readers;
    struct cache_fill *fill;

    if (b->fill->stopped != NULL) { /* the filler gives up while it waits for its readers */
        cache_waiter_cancel(b->fill->stopped);
        b->fill->stopped = NULL;
    }
    pthread_mutex_lock(&b->shard->lock);
    fill = b->fill;
    ensure(fill != NULL);
    b->fill = NULL;
    for (struct cache_reader *r = fill->readers; r != NULL; r = r->next)
        r->prev = NULL; /* no longer in a list */
    ensure(!is_whole || b->expected_bytes == UINT64_MAX ||
           b->expected_bytes == atomic_load_explicit(&b->available, memory_order_relaxed));
    if (!is_whole && o->is_indexed)
        store_remove(b->shard, o, &dropped);
    atomic_store_explicit(&b->state, is_whole ? BODY_WHOLE : BODY_BROKEN, memory_order_release);
    waiters_take(&fill->waiters, &readers);
    pthread_mutex_unlock(&b->shard->lock);
    if (persist_is_due(o))
        persist_write(b->cache, o);
    free(fill);
    waiters_wake(&readers, CACHE_WAKE_LOOK, 0);
    store_release_dropped(dropped);
}

bool cache_fill_is_wanted(const struct cache_object *o)
{
    struct cache_body *b = o->body;
    bool is_wanted;

    pthread_mutex_lock(&b->shard->lock);
    is_wanted = o->is_indexed || b->fill->readers != NULL;
    pthread_mutex_unlock(&b->shard->lock);
    return is_wanted;
}

/* ---- Reading ---- */

void reader_attach(struct cache_reader *r, struct cache_object *o)
{
    struct cache_body *b = o->body;

    *r = (struct cache_reader){
        .object = cache_object_hold(o), .segment = b->first, .end = UINT64_MAX};
    if (b->fill == NULL)
        return;
    r->is_listed = true;
    r->next = b->fill->readers;
    r->prev = &b->fill->readers;
    if (r->next != NULL)
        r->next->prev = &r->next;
    b->fill->readers = r;
}

void cache_reader_open(struct cache_reader *r, struct cache_object *o, uint64_t first, uint64_t end)
{
    struct cache_body *b = o->body;

    if (r->object != o) {
        cache_reader_close(r);
        pthread_mutex_lock(&b->shard->lock);
        reader_attach(r, o);
        pthread_mutex_unlock(&b->shard->lock);
    }
    __atomic_store_n(&r->position, first, __ATOMIC_RELEASE);
    r->end = end;
}

/* To the segment that holds the position, where that exists already. */
static void seek(struct cache_reader *r)
{
    while (r->position >= r->segment->start + r->segment->cap) {
        const struct cache_segment *next = __atomic_load_n(&r->segment->next, __ATOMIC_ACQUIRE);

        if (next == NULL)
            return;
        r->segment = next;
    }
}

static uint64_t readable_end(const struct cache_reader *r)
{
    uint64_t available = atomic_load_explicit(&r->object->body->available, memory_order_acquire);

    return available < r->end ? available : r->end;
}

enum cache_read cache_reader_peek(struct cache_reader *r, struct iovec *iov, int *n_iov)
{
    /* In this order: a body that has ended has all its bytes available. */
    uint32_t state = atomic_load_explicit(&r->object->body->state, memory_order_acquire);
    uint64_t end = readable_end(r), at = r->position;
    const struct cache_segment *s;
    int n = 0;

    if (at >= r->end || (at >= end && state == BODY_WHOLE))
        return CACHE_READ_END;
    if (at >= end)
        return state == BODY_BROKEN ? CACHE_READ_BROKEN : CACHE_READ_WAIT;
    seek(r);
    ensure(at >= r->segment->start); /* a window never passes a reader */
    for (s = r->segment; at < end && n < *n_iov; s = __atomic_load_n(&s->next, __ATOMIC_ACQUIRE)) {
        size_t offset = (size_t)(at - s->start);
        uint64_t part = s->cap - offset < end - at ? s->cap - offset : end - at;

        iov[n++] = (struct iovec){(void *)(s->bytes + offset), (size_t)part};
        at += part;
    }
    *n_iov = n;
    return CACHE_READ_DATA;
}

void cache_reader_advance(struct cache_reader *r, size_t n)
{
    struct cache_body *b = r->object->body;
    uint64_t position = r->position + n;

    /* The segment first: a position that is published lets what lies behind it be freed. */
    while (position >= r->segment->start + r->segment->cap &&
           __atomic_load_n(&r->segment->next, __ATOMIC_ACQUIRE) != NULL)
        r->segment = __atomic_load_n(&r->segment->next, __ATOMIC_ACQUIRE);
    __atomic_store_n(&r->position, position, __ATOMIC_RELEASE);
    if (atomic_load_explicit(&b->state, memory_order_acquire) == BODY_FILLING &&
        b->expected_bytes == UINT64_MAX)
        on_window_moved(b);
}

bool cache_reader_wait(struct cache_reader *r, const struct cache_waker *waker)
{
    struct cache_body *b = r->object->body;
    bool must_wait;

    pthread_mutex_lock(&b->shard->lock);
    must_wait = b->fill != NULL && readable_end(r) <= r->position;
    if (must_wait) {
        r->waiter = waiters_add(&b->fill->waiters, b->shard, waker);
        r->waiter->owner = &r->waiter;
    }
    pthread_mutex_unlock(&b->shard->lock);
    return must_wait;
}

void cache_reader_close(struct cache_reader *r)
{
    struct cache_body *b;

    if (r->object == NULL)
        return;
    b = r->object->body;
    if (r->waiter != NULL)
        cache_waiter_cancel(r->waiter);
    if (r->is_listed) {
        pthread_mutex_lock(&b->shard->lock);
        if (r->prev != NULL) { /* the fill has not ended */
            *r->prev = r->next;
            if (r->next != NULL)
                r->next->prev = r->prev;
        }
        pthread_mutex_unlock(&b->shard->lock);
        on_window_moved(b);
    }
    cache_object_release(r->object);
    *r = (struct cache_reader){0};
}
