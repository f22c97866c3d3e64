/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/buckets/buckets.h"

#include "common/siphash/siphash.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { WAYS = 4 };

struct bucket {
    uint64_t hash;
    uint64_t full_us; /* when it will be full; in the past: it is */
};
struct set {
    struct bucket ways[WAYS];
};
_Static_assert(sizeof(struct set) == CACHE_LINE, "a set is one cache line");

struct buckets {
    struct siphash_key secret;
    uint64_t mask;
    struct set *sets;
};

struct buckets *buckets_new(unsigned set_bits)
{
    struct buckets *b = base_zalloc(1, sizeof(*b));

    ensure(set_bits < 32);
    b->secret = siphash_key_random();
    b->mask = ((uint64_t)1 << set_bits) - 1;
    /* Pages of zeros that take no memory until they are written to. */
    b->sets = mmap(NULL, sizeof(struct set) << set_bits, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ensure(b->sets != MAP_FAILED);
    return b;
}

void buckets_free(struct buckets *b)
{
    if (b == NULL)
        return;
    munmap(b->sets, sizeof(struct set) * (b->mask + 1));
    free(b);
}

uint64_t buckets_hash(const struct buckets *b, uint64_t seed, const void *p, size_t n)
{
    return siphash_24(&b->secret, p, n) ^ (seed * 0x9e3779b97f4a7c15u);
}

static uint64_t read_u64(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* The key's bucket, or the one that it may take: the fullest, which knows the least. */
static struct bucket *find(struct buckets *b, uint64_t hash, uint64_t now_us, uint64_t *full_us)
{
    struct set *set = &b->sets[hash & b->mask];
    struct bucket *fullest = &set->ways[0];

    for (unsigned i = 0; i < WAYS; i++) {
        struct bucket *way = &set->ways[i];

        if (read_u64(&way->hash) == hash) {
            *full_us = read_u64(&way->full_us);
            if (*full_us < now_us)
                *full_us = now_us;
            return way;
        }
        if (read_u64(&way->full_us) < read_u64(&fullest->full_us))
            fullest = way;
    }
    *full_us = now_us;
    return fullest;
}

static void store(struct bucket *way, uint64_t hash, uint64_t full_us)
{
    __atomic_store_n(&way->hash, hash, __ATOMIC_RELAXED);
    __atomic_store_n(&way->full_us, full_us, __ATOMIC_RELAXED);
}

uint64_t buckets_take(struct buckets *b, uint64_t hash, const struct buckets_rate *rate, uint64_t n,
                      uint64_t now_us)
{
    uint64_t full_us, latest_us = now_us + rate->burst * rate->token_us;
    struct bucket *way = find(b, hash, now_us, &full_us);

    full_us += n * rate->token_us;
    if (full_us > latest_us)
        return full_us - latest_us;
    store(way, hash, full_us);
    return 0;
}

unsigned buckets_spend(struct buckets *b, uint64_t hash, const struct buckets_rate *rate,
                       uint64_t n, uint64_t now_us)
{
    uint64_t full_us, burst_us = rate->burst * rate->token_us;
    struct bucket *way = find(b, hash, now_us, &full_us);

    full_us += n * rate->token_us;
    if (full_us > now_us + 2 * burst_us)
        full_us = now_us + 2 * burst_us;
    if (n > 0)
        store(way, hash, full_us);
    return (unsigned)((full_us - now_us) * 1000 / burst_us);
}
