/* SPDX-License-Identifier: BSD-2-Clause */
/* For the tests of the secondary room: what a primary sends, from the text of its records. */
#ifndef TESTS_SECONDARY_MESSAGES_H
#define TESTS_SECONDARY_MESSAGES_H

#include "common/bytes/bytes.h"
#include "gslb-dns/secondary/secondary_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <ldns/ldns.h>

enum { MESSAGE_ID = 0x1234, MESSAGE_BYTES = 8192 };

static inline struct wire_name wire_name_of(const char *text)
{
    struct wire_name name;

    assert_true(wire_name_parse(str_of(text), &name));
    return name;
}

/* An answer to the question with this type, records one per line, names in full. */
static inline size_t make_message(const char *apex, uint16_t qtype, const char *lines, uint8_t *out)
{
    struct wire_name name = wire_name_of(apex);
    size_t n = WIRE_HEADER;
    char *copy = base_strdup(lines), *save = NULL;
    unsigned n_records = 0;

    memset(out, 0, WIRE_HEADER);
    bytes_put_u16(out, MESSAGE_ID);
    out[2] = 0x84;
    bytes_put_u16(out + 4, 1);
    memcpy(out + n, name.bytes, name.length);
    n += name.length;
    bytes_put_u16(out + n, qtype);
    bytes_put_u16(out + n + 2, WIRE_CLASS_IN);
    n += 4;
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        ldns_rr *rr;
        uint8_t *wire;
        size_t bytes;

        assert_int_equal(ldns_rr_new_frm_str(&rr, line, 0, NULL, NULL), LDNS_STATUS_OK);
        assert_int_equal(ldns_rr2wire(&wire, rr, LDNS_SECTION_ANSWER, &bytes), LDNS_STATUS_OK);
        assert_true(n + bytes <= MESSAGE_BYTES);
        memcpy(out + n, wire, bytes);
        n += bytes;
        n_records++;
        LDNS_FREE(wire);
        ldns_rr_free(rr);
    }
    bytes_put_u16(out + 6, (uint16_t)n_records);
    free(copy);
    return n;
}

#endif
