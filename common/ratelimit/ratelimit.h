/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ratelimit: who asks too much, estimated in a table of fixed size, however many ask. After the
 * idea of Knot's KRU: loads that decay, so that nothing has to be swept, and of the many who come
 * once only the newest are remembered, while those who come often stay.
 *
 *   key ──hash──▶ one bucket, a cache line: 10 × (16-bit tag, 32-bit load) and when it was decayed
 *
 * A key may come at its rate for ever, and once as often as one second of it at a time. Loads fall
 * by half in 0.69 s (by e in a second). Several keys are charged together or not at all: a client's
 * own address and the networks around it, each with a rate of its own.
 *
 * Error: a load is never estimated too low but for an entry that was pushed out, and the lightest
 * of its bucket goes first: who wants to hide has to spend his own rate on every other entry of the
 * bucket, which he cannot know, because the hash is keyed by a secret. A load is too high only if
 * the tag of another key in the bucket is the same (10 in 65536).
 *
 * Cost: one cache line per key, whatever others do. Whoever is over the limit writes nothing.
 * Threads: any number at a time, without lock. Two that charge one entry in the same instant may
 * lose one of the charges.
 */
#ifndef COMMON_RATELIMIT_H
#define COMMON_RATELIMIT_H

#include "common/base/base.h"

#include <stddef.h>
#include <stdint.h>

enum { RATELIMIT_KEYS_MAX = 8, RATELIMIT_RATE_MAX = 100000000 };

struct ratelimit;

struct ratelimit_key {
    uint64_t hash;  /* ratelimit_hash */
    uint32_t price; /* ratelimit_price */
};

/* Of 64 bytes × 2^bucket_bits. */
struct ratelimit *ratelimit_new(unsigned bucket_bits);
void ratelimit_free(struct ratelimit *t);
size_t ratelimit_bytes(const struct ratelimit *t);

/* Keyed by the table's own secret. */
uint64_t ratelimit_hash(const struct ratelimit *t, const void *p, size_t n);
/* What one event costs at a rate of 1 to RATELIMIT_RATE_MAX in a second. */
uint32_t ratelimit_price(uint32_t per_second);

/* Charges all of n keys (at most RATELIMIT_KEYS_MAX) and returns n; or charges none and returns
 * the index of the first that would be above its rate. now_ms: of a clock that does not jump,
 * modulo 2^32. */
size_t ratelimit_charge(struct ratelimit *t, const struct ratelimit_key *keys, size_t n,
                        uint32_t now_ms);

#endif
