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

/* With the checksum of the whole, and an empty TLV behind it. */
#define CRC "\x16\xb7\x2c\x8d"
#define CRC_HEADER SIGNATURE "\x21\x11\0\x16" V4 "\3\0\4"

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
    {"a right checksum", B(CRC_HEADER CRC "\4\0\0"), PROXY_OK, "192.0.2.1:4660"},
    {"a wrong checksum",
     B(CRC_HEADER "\x16\xb7\x2c\x8c"
                  "\4\0\0"),
     PROXY_BAD_CHECKSUM, NULL},
    {"a checksum of other bytes", B(CRC_HEADER CRC "\5\0\0"), PROXY_BAD_CHECKSUM, NULL},
    {"a checksum of three bytes", B(SIGNATURE "\x21\x11\0\x12" V4 "\3\0\3abc"), PROXY_BAD_TLV,
     NULL},
    {"two checksums", B(SIGNATURE "\x21\x11\0\x1a" V4 "\3\0\4abcd\3\0\4abcd"), PROXY_BAD_TLV, NULL},
    {"a checksum without a family", B(SIGNATURE "\x21\0\0\7\3\0\4abcd"), PROXY_BAD_CHECKSUM, NULL},
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

#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define LONGEST6 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

static const struct row rows_v1[] = {
    {"IPv4", B("PROXY TCP4 192.0.2.1 192.0.2.2 4660 53\r\n"), PROXY_OK, "192.0.2.1:4660"},
    {"IPv6", B("PROXY TCP6 2001:db8::1 2001:db8::2 4660 443\r\n"), PROXY_OK, "[2001:db8::1]:4660"},
    {"IPv4 in IPv6", B("PROXY TCP6 ::ffff:192.0.2.1 ::1 4660 443\r\n"), PROXY_OK, "192.0.2.1:4660"},
    {"the longest of IPv6", B("PROXY TCP6 " LONGEST6 " " LONGEST6 " 65535 65535\r\n"), PROXY_OK,
     "[" LONGEST6 "]:65535"},
    {"ports of zero", B("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), PROXY_OK, "0.0.0.0:0"},
    {"what follows is not read", B("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET"), PROXY_OK,
     "192.0.2.1:1"},
    {"unknown", B("PROXY UNKNOWN\r\n"), PROXY_OK, NULL},
    {"unknown with anything", B("PROXY UNKNOWN ffff::1 \t \0 \r\n"), PROXY_OK, NULL},
    {"the longest", B("PROXY UNKNOWN " X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"),
     PROXY_OK, NULL},
    {"a byte too long", B("PROXY UNKNOWN " X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"),
     PROXY_TOO_LONG, NULL},
    {"no end", B("PROXY UNKNOWN " X50 X50), PROXY_TOO_LONG, NULL},
    {"nothing yet", B(""), PROXY_MORE, NULL},
    {"the first word", B("PROXY"), PROXY_MORE, NULL},
    {"a byte short", B("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r"), PROXY_MORE, NULL},
    {"HTTP", B("P\0ST / HTTP/1.1\r\n"), PROXY_BAD_SIGNATURE, NULL},
    {"HTTP/2", B("PRI * HTTP/2.0\r\n"), PROXY_BAD_SIGNATURE, NULL},
    {"lower case", B("proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD_SIGNATURE, NULL},
    {"a tab", B("PROXY\tTCP4 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD_SIGNATURE, NULL},
    {"nothing but PROXY", B("PROXY \r\n"), PROXY_BAD_ADDRESS, NULL},
    {"CR alone", B("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rx\n"), PROXY_BAD_SIGNATURE, NULL},
    {"LF alone", B("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\nGET /\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"no such protocol", B("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"nearly unknown", B("PROXY UNKNOWNS\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"the other family", B("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"two families", B("PROXY TCP4 192.0.2.1 2001:db8::2 1 2\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"an octet of 256", B("PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"an octal octet", B("PROXY TCP4 192.0.02.1 192.0.2.2 1 2\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"a name", B("PROXY TCP4 localhost 192.0.2.2 1 2\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"a zero byte", B("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"a zone", B("PROXY TCP6 fe80::1%lo ::1 1 2\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"a port too large", B("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"a port with zeros", B("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"a port with a sign", B("PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"no ports", B("PROXY TCP4 192.0.2.1 192.0.2.2\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"one port", B("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"three ports", B("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"two spaces", B("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD_ADDRESS, NULL},
    {"a space at the end", B("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n"), PROXY_BAD_ADDRESS, NULL},
};

static void check_row(const struct row *row, unsigned versions)
{
    uint8_t *copy = malloc(row->n + 1); /* so that sanitizers see a byte too many */
    struct proxy_header header;
    enum proxy_verdict got;
    char text[ADDR_TEXT];

    memcpy(copy, row->p, row->n);
    got = proxy_parse(copy, row->n, versions, &header);
    if (got != row->want)
        fail_msg("%s: got %d, wanted %d", row->name, (int)got, (int)row->want);
    if (got == PROXY_OK) {
        if (header.has_claim != (row->source != NULL))
            fail_msg("%s: a claim or none", row->name);
        if (row->source != NULL)
            assert_string_equal(addr_format(&header.source, text), row->source);
        assert_true(header.bytes <= row->n);
        if (proxy_has_signature(copy, row->n))
            assert_int_equal(header.bytes, proxy_bytes_wanted(copy, row->n));
    }
    free(copy);
}

static void headers_of_version_2_are_read_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(&rows[i], PROXY_V2);
        check_row(&rows[i], PROXY_V1 | PROXY_V2);
    }
}

static void headers_of_version_1_are_read_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows_v1); i++) {
        check_row(&rows_v1[i], PROXY_V1);
        check_row(&rows_v1[i], PROXY_V1 | PROXY_V2);
    }
}

static void a_version_that_is_not_wanted_is_none(void **state)
{
    struct proxy_header header;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows_v1); i++)
        assert_int_equal(proxy_parse(rows_v1[i].p, rows_v1[i].n, PROXY_V2, &header),
                         rows_v1[i].n > 0 ? PROXY_BAD_SIGNATURE : PROXY_MORE);
    assert_int_equal(proxy_parse(rows[0].p, rows[0].n, PROXY_V1, &header), PROXY_BAD_SIGNATURE);
}

/* Whatever is right as a whole is never wrong in part. */
static void check_parts(const struct row *row)
{
    struct proxy_header header;

    if (row->want != PROXY_OK)
        return;
    assert_int_equal(proxy_parse(row->p, row->n, PROXY_V1 | PROXY_V2, &header), PROXY_OK);
    for (size_t n = 0, whole = header.bytes; n < whole; n++)
        assert_int_equal(proxy_parse(row->p, n, PROXY_V1 | PROXY_V2, &header), PROXY_MORE);
}

static void headers_may_come_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_parts(&rows[i]);
    for (size_t i = 0; i < COUNT_OF(rows_v1); i++)
        check_parts(&rows_v1[i]);
}

/* What is written is what is read. */
static void headers_are_written(void **state)
{
    static const struct {
        const char *source, *destination, *v1;
        const char *v2; /* the bytes behind the signature */
        size_t v2_n;
    } cases[] = {
        {"192.0.2.1:4660", "192.0.2.2:53", "PROXY TCP4 192.0.2.1 192.0.2.2 4660 53\r\n",
         "\x21\x11\0\x0c" V4, 16},
        {"[2001:db8::1]:4660", "[2001:db8::2]:853",
         "PROXY TCP6 2001:db8::1 2001:db8::2 4660 853\r\n", "\x21\x21\0\x24" V6, 40},
        {"192.0.2.1:1", "[::2]:2", "PROXY TCP6 ::ffff:192.0.2.1 ::2 1 2\r\n",
         "\x21\x21\0\x24\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1"
         "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0\1\0\2",
         40},
        {"[" LONGEST6 "]:65535", "[" LONGEST6 "]:65535",
         "PROXY TCP6 " LONGEST6 " " LONGEST6 " 65535 65535\r\n", NULL, 40},
        {NULL, NULL, "PROXY UNKNOWN\r\n", "\x20\0\0\0", 4},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct addr source, destination;
        struct proxy_header header;
        char out[PROXY_WRITTEN_MAX], text[ADDR_TEXT];
        bool has_source = cases[i].source != NULL;

        if (has_source) {
            assert_true(addr_parse(str_of(cases[i].source), 0, &source));
            assert_true(addr_parse(str_of(cases[i].destination), 0, &destination));
        }
        for (unsigned version = PROXY_V1; version <= PROXY_V2; version++) {
            size_t n = proxy_write(version, has_source ? &source : NULL, &destination, out);

            assert_int_equal(n, version == PROXY_V1 ? strlen(cases[i].v1)
                                                    : PROXY_SIGNATURE + cases[i].v2_n);
            if (version == PROXY_V1)
                assert_memory_equal(out, cases[i].v1, n);
            else if (cases[i].v2 != NULL)
                assert_memory_equal(out + PROXY_SIGNATURE, cases[i].v2, cases[i].v2_n);
            assert_int_equal(proxy_parse((uint8_t *)out, n, version, &header), PROXY_OK);
            assert_int_equal(header.has_claim, has_source);
            if (has_source)
                assert_string_equal(addr_format(&header.source, text), cases[i].source);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_of_version_2_are_read_strictly),
        cmocka_unit_test(headers_of_version_1_are_read_strictly),
        cmocka_unit_test(a_version_that_is_not_wanted_is_none),
        cmocka_unit_test(headers_may_come_byte_by_byte),
        cmocka_unit_test(headers_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
