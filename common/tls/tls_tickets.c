/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Session tickets (RFC 8446 section 4.6.1, RFC 5077). Stateless: whoever has the key can resume.
 * All threads share the keys: the process's own, random, the current one and the one before it; and
 * those that it was told, which other servers of the site have too. A key of the site that makes
 * tickets now goes before our own. One thread changes them; all copy one out under a lock, once per
 * handshake, which costs nothing beside it.
 *
 * Keys lie in pages that no core dump holds; what is copied out is wiped.
 */
#include "common/tls/tls_internal.h"

#include "common/clock/clock.h"

#include <endian.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { OWN = 2 };

struct store {
    struct tls_ticket_key own[OWN]; /* current, previous; their times are not looked at */
    struct tls_ticket_key shared[TLS_TICKET_KEYS_MAX];
    size_t n_shared;
};

static struct {
    pthread_once_t once;
    pthread_rwlock_t lock;
    struct store *store;
    int64_t renewed_s;
    EVP_CIPHER *cipher; /* fetched once: a look-up by name takes many locks */
} tickets = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_RWLOCK_INITIALIZER};

void *tls_secret_alloc(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ensure(p != MAP_FAILED && madvise(p, n, MADV_DONTDUMP) == 0);
    (void)mlock(p, n); /* swap is the operator's to encrypt where the limit is too low */
    return p;
}

void tls_secret_free(void *p, size_t n)
{
    if (p == NULL)
        return;
    OPENSSL_cleanse(p, n);
    munmap(p, n);
}

/* ---- Our own keys ---- */

static void renew(void)
{
    struct tls_ticket_key fresh = {0};

    ensure(RAND_bytes(fresh.name, sizeof(fresh.name)) == 1 &&
           RAND_bytes(fresh.cipher, sizeof(fresh.cipher)) == 1 &&
           RAND_bytes(fresh.mac, sizeof(fresh.mac)) == 1);
    pthread_rwlock_wrlock(&tickets.lock);
    tickets.store->own[1] = tickets.store->own[0];
    tickets.store->own[0] = fresh;
    pthread_rwlock_unlock(&tickets.lock);
    OPENSSL_cleanse(&fresh, sizeof(fresh));
}

static void init(void)
{
    tickets.store = tls_secret_alloc(sizeof(*tickets.store));
    tickets.cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    ensure(tickets.cipher != NULL);
    renew();
    renew(); /* the previous one is random too, never zeros */
}

void tls_tickets_rotate(int64_t now_s, int64_t period_s)
{
    pthread_once(&tickets.once, init);
    if (tickets.renewed_s == 0)
        tickets.renewed_s = now_s;
    if (now_s - tickets.renewed_s < period_s)
        return;
    tickets.renewed_s = now_s;
    renew();
}

/* ---- Keys of the site ---- */

/* A key makes tickets for its period and is good for another: the last ticket lives a whole one. */
static bool is_making(const struct tls_ticket_key *k, int64_t now_ms)
{
    return !k->is_taken_only && now_ms >= k->begins_ms && now_ms < k->begins_ms + k->period_ms;
}

static bool is_over(const struct tls_ticket_key *k, int64_t now_ms)
{
    return now_ms >= k->begins_ms + 2 * k->period_ms;
}

static struct tls_ticket_key *find_shared(struct store *s, const unsigned char *name)
{
    for (size_t i = 0; i < s->n_shared; i++)
        if (memcmp(s->shared[i].name, name, sizeof(s->shared[i].name)) == 0)
            return &s->shared[i];
    return NULL;
}

static void drop_over(struct store *s, int64_t now_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->n_shared; i++)
        if (!is_over(&s->shared[i], now_ms))
            s->shared[kept++] = s->shared[i];
    OPENSSL_cleanse(&s->shared[kept], (s->n_shared - kept) * sizeof(s->shared[0]));
    s->n_shared = kept;
}

/* Two who share one secret but prefer another each: whoever says that it makes tickets is right. */
static void merge(struct tls_ticket_key *to, const struct tls_ticket_key *said, bool is_known)
{
    bool is_taken_only = said->is_taken_only && (!is_known || to->is_taken_only);

    *to = *said;
    to->is_taken_only = is_taken_only;
}

bool tls_tickets_share(const struct tls_ticket_key *keys, size_t n)
{
    int64_t now_ms = clock_mono_ms();
    bool is_new = false;
    struct store *s;

    pthread_once(&tickets.once, init);
    s = tickets.store;
    pthread_rwlock_wrlock(&tickets.lock);
    drop_over(s, now_ms);
    for (size_t i = 0; i < n; i++) {
        struct tls_ticket_key *known = find_shared(s, keys[i].name);

        if (is_over(&keys[i], now_ms) || (known == NULL && s->n_shared == TLS_TICKET_KEYS_MAX))
            continue;
        is_new |= known == NULL;
        merge(known != NULL ? known : &s->shared[s->n_shared++], &keys[i], known != NULL);
    }
    pthread_rwlock_unlock(&tickets.lock);
    return is_new;
}

/* Of several that make tickets now the same on every edge: the newest, then the first by name. */
static const struct tls_ticket_key *find_maker(const struct store *s, int64_t now_ms)
{
    const struct tls_ticket_key *best = NULL;

    for (size_t i = 0; i < s->n_shared; i++) {
        const struct tls_ticket_key *k = &s->shared[i];

        if (!is_making(k, now_ms))
            continue;
        /* Begins differ by what a message took on its way. */
        if (best == NULL || k->begins_ms - best->begins_ms > k->period_ms / 2 ||
            (best->begins_ms - k->begins_ms <= k->period_ms / 2 &&
             memcmp(k->name, best->name, sizeof(k->name)) < 0))
            best = k;
    }
    return best != NULL ? best : &s->own[0];
}

static const struct tls_ticket_key *find_taker(struct store *s, const unsigned char *name,
                                               int64_t now_ms)
{
    const struct tls_ticket_key *k = find_shared(s, name);

    if (k != NULL)
        return is_over(k, now_ms) ? NULL : k;
    for (size_t i = 0; i < OWN; i++)
        if (memcmp(s->own[i].name, name, sizeof(s->own[i].name)) == 0)
            return &s->own[i];
    return NULL;
}

/* ---- Keys from a secret ---- */

void tls_ticket_derive(const uint8_t secret[TLS_TICKET_SECRET_BYTES], int64_t period_s,
                       int64_t epoch, struct tls_ticket_key *out)
{
    static char digest[] = "SHA256", salt[] = "gslb session tickets, version 1";
    uint64_t info[2] = {htobe64((uint64_t)period_s), htobe64((uint64_t)epoch)};
    uint8_t bytes[sizeof(out->name) + sizeof(out->cipher) + sizeof(out->mac)];
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret,
                                          TLS_TICKET_SECRET_BYTES),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt, sizeof(salt) - 1),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof(info)),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);

    ensure(ctx != NULL && EVP_KDF_derive(ctx, bytes, sizeof(bytes), params) == 1);
    memcpy(out->name, bytes, sizeof(out->name));
    memcpy(out->cipher, bytes + sizeof(out->name), sizeof(out->cipher));
    memcpy(out->mac, bytes + sizeof(out->name) + sizeof(out->cipher), sizeof(out->mac));
    OPENSSL_cleanse(bytes, sizeof(bytes));
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

/* ---- What may be told ---- */

void tls_ticket_id(const struct tls_ticket_key *key, char out[TLS_TICKET_ID])
{
    snprintf(out, TLS_TICKET_ID, "%02x%02x%02x%02x", key->name[0], key->name[1], key->name[2],
             key->name[3]);
}

size_t tls_tickets_list(struct tls_ticket_state out[TLS_TICKET_STATES_MAX])
{
    int64_t now_ms = clock_mono_ms();
    const struct tls_ticket_key *maker;
    size_t n = 0;
    struct store *s;

    pthread_once(&tickets.once, init);
    s = tickets.store;
    pthread_rwlock_rdlock(&tickets.lock);
    maker = find_maker(s, now_ms);
    for (size_t i = 0; i < s->n_shared; i++) {
        const struct tls_ticket_key *k = &s->shared[i];

        if (is_over(k, now_ms))
            continue;
        tls_ticket_id(k, out[n].id);
        out[n].begins_in_ms = k->begins_ms - now_ms;
        out[n].ends_in_ms = k->begins_ms + 2 * k->period_ms - now_ms;
        out[n].is_shared = true;
        out[n++].is_making = k == maker;
    }
    out[n++] = (struct tls_ticket_state){.is_making = maker == &s->own[0]};
    tls_ticket_id(&s->own[0], out[n - 1].id);
    pthread_rwlock_unlock(&tickets.lock);
    return n;
}

/* ---- OpenSSL's questions ---- */

static int set_keys(const struct tls_ticket_key *key, const unsigned char *iv,
                    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool is_encrypting)
{
    static char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac, sizeof(key->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_CipherInit_ex2(cipher, tickets.cipher, key->cipher, iv, is_encrypting, NULL) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* Copies the key that makes tickets (name NULL), or the one of that name. false: there is none. */
static bool copy_key(const unsigned char *name, struct tls_ticket_key *out, bool *is_maker)
{
    int64_t now_ms = clock_mono_ms();
    const struct tls_ticket_key *maker, *key;

    pthread_rwlock_rdlock(&tickets.lock);
    maker = find_maker(tickets.store, now_ms);
    key = name == NULL ? maker : find_taker(tickets.store, name, now_ms);
    if (key != NULL)
        *out = *key;
    *is_maker = key == maker;
    pthread_rwlock_unlock(&tickets.lock);
    return key != NULL;
}

/* OpenSSL's contract: 1 good, 2 good but renew it, 0 no such key (full handshake), -1 error. A
 * client of TLS 1.3 shows a ticket only once, lest observers link its connections (RFC 8446
 * appendix C.4), so that it gets a new one each time. OpenSSL keeps no tag of an AEAD, so that the
 * MAC over an encryption by CBC it is (RFC 5077 section 4). */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int is_encrypting)
{
    struct tls_ticket_key key;
    bool is_maker;
    int result;

    if (!copy_key(is_encrypting ? NULL : name, &key, &is_maker))
        return 0;
    if (is_encrypting) {
        memcpy(name, key.name, sizeof(key.name));
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(tickets.cipher)) != 1)
            return -1;
    }
    result = is_encrypting || (is_maker && SSL_version(ssl) < TLS1_3_VERSION) ? 1 : 2;
    if (!set_keys(&key, iv, cipher, mac, is_encrypting))
        result = -1;
    OPENSSL_cleanse(&key, sizeof(key));
    return result;
}

/* Who has shown a certificate resumes no longer than it is good. */
static SSL_TICKET_RETURN on_taken(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                  size_t n, SSL_TICKET_STATUS status, void *arg)
{
    X509 *certificate = session != NULL ? SSL_SESSION_get0_peer(session) : NULL;

    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (certificate != NULL && X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

void tickets_use(SSL_CTX *ctx)
{
    pthread_once(&tickets.once, init);
    ensure(SSL_CTX_set_session_ticket_cb(ctx, NULL, on_taken, NULL) == 1);
    ensure(SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1);
}
