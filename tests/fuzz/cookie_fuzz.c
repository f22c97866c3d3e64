/* SPDX-License-Identifier: BSD-2-Clause */
/* Any option as a cookie: judged without reading beyond it, never valid unless made here, and what
 * goes back is good at once. */
#include "gslb-dns/cookie/cookie.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { CLIENT_BYTES = 17, OPTION_MAX = 40 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct cookie_secrets secrets = {.keys = {{1, 2}, {3, 4}}, .n = 2};
    struct ip client = {.family = 4};
    struct siphash_key key;
    uint8_t out[COOKIE_BYTES], again[COOKIE_BYTES], *cookie;
    uint32_t now_s;

    if (cookie_parse_secret((struct str){(const char *)data, n}, &key))
        ensure(n == COOKIE_SECRET_DIGITS);
    if (n < CLIENT_BYTES + sizeof(now_s) + COOKIE_CLIENT_BYTES)
        return 0;
    if (data[0] & 1)
        client.family = 6;
    memcpy(client.bytes, data + 1, ip_bits(&client) / 8);
    memcpy(&now_s, data + CLIENT_BYTES, sizeof(now_s));
    data += CLIENT_BYTES + sizeof(now_s);
    n -= CLIENT_BYTES + sizeof(now_s);
    n = n > OPTION_MAX ? OPTION_MAX : n;
    if (n > COOKIE_CLIENT_BYTES && n < 16)
        n = COOKIE_CLIENT_BYTES; /* the others do not come through wire */
    cookie = malloc(n);          /* of just this size, so that a sanitizer sees every byte beyond */
    ensure(cookie != NULL);
    memcpy(cookie, data, n);
    (void)cookie_judge(&secrets, cookie, n, &client, now_s, out);
    free(cookie);
    ensure(cookie_judge(&secrets, out, sizeof(out), &client, now_s, again) == COOKIE_VALID);
    ensure(memcmp(again, out, sizeof(out)) == 0 && memcmp(out, data, COOKIE_CLIENT_BYTES) == 0);
    return 0;
}
