/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/clock/clock.h"
#include "common/wheel/wheel.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct alarm {
    struct wheel_timer timer;
    int64_t fired_ms; /* 0: not yet */
    struct wheel *wheel;
    unsigned rings, again;
};

static void ring(struct wheel_timer *t)
{
    struct alarm *a = CONTAINER_OF(t, struct alarm, timer);

    a->fired_ms = clock_coarse_ms();
    a->rings++;
    if (a->again > 0) {
        a->again--;
        wheel_set(a->wheel, t, 1, ring);
    }
}

static void run_until_empty(struct event_base *base, struct wheel *w)
{
    while (w->n > 0)
        event_base_loop(base, EVLOOP_ONCE);
}

/* Never early, and in time but for a tick or two (and what a busy machine adds). */
static void fires_when_due(void **state)
{
    static const unsigned delays[] = {0, 1, 49, 50, 51, 120, 300};
    struct event_base *base = event_base_new();
    struct alarm alarms[COUNT_OF(delays)] = {0};
    struct wheel w;
    int64_t began_ms;

    (void)state;
    wheel_init(&w, base);
    began_ms = clock_coarse_ms();
    for (size_t i = 0; i < COUNT_OF(delays); i++)
        wheel_set(&w, &alarms[i].timer, delays[i], ring);
    run_until_empty(base, &w);
    for (size_t i = 0; i < COUNT_OF(delays); i++) {
        assert_int_equal(alarms[i].rings, 1);
        assert_true(alarms[i].fired_ms - began_ms >= delays[i]);
        assert_true(alarms[i].fired_ms - began_ms < delays[i] + 2000);
        assert_false(wheel_is_set(&alarms[i].timer));
    }
    wheel_stop(&w);
    event_base_free(base);
}

static void later_earlier_and_cleared(void **state)
{
    struct event_base *base = event_base_new();
    struct alarm later = {0}, earlier = {0}, cleared = {0};
    struct wheel w;
    int64_t began_ms;

    (void)state;
    wheel_init(&w, base);
    began_ms = clock_coarse_ms();
    wheel_set(&w, &later.timer, 60, ring);
    wheel_set(&w, &later.timer, 250, ring);
    wheel_set(&w, &earlier.timer, 600000, ring);
    wheel_set(&w, &earlier.timer, 60, ring);
    wheel_set(&w, &cleared.timer, 60, ring);
    wheel_clear(&w, &cleared.timer);
    wheel_clear(&w, &cleared.timer); /* twice does no harm */
    run_until_empty(base, &w);
    assert_true(later.fired_ms - began_ms >= 250);
    assert_true(earlier.fired_ms - began_ms < 60000);
    assert_int_equal(later.rings + earlier.rings, 2);
    assert_int_equal(cleared.rings, 0);
    wheel_stop(&w);
    event_base_free(base);
}

static void may_be_set_again_from_inside(void **state)
{
    struct event_base *base = event_base_new();
    struct alarm a = {.again = 3};
    struct wheel w;

    (void)state;
    wheel_init(&w, base);
    a.wheel = &w;
    wheel_set(&w, &a.timer, 1, ring);
    run_until_empty(base, &w);
    assert_int_equal(a.rings, 4);
    wheel_stop(&w);
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_when_due),
        cmocka_unit_test(later_earlier_and_cleared),
        cmocka_unit_test(may_be_set_again_from_inside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
