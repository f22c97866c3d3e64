/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of balance share. */
#ifndef EDGE_PROXY_BALANCE_INTERNAL_H
#define EDGE_PROXY_BALANCE_INTERNAL_H

#include "edge-proxy/balance/balance.h"

/* Read by every choice, written when something changes. */
struct balance_health {
    _Atomic bool is_down;
    _Atomic int64_t out_until_ms; /* ejected until then */
    _Atomic int64_t ramp_from_ms; /* slow start began then; 0: never */
};

/* Written by every request. */
struct balance_load {
    _Alignas(CACHE_LINE) _Atomic uint32_t in_flight;
    _Atomic uint32_t failures, errors; /* in a row: no or a gateway's answer; any 5xx */
    _Atomic uint32_t good, results;    /* since the last look for outliers */
    _Atomic uint64_t latency; /* a float of microseconds, and when it was taken: least_requests.c */
};

/* Read and written when somebody is ejected, and for status. */
struct balance_ejected {
    _Atomic bool is_ejecting;
    uint32_t times; /* in a row; whoever is_ejecting may look */
    int64_t last_until_ms;
    _Atomic enum balance_reason reason;
    _Atomic int64_t since_ms;
};

struct balance_endpoint {
    uint64_t id;
    uint32_t weight;
    uint8_t priority;
};

/* A way to choose. pick: from a set that is not empty, one of it. */
struct balance_policy {
    unsigned (*pick)(const struct balance *b, struct balance_turn *t, uint64_t set,
                     const struct balance_query *q);
    bool is_by_key;     /* equal keys meet equal luck: chance is taken from the key too */
    bool wants_latency; /* balance_note_latency has a reader */
};
extern const struct balance_policy balance_round_robin, balance_least_requests, balance_hash;

struct balance {
    const struct config_balance *config;
    const struct balance_policy *policy;
    size_t n;
    _Atomic uint64_t there;              /* who exists: the others have no address */
    uint64_t groups[BALANCE_PRIORITIES]; /* their members */
    bool is_weighted;                    /* weights differ */
    struct balance_endpoint endpoints[BALANCE_MAX];
    struct balance_health health[BALANCE_MAX];
    struct balance_load load[BALANCE_MAX];
    struct balance_ejected ejected[BALANCE_MAX];
    _Alignas(CACHE_LINE) _Atomic uint32_t retries; /* under way */
    _Atomic uint64_t retry_second;                 /* a second, and how many began in it */
};

/* All that exist. */
static inline uint64_t balance_all(const struct balance *b)
{
    return atomic_load_explicit(&b->there, memory_order_relaxed);
}

/* The lowest member of a set that is not empty; for loops: set &= set - 1. */
static inline unsigned balance_first(uint64_t set)
{
    return (unsigned)__builtin_ctzll(set);
}

static inline uint64_t balance_bit(size_t i)
{
    return (uint64_t)1 << i;
}

/* The finaliser of SplitMix64: every bit of x moves every bit of the result. */
static inline uint64_t balance_mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* xorshift64: quick, and good enough to spread load. */
static inline uint64_t balance_random(struct balance_turn *t)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return t->random;
}

/* Of a set, by weight. */
unsigned balance_draw(const struct balance *b, struct balance_turn *t, uint64_t set);
uint64_t balance_weigh(const struct balance *b, uint64_t set);

#endif
