/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of resolve share. */
#ifndef EDGE_PROXY_RESOLVE_INTERNAL_H
#define EDGE_PROXY_RESOLVE_INTERNAL_H

#include "edge-proxy/resolve/resolve.h"

#include <event2/event_struct.h>

enum { RESOLVE_IPV6, RESOLVE_IPV4, RESOLVE_FAMILIES };
enum resolve_verdict { RESOLVE_FOUND, RESOLVE_DENIED, RESOLVE_FAILED };

/* The newest answer to one of a name's two questions. */
struct resolve_family {
    enum resolve_verdict verdict;
    uint32_t ttl_s;
    size_t n;
    struct ip ips[RESOLVE_ADDRESSES_MAX];
    char why[RESOLVE_WHY_TEXT];
};

struct resolve_watcher {
    void (*on_change)(void *arg, const struct resolve_answer *a);
    void *arg;
};

struct resolve_name {
    struct resolver *r;
    struct resolve_name *next;
    const char *host;
    struct wheel_timer due;
    unsigned n_open; /* questions under way */
    unsigned n_failures;
    int64_t denied_ms; /* all of it, since then; 0: it is not */
    struct resolve_family families[RESOLVE_FAMILIES];
    struct resolve_answer answer;
    struct resolve_watcher *watchers;
    size_t n_watchers, cap_watchers;
};

struct resolver {
    const struct config_resolver *config;
    struct event_base *base;
    struct wheel *wheel;
    const struct resolver *previous;  /* while names are added */
    struct ares_channeldata *channel; /* NULL: stopped */
    struct event timer;
    struct resolve_socket *sockets;
    struct resolve_name *names;
};

/* ares.c */
/* Asks both questions; resolve_conclude follows, at once if c-ares cannot ask. */
void resolve_query(struct resolve_name *name);

/* resolve.c */
/* Both families have a verdict. */
void resolve_conclude(struct resolve_name *name);
/* A name has no verdict yet. */
bool resolve_is_waiting(const struct resolver *r);

#endif
