/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/siphash/siphash.h"

#include "common/base/base.h"

#include <endian.h>
#include <string.h>
#include <sys/random.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t get_u64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

static inline uint64_t rotate(uint64_t v, unsigned bits)
{
    return v << bits | v >> (64 - bits);
}

static inline void mix(struct state *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline void absorb(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    mix(s);
    mix(s);
    s->v0 ^= word;
}

uint64_t siphash_24(const struct siphash_key *key, const void *bytes, size_t n)
{
    const uint8_t *p = bytes, *end = p + n - n % 8;
    struct state s = {key->k0 ^ 0x736f6d6570736575u, key->k1 ^ 0x646f72616e646f6du,
                      key->k0 ^ 0x6c7967656e657261u, key->k1 ^ 0x7465646279746573u};
    uint8_t last[8] = {0};

    for (; p < end; p += 8)
        absorb(&s, get_u64(p));
    memcpy(last, p, n % 8);
    last[7] = (uint8_t)n;
    absorb(&s, get_u64(last));
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        mix(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

struct siphash_key siphash_key_of(const uint8_t bytes[SIPHASH_KEY_BYTES])
{
    return (struct siphash_key){get_u64(bytes), get_u64(bytes + 8)};
}

struct siphash_key siphash_key_random(void)
{
    struct siphash_key key;

    ensure(getrandom(&key, sizeof(key), 0) == sizeof(key));
    return key;
}
