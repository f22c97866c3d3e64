/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside geo: the opened files (geo_db.c), what their records say (geo_record.c), the walk that
 * merges them into leaves (geo_compile.c), and the table that is searched (geo_table.c).
 */
#ifndef GSLB_DNS_GEO_INTERNAL_H
#define GSLB_DNS_GEO_INTERNAL_H

#include "gslb-dns/geo/geo.h"

#include <maxminddb.h>
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

/* ---- geo_db.c ---- */

struct geo_file {
    char *path;
    int original; /* the operator's file, which others may write to: never mapped */
    struct stat as_read;
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

/* ---- geo_table.c ---- */

/* A leaf is one word: the class above, the scope (its depth) in the low 8 bits. Bit 31 is free and
 * marks a leaf where words of both kinds stand. Classes from GEO_CLASSES_MAX on stand for
 * geo_embeddings. */
#define GEO_LEAF(class_id, depth) ((uint32_t)(class_id) << 8 | (depth))
#define GEO_LEAF_CLASS(leaf) ((leaf) >> 8)
#define GEO_LEAF_DEPTH(leaf) ((uint8_t)(leaf))
#define GEO_LEAF_FLAG 0x80000000u
_Static_assert(((GEO_CLASSES_MAX + GEO_EMBEDDINGS) << 8) < GEO_LEAF_FLAG, "classes fill bit 31");

/* One step of six bits. Slots that lead deeper are in children, and their nodes lie one after the
 * other from child_base; the other slots are leaves, where equal neighbours share one word: a bit
 * in leaf_starts says that a new word begins. */
struct geo_node {
    uint64_t children, leaf_starts;
    uint32_t child_base, leaf_base;
};

/* A poptrie: the first 16 bits by a plain array, six more with each node. */
struct geo_table {
    uint32_t *direct; /* 65536 words: a leaf with GEO_LEAF_FLAG, or the index of a node */
    struct geo_node *nodes;
    uint32_t *leaves;
    uint32_t n_nodes, n_leaves, nodes_cap, leaves_cap;
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
