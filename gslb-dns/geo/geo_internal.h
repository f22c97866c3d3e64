/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside geo: the opened files (geo_db.c), what their records say (geo_record.c), the walk that
 * makes places of them (geo_places.c), those places kept in a file (geo_cache.c), the classes that
 * a plan gives them (geo_compile.c), and the table that is searched (geo_table.c). Their common
 * form is a list of leaves (geo_leaves.c).
 */
#ifndef GSLB_DNS_GEO_INTERNAL_H
#define GSLB_DNS_GEO_INTERNAL_H

#include "gslb-dns/geo/geo.h"

#include <maxminddb.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- geo_record.c ---- */

/* Where a database keeps what: paths of map keys, each ended by NULL; an empty path: not there. */
struct geo_layout {
    const char *name;
    const char *country[3], *fallback_country[3], *continent[3], *latitude[3], *longitude[3];
};

/* The first layout under which this record has a country or coordinates; NULL: none. */
const struct geo_layout *geo_record_detect(const MMDB_s *mmdb, uint32_t offset);
/* Reads a record; nothing in it: all has_ false. Fails when its data is damaged. */
MUST_USE struct outcome geo_record_read(const MMDB_s *mmdb, const struct geo_layout *layout,
                                        uint32_t offset, struct geo_location *out);
/* Fills in the population centre of where->country; nothing when the country is not known. */
void geo_place_at_center(struct geo_location *where);

/* A location, packed: what is kept of a record. All zero: none. */
struct geo_place {
    double latitude, longitude;
    char country[2], continent[2];
    uint32_t flags;
};
_Static_assert(sizeof(struct geo_place) == 24, "no padding: it is hashed and written as it lies");
struct geo_place geo_place_of(const struct geo_location *where);
/* Stands for what is compiled in of how records are read. */
uint64_t geo_record_rules(void);
struct geo_location geo_place_location(const struct geo_place *p);

/* ---- geo_db.c ---- */

/* Tells one state of a file from all others: a write changes its times, a replacement its inode. */
struct geo_identity {
    uint64_t bytes, inode;
    int64_t modified_s, modified_ns, changed_s, changed_ns;
};

struct geo_file {
    char *path;
    int original; /* the operator's file, which others may write to: never mapped */
    struct stat as_read;
    bool is_settled; /* whoever writes to it from now on changes its times */
    bool is_mapped;
    MMDB_s mmdb; /* while is_mapped: of a copy that nobody else can reach */
    bool is_v4;  /* has IPv4 networks alone */
    const struct geo_layout *layout;
};

struct geo_db {
    struct geo_file files[2];
    size_t n_files;
    const struct geo_file *v4, *v6; /* into files; NULL: no file covers the family */
};

/* ---- geo_embed.c: IPv6 addresses that carry an IPv4 address ---- */

struct geo_embedding {
    struct prefix prefix;
    uint8_t at;       /* the byte where the IPv4 address begins */
    bool is_inverted; /* all its bits flipped (Teredo) */
};
#define GEO_EMBEDDINGS 6
extern const struct geo_embedding geo_embeddings[GEO_EMBEDDINGS];
struct ip geo_embedded_ip(const struct geo_embedding *e, const struct ip *ip);

/* ---- leaves ---- */

/* A leaf is one word: the class above, the scope (its depth) in the low 8 bits. Bit 31 is free and
 * marks what is no leaf where words of both kinds stand. Classes from GEO_CLASSES_MAX on stand for
 * geo_embeddings. */
#define GEO_LEAF(class_id, depth) ((uint32_t)(class_id) << 8 | (depth))
#define GEO_LEAF_CLASS(leaf) ((leaf) >> 8)
#define GEO_LEAF_DEPTH(leaf) ((uint8_t)(leaf))
#define GEO_LEAF_FLAG 0x80000000u
_Static_assert(((GEO_CLASSES_MAX + GEO_EMBEDDINGS) << 8) < GEO_LEAF_FLAG, "classes fill bit 31");

/* A place in the order of addresses, left-aligned, of both families; beyond the last one it is 0.
 */
struct geo_position {
    uint64_t high, low;
};

static inline bool geo_is_same_position(struct geo_position a, struct geo_position b)
{
    return a.high == b.high && a.low == b.low;
}

/* Where a prefix of this depth ends that begins here. Few IPv6 prefixes are longer than 64 bits. */
static inline struct geo_position geo_end_of(struct geo_position p, unsigned depth)
{
    if (likely(depth - 1 < 64)) {
        p.high += (uint64_t)1 << (64 - depth);
    } else if (depth > 0) {
        uint64_t low = p.low + ((uint64_t)1 << (128 - depth));
        p.high += low < p.low;
        p.low = low;
    }
    return p;
}

/* Leaves in the order of addresses, without gaps, as few as can be. They need no addresses: each
 * begins where the one before ends. Equal neighbours are one run, which is cut into the fewest
 * prefixes when it ends. */
struct geo_leaves {
    uint32_t *words;
    size_t n, cap;
    uint32_t run_class; /* of what is added but not yet cut */
    struct geo_position run_start, end;
};

void geo_leaves_cut(struct geo_leaves *l);
/* After the last leaf, the end being that of the family again: cuts what is left. If nothing was
 * added all is of class 0. */
void geo_leaves_end(struct geo_leaves *l);

/* Adds a leaf, which begins at the end. */
static inline void geo_leaves_add(struct geo_leaves *l, uint32_t class_id, unsigned depth)
{
    if (class_id != l->run_class) {
        geo_leaves_cut(l);
        l->run_class = class_id;
    }
    l->end = geo_end_of(l->end, depth);
}

/* ---- geo_places.c, geo_cache.c ---- */

/* The state of the files that places are from, and what they are called. */
struct geo_origin {
    char name[256];
    uint64_t paths_hash;
    uint32_t n_files;
    bool is_settled;
    struct geo_identity files[2];
};
struct geo_origin geo_origin_of(const struct geo_db *db);

struct geo_places {
    struct geo_origin origin;
    char *text;               /* what database they are from */
    struct geo_place *places; /* the first: none */
    uint32_t n_places;
    struct geo_leaves v4, v6; /* GEO_LEAF(place, depth) */
    uint32_t records, damaged_records;
    double read_ms;
    void *file; /* NULL, or what the arrays lie in */
};
/* Warns of damaged records. */
void geo_places_warn(const struct geo_places *p, const struct geo_db *db, struct errors *errors);
/* Those of a file in memory, which becomes theirs or is freed; its checksum is not looked at. NULL:
 * it is damaged all the same. */
struct geo_places *geo_places_parse(char *file, size_t bytes);

/* ---- geo_table.c ---- */

/* The step of eight bits from /16 to /24, where most of the Internet's boundaries lie, in one cache
 * line: a bit in leaf_starts says that a slot has a word of its own, the others have that of the
 * slot before. */
struct geo_block {
    _Alignas(CACHE_LINE) uint64_t leaf_starts[4];
    uint8_t before[4]; /* bits in the words of leaf_starts before this one */
    uint32_t leaf_base;
};

/* One step of six bits. Slots that lead deeper are in children, and their nodes lie one after the
 * other from child_base; the other slots are leaves, where equal neighbours share one word: a bit
 * in leaf_starts says that a new word begins. */
struct geo_node {
    uint64_t children, leaf_starts;
    uint32_t child_base, leaf_base;
};

/* The first 16 bits by a plain array, eight by a block, and from there on a poptrie. */
struct geo_table {
    uint32_t *direct; /* 65536 words: the index of a block */
    struct geo_block *blocks;
    struct geo_node *nodes;
    uint32_t *leaves; /* with GEO_LEAF_FLAG, of blocks alone: the index of a node */
    uint32_t n_blocks, n_nodes, n_leaves;
};

struct geo_map {
    struct geo_table v4, v6;
    struct geo_map_stats stats;
};

/* leaves: the whole family's address space in order, without gaps. */
void geo_table_build(struct geo_table *t, const uint32_t *leaves, size_t n);
void geo_table_free(struct geo_table *t);
size_t geo_table_bytes(const struct geo_table *t);

#endif
