/* SPDX-License-Identifier: BSD-2-Clause */
/* Entity tags, conditions and ranges. */
#include "edge-proxy/fields/fields.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NOW 1700000000
#define MODIFIED 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */
#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define LATER "Sun, 06 Nov 1994 08:49:38 GMT"
#define EARLIER "Sun, 06 Nov 1994 08:49:36 GMT"

static struct fields set;

static void add(enum field_id id, const char *value)
{
    if (value != NULL)
        assert_true(fields_add(&set, fields_name(id), str_of(value)));
}

static const struct {
    const char *name, *stored, *none_match, *second_line, *since;
    bool want;
} conditions[] = {
    {"no condition", "\"a\"", NULL, NULL, NULL, false},
    {"51: same tag", "\"a\"", "\"a\"", NULL, NULL, true},
    {"51: other tag", "\"a\"", "\"b\"", NULL, NULL, false},
    {"51: weak compare", "\"a\"", "W/\"a\"", NULL, NULL, true},
    {"51: weak compare, the other way round", "W/\"a\"", "\"a\"", NULL, NULL, true},
    {"51: list", "\"a\"", "\"b\", W/\"c\",\"a\"", NULL, NULL, true},
    {"51: comma in a tag", "\"a,b\"", "\"x\", \"a,b\"", NULL, NULL, true},
    {"51: half a tag with a comma", "\"a\"", "\"b, \"a\"\"", NULL, NULL, false},
    {"51: second line", "\"a\"", "\"b\"", "\"a\"", NULL, true},
    {"51: star", "\"a\"", "*", NULL, NULL, true},
    {"51: star without a stored tag", "", "*", NULL, NULL, true},
    {"51: no stored tag", "", "\"\"", NULL, NULL, false},
    {"51: without quotes", "\"a\"", "a", NULL, NULL, false},
    {"51: lower case w", "\"a\"", "w/\"a\"", NULL, NULL, false},
    {"51: tags beat dates", "\"a\"", "\"b\"", NULL, LATER, false},
    {"51: tags beat dates, match", "\"a\"", "\"a\"", NULL, EARLIER, true},
    {"since the same", "", NULL, NULL, DATE, true},
    {"since later", "", NULL, NULL, LATER, true},
    {"since earlier", "", NULL, NULL, EARLIER, false},
    {"since nonsense", "", NULL, NULL, "yesterday", false},
};

static void test_not_modified(void **state)
{
    for (size_t i = 0; i < COUNT_OF(conditions); i++) {
        struct validators v = {str_of(conditions[i].stored), MODIFIED, MODIFIED + 100};

        fields_clear(&set);
        add(FIELD_IF_NONE_MATCH, conditions[i].none_match);
        add(FIELD_IF_NONE_MATCH, conditions[i].second_line);
        add(FIELD_IF_MODIFIED_SINCE, conditions[i].since);
        if (fields_is_not_modified(&set, &v, NOW) != conditions[i].want)
            fail_msg("%s", conditions[i].name);
    }
}

static void test_since_twice_or_unknown(void **state)
{
    struct validators v = {.last_modified_s = MODIFIED, .date_s = -1};

    fields_clear(&set);
    add(FIELD_IF_MODIFIED_SINCE, DATE);
    assert_true(fields_is_not_modified(&set, &v, NOW));
    add(FIELD_IF_MODIFIED_SINCE, DATE);
    assert_false(fields_is_not_modified(&set, &v, NOW));
    fields_clear(&set);
    add(FIELD_IF_MODIFIED_SINCE, DATE);
    v.last_modified_s = -1;
    assert_false(fields_is_not_modified(&set, &v, NOW));
}

static void test_if_range(void **state)
{
    static const struct {
        const char *name, *stored, *if_range;
        int64_t date_s;
        bool want;
    } cases[] = {
        {"52: none", "\"a\"", NULL, MODIFIED + 9, true},
        {"52: same tag", "\"a\"", "\"a\"", MODIFIED + 9, true},
        {"52: other tag", "\"a\"", "\"b\"", MODIFIED + 9, false},
        {"52: weak asked", "\"a\"", "W/\"a\"", MODIFIED + 9, false},
        {"52: weak stored", "W/\"a\"", "W/\"a\"", MODIFIED + 9, false},
        {"52: exact date", "", DATE, MODIFIED + 9, true},
        {"52: later date", "", LATER, MODIFIED + 9, false},
        {"52: earlier date", "", EARLIER, MODIFIED + 9, false},
        {"52: date that is not strong", "", DATE, MODIFIED, false},
        {"52: nonsense", "\"a\"", "a", MODIFIED + 9, false},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct validators v = {str_of(cases[i].stored), MODIFIED, cases[i].date_s};

        fields_clear(&set);
        add(FIELD_IF_RANGE, cases[i].if_range);
        if (fields_is_range_current(&set, &v, NOW) != cases[i].want)
            fail_msg("%s", cases[i].name);
    }
}

static const struct {
    const char *name, *range;
    uint64_t size;
    enum range_verdict want;
    const char *written; /* as Content-Range values, space behind each */
} ranges[] = {
    {"none", NULL, 10, RANGE_IGNORE, ""},
    {"first two", "bytes=0-1", 10, RANGE_SATISFIABLE, "bytes 0-1/10 "},
    {"unit in any case", "Bytes=0-0", 10, RANGE_SATISFIABLE, "bytes 0-0/10 "},
    {"open end", "bytes=7-", 10, RANGE_SATISFIABLE, "bytes 7-9/10 "},
    {"beyond the end", "bytes=7-99", 10, RANGE_SATISFIABLE, "bytes 7-9/10 "},
    {"far beyond the end", "bytes=7-99999999999999999999999", 10, RANGE_SATISFIABLE,
     "bytes 7-9/10 "},
    {"suffix", "bytes=-3", 10, RANGE_SATISFIABLE, "bytes 7-9/10 "},
    {"long suffix", "bytes=-30", 10, RANGE_SATISFIABLE, "bytes 0-9/10 "},
    {"two", "bytes=5-6, 0-1", 10, RANGE_SATISFIABLE, "bytes 5-6/10 bytes 0-1/10 "},
    {"one of two fits", "bytes=50-60,0-1", 10, RANGE_SATISFIABLE, "bytes 0-1/10 "},
    {"52: starts at the end", "bytes=10-", 10, RANGE_UNSATISFIABLE, ""},
    {"52: suffix of nothing", "bytes=-0", 10, RANGE_UNSATISFIABLE, ""},
    {"52: of an empty one", "bytes=0-", 0, RANGE_UNSATISFIABLE, ""},
    {"52: overlapping", "bytes=0-5,5-6", 10, RANGE_IGNORE, ""},
    {"52: many", "bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8", 10, RANGE_IGNORE, ""},
    {"backwards", "bytes=5-4", 10, RANGE_IGNORE, ""},
    {"other unit", "lines=0-1", 10, RANGE_IGNORE, ""},
    {"space before =", "bytes =0-1", 10, RANGE_IGNORE, ""},
    {"space in the range", "bytes=0 -1", 10, RANGE_IGNORE, ""},
    {"dash alone", "bytes=-", 10, RANGE_IGNORE, ""},
    {"nothing", "bytes=", 10, RANGE_IGNORE, ""},
    {"commas alone", "bytes=,,", 10, RANGE_IGNORE, ""},
    {"minus", "bytes=--1", 10, RANGE_IGNORE, ""},
    {"hex", "bytes=0x0-1", 10, RANGE_IGNORE, ""},
};

static void test_ranges(void **state)
{
    for (size_t i = 0; i < COUNT_OF(ranges); i++) {
        struct byte_range got[FIELDS_RANGES_MAX];
        char out[256] = "";
        struct writer w = writer_of(out, sizeof(out) - 1);
        enum range_verdict v;
        unsigned count;

        fields_clear(&set);
        add(FIELD_RANGE, ranges[i].range);
        v = fields_read_ranges(&set, ranges[i].size, got, &count);
        for (unsigned j = 0; v == RANGE_SATISFIABLE && j < count; j++) {
            fields_write_content_range(&w, &got[j], ranges[i].size);
            writer_u8(&w, ' ');
        }
        if (v != ranges[i].want || strcmp(out, ranges[i].written) != 0)
            fail_msg("%s: verdict %d, '%s'", ranges[i].name, v, out);
    }
}

static void test_content_range(void **state)
{
    static const struct {
        const char *text;
        bool want;
        uint64_t first, last, size;
    } cases[] = {
        {"bytes 0-1/10", true, 0, 1, 10},        {"BYTES 5-9/10", true, 5, 9, 10},
        {"bytes 5-9/*", true, 5, 9, UINT64_MAX}, {"bytes 5-10/10", false, 0, 0, 0},
        {"bytes 5-4/10", false, 0, 0, 0},        {"bytes */10", false, 0, 0, 0},
        {"bytes=0-1/10", false, 0, 0, 0},        {"bytes 0-1", false, 0, 0, 0},
        {"bytes 0/1-2", false, 0, 0, 0},         {"", false, 0, 0, 0},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct byte_range range;
        uint64_t size;
        bool got = fields_parse_content_range(str_of(cases[i].text), &range, &size);

        if (got != cases[i].want || (got && (range.first != cases[i].first ||
                                             range.last != cases[i].last || size != cases[i].size)))
            fail_msg("'%s'", cases[i].text);
    }
}

static void test_unsatisfied_range(void **state)
{
    char out[16] = "";
    struct writer w = writer_of(out, sizeof(out) - 1);

    fields_write_content_range(&w, NULL, 10);
    assert_string_equal(out, "bytes */10");
}

static void test_etags(void **state)
{
    static const char *const bad[] = {"",       "a",  "\"",  "\"a",    "a\"", "\"a\"b",  "\"a b\"",
                                      "W\"a\"", "W/", "W/a", "\"a\" ", "'a'", "\"\x7f\""};
    struct etag tag;

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (fields_parse_etag(str_of(bad[i]), &tag))
            fail_msg("'%s' was taken", bad[i]);
    }
    assert_true(fields_parse_etag(STR("W/\"\\\xe4!\""), &tag));
    assert_true(tag.is_weak && str_is(tag.opaque, "\"\\\xe4!\""));
    assert_true(fields_parse_etag(STR("\"\""), &tag));
    assert_true(fields_etag_is_strong_match(&tag, &tag));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_modified),
        cmocka_unit_test(test_since_twice_or_unknown),
        cmocka_unit_test(test_if_range),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_etags),
        cmocka_unit_test(test_content_range),
        cmocka_unit_test(test_unsatisfied_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
