/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Open connections by client: hash tables with open addressing, cut into shards by the key, each
 * with a lock. An entry is there while its client has a connection, so that the tables are bounded
 * by the number of connections; they grow by doubling and do not shrink.
 */
#include "edge-proxy/guard/guard_internal.h"

#include <pthread.h>
#include <stdlib.h>

enum { SHARDS = 64, FIRST_SLOTS = 16 };

struct client {
    uint64_t key; /* 0: empty */
    uint32_t connections;
};

struct shard {
    pthread_mutex_t lock;
    struct client *slots; /* a power of two, at most half of them full */
    size_t mask, n;
} __attribute__((aligned(CACHE_LINE)));

struct census {
    struct shard shards[SHARDS];
};

struct census *census_new(void)
{
    struct census *c = aligned_alloc(CACHE_LINE, sizeof(*c));

    ensure(c != NULL);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shards[i];

        ensure(pthread_mutex_init(&s->lock, NULL) == 0);
        s->slots = base_zalloc(FIRST_SLOTS, sizeof(*s->slots));
        s->mask = FIRST_SLOTS - 1;
        s->n = 0;
    }
    return c;
}

void census_free(struct census *c)
{
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_destroy(&c->shards[i].lock);
        free(c->shards[i].slots);
    }
    free(c);
}

/* The shard takes the low bits, the slot others. */
static size_t home_of(const struct shard *s, uint64_t key)
{
    return (size_t)(key >> 8) & s->mask;
}

static struct client *find(const struct shard *s, uint64_t key)
{
    size_t i = home_of(s, key);

    while (s->slots[i].key != 0 && s->slots[i].key != key)
        i = (i + 1) & s->mask;
    return &s->slots[i];
}

static void grow(struct shard *s)
{
    struct client *old = s->slots;
    size_t n_old = s->mask + 1;

    s->mask = 2 * n_old - 1;
    s->slots = base_zalloc(2 * n_old, sizeof(*s->slots));
    for (size_t i = 0; i < n_old; i++)
        if (old[i].key != 0)
            *find(s, old[i].key) = old[i];
    free(old);
}

/* What was pushed past the hole comes back towards its home. */
static void take_out(struct shard *s, struct client *at)
{
    size_t hole = (size_t)(at - s->slots);

    for (size_t i = (hole + 1) & s->mask; s->slots[i].key != 0; i = (i + 1) & s->mask) {
        size_t home = home_of(s, s->slots[i].key);

        if (((i - home) & s->mask) < ((i - hole) & s->mask))
            continue;
        s->slots[hole] = s->slots[i];
        hole = i;
    }
    s->slots[hole] = (struct client){0};
    s->n--;
}

static struct shard *shard_of(struct census *c, uint64_t key)
{
    return &c->shards[key % SHARDS];
}

bool census_enter(struct census *c, uint64_t client, uint32_t most)
{
    struct shard *s = shard_of(c, client);
    struct client *at;
    bool is_in;

    pthread_mutex_lock(&s->lock);
    if (2 * (s->n + 1) > s->mask)
        grow(s);
    at = find(s, client);
    is_in = most == 0 || at->connections < most;
    if (is_in) {
        s->n += at->key == 0;
        at->key = client;
        at->connections++;
    }
    pthread_mutex_unlock(&s->lock);
    return is_in;
}

void census_leave(struct census *c, uint64_t client)
{
    struct shard *s = shard_of(c, client);
    struct client *at;

    pthread_mutex_lock(&s->lock);
    at = find(s, client);
    ensure(at->key == client && at->connections > 0);
    if (--at->connections == 0)
        take_out(s, at);
    pthread_mutex_unlock(&s->lock);
}
