/* SPDX-License-Identifier: BSD-2-Clause */
/* Two workers on one thread, whose loops are turned by hand, and listeners on loopback. */
#include "edge-proxy/dial/dial_internal.h"

#include "common/clock/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct loop *loops[3]; /* of two workers and of the control thread */
    struct worker workers[3];
    struct dial_worker *dials[2];
    struct dial_store *store;
    struct dial_identity *plain;
    struct errors errors;
};

/* What became of a connection. */
struct seen {
    struct dial_conn *c; /* in use */
    bool is_open, has_failed;
    dial_why why;
    unsigned events;
};

static void on_open(void *arg, dial_why why)
{
    struct seen *s = arg;

    s->is_open = why == 0;
    s->has_failed = why != 0;
    s->why = why;
}

static void on_event(void *arg, short what)
{
    struct seen *s = arg;

    s->events++;
    dial_want(s->c, 0);
}

static void on_timeout(void *arg)
{
}

static const struct dial_ops ops = {on_open, on_event, on_timeout};

static int set_up(void **state)
{
    static const struct config_origin_tls off;
    struct fixture *f = calloc(1, sizeof(*f));

    for (unsigned i = 0; i < 3; i++) {
        f->loops[i] = loop_new("test");
        worker_init(&f->workers[i], i, f->loops[i]);
    }
    f->store = dial_store_new(&f->workers[2]);
    dial_store_set_limit(f->store, 100, 2);
    for (unsigned i = 0; i < 2; i++)
        f->dials[i] = dial_worker_new(&f->workers[i], f->store);
    f->plain = dial_identity_get(&off, &f->errors);
    assert_non_null(f->plain);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    dial_worker_free(f->dials[0]);
    dial_worker_free(f->dials[1]);
    dial_store_free(f->store);
    dial_identity_put(f->plain);
    for (unsigned i = 0; i < 3; i++) {
        worker_stop(&f->workers[i]);
        loop_free(f->loops[i]);
    }
    free(f);
    return 0;
}

static void turn(struct fixture *f)
{
    for (unsigned i = 0; i < 3; i++)
        event_base_loop(f->workers[i].base, EVLOOP_NONBLOCK);
    usleep(1000);
}

/* Turns until the condition holds, 5 s at most. */
#define TURN_UNTIL(f, condition)                      \
    do {                                              \
        int64_t until_ = clock_mono_ms() + 5000;      \
        bool holds_ = (condition);                    \
                                                      \
        while (!holds_ && clock_mono_ms() < until_) { \
            turn(f);                                  \
            holds_ = (condition);                     \
        }                                             \
        assert_true(holds_);                          \
    } while (0)

/* ---- Addresses that answer, refuse and stall ---- */

static struct addr any_port(const char *text)
{
    struct addr a;

    assert_true(addr_parse(str_of(text), 0, &a));
    return a;
}

static int listen_on(const char *text, int backlog, struct dial_target *out)
{
    struct addr a = any_port(text);
    int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);

    assert_int_equal(bind(fd, &a.sa, a.length), 0);
    assert_int_equal(getsockname(fd, &a.sa, &a.length), 0);
    assert_int_equal(listen(fd, backlog), 0);
    *out = dial_target_of(&a);
    return fd;
}

static struct dial_target refusing(const char *text)
{
    struct dial_target t;

    close(listen_on(text, 1, &t));
    return t;
}

/* Nobody accepts, and the queue is full: the kernel drops what comes. */
static struct dial_target stalling(const char *text, int fds[4])
{
    struct dial_target t;

    fds[0] = listen_on(text, 0, &t);
    for (int i = 1; i < 4; i++) {
        fds[i] = socket(t.addr.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fds[i], &t.addr.sa, t.addr.length);
    }
    return t;
}

static void close_all(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
}

static struct dial_order order_of(struct fixture *f, const struct dial_target *targets, size_t n)
{
    return (struct dial_order){.targets = targets,
                               .n_targets = n,
                               .identity = f->plain,
                               .timeout_ms = 3000,
                               .stagger_ms = 250};
}

static bool is_ipv6(const struct dial_conn *c)
{
    return c->ip.family == 6;
}

/* ---- Races (RFC 8305) ---- */

/* Section 5: the next one joins after the delay; what worked goes first the next time. */
static void a_stalled_address_is_passed(void **state)
{
    struct fixture *f = *state;
    struct dial_memory memory = {0};
    struct dial_target targets[2];
    int stalled[4], live = listen_on("127.0.0.1:0", 8, &targets[0]);
    struct dial_order o = order_of(f, targets, 2);
    struct seen seen = {0};
    struct dial_conn *c;
    dial_why why;
    int64_t began_ms;

    targets[1] = stalling("[::1]:0", stalled);
    o.memory = &memory;
    for (int i = 0; i < 2; i++) {
        memset(&seen, 0, sizeof(seen));
        began_ms = clock_mono_ms();
        c = dial_open(f->dials[0], &o, &ops, &seen, &why);
        assert_non_null(c);
        TURN_UNTIL(f, seen.is_open);
        assert_false(is_ipv6(c));
        if (i == 0)
            assert_in_range(clock_mono_ms() - began_ms, 240, 2500);
        else
            assert_in_range(clock_mono_ms() - began_ms, 0, 200);
        dial_close(c);
    }
    close_all(stalled, 4);
    close(live);
}

/* IPv6 goes first although it stands second; and nothing else is opened while it answers. */
static void ipv6_goes_first(void **state)
{
    struct fixture *f = *state;
    struct dial_memory memory = {0};
    struct dial_target targets[2];
    int four = listen_on("127.0.0.1:0", 8, &targets[0]), six = listen_on("[::1]:0", 8, &targets[1]);
    struct dial_order o = order_of(f, targets, 2);
    struct seen seen = {0};
    struct dial_conn *c;
    dial_why why;

    o.memory = &memory;
    c = dial_open(f->dials[0], &o, &ops, &seen, &why);
    TURN_UNTIL(f, seen.is_open);
    assert_true(is_ipv6(c));
    assert_int_equal(accept(four, NULL, NULL), -1);
    dial_close(c);
    close(four);
    close(six);
}

static void a_refusing_address_is_passed_at_once(void **state)
{
    struct fixture *f = *state;
    struct dial_target targets[3];
    int live = listen_on("127.0.0.1:0", 8, &targets[2]);
    struct dial_order o = order_of(f, targets, 3);
    struct seen seen = {0};
    struct dial_conn *c;
    dial_why why;

    targets[0] = refusing("127.0.0.1:0");
    targets[1] = refusing("[::1]:0");
    o.stagger_ms = 2900;
    c = dial_open(f->dials[0], &o, &ops, &seen, &why);
    assert_non_null(c);
    TURN_UNTIL(f, seen.is_open);
    assert_int_equal(c->port, addr_port(&targets[2].addr));
    dial_close(c);
    close(live);
}

static void what_fails_says_why(void **state)
{
    struct fixture *f = *state;
    struct dial_target targets[2];
    struct dial_order o = order_of(f, targets, 2);
    struct seen seen = {0};
    struct dial_conn *c;
    char text[DIAL_WHY_TEXT];
    int stalled[4];
    dial_why why;

    targets[0] = refusing("127.0.0.1:0");
    targets[1] = refusing("[::1]:0");
    c = dial_open(f->dials[0], &o, &ops, &seen, &why);
    TURN_UNTIL(f, seen.has_failed);
    assert_int_equal(dial_verdict(seen.why), DIAL_CONNECT);
    assert_string_equal(dial_why_text(seen.why, text), "connect: Connection refused");
    dial_close(c);

    targets[0] = stalling("127.0.0.1:0", stalled);
    o.n_targets = 1;
    o.timeout_ms = 100;
    memset(&seen, 0, sizeof(seen));
    c = dial_open(f->dials[0], &o, &ops, &seen, &why);
    TURN_UNTIL(f, seen.has_failed);
    assert_int_equal(dial_verdict(seen.why), DIAL_TIMEOUT);
    assert_string_equal(dial_why_text(seen.why, text), "connect timeout");
    dial_close(c);
    close_all(stalled, 4);
}

/* ---- Idle connections ---- */

static struct dial_conn *open_one(struct fixture *f, unsigned worker, const struct dial_order *o)
{
    struct seen seen = {0};
    dial_why why;
    struct dial_conn *c = dial_open(f->dials[worker], o, &ops, &seen, &why);

    assert_non_null(c);
    TURN_UNTIL(f, seen.is_open);
    return c;
}

static int accept_one(int listener)
{
    int fd = accept(listener, NULL, NULL);

    assert_true(fd >= 0);
    return fd;
}

/* Another address, or another identity, is another connection. */
static void only_the_same_is_taken(void **state)
{
    static const struct config_origin_tls tls[] = {
        {.is_on = true},
        {.is_on = true, .server_name = "a.test"},
        {.is_on = true, .is_unverified = true},
        {.is_on = true, .min_version = TLS1_3_VERSION},
    };
    struct fixture *f = *state;
    struct dial_target targets[2];
    int live = listen_on("127.0.0.1:0", 8, &targets[0]),
        other = listen_on("127.0.0.2:0", 8, &targets[1]);
    struct dial_order o = order_of(f, &targets[0], 1);
    struct dial_conn *c = open_one(f, 0, &o);

    dial_keep(c, 2, 5000);
    for (size_t i = 0; i < COUNT_OF(tls); i++) {
        struct dial_order secret = o;

        secret.identity = dial_identity_get(&tls[i], &f->errors);
        assert_non_null(secret.identity);
        assert_ptr_not_equal(secret.identity, f->plain);
        assert_null(dial_take(f->dials[0], &secret, &ops, NULL));
        dial_identity_put(secret.identity);
    }
    o.targets = &targets[1];
    assert_null(dial_take(f->dials[0], &o, &ops, NULL));
    o.targets = targets;
    o.n_targets = 2;
    assert_ptr_equal(dial_take(f->dials[0], &o, &ops, NULL), c);
    assert_null(dial_take(f->dials[0], &o, &ops, NULL));
    dial_close(c);
    close(live);
    close(other);
}

/* What goes before all else goes first, and such a connection is nobody else's; nor may such take
 * all the room. */
static void a_visitor_s_connection_is_its_own(void **state)
{
    struct fixture *f = *state;
    struct dial_target t;
    int live = listen_on("127.0.0.1:0", 64, &t), peer;
    struct dial_order o = order_of(f, &t, 1), one = o, two = o;
    struct dial_conn *c, *kept[8];
    struct iovec get = {"GET", 3};
    char got[16] = "", name[8];
    uint32_t limit;
    size_t n;

    one.preface = STR("one;");
    two.preface = STR("two;");
    c = open_one(f, 0, &one);
    peer = accept_one(live);
    assert_int_equal(wire_write(&f->workers[0], dial_wire(c), &get, 1, &n), WIRE_OK);
    TURN_UNTIL(f, recv(peer, got, sizeof(got), MSG_DONTWAIT | MSG_PEEK) == 7);
    assert_int_equal(recv(peer, got, sizeof(got), 0), 7);
    assert_string_equal(got, "one;GET");
    dial_keep(c, 2, 5000);
    assert_null(dial_take(f->dials[0], &two, &ops, NULL));
    assert_null(dial_take(f->dials[0], &o, &ops, NULL));
    assert_null(dial_take(f->dials[1], &one, &ops, NULL));
    assert_ptr_equal(dial_take(f->dials[0], &one, &ops, NULL), c);
    dial_close(c);
    close(peer);
    dial_store_set_limit(f->store, 32, 2);
    limit = store_worker_limit(f->store) / 2;
    assert_in_range(limit, 2, COUNT_OF(kept) - 2);
    for (unsigned i = 0; i < COUNT_OF(kept); i++) {
        snprintf(name, sizeof(name), "no %u", i);
        one.preface = str_of(name);
        kept[i] = open_one(f, 0, &one);
        dial_keep(kept[i], 1, 5000);
    }
    assert_int_equal(f->dials[0]->n_idle, limit);
    for (unsigned i = 0; i < COUNT_OF(kept); i++) {
        snprintf(name, sizeof(name), "no %u", i);
        one.preface = str_of(name);
        c = dial_take(f->dials[0], &one, &ops, NULL);
        assert_ptr_equal(c, i < COUNT_OF(kept) - limit ? NULL : kept[i]); /* the newest are left */
        if (c != NULL)
            dial_close(c);
    }
    assert_int_equal(f->dials[0]->n_idle_of_visitors, 0);
    close(live);
}

#define NO_PREFACE ((struct str){NULL, 0})

/* Where the host is what TLS verifies, it is part of what a connection is to. */
static void the_host_counts_where_it_is_verified(void **state)
{
    static const struct config_origin_tls unnamed = {.is_on = true},
                                          named = {.is_on = true, .server_name = "n"};
    struct fixture *f = *state;
    struct dial_identity *by_host = dial_identity_get(&unnamed, &f->errors);
    struct dial_identity *by_name = dial_identity_get(&named, &f->errors);
    struct dial_target t;
    int live = listen_on("127.0.0.1:0", 8, &t);

    assert_int_not_equal(conn_key(&t, by_host, conn_host(by_host, STR("a.test")), NO_PREFACE).hash,
                         conn_key(&t, by_host, conn_host(by_host, STR("b.test")), NO_PREFACE).hash);
    assert_int_equal(conn_key(&t, by_host, conn_host(by_host, STR("a.test")), NO_PREFACE).hash,
                     conn_key(&t, by_host, conn_host(by_host, STR("A.Test")), NO_PREFACE).hash);
    assert_int_equal(conn_key(&t, by_name, conn_host(by_name, STR("a.test")), NO_PREFACE).hash,
                     conn_key(&t, by_name, conn_host(by_name, STR("b.test")), NO_PREFACE).hash);
    dial_identity_put(by_host);
    dial_identity_put(by_name);
    close(live);
}

/* What one worker has not used for a while, another takes. */
static void idle_ones_are_for_all(void **state)
{
    struct fixture *f = *state;
    struct dial_target t;
    int live = listen_on("127.0.0.1:0", 8, &t), peer;
    struct dial_order o = order_of(f, &t, 1);
    struct dial_conn *c = open_one(f, 0, &o), *same;
    struct seen seen = {0};

    peer = accept_one(live);
    dial_keep(c, 4, 5000);
    assert_null(dial_take(f->dials[1], &o, &ops, NULL));
    TURN_UNTIL(f, (same = dial_take(f->dials[1], &o, &ops, &seen)) != NULL);
    assert_ptr_equal(same, c);
    seen.c = same;
    dial_want(same, EV_READ);
    assert_int_equal(send(peer, "x", 1, 0), 1);
    TURN_UNTIL(f, seen.events > 0); /* by its new worker's loop */
    dial_close(same);
    close(peer);
    close(live);
}

/* RFC 9112 section 9.2: unasked bytes end it, and so does its end, wherever it lies. */
static void what_speaks_unasked_is_closed(void **state)
{
    struct fixture *f = *state;
    struct dial_target t;
    int live = listen_on("127.0.0.1:0", 8, &t);
    struct dial_order o = order_of(f, &t, 1);

    for (int is_shared = 0; is_shared < 2; is_shared++)
        for (int is_end = 0; is_end < 2; is_end++) {
            struct dial_conn *c = open_one(f, 0, &o);
            uint64_t before = metrics_sum(&counters_all, COUNT_UPSTREAM_STRAY);
            int peer = accept_one(live);
            char byte;

            dial_keep(c, 4, 5000);
            if (is_shared)
                TURN_UNTIL(f, f->dials[0]->n_idle == 0);
            if (is_end)
                shutdown(peer, SHUT_WR);
            else
                assert_int_equal(send(peer, "x", 1, 0), 1);
            TURN_UNTIL(f, recv(peer, &byte, 1, MSG_DONTWAIT) == 0);
            assert_int_equal(metrics_sum(&counters_all, COUNT_UPSTREAM_STRAY), before + !is_end);
            assert_null(dial_take(f->dials[0], &o, &ops, NULL));
            assert_null(dial_take(f->dials[1], &o, &ops, NULL));
            close(peer);
        }
    close(live);
}

static void idle_ones_end_in_time_and_within_bounds(void **state)
{
    struct fixture *f = *state;
    struct dial_target t;
    int live = listen_on("127.0.0.1:0", 64, &t), peers[8];
    struct dial_order o = order_of(f, &t, 1);
    struct dial_conn *conns[8];
    unsigned n_open = 0;
    char byte;

    for (int i = 0; i < 8; i++) {
        conns[i] = open_one(f, 0, &o);
        peers[i] = accept_one(live);
    }
    for (int i = 0; i < 8; i++) /* the worker's own part of 4 is 2; the others are for all */
        dial_keep(conns[i], 4, 600);
    for (int i = 0; i < 8; i++)
        n_open += recv(peers[i], &byte, 1, MSG_DONTWAIT) != 0;
    assert_int_equal(n_open, 6);
    for (int i = 0; i < 8; i++)
        TURN_UNTIL(f, recv(peers[i], &byte, 1, MSG_DONTWAIT) == 0);
    close_all(peers, 8);
    close(live);
}

int main(void)
{
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(a_stalled_address_is_passed),
        WITH_FIXTURE(ipv6_goes_first),
        WITH_FIXTURE(a_refusing_address_is_passed_at_once),
        WITH_FIXTURE(what_fails_says_why),
        WITH_FIXTURE(only_the_same_is_taken),
        WITH_FIXTURE(a_visitor_s_connection_is_its_own),
        WITH_FIXTURE(the_host_counts_where_it_is_verified),
        WITH_FIXTURE(idle_ones_are_for_all),
        WITH_FIXTURE(what_speaks_unasked_is_closed),
        WITH_FIXTURE(idle_ones_end_in_time_and_within_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
