/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver of a connection: events and deadlines in, one step after the other, and its end. */
#include "edge-proxy/session/session_internal.h"

#include "common/clock/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct session *session_from(void *arg)
{
    struct session *s = arg;

    ensure(s->magic == SESSION_MAGIC);
    return s;
}

/* ---- Turns ---- */

struct turn *turn_open(struct session *s)
{
    struct session_worker *sw = s->sw;
    struct turn *t = sw->free_turns;

    if (t != NULL)
        sw->free_turns = t->next_free;
    else
        t = base_alloc(sizeof(*t));
    memset(t, 0, sizeof(*t));
    t->r = request_new(sw->rw, &session_h1_ops, s, &s->client);
    s->turn = t;
    return t;
}

void turn_close(struct session *s)
{
    struct turn *t = s->turn;

    s->turn = NULL;
    request_end(t->r, t->is_whole, t->bytes_sent);
    buffer_give(s->sw->w, t->out);
    t->next_free = s->sw->free_turns;
    s->sw->free_turns = t;
}

/* ---- Events and deadlines ---- */

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct session *s = session_from(arg);

    s->events |= what;
    s->burst = 0;
    session_run(s);
}

void session_want(struct session *s, short interest)
{
    if (s->interest == interest)
        return;
    if (s->interest != 0)
        event_del(&s->event);
    s->interest = interest;
    if (interest == 0)
        return;
    event_assign(&s->event, s->sw->w->base, s->wire.fd, interest | EV_PERSIST, on_event, s);
    ensure(event_add(&s->event, NULL) == 0);
}

static void on_deadline(struct wheel_timer *t);

void session_set_clock(struct session *s, enum session_clock clock, uint32_t ms)
{
    s->clock = clock;
    wheel_set(&s->sw->w->wheel, &s->timer, ms, on_deadline);
}

void session_move_clock(struct session *s, enum session_clock clock, size_t n, uint32_t least_rate)
{
    uint32_t ms = session_limits(s)->body_idle_ms;

    if (s->clock == clock)
        ms = body_time_ms(&s->timer, n, least_rate, ms);
    session_set_clock(s, clock, ms);
}

void session_blame(struct session *s, enum guard_mischief what)
{
    (void)guard_blame(request_worker_shared(s->sw->rw)->guard,
                      request_worker_generation(s->sw->rw)->guard, s->sw->w, &s->client.ip, what);
}

static void destroy(struct session *s)
{
    struct session_worker *sw = s->sw;

    s->is_running = true; /* what ends with it shall not wake it */
    if (s->step == SESSION_READ_PROXY)
        free(s->proxy_part);
    else if (s->step == SESSION_HANDSHAKE)
        session_end_handshake(s);
    else if (s->step == SESSION_CARRY_H2)
        h2_free(s->h2);
    else if (s->turn != NULL)
        turn_close(s);
    event_del(&s->event); /* also when it is only active, for its turn after a burst */
    s->interest = 0;
    if (!s->is_reset)
        wire_shut_write(sw->w, &s->wire);
    wheel_clear(&sw->w->wheel, &s->timer);
    wire_close(sw->w, &s->wire);
    free((char *)s->client.certificate);
    buffer_give(sw->w, s->in);
    *s->link = s->next;
    if (s->next != NULL)
        s->next->link = s->link;
    sw->n_sessions--;
    atomic_fetch_sub_explicit(&request_worker_shared(sw->rw)->connections, 1, memory_order_relaxed);
    guard_leave(request_worker_shared(sw->rw)->guard, s->ticket);
    worker_count(sw->w, COUNT_CONNECTIONS_CLOSED);
    s->magic = 0;
    if (sw->n_free >= SESSION_FREE_MAX) {
        free(s);
        return;
    }
    s->next = sw->free_sessions;
    sw->free_sessions = s;
    sw->n_free++;
}

/* Bytes that were promised did not come: the client must not take what it has for the whole
 * (RFC 9112 section 8). */
static void reset(struct session *s)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};

    s->is_reset = true;
    (void)setsockopt(s->wire.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

static void on_deadline(struct wheel_timer *timer)
{
    struct session *s = CONTAINER_OF(timer, struct session, timer);
    struct worker *w = s->sw->w;

    ensure(s->magic == SESSION_MAGIC);
    switch ((enum session_clock)s->clock) {
    case CLOCK_NONE:
        return;
    case CLOCK_PROXY:
        worker_count(w, COUNT_PROXY_TIMEOUT);
        break;
    case CLOCK_HANDSHAKE:
        worker_count(w, COUNT_TLS_TIMEOUT);
        session_blame(s, GUARD_HANDSHAKE);
        break;
    case CLOCK_HEAD:
    case CLOCK_BODY:
        worker_count(w, s->clock == CLOCK_HEAD ? COUNT_TIMEOUT_HEADER : COUNT_TIMEOUT_BODY);
        s->clock = CLOCK_NONE;
        if (s->step == SESSION_CARRY_H2 || s->turn == NULL)
            break; /* it has not even begun: browsers connect ahead */
        session_blame(s, GUARD_SLOW);
        request_refuse_status(s->turn->r, 408); /* RFC 9110 section 15.5.9 */
        s->step = SESSION_AWAIT;
        session_run(s);
        return;
    case CLOCK_SEND:
        worker_count(w, COUNT_TIMEOUT_SEND);
        session_blame(s, GUARD_SLOW);
        reset(s);
        break;
    case CLOCK_IDLE:
        if (s->step != SESSION_CARRY_H2)
            break;
        session_end_idle_h2(s);
        return;
    case CLOCK_LINGER:
        break;
    }
    destroy(s);
}

/* ---- Steps that are no part of HTTP ---- */

static enum step_result step_await(struct session *s)
{
    if (session_read_body(s) == STEP_OVER || session_flush(s) == STEP_OVER)
        return STEP_OVER;
    switch (request_state(s->turn->r)) {
    case REQUEST_WAITING:
        return STEP_WAIT;
    case REQUEST_BROKEN:
        reset(s);
        return STEP_OVER;
    case REQUEST_ANSWERED:
        break;
    }
    s->step = s->turn->is_head_sent ? SESSION_SEND_BODY : SESSION_SEND_HEAD;
    return STEP_AGAIN;
}

enum step_result session_start_linger(struct session *s)
{
    wire_shut_write(s->sw->w, &s->wire);
    (void)shutdown(s->wire.fd, SHUT_WR);
    s->step = SESSION_LINGER;
    session_want(s, EV_READ);
    session_set_clock(s, CLOCK_LINGER, SESSION_LINGER_MS);
    return STEP_WAIT;
}

/* At the end, a client whose last response did not ask it to go may have its next request on its
 * way (RFC 9112 section 9.5): that one gets its answer yet. */
static uint32_t idle_ms(const struct session *s)
{
    uint32_t keep_alive_ms = session_limits(s)->keep_alive_ms;

    return s->sw->is_draining && keep_alive_ms > SESSION_DRAIN_IDLE_MS ? SESSION_DRAIN_IDLE_MS
                                                                       : keep_alive_ms;
}

static enum step_result step_finish(struct session *s)
{
    struct turn *t = s->turn;
    bool is_close = t->is_close || !t->is_whole;
    bool has_unread = !t->body.is_ended || (s->in != NULL && s->in->start < s->in->end);

    if (!t->is_whole)
        reset(s);
    turn_close(s);
    if (is_close) {
        buffer_give(s->sw->w, s->in);
        s->in = NULL;
        return has_unread && !s->is_peer_done ? session_start_linger(s) : STEP_OVER;
    }
    s->step = SESSION_READ_HEAD;
    s->has_unparsed = s->in->start < s->in->end;
    if (s->has_unparsed && s->burst++ < SESSION_BURST)
        return STEP_AGAIN;
    if (s->has_unparsed) {
        event_active(&s->event, EV_READ, 0);
        return STEP_WAIT;
    }
    buffer_give(s->sw->w, s->in);
    s->in = NULL;
    if (s->is_peer_done && !wire_has_pending(&s->wire))
        return STEP_OVER;
    session_want(s, EV_READ);
    session_set_clock(s, CLOCK_IDLE, idle_ms(s));
    return wire_has_pending(&s->wire) ? STEP_AGAIN : STEP_WAIT;
}

static enum step_result step_linger(struct session *s)
{
    struct worker *w = s->sw->w;
    size_t n;

    if (!(s->events & EV_READ))
        return STEP_WAIT;
    /* Raw bytes: they are thrown away. */
    ssize_t got = recv(s->wire.fd, w->scratch, WORKER_SCRATCH_BYTES, 0);

    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR) ? STEP_WAIT : STEP_OVER;
    n = (size_t)got;
    s->lingered_bytes += (uint32_t)n;
    return s->lingered_bytes > SESSION_LINGER_BYTES ? STEP_OVER : STEP_WAIT;
}

/* ---- The driver ---- */

static enum step_result run_steps(struct session *s)
{
    static enum step_result (*const steps[])(struct session *) = {
        [SESSION_READ_PROXY] = session_step_read_proxy,
        [SESSION_HANDSHAKE] = session_step_handshake,
        [SESSION_READ_HEAD] = session_step_read_head,
        [SESSION_AWAIT] = step_await,
        [SESSION_SEND_HEAD] = session_step_send_head,
        [SESSION_SEND_BODY] = session_step_send_body,
        [SESSION_FINISH] = step_finish,
        [SESSION_CARRY_H2] = session_step_carry_h2,
        [SESSION_LINGER] = step_linger,
    };
    enum step_result result;

    do {
        result = steps[s->step](s);
    } while (result == STEP_AGAIN);
    return result;
}

void session_run(struct session *s)
{
    enum step_result result;

    if (s->is_running) {
        s->is_woken = true;
        return;
    }
    s->is_running = true;
    do {
        s->is_woken = false;
        result = run_steps(s);
    } while (result == STEP_WAIT && s->is_woken);
    s->events = 0;
    s->is_running = false;
    if (result == STEP_OVER)
        destroy(s);
}

/* ---- The door ---- */

struct session_worker *session_worker_new(struct request_worker *rw)
{
    struct session_worker *sw = base_zalloc(1, sizeof(*sw));

    sw->rw = rw;
    sw->w = request_worker_flow(rw);
    session_init_handshakes(sw);
    sw->h2 = h2_worker_new(rw);
    sw->h2_in = base_alloc(WORKER_SCRATCH_BYTES);
    return sw;
}

struct session *session_new(struct session_worker *sw, int fd)
{
    struct session *s = sw->free_sessions;

    if (s != NULL) {
        sw->free_sessions = s->next;
        sw->n_free--;
    } else {
        s = base_alloc(sizeof(*s));
    }
    memset(s, 0, sizeof(*s));
    s->magic = SESSION_MAGIC;
    s->sw = sw;
    s->next = sw->sessions;
    s->link = &sw->sessions;
    if (sw->sessions != NULL)
        sw->sessions->link = &s->next;
    sw->sessions = s;
    sw->n_sessions++;
    atomic_fetch_add_explicit(&request_worker_shared(sw->rw)->connections, 1, memory_order_relaxed);
    s->wire.fd = fd;
    return s;
}

void session_worker_drain(struct session_worker *sw)
{
    struct session *next;

    sw->is_draining = true;
    for (struct session *s = sw->sessions; s != NULL; s = next) {
        next = s->next;
        if (s->step == SESSION_READ_HEAD && s->in == NULL)
            session_set_clock(s, CLOCK_IDLE, idle_ms(s));
        else if (s->step == SESSION_CARRY_H2)
            session_drain_h2(s);
    }
}

void session_worker_make_room(struct session_worker *sw)
{
    struct session *resting[SESSION_ROOM];
    size_t n = 0;

    /* The list begins with the newest: the last that are seen stay in the ring. */
    for (struct session *s = sw->sessions; s != NULL; s = s->next)
        if (s->step == SESSION_READ_HEAD && s->in == NULL && s->clock == CLOCK_IDLE)
            resting[n++ % SESSION_ROOM] = s;
    for (size_t i = 0; i < n && i < SESSION_ROOM; i++) {
        worker_count(sw->w, COUNT_CONNECTIONS_MADE_ROOM);
        destroy(resting[i]);
    }
}

unsigned session_worker_count(const struct session_worker *sw)
{
    return sw->n_sessions;
}

void session_worker_free(struct session_worker *sw)
{
    while (sw->sessions != NULL)
        destroy(sw->sessions);
    for (struct session *s = sw->free_sessions, *next; s != NULL; s = next) {
        next = s->next;
        free(s);
    }
    for (struct turn *t = sw->free_turns, *next; t != NULL; t = next) {
        next = t->next_free;
        free(t);
    }
    session_free_handshakes(sw);
    h2_worker_free(sw->h2);
    free(sw->h2_in);
    free(sw);
}
