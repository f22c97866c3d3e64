/* SPDX-License-Identifier: BSD-2-Clause */
/* Places kept in a file: what is used, what is not, and that neither changes an answer. */
#include "gslb-dns/geo/geo.h"
#include "tests/unit/gslb-dns/geo/mmdb_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SHIPPED "deploy/geoip/geo-whois-asn-country.mmdb"

static char folder[64], db_path[128], cache[128];

static void write_file(const char *path, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

/* Two states of one file look different only if the clock of its times has ticked in between. */
static void let_settle(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 120000000}, NULL);
}

static void write_db(const char *path, const char *country)
{
    struct mmdb m = mmdb_new(6, 28, "Test");
    struct text bytes;

    mmdb_add(&m, "192.0.2.0/24", mmdb_put_flat(&m, country, 'd', 48.5, 9.5));
    mmdb_add(&m, "2001:db8::/32", mmdb_put_flat(&m, "JP", 0, 0, 0));
    mmdb_add(&m, "2001:db8:1::5/128", mmdb_put_flat(&m, "FR", 0, 0, 0));
    bytes = mmdb_finish(&m);
    write_file(path, bytes.p, bytes.n);
    text_free(&bytes);
    let_settle();
}

static int make_folder(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/gslb-geo-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(db_path, sizeof(db_path), "%s/test.mmdb", folder);
    snprintf(cache, sizeof(cache), "%s/cache", folder);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    return remove(path);
}

static int remove_folder(void **state)
{
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct geo_db *open_db(const char *path)
{
    struct errors errors = {0};
    struct geo_db *db = geo_open_resting(&path, 1, &errors, (struct place){0});

    assert_non_null(db);
    return db;
}

static struct geo_places *read_places(struct geo_db *db)
{
    struct errors errors = {0};
    struct geo_places *p;

    assert_false(has_failed(geo_read(db, &errors, (struct place){0})));
    p = geo_places_read(db, NULL, &errors);
    assert_non_null(p);
    assert_int_equal(errors.n_warnings, 0);
    return p;
}

static enum geo_kept try_to_keep(const char *path, bool is_stopped, char **what)
{
    struct geo_db *db = open_db(path);
    struct geo_places *p = read_places(db);
    _Atomic bool stop = is_stopped;
    enum geo_kept kept = geo_places_keep(p, cache, &stop, what);

    geo_places_free(p);
    geo_close(db);
    return kept;
}

/* Keeps those of path; the name of the file, the caller's. */
static char *keep(const char *path, enum geo_kept wanted)
{
    char *what;

    assert_int_equal(try_to_keep(path, false, &what), wanted);
    return what;
}

/* Loads those of path. reason NULL: they are there; "": none are; else a part of why not. */
static void expect_load(const char *path, const char *reason)
{
    struct geo_db *db = open_db(path);
    struct errors errors = {0};
    char *why;
    struct geo_places *p = geo_places_load(db, cache, &errors, &why);

    if (reason == NULL && p == NULL)
        fail_msg("not loaded: %s", why != NULL ? why : "none there");
    if (reason != NULL && p != NULL)
        fail_msg("loaded in spite of: %s", reason);
    if (reason == NULL || reason[0] == '\0')
        assert_null(why);
    else if (why == NULL || strstr(why, reason) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, reason);
    free(why);
    geo_places_free(p);
    geo_close(db);
}

/* ---- the same answers ---- */

static uint32_t by_country(void *arg, const struct geo_location *where)
{
    uint32_t letter = *(const uint32_t *)arg;

    return where == NULL ? 0 : 1 + (uint8_t)where->country[letter];
}

static void list_leaf(void *arg, const struct prefix *leaf, uint32_t class_id)
{
    struct text *out = arg;

    text_add(out, leaf, sizeof(*leaf));
    text_add(out, &class_id, sizeof(class_id));
}

static struct text list_map(const struct geo_places *p, uint32_t letter)
{
    struct geo_plan plan = {.classify = by_country, .arg = &letter};
    struct errors errors = {0};
    struct geo_map *map = geo_compile(p, &plan, NULL, &errors);
    struct text out = {0};

    assert_non_null(map);
    geo_map_visit(map, 4, list_leaf, &out);
    geo_map_visit(map, 6, list_leaf, &out);
    geo_map_free(map);
    return out;
}

/* The places know nothing of classes: two plans that join different siblings. */
static void check_same(const char *path)
{
    struct geo_db *db = open_db(path), *again = open_db(path);
    struct geo_places *p = read_places(db), *q;
    struct errors errors = {0};
    _Atomic bool stop = false;
    char *what, *why;

    assert_int_equal(geo_places_keep(p, cache, &stop, &what), GEO_KEPT);
    q = geo_places_load(again, cache, &errors, &why);
    assert_non_null(q);
    assert_string_equal(geo_places_text(p), geo_places_text(q));
    for (uint32_t letter = 0; letter < 2; letter++) {
        struct text a = list_map(p, letter), b = list_map(q, letter);

        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.p, b.p, a.n);
        text_free(&a);
        text_free(&b);
    }
    assert_false(has_failed(geo_wake(again))); /* explain reads the database after all */
    geo_places_free(p);
    geo_places_free(q);
    geo_close(db);
    geo_close(again);
    free(what);
}

static void test_same_answers(void **state)
{
    write_db(db_path, "DE");
    check_same(db_path);
    check_same(SHIPPED);
}

/* ---- what is not used ---- */

static void change_nothing(const char *file)
{
}

static void remove_file(const char *file)
{
    assert_int_equal(unlink(file), 0);
}

static void empty_file(const char *file)
{
    assert_int_equal(truncate(file, 0), 0);
}

static void cut_file(const char *file)
{
    struct stat st;

    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(truncate(file, st.st_size - 1), 0);
}

static void lengthen_file(const char *file)
{
    struct stat st;

    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(truncate(file, st.st_size + 4), 0);
}

static void replace_by_text(const char *file)
{
    char text[1000];

    memset(text, 'x', sizeof(text));
    write_file(file, text, sizeof(text));
}

static void replace_by_link(const char *file)
{
    remove_file(file);
    assert_int_equal(symlink("/etc/passwd", file), 0);
}

static void replace_by_folder(const char *file)
{
    remove_file(file);
    assert_int_equal(mkdir(file, 0700), 0);
}

static void replace_by_fifo(const char *file)
{
    remove_file(file);
    assert_int_equal(mkfifo(file, 0600), 0);
}

static void rewrite_db(const char *file)
{
    write_db(db_path, "FR");
}

static void replace_db(const char *file)
{
    remove_file(db_path);
    write_db(db_path, "FR");
}

/* The same size, and the times that the old one had. */
static void replace_db_unseen(const char *file)
{
    struct stat st;
    struct timespec times[2];

    assert_int_equal(stat(db_path, &st), 0);
    write_db(db_path, "FR");
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    assert_int_equal(utimensat(AT_FDCWD, db_path, times, 0), 0);
}

static void touch_db(const char *file)
{
    assert_int_equal(utimensat(AT_FDCWD, db_path, NULL, 0), 0);
}

static void test_not_used(void **state)
{
    static const struct {
        const char *name;
        void (*change)(const char *file);
        const char *reason;
    } cases[] = {
        {"unchanged", change_nothing, NULL},
        {"removed", remove_file, ""},
        {"emptied", empty_file, "no such file"},
        {"cut short", cut_file, "damaged"},
        {"longer", lengthen_file, "damaged"},
        {"text", replace_by_text, "no such file"},
        {"a link", replace_by_link, "symbolic link"},
        {"a folder", replace_by_folder, "no such file"},
        {"a pipe", replace_by_fifo, "no such file"},
        {"the database rewritten", rewrite_db, "has changed"},
        {"the database replaced", replace_db, "has changed"},
        {"the database rewritten, its times set back", replace_db_unseen, "has changed"},
        {"the database touched", touch_db, "has changed"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *file;

        print_message("%s\n", cases[i].name);
        make_folder(NULL);
        write_db(db_path, "DE");
        expect_load(db_path, "");
        file = keep(db_path, GEO_KEPT);
        cases[i].change(file);
        expect_load(db_path, cases[i].reason);
        if (cases[i].change != replace_by_folder) { /* and it mends itself */
            let_settle();
            free(keep(db_path, GEO_KEPT));
            expect_load(db_path, NULL);
        }
        free(file);
        remove_folder(NULL);
    }
    make_folder(NULL);
}

/* Each bit counts: whatever of a file is damaged, it is seen. */
static void test_every_byte(void **state)
{
    char *file, *bytes;
    size_t n;

    write_db(db_path, "DE");
    file = keep(db_path, GEO_KEPT);
    assert_false(has_failed(text_read_file(file, 1 << 20, &bytes, &n)));
    for (size_t i = 0; i < n; i++) {
        bytes[i] ^= 1 << i % 8;
        write_file(file, bytes, n);
        expect_load(db_path, file);
        bytes[i] ^= 1 << i % 8;
    }
    write_file(file, bytes, n);
    expect_load(db_path, NULL);
    free(bytes);
    free(file);
}

/* ---- what is not kept ---- */

static void test_databases_apart(void **state)
{
    char other[128], *a, *b;

    snprintf(other, sizeof(other), "%s/other/test.mmdb", folder);
    *strrchr(other, '/') = '\0';
    assert_int_equal(mkdir(other, 0700), 0);
    other[strlen(other)] = '/';
    write_db(db_path, "DE");
    write_db(other, "FR");
    a = keep(db_path, GEO_KEPT);
    b = keep(other, GEO_KEPT);
    assert_string_not_equal(a, b);
    expect_load(db_path, NULL);
    expect_load(other, NULL);
    free(a);
    free(b);
}

static void expect_empty(void)
{
    assert_int_equal(rmdir(cache), 0);
}

static void test_stopped(void **state)
{
    char *what;

    write_db(db_path, "DE");
    assert_int_equal(try_to_keep(db_path, true, &what), GEO_KEPT_NOT);
    expect_empty();
    free(what);
}

/* It could be written to once more in the same tick, and look the same. */
static void test_just_written(void **state)
{
    enum geo_kept kept = GEO_KEPT;
    char *what = NULL;

    write_db(db_path, "DE");
    for (int tries = 0; tries < 100 && kept == GEO_KEPT; tries++) { /* a slow machine is too late */
        free(what);
        touch_db(NULL);
        kept = try_to_keep(db_path, false, &what);
    }
    assert_int_equal(kept, GEO_KEPT_NOT);
    assert_non_null(strstr(what, "just before"));
    free(what);
    let_settle();
    free(keep(db_path, GEO_KEPT));
    expect_load(db_path, NULL);
}

/* The disk is full: what was there stays, and nothing else does. */
static void test_no_room(void **state)
{
    struct rlimit limit, old;
    struct geo_db *db;
    struct geo_places *p;
    _Atomic bool stop = false;
    char *file, *what;

    write_db(db_path, "DE");
    file = keep(db_path, GEO_KEPT);
    db = open_db(db_path);
    p = read_places(db);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = old;
    limit.rlim_cur = 200;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(geo_places_keep(p, cache, &stop, &what), GEO_KEPT_FAILED);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_non_null(strstr(what, file));
    assert_non_null(strstr(what, strerror(EFBIG)));
    expect_load(db_path, NULL);
    remove_file(file);
    expect_empty();
    free(what);
    free(file);
    geo_places_free(p);
    geo_close(db);
}

/* Two programs with one cache: the one that comes second leaves it to the first. */
static void test_in_use(void **state)
{
    char *file, *what, fresh[256];
    int fd;

    write_db(db_path, "DE");
    file = keep(db_path, GEO_KEPT);
    snprintf(fresh, sizeof(fresh), "%s.new", file);
    fd = open(fresh, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    what = keep(db_path, GEO_KEPT_NOT);
    assert_non_null(strstr(what, strerror(EBUSY)));
    free(what);
    close(fd); /* it died, and left its beginning behind */
    free(keep(db_path, GEO_KEPT));
    assert_int_equal(access(fresh, F_OK), -1);
    expect_load(db_path, NULL);
    free(file);
}

static void test_no_folder(void **state)
{
    char *what;

    write_db(db_path, "DE");
    write_file(cache, "x", 1);
    what = keep(db_path, GEO_KEPT_FAILED);
    assert_non_null(strstr(what, strerror(ENOTDIR)));
    free(what);
    expect_load(db_path, strerror(ENOTDIR));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_same_answers), TEST(test_not_used),     TEST(test_every_byte),
        TEST(test_stopped),      TEST(test_just_written), TEST(test_databases_apart),
        TEST(test_no_room),      TEST(test_no_folder),    TEST(test_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
