/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/tls/tls.h"

#include <openssl/x509_vfy.h>

/* X509_V_OK, or why the CA of ctx does not stand behind the certificate. */
static int verify(const SSL_CTX *ctx, X509 *certificate, STACK_OF(X509) * chain,
                  unsigned long flags)
{
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    int verdict;

    ensure(check != NULL);
    ensure(X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(ctx), certificate, chain) == 1);
    X509_STORE_CTX_set_flags(check, flags);
    verdict = X509_verify_cert(check) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(check);
    X509_STORE_CTX_free(check);
    return verdict;
}

/* What every peer would find, found here at load: a certificate of another CA, an expired one, one
 * that may not be used for this. */
static struct outcome verify_own(SSL_CTX *ctx, const struct tls_files *files, struct errors *errors)
{
    STACK_OF(X509) *chain = NULL;
    int verdict;

    SSL_CTX_get0_chain_certs(ctx, &chain);
    verdict = verify(ctx, SSL_CTX_get0_certificate(ctx), chain, 0);
    if (verdict == X509_V_OK)
        return OUTCOME_OK;
    errors_add(errors, files->place,
               "the certificate '%s' does not stand up to the CA '%s' (%s): peers would refuse it",
               files->certificate_path, files->ca_path, X509_verify_cert_error_string(verdict));
    return OUTCOME_FAILED;
}

bool tls_is_peer_trusted(const SSL *ssl, const SSL_CTX *now)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);

    return certificate != NULL && verify(now, certificate, SSL_get_peer_cert_chain(ssl),
                                         X509_V_FLAG_NO_CHECK_TIME) == X509_V_OK;
}

static struct outcome take_identity(SSL_CTX *ctx, const struct tls_files *files,
                                    struct tls_identity *own, struct errors *errors)
{
    *own = tls_certificate_identity(SSL_CTX_get0_certificate(ctx));
    if (own->role != TLS_ROLE_NONE)
        return OUTCOME_OK;
    errors_add(errors, files->place,
               "the certificate '%s' names nobody: its subjectAltName needs a URI gslb://dns/NAME, "
               "gslb://edge/NAME or gslb://operator/NAME",
               files->certificate_path);
    return OUTCOME_FAILED;
}

static void set_rules(SSL_CTX *ctx)
{
    ensure(SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1);
    ensure(SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_options(ctx, SSL_OP_CLEANSE_PLAINTEXT); /* ticket keys come this way */
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
}

SSL_CTX *tls_channel_new(enum tls_side side, const struct tls_files *files,
                         struct tls_identity *own, struct errors *errors)
{
    SSL_CTX *ctx = SSL_CTX_new(side == TLS_SERVER ? TLS_server_method() : TLS_client_method());

    ensure(ctx != NULL);
    set_rules(ctx);
    if (has_failed(tls_load_pair(ctx, files, errors)) ||
        has_failed(tls_load_ca(ctx, files, errors)) || has_failed(verify_own(ctx, files, errors)) ||
        has_failed(take_identity(ctx, files, own, errors))) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}
