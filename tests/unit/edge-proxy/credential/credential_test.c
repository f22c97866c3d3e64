/* SPDX-License-Identifier: BSD-2-Clause */
/* What sites ask visitors for, and what comes of it: whole handshakes in memory. */
#include "edge-proxy/credential/credential.h"

#include "common/tls/tls.h"
#include "tests/lib/certs.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct certs certs;
static struct config config;
static struct config_site sites[5];
static const char *ca[1], *crl[1], *empty[1];
static struct credential_table *table;
static struct tls_server *server;

/* Sites by the names that clients ask for. */
static const char *const names[] = {"open.test", "optional.test", "required.test", "twin.test",
                                    "revoked.test"};
enum { OPEN, OPTIONAL, REQUIRED, TWIN, REVOKED };

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *offered, unsigned n, void *arg)
{
    return SSL_TLSEXT_ERR_NOACK;
}

static void on_name(void *arg, const char *name, SSL *ssl)
{
    const struct config_site *site = NULL;

    for (size_t i = 0; name != NULL && i < COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0)
            site = &sites[i];
    credential_ask(table, site, ssl);
}

/* A list by the CA that revokes the certificate in NAME.crt. */
static void write_list(const char *name, const char *file)
{
    X509_CRL *list = X509_CRL_new();
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *next = X509_gmtime_adj(NULL, 3600);
    char path[64];
    FILE *f;
    X509 *x;

    snprintf(path, sizeof(path), "%s.crt", name);
    f = fopen(certs_path(&certs, path), "r");
    x = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    X509_CRL_set_version(list, 1);
    X509_CRL_set_issuer_name(list, X509_get_subject_name(certs.ca[0]));
    X509_CRL_set1_lastUpdate(list, now);
    X509_CRL_set1_nextUpdate(list, next);
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(x));
    X509_REVOKED_set_revocationDate(entry, now);
    ensure(X509_CRL_add0_revoked(list, entry) == 1);
    ensure(X509_CRL_sign(list, certs.ca_key[0], EVP_sha256()) > 0);
    f = fopen(certs_path(&certs, file), "w");
    ensure(PEM_write_X509_CRL(f, list) == 1 && fclose(f) == 0);
    X509_CRL_free(list);
    X509_free(x);
    ASN1_TIME_free(now);
    ASN1_TIME_free(next);
}

static int set_up(void **state)
{
    struct errors errors = {0};
    struct tls_files pair;

    certs_start(&certs);
    certs_issue(&certs, (struct certs_spec){.name = "www", .san = "DNS:www.test"});
    certs_issue(&certs, (struct certs_spec){.name = "alice"});
    certs_issue(&certs, (struct certs_spec){.name = "bob"});
    certs_issue(&certs, (struct certs_spec){.name = "old", .from_s = -7200, .to_s = -3600});
    certs_issue(&certs, (struct certs_spec){.name = "stranger", .ca = 1});
    write_list("bob", "revoked.crl");
    ca[0] = base_strdup(certs_path(&certs, "ca.crt"));
    crl[0] = base_strdup(certs_path(&certs, "revoked.crl"));
    empty[0] = base_strdup(certs_path(&certs, "www.key"));
    for (size_t i = 0; i < COUNT_OF(sites); i++)
        sites[i] = (struct config_site){
            .index = (uint32_t)i,
            .credentials = {.verify = CONFIG_VERIFY_REQUIRED, .ca_paths = ca, .n_ca = 1}};
    sites[OPEN].credentials = (struct config_credentials){.verify = CONFIG_VERIFY_OFF};
    sites[OPTIONAL].credentials.verify = CONFIG_VERIFY_OPTIONAL;
    sites[REVOKED].credentials.crl_paths = crl;
    sites[REVOKED].credentials.n_crl = 1;
    config = (struct config){.sites = sites, .n_sites = COUNT_OF(sites)};
    table = credential_table_new(&config, &errors);
    pair = (struct tls_files){.certificate_path = base_strdup(certs_path(&certs, "www.crt")),
                              .key_path = base_strdup(certs_path(&certs, "www.key"))};
    server = tls_server_new(&(struct tls_server_settings){.pairs = &pair,
                                                          .n_pairs = 1,
                                                          .min_version = TLS1_2_VERSION,
                                                          .name = "edge-proxy",
                                                          .alpn = on_alpn,
                                                          .on_name = on_name},
                            &errors);
    free((char *)pair.certificate_path);
    free((char *)pair.key_path);
    errors_free(&errors);
    return table != NULL && server != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    tls_server_unref(server);
    credential_table_free(table);
    free((char *)ca[0]);
    free((char *)crl[0]);
    free((char *)empty[0]);
    certs_end(&certs);
    return 0;
}

/* One visit: what the server made of it. */
struct visit {
    const char *name, *certificate; /* NULL: none */
    int version;
    SSL_SESSION *session; /* to be resumed; then the one that was given */
    bool is_through, is_resumed;
    uint64_t policy;
    char subject[64]; /* of what was shown; "": nothing */
    const char *field;
};

static void show(SSL *client, const char *name)
{
    char file[64];

    snprintf(file, sizeof(file), "%s.crt", name);
    ensure(SSL_use_certificate_file(client, certs_path(&certs, file), SSL_FILETYPE_PEM) == 1);
    snprintf(file, sizeof(file), "%s.key", name);
    ensure(SSL_use_PrivateKey_file(client, certs_path(&certs, file), SSL_FILETYPE_PEM) == 1);
}

static void join(SSL *client, SSL *accepted)
{
    BIO *a, *b;

    ensure(BIO_new_bio_pair(&a, 0, &b, 0) == 1);
    SSL_set_bio(client, a, a);
    SSL_set_bio(accepted, b, b);
}

static void look(struct visit *v, SSL *client, SSL *accepted)
{
    X509 *shown = SSL_get0_peer_certificate(accepted);
    char byte;

    v->is_resumed = SSL_session_reused(accepted) == 1;
    v->policy = credential_policy_of(accepted);
    if (shown != NULL)
        X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, v->subject,
                                  sizeof(v->subject));
    v->is_through = !has_failed(credential_take(accepted, &v->field));
    ensure(SSL_write(accepted, "x", 1) == 1); /* tickets of TLS 1.3 come with it */
    ensure(SSL_read(client, &byte, 1) == 1);
    v->session = SSL_get1_session(client);
}

static void visit(struct visit *v)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *client = SSL_new(ctx), *accepted = tls_server_ssl(server);
    SSL_SESSION *before = v->session;
    int c = -1, s = -1;

    v->session = NULL;
    SSL_set_connect_state(client);
    ensure(SSL_set_min_proto_version(client, v->version) == 1 &&
           SSL_set_max_proto_version(client, v->version) == 1 &&
           SSL_set_tlsext_host_name(client, v->name) == 1);
    if (v->certificate != NULL)
        show(client, v->certificate);
    if (before != NULL)
        ensure(SSL_set_session(client, before) == 1);
    join(client, accepted);
    for (int i = 0; i < 20 && (c != 1 || s != 1); i++) {
        if (c != 1)
            c = SSL_do_handshake(client);
        if (s != 1)
            s = SSL_do_handshake(accepted);
    }
    if (s == 1 && c == 1)
        look(v, client, accepted);
    SSL_SESSION_free(before);
    SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(client);
    SSL_free(accepted);
    SSL_CTX_free(ctx);
}

static void forget(struct visit *v)
{
    SSL_SESSION_free(v->session);
    free((char *)v->field);
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static const struct {
    const char *what;
    int site;
    const char *certificate;
    bool is_through;
    const char *subject;
} visits[] = {
    {"nothing is asked", OPEN, "alice", true, ""},
    {"optional, none", OPTIONAL, NULL, true, ""},
    {"optional, a good one", OPTIONAL, "alice", true, "alice"},
    {"optional, by another CA", OPTIONAL, "stranger", false, ""},
    {"optional, expired", OPTIONAL, "old", false, ""},
    {"required, none", REQUIRED, NULL, false, ""},
    {"required, a good one", REQUIRED, "bob", true, "bob"},
    {"required, by another CA", REQUIRED, "stranger", false, ""},
    {"required, expired", REQUIRED, "old", false, ""},
    {"revoked", REVOKED, "bob", false, ""},
    {"not revoked", REVOKED, "alice", true, "alice"},
};

static void test_what_is_asked(void **state)
{
    for (size_t i = 0; i < COUNT_OF(visits); i++)
        for (size_t k = 0; k < COUNT_OF(versions); k++) {
            struct visit v = {.name = names[visits[i].site],
                              .certificate = visits[i].certificate,
                              .version = versions[k]};

            visit(&v);
            if (v.is_through != visits[i].is_through || strcmp(v.subject, visits[i].subject) != 0 ||
                (v.is_through && v.policy != credential_policy(table, &sites[visits[i].site])) ||
                (v.field != NULL) != (v.subject[0] != '\0'))
                fail_msg("%s (version %x): through %d, subject '%s'", visits[i].what, versions[k],
                         v.is_through, v.subject);
            forget(&v);
        }
}

static void test_policies_have_numbers(void **state)
{
    assert_int_equal(credential_policy(table, &sites[OPEN]), CREDENTIAL_NONE);
    assert_int_equal(credential_policy(table, NULL), CREDENTIAL_NONE);
    assert_int_not_equal(credential_policy(table, &sites[OPTIONAL]), CREDENTIAL_NONE);
    assert_int_not_equal(credential_policy(table, &sites[OPTIONAL]),
                         credential_policy(table, &sites[REQUIRED]));
    assert_int_equal(credential_policy(table, &sites[TWIN]),
                     credential_policy(table, &sites[REQUIRED]));
    assert_int_not_equal(credential_policy(table, &sites[REVOKED]),
                         credential_policy(table, &sites[REQUIRED]));
}

static const struct {
    const char *what;
    int from, to;
    const char *certificate;
    bool is_through, is_resumed;
} resumptions[] = {
    {"the same site", REQUIRED, REQUIRED, "alice", true, true},
    {"another site of the same policy", REQUIRED, TWIN, "alice", true, true},
    {"from open to required", OPEN, REQUIRED, NULL, false, false},
    {"from optional without to required", OPTIONAL, REQUIRED, NULL, false, false},
    {"from optional with to required", OPTIONAL, REQUIRED, "alice", true, false},
    {"from required to one with a list", REQUIRED, REVOKED, "bob", false, false},
    {"from required to open", REQUIRED, OPEN, "alice", true, false},
};

static void test_tickets_stay_in_their_policy(void **state)
{
    for (size_t i = 0; i < COUNT_OF(resumptions); i++)
        for (size_t k = 0; k < COUNT_OF(versions); k++) {
            struct visit v = {.name = names[resumptions[i].from],
                              .certificate = resumptions[i].certificate,
                              .version = versions[k]};

            visit(&v);
            assert_true(v.is_through && !v.is_resumed);
            free((char *)v.field);
            v = (struct visit){.name = names[resumptions[i].to],
                               .certificate = resumptions[i].certificate,
                               .version = versions[k],
                               .session = v.session};
            visit(&v);
            if (v.is_through != resumptions[i].is_through ||
                v.is_resumed != resumptions[i].is_resumed)
                fail_msg("%s (version %x): through %d, resumed %d", resumptions[i].what,
                         versions[k], v.is_through, v.is_resumed);
            if (v.is_resumed)
                assert_string_equal(v.subject, resumptions[i].certificate);
            forget(&v);
        }
}

static void wait_for_end_of(const char *certificate)
{
    FILE *f = fopen(certs_path(&certs, certificate), "r");
    X509 *x = PEM_read_X509(f, NULL, NULL, NULL);

    fclose(f);
    while (X509_cmp_current_time(X509_get0_notAfter(x)) > 0)
        usleep(10000);
    X509_free(x);
}

static void test_no_resumption_of_who_has_expired(void **state)
{
    struct visit v[COUNT_OF(versions)];

    certs_issue(&certs, (struct certs_spec){.name = "brief", .to_s = 4});
    for (size_t k = 0; k < COUNT_OF(versions); k++) {
        v[k] =
            (struct visit){.name = names[REQUIRED], .certificate = "brief", .version = versions[k]};
        visit(&v[k]);
        assert_true(v[k].is_through);
        free((char *)v[k].field);
        v[k] = (struct visit){.name = names[REQUIRED],
                              .certificate = "alice",
                              .version = versions[k],
                              .session = v[k].session};
    }
    wait_for_end_of("brief.crt");
    for (size_t k = 0; k < COUNT_OF(versions); k++) {
        visit(&v[k]);
        assert_true(v[k].is_through && !v[k].is_resumed);
        assert_string_equal(v[k].subject, "alice");
        forget(&v[k]);
    }
}

static void test_the_field(void **state)
{
    struct visit v = {.name = names[REQUIRED], .certificate = "alice", .version = TLS1_3_VERSION};
    unsigned char der[CREDENTIAL_MAX_BYTES];
    const unsigned char *p = der;
    size_t n;
    X509 *x;

    visit(&v);
    n = strlen(v.field);
    assert_true(v.field[0] == ':' && v.field[n - 1] == ':');
    assert_true(EVP_DecodeBlock(der, (const unsigned char *)v.field + 1, (int)n - 2) > 0);
    x = d2i_X509(NULL, &p, sizeof(der));
    assert_non_null(x);
    assert_int_equal(X509_verify(x, certs.ca_key[0]), 1);
    X509_free(x);
    forget(&v);
}

static void test_a_large_certificate_is_refused(void **state)
{
    struct visit v = {.name = names[REQUIRED], .certificate = "large", .version = TLS1_3_VERSION};
    char san[6000] = "DNS:a.test";
    size_t n = strlen(san);

    for (int i = 0; n < sizeof(san) - 32; i++)
        n += (size_t)snprintf(san + n, sizeof(san) - n, ",DNS:name-number-%d.test", i);
    certs_issue(&certs, (struct certs_spec){.name = "large", .san = san});
    visit(&v);
    assert_false(v.is_through);
    assert_null(v.field);
    forget(&v);
}

static void test_files_are_judged(void **state)
{
    struct config_site site = {.credentials = {.verify = CONFIG_VERIFY_OPTIONAL,
                                               .ca_paths = empty,
                                               .n_ca = 1,
                                               .crl_paths = ca,
                                               .n_crl = 1}};
    struct config bad = {.sites = &site, .n_sites = 1};
    struct errors errors = {0};

    assert_null(credential_table_new(&bad, &errors));
    assert_int_equal(errors.n_errors, 2);
    assert_non_null(strstr(errors.items[0].message, "no usable CA certificate in"));
    assert_non_null(strstr(errors.items[1].message, "no usable list of revoked certificates in"));
    errors_free(&errors);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_asked),
        cmocka_unit_test(test_policies_have_numbers),
        cmocka_unit_test(test_tickets_stay_in_their_policy),
        cmocka_unit_test(test_no_resumption_of_who_has_expired),
        cmocka_unit_test(test_the_field),
        cmocka_unit_test(test_a_large_certificate_is_refused),
        cmocka_unit_test(test_files_are_judged),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
