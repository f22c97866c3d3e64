/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * geo: which location class an address belongs to, and how many of its bits decide that.
 *
 *   geo_db ──geo_places_read──▶ geo_places ──geo_compile──▶ geo_map ──▶ the hot path
 *                                 ▲    │
 *                       a file of its own, between starts
 *
 * A geo_db is an opened GeoIP database (MaxMind DB format), read slowly: one address, one location,
 * for explain. geo_places is what it says of places and nothing else: every prefix with its
 * location, whatever the regions. A geo_map is what the hot path uses: each location given a class
 * by the caller (steer's ranked list), siblings of one class merged. The depth at which a merged
 * leaf lies is the answer's ECS scope (RFC 7871 section 7.2.1): every address under it gets the
 * same class, no two leaves overlap, and no leaf could be shorter.
 *
 * Place: on the DNS path between wire (client address or ECS prefix) and steer.
 * Lifetime: a db and its maps belong to one generation; places live during a load; a map needs
 * neither any more.
 * Threads: built by one thread; finished objects never change and are read by any number.
 */
#ifndef GSLB_DNS_GEO_H
#define GSLB_DNS_GEO_H

#include "common/addr/addr.h"
#include "common/base/base.h"
#include "common/error/error.h"
#include "common/log/log.h"

/* Where a client is, as far as the database knows. */
struct geo_location {
    bool has_country, has_coordinates;
    bool is_country_center; /* the coordinates are the country's population centre */
    char country[3];        /* ISO 3166-1 alpha-2, "" without */
    char continent[3];      /* AF AN AS EU NA OC SA, "" without */
    double latitude, longitude;
};

struct geo_db;
struct geo_map;

/* ---- the database ---- */

/* Opens one file for both families or one for each (told by their metadata; an IPv6 tree holds
 * IPv4 below ::/96). Layouts: MaxMind City and Country, flat ones (country_code, latitude,
 * longitude as double, float or text). NULL: errors says which file (place is where the
 * configuration names it), what is wrong and how to mend it. The file is copied into memory, so
 * that whoever rewrites or truncates it later cannot reach a running server. */
struct geo_db *geo_open(const char *const *paths, size_t n, struct errors *errors,
                        struct place place);
/* The same without reading what is in the files: the database rests, and nothing is known of it
 * but which files these are. */
struct geo_db *geo_open_resting(const char *const *paths, size_t n, struct errors *errors,
                                struct place place);
/* What geo_open does beyond that, and fails with. */
MUST_USE struct outcome geo_read(struct geo_db *db, struct errors *errors, struct place place);
void geo_close(struct geo_db *db);
/* Gives the copy back, of which a city database has 66 MB; only geo_close and geo_wake may follow.
 */
void geo_rest(struct geo_db *db);
/* Copies the files into memory once more, in some 20 ms for a city database. Fails when one of them
 * was written to since geo_open; that it was replaced or removed does not matter. */
MUST_USE struct outcome geo_wake(struct geo_db *db);
/* Are these the same files, as they were (device, inode, size, times)? Any thread. */
bool geo_is_unchanged(const struct geo_db *db, const char *const *paths, size_t n);
/* Looks one address up in the database itself. false: it has no location for it. prefix_bits: the
 * length of the database's own network around ip (not merged, so never shorter than the scope that
 * geo_find gives for the same address, overrides aside). Any thread while the db is awake; about a
 * microsecond. */
bool geo_locate(const struct geo_db *db, const struct ip *ip, struct geo_location *out,
                unsigned *prefix_bits);
/* "geo.mmdb (GeoLite2-City), built 2026-09-18, 66 MiB; …" in fresh memory, for status and logs. The
 * db is awake. */
char *geo_describe(const struct geo_db *db);

/* ---- the places ---- */

struct geo_places;

/* Reads all of an awake db, in O(database) on all cores. NULL: its tree is damaged (errors).
 * progress may be NULL; it counts nodes of the tree. */
struct geo_places *geo_places_read(const struct geo_db *db, struct progress *progress,
                                   struct errors *errors);
void geo_places_free(struct geo_places *p);
/* geo_describe of the database that they are from. */
const char *geo_places_text(const struct geo_places *p);
/* How long it took to read them. */
double geo_places_read_ms(const struct geo_places *p);

/* Keeps them in a file of directory, for later loads; it is there whole or not at all. Any thread,
 * and no hurry: *stop is looked at now and then. what: in fresh memory the file, and why not. */
enum geo_kept {
    GEO_KEPT,
    GEO_KEPT_NOT,   /* not worth it now: another program is at it, or *stop */
    GEO_KEPT_FAILED /* the operator should know */
};
enum geo_kept geo_places_keep(const struct geo_places *p, const char *directory,
                              const _Atomic bool *stop, char **what);
/* Those of an earlier load of the same files (inode, size, times) by the same version. db may rest.
 * NULL: read the db; *why is NULL if none were kept, else in fresh memory why those cannot be used:
 * they are of another state of the files, damaged, cut short. */
struct geo_places *geo_places_load(const struct geo_db *db, const char *directory,
                                   struct errors *errors, char **why);

/* ---- the compiled map ---- */

/* Class ids are below this; 24 bits of a table entry, less those that geo keeps for itself. */
#define GEO_CLASSES_MAX 8000000u

/* An operator's own networks, over what the database says. */
struct geo_override {
    struct prefix prefix;
    uint32_t class_id;
};

struct geo_plan {
    /* The class of a location; NULL: no location. Called once with NULL, then once for each
     * distinct location. */
    uint32_t (*classify)(void *arg, const struct geo_location *where);
    void *arg;
    /* NULL, or: the class_id of overrides is a number for this function, and tells the class of
     * each location in the prefix. Called as the need arises, by one thread at a time. */
    uint32_t (*classify_within)(void *arg, const struct geo_location *where, uint32_t class_id);
    const struct geo_override *overrides; /* any order; the longest prefix wins, then the later */
    size_t n_overrides;
};

/* Compiles, in O(places). places NULL: every address has no location, at scope 0. NULL: there are
 * more classes than GEO_CLASSES_MAX (errors). progress may be NULL; it counts locations. */
struct geo_map *geo_compile(const struct geo_places *places, const struct geo_plan *plan,
                            struct progress *progress, struct errors *errors);
void geo_map_free(struct geo_map *map);

struct geo_map_stats {
    uint32_t leaves_v4, leaves_v6; /* merged prefixes, which cover each family whole */
    uint32_t records;              /* of the database */
    uint32_t damaged_records;      /* of these unreadable, taken as no location */
    uint32_t places;               /* distinct locations that they tell of */
    size_t bytes;
    double compile_ms;
};
struct geo_map_stats geo_map_get_stats(const struct geo_map *map);

struct geo_class {
    uint32_t class_id;
    uint8_t scope; /* leading bits of ip, in its own family, that decide the class */
};

/* The class of an address, on the hot path: no allocation, no lock, some tens of nanoseconds.
 *
 * ECS: look the SOURCE prefix up as an address with zeros behind (RFC 7871 section 6 has it so
 * already) and reply with the scope as it is: it may exceed SOURCE PREFIX-LENGTH, which tells the
 * resolver that a longer prefix would get a better answer (section 7.2.1).
 *
 * An IPv6 address that embeds IPv4 is steered by that: ::/96, ::ffff:0:0/96 (mapped),
 * ::ffff:0:0:0/96 (translated, RFC 7915), 64:ff9b::/96 (NAT64, RFC 6052), 2002::/16 (6to4, RFC
 * 3056), 2001::/32 (Teredo, RFC 4380). The scope counts from the IPv6 address's first bit: 96, 16
 * or 96 more than the IPv4 scope. Teredo's client address fills the last 32 bits, inverted, so its
 * scope is above 96, beyond what an ECS option carries in practice: a shortened Teredo prefix reads
 * as 255.255.255.255, has no location, and the scope above SOURCE says truly that the missing bits
 * would matter. */
struct geo_class geo_find(const struct geo_map *map, const struct ip *ip);
/* Start loading what geo_find will read, and when that is there, what it will read next; for
 * batches, some packets ahead each. */
void geo_prefetch(const struct geo_map *map, const struct ip *ip);
void geo_prefetch_leaf(const struct geo_map *map, const struct ip *ip);

/* Every merged leaf of a family (4 or 6) in the order of addresses; for audits and tests. A leaf
 * of embedded IPv4 comes with the class GEO_CLASS_EMBEDDED. */
#define GEO_CLASS_EMBEDDED UINT32_MAX
typedef void geo_visit(void *arg, const struct prefix *leaf, uint32_t class_id);
void geo_map_visit(const struct geo_map *map, int family, geo_visit *visit, void *arg);

#endif
