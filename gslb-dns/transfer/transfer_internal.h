/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the transfer room share. */
#ifndef GSLB_DNS_TRANSFER_INTERNAL_H
#define GSLB_DNS_TRANSFER_INTERNAL_H

#include "gslb-dns/history/history.h"
#include "gslb-dns/transfer/transfer.h"

/* What stands in the messages one after the other. Of a whole zone: its SOA, its nodes, its
 * services, its SOA. Of what changed (RFC 1995 section 4): the SOA, the one that the client has and
 * what went, the SOA again and what came, the SOA. Of nothing: the SOA. */
enum part {
    PART_FIRST_SOA,
    PART_NODES,
    PART_STEERED,
    PART_OLD_SOA,
    PART_GONE,
    PART_NEW_SOA,
    PART_COME,
    PART_LAST_SOA,
    PART_END
};

/* A steered name as it goes out: records with the owner 0xC00C. */
struct steered {
    const struct wire_name *name; /* the zone's source of services holds it */
    uint32_t records_at, records_bytes;
};

struct answer_stream {
    const struct zone *zone;
    struct tsig_session tsig;
    enum part part;
    size_t slot;                  /* where in the zone's nodes */
    const struct zone_node *node; /* NULL: the next one is due */
    unsigned rrset, fixup;
    uint32_t record_at; /* in the RRset's wire */
    struct steered *steered;
    size_t n_steered, i_steered;
    uint32_t steered_at;
    uint8_t *steered_wire;
    struct wire_name *steered_names;
    struct history_walk *walk; /* what changed goes out; NULL: the zone */
    bool is_single;            /* the SOA alone says all */
    bool is_one_message;       /* by UDP */
    bool has_edns, has_sent;
    uint16_t id;
    uint8_t flags_high;
    uint16_t question_bytes;
    uint8_t question[WIRE_NAME_MAX + 4];
};

/* message.c: the next message in out; its bytes. */
uint32_t transfer_write_message(struct answer_stream *s, uint8_t *out, uint32_t cap);

#endif
