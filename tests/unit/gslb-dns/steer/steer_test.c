/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/steer/steer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct geo_location at(double latitude, double longitude)
{
    return (struct geo_location){
        .has_coordinates = true, .latitude = latitude, .longitude = longitude};
}

/* ---- distance ---- */

static void test_distance(void **state)
{
    const double half = M_PI * 6371.0088; /* around half the Earth */
    /* The two between cities by the haversine formula, computed elsewhere. */
    const struct {
        const char *name;
        double a[2], b[2], km, tolerance_km;
    } cases[] = {
        {"the same point", {48.85, 2.35}, {48.85, 2.35}, 0, 0},
        {"a metre apart", {10, 20}, {10 + 1 / 111195.0797, 20}, 0.001, 1e-9},
        {"Frankfurt to Washington", {50.11, 8.68}, {38.91, -77.04}, 6529.763213, 1e-5},
        {"Sydney to Santiago", {-33.87, 151.21}, {-33.45, -70.67}, 11346.446726, 1e-5},
        {"across the antimeridian", {0, 179.5}, {0, -179.5}, half / 180, 1e-6},
        {"antipodes on the equator", {0, 0}, {0, 180}, half, 1e-6},
        {"antipodes off the equator", {40, 30}, {-40, -150}, half, 1e-6},
        {"almost antipodes", {0, 0}, {0, 180 - 1 / 111195.0797}, half - 0.001, 1e-6},
        {"pole to pole", {90, 12}, {-90, -77}, half, 1e-6},
        {"a pole has any longitude", {90, 0}, {90, 135}, 0, 1e-9},
        {"pole to equator", {90, 55}, {0, -31}, half / 2, 1e-6},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const double *a = cases[i].a, *b = cases[i].b;
        double there = steer_distance_km(a[0], a[1], b[0], b[1]);
        double back = steer_distance_km(b[0], b[1], a[0], a[1]);

        if (!(fabs(there - cases[i].km) <= cases[i].tolerance_km) || !(fabs(there - back) < 1e-6))
            fail_msg("%s: %.9f km there, %.9f back", cases[i].name, there, back);
    }
}

/* ---- ranking ---- */

#define REGIONS 5
static const struct steer_region regions[REGIONS] = {
    {50.1, 8.7},    /* 0 Frankfurt */
    {39.0, -77.5},  /* 1 Virginia */
    {35.7, 139.7},  /* 2 Tokyo */
    {-33.9, 151.2}, /* 3 Sydney */
    {50.1, 8.7},    /* 4 Frankfurt again */
};

static void expect_ranked(const struct steer_map *map, const char *name, uint32_t class_id,
                          const uint16_t *want)
{
    for (size_t i = 0; i < steer_region_count(map); i++)
        if (steer_ranked_at(map, class_id, i) != want[i])
            fail_msg("%s: place %zu has region %u, not %u", name, i,
                     steer_ranked_at(map, class_id, i), want[i]);
}

static void test_nearest(void **state)
{
    static const uint16_t order[REGIONS] = {4, 3, 2, 1, 0};
    static const struct {
        const char *name;
        double latitude, longitude;
        uint16_t want[REGIONS];
    } cases[] = {
        {"Paris; the tie by the configured order", 48.9, 2.3, {4, 0, 1, 2, 3}},
        {"New York", 40.7, -74, {1, 4, 0, 2, 3}},
        {"Auckland", -36.8, 174.8, {3, 2, 1, 4, 0}},
        {"Fiji, east of the antimeridian", -17, -179.5, {3, 2, 1, 4, 0}},
        {"Fiji, west of it", -17, 179.5, {3, 2, 1, 4, 0}},
        {"the north pole", 90, 0, {4, 0, 1, 2, 3}},
        {"the south pole", -90, 77, {3, 2, 1, 4, 0}},
        {"opposite Sydney", 33.9, -28.8, {4, 0, 1, 2, 3}},
    };
    struct steer_map *map = steer_map_new(&steer_nearest, regions, REGIONS, order);

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct geo_location where = at(cases[i].latitude, cases[i].longitude);
        uint32_t class_id = steer_classify(map, &where);

        expect_ranked(map, cases[i].name, class_id, cases[i].want);
        assert_int_equal(steer_classify(map, &where), class_id);
    }
    assert_int_equal(steer_class_count(map),
                     4); /* the default order, and the three different lists above */
    steer_map_free(map);
}

static void test_symmetry(void **state)
{
    /* All as far from the client, who sits at the antimeridian: the order alone decides. */
    static const struct steer_region four[] = {{0, 170}, {10, 180}, {-10, -180}, {0, -170}};
    static const uint16_t order[] = {2, 0, 3, 1};
    struct steer_map *map = steer_map_new(&steer_nearest, four, 4, order);
    struct geo_location east = at(0, 180), west = at(0, -180);

    assert_int_equal(steer_classify(map, &east), 0);
    assert_int_equal(steer_classify(map, &west), 0);
    expect_ranked(map, "symmetry", 0, order);
    steer_map_free(map);
}

static void test_unlocated(void **state)
{
    static const uint16_t order[REGIONS] = {2, 4, 0, 3, 1};
    static const uint16_t plain[REGIONS] = {0, 1, 2, 3, 4};
    struct geo_location country_only = {.has_country = true, .country = "ZZ"};
    struct steer_map *map = steer_map_new(&steer_nearest, regions, REGIONS, order);
    struct steer_map *unordered = steer_map_new(&steer_nearest, regions, REGIONS, NULL);

    assert_int_equal(steer_classify(map, NULL), 0);
    assert_int_equal(steer_classify(map, &country_only), 0);
    expect_ranked(map, "default order", 0, order);
    expect_ranked(unordered, "no default order", 0, plain);
    steer_map_free(map);
    steer_map_free(unordered);
}

static void test_failover(void **state)
{
    static const uint16_t order[REGIONS] = {3, 1, 0, 4, 2};
    struct steer_map *map = steer_map_new(&steer_failover, regions, REGIONS, order);
    struct geo_location tokyo = at(35, 139);
    uint64_t usable = 0x1f & ~(1u << 3);

    assert_false(steer_is_by_location(map));
    assert_int_equal(steer_classify(map, &tokyo), 0);
    assert_int_equal(steer_class_count(map), 1);
    expect_ranked(map, "failover", 0, order);
    assert_int_equal(steer_pick(map, 0, &usable), 1);
    steer_map_free(map);
}

static void test_one_region(void **state)
{
    struct steer_map *map = steer_map_new(&steer_nearest, regions, 1, NULL);
    struct geo_location where = at(-50, 100);
    uint64_t up = 1, down = 0;

    assert_int_equal(steer_classify(map, &where), 0);
    assert_int_equal(steer_pick(map, 0, &up), 0);
    assert_int_equal(steer_pick(map, 0, &down), STEER_NONE);
    steer_map_free(map);
}

static void test_policies(void **state)
{
    assert_ptr_equal(steer_find_policy(STR("nearest")), &steer_nearest);
    assert_ptr_equal(steer_find_policy(STR("failover")), &steer_failover);
    assert_null(steer_find_policy(STR("near")));
    assert_null(steer_find_policy(STR("")));
    for (size_t i = 0; steer_policies[i] != NULL; i++)
        assert_non_null(steer_policies[i]->summary);
}

/* ---- explain ---- */

static void test_explain(void **state)
{
    static const uint16_t order[REGIONS] = {4, 3, 2, 1, 0};
    static const uint16_t want[REGIONS] = {1, 4, 0, 2, 3};
    struct steer_map *map = steer_map_new(&steer_nearest, regions, REGIONS, order);
    struct steer_map *failover = steer_map_new(&steer_failover, regions, REGIONS, order);
    struct geo_location where = at(40.7, -74);
    struct steer_choice out[REGIONS];
    uint32_t class_id;

    class_id = steer_classify(map, &where);
    assert_int_equal(steer_explain(map, class_id, &where, out), REGIONS);
    for (size_t i = 0; i < REGIONS; i++) {
        const struct steer_region *r = &regions[want[i]];
        assert_int_equal(out[i].region, want[i]);
        assert_true(out[i].distance_km == steer_distance_km(40.7, -74, r->latitude, r->longitude));
    }
    assert_int_equal(steer_class_count(map), 2);
    steer_explain(map, 0, NULL, out);
    for (size_t i = 0; i < REGIONS; i++) {
        assert_int_equal(out[i].region, order[i]);
        assert_true(isnan(out[i].distance_km));
    }
    steer_explain(failover, 0, &where, out);
    assert_int_equal(out[0].region, 4);
    assert_true(isnan(out[0].distance_km));
    steer_map_free(map);
    steer_map_free(failover);
}

/* ---- against brute force ---- */

static uint64_t random_state = 0x2545f4914f6cdd1du;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static struct steer_region random_region(void)
{
    double z = (double)(next_random() % 2000001) / 1e6 - 1;

    return (struct steer_region){asin(z) * 180 / M_PI,
                                 (double)(next_random() % 360000) / 1e3 - 180};
}

static double nearest_km(const struct steer_region *r, size_t n, const struct geo_location *where,
                         const uint64_t *usable)
{
    double best = INFINITY;

    for (size_t i = 0; i < n; i++) {
        double km =
            steer_distance_km(where->latitude, where->longitude, r[i].latitude, r[i].longitude);
        if ((usable[i / 64] >> i % 64 & 1) && km < best)
            best = km;
    }
    return best;
}

static void check_client(struct steer_map *map, const struct steer_region *r, size_t n)
{
    struct steer_region client = random_region();
    struct geo_location where = at(client.latitude, client.longitude);
    uint32_t class_id = steer_classify(map, &where);
    uint64_t *usable = base_zalloc(STEER_BITMAP_WORDS(n), sizeof(*usable));

    for (unsigned share = 0; share <= 4; share++) {
        double best, km;
        uint16_t pick;

        for (size_t i = 0; i < n; i++)
            if (next_random() % 4 < share)
                usable[i / 64] |= (uint64_t)1 << i % 64;
        best = nearest_km(r, n, &where, usable);
        pick = steer_pick(map, class_id, usable);
        assert_int_equal(pick == STEER_NONE, isinf(best));
        if (pick == STEER_NONE)
            continue;
        assert_true(usable[pick / 64] >> pick % 64 & 1);
        km =
            steer_distance_km(where.latitude, where.longitude, r[pick].latitude, r[pick].longitude);
        if (km > best + 1e-4)
            fail_msg("%zu regions: picked %.6f km, nearest %.6f km", n, km, best);
    }
    free(usable);
}

static void test_brute_force(void **state)
{
    static const size_t sizes[] = {1, 2, 6, 24, 25, 63, 64, 65, 254, 256, 257, 1000, 3000};

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t n = sizes[i];
        struct steer_region *r = base_alloc(n * sizeof(*r));
        struct steer_map *map;

        for (size_t k = 0; k < n; k++)
            r[k] = random_region();
        map = steer_map_new(&steer_nearest, r, n, NULL);
        for (unsigned k = 0; k < 300; k++)
            check_client(map, r, n);
        assert_true(steer_class_count(map) <= 301);
        assert_true(steer_map_bytes(map) >= steer_class_count(map) * n);
        print_message("%zu regions: %u classes, %zu bytes\n", n, steer_class_count(map),
                      steer_map_bytes(map));
        steer_map_free(map);
        free(r);
    }
}

/* Every region once in each list, and no list twice. */
static void test_lists_are_permutations(void **state)
{
    enum { N = 254 };
    struct steer_region r[N];
    struct steer_map *map;

    for (size_t k = 0; k < N; k++)
        r[k] = random_region();
    map = steer_map_new(&steer_nearest, r, N, NULL);
    for (unsigned k = 0; k < 2000; k++) {
        struct steer_region client = random_region();
        struct geo_location where = at(client.latitude, client.longitude);
        uint32_t class_id = steer_classify(map, &where);
        bool seen[N] = {false};

        for (size_t i = 0; i < N; i++) {
            uint16_t region = steer_ranked_at(map, class_id, i);
            assert_true(region < N && !seen[region]);
            seen[region] = true;
        }
        assert_int_equal(steer_classify(map, &where), class_id);
    }
    steer_map_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distance),    cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_symmetry),    cmocka_unit_test(test_unlocated),
        cmocka_unit_test(test_failover),    cmocka_unit_test(test_one_region),
        cmocka_unit_test(test_policies),    cmocka_unit_test(test_explain),
        cmocka_unit_test(test_brute_force), cmocka_unit_test(test_lists_are_permutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
