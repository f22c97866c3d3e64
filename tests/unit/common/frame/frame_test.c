/* SPDX-License-Identifier: BSD-2-Clause */
/* Links against each other and against peers that misbehave. */
#include "common/bytes/bytes.h"
#include "common/clock/clock.h"
#include "common/frame/frame.h"
#include "tests/lib/certs.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct certs certs;
static struct event_base *base;

/* One end, and what it was told. */
struct end {
    struct frame_link *link;
    struct tls_identity peer;
    unsigned n_opened, n_frames, n_closed;
    uint64_t last_sequence;
    enum frame_close why;
    char detail[200];
    bool closes_at_frame, keeps_frame, finishes_at_frame;
    struct arena kept;
    const Gslb__Frame *kept_frame;
};

static void on_open(void *arg, struct frame_link *link, const struct tls_identity *peer)
{
    struct end *e = arg;

    e->n_opened++;
    e->peer = *peer;
}

static void send_ack(struct frame_link *link, uint64_t sequence)
{
    Gslb__Ack ack = GSLB__ACK__INIT;
    Gslb__Frame frame = GSLB__FRAME__INIT;

    ack.sequence = sequence;
    frame.body_case = GSLB__FRAME__BODY_ACK;
    frame.ack = &ack;
    frame_link_send(link, &frame);
}

static void on_frame(void *arg, struct frame_link *link, const Gslb__Frame *frame)
{
    struct end *e = arg;

    e->n_frames++;
    if (frame->body_case == GSLB__FRAME__BODY_ACK)
        e->last_sequence = frame->ack->sequence;
    if (e->keeps_frame) {
        frame_link_keep(link, &e->kept);
        e->kept_frame = frame;
    }
    if (e->finishes_at_frame) {
        send_ack(link, 4711);
        frame_link_finish(link, FRAME_CLOSE_STOPPED);
    }
    if (e->closes_at_frame)
        frame_link_close(link, FRAME_CLOSE_UNEXPECTED, NULL);
}

static void on_close(void *arg, struct frame_link *link, enum frame_close why, const char *detail)
{
    struct end *e = arg;

    e->n_closed++;
    e->why = why;
    snprintf(e->detail, sizeof(e->detail), "%s", detail);
    e->link = NULL;
}

static const struct frame_hooks hooks = {on_open, on_frame, on_close};

static struct frame_link *make_link(struct end *e, int fd, enum tls_side side, SSL_CTX *tls)
{
    struct frame_options o = {.base = base,
                              .tls = tls,
                              .side = side,
                              .handshake_ms = 2000,
                              .idle_ms = 0,
                              .hooks = &hooks,
                              .arg = e};

    return e->link = frame_link_new(&o, fd);
}

static void make_pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

/* Runs the loop until the counter gets there; a condition that never comes fails the test. */
static void run_until(const unsigned *counter, unsigned value)
{
    int64_t limit = clock_mono_ms() + 10000;

    while (*counter < value) {
        if (clock_mono_ms() > limit)
            fail_msg("nothing happened: %u of %u", *counter, value);
        event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    }
}

static void drop(struct end *e)
{
    if (e->link != NULL)
        frame_link_close(e->link, FRAME_CLOSE_STOPPED, NULL);
    assert_int_equal(e->n_closed, 1);
}

static void test_frames_both_ways(void **state)
{
    struct end a = {0}, b = {0};
    int fds[2];

    make_pair(fds);
    make_link(&a, fds[0], TLS_CLIENT, NULL);
    make_link(&b, fds[1], TLS_SERVER, NULL);
    run_until(&a.n_opened, 1);
    run_until(&b.n_opened, 1);
    assert_int_equal(b.peer.role, TLS_ROLE_OPERATOR);
    assert_string_equal(frame_link_remote(b.link), "unix");
    for (unsigned i = 1; i <= 1000; i++)
        send_ack(a.link, i);
    send_ack(b.link, 7);
    run_until(&b.n_frames, 1000);
    run_until(&a.n_frames, 1);
    assert_int_equal(b.last_sequence, 1000);
    assert_int_equal(a.last_sequence, 7);
    drop(&a);
    run_until(&b.n_closed, 1);
    assert_int_equal(b.why, FRAME_CLOSE_PEER);
}

static void test_large_frame_and_keep(void **state)
{
    struct end a = {0}, b = {.keeps_frame = true};
    Gslb__Frame frame = GSLB__FRAME__INIT;
    Gslb__Reply reply = GSLB__REPLY__INIT;
    char *words = base_alloc(900001);
    int fds[2];

    make_pair(fds);
    make_link(&a, fds[0], TLS_CLIENT, NULL);
    make_link(&b, fds[1], TLS_SERVER, NULL);
    run_until(&a.n_opened, 1);
    run_until(&b.n_opened, 1);
    memset(words, 'x', 900000);
    words[900000] = '\0';
    reply.error = words;
    frame.body_case = GSLB__FRAME__BODY_REPLY;
    frame.reply = &reply;
    frame_link_send(a.link, &frame);
    run_until(&b.n_frames, 1);
    drop(&a);
    run_until(&b.n_closed, 1);
    assert_string_equal(b.kept_frame->reply->error, words);
    arena_free(&b.kept);
    free(words);
}

static void test_closing_in_a_callback(void **state)
{
    struct end a = {0}, b = {.closes_at_frame = true};
    int fds[2];

    make_pair(fds);
    make_link(&a, fds[0], TLS_CLIENT, NULL);
    make_link(&b, fds[1], TLS_SERVER, NULL);
    run_until(&a.n_opened, 1);
    for (unsigned i = 0; i < 5; i++)
        send_ack(a.link, i);
    run_until(&b.n_closed, 1);
    assert_int_equal(b.n_frames, 1);
    assert_int_equal(b.why, FRAME_CLOSE_UNEXPECTED);
    run_until(&a.n_closed, 1);
}

static void test_last_words_arrive(void **state)
{
    struct end a = {0}, b = {.finishes_at_frame = true};
    int fds[2];

    make_pair(fds);
    make_link(&a, fds[0], TLS_CLIENT, NULL);
    make_link(&b, fds[1], TLS_SERVER, NULL);
    run_until(&a.n_opened, 1);
    send_ack(a.link, 1);
    run_until(&a.n_closed, 1);
    assert_int_equal(a.last_sequence, 4711);
    assert_int_equal(b.n_closed, 1);
    assert_int_equal(b.why, FRAME_CLOSE_STOPPED);
}

/* ---- Peers that misbehave, by the bytes they send before they fall silent or close. */

static size_t make_oversized(uint8_t *p)
{
    bytes_put_u32(p, FRAME_MAX_BYTES + 1);
    return 4;
}

static size_t make_garbage(uint8_t *p)
{
    bytes_put_u32(p, 6);
    memcpy(p + 4, "\xff\xff\xff\xff\xff\xff", 6);
    return 10;
}

static size_t make_http(uint8_t *p)
{
    memcpy(p, "GET / HTTP/1.0\r\n\r\n", 18);
    return 18;
}

static size_t make_half(uint8_t *p)
{
    bytes_put_u32(p, 100);
    memset(p + 4, 0, 20);
    return 24;
}

/* A Report of 200,000 empty origins: 400 KB on the wire, 16 MB and more if it were unpacked. */
static size_t make_balloon(uint8_t *p)
{
    enum { N = 200000, BODY = 2 * N };
    uint8_t *w = p + 4;

    *w++ = 3 << 3 | 2; /* Frame.report */
    for (unsigned n = BODY; n > 0; n >>= 7)
        *w++ = (uint8_t)((n & 0x7f) | (n >> 7 ? 0x80 : 0));
    for (size_t i = 0; i < N; i++) {
        *w++ = 8 << 3 | 2; /* Report.origins */
        *w++ = 0;
    }
    bytes_put_u32(p, (uint32_t)(w - p - 4));
    return (size_t)(w - p);
}

static size_t make_nothing(uint8_t *p)
{
    return 0;
}

static const struct {
    const char *name;
    size_t (*make)(uint8_t *p);
    bool closes; /* the peer, after its bytes */
    enum frame_close want;
} misdeeds[] = {
    {"oversized", make_oversized, false, FRAME_CLOSE_OVERSIZED},
    {"garbage", make_garbage, false, FRAME_CLOSE_MALFORMED},
    {"HTTP", make_http, false, FRAME_CLOSE_OVERSIZED},
    {"balloon", make_balloon, false, FRAME_CLOSE_MALFORMED},
    {"stalled in a frame", make_half, false, FRAME_CLOSE_IDLE},
    {"silent", make_nothing, false, FRAME_CLOSE_IDLE},
    {"cut in a frame", make_half, true, FRAME_CLOSE_CUT},
    {"closed", make_nothing, true, FRAME_CLOSE_PEER},
};

static void write_whole(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

        if (k > 0) {
            p += k;
            n -= (size_t)k;
        } else if (errno != EAGAIN) {
            return;
        }
        event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    }
}

static void test_misdeeds(void **state)
{
    uint8_t *bytes = base_alloc(FRAME_MAX_BYTES);

    for (size_t i = 0; i < COUNT_OF(misdeeds); i++) {
        uint64_t before = frame_closed_count(misdeeds[i].want);
        struct end e = {0};
        int fds[2];

        make_pair(fds);
        make_link(&e, fds[0], TLS_SERVER, NULL);
        run_until(&e.n_opened, 1);
        frame_link_set_idle(e.link, 100);
        write_whole(fds[1], bytes, misdeeds[i].make(bytes));
        if (misdeeds[i].closes)
            shutdown(fds[1], SHUT_WR);
        run_until(&e.n_closed, 1);
        close(fds[1]);
        if (e.why != misdeeds[i].want || e.n_frames != 0 ||
            frame_closed_count(misdeeds[i].want) != before + 1)
            fail_msg("%s: closed by %s", misdeeds[i].name, frame_close_words(e.why));
    }
    free(bytes);
}

static void test_peer_that_does_not_read(void **state)
{
    struct end e = {0};
    int fds[2];

    make_pair(fds);
    make_link(&e, fds[0], TLS_SERVER, NULL);
    run_until(&e.n_opened, 1);
    for (size_t i = 0; e.n_closed == 0 && i < 100000000; i++)
        send_ack(e.link, i + 1);
    assert_int_equal(e.why, FRAME_CLOSE_NOT_READING);
    close(fds[1]);
}

/* Slowly, below the bound of the queue: the deadline catches it. */
static void test_peer_that_stops_reading(void **state)
{
    struct end e = {0};
    int fds[2], small = 4096;

    make_pair(fds);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    make_link(&e, fds[0], TLS_SERVER, NULL);
    run_until(&e.n_opened, 1);
    frame_link_set_idle(e.link, 100);
    for (size_t i = 0; i < 50000; i++)
        send_ack(e.link, i + 1);
    run_until(&e.n_closed, 1);
    assert_true(e.why == FRAME_CLOSE_NOT_READING || e.why == FRAME_CLOSE_IDLE);
    close(fds[1]);
}

/* ---- TLS. Each row: a server, a client, and how it ends on either side. */

static SSL_CTX *channel(enum tls_side side, const char *name, const char *ca)
{
    char crt[64], key[64];
    struct errors errors = {0};
    struct tls_identity own;
    struct tls_files files;
    SSL_CTX *ctx;

    snprintf(crt, sizeof(crt), "%s.crt", name);
    snprintf(key, sizeof(key), "%s.key", name);
    files = (struct tls_files){
        certs_path(&certs, crt), certs_path(&certs, key), certs_path(&certs, ca), {0}};
    ctx = tls_channel_new(side, &files, &own, &errors);
    if (ctx == NULL)
        fail_msg("%s", errors_to_string(&errors));
    return ctx;
}

/* A client that our own loader would refuse to set up. */
static SSL_CTX *odd_client(const char *name, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    char crt[64], key[64];

    SSL_CTX_set_max_proto_version(ctx, version);
    SSL_CTX_set_min_proto_version(ctx, version);
    if (name == NULL)
        return ctx;
    snprintf(crt, sizeof(crt), "%s.crt", name);
    snprintf(key, sizeof(key), "%s.key", name);
    assert_int_equal(SSL_CTX_use_certificate_chain_file(ctx, certs_path(&certs, crt)), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, certs_path(&certs, key), SSL_FILETYPE_PEM),
                     1);
    return ctx;
}

static void test_tls_both_ways(void **state)
{
    SSL_CTX *server = channel(TLS_SERVER, "dns", "ca.crt");
    SSL_CTX *client = channel(TLS_CLIENT, "edge", "ca.crt");
    struct end a = {0}, b = {0};
    int fds[2];

    make_pair(fds);
    make_link(&a, fds[0], TLS_CLIENT, client);
    make_link(&b, fds[1], TLS_SERVER, server);
    run_until(&a.n_opened, 1);
    run_until(&b.n_opened, 1);
    assert_int_equal(a.peer.role, TLS_ROLE_DNS);
    assert_string_equal(a.peer.name, "ns1");
    assert_int_equal(b.peer.role, TLS_ROLE_EDGE);
    assert_string_equal(b.peer.name, "e1");
    for (unsigned i = 1; i <= 5000; i++)
        send_ack(a.link, i);
    run_until(&b.n_frames, 5000);
    assert_int_equal(b.last_sequence, 5000);
    drop(&b);
    run_until(&a.n_closed, 1);
    assert_int_equal(a.why, FRAME_CLOSE_PEER);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
}

static const struct {
    const char *name, *client; /* its certificate; NULL: none */
    int version;
    enum frame_close want;
    const char *detail;
} strangers[] = {
    {"another CA", "foreign", TLS1_3_VERSION, FRAME_CLOSE_HANDSHAKE, "certificate"},
    {"expired", "expired", TLS1_3_VERSION, FRAME_CLOSE_HANDSHAKE, "expired"},
    {"no certificate", NULL, TLS1_3_VERSION, FRAME_CLOSE_HANDSHAKE, "certificate"},
    {"names nobody", "nobody", TLS1_3_VERSION, FRAME_CLOSE_NO_IDENTITY, "subjectAltName"},
    {"TLS 1.2", "edge", TLS1_2_VERSION, FRAME_CLOSE_HANDSHAKE, "protocol"},
};

static void test_tls_strangers(void **state)
{
    SSL_CTX *server = channel(TLS_SERVER, "dns", "ca.crt");

    for (size_t i = 0; i < COUNT_OF(strangers); i++) {
        SSL_CTX *client = odd_client(strangers[i].client, strangers[i].version);
        struct end a = {0}, b = {0};
        int fds[2];

        make_pair(fds);
        make_link(&a, fds[0], TLS_CLIENT, client);
        make_link(&b, fds[1], TLS_SERVER, server);
        run_until(&b.n_closed, 1);
        run_until(&a.n_closed, 1);
        if (b.why != strangers[i].want || b.n_opened != 0 ||
            strstr(b.detail, strangers[i].detail) == NULL)
            fail_msg("%s: %s: %s", strangers[i].name, frame_close_words(b.why), b.detail);
        SSL_CTX_free(client);
    }
    SSL_CTX_free(server);
}

static void test_tls_server_of_another_ca(void **state)
{
    SSL_CTX *server = channel(TLS_SERVER, "foreign", "other-ca.crt");
    SSL_CTX *client = channel(TLS_CLIENT, "edge", "ca.crt");
    struct end a = {0}, b = {0};
    int fds[2];

    make_pair(fds);
    make_link(&a, fds[0], TLS_CLIENT, client);
    make_link(&b, fds[1], TLS_SERVER, server);
    run_until(&a.n_closed, 1);
    run_until(&b.n_closed, 1);
    assert_int_equal(a.n_opened, 0);
    assert_int_equal(a.why, FRAME_CLOSE_HANDSHAKE);
    assert_non_null(strstr(a.detail, "certificate"));
    SSL_CTX_free(server);
    SSL_CTX_free(client);
}

static void test_plain_text_at_a_tls_listener(void **state)
{
    SSL_CTX *server = channel(TLS_SERVER, "dns", "ca.crt");
    struct end e = {0};
    int fds[2];

    make_pair(fds);
    make_link(&e, fds[0], TLS_SERVER, server);
    write_whole(fds[1], (const uint8_t *)"GET / HTTP/1.0\r\n\r\n", 18);
    run_until(&e.n_closed, 1);
    assert_int_equal(e.why, FRAME_CLOSE_HANDSHAKE);
    close(fds[1]);
    SSL_CTX_free(server);
}

static void test_stalled_handshake(void **state)
{
    SSL_CTX *server = channel(TLS_SERVER, "dns", "ca.crt");
    struct frame_options o = {
        .base = base, .tls = server, .side = TLS_SERVER, .handshake_ms = 50, .hooks = &hooks};
    struct end e = {0};
    int fds[2];

    make_pair(fds);
    o.arg = &e;
    e.link = frame_link_new(&o, fds[0]);
    write_whole(fds[1], (const uint8_t *)"\x16\x03\x01\x02", 4);
    run_until(&e.n_closed, 1);
    assert_int_equal(e.why, FRAME_CLOSE_DEADLINE);
    close(fds[1]);
    SSL_CTX_free(server);
}

static void test_metrics(void **state)
{
    struct text t = {0};

    frame_write_metrics(&t);
    assert_non_null(strstr(t.p, "# TYPE gslb_channel_closes_total counter\n"));
    assert_non_null(strstr(t.p, "gslb_channel_closes_total{reason=\"oversized\"} 2\n"));
    text_free(&t);
}

static int start(void **state)
{
    signal(SIGPIPE, SIG_IGN); /* as daemon_open_signals does */
    base = event_base_new();
    certs_start(&certs);
    certs_issue(&certs, (struct certs_spec){.name = "edge", .san = "URI:gslb://edge/e1"});
    certs_issue(&certs, (struct certs_spec){.name = "dns", .san = "URI:gslb://dns/ns1"});
    certs_issue(&certs,
                (struct certs_spec){.name = "foreign", .san = "URI:gslb://edge/e1", .ca = 1});
    certs_issue(&certs, (struct certs_spec){.name = "expired",
                                            .san = "URI:gslb://edge/e1",
                                            .from_s = -9 * 86400,
                                            .to_s = -86400});
    certs_issue(&certs, (struct certs_spec){.name = "nobody"});
    return 0;
}

static int end(void **state)
{
    certs_end(&certs);
    event_base_free(base);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_both_ways),
        cmocka_unit_test(test_large_frame_and_keep),
        cmocka_unit_test(test_closing_in_a_callback),
        cmocka_unit_test(test_last_words_arrive),
        cmocka_unit_test(test_misdeeds),
        cmocka_unit_test(test_peer_that_does_not_read),
        cmocka_unit_test(test_peer_that_stops_reading),
        cmocka_unit_test(test_tls_both_ways),
        cmocka_unit_test(test_tls_strangers),
        cmocka_unit_test(test_tls_server_of_another_ca),
        cmocka_unit_test(test_plain_text_at_a_tls_listener),
        cmocka_unit_test(test_stalled_handshake),
        cmocka_unit_test(test_metrics),
    };

    return cmocka_run_group_tests(tests, start, end);
}
