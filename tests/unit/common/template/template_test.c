/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/template/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char *const NAMES[] = {"host", "path", NULL};

static void write_value(void *arg, unsigned variable, struct writer *w)
{
    const char *const *values = arg;
    struct str s = str_of(values[variable]);

    writer_add(w, s.p, s.n);
}

static const struct {
    const char *name, *text;
    const char *want;  /* written with host "a.org" and path "/x" */
    const char *wrong; /* else: in what is said */
} CASES[] = {
    {"plain text", "no-store", "no-store", NULL},
    {"nothing at all", "", "", NULL},
    {"a variable alone", "{host}", "a.org", NULL},
    {"between text", "https://{host}{path}#top", "https://a.org/x#top", NULL},
    {"twice the same", "{path}{path}", "/x/x", NULL},
    {"a brace", "{{\"a\": 1}", "{\"a\": 1}", NULL},
    {"a brace before a variable", "{{{host}", "{a.org", NULL},
    {"a closing brace is text", "a}b", "a}b", NULL},
    {"an unknown name", "{hosts}", NULL, "does not exist"},
    {"no name", "{}", NULL, "does not exist"},
    {"a prefix of a name", "{hos}", NULL, "does not exist"},
    {"never closed", "a{host", NULL, "without its '}'"},
    {"a brace at the end", "a{", NULL, "without its '}'"},
};

static void each_case(void **state)
{
    const char *values[] = {"a.org", "/x"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct arena arena;
        struct template t;
        char buf[64] = "";
        struct writer w = writer_of(buf, sizeof(buf) - 1);
        const char *wrong, *look;

        arena_init(&arena, 0);
        wrong = template_parse(str_of(CASES[i].text), NAMES, &arena, &t);
        look = template_parse(str_of(CASES[i].text), NAMES, NULL, NULL);
        if ((wrong == NULL) != (CASES[i].wrong == NULL) || (wrong == NULL) != (look == NULL))
            fail_msg("%s: %s", CASES[i].name, wrong != NULL ? wrong : "was taken");
        if (wrong != NULL) {
            assert_non_null(strstr(wrong, CASES[i].wrong));
        } else {
            template_write(&t, write_value, values, &w);
            if (strcmp(buf, CASES[i].want) != 0)
                fail_msg("%s: wrote '%s'", CASES[i].name, buf);
        }
        arena_free(&arena);
    }
}

static void what_does_not_fit_is_seen(void **state)
{
    const char *values[] = {"a.org", "/x"};
    struct arena arena;
    struct template t;
    char buf[8];
    struct writer w = writer_of(buf, sizeof(buf));

    (void)state;
    arena_init(&arena, 0);
    assert_null(template_parse(STR("https://{host}"), NAMES, &arena, &t));
    template_write(&t, write_value, values, &w);
    assert_true(w.is_full);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_case),
        cmocka_unit_test(what_does_not_fit_is_seen),
    };

    return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
