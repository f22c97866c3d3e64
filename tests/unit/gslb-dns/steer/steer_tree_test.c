/* SPDX-License-Identifier: BSD-2-Clause */
/* Trees of policies: which branch whom is sent along, and that draws are as the door has them. */
#include "gslb-dns/steer/steer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FRANKFURT, VIRGINIA, TOKYO, DUBLIN, REGIONS };
static const struct steer_region regions[REGIONS] = {
    {50.1, 8.7}, {39.0, -77.5}, {35.7, 139.7}, {53.3, -6.3}};

static struct ip ip_of(const char *text)
{
    struct ip ip;

    assert_true(ip_parse(str_of(text), &ip));
    return ip;
}

static struct prefix prefix_of(const char *text)
{
    struct prefix p;

    assert_true(prefix_parse(str_of(text), &p));
    return p;
}

static struct geo_location place(const char *country, const char *continent, double latitude,
                                 double longitude)
{
    struct geo_location where = {
        .has_country = true, .has_coordinates = true, .latitude = latitude, .longitude = longitude};

    memcpy(where.country, country, 3);
    memcpy(where.continent, continent, 3);
    return where;
}

static uint16_t pick(const struct steer_map *map, uint32_t class_id, uint64_t usable)
{
    assert_false(steer_is_drawn(map));
    return steer_pick(map, class_id, &usable);
}

/* ---- rules ---- */

static struct prefix networks[4];
/* site: geo, to europe for DE, FR and two networks, Tokyo for Asia and a network inside of one of
 * these, else Virginia; europe: Frankfurt and Dublin, the nearest first, then Virginia. */
static const struct steer_branch site_branches[] = {
    {.name = "europe",
     .is_node = true,
     .target = 1,
     .countries = "DEFR",
     .networks = networks,
     .n_networks = 2},
    {.name = "tokyo",
     .target = TOKYO,
     .continents = "AS",
     .networks = networks + 2,
     .n_networks = 2},
    {.name = "virginia", .target = VIRGINIA},
};
static const struct steer_branch europe_branches[] = {
    {.name = "near", .is_node = true, .target = 2}, {.name = "virginia", .target = VIRGINIA}};
static const struct steer_branch near_branches[] = {{.name = "frankfurt", .target = FRANKFURT},
                                                    {.name = "dublin", .target = DUBLIN}};
static const struct steer_node site_nodes[] = {{"site", &steer_geo, site_branches, 3},
                                               {"europe", &steer_failover, europe_branches, 2},
                                               {"near", &steer_nearest, near_branches, 2}};
static const struct steer_tree site_tree = {site_nodes, COUNT_OF(site_nodes)};

static struct steer_map *make_site(void)
{
    networks[0] = prefix_of("10.0.0.0/8");
    networks[1] = prefix_of("2001:db8::/32");
    networks[2] = prefix_of("10.1.0.0/16");
    networks[3] = prefix_of("192.0.2.0/24");
    return steer_map_new_tree(&site_tree, regions, REGIONS, NULL);
}

static uint32_t context_of(const struct steer_map *map, const char *network)
{
    struct prefix p = prefix_of(network);
    size_t n;
    const struct geo_override *o = steer_overrides(map, &n);

    for (size_t i = 0; i < n; i++)
        if (o[i].prefix.length == p.length && ip_eq(&o[i].prefix.ip, &p.ip))
            return o[i].class_id;
    fail_msg("%s is no network of the map", network);
    return 0;
}

static void test_rules(void **state)
{
    static const struct {
        const char *name, *network, *country, *continent;
        double latitude, longitude;
        uint16_t want, without_it; /* the region, and the one when that is down */
    } cases[] = {
        {"a country", NULL, "DE", "EU", 52.5, 13.4, FRANKFURT, DUBLIN},
        {"a country, its west", NULL, "FR", "EU", 48.4, -4.5, DUBLIN, FRANKFURT},
        {"a continent", NULL, "JP", "AS", 35, 139, TOKYO, STEER_NONE},
        {"neither", NULL, "IT", "EU", 41.9, 12.5, VIRGINIA, STEER_NONE},
        {"no codes", NULL, "", "", 41.9, 12.5, VIRGINIA, STEER_NONE},
        {"a network", "10.0.0.0/8", "JP", "AS", 35, 139, FRANKFURT, DUBLIN},
        {"a network, the place counts on", "10.0.0.0/8", "IE", "EU", 53, -6, DUBLIN, FRANKFURT},
        {"of the other family", "2001:db8::/32", "IE", "EU", 53, -6, DUBLIN, FRANKFURT},
        {"the inner network", "10.1.0.0/16", "DE", "EU", 52.5, 13.4, TOKYO, STEER_NONE},
    };
    struct steer_map *map = make_site();

    (void)state;
    assert_true(steer_is_by_location(map));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct geo_location where =
            place(cases[i].country, cases[i].continent, cases[i].latitude, cases[i].longitude);
        uint32_t context = cases[i].network ? context_of(map, cases[i].network) : 0;
        uint32_t class_id = steer_classify_within(map, &where, context);
        uint16_t first = pick(map, class_id, 0xf), next = pick(map, class_id, 0xf & ~(1u << first));

        if (first != cases[i].want || next != cases[i].without_it)
            fail_msg("%s: regions %u, then %u", cases[i].name, first, next);
    }
    assert_int_equal(pick(map, 0, 0xf), VIRGINIA); /* without a place the default */
    steer_map_free(map);
}

/* Networks of two geo nodes, of which one lies inside the other: both decide. */
static void test_nested_networks(void **state)
{
    static struct prefix outer, inner;
    const struct steer_branch top[] = {
        {.name = "low", .is_node = true, .target = 1, .networks = &outer, .n_networks = 1},
        {.name = "virginia", .target = VIRGINIA}};
    const struct steer_branch low[] = {
        {.name = "tokyo", .target = TOKYO, .networks = &inner, .n_networks = 1},
        {.name = "dublin", .target = DUBLIN}};
    const struct steer_node nodes[] = {{"top", &steer_geo, top, 2}, {"low", &steer_geo, low, 2}};
    struct steer_map *map;

    (void)state;
    outer = prefix_of("10.0.0.0/8");
    inner = prefix_of("10.1.0.0/16");
    map = steer_map_new_tree(&(struct steer_tree){nodes, 2}, regions, REGIONS, NULL);
    assert_int_equal(
        pick(map, steer_classify_within(map, NULL, context_of(map, "10.0.0.0/8")), 0xf), DUBLIN);
    assert_int_equal(
        pick(map, steer_classify_within(map, NULL, context_of(map, "10.1.0.0/16")), 0xf), TOKYO);
    assert_int_equal(pick(map, 0, 0xf), VIRGINIA);
    steer_map_free(map);
}

static void test_bias(void **state)
{
    static const struct {
        const char *name;
        double bias_km[2]; /* of Frankfurt and Dublin */
        double latitude, longitude;
        uint16_t want;
    } cases[] = {
        {"none", {0, 0}, 52.5, 13.4, FRANKFURT},
        {"pushed away", {1000, 0}, 52.5, 13.4, DUBLIN}, /* 424 km and 1319 km */
        {"not far enough", {800, 0}, 52.5, 13.4, FRANKFURT},
        {"drawn in", {0, -1000}, 52.5, 13.4, DUBLIN},
        {"at the place itself", {0, -20000}, 50.1, 8.7, DUBLIN},
        {"the other way", {20000, -20000}, 53.3, -6.3, DUBLIN},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct steer_branch branches[] = {
            {.name = "frankfurt", .target = FRANKFURT, .bias_km = cases[i].bias_km[0]},
            {.name = "dublin", .target = DUBLIN, .bias_km = cases[i].bias_km[1]}};
        const struct steer_node node = {"near", &steer_nearest, branches, 2};
        struct steer_map *map =
            steer_map_new_tree(&(struct steer_tree){&node, 1}, regions, REGIONS, NULL);
        struct geo_location where = place("DE", "EU", cases[i].latitude, cases[i].longitude);

        if (pick(map, steer_classify(map, &where), 0xf) != cases[i].want)
            fail_msg("%s", cases[i].name);
        steer_map_free(map);
    }
}

/* ---- draws ---- */

static const struct steer_branch shares[] = {
    {.name = "frankfurt", .target = FRANKFURT, .weight = 60},
    {.name = "dublin", .target = DUBLIN, .weight = 30},
    {.name = "tokyo", .target = TOKYO, .weight = 10}};

static struct steer_map *make_drawn(const struct steer_policy *policy, bool is_equal)
{
    struct steer_branch branches[COUNT_OF(shares)];
    struct steer_node node = {"shares", policy, branches, COUNT_OF(shares)};

    memcpy(branches, shares, sizeof(shares));
    for (size_t i = 0; is_equal && i < COUNT_OF(shares); i++)
        branches[i].weight = 1;
    return steer_map_new_tree(&(struct steer_tree){&node, 1}, regions, REGIONS, NULL);
}

static uint16_t draw(const struct steer_map *map, uint64_t prefix, uint64_t window, uint64_t usable)
{
    struct steer_draw by = {prefix, window};
    bool has_drawn;
    uint16_t region = steer_pick_drawn(map, 0, &usable, &by, &has_drawn);

    assert_true(has_drawn || region == STEER_NONE);
    return region;
}

/* As the door says it, once more. */
static uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint16_t recompute(uint64_t key, uint64_t usable)
{
    double least = INFINITY;
    uint16_t best = STEER_NONE;

    for (size_t i = 0; i < COUNT_OF(shares); i++) {
        uint64_t name = 0xcbf29ce484222325u;
        double score;

        for (const char *p = shares[i].name; *p; p++)
            name = (name ^ (uint8_t)*p) * 0x100000001b3u;
        score = -log(((double)(mixed(key ^ name) >> 12) + 0.5) / 0x1p52) / shares[i].weight;
        if ((usable >> shares[i].target & 1) && score < least)
            least = score, best = shares[i].target;
    }
    return best;
}

static void test_draws(void **state)
{
    struct steer_map *sticky = make_drawn(&steer_sticky, false);
    struct steer_map *weighted = make_drawn(&steer_weighted, false);
    unsigned counts[REGIONS] = {0}, moved = 0, rotated = 0;
    enum { N = 100000 };
    uint64_t no_dublin = 0xf & ~(1u << DUBLIN);

    (void)state;
    for (uint64_t p = 0; p < N; p++) {
        uint16_t first = draw(sticky, p, 7, 0xf), other = draw(sticky, p, 8, no_dublin);

        counts[first]++;
        assert_int_equal(first, recompute(mixed(p), 0xf));
        assert_int_equal(draw(weighted, p, 7, 0xf), recompute(mixed(mixed(p) + 7), 0xf));
        if (first != DUBLIN && other != first)
            moved++;
        rotated += draw(weighted, p, 7, 0xf) != draw(weighted, p, 8, 0xf);
    }
    assert_int_equal(moved, 0); /* Dublin took only its own along */
    assert_in_range(counts[FRANKFURT], 59000, 61000);
    assert_in_range(counts[DUBLIN], 29300, 30700);
    assert_in_range(counts[TOKYO], 9600, 10400);
    assert_int_equal(counts[VIRGINIA], 0);
    assert_in_range(rotated, 52000, 56000); /* 1 - .36 - .09 - .01 of them */
    assert_int_equal(draw(sticky, 1, 0, 1u << VIRGINIA), STEER_NONE);
    steer_map_free(sticky);
    steer_map_free(weighted);
}

static void test_equal_draws(void **state)
{
    struct steer_map *map = make_drawn(&steer_sticky, true);
    unsigned counts[REGIONS] = {0};

    (void)state;
    for (uint64_t p = 0; p < 30000; p++)
        counts[draw(map, p, 0, 0xf)]++;
    assert_in_range(counts[FRANKFURT], 9600, 10400);
    assert_in_range(counts[DUBLIN], 9600, 10400);
    assert_in_range(counts[TOKYO], 9600, 10400);
    steer_map_free(map);
}

/* A tree below a draw, and a branch behind it. */
static void test_draws_among_trees(void **state)
{
    const struct steer_branch top[] = {{.name = "canary", .is_node = true, .target = 1},
                                       {.name = "tokyo", .target = TOKYO}};
    const struct steer_branch canary[] = {
        {.name = "near", .is_node = true, .target = 2, .weight = 9},
        {.name = "virginia", .target = VIRGINIA, .weight = 1}};
    const struct steer_node nodes[] = {{"top", &steer_failover, top, 2},
                                       {"canary", &steer_sticky, canary, 2},
                                       {"near", &steer_nearest, near_branches, 2}};
    struct steer_map *map =
        steer_map_new_tree(&(struct steer_tree){nodes, 3}, regions, REGIONS, NULL);
    struct geo_location irish = place("IE", "EU", 53, -6);
    uint32_t class_id = steer_classify(map, &irish);
    unsigned n_dublin = 0;
    uint64_t all = 0xf, asia = 1u << TOKYO, no_dublin = 0xf & ~(1u << DUBLIN);
    bool has_drawn;

    (void)state;
    for (uint64_t p = 0; p < 10000; p++) {
        struct steer_draw by = {p, 0};
        uint16_t region = steer_pick_drawn(map, class_id, &all, &by, &has_drawn);

        n_dublin += region == DUBLIN;
        assert_true(region == DUBLIN || region == VIRGINIA);
        assert_int_equal(steer_pick_drawn(map, class_id, &no_dublin, &by, &has_drawn),
                         region == DUBLIN ? FRANKFURT : VIRGINIA);
        assert_int_equal(steer_pick_drawn(map, class_id, &asia, &by, &has_drawn), TOKYO);
        assert_false(has_drawn);
    }
    assert_in_range(n_dublin, 8850, 9150);
    steer_map_free(map);
}

static void test_prefixes(void **state)
{
    static const struct {
        const char *ip;
        uint64_t want;
    } cases[] = {{"192.0.2.77", 0xc00002},
                 {"0.0.0.1", 0},
                 {"2001:db8:1:2::5", 0x120010db80001},
                 {"::1", 0x1000000000000}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ip ip = ip_of(cases[i].ip);
        assert_true(steer_draw_prefix(&ip) == cases[i].want);
    }
    assert_true(steer_draw_prefix(NULL) == (uint64_t)2 << 48);
}

/* ---- for people, and across loads ---- */

static void expect_trace(const struct steer_map *map, const char *client,
                         const struct geo_location *where, uint64_t usable, const char *want)
{
    struct ip ip = ip_of(client);
    struct steer_draw by = {steer_draw_prefix(&ip), 0};
    struct text t = {0};

    steer_trace(map, &ip, where, &usable, &by, &t);
    assert_string_equal(t.p, want);
    text_free(&t);
}

static void test_trace(void **state)
{
    struct steer_map *map = make_site(), *drawn = make_drawn(&steer_sticky, false);
    struct geo_location german = place("DE", "EU", 52.5, 13.4);
    struct steer_choice out[REGIONS];

    (void)state;
    expect_trace(map, "198.51.100.1", &german, 0xf,
                 "site (geo): europe, by country\n"
                 "europe (failover): near, the first usable, number 1 of 2\n"
                 "near (nearest): frankfurt, the first usable of 2 by distance\n");
    expect_trace(map, "10.2.0.1", NULL, 1u << VIRGINIA,
                 "site (geo): europe, by network\n"
                 "europe (failover): virginia, the first usable, number 2 of 2\n");
    expect_trace(map, "10.1.0.1", &german, 0xf, "site (geo): tokyo, by network\n");
    expect_trace(map, "198.51.100.1", NULL, 0xf, "site (geo): virginia, by default\n");
    expect_trace(map, "10.2.0.1", NULL, 1u << TOKYO,
                 "site (geo): europe, by network\n"
                 "europe (failover): no branch has a usable region\n");
    expect_trace(drawn, "10.2.0.1", NULL, 1u << TOKYO,
                 "shares (sticky): tokyo, drawn with weight 10 of 10\n");
    assert_int_equal(steer_explain(map, steer_classify(map, &german), &german, out), 3);
    assert_int_equal(out[0].region, FRANKFURT);
    assert_int_equal(out[2].region, VIRGINIA);
    assert_true(fabs(out[0].distance_km - 424) < 10);
    assert_int_equal(steer_explain(drawn, 0, &german, out), 3);
    assert_int_equal(out[2].region, TOKYO);
    assert_true(isnan(out[2].distance_km));
    steer_map_free(map);
    steer_map_free(drawn);
}

static void test_alike(void **state)
{
    struct steer_map *a = make_site(), *b = make_site(), *c;

    (void)state;
    assert_true(steer_map_is_alike(a, b));
    networks[1] = prefix_of("2001:db9::/32");
    c = steer_map_new_tree(&site_tree, regions, REGIONS, NULL);
    assert_false(steer_map_is_alike(a, c));
    steer_map_free(b);
    b = make_drawn(&steer_sticky, false);
    steer_map_free(c);
    c = make_drawn(&steer_weighted, false);
    assert_false(steer_map_is_alike(b, c));
    assert_false(steer_map_is_alike(a, b));
    steer_map_free(c);
    c = make_drawn(&steer_sticky, true);
    assert_false(steer_map_is_alike(b, c));
    steer_map_free(a);
    steer_map_free(b);
    steer_map_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),    cmocka_unit_test(test_nested_networks),
        cmocka_unit_test(test_bias),     cmocka_unit_test(test_draws),
        cmocka_unit_test(test_prefixes), cmocka_unit_test(test_equal_draws),
        cmocka_unit_test(test_trace),    cmocka_unit_test(test_draws_among_trees),
        cmocka_unit_test(test_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
