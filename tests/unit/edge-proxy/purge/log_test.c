/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known of purges after a restart. */
#include "edge-proxy/purge/purge.h"

#include "common/base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/purge_log_test.XXXXXX", path[80];
static struct purge_marks *marks;
static struct purge_log *purges;

static void restart(void)
{
    if (marks != NULL) {
        purge_log_close(purges);
        purge_marks_free(marks);
    }
    marks = purge_marks_new(PURGE_BUCKETS);
    purges = purge_log_open(marks, path);
}

static int set_up(void **state)
{
    memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/purges", folder);
    restart();
    return 0;
}

static int tear_down(void **state)
{
    purge_log_close(purges);
    purge_marks_free(marks);
    marks = NULL;
    (void)unlink(path);
    return rmdir(folder);
}

static void apply(enum purge_kind kind, const char *what, bool is_soft, int64_t now_ms,
                  const struct purge_source *from)
{
    struct purge purge = {kind, str_of(what), is_soft};

    purge_log_apply(purges, &purge, 1, now_ms, from);
}

static struct purge_stamps find(const char *key)
{
    struct purge_stamps out;

    purge_find(marks, &(struct purge_subject){.key = str_of(key)}, &out);
    return out;
}

static void heeded_after_a_restart(void **state)
{
    apply(PURGE_URL, "a/x", false, 1000, NULL);
    apply(PURGE_PREFIX, "a/y/", true, 2000, NULL);
    apply(PURGE_HOST, "b", false, 3000, NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(find("http://a/x").hard, 1000);
        assert_int_equal(find("http://a/y/z").soft, 2000);
        assert_int_equal(find("http://a/y/z").hard, 0);
        assert_int_equal(find("http://b/").hard, 3000);
        assert_int_equal(purge_now(marks), 3000);
        restart();
    }
    apply(PURGE_ALL, "", false, 500, NULL); /* the clock was set back */
    assert_int_equal(find("http://c/").hard, 3001);
}

static void expect_position(const char *node, uint64_t journal, uint64_t sequence)
{
    struct purge_source at = {.node = node};

    purge_log_position(purges, &at);
    assert_int_equal(at.journal, journal);
    assert_int_equal(at.sequence, sequence);
}

static void positions(void **state)
{
    expect_position("ns1", 0, 0);
    apply(PURGE_TAG, "t", false, 1, &(struct purge_source){"ns1", 0xfedcba9876543210, 7});
    apply(PURGE_TAG, "t", false, 1, &(struct purge_source){"ns2", 2, 1});
    apply(PURGE_TAG, "u", false, 1, &(struct purge_source){"ns1", 0xfedcba9876543210, 8});
    apply(PURGE_TAG, "u", false, 1, NULL);
    for (int i = 0; i < 2; i++) {
        expect_position("ns1", 0xfedcba9876543210, 8);
        expect_position("ns2", 2, 1);
        expect_position("-", 0, 0);
        restart();
    }
    /* Without purges it is known as long as the process lives: they would be asked for again. */
    purge_log_apply(purges, NULL, 0, 1, &(struct purge_source){"ns3", 3, 4});
    expect_position("ns3", 3, 4);
}

/* Lines that had to go leave a mark of everything that was asked for before them. */
static void more_than_are_kept(void **state)
{
    for (int i = 1; i <= 2 * PURGE_LOG_LINES + 1; i++)
        apply(PURGE_URL, "a/x", false, 1000 + i, NULL);
    assert_int_equal(find("http://b/").hard, 0);
    restart();
    assert_int_equal(find("http://a/x").hard, 1000 + 2 * PURGE_LOG_LINES + 1);
    assert_int_equal(find("http://b/").hard, 1000 + PURGE_LOG_LINES + 1);
}

static void a_line_that_is_none(void **state)
{
    FILE *f;

    apply(PURGE_URL, "a/x", false, 1000, NULL);
    f = fopen(path, "a");
    assert_non_null(f);
    fputs("1001 - 0 0 sometime hard a/y\n", f);
    assert_int_equal(fclose(f), 0);
    restart();
    assert_int_equal(find("http://b/").hard, 1001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(heeded_after_a_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(positions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_than_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_that_is_none, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
