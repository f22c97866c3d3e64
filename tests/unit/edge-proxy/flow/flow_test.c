/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge-proxy/flow/flow.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- Bodies ---- */

static const struct {
    const char *name;
    enum http_body kind;
    uint64_t length;
    const char *bytes; /* after the head */
    bool is_eof;       /* the peer closes then */
    const char *want;
    enum body_verdict end;
    const char *rest; /* what belongs to the next message */
} bodies[] = {
    {"none", HTTP_BODY_NONE, 0, "GET /", false, "", BODY_END, "GET /"},
    {"length", HTTP_BODY_LENGTH, 5, "helloGET /", false, "hello", BODY_END, "GET /"},
    {"length zero", HTTP_BODY_LENGTH, 0, "GET /", false, "", BODY_END, "GET /"},
    {"length short", HTTP_BODY_LENGTH, 9, "hello", false, "hello", BODY_WAIT, ""},
    {"length broken off", HTTP_BODY_LENGTH, 9, "hello", true, "hello", BODY_FAILED, ""},
    {"chunks", HTTP_BODY_CHUNKED, 0, "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\nGET", false, "abcde",
     BODY_END, "GET"},
    {"chunks and trailer", HTTP_BODY_CHUNKED, 0, "1\r\na\r\n0\r\nX: y\r\n\r\n", false, "a",
     BODY_END, ""},
    {"chunks broken off", HTTP_BODY_CHUNKED, 0, "3\r\nabc\r\n", true, "abc", BODY_FAILED, ""},
    {"chunks malformed", HTTP_BODY_CHUNKED, 0, "3\r\nabcXX", false, "abc", BODY_FAILED, "XX"},
    {"until close", HTTP_BODY_UNTIL_CLOSE, 0, "all of it", true, "all of it", BODY_END, ""},
    {"until close, open", HTTP_BODY_UNTIL_CLOSE, 0, "some", false, "some", BODY_WAIT, ""},
};

static void feed(struct body *body, struct buffer *b, const char *bytes, size_t n)
{
    assert_true(body_room(body, b) >= n);
    memcpy(b->bytes + b->end, bytes, n);
    b->end += (uint32_t)n;
}

/* Reads case i, step bytes at a time, consuming take bytes of what is there. */
static void read_case(size_t i, size_t step, size_t take)
{
    struct buffer *b = calloc(1, sizeof(*b));
    struct body body;
    struct str data;
    char got[64] = "";
    size_t n = strlen(bodies[i].bytes), n_got = 0;
    enum body_verdict v = BODY_WAIT;

    b->start = b->end = 7; /* a head lies before it */
    body_start(&body, b, bodies[i].kind, bodies[i].length);
    for (size_t at = 0; at < n || v == BODY_DATA;) {
        size_t more = n - at < step ? n - at : step;

        feed(&body, b, bodies[i].bytes + at, more);
        at += more;
        if (at == n && bodies[i].is_eof)
            body_set_eof(&body);
        while ((v = body_peek(&body, b, &data)) == BODY_DATA) {
            size_t part = data.n < take ? data.n : take;

            memcpy(got + n_got, data.p, part);
            n_got += part;
            body_consume(&body, b, part);
        }
    }
    if (v != bodies[i].end || strcmp(got, bodies[i].want) != 0)
        fail_msg("%s (step %zu, take %zu): got '%s', verdict %d", bodies[i].name, step, take, got,
                 v);
    if (v == BODY_END) {
        assert_int_equal(buffer_data(b).n, strlen(bodies[i].rest));
        assert_memory_equal(buffer_data(b).p, bodies[i].rest, buffer_data(b).n);
    }
    free(b);
}

static void bodies_end_where_they_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bodies); i++)
        for (size_t step = 1; step < 40; step += step < 4 ? 1 : 13)
            for (size_t take = 1; take < 9; take += 3)
                read_case(i, step, take);
}

/* A body of many buffers' size passes through one, whatever the reader leaves behind. */
static void a_long_body_passes_through_one_buffer(void **state)
{
    enum { TOTAL = 1000000, CHUNK = 777 };
    struct buffer *b = calloc(1, sizeof(*b));
    struct body body;
    struct str data;
    uint32_t sent = 0, seen = 0;
    char chunk[CHUNK + 16];

    (void)state;
    b->start = b->end = 5000;
    body_start(&body, b, HTTP_BODY_CHUNKED, 0);
    while (seen < TOTAL) {
        while (sent < TOTAL && body_room(&body, b) >= sizeof(chunk)) {
            int n = snprintf(chunk, sizeof(chunk), "%x\r\n", CHUNK);

            for (int k = 0; k < CHUNK; k++)
                chunk[n++] = (char)((sent + (uint32_t)k) % 251);
            memcpy(chunk + n, "\r\n", 2);
            feed(&body, b, chunk, (size_t)n + 2);
            sent += CHUNK;
        }
        assert_int_equal(body_peek(&body, b, &data), BODY_DATA);
        if (data.n > 10000)
            data.n = 9999;
        for (size_t k = 0; k < data.n; k++, seen++)
            assert_int_equal((uint8_t)data.p[k], seen % 251);
        body_consume(&body, b, data.n);
    }
    free(b);
}

/* ---- Chunks outwards ---- */

static void chunks_survive_any_short_write(void **state)
{
    static const char want[] = "b\r\nhello world\r\n3\r\nabc\r\n";
    static const char *const pieces[] = {"hello world", "abc"};

    (void)state;
    for (size_t most = 1; most < sizeof(want); most++) {
        struct chunker c = {0};
        char out[64] = "";
        size_t n_out = 0;

        for (size_t p = 0; p < COUNT_OF(pieces); p++) {
            size_t done = 0, all = strlen(pieces[p]);

            while (done < all || chunker_needs_no_data(&c)) {
                struct iovec iov[2 + CHUNKER_SLICES] = {{0}};
                size_t sent = 0, half = (all - done) / 2;
                int n;

                iov[1] = (struct iovec){(void *)(pieces[p] + done), half};
                iov[2] = (struct iovec){(void *)(pieces[p] + done + half), all - done - half};
                n = chunker_wrap(&c, iov, 2);
                for (int k = 0; k < n && sent < most; k++) {
                    size_t part = iov[k].iov_len < most - sent ? iov[k].iov_len : most - sent;

                    if (part > 0)
                        memcpy(out + n_out + sent, iov[k].iov_base, part);
                    sent += part;
                }
                n_out += sent;
                done += chunker_sent(&c, sent);
            }
        }
        assert_string_equal(out, want);
    }
}

/* ---- Files ---- */

/* Whatever the socket takes at a time, head and file arrive once, in order. */
static void a_file_goes_behind_its_front(void **state)
{
    enum { BYTES = 300000 };
    static char bytes[BYTES], got[BYTES + 16];
    const char *front = "a head\r\n";
    int pair[2], fd = memfd_create("test", 0), small = 8192;
    size_t n_front = strlen(front), n_sent = 0, n_got = 0, n;
    struct wire w;

    (void)state;
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (char)(i % 251);
    assert_int_equal(write(fd, bytes, BYTES), BYTES);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    w = (struct wire){.fd = pair[0]};
    while (n_sent < n_front + BYTES) {
        size_t done = n_sent < n_front ? 0 : n_sent - n_front;
        struct str rest = {front + n_sent, n_sent < n_front ? n_front - n_sent : 0};
        struct wire_file file = {fd, done, BYTES - done};
        enum wire_verdict v = wire_send_file(&w, rest, &file, &n);
        ssize_t r;

        assert_true(v == WIRE_OK || v == WIRE_AGAIN_WRITE);
        n_sent += n;
        while ((r = read(pair[1], got + n_got, sizeof(got) - n_got)) > 0)
            n_got += (size_t)r;
    }
    assert_int_equal(n_got, n_front + BYTES);
    assert_memory_equal(got, front, n_front);
    assert_memory_equal(got + n_front, bytes, BYTES);
    close(pair[1]);
    signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    assert_int_equal(wire_send_file(&w, STR(""), &(struct wire_file){fd, 0, BYTES}, &n),
                     WIRE_ERROR);
    close(pair[0]);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_end_where_they_should),
        cmocka_unit_test(a_long_body_passes_through_one_buffer),
        cmocka_unit_test(chunks_survive_any_short_write),
        cmocka_unit_test(a_file_goes_behind_its_front),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
