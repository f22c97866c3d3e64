/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * notify: tells secondaries that a zone has changed (RFC 1996), each as often as it takes.
 *
 *   a load ─▶ notify_update ─▶ NOTIFY by UDP ─▶ an answer that is believed: told
 *                                           └─▶ none: again in 3, 6, 12, 24 seconds, then left
 *
 * A secondary that was not reached still asks by its SOA timers. Each is told of each zone when the
 * server starts, since nobody knows what it missed (RFC 1996 section 3.11).
 *
 * Lifetime: entries outlive loads, by zone and address. One thread: that of the event base.
 */
#ifndef GSLB_DNS_NOTIFY_H
#define GSLB_DNS_NOTIFY_H

#include "common/text/text.h"
#include "gslb-dns/tsig/tsig.h"
#include "gslb-dns/wire/wire.h"

#include <event2/event.h>

struct notify;

/* One zone and one of those who are to know its serial. */
struct notify_target {
    struct wire_name zone;
    struct addr at;
    const struct tsig_key *key; /* NULL: not signed; it stays until the next update */
    uint32_t serial;
};

struct notify *notify_new(struct event_base *base);
/* All targets of now. Those whose serial is another than the one they were told are told. */
void notify_update(struct notify *n, const struct notify_target *targets, size_t n_targets);
void notify_free(struct notify *n);
/* Counters as Prometheus text. */
void notify_write_metrics(const struct notify *n, struct text *out);

#endif
