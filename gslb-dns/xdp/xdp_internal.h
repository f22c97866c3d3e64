/* SPDX-License-Identifier: BSD-2-Clause */
/* xdp, inside: packet.c is pure; program.c, queue.c and link.c are what talks to the kernel. */
#ifndef GSLB_DNS_XDP_INTERNAL_H
#define GSLB_DNS_XDP_INTERNAL_H

#include "gslb-dns/xdp/xdp.h"

#include <net/if.h>

/* ---- packet.c: frames in, frames out ---- */

enum {
    PACKET_ETHER = 14,
    PACKET_VLAN = 4,
    PACKET_IPV4 = 20,
    PACKET_IPV6 = 40,
    PACKET_UDP = 8,
    PACKET_HEADERS_MAX = PACKET_ETHER + PACKET_VLAN + PACKET_IPV6 + PACKET_UDP,
};

#define XDP_COUNTERS(X)                                                                      \
    X(RECEIVED, "gslb_dns_xdp_received_total", "Frames taken from interfaces by XDP.")       \
    X(ANSWERED, "gslb_dns_xdp_answered_total", "Frames sent by XDP.")                        \
    X(MALFORMED, "gslb_dns_xdp_dropped_total{reason=\"malformed\"}", "Frames not answered.") \
    X(CHECKSUM, "gslb_dns_xdp_dropped_total{reason=\"checksum\"}", "Frames not answered.")   \
    X(SOURCE, "gslb_dns_xdp_dropped_total{reason=\"source\"}", "Frames not answered.")       \
    X(PORT, "gslb_dns_xdp_dropped_total{reason=\"port_0\"}", "Frames not answered.")         \
    X(SEND, "gslb_dns_xdp_dropped_total{reason=\"send_queue_full\"}", "Frames not answered.")

enum xdp_counter {
#define X(name, metric, help) XDP_COUNTER_##name,
    XDP_COUNTERS(X)
#undef X
        XDP_COUNTER_COUNT
};

/* A query's frame, read. The pointers lie within it. */
struct packet {
    struct addr source;
    const uint8_t *frame, *ip, *udp, *payload;
    uint32_t payload_bytes;
    uint8_t link_bytes; /* Ethernet, and the VLAN tag if there is one */
    bool is_ipv6;
};

/* XDP_COUNTER_RECEIVED when the frame is a query to be answered, else the counter that says why
 * it is not. */
enum xdp_counter packet_parse(struct packet *p, const uint8_t *frame, uint32_t bytes);
/* Bytes before the payload in the answer to p. */
uint32_t packet_headers_bytes(const struct packet *p);

struct packet_style {
    uint8_t ttl, hop_limit;
    uint16_t ipv4_id; /* RFC 6864: distinct for each packet that may be fragmented */
};
/* Writes the headers at frame; the payload stands behind them already. */
void packet_write_headers(uint8_t *frame, const struct packet *query, uint32_t payload_bytes,
                          const struct packet_style *style);
/* RFC 1071: the ones' complement sum of the bytes, in network order; folded to 16 bits. */
uint16_t packet_sum(const uint8_t *p, size_t n, uint64_t sum);

/* ---- program.c: the program in the kernel ---- */

/* What the program looks up: a frame to this MAC address, on this VLAN (0: untagged), by UDP to
 * this address and port. All in network order. */
struct program_key {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t mac[6];
    uint16_t vlan, port, zero[3];
};

enum { PROGRAM_KEYS = 8192 };

struct program {
    int code, keys, sockets, passed, link;
    unsigned n_queues;
    struct program_key *held; /* sorted: what keys has */
    size_t n_held;
};

/* 0 or -errno; what: the step that failed, for the message. Nothing is attached yet. */
int program_load(struct program *p, unsigned n_queues, const char **what);
/* XDP_FLAGS_DRV_MODE or XDP_FLAGS_SKB_MODE. */
int program_attach(struct program *p, unsigned ifindex, uint32_t mode);
/* false also when the interface is gone, or another has forced the program off it. */
bool program_is_attached(const struct program *p);
int program_set_socket(struct program *p, uint32_t queue, int fd);
/* keys becomes the program's. */
int program_set_keys(struct program *p, struct program_key *keys, size_t n);
uint64_t program_passed(const struct program *p);
void program_unload(struct program *p);

/* ---- queue.c: one AF_XDP socket and its thread ---- */

struct queue;

struct queue_settings {
    const char *interface;
    uint32_t number, mtu;
    bool is_generic;
    const struct net_handler *handler;
    struct metrics *answers, *counters;
};
/* NULL and *error = -errno, what: the step. */
struct queue *queue_open(const struct queue_settings *s, int *error, const char **what);
int queue_fd(const struct queue *q);
bool queue_is_zero_copy(const struct queue *q);
void queue_start(struct queue *q);
/* Frames that the kernel had to drop for want of room, by the kernel's count. */
uint64_t queue_kernel_drops(const struct queue *q);
/* Answers what has been received; also one that was never started. */
void queue_close(struct queue *q);

/* ---- link.c: what an interface is ---- */

struct link {
    unsigned index, n_queues;
    uint32_t mtu;
    bool strips_vlan;  /* the tags of received frames are gone before XDP sees them */
    struct link_vlan { /* [0] is the interface itself, its VLANs follow */
        uint16_t id;
        uint8_t mac[6];
    } * vlans;
    size_t n_vlans;
};
/* 0 or -errno. The caller frees by link_free. */
int link_read(const char *name, struct link *out);
void link_free(struct link *l);
/* Every address of this host, for wildcard listeners: a fresh array. */
struct ip *link_host_addresses(size_t *n);

#endif
