/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report: how this edge is. Gathers load, origins, cache, listeners and counters into the report
 * that control sends, and writes them as Prometheus text; decides whether visitors may be sent
 * here at all.
 * Place: main asks for control's and the metrics page's sake; it reads what the other rooms offer.
 * Threads: the main thread only.
 */
#ifndef EDGE_PROXY_REPORT_H
#define EDGE_PROXY_REPORT_H

#include "edge-proxy/control/control.h"
#include "edge-proxy/listen/listen.h"

/* What is looked at; kept up to date by main. */
struct report_sources {
    const struct generation *generation;
    const struct request_shared *shared;
    const struct listen *listen;
    struct disk *disk; /* of the cache; NULL: none */
    unsigned n_workers;
};

struct report;
struct report *report_new(void);
void report_free(struct report *r);

/* Fills *out (its arena set, else zeroed). */
void report_fill(struct report *r, const struct report_sources *s, struct control_report *out);
/* Has the verdict changed since the last report that was filled? */
bool report_has_new_verdict(const struct report *r, const struct report_sources *s);
/* Counters and gauges. */
void report_write_metrics(struct report *r, const struct report_sources *s, struct text *out);

#endif
