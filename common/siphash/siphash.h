/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * siphash: a short keyed hash that nobody without the key can predict or make collide:
 * SipHash-2-4 of Aumasson and Bernstein. For tables that strangers fill, and for cookies. No state;
 * any thread.
 */
#ifndef COMMON_SIPHASH_H
#define COMMON_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

enum { SIPHASH_KEY_BYTES = 16 };

struct siphash_key {
    uint64_t k0, k1;
};

struct siphash_key siphash_key_of(const uint8_t bytes[SIPHASH_KEY_BYTES]);
/* From the kernel's random numbers; aborts without them. */
struct siphash_key siphash_key_random(void);

/* n bytes at p. As bytes, the result is written little-endian. */
uint64_t siphash_24(const struct siphash_key *key, const void *p, size_t n);

#endif
