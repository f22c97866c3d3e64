/* SPDX-License-Identifier: BSD-2-Clause */
/* listens: what the configuration says of addresses and transports, as net wants it. Main thread.
 * Private to main. */
#ifndef GSLB_DNS_LISTENS_H
#define GSLB_DNS_LISTENS_H

#include "common/snapshot/snapshot.h"
#include "common/text/text.h"
#include "gslb-dns/config/config.h"
#include "gslb-dns/net/net.h"
#include "gslb-dns/xdp/xdp.h"

/* What answers on the threads of all transports, out of the world in this slot. */
struct net_handler listens_handler(struct snapshot_slot *world);
/* NULL: errors say why not. */
struct net_server *listens_start(const struct config *c, const struct net_handler *handler,
                                 struct metrics *metrics, struct errors *errors);
/* All or nothing. c stays until the next update. */
MUST_USE struct outcome listens_update(struct net_server *server, const struct config *c,
                                       struct errors *errors);
/* What listens_start would refuse, but for taken ports. */
MUST_USE struct outcome listens_check(const struct config *c, struct errors *errors);
/* Never refused: where the fast path cannot be had, the server's sockets serve. */
void listens_update_xdp(struct xdp *xdp, const struct net_server *server, const struct config *c,
                        struct errors *errors);
/* "ADDR,ADDR tls=ADDR https=ADDR", with the ports that the kernel chose. */
void listens_describe(const struct net_server *server, const struct config *c, struct text *out);
void listens_write_metrics(const struct net_server *server, struct text *out);

#endif
