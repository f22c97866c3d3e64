/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/ratelimit/ratelimit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct ratelimit_key key_of(const struct ratelimit *t, uint64_t who, uint32_t per_second)
{
    return (struct ratelimit_key){ratelimit_hash(t, &who, sizeof(who)),
                                  ratelimit_price(per_second)};
}

/* How many of n events pass that come evenly from from_ms to to_ms. */
static unsigned pass(struct ratelimit *t, uint64_t who, uint32_t per_second, unsigned n,
                     uint32_t from_ms, uint32_t to_ms)
{
    struct ratelimit_key key = key_of(t, who, per_second);
    unsigned passed = 0;

    for (unsigned i = 0; i < n; i++)
        passed += ratelimit_charge(t, &key, 1,
                                   from_ms + (uint32_t)((uint64_t)(to_ms - from_ms) * i / n)) == 1;
    return passed;
}

static const struct {
    const char *name;
    uint32_t per_second;
    unsigned n;
    uint32_t from_ms, to_ms;
    unsigned least, most;
} rates[] = {
    {"below the rate for a minute: all", 100, 5400, 1000, 61000, 5400, 5400},
    {"a burst of one second's worth: all", 100, 100, 1000, 1000, 100, 100},
    {"a burst of ten seconds' worth: one second's", 100, 1000, 1000, 1000, 100, 101},
    {"ten times the rate for ten seconds: the rate, and a burst", 100, 10000, 1000, 11000, 1000,
     1120},
    {"one in a second", 1, 100, 1000, 11000, 9, 12},
    {"a million in a second", 1000000, 3000000, 1000, 2000, 1600000, 2100000},
    {"across the end of the clock", 100, 10000, UINT32_MAX - 4999, 5000, 1000, 1120},
};

static void rates_are_kept(void **state)
{
    for (size_t i = 0; i < COUNT_OF(rates); i++) {
        struct ratelimit *t = ratelimit_new(8);
        unsigned got =
            pass(t, 7, rates[i].per_second, rates[i].n, rates[i].from_ms, rates[i].to_ms);

        if (got < rates[i].least || got > rates[i].most)
            fail_msg("%s: %u passed", rates[i].name, got);
        ratelimit_free(t);
    }
}

static void rests_are_forgotten(void **state)
{
    static const uint32_t rests_ms[] = {5000, 24000, 25000, 60000, 1u << 31, UINT32_MAX - 2000};

    for (size_t i = 0; i < COUNT_OF(rests_ms); i++) {
        struct ratelimit *t = ratelimit_new(4);

        assert_in_range(pass(t, 7, 100, 200, 0, 1), 100, 101);
        assert_in_range(pass(t, 7, 100, 200, rests_ms[i], rests_ms[i] + 1), 99, 101);
        ratelimit_free(t);
    }
}

static void all_keys_or_none_are_charged(void **state)
{
    struct ratelimit *t = ratelimit_new(8);
    struct ratelimit_key keys[2] = {key_of(t, 1, 100), key_of(t, 2, 10)};

    for (int i = 0; i < 10; i++)
        assert_int_equal(ratelimit_charge(t, keys, 2, 5), 2);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(ratelimit_charge(t, keys, 2, 5), 1);
    for (int i = 0; i < 90; i++)
        assert_int_equal(ratelimit_charge(t, keys, 1, 5), 1);
    assert_int_equal(ratelimit_charge(t, keys, 1, 5), 0);
    ratelimit_free(t);
}

/* Keys of one charge in one bucket of two: the lowest bit chooses it, the highest 16 are the tag.
 * Whichever way they meet there, each may come as often as its own rate allows. */
static const struct {
    const char *name;
    size_t n_strangers; /* whose loads are heavier than any of the keys' will be */
    uint16_t before;    /* the tag of one that came twice already; 0: nobody */
    uint16_t tags[RATELIMIT_KEYS_MAX];
    size_t n;
    unsigned passed; /* charges of all, at a rate of 12 */
} neighbours[] = {
    {"two new ones", 8, 0, {1, 2}, 2, 12},
    {"as many new ones as there can be", 2, 0, {1, 2, 3, 4, 5, 6, 7, 8}, 8, 12},
    {"new ones in a full bucket", 10, 0, {1, 2, 3}, 3, 12},
    {"a new one, and one that is known and light", 9, 2, {1, 2}, 2, 10},
    {"one that is known and light, and a new one", 9, 1, {1, 2}, 2, 10},
    {"two that look alike", 8, 0, {1, 1}, 2, 6},
    {"two that look alike and are known", 9, 1, {1, 1}, 2, 5},
    {"two that look alike around another", 8, 0, {1, 2, 1}, 3, 6},
};

static uint64_t hash_of_tag(uint16_t tag)
{
    return (uint64_t)tag << 48 | 1;
}

static void fill_bucket(struct ratelimit *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct ratelimit_key stranger = {hash_of_tag((uint16_t)(1000 + i)), ratelimit_price(1)};

        assert_int_equal(ratelimit_charge(t, &stranger, 1, 5), 1);
    }
}

/* How often one came: in each charge of all that passed, and before them. */
static unsigned came(size_t row, uint16_t tag)
{
    unsigned n = neighbours[row].before == tag ? 2 : 0;

    for (size_t k = 0; k < neighbours[row].n; k++)
        n += neighbours[row].tags[k] == tag ? neighbours[row].passed : 0;
    return n;
}

static void keys_of_one_bucket_are_charged_each(void **state)
{
    for (size_t i = 0; i < COUNT_OF(neighbours); i++) {
        struct ratelimit *t = ratelimit_new(1);
        struct ratelimit_key keys[RATELIMIT_KEYS_MAX];
        struct ratelimit_key before = {hash_of_tag(neighbours[i].before), ratelimit_price(12)};
        size_t n = neighbours[i].n;
        unsigned passed = 0;

        fill_bucket(t, neighbours[i].n_strangers);
        for (int k = 0; neighbours[i].before != 0 && k < 2; k++)
            assert_int_equal(ratelimit_charge(t, &before, 1, 5), 1);
        for (size_t k = 0; k < n; k++)
            keys[k] =
                (struct ratelimit_key){hash_of_tag(neighbours[i].tags[k]), ratelimit_price(12)};
        while (passed < 100 && ratelimit_charge(t, keys, n, 5) == n)
            passed++;
        if (passed != neighbours[i].passed)
            fail_msg("%s: %u passed", neighbours[i].name, passed);
        for (size_t k = 0; k < n; k++) {
            unsigned left = 12 - came(i, neighbours[i].tags[k]), got = 0;

            while (got < left && ratelimit_charge(t, &keys[k], 1, 5) == 1)
                got++;
            if (got != left || ratelimit_charge(t, &keys[k], 1, 5) == 1)
                fail_msg("%s: the key at %zu was charged wrongly", neighbours[i].name, k);
        }
        ratelimit_free(t);
    }
}

/* A flood from more addresses than the table has entries, each of which comes once or twice. */
static void a_flood_of_strangers_touches_no_bystander(void **state)
{
    struct ratelimit *t = ratelimit_new(10);
    size_t bytes = ratelimit_bytes(t);
    unsigned passed = 0, n = 0;

    for (uint64_t i = 0; i < 2000000; i++) {
        struct ratelimit_key stranger = key_of(t, 1000 + i, 100);

        (void)ratelimit_charge(t, &stranger, 1, (uint32_t)(i / 200));
        if (i % 10000 == 0) {
            struct ratelimit_key bystander = key_of(t, 1 + i / 10000 % 20, 100);
            passed += ratelimit_charge(t, &bystander, 1, (uint32_t)(i / 200)) == 1;
            n++;
        }
    }
    assert_int_equal(passed, n);
    assert_int_equal(ratelimit_bytes(t), bytes);
    ratelimit_free(t);
}

/* Among a hundred thousand who come once stands one who comes at a hundred times his rate: he is
 * held to it, because the light entries make way for each other. */
static void one_who_asks_much_is_found_among_many(void **state)
{
    struct ratelimit *t = ratelimit_new(10);
    struct ratelimit_key heavy = key_of(t, 1, 100);
    unsigned passed = 0;

    for (uint64_t i = 0; i < 100000; i++) {
        struct ratelimit_key stranger = key_of(t, 1000 + i, 100);

        (void)ratelimit_charge(t, &stranger, 1, (uint32_t)(i / 10));
        passed += ratelimit_charge(t, &heavy, 1, (uint32_t)(i / 10)) == 1;
    }
    assert_in_range(passed, 1000, 1200); /* ten seconds at 100 */
    ratelimit_free(t);
}

/* Two who ask alike get alike. */
static void heavy_ones_are_treated_alike(void **state)
{
    struct ratelimit *t = ratelimit_new(10);
    struct ratelimit_key keys[8];
    unsigned passed[8] = {0};

    for (size_t k = 0; k < 8; k++)
        keys[k] = key_of(t, k, 50);
    for (uint32_t ms = 0; ms < 10000; ms++) {
        for (size_t k = 0; k < 8; k++)
            passed[k] += ratelimit_charge(t, &keys[k], 1, ms) == 1;
    }
    for (size_t k = 0; k < 8; k++)
        assert_in_range(passed[k], 500, 560);
    ratelimit_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_kept),
        cmocka_unit_test(rests_are_forgotten),
        cmocka_unit_test(all_keys_or_none_are_charged),
        cmocka_unit_test(keys_of_one_bucket_are_charged_each),
        cmocka_unit_test(a_flood_of_strangers_touches_no_bystander),
        cmocka_unit_test(one_who_asks_much_is_found_among_many),
        cmocka_unit_test(heavy_ones_are_treated_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
