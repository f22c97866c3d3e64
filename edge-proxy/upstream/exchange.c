/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One request and its response over one connection. The steps that lead to the request being sent
 * come one after the other; from then on both directions move by themselves, in pump_request and
 * read_response.
 */
#include "edge-proxy/upstream/upstream_internal.h"

#include "common/net/net.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define EXCHANGE_STEPS(X)   \
    X(CONNECT, connect)     \
    X(HANDSHAKE, handshake) \
    X(SEND_HEAD, send_head) \
    X(EXCHANGE, exchange)   \
    X(OVER, over)

enum exchange_step {
#define STEP_ENUM_(id, name) STEP_##id,
    EXCHANGE_STEPS(STEP_ENUM_)
#undef STEP_ENUM_
};

struct upstream_exchange {
    struct upstream_exchange *next_free;
    struct upstream_worker *u;
    struct upstream_request r;
    const struct upstream_pool *pool;
    struct upstream_origin *origin; /* NULL: none was up */
    struct upstream_conn *c;        /* NULL: given back, or none */
    enum exchange_step step;
    enum upstream_failure failure;
    bool is_reused, has_sent, has_answered, is_request_sent, has_head, is_tunnel;
    struct chunker chunker;
    struct buffer *in;  /* the response */
    struct buffer *out; /* what is left of the request head, NULL: nothing */
    struct body body;
    struct http_framing framing;
    struct http_head head;
};

/* ---- Failures ---- */

static const struct {
    uint16_t status;
    enum counter counter;
    const char *label;
    bool is_origins;
} failures[] = {
#define FAILURE_ROW_(name, status, counter, label, blame) \
    [UPSTREAM_FAILED_##name] = {status, COUNT_##counter, label, blame},
    UPSTREAM_FAILURES(FAILURE_ROW_)
#undef FAILURE_ROW_
};

unsigned upstream_failure_status(enum upstream_failure f)
{
    return failures[f].status;
}

const char *upstream_failure_label(enum upstream_failure f)
{
    return f == UPSTREAM_FINE ? "" : failures[f].label;
}

static void drop_conn(struct upstream_exchange *x)
{
    if (x->c == NULL)
        return;
    atomic_fetch_sub_explicit(&x->origin->connections, 1, memory_order_relaxed);
    conn_close(x->c);
    x->c = NULL;
}

static void fail(struct upstream_exchange *x, enum upstream_failure why)
{
    if (x->failure != UPSTREAM_FINE)
        return;
    x->failure = why;
    x->step = STEP_OVER;
    worker_count(x->u->w, failures[why].counter);
    if (failures[why].is_origins)
        origin_note_failure(x->origin);
    drop_conn(x);
}

static void set_timeout(struct upstream_exchange *x, uint32_t ms)
{
    wheel_set(&x->u->w->wheel, &x->c->timer, ms, conn_on_timer);
}

/* ---- The request ---- */

static enum wire_verdict send_some(struct upstream_exchange *x, const struct iovec *iov, int n_iov,
                                   size_t *n)
{
    enum wire_verdict v = wire_write(x->u->w, &x->c->wire, iov, n_iov, n);

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

static enum wire_verdict end_body(struct upstream_exchange *x)
{
    x->is_request_sent = true;
    if (x->is_tunnel) {
        wire_shut_write(x->u->w, &x->c->wire);
        (void)shutdown(x->c->wire.fd, SHUT_WR);
        return WIRE_OK;
    }
    if (x->r.has_body && x->r.is_body_chunked)
        queue_bytes(x, HTTP_LAST_CHUNK, sizeof(HTTP_LAST_CHUNK) - 1);
    set_timeout(x, x->has_head ? x->r.pools->body_idle_ms : x->pool->config->first_byte_timeout_ms);
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
                wheel_clear(&x->u->w->wheel, &x->c->timer);
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
        set_timeout(x, x->r.pools->body_idle_ms);
        if (n == 0)
            return WIRE_AGAIN_WRITE;
    }
}

/* An origin that stops reading may still have an answer to read: not yet a failure. */
static void pump_request(struct upstream_exchange *x)
{
    enum wire_verdict v;

    if (x->is_request_sent && x->out == NULL && !wire_has_rest(&x->c->wire))
        return;
    v = wire_flush(x->u->w, &x->c->wire);
    if (v == WIRE_OK)
        v = flush_head(x);
    if (v == WIRE_OK && !x->is_request_sent)
        v = send_body(x);
    if (v == WIRE_ERROR || v == WIRE_EOF) {
        x->is_request_sent = true;
        x->framing.is_keep_alive = false;
        buffer_give(x->u->w, x->out);
        x->out = NULL;
        set_timeout(x, x->r.pools->body_idle_ms);
    }
    conn_want(x->c, (short)((x->c->interest & EV_READ) | (v == WIRE_AGAIN_WRITE ? EV_WRITE : 0)));
}

/* ---- The response ---- */

/* The body lies whole in the buffer: others can use the connection while the client reads. */
static void release_conn(struct upstream_exchange *x)
{
    struct upstream_conn *c = x->c;
    bool is_clean = x->framing.is_keep_alive && x->is_request_sent && x->out == NULL &&
                    !wire_has_rest(&c->wire) && x->in->start == x->in->end && x->body.is_ended;

    x->step = STEP_OVER;
    if (!is_clean) {
        drop_conn(x);
        return;
    }
    atomic_fetch_sub_explicit(&x->origin->connections, 1, memory_order_relaxed);
    x->c = NULL;
    conn_keep(c, x->pool->config);
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
        fail(x, UPSTREAM_FAILED_PROTOCOL);
        return;
    }
    x->has_head = true;
    x->in->start += x->head.head_bytes;
    if (x->head.status == 101)
        start_tunnel(x);
    body_start(&x->body, x->in, x->framing.body, x->framing.length);
    set_timeout(x, x->r.pools->body_idle_ms);
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
        fail(x, UPSTREAM_FAILED_PROTOCOL);
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
    if (body_peek(&x->body, x->in, &data) == BODY_FAILED && !x->body.is_eof)
        fail(x, UPSTREAM_FAILED_PROTOCOL);
    else if (x->body.is_ended)
        release_conn(x);
}

static void take_eof(struct upstream_exchange *x, enum wire_verdict v)
{
    struct str data;

    if (!x->has_head) {
        fail(x, UPSTREAM_FAILED_RESET);
        return;
    }
    /* A reset, or TLS without its goodbye, is no end that could be trusted. */
    if (v == WIRE_ERROR && x->framing.body == HTTP_BODY_UNTIL_CLOSE && x->head.status != 101) {
        fail(x, UPSTREAM_FAILED_TRUNCATED);
        return;
    }
    body_set_eof(&x->body);
    x->framing.is_keep_alive = false;
    (void)body_peek(&x->body, x->in, &data);
    if (!x->body.is_ended && x->framing.body != HTTP_BODY_UNTIL_CLOSE)
        fail(x, UPSTREAM_FAILED_TRUNCATED);
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
        conn_want(x->c, x->c->interest & EV_WRITE);
        wheel_clear(&x->u->w->wheel, &x->c->timer);
        if (!x->has_head)
            fail(x, UPSTREAM_FAILED_PROTOCOL);
        return;
    }
    v = wire_read(x->u->w, &x->c->wire, x->in->bytes + x->in->end, room, &n);
    if (v == WIRE_EOF || v == WIRE_ERROR) {
        take_eof(x, v);
        return;
    }
    if (v != WIRE_OK)
        return;
    x->in->end += (uint32_t)n;
    if (x->has_head)
        set_timeout(x, x->r.pools->body_idle_ms);
    take_response(x);
}

/* ---- Steps ---- */

enum step_result { STEP_AGAIN, STEP_WAIT };

static enum step_result step_connect(struct upstream_exchange *x, short what)
{
    if (!(what & EV_WRITE))
        return STEP_WAIT;
    if (net_take_error(x->c->wire.fd) != 0) {
        fail(x, UPSTREAM_FAILED_CONNECT);
        return STEP_AGAIN;
    }
    x->step = x->c->wire.ssl != NULL ? STEP_HANDSHAKE : STEP_SEND_HEAD;
    return STEP_AGAIN;
}

static enum step_result step_handshake(struct upstream_exchange *x, short what)
{
    enum wire_verdict v = wire_handshake(x->u->w, &x->c->wire);

    if (v == WIRE_OK) {
        x->step = STEP_SEND_HEAD;
        return STEP_AGAIN;
    }
    if (v == WIRE_ERROR || v == WIRE_EOF) {
        ERR_clear_error();
        fail(x, UPSTREAM_FAILED_TLS);
        return STEP_AGAIN;
    }
    conn_want(x->c, v == WIRE_AGAIN_READ ? EV_READ : EV_WRITE);
    return STEP_WAIT;
}

static enum step_result step_send_head(struct upstream_exchange *x, short what)
{
    struct worker *worker = x->u->w;
    struct writer w = writer_of(worker->scratch, BUFFER_BYTES);
    enum wire_verdict v;
    size_t n, all;

    origin_note_success(x->origin);
    x->r.ops->write_head(x->r.arg, &w);
    if (w.is_full) { /* our own additions made a head near the limit too long */
        fail(x, UPSTREAM_FAILED_PROTOCOL);
        return STEP_AGAIN;
    }
    all = (size_t)((char *)w.p - worker->scratch);
    v = send_some(x, &(struct iovec){worker->scratch, all}, 1, &n);
    if (v == WIRE_ERROR || v == WIRE_EOF) {
        fail(x, UPSTREAM_FAILED_RESET);
        return STEP_AGAIN;
    }
    if (n < all)
        queue_bytes(x, worker->scratch + n, all - n);
    worker_count(worker, COUNT_UPSTREAM_REQUESTS);
    x->is_request_sent = !x->r.has_body;
    set_timeout(x, x->pool->config->first_byte_timeout_ms);
    conn_want(x->c, EV_READ);
    x->step = STEP_EXCHANGE;
    pump_request(x);
    return STEP_WAIT;
}

static enum step_result step_exchange(struct upstream_exchange *x, short what)
{
    if (what & EV_WRITE)
        pump_request(x);
    if (what & EV_READ)
        do
            read_response(x);
        while (x->step == STEP_EXCHANGE && wire_has_pending(&x->c->wire) &&
               x->c->interest & EV_READ);
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

void exchange_on_event(struct upstream_exchange *x, short what)
{
    enum exchange_step before = x->step;

    run(x, what);
    if (x->step >= STEP_EXCHANGE || x->step != before)
        x->r.ops->on_progress(x->r.arg); /* may end x */
}

void exchange_on_timeout(struct upstream_exchange *x)
{
    if (x->step <= STEP_HANDSHAKE)
        fail(x, UPSTREAM_FAILED_CONNECT_TIMEOUT);
    else
        fail(x, x->has_head ? UPSTREAM_FAILED_IDLE : UPSTREAM_FAILED_FIRST_BYTE);
    x->r.ops->on_progress(x->r.arg); /* may end x */
}

/* ---- The door ---- */

static struct upstream_exchange *take_exchange(struct upstream_worker *u)
{
    struct upstream_exchange *x = u->free_exchanges;

    if (x != NULL)
        u->free_exchanges = x->next_free;
    else
        x = base_alloc(sizeof(*x));
    memset(x, 0, offsetof(struct upstream_exchange, head));
    memset(&x->head, 0, offsetof(struct http_head, fields.v));
    http_head_clear(&x->head);
    x->u = u;
    return x;
}

static void connect_or_reuse(struct upstream_exchange *x)
{
    struct upstream_worker *u = x->u;

    if (!x->r.is_fresh_wanted)
        x->c = conn_reuse(u, x->pool, x->origin, x->r.host);
    if (x->c != NULL) {
        x->is_reused = true;
        x->step = STEP_SEND_HEAD;
        worker_count(u->w, COUNT_UPSTREAM_REUSES);
    } else {
        x->c = conn_open(u, x->pool, x->origin, x->r.host);
        worker_count(u->w, COUNT_UPSTREAM_CONNECTS);
    }
    if (x->c == NULL) {
        fail(x, UPSTREAM_FAILED_CONNECT);
        return;
    }
    x->c->exchange = x;
    atomic_fetch_add_explicit(&x->origin->connections, 1, memory_order_relaxed);
    x->in = buffer_take(u->w);
    if (x->is_reused) {
        run(x, 0);
        return;
    }
    set_timeout(x, x->pool->config->connect_timeout_ms);
    conn_want(x->c, EV_WRITE);
}

struct upstream_exchange *upstream_start(struct upstream_worker *u,
                                         const struct upstream_request *r)
{
    struct upstream_exchange *x = take_exchange(u);

    x->r = *r;
    x->pool = &r->pools->pools[r->pool];
    ensure(r->pool < r->pools->n && r->pool < u->n_turns);
    x->origin = pool_pick(x->pool, u->turns[r->pool]++, r->tried);
    if (x->origin == NULL)
        fail(x, UPSTREAM_FAILED_NONE_UP);
    else
        connect_or_reuse(x);
    return x;
}

void upstream_end(struct upstream_exchange *x)
{
    drop_conn(x);
    buffer_give(x->u->w, x->in);
    buffer_give(x->u->w, x->out);
    x->next_free = x->u->free_exchanges;
    x->u->free_exchanges = x;
}

enum upstream_failure upstream_failure(const struct upstream_exchange *x)
{
    return x->failure;
}

const struct http_head *upstream_head(const struct upstream_exchange *x)
{
    return x->has_head ? &x->head : NULL;
}

const struct http_framing *upstream_framing(const struct upstream_exchange *x)
{
    return &x->framing;
}

enum body_verdict upstream_body_peek(struct upstream_exchange *x, struct str *data)
{
    if (!x->has_head)
        return x->failure != UPSTREAM_FINE ? BODY_FAILED : BODY_WAIT;
    if (x->failure != UPSTREAM_FINE) {
        /* What came before it broke is still the client's to have. */
        if (x->body.ready == x->body.ready_end)
            return BODY_FAILED;
        *data = (struct str){x->in->bytes + x->body.ready, x->body.ready_end - x->body.ready};
        return BODY_DATA;
    }
    return body_peek(&x->body, x->in, data);
}

void upstream_body_consume(struct upstream_exchange *x, size_t n)
{
    body_consume(&x->body, x->in, n);
    if (x->c == NULL || x->c->interest & EV_READ || x->step != STEP_EXCHANGE)
        return;
    /* Half of the buffer is free again: go on reading. */
    if (x->body.ready_end - x->body.ready > BUFFER_BYTES / 2)
        return;
    conn_want(x->c, x->c->interest | EV_READ);
    set_timeout(x, x->r.pools->body_idle_ms);
}

void upstream_pump(struct upstream_exchange *x)
{
    if (x->step == STEP_EXCHANGE)
        pump_request(x);
}

uint64_t upstream_origin_bit(const struct upstream_exchange *x)
{
    return x->origin == NULL ? 0 : (uint64_t)1 << (x->origin - x->pool->origins);
}

const char *upstream_origin_name(const struct upstream_exchange *x)
{
    return x->origin == NULL ? NULL : x->origin->config->name;
}

bool upstream_was_reused(const struct upstream_exchange *x)
{
    return x->is_reused;
}

bool upstream_has_answered(const struct upstream_exchange *x)
{
    return x->has_answered;
}

bool upstream_has_sent(const struct upstream_exchange *x)
{
    return x->has_sent;
}

void upstream_worker_free(struct upstream_worker *u)
{
    for (size_t i = 0; i < IDLE_BUCKETS; i++)
        while (u->idle[i] != NULL)
            conn_close(u->idle[i]);
    for (struct upstream_exchange *x = u->free_exchanges, *next; x != NULL; x = next) {
        next = x->next_free;
        free(x);
    }
    free(u->turns);
    free(u);
}
