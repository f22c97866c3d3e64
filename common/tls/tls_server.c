/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS for whoever comes: a context per certificate, chosen by SNI (RFC 6066 section 3). */
#include "common/tls/tls_internal.h"

#include "common/text/text.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 255 };

struct named_ctx {
    char *name; /* lower case; ".example.com" for "*.example.com" */
    SSL_CTX *ctx;
};

struct tls_server {
    size_t n_refs;
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

static SSL_CTX *find_name(const struct tls_server *t, const char *name)
{
    struct named_ctx key = {.name = (char *)name};
    struct named_ctx *found =
        t->n_names == 0 ? NULL
                        : bsearch(&key, t->names, t->n_names, sizeof(t->names[0]), compare_names);

    return found != NULL ? found->ctx : NULL;
}

/* The exact name, else the wildcard of its first label (RFC 9525 section 6.3). */
static SSL_CTX *find_ctx(const struct tls_server *t, const char *name)
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
    const struct tls_server *t = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_CTX *ctx = name != NULL ? find_ctx(t, name) : NULL;

    if (ctx != NULL && ctx != SSL_get_SSL_CTX(ssl))
        SSL_set_SSL_CTX(ssl, ctx);
    return SSL_TLSEXT_ERR_OK; /* an unknown name gets the default: most clients explain it best */
}

SSL *tls_server_ssl(const struct tls_server *t)
{
    SSL *ssl = SSL_new(t->all[0]);

    if (ssl != NULL)
        SSL_set_accept_state(ssl);
    return ssl;
}

/* ---- Building ---- */

static SSL_CTX *new_ctx(struct tls_server *t, const struct tls_server_settings *settings)
{
    const unsigned char *context = (const unsigned char *)settings->name;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    ensure(ctx != NULL && SSL_CTX_set_min_proto_version(ctx, settings->min_version) == 1);
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
    ensure(SSL_CTX_set_session_id_context(ctx, context, (unsigned)strlen(settings->name)) == 1);
    SSL_CTX_set_timeout(ctx, TLS_TICKET_S);
    tickets_use(ctx);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, t);
    SSL_CTX_set_alpn_select_cb(ctx, settings->alpn, NULL);
    return ctx;
}

static void add_name(struct tls_server *t, const unsigned char *name, int n, SSL_CTX *ctx)
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
static void add_names(struct tls_server *t, SSL_CTX *ctx)
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
static void sort_names(struct tls_server *t)
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

static void free_server(struct tls_server *t)
{
    for (size_t i = 0; i < t->n; i++)
        SSL_CTX_free(t->all[i]);
    for (size_t i = 0; i < t->n_names; i++)
        free(t->names[i].name);
    free(t->names);
    free(t->all);
    free(t);
}

struct tls_server *tls_server_new(const struct tls_server_settings *settings, struct errors *errors)
{
    struct tls_server *t = base_zalloc(1, sizeof(*t));
    size_t before = errors->n_errors;

    ensure(settings->n_pairs > 0);
    t->n_refs = 1;
    t->all = base_zalloc(settings->n_pairs, sizeof(t->all[0]));
    for (size_t i = 0; i < settings->n_pairs; i++) {
        SSL_CTX *ctx = new_ctx(t, settings);

        t->all[t->n++] = ctx;
        if (!has_failed(tls_load_pair(ctx, &settings->pairs[i], errors)))
            add_names(t, ctx);
    }
    sort_names(t);
    if (errors->n_errors == before)
        return t;
    free_server(t);
    return NULL;
}

struct tls_server *tls_server_ref(struct tls_server *t)
{
    __atomic_fetch_add(&t->n_refs, 1, __ATOMIC_RELAXED);
    return t;
}

void tls_server_unref(struct tls_server *t)
{
    if (t != NULL && __atomic_sub_fetch(&t->n_refs, 1, __ATOMIC_ACQ_REL) == 0)
        free_server(t);
}
