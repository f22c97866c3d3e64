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
    s->pool = (struct config_pool){
        .name = "app",
        .origins = s->origins,
        .n_origins = n,
        .ejection = {.failures = 5, .base_ms = 60000, .most_ms = 60000, .most_percent = 50},
    };
    s->config = (struct config){.path = "test.yaml", .pools = &s->pool, .n_pools = 1};
}

static struct upstream_pools *make(struct setup *s, const struct upstream_pools *previous)
{
    struct upstream_pools *all = upstream_pools_new(&s->config, previous, &s->errors);

    assert_non_null(all);
    return all;
}

static struct worker worker;

/* Whom a worker would ask. */
static struct upstream_origin *pick(struct upstream_pools *all, uint64_t tried)
{
    static struct balance_turn turn;
    static struct upstream_worker u = {.w = &worker, .turns = &turn, .n_turns = 1};

    int i = pool_pick(&u, &(struct upstream_request){.pools = all, .tried = tried}, 0);

    return i < 0 ? NULL : &all->pools[0].origins[i];
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
    balance_set_down(p->balance, 0, true, 1);
    for (int k = 0; k < 9; k++) {
        assert_ptr_not_equal(pick(all, 0), &p->origins[0]);
        assert_ptr_equal(pick(all, 2), &p->origins[2]);
        assert_null(pick(all, 6));
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
    for (int i = 0; i < 5; i++) {
        assert_true(upstream_is_pool_up(all, 0));
        origin_note(&p->origins[0], &worker, BALANCE_UNREACHABLE, 1);
    }
    for (int k = 0; k < 6; k++) {
        assert_ptr_equal(pick(all, 0), &p->origins[1]);
        assert_ptr_equal(pick(all, 2), &p->origins[0]);
    }
    for (int i = 0; i < 5; i++)
        origin_note(&p->origins[1], &worker, BALANCE_UNREACHABLE, 1);
    assert_false(upstream_is_pool_up(all, 0));
    /* What began before says nothing; what began since, that it is back. */
    origin_note(&p->origins[0], &worker, BALANCE_FINE, 1);
    assert_false(upstream_is_pool_up(all, 0));
    origin_note(&p->origins[0], &worker, BALANCE_FINE, INT64_MAX);
    assert_true(upstream_is_pool_up(all, 0));
    assert_ptr_equal(pick(all, 0), &p->origins[0]);
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
    balance_set_down(old->pools[0].balance, 1, true, 1);
    snprintf(old->pools[0].origins[1].reason, UPSTREAM_REASON_BYTES, "status 503");
    /* The second origin is now the first and only one. */
    set_up(&changed, (uint32_t[]){1, 1}, 2);
    changed.pool.check.interval_ms = 1000;
    changed.pool.origins = changed.origins + 1;
    changed.pool.n_origins = 1;
    fresh = make(&changed, old);
    assert_true(balance_is_down(fresh->pools[0].balance, 0));
    assert_string_equal(fresh->pools[0].origins[0].reason, "status 503");
    upstream_pools_free(fresh);
    /* Without checks nobody could ever bring it up again. */
    changed.pool.check.interval_ms = 0;
    fresh = make(&changed, old);
    assert_false(balance_is_down(fresh->pools[0].balance, 0));
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
    worker.counters = metrics_add_block(&counters_all);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_out_what_is_down_or_tried),
        cmocka_unit_test(failures_push_an_origin_back),
        cmocka_unit_test(a_reload_keeps_what_is_known),
        cmocka_unit_test(tls_is_part_of_the_identity),
        cmocka_unit_test(a_missing_ca_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
