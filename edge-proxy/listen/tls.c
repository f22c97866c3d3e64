/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS for clients: a context per certificate, chosen by SNI (RFC 6066 section 3). */
#include "edge-proxy/listen/listen_internal.h"

#include "common/tls/tls.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 255 };

struct named_ctx {
    char *name; /* lower case; ".example.com" for "*.example.com" */
    SSL_CTX *ctx;
};

struct listen_tls {
    SSL_CTX **all; /* the first is the default */
    size_t n;
    struct named_ctx *names; /* sorted */
    size_t n_names, cap_names;
};

/* ---- Choosing ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct named_ctx *)a)->name, ((const struct named_ctx *)b)->name);
}

static SSL_CTX *find_name(const struct listen_tls *t, const char *name)
{
    struct named_ctx key = {.name = (char *)name};
    struct named_ctx *found =
        t->n_names == 0 ? NULL
                        : bsearch(&key, t->names, t->n_names, sizeof(t->names[0]), compare_names);

    return found != NULL ? found->ctx : NULL;
}

/* The exact name, else the wildcard of its first label (RFC 9525 section 6.3). */
static SSL_CTX *find_ctx(const struct listen_tls *t, const char *name)
{
    char lower[NAME_MAX_BYTES + 1];
    size_t n = strlen(name);
    const char *dot;
    SSL_CTX *ctx;

    if (n > 0 && name[n - 1] == '.')
        n--;
    if (n == 0 || n > NAME_MAX_BYTES)
        return NULL;
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)text_lower((uint8_t)name[i]);
    lower[n] = '\0';
    ctx = find_name(t, lower);
    dot = strchr(lower, '.');
    return ctx == NULL && dot != NULL ? find_name(t, dot) : ctx;
}

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    const struct listen_tls *t = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_CTX *ctx = name != NULL ? find_ctx(t, name) : NULL;

    if (ctx != NULL && ctx != SSL_get_SSL_CTX(ssl))
        SSL_set_SSL_CTX(ssl, ctx);
    return SSL_TLSEXT_ERR_OK; /* an unknown name gets the default: most clients explain it best */
}

/* RFC 7301. No overlap: an alert, as the RFC has it. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *offered, unsigned n, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";

    return SSL_select_next_proto((unsigned char **)out, out_n, ours, sizeof(ours) - 1, offered,
                                 n) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

SSL *tls_new_ssl(const struct listen_tls *t)
{
    SSL *ssl = SSL_new(t->all[0]);

    if (ssl != NULL)
        SSL_set_accept_state(ssl);
    return ssl;
}

/* ---- Building ---- */

static SSL_CTX *new_ctx(struct listen_tls *t, int min_version)
{
    static const unsigned char context[] = "edge-proxy";
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    ensure(ctx != NULL && SSL_CTX_set_min_proto_version(ctx, min_version) == 1);
    /* Curve25519 first: P-256 costs a quarter more per handshake. */
    ensure(SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") == 1);
    ensure(SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 1);
    /* The same for all: a ticket is good whichever certificate came with it. */
    ensure(SSL_CTX_set_session_id_context(ctx, context, sizeof(context) - 1) == 1);
    SSL_CTX_set_timeout(ctx, LISTEN_TICKET_S);
    tickets_use(ctx);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, t);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    return ctx;
}

static void add_name(struct listen_tls *t, const unsigned char *name, int n, SSL_CTX *ctx)
{
    char *lower;

    if (n > 2 && name[0] == '*' && name[1] == '.') {
        name++;
        n--;
    }
    if (n <= 0 || n > NAME_MAX_BYTES || memchr(name, '*', (size_t)n) != NULL ||
        memchr(name, '\0', (size_t)n) != NULL)
        return;
    lower = base_strndup((const char *)name, (size_t)n);
    for (int i = 0; i < n; i++)
        lower[i] = (char)text_lower((uint8_t)lower[i]);
    BASE_GROW(t->names, t->n_names, t->cap_names);
    t->names[t->n_names++] = (struct named_ctx){lower, ctx};
}

/* subjectAltName alone counts (RFC 9525 section 6.3): the common name has not for years. */
static void add_names(struct listen_tls *t, SSL_CTX *ctx)
{
    X509 *x = SSL_CTX_get0_certificate(ctx);
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS)
            add_name(t, ASN1_STRING_get0_data(name->d.dNSName), ASN1_STRING_length(name->d.dNSName),
                     ctx);
    }
    GENERAL_NAMES_free(names);
}

/* Of two certificates for one name the first in the configuration is used. */
static void sort_names(struct listen_tls *t)
{
    size_t kept = 0;

    for (size_t i = 0; i < t->n_names; i++) {
        bool is_double = false;

        for (size_t k = 0; k < kept && !is_double; k++)
            is_double = strcmp(t->names[k].name, t->names[i].name) == 0;
        if (is_double)
            free(t->names[i].name);
        else
            t->names[kept++] = t->names[i];
    }
    t->n_names = kept;
    if (kept > 0)
        qsort(t->names, kept, sizeof(t->names[0]), compare_names);
}

struct listen_tls *listen_tls_new(const struct config *config, struct errors *errors)
{
    struct listen_tls *t;
    size_t before = errors->n_errors;

    if (config->tls.n_certificates == 0)
        return NULL;
    wire_prepare();
    t = base_zalloc(1, sizeof(*t));
    t->all = base_zalloc(config->tls.n_certificates, sizeof(t->all[0]));
    for (size_t i = 0; i < config->tls.n_certificates; i++) {
        const struct config_certificate *c = &config->tls.certificates[i];
        struct tls_files files = {
            .certificate_path = c->certificate_path, .key_path = c->key_path, .place = c->place};
        SSL_CTX *ctx = new_ctx(t, config->tls.min_version);

        t->all[t->n++] = ctx;
        if (!has_failed(tls_load_pair(ctx, &files, errors)))
            add_names(t, ctx);
    }
    sort_names(t);
    if (errors->n_errors == before)
        return t;
    listen_tls_free(t);
    return NULL;
}

void listen_tls_free(struct listen_tls *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n; i++)
        SSL_CTX_free(t->all[i]);
    for (size_t i = 0; i < t->n_names; i++)
        free(t->names[i].name);
    free(t->names);
    free(t->all);
    free(t);
}
