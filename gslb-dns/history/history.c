/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/history/history_internal.h"

#include <stdlib.h>
#include <string.h>

/* About what a transfer takes, counted as differences are: whole names and all. */
static size_t count_zone_bytes(const struct zone *z, const struct version *v)
{
    const struct zone_node *node;
    size_t at = 0, n = v->extra_bytes;

    while ((node = zone_next_node(z, &at)) != NULL)
        for (unsigned i = 0; i < node->n_rrsets; i++) {
            const struct zone_rrset *r = &node->rrsets[i];

            n += (size_t)(r->count + r->n_sigs) * node->name_bytes + r->wire_bytes + r->sig_bytes;
        }
    return n;
}

/* Takes over v. */
static struct history *begin(struct version *v, const struct zone *z, size_t n_differences)
{
    struct history *h = base_zalloc(1, sizeof(*h));

    h->refs = 1;
    h->newest = v;
    h->differences = base_zalloc(n_differences + 1, sizeof(struct difference *));
    h->bytes = sizeof(*h) + sizeof(*v) + v->soa_bytes + v->extra_bytes;
    h->zone_bytes = count_zone_bytes(z, v);
    return h;
}

struct history *history_new(const struct zone *first, const struct history_extra *extra)
{
    struct version *v = version_new(first, extra);

    v->is_blurred = extra->n > 0; /* what a server before this one sent is not known */
    return begin(v, first, 0);
}

static bool is_same(const struct version *a, const struct version *b, const struct difference *d)
{
    return d != NULL && d->n == 0 && a->serial == b->serial && a->soa_bytes == b->soa_bytes &&
           memcmp(a->soa, b->soa, a->soa_bytes) == 0;
}

/* The differences of before that there is room for, and d behind them; takes over v and d. */
static struct history *extend(const struct history *before, struct version *v, struct difference *d,
                              const struct zone *now, size_t max_bytes)
{
    struct history *h = begin(v, now, before->n + 1);
    size_t first = before->n, bytes = h->bytes + d->bytes;

    while (first > 0 && bytes + before->differences[first - 1]->bytes <= max_bytes &&
           before->n - first < HISTORY_VERSIONS_MAX - 1)
        bytes += before->differences[--first]->bytes;
    for (size_t i = first; i < before->n; i++)
        h->differences[h->n++] = difference_hold(before->differences[i]);
    h->differences[h->n++] = d;
    h->bytes = bytes;
    return h;
}

struct history *history_next(struct history *before, const struct zone *old, const struct zone *now,
                             const struct history_extra *extra, size_t max_bytes)
{
    struct version *v = version_new(now, extra);
    struct difference *d = difference_new(before->newest, old, v, now, max_bytes);
    bool has_grown = (int32_t)(v->serial - before->newest->serial) > 0; /* RFC 1982 */

    if (has_grown && d != NULL)
        return extend(before, v, d, now, max_bytes);
    if (is_same(before->newest, v, d)) {
        difference_release(d);
        version_release(v);
        return history_hold(before);
    }
    v->is_blurred = !has_grown; /* two zones, one serial */
    difference_release(d);
    return begin(v, now, 0);
}

struct history *history_hold(const struct history *h)
{
    struct history *held = (struct history *)h;

    atomic_fetch_add(&held->refs, 1);
    return held;
}

void history_release(const struct history *h)
{
    struct history *held = (struct history *)h;

    if (held == NULL || atomic_fetch_sub(&held->refs, 1) > 1)
        return;
    for (size_t i = 0; i < held->n; i++)
        difference_release(held->differences[i]);
    version_release(held->newest);
    free(held->differences);
    free(held);
}

void history_blur(const struct history *h)
{
    h->newest->is_blurred = true;
}

size_t history_bytes(const struct history *h)
{
    return h->bytes;
}

size_t history_versions(const struct history *h)
{
    return h->n;
}
