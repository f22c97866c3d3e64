/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A query is read in one pass from front to back. No name but the question's is of interest, so
 * none is ever decompressed: other owner names are stepped over, and a compression pointer ends
 * them (which leaves nothing to loop in, RFC 9267 section 2).
 */
#include "gslb-dns/wire/wire.h"

#include "common/bytes/bytes.h"

#include <string.h>

enum {
    FLAG_QR = 0x80,
    OPCODE_MASK = 0x78,
    OPCODE_NOTIFY = 4 << 3,
    LABEL_MAX = 63,
    RECORD_FIXED = 10, /* type, class, TTL, length of RDATA */
    POINTER_MARK = 0xc0,
    OPT_DO = 0x8000,
    OPT_CO = 0x4000,
};

enum edns_option {
    OPTION_NSID = 3,
    OPTION_ECS = 8,
    OPTION_COOKIE = 10,
    OPTION_KEEPALIVE = 11,
    OPTION_PADDING = 12,
};

enum { ECS_FIXED = 4, COOKIE_CLIENT = 8, COOKIE_FULL_MIN = 16, COOKIE_FULL_MAX = 40 };

enum { STEP = 16 }; /* what compilers turn into one vector */

static inline void fold_step(uint8_t *restrict to, const uint8_t *restrict from)
{
    for (size_t i = 0; i < STEP; i++)
        to[i] = from[i] | ((uint8_t)(from[i] - 'A') < 26 ? 0x20 : 0);
}

/* Folds a whole wire name at once: the length bytes between its labels are at most 63, below 'A',
 * and so stay what they are. The last step overlaps the one before it; a short name takes what
 * stands behind it along, if there is so much. */
static void fold_name(const uint8_t *from, size_t readable, struct wire_name *name)
{
    size_t length = name->length, at = 0;

    if (length >= STEP) {
        for (; at + STEP < length; at += STEP)
            fold_step(name->bytes + at, from + at);
        fold_step(name->bytes + length - STEP, from + length - STEP);
    } else if (readable >= STEP) {
        fold_step(name->bytes, from);
    } else {
        for (; at < length; at++)
            name->bytes[at] = text_lower(from[at]);
    }
}

bool wire_name_read(const uint8_t *wire, size_t n, struct wire_name *out)
{
    size_t limit = n < WIRE_NAME_MAX ? n : WIRE_NAME_MAX;
    size_t at = 0, labels = 0;

    for (;;) {
        if (unlikely(at >= limit || wire[at] > LABEL_MAX))
            return false;
        out->offsets[labels] = (uint8_t)at;
        if (wire[at] == 0)
            break;
        labels++;
        at += 1 + (size_t)wire[at];
    }
    out->length = (uint8_t)(at + 1);
    out->n_labels = (uint8_t)labels;
    fold_name(wire, n, out);
    return true;
}

bool wire_skip_name(struct reader *r, const uint8_t *packet)
{
    const uint8_t *start = r->p;

    for (;;) {
        size_t here = (size_t)(r->p - packet);
        uint8_t length = reader_u8(r);

        if (r->is_bad)
            return false;
        if (length == 0)
            return true;
        if (length >= POINTER_MARK)
            /* Only backwards: RFC 1035 section 4.1.4, "a prior occurrence". */
            return ((length & LABEL_MAX) << 8 | reader_u8(r)) < (int)here && !r->is_bad;
        if (length > LABEL_MAX || reader_take(r, length) == NULL || r->p - start >= WIRE_NAME_MAX)
            return false;
    }
}

/* Each pointer leads before the place where the part that it ends began (RFC 1035 section 4.1.4),
 * so that there can be no loop. */
size_t wire_unpack_name(struct reader *r, const uint8_t *packet, uint8_t out[WIRE_NAME_MAX])
{
    struct reader part = *r;
    size_t part_at = (size_t)(r->p - packet), n = 0;
    bool has_left = false; /* r is where the name ends in place */

    for (;;) {
        uint8_t length = reader_u8(&part);
        const uint8_t *label;
        size_t target;

        if (part.is_bad)
            return 0;
        if (length >= POINTER_MARK) {
            target = (size_t)(length & LABEL_MAX) << 8 | reader_u8(&part);
            if (part.is_bad || target >= part_at)
                return 0;
            if (!has_left)
                r->p = part.p;
            has_left = true;
            part = reader_of(packet + target, (size_t)(r->end - packet) - target);
            part_at = target;
            continue;
        }
        if (length > LABEL_MAX || n + 1 + length > WIRE_NAME_MAX - (length > 0))
            return 0;
        label = reader_take(&part, length);
        if (label == NULL)
            return 0;
        out[n] = length;
        memcpy(out + n + 1, label, length);
        n += 1u + length;
        if (length == 0)
            break;
    }
    if (!has_left)
        r->p = part.p;
    return n;
}

static bool is_zero_beyond(const uint8_t *address, unsigned bits)
{
    return bits % 8 == 0 || (uint8_t)(address[bits / 8] << bits % 8) == 0;
}

/* RFC 7871 section 6 says what an option must look like, section 7.2.1 that a query with another
 * one gets FORMERR. */
static enum wire_verdict read_ecs(struct wire_query *q, const uint8_t *p, size_t n)
{
    unsigned family, source_bits;
    size_t address_bytes;

    if (n < ECS_FIXED || q->ecs.is_present) {
        q->ecs.is_present = false; /* two cannot be echoed */
        return WIRE_BAD_ECS;
    }
    family = bytes_get_u16(p);
    source_bits = p[2];
    address_bytes = (source_bits + 7) / 8;
    if ((family != 1 && family != 2) || source_bits > (family == 1 ? 32 : 128) || p[3] != 0 ||
        n != ECS_FIXED + address_bytes || !is_zero_beyond(p + ECS_FIXED, source_bits))
        return WIRE_BAD_ECS;
    q->ecs.is_present = true;
    q->ecs.source_bits = (uint8_t)source_bits;
    q->ecs.address = (struct ip){.family = family == 1 ? 4 : 6};
    memcpy(q->ecs.address.bytes, p + ECS_FIXED, address_bytes);
    return WIRE_OK;
}

static enum wire_verdict read_cookie(struct wire_query *q, const uint8_t *p, size_t n)
{
    if (n != COOKIE_CLIENT && (n < COOKIE_FULL_MIN || n > COOKIE_FULL_MAX))
        return WIRE_BAD_COOKIE; /* RFC 7873 section 5.2.2 */
    if (q->cookie_bytes > 0)
        return WIRE_OK; /* the first one counts, section 5.2 */
    q->cookie = p;
    q->cookie_bytes = (uint8_t)n;
    return WIRE_OK;
}

/* Options that are not known are ignored (RFC 6891 section 6.1.2), and so is what a NSID request
 * carries (RFC 5001 section 2.2). */
static enum wire_verdict read_option(struct wire_query *q, unsigned code, const uint8_t *p,
                                     size_t n)
{
    switch (code) {
    case OPTION_ECS:
        return read_ecs(q, p, n);
    case OPTION_COOKIE:
        return read_cookie(q, p, n);
    case OPTION_NSID:
        q->has_nsid = true;
        break;
    case OPTION_KEEPALIVE:
        q->has_keepalive = n == 0; /* RFC 7828 section 3.2.1 */
        break;
    case OPTION_PADDING:
        q->has_padding = true;
        break;
    default:
        break;
    }
    return WIRE_OK;
}

static enum wire_verdict read_options(struct wire_query *q, const uint8_t *p, size_t n)
{
    const uint8_t *end = p + n;

    while (p < end) {
        enum wire_verdict verdict;
        size_t option_bytes;

        if (end - p < 4)
            return WIRE_BAD_OPT;
        option_bytes = bytes_get_u16(p + 2);
        if ((size_t)(end - p) - 4 < option_bytes)
            return WIRE_BAD_OPT;
        verdict = read_option(q, bytes_get_u16(p), p + 4, option_bytes);
        if (verdict != WIRE_OK)
            return verdict;
        p += 4 + option_bytes;
    }
    return WIRE_OK;
}

/* fixed: the ten bytes behind the owner name, RDATA behind them. */
static enum wire_verdict read_opt(struct wire_query *q, bool is_root, const uint8_t *fixed)
{
    uint16_t payload = bytes_get_u16(fixed + 2);

    if (q->has_edns || !is_root)
        return WIRE_BAD_OPT; /* RFC 6891 sections 6.1.1 and 6.1.2 */
    q->has_edns = true;
    q->udp_payload_bytes = payload < WIRE_UDP_MIN ? WIRE_UDP_MIN : payload;
    q->edns_version = fixed[5];
    q->has_do = (bytes_get_u16(fixed + 6) & OPT_DO) != 0;
    q->has_co = (bytes_get_u16(fixed + 6) & OPT_CO) != 0;
    if (q->edns_version != 0)
        return WIRE_BAD_VERSION; /* its options need not look like ours */
    return read_options(q, fixed + RECORD_FIXED, bytes_get_u16(fixed + 8));
}

static enum wire_verdict read_records(struct wire_query *q, struct reader *r, unsigned n,
                                      const uint8_t *packet, bool is_additional)
{
    for (; n > 0; n--) {
        const uint8_t *begin = r->p;
        bool is_root = begin < r->end && *begin == 0;
        const uint8_t *fixed;
        unsigned type;

        if (!wire_skip_name(r, packet) || (fixed = reader_take(r, RECORD_FIXED)) == NULL ||
            reader_take(r, bytes_get_u16(fixed + 8)) == NULL)
            return WIRE_BAD_RECORD;
        type = bytes_get_u16(fixed);
        if (type == WIRE_OPT) {
            enum wire_verdict verdict = is_additional ? read_opt(q, is_root, fixed) : WIRE_BAD_OPT;
            if (verdict != WIRE_OK)
                return verdict;
        } else if (type == WIRE_TSIG) {
            /* The last record of the message, RFC 8945 section 5.1. */
            if (!is_additional || n != 1)
                return WIRE_BAD_RECORD;
            q->tsig_at = (uint16_t)(begin - packet);
        }
    }
    return WIRE_OK;
}

static bool read_question(struct wire_query *q, struct reader *r)
{
    const uint8_t *fixed;

    if (!wire_name_read(r->p, reader_left(r), &q->qname))
        return false;
    r->p += q->qname.length;
    fixed = reader_take(r, 4);
    if (fixed == NULL)
        return false;
    q->qtype = bytes_get_u16(fixed);
    q->qclass = bytes_get_u16(fixed + 2);
    q->question_bytes = (uint16_t)(q->qname.length + 4);
    q->has_question = true;
    return true;
}

/* What is well formed and yet no question that zones answer. */
static enum wire_verdict judge_question(const struct wire_query *q)
{
    if (!q->has_question) /* RFC 7873 section 5.4 */
        return q->cookie_bytes > 0 ? WIRE_OK : WIRE_BAD_COUNT;
    if (unlikely(q->qclass != WIRE_CLASS_IN))
        return q->qclass == WIRE_CLASS_CH ? WIRE_CHAOS : WIRE_BAD_CLASS;
    if (q->qtype == WIRE_AXFR || q->qtype == WIRE_IXFR)
        return WIRE_TRANSFER;
    /* Q and meta types: RFC 6895 section 3.1; NXNAME: RFC 9824 section 3.5. */
    if ((q->qtype >= WIRE_NXNAME && q->qtype < WIRE_ANY) || q->qtype == WIRE_OPT)
        return WIRE_BAD_METATYPE;
    return WIRE_OK;
}

static void begin_query(struct wire_query *q, const uint8_t *packet)
{
    q->id = bytes_get_u16(packet);
    q->flags_high = packet[2];
    q->has_question = false;
    q->question_bytes = 0;
    q->has_edns = q->has_do = q->has_co = false;
    q->edns_version = 0;
    q->udp_payload_bytes = WIRE_UDP_MIN;
    q->ecs.is_present = false;
    q->has_nsid = q->has_keepalive = q->has_padding = false;
    q->cookie_bytes = 0;
    q->cookie = NULL;
    q->tsig_at = 0;
}

/* What goes back whatever the opcode means: the question, and an OPT for an OPT (RFC 6891 section
 * 6.1.1), as far as the message is laid out like a query. That is so of NOTIFY, which may bring an
 * SOA as a hint (RFC 1996 section 3.7). */
static enum wire_verdict read_other_opcode(struct wire_query *q, struct reader *r,
                                           const uint8_t *packet)
{
    unsigned questions = bytes_get_u16(packet + 4);
    unsigned others = bytes_get_u16(packet + 6) + bytes_get_u16(packet + 8);
    bool is_notify = (q->flags_high & OPCODE_MASK) == OPCODE_NOTIFY;
    bool is_whole = questions == 1 && read_question(q, r) &&
                    read_records(q, r, others, packet, false) == WIRE_OK &&
                    read_records(q, r, bytes_get_u16(packet + 10), packet, true) == WIRE_OK;

    if (!is_notify)
        return WIRE_BAD_OPCODE;
    return is_whole && q->qclass == WIRE_CLASS_IN && q->qtype == WIRE_SOA ? WIRE_NOTIFY
                                                                          : WIRE_BAD_NOTIFY;
}

enum wire_verdict wire_parse_query(struct wire_query *q, const uint8_t *packet, size_t n)
{
    struct reader r = reader_of(packet, n);
    unsigned questions, answers, authorities, additionals;
    enum wire_verdict verdict;

    if (n < WIRE_HEADER)
        return WIRE_DROP_RUNT;
    begin_query(q, packet);
    if ((q->flags_high & FLAG_QR) != 0)
        return WIRE_DROP_RESPONSE;
    r.p += WIRE_HEADER;
    if ((q->flags_high & OPCODE_MASK) != 0) {
        return read_other_opcode(q, &r, packet);
    }
    questions = bytes_get_u16(packet + 4);
    answers = bytes_get_u16(packet + 6);
    authorities = bytes_get_u16(packet + 8);
    additionals = bytes_get_u16(packet + 10);
    if (questions > 1)
        return WIRE_BAD_COUNT; /* RFC 9619 section 4 */
    if (questions == 1 && !read_question(q, &r))
        return WIRE_BAD_NAME;
    /* An IXFR query tells its serial in the authority section, RFC 1995 section 3. */
    if (answers > 0 || (authorities > 0 && !(q->has_question && q->qtype == WIRE_IXFR)))
        return WIRE_BAD_COUNT;
    verdict = read_records(q, &r, authorities, packet, false);
    if (verdict == WIRE_OK)
        verdict = read_records(q, &r, additionals, packet, true);
    if (verdict != WIRE_OK)
        return verdict;
    if (reader_left(&r) > 0)
        return WIRE_BAD_TRAILING;
    return judge_question(q);
}

enum wire_rcode wire_verdict_rcode(enum wire_verdict v)
{
    static const uint8_t rcodes[] = {
#define X(name, rcode, label) [name] = rcode,
        WIRE_VERDICTS(X)
#undef X
    };
    ensure(v < WIRE_VERDICT_COUNT);
    return rcodes[v];
}

const char *wire_verdict_label(enum wire_verdict v)
{
    static const char *const labels[] = {
#define X(name, rcode, label) [name] = label,
        WIRE_VERDICTS(X)
#undef X
    };
    ensure(v < WIRE_VERDICT_COUNT);
    return labels[v];
}
