/* SPDX-License-Identifier: BSD-2-Clause */
/* Exchanges with origins, and what comes of them for the cache. */
#include "edge-proxy/request/request_internal.h"

#include "common/proxy/proxy.h"
#include "common/siphash/siphash.h"

#include <string.h>

/* ---- What upstream asks ---- */

static enum body_verdict peek_client_body(void *arg, struct str *data)
{
    struct request *r = arg;

    return r->stream != NULL ? r->ops->body_peek(r->stream, data) : BODY_FAILED;
}

static void consume_client_body(void *arg, size_t n)
{
    struct request *r = arg;

    r->has_taken_body = true;
    r->ops->body_consume(r->stream, n);
}

static const struct field_names *hidden_names(const struct request *r)
{
    return rules_hidden_names(r->use->g->rules, r->route.route->pool);
}

static void write_client_trailers(void *arg, struct writer *w)
{
    struct request *r = arg;

    if (r->stream != NULL)
        r->ops->write_trailers(r->stream, w);
}

/* 100 answers our own Expect, which we never send; the others are for the client (RFC 9110 section
 * 15.2). */
static void on_interim(void *arg, const struct http_head *head)
{
    struct request *r = arg;
    char *scratch = request_flow(r)->scratch;
    struct writer w = writer_of(scratch, WORKER_SCRATCH_BYTES / 2);
    const struct field_names *hidden = hidden_names(r);
    struct field_id_set skip = {{0}};

    if (head->status == 100 || r->stream == NULL)
        return;
    if (hidden != NULL)
        skip = hidden->ids;
    field_id_set_add(&skip, FIELD_CONTENT_LENGTH); /* RFC 9110 section 8.6 */
    http_write_forwardable(&w, &head->fields, &skip);
    if (!w.is_full)
        r->ops->send_interim(r->stream, head->status,
                             (struct str){scratch, (size_t)((char *)w.p - scratch)});
}

static void on_progress(void *arg)
{
    request_go_on(arg);
}

/* ---- Start, retry, give up ---- */

static const struct config_pool *request_pool(const struct request *r)
{
    return &request_config(r)->pools[r->route.route->pool];
}

/* Whom the origin is asked for: without the port, for its certificate. */
static struct str sent_host(const struct request *r)
{
    const char *authority = request_pool(r)->host_header;
    struct str host = r->head.host;
    uint16_t port;

    if (authority != NULL && !http_split_authority(str_of(authority), &host, &port))
        host = str_of(authority);
    return host;
}

/* What the pool's hash looks at; false: the request has none. The hash has no secret: all edges
 * must agree, and a visitor who makes keys collide meets hash-bound. */
static bool find_hash_key(const struct request *r, const struct config_balance *b, uint64_t *key)
{
    static const struct siphash_key seed = {0, 0};
    struct str s;

    if (!request_find_key(r, b->key, b->key_name, &s))
        return false;
    *key = siphash_24(&seed, s.p, s.n);
    return true;
}

static void on_try_timeout(struct wheel_timer *t)
{
    struct request *r = CONTAINER_OF(t, struct request, try_timer);

    ensure(r->magic == REQUEST_MAGIC && r->step == REQUEST_AWAIT);
    upstream_time_out(r->x);
    request_go_on(r);
}

/* Where the visitor came to may not be known, if nobody had to be told at that time. */
static struct str write_preface(const struct request *r, unsigned version,
                                char to[PROXY_WRITTEN_MAX])
{
    const struct request_client *c = &r->client;
    struct ip nowhere = {.family = c->ip.family};
    struct addr source = addr_of_ip(&c->ip, c->port);
    struct addr destination = addr_of_ip(c->to_ip.family != 0 ? &c->to_ip : &nowhere, c->to_port);

    return (struct str){to, proxy_write(version, &source, &destination, to)};
}

void fetch_limit_try(struct request *r)
{
    uint32_t timeout_ms = request_pool(r)->retry.try_timeout_ms;

    /* A body can be sent once; how long it takes is the visitor's to say. */
    if (timeout_ms == 0 || r->framing.body != HTTP_BODY_NONE || wheel_is_set(&r->try_timer) ||
        upstream_failure(r->x) != UPSTREAM_FINE || upstream_is_queued(r->x))
        return;
    wheel_set(&request_flow(r)->wheel, &r->try_timer, timeout_ms, on_try_timeout);
}

void fetch_describe(struct request *r, struct upstream_request *out)
{
    static const struct upstream_ops ops = {
        .describe = forward_describe,
        .write_target = forward_write_target,
        .write_fields = forward_write_fields,
        .body_peek = peek_client_body,
        .body_consume = consume_client_body,
        .write_trailers = write_client_trailers,
        .on_interim = on_interim,
        .on_progress = on_progress,
    };
    const struct config_balance *balance = &request_pool(r)->balance;

    *out = (struct upstream_request){
        .ops = &ops,
        .arg = r,
        .pools = r->use->g->pools,
        .pool = r->route.route->pool,
        .method = r->lead != NULL ? HTTP_METHOD_GET : r->head.method,
        .has_body = r->framing.body != HTTP_BODY_NONE,
        .is_body_chunked = r->framing.body == HTTP_BODY_CHUNKED,
        .host = sent_host(r),
        .tried = r->tried,
        .is_fresh_wanted = r->is_fresh_wanted,
        .is_upgrade = r->is_upgrade,
    };
    out->has_key = balance->policy == CONFIG_POLICY_HASH && find_hash_key(r, balance, &out->key);
}

void fetch_start(struct request *r)
{
    unsigned send_proxy = request_pool(r)->send_proxy;
    struct upstream_request order;
    char header[PROXY_WRITTEN_MAX];

    r->sent_s = clock_wall_s();
    r->attempts++;
    fetch_describe(r, &order);
    if (send_proxy != 0)
        order.preface = write_preface(r, send_proxy, header);
    r->x = upstream_start(r->rw->upstream, &order);
    fetch_limit_try(r);
}

/* May it be sent again (RFC 9112 section 9.3.1, RFC 9110 section 9.2.2)? What was never sent may
 * always; what was, only if sending it twice does no harm. */
static bool is_retry_safe(const struct request *r)
{
    if (r->has_taken_body || r->attempts >= request_pool(r)->retry.attempts)
        return false;
    if (!upstream_has_sent(r->x))
        return true;
    return http_method_is_idempotent(r->head.method) && !upstream_has_answered(r->x);
}

/* What no origin has seen adds nothing to their load by being sent now. */
static bool is_within_budget(struct request *r)
{
    if (upstream_has_sent(r->x) && !upstream_begin_retry(r->use->g->pools, r->route.route->pool)) {
        worker_count(request_flow(r), COUNT_UPSTREAM_RETRY_REFUSED);
        return false;
    }
    return true;
}

static void end_exchange(struct request *r)
{
    wheel_clear(&request_flow(r)->wheel, &r->try_timer);
    if (r->is_retry)
        upstream_end_retry(r->use->g->pools, r->route.route->pool);
    r->is_retry = false;
    if (upstream_origin_name(r->x) != NULL)
        r->origin_name = upstream_origin_name(r->x);
    upstream_end(r->x);
    r->x = NULL;
}

/* RFC 5861 section 4. */
static bool can_serve_stale(const struct request *r)
{
    return r->object != NULL && cache_object_is_usable_on_error(r->object, clock_wall_s());
}

static void serve_stale(struct request *r)
{
    if (r->lead != NULL)
        cache_lead_fail(r->lead, 0);
    r->lead = NULL;
    r->cache_counter = COUNT_CACHE_STALE;
    r->step = REQUEST_DELIVER;
    deliver_object(r);
}

static void give_up(struct request *r)
{
    unsigned status = upstream_failure_status(r->failure);

    if (can_serve_stale(r)) {
        serve_stale(r);
        return;
    }
    if (r->lead != NULL)
        cache_lead_fail(r->lead, status);
    r->lead = NULL;
    r->cache_status.detail = str_of(upstream_failure_label(r->failure));
    request_answer(r, status);
    /* An unread body would be taken for the next request. */
    r->response.is_close_wanted = r->framing.body != HTTP_BODY_NONE;
}

/* Not where it failed. */
static void start_elsewhere(struct request *r, bool is_budgeted)
{
    r->tried |= upstream_origin_bit(r->x);
    end_exchange(r);
    r->is_retry = is_budgeted;
    worker_count(request_flow(r), COUNT_UPSTREAM_RETRIES);
    fetch_start(r);
}

/* A kept connection that the origin had closed is no fault of the origin's, and its answer to
 * nobody: once more to the same, over a connection of its own. */
static bool was_closed_meanwhile(const struct request *r)
{
    return upstream_was_reused(r->x) && upstream_failure(r->x) == UPSTREAM_FAILED_RESET &&
           !r->is_fresh_wanted;
}

void fetch_shed(struct request *r)
{
    worker_count(request_flow(r), COUNT_SHED_FETCHES);
    if (can_serve_stale(r)) {
        serve_stale(r);
        return;
    }
    if (r->lead != NULL)
        cache_lead_fail(r->lead, 503);
    r->lead = NULL;
    r->cache_status.detail = STR("overload");
    request_answer(r, 503);
    /* An unread body would be taken for the next request. */
    r->response.is_close_wanted = r->framing.body != HTTP_BODY_NONE;
}

/* Another attempt would meet the same. */
static bool is_final(enum upstream_failure why)
{
    return why == UPSTREAM_FAILED_NONE_UP || why == UPSTREAM_FAILED_NO_MEMORY ||
           why == UPSTREAM_FAILED_QUEUE_FULL || why == UPSTREAM_FAILED_QUEUE_TIMEOUT;
}

void fetch_retry(struct request *r)
{
    enum upstream_failure why = upstream_failure(r->x);
    bool has_sent = upstream_has_sent(r->x);

    /* That nobody else was left says less than what the first one failed by. */
    if (r->failure == UPSTREAM_FINE || why != UPSTREAM_FAILED_NONE_UP)
        r->failure = why;
    if (is_final(why) || !is_retry_safe(r)) {
        end_exchange(r);
        give_up(r);
    } else if (was_closed_meanwhile(r)) {
        r->is_fresh_wanted = true;
        end_exchange(r);
        worker_count(request_flow(r), COUNT_UPSTREAM_RETRIES);
        fetch_start(r);
    } else if (is_within_budget(r)) {
        start_elsewhere(r, has_sent);
    } else {
        end_exchange(r);
        give_up(r);
    }
}

static bool is_retried_status(const struct config_retry *retry, unsigned status)
{
    for (size_t i = 0; i < retry->n_statuses; i++)
        if (retry->statuses[i] == status)
            return true;
    return false;
}

bool fetch_retry_status(struct request *r)
{
    const struct config_retry *retry = &request_pool(r)->retry;

    wheel_clear(&request_flow(r)->wheel, &r->try_timer);
    if (!is_retried_status(retry, upstream_head(r->x)->status) || r->has_taken_body ||
        r->attempts >= retry->attempts || !http_method_is_idempotent(r->head.method) ||
        !upstream_has_other(r->use->g->pools, r->route.route->pool,
                            r->tried | upstream_origin_bit(r->x)) ||
        !is_within_budget(r))
        return false;
    worker_count(request_flow(r), COUNT_UPSTREAM_RETRY_STATUS);
    start_elsewhere(r, true);
    return true;
}

void fetch_drop(struct request *r)
{
    if (r->waiter != NULL)
        cache_waiter_cancel(r->waiter);
    r->waiter = NULL;
    if (r->lead != NULL)
        cache_lead_fail(r->lead, 0);
    r->lead = NULL;
    if (r->fill != NULL) {
        cache_fill_end(r->fill, false);
        cache_object_release(r->fill);
    }
    r->fill = NULL;
    if (r->x != NULL)
        end_exchange(r);
}

/* ---- The response's head ---- */

static void replace_object(struct request *r, struct cache_object *o)
{
    if (r->object != NULL)
        cache_object_release(r->object);
    r->object = o;
}

/* RFC 9111 section 4.3.4 */
static void take_not_modified(struct request *r, const struct freshness_exchange *x)
{
    struct cache_object *fresh = cache_lead_refresh(r->lead, x);

    r->lead = NULL;
    replace_object(r, fresh);
    end_exchange(r);
    r->cache_counter = COUNT_CACHE_REVALIDATED;
    r->cache_status.is_stored = true;
    r->step = REQUEST_DELIVER;
    deliver_object(r);
}

/* Two opinions about where the body ends: good enough to pass on, not to keep (RFC 9112 section
 * 6.3). */
static bool is_framing_doubtful(const struct http_head *head)
{
    return fields_has(&head->fields, FIELD_CONTENT_LENGTH) &&
           fields_has(&head->fields, FIELD_TRANSFER_ENCODING);
}

static void pass_response(struct request *r, struct str why)
{
    cache_lead_pass(r->lead);
    r->lead = NULL;
    r->cache_status.detail = why;
    deliver_origin(r);
}

static void take_response(struct request *r, const struct freshness_exchange *x)
{
    struct cache_response response = {.exchange = x, .body_bytes = upstream_body_bytes(r->x)};
    struct cache_object *fill = cache_lead_store(r->lead, &response);

    r->lead = NULL;
    if (fill == NULL) {
        if (response.verdict != FRESHNESS_STORE)
            r->cache_status.detail = str_of(freshness_verdict_text(response.verdict));
        deliver_origin(r);
        return;
    }
    r->fill = fill;
    replace_object(r, cache_object_hold(fill));
    r->cache_status.is_stored = true;
    r->step = REQUEST_FILL;
    deliver_object(r);
}

static void forget(struct request *r, struct str path, struct str query)
{
    char *scratch = request_flow(r)->scratch;
    struct writer key = writer_of(scratch, WORKER_SCRATCH_BYTES);
    struct str own_path = r->head.path, own_query = r->head.query;

    r->head.path = path;
    r->head.query = query;
    request_write_key(r, &key);
    r->head.path = own_path;
    r->head.query = own_query;
    if (!key.is_full)
        cache_invalidate(r->rw->shared->cache,
                         (struct str){scratch, (size_t)((char *)key.p - scratch)});
}

/* A reference to another resource of the same origin; others are none of its business. */
static void forget_reference(struct request *r, struct str ref)
{
    struct str scheme = r->client.is_tls ? STR("https://") : STR("http://");
    size_t origin_n = scheme.n + r->head.authority.n, path_n = 0, n = 0;

    if (ref.n >= origin_n && str_eq_nocase((struct str){ref.p, scheme.n}, scheme) &&
        str_eq_nocase((struct str){ref.p + scheme.n, r->head.authority.n}, r->head.authority))
        ref = (struct str){ref.p + origin_n, ref.n - origin_n};
    if (ref.n == 0 || ref.p[0] != '/' || (ref.n > 1 && ref.p[1] == '/'))
        return;
    while (n < ref.n && ref.p[n] != '#')
        n++;
    while (path_n < n && ref.p[path_n] != '?')
        path_n++;
    forget(r, (struct str){ref.p, path_n}, (struct str){ref.p + path_n, n - path_n});
}

/* RFC 9111 section 4.4 */
static void invalidate(struct request *r)
{
    const struct fields *f = &upstream_head(r->x)->fields;

    forget(r, r->head.path, r->head.query);
    forget_reference(r, fields_value(f, FIELD_LOCATION));
    forget_reference(r, fields_value(f, FIELD_CONTENT_LOCATION));
}

/* What the response can be purged by: noted before the fields are hidden from visitors. */
static void take_tags(struct request *r, struct purge_tags *tags)
{
    const struct fields *f = &upstream_head(r->x)->fields;
    const struct field_names *names = rules_tag_names(r->use->g->rules, r->route.site);

    tags->n = 0;
    tags->has_more = false;
    for (uint32_t i = 0; i < f->count; i++)
        if (field_names_has(names, f->v[i].name))
            purge_tags_add(tags, f->v[i].value);
    if (r->lead != NULL)
        cache_lead_tag(r->lead, tags);
    if (!r->route.site->has_shown_tags)
        upstream_hide_fields(r->x, names);
}

void fetch_judge(struct request *r)
{
    const struct http_head *head = upstream_head(r->x);
    struct freshness_exchange x = {
        .method = HTTP_METHOD_GET,
        .request = &r->head.fields,
        .status = head->status,
        .response = &head->fields,
        .request_s = r->sent_s,
        .response_s = clock_wall_s(),
        .default_ttl_s = r->route.route->default_ttl_s,
    };
    struct purge_tags tags;

    take_tags(r, &tags);
    if (hidden_names(r) != NULL)
        upstream_hide_fields(r->x, hidden_names(r));
    r->now_s = x.response_s;
    r->origin_name = upstream_origin_name(r->x);
    r->cache_status.forward_status = head->status;
    if (r->lead != NULL && head->status == 304 && r->object != NULL) {
        take_not_modified(r, &x);
    } else if (head->status >= 500 && can_serve_stale(r)) {
        end_exchange(r);
        serve_stale(r);
    } else if (r->lead != NULL && is_framing_doubtful(head)) {
        pass_response(r, STR("framing"));
    } else if (r->lead != NULL) {
        take_response(r, &x);
    } else {
        if (!http_method_is_safe(r->head.method) && head->status >= 200 && head->status < 400)
            invalidate(r);
        deliver_origin(r);
    }
}

/* ---- The body, into the cache ---- */

static void on_resume(void *arg, enum cache_wake why, unsigned fail_status)
{
    struct request *r = arg;

    r->is_fill_stopped = false;
    request_go_on(r);
}

static void end_fill(struct request *r, bool is_whole)
{
    cache_fill_end(r->fill, is_whole);
    cache_object_release(r->fill);
    r->fill = NULL;
    end_exchange(r);
    r->step = REQUEST_DELIVER;
}

void fetch_fill(struct request *r)
{
    struct cache_waker resume = {request_flow(r)->loop, on_resume, r};
    struct str data;

    while (!r->is_fill_stopped) {
        switch (upstream_body_peek(r->x, &data)) {
        case BODY_WAIT:
            return;
        case BODY_END:
            end_fill(r, true);
            return;
        case BODY_FAILED:
            end_fill(r, false);
            return;
        case BODY_DATA:
            break;
        }
        if (r->stream == NULL && !cache_fill_is_wanted(r->fill)) {
            end_fill(r, false);
            return;
        }
        r->is_fill_stopped = !cache_fill_append(r->fill, data.p, data.n, &resume);
        upstream_body_consume(r->x, data.n);
    }
}
