/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge-proxy/report/report.h"

#include "common/clock/clock.h"
#include "common/json/json.h"
#include "common/net/net.h"
#include "edge-proxy/disk/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { VERDICT_TEXT = 160, CPU_WINDOW_MS = 500 };

struct report {
    char verdict[VERDICT_TEXT]; /* of the last report; empty: can serve */
    /* CPU use is that of the time since the last look, at least CPU_WINDOW_MS of it. */
    int64_t cpu_us, looked_us;
    uint32_t cpu_permille;
};

struct report *report_new(void)
{
    struct report *r = base_zalloc(1, sizeof(*r));

    r->looked_us = clock_mono_us();
    return r;
}

void report_free(struct report *r)
{
    free(r);
}

/* ---- The verdict ---- */

/* A site with a pool that has no origin left can only answer errors, or from the cache for a
 * while: its visitors are better off elsewhere. Empty: all is well. */
static void judge(const struct report_sources *s, char out[VERDICT_TEXT])
{
    const struct config *c = s->generation->config;

    out[0] = '\0';
    for (size_t i = 0; i < listen_count(s->listen); i++) {
        struct listen_state state;

        listen_state(s->listen, i, &state);
        if (!state.is_open)
            snprintf(out, VERDICT_TEXT, "listener failed: %s", state.address);
    }
    if (out[0] == '\0' && guard_is_overloaded(s->shared->guard, clock_mono_ms()))
        snprintf(out, VERDICT_TEXT, "overloaded");
    for (size_t i = 0; i < c->n_sites && out[0] == '\0'; i++)
        for (size_t k = 0; k < c->sites[i].n_routes && out[0] == '\0'; k++) {
            const struct config_route *route = &c->sites[i].routes[k];
            uint16_t pool = route->pool;

            if (route->redirect_status == 0 && !upstream_is_pool_up(s->generation->pools, pool))
                snprintf(out, VERDICT_TEXT, "all origins down: pool %s", c->pools[pool].name);
        }
}

bool report_has_new_verdict(const struct report *r, const struct report_sources *s)
{
    char verdict[VERDICT_TEXT];

    judge(s, verdict);
    return !str_eq(str_of(verdict), str_of(r->verdict));
}

/* ---- Load ---- */

static uint32_t cpu_permille(struct report *r)
{
    struct rusage usage;
    int64_t now_us = clock_mono_us(), cpu_us, passed_us = now_us - r->looked_us;

    if (passed_us < CPU_WINDOW_MS * 1000 || getrusage(RUSAGE_SELF, &usage) != 0)
        return r->cpu_permille;
    cpu_us = (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
             usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    r->cpu_permille = (uint32_t)((cpu_us - r->cpu_us) * 1000 / passed_us / net_cpu_count());
    if (r->cpu_permille > 1000)
        r->cpu_permille = 1000;
    r->cpu_us = cpu_us;
    r->looked_us = now_us;
    return r->cpu_permille;
}

/* ---- The report ---- */

/* NULL: there is none. */
static const char *tell_reason(struct arena *a, const struct upstream_origin_state *state)
{
    struct text t = {0};
    const char *reason;

    if (state->reason[0] == '\0' && !state->is_panic && state->stale_reason == NULL)
        return NULL;
    text_adds(&t, state->reason);
    if (state->stale_reason != NULL)
        text_addf(&t, "%sold addresses: %s", t.n > 0 ? "; " : "", state->stale_reason);
    if (state->is_panic)
        text_addf(&t, "%spanic: all of the pool are asked", t.n > 0 ? "; " : "");
    reason = arena_strndup(a, t.p, t.n);
    text_free(&t);
    return reason;
}

static void fill_addresses(struct arena *a, const struct upstream_pools *pools, size_t i,
                           struct control_origin *o)
{
    struct addr addresses[UPSTREAM_ADDRESSES_MAX];
    size_t n = upstream_origin_addresses(pools, i, addresses);
    const char **texts = arena_alloc(a, (n + 1) * sizeof(*texts));
    char text[ADDR_TEXT];

    for (size_t k = 0; k < n; k++) {
        addr_format(&addresses[k], text);
        texts[k] = arena_strndup(a, text, strlen(text));
    }
    o->addresses = texts;
    o->n_addresses = n;
}

static void fill_origins(const struct report_sources *s, struct control_report *out)
{
    const struct upstream_pools *pools = s->generation->pools;
    size_t n = upstream_count_origins(pools);
    struct control_origin *origins = arena_zalloc(out->arena, n * sizeof(*origins) + 1);

    for (size_t i = 0; i < n; i++) {
        struct upstream_origin_state state;
        struct control_origin *o = &origins[out->n_origins];

        upstream_origin_state(pools, i, &state);
        if (!state.is_there)
            continue;
        *o = (struct control_origin){
            .pool = state.pool,
            .name = state.name,
            .is_up = state.is_up,
            .reason = tell_reason(out->arena, &state),
            .since_ms = state.since_ms,
            .connections = state.connections,
        };
        fill_addresses(out->arena, pools, i, o);
        out->n_origins++;
    }
    out->origins = origins;
}

static void fill_listeners(const struct report_sources *s, struct control_report *out)
{
    size_t n = listen_count(s->listen);
    struct control_listener *listeners = arena_zalloc(out->arena, n * sizeof(*listeners) + 1);

    for (size_t i = 0; i < n; i++) {
        struct listen_state state;

        listen_state(s->listen, i, &state);
        listeners[i] = (struct control_listener){
            .address = arena_strndup(out->arena, state.address, strlen(state.address)),
            .is_tls = state.is_tls,
            .is_open = state.is_open,
        };
    }
    out->listeners = listeners;
    out->n_listeners = n;
}

/* Nobody's business but the operator's who asks: there may be thousands. */
static void fill_certificates(const struct report_sources *s, struct control_report *out)
{
    const struct tls_server *tls = s->generation->tls;
    size_t n = tls != NULL && out->is_for_operator ? tls_server_count(tls) : 0;
    struct control_certificate *list = arena_zalloc(out->arena, n * sizeof(*list) + 1);

    for (size_t i = 0; i < n; i++) {
        struct tls_certificate c = tls_server_certificate(tls, i);

        list[i] = (struct control_certificate){
            .path = c.path, .name = c.name, .kind = c.kind, .expires_in_s = c.expires_in_s};
    }
    out->certificates = list;
    out->n_certificates = n;
}

static void fill_cache(const struct report_sources *s, struct control_report *out)
{
    struct cache_figures figures;

    cache_read_figures(s->shared->cache, &figures);
    out->cache_hits = figures.hits;
    out->cache_lookups = figures.lookups;
    out->cache_bytes = figures.bytes;
    out->cache_bytes_limit = figures.bytes_limit;
    out->cache_objects = figures.objects;
}

static uint64_t count_requests(void)
{
    return metrics_sum(&counters_all, COUNT_REQUESTS_GET) +
           metrics_sum(&counters_all, COUNT_REQUESTS_HEAD) +
           metrics_sum(&counters_all, COUNT_REQUESTS_POST) +
           metrics_sum(&counters_all, COUNT_REQUESTS_OTHER);
}

void report_fill(struct report *r, const struct report_sources *s, struct control_report *out)
{
    const struct config_limits *limits = &s->generation->config->limits;

    judge(s, r->verdict);
    out->can_serve = r->verdict[0] == '\0';
    out->reason = out->can_serve ? NULL : r->verdict;
    out->connections = atomic_load(&s->shared->connections);
    out->connections_target = limits->target_connections;
    out->connections_limit = limits->max_connections;
    out->cpu_permille = cpu_permille(r);
    out->requests = count_requests();
    out->bytes_sent = metrics_sum(&counters_all, COUNT_BYTES_SENT);
    out->errors = metrics_sum(&counters_all, COUNT_OWN_ERRORS);
    fill_origins(s, out);
    fill_listeners(s, out);
    fill_certificates(s, out);
    fill_cache(s, out);
}

/* ---- Metrics ---- */

static void write_gauge(struct text *out, const char *name, const char *help, uint64_t value)
{
    metrics_write_head(out, name, "gauge", help);
    text_addf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void write_counter(struct text *out, const char *name, const char *help, uint64_t value)
{
    metrics_write_head(out, name, "counter", help);
    text_addf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void write_cache(const struct report_sources *s, struct text *out)
{
    struct cache_figures f;
    struct purge_figures p;

    cache_read_figures(s->shared->cache, &f);
    purge_read_figures(cache_purges(s->shared->cache), &p);
    write_gauge(out, "edge_cache_bytes", "Memory taken by stored responses.", f.bytes);
    write_gauge(out, "edge_cache_limit_bytes", "Memory that they may take.", f.bytes_limit);
    write_gauge(out, "edge_cache_objects", "Stored responses.", f.objects);
    write_counter(out, "edge_cache_lookups_total", "Look-ups.", f.lookups);
    write_counter(out, "edge_cache_insertions_total", "Responses stored.", f.insertions);
    write_counter(out, "edge_cache_evictions_total", "Responses evicted to make room.",
                  f.evictions);
    write_counter(out, "edge_cache_no_room_total", "Responses not stored for want of room.",
                  f.no_room);
    write_counter(out, "edge_cache_purges_total", "Purges that took effect.", p.purges);
    write_counter(out, "edge_cache_purged_total", "Stored responses found to be purged.", f.purged);
    write_counter(out, "edge_cache_purged_softly_total", "Of others, those found stale by a purge.",
                  f.purged_soft);
    write_counter(out, "edge_cache_purges_coarsened_total",
                  "Purges that were widened, for old responses, to make room for newer ones.",
                  p.coarsened);
}

static void write_disk(const struct report_sources *s, struct text *out)
{
    struct disk_figures f;

    if (s->disk == NULL)
        return;
    disk_read_figures(s->disk, &f);
    metrics_write_head(out, "edge_cache_disk_state", "gauge",
                       "1 for the state that the cache's disk is in.");
    for (enum disk_state i = 0; i <= DISK_CLOSED; i++)
        text_addf(out, "edge_cache_disk_state{state=\"%s\"} %d\n", disk_state_text(i),
                  f.state == i);
    write_gauge(out, "edge_cache_disk_bytes", "Room for responses on the disk.", f.bytes);
    write_gauge(out, "edge_cache_disk_objects", "Responses on the disk.", f.records);
    write_counter(out, "edge_cache_disk_written_bytes_total", "Bytes written to the disk.",
                  f.written_bytes);
    write_counter(out, "edge_cache_disk_writes_total", "Responses written.", f.writes);
    write_counter(out, "edge_cache_disk_reads_total", "Responses read.", f.reads);
    metrics_write_head(out, "edge_cache_disk_failures_total", "counter",
                       "What the disk did not do, by why.");
    text_addf(out, "edge_cache_disk_failures_total{reason=\"write_refused\"} %llu\n",
              (unsigned long long)f.writes_refused);
    text_addf(out, "edge_cache_disk_failures_total{reason=\"write_error\"} %llu\n",
              (unsigned long long)f.write_errors);
    text_addf(out, "edge_cache_disk_failures_total{reason=\"read_refused\"} %llu\n",
              (unsigned long long)f.reads_refused);
    text_addf(out, "edge_cache_disk_failures_total{reason=\"read_late\"} %llu\n",
              (unsigned long long)f.reads_late);
    text_addf(out, "edge_cache_disk_failures_total{reason=\"read_error\"} %llu\n",
              (unsigned long long)f.read_errors);
    text_addf(out, "edge_cache_disk_failures_total{reason=\"checksum\"} %llu\n",
              (unsigned long long)f.reads_bad);
}

static void write_origins(const struct report_sources *s, struct text *out)
{
    const struct upstream_pools *pools = s->generation->pools;
    struct upstream_origin_state state;

    metrics_write_head(out, "edge_origin_up", "gauge", "Whether an origin is asked.");
    for (size_t i = 0; i < upstream_count_origins(pools); i++) {
        upstream_origin_state(pools, i, &state);
        if (!state.is_there)
            continue;
        text_addf(out, "edge_origin_up{pool=\"%s\",origin=\"%s\"} %d\n", state.pool, state.name,
                  state.is_up);
    }
    metrics_write_head(out, "edge_origin_connections", "gauge", "Exchanges with an origin.");
    for (size_t i = 0; i < upstream_count_origins(pools); i++) {
        upstream_origin_state(pools, i, &state);
        if (!state.is_there)
            continue;
        text_addf(out, "edge_origin_connections{pool=\"%s\",origin=\"%s\"} %u\n", state.pool,
                  state.name, state.connections);
    }
}

/* Of each origin's pool: the pools that no route uses have origins too. */
static void write_balance(const struct report_sources *s, struct text *out)
{
    const struct upstream_pools *pools = s->generation->pools;
    struct upstream_origin_state state;
    const char *pool = NULL;

    metrics_write_head(out, "edge_origin_share_permille", "gauge",
                       "Part of its weight that an origin has: less while it starts slowly.");
    for (size_t i = 0; i < upstream_count_origins(pools); i++) {
        upstream_origin_state(pools, i, &state);
        if (!state.is_there)
            continue;
        text_addf(out, "edge_origin_share_permille{pool=\"%s\",origin=\"%s\"} %u\n", state.pool,
                  state.name, state.share_permille);
    }
    metrics_write_head(out, "edge_pool_panic", "gauge",
                       "Whether so few origins are up that all are asked.");
    for (size_t i = 0; i < upstream_count_origins(pools); i++) {
        upstream_origin_state(pools, i, &state);
        if (!state.is_there)
            continue;
        if (state.pool != pool)
            text_addf(out, "edge_pool_panic{pool=\"%s\"} %d\n", state.pool, state.is_panic);
        pool = state.pool;
    }
    pool = NULL;
    metrics_write_head(out, "edge_pool_waiting", "gauge", "Requests in a pool's queue.");
    for (size_t i = 0; i < upstream_count_origins(pools); i++) {
        upstream_origin_state(pools, i, &state);
        if (state.is_there && state.pool != pool)
            text_addf(out, "edge_pool_waiting{pool=\"%s\"} %u\n", state.pool, state.waiting);
        if (state.is_there)
            pool = state.pool;
    }
}

static void write_certificates(const struct report_sources *s, struct text *out)
{
    const struct tls_server *tls = s->generation->tls;
    size_t n = tls != NULL ? tls_server_count(tls) : 0;

    metrics_write_head(out, "edge_tls_certificate_expires_seconds", "gauge",
                       "Until a certificate expires; negative: since it has.");
    for (size_t i = 0; i < n; i++) {
        struct tls_certificate c = tls_server_certificate(tls, i);

        text_adds(out, "edge_tls_certificate_expires_seconds{certificate=");
        json_quote(out, str_of(c.path)); /* the escapes are those of a label */
        text_addf(out, ",key=\"%s\"} %lld\n", c.kind, (long long)c.expires_in_s);
    }
}

void report_write_metrics(struct report *r, const struct report_sources *s, struct text *out)
{
    char verdict[VERDICT_TEXT];

    judge(s, verdict);
    metrics_write_build(out, "edge-proxy");
    metrics_write(&counters_all, out);
    write_gauge(out, "edge_connections", "Client connections that are open.",
                atomic_load(&s->shared->connections));
    write_gauge(out, "edge_workers", "Worker threads.", s->n_workers);
    write_gauge(out, "edge_load_level",
                "Of the busiest worker: 0 fine, 1 handshakes are shed, 2 fetches too.",
                guard_highest_load(s->shared->guard));
    write_gauge(out, "edge_can_serve", "Whether this edge reports itself fit for visitors.",
                verdict[0] == '\0');
    write_gauge(out, "edge_cpu_permille", "CPU use, of all CPUs this edge may use.",
                cpu_permille(r));
    write_cache(s, out);
    write_disk(s, out);
    write_origins(s, out);
    write_balance(s, out);
    write_certificates(s, out);
}
