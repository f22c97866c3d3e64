/* SPDX-License-Identifier: BSD-2-Clause */
/* Field sections of all kinds, from a client that sends what it likes, and what becomes of each:
 * statuses, resets, the end of the connection. And what abuse adds up to. */
#include "tests/lib/h2_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- A client ---- */

struct client {
    struct h2_fixture *f;
    struct h2 *h;
    nghttp2_session *session;
    unsigned status;
    uint32_t reset, goaway;
    bool is_reset, is_gone;
    const char *body;
    size_t n_body;
};

static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name, size_t n,
                     const uint8_t *value, size_t m, uint8_t flags, void *arg)
{
    struct client *c = arg;

    if (n == 7 && memcmp(name, ":status", 7) == 0)
        c->status = (unsigned)((value[0] - '0') * 100 + (value[1] - '0') * 10 + value[2] - '0');
    return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *frame, void *arg)
{
    struct client *c = arg;

    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        c->is_reset = true;
        c->reset = frame->rst_stream.error_code;
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
        c->is_gone = true;
        c->goaway = frame->goaway.error_code;
    }
    return 0;
}

static void client_open(struct client *c, struct h2_fixture *f)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;

    memset(c, 0, sizeof(*c));
    c->f = f;
    c->h = h2_open(f->hw, &h2_fixture_ops, c, &f->client);
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    assert_int_equal(nghttp2_option_new(&option), 0);
    nghttp2_option_set_no_http_messaging(option, 1); /* it does not mind what it sends */
    assert_int_equal(nghttp2_session_client_new2(&c->session, callbacks, c, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    assert_int_equal(nghttp2_submit_settings(c->session, 0, NULL, 0), 0);
}

static void client_close(struct client *c)
{
    nghttp2_session_del(c->session);
    h2_free(c->h);
}

/* Both ways until there is nothing more to say. */
static void exchange(struct client *c)
{
    const uint8_t *bytes;
    struct str out;
    ssize_t n;

    do {
        while ((n = nghttp2_session_mem_send(c->session, &bytes)) > 0)
            h2_receive(c->h, (const char *)bytes, (size_t)n);
        out = h2_collect(c->h);
        if (out.n > 0)
            assert_int_equal(nghttp2_session_mem_recv(c->session, (const uint8_t *)out.p, out.n),
                             out.n);
        event_base_loop(c->f->worker.base, EVLOOP_NONBLOCK);
    } while (out.n > 0 || nghttp2_session_want_write(c->session));
}

static ssize_t read_body(nghttp2_session *s, int32_t id, uint8_t *to, size_t most, uint32_t *flags,
                         nghttp2_data_source *source, void *arg)
{
    struct client *c = arg;

    assert_true(c->n_body <= most);
    memcpy(to, c->body, c->n_body);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)c->n_body;
}

struct line {
    struct str name, value;
};
#define L(name, value)               \
    {                                \
        {name, sizeof(name) - 1},    \
        {                            \
            value, sizeof(value) - 1 \
        }                            \
    }

enum { LINES_MAX = 12 };
static int32_t submit(struct client *c, const struct line lines[LINES_MAX], const char *body)
{
    nghttp2_data_provider provider = {.read_callback = read_body};
    nghttp2_nv nv[LINES_MAX];
    size_t n = 0;

    for (; n < LINES_MAX && lines[n].name.p != NULL; n++)
        nv[n] = (nghttp2_nv){.name = (uint8_t *)lines[n].name.p,
                             .value = (uint8_t *)lines[n].value.p,
                             .namelen = lines[n].name.n,
                             .valuelen = lines[n].value.n,
                             .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME};
    c->body = body;
    c->n_body = body != NULL ? strlen(body) : 0;
    return nghttp2_submit_request(c->session, NULL, nv, n, body != NULL ? &provider : NULL, NULL);
}

/* ---- Field sections ---- */

#define GET L(":method", "GET")
#define HTTPS L(":scheme", "https")
#define HOST L(":authority", "a.test")
#define PATH L(":path", "/x")
#define USUAL GET, HTTPS, HOST, PATH

enum { RESET = 1 }; /* with PROTOCOL_ERROR; else the status */
struct section_case {
    const char *name;
    struct line lines[LINES_MAX];
    unsigned want;
    const char *body;
};

static const struct section_case names_and_values[] = {
    {"plain", {USUAL, L("x-a", "b")}, 404, NULL},
    {"obs-text and tab inside", {USUAL, L("x-a", "b\tc \xff")}, 404, NULL},
    {"empty value", {USUAL, L("x-a", "")}, 404, NULL},
    {"capital in a name", {USUAL, L("X-a", "b")}, RESET, NULL},
    {"empty name", {USUAL, L("", "b")}, RESET, NULL},
    {"space in a name", {USUAL, L("x a", "b")}, RESET, NULL},
    {"colon in a name", {USUAL, L("x:a", "b")}, RESET, NULL},
    {"CR in a name", {USUAL, L("x\ra", "b")}, RESET, NULL},
    {"LF in a name", {USUAL, L("x\na", "b")}, RESET, NULL},
    {"NUL in a name", {USUAL, L("x\0a", "b")}, RESET, NULL},
    {"obs-text in a name", {USUAL, L("x\xe4", "b")}, RESET, NULL},
    {"CR in a value", {USUAL, L("x-a", "b\rc")}, RESET, NULL},
    {"LF in a value", {USUAL, L("x-a", "b\nc")}, RESET, NULL},
    {"CRLF and a field in a value", {USUAL, L("x-a", "b\r\nhost: evil")}, RESET, NULL},
    {"NUL in a value", {USUAL, L("x-a", "b\0c")}, RESET, NULL},
    {"DEL in a value", {USUAL, L("x-a", "b\x7f")}, RESET, NULL},
    {"space in front of a value", {USUAL, L("x-a", " b")}, RESET, NULL},
    {"space behind a value", {USUAL, L("x-a", "b ")}, RESET, NULL},
    {"tab in front of a value", {USUAL, L("x-a", "\tb")}, RESET, NULL},
    {"tab behind a value", {USUAL, L("x-a", "b\t")}, RESET, NULL},
};

static const struct section_case pseudo[] = {
    {"transfer-encoding", {USUAL, L("transfer-encoding", "chunked")}, RESET, NULL},
    {"connection", {USUAL, L("connection", "close")}, RESET, NULL},
    {"keep-alive", {USUAL, L("keep-alive", "5")}, RESET, NULL},
    {"proxy-connection", {USUAL, L("proxy-connection", "x")}, RESET, NULL},
    {"upgrade", {USUAL, L("upgrade", "websocket")}, RESET, NULL},
    {"te: trailers", {USUAL, L("te", "trailers")}, 404, NULL},
    {"te: anything else", {USUAL, L("te", "gzip")}, RESET, NULL},
    {"pseudo after regular", {GET, HTTPS, HOST, L("x-a", "b"), PATH}, RESET, NULL},
    {"method twice", {GET, USUAL}, RESET, NULL},
    {"path twice", {PATH, USUAL}, RESET, NULL},
    {"authority twice", {HOST, USUAL}, RESET, NULL},
    {"unknown pseudo", {USUAL, L(":x", "b")}, RESET, NULL},
    {"status in a request", {USUAL, L(":status", "200")}, RESET, NULL},
    {"no method", {HTTPS, HOST, PATH}, RESET, NULL},
    {"no scheme", {GET, HOST, PATH}, RESET, NULL},
    {"no path", {GET, HTTPS, HOST}, RESET, NULL},
    {"empty path", {GET, HTTPS, HOST, L(":path", "")}, RESET, NULL},
    {"protocol without connect", {USUAL, L(":protocol", "websocket")}, RESET, NULL},
    {"connect", {L(":method", "CONNECT"), L(":authority", "a.test:443")}, 501, NULL},
    {"connect for an unknown protocol",
     {L(":method", "CONNECT"), L(":protocol", "ip"), HTTPS, HOST, PATH},
     501,
     NULL},
};

static const struct section_case targets[] = {
    {"space in the method", {L(":method", "GET /y"), HTTPS, HOST, PATH}, RESET, NULL},
    {"CRLF in the method", {L(":method", "GET\r\n"), HTTPS, HOST, PATH}, RESET, NULL},
    {"method that is no token", {L(":method", "G(T"), HTTPS, HOST, PATH}, RESET, NULL},
    {"a long method",
     {L(":method", "ABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJ"), HTTPS, HOST, PATH},
     501,
     NULL},
    {"space in the path", {GET, HTTPS, HOST, L(":path", "/a b")}, RESET, NULL},
    {"a request line in the path",
     {GET, HTTPS, HOST, L(":path", "/ HTTP/1.1\r\nx: y")},
     RESET,
     NULL},
    {"NUL in the path", {GET, HTTPS, HOST, L(":path", "/\0")}, RESET, NULL},
    {"obs-text in the path", {GET, HTTPS, HOST, L(":path", "/\xc3\xa4")}, 400, NULL},
    {"fragment", {GET, HTTPS, HOST, L(":path", "/a#b")}, 400, NULL},
    {"fragment in the query", {GET, HTTPS, HOST, L(":path", "/a?c#b")}, 400, NULL},
    {"backslash", {GET, HTTPS, HOST, L(":path", "/a\\b")}, 400, NULL},
    {"no slash in front", {GET, HTTPS, HOST, L(":path", "x")}, RESET, NULL},
    {"a whole URI as path", {GET, HTTPS, HOST, L(":path", "http://b.test/")}, RESET, NULL},
    {"asterisk", {L(":method", "OPTIONS"), HTTPS, HOST, L(":path", "*")}, 204, NULL},
    {"asterisk of GET", {GET, HTTPS, HOST, L(":path", "*")}, RESET, NULL},
    {"another scheme", {GET, L(":scheme", "ftp"), HOST, PATH}, 400, NULL},
    {"user in the authority", {GET, HTTPS, L(":authority", "u@a.test"), PATH}, 400, NULL},
    {"space in the authority", {GET, HTTPS, L(":authority", "a.test b"), PATH}, RESET, NULL},
    {"path in the authority", {GET, HTTPS, L(":authority", "a.test/b"), PATH}, RESET, NULL},
    {"another host", {USUAL, L("host", "b.test")}, 400, NULL},
    {"the same host", {USUAL, L("host", "A.test:443")}, 404, NULL},
    {"host alone", {GET, HTTPS, PATH, L("host", "a.test")}, 404, NULL},
    {"misdirected", {GET, HTTPS, L(":authority", "misdirected.test"), PATH}, 421, NULL},
    {"expectation", {USUAL, L("expect", "tea")}, 417, NULL},
};

static const struct section_case lengths[] = {
    {"the length", {USUAL, L("content-length", "4")}, 404, "body"},
    {"no length", {USUAL}, 404, "body"},
    {"too short a body", {USUAL, L("content-length", "5")}, RESET, "body"},
    {"too long a body", {USUAL, L("content-length", "3")}, RESET, "body"},
    {"a length and no body", {USUAL, L("content-length", "1")}, RESET, NULL},
    {"0 and no body", {USUAL, L("content-length", "0")}, 404, NULL},
    {"0 and a body", {USUAL, L("content-length", "0")}, RESET, "body"},
    {"two lengths", {USUAL, L("content-length", "4"), L("content-length", "4")}, RESET, "body"},
    {"a list of lengths", {USUAL, L("content-length", "4, 4")}, RESET, "body"},
    {"a sign", {USUAL, L("content-length", "+4")}, RESET, "body"},
    {"an overflow", {USUAL, L("content-length", "99999999999999999999")}, RESET, "body"},
};

static void check_sections(struct h2_fixture *f, const struct section_case *cases, size_t n)
{
    unsigned failures = 0;

    for (size_t i = 0; i < n; i++) {
        struct client c;
        unsigned got;

        client_open(&c, f);
        assert_true(submit(&c, cases[i].lines, cases[i].body) > 0);
        exchange(&c);
        got = c.is_reset && c.reset != NGHTTP2_NO_ERROR ? c.reset : c.status;
        if (got != cases[i].want || c.is_gone) {
            print_error("%s: got %u%s, wanted %u\n", cases[i].name, got, c.is_gone ? " GOAWAY" : "",
                        cases[i].want);
            failures++;
        }
        client_close(&c);
    }
    assert_int_equal(failures, 0);
}

static void http_check_56_names_and_values(void **state)
{
    check_sections(*state, names_and_values, COUNT_OF(names_and_values));
}

static void http_check_57_connection_fields_and_pseudo_fields(void **state)
{
    check_sections(*state, pseudo, COUNT_OF(pseudo));
}

static void http_check_58_targets(void **state)
{
    check_sections(*state, targets, COUNT_OF(targets));
}

static void http_check_58_lengths(void **state)
{
    check_sections(*state, lengths, COUNT_OF(lengths));
}

/* ---- Abuse ---- */

static void score_leaks_and_has_a_limit(void **state)
{
    struct config_http2 limits = {.abuse_limit = 20, .abuse_leak = 10};
    struct h2_score score = {0};

    for (int i = 0; i < 5; i++)
        assert_true(h2_score_add(&score, H2_GLITCH_PING, 1000, &limits)); /* 4 each */
    assert_int_equal(score.points, 20);
    assert_false(h2_score_add(&score, H2_GLITCH_SMALL_WINDOW_UPDATE, 1099, &limits));
    assert_true(h2_score_add(&score, H2_GLITCH_SMALL_WINDOW_UPDATE, 1300, &limits));
    assert_int_equal(score.points, 19); /* 21 - 3 + 1 */
    assert_true(h2_score_add(&score, H2_GLITCH_PING, 100000, &limits));
    assert_int_equal(score.points, 4);
}

/* Time counts even if no whole point has gone when somebody looks. */
static void score_leaks_slowly_too(void **state)
{
    struct config_http2 limits = {.abuse_limit = 1000, .abuse_leak = 1};
    struct h2_score score = {0};

    for (int i = 0; i <= 100; i++)
        assert_true(h2_score_add(&score, H2_GLITCH_SMALL_WINDOW_UPDATE, 1000 + i * 100, &limits));
    assert_int_equal(score.points, 101 - 10);
}

static void score_without_limit(void **state)
{
    struct config_http2 limits = {.abuse_limit = 0, .abuse_leak = 0};
    struct h2_score score = {0};

    for (int i = 0; i < 100000; i++)
        assert_true(h2_score_add(&score, H2_GLITCH_SETTINGS, 1000, &limits));
}

static void abuse_ends_the_connection(void **state)
{
    struct client c;
    unsigned sent = 0;

    client_open(&c, *state);
    exchange(&c);
    while (!c.is_gone && sent++ < 1000) {
        assert_int_equal(nghttp2_submit_ping(c.session, NGHTTP2_FLAG_NONE, NULL), 0);
        exchange(&c);
    }
    assert_int_equal(c.goaway, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_in_range(sent, 250, 260); /* 4 points each, of 1000 */
    assert_true(h2_is_over(c.h));
    client_close(&c);
}

/* ---- The whole ---- */

static void a_connection_that_drains_is_over(void **state)
{
    const struct line lines[LINES_MAX] = {USUAL};
    struct client c;

    client_open(&c, *state);
    exchange(&c);
    assert_int_equal(h2_waits_for(c.h), H2_WAIT_IDLE);
    h2_drain(c.h);
    submit(&c, lines, NULL);
    exchange(&c);
    assert_int_equal(c.status, 404);
    assert_true(c.is_gone);
    assert_int_equal(c.goaway, NGHTTP2_NO_ERROR);
    assert_true(h2_is_over(c.h));
    client_close(&c);
}

static void websocket_keys_are_answered(void **state)
{
    char accept[H2_ACCEPT_BYTES + 1];

    h2_websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", accept); /* RFC 6455 section 1.3 */
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static int set_up(void **state)
{
    *state = h2_fixture_new();
    return 0;
}

static int tear_down(void **state)
{
    h2_fixture_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http_check_56_names_and_values),
        cmocka_unit_test(http_check_57_connection_fields_and_pseudo_fields),
        cmocka_unit_test(http_check_58_targets),
        cmocka_unit_test(http_check_58_lengths),
        cmocka_unit_test(score_leaks_and_has_a_limit),
        cmocka_unit_test(score_leaks_slowly_too),
        cmocka_unit_test(score_without_limit),
        cmocka_unit_test(abuse_ends_the_connection),
        cmocka_unit_test(a_connection_that_drains_is_over),
        cmocka_unit_test(websocket_keys_are_answered),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
