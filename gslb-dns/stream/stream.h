/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream: messages in, messages out, over connections. A connection is a transport (plain TCP, TLS)
 * below a framing (the two bytes of RFC 1035 section 4.2.2, HTTP/2), and what a message is stands
 * behind the one function pointer that UDP has too.
 *
 *   readable ─▶ transport ─▶ framing ─▶ answer every whole message ─▶ framing ─▶ one write
 *
 * Several threads, each with a listener of its own for every address (SO_REUSEPORT) and the
 * connections that came by it. Limits are those of all threads together. The connection that gives
 * way is the one idle longest of the thread that has a new one; of another thread, when it has
 * none.
 *
 * Threads: start, update and stop belong to one control thread. answer, next and abandon run on
 * the connection's thread, with the context that open made for that thread, answer and next between
 * snapshot_enter and snapshot_leave.
 */
#ifndef GSLB_DNS_STREAM_H
#define GSLB_DNS_STREAM_H

#include "common/addr/addr.h"
#include "common/base/base.h"
#include "common/metrics/metrics.h"
#include "common/tls/tls.h"
#include "gslb-dns/answer/answer.h"

/* What answers, for all of net. */
struct net_handler {
    /* Makes a thread's context; counters is its block over answer_counter_table. */
    void *(*open)(void *arg, struct metrics_block *counters);
    /* Sets each query's out_bytes; 0 sends nothing, and by TCP ends the connection. */
    void (*answer)(void *context, struct answer_query *queries, size_t n);
    void (*close)(void *context);
    void *arg;
    /* Answers of more than one message (answer_query.stream). The bytes of the next message; 0:
     * there is none any more, and the stream is freed. Called when the peer has taken what was sent
     * before; other queries of the connection are answered in between (RFC 7766 section 7). */
    uint32_t (*next)(void *context, struct answer_stream *s, uint8_t *out, uint32_t cap);
    /* The connection has ended: frees the stream. */
    void (*abandon)(struct answer_stream *s);
};

struct stream_listener {
    const int *fds; /* one for each thread, which closes it when it is gone from the settings */
    enum answer_transport transport;
};

/* What it points to stays until the next update. */
struct stream_settings {
    const struct stream_listener *listeners;
    size_t n_listeners;
    uint32_t idle_ms;         /* without a whole query, or without reading what was answered */
    uint32_t max_connections; /* of all threads together */
    struct tls_server *tls;   /* of listeners with TLS; made with stream_on_alpn. Each thread takes
                                 a reference; connections keep what they began with */
    const char *doh_path;     /* where DNS over HTTPS is served */
    const struct prefix
        *proxies; /* from them a PROXY header must come first, from others none may */
    size_t n_proxies;
};

/* Chooses "dot" or "h2", by where the connection came. */
int stream_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *offered, unsigned n, void *arg);

struct stream_server;
struct stream_server *stream_server_start(const struct stream_settings *settings,
                                          unsigned n_threads, const struct net_handler *handler,
                                          struct metrics *metrics);
/* Listeners that are not among the new ones are closed; connections stay. */
void stream_server_update(struct stream_server *s, const struct stream_settings *settings);
/* Answers what has been received, gives transfers that are under way a moment to end, closes. */
void stream_server_stop(struct stream_server *s);
/* Connections that are open now. Any thread. */
size_t stream_server_connections(const struct stream_server *s, enum answer_transport transport);

#endif
