/* SPDX-License-Identifier: BSD-2-Clause */
/* What RFC 8484 puts into HTTP, and takes out of it: pure functions. */
#include "gslb-dns/stream/stream_internal.h"

#include "common/bytes/bytes.h"

#include <string.h>

/* ---- GET: ?dns=BASE64URL ---- */

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* RFC 4648 section 5 as RFC 8484 section 6 wants it: no padding, no other characters, and no bits
 * left over, so that every message has one spelling and caches see it as one. */
bool doh_decode(struct str text, uint8_t *out, size_t *n)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t at = 0;

    if (text.n % 4 == 1)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        int digit = digit_of(text.p[i]);

        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[at++] = (uint8_t)(bits >> n_bits);
        }
    }
    *n = at;
    return (bits & ((1u << n_bits) - 1)) == 0;
}

/* The path of a target, and behind its '?' the value of dns. More than one of them is refused. */
enum doh_target doh_split(struct str target, const char *path, struct str *dns)
{
    const char *mark = memchr(target.p, '?', target.n);
    size_t path_bytes = mark != NULL ? (size_t)(mark - target.p) : target.n;
    const char *end = target.p + target.n, *p = mark;
    bool is_found = false;

    *dns = (struct str){NULL, 0};
    if (path_bytes != strlen(path) || memcmp(target.p, path, path_bytes) != 0)
        return DOH_ELSEWHERE;
    while (p != NULL && p < end) {
        const char *next = memchr(p + 1, '&', (size_t)(end - p - 1));
        size_t n = (size_t)((next != NULL ? next : end) - p - 1);

        if (n >= 4 && memcmp(p + 1, "dns=", 4) == 0) {
            if (is_found)
                return DOH_BAD;
            is_found = true;
            *dns = (struct str){p + 5, n - 4};
        }
        p = next;
    }
    return DOH_HERE;
}

/* ---- freshness ---- */

static void skip_name(struct reader *r)
{
    for (;;) {
        uint8_t n = reader_u8(r);

        if (n >= 0xc0) {
            (void)reader_u8(r);
            return;
        }
        if (n == 0 || r->is_bad)
            return;
        (void)reader_take(r, n);
    }
}

/* One record; an SOA's TTL is at most its MINIMUM (RFC 2308 section 5). */
static uint32_t read_ttl(struct reader *r, uint16_t *type)
{
    const uint8_t *rdata;
    uint32_t ttl;
    uint16_t n;

    skip_name(r);
    *type = reader_u16(r);
    (void)reader_u16(r);
    ttl = reader_u32(r);
    n = reader_u16(r);
    rdata = reader_take(r, n);
    if (*type == WIRE_SOA && rdata != NULL && n >= 20 && bytes_get_u32(rdata + n - 4) < ttl)
        ttl = bytes_get_u32(rdata + n - 4);
    return ttl;
}

/* RFC 8484 section 5.1: the smallest TTL of the answer section, or what a negative answer's SOA
 * says. */
int64_t doh_max_age_s(const uint8_t *message, size_t n)
{
    struct reader r = reader_of(message, n);
    int64_t least = -1;
    unsigned rcode, counts[3];
    uint16_t type;

    if (n < WIRE_HEADER)
        return -1;
    rcode = message[3] & 0x0f;
    if (rcode != WIRE_NOERROR && rcode != WIRE_NXDOMAIN)
        return -1;
    (void)reader_take(&r, 4);
    for (size_t i = 0; i < COUNT_OF(counts); i++)
        counts[i] = reader_u16(&r);
    (void)reader_u16(&r);
    for (unsigned i = 0; i < counts[0] && !r.is_bad; i++) {
        skip_name(&r);
        (void)reader_take(&r, 4);
    }
    for (unsigned i = 0; i < counts[1] && !r.is_bad; i++) {
        uint32_t ttl = read_ttl(&r, &type);

        least = least < 0 || ttl < least ? ttl : least;
    }
    for (unsigned i = 0; i < counts[2] && !r.is_bad; i++) {
        uint32_t ttl = read_ttl(&r, &type);

        if (type == WIRE_SOA && (least < 0 || ttl < least))
            least = ttl;
    }
    return r.is_bad ? -1 : least;
}
