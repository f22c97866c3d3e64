/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/geo/geo_internal.h"

#include <string.h>

/* clang-format off */
const struct geo_embedding geo_embeddings[GEO_EMBEDDINGS] = {
    {{{6, {0}}, 96}, 12, false},                                  /* where databases keep IPv4 */
    {{{6, {[10] = 0xff, [11] = 0xff}}, 96}, 12, false},           /* mapped, RFC 4291 */
    {{{6, {[8] = 0xff, [9] = 0xff}}, 96}, 12, false},             /* translated, RFC 7915 */
    {{{6, {0x00, 0x64, 0xff, 0x9b}}, 96}, 12, false},             /* NAT64, RFC 6052 */
    {{{6, {0x20, 0x02}}, 16}, 2, false},                          /* 6to4, RFC 3056 */
    {{{6, {0x20, 0x01}}, 32}, 12, true},                          /* Teredo, RFC 4380 section 4 */
};
/* clang-format on */

struct ip geo_embedded_ip(const struct geo_embedding *e, const struct ip *ip)
{
    struct ip v4 = {.family = 4};

    for (unsigned i = 0; i < 4; i++)
        v4.bytes[i] = ip->bytes[e->at + i] ^ (e->is_inverted ? 0xff : 0);
    return v4;
}
