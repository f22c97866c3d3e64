/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DNS over HTTPS (RFC 8484) over HTTP/2 (RFC 9113), which nghttp2 reads and writes. All frames of
 * one read are looked at, all requests among them answered as a batch, and all that is to be said
 * goes in one write, as far as the peer's windows let it.
 *
 * What costs us more than the peer is paid for by queries: a connection begins with a purse, every
 * query fills it a little, and resets (CVE-2023-44487), resets that the peer makes us send
 * (CVE-2025-8671), PING, SETTINGS, PRIORITY, WINDOW_UPDATE and empty DATA take from it. nghttp2
 * limits CONTINUATION itself.
 */
#include "gslb-dns/stream/stream_internal.h"

#include "common/bytes/bytes.h"
#include "common/snapshot/snapshot.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STREAMS_MAX = 100,
    FIELDS_MAX = 16384,      /* of one request; a longer header list is 431 */
    BODIES_MAX = 256 * 1024, /* of requests that are not whole yet, of one connection */
    HELD_MAX = 1024 * 1024,  /* answers that wait for the peer's windows */
    PURSE = 400,
    QUERY_EARNS = 4,
    FRAME_COSTS = 1,
    RESET_COSTS = 8,
};

enum method { METHOD_OTHER, METHOD_GET, METHOD_HEAD, METHOD_POST };

struct request {
    TAILQ_ENTRY(request) link;
    int32_t stream;
    enum method method;
    unsigned status; /* 0: nothing wrong so far */
    bool has_type;   /* Content-Type: application/dns-message */
    bool has_query;  /* a message in the target */
    bool is_answered;
    size_t n_fields;
    uint8_t *message; /* the query, then what is left of the answer */
    size_t n, at;
};

struct h2 {
    nghttp2_session *session;
    struct connection *connection;
    TAILQ_HEAD(, request) requests;
    struct request *ready[BATCH];
    size_t n_ready;
    size_t n_bodies, n_held; /* bytes */
    int purse;
};

static int pay(struct h2 *h, int price)
{
    h->purse -= price;
    return h->purse < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static void earn(struct h2 *h)
{
    h->purse = h->purse + QUERY_EARNS < PURSE ? h->purse + QUERY_EARNS : PURSE;
}

/* ---- responses ---- */

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *buf, size_t cap,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct request *r = source->ptr;
    size_t left = r->n - r->at, n = left < cap ? left : cap;

    (void)session;
    (void)stream;
    (void)arg;
    memcpy(buf, r->message + r->at, n);
    r->at += n;
    if (r->at == r->n)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)name,
                        .value = (uint8_t *)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value),
                        .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME};
}

static void respond_error(struct h2 *h, const struct request *r, unsigned status)
{
    char text[8];
    nghttp2_nv fields[3];
    size_t n = 0;

    snprintf(text, sizeof(text), "%u", status);
    fields[n++] = field(":status", text);
    fields[n++] = field("content-length", "0");
    if (status == 405) /* RFC 9110 section 15.5.6 */
        fields[n++] = field("allow", "GET, HEAD, POST");
    worker_count(h->connection->worker, ANSWER_COUNTER_HTTP_BAD);
    (void)nghttp2_submit_response(h->session, r->stream, fields, n, NULL);
}

/* Who asks may keep the answer for as long as its records; caches that several share may not: what
 * is steered depends on where the client is, which no field of the request shows. */
static void respond_answer(struct h2 *h, struct request *r, const uint8_t *answer, uint32_t n)
{
    nghttp2_data_provider body = {.source.ptr = r, .read_callback = read_body};
    int64_t max_age_s = doh_max_age_s(answer, n);
    char length[16], cache[40];
    nghttp2_nv fields[4];

    snprintf(length, sizeof(length), "%u", n);
    if (max_age_s >= 0)
        snprintf(cache, sizeof(cache), "private, max-age=%lld", (long long)max_age_s);
    else
        snprintf(cache, sizeof(cache), "no-store");
    fields[0] = field(":status", "200");
    fields[1] = field("content-type", "application/dns-message");
    fields[2] = field("content-length", length);
    fields[3] = field("cache-control", cache);
    worker_count(h->connection->worker, ANSWER_COUNTER_HTTP_OK);
    free(r->message);
    r->message = NULL;
    r->n = 0;
    r->is_answered = true;
    if (r->method != METHOD_HEAD) {
        r->message = memcpy(base_alloc(n), answer, n);
        r->n = n;
        h->n_held += n;
    }
    (void)nghttp2_submit_response(h->session, r->stream, fields, COUNT_OF(fields),
                                  r->method == METHOD_HEAD ? NULL : &body);
}

/* ---- requests that are whole ---- */

static unsigned judge(const struct request *r)
{
    if (r->status != 0)
        return r->status;
    if (r->method == METHOD_OTHER)
        return 405;
    if (r->method == METHOD_POST)
        return r->has_type ? 0 : 415;
    return r->has_query ? 0 : 400;
}

static void put_query(struct h2 *h, const struct request *r, size_t i)
{
    struct worker *w = h->connection->worker;

    w->queries[i] = (struct answer_query){.packet = r->message,
                                          .packet_bytes = (uint32_t)r->n,
                                          .transport = ANSWER_HTTPS,
                                          .source = &h->connection->peer,
                                          .keepalive_ms = w->idle_ms,
                                          .out = w->answers[i],
                                          .out_cap_bytes = MESSAGE_MAX};
}

/* What is no query at all is 400; a transfer is not served here. */
static void finish_query(struct h2 *h, struct request *r, const struct answer_query *q)
{
    struct worker *w = h->connection->worker;

    if (unlikely(q->stream != NULL))
        w->handler->abandon(q->stream);
    h->n_bodies -= r->n;
    if (q->out_bytes == 0 || q->stream != NULL) {
        r->n = 0;
        respond_error(h, r, 400);
        return;
    }
    earn(h);
    respond_answer(h, r, q->out, q->out_bytes);
}

static void answer_ready(struct h2 *h)
{
    struct connection *c = h->connection;
    struct worker *w = c->worker;
    struct request *asked[BATCH];
    size_t n = 0;

    for (size_t i = 0; i < h->n_ready; i++) {
        struct request *r = h->ready[i];
        unsigned status = r != NULL ? judge(r) : 0;

        if (status != 0) {
            respond_error(h, r, status);
        } else if (r != NULL) {
            put_query(h, r, n);
            asked[n++] = r;
        }
    }
    h->n_ready = 0;
    if (n == 0)
        return;
    snapshot_enter();
    w->handler->answer(w->context, w->queries, n);
    snapshot_leave();
    for (size_t i = 0; i < n; i++)
        finish_query(h, asked[i], &w->queries[i]);
    connection_mark_used(c);
}

/* ---- what nghttp2 reads ---- */

static struct request *request_of(nghttp2_session *session, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(session, stream);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    struct request *r;

    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    r = base_zalloc(1, sizeof(*r));
    r->stream = frame->hd.stream_id;
    TAILQ_INSERT_TAIL(&h->requests, r, link);
    (void)nghttp2_session_set_stream_user_data(session, r->stream, r);
    return 0;
}

static bool is_text(const uint8_t *p, size_t n, const char *text)
{
    return n == strlen(text) && memcmp(p, text, n) == 0;
}

/* The media type, whatever its case and parameters: RFC 9110 section 8.3.1. */
static bool is_dns_message(const uint8_t *p, size_t n)
{
    static const char type[] = "application/dns-message";
    size_t at = sizeof(type) - 1;

    if (n < at || strncasecmp((const char *)p, type, at) != 0)
        return false;
    while (at < n && (p[at] == ' ' || p[at] == '\t'))
        at++;
    return at == n || p[at] == ';';
}

static void read_target(struct h2 *h, struct request *r, const uint8_t *p, size_t n)
{
    struct str dns;
    enum doh_target target =
        doh_split((struct str){(const char *)p, n}, h->connection->worker->doh_path, &dns);

    if (target != DOH_HERE) {
        r->status = target == DOH_BAD ? 400 : 404;
        return;
    }
    if (dns.p == NULL)
        return;
    r->message = base_alloc(dns.n + 1);
    r->has_query = doh_decode(dns, r->message, &r->n) && r->n > 0;
    if (!r->has_query)
        r->n = 0;
    h->n_bodies += r->n;
}

static enum method method_of(const uint8_t *p, size_t n)
{
    return is_text(p, n, "GET")    ? METHOD_GET
           : is_text(p, n, "POST") ? METHOD_POST
           : is_text(p, n, "HEAD") ? METHOD_HEAD
                                   : METHOD_OTHER;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags, void *arg)
{
    struct request *r = request_of(session, frame->hd.stream_id);

    (void)flags;
    if (r == NULL)
        return 0;
    r->n_fields += n_name + n_value + 32; /* RFC 9113 section 6.5.2 */
    if (r->n_fields > FIELDS_MAX && r->status == 0)
        r->status = is_text(name, n_name, ":path") ? 414 : 431;
    if (r->status != 0)
        return 0;
    if (is_text(name, n_name, ":method"))
        r->method = method_of(value, n_value);
    else if (is_text(name, n_name, ":path"))
        read_target(arg, r, value, n_value);
    else if (is_text(name, n_name, "content-type"))
        r->has_type = is_dns_message(value, n_value);
    return 0;
}

/* The body of a POST is the query; what comes with other methods is not looked at. */
static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *p,
                   size_t n, void *arg)
{
    struct h2 *h = arg;
    struct request *r = request_of(session, stream);

    (void)flags;
    if (r == NULL || r->method != METHOD_POST || r->status != 0)
        return 0;
    if (r->has_query) { /* of the target: a POST has its query in the body alone */
        h->n_bodies -= r->n;
        r->n = 0;
        r->has_query = false;
    }
    if (r->n + n > MESSAGE_MAX) {
        r->status = 413;
        return 0;
    }
    h->n_bodies += n;
    if (h->n_bodies > BODIES_MAX)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    r->message = base_realloc(r->message, r->n + n + 1);
    memcpy(r->message + r->n, p, n);
    r->n += n;
    return 0;
}

static int price_of(const nghttp2_frame *frame)
{
    switch (frame->hd.type) {
    case NGHTTP2_RST_STREAM:
        return RESET_COSTS;
    case NGHTTP2_HEADERS:
        return 0;
    case NGHTTP2_DATA:
        return frame->hd.length == 0 ? FRAME_COSTS : 0;
    default:
        return FRAME_COSTS;
    }
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    struct request *r = frame->hd.stream_id > 0 ? request_of(session, frame->hd.stream_id) : NULL;

    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) && r != NULL &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        h->ready[h->n_ready++] = r;
        if (h->n_ready == BATCH)
            answer_ready(h);
        return 0;
    }
    return pay(h, price_of(frame));
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    return frame->hd.type == NGHTTP2_RST_STREAM ? pay(arg, RESET_COSTS) : 0;
}

static void free_request(struct h2 *h, struct request *r)
{
    for (size_t i = 0; i < h->n_ready; i++) {
        if (h->ready[i] == r)
            h->ready[i] = NULL;
    }
    TAILQ_REMOVE(&h->requests, r, link);
    free(r->message);
    free(r);
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t why, void *arg)
{
    struct h2 *h = arg;
    struct request *r = request_of(session, stream);

    (void)why;
    if (r == NULL)
        return 0;
    /* The bytes are the answer's once there is one. */
    if (r->is_answered)
        h->n_held -= r->n;
    else
        h->n_bodies -= r->n;
    free_request(h, r);
    return 0;
}

/* ---- a connection ---- */

static nghttp2_session *new_session(struct h2 *h)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, FIELDS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 2 * MESSAGE_MAX},
    };
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;
    nghttp2_option *option;

    ensure(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_option_set_max_settings(option, 16);
    nghttp2_option_set_max_outbound_ack(option, 100);
    nghttp2_option_set_max_deflate_dynamic_table_size(option, 0); /* ours are short */
    nghttp2_option_set_no_closed_streams(option, 1);
    ensure(nghttp2_session_server_new2(&session, callbacks, h, option) == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    ensure(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, COUNT_OF(settings)) == 0);
    return session;
}

static void begin(struct connection *c)
{
    struct h2 *h = base_zalloc(1, sizeof(*h));

    h->connection = c;
    h->purse = PURSE;
    TAILQ_INIT(&h->requests);
    c->h2 = h;
    h->session = new_session(h);
}

/* The peer is told why, if it reads at all. */
static int end_with(struct connection *c, uint32_t error, int why)
{
    const uint8_t *p;
    ssize_t n;

    c->h2->purse = PURSE;
    (void)nghttp2_session_terminate_session(c->h2->session, error);
    while (!c->is_blocked && (n = nghttp2_session_mem_send(c->h2->session, &p)) > 0) {
        struct iovec piece = {(uint8_t *)p, (size_t)n};

        if (connection_write(c, &piece, 1) != GOES_ON)
            break;
    }
    return why;
}

static int judge_failure(struct connection *c)
{
    if (c->h2->purse < 0)
        return end_with(c, NGHTTP2_ENHANCE_YOUR_CALM, ANSWER_COUNTER_TCP_CLOSED_FLOOD);
    return end_with(c, NGHTTP2_PROTOCOL_ERROR, ANSWER_COUNTER_TCP_CLOSED_FRAME);
}

int frame_h2_serve(struct connection *c, const uint8_t *p, size_t n)
{
    ssize_t taken;

    if (c->h2 == NULL)
        begin(c);
    taken = nghttp2_session_mem_recv(c->h2->session, p, n);
    answer_ready(c->h2);
    if (taken == NGHTTP2_ERR_FLOODED)
        return end_with(c, NGHTTP2_ENHANCE_YOUR_CALM, ANSWER_COUNTER_TCP_CLOSED_FLOOD);
    if (taken < 0 || (size_t)taken != n)
        return judge_failure(c);
    return frame_h2_flush(c);
}

int frame_h2_flush(struct connection *c)
{
    struct worker *w = c->worker;
    nghttp2_session *session = c->h2->session;

    while (!c->is_blocked) {
        struct iovec piece = {w->read_buffer, 0};
        const uint8_t *p;
        ssize_t n = 0;
        int end;

        while (piece.iov_len + RECORD_BYTES + 9 <= READ_BYTES &&
               (n = nghttp2_session_mem_send(session, &p)) > 0) {
            memcpy(w->read_buffer + piece.iov_len, p, (size_t)n);
            piece.iov_len += (size_t)n;
        }
        if (n < 0)
            return judge_failure(c);
        if (piece.iov_len == 0)
            break;
        end = connection_write(c, &piece, 1);
        if (end != GOES_ON)
            return end;
    }
    if (c->h2->n_held > HELD_MAX)
        return ANSWER_COUNTER_TCP_CLOSED_SLOW;
    if (!nghttp2_session_want_read(session) && !nghttp2_session_want_write(session) &&
        !c->is_blocked)
        return c->h2->purse < 0 ? ANSWER_COUNTER_TCP_CLOSED_FLOOD : ANSWER_COUNTER_TCP_CLOSED_FRAME;
    return GOES_ON;
}

void frame_h2_goaway(struct connection *c)
{
    (void)nghttp2_session_terminate_session(c->h2->session, NGHTTP2_NO_ERROR);
}

void frame_h2_free(struct connection *c)
{
    struct request *r;

    if (c->h2 == NULL)
        return;
    nghttp2_session_del(c->h2->session);
    while ((r = TAILQ_FIRST(&c->h2->requests)) != NULL)
        free_request(c->h2, r);
    free(c->h2);
}
