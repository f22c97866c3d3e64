/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * edge: the program as a whole. Makes generations from the configuration, starts the workers,
 * swaps generations on reload, drains and stops. Inside main; its one thread is the main thread,
 * which also carries control, checks and signals.
 */
#ifndef EDGE_PROXY_EDGE_H
#define EDGE_PROXY_EDGE_H

#include "common/error/error.h"
#include "edge-proxy/listen/listen.h"

struct edge;

/* Everything that a start would read is read and judged; nothing is opened. */
MUST_USE struct outcome edge_check(const char *path, struct errors *errors);
/* Listens and serves. NULL: errors say why. */
struct edge *edge_start(const char *path, struct errors *errors);
/* Until a signal stops it and what is open has been finished. */
void edge_run(struct edge *e);
void edge_stop(struct edge *e);

/* generation.c. NULL: errors say why. previous (or NULL) passes on what is known of origins. */
struct generation *generation_load(const char *path, const struct generation *previous,
                                   struct errors *errors);
void generation_free(struct generation *g);

#endif
