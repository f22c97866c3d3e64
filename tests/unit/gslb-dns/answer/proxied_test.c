/* SPDX-License-Identifier: BSD-2-Clause */
/* Queries by UDP with a PROXY header before them, in batches with others that have none. */
#include "tests/unit/gslb-dns/answer/answer_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define HEADER(source) SIGNATURE "\x21\x12\0\x0c" source "\xc0\0\2\x35\x12\x34\0\x35"
#define HEADER6(source)                                                          \
    SIGNATURE "\x21\x22\0\x24" source "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x35" \
              "\x12\x34\0\x35"
#define EU_CLIENT "\xc0\0\2\1"
#define US_CLIENT "\xc6\x33\x64\1"
#define EU_CLIENT6 "\x20\1\x0d\xb8\0\1\0\0\0\0\0\0\0\0\0\1"
#define QUERY "\x12\x34\0\0\0\1\0\0\0\0\0\0\3www\7example\3com\0\0\1\0\1"
#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

enum { NOTHING = -1, NOTIMP = -2 };

struct row {
    const char *name;
    const uint8_t *packet;
    size_t n;
    const char *sender;
    enum answer_transport transport;
    int want; /* the region of the answer */
};

/* Listed are 203.0.113.0/24 and 2001:db8:f::/48. */
static const struct row rows[] = {
    {"client in eu", BYTES(HEADER(EU_CLIENT) QUERY), "203.0.113.7:999", ANSWER_UDP, EU},
    {"client in us", BYTES(HEADER(US_CLIENT) QUERY), "203.0.113.7:999", ANSWER_UDP, US},
    {"client of the other family", BYTES(HEADER6(EU_CLIENT6) QUERY), "203.0.113.7:999", ANSWER_UDP,
     EU},
    {"balancer of the other family", BYTES(HEADER(EU_CLIENT) QUERY), "[2001:db8:f::1]:999",
     ANSWER_UDP, EU},
    {"balancer for itself", BYTES(SIGNATURE "\x20\0\0\0" QUERY), "203.0.113.7:999", ANSWER_UDP, US},
    {"no header", BYTES(QUERY), "203.0.113.7:999", ANSWER_UDP, NOTHING},
    {"half a header", BYTES(SIGNATURE "\x21\x12\0\x0c\xc0"), "203.0.113.7:999", ANSWER_UDP,
     NOTHING},
    {"header alone", BYTES(HEADER(EU_CLIENT)), "203.0.113.7:999", ANSWER_UDP, NOTHING},
    {"two headers", BYTES(HEADER(EU_CLIENT) HEADER(US_CLIENT) QUERY), "203.0.113.7:999", ANSWER_UDP,
     NOTIMP},
    {"empty", BYTES(""), "203.0.113.7:999", ANSWER_UDP, NOTHING},
    {"header from anybody else", BYTES(HEADER(EU_CLIENT) QUERY), "198.51.100.9:999", ANSWER_UDP,
     NOTHING},
    {"anybody else", BYTES(QUERY), "192.0.2.9:999", ANSWER_UDP, EU},
    {"connection, whose header stream has read", BYTES(QUERY), "203.0.113.7:999", ANSWER_TCP, US},
};

static struct answer_world world;
static struct answer_context *context;
static struct metrics_block *counters;

static int open_world(void **state)
{
    static struct prefix proxies[2];

    (void)state;
    answer_world_open(&world, answer_world_zone);
    ensure(prefix_parse(STR("203.0.113.0/24"), &proxies[0]));
    ensure(prefix_parse(STR("2001:db8:f::/48"), &proxies[1]));
    world.world.proxies = proxies;
    world.world.n_proxies = COUNT_OF(proxies);
    counters = metrics_add_block(&world.metrics);
    context = answer_context_new(&world.slot, counters);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    answer_context_free(context);
    answer_world_close(&world);
    return 0;
}

static uint64_t count_of(enum answer_counter counter)
{
    return metrics_sum(&world.metrics, counter);
}

/* The second byte of an address of a region is its number. */
static void check_answer(const struct row *row, const struct answer_query *q)
{
    int got = NOTHING;

    if (q->out_bytes > 0)
        got = (q->out[3] & 15) == WIRE_NOTIMP ? NOTIMP : q->out[q->out_bytes - 3];
    if (got != row->want)
        fail_msg("%s: got %d, wanted %d", row->name, got, row->want);
}

/* More than go through the steps together, so that each client stands at several places. */
static void clients_are_those_that_headers_name(void **state)
{
    enum { N = 5 * COUNT_OF(rows) };
    static struct answer_query queries[N];
    static struct addr senders[N];
    static uint8_t answers[N][512], *packets[N];
    size_t n_dropped = 0;

    (void)state;
    for (size_t i = 0; i < N; i++) {
        const struct row *row = &rows[i % COUNT_OF(rows)];

        packets[i] = malloc(row->n + 1);
        memcpy(packets[i], row->packet, row->n);
        assert_true(addr_parse(str_of(row->sender), 0, &senders[i]));
        queries[i] = (struct answer_query){.packet = packets[i],
                                           .packet_bytes = (uint32_t)row->n,
                                           .transport = row->transport,
                                           .source = &senders[i],
                                           .out = answers[i],
                                           .out_cap_bytes = sizeof(answers[i])};
        n_dropped += row->want == NOTHING;
    }
    answer_batch(context, queries, N);
    for (size_t i = 0; i < N; i++) {
        check_answer(&rows[i % COUNT_OF(rows)], &queries[i]);
        free(packets[i]);
    }
    /* A header alone is no query: a runt, but a good header. */
    assert_int_equal(count_of(ANSWER_COUNTER_UDP_DROP_PROXY) +
                         count_of(ANSWER_COUNTER_WIRE_OK + WIRE_DROP_RUNT),
                     n_dropped);
    assert_int_equal(count_of(ANSWER_COUNTER_WIRE_OK + WIRE_DROP_RUNT), 5);
    assert_int_equal(count_of(ANSWER_COUNTER_UDP6), 5);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_are_those_that_headers_name),
    };

    return cmocka_run_group_tests(tests, open_world, close_world);
}
