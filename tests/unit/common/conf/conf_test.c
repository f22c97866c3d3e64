/* SPDX-License-Identifier: BSD-2-Clause */
/* conf: how values land, defaults, bounds, paths, the index and the reference. */
#include "tests/unit/common/conf/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct conf_field NEEDY_FIELDS[] = {
    {.key = "text",
     .kind = CONF_STRING,
     .slot = CONF_ONE(struct sample, text),
     .is_required = true,
     .help = "Text."},
    {.key = "numbers",
     .kind = CONF_NUMBER,
     .slot = CONF_LIST(struct sample, numbers, n_numbers),
     .is_required = true,
     .help = "Numbers."},
};
static const struct conf_struct NEEDY = {
    .what = "needy", .size = sizeof(struct sample), CONF_FIELDS(NEEDY_FIELDS)};

static void required_keys_are_missed(void **state)
{
    struct loaded l;

    (void)state;
    load_str(&l, &NEEDY, STR("# nothing of use\n{}\n"));
    assert_string_equal(l.said.p, "2:1 required key 'text' is missing\n"
                                  "2:1 required key 'numbers' is missing\n");
    unload(&l);
    load_str(&l, &NEEDY, STR("text: a\nnumbers: []\n"));
    assert_string_equal(l.said.p, "2:10 numbers: must not be empty\n");
    unload(&l);
}

static void the_line_is_shown_with_a_caret(void **state)
{
    struct loaded l;

    (void)state;
    load(&l, "text: a\ninner: {wiat: 3s}\n");
    assert_int_equal(l.errors.n, 1);
    assert_string_equal(l.errors.items[0].excerpt, "    inner: {wiat: 3s}\n            ^");
    assert_string_equal(l.errors.items[0].file, "/etc/demo/a.yaml");
    unload(&l);
}

/* ---- What is fine ---- */

static void values_land_typed(void **state)
{
    struct loaded l;
    const struct sample *s = &l.sample;
    char buf[ADDR_TEXT];

    (void)state;
    load(&l, "\xef\xbb\xbf# a byte order mark goes before\n"
             "text: null-ish\nyes: ON\nno: no\ncount: 256\nbig: 18446744073709551615\n"
             "bytes: 2GiB\nwait: 250ms\nttl: 2m\nratio: 0.25\ncolor: green\nword: \"red\"\n"
             "ip: \"2001:db8::1\"\nprefix: 10.0.0.0/8\naddr: \"[::1]:80\"\naddr53: 10.0.0.1\n"
             "path: run/x.sock\nfile: /dev/null\ninner: {small: 65535}\npoint: [1.5, -90]\n"
             "numbers:\n- 1\n- 65535\nlist: [5, {size: 6, color: red}]\n"
             "map: {b: 1, a: {size: 2}}\neven: 8\n");
    assert_string_equal(l.said.p, "");
    assert_string_equal(s->text, "null-ish");
    assert_int_equal(s->text_place.line, 2);
    assert_int_equal(s->text_place.column, 7);
    assert_true(s->yes);
    assert_true(s->no); /* stored inverted */
    assert_int_equal(s->count, 256);
    assert_true(s->big == UINT64_MAX);
    assert_true(s->bytes == (uint64_t)2 << 30);
    assert_int_equal(s->wait_ms, 250);
    assert_int_equal(s->wait_s, 120);
    assert_true(s->ratio == 0.25);
    assert_int_equal(s->color, GREEN);
    assert_string_equal(s->word, "red");
    assert_string_equal(ip_format(&s->ip, buf), "2001:db8::1");
    assert_int_equal(s->prefix.length, 8);
    assert_string_equal(addr_format(&s->addr, buf), "[::1]:80");
    assert_string_equal(addr_format(&s->addr53, buf), "10.0.0.1:53");
    assert_string_equal(s->path, "/etc/demo/run/x.sock");
    assert_string_equal(s->file, "/dev/null");
    assert_int_equal(s->inner.small, 65535);
    assert_int_equal(s->inner.wait_ms, 3000);
    assert_true(s->point.x == 1.5 && s->point.y == -90);
    assert_int_equal(s->n_numbers, 2);
    assert_int_equal(s->numbers[1], 65535);
    assert_int_equal(s->number_places[1].line, 23);
    assert_int_equal(s->even, 8);
    unload(&l);
}

static void things_come_short_and_long(void **state)
{
    struct loaded l;
    const struct sample *s = &l.sample;

    (void)state;
    load(&l, "list: [5, {size: 6, color: red}]\nmap: {b: 1, a: {size: 2}}\n");
    assert_string_equal(l.said.p, "");
    assert_int_equal(s->n_list, 2);
    assert_int_equal(s->list[0].size, 5);
    assert_string_equal(s->list[0].color, "green");
    assert_int_equal(s->list[1].size, 6);
    assert_string_equal(s->list[1].color, "red");
    assert_int_equal(s->list[1].place.column, 11);
    assert_int_equal(s->n_map, 2);
    assert_string_equal(s->map[0].name, "b");
    assert_int_equal(s->map[0].size, 1);
    assert_string_equal(s->map[1].name, "a");
    assert_int_equal(s->map[1].place.line, 2);
    unload(&l);
}

static void absence_has_defaults(void **state)
{
    struct loaded l;

    (void)state;
    load(&l, "{}\n");
    assert_string_equal(l.said.p, "");
    assert_int_equal(l.sample.count, 4);
    assert_int_equal(l.sample.color, RED);
    assert_int_equal(l.sample.even, 2);
    assert_null(l.sample.text);
    assert_int_equal(l.sample.text_place.line, 1); /* still a place for later mistakes */
    assert_int_equal(l.sample.inner.wait_ms, 3000);
    assert_int_equal(l.sample.gone.wait_ms, 0); /* a section that can be off is off */
    unload(&l);
    load(&l, "gone: {}\ncount: auto\naddr: off\n");
    assert_string_equal(l.said.p, "");
    assert_int_equal(l.sample.gone.wait_ms, 3000);
    assert_int_equal(l.sample.count, 0);
    assert_int_equal(l.sample.addr.length, 0);
    unload(&l);
    load(&l, "gone: off\n");
    assert_string_equal(l.said.p, "");
    assert_int_equal(l.sample.gone.wait_ms, 0);
    unload(&l);
}

static void a_wrong_value_leaves_the_default(void **state)
{
    struct loaded l;

    (void)state;
    load(&l, "count: many\ncolor: blue\neven: 3\ninner: {wait: 1ms}\nnumbers: [x, 3]\n");
    assert_int_equal(l.errors.n_errors, 5);
    assert_int_equal(l.sample.count, 4);
    assert_int_equal(l.sample.color, RED);
    assert_int_equal(l.sample.even, 2);
    assert_int_equal(l.sample.inner.wait_ms, 3000);
    assert_int_equal(l.sample.n_numbers, 1);
    assert_int_equal(l.sample.numbers[0], 3);
    unload(&l);
}

/* ---- Bounds ---- */

static void nesting_is_bounded(void **state)
{
    struct text t = {0};
    struct loaded l;

    (void)state;
    text_adds(&t, "text: ");
    for (int i = 0; i < 40; i++)
        text_adds(&t, "[");
    for (int i = 0; i < 40; i++)
        text_adds(&t, "]");
    load(&l, t.p);
    assert_string_equal(l.said.p, "1:38 nested deeper than 32 levels\n");
    unload(&l);
    text_free(&t);
}

static void many_mistakes_are_counted(void **state)
{
    struct text t = {0};
    struct loaded l;

    (void)state;
    text_adds(&t, "map:\n");
    for (int i = 0; i < 100000; i++)
        text_addf(&t, "  n%d: x\n", i);
    load(&l, t.p);
    assert_int_equal(l.errors.n_errors, 100000);
    assert_int_equal(l.errors.n, ERRORS_KEPT);
    assert_int_equal(l.sample.n_map, 100000);
    unload(&l);
    text_free(&t);
}

static void unreadable_files_say_why(void **state)
{
    static const struct {
        const char *path, *want;
    } CASES[] = {
        {"/tmp", "cannot be read: Is a directory"},
        {"/nix/da.yaml", "cannot be read: No such file or directory"},
        {"/dev/zero", "larger than 64 MiB"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct arena arena;
        struct errors errors = {0};

        arena_init(&arena, 0);
        assert_null(conf_open(CASES[i].path, &arena, &errors));
        assert_int_equal(errors.n, 1);
        assert_string_equal(errors.items[0].message, CASES[i].want);
        assert_string_equal(errors.items[0].file, CASES[i].path);
        errors_free(&errors);
        arena_free(&arena);
    }
}

/* ---- The index ---- */

static void index_finds_and_hints(void **state)
{
    struct conf_index x = {.is_folded = true};
    char buf[CONF_HINT], names[1000][8];
    struct loaded l;
    struct conf *f;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(names[i], sizeof(names[i]), "n%zu", i);
        assert_true(conf_index_put(&x, names[i], i) == CONF_NONE);
    }
    assert_int_equal(conf_index_put(&x, "N7", 9999), 7);
    assert_int_equal(conf_index_get(&x, "n999"), 999);
    assert_true(conf_index_get(&x, "n1000") == CONF_NONE);
    conf_index_free(&x);
    assert_true(conf_index_get(&x, "n1") == CONF_NONE);

    load(&l, "{}");
    f = conf_open_text("a", STR("{}"), &l.arena, &l.errors);
    conf_index_put(&x, "us-east", 0);
    conf_index_put(&x, "us-west", 1);
    assert_string_equal(conf_hint(f, &x, "us-eats", buf), "; did you mean 'us-east'?");
    assert_string_equal(conf_hint(f, &x, "antarctica", buf), "");
    conf_close(f);
    conf_index_free(&x);
    unload(&l);
}

static void paths_are_relative_to_the_file(void **state)
{
    static const struct {
        const char *file, *path, *want;
    } CASES[] = {
        {"/etc/a.yaml", "b", "/etc/b"},
        {"/a.yaml", "b", "/b"},
        {"/etc/a.yaml", "/b", "/b"},
        {"/etc/x/a.yaml", "../b", "/etc/x/../b"},
    };
    char want[4200], *here = getcwd(NULL, 0);

    (void)state;
    for (size_t i = 0; i <= COUNT_OF(CASES); i++) {
        bool is_last = i == COUNT_OF(CASES);
        struct arena arena;
        struct errors errors = {0};
        struct conf *f;

        arena_init(&arena, 0);
        f = conf_open_text(is_last ? "sub/a.yaml" : CASES[i].file, STR("{}"), &arena, &errors);
        assert_non_null(f);
        snprintf(want, sizeof(want), "%s/sub/b", here);
        assert_string_equal(conf_path(f, str_of(is_last ? "b" : CASES[i].path)),
                            is_last ? want : CASES[i].want);
        conf_close(f);
        arena_free(&arena);
    }
    free(here);
}

static void the_reference_lists_every_key(void **state)
{
    struct text t = {0};

    (void)state;
    conf_describe(&SCHEMA, &t);
    for (size_t i = 0; i < COUNT_OF(FIELDS); i++) {
        char line[64];

        snprintf(line, sizeof(line), ".It Ic %s : Ar ", FIELDS[i].key);
        assert_non_null(strstr(t.p, line));
    }
    assert_non_null(strstr(t.p, ".It Ic count : Ar number | auto\nCount.\n1 to 256 threads; "
                                "default 4.\n"));
    assert_non_null(strstr(t.p, ".Ss map.NAME\n"));
    assert_non_null(strstr(t.p, ".Ss list.ITEM\n"));
    assert_non_null(strstr(t.p, ".It Ic numbers : Ar list of numbers\n"));
    for (const char *p = t.p, *end; (end = strchr(p, '\n')) != NULL; p = end + 1)
        assert_true(end - p <= 80 || p[0] == '.');
    text_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_land_typed),
        cmocka_unit_test(things_come_short_and_long),
        cmocka_unit_test(absence_has_defaults),
        cmocka_unit_test(required_keys_are_missed),
        cmocka_unit_test(the_line_is_shown_with_a_caret),
        cmocka_unit_test(a_wrong_value_leaves_the_default),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(many_mistakes_are_counted),
        cmocka_unit_test(unreadable_files_say_why),
        cmocka_unit_test(index_finds_and_hints),
        cmocka_unit_test(paths_are_relative_to_the_file),
        cmocka_unit_test(the_reference_lists_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
