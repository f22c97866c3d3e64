/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/cookie/cookie.h"

#include "common/bytes/bytes.h"

#include <endian.h>
#include <string.h>

enum {
    VERSION = 1,
    VERSION_AT = 8,
    TIME_AT = 12,
    HASH_AT = 16,
    /* RFC 9018 section 4.3. */
    OLDEST_S = 3600,
    NEWEST_S = 300,
    RENEW_S = 1800,
};

/* Over the client's half, version, reserved and timestamp as they stand, and the address without
 * its port: RFC 9018 section 4.4. */
static uint64_t hash_cookie(const struct siphash_key *key, const uint8_t *cookie,
                            const struct ip *client)
{
    uint8_t input[HASH_AT + sizeof(client->bytes)];
    size_t address_bytes = ip_bits(client) / 8;

    memcpy(input, cookie, HASH_AT);
    memcpy(input + HASH_AT, client->bytes, address_bytes);
    return htole64(siphash_24(key, input, HASH_AT + address_bytes));
}

/* Which secret made it; secrets->n: none. The time that a comparison takes tells nothing that
 * would help to guess the next byte. */
static size_t find_secret(const struct cookie_secrets *secrets, const uint8_t *cookie,
                          const struct ip *client)
{
    uint64_t hash;
    size_t i;

    memcpy(&hash, cookie + HASH_AT, sizeof(hash));
    for (i = 0; i < secrets->n; i++) {
        if (hash_cookie(&secrets->keys[i], cookie, client) == hash)
            break;
    }
    return i;
}

static void make_cookie(const struct siphash_key *key, const uint8_t *cookie,
                        const struct ip *client, uint32_t now_s, uint8_t out[COOKIE_BYTES])
{
    uint64_t hash;

    memcpy(out, cookie, COOKIE_CLIENT_BYTES);
    bytes_put_u32(out + VERSION_AT, (uint32_t)VERSION << 24);
    bytes_put_u32(out + TIME_AT, now_s);
    hash = hash_cookie(key, out, client);
    memcpy(out + HASH_AT, &hash, sizeof(hash));
}

enum cookie_verdict cookie_judge(const struct cookie_secrets *secrets, const uint8_t *cookie,
                                 size_t n, const struct ip *client, uint32_t now_s,
                                 uint8_t out[COOKIE_BYTES])
{
    enum cookie_verdict verdict = n == COOKIE_CLIENT_BYTES ? COOKIE_ABSENT : COOKIE_INVALID;
    size_t secret = secrets->n;
    int32_t age_s = 0;

    ensure(secrets->n > 0);
    if (n == COOKIE_BYTES && cookie[VERSION_AT] == VERSION) {
        /* RFC 1982: the difference of two serial numbers, across their end too. */
        age_s = (int32_t)(now_s - bytes_get_u32(cookie + TIME_AT));
        if (age_s >= -NEWEST_S && age_s <= OLDEST_S)
            secret = find_secret(secrets, cookie, client);
    }
    if (secret < secrets->n)
        verdict = COOKIE_VALID;
    if (secret == 0 && age_s <= RENEW_S)
        memcpy(out, cookie, COOKIE_BYTES);
    else
        make_cookie(&secrets->keys[0], cookie, client, now_s, out);
    return verdict;
}

bool cookie_parse_secret(struct str text, struct siphash_key *out)
{
    uint8_t bytes[SIPHASH_KEY_BYTES];

    if (!text_parse_hex(text, bytes, sizeof(bytes)))
        return false;
    *out = siphash_key_of(bytes);
    return true;
}
