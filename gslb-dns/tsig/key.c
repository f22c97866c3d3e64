/* SPDX-License-Identifier: BSD-2-Clause */
/* Algorithms, keys and the record as it is read. */
#include "gslb-dns/tsig/tsig_internal.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* RFC 8945 section 6, strongest use first; MD5 is left out: section 10 gives it up. */
static struct tsig_algorithm algorithms[] = {
    {"hmac-sha256", "SHA256", {0}, 32}, {"hmac-sha384", "SHA384", {0}, 48},
    {"hmac-sha512", "SHA512", {0}, 64}, {"hmac-sha224", "SHA224", {0}, 28},
    {"hmac-sha1", "SHA1", {0}, 20},
};

static void fill_names(void)
{
    for (size_t i = 0; i < COUNT_OF(algorithms); i++)
        ensure(wire_name_parse(str_of(algorithms[i].name), &algorithms[i].wire));
}

const struct tsig_algorithm *tsig_algorithm(int number)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, fill_names);
    return &algorithms[number];
}

int tsig_algorithm_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(algorithms); i++)
        if (str_is_nocase(str_of(name), algorithms[i].name))
            return (int)i;
    return -1;
}

bool tsig_name_eq(const struct wire_name *a, const struct wire_name *b)
{
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

int tsig_algorithm_find_wire(const struct wire_name *name)
{
    for (size_t i = 0; i < COUNT_OF(algorithms); i++)
        if (tsig_name_eq(&tsig_algorithm((int)i)->wire, name))
            return (int)i;
    return -1;
}

const char *tsig_verdict_name(enum tsig_verdict v)
{
    switch (v) {
    case TSIG_OK:
        return "NOERROR";
    case TSIG_MALFORMED:
        return "FORMERR";
    case TSIG_BADSIG:
        return "BADSIG";
    case TSIG_BADKEY:
        return "BADKEY";
    case TSIG_BADTIME:
        return "BADTIME";
    case TSIG_BADTRUNC:
        return "BADTRUNC";
    }
    return "?";
}

/* ---- keys ---- */

static EVP_MAC_CTX *new_mac(const struct tsig_algorithm *a, const uint8_t *secret, size_t n)
{
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", (char *)a->digest, 0),
                           OSSL_PARAM_construct_end()};

    ensure(hmac != NULL);
    ctx = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);
    ensure(ctx != NULL && EVP_MAC_init(ctx, secret, n, params) == 1);
    return ctx;
}

struct tsig_key *tsig_key_new(const struct wire_name *name, const char *algorithm,
                              const uint8_t *secret, size_t n)
{
    int number = tsig_algorithm_find(algorithm);
    struct tsig_key *k;

    if (number < 0)
        return NULL;
    k = base_zalloc(1, sizeof(*k));
    k->name = *name;
    k->algorithm = (uint8_t)number;
    k->mac = new_mac(tsig_algorithm(number), secret, n);
    return k;
}

struct tsig_key *tsig_key_dup(const struct tsig_key *k)
{
    struct tsig_key *copy = base_alloc(sizeof(*copy));

    *copy = *k;
    copy->mac = EVP_MAC_CTX_dup(k->mac);
    ensure(copy->mac != NULL);
    return copy;
}

void tsig_key_free(struct tsig_key *k)
{
    if (k == NULL)
        return;
    EVP_MAC_CTX_free(k->mac);
    free(k);
}

const struct wire_name *tsig_key_name(const struct tsig_key *k)
{
    return &k->name;
}

const char *tsig_key_algorithm(const struct tsig_key *k)
{
    return tsig_algorithm(k->algorithm)->name;
}

/* EVP_DecodeBlock counts padding as bytes, and takes any white space around. */
size_t tsig_decode_secret(struct str text, uint8_t *out, size_t cap)
{
    size_t n_padding = 0;
    int n;

    if (text.n == 0 || text.n % 4 != 0 || text.n / 4 * 3 > cap)
        return 0;
    for (size_t i = 0; i < text.n; i++) {
        bool is_digit =
            (text.p[i] >= 'a' && text.p[i] <= 'z') || (text.p[i] >= 'A' && text.p[i] <= 'Z') ||
            (text.p[i] >= '0' && text.p[i] <= '9') || text.p[i] == '+' || text.p[i] == '/';

        if (text.p[i] == '=' && i + 2 >= text.n)
            n_padding++;
        else if (!is_digit || n_padding > 0)
            return 0;
    }
    n = EVP_DecodeBlock(out, (const unsigned char *)text.p, (int)text.n);
    return n < 0 ? 0 : (size_t)n - n_padding;
}

/* ---- the record ---- */

static bool read_name(struct reader *r, struct wire_name *out)
{
    if (!wire_name_read(r->p, reader_left(r), out))
        return false;
    r->p += out->length;
    return true;
}

static uint64_t get_u48(const uint8_t *p)
{
    return (uint64_t)bytes_get_u16(p) << 32 | bytes_get_u32(p + 2);
}

/* Names must not be compressed: section 4.2 says so for both. */
bool tsig_read(const uint8_t *message, size_t n, size_t at, struct tsig_record *out)
{
    struct reader r = reader_of(message + at, n - at);
    const uint8_t *fixed;

    out->at = at;
    if (!read_name(&r, &out->key) || (fixed = reader_take(&r, 10)) == NULL)
        return false;
    if (bytes_get_u16(fixed) != WIRE_TSIG || bytes_get_u16(fixed + 2) != WIRE_CLASS_ANY ||
        bytes_get_u32(fixed + 4) != 0 || bytes_get_u16(fixed + 8) != reader_left(&r))
        return false;
    if (!read_name(&r, &out->algorithm) || (fixed = reader_take(&r, 10)) == NULL)
        return false;
    out->time_s = get_u48(fixed);
    out->fudge_s = bytes_get_u16(fixed + 6);
    out->mac_bytes = bytes_get_u16(fixed + 8);
    out->mac = reader_take(&r, out->mac_bytes);
    out->original_id = reader_u16(&r);
    out->error = reader_u16(&r);
    out->other_bytes = reader_u16(&r);
    out->other = reader_take(&r, out->other_bytes);
    return !r.is_bad && reader_left(&r) == 0;
}

bool tsig_find(const uint8_t *message, size_t n, struct tsig_record *out)
{
    struct reader r = reader_of(message, n);
    const uint8_t *header = reader_take(&r, WIRE_HEADER);
    unsigned n_records;

    out->at = 0;
    if (header == NULL)
        return false;
    for (unsigned i = bytes_get_u16(header + 4); i > 0; i--)
        if (!wire_skip_name(&r, message) || reader_take(&r, 4) == NULL)
            return false;
    n_records = (unsigned)bytes_get_u16(header + 6) + bytes_get_u16(header + 8) +
                bytes_get_u16(header + 10);
    for (; n_records > 0; n_records--) {
        size_t at = (size_t)(r.p - message);
        const uint8_t *fixed;

        if (!wire_skip_name(&r, message) || (fixed = reader_take(&r, 10)) == NULL ||
            reader_take(&r, bytes_get_u16(fixed + 8)) == NULL)
            return false;
        if (bytes_get_u16(fixed) != WIRE_TSIG)
            continue;
        return n_records == 1 && bytes_get_u16(header + 10) > 0 && tsig_read(message, n, at, out);
    }
    return reader_left(&r) == 0;
}
