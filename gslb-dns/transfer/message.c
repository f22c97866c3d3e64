/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A transfer is a walk over parts, each part one over records.
 * Where it stands is told by a few numbers, so that a message ends where the next record does not
 * fit and the next one goes on there.
 *
 * In each message the question stands first, its name is the apex, and all that ends in the apex
 * points there: the RRsets of a zone are made for that.
 */
#include "common/bytes/bytes.h"
#include "common/clock/clock.h"
#include "gslb-dns/transfer/transfer_internal.h"

#include <string.h>

enum {
    RECORD_HEAD = 10, /* type, class, TTL, length of RDATA */
    OWNER_POINTER = 2,
    POINTER_BITS = 0xc000,
    APEX_POINTER = POINTER_BITS | WIRE_HEADER,
    OPT_BYTES = 11,
    MESSAGE_MAX = 65535,
};

struct message {
    uint8_t *out;
    uint32_t at, limit;
    uint16_t count;
    const struct zone_node *owner; /* of the records written last; NULL: none */
    uint16_t owner_at;             /* where its name stands; 0: nowhere yet */
};

/* The labels above the apex, then a pointer to it. */
static uint32_t put_name(const struct answer_stream *s, uint8_t *p, const uint8_t *name,
                         uint32_t name_bytes)
{
    uint32_t own = name_bytes - s->zone->apex.length;

    memcpy(p, name, own);
    bytes_put_u16(p + own, APEX_POINTER);
    return own + OWNER_POINTER;
}

/* Of a record that stands in the ready-made form: at record, bytes long with its owner's pointer.
 * NULL: it does not fit. Else where its type is. */
static uint8_t *put_record(struct answer_stream *s, struct message *m, const uint8_t *name,
                           uint32_t name_bytes, const uint8_t *record, uint32_t bytes)
{
    uint32_t own = name_bytes - s->zone->apex.length;
    uint32_t owner = m->owner_at != 0 ? OWNER_POINTER : own + OWNER_POINTER;
    uint8_t *p = m->out + m->at;

    if (m->at + owner + bytes - OWNER_POINTER > m->limit)
        return NULL;
    if (m->owner_at != 0)
        bytes_put_u16(p, (uint16_t)(POINTER_BITS | m->owner_at));
    else
        put_name(s, p, name, name_bytes);
    if (m->owner_at == 0 && m->at < 0x4000)
        m->owner_at = own == 0 ? WIRE_HEADER : (uint16_t)m->at;
    memcpy(p + owner, record + OWNER_POINTER, bytes - OWNER_POINTER);
    m->at += owner + bytes - OWNER_POINTER;
    m->count++;
    return p + owner;
}

static uint32_t record_bytes(const uint8_t *record)
{
    return OWNER_POINTER + RECORD_HEAD + bytes_get_u16(record + OWNER_POINTER + RECORD_HEAD - 2u);
}

/* One record of an RRset, with its pointers to the apex set right; false: it does not fit. */
static bool put_of_rrset(struct answer_stream *s, struct message *m, const struct zone_node *node,
                         const struct zone_rrset *r)
{
    uint32_t at = s->record_at, bytes = record_bytes(r->wire + at);
    uint8_t *to = put_record(s, m, node->name, node->name_bytes, r->wire + at, bytes);

    if (to == NULL)
        return false;
    for (; s->fixup < r->n_fixups && r->fixups[s->fixup] < at + bytes; s->fixup++)
        bytes_put_u16(to + r->fixups[s->fixup] - at - OWNER_POINTER, APEX_POINTER);
    s->record_at += bytes;
    return true;
}

static bool put_soa(struct answer_stream *s, struct message *m)
{
    s->record_at = 0;
    s->fixup = 0;
    m->owner_at = 0;
    return put_of_rrset(s, m, s->zone->root, s->zone->soa);
}

/* All of an RRset that is left, then its signatures; false: the message is full. */
static bool put_rrset(struct answer_stream *s, struct message *m, const struct zone_rrset *r)
{
    while (s->record_at < (uint32_t)r->wire_bytes + r->sig_bytes)
        if (!put_of_rrset(s, m, s->node, r))
            return false;
    s->rrset++;
    s->record_at = 0;
    s->fixup = 0;
    return true;
}

static bool put_node(struct answer_stream *s, struct message *m)
{
    while (s->rrset < s->node->n_rrsets) {
        const struct zone_rrset *r = &s->node->rrsets[s->rrset];

        if (r == s->zone->soa && s->record_at < r->wire_bytes) {
            s->record_at = r->wire_bytes; /* it frames the transfer; its signatures stand here */
            s->fixup = r->n_fixups;
        }
        if (!put_rrset(s, m, r))
            return false;
    }
    return true;
}

static bool put_nodes(struct answer_stream *s, struct message *m)
{
    for (;;) {
        if (s->node == NULL) {
            s->node = zone_next_node(s->zone, &s->slot);
            s->rrset = 0;
            s->record_at = 0;
            s->fixup = 0;
            m->owner_at = 0;
        }
        if (s->node == NULL)
            return true;
        if (!put_node(s, m))
            return false;
        s->node = NULL;
    }
}

static bool put_steered(struct answer_stream *s, struct message *m)
{
    for (; s->i_steered < s->n_steered; s->i_steered++) {
        const struct steered *x = &s->steered[s->i_steered];

        m->owner_at = 0;
        while (s->steered_at < x->records_bytes) {
            const uint8_t *record = s->steered_wire + x->records_at + s->steered_at;

            if (put_record(s, m, x->name->bytes, x->name->length, record, record_bytes(record)) ==
                NULL)
                return false;
            s->steered_at += record_bytes(record);
        }
        s->steered_at = 0;
    }
    return true;
}

/* ---- what changed ---- */

static bool put_old_soa(struct answer_stream *s, struct message *m)
{
    struct history_record r = history_walk_soa(s->walk);

    m->owner_at = 0;
    return put_record(s, m, r.name, r.name_bytes, r.wire, r.wire_bytes) != NULL;
}

/* Records come sorted by owner, so that most have that of the one before. */
static bool put_changes(struct answer_stream *s, struct message *m)
{
    const uint8_t *owner = NULL;
    struct history_record r;

    m->owner_at = 0;
    for (; history_walk_peek(s->walk, &r); history_walk_advance(s->walk)) {
        if (owner != NULL &&
            (owner[-1] != r.name_bytes || memcmp(owner, r.name, r.name_bytes) != 0))
            m->owner_at = 0;
        if (put_record(s, m, r.name, r.name_bytes, r.wire, r.wire_bytes) == NULL)
            return false;
        owner = r.name;
    }
    return true;
}

/* ---- parts ---- */

static bool put_part(struct answer_stream *s, struct message *m)
{
    switch (s->part) {
    case PART_FIRST_SOA:
    case PART_NEW_SOA:
    case PART_LAST_SOA:
        return put_soa(s, m);
    case PART_NODES:
        return put_nodes(s, m);
    case PART_STEERED:
        return put_steered(s, m);
    case PART_OLD_SOA:
        return put_old_soa(s, m);
    case PART_GONE:
    case PART_COME:
        return put_changes(s, m);
    case PART_END:
        break;
    }
    return false;
}

static enum part part_after(const struct answer_stream *s)
{
    if (s->is_single)
        return PART_END;
    if (s->part == PART_FIRST_SOA)
        return s->walk != NULL ? PART_OLD_SOA : PART_NODES;
    return s->part == PART_STEERED ? PART_LAST_SOA : s->part + 1;
}

static void begin_part(struct answer_stream *s, enum part part)
{
    s->part = part;
    s->record_at = 0;
    s->fixup = 0;
    if (part == PART_GONE || part == PART_COME)
        history_walk_begin(s->walk, part == PART_COME);
}

/* Each part in turn until one does not fit. */
static void put_parts(struct answer_stream *s, struct message *m)
{
    while (s->part != PART_END && put_part(s, m))
        begin_part(s, part_after(s));
}

/* RFC 5936 section 2.2.5: an OPT in the first message is enough. */
static void put_opt(struct message *m)
{
    uint8_t *p = m->out + m->at;

    memset(p, 0, OPT_BYTES);
    bytes_put_u16(p + 1, WIRE_OPT);
    bytes_put_u16(p + 3, 1232);
    m->at += OPT_BYTES;
}

static void put_header(const struct answer_stream *s, const struct message *m, bool has_opt)
{
    enum { QR_AA = 0x84, RD = 0x01 };
    uint8_t *p = m->out;

    memset(p, 0, WIRE_HEADER);
    bytes_put_u16(p, s->id);
    p[2] = (uint8_t)(QR_AA | (s->flags_high & RD));
    bytes_put_u16(p + 4, 1);
    bytes_put_u16(p + 6, m->count);
    bytes_put_u16(p + 10, has_opt);
}

uint32_t transfer_write_message(struct answer_stream *s, uint8_t *out, uint32_t cap)
{
    struct message m = {.out = out, .at = WIRE_HEADER + s->question_bytes};
    struct message empty;
    bool has_opt = s->has_edns && !s->has_sent;

    m.limit = cap < MESSAGE_MAX ? cap : MESSAGE_MAX;
    m.limit -= has_opt ? OPT_BYTES : 0;
    m.limit -= s->tsig.mac != NULL ? (uint32_t)tsig_room(&s->tsig) : 0;
    memcpy(out + WIRE_HEADER, s->question, s->question_bytes);
    empty = m;
    put_parts(s, &m);
    if (s->is_one_message && s->part != PART_END) {
        /* RFC 1995 section 2: the SOA alone says, ask by TCP. */
        m = empty;
        s->is_single = true;
        begin_part(s, PART_FIRST_SOA);
        put_parts(s, &m);
    }
    ensure(m.count > 0); /* check_draft lets no record be longer than a message */
    if (has_opt)
        put_opt(&m);
    put_header(s, &m, has_opt);
    s->has_sent = true;
    if (s->tsig.mac != NULL)
        m.at = (uint32_t)tsig_sign(&s->tsig, out, m.at, (uint64_t)clock_wall_s());
    return m.at;
}
