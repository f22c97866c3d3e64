/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/control/control_internal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Reports as they come, and what status says after the last. */
static void figures_move_over_ten_seconds(void **state)
{
    static const struct {
        const char *name;
        struct control_sample reports[20]; /* ends with an at_ms of 0 */
        double requests_per_s, cache_hit_ratio;
    } cases[] = {
        {"first report", {{1000, 500, 5, 10}}, 0, -1},
        {"too soon to say", {{1000, 0, 0, 0}, {1200, 900, 9, 9}}, 0, -1},
        {"two reports", {{1000, 500, 0, 0}, {2000, 600, 5, 10}}, 100, 0.5},
        {"no lookups", {{1000, 500, 5, 10}, {3000, 600, 5, 10}}, 50, -1},
        {"a burst is spread",
         {{1000, 0, 0, 0}, {2000, 0, 0, 0}, {3000, 0, 0, 0}, {4000, 0, 0, 0}, {5000, 1000, 4, 8}},
         250,
         0.5},
        {"what lies ten seconds back is forgotten",
         {{1000, 0, 0, 0},
          {2000, 9000, 0, 9},
          {3000, 9000, 0, 9},
          {4000, 9000, 0, 9},
          {5000, 9000, 0, 9},
          {6000, 9000, 0, 9},
          {7000, 9000, 0, 9},
          {8000, 9000, 0, 9},
          {9000, 9000, 0, 9},
          {10000, 9000, 0, 9},
          {11000, 9000, 0, 9},
          {12000, 9100, 1, 10}},
         10,
         1},
        {"reports in a rush",
         {{1000, 0, 0, 0},
          {1100, 10, 0, 0},
          {1200, 20, 0, 0},
          {1300, 30, 0, 0},
          {1400, 40, 0, 0},
          {1500, 50, 0, 0},
          {1600, 60, 0, 0},
          {1700, 70, 0, 0},
          {1800, 80, 0, 0},
          {1900, 90, 0, 0},
          {2000, 100, 0, 0},
          {2100, 110, 0, 0},
          {3000, 200, 0, 0}},
         100,
         -1},
        {"once a minute", {{1000, 0, 0, 0}, {61000, 600, 3, 4}, {121000, 1800, 3, 5}}, 20, 0},
        {"started anew", {{1000, 500, 5, 10}, {2000, 600, 6, 12}, {3000, 10, 0, 0}}, 0, -1},
        {"and goes on",
         {{1000, 500, 5, 10}, {2000, 600, 6, 12}, {3000, 10, 0, 0}, {4000, 40, 1, 4}},
         30,
         0.25},
    };
    size_t n_wrong = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct control_rate r;

        control_rate_start(&r);
        for (const struct control_sample *s = cases[i].reports; s->at_ms != 0; s++)
            control_rate_add(&r, s);
        if (fabs(r.requests_per_s - cases[i].requests_per_s) < 1e-9 &&
            fabs(r.cache_hit_ratio - cases[i].cache_hit_ratio) < 1e-9)
            continue;
        print_error("%s: %g/s, ratio %g\n", cases[i].name, r.requests_per_s, r.cache_hit_ratio);
        n_wrong++;
    }
    assert_int_equal(n_wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(figures_move_over_ten_seconds)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
