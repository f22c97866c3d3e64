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

/* leaving.c: how an edge goes, by itself or because a newer program takes its place. */
struct leaving;
struct leaving_hooks {
    void *arg;
    struct request_shared *shared;  /* whose connections are waited for */
    void (*close_doors)(void *arg); /* let nobody new in, send those away who are idle */
    void (*hand_over)(void *arg);   /* the newer program serves: begin to leave */
    void (*stop)(void *arg);        /* nothing is open any more, or the time is up */
};
struct leaving *leaving_new(struct event_base *base, const struct leaving_hooks *hooks);
void leaving_free(struct leaving *l);
bool leaving_has_begun(const struct leaving *l);
/* For notice_ms visitors are still let in, though asked to go after each response; then the doors
 * close, and what is open gets drain_ms. */
void leaving_begin(struct leaving *l, uint32_t notice_ms, uint32_t drain_ms);
/* Starts the program anew, as it lies there now, and calls hand_over when that one serves. */
void leaving_hand_over(struct leaving *l);

#endif
