/* SPDX-License-Identifier: BSD-2-Clause */
/* All differences from a version on, merged: what became of a record is told by its first step and
 * its last, since it can only come where it is not, and go where it is. */
#include "gslb-dns/history/history_internal.h"

#include <stdlib.h>

struct history_walk {
    struct history *history;
    size_t first; /* difference */
    bool is_new;
    const uint8_t *item; /* where it stands; NULL: not known yet */
    size_t at[];         /* the next step of each difference from the first on */
};

/* Of the differences that begin with this version, the last one. */
static size_t find_first(const struct history *h, uint32_t serial)
{
    size_t i = h->n;

    while (i > 0 && h->differences[i - 1]->from->serial != serial)
        i--;
    return i > 0 ? i - 1 : SIZE_MAX;
}

struct history_walk *history_walk_new(const struct history *h, uint32_t serial)
{
    size_t first = find_first(h, serial), bytes = 0;
    struct history_walk *w;

    if (first == SIZE_MAX || h->differences[first]->from->is_blurred)
        return NULL;
    for (size_t i = first; i < h->n; i++)
        bytes += h->differences[i]->items_bytes;
    if (bytes > h->zone_bytes)
        return NULL;
    w = base_zalloc(1, sizeof(*w) + (h->n - first) * sizeof(w->at[0]));
    w->history = history_hold(h);
    w->first = first;
    return w;
}

void history_walk_free(struct history_walk *w)
{
    if (w == NULL)
        return;
    history_release(w->history);
    free(w);
}

struct history_record history_walk_soa(const struct history_walk *w)
{
    return item_record(w->history->differences[w->first]->from->soa);
}

void history_walk_begin(struct history_walk *w, bool is_new)
{
    for (size_t i = 0; i < w->history->n - w->first; i++)
        w->at[i] = 0;
    w->is_new = is_new;
    w->item = NULL;
}

static const struct difference *difference_at(const struct history_walk *w, size_t i)
{
    return w->history->differences[w->first + i];
}

/* The least item that any difference goes on with; NULL: none does. */
static const uint8_t *find_least(const struct history_walk *w)
{
    const uint8_t *least = NULL;

    for (size_t i = 0; i < w->history->n - w->first; i++) {
        const struct difference *d = difference_at(w, i);

        if (w->at[i] < d->n &&
            (least == NULL || item_compare(difference_item(d, w->at[i]), least) < 0))
            least = difference_item(d, w->at[i]);
    }
    return least;
}

/* Steps over the item in all differences; true: what became of it is what the walk tells. */
static bool pass(struct history_walk *w, const uint8_t *item)
{
    bool has_step = false, was_new = false, is_new = false;

    for (size_t i = 0; i < w->history->n - w->first; i++) {
        const struct difference *d = difference_at(w, i);

        if (w->at[i] >= d->n || item_compare(difference_item(d, w->at[i]), item) != 0)
            continue;
        is_new = d->steps[w->at[i]++].is_new;
        was_new = has_step ? was_new : is_new;
        has_step = true;
    }
    return was_new == w->is_new && is_new == w->is_new;
}

bool history_walk_peek(struct history_walk *w, struct history_record *out)
{
    const uint8_t *item = w->item;

    while (item == NULL) {
        item = find_least(w);
        if (item == NULL)
            return false;
        if (!pass(w, item))
            item = NULL;
    }
    w->item = item;
    *out = item_record(item);
    return true;
}

void history_walk_advance(struct history_walk *w)
{
    w->item = NULL;
}
