/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/cookie/cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECRET_1 "e5e973e5a6b2a43f48e7dc849e37bfcf"
#define SECRET_OLD "dd3bdf9344b678b185a6f5cb60fca715"
#define SECRET_NEW "445536bcd2513298075a5d379663c962"
#define CLIENT_1 "198.51.100.100"
#define CLIENT_2 "203.0.113.203"
#define CLIENT_6 "2001:db8:220:1:59de:d0f4:8769:82b8"
#define LEARNED "2464c4abcf10c957010000005cf79f111f8130c3eee29480"

static const struct {
    const char *name, *secrets[2], *client, *cookie;
    uint32_t now_s;
    enum cookie_verdict want;
    const char *back; /* NULL: a new one with the time now */
} cases[] = {
    {"A.1: learning a cookie",
     {SECRET_1},
     CLIENT_1,
     "2464c4abcf10c957",
     1559731985,
     COOKIE_ABSENT,
     LEARNED},
    {"A.2: renewed after 40 minutes",
     {SECRET_1},
     CLIENT_1,
     LEARNED,
     1559734385,
     COOKIE_VALID,
     "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"},
    {"A.3: reserved bytes are hashed as they came",
     {SECRET_1},
     CLIENT_2,
     "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
     1559727985 + 600,
     COOKIE_VALID,
     "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5"},
    {"A.3: older than an hour, renewed with reserved zero",
     {SECRET_1},
     CLIENT_2,
     "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
     1559734700,
     COOKIE_INVALID,
     "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"},
    {"A.4: of the old secret, renewed by the new one",
     {SECRET_NEW, SECRET_OLD},
     CLIENT_6,
     "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
     1559741961,
     COOKIE_VALID,
     "22681ab97d52c298010000005cf7c609a6bb79d16625507a"},
    {"A.4: the old secret is gone",
     {SECRET_NEW},
     CLIENT_6,
     "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
     1559741961,
     COOKIE_INVALID,
     "22681ab97d52c298010000005cf7c609a6bb79d16625507a"},
    {"half an hour old: as it came",
     {SECRET_1},
     CLIENT_1,
     LEARNED,
     1559731985 + 1800,
     COOKIE_VALID,
     LEARNED},
    {"a second more: renewed",
     {SECRET_1},
     CLIENT_1,
     LEARNED,
     1559731985 + 1801,
     COOKIE_VALID,
     NULL},
    {"an hour old", {SECRET_1}, CLIENT_1, LEARNED, 1559731985 + 3600, COOKIE_VALID, NULL},
    {"more than an hour old",
     {SECRET_1},
     CLIENT_1,
     LEARNED,
     1559731985 + 3601,
     COOKIE_INVALID,
     NULL},
    {"five minutes ahead", {SECRET_1}, CLIENT_1, LEARNED, 1559731985 - 300, COOKIE_VALID, LEARNED},
    {"more than five minutes ahead",
     {SECRET_1},
     CLIENT_1,
     LEARNED,
     1559731985 - 301,
     COOKIE_INVALID,
     NULL},
    {"half the circle of times away",
     {SECRET_1},
     CLIENT_1,
     LEARNED,
     1559731985u + (1u << 31),
     COOKIE_INVALID,
     NULL},
    {"of another address", {SECRET_1}, CLIENT_2, LEARNED, 1559731985, COOKIE_INVALID, NULL},
    {"of another client's half",
     {SECRET_1},
     CLIENT_1,
     "2464c4abcf10c958010000005cf79f111f8130c3eee29480",
     1559731985,
     COOKIE_INVALID,
     NULL},
    {"version 2",
     {SECRET_1},
     CLIENT_1,
     "2464c4abcf10c957020000005cf79f111f8130c3eee29480",
     1559731985,
     COOKIE_INVALID,
     NULL},
    {"shorter than ours",
     {SECRET_1},
     CLIENT_1,
     "2464c4abcf10c957010000005cf79f11",
     1559731986,
     COOKIE_INVALID,
     NULL},
    {"longer than ours", {SECRET_1}, CLIENT_1, LEARNED "00", 1559731986, COOKIE_INVALID, NULL},
};

static size_t read_hex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;
    unsigned byte;

    for (size_t i = 0; i < n; i++) {
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    return n;
}

static void judged(void **state)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct cookie_secrets secrets = {.n = 0};
        uint8_t cookie[64], out[COOKIE_BYTES], want[COOKIE_BYTES], again[COOKIE_BYTES];
        struct ip client;
        size_t n = read_hex(cases[i].cookie, cookie);
        enum cookie_verdict got;

        while (secrets.n < 2 && cases[i].secrets[secrets.n] != NULL) {
            assert_true(
                cookie_parse_secret(str_of(cases[i].secrets[secrets.n]), &secrets.keys[secrets.n]));
            secrets.n++;
        }
        assert_true(ip_parse(str_of(cases[i].client), &client));
        got = cookie_judge(&secrets, cookie, n, &client, cases[i].now_s, out);
        if (got != cases[i].want)
            fail_msg("%s: got %d", cases[i].name, got);
        if (cases[i].back != NULL) {
            read_hex(cases[i].back, want);
            if (memcmp(out, want, sizeof(want)) != 0)
                fail_msg("%s: another cookie goes back", cases[i].name);
        } else if (memcmp(out, cookie, sizeof(out)) == 0) {
            fail_msg("%s: not renewed", cases[i].name);
        }
        /* Whatever goes back is good here, and stays what it is. */
        assert_int_equal(cookie_judge(&secrets, out, sizeof(out), &client, cases[i].now_s, again),
                         COOKIE_VALID);
        assert_memory_equal(again, out, sizeof(out));
    }
}

static void timestamps_wrap(void **state)
{
    struct cookie_secrets secrets = {.keys = {{1, 2}}, .n = 1};
    struct ip client = {.family = 4, .bytes = {192, 0, 2, 1}};
    uint8_t first[COOKIE_BYTES], out[COOKIE_BYTES];

    assert_int_equal(
        cookie_judge(&secrets, (const uint8_t *)"12345678", 8, &client, UINT32_MAX - 9, first),
        COOKIE_ABSENT);
    assert_int_equal(cookie_judge(&secrets, first, sizeof(first), &client, 90, out), COOKIE_VALID);
    assert_int_equal(cookie_judge(&secrets, first, sizeof(first), &client, 3600, out),
                     COOKIE_INVALID);
}

static void secrets_parsed(void **state)
{
    struct siphash_key key;

    assert_true(cookie_parse_secret(str_of("000102030405060708090A0B0C0D0E0F"), &key));
    assert_int_equal(key.k0, 0x0706050403020100u);
    assert_int_equal(key.k1, 0x0f0e0d0c0b0a0908u);
    assert_false(cookie_parse_secret(str_of("00"), &key));
    assert_false(cookie_parse_secret(str_of("000102030405060708090a0b0c0d0e0g"), &key));
    assert_false(cookie_parse_secret(str_of("000102030405060708090a0b0c0d0e0f0"), &key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judged),
        cmocka_unit_test(timestamps_wrap),
        cmocka_unit_test(secrets_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
