/* SPDX-License-Identifier: BSD-2-Clause */
/* Chunked bodies, whole, split anywhere, and byte by byte. */
#include "edge-proxy/http/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LONG_64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

struct chunked_case {
    const char *name;
    struct str input;
    enum http_verdict want;
    const char *body, *rest; /* when DONE */
    unsigned trailers;
};

#define GOOD(name, text, body, rest, trailers)                          \
    {                                                                   \
        name, {text, sizeof(text) - 1}, HTTP_DONE, body, rest, trailers \
    }
#define BAD(name, text, want)                                  \
    {                                                          \
        name, {text, sizeof(text) - 1}, HTTP_##want, "", "", 0 \
    }

static const struct chunked_case cases[] = {
    GOOD("empty", "0\r\n\r\n", "", "", 0),
    GOOD("two chunks", "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\nGET", "hello0123456789", "GET",
         0),
    GOOD("zeros in front", "0005\r\nhello\r\n00\r\n\r\n", "hello", "", 0),
    GOOD("lower and upper case", "a\r\n0123456789\r\nB\r\n0123456789X\r\n0\r\n\r\n",
         "01234567890123456789X", "", 0),
    GOOD("body of line ends", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", "", 0),
    GOOD("10: extensions", "1;a=b;c=\"d e\"\r\nx\r\n0;e\r\n\r\n", "x", "", 0),
    GOOD("12: trailers", "0\r\nA: b\r\nETag: \"c\"\r\n\r\nrest", "", "rest", 2),
    GOOD("12: trailers that may not be",
         "0\r\nContent-Length: 5\r\nHost: x\r\nA: b\r\n"
         "Transfer-Encoding: chunked\r\nAuthorization: y\r\nContent-Type: z\r\nTE: q\r\n\r\n",
         "", "", 1),
    BAD("9: no digit", "\r\n", BAD_CHUNK_SIZE),
    BAD("9: hex prefix", "0x5\r\nhello\r\n", BAD_CHUNK_SIZE),
    BAD("9: plus", "+5\r\nhello\r\n", BAD_CHUNK_SIZE),
    BAD("9: minus", "-5\r\nhello\r\n", BAD_CHUNK_SIZE),
    BAD("9: underscore", "1_0\r\n", BAD_CHUNK_SIZE),
    BAD("9: space in front", " 5\r\nhello\r\n", BAD_CHUNK_SIZE),
    BAD("9: space behind", "5 \r\nhello\r\n", BAD_CHUNK_SIZE),
    BAD("9: longest valid prefix", "5g\r\nhello\r\n", BAD_CHUNK_SIZE),
    BAD("9: overflow", "FFFFFFFFFFFFFFFF\r\n", CHUNK_TOO_LARGE),
    BAD("9: beyond 63 bits", "8000000000000000\r\n", CHUNK_TOO_LARGE),
    BAD("9: wraps to 5", "10000000000000005\r\nhello\r\n", CHUNK_TOO_LARGE),
    BAD("9: endless zeros", "00000000000000000\r\n", CHUNK_TOO_LARGE),
    BAD("10: LF ends the size", "5\nhello\r\n", BAD_LINE_END),
    BAD("10: LF in an extension", "5;a\nhello\r\n", BAD_LINE_END),
    BAD("10: CR in an extension", "5;a\rb\r\nhello\r\n", BAD_LINE_END),
    BAD("10: NUL in an extension", "5;a\0\r\nhello\r\n", BAD_CHUNK_EXTENSION),
    BAD("10: space before the extension", "5 ;a\r\nhello\r\n", BAD_CHUNK_SIZE),
    BAD("10: long extension", "5;" LONG_64 LONG_64 LONG_64 LONG_64 "x\r\n",
        CHUNK_EXTENSION_TOO_LONG),
    BAD("11: data longer than said", "4\r\nhello\r\n", BAD_CHUNK_END),
    BAD("11: LF after data", "5\r\nhello\n0\r\n\r\n", BAD_CHUNK_END),
    BAD("11: two other bytes after data", "5\r\nhelloXX0\r\n\r\n", BAD_CHUNK_END),
    BAD("11: CR and another byte", "5\r\nhello\rX0\r\n\r\n", BAD_CHUNK_END),
    BAD("12: bare LF in the trailers", "0\r\nA: b\n\r\n", BAD_LINE_END),
    BAD("12: folded trailer", "0\r\nA: b\r\n c\r\n\r\n", OBS_FOLD),
    BAD("12: trailer without colon", "0\r\nA\r\n\r\n", NO_COLON),
    BAD("12: bare LF as the end", "0\r\n\n", BAD_LINE_END),
    BAD("13: cut in data", "5\r\nhel", MORE),
    BAD("13: cut before the end", "5\r\nhello\r\n0\r\n", MORE),
};

struct run {
    struct http_chunked decoder;
    struct fields trailers;
    struct str rest;
    char body[256];
    size_t body_n;
};

static enum http_verdict feed(struct run *r, size_t n)
{
    struct str in = {r->rest.p, n}, data;
    enum http_verdict v;

    while ((v = http_chunked_next(&r->decoder, &in, &data, &r->trailers)) == HTTP_DATA) {
        assert_true(data.n > 0 && r->body_n + data.n <= sizeof(r->body));
        memcpy(r->body + r->body_n, data.p, data.n);
        r->body_n += data.n;
    }
    r->rest = (struct str){in.p, r->rest.n - (n - in.n)};
    return v;
}

static void check_result(const struct chunked_case *c, const struct run *r, enum http_verdict v,
                         size_t split)
{
    if (v != c->want)
        fail_msg("%s, split at %zu: %s, not %s", c->name, split, http_verdict_label(v),
                 http_verdict_label(c->want));
    if (v != HTTP_DONE)
        return;
    if (r->body_n != strlen(c->body) || memcmp(r->body, c->body, r->body_n) != 0)
        fail_msg("%s, split at %zu: body '%.*s'", c->name, split, (int)r->body_n, r->body);
    if (!str_is(r->rest, c->rest) || r->trailers.count != c->trailers)
        fail_msg("%s, split at %zu: rest '%.*s', %u trailers", c->name, split, STR_ARG(r->rest),
                 r->trailers.count);
}

static void test_splits(void **state)
{
    static struct run r;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct chunked_case *c = &cases[i];

        for (size_t split = 0; split <= c->input.n; split++) {
            enum http_verdict v;

            r = (struct run){.rest = c->input};
            v = feed(&r, split);
            if (v == HTTP_MORE)
                v = feed(&r, r.rest.n);
            check_result(c, &r, v, split);
        }
    }
}

static void test_by_byte(void **state)
{
    static struct run r;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct chunked_case *c = &cases[i];
        enum http_verdict v = HTTP_MORE;

        r = (struct run){.rest = c->input};
        for (size_t given = 1; given <= c->input.n && v == HTTP_MORE; given++) {
            size_t used = (size_t)(r.rest.p - c->input.p);

            v = feed(&r, given - used);
        }
        check_result(c, &r, v, 1);
    }
}

static void test_trailer_limit(void **state)
{
    static struct run r;
    struct text t = {0};

    text_adds(&t, "0\r\n");
    while (t.n < HTTP_TRAILER_MAX + 10)
        text_adds(&t, "A: " LONG_64 "\r\n");
    text_adds(&t, "\r\n");
    r = (struct run){.rest = {t.p, t.n}};
    assert_int_equal(feed(&r, t.n), HTTP_TRAILER_TOO_LARGE);
    text_free(&t);
}

static void test_extension_total(void **state)
{
    struct http_chunked c = {0};
    enum http_verdict v = HTTP_MORE;
    unsigned chunks = 0;

    for (; !http_is_refusal(v) && chunks < 1000; chunks++) {
        struct str in = STR("1;" LONG_64 "\r\nx\r\n"), data;

        while ((v = http_chunked_next(&c, &in, &data, NULL)) == HTTP_DATA)
            assert_int_equal(data.n, 1);
    }
    assert_int_equal(v, HTTP_CHUNK_EXTENSION_TOO_LONG);
    assert_int_equal(chunks, HTTP_CHUNK_EXTENSIONS_MAX / 64 + 1);
}

static void test_encoder(void **state)
{
    static const struct {
        uint64_t n;
        const char *want;
    } sizes[] = {{1, "1\r\n"}, {255, "ff\r\n"}, {UINT64_MAX, "ffffffffffffffff\r\n"}};

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char out[HTTP_CHUNK_HEAD_MAX];
        struct writer w = writer_of(out, sizeof(out));

        http_write_chunk_head(&w, sizes[i].n);
        assert_false(w.is_full);
        assert_true(str_is((struct str){out, sizeof(out) - writer_room(&w)}, sizes[i].want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splits),        cmocka_unit_test(test_by_byte),
        cmocka_unit_test(test_trailer_limit), cmocka_unit_test(test_extension_total),
        cmocka_unit_test(test_encoder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
