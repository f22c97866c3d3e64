/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fewest prefixes of a range of addresses: from its start on always the largest that begins
 * there and ends inside. No two of them are the halves of one prefix, nor could they be with what
 * lies beside the range, which is of another class.
 */
#include "gslb-dns/geo/geo_internal.h"

typedef unsigned __int128 wide;

static void add_word(struct geo_leaves *l, unsigned depth)
{
    BASE_GROW(l->words, l->n, l->cap);
    l->words[l->n++] = GEO_LEAF(l->run_class, depth);
}

static wide wide_of(struct geo_position p)
{
    return (wide)p.high << 64 | p.low;
}

static unsigned log2_of(wide n)
{
    uint64_t high = (uint64_t)(n >> 64);

    return high != 0 ? 127u - (unsigned)__builtin_clzll(high)
                     : 63u - (unsigned)__builtin_clzll((uint64_t)n);
}

/* The end may be 0, beyond the last address. */
static void cut_wide(struct geo_leaves *l, wide at, wide end)
{
    while (at != end) {
        unsigned bits = log2_of(end - at), aligned = at == 0 ? 127 : log2_of(at & -at);

        bits = bits < aligned ? bits : aligned;
        add_word(l, 128 - bits);
        at += (wide)1 << bits;
    }
}

/* The same for what ends at full 64 bits. */
static void cut_high(struct geo_leaves *l, uint64_t at, uint64_t end)
{
    while (at != end) {
        unsigned bits = 63u - (unsigned)__builtin_clzll(end - at);
        unsigned aligned = at == 0 ? 63 : (unsigned)__builtin_ctzll(at);

        bits = bits < aligned ? bits : aligned;
        add_word(l, 64 - bits);
        at += (uint64_t)1 << bits;
    }
}

void geo_leaves_cut(struct geo_leaves *l)
{
    struct geo_position at = l->run_start, end = l->end;

    if (likely((at.low | end.low) == 0))
        cut_high(l, at.high, end.high);
    else
        cut_wide(l, wide_of(at), wide_of(end));
    l->run_start = end;
}

void geo_leaves_end(struct geo_leaves *l)
{
    if (l->n == 0)
        add_word(l, 0);
    else
        geo_leaves_cut(l);
}
