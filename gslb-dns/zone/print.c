/* SPDX-License-Identifier: BSD-2-Clause */
/* Records of messages into lines of zone files, such that read and rdata make the same records of
 * them: what has fields of ours is written by them, the rest by ldns, and what would not come back
 * as it was in the form of RFC 3597 section 5. */
#include "gslb-dns/zone/zone_internal.h"

#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECORD_FIXED = 10,
    TYPE_META_FIRST = 128,
    TYPE_META_LAST = 255,
    TYPE_NULL = 10,
    TYPE_CERT = 37
};

/* ---- out of the message ---- */

/* The names that may be compressed are written in full; what stands around them is copied. */
static bool unpack(uint16_t type, struct reader *r, const uint8_t *message, struct writer *out)
{
    const struct rdata_format *f = rdata_format(type);
    uint8_t name[WIRE_NAME_MAX];
    const uint8_t *begin = out->p;
    size_t n;

    if (f != NULL) {
        n = reader_left(r) < f->layout.fixed_bytes ? reader_left(r) : f->layout.fixed_bytes;
        writer_add(out, reader_take(r, n), n);
        for (unsigned i = 0; i < f->layout.n_names; i++) {
            n = wire_unpack_name(r, message, name);
            if (n == 0)
                return false;
            writer_add(out, name, n);
        }
    }
    n = reader_left(r);
    writer_add(out, reader_take(r, n), n);
    return !out->is_full && (f == NULL || rdata_has_format(f, begin, (size_t)(out->p - begin)));
}

/* Types that stand for questions, messages and sessions (RFC 6895 section 3.1), and NULL, which
 * RFC 1035 section 3.3.10 keeps out of zone files. */
static bool is_of_zones(uint16_t type)
{
    return type != 0 && type != TYPE_NULL && type != WIRE_OPT &&
           (type < TYPE_META_FIRST || type > TYPE_META_LAST);
}

const char *zone_read_record(struct reader *r, const uint8_t *message, uint8_t *buffer,
                             struct zone_wire_record *out)
{
    struct writer rdata = writer_of(buffer, ZONE_RDATA_MAX);
    uint8_t owner[WIRE_NAME_MAX];
    size_t owner_bytes = wire_unpack_name(r, message, owner);
    const uint8_t *fixed = owner_bytes > 0 ? reader_take(r, RECORD_FIXED) : NULL, *data;
    struct reader inside;

    if (fixed == NULL)
        return "a record is cut short, or its name is none";
    data = reader_take(r, bytes_get_u16(fixed + 8));
    if (data == NULL)
        return "a record is cut short";
    ensure(wire_name_read(owner, owner_bytes, &out->owner));
    out->type = bytes_get_u16(fixed);
    out->ttl_s = bytes_get_u32(fixed + 4);
    if (out->ttl_s > INT32_MAX) /* RFC 2181 section 8 */
        out->ttl_s = 0;
    if (bytes_get_u16(fixed + 2) != WIRE_CLASS_IN)
        return "a record is not of class IN";
    if (!is_of_zones(out->type))
        return "a record is of a type that zones do not have";
    inside = reader_of(data, bytes_get_u16(fixed + 8));
    if (!unpack(out->type, &inside, message, &rdata))
        return "a record's data is not what its type says";
    out->rdata = buffer;
    out->rdata_bytes = (uint16_t)(rdata.p - buffer);
    return NULL;
}

/* ---- into text ---- */

static void print_string(struct reader *r, struct text *out)
{
    uint8_t n = reader_u8(r);
    const uint8_t *p = reader_take(r, n);
    char escaped[4 * UINT8_MAX + 2];
    size_t at = 0;

    escaped[at++] = '"';
    for (size_t i = 0; p != NULL && i < n; i++) {
        if (p[i] < ' ' || p[i] > '~') {
            at += (size_t)snprintf(escaped + at, 5, "\\%03u", p[i]);
            continue;
        }
        if (p[i] == '"' || p[i] == '\\')
            escaped[at++] = '\\';
        escaped[at++] = (char)p[i];
    }
    escaped[at++] = '"';
    text_add(out, escaped, at);
}

static void print_name(struct reader *r, struct text *out)
{
    char name[WIRE_NAME_TEXT];
    size_t n = rdata_name_bytes(r->p); /* whole: the RDATA has its format */

    text_adds(out, wire_name_format(r->p, name));
    (void)reader_take(r, n);
}

static void print_address(struct reader *r, unsigned family, struct text *out)
{
    struct ip ip = {.family = (uint8_t)family};
    size_t n = family == 4 ? 4 : 16;
    const uint8_t *p = reader_take(r, n);
    char text[ADDR_TEXT];

    if (p != NULL)
        memcpy(ip.bytes, p, n);
    text_adds(out, ip_format(&ip, text));
}

/* False: a period that text cannot say, being above 2^31. */
static bool print_field(char field, struct reader *r, struct text *out)
{
    uint32_t number;

    switch (field) {
    case '4':
    case '6':
        print_address(r, field == '4' ? 4 : 6, out);
        return true;
    case 'n':
        print_name(r, out);
        return true;
    case 't':
        for (print_string(r, out); reader_left(r) > 0; print_string(r, out))
            text_adds(out, " ");
        return true;
    default:
        number = field == '2' ? reader_u16(r) : reader_u32(r);
        text_addf(out, "%u", number);
        return field != 'p' || number <= INT32_MAX;
    }
}

static bool print_own(const struct rdata_format *f, const struct zone_wire_record *record,
                      struct text *out)
{
    struct reader r = reader_of(record->rdata, record->rdata_bytes);

    for (const char *field = f->fields; *field != '\0'; field++) {
        text_adds(out, field > f->fields ? " " : "");
        if (!print_field(*field, &r, out))
            return false;
    }
    return true;
}

/* Of "owner TTL class type data", between tabs, the data. */
static bool cut_data(ldns_buffer *line, struct text *out)
{
    char *text = (char *)ldns_buffer_begin(line), *end;

    for (unsigned i = 0; i < 4 && text != NULL; i++)
        text = (text = strchr(text, '\t')) != NULL ? text + 1 : NULL;
    if (text == NULL)
        return false;
    end = text + strcspn(text, "\n");
    while (end > text && end[-1] == ' ') /* behind the types of NSEC */
        end--;
    text_add(out, text, (size_t)(end - text));
    return end > text;
}

static bool print_by_ldns(const struct zone_wire_record *record, struct text *out)
{
    uint8_t head[1 + RECORD_FIXED] = {0};
    size_t n = sizeof(head) + record->rdata_bytes, at = 0;
    uint8_t *wire = base_alloc(n);
    ldns_buffer *line = ldns_buffer_new(2 * n + 64);
    ldns_rr *rr = NULL;
    bool is_good;

    ensure(line != NULL);
    bytes_put_u16(head + 1, record->type);
    bytes_put_u16(head + 3, WIRE_CLASS_IN);
    bytes_put_u16(head + 9, record->rdata_bytes);
    memcpy(wire, head, sizeof(head));
    memcpy(wire + sizeof(head), record->rdata, record->rdata_bytes);
    is_good = ldns_wire2rr(&rr, wire, n, &at, LDNS_SECTION_ANSWER) == LDNS_STATUS_OK && at == n &&
              ldns_rr2buffer_str_fmt(line, ldns_output_format_nocomments, rr) == LDNS_STATUS_OK &&
              ldns_buffer_reserve(line, 1);
    if (is_good) {
        ldns_buffer_write_u8(line, 0);
        is_good = cut_data(line, out);
    }
    ldns_rr_free(rr);
    ldns_buffer_free(line);
    free(wire);
    return is_good;
}

/* Is that the data again, to the code that reads zone files? */
static bool reads_back(const struct zone_wire_record *record, struct str text)
{
    static const struct wire_name root = {.length = 1};
    struct errors errors = {0};
    struct source source = {
        .path = "", .text = text.p, .p = text.p, .end = text.p + text.n, .line = 1};
    struct rdata_context context = {.source = &source, .errors = &errors, .origin = &root};
    struct token type = {.s = {text.p, 0}, .line = 1};
    uint8_t *buffer = base_alloc(ZONE_RDATA_MAX);
    struct writer data = writer_of(buffer, ZONE_RDATA_MAX);
    struct entry entry = {0};
    bool is_same = scan_entry(&source, &entry, &errors) && !entry.is_bad &&
                   source.p == source.end &&
                   !has_failed(rdata_parse(&context, record->type, &type, &entry, &data)) &&
                   (size_t)(data.p - buffer) == record->rdata_bytes &&
                   memcmp(buffer, record->rdata, record->rdata_bytes) == 0;

    rdata_context_free(&context);
    errors_free(&errors);
    free(entry.tokens);
    free(buffer);
    return is_same;
}

/* Signed zones are made of these; ldns writes and reads them alike (a unit test), and to look at
 * each of them again would double the time. */
static bool is_trusted(uint16_t type)
{
    return type == WIRE_RRSIG || type == WIRE_DNSKEY || type == WIRE_DS;
}

static bool print_foreign(const struct zone_wire_record *record, struct text *out)
{
    size_t at = out->n;

    /* To read a CERT of algorithm 0, which means something (RFC 4398 section 2.1), leaks in ldns.
     */
    return record->type != TYPE_CERT && rdata_has_text(record->type) &&
           print_by_ldns(record, out) &&
           (is_trusted(record->type) || reads_back(record, (struct str){out->p + at, out->n - at}));
}

static void print_generic(const struct zone_wire_record *record, struct text *out)
{
    static const char digits[] = "0123456789abcdef";

    text_addf(out, "\\# %u ", record->rdata_bytes);
    for (size_t i = 0; i < record->rdata_bytes; i++)
        text_add(out, (char[]){digits[record->rdata[i] >> 4], digits[record->rdata[i] & 15]}, 2);
}

void zone_print_record(const struct zone_wire_record *record, struct text *out)
{
    const struct rdata_format *f = rdata_format(record->type);
    char owner[WIRE_NAME_TEXT], type[16];
    size_t data_at;

    text_addf(out, "%s %u IN %s ", wire_name_format(record->owner.bytes, owner), record->ttl_s,
              rdata_has_text(record->type) ? ldns_rr_descript(record->type)->_name
                                           : wire_type_format(record->type, type));
    data_at = out->n;
    if (f != NULL && f->fields != NULL ? !print_own(f, record, out) : !print_foreign(record, out)) {
        out->n = data_at;
        print_generic(record, out);
    }
    text_adds(out, "\n");
}
