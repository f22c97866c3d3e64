/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The budget of retries: at most a share of the requests under way may be second tries, and
 * besides that a few per second, which keep a quiet pool from having no retries at all. A pool that
 * fails as a whole thus gets little more than what visitors ask, where unbounded retries would
 * multiply it just then.
 */
#include "edge-proxy/balance/balance_internal.h"

/* Of the second that now_ms lies in: one more, if there is one left. */
static bool take_from_second(_Atomic uint64_t *second, uint32_t most, int64_t now_ms)
{
    uint32_t now_s = (uint32_t)(now_ms / 1000);
    uint64_t before = atomic_load_explicit(second, memory_order_relaxed), after;

    do {
        uint32_t n = (uint32_t)(before >> 32) == now_s ? (uint32_t)before : 0;

        if (n >= most)
            return false;
        after = (uint64_t)now_s << 32 | (n + 1);
    } while (!atomic_compare_exchange_weak_explicit(second, &before, after, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static uint64_t count_all(const struct balance *b)
{
    uint64_t n = 0;

    for (size_t i = 0; i < b->n; i++)
        n += balance_in_flight(b, i);
    return n;
}

bool balance_begin_retry(struct balance *b, const struct config_retry *budget, int64_t now_ms)
{
    uint32_t n = atomic_fetch_add_explicit(&b->retries, 1, memory_order_relaxed);

    if ((uint64_t)(n + 1) * 100 <= count_all(b) * budget->budget_percent ||
        take_from_second(&b->retry_second, budget->budget_min, now_ms))
        return true;
    balance_end_retry(b);
    return false;
}

void balance_end_retry(struct balance *b)
{
    atomic_fetch_sub_explicit(&b->retries, 1, memory_order_relaxed);
}
