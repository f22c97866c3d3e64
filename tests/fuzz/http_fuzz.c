/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as a request (first byte 'q'), a response ('r') or a chunked body ('c'). Beside not
 * crashing: the verdict is the same for every kind of vector instructions and when the input comes
 * in two parts, what was taken is clean, and what is written again reads as the same.
 */
#include "edge-proxy/http/http_internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static const struct http_limits limits = {.head_bytes = 2048, .target_bytes = 256, .fields = 32};

static enum http_verdict parse(bool is_request, struct http_head *head, char *buf, size_t n)
{
    return is_request ? http_parse_request(head, buf, n, &limits)
                      : http_parse_response(head, buf, n, &limits);
}

static void check_lines(const struct fields *f)
{
    for (uint32_t i = 0; i < f->count; i++) {
        ensure(fields_is_token(f->v[i].name));
        for (size_t j = 0; j < f->v[i].value.n; j++) {
            uint8_t c = (uint8_t)f->v[i].value.p[j];

            ensure((c >= 0x20 && c != 0x7f) || c == '\t');
        }
        ensure(f->v[i].id == fields_identify(f->v[i].name));
        ensure(fields_find_name(f, f->v[i].name) <= (int)i);
    }
}

static void check_same(const struct http_head *a, const struct http_head *b)
{
    ensure(a->head_bytes == b->head_bytes && a->fields.count == b->fields.count);
    ensure(a->path.n == b->path.n && a->query.n == b->query.n && a->status == b->status);
    for (uint32_t i = 0; i < a->fields.count; i++) {
        ensure(a->fields.v[i].id == b->fields.v[i].id);
        ensure(a->fields.v[i].value.n == b->fields.v[i].value.n);
        ensure(fields_is_forwardable(&a->fields, (int)i) ==
               fields_is_forwardable(&b->fields, (int)i));
    }
}

/* What goes on to the origin is a request again, for the same host and target. */
static void check_rewritten(const struct http_head *head)
{
    static struct http_head again;
    static char out[8192];
    struct writer w = writer_of(out, sizeof(out));
    struct field_id_set skip = {{0}};
    struct http_framing framing;

    if (head->authority.n == 0) /* HTTP/1.0 without Host */
        return;
    field_id_set_add(&skip, FIELD_HOST);
    http_write_request_line(&w, head->method_text, head->path, head->query);
    http_write_known(&w, FIELD_HOST, head->authority);
    http_write_forwardable(&w, &head->fields, &skip);
    http_write_end(&w);
    ensure(!w.is_full);
    http_head_clear(&again);
    ensure(http_parse_request(&again, out, sizeof(out) - writer_room(&w), &HTTP_LIMITS_DEFAULT) ==
           HTTP_DONE);
    ensure(str_eq(again.path, head->path) && str_eq(again.authority, head->authority));
    ensure(again.query.n == head->query.n && again.method == head->method);
    if (http_request_framing(head, &framing) == HTTP_DONE)
        ensure(framing.body != HTTP_BODY_UNTIL_CLOSE);
    w = writer_of(out, sizeof(out));
    http_write_key(&w, head, true);
    ensure(!w.is_full);
}

static enum http_verdict parse_at(unsigned level, bool is_request, struct http_head *head,
                                  struct str input)
{
    char *buf = malloc(input.n + 1);
    enum http_verdict v;

    memcpy(buf, input.p, input.n);
    http_use_level(level);
    http_head_clear(head);
    v = parse(is_request, head, buf, input.n);
    ensure(v == HTTP_DONE || head->fields.count == 0);
    if (v == HTTP_DONE)
        check_lines(&head->fields);
    if (v == HTTP_DONE && is_request)
        check_rewritten(head);
    free(buf);
    return v;
}

static void fuzz_head(bool is_request, struct str input)
{
    static struct http_head head, other;
    enum http_verdict v = parse_at(0, is_request, &head, input), split_v = HTTP_MORE;
    char *buf = malloc(input.n + 1);

    for (unsigned level = 1; level < 3; level++) {
        ensure(parse_at(level, is_request, &other, input) == v);
        if (v == HTTP_DONE)
            check_same(&head, &other);
    }
    memcpy(buf, input.p, input.n);
    http_head_clear(&other);
    for (size_t n = input.n / 3; n <= input.n && split_v == HTTP_MORE; n += 1 + input.n / 7)
        split_v = parse(is_request, &other, buf, n);
    if (split_v == HTTP_MORE)
        split_v = parse(is_request, &other, buf, input.n);
    /* A refusal may wait for the head's end when the input drips. */
    ensure(split_v == v || (split_v == HTTP_MORE && http_is_refusal(v)));
    if (v == HTTP_DONE)
        check_same(&head, &other);
    free(buf);
}

struct body {
    size_t bytes;
    uint32_t sum;
};

static enum http_verdict decode(struct http_chunked *c, struct str *in, struct body *body,
                                struct fields *trailers)
{
    struct str data;
    enum http_verdict v;

    while ((v = http_chunked_next(c, in, &data, trailers)) == HTTP_DATA) {
        ensure(data.n > 0);
        body->bytes += data.n;
        for (size_t i = 0; i < data.n; i++)
            body->sum = body->sum * 31 + (uint8_t)data.p[i];
    }
    return v;
}

static void fuzz_chunked(struct str input)
{
    static struct fields trailers;
    struct http_chunked whole = {0}, split = {0};
    struct body a = {0}, b = {0};
    struct str in = input, rest = input;
    enum http_verdict v = decode(&whole, &in, &a, &trailers), split_v = HTTP_MORE;

    ensure(a.bytes <= input.n);
    if (v == HTTP_DONE)
        check_lines(&trailers);
    for (size_t given = 0; given <= input.n && split_v == HTTP_MORE; given++) {
        struct str part = {rest.p, (size_t)(input.p + given - rest.p)};

        split_v = decode(&split, &part, &b, NULL);
        rest.p = part.p;
    }
    ensure(v != HTTP_DONE || (split_v == v && a.bytes == b.bytes && a.sum == b.sum));
    ensure(split_v != HTTP_DONE || v == HTTP_DONE || v == HTTP_TOO_MANY_FIELDS);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct str rest = {(const char *)input + 1, n - 1};

    if (n < 1)
        return 0;
    if (input[0] == 'q')
        fuzz_head(true, rest);
    else if (input[0] == 'r')
        fuzz_head(false, rest);
    else if (input[0] == 'c')
        fuzz_chunked(rest);
    return 0;
}
