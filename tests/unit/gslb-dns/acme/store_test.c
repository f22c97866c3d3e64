/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/acme/acme.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { NOW_MS = 1000000 };

static struct acme_record record(const char *name, const char *value, uint64_t stamp, int life_s)
{
    struct acme_record r = {.stamp = stamp, .expires_ms = NOW_MS + 1000 * (int64_t)life_s};

    assert_true(wire_name_parse(str_of(name), &r.name));
    snprintf(r.value, sizeof(r.value), "%s", value);
    return r;
}

/* Whatever the order in which words about one record come, the newest holds. */
static void the_newest_word_holds(void **state)
{
    static const struct {
        const char *name;
        struct {
            uint64_t stamp;
            bool is_removed;
        } words[3];
        bool is_answered;
    } cases[] = {
        {"added", {{1, false}}, true},
        {"removed", {{1, false}, {2, true}}, false},
        {"removal heard first", {{2, true}, {1, false}}, false},
        {"added again", {{1, false}, {2, true}, {3, false}}, true},
        {"heard again after its removal", {{1, false}, {2, true}, {1, false}}, false},
        {"same stamp", {{1, false}, {1, true}}, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct acme_store *s = acme_store_new();
        const struct acme_record *now;
        size_t n;

        for (size_t k = 0; k < 3 && cases[i].words[k].stamp != 0; k++) {
            struct acme_record r = record("a.test", "v", cases[i].words[k].stamp, 60);

            r.is_removed = cases[i].words[k].is_removed;
            acme_store_put(s, &r, NOW_MS);
        }
        now = acme_store_records(s, &n);
        if (n != 1 || acme_is_answered(now, NOW_MS) != cases[i].is_answered)
            fail_msg("%s", cases[i].name);
        assert_true(acme_store_stamp(s, &now->name, "v", 0) > now->stamp);
        acme_store_free(s);
    }
}

static void it_is_bounded(void **state)
{
    struct acme_store *s = acme_store_new();
    struct acme_record r;
    char name[32];
    size_t n;

    (void)state;
    for (int i = 0; i < ACME_PER_NAME_MAX; i++) {
        snprintf(name, sizeof(name), "v%d", i);
        r = record("a.test", name, 1, 60);
        assert_int_equal(acme_store_put(s, &r, NOW_MS), ACME_CHANGED);
    }
    r = record("a.test", "one more", 1, 60);
    assert_int_equal(acme_store_put(s, &r, NOW_MS), ACME_FULL);
    for (int i = ACME_PER_NAME_MAX; i < ACME_RECORDS_MAX; i++) {
        snprintf(name, sizeof(name), "n%d.test", i);
        r = record(name, "v", 1, 60);
        assert_int_equal(acme_store_put(s, &r, NOW_MS), ACME_CHANGED);
    }
    r = record("b.test", "v", 1, 60);
    assert_int_equal(acme_store_put(s, &r, NOW_MS), ACME_FULL);
    r = record("a.test", "v0", 2, 10 * ACME_LIFETIME_MAX_S);
    assert_int_equal(acme_store_put(s, &r, NOW_MS), ACME_CHANGED);
    assert_int_equal(acme_store_records(s, &n)[0].expires_ms,
                     NOW_MS + 1000 * (int64_t)ACME_LIFETIME_MAX_S);
    assert_int_equal(n, ACME_RECORDS_MAX);
    acme_store_free(s);
}

/* No cache has a record longer than its lifetime. */
static void it_leaves_in_time(void **state)
{
    struct acme_store *s = acme_store_new();
    struct acme_record r = record("a.test", "v", 1, 60);
    int64_t last_ms = r.expires_ms - 1000 * (int64_t)ACME_TTL_S;
    size_t n;

    (void)state;
    assert_int_equal(acme_store_next_ms(s), INT64_MAX);
    assert_int_equal(acme_store_put(s, &r, NOW_MS), ACME_CHANGED);
    assert_int_equal(acme_store_next_ms(s), last_ms);
    assert_true(acme_is_answered(&r, last_ms - 1));
    assert_false(acme_is_answered(&r, last_ms));
    assert_false(acme_store_expire(s, last_ms - 1));
    assert_true(acme_store_expire(s, last_ms));
    acme_store_records(s, &n);
    assert_int_equal(n, 0);
    r.is_removed = true;
    assert_int_equal(acme_store_put(s, &r, last_ms), ACME_CHANGED);
    assert_false(acme_store_expire(s, r.expires_ms - 1)); /* lest it be brought back */
    assert_true(acme_store_expire(s, r.expires_ms));
    assert_int_equal(acme_store_put(s, &r, r.expires_ms), ACME_KNOWN);
    acme_store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_word_holds),
        cmocka_unit_test(it_is_bounded),
        cmocka_unit_test(it_leaves_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
