/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge-proxy/flow/flow.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    FREE_BUFFERS_KEPT = 64, /* those beyond go back to malloc: a burst does not stay for ever */
    BUFFERS_TOLD = 8        /* a worker's share in the sum, which all write, changes by so many */
};

/* Of all workers. */
static _Atomic int64_t buffers_taken;
static _Atomic int64_t buffers_budget = INT64_MAX;

void buffers_set_budget(uint64_t bytes)
{
    atomic_store_explicit(&buffers_budget, (int64_t)(bytes / sizeof(struct buffer)),
                          memory_order_relaxed);
}

/* More than n / of_n of the budget are taken. */
static bool is_taken(int64_t n, int64_t of_n)
{
    int64_t budget = atomic_load_explicit(&buffers_budget, memory_order_relaxed);

    return atomic_load_explicit(&buffers_taken, memory_order_relaxed) > budget / of_n * n;
}

bool buffers_are_short_for_visitors(void)
{
    return is_taken(3, 4);
}

bool buffers_are_short_for_origins(void)
{
    return is_taken(1, 1);
}

static void note_taken(struct worker *w, int n)
{
    w->n_untold_buffers += n;
    if (w->n_untold_buffers > -BUFFERS_TOLD && w->n_untold_buffers < BUFFERS_TOLD)
        return;
    atomic_fetch_add_explicit(&buffers_taken, w->n_untold_buffers, memory_order_relaxed);
    w->n_untold_buffers = 0;
}

void worker_init(struct worker *w, unsigned index, struct loop *loop)
{
    *w = (struct worker){.index = index, .loop = loop, .base = loop_base(loop)};
    w->counters = metrics_add_block(&counters_all);
    w->scratch = base_alloc(WORKER_SCRATCH_BYTES);
    w->tls_batch = base_alloc(WORKER_TLS_BATCH_BYTES);
    wheel_init(&w->wheel, w->base);
}

void worker_stop(struct worker *w)
{
    wheel_stop(&w->wheel);
    for (struct buffer *b = w->free_buffers, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    free(w->scratch);
    free(w->tls_batch);
}

struct buffer *buffer_take(struct worker *w)
{
    struct buffer *b = w->free_buffers;

    note_taken(w, 1);
    if (b != NULL) {
        w->free_buffers = b->next;
        w->n_free_buffers--;
    } else {
        b = base_alloc(sizeof(*b));
    }
    b->next = NULL;
    b->floor = b->start = b->end = 0;
    return b;
}

void buffer_give(struct worker *w, struct buffer *b)
{
    if (b == NULL)
        return;
    note_taken(w, -1);
    if (w->n_free_buffers >= FREE_BUFFERS_KEPT) {
        free(b);
        return;
    }
    b->next = w->free_buffers;
    w->free_buffers = b;
    w->n_free_buffers++;
}
