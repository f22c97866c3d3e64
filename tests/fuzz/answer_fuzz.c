/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any packet: the answer, if there is one, is a message that ldns reads, with the question as it
 * came, within the limit of its transport. The first byte says how the packet travels and whether
 * the rest stands for itself or behind a question for one of the zone's names.
 */
#include "tests/unit/gslb-dns/answer/answer_world.h"

#include <ldns/ldns.h>

enum {
    BY_TCP = 1,
    BY_IPV6 = 2,
    BEHIND_QUESTION = 4,
    SMALL_MAXIMUM = 8,
    ENCRYPTED = 16,
    COOKIES_REQUIRED = 32,
    MAXIMUM = 4096
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct answer_world world;
static struct answer_context *context;

static const char *const names[] = {
    "host.example.com",     "www.example.com",      "geo.example.com",     "example.com",
    "x.wild.example.com",   "oak.tree.example.com", "x.away.example.com",  "x.child.example.com",
    "alias2.example.com",   "loop1.example.com",    "many.example.com",    "nothing.example.com",
    "b.ent.example.com",    "empty.example.com",    "v4only.example.com",  "elsewhere.org",
    "refusing.example.com", "fallback.example.com", "tochild.example.com", "."};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const struct cookie_secrets secrets = {.keys = {{1, 2}}, .n = 1};

    (void)argc;
    (void)argv;
    answer_world_open(&world, answer_world_zone);
    world.world.cookies = &secrets;
    world.world.chaos_version = world.world.chaos_id = "fuzz";
    context = answer_context_new(&world.slot, metrics_add_block(&world.metrics));
    return 0;
}

/* A question for one of our names, then the fuzzer's bytes as whatever follows it. */
static size_t put_behind_question(const uint8_t *data, size_t n, uint8_t *out)
{
    static const uint16_t types[] = {WIRE_A,   WIRE_AAAA, WIRE_NS, WIRE_TXT,   WIRE_CNAME, WIRE_MX,
                                     WIRE_SOA, WIRE_ANY,  WIRE_DS, WIRE_HTTPS, WIRE_AXFR};
    struct wire_name name;
    uint8_t *p = out + WIRE_HEADER;

    if (n < 3)
        return 0;
    ensure(wire_name_parse(str_of(names[data[0] % COUNT_OF(names)]), &name));
    memcpy(out, "\x12\x34\x01\0\0\1\0\0\0\0\0", 11);
    out[11] = data[2];
    memcpy(p, name.bytes, name.length);
    p += name.length;
    bytes_put_u16(p, types[data[1] % COUNT_OF(types)]);
    bytes_put_u16(p + 2, WIRE_CLASS_IN);
    memcpy(p + 4, data + 3, n - 3);
    return (size_t)(p + 4 - out) + n - 3;
}

static void check_answer(const struct answer_query *q)
{
    ldns_pkt *packet;
    ldns_status status;

    ensure(q->out_bytes >= WIRE_HEADER);
    ensure(answer_is_stream(q->transport) || q->out_bytes <= world.world.udp_payload_bytes ||
           q->out_bytes <= WIRE_UDP_MIN);
    ensure(memcmp(q->out, q->packet, 2) == 0);
    ensure((q->out[2] & 0x80) != 0);
    ensure((q->out[2] & 0x79) == (q->packet[2] & 0x79)); /* opcode and RD */
    ensure((q->out[3] & 0xf0) == 0);                     /* RA Z AD CD */
    status = ldns_wire2pkt(&packet, q->out, q->out_bytes);
    ensure(status == LDNS_STATUS_OK);
    if (ldns_pkt_qdcount(packet) == 1) {
        struct wire_name name;
        ensure(wire_name_read(q->packet + WIRE_HEADER, q->packet_bytes - WIRE_HEADER, &name));
        ensure(memcmp(q->out + WIRE_HEADER, q->packet + WIRE_HEADER, name.length + 4u) == 0);
    }
    if (ldns_pkt_tc(packet))
        ensure(!answer_is_stream(q->transport) && ldns_pkt_ancount(packet) == 0 &&
               ldns_pkt_nscount(packet) == 0);
    ldns_pkt_free(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static uint8_t out[WIRE_TCP_MAX];
    struct addr source;
    struct ip ip;
    struct answer_query q = {.source = &source, .out = out, .out_cap_bytes = WIRE_TCP_MAX};
    uint8_t *packet;

    if (n < 1 || n > 2048)
        return 0;
    packet = malloc(n + WIRE_HEADER + WIRE_NAME_MAX + 4);
    ensure(packet != NULL);
    ensure(ip_parse((data[0] & BY_IPV6) != 0 ? STR("2001:db8:1::1") : STR("192.0.2.1"), &ip));
    source = addr_of_ip(&ip, 4242);
    q.transport = (data[0] & BY_TCP) != 0 ? ANSWER_TCP : ANSWER_UDP;
    if ((data[0] & BY_TCP) != 0 && (data[0] & ENCRYPTED) != 0)
        q.transport = ANSWER_TLS;
    world.world.cookie_rule =
        (data[0] & COOKIES_REQUIRED) != 0 ? WORLD_COOKIE_ALWAYS : WORLD_COOKIE_NEVER;
    world.world.udp_payload_bytes = (data[0] & SMALL_MAXIMUM) != 0 ? WIRE_UDP_MIN : MAXIMUM;
    if ((data[0] & BEHIND_QUESTION) != 0) {
        q.packet_bytes = (uint32_t)put_behind_question(data + 1, n - 1, packet);
    } else {
        memcpy(packet, data + 1, n - 1);
        q.packet_bytes = (uint32_t)n - 1;
    }
    q.packet = packet;
    answer_batch(context, &q, 1);
    if (q.out_bytes > 0)
        check_answer(&q);
    free(packet);
    return 0;
}
