/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/main/node.h"

#include "common/base/version.h"
#include "common/clock/clock.h"
#include "common/daemon/daemon.h"
#include "common/log/log.h"
#include "common/loop/loop.h"
#include "common/metrics/metrics.h"
#include "common/snapshot/snapshot.h"
#include "gslb-dns/answer/answer.h"
#include "gslb-dns/control/control.h"
#include "gslb-dns/explain/explain.h"
#include "gslb-dns/generation/generation.h"
#include "gslb-dns/main/keys.h"
#include "gslb-dns/main/listens.h"
#include "gslb-dns/main/node_internal.h"
#include "gslb-dns/notify/notify.h"
#include "gslb-dns/transfer/transfer.h"

#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Open files without which the loops cannot start; sockets that lack one say so themselves. */
enum { FILES_LEAST = 64 };

/* A load on a thread of its own; it comes back by the loop's mailbox. */
struct load {
    struct node *node;
    pthread_t thread;
    bool has_ended; /* and the thread is joined */
    struct wish wish;
    struct generation *fresh;
    struct errors errors;
    int64_t began_ms;
};

struct node {
    const char *path;
    struct loop *loop;
    struct control *control;
    struct net_server *server;
    struct xdp *xdp; /* the fast path beside it */
    struct generation *generation;
    struct snapshot_slot slot;
    struct worlds *worlds; /* what the slot holds, and what comes next */
    struct metrics metrics;
    struct event *signals;
    struct renewal *renewal;
    struct notify *notify;
    struct secondary *secondary;
    int signal_fd;
    struct load *load; /* under way */
    uint64_t *tickets; /* operators that wait for it */
    size_t n_tickets, cap_tickets;
    size_t n_taken;   /* of these the load under way serves so many */
    struct wish wish; /* asked for since the load under way began */
    int64_t loaded_at_s;
    /* Why the newest reload was refused: for people, and by place. NULL: it was taken. */
    char *load_error;
    struct errors load_errors;
    uint64_t n_reloads, n_refused;
};

/* ---- Reloading ---- */

static void on_health_change(void *arg)
{
    struct node *n = arg;

    worlds_refresh(n->worlds);
}

static void put_generation(struct node *n, struct generation *fresh)
{
    struct generation *old = n->generation;

    n->generation = fresh;
    renewal_watch(n->renewal, fresh);
    worlds_put(n->worlds, old, fresh);
    secondaries_tell(n->notify, fresh, worlds_newest(n->worlds));
}

/* All or nothing: what can be refused comes first. */
static struct outcome take_generation(struct node *n, struct generation *fresh,
                                      struct errors *errors)
{
    const struct config *config = generation_config(fresh);
    struct control_change *change;
    SSL_CTX *tls;

    if (has_failed(copies_prepare(config, &tls, errors)))
        return OUTCOME_FAILED;
    change = control_prepare(n->control, config, errors);
    if (change == NULL) {
        SSL_CTX_free(tls);
        return OUTCOME_FAILED;
    }
    if (n->server != NULL && has_failed(listens_update(n->server, config, errors))) {
        control_discard(change);
        SSL_CTX_free(tls);
        return OUTCOME_FAILED;
    }
    n->loaded_at_s = clock_wall_s();
    control_commit(n->control, change);
    put_generation(n, fresh);
    copies_update(n->secondary, fresh, worlds_newest(n->worlds), tls);
    SSL_CTX_free(tls);
    if (n->server != NULL)
        listens_update_xdp(n->xdp, n->server, config, errors);
    return OUTCOME_OK;
}

static void start_load(struct node *n);

static void answer_tickets(struct node *n, bool is_taken, const char *text)
{
    size_t left = n->n_tickets - n->n_taken;

    for (size_t i = 0; i < n->n_taken; i++)
        control_finish_reload(n->control, n->tickets[i], is_taken, text);
    for (size_t i = 0; i < left; i++)
        n->tickets[i] = n->tickets[n->n_taken + i];
    n->n_tickets = left;
    n->n_taken = 0;
}

static char *finish_taken(struct node *n, const struct load *load)
{
    const struct config *c = generation_config(n->generation);
    int64_t took_ms = clock_mono_ms() - load->began_ms;

    n->n_reloads++;
    log_info("main",
             "reloaded zones=%zu changed_zones=%zu broken_zones=%zu services=%zu regions=%zu "
             "edges=%zu took_ms=%" PRId64,
             c->n_zones, generation_fresh_zones(n->generation),
             generation_broken_zones(n->generation), c->n_services, c->n_regions, c->n_edges,
             took_ms);
    faults_log(n->generation);
    return wish_describe(&load->wish, n->generation, &load->errors, took_ms);
}

static char *finish_refused(struct node *n, struct load *load)
{
    worlds_drop(n->worlds);
    generation_free(load->fresh);
    n->n_refused++;
    log_error("main", "reload refused, the running state stays file=%s errors=%zu", n->path,
              load->errors.n_errors);
    free(n->load_error);
    n->load_error = errors_to_string(&load->errors);
    errors_free(&n->load_errors);
    errors_merge(&n->load_errors, &load->errors);
    return base_strdup(n->load_error);
}

static bool take_load(struct node *n, struct load *load)
{
    if (load->fresh == NULL)
        return false;
    if (load->wish.is_full)
        return !has_failed(take_generation(n, load->fresh, &load->errors));
    put_generation(n, load->fresh);
    return true;
}

/* Nobody asked for it but this node. */
static bool is_quiet(const struct wish *w)
{
    return !w->is_full && w->n_zones == 0;
}

static void finish_load(struct node *n, struct load *load)
{
    bool is_taken = take_load(n, load);
    char *text;

    if (!is_taken && load->wish.is_full)
        wish_take_versions(&n->wish, &load->wish); /* they are not to blame */
    else
        copies_loaded(n->secondary, &load->wish, is_taken ? n->generation : NULL);
    if (is_taken && is_quiet(&load->wish)) {
        node_log_errors(&load->errors);
        faults_log(n->generation);
        if (load->wish.is_renewal)
            log_info("sign", "renewed took_ms=%" PRId64, clock_mono_ms() - load->began_ms);
        return;
    }
    if (load->wish.is_full) { /* what was refused stays refused when only zones are read */
        free(n->load_error);
        n->load_error = NULL;
        errors_free(&n->load_errors);
    }
    node_log_errors(&load->errors);
    text = is_taken ? finish_taken(n, load) : finish_refused(n, load);
    daemon_notify("READY=1");
    answer_tickets(n, is_taken && generation_broken_zones(n->generation) == 0, text);
    free(text);
}

static void free_load(struct load *load)
{
    errors_free(&load->errors);
    wish_free(&load->wish);
    free(load);
}

static void on_prepared(void *arg)
{
    struct load *load = arg;
    struct node *n = load->node;

    n->load = NULL;
    finish_load(n, load);
    free_load(load);
    start_load(n);
}

static void on_loaded(void *arg)
{
    struct load *load = arg;

    pthread_join(load->thread, NULL);
    load->has_ended = true;
    if (load->fresh != NULL)
        worlds_prepare(load->node->worlds, load->fresh, on_prepared, load);
    else
        on_prepared(load);
}

static void *load_main(void *arg)
{
    struct load *load = arg;

    /* The generation that runs stays until this load has come back. */
    load->fresh = generation_reload(
        &(struct generation_wish){.path = load->wish.is_full ? load->node->path : NULL,
                                  .zones = (const char *const *)load->wish.zones,
                                  .n_zones = load->wish.n_zones,
                                  .versions = load->wish.versions,
                                  .n_versions = load->wish.n_versions},
        load->node->generation, &load->errors);
    loop_post(load->node->loop, on_loaded, load);
    return NULL;
}

/* Loads what is wished for, now or when the load under way is done. */
static void start_load(struct node *n)
{
    char *state;

    if (n->load != NULL || wish_is_empty(&n->wish))
        return;
    if (!is_quiet(&n->wish)) {
        state = base_printf("RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono_us());
        daemon_notify(state);
        free(state);
    }
    n->n_taken = n->n_tickets;
    n->load = base_zalloc(1, sizeof(*n->load));
    n->load->node = n;
    n->load->wish = n->wish;
    n->wish = (struct wish){0};
    n->load->began_ms = clock_mono_ms();
    ensure(pthread_create(&n->load->thread, NULL, load_main, n->load) == 0);
    pthread_setname_np(n->load->thread, "load");
}

static void on_renewal_due(void *arg)
{
    struct node *n = arg;

    n->wish.is_renewal = true;
    start_load(n);
}

static void on_version(void *arg, const char *zone, struct replica *version)
{
    struct node *n = arg;

    wish_add_version(&n->wish, zone, version);
    start_load(n);
}

static void on_reload(void *arg, uint64_t ticket, char *const *zones, size_t n_zones)
{
    struct node *n = arg;
    struct text why = {0};

    for (size_t i = 0; i < n_zones; i++) {
        if (!has_failed(wish_check_zone(n->generation, zones[i], &why)))
            continue;
        control_finish_reload(n->control, ticket, false, why.p);
        text_free(&why);
        return;
    }
    n->wish.is_full |= n_zones == 0;
    for (size_t i = 0; i < n_zones; i++)
        wish_add_zone(&n->wish, zones[i]);
    BASE_GROW(n->tickets, n->n_tickets, n->cap_tickets);
    n->tickets[n->n_tickets++] = ticket;
    start_load(n);
}

/* ---- What operators ask ---- */

static struct outcome on_find_challenge(void *arg, const struct wire_name *name,
                                        struct wire_name *out, struct text *error)
{
    const struct node *n = arg;

    return challenge_find(n->generation, worlds_newest(n->worlds), name, out, error);
}

static struct explain_world explain_now(const struct node *n)
{
    return (struct explain_world){
        .generation = n->generation,
        .world = worlds_newest(n->worlds),
        .health = control_health(n->control),
        .now_ms = clock_mono_ms(),
    };
}

static struct outcome on_explain(void *arg, const struct control_question *q, struct arena *arena,
                                 struct control_explain *out, struct text *error)
{
    struct explain_world w = explain_now(arg), then;
    struct outcome outcome;

    if (q->n_what_if == 0)
        return explain_answer(&w, q->name, q->client, arena, out, error);
    if (has_failed(explain_imagine(&w, q->what_if, q->n_what_if, &then, error)))
        return OUTCOME_FAILED;
    outcome = explain_answer(&then, q->name, q->client, arena, out, error);
    explain_forget(&then);
    return outcome;
}

static struct outcome on_simulate(void *arg, const struct control_crowd *crowd, struct arena *arena,
                                  struct control_simulation *out, struct text *error)
{
    const struct control_question *q = &crowd->question;
    struct explain_world w = explain_now(arg), then;
    struct outcome outcome;

    if (q->n_what_if == 0)
        return explain_simulate(&w, NULL, crowd, arena, out, error);
    if (has_failed(explain_imagine(&w, q->what_if, q->n_what_if, &then, error)))
        return OUTCOME_FAILED;
    outcome = explain_simulate(&w, &then, crowd, arena, out, error);
    explain_forget(&then);
    return outcome;
}

static void on_status(void *arg, struct arena *arena, struct control_status *out)
{
    struct node *n = arg;
    const struct config *c = generation_config(n->generation);
    struct control_zone_status *zones = arena_zalloc(arena, c->n_zones * sizeof(zones[0]));
    const bool **usable = arena_zalloc(arena, c->n_services * sizeof(usable[0]));

    for (size_t i = 0; i < c->n_zones; i++) {
        const struct zone *z = generation_zone(n->generation, i);

        zones[i] = (struct control_zone_status){.name = c->zones[i].name,
                                                .serial = z->serial,
                                                .file_serial = z->file_serial,
                                                .names = z->n_names,
                                                .records = z->n_records,
                                                .error = faults_of_zone(n->generation, i, arena),
                                                .is_missing = !zone_is_available(z)};
        zones[i].n_keys = keys_describe(n->generation, i, arena, &zones[i].keys);
        zones[i].copy = copies_describe(n->secondary, &c->zones[i], arena);
    }
    for (size_t s = 0; s < c->n_services; s++) {
        const struct world_service_view *view = &worlds_newest(n->worlds)->views[s];
        bool *row = arena_zalloc(arena, c->services[s].n_regions);

        for (size_t k = 0; k < c->services[s].n_regions; k++)
            row[k] = view->mode == WORLD_STEER && (view->usable[k / 64] >> (k % 64) & 1);
        usable[s] = row;
    }
    *out = (struct control_status){
        .loaded_at_s = n->loaded_at_s,
        .load_error = n->load_error,
        .geo = generation_geo_text(n->generation),
        .zones = zones,
        .n_zones = c->n_zones,
        .service_usable = usable,
    };
}

static struct outcome on_roll(void *arg, const struct control_roll *roll, struct text *done,
                              struct text *error)
{
    struct node *n = arg;

    if (has_failed(keys_roll(n->generation, roll, done, error)))
        return OUTCOME_FAILED;
    log_info("sign", "%s zone=%s", keys_action(roll), roll->zone);
    on_renewal_due(n);
    return OUTCOME_OK;
}

static struct outcome on_refresh(void *arg, const char *zone, bool is_full, struct text *done,
                                 struct text *error)
{
    struct node *n = arg;

    return copies_refresh(n->secondary, n->generation, zone, is_full, done, error);
}

static void write_gauge(struct text *out, const char *name, const char *help, double value)
{
    metrics_write_head(out, name, "gauge", help);
    text_addf(out, "%s %.15g\n", name, value);
}

static void on_metrics(void *arg, struct text *out)
{
    struct node *n = arg;
    const struct config *c = generation_config(n->generation);

    metrics_write_build(out, "gslb-dns");
    metrics_write(&n->metrics, out);
    transfer_write_metrics(out);
    notify_write_metrics(n->notify, out);
    copies_write_metrics(n->secondary, generation_config(n->generation), out);
    listens_write_metrics(n->server, out);
    xdp_write_metrics(n->xdp, out);
    write_gauge(out, "gslb_dns_loaded_timestamp_seconds", "When the configuration was loaded.",
                (double)n->loaded_at_s);
    write_gauge(out, "gslb_dns_last_reload_successful", "Whether the newest load was taken.",
                n->load_error == NULL);
    metrics_write_head(out, "gslb_dns_reloads_total", "counter", "Reloads, by outcome.");
    text_addf(out, "gslb_dns_reloads_total{outcome=\"taken\"} %" PRIu64 "\n", n->n_reloads);
    text_addf(out, "gslb_dns_reloads_total{outcome=\"refused\"} %" PRIu64 "\n", n->n_refused);
    metrics_write_head(out, "gslb_dns_zone_serial", "gauge", "SOA serial of each zone.");
    for (size_t i = 0; i < c->n_zones; i++)
        text_addf(out, "gslb_dns_zone_serial{zone=\"%s\"} %u\n", c->zones[i].name,
                  generation_zone(n->generation, i)->serial);
    secondaries_write_metrics(n->generation, out);
    faults_write_metrics(n->generation, out);
}

/* ---- Start and stop ---- */

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    struct node *n = arg;
    int signal;

    while ((signal = daemon_take_signal(fd)) != 0) {
        if (signal == SIGHUP) {
            log_info("main", "reload asked for by=SIGHUP");
            n->wish.is_full = true;
            start_load(n);
        } else if (signal == SIGINT || signal == SIGTERM) {
            log_info("main", "stopping signal=%s", signal == SIGINT ? "SIGINT" : "SIGTERM");
            daemon_notify("STOPPING=1");
            event_base_loopbreak(loop_base(n->loop));
        }
    }
}

static struct outcome start_server(struct node *n, struct errors *errors)
{
    struct net_handler handler = listens_handler(&n->slot);

    n->server = listens_start(generation_config(n->generation), &handler, &n->metrics, errors);
    if (n->server == NULL)
        return OUTCOME_FAILED;
    n->xdp = xdp_new(&handler, &n->metrics);
    listens_update_xdp(n->xdp, n->server, generation_config(n->generation), errors);
    return OUTCOME_OK;
}

static void log_ready(const struct node *n)
{
    const struct config *c = generation_config(n->generation);
    struct text listens = {0};

    listens_describe(n->server, c, &listens);
    log_info("geo", "%s", generation_geo_text(n->generation));
    log_info("main", "ready listen=%s zones=%zu services=%zu regions=%zu edges=%zu", listens.p,
             c->n_zones, c->n_services, c->n_regions, c->n_edges);
    text_free(&listens);
}

struct node *node_start(const char *path, struct errors *errors)
{
    struct node *n = base_zalloc(1, sizeof(*n));
    struct control_hooks hooks = {
        .arg = n,
        .on_health_change = on_health_change,
        .reload = on_reload,
        .explain = on_explain,
        .simulate = on_simulate,
        .status = on_status,
        .roll = on_roll,
        .refresh = on_refresh,
        .find_challenge = on_find_challenge,
        .metrics = on_metrics,
    };
    struct generation *first;
    uint64_t limit;

    if (has_failed(daemon_raise_file_limit(FILES_LEAST, &limit, errors))) {
        free(n);
        return NULL;
    }
    n->path = path;
    n->metrics = (struct metrics){.table = answer_counter_table, .n = ANSWER_COUNTER_COUNT};
    daemon_hold_reloads();
    first = generation_load(path, NULL, errors);
    n->signal_fd = daemon_open_signals(0);
    n->loop = loop_new("gslb-dns");
    n->signals = event_new(loop_base(n->loop), n->signal_fd, EV_READ | EV_PERSIST, on_signal, n);
    ensure(n->signals != NULL && event_add(n->signals, NULL) == 0);
    n->renewal = renewal_new(loop_base(n->loop), on_renewal_due, n);
    n->notify = notify_new(loop_base(n->loop));
    n->secondary = secondary_new(n->loop, &(struct secondary_hooks){n, on_version});
    n->control = control_new(n->loop, &hooks);
    n->worlds = worlds_new(n->loop, n->control, n->secondary, &n->slot);
    if (first == NULL || has_failed(take_generation(n, first, errors))) {
        generation_free(first);
        node_stop(n);
        return NULL;
    }
    if (has_failed(start_server(n, errors))) {
        node_stop(n);
        return NULL;
    }
    log_ready(n);
    faults_log(n->generation);
    daemon_notify("READY=1");
    return n;
}

void node_run(struct node *n)
{
    loop_run(n->loop);
}

void node_stop(struct node *n)
{
    if (n->load != NULL && !n->load->has_ended) /* nobody waits for it any more */
        pthread_join(n->load->thread, NULL);
    if (n->xdp != NULL)
        xdp_free(n->xdp);
    if (n->server != NULL)
        net_server_stop(n->server);
    secondary_free(n->secondary);
    control_free(n->control);
    worlds_free(n->worlds);
    if (n->load != NULL) {
        generation_free(n->load->fresh);
        free_load(n->load);
    }
    generation_free(n->generation);
    renewal_free(n->renewal);
    notify_free(n->notify);
    event_free(n->signals);
    loop_free(n->loop);
    metrics_free(&n->metrics);
    wish_free(&n->wish);
    free(n->tickets);
    free(n->load_error);
    errors_free(&n->load_errors);
    free(n);
}

struct outcome node_check(const char *path, struct errors *errors)
{
    struct generation_wish wish = {.path = path, .is_trial = true};
    struct generation *g = generation_reload(&wish, NULL, errors);
    bool is_refused;

    if (g == NULL)
        return OUTCOME_FAILED;
    control_check(generation_config(g), errors);
    copies_check(generation_config(g), errors);
    generation_take_faults(g, errors);
    is_refused = has_failed(listens_check(generation_config(g), errors));
    generation_free(g);
    return errors->n_errors == 0 && !is_refused ? OUTCOME_OK : OUTCOME_FAILED;
}
