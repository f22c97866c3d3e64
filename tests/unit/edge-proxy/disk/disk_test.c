/* SPDX-License-Identifier: BSD-2-Clause */
/* The disk from the side of its door, over real files: what is written is found again, whole or not
 * at all, after laps of the ring, restarts, crashes and damage. */
#include "edge-proxy/disk/disk.h"

#include "common/clock/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { MIB = 1 << 20, PATIENCE_MS = 20000, SOME_KEYS = 400 };

struct fixture {
    char folder[64], path[96];
    struct disk *disk;
    uint64_t bytes;
};

/* ---- Records with contents that tell them apart ---- */

static void key_of(unsigned n, char out[32], struct str *key)
{
    snprintf(out, 32, "key-%u", n);
    *key = str_of(out);
}

/* The byte of a body: of this key, version and place. */
static uint8_t body_byte(unsigned n, unsigned version, uint64_t at)
{
    return (uint8_t)(n * 31 + version * 7 + at * 13 + (at >> 9) + (at >> 17));
}

struct written {
    struct disk_write w;
    unsigned n, version;
    char key[32], head[64];
};

static void copy_body(struct disk_write *w, uint64_t offset, void *out, size_t n)
{
    struct written *x = CONTAINER_OF(w, struct written, w);

    for (size_t i = 0; i < n; i++)
        ((uint8_t *)out)[i] = body_byte(x->n, x->version, offset + i);
}

static void free_written(struct disk_write *w)
{
    free(CONTAINER_OF(w, struct written, w));
}

static bool write_record(struct disk *d, unsigned n, uint16_t variant, unsigned version,
                         uint64_t body_bytes)
{
    struct written *x = base_zalloc(1, sizeof(*x));

    x->n = n;
    x->version = version;
    key_of(n, x->key, &x->w.key);
    snprintf(x->head, sizeof(x->head), "%s %u %u", x->key, variant, version);
    x->w.head = str_of(x->head);
    x->w.variant = variant;
    x->w.body_bytes = body_bytes;
    x->w.copy = copy_body;
    x->w.done = free_written;
    if (disk_write(d, &x->w))
        return true;
    free(x);
    return false;
}

struct taken {
    struct disk_read r;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char head[64];
    uint64_t expected, bytes;
    unsigned n, version;
    bool is_wrong, is_ended, is_whole, is_released, is_refusing;
};

static bool take_head(struct disk_read *r, struct str head, uint64_t body_bytes)
{
    struct taken *x = CONTAINER_OF(r, struct taken, r);
    unsigned variant;

    assert_true(head.n < sizeof(x->head));
    memcpy(x->head, head.p, head.n);
    x->expected = body_bytes;
    if (sscanf(x->head, "key-%u %u %u", &x->n, &variant, &x->version) != 3)
        x->is_wrong = true;
    return !x->is_refusing;
}

static bool take_body(struct disk_read *r, const void *bytes, size_t n)
{
    struct taken *x = CONTAINER_OF(r, struct taken, r);

    for (size_t i = 0; i < n; i++)
        x->is_wrong |= ((const uint8_t *)bytes)[i] != body_byte(x->n, x->version, x->bytes + i);
    x->bytes += n;
    return true;
}

static void take_end(struct disk_read *r, bool is_whole)
{
    struct taken *x = CONTAINER_OF(r, struct taken, r);

    pthread_mutex_lock(&x->lock);
    assert_false(x->is_ended);
    x->is_ended = true;
    x->is_whole = is_whole;
    pthread_mutex_unlock(&x->lock);
}

static void take_release(struct disk_read *r)
{
    struct taken *x = CONTAINER_OF(r, struct taken, r);

    pthread_mutex_lock(&x->lock);
    x->is_released = true;
    pthread_cond_signal(&x->changed);
    pthread_mutex_unlock(&x->lock);
}

static const struct disk_read_ops take_ops = {take_head, take_body, take_end, take_release};

/* Reads what lies there; false: it was refused, or is not whole. Never anything wrong. */
static bool read_place(struct disk *d, const struct disk_place *p, struct taken *x)
{
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->changed, NULL);
    x->r = (struct disk_read){.place = *p, .ops = &take_ops};
    if (!disk_read(d, &x->r))
        return false;
    pthread_mutex_lock(&x->lock);
    while (!x->is_released)
        pthread_cond_wait(&x->changed, &x->lock);
    pthread_mutex_unlock(&x->lock);
    assert_true(x->is_ended);
    assert_false(x->is_wrong);
    assert_true(!x->is_whole || x->bytes == x->expected);
    return x->is_whole;
}

/* The version that is stored, 0: none. */
static unsigned stored_version(struct disk *d, unsigned n, uint16_t variant, uint64_t *bytes)
{
    struct disk_place places[DISK_VARIANTS_MAX];
    unsigned n_places, version = 0;
    char text[32];
    struct str key;

    key_of(n, text, &key);
    n_places = disk_find(d, key, places);
    for (unsigned i = 0; i < n_places; i++) {
        struct taken x = {0};

        if (places[i].variant != variant || !read_place(d, &places[i], &x) || x.n != n)
            continue;
        assert_int_equal(version, 0);
        version = x.version;
        if (bytes != NULL)
            *bytes = x.bytes;
    }
    return version;
}

/* ---- Waiting for the disk ---- */

static struct disk_figures figures(struct disk *d)
{
    struct disk_figures f;

    disk_read_figures(d, &f);
    return f;
}

#define WAIT_FOR(condition)                                \
    do {                                                   \
        int64_t until_ms = clock_mono_ms() + PATIENCE_MS;  \
        while (!(condition) && clock_mono_ms() < until_ms) \
            usleep(1000);                                  \
        assert_true(condition);                            \
    } while (0)

static struct disk *open_at(const char *path, uint64_t bytes)
{
    struct disk_settings s = {.path = path, .bytes = bytes, .record_bytes = 8192};

    return disk_open(&s);
}

static void reopen(struct fixture *f)
{
    if (f->disk != NULL)
        disk_free(f->disk);
    f->disk = open_at(f->path, f->bytes);
    WAIT_FOR(figures(f->disk).state == DISK_READY);
}

static uint64_t n_ended(struct disk *d)
{
    struct disk_figures f = figures(d);

    return f.writes + f.write_errors;
}

static int set_up(void **state)
{
    struct fixture *f = base_zalloc(1, sizeof(*f));

    snprintf(f->folder, sizeof(f->folder), "/tmp/gslb-disk-XXXXXX");
    if (mkdtemp(f->folder) == NULL)
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/store", f->folder);
    f->bytes = 32 * MIB;
    reopen(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    disk_free(f->disk);
    unlink(f->path);
    rmdir(f->folder);
    free(f);
    return 0;
}

/* ---- Cases ---- */

static const struct {
    const char *name;
    uint64_t bytes;
} sizes[] = {
    {"empty", 0},
    {"one byte", 1},
    {"a block but for the rest", 511},
    {"a piece", 64 << 10},
    {"a piece and a byte", (64 << 10) + 1},
    {"as large as the buffer", 1 << 20},
    {"larger than the buffer", (1 << 20) + (300 << 10) + 77},
};

static void what_is_written_is_found(void **state)
{
    struct fixture *f = *state;
    uint64_t bytes;

    for (unsigned i = 0; i < COUNT_OF(sizes); i++)
        assert_true(write_record(f->disk, i, 0, i + 1, sizes[i].bytes));
    WAIT_FOR(figures(f->disk).writes == COUNT_OF(sizes));
    for (int again = 0; again < 2; again++) {
        for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
            if (stored_version(f->disk, i, 0, &bytes) != i + 1 || bytes != sizes[i].bytes)
                fail_msg("%s", sizes[i].name);
        }
        reopen(f); /* and again after a restart */
        assert_int_equal(figures(f->disk).records, COUNT_OF(sizes));
    }
}

static void variants_and_versions(void **state)
{
    struct fixture *f = *state;
    char text[32];
    struct str key;

    for (uint16_t v = 0; v < 5; v++)
        assert_true(write_record(f->disk, 1, v, 10u + v, 100));
    assert_true(write_record(f->disk, 1, 3, 99, 5000)); /* replaces */
    WAIT_FOR(stored_version(f->disk, 1, 3, NULL) == 99);
    assert_int_equal(stored_version(f->disk, 1, 2, NULL), 12);
    key_of(1, text, &key);
    disk_remove(f->disk, key, 2);
    assert_int_equal(stored_version(f->disk, 1, 2, NULL), 0);
    assert_int_equal(stored_version(f->disk, 1, 4, NULL), 14);
    disk_remove_key(f->disk, key);
    for (uint16_t v = 0; v < 5; v++)
        assert_int_equal(stored_version(f->disk, 1, v, NULL), 0);
    reopen(f);
    for (uint16_t v = 0; v < 5; v++)
        assert_int_equal(stored_version(f->disk, 1, v, NULL), 0);
}

static void a_removal_overtakes_what_is_queued(void **state)
{
    struct fixture *f = *state;
    char text[32];
    struct str key;

    for (unsigned n = 0; n < 200; n++) {
        assert_true(write_record(f->disk, n, 0, 1, 3000));
        key_of(n, text, &key);
        disk_remove(f->disk, key, 0);
        if (n % 2 == 0)
            assert_true(write_record(f->disk, n, 0, 2, 3000));
    }
    reopen(f);
    for (unsigned n = 0; n < 200; n++)
        assert_int_equal(stored_version(f->disk, n, 0, NULL), n % 2 == 0 ? 2 : 0);
}

/* Some laps: the newest are found, the oldest are gone, nothing is anything else. */
static void the_ring_overwrites_the_oldest(void **state)
{
    struct fixture *f = *state;
    unsigned n_records = 6000, n_found = 0;

    for (unsigned n = 0; n < n_records; n++) {
        while (!write_record(f->disk, n, 0, 1, 1000 + n * 37 % 30000))
            usleep(500);
    }
    WAIT_FOR(n_ended(f->disk) == n_records);
    assert_true(figures(f->disk).written_bytes > 2 * figures(f->disk).bytes);
    for (unsigned n = 0; n < n_records; n++)
        n_found += stored_version(f->disk, n, 0, NULL) == 1;
    assert_true(n_found > n_records / 10);
    assert_int_equal(stored_version(f->disk, 0, 0, NULL), 0);
    assert_int_equal(stored_version(f->disk, n_records - 1, 0, NULL), 1);
    assert_true(figures(f->disk).records >= n_found);
    assert_int_equal(figures(f->disk).reads_bad, 0);
}

static void what_is_too_large_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_false(write_record(f->disk, 1, 0, 1, f->bytes / DISK_BODY_MAX_SHARE));
    assert_int_equal(figures(f->disk).writes_refused, 1);
}

static void a_reader_may_refuse(void **state)
{
    struct fixture *f = *state;
    struct disk_place places[DISK_VARIANTS_MAX];
    struct taken x = {.is_refusing = true};
    char text[32];
    struct str key;

    assert_true(write_record(f->disk, 7, 0, 1, 100000));
    WAIT_FOR(figures(f->disk).writes == 1);
    key_of(7, text, &key);
    assert_int_equal(disk_find(f->disk, key, places), 1);
    assert_false(read_place(f->disk, &places[0], &x));
    assert_int_equal(x.bytes, 0);
    assert_int_equal(stored_version(f->disk, 7, 0, NULL), 1); /* it stays */
}

/* ---- The file ---- */

static void only_one_process_uses_a_file(void **state)
{
    struct fixture *f = *state;
    struct disk *second;

    assert_true(write_record(f->disk, 1, 0, 1, 100));
    second = open_at(f->path, f->bytes);
    WAIT_FOR(figures(second).state == DISK_UNUSABLE);
    assert_false(write_record(second, 1, 0, 1, 100));
    disk_free(f->disk); /* now it is the second one's turn */
    f->disk = second;
    WAIT_FOR(figures(second).state == DISK_READY);
    assert_int_equal(stored_version(second, 1, 0, NULL), 1);
}

/* What the file holds is older than any removal that came before it could be read. */
static void removals_come_before_the_file(void **state)
{
    struct fixture *f = *state;
    struct disk *second;
    char text[32];
    struct str key;

    for (unsigned n = 0; n < 2; n++)
        assert_true(write_record(f->disk, n, 0, 1, 100));
    second = open_at(f->path, f->bytes);
    WAIT_FOR(figures(second).state == DISK_UNUSABLE);
    key_of(0, text, &key);
    disk_remove(second, key, 0);
    disk_free(f->disk);
    f->disk = second;
    WAIT_FOR(figures(second).state == DISK_READY);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(stored_version(f->disk, 0, 0, NULL), 0);
        assert_int_equal(stored_version(f->disk, 1, 0, NULL), 1);
        reopen(f);
    }
}

static void nothing_is_found_once_it_is_closed(void **state)
{
    struct fixture *f = *state;
    struct disk_place places[DISK_VARIANTS_MAX];
    char text[32];
    struct str key;

    assert_true(write_record(f->disk, 1, 0, 1, 100));
    disk_close(f->disk);
    key_of(1, text, &key);
    assert_int_equal(disk_find(f->disk, key, places), 0);
    assert_false(write_record(f->disk, 1, 0, 1, 100));
    disk_remove(f->disk, key, 0);
    assert_int_equal(figures(f->disk).state, DISK_CLOSED);
}

static void a_file_of_something_else_is_left_alone(void **state)
{
    struct fixture *f = *state;
    char other[128], text[16] = "precious";
    struct disk *d;
    struct stat st;
    int fd;

    snprintf(other, sizeof(other), "%s/other", f->folder);
    fd = open(other, O_RDWR | O_CREAT, 0600);
    assert_int_equal(write(fd, text, 8), 8);
    d = open_at(other, f->bytes);
    WAIT_FOR(figures(d).state == DISK_UNUSABLE);
    disk_free(d);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 8);
    close(fd);
    unlink(other);
}

static void other_settings_start_anew(void **state)
{
    struct fixture *f = *state;

    assert_true(write_record(f->disk, 1, 0, 1, 100));
    f->bytes = 20 * MIB;
    reopen(f);
    assert_int_equal(figures(f->disk).records, 0);
    assert_true(write_record(f->disk, 1, 0, 2, 100));
    reopen(f);
    assert_int_equal(stored_version(f->disk, 1, 0, NULL), 2);
}

/* ---- Crashes and damage ---- */

/* What the file is at this moment, as a crash would leave it. */
static void copy_file(const char *from, const char *to)
{
    static uint8_t buffer[MIB];
    int in = open(from, O_RDONLY), out = open(to, O_RDWR | O_CREAT | O_TRUNC, 0600);
    ssize_t n;

    assert_true(in >= 0 && out >= 0);
    while ((n = read(in, buffer, sizeof(buffer))) > 0)
        assert_int_equal(write(out, buffer, (size_t)n), n);
    close(in);
    close(out);
}

struct model {
    unsigned newest[SOME_KEYS]; /* version; 0: none */
    unsigned floor[SOME_KEYS];  /* what is older has been replaced or removed for good */
    unsigned version, seed;
};

static void change_some(struct disk *d, struct model *m)
{
    char text[32];
    struct str key;

    for (unsigned i = 0; i < 500; i++) {
        unsigned n = (m->seed = m->seed * 1103515245 + 12345) >> 16, k = n % SOME_KEYS;

        if (n % 7 == 0) {
            key_of(k, text, &key);
            disk_remove(d, key, 0);
            m->newest[k] = 0;
        } else if (write_record(d, k, 0, ++m->version, n % 11 == 0 ? 70000 : n % 5000)) {
            m->newest[k] = m->version;
        }
    }
}

/* After a start: what is there is what counts from now on. */
static void compare(struct disk *d, struct model *m, bool is_after_crash)
{
    for (unsigned k = 0; k < SOME_KEYS; k++) {
        unsigned v = stored_version(d, k, 0, NULL);

        if (is_after_crash)
            assert_true(v == 0 || v >= m->floor[k]);
        else
            assert_int_equal(v, m->newest[k]);
        m->newest[k] = v;
        m->floor[k] = v != 0 ? v : m->version + 1;
    }
}

/* A long random run of writes and removals, with crashes. */
static void a_model_agrees_over_crashes(void **state)
{
    static struct model m = {.seed = 12345};
    struct fixture *f = *state;
    char crashed[128];

    snprintf(crashed, sizeof(crashed), "%s/crashed", f->folder);
    for (unsigned round = 0; round < 10; round++) {
        change_some(f->disk, &m);
        if (round % 2 == 0) {
            copy_file(f->path, crashed);
            disk_free(f->disk);
            assert_int_equal(rename(crashed, f->path), 0);
            f->disk = NULL;
        }
        reopen(f);
        compare(f->disk, &m, round % 2 == 0);
    }
    assert_true(figures(f->disk).records > 0);
}

/* Bytes change, anywhere: what is found is right all the same. */
static void damage_is_never_served(void **state)
{
    struct fixture *f = *state;
    unsigned seed = 99, n_found = 0;
    struct stat st;

    for (unsigned n = 0; n < 300; n++)
        assert_true(write_record(f->disk, n, 0, n + 1, n * 97));
    WAIT_FOR(figures(f->disk).writes == 300);
    for (unsigned round = 0; round < 20; round++) {
        int fd;

        disk_free(f->disk);
        fd = open(f->path, O_RDWR);
        assert_int_equal(fstat(fd, &st), 0);
        for (unsigned i = 0; i < 10; i++) {
            uint8_t byte = (uint8_t)(seed = seed * 1103515245 + 12345);
            /* One of them in the directory, now and then. */
            off_t at = i == 0 && round % 5 == 4 ? 4096 + (seed >> 8) % 65536
                                                : MIB / 2 + (off_t)((seed >> 3) % (4u << 20));

            assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        }
        close(fd);
        f->disk = NULL;
        reopen(f);
        for (unsigned n = 0; n < 300; n++) {
            unsigned v = stored_version(f->disk, n, 0, NULL);

            assert_true(v == 0 || v == n + 1);
            n_found += v != 0;
        }
    }
    assert_true(n_found > 0);
}

/* A process is killed while it writes; the next one finds whole records only. */
static void a_killed_writer_leaves_whole_records(void **state)
{
    struct fixture *f = *state;
    unsigned n_found = 0;
    int told[2];
    pid_t pid;
    char byte;

    disk_free(f->disk);
    f->disk = NULL;
    assert_int_equal(pipe(told), 0);
    pid = fork();
    if (pid == 0) {
        struct disk *d = open_at(f->path, f->bytes);

        for (unsigned n = 0;; n++) {
            while (!write_record(d, n % 2000, 0, 1 + n / 2000, 5000 + n % 90000))
                usleep(100);
            if (n % 100 == 0 && figures(d).writes > 300 && write(told[1], "", 1) != 1)
                _exit(1);
        }
    }
    assert_int_equal(read(told[0], &byte, 1), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(told[0]);
    close(told[1]);
    reopen(f);
    for (unsigned n = 0; n < 2000; n++)
        n_found += stored_version(f->disk, n, 0, NULL) > 0;
    assert_true(n_found > 100);
    assert_int_equal(figures(f->disk).reads_bad, 0);
}

/* ---- Many at once ---- */

static void *read_and_write(void *arg)
{
    struct fixture *f = arg;
    unsigned seed = (unsigned)(uintptr_t)&seed;

    for (unsigned i = 0; i < 1500; i++) {
        unsigned n = (seed = seed * 1103515245 + 12345) >> 16;

        if (n % 3 == 0)
            (void)write_record(f->disk, n % 500, 0, 1, n % 40000);
        else
            (void)stored_version(f->disk, n % 500, 0, NULL);
    }
    return NULL;
}

static void many_threads_read_and_write(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[4];

    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_and_write, f), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(figures(f->disk).reads_bad, 0);
    assert_int_equal(figures(f->disk).read_errors, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(variants_and_versions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_removal_overtakes_what_is_queued, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_ring_overwrites_the_oldest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_too_large_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reader_may_refuse, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_one_process_uses_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removals_come_before_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_found_once_it_is_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_of_something_else_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_settings_start_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_model_agrees_over_crashes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_is_never_served, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_killed_writer_leaves_whole_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_threads_read_and_write, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
