/* SPDX-License-Identifier: BSD-2-Clause */
/* Sequences of what happens to edges, and what the machine must make of them. */
#include "gslb-dns/health/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* What happens, one letter each, at a time in milliseconds after the start. */
enum what {
    GOOD = 'g',
    BAD = 'b',
    CONNECT = 'c',
    LOSE = 'd', /* the link */
    DRAIN = 'D',
    UNDRAIN = 'U',
    TICK = 't',
    GOODS = 'G', /* a good report each 1000 ms from at_ms on, n times */
    JUMP = 'j',  /* time passes at once, without a tick in between */
};

struct step {
    enum what what;
    int64_t at_ms;
    size_t edge;
    unsigned n;
};

/* "UUD": the state of each edge: ? U D d(raining) R; then which are in the answers: "10". */
struct want {
    const char *states, *usable;
    bool is_suspect;
};

struct sequence {
    const char *name;
    size_t n_edges;
    struct step steps[24];
    struct want want;
};

#define AT(w, ms)                  \
    {                              \
        .what = (w), .at_ms = (ms) \
    }
#define ON(e, w, ms)                            \
    {                                           \
        .what = (w), .at_ms = (ms), .edge = (e) \
    }
#define RUN(e, ms, times)                                       \
    {                                                           \
        .what = GOODS, .at_ms = (ms), .edge = (e), .n = (times) \
    }

static const struct health_settings settings = {
    .stale_after_ms = 3000, .down_threshold = 2, .up_threshold = 3, .keep_last_view_ms = 30000};

static const struct sequence sequences[] = {
    {"never heard", 1, {AT(TICK, 60000)}, {"?", "0", false}},
    {"first good report lifts at once", 1, {AT(GOOD, 10)}, {"U", "1", false}},
    {"first bad report", 1, {AT(BAD, 10)}, {"D", "0", false}},
    {"one bad report is forgiven", 1, {AT(GOOD, 0), AT(BAD, 1000)}, {"U", "1", false}},
    {"a run of bad reports", 1, {AT(GOOD, 0), AT(BAD, 1000), AT(BAD, 1100)}, {"D", "0", false}},
    {"bad reports in turn with good ones are no run",
     1,
     {AT(GOOD, 0), AT(BAD, 1000), AT(GOOD, 2000), AT(BAD, 3000), AT(GOOD, 4000), AT(BAD, 5000)},
     {"U", "1", false}},
    {"silent just not for too long", 1, {AT(GOOD, 0), AT(TICK, 2999)}, {"U", "1", false}},
    {"silent for too long", 1, {AT(GOOD, 0), AT(TICK, 3000)}, {"D", "0", false}},
    {"a lost link alone is no verdict",
     1,
     {AT(GOOD, 0), AT(LOSE, 100), AT(TICK, 1500)},
     {"U", "1", false}},
    {"a lost link that stays lost",
     1,
     {AT(GOOD, 0), AT(LOSE, 100), AT(TICK, 1600)},
     {"D", "0", false}},
    {"a link that flaps but reports",
     1,
     {AT(GOOD, 0), AT(LOSE, 100), AT(CONNECT, 900), AT(GOOD, 1000), AT(LOSE, 1100),
      AT(CONNECT, 2300), AT(GOOD, 2400), AT(TICK, 3500)},
     {"U", "1", false}},
    {"a link that connects but does not report",
     1,
     {AT(GOOD, 0), AT(LOSE, 100), AT(CONNECT, 200), AT(TICK, 1600)},
     {"D", "0", false}},
    {"comes back by a steady run: not yet",
     1,
     {AT(GOOD, 0), AT(TICK, 3000), AT(GOOD, 4000), AT(GOOD, 5000)},
     {"R", "0", false}},
    {"comes back by a steady run",
     1,
     {AT(GOOD, 0), AT(TICK, 3000), AT(GOOD, 4000), AT(GOOD, 5000), AT(GOOD, 6000)},
     {"U", "1", false}},
    {"a stuck link's queue is no steady run",
     1,
     {AT(GOOD, 0), AT(TICK, 3000), AT(GOOD, 8000), AT(GOOD, 8001), AT(GOOD, 8002), AT(GOOD, 8003),
      AT(GOOD, 8004)},
     {"R", "0", false}},
    {"a bad report ends the run",
     1,
     {AT(GOOD, 0), AT(TICK, 3000), AT(GOOD, 4000), AT(GOOD, 5000), AT(BAD, 6000), AT(GOOD, 7000),
      AT(GOOD, 8000)},
     {"R", "0", false}},
    {"a lost link ends the run",
     1,
     {AT(GOOD, 0), AT(TICK, 3000), AT(GOOD, 4000), AT(LOSE, 4500)},
     {"D", "0", false}},
    {"silence ends the run",
     1,
     {AT(GOOD, 0), AT(TICK, 3000), AT(GOOD, 4000), AT(TICK, 7000)},
     {"D", "0", false}},
    {"a report after silence and before a tick is late",
     1,
     {AT(GOOD, 0), AT(GOOD, 3500)},
     {"R", "0", false}},
    {"this node stood still: nobody is blamed",
     1,
     {AT(GOOD, 0), AT(JUMP, 60000)},
     {"U", "1", false}},
    {"this node stood still, then silence",
     1,
     {AT(GOOD, 0), AT(JUMP, 60000), AT(TICK, 63000)},
     {"D", "0", false}},
    {"time that runs backwards is no time",
     1,
     {AT(GOOD, 5000), AT(GOOD, 10), AT(TICK, 7999)},
     {"U", "1", false}},
    {"drained", 2, {ON(0, GOOD, 0), ON(1, GOOD, 0), ON(0, DRAIN, 100)}, {"dU", "01", false}},
    {"drained and undrained, well meanwhile",
     1,
     {AT(GOOD, 0), AT(DRAIN, 100), AT(GOOD, 1000), AT(UNDRAIN, 1100)},
     {"U", "1", false}},
    {"drained, and stopped meanwhile",
     1,
     {AT(GOOD, 0), AT(DRAIN, 100), AT(LOSE, 200), AT(TICK, 5000), AT(UNDRAIN, 5100)},
     {"D", "0", false}},
    {"draining and disconnected",
     1,
     {AT(GOOD, 0), AT(DRAIN, 100), AT(LOSE, 200), AT(TICK, 5000)},
     {"d", "0", false}},
    {"undrained before it was ever heard", 1, {AT(DRAIN, 0), AT(UNDRAIN, 10)}, {"?", "0", false}},
    {"all lost at once: the view is kept",
     2,
     {ON(0, GOOD, 0), ON(1, GOOD, 0), ON(0, LOSE, 100), ON(1, LOSE, 110), AT(TICK, 2000)},
     {"DD", "11", true}},
    {"all silent at once: the view is kept",
     3,
     {ON(0, GOOD, 0), ON(1, GOOD, 500), ON(2, GOOD, 900), AT(TICK, 5000)},
     {"DDD", "111", true}},
    {"kept, but not for ever",
     2,
     {ON(0, GOOD, 0), ON(1, GOOD, 0), AT(TICK, 3000), AT(TICK, 33000)},
     {"DD", "00", false}},
    {"one edge alone is not all edges", 1, {AT(GOOD, 0), AT(TICK, 3000)}, {"D", "0", false}},
    {"one site of one edge: the other was lost long ago",
     2,
     {ON(0, GOOD, 0), AT(TICK, 3000), ON(1, GOOD, 3500), AT(TICK, 10000)},
     {"DD", "00", false}},
    {"lost one after the other, too far apart",
     2,
     {ON(0, GOOD, 0), ON(1, GOOD, 0), ON(1, GOOD, 900), RUN(1, 1800, 4), AT(TICK, 12000)},
     {"DD", "00", false}},
    {"one is still heard: it is not us",
     3,
     {ON(0, GOOD, 0), ON(1, GOOD, 0), ON(2, GOOD, 2500), AT(TICK, 3000)},
     {"DDU", "001", false}},
    {"one is heard saying no: it is not us",
     3,
     {ON(0, GOOD, 0), ON(1, GOOD, 0), ON(2, BAD, 2500), AT(TICK, 3000)},
     {"DDD", "000", false}},
    {"an edge that said no is not kept",
     3,
     {ON(0, GOOD, 0), ON(1, GOOD, 0), ON(2, GOOD, 0), ON(2, BAD, 100), ON(2, BAD, 200),
      AT(TICK, 5000)},
     {"DDD", "110", true}},
    {"a drained edge is not kept",
     3,
     {ON(0, GOOD, 0), ON(1, GOOD, 0), ON(2, GOOD, 0), ON(2, DRAIN, 10), AT(TICK, 3000)},
     {"DDd", "110", true}},
    {"a kept edge can be drained",
     2,
     {ON(0, GOOD, 0), ON(1, GOOD, 0), AT(TICK, 3000), ON(0, DRAIN, 3100)},
     {"dD", "01", true}},
    {"a kept edge that is heard again is up at once, the other is awaited",
     2,
     {ON(0, GOOD, 0), ON(1, GOOD, 0), AT(TICK, 3000), ON(0, GOOD, 6000), AT(TICK, 8000)},
     {"UD", "11", false}},
    {"one came back, the other did not",
     2,
     {ON(0, GOOD, 0), ON(1, GOOD, 0), AT(TICK, 3000), RUN(0, 6000, 4), AT(TICK, 9100)},
     {"UD", "10", false}},
    {"came back and says no",
     2,
     {ON(0, GOOD, 0), ON(1, GOOD, 0), AT(TICK, 3000), ON(0, BAD, 6000)},
     {"DD", "01", false}},
};

enum { START_MS = 1000000, BORN_MS = START_MS - 10000 };

/* Time passes in small ticks, as on the control loop. */
static void pass_until(struct health *h, int64_t *now, int64_t until)
{
    while (*now + 100 < until) {
        *now += 100;
        health_tick(h, *now);
    }
    if (*now < until) {
        *now = until;
        health_tick(h, *now);
    }
}

static void play_step(struct health *h, const struct step *s, int64_t *now)
{
    int64_t at = START_MS + s->at_ms;

    if (s->what != JUMP)
        pass_until(h, now, at);
    switch (s->what) {
    case GOOD:
        health_on_report(h, s->edge, true, "", at);
        break;
    case BAD:
        health_on_report(h, s->edge, false, "origins down", at);
        break;
    case CONNECT:
        health_on_connect(h, s->edge, at);
        break;
    case LOSE:
        health_on_disconnect(h, s->edge, "reset", at);
        break;
    case DRAIN:
    case UNDRAIN:
        health_set_drain(h, s->edge, s->what == DRAIN, "work", at);
        break;
    case GOODS:
        for (unsigned i = 0; i < s->n; i++) {
            pass_until(h, now, at + 1000 * i);
            health_on_report(h, s->edge, true, "", at + 1000 * i);
        }
        break;
    case JUMP:
        *now = at;
        health_tick(h, at);
        break;
    case TICK:
        break;
    }
}

static char state_letter(enum health_state s)
{
    return "?UDdR"[s];
}

static void check(const char *name, const struct health *h, size_t n, const struct want *want)
{
    char states[8] = "", usable[8] = "";

    for (size_t i = 0; i < n; i++) {
        states[i] = state_letter(health_edge(h, i)->state);
        usable[i] = health_edge(h, i)->is_usable ? '1' : '0';
    }
    if (strcmp(states, want->states) != 0 || strcmp(usable, want->usable) != 0 ||
        health_is_self_suspect(h) != want->is_suspect)
        fail_msg("%s: states %s usable %s suspect %d, wanted %s %s %d", name, states, usable,
                 health_is_self_suspect(h), want->states, want->usable, want->is_suspect);
}

static void test_sequences(void **state)
{
    for (size_t i = 0; i < COUNT_OF(sequences); i++) {
        const struct sequence *q = &sequences[i];
        int64_t now = BORN_MS;
        struct health *h = health_new(q->n_edges, &settings, now);

        pass_until(h, &now, START_MS - 100); /* the node is no longer fresh */
        for (size_t k = 0; k < COUNT_OF(q->steps) && q->steps[k].what != 0; k++)
            play_step(h, &q->steps[k], &now);
        check(q->name, h, q->n_edges, &q->want);
        health_free(h);
    }
}

static void test_says_what_changed(void **state)
{
    struct health *h = health_new(1, &settings, BORN_MS);
    int64_t now = BORN_MS;

    pass_until(h, &now, START_MS - 100);
    assert_true(health_on_report(h, 0, true, "", START_MS));
    assert_false(health_on_report(h, 0, true, "", START_MS + 1000));
    assert_int_equal(health_next_change_ms(h), START_MS + 4000);
    for (int64_t t = START_MS + 1500; t < START_MS + 4000; t += 500)
        assert_false(health_tick(h, t));
    assert_true(health_tick(h, START_MS + 4000));
    assert_string_equal(health_edge(h, 0)->reason, "silent: no report for 3.0s");
    assert_int_equal(health_edge(h, 0)->since_ms, START_MS + 4000);
    assert_int_equal(health_next_change_ms(h), INT64_MAX);
    assert_true(health_set_drain(h, 0, true, "work", START_MS + 4100) == false);
    assert_string_equal(health_edge(h, 0)->reason, "work");
    health_free(h);
}

static void test_reload_takes_states_over(void **state)
{
    static const size_t old_index[] = {SIZE_MAX, 1, 0};
    struct health *old = health_new(2, &settings, START_MS), *fresh;

    health_on_report(old, 0, true, "", START_MS);
    health_on_report(old, 1, false, "no origin", START_MS);
    health_on_connect(old, 1, START_MS);
    fresh = health_take_over(old, old_index, 3, &settings, START_MS + 100);
    health_free(old);
    check("take over", fresh, 3, &(struct want){"?DU", "001", false});
    assert_true(health_edge(fresh, 1)->is_connected);
    assert_string_equal(health_edge(fresh, 1)->reason, "no origin");
    health_free(fresh);
}

static void test_a_fresh_node_presumes_the_best(void **state)
{
    struct health *h = health_new(3, &settings, START_MS);
    int64_t now = START_MS;

    check("born", h, 3, &(struct want){"???", "111", false});
    health_on_report(h, 0, true, "", START_MS + 100);
    health_on_report(h, 1, false, "no origin", START_MS + 100);
    check("one said no", h, 3, &(struct want){"UD?", "101", false});
    pass_until(h, &now, START_MS + 2900);
    check("not yet", h, 3, &(struct want){"UD?", "101", false});
    pass_until(h, &now, START_MS + 3000);
    check("over", h, 3, &(struct want){"UD?", "100", false});
    health_free(h);
}

static void test_keeping_can_be_turned_off(void **state)
{
    struct health_settings none = settings;
    struct health *h;
    int64_t now = START_MS;

    none.keep_last_view_ms = 0;
    h = health_new(2, &none, START_MS);
    health_on_report(h, 0, true, "", START_MS);
    health_on_report(h, 1, true, "", START_MS);
    pass_until(h, &now, START_MS + 5000);
    check("off", h, 2, &(struct want){"DD", "00", false});
    health_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_says_what_changed),
        cmocka_unit_test(test_reload_takes_states_over),
        cmocka_unit_test(test_a_fresh_node_presumes_the_best),
        cmocka_unit_test(test_keeping_can_be_turned_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
