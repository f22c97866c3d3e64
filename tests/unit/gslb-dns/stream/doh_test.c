/* SPDX-License-Identifier: BSD-2-Clause */
/* What RFC 8484 puts into HTTP. */
#include "gslb-dns/stream/stream_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void base64url_is_read_strictly(void **state)
{
    static const struct {
        const char *name, *text;
        const char *want; /* NULL: refused */
    } rows[] = {
        {"nothing", "", ""},
        {"one byte", "YQ", "a"},
        {"two bytes", "YWI", "ab"},
        {"three bytes", "YWJj", "abc"},
        {"four bytes", "YWJjZA", "abcd"},
        {"its own characters", "_-A", "\xff\xe0"},
        {"padding", "YQ==", NULL},
        {"the characters of base64", "+/A", NULL},
        {"one digit left over", "YWJjZ", NULL},
        {"bits left over", "YR", NULL},
        {"a space", "YW Jj", NULL},
        {"a percent", "YW%4a", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str text = str_of(rows[i].text);
        uint8_t *out = malloc(text.n + 1);
        size_t n = 0;
        bool is_taken = doh_decode(text, out, &n);

        if (is_taken != (rows[i].want != NULL))
            fail_msg("%s: taken is %d", rows[i].name, is_taken);
        if (is_taken && (n != strlen(rows[i].want) || (n > 0 && memcmp(out, rows[i].want, n) != 0)))
            fail_msg("%s: other bytes", rows[i].name);
        free(out);
    }
}

static void targets_are_taken_apart(void **state)
{
    static const struct {
        const char *target;
        enum doh_target want;
        const char *dns; /* NULL: none */
    } rows[] = {
        {"/dns-query", DOH_HERE, NULL},
        {"/dns-query?", DOH_HERE, NULL},
        {"/dns-query?dns=", DOH_HERE, ""},
        {"/dns-query?dns=abc", DOH_HERE, "abc"},
        {"/dns-query?x&dns=abc&y=z", DOH_HERE, "abc"},
        {"/dns-query?xdns=abc", DOH_HERE, NULL},
        {"/dns-query?a?dns=abc", DOH_HERE, NULL},
        {"/dns-query?dns=a&dns=b", DOH_BAD, NULL},
        {"/dns-query/", DOH_ELSEWHERE, NULL},
        {"/dns-quer", DOH_ELSEWHERE, NULL},
        {"/DNS-QUERY", DOH_ELSEWHERE, NULL},
        {"*", DOH_ELSEWHERE, NULL},
        {"", DOH_ELSEWHERE, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str dns;

        if (doh_split(str_of(rows[i].target), "/dns-query", &dns) != rows[i].want)
            fail_msg("'%s': another verdict", rows[i].target);
        if (rows[i].want != DOH_HERE)
            continue;
        if ((dns.p != NULL) != (rows[i].dns != NULL) ||
            (dns.p != NULL && !str_is(dns, rows[i].dns)))
            fail_msg("'%s': another value", rows[i].target);
    }
}

/* A header with so many records, a question for the root, and what follows. */
#define HEAD(rcode, an, ns)                     \
    "\0\0\x84" rcode "\0\1\0" an "\0" ns "\0\0" \
    "\0\0\1\0\1"
#define A(ttl) "\xc0\x0c\0\1\0\1\0\0\0" ttl "\0\4\1\2\3\4"
#define SOA(ttl, minimum) \
    "\0\0\6\0\1\0\0\0" ttl "\0\x16\0\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0" minimum
#define NS(ttl) "\0\0\2\0\1\0\0\0" ttl "\0\1\0"
#define B(text) (const uint8_t *)(text), sizeof(text) - 1

static void answers_are_fresh_as_their_records(void **state)
{
    static const struct {
        const char *name;
        const uint8_t *p;
        size_t n;
        int64_t want;
    } rows[] = {
        {"one record", B(HEAD("\0", "\1", "\0") A("\x1e")), 30},
        {"the smallest", B(HEAD("\0", "\2", "\0") A("\x1e") A("\5")), 5},
        {"zero", B(HEAD("\0", "\1", "\0") A("\0")), 0},
        {"negative, by TTL", B(HEAD("\3", "\0", "\1") SOA("\5", "\x1e")), 5},
        {"negative, by MINIMUM", B(HEAD("\3", "\0", "\1") SOA("\x1e", "\5")), 5},
        {"a referral says nothing", B(HEAD("\0", "\0", "\1") NS("\5")), -1},
        {"SERVFAIL", B(HEAD("\2", "\0", "\0")), -1},
        {"REFUSED", B(HEAD("\5", "\0", "\0")), -1},
        {"cut off", B(HEAD("\0", "\1", "\0") "\xc0\x0c\0\1"), -1},
        {"no message", B("abc"), -1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t *copy = malloc(rows[i].n); /* so that sanitizers see a byte too many */
        int64_t got;

        memcpy(copy, rows[i].p, rows[i].n);
        got = doh_max_age_s(copy, rows[i].n);
        if (got != rows[i].want)
            fail_msg("%s: got %lld, wanted %lld", rows[i].name, (long long)got,
                     (long long)rows[i].want);
        free(copy);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64url_is_read_strictly),
        cmocka_unit_test(targets_are_taken_apart),
        cmocka_unit_test(answers_are_fresh_as_their_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
