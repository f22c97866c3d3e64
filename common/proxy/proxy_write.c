/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/proxy/proxy_internal.h"

#include "common/bytes/bytes.h"

#include <stdio.h>
#include <string.h>

/* RFC 4291 section 2.5.5.2 */
static struct ip as_ipv6(const struct ip *ip)
{
    struct ip out = {.family = 6, .bytes = {[10] = 0xff, [11] = 0xff}};

    if (ip->family != 4)
        return *ip;
    memcpy(out.bytes + 12, ip->bytes, 4);
    return out;
}

/* Both in one family, as both versions want them; 4 or 6. */
static uint8_t unite(struct ip *a, struct ip *b)
{
    if (a->family == 4 && b->family == 4)
        return 4;
    *a = as_ipv6(a);
    *b = as_ipv6(b);
    return 6;
}

static size_t write_v1(const struct addr *source, const struct addr *destination,
                       char out[PROXY_WRITTEN_MAX])
{
    char line[PROXY_WRITTEN_MAX + 1], from[ADDR_TEXT], to[ADDR_TEXT];
    int n = snprintf(line, sizeof(line), "PROXY UNKNOWN\r\n");

    if (source != NULL) {
        struct ip a = addr_ip(source), b = addr_ip(destination);
        uint8_t family = unite(&a, &b);

        n = snprintf(line, sizeof(line), "PROXY TCP%u %s %s %u %u\r\n", family, ip_format(&a, from),
                     ip_format(&b, to), addr_port(source), addr_port(destination));
    }
    ensure(n > 0 && (size_t)n < sizeof(line));
    memcpy(out, line, (size_t)n);
    return (size_t)n;
}

static size_t write_v2(const struct addr *source, const struct addr *destination, char *out)
{
    uint8_t *p = (uint8_t *)out;
    size_t ip_bytes;
    struct ip a, b;

    memcpy(p, proxy_signature, PROXY_SIGNATURE);
    p[12] = LOCAL;
    memset(p + 13, 0, 3);
    if (source == NULL)
        return PROXY_FIXED;
    a = addr_ip(source);
    b = addr_ip(destination);
    ip_bytes = unite(&a, &b) == 4 ? 4 : 16;
    p[12] = PROXY;
    p[13] = (ip_bytes == 4 ? INET : INET6) << 4 | STREAM;
    bytes_put_u16(p + 14, (uint16_t)(2 * ip_bytes + 4));
    p += PROXY_FIXED;
    memcpy(p, a.bytes, ip_bytes);
    memcpy(p + ip_bytes, b.bytes, ip_bytes);
    bytes_put_u16(p + 2 * ip_bytes, addr_port(source));
    bytes_put_u16(p + 2 * ip_bytes + 2, addr_port(destination));
    return PROXY_FIXED + 2 * ip_bytes + 4;
}

size_t proxy_write(unsigned version, const struct addr *source, const struct addr *destination,
                   char out[PROXY_WRITTEN_MAX])
{
    return version == PROXY_V1 ? write_v1(source, destination, out)
                               : write_v2(source, destination, out);
}
