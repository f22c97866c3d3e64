/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * addr: IP addresses, prefixes, and addresses with a port. No state; any thread.
 */
#ifndef COMMON_ADDR_H
#define COMMON_ADDR_H

#include "common/base/base.h"
#include "common/text/text.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* An IPv4 (4 bytes used) or IPv6 address in network order. */
struct ip {
    uint8_t family; /* 4 or 6; 0: none */
    uint8_t bytes[16];
};

struct prefix {
    struct ip ip; /* bits beyond length are zero */
    uint8_t length;
};

/* A socket address. */
struct addr {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_storage storage;
    };
    socklen_t length;
};

#define ADDR_TEXT 64
MUST_USE bool ip_parse(struct str s, struct ip *out);
const char *ip_format(const struct ip *ip, char buf[ADDR_TEXT]);
bool ip_eq(const struct ip *a, const struct ip *b);
/* Sets the bits from length on to zero. */
void ip_mask(struct ip *ip, unsigned length);
static inline unsigned ip_bits(const struct ip *ip)
{
    return ip->family == 4 ? 32 : 128;
}

/* "192.0.2.0/24", or an address alone as a host prefix; false also when host bits are set. */
MUST_USE bool prefix_parse(struct str s, struct prefix *out);
bool prefix_has(const struct prefix *p, const struct ip *ip);

/* "192.0.2.1:53", "[::1]:53", and with a default port (0: the port is required) also without one;
 * "*:53" is not accepted: both families are named by their own address. */
MUST_USE bool addr_parse(struct str s, uint16_t default_port, struct addr *out);
const char *addr_format(const struct addr *a, char buf[ADDR_TEXT]);
struct addr addr_of_ip(const struct ip *ip, uint16_t port);
/* IPv4-mapped IPv6 addresses come out as IPv4. */
struct ip addr_ip(const struct addr *a);
/* The same where it is to lie: for who reads it at once, and would wait for a copy. */
static inline void addr_get_ip(const struct addr *a, struct ip *out)
{
    if (likely(a->sa.sa_family == AF_INET)) {
        memcpy(out->bytes, &a->in.sin_addr, 4);
        memset(out->bytes + 4, 0, sizeof(out->bytes) - 4);
        out->family = 4;
    } else {
        *out = addr_ip(a);
    }
}
uint16_t addr_port(const struct addr *a);
bool addr_eq(const struct addr *a, const struct addr *b);
/* 0.0.0.0 or ::, whatever the port. */
bool addr_is_wildcard(const struct addr *a);
/* One port of one family, and the same address or one of the two a wildcard. */
bool addr_overlaps(const struct addr *a, const struct addr *b);

#endif
