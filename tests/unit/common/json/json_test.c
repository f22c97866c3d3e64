/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/json/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void nesting_and_commas_are_right(void **state)
{
    struct text t = {0};
    struct json j = json_of(&t);

    (void)state;
    json_open_object(&j, NULL);
    json_string(&j, "s", "x");
    json_string(&j, "none", NULL);
    json_u64(&j, "u", UINT64_MAX);
    json_i64(&j, "i", INT64_MIN);
    json_bool(&j, "b", false);
    json_double(&j, "d", 0.25);
    json_double(&j, "nan", NAN);
    json_double(&j, "inf", -INFINITY);
    json_open_array(&j, "a");
    json_open_object(&j, NULL);
    json_close_object(&j);
    json_open_array(&j, NULL);
    json_close_array(&j);
    json_str(&j, NULL, (struct str){"xyz", 2});
    json_close_array(&j);
    json_bool(&j, "last", true);
    json_close_object(&j);
    assert_string_equal(t.p, "{\"s\":\"x\",\"none\":null,\"u\":18446744073709551615,"
                             "\"i\":-9223372036854775808,\"b\":false,\"d\":0.25,\"nan\":null,"
                             "\"inf\":null,\"a\":[{},[],\"xy\"],\"last\":true}");
    text_free(&t);
}

static void texts_are_escaped(void **state)
{
#define REPLACED "\xef\xbf\xbd"
    static const struct {
        const char *name;
        struct str text;
        const char *want;
    } CASES[] = {
        {"plain", STR("abc"), "\"abc\""},
        {"quotes", STR("a\"b\\c"), "\"a\\\"b\\\\c\""},
        {"control", STR("\n\x1b\x7f\0"), "\"\\u000a\\u001b\\u007f\\u0000\""},
        {"UTF-8 of each length", STR("é€😀"), "\"é€😀\""},
        {"stray continuation", STR("a\x80z"), "\"a" REPLACED "z\""},
        {"cut short", STR("\xe2\x82"), "\"" REPLACED REPLACED "\""},
        {"cut by a letter", STR("\xc3(("), "\"" REPLACED "((\""},
        {"overlong", STR("\xc0\xaf"), "\"" REPLACED REPLACED "\""},
        {"overlong of three", STR("\xe0\x80\xaf"), "\"" REPLACED REPLACED REPLACED "\""},
        {"surrogate", STR("\xed\xa0\x80"), "\"" REPLACED REPLACED REPLACED "\""},
        {"beyond Unicode", STR("\xf4\x90\x80\x80"), "\"" REPLACED REPLACED REPLACED REPLACED "\""},
        {"empty", STR(""), "\"\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct text t = {0};

        json_quote(&t, CASES[i].text);
        if (!str_is((struct str){t.p, t.n}, CASES[i].want))
            fail_msg("%s: %s", CASES[i].name, t.p);
        text_free(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nesting_and_commas_are_right),
        cmocka_unit_test(texts_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
