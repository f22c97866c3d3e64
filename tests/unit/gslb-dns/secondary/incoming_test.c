/* SPDX-License-Identifier: BSD-2-Clause */
/* What a primary's messages say: AXFR (RFC 5936), IXFR with the example of RFC 1995 section 7, and
 * all that is no answer. */
#include "tests/unit/gslb-dns/secondary/messages.h"

#define APEX "jain.ad.jp"
#define SOA(serial) \
    "jain.ad.jp. 3600 IN SOA ns.jain.ad.jp. mohta.jain.ad.jp. " serial " 600 600 3600000 604800\n"
#define NS "jain.ad.jp. 3600 IN NS ns.jain.ad.jp.\n"
#define NS_A "ns.jain.ad.jp. 3600 IN A 133.69.136.1\n"
#define NEZU "nezu.jain.ad.jp. 3600 IN A 133.69.136.5\n"
#define BB_2 "jain-bb.jain.ad.jp. 3600 IN A 133.69.136.4\n"
#define BB_3 "jain-bb.jain.ad.jp. 3600 IN A 192.41.197.2\n"
#define BB_4 "jain-bb.jain.ad.jp. 3600 IN A 133.69.136.3\n"
#define SIMPLE SOA("3") NEZU SOA("3")

enum { MESSAGES_MAX = 4 };

struct parse_case {
    const char *name;
    enum incoming_kind kind;
    uint32_t have;
    const char *messages[MESSAGES_MAX]; /* records */
    enum incoming_verdict want;         /* of the last one; those before it: more */
    enum failure failure;               /* with INCOMING_BAD */
    const char *lines;                  /* with WHOLE and CHANGES */
};

static const struct parse_case parse_cases[] = {
    {"the SOA alone", INCOMING_SOA, 0, {SOA("3")}, INCOMING_SEEN, 0, NULL},
    {"an SOA and more", INCOMING_SOA, 0, {SOA("3") NS}, INCOMING_BAD, FAILED_WRONG, NULL},
    {"no SOA", INCOMING_SOA, 0, {NS}, INCOMING_BAD, FAILED_WRONG, NULL},
    {"a zone in one message",
     INCOMING_AXFR,
     0,
     {SOA("1") NS NS_A NEZU SOA("1")},
     INCOMING_WHOLE,
     0,
     NS NS_A NEZU},
    {"a zone in four",
     INCOMING_AXFR,
     0,
     {SOA("1"), NS, NS_A NEZU, SOA("1")},
     INCOMING_WHOLE,
     0,
     NS NS_A NEZU},
    {"a zone of its SOA alone", INCOMING_AXFR, 0, {SOA("1") SOA("1")}, INCOMING_WHOLE, 0, ""},
    {"another SOA at its end",
     INCOMING_AXFR,
     0,
     {SOA("1") NS SOA("2")},
     INCOMING_BAD,
     FAILED_WRONG,
     NULL},
    {"no SOA at its begin", INCOMING_AXFR, 0, {NS SOA("1")}, INCOMING_BAD, FAILED_WRONG, NULL},
    {"records behind its end",
     INCOMING_AXFR,
     0,
     {SOA("1") NS SOA("1") NS_A},
     INCOMING_BAD,
     FAILED_WRONG,
     NULL},
    {"a name outside",
     INCOMING_AXFR,
     0,
     {SOA("1") "ad.jp. 1 IN NS ns.jain.ad.jp.\n"},
     INCOMING_BAD,
     FAILED_OUTSIDE,
     NULL},
    {"a name that only ends alike",
     INCOMING_AXFR,
     0,
     {SOA("1") "xjain.ad.jp. 1 IN A 192.0.2.1\n"},
     INCOMING_BAD,
     FAILED_OUTSIDE,
     NULL},
    {"an SOA below the apex",
     INCOMING_AXFR,
     0,
     {SOA("1") "sub.jain.ad.jp. 1 IN SOA . . 1 1 1 1 1\n"},
     INCOMING_BAD,
     FAILED_WRONG,
     NULL},
    {"another class",
     INCOMING_AXFR,
     0,
     {SOA("1") "jain.ad.jp. 1 CH TXT x\n"},
     INCOMING_BAD,
     FAILED_MALFORMED,
     NULL},
    {"a zone by IXFR",
     INCOMING_IXFR,
     1,
     {SOA("3") NS NS_A BB_3 BB_4 SOA("3")},
     INCOMING_WHOLE,
     0,
     NS NS_A BB_3 BB_4},
    {"RFC 1995: incremental",
     INCOMING_IXFR,
     1,
     {SOA("3") SOA("1") NEZU SOA("2") BB_2 BB_3 SOA("2") BB_2 SOA("3") BB_4 SOA("3")},
     INCOMING_CHANGES,
     0,
     "-" NEZU "+" BB_2 "+" BB_3 "-" BB_2 "+" BB_4},
    {"RFC 1995: condensed",
     INCOMING_IXFR,
     1,
     {SOA("3") SOA("1") NEZU SOA("3") BB_3 BB_4 SOA("3")},
     INCOMING_CHANGES,
     0,
     "-" NEZU "+" BB_3 "+" BB_4},
    {"RFC 1995: the SOA alone, which is newer",
     INCOMING_IXFR,
     1,
     {SOA("3")},
     INCOMING_NO_IXFR,
     0,
     NULL},
    {"differences over messages",
     INCOMING_IXFR,
     1,
     {SOA("3") SOA("1"), NEZU SOA("3"), BB_3, SOA("3")},
     INCOMING_CHANGES,
     0,
     "-" NEZU "+" BB_3},
    {"nothing new", INCOMING_IXFR, 3, {SOA("3")}, INCOMING_CURRENT, 0, NULL},
    {"something older", INCOMING_IXFR, 4, {SOA("3")}, INCOMING_CURRENT, 0, NULL},
    {"new, beyond the end of numbers",
     INCOMING_IXFR,
     4294967295U,
     {SOA("3") SOA("4294967295") SOA("3") NEZU SOA("3")},
     INCOMING_CHANGES,
     0,
     "+" NEZU},
    {"a difference of nothing",
     INCOMING_IXFR,
     1,
     {SOA("3") SOA("1") SOA("3") SOA("3")},
     INCOMING_CHANGES,
     0,
     ""},
    {"differences from another serial",
     INCOMING_IXFR,
     1,
     {SOA("3") SOA("2") NEZU SOA("3") SOA("3")},
     INCOMING_NO_IXFR,
     0,
     NULL},
    {"a gap between differences",
     INCOMING_IXFR,
     1,
     {SOA("5") SOA("1") NEZU SOA("2") SOA("3") SOA("5") SOA("5")},
     INCOMING_NO_IXFR,
     0,
     NULL},
    {"a difference that goes back",
     INCOMING_IXFR,
     2,
     {SOA("3") SOA("2") NEZU SOA("1") SOA("3")},
     INCOMING_NO_IXFR,
     0,
     NULL},
    {"a difference that goes too far",
     INCOMING_IXFR,
     2,
     {SOA("3") SOA("2") NEZU SOA("4") SOA("3")},
     INCOMING_NO_IXFR,
     0,
     NULL},
    {"an empty answer", INCOMING_AXFR, 0, {""}, INCOMING_BAD, FAILED_WRONG, NULL},
    {"a zone that goes on", INCOMING_AXFR, 0, {SOA("1") NS, NS_A}, INCOMING_MORE, 0, NULL},
};

static uint16_t type_of(enum incoming_kind kind)
{
    return kind == INCOMING_SOA ? WIRE_SOA : kind == INCOMING_IXFR ? WIRE_IXFR : WIRE_AXFR;
}

static void begin(struct incoming *in, enum incoming_kind kind, uint32_t have)
{
    struct wire_name apex = wire_name_of(APEX);

    incoming_begin(in, kind, &apex);
    in->id = MESSAGE_ID;
    in->have = have;
}

static void messages_say_what_they_say(void **state)
{
    for (size_t i = 0; i < COUNT_OF(parse_cases); i++) {
        const struct parse_case *c = &parse_cases[i];
        enum incoming_verdict v = INCOMING_MORE;
        uint8_t message[MESSAGE_BYTES];
        struct incoming in;

        begin(&in, c->kind, c->have);
        for (size_t m = 0; m < MESSAGES_MAX && c->messages[m] != NULL; m++) {
            if (v != INCOMING_MORE)
                fail_msg("%s: over before message %zu", c->name, m);
            v = incoming_take(&in, message,
                              make_message(APEX, type_of(c->kind), c->messages[m], message));
        }
        if (v != c->want || (v == INCOMING_BAD && in.failure != c->failure))
            fail_msg("%s: verdict %d, %s: %s", c->name, v, failure_words(in.failure), in.why);
        if (c->lines != NULL &&
            strcmp(in.lines.text.p != NULL ? in.lines.text.p : "", c->lines) != 0)
            fail_msg("%s: lines\n%s", c->name, in.lines.text.p);
        if (c->lines != NULL)
            assert_int_equal(in.facts.serial, in.kind == INCOMING_AXFR ? 1 : 3);
        incoming_end(&in);
    }
}

/* ---- heads ---- */

static void set_id(uint8_t *m)
{
    m[0] ^= 1;
}
static void set_query(uint8_t *m)
{
    m[2] &= 0x7f;
}
static void set_opcode(uint8_t *m)
{
    m[2] |= 0x20;
}
static void set_tc(uint8_t *m)
{
    m[2] |= 0x02;
}
static void set_refused(uint8_t *m)
{
    m[3] = WIRE_REFUSED;
}
static void set_notimp(uint8_t *m)
{
    m[3] = WIRE_NOTIMP;
}
static void set_other_name(uint8_t *m)
{
    m[13] = 'x';
}
static void set_other_type(uint8_t *m)
{
    m[WIRE_HEADER + 12 + 1] = WIRE_A;
}
static void set_two_questions(uint8_t *m)
{
    m[5] = 2;
}
static void set_more_answers(uint8_t *m)
{
    m[7]++;
}
static void set_no_aa(uint8_t *m)
{
    m[2] &= 0xfb;
}

static const struct {
    const char *name;
    enum incoming_kind kind;
    void (*edit)(uint8_t *message);
    enum incoming_verdict want;
    enum failure failure;
} head_cases[] = {
    {"another ID", INCOMING_AXFR, set_id, INCOMING_BAD, FAILED_WRONG},
    {"a query", INCOMING_AXFR, set_query, INCOMING_BAD, FAILED_WRONG},
    {"another opcode", INCOMING_AXFR, set_opcode, INCOMING_BAD, FAILED_WRONG},
    {"TC", INCOMING_AXFR, set_tc, INCOMING_BAD, FAILED_WRONG},
    {"REFUSED", INCOMING_AXFR, set_refused, INCOMING_BAD, FAILED_RCODE},
    {"REFUSED, of IXFR", INCOMING_IXFR, set_refused, INCOMING_BAD, FAILED_RCODE},
    {"NOTIMP", INCOMING_AXFR, set_notimp, INCOMING_BAD, FAILED_RCODE},
    {"NOTIMP, of IXFR", INCOMING_IXFR, set_notimp, INCOMING_NO_IXFR, 0},
    {"another name is asked for", INCOMING_AXFR, set_other_name, INCOMING_BAD, FAILED_WRONG},
    {"another type is asked for", INCOMING_AXFR, set_other_type, INCOMING_BAD, FAILED_WRONG},
    {"two questions", INCOMING_AXFR, set_two_questions, INCOMING_BAD, FAILED_MALFORMED},
    {"fewer records than it says", INCOMING_AXFR, set_more_answers, INCOMING_BAD, FAILED_MALFORMED},
    {"an SOA without authority", INCOMING_SOA, set_no_aa, INCOMING_BAD, FAILED_WRONG},
    {"a transfer without AA", INCOMING_AXFR, set_no_aa, INCOMING_MORE, 0},
};

static void heads_are_judged(void **state)
{
    for (size_t i = 0; i < COUNT_OF(head_cases); i++) {
        uint8_t message[MESSAGE_BYTES];
        size_t n = make_message(APEX, type_of(head_cases[i].kind), SOA("1"), message);
        enum incoming_verdict v;
        struct incoming in;

        head_cases[i].edit(message);
        begin(&in, head_cases[i].kind, 0);
        v = incoming_take(&in, message, n);
        if (v != head_cases[i].want || (v == INCOMING_BAD && in.failure != head_cases[i].failure))
            fail_msg("%s: verdict %d, %s: %s", head_cases[i].name, v, failure_words(in.failure),
                     in.why);
        incoming_end(&in);
    }
}

/* RFC 5936 section 2.2.1: only the first message must have the question. */
static void the_question_may_be_missing(void **state)
{
    uint8_t message[MESSAGE_BYTES];
    size_t n = make_message(APEX, WIRE_AXFR, SOA("1") NS SOA("1"), message);
    size_t question = WIRE_HEADER + wire_name_of(APEX).length + 4;
    struct incoming in;

    memmove(message + WIRE_HEADER, message + question, n - question);
    message[5] = 0;
    begin(&in, INCOMING_AXFR, 0);
    assert_int_equal(incoming_take(&in, message, n - question + WIRE_HEADER), INCOMING_WHOLE);
    assert_string_equal(in.lines.text.p, NS);
    incoming_end(&in);
}

static void limits_are_kept(void **state)
{
    uint8_t message[MESSAGE_BYTES];
    size_t n = make_message(APEX, WIRE_AXFR, SOA("1") NS NS_A NEZU SOA("1"), message);
    struct incoming in;

    for (int by_bytes = 0; by_bytes < 2; by_bytes++)
        for (int less = 0; less < 2; less++) {
            begin(&in, INCOMING_AXFR, 0);
            in.max_records = by_bytes ? UINT64_MAX : 5 - (unsigned)less;
            in.max_bytes = by_bytes ? n - (unsigned)less : UINT64_MAX;
            assert_int_equal(incoming_take(&in, message, n), less ? INCOMING_BAD : INCOMING_WHOLE);
            assert_int_equal(in.failure, less ? FAILED_LARGE : FAILED_NONE);
            incoming_end(&in);
        }
}

/* ---- compression ---- */

static void pointers_are_followed_but_not_in_circles(void **state)
{
    static const struct {
        const char *name;
        uint8_t rdata[4];
        uint16_t bytes;
        bool is_good;
    } cases[] = {
        {"to the question's name", {0xc0, 12}, 2, true},
        {"a label, then that", {1, 'a', 0xc0, 12}, 4, true},
        {"to itself", {0xc0, 41}, 2, false},
        {"forward", {0xc0, 60}, 2, false},
        {"out of the message", {0xff, 0xff}, 2, false},
        {"half a pointer", {0xc0}, 1, false},
        {"a label of a kind that nobody knows", {0x41, 0, 0, 0}, 4, false},
        {"no end", {1, 'a', 1, 'b'}, 4, false},
    };
    struct wire_name apex = wire_name_of("a.b");

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t m[64] = {0};
        size_t n = make_message("a.b", WIRE_AXFR, "", m);
        enum incoming_verdict v;
        struct incoming in;

        incoming_begin(&in, INCOMING_AXFR, &apex);
        in.id = MESSAGE_ID;
        in.place = PLACE_RECORDS;
        m[7] = 1;
        bytes_put_u16(m + n, 0xc00c);
        bytes_put_u16(m + n + 2, WIRE_NS);
        bytes_put_u16(m + n + 4, WIRE_CLASS_IN);
        bytes_put_u16(m + n + 10, cases[i].bytes);
        memcpy(m + n + 12, cases[i].rdata, 4);
        v = incoming_take(&in, m, n + 12 + cases[i].bytes);
        if (v != (cases[i].is_good ? INCOMING_MORE : INCOMING_BAD))
            fail_msg("%s: verdict %d %s", cases[i].name, v, in.why);
        incoming_end(&in);
    }
}

static void queries_are_what_the_rfcs_say(void **state)
{
    uint8_t out[WIRE_UDP_MIN];
    struct wire_query q;
    struct incoming in;
    size_t n;

    for (int kind = INCOMING_SOA; kind <= INCOMING_AXFR; kind++) {
        begin(&in, (enum incoming_kind)kind, 77);
        n = incoming_write_query(&in, out);
        assert_int_equal(wire_parse_query(&q, out, n),
                         kind == INCOMING_SOA ? WIRE_OK : WIRE_TRANSFER);
        assert_int_equal(q.qtype, type_of((enum incoming_kind)kind));
        assert_int_equal(q.id, MESSAGE_ID);
        if (kind == INCOMING_IXFR) /* RFC 1995 section 3 */
            assert_int_equal(bytes_get_u32(out + n - 20), 77);
        incoming_end(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_say_what_they_say),
        cmocka_unit_test(heads_are_judged),
        cmocka_unit_test(the_question_may_be_missing),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(pointers_are_followed_but_not_in_circles),
        cmocka_unit_test(queries_are_what_the_rfcs_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
