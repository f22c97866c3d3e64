/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Smooth weighted round robin: with each request everybody is owed his weight, and he who is owed
 * most is asked and pays for all. Heavy origins are spread over the turn, not bunched, and the turn
 * of one that is out is shared by all others, not given to the next in line.
 */
#include "edge-proxy/balance/balance_internal.h"

static unsigned pick(const struct balance *b, struct balance_turn *t, uint64_t set,
                     const struct balance_query *q)
{
    unsigned best = balance_first(set);
    int64_t total = 0;

    for (; set != 0; set &= set - 1) {
        unsigned i = balance_first(set);

        t->arrears[i] += b->endpoints[i].weight;
        total += b->endpoints[i].weight;
        if (t->arrears[i] > t->arrears[best])
            best = i;
    }
    t->arrears[best] -= total;
    return best;
}

const struct balance_policy balance_round_robin = {.pick = pick};
