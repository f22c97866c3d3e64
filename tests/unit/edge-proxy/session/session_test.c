/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection over a socket pair, with a real worker and a site whose only origin is dead:
 * everything that HTTP/1.1 asks of a server is seen from the answers.
 */
#include "edge-proxy/session/session.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const hosts[] = {"a.test"};
static struct config_origin origin = {.name = "dead", .weight = 1};
static struct config_pool pool = {.name = "app",
                                  .origins = &origin,
                                  .n_origins = 1,
                                  .connect_timeout_ms = 1000,
                                  .first_byte_timeout_ms = 1000};
static const struct config_route routes[] = {{.prefix = "/app/"}};
static const struct config_site sites[] = {
    {.name = "a", .hosts = hosts, .n_hosts = 1, .routes = routes, .n_routes = 1}};
static struct config config = {
    .path = "test",
    .name = "e1",
    .pools = &pool,
    .n_pools = 1,
    .sites = sites,
    .n_sites = 1,
    .n_routes = 1,
    .limits = {.header_timeout_ms = 5000,
               .keep_alive_ms = 5000,
               .body_idle_ms = 5000,
               .head_bytes = 16384,
               .max_connections = 10},
};

#define H "Host: a.test\r\n"
#define BYE "GET /none HTTP/1.1\r\n" H "Connection: close\r\n\r\n"

static const struct {
    const char *name, *input;
    const char *want; /* statuses in order; what comes before a close */
} cases[] = {
    {"one and close", BYE, "404"},
    {"kept alive", "GET /x HTTP/1.1\r\n" H "\r\n" BYE, "404 404"},
    {"pipelined", "GET /1 HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H "\r\n" BYE, "404 404 404"},
    {"empty lines before", "\r\n\r\n" BYE, "404"},
    {"1.0 closes", "GET /x HTTP/1.0\r\n" H "\r\n" BYE, "404"},
    {"1.0 kept alive", "GET /x HTTP/1.0\r\n" H "Connection: keep-alive\r\n\r\n" BYE, "404 404"},
    {"unknown host", "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n" BYE, "421 404"},
    {"trace", "TRACE / HTTP/1.1\r\n" H "\r\n" BYE, "405 404"},
    {"purge", "PURGE /app/ HTTP/1.1\r\n" H "\r\n" BYE, "405 404"},
    {"options of the server", "OPTIONS * HTTP/1.1\r\n" H "\r\n" BYE, "204 404"},
    {"options here", "OPTIONS /app/ HTTP/1.1\r\n" H "Max-Forwards: 0\r\n\r\n" BYE, "204 404"},
    {"dot segments", "GET /app/../x HTTP/1.1\r\n" H "\r\n" BYE, "400 404"},
    {"loop", "GET /app/ HTTP/1.1\r\n" H "CDN-Loop: x, e1; y=z\r\n\r\n" BYE, "508 404"},
    {"dead origin", "GET /app/ HTTP/1.1\r\n" H "\r\n" BYE, "502 404"},
    {"head of it", "HEAD /app/ HTTP/1.1\r\n" H "\r\n" BYE, "502 404"},
    {"nothing after a broken head", "GET /x HTTP/1.1\r\nHost : a\r\n\r\n" BYE, "400"},
    {"no host", "GET /x HTTP/1.1\r\n\r\n" BYE, "400"},
    {"two lengths", "POST /x HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n" BYE,
     "400"},
    {"length and coding",
     "POST /x HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" BYE, "400"},
    {"unknown expectation", "POST /x HTTP/1.1\r\n" H "Expect: tea\r\nContent-Length: 0\r\n\r\n" BYE,
     "417"},
    {"version", "GET / HTTP/2.0\r\n" H "\r\n" BYE, "505"},
    {"connect", "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n" BYE, "501"},
};

struct fixture {
    struct loop *loop;
    struct worker worker;
    struct request_shared shared;
    struct generation generation;
    struct request_worker *rw;
    struct session_worker *sw;
    unsigned n_unused;
};

static void on_unused(void *arg, struct generation *g)
{
    ((struct fixture *)arg)->n_unused++;
}

static int set_up_with_origin(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct errors errors = {0};

    f->loop = loop_new("test");
    worker_init(&f->worker, 0, f->loop);
    f->shared.cache = cache_new(0, 0);
    f->shared.guard = guard_new(1);
    f->shared.log = access_log_new();
    f->shared.on_generation_unused = on_unused;
    f->shared.arg = f;
    f->generation.config = &config;
    f->generation.routes = route_table_new(&config);
    f->generation.credentials = credential_table_new(&config, &errors);
    f->generation.rules = rules_table_new(&config);
    f->generation.guard = guard_rules_new(&config);
    f->generation.pools = upstream_pools_new(&config, NULL, &errors);
    f->rw = request_worker_new(&f->worker, &f->shared, &f->generation);
    f->sw = session_worker_new(f->rw);
    *state = f;
    return 0;
}

/* A port on which nobody listens. */
static int set_up(void **state)
{
    assert_true(addr_parse(STR("127.0.0.1:1"), 0, &origin.address));
    return set_up_with_origin(state);
}

static int listener;

static int set_up_listener(void **state)
{
    listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(addr_parse(STR("127.0.0.1:0"), 0, &origin.address));
    assert_int_equal(bind(listener, &origin.address.sa, origin.address.length), 0);
    assert_int_equal(getsockname(listener, &origin.address.sa, &origin.address.length), 0);
    assert_int_equal(listen(listener, 1), 0);
    return set_up_with_origin(state);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    session_worker_free(f->sw);
    request_worker_stop(f->rw);
    assert_int_equal(f->n_unused, 1); /* nothing holds the generation any more */
    request_worker_free(f->rw);
    worker_stop(&f->worker);
    loop_free(f->loop);
    access_log_free(f->shared.log, 1000);
    cache_free(f->shared.cache);
    upstream_pools_free(f->generation.pools);
    route_table_free(f->generation.routes);
    credential_table_free(f->generation.credentials);
    rules_table_free(f->generation.rules);
    guard_rules_free(f->generation.guard);
    guard_free(f->shared.guard);
    free(f);
    return 0;
}

static void turn_loop(struct fixture *f)
{
    event_base_loop(f->worker.base, EVLOOP_NONBLOCK);
}

/* Sends input, step bytes at a time, and reads until the session closes. */
static size_t converse(struct fixture *f, const char *input, size_t step, char *got, size_t cap)
{
    struct addr peer;
    int pair[2];
    size_t n = strlen(input), sent = 0, n_got = 0;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_true(addr_parse(STR("192.0.2.1:1234"), 0, &peer));
    session_open(f->sw, pair[0], &(struct session_arrival){&peer, false, 0});
    for (;;) {
        size_t more = n - sent < step ? n - sent : step;
        ssize_t m = more > 0 ? send(pair[1], input + sent, more, MSG_NOSIGNAL) : 0;

        sent = m < 0 ? n : sent + (size_t)m; /* refused before all was sent: fine */
        if (sent == n)
            shutdown(pair[1], SHUT_WR);
        turn_loop(f);
        m = recv(pair[1], got + n_got, cap - n_got - 1, 0);
        if (m > 0)
            n_got += (size_t)m;
        else if (m == 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    got[n_got] = '\0';
    close(pair[1]);
    while (session_worker_count(f->sw) > 0)
        event_base_loop(f->worker.base, EVLOOP_ONCE);
    return n_got;
}

static void read_statuses(const char *got, char *out, size_t cap)
{
    size_t n = 0;

    out[0] = '\0';
    for (const char *p = strstr(got, "HTTP/1.1 "); p != NULL; p = strstr(p + 9, "HTTP/1.1 "))
        n += (size_t)snprintf(out + n, cap - n, "%s%.3s", n > 0 ? " " : "", p + 9);
}

static void answers_in_order(void **state)
{
    static const size_t steps[] = {100000, 1, 7};
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (size_t k = 0; k < COUNT_OF(steps); k++) {
            char got[8192], statuses[64];

            converse(f, cases[i].input, steps[k], got, sizeof(got));
            read_statuses(got, statuses, sizeof(statuses));
            if (strcmp(statuses, cases[i].want) != 0)
                fail_msg("%s (by %zu): %s instead of %s\n%s", cases[i].name, steps[k], statuses,
                         cases[i].want, got);
        }
    assert_int_equal(atomic_load(&f->shared.connections), 0);
}

/* A body that nobody wants is thrown away if it is there, so that the connection goes on; it is not
 * waited for. */
static void an_unwanted_body_never_becomes_a_request(void **state)
{
    static const char *const inputs[] = {
        "POST /x HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nGET /" BYE,
        "POST /x HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n" BYE,
    };
    struct fixture *f = *state;
    char got[8192], statuses[64];

    for (size_t i = 0; i < COUNT_OF(inputs); i++) {
        converse(f, inputs[i], 1000, got, sizeof(got));
        read_statuses(got, statuses, sizeof(statuses));
        assert_string_equal(statuses, "404 404");
        converse(f, inputs[i], 1, got, sizeof(got));
        read_statuses(got, statuses, sizeof(statuses));
        assert_string_equal(statuses, "404");
    }
}

/* Counters tell refusals by their verdict. */
static void refusals_are_counted(void **state)
{
    struct fixture *f = *state;
    uint64_t before = metrics_sum(&counters_all, counters_of_verdict(HTTP_NO_HOST));
    char got[8192];

    converse(f, "GET / HTTP/1.1\r\n\r\n", 1000, got, sizeof(got));
    assert_int_equal(metrics_sum(&counters_all, counters_of_verdict(HTTP_NO_HOST)), before + 1);
}

static void the_client_is_asked_to_go_while_draining(void **state)
{
    struct fixture *f = *state;
    char got[8192];

    atomic_store(&f->shared.is_draining, true);
    converse(f, "GET /x HTTP/1.1\r\n" H "\r\nGET /y HTTP/1.1\r\n" H "\r\n", 1000, got, sizeof(got));
    assert_non_null(strstr(got, "\r\nConnection: close\r\n"));
    assert_null(strstr(got + 9, "HTTP/1.1 ")); /* the second one was not begun */
}

/* A request head of bytes in all; the rest is padding. */
static void write_padded(char *at, const char *head, size_t bytes)
{
    size_t n = strlen(head);

    memcpy(at, head, n);
    memset(at + n, 'a', bytes - n);
    memcpy(at + bytes - 4, "\r\n\r\n", 4);
}

/* Its head fills the buffer to the last byte, behind others that came with it. */
static void a_pipelined_upload_has_room(void **state)
{
    enum { HEAD_BYTES = 4096, HEADS = BUFFER_BYTES / HEAD_BYTES };
    static const char body[] = "12345678";
    static char input[BUFFER_BYTES + sizeof(body)];
    struct fixture *f = *state;
    struct addr peer;
    char got[16384] = "", drain[4096];
    size_t n = 0;
    int pair[2], fd = -1;

    for (size_t i = 0; i + 1 < HEADS; i++)
        write_padded(input + i * HEAD_BYTES, "GET /x HTTP/1.1\r\n" H "X: ", HEAD_BYTES);
    write_padded(input + (HEADS - 1) * HEAD_BYTES,
                 "POST /app/ HTTP/1.1\r\n" H "Content-Length: 8\r\nX: ", HEAD_BYTES);
    memcpy(input + BUFFER_BYTES, body, sizeof(body) - 1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(send(pair[1], input, sizeof(input) - 1, 0), sizeof(input) - 1);
    assert_true(addr_parse(STR("192.0.2.1:1234"), 0, &peer));
    session_open(f->sw, pair[0], &(struct session_arrival){&peer, false, 0});
    for (unsigned i = 0; i < 1000 && strstr(got, body) == NULL; i++) {
        ssize_t m;

        turn_loop(f);
        while (recv(pair[1], drain, sizeof(drain), 0) > 0)
            continue;
        if (fd < 0)
            fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        m = fd >= 0 ? recv(fd, got + n, sizeof(got) - n - 1, MSG_DONTWAIT) : 0;
        n += m > 0 ? (size_t)m : 0;
    }
    assert_non_null(strstr(got, body));
    close(pair[1]);
    while (session_worker_count(f->sw) > 0)
        event_base_loop(f->worker.base, EVLOOP_ONCE);
    close(fd);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unwanted_body_never_becomes_a_request, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(refusals_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pipelined_upload_has_room, set_up_listener, tear_down),
        cmocka_unit_test_setup_teardown(the_client_is_asked_to_go_while_draining, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
