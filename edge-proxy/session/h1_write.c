/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1.1 to the client: heads and bodies of responses, head and body in one write. */
#include "edge-proxy/session/session_internal.h"

#include <string.h>

/* ---- What waits ---- */

/* false: no room; what cannot be sent is not sent at all. */
static bool queue(struct session *s, const char *bytes, size_t n)
{
    struct turn *t = s->turn;

    if (t->out == NULL)
        t->out = buffer_take(s->sw->w);
    if (n > sizeof(t->out->bytes) - t->out->end)
        return false;
    memcpy(t->out->bytes + t->out->end, bytes, n);
    t->out->end += (uint32_t)n;
    return true;
}

/* What was not sent of the parts, n bytes from their start. */
static void queue_rest(struct session *s, const struct iovec *iov, int n_iov, size_t n)
{
    for (int i = 0; i < n_iov; i++) {
        size_t sent = n < iov[i].iov_len ? n : iov[i].iov_len;

        n -= sent;
        if (sent < iov[i].iov_len)
            ensure(queue(s, (const char *)iov[i].iov_base + sent, iov[i].iov_len - sent));
    }
}

void session_send_interim(struct session *s, const struct str *parts, int n)
{
    struct turn *t = s->turn;
    struct iovec iov[SESSION_INTERIM_PARTS];
    size_t all = 0, sent = 0;

    for (int i = 0; i < n; i++) {
        iov[i] = (struct iovec){(void *)parts[i].p, parts[i].n};
        all += parts[i].n;
    }
    if (all > sizeof(t->out->bytes) - (t->out != NULL ? t->out->end : 0))
        return;
    if (t->out == NULL)
        (void)wire_write(s->sw->w, &s->wire, iov, n, &sent); /* a dead wire shows later */
    t->bytes_sent += sent;
    queue_rest(s, iov, n, sent);
    if (t->out != NULL || wire_has_rest(&s->wire))
        session_want(s, s->interest | EV_WRITE);
}

/* ---- Heads ---- */

/* A body that came along with its head and that nobody wanted: if it is all there, the connection
 * can go on. */
static void swallow_body(struct session *s)
{
    struct turn *t = s->turn;
    struct str data;

    while (!t->is_continue_due && body_peek(&t->body, s->in, &data) == BODY_DATA)
        body_consume(&t->body, s->in, data.n);
}

static bool is_close_due(struct session *s, const struct request_response *response)
{
    struct turn *t = s->turn;

    if (!t->is_started || t->is_close || response->is_close_wanted || s->sw->is_draining ||
        atomic_load_explicit(&request_worker_shared(s->sw->rw)->is_draining, memory_order_relaxed))
        return true;
    if (!t->body.is_ended && !t->is_body_wanted)
        swallow_body(s);
    return !t->body.is_ended;
}

/* RFC 9112 sections 6 and 9.3 */
static void write_framing(struct session *s, struct writer *w,
                          const struct request_response *response)
{
    struct turn *t = s->turn;
    bool is_1_0 = request_head(t->r)->minor == 0;

    if (response->has_length)
        http_write_known_u64(w, FIELD_CONTENT_LENGTH, response->length);
    else if (response->has_body && !t->is_tunnel && t->is_started && !is_1_0)
        t->is_chunked = true;
    if (t->is_chunked)
        fields_write_str(w, STR("Transfer-Encoding: chunked\r\n"));
    if (response->has_body && !response->has_length && !t->is_chunked)
        t->is_close = true;
    t->is_last_chunk_due = t->is_chunked;
    if (t->is_tunnel)
        fields_write_str(w, STR("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    else if (t->is_close)
        fields_write_str(w, STR("Connection: close\r\n"));
    else if (is_1_0)
        fields_write_str(w, STR("Connection: keep-alive\r\n"));
}

/* The client's bytes from here on are no HTTP. */
static void start_tunnel(struct session *s)
{
    struct turn *t = s->turn;

    t->is_tunnel = true;
    t->is_close = true;
    body_start(&t->body, s->in, HTTP_BODY_UNTIL_CLOSE, 0);
    worker_count(s->sw->w, COUNT_TUNNELS);
}

static size_t compose_head(struct session *s)
{
    struct turn *t = s->turn;
    const struct request_response *response = request_response(t->r);
    struct writer w = writer_of(s->sw->w->scratch, WORKER_SCRATCH_BYTES);

    if (response->status == 101)
        start_tunnel(s);
    else
        t->is_close = is_close_due(s, response);
    http_write_status_line(&w, response->status);
    request_write_fields(t->r, &w);
    write_framing(s, &w, response);
    http_write_end(&w);
    return w.is_full ? 0 : (size_t)((char *)w.p - s->sw->w->scratch);
}

/* ---- Writing ---- */

/* What is to be written next: a head (or what is left of one), then body. */
struct batch {
    struct iovec iov[1 + SESSION_SLICES + CHUNKER_SLICES];
    int n;
    size_t bytes, front_bytes; /* front: not of the body */
    enum body_verdict body;    /* what the request said last */
    struct wire_file file;     /* n > 0: where the body lies, too */
};

static void add_front(struct batch *b, const char *bytes, size_t n)
{
    b->iov[b->n++] = (struct iovec){(void *)bytes, n};
    b->front_bytes += n;
    b->bytes += n;
}

static void add_body(struct session *s, struct batch *b)
{
    struct turn *t = s->turn;
    struct iovec *iov = b->iov + b->n;
    int n = SESSION_SLICES;

    if (t->is_chunked && chunker_needs_no_data(&t->chunker)) {
        n = 0;
        b->body = BODY_DATA;
    } else {
        b->body = request_body_peek(t->r, iov + t->is_chunked, &n);
    }
    if (b->body != BODY_DATA)
        return;
    if (t->is_chunked)
        n = chunker_wrap(&t->chunker, iov, n);
    else if (wire_is_plain(&s->wire) && iov[0].iov_len >= SESSION_FILE_MIN &&
             request_body_file(t->r, &b->file.fd, &b->file.offset))
        b->file.n = iov[0].iov_len;
    for (int i = 0; i < n; i++)
        b->bytes += iov[i].iov_len;
    b->n += n;
}

/* n bytes of the batch are on their way. */
static void account(struct session *s, struct batch *b, size_t n)
{
    struct turn *t = s->turn;

    t->bytes_sent += n;
    n -= b->front_bytes;
    if (t->is_chunked)
        n = chunker_sent(&t->chunker, n);
    if (n > 0)
        request_body_consume(t->r, n);
}

/* n bytes have just gone. */
static enum step_result wait_to_write(struct session *s, size_t n)
{
    session_want(s, s->interest | EV_WRITE);
    session_move_clock(s, CLOCK_SEND, n, session_limits(s)->min_send_bytes);
    return STEP_WAIT;
}

/* Some of the records have gone, or the kernel would not have asked for more: how many bytes these
 * are nobody knows. */
static enum step_result wait_to_flush(struct session *s)
{
    session_want(s, s->interest | EV_WRITE);
    session_set_clock(s, CLOCK_SEND, session_limits(s)->body_idle_ms);
    return STEP_WAIT;
}

/* Writes the batch; STEP_AGAIN: all of it went. */
static enum step_result write_batch(struct session *s, struct batch *b)
{
    struct turn *t = s->turn;
    size_t n, rest;
    enum wire_verdict v;

    if (b->bytes == 0)
        return STEP_AGAIN;
    if (b->file.n > 0)
        v = wire_send_file(&s->wire, (struct str){b->iov[0].iov_base, b->front_bytes}, &b->file,
                           &n);
    else
        v = wire_write(s->sw->w, &s->wire, b->iov, b->n, &n);
    if (v == WIRE_ERROR || v == WIRE_EOF)
        return STEP_OVER;
    if (n < b->front_bytes) {
        /* The front lies in scratch or in out itself: the rest of it must be kept. */
        rest = b->front_bytes - n;
        t->bytes_sent += n;
        if (t->out != NULL)
            t->out->start += (uint32_t)n;
        else if (!queue(s, (const char *)b->iov[0].iov_base + n, rest))
            return STEP_OVER;
        return wait_to_write(s, n);
    }
    buffer_give(s->sw->w, t->out);
    t->out = NULL;
    account(s, b, n);
    if (n < b->bytes || v == WIRE_AGAIN_WRITE)
        return wait_to_write(s, n);
    return STEP_AGAIN;
}

enum step_result session_flush(struct session *s)
{
    struct turn *t = s->turn;
    struct batch b = {.n = 0};
    enum wire_verdict v;
    enum step_result result;

    if (!(s->events & EV_WRITE))
        return STEP_WAIT;
    v = wire_flush(s->sw->w, &s->wire);
    if (v != WIRE_OK)
        return v == WIRE_AGAIN_WRITE ? STEP_WAIT : STEP_OVER;
    if (t->out != NULL)
        add_front(&b, t->out->bytes + t->out->start, t->out->end - t->out->start);
    result = write_batch(s, &b);
    if (result == STEP_AGAIN) {
        if (s->clock == CLOCK_SEND)
            s->clock = CLOCK_NONE;
        session_want(s, s->interest & EV_READ);
    }
    return result;
}

static enum step_result finish(struct session *s, bool is_whole)
{
    s->turn->is_whole = is_whole;
    s->clock = CLOCK_NONE;
    session_want(s, s->interest & EV_READ);
    s->step = SESSION_FINISH;
    return STEP_AGAIN;
}

/* Trailers only for those who said that they look at them (RFC 9110 section 10.1.4). */
static enum step_result end_body(struct session *s)
{
    struct turn *t = s->turn;
    char *scratch = s->sw->w->scratch;
    struct writer w = writer_of(scratch, WORKER_SCRATCH_BYTES);

    if (!t->is_last_chunk_due)
        return finish(s, true);
    t->is_last_chunk_due = false;
    fields_write_str(&w, STR(HTTP_LAST_CHUNK));
    if (fields_has_token(&request_head(t->r)->fields, FIELD_TE, "trailers"))
        request_write_trailers(t->r, &w);
    http_write_end(&w);
    if (!queue(s, scratch, (size_t)((char *)w.p - scratch)))
        return STEP_OVER;
    return STEP_AGAIN;
}

/* What is due now goes out in one write; then it depends on the request. */
static enum step_result send_batch(struct session *s, struct batch *b)
{
    enum step_result result;

    b->body = BODY_END;
    if (request_response(s->turn->r)->has_body)
        add_body(s, b);
    result = write_batch(s, b);
    if (result != STEP_AGAIN)
        return result;
    switch (b->body) {
    case BODY_DATA:
        return STEP_AGAIN;
    case BODY_END:
        return end_body(s);
    case BODY_FAILED:
        return finish(s, false);
    case BODY_WAIT:
        break;
    }
    if (s->clock == CLOCK_SEND)
        s->clock = CLOCK_NONE;
    session_want(s, s->interest & EV_READ);
    return STEP_WAIT;
}

enum step_result session_step_send_head(struct session *s)
{
    struct turn *t = s->turn;
    struct batch b = {.n = 0};
    size_t n = compose_head(s);

    if (n == 0)
        return finish(s, false);
    t->is_head_sent = true;
    s->step = SESSION_SEND_BODY;
    if (t->out != NULL) { /* behind an interim response that still waits */
        if (!queue(s, s->sw->w->scratch, n))
            return STEP_OVER;
        return STEP_AGAIN;
    }
    add_front(&b, s->sw->w->scratch, n);
    if (t->is_tunnel)
        request_on_body(t->r);
    return send_batch(s, &b);
}

enum step_result session_step_send_body(struct session *s)
{
    struct turn *t = s->turn;
    struct batch b = {.n = 0};

    if (session_read_body(s) == STEP_OVER)
        return STEP_OVER;
    if (wire_has_rest(&s->wire)) {
        enum wire_verdict v = wire_flush(s->sw->w, &s->wire);

        if (v != WIRE_OK)
            return v == WIRE_AGAIN_WRITE ? wait_to_flush(s) : STEP_OVER;
    }
    if (t->out != NULL)
        add_front(&b, t->out->bytes + t->out->start, t->out->end - t->out->start);
    return send_batch(s, &b);
}
