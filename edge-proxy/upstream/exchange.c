/* SPDX-License-Identifier: BSD-2-Clause */
/* One request and its response, whichever version of HTTP carries them. */
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

void exchange_leave(struct upstream_exchange *x)
{
    exchange_let_go(x);
    if (x->is_counted)
        balance_finish(x->pool->balance, x->origin->index);
    x->is_counted = false;
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
    exchange_leave(x);
    x->ops->drop(x);
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

void exchange_fail_open(struct upstream_exchange *x, dial_why why)
{
    enum upstream_failure f = failure_of(why);

    if (failures[f].result != BALANCE_NO_RESULT) /* our own limits say nothing of it */
        atomic_store_explicit(&x->origin->why, why, memory_order_relaxed);
    exchange_fail(x, f);
}

void exchange_note_open(struct upstream_exchange *x)
{
    if (atomic_load_explicit(&x->origin->why, memory_order_relaxed) != 0)
        atomic_store_explicit(&x->origin->why, 0, memory_order_relaxed);
}

static enum balance_result result_of_status(unsigned status)
{
    if (status < 500)
        return BALANCE_FINE;
    return status >= 502 && status <= 504 ? BALANCE_GATEWAY_ERROR : BALANCE_SERVER_ERROR;
}

void exchange_note_head(struct upstream_exchange *x)
{
    note_latency(x, 1);
    origin_note(x->origin, x->u->w, result_of_status(x->head.status), x->began_ms);
    x->has_head = true;
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
    struct dial_target targets[DIAL_TARGETS_MAX];
    size_t n = origin_targets(x->origin, targets);
    struct dial_order o = origin_order(x->origin, targets, n, x->r.host, x->r.preface,
                                       x->pool->config->connect_timeout_ms);

    if (n == 0) { /* its last address has just gone */
        exchange_fail(x, UPSTREAM_FAILED_NONE_UP);
        return;
    }
    balance_start(x->pool->balance, x->origin->index);
    x->is_counted = true;
    x->in = buffer_take(x->u->w);
    x->ops->open(x, &o);
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
    x->ops = &exchange_http1;
    x->pool = &r->pools->pools[r->pool];
    ensure(r->pool < r->pools->n && r->pool < u->n_turns);
    exchange_find_origin(x);
    return x;
}

void upstream_end(struct upstream_exchange *x)
{
    exchange_leave(x);
    x->ops->drop(x);
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
    x->ops->resume(x, n);
}

void upstream_write_trailers(const struct upstream_exchange *x, struct writer *w)
{
    if (x->in != NULL)
        body_write_trailers(&x->body, x->in, w);
}

void upstream_pump(struct upstream_exchange *x)
{
    x->ops->pump(x);
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
