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
#include <unistd.h>

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

void connection_close(struct connection *c, int why)
{
    struct worker *w = c->worker;

    worker_count(w, (enum answer_counter)why);
    TAILQ_REMOVE(&w->by_use, c, by_use);
    w->n_connections--;
    shares_return(w->shares, c->client, c->transport);
    end_transfers(c);
    event_free(c->readable);
    event_free(c->writable);
    close(c->fd);
    free(c->in.p);
    free(c->out.p);
    free(c);
}

void connection_mark_used(struct connection *c)
{
    c->used_ms = clock_coarse_ms();
    TAILQ_REMOVE(&c->worker->by_use, c, by_use);
    TAILQ_INSERT_TAIL(&c->worker->by_use, c, by_use);
}

struct connection *connection_oldest(struct worker *w)
{
    return TAILQ_FIRST(&w->by_use);
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
    struct msghdr m = {.msg_iov = pieces, .msg_iovlen = n};
    ssize_t sent = sendmsg(c->fd, &m, MSG_NOSIGNAL);

    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            return error_counter();
        sent = 0;
    }
    keep_unsent(c, pieces, n, (size_t)sent);
    return GOES_ON;
}

/* Some of what was kept; whether all of it has gone, c->is_blocked says. */
static int flush(struct connection *c)
{
    ssize_t sent = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);

    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? GOES_ON : error_counter();
    connection_mark_used(c);
    rest_keep(&c->out, c->out.p + sent, c->out.n - (size_t)sent);
    c->is_blocked = c->out.n > 0;
    return GOES_ON;
}

/* ---- steps ---- */

/* One read: other connections wait. The rest of last time comes before what is read. */
static int read_and_serve(struct connection *c)
{
    struct worker *w = c->worker;
    ssize_t n;

    ensure(c->in.n < FRAME + MESSAGE_MAX);
    n = read(c->fd, w->read_buffer + c->in.n, READ_BYTES - c->in.n);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? GOES_ON : error_counter();
    if (n == 0) {
        /* Also of a half-closed stream: what was asked on it has been answered, or is still. */
        c->is_ended = c->n_transfers > 0;
        return c->is_ended ? GOES_ON : ANSWER_COUNTER_TCP_CLOSED_PEER;
    }
    if (c->in.n > 0)
        memcpy(w->read_buffer, c->in.p, c->in.n);
    return frame_dns_serve(c, w->read_buffer, c->in.n + (size_t)n);
}

/* Flushes what was kept, sends on what is being transferred; then the messages that had to wait. */
static int write_and_serve(struct connection *c)
{
    int end = c->is_blocked ? flush(c) : GOES_ON;

    if (end == GOES_ON && !c->is_blocked && c->n_transfers > 0)
        end = frame_dns_transfer(c);
    if (end == GOES_ON && !c->is_blocked && c->in.n > 0)
        end = frame_dns_serve(c, c->in.p, c->in.n);
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
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;

    (void)fd;
    (void)what;
    finish_step(c, read_and_serve(c));
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;

    (void)fd;
    (void)what;
    finish_step(c, write_and_serve(c));
}

void connection_stop(struct connection *c)
{
    int end = c->is_blocked ? write_and_serve(c) : read_and_serve(c);

    if (end == GOES_ON && c->n_transfers == 0)
        end = ANSWER_COUNTER_TCP_CLOSED_STOP;
    finish_step(c, end);
}

/* ---- opening ---- */

void connection_open(struct worker *w, int fd, const struct addr *peer,
                     enum answer_transport transport)
{
    struct event_base *base = loop_base(w->loop);
    struct client *client;
    struct connection *c;

    worker_count(w, ANSWER_COUNTER_TCP_OPENED);
    client = shares_take(w->shares, peer, transport, w->max_connections);
    if (client == NULL) {
        worker_count(w, ANSWER_COUNTER_TCP_CLOSED_CLIENT);
        close(fd);
        return;
    }
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
    TAILQ_INSERT_TAIL(&w->by_use, c, by_use);
    w->n_connections++;
}
