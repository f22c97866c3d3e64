/* SPDX-License-Identifier: BSD-2-Clause */
/* net, inside: what serves UDP. It owns the sockets that it is handed. */
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

#endif
