/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * net: messages in, messages out, whatever a message is: that is behind one function pointer. The
 * sockets of all addresses, the threads that serve UDP, and how one set becomes another; what comes
 * by connections is stream's.
 *
 *   UDP  one thread per core, a socket per thread and address (SO_REUSEPORT):
 *        recvmmsg ─▶ answer ─▶ sendmmsg, at once with what there is, at most 64 together
 *   TCP  threads of their own, each with a listener per address, by stream
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
#include "gslb-dns/stream/stream.h"

/* Addresses for one transport. */
struct net_addresses {
    const struct addr *listen; /* port 0: the kernel's choice */
    size_t n;
    struct place place; /* for messages */
};

struct net_settings {
    const struct addr *listen; /* UDP and TCP; at least one; port 0: the kernel's choice */
    size_t n_listen;
    struct place listen_place; /* for messages */
    struct net_addresses tls, https;
    const struct tls_files *certificates; /* where one of these listens; read anew by each update */
    size_t n_certificates;
    int min_tls_version;
    const char *doh_path;         /* stays until the next update */
    const struct prefix *proxies; /* as in struct stream_settings; stays until the next update */
    size_t n_proxies;
    unsigned workers;             /* UDP threads, 0: one per CPU */
    unsigned tcp_threads;         /* 0: as many as workers */
    uint32_t tcp_idle_ms;         /* without a whole query, or without reading what was answered */
    uint32_t tcp_max_connections; /* of all threads together */
};

struct net_server;

/* Binds every address, or none: NULL then, and errors says which and why. Serves on return. */
struct net_server *net_server_start(const struct net_settings *settings,
                                    const struct net_handler *handler, struct metrics *metrics,
                                    struct errors *errors);
/* New settings while it runs. Addresses that stay keep their sockets and lose no query; a failure
 * changes nothing. The numbers of threads are fixed at start: others are a warning. */
MUST_USE struct outcome net_server_update(struct net_server *s, const struct net_settings *settings,
                                          struct errors *errors);
/* Answers what has been received, closes, joins its threads and frees s. */
void net_server_stop(struct net_server *s);

/* Whether the certificates can be loaded, without serving. */
MUST_USE struct outcome net_check(const struct net_settings *settings, struct errors *errors);

/* Where it listens, by the index in settings.listen, then tls, then https; with the port that the
 * kernel chose. */
struct addr net_server_address(const struct net_server *s, size_t i);
/* Connections that are open now. Any thread. */
size_t net_server_connections(const struct net_server *s, enum answer_transport transport);

#endif
