/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/error/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *printed(const struct errors *e)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    errors_print(e, out);
    fclose(out);
    return text;
}

static void mistakes_are_printed_with_their_place(void **state)
{
    struct errors e = {0};
    char file[] = "a.yaml", *text;

    (void)state;
    errors_add(&e, (struct place){file, 3, 7}, "no %s", "good");
    errors_set_excerpt(&e, "\tab: cd\r\n", 9);
    errors_warn(&e, (struct place){file, 4, 0}, "odd");
    errors_add(&e, (struct place){file, 0, 0}, "unreadable");
    errors_add(&e, (struct place){NULL, 0, 0}, "nowhere");
    file[0] = 'x'; /* places are copied */
    assert_int_equal(e.n_errors, 3);
    assert_int_equal(e.n_warnings, 1);
    text = printed(&e);
    assert_string_equal(text, "a.yaml:3:7: error: no good\n    \tab: cd\n    \t     ^\n"
                              "a.yaml:4: warning: odd\n"
                              "a.yaml: error: unreadable\n"
                              "error: nowhere\n");
    free(text);
    text = errors_to_string(&e);
    assert_string_equal(text, "a.yaml:3:7: error: no good\na.yaml:4: warning: odd\n"
                              "a.yaml: error: unreadable\nerror: nowhere\n");
    free(text);
    errors_free(&e);
    assert_int_equal(e.n, 0);
    text = errors_to_string(&e);
    assert_string_equal(text, "");
    free(text);
}

static void what_is_too_much_is_counted(void **state)
{
    struct errors e = {0}, more = {0};
    char *text;

    (void)state;
    for (int i = 0; i < ERRORS_KEPT + 10; i++) {
        errors_add(&e, (struct place){NULL, 0, 0}, "%d", i);
        errors_set_excerpt(&e, "line", 4); /* must not go to an older one */
    }
    assert_int_equal(e.n, ERRORS_KEPT);
    text = errors_to_string(&e);
    assert_non_null(strstr(text, "error: 49\n… and 10 more\n"));
    free(text);
    errors_warn(&more, (struct place){NULL, 0, 0}, "left out");
    errors_merge(&e, &more);
    assert_int_equal(e.n_errors, ERRORS_KEPT + 10);
    assert_int_equal(e.n_warnings, 1);
    assert_int_equal(more.n, 0);
    errors_free(&e);
}

/* A thousand warnings must not hide the one error for which nothing was taken. */
static void errors_come_before_warnings(void **state)
{
    struct errors e = {0}, more = {0};
    char *text;

    (void)state;
    for (int i = 0; i < ERRORS_KEPT + 10; i++)
        errors_warn(&e, (struct place){NULL, 0, 0}, "warning %d", i);
    errors_add(&e, (struct place){"a", 1, 1}, "what is wrong");
    errors_set_excerpt(&e, "xy", 2);
    errors_warn(&e, (struct place){NULL, 0, 0}, "one more");
    errors_set_excerpt(&e, "not of the error", 16);
    errors_add(&more, (struct place){NULL, 0, 0}, "wrong as well");
    errors_merge(&e, &more);
    assert_int_equal(e.n, ERRORS_KEPT);
    text = printed(&e);
    assert_non_null(strstr(text, "warning 47\na:1:1: error: what is wrong\n    xy\n    ^\n"
                                 "error: wrong as well\n… and 13 more\n"));
    free(text);
    errors_free(&e);
}

static void merging_moves_all(void **state)
{
    struct errors e = {0}, more = {0};
    char *text;

    (void)state;
    errors_add(&e, (struct place){"a", 1, 1}, "one");
    errors_add(&more, (struct place){"b", 2, 2}, "two");
    errors_set_excerpt(&more, "xy", 2);
    errors_merge(&e, &more);
    text = printed(&e);
    assert_string_equal(text, "a:1:1: error: one\nb:2:2: error: two\n    xy\n     ^\n");
    free(text);
    errors_free(&e);
}

static void excerpts_suit_a_terminal(void **state)
{
    char line[1000], *want;
    static const struct {
        const char *name, *line;
        unsigned column;
        const char *want;
    } CASES[] = {
        {"first", "abc", 1, "    abc\n    ^"},
        {"behind the end", "abc", 4, "    abc\n       ^"},
        {"characters, not bytes", "äöü: x", 6, "    äöü: x\n         ^"},
        {"control characters", "a\x1b[31mb", 2, "    a?[31mb\n     ^"},
        {"no column", "abc", 0, "    abc"},
        {"empty line", "", 1, "    \n    ^"},
    };

    (void)state;
    for (size_t i = 0; i <= COUNT_OF(CASES); i++) {
        struct errors e = {0};
        bool is_long = i == COUNT_OF(CASES);

        memset(line, 'x', sizeof(line));
        line[499] = 'Y';
        errors_add(&e, (struct place){"f", 1, is_long ? 500 : CASES[i].column}, "m");
        if (is_long)
            errors_set_excerpt(&e, line, sizeof(line));
        else
            errors_set_excerpt(&e, CASES[i].line, strlen(CASES[i].line));
        want = e.items[0].excerpt;
        if (!is_long && strcmp(want, CASES[i].want) != 0)
            fail_msg("%s: %s", CASES[i].name, want);
        /* Of a long line: the part around the column, whose caret stands below it. */
        if (is_long) {
            const char *caret = strchr(want, '^'), *second = strchr(want, '\n') + 1;

            assert_true(strlen(want) < 320);
            assert_memory_equal(want, "   …x", strlen("   …x"));
            assert_int_equal(caret - second, strchr(want, 'Y') - want - 2); /* … has 3 bytes */
        }
        errors_free(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_printed_with_their_place),
        cmocka_unit_test(what_is_too_much_is_counted),
        cmocka_unit_test(errors_come_before_warnings),
        cmocka_unit_test(merging_moves_all),
        cmocka_unit_test(excerpts_suit_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
