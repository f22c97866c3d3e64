/* SPDX-License-Identifier: BSD-2-Clause */
/* The cache from the side of its door: look-ups, leads, fills and readers, on one loop and on
 * several threads. */
#include "edge-proxy/cache/cache.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW 1900000000

static struct fields no_fields;

/* One request's view, with what its waker was told. */
struct client {
    struct cache_result result;
    enum cache_wake woken_why;
    unsigned n_woken, fail_status;
};

static void on_wake(void *arg, enum cache_wake why, unsigned fail_status)
{
    struct client *c = arg;

    c->n_woken++;
    c->woken_why = why;
    c->fail_status = fail_status;
}

struct world {
    struct cache *cache;
    struct loop *loop;
    int64_t now_s;
};

static void look(struct world *w, struct client *c, const char *key, const struct fields *fields)
{
    struct cache_request r = {
        .key = str_of(key),
        .method = HTTP_METHOD_GET,
        .fields = fields,
        .is_joining_allowed = true,
        .now_s = w->now_s,
        .waker = {w->loop, on_wake, c},
    };

    *c = (struct client){0};
    cache_lookup(w->cache, &r, &c->result);
}

static void turn(struct world *w)
{
    event_base_loop(loop_base(w->loop), EVLOOP_NONBLOCK);
}

static void read_fields(const char *lines, struct fields *out)
{
    fields_clear(out);
    for (const char *p = lines; *p != '\0';) {
        const char *end = strchr(p, '\n'), *colon = strchr(p, ':');

        assert_true(fields_add(out, (struct str){p, (size_t)(colon - p)},
                               str_trim((struct str){colon + 1, (size_t)(end - colon - 1)})));
        p = end + 1;
    }
    fields_mark_hop_by_hop(out);
}

static struct cache_object *store(struct world *w, struct cache_lead *lead, const char *lines,
                                  uint64_t body_bytes, const struct fields *request)
{
    struct fields response;
    struct freshness_exchange x = {
        .method = HTTP_METHOD_GET,
        .request = request,
        .status = 200,
        .response = &response,
        .request_s = w->now_s,
        .response_s = w->now_s,
    };
    struct cache_response r = {.exchange = &x, .body_bytes = body_bytes};

    read_fields(lines, &response);
    return cache_lead_store(lead, &r);
}

static void no_resume(void *arg, enum cache_wake why, unsigned fail_status)
{
    fail_msg("the filler was not to be stopped");
}

static void append(struct world *w, struct cache_object *o, const char *bytes, size_t n)
{
    struct cache_waker resume = {w->loop, no_resume, NULL};

    assert_true(cache_fill_append(o, bytes, n, &resume));
}

/* Looks up, leads, stores and fills at once. */
static void put(struct world *w, const char *key, const char *lines, const char *body)
{
    struct client c;
    struct cache_object *o;

    look(w, &c, key, &no_fields);
    assert_non_null(c.result.lead);
    o = store(w, c.result.lead, lines, strlen(body), &no_fields);
    assert_non_null(o);
    append(w, o, body, strlen(body));
    cache_fill_end(o, true);
    cache_object_release(o);
    if (c.result.object != NULL)
        cache_object_release(c.result.object);
}

/* Reads all there is; the number of bytes, or -1 when it broke. */
static long read_all(struct cache_object *o, uint64_t first, uint64_t end, char *out)
{
    struct cache_reader r = {0};
    long n = 0;

    cache_reader_open(&r, o, first, end);
    for (;;) {
        struct iovec iov[4];
        int n_iov = COUNT_OF(iov);
        enum cache_read got = cache_reader_peek(&r, iov, &n_iov);

        if (got == CACHE_READ_BROKEN)
            n = -1;
        if (got != CACHE_READ_DATA)
            break;
        for (int i = 0; i < n_iov; i++) {
            memcpy(out + n, iov[i].iov_base, iov[i].iov_len);
            n += (long)iov[i].iov_len;
            cache_reader_advance(&r, iov[i].iov_len);
        }
    }
    cache_reader_close(&r);
    return n;
}

static void assert_hit(struct world *w, const char *key, const char *body)
{
    char buf[256];
    struct client c;

    look(w, &c, key, &no_fields);
    assert_int_equal(c.result.verdict, CACHE_HIT);
    assert_int_equal(read_all(c.result.object, 0, UINT64_MAX, buf), strlen(body));
    assert_memory_equal(buf, body, strlen(body));
    cache_object_release(c.result.object);
}

static int setup(void **state)
{
    struct world *w = base_zalloc(1, sizeof(*w));

    w->cache = cache_new(1 << 20, 256 << 10);
    w->loop = loop_new("test");
    w->now_s = NOW;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    turn(w);
    cache_free(w->cache); /* checks that every byte has been given back */
    loop_free(w->loop);
    free(w);
    return 0;
}

static void test_miss_store_hit(void **state)
{
    struct world *w = *state;
    struct cache_figures figures;
    struct cache_info info;
    struct client c;

    put(w, "https://a/x", "Cache-Control: max-age=60\nContent-Type: text/plain\nAge: 5\n", "hello");
    assert_hit(w, "https://a/x", "hello");
    w->now_s += 10;
    look(w, &c, "https://a/x", &no_fields);
    cache_object_info(c.result.object, w->now_s, &info);
    assert_int_equal(info.age_s, 15);
    assert_int_equal(info.ttl_s, 45);
    assert_int_equal(info.body_bytes, 5);
    assert_null(memmem(info.lines.p, info.lines.n, "Age:", 4));
    assert_non_null(memmem(info.lines.p, info.lines.n, "Date: ", 6));
    cache_object_release(c.result.object);
    look(w, &c, "https://a/y", &no_fields);
    assert_int_equal(c.result.verdict, CACHE_FETCH);
    cache_lead_fail(c.result.lead, 0);
    cache_read_figures(w->cache, &figures);
    assert_int_equal(figures.hits, 2);
    assert_int_equal(figures.objects, 1);
}

static void test_waiters_join_the_fill(void **state)
{
    struct world *w = *state;
    struct client leader, waiter, late;
    struct cache_object *o;
    char buf[16];

    look(w, &leader, "k", &no_fields);
    look(w, &waiter, "k", &no_fields);
    assert_int_equal(leader.result.verdict, CACHE_FETCH);
    assert_int_equal(waiter.result.verdict, CACHE_WAIT);
    o = store(w, leader.result.lead, "Cache-Control: max-age=60\n", UINT64_MAX, &no_fields);
    turn(w);
    assert_int_equal(waiter.n_woken, 1);
    assert_int_equal(waiter.woken_why, CACHE_WAKE_LOOK);
    look(w, &late, "k", &no_fields); /* as the waiter would */
    assert_int_equal(late.result.verdict, CACHE_HIT);
    append(w, o, "abc", 3);
    {
        struct cache_reader r = {0};
        struct iovec iov[2];
        int n_iov = 2;
        struct cache_waker waker = {w->loop, on_wake, &late};

        cache_reader_open(&r, late.result.object, 0, UINT64_MAX);
        assert_int_equal(cache_reader_peek(&r, iov, &n_iov), CACHE_READ_DATA);
        cache_reader_advance(&r, 3);
        n_iov = 2;
        assert_int_equal(cache_reader_peek(&r, iov, &n_iov), CACHE_READ_WAIT);
        assert_true(cache_reader_wait(&r, &waker));
        append(w, o, "def", 3);
        turn(w);
        assert_int_equal(late.n_woken, 1);
        n_iov = 2;
        assert_int_equal(cache_reader_peek(&r, iov, &n_iov), CACHE_READ_DATA);
        assert_memory_equal(iov[0].iov_base, "def", 3);
        cache_reader_close(&r);
    }
    cache_fill_end(o, true);
    assert_int_equal(read_all(o, 2, 4, buf), 2); /* a range */
    assert_memory_equal(buf, "cd", 2);
    cache_object_release(late.result.object);
    cache_object_release(o);
}

static void test_a_failed_fetch_fails_its_waiters(void **state)
{
    struct world *w = *state;
    struct client leader, waiter, gone;

    look(w, &leader, "k", &no_fields);
    look(w, &waiter, "k", &no_fields);
    look(w, &gone, "k", &no_fields);
    cache_waiter_cancel(gone.result.waiter);
    cache_lead_fail(leader.result.lead, 502);
    turn(w);
    assert_int_equal(waiter.n_woken, 1);
    assert_int_equal(waiter.woken_why, CACHE_WAKE_FAIL);
    assert_int_equal(waiter.fail_status, 502);
    assert_int_equal(gone.n_woken, 0);
}

static void test_a_wake_under_way_can_be_cancelled(void **state)
{
    struct world *w = *state;
    struct client leader, gone;

    look(w, &leader, "k", &no_fields);
    look(w, &gone, "k", &no_fields);
    cache_lead_fail(leader.result.lead, 0); /* posted */
    cache_waiter_cancel(gone.result.waiter);
    turn(w);
    assert_int_equal(gone.n_woken, 0);
}

static void test_uncacheable_keys_skip_the_queue(void **state)
{
    struct world *w = *state;
    struct client c;

    look(w, &c, "k", &no_fields);
    assert_null(store(w, c.result.lead, "Cache-Control: no-store\n", 3, &no_fields));
    look(w, &c, "k", &no_fields);
    assert_int_equal(c.result.verdict, CACHE_PASS);
    w->now_s += 600;
    look(w, &c, "k", &no_fields);
    assert_int_equal(c.result.verdict, CACHE_FETCH);
    cache_lead_pass(c.result.lead);
}

static void test_vary_selects(void **state)
{
    struct world *w = *state;
    struct fields en, de, gzip_a, gzip_b;
    struct cache_object *o;
    struct client c;

    read_fields("Accept-Language: en\n", &en);
    read_fields("Accept-Language: de\n", &de);
    look(w, &c, "k", &en);
    o = store(w, c.result.lead, "Vary: Accept-Language\nCache-Control: max-age=9\n", 2, &en);
    append(w, o, "en", 2);
    cache_fill_end(o, true);
    cache_object_release(o);
    look(w, &c, "k", &de);
    assert_int_equal(c.result.verdict, CACHE_FETCH);
    assert_string_equal(c.result.forward_reason, "vary-miss");
    cache_lead_fail(c.result.lead, 0);
    look(w, &c, "k", &en);
    assert_int_equal(c.result.verdict, CACHE_HIT);
    cache_object_release(c.result.object);

    /* Accept-Encoding is compared by what it means. */
    read_fields("Accept-Encoding: gzip, br\n", &gzip_a);
    read_fields("Accept-Encoding: br,gzip;q=0.5\n", &gzip_b);
    look(w, &c, "e", &gzip_a);
    o = store(w, c.result.lead, "Vary: Accept-Encoding\nCache-Control: max-age=9\n", 0, &gzip_a);
    cache_fill_end(o, true);
    cache_object_release(o);
    look(w, &c, "e", &gzip_b);
    assert_int_equal(c.result.verdict, CACHE_HIT);
    cache_object_release(c.result.object);
}

static void test_a_304_refreshes(void **state)
{
    struct world *w = *state;
    struct fields update;
    struct client c;
    struct cache_object *o;
    struct cache_info info;
    struct freshness_exchange x;

    put(w, "k", "ETag: \"1\"\nX-A: old\nX-B: kept\nCache-Control: max-age=1\n", "body");
    w->now_s += 5;
    look(w, &c, "k", &no_fields);
    assert_int_equal(c.result.verdict, CACHE_REVALIDATE);
    cache_object_info(c.result.object, w->now_s, &info);
    assert_memory_equal(info.validators.etag.p, "\"1\"", 3);
    read_fields("ETag: \"1\"\nX-A: new\nCache-Control: max-age=60\nContent-Length: 99\n", &update);
    x = (struct freshness_exchange){.method = HTTP_METHOD_GET,
                                    .request = &no_fields,
                                    .status = 304,
                                    .response = &update,
                                    .request_s = w->now_s,
                                    .response_s = w->now_s};
    o = cache_lead_refresh(c.result.lead, &x);
    cache_object_info(o, w->now_s, &info);
    assert_int_equal(info.status, 200);
    assert_non_null(memmem(info.lines.p, info.lines.n, "new", 3));
    assert_null(memmem(info.lines.p, info.lines.n, "old", 3));
    assert_non_null(memmem(info.lines.p, info.lines.n, "kept", 4));
    assert_int_equal(info.body_bytes, 4);
    cache_object_release(o);
    cache_object_release(c.result.object);
    assert_hit(w, "k", "body");
}

static void test_stale_while_revalidate_has_one_lead(void **state)
{
    struct world *w = *state;
    struct client first, second;

    put(w, "k", "Cache-Control: max-age=1, stale-while-revalidate=60\n", "x");
    w->now_s += 5;
    look(w, &first, "k", &no_fields);
    look(w, &second, "k", &no_fields);
    assert_int_equal(first.result.verdict, CACHE_STALE);
    assert_int_equal(second.result.verdict, CACHE_STALE);
    assert_non_null(first.result.lead);
    assert_null(second.result.lead);
    cache_lead_fail(first.result.lead, 502);
    cache_object_release(first.result.object);
    cache_object_release(second.result.object);
}

static void test_no_cache_responses_do_not_queue(void **state)
{
    struct world *w = *state;
    struct client first, second;

    put(w, "k", "Cache-Control: no-cache\nETag: \"1\"\n", "x");
    look(w, &first, "k", &no_fields);
    look(w, &second, "k", &no_fields);
    assert_int_equal(first.result.verdict, CACHE_REVALIDATE);
    assert_int_equal(second.result.verdict, CACHE_REVALIDATE);
    assert_non_null(first.result.lead);
    assert_non_null(second.result.lead);
    cache_lead_fail(first.result.lead, 0);
    cache_lead_fail(second.result.lead, 0);
    cache_object_release(first.result.object);
    cache_object_release(second.result.object);
}

static void test_a_5xx_leaves_what_is_stored(void **state)
{
    struct world *w = *state;
    struct client c;
    struct fields response;
    struct freshness_exchange x = {
        .method = HTTP_METHOD_GET, .request = &no_fields, .status = 503, .response = &response};
    struct cache_response r = {.exchange = &x, .body_bytes = 0};

    put(w, "k", "Cache-Control: max-age=1, stale-if-error=60\nETag: \"1\"\n", "x");
    w->now_s += 5;
    look(w, &c, "k", &no_fields);
    fields_clear(&response);
    assert_true(cache_object_is_usable_on_error(c.result.object, w->now_s));
    assert_null(cache_lead_store(c.result.lead, &r));
    cache_object_release(c.result.object);
    look(w, &c, "k", &no_fields);
    assert_int_equal(c.result.verdict, CACHE_REVALIDATE);
    cache_lead_fail(c.result.lead, 0);
    cache_object_release(c.result.object);
}

/* What one request alone brought about must not drive the others past the cache. */
static void test_one_clients_refusal_is_not_everybodys(void **state)
{
    static const struct {
        const char *name, *request, *response;
        unsigned status;
        enum cache_wake others;
    } rows[] = {
        {"credentials", "Authorization: Basic eDp5\n", "Cache-Control: max-age=60\n", 200,
         CACHE_WAKE_LOOK},
        {"a request that the origin refuses", "X: y\n", "", 400, CACHE_WAKE_PASS},
        {"a failing origin", "X: y\n", "", 503, CACHE_WAKE_PASS},
    };
    struct world *w = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct client odd, other;
        struct fields request, response;
        struct freshness_exchange x = {.method = HTTP_METHOD_GET,
                                       .request = &request,
                                       .status = rows[i].status,
                                       .response = &response};
        struct cache_response r = {.exchange = &x, .body_bytes = 0};

        print_message("%s\n", rows[i].name);
        put(w, "k", "Cache-Control: max-age=1\nETag: \"1\"\n", "x");
        w->now_s += 5;
        read_fields(rows[i].request, &request);
        read_fields(rows[i].response, &response);
        look(w, &odd, "k", &request);
        look(w, &other, "k", &no_fields);
        assert_int_equal(other.result.verdict, CACHE_WAIT);
        assert_null(cache_lead_store(odd.result.lead, &r));
        cache_object_release(odd.result.object);
        turn(w);
        assert_int_equal(other.n_woken, 1);
        assert_int_equal(other.woken_why, rows[i].others);
        look(w, &other, "k", &no_fields);
        assert_int_equal(other.result.verdict, CACHE_REVALIDATE);
        cache_lead_fail(other.result.lead, 0);
        cache_object_release(other.result.object);
        cache_invalidate(w->cache, STR("k"));
    }
}

/* Its refresh would outlive it in the index, and hand out what never came whole. */
static void test_a_growing_body_is_not_refreshed(void **state)
{
    struct world *w = *state;
    struct client filler, c;
    struct cache_object *o;

    look(w, &filler, "k", &no_fields);
    o = store(w, filler.result.lead, "Cache-Control: max-age=1, stale-while-revalidate=60\n",
              UINT64_MAX, &no_fields);
    append(w, o, "abc", 3);
    w->now_s += 5;
    look(w, &c, "k", &no_fields);
    assert_int_equal(c.result.verdict, CACHE_STALE);
    assert_null(c.result.lead);
    cache_object_release(c.result.object);
    cache_fill_end(o, false);
    cache_object_release(o);
    look(w, &c, "k", &no_fields);
    assert_int_equal(c.result.verdict, CACHE_FETCH);
    cache_lead_fail(c.result.lead, 0);
}

static void test_a_broken_body_is_not_kept(void **state)
{
    struct world *w = *state;
    struct client c;
    struct cache_object *o;
    char buf[16];

    look(w, &c, "k", &no_fields);
    o = store(w, c.result.lead, "Cache-Control: max-age=60\n", 10, &no_fields);
    append(w, o, "abc", 3);
    cache_fill_end(o, false);
    assert_int_equal(read_all(o, 0, UINT64_MAX, buf), -1);
    cache_object_release(o);
    look(w, &c, "k", &no_fields);
    assert_int_equal(c.result.verdict, CACHE_FETCH);
    cache_lead_fail(c.result.lead, 0);
}

/* A large body of known length lies in a file. What a socket holds of it is still right when the
 * object has gone and another has taken its place. */
static void test_a_large_body_is_sent_from_a_file(void **state)
{
    enum { BYTES = 256 << 10, SENT = 65536, SKIP = 1000 };
    static char body[BYTES + 1], other[BYTES + 1], got[SENT];
    struct world *w = *state;
    int pair[2], fd, n_iov = 1;
    struct cache_reader r = {0};
    struct client c;
    struct iovec iov;
    uint64_t at;
    off_t offset;
    ssize_t sent;

    for (size_t i = 0; i < BYTES; i++)
        body[i] = (char)('a' + i % 23);
    memset(other, 'z', BYTES);
    put(w, "large", "Cache-Control: max-age=60\n", body);
    look(w, &c, "large", &no_fields);
    cache_reader_open(&r, c.result.object, SKIP, UINT64_MAX);
    assert_int_equal(cache_reader_peek(&r, &iov, &n_iov), CACHE_READ_DATA);
    assert_int_equal(iov.iov_len, BYTES - SKIP);
    assert_true(cache_reader_file(&r, &fd, &at));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    offset = (off_t)at;
    sent = sendfile(pair[0], fd, &offset, SENT);
    assert_true(sent > 0);
    cache_reader_close(&r);
    cache_object_release(c.result.object);
    cache_invalidate(w->cache, STR("large"));
    put(w, "other", "Cache-Control: max-age=60\n", other);
    assert_int_equal(recv(pair[1], got, (size_t)sent, MSG_WAITALL), sent);
    assert_memory_equal(got, body + SKIP, (size_t)sent);
    close(pair[0]);
    close(pair[1]);
}

static void on_resume(void *arg, enum cache_wake why, unsigned fail_status)
{
    (*(unsigned *)arg)++;
}

/* A body of unknown length that outgrows max_object_bytes streams through a window: the filler is
 * stopped while the reader is behind, the memory stays bounded, and nothing is stored. */
static void test_a_body_too_large_streams(void **state)
{
    enum { PIECE = 16384, PIECES = 128 };
    static char piece[PIECE];
    struct world *w = *state;
    unsigned n_resumed = 0, n_sent = 0, n_stopped = 0;
    struct cache_waker resume = {w->loop, on_resume, &n_resumed};
    struct cache_reader r = {0};
    struct client c;
    struct cache_object *o;
    uint64_t n_read = 0;
    bool goes_on = true;

    look(w, &c, "k", &no_fields);
    o = store(w, c.result.lead, "Cache-Control: max-age=60\n", UINT64_MAX, &no_fields);
    cache_reader_open(&r, o, 0, UINT64_MAX);
    while (n_read < (uint64_t)PIECE * PIECES) {
        struct iovec iov[1];
        int n_iov = 1;

        while (goes_on && n_sent < PIECES) {
            memset(piece, (int)('a' + n_sent % 26), sizeof(piece));
            goes_on = cache_fill_append(o, piece, sizeof(piece), &resume);
            n_stopped += !goes_on;
            n_sent++;
        }
        assert_int_equal(cache_reader_peek(&r, iov, &n_iov), CACHE_READ_DATA);
        for (size_t i = 0; i < iov[0].iov_len; i++)
            assert_int_equal(((char *)iov[0].iov_base)[i], 'a' + (n_read + i) / PIECE % 26);
        n_read += iov[0].iov_len;
        cache_reader_advance(&r, iov[0].iov_len);
        turn(w);
        goes_on = goes_on || n_resumed == n_stopped;
    }
    assert_true(n_stopped > 1);
    cache_fill_end(o, true);
    cache_reader_close(&r);
    cache_object_release(o);
    look(w, &c, "k", &no_fields);
    assert_int_equal(c.result.verdict, CACHE_FETCH); /* it was not stored */
    cache_lead_fail(c.result.lead, 0);
}

/* A hit on a body that grows must find its first bytes, however late it starts to read: the window
 * that opens meanwhile (here the store is too small for the rest) waits for it. */
static void test_a_window_waits_for_a_hit(void **state)
{
    enum { PIECE = 16384, PIECES = 40 };
    static char piece[PIECE];
    struct world *w = *state;
    unsigned n_resumed = 0, n_sent = 0;
    struct cache_waker resume = {w->loop, on_resume, &n_resumed};
    struct cache_reader leader_reader = {0}, late_reader = {0};
    struct client leader, late = {0};
    struct cache_request r = {.key = STR("k"),
                              .method = HTTP_METHOD_GET,
                              .fields = &no_fields,
                              .is_joining_allowed = true,
                              .now_s = w->now_s,
                              .waker = {w->loop, on_wake, &late},
                              .reader = &late_reader};
    struct cache_object *o;
    struct iovec iov[1];
    int n_iov = 1;

    look(w, &leader, "k", &no_fields);
    o = store(w, leader.result.lead, "Cache-Control: max-age=60\n", UINT64_MAX, &no_fields);
    cache_reader_open(&leader_reader, o, 0, UINT64_MAX);
    cache_lookup(w->cache, &r, &late.result);
    assert_int_equal(late.result.verdict, CACHE_HIT);
    memset(piece, 'x', sizeof(piece));
    memset(piece, 'a', 1);
    for (bool goes_on = true; goes_on && n_sent < PIECES; n_sent++) {
        goes_on = cache_fill_append(o, piece, sizeof(piece), &resume);
        n_iov = 1;
        while (cache_reader_peek(&leader_reader, iov, &n_iov) == CACHE_READ_DATA)
            cache_reader_advance(&leader_reader, iov[0].iov_len);
    }
    assert_true(n_sent < PIECES); /* stopped, for the late one */
    cache_reader_open(&late_reader, late.result.object, 0, UINT64_MAX);
    n_iov = 1;
    assert_int_equal(cache_reader_peek(&late_reader, iov, &n_iov), CACHE_READ_DATA);
    assert_int_equal(*(char *)iov[0].iov_base, 'a');
    cache_reader_close(&late_reader);
    turn(w);
    assert_int_equal(n_resumed, 1);
    cache_object_release(late.result.object);
    cache_reader_close(&leader_reader);
    cache_fill_end(o, true);
    cache_object_release(o);
}

static void test_the_budget_holds(void **state)
{
    struct world *w = *state;
    struct cache_figures figures;
    char key[32], body[4096];
    unsigned n_hits = 0;

    memset(body, 'x', sizeof(body));
    body[sizeof(body) - 1] = '\0';
    for (unsigned i = 0; i < 2000; i++) {
        struct client c;

        snprintf(key, sizeof(key), "https://a/%u", i);
        put(w, key, "Cache-Control: max-age=60\n", body);
        /* One object is asked for all the time: it must survive the flood (S3-FIFO). */
        look(w, &c, "https://a/0", &no_fields);
        if (c.result.verdict == CACHE_HIT) {
            n_hits++;
            cache_object_release(c.result.object);
        } else {
            cache_lead_fail(c.result.lead, 0);
        }
        cache_read_figures(w->cache, &figures);
        assert_true(figures.bytes <= figures.bytes_limit);
    }
    assert_true(figures.evictions > 1000);
    assert_true(figures.objects > 150);
    if (n_hits < 1990)
        fail_msg("the object in demand was kept for %u of 2000 look-ups", n_hits);
}

static void test_what_does_not_fit_is_passed(void **state)
{
    struct world *w = *state;
    struct client c;

    look(w, &c, "k", &no_fields);
    assert_null(
        store(w, c.result.lead, "Cache-Control: max-age=60\n", (256 << 10) + 1, &no_fields));
    look(w, &c, "k", &no_fields);
    assert_int_equal(c.result.verdict, CACHE_PASS);
}

static void test_only_if_cached_and_invalidate(void **state)
{
    struct world *w = *state;
    struct fields only;
    struct client c;

    read_fields("Cache-Control: only-if-cached\n", &only);
    look(w, &c, "k", &only);
    assert_int_equal(c.result.verdict, CACHE_UNAVAILABLE);
    put(w, "k", "Cache-Control: max-age=60\n", "x");
    look(w, &c, "k", &only);
    assert_int_equal(c.result.verdict, CACHE_HIT);
    cache_object_release(c.result.object);
    cache_invalidate(w->cache, STR("k"));
    look(w, &c, "k", &only);
    assert_int_equal(c.result.verdict, CACHE_UNAVAILABLE);
}

/* ---- Several threads ---- */

enum { THREADS = 4, ROUNDS = 3000, KEYS = 40 };

struct worker {
    struct cache *cache;
    struct loop *loop;
    pthread_t thread;
    unsigned seed;
    uint64_t n_hits, n_waits;
};

static void drain_object(struct worker *me, struct cache_object *o, unsigned key)
{
    struct client c = {0};
    struct cache_waker waker = {me->loop, on_wake, &c};
    struct cache_reader r = {0};

    cache_reader_open(&r, o, 0, UINT64_MAX);
    for (;;) {
        struct iovec iov[4];
        int n_iov = COUNT_OF(iov);
        enum cache_read got = cache_reader_peek(&r, iov, &n_iov);

        if (got == CACHE_READ_DATA) {
            for (int i = 0; i < n_iov; i++) {
                assert_int_equal(*(char *)iov[i].iov_base, (char)key);
                cache_reader_advance(&r, iov[i].iov_len);
            }
        } else if (got != CACHE_READ_WAIT) {
            assert_int_equal(got, CACHE_READ_END);
            break;
        } else if (cache_reader_wait(&r, &waker)) {
            for (c.n_woken = 0; c.n_woken == 0;)
                event_base_loop(loop_base(me->loop), EVLOOP_ONCE);
        }
    }
    cache_reader_close(&r);
    cache_object_release(o);
}

static void fill(struct worker *me, struct cache_lead *lead, unsigned key)
{
    struct world w = {me->cache, me->loop, NOW};
    size_t size = 100 + (size_t)rand_r(&me->seed) % 30000;
    char *body = base_alloc(size);
    struct cache_object *o;

    if (rand_r(&me->seed) % 16 == 0) {
        cache_lead_fail(lead, 0);
        free(body);
        return;
    }
    memset(body, (int)key, size);
    o = store(&w, lead, "Cache-Control: max-age=60\n", rand_r(&me->seed) % 2 ? size : UINT64_MAX,
              &no_fields);
    if (o != NULL) {
        append(&w, o, body, size / 2);
        append(&w, o, body, size - size / 2);
        cache_fill_end(o, true);
        cache_object_release(o);
    }
    free(body);
}

static void *worker_main(void *arg)
{
    struct worker *me = arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned k = (unsigned)rand_r(&me->seed) % KEYS;
        struct world w = {me->cache, me->loop, NOW};
        char key[32];
        struct client c;

        snprintf(key, sizeof(key), "https://a/%u", k);
        if (i % 50 == 0)
            cache_invalidate(me->cache, str_of(key));
        look(&w, &c, key, &no_fields);
        if (c.result.verdict == CACHE_HIT) {
            me->n_hits++;
            drain_object(me, c.result.object, 'A' + k);
        } else if (c.result.verdict == CACHE_FETCH) {
            fill(me, c.result.lead, 'A' + k);
        } else if (c.result.verdict == CACHE_WAIT) {
            me->n_waits++;
            if (rand_r(&me->seed) % 4 == 0) {
                cache_waiter_cancel(c.result.waiter);
                continue;
            }
            while (c.n_woken == 0)
                event_base_loop(loop_base(me->loop), EVLOOP_ONCE);
        }
    }
    event_base_loop(loop_base(me->loop), EVLOOP_NONBLOCK);
    return NULL;
}

static void test_threads(void **state)
{
    struct world *w = *state;
    struct worker workers[THREADS];
    uint64_t n_hits = 0;

    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.cache = w->cache, .loop = loop_new("w"), .seed = i + 1};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        event_base_loop(loop_base(workers[i].loop), EVLOOP_NONBLOCK);
        loop_free(workers[i].loop);
        n_hits += workers[i].n_hits;
    }
    assert_true(n_hits > 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_miss_store_hit),
        TEST(test_waiters_join_the_fill),
        TEST(test_a_failed_fetch_fails_its_waiters),
        TEST(test_a_wake_under_way_can_be_cancelled),
        TEST(test_uncacheable_keys_skip_the_queue),
        TEST(test_vary_selects),
        TEST(test_a_304_refreshes),
        TEST(test_stale_while_revalidate_has_one_lead),
        TEST(test_no_cache_responses_do_not_queue),
        TEST(test_a_5xx_leaves_what_is_stored),
        TEST(test_one_clients_refusal_is_not_everybodys),
        TEST(test_a_growing_body_is_not_refreshed),
        TEST(test_a_broken_body_is_not_kept),
        TEST(test_a_large_body_is_sent_from_a_file),
        TEST(test_a_body_too_large_streams),
        TEST(test_a_window_waits_for_a_hit),
        TEST(test_the_budget_holds),
        TEST(test_what_does_not_fit_is_passed),
        TEST(test_only_if_cached_and_invalidate),
        TEST(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
