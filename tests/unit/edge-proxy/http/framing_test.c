/* SPDX-License-Identifier: BSD-2-Clause */
/* Response heads, and where requests and responses end. */
#include "edge-proxy/http/http_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct http_limits limits = {.head_bytes = 4096, .target_bytes = 512, .fields = 32};
static struct http_head head;

struct framing_case {
    const char *name, *fields; /* the lines behind the first, with their ends */
    unsigned minor, status;    /* status: responses */
    enum http_method method;   /* responses: of the request */
    enum http_verdict want;
    enum http_body body;
    uint64_t length;
    bool is_keep_alive, expects_continue;
};

#define REQUEST(name, minor, fields, ...)                    \
    {                                                        \
        name, fields, minor, 0, HTTP_METHOD_GET, __VA_ARGS__ \
    }
#define REFUSED(verdict) HTTP_##verdict, HTTP_BODY_NONE, 0, false, false
#define OK(body, length, keep) HTTP_DONE, HTTP_BODY_##body, length, keep, false
#define CL(value) "Content-Length: " value "\r\n"
#define TE(value) "Transfer-Encoding: " value "\r\n"

static const struct framing_case requests[] = {
    REQUEST("nothing", 1, "", OK(NONE, 0, true)),
    REQUEST("1.0 closes", 0, "", OK(NONE, 0, false)),
    REQUEST("1.0 keep-alive", 0, "Connection: Keep-Alive\r\n", OK(NONE, 0, true)),
    REQUEST("close", 1, "Connection: x, Close\r\n", OK(NONE, 0, false)),
    REQUEST("close beats keep-alive", 1, "Connection: keep-alive\r\nConnection: close\r\n",
            OK(NONE, 0, false)),
    REQUEST("length", 1, CL("5"), OK(LENGTH, 5, true)),
    REQUEST("15: length of nothing", 1, CL("0"), OK(NONE, 0, true)),
    REQUEST("3: leading zeros are digits", 1, CL("0005"), OK(LENGTH, 5, true)),
    REQUEST("largest length", 1, CL("9223372036854775807"), OK(LENGTH, INT64_MAX, true)),
    REQUEST("chunked", 1, TE("chunked"), OK(CHUNKED, 0, true)),
    REQUEST("chunked in any case", 1, TE(" ChUnKeD "), OK(CHUNKED, 0, true)),
    REQUEST("1: both", 1, CL("5") TE("chunked"), REFUSED(LENGTH_AND_CODING)),
    REQUEST("1: both, the other way round", 1, TE("chunked") CL("5"), REFUSED(LENGTH_AND_CODING)),
    REQUEST("2: two lengths", 1, CL("5") CL("6"), REFUSED(MANY_LENGTHS)),
    REQUEST("2: the same length twice", 1, CL("5") CL("5"), REFUSED(MANY_LENGTHS)),
    REQUEST("2: list", 1, CL("5, 6"), REFUSED(MANY_LENGTHS)),
    REQUEST("2: empty, then one", 1, CL("") CL("5"), REFUSED(MANY_LENGTHS)),
    REQUEST("3: empty", 1, CL(""), REFUSED(BAD_LENGTH)),
    REQUEST("3: plus", 1, CL("+5"), REFUSED(BAD_LENGTH)),
    REQUEST("3: minus", 1, CL("-0"), REFUSED(BAD_LENGTH)),
    REQUEST("3: hex", 1, CL("0x5"), REFUSED(BAD_LENGTH)),
    REQUEST("3: underscore", 1, CL("1_0"), REFUSED(BAD_LENGTH)),
    REQUEST("3: space", 1, CL("1 0"), REFUSED(BAD_LENGTH)),
    REQUEST("3: beyond 63 bits", 1, CL("9223372036854775808"), REFUSED(BAD_LENGTH)),
    REQUEST("3: beyond 64 bits", 1, CL("18446744073709551621"), REFUSED(BAD_LENGTH)),
    REQUEST("4: xchunked", 1, TE("xchunked"), REFUSED(BAD_CODING)),
    REQUEST("4: leading comma", 1, TE(",chunked"), REFUSED(BAD_CODING)),
    REQUEST("4: trailing comma", 1, TE("chunked,"), REFUSED(BAD_CODING)),
    REQUEST("4: parameter", 1, TE("chunked;x=1"), REFUSED(BAD_CODING)),
    REQUEST("4: quoted", 1, TE("\"chunked\""), REFUSED(BAD_CODING)),
    REQUEST("4: identity", 1, TE("identity"), REFUSED(BAD_CODING)),
    REQUEST("4: identity, chunked", 1, TE("identity, chunked"), REFUSED(BAD_CODING)),
    REQUEST("4: chunked twice", 1, TE("chunked, chunked"), REFUSED(BAD_CODING)),
    REQUEST("4: chunked in two lines", 1, TE("chunked") TE("chunked"), REFUSED(BAD_CODING)),
    REQUEST("4: chunked, then identity line", 1, TE("chunked") TE("identity"), REFUSED(BAD_CODING)),
    REQUEST("4: chunked is not last", 1, TE("chunked, gzip"), REFUSED(BAD_CODING)),
    REQUEST("4: gzip alone", 1, TE("gzip"), REFUSED(BAD_CODING)),
    REQUEST("4: empty", 1, TE(""), REFUSED(BAD_CODING)),
    REQUEST("4: a coding that exists", 1, TE("gzip, chunked"), REFUSED(CODING_UNKNOWN)),
    REQUEST("5: chunked on 1.0", 0, TE("chunked"), REFUSED(CODING_BEFORE_1_1)),
    REQUEST("25: expects", 1, "Expect: 100-Continue\r\n" CL("5"), HTTP_DONE, HTTP_BODY_LENGTH, 5,
            true, true),
    REQUEST("25: expects without a body", 1, "Expect: 100-continue\r\n", OK(NONE, 0, true)),
    REQUEST("25: 1.0 does not expect", 0, "Expect: 100-continue\r\n" CL("5"), OK(LENGTH, 5, false)),
    REQUEST("25: expects something else", 1, "Expect: tea\r\n", REFUSED(BAD_EXPECT)),
    REQUEST("25: expects twice", 1, "Expect: 100-continue\r\nExpect: 100-continue\r\n",
            REFUSED(BAD_EXPECT)),
};

#define RESPONSE(name, minor, status, fields, method, ...)             \
    {                                                                  \
        name, fields, minor, status, HTTP_METHOD_##method, __VA_ARGS__ \
    }

static const struct framing_case responses[] = {
    RESPONSE("until close", 1, 200, "", GET, OK(UNTIL_CLOSE, 0, false)),
    RESPONSE("length", 1, 200, CL("7"), GET, OK(LENGTH, 7, true)),
    RESPONSE("empty", 1, 200, CL("0"), GET, OK(NONE, 0, true)),
    RESPONSE("1.0 closes", 0, 200, CL("7"), GET, OK(LENGTH, 7, false)),
    RESPONSE("chunked", 1, 200, TE("chunked"), GET, OK(CHUNKED, 0, true)),
    RESPONSE("1: both: the coding wins", 1, 200, CL("7") TE("chunked"), GET, OK(CHUNKED, 0, false)),
    RESPONSE("4: chunked twice", 1, 200, TE("chunked, chunked"), GET, REFUSED(BAD_CODING)),
    RESPONSE("5: chunked on 1.0", 0, 200, TE("chunked"), GET, REFUSED(CODING_BEFORE_1_1)),
    RESPONSE("2: two lengths", 1, 200, CL("7") CL("8"), GET, REFUSED(MANY_LENGTHS)),
    RESPONSE("27: HEAD", 1, 200, CL("7"), HEAD, OK(NONE, 7, true)),
    RESPONSE("27: HEAD, chunked", 1, 200, TE("chunked"), HEAD, OK(NONE, 0, true)),
    RESPONSE("28: 204", 1, 204, "", GET, OK(NONE, 0, true)),
    RESPONSE("28: 204 with a length", 1, 204, CL("7"), GET, OK(NONE, 0, false)),
    RESPONSE("28: 204 chunked", 1, 204, TE("chunked"), GET, OK(NONE, 0, false)),
    RESPONSE("28: 304 with a length", 1, 304, CL("7"), GET, OK(NONE, 7, true)),
    RESPONSE("28: 103", 1, 103, "", GET, OK(NONE, 0, true)),
    RESPONSE("close", 1, 200, CL("7") "Connection: close\r\n", GET, OK(LENGTH, 7, false)),
};

static void check_framing(const struct framing_case *c)
{
    struct text t = {0};
    struct http_framing f;
    enum http_verdict v;

    head = (struct http_head){0};
    if (c->status == 0) {
        text_addf(&t, "GET / HTTP/1.%u\r\nHost: a\r\n%s\r\n", c->minor, c->fields);
        v = http_parse_request(&head, t.p, t.n, &limits);
    } else {
        text_addf(&t, "HTTP/1.%u %u\r\n%s\r\n", c->minor, c->status, c->fields);
        v = http_parse_response(&head, t.p, t.n, &limits);
    }
    if (v != HTTP_DONE)
        fail_msg("%s: head: %s", c->name, http_verdict_label(v));
    v = c->status == 0 ? http_request_framing(&head, &f)
                       : http_response_framing(&head, c->method, &f);
    if (v != c->want)
        fail_msg("%s: %s, not %s", c->name, http_verdict_label(v), http_verdict_label(c->want));
    if (v == HTTP_DONE &&
        (f.body != c->body || f.length != c->length || f.is_keep_alive != c->is_keep_alive ||
         f.expects_continue != c->expects_continue))
        fail_msg("%s: body %d length %llu keep-alive %d expects %d", c->name, f.body,
                 (unsigned long long)f.length, f.is_keep_alive, f.expects_continue);
    text_free(&t);
}

static void test_requests(void **state)
{
    for (size_t i = 0; i < COUNT_OF(requests); i++)
        check_framing(&requests[i]);
}

static void test_responses(void **state)
{
    for (size_t i = 0; i < COUNT_OF(responses); i++)
        check_framing(&responses[i]);
}

static void test_upgrade(void **state)
{
    static const struct {
        const char *name, *input, *want;
    } cases[] = {
        {"26: both", "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n", "websocket"},
        {"26: not nominated", "Upgrade: websocket\r\n", ""},
        {"26: nothing to upgrade to", "Connection: upgrade\r\n", ""},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct text t = {0};
        struct http_framing f;

        text_addf(&t, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", cases[i].input);
        head = (struct http_head){0};
        assert_int_equal(http_parse_request(&head, t.p, t.n, &limits), HTTP_DONE);
        assert_int_equal(http_request_framing(&head, &f), HTTP_DONE);
        if (f.upgrade.n != strlen(cases[i].want))
            fail_msg("%s: '%.*s'", cases[i].name, STR_ARG(f.upgrade));
        text_free(&t);
    }
}

static const struct {
    const char *name;
    struct str input;
    enum http_verdict want;
    unsigned status;
} heads[] = {
#define HEAD(name, text, want, status)                      \
    {                                                       \
        name, {text, sizeof(text) - 1}, HTTP_##want, status \
    }
    HEAD("plain", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n", DONE, 200),
    HEAD("no reason", "HTTP/1.1 404 \r\n\r\n", DONE, 404),
    HEAD("no space either", "HTTP/1.0 404\r\n\r\n", DONE, 404),
    HEAD("early hints", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200", DONE, 103),
    HEAD("7: folded", "HTTP/1.1 200 OK\r\nA: b\r\n\t c\r\n d\r\nE: f\r\n\r\n", DONE, 200),
    HEAD("7: folded to nothing", "HTTP/1.1 200 OK\r\nA:\r\n \r\n\r\n", DONE, 200),
    HEAD("7: fold before the first field", "HTTP/1.1 200 OK\r\n A: b\r\n\r\n", LEADING_SPACE, 0),
    HEAD("8: bare LF", "HTTP/1.1 200 OK\nA: b\r\n\r\n", BAD_LINE_END, 0),
    HEAD("8: bare CR", "HTTP/1.1 200 O\rK\r\n\r\n", BAD_LINE_END, 0),
    HEAD("8: NUL", "HTTP/1.1 200 O\0K\r\n\r\n", BAD_BYTE, 0),
    HEAD("6: space before colon", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", SPACE_BEFORE_COLON, 0),
    HEAD("two digits", "HTTP/1.1 20 OK\r\n\r\n", BAD_STATUS, 0),
    HEAD("four digits", "HTTP/1.1 2000 OK\r\n\r\n", BAD_STATUS, 0),
    HEAD("no class", "HTTP/1.1 099 OK\r\n\r\n", BAD_STATUS, 0),
    HEAD("class 6", "HTTP/1.1 600 OK\r\n\r\n", BAD_STATUS, 0),
    HEAD("two spaces", "HTTP/1.1  200 OK\r\n\r\n", BAD_STATUS, 0),
    HEAD("version 2", "HTTP/2.0 200 OK\r\n\r\n", VERSION_UNSUPPORTED, 0),
    HEAD("ICY", "ICY 200 OK\r\n\r\n", BAD_VERSION, 0),
    HEAD("leading empty line", "\r\nHTTP/1.1 200 OK\r\n\r\n", BAD_LINE_END, 0),
};

static void check_head(size_t i, size_t split)
{
    char *buf = base_alloc(heads[i].input.n);
    enum http_verdict v;

    memcpy(buf, heads[i].input.p, heads[i].input.n);
    head = (struct http_head){0};
    v = http_parse_response(&head, buf, split, &limits);
    if (v == HTTP_MORE)
        v = http_parse_response(&head, buf, heads[i].input.n, &limits);
    if (v != heads[i].want || (v == HTTP_DONE && head.status != heads[i].status))
        fail_msg("%s, split at %zu: %s, status %u", heads[i].name, split, http_verdict_label(v),
                 head.status);
    if (strcmp(heads[i].name, "7: folded") == 0) {
        assert_int_equal(head.fields.count, 2);
        assert_true(str_is(head.fields.v[0].value, "b    c   d"));
    }
    free(buf);
}

/* A buffer with nothing in it teaches the parser nothing. */
static void test_empty_response(void **state)
{
    char *nothing = base_alloc(1);

    head = (struct http_head){0};
    for (int i = 0; i < 2; i++)
        assert_int_equal(http_parse_response(&head, nothing + 1, 0, &limits), HTTP_MORE);
    assert_int_equal(head.scanned_bytes, 0);
    free(nothing);
}

static void test_response_heads(void **state)
{
    for (unsigned level = 0; level < 3; level++) {
        http_use_level(level);
        for (size_t i = 0; i < COUNT_OF(heads); i++) {
            for (size_t split = 0; split <= heads[i].input.n; split++)
                check_head(i, split);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),       cmocka_unit_test(test_responses),
        cmocka_unit_test(test_upgrade),        cmocka_unit_test(test_response_heads),
        cmocka_unit_test(test_empty_response),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
