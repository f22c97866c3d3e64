/* SPDX-License-Identifier: BSD-2-Clause */
/* When what is signed is to be renewed: at the moment that the keys tell, and within a minute of a
 * change of their files. The wall clock is looked at anew each minute, since it can be set. */
#include "common/clock/clock.h"
#include "gslb-dns/main/node_internal.h"

#include <event2/event.h>
#include <stdlib.h>

enum { LOOK_EVERY_S = 60 };

struct renewal {
    struct event *timer;
    const struct generation *generation;
    void (*on_due)(void *arg);
    void *arg;
};

static void set_timer(struct renewal *r)
{
    int64_t next_s = generation_next_renewal_s(r->generation), left_s;
    struct timeval tv;

    if (next_s == INT64_MAX) /* nothing is signed */
        return;
    left_s = next_s - clock_wall_s();
    tv = (struct timeval){.tv_sec = left_s < 1 ? 1 : left_s < LOOK_EVERY_S ? left_s : LOOK_EVERY_S};
    ensure(event_add(r->timer, &tv) == 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct renewal *r = arg;

    if (generation_is_renewal_due(r->generation, clock_wall_s()))
        r->on_due(r->arg);
    ensure(event_add(r->timer, &(struct timeval){.tv_sec = LOOK_EVERY_S}) == 0);
}

struct renewal *renewal_new(struct event_base *base, void (*on_due)(void *arg), void *arg)
{
    struct renewal *r = base_zalloc(1, sizeof(*r));

    r->on_due = on_due;
    r->arg = arg;
    r->timer = event_new(base, -1, 0, on_timer, r);
    ensure(r->timer != NULL);
    return r;
}

void renewal_watch(struct renewal *r, const struct generation *g)
{
    r->generation = g;
    event_del(r->timer);
    set_timer(r);
}

void renewal_free(struct renewal *r)
{
    if (r == NULL)
        return;
    event_free(r->timer);
    free(r);
}
