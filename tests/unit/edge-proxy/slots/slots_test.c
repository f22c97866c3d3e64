/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiters on one loop that is turned by hand; then threads that take and give for real. */
#include "edge-proxy/slots/slots.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

struct one {
    struct slots_waiter *w;
    unsigned calls;
};

static void on_call(void *arg)
{
    ((struct one *)arg)->calls++;
}

static void turn(struct loop *l)
{
    event_base_loop(loop_base(l), EVLOOP_NONBLOCK);
}

static void counts_up_to_the_limit(void **state)
{
    static const struct {
        uint32_t limit, wants, gets;
    } rows[] = {{1, 3, 1}, {3, 3, 3}, {5, 3, 3}, {0, 1000, 1000}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slots *s = slots_new(rows[i].limit);
        uint32_t got = 0;

        for (uint32_t k = 0; k < rows[i].wants; k++)
            got += slots_take(s);
        assert_int_equal(got, rows[i].gets);
        assert_int_equal(slots_has_room(s), rows[i].limit == 0 || got < rows[i].limit);
        slots_give(s);
        assert_true(slots_take(s));
        slots_drop(s);
    }
}

static void a_lower_limit_waits_for_those_above_it(void **state)
{
    struct slots *s = slots_hold(slots_new(2));

    (void)state;
    slots_drop(s); /* one reference is left */
    assert_true(slots_take(s) && slots_take(s));
    slots_set_limit(s, 1);
    slots_give(s);
    assert_false(slots_take(s));
    slots_give(s);
    assert_true(slots_take(s));
    slots_set_limit(s, 0);
    assert_true(slots_take(s));
    slots_drop(s);
}

static void the_oldest_is_called_first_and_once(void **state)
{
    struct loop *l = loop_new("test");
    struct slots *s = slots_new(1);
    struct one ones[3] = {{0}};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        ones[i].w = slots_wait(s, 3, l, on_call, &ones[i]);
    assert_null(slots_wait(s, 3, l, on_call, NULL));
    assert_int_equal(slots_waiting(s), 3);
    slots_wake(s);
    slots_wake(s); /* the first is being called */
    turn(l);
    assert_int_equal(ones[0].calls, 1);
    assert_int_equal(ones[1].calls, 1);
    slots_wake(s); /* both know, and may be called anew */
    turn(l);
    assert_int_equal(ones[0].calls, 2);
    slots_wake_behind(ones[1].w);
    slots_wake_behind(ones[2].w); /* nobody */
    turn(l);
    assert_int_equal(ones[2].calls, 1);
    for (size_t i = 0; i < 3; i++)
        slots_stop_waiting(ones[i].w);
    assert_int_equal(slots_waiting(s), 0);
    slots_drop(s);
    loop_free(l);
}

/* Who leaves while it is being called passes the call on. */
static void no_call_gets_lost(void **state)
{
    struct loop *l = loop_new("test");
    struct slots *s = slots_new(1);
    struct one ones[3] = {{0}};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        ones[i].w = slots_wait(s, 3, l, on_call, &ones[i]);
    slots_wake(s);
    slots_stop_waiting(ones[0].w);
    slots_stop_waiting(ones[1].w); /* it was called instead */
    slots_drop(slots_hold(s));
    turn(l);
    assert_int_equal(ones[0].calls + ones[1].calls, 0);
    assert_int_equal(ones[2].calls, 1);
    slots_wake(s);
    slots_stop_waiting(ones[2].w); /* nobody is left; the letter outlives the slots' owner */
    slots_drop(s);
    turn(l);
    loop_free(l);
}

/* ---- Threads ---- */

enum { N_THREADS = 4, EACH = 64, ROUNDS = 200, LIMIT = 3 };

static struct slots *shared;
static _Atomic int inside, most, done;

struct worker {
    struct loop *loop;
    struct job {
        struct worker *worker;
        struct slots_waiter *w;
        unsigned rounds;
    } jobs[EACH];
};

static void go_on(void *arg);

static void give(void *arg)
{
    struct job *j = arg;

    atomic_fetch_sub(&inside, 1);
    slots_give(shared);
    if (slots_waiting(shared) > 0)
        slots_wake(shared);
    if (++j->rounds < ROUNDS)
        go_on(j);
    else
        atomic_fetch_add(&done, 1);
}

static void on_turn(void *arg)
{
    struct job *j = arg;
    int n, before = atomic_load(&most);

    if (!slots_take(shared))
        return;
    slots_stop_waiting(j->w);
    j->w = NULL;
    n = atomic_fetch_add(&inside, 1) + 1;
    while (n > before && !atomic_compare_exchange_weak(&most, &before, n))
        continue;
    loop_post(j->worker->loop, give, j);
}

static void go_on(void *arg)
{
    struct job *j = arg;

    j->w = slots_wait(shared, N_THREADS * EACH, j->worker->loop, on_turn, j);
    assert_non_null(j->w);
    if (slots_has_room(shared))
        slots_wake(shared);
}

static void threads_get_all_they_wait_for(void **state)
{
    static struct worker workers[N_THREADS];

    (void)state;
    shared = slots_new(LIMIT);
    for (size_t i = 0; i < N_THREADS; i++) {
        workers[i].loop = loop_new("test");
        for (size_t k = 0; k < EACH; k++) {
            workers[i].jobs[k].worker = &workers[i];
            loop_post(workers[i].loop, go_on, &workers[i].jobs[k]);
        }
        loop_start(workers[i].loop);
    }
    while (atomic_load(&done) < N_THREADS * EACH)
        sched_yield();
    for (size_t i = 0; i < N_THREADS; i++) {
        loop_stop(workers[i].loop);
        loop_join(workers[i].loop);
        loop_free(workers[i].loop);
    }
    assert_true(atomic_load(&most) <= LIMIT);
    assert_int_equal(slots_waiting(shared), 0);
    slots_drop(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_up_to_the_limit),
        cmocka_unit_test(a_lower_limit_waits_for_those_above_it),
        cmocka_unit_test(the_oldest_is_called_first_and_once),
        cmocka_unit_test(no_call_gets_lost),
        cmocka_unit_test(threads_get_all_they_wait_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
