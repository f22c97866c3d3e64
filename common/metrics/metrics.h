/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics: counters that cost one add to their own thread and are summed when somebody looks.
 * A program lists its counters once, as an X-macro table:
 *
 *   #define DNS_COUNTERS(X) \
 *       X(QUERIES_UDP, "gslb_dns_queries_total{transport=\"udp\"}", "Queries received.")
 *
 * Each writing thread owns one metrics_block; only it adds, with relaxed stores; readers sum all.
 */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include "common/base/base.h"
#include "common/text/text.h"

struct metrics_counter {
    const char *name; /* Prometheus name with labels; one family's rows stand together */
    const char *help;
};

/* One thread's counters; values[i] belongs to row i of the table. */
struct metrics_block {
    struct metrics_block *next;
    size_t n;
    uint64_t values[];
};

struct metrics {
    const struct metrics_counter *table;
    size_t n;
    struct metrics_block *blocks; /* pushed once per thread, never removed */
};

/* A fresh block for the calling thread; it stays when the thread ends, so that nothing counted is
 * lost. */
struct metrics_block *metrics_add_block(struct metrics *m);
/* All blocks, when no thread writes any more. */
void metrics_free(struct metrics *m);

static inline void metrics_add(struct metrics_block *b, size_t counter, uint64_t by)
{
    uint64_t *v = &b->values[counter];
    __atomic_store_n(v, __atomic_load_n(v, __ATOMIC_RELAXED) + by, __ATOMIC_RELAXED);
}

uint64_t metrics_sum(const struct metrics *m, size_t counter);
/* All counters as Prometheus text, # HELP and # TYPE once per family. */
void metrics_write(const struct metrics *m, struct text *out);
/* gslb_build_info, which dashboards join by: the program and its version as labels. */
void metrics_write_build(struct text *out, const char *program);
/* One gauge with its head, for values that are read rather than counted. */
void metrics_write_head(struct text *out, const char *family, const char *type, const char *help);

#endif
