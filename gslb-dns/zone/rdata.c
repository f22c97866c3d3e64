/* SPDX-License-Identifier: BSD-2-Clause */
/* A record's data from text to wire. The types that zones are made of are read here, so that a
 * mistake points to its token and a large zone loads fast; ldns reads all others. */
#include "gslb-dns/zone/zone_internal.h"

#include "common/addr/addr.h"

#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct rdata_format formats[] = {
    {{WIRE_A, 0, 0, false, false}, "4", {"IPv4 address"}},
    {{WIRE_AAAA, 0, 0, false, false}, "6", {"IPv6 address"}},
    {{WIRE_CNAME, 0, 1, true, false}, "n", {"target"}},
    {{WIRE_NS, 0, 1, true, true}, "n", {"name server"}},
    {{WIRE_MX, 2, 1, true, true}, "2n", {"preference", "mail server"}},
    {{WIRE_TXT, 0, 0, false, false}, "t", {"text"}},
    {{WIRE_PTR, 0, 1, true, false}, "n", {"target"}},
    {{WIRE_SRV, 6, 1, false, true}, "222n", {"priority", "weight", "port", "target"}},
    {{WIRE_SOA, 0, 2, true, false},
     "nnupppp",
     {"primary server", "mailbox", "serial", "refresh", "retry", "expire", "minimum"}},
    {{WIRE_DNAME, 0, 1, false, false}, "n", {"target"}},
    {{WIRE_SVCB, 2, 1, false, true}, NULL, {NULL}},
    {{WIRE_HTTPS, 2, 1, false, true}, NULL, {NULL}},
    {{3, 0, 1, true, false}, "n", {"mail destination"}}, /* MD MF MB MG MR MINFO: RFC 1035 */
    {{4, 0, 1, true, false}, "n", {"mail forwarder"}},
    {{7, 0, 1, true, false}, "n", {"mailbox host"}},
    {{8, 0, 1, true, false}, "n", {"group member"}},
    {{9, 0, 1, true, false}, "n", {"new mailbox"}},
    {{14, 0, 2, true, false}, "nn", {"responsible mailbox", "error mailbox"}},
    {{17, 0, 2, false, false}, "nn", {"mailbox", "text name"}}, /* RP */
    {{18, 2, 1, false, false}, "2n", {"subtype", "host"}},      /* AFSDB */
    {{36, 2, 1, false, false}, "2n", {"preference", "host"}},   /* KX */
    {{99, 0, 0, false, false}, "t", {"text"}},                  /* SPF */
};

const struct rdata_format *rdata_format(uint16_t type)
{
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        if (formats[i].layout.type == type)
            return &formats[i];
    }
    return NULL;
}

const struct rdata_layout *rdata_layout(uint16_t type)
{
    const struct rdata_format *f = rdata_format(type);

    return f != NULL && f->layout.n_names > 0 ? &f->layout : NULL;
}

/* --- types -------------------------------------------------------------------------------- */

/* ldns names a type that it does not know by the row 0 of its table. */
static const ldns_rr_descriptor *descriptor_of(uint16_t type)
{
    const ldns_rr_descriptor *d = ldns_rr_descript(type);

    return d != NULL && d->_type == (ldns_rr_type)type && d->_name != NULL && type != 0 ? d : NULL;
}

bool rdata_has_text(uint16_t type)
{
    return descriptor_of(type) != NULL;
}

uint16_t rdata_type(struct str text)
{
    static const struct {
        const char *name;
        uint16_t type;
    } frequent[] = {{"A", WIRE_A},     {"AAAA", WIRE_AAAA}, {"CNAME", WIRE_CNAME},
                    {"NS", WIRE_NS},   {"MX", WIRE_MX},     {"TXT", WIRE_TXT},
                    {"PTR", WIRE_PTR}, {"SRV", WIRE_SRV},   {"HTTPS", WIRE_HTTPS}};
    char name[32];
    uint64_t number;

    for (size_t i = 0; i < COUNT_OF(frequent); i++) {
        if (str_is_nocase(text, frequent[i].name))
            return frequent[i].type;
    }
    if (text.n == 0 || text.n >= sizeof(name) || memchr(text.p, '\0', text.n) != NULL)
        return 0;
    if (text.n > 4 && strncasecmp(text.p, "TYPE", 4) == 0) { /* RFC 3597 section 5 */
        struct str digits = {text.p + 4, text.n - 4};
        return text_parse_u64(digits, &number) && number <= UINT16_MAX ? (uint16_t)number : 0;
    }
    memcpy(name, text.p, text.n);
    name[text.n] = '\0';
    return (uint16_t)ldns_get_rr_type_by_name(name);
}

const char *rdata_nearest_type(struct str text)
{
    enum { LAST_NUMBERED = 264 };
    const char *best = NULL;
    unsigned best_distance = text.n <= 2 ? 2 : 3;
    char upper[16];

    if (text.n >= sizeof(upper))
        return NULL;
    for (size_t i = 0; i < text.n; i++)
        upper[i] = (char)(text.p[i] >= 'a' && text.p[i] <= 'z' ? text.p[i] - 32 : text.p[i]);
    for (unsigned type = 1; type <= LAST_NUMBERED; type++) {
        const ldns_rr_descriptor *d = descriptor_of((uint16_t)type);
        unsigned distance;

        if (d == NULL || (type >= 128 && type <= 255) || strncmp(d->_name, "TYPE", 4) == 0)
            continue;
        distance = text_distance((struct str){upper, text.n}, str_of(d->_name));
        /* Equally near: the one that goes on as the text began (AAA: AAAA, not A or SOA). */
        if (distance < best_distance ||
            (distance == best_distance && best != NULL && strncmp(d->_name, upper, text.n) == 0 &&
             strncmp(best, upper, text.n) != 0)) {
            best = d->_name;
            best_distance = distance;
        }
    }
    return best;
}

/* --- our own fields ----------------------------------------------------------------------- */

static struct outcome complain_field(const struct rdata_context *c, const struct token *t,
                                     const char *label, const char *wanted)
{
    scan_complain(c->source, t, c->errors, "%.*s is no %s; %s is wanted", scan_shown(t), t->s.p,
                  label, wanted);
    return OUTCOME_FAILED;
}

static struct outcome parse_address(const struct rdata_context *c, const struct token *t,
                                    const struct rdata_format *f, struct writer *out)
{
    unsigned family = f->fields[0] == '4' ? 4 : 6;
    struct ip ip;

    if (t->is_quoted || !ip_parse(t->s, &ip) || ip.family != family)
        return complain_field(c, t, f->labels[0],
                              family == 4 ? "one like 192.0.2.1" : "one like 2001:db8::1");
    writer_add(out, ip.bytes, family == 4 ? 4 : 16);
    return OUTCOME_OK;
}

static struct outcome parse_name_field(const struct rdata_context *c, const struct token *t,
                                       const char *label, struct writer *out)
{
    struct wire_name name;
    const char *why = scan_name(t->s, c->origin, &name);

    if (why != NULL) {
        scan_complain(c->source, t, c->errors, "%s: %s", label, why);
        return OUTCOME_FAILED;
    }
    writer_add(out, name.bytes, name.length);
    return OUTCOME_OK;
}

static struct outcome parse_number(const struct rdata_context *c, const struct token *t,
                                   const struct rdata_format *f, size_t field, struct writer *out)
{
    char kind = f->fields[field];
    uint64_t max = kind == '2' ? UINT16_MAX : UINT32_MAX, value = 0;
    uint32_t period;

    if (kind == 'p') {
        if (!scan_ttl(t->s, &period))
            return complain_field(c, t, f->labels[field], "seconds or a time like 1h30m");
        value = period;
    } else if (!text_parse_u64(t->s, &value) || value > max) {
        return complain_field(c, t, f->labels[field],
                              kind == '2' ? "a number up to 65535" : "a number up to 4294967295");
    }
    if (kind == '2')
        writer_u16(out, (uint16_t)value);
    else
        writer_u32(out, (uint32_t)value);
    return OUTCOME_OK;
}

/* A character-string (RFC 1035 section 3.3). */
static struct outcome parse_string(const struct rdata_context *c, const struct token *t,
                                   struct writer *out)
{
    const char *p = t->s.p, *end = p + t->s.n, *why = NULL;
    uint8_t bytes[255];
    size_t n = 0;

    while (p < end && why == NULL) {
        if (n == sizeof(bytes))
            why = "string longer than 255 bytes; write it as several quoted strings";
        else if (*p == '"')
            why = "quote within a word; a space is missing before it";
        else if (!scan_character(&p, end, &bytes[n++]))
            why = "bad escape: it is \\X or \\DDD, up to \\255";
    }
    if (why != NULL) {
        scan_complain(c->source, t, c->errors, "%s", why);
        return OUTCOME_FAILED;
    }
    writer_u8(out, (uint8_t)n);
    writer_add(out, bytes, n);
    return OUTCOME_OK;
}

static struct outcome parse_field(const struct rdata_context *c, const struct token *t,
                                  const struct rdata_format *f, size_t field, struct writer *out)
{
    switch (f->fields[field]) {
    case '4':
    case '6':
        return parse_address(c, t, f, out);
    case 'n':
        return parse_name_field(c, t, f->labels[field], out);
    case 't':
        return parse_string(c, t, out);
    default:
        return parse_number(c, t, f, field, out);
    }
}

static struct outcome complain_missing(const struct rdata_context *c, const struct token *at,
                                       uint16_t type, const char *what)
{
    char buf[16];

    scan_complain(c->source, at, c->errors, "%s without its %s", wire_type_format(type, buf), what);
    return OUTCOME_FAILED;
}

static struct outcome complain_extra(const struct rdata_context *c, const struct token *at,
                                     uint16_t type)
{
    char buf[16];

    scan_complain(c->source, at, c->errors, "%.*s is too much: the %s ends before it",
                  scan_shown(at), at->s.p, wire_type_format(type, buf));
    return OUTCOME_FAILED;
}

static struct outcome parse_own(const struct rdata_context *c, const struct rdata_format *f,
                                const struct token *type_token, const struct entry *rest,
                                struct writer *out)
{
    const struct token *previous = type_token;
    size_t field = 0;

    for (size_t i = 0; i < rest->n; i++) {
        const struct token *t = &rest->tokens[i];

        if (f->fields[field] == '\0')
            return complain_extra(c, t, f->layout.type);
        if (has_failed(parse_field(c, t, f, field, out)))
            return OUTCOME_FAILED;
        previous = t;
        field += f->fields[field] != 't';
    }
    if (f->fields[field] == '\0' || (f->fields[field] == 't' && rest->n > 0))
        return OUTCOME_OK;
    return complain_missing(c, previous, f->layout.type, f->labels[field]);
}

/* --- wire forms that we did not make ------------------------------------------------------ */

static bool take_name(struct reader *r)
{
    size_t total = 1;
    uint8_t n;

    while ((n = reader_u8(r)) != 0) {
        total += n + 1u;
        if (n > 63 || total > WIRE_NAME_MAX || reader_take(r, n) == NULL)
            return false;
    }
    return !r->is_bad;
}

static bool take_strings(struct reader *r)
{
    do
        reader_take(r, reader_u8(r));
    while (!r->is_bad && reader_left(r) > 0);
    return !r->is_bad;
}

bool rdata_has_format(const struct rdata_format *f, const uint8_t *bytes, size_t n)
{
    struct reader r = reader_of(bytes, n);

    if (f->fields == NULL) {
        reader_take(&r, f->layout.fixed_bytes);
        return take_name(&r);
    }
    for (const char *field = f->fields; *field != '\0'; field++) {
        if (*field == 'n' ? !take_name(&r) : *field == 't' && !take_strings(&r))
            return false;
        if (*field != 'n' && *field != 't')
            reader_take(&r, *field == '2' ? 2 : *field == '6' ? 16 : 4);
    }
    return !r.is_bad && reader_left(&r) == 0;
}

/* Does ldns find the type's fields in these bytes? */
static bool is_known_to_ldns(uint16_t type, const uint8_t *bytes, size_t n)
{
    uint8_t head[11] = {0};
    uint8_t *rr = base_alloc(sizeof(head) + n);
    ldns_rr *parsed = NULL;
    size_t at = 0;
    bool is_good;

    bytes_put_u16(head + 1, type);
    bytes_put_u16(head + 3, WIRE_CLASS_IN);
    bytes_put_u16(head + 9, (uint16_t)n);
    memcpy(rr, head, sizeof(head));
    memcpy(rr + sizeof(head), bytes, n);
    is_good =
        ldns_wire2rr(&parsed, rr, sizeof(head) + n, &at, LDNS_SECTION_ANSWER) == LDNS_STATUS_OK &&
        at == sizeof(head) + n;
    ldns_rr_free(parsed);
    free(rr);
    return is_good;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)text_lower((uint8_t)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \# LENGTH HEX... (RFC 3597 section 5). */
static struct outcome parse_generic(const struct rdata_context *c, uint16_t type,
                                    const struct entry *rest, struct writer *out)
{
    const struct rdata_format *f = rdata_format(type);
    const uint8_t *begin = out->p;
    uint64_t length;
    int high = -1;

    if (rest->n < 2)
        return complain_missing(c, &rest->tokens[0], type, "length after \\#");
    if (!text_parse_u64(rest->tokens[1].s, &length) || length > RDATA_MAX)
        return complain_field(c, &rest->tokens[1], "length", "a number up to 65535");
    for (size_t i = 2; i < rest->n; i++) {
        for (size_t k = 0; k < rest->tokens[i].s.n; k++) {
            int digit = hex_digit(rest->tokens[i].s.p[k]);

            if (digit < 0)
                return complain_field(c, &rest->tokens[i], "data", "a row of hexadecimal digits");
            if (high >= 0)
                writer_u8(out, (uint8_t)(high << 4 | digit));
            high = high >= 0 ? -1 : digit;
        }
    }
    if (high >= 0 || out->is_full || (uint64_t)(out->p - begin) != length) {
        scan_complain(c->source, &rest->tokens[1], c->errors,
                      "length is %.*s, but %zu%s bytes follow", STR_ARG(rest->tokens[1].s),
                      (size_t)(out->p - begin), high >= 0 ? " and a half" : "");
        return OUTCOME_FAILED;
    }
    if (f != NULL ? !rdata_has_format(f, begin, length)
                  : descriptor_of(type) != NULL && !is_known_to_ldns(type, begin, length)) {
        char buf[16];

        scan_complain(c->source, &rest->tokens[0], c->errors, "these bytes are no %s",
                      wire_type_format(type, buf));
        return OUTCOME_FAILED;
    }
    return OUTCOME_OK;
}

/* --- ldns --------------------------------------------------------------------------------- */

static void add_token_text(struct text *t, const struct token *token)
{
    text_adds(t, " ");
    if (token->is_quoted)
        text_adds(t, "\"");
    text_add(t, token->s.p, token->s.n);
    if (token->is_quoted)
        text_adds(t, "\"");
}

/* Can this token alone be the field? Fields that span several tokens are not judged. */
static bool is_field(ldns_rdf_type field, const struct token *t)
{
    char *text = base_strndup(t->s.p, t->s.n);
    ldns_rdf *rdf = ldns_rdf_new_frm_str(field, text);
    bool is_good = rdf != NULL;

    ldns_rdf_deep_free(rdf);
    free(text);
    return is_good;
}

/* ldns says that a record is wrong, but not where: finds the first token that is no such field. */
static struct outcome complain_of_ldns(const struct rdata_context *c, uint16_t type,
                                       const struct token *type_token, const struct entry *rest,
                                       const char *why)
{
    const ldns_rr_descriptor *d = descriptor_of(type);
    const struct token *at = rest->n > 0 ? &rest->tokens[0] : type_token;
    char buf[16];

    for (size_t i = 0; i < rest->n; i++) { /* SvcParams: each of the tokens is such a field */
        size_t field = type == WIRE_SVCB || type == WIRE_HTTPS ? (i < 2 ? i : 2) : i;

        if (field < ldns_rr_descriptor_maximum(d) &&
            !is_field(ldns_rr_descriptor_field_type(d, field), &rest->tokens[i])) {
            at = &rest->tokens[i];
            break;
        }
    }
    if (rest->n < ldns_rr_descriptor_minimum(d) && (rest->n == 0 || at == &rest->tokens[0]))
        scan_complain(c->source, at, c->errors, "%s needs %zu fields, here are %zu",
                      wire_type_format(type, buf), ldns_rr_descriptor_minimum(d), rest->n);
    else
        scan_complain(c->source, at, c->errors, "bad %s: %s at %.*s", wire_type_format(type, buf),
                      why, scan_shown(at), at->s.p);
    return OUTCOME_FAILED;
}

static struct outcome check_hex(const struct rdata_context *c, const struct token *t, size_t n)
{
    size_t digits = 0;

    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < t[i].s.n; k++) {
            if (hex_digit(t[i].s.p[k]) < 0)
                return complain_field(c, &t[i], "data", "a row of hexadecimal digits");
        }
        digits += t[i].s.n;
    }
    if (digits % 2 == 0)
        return OUTCOME_OK;
    return complain_field(c, &t[n - 1], "data", "an even number of hexadecimal digits");
}

static uint64_t largest(ldns_rdf_type field)
{
    switch (field) {
    case LDNS_RDF_TYPE_INT8:
    case LDNS_RDF_TYPE_ALG:
    case LDNS_RDF_TYPE_CERTIFICATE_USAGE:
    case LDNS_RDF_TYPE_SELECTOR:
    case LDNS_RDF_TYPE_MATCHING_TYPE:
        return UINT8_MAX;
    case LDNS_RDF_TYPE_INT16:
    case LDNS_RDF_TYPE_CERT_ALG:
        return UINT16_MAX;
    case LDNS_RDF_TYPE_INT32:
        return UINT32_MAX;
    default:
        return 0;
    }
}

/* Numbers that may go by a name, which ldns looks up. */
static bool is_mnemonic(ldns_rdf_type field, const struct token *t)
{
    return field != LDNS_RDF_TYPE_INT8 && field != LDNS_RDF_TYPE_INT16 &&
           field != LDNS_RDF_TYPE_INT32 && t->s.n > 0 && (t->s.p[0] < '0' || t->s.p[0] > '9');
}

/* What ldns lets pass: numbers beyond their field (99999 for a key tag becomes 34463) and half a
 * byte of hexadecimal. */
static struct outcome check_tokens(const struct rdata_context *c, uint16_t type,
                                   const struct entry *rest)
{
    const ldns_rr_descriptor *d = descriptor_of(type);

    for (size_t i = 0; i < rest->n && i < ldns_rr_descriptor_maximum(d); i++) {
        const struct token *t = &rest->tokens[i];
        ldns_rdf_type field = ldns_rr_descriptor_field_type(d, i);
        uint64_t max = largest(field), value;

        if (field == LDNS_RDF_TYPE_HEX)
            return check_hex(c, t, rest->n - i);
        if (max > 0 && !is_mnemonic(field, t) && (!text_parse_u64(t->s, &value) || value > max)) {
            scan_complain(c->source, t, c->errors, "%.*s is no number up to %llu", scan_shown(t),
                          t->s.p, (unsigned long long)max);
            return OUTCOME_FAILED;
        }
    }
    return OUTCOME_OK;
}

static struct outcome copy_rdata(const struct rdata_context *c, const ldns_rr *rr,
                                 const struct token *at, struct writer *out)
{
    const struct rdata_format *f = rdata_format((uint16_t)ldns_rr_get_type(rr));
    const uint8_t *begin = out->p;
    const char *why;
    uint8_t *wire = NULL;
    size_t n = 0, head = 1 + 10; /* the root as owner, type, class, TTL, length */

    if (ldns_rr2wire(&wire, rr, LDNS_SECTION_ANSWER, &n) == LDNS_STATUS_OK && n >= head &&
        bytes_get_u16(wire + head - 2) == n - head)
        writer_add(out, wire + head, n - head);
    else
        out->is_full = true;
    LDNS_FREE(wire);
    if (out->is_full || (f != NULL && !rdata_has_format(f, begin, (size_t)(out->p - begin)))) {
        scan_complain(c->source, at, c->errors, "the record does not fit into 65535 bytes");
        return OUTCOME_FAILED;
    }
    why = rdata_fault((uint16_t)ldns_rr_get_type(rr), begin, (size_t)(out->p - begin));
    if (why != NULL) {
        scan_complain(c->source, at, c->errors, "%s", why);
        return OUTCOME_FAILED;
    }
    return OUTCOME_OK;
}

static struct outcome parse_by_ldns(struct rdata_context *c, uint16_t type,
                                    const struct token *type_token, const struct entry *rest,
                                    struct writer *out)
{
    ldns_rdf *origin =
        ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, c->origin->length, c->origin->bytes);
    struct outcome outcome;
    ldns_rr *rr = NULL;
    ldns_status status;

    c->scratch.n = 0;
    text_addf(&c->scratch, ". 0 IN TYPE%u", type);
    for (size_t i = 0; i < rest->n; i++)
        add_token_text(&c->scratch, &rest->tokens[i]);
    status = ldns_rr_new_frm_str(&rr, c->scratch.p, 0, origin, NULL);
    if (status != LDNS_STATUS_OK)
        outcome = complain_of_ldns(c, type, type_token, rest, ldns_get_errorstr_by_id(status));
    else
        outcome = copy_rdata(c, rr, type_token, out);
    if (status == LDNS_STATUS_OK)
        ldns_rr_free(rr);
    ldns_rdf_deep_free(origin);
    return outcome;
}

struct outcome rdata_parse(struct rdata_context *c, uint16_t type, const struct token *type_token,
                           const struct entry *rest, struct writer *out)
{
    const struct rdata_format *f = rdata_format(type);
    char buf[16];

    if (rest->n > 0 && !rest->tokens[0].is_quoted && str_is(rest->tokens[0].s, "\\#"))
        return parse_generic(c, type, rest, out);
    if (f != NULL && f->fields != NULL)
        return parse_own(c, f, type_token, rest, out);
    if (descriptor_of(type) == NULL) {
        scan_complain(c->source, type_token, c->errors,
                      "%s has no text form known here; write its data as \\# LENGTH HEX "
                      "(RFC 3597)",
                      wire_type_format(type, buf));
        return OUTCOME_FAILED;
    }
    if (has_failed(check_tokens(c, type, rest)))
        return OUTCOME_FAILED;
    return parse_by_ldns(c, type, type_token, rest, out);
}

void rdata_context_free(struct rdata_context *c)
{
    text_free(&c->scratch);
}
