/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames that are read, each broken in one place; and the answer's headers, read again. */
#include "gslb-dns/xdp/xdp_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* 10.77.0.2:4660 to 10.77.0.1:53 with two bytes, no UDP checksum. */
static const uint8_t QUERY[] = {2,  0,  0,  0, 0,    1,    2, 0,  0,  0,    0,    2,  8,   0,  0x45,
                                0,  0,  30, 0, 1,    0,    0, 64, 17, 0x66, 0x32, 10, 77,  0,  2,
                                10, 77, 0,  1, 0x12, 0x34, 0, 53, 0,  10,   0,    0,  'h', 'i'};

static const struct {
    const char *name;
    uint8_t at, value;
    enum xdp_counter wanted;
} CASES[] = {
    {"whole", 0, 2, XDP_COUNTER_RECEIVED},
    {"ARP", 13, 6, XDP_COUNTER_MALFORMED},
    {"IPv4 options", 14, 0x46, XDP_COUNTER_MALFORMED},
    {"fragment", 20, 0x20, XDP_COUNTER_MALFORMED},
    {"TCP", 23, 6, XDP_COUNTER_MALFORMED},
    {"total length beyond the frame", 17, 31, XDP_COUNTER_MALFORMED},
    {"header checksum", 24, 0x67, XDP_COUNTER_CHECKSUM},
    {"UDP length beyond the packet", 39, 11, XDP_COUNTER_MALFORMED},
    {"UDP length without its header", 39, 7, XDP_COUNTER_MALFORMED},
    {"UDP checksum", 41, 1, XDP_COUNTER_CHECKSUM},
    {"sent by a group", 6, 3, XDP_COUNTER_SOURCE},
};

static void frames_are_read_or_refused(void **state)
{
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        uint8_t frame[sizeof(QUERY)];
        struct packet p;

        memcpy(frame, QUERY, sizeof(frame));
        frame[CASES[i].at] = CASES[i].value;
        if (packet_parse(&p, frame, sizeof(frame)) != CASES[i].wanted)
            fail_msg("%s", CASES[i].name);
    }
}

static void short_frames_are_refused(void **state)
{
    struct packet p;

    for (uint32_t n = 0; n < sizeof(QUERY); n++)
        assert_int_equal(packet_parse(&p, QUERY, n), XDP_COUNTER_MALFORMED);
}

static void answers_turn_the_query_round(void **state)
{
    const struct packet_style style = {.ttl = 64, .hop_limit = 64, .ipv4_id = 7};
    uint8_t frame[sizeof(QUERY)];
    struct packet query, answer;

    memcpy(frame, QUERY, sizeof(frame));
    assert_int_equal(packet_parse(&query, QUERY, sizeof(QUERY)), XDP_COUNTER_RECEIVED);
    assert_int_equal(packet_headers_bytes(&query), 42);
    packet_write_headers(frame, &query, 2, &style);
    assert_int_equal(packet_parse(&answer, frame, sizeof(frame)), XDP_COUNTER_RECEIVED);
    assert_memory_equal(frame, QUERY + 6, 6);
    assert_memory_equal(frame + 6, QUERY, 6);
    assert_int_equal(addr_port(&answer.source), 53);
    assert_memory_not_equal(frame + 40, "\0\0", 2); /* with a checksum, which was verified */
    frame[43] ^= 1;
    assert_int_equal(packet_parse(&answer, frame, sizeof(frame)), XDP_COUNTER_CHECKSUM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_read_or_refused),
        cmocka_unit_test(short_frames_are_refused),
        cmocka_unit_test(answers_turn_the_query_round),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
