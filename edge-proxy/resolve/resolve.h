/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resolve: names of origins into their addresses, by c-ares on the control thread's loop; no worker
 * waits for it. A name is asked for again before what is known of it runs out. What cannot be
 * asked for (SERVFAIL, a timeout) stays as it was, and is called stale; what is denied (NXDOMAIN,
 * no addresses) is believed when it has been denied for a while.
 * Lifetime: a resolver is part of a generation; the next one takes over what it knows.
 * Threads: the control thread's.
 */
#ifndef EDGE_PROXY_RESOLVE_H
#define EDGE_PROXY_RESOLVE_H

#include "common/addr/addr.h"
#include "common/wheel/wheel.h"
#include "edge-proxy/config/config.h"

enum { RESOLVE_ADDRESSES_MAX = 16, RESOLVE_WHY_TEXT = 64 };

/* What is known of a name. */
struct resolve_answer {
    bool has_verdict; /* somebody has answered, or everybody has failed to */
    bool is_stale;    /* the newest question failed or was denied; the addresses are older */
    size_t n;
    struct ip ips[RESOLVE_ADDRESSES_MAX]; /* IPv6 first, each family in order */
    char why[RESOLVE_WHY_TEXT];           /* without an address, or stale: why */
};

struct resolver;
/* previous: whose answers are still good; or NULL. config must outlive it. NULL: c-ares cannot be
 * had (no memory). */
struct resolver *resolver_new(const struct config_resolver *config, struct event_base *base,
                              struct wheel *wheel, const struct resolver *previous);
/* No question is open from then on, and none follows. */
void resolver_stop(struct resolver *r);
void resolver_free(struct resolver *r);
/* From now on on_change(arg, answer) tells of every change of what is known of host, and at once if
 * something is. host must outlive r. */
void resolver_watch(struct resolver *r, const char *host,
                    void (*on_change)(void *arg, const struct resolve_answer *a), void *arg);
/* Waits until every name has a verdict, but no longer. */
void resolver_wait(struct resolver *r, uint32_t at_most_ms);

#endif
