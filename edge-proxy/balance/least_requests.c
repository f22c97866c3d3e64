/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Least requests: of two that are drawn by weight, the one with less to do (Mitzenmacher's power of
 * two choices: nearly as even as looking at all, and workers with the same stale view do not all
 * run to the same one). What is to be done is the latency times the requests under way, one more
 * for this one; weights divide the latter.
 *
 * The latency is a peak EWMA, as in Finagle and linkerd: a slower answer counts at once, a quicker
 * one by the time that has passed. It fades to nothing while nobody is asked, so that who was once
 * slow is tried again.
 */
#include "edge-proxy/balance/balance_internal.h"

#include <math.h>
#include <string.h>

struct sample {
    float us;
    uint32_t taken_ms; /* low bits of the clock: differences of up to 49 days */
};

static struct sample sample_of(uint64_t packed)
{
    struct sample s;

    memcpy(&s, &packed, sizeof(s));
    return s;
}

static uint64_t pack(struct sample s)
{
    uint64_t packed;

    memcpy(&packed, &s, sizeof(packed));
    return packed;
}

/* What is left of one after so long: 1 to 0. A clock that is read elsewhere may lag by a tick. */
static float fade(const struct balance *b, struct sample s, int64_t now_ms)
{
    int32_t passed_ms = (int32_t)((uint32_t)now_ms - s.taken_ms);

    return passed_ms <= 0 ? 1 : expf(-(float)passed_ms / (float)b->config->decay_ms);
}

void balance_note_latency(struct balance *b, size_t i, uint64_t us, int64_t now_ms)
{
    _Atomic uint64_t *to = &b->load[i].latency;
    uint64_t before = atomic_load_explicit(to, memory_order_relaxed), after;

    do {
        struct sample old = sample_of(before);
        float fresh = (float)us, left = fade(b, old, now_ms);

        if (fresh < old.us)
            fresh = old.us * left + fresh * (1 - left);
        after = pack((struct sample){fresh, (uint32_t)now_ms});
    } while (!atomic_compare_exchange_weak_explicit(to, &before, after, memory_order_relaxed,
                                                    memory_order_relaxed));
}

double balance_latency_us(const struct balance *b, size_t i, int64_t now_ms)
{
    struct sample s = sample_of(atomic_load_explicit(&b->load[i].latency, memory_order_relaxed));

    return s.us == 0 ? 0 : (double)(s.us * fade(b, s, now_ms));
}

/* Nothing is known of one that has not answered yet: it gets one request, and no second before the
 * first tells something. */
static double cost(const struct balance *b, unsigned i, int64_t now_ms)
{
    double us = balance_latency_us(b, i, now_ms);
    uint32_t n = balance_in_flight(b, i);

    if (us == 0 && n > 0)
        us = BALANCE_FAILED_US;
    return us * (1 + (double)n / b->endpoints[i].weight);
}

static unsigned pick(const struct balance *b, struct balance_turn *t, uint64_t set,
                     const struct balance_query *q)
{
    unsigned one = balance_draw(b, t, set), two;

    set &= ~balance_bit(one);
    if (set == 0)
        return one;
    two = balance_draw(b, t, set);
    return cost(b, two, q->now_ms) < cost(b, one, q->now_ms) ? two : one;
}

const struct balance_policy balance_least_requests = {.pick = pick, .wants_latency = true};
