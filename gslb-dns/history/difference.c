/* SPDX-License-Identifier: BSD-2-Clause */
/* Versions, and what two of them differ in: all records of the RRsets that do, sorted, without the
 * pairs of equal ones. */
#include "common/bytes/bytes.h"
#include "gslb-dns/history/history_internal.h"

#include <stdlib.h>
#include <string.h>

enum { RECORD_HEAD = 12 };

/* ---- Items ---- */

struct history_record item_record(const uint8_t *item)
{
    const uint8_t *wire = item + 1 + item[0];

    return (struct history_record){.name = item + 1,
                                   .name_bytes = item[0],
                                   .wire = wire,
                                   .wire_bytes = RECORD_HEAD + bytes_get_u16(wire + 10)};
}

static int compare_bytes(const uint8_t *a, size_t n_a, const uint8_t *b, size_t n_b)
{
    int order = memcmp(a, b, n_a < n_b ? n_a : n_b);

    return order != 0 ? order : (n_a > n_b) - (n_a < n_b);
}

int item_compare(const uint8_t *a, const uint8_t *b)
{
    struct history_record x = item_record(a), y = item_record(b);
    int order = compare_bytes(x.name, x.name_bytes, y.name, y.name_bytes);

    return order != 0 ? order : compare_bytes(x.wire, x.wire_bytes, y.wire, y.wire_bytes);
}

static size_t item_bytes(const uint8_t *item)
{
    size_t n = 1u + item[0] + item_record(item).wire_bytes;

    return (n + ITEM_ALIGNMENT - 1) / ITEM_ALIGNMENT * ITEM_ALIGNMENT;
}

struct items {
    uint8_t *p;
    size_t n, cap;
};

/* Room for one more; its bytes are zero. */
static uint8_t *add_item(struct items *to, size_t name_bytes, size_t wire_bytes)
{
    size_t n = (name_bytes + wire_bytes + ITEM_ALIGNMENT) / ITEM_ALIGNMENT * ITEM_ALIGNMENT;
    uint8_t *p;

    if (to->n + n > to->cap) {
        to->cap = 2 * (to->n + n);
        to->p = base_realloc(to->p, to->cap);
    }
    p = memset(to->p + to->n, 0, n);
    to->n += n;
    p[0] = (uint8_t)name_bytes;
    return p;
}

static void add_record(struct items *to, const struct history_record *r)
{
    uint8_t *p = add_item(to, r->name_bytes, r->wire_bytes);

    memcpy(p + 1, r->name, r->name_bytes);
    memcpy(p + 1 + r->name_bytes, r->wire, r->wire_bytes);
}

static void add_fields(struct items *to, const struct zone_difference *d)
{
    uint8_t *p = add_item(to, d->name_bytes, (size_t)RECORD_HEAD + d->rdata_bytes);

    memcpy(p + 1, d->name, d->name_bytes);
    p += 1 + d->name_bytes;
    bytes_put_u16(p, 0xc000 | WIRE_HEADER);
    bytes_put_u16(p + 2, d->type);
    bytes_put_u16(p + 4, WIRE_CLASS_IN);
    bytes_put_u32(p + 6, d->ttl_s);
    bytes_put_u16(p + 10, d->rdata_bytes);
    memcpy(p + RECORD_HEAD, d->rdata, d->rdata_bytes);
}

/* ---- Versions ---- */

static bool keep_soa(void *arg, const struct zone_difference *d)
{
    add_fields(arg, d);
    return true;
}

struct version *version_new(const struct zone *z, const struct history_extra *extra)
{
    struct version *v = base_zalloc(1, sizeof(*v));
    struct items soa = {0}, items = {0};

    v->refs = 1;
    v->serial = z->serial;
    zone_tell_soa(z, &(struct zone_difference_sink){keep_soa, &soa});
    for (size_t i = 0; i < extra->n; i++)
        add_record(&items, &extra->records[i]);
    v->soa = soa.p;
    v->soa_bytes = (uint32_t)soa.n;
    v->extra = items.p;
    v->extra_bytes = (uint32_t)items.n;
    return v;
}

struct version *version_hold(struct version *v)
{
    atomic_fetch_add(&v->refs, 1);
    return v;
}

void version_release(struct version *v)
{
    if (v == NULL || atomic_fetch_sub(&v->refs, 1) > 1)
        return;
    free(v->soa);
    free(v->extra);
    free(v);
}

/* ---- Differences ---- */

struct gathering {
    struct items items;
    struct step *steps;
    size_t n, cap, max_bytes;
};

static bool gather(struct gathering *g, size_t at, bool is_new)
{
    BASE_GROW(g->steps, g->n, g->cap);
    g->steps[g->n++] = (struct step){(uint32_t)(at / ITEM_ALIGNMENT), is_new};
    return g->items.n <= g->max_bytes;
}

static bool on_difference(void *arg, const struct zone_difference *d)
{
    struct gathering *g = arg;
    size_t at = g->items.n;

    add_fields(&g->items, d);
    return gather(g, at, d->is_new);
}

static void gather_extra(struct gathering *g, const struct version *v, bool is_new)
{
    for (size_t at = 0; at < v->extra_bytes; at += item_bytes(v->extra + at)) {
        struct history_record r = item_record(v->extra + at);
        size_t to = g->items.n;

        add_record(&g->items, &r);
        (void)gather(g, to, is_new);
    }
}

static int by_item(const void *a, const void *b, void *items)
{
    const struct step *x = a, *y = b;
    const uint8_t *p = items;
    int order =
        item_compare(p + (size_t)x->at * ITEM_ALIGNMENT, p + (size_t)y->at * ITEM_ALIGNMENT);

    return order != 0 ? order : x->is_new - y->is_new;
}

/* A record that went and came did neither. An RRset has no record twice, so there are no more. */
static void cancel_pairs(struct gathering *g)
{
    size_t kept = 0;

    for (size_t i = 0; i < g->n; i++) {
        const uint8_t *item = g->items.p + (size_t)g->steps[i].at * ITEM_ALIGNMENT;

        if (i + 1 < g->n &&
            item_compare(item, g->items.p + (size_t)g->steps[i + 1].at * ITEM_ALIGNMENT) == 0)
            i++;
        else
            g->steps[kept++] = g->steps[i];
    }
    g->n = kept;
}

/* Takes what is left into memory of its size. */
static struct difference *pack(const struct gathering *g, struct version *from)
{
    struct difference *d = base_zalloc(1, sizeof(*d));
    size_t n_items = 0, at = 0;

    for (size_t i = 0; i < g->n; i++)
        n_items += item_bytes(g->items.p + (size_t)g->steps[i].at * ITEM_ALIGNMENT);
    d->refs = 1;
    d->from = version_hold(from);
    d->n = g->n;
    d->items = base_alloc(n_items + 1);
    d->steps = base_alloc((g->n + 1) * sizeof(d->steps[0]));
    d->items_bytes = n_items;
    d->bytes = sizeof(*d) + n_items + g->n * sizeof(d->steps[0]);
    for (size_t i = 0; i < g->n; i++) {
        const uint8_t *item = g->items.p + (size_t)g->steps[i].at * ITEM_ALIGNMENT;
        size_t n = item_bytes(item);

        memcpy(d->items + at, item, n);
        d->steps[i] = (struct step){(uint32_t)(at / ITEM_ALIGNMENT), g->steps[i].is_new};
        at += n;
    }
    return d;
}

struct difference *difference_new(struct version *from, const struct zone *old,
                                  const struct version *to, const struct zone *now,
                                  size_t max_bytes)
{
    /* With both sides of RRsets of which one record changed it may be more at first. */
    struct gathering g = {.max_bytes = 2 * max_bytes};
    struct difference *d = NULL;

    if (old == now || zone_compare(old, now, &(struct zone_difference_sink){on_difference, &g})) {
        gather_extra(&g, from, false);
        gather_extra(&g, to, true);
        if (g.n > 0)
            qsort_r(g.steps, g.n, sizeof(g.steps[0]), by_item, g.items.p);
        cancel_pairs(&g);
        d = pack(&g, from);
    }
    free(g.items.p);
    free(g.steps);
    if (d == NULL || d->bytes <= max_bytes)
        return d;
    difference_release(d);
    return NULL;
}

struct difference *difference_hold(struct difference *d)
{
    atomic_fetch_add(&d->refs, 1);
    return d;
}

void difference_release(struct difference *d)
{
    if (d == NULL || atomic_fetch_sub(&d->refs, 1) > 1)
        return;
    version_release(d->from);
    free(d->items);
    free(d->steps);
    free(d);
}
