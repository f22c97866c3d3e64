/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wheel: very many timeouts that seldom fire. Moving a deadline later, which is what nearly every
 * request does, is one store: the slot that the timer lies in looks again when its time comes.
 * Deadlines are kept to WHEEL_TICK_MS, never early. One thread; the timer is the caller's memory.
 */
#ifndef COMMON_WHEEL_H
#define COMMON_WHEEL_H

#include "common/base/base.h"

#include <event2/event.h>

enum { WHEEL_TICK_MS = 50, WHEEL_SLOTS = 1024 };

/* Zero-initialised: not set. */
struct wheel_timer {
    struct wheel_timer *next, **link; /* in its slot; link NULL: not in the wheel */
    int64_t deadline_ms;              /* by clock_coarse_ms */
    int64_t tick;                     /* when its slot looks at it */
    void (*fire)(struct wheel_timer *t);
};

struct wheel {
    struct event *event;
    int64_t tick; /* all slots before it have been looked at */
    uint64_t n;
    struct wheel_timer *slots[WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, struct event_base *base);
/* All timers must have been cleared. */
void wheel_stop(struct wheel *w);
/* fire(t) in delay_ms or a little later, once; replaces what was set. */
void wheel_set(struct wheel *w, struct wheel_timer *t, uint64_t delay_ms,
               void (*fire)(struct wheel_timer *t));
void wheel_clear(struct wheel *w, struct wheel_timer *t);
static inline bool wheel_is_set(const struct wheel_timer *t)
{
    return t->link != NULL;
}

#endif
