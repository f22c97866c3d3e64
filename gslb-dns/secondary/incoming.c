/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/secondary/secondary_internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    FLAG_QR = 0x80,
    FLAG_AA = 0x04,
    FLAG_TC = 0x02,
    OPCODE_MASK = 0x78,
    RCODE_MASK = 0x0f,
    QUESTION_FIXED = 4,
};

void incoming_begin(struct incoming *in, enum incoming_kind kind, const struct wire_name *apex)
{
    *in = (struct incoming){.kind = kind, .apex = *apex};
    in->max_bytes = in->max_records = UINT64_MAX;
    in->buffer = base_alloc(ZONE_RDATA_MAX);
}

void incoming_end(struct incoming *in)
{
    replica_lines_free(&in->lines);
    free(in->buffer);
    in->buffer = NULL;
}

static PRINTF_LIKE(3, 4) enum incoming_verdict
    bad(struct incoming *in, enum failure failure, const char *fmt, ...)
{
    va_list args;

    in->failure = failure;
    va_start(args, fmt);
    vsnprintf(in->why, sizeof(in->why), fmt, args);
    va_end(args);
    return INCOMING_BAD;
}

/* ---- the query ---- */

static uint16_t question_type(const struct incoming *in)
{
    static const uint16_t types[] = {
        [INCOMING_SOA] = WIRE_SOA, [INCOMING_IXFR] = WIRE_IXFR, [INCOMING_AXFR] = WIRE_AXFR};

    return types[in->kind];
}

/* RFC 1995 section 3: the SOA that we have, of which only the serial is looked at. */
static size_t put_have(const struct incoming *in, uint8_t *p)
{
    enum { OWNER = 2, FIXED = 10, RDATA = 2 + 20 };

    memset(p, 0, OWNER + FIXED + RDATA);
    bytes_put_u16(p, 0xc000 | WIRE_HEADER);
    bytes_put_u16(p + OWNER, WIRE_SOA);
    bytes_put_u16(p + OWNER + 2, WIRE_CLASS_IN);
    bytes_put_u16(p + OWNER + 8, RDATA);
    bytes_put_u32(p + OWNER + FIXED + 2, in->have); /* behind two names, both the root */
    return OWNER + FIXED + RDATA;
}

size_t incoming_write_query(const struct incoming *in, uint8_t *out)
{
    bool is_ixfr = in->kind == INCOMING_IXFR;
    size_t n = WIRE_HEADER;

    memset(out, 0, WIRE_HEADER);
    bytes_put_u16(out, in->id);
    bytes_put_u16(out + 4, 1);
    bytes_put_u16(out + 8, is_ixfr);
    memcpy(out + n, in->apex.bytes, in->apex.length);
    n += in->apex.length;
    bytes_put_u16(out + n, question_type(in));
    bytes_put_u16(out + n + 2, WIRE_CLASS_IN);
    n += QUESTION_FIXED;
    return is_ixfr ? n + put_have(in, out + n) : n;
}

/* ---- a message's head ---- */

static bool is_apex(const struct incoming *in, const struct wire_name *name)
{
    return name->length == in->apex.length &&
           memcmp(name->bytes, in->apex.bytes, name->length) == 0;
}

static const char *rcode_name(unsigned rcode)
{
    static const char *const names[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                        "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                        "NXRRSET", "NOTAUTH", "NOTZONE"};

    return rcode < COUNT_OF(names) ? names[rcode] : "an unknown RCODE";
}

/* Servers that do not know IXFR say so in these words. */
static enum incoming_verdict judge_rcode(struct incoming *in, unsigned rcode)
{
    if (in->kind == INCOMING_IXFR && in->place == PLACE_FIRST &&
        (rcode == WIRE_FORMERR || rcode == WIRE_NOTIMP))
        return INCOMING_NO_IXFR;
    return bad(in, FAILED_RCODE, "%s", rcode_name(rcode));
}

/* RFC 5936 section 2.2.1: the header of each message; the question may be missing. */
static enum incoming_verdict judge_head(struct incoming *in, const uint8_t *message,
                                        struct reader *r)
{
    const uint8_t *header = reader_take(r, WIRE_HEADER), *fixed;
    uint8_t name[WIRE_NAME_MAX];
    struct wire_name asked;
    size_t n;

    if (header == NULL)
        return bad(in, FAILED_MALFORMED, "it is shorter than a header");
    if (bytes_get_u16(header) != in->id)
        return bad(in, FAILED_WRONG, "its ID is another one than the query's");
    if ((header[2] & (FLAG_QR | OPCODE_MASK | FLAG_TC)) != FLAG_QR)
        return bad(in, FAILED_WRONG, "it is no answer to a query, or cut short");
    if ((header[3] & RCODE_MASK) != WIRE_NOERROR)
        return judge_rcode(in, header[3] & RCODE_MASK);
    if (bytes_get_u16(header + 4) == 0)
        return INCOMING_MORE;
    if (bytes_get_u16(header + 4) > 1 || (n = wire_unpack_name(r, message, name)) == 0 ||
        (fixed = reader_take(r, QUESTION_FIXED)) == NULL)
        return bad(in, FAILED_MALFORMED, "its question is none");
    ensure(wire_name_read(name, n, &asked));
    if (!is_apex(in, &asked) || bytes_get_u16(fixed) != question_type(in) ||
        bytes_get_u16(fixed + 2) != WIRE_CLASS_IN)
        return bad(in, FAILED_WRONG, "it answers another question");
    return INCOMING_MORE;
}

/* ---- records ---- */

static enum incoming_verdict keep_soa(struct incoming *in, const struct zone_wire_record *record)
{
    if (!replica_read_soa(record->rdata, record->rdata_bytes, &in->facts))
        return bad(in, FAILED_WRONG, "a timer of its SOA is beyond 2^31 seconds");
    ensure(record->rdata_bytes <= sizeof(in->soa_rdata)); /* two names, five numbers */
    in->soa = *record;
    in->soa.rdata = memcpy(in->soa_rdata, record->rdata, record->rdata_bytes);
    return INCOMING_MORE;
}

static bool is_same_soa(const struct incoming *in, const struct zone_wire_record *record)
{
    return record->rdata_bytes == in->soa.rdata_bytes &&
           memcmp(record->rdata, in->soa.rdata, record->rdata_bytes) == 0;
}

static uint32_t serial_of(const struct zone_wire_record *soa)
{
    return bytes_get_u32(soa->rdata + soa->rdata_bytes - 20);
}

static enum incoming_verdict take_first(struct incoming *in, const struct zone_wire_record *record)
{
    enum incoming_verdict v;

    if (record->type != WIRE_SOA)
        return bad(in, FAILED_WRONG, "it does not begin with the zone's SOA");
    v = keep_soa(in, record);
    if (v != INCOMING_MORE)
        return v;
    in->place = in->kind == INCOMING_AXFR   ? PLACE_RECORDS
                : in->kind == INCOMING_IXFR ? PLACE_SECOND
                                            : PLACE_END;
    /* RFC 1995 section 2: one SOA says that there is nothing newer. */
    if (in->kind == INCOMING_IXFR && !serial_is_newer(in->facts.serial, in->have))
        in->place = PLACE_END;
    return INCOMING_MORE;
}

static enum incoming_verdict take_of_whole(struct incoming *in,
                                           const struct zone_wire_record *record)
{
    if (record->type != WIRE_SOA) {
        replica_add(&in->lines, record);
        return INCOMING_MORE;
    }
    if (!is_same_soa(in, record))
        return bad(in, FAILED_WRONG, "it ends with another SOA than it began with");
    in->place = PLACE_END;
    return INCOMING_MORE;
}

/* The old SOA of a difference: of the version that the one before leads to. */
static enum incoming_verdict begin_difference(struct incoming *in,
                                              const struct zone_wire_record *record, uint32_t from)
{
    if (serial_of(record) != from) {
        (void)bad(in, FAILED_DIFFERENCE, "a difference begins at serial %u and not at %u",
                  serial_of(record), from);
        return INCOMING_NO_IXFR;
    }
    in->is_incremental = true;
    in->place = PLACE_GOING;
    in->at_serial = from;
    return INCOMING_MORE;
}

/* RFC 1995 section 4: an answer like that to AXFR, unless the second record is an SOA too. */
static enum incoming_verdict take_second(struct incoming *in, const struct zone_wire_record *record)
{
    if (record->type == WIRE_SOA)
        return begin_difference(in, record, in->have);
    in->place = PLACE_RECORDS;
    return take_of_whole(in, record);
}

static enum incoming_verdict take_going(struct incoming *in, const struct zone_wire_record *record)
{
    if (record->type != WIRE_SOA) {
        replica_add_change(&in->lines, false, record);
        return INCOMING_MORE;
    }
    if (!serial_is_newer(serial_of(record), in->at_serial) ||
        serial_is_newer(serial_of(record), in->facts.serial)) {
        (void)bad(in, FAILED_DIFFERENCE, "a difference leads from serial %u to %u", in->at_serial,
                  serial_of(record));
        return INCOMING_NO_IXFR;
    }
    in->at_serial = serial_of(record);
    in->place = PLACE_COMING;
    return INCOMING_MORE;
}

static enum incoming_verdict take_coming(struct incoming *in, const struct zone_wire_record *record)
{
    if (record->type != WIRE_SOA) {
        replica_add_change(&in->lines, true, record);
        return INCOMING_MORE;
    }
    if (in->at_serial != in->facts.serial)
        return begin_difference(in, record, in->at_serial);
    if (!is_same_soa(in, record))
        return bad(in, FAILED_WRONG, "it ends with another SOA than it began with");
    in->place = PLACE_END;
    return INCOMING_MORE;
}

static enum incoming_verdict take_record(struct incoming *in, const struct zone_wire_record *record)
{
    char owner[WIRE_NAME_TEXT];

    if (!wire_name_is_below(&record->owner, &in->apex))
        return bad(in, FAILED_OUTSIDE, "%.100s", wire_name_format(record->owner.bytes, owner));
    if (record->type == WIRE_SOA && !is_apex(in, &record->owner))
        return bad(in, FAILED_WRONG, "an SOA stands below the zone's apex");
    if (++in->n_records > in->max_records)
        return bad(in, FAILED_LARGE, "more than %llu records (max-records)",
                   (unsigned long long)in->max_records);
    switch (in->place) {
    case PLACE_FIRST:
        return take_first(in, record);
    case PLACE_SECOND:
        return take_second(in, record);
    case PLACE_RECORDS:
        return take_of_whole(in, record);
    case PLACE_GOING:
        return take_going(in, record);
    case PLACE_COMING:
        return take_coming(in, record);
    case PLACE_END:
        break;
    }
    return bad(in, FAILED_WRONG, "records follow behind its end");
}

/* ---- ---- */

/* Of an SOA as of any query: from an authority, and not the answer to something else (RFC 1996
 * section 4.4 and RFC 1034 section 4.3.5 speak of no other). */
static enum incoming_verdict judge_end(struct incoming *in, const uint8_t *message)
{
    if (in->kind == INCOMING_SOA)
        return (message[2] & FLAG_AA) != 0
                   ? INCOMING_SEEN
                   : bad(in, FAILED_WRONG, "it is not authoritative for the zone");
    if (in->n_records == 1)
        return INCOMING_CURRENT;
    return in->is_incremental ? INCOMING_CHANGES : INCOMING_WHOLE;
}

enum incoming_verdict incoming_take(struct incoming *in, const uint8_t *message, size_t n)
{
    struct reader r = reader_of(message, n);
    enum incoming_verdict v = judge_head(in, message, &r);
    unsigned n_answers;

    if (v != INCOMING_MORE)
        return v;
    in->n_bytes += n;
    if (in->n_bytes > in->max_bytes)
        return bad(in, FAILED_LARGE, "more than %llu bytes (max-size)",
                   (unsigned long long)in->max_bytes);
    n_answers = bytes_get_u16(message + 6);
    if (n_answers == 0)
        return bad(in, FAILED_WRONG, "it is empty: does it have the zone?");
    for (; n_answers > 0 && v == INCOMING_MORE; n_answers--) {
        struct zone_wire_record record;
        const char *why = zone_read_record(&r, message, in->buffer, &record);

        v = why != NULL ? bad(in, FAILED_MALFORMED, "%s", why) : take_record(in, &record);
    }
    if (v != INCOMING_MORE)
        return v;
    if (in->place == PLACE_END)
        return judge_end(in, message);
    /* One SOA that is newer than ours, and nothing else: there are no differences (RFC 1995
     * section 4, which has it for UDP; some say so by TCP too). */
    return in->place == PLACE_SECOND ? INCOMING_NO_IXFR : INCOMING_MORE;
}
