/* SPDX-License-Identifier: BSD-2-Clause */
/* snapshot: a reader never sees a value after its writer got it back. */
#include "common/base/base.h"
#include "common/snapshot/snapshot.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { READERS = 3, PUBLICATIONS = 300, WORDS = 64 };

/* All words are the same, and never 0 while it can be read. */
struct value {
    uint64_t words[WORDS];
};

static struct snapshot_slot slot;
static bool must_stop;
static unsigned n_torn, n_back;
static unsigned n_reads[READERS];

static struct value *value_of(uint64_t number)
{
    struct value *v = base_alloc(sizeof(*v));

    for (int i = 0; i < WORDS; i++)
        v->words[i] = number;
    return v;
}

static void *read_on(void *arg)
{
    uint64_t newest = 0;
    unsigned *reads = arg;

    snapshot_reader_start();
    while (!__atomic_load_n(&must_stop, __ATOMIC_RELAXED)) {
        const struct value *v;

        snapshot_enter();
        v = snapshot_read(&slot);
        for (int i = 0; v != NULL && i < WORDS; i++)
            if (v->words[i] != v->words[0] || v->words[i] == 0)
                __atomic_add_fetch(&n_torn, 1, __ATOMIC_RELAXED);
        if (v != NULL && v->words[0] < newest)
            __atomic_add_fetch(&n_back, 1, __ATOMIC_RELAXED);
        newest = v != NULL ? v->words[0] : newest;
        snapshot_leave();
        __atomic_add_fetch(reads, 1, __ATOMIC_RELAXED);
    }
    snapshot_reader_stop();
    return NULL;
}

static bool have_all_read(unsigned since[READERS])
{
    for (int i = 0; i < READERS; i++)
        if (__atomic_load_n(&n_reads[i], __ATOMIC_RELAXED) == since[i])
            return false;
    return true;
}

static void readers_see_whole_values(void **state)
{
    pthread_t threads[READERS];
    unsigned since[READERS] = {0};

    (void)state;
    assert_null(snapshot_read(&slot));
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &n_reads[i]), 0);
    for (uint64_t n = 1; n <= PUBLICATIONS; n++) {
        struct value *old = snapshot_publish(&slot, value_of(n));

        if (n == 1)
            assert_null(old);
        else
            assert_int_equal(old->words[0], n - 1);
        for (int i = 0; old != NULL && i < WORDS; i++)
            old->words[i] = 0; /* a late reader would see this, or the sanitizer the free */
        free(old);
    }
    while (!have_all_read(since))
        sched_yield();
    __atomic_store_n(&must_stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(n_torn, 0);
    assert_int_equal(n_back, 0);
    free(snapshot_publish(&slot, NULL));
}

/* ---- A writer waits for a reader that holds the old value ---- */

static int step; /* 1: the reader holds it, 2: it has let go */

static void *hold(void *arg)
{
    (void)arg;
    snapshot_reader_start();
    snapshot_enter();
    (void)snapshot_read(&slot);
    __atomic_store_n(&step, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 1000; i++)
        sched_yield(); /* the writer has every chance to come back too early */
    __atomic_store_n(&step, 2, __ATOMIC_RELEASE);
    snapshot_leave();
    snapshot_reader_stop();
    return NULL;
}

static void publish_waits_for_readers(void **state)
{
    pthread_t thread;

    (void)state;
    assert_null(snapshot_publish(&slot, value_of(1)));
    assert_int_equal(pthread_create(&thread, NULL, hold, NULL), 0);
    while (__atomic_load_n(&step, __ATOMIC_ACQUIRE) == 0)
        sched_yield();
    free(snapshot_publish(&slot, NULL));
    assert_int_equal(__atomic_load_n(&step, __ATOMIC_ACQUIRE), 2);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_whole_values),
        cmocka_unit_test(publish_waits_for_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
