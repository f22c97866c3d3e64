/* SPDX-License-Identifier: BSD-2-Clause */
/* PROXY headers of both versions: what is taken lies within the bytes, no more bytes change the
 * verdict, and who wants one version takes what who wants both takes. */
#include "common/proxy/proxy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BOTH = PROXY_V1 | PROXY_V2 };

static void check_taken(const uint8_t *p, size_t size, const struct proxy_header *whole)
{
    bool is_v2 = proxy_has_signature(p, size);
    struct proxy_header again;

    ensure(whole->bytes <= size);
    ensure(is_v2 ? whole->bytes >= PROXY_FIXED && whole->bytes <= PROXY_MAX
                 : whole->bytes <= PROXY_V1_MAX && p[whole->bytes - 1] == '\n');
    ensure(proxy_parse(p, whole->bytes, BOTH, &again) == PROXY_OK);
    ensure(proxy_parse(p, whole->bytes, is_v2 ? PROXY_V2 : PROXY_V1, &again) == PROXY_OK);
    ensure(proxy_parse(p, whole->bytes - 1, BOTH, &again) == PROXY_MORE);
    if (whole->has_claim)
        ensure(whole->source.length > 0 && whole->destination.length > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    struct proxy_header whole = {0};
    enum proxy_verdict verdict;

    ensure(copy != NULL);
    memcpy(copy, data, size);
    verdict = proxy_parse(copy, size, BOTH, &whole);
    if (verdict == PROXY_OK)
        check_taken(copy, size, &whole);
    else if (verdict == PROXY_MORE && size > 0 && copy[0] == 'P')
        ensure(size < PROXY_V1_MAX);
    else if (verdict == PROXY_MORE)
        ensure(proxy_bytes_wanted(copy, size) > size);
    free(copy);
    return 0;
}
