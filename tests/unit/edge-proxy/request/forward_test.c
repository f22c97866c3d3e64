/* SPDX-License-Identifier: BSD-2-Clause */
/* What the origin gets to see of a request: composed from a parsed head, compared byte by byte. */
#include "edge-proxy/request/request_internal.h"
#include "edge-proxy/upstream/upstream_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TAIL                                                        \
    "Via: 1.1 e1\r\nCDN-Loop: e1\r\nX-Forwarded-For: 192.0.2.7\r\n" \
    "X-Forwarded-Proto: https\r\nX-Forwarded-Host: a.test\r\n"      \
    "X-Request-ID: 000000000000abcd00000001\r\n"

static const struct {
    const char *name;
    const char *request;
    bool is_trusted, is_upgrade;
    const char *pool_host;
    const char *want;
} cases[] = {
    {"plain", "GET /p?q HTTP/1.1\r\nHost: a.test\r\nAccept: x\r\n\r\n", false, false, NULL,
     "GET /p?q HTTP/1.1\r\nHost: a.test\r\nAccept: x\r\n" TAIL "\r\n"},
    {"absolute form", "GET http://a.test/p HTTP/1.1\r\nHost: evil\r\n\r\n", false, false, NULL,
     "GET /p HTTP/1.1\r\nHost: a.test\r\n" TAIL "\r\n"},
    {"the pool's host", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", false, false, "inside:81",
     "GET / HTTP/1.1\r\nHost: inside:81\r\n" TAIL "\r\n"},
    {"hop by hop",
     "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 1\r\n"
     "TE: gzip\r\nUpgrade: h2c\r\nProxy: x\r\nProxy-Connection: close\r\n\r\n",
     false, false, NULL, "GET / HTTP/1.1\r\nHost: a.test\r\n" TAIL "\r\n"},
    {"a client that looks at trailers",
     "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: TE\r\nTE: gzip;q=0.5, trailers\r\n\r\n", false,
     false, NULL,
     "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: TE\r\nTE: trailers\r\n" TAIL "\r\n"},
    {"aliases and overrides",
     "GET / HTTP/1.1\r\nHost: a.test\r\nX_Real_Ip: 1\r\nX-Real-IP: 1\r\nX-Original-URL: /admin\r\n"
     "X-HTTP-Method-Override: DELETE\r\nX-Forwarded-Port: 1\r\n\r\n",
     false, false, NULL, "GET / HTTP/1.1\r\nHost: a.test\r\n" TAIL "\r\n"},
    {"names like those of others, and repeated ones",
     "GET / HTTP/1.1\r\nHost: a.test\r\nX.Forwarded.For: 1\r\nContent_Length: 5\r\n"
     "Authorization: a\r\nAuthorization: b\r\nAccept: 1\r\nAccept: 2\r\n\r\n",
     false, false, NULL,
     "GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: a\r\nAccept: 1\r\nAccept: 2\r\n" TAIL
     "\r\n"},
    {"early data of a proxy in front",
     "GET / HTTP/1.1\r\nHost: a.test\r\nEarly-Data: 0\r\nEarly-Data: x\r\n\r\n", false, false, NULL,
     "GET / HTTP/1.1\r\nHost: a.test\r\n" TAIL "Early-Data: 1\r\n\r\n"},
    {"forged chain of strangers",
     "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: http\r\n"
     "Forwarded: for=1\r\nX-Request-ID: mine\r\n\r\n",
     false, false, NULL, "GET / HTTP/1.1\r\nHost: a.test\r\n" TAIL "\r\n"},
    {"chain of a trusted peer",
     "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: http\r\n"
     "X-Request-ID: mine\r\nVia: 1.0 front\r\n\r\n",
     true, false, NULL,
     "GET / HTTP/1.1\r\nHost: a.test\r\nVia: 1.0 front, 1.1 e1\r\nCDN-Loop: e1\r\n"
     "X-Forwarded-For: 10.0.0.1, 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"
     "X-Forwarded-Host: a.test\r\nX-Request-ID: mine\r\n\r\n"},
    {"length and expectation",
     "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", false,
     false, NULL, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n" TAIL "\r\n"},
    {"chunks", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n", false,
     false, NULL, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n" TAIL "\r\n"},
    {"fewer hops", "OPTIONS / HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 5\r\n\r\n", false, false,
     NULL,
     "OPTIONS / HTTP/1.1\r\nHost: a.test\r\nVia: 1.1 e1\r\nCDN-Loop: e1\r\nMax-Forwards: 4\r\n"
     "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.test\r\n"
     "X-Request-ID: 000000000000abcd00000001\r\n\r\n"},
    {"websocket",
     "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", false,
     true, NULL,
     "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" TAIL "\r\n"},
};

/* As much of a worker and a generation as composing needs. */
struct setup {
    struct prefix trusted;
    struct config_pool pool;
    struct config_route route;
    struct config config;
    struct generation generation;
    struct generation_use use;
    struct request_worker rw;
    struct request r;
};

static void set_up(struct setup *s, size_t i)
{
    memset(s, 0, sizeof(*s));
    assert_true(prefix_parse(STR("192.0.2.0/24"), &s->trusted));
    s->pool.host_header = cases[i].pool_host;
    s->config.name = "e1";
    s->config.pools = &s->pool;
    s->config.n_pools = s->config.n_routes = 1;
    s->config.trusted = &s->trusted;
    s->config.n_trusted = cases[i].is_trusted;
    s->config.forwarded = CONFIG_FORWARDED_X;
    s->generation.config = &s->config;
    s->generation.rules = rules_table_new(&s->config);
    s->use.g = &s->generation;
    s->rw.id_prefix = 0xabcd;
    s->r.rw = &s->rw;
    s->r.use = &s->use;
    s->r.id = 1;
    s->r.route.route = &s->route;
    s->r.is_upgrade = cases[i].is_upgrade;
    s->r.client.is_tls = true;
    s->r.client.protocol = "HTTP/1.1";
    assert_true(ip_parse(STR("192.0.2.7"), &s->r.client.ip));
}

static void write_head(struct request *r, struct writer *w)
{
    struct upstream_request u;

    fetch_describe(r, &u);
    http1_write_head(&u, w);
    assert_false(w->is_full);
    *w->p = '\0';
}

static void compose(struct setup *s, size_t i, char *out, size_t cap)
{
    static const struct http_limits limits = {
        .head_bytes = 32768, .target_bytes = 8192, .fields = 100};
    struct writer w = writer_of(out, cap - 1);

    http_head_clear(&s->r.head);
    assert_int_equal(
        http_parse_request(&s->r.head, cases[i].request, strlen(cases[i].request), &limits),
        HTTP_DONE);
    assert_int_equal(http_request_framing(&s->r.head, &s->r.framing), HTTP_DONE);
    write_head(&s->r, &w);
}

static void origins_get_clean_heads(void **state)
{
    struct setup *s = malloc(sizeof(*s));

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char out[4096];

        set_up(s, i);
        compose(s, i, out, sizeof(out));
        if (strcmp(out, cases[i].want) != 0)
            fail_msg("%s:\n%s\ninstead of\n%s", cases[i].name, out, cases[i].want);
        rules_table_free(s->generation.rules);
    }
    free(s);
}

/* A fetch goes on without its client: its head must not point into the session's buffer. */
static void an_owned_head_needs_no_session(void **state)
{
    struct setup *s = malloc(sizeof(*s));
    struct worker worker = {0};
    char before[4096], after[4096];
    char *request;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct writer w = writer_of(after, sizeof(after) - 1);
        size_t n = strlen(cases[i].request);

        set_up(s, i);
        s->rw.w = &worker;
        compose(s, i, before, sizeof(before));
        request = base_strndup(cases[i].request, n);
        http_head_clear(&s->r.head);
        assert_int_equal(http_parse_request(&s->r.head, request, n, &HTTP_LIMITS_DEFAULT),
                         HTTP_DONE);
        request_own_head(&s->r, &s->r);
        memset(request, '#', n);
        free(request);
        write_head(&s->r, &w);
        assert_string_equal(after, before);
        free(s->r.own_head);
        rules_table_free(s->generation.rules);
    }
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins_get_clean_heads),
        cmocka_unit_test(an_owned_head_needs_no_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
