/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker with one site, for what drives h2 by bytes: /app/ leads to an origin that is dead, all
 * other paths are 404. */
#ifndef TESTS_H2_FIXTURE_H
#define TESTS_H2_FIXTURE_H

#include "edge-proxy/h2/h2_internal.h"

#include <stdlib.h>
#include <string.h>

static const char *const h2_hosts[] = {"a.test"};
static struct config_origin h2_origin = {.name = "dead", .weight = 1};
static struct config_pool h2_pool = {.name = "app",
                                     .origins = &h2_origin,
                                     .n_origins = 1,
                                     .connect_timeout_ms = 1000,
                                     .first_byte_timeout_ms = 1000};
static const struct config_route h2_routes[] = {{.prefix = "/app/"}};
static const struct config_site h2_sites[] = {
    {.name = "a", .hosts = h2_hosts, .n_hosts = 1, .routes = h2_routes, .n_routes = 1}};
static struct config h2_config = {
    .path = "test",
    .name = "e1",
    .pools = &h2_pool,
    .n_pools = 1,
    .sites = h2_sites,
    .n_sites = 1,
    .n_routes = 1,
    .limits = {.header_timeout_ms = 5000,
               .keep_alive_ms = 5000,
               .body_idle_ms = 5000,
               .head_bytes = 16384,
               .max_connections = 10},
    .http2 = {.is_on = true,
              .streams = 10,
              .stream_bytes = 65536,
              .connection_bytes = 131072,
              .abuse_limit = 1000,
              .abuse_leak = 10},
};

struct h2_fixture {
    struct loop *loop;
    struct worker worker;
    struct request_shared shared;
    struct generation generation;
    struct request_worker *rw;
    struct h2_worker *hw;
    struct request_client client;
    unsigned n_unused;
};

static void h2_fixture_unused(void *arg, struct generation *g)
{
    ((struct h2_fixture *)arg)->n_unused++;
}

static inline struct h2_fixture *h2_fixture_new(void)
{
    struct h2_fixture *f = base_zalloc(1, sizeof(*f));
    struct errors errors = {0};

    ensure(addr_parse(STR("127.0.0.1:1"), 0, &h2_origin.address));
    f->loop = loop_new("test");
    worker_init(&f->worker, 0, f->loop);
    f->shared.cache = cache_new(0, 0);
    f->shared.guard = guard_new(1);
    f->shared.log = access_log_new();
    f->shared.on_generation_unused = h2_fixture_unused;
    f->shared.arg = f;
    f->generation.config = &h2_config;
    f->generation.routes = route_table_new(&h2_config);
    f->generation.credentials = credential_table_new(&h2_config, &errors);
    f->generation.rules = rules_table_new(&h2_config);
    f->generation.guard = guard_rules_new(&h2_config);
    f->generation.pools = upstream_pools_new(&h2_config, NULL, &errors);
    f->rw = request_worker_new(&f->worker, &f->shared, &f->generation);
    f->hw = h2_worker_new(f->rw);
    f->client = (struct request_client){.is_tls = true, .protocol = "HTTP/2.0"};
    return f;
}

static inline void h2_fixture_free(struct h2_fixture *f)
{
    h2_worker_free(f->hw);
    request_worker_stop(f->rw);
    ensure(f->n_unused == 1); /* nothing holds the generation any more */
    request_worker_free(f->rw);
    worker_stop(&f->worker);
    loop_free(f->loop);
    access_log_free(f->shared.log, 1000);
    cache_free(f->shared.cache);
    upstream_pools_free(f->generation.pools);
    route_table_free(f->generation.routes);
    credential_table_free(f->generation.credentials);
    rules_table_free(f->generation.rules);
    guard_rules_free(f->generation.guard);
    guard_free(f->shared.guard);
    free(f);
}

static void h2_fixture_wake(void *arg)
{
}

static bool h2_fixture_serves(void *arg, struct str host)
{
    return !str_is_nocase(host, "misdirected.test");
}

static const struct h2_ops h2_fixture_ops = {.wake = h2_fixture_wake,
                                             .is_host_served = h2_fixture_serves};

#endif
