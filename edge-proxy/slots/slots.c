/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why no call gets lost: who queues up first counts in n_waiting and then looks for room; who gives
 * first gives and then looks at n_waiting. Both in one order for all threads, so that one of the
 * two sees the other. A waiter counts as called until its loop has got the letter; whoever gives
 * after that calls it again.
 */
#include "edge-proxy/slots/slots.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct slots_waiter {
    struct slots_waiter *next, **link;
    struct slots *s;
    struct loop *loop;
    void (*wake)(void *arg);
    void *arg;
    bool is_called; /* a letter is under way; the lock */
    bool is_over;   /* the letter finds nobody; the lock */
};

struct slots {
    _Alignas(CACHE_LINE) _Atomic uint32_t taken;
    _Atomic uint32_t limit;
    _Atomic uint32_t n_waiting;
    _Atomic uint32_t references;
    pthread_mutex_t lock; /* the queue */
    struct slots_waiter *first, **last;
};

static uint32_t limit_of(uint32_t limit)
{
    return limit == 0 ? UINT32_MAX : limit;
}

struct slots *slots_new(uint32_t limit)
{
    struct slots *s;

    ensure(posix_memalign((void **)&s, CACHE_LINE, sizeof(*s)) == 0);
    *s = (struct slots){.limit = limit_of(limit), .references = 1};
    ensure(pthread_mutex_init(&s->lock, NULL) == 0);
    s->last = &s->first;
    return s;
}

struct slots *slots_hold(struct slots *s)
{
    atomic_fetch_add(&s->references, 1);
    return s;
}

void slots_drop(struct slots *s)
{
    if (s == NULL || atomic_fetch_sub(&s->references, 1) > 1)
        return;
    ensure(s->first == NULL);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void slots_set_limit(struct slots *s, uint32_t limit)
{
    atomic_store(&s->limit, limit_of(limit));
}

/* ---- Counting ---- */

bool slots_take(struct slots *s)
{
    uint32_t n = atomic_load_explicit(&s->taken, memory_order_relaxed);

    do {
        if (n >= atomic_load_explicit(&s->limit, memory_order_relaxed))
            return false;
    } while (!atomic_compare_exchange_weak(&s->taken, &n, n + 1));
    return true;
}

void slots_give(struct slots *s)
{
    ensure(atomic_fetch_sub(&s->taken, 1) > 0);
}

bool slots_has_room(const struct slots *s)
{
    return atomic_load(&s->taken) < atomic_load(&s->limit);
}

/* ---- Waiting ---- */

static void free_waiter(struct slots_waiter *w)
{
    slots_drop(w->s);
    free(w);
}

static void on_letter(void *arg)
{
    struct slots_waiter *w = arg;
    bool is_over;

    pthread_mutex_lock(&w->s->lock);
    w->is_called = false;
    is_over = w->is_over;
    pthread_mutex_unlock(&w->s->lock);
    if (is_over)
        free_waiter(w);
    else
        w->wake(w->arg);
}

/* From w on. The lock is held. */
static void call_first_of(struct slots_waiter *w)
{
    while (w != NULL && w->is_called)
        w = w->next;
    if (w == NULL)
        return;
    w->is_called = true;
    loop_post(w->loop, on_letter, w);
}

struct slots_waiter *slots_wait(struct slots *s, uint32_t most, struct loop *l,
                                void (*wake)(void *arg), void *arg)
{
    struct slots_waiter *w = NULL;

    pthread_mutex_lock(&s->lock);
    if (atomic_load_explicit(&s->n_waiting, memory_order_relaxed) < most) {
        w = base_alloc(sizeof(*w));
        *w = (struct slots_waiter){
            .link = s->last, .s = slots_hold(s), .loop = l, .wake = wake, .arg = arg};
        *s->last = w;
        s->last = &w->next;
        atomic_fetch_add(&s->n_waiting, 1);
    }
    pthread_mutex_unlock(&s->lock);
    return w;
}

void slots_stop_waiting(struct slots_waiter *w)
{
    struct slots *s = w->s;
    bool is_called;

    pthread_mutex_lock(&s->lock);
    *w->link = w->next;
    if (w->next != NULL)
        w->next->link = w->link;
    else
        s->last = w->link;
    atomic_fetch_sub(&s->n_waiting, 1);
    is_called = w->is_called;
    w->is_over = true;
    if (is_called)
        call_first_of(s->first);
    pthread_mutex_unlock(&s->lock);
    if (!is_called) /* else the letter does */
        free_waiter(w);
}

uint32_t slots_waiting(const struct slots *s)
{
    return atomic_load(&s->n_waiting);
}

void slots_wake(struct slots *s)
{
    pthread_mutex_lock(&s->lock);
    call_first_of(s->first);
    pthread_mutex_unlock(&s->lock);
}

void slots_wake_behind(struct slots_waiter *w)
{
    pthread_mutex_lock(&w->s->lock);
    call_first_of(w->next);
    pthread_mutex_unlock(&w->s->lock);
}
