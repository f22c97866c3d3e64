/* SPDX-License-Identifier: BSD-2-Clause */
/* The coordinator: one request from its head to its log line, step by step. */
#include "edge-proxy/request/request_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- Answers of our own ---- */

struct request_response request_own_response(const struct request *r, unsigned status)
{
    return (struct request_response){
        .status = status,
        .has_length = http_status_has_body(status, HTTP_METHOD_GET),
        .has_body = http_status_has_body(status, r->head.method),
        .length = r->own_body.n,
    };
}

static void set_own_body(struct request *r, unsigned status)
{
    const struct config_page *page = rules_find_page(
        r->route.site != NULL ? &r->route.site->pages : &request_config(r)->pages, status);

    r->own_type = "text/plain; charset=utf-8";
    r->own_body = status == 200 || status == 204 ? STR("") : http_error_body(status);
    if (page != NULL) {
        r->own_type = page->content_type;
        r->own_body = page->body;
    }
}

void request_set_own(struct request *r, unsigned status)
{
    r->source = SOURCE_OWN;
    r->state = REQUEST_ANSWERED;
    set_own_body(r, status);
    r->response = request_own_response(r, status);
}

void request_answer(struct request *r, unsigned status)
{
    r->step = REQUEST_DELIVER;
    request_set_own(r, status);
    if (status >= 500)
        worker_count(request_flow(r), COUNT_OWN_ERRORS);
}

void request_refuse(struct request *r, enum http_verdict why)
{
    worker_count(request_flow(r), counters_of_verdict(why));
    (void)request_blame(r, GUARD_MALFORMED); /* it is closed in any case */
    r->cache_status.detail = str_of(http_verdict_label(why));
    request_refuse_status(r, http_verdict_status(why));
}

void request_refuse_status(struct request *r, unsigned status)
{
    fetch_drop(r);
    if (r->state == REQUEST_ANSWERED || status == 0) {
        r->state = REQUEST_BROKEN;
        return;
    }
    request_answer(r, status);
    r->response.is_close_wanted = true;
}

/* ---- Steps ---- */

static void on_cache_wake(void *arg, enum cache_wake why, unsigned fail_status);

/* The verdict's consequences; *found's references and duties become the request's. */
static enum step_result act_on(struct request *r, const struct cache_result *found)
{
    r->object = found->object;
    r->lead = found->lead;
    r->waiter = found->waiter;
    if (found->forward_reason != NULL && found->verdict != CACHE_HIT &&
        found->verdict != CACHE_STALE)
        r->cache_status.forward_reason = found->forward_reason;
    switch (found->verdict) {
    case CACHE_STALE:
        if (found->lead != NULL) {
            r->lead = NULL;
            request_spawn_refresh(r, found->lead);
        }
        r->cache_counter = COUNT_CACHE_STALE;
        r->cache_status.is_hit = true;
        r->step = REQUEST_DELIVER;
        deliver_object(r);
        return STEP_WAIT;
    case CACHE_HIT:
        /* Whoever waited for this fetch says so, unlike one that found it done. */
        r->cache_status.is_collapsed = r->look_ups > 1 && !r->is_loaded;
        r->cache_status.is_hit = !r->cache_status.is_collapsed;
        r->cache_counter = r->cache_status.is_hit ? COUNT_CACHE_HIT : COUNT_CACHE_COLLAPSED;
        r->step = REQUEST_DELIVER;
        deliver_object(r);
        return STEP_WAIT;
    case CACHE_WAIT:
        r->is_loaded = found->is_loading;
        r->step = REQUEST_JOIN;
        return STEP_WAIT;
    case CACHE_UNAVAILABLE:
        r->cache_counter = COUNT_CACHE_MISS;
        return request_answer_with(r, 504); /* RFC 9111 section 5.2.1.7 */
    case CACHE_REVALIDATE:
    case CACHE_FETCH:
        r->cache_counter = COUNT_CACHE_MISS;
        break;
    case CACHE_PASS:
        r->cache_counter = COUNT_CACHE_PASS;
        break;
    }
    r->step = REQUEST_SEND;
    return STEP_AGAIN;
}

static enum step_result step_look_up(struct request *r)
{
    struct worker *w = request_flow(r);
    struct writer key = writer_of(w->scratch, WORKER_SCRATCH_BYTES);
    struct cache_result found;

    request_write_key(r, &key);
    r->now_s = clock_wall_s();
    cache_lookup(r->rw->shared->cache,
                 &(struct cache_request){
                     .key = {w->scratch, (size_t)((char *)key.p - w->scratch)},
                     .method = r->head.method,
                     .fields = &r->head.fields,
                     .is_reload_obeyed = r->route.route->has_client_no_cache,
                     .is_joining_allowed = r->look_ups++ < REQUEST_LOOKS_MAX,
                     .now_s = r->now_s,
                     .waker = {w->loop, on_cache_wake, r},
                     .reader = &r->reader,
                 },
                 &found);
    return act_on(r, &found);
}

static enum step_result step_admit(struct request *r)
{
    return request_step_admit(r);
}

static enum step_result step_join(struct request *r)
{
    return STEP_WAIT;
}

static enum step_result step_send(struct request *r)
{
    if (guard_load(r->rw->shared->guard, request_flow(r)) == GUARD_LOAD_EXTREME) {
        fetch_shed(r);
        return STEP_WAIT;
    }
    fetch_start(r);
    r->step = REQUEST_AWAIT;
    return STEP_AGAIN;
}

static enum step_result step_await(struct request *r)
{
    if (upstream_failure(r->x) == UPSTREAM_FINE || upstream_head(r->x) != NULL) {
        if (upstream_head(r->x) == NULL) {
            fetch_limit_try(r);
            return STEP_WAIT;
        }
        r->step = REQUEST_JUDGE;
        return STEP_AGAIN;
    }
    fetch_retry(r);
    return r->step == REQUEST_AWAIT ? STEP_AGAIN : STEP_WAIT;
}

static enum step_result step_judge(struct request *r)
{
    if (fetch_retry_status(r)) {
        r->step = REQUEST_AWAIT;
        return STEP_AGAIN;
    }
    fetch_judge(r);
    return r->step == REQUEST_FILL ? STEP_AGAIN : STEP_WAIT;
}

static enum step_result step_fill(struct request *r)
{
    fetch_fill(r);
    return STEP_WAIT;
}

static enum step_result step_deliver(struct request *r)
{
    return STEP_WAIT;
}

void request_run(struct request *r)
{
    static enum step_result (*const steps[])(struct request *) = {
#define REQUEST_STEP_ROW_(id, name) step_##name,
        REQUEST_STEPS(REQUEST_STEP_ROW_)
#undef REQUEST_STEP_ROW_
    };

    ensure(r->magic == REQUEST_MAGIC);
    while (steps[r->step](r) == STEP_AGAIN)
        continue;
}

/* ---- What wakes it ---- */

/* Runs, then tells the session; without one, sees whether there is anything left to do. */
void request_go_on(struct request *r)
{
    request_run(r);
    if (r->stream != NULL)
        r->ops->wake(r->stream); /* may end r */
    else if (r->x == NULL)
        request_free(r);
}

static void on_cache_wake(void *arg, enum cache_wake why, unsigned fail_status)
{
    struct request *r = arg;

    r->waiter = NULL;
    switch (why) {
    case CACHE_WAKE_LOOK:
        r->step = REQUEST_LOOK_UP;
        break;
    case CACHE_WAKE_PASS:
        r->cache_counter = COUNT_CACHE_PASS;
        r->step = REQUEST_SEND;
        break;
    case CACHE_WAKE_FAIL:
        r->cache_counter = COUNT_CACHE_COLLAPSED;
        r->cache_status.is_collapsed = true;
        request_answer(r, fail_status);
        break;
    }
    request_go_on(r);
}

bool request_is_queued(const struct request *r)
{
    return r->x != NULL && upstream_is_queued(r->x);
}

void request_on_body(struct request *r)
{
    if (r->x != NULL)
        upstream_pump(r->x);
}

/* ---- Life ---- */

struct request *request_take(struct request_worker *rw)
{
    struct request *r = rw->free_requests;

    if (r != NULL)
        rw->free_requests = r->next;
    else
        r = base_alloc(sizeof(*r));
    memset(r, 0, offsetof(struct request, head));
    http_head_clear(&r->head);
    r->magic = REQUEST_MAGIC;
    r->rw = rw;
    r->use = request_worker_hold(rw);
    r->cache_counter = COUNT_CACHE_NONE;
    r->start_us = clock_mono_us();
    r->id = rw->n_ids++;
    return r;
}

void request_free(struct request *r)
{
    struct request_worker *rw = r->rw;

    fetch_drop(r);
    cache_reader_close(&r->reader);
    if (r->object != NULL)
        cache_object_release(r->object);
    if (r->link != NULL) {
        *r->link = r->next;
        if (r->next != NULL)
            r->next->link = r->link;
    }
    buffer_give(rw->w, r->own_head);
    request_worker_release(rw, r->use);
    r->magic = 0;
    r->next = rw->free_requests;
    rw->free_requests = r;
}

struct request *request_new(struct request_worker *rw, const struct stream_ops *ops, void *stream,
                            const struct request_client *client)
{
    struct request *r = request_take(rw);

    r->ops = ops;
    r->stream = stream;
    r->client = *client;
    return r;
}

struct http_head *request_head(struct request *r)
{
    return &r->head;
}

struct http_framing *request_framing(struct request *r)
{
    return &r->framing;
}

const struct config_limits *request_limits(const struct request *r)
{
    return &request_config(r)->limits;
}

void request_start(struct request *r, const char *protocol)
{
    r->client.protocol = protocol;
    request_run(r);
}

enum request_state request_state(const struct request *r)
{
    return r->state;
}

const struct request_response *request_response(const struct request *r)
{
    return &r->response;
}

/* ---- Going on without the client ---- */

static void own_slice(struct buffer *b, struct str *s)
{
    ensure(s->n <= sizeof(b->bytes) - b->end);
    if (s->n > 0)
        memcpy(b->bytes + b->end, s->p, s->n);
    s->p = b->bytes + b->end;
    b->end += (uint32_t)s->n;
}

/* A head is at most half a buffer, and few of its slices overlap: all of them fit. */
void request_own_head(struct request *r, const struct request *from)
{
    struct http_head *h = &r->head;

    r->own_head = buffer_take(request_flow(r));
    if (r != from) {
        memcpy(h, &from->head, offsetof(struct http_head, fields.v));
        memcpy(h->fields.v, from->head.fields.v, h->fields.count * sizeof(h->fields.v[0]));
        r->framing = from->framing;
    }
    own_slice(r->own_head, &h->method_text);
    own_slice(r->own_head, &h->authority);
    own_slice(r->own_head, &h->host);
    own_slice(r->own_head, &h->path);
    own_slice(r->own_head, &h->query);
    h->target = h->path;
    h->scheme = (struct str){NULL, 0};
    for (uint32_t i = 0; i < h->fields.count; i++) {
        own_slice(r->own_head, &h->fields.v[i].name);
        own_slice(r->own_head, &h->fields.v[i].value);
    }
}

static void list_fetch(struct request *r)
{
    struct request_worker *rw = r->rw;

    r->stream = NULL;
    r->client.certificate = NULL; /* the session's */
    r->next = rw->fetches;
    r->link = &rw->fetches;
    if (rw->fetches != NULL)
        rw->fetches->link = &r->next;
    rw->fetches = r;
}

void request_spawn_refresh(struct request *r, struct cache_lead *lead)
{
    struct request *b = request_take(r->rw);

    b->client = r->client;
    b->route = r->route;
    request_own_head(b, r);
    b->object = cache_object_hold(r->object);
    b->lead = lead;
    b->cache_status = r->cache_status;
    /* The route points into r's generation, which may be an older one. */
    request_worker_release(r->rw, b->use);
    b->use = r->use;
    b->use->n_requests++;
    b->step = REQUEST_SEND;
    list_fetch(b);
    request_run(b);
    if (b->x == NULL)
        request_free(b);
}

/* Others wait for what this request fetches, or the cache wants it whole. */
static bool is_fetch_wanted(const struct request *r)
{
    if (r->fill != NULL)
        return cache_fill_is_wanted(r->fill);
    return r->lead != NULL && r->x != NULL && !request_is_queued(r);
}

static void count_end(struct request *r, bool is_whole, uint64_t bytes_sent)
{
    static const enum counter methods[HTTP_METHOD_COUNT] = {
        [HTTP_METHOD_GET] = COUNT_REQUESTS_GET,
        [HTTP_METHOD_HEAD] = COUNT_REQUESTS_HEAD,
        [HTTP_METHOD_POST] = COUNT_REQUESTS_POST,
    };
    struct worker *w = request_flow(r);
    enum counter method = methods[r->head.method];

    worker_count(w, method != 0 ? method : COUNT_REQUESTS_OTHER);
    worker_count(w, r->cache_counter);
    if (r->state == REQUEST_ANSWERED)
        worker_count(w, COUNT_RESPONSES_1XX + r->response.status / 100 - 1);
    if (!is_whole)
        worker_count(w, COUNT_RESPONSES_ABORTED);
    metrics_add(w->counters, COUNT_BYTES_SENT, bytes_sent);
}

void request_end(struct request *r, bool is_whole, uint64_t bytes_sent)
{
    if (r->head.method_text.n > 0 || r->state != REQUEST_WAITING) {
        count_end(r, is_whole, bytes_sent);
        access_log_add(r, is_whole, bytes_sent);
    }
    cache_reader_close(&r->reader);
    if (!is_fetch_wanted(r)) {
        request_free(r);
        return;
    }
    if (r->own_head == NULL && r->fill == NULL)
        request_own_head(r, r);
    list_fetch(r);
}
