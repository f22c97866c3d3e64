/* SPDX-License-Identifier: BSD-2-Clause */
/* Names next to a name: by a table, and by what canonical order makes of them. */
#include "gslb-dns/zone/zone_internal.h"

#include "tests/unit/gslb-dns/zone/zone_text.h"

enum { LABEL_MAX = 63 };

/* A name of one label of n octets, the last of which is given, below "z". */
static size_t make_name(uint8_t out[WIRE_NAME_MAX], size_t n, uint8_t last)
{
    out[0] = (uint8_t)n;
    memset(out + 1, 'm', n);
    out[n] = last;
    memcpy(out + 1 + n, "\1z", 3);
    return n + 4;
}

static int compare(const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes)
{
    struct wire_name x, y;

    assert_true(wire_name_read(a, a_bytes, &x));
    assert_true(wire_name_read(b, b_bytes, &y));
    return chain_compare(x.bytes, x.n_labels, y.bytes, y.n_labels);
}

static void test_table(void **state)
{
    static const struct {
        const char *name, *below, *behind;
    } cases[] = {
        {"a.z", "\\000.a.z", "a\\000.z"},
        {"*.z", "\\000.*.z", "*\\000.z"},
        {"a\\000.z", "\\000.a\\000.z", "a\\000\\000.z"},
        {"b.a.z", "\\000.b.a.z", "b\\000.a.z"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct wire_name name = name_of(cases[i].name), below = name_of(cases[i].below),
                         behind = name_of(cases[i].behind);
        uint8_t out[WIRE_NAME_MAX];

        assert_int_equal(zone_name_below(name.bytes, name.length, out), below.length);
        assert_memory_equal(out, below.bytes, below.length);
        assert_int_equal(zone_name_behind(name.bytes, name.length, out), behind.length);
        assert_memory_equal(out, behind.bytes, behind.length);
    }
}

/* before < name < below < behind, for each length and last octet of a label; no upper case. */
static void test_order(void **state)
{
    (void)state;
    for (size_t n = 1; n <= LABEL_MAX; n++) {
        for (unsigned last = 0; last <= UINT8_MAX; last++) {
            uint8_t name[WIRE_NAME_MAX], out[WIRE_NAME_MAX], behind[WIRE_NAME_MAX];
            size_t name_bytes = make_name(name, n, (uint8_t)last), bytes, behind_bytes;

            if (last >= 'A' && last <= 'Z')
                continue;
            behind_bytes = zone_name_behind(name, name_bytes, behind);
            assert_true(behind_bytes > 0 && behind_bytes <= WIRE_NAME_MAX);
            assert_true(compare(name, name_bytes, behind, behind_bytes) < 0);
            bytes = zone_name_below(name, name_bytes, out);
            assert_true(compare(name, name_bytes, out, bytes) < 0);
            assert_true(compare(out, bytes, behind, behind_bytes) < 0);
            bytes = zone_name_before(name, name_bytes, out);
            assert_int_equal(bytes == 0, n == 1 && last == 0);
            assert_true(bytes == 0 || compare(out, bytes, name, name_bytes) < 0);
        }
    }
}

/* Names with others below them, and their like, that must not come between. */
static void test_nothing_between(void **state)
{
    static const char *const names[] = {"a.z",      "a.a.z",      "\\255.a.z", "aa.z",
                                        "a\\000.z", "b.a\\000.z", "@.z",       "[.z",
                                        "x.[.z",    "b.z",        "\\255.z",   "`.z"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct wire_name name = name_of(names[i]);
        uint8_t before[WIRE_NAME_MAX], behind[WIRE_NAME_MAX];
        size_t n_before = zone_name_before(name.bytes, name.length, before),
               n_behind = zone_name_behind(name.bytes, name.length, behind);

        for (size_t k = 0; k < COUNT_OF(names); k++) {
            struct wire_name other = name_of(names[k]);
            bool is_between = compare(before, n_before, other.bytes, other.length) <= 0 &&
                              compare(other.bytes, other.length, behind, n_behind) < 0;

            if (is_between != wire_name_is_below(&other, &name))
                fail_msg("%s around %s", names[i], names[k]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_nothing_between),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
