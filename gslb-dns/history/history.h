/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * history: what changed from version to version of a zone, for secondaries that have an older one
 * (RFC 1995).
 *
 *   load ─▶ history_next (old zone, new zone) ─▶ history ──world──▶ transfer: history_walk
 *
 * A version is what went out under one serial. A difference is a sorted list of records that went
 * and records that came; a walk merges all of them from one version to the newest, so that a record
 * that came and went again is not told: the condensed answer of RFC 1995 section 4. It needs no
 * memory but a cursor in each.
 *
 * What a service sends of addresses follows health, not the serial. A history knows what it sends
 * with every edge up (its full set), and whether a version has ever been without (history_blur):
 * from such a version there is no way, because nobody knows what a secondary has.
 *
 * In memory only: after a restart the first answer is the whole zone. Bounded by bytes and
 * HISTORY_VERSIONS_MAX: the oldest differences go first, and one that is larger than the bound or
 * the zone leaves nothing before it.
 *
 * Lifetime: a history is immutable (but for the blur) and counted, as its differences are, which
 * the histories of following versions share. Any thread; a walk belongs to one at a time.
 */
#ifndef GSLB_DNS_HISTORY_H
#define GSLB_DNS_HISTORY_H

#include "gslb-dns/zone/zone.h"

enum { HISTORY_VERSIONS_MAX = 128 };

/* A record as it goes out: name is its owner, uncompressed; wire its other fields behind two bytes
 * that are room for a pointer, RDATA uncompressed. */
struct history_record {
    const uint8_t *name, *wire;
    uint32_t wire_bytes;
    uint8_t name_bytes;
};

/* Records that a zone has beside its own: those of its services, with every edge up. Borrowed. */
struct history_extra {
    const struct history_record *records;
    size_t n;
};

struct history;
/* Of the first version that is known here. */
struct history *history_new(const struct zone *first, const struct history_extra *extra);
/* Of the version after before's; max_bytes: of all that is kept. Where the serial is the same and
 * so is the data, before itself. Where the data has changed under a serial that did not grow, of a
 * first version. */
struct history *history_next(struct history *before, const struct zone *old, const struct zone *now,
                             const struct history_extra *extra, size_t max_bytes);
struct history *history_hold(const struct history *h);
void history_release(const struct history *h); /* NULL: nothing */
/* The newest version went out, or may have, with other addresses than its full set. */
void history_blur(const struct history *h);
size_t history_bytes(const struct history *h);
size_t history_versions(const struct history *h); /* the newest not counted */

/* From the version of a serial to the newest; NULL: there is no way, or the whole zone is less. */
struct history_walk;
struct history_walk *history_walk_new(const struct history *h, uint32_t serial);
void history_walk_free(struct history_walk *w); /* NULL: nothing */
/* The SOA record of where it begins. */
struct history_record history_walk_soa(const struct history_walk *w);
/* Begins with the records that went, or those that came. */
void history_walk_begin(struct history_walk *w, bool is_new);
/* The record where the walk stands; false: it was the last. */
bool history_walk_peek(struct history_walk *w, struct history_record *out);
void history_walk_advance(struct history_walk *w);

#endif
