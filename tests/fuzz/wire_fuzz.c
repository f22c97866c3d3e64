/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a query: read or refused, and what is read lies within its bounds. */
#include "gslb-dns/wire/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_question(const struct wire_query *q, size_t n)
{
    struct wire_name again;
    char text[WIRE_NAME_TEXT];

    ensure(q->question_bytes == q->qname.length + 4 &&
           (size_t)WIRE_HEADER + q->question_bytes <= n);
    ensure(q->qname.offsets[q->qname.n_labels] == q->qname.length - 1);
    ensure(q->qname.bytes[q->qname.length - 1] == 0);
    /* A name survives being written down. */
    ensure(wire_name_parse(str_of(wire_name_format(q->qname.bytes, text)), &again));
    ensure(again.length == q->qname.length && again.n_labels == q->qname.n_labels);
    ensure(memcmp(again.bytes, q->qname.bytes, again.length) == 0);
}

static void check_edns(const struct wire_query *q, const uint8_t *data, size_t n)
{
    ensure(q->udp_payload_bytes >= WIRE_UDP_MIN);
    if (q->ecs.is_present) {
        struct ip masked = q->ecs.address;

        ensure(q->ecs.source_bits <= ip_bits(&masked));
        ip_mask(&masked, q->ecs.source_bits);
        ensure(ip_eq(&masked, &q->ecs.address));
    }
    if (q->cookie_bytes > 0)
        ensure(q->cookie > data && q->cookie + q->cookie_bytes <= data + n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct wire_query q;
    enum wire_verdict verdict = wire_parse_query(&q, data, n);

    ensure(verdict < WIRE_VERDICT_COUNT);
    if (verdict == WIRE_DROP_RUNT)
        return 0;
    if (q.has_question)
        check_question(&q, n);
    if (verdict == WIRE_OK) {
        ensure(q.has_question || q.cookie_bytes > 0);
        if (q.has_edns)
            check_edns(&q, data, n);
    }
    return 0;
}
