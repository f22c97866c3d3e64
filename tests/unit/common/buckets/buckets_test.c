/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/buckets/buckets.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define S ((uint64_t)1000000)
#define START (1000 * S)

/* What comes when, of one key; want: how many of the tries get through. */
static const struct {
    const char *name;
    struct buckets_rate rate;
    unsigned tries;
    uint64_t every_us;
    unsigned want;
} SERIES[] = {
    {"a burst at once", {S, 5}, 20, 0, 5},
    {"at its rate for ever", {S / 10, 1}, 1000, S / 10, 1000},
    {"at twice its rate", {S / 10, 1}, 1000, S / 20, 500},
    {"at ten times its rate, with a burst", {S, 10}, 1000, S / 10, 109},
    {"one in a minute", {60 * S, 1}, 600, S, 10},
    {"one in a day", {86400 * S, 2}, 100, 3600 * S, 6},
    {"a million in a second", {1, 1000}, 100000, 1, 100000},
};

static void rates_and_bursts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(SERIES); i++) {
        struct buckets *b = buckets_new(4);
        uint64_t hash = buckets_hash(b, 0, "key", 3);
        unsigned got = 0;

        for (unsigned k = 0; k < SERIES[i].tries; k++)
            got += buckets_take(b, hash, &SERIES[i].rate, 1, START + k * SERIES[i].every_us) == 0;
        if (got != SERIES[i].want)
            fail_msg("%s: %u of %u, not %u", SERIES[i].name, got, SERIES[i].tries, SERIES[i].want);
        buckets_free(b);
    }
}

static void it_says_when_to_come_again(void **state)
{
    struct buckets *b = buckets_new(4);
    struct buckets_rate rate = {S, 2};
    uint64_t hash = buckets_hash(b, 0, "k", 1), wait;

    (void)state;
    assert_int_equal(buckets_take(b, hash, &rate, 2, START), 0);
    wait = buckets_take(b, hash, &rate, 1, START);
    assert_int_equal(wait, S);
    assert_true(buckets_take(b, hash, &rate, 1, START + wait - 1) > 0);
    assert_int_equal(buckets_take(b, hash, &rate, 1, START + wait), 0);
    assert_true(buckets_take(b, hash, &rate, 3, START + 100 * S) > 0); /* more than it ever holds */
    buckets_free(b);
}

static void debts_are_bounded_and_forgiven(void **state)
{
    struct buckets *b = buckets_new(4);
    struct buckets_rate rate = {S, 10};
    uint64_t hash = buckets_hash(b, 0, "k", 1);

    (void)state;
    assert_int_equal(buckets_spend(b, hash, &rate, 0, START), 0);
    assert_int_equal(buckets_spend(b, hash, &rate, 5, START), 500);
    assert_int_equal(buckets_spend(b, hash, &rate, 10, START), 1500);
    assert_int_equal(buckets_spend(b, hash, &rate, 1000000, START), 2000);
    assert_int_equal(buckets_spend(b, hash, &rate, 0, START + 5 * S), 1500);
    assert_int_equal(buckets_spend(b, hash, &rate, 0, START + 20 * S), 0);
    buckets_free(b);
}

static void keys_and_kinds_are_apart(void **state)
{
    struct buckets *b = buckets_new(10);
    struct buckets_rate rate = {S, 1};

    (void)state;
    assert_int_equal(buckets_take(b, buckets_hash(b, 1, "a", 1), &rate, 1, START), 0);
    assert_int_equal(buckets_take(b, buckets_hash(b, 1, "b", 1), &rate, 1, START), 0);
    assert_int_equal(buckets_take(b, buckets_hash(b, 2, "a", 1), &rate, 1, START), 0);
    assert_true(buckets_take(b, buckets_hash(b, 1, "a", 1), &rate, 1, START) > 0);
    buckets_free(b);
}

/* A hundred thousand strangers come once each; the one who is at his limit stays remembered. */
static void a_flood_does_not_wash_the_loud_away(void **state)
{
    struct buckets *b = buckets_new(10);
    struct buckets_rate rate = {S, 100};
    uint64_t loud = buckets_hash(b, 0, "loud", 4);

    (void)state;
    assert_int_equal(buckets_take(b, loud, &rate, 100, START), 0);
    for (uint32_t i = 0; i < 100000; i++)
        assert_int_equal(
            buckets_take(b, buckets_hash(b, 0, &i, sizeof(i)), &rate, 1, START + i / 1000), 0);
    assert_true(buckets_take(b, loud, &rate, 1, START + 100) > 0);
    buckets_free(b);
}

static void *take_many(void *arg)
{
    struct buckets *b = arg;
    struct buckets_rate rate = {S, 1000};
    static _Atomic unsigned got;

    for (uint32_t i = 0; i < 10000; i++)
        got += buckets_take(b, buckets_hash(b, 0, "k", 1), &rate, 1, START) == 0;
    return (void *)&got;
}

static void threads_share_a_table(void **state)
{
    struct buckets *b = buckets_new(4);
    pthread_t threads[4];
    void *got;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, b), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], &got);
    assert_true(*(_Atomic unsigned *)got >= 1000 && *(_Atomic unsigned *)got <= 4000);
    buckets_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_and_bursts),
        cmocka_unit_test(it_says_when_to_come_again),
        cmocka_unit_test(debts_are_bounded_and_forgiven),
        cmocka_unit_test(keys_and_kinds_are_apart),
        cmocka_unit_test(a_flood_does_not_wash_the_loud_away),
        cmocka_unit_test(threads_share_a_table),
    };

    return cmocka_run_group_tests_name("buckets", tests, NULL, NULL);
}
