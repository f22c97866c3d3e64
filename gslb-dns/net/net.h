/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * net: messages in, messages out, by UDP and TCP. It knows the two bytes that TCP puts before a
 * message (RFC 1035 section 4.2.2) and otherwise not what a message is: that is behind one
 * function pointer.
 *
 *   UDP  one thread per core, a socket per thread and address (SO_REUSEPORT):
 *        recvmmsg ─▶ answer ─▶ sendmmsg, at once with what there is, at most 64 together
 *   TCP  one loop for all connections: read ─▶ answer every whole message ─▶ one write
 *
 * Threads: start, update and stop belong to one control thread. answer runs on every thread of
 * net, each with the context that open made for that thread, between snapshot_enter and
 * snapshot_leave.
 */
#ifndef GSLB_DNS_NET_H
#define GSLB_DNS_NET_H

#include "common/addr/addr.h"
#include "common/base/base.h"
#include "common/error/error.h"
#include "common/metrics/metrics.h"
#include "gslb-dns/answer/answer.h"

struct net_handler {
    /* Makes a thread's context; counters is its block over answer_counter_table. */
    void *(*open)(void *arg, struct metrics_block *counters);
    /* Sets each query's out_bytes; 0 sends nothing, and by TCP ends the connection. */
    void (*answer)(void *context, struct answer_query *queries, size_t n);
    void (*close)(void *context);
    void *arg;
};

struct net_settings {
    const struct addr *listen; /* UDP and TCP; at least one; port 0: the kernel's choice */
    size_t n_listen;
    struct place listen_place; /* for messages */
    unsigned workers;          /* UDP threads, 0: one per CPU */
    uint32_t tcp_idle_ms;      /* without a whole query, or without reading what was answered */
    uint32_t tcp_max_connections;
};

struct net_server;

/* Binds every address, or none: NULL then, and errors says which and why. Serves on return. */
struct net_server *net_server_start(const struct net_settings *settings,
                                    const struct net_handler *handler, struct metrics *metrics,
                                    struct errors *errors);
/* New settings while it runs. Addresses that stay keep their sockets and lose no query; a failure
 * changes nothing. The number of workers is fixed at start: another one is a warning. */
MUST_USE struct outcome net_server_update(struct net_server *s, const struct net_settings *settings,
                                          struct errors *errors);
/* Answers what has been received, closes, joins its threads and frees s. */
void net_server_stop(struct net_server *s);

/* Where it listens, by the index in settings.listen; with the port that the kernel chose. */
struct addr net_server_address(const struct net_server *s, size_t i);
/* TCP connections that are open now. Any thread. */
size_t net_server_connections(const struct net_server *s);

#endif
