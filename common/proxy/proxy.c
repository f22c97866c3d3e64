/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/proxy/proxy_internal.h"

#include "common/bytes/bytes.h"

#include <string.h>

enum { TLV_HEAD = 3, TLV_CRC32C = 3, CRC_BYTES = 4 };

const uint8_t proxy_signature[PROXY_SIGNATURE] = "\r\n\r\n\0\r\nQUIT\n";

bool proxy_has_signature(const uint8_t *p, size_t n)
{
    return n >= PROXY_SIGNATURE && memcmp(p, proxy_signature, PROXY_SIGNATURE) == 0;
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

/* CRC32c (RFC 4960 appendix B), half a byte at a time: headers are short. */
static uint32_t crc_step(uint32_t crc, uint8_t byte)
{
    static const uint32_t halves[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };

    crc ^= byte;
    crc = crc >> 4 ^ halves[crc & 15];
    return crc >> 4 ^ halves[crc & 15];
}

/* Section 2.2.3: over the whole header, the checksum itself being zero. */
static bool is_checksum_right(const uint8_t *p, size_t n, const uint8_t *checksum)
{
    uint32_t crc = 0xffffffff;

    for (const uint8_t *at = p; at < p + n; at++)
        crc = crc_step(crc, at >= checksum && at < checksum + CRC_BYTES ? 0 : *at);
    return (crc ^ 0xffffffff) == bytes_get_u32(checksum);
}

/* What most of them say is not needed; that they end where the header does is. */
static enum proxy_verdict judge_tlvs(const uint8_t *p, size_t n, const uint8_t **checksum)
{
    while (n >= TLV_HEAD) {
        size_t bytes = TLV_HEAD + (size_t)bytes_get_u16(p + 1);

        if (bytes > n)
            return PROXY_BAD_TLV;
        if (p[0] == TLV_CRC32C) {
            if (bytes != TLV_HEAD + CRC_BYTES || *checksum != NULL)
                return PROXY_BAD_TLV;
            *checksum = p + TLV_HEAD;
        }
        p += bytes;
        n -= bytes;
    }
    return n == 0 ? PROXY_OK : PROXY_BAD_TLV;
}

/* The last n bytes of the header at p. */
static enum proxy_verdict read_tlvs(const uint8_t *p, const struct proxy_header *header, size_t n)
{
    const uint8_t *checksum = NULL;
    enum proxy_verdict verdict = judge_tlvs(p + header->bytes - n, n, &checksum);

    if (verdict == PROXY_OK && checksum != NULL && !is_checksum_right(p, header->bytes, checksum))
        return PROXY_BAD_CHECKSUM;
    return verdict;
}

static enum proxy_verdict parse_body(const uint8_t *p, struct proxy_header *out)
{
    const uint8_t *body = p + PROXY_FIXED;
    size_t n = out->bytes - PROXY_FIXED, taken;
    unsigned family = p[13] >> 4, protocol = p[13] & 0x0f;

    if (p[12] == LOCAL) /* section 2.2: the rest is skipped, whatever it is */
        return PROXY_OK;
    if (family == UNSPEC && protocol == 0)
        return read_tlvs(p, out, n);
    if ((family != INET && family != INET6) || protocol < STREAM || protocol > DATAGRAM)
        return PROXY_BAD_ADDRESS;
    taken = read_addresses(body, n, family, out);
    if (taken == 0)
        return PROXY_BAD_ADDRESS;
    out->has_claim = true;
    return read_tlvs(p, out, n - taken);
}

enum proxy_verdict proxy_parse(const uint8_t *p, size_t n, unsigned versions,
                               struct proxy_header *out)
{
    size_t known = n < PROXY_SIGNATURE ? n : PROXY_SIGNATURE;
    struct proxy_header header = {0};
    enum proxy_verdict verdict;

    if (n == 0)
        return PROXY_MORE;
    if (versions & PROXY_V1 && (p[0] != proxy_signature[0] || !(versions & PROXY_V2)))
        return proxy_parse_v1(p, n, out);

    if (memcmp(p, proxy_signature, known) != 0)
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
