/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/tsig/tsig.h"

#include "common/bytes/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NOW = 1700000000, MESSAGE_MAX = 1024 };

static const uint8_t secret[] = "0123456789abcdef0123456789abcdef";

static struct tsig_key *new_key(const char *name, const char *algorithm)
{
    struct wire_name wire;
    struct tsig_key *k;

    assert_true(wire_name_parse(str_of(name), &wire));
    k = tsig_key_new(&wire, algorithm, secret, sizeof(secret) - 1);
    assert_non_null(k);
    return k;
}

static size_t read_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    unsigned byte;

    for (; hex[0] != '\0'; hex += 2) {
        assert_true(n < MESSAGE_MAX && sscanf(hex, "%2x", &byte) == 1);
        out[n++] = (uint8_t)byte;
    }
    return n;
}

#define QUESTION "123400000001000000000001076578616d706c6503636f6d0000060001"
#define KEY_RECORD "036b6579074578616d706c650000fa00ff00000000"

/* What dnspython makes of an SOA query signed by Key.Example. at NOW; so does dig -y. */
static const struct {
    const char *algorithm, *hex;
} vectors[] = {
    {"hmac-sha256",
     "123400000001000000000001076578616d706c6503636f6d0000060001034b6579074578616d706c650000fa00ff"
     "00000000003d0b686d61632d7368613235360000006553f100012c002080534a5aac54e1c1498177f4dac283d068"
     "f86bb69ef2ae024d501d7a8f205e4d123400000000"},
    {"hmac-sha384",
     "123400000001000000000001076578616d706c6503636f6d0000060001034b6579074578616d706c650000fa00ff"
     "00000000004d0b686d61632d7368613338340000006553f100012c0030b2fcf9c338a1253ee4fbc124aec798b9ed"
     "ad77784df22417659f02e77dabac958fd3f178d5fde3007bda86ea03a9965d123400000000"},
    {"hmac-sha512",
     "123400000001000000000001076578616d706c6503636f6d0000060001034b6579074578616d706c650000fa00ff"
     "00000000005d0b686d61632d7368613531320000006553f100012c004003d71144e76ce2a5994d0b73f6a9932ed6"
     "2a5a78e40404e8e55f1e2133b1bc666fb6ae6d89df5b37aa3dadd2eea90cd953c3078beb920a5228c51f901822ff"
     "cb123400000000"},
    {"hmac-sha224",
     "123400000001000000000001076578616d706c6503636f6d0000060001034b6579074578616d706c650000fa00ff"
     "0000000000390b686d61632d7368613232340000006553f100012c001c28a83f39dfca7f8f67903fabfdf6663bd5"
     "515832c8b0710894086d1f123400000000"},
    {"hmac-sha1",
     "123400000001000000000001076578616d706c6503636f6d0000060001034b6579074578616d706c650000fa00ff"
     "00000000002f09686d61632d736861310000006553f100012c0014e40e9877fd73d793a25cee16680bc5dc1b7c5e"
     "83123400000000"},
};

static void another_implementation_makes_and_takes_the_same(void **state)
{
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        struct tsig_key *key = new_key("key.example", vectors[i].algorithm);
        uint8_t theirs[MESSAGE_MAX], ours[MESSAGE_MAX];
        size_t n = read_hex(vectors[i].hex, theirs), at;
        struct tsig_session s;
        struct tsig_record r;

        assert_true(tsig_find(theirs, n, &r));
        assert_int_equal(
            tsig_accept(&s, (const struct tsig_key *const *)&key, 1, theirs, &r, NOW + 299),
            TSIG_OK);
        tsig_end(&s);
        at = r.at;
        memcpy(ours, theirs, at);
        bytes_put_u16(ours + 10, 0);
        assert_int_equal(tsig_ask(&s, key, ours, at, NOW), n);
        ours[at + 1] = 'K', ours[at + 5] = 'E'; /* their spelling of the name */
        assert_memory_equal(ours, theirs, n);
        tsig_end(&s);
        tsig_key_free(key);
    }
}

/* One change to the signed query of vectors[0], and what becomes of it. */
static const struct {
    const char *name;
    int offset; /* from the end when negative; the byte is flipped; 0: none */
    int64_t now_s;
    const char *key, *algorithm;
    enum tsig_verdict want;
    bool is_signed;
} judged[] = {
    {"as it is", 0, NOW, "key.example", "hmac-sha256", TSIG_OK, true},
    {"at the end of its time", 0, NOW + 300, "key.example", "hmac-sha256", TSIG_OK, true},
    {"too late", 0, NOW + 301, "key.example", "hmac-sha256", TSIG_BADTIME, true},
    {"too early", 0, NOW - 301, "key.example", "hmac-sha256", TSIG_BADTIME, true},
    {"a key that is not ours", 0, NOW, "other.example", "hmac-sha256", TSIG_BADKEY, false},
    {"another algorithm", 0, NOW, "key.example", "hmac-sha512", TSIG_BADKEY, false},
    {"a changed question", 14, NOW, "key.example", "hmac-sha256", TSIG_BADSIG, false},
    {"a changed MAC", -8, NOW, "key.example", "hmac-sha256", TSIG_BADSIG, false},
    {"a changed MAC, too late", -8, NOW + 999, "key.example", "hmac-sha256", TSIG_BADSIG, false},
    {"a changed ID: the original one counts", 1, NOW, "key.example", "hmac-sha256", TSIG_OK, true},
};

static void queries_are_judged(void **state)
{
    for (size_t i = 0; i < COUNT_OF(judged); i++) {
        struct tsig_key *key = new_key(judged[i].key, judged[i].algorithm);
        uint8_t query[MESSAGE_MAX], answer[MESSAGE_MAX];
        size_t n = read_hex(vectors[0].hex, query), made;
        struct tsig_record r;
        struct tsig_session s;

        if (judged[i].offset != 0)
            query[judged[i].offset > 0 ? judged[i].offset : (int)n + judged[i].offset] ^= 1;
        assert_true(tsig_find(query, n, &r));
        if (tsig_accept(&s, (const struct tsig_key *const *)&key, 1, query, &r,
                        (uint64_t)judged[i].now_s) != judged[i].want)
            fail_msg("%s: verdict %s", judged[i].name, tsig_verdict_name(s.verdict));
        memset(answer, 0, WIRE_HEADER);
        made = tsig_sign(&s, answer, WIRE_HEADER, (uint64_t)judged[i].now_s);
        assert_true(tsig_find(answer, made, &r));
        assert_int_equal(r.error, judged[i].want);
        assert_int_equal(r.mac_bytes > 0, judged[i].is_signed);
        /* Section 5.2.3: the client's time, and the server's as other data. */
        assert_int_equal(r.other_bytes, judged[i].want == TSIG_BADTIME ? 6 : 0);
        if (judged[i].want == TSIG_BADTIME) {
            assert_int_equal(r.time_s, NOW);
            assert_int_equal(bytes_get_u32(r.other + 2), judged[i].now_s);
        }
        tsig_end(&s);
        tsig_key_free(key);
    }
}

/* Section 5.2.2.1: at least half the digest and ten bytes; shorter is a format error. */
static void truncated_macs_are_told_apart(void **state)
{
    static const struct {
        uint16_t mac_bytes;
        enum tsig_verdict want;
    } cases[] = {{0, TSIG_MALFORMED},
                 {9, TSIG_MALFORMED},
                 {15, TSIG_MALFORMED},
                 {16, TSIG_BADTRUNC},
                 {31, TSIG_BADTRUNC}};
    struct tsig_key *key = new_key("key.example", "hmac-sha256");
    uint8_t query[MESSAGE_MAX];
    size_t n = read_hex(vectors[0].hex, query);

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct tsig_record r;
        struct tsig_session s;

        assert_true(tsig_find(query, n, &r));
        r.mac_bytes = cases[i].mac_bytes;
        assert_int_equal(tsig_accept(&s, (const struct tsig_key *const *)&key, 1, query, &r, NOW),
                         cases[i].want);
        tsig_end(&s);
    }
    tsig_key_free(key);
}

static const struct {
    const char *name, *hex;
    bool is_good;
} records[] = {
    {"none", "123400000001000000000000076578616d706c6503636f6d0000060001", true},
    {"no data", QUESTION KEY_RECORD "0000", false},
    {"cut in the middle of the algorithm", QUESTION KEY_RECORD "00050b686d6163", false},
    {"MAC longer than the record",
     QUESTION KEY_RECORD "001c0b686d61632d7368613235360000006553f100012cffff1234000000", false},
    {"class IN",
     QUESTION "036b65790000fa000100000000001d0b686d61632d7368613235360000006553f100012c"
              "0000123400000000",
     false},
    {"a TTL",
     QUESTION "036b65790000fa00ff00000001001d0b686d61632d7368613235360000006553f100012c"
              "0000123400000000",
     false},
    {"well formed, empty MAC",
     QUESTION "036b65790000fa00ff00000000001d0b686d61632d7368613235360000"
              "006553f100012c0000123400000000",
     true},
    {"bytes behind it",
     QUESTION "036b65790000fa00ff00000000001d0b686d61632d7368613235360000"
              "006553f100012c000012340000000000",
     false},
};

static void records_are_read_strictly(void **state)
{
    for (size_t i = 0; i < COUNT_OF(records); i++) {
        uint8_t message[MESSAGE_MAX];
        size_t n = read_hex(records[i].hex, message);
        struct tsig_record r;

        if (tsig_find(message, n, &r) != records[i].is_good)
            fail_msg("%s", records[i].name);
    }
}

/* A query, then a stream of answers of which only some are signed. */
struct talk {
    struct tsig_key *key;
    struct tsig_session client, server;
    uint8_t message[MESSAGE_MAX];
    size_t n;
};

static void talk_begin(struct talk *t)
{
    struct tsig_record r;

    t->key = new_key("key.example", "hmac-sha256");
    memset(t->message, 0, WIRE_HEADER);
    t->n = tsig_ask(&t->client, t->key, t->message, WIRE_HEADER, NOW);
    assert_true(tsig_find(t->message, t->n, &r));
    assert_int_equal(
        tsig_accept(&t->server, (const struct tsig_key *const *)&t->key, 1, t->message, &r, NOW),
        TSIG_OK);
}

static void talk_answer(struct talk *t, uint8_t mark)
{
    memset(t->message, 0, WIRE_HEADER);
    t->message[2] = mark;
    t->n = tsig_sign(&t->server, t->message, WIRE_HEADER, NOW + 1);
}

static enum tsig_verdict talk_check(struct talk *t)
{
    size_t proper;
    enum tsig_verdict v = tsig_check(&t->client, t->message, t->n, NOW + 2, &proper);

    assert_int_equal(proper, WIRE_HEADER);
    return v;
}

static void talk_end(struct talk *t)
{
    tsig_end(&t->client);
    tsig_end(&t->server);
    tsig_key_free(t->key);
}

static void streams_are_chained(void **state)
{
    struct talk t;

    talk_begin(&t);
    assert_false(tsig_is_settled(&t.client));
    for (uint8_t i = 0; i < 5; i++) {
        talk_answer(&t, i);
        assert_int_equal(talk_check(&t), TSIG_OK);
        assert_true(tsig_is_settled(&t.client));
    }
    talk_answer(&t, 9); /* lost on the way */
    talk_answer(&t, 10);
    assert_int_equal(talk_check(&t), TSIG_BADSIG);
    talk_end(&t);
}

static void changed_answers_are_refused(void **state)
{
    struct talk t;

    talk_begin(&t);
    talk_answer(&t, 1);
    t.message[2] ^= 1;
    assert_int_equal(talk_check(&t), TSIG_BADSIG);
    talk_end(&t);
}

static void unsigned_answers_are_bounded(void **state)
{
    struct talk t;

    talk_begin(&t);
    memset(t.message, 0, WIRE_HEADER);
    t.n = WIRE_HEADER;
    assert_int_equal(talk_check(&t), TSIG_BADSIG); /* not the first */
    talk_answer(&t, 1);
    assert_int_equal(talk_check(&t), TSIG_OK);
    memset(t.message, 0, WIRE_HEADER);
    t.n = WIRE_HEADER;
    for (int i = 0; i < 99; i++)
        assert_int_equal(talk_check(&t), TSIG_OK);
    assert_false(tsig_is_settled(&t.client));
    assert_int_equal(talk_check(&t), TSIG_BADSIG);
    talk_end(&t);
}

static void secrets_are_base64(void **state)
{
    static const struct {
        const char *text;
        size_t want;
    } cases[] = {{"c2VjcmV0", 6}, {"c2VjcmU=", 5}, {"c2VjcgA=", 5},
                 {"c2VjYQ==", 4}, {"", 0},         {"c2Vj cmV0", 0},
                 {"c2VjcmV", 0},  {"c2==cmV0", 0}, {"c2VjcmV0c2VjcmV0", 0},
                 {"c2V*cmV0", 0}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t out[9];

        assert_int_equal(tsig_decode_secret(str_of(cases[i].text), out, sizeof(out)),
                         cases[i].want);
    }
}

static void weak_algorithms_are_no_keys(void **state)
{
    struct wire_name name;

    assert_true(wire_name_parse(str_of("k"), &name));
    assert_null(tsig_key_new(&name, "hmac-md5.sig-alg.reg.int", secret, 4));
    assert_null(tsig_key_new(&name, "hmac-md5", secret, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_implementation_makes_and_takes_the_same),
        cmocka_unit_test(queries_are_judged),
        cmocka_unit_test(truncated_macs_are_told_apart),
        cmocka_unit_test(records_are_read_strictly),
        cmocka_unit_test(streams_are_chained),
        cmocka_unit_test(changed_answers_are_refused),
        cmocka_unit_test(unsigned_answers_are_bounded),
        cmocka_unit_test(secrets_are_base64),
        cmocka_unit_test(weak_algorithms_are_no_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
