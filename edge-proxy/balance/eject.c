/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Passive health: what becomes of requests says who is fit. An origin is ejected for a while when
 * too many requests in a row fail, or when it fails clearly more often than the others; again and
 * again for longer. It is a guess about few requests, so an ejected origin is asked when nobody
 * else is left, and an answer to a request that began after the ejection ends it.
 */
#include "edge-proxy/balance/balance_internal.h"

/* Under the swap of is_ejecting, so that of many workers with the same news one acts. */
static int64_t next_duration(struct balance_ejected *e, const struct config_ejection *c,
                             int64_t until_before_ms, int64_t now_ms)
{
    int64_t ms = c->base_ms;

    if (until_before_ms == 0 || now_ms - until_before_ms > c->most_ms)
        e->times = 0;
    for (uint32_t i = 0; i < e->times && ms < c->most_ms; i++)
        ms *= 2;
    e->times++;
    return ms < c->most_ms ? ms : c->most_ms;
}

/* One that takes no connections is no loss. Of the others only a part may be out, or those that
 * are left would break down under the load of all; one is always allowed. */
static bool may_eject(const struct balance *b, const struct config_ejection *c,
                      enum balance_result why, int64_t now_ms)
{
    uint32_t out = 1;

    if (why == BALANCE_UNREACHABLE)
        return true;
    for (size_t i = 0; i < b->n; i++)
        out += balance_ejected_until(b, i) > now_ms;
    return out == 1 ||
           out * 100 <= (uint32_t)__builtin_popcountll(balance_all(b)) * c->most_percent;
}

static bool try_eject(struct balance *b, size_t i, const struct config_ejection *c,
                      enum balance_result why, enum balance_reason reason, int64_t now_ms)
{
    struct balance_ejected *e = &b->ejected[i];
    int64_t before_ms = balance_ejected_until(b, i);

    if (before_ms > now_ms || !may_eject(b, c, why, now_ms) ||
        atomic_exchange_explicit(&e->is_ejecting, true, memory_order_acquire))
        return false;
    atomic_store_explicit(&e->reason, reason, memory_order_relaxed);
    atomic_store_explicit(&e->since_ms, now_ms, memory_order_relaxed);
    balance_eject(b, i, now_ms + next_duration(e, c, e->last_until_ms, now_ms));
    e->last_until_ms = balance_ejected_until(b, i);
    atomic_store_explicit(&b->load[i].failures, 0, memory_order_relaxed);
    atomic_store_explicit(&b->load[i].errors, 0, memory_order_relaxed);
    atomic_store_explicit(&e->is_ejecting, false, memory_order_release);
    return true;
}

/* Whether a run has reached its limit. */
static bool add_to_run(_Atomic uint32_t *run, uint32_t limit)
{
    return atomic_fetch_add_explicit(run, 1, memory_order_relaxed) + 1 >= limit && limit != 0;
}

static void end_run(_Atomic uint32_t *run)
{
    if (atomic_load_explicit(run, memory_order_relaxed) != 0)
        atomic_store_explicit(run, 0, memory_order_relaxed);
}

enum balance_reason balance_note_result(struct balance *b, size_t i,
                                        const struct config_ejection *c, enum balance_result result,
                                        int64_t began_ms, int64_t now_ms)
{
    struct balance_load *l = &b->load[i];

    atomic_fetch_add_explicit(&l->results, 1, memory_order_relaxed);
    if (result == BALANCE_FINE) {
        atomic_fetch_add_explicit(&l->good, 1, memory_order_relaxed);
        end_run(&l->failures);
        end_run(&l->errors);
        if (balance_ejected_until(b, i) > now_ms &&
            began_ms > atomic_load_explicit(&b->ejected[i].since_ms, memory_order_relaxed))
            balance_eject(b, i, 0);
        return BALANCE_NO_REASON;
    }
    if (result == BALANCE_SERVER_ERROR)
        end_run(&l->failures);
    else if (add_to_run(&l->failures, c->failures) &&
             try_eject(b, i, c, result, BALANCE_FAILURES, now_ms))
        return BALANCE_FAILURES;
    if (add_to_run(&l->errors, c->server_errors) &&
        try_eject(b, i, c, result, BALANCE_SERVER_ERRORS, now_ms))
        return BALANCE_SERVER_ERRORS;
    return BALANCE_NO_REASON;
}

/* ---- Outliers ---- */

struct window {
    uint64_t good, all;
};

static struct window take_window(struct balance *b, size_t i)
{
    return (struct window){
        atomic_exchange_explicit(&b->load[i].good, 0, memory_order_relaxed),
        atomic_exchange_explicit(&b->load[i].results, 0, memory_order_relaxed),
    };
}

/* Against the mean of the others, not against mean and deviation of all as Envoy does: in a pool of
 * a few origins one bad one moves both so far that it never stands out. */
uint64_t balance_find_outliers(struct balance *b, const struct config_ejection *c, int64_t now_ms)
{
    struct window w[BALANCE_MAX], total = {0, 0};
    uint64_t found = 0;

    for (size_t i = 0; i < b->n; i++) {
        w[i] = take_window(b, i);
        total.good += w[i].good;
        total.all += w[i].all;
    }
    for (size_t i = 0; i < b->n; i++) {
        struct window others = {total.good - w[i].good, total.all - w[i].all};

        if (w[i].all < c->outlier_requests || others.all < c->outlier_requests)
            continue;
        if (w[i].good * others.all * 100 < others.good * w[i].all * c->outlier_percent &&
            try_eject(b, i, c, BALANCE_GATEWAY_ERROR, BALANCE_OUTLIER, now_ms))
            found |= balance_bit(i);
    }
    return found;
}

enum balance_reason balance_ejected_why(const struct balance *b, size_t i, int64_t now_ms)
{
    return balance_ejected_until(b, i) > now_ms
               ? atomic_load_explicit(&b->ejected[i].reason, memory_order_relaxed)
               : BALANCE_NO_REASON;
}

int64_t balance_ejected_since(const struct balance *b, size_t i)
{
    return atomic_load_explicit(&b->ejected[i].since_ms, memory_order_relaxed);
}
