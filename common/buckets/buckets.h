/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * buckets: token buckets for very many keys in a table of fixed size. A key may come at its rate
 * for ever, and by its burst at once.
 *
 * Each bucket is one number, the time at which it will be full again (the virtual scheduling
 * algorithm GCRA of ITU-T I.371): nothing has to be refilled or swept, and a bucket that is full is
 * as good as none. Rates from one a day to a million a second share a table; what a key is charged
 * by need not be known to it (put the rule into the key).
 *
 *   key ──hash──▶ one set, a cache line: 4 × (64 bits of the hash, time)
 *
 * Bound: when all four of a set are in use, the one that is fullest makes room: whoever is closest
 * to his limit is remembered longest. Two keys are taken for one when 64 bits of a hash that is
 * keyed by a secret are the same.
 * Threads: any number at a time, without lock. Two that charge one key in the same instant may lose
 * one of the charges.
 */
#ifndef COMMON_BUCKETS_H
#define COMMON_BUCKETS_H

#include "common/base/base.h"

#include <stddef.h>
#include <stdint.h>

struct buckets;

struct buckets_rate {
    uint64_t token_us; /* how long one token takes to come back; at least 1 */
    uint64_t burst;    /* tokens of a full bucket; at least 1 */
};

/* Of 64 bytes × 2^set_bits. */
struct buckets *buckets_new(unsigned set_bits);
void buckets_free(struct buckets *b);

/* Keyed by the table's own secret. seed tells kinds of keys apart. */
uint64_t buckets_hash(const struct buckets *b, uint64_t seed, const void *p, size_t n);

/* Takes n tokens and returns 0; or takes none and returns after how many microseconds there would
 * be enough. now_us: of a clock that does not jump. */
uint64_t buckets_take(struct buckets *b, uint64_t hash, const struct buckets_rate *rate, uint64_t n,
                      uint64_t now_us);
/* Takes n tokens whether they are there or not; a bucket owes at most one burst. Returns how much
 * of a full bucket is gone, in per mille: above 1000 it owes. */
unsigned buckets_spend(struct buckets *b, uint64_t hash, const struct buckets_rate *rate,
                       uint64_t n, uint64_t now_us);

#endif
