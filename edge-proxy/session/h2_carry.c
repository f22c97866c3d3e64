/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections that speak HTTP/2: carries bytes between wire and h2, and keeps the connection's
 * clock. All that one read brought is answered in one write. */
#include "edge-proxy/session/session_internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum {
    READS_MAX = 4, /* of one connection, before others have their turn */
    WRITES_MAX = 8,
    /* Little waits in the kernel: what the client wants first need not queue behind it there. */
    UNSENT_BYTES = 2 * H2_OUT_BYTES
};

static void wake(void *arg)
{
    session_run(arg);
}

static bool is_host_served(void *arg, struct str host)
{
    struct session *s = arg;

    return wire_is_host_served(&s->wire, host);
}

static const struct h2_ops ops = {.wake = wake, .is_host_served = is_host_served};

void session_start_h2(struct session *s)
{
    int unsent = UNSENT_BYTES;

    (void)setsockopt(s->wire.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
    s->h2 = h2_open(s->sw->h2, &ops, s, &s->client);
    s->step = SESSION_CARRY_H2;
}

/* STEP_AGAIN: there may be more. */
static enum step_result receive(struct session *s)
{
    struct worker *w = s->sw->w;
    enum wire_verdict v;
    size_t n;

    v = wire_read(w, &s->wire, s->sw->h2_in, WORKER_SCRATCH_BYTES, &n);
    if (v == WIRE_AGAIN_READ || v == WIRE_AGAIN_WRITE)
        return STEP_WAIT;
    if (v != WIRE_OK)
        return STEP_OVER;
    h2_receive(s->h2, s->sw->h2_in, n);
    return wire_has_pending(&s->wire) ? STEP_AGAIN : STEP_WAIT;
}

/* Not while the client does not read: what its frames ask for would only pile up. */
static enum step_result receive_all(struct session *s)
{
    enum step_result result = STEP_AGAIN;

    if (wire_has_rest(&s->wire) || (!(s->events & EV_READ) && !wire_has_pending(&s->wire)))
        return STEP_WAIT;
    s->events &= (short)~EV_READ;
    for (int i = 0; i < READS_MAX && result == STEP_AGAIN; i++)
        result = receive(s);
    return result;
}

/* STEP_AGAIN: there may be more. */
static enum step_result send_all(struct session *s)
{
    struct worker *w = s->sw->w;
    enum wire_verdict v = wire_flush(w, &s->wire);

    for (int i = 0; v == WIRE_OK && i < WRITES_MAX; i++) {
        struct str out = h2_collect(s->h2);

        if (out.n == 0)
            return STEP_WAIT;
        v = wire_write_all(w, &s->wire, out);
    }
    if (v == WIRE_ERROR || v == WIRE_EOF)
        return STEP_OVER;
    return v == WIRE_OK ? STEP_AGAIN : STEP_WAIT;
}

static void keep_clock(struct session *s)
{
    static const uint8_t clocks[] = {
        [H2_WAIT_STREAMS] = CLOCK_NONE,
        [H2_WAIT_HEAD] = CLOCK_HEAD,
        [H2_WAIT_IDLE] = CLOCK_IDLE,
    };
    const struct config_limits *limits = session_limits(s);
    uint8_t clock = wire_has_rest(&s->wire) ? CLOCK_SEND : clocks[h2_waits_for(s->h2)];

    /* A deadline that runs goes on: neither a byte now and then nor a PING moves it. */
    if (clock == s->clock && (clock != CLOCK_SEND || s->rest_bytes == wire_rest_bytes(&s->wire)))
        return;
    s->rest_bytes = wire_rest_bytes(&s->wire);
    if (clock == CLOCK_NONE)
        s->clock = CLOCK_NONE;
    else
        session_set_clock(s, clock,
                          clock == CLOCK_SEND   ? limits->body_idle_ms
                          : clock == CLOCK_HEAD ? limits->header_timeout_ms
                                                : limits->keep_alive_ms);
}

/* What is left to say has been said: the client may read it before the connection goes. */
static enum step_result end(struct session *s)
{
    h2_free(s->h2);
    s->h2 = NULL;
    return session_start_linger(s);
}

enum step_result session_step_carry_h2(struct session *s)
{
    enum step_result received = receive_all(s), sent;

    if (received == STEP_OVER)
        return STEP_OVER;
    sent = send_all(s);
    if (sent == STEP_OVER)
        return STEP_OVER;
    if (h2_is_over(s->h2) && !wire_has_rest(&s->wire))
        return end(s);
    keep_clock(s);
    session_want(s, wire_has_rest(&s->wire) ? EV_WRITE : EV_READ);
    if (received == STEP_AGAIN || sent == STEP_AGAIN) /* when others have had their turn */
        event_active(&s->event, EV_WRITE, 0);
    return STEP_WAIT;
}

void session_end_idle_h2(struct session *s)
{
    h2_end_idle(s->h2);
    session_run(s);
}

void session_drain_h2(struct session *s)
{
    h2_drain(s->h2);
    session_run(s);
}
