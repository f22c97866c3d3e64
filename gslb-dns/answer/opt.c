/* SPDX-License-Identifier: BSD-2-Clause */
/* The OPT record of an answer (RFC 6891 section 6.1) and its options. */
#include "gslb-dns/answer/answer_internal.h"

#include <string.h>

enum {
    OPT_FIXED = 11,
    OPTION_HEAD = 4,
    OPTION_NSID = 3,
    OPTION_ECS = 8,
    OPTION_COOKIE = 10,
    OPTION_KEEPALIVE = 11,
    OPTION_PADDING = 12,
    OPTION_EDE = 15,
    ECS_FIXED = 4,
    NSID_MAX = 128,
    EDNS_DO = 0x80,
    PADDING_BLOCK = 468, /* RFC 8467 section 4.1 */
    EDNS_CO = 0x40,      /* RFC 9824 section 5.1 */
};

static size_t ecs_address_bytes(const struct wire_query *q)
{
    return (q->ecs.source_bits + 7u) / 8;
}

static bool wants_nsid(const struct wire_query *q, const struct world *w)
{
    return q->has_nsid && w != NULL && w->nsid != NULL;
}

/* Only where TCP carries it, and only when asked: RFC 7828 section 3.3.2. */
static bool wants_keepalive(const struct wire_query *q, enum answer_transport transport)
{
    return q->has_keepalive && answer_is_stream(transport);
}

uint32_t opt_size(const struct wire_query *q, const struct world *w,
                  enum answer_transport transport)
{
    uint32_t n = OPT_FIXED;

    if (!q->has_edns)
        return 0;
    if (q->ecs.is_present)
        n += OPTION_HEAD + ECS_FIXED + (uint32_t)ecs_address_bytes(q);
    if (unlikely(message_has_cookie(q, w)))
        n += OPTION_HEAD + COOKIE_BYTES;
    if (unlikely(wants_nsid(q, w)))
        n += OPTION_HEAD + (uint32_t)strnlen(w->nsid, NSID_MAX);
    if (unlikely(wants_keepalive(q, transport)))
        n += OPTION_HEAD + 2;
    return n;
}

static uint8_t *put_option(uint8_t *p, uint16_t code, size_t n)
{
    bytes_put_u16(p, code);
    bytes_put_u16(p + 2, (uint16_t)n);
    return p + OPTION_HEAD;
}

/* RFC 7871 section 7.2.1: FAMILY, SOURCE PREFIX-LENGTH and ADDRESS as they came. */
static uint8_t *put_ecs(uint8_t *p, const struct wire_query *q, uint8_t scope)
{
    size_t n = ecs_address_bytes(q);

    p = put_option(p, OPTION_ECS, ECS_FIXED + n);
    bytes_put_u16(p, q->ecs.address.family == 4 ? 1 : 2);
    p[2] = q->ecs.source_bits;
    p[3] = scope;
    memcpy(p + ECS_FIXED, q->ecs.address.bytes, n);
    return p + ECS_FIXED + n;
}

static uint8_t *put_cookie(uint8_t *p, const uint8_t *cookie)
{
    p = put_option(p, OPTION_COOKIE, COOKIE_BYTES);
    memcpy(p, cookie, COOKIE_BYTES);
    return p + COOKIE_BYTES;
}

/* Only where it hides something, and only for a query that was padded (RFC 7830 section 4): up to
 * a whole number of blocks, or to the end of the room. */
static uint8_t *put_padding(const struct message *m, uint8_t *p)
{
    size_t used = (size_t)(p - m->out) + OPTION_HEAD, padded;

    if (used > m->cap)
        return p;
    padded = (used + PADDING_BLOCK - 1) / PADDING_BLOCK * PADDING_BLOCK;
    if (padded > m->cap)
        padded = m->cap;
    p = put_option(p, OPTION_PADDING, padded - used);
    memset(p, 0, padded - used);
    return p + (padded - used);
}

static uint8_t *put_nsid(uint8_t *p, const char *nsid)
{
    size_t n = strnlen(nsid, NSID_MAX);

    p = put_option(p, OPTION_NSID, n);
    memcpy(p, nsid, n);
    return p + n;
}

/* Units of 100 ms, RFC 7828 section 3.1. */
static uint8_t *put_keepalive(uint8_t *p, uint32_t idle_ms)
{
    uint32_t units = idle_ms / 100 < UINT16_MAX ? idle_ms / 100 : UINT16_MAX;

    p = put_option(p, OPTION_KEEPALIVE, 2);
    bytes_put_u16(p, (uint16_t)units);
    return p + 2;
}

/* Only into room that is left over: an error's explanation is not worth a TC (RFC 8914 section 3).
 */
static uint8_t *put_ede(const struct message *m, uint8_t *p)
{
    size_t text_bytes = m->ede == EDE_OTHER ? strlen(m->ede_text) : 0;

    if ((size_t)(m->out + m->cap - p) < OPTION_HEAD + 2 + text_bytes)
        return p;
    p = put_option(p, OPTION_EDE, 2 + text_bytes);
    bytes_put_u16(p, (uint16_t)m->ede);
    if (text_bytes > 0)
        memcpy(p + 2, m->ede_text, text_bytes);
    return p + 2 + text_bytes;
}

void opt_write(struct message *m, const struct wire_query *q, const struct world *w)
{
    uint8_t *opt = m->out + m->at, *p = opt + OPT_FIXED;

    opt[0] = 0; /* the root */
    bytes_put_u16(opt + 1, WIRE_OPT);
    bytes_put_u16(opt + 3, w != NULL ? w->udp_payload_bytes : WIRE_UDP_MIN);
    opt[5] = (uint8_t)(m->rcode >> 4);
    opt[6] = 0; /* our version, whatever the query's was: RFC 6891 section 6.1.3 */
    opt[7] = (uint8_t)((q->has_do ? EDNS_DO : 0) | (m->is_compact ? EDNS_CO : 0));
    opt[8] = 0;
    if (q->ecs.is_present)
        p = put_ecs(p, q, m->scope);
    if (unlikely(message_has_cookie(q, w)))
        p = put_cookie(p, m->cookie);
    if (unlikely(wants_nsid(q, w)))
        p = put_nsid(p, w->nsid);
    if (unlikely(wants_keepalive(q, m->io->transport)))
        p = put_keepalive(p, m->io->keepalive_ms);
    if (unlikely(m->ede != EDE_NONE))
        p = put_ede(m, p);
    if (unlikely(q->has_padding) && answer_is_encrypted(m->io->transport))
        p = put_padding(m, p);
    bytes_put_u16(opt + 9, (uint16_t)(p - opt - OPT_FIXED));
    m->at = (uint32_t)(p - m->out);
    m->counts[SECTION_ADDITIONAL]++;
}
