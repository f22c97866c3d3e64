/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/addr/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool ip_parse(struct str s, struct ip *out)
{
    char buf[ADDR_TEXT];

    if (s.n == 0 || s.n >= sizeof(buf) || memchr(s.p, '\0', s.n) != NULL)
        return false;
    memcpy(buf, s.p, s.n);
    buf[s.n] = '\0';
    *out = (struct ip){0};
    if (inet_pton(AF_INET, buf, out->bytes) == 1) {
        out->family = 4;
        return true;
    }
    if (inet_pton(AF_INET6, buf, out->bytes) == 1) {
        out->family = 6;
        return true;
    }
    return false;
}

/* By hand: inet_ntop goes through printf, and each request's log line and X-Forwarded-For come
 * through here. */
static void format_ipv4(const uint8_t bytes[4], char *to)
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned v = bytes[i];

        if (v >= 100)
            *to++ = (char)('0' + v / 100);
        if (v >= 10)
            *to++ = (char)('0' + v / 10 % 10);
        *to++ = (char)('0' + v % 10);
        *to++ = i < 3 ? '.' : '\0';
    }
}

const char *ip_format(const struct ip *ip, char buf[ADDR_TEXT])
{
    if (ip->family == 4)
        format_ipv4(ip->bytes, buf);
    else if (ip->family == 0 || inet_ntop(AF_INET6, ip->bytes, buf, ADDR_TEXT) == NULL)
        snprintf(buf, ADDR_TEXT, "none");
    return buf;
}

bool ip_eq(const struct ip *a, const struct ip *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, ip_bits(a) / 8) == 0;
}

void ip_mask(struct ip *ip, unsigned length)
{
    for (unsigned i = 0; i < 16; i++) {
        if (length >= 8 * (i + 1))
            continue;
        ip->bytes[i] &= length <= 8 * i ? 0 : (uint8_t)(0xff00 >> (length - 8 * i));
    }
}

bool prefix_parse(struct str s, struct prefix *out)
{
    const char *slash = memchr(s.p, '/', s.n);
    struct str address = s;
    struct ip masked;
    uint64_t length;

    if (slash != NULL)
        address.n = (size_t)(slash - s.p);
    if (!ip_parse(address, &out->ip))
        return false;
    length = ip_bits(&out->ip);
    if (slash != NULL && (!text_parse_u64((struct str){slash + 1, s.n - address.n - 1}, &length) ||
                          length > ip_bits(&out->ip)))
        return false;
    out->length = (uint8_t)length;
    masked = out->ip;
    ip_mask(&masked, out->length);
    return ip_eq(&masked, &out->ip);
}

bool prefix_has(const struct prefix *p, const struct ip *ip)
{
    struct ip masked = *ip;

    if (p->ip.family != ip->family)
        return false;
    ip_mask(&masked, p->length);
    return ip_eq(&masked, &p->ip);
}

/* Splits "host:port" and "[host]:port"; no port gives an empty one. */
static bool split_port(struct str s, struct str *host, struct str *port)
{
    const char *colon = memrchr(s.p, ':', s.n);

    *host = s;
    *port = (struct str){s.p + s.n, 0};
    if (s.n > 0 && s.p[0] == '[') {
        const char *close = memchr(s.p, ']', s.n);

        if (close == NULL)
            return false;
        *host = (struct str){s.p + 1, (size_t)(close - s.p) - 1};
        if (close + 1 == s.p + s.n)
            return true;
        if (close[1] != ':')
            return false;
        colon = close + 1;
    } else if (colon == NULL || memchr(s.p, ':', (size_t)(colon - s.p)) != NULL) {
        return true; /* a bare IPv6 address, or no port */
    } else {
        host->n = (size_t)(colon - s.p);
    }
    *port = (struct str){colon + 1, s.n - (size_t)(colon - s.p) - 1};
    return port->n > 0;
}

bool addr_parse(struct str s, uint16_t default_port, struct addr *out)
{
    struct str host, port;
    uint64_t number = default_port;
    struct ip ip;

    if (!split_port(s, &host, &port) || !ip_parse(host, &ip))
        return false;
    if (port.n == 0 && default_port == 0)
        return false;
    if (port.n > 0 && (!text_parse_u64(port, &number) || number > 65535))
        return false;
    *out = addr_of_ip(&ip, (uint16_t)number);
    return true;
}

struct addr addr_of_ip(const struct ip *ip, uint16_t port)
{
    struct addr a;

    memset(&a, 0, sizeof(a));
    if (ip->family == 4) {
        a.in.sin_family = AF_INET;
        a.in.sin_port = htons(port);
        memcpy(&a.in.sin_addr, ip->bytes, 4);
        a.length = sizeof(a.in);
    } else {
        a.in6.sin6_family = AF_INET6;
        a.in6.sin6_port = htons(port);
        memcpy(&a.in6.sin6_addr, ip->bytes, 16);
        a.length = sizeof(a.in6);
    }
    return a;
}

struct ip addr_ip(const struct addr *a)
{
    struct ip ip = {0};

    if (a->sa.sa_family == AF_INET) {
        ip.family = 4;
        memcpy(ip.bytes, &a->in.sin_addr, 4);
    } else if (a->sa.sa_family == AF_INET6) {
        if (IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
            ip.family = 4;
            memcpy(ip.bytes, a->in6.sin6_addr.s6_addr + 12, 4);
        } else {
            ip.family = 6;
            memcpy(ip.bytes, &a->in6.sin6_addr, 16);
        }
    }
    return ip;
}

uint16_t addr_port(const struct addr *a)
{
    if (a->sa.sa_family == AF_INET)
        return ntohs(a->in.sin_port);
    return a->sa.sa_family == AF_INET6 ? ntohs(a->in6.sin6_port) : 0;
}

const char *addr_format(const struct addr *a, char buf[ADDR_TEXT])
{
    struct ip ip = addr_ip(a);
    char host[ADDR_TEXT];

    ip_format(&ip, host);
    snprintf(buf, ADDR_TEXT, ip.family == 6 ? "[%.48s]:%u" : "%.48s:%u", host, addr_port(a));
    return buf;
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    struct ip x = addr_ip(a), y = addr_ip(b);

    return ip_eq(&x, &y) && addr_port(a) == addr_port(b);
}

bool addr_is_wildcard(const struct addr *a)
{
    struct ip ip = addr_ip(a), none = {.family = ip.family};

    return ip_eq(&ip, &none);
}

bool addr_overlaps(const struct addr *a, const struct addr *b)
{
    return addr_eq(a, b) || (a->sa.sa_family == b->sa.sa_family && addr_port(a) == addr_port(b) &&
                             (addr_is_wildcard(a) || addr_is_wildcard(b)));
}
