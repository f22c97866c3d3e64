/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/wire/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Packets as people read them: hex digits, spaces ignored. */
static size_t read_hex(const char *hex, uint8_t *out, size_t cap)
{
    size_t n = 0;
    unsigned byte;

    while (*hex != '\0') {
        if (*hex == ' ') {
            hex++;
            continue;
        }
        assert_true(n < cap && sscanf(hex, "%2x", &byte) == 1);
        out[n++] = (uint8_t)byte;
        hex += 2;
    }
    return n;
}

#define HEAD(additional) "1234 0000 0001 0000 0000 " additional " "
#define NAME "03 777777 07 6578616d706c65 03 636f6d 00 "
#define QUESTION NAME "0001 0001 "
#define OPT(bytes) "00 0029 04d0 00 00 0000 " bytes " "
#define ECS4 "0008 0007 0001 18 00 c00002 "
#define COOKIE8 "000a 0008 0102030405060708 "

static const struct {
    const char *name, *hex;
    enum wire_verdict want;
} verdicts[] = {
    {"plain", HEAD("0000") QUESTION, WIRE_OK},
    {"check 7: nothing", "", WIRE_DROP_RUNT},
    {"check 7: eleven bytes", "1234 0000 0001 0000 0000 00", WIRE_DROP_RUNT},
    {"check 7: a response", "1234 8000 0001 0000 0000 0000" QUESTION, WIRE_DROP_RESPONSE},
    {"check 7: opcode 15", "1234 7800 0001 0000 0000 0000" QUESTION, WIRE_BAD_OPCODE},
    {"check 44: NOTIFY about A", "1234 2000 0001 0000 0000 0000" QUESTION, WIRE_BAD_NOTIFY},
    {"check 44: NOTIFY", "1234 2000 0001 0000 0000 0000" NAME "0006 0001", WIRE_NOTIFY},
    {"check 7: UPDATE", "1234 2800 0001 0000 0000 0000" QUESTION, WIRE_BAD_OPCODE},
    {"check 8: two questions", "1234 0000 0002 0000 0000 0000" QUESTION QUESTION, WIRE_BAD_COUNT},
    {"check 8: none", "1234 0000 0000 0000 0000 0000", WIRE_BAD_COUNT},
    {"check 8: none, with OPT", "1234 0000 0000 0000 0000 0001" OPT("0000"), WIRE_BAD_COUNT},
    {"check 8: none, with cookie", "1234 0000 0000 0000 0000 0001" OPT("000c" COOKIE8), WIRE_OK},
    {"check 9: AD", "1234 0020 0001 0000 0000 0000" QUESTION, WIRE_OK},
    {"check 9: CD", "1234 0010 0001 0000 0000 0000" QUESTION, WIRE_OK},
    {"check 9: Z", "1234 0040 0001 0000 0000 0000" QUESTION, WIRE_OK},
    {"check 9: RD, RA, AA, TC", "1234 0780 0001 0000 0000 0000" QUESTION, WIRE_OK},
    {"an answer record", "1234 0000 0001 0001 0000 0000" QUESTION "c00c 0001 0001 00000000 0000",
     WIRE_BAD_COUNT},
    {"an authority record", "1234 0000 0001 0000 0001 0000" QUESTION "c00c 0001 0001 00000000 0000",
     WIRE_BAD_COUNT},
    {"check 43: AXFR", HEAD("0000") NAME "00fc 0001", WIRE_TRANSFER},
    {"check 43: IXFR with its SOA",
     "1234 0000 0001 0000 0001 0000" NAME "00fb 0001 c00c 0006 0001 00000000 0000", WIRE_TRANSFER},
    {"check 10: unknown type", HEAD("0000") NAME "ff00 0001", WIRE_OK},
    {"check 10: type ANY", HEAD("0000") NAME "00ff 0001", WIRE_OK},
    {"check 10: NXNAME", HEAD("0000") NAME "0080 0001", WIRE_BAD_METATYPE},
    {"check 10: TSIG as type", HEAD("0000") NAME "00fa 0001", WIRE_BAD_METATYPE},
    {"check 10: MAILA", HEAD("0000") NAME "00fe 0001", WIRE_BAD_METATYPE},
    {"check 10: OPT as type", HEAD("0000") NAME "0029 0001", WIRE_BAD_METATYPE},
    {"check 11: class CH", HEAD("0000") NAME "0010 0003", WIRE_CHAOS},
    {"check 11: class ANY", HEAD("0000") NAME "0001 00ff", WIRE_BAD_CLASS},
    {"root", HEAD("0000") "00 0002 0001", WIRE_OK},
    {"name ends early", HEAD("0000") "03 7777", WIRE_BAD_NAME},
    {"no type", HEAD("0000") NAME, WIRE_BAD_NAME},
    {"half a class", HEAD("0000") NAME "0001 00", WIRE_BAD_NAME},
    {"check 26: question points to itself", HEAD("0000") "c00c 0001 0001", WIRE_BAD_NAME},
    {"check 26: label type 01", HEAD("0000") "41 61 00 0001 0001", WIRE_BAD_NAME},
    {"trailing byte", HEAD("0000") QUESTION "00", WIRE_BAD_TRAILING},
    {"record missing", HEAD("0001") QUESTION, WIRE_BAD_RECORD},
    {"record half there", HEAD("0001") QUESTION "c00c 0001 0001 0000", WIRE_BAD_RECORD},
    {"RDATA too short", HEAD("0001") QUESTION "c00c 0001 0001 00000000 0004 0102", WIRE_BAD_RECORD},
    {"additional record", HEAD("0001") QUESTION "c00c 0001 0001 00000000 0004 01020304", WIRE_OK},
    {"check 26: forward pointer", HEAD("0001") QUESTION "c0ff 0001 0001 00000000 0000",
     WIRE_BAD_RECORD},
    {"check 26: owner points to itself", HEAD("0001") QUESTION "c021 0001 0001 00000000 0000",
     WIRE_BAD_RECORD},
    {"check 26: half a pointer", HEAD("0001") QUESTION "c0", WIRE_BAD_RECORD},
    {"check 26: owner with label type 10", HEAD("0001") QUESTION "80 00 0001 0001 00000000 0000",
     WIRE_BAD_RECORD},
    {"OPT", HEAD("0001") QUESTION OPT("0000"), WIRE_OK},
    {"record, then OPT", HEAD("0002") QUESTION "c00c 0001 0001 00000000 0004 01020304" OPT("0000"),
     WIRE_OK},
    {"check 3: two OPTs", HEAD("0002") QUESTION OPT("0000") OPT("0000"), WIRE_BAD_OPT},
    {"check 3: OPT below a name", HEAD("0001") QUESTION "c00c 0029 04d0 00000000 0000",
     WIRE_BAD_OPT},
    {"check 1: version 1", HEAD("0001") QUESTION "00 0029 04d0 00 01 0000 0000", WIRE_BAD_VERSION},
    {"check 1: version 255, options unreadable",
     HEAD("0001") QUESTION "00 0029 04d0 00 ff 0000 0002 ffff", WIRE_BAD_VERSION},
    {"check 4: unknown option", HEAD("0001") QUESTION OPT("0006 0064 0002 0102"), WIRE_OK},
    {"check 4: unknown flags", HEAD("0001") QUESTION "00 0029 04d0 00 00 7fff 0000", WIRE_OK},
    {"option head too short", HEAD("0001") QUESTION OPT("0003 0064 00"), WIRE_BAD_OPT},
    {"option too long", HEAD("0001") QUESTION OPT("0005 0064 0002 01"), WIRE_BAD_OPT},
    {"check 29: ECS /24", HEAD("0001") QUESTION OPT("000b" ECS4), WIRE_OK},
    {"check 29: ECS /56", HEAD("0001") QUESTION OPT("000f 0008 000b 0002 38 00 20010db8000000"),
     WIRE_OK},
    {"check 31: ECS /0", HEAD("0001") QUESTION OPT("0008 0008 0004 0001 00 00"), WIRE_OK},
    {"check 30: family 0", HEAD("0001") QUESTION OPT("0008 0008 0004 0000 00 00"), WIRE_BAD_ECS},
    {"check 30: family 3", HEAD("0001") QUESTION OPT("000b 0008 0007 0003 18 00 c00002"),
     WIRE_BAD_ECS},
    {"check 30: too short", HEAD("0001") QUESTION OPT("0007 0008 0003 0001 00"), WIRE_BAD_ECS},
    {"check 30: address short", HEAD("0001") QUESTION OPT("000a 0008 0006 0001 18 00 c000"),
     WIRE_BAD_ECS},
    {"check 30: address long", HEAD("0001") QUESTION OPT("000c 0008 0008 0001 18 00 c0000200"),
     WIRE_BAD_ECS},
    {"check 30: bits beyond", HEAD("0001") QUESTION OPT("000b 0008 0007 0001 17 00 c00003"),
     WIRE_BAD_ECS},
    {"check 30: source 33", HEAD("0001") QUESTION OPT("000d 0008 0009 0001 21 00 c000020100"),
     WIRE_BAD_ECS},
    {"check 30: source 129",
     HEAD("0001") QUESTION OPT("0019 0008 0015 0002 81 00 20010db8000000000000000000000001 00"),
     WIRE_BAD_ECS},
    {"check 30: scope in a query", HEAD("0001") QUESTION OPT("000b 0008 0007 0001 18 01 c00002"),
     WIRE_BAD_ECS},
    {"check 30: twice", HEAD("0001") QUESTION OPT("0016" ECS4 ECS4), WIRE_BAD_ECS},
    {"check 39: client cookie", HEAD("0001") QUESTION OPT("000c" COOKIE8), WIRE_OK},
    {"check 39: 16 bytes",
     HEAD("0001") QUESTION OPT("0014 000a 0010 0102030405060708 0102030405060708"), WIRE_OK},
    {"check 39: 7 bytes", HEAD("0001") QUESTION OPT("000b 000a 0007 01020304050607"),
     WIRE_BAD_COOKIE},
    {"check 39: 9 bytes", HEAD("0001") QUESTION OPT("000d 000a 0009 010203040506070809"),
     WIRE_BAD_COOKIE},
    {"check 39: empty", HEAD("0001") QUESTION OPT("0004 000a 0000"), WIRE_BAD_COOKIE},
    {"check 42: NSID", HEAD("0001") QUESTION OPT("0004 0003 0000"), WIRE_OK},
    {"check 42: NSID with data is ignored data", HEAD("0001") QUESTION OPT("0005 0003 0001 61"),
     WIRE_OK},
    {"check 45: TSIG last", HEAD("0001") QUESTION "00 00fa 00ff 00000000 0000", WIRE_OK},
    {"check 45: TSIG not last", HEAD("0002") QUESTION "00 00fa 00ff 00000000 0000" OPT("0000"),
     WIRE_BAD_RECORD},
};

/* Each packet is parsed at the very end of its memory, so that the address sanitizer sees reads
 * beyond it. */
static enum wire_verdict parse(const char *hex, struct wire_query *q, uint8_t **memory)
{
    uint8_t buffer[1024];
    size_t n = read_hex(hex, buffer, sizeof(buffer));

    *memory = malloc(n + 1);
    assert_non_null(*memory);
    memcpy(*memory + 1, buffer, n);
    memset(q, 0xa5, sizeof(*q)); /* nothing may depend on what was there */
    return wire_parse_query(q, *memory + 1, n);
}

static void test_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(verdicts); i++) {
        struct wire_query q;
        uint8_t *memory;
        enum wire_verdict got = parse(verdicts[i].hex, &q, &memory);

        if (got != verdicts[i].want)
            fail_msg("%s: %s, want %s", verdicts[i].name, wire_verdict_label(got),
                     wire_verdict_label(verdicts[i].want));
        free(memory);
    }
}

/* An OPT is due for an OPT even with NOTIMP (check 2), where one can be made out. */
static void test_other_opcodes(void **state)
{
    static const struct {
        const char *name, *hex;
        bool has_question, has_edns;
    } cases[] = {
        {"header only", "1234 7800 0000 0000 0000 0000", false, false},
        {"question", "1234 7800 0001 0000 0000 0000" QUESTION, true, false},
        {"question and OPT", "1234 1000 0001 0000 0000 0001" QUESTION OPT("0000"), true, true},
        {"UPDATE with records, and OPT",
         "1234 2800 0001 0001 0001 0001" QUESTION "c00c 0001 0001 00000000 0000"
         "c00c 0001 0001 00000000 0000" OPT("0000"),
         true, true},
        {"records cut short", "1234 2800 0001 0001 0000 0001" QUESTION "c00c 00", true, false},
        {"no name", "1234 7800 0001 0000 0000 0001 ffff" OPT("0000"), false, false},
        {"two questions", "1234 7800 0002 0000 0000 0000" QUESTION QUESTION, false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct wire_query q;
        uint8_t *memory;

        assert_int_equal(parse(cases[i].hex, &q, &memory), WIRE_BAD_OPCODE);
        if (q.has_question != cases[i].has_question || q.has_edns != cases[i].has_edns)
            fail_msg("%s: question %d, EDNS %d", cases[i].name, q.has_question, q.has_edns);
        free(memory);
    }
}

static void test_query_fields(void **state)
{
    struct wire_query q;
    uint8_t *memory;
    static const uint8_t folded[] = "\3www\7example\3com";

    (void)state;
    assert_int_equal(parse("abcd 0110 0001 0000 0000 0001 03 775757 07 4578414d706c65 03 436f4d 00 "
                           "001c 0001 00 0029 0100 00 00 8000 0025" ECS4 COOKIE8
                           "0003 0000 000b 0000 000c 0002 0000",
                           &q, &memory),
                     WIRE_OK);
    assert_int_equal(q.id, 0xabcd);
    assert_int_equal(q.flags_high, 1);
    assert_true(q.has_question);
    assert_int_equal(q.question_bytes, 17 + 4);
    assert_int_equal(q.qtype, WIRE_AAAA);
    assert_int_equal(q.qname.length, 17);
    assert_int_equal(q.qname.n_labels, 3);
    assert_int_equal(q.qname.offsets[1], 4);
    assert_int_equal(q.qname.offsets[3], 16);
    assert_memory_equal(q.qname.bytes, folded, 17); /* check 25 */
    assert_true(q.has_edns && q.has_do && q.has_nsid && q.has_keepalive);
    assert_int_equal(q.udp_payload_bytes, 512); /* check 5 */
    assert_true(q.ecs.is_present);
    assert_int_equal(q.ecs.source_bits, 24);
    assert_int_equal(q.ecs.address.family, 4);
    assert_memory_equal(q.ecs.address.bytes, "\xc0\0\2\0", 4);
    assert_int_equal(q.cookie_bytes, 8);
    assert_memory_equal(q.cookie, "\1\2\3\4\5\6\7\10", 8);
    free(memory);
}

/* Only letters change, whatever stands in a label; every length around the copying steps. */
static void test_folding(void **state)
{
    (void)state;
    for (size_t length = 1; length <= 63; length++) {
        for (unsigned c = 0; c < 256; c++) {
            uint8_t wire[65] = {(uint8_t)length};
            struct wire_name name;

            memset(wire + 1, (int)c, length);
            assert_true(wire_name_read(wire, length + 2, &name));
            for (size_t i = 1; i <= length; i++)
                assert_int_equal(name.bytes[i], c >= 'A' && c <= 'Z' ? c + 32 : c);
            assert_int_equal(name.bytes[0], length);
            assert_int_equal(name.bytes[length + 1], 0);
        }
    }
}

/* 255 bytes are a name, 256 are not (check 26). */
static void test_name_limits(void **state)
{
    uint8_t wire[300];
    struct wire_name name;

    (void)state;
    memset(wire, 1, sizeof(wire));
    wire[254] = 0;
    assert_true(wire_name_read(wire, 255, &name));
    assert_int_equal(name.length, 255);
    assert_int_equal(name.n_labels, 127);
    wire[254] = 1;
    wire[255] = 1;
    wire[256] = 0;
    assert_false(wire_name_read(wire, sizeof(wire), &name));
}

static const struct {
    const char *text, *formatted; /* NULL: not a name */
    unsigned labels;
} names[] = {
    {".", ".", 0},
    {"example.com", "example.com.", 2},
    {"Example.COM.", "example.com.", 2},
    {"a\\.b.c", "a\\.b.c.", 2},
    {"\\065.b", "a.b.", 2},
    {"\\000\\255.b", "\\000\\255.b.", 2},
    {"*.b", "*.b.", 2},
    {"a\\032b", "a\\032b.", 1},
    {"", NULL, 0},
    {"..", NULL, 0},
    {".a", NULL, 0},
    {"a..b", NULL, 0},
    {"a\\", NULL, 0},
    {"a\\25", NULL, 0},
    {"a\\256", NULL, 0},
    {"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk.x",
     "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk.x.", 2},
    {"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl.x", NULL, 0},
};

static void test_names_as_text(void **state)
{
    char buf[WIRE_NAME_TEXT];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct wire_name name;
        bool is_name = wire_name_parse(str_of(names[i].text), &name);

        if (is_name != (names[i].formatted != NULL))
            fail_msg("\"%s\": %s", names[i].text, is_name ? "accepted" : "refused");
        if (!is_name)
            continue;
        assert_string_equal(wire_name_format(name.bytes, buf), names[i].formatted);
        assert_int_equal(name.n_labels, names[i].labels);
    }
}

static void test_long_names_as_text(void **state)
{
    char text[600];
    struct wire_name name;

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 2 == 0 ? 'a' : '.';
    assert_true(wire_name_parse((struct str){text, 253}, &name));
    assert_int_equal(name.length, 255);
    assert_true(wire_name_parse((struct str){text, 254}, &name));
    assert_int_equal(name.length, 255);
    assert_false(wire_name_parse((struct str){text, 255}, &name));
    assert_false(wire_name_parse((struct str){text, 600}, &name));
}

static const struct {
    const char *name, *parent;
    bool want;
} below[] = {
    {"a.example.com", "example.com", true},
    {"example.com", "example.com", true},
    {"example.com", ".", true},
    {"com", "example.com", false},
    {"xexample.com", "example.com", false},
    {"a.example.org", "example.com", false},
    {"a\\003com", "com", false}, /* the same bytes, another label */
};

static void test_is_below(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(below); i++) {
        struct wire_name name, parent;

        assert_true(wire_name_parse(str_of(below[i].name), &name));
        assert_true(wire_name_parse(str_of(below[i].parent), &parent));
        if (wire_name_is_below(&name, &parent) != below[i].want)
            fail_msg("%s below %s", below[i].name, below[i].parent);
    }
}

static void test_types_as_text(void **state)
{
    char buf[16];

    (void)state;
    assert_string_equal(wire_type_format(WIRE_AAAA, buf), "AAAA");
    assert_string_equal(wire_type_format(WIRE_HTTPS, buf), "HTTPS");
    assert_string_equal(wire_type_format(65280, buf), "TYPE65280");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),           cmocka_unit_test(test_other_opcodes),
        cmocka_unit_test(test_query_fields),       cmocka_unit_test(test_folding),
        cmocka_unit_test(test_name_limits),        cmocka_unit_test(test_names_as_text),
        cmocka_unit_test(test_long_names_as_text), cmocka_unit_test(test_is_below),
        cmocka_unit_test(test_types_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
