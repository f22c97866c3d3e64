/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xdp: UDP queries taken off an interface before the kernel's network stack sees them, and answers
 * put back, by AF_XDP sockets. A shortcut beside net, never instead of it:
 *
 *   interface ─▶ program in the kernel ─┬─ UDP to an address of `listen` ─▶ AF_XDP ─▶ answer ─▶ out
 *                                       └─ all else ─▶ kernel ─▶ net's sockets, other programs
 *
 * One socket and one thread for each receive queue. The program leaves to the kernel what is not
 * plain: fragments, IPv4 options, IPv6 extension headers, more than one VLAN tag. Answers go back
 * to the MAC address and VLAN that the query came from: the path that has just worked, whatever
 * neighbours and routes become meanwhile.
 *
 * What cannot be had (rights, driver, interface) is a warning; net's sockets serve then.
 *
 * Lifetime: the kernel detaches the program when this process ends, however it ends: it hangs on
 * a bpf_link, and nothing is pinned. Threads: the functions here belong to one control thread.
 */
#ifndef GSLB_DNS_XDP_H
#define GSLB_DNS_XDP_H

#include "common/error/error.h"
#include "common/text/text.h"
#include "gslb-dns/config/config.h"
#include "gslb-dns/net/net.h"

struct xdp_settings {
    const struct config_xdp *interfaces;
    size_t n_interfaces;
    const struct addr *listen; /* with their real ports */
    size_t n_listen;
};

struct xdp;

/* Nothing is attached yet. handler is copied; answers: metrics over answer_counter_table. */
struct xdp *xdp_new(const struct net_handler *handler, struct metrics *answers);
/* Attaches, detaches and tells the kernel the addresses, as these settings want it. */
void xdp_update(struct xdp *x, const struct xdp_settings *settings, struct errors *errors);
/* Answers what has been received, detaches, joins its threads. */
void xdp_free(struct xdp *x);
void xdp_write_metrics(const struct xdp *x, struct text *out);

#endif
