/* SPDX-License-Identifier: BSD-2-Clause */
/* Field sections from the client, made into what a request starts with. nghttp2 has seen to names,
 * values, the order of pseudo-header fields and connection-specific fields (RFC 9113 sections 8.2
 * and 8.3); what those mean, and whether they can go on as HTTP/1.1, is judged here. */
#include "edge-proxy/h2/h2_internal.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

enum {
    LINE_OVERHEAD = 32, /* RFC 9113 section 6.5.2 */
    LIST_FACTOR = 4 /* more than so many times the limit is no mistake any more: section 10.5.1 */
};

/* ---- Room ---- */

char *h2_head_room(struct h2_stream *st, size_t n)
{
    struct buffer *b = st->large_head;
    char *p;

    if (b == NULL && n <= sizeof(st->small_head) - st->n_small) {
        p = st->small_head + st->n_small;
        st->n_small += (uint32_t)n;
        return p;
    }
    if (b == NULL)
        b = st->large_head = buffer_take(st->h->hw->w);
    if (n > sizeof(b->bytes) - b->end)
        return NULL;
    p = b->bytes + b->end;
    b->end += (uint32_t)n;
    return p;
}

static bool keep(struct h2_stream *st, struct str from, struct str *to)
{
    char *p = h2_head_room(st, from.n);

    if (p == NULL)
        return false;
    if (from.n > 0)
        memcpy(p, from.p, from.n);
    *to = (struct str){p, from.n};
    return true;
}

/* ---- Line by line ---- */

static struct str *pseudo_slot(struct h2_stream *st, struct str name)
{
    switch (name.n > 1 ? name.p[1] : 0) {
    case 'm':
        return &st->pseudo.method;
    case 's':
        return &st->pseudo.scheme;
    case 'a':
        return &st->pseudo.authority;
    case 'p':
        return name.n == 5 ? &st->pseudo.path : &st->protocol;
    default:
        base_fail(__FILE__, __LINE__, __func__,
                  "nghttp2 let an unknown pseudo-header field through");
    }
}

static void refuse(struct h2_stream *st, enum http_verdict why)
{
    if (st->refusal == HTTP_DONE)
        st->refusal = why;
}

static bool is_list_too_large(struct h2_stream *st, struct str name, struct str value)
{
    uint32_t limit = h2_limits(st->h)->head_bytes;

    st->list_bytes += (uint32_t)(name.n + value.n) + LINE_OVERHEAD;
    if (st->list_bytes <= limit)
        return false;
    if (st->refusal != HTTP_HEAD_TOO_LARGE)
        (void)h2_note(st->h, H2_GLITCH_LIST_TOO_LARGE);
    refuse(st, HTTP_HEAD_TOO_LARGE);
    if (st->list_bytes / LIST_FACTOR > limit)
        st->h->is_abused = true;
    return true;
}

void h2_head_add(struct h2_stream *st, struct str name, struct str value)
{
    struct fields *f = &request_head(st->r)->fields;
    struct str kept_name, kept_value;

    if (is_list_too_large(st, name, value) || st->refusal != HTTP_DONE)
        return;
    if (name.p[0] == ':') {
        if (!keep(st, value, pseudo_slot(st, name)))
            refuse(st, HTTP_HEAD_TOO_LARGE);
        return;
    }
    if (!keep(st, name, &kept_name) || !keep(st, value, &kept_value))
        refuse(st, HTTP_HEAD_TOO_LARGE);
    else if (f->count >= HTTP_LIMITS_DEFAULT.fields || !fields_add(f, kept_name, kept_value))
        refuse(st, HTTP_TOO_MANY_FIELDS);
}

/* Lines one behind the other: nothing else takes room once the head is there. */
void h2_head_add_trailer(struct h2_stream *st, struct str name, struct str value)
{
    size_t n = name.n + value.n + 4;
    char *p;

    if (!fields_is_trailer_allowed(fields_identify(name)))
        return;
    if (st->large_head == NULL)
        st->large_head = buffer_take(st->h->hw->w);
    p = st->trailers.n + n <= HTTP_TRAILER_MAX ? h2_head_room(st, n) : NULL;
    if (p == NULL) {
        (void)h2_note(st->h, H2_GLITCH_LIST_TOO_LARGE);
        h2_stream_reset(st, NGHTTP2_ENHANCE_YOUR_CALM);
        return;
    }
    if (st->trailers.n == 0)
        st->trailers.p = p;
    st->trailers.n += n;
    http_write_field(&(struct writer){(uint8_t *)p, (uint8_t *)p + n, false}, name, value);
}

/* ---- The whole ---- */

/* RFC 9113 section 8.2.3: crumbs become one line again. */
static bool join_cookies(struct h2_stream *st, struct fields *f)
{
    int first = fields_find(f, FIELD_COOKIE);
    size_t n = 0;
    char *p;

    if (first < 0 || fields_next(f, first) < 0)
        return true;
    for (int i = first; i >= 0; i = fields_next(f, i))
        n += f->v[i].value.n + 2;
    p = h2_head_room(st, n);
    if (p == NULL)
        return false;
    for (int i = first; i >= 0; i = fields_next(f, i)) {
        memcpy(p, f->v[i].value.p, f->v[i].value.n);
        p += f->v[i].value.n;
        *p++ = ';';
        *p++ = ' ';
    }
    f->v[first].value = (struct str){p - n, n - 2};
    for (uint32_t i = (uint32_t)first + 1, to = i; i < f->count; i++) {
        if (f->v[i].id != FIELD_COOKIE)
            f->v[to++] = f->v[i];
        if (i + 1 == f->count)
            f->count = to;
    }
    fields_index(f);
    return true;
}

/* RFC 8441 section 5: to the origin it is a WebSocket as HTTP/1.1 has it, with a key of our own. */
static enum http_verdict take_websocket(struct h2_stream *st, struct fields *f)
{
    unsigned char nonce[16];
    int i = fields_find_name(f, STR("sec-websocket-key"));
    struct str key = {st->websocket_key, 24};

    if (!str_is_nocase(st->protocol, "websocket"))
        return HTTP_CONNECT_REFUSED;
    ensure(RAND_bytes(nonce, sizeof(nonce)) == 1);
    (void)EVP_EncodeBlock((unsigned char *)st->websocket_key, nonce, sizeof(nonce));
    st->is_websocket = true;
    st->pseudo.method = STR("GET");
    if (i >= 0)
        f->v[i].value = key;
    else if (!fields_add(f, STR("sec-websocket-key"), key))
        return HTTP_TOO_MANY_FIELDS;
    return HTTP_DONE;
}

/* RFC 9113 section 8.1.1: nghttp2 holds the body against Content-Length. */
static enum http_verdict take_framing(struct h2_stream *st, struct http_head *head)
{
    struct http_framing *framing = request_framing(st->r);
    enum http_verdict v = http_request_framing(head, framing);

    if (v != HTTP_DONE)
        return v;
    framing->is_keep_alive = true;
    framing->upgrade = st->is_websocket ? STR("websocket") : (struct str){NULL, 0};
    if (st->is_websocket || st->is_all_here)
        framing->body = HTTP_BODY_NONE;
    else if (!framing->has_length)
        framing->body = HTTP_BODY_CHUNKED;
    framing->expects_continue =
        framing->body != HTTP_BODY_NONE && fields_has(&head->fields, FIELD_EXPECT);
    st->is_continue_due = framing->expects_continue;
    return HTTP_DONE;
}

static enum http_verdict take_head(struct h2_stream *st)
{
    struct http_head *head = request_head(st->r);
    enum http_verdict v = HTTP_DONE;

    if (!join_cookies(st, &head->fields))
        return HTTP_HEAD_TOO_LARGE;
    if (st->protocol.p != NULL)
        v = take_websocket(st, &head->fields);
    if (v == HTTP_DONE)
        v = http_take_pseudo(head, &st->pseudo, &HTTP_LIMITS_DEFAULT);
    if (v == HTTP_DONE)
        v = take_framing(st, head);
    if (v == HTTP_DONE && !st->h->ops->is_host_served(st->h->arg, head->host))
        v = HTTP_MISDIRECTED;
    return v;
}

void h2_head_finish(struct h2_stream *st)
{
    enum http_verdict v = st->refusal != HTTP_DONE ? st->refusal : take_head(st);

    if (v == HTTP_DONE) {
        st->is_started = true;
        request_start(st->r, "HTTP/2.0");
    } else {
        if (v != HTTP_MISDIRECTED && v != HTTP_HEAD_TOO_LARGE)
            (void)h2_note(st->h, H2_GLITCH_MALFORMED);
        request_refuse(st->r, v);
    }
    h2_stream_look(st);
}
