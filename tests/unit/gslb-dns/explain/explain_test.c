/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/explain/explain.h"

#include "tests/unit/gslb-dns/generation/site.h"

#include <math.h>

/* What is explained: www by nearest, v6 with IPv6 alone, order by failover. */
#define CONFIG                                                                                     \
    SITE_HEAD SITE_REGIONS "  v6: {location: [0, 0], edges: {v6-1: [\"fd06::1\"]}}\n"              \
                           "region-order: [us, eu]\n"                                              \
                           "services:\n"                                                           \
                           "  www.example.com: {regions: [eu, us]}\n"                              \
                           "  six.example.com: {regions: [v6]}\n"                                  \
                           "  first.example.com: {regions: [us, eu], policy: failover, ttl: 5s}\n" \
                           "  oak.forest.example.com: {regions: [eu, us], all-down: refuse}\n"
#define ZONE                                                                               \
    SITE_ZONE "alias CNAME www\nalias2 CNAME alias\ntree DNAME forest\nhost A 192.0.2.9\n" \
              "out CNAME www.example.org.\nlost CNAME nothing\nchild NS ns.example.net.\n" \
              "loop CNAME loop2\nloop2 CNAME loop\n"

struct stage {
    struct site site;
    struct generation *generation;
    struct health *health;
    struct world *world;
    struct arena arena;
    struct text error;
};

static void set_stage(struct stage *s)
{
    struct health_settings settings = {3000, 1, 5, 600000};

    *s = (struct stage){0};
    site_make(&s->site);
    site_write(&s->site, "a.yaml", STR(CONFIG));
    site_write(&s->site, "example.com.zone", STR(ZONE));
    s->generation = site_load(&s->site, NULL);
    s->health = health_new(generation_config(s->generation)->n_edges, &settings, 1000);
    s->world = generation_make_world(s->generation, s->health, 1);
    arena_init(&s->arena, 0);
}

static void clear_stage(struct stage *s)
{
    text_free(&s->error);
    arena_free(&s->arena);
    generation_free_world(s->world);
    health_free(s->health);
    generation_free(s->generation);
    site_remove(&s->site);
}

static void edge_is_down(struct stage *s, size_t edge, const char *reason)
{
    health_on_report(s->health, edge, false, reason, 2000);
    generation_free_world(s->world);
    s->world = generation_make_world(s->generation, s->health, 1);
}

static bool explain(struct stage *s, const char *name, const char *client,
                    struct control_explain *out)
{
    struct explain_world w = {s->generation, s->world, s->health, 5000};

    text_free(&s->error);
    return !has_failed(explain_answer(&w, name, client, &s->arena, out, &s->error));
}

static const char *first_address(const struct control_explain *x, char buf[ADDR_TEXT])
{
    return x->n_addresses > 0 ? ip_format(&x->addresses[0], buf) : "none";
}

static void clients_are_told_their_region(void **state)
{
    static const struct {
        const char *name, *client, *asked, *chosen, *address, *scope, *country, *verdict;
        unsigned ttl_s;
    } cases[] = {
        {"www.example.com", "192.0.2.7", NULL, "eu", "10.0.0.1", "192.0.2.0/24", "FR",
         "the nearest usable region", 30},
        {"WWW.Example.com.", "192.0.2.0/28", NULL, "eu", "10.0.0.1", "192.0.2.0/24", "FR",
         "the nearest usable region", 30},
        {"www.example.com", "2001:db8:2::7", NULL, "us", "10.1.0.1", NULL, "US",
         "the nearest usable region", 30},
        {"www.example.com", "203.0.113.1", NULL, "us", "10.1.0.1", NULL, NULL,
         "no location: the first usable region of the region order", 30},
        {"alias.example.com", "198.51.100.7", "alias.example.com", "us", "10.1.0.1", NULL, "US",
         "the nearest usable region", 30},
        {"alias2.example.com", "198.51.100.7", "alias2.example.com", "us", "10.1.0.1", NULL, "US",
         "the nearest usable region", 30},
        {"oak.tree.example.com", "198.51.100.7", "oak.tree.example.com", "us", "10.1.0.1", NULL,
         "US", "the nearest usable region", 30},
        {"six.example.com", "192.0.2.7", NULL, "v6", "fd06::1", "0.0.0.0/0", "FR",
         "the nearest usable region", 30},
        {"first.example.com", "192.0.2.7", NULL, "us", "10.1.0.1", "0.0.0.0/0", "FR",
         "the first usable region of the service's list", 5},
    };
    size_t n_wrong = 0;
    struct stage s;

    (void)state;
    set_stage(&s);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct control_explain x;
        char buf[ADDR_TEXT];
        bool is_right =
            explain(&s, cases[i].name, cases[i].client, &x) &&
            strcmp(x.chosen, cases[i].chosen) == 0 &&
            strcmp(first_address(&x, buf), cases[i].address) == 0 &&
            strcmp(x.verdict, cases[i].verdict) == 0 && x.ttl_s == cases[i].ttl_s &&
            (cases[i].asked == NULL ? x.asked == NULL : strcmp(x.asked, cases[i].asked) == 0) &&
            (cases[i].scope == NULL || strcmp(x.scope_prefix, cases[i].scope) == 0) &&
            (cases[i].country == NULL ? !x.has_location : strcmp(x.country, cases[i].country) == 0);

        if (is_right)
            continue;
        print_error("%s for %s: %s %s %s %s\n", cases[i].name, cases[i].client,
                    s.error.n ? s.error.p : x.chosen, s.error.n ? "" : x.scope_prefix,
                    s.error.n ? "" : x.verdict,
                    s.error.n ? ""
                    : x.asked ? x.asked
                              : "-");
        n_wrong++;
    }
    assert_int_equal(n_wrong, 0);
    clear_stage(&s);
}

static void what_is_no_service_is_said(void **state)
{
    static const struct {
        const char *name, *client, *error;
    } cases[] = {
        {"www.example.com", "nonsense", "'nonsense' is neither an IP address nor a prefix"},
        {"www..example.com", "192.0.2.1", "'www..example.com' is not a domain name"},
        {"www.example.org", "192.0.2.1", "no zone served here contains www.example.org"},
        {"host.example.com", "192.0.2.1",
         "host.example.com. is no steered name: it answers from the zone file of example.com."},
        {"none.example.com", "192.0.2.1",
         "none.example.com. is no steered name: it does not exist in the zone example.com."},
        {"lost.example.com", "192.0.2.1",
         "nothing.example.com. is no steered name: it does not exist in the zone example.com."},
        {"a.child.example.com", "192.0.2.1",
         "a.child.example.com. is no steered name: the zone example.com. delegates it away"},
        {"out.example.com", "192.0.2.1",
         "out.example.com leads to www.example.org., which the zone example.com. does not contain"},
        {"loop.example.com", "192.0.2.1", "loop.example.com leads to more names than one answer"},
    };
    size_t n_wrong = 0;
    struct stage s;

    (void)state;
    set_stage(&s);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct control_explain x;

        if (!explain(&s, cases[i].name, cases[i].client, &x) &&
            strncmp(s.error.p, cases[i].error, strlen(cases[i].error)) == 0)
            continue;
        print_error("%s: %s\n", cases[i].name, s.error.n > 0 ? s.error.p : "explained");
        n_wrong++;
    }
    assert_int_equal(n_wrong, 0);
    clear_stage(&s);
}

/* Regions are ranked by distance, and each says why it is what it is. */
static void regions_are_ranked_with_reasons(void **state)
{
    struct control_explain x;
    struct stage s;

    (void)state;
    set_stage(&s);
    edge_is_down(&s, 0, "all origins down");
    assert_true(explain(&s, "www.example.com", "192.0.2.7", &x));
    assert_int_equal(x.n_regions, 2);
    assert_string_equal(x.regions[0].name, "eu");
    assert_true(fabs(x.regions[0].distance_km - 424) < 10); /* Paris to 50 N 8 E */
    assert_false(x.regions[0].is_usable);
    assert_string_equal(x.regions[0].verdict,
                        "no usable edge: eu-1 is down for 3s (all origins down)");
    assert_string_equal(x.regions[1].name, "us");
    assert_string_equal(x.regions[1].verdict, "chosen");
    assert_string_equal(x.chosen, "us");
    edge_is_down(&s, 1, "x");
    edge_is_down(&s, 2, "y");
    assert_true(explain(&s, "www.example.com", "192.0.2.7", &x));
    assert_string_equal(x.verdict, "every edge is down: all are given out (all-down: serve-all)");
    assert_int_equal(x.n_addresses, 2);
    assert_true(explain(&s, "oak.forest.example.com", "192.0.2.7", &x));
    assert_string_equal(x.verdict, "every edge is down: REFUSED (all-down: refuse)");
    assert_int_equal(x.n_addresses, 0);
    assert_null(x.chosen);
    clear_stage(&s);
}

static void imagined_worlds_answer(void **state)
{
    static const struct {
        const char *words[2], *chosen, *verdict, *error;
    } cases[] = {
        {{"down=eu"}, "us", "the nearest usable region", NULL},
        {{"down=eu", "up=eu-1"}, "eu", "the nearest usable region", NULL},
        {{"down=us-1"}, "eu", "the nearest usable region", NULL},
        {{"down=eu", "down=us"},
         "eu",
         "every edge is down: all are given out (all-down: serve-all)",
         NULL},
        {{"down=asia"}, NULL, NULL, "no region or edge is named 'asia'"},
        {{"eu"}, NULL, NULL, "'eu' is not of the form down=NAME or up=NAME"},
    };
    struct stage s;

    (void)state;
    set_stage(&s);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct explain_world w = {s.generation, s.world, s.health, 5000}, then;
        struct control_explain x;
        bool is_made;

        text_free(&s.error);
        is_made = !has_failed(explain_imagine(&w, (char *const *)cases[i].words,
                                              cases[i].words[1] != NULL ? 2 : 1, &then, &s.error));
        assert_int_equal(is_made, cases[i].error == NULL);
        if (!is_made) {
            assert_string_equal(s.error.p, cases[i].error);
            continue;
        }
        assert_false(has_failed(
            explain_answer(&then, "www.example.com", "192.0.2.1", &s.arena, &x, &s.error)));
        assert_string_equal(x.chosen, cases[i].chosen);
        assert_string_equal(x.verdict, cases[i].verdict);
        explain_forget(&then);
        assert_true(explain(&s, "www.example.com", "192.0.2.1", &x)); /* as it is */
        assert_string_equal(x.chosen, "eu");
    }
    clear_stage(&s);
}

/* Paris to eu, Pittsburgh to us, and somebody nowhere, to the first of the order. */
static void crowds_are_added_up(void **state)
{
    static char *const clients[] = {"192.0.2.0/24", "198.51.100.1", "10.0.0.1"};
    static const double weights[] = {5, 2, 1};
    static char *const down[] = {"down=us"};
    struct control_crowd crowd = {{.name = "www.example.com"}, clients, weights, 3};
    struct control_simulation x;
    struct explain_world w, then;
    struct stage s;

    (void)state;
    set_stage(&s);
    w = (struct explain_world){s.generation, s.world, s.health, 5000};
    assert_false(has_failed(explain_simulate(&w, NULL, &crowd, &s.arena, &x, &s.error)));
    assert_false(x.has_then);
    assert_int_equal(x.n_clients, 3);
    assert_int_equal(x.n_unlocated, 1);
    assert_int_equal(x.n_shares, 2);
    assert_string_equal(x.shares[0].region, "eu");
    assert_true(fabs(x.shares[0].share - 0.625) < 1e-9 && fabs(x.shares[1].share - 0.375) < 1e-9);
    assert_true(fabs(x.shares[0].km - 433) < 5 && fabs(x.shares[1].km - 426) < 5);
    assert_false(has_failed(explain_imagine(&w, down, 1, &then, &s.error)));
    assert_false(has_failed(explain_simulate(&w, &then, &crowd, &s.arena, &x, &s.error)));
    assert_true(x.has_then && fabs(x.moved - 0.375) < 1e-9);
    assert_true(fabs(x.shares[0].then_share - 1) < 1e-9 && x.shares[1].then_km < 0);
    explain_forget(&then);
    crowd.n_clients = 0;
    /* The database knows little of two /16, and not their middle. */
    assert_true(has_failed(explain_simulate(&w, NULL, &crowd, &s.arena, &x, &s.error)));
    assert_string_equal(s.error.p, "there are no clients: give some, or configure a database");
    crowd.question.name = "host.example.com";
    assert_true(has_failed(explain_simulate(&w, NULL, &crowd, &s.arena, &x, &s.error)));
    clear_stage(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_are_told_their_region),
        cmocka_unit_test(what_is_no_service_is_said),
        cmocka_unit_test(regions_are_ranked_with_reasons),
        cmocka_unit_test(imagined_worlds_answer),
        cmocka_unit_test(crowds_are_added_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
