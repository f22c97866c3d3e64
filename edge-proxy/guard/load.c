/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker that has more to do than time is seen by its loop: what should have run now runs later.
 * A timer measures by how much, ten times a second. The mean of the newest decides, and none counts
 * for more than MOST_LAGS, so that neither one long turn is overload, nor that a process or its
 * machine was stopped for a while; the way down is slower than the way up, so that shedding does
 * not flap.
 */
#include "edge-proxy/guard/guard_internal.h"

#include "common/clock/clock.h"

#include <event2/event_struct.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    LOOK_MS = 100,
    MOST_LAGS = 3,   /* times the limit: 2 such looks in a row are high load, 4 extreme */
    CALM_LOOKS = 10, /* quiet ones in a row, before a worker takes everything again */
    OVERLOADED_AFTER_MS = 2000, /* of extreme load: visitors are sent elsewhere ... */
    RELIEVED_AFTER_MS = 10000,  /* ... until there has been none for so long */
    REFUSE_HIGH = 2,
    REFUSE_EXTREME = 8, /* all but 1 in so many handshakes are turned away */
};

struct watch {
    struct load *load;
    struct event event;
    int64_t due_us;
    uint32_t mean_ms, calm_looks;
    unsigned turn; /* of refusals */
    _Atomic int level;
} __attribute__((aligned(CACHE_LINE)));

struct load {
    _Atomic uint32_t lag_ms; /* 0: off */
    unsigned n;
    struct watch *watches;
    int64_t extreme_since_ms, calm_since_ms; /* main thread; 0: not */
    bool is_overloaded;
};

struct load *load_new(unsigned n_workers)
{
    struct load *l = base_zalloc(1, sizeof(*l));

    l->n = n_workers;
    l->watches = aligned_alloc(CACHE_LINE, n_workers * sizeof(struct watch));
    ensure(l->watches != NULL);
    for (unsigned i = 0; i < n_workers; i++)
        l->watches[i] = (struct watch){.load = l};
    return l;
}

void load_free(struct load *l)
{
    free(l->watches);
    free(l);
}

static enum guard_load judge(struct watch *x, uint32_t lag_ms)
{
    enum guard_load before = atomic_load_explicit(&x->level, memory_order_relaxed);

    if (lag_ms == 0)
        return GUARD_LOAD_FINE;
    if (x->mean_ms >= 2 * lag_ms)
        return GUARD_LOAD_EXTREME;
    if (x->mean_ms >= lag_ms)
        return before == GUARD_LOAD_EXTREME ? before : GUARD_LOAD_HIGH;
    x->calm_looks = 2 * x->mean_ms < lag_ms ? x->calm_looks + 1 : 0;
    if (before == GUARD_LOAD_FINE || x->calm_looks >= CALM_LOOKS)
        return GUARD_LOAD_FINE;
    return GUARD_LOAD_HIGH;
}

static void look_again(struct watch *x)
{
    struct timeval in = {0, LOOK_MS * 1000};

    x->due_us = clock_mono_us() + LOOK_MS * 1000;
    ensure(event_add(&x->event, &in) == 0);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct watch *x = arg;
    int64_t late_ms = (clock_mono_us() - x->due_us) / 1000;
    uint32_t lag_ms = atomic_load_explicit(&x->load->lag_ms, memory_order_relaxed);

    if (late_ms < 0)
        late_ms = 0;
    if (late_ms > MOST_LAGS * (int64_t)lag_ms)
        late_ms = MOST_LAGS * (int64_t)lag_ms;
    x->mean_ms = (3 * x->mean_ms + (uint32_t)late_ms) / 4;
    if (x->mean_ms >= lag_ms)
        x->calm_looks = 0;
    atomic_store_explicit(&x->level, judge(x, lag_ms), memory_order_relaxed);
    look_again(x);
}

void guard_watch(struct guard *g, struct worker *w)
{
    struct watch *x = &g->load->watches[w->index];

    event_assign(&x->event, w->base, -1, 0, on_look, x);
    look_again(x);
}

void guard_unwatch(struct guard *g, struct worker *w)
{
    event_del(&g->load->watches[w->index].event);
}

void guard_set_lag(struct guard *g, uint32_t lag_ms)
{
    atomic_store_explicit(&g->load->lag_ms, lag_ms, memory_order_relaxed);
}

static enum guard_load level_of(const struct watch *x)
{
    return (enum guard_load)atomic_load_explicit(&x->level, memory_order_relaxed);
}

enum guard_load guard_load(const struct guard *g, const struct worker *w)
{
    return level_of(&g->load->watches[w->index]);
}

/* Handshakes are the costliest of what is new; without TLS a connection costs little until it
 * asks. */
bool load_refuses(struct load *l, const struct worker *w, bool is_tls)
{
    struct watch *x = &l->watches[w->index];

    switch (level_of(x)) {
    case GUARD_LOAD_FINE:
        break;
    case GUARD_LOAD_HIGH:
        return is_tls && ++x->turn % REFUSE_HIGH != 0;
    case GUARD_LOAD_EXTREME:
        return ++x->turn % (is_tls ? REFUSE_EXTREME : REFUSE_HIGH) != 0;
    }
    return false;
}

enum guard_load guard_highest_load(const struct guard *g)
{
    enum guard_load highest = GUARD_LOAD_FINE;

    for (unsigned i = 0; i < g->load->n; i++)
        if (level_of(&g->load->watches[i]) > highest)
            highest = level_of(&g->load->watches[i]);
    return highest;
}

bool guard_is_overloaded(struct guard *g, int64_t now_ms)
{
    struct load *l = g->load;

    if (guard_highest_load(g) == GUARD_LOAD_EXTREME) {
        l->calm_since_ms = 0;
        if (l->extreme_since_ms == 0)
            l->extreme_since_ms = now_ms;
        if (now_ms - l->extreme_since_ms >= OVERLOADED_AFTER_MS)
            l->is_overloaded = true;
    } else {
        l->extreme_since_ms = 0;
        if (l->calm_since_ms == 0)
            l->calm_since_ms = now_ms;
        if (now_ms - l->calm_since_ms >= RELIEVED_AFTER_MS)
            l->is_overloaded = false;
    }
    return l->is_overloaded;
}
