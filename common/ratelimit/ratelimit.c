/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/ratelimit/ratelimit.h"

#include "common/siphash/siphash.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    ENTRIES = 10,
    /* exp(-24.576) of 2^32 is nothing: the two tables of factors end there. */
    FINE = 64,
    COARSE = 384,
    SKEW_MS = 1000, /* by so much may the clocks of two threads be apart */
};

/* A load of LIMIT is one second's worth of the key's rate. Half a price is taken off, so that low
 * rates come out right too: 0.91 for 1, 9.99 for 10. */
#define LIMIT (1u << 31)

struct bucket {
    uint32_t time_ms;
    uint16_t tags[ENTRIES];
    uint32_t loads[ENTRIES];
};
_Static_assert(sizeof(struct bucket) == CACHE_LINE, "a bucket is one cache line");

_Static_assert(ENTRIES > (int)RATELIMIT_KEYS_MAX, "all keys of one charge fit into one bucket");

struct ratelimit {
    struct siphash_key secret;
    unsigned bucket_bits;
    /* exp(-i/1000 s) and exp(-64 i/1000 s), as shares of 2^32. */
    uint32_t fine[FINE], coarse[COARSE];
    struct bucket *buckets;
};

struct entry {
    struct bucket *bucket;
    size_t i;
    uint32_t load; /* 0: the entry was another key's */
    bool is_known; /* the entry is the key's already */
};

struct ratelimit *ratelimit_new(unsigned bucket_bits)
{
    struct ratelimit *t = base_zalloc(1, sizeof(*t));
    size_t bytes = sizeof(struct bucket) << bucket_bits;

    ensure(bucket_bits > 0 && bucket_bits < 32);
    t->secret = siphash_key_random();
    t->bucket_bits = bucket_bits;
    for (size_t i = 0; i < FINE; i++)
        t->fine[i] = (uint32_t)(exp(-(double)i / 1000) * UINT32_MAX);
    for (size_t i = 0; i < COARSE; i++)
        t->coarse[i] = (uint32_t)(exp(-(double)(i * FINE) / 1000) * UINT32_MAX);
    t->buckets = aligned_alloc(CACHE_LINE, bytes);
    ensure(t->buckets != NULL);
    memset(t->buckets, 0, bytes);
    return t;
}

void ratelimit_free(struct ratelimit *t)
{
    if (t == NULL)
        return;
    free(t->buckets);
    free(t);
}

size_t ratelimit_bytes(const struct ratelimit *t)
{
    return sizeof(*t) + (sizeof(struct bucket) << t->bucket_bits);
}

uint64_t ratelimit_hash(const struct ratelimit *t, const void *p, size_t n)
{
    return siphash_24(&t->secret, p, n);
}

uint32_t ratelimit_price(uint32_t per_second)
{
    ensure(per_second > 0 && per_second <= RATELIMIT_RATE_MAX);
    return LIMIT / per_second;
}

static uint32_t multiply(uint32_t a, uint32_t share)
{
    return (uint32_t)((uint64_t)a * share >> 32);
}

static uint32_t load_of(const struct bucket *b, size_t i)
{
    return __atomic_load_n(&b->loads[i], __ATOMIC_RELAXED);
}

static void set_load(struct bucket *b, size_t i, uint32_t load)
{
    __atomic_store_n(&b->loads[i], load, __ATOMIC_RELAXED);
}

/* Whoever moves the bucket's time decays its loads, once. */
static void decay(const struct ratelimit *t, struct bucket *b, uint32_t now_ms)
{
    uint32_t then = __atomic_load_n(&b->time_ms, __ATOMIC_RELAXED);
    uint32_t passed = now_ms - then, share = 0;

    if (passed == 0 || passed > UINT32_MAX - SKEW_MS ||
        !__atomic_compare_exchange_n(&b->time_ms, &then, now_ms, false, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED))
        return;
    if (passed < FINE * COARSE)
        share = multiply(t->coarse[passed / FINE], t->fine[passed % FINE]);
    for (size_t i = 0; i < ENTRIES; i++)
        set_load(b, i, multiply(load_of(b, i), share));
}

static uint16_t tag_of(uint64_t hash)
{
    return (uint16_t)(hash >> 48);
}

/* The key's entry, or the one that it may take: the lightest. */
static struct entry find(const struct ratelimit *t, uint64_t hash, uint32_t now_ms)
{
    struct bucket *b = &t->buckets[hash & ((1u << t->bucket_bits) - 1)];
    size_t lightest = 0;

    decay(t, b, now_ms);
    for (size_t i = 0; i < ENTRIES; i++) {
        if (__atomic_load_n(&b->tags[i], __ATOMIC_RELAXED) == tag_of(hash))
            return (struct entry){b, i, load_of(b, i), true};
        if (load_of(b, i) < load_of(b, lightest))
            lightest = i;
    }
    return (struct entry){b, lightest, 0, false};
}

static bool is_same(const struct entry *a, const struct entry *b)
{
    return a->bucket == b->bucket && a->i == b->i;
}

/* All were looked for before any was stored, so that several may have been given one entry. It
 * stays with the key that it belongs to, or that comes first. */
static bool is_given_away(const struct entry *entries, size_t n, size_t k)
{
    for (size_t j = 0; j < n; j++) {
        if (j != k && is_same(&entries[j], &entries[k]) && (j < k || entries[j].is_known))
            return true;
    }
    return false;
}

/* As find, after some of the n were stored, for the one at k: it pushes none of the others out. */
static void find_another(struct entry *entries, size_t n, size_t k, uint64_t hash)
{
    struct bucket *b = entries[k].bucket;
    bool is_taken[ENTRIES] = {false};
    size_t lightest = ENTRIES;

    for (size_t j = 0; j < n; j++) {
        if (j != k && entries[j].bucket == b)
            is_taken[entries[j].i] = true;
    }
    for (size_t i = 0; i < ENTRIES; i++) {
        if (__atomic_load_n(&b->tags[i], __ATOMIC_RELAXED) == tag_of(hash)) {
            entries[k] = (struct entry){b, i, load_of(b, i), true};
            return;
        }
        if (!is_taken[i] && (lightest == ENTRIES || load_of(b, i) < load_of(b, lightest)))
            lightest = i;
    }
    entries[k] = (struct entry){b, lightest, 0, false};
}

size_t ratelimit_charge(struct ratelimit *t, const struct ratelimit_key *keys, size_t n,
                        uint32_t now_ms)
{
    struct entry entries[RATELIMIT_KEYS_MAX];

    ensure(n <= RATELIMIT_KEYS_MAX);
    for (size_t i = 0; i < n; i++)
        __builtin_prefetch(&t->buckets[keys[i].hash & ((1u << t->bucket_bits) - 1)]);
    for (size_t i = 0; i < n; i++) {
        entries[i] = find(t, keys[i].hash, now_ms);
        if (entries[i].load > LIMIT - keys[i].price / 2)
            return i;
    }
    for (size_t i = 0; i < n; i++) {
        struct entry *e = &entries[i];

        if (is_given_away(entries, n, i))
            find_another(entries, n, i, keys[i].hash);
        __atomic_store_n(&e->bucket->tags[e->i], tag_of(keys[i].hash), __ATOMIC_RELAXED);
        set_load(e->bucket, e->i, e->load + keys[i].price);
    }
    return n;
}
