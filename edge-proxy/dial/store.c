/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The store: idle connections that any worker may take. It stands off the hot path: what a worker
 * uses steadily never comes here. Sharded by what a connection is to, a short mutex each; a
 * counter read without it says that there is nothing to take.
 *
 * What lies here is watched by an epoll set of its own, which the control thread looks at when it
 * has something to say: a connection that ends, or speaks unasked, is closed. Between the kernel's
 * word and ours another worker may have taken the connection, so it is found by its ticket.
 */
#include "edge-proxy/dial/dial_internal.h"

#include "common/clock/clock.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { SHARDS = 16, SHARD_BUCKETS = 64, SWEEP_MS = 1000, WATCH_BATCH = 64 };

struct shard {
    pthread_mutex_t lock;
    _Atomic uint32_t n;
    uint64_t n_tickets;
    struct dial_list buckets[SHARD_BUCKETS]; /* newest first */
} __attribute__((aligned(CACHE_LINE)));

struct dial_store {
    struct worker *w;
    int epoll_fd;
    struct event watch;
    struct wheel_timer sweep;
    _Atomic uint32_t max_idle;
    _Atomic unsigned n_workers;
    struct shard shards[SHARDS];
};

static struct shard *shard_of(struct dial_store *s, uint64_t hash)
{
    return &s->shards[hash >> 8 & (SHARDS - 1)];
}

static struct dial_list *bucket_of(struct shard *x, uint64_t hash)
{
    return &x->buckets[hash >> 16 & (SHARD_BUCKETS - 1)];
}

/* With the shard's lock. */
static void take_out(struct dial_store *s, struct shard *x, struct dial_conn *c)
{
    TAILQ_REMOVE(bucket_of(x, c->hash), c, link);
    atomic_store_explicit(&x->n, x->n - 1, memory_order_relaxed);
    ensure(epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, c->wire.fd, NULL) == 0);
}

/* ---- Putting and taking (any worker) ---- */

static uint32_t count_alike(const struct dial_list *bucket, const struct dial_conn *c)
{
    struct dial_conn *other;
    uint32_t n = 0;

    TAILQ_FOREACH(other, bucket, link)
    n += other->hash == c->hash;
    return n;
}

/* The ticket tells the shard and the bucket, for the watcher. */
static uint64_t next_ticket(struct shard *x, uint64_t hash)
{
    return ++x->n_tickets << 10 | (hash >> 16 & (SHARD_BUCKETS - 1)) << 4 |
           (hash >> 8 & (SHARDS - 1));
}

bool store_put(struct dial_store *s, struct dial_conn *c)
{
    struct shard *x = shard_of(s, c->hash);
    struct dial_list *bucket = bucket_of(x, c->hash);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
    bool has_room;

    pthread_mutex_lock(&x->lock);
    has_room = x->n < atomic_load_explicit(&s->max_idle, memory_order_relaxed) / 2 / SHARDS + 1 &&
               count_alike(bucket, c) < c->keep;
    if (has_room) {
        c->ticket = event.data.u64 = next_ticket(x, c->hash);
        c->state = DIAL_SHARED;
        c->dw = NULL;
        has_room = epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, c->wire.fd, &event) == 0;
    }
    if (has_room) {
        TAILQ_INSERT_HEAD(bucket, c, link);
        atomic_store_explicit(&x->n, x->n + 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&x->lock);
    return has_room;
}

struct dial_conn *store_take(struct dial_store *s, const struct conn_key *key)
{
    struct shard *x = shard_of(s, key->hash);
    struct dial_conn *c;

    if (atomic_load_explicit(&x->n, memory_order_relaxed) == 0)
        return NULL;
    pthread_mutex_lock(&x->lock);
    TAILQ_FOREACH(c, bucket_of(x, key->hash), link)
    if (conn_is_to(c, key))
        break;
    if (c != NULL)
        take_out(s, x, c);
    pthread_mutex_unlock(&x->lock);
    return c;
}

uint32_t store_worker_limit(const struct dial_store *s)
{
    uint32_t max_idle = atomic_load_explicit(&s->max_idle, memory_order_relaxed);
    unsigned n = store_n_workers(s);

    return n == 1 ? max_idle : max_idle / 2 / n + 1;
}

unsigned store_n_workers(const struct dial_store *s)
{
    return atomic_load_explicit(&s->n_workers, memory_order_relaxed);
}

/* ---- Watching (the control thread) ---- */

static struct dial_conn *take_by_ticket(struct dial_store *s, uint64_t ticket)
{
    struct shard *x = &s->shards[ticket & (SHARDS - 1)];
    struct dial_conn *c;

    pthread_mutex_lock(&x->lock);
    TAILQ_FOREACH(c, &x->buckets[ticket >> 4 & (SHARD_BUCKETS - 1)], link)
    if (c->ticket == ticket)
        break;
    if (c != NULL)
        take_out(s, x, c);
    pthread_mutex_unlock(&x->lock);
    return c;
}

static void hear(struct dial_store *s, struct dial_conn *c)
{
    wire_move(s->w, &c->wire);
    if (!conn_is_quiet(s->w, c) || wire_has_rest(&c->wire) || !store_put(s, c))
        conn_destroy(s->w, c);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct dial_store *s = arg;
    struct epoll_event events[WATCH_BATCH];
    int n = epoll_wait(fd, events, WATCH_BATCH, 0);

    for (int i = 0; i < n; i++) {
        struct dial_conn *c = take_by_ticket(s, events[i].data.u64);

        if (c != NULL)
            hear(s, c);
    }
}

/* Closing is done without the lock: it may cost a write. */
static void sweep_shard(struct dial_store *s, struct shard *x, int64_t until_ms)
{
    struct dial_list over = TAILQ_HEAD_INITIALIZER(over);
    struct dial_conn *c, *next;

    if (atomic_load_explicit(&x->n, memory_order_relaxed) == 0)
        return;
    pthread_mutex_lock(&x->lock);
    for (size_t i = 0; i < SHARD_BUCKETS; i++)
        for (c = TAILQ_FIRST(&x->buckets[i]); c != NULL; c = next) {
            next = TAILQ_NEXT(c, link);
            if (c->idle_until_ms > until_ms)
                continue;
            take_out(s, x, c);
            TAILQ_INSERT_TAIL(&over, c, link);
        }
    pthread_mutex_unlock(&x->lock);
    for (c = TAILQ_FIRST(&over); c != NULL; c = next) {
        next = TAILQ_NEXT(c, link);
        wire_move(s->w, &c->wire);
        conn_destroy(s->w, c);
    }
}

static void sweep_all(struct dial_store *s, int64_t until_ms)
{
    for (size_t i = 0; i < SHARDS; i++)
        sweep_shard(s, &s->shards[i], until_ms);
}

static void on_sweep(struct wheel_timer *t)
{
    struct dial_store *s = CONTAINER_OF(t, struct dial_store, sweep);

    sweep_all(s, clock_coarse_ms());
    wheel_set(&s->w->wheel, &s->sweep, SWEEP_MS, on_sweep);
}

/* ---- Start and stop ---- */

struct dial_store *dial_store_new(struct worker *w)
{
    struct dial_store *s = aligned_alloc(CACHE_LINE, sizeof(*s));

    ensure(s != NULL);
    memset(s, 0, sizeof(*s));
    s->w = w;
    s->n_workers = 1;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&s->shards[i].lock, NULL);
        for (size_t k = 0; k < SHARD_BUCKETS; k++)
            TAILQ_INIT(&s->shards[i].buckets[k]);
    }
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    ensure(s->epoll_fd >= 0);
    event_assign(&s->watch, w->base, s->epoll_fd, EV_READ | EV_PERSIST, on_watch, s);
    ensure(event_add(&s->watch, NULL) == 0);
    wheel_set(&w->wheel, &s->sweep, SWEEP_MS, on_sweep);
    return s;
}

void dial_store_set_limit(struct dial_store *s, uint32_t max_idle, unsigned n_workers)
{
    atomic_store(&s->max_idle, max_idle);
    atomic_store(&s->n_workers, n_workers);
}

void dial_store_free(struct dial_store *s)
{
    sweep_all(s, INT64_MAX);
    wheel_clear(&s->w->wheel, &s->sweep);
    event_del(&s->watch);
    close(s->epoll_fd);
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_destroy(&s->shards[i].lock);
    free(s);
}
