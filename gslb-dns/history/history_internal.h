/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the history room share. */
#ifndef GSLB_DNS_HISTORY_INTERNAL_H
#define GSLB_DNS_HISTORY_INTERNAL_H

#include "gslb-dns/history/history.h"

#include <stdatomic.h>

/* One that has gone out. */
struct version {
    _Atomic unsigned refs;
    _Atomic bool is_blurred;
    uint32_t serial;
    uint32_t soa_bytes;
    uint8_t *soa;   /* an item */
    uint8_t *extra; /* items: the full set */
    uint32_t extra_bytes;
};

/* An item is a record in memory: the length of its owner, the owner, then what history_record calls
 * wire. They are compared as bytes, by owner first. */
struct history_record item_record(const uint8_t *item);
int item_compare(const uint8_t *a, const uint8_t *b);

/* A record that went or came; came is the lowest bit of what is its place in the items. */
struct step {
    uint32_t at; /* of the item, in units of ITEM_ALIGNMENT */
    bool is_new;
};
enum { ITEM_ALIGNMENT = 4 };

struct difference {
    _Atomic unsigned refs;
    struct version *from;
    uint8_t *items;
    struct step *steps; /* sorted by item */
    size_t n, bytes;    /* bytes: all of it */
    size_t items_bytes; /* about what a transfer of it takes */
};
struct difference *difference_hold(struct difference *d);
void difference_release(struct difference *d);
static inline const uint8_t *difference_item(const struct difference *d, size_t step)
{
    return d->items + (size_t)d->steps[step].at * ITEM_ALIGNMENT;
}
/* What two versions differ in; NULL: it would take more than max_bytes. Takes its own reference to
 * from. */
struct difference *difference_new(struct version *from, const struct zone *old,
                                  const struct version *to, const struct zone *now,
                                  size_t max_bytes);
struct version *version_new(const struct zone *z, const struct history_extra *extra);
struct version *version_hold(struct version *v);
void version_release(struct version *v);

struct history {
    _Atomic unsigned refs;
    struct version *newest;
    struct difference **differences; /* oldest first; each ends where the next begins */
    size_t n, bytes;
    size_t zone_bytes; /* of the newest version, about what a transfer of it takes */
};

#endif
