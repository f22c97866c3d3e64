/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/proxy/proxy.h"

#include "common/bytes/bytes.h"

#include <string.h>

enum { LOCAL = 0x20, PROXY = 0x21, UNSPEC = 0, INET = 1, INET6 = 2, TLV_HEAD = 3 };

static const uint8_t signature[PROXY_SIGNATURE] = "\r\n\r\n\0\r\nQUIT\n";

bool proxy_has_signature(const uint8_t *p, size_t n)
{
    return n >= PROXY_SIGNATURE && memcmp(p, signature, PROXY_SIGNATURE) == 0;
}

size_t proxy_bytes_wanted(const uint8_t *p, size_t n)
{
    return n < PROXY_FIXED ? PROXY_FIXED : PROXY_FIXED + (size_t)bytes_get_u16(p + 14);
}

static struct addr read_addr(const uint8_t *ip, unsigned family, const uint8_t *port)
{
    struct ip out = {.family = family == INET ? 4 : 6};

    memcpy(out.bytes, ip, family == INET ? 4 : 16);
    return addr_of_ip(&out, bytes_get_u16(port));
}

/* Source, destination, and the ports of both; how many bytes they take, 0: not there. */
static size_t read_addresses(const uint8_t *p, size_t n, unsigned family, struct proxy_header *out)
{
    size_t ip_bytes = family == INET ? 4 : 16, total = 2 * ip_bytes + 4;

    if (n < total)
        return 0;
    out->source = read_addr(p, family, p + 2 * ip_bytes);
    out->destination = read_addr(p + ip_bytes, family, p + 2 * ip_bytes + 2);
    return total;
}

/* What they say is not needed; that they end where the header does is. */
static bool are_tlvs(const uint8_t *p, size_t n)
{
    while (n >= TLV_HEAD) {
        size_t bytes = TLV_HEAD + (size_t)bytes_get_u16(p + 1);

        if (bytes > n)
            return false;
        p += bytes;
        n -= bytes;
    }
    return n == 0;
}

static enum proxy_verdict parse_body(const uint8_t *p, struct proxy_header *out)
{
    const uint8_t *body = p + PROXY_FIXED;
    size_t n = out->bytes - PROXY_FIXED, taken;
    unsigned family = p[13] >> 4, protocol = p[13] & 0x0f;

    if (p[12] == LOCAL) /* section 2.2: the rest is skipped, whatever it is */
        return PROXY_OK;
    if (family == UNSPEC && protocol == 0)
        return are_tlvs(body, n) ? PROXY_OK : PROXY_BAD_TLV;
    if ((family != INET && family != INET6) || protocol < 1 || protocol > 2)
        return PROXY_BAD_ADDRESS;
    taken = read_addresses(body, n, family, out);
    if (taken == 0)
        return PROXY_BAD_ADDRESS;
    out->has_claim = true;
    return are_tlvs(body + taken, n - taken) ? PROXY_OK : PROXY_BAD_TLV;
}

enum proxy_verdict proxy_parse(const uint8_t *p, size_t n, struct proxy_header *out)
{
    size_t known = n < PROXY_SIGNATURE ? n : PROXY_SIGNATURE;
    struct proxy_header header = {0};
    enum proxy_verdict verdict;

    if (known > 0 && memcmp(p, signature, known) != 0)
        return PROXY_BAD_SIGNATURE;
    if (n > 12 && p[12] != LOCAL && p[12] != PROXY)
        return PROXY_BAD_VERSION;
    if (n < PROXY_FIXED)
        return PROXY_MORE;
    header.bytes = proxy_bytes_wanted(p, n);
    if (header.bytes > PROXY_MAX)
        return PROXY_TOO_LONG;
    if (n < header.bytes)
        return PROXY_MORE;
    verdict = parse_body(p, &header);
    if (verdict == PROXY_OK)
        *out = header;
    return verdict;
}
