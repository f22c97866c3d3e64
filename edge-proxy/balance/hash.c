/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Consistent hash, by rendezvous (Thaler and Ravishankar): every origin has a score for the key,
 * and the highest wins. An origin that goes takes only its own keys along, and they spread over all
 * others; no table is needed, and for the few origins of a pool it is no slower than one. Scores of
 * unequal weights are -weight / ln(hash), which gives each exactly its share of the keys.
 *
 * Bounded load (Mirrokni, Thorup, Zadimoghaddam): who has more than factor times its fair part of
 * all requests under way is passed over for the key's next choice, so that one popular key cannot
 * sink one origin.
 */
#include "edge-proxy/balance/balance_internal.h"

#include <math.h>

static double score(const struct balance *b, unsigned i, uint64_t key)
{
    uint64_t h = balance_mix(key ^ balance_mix(b->endpoints[i].id)) >> 11;

    if (!b->is_weighted)
        return (double)h;
    return -(double)b->endpoints[i].weight / log(((double)h + 0.5) * 0x1p-53);
}

static unsigned find_best(const struct balance *b, uint64_t set, uint64_t key)
{
    unsigned best = balance_first(set);
    double most = score(b, best, key);

    for (set &= set - 1; set != 0; set &= set - 1) {
        unsigned i = balance_first(set);
        double s = score(b, i, key);

        if (s > most) {
            best = i;
            most = s;
        }
    }
    return best;
}

static uint64_t count_in_flight(const struct balance *b, uint64_t set)
{
    uint64_t n = 0;

    for (; set != 0; set &= set - 1)
        n += balance_in_flight(b, balance_first(set));
    return n;
}

static unsigned find_bounded(const struct balance *b, uint64_t set, uint64_t key)
{
    uint64_t weight = balance_weigh(b, set), all = count_in_flight(b, set) + 1;
    unsigned first = find_best(b, set, key), i = first;

    for (;;) {
        double most = ceil((double)all * b->endpoints[i].weight / (double)weight *
                           b->config->factor_percent / 100);

        if (balance_in_flight(b, i) < most)
            return i;
        set &= ~balance_bit(i);
        if (set == 0) /* counts moved meanwhile: all cannot be above their part */
            return first;
        i = find_best(b, set, key);
    }
}

/* Without a key (no such field or cookie) any will do: drawn by weight. */
static unsigned pick(const struct balance *b, struct balance_turn *t, uint64_t set,
                     const struct balance_query *q)
{
    if (!q->has_key)
        return balance_draw(b, t, set);
    return b->config->factor_percent != 0 ? find_bounded(b, set, q->key)
                                          : find_best(b, set, q->key);
}

const struct balance_policy balance_hash = {.pick = pick, .is_by_key = true};
