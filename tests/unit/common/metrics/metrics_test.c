/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/metrics/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { UDP, TCP, DROPS, N_COUNTERS };
static const struct metrics_counter TABLE[N_COUNTERS] = {
    [UDP] = {"t_queries_total{transport=\"udp\"}", "Queries."},
    [TCP] = {"t_queries_total{transport=\"tcp\"}", "Queries."},
    [DROPS] = {"t_queries_dropped_total", "Drops."},
};

enum { THREADS = 4, ROUNDS = 50000 };

static void *count(void *arg)
{
    struct metrics_block *b = metrics_add_block(arg);

    for (int i = 0; i < ROUNDS; i++) {
        metrics_add(b, UDP, 1);
        metrics_add(b, DROPS, 3);
    }
    return NULL;
}

static void threads_add_without_loss(void **state)
{
    struct metrics m = {.table = TABLE, .n = N_COUNTERS};
    pthread_t threads[THREADS];
    uint64_t before = 0;

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, &m), 0);
    for (int i = 0; i < 1000; i++) { /* reading meanwhile: sums never go back */
        uint64_t now = metrics_sum(&m, UDP);

        assert_true(now >= before);
        before = now;
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metrics_sum(&m, UDP), THREADS * ROUNDS);
    assert_int_equal(metrics_sum(&m, TCP), 0);
    assert_int_equal(metrics_sum(&m, DROPS), 3 * THREADS * ROUNDS);
    metrics_free(&m);
}

static void families_have_one_head(void **state)
{
    struct metrics m = {.table = TABLE, .n = N_COUNTERS};
    struct metrics_block *b = metrics_add_block(&m);
    struct text t = {0};

    (void)state;
    metrics_add(b, TCP, 7);
    metrics_write(&m, &t);
    metrics_write_head(&t, "t_open", "gauge", "Open.");
    assert_string_equal(t.p, "# HELP t_queries_total Queries.\n# TYPE t_queries_total counter\n"
                             "t_queries_total{transport=\"udp\"} 0\n"
                             "t_queries_total{transport=\"tcp\"} 7\n"
                             "# HELP t_queries_dropped_total Drops.\n"
                             "# TYPE t_queries_dropped_total counter\n"
                             "t_queries_dropped_total 0\n"
                             "# HELP t_open Open.\n# TYPE t_open gauge\n");
    text_free(&t);
    metrics_free(&m);
}

static void test_build(void **state)
{
    struct text t = {0};

    metrics_write_build(&t, "edge-proxy");
    assert_non_null(strstr(t.p, "# TYPE gslb_build_info gauge\n"));
    assert_non_null(strstr(t.p, "\ngslb_build_info{program=\"edge-proxy\",version=\""));
    text_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_build),
        cmocka_unit_test(threads_add_without_loss),
        cmocka_unit_test(families_have_one_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
