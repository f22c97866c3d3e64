/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/addr/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void addresses_are_read_and_written(void **state)
{
    static const struct {
        const char *text;
        uint16_t default_port;
        const char *want; /* NULL: refused */
    } CASES[] = {
        {"192.0.2.1:53", 0, "192.0.2.1:53"},
        {"192.0.2.1", 53, "192.0.2.1:53"},
        {"192.0.2.1:80", 53, "192.0.2.1:80"},
        {"192.0.2.1", 0, NULL},
        {"192.0.2.1:", 53, NULL},
        {"192.0.2.1:65535", 0, "192.0.2.1:65535"},
        {"192.0.2.1:65536", 0, NULL},
        {"192.0.2.1:-1", 0, NULL},
        {"192.0.2.1:5 ", 0, NULL},
        {"192.0.2:53", 0, NULL},
        {"192.0.2.01:53", 0, NULL},
        {"[2001:DB8::1]:53", 0, "[2001:db8::1]:53"},
        {"[::1]", 53, "[::1]:53"},
        {"[::1]", 0, NULL},
        {"::1", 53, "[::1]:53"},
        {"::1", 0, NULL},
        {"[::1", 53, NULL},
        {"[::1]53", 53, NULL},
        {"[::1]:", 53, NULL},
        {"*:53", 53, NULL},
        {"localhost:53", 0, NULL},
        {"", 53, NULL},
        {":53", 0, NULL},
        {"0.0.0.0:0", 0, "0.0.0.0:0"},
    };
    char buf[ADDR_TEXT];
    struct addr a;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        bool is_fine = addr_parse(str_of(CASES[i].text), CASES[i].default_port, &a);

        if (is_fine != (CASES[i].want != NULL) ||
            (is_fine && strcmp(addr_format(&a, buf), CASES[i].want) != 0))
            fail_msg("'%s': %s", CASES[i].text, is_fine ? buf : "refused");
    }
}

static void prefixes_are_read(void **state)
{
    static const struct {
        const char *text;
        int length; /* -1: refused */
    } CASES[] = {
        {"10.0.0.0/8", 8},    {"0.0.0.0/0", 0},      {"192.0.2.1", 32},
        {"192.0.2.1/32", 32}, {"10.0.0.1/8", -1},    {"10.0.0.0/33", -1},
        {"10.0.0.0/", -1},    {"10.0.0.0/-1", -1},   {"/8", -1},
        {"10/8", -1},         {"2001:db8::/32", 32}, {"::/0", 0},
        {"2001:db8::1", 128}, {"2001:db8::/33", 33}, {"::1/127", -1},
        {"::/129", -1},       {"10.0.0.128/25", 25}, {"10.0.0.64/25", -1},
    };
    struct prefix p;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        int got = prefix_parse(str_of(CASES[i].text), &p) ? p.length : -1;

        if (got != CASES[i].length)
            fail_msg("'%s': %d", CASES[i].text, got);
    }
}

static struct ip ip_of(const char *text)
{
    struct ip ip;

    assert_true(ip_parse(str_of(text), &ip));
    return ip;
}

static void prefixes_contain(void **state)
{
    static const struct {
        const char *prefix, *ip;
        bool want;
    } CASES[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.128/25", "10.0.0.127", false},
        {"10.0.0.128/25", "10.0.0.255", true},
        {"0.0.0.0/0", "255.255.255.255", true},
        {"0.0.0.0/0", "::", false},
        {"::/0", "1.2.3.4", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"192.0.2.1", "192.0.2.1", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct ip ip = ip_of(CASES[i].ip);
        struct prefix p;

        assert_true(prefix_parse(str_of(CASES[i].prefix), &p));
        if (prefix_has(&p, &ip) != CASES[i].want)
            fail_msg("%s in %s", CASES[i].ip, CASES[i].prefix);
    }
}

static void masks_cut_at_every_length(void **state)
{
    (void)state;
    for (unsigned length = 0; length <= 128; length++) {
        struct ip ip = {.family = 6};

        memset(ip.bytes, 0xff, sizeof(ip.bytes));
        ip_mask(&ip, length);
        for (unsigned bit = 0; bit < 128; bit++)
            assert_int_equal(ip.bytes[bit / 8] >> (7 - bit % 8) & 1, bit < length);
    }
}

static void mapped_addresses_are_IPv4(void **state)
{
    struct addr mapped, plain;
    struct ip ip;
    char buf[ADDR_TEXT];

    (void)state;
    assert_true(addr_parse(STR("[::ffff:192.0.2.1]:53"), 0, &mapped));
    assert_true(addr_parse(STR("192.0.2.1:53"), 0, &plain));
    ip = addr_ip(&mapped);
    assert_int_equal(ip.family, 4);
    assert_string_equal(ip_format(&ip, buf), "192.0.2.1");
    assert_true(addr_eq(&mapped, &plain));
    assert_int_equal(addr_port(&mapped), 53);
    assert_true(addr_parse(STR("192.0.2.1:54"), 0, &plain));
    assert_false(addr_eq(&mapped, &plain));
}

static void none_is_no_address(void **state)
{
    struct addr a = {0};
    struct ip ip = addr_ip(&a), v4 = ip_of("0.0.0.0"), v6 = ip_of("::");
    char buf[ADDR_TEXT];

    (void)state;
    assert_int_equal(ip.family, 0);
    assert_string_equal(ip_format(&ip, buf), "none");
    assert_int_equal(addr_port(&a), 0);
    assert_false(ip_eq(&v4, &v6));
    a = addr_of_ip(&v6, 8080);
    assert_string_equal(addr_format(&a, buf), "[::]:8080");
}

static void addresses_overlap(void **state)
{
    static const struct {
        const char *a, *b;
        bool want;
    } cases[] = {
        {"192.0.2.1:53", "192.0.2.1:53", true},  {"192.0.2.1:53", "192.0.2.1:54", false},
        {"192.0.2.1:53", "192.0.2.2:53", false}, {"0.0.0.0:53", "192.0.2.1:53", true},
        {"192.0.2.1:53", "0.0.0.0:53", true},    {"0.0.0.0:53", "192.0.2.1:54", false},
        {"[::]:53", "[2001:db8::1]:53", true},   {"[::]:53", "192.0.2.1:53", false},
        {"0.0.0.0:53", "[::1]:53", false},       {"[::]:53", "0.0.0.0:53", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct addr a, b;

        assert_true(addr_parse(str_of(cases[i].a), 0, &a) && addr_parse(str_of(cases[i].b), 0, &b));
        if (addr_overlaps(&a, &b) != cases[i].want)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_written),
        cmocka_unit_test(prefixes_are_read),
        cmocka_unit_test(prefixes_contain),
        cmocka_unit_test(masks_cut_at_every_length),
        cmocka_unit_test(mapped_addresses_are_IPv4),
        cmocka_unit_test(none_is_no_address),
        cmocka_unit_test(addresses_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
