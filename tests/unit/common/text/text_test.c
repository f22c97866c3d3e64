/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/text/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { BAD = -1 }; /* the text is refused */

static const struct number_case {
    const char *text;
    int64_t number, duration_ms, bytes;
} NUMBERS[] = {
    {"0", 0, 0, 0},
    {"7", 7, BAD, 7},
    {"9223372036854775807", INT64_MAX, BAD, INT64_MAX},
    {"18446744073709551616", BAD, BAD, BAD},
    {"99999999999999999999999999999999", BAD, BAD, BAD},
    {"", BAD, BAD, BAD},
    {"-1", BAD, BAD, BAD},
    {"+1", BAD, BAD, BAD},
    {" 1", BAD, BAD, BAD},
    {"1 ", BAD, BAD, BAD},
    {"0x10", BAD, BAD, BAD},
    {"1.5", BAD, BAD, BAD},
    {"250ms", BAD, 250, BAD},
    {"30s", BAD, 30000, BAD},
    {"30 s", BAD, 30000, BAD},
    {"30  s", BAD, BAD, BAD},
    {"30s ", BAD, BAD, BAD},
    {"5m", BAD, 300000, 5 << 20},
    {"5min", BAD, 300000, BAD},
    {"2h", BAD, 7200000, BAD},
    {"1d", BAD, 86400000, BAD},
    {"1D", BAD, BAD, BAD},
    {"s", BAD, BAD, BAD},
    {"999999999999999999d", BAD, BAD, BAD},
    {"512B", BAD, BAD, 512},
    {"64k", BAD, BAD, 65536},
    {"64KiB", BAD, BAD, 65536},
    {"256MiB", BAD, BAD, 256 << 20},
    {"2 GiB", BAD, BAD, 2ll << 30},
    {"1TiB", BAD, BAD, 1ll << 40},
    {"99999999TiB", BAD, BAD, BAD},
    {"64kb", BAD, BAD, BAD},
};

static int64_t parsed(bool (*parse)(struct str s, uint64_t *out), const char *text)
{
    uint64_t value;

    return parse(str_of(text), &value) ? (int64_t)value : BAD;
}

static void numbers_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(NUMBERS); i++) {
        const struct number_case *c = &NUMBERS[i];

        if (parsed(text_parse_u64, c->text) != c->number ||
            parsed(text_parse_duration_ms, c->text) != c->duration_ms ||
            parsed(text_parse_bytes, c->text) != c->bytes)
            fail_msg("'%s'", c->text);
    }
}

static void doubles_are_read(void **state)
{
    static const struct {
        const char *text;
        bool is_fine;
        double value;
    } CASES[] = {
        {"0", true, 0},
        {"-6.26", true, -6.26},
        {"1e3", true, 1000},
        {"+.5", true, .5},
        {"", false, 0},
        {".", false, 0},
        {"nan", false, 0},
        {"inf", false, 0},
        {"0x1p3", false, 0},
        {"1e400", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1,5", false, 0},
        {"--1", false, 0},
        {"1e", false, 0},
        {"0000000000000000000000000000000000000000000000000000000000000000", false, 0},
    };
    double value;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        bool is_fine = text_parse_double(str_of(CASES[i].text), &value);

        if (is_fine != CASES[i].is_fine || (is_fine && value != CASES[i].value))
            fail_msg("'%s'", CASES[i].text);
    }
}

static void slices_compare(void **state)
{
    struct str a = {"Example.Com tail", 11};

    (void)state;
    assert_true(str_is(a, "Example.Com"));
    assert_false(str_is(a, "example.com"));
    assert_false(str_is(a, "Example.Com tail"));
    assert_true(str_is_nocase(a, "eXAMPLE.cOM"));
    assert_false(str_is_nocase(a, "example.co"));
    assert_false(str_eq_nocase(STR("a@"), STR("a`"))); /* differ by 0x20, are no letters */
    assert_true(str_eq(str_trim(STR(" \t a b\t ")), STR("a b")));
    assert_int_equal(str_trim(STR(" \t ")).n, 0);
    assert_int_equal(text_lower('Z'), 'z');
    assert_int_equal(text_lower('['), '[');
    assert_int_equal(text_lower(0xc4), 0xc4);
}

static void sizes_and_durations_are_short(void **state)
{
    static const struct {
        uint64_t value;
        const char *bytes, *duration;
    } CASES[] = {
        {0, "0 B", "0ms"},
        {999, "999 B", "999ms"},
        {1023, "1023 B", "1s"},
        {1536, "1.5 KiB", "1s"},
        {59999, "58.6 KiB", "59s"},
        {60000, "58.6 KiB", "1m 0s"},
        {3599999, "3.4 MiB", "59m 59s"},
        {7380000, "7.0 MiB", "2h 3m"},
        {90000000, "85.8 MiB", "1d 1h"},
        {200ull << 30, "200 GiB", "2485d 12h"},
        {UINT64_MAX, "16777216 TiB", "213503982334d 14h"},
    };
    char buf[TEXT_SHORT];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        assert_string_equal(text_format_bytes(CASES[i].value, buf), CASES[i].bytes);
        assert_string_equal(text_format_duration_ms(CASES[i].value, buf), CASES[i].duration);
    }
}

static void distance_counts_edits(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned want;
    } CASES[] = {
        {"", "", 0},
        {"", "abc", 3},
        {"abc", "", 3},
        {"workers", "workers", 0},
        {"wrokers", "workers", 1}, /* a swap is one edit */
        {"worker", "workers", 1},
        {"warkers", "workers", 1},
        {"kitten", "sitting", 3},
        {"abcd", "dcba", 3},
        {"x", "a very long text that is more than forty-eight characters", 255},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        assert_int_equal(text_distance(str_of(CASES[i].a), str_of(CASES[i].b)), CASES[i].want);
        assert_int_equal(text_distance(str_of(CASES[i].b), str_of(CASES[i].a)), CASES[i].want);
    }
}

static void builder_grows(void **state)
{
    struct text t = {0};

    (void)state;
    text_adds(&t, "");
    assert_string_equal(t.p, "");
    for (int i = 0; i < 10000; i++)
        text_addf(&t, "%d,", i % 10);
    text_add(&t, "a\0b", 3);
    assert_int_equal(t.n, 20003);
    assert_memory_equal(t.p + 19998, "9,a\0b\0", 6);
    text_free(&t);
    assert_null(t.p);
    assert_int_equal(t.n, 0);
}

static void files_are_read_whole(void **state)
{
    char path[] = "/tmp/gslb-text-XXXXXX";
    int fd = mkstemp(path);
    char block[1000], *text;
    size_t n;

    (void)state;
    assert_true(fd >= 0);
    memset(block, 'x', sizeof(block));
    for (int i = 0; i < 200; i++)
        assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
    close(fd);
    assert_false(has_failed(text_read_file(path, 200000, &text, &n)));
    assert_int_equal(n, 200000);
    assert_int_equal(text[199999], 'x');
    assert_int_equal(text[200000], '\0');
    free(text);
    assert_true(has_failed(text_read_file(path, 199999, &text, &n)));
    assert_int_equal(errno, EFBIG);
    unlink(path);
    assert_true(has_failed(text_read_file(path, 1, &text, &n)));
    assert_int_equal(errno, ENOENT);
    assert_true(has_failed(text_read_file("/tmp", 1, &text, &n)));
    assert_int_equal(errno, EISDIR);
}

static void test_clean(void **state)
{
    char out[8];

    text_clean(out, sizeof(out), "a\n\"b\"");
    assert_string_equal(out, "a?'b'");
    text_clean(out, sizeof(out), "123456789");
    assert_string_equal(out, "1234567");
    text_clean(out, sizeof(out), "");
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),
        cmocka_unit_test(numbers_are_read),
        cmocka_unit_test(doubles_are_read),
        cmocka_unit_test(slices_compare),
        cmocka_unit_test(sizes_and_durations_are_short),
        cmocka_unit_test(distance_counts_edits),
        cmocka_unit_test(builder_grows),
        cmocka_unit_test(files_are_read_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
