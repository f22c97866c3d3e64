/* SPDX-License-Identifier: BSD-2-Clause */
/* Prefixes as sorted ranges: a list of a hundred thousand costs seventeen steps. */
#include "edge-proxy/guard/guard_internal.h"

#include <stdlib.h>
#include <string.h>

static struct network range_of(const struct prefix *p)
{
    struct network out = {{0}, {0}};
    unsigned bits = p->length, n = ip_bits(&p->ip) / 8;

    memcpy(out.first, p->ip.bytes, n);
    memcpy(out.last, p->ip.bytes, n);
    for (unsigned i = 0; i < n; i++) {
        unsigned kept = bits > 8 * i ? bits - 8 * i : 0;

        if (kept < 8)
            out.last[i] |= (uint8_t)(0xff >> kept);
    }
    return out;
}

static int by_first(const void *a, const void *b)
{
    const struct network *x = a, *y = b;

    return memcmp(x->first, y->first, sizeof(x->first));
}

/* Prefixes are nested or disjoint: a range that begins in the one before lies in it. */
static size_t merge(struct network *v, size_t n)
{
    size_t out = 0;

    if (n == 0)
        return 0;
    qsort(v, n, sizeof(*v), by_first);
    for (size_t i = 1; i < n; i++) {
        if (memcmp(v[i].first, v[out].last, sizeof(v[i].first)) > 0)
            v[++out] = v[i];
        else if (memcmp(v[i].last, v[out].last, sizeof(v[i].last)) > 0)
            v[out] = v[i]; /* the same start, a shorter prefix */
    }
    return out + 1;
}

void networks_build(struct networks *out, const struct prefix *prefixes, size_t n)
{
    *out = (struct networks){0};
    if (n == 0)
        return;
    out->v4 = base_zalloc(n, sizeof(*out->v4));
    out->v6 = base_zalloc(n, sizeof(*out->v6));
    for (size_t i = 0; i < n; i++) {
        if (prefixes[i].ip.family == 4)
            out->v4[out->n_v4++] = range_of(&prefixes[i]);
        else
            out->v6[out->n_v6++] = range_of(&prefixes[i]);
    }
    out->n_v4 = merge(out->v4, out->n_v4);
    out->n_v6 = merge(out->v6, out->n_v6);
}

void networks_free(struct networks *s)
{
    free(s->v4);
    free(s->v6);
}

bool networks_have(const struct networks *s, const struct ip *ip)
{
    const struct network *v = ip->family == 4 ? s->v4 : s->v6;
    size_t low = 0, high = ip->family == 4 ? s->n_v4 : s->n_v6;
    size_t bytes = ip_bits(ip) / 8;

    /* The last range that does not begin behind ip is at low - 1. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(v[middle].first, ip->bytes, bytes) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && memcmp(ip->bytes, v[low - 1].last, bytes) <= 0;
}
