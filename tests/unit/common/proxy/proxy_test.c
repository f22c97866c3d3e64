/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/proxy/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\0\2\1\xc0\0\2\2\x12\x34\0\x35"
#define V6_SOURCE "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
#define V6 V6_SOURCE "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\x12\x34\3\x55"
/* Bytes without the final zero. */
#define B(text) (const uint8_t *)(text), sizeof(text) - 1

struct row {
    const char *name;
    const uint8_t *p;
    size_t n;
    enum proxy_verdict want;
    const char *source; /* NULL: no claim */
};

static const struct row rows[] = {
    {"IPv4 over TCP", B(SIGNATURE "\x21\x11\0\x0c" V4), PROXY_OK, "192.0.2.1:4660"},
    {"IPv4 over UDP", B(SIGNATURE "\x21\x12\0\x0c" V4), PROXY_OK, "192.0.2.1:4660"},
    {"IPv6", B(SIGNATURE "\x21\x21\0\x24" V6), PROXY_OK, "[2001:db8::1]:4660"},
    {"with a TLV", B(SIGNATURE "\x21\x11\0\x11" V4 "\4\0\2ab"), PROXY_OK, "192.0.2.1:4660"},
    {"with an empty TLV", B(SIGNATURE "\x21\x11\0\x0f" V4 "\4\0\0"), PROXY_OK, "192.0.2.1:4660"},
    {"what follows is not read", B(SIGNATURE "\x21\x11\0\x0c" V4 "\0\0\0"), PROXY_OK,
     "192.0.2.1:4660"},
    {"LOCAL", B(SIGNATURE "\x20\0\0\0"), PROXY_OK, NULL},
    {"LOCAL with an address", B(SIGNATURE "\x20\x11\0\x0c" V4), PROXY_OK, NULL},
    {"LOCAL with anything", B(SIGNATURE "\x20\x77\0\1x"), PROXY_OK, NULL},
    {"no family", B(SIGNATURE "\x21\0\0\0"), PROXY_OK, NULL},
    {"nothing yet", B(""), PROXY_MORE, NULL},
    {"half a signature", B("\r\n\r\n\0\r"), PROXY_MORE, NULL},
    {"signature alone", B(SIGNATURE), PROXY_MORE, NULL},
    {"fixed part alone", B(SIGNATURE "\x21\x11\0\x0c"), PROXY_MORE, NULL},
    {"a byte short", B(SIGNATURE "\x21\x11\0\x0d" V4), PROXY_MORE, NULL},
    {"version 1", B("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD_SIGNATURE, NULL},
    {"a query", B("\0\x1d\x12\x34\1\0\0\1"), PROXY_BAD_SIGNATURE, NULL},
    {"wrong in its last byte", B("\r\n\r\n\0\r\nQUIT\r"), PROXY_BAD_SIGNATURE, NULL},
    {"version 3", B(SIGNATURE "\x31"), PROXY_BAD_VERSION, NULL},
    {"no such command", B(SIGNATURE "\x22\x11\0\x0c" V4), PROXY_BAD_VERSION, NULL},
    {"Unix sockets", B(SIGNATURE "\x21\x31\0\x0c" V4), PROXY_BAD_ADDRESS, NULL},
    {"no such protocol", B(SIGNATURE "\x21\x13\0\x0c" V4), PROXY_BAD_ADDRESS, NULL},
    {"a family without protocol", B(SIGNATURE "\x21\x10\0\x0c" V4), PROXY_BAD_ADDRESS, NULL},
    {"too short for IPv4", B(SIGNATURE "\x21\x11\0\x0b" V4), PROXY_BAD_ADDRESS, NULL},
    {"too short for IPv6", B(SIGNATURE "\x21\x21\0\x0c" V4), PROXY_BAD_ADDRESS, NULL},
    {"half a TLV's head", B(SIGNATURE "\x21\x11\0\x0e" V4 "\4\0"), PROXY_BAD_TLV, NULL},
    {"a TLV beyond the end", B(SIGNATURE "\x21\x11\0\x0f" V4 "\4\0\1x"), PROXY_BAD_TLV, NULL},
    {"too long", B(SIGNATURE "\x21\x11\xff\xff"), PROXY_TOO_LONG, NULL},
};

static void check_row(const struct row *row)
{
    uint8_t *copy = malloc(row->n + 1); /* so that sanitizers see a byte too many */
    struct proxy_header header;
    enum proxy_verdict got;
    char text[ADDR_TEXT];

    memcpy(copy, row->p, row->n);
    got = proxy_parse(copy, row->n, &header);
    if (got != row->want)
        fail_msg("%s: got %d, wanted %d", row->name, (int)got, (int)row->want);
    if (got == PROXY_OK) {
        if (header.has_claim != (row->source != NULL))
            fail_msg("%s: a claim or none", row->name);
        if (row->source != NULL)
            assert_string_equal(addr_format(&header.source, text), row->source);
        assert_true(header.bytes <= row->n);
        assert_int_equal(header.bytes, proxy_bytes_wanted(copy, row->n));
    }
    free(copy);
}

static void headers_are_read_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_row(&rows[i]);
}

/* Whatever is right as a whole is never wrong in part. */
static void headers_may_come_byte_by_byte(void **state)
{
    struct proxy_header header;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].want != PROXY_OK)
            continue;
        for (size_t n = 0; n < proxy_bytes_wanted(rows[i].p, rows[i].n); n++)
            assert_int_equal(proxy_parse(rows[i].p, n, &header), PROXY_MORE);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_read_strictly),
        cmocka_unit_test(headers_may_come_byte_by_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
