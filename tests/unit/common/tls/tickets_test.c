/* SPDX-License-Identifier: BSD-2-Clause */
/* Session tickets: whose keys make and take them, over whole handshakes in memory. */
#include "common/clock/clock.h"
#include "common/tls/tls.h"
#include "tests/lib/certs.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { HOUR_MS = 3600 * 1000 };

static struct certs certs;
static struct tls_server *server;
static SSL_SESSION *newest;

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *offered, unsigned n, void *arg)
{
    return SSL_TLSEXT_ERR_NOACK;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION_free(newest);
    newest = session;
    return 1;
}

/* Visits with the session (NULL: none), keeps the newest that it gets. Was it resumed? */
static bool visit(SSL_SESSION *session, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *client = SSL_new(ctx), *accepted = tls_server_ssl(server);
    SSL_SESSION *copy = session != NULL ? SSL_SESSION_dup(session) : NULL; /* OpenSSL spoils it */
    BIO *a, *b;
    char byte;
    bool is_reused;

    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    SSL_set_connect_state(client);
    ensure(SSL_set_min_proto_version(client, version) == 1 &&
           SSL_set_max_proto_version(client, version) == 1);
    if (session != NULL)
        ensure(SSL_set_session(client, copy) == 1);
    ensure(BIO_new_bio_pair(&a, 0, &b, 0) == 1);
    SSL_set_bio(client, a, a);
    SSL_set_bio(accepted, b, b);
    for (int i = 0; i < 10; i++) {
        (void)SSL_do_handshake(client);
        (void)SSL_do_handshake(accepted);
    }
    ensure(SSL_is_init_finished(client) && SSL_is_init_finished(accepted));
    ensure(SSL_read(client, &byte, 1) <= 0); /* a ticket of TLS 1.3 comes behind */
    is_reused = SSL_session_reused(client);
    SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(client);
    SSL_free(accepted);
    SSL_CTX_free(ctx);
    SSL_SESSION_free(copy);
    return is_reused;
}

static SSL_SESSION *fresh_session(int version)
{
    SSL_SESSION *session;

    assert_false(visit(NULL, version));
    assert_non_null(newest);
    session = newest;
    newest = NULL;
    assert_true(SSL_SESSION_is_resumable(session));
    return session;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static const struct tls_ticket_state *find_maker(struct tls_ticket_state *states, size_t n)
{
    const struct tls_ticket_state *found = NULL;

    for (size_t i = 0; i < n; i++)
        if (states[i].is_making) {
            assert_null(found);
            found = &states[i];
        }
    assert_non_null(found);
    return found;
}

static struct tls_ticket_key key_of(uint8_t mark, int64_t begins_in_ms, int64_t period_ms)
{
    struct tls_ticket_key key = {.begins_ms = clock_mono_ms() + begins_in_ms,
                                 .period_ms = period_ms};

    memset(key.name, mark, sizeof(key.name));
    memset(key.cipher, mark, sizeof(key.cipher));
    memset(key.mac, mark, sizeof(key.mac));
    return key;
}

static void test_own_keys_rotate(void **state)
{
    for (size_t v = 0; v < COUNT_OF(versions); v++) {
        SSL_SESSION *session = fresh_session(versions[v]);
        static int64_t now_s = 1000;

        assert_true(visit(session, versions[v]));
        /* RFC 8446 appendix C.4: each is used once. */
        assert_int_equal(newest != NULL, versions[v] == TLS1_3_VERSION);
        SSL_SESSION_free(newest);
        newest = NULL;
        tls_tickets_rotate(now_s, 10);
        tls_tickets_rotate(now_s += 9, 10);
        tls_tickets_rotate(now_s += 1, 10);
        assert_null(newest);
        assert_true(visit(session, versions[v])); /* by the previous key */
        tls_tickets_rotate(now_s += 10, 10);
        assert_false(visit(session, versions[v])); /* two periods old */
        SSL_SESSION_free(session);
    }
}

static void test_keys_of_the_site_go_before(void **state)
{
    struct tls_ticket_state states[TLS_TICKET_STATES_MAX];
    struct tls_ticket_key keys[] = {key_of(0xb0, -HOUR_MS - 5, HOUR_MS), key_of(0xb1, -5, HOUR_MS),
                                    key_of(0xb2, HOUR_MS - 5, HOUR_MS)};
    const struct tls_ticket_state *maker;
    SSL_SESSION *own = fresh_session(TLS1_3_VERSION), *shared;
    size_t n;

    assert_true(tls_tickets_share(keys, COUNT_OF(keys)));
    assert_false(tls_tickets_share(keys, COUNT_OF(keys))); /* nothing new */
    n = tls_tickets_list(states);
    assert_int_equal(n, 4);
    maker = find_maker(states, n);
    assert_string_equal(maker->id, "b1b1b1b1");
    assert_true(maker->is_shared);
    assert_in_range(maker->ends_in_ms, 2 * HOUR_MS - 1000, 2 * HOUR_MS);
    assert_true(visit(own, TLS1_3_VERSION)); /* a ticket from before is still good */
    shared = fresh_session(TLS1_3_VERSION);
    assert_true(visit(shared, TLS1_3_VERSION));
    /* Another node's secret, the same epoch: the smaller name makes tickets, on every edge. */
    keys[0] = key_of(0xa1, -9, HOUR_MS);
    assert_true(tls_tickets_share(keys, 1));
    assert_string_equal(find_maker(states, tls_tickets_list(states))->id, "a1a1a1a1");
    assert_true(visit(shared, TLS1_3_VERSION));
    /* A newer one that is only taken. */
    keys[0] = key_of(0x01, -1, HOUR_MS);
    keys[0].is_taken_only = true;
    assert_true(tls_tickets_share(keys, 1));
    assert_string_equal(find_maker(states, tls_tickets_list(states))->id, "a1a1a1a1");
    /* Somebody else makes tickets by it. */
    keys[0].is_taken_only = false;
    assert_false(tls_tickets_share(keys, 1));
    keys[0].is_taken_only = true;
    assert_false(tls_tickets_share(keys, 1));
    assert_string_equal(find_maker(states, tls_tickets_list(states))->id, "01010101");
    SSL_SESSION_free(own);
    SSL_SESSION_free(shared);
}

/* The store keeps what the case before has left: one of those makes tickets. */
static void test_what_is_over_goes_and_room_is_bounded(void **state)
{
    struct tls_ticket_state states[TLS_TICKET_STATES_MAX];
    struct tls_ticket_key over = key_of(0xee, -2 * HOUR_MS, HOUR_MS);
    size_t before = tls_tickets_list(states);

    assert_false(tls_tickets_share(&over, 1));
    assert_int_equal(tls_tickets_list(states), before);
    for (int i = 0; i < 2 * TLS_TICKET_KEYS_MAX; i++) {
        struct tls_ticket_key key = key_of((uint8_t)i, HOUR_MS, HOUR_MS);

        (void)tls_tickets_share(&key, 1);
    }
    assert_int_equal(tls_tickets_list(states), TLS_TICKET_KEYS_MAX + 1);
}

static void test_derived_keys(void **state)
{
    /* Worked out by RFC 5869 over Python's hmac. */
    static const uint8_t name[16] = {0xbd, 0xab, 0x65, 0x67, 0x9e, 0x7e, 0xcc, 0x20,
                                     0x6a, 0x17, 0xb1, 0xdc, 0x21, 0xe0, 0x4c, 0xf9};
    uint8_t secret[TLS_TICKET_SECRET_BYTES];
    struct tls_ticket_key a, b;

    for (size_t i = 0; i < sizeof(secret); i++)
        secret[i] = (uint8_t)i;
    tls_ticket_derive(secret, 43200, 40000, &a);
    assert_memory_equal(a.name, name, sizeof(name));
    tls_ticket_derive(secret, 43200, 40000, &b);
    assert_memory_equal(a.cipher, b.cipher, sizeof(a.cipher));
    assert_memory_equal(a.mac, b.mac, sizeof(a.mac));
    tls_ticket_derive(secret, 43200, 40001, &b);
    assert_memory_not_equal(a.name, b.name, sizeof(a.name));
    assert_memory_not_equal(a.cipher, b.cipher, sizeof(a.cipher));
    tls_ticket_derive(secret, 3600, 40000, &b);
    assert_memory_not_equal(a.name, b.name, sizeof(a.name));
    secret[31] ^= 1;
    tls_ticket_derive(secret, 43200, 40000, &b);
    assert_memory_not_equal(a.mac, b.mac, sizeof(a.mac));
}

static int start(void **state)
{
    struct errors errors = {0};
    struct tls_files files;

    certs_start(&certs);
    certs_issue(&certs, (struct certs_spec){.name = "www", .san = "DNS:www.example.com"});
    files = (struct tls_files){.certificate_path = certs_path(&certs, "www.crt"),
                               .key_path = certs_path(&certs, "www.key")};
    server = tls_server_new(&(struct tls_server_settings){.pairs = &files,
                                                          .n_pairs = 1,
                                                          .min_version = TLS1_2_VERSION,
                                                          .name = "test",
                                                          .alpn = on_alpn},
                            &errors);
    ensure(server != NULL);
    return 0;
}

static int end(void **state)
{
    SSL_SESSION_free(newest);
    tls_server_unref(server);
    certs_end(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_keys_rotate),
        cmocka_unit_test(test_keys_of_the_site_go_before),
        cmocka_unit_test(test_what_is_over_goes_and_room_is_bounded),
        cmocka_unit_test(test_derived_keys),
    };

    return cmocka_run_group_tests(tests, start, end);
}
