/* SPDX-License-Identifier: BSD-2-Clause */
/* Which certificate a visitor is shown: whole handshakes in memory. */
#include "common/tls/tls.h"
#include "tests/lib/certs.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct certs certs;

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *offered, unsigned n, void *arg)
{
    return SSL_TLSEXT_ERR_NOACK;
}

static struct tls_server *new_server(const char *const *names, size_t n, bool is_unknown_refused,
                                     struct errors *errors)
{
    struct tls_files pairs[8];
    char file[64];

    ensure(n <= COUNT_OF(pairs));
    for (size_t i = 0; i < n; i++) {
        char *paths[2];

        for (int k = 0; k < 2; k++) {
            snprintf(file, sizeof(file), "%s.%s", names[i], k == 0 ? "crt" : "key");
            paths[k] = base_strdup(certs_path(&certs, file));
        }
        pairs[i] = (struct tls_files){.certificate_path = paths[0], .key_path = paths[1]};
    }
    struct tls_server *t =
        tls_server_new(&(struct tls_server_settings){.pairs = pairs,
                                                     .n_pairs = n,
                                                     .min_version = TLS1_2_VERSION,
                                                     .is_unknown_refused = is_unknown_refused,
                                                     .name = "test",
                                                     .alpn = on_alpn},
                       errors);

    for (size_t i = 0; i < n; i++) {
        free((char *)pairs[i].certificate_path);
        free((char *)pairs[i].key_path);
    }
    return t;
}

/* Both ends in turn until neither gets on. */
static bool shake(SSL *client, SSL *server)
{
    int c = -1, s = -1;

    for (int i = 0; i < 20 && (c != 1 || s != 1); i++) {
        if (c != 1)
            c = SSL_do_handshake(client);
        if (s != 1)
            s = SSL_do_handshake(server);
    }
    return c == 1 && s == 1;
}

static void join(SSL *client, SSL *server)
{
    BIO *a, *b;

    ensure(BIO_new_bio_pair(&a, 0, &b, 0) == 1);
    SSL_set_bio(client, a, a);
    SSL_set_bio(server, b, b);
}

static int alert;

static void on_info(const SSL *ssl, int where, int value)
{
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
        alert = value & 0xff;
}

enum client_keys { ANY, RSA_ONLY, ECDSA_ONLY };

/* The CN of what the client was shown; "" when there was no handshake: alert says why. */
static void visit(const struct tls_server *t, const char *name, int version, enum client_keys keys,
                  char out[64])
{
    static const char *const sigalgs[] = {NULL, "RSA-PSS+SHA256:RSA+SHA256", "ECDSA+SHA256"};
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *client = SSL_new(ctx), *server = tls_server_ssl(t);

    alert = 0;
    out[0] = '\0';
    SSL_CTX_set_info_callback(ctx, on_info);
    SSL_set_info_callback(client, on_info);
    SSL_set_connect_state(client);
    ensure(SSL_set_min_proto_version(client, version) == 1 &&
           SSL_set_max_proto_version(client, version) == 1);
    if (name != NULL)
        ensure(SSL_set_tlsext_host_name(client, name) == 1);
    if (keys != ANY)
        ensure(SSL_set1_sigalgs_list(client, sigalgs[keys]) == 1);
    join(client, server);
    if (shake(client, server))
        X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(client)),
                                  NID_commonName, out, 64);
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(ctx);
}

static const char *const all[] = {"www-ec", "www-rsa", "wild-rsa", "wild-ec", "other"};

static const struct {
    const char *what, *name;
    enum client_keys keys;
    const char *want; /* the certificate's CN */
} shown[] = {
    {"ECDSA before RSA", "www.example.com", ANY, "www-ec"},
    {"RSA for those who know nothing else", "www.example.com", RSA_ONLY, "www-rsa"},
    {"a name of one of them alone", "only.example.com", ANY, "www-rsa"},
    {"an exact name before the wildcard", "exact.wild.example.com", ANY, "other"},
    {"a wildcard", "a.wild.example.com", ANY, "wild-ec"},
    {"a wildcard by RSA", "a.wild.example.com", RSA_ONLY, "wild-rsa"},
    {"capitals and a dot at the end", "A.Wild.EXAMPLE.com.", ANY, "wild-ec"},
    {"a wildcard stands for one label", "a.b.wild.example.com", ANY, "www-ec"},
    {"nor for none", "wild.example.com", ANY, "www-ec"},
    {"an unknown name", "nobody.example", ANY, "www-ec"},
    {"an unknown name by RSA", "nobody.example", RSA_ONLY, "www-rsa"},
    {"no name", NULL, ANY, "www-ec"},
    {"no name by RSA", NULL, RSA_ONLY, "www-rsa"},
};

static void test_certificates_by_name_and_key(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct errors errors = {0};
    struct tls_server *t = new_server(all, COUNT_OF(all), false, &errors);
    char got[64];

    assert_non_null(t);
    for (size_t i = 0; i < COUNT_OF(shown); i++)
        for (size_t v = 0; v < COUNT_OF(versions); v++) {
            visit(t, shown[i].name, versions[v], shown[i].keys, got);
            if (strcmp(got, shown[i].want) != 0)
                fail_msg("%s (version %x): got '%s', want '%s'", shown[i].what, versions[v], got,
                         shown[i].want);
        }
    tls_server_unref(t);
    errors_free(&errors);
}

static const struct {
    const char *what, *name;
    int version, alert; /* 0: a handshake */
} refused[] = {
    {"an unknown name, 1.3", "nobody.example", TLS1_3_VERSION, SSL_AD_UNRECOGNIZED_NAME},
    {"an unknown name, 1.2", "nobody.example", TLS1_2_VERSION, SSL_AD_UNRECOGNIZED_NAME},
    {"no name, 1.3: RFC 8446 section 9.2", NULL, TLS1_3_VERSION, SSL_AD_MISSING_EXTENSION},
    {"no name, 1.2", NULL, TLS1_2_VERSION, SSL_AD_HANDSHAKE_FAILURE},
    {"a known name", "www.example.com", TLS1_3_VERSION, 0},
    {"a wildcard", "x.wild.example.com", TLS1_2_VERSION, 0},
};

static void test_strangers_are_refused(void **state)
{
    struct errors errors = {0};
    struct tls_server *t = new_server(all, COUNT_OF(all), true, &errors);
    char got[64];

    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        visit(t, refused[i].name, refused[i].version, ANY, got);
        if (alert != refused[i].alert || (got[0] != '\0') != (refused[i].alert == 0))
            fail_msg("%s: alert %d, certificate '%s'", refused[i].what, alert, got);
    }
    tls_server_unref(t);
    errors_free(&errors);
}

static void test_what_is_served(void **state)
{
    struct errors errors = {0};
    struct tls_server *t = new_server(all, COUNT_OF(all), false, &errors);
    struct tls_certificate c = tls_server_certificate(t, 1);

    assert_int_equal(tls_server_count(t), COUNT_OF(all));
    assert_int_equal(errors.n, 0);
    assert_string_equal(c.name, "www.example.com");
    assert_string_equal(c.kind, "RSA");
    assert_non_null(strstr(c.path, "www-rsa.crt"));
    assert_in_range(c.expires_in_s, 364 * 86400, 365 * 86400);
    tls_server_unref(t);
}

static void test_hidden_certificates_are_warned_of(void **state)
{
    static const char *const names[] = {"www-ec", "twin", "nameless"};
    struct errors errors = {0};
    struct tls_server *t = new_server(names, COUNT_OF(names), false, &errors);

    assert_non_null(t);
    assert_int_equal(errors.n_warnings, 2);
    assert_non_null(strstr(errors.items[0].message, "certificates before it have its names"));
    assert_non_null(strstr(errors.items[1].message, "no DNS name"));
    tls_server_unref(t);
    errors_free(&errors);
}

static int start(void **state)
{
    certs_start(&certs);
    certs_issue(&certs, (struct certs_spec){.name = "www-ec", .san = "DNS:www.example.com"});
    certs_issue(&certs, (struct certs_spec){.name = "www-rsa",
                                            .san = "DNS:www.example.com,DNS:only.example.com",
                                            .is_rsa = true});
    certs_issue(&certs, (struct certs_spec){
                            .name = "wild-rsa", .san = "DNS:*.wild.example.com", .is_rsa = true});
    certs_issue(&certs, (struct certs_spec){.name = "wild-ec", .san = "DNS:*.WILD.example.com"});
    certs_issue(&certs, (struct certs_spec){.name = "other", .san = "DNS:exact.wild.example.com"});
    certs_issue(&certs, (struct certs_spec){.name = "twin", .san = "DNS:www.example.com"});
    certs_issue(&certs, (struct certs_spec){.name = "nameless"});
    return 0;
}

static int end(void **state)
{
    certs_end(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates_by_name_and_key),
        cmocka_unit_test(test_strangers_are_refused),
        cmocka_unit_test(test_what_is_served),
        cmocka_unit_test(test_hidden_certificates_are_warned_of),
    };

    return cmocka_run_group_tests(tests, start, end);
}
