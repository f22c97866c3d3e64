/* SPDX-License-Identifier: BSD-2-Clause */
/* control_metrics: what this room adds to the metrics page. */
#include "common/clock/clock.h"
#include "common/metrics/metrics.h"
#include "gslb-dns/control/control_internal.h"

static double gauge_usable(const struct control *c, size_t i)
{
    return health_edge(c->health, i)->is_usable;
}

static double gauge_connected(const struct control *c, size_t i)
{
    return c->edges[i].peer != NULL;
}

static double gauge_state(const struct control *c, size_t i)
{
    return health_edge(c->health, i)->state;
}

static double gauge_age(const struct control *c, size_t i)
{
    int64_t at = health_edge(c->health, i)->reported_ms;

    return at != 0 ? (double)(clock_mono_ms() - at) / 1000 : -1;
}

static double gauge_requests(const struct control *c, size_t i)
{
    return c->edges[i].peer != NULL ? c->edges[i].rate.requests_per_s : 0;
}

static double gauge_connections(const struct control *c, size_t i)
{
    const Gslb__Report *r = c->edges[i].report;

    return c->edges[i].peer != NULL && r != NULL && r->load != NULL ? r->load->connections : 0;
}

static const struct {
    const char *family, *help;
    double (*value)(const struct control *c, size_t edge);
} gauges[] = {
    {"gslb_edge_usable", "1 when the edge is in the answers.", gauge_usable},
    {"gslb_edge_connected", "1 when the edge has a link to this node.", gauge_connected},
    {"gslb_edge_state", "0 unknown, 1 up, 2 down, 3 draining, 4 rising.", gauge_state},
    {"gslb_edge_report_age_seconds", "Since the newest report, -1 without one.", gauge_age},
    {"gslb_edge_requests_per_second", "Requests that the edge serves, over 10 s.", gauge_requests},
    {"gslb_edge_connections", "Open connections of visitors.", gauge_connections},
};

static void write_edges(const struct control *c, struct text *out)
{
    for (size_t g = 0; g < COUNT_OF(gauges); g++) {
        metrics_write_head(out, gauges[g].family, "gauge", gauges[g].help);
        for (size_t i = 0; i < c->config->n_edges; i++) {
            const struct config_edge *e = &c->config->edges[i];

            text_addf(out, "%s{edge=\"%s\",region=\"%s\"} %g\n", gauges[g].family, e->name,
                      c->config->regions[e->region].name, gauges[g].value(c, i));
        }
    }
}

static void write_challenges(const struct control *c, struct text *out)
{
    size_t n, n_answered = 0;
    const struct acme_record *records = acme_store_records(c->acme, &n);
    int64_t now_ms = clock_mono_ms();

    for (size_t i = 0; i < n; i++)
        n_answered += acme_is_answered(&records[i], now_ms);
    metrics_write_head(out, "gslb_dns_acme_records", "gauge",
                       "TXT records of ACME challenges under way.");
    text_addf(out, "gslb_dns_acme_records %zu\n", n_answered);
}

void control_write_metrics(const struct control *c, struct text *out)
{
    c->hooks.metrics(c->hooks.arg, out);
    frame_write_metrics(out);
    metrics_write_head(out, "gslb_channel_links", "gauge", "Open links of the control channel.");
    text_addf(out, "gslb_channel_links %zu\n", c->n_peers);
    if (c->n_nodes > 0)
        metrics_write_head(out, "gslb_channel_peer_connected", "gauge",
                           "1 when there is a link to this other node.");
    for (size_t i = 0; i < c->n_nodes; i++)
        text_addf(out, "gslb_channel_peer_connected{peer=\"%s\"} %d\n", c->nodes[i]->name,
                  control_node_is_linked(c->nodes[i]));
    write_challenges(c, out);
    if (c->tls != NULL) {
        metrics_write_head(out, "gslb_channel_certificate_expires_seconds", "gauge",
                           "Until this node's certificate expires.");
        text_addf(out, "gslb_channel_certificate_expires_seconds %lld\n",
                  (long long)tls_expires_in_s(c->tls));
    }
    if (c->config == NULL)
        return;
    metrics_write_head(out, "gslb_health_self_suspect", "gauge",
                       "1 while this node keeps its last good view.");
    text_addf(out, "gslb_health_self_suspect %d\n", health_is_self_suspect(c->health));
    write_edges(c, out);
}
