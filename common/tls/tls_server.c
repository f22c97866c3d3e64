/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS for whoever comes: a context per certificate, chosen by SNI (RFC 6066 section 3). */
#include "common/tls/tls_internal.h"

#include "common/bytes/bytes.h"
#include "common/log/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Choosing ---- */

/* RFC 6066 section 3: most clients explain a certificate that does not fit best, so that is what
 * they get; whoever wants no word with strangers refuses them. RFC 8446 section 9.2 has the alert
 * for those who name nobody. */
static int refuse_name(const char *name, int *alert)
{
    *alert = name != NULL ? SSL_AD_UNRECOGNIZED_NAME : SSL_AD_MISSING_EXTENSION;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* RFC 6066 section 3, as much of it as we need; OpenSSL refuses what is malformed. "": nobody. */
static void read_name(SSL *ssl, char out[TLSEXT_MAXLEN_host_name + 1])
{
    const unsigned char *p;
    struct reader r;
    size_t n;

    out[0] = '\0';
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n) != 1)
        return;
    r = reader_of(p, n);
    (void)reader_u16(&r); /* one name is all the list has ever had */
    if (reader_u8(&r) != TLSEXT_NAMETYPE_host_name)
        return;
    n = reader_u16(&r);
    p = reader_take(&r, n);
    if (p == NULL || n > TLSEXT_MAXLEN_host_name || memchr(p, '\0', n) != NULL)
        return;
    memcpy(out, p, n);
    out[n] = '\0';
}

/* Before OpenSSL looks for an old session: one that began under another name's conditions must not
 * be taken for this one's. */
static int on_hello(SSL *ssl, int *alert, void *arg)
{
    const struct tls_server *t = arg;
    char room[TLSEXT_MAXLEN_host_name + 1], *name = room;
    SSL_CTX *ctx;

    read_name(ssl, room);
    if (room[0] == '\0')
        name = NULL;
    ctx = name != NULL ? names_find(t, name) : NULL;
    if (ctx != NULL && ctx != SSL_get_SSL_CTX(ssl))
        SSL_set_SSL_CTX(ssl, ctx);
    if (t->on_name != NULL)
        t->on_name(t->arg, name, ssl);
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* Later, when the version is known, and with it which alerts there are. Otherwise the client is
 * told that its name was understood. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    const struct tls_server *t = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    if (t->is_unknown_refused && (name == NULL || names_find(t, name) == NULL))
        return refuse_name(name, alert);
    return SSL_TLSEXT_ERR_OK;
}

SSL *tls_server_ssl(const struct tls_server *t)
{
    SSL *ssl = SSL_new(t->fallback);

    if (ssl != NULL)
        SSL_set_accept_state(ssl);
    return ssl;
}

/* ---- Building ---- */

/* What Mozilla's server-side TLS guidelines call intermediate (5.7), in their order, without finite
 * field Diffie-Hellman: forward secrecy and AEAD, AES-128 first, which is as safe and the cheapest;
 * a client that puts ChaCha20 first has no AES in hardware, and gets it (SSL_OP_PRIORITIZE_CHACHA).
 */
static const char CIPHERS_1_2[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                  "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char CIPHERS_1_3[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

static SSL_CTX *new_ctx(struct tls_server *t, const struct tls_server_settings *settings)
{
    const unsigned char *context = (const unsigned char *)settings->name;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    ensure(ctx != NULL && SSL_CTX_set_min_proto_version(ctx, settings->min_version) == 1);
    /* Curve25519 first: P-256 costs a quarter more per handshake. */
    ensure(SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") == 1);
    ensure(SSL_CTX_set_cipher_list(ctx, CIPHERS_1_2) == 1 &&
           SSL_CTX_set_ciphersuites(ctx, CIPHERS_1_3) == 1);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 1);
    /* The same for all: a ticket is good whichever certificate came with it. */
    ensure(SSL_CTX_set_session_id_context(ctx, context, (unsigned)strlen(settings->name)) == 1);
    SSL_CTX_set_timeout(ctx, settings->ticket_s != 0 ? settings->ticket_s : TLS_TICKET_S);
    tickets_use(ctx);
    SSL_CTX_set_client_hello_cb(ctx, on_hello, t);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, t);
    SSL_CTX_set_alpn_select_cb(ctx, settings->alpn, NULL);
    return ctx;
}

struct maker {
    struct tls_server *server;
    const struct tls_server_settings *settings;
};

static SSL_CTX *make_ctx(void *arg)
{
    const struct maker *m = arg;

    return new_ctx(m->server, m->settings);
}

static void warn_of_hidden(const struct tls_server *t, struct errors *errors)
{
    for (size_t i = 0; i < t->n_served; i++)
        if (!t->served[i].is_shown)
            errors_warn(errors, t->served[i].place, "nobody is shown the certificate '%s': %s",
                        t->served[i].path,
                        t->served[i].first_name == NULL
                            ? "it has no DNS name in its subjectAltName"
                            : "certificates before it have its names and its kind of key");
}

static void free_server(struct tls_server *t)
{
    names_free(t);
    for (size_t i = 0; i < t->n_served; i++) {
        SSL_CTX_free(t->served[i].ctx);
        free(t->served[i].first_name);
        free((char *)t->served[i].path);
    }
    free(t->served);
    free(t);
}

/* How many of the marks it has passed. */
static unsigned expiry_step(const struct served *s)
{
    static const int64_t marks_days[] = {14, 7, 3, 1, 0};
    int64_t left_s = tls_expires_in_s(s->ctx);
    unsigned step = 0;

    while (step < COUNT_OF(marks_days) && left_s < marks_days[step] * 86400)
        step++;
    return step;
}

struct tls_server *tls_server_new(const struct tls_server_settings *settings, struct errors *errors)
{
    struct tls_server *t = base_zalloc(1, sizeof(*t));
    struct maker maker = {t, settings};
    size_t before = errors->n_errors;

    ensure(settings->n_pairs > 0);
    t->n_refs = 1;
    t->is_unknown_refused = settings->is_unknown_refused;
    t->on_name = settings->on_name;
    t->arg = settings->arg;
    t->served = base_zalloc(settings->n_pairs, sizeof(t->served[0]));
    for (size_t i = 0; i < settings->n_pairs; i++) {
        const struct tls_files *files = &settings->pairs[i];

        t->served[t->n_served++] = (struct served){.ctx = new_ctx(t, settings),
                                                   .path = base_strdup(files->certificate_path),
                                                   .place = files->place};
        if (!has_failed(tls_load_pair(t->served[i].ctx, files, errors)))
            names_add(t, i);
        t->served[i].told = expiry_step(&t->served[i]);
    }
    if (errors->n_errors == before) {
        names_settle(t, make_ctx, &maker);
        warn_of_hidden(t, errors);
        return t;
    }
    free_server(t);
    return NULL;
}

void tls_server_warn_expiry(struct tls_server *t)
{
    for (size_t i = 0; i < t->n_served; i++) {
        struct served *s = &t->served[i];
        unsigned step = expiry_step(s);
        int64_t left_s = tls_expires_in_s(s->ctx);

        if (step <= s->told)
            continue;
        s->told = step;
        log_warn("tls", "certificate %s, renew it file=%s name=%s expires_in_s=%" PRId64,
                 left_s < 0 ? "has expired" : "expires soon", s->path,
                 s->first_name != NULL ? s->first_name : "-", left_s);
    }
}

size_t tls_server_count(const struct tls_server *t)
{
    return t->n_served;
}

struct tls_certificate tls_server_certificate(const struct tls_server *t, size_t i)
{
    const struct served *s = &t->served[i];
    EVP_PKEY *key = SSL_CTX_get0_privatekey(s->ctx);

    return (struct tls_certificate){
        .path = s->path,
        .name = s->first_name,
        .kind = EVP_PKEY_get0_type_name(key),
        .expires_in_s = tls_expires_in_s(s->ctx),
    };
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
