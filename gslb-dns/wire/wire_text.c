/* SPDX-License-Identifier: BSD-2-Clause */
/* Names and types as people write them. Control paths only. */
#include "gslb-dns/wire/wire.h"

#include <stdio.h>
#include <string.h>

/* One character of a label: itself, \X or \DDD (RFC 1035 section 5.1). The number of characters
 * read, 0: none that may stand there. */
static size_t read_character(struct str s, uint8_t *out)
{
    unsigned value = 0;

    if (s.p[0] != '\\') {
        *out = (uint8_t)s.p[0];
        return 1;
    }
    if (s.n < 2)
        return 0;
    if (s.p[1] < '0' || s.p[1] > '9') {
        *out = (uint8_t)s.p[1];
        return 2;
    }
    if (s.n < 4)
        return 0;
    for (size_t i = 1; i < 4; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return 0;
        value = 10 * value + (unsigned)(s.p[i] - '0');
    }
    *out = (uint8_t)value;
    return value <= 255 ? 4 : 0;
}

bool wire_name_parse(struct str text, struct wire_name *out)
{
    uint8_t wire[WIRE_NAME_MAX];
    size_t n = 1, label_at = 0; /* the current label's length byte stands at label_at */

    if (text.n == 0)
        return false;
    if (str_is(text, "."))
        return wire_name_read((const uint8_t *)"", 1, out);
    while (text.n > 0) {
        size_t taken = 1;

        if (n == WIRE_NAME_MAX)
            return false;
        if (text.p[0] == '.') {
            if (n - label_at == 1) /* an empty label */
                return false;
            wire[label_at] = (uint8_t)(n - label_at - 1);
            label_at = n++;
        } else {
            if (n - label_at > 63 || (taken = read_character(text, &wire[n])) == 0)
                return false;
            n++;
        }
        text.p += taken;
        text.n -= taken;
    }
    wire[label_at] = (uint8_t)(n - label_at - 1);
    if (wire[label_at] != 0) {
        if (n == WIRE_NAME_MAX)
            return false;
        wire[n++] = 0;
    }
    return wire_name_read(wire, n, out);
}

static size_t write_character(uint8_t c, char *out)
{
    if (c <= ' ' || c >= 0x7f)
        return (size_t)snprintf(out, 5, "\\%03u", c);
    if (strchr(".\\\"();@$", c) != NULL) {
        out[0] = '\\';
        out[1] = (char)c;
        return 2;
    }
    out[0] = (char)c;
    return 1;
}

const char *wire_name_format(const uint8_t *wire, char buf[WIRE_NAME_TEXT])
{
    size_t n = 0;

    _Static_assert(WIRE_NAME_TEXT > 4 * WIRE_NAME_MAX, "every byte escaped, and the end");
    if (wire[0] == 0)
        buf[n++] = '.';
    for (; wire[0] != 0; wire += 1 + wire[0]) {
        for (size_t i = 1; i <= wire[0]; i++)
            n += write_character(wire[i], buf + n);
        buf[n++] = '.';
    }
    buf[n] = '\0';
    return buf;
}

bool wire_name_is_below(const struct wire_name *name, const struct wire_name *parent)
{
    size_t at;

    if (name->n_labels < parent->n_labels || name->length < parent->length)
        return false;
    at = (size_t)(name->length - parent->length);
    return name->offsets[name->n_labels - parent->n_labels] == at &&
           memcmp(name->bytes + at, parent->bytes, parent->length) == 0;
}

const char *wire_type_format(uint16_t type, char buf[16])
{
    static const struct {
        uint16_t type;
        const char *name;
    } known[] = {
        {WIRE_A, "A"},
        {WIRE_NS, "NS"},
        {WIRE_CNAME, "CNAME"},
        {WIRE_SOA, "SOA"},
        {WIRE_PTR, "PTR"},
        {13, "HINFO"},
        {WIRE_MX, "MX"},
        {WIRE_TXT, "TXT"},
        {17, "RP"},
        {18, "AFSDB"},
        {WIRE_AAAA, "AAAA"},
        {29, "LOC"},
        {WIRE_SRV, "SRV"},
        {WIRE_NAPTR, "NAPTR"},
        {37, "CERT"},
        {WIRE_DNAME, "DNAME"},
        {WIRE_OPT, "OPT"},
        {WIRE_DS, "DS"},
        {44, "SSHFP"},
        {WIRE_RRSIG, "RRSIG"},
        {WIRE_NSEC, "NSEC"},
        {WIRE_DNSKEY, "DNSKEY"},
        {WIRE_NSEC3, "NSEC3"},
        {WIRE_NSEC3PARAM, "NSEC3PARAM"},
        {52, "TLSA"},
        {53, "SMIMEA"},
        {59, "CDS"},
        {60, "CDNSKEY"},
        {61, "OPENPGPKEY"},
        {62, "CSYNC"},
        {63, "ZONEMD"},
        {WIRE_SVCB, "SVCB"},
        {WIRE_HTTPS, "HTTPS"},
        {99, "SPF"},
        {WIRE_NXNAME, "NXNAME"},
        {249, "TKEY"},
        {WIRE_TSIG, "TSIG"},
        {WIRE_IXFR, "IXFR"},
        {WIRE_AXFR, "AXFR"},
        {WIRE_ANY, "ANY"},
        {256, "URI"},
        {257, "CAA"},
    };

    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (known[i].type == type)
            return known[i].name;
    }
    snprintf(buf, 16, "TYPE%u", type); /* RFC 3597 section 5 */
    return buf;
}
