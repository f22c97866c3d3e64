/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The search: a poptrie (Asai and Ohara, SIGCOMM 2015) over keys of up to 128 bits, left-aligned in
 * two words; an IPv4 address fills the upper half of the first. One cache miss at most per six
 * bits, and leaves as deep as a class boundary only, so most searches end after one or two nodes.
 */
#include "gslb-dns/geo/geo_internal.h"

#include "common/bytes/bytes.h"

#include <stdlib.h>
#include <string.h>

#define DIRECT_BITS 16
#define STEP_BITS 6
#define SLOTS 64

/* Counting bits is one instruction on any x86 since 2008, but not in the compiler's baseline. The
 * sanitizers start too late for the resolver that picks the clone. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__clang__)
#define WITH_POPCNT __attribute__((target_clones("popcnt", "default")))
#else
#define WITH_POPCNT
#endif

struct key {
    uint64_t hi, lo;
};

static inline struct key key_of(const struct ip *ip)
{
    const uint8_t *b = ip->bytes;

    if (ip->family == 4)
        return (struct key){(uint64_t)bytes_get_u32(b) << 32, 0};
    return (struct key){(uint64_t)bytes_get_u32(b) << 32 | bytes_get_u32(b + 4),
                        (uint64_t)bytes_get_u32(b + 8) << 32 | bytes_get_u32(b + 12)};
}

static inline uint64_t bits_below(unsigned slot)
{
    return ((uint64_t)1 << slot) - 1;
}

static inline __attribute__((always_inline)) uint32_t find_leaf(const struct geo_table *t,
                                                                struct key key)
{
    uint32_t entry = t->direct[key.hi >> (64 - DIRECT_BITS)];
    const struct geo_node *node;
    uint64_t word = key.hi;
    unsigned shift = 64 - DIRECT_BITS - STEP_BITS, slot;

    if (entry & GEO_LEAF_FLAG)
        return entry & ~GEO_LEAF_FLAG;
    node = &t->nodes[entry];
    for (;;) {
        slot = word >> shift & (SLOTS - 1);
        if (!(node->children >> slot & 1))
            break;
        node = &t->nodes[node->child_base +
                         (unsigned)__builtin_popcountll(node->children & bits_below(slot))];
        /* 16 and eight steps make the first word; ten steps and four bits the second. */
        if (shift >= STEP_BITS) {
            shift -= STEP_BITS;
        } else if (shift == 0) {
            word = key.lo;
            shift = 64 - STEP_BITS;
        } else {
            word <<= STEP_BITS - shift;
            shift = 0;
        }
    }
    /* 2 << 63 is 0: all bits up to and with slot 63. */
    return t
        ->leaves[node->leaf_base - 1 +
                 (unsigned)__builtin_popcountll(node->leaf_starts & (((uint64_t)2 << slot) - 1))];
}

static struct geo_class class_of_embedded(const struct geo_map *map, const struct ip *ip,
                                          uint32_t leaf)
{
    const struct geo_embedding *e = &geo_embeddings[GEO_LEAF_CLASS(leaf) - GEO_CLASSES_MAX];
    struct ip v4 = geo_embedded_ip(e, ip);
    struct geo_class found = geo_find(map, &v4);
    unsigned scope = 8u * e->at + found.scope;

    /* The leaf is deeper than its embedding's prefix where an override cut into that. */
    found.scope = (uint8_t)(scope > GEO_LEAF_DEPTH(leaf) ? scope : GEO_LEAF_DEPTH(leaf));
    return found;
}

WITH_POPCNT struct geo_class geo_find(const struct geo_map *map, const struct ip *ip)
{
    uint32_t leaf = find_leaf(ip->family == 4 ? &map->v4 : &map->v6, key_of(ip));

    if (unlikely(GEO_LEAF_CLASS(leaf) >= GEO_CLASSES_MAX))
        return class_of_embedded(map, ip, leaf);
    return (struct geo_class){GEO_LEAF_CLASS(leaf), GEO_LEAF_DEPTH(leaf)};
}

void geo_prefetch(const struct geo_map *map, const struct ip *ip)
{
    const struct geo_table *t = ip->family == 4 ? &map->v4 : &map->v6;
    uint32_t entry = t->direct[bytes_get_u16(ip->bytes)];

    if (!(entry & GEO_LEAF_FLAG))
        __builtin_prefetch(&t->nodes[entry]);
}

typedef unsigned __int128 wide;

static struct prefix prefix_at(wide address, int family, uint8_t length)
{
    struct prefix p = {.ip = {.family = (uint8_t)family}, .length = length};

    for (unsigned i = 0; i < ip_bits(&p.ip) / 8; i++)
        p.ip.bytes[i] = (uint8_t)(address >> (120 - 8 * i));
    return p;
}

void geo_map_visit(const struct geo_map *map, int family, geo_visit *visit, void *arg)
{
    const struct geo_table *t = family == 4 ? &map->v4 : &map->v6;
    wide address = 0;

    do {
        uint32_t leaf = find_leaf(t, (struct key){(uint64_t)(address >> 64), (uint64_t)address});
        struct prefix p = prefix_at(address, family, GEO_LEAF_DEPTH(leaf));
        uint32_t class_id = GEO_LEAF_CLASS(leaf);

        visit(arg, &p, class_id < GEO_CLASSES_MAX ? class_id : GEO_CLASS_EMBEDDED);
        if (p.length == 0)
            return;
        address += (wide)1 << (128 - p.length);
    } while (address != 0);
}

/* Takes leaves from a stream in the order of addresses, so no address is ever needed. */
struct build {
    struct geo_table *table;
    const uint32_t *next;
};

static uint32_t add_nodes(struct geo_table *t, const struct geo_node *nodes, uint32_t n)
{
    uint32_t base = t->n_nodes;

    memcpy(t->nodes + base, nodes, n * sizeof(*nodes));
    t->n_nodes += n;
    return base;
}

static uint32_t add_leaves(struct geo_table *t, const uint32_t *leaves, uint32_t n)
{
    uint32_t base = t->n_leaves;

    memcpy(t->leaves + base, leaves, n * sizeof(*leaves));
    t->n_leaves += n;
    return base;
}

static struct geo_node build_node(struct build *b, unsigned depth)
{
    struct geo_node node = {0}, children[SLOTS];
    uint32_t leaves[SLOTS];
    uint32_t n_children = 0, n_leaves = 0;

    for (unsigned slot = 0; slot < SLOTS;) {
        uint32_t leaf = *b->next;
        unsigned leaf_depth = GEO_LEAF_DEPTH(leaf);

        if (leaf_depth > depth + STEP_BITS) {
            node.children |= (uint64_t)1 << slot;
            children[n_children++] = build_node(b, depth + STEP_BITS);
            slot++;
            continue;
        }
        b->next++;
        if (n_leaves == 0 || leaves[n_leaves - 1] != leaf) {
            node.leaf_starts |= (uint64_t)1 << slot;
            leaves[n_leaves++] = leaf;
        }
        slot += 1u << (depth + STEP_BITS - leaf_depth);
    }
    node.child_base = add_nodes(b->table, children, n_children);
    node.leaf_base = add_leaves(b->table, leaves, n_leaves);
    return node;
}

void geo_table_build(struct geo_table *t, const uint32_t *leaves, size_t n)
{
    struct build b = {t, leaves};
    struct geo_node node;

    /* Each node parts at least two leaves; a leaf is a word in the node of its depth. */
    *t = (struct geo_table){
        .direct = base_alloc(sizeof(*t->direct) << DIRECT_BITS),
        .nodes = base_alloc_large(n * sizeof(*t->nodes)),
        .leaves = base_alloc_large(n * sizeof(*t->leaves)),
    };
    for (size_t slot = 0; slot < (size_t)1 << DIRECT_BITS;) {
        uint32_t leaf = *b.next;
        size_t span = 1;

        if (GEO_LEAF_DEPTH(leaf) > DIRECT_BITS) {
            node = build_node(&b, DIRECT_BITS);
            t->direct[slot++] = add_nodes(t, &node, 1);
            continue;
        }
        b.next++;
        span = (size_t)1 << (DIRECT_BITS - GEO_LEAF_DEPTH(leaf));
        while (span-- > 0)
            t->direct[slot++] = leaf | GEO_LEAF_FLAG;
    }
    ensure(b.next == leaves + n);
    t->nodes = base_realloc(t->nodes, (t->n_nodes + 1) * sizeof(*t->nodes));
    t->leaves = base_realloc(t->leaves, (t->n_leaves + 1) * sizeof(*t->leaves));
}

void geo_table_free(struct geo_table *t)
{
    free(t->direct);
    free(t->nodes);
    free(t->leaves);
}

size_t geo_table_bytes(const struct geo_table *t)
{
    return (sizeof(*t->direct) << DIRECT_BITS) + t->n_nodes * sizeof(*t->nodes) +
           t->n_leaves * sizeof(*t->leaves);
}
