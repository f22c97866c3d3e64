/* SPDX-License-Identifier: BSD-2-Clause */
/* control_rate: counters of reports to figures that a person can read. */
#include "gslb-dns/control/control_internal.h"

#include <string.h>

enum {
    WINDOW_MS = CONTROL_RATE_SAMPLES * CONTROL_RATE_STEP_MS,
    LEAST_MS = 500, /* over less than that a rate says nothing */
};

void control_rate_start(struct control_rate *r)
{
    *r = (struct control_rate){.cache_hit_ratio = -1};
}

static void drop_oldest(struct control_rate *r)
{
    memmove(&r->samples[0], &r->samples[1], --r->n * sizeof(r->samples[0]));
}

/* Keeps one even if it is old: an edge that reports every minute has a rate over that minute. */
static void drop_outdated(struct control_rate *r, int64_t now_ms)
{
    while (r->n > 1 && now_ms - r->samples[0].at_ms > WINDOW_MS + CONTROL_RATE_STEP_MS / 2)
        drop_oldest(r);
}

static void work_out(struct control_rate *r, const struct control_sample *now)
{
    const struct control_sample *since = &r->samples[0];
    int64_t span_ms = now->at_ms - since->at_ms;

    if (span_ms < LEAST_MS)
        return;
    r->requests_per_s = (double)(now->requests - since->requests) * 1000 / (double)span_ms;
    r->cache_hit_ratio =
        now->lookups == since->lookups
            ? -1
            : (double)(now->hits - since->hits) / (double)(now->lookups - since->lookups);
}

/* Counters only grow, unless the edge has started anew. */
static bool is_restart(const struct control_sample *before, const struct control_sample *now)
{
    return now->requests < before->requests || now->hits < before->hits ||
           now->lookups < before->lookups;
}

void control_rate_add(struct control_rate *r, const struct control_sample *now)
{
    if (r->n > 0 && is_restart(&r->samples[r->n - 1], now))
        control_rate_start(r);
    if (r->n > 0) {
        drop_outdated(r, now->at_ms);
        work_out(r, now);
        /* Reports that come a little early still make one sample a second. */
        if (now->at_ms - r->samples[r->n - 1].at_ms < CONTROL_RATE_STEP_MS * 9 / 10)
            return;
    }
    if (r->n == CONTROL_RATE_SAMPLES)
        drop_oldest(r);
    r->samples[r->n++] = *now;
}
