/* SPDX-License-Identifier: BSD-2-Clause */
/* The SOA serial of a zone that is signed here: that of its file, and how its signatures raise it.
 */
#include "gslb-dns/zone/zone_internal.h"

enum { AFTER_SERIAL = 16, SERIAL_TO_END = 20 }; /* RFC 1035 section 3.3.13 */

uint32_t draft_serial(const struct draft *d)
{
    const struct draft_record *soa = draft_first(d, &d->names[0], WIRE_SOA);

    return bytes_get_u32(soa->rdata + soa->rdata_bytes - SERIAL_TO_END);
}

void draft_set_serial(struct draft *d, uint32_t serial)
{
    struct draft_record *soa = draft_first(d, &d->names[0], WIRE_SOA);
    uint8_t *rdata = arena_copy(&d->arena, soa->rdata, soa->rdata_bytes);

    bytes_put_u32(rdata + soa->rdata_bytes - SERIAL_TO_END, serial);
    soa->rdata = rdata;
}

/* The data, the SOA's other numbers, and what signatures say of services. */
static uint64_t digest_of_signed(const struct draft *d)
{
    const struct draft_record *soa = draft_first(d, &d->names[0], WIRE_SOA);
    uint64_t digest = d->digest;

    digest += zone_digest_record(d->names[0].name, d->names[0].name_bytes, WIRE_SOA, soa->ttl_s,
                                 soa->rdata + soa->rdata_bytes - AFTER_SERIAL, AFTER_SERIAL);
    for (uint32_t i = 0; i < d->n_names; i++) {
        const struct draft_name *n = &d->names[i];
        uint8_t gives = (uint8_t)(n->has_a | n->has_aaaa << 1);

        if (n->service != ZONE_NO_SERVICE)
            digest += zone_digest_record(n->name, n->name_bytes, 0, 0, &gives, sizeof(gives));
    }
    return digest;
}

static bool is_later(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0; /* RFC 1982 section 3.2 */
}

/* One serial, one zone: who has the previous one would never fetch this one otherwise. */
static uint32_t find_serial(const struct draft *d, const struct sign_signer *s,
                            const struct zone *previous)
{
    uint32_t serial = sign_serial(s, d->file_serial), least;

    if (previous == NULL || previous->signed_by == NULL || !sign_raises_serial(s) ||
        is_later(previous->file_serial, d->file_serial))
        return serial;
    least = previous->serial;
    least += !sign_is_same(previous->signed_by, s) || previous->file_serial != d->file_serial ||
             previous->signed_digest != d->signed_digest;
    return is_later(serial, least) ? serial : least;
}

void draft_raise_serial(struct draft *d, const struct sign_signer *s, const struct zone *previous)
{
    d->file_serial = draft_serial(d);
    d->signed_digest = digest_of_signed(d);
    draft_set_serial(d, find_serial(d, s, previous));
}
