/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An exchange over HTTP/1.1: one request and its response over one connection. The steps that lead
 * to the request being sent come one after the other; from then on both directions move by
 * themselves, in pump and read_response.
 */
#include "edge-proxy/upstream/upstream_internal.h"

#include <string.h>
#include <sys/socket.h>

/* For what comes next of a body or a tunnel. */
static void set_idle(struct upstream_exchange *x)
{
    dial_set_timeout(x->c, x->is_tunnel ? x->r.pools->tunnel_idle_ms : x->r.pools->body_idle_ms);
}

static void drop(struct upstream_exchange *x)
{
    if (x->c == NULL)
        return;
    dial_close(x->c);
    x->c = NULL;
}

/* ---- The request: its head, and its body as fast as the client gives and the origin takes ---- */

void http1_write_head(const struct upstream_request *r, struct writer *w)
{
    struct upstream_start start;

    r->ops->describe(r->arg, &start);
    fields_write_str(w, start.method);
    writer_u8(w, ' ');
    r->ops->write_target(r->arg, w);
    fields_write_str(w, STR(" HTTP/1.1\r\n"));
    http_write_known(w, FIELD_HOST, start.authority); /* empty rather than none: RFC 9112 3.2 */
    if (r->is_body_chunked)
        fields_write_str(w, STR("Transfer-Encoding: chunked\r\n"));
    if (r->is_upgrade)
        fields_write_str(w, STR("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    else if (start.takes_trailers)
        fields_write_str(w, STR("Connection: TE\r\nTE: trailers\r\n")); /* RFC 9110 10.1.4 */
    r->ops->write_fields(r->arg, w);
    http_write_end(w);
}

static enum wire_verdict send_some(struct upstream_exchange *x, const struct iovec *iov, int n_iov,
                                   size_t *n)
{
    enum wire_verdict v = wire_write(x->u->w, dial_wire(x->c), iov, n_iov, n);

    if (*n > 0)
        x->has_sent = true;
    return v;
}

/* What the kernel did not take of the head waits in a buffer of its own. */
static enum wire_verdict flush_head(struct upstream_exchange *x)
{
    size_t n;
    enum wire_verdict v;

    if (x->out == NULL)
        return WIRE_OK;
    v = send_some(x, &(struct iovec){x->out->bytes + x->out->start, x->out->end - x->out->start}, 1,
                  &n);
    x->out->start += (uint32_t)n;
    if (v == WIRE_OK && x->out->start < x->out->end)
        return WIRE_AGAIN_WRITE;
    if (x->out->start == x->out->end) {
        buffer_give(x->u->w, x->out);
        x->out = NULL;
    }
    return v;
}

/* The slices of the next piece of the body: as it is, or as a chunk. Returns their number. */
static int body_slices(struct upstream_exchange *x, struct str data,
                       struct iovec iov[1 + CHUNKER_SLICES])
{
    struct iovec slice = {(void *)data.p, data.n};

    iov[x->r.is_body_chunked] = slice;
    return x->r.is_body_chunked ? chunker_wrap(&x->chunker, iov, 1) : 1;
}

/* n bytes of those slices were sent. */
static void body_sent(struct upstream_exchange *x, size_t n)
{
    if (x->r.is_body_chunked)
        n = chunker_sent(&x->chunker, n);
    if (n > 0)
        x->r.ops->body_consume(x->r.arg, n);
}

/* The last chunk, through the head's buffer: a few bytes, seldom. */
static void queue_bytes(struct upstream_exchange *x, const char *bytes, size_t n)
{
    if (x->out == NULL)
        x->out = buffer_take(x->u->w);
    memcpy(x->out->bytes + x->out->end, bytes, n);
    x->out->end += (uint32_t)n;
}

/* RFC 9112 section 7.1.2. */
static void queue_last_chunk(struct upstream_exchange *x)
{
    struct writer w;

    queue_bytes(x, HTTP_LAST_CHUNK, sizeof(HTTP_LAST_CHUNK) - 1);
    w = writer_of(x->out->bytes + x->out->end, sizeof(x->out->bytes) - x->out->end - 2);
    x->r.ops->write_trailers(x->r.arg, &w);
    if (!w.is_full) /* else without: there may always be none */
        x->out->end = (uint32_t)((char *)w.p - x->out->bytes);
    queue_bytes(x, "\r\n", 2);
}

static enum wire_verdict end_body(struct upstream_exchange *x)
{
    x->is_request_sent = true;
    if (x->is_tunnel) {
        wire_shut_write(x->u->w, dial_wire(x->c));
        (void)shutdown(dial_wire(x->c)->fd, SHUT_WR);
        return WIRE_OK;
    }
    if (x->r.has_body && x->r.is_body_chunked)
        queue_last_chunk(x);
    if (x->has_head)
        set_idle(x);
    else
        dial_set_timeout(x->c, x->pool->config->first_byte_timeout_ms);
    return flush_head(x);
}

static enum wire_verdict send_body(struct upstream_exchange *x)
{
    struct iovec iov[1 + CHUNKER_SLICES];
    struct str data = {NULL, 0};
    enum wire_verdict v;
    size_t n;

    for (;;) {
        enum body_verdict b = BODY_DATA;

        data.n = 0;
        if (!chunker_needs_no_data(&x->chunker))
            b = x->r.ops->body_peek(x->r.arg, &data);
        if (b == BODY_WAIT) {
            if (!x->is_tunnel) /* the client's turn, by its own clock */
                dial_clear_timeout(x->c);
            return WIRE_OK;
        }
        if (b == BODY_FAILED)
            return WIRE_ERROR;
        if (b == BODY_END)
            return end_body(x);
        v = send_some(x, iov, body_slices(x, data, iov), &n);
        body_sent(x, n);
        if (v != WIRE_OK)
            return v;
        set_idle(x);
        if (n == 0)
            return WIRE_AGAIN_WRITE;
    }
}

/* An origin that stops reading may still have an answer to read: not yet a failure. */
static void pump(struct upstream_exchange *x)
{
    enum wire_verdict v;

    if (x->is_request_sent && x->out == NULL && !wire_has_rest(dial_wire(x->c)))
        return;
    v = wire_flush(x->u->w, dial_wire(x->c));
    if (v == WIRE_OK)
        v = flush_head(x);
    if (v == WIRE_OK && !x->is_request_sent)
        v = send_body(x);
    if (v == WIRE_ERROR || v == WIRE_EOF) {
        x->is_request_sent = x->is_request_broken = true;
        buffer_give(x->u->w, x->out);
        x->out = NULL;
        set_idle(x);
    }
    dial_want(x->c,
              (short)((dial_interest(x->c) & EV_READ) | (v == WIRE_AGAIN_WRITE ? EV_WRITE : 0)));
}

/* WIRE_OK and WIRE_AGAIN_WRITE: what could not be sent is kept and goes out with the body. */
static enum wire_verdict send_head_bytes(struct upstream_exchange *x, const char *bytes, size_t n)
{
    size_t sent;
    enum wire_verdict v = send_some(x, &(struct iovec){(void *)bytes, n}, 1, &sent);

    if (v != WIRE_ERROR && v != WIRE_EOF && sent < n)
        queue_bytes(x, bytes + sent, n - sent);
    return v;
}

/* ---- The response ---- */

/* The body lies whole in the buffer: others can use the connection while the client reads. */
static void release_conn(struct upstream_exchange *x)
{
    struct dial_conn *c = x->c;
    const struct wire *wire = dial_wire(c);
    bool is_sent =
        x->is_request_sent && !x->is_request_broken && x->out == NULL && !wire_has_rest(wire);
    bool is_read = x->body.is_ended && x->in->start == x->in->end && !wire_has_pending(wire);
    bool is_clean = x->framing.is_keep_alive && is_sent && is_read;

    x->step = STEP_OVER;
    if (is_clean) {
        x->c = NULL;
        dial_keep(c, x->pool->config->keep_idle, x->pool->config->idle_timeout_ms);
    } else {
        drop(x);
    }
    exchange_leave(x); /* who waits for its slots may take its connection, too */
}

/* From here on bytes pass both ways until one side closes (RFC 9110 section 7.8). */
static void start_tunnel(struct upstream_exchange *x)
{
    x->framing.body = HTTP_BODY_UNTIL_CLOSE;
    x->framing.is_keep_alive = false;
    x->is_tunnel = true;
    x->r.has_body = true;
    x->r.is_body_chunked = false;
    x->is_request_sent = false;
}

static void start_body(struct upstream_exchange *x)
{
    enum http_verdict v = http_response_framing(&x->head, x->r.method, &x->framing);

    if (http_is_refusal(v)) {
        exchange_fail(x, UPSTREAM_FAILED_PROTOCOL);
        return;
    }
    exchange_note_head(x);
    x->in->start += x->head.head_bytes;
    if (x->head.status == 101)
        start_tunnel(x);
    body_start(&x->body, x->in, x->framing.body, x->framing.length);
    set_idle(x);
}

static bool take_head(struct upstream_exchange *x)
{
    struct str data = buffer_data(x->in);
    enum http_verdict v;

    x->has_answered |= data.n > 0;
    v = http_parse_response(&x->head, x->in->bytes + x->in->start, data.n, &HTTP_LIMITS_DEFAULT);
    if (v == HTTP_MORE)
        return false;
    if (v != HTTP_DONE || (x->head.status == 101 && !x->r.is_upgrade)) {
        exchange_fail(x, UPSTREAM_FAILED_PROTOCOL);
        return false;
    }
    if (x->head.status >= 200 || x->head.status == 101) {
        start_body(x);
        return false;
    }
    x->r.ops->on_interim(x->r.arg, &x->head);
    x->in->start += x->head.head_bytes;
    http_head_clear(&x->head);
    return true;
}

static void take_response(struct upstream_exchange *x)
{
    struct str data;

    while (!x->has_head && x->failure == UPSTREAM_FINE && take_head(x))
        continue;
    if (!x->has_head || x->failure != UPSTREAM_FINE)
        return;
    /* Decoding is what finds the end, and framing errors. */
    (void)body_peek(&x->body, x->in, &data);
    if (http_is_refusal(x->body.failure)) /* what came before stays the client's */
        exchange_fail(x, UPSTREAM_FAILED_PROTOCOL);
    else if (x->body.is_ended)
        release_conn(x);
}

static void take_eof(struct upstream_exchange *x, enum wire_verdict v)
{
    struct str data;

    if (!x->has_head) {
        exchange_fail(x, UPSTREAM_FAILED_RESET);
        return;
    }
    /* A reset, or TLS without its goodbye, is no end that could be trusted. */
    if (v == WIRE_ERROR && x->framing.body == HTTP_BODY_UNTIL_CLOSE && x->head.status != 101) {
        exchange_fail(x, UPSTREAM_FAILED_TRUNCATED);
        return;
    }
    body_set_eof(&x->body);
    x->framing.is_keep_alive = false;
    (void)body_peek(&x->body, x->in, &data);
    if (!x->body.is_ended && x->framing.body != HTTP_BODY_UNTIL_CLOSE)
        exchange_fail(x, UPSTREAM_FAILED_TRUNCATED);
    else
        release_conn(x);
}

static size_t response_room(struct upstream_exchange *x)
{
    if (x->has_head)
        return body_room(&x->body, x->in);
    return sizeof(x->in->bytes) - x->in->end;
}

static void read_response(struct upstream_exchange *x)
{
    size_t room = response_room(x), n;
    enum wire_verdict v;

    if (room == 0) { /* until the client has taken some; then by its own clock */
        dial_want(x->c, dial_interest(x->c) & EV_WRITE);
        dial_clear_timeout(x->c);
        if (!x->has_head)
            exchange_fail(x, UPSTREAM_FAILED_PROTOCOL);
        return;
    }
    v = wire_read(x->u->w, dial_wire(x->c), x->in->bytes + x->in->end, room, &n);
    if (v == WIRE_EOF || v == WIRE_ERROR) {
        take_eof(x, v);
        return;
    }
    if (v != WIRE_OK)
        return;
    x->in->end += (uint32_t)n;
    if (x->has_head)
        set_idle(x);
    take_response(x);
}

/* ---- Steps ---- */

enum step_result { STEP_AGAIN, STEP_WAIT };

/* on_open goes on. */
static enum step_result step_open(struct upstream_exchange *x, short what)
{
    return STEP_WAIT;
}

/* wait.c goes on. */
static enum step_result step_queue(struct upstream_exchange *x, short what)
{
    return STEP_WAIT;
}

static enum step_result step_send_head(struct upstream_exchange *x, short what)
{
    struct worker *worker = x->u->w;
    struct writer w = writer_of(worker->scratch, BUFFER_BYTES);
    enum wire_verdict v;

    http1_write_head(&x->r, &w);
    if (w.is_full) { /* our own additions made a head near the limit too long */
        exchange_fail(x, UPSTREAM_FAILED_PROTOCOL);
        return STEP_AGAIN;
    }
    v = send_head_bytes(x, worker->scratch, (size_t)((char *)w.p - worker->scratch));
    if (v == WIRE_ERROR || v == WIRE_EOF) {
        exchange_fail(x, UPSTREAM_FAILED_RESET);
        return STEP_AGAIN;
    }
    worker_count(worker, COUNT_UPSTREAM_REQUESTS);
    x->is_request_sent = !x->r.has_body;
    dial_set_timeout(x->c, x->pool->config->first_byte_timeout_ms);
    dial_want(x->c, EV_READ);
    x->step = STEP_EXCHANGE;
    pump(x);
    return STEP_WAIT;
}

static enum step_result step_exchange(struct upstream_exchange *x, short what)
{
    if (what & EV_WRITE)
        pump(x);
    if (what & EV_READ)
        do
            read_response(x);
        while (x->step == STEP_EXCHANGE && wire_has_pending(dial_wire(x->c)) &&
               dial_interest(x->c) & EV_READ);
    return STEP_WAIT;
}

static enum step_result step_over(struct upstream_exchange *x, short what)
{
    return STEP_WAIT;
}

static void run(struct upstream_exchange *x, short what)
{
    static enum step_result (*const steps[])(struct upstream_exchange *, short) = {
#define STEP_ROW_(id, name) step_##name,
        EXCHANGE_STEPS(STEP_ROW_)
#undef STEP_ROW_
    };

    while (steps[x->step](x, what) == STEP_AGAIN)
        continue;
}

static void on_open(void *arg, dial_why why)
{
    struct upstream_exchange *x = arg;

    if (why != 0) {
        exchange_fail_open(x, why);
    } else {
        exchange_note_open(x);
        x->step = STEP_SEND_HEAD;
        run(x, 0);
    }
    x->r.ops->on_progress(x->r.arg); /* may end x */
}

static void on_event(void *arg, short what)
{
    struct upstream_exchange *x = arg;

    run(x, what);
    x->r.ops->on_progress(x->r.arg); /* may end x */
}

/* Nobody had anything to say: both are told that it is over. */
static void end_tunnel(struct upstream_exchange *x)
{
    worker_count(x->u->w, COUNT_TIMEOUT_TUNNEL);
    body_set_eof(&x->body);
    release_conn(x);
}

static void on_timeout(void *arg)
{
    struct upstream_exchange *x = arg;

    if (x->is_tunnel)
        end_tunnel(x);
    else
        exchange_fail(x, x->has_head ? UPSTREAM_FAILED_IDLE : UPSTREAM_FAILED_FIRST_BYTE);
    x->r.ops->on_progress(x->r.arg); /* may end x */
}

static const struct dial_ops conn_ops = {on_open, on_event, on_timeout};

/* ---- The door ---- */

static void open_conn(struct upstream_exchange *x, const struct dial_order *o)
{
    struct upstream_worker *u = x->u;
    dial_why why = 0;

    if (!x->r.is_fresh_wanted)
        x->c = dial_take(u->dial, o, &conn_ops, x);
    if (x->c != NULL) {
        x->is_reused = true;
        x->step = STEP_SEND_HEAD;
        worker_count(u->w, COUNT_UPSTREAM_REUSES);
    } else {
        x->c = dial_open(u->dial, o, &conn_ops, x, &why);
        worker_count(u->w, COUNT_UPSTREAM_CONNECTS);
    }
    if (x->c == NULL)
        exchange_fail_open(x, why);
    else if (x->is_reused)
        run(x, 0);
}

static void pump_request(struct upstream_exchange *x)
{
    if (x->step == STEP_EXCHANGE)
        pump(x);
}

static void resume(struct upstream_exchange *x, size_t n)
{
    if (x->c == NULL || dial_interest(x->c) & EV_READ || x->step != STEP_EXCHANGE)
        return;
    /* Half of the buffer is free again: go on reading. */
    if (x->body.ready_end - x->body.ready > BUFFER_BYTES / 2)
        return;
    dial_want(x->c, dial_interest(x->c) | EV_READ);
    set_idle(x);
}

const struct exchange_ops exchange_http1 = {
    .open = open_conn,
    .pump = pump_request,
    .resume = resume,
    .drop = drop,
};
