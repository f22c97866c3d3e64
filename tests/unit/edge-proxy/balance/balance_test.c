/* SPDX-License-Identifier: BSD-2-Clause */
/* Choices, counted: with fixed seeds every run is the same. */
#include "edge-proxy/balance/balance.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 64, NOW = 1000000 };

struct setup {
    struct config_balance config;
    struct balance *b;
    struct balance_turn turn;
    int64_t now_ms;
};

static void set_up(struct setup *s, struct config_balance config, const char *weights)
{
    size_t n = strlen(weights);

    memset(s, 0, sizeof(*s));
    s->config = config;
    if (s->config.decay_ms == 0)
        s->config.decay_ms = 10000;
    s->now_ms = NOW;
    s->b = balance_new(&s->config, n);
    for (size_t i = 0; i < n; i++)
        balance_set(s->b, i, 1000 + i, (uint32_t)(weights[i] - '0'), 0);
}

static int pick(struct setup *s, uint64_t tried)
{
    return balance_pick(s->b, &s->turn,
                        &(struct balance_query){.tried = tried, .now_ms = s->now_ms});
}

static int pick_key(struct setup *s, uint64_t key)
{
    return balance_pick(s->b, &s->turn,
                        &(struct balance_query){.key = key * 0x9e3779b97f4a7c15u,
                                                .has_key = true,
                                                .now_ms = s->now_ms});
}

static void count(struct setup *s, unsigned n, unsigned seen[N])
{
    memset(seen, 0, N * sizeof(*seen));
    for (unsigned k = 0; k < n; k++)
        seen[pick(s, 0)]++;
}

static bool is_near(unsigned got, unsigned want, unsigned slack)
{
    if (got + slack >= want && got <= want + slack)
        return true;
    print_error("got %u, wanted %u\n", got, want);
    return false;
}

/* ---- Who is full ---- */

/* Sets as letters. want: whom round robin asks first, or '-' for none, '+' for full. */
static const struct {
    const char *name, *down, *ejected, *tried, *full;
    char want;
} full_rows[] = {
    {"the next one is asked", "", "", "", "a", 'b'},
    {"all are full", "", "", "", "abc", '+'},
    {"none is left", "abc", "", "", "a", '-'},
    {"who is left is full", "ab", "", "", "c", '+'},
    {"who is out is not asked because the others are full", "", "a", "", "bc", '+'},
    {"with nobody else it is", "bc", "a", "", "", 'a'},
    {"and then may be full too", "bc", "a", "", "a", '+'},
    {"has been everywhere", "", "", "abc", "abc", '-'},
    {"but for one", "", "", "ab", "c", '+'},
};

static uint64_t set_of(const char *letters)
{
    uint64_t set = 0;

    for (; *letters != '\0'; letters++)
        set |= (uint64_t)1 << (*letters - 'a');
    return set;
}

static void who_is_full_is_passed_over(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(full_rows); k++) {
        struct setup s;
        struct balance_query q = {
            .tried = set_of(full_rows[k].tried), .full = set_of(full_rows[k].full), .now_ms = NOW};
        int got, look;

        set_up(&s, (struct config_balance){0}, "111");
        for (size_t i = 0; i < 3; i++) {
            balance_set_down(s.b, i, set_of(full_rows[k].down) >> i & 1, NOW);
            balance_eject(s.b, i, set_of(full_rows[k].ejected) >> i & 1 ? NOW + 1000 : 0);
        }
        look = balance_look(s.b, &q);
        got = balance_pick(s.b, &s.turn, &q);
        assert_int_equal(look, got < 0 ? got : 0);
        got = got == BALANCE_NONE ? '-' : got == BALANCE_FULL ? '+' : 'a' + got;
        if (got != full_rows[k].want)
            fail_msg("%s: got %c, wanted %c", full_rows[k].name, got, full_rows[k].want);
        balance_free(s.b);
    }
}

/* ---- Round robin ---- */

/* "letters" are turns: who is asked, one after the other. */
static const struct {
    const char *name, *weights, *down, *turns;
} turns[] = {
    {"equal", "111", "", "abcabcabc"},
    {"heavy ones are spread", "511", "", "aabaacaaabaaca"},
    {"one is out: its turns are shared", "1111", "b", "acdacdacd"},
    {"two are out", "1111", "bd", "acacac"},
    {"one alone", "3", "", "aaaa"},
};

static void round_robin_goes_by_turns(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(turns); k++) {
        struct setup s;
        char got[32] = "";

        set_up(&s, (struct config_balance){0}, turns[k].weights);
        for (const char *d = turns[k].down; *d != '\0'; d++)
            balance_set_down(s.b, (size_t)(*d - 'a'), true, NOW);
        for (size_t i = 0; i < strlen(turns[k].turns); i++)
            got[i] = (char)('a' + pick(&s, 0));
        if (strcmp(got, turns[k].turns) != 0)
            fail_msg("%s: got %s, wanted %s", turns[k].name, got, turns[k].turns);
        balance_free(s.b);
    }
}

static void workers_begin_apart(void **state)
{
    struct setup s;
    unsigned seen[4] = {0};

    (void)state;
    set_up(&s, (struct config_balance){0}, "1111");
    for (uint32_t worker = 0; worker < 4; worker++) {
        struct balance_turn turn = {0};

        seen[balance_pick(s.b, &turn, &(struct balance_query){.seed = worker, .now_ms = NOW})]++;
    }
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(seen[i], 1);
    balance_free(s.b);
}

/* ---- Who may be asked ---- */

static void who_is_out_is_not_asked(void **state)
{
    struct setup s;

    (void)state;
    set_up(&s, (struct config_balance){0}, "111");
    balance_set_down(s.b, 0, true, NOW);
    balance_eject(s.b, 1, NOW + 100);
    for (int i = 0; i < 6; i++)
        assert_int_equal(pick(&s, 0), 2);
    assert_int_equal(pick(&s, 4), 1);  /* ejected, but there is nobody else */
    assert_int_equal(pick(&s, 6), -1); /* down is down */
    s.now_ms += 100;                   /* the ejection is over */
    assert_int_equal(pick(&s, 4), 1);
    assert_true(balance_is_usable(s.b, 1, s.now_ms));
    balance_set_down(s.b, 0, false, NOW);
    assert_int_equal(pick(&s, 6), 0);
    balance_free(s.b);
}

static void in_panic_all_are_asked(void **state)
{
    struct setup s;
    unsigned seen[N];

    (void)state;
    set_up(&s, (struct config_balance){.panic_percent = 50}, "1111");
    balance_set_down(s.b, 0, true, NOW);
    balance_set_down(s.b, 1, true, NOW);
    assert_false(balance_is_panicking(s.b, NOW)); /* half is not below half */
    count(&s, 100, seen);
    assert_int_equal(seen[0] + seen[1], 0);
    balance_set_down(s.b, 2, true, NOW);
    assert_true(balance_is_panicking(s.b, NOW));
    count(&s, 100, seen);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(seen[i], 25);
    balance_free(s.b);
}

/* ---- Priorities ---- */

/* Two groups of four: what each gets when so many of the first are down. */
static const struct {
    unsigned n_down, spill_percent, first_permille;
} spills[] = {
    {0, 70, 1000}, {1, 70, 1000}, /* 75 % are above the threshold */
    {2, 70, 714},                 /* 50 / 70 */
    {3, 70, 357},  {4, 70, 0},    {3, 0, 1000}, {4, 0, 0}, {1, 100, 750},
};

static void what_a_group_cannot_take_spills(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(spills); k++) {
        struct setup s;
        unsigned seen[N], first = 0;

        set_up(&s, (struct config_balance){.spill_percent = spills[k].spill_percent}, "11111111");
        balance_free(s.b);
        s.b = balance_new(&s.config, 8);
        for (size_t i = 0; i < 8; i++)
            balance_set(s.b, i, i, 1, i / 4 * 3); /* priorities 0 and 3 */
        for (size_t i = 0; i < spills[k].n_down; i++)
            balance_set_down(s.b, i, true, NOW);
        count(&s, 10000, seen);
        for (size_t i = 0; i < 4; i++)
            first += seen[i];
        if (!is_near(first, spills[k].first_permille * 10, 150))
            fail_msg("%u down, spill below %u", spills[k].n_down, spills[k].spill_percent);
        /* A retry leaves the group that has nobody left. */
        assert_true(pick(&s, 0xf) >= 4);
        balance_free(s.b);
    }
}

/* ---- Slow start ---- */

static void a_share_grows_after_coming_up(void **state)
{
    static const enum config_policy policies[] = {CONFIG_POLICY_ROUND_ROBIN, CONFIG_POLICY_HASH};

    (void)state;
    for (size_t p = 0; p < COUNT_OF(policies); p++) {
        static const unsigned parts[][2] = {/* passed, permille */
                                            {0, 100},
                                            {500, 100},
                                            {2500, 250},
                                            {5000, 500},
                                            {10000, 1000}};
        struct setup s;

        set_up(&s, (struct config_balance){.policy = policies[p], .slow_start_ms = 10000}, "11");
        balance_set_down(s.b, 0, true, NOW);
        balance_set_down(s.b, 0, false, NOW);
        for (size_t k = 0; k < COUNT_OF(parts); k++) {
            unsigned mine = 0;

            s.now_ms = NOW + parts[k][0];
            assert_int_equal(balance_ramp_permille(s.b, 0, s.now_ms), parts[k][1]);
            for (unsigned i = 0; i < 10000; i++)
                mine += pick_key(&s, i) == 0;
            /* Hash: that part of its half. Round robin: when it may, it is owed the turn. */
            if (policies[p] == CONFIG_POLICY_HASH || parts[k][1] == 1000)
                assert_true(is_near(mine, parts[k][1] * 5, 250));
            else
                assert_true(mine >= parts[k][1] * 4 && mine <= parts[k][1] * 11);
        }
        balance_free(s.b);
    }
}

static void one_alone_needs_no_slow_start(void **state)
{
    struct setup s;

    (void)state;
    set_up(&s, (struct config_balance){.slow_start_ms = 10000}, "1");
    balance_ramp(s.b, 0, NOW);
    for (int i = 0; i < 100; i++)
        assert_int_equal(pick(&s, 0), 0);
    balance_free(s.b);
}

/* ---- Least requests ---- */

static void rises_count_at_once_and_fade(void **state)
{
    struct setup s;

    (void)state;
    set_up(&s, (struct config_balance){.policy = CONFIG_POLICY_LEAST_REQUESTS}, "11");
    balance_note_latency(s.b, 0, 1000, NOW);
    assert_int_equal(balance_latency_us(s.b, 0, NOW), 1000);
    balance_note_latency(s.b, 0, 50000, NOW + 1);
    assert_int_equal(balance_latency_us(s.b, 0, NOW + 1), 50000);
    /* A quick answer right behind changes next to nothing. */
    balance_note_latency(s.b, 0, 1000, NOW + 2);
    assert_true(balance_latency_us(s.b, 0, NOW + 2) > 49900);
    /* One decay later a third is left, and of a new answer two thirds count. */
    assert_true(is_near((unsigned)balance_latency_us(s.b, 0, NOW + 10002), 18400, 100));
    balance_note_latency(s.b, 0, 1000, NOW + 10002);
    assert_true(is_near((unsigned)balance_latency_us(s.b, 0, NOW + 10002), 19030, 100));
    /* The clock of another worker may lag. */
    balance_note_latency(s.b, 0, 70000, NOW);
    assert_int_equal(balance_latency_us(s.b, 0, NOW), 70000);
    balance_free(s.b);
}

static void the_quicker_of_two_is_asked(void **state)
{
    struct setup s;
    unsigned seen[N];

    (void)state;
    set_up(&s, (struct config_balance){.policy = CONFIG_POLICY_LEAST_REQUESTS}, "1111");
    for (size_t i = 0; i < 4; i++)
        balance_note_latency(s.b, i, i == 2 ? 90000 : 1000, NOW);
    count(&s, 12000, seen);
    assert_int_equal(seen[2], 0); /* the slowest of all loses to whoever is drawn beside it */
    for (size_t i = 0; i < 4; i++)
        assert_true(i == 2 || is_near(seen[i], 4000, 300));
    balance_free(s.b);
}

static void requests_even_out_by_weight(void **state)
{
    struct setup s;

    (void)state;
    set_up(&s, (struct config_balance){.policy = CONFIG_POLICY_LEAST_REQUESTS}, "1124");
    for (size_t i = 0; i < 4; i++)
        balance_note_latency(s.b, i, 1000, NOW);
    for (int k = 0; k < 800; k++)
        balance_start(s.b, (size_t)pick(&s, 0));
    for (size_t i = 0; i < 4; i++)
        assert_true(is_near(balance_in_flight(s.b, i), (unsigned[]){100, 100, 200, 400}[i], 12));
    balance_free(s.b);
}

static void the_unknown_get_one_request(void **state)
{
    struct setup s;

    (void)state;
    set_up(&s, (struct config_balance){.policy = CONFIG_POLICY_LEAST_REQUESTS}, "11");
    balance_note_latency(s.b, 0, 1000, NOW);
    assert_int_equal(pick(&s, 0), 1);
    balance_start(s.b, 1);
    for (int k = 0; k < 100; k++)
        assert_int_equal(pick(&s, 0), 0);
    balance_free(s.b);
}

/* ---- Hash ---- */

static void keys_spread_by_weight(void **state)
{
    static const char *const weights[] = {"1111", "1234", "19"};

    (void)state;
    for (size_t w = 0; w < COUNT_OF(weights); w++) {
        struct setup s;
        unsigned seen[N] = {0}, total = 0;
        size_t n = strlen(weights[w]);

        set_up(&s, (struct config_balance){.policy = CONFIG_POLICY_HASH}, weights[w]);
        for (size_t i = 0; i < n; i++)
            total += (unsigned)(weights[w][i] - '0');
        for (unsigned key = 0; key < 20000; key++)
            seen[pick_key(&s, key)]++;
        for (size_t i = 0; i < n; i++)
            assert_true(is_near(seen[i], 20000 * (unsigned)(weights[w][i] - '0') / total, 400));
        balance_free(s.b);
    }
}

static void one_that_goes_takes_only_its_keys(void **state)
{
    static const char *const weights[] = {"111111", "123123"};

    (void)state;
    for (size_t w = 0; w < COUNT_OF(weights); w++) {
        struct setup s;
        uint8_t before[6000];
        unsigned seen[N] = {0};

        set_up(&s, (struct config_balance){.policy = CONFIG_POLICY_HASH}, weights[w]);
        for (unsigned key = 0; key < COUNT_OF(before); key++)
            before[key] = (uint8_t)pick_key(&s, key);
        balance_set_down(s.b, 3, true, NOW);
        for (unsigned key = 0; key < COUNT_OF(before); key++) {
            int now = pick_key(&s, key);

            if (before[key] != 3)
                assert_int_equal(now, before[key]);
            else
                seen[now]++;
        }
        for (size_t i = 0; i < 6; i++) /* and they spread over all others */
            assert_true((seen[i] > 20) == (i != 3));
        balance_set_down(s.b, 3, false, NOW);
        for (unsigned key = 0; key < COUNT_OF(before); key++)
            assert_int_equal(pick_key(&s, key), before[key]);
        balance_free(s.b);
    }
}

static void one_popular_key_overflows(void **state)
{
    struct setup s;
    int home;

    (void)state;
    set_up(&s, (struct config_balance){.policy = CONFIG_POLICY_HASH, .factor_percent = 150},
           "1111");
    home = pick_key(&s, 7);
    for (int k = 0; k < 400; k++) {
        int i = pick_key(&s, 7);

        balance_start(s.b, (size_t)i);
    }
    /* A fair part is 100: nobody has more than half above it, and home has that. */
    assert_true(is_near(balance_in_flight(s.b, (size_t)home), 150, 1));
    for (size_t i = 0; i < 4; i++)
        assert_true(balance_in_flight(s.b, i) <= 151);
    /* Without a bound all stay at home. */
    s.config.factor_percent = 0;
    for (int k = 0; k < 100; k++)
        assert_int_equal(pick_key(&s, 7), home);
    balance_free(s.b);
}

static void without_a_key_any_will_do(void **state)
{
    struct setup s;
    unsigned seen[N];

    (void)state;
    set_up(&s, (struct config_balance){.policy = CONFIG_POLICY_HASH}, "1124");
    count(&s, 8000, seen);
    for (size_t i = 0; i < 4; i++)
        assert_true(is_near(seen[i], (unsigned[]){1000, 1000, 2000, 4000}[i], 250));
    balance_free(s.b);
}

/* ---- Ejection ---- */

static const struct config_ejection EJECTION = {
    .failures = 3,
    .server_errors = 5,
    .outlier_percent = 80,
    .outlier_requests = 20,
    .base_ms = 1000,
    .most_ms = 6000,
    .most_percent = 50,
};

/* Results of one origin as letters: . fine, e another 5xx, g gateway error, u unreachable. */
static const struct {
    const char *name, *results;
    enum balance_reason want; /* of the last of them; of the others none */
} runs[] = {
    {"fine", "....................", BALANCE_NO_REASON},
    {"failures in a row", "ggg", BALANCE_FAILURES},
    {"of both kinds", "gug", BALANCE_FAILURES},
    {"interrupted", "gg.gg.gg", BALANCE_NO_REASON},
    {"any error interrupts failures", "ggeg", BALANCE_NO_REASON},
    {"errors in a row", "eeeee", BALANCE_SERVER_ERRORS},
    {"failures are errors too", "ggegg", BALANCE_SERVER_ERRORS},
    {"errors interrupted", "eeee.eeee", BALANCE_NO_REASON},
};

static enum balance_reason note(struct setup *s, size_t i, char result)
{
    enum balance_result r = result == '.'   ? BALANCE_FINE
                            : result == 'e' ? BALANCE_SERVER_ERROR
                            : result == 'g' ? BALANCE_GATEWAY_ERROR
                                            : BALANCE_UNREACHABLE;

    return balance_note_result(s->b, i, &EJECTION, r, s->now_ms, s->now_ms);
}

static enum balance_reason note_run(struct setup *s, size_t i, const char *results)
{
    enum balance_reason last = BALANCE_NO_REASON;

    for (; *results != '\0'; results++) {
        assert_int_equal(last, BALANCE_NO_REASON);
        last = note(s, i, *results);
    }
    return last;
}

static void runs_of_failures_eject(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(runs); k++) {
        struct setup s;
        enum balance_reason got;

        set_up(&s, (struct config_balance){0}, "111");
        got = note_run(&s, 0, runs[k].results);
        if (got != runs[k].want)
            fail_msg("%s: got %d, wanted %d", runs[k].name, got, runs[k].want);
        assert_int_equal(balance_ejected_why(s.b, 0, NOW), runs[k].want);
        assert_true(balance_is_usable(s.b, 0, NOW) == (got == BALANCE_NO_REASON));
        balance_free(s.b);
    }
}

static void each_time_is_longer(void **state)
{
    static const unsigned want[] = {1000, 2000, 4000, 6000, 6000};
    struct setup s;

    (void)state;
    set_up(&s, (struct config_balance){0}, "11");
    for (size_t k = 0; k < COUNT_OF(want); k++) {
        assert_int_equal(note_run(&s, 0, "uuu"), BALANCE_FAILURES);
        assert_int_equal(balance_ejected_until(s.b, 0), s.now_ms + want[k]);
        assert_int_equal(balance_ejected_since(s.b, 0), s.now_ms);
        assert_int_equal(note(&s, 0, 'u'), BALANCE_NO_REASON); /* it is out already */
        s.now_ms = balance_ejected_until(s.b, 0) + 1;
        assert_true(balance_is_usable(s.b, 0, s.now_ms));
        (void)note(&s, 0, '.');
    }
    s.now_ms += EJECTION.most_ms + 1; /* a good while later it is new again */
    assert_int_equal(note_run(&s, 0, "uuu"), BALANCE_FAILURES);
    assert_int_equal(balance_ejected_until(s.b, 0), s.now_ms + 1000);
    balance_free(s.b);
}

static void only_so_many_are_out(void **state)
{
    struct setup s;

    (void)state;
    set_up(&s, (struct config_balance){0}, "1111");
    assert_int_equal(note_run(&s, 0, "ggg"), BALANCE_FAILURES);
    assert_int_equal(note_run(&s, 1, "ggg"), BALANCE_FAILURES);
    assert_int_equal(note_run(&s, 2, "gggg"), BALANCE_NO_REASON); /* half are out */
    assert_int_equal(note_run(&s, 2, "u"), BALANCE_FAILURES);     /* this one is no loss */
    balance_free(s.b);
    set_up(&s, (struct config_balance){0}, "1"); /* one always may, and is asked all the same */
    assert_int_equal(note_run(&s, 0, "ggg"), BALANCE_FAILURES);
    assert_int_equal(pick(&s, 0), 0);
    balance_free(s.b);
}

static void an_answer_ends_it(void **state)
{
    struct setup s;

    (void)state;
    set_up(&s, (struct config_balance){0}, "11");
    assert_int_equal(note_run(&s, 0, "uuu"), BALANCE_FAILURES);
    (void)note(&s, 0, '.'); /* of a request that began before */
    assert_false(balance_is_usable(s.b, 0, s.now_ms));
    s.now_ms++;
    (void)note(&s, 0, '.');
    assert_true(balance_is_usable(s.b, 0, s.now_ms));
    balance_free(s.b);
}

static const struct {
    const char *name;
    unsigned good[3], all[3];
    uint64_t want;
} windows[] = {
    {"all well", {100, 100, 100}, {100, 100, 100}, 0},
    {"one fails more", {50, 100, 100}, {100, 100, 100}, 1},
    {"a little is no outlier", {85, 100, 100}, {100, 100, 100}, 0},
    {"all fail alike", {50, 50, 50}, {100, 100, 100}, 0},
    {"too few to say", {0, 100, 100}, {19, 100, 100}, 0},
    {"nobody to compare with", {0, 9, 9}, {100, 9, 9}, 0},
    {"two of three: one stays", {0, 0, 100}, {100, 100, 100}, 1},
};

static void outliers_are_found(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(windows); k++) {
        struct config_ejection c = EJECTION;
        struct setup s;
        uint64_t got;

        c.failures = c.server_errors = 0;
        set_up(&s, (struct config_balance){0}, "111");
        for (size_t i = 0; i < 3; i++)
            for (unsigned n = 0; n < windows[k].all[i]; n++)
                (void)balance_note_result(
                    s.b, i, &c, n < windows[k].good[i] ? BALANCE_FINE : BALANCE_SERVER_ERROR, NOW,
                    NOW);
        got = balance_find_outliers(s.b, &c, NOW);
        if (got != windows[k].want)
            fail_msg("%s: got %d, wanted %d", windows[k].name, (int)got, (int)windows[k].want);
        assert_int_equal(balance_find_outliers(s.b, &c, NOW + 10000), 0); /* a new window */
        balance_free(s.b);
    }
}

/* ---- Retries ---- */

static const struct {
    const char *name;
    unsigned in_flight, percent, least, want; /* want: of 1000 that begin in one second */
} budgets[] = {
    {"a share of what is under way", 100, 20, 0, 20},
    {"and some in any case", 100, 20, 3, 23},
    {"a quiet pool", 0, 20, 3, 3},
    {"less than one is none", 4, 20, 0, 0},
    {"five allow one", 5, 20, 0, 1},
    {"none at all", 1000, 0, 0, 0},
    {"all", 1000, 100, 0, 1000},
};

static void retries_have_a_budget(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(budgets); k++) {
        struct config_retry retry = {.budget_percent = budgets[k].percent,
                                     .budget_min = budgets[k].least};
        struct setup s;
        unsigned begun = 0;

        set_up(&s, (struct config_balance){0}, "11");
        for (unsigned i = 0; i < budgets[k].in_flight; i++)
            balance_start(s.b, i % 2);
        for (unsigned i = 0; i < 1000; i++)
            begun += balance_begin_retry(s.b, &retry, NOW);
        if (begun != budgets[k].want)
            fail_msg("%s: %u began, wanted %u", budgets[k].name, begun, budgets[k].want);
        /* A second later there are some again; once all are over, as many as before. */
        for (unsigned i = 0; i < retry.budget_min; i++)
            assert_true(balance_begin_retry(s.b, &retry, NOW + 1000));
        for (unsigned i = 0; i < begun + retry.budget_min; i++)
            balance_end_retry(s.b);
        begun = 0;
        for (unsigned i = 0; i < 1000; i++)
            begun += balance_begin_retry(s.b, &retry, NOW + 2000);
        assert_int_equal(begun, budgets[k].want);
        balance_free(s.b);
    }
}

/* ---- Many threads ---- */

static void *hammer(void *arg)
{
    struct setup *s = arg;
    struct balance_turn turn = {0};

    for (int k = 0; k < 20000; k++) {
        int i = balance_pick(s->b, &turn, &(struct balance_query){.seed = 1, .now_ms = NOW + k});

        if (i < 0)
            continue;
        balance_start(s->b, (size_t)i);
        balance_note_latency(s->b, (size_t)i, 1000, NOW + k);
        (void)balance_note_result(s->b, (size_t)i, &EJECTION,
                                  k / 100 % 2 ? BALANCE_GATEWAY_ERROR : BALANCE_FINE, NOW + k,
                                  NOW + k);
        if (k % 1000 == 0 &&
            balance_begin_retry(s->b, &(struct config_retry){.budget_min = 1}, NOW + k))
            balance_end_retry(s->b);
        balance_finish(s->b, (size_t)i);
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    struct setup s;
    pthread_t threads[4];

    (void)state;
    set_up(&s, (struct config_balance){.policy = CONFIG_POLICY_LEAST_REQUESTS}, "111");
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &s), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(balance_in_flight(s.b, i), 0);
        assert_true(balance_latency_us(s.b, i, NOW + 20000) <= 1000);
    }
    balance_free(s.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_full_is_passed_over),
        cmocka_unit_test(round_robin_goes_by_turns),
        cmocka_unit_test(workers_begin_apart),
        cmocka_unit_test(who_is_out_is_not_asked),
        cmocka_unit_test(in_panic_all_are_asked),
        cmocka_unit_test(what_a_group_cannot_take_spills),
        cmocka_unit_test(a_share_grows_after_coming_up),
        cmocka_unit_test(one_alone_needs_no_slow_start),
        cmocka_unit_test(rises_count_at_once_and_fade),
        cmocka_unit_test(the_quicker_of_two_is_asked),
        cmocka_unit_test(requests_even_out_by_weight),
        cmocka_unit_test(the_unknown_get_one_request),
        cmocka_unit_test(keys_spread_by_weight),
        cmocka_unit_test(one_that_goes_takes_only_its_keys),
        cmocka_unit_test(one_popular_key_overflows),
        cmocka_unit_test(without_a_key_any_will_do),
        cmocka_unit_test(runs_of_failures_eject),
        cmocka_unit_test(each_time_is_longer),
        cmocka_unit_test(only_so_many_are_out),
        cmocka_unit_test(an_answer_ends_it),
        cmocka_unit_test(outliers_are_found),
        cmocka_unit_test(retries_have_a_budget),
        cmocka_unit_test(threads_share_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
