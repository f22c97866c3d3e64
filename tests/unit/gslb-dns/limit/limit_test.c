/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/limit/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct ip ip_of(const char *text)
{
    struct ip ip;

    assert_true(ip_parse(str_of(text), &ip));
    return ip;
}

/* Floods of n queries in one instant, from addresses that count up in one byte of from. */
static const struct {
    const char *name, *from;
    unsigned byte, n_addresses, n;
    unsigned passed;
    enum limit_verdict last;
    const char *bystander; /* whom it leaves alone */
    const char *caught;    /* who suffers for the neighbours; NULL: nobody */
} floods[] = {
    {"one address", "192.0.2.1", 3, 1, 1000, 10, LIMIT_BY_ADDRESS, "192.0.2.2", NULL},
    {"many of a /24", "192.0.2.0", 3, 256, 2560, 320, LIMIT_BY_NETWORK, "192.0.3.1", "192.0.2.9"},
    {"many of a /20", "10.0.0.1", 2, 16, 1600, 160, LIMIT_BY_ADDRESS, "10.0.0.2", NULL},
    {"one IPv6 address", "2001:db8::1", 15, 1, 1000, 10, LIMIT_BY_ADDRESS, "2001:db8::2", NULL},
    {"a /64", "2001:db8::", 15, 256, 2560, 20, LIMIT_BY_NETWORK, "2001:db8:0:1::", "2001:db8::1:0"},
    {"a /56", "2001:db8::", 7, 256, 2560, 30, LIMIT_BY_NETWORK,
     "2001:db8:0:100::", "2001:db8:0:99::1"},
    {"a /48", "2001:db8::", 6, 256, 2560, 40, LIMIT_BY_NETWORK,
     "2001:db8:1::", "2001:db8:0:9900::1"},
};

static void floods_are_held(void **state)
{
    for (size_t i = 0; i < COUNT_OF(floods); i++) {
        struct limit l = {.table = ratelimit_new(12)};
        struct ip from = ip_of(floods[i].from), other;
        enum limit_verdict last = LIMIT_PASSED;
        unsigned passed = 0;

        limit_set_rate(&l, 10);
        for (unsigned k = 0; k < floods[i].n; k++) {
            struct ip client = from;

            client.bytes[floods[i].byte] =
                (uint8_t)(client.bytes[floods[i].byte] + k % floods[i].n_addresses);
            last = limit_charge(&l, &client, 7);
            passed += last == LIMIT_PASSED;
        }
        if (passed != floods[i].passed || last != floods[i].last)
            fail_msg("%s: %u passed, then %d", floods[i].name, passed, last);
        other = ip_of(floods[i].bystander);
        if (limit_charge(&l, &other, 7) != LIMIT_PASSED)
            fail_msg("%s: a bystander suffers", floods[i].name);
        if (floods[i].caught != NULL) {
            other = ip_of(floods[i].caught);
            if (limit_charge(&l, &other, 7) != LIMIT_BY_NETWORK)
                fail_msg("%s: a neighbour passes", floods[i].name);
        }
        ratelimit_free(l.table);
    }
}

static void the_exempt_are_not_charged(void **state)
{
    struct prefix exempt[2];
    struct limit l = {.table = ratelimit_new(8), .exempt = exempt, .n_exempt = 2};
    struct ip client = ip_of("192.0.2.1"), neighbour = ip_of("192.0.3.1");

    assert_true(prefix_parse(str_of("192.0.2.0/24"), &exempt[0]));
    assert_true(prefix_parse(str_of("2001:db8::/32"), &exempt[1]));
    limit_set_rate(&l, 1);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(limit_charge(&l, &client, 7), LIMIT_EXEMPT);
    assert_int_equal(limit_charge(&l, &neighbour, 7), LIMIT_PASSED);
    client = ip_of("2001:db8::1");
    assert_int_equal(limit_charge(&l, &client, 7), LIMIT_EXEMPT);
    ratelimit_free(l.table);
}

static void the_highest_rate_is_taken(void **state)
{
    struct limit l = {.table = NULL};

    limit_set_rate(&l, 1000000);
    assert_in_range(l.prices_v4[3], 1, UINT32_MAX);
    assert_in_range(l.prices_v6[4], 1, UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floods_are_held),
        cmocka_unit_test(the_exempt_are_not_charged),
        cmocka_unit_test(the_highest_rate_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
