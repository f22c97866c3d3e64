/* SPDX-License-Identifier: BSD-2-Clause */
/* The bytes of an answer: question, ready-made RRsets with their pointers set right, header. */
#include "gslb-dns/answer/answer_internal.h"

#include <string.h>

enum {
    FLAG_QR = 0x80,
    FLAG_AA = 0x04,
    FLAG_TC = 0x02,
    FLAG_RD = 0x01,
    OPCODE_MASK = 0x78,
};

/* RFC 6891 section 6.2.3 and our own maximum; RFC 1035 section 4.2.1 without EDNS. */
static uint32_t answer_cap(const struct answer_query *io, const struct wire_query *q,
                           const struct world *w)
{
    uint32_t cap = io->out_cap_bytes, offered = WIRE_UDP_MIN;

    if (!answer_is_stream(io->transport)) {
        if (q->has_edns && w != NULL)
            offered = q->udp_payload_bytes < w->udp_payload_bytes ? q->udp_payload_bytes
                                                                  : w->udp_payload_bytes;
        cap = offered < cap ? offered : cap;
    }
    return cap < WIRE_TCP_MAX ? cap : WIRE_TCP_MAX;
}

void message_begin(struct message *m, const struct answer_query *io, const struct wire_query *q,
                   const struct world *w)
{
    m->io = io;
    m->world = w;
    m->out = io->out;
    m->at = WIRE_HEADER;
    m->cap = answer_cap(io, q, w);
    m->opt_bytes = opt_size(q, w, io->transport);
    m->limit = m->cap - m->opt_bytes;
    memset(m->counts, 0, sizeof(m->counts));
    m->rcode = WIRE_NOERROR;
    m->is_authoritative = m->is_truncated = false;
    m->scope = 0;
    m->ede = EDE_NONE;
    m->tsig = NULL;
    m->name = &q->qname;
    m->name_at = WIRE_HEADER;
    m->apex_at = WIRE_HEADER;
    m->apex_bytes = 0;
    m->dnssec = q->has_edns && q->has_do ? UINT16_MAX : 0;
    m->n_proofs = 0;
    m->is_compact = m->is_unproved = false;
    if (q->has_question) {
        memcpy(io->out + WIRE_HEADER, io->packet + WIRE_HEADER, q->question_bytes);
        m->at += q->question_bytes;
    }
    m->records_at = m->at;
}

/* In the question every suffix of its name stands as it came. In the RDATA of a CNAME the labels
 * above the apex stand uncompressed, so the same sum leads to them; the apex itself is always
 * taken from the question. */
uint16_t message_suffix_at(const struct message *m, uint8_t name_bytes)
{
    if (name_bytes == m->apex_bytes)
        return m->apex_at;
    return (uint16_t)(m->name_at + m->name->length - name_bytes);
}

void message_set_owners(uint8_t *p, const uint8_t *end, uint16_t owner_at)
{
    while (p < end) {
        bytes_put_u16(p, (uint16_t)(POINTER_BITS | owner_at));
        p += RECORD_HEAD + bytes_get_u16(p + RECORD_HEAD - 2);
    }
}

bool message_add_rrset(struct message *m, enum section section, const struct zone_rrset *rrset,
                       uint16_t owner_at)
{
    uint32_t sig_bytes = rrset->sig_bytes & m->dnssec, bytes = rrset->wire_bytes + sig_bytes;
    uint8_t *to = m->out + m->at;

    if (unlikely(m->at + bytes > m->limit) && section == SECTION_ADDITIONAL) {
        sig_bytes = 0;
        bytes = rrset->wire_bytes;
    }
    if (m->at + bytes > m->limit || unlikely(owner_at >= POINTER_LIMIT))
        return false;
    memcpy(to, rrset->wire, bytes);
    for (size_t i = 0; i < rrset->n_fixups; i++)
        bytes_put_u16(to + rrset->fixups[i], (uint16_t)(POINTER_BITS | m->apex_at));
    if (owner_at != WIRE_HEADER)
        message_set_owners(to, to + bytes, owner_at);
    m->at += bytes;
    m->counts[section] =
        (uint16_t)(m->counts[section] + rrset->count + (sig_bytes > 0 ? rrset->n_sigs : 0));
    return true;
}

/* The next digit of a random number, to a base that may change from one to the next: one product
 * has the digit above and what is left below. */
static size_t next_digit(uint64_t *random, size_t base)
{
    unsigned __int128 product = (unsigned __int128)*random * base;

    *random = (uint64_t)product;
    return (size_t)(product >> 64);
}

void message_draw_round(struct message_round *r, uint64_t random)
{
    r->random = random;
    r->first = r->n < r->count ? next_digit(&r->random, r->count) : 0;
}

/* The inside-out shuffle of Fisher and Yates: each record takes a place among those before it, and
 * whoever stood there moves to the end. A round from a random start would not do: behind a record
 * that is down or slow always the same one would take its share. The size is a constant wherever
 * this is called, so that a record is moved by a few instructions. */
static inline void shuffle(const struct message_round *r, size_t record_bytes, uint8_t *to)
{
    const uint8_t *from = r->wire + r->first * record_bytes;
    const uint8_t *end = r->wire + r->count * record_bytes;
    uint64_t random = r->random;
    uint8_t moved[WORLD_AAAA_BYTES];

    for (size_t i = 0; i < r->n; i++) {
        uint8_t *place = to + next_digit(&random, i + 1) * record_bytes;

        memcpy(moved, place, record_bytes); /* place may be the end itself */
        memcpy(to + i * record_bytes, moved, record_bytes);
        memcpy(place, from, record_bytes);
        from = from + record_bytes < end ? from + record_bytes : r->wire;
    }
}

bool message_add_round(struct message *m, enum section section, const struct message_round *r,
                       uint16_t owner_at)
{
    uint32_t sig_bytes = r->sig_bytes & m->dnssec;
    size_t bytes = r->n * (r->is_v6 ? WORLD_AAAA_BYTES : WORLD_A_BYTES);
    uint8_t *to = m->out + m->at;

    if (unlikely(m->at + bytes + sig_bytes > m->limit) && section == SECTION_ADDITIONAL)
        sig_bytes = 0;
    if (m->at + bytes + sig_bytes > m->limit || unlikely(owner_at >= POINTER_LIMIT))
        return false;
    if (r->is_v6)
        shuffle(r, WORLD_AAAA_BYTES, to);
    else
        shuffle(r, WORLD_A_BYTES, to);
    if (unlikely(sig_bytes > 0))
        memcpy(to + bytes, r->sigs, sig_bytes);
    if (owner_at != WIRE_HEADER)
        message_set_owners(to, to + bytes + sig_bytes, owner_at);
    m->at += (uint32_t)bytes + sig_bytes;
    m->counts[section] = (uint16_t)(m->counts[section] + r->n + (sig_bytes > 0 ? r->n_sigs : 0));
    return true;
}

bool message_add_record(struct message *m, uint16_t type, uint32_t ttl_s, const uint8_t *rdata,
                        uint16_t rdata_bytes)
{
    uint16_t owner_at = message_suffix_at(m, m->name->length);
    uint8_t *p = m->out + m->at;

    if (m->at + RECORD_HEAD + rdata_bytes > m->limit || owner_at >= POINTER_LIMIT)
        return false;
    bytes_put_u16(p, (uint16_t)(POINTER_BITS | owner_at));
    bytes_put_u16(p + 2, type);
    bytes_put_u16(p + 4, WIRE_CLASS_IN);
    bytes_put_u32(p + 6, ttl_s);
    bytes_put_u16(p + 10, rdata_bytes);
    memcpy(p + RECORD_HEAD, rdata, rdata_bytes);
    m->at += RECORD_HEAD + rdata_bytes;
    m->counts[SECTION_ANSWER]++;
    return true;
}

/* RFC 2181 section 9: a resolver must ignore what a truncated answer holds, so it holds nothing. */
void message_truncate(struct message *m)
{
    m->at = m->records_at;
    memset(m->counts, 0, sizeof(m->counts));
    m->is_truncated = true;
}

/* RA, Z and AD stay clear, and so does CD: RFC 4035 section 3.1.6. */
static void put_header(const struct message *m, const struct wire_query *q)
{
    uint8_t *p = m->out;

    bytes_put_u16(p, q->id);
    p[2] = (uint8_t)(FLAG_QR | (q->flags_high & (OPCODE_MASK | FLAG_RD)) |
                     (m->is_authoritative ? FLAG_AA : 0) | (m->is_truncated ? FLAG_TC : 0));
    p[3] = (uint8_t)(m->rcode & 0x0f);
    bytes_put_u16(p + 4, q->has_question);
    bytes_put_u16(p + 6, m->counts[SECTION_ANSWER]);
    bytes_put_u16(p + 8, m->counts[SECTION_AUTHORITY]);
    bytes_put_u16(p + 10, m->counts[SECTION_ADDITIONAL]);
}

uint32_t message_finish(struct message *m, const struct wire_query *q, const struct world *w)
{
    if (q->has_edns)
        opt_write(m, q, w);
    put_header(m, q);
    if (unlikely(m->tsig != NULL))
        message_sign(m);
    return m->at;
}
