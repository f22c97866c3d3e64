/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The search, over keys of up to 128 bits, left-aligned in two words; an IPv4 address fills the
 * upper half of the first. Most are three reads without a choice: the array of the first 16 bits,
 * which stays in the cache, a block and a leaf, which can be asked for some packets ahead. What is
 * deeper than 24 bits is a poptrie (Asai and Ohara, SIGCOMM 2015): one cache miss at most per six
 * bits, and leaves as deep as a class boundary only.
 */
#include "gslb-dns/geo/geo_internal.h"

#include "common/bytes/bytes.h"

#include <stdlib.h>
#include <string.h>

#define DIRECT_BITS 16
#define DIRECT_SLOTS ((size_t)1 << DIRECT_BITS)
#define BLOCK_BITS 8
#define BLOCK_SLOTS 256
#define BLOCK_END (DIRECT_BITS + BLOCK_BITS)
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

/* With slot 63, 2 << 63 is 0: all bits. */
static inline uint64_t bits_up_to(unsigned slot)
{
    return ((uint64_t)2 << slot) - 1;
}

/* Where a block has the word of a key. */
static inline __attribute__((always_inline)) const uint32_t *
find_in_block(const struct geo_table *t, const struct geo_block *block, struct key key)
{
    unsigned slot = key.hi >> (64 - BLOCK_END) & (BLOCK_SLOTS - 1), word = slot / 64;

    return &t->leaves[block->leaf_base + block->before[word] - 1 +
                      (unsigned)__builtin_popcountll(block->leaf_starts[word] &
                                                     bits_up_to(slot % 64))];
}

static inline __attribute__((always_inline)) uint32_t find_below(const struct geo_table *t,
                                                                 uint32_t index, struct key key)
{
    const struct geo_node *node = &t->nodes[index];
    uint64_t left = key.hi << BLOCK_END | key.lo >> (64 - BLOCK_END), more = key.lo << BLOCK_END;
    unsigned slot = left >> (64 - STEP_BITS);

    while (node->children >> slot & 1) {
        node = &t->nodes[node->child_base +
                         (unsigned)__builtin_popcountll(node->children & bits_below(slot))];
        left = left << STEP_BITS | more >> (64 - STEP_BITS);
        more <<= STEP_BITS;
        slot = left >> (64 - STEP_BITS);
    }
    return t->leaves[node->leaf_base - 1 +
                     (unsigned)__builtin_popcountll(node->leaf_starts & bits_up_to(slot))];
}

static inline __attribute__((always_inline)) uint32_t find_leaf(const struct geo_table *t,
                                                                struct key key)
{
    uint32_t word = *find_in_block(t, &t->blocks[t->direct[key.hi >> (64 - DIRECT_BITS)]], key);

    return unlikely(word & GEO_LEAF_FLAG) ? find_below(t, word & ~GEO_LEAF_FLAG, key) : word;
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

static inline const struct geo_table *table_for(const struct geo_map *map, const struct ip *ip)
{
    return ip->family == 4 ? &map->v4 : &map->v6;
}

static inline const struct geo_block *block_of(const struct geo_table *t, const struct ip *ip)
{
    return &t->blocks[t->direct[bytes_get_u16(ip->bytes)]];
}

void geo_prefetch(const struct geo_map *map, const struct ip *ip)
{
    __builtin_prefetch(block_of(table_for(map, ip), ip));
}

WITH_POPCNT void geo_prefetch_leaf(const struct geo_map *map, const struct ip *ip)
{
    const struct geo_table *t = table_for(map, ip);

    __builtin_prefetch(find_in_block(t, block_of(t, ip), key_of(ip)));
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
    struct whole {
        uint32_t leaf, block;
        bool is_used;
    } whole[1024];
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

/* A slot with longer prefixes has a node. */
static struct geo_block build_block(struct build *b)
{
    struct geo_block block = {0};
    uint32_t leaves[BLOCK_SLOTS];
    uint32_t n_leaves = 0;

    for (unsigned slot = 0; slot < BLOCK_SLOTS;) {
        uint32_t leaf = *b->next;
        unsigned depth = GEO_LEAF_DEPTH(leaf);

        if (depth > BLOCK_END) {
            struct geo_node node = build_node(b, BLOCK_END);
            leaf = GEO_LEAF_FLAG | add_nodes(b->table, &node, 1);
            depth = BLOCK_END;
        } else {
            b->next++;
        }
        if (n_leaves == 0 || leaves[n_leaves - 1] != leaf) {
            block.leaf_starts[slot / 64] |= (uint64_t)1 << slot % 64;
            leaves[n_leaves++] = leaf;
        }
        slot += 1u << (BLOCK_END - depth);
    }
    for (unsigned word = 1; word < COUNT_OF(block.before); word++)
        block.before[word] = (uint8_t)(block.before[word - 1] +
                                       (unsigned)__builtin_popcountll(block.leaf_starts[word - 1]));
    block.leaf_base = add_leaves(b->table, leaves, n_leaves);
    return block;
}

/* The block of a leaf that fills one or more, so that the search need not ask: most of the leaves
 * that there are, each once. */
static uint32_t block_of_leaf(struct build *b, uint32_t leaf)
{
    struct geo_table *t = b->table;
    struct whole *w = &b->whole[leaf * 2654435769u >> 22];

    if (w->leaf != leaf || !w->is_used) {
        *w = (struct whole){leaf, t->n_blocks, true};
        t->blocks[t->n_blocks++] = (struct geo_block){
            .leaf_starts = {1}, .before = {0, 1, 1, 1}, .leaf_base = add_leaves(t, &leaf, 1)};
    }
    return w->block;
}

static void build_direct(struct build *b)
{
    struct geo_table *t = b->table;

    for (size_t slot = 0; slot < DIRECT_SLOTS;) {
        uint32_t leaf = *b->next, block;
        size_t span = 1;

        if (GEO_LEAF_DEPTH(leaf) > DIRECT_BITS) {
            t->blocks[t->n_blocks] = build_block(b);
            block = t->n_blocks++;
        } else {
            b->next++;
            span = (size_t)1 << (DIRECT_BITS - GEO_LEAF_DEPTH(leaf));
            block = block_of_leaf(b, leaf);
        }
        while (span-- > 0)
            t->direct[slot++] = block;
    }
}

/* A block has at least one leaf of its own, a node two; a leaf is a word of the one that it is in,
 * and so is a slot of a block that leads deeper. */
void geo_table_build(struct geo_table *t, const uint32_t *leaves, size_t n)
{
    struct build b = {.table = t, .next = leaves};
    size_t blocks_max = n < DIRECT_SLOTS ? n : DIRECT_SLOTS;

    *t = (struct geo_table){
        .direct = base_alloc(DIRECT_SLOTS * sizeof(*t->direct)),
        .blocks = base_alloc_large((blocks_max + 1) * sizeof(*t->blocks)),
        .nodes = base_alloc_large(n * sizeof(*t->nodes)),
        .leaves = base_alloc_large(2 * n * sizeof(*t->leaves)),
    };
    build_direct(&b);
    ensure(b.next == leaves + n);
    t->nodes = base_realloc(t->nodes, (t->n_nodes + 1) * sizeof(*t->nodes));
    t->leaves = base_realloc(t->leaves, (t->n_leaves + 1) * sizeof(*t->leaves));
}

void geo_table_free(struct geo_table *t)
{
    free(t->direct);
    free(t->blocks);
    free(t->nodes);
    free(t->leaves);
}

size_t geo_table_bytes(const struct geo_table *t)
{
    return DIRECT_SLOTS * sizeof(*t->direct) + t->n_blocks * sizeof(*t->blocks) +
           t->n_nodes * sizeof(*t->nodes) + t->n_leaves * sizeof(*t->leaves);
}
