/* SPDX-License-Identifier: BSD-2-Clause */
/* net, inside: the two transports under the server. Each owns the sockets that it is handed. */
#ifndef GSLB_DNS_NET_INTERNAL_H
#define GSLB_DNS_NET_INTERNAL_H

#include "gslb-dns/net/net.h"

/* One thread over its own sockets, one per address. The sockets are blocking ones. */
struct udp_worker;
struct udp_worker *udp_worker_start(unsigned number, const int *sockets, size_t n,
                                    const struct net_handler *handler, struct metrics *metrics);
/* Serves these from now on. Sockets that are not among them are emptied and closed. Returns when
 * the worker has taken over. */
void udp_worker_update(struct udp_worker *w, const int *sockets, size_t n);
void udp_worker_stop(struct udp_worker *w);

struct tcp_settings {
    const int *listeners;
    size_t n_listeners;
    uint32_t idle_ms, max_connections;
};

struct tcp_server;
struct tcp_server *tcp_server_start(const struct tcp_settings *settings,
                                    const struct net_handler *handler, struct metrics *metrics);
/* Listeners that are not among the new ones are closed; connections stay. */
void tcp_server_update(struct tcp_server *s, const struct tcp_settings *settings);
void tcp_server_stop(struct tcp_server *s);
size_t tcp_server_connections(const struct tcp_server *s);

#endif
