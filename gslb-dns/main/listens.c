/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/main/listens.h"

#include "common/metrics/metrics.h"
#include "common/tls/tls.h"
#include "gslb-dns/answer/answer.h"

#include <stdlib.h>

/* Its certificates are the caller's to free. */
static struct net_settings net_settings_of(const struct config *c)
{
    struct tls_files *certificates = base_zalloc(c->n_certificates + 1, sizeof(*certificates));

    for (size_t i = 0; i < c->n_certificates; i++)
        certificates[i] =
            (struct tls_files){.certificate_path = c->certificates[i].certificate_path,
                               .key_path = c->certificates[i].key_path,
                               .place = c->certificates[i].place};
    return (struct net_settings){
        .tls = {c->listen_tls, c->n_listen_tls, c->listen_tls_place},
        .https = {c->listen_https, c->n_listen_https, c->listen_https_place},
        .certificates = certificates,
        .n_certificates = c->n_certificates,
        .min_tls_version = c->min_tls_version,
        .doh_path = c->doh_path,
        .proxies = c->proxies,
        .n_proxies = c->n_proxies,
        .listen = c->listen,
        .n_listen = c->n_listen,
        .listen_place = c->listen_place,
        .workers = c->workers,
        .tcp_threads = c->tcp_threads,
        .tcp_idle_ms = c->tcp_idle_ms,
        .tcp_max_connections = c->tcp_max_connections,
    };
}

static void *open_context(void *arg, struct metrics_block *counters)
{
    return answer_context_new(arg, counters);
}

static void answer(void *context, struct answer_query *queries, size_t n)
{
    answer_batch(context, queries, n);
}

static uint32_t next(void *context, struct answer_stream *s, uint8_t *out, uint32_t cap)
{
    return answer_next(context, s, out, cap);
}

static void close_context(void *context)
{
    answer_context_free(context);
}

struct net_handler listens_handler(struct snapshot_slot *world)
{
    return (struct net_handler){.open = open_context,
                                .answer = answer,
                                .next = next,
                                .abandon = answer_abandon,
                                .close = close_context,
                                .arg = world};
}

struct net_server *listens_start(const struct config *c, const struct net_handler *handler,
                                 struct metrics *metrics, struct errors *errors)
{
    struct net_settings settings = net_settings_of(c);
    struct net_server *server = net_server_start(&settings, handler, metrics, errors);

    free((void *)settings.certificates);
    return server;
}

struct outcome listens_update(struct net_server *server, const struct config *c,
                              struct errors *errors)
{
    struct net_settings settings = net_settings_of(c);
    struct outcome outcome = net_server_update(server, &settings, errors);

    free((void *)settings.certificates);
    return outcome;
}

struct outcome listens_check(const struct config *c, struct errors *errors)
{
    struct net_settings settings = net_settings_of(c);
    struct outcome outcome = net_check(&settings, errors);

    free((void *)settings.certificates);
    return outcome;
}

void listens_update_xdp(struct xdp *xdp, const struct net_server *server, const struct config *c,
                        struct errors *errors)
{
    struct addr *listen = base_alloc(c->n_listen * sizeof(*listen));
    struct xdp_settings settings = {c->xdp, c->n_xdp, listen, c->n_listen};

    for (size_t i = 0; i < c->n_listen; i++)
        listen[i] = net_server_address(server, i);
    xdp_update(xdp, &settings, errors);
    free(listen);
}

static void add_listens(struct text *out, const struct net_server *server, size_t first,
                        size_t count)
{
    char text[ADDR_TEXT];

    for (size_t i = 0; i < count; i++) {
        struct addr a = net_server_address(server, first + i);

        text_addf(out, "%s%s", i > 0 ? "," : "", addr_format(&a, text));
    }
}

void listens_describe(const struct net_server *server, const struct config *c, struct text *out)
{
    add_listens(out, server, 0, c->n_listen);
    if (c->n_listen_tls > 0) {
        text_adds(out, " tls=");
        add_listens(out, server, c->n_listen, c->n_listen_tls);
    }
    if (c->n_listen_https > 0) {
        text_adds(out, " https=");
        add_listens(out, server, c->n_listen + c->n_listen_tls, c->n_listen_https);
    }
}

void listens_write_metrics(const struct net_server *server, struct text *out)
{
    static const char *const names[] = {"udp", "tcp", "tls", "https"};

    metrics_write_head(out, "gslb_dns_tcp_connections", "gauge", "TCP connections that are open.");
    for (enum answer_transport t = ANSWER_TCP; t <= ANSWER_HTTPS; t++)
        text_addf(out, "gslb_dns_tcp_connections{transport=\"%s\"} %zu\n", names[t],
                  net_server_connections(server, t));
}
