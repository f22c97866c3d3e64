/* SPDX-License-Identifier: BSD-2-Clause */
/* What is wrong with data that ldns has read without a word. */
#include "gslb-dns/zone/zone_internal.h"

/* A key twice, or one that is said to be mandatory and is missing (RFC 9460 sections 2.2 and 8);
 * ldns sorts SvcParams but does not look at them. */
static const char *svcb_fault(const uint8_t *rdata, size_t n)
{
    size_t head = 2 + rdata_name_bytes(rdata + 2);
    struct reader r = reader_of(rdata + head, n - head), all = r;
    const uint8_t *mandatory = NULL;
    unsigned last = UINT32_MAX, n_mandatory = 0, missing;

    while (reader_left(&r) > 0) {
        unsigned key = reader_u16(&r), length = reader_u16(&r);
        const uint8_t *value = reader_take(&r, length);

        if (value == NULL || (last != UINT32_MAX && key <= last))
            return "a key is given twice";
        if (key == 0) {
            mandatory = value;
            n_mandatory = length / 2;
        }
        last = key;
    }
    missing = n_mandatory;
    for (r = all; reader_left(&r) > 0;) {
        unsigned key = reader_u16(&r), length = reader_u16(&r);

        reader_take(&r, length);
        for (unsigned i = 0; key != 0 && i < n_mandatory; i++)
            missing -= bytes_get_u16(mandatory + 2 * i) == key;
    }
    return missing > 0 ? "a key is mandatory but not given" : NULL;
}

/* RFC 1876 section 2: thousandths of a second of arc from 2^31, the equator and the prime
 * meridian. */
static bool is_within(const uint8_t *angle, int64_t degrees)
{
    int64_t value = (int64_t)bytes_get_u32(angle) - ((int64_t)1 << 31), most = degrees * 3600000;

    return value >= -most && value <= most;
}

static const char *loc_fault(const uint8_t *rdata, size_t n)
{
    enum { LATITUDE = 4, LONGITUDE = 8, LOC_BYTES = 16 };

    if (n != LOC_BYTES)
        return "bad LOC";
    if (!is_within(rdata + LATITUDE, 90))
        return "a latitude beyond 90 degrees";
    return is_within(rdata + LONGITUDE, 180) ? NULL : "a longitude beyond 180 degrees";
}

const char *rdata_fault(uint16_t type, const uint8_t *rdata, size_t n)
{
    if (type == WIRE_SVCB || type == WIRE_HTTPS)
        return svcb_fault(rdata, n);
    return type == TYPE_LOC ? loc_fault(rdata, n) : NULL;
}
