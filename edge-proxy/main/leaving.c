/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/clock/clock.h"
#include "common/daemon/daemon.h"
#include "common/handover/handover.h"
#include "common/log/log.h"
#include "edge-proxy/main/edge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 50 };

struct leaving {
    struct leaving_hooks hooks;
    struct event_base *base;
    struct event *look;      /* while it goes */
    struct event *successor; /* a newer program is starting; NULL: none is */
    struct handover handover;
    bool has_begun, is_closed;
    int64_t close_at_ms, stop_by_ms;
};

static void close_doors(struct leaving *l)
{
    l->is_closed = true;
    l->hooks.close_doors(l->hooks.arg);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct leaving *l = arg;
    int64_t now_ms = clock_mono_ms();

    if (!l->is_closed && now_ms >= l->close_at_ms)
        close_doors(l);
    if (l->is_closed &&
        (atomic_load(&l->hooks.shared->connections) == 0 || now_ms >= l->stop_by_ms))
        l->hooks.stop(l->hooks.arg);
}

struct leaving *leaving_new(struct event_base *base, const struct leaving_hooks *hooks)
{
    struct leaving *l = base_zalloc(1, sizeof(*l));

    l->hooks = *hooks;
    l->base = base;
    l->look = event_new(base, -1, EV_PERSIST, on_look, l);
    ensure(l->look != NULL);
    return l;
}

static void forget_successor(struct leaving *l)
{
    if (l->successor != NULL)
        event_free(l->successor);
    l->successor = NULL;
}

void leaving_free(struct leaving *l)
{
    event_free(l->look);
    forget_successor(l);
    free(l);
}

bool leaving_has_begun(const struct leaving *l)
{
    return l->has_begun;
}

void leaving_begin(struct leaving *l, uint32_t notice_ms, uint32_t drain_ms)
{
    struct timeval every = {0, LOOK_MS * 1000};

    l->has_begun = true;
    l->close_at_ms = clock_mono_ms() + notice_ms;
    l->stop_by_ms = l->close_at_ms + drain_ms;
    atomic_store(&l->hooks.shared->is_draining, true);
    if (notice_ms == 0)
        close_doors(l);
    ensure(event_add(l->look, &every) == 0);
}

/* ---- A newer program ---- */

static void take_leave(struct leaving *l)
{
    char state[32];

    log_info("main", "handed over, finishing what is open pid=%d connections=%u",
             (int)l->handover.pid, atomic_load(&l->hooks.shared->connections));
    snprintf(state, sizeof(state), "MAINPID=%d", (int)l->handover.pid);
    daemon_notify(state);
    l->hooks.hand_over(l->hooks.arg);
}

static void on_successor(evutil_socket_t fd, short what, void *arg)
{
    struct leaving *l = arg;
    enum handover_state state = handover_look(&l->handover);

    if (state == HANDOVER_WAIT)
        return;
    forget_successor(l);
    if (state == HANDOVER_FAILED)
        log_error("main", "the new program ended before it was ready, this one serves on; what it "
                          "said stands above");
    else if (!l->has_begun)
        take_leave(l);
}

void leaving_hand_over(struct leaving *l)
{
    if (l->has_begun || l->successor != NULL) {
        log_warn("main", "no new program is started: %s",
                 l->has_begun ? "this one is stopping" : "one is starting already");
        return;
    }
    if (has_failed(handover_start(&l->handover))) {
        log_error("main", "cannot start the new program, this one serves on: %s", strerror(errno));
        return;
    }
    log_info("main", "started the new program pid=%d", (int)l->handover.pid);
    l->successor = event_new(l->base, l->handover.fd, EV_READ | EV_PERSIST, on_successor, l);
    ensure(l->successor != NULL && event_add(l->successor, NULL) == 0);
}
