/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge-proxy/upstream/upstream_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A config with one pool of n origins on ports 9000 and up. */
struct setup {
    struct config_origin origins[4];
    struct config_pool pool;
    struct config config;
    struct errors errors;
};

static void set_up(struct setup *s, const uint32_t *weights, size_t n)
{
    static char names[4][16];

    memset(s, 0, sizeof(*s));
    for (size_t i = 0; i < n; i++) {
        snprintf(names[i], sizeof(names[i]), "127.0.0.1:%zu", 9000 + i);
        s->origins[i] = (struct config_origin){.name = names[i], .weight = weights[i]};
        assert_true(addr_parse(str_of(names[i]), 0, &s->origins[i].address));
    }
    s->pool = (struct config_pool){.name = "app", .origins = s->origins, .n_origins = n};
    s->config = (struct config){.path = "test.yaml", .pools = &s->pool, .n_pools = 1};
}

static struct upstream_pools *make(struct setup *s, const struct upstream_pools *previous)
{
    struct upstream_pools *all = upstream_pools_new(&s->config, previous, &s->errors);

    assert_non_null(all);
    return all;
}

static void turns_follow_the_weights(void **state)
{
    static const uint32_t weights[][4] = {
        {1, 1, 1, 1}, {3, 1, 1, 1}, {5, 0, 0, 1}, {1000, 1, 1, 2}};

    (void)state;
    for (size_t k = 0; k < COUNT_OF(weights); k++) {
        struct setup s;
        struct upstream_pools *all;
        uint32_t total = 0, seen[4] = {0};

        set_up(&s, weights[k], 4);
        all = make(&s, NULL);
        for (size_t i = 0; i < 4; i++)
            total += weights[k][i];
        for (uint32_t turn = 0; turn < total; turn++)
            seen[pool_pick(&all->pools[0], turn, 0) - all->pools[0].origins]++;
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(seen[i], weights[k][i]);
        upstream_pools_free(all);
    }
}

static void heavy_origins_are_spread(void **state)
{
    struct setup s;
    struct upstream_pools *all;
    unsigned run = 0, longest = 0;

    (void)state;
    set_up(&s, (uint32_t[]){2, 1, 1}, 3);
    all = make(&s, NULL);
    for (uint32_t turn = 0; turn < 40; turn++) {
        run = pool_pick(&all->pools[0], turn, 0) == all->pools[0].origins ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    assert_true(longest <= 2);
    upstream_pools_free(all);
}

static void leaves_out_what_is_down_or_tried(void **state)
{
    struct setup s;
    struct upstream_pools *all;
    struct upstream_pool *p;

    (void)state;
    set_up(&s, (uint32_t[]){1, 1, 1}, 3);
    all = make(&s, NULL);
    p = &all->pools[0];
    atomic_store(&p->origins[0].is_down, true);
    for (uint32_t turn = 0; turn < 9; turn++) {
        assert_ptr_not_equal(pool_pick(p, turn, 0), &p->origins[0]);
        assert_ptr_equal(pool_pick(p, turn, 2), &p->origins[2]);
        assert_null(pool_pick(p, turn, 6));
    }
    upstream_pools_free(all);
}

/* An origin that lately refused connections comes last, but comes when there is no other. */
static void failures_push_an_origin_back(void **state)
{
    struct setup s;
    struct upstream_pools *all;
    struct upstream_pool *p;

    (void)state;
    set_up(&s, (uint32_t[]){1, 1}, 2);
    all = make(&s, NULL);
    p = &all->pools[0];
    for (int i = 0; i < UPSTREAM_AVOID_AFTER; i++) {
        assert_true(upstream_is_pool_up(all, 0));
        origin_note_failure(&p->origins[0]);
    }
    for (uint32_t turn = 0; turn < 6; turn++) {
        assert_ptr_equal(pool_pick(p, turn, 0), &p->origins[1]);
        assert_ptr_equal(pool_pick(p, turn, 2), &p->origins[0]);
    }
    for (int i = 0; i < UPSTREAM_AVOID_AFTER; i++)
        origin_note_failure(&p->origins[1]);
    assert_false(upstream_is_pool_up(all, 0));
    origin_note_success(&p->origins[0]);
    assert_true(upstream_is_pool_up(all, 0));
    assert_ptr_equal(pool_pick(p, 0, 0), &p->origins[0]);
    upstream_pools_free(all);
}

static void a_reload_keeps_what_is_known(void **state)
{
    struct setup s, changed;
    struct upstream_pools *old, *fresh;

    (void)state;
    set_up(&s, (uint32_t[]){1, 1}, 2);
    s.pool.check.interval_ms = 1000;
    old = make(&s, NULL);
    atomic_store(&old->pools[0].origins[1].is_down, true);
    snprintf(old->pools[0].origins[1].reason, UPSTREAM_REASON_BYTES, "status 503");
    /* The second origin is now the first and only one. */
    set_up(&changed, (uint32_t[]){1, 1}, 2);
    changed.pool.check.interval_ms = 1000;
    changed.pool.origins = changed.origins + 1;
    changed.pool.n_origins = 1;
    fresh = make(&changed, old);
    assert_true(atomic_load(&fresh->pools[0].origins[0].is_down));
    assert_string_equal(fresh->pools[0].origins[0].reason, "status 503");
    upstream_pools_free(fresh);
    /* Without checks nobody could ever bring it up again. */
    changed.pool.check.interval_ms = 0;
    fresh = make(&changed, old);
    assert_false(atomic_load(&fresh->pools[0].origins[0].is_down));
    upstream_pools_free(fresh);
    upstream_pools_free(old);
}

/* Connections must never be shared between different TLS identities. */
static void tls_is_part_of_the_identity(void **state)
{
    static const struct config_origin_tls identities[] = {
        {.is_on = false},
        {.is_on = true},
        {.is_on = true, .server_name = "a.test"},
        {.is_on = true, .server_name = "b.test"},
        {.is_on = true, .server_name = "a.test", .is_unverified = true},
    };
    char *keys[COUNT_OF(identities)];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(identities); i++) {
        struct setup s;
        struct upstream_pools *all;

        set_up(&s, (uint32_t[]){1}, 1);
        s.pool.tls = identities[i];
        all = make(&s, NULL);
        keys[i] = base_strdup(all->pools[0].origins[0].key);
        upstream_pools_free(all);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(keys[i], keys[k]);
    }
    for (size_t i = 0; i < COUNT_OF(identities); i++)
        free(keys[i]);
}

static void a_missing_ca_is_refused(void **state)
{
    struct setup s;

    (void)state;
    set_up(&s, (uint32_t[]){1}, 1);
    s.pool.tls = (struct config_origin_tls){.is_on = true, .ca_path = "/nonexistent/ca.pem"};
    assert_null(upstream_pools_new(&s.config, NULL, &s.errors));
    assert_int_equal(s.errors.n_errors, 1);
    errors_free(&s.errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_follow_the_weights),
        cmocka_unit_test(heavy_origins_are_spread),
        cmocka_unit_test(leaves_out_what_is_down_or_tried),
        cmocka_unit_test(failures_push_an_origin_back),
        cmocka_unit_test(a_reload_keeps_what_is_known),
        cmocka_unit_test(tls_is_part_of_the_identity),
        cmocka_unit_test(a_missing_ca_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
