/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames as bytes. No state; any thread. */
#include "gslb-dns/xdp/xdp_internal.h"

#include <arpa/inet.h>
#include <string.h>

enum {
    TYPE_IPV4 = 0x0800,
    TYPE_IPV6 = 0x86dd,
    TYPE_VLAN = 0x8100,
    IPV4_PLAIN = 0x45, /* version 4, a header of five words: no options */
    IPV4_FRAGMENT = 0x3fff,
    PROTOCOL_UDP = 17,
};

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* The sum does not care for byte order (RFC 1071 section 2(B)), so it is taken by native words. */
uint16_t packet_sum(const uint8_t *p, size_t n, uint64_t sum)
{
    uint32_t word;
    uint16_t half = 0;

    for (; n >= 4; n -= 4, p += 4) {
        memcpy(&word, p, 4);
        sum += word;
    }
    if (n >= 2) {
        memcpy(&half, p, 2);
        sum += half;
        p += 2, n -= 2;
    }
    if (n > 0) {
        half = 0;
        memcpy(&half, p, 1);
        sum += half;
    }
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return ntohs((uint16_t)sum);
}

/* The pseudo-header (RFC 768, RFC 8200 section 8.1), as the start of another sum. Addresses stand
 * together in both versions of IP. */
static uint64_t pseudo_sum(const uint8_t *ip, bool is_ipv6, uint32_t udp_bytes)
{
    const uint8_t *addresses = ip + (is_ipv6 ? 8 : 12);

    return htons(packet_sum(addresses, is_ipv6 ? 32 : 8, 0)) + (uint64_t)htons(PROTOCOL_UDP) +
           htons((uint16_t)udp_bytes);
}

/* A sender on this very machine (veth, virtio) may leave the sum to hardware that is not there:
 * the field then holds the folded pseudo-header alone. */
static bool is_checksum_good(const struct packet *p, uint32_t udp_bytes)
{
    uint64_t pseudo = pseudo_sum(p->ip, p->is_ipv6, udp_bytes);
    uint16_t field = get16(p->udp + 6);

    if (field == 0)
        return !p->is_ipv6;
    return packet_sum(p->udp, udp_bytes, pseudo) == 0xffff || packet_sum(NULL, 0, pseudo) == field;
}

/* Addresses that nobody may be answered at (RFC 1122 section 3.2.1.3). */
static bool is_source4_bad(const uint8_t *ip)
{
    const uint8_t *source = ip + 12;

    return source[0] == 0 || source[0] == 127 || source[0] >= 224 ||
           memcmp(source, ip + 16, 4) == 0;
}

static bool is_source6_bad(const uint8_t *ip)
{
    static const uint8_t zero[15];
    const uint8_t *source = ip + 8;

    return source[0] == 0xff || (memcmp(source, zero, 15) == 0 && source[15] <= 1) ||
           memcmp(source, ip + 24, 16) == 0;
}

static enum xdp_counter parse_ipv4(struct packet *p, uint32_t left)
{
    uint32_t total;

    if (left < PACKET_IPV4 + PACKET_UDP || p->ip[0] != IPV4_PLAIN || p->ip[9] != PROTOCOL_UDP ||
        (get16(p->ip + 6) & IPV4_FRAGMENT) != 0)
        return XDP_COUNTER_MALFORMED;
    total = get16(p->ip + 2);
    if (total > left || total < PACKET_IPV4 + PACKET_UDP)
        return XDP_COUNTER_MALFORMED;
    if (packet_sum(p->ip, PACKET_IPV4, 0) != 0xffff)
        return XDP_COUNTER_CHECKSUM;
    if (is_source4_bad(p->ip))
        return XDP_COUNTER_SOURCE;
    p->udp = p->ip + PACKET_IPV4;
    p->payload_bytes = total - PACKET_IPV4 - PACKET_UDP;
    p->source.in = (struct sockaddr_in){.sin_family = AF_INET};
    memcpy(&p->source.in.sin_addr, p->ip + 12, 4);
    p->source.length = sizeof(p->source.in);
    return XDP_COUNTER_RECEIVED;
}

static enum xdp_counter parse_ipv6(struct packet *p, uint32_t left)
{
    uint32_t length;

    if (left < PACKET_IPV6 + PACKET_UDP || p->ip[0] >> 4 != 6 || p->ip[6] != PROTOCOL_UDP)
        return XDP_COUNTER_MALFORMED;
    length = get16(p->ip + 4);
    if (length > left - PACKET_IPV6 || length < PACKET_UDP)
        return XDP_COUNTER_MALFORMED;
    if (is_source6_bad(p->ip))
        return XDP_COUNTER_SOURCE;
    p->udp = p->ip + PACKET_IPV6;
    p->payload_bytes = length - PACKET_UDP;
    p->source.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
    memcpy(&p->source.in6.sin6_addr, p->ip + 8, 16);
    p->source.length = sizeof(p->source.in6);
    return XDP_COUNTER_RECEIVED;
}

/* UDP inside of IP: a packet may be longer than its datagram, never shorter (RFC 768). */
static enum xdp_counter parse_udp(struct packet *p)
{
    uint32_t length = get16(p->udp + 4);

    if (length < PACKET_UDP || length > p->payload_bytes + PACKET_UDP)
        return XDP_COUNTER_MALFORMED;
    if (!is_checksum_good(p, length))
        return XDP_COUNTER_CHECKSUM;
    if (get16(p->udp) == 0)
        return XDP_COUNTER_PORT;
    p->payload = p->udp + PACKET_UDP;
    p->payload_bytes = length - PACKET_UDP;
    memcpy(&p->source.in.sin_port, p->udp, 2); /* sin6_port stands at the same place */
    return XDP_COUNTER_RECEIVED;
}

enum xdp_counter packet_parse(struct packet *p, const uint8_t *frame, uint32_t bytes)
{
    enum xdp_counter verdict;
    uint16_t type;

    if (bytes < PACKET_ETHER + PACKET_VLAN)
        return XDP_COUNTER_MALFORMED;
    p->frame = frame;
    p->link_bytes = PACKET_ETHER;
    type = get16(frame + 12);
    if (type == TYPE_VLAN) {
        type = get16(frame + 16);
        p->link_bytes += PACKET_VLAN;
    }
    if ((frame[6] & 1) != 0) /* a group is no sender */
        return XDP_COUNTER_SOURCE;
    p->ip = frame + p->link_bytes;
    p->is_ipv6 = type == TYPE_IPV6;
    if (type == TYPE_IPV4)
        verdict = parse_ipv4(p, bytes - p->link_bytes);
    else if (type == TYPE_IPV6)
        verdict = parse_ipv6(p, bytes - p->link_bytes);
    else
        return XDP_COUNTER_MALFORMED;
    return verdict == XDP_COUNTER_RECEIVED ? parse_udp(p) : verdict;
}

uint32_t packet_headers_bytes(const struct packet *p)
{
    return p->link_bytes + (p->is_ipv6 ? PACKET_IPV6 : PACKET_IPV4) + (uint32_t)PACKET_UDP;
}

/* DF stays clear, as on net's sockets (IP_PMTUDISC_OMIT): RFC 9715. */
static void write_ipv4(uint8_t *ip, const struct packet *query, uint32_t udp_bytes,
                       const struct packet_style *style)
{
    memset(ip, 0, PACKET_IPV4);
    ip[0] = IPV4_PLAIN;
    put16(ip + 2, PACKET_IPV4 + udp_bytes);
    put16(ip + 4, style->ipv4_id);
    ip[8] = style->ttl;
    ip[9] = PROTOCOL_UDP;
    memcpy(ip + 12, query->ip + 16, 4);
    memcpy(ip + 16, query->ip + 12, 4);
    put16(ip + 10, (uint16_t)~packet_sum(ip, PACKET_IPV4, 0));
}

static void write_ipv6(uint8_t *ip, const struct packet *query, uint32_t udp_bytes,
                       const struct packet_style *style)
{
    memset(ip, 0, 8);
    ip[0] = 0x60;
    put16(ip + 4, udp_bytes);
    ip[6] = PROTOCOL_UDP;
    ip[7] = style->hop_limit;
    memcpy(ip + 8, query->ip + 24, 16);
    memcpy(ip + 24, query->ip + 8, 16);
}

void packet_write_headers(uint8_t *frame, const struct packet *query, uint32_t payload_bytes,
                          const struct packet_style *style)
{
    uint8_t *ip = frame + query->link_bytes;
    uint8_t *udp = frame + packet_headers_bytes(query) - PACKET_UDP;
    uint32_t udp_bytes = payload_bytes + PACKET_UDP;
    uint16_t sum;

    memcpy(frame, query->frame + 6, 6);
    memcpy(frame + 6, query->frame, 6);
    memcpy(frame + 12, query->frame + 12, query->link_bytes - 12u);
    if (query->is_ipv6)
        write_ipv6(ip, query, udp_bytes, style);
    else
        write_ipv4(ip, query, udp_bytes, style);
    memcpy(udp, query->udp + 2, 2);
    memcpy(udp + 2, query->udp, 2);
    put16(udp + 4, udp_bytes);
    put16(udp + 6, 0);
    sum = (uint16_t)~packet_sum(udp, udp_bytes, pseudo_sum(ip, query->is_ipv6, udp_bytes));
    put16(udp + 6, sum == 0 ? 0xffff : sum); /* 0 would say: none */
}
