/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Session tickets (RFC 8446 section 4.6.1, RFC 5077). Stateless: whoever has the key can resume,
 * so all threads share two keys, the current one and the one before it. One thread renews them;
 * all copy them out under a lock, once per handshake, which costs nothing beside it.
 */
#include "common/tls/tls_internal.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

struct ticket_key {
    unsigned char name[16], cipher[32], mac[32];
};

static struct {
    pthread_rwlock_t lock;
    struct ticket_key keys[2]; /* current, previous */
    int64_t renewed_s;
    EVP_CIPHER *cipher; /* fetched once: a look-up by name takes many locks */
} tickets = {.lock = PTHREAD_RWLOCK_INITIALIZER};

static void renew(void)
{
    struct ticket_key fresh;

    ensure(RAND_bytes((unsigned char *)&fresh, sizeof(fresh)) == 1);
    pthread_rwlock_wrlock(&tickets.lock);
    tickets.keys[1] = tickets.keys[0];
    tickets.keys[0] = fresh;
    pthread_rwlock_unlock(&tickets.lock);
    OPENSSL_cleanse(&fresh, sizeof(fresh));
}

static void init(void)
{
    tickets.cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    ensure(tickets.cipher != NULL);
    renew();
    renew(); /* the previous one is random too, never zeros */
}

void tls_tickets_rotate(int64_t now_s)
{
    if (tickets.renewed_s == 0)
        tickets.renewed_s = now_s;
    if (now_s - tickets.renewed_s < TLS_TICKET_S)
        return;
    tickets.renewed_s = now_s;
    renew();
}

/* Index of the key with that name; -1: none. */
static int find_key(const unsigned char *name, struct ticket_key *out)
{
    int found = -1;

    pthread_rwlock_rdlock(&tickets.lock);
    for (int i = 0; found < 0 && i < 2; i++)
        if (name == NULL || memcmp(name, tickets.keys[i].name, sizeof(out->name)) == 0)
            found = i;
    if (found >= 0)
        *out = tickets.keys[found];
    pthread_rwlock_unlock(&tickets.lock);
    return found;
}

static int set_keys(const struct ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac, bool is_encrypting)
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

/* OpenSSL's contract: 1 good, 2 good but renew it, 0 no such key (full handshake), -1 error. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int is_encrypting)
{
    struct ticket_key key;
    int which, result;

    if (is_encrypting) {
        which = find_key(NULL, &key);
        memcpy(name, key.name, sizeof(key.name));
        if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
            return -1;
    } else {
        which = find_key(name, &key);
    }
    if (which < 0)
        return 0;
    result = set_keys(&key, iv, cipher, mac, is_encrypting) ? 1 + which : -1;
    OPENSSL_cleanse(&key, sizeof(key));
    return result;
}

void tickets_use(SSL_CTX *ctx)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, init);
    ensure(SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1);
}
