/* SPDX-License-Identifier: BSD-2-Clause */
/* Cache-Control and its targeted form, Age, dates, Accept-Encoding. */
#include "edge-proxy/fields/fields.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct fields set;

/* Lines are separated by '|'. */
static void fill(enum field_id id, const char *lines)
{
    fields_clear(&set);
    while (lines != NULL) {
        const char *bar = strchr(lines, '|');
        struct str value = {lines, bar ? (size_t)(bar - lines) : strlen(lines)};

        assert_true(fields_add(&set, fields_spelling(id), value));
        lines = bar ? bar + 1 : NULL;
    }
}

#define BIT(d) (1u << CC_##d)

struct cc_case {
    const char *name, *value;
    uint32_t present;
    enum cache_directive seconds_of;
    uint32_t seconds;
    const char *no_cache_names;
};

static const struct cc_case cache_controls[] = {
    {"all flags",
     "no-store, no-cache, private, public, must-revalidate, proxy-revalidate, must-understand, "
     "no-transform, immutable, only-if-cached",
     BIT(NO_STORE) | BIT(NO_CACHE) | BIT(PRIVATE) | BIT(PUBLIC) | BIT(MUST_REVALIDATE) |
         BIT(PROXY_REVALIDATE) | BIT(MUST_UNDERSTAND) | BIT(NO_TRANSFORM) | BIT(IMMUTABLE) |
         BIT(ONLY_IF_CACHED),
     CC_MAX_AGE, 0, ""},
    {"43: max-age", "max-age=60", BIT(MAX_AGE), CC_MAX_AGE, 60, ""},
    {"43: quoted", "max-age=\"60\"", BIT(MAX_AGE), CC_MAX_AGE, 60, ""},
    {"43: the first of duplicates", "max-age=60, max-age=1", BIT(MAX_AGE), CC_MAX_AGE, 60, ""},
    {"43: duplicates in two lines", "max-age=60|max-age=1", BIT(MAX_AGE), CC_MAX_AGE, 60, ""},
    {"43: not a number is stale", "max-age=abc", BIT(MAX_AGE), CC_MAX_AGE, 0, ""},
    {"43: negative is stale", "max-age=-1", BIT(MAX_AGE), CC_MAX_AGE, 0, ""},
    {"43: fraction is stale", "max-age=1.5", BIT(MAX_AGE), CC_MAX_AGE, 0, ""},
    {"43: without value is stale", "max-age", BIT(MAX_AGE), CC_MAX_AGE, 0, ""},
    {"43: empty value is stale", "max-age=", BIT(MAX_AGE), CC_MAX_AGE, 0, ""},
    {"43: space before = is stale", "max-age =60", BIT(MAX_AGE), CC_MAX_AGE, 0, ""},
    {"43: space behind = is stale", "max-age= 60", BIT(MAX_AGE), CC_MAX_AGE, 0, ""},
    {"42: overflow", "s-maxage=99999999999999999999", BIT(S_MAXAGE), CC_S_MAXAGE, 1u << 31, ""},
    {"42: 2^31", "s-maxage=2147483648", BIT(S_MAXAGE), CC_S_MAXAGE, 1u << 31, ""},
    {"45: any case", "MAX-Age=5, No-Store", BIT(MAX_AGE) | BIT(NO_STORE), CC_MAX_AGE, 5, ""},
    {"45: no substring search", "x-no-store, no-storex, y=\"no-store, no-cache\"", 0, CC_MAX_AGE, 0,
     ""},
    {"45: unknown between", "a, b=c, d=\"e, max-age=9\", max-age=5", BIT(MAX_AGE), CC_MAX_AGE, 5,
     ""},
    {"45: escaped quote", "a=\"\\\", max-age=9\", max-age=5", BIT(MAX_AGE), CC_MAX_AGE, 5, ""},
    {"45: no-cache with names", "no-cache=\"a, b\"", 0, CC_MAX_AGE, 0, "a, b"},
    {"45: no-cache with an unquoted name", "no-cache=a", 0, CC_MAX_AGE, 0, "a"},
    {"45: no-cache with no name in it", "no-cache=\"\"", BIT(NO_CACHE), CC_MAX_AGE, 0, ""},
    {"45: two lists mean all", "no-cache=\"a\", no-cache=\"b\"", BIT(NO_CACHE), CC_MAX_AGE, 0, "a"},
    {"45: both forms", "no-cache=\"a\", no-cache", BIT(NO_CACHE), CC_MAX_AGE, 0, "a"},
    {"stale extensions", "stale-while-revalidate=3, stale-if-error=4",
     BIT(STALE_WHILE_REVALIDATE) | BIT(STALE_IF_ERROR), CC_STALE_IF_ERROR, 4, ""},
    {"48: bare max-stale", "max-stale", BIT(MAX_STALE), CC_MAX_STALE, 1u << 31, ""},
    {"48: max-stale", "max-stale=7, min-fresh=1", BIT(MAX_STALE) | BIT(MIN_FRESH), CC_MAX_STALE, 7,
     ""},
    {"empty elements", ",, ,max-age=1,,", BIT(MAX_AGE), CC_MAX_AGE, 1, ""},
    {"nothing", "", 0, CC_MAX_AGE, 0, ""},
};

static void check_cc(const struct cc_case *c, const struct cache_control *cc)
{
    if (cc->present != c->present || cc->seconds[c->seconds_of] != c->seconds)
        fail_msg("%s: present %x seconds %u", c->name, cc->present, cc->seconds[c->seconds_of]);
    if (cc->no_cache_names.n != strlen(c->no_cache_names))
        fail_msg("%s: names '%.*s'", c->name, STR_ARG(cc->no_cache_names));
}

static void test_cache_control(void **state)
{
    for (size_t i = 0; i < COUNT_OF(cache_controls); i++) {
        struct cache_control cc;

        fill(FIELD_CACHE_CONTROL, cache_controls[i].value);
        fields_read_cache_control(&set, &cc);
        check_cc(&cache_controls[i], &cc);
    }
}

static const struct cc_case targeted[] = {
    {"max-age", "max-age=60, must-revalidate", BIT(MAX_AGE) | BIT(MUST_REVALIDATE), CC_MAX_AGE, 60,
     ""},
    {"the last of duplicates", "max-age=60, max-age=1", BIT(MAX_AGE), CC_MAX_AGE, 1, ""},
    {"true and false", "no-store=?1, no-cache=?0, private", BIT(NO_STORE) | BIT(PRIVATE),
     CC_MAX_AGE, 0, ""},
    {"names", "no-cache=\"a, b\"", 0, CC_MAX_AGE, 0, "a, b"},
    {"parameters and other items",
     "max-age=5;a;b=\"c\", x=(1 \"y\";z tok), u=:YQ==:, v=1.5, w=*a/b", BIT(MAX_AGE), CC_MAX_AGE, 5,
     ""},
    {"not an integer is stale", "max-age=\"60\"", BIT(MAX_AGE), CC_MAX_AGE, 0, ""},
};

static const char *const malformed[] = {
    "",
    "max-age=60,",
    "max-age=60 no-store",
    "MAX-AGE=60",
    "max-age =60",
    "max-age= 6",
    "a=\"b",
    "a=\"\\c\"",
    "a=(b",
    "a=?2",
    "a=1.",
    "a=1.2345",
    "a=1234567890123456",
    "a=:!:",
    "a=;",
    "a;=1",
    "a=(\"b\"\"c\")",
    "max-age=60|b=\"",
    "max-age=60, , a",
    "a=-",
};

static void test_targeted(void **state)
{
    struct cache_control cc;

    for (size_t i = 0; i < COUNT_OF(targeted); i++) {
        fill(FIELD_CDN_CACHE_CONTROL, targeted[i].value);
        if (!fields_read_cdn_cache_control(&set, &cc))
            fail_msg("%s: taken for malformed", targeted[i].name);
        check_cc(&targeted[i], &cc);
    }
    for (size_t i = 0; i < COUNT_OF(malformed); i++) {
        fill(FIELD_CDN_CACHE_CONTROL, malformed[i]);
        if (fields_read_cdn_cache_control(&set, &cc))
            fail_msg("'%s' was taken", malformed[i]);
    }
    fill(FIELD_CACHE_CONTROL, "max-age=1");
    assert_false(fields_read_cdn_cache_control(&set, &cc));
}

static void test_age(void **state)
{
    static const struct {
        const char *name, *value;
        uint32_t want;
    } cases[] = {
        {"42: digits", "12", 12},
        {"42: first line", "7|9", 7},
        {"42: list", "7, 9", 0},
        {"42: negative", "-7", 0},
        {"42: fraction", "7.5", 0},
        {"42: overflow", "4294967297", 1u << 31},
        {"42: far overflow", "99999999999999999999999", 1u << 31},
        {"42: empty", "", 0},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        fill(FIELD_AGE, cases[i].value);
        if (fields_read_age(&set) != cases[i].want)
            fail_msg("%s: %u", cases[i].name, fields_read_age(&set));
    }
}

#define NOW 1700000000 /* 2023-11-14 */

static const struct {
    const char *name, *text;
    int64_t want; /* -1: no date */
} dates[] = {
    {"IMF", "Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
    {"RFC 850", "Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"asctime", "Sun Nov  6 08:49:37 1994", 784111777},
    {"asctime, two-digit day", "Wed Nov 16 08:49:37 1994", 784975777},
    {"any case", "sUN, 06 nOV 1994 08:49:37 gmt", 784111777},
    {"UTC", "Sun, 06 Nov 1994 08:49:37 UTC", 784111777},
    {"epoch", "Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"leap day", "Sat, 29 Feb 2020 12:00:00 GMT", 1582977600},
    {"leap second", "Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},
    {"beyond 2038", "Mon, 19 Jan 2038 03:14:08 GMT", 2147483648},
    {"RFC 850, soon", "Wednesday, 01-Jan-70 00:00:00 GMT", 3155760000},
    {"RFC 850, more than 50 years ahead", "Tuesday, 01-Jan-74 00:00:00 GMT", 126230400},
    {"43: zero", "0", -1},
    {"43: empty", "", -1},
    {"other zone", "Sun, 06 Nov 1994 08:49:37 EST", -1},
    {"offset", "Sun, 06 Nov 1994 08:49:37 +0000", -1},
    {"no zone", "Sun, 06 Nov 1994 08:49:37", -1},
    {"one-digit day", "Sun, 6 Nov 1994 08:49:37 GMT", -1},
    {"two spaces", "Sun, 06  Nov 1994 08:49:37 GMT", -1},
    {"no day name", "06 Nov 1994 08:49:37 GMT", -1},
    {"wrong day name", "Xyz, 06 Nov 1994 08:49:37 GMT", -1},
    {"wrong month", "Sun, 06 Abc 1994 08:49:37 GMT", -1},
    {"two-digit year", "Sun, 06 Nov 94 08:49:37 GMT", -1},
    {"day 0", "Sun, 00 Nov 1994 08:49:37 GMT", -1},
    {"day 31 of 30", "Sun, 31 Nov 1994 08:49:37 GMT", -1},
    {"leap day of 1900", "Thu, 29 Feb 1900 08:49:37 GMT", -1},
    {"hour 24", "Sun, 06 Nov 1994 24:00:00 GMT", -1},
    {"minute 60", "Sun, 06 Nov 1994 08:60:00 GMT", -1},
    {"something behind", "Sun, 06 Nov 1994 08:49:37 GMT ", -1},
    {"asctime with zone", "Sun Nov  6 08:49:37 1994 GMT", -1},
};

static void test_dates(void **state)
{
    for (size_t i = 0; i < COUNT_OF(dates); i++) {
        int64_t got = -1;

        if (!fields_parse_date(str_of(dates[i].text), NOW, &got))
            got = -1;
        if (got != dates[i].want)
            fail_msg("%s: %lld, not %lld", dates[i].name, (long long)got, (long long)dates[i].want);
    }
}

static void test_date_there_and_back(void **state)
{
    for (int64_t time_s = -62167219200; time_s < 253402300800; time_s += 86400 * 97 + 3607) {
        char text[FIELDS_DATE_BYTES];
        int64_t again_s;

        fields_format_date(time_s, text);
        assert_true(fields_parse_date((struct str){text, sizeof(text)}, NOW, &again_s));
        assert_true(again_s == time_s);
    }
}

static void test_date_format(void **state)
{
    char text[FIELDS_DATE_BYTES];

    fields_format_date(784111777, text);
    assert_memory_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT", sizeof(text));
    fields_format_date(-1, text);
    assert_memory_equal(text, "Wed, 31 Dec 1969 23:59:59 GMT", sizeof(text));
    fields_format_date(INT64_MAX, text);
    assert_memory_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT", sizeof(text));
}

static void test_accept_encoding(void **state)
{
    static const struct {
        const char *name, *value;
        unsigned want;
    } cases[] = {
        {"39: absent", NULL, CODING_IDENTITY},
        {"39: empty", "", CODING_IDENTITY},
        {"39: browser", "gzip, deflate, br, zstd",
         CODING_GZIP | CODING_BR | CODING_ZSTD | CODING_IDENTITY},
        {"39: any case, two lines", "GZip|BR", CODING_GZIP | CODING_BR | CODING_IDENTITY},
        {"39: x-gzip", "x-gzip", CODING_GZIP | CODING_IDENTITY},
        {"39: weights", "gzip;q=0.001, br ; q=0.000, zstd;q=1.000",
         CODING_GZIP | CODING_ZSTD | CODING_IDENTITY},
        {"39: star", "*", CODING_GZIP | CODING_BR | CODING_ZSTD | CODING_IDENTITY},
        {"39: star but one", "*, br;q=0", CODING_GZIP | CODING_ZSTD | CODING_IDENTITY},
        {"39: nothing but gzip", "gzip, *;q=0", CODING_GZIP},
        {"39: identity refused", "gzip, identity;q=0", CODING_GZIP},
        {"39: malformed weight", "gzip;q=2, br;q=0.0000, zstd;q=x", CODING_IDENTITY},
        {"39: no substring", "gzipped, xbr", CODING_IDENTITY},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        fill(FIELD_ACCEPT_ENCODING, cases[i].value);
        if (fields_read_accept_encoding(&set) != cases[i].want)
            fail_msg("%s: %x", cases[i].name, fields_read_accept_encoding(&set));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cache_control),
        cmocka_unit_test(test_targeted),
        cmocka_unit_test(test_age),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_date_format),
        cmocka_unit_test(test_date_there_and_back),
        cmocka_unit_test(test_accept_encoding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
