/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transfer: zones on their way to secondaries (AXFR: RFC 5936, IXFR: RFC 1995), message by message.
 *
 *   answer ─▶ transfer_begin (may this client? which zone?) ─▶ transfer_next ─▶ … ─▶ 0
 *
 * Each transfer holds the zone that it sends, so that the SOA at its end is that of its beginning
 * whatever is loaded meanwhile; steered names go out as they were when it began, with all of their
 * healthy addresses, or not at all: never what they are made of. Who asks by IXFR gets what changed
 * since the version that it has, as far as the zone's history knows that.
 *
 * Lifetime: a stream frees itself with its last message, or by transfer_abandon. One thread at a
 * time; begin and next inside snapshot_enter/leave.
 */
#ifndef GSLB_DNS_TRANSFER_H
#define GSLB_DNS_TRANSFER_H

#include "gslb-dns/tsig/tsig.h"
#include "gslb-dns/wire/wire.h"
#include "gslb-dns/world/world.h"

/* What answer.h hands to net. */
struct answer_stream;

struct transfer_request {
    const struct world *world;
    const struct wire_query *query;
    const uint8_t *packet;
    uint32_t packet_bytes;
    const struct addr *source;
    bool is_stream; /* TCP or TLS, where a zone may go out */
    /* NULL: not signed; else verified, and a transfer that begins takes its contents over. */
    struct tsig_session *tsig;
};

enum transfer_verdict {
    TRANSFER_BEGUN,     /* *out gives the messages */
    TRANSFER_NOT_OURS,  /* NOTAUTH: no such zone here (RFC 5936 section 2.2.1) */
    TRANSFER_FORBIDDEN, /* REFUSED */
    TRANSFER_BY_TCP,    /* AXFR by UDP: NOTIMP (section 4.2) */
    TRANSFER_BUSY,      /* REFUSED: as many as there may be are under way */
    TRANSFER_MALFORMED, /* FORMERR: an IXFR query without its SOA */
    TRANSFER_NO_DATA,   /* SERVFAIL: the zone is not there yet, or has expired */
};

enum transfer_verdict transfer_begin(const struct transfer_request *r, struct answer_stream **out);
/* The next message in out; cap: at least 16 KiB, by UDP 512. 0: there is none any more, and s is
 * gone. */
uint32_t transfer_next(struct answer_stream *s, uint8_t *out, uint32_t cap);
/* Has the message that came last been the last one? */
bool transfer_is_done(const struct answer_stream *s);
void transfer_abandon(struct answer_stream *s);

/* Is this one of the peers, by where it asks from and the key that signed it (NULL: none)? */
bool transfer_is_peer(const struct world_peer *peers, size_t n, const struct addr *source,
                      const struct tsig_session *tsig);
/* The zone of exactly this name; NULL: it is not here. */
const struct world_zone *transfer_find_zone(const struct world *w, const struct wire_name *apex);

/* Counters since the start, for the metrics page. Any thread. */
struct transfer_counters {
    uint64_t begun, finished, abandoned, refused, incremental;
    uint64_t bytes;
    uint64_t under_way;
};
/* The same as Prometheus text. */
void transfer_write_metrics(struct text *out);
struct transfer_counters transfer_count(void);

#endif
