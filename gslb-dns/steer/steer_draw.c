/* SPDX-License-Identifier: BSD-2-Clause */
/* Draws among branches by weighted rendezvous hashing; the door has the formula. */
#include "gslb-dns/steer/steer_internal.h"

#include <math.h>
#include <string.h>

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t steer_draw_prefix(const struct ip *client)
{
    unsigned bytes;
    uint64_t prefix = 0;

    if (client == NULL)
        return (uint64_t)2 << 48;
    bytes = client->family == 4 ? STEER_DRAW_BITS_V4 / 8 : STEER_DRAW_BITS_V6 / 8;
    for (unsigned i = 0; i < bytes; i++)
        prefix = prefix << 8 | client->bytes[i];
    return client->family == 4 ? prefix : prefix | (uint64_t)1 << 48;
}

/* ---- at load ---- */

static void write_group(struct steer_writer *w, size_t node)
{
    const struct steer_map *map = w->map;
    const struct steer_tree_node *n = &map->nodes[node];
    size_t group = w->n;
    unsigned kind = STEER_GROUP_EQUAL | (n->policy->is_rotating ? STEER_GROUP_ROTATING : 0);

    w->n += STEER_GROUP_HEAD;
    for (uint32_t i = n->first; i < n->first + n->n; i++) {
        size_t head = w->n;

        if (map->branches[i].weight != map->branches[n->first].weight)
            kind &= ~(unsigned)STEER_GROUP_EQUAL;
        w->n += STEER_GROUP_HEAD;
        steer_write_branch(w, i);
        w->list[head] = (uint16_t)i;
        w->list[head + 1] = (uint16_t)(w->n - head - STEER_GROUP_HEAD);
    }
    w->list[group] = (uint16_t)(STEER_GROUP | kind);
    w->list[group + 1] = (uint16_t)(w->n - group - STEER_GROUP_HEAD);
}

/* ---- the hot path ---- */

static bool has_usable(const uint16_t *at, const uint16_t *end, const uint64_t *usable)
{
    while (at < end) {
        if (*at < STEER_GROUP) {
            if (steer_is_usable(usable, *at))
                return true;
            at++;
            continue;
        }
        for (const uint16_t *group_end = at + STEER_GROUP_HEAD + at[1], *b = at + STEER_GROUP_HEAD;
             b < group_end; b += STEER_GROUP_HEAD + b[1])
            if (has_usable(b + STEER_GROUP_HEAD, b + STEER_GROUP_HEAD + b[1], usable))
                return true;
        at += STEER_GROUP_HEAD + at[1];
    }
    return false;
}

const uint16_t *steer_draw_branch(const struct steer_map *map, const uint16_t *group,
                                  const uint64_t *usable, const struct steer_draw *draw)
{
    const uint16_t *end = group + STEER_GROUP_HEAD + group[1], *best = NULL;
    uint64_t key = mix(draw->prefix), most = 0;
    double least = INFINITY;

    if (group[0] & STEER_GROUP_ROTATING)
        key = mix(key + draw->window);
    for (const uint16_t *b = group + STEER_GROUP_HEAD; b < end; b += STEER_GROUP_HEAD + b[1]) {
        const struct steer_tree_branch *branch = &map->branches[b[0]];
        uint64_t h = mix(key ^ branch->salt);

        if (!has_usable(b + STEER_GROUP_HEAD, b + STEER_GROUP_HEAD + b[1], usable))
            continue;
        if (group[0] & STEER_GROUP_EQUAL) { /* the logarithm would order them alike */
            if (best == NULL || h >> 12 > most)
                most = h >> 12, best = b;
        } else {
            double u = ((double)(h >> 12) + 0.5) * 0x1p-52, score = -log(u) / branch->weight;
            if (score < least)
                least = score, best = b;
        }
    }
    return best;
}

uint16_t steer_pick_in(const struct steer_map *map, const uint16_t *at, const uint16_t *end,
                       const uint64_t *usable, const struct steer_draw *draw, bool *has_drawn)
{
    while (at < end) {
        const uint16_t *drawn;

        if (*at < STEER_GROUP) {
            if (steer_is_usable(usable, *at))
                return *at;
            at++;
            continue;
        }
        drawn = steer_draw_branch(map, at, usable, draw);
        if (drawn == NULL) {
            at += STEER_GROUP_HEAD + at[1];
            continue;
        }
        *has_drawn = true;
        at = drawn + STEER_GROUP_HEAD;
        end = at + drawn[1];
    }
    return STEER_NONE;
}

const struct steer_policy steer_weighted = {
    .name = "weighted",
    .summary = "a share of the clients for each usable branch, drawn anew as time goes on",
    .is_drawn = true,
    .is_rotating = true,
    .write = write_group,
};

const struct steer_policy steer_sticky = {
    .name = "sticky",
    .summary = "a share of the clients for each usable branch, the same clients at all times",
    .is_drawn = true,
    .write = write_group,
};
