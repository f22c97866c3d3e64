/* SPDX-License-Identifier: BSD-2-Clause */
/* PROXY headers: what is taken lies within the bytes, and no more bytes change the verdict. */
#include "common/proxy/proxy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    struct proxy_header whole = {0}, again = {0};
    enum proxy_verdict verdict;

    ensure(copy != NULL);
    memcpy(copy, data, size);
    verdict = proxy_parse(copy, size, &whole);
    if (verdict == PROXY_OK) {
        ensure(whole.bytes >= PROXY_FIXED && whole.bytes <= size && whole.bytes <= PROXY_MAX);
        ensure(proxy_has_signature(copy, size));
        ensure(proxy_parse(copy, whole.bytes, &again) == PROXY_OK);
        ensure(proxy_parse(copy, whole.bytes - 1, &again) == PROXY_MORE);
        if (whole.has_claim)
            ensure(whole.source.length > 0 && whole.destination.length > 0);
    } else if (verdict == PROXY_MORE) {
        ensure(proxy_bytes_wanted(copy, size) > size);
    }
    free(copy);
    return 0;
}
