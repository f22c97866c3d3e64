/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys and signatures by OpenSSL. ECDSA needs a nonce per signature; OpenSSL 3.0 only knows random
 * ones, which would make every node's signatures differ. Here the nonce is derived from key and
 * message (RFC 6979 section 3.2), and OpenSSL makes the signature with it: that takes its low-level
 * interface, where the nonce can be given.
 */
#define OPENSSL_API_COMPAT 0x10100000L

#include "gslb-dns/sign/sign_internal.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const struct algorithm ALGORITHMS[] = {
    {SIGN_ECDSAP256SHA256, NID_X9_62_prime256v1, 32, 64, 64},
    {SIGN_ECDSAP384SHA384, NID_secp384r1, 48, 96, 96},
    {SIGN_ED25519, 0, 32, 32, 64},
};

const struct algorithm *algorithm_find(uint8_t number)
{
    for (size_t i = 0; i < COUNT_OF(ALGORITHMS); i++)
        if (ALGORITHMS[i].number == number)
            return &ALGORITHMS[i];
    return NULL;
}

void crypto_wipe(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}

/* ---- The secure heap ---- */

/* Some thousand keys: a key takes one or two blocks of 64 bytes. */
enum { SECURE_HEAP_BYTES = 512 << 10, SECURE_BLOCK_BYTES = 32 };

static void open_secure_heap(void)
{
    /* 2: the pages could not be locked (RLIMIT_MEMLOCK); they are left out of dumps even so. */
    CRYPTO_secure_malloc_init(SECURE_HEAP_BYTES, SECURE_BLOCK_BYTES);
}

static void *secure_alloc(size_t n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    void *p;

    pthread_once(&once, open_secure_heap);
    p = OPENSSL_secure_zalloc(n);
    ensure(p != NULL);
    return p;
}

/* ---- Keys ---- */

struct secret {
    const struct algorithm *algorithm;
    uint8_t *private_bytes; /* in the secure heap */
    EC_KEY *ec;             /* ECDSA */
    BIGNUM *order_minus_2;  /* of its group */
    EVP_PKEY *ed;           /* Ed25519 */
};

static struct outcome fill_ec(struct secret *s)
{
    const struct algorithm *a = s->algorithm;
    const EC_GROUP *group;
    EC_POINT *public_point = NULL;
    const BIGNUM *d;
    bool is_good = false;

    s->ec = EC_KEY_new_by_curve_name(a->curve);
    ensure(s->ec != NULL);
    group = EC_KEY_get0_group(s->ec);
    s->order_minus_2 = BN_dup(EC_GROUP_get0_order(group));
    ensure(s->order_minus_2 != NULL && BN_sub_word(s->order_minus_2, 2));
    if (!EC_KEY_oct2priv(s->ec, s->private_bytes, a->private_bytes))
        return OUTCOME_FAILED;
    d = EC_KEY_get0_private_key(s->ec);
    if (!BN_is_zero(d) && BN_cmp(d, EC_GROUP_get0_order(group)) < 0) {
        public_point = EC_POINT_new(group);
        is_good = public_point != NULL &&
                  EC_POINT_mul(group, public_point, d, NULL, NULL, NULL) == 1 &&
                  EC_KEY_set_public_key(s->ec, public_point) == 1;
    }
    EC_POINT_free(public_point);
    return is_good ? OUTCOME_OK : OUTCOME_FAILED;
}

static struct outcome fill_ed(struct secret *s)
{
    s->ed = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, s->private_bytes,
                                         s->algorithm->private_bytes);
    return s->ed != NULL ? OUTCOME_OK : OUTCOME_FAILED;
}

struct secret *secret_from_bytes(const struct algorithm *a, const uint8_t *bytes, size_t n)
{
    struct secret *s = base_zalloc(1, sizeof(*s));

    s->algorithm = a;
    s->private_bytes = secure_alloc(SIGN_PRIVATE_MAX);
    /* Some writers leave out leading zeros of the number. */
    if (n > a->private_bytes || (n < a->private_bytes && a->curve == 0)) {
        secret_free(s);
        return NULL;
    }
    memcpy(s->private_bytes + a->private_bytes - n, bytes, n);
    if (has_failed(a->curve != 0 ? fill_ec(s) : fill_ed(s))) {
        secret_free(s);
        return NULL;
    }
    return s;
}

static void generate_ec(const struct algorithm *a, uint8_t *out)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(a->curve);

    ensure(ec != NULL && EC_KEY_generate_key(ec) == 1);
    ensure(EC_KEY_priv2oct(ec, out, a->private_bytes) == a->private_bytes);
    EC_KEY_free(ec);
}

static void generate_ed(const struct algorithm *a, uint8_t *out)
{
    EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    size_t n = a->private_bytes;

    ensure(ed != NULL && EVP_PKEY_get_raw_private_key(ed, out, &n) == 1 && n == a->private_bytes);
    EVP_PKEY_free(ed);
}

struct secret *secret_generate(const struct algorithm *a)
{
    uint8_t *bytes = secure_alloc(SIGN_PRIVATE_MAX);
    struct secret *s;

    if (a->curve != 0)
        generate_ec(a, bytes);
    else
        generate_ed(a, bytes);
    s = secret_from_bytes(a, bytes, a->private_bytes);
    OPENSSL_secure_clear_free(bytes, SIGN_PRIVATE_MAX);
    ensure(s != NULL);
    return s;
}

void secret_free(struct secret *s)
{
    if (s == NULL)
        return;
    OPENSSL_secure_clear_free(s->private_bytes, SIGN_PRIVATE_MAX);
    EC_KEY_free(s->ec);
    BN_free(s->order_minus_2);
    EVP_PKEY_free(s->ed);
    free(s);
}

void secret_public(const struct secret *s, uint8_t out[SIGN_PUBLIC_MAX])
{
    uint8_t point[1 + SIGN_PUBLIC_MAX];
    size_t n = s->algorithm->public_bytes;

    if (s->ed != NULL) {
        ensure(EVP_PKEY_get_raw_public_key(s->ed, out, &n) == 1);
        return;
    }
    /* RFC 6605 section 4: the uncompressed point without its first byte. */
    ensure(EC_POINT_point2oct(EC_KEY_get0_group(s->ec), EC_KEY_get0_public_key(s->ec),
                              POINT_CONVERSION_UNCOMPRESSED, point, n + 1, NULL) == n + 1);
    memcpy(out, point + 1, n);
}

void secret_private(const struct secret *s, uint8_t out[SIGN_PRIVATE_MAX])
{
    memcpy(out, s->private_bytes, s->algorithm->private_bytes);
}

/* ---- Hashing: the low-level calls, because a fetch per digest costs more than the digest ---- */

struct slice {
    const void *p;
    size_t n;
};

static void hash(const struct algorithm *a, const struct slice *parts, size_t n, uint8_t *out)
{
    if (a->private_bytes == SHA256_DIGEST_LENGTH) {
        SHA256_CTX c;

        SHA256_Init(&c);
        for (size_t i = 0; i < n; i++)
            SHA256_Update(&c, parts[i].p, parts[i].n);
        SHA256_Final(out, &c);
        OPENSSL_cleanse(&c, sizeof(c));
    } else {
        SHA512_CTX c;

        SHA384_Init(&c);
        for (size_t i = 0; i < n; i++)
            SHA384_Update(&c, parts[i].p, parts[i].n);
        SHA384_Final(out, &c);
        OPENSSL_cleanse(&c, sizeof(c));
    }
}

enum { HMAC_PARTS = 4, BLOCK_MAX = 128 };

/* RFC 2104, with a key of the digest's size. */
static void hmac(const struct algorithm *a, const uint8_t *key, const struct slice *parts, size_t n,
                 uint8_t *out)
{
    size_t digest_bytes = a->private_bytes, block = digest_bytes == 32 ? 64 : 128;
    uint8_t inner_pad[BLOCK_MAX], outer_pad[BLOCK_MAX], inner[SIGN_DIGEST_MAX];
    struct slice inside[1 + HMAC_PARTS] = {{inner_pad, block}};
    struct slice outside[2] = {{outer_pad, block}, {inner, digest_bytes}};

    memset(inner_pad, 0x36, block);
    memset(outer_pad, 0x5c, block);
    for (size_t i = 0; i < digest_bytes; i++) {
        inner_pad[i] ^= key[i];
        outer_pad[i] ^= key[i];
    }
    memcpy(inside + 1, parts, n * sizeof(parts[0]));
    hash(a, inside, n + 1, inner);
    hash(a, outside, 2, out);
    OPENSSL_cleanse(inner_pad, sizeof(inner_pad));
    OPENSSL_cleanse(outer_pad, sizeof(outer_pad));
    OPENSSL_cleanse(inner, sizeof(inner));
}

/* ---- Signing ---- */

struct crypto {
    BN_CTX *bn;
    EVP_MD_CTX *md;
    BIGNUM *k, *k_inverse, *r;
};

struct crypto *crypto_new(void)
{
    struct crypto *c = base_zalloc(1, sizeof(*c));

    c->bn = BN_CTX_secure_new();
    c->md = EVP_MD_CTX_new();
    c->k = BN_secure_new();
    c->k_inverse = BN_secure_new();
    c->r = BN_new();
    ensure(c->bn != NULL && c->md != NULL && c->k != NULL && c->k_inverse != NULL && c->r != NULL);
    BN_set_flags(c->k, BN_FLG_CONSTTIME);
    return c;
}

void crypto_free(struct crypto *c)
{
    if (c == NULL)
        return;
    BN_CTX_free(c->bn);
    EVP_MD_CTX_free(c->md);
    BN_clear_free(c->k);
    BN_clear_free(c->k_inverse);
    BN_free(c->r);
    free(c);
}

/* The generator of RFC 6979 section 3.2. */
struct nonces {
    const struct algorithm *algorithm;
    uint8_t k[SIGN_DIGEST_MAX], v[SIGN_DIGEST_MAX];
};

/* Steps d to g; message: the digest as bits2octets gives it. */
static void start_nonces(struct nonces *g, const struct secret *s, const uint8_t *message)
{
    size_t n = s->algorithm->private_bytes;
    uint8_t round;

    g->algorithm = s->algorithm;
    memset(g->k, 0, n);
    memset(g->v, 1, n);
    for (round = 0; round < 2; round++) {
        hmac(g->algorithm, g->k,
             (struct slice[]){{g->v, n}, {&round, 1}, {s->private_bytes, n}, {message, n}}, 4,
             g->k);
        hmac(g->algorithm, g->k, (struct slice[]){{g->v, n}}, 1, g->v);
    }
}

/* Step h: the next candidate, between 1 and the order less one. */
static void next_nonce(struct nonces *g, const BIGNUM *order, BIGNUM *out)
{
    static const uint8_t zero = 0;
    size_t n = g->algorithm->private_bytes;

    for (;;) {
        hmac(g->algorithm, g->k, (struct slice[]){{g->v, n}}, 1, g->v);
        ensure(BN_bin2bn(g->v, (int)n, out) != NULL);
        if (!BN_is_zero(out) && BN_cmp(out, order) < 0)
            return;
        hmac(g->algorithm, g->k, (struct slice[]){{g->v, n}, {&zero, 1}}, 2, g->k);
        hmac(g->algorithm, g->k, (struct slice[]){{g->v, n}}, 1, g->v);
    }
}

/* bits2octets: the digest less the order where it is not below it (both have as many bits). */
static void reduce_digest(struct crypto *c, const BIGNUM *order, const uint8_t *digest, size_t n,
                          uint8_t *out)
{
    ensure(BN_bin2bn(digest, (int)n, c->r) != NULL);
    if (BN_cmp(c->r, order) >= 0)
        ensure(BN_sub(c->r, c->r, order));
    ensure(BN_bn2binpad(c->r, out, (int)n) == (int)n);
}

/* r and 1/k of the nonce in c->k; false: r is zero, and another nonce is to be taken. */
static bool prepare_signature(struct crypto *c, const struct secret *s)
{
    const EC_GROUP *group = EC_KEY_get0_group(s->ec);
    const BIGNUM *order = EC_GROUP_get0_order(group);
    EC_POINT *point = EC_POINT_new(group);

    ensure(point != NULL && EC_POINT_mul(group, point, c->k, NULL, NULL, c->bn) == 1);
    ensure(EC_POINT_get_affine_coordinates(group, point, c->r, NULL, c->bn) == 1);
    EC_POINT_clear_free(point);
    ensure(BN_nnmod(c->r, c->r, order, c->bn) == 1);
    /* By Fermat's little theorem, in constant time. */
    ensure(BN_mod_exp_mont_consttime(c->k_inverse, c->k, s->order_minus_2, order, c->bn,
                                     EC_GROUP_get_mont_data(group)) == 1);
    return !BN_is_zero(c->r);
}

static void sign_ecdsa(struct crypto *c, const struct secret *s, const uint8_t *data, size_t n,
                       uint8_t *out)
{
    const struct algorithm *a = s->algorithm;
    const BIGNUM *order = EC_GROUP_get0_order(EC_KEY_get0_group(s->ec)), *r, *t;
    uint8_t digest[SIGN_DIGEST_MAX], message[SIGN_DIGEST_MAX];
    int half = a->private_bytes;
    ECDSA_SIG *signature;
    struct nonces nonces;

    hash(a, &(struct slice){data, n}, 1, digest);
    reduce_digest(c, order, digest, a->private_bytes, message);
    start_nonces(&nonces, s, message);
    do
        next_nonce(&nonces, order, c->k);
    while (!prepare_signature(c, s));
    signature = ECDSA_do_sign_ex(digest, half, c->k_inverse, c->r, s->ec);
    ensure(signature != NULL);
    ECDSA_SIG_get0(signature, &r, &t);
    ensure(BN_bn2binpad(r, out, half) == half && BN_bn2binpad(t, out + half, half) == half);
    ECDSA_SIG_free(signature);
    BN_clear(c->k);
    BN_clear(c->k_inverse);
    OPENSSL_cleanse(&nonces, sizeof(nonces));
}

static void sign_ed25519(struct crypto *c, const struct secret *s, const uint8_t *data, size_t n,
                         uint8_t *out)
{
    size_t n_out = s->algorithm->signature_bytes;

    ensure(EVP_MD_CTX_reset(c->md) == 1);
    ensure(EVP_DigestSignInit(c->md, NULL, NULL, NULL, s->ed) == 1);
    ensure(EVP_DigestSign(c->md, out, &n_out, data, n) == 1);
}

void crypto_sign(struct crypto *c, const struct secret *s, const uint8_t *data, size_t n,
                 uint8_t out[SIGN_SIGNATURE_MAX])
{
    if (s->ed != NULL)
        sign_ed25519(c, s, data, n, out);
    else
        sign_ecdsa(c, s, data, n, out);
}

/* ---- Digests that need no key ---- */

size_t crypto_ds_digest(uint8_t digest_type, const uint8_t *owner, size_t n_owner,
                        const uint8_t *dnskey, size_t n_dnskey, uint8_t out[SIGN_DIGEST_MAX])
{
    const struct algorithm *a =
        algorithm_find(digest_type == 2 ? SIGN_ECDSAP256SHA256 : SIGN_ECDSAP384SHA384);

    hash(a, (struct slice[]){{owner, n_owner}, {dnskey, n_dnskey}}, 2, out);
    return a->private_bytes;
}

void sign_nsec3_hash(const uint8_t *name, size_t n, const uint8_t *salt, size_t n_salt,
                     unsigned iterations, uint8_t out[SIGN_NSEC3_HASH_BYTES])
{
    SHA_CTX c;

    SHA1_Init(&c);
    SHA1_Update(&c, name, n);
    SHA1_Update(&c, salt, n_salt);
    SHA1_Final(out, &c);
    for (unsigned i = 0; i < iterations; i++) {
        SHA1_Init(&c);
        SHA1_Update(&c, out, SIGN_NSEC3_HASH_BYTES);
        SHA1_Update(&c, salt, n_salt);
        SHA1_Final(out, &c);
    }
}
