/* SPDX-License-Identifier: BSD-2-Clause */
/* Request heads: what is taken, what is refused and why, wherever the input is split and with
 * every kind of vector instructions. */
#include "edge-proxy/http/http_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOST "Host: a.example\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define FIELD(line) GET HOST line "\r\n\r\n"
#define LONG_16 "xxxxxxxxxxxxxxxx"
#define LONG_256                                                                            \
    LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 \
        LONG_16 LONG_16 LONG_16 LONG_16 LONG_16

static const struct http_limits limits = {.head_bytes = 600, .target_bytes = 256, .fields = 8};
static struct http_head head;

struct verdict_case {
    const char *name;
    struct str input;
    enum http_verdict want;
};

#define CASE(name, text, want)                      \
    {                                               \
        name, {text, sizeof(text) - 1}, HTTP_##want \
    }

static const struct verdict_case verdicts[] = {
    CASE("plain", GET HOST "\r\n", DONE),
    CASE("http/1.0 without host", "GET / HTTP/1.0\r\n\r\n", DONE),
    CASE("value of tabs, spaces and obs-text", FIELD("A:\t x \xff\ty \t "), DONE),
    CASE("empty value", FIELD("A:"), DONE),
    CASE("token with every mark", FIELD("!#$%&'*+-.^_`|~09azAZ: 1"), DONE),
    CASE("8: bare LF ends the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", BAD_LINE_END),
    CASE("8: bare LF ends a field line", GET "Host: a\nB: c\r\n\r\n", BAD_LINE_END),
    CASE("8: bare LF as the empty line", GET HOST "\n", BAD_LINE_END),
    CASE("8: CR in a value", FIELD("A: b\rc"), BAD_LINE_END),
    CASE("8: CR CR LF", FIELD("A: b\r"), BAD_LINE_END),
    CASE("8: CR before a smuggled name", FIELD("X-Abc: \rxTransfer-Encoding: chunked"),
         BAD_LINE_END),
    CASE("8: NUL in a value", FIELD("A: b\0c"), BAD_BYTE),
    CASE("8: NUL in a name", FIELD("A\0: b"), BAD_BYTE),
    CASE("8: NUL in the target", "GET /\0 HTTP/1.1\r\n" HOST "\r\n", BAD_BYTE),
    CASE("8: DEL in a value", FIELD("A: \x7f"), BAD_BYTE),
    CASE("8: VT in a value", FIELD("A: \v"), BAD_BYTE),
    CASE("8: bare CR in the empty line", GET HOST "\rX", BAD_LINE_END),
    CASE("6: space before the colon", FIELD("A : b"), SPACE_BEFORE_COLON),
    CASE("6: tab before the colon", FIELD("A\t: b"), SPACE_BEFORE_COLON),
    CASE("6: space before the first field", GET " A: b\r\n" HOST "\r\n", LEADING_SPACE),
    CASE("6: no colon", FIELD("Abc"), NO_COLON),
    CASE("6: empty name", FIELD(": b"), BAD_FIELD_NAME),
    CASE("6: parenthesis in a name", FIELD("A(b): c"), BAD_FIELD_NAME),
    CASE("6: obs-text in a name", FIELD("A\xc3\xa4: c"), BAD_FIELD_NAME),
    CASE("7: obs-fold by space", FIELD("A: b\r\n c"), OBS_FOLD),
    CASE("7: obs-fold by tab", FIELD("A: b\r\n\tc"), OBS_FOLD),
    CASE("16: no host", GET "\r\n", NO_HOST),
    CASE("16: two hosts", GET HOST HOST "\r\n", MANY_HOSTS),
    CASE("16: two hosts, another case", GET HOST "hOST: b\r\n\r\n", MANY_HOSTS),
    CASE("16: empty host", GET "Host:\r\n\r\n", BAD_HOST),
    CASE("16: host with a path", GET "Host: a/b\r\n\r\n", BAD_HOST),
    CASE("16: host with user", GET "Host: u@a\r\n\r\n", BAD_HOST),
    CASE("16: host list", GET "Host: a, b\r\n\r\n", BAD_HOST),
    CASE("16: host with a space", GET "Host: a b\r\n\r\n", BAD_HOST),
    CASE("16: port not a number", GET "Host: a:b\r\n\r\n", BAD_HOST),
    CASE("16: port too large", GET "Host: a:65536\r\n\r\n", BAD_HOST),
    CASE("16: port zero", GET "Host: a:0\r\n\r\n", BAD_HOST),
    CASE("16: broken IPv6", GET "Host: [::1\r\n\r\n", BAD_HOST),
    CASE("16: IPv6 that is none", GET "Host: [1::2::3]\r\n\r\n", BAD_HOST),
    CASE("16: absolute-form needs a fit host", "GET http://a/ HTTP/1.1\r\n\r\n", NO_HOST),
    CASE("16: absolute-form, unfit host", "GET http://a/ HTTP/1.1\r\nHost: b/\r\n\r\n", BAD_HOST),
    CASE("18: unknown method", "get / HTTP/1.1\r\n" HOST "\r\n", DONE),
    CASE("18: connect", "CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", CONNECT_REFUSED),
    CASE("18: method is no token", "G(T / HTTP/1.1\r\n" HOST "\r\n", BAD_METHOD),
    CASE("18: empty method", " / HTTP/1.1\r\n" HOST "\r\n", BAD_METHOD),
    CASE("18: endless method", LONG_16 LONG_16 "x / HTTP/1.1\r\n" HOST "\r\n", METHOD_TOO_LONG),
    CASE("18: TLS on a plain port", "\x16\x03\x01\x02\r\n\r\n", BAD_BYTE),
    CASE("19: fragment", "GET /a#b HTTP/1.1\r\n" HOST "\r\n", TARGET_FRAGMENT),
    CASE("19: fragment in the query", "GET /a?b#c HTTP/1.1\r\n" HOST "\r\n", TARGET_FRAGMENT),
    CASE("19: backslash", "GET /a\\b HTTP/1.1\r\n" HOST "\r\n", TARGET_BACKSLASH),
    CASE("19: backslash in the query", "GET /a?\\b HTTP/1.1\r\n" HOST "\r\n", DONE),
    CASE("19: obs-text", "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    CASE("19: space in the target", "GET /a b HTTP/1.1\r\n" HOST "\r\n", BAD_VERSION),
    CASE("19: two spaces", "GET  / HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    CASE("19: tab for the space", "GET /\tHTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    CASE("19: relative", "GET a/b HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET_FORM),
    CASE("19: authority-form", "GET a.example:443 HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET_FORM),
    CASE("19: other scheme", "GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET_FORM),
    CASE("19: user in the authority", "GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n", BAD_AUTHORITY),
    CASE("19: no authority", "GET http:///a HTTP/1.1\r\n" HOST "\r\n", BAD_AUTHORITY),
    CASE("19: asterisk for GET", "GET * HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET_FORM),
    CASE("19: more than an asterisk", "OPTIONS *a HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET_FORM),
    CASE("19: query alone", "GET ?a HTTP/1.1\r\n" HOST "\r\n", BAD_TARGET),
    CASE("19: target too long", "GET /" LONG_256 " HTTP/1.1\r\n" HOST "\r\n", TARGET_TOO_LONG),
    CASE("19: authority too long", "GET http://" LONG_256 "/ HTTP/1.1\r\n" HOST "\r\n",
         TARGET_TOO_LONG),
    CASE("version: 0.9", "GET /\r\n\r\n", VERSION_UNSUPPORTED),
    CASE("version: 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION_UNSUPPORTED),
    CASE("version: 1.2", "GET / HTTP/1.2\r\n" HOST "\r\n", VERSION_UNSUPPORTED),
    CASE("version: lower case", "GET / http/1.1\r\n" HOST "\r\n", BAD_VERSION),
    CASE("version: two digits", "GET / HTTP/1.10\r\n" HOST "\r\n", BAD_VERSION),
    CASE("version: space behind", "GET / HTTP/1.1 \r\n" HOST "\r\n", BAD_VERSION),
    CASE("version: cut", "GET / HTTP\r\n" HOST "\r\n", BAD_LINE_END),
    CASE("leading empty line", "\r\n\r\n" GET HOST "\r\n", DONE),
    CASE("leading empty lines without end", "\r\n\r\n\r\n\r\n\r\n" GET HOST "\r\n",
         BAD_LEADING_LINES),
    CASE("leading bare LF", "\n" GET HOST "\r\n", BAD_LINE_END),
    CASE("as many fields as allowed", FIELD("a:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:"), DONE),
    CASE("one field too many", FIELD("a:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:"),
         TOO_MANY_FIELDS),
    CASE("head too large", FIELD("A: " LONG_256 LONG_256 LONG_256), HEAD_TOO_LARGE),
    CASE("body behind the head", GET HOST "\r\n\0\n\r body", DONE),
};

/* Feeds the first `split` bytes, then the rest, from buffers of exactly that size. */
static enum http_verdict parse_split(struct str input, size_t split)
{
    char *first = base_alloc(split + 1), *all = base_alloc(input.n + 1);
    enum http_verdict v;

    memcpy(first, input.p, split);
    memcpy(all, input.p, input.n);
    head = (struct http_head){0};
    v = http_parse_request(&head, first, split, &limits);
    if (v == HTTP_MORE)
        v = http_parse_request(&head, all, input.n, &limits);
    free(first);
    free(all);
    return v;
}

static enum http_verdict parse_by_byte(struct str input)
{
    enum http_verdict v = HTTP_MORE;

    head = (struct http_head){0};
    for (size_t n = 1; n <= input.n && v == HTTP_MORE; n++)
        v = http_parse_request(&head, input.p, n, &limits);
    return v;
}

static void check_case(const struct verdict_case *c)
{
    enum http_verdict v;

    head = (struct http_head){0};
    v = http_parse_request(&head, c->input.p, c->input.n, &limits);
    if (v != c->want)
        fail_msg("%s: %s, not %s", c->name, http_verdict_label(v), http_verdict_label(c->want));
    v = parse_by_byte(c->input);
    if (v != c->want)
        fail_msg("%s, by byte: %s", c->name, http_verdict_label(v));
    for (size_t split = 0; split <= c->input.n; split++) {
        v = parse_split(c->input, split);
        if (v != c->want)
            fail_msg("%s, split at %zu: %s", c->name, split, http_verdict_label(v));
    }
}

static void test_verdicts(void **state)
{
    for (unsigned level = 0; level < 3; level++) {
        http_use_level(level);
        for (size_t i = 0; i < COUNT_OF(verdicts); i++)
            check_case(&verdicts[i]);
    }
}

static void test_prefix_of_valid_is_more(void **state)
{
    const struct str input = STR("GET http://a.example:80/b?c HTTP/1.1\r\nHost: d\r\nE: f\r\n\r\n");

    for (size_t n = 0; n < input.n; n++) {
        head = (struct http_head){0};
        assert_int_equal(http_parse_request(&head, input.p, n, &limits), HTTP_MORE);
    }
}

struct target_case {
    const char *name;
    struct str input;
    enum http_method method;
    enum http_target_form form;
    const char *authority, *host, *path, *query;
    uint16_t port;
};

#define TARGET(name, line, host, method, form, ...)                                     \
    {                                                                                   \
        name, {line " HTTP/1.1\r\nHost: " host "\r\n\r\n", sizeof(line host) - 1 + 21}, \
            HTTP_METHOD_##method, HTTP_##form, __VA_ARGS__                              \
    }

static const struct target_case targets[] = {
    TARGET("path", "GET /a/b", "h.example", GET, ORIGIN_FORM, "h.example", "h.example", "/a/b", "",
           0),
    TARGET("query", "POST /a?b?c/d", "h:8080", POST, ORIGIN_FORM, "h:8080", "h", "/a", "?b?c/d",
           8080),
    TARGET("empty query", "PUT /?", "h:", PUT, ORIGIN_FORM, "h:", "h", "/", "?", 0),
    TARGET("two slashes", "HEAD //x/", "[::1]:81", HEAD, ORIGIN_FORM, "[::1]:81", "[::1]", "//x/",
           "", 81),
    TARGET("odd but usual bytes", "GET /{a}|b\"<>^`?[c]", "h", GET, ORIGIN_FORM, "h", "h",
           "/{a}|b\"<>^`", "?[c]", 0),
    TARGET("16: absolute-form overrides host", "GET http://A:82/b", "h", GET, ABSOLUTE_FORM, "A:82",
           "A", "/b", "", 82),
    TARGET("16: absolute-form, empty path", "GET http://a", "h", GET, ABSOLUTE_FORM, "a", "a", "/",
           "", 0),
    TARGET("16: absolute-form, empty path, query", "GET HTTPS://a?b", "h", GET, ABSOLUTE_FORM, "a",
           "a", "/", "?b", 0),
    TARGET("absolute-form OPTIONS for all", "OPTIONS http://a", "h", OPTIONS, ABSOLUTE_FORM, "a",
           "a", "*", "", 0),
    TARGET("asterisk", "OPTIONS *", "h", OPTIONS, ASTERISK_FORM, "h", "h", "*", "", 0),
    TARGET("18: case counts", "Get /", "h", OTHER, ORIGIN_FORM, "h", "h", "/", "", 0),
    TARGET("18: no prefix match", "GETX /", "h", OTHER, ORIGIN_FORM, "h", "h", "/", "", 0),
};

static void assert_str(const char *name, struct str got, const char *want)
{
    if (got.n != strlen(want) || (got.n > 0 && memcmp(got.p, want, got.n) != 0))
        fail_msg("%s: '%.*s', not '%s'", name, STR_ARG(got), want);
}

static void test_targets(void **state)
{
    for (size_t i = 0; i < COUNT_OF(targets); i++) {
        const struct target_case *c = &targets[i];

        head = (struct http_head){0};
        if (http_parse_request(&head, c->input.p, c->input.n, &limits) != HTTP_DONE)
            fail_msg("%s: refused", c->name);
        assert_int_equal(head.method, c->method);
        assert_int_equal(head.form, c->form);
        assert_int_equal(head.port, c->port);
        assert_int_equal(head.head_bytes, c->input.n);
        assert_str(c->name, head.authority, c->authority);
        assert_str(c->name, head.host, c->host);
        assert_str(c->name, head.path, c->path);
        assert_str(c->name, head.query, c->query);
    }
}

/* The same fields whatever was in the head before, and however the bytes came. */
static void test_fields(void **state)
{
    const struct str input = STR("GET / HTTP/1.1\r\nHOST:a\r\nX_Y: 1 2 \r\nAccept: b\r\n"
                                 "Proxy: evil\r\naccept:  c\t\r\nTE: trailers\r\n\r\nGET");

    for (size_t split = 1; split <= input.n; split++) {
        http_parse_request(&head, input.p, split, &limits);
        assert_int_equal(http_parse_request(&head, input.p, input.n, &limits), HTTP_DONE);
        assert_int_equal(head.head_bytes, input.n - 3);
        assert_int_equal(head.fields.count, 6);
        assert_str("host", fields_value(&head.fields, FIELD_HOST), "a");
        assert_int_equal(fields_find(&head.fields, FIELD_ACCEPT), 2);
        assert_int_equal(fields_next(&head.fields, 2), 4);
        assert_str("second accept", head.fields.v[4].value, "c");
        assert_true(head.fields.v[1].is_alias);
        assert_str("underscore", head.fields.v[1].value, "1 2");
        assert_false(fields_is_forwardable(&head.fields, 3));
        assert_false(fields_is_forwardable(&head.fields, 5));
        assert_true(fields_is_forwardable(&head.fields, 4));
        http_head_clear(&head);
        assert_false(fields_has(&head.fields, FIELD_HOST));
    }
}

/* Pipelining: each head is followed by the next, item 20. */
static void test_pipeline(void **state)
{
    struct str in = STR(GET HOST "\r\n"
                                 "\r\nHEAD /2 HTTP/1.1\r\n" HOST "\r\n");

    head = (struct http_head){0};
    assert_int_equal(http_parse_request(&head, in.p, in.n, &limits), HTTP_DONE);
    in = (struct str){in.p + head.head_bytes, in.n - head.head_bytes};
    assert_int_equal(http_parse_request(&head, in.p, in.n, &limits), HTTP_DONE);
    assert_int_equal(head.method, HTTP_METHOD_HEAD);
    assert_str("path", head.path, "/2");
    assert_int_equal(head.head_bytes, in.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts), cmocka_unit_test(test_prefix_of_valid_is_more),
        cmocka_unit_test(test_targets),  cmocka_unit_test(test_fields),
        cmocka_unit_test(test_pipeline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
