/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge-proxy/credential/credential.h"

#include "common/text/text.h"
#include "common/tls/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 256 << 20, DIGEST_BYTES = 16 };
/* Beside "edge-proxy", the context of sessions without: at most 32 bytes. */
static const char CONTEXT[] = "edge-proxy/";
enum { CONTEXT_BYTES = sizeof(CONTEXT) - 1 + DIGEST_BYTES };

struct policy {
    bool is_required;
    int depth;
    uint64_t number;
    unsigned char context[CONTEXT_BYTES]; /* of sessions */
    X509_STORE *store;
    STACK_OF(X509_NAME) * names; /* of the CAs, as hints for the visitor's choice */
};

struct credential_table {
    struct policy **policies; /* by the site's index; NULL: none */
    size_t n;
};

/* ---- Loading ---- */

static void explain(struct errors *errors, struct place at, const char *path, const char *wanted)
{
    char why[TLS_ERROR_TEXT];

    errors_add(errors, at, "no usable %s in '%s' (%s): expected PEM", wanted, path,
               tls_take_error(why));
}

/* The end of a file is an error to OpenSSL: no more lines that begin something. */
static bool is_at_end(void)
{
    return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

static void load_ca(struct policy *p, BIO *in, const char *path, struct place at,
                    struct errors *errors)
{
    size_t n = 0;
    X509 *x;

    while ((x = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(x));

        if (X509_check_ca(x) == 0)
            errors_warn(errors, at, "'%s' has a certificate that is no CA's", path);
        ensure(X509_STORE_add_cert(p->store, x) == 1 && name != NULL);
        ensure(sk_X509_NAME_push(p->names, name) > 0);
        X509_free(x);
        n++;
    }
    if (!is_at_end() || n == 0)
        explain(errors, at, path, "CA certificate");
}

static void load_crl(struct policy *p, BIO *in, const char *path, struct place at,
                     struct errors *errors)
{
    size_t n = 0;
    X509_CRL *list;

    while ((list = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL)) != NULL) {
        const ASN1_TIME *next = X509_CRL_get0_nextUpdate(list);

        if (next != NULL && X509_cmp_current_time(next) < 0)
            errors_warn(errors, at,
                        "the list of revoked certificates '%s' has run out: everybody whose CA "
                        "it is by will be refused",
                        path);
        ensure(X509_STORE_add_crl(p->store, list) == 1);
        X509_CRL_free(list);
        n++;
    }
    if (!is_at_end() || n == 0)
        explain(errors, at, path, "list of revoked certificates");
    X509_STORE_set_flags(p->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
}

typedef void load_fn(struct policy *p, BIO *in, const char *path, struct place at,
                     struct errors *errors);

/* Read once: what is digested is what is loaded. */
static void load_files(struct policy *p, EVP_MD_CTX *digest, load_fn *load,
                       const struct config_credentials *c, const char *const *paths, size_t n,
                       struct errors *errors)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t length;
        char *bytes;
        size_t n_bytes;
        BIO *in;

        if (has_failed(text_read_file(paths[i], FILE_MAX_BYTES, &bytes, &n_bytes))) {
            errors_add(errors, c->place, "cannot read '%s': %s", paths[i], strerror(errno));
            continue;
        }
        length = n_bytes;
        ensure(EVP_DigestUpdate(digest, &length, sizeof(length)) == 1 &&
               EVP_DigestUpdate(digest, bytes, n_bytes) == 1);
        in = BIO_new_mem_buf(bytes, (int)n_bytes);
        ensure(in != NULL);
        ERR_clear_error();
        load(p, in, paths[i], c->place, errors);
        ERR_clear_error();
        BIO_free(in);
        free(bytes);
    }
}

static void free_policy(struct policy *p)
{
    X509_STORE_free(p->store);
    sk_X509_NAME_pop_free(p->names, X509_NAME_free);
    free(p);
}

static struct policy *new_policy(const struct config_credentials *c, struct errors *errors)
{
    struct policy *p = base_zalloc(1, sizeof(*p));
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    uint32_t settings[] = {c->verify, c->depth, (uint32_t)c->n_ca};
    uint8_t result[EVP_MAX_MD_SIZE];

    p->is_required = c->verify == CONFIG_VERIFY_REQUIRED;
    p->depth = (int)c->depth;
    p->store = X509_STORE_new();
    p->names = sk_X509_NAME_new_null();
    ensure(digest != NULL && p->store != NULL && p->names != NULL);
    ensure(EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
           EVP_DigestUpdate(digest, settings, sizeof(settings)) == 1);
    load_files(p, digest, load_ca, c, c->ca_paths, c->n_ca, errors);
    load_files(p, digest, load_crl, c, c->crl_paths, c->n_crl, errors);
    ensure(EVP_DigestFinal_ex(digest, result, NULL) == 1);
    EVP_MD_CTX_free(digest);
    memcpy(p->context, CONTEXT, sizeof(CONTEXT) - 1);
    memcpy(p->context + sizeof(CONTEXT) - 1, result, DIGEST_BYTES);
    memcpy(&p->number, result, sizeof(p->number));
    p->number |= p->number == CREDENTIAL_NONE;
    return p;
}

struct credential_table *credential_table_new(const struct config *config, struct errors *errors)
{
    struct credential_table *t = base_zalloc(1, sizeof(*t));
    size_t before = errors->n_errors;

    t->n = config->n_sites;
    t->policies = base_zalloc(t->n + 1, sizeof(struct policy *));
    for (size_t i = 0; i < t->n; i++)
        if (config->sites[i].credentials.verify != CONFIG_VERIFY_OFF)
            t->policies[i] = new_policy(&config->sites[i].credentials, errors);
    if (errors->n_errors == before)
        return t;
    credential_table_free(t);
    return NULL;
}

void credential_table_free(struct credential_table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n; i++)
        if (t->policies[i] != NULL)
            free_policy(t->policies[i]);
    free(t->policies);
    free(t);
}

uint64_t credential_policy(const struct credential_table *t, const struct config_site *site)
{
    const struct policy *p = site != NULL ? t->policies[site->index] : NULL;

    return p != NULL ? p->number : CREDENTIAL_NONE;
}

/* ---- Asking ---- */

static int number_index;

static void make_index(void)
{
    number_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    ensure(number_index >= 0);
}

static int get_index(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_index);
    return number_index;
}

void credential_ask(const struct credential_table *t, const struct config_site *site, SSL *ssl)
{
    struct policy *p = site != NULL ? t->policies[site->index] : NULL;

    if (p == NULL)
        return;
    SSL_set_verify(ssl, SSL_VERIFY_PEER | (p->is_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                   NULL);
    SSL_set_verify_depth(ssl, p->depth);
    SSL_set_client_CA_list(ssl, SSL_dup_CA_list(p->names));
    ensure(SSL_set1_verify_cert_store(ssl, p->store) == 1 &&
           SSL_set_session_id_context(ssl, p->context, sizeof(p->context)) == 1 &&
           SSL_set_ex_data(ssl, get_index(), (void *)(uintptr_t)p->number) == 1);
}

/* ---- Taking ---- */

uint64_t credential_policy_of(const SSL *ssl)
{
    return (uint64_t)(uintptr_t)SSL_get_ex_data(ssl, get_index());
}

struct outcome credential_take(const SSL *ssl, const char **out)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    unsigned char der[CREDENTIAL_MAX_BYTES], *p = der;
    char *text;
    int n;

    *out = NULL;
    if (certificate == NULL || credential_policy_of(ssl) == CREDENTIAL_NONE)
        return OUTCOME_OK;
    n = i2d_X509(certificate, NULL);
    if (SSL_get_verify_result(ssl) != X509_V_OK || n <= 0 || n > CREDENTIAL_MAX_BYTES)
        return OUTCOME_FAILED;
    (void)i2d_X509(certificate, &p);
    text = base_zalloc(1, (size_t)(n + 2) / 3 * 4 + sizeof("::"));
    text[0] = ':'; /* a byte sequence: RFC 8941 section 3.3.5 */
    n = EVP_EncodeBlock((unsigned char *)text + 1, der, n);
    text[n + 1] = ':';
    *out = text;
    return OUTCOME_OK;
}
