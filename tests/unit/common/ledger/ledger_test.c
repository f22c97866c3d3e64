/* SPDX-License-Identifier: BSD-2-Clause */
/* Ledgers: what is there again after a close, a crash in the middle of a line, and a damage. */
#include "common/ledger/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/ledger_test.XXXXXX", path[64];

static int set_up(void **state)
{
    memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/ledger", folder);
    return 0;
}

static int tear_down(void **state)
{
    char bad[80];

    snprintf(bad, sizeof(bad), "%s.bad", path);
    (void)unlink(bad);
    (void)unlink(path);
    return rmdir(folder);
}

static void append(struct ledger *l, unsigned from, unsigned n)
{
    char text[16];
    const char *line = text;

    for (unsigned i = from; i < from + n; i++) {
        snprintf(text, sizeof(text), "line %u", i);
        assert_false(has_failed(ledger_append(l, &line, 1)));
    }
}

static void expect(const struct ledger *l, uint64_t first, uint64_t last)
{
    char text[32];

    assert_int_equal(ledger_first(l), first);
    assert_int_equal(ledger_last(l), last);
    for (uint64_t i = first; i <= last; i++) {
        snprintf(text, sizeof(text), "line %u", (unsigned)i);
        assert_string_equal(ledger_line(l, i), text);
    }
}

static void keeps_lines(void **state)
{
    struct ledger *l = ledger_open(path, 10, "test");
    uint64_t id = ledger_id(l);

    expect(l, 1, 0);
    append(l, 1, 7);
    ledger_close(l);
    l = ledger_open(path, 10, "test");
    assert_int_equal(ledger_id(l), id);
    expect(l, 1, 7);
    append(l, 8, 13);
    expect(l, 1, 20);
    append(l, 21, 1); /* twice as many and one: the newest ten stay */
    expect(l, 12, 21);
    append(l, 22, 3);
    ledger_close(l);
    l = ledger_open(path, 10, "test");
    assert_int_equal(ledger_id(l), id);
    expect(l, 12, 24);
    ledger_close(l);
}

static void in_memory(void **state)
{
    struct ledger *l = ledger_open(NULL, 2, "test");

    assert_false(ledger_is_in_file(l));
    append(l, 1, 5);
    expect(l, 4, 5);
    ledger_close(l);
}

static void several_at_once(void **state)
{
    const char *lines[] = {"line 1", "line 2", "line 3"};
    struct ledger *l = ledger_open(path, 2, "test");

    assert_false(has_failed(ledger_append(l, lines, 3)));
    expect(l, 1, 3);
    ledger_close(l);
}

static void write_file(const char *text, size_t n)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* Cut at each length: what was whole before the cut is there, and appending goes on behind it. */
static void torn(void **state)
{
    static const char whole[] = "ledger 1 00000000000000aa 5\nline 5\nline 6\nline 7\n";

    for (size_t n = strlen("ledger 1 00000000000000aa 5\n"); n < sizeof(whole); n++) {
        uint64_t last = 4;
        struct ledger *l;

        for (size_t i = strlen("ledger 1 00000000000000aa 5\n"); i < n; i++)
            last += whole[i] == '\n';
        write_file(whole, n);
        l = ledger_open(path, 10, "test");
        assert_int_equal(ledger_id(l), 0xaa);
        expect(l, 5, last);
        append(l, (unsigned)last + 1, 1);
        ledger_close(l);
        l = ledger_open(path, 10, "test");
        expect(l, 5, last + 1);
        ledger_close(l);
    }
}

static void no_ledger(void **state)
{
    static const char *const cases[] = {
        "",
        "ledger",
        "ledger 2 00000000000000aa 1\n",
        "ledger 1 0 1\n",
        "ledger 1 aa 0\n",
        "something else entirely, which is longer than the first line of a ledger may ever be\n",
    };
    char bad[80];

    snprintf(bad, sizeof(bad), "%s.bad", path);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ledger *l;

        print_message("  '%s'\n", cases[i]);
        write_file(cases[i], strlen(cases[i]));
        l = ledger_open(path, 10, "test");
        expect(l, 1, 0);
        append(l, 1, 1);
        ledger_close(l);
        assert_int_equal(access(bad, F_OK), 0);
        l = ledger_open(path, 10, "test");
        expect(l, 1, 1);
        ledger_close(l);
    }
}

/* Where nothing can be written, an append fails and changes nothing. */
static void no_folder(void **state)
{
    struct ledger *l = ledger_open("/nonexistent/folder/ledger", 10, "test");
    const char *line = "x";

    assert_true(has_failed(ledger_append(l, &line, 1)));
    expect(l, 1, 0);
    ledger_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_lines, set_up, tear_down),
        cmocka_unit_test(in_memory),
        cmocka_unit_test_setup_teardown(several_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(torn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_ledger, set_up, tear_down),
        cmocka_unit_test(no_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
