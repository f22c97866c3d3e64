/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge-proxy/main/edge.h"

#include "common/clock/clock.h"
#include "common/daemon/daemon.h"
#include "common/handover/handover.h"
#include "common/log/log.h"
#include "common/net/net.h"
#include "common/snapshot/snapshot.h"
#include "edge-proxy/control/control.h"
#include "edge-proxy/dial/dial.h"
#include "edge-proxy/disk/disk.h"
#include "edge-proxy/report/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOUSEKEEPING_MS = 1000, EXPIRY_LOOK_MS = 3600000, LOG_CLOSE_MS = 2000 };
/* Open files of the process and of each worker, besides listeners and connections. */
enum { FILES = 32, FILES_PER_WORKER = 8 };

struct edge_worker {
    struct loop *loop;
    struct worker flow;
    struct request_worker *requests;
    struct session_worker *sessions;
};

struct edge {
    const char *path;
    struct loop *loop;
    struct worker flow; /* the main thread's own, for checks */
    struct edge_worker *workers;
    struct listen_worker *listen_workers;
    unsigned n_workers;
    struct generation *generation;
    struct upstream_checks *checks;
    struct request_shared shared;
    struct disk *disk; /* of the cache; NULL: none */
    struct purge_log *purges;
    struct listen *listen;
    struct control *control;
    struct report *report;
    struct leaving *leaving;
    struct event *signals, *housekeeping;
    int signal_fd;
    int64_t expiry_look_ms;
};

static struct report_sources sources(const struct edge *e)
{
    return (struct report_sources){
        .generation = e->generation,
        .shared = &e->shared,
        .listen = e->listen,
        .disk = e->disk,
        .n_workers = e->n_workers,
    };
}

/* ---- Generations and workers ---- */

struct letter {
    struct edge *edge;
    struct edge_worker *worker;
    struct generation *generation;
};

static struct letter *letter_new(struct letter letter)
{
    struct letter *l = base_alloc(sizeof(*l));

    *l = letter;
    return l;
}

static void let_go(void *arg)
{
    struct letter *l = arg;

    if (--l->generation->n_workers == 0)
        generation_free(l->generation);
    free(l);
}

static void on_generation_unused(void *arg, struct generation *g)
{
    struct edge *e = arg;

    loop_post(e->loop, let_go, letter_new((struct letter){.edge = e, .generation = g}));
}

static void adopt(void *arg)
{
    struct letter *l = arg;

    request_worker_adopt(l->worker->requests, l->generation);
    free(l);
}

static void start_workers(struct edge *e, unsigned n)
{
    e->n_workers = n;
    e->workers = base_zalloc(n, sizeof(*e->workers));
    e->listen_workers = base_zalloc(n, sizeof(*e->listen_workers));
    e->generation->n_workers = n;
    for (unsigned i = 0; i < n; i++) {
        struct edge_worker *w = &e->workers[i];
        char name[24];

        snprintf(name, sizeof(name), "worker-%u", i);
        w->loop = loop_new(name);
        worker_init(&w->flow, i, w->loop);
        w->requests = request_worker_new(&w->flow, &e->shared, e->generation);
        w->sessions = session_worker_new(w->requests);
        guard_watch(e->shared.guard, &w->flow);
        e->listen_workers[i] = (struct listen_worker){&w->flow, w->requests, w->sessions};
    }
}

static void start_worker(void *arg)
{
    snapshot_reader_start();
}

static void drain_worker(void *arg)
{
    session_worker_drain(((struct edge_worker *)arg)->sessions);
}

static void stop_worker(void *arg)
{
    struct edge_worker *w = arg;

    guard_unwatch(request_worker_shared(w->requests)->guard, &w->flow);
    session_worker_free(w->sessions);
    request_worker_stop(w->requests);
    snapshot_reader_stop();
    worker_stop(&w->flow);
}

/* ---- Taking a configuration ---- */

/* All that a generation opens, before any of it takes effect. */
struct change {
    struct generation *generation;
    struct listen_change *listen;
    struct control_change *control;
    int log_fd;
};

static void discard(struct change *c)
{
    if (c->listen != NULL)
        listen_discard(c->listen);
    if (c->control != NULL)
        control_discard(c->control);
    if (c->log_fd >= 0)
        close(c->log_fd);
}

static unsigned count_workers(const struct config *config)
{
    return config->workers != 0 ? config->workers : net_cpu_count();
}

/* Everything is tried, so that all mistakes are told at once. */
static struct outcome prepare(struct edge *e, struct change *c, struct errors *errors)
{
    const struct config *config = c->generation->config;
    const char *log_path = config->access_log_path;

    c->listen = listen_prepare(e->listen, config, errors);
    c->control = control_prepare(e->control, config, errors);
    c->log_fd = log_path != NULL ? access_log_open(log_path, errors, config->access_log_place) : -1;
    if (c->listen != NULL && c->control != NULL && (log_path == NULL || c->log_fd >= 0))
        return OUTCOME_OK;
    discard(c);
    return OUTCOME_FAILED;
}

static void on_origin_change(void *arg)
{
    struct edge *e = arg;
    struct report_sources s = sources(e);

    if (report_has_new_verdict(e->report, &s))
        control_report_now(e->control);
}

static void commit(struct edge *e, struct change *c)
{
    const struct config *config = c->generation->config;

    e->generation = c->generation;
    access_log_use(e->shared.log, config->access_log_path, c->log_fd);
    dial_store_set_limit(e->shared.idle_origins, config->limits.idle_origin_connections,
                         e->n_workers);
    guard_set_lag(e->shared.guard, config->limits.max_lag_ms);
    buffers_set_budget(config->limits.buffer_bytes);
    cache_set_limits(e->shared.cache, config->cache.memory_bytes, config->cache.max_object_bytes);
    upstream_pools_take_over(e->generation->pools);
    e->checks = upstream_checks_start(&e->flow, e->generation->pools, on_origin_change, e);
    listen_commit(e->listen, c->listen);
    control_commit(e->control, c->control);
}

/* ---- Reload ---- */

static bool is_same_disk(const struct config_disk *a, const struct config_disk *b)
{
    if (a->path == NULL || b->path == NULL)
        return a->path == b->path;
    return strcmp(a->path, b->path) == 0 && a->bytes == b->bytes &&
           a->record_bytes == b->record_bytes;
}

static void warn_of_fixed(const struct edge *e, const struct config *config, struct errors *errors)
{
    if (!is_same_disk(&config->cache.disk, &e->generation->config->cache.disk))
        errors_warn(errors, config->cache.disk.place,
                    "the cache's disk changes with the next start or upgrade");
    if (count_workers(config) != e->n_workers)
        errors_warn(errors, (struct place){.file = e->path},
                    "the number of workers stays %u until the next start", e->n_workers);
}

static struct outcome try_reload(struct edge *e, struct errors *errors)
{
    struct change c = {.log_fd = -1};

    c.generation = generation_load(e->path, e->generation, errors);
    if (c.generation == NULL)
        return OUTCOME_FAILED;
    if (has_failed(prepare(e, &c, errors))) {
        generation_free(c.generation);
        return OUTCOME_FAILED;
    }
    warn_of_fixed(e, c.generation->config, errors);
    upstream_pools_resolve(c.generation->pools, e->generation->pools, &e->flow, errors);
    upstream_checks_stop(e->checks);
    upstream_pools_retire(e->generation->pools);
    c.generation->n_workers = e->n_workers;
    /* Before the listeners: a new TLS listener finds its contexts. */
    for (unsigned i = 0; i < e->n_workers; i++)
        loop_post(
            e->workers[i].loop, adopt,
            letter_new((struct letter){.worker = &e->workers[i], .generation = c.generation}));
    commit(e, &c);
    return OUTCOME_OK;
}

/* The answer for the operator who asked, in fresh memory. */
static char *reload(struct edge *e, bool *is_taken)
{
    struct errors errors = {0};
    int64_t began_ms = clock_mono_ms();
    char *text;

    daemon_notify("RELOADING=1");
    *is_taken = !has_failed(try_reload(e, &errors));
    errors_print(&errors, stderr);
    text = errors_to_string(&errors);
    if (*is_taken) {
        log_info("main", "reloaded file=%s took_ms=%" PRId64, e->path, clock_mono_ms() - began_ms);
        if (errors.n_warnings == 0) {
            free(text);
            text = base_printf("reloaded %s: %zu sites, %zu pools, %zu listeners", e->path,
                               e->generation->config->n_sites, e->generation->config->n_pools,
                               e->generation->config->n_listeners);
        }
    } else {
        log_error("main", "reload refused, the running configuration stays file=%s errors=%zu",
                  e->path, errors.n_errors);
    }
    errors_free(&errors);
    daemon_notify("READY=1");
    return text;
}

/* ---- What control asks ---- */

static void fill_report(void *arg, struct control_report *out)
{
    struct edge *e = arg;
    struct report_sources s = sources(e);

    report_fill(e->report, &s, out);
}

static void on_drain(void *arg, bool is_on, const char *reason)
{
    struct edge *e = arg;

    atomic_store(&e->shared.is_draining, is_on || leaving_has_begun(e->leaving));
}

static void on_reload(void *arg, uint64_t ticket)
{
    struct edge *e = arg;
    bool is_taken;
    char *text = reload(e, &is_taken);

    control_finish_reload(e->control, ticket, is_taken, text);
    free(text);
}

static void write_metrics(void *arg, struct text *out)
{
    struct edge *e = arg;
    struct report_sources s = sources(e);

    report_write_metrics(e->report, &s, out);
}

/* ---- The end ---- */

static void close_doors(void *arg)
{
    struct edge *e = arg;

    listen_stop(e->listen);
    for (unsigned i = 0; i < e->n_workers; i++)
        loop_post(e->workers[i].loop, drain_worker, &e->workers[i]);
}

static void stop_loop(void *arg)
{
    loop_stop(((struct edge *)arg)->loop);
}

static void begin_stop(struct edge *e, const char *why, uint32_t notice_ms)
{
    uint32_t drain_ms = e->generation->config->limits.drain_ms;

    if (leaving_has_begun(e->leaving)) {
        log_warn("main", "stopping at once, %u connections are cut off", e->shared.connections);
        loop_stop(e->loop);
        return;
    }
    daemon_notify("STOPPING=1");
    log_info("main",
             "stopping: finishing open requests reason=%s connections=%u notice_ms=%u "
             "at_most_ms=%u",
             why, e->shared.connections, notice_ms, drain_ms);
    /* The DNS nodes first: no new visitors are sent here. */
    control_set_drain(e->control, true, "shutting down");
    leaving_begin(e->leaving, notice_ms, drain_ms);
}

static void hand_over(void *arg)
{
    struct edge *e = arg;

    control_hand_over(e->control);
    if (e->disk != NULL)
        disk_close(e->disk); /* the new program waits for it */
    leaving_begin(e->leaving, 0, e->generation->config->limits.upgrade_drain_ms);
}

/* ---- Signals and housekeeping ---- */

/* Without DNS nodes nobody is told, and nobody to be waited for. */
static uint32_t notice_ms(const struct edge *e)
{
    const struct config *config = e->generation->config;

    return config->control.n_servers > 0 ? config->limits.drain_notice_ms : 0;
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    struct edge *e = arg;
    bool is_taken;
    int signal;

    while ((signal = daemon_take_signal(fd)) != 0) {
        switch (signal) {
        case SIGHUP:
            if (!leaving_has_begun(e->leaving))
                free(reload(e, &is_taken));
            break;
        case SIGUSR1:
            access_log_reopen(e->shared.log);
            break;
        case SIGUSR2:
            leaving_hand_over(e->leaving);
            break;
        case SIGTERM:
            begin_stop(e, "SIGTERM", notice_ms(e));
            break;
        default: /* somebody waits at the keyboard */
            begin_stop(e, "SIGINT", 0);
        }
    }
}

static void on_housekeeping(evutil_socket_t fd, short what, void *arg)
{
    struct edge *e = arg;

    tls_tickets_rotate(clock_wall_s(), e->generation->config->tls.ticket_period_s);
    if (e->generation->tls != NULL && clock_mono_ms() >= e->expiry_look_ms) {
        tls_server_warn_expiry(e->generation->tls);
        e->expiry_look_ms = clock_mono_ms() + EXPIRY_LOOK_MS;
    }
    on_origin_change(arg); /* pools without checks change by what workers see */
}

static void add_events(struct edge *e)
{
    struct event_base *base = loop_base(e->loop);
    struct timeval every = {HOUSEKEEPING_MS / 1000, HOUSEKEEPING_MS % 1000 * 1000};

    e->signals = event_new(base, e->signal_fd, EV_READ | EV_PERSIST, on_signal, e);
    e->housekeeping = event_new(base, -1, EV_PERSIST, on_housekeeping, e);
    ensure(e->signals != NULL && e->housekeeping != NULL);
    ensure(event_add(e->signals, NULL) == 0 && event_add(e->housekeeping, &every) == 0);
}

/* ---- Start and stop ---- */

struct outcome edge_check(const char *path, struct errors *errors)
{
    struct generation *g = generation_load(path, NULL, errors);
    size_t before = errors->n_errors;

    if (g == NULL)
        return OUTCOME_FAILED;
    control_check(g->config, errors);
    generation_free(g);
    return errors->n_errors == before ? OUTCOME_OK : OUTCOME_FAILED;
}

static struct outcome check_file_limit(const struct config *config, struct errors *errors)
{
    uint64_t limit,
        least = FILES + count_workers(config) * (FILES_PER_WORKER + config->n_listeners);

    if (has_failed(daemon_raise_file_limit(least, &limit, errors)))
        return OUTCOME_FAILED;
    /* A client's connection may need one to an origin. */
    if (limit < 2 * (uint64_t)config->limits.max_connections)
        log_warn("main",
                 "the limit of open files is low for max-connections files=%" PRIu64
                 " max_connections=%u: raise it (LimitNOFILE=, ulimit -n)",
                 limit, config->limits.max_connections);
    return OUTCOME_OK;
}

static void open_cache(struct edge *e, const struct config_cache *config)
{
    bool has_disk = config->disk.path != NULL && config->memory_bytes != 0;

    e->shared.cache = cache_new(config->memory_bytes, config->max_object_bytes);
    e->purges =
        purge_log_open(cache_purges(e->shared.cache), has_disk ? config->disk.purges_path : NULL);
    if (!has_disk)
        return;
    e->disk = disk_open(&(struct disk_settings){
        .path = config->disk.path,
        .bytes = config->disk.bytes,
        .record_bytes = config->disk.record_bytes,
        .format = CACHE_DISK_FORMAT,
    });
    cache_set_disk(e->shared.cache, e->disk);
}

static struct edge *make_edge(const char *path, struct generation *g)
{
    const struct config *config = g->config;
    struct edge *e = base_zalloc(1, sizeof(*e));

    e->path = path;
    e->generation = g;
    e->signal_fd = daemon_open_signals(SIGUSR2); /* before any thread starts */
    e->loop = loop_new("main");
    worker_init(&e->flow, UINT16_MAX, e->loop);
    wire_prepare();
    snapshot_reader_start();
    e->report = report_new();
    open_cache(e, &config->cache);
    e->shared.log = access_log_new();
    e->shared.guard = guard_new(count_workers(config));
    e->shared.idle_origins = dial_store_new(&e->flow);
    e->shared.on_generation_unused = on_generation_unused;
    e->shared.arg = e;
    start_workers(e, count_workers(config));
    e->listen = listen_new(e->listen_workers, e->n_workers);
    e->control = control_new(e->loop, &(struct control_hooks){
                                          .arg = e,
                                          .fill = fill_report,
                                          .on_drain = on_drain,
                                          .purges = e->purges,
                                          .reload = on_reload,
                                          .metrics = write_metrics,
                                      });
    e->leaving = leaving_new(loop_base(e->loop), &(struct leaving_hooks){
                                                     .arg = e,
                                                     .shared = &e->shared,
                                                     .close_doors = close_doors,
                                                     .hand_over = hand_over,
                                                     .stop = stop_loop,
                                                 });
    add_events(e);
    return e;
}

struct edge *edge_start(const char *path, struct errors *errors)
{
    struct generation *g = generation_load(path, NULL, errors);
    struct change c = {.generation = g, .log_fd = -1};
    struct edge *e;

    if (g == NULL)
        return NULL;
    if (has_failed(check_file_limit(g->config, errors))) {
        generation_free(g);
        return NULL;
    }
    e = make_edge(path, g);
    for (unsigned i = 0; i < e->n_workers; i++) {
        loop_start(e->workers[i].loop);
        loop_post(e->workers[i].loop, start_worker, NULL);
    }
    if (has_failed(prepare(e, &c, errors))) {
        edge_stop(e);
        return NULL;
    }
    upstream_pools_resolve(g->pools, NULL, &e->flow, errors);
    commit(e, &c);
    return e;
}

void edge_run(struct edge *e)
{
    log_info("main", "ready name=%s workers=%u", e->generation->config->name, e->n_workers);
    daemon_notify("READY=1");
    handover_finish();
    loop_run(e->loop);
}

void edge_stop(struct edge *e)
{
    if (e->checks != NULL)
        upstream_checks_stop(e->checks);
    listen_stop(e->listen);
    for (unsigned i = 0; i < e->n_workers; i++) {
        loop_post(e->workers[i].loop, stop_worker, &e->workers[i]);
        loop_stop(e->workers[i].loop);
    }
    for (unsigned i = 0; i < e->n_workers; i++) {
        loop_join(e->workers[i].loop);
        request_worker_free(e->workers[i].requests);
        loop_free(e->workers[i].loop);
    }
    control_free(e->control);
    listen_free(e->listen);
    event_free(e->signals);
    event_free(e->housekeeping);
    leaving_free(e->leaving);
    dial_store_free(e->shared.idle_origins);
    upstream_pools_retire(e->generation->pools);
    snapshot_reader_stop();
    worker_stop(&e->flow);
    /* The workers' last letters: generations they let go of. */
    loop_stop(e->loop);
    loop_run(e->loop);
    loop_free(e->loop);
    access_log_free(e->shared.log, LOG_CLOSE_MS);
    purge_log_close(e->purges);
    cache_free(e->shared.cache);
    disk_free(e->disk);
    guard_free(e->shared.guard);
    report_free(e->report);
    close(e->signal_fd);
    free(e->listen_workers);
    free(e->workers);
    free(e);
}
