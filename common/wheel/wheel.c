/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/wheel/wheel.h"

#include "common/clock/clock.h"

static void link_timer(struct wheel *w, struct wheel_timer *t)
{
    int64_t tick = t->deadline_ms / WHEEL_TICK_MS + 1;
    struct wheel_timer **slot;

    if (tick < w->tick)
        tick = w->tick;
    /* A far deadline waits in the last slot and is put in again from there. */
    if (tick > w->tick + WHEEL_SLOTS - 1)
        tick = w->tick + WHEEL_SLOTS - 1;
    slot = &w->slots[tick % WHEEL_SLOTS];
    t->tick = tick;
    t->next = *slot;
    t->link = slot;
    if (*slot != NULL)
        (*slot)->link = &t->next;
    *slot = t;
}

static void unlink_timer(struct wheel_timer *t)
{
    *t->link = t->next;
    if (t->next != NULL)
        t->next->link = t->link;
    t->link = NULL;
    t->next = NULL;
}

static void look_at(struct wheel *w, struct wheel_timer *t, int64_t now_ms)
{
    unlink_timer(t);
    if (t->deadline_ms > now_ms) {
        link_timer(w, t);
        return;
    }
    w->n--;
    t->fire(t); /* may free t */
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct wheel *w = arg;
    int64_t now_ms = clock_coarse_ms(), until = now_ms / WHEEL_TICK_MS;

    if (until > w->tick + WHEEL_SLOTS) /* the machine slept: every slot once is enough */
        w->tick = until - WHEEL_SLOTS;
    while (w->tick <= until) {
        struct wheel_timer *todo = NULL, **slot = &w->slots[w->tick % WHEEL_SLOTS];

        w->tick++;
        /* Taken out first: a timer that is set meanwhile may land in this slot again. */
        if (*slot != NULL) {
            todo = *slot;
            todo->link = &todo;
            *slot = NULL;
        }
        while (todo != NULL)
            look_at(w, todo, now_ms);
    }
    if (w->n == 0)
        event_del(w->event);
}

void wheel_init(struct wheel *w, struct event_base *base)
{
    *w = (struct wheel){.event = event_new(base, -1, EV_PERSIST, on_tick, w)};
    ensure(w->event != NULL);
}

void wheel_stop(struct wheel *w)
{
    event_free(w->event);
}

static void start_ticking(struct wheel *w)
{
    struct timeval every = {0, WHEEL_TICK_MS * 1000};

    w->tick = clock_coarse_ms() / WHEEL_TICK_MS;
    ensure(event_add(w->event, &every) == 0);
}

void wheel_set(struct wheel *w, struct wheel_timer *t, uint64_t delay_ms,
               void (*fire)(struct wheel_timer *t))
{
    t->deadline_ms = clock_coarse_ms() + (int64_t)delay_ms;
    t->fire = fire;
    if (t->link != NULL) {
        if (t->deadline_ms / WHEEL_TICK_MS + 1 >= t->tick)
            return;
        unlink_timer(t);
        w->n--;
    }
    if (w->n++ == 0 && !event_pending(w->event, EV_TIMEOUT, NULL))
        start_ticking(w);
    link_timer(w, t);
}

void wheel_clear(struct wheel *w, struct wheel_timer *t)
{
    t->fire = NULL;
    if (t->link == NULL)
        return;
    unlink_timer(t);
    w->n--;
}
