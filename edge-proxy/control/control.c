/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge-proxy/control/control.h"

#include "common/clock/clock.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "common/net/net.h"
#include "edge-proxy/control/control_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct control_change {
    struct control *control;
    const struct config *config;
    SSL_CTX *tls;
    int unix_fd;               /* -1: none, or the open one goes on */
    struct exporter *exporter; /* fresh, or NULL */
};

static void set_timer(struct control *c, int64_t ms)
{
    struct timeval after;

    if (ms < 1)
        ms = 1;
    after = (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    event_add(c->timer, &after);
}

static void send_reports(struct control *c)
{
    Gslb__Frame frame = GSLB__FRAME__INIT;
    struct arena a;

    arena_init(&a, 0);
    c->sequence++;
    frame.body_case = GSLB__FRAME__BODY_REPORT;
    frame.report = control_build_report(c, &a, false);
    for (size_t i = 0; i < c->n_nodes; i++)
        if (c->nodes[i]->is_open)
            frame_link_send(c->nodes[i]->link, &frame);
    arena_free(&a);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct control *c = arg;
    int64_t now_ms = clock_mono_ms();

    for (size_t i = 0; i < c->n_nodes; i++)
        control_node_check(c->nodes[i], now_ms);
    if (c->n_nodes > 0)
        send_reports(c);
    c->reported_ms = now_ms;
    set_timer(c, c->config->control.report_interval_ms);
}

void control_report_now(struct control *c)
{
    if (c->config != NULL)
        set_timer(c, c->reported_ms + CONTROL_URGENT_MS - clock_mono_ms());
}

bool control_is_draining(const struct control *c)
{
    return c->is_draining;
}

void control_set_drain(struct control *c, bool is_on, const char *reason)
{
    bool was_on = c->is_draining;

    c->is_draining = is_on;
    text_clean(c->drain_reason, sizeof(c->drain_reason), is_on && reason ? reason : "");
    control_report_now(c);
    if (is_on == was_on)
        return;
    log_info("control", "%s reason=\"%s\"", is_on ? "draining" : "no longer draining",
             c->drain_reason);
    c->hooks.on_drain(c->hooks.arg, is_on, c->drain_reason);
}

struct control *control_new(struct loop *loop, const struct control_hooks *hooks)
{
    struct control *c = base_zalloc(1, sizeof(*c));

    c->base = loop_base(loop);
    c->hooks = *hooks;
    c->started_ms = clock_mono_ms();
    c->timer = evtimer_new(c->base, on_timer, c);
    ensure(c->timer != NULL);
    return c;
}

static void release_socket(struct control *c)
{
    if (c->acceptor == NULL)
        return;
    acceptor_free(c->acceptor);
    c->acceptor = NULL;
    free(c->socket_path);
    c->socket_path = NULL;
}

static void close_socket(struct control *c)
{
    if (c->acceptor != NULL)
        unlink(c->socket_path);
    release_socket(c);
}

static void free_nodes(struct control *c)
{
    for (size_t i = 0; i < c->n_nodes; i++)
        control_node_free(c->nodes[i]);
    c->n_nodes = 0;
}

void control_hand_over(struct control *c)
{
    release_socket(c);
    control_close_operators(c);
    free_nodes(c);
    exporter_free(c->exporter);
    c->exporter = NULL;
}

void control_free(struct control *c)
{
    if (c == NULL)
        return;
    close_socket(c);
    control_close_operators(c);
    free_nodes(c);
    exporter_free(c->exporter);
    event_free(c->timer);
    SSL_CTX_free(c->tls);
    free(c->nodes);
    free(c);
}

static SSL_CTX *make_tls(const struct config *config, struct errors *errors)
{
    const struct config_control *control = &config->control;
    struct tls_files files = {control->certificate_path, control->key_path, control->ca_path,
                              control->tls_place};
    struct tls_identity own;
    SSL_CTX *tls;

    if (files.certificate_path == NULL || files.key_path == NULL || files.ca_path == NULL) {
        errors_add(errors, files.place,
                   "the channel to gslb-dns needs certificate, key and ca: an edge proves itself "
                   "by its certificate");
        return NULL;
    }
    tls = tls_channel_new(TLS_CLIENT, &files, &own, errors);
    if (tls == NULL || (own.role == TLS_ROLE_EDGE && strcmp(own.name, config->name) == 0))
        return tls;
    errors_add(errors, files.place,
               "the certificate '%s' is that of gslb://%s/%s; this edge needs gslb://edge/%s",
               files.certificate_path, tls_role_name(own.role), own.name, config->name);
    SSL_CTX_free(tls);
    return NULL;
}

void control_check(const struct config *config, struct errors *errors)
{
    if (config->control.n_servers > 0)
        SSL_CTX_free(make_tls(config, errors));
}

static bool is_socket_kept(const struct control *c, const struct config *config)
{
    const char *path = config->control.socket_path;

    return c->acceptor != NULL && path != NULL && strcmp(c->socket_path, path) == 0;
}

static bool is_exporter_kept(const struct control *c, const struct config *config)
{
    return c->exporter != NULL && config->metrics.length != 0 &&
           addr_eq(&c->exporter_at, &config->metrics);
}

static void write_metrics(void *arg, struct text *out)
{
    control_write_metrics(arg, out);
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

static struct outcome open_socket(struct control_change *change, struct errors *errors)
{
    const struct config_control *config = &change->config->control;

    if (config->socket_path == NULL || is_socket_kept(change->control, change->config))
        return OUTCOME_OK;
    change->unix_fd = net_listen_unix(config->socket_path, errors, config->socket_place);
    return change->unix_fd >= 0 ? OUTCOME_OK : OUTCOME_FAILED;
}

struct control_change *control_prepare(struct control *c, const struct config *config,
                                       struct errors *errors)
{
    struct control_change *change = base_zalloc(1, sizeof(*change));
    bool is_bad = false;

    *change = (struct control_change){.control = c, .config = config, .unix_fd = -1};
    if (config->control.n_servers > 0) {
        change->tls = make_tls(config, errors);
        is_bad = change->tls == NULL;
    }
    is_bad |= has_failed(open_socket(change, errors));
    is_bad |= has_failed(open_exporter(change, errors));
    if (!is_bad)
        return change;
    control_discard(change);
    return NULL;
}

void control_discard(struct control_change *change)
{
    if (change == NULL)
        return;
    if (change->unix_fd >= 0) {
        close(change->unix_fd);
        unlink(change->config->control.socket_path);
    }
    exporter_free(change->exporter);
    SSL_CTX_free(change->tls);
    free(change);
}

static void commit_socket(struct control *c, const struct control_change *change)
{
    if (is_socket_kept(c, change->config))
        return;
    close_socket(c);
    if (change->unix_fd < 0)
        return;
    c->socket_path = base_strdup(change->config->control.socket_path);
    c->acceptor = acceptor_new(c->base, change->unix_fd, control_on_unix, c);
}

static void commit_exporter(struct control *c, const struct control_change *change)
{
    if (is_exporter_kept(c, change->config))
        return;
    exporter_free(c->exporter);
    c->exporter = change->exporter;
    c->exporter_at = change->config->metrics;
}

/* The open node with this address, taken out of the old list. */
static struct control_node *take_node(struct control *c, const struct config_peer *peer)
{
    for (size_t i = 0; i < c->n_nodes; i++) {
        struct control_node *n = c->nodes[i];

        if (n == NULL || !addr_eq(&n->address, &peer->address))
            continue;
        c->nodes[i] = NULL;
        return n;
    }
    return NULL;
}

static void commit_nodes(struct control *c, const struct config_control *config)
{
    struct control_node **nodes = base_zalloc(config->n_servers + 1, sizeof(struct control_node *));
    struct control_node **old = c->nodes;
    size_t n_old = c->n_nodes;

    for (size_t i = 0; i < config->n_servers; i++) {
        nodes[i] = take_node(c, &config->servers[i]);
        if (nodes[i] == NULL)
            nodes[i] = control_node_new(c, &config->servers[i]);
    }
    c->nodes = nodes;
    c->n_nodes = config->n_servers;
    for (size_t i = 0; i < n_old; i++)
        if (old[i] != NULL)
            control_node_free(old[i]);
    free(old);
}

void control_commit(struct control *c, struct control_change *change)
{
    c->config = change->config;
    SSL_CTX_free(c->tls);
    c->tls = change->tls;
    commit_socket(c, change);
    commit_exporter(c, change);
    commit_nodes(c, &change->config->control);
    for (size_t i = 0; i < c->n_nodes; i++)
        control_node_verify(c->nodes[i]);
    free(change);
    control_report_now(c);
}

size_t control_connected_nodes(const struct control *c)
{
    int64_t now_ms = clock_mono_ms();
    size_t n = 0;

    for (size_t i = 0; i < c->n_nodes; i++)
        n += control_node_is_heard(c->nodes[i], now_ms);
    return n;
}

void control_write_metrics(const struct control *c, struct text *out)
{
    c->hooks.metrics(c->hooks.arg, out);
    frame_write_metrics(out);
    metrics_write_head(out, "gslb_channel_node_connected", "gauge",
                       "1 when the gslb-dns node acknowledges this edge's reports.");
    for (size_t i = 0; i < c->n_nodes; i++)
        text_addf(out, "gslb_channel_node_connected{node=\"%s\"} %d\n", c->nodes[i]->name,
                  control_node_is_heard(c->nodes[i], clock_mono_ms()));
    metrics_write_head(out, "gslb_edge_draining", "gauge", "1 while this edge drains.");
    text_addf(out, "gslb_edge_draining %d\n", c->is_draining);
    if (c->tls == NULL)
        return;
    metrics_write_head(out, "gslb_channel_certificate_expires_seconds", "gauge",
                       "Until this edge's channel certificate expires.");
    text_addf(out, "gslb_channel_certificate_expires_seconds %lld\n",
              (long long)tls_expires_in_s(c->tls));
}
