/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams: one request each, its body from the client, its deadlines, its end. */
#include "edge-proxy/h2/h2_internal.h"

#include <stdlib.h>
#include <string.h>

static const struct stream_ops h2_stream_ops;

/* ---- Life ---- */

struct h2_stream *h2_stream_open(struct h2 *h, int32_t id)
{
    struct h2_worker *hw = h->hw;
    struct h2_stream *st = hw->free_streams;

    if (st != NULL) {
        hw->free_streams = st->next;
        hw->n_free--;
    } else {
        st = base_alloc(sizeof(*st));
    }
    memset(st, 0, offsetof(struct h2_stream, slices));
    st->large_head = NULL;
    st->n_small = 0;
    st->magic = H2_STREAM_MAGIC;
    st->id = id;
    st->h = h;
    st->body_end = &st->body;
    st->next = h->streams;
    st->link = &h->streams;
    if (h->streams != NULL)
        h->streams->link = &st->next;
    h->streams = st;
    h->n_streams++;
    st->r = request_new(hw->rw, &h2_stream_ops, st, h->client);
    return st;
}

static void free_body(struct h2_stream *st)
{
    struct worker *w = st->h->hw->w;

    for (struct buffer *b = st->body, *next; b != NULL; b = next) {
        next = b->next;
        buffer_give(w, b);
    }
    if (st->n_held > 0)
        (void)nghttp2_session_consume_connection(st->h->session, st->n_held);
}

void h2_stream_close(struct h2_stream *st)
{
    struct h2 *h = st->h;
    struct h2_worker *hw = h->hw;

    *st->link = st->next;
    if (st->next != NULL)
        st->next->link = st->link;
    h->n_streams--;
    wheel_clear(&hw->w->wheel, &st->timer);
    request_end(st->r, st->is_whole, st->bytes_sent);
    free_body(st);
    buffer_give(hw->w, st->large_head);
    st->magic = 0;
    if (hw->n_free >= H2_FREE_MAX) {
        free(st);
        return;
    }
    st->next = hw->free_streams;
    hw->free_streams = st;
    hw->n_free++;
}

void h2_stream_reset(struct h2_stream *st, uint32_t error)
{
    if (st->is_reset)
        return;
    st->is_reset = true;
    st->clock = H2_CLOCK_NONE;
    (void)nghttp2_submit_rst_stream(st->h->session, NGHTTP2_FLAG_NONE, st->id, error);
}

void h2_stream_look(struct h2_stream *st)
{
    if (st->is_reset)
        return;
    switch (request_state(st->r)) {
    case REQUEST_WAITING:
        break;
    case REQUEST_BROKEN:
        h2_stream_reset(st, NGHTTP2_INTERNAL_ERROR);
        break;
    case REQUEST_ANSWERED:
        if (!st->is_head_sent) {
            h2_respond(st);
        } else if (st->is_deferred) {
            st->is_deferred = false;
            (void)nghttp2_session_resume_data(st->h->session, st->id);
        }
        break;
    }
}

/* ---- Deadlines ---- */

/* Does the client hold us up, and not just other streams that it wants first? */
static bool is_client_slow(const struct h2_stream *st)
{
    const struct h2 *h = st->h;
    const struct config_limits *limits = h2_limits(h);
    uint64_t least = (uint64_t)limits->min_send_bytes * limits->body_idle_ms / 1000;

    if (nghttp2_session_get_stream_remote_window_size(h->session, st->id) <= 0)
        return true;
    return nghttp2_session_get_remote_window_size(h->session) <= 0 &&
           h->bytes_sent - st->sent_mark <= least;
}

static void on_deadline(struct wheel_timer *t)
{
    struct h2_stream *st = CONTAINER_OF(t, struct h2_stream, timer);
    struct h2 *h = st->h;
    enum h2_stream_clock clock = st->clock;

    ensure(st->magic == H2_STREAM_MAGIC);
    st->clock = H2_CLOCK_NONE;
    if (clock == H2_CLOCK_NONE || st->is_reset)
        return;
    if (clock == H2_CLOCK_BODY) {
        worker_count(h->hw->w, COUNT_TIMEOUT_BODY);
        h2_blame(h, GUARD_SLOW);
        request_refuse_status(st->r, 408); /* RFC 9110 section 15.5.9 */
        h2_stream_look(st);
    } else if (is_client_slow(st)) {
        worker_count(h->hw->w, COUNT_TIMEOUT_SEND);
        h2_blame(h, GUARD_SLOW);
        h2_stream_reset(st, NGHTTP2_CANCEL);
    } else {
        h2_stream_move_clock(st, clock, 0);
    }
    h->ops->wake(h->arg);
}

void h2_stream_move_clock(struct h2_stream *st, enum h2_stream_clock clock, size_t n)
{
    const struct config_limits *limits = h2_limits(st->h);
    uint32_t ms = limits->body_idle_ms;

    if (st->clock == (uint8_t)clock)
        ms = body_time_ms(&st->timer, n,
                          clock == H2_CLOCK_BODY ? limits->min_rate_bytes : limits->min_send_bytes,
                          ms);
    st->clock = (uint8_t)clock;
    st->sent_mark = st->h->bytes_sent;
    wheel_set(&st->h->hw->w->wheel, &st->timer, ms, on_deadline);
}

/* ---- The request's body ---- */

static void append(struct h2_stream *st, const uint8_t *bytes, size_t n)
{
    struct worker *w = st->h->hw->w;

    st->n_held += (uint32_t)n;
    while (n > 0) {
        struct buffer *b =
            st->body != NULL ? CONTAINER_OF(st->body_end, struct buffer, next) : NULL;
        size_t part;

        if (b == NULL || b->end == sizeof(b->bytes)) {
            b = buffer_take(w);
            *st->body_end = b;
            st->body_end = &b->next;
        }
        part = sizeof(b->bytes) - b->end;
        if (part > n)
            part = n;
        memcpy(b->bytes + b->end, bytes, part);
        b->end += (uint32_t)part;
        bytes += part;
        n -= part;
    }
}

/* Never more than the windows that we opened: nghttp2 sees to that. */
void h2_stream_take_body(struct h2_stream *st, const uint8_t *bytes, size_t n)
{
    metrics_add(st->h->hw->w->counters, COUNT_BYTES_RECEIVED, n);
    append(st, bytes, n);
    if (st->clock == H2_CLOCK_BODY)
        h2_stream_move_clock(st, H2_CLOCK_BODY, n);
    if (st->is_started)
        request_on_body(st->r);
}

void h2_stream_end_body(struct h2_stream *st)
{
    h2_stream_stop_clock(st, H2_CLOCK_BODY);
    if (st->is_started)
        request_on_body(st->r);
}

/* ---- What the request asks ---- */

static struct h2_stream *stream_from(void *arg)
{
    struct h2_stream *st = arg;

    ensure(st->magic == H2_STREAM_MAGIC);
    return st;
}

static void wake(void *stream)
{
    struct h2_stream *st = stream_from(stream);
    struct h2 *h = st->h;

    h2_stream_look(st);
    h->ops->wake(h->arg);
}

static enum body_verdict peek_body(void *stream, struct str *data)
{
    struct h2_stream *st = stream_from(stream);

    if (st->body != NULL) {
        *data = buffer_data(st->body);
        return BODY_DATA;
    }
    if (st->is_all_here)
        return BODY_END;
    if (st->is_reset)
        return BODY_FAILED;
    if (st->is_continue_due) { /* RFC 9110 section 10.1.1 */
        st->is_continue_due = false;
        h2_send_interim(st, 100, STR(""));
        st->h->ops->wake(st->h->arg);
    }
    if (st->clock == H2_CLOCK_NONE && !st->is_websocket)
        h2_stream_move_clock(st, H2_CLOCK_BODY, 0);
    return BODY_WAIT;
}

/* Credit for as much again (RFC 9113 section 5.2). */
static void consume_body(void *stream, size_t n)
{
    struct h2_stream *st = stream_from(stream);
    struct buffer *b = st->body;

    ensure(b != NULL && n <= b->end - b->start);
    b->start += (uint32_t)n;
    st->n_held -= (uint32_t)n;
    if (b->start == b->end) {
        st->body = b->next;
        if (st->body == NULL)
            st->body_end = &st->body;
        buffer_give(st->h->hw->w, b);
    }
    (void)nghttp2_session_consume(st->h->session, st->id, n);
}

static void write_trailers(void *stream, struct writer *w)
{
    fields_write_str(w, stream_from(stream)->trailers);
}

static void send_interim(void *stream, unsigned status, struct str lines)
{
    h2_send_interim(stream_from(stream), status, lines);
}

static const struct stream_ops h2_stream_ops = {
    .wake = wake,
    .body_peek = peek_body,
    .body_consume = consume_body,
    .write_trailers = write_trailers,
    .send_interim = send_interim,
};
