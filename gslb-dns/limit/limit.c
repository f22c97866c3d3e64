/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/limit/limit.h"

#include <string.h>

/* The widths and factors of Knot, where they have been in use for years. The address comes first:
 * it is what most clients above the limit are above. */
static const struct level {
    uint8_t bits;
    uint16_t factor;
} levels_v4[] = {{32, 1}, {24, 32}, {20, 256}, {18, 768}},
  levels_v6[] = {{128, 1}, {64, 2}, {56, 3}, {48, 4}, {32, 64}};

static void set_prices(uint32_t *prices, const struct level *levels, size_t n, uint32_t per_second)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t rate = (uint64_t)per_second * levels[i].factor;

        prices[i] =
            ratelimit_price(rate < RATELIMIT_RATE_MAX ? (uint32_t)rate : RATELIMIT_RATE_MAX);
    }
}

void limit_set_rate(struct limit *l, uint32_t per_second)
{
    set_prices(l->prices_v4, levels_v4, COUNT_OF(levels_v4), per_second);
    set_prices(l->prices_v6, levels_v6, COUNT_OF(levels_v6), per_second);
}

static bool is_exempt(const struct limit *l, const struct ip *client)
{
    for (size_t i = 0; i < l->n_exempt; i++) {
        if (prefix_has(&l->exempt[i], client))
            return true;
    }
    return false;
}

/* A network is hashed as its width and the bits that it has. */
static uint64_t hash_network(const struct limit *l, const struct ip *client, unsigned bits)
{
    uint8_t input[1 + sizeof(client->bytes)] = {(uint8_t)bits};

    memcpy(input + 1, client->bytes, (bits + 7) / 8);
    if (bits % 8 != 0)
        input[1 + bits / 8] &= (uint8_t)(0xff << (8 - bits % 8));
    return ratelimit_hash(l->table, input, 1 + ip_bits(client) / 8);
}

enum limit_verdict limit_charge(const struct limit *l, const struct ip *client, uint32_t now_ms)
{
    bool is_v4 = client->family == 4;
    const struct level *levels = is_v4 ? levels_v4 : levels_v6;
    const uint32_t *prices = is_v4 ? l->prices_v4 : l->prices_v6;
    size_t n = is_v4 ? COUNT_OF(levels_v4) : COUNT_OF(levels_v6), over;
    struct ratelimit_key keys[LIMIT_LEVELS_MAX];

    if (unlikely(l->n_exempt > 0) && is_exempt(l, client))
        return LIMIT_EXEMPT;
    for (size_t i = 0; i < n; i++)
        keys[i] = (struct ratelimit_key){hash_network(l, client, levels[i].bits), prices[i]};
    over = ratelimit_charge(l->table, keys, n, now_ms);
    if (likely(over == n))
        return LIMIT_PASSED;
    return over == 0 ? LIMIT_BY_ADDRESS : LIMIT_BY_NETWORK;
}
