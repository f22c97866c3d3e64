/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/text/text.h"
#include "common/tls/tls.h"
#include "tests/lib/certs.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct certs certs;

static const struct {
    const char *uri;
    enum tls_role role;
    const char *name;
} identities[] = {
    {"gslb://edge/eu-west-1", TLS_ROLE_EDGE, "eu-west-1"},
    {"gslb://dns/ns1", TLS_ROLE_DNS, "ns1"},
    {"gslb://operator/jo.doe_2", TLS_ROLE_OPERATOR, "jo.doe_2"},
    {"gslb://none/x", TLS_ROLE_NONE, ""},
    {"gslb://edge/", TLS_ROLE_NONE, ""},
    {"gslb://edge", TLS_ROLE_NONE, ""},
    {"gslb://", TLS_ROLE_NONE, ""},
    {"", TLS_ROLE_NONE, ""},
    {"https://edge/x", TLS_ROLE_NONE, ""},
    {"gslb://edge/a/b", TLS_ROLE_NONE, ""},
    {"gslb://edge/a b", TLS_ROLE_NONE, ""},
    {"gslb://edge/a\nb", TLS_ROLE_NONE, ""},
    {"gslb://Edge/a", TLS_ROLE_NONE, ""},
    {"gslb://edge/"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     TLS_ROLE_NONE, ""},
};

static void test_identities(void **state)
{
    for (size_t i = 0; i < COUNT_OF(identities); i++) {
        struct tls_identity id = tls_identity_parse(identities[i].uri, strlen(identities[i].uri));

        if (id.role != identities[i].role || strcmp(id.name, identities[i].name) != 0)
            fail_msg("%s: role %s name '%s'", identities[i].uri, tls_role_name(id.role), id.name);
    }
}

/* Loads of the channel's files: what is said when something is wrong with them. */
static const struct load {
    const char *name, *certificate, *key, *ca;
    const char *error, *warning; /* a part of it; NULL: none */
} loads[] = {
    {"good", "edge.crt", "edge.key", "ca.crt", NULL, NULL},
    {"no certificate file", "nope.crt", "edge.key", "ca.crt", "cannot read the certificate", NULL},
    {"no key file", "edge.crt", "nope.key", "ca.crt", "cannot read the key", NULL},
    {"no CA file", "edge.crt", "edge.key", "nope.crt", "cannot read the CA file", NULL},
    {"not a certificate", "junk", "edge.key", "ca.crt", "no usable certificate", NULL},
    {"not a key", "edge.crt", "junk", "ca.crt", "no usable key", NULL},
    {"not a CA", "edge.crt", "edge.key", "junk", "no usable CA certificate", NULL},
    {"a key in place of the certificate", "edge.key", "edge.key", "ca.crt", "no usable certificate",
     NULL},
    {"another's key", "edge.crt", "dns.key", "ca.crt", "does not belong to", NULL},
    {"another's key of another algorithm", "edge.crt", "rsa.key", "ca.crt", "does not belong to",
     NULL},
    {"a key with a passphrase", "edge.crt", "locked.key", "ca.crt", "has a passphrase", NULL},
    {"another CA's certificate", "foreign.crt", "foreign.key", "ca.crt", "does not stand up to",
     NULL},
    {"expired", "expired.crt", "expired.key", "ca.crt", "certificate has expired",
     "expired 1d 0h ago"},
    {"not yet valid", "early.crt", "early.key", "ca.crt", "not yet valid", NULL},
    {"names nobody", "nobody.crt", "nobody.key", "ca.crt", "names nobody", NULL},
    {"names something else", "web.crt", "web.key", "ca.crt", "names nobody", NULL},
    {"soon to expire", "late.crt", "late.key", "ca.crt", NULL, "expires in"},
    {"a key for all to read", "open.crt", "open.key", "ca.crt", NULL, "open to every user"},
};

static bool has_message(const struct errors *e, bool is_warning, const char *part)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->items[i].is_warning == is_warning && strstr(e->items[i].message, part) != NULL)
            return true;
    return false;
}

static void test_loads(void **state)
{
    for (size_t i = 0; i < COUNT_OF(loads); i++) {
        const struct load *l = &loads[i];
        struct tls_files files = {certs_path(&certs, l->certificate),
                                  certs_path(&certs, l->key),
                                  certs_path(&certs, l->ca),
                                  {"x.yaml", 7, 3}};
        struct errors errors = {0};
        struct tls_identity own;
        SSL_CTX *ctx = tls_channel_new(TLS_CLIENT, &files, &own, &errors);

        if ((ctx == NULL) != (l->error != NULL) || errors.n_errors != (l->error != NULL) ||
            (errors.n_warnings > 0) != (l->warning != NULL))
            fail_msg("%s: %zu errors, %zu warnings: %s", l->name, errors.n_errors,
                     errors.n_warnings, errors.n ? errors.items[0].message : "");
        if ((l->error && !has_message(&errors, false, l->error)) ||
            (l->warning && !has_message(&errors, true, l->warning)))
            fail_msg("%s: said %s", l->name, errors_to_string(&errors));
        if (errors.n > 0 && errors.items[0].line != 7)
            fail_msg("%s: no place", l->name);
        SSL_CTX_free(ctx);
        errors_free(&errors);
    }
}

static void test_own_identity_and_expiry(void **state)
{
    struct tls_files files = {certs_path(&certs, "edge.crt"),
                              certs_path(&certs, "edge.key"),
                              certs_path(&certs, "ca.crt"),
                              {0}};
    struct errors errors = {0};
    struct tls_identity own;
    SSL_CTX *ctx = tls_channel_new(TLS_SERVER, &files, &own, &errors);

    assert_non_null(ctx);
    assert_int_equal(own.role, TLS_ROLE_EDGE);
    assert_string_equal(own.name, "e1");
    assert_in_range(tls_expires_in_s(ctx), 364 * 86400, 365 * 86400);
    assert_int_equal(SSL_CTX_get_min_proto_version(ctx), TLS1_3_VERSION);
    SSL_CTX_free(ctx);
}

static void make_locked_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *f = fopen(certs_path(&certs, "locked.key"), "w");

    ensure(f != NULL &&
           PEM_write_PKCS8PrivateKey(f, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL) == 1);
    fclose(f);
    EVP_PKEY_free(key);
}

static int start(void **state)
{
    FILE *f;

    certs_start(&certs);
    certs_issue(&certs, (struct certs_spec){.name = "edge", .san = "URI:gslb://edge/e1"});
    certs_issue(&certs, (struct certs_spec){.name = "dns", .san = "URI:gslb://dns/ns1"});
    certs_issue(&certs,
                (struct certs_spec){.name = "rsa", .san = "URI:gslb://dns/ns1", .is_rsa = true});
    certs_issue(&certs,
                (struct certs_spec){.name = "foreign", .san = "URI:gslb://edge/e1", .ca = 1});
    certs_issue(&certs, (struct certs_spec){.name = "expired",
                                            .san = "URI:gslb://edge/e1",
                                            .from_s = -9 * 86400,
                                            .to_s = -86400 - 60});
    certs_issue(&certs,
                (struct certs_spec){.name = "early", .san = "URI:gslb://edge/e1", .from_s = 86400});
    certs_issue(&certs, (struct certs_spec){
                            .name = "late", .san = "URI:gslb://edge/e1", .to_s = 3 * 86400});
    certs_issue(&certs, (struct certs_spec){.name = "nobody"});
    certs_issue(&certs, (struct certs_spec){.name = "web", .san = "DNS:example.com"});
    certs_issue(&certs, (struct certs_spec){.name = "open", .san = "URI:gslb://edge/e1"});
    ensure(chmod(certs_path(&certs, "open.key"), 0644) == 0);
    make_locked_key();
    f = fopen(certs_path(&certs, "junk"), "w");
    ensure(f != NULL && fputs("hello\n", f) >= 0 && fclose(f) == 0);
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
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_loads),
        cmocka_unit_test(test_own_identity_and_expiry),
    };

    return cmocka_run_group_tests(tests, start, end);
}
