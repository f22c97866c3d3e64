/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One request and its response over one connection. The steps that lead to the request being sent
 * come one after the other; from then on both directions move by themselves, in exchange_pump and
 * read_response.
 */
#include "edge-proxy/upstream/upstream_internal.h"

#include "common/clock/clock.h"

#include <stdlib.h>
#include <string.h>

/* ---- Failures ---- */

static const struct {
    uint16_t status;
    enum counter counter;
    const char *label;
    enum balance_result result;
} failures[] = {
#define FAILURE_ROW_(name, status, counter, label, result) \
    [UPSTREAM_FAILED_##name] = {status, COUNT_##counter, label, BALANCE_##result},
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
    exchange_let_go(x);
    if (x->c == NULL)
        return;
    balance_finish(x->pool->balance, x->origin->index);
    dial_close(x->c);
    x->c = NULL;
}

/* least_us: what it counts as at least. */
static void note_latency(struct upstream_exchange *x, int64_t least_us)
{
    int64_t us;

    if (x->started_us == 0 || x->origin == NULL)
        return;
    us = clock_mono_us() - x->started_us;
    balance_note_latency(x->pool->balance, x->origin->index,
                         (uint64_t)(us > least_us ? us : least_us), clock_coarse_ms());
    x->started_us = 0;
}

/* What nothing was sent of is judged by the connection alone: a visitor's head that grew too long
 * on the way is no fault of the origin's, nor is a kept connection that it had just closed. */
static enum balance_result result_of(const struct upstream_exchange *x, enum upstream_failure why)
{
    enum balance_result result = x->has_head ? BALANCE_NO_RESULT : failures[why].result;

    if (result == BALANCE_GATEWAY_ERROR && (!x->has_sent || (x->is_reused && !x->has_answered)))
        return why == UPSTREAM_FAILED_FIRST_BYTE ? result : BALANCE_NO_RESULT;
    return result;
}

void exchange_fail(struct upstream_exchange *x, enum upstream_failure why)
{
    enum balance_result result = result_of(x, why);

    if (x->failure != UPSTREAM_FINE)
        return;
    x->failure = why;
    x->step = STEP_OVER;
    worker_count(x->u->w, failures[why].counter);
    if (result != BALANCE_NO_RESULT) {
        note_latency(x, BALANCE_FAILED_US);
        origin_note(x->origin, x->u->w, result, x->began_ms);
    }
    drop_conn(x);
}

void exchange_set_idle(struct upstream_exchange *x)
{
    dial_set_timeout(x->c, x->is_tunnel ? x->r.pools->tunnel_idle_ms : x->r.pools->body_idle_ms);
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
    if (!is_clean) {
        drop_conn(x);
        return;
    }
    balance_finish(x->pool->balance, x->origin->index);
    x->c = NULL;
    dial_keep(c, x->pool->config->keep_idle, x->pool->config->idle_timeout_ms);
    exchange_let_go(x);
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

static enum balance_result result_of_status(unsigned status)
{
    if (status < 500)
        return BALANCE_FINE;
    return status >= 502 && status <= 504 ? BALANCE_GATEWAY_ERROR : BALANCE_SERVER_ERROR;
}

static void start_body(struct upstream_exchange *x)
{
    enum http_verdict v = http_response_framing(&x->head, x->r.method, &x->framing);

    if (http_is_refusal(v)) {
        exchange_fail(x, UPSTREAM_FAILED_PROTOCOL);
        return;
    }
    note_latency(x, 1);
    origin_note(x->origin, x->u->w, result_of_status(x->head.status), x->began_ms);
    x->has_head = true;
    x->in->start += x->head.head_bytes;
    if (x->head.status == 101)
        start_tunnel(x);
    body_start(&x->body, x->in, x->framing.body, x->framing.length);
    exchange_set_idle(x);
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
        exchange_set_idle(x);
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

    x->r.ops->write_head(x->r.arg, &w);
    if (w.is_full) { /* our own additions made a head near the limit too long */
        exchange_fail(x, UPSTREAM_FAILED_PROTOCOL);
        return STEP_AGAIN;
    }
    v = exchange_send_head(x, worker->scratch, (size_t)((char *)w.p - worker->scratch));
    if (v == WIRE_ERROR || v == WIRE_EOF) {
        exchange_fail(x, UPSTREAM_FAILED_RESET);
        return STEP_AGAIN;
    }
    worker_count(worker, COUNT_UPSTREAM_REQUESTS);
    x->is_request_sent = !x->r.has_body;
    dial_set_timeout(x->c, x->pool->config->first_byte_timeout_ms);
    dial_want(x->c, EV_READ);
    x->step = STEP_EXCHANGE;
    exchange_pump(x);
    return STEP_WAIT;
}

static enum step_result step_exchange(struct upstream_exchange *x, short what)
{
    if (what & EV_WRITE)
        exchange_pump(x);
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

static enum upstream_failure failure_of(dial_why why)
{
    static const enum upstream_failure failed[] = {
        [DIAL_NO_FILES] = UPSTREAM_FAILED_NO_FILES,
        [DIAL_NO_PORTS] = UPSTREAM_FAILED_NO_PORTS,
        [DIAL_CONNECT] = UPSTREAM_FAILED_CONNECT,
        [DIAL_TIMEOUT] = UPSTREAM_FAILED_CONNECT_TIMEOUT,
        [DIAL_TLS] = UPSTREAM_FAILED_TLS,
    };

    return failed[dial_verdict(why)];
}

static void fail_open(struct upstream_exchange *x, dial_why why)
{
    enum upstream_failure f = failure_of(why);

    if (failures[f].result != BALANCE_NO_RESULT) /* our own limits say nothing of it */
        atomic_store_explicit(&x->origin->why, why, memory_order_relaxed);
    exchange_fail(x, f);
}

static void on_open(void *arg, dial_why why)
{
    struct upstream_exchange *x = arg;

    if (why != 0) {
        fail_open(x, why);
    } else {
        if (atomic_load_explicit(&x->origin->why, memory_order_relaxed) != 0)
            atomic_store_explicit(&x->origin->why, 0, memory_order_relaxed);
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
    struct dial_target targets[DIAL_TARGETS_MAX];
    size_t n = origin_targets(x->origin, targets);
    struct dial_order o = origin_order(x->origin, targets, n, x->r.host, x->r.preface,
                                       x->pool->config->connect_timeout_ms);
    dial_why why = 0;

    if (n == 0) { /* its last address has just gone */
        exchange_fail(x, UPSTREAM_FAILED_NONE_UP);
        return;
    }
    if (!x->r.is_fresh_wanted)
        x->c = dial_take(u->dial, &o, &conn_ops, x);
    if (x->c != NULL) {
        x->is_reused = true;
        x->step = STEP_SEND_HEAD;
        worker_count(u->w, COUNT_UPSTREAM_REUSES);
    } else {
        x->c = dial_open(u->dial, &o, &conn_ops, x, &why);
        worker_count(u->w, COUNT_UPSTREAM_CONNECTS);
    }
    if (x->c == NULL) {
        fail_open(x, why);
        return;
    }
    balance_start(x->pool->balance, x->origin->index);
    x->in = buffer_take(u->w);
    if (x->is_reused)
        run(x, 0);
}

void exchange_open(struct upstream_exchange *x)
{
    x->step = STEP_OPEN;
    x->began_ms = clock_coarse_ms();
    if (balance_wants_latency(x->pool->balance))
        x->started_us = clock_mono_us();
    if (buffers_are_short_for_origins())
        exchange_fail(x, UPSTREAM_FAILED_NO_MEMORY);
    else
        connect_or_reuse(x);
}

struct upstream_exchange *upstream_start(struct upstream_worker *u,
                                         const struct upstream_request *r)
{
    struct upstream_exchange *x = take_exchange(u);

    x->r = *r;
    x->pool = &r->pools->pools[r->pool];
    ensure(r->pool < r->pools->n && r->pool < u->n_turns);
    exchange_find_origin(x);
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

void upstream_hide_fields(struct upstream_exchange *x, const struct field_names *names)
{
    fields_mark_names(&x->head.fields, names);
}

const struct http_framing *upstream_framing(const struct upstream_exchange *x)
{
    return &x->framing;
}

bool upstream_is_queued(const struct upstream_exchange *x)
{
    return x->step == STEP_QUEUE;
}

uint64_t upstream_body_bytes(const struct upstream_exchange *x)
{
    if (x->framing.body == HTTP_BODY_NONE)
        return 0;
    if (x->framing.body == HTTP_BODY_LENGTH)
        return x->framing.length;
    return x->body.is_ended ? x->body.ready_end - x->body.ready : UINT64_MAX;
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
    if (x->c == NULL || dial_interest(x->c) & EV_READ || x->step != STEP_EXCHANGE)
        return;
    /* Half of the buffer is free again: go on reading. */
    if (x->body.ready_end - x->body.ready > BUFFER_BYTES / 2)
        return;
    dial_want(x->c, dial_interest(x->c) | EV_READ);
    exchange_set_idle(x);
}

void upstream_write_trailers(const struct upstream_exchange *x, struct writer *w)
{
    if (x->in != NULL)
        body_write_trailers(&x->body, x->in, w);
}

void upstream_pump(struct upstream_exchange *x)
{
    if (x->step == STEP_EXCHANGE)
        exchange_pump(x);
}

void upstream_time_out(struct upstream_exchange *x)
{
    exchange_fail(x, x->step == STEP_OPEN ? UPSTREAM_FAILED_CONNECT_TIMEOUT
                                          : UPSTREAM_FAILED_FIRST_BYTE);
}

uint64_t upstream_origin_bit(const struct upstream_exchange *x)
{
    return x->origin == NULL ? 0 : (uint64_t)1 << (x->origin - x->pool->origins);
}

const char *upstream_origin_name(const struct upstream_exchange *x)
{
    return x->origin == NULL ? NULL : x->origin->name;
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

/* ---- The worker's side ---- */

struct upstream_worker *upstream_worker_new(struct worker *w, struct dial_store *store)
{
    struct upstream_worker *u = base_zalloc(1, sizeof(*u));

    u->w = w;
    u->dial = dial_worker_new(w, store);
    return u;
}

void upstream_worker_adopt(struct upstream_worker *u, size_t n_pools)
{
    if (n_pools <= u->n_turns)
        return;
    u->turns = base_realloc(u->turns, n_pools * sizeof(*u->turns));
    memset(u->turns + u->n_turns, 0, (n_pools - u->n_turns) * sizeof(*u->turns));
    u->n_turns = n_pools;
}

void upstream_worker_free(struct upstream_worker *u)
{
    dial_worker_free(u->dial);
    for (struct upstream_exchange *x = u->free_exchanges, *next; x != NULL; x = next) {
        next = x->next_free;
        free(x);
    }
    free(u->turns);
    free(u);
}
