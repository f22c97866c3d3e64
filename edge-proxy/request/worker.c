/* SPDX-License-Identifier: BSD-2-Clause */
/* What each worker keeps for its requests: its generation, its clock, its pool of requests. */
#include "edge-proxy/request/request_internal.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

static struct generation_use *use_new(struct generation *g)
{
    struct generation_use *use = base_zalloc(1, sizeof(*use));

    *use = (struct generation_use){.g = g, .is_current = true};
    return use;
}

static void free_unused(struct request_worker *rw, struct generation_use *use)
{
    if (use->is_current || use->n_requests > 0)
        return;
    rw->shared->on_generation_unused(rw->shared->arg, use->g);
    free(use);
}

struct request_worker *request_worker_new(struct worker *w, struct request_shared *shared,
                                          struct generation *first)
{
    struct request_worker *rw = base_zalloc(1, sizeof(*rw));

    *rw = (struct request_worker){.w = w, .shared = shared};
    rw->upstream = upstream_worker_new(w, shared->idle_origins);
    upstream_worker_adopt(rw->upstream, first->config->n_pools);
    rw->current = use_new(first);
    ensure(RAND_bytes((unsigned char *)&rw->id_prefix, sizeof(rw->id_prefix)) == 1);
    return rw;
}

void request_worker_adopt(struct request_worker *rw, struct generation *g)
{
    struct generation_use *old = rw->current;

    upstream_worker_adopt(rw->upstream, g->config->n_pools);
    rw->current = use_new(g);
    old->is_current = false;
    free_unused(rw, old);
}

struct generation_use *request_worker_hold(struct request_worker *rw)
{
    rw->current->n_requests++;
    return rw->current;
}

void request_worker_release(struct request_worker *rw, struct generation_use *use)
{
    use->n_requests--;
    free_unused(rw, use);
}

struct generation *request_worker_generation(const struct request_worker *rw)
{
    return rw->current->g;
}

struct request_shared *request_worker_shared(const struct request_worker *rw)
{
    return rw->shared;
}

struct worker *request_worker_flow(const struct request_worker *rw)
{
    return rw->w;
}

struct str worker_date(struct request_worker *rw, int64_t now_s)
{
    if (rw->date_s != now_s) {
        fields_format_date(now_s, rw->date);
        rw->date_s = now_s;
    }
    return (struct str){rw->date, FIELDS_DATE_BYTES};
}

void request_worker_stop(struct request_worker *rw)
{
    while (rw->fetches != NULL)
        request_free(rw->fetches);
    access_log_flush(rw);
    wheel_clear(&rw->w->wheel, &rw->log_timer);
    upstream_worker_free(rw->upstream);
    rw->upstream = NULL;
    rw->current->is_current = false;
    free_unused(rw, rw->current);
}

void request_worker_free(struct request_worker *rw)
{
    for (struct request *r = rw->free_requests, *next; r != NULL; r = next) {
        next = r->next;
        free(r);
    }
    free(rw->log_chunk);
    free(rw);
}
