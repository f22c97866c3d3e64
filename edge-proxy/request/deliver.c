/* SPDX-License-Identifier: BSD-2-Clause */
/* Responses to clients: heads and bodies from the cache, from the origin, and of our own. */
#include "edge-proxy/request/request_internal.h"

#include <string.h>

enum { RETRY_AFTER_S = 5 }; /* of a 503 whose end nobody knows */

/* ---- Deciding ---- */

/* The operator's page takes the place of an error's body, unless its header is what counts: a
 * challenge (RFC 9110 section 11) or the size of what a range was asked of. */
static bool is_replaced(const struct request *r, unsigned status)
{
    return status >= 400 && r->route.route->has_own_errors && status != 401 && status != 407 &&
           status != 416 && rules_find_page(&r->route.site->pages, status) != NULL;
}

static bool is_get_or_head(const struct request *r)
{
    return r->head.method == HTTP_METHOD_GET || r->head.method == HTTP_METHOD_HEAD;
}

/* RFC 9110 section 14.2: of one range a part is sent; of several the whole, as allowed. */
static enum range_verdict judge_range(struct request *r)
{
    struct byte_range ranges[FIELDS_RANGES_MAX];
    enum range_verdict v;
    unsigned n;

    if (r->head.method != HTTP_METHOD_GET || r->info.status != 200 ||
        r->info.body_bytes == UINT64_MAX || !fields_has(&r->head.fields, FIELD_RANGE) ||
        !fields_is_range_current(&r->head.fields, &r->info.validators, r->now_s))
        return RANGE_IGNORE;
    v = fields_read_ranges(&r->head.fields, r->info.body_bytes, ranges, &n);
    if (v == RANGE_SATISFIABLE && n != 1)
        return RANGE_IGNORE;
    r->range = ranges[0];
    r->whole_bytes = r->info.body_bytes;
    return v;
}

static void respond_whole(struct request *r)
{
    bool has_body = http_status_has_body(r->info.status, r->head.method);

    r->response = (struct request_response){
        .status = r->info.status,
        .has_length = r->info.body_bytes != UINT64_MAX &&
                      http_status_has_body(r->info.status, HTTP_METHOD_GET),
        .has_body = has_body,
        .length = r->info.body_bytes,
    };
    if (has_body)
        cache_reader_open(&r->reader, r->object, 0, UINT64_MAX);
}

static void respond_part(struct request *r)
{
    r->is_partial = true;
    r->response = (struct request_response){
        .status = 206,
        .has_length = true,
        .has_body = true,
        .length = r->range.last - r->range.first + 1,
    };
    cache_reader_open(&r->reader, r->object, r->range.first, r->range.last + 1);
}

void deliver_object(struct request *r)
{
    r->source = SOURCE_OBJECT;
    r->state = REQUEST_ANSWERED;
    cache_object_info(r->object, r->now_s, &r->info);
    r->cache_status.has_ttl = true;
    r->cache_status.ttl_s = r->info.ttl_s;
    if (r->stream == NULL)
        return;
    if (is_replaced(r, r->info.status)) {
        cache_reader_close(&r->reader);
        request_set_own(r, r->info.status);
        return;
    }
    if (is_get_or_head(r) && r->info.status == 200 &&
        fields_is_not_modified(&r->head.fields, &r->info.validators, r->now_s)) {
        r->response = (struct request_response){.status = 304};
        return;
    }
    switch (judge_range(r)) {
    case RANGE_IGNORE:
        respond_whole(r);
        break;
    case RANGE_SATISFIABLE:
        respond_part(r);
        break;
    case RANGE_UNSATISFIABLE:
        r->is_partial = true;
        r->response = (struct request_response){.status = 416, .has_length = true};
        break;
    }
}

void deliver_origin(struct request *r)
{
    const struct http_head *head = upstream_head(r->x);
    const struct http_framing *framing = upstream_framing(r->x);

    if (is_replaced(r, head->status)) {
        request_answer(r, head->status);
        /* An unread body would be taken for the next request. */
        r->response.is_close_wanted = r->framing.body != HTTP_BODY_NONE;
        fetch_drop(r);
        return;
    }
    r->source = SOURCE_ORIGIN;
    r->state = REQUEST_ANSWERED;
    r->step = REQUEST_DELIVER;
    r->response = (struct request_response){
        .status = head->status,
        .has_length = framing->has_length && head->status != 204,
        .has_body = framing->body != HTTP_BODY_NONE,
        .length = framing->length,
    };
}

/* ---- Field lines ---- */

static void write_cache_status(struct request *r, struct writer *w)
{
    r->cache_status.cache = str_of(request_config(r)->name);
    fields_write_str(w, STR("Cache-Status: "));
    fields_write_cache_status(w, NULL, &r->cache_status);
    fields_write_str(w, STR("\r\n"));
}

/* Received by HTTP/1.minor (RFC 9110 section 7.6.3). */
static void write_via(struct request *r, struct writer *w, unsigned minor)
{
    fields_write_str(w, STR("Via: "));
    fields_write_via(w, NULL, minor == 0 ? STR("1.0") : STR("1.1"),
                     str_of(request_config(r)->name));
    fields_write_str(w, STR("\r\n"));
}

static void write_redirect_https(struct request *r, struct writer *w)
{
    uint16_t port = r->use->g->https_port;

    fields_write_str(w, STR("Location: https://"));
    fields_write_str(w, r->head.host);
    if (port != 443) {
        fields_write_str(w, STR(":"));
        fields_write_u64(w, port);
    }
    fields_write_str(w, r->head.path);
    fields_write_str(w, r->head.query);
    fields_write_str(w, STR("\r\n"));
}

static void write_redirect(struct request *r, struct writer *w)
{
    switch (r->redirect) {
    case REDIRECT_NONE:
        break;
    case REDIRECT_HTTPS:
        write_redirect_https(r, w);
        break;
    case REDIRECT_ROUTE:
        fields_write_str(w, STR("Location: "));
        template_write(&r->route.route->redirect, request_write_variable, r, w);
        fields_write_str(w, STR("\r\n"));
        break;
    }
}

static void write_own(struct request *r, struct writer *w)
{
    unsigned status = r->response.status;

    http_write_known(w, FIELD_DATE, worker_date(r->rw, clock_wall_s()));
    if (r->own_body.n > 0)
        http_write_known(w, FIELD_CONTENT_TYPE, str_of(r->own_type));
    if (status >= 400) /* one client's malformed request is not everybody's error page */
        http_write_known(w, FIELD_CACHE_CONTROL, STR("no-store"));
    write_redirect(r, w);
    if (status == 405 || status == 204)
        http_write_known(w, FIELD_ALLOW, STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    if (status == 503 || status == 429)
        http_write_known_u64(w, FIELD_RETRY_AFTER,
                             r->retry_after_s != 0 ? r->retry_after_s : RETRY_AFTER_S);
    write_cache_status(r, w);
}

/* RFC 9110 section 15.4.5: a 304 says what identifies and dates the response; and a 416 has no
 * representation to describe. */
static bool is_kept_without_body(struct str line)
{
    static const struct str prefix = {"content-", 8}, location = {"content-location:", 17};

    return line.n < prefix.n || !str_eq_nocase((struct str){line.p, prefix.n}, prefix) ||
           (line.n >= location.n && str_eq_nocase((struct str){line.p, location.n}, location));
}

static void write_lines_without_content(struct writer *w, struct str lines)
{
    while (lines.n > 0) {
        const char *end = memchr(lines.p, '\n', lines.n);
        size_t n = end != NULL ? (size_t)(end - lines.p) + 1 : lines.n;

        if (is_kept_without_body((struct str){lines.p, n}))
            writer_add(w, lines.p, n);
        lines = (struct str){lines.p + n, lines.n - n};
    }
}

static void write_object(struct request *r, struct writer *w)
{
    if (r->response.status == 304 || r->response.status == 416)
        write_lines_without_content(w, r->info.lines);
    else
        fields_write_str(w, r->info.lines);
    http_write_known_u64(w, FIELD_AGE, r->info.age_s);
    if (r->is_partial) {
        fields_write_str(w, STR("Content-Range: "));
        fields_write_content_range(w, r->response.status == 206 ? &r->range : NULL, r->whole_bytes);
        fields_write_str(w, STR("\r\n"));
    }
    write_via(r, w, 1);
    write_cache_status(r, w);
}

static void write_origin(struct request *r, struct writer *w)
{
    const struct http_head *head = upstream_head(r->x);
    struct field_id_set skip = {{0}};

    field_id_set_add(&skip, FIELD_CONTENT_LENGTH);
    http_write_forwardable(w, &head->fields, &skip);
    if (!fields_has(&head->fields, FIELD_DATE)) /* RFC 9110 section 6.6.1 */
        http_write_known(w, FIELD_DATE, worker_date(r->rw, r->now_s));
    write_via(r, w, head->minor);
    if (head->status != 101)
        write_cache_status(r, w);
}

/* What the operator's rules make of lines that are there. */
static void shape_fields(struct request *r, struct writer *w, uint8_t *lines)
{
    const struct config_route *route = r->route.route;
    const struct rules_place place = {r->client.is_tls ? STR("https") : STR("http"),
                                      r->head.authority};
    unsigned status = r->response.status;

    if (r->source != SOURCE_OWN && (status == 201 || (status >= 300 && status < 400)))
        rules_turn_back(&request_config(r)->pools[route->pool], route, &place, w, lines);
    rules_apply(r->use->g->rules, route, RULES_RESPONSE, w, lines, request_write_variable, r);
}

void request_write_fields(struct request *r, struct writer *w)
{
    uint8_t *lines = w->p;

    switch (r->source) {
    case SOURCE_OWN:
        write_own(r, w);
        break;
    case SOURCE_OBJECT:
        write_object(r, w);
        break;
    case SOURCE_ORIGIN:
        write_origin(r, w);
        break;
    case SOURCE_NONE:
        ensure(false);
    }
    if (r->route.route != NULL)
        shape_fields(r, w, lines);
}

/* ---- Bodies ---- */

static void on_readable(void *arg, enum cache_wake why, unsigned fail_status)
{
    struct request *r = arg;

    r->ops->wake(r->stream); /* may end r */
}

static enum body_verdict peek_object(struct request *r, struct iovec *iov, int *n)
{
    struct cache_waker waker = {request_flow(r)->loop, on_readable, r};

    for (;;) {
        switch (cache_reader_peek(&r->reader, iov, n)) {
        case CACHE_READ_DATA:
            return BODY_DATA;
        case CACHE_READ_END:
            return BODY_END;
        case CACHE_READ_BROKEN:
            return BODY_FAILED;
        case CACHE_READ_WAIT:
            /* Our own fetch wakes the session as it goes; another worker's must be asked to. */
            if (r->fill != NULL || r->reader.waiter != NULL ||
                cache_reader_wait(&r->reader, &waker))
                return BODY_WAIT;
        }
    }
}

enum body_verdict request_body_peek(struct request *r, struct iovec *iov, int *n)
{
    enum body_verdict v;
    struct str data;

    if (r->state == REQUEST_BROKEN)
        return BODY_FAILED;
    switch (r->source) {
    case SOURCE_OWN:
        iov[0] = (struct iovec){(void *)r->own_body.p, r->own_body.n};
        *n = 1;
        return r->own_body.n > 0 ? BODY_DATA : BODY_END;
    case SOURCE_OBJECT:
        return peek_object(r, iov, n);
    case SOURCE_ORIGIN:
        v = upstream_body_peek(r->x, &data);
        if (v == BODY_DATA)
            iov[0] = (struct iovec){(void *)data.p, data.n};
        *n = 1;
        return v;
    case SOURCE_NONE:
        break;
    }
    ensure(false);
}

bool request_body_file(const struct request *r, int *fd, uint64_t *offset)
{
    return r->source == SOURCE_OBJECT && cache_reader_file(&r->reader, fd, offset);
}

void request_body_consume(struct request *r, size_t n)
{
    switch (r->source) {
    case SOURCE_OWN:
        r->own_body = (struct str){r->own_body.p + n, r->own_body.n - n};
        break;
    case SOURCE_OBJECT:
        cache_reader_advance(&r->reader, n);
        break;
    case SOURCE_ORIGIN:
        upstream_body_consume(r->x, n);
        break;
    case SOURCE_NONE:
        ensure(false);
    }
}

void request_write_trailers(const struct request *r, struct writer *w)
{
    if (r->source == SOURCE_ORIGIN && r->x != NULL)
        upstream_write_trailers(r->x, w);
}
