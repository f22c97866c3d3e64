/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whom an exchange goes to. In a pool with limits it also takes a slot of the pool and one of the
 * origin, or waits in the pool's queue until somebody else has given them back; see slots.
 */
#include "edge-proxy/upstream/upstream_internal.h"

#include <string.h>

/* ---- Looking and taking ---- */

/* Who has as much to do as they may; all, if the pool has. */
static uint64_t find_full(const struct upstream_pool *p)
{
    uint64_t full = 0;

    if (!slots_has_room(p->slots))
        return UINT64_MAX;
    for (size_t i = 0; i < p->n_origins; i++)
        if (!slots_has_room(p->origins[i].slots))
            full |= (uint64_t)1 << i;
    return full;
}

static void wake_next(const struct upstream_pool *p)
{
    if (slots_waiting(p->slots) > 0)
        slots_wake(p->slots);
}

/* 0 with an origin and its slots, or BALANCE_NONE or BALANCE_FULL. */
static int take_slots(struct upstream_exchange *x)
{
    const struct upstream_pool *p = x->pool;

    for (;;) {
        int i = pool_pick(x->u, &x->r, find_full(p));

        if (i < 0)
            return i;
        if (!slots_take(p->slots))
            return BALANCE_FULL;
        if (slots_take(p->origins[i].slots)) {
            x->origin = &p->origins[i];
            x->has_slots = true;
            return 0;
        }
        slots_give(p->slots); /* another worker was faster; somebody may have missed this one */
        wake_next(p);
    }
}

/* Whether one like x would find room. */
static bool is_room_left(const struct upstream_exchange *x)
{
    return pool_look(&x->r, find_full(x->pool)) == 0;
}

/* ---- Waiting ---- */

static void leave_queue(struct upstream_exchange *x)
{
    wheel_clear(&x->u->w->wheel, &x->queue_timer);
    if (x->waiter != NULL)
        slots_stop_waiting(x->waiter);
    x->waiter = NULL;
}

void exchange_let_go(struct upstream_exchange *x)
{
    leave_queue(x);
    if (!x->has_slots)
        return;
    x->has_slots = false;
    slots_give(x->origin->slots);
    slots_give(x->pool->slots);
    wake_next(x->pool);
}

/* Who has been somewhere already, or knows only the origins of before a reload, can't use all that
 * those behind it can. */
static bool is_choosy(const struct upstream_exchange *x)
{
    return x->r.tried != 0 || atomic_load_explicit(&x->r.pools->is_retired, memory_order_relaxed);
}

static void on_call(void *arg)
{
    struct upstream_exchange *x = arg;
    int found = take_slots(x);

    if (found == BALANCE_FULL) {
        if (is_choosy(x))
            slots_wake_behind(x->waiter);
        return;
    }
    leave_queue(x);
    if (found == BALANCE_NONE) {
        wake_next(x->pool); /* to the same news */
        exchange_fail(x, UPSTREAM_FAILED_NONE_UP);
    } else {
        if (is_room_left(x)) /* a limit was raised, or an origin came up */
            wake_next(x->pool);
        exchange_open(x);
    }
    x->r.ops->on_progress(x->r.arg); /* may end x */
}

static void on_deadline(struct wheel_timer *t)
{
    struct upstream_exchange *x = CONTAINER_OF(t, struct upstream_exchange, queue_timer);

    exchange_fail(x, UPSTREAM_FAILED_QUEUE_TIMEOUT);
    x->r.ops->on_progress(x->r.arg); /* may end x */
}

/* The caller's lasts only until it has started the exchange. */
static void keep_preface(struct upstream_exchange *x)
{
    struct str *preface = &x->r.preface;

    ensure(preface->n <= sizeof(x->preface));
    if (preface->n > 0)
        memcpy(x->preface, preface->p, preface->n);
    preface->p = x->preface;
}

static void queue_up(struct upstream_exchange *x)
{
    const struct config_queue *q = &x->pool->config->queue;

    x->waiter = slots_wait(x->pool->slots, q->length, x->u->w->loop, on_call, x);
    if (x->waiter == NULL) {
        exchange_fail(x, UPSTREAM_FAILED_QUEUE_FULL);
        return;
    }
    worker_count(x->u->w, COUNT_UPSTREAM_QUEUED);
    keep_preface(x);
    x->step = STEP_QUEUE;
    wheel_set(&x->u->w->wheel, &x->queue_timer, q->timeout_ms, on_deadline);
    if (is_room_left(x)) /* since the look that found none */
        slots_wake(x->pool->slots);
}

void exchange_find_origin(struct upstream_exchange *x)
{
    const struct upstream_pool *p = x->pool;
    int found;

    if (!p->config->is_limited) {
        found = pool_pick(x->u, &x->r, 0);
        if (found >= 0)
            x->origin = &p->origins[found];
    } else if (slots_waiting(p->slots) == 0) {
        found = take_slots(x);
    } else { /* behind the others */
        found = pool_look(&x->r, UINT64_MAX);
    }
    if (found == BALANCE_NONE)
        exchange_fail(x, UPSTREAM_FAILED_NONE_UP);
    else if (found == BALANCE_FULL)
        queue_up(x);
    else
        exchange_open(x);
}
