/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge-proxy/flow/flow.h"

#include <stdlib.h>

/* Buffers beyond these go back to malloc: a burst does not stay in memory for ever. */
enum { FREE_BUFFERS_KEPT = 64 };

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
    if (w->n_free_buffers >= FREE_BUFFERS_KEPT) {
        free(b);
        return;
    }
    b->next = w->free_buffers;
    w->free_buffers = b;
    w->n_free_buffers++;
}
