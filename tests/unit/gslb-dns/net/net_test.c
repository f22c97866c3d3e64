/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The server over loopback with a handler that is no DNS: it answers a message with the same bytes
 * turned round. "drop" gets no answer, "big N" N thousand bytes, "many NN" a first message and NN
 * thousand more of a kilobyte, "rest" how long the connection may rest.
 */
#include "gslb-dns/net/net.h"

#include "common/bytes/bytes.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 10000 };

static void *open_context(void *arg, struct metrics_block *counters)
{
    int *open = arg;

    assert_non_null(counters);
    __atomic_fetch_add(open, 1, __ATOMIC_RELAXED);
    return open;
}

static void close_context(void *context)
{
    __atomic_fetch_sub((int *)context, 1, __ATOMIC_RELAXED);
}

static void turn_round(struct answer_query *q)
{
    for (uint32_t i = 0; i < q->packet_bytes; i++)
        q->out[i] = q->packet[q->packet_bytes - 1 - i];
    q->out_bytes = q->packet_bytes;
}

/* Streams that have not been freed. */
static int n_streams;

struct answer_stream {
    uint32_t left;
};

static struct answer_stream *begin_stream(uint32_t n)
{
    struct answer_stream *s = base_zalloc(1, sizeof(*s));

    s->left = n;
    __atomic_fetch_add(&n_streams, 1, __ATOMIC_RELAXED);
    return s;
}

static void abandon(struct answer_stream *s)
{
    __atomic_fetch_sub(&n_streams, 1, __ATOMIC_RELAXED);
    free(s);
}

static uint32_t next(void *context, struct answer_stream *s, uint8_t *out, uint32_t cap)
{
    (void)context;
    assert_true(cap == 65535);
    if (s->left == 0) {
        abandon(s);
        return 0;
    }
    memset(out, 's', 1000);
    bytes_put_u32(out, --s->left);
    return 1000;
}

static void answer(void *context, struct answer_query *queries, size_t n)
{
    (void)context;
    for (size_t i = 0; i < n; i++) {
        struct answer_query *q = &queries[i];

        q->out_bytes = 0;
        if (q->packet_bytes >= 4 && memcmp(q->packet, "drop", 4) == 0)
            continue;
        if (q->packet_bytes == 6 && memcmp(q->packet, "big ", 4) == 0) {
            q->out_bytes = 1000u * (uint32_t)(10 * (q->packet[4] - '0') + q->packet[5] - '0');
            memset(q->out, 'b', q->out_bytes);
            continue;
        }
        if (q->packet_bytes == 7 && memcmp(q->packet, "many ", 5) == 0)
            q->stream =
                begin_stream(1000u * (uint32_t)(10 * (q->packet[5] - '0') + q->packet[6] - '0'));
        if (q->packet_bytes == 4 && memcmp(q->packet, "rest", 4) == 0) {
            q->out_bytes = (uint32_t)snprintf((char *)q->out, 16, "%u", q->keepalive_ms);
            continue;
        }
        turn_round(q);
    }
}

/* One server with its surroundings. */
struct bench {
    struct metrics metrics;
    struct net_server *server;
    struct net_handler handler;
    struct net_settings settings;
    struct addr listen[3];
    int n_open;
};

static struct addr loopback(const char *text)
{
    struct addr a;

    assert_true(addr_parse(str_of(text), 0, &a));
    return a;
}

static void start(struct bench *b, const char *const *listen, size_t n)
{
    struct errors errors = {0};

    *b = (struct bench){.metrics = {.table = answer_counter_table, .n = ANSWER_COUNTER_COUNT}};
    for (size_t i = 0; i < n; i++) {
        /* port 0 cannot be written in a configuration */
        struct ip ip;
        assert_true(ip_parse(str_of(listen[i]), &ip));
        b->listen[i] = addr_of_ip(&ip, 0);
    }
    b->handler = (struct net_handler){.open = open_context,
                                      .answer = answer,
                                      .close = close_context,
                                      .arg = &b->n_open,
                                      .next = next,
                                      .abandon = abandon};
    b->settings = (struct net_settings){.listen = b->listen,
                                        .n_listen = n,
                                        .workers = 2,
                                        .tcp_threads = 1,
                                        .tcp_idle_ms = 60000,
                                        .tcp_max_connections = 100};
    b->server = net_server_start(&b->settings, &b->handler, &b->metrics, &errors);
    errors_print(&errors, stderr);
    errors_free(&errors);
    assert_non_null(b->server);
}

static void stop(struct bench *b)
{
    net_server_stop(b->server);
    assert_int_equal(b->n_open, 0);
    assert_int_equal(n_streams, 0);
    metrics_free(&b->metrics);
}

static uint64_t counter(struct bench *b, enum answer_counter c)
{
    return metrics_sum(&b->metrics, c);
}

static void wait_counter(struct bench *b, enum answer_counter c, uint64_t want)
{
    for (int i = 0; counter(b, c) != want; i++) {
        assert_true(i < WAIT_MS);
        (void)poll(NULL, 0, 1);
    }
}

static void wait_no_streams(void)
{
    for (int i = 0; __atomic_load_n(&n_streams, __ATOMIC_ACQUIRE) != 0; i++) {
        assert_true(i < WAIT_MS);
        (void)poll(NULL, 0, 1);
    }
}

static bool wait_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, WAIT_MS) == 1;
}

static int connect_to(const struct addr *to, int type)
{
    int fd = socket(to->sa.sa_family, type | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &to->sa, to->length), 0);
    return fd;
}

static void expect_udp(int fd, const char *message, const char *want)
{
    char buf[512];
    ssize_t n;

    assert_int_equal(send(fd, message, strlen(message), 0), strlen(message));
    assert_true(wait_readable(fd));
    n = recv(fd, buf, sizeof(buf), 0);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(buf, want, strlen(want));
}

static void send_frame(int fd, const char *message)
{
    uint8_t frame[512];
    size_t n = strlen(message);

    bytes_put_u16(frame, (uint16_t)n);
    memcpy(frame + 2, message, n);
    assert_int_equal(send(fd, frame, n + 2, MSG_NOSIGNAL), n + 2);
}

static size_t read_exactly(int fd, uint8_t *buf, size_t n)
{
    size_t got = 0;

    while (got < n && wait_readable(fd)) {
        ssize_t r = read(fd, buf + got, n - got);
        if (r <= 0)
            break;
        got += (size_t)r;
    }
    return got;
}

static void expect_frame(int fd, const char *want)
{
    uint8_t buf[514];

    assert_int_equal(read_exactly(fd, buf, 2), 2);
    assert_int_equal(bytes_get_u16(buf), strlen(want));
    assert_int_equal(read_exactly(fd, buf, strlen(want)), strlen(want));
    assert_memory_equal(buf, want, strlen(want));
}

static void expect_end(int fd)
{
    uint8_t byte;

    assert_true(wait_readable(fd));
    assert_true(read(fd, &byte, 1) <= 0);
    close(fd);
}

static const char *const one[] = {"127.0.0.1"};
static const char *const both[] = {"127.0.0.1", "::1"};
static const char *const wildcard[] = {"0.0.0.0"};

static void test_udp(void **state)
{
    struct bench b;

    (void)state;
    start(&b, both, 2);
    for (size_t i = 0; i < 2; i++) {
        struct addr at = net_server_address(b.server, i);

        /* More clients than workers, so that each worker gets some. */
        for (int k = 0; k < 16; k++) {
            int fd = connect_to(&at, SOCK_DGRAM);
            expect_udp(fd, "abc", "cba");
            close(fd);
        }
    }
    assert_true(counter(&b, ANSWER_COUNTER_UDP_BATCHES) >= 32);
    stop(&b);
}

/* RFC 2181 section 4.1: a connected client hears only the address that it asked. */
static void test_udp_wildcard_replies_from_destination(void **state)
{
    struct bench b;
    struct addr at;

    (void)state;
    start(&b, wildcard, 1);
    for (unsigned host = 1; host < 4; host++) {
        int fd;

        at = net_server_address(b.server, 0);
        at.in.sin_addr.s_addr = htonl(0x7f000000 + host);
        fd = connect_to(&at, SOCK_DGRAM);
        expect_udp(fd, "abc", "cba");
        close(fd);
    }
    stop(&b);
}

static void test_udp_drops(void **state)
{
    struct bench b;
    struct addr at;
    int fd;

    (void)state;
    start(&b, one, 1);
    at = net_server_address(b.server, 0);
    fd = connect_to(&at, SOCK_DGRAM);
    assert_int_equal(send(fd, "drop", 4, 0), 4);
    expect_udp(fd, "after", "retfa");
    close(fd);
    stop(&b);
}

static void test_tcp_many_at_once(void **state)
{
    struct bench b;
    struct addr at;
    uint8_t frames[100][4];
    int fd;

    (void)state;
    start(&b, both, 2);
    at = net_server_address(b.server, 1);
    fd = connect_to(&at, SOCK_STREAM);
    for (size_t i = 0; i < 100; i++)
        memcpy(frames[i], "\0\2xy", 4);
    assert_int_equal(send(fd, frames, sizeof(frames), 0), sizeof(frames));
    for (size_t i = 0; i < 100; i++)
        expect_frame(fd, "yx");
    send_frame(fd, "again");
    expect_frame(fd, "niaga");
    close(fd);
    wait_counter(&b, ANSWER_COUNTER_TCP_CLOSED_PEER, 1);
    stop(&b);
}

/* Byte by byte, the length's own two bytes apart. */
static void test_tcp_split(void **state)
{
    struct bench b;
    struct addr at;
    static const uint8_t bytes[] = "\0\4abcd\0\2xy";
    int fd, nodelay = 1;

    (void)state;
    start(&b, one, 1);
    at = net_server_address(b.server, 0);
    fd = connect_to(&at, SOCK_STREAM);
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &nodelay, sizeof(nodelay));
    for (size_t i = 0; i < sizeof(bytes) - 1; i++)
        assert_int_equal(send(fd, bytes + i, 1, 0), 1);
    expect_frame(fd, "dcba");
    expect_frame(fd, "yx");
    close(fd);
    stop(&b);
}

static void test_tcp_half_close(void **state)
{
    struct bench b;
    struct addr at;
    int fd;

    (void)state;
    start(&b, one, 1);
    at = net_server_address(b.server, 0);
    fd = connect_to(&at, SOCK_STREAM);
    send_frame(fd, "last");
    shutdown(fd, SHUT_WR);
    expect_frame(fd, "tsal");
    expect_end(fd);
    stop(&b);
}

/* What is no query ends the stream, after the answers to what came before it. */
static void test_tcp_no_query(void **state)
{
    struct bench b;
    struct addr at;
    int fd;

    (void)state;
    start(&b, one, 1);
    at = net_server_address(b.server, 0);
    fd = connect_to(&at, SOCK_STREAM);
    assert_int_equal(send(fd, "\0\2xy\0\4drop\0\2zz", 14, 0), 14);
    expect_frame(fd, "yx");
    expect_end(fd);
    wait_counter(&b, ANSWER_COUNTER_TCP_CLOSED_FRAME, 1);
    stop(&b);
}

/* The peer asks for much more than the sockets hold and reads only then. */
static void test_tcp_back_pressure(void **state)
{
    enum { N = 400 };
    struct bench b;
    struct addr at;
    uint8_t *buf = malloc(65536);
    int fd;

    (void)state;
    start(&b, one, 1);
    at = net_server_address(b.server, 0);
    fd = connect_to(&at, SOCK_STREAM);
    for (int i = 0; i < N; i++)
        send_frame(fd, "big 64");
    for (int i = 0; i < N; i++) {
        assert_int_equal(read_exactly(fd, buf, 2), 2);
        assert_int_equal(bytes_get_u16(buf), 64000);
        assert_int_equal(read_exactly(fd, buf, 64000), 64000);
        assert_int_equal(buf[63999], 'b');
    }
    send_frame(fd, "and on");
    expect_frame(fd, "no dna");
    close(fd);
    free(buf);
    stop(&b);
}

/* A message of a stream whose counter must be below *left, or another answer; false: the latter. */
static bool expect_streamed(int fd, uint32_t *left)
{
    uint8_t buf[1002];
    uint32_t n;

    assert_int_equal(read_exactly(fd, buf, 2), 2);
    n = bytes_get_u16(buf);
    assert_true(n <= 1000);
    assert_int_equal(read_exactly(fd, buf, n), n);
    if (n != 1000)
        return false;
    assert_int_equal(bytes_get_u32(buf), *left - 1);
    *left -= 1;
    return true;
}

/* A transfer is sent whole, and what is asked meanwhile is answered before it ends. */
static void test_tcp_transfer(void **state)
{
    struct bench b;
    struct addr at;
    uint32_t left = 30000;
    int fd;

    (void)state;
    start(&b, one, 1);
    at = net_server_address(b.server, 0);
    fd = connect_to(&at, SOCK_STREAM);
    send_frame(fd, "many 30");
    expect_frame(fd, "03 ynam");
    send_frame(fd, "abc");
    while (expect_streamed(fd, &left))
        continue;
    assert_true(left > 0);
    while (left > 0)
        assert_true(expect_streamed(fd, &left));
    send_frame(fd, "abc");
    expect_frame(fd, "cba");
    close(fd);
    stop(&b);
}

/* The peer closes its half, and all that it has asked for still comes, then the end. */
static void test_tcp_transfer_half_closed(void **state)
{
    struct bench b;
    struct addr at;
    uint32_t left = 2000;
    int fd;

    (void)state;
    start(&b, one, 1);
    at = net_server_address(b.server, 0);
    fd = connect_to(&at, SOCK_STREAM);
    send_frame(fd, "many 02");
    shutdown(fd, SHUT_WR);
    expect_frame(fd, "20 ynam");
    while (left > 0)
        assert_true(expect_streamed(fd, &left));
    expect_end(fd);
    wait_counter(&b, ANSWER_COUNTER_TCP_CLOSED_PEER, 1);
    stop(&b);
}

/* More at once than one connection may have: the others wait their turn, and all come. */
static void test_tcp_many_transfers(void **state)
{
    enum { N = 40 };
    struct bench b;
    struct addr at;
    uint8_t buf[1002];
    size_t n_messages = 0, n_first = 0;
    int fd;

    (void)state;
    start(&b, one, 1);
    at = net_server_address(b.server, 0);
    fd = connect_to(&at, SOCK_STREAM);
    for (int i = 0; i < N; i++)
        send_frame(fd, "many 01");
    while (n_messages < N * 1000 || n_first < N) {
        size_t n;

        assert_int_equal(read_exactly(fd, buf, 2), 2);
        n = bytes_get_u16(buf);
        assert_true(n == 1000 || n == 7);
        assert_int_equal(read_exactly(fd, buf, n), n);
        n_first += n == 7;
        n_messages += n == 1000;
    }
    assert_int_equal(n_messages, N * 1000);
    close(fd);
    stop(&b);
}

/* A peer that goes, or stops reading, in the middle: nothing is left behind. */
static void test_tcp_transfer_abandoned(void **state)
{
    struct linger reset = {.l_onoff = 1};
    struct errors errors = {0};
    struct bench b;
    struct addr at;
    int fd, slow;

    (void)state;
    start(&b, one, 1);
    b.settings.tcp_idle_ms = 300;
    assert_false(has_failed(net_server_update(b.server, &b.settings, &errors)));
    at = net_server_address(b.server, 0);
    fd = connect_to(&at, SOCK_STREAM);
    send_frame(fd, "many 90");
    expect_frame(fd, "09 ynam");
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    wait_counter(&b, ANSWER_COUNTER_TCP_CLOSED_PEER, 1);
    wait_no_streams();
    slow = connect_to(&at, SOCK_STREAM);
    send_frame(slow, "many 90");
    wait_counter(&b, ANSWER_COUNTER_TCP_CLOSED_SLOW, 1);
    wait_no_streams();
    close(slow);
    stop(&b);
}

/* When the server stops, what is being read still comes to its end; what nobody reads does not
 * keep the server. */
static void test_tcp_transfer_and_stop(void **state)
{
    struct bench b;
    struct addr at;
    int fd;

    (void)state;
    start(&b, one, 1);
    at = net_server_address(b.server, 0);
    fd = connect_to(&at, SOCK_STREAM);
    send_frame(fd, "many 90");
    expect_frame(fd, "09 ynam");
    stop(&b);
    close(fd);
}

/* RFC 7828: the idle time, and nothing where the next connection would push one out. */
static void test_tcp_keepalive(void **state)
{
    struct errors errors = {0};
    struct bench b;
    struct addr at;
    int fd;

    (void)state;
    start(&b, one, 1);
    at = net_server_address(b.server, 0);
    fd = connect_to(&at, SOCK_STREAM);
    send_frame(fd, "rest");
    expect_frame(fd, "60000");
    b.settings.tcp_max_connections = 1;
    assert_false(has_failed(net_server_update(b.server, &b.settings, &errors)));
    send_frame(fd, "rest");
    expect_frame(fd, "0");
    close(fd);
    stop(&b);
}

/* Connections spread over the threads; the limits are those of all together. */
static void test_tcp_threads(void **state)
{
    enum { N = 64 };
    struct errors errors = {0};
    struct bench b;
    struct addr at;
    int fds[N];

    (void)state;
    start(&b, one, 1);
    net_server_stop(b.server);
    b.settings.tcp_threads = 4;
    b.settings.tcp_max_connections = N * 8;
    b.server = net_server_start(&b.settings, &b.handler, &b.metrics, &errors);
    assert_non_null(b.server);
    at = net_server_address(b.server, 0);
    for (size_t i = 0; i < N; i++) {
        fds[i] = connect_to(&at, SOCK_STREAM);
        send_frame(fds[i], "ab");
        expect_frame(fds[i], "ba");
    }
    expect_end(connect_to(&at, SOCK_STREAM)); /* an eighth is one client's */
    assert_int_equal(net_server_connections(b.server, ANSWER_TCP), N);
    b.settings.tcp_max_connections = 8;
    assert_false(has_failed(net_server_update(b.server, &b.settings, &errors)));
    for (int i = 0; net_server_connections(b.server, ANSWER_TCP) > 8; i++) {
        assert_true(i < WAIT_MS);
        (void)poll(NULL, 0, 1);
    }
    for (size_t i = 0; i < N; i++)
        close(fds[i]);
    stop(&b);
}

/* RFC 7413: the query may come with the SYN, where the kernel lets clients. */
static void test_tcp_fast_open(void **state)
{
    struct bench b;
    struct addr at;

    (void)state;
    start(&b, one, 1);
    at = net_server_address(b.server, 0);
    for (int i = 0; i < 2; i++) { /* the first one gets the cookie */
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (sendto(fd, "\0\3abc", 5, MSG_FASTOPEN, &at.sa, at.length) < 0) {
            close(fd);
            stop(&b);
            skip();
        }
        expect_frame(fd, "cba");
        send_frame(fd, "more");
        expect_frame(fd, "erom");
        close(fd);
    }
    stop(&b);
}

static void test_tcp_idle_and_slow(void **state)
{
    struct bench b;
    struct addr at;
    struct errors errors = {0};
    int idle, partial, slow;

    (void)state;
    start(&b, one, 1);
    b.settings.tcp_idle_ms = 300;
    assert_false(has_failed(net_server_update(b.server, &b.settings, &errors)));
    at = net_server_address(b.server, 0);
    idle = connect_to(&at, SOCK_STREAM);
    partial = connect_to(&at, SOCK_STREAM);
    assert_int_equal(send(partial, "\0", 1, 0), 1);
    slow = connect_to(&at, SOCK_STREAM);
    for (int i = 0; i < 400; i++)
        send_frame(slow, "big 64");
    expect_end(idle);
    expect_end(partial);
    wait_counter(&b, ANSWER_COUNTER_TCP_CLOSED_IDLE, 2);
    wait_counter(&b, ANSWER_COUNTER_TCP_CLOSED_SLOW, 1);
    close(slow);
    stop(&b);
}

static void test_tcp_limits(void **state)
{
    struct bench b;
    struct addr at;
    int fds[12];

    (void)state;
    start(&b, one, 1);
    at = net_server_address(b.server, 0);
    /* An eighth of a hundred for one client: the thirteenth is too much. */
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        fds[i] = connect_to(&at, SOCK_STREAM);
        send_frame(fds[i], "ab");
        expect_frame(fds[i], "ba");
    }
    expect_end(connect_to(&at, SOCK_STREAM));
    assert_int_equal(counter(&b, ANSWER_COUNTER_TCP_CLOSED_CLIENT), 1);
    assert_int_equal(net_server_connections(b.server, ANSWER_TCP), COUNT_OF(fds));
    for (size_t i = 0; i < COUNT_OF(fds); i++)
        close(fds[i]);
    wait_counter(&b, ANSWER_COUNTER_TCP_CLOSED_PEER, COUNT_OF(fds));
    stop(&b);
}

/* At the limit the one that was idle longest goes. */
static void test_tcp_eviction(void **state)
{
    struct bench b;
    struct addr at;
    struct errors errors = {0};
    int first, second, third;

    (void)state;
    start(&b, one, 1);
    b.settings.tcp_max_connections = 2;
    assert_false(has_failed(net_server_update(b.server, &b.settings, &errors)));
    at = net_server_address(b.server, 0);
    first = connect_to(&at, SOCK_STREAM);
    send_frame(first, "ab");
    expect_frame(first, "ba");
    second = connect_to(&at, SOCK_STREAM);
    send_frame(second, "ab");
    expect_frame(second, "ba");
    send_frame(first, "ab");
    expect_frame(first, "ba");
    third = connect_to(&at, SOCK_STREAM);
    send_frame(third, "ab");
    expect_frame(third, "ba");
    expect_end(second);
    assert_int_equal(counter(&b, ANSWER_COUNTER_TCP_CLOSED_EVICTED), 1);
    close(first);
    close(third);
    stop(&b);
}

/* An address is added and another removed; the one that stays answers throughout. */
static void test_update(void **state)
{
    struct bench b;
    struct errors errors = {0};
    struct addr kept, added;
    int fd, tcp, other;

    (void)state;
    start(&b, both, 2);
    kept = net_server_address(b.server, 0);
    fd = connect_to(&kept, SOCK_DGRAM);
    tcp = connect_to(&kept, SOCK_STREAM);
    expect_udp(fd, "abc", "cba");
    b.listen[1] = loopback("127.0.0.2:1");
    b.listen[1].in.sin_port = 0;
    assert_false(has_failed(net_server_update(b.server, &b.settings, &errors)));
    added = net_server_address(b.server, 0);
    assert_true(addr_eq(&kept, &added));
    expect_udp(fd, "abc", "cba");
    send_frame(tcp, "abc");
    expect_frame(tcp, "cba");
    added = net_server_address(b.server, 1);
    other = connect_to(&added, SOCK_DGRAM);
    expect_udp(other, "new", "wen");
    close(other);
    b.settings.n_listen = 1; /* to one socket, and so to blocking calls */
    assert_false(has_failed(net_server_update(b.server, &b.settings, &errors)));
    expect_udp(fd, "abc", "cba");
    close(fd);
    close(tcp);
    stop(&b);
}

/* All addresses beside one of its own, in any order, from the start and by a reload. */
static void test_overlapping_addresses(void **state)
{
    static const char *const any[] = {"0.0.0.0"};
    struct errors errors = {0};
    struct addr everywhere, at;
    struct bench b;
    int fd, tcp;

    (void)state;
    start(&b, any, 1);
    everywhere = net_server_address(b.server, 0);
    at = loopback("127.0.0.1:1");
    at.in.sin_port = everywhere.in.sin_port;
    b.settings.n_listen = 2;
    for (int round = 0; round < 3; round++) {
        b.listen[round % 2] = everywhere;
        b.listen[1 - round % 2] = at;
        if (round == 0) {
            assert_false(has_failed(net_server_update(b.server, &b.settings, &errors)));
        } else {
            net_server_stop(b.server);
            b.server = net_server_start(&b.settings, &b.handler, &b.metrics, &errors);
        }
        errors_print(&errors, stderr);
        assert_non_null(b.server);
        fd = connect_to(&at, SOCK_DGRAM);
        tcp = connect_to(&at, SOCK_STREAM);
        expect_udp(fd, "abc", "cba");
        send_frame(tcp, "ab");
        expect_frame(tcp, "ba");
        close(fd);
        close(tcp);
    }
    stop(&b);
}

/* Nothing changes when one of the new addresses is somebody else's. */
static void test_update_failure(void **state)
{
    struct bench b, other;
    struct errors errors = {0};
    struct addr kept;
    int fd;

    (void)state;
    start(&b, one, 1);
    start(&other, one, 1);
    kept = net_server_address(b.server, 0);
    b.listen[1] = net_server_address(other.server, 0);
    b.settings.n_listen = 2;
    assert_true(has_failed(net_server_update(b.server, &b.settings, &errors)));
    assert_true(errors.n_errors > 0);
    errors_free(&errors);
    fd = connect_to(&kept, SOCK_DGRAM);
    expect_udp(fd, "abc", "cba");
    close(fd);
    stop(&other);
    stop(&b);
}

/* Packets that have been received when the server stops are answered. */
static void test_stop_answers_what_came(void **state)
{
    enum { N = 200 };
    struct bench b;
    struct addr at;
    char buf[16];
    int fd;

    (void)state;
    start(&b, one, 1);
    at = net_server_address(b.server, 0);
    fd = connect_to(&at, SOCK_DGRAM);
    for (int i = 0; i < N; i++)
        assert_int_equal(send(fd, "abc", 3, 0), 3);
    stop(&b);
    for (int i = 0; i < N; i++)
        assert_int_equal(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), 3);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_udp),
        cmocka_unit_test(test_udp_wildcard_replies_from_destination),
        cmocka_unit_test(test_udp_drops),
        cmocka_unit_test(test_tcp_many_at_once),
        cmocka_unit_test(test_tcp_split),
        cmocka_unit_test(test_tcp_half_close),
        cmocka_unit_test(test_tcp_no_query),
        cmocka_unit_test(test_tcp_back_pressure),
        cmocka_unit_test(test_tcp_transfer),
        cmocka_unit_test(test_tcp_transfer_half_closed),
        cmocka_unit_test(test_tcp_many_transfers),
        cmocka_unit_test(test_tcp_transfer_abandoned),
        cmocka_unit_test(test_tcp_transfer_and_stop),
        cmocka_unit_test(test_tcp_keepalive),
        cmocka_unit_test(test_tcp_threads),
        cmocka_unit_test(test_tcp_fast_open),
        cmocka_unit_test(test_tcp_idle_and_slow),
        cmocka_unit_test(test_tcp_limits),
        cmocka_unit_test(test_tcp_eviction),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_overlapping_addresses),
        cmocka_unit_test(test_update_failure),
        cmocka_unit_test(test_stop_answers_what_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
