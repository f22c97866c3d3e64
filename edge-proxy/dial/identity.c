/* SPDX-License-Identifier: BSD-2-Clause */
/* Who an origin must be, who we are to it, and the TLS sessions with it. */
#include "edge-proxy/dial/dial_internal.h"

#include "common/tls/tls.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- All of them: equal ones are the same ---- */

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct dial_identity *all;

static uint64_t hash_text(const char *s)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (; *s != '\0'; s++)
        h = (h ^ (uint8_t)*s) * 0x100000001b3u;
    return h ^ h >> 29;
}

/* A file that was replaced makes another identity: what was verified by, or shown, the old one is
 * not used again. */
static void add_file(struct text *t, const char *what, const char *path)
{
    struct stat st;

    if (path == NULL)
        return;
    if (stat(path, &st) != 0) /* loading it will tell */
        memset(&st, 0, sizeof(st));
    text_addf(t, " %s=%s:%llu:%llu:%lld.%09ld", what, path, (unsigned long long)st.st_ino,
              (unsigned long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static char *describe(const struct config_origin_tls *tls)
{
    struct text t = {0};

    if (!tls->is_on) {
        text_adds(&t, "plain");
        return t.p;
    }
    text_addf(&t, "tls name=%s verify=%d min=%x", tls->server_name != NULL ? tls->server_name : "",
              !tls->is_unverified, (unsigned)tls->min_version);
    add_file(&t, "ca", tls->ca_path);
    add_file(&t, "certificate", tls->certificate_path);
    add_file(&t, "key", tls->key_path);
    return t.p;
}

/* ---- Sessions: one for each address and name, whichever worker opened it ---- */

static struct dial_session *session_of(struct dial_identity *id, const struct dial_conn *c)
{
    return &id->sessions[c->hash % DIAL_SESSIONS];
}

static bool is_session_of(const struct dial_session *s, const struct dial_conn *c)
{
    return s->session != NULL && s->port == c->port && ip_eq(&s->ip, &c->ip) &&
           strcmp(s->host, c->host) == 0;
}

/* OpenSSL's callback: it has a session (a ticket) to resume later. A copy is kept: many origins end
 * their connections without a goodbye, for which OpenSSL would spoil the session. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct dial_conn *c = SSL_get_app_data(ssl);
    struct dial_identity *id = c->identity;
    struct dial_session *s = session_of(id, c), old;

    pthread_mutex_lock(&id->lock);
    old = *s;
    *s = (struct dial_session){c->ip, c->port, base_strdup(c->host), SSL_SESSION_dup(session)};
    pthread_mutex_unlock(&id->lock);
    SSL_SESSION_free(old.session);
    free(old.host);
    return 0;
}

static void resume(struct dial_identity *id, SSL *ssl, const struct dial_conn *c)
{
    struct dial_session *s = session_of(id, c);

    pthread_mutex_lock(&id->lock);
    if (is_session_of(s, c))
        (void)SSL_set_session(ssl, s->session); /* without: a full handshake */
    pthread_mutex_unlock(&id->lock);
}

/* ---- Making ---- */

static struct outcome load_files(SSL_CTX *ctx, const struct config_origin_tls *tls,
                                 struct errors *errors)
{
    struct tls_files files = {
        .certificate_path = tls->certificate_path,
        .key_path = tls->key_path,
        .ca_path = tls->ca_path,
        .place = tls->place,
    };

    if (files.ca_path == NULL)
        ensure(SSL_CTX_set_default_verify_paths(ctx) == 1);
    else if (has_failed(tls_load_ca(ctx, &files, errors)))
        return OUTCOME_FAILED;
    return files.certificate_path != NULL ? tls_load_pair(ctx, &files, errors) : OUTCOME_OK;
}

static SSL_CTX *make_ssl_ctx(const struct config_origin_tls *tls, struct errors *errors)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    ensure(ctx != NULL && SSL_CTX_set_min_proto_version(ctx, tls->min_version) == 1);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    if (!tls->is_unverified)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (!has_failed(load_files(ctx, tls, errors)))
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

static struct dial_identity *make(const struct config_origin_tls *tls, char *text,
                                  struct errors *errors)
{
    SSL_CTX *ctx = NULL;
    struct dial_identity *id;

    if (tls->is_on) {
        ctx = make_ssl_ctx(tls, errors);
        if (ctx == NULL) {
            free(text);
            return NULL;
        }
    }
    id = base_zalloc(1, sizeof(*id));
    id->text = text;
    id->hash = hash_text(text);
    id->ssl_ctx = ctx;
    id->server_name = tls->server_name != NULL ? base_strdup(tls->server_name) : NULL;
    id->is_unverified = tls->is_unverified;
    pthread_mutex_init(&id->lock, NULL);
    return id;
}

struct dial_identity *dial_identity_get(const struct config_origin_tls *tls, struct errors *errors)
{
    char *text = describe(tls);
    struct dial_identity *id;

    pthread_mutex_lock(&all_lock);
    for (id = all; id != NULL && strcmp(id->text, text) != 0;)
        id = id->next;
    if (id != NULL) {
        free(text);
    } else {
        id = make(tls, text, errors);
        if (id != NULL) {
            id->next = all;
            all = id;
        }
    }
    if (id != NULL)
        id->n_holders++;
    pthread_mutex_unlock(&all_lock);
    return id;
}

struct dial_identity *dial_identity_hold(struct dial_identity *id)
{
    atomic_fetch_add_explicit(&id->n_holders, 1, memory_order_relaxed);
    return id;
}

static void identity_free(struct dial_identity *id)
{
    for (size_t i = 0; i < DIAL_SESSIONS; i++) {
        SSL_SESSION_free(id->sessions[i].session);
        free(id->sessions[i].host);
    }
    SSL_CTX_free(id->ssl_ctx);
    pthread_mutex_destroy(&id->lock);
    free(id->server_name);
    free(id->text);
    free(id);
}

void dial_identity_put(struct dial_identity *id)
{
    struct dial_identity **link;

    if (id == NULL)
        return;
    /* Not the last holder: nothing to lock. */
    for (uint32_t n = id->n_holders; n > 1;)
        if (atomic_compare_exchange_weak(&id->n_holders, &n, n - 1))
            return;
    pthread_mutex_lock(&all_lock);
    if (--id->n_holders > 0) {
        pthread_mutex_unlock(&all_lock);
        return;
    }
    for (link = &all; *link != id;)
        link = &(*link)->next;
    *link = id->next;
    pthread_mutex_unlock(&all_lock);
    identity_free(id);
}

bool dial_identity_is_tls(const struct dial_identity *id)
{
    return id->ssl_ctx != NULL;
}

const char *dial_identity_text(const struct dial_identity *id)
{
    return id->text;
}

/* ---- A connection's TLS ---- */

static void set_name(SSL *ssl, const char *name, bool is_verified)
{
    struct ip ip;
    bool is_ip = ip_parse(str_of(name), &ip);

    if (!is_ip) /* RFC 6066 section 3: no addresses in SNI */
        (void)SSL_set_tlsext_host_name(ssl, name);
    if (!is_verified)
        return;
    if (is_ip)
        ensure(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1);
    else
        ensure(SSL_set1_host(ssl, name) == 1);
}

SSL *identity_new_ssl(struct dial_identity *id, struct dial_conn *c)
{
    SSL *ssl = SSL_new(id->ssl_ctx);

    ensure(ssl != NULL);
    SSL_set_connect_state(ssl);
    SSL_set_app_data(ssl, c);
    if (id->server_name != NULL)
        set_name(ssl, id->server_name, !id->is_unverified);
    else if (c->host_n > 0)
        set_name(ssl, c->host, !id->is_unverified);
    else if (!id->is_unverified)
        /* Nothing to verify against: no certificate can match this. */
        ensure(SSL_set1_host(ssl, "name.missing.invalid") == 1);
    resume(id, ssl, c);
    return ssl;
}
