/* SPDX-License-Identifier: BSD-2-Clause */
/* What the operator sees: whole tables and whole JSON for given replies. */
#include "gslb-dns/gslbctl/gslbctl.h"

/* The program's own files: it has no archive. */
#include "gslb-dns/gslbctl/explain.c"
#include "gslb-dns/gslbctl/keys.c"
#include "gslb-dns/gslbctl/show_json.c"
#include "gslb-dns/gslbctl/simulate.c"
#include "gslb-dns/gslbctl/status.c"
#include "gslb-dns/gslbctl/table.c"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct view plain = {0};

static Gslb__Load the_load = GSLB__LOAD__INIT;
static Gslb__Origin origin_up = GSLB__ORIGIN__INIT, origin_down = GSLB__ORIGIN__INIT;
static Gslb__Origin *the_origins[] = {&origin_up, &origin_down};
static Gslb__Report the_report = GSLB__REPORT__INIT;
static Gslb__EdgeStatus one = GSLB__EDGE_STATUS__INIT, two = GSLB__EDGE_STATUS__INIT;
static Gslb__EdgeStatus *edges[] = {&one, &two};
static Gslb__RegionStatus the_region = GSLB__REGION_STATUS__INIT;
static Gslb__RegionStatus *the_regions[] = {&the_region};
static Gslb__StatusReply status = GSLB__STATUS_REPLY__INIT;

static int fill(void **state)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    the_load.connections = 12;
    the_load.connections_target = 800;
    origin_up.is_up = true;
    origin_up.pool = origin_down.pool = "web";
    origin_up.name = "a";
    origin_down.name = "b";
    origin_down.reason = "connection refused";
    the_report.load = &the_load;
    the_report.origins = the_origins;
    the_report.n_origins = 2;
    the_report.can_serve = true;
    one.name = "zürich-1";
    one.state = GSLB__EDGE_STATE__EDGE_UP;
    one.reason = "steady";
    one.since_ms = 65432;
    one.is_connected = one.is_usable = true;
    one.report = &the_report;
    one.requests_per_s = 10.25;
    one.cache_hit_ratio = 0.975;
    two.name = "geneva-1";
    two.state = GSLB__EDGE_STATE__EDGE_DOWN;
    two.reason = "bad\033[31m words";
    two.since_ms = 4000;
    two.cache_hit_ratio = -1;
    the_region.name = "eu";
    the_region.edges = edges;
    the_region.n_edges = 2;
    status.node = "ns1";
    status.software = "gslb-dns 0.1.0";
    status.regions = the_regions;
    status.n_regions = 1;
    return 0;
}

static void test_status_lines_up(void **state)
{
    struct text t = {0};

    assert_int_equal(status_show(&status, &plain, &t), GSLBCTL_FINE);
    assert_string_equal(t.p,
                        "ns1: gslb-dns 0.1.0, up 0s\n"
                        "\n"
                        "REGION / EDGE  STATE   SINCE    LOAD  REQ/S    HITS  ORIGINS  WHY\n"
                        "eu             1 of 2         12/800   10.2  97.5 %      1/2\n"
                        "  zürich-1     up      1m 5s  12/800   10.2  97.5 %      1/2  steady\n"
                        "  geneva-1     down       4s"
                        "                                  bad?[31m words [not connected]\n");
    text_free(&t);
}

static void test_last_column_is_shortened(void **state)
{
    struct view narrow = {.columns = 71};
    struct text t = {0};

    status_show(&status, &narrow, &t);
    assert_non_null(strstr(t.p, "  bad?[31m…\n"));
    text_free(&t);
}

static void test_colours_only_when_asked(void **state)
{
    struct view colours = {.has_colour = true};
    struct text t = {0};

    status_show(&status, &plain, &t);
    assert_null(strchr(t.p, '\033'));
    text_free(&t);
    status_show(&status, &colours, &t);
    assert_non_null(strstr(t.p, "\033[32mup\033[0m"));
    assert_null(strstr(t.p, "bad\033[31m"));
    text_free(&t);
}

static void test_region_without_a_usable_edge_is_bad_news(void **state)
{
    struct text t = {0};

    one.is_usable = false;
    assert_int_equal(status_show(&status, &plain, &t), GSLBCTL_BAD_NEWS);
    assert_non_null(strstr(t.p, "no usable edge"));
    one.is_usable = true;
    text_free(&t);
}

static void test_status_as_json(void **state)
{
    struct text t = {0};

    json_of_status(&status, &t);
    assert_non_null(strstr(t.p, "\"name\":\"zürich-1\",\"state\":\"up\",\"since_ms\":65432"));
    assert_non_null(strstr(t.p, "\"cache_hit_ratio\":0.975"));
    assert_non_null(strstr(t.p, "\"reason\":\"bad\\u001b[31m words\""));
    assert_non_null(strstr(t.p, "\"cache_hit_ratio\":null"));
    assert_non_null(strstr(t.p, "\"load_error\":null"));
    assert_int_equal(t.p[t.n - 1], '\n');
    text_free(&t);
}

static void test_edge(void **state)
{
    struct text t = {0};

    assert_int_equal(status_show_edge(&the_report, &plain, &t), GSLBCTL_FINE);
    assert_non_null(strstr(t.p, "serving, up 0s\n"));
    assert_non_null(strstr(t.p, "web   b       down      0s      0  connection refused\n"));
    the_report.can_serve = false;
    the_report.reason = "all origins down";
    assert_int_equal(status_show_edge(&the_report, &plain, &t), GSLBCTL_BAD_NEWS);
    the_report.can_serve = true;
    the_report.reason = "";
    text_free(&t);
}

static void test_explain(void **state)
{
    Gslb__ExplainRegion near = GSLB__EXPLAIN_REGION__INIT, far = GSLB__EXPLAIN_REGION__INIT;
    Gslb__ExplainRegion *ranked_regions[] = {&near, &far};
    Gslb__ExplainReply e = GSLB__EXPLAIN_REPLY__INIT;
    char *addresses[] = {"192.0.2.1", "2001:db8::1"};
    char *steps[] = {"site (geo): west, by country", "west (nearest): us"};
    struct text t = {0};

    near.name = "eu";
    near.distance_km = 312.4;
    near.verdict = "all edges down";
    far.name = "us";
    far.distance_km = 6010;
    far.is_usable = true;
    far.verdict = "chosen";
    e.name = "www.example.com";
    e.policy = "nearest";
    e.client = "203.0.113.7";
    e.has_location = true;
    e.latitude = 52.1;
    e.longitude = 5.3;
    e.country = "NL";
    e.location_source = "database: country centre";
    e.regions = ranked_regions;
    e.n_regions = 2;
    e.addresses = addresses;
    e.n_addresses = 2;
    e.ttl_s = 30;
    e.scope_bits = 17;
    e.scope_prefix = "203.0.0.0/17";
    e.chosen = "us";
    e.verdict = "nearest usable region";
    assert_int_equal(explain_show(&e, &plain, &t), GSLBCTL_FINE);
    assert_string_equal(t.p, "www.example.com (policy nearest)\n"
                             "  client    203.0.113.7\n"
                             "  location  52.1000, 5.3000 in NL (database: country centre)\n"
                             "  answer    192.0.2.1, 2001:db8::1  (TTL 30 s)\n"
                             "  ECS scope /17: all of 203.0.0.0/17 gets this answer\n"
                             "  chosen    us: nearest usable region\n"
                             "\n"
                             "  RANK  REGION  DISTANCE  USABLE  VERDICT\n"
                             "     1  eu        312 km  no      all edges down\n"
                             "     2  us       6010 km  yes     chosen\n");
    text_free(&t);
    e.n_addresses = 0;
    e.steps = steps;
    e.n_steps = 2;
    assert_int_equal(explain_show(&e, &plain, &t), GSLBCTL_BAD_NEWS);
    assert_non_null(strstr(t.p, "  steps     site (geo): west, by country\n"
                                "            west (nearest): us\n"));
    text_free(&t);
    json_of_explain(&e, &t);
    assert_non_null(strstr(t.p, "\"distance_km\":312.4"));
    assert_non_null(strstr(t.p, "\"steps\":[\"site (geo): west, by country\","));
    text_free(&t);
}

static void test_simulate(void **state)
{
    Gslb__SimulateShare eu = GSLB__SIMULATE_SHARE__INIT, none = GSLB__SIMULATE_SHARE__INIT;
    Gslb__SimulateShare *shares[] = {&eu, &none};
    Gslb__SimulateReply s = GSLB__SIMULATE_REPLY__INIT;
    struct text t = {0};

    (void)state;
    eu.region = "eu";
    eu.share = 1;
    eu.km = 812.4;
    eu.then_share = 0.25;
    eu.then_km = none.km = none.then_km = -1;
    none.then_share = 0.75;
    s.name = "www.example.com";
    s.shares = shares;
    s.n_shares = 2;
    s.n_clients = 4;
    s.n_unlocated = 1;
    s.km = 812.4;
    s.then_km = -1;
    s.moved = 0.75;
    s.has_then = true;
    assert_int_equal(simulate_show(&s, &plain, &t), GSLBCTL_FINE);
    assert_string_equal(t.p, "www.example.com: 4 clients, 1 without a place; 75.0 % would move\n"
                             "\n"
                             "  REGION      NOW  DISTANCE     THEN  DISTANCE\n"
                             "  eu      100.0 %    812 km   25.0 %         -\n"
                             "  (none)    0.0 %         -   75.0 %         -\n"
                             "  all     100.0 %    812 km  100.0 %         -\n");
    text_free(&t);
    json_of_simulate(&s, &t);
    assert_non_null(strstr(t.p, "{\"region\":null,\"share\":0,\"km\":null,\"then_share\":0.75"));
    text_free(&t);
}

static void test_clients(void **state)
{
    static const struct {
        const char *text;
        size_t n;
        double last; /* weight */
        const char *error;
    } cases[] = {
        {"", 0, 0, NULL},
        {"10.0.0.1", 1, 1, NULL},
        {"10.0.0.0/8 2.5\n# all\n\n 2001:db8::/32\t7 # seven\r\n", 2, 7, NULL},
        {"10.0.0.1\n10.0.0.2 0\n", 0, 0, "2: '0' is no weight above 0"},
        {"10.0.0.1 1x", 0, 0, "1: '1x' is no weight above 0"},
        {"10.0.0.1 nan", 0, 0, "1: 'nan' is no weight above 0"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Gslb__SimulateRequest r = GSLB__SIMULATE_REQUEST__INIT;
        struct text error = {0};
        struct arena a;

        arena_init(&a, 0);
        assert_int_equal(simulate_read_clients(&a, str_of(cases[i].text), &r, &error),
                         cases[i].error == NULL);
        if (cases[i].error != NULL)
            assert_string_equal(error.p, cases[i].error);
        else
            assert_int_equal(r.n_clients, cases[i].n);
        if (cases[i].n > 0)
            assert_true(r.weights[cases[i].n - 1] == cases[i].last);
        text_free(&error);
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_lines_up),
        cmocka_unit_test(test_last_column_is_shortened),
        cmocka_unit_test(test_colours_only_when_asked),
        cmocka_unit_test(test_region_without_a_usable_edge_is_bad_news),
        cmocka_unit_test(test_status_as_json),
        cmocka_unit_test(test_edge),
        cmocka_unit_test(test_explain),
        cmocka_unit_test(test_simulate),
        cmocka_unit_test(test_clients),
    };

    return cmocka_run_group_tests(tests, fill, NULL);
}
