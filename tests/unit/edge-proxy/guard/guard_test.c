/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is let in, as the configuration says it; and the tables below. */
#include "edge-proxy/guard/guard_internal.h"
#include "tests/lib/config_fixture.h"

#include "common/clock/clock.h"

#include <pthread.h>

static const char CONFIG[] = "name: e1\nlisten: [127.0.0.1:80]\n"
                             "pools: {app: {origins: [127.0.0.1:1]}}\n"
                             "clients:\n"
                             "  max-connections: 4\n"
                             "  new-handshakes: 6/h\n"
                             "  max-score: 100/d\n"
                             "  deny: [203.0.113.0/24, 203.0.113.7, \"2001:db8:bad::/48\"]\n"
                             "  exempt: [192.0.2.99]\n"
                             "sites:\n"
                             "  a.org:\n"
                             "    deny: [198.51.100.0/24]\n"
                             "    routes:\n"
                             "      /: {pool: app, rate-limits: {few: 3/h, keyed: {rate: 2/h, by: "
                             "header X-Key, burst: 5}}}\n"
                             "      /admin: {pool: app, allow: [10.0.0.0/8, 198.51.100.0/24, "
                             "\"fd00::/8\"], deny: [10.1.0.0/16]}\n";

struct fixture {
    struct config *config;
    struct guard_rules *rules;
    struct guard *guard;
    struct loop *loop;
    struct worker worker;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct text said = {0};

    f->config = load(CONFIG, &said);
    if (f->config == NULL)
        fail_msg("%s", said.p);
    text_free(&said);
    f->rules = guard_rules_new(f->config);
    f->guard = guard_new(1);
    f->loop = loop_new("test");
    worker_init(&f->worker, 0, f->loop);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    worker_stop(&f->worker);
    loop_free(f->loop);
    guard_free(f->guard);
    guard_rules_free(f->rules);
    config_free(f->config);
    free(f);
    return 0;
}

static struct ip ip_of(const char *text)
{
    struct ip ip;

    assert_true(ip_parse(str_of(text), &ip));
    return ip;
}

static enum guard_admission admit(struct fixture *f, const char *text, bool is_tls,
                                  uint64_t *ticket)
{
    struct ip ip = ip_of(text);

    return guard_admit(f->guard, f->rules, &f->worker, &ip, is_tls, ticket);
}

/* ---- Networks ---- */

static void networks_hold_what_they_were_given(void **state)
{
    static const char *const prefixes[] = {
        "10.0.0.0/8",      "10.1.0.0/16",   "192.0.2.1", "192.0.2.2", "0.0.0.0/32",
        "255.255.255.255", "2001:db8::/32", "::1",       "fe80::/10", "2001:db8::5/128"};
    static const struct {
        const char *ip;
        bool is_in;
    } cases[] = {
        {"10.0.0.0", true},
        {"10.255.255.255", true},
        {"11.0.0.0", false},
        {"9.255.255.255", false},
        {"10.1.2.3", true},
        {"192.0.2.0", false},
        {"192.0.2.1", true},
        {"192.0.2.2", true},
        {"192.0.2.3", false},
        {"0.0.0.0", true},
        {"0.0.0.1", false},
        {"255.255.255.255", true},
        {"255.255.255.254", false},
        {"2001:db8::5", true},
        {"2001:db9::", false},
        {"::1", true},
        {"::2", false},
        {"::", false},
        {"febf::1", true},
        {"fec0::", false},
        {"ffff::", false},
    };
    struct prefix list[COUNT_OF(prefixes)];
    struct networks s;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(prefixes); i++)
        assert_true(prefix_parse(str_of(prefixes[i]), &list[i]));
    networks_build(&s, list, COUNT_OF(list));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ip ip = ip_of(cases[i].ip);

        if (networks_have(&s, &ip) != cases[i].is_in)
            fail_msg("%s", cases[i].ip);
    }
    networks_free(&s);
    networks_build(&s, NULL, 0);
    assert_false(networks_have(&s, &(struct ip){.family = 4}));
    networks_free(&s);
}

/* Every prefix of every length around one address, against prefix_has. */
static void networks_agree_with_prefixes(void **state)
{
    struct ip at = ip_of("172.16.34.200");

    (void)state;
    for (unsigned length = 0; length <= 32; length++) {
        struct prefix p = {.ip = at, .length = (uint8_t)length};
        struct networks s;

        ip_mask(&p.ip, length);
        networks_build(&s, &p, 1);
        for (unsigned bit = 0; bit < 32; bit++) {
            struct ip other = at;

            other.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
            assert_int_equal(networks_have(&s, &other), prefix_has(&p, &other));
        }
        assert_true(networks_have(&s, &at));
        networks_free(&s);
    }
}

/* ---- The census ---- */

static void the_census_counts_and_forgets(void **state)
{
    struct census *c = census_new();

    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        for (uint64_t key = 1; key <= 20000; key++)
            for (unsigned k = 0; k < 1 + key % 3; k++)
                assert_true(census_enter(c, key * 64, 3)); /* all in one shard */
        for (uint64_t key = 1; key <= 20000; key++)
            assert_int_equal(census_enter(c, key * 64, (uint32_t)(1 + key % 3)), false);
        for (uint64_t key = 20000; key >= 1; key--)
            for (unsigned k = 0; k < 1 + key % 3; k++)
                census_leave(c, key * 64);
    }
    census_free(c);
}

static void *come_and_go(void *arg)
{
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t key = 1 + i % 7;

        if (census_enter(arg, key, 3))
            census_leave(arg, key);
    }
    return NULL;
}

static void threads_share_a_census(void **state)
{
    struct census *c = census_new();
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, c), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    for (uint64_t key = 1; key <= 7; key++) {
        assert_true(census_enter(c, key, 1)); /* nobody was left behind */
        census_leave(c, key);
    }
    census_free(c);
}

/* ---- Connections ---- */

static void connections_of_one_client_are_bounded(void **state)
{
    struct fixture *f = *state;
    uint64_t tickets[4], more;

    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(admit(f, "192.0.2.1", false, &tickets[i]), GUARD_ADMITTED);
    assert_int_equal(admit(f, "192.0.2.1", false, &more), GUARD_REFUSED_CONNECTIONS);
    assert_true(more == 0);
    assert_int_equal(admit(f, "192.0.2.2", false, &more), GUARD_ADMITTED);
    guard_leave(f->guard, more);
    guard_leave(f->guard, tickets[0]);
    assert_int_equal(admit(f, "192.0.2.1", false, &tickets[0]), GUARD_ADMITTED);
    for (unsigned i = 0; i < 4; i++)
        guard_leave(f->guard, tickets[i]);
}

static void an_ipv6_network_is_one_client(void **state)
{
    struct fixture *f = *state;
    uint64_t tickets[4], more;
    char text[64];

    for (unsigned i = 0; i < 4; i++) {
        snprintf(text, sizeof(text), "2001:db8:0:1::%x", i);
        assert_int_equal(admit(f, text, false, &tickets[i]), GUARD_ADMITTED);
    }
    assert_int_equal(admit(f, "2001:db8:0:1:ffff::", false, &more), GUARD_REFUSED_CONNECTIONS);
    assert_int_equal(admit(f, "2001:db8:0:2::", false, &more), GUARD_ADMITTED);
    guard_leave(f->guard, more);
    for (unsigned i = 0; i < 4; i++)
        guard_leave(f->guard, tickets[i]);
}

static void handshakes_have_a_rate(void **state)
{
    struct fixture *f = *state;
    uint64_t ticket;

    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(admit(f, "192.0.2.1", true, &ticket), GUARD_ADMITTED);
        guard_leave(f->guard, ticket);
    }
    assert_int_equal(admit(f, "192.0.2.1", true, &ticket), GUARD_REFUSED_RATE);
    assert_int_equal(admit(f, "192.0.2.1", false, &ticket), GUARD_ADMITTED);
    guard_leave(f->guard, ticket);
}

static void some_are_denied_and_some_exempt(void **state)
{
    struct fixture *f = *state;
    struct ip exempt = ip_of("192.0.2.99");
    uint64_t ticket;

    assert_int_equal(admit(f, "203.0.113.200", false, &ticket), GUARD_REFUSED_DENIED);
    assert_int_equal(admit(f, "2001:db8:bad::1", false, &ticket), GUARD_REFUSED_DENIED);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(admit(f, "192.0.2.99", true, &ticket), GUARD_ADMITTED);
        assert_false(guard_blame(f->guard, f->rules, &f->worker, &exempt, GUARD_PROTOCOL));
        assert_int_equal(guard_charge(f->guard, f->rules,
                                      &f->config->sites[0].routes[1].rate_limits[0], STR(""),
                                      &exempt),
                         0);
    }
}

/* ---- Scores ---- */

static void mischief_tightens_limits_and_then_shuts_out(void **state)
{
    struct fixture *f = *state;
    struct ip ip = ip_of("192.0.2.1");
    uint64_t tickets[4];

    for (unsigned i = 0; i < 5; i++) /* 51 of 100; a part of a point is forgiven meanwhile */
        assert_false(guard_blame(f->guard, f->rules, &f->worker, &ip, GUARD_MALFORMED));
    assert_false(guard_blame(f->guard, f->rules, &f->worker, &ip, GUARD_RATE));
    assert_int_equal(admit(f, "192.0.2.1", false, &tickets[0]), GUARD_ADMITTED);
    assert_int_equal(admit(f, "192.0.2.1", false, &tickets[1]), GUARD_ADMITTED);
    assert_int_equal(admit(f, "192.0.2.1", false, &tickets[2]), GUARD_REFUSED_CONNECTIONS);
    guard_leave(f->guard, tickets[1]);
    assert_false(guard_blame(f->guard, f->rules, &f->worker, &ip, GUARD_PROTOCOL)); /* 76 */
    assert_int_equal(admit(f, "192.0.2.1", false, &tickets[2]), GUARD_REFUSED_CONNECTIONS);
    guard_leave(f->guard, tickets[0]);
    assert_false(guard_blame(f->guard, f->rules, &f->worker, &ip, GUARD_MALFORMED)); /* 86 */
    assert_false(guard_blame(f->guard, f->rules, &f->worker, &ip, GUARD_MALFORMED));
    assert_true(guard_blame(f->guard, f->rules, &f->worker, &ip, GUARD_MALFORMED));
    assert_int_equal(admit(f, "192.0.2.1", false, &tickets[0]), GUARD_REFUSED_SCORE);
    assert_int_equal(admit(f, "192.0.2.2", false, &tickets[0]), GUARD_ADMITTED);
    guard_leave(f->guard, tickets[0]);
}

/* ---- Requests ---- */

static void sites_and_routes_have_lists(void **state)
{
    static const struct {
        const char *ip;
        bool may_site, may_admin;
    } cases[] = {
        {"192.0.2.1", true, false},     {"10.0.0.1", true, true}, {"10.1.0.1", true, false},
        {"198.51.100.1", false, false}, {"fd00::1", true, true},  {"2001:db8::1", true, false},
    };
    struct fixture *f = *state;
    const struct config_site *site = &f->config->sites[0];

    assert_string_equal(site->routes[0].prefix, "/admin");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ip ip = ip_of(cases[i].ip);

        if (guard_allows(f->rules, site, &site->routes[1], &ip) != cases[i].may_site ||
            guard_allows(f->rules, site, NULL, &ip) != cases[i].may_site ||
            guard_allows(f->rules, site, &site->routes[0], &ip) != cases[i].may_admin)
            fail_msg("%s", cases[i].ip);
    }
}

static void requests_are_charged_by_client_or_key(void **state)
{
    struct fixture *f = *state;
    const struct config_rate_limit *few = &f->config->sites[0].routes[1].rate_limits[0];
    const struct config_rate_limit *keyed = &f->config->sites[0].routes[1].rate_limits[1];
    struct ip one = ip_of("192.0.2.1"), other = ip_of("192.0.2.2");
    uint32_t wait_s;

    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(guard_charge(f->guard, f->rules, few, STR(""), &one), 0);
    wait_s = guard_charge(f->guard, f->rules, few, STR(""), &one);
    assert_true(wait_s > 1190 && wait_s <= 1200);
    assert_int_equal(guard_charge(f->guard, f->rules, few, STR(""), &other), 0);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(guard_charge(f->guard, f->rules, keyed, STR("k"), i % 2 ? &one : &other),
                         0);
    assert_true(guard_charge(f->guard, f->rules, keyed, STR("k"), &one) > 0);
    assert_int_equal(guard_charge(f->guard, f->rules, keyed, STR("l"), &one), 0);
}

/* ---- Load ---- */

/* A loop whose turns take long is seen to lag; then it recovers. */
static void a_loop_that_lags_is_seen(void **state)
{
    struct fixture *f = *state;
    int64_t until_ms = clock_mono_ms() + 20000;
    unsigned refused = 0;
    uint64_t ticket;

    guard_set_lag(f->guard, 20);
    guard_watch(f->guard, &f->worker);
    assert_int_equal(guard_load(f->guard, &f->worker), GUARD_LOAD_FINE);
    while (guard_load(f->guard, &f->worker) != GUARD_LOAD_EXTREME && clock_mono_ms() < until_ms) {
        usleep(250000);
        event_base_loop(f->worker.base, EVLOOP_NONBLOCK);
    }
    assert_int_equal(guard_load(f->guard, &f->worker), GUARD_LOAD_EXTREME);
    for (unsigned i = 0; i < 8; i++)
        if (admit(f, "192.0.2.1", true, &ticket) == GUARD_REFUSED_LOAD)
            refused++;
        else
            guard_leave(f->guard, ticket);
    assert_int_equal(refused, 7);
    assert_false(guard_is_overloaded(f->guard, 1000)); /* so far */
    assert_true(guard_is_overloaded(f->guard, 3000));
    while (guard_load(f->guard, &f->worker) != GUARD_LOAD_FINE && clock_mono_ms() < until_ms)
        event_base_loop(f->worker.base, EVLOOP_ONCE);
    assert_int_equal(guard_load(f->guard, &f->worker), GUARD_LOAD_FINE);
    assert_true(guard_is_overloaded(f->guard, 4000)); /* not yet forgotten */
    assert_false(guard_is_overloaded(f->guard, 14000));
    guard_unwatch(f->guard, &f->worker);
}

/* A process that was stopped, a machine that slept: over when it is noticed. */
static void one_long_turn_is_no_load(void **state)
{
    struct fixture *f = *state;

    guard_set_lag(f->guard, 20);
    guard_watch(f->guard, &f->worker);
    usleep(700000);
    event_base_loop(f->worker.base, EVLOOP_NONBLOCK);
    assert_int_equal(guard_load(f->guard, &f->worker), GUARD_LOAD_FINE);
    guard_unwatch(f->guard, &f->worker);
}

static void without_a_lag_nothing_is_shed(void **state)
{
    struct fixture *f = *state;

    guard_watch(f->guard, &f->worker);
    for (unsigned i = 0; i < 6; i++) {
        usleep(120000);
        event_base_loop(f->worker.base, EVLOOP_NONBLOCK);
    }
    assert_int_equal(guard_load(f->guard, &f->worker), GUARD_LOAD_FINE);
    guard_unwatch(f->guard, &f->worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_hold_what_they_were_given),
        cmocka_unit_test(networks_agree_with_prefixes),
        cmocka_unit_test(the_census_counts_and_forgets),
        cmocka_unit_test(threads_share_a_census),
        cmocka_unit_test_setup_teardown(connections_of_one_client_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_ipv6_network_is_one_client, set_up, tear_down),
        cmocka_unit_test_setup_teardown(handshakes_have_a_rate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(some_are_denied_and_some_exempt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mischief_tightens_limits_and_then_shuts_out, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(sites_and_routes_have_lists, set_up, tear_down),
        cmocka_unit_test_setup_teardown(requests_are_charged_by_client_or_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_loop_that_lags_is_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_long_turn_is_no_load, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_lag_nothing_is_shed, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("guard", tests, make_folder, remove_folder);
}
