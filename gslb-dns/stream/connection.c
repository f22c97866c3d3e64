/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a connection costs while it waits is its struct and nothing else: it reads into a buffer
 * that all of its thread share, and memory of its own appears only for the rest of a message that
 * came in part, or of answers that the peer did not take at once.
 *
 *   readable ─▶ read once ─▶ answer whole messages, at most BATCH ─▶ one writev ─▶ next BATCH
 *                                                                     └ not all taken: keep the
 *                                      rest, stop reading, go on when writable (back-pressure)
 *
 * While transfers are under way their messages are made only when the socket takes more; queries
 * that come meanwhile are answered in between.
 */
#include "gslb-dns/stream/stream_internal.h"

#include "common/clock/clock.h"
#include "common/loop/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HANDSHAKES_AT_ONCE = 8, /* in a turn of the loop */
    UNFINISHED_MS = 5000,
    UNFINISHED_SHARE = 4,  /* a quarter of all connections may be unfinished, … */
    UNFINISHED_LEAST = 16, /* … and this many in any case */
};

/* ---- life ---- */

static void end_transfers(struct connection *c)
{
    struct transfer *t;

    while ((t = TAILQ_FIRST(&c->transfers)) != NULL) {
        TAILQ_REMOVE(&c->transfers, t, link);
        c->worker->handler->abandon(t->stream);
        free(t);
    }
}

static void leave_list(struct connection *c)
{
    struct worker *w = c->worker;

    TAILQ_REMOVE(c->is_unfinished ? &w->unfinished : &w->by_use, c, by_use);
    w->n_unfinished -= c->is_unfinished;
}

void connection_close(struct connection *c, int why)
{
    struct worker *w = c->worker;

    worker_count(w, (enum answer_counter)why);
    leave_list(c);
    if (c->is_waiting)
        TAILQ_REMOVE(&w->waiting, c, waiting);
    w->n_connections--;
    shares_return(w->shares, c->client, c->transport);
    end_transfers(c);
    frame_h2_free(c);
    event_free(c->readable);
    event_free(c->writable);
    transport_close(c);
    free(c->in.p);
    free(c->out.p);
    free(c);
}

void connection_mark_used(struct connection *c)
{
    leave_list(c);
    c->is_unfinished = false;
    c->used_ms = clock_coarse_ms();
    TAILQ_INSERT_TAIL(&c->worker->by_use, c, by_use);
}

struct connection *connection_oldest(struct worker *w)
{
    struct connection *idle = TAILQ_FIRST(&w->by_use), *unfinished = TAILQ_FIRST(&w->unfinished);
    bool is_many = w->n_unfinished * UNFINISHED_SHARE > w->n_connections;

    return unfinished != NULL && (is_many || idle == NULL) ? unfinished : idle;
}

static void end_unfinished(struct worker *w, struct connection *c)
{
    if (c->needs_header) {
        connection_close(c, ANSWER_COUNTER_TCP_CLOSED_PROXY);
        return;
    }
    worker_count(w, ANSWER_COUNTER_HANDSHAKE_TIMEOUT);
    connection_close(c, ANSWER_COUNTER_TCP_CLOSED_HANDSHAKE);
}

void connection_end_idle(struct worker *w, int64_t now_ms)
{
    uint32_t limit_ms = w->idle_ms < UNFINISHED_MS ? w->idle_ms : UNFINISHED_MS;
    struct connection *c;

    while ((c = TAILQ_FIRST(&w->by_use)) != NULL && c->used_ms <= now_ms - w->idle_ms)
        connection_close(c, c->is_writing ? ANSWER_COUNTER_TCP_CLOSED_SLOW
                                          : ANSWER_COUNTER_TCP_CLOSED_IDLE);
    while ((c = TAILQ_FIRST(&w->unfinished)) != NULL && c->used_ms <= now_ms - limit_ms)
        end_unfinished(w, c);
}

void connection_add_transfer(struct connection *c, struct answer_stream *stream)
{
    struct transfer *t = base_zalloc(1, sizeof(*t));

    t->stream = stream;
    TAILQ_INSERT_TAIL(&c->transfers, t, link);
    c->n_transfers++;
}

void rest_keep(struct rest *r, const uint8_t *p, size_t n)
{
    uint8_t *old = r->p;

    r->n = n;
    r->p = n > 0 ? memcpy(base_alloc(n), p, n) : NULL;
    free(old);
}

/* ---- writing ---- */

/* A peer that reset its connection shows here or at the next read; both are plain ends. */
static int error_counter(void)
{
    return errno == ECONNRESET || errno == EPIPE ? ANSWER_COUNTER_TCP_CLOSED_PEER
                                                 : ANSWER_COUNTER_TCP_CLOSED_ERROR;
}

/* What the peer did not take is kept; it must be taken before the next message is looked at. */
static void keep_unsent(struct connection *c, const struct iovec *pieces, size_t n, size_t sent)
{
    size_t total = 0, at = 0;

    for (size_t i = 0; i < n; i++)
        total += pieces[i].iov_len;
    c->out.n = total - sent;
    if (c->out.n == 0)
        return;
    c->out.p = base_alloc(c->out.n);
    for (size_t i = 0; i < n; i++) {
        size_t skip = sent < pieces[i].iov_len ? sent : pieces[i].iov_len;

        memcpy(c->out.p + at, (uint8_t *)pieces[i].iov_base + skip, pieces[i].iov_len - skip);
        at += pieces[i].iov_len - skip;
        sent -= skip;
    }
    c->is_blocked = true;
}

int connection_write(struct connection *c, struct iovec *pieces, size_t n)
{
    ssize_t sent = transport_write(c, pieces, n);

    if (sent == IO_BROKEN)
        return error_counter();
    keep_unsent(c, pieces, n, sent > 0 ? (size_t)sent : 0);
    return GOES_ON;
}

/* Some of what was kept; whether all of it has gone, c->is_blocked says. */
static int flush(struct connection *c)
{
    struct iovec rest = {c->out.p, c->out.n};
    ssize_t sent = transport_write(c, &rest, 1);

    if (sent == IO_BROKEN)
        return error_counter();
    if (sent <= 0)
        return GOES_ON;
    connection_mark_used(c);
    rest_keep(&c->out, c->out.p + sent, c->out.n - (size_t)sent);
    c->is_blocked = c->out.n > 0;
    return GOES_ON;
}

/* ---- steps ---- */

static int serve(struct connection *c, const uint8_t *p, size_t n)
{
    return c->transport == ANSWER_HTTPS ? frame_h2_serve(c, p, n) : frame_dns_serve(c, p, n);
}

/* One read: other connections wait. The rest of last time comes before what is read. */
static int read_and_serve(struct connection *c)
{
    struct worker *w = c->worker;
    ssize_t n;

    ensure(c->in.n < FRAME + MESSAGE_MAX);
    n = transport_read(c, w->read_buffer + c->in.n, READ_BYTES - c->in.n);
    if (n == IO_WAIT)
        return GOES_ON;
    if (n == IO_BROKEN)
        return error_counter();
    if (n == IO_END) {
        /* Also of a half-closed stream: what was asked on it has been answered, or is still. */
        c->is_ended = c->n_transfers > 0;
        return c->is_ended ? GOES_ON : ANSWER_COUNTER_TCP_CLOSED_PEER;
    }
    if (c->in.n > 0)
        memcpy(w->read_buffer, c->in.p, c->in.n);
    return serve(c, w->read_buffer, c->in.n + (size_t)n);
}

/* Flushes what was kept, sends on what is being transferred; then the messages that had to wait. */
static int write_and_serve(struct connection *c)
{
    int end = c->is_blocked ? flush(c) : GOES_ON;

    if (end == GOES_ON && !c->is_blocked && c->h2 != NULL)
        end = frame_h2_flush(c);
    if (end == GOES_ON && !c->is_blocked && c->n_transfers > 0)
        end = frame_dns_transfer(c);
    if (end == GOES_ON && !c->is_blocked && c->in.n > 0)
        end = serve(c, c->in.p, c->in.n);
    return end;
}

static void set_event(struct event *event, bool *is_added, bool is_wanted)
{
    if (*is_added == is_wanted)
        return;
    *is_added = is_wanted;
    if (is_wanted)
        event_add(event, NULL);
    else
        event_del(event);
}

/* What is waited for follows from what is to be done. */
static void finish_step(struct connection *c, int end)
{
    bool is_done = !c->is_blocked && c->n_transfers == 0;

    if (end == GOES_ON && is_done && c->is_ended)
        end = ANSWER_COUNTER_TCP_CLOSED_PEER;
    else if (end == GOES_ON && is_done && c->worker->is_stopping)
        end = ANSWER_COUNTER_TCP_CLOSED_STOP;
    if (end != GOES_ON) {
        connection_close(c, end);
        return;
    }
    set_event(c->readable, &c->is_reading,
              !c->is_blocked && !c->is_ended && c->n_transfers < TRANSFERS_MAX);
    set_event(c->writable, &c->is_writing, !is_done);
    if (c->is_reading && c->has_more)
        event_active(c->readable, EV_READ, 0);
}

/* ---- handshakes ---- */

static void wait_for_turn(struct connection *c)
{
    static const struct timeval now = {0};
    struct worker *w = c->worker;

    set_event(c->readable, &c->is_reading, false);
    set_event(c->writable, &c->is_writing, false);
    c->is_waiting = true;
    TAILQ_INSERT_TAIL(&w->waiting, c, waiting);
    event_add(w->turn, &now);
}

/* GOES_ON, or it has as many as it may. */
static int claim_share(struct connection *c)
{
    struct worker *w = c->worker;

    c->client = shares_claim(w->shares, &c->peer, w->max_connections);
    return c->client != NULL ? GOES_ON : ANSWER_COUNTER_TCP_CLOSED_CLIENT;
}

/* Whoever the header names is counted for the connection from now on. */
static int finish_header(struct connection *c)
{
    c->needs_header = false;
    if (c->transport != ANSWER_TCP && !transport_begin_tls(c))
        return ANSWER_COUNTER_TCP_CLOSED_ERROR;
    return claim_share(c);
}

/* What came with its last flight is looked at at once. */
static void go_on_with_handshake(struct connection *c)
{
    bool is_done = false;
    int end = GOES_ON;

    if (c->needs_header) {
        end = transport_read_header(c, &is_done);
        if (end == GOES_ON && is_done)
            end = finish_header(c);
        is_done = is_done && c->transport == ANSWER_TCP;
    }
    if (end == GOES_ON && !c->needs_header && c->ssl != NULL)
        end = transport_handshake(c, &is_done);

    if (end != GOES_ON) {
        connection_close(c, end);
    } else if (is_done) {
        connection_mark_used(c);
        finish_step(c, read_and_serve(c));
    } else {
        bool wants_write = c->ssl != NULL && SSL_want_write(c->ssl);

        set_event(c->readable, &c->is_reading, !wants_write);
        set_event(c->writable, &c->is_writing, wants_write);
    }
}

void connection_take_turns(struct worker *w)
{
    static const struct timeval now = {0};
    struct connection *c;

    for (int i = 0; i < HANDSHAKES_AT_ONCE && (c = TAILQ_FIRST(&w->waiting)) != NULL; i++) {
        TAILQ_REMOVE(&w->waiting, c, waiting);
        c->is_waiting = false;
        go_on_with_handshake(c);
    }
    if (!TAILQ_EMPTY(&w->waiting))
        event_add(w->turn, &now);
}

/* ---- events ---- */

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;

    (void)fd;
    (void)what;
    if (c->is_unfinished)
        wait_for_turn(c);
    else
        finish_step(c, read_and_serve(c));
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;

    (void)fd;
    (void)what;
    if (c->is_unfinished)
        wait_for_turn(c);
    else
        finish_step(c, write_and_serve(c));
}

void connection_stop(struct connection *c)
{
    int end;

    if (c->is_unfinished) {
        connection_close(c, ANSWER_COUNTER_TCP_CLOSED_STOP);
        return;
    }
    end = c->is_blocked ? write_and_serve(c) : read_and_serve(c);
    if (end == GOES_ON && c->h2 != NULL) {
        frame_h2_goaway(c);
        end = frame_h2_flush(c);
    }
    if (end == GOES_ON && c->n_transfers == 0)
        end = ANSWER_COUNTER_TCP_CLOSED_STOP;
    finish_step(c, end);
}

/* ---- opening ---- */

/* Those are believed, and must say whom they bring. */
static bool is_listed(const struct worker *w, const struct addr *peer)
{
    struct ip ip;

    if (likely(w->n_proxies == 0))
        return false;
    ip = addr_ip(peer);
    for (size_t i = 0; i < w->n_proxies; i++) {
        if (prefix_has(&w->proxies[i], &ip))
            return true;
    }
    return false;
}

static void keep_unfinished_limit(struct worker *w)
{
    size_t limit = w->max_connections / w->n_workers / UNFINISHED_SHARE;

    while (w->n_unfinished >= (limit > UNFINISHED_LEAST ? limit : UNFINISHED_LEAST))
        connection_close(TAILQ_FIRST(&w->unfinished), ANSWER_COUNTER_TCP_CLOSED_EVICTED);
}

void connection_open(struct worker *w, int fd, const struct addr *peer,
                     enum answer_transport transport)
{
    struct event_base *base = loop_base(w->loop);
    struct client *client = NULL;
    bool is_proxy = is_listed(w, peer);
    struct connection *c;

    worker_count(w, ANSWER_COUNTER_TCP_OPENED);
    if (!is_proxy && (client = shares_claim(w->shares, peer, w->max_connections)) == NULL) {
        worker_count(w, ANSWER_COUNTER_TCP_CLOSED_CLIENT);
        close(fd);
        return;
    }
    shares_enter(w->shares, transport);
    worker_keep_limit(w, 0);
    c = base_zalloc(1, sizeof(*c));
    c->worker = w;
    c->client = client;
    c->fd = fd;
    c->transport = transport;
    c->peer = *peer;
    c->used_ms = clock_coarse_ms();
    TAILQ_INIT(&c->transfers);
    c->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    ensure(c->readable != NULL && c->writable != NULL);
    set_event(c->readable, &c->is_reading, true);
    w->n_connections++;
    c->needs_header = is_proxy;
    c->is_unfinished = transport != ANSWER_TCP || is_proxy;
    if (!c->is_unfinished) {
        TAILQ_INSERT_TAIL(&w->by_use, c, by_use);
        return;
    }
    keep_unfinished_limit(w);
    TAILQ_INSERT_TAIL(&w->unfinished, c, by_use);
    w->n_unfinished++;
    if (!is_proxy && !transport_begin_tls(c))
        connection_close(c, ANSWER_COUNTER_TCP_CLOSED_ERROR);
}
