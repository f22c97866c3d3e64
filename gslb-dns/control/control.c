/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/control/control.h"

#include "common/clock/clock.h"
#include "common/log/log.h"
#include "common/net/net.h"
#include "gslb-dns/control/control_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A listener of the new configuration: fd is freshly opened, or -1 when an open one goes on. */
struct fresh_listener {
    struct addr address;
    const char *path;
    int fd;
};

struct control_change {
    struct control *control;
    const struct config *config;
    SSL_CTX *tls, *node_tls;
    struct tls_identity own;
    struct fresh_listener *listeners;
    size_t n_listeners;
    struct exporter *exporter; /* fresh, or NULL: none or the open one goes on */
};

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct control *c = arg;

    control_settle(c, health_tick(c->health, clock_mono_ms()));
}

static void on_acme_timer(evutil_socket_t fd, short what, void *arg)
{
    struct control *c = arg;
    bool is_changed = acme_store_expire(c->acme, clock_mono_ms());

    control_acme_set_timer(c);
    if (is_changed)
        control_tell_change(c);
}

static void on_ticket_timer(evutil_socket_t fd, short what, void *arg)
{
    control_tickets_tick(arg);
}

struct control *control_new(struct loop *loop, const struct control_hooks *hooks)
{
    struct control *c = base_zalloc(1, sizeof(*c));

    c->base = loop_base(loop);
    c->hooks = *hooks;
    c->started_ms = clock_mono_ms();
    c->timer = evtimer_new(c->base, on_tick, c);
    c->acme = acme_store_new();
    c->acme_timer = evtimer_new(c->base, on_acme_timer, c);
    c->ticket_timer = evtimer_new(c->base, on_ticket_timer, c);
    ensure(c->timer != NULL && c->acme_timer != NULL && c->ticket_timer != NULL);
    return c;
}

static void close_listener(struct control_listener *l)
{
    if (l->acceptor != NULL) {
        acceptor_free(l->acceptor);
        if (l->path != NULL)
            unlink(l->path);
    }
    free(l->path);
}

static void free_edges(struct control *c)
{
    for (size_t i = 0; c->config != NULL && i < c->config->n_edges; i++)
        arena_free(&c->edges[i].report_arena);
    free(c->edges);
}

void control_free(struct control *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n_listeners; i++)
        close_listener(&c->listeners[i]);
    control_acme_end_waits(c);
    control_purges_end_waits(c);
    control_free_nodes(c);
    /* What ends with the program says nothing about the edges. */
    for (struct control_peer *p = c->peers; p != NULL; p = p->next)
        p->edge = CONTROL_NO_EDGE;
    control_close_peers(c);
    control_free_due(c);
    exporter_free(c->exporter);
    event_free(c->timer);
    event_free(c->acme_timer);
    event_free(c->ticket_timer);
    tls_secret_free(c->ticket_secrets, sizeof(*c->ticket_secrets));
    acme_store_free(c->acme);
    if (c->journal != NULL)
        ledger_close(c->journal);
    SSL_CTX_free(c->node_tls);
    free_edges(c);
    health_free(c->health);
    SSL_CTX_free(c->tls);
    free(c->listeners);
    free(c->drains);
    free(c);
}

static SSL_CTX *make_tls(const struct config_control *config, struct tls_identity *own,
                         struct errors *errors)
{
    struct tls_files files = {config->certificate_path, config->key_path, config->ca_path,
                              config->tls_place};
    SSL_CTX *tls;

    if (files.certificate_path == NULL || files.key_path == NULL || files.ca_path == NULL) {
        errors_add(errors, config->listen_place,
                   "control listeners need certificate, key and ca: edges and operators prove "
                   "themselves by certificates");
        return NULL;
    }
    tls = tls_channel_new(TLS_SERVER, &files, own, errors);
    if (tls == NULL || own->role == TLS_ROLE_DNS)
        return tls;
    errors_add(errors, config->tls_place,
               "the certificate '%s' is that of gslb://%s/%s; a gslb-dns node needs "
               "gslb://dns/NAME",
               files.certificate_path, tls_role_name(own->role), own->name);
    SSL_CTX_free(tls);
    return NULL;
}

/* The same files for our links to other nodes. Whatever they warn of has been said. */
static SSL_CTX *make_node_tls(const struct config_control *config, struct errors *errors)
{
    struct tls_files files = {config->certificate_path, config->key_path, config->ca_path,
                              config->tls_place};
    struct errors said = {0};
    struct tls_identity own;
    SSL_CTX *tls = tls_channel_new(TLS_CLIENT, &files, &own, &said);

    if (tls == NULL)
        errors_merge(errors, &said);
    errors_free(&said);
    return tls;
}

void control_check(const struct config *config, struct errors *errors)
{
    struct control scratch = {0};
    struct tls_identity own;

    if (config->control.n_listen > 0)
        SSL_CTX_free(make_tls(&config->control, &own, errors));
    scratch.acme = acme_store_new();
    if (config->state_path != NULL)
        control_load_state(&scratch, config->state_path, errors,
                           (struct place){.file = config->path});
    acme_store_free(scratch.acme);
    free(scratch.drains);
}

static struct control_listener *find_open(const struct control *c, const struct fresh_listener *f)
{
    for (size_t i = 0; i < c->n_listeners; i++) {
        struct control_listener *l = &c->listeners[i];

        if (l->acceptor == NULL || (l->path != NULL) != (f->path != NULL))
            continue;
        if (f->path != NULL ? strcmp(l->path, f->path) == 0 : addr_eq(&l->address, &f->address))
            return l;
    }
    return NULL;
}

/* Is it we who hold this port, at an address that covers the other or is covered by it? */
static bool is_held_by_us(const struct control_change *change, const struct addr *at)
{
    const struct control *c = change->control;

    for (size_t i = 0; i < c->n_listeners; i++)
        if (c->listeners[i].path == NULL && addr_overlaps(&c->listeners[i].address, at))
            return true;
    for (const struct fresh_listener *f = change->listeners; &f->address != at; f++)
        if (addr_overlaps(&f->address, at))
            return true;
    return false;
}

static struct outcome open_listener(struct control_change *change, struct fresh_listener *f,
                                    struct place place, struct errors *errors)
{
    f->fd = -1;
    if (find_open(change->control, f) != NULL)
        return OUTCOME_OK;
    if (f->path != NULL) {
        f->fd = net_listen_unix(f->path, errors, place);
    } else {
        if (addr_port(&f->address) != 0 && !is_held_by_us(change, &f->address) &&
            has_failed(net_check_free(&f->address, SOCK_STREAM, errors, place)))
            return OUTCOME_FAILED;
        f->fd = net_listen_tcp(&f->address, 256, errors, place);
    }
    return f->fd >= 0 ? OUTCOME_OK : OUTCOME_FAILED;
}

static struct outcome open_listeners(struct control_change *change, struct errors *errors)
{
    const struct config_control *config = &change->config->control;
    struct outcome outcome = OUTCOME_OK;

    change->listeners = base_zalloc(config->n_listen + 1, sizeof(change->listeners[0]));
    for (size_t i = 0; i < config->n_listen; i++) {
        struct fresh_listener *f = &change->listeners[change->n_listeners++];

        f->address = config->listen[i];
        if (has_failed(open_listener(change, f, config->listen_place, errors)))
            outcome = OUTCOME_FAILED;
    }
    if (config->socket_path != NULL) {
        struct fresh_listener *f = &change->listeners[change->n_listeners++];

        f->path = config->socket_path;
        if (has_failed(open_listener(change, f, config->socket_place, errors)))
            outcome = OUTCOME_FAILED;
    }
    return outcome;
}

static void write_metrics(void *arg, struct text *out)
{
    control_write_metrics(arg, out);
}

static bool is_exporter_kept(const struct control *c, const struct config *config)
{
    return c->exporter != NULL && config->metrics.length != 0 &&
           addr_eq(&c->exporter_at, &config->metrics);
}

static struct outcome open_exporter(struct control_change *change, struct errors *errors)
{
    struct exporter_options options = {
        .base = change->control->base,
        .address = change->config->metrics,
        .place = change->config->metrics_place,
        .write = write_metrics,
        .arg = change->control,
    };

    if (options.address.length == 0 || is_exporter_kept(change->control, change->config))
        return OUTCOME_OK;
    change->exporter = exporter_new(&options, errors);
    return change->exporter != NULL ? OUTCOME_OK : OUTCOME_FAILED;
}

struct control_change *control_prepare(struct control *c, const struct config *config,
                                       struct errors *errors)
{
    struct control_change *change = base_zalloc(1, sizeof(*change));
    bool is_bad = false;

    change->control = c;
    change->config = config;
    if (config->control.n_listen > 0) {
        change->tls = make_tls(&config->control, &change->own, errors);
        is_bad = change->tls == NULL;
        if (!is_bad && config->control.n_peers > 0) {
            change->node_tls = make_node_tls(&config->control, errors);
            is_bad = change->node_tls == NULL;
        }
    }
    is_bad |= has_failed(open_listeners(change, errors));
    is_bad |= has_failed(open_exporter(change, errors));
    if (is_bad) {
        control_discard(change);
        return NULL;
    }
    if (config->state_path != NULL && !c->has_state) {
        control_load_state(c, config->state_path, errors, (struct place){.file = config->path});
        control_acme_set_timer(c);
        c->has_state = true;
    }
    return change;
}

void control_discard(struct control_change *change)
{
    if (change == NULL)
        return;
    for (size_t i = 0; i < change->n_listeners; i++) {
        if (change->listeners[i].fd < 0)
            continue;
        close(change->listeners[i].fd);
        if (change->listeners[i].path != NULL)
            unlink(change->listeners[i].path);
    }
    exporter_free(change->exporter);
    SSL_CTX_free(change->tls);
    SSL_CTX_free(change->node_tls);
    free(change->listeners);
    free(change);
}

/* Listeners that stay are taken over, the others closed. */
static void commit_listeners(struct control *c, const struct control_change *change)
{
    struct control_listener *now = base_zalloc(change->n_listeners + 1, sizeof(*now));

    for (size_t i = 0; i < change->n_listeners; i++) {
        struct fresh_listener *f = &change->listeners[i];
        struct control_listener *old = f->fd < 0 ? find_open(c, f) : NULL;

        now[i].address = f->address;
        now[i].path = f->path != NULL ? base_strdup(f->path) : NULL;
        if (old == NULL) {
            now[i].acceptor =
                acceptor_new(c->base, f->fd, f->path != NULL ? control_on_unix : control_on_tcp, c);
            continue;
        }
        now[i].acceptor = old->acceptor;
        old->acceptor = NULL;
    }
    for (size_t i = 0; i < c->n_listeners; i++)
        close_listener(&c->listeners[i]);
    free(c->listeners);
    c->listeners = now;
    c->n_listeners = change->n_listeners;
}

static void commit_exporter(struct control *c, const struct control_change *change)
{
    if (is_exporter_kept(c, change->config))
        return;
    exporter_free(c->exporter);
    c->exporter = change->exporter;
    c->exporter_at = change->config->metrics;
}

/* Per edge of a configuration, its index in the one that is committed; SIZE_MAX: it has none. */
static size_t *find_old_edges(const struct control *c, const struct config *config)
{
    size_t *old_index = base_zalloc(config->n_edges + 1, sizeof(*old_index));

    for (size_t i = 0; i < config->n_edges; i++) {
        ptrdiff_t old = c->config != NULL ? control_find_edge(c->config, config->edges[i].name)
                                          : CONTROL_NO_EDGE;

        old_index[i] = old == CONTROL_NO_EDGE ? SIZE_MAX : (size_t)old;
    }
    return old_index;
}

/* Moves what is known of each edge to its place in the new configuration. */
static void move_edges(struct control *c, const struct config *config, const size_t *old_index)
{
    struct control_edge *edges = base_zalloc(config->n_edges + 1, sizeof(*edges));

    for (size_t i = 0; i < config->n_edges; i++) {
        size_t old = old_index[i];

        control_rate_start(&edges[i].rate);
        arena_init(&edges[i].report_arena, 0);
        if (old == SIZE_MAX)
            continue;
        edges[i] = c->edges[old];
        arena_init(&c->edges[old].report_arena, 0);
        c->edges[old].peer = NULL;
        if (edges[i].peer != NULL)
            edges[i].peer->edge = (ptrdiff_t)i;
    }
    for (size_t i = 0; c->config != NULL && i < c->config->n_edges; i++)
        if (c->edges[i].peer != NULL)
            c->edges[i].peer->edge = CONTROL_NO_EDGE;
    free_edges(c);
    c->edges = edges;
}

static struct health *carry_health(const struct control *c, const struct config *config,
                                   const size_t *old_index)
{
    struct health_settings settings = {config->health.stale_after_ms, config->health.down_threshold,
                                       config->health.up_threshold,
                                       config->health.keep_last_view_ms};
    int64_t now_ms = clock_mono_ms();

    return c->health == NULL
               ? health_new(config->n_edges, &settings, now_ms)
               : health_take_over(c->health, old_index, config->n_edges, &settings, now_ms);
}

struct health *control_foresee_health(const struct control *c, const struct config *config)
{
    size_t *old_index = find_old_edges(c, config);
    struct health *h = carry_health(c, config, old_index);

    free(old_index);
    return h;
}

static void commit_health(struct control *c, const struct config *config, const size_t *old_index)
{
    struct health *h = carry_health(c, config, old_index);

    health_free(c->health);
    c->health = h;
}

/* Edges that the new configuration does not list any more have lost their place. */
static void close_removed(struct control *c)
{
    for (struct control_peer *p = c->peers, *next; p != NULL; p = next) {
        next = p->next;
        if (p->is_open && p->id.role == TLS_ROLE_EDGE && p->edge == CONTROL_NO_EDGE)
            frame_link_close(p->link, FRAME_CLOSE_UNKNOWN_NAME, "removed from the configuration");
    }
}

void control_commit(struct control *c, struct control_change *change)
{
    const struct config *config = change->config;
    size_t *old_index = find_old_edges(c, config);

    control_purges_end_waits(c); /* by the edges of before */
    move_edges(c, config, old_index);
    commit_health(c, config, old_index);
    c->config = config;
    control_purges_open(c);
    SSL_CTX_free(c->tls);
    c->tls = change->tls;
    SSL_CTX_free(c->node_tls);
    c->node_tls = change->node_tls;
    c->own = change->own;
    commit_listeners(c, change);
    commit_exporter(c, change);
    free(old_index);
    free(change->listeners);
    free(change);
    close_removed(c);
    control_commit_nodes(c);
    control_verify_peers(c);
    control_tickets_commit(c);
    for (size_t i = 0; i < config->n_edges; i++)
        (void)control_apply_drain(c, i);
    control_settle(c, true);
}

const struct health *control_health(const struct control *c)
{
    return c->health;
}

struct addr control_listen_addr(const struct control *c, size_t i)
{
    struct addr at;

    ensure(i < c->n_listeners && c->listeners[i].path == NULL);
    ensure(!has_failed(net_local_addr(acceptor_fd(c->listeners[i].acceptor), &at)));
    return at;
}
