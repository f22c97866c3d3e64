/* SPDX-License-Identifier: BSD-2-Clause */
/* Any frame: read without reading beyond it; where it is a query, its answer is a frame that reads
 * as one, from where the query went to where it came from. */
#include "gslb-dns/xdp/xdp_internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { FRAME_MAX = 4096, ANSWER_BYTES = 101 /* odd, for the checksum */ };

static void check_answer(const struct packet *query)
{
    static const struct packet_style style = {.ttl = 64, .hop_limit = 63, .ipv4_id = 0xfffe};
    uint32_t headers = packet_headers_bytes(query), bytes = headers + ANSWER_BYTES;
    uint8_t *frame = malloc(bytes);
    struct packet answer;
    enum xdp_counter verdict;

    ensure(frame != NULL && headers <= PACKET_HEADERS_MAX);
    memset(frame + headers, 0xa5, ANSWER_BYTES);
    packet_write_headers(frame, query, ANSWER_BYTES, &style);
    verdict = packet_parse(&answer, frame, bytes);
    /* What the program in the kernel hands over went to an address and a port of this host. */
    ensure(verdict == XDP_COUNTER_RECEIVED || verdict == XDP_COUNTER_SOURCE ||
           verdict == XDP_COUNTER_PORT);
    if (verdict == XDP_COUNTER_RECEIVED) {
        ensure(answer.payload_bytes == ANSWER_BYTES && answer.is_ipv6 == query->is_ipv6);
        ensure(memcmp(answer.udp + 2, query->udp, 2) == 0);
        ensure(memcmp(answer.frame, query->frame + 6, 6) == 0);
    }
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *frame;
    struct packet p;

    if (n == 0 || n > FRAME_MAX)
        return 0;
    frame = malloc(n); /* of just this size, so that a sanitizer sees every byte beyond */
    ensure(frame != NULL);
    memcpy(frame, data, n);
    if (packet_parse(&p, frame, (uint32_t)n) == XDP_COUNTER_RECEIVED) {
        ensure(p.payload >= frame && p.payload + p.payload_bytes <= frame + n);
        ensure(addr_port(&p.source) != 0);
        check_answer(&p);
    }
    free(frame);
    return 0;
}
