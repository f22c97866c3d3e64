/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1.1 from the client: heads and bodies of requests. */
#include "edge-proxy/session/session_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* ---- Heads ---- */

static enum step_result refuse(struct session *s, enum http_verdict why)
{
    s->turn->is_close = true;
    s->turn->body.is_ended = false; /* where it would end is not known */
    request_refuse(s->turn->r, why);
    s->step = SESSION_AWAIT;
    return STEP_AGAIN;
}

/* Enough for the limit of a head and some body behind it. */
static struct http_limits head_limits(const struct session *s)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;

    limits.head_bytes = session_limits(s)->head_bytes;
    if (limits.head_bytes > BUFFER_BYTES / 2)
        limits.head_bytes = BUFFER_BYTES / 2;
    return limits;
}

/* Nothing is read, so that nothing has to be kept (RFC 9110 section 15.6.4). */
static enum step_result refuse_for_memory(struct session *s)
{
    struct str answer = http_busy_answer();
    size_t n;

    worker_count(s->sw->w, COUNT_REFUSED_MEMORY);
    (void)wire_write(s->sw->w, &s->wire, &(struct iovec){(void *)answer.p, answer.n}, 1, &n);
    return session_start_linger(s);
}

static enum step_result read_first(struct session *s)
{
    struct worker *w = s->sw->w;
    struct buffer *b = s->in;
    enum wire_verdict v;
    size_t n;

    if (!(s->events & EV_READ) && !wire_has_pending(&s->wire))
        return STEP_WAIT;
    s->events &= (short)~EV_READ;
    if (b == NULL && buffers_are_short_for_visitors())
        return refuse_for_memory(s);
    if (b == NULL)
        b = s->in = buffer_take(w);
    v = wire_read(w, &s->wire, b->bytes + b->end, sizeof(b->bytes) - b->end, &n);
    if (v == WIRE_OK) {
        b->end += (uint32_t)n;
        metrics_add(w->counters, COUNT_BYTES_RECEIVED, n);
        s->has_unparsed = true;
        return STEP_AGAIN;
    }
    if (v == WIRE_AGAIN_READ || v == WIRE_AGAIN_WRITE) {
        if (b->start == b->end) {
            buffer_give(w, b);
            s->in = NULL;
        }
        return STEP_WAIT;
    }
    return STEP_OVER;
}

/* The absolute deadline of a head runs from its first byte. */
static enum step_result wait_for_rest(struct session *s)
{
    s->has_unparsed = false;
    if (s->clock != CLOCK_HEAD)
        session_set_clock(s, CLOCK_HEAD, session_limits(s)->header_timeout_ms);
    session_want(s, EV_READ);
    return wire_has_pending(&s->wire) ? STEP_AGAIN : STEP_WAIT;
}

/* Pipelined requests move the next one back in the buffer: to the front again before it is parsed,
 * so that behind the longest head there is room for a body (body_room wants a quarter). */
static void move_to_front(struct buffer *b)
{
    struct str left = buffer_data(b);

    if (b->start < sizeof(b->bytes) / 4)
        return;
    memmove(b->bytes, left.p, left.n);
    b->start = 0;
    b->end = (uint32_t)left.n;
}

static enum step_result start_request(struct session *s)
{
    struct turn *t = s->turn;
    struct http_framing *framing = request_framing(t->r);
    struct http_head *head = request_head(t->r);
    enum http_verdict v;

    s->has_unparsed = false;
    s->clock = CLOCK_NONE;
    s->in->start += head->head_bytes;
    v = http_request_framing(head, framing);
    if (!http_is_refusal(v) && !wire_is_host_served(&s->wire, head->host))
        v = HTTP_MISDIRECTED;
    if (http_is_refusal(v))
        return refuse(s, v);
    body_start(&t->body, s->in, framing->body, framing->length);
    t->is_continue_due = framing->expects_continue;
    t->is_close = !framing->is_keep_alive;
    t->is_started = true;
    request_start(t->r, head->minor == 0 ? "HTTP/1.0" : "HTTP/1.1");
    s->step = SESSION_AWAIT;
    return STEP_AGAIN;
}

enum step_result session_step_read_head(struct session *s)
{
    struct http_limits limits;
    struct str data;
    enum http_verdict v;

    if (!s->has_unparsed)
        return read_first(s);
    if (s->turn == NULL)
        turn_open(s);
    limits = head_limits(s);
    move_to_front(s->in);
    data = buffer_data(s->in);
    v = http_parse_request(request_head(s->turn->r), data.p, data.n, &limits);
    if (v == HTTP_MORE)
        return wait_for_rest(s);
    if (v != HTTP_DONE) {
        s->clock = CLOCK_NONE;
        return refuse(s, v);
    }
    return start_request(s);
}

/* ---- Bodies ---- */

/* The client has nothing more to say, or has gone: a half-closed one still reads its answer. But
 * whoever is gone should not take the place in a queue of one who is not. */
static enum step_result note_end(struct session *s, enum wire_verdict v)
{
    struct turn *t = s->turn;

    if (v == WIRE_ERROR || request_is_queued(t->r))
        return STEP_OVER;
    s->is_peer_done = true;
    session_want(s, s->interest & EV_WRITE);
    body_set_eof(&t->body);
    if (t->is_tunnel || t->is_body_wanted)
        request_on_body(t->r);
    return STEP_WAIT;
}

/* Bytes that nobody wants yet: has the client gone? If it is only ahead of us, it waits. */
static enum step_result look_at_early(struct session *s)
{
    char byte;
    ssize_t n = recv(s->wire.fd, &byte, 1, MSG_PEEK);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return STEP_WAIT;
    if (n <= 0)
        return note_end(s, n == 0 ? WIRE_EOF : WIRE_ERROR);
    session_want(s, s->interest & EV_WRITE);
    return STEP_WAIT;
}

static bool is_body_due(const struct turn *t)
{
    return t->is_body_wanted && !t->body.is_ended && !t->body.is_eof &&
           !http_is_refusal(t->body.failure);
}

/* What is awaited from now on has a clock of its own. */
static void stop_clock_at_end(struct session *s)
{
    if (s->turn->body.is_ended && s->clock == CLOCK_BODY)
        s->clock = CLOCK_NONE;
}

static enum step_result read_more(struct session *s)
{
    struct turn *t = s->turn;
    struct worker *w = s->sw->w;
    size_t room = body_room(&t->body, s->in), n;
    enum wire_verdict v;

    if (room == 0) { /* the origin is slower: until it has taken some */
        session_want(s, s->interest & EV_WRITE);
        s->clock = CLOCK_NONE;
        return STEP_WAIT;
    }
    v = wire_read(w, &s->wire, s->in->bytes + s->in->end, room, &n);
    if (v == WIRE_AGAIN_READ || v == WIRE_AGAIN_WRITE)
        return STEP_WAIT;
    if (v != WIRE_OK)
        return note_end(s, v);
    s->in->end += (uint32_t)n;
    metrics_add(w->counters, COUNT_BYTES_RECEIVED, n);
    if (!t->is_tunnel)
        session_move_clock(s, CLOCK_BODY, n, session_limits(s)->min_rate_bytes);
    request_on_body(t->r);
    stop_clock_at_end(s);
    return STEP_AGAIN;
}

/* Is the body's framing wrong, or will the rest of it never come? */
static enum step_result judge_body(struct session *s)
{
    struct turn *t = s->turn;
    struct str data;

    if (t->body.is_eof && body_peek(&t->body, s->in, &data) == BODY_FAILED &&
        !http_is_refusal(t->body.failure))
        return STEP_OVER;
    if (!http_is_refusal(t->body.failure) || t->is_refused)
        return STEP_WAIT;
    t->is_refused = true;
    t->is_close = true;
    request_refuse(t->r, t->body.failure);
    return STEP_WAIT;
}

static enum step_result read_body(struct session *s)
{
    enum step_result result = STEP_WAIT;

    if (!(s->events & EV_READ) && !wire_has_pending(&s->wire))
        return STEP_WAIT;
    s->events &= (short)~EV_READ;
    if (!is_body_due(s->turn))
        return s->interest & EV_READ ? look_at_early(s) : STEP_WAIT;
    do
        result = read_more(s);
    while (result == STEP_AGAIN && wire_has_pending(&s->wire) && is_body_due(s->turn));
    return result;
}

enum step_result session_read_body(struct session *s)
{
    return read_body(s) == STEP_OVER ? STEP_OVER : judge_body(s);
}

/* ---- What the request asks ---- */

static void wake(void *stream)
{
    session_run(stream);
}

static enum body_verdict h1_body_peek(void *stream, struct str *data)
{
    struct session *s = stream;
    struct turn *t = s->turn;
    enum body_verdict v;

    t->is_body_wanted = true;
    v = body_peek(&t->body, s->in, data);
    stop_clock_at_end(s);
    if (v != BODY_WAIT)
        return v;
    if (t->is_continue_due) { /* RFC 9110 section 10.1.1: not when the body is there already */
        t->is_continue_due = false;
        worker_count(s->sw->w, COUNT_RESPONSES_1XX);
        session_send_interim(s, &STR("HTTP/1.1 100 Continue\r\n\r\n"), 1);
    }
    session_want(s, (short)(s->interest | (s->is_peer_done ? 0 : EV_READ)));
    if (s->clock == CLOCK_NONE && !t->is_tunnel)
        session_set_clock(s, CLOCK_BODY, session_limits(s)->body_idle_ms);
    return v;
}

static void h1_body_consume(void *stream, size_t n)
{
    struct session *s = stream;

    body_consume(&s->turn->body, s->in, n);
}

static void h1_write_trailers(void *stream, struct writer *w)
{
    struct session *s = stream;

    body_write_trailers(&s->turn->body, s->in, w);
}

static void h1_send_interim(void *stream, unsigned status, struct str lines)
{
    struct session *s = stream;
    char head[64];
    struct writer w = writer_of(head, sizeof(head));

    if (request_head(s->turn->r)->minor == 0 || s->turn->is_head_sent)
        return;
    worker_count(s->sw->w, COUNT_RESPONSES_1XX);
    http_write_status_line(&w, status);
    session_send_interim(
        s, (struct str[]){{head, (size_t)((char *)w.p - head)}, lines, STR("\r\n")}, 3);
}

const struct stream_ops session_h1_ops = {
    .wake = wake,
    .body_peek = h1_body_peek,
    .body_consume = h1_body_consume,
    .write_trailers = h1_write_trailers,
    .send_interim = h1_send_interim,
};
