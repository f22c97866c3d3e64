/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the zone room share. A zone is made in four steps, each in a file of its own:
 *
 *   scan  text → entries: a line, or several within parentheses, as tokens with their places;
 *         tokens → names and times
 *   read  entries → directives obeyed, records with owner, TTL and type;  rdata: tokens → wire
 *   check the draft: what is wrong although each line is right
 *   sign_zone: the draft, where there are keys: chain and signatures; resign makes a draft of a
 *         zone to sign it anew, amend one with records more
 *   build the draft → one block of nodes and RRsets as zone.h shows them; chain sorts the owners
 *         of NSEC and NSEC3
 *
 * and looked into by find, and by denial for what is not there. The draft (names, records and where
 * they stand in the files) lives only while loading.
 */
#ifndef GSLB_DNS_ZONE_INTERNAL_H
#define GSLB_DNS_ZONE_INTERNAL_H

#include "common/arena/arena.h"
#include "common/bytes/bytes.h"
#include "common/text/text.h"
#include "gslb-dns/sign/sign.h"
#include "gslb-dns/zone/zone.h"

#include <sys/stat.h>

/* --- find: hashes and the index ----------------------------------------------------------- */

/* Names by hash: open addressing, at most half full. ref says what stands at the slot: while
 * loading a draft name's number + 1, in a zone a node's place in the block, in units of 8 bytes,
 * + 1. 0: empty. The tag is the hash's upper half, and finds the slot, so that growing needs no
 * names. */
struct zone_slot {
    uint32_t tag, ref;
};
struct zone_index {
    struct zone_slot *slots;
    uint32_t mask;
    uint32_t n;
    const uint8_t *base; /* of the block; NULL while loading */
    uint8_t max_labels;  /* of the longest name */
};

/* hashes[i] is that of the name's last i labels; hashes[n_labels] is the whole name's. The same
 * name has the same hash in all zones of this process; nobody outside can guess it. */
void zone_hash_suffixes(const struct wire_name *name, uint64_t hashes[WIRE_LABELS_MAX + 1]);
void index_insert(struct zone_index *x, uint64_t hash, uint32_t ref);
/* What a record adds to its zone's digest; name is that of a zone, lower case. */
uint64_t zone_digest_record(const uint8_t *name, size_t name_bytes, uint16_t type, uint32_t ttl_s,
                            const uint8_t *rdata, size_t rdata_bytes);

static inline const struct zone_node *index_node(const struct zone_index *x, uint32_t ref)
{
    return (const struct zone_node *)(const void *)(x->base + 8 * (size_t)(ref - 1));
}

static inline uint32_t index_tag(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

struct rdata_layout;

/* --- draft -------------------------------------------------------------------------------- */

enum { DRAFT_NONE = UINT32_MAX };

/* What stands at a name, for the checks. */
enum draft_flag {
    DRAFT_HAS_CNAME = 1,
    DRAFT_HAS_DNAME = 2,
    DRAFT_HAS_NS = 4,
    DRAFT_HAS_SOA = 8,
    DRAFT_HAS_ADDRESS = 16,
    DRAFT_HAS_OTHER = 32, /* anything that may not stand beside a CNAME */
    DRAFT_IS_WILDCARD = 64,
    DRAFT_IS_BELOW_DNAME = 128,
    DRAFT_HAS_NSEC = 256,
    DRAFT_HAS_NSEC3 = 512,
    DRAFT_IS_PARENT = 1024,
    DRAFT_IS_GONE = 2048, /* was the owner of an NSEC3 that is made anew */
};

/* NSEC or NSEC3 of a steered name while it has no address of a family: RRsets that no question
 * finds, under types that no zone has. Each stands behind the name's RRsets. */
enum { DRAFT_WITHOUT_A = WIRE_ANY, DRAFT_WITHOUT_AAAA = WIRE_AXFR };
static inline bool draft_is_variant(uint16_t type)
{
    return type == DRAFT_WITHOUT_A || type == DRAFT_WITHOUT_AAAA;
}

struct draft_record {
    const uint8_t *rdata; /* uncompressed */
    uint32_t next;        /* at the same name, in the order of the files; DRAFT_NONE: last */
    uint32_t ttl_s;
    uint32_t line;
    uint16_t file;
    uint16_t type;
    uint16_t rdata_bytes;
    uint16_t covers; /* of an RRSIG: the type that it signs */
};

struct draft_name {
    const uint8_t *name;
    struct zone_node *node; /* once built */
    uint32_t parent;        /* always a lower number; DRAFT_NONE at the apex, number 0 */
    uint32_t first, last;   /* records */
    uint32_t cut;           /* the delegation at or above; DRAFT_NONE */
    uint32_t wildcard;      /* its child "*"; DRAFT_NONE */
    uint16_t service;
    uint16_t flags;
    uint8_t name_bytes, n_labels;
    bool has_a, has_aaaa; /* of the service */
    uint8_t mark;         /* of the search for loops */
};

struct zone_file {
    char *path;
    struct stat as_read;
};

struct draft {
    struct wire_name apex;
    struct errors *errors;
    struct arena arena; /* names and rdata */
    struct draft_name *names;
    uint32_t n_names, names_cap;
    struct draft_record *records;
    uint32_t n_records, records_cap;
    uint64_t digest;                  /* as zone.h tells it */
    uint64_t signed_digest;           /* the same */
    uint32_t file_serial;             /* the same; once it is signed */
    const struct sign_signer *signer; /* borrowed, once it is signed */
    bool is_compact;                  /* signed so */
    bool has_hashes;                  /* some name is the owner of NSEC3, or was */
    struct zone_index index;
    struct zone_file *files;
    size_t n_files, files_cap;
    const struct zone_service *services;
    size_t n_services;
    struct progress *progress; /* NULL: nobody watches */
};

/* Of a file's effort so many parts per byte are spent while it is read, and the rest while the
 * zone is built: for a million names 1.7 and 0.6 seconds. */
enum { EFFORT_TO_READ = 3, EFFORT_TO_BUILD = 1 };

void draft_init(struct draft *d, const struct wire_name *apex, struct errors *errors);
void draft_free(struct draft *d);
void zone_files_free(struct zone_file *files, size_t n);
/* The number of a name within the zone, which is made (with the names above it) when new. */
uint32_t draft_add_name(struct draft *d, const struct wire_name *name);
/* The name itself, or the lowest name above it that exists; it lies in the zone. */
uint32_t draft_closest_name(const struct draft *d, const struct wire_name *name, bool *is_exact);
/* The name that answers for name: itself or the wildcard that it matches (RFC 4592); DRAFT_NONE:
 * none, or name lies outside the zone. */
uint32_t draft_match_name(const struct draft *d, const struct wire_name *name);
/* The name in a record's RDATA as it is looked up, of a type that has a layout. */
void draft_target(const struct draft_record *r, const struct rdata_layout *l,
                  struct wire_name *out);
void draft_add_record(struct draft *d, uint32_t name, const struct draft_record *r);
struct place draft_place(const struct draft *d, const struct draft_record *r);

/* --- scan --------------------------------------------------------------------------------- */

struct token {
    struct str s; /* as written; without the quotes when the whole of it is quoted */
    uint32_t line;
    bool is_quoted;
};

/* A text that is being read: a file, or one line made by $GENERATE. */
struct source {
    const char *path;
    uint16_t file;
    bool is_generated; /* all of it stands at one line of the file */
    const char *text, *p, *end;
    uint32_t line;
};

struct entry {
    struct token *tokens;
    size_t n, cap;
    bool has_owner; /* the first token stands at the line's begin */
    bool is_bad;    /* a mistake was reported already */
};

/* Reads the next entry that is not empty. False at the end. */
bool scan_entry(struct source *s, struct entry *e, struct errors *errors);
/* Reports a mistake at a token of a source: file, line, column, and the line itself. */
void scan_complain(const struct source *s, const struct token *at, struct errors *errors,
                   const char *fmt, ...) PRINTF_LIKE(4, 5);
/* How much of a token a message shows, for "%.*s". */
static inline int scan_shown(const struct token *t)
{
    return (int)(t->s.n > 80 ? 80 : t->s.n);
}
/* One character of unquoted or quoted text: itself, \X or \DDD. False: a bad escape. */
static inline bool scan_character(const char **p, const char *end, uint8_t *out)
{
    const char *c = *p;

    if (*c != '\\') {
        *out = (uint8_t)*c;
        *p = c + 1;
        return true;
    }
    if (end - c < 2)
        return false;
    if (c[1] < '0' || c[1] > '9') {
        *out = (uint8_t)c[1];
        *p = c + 2;
        return true;
    }
    if (end - c < 4 || c[2] < '0' || c[2] > '9' || c[3] < '0' || c[3] > '9')
        return false;
    unsigned value =
        100u * (unsigned)(c[1] - '0') + 10u * (unsigned)(c[2] - '0') + (unsigned)(c[3] - '0');
    *out = (uint8_t)value;
    *p = c + 4;
    return value <= 255;
}

/* A name as written, relative to origin unless it ends in a dot; its letters' case is kept. The
 * reason why it is none, or NULL. */
const char *scan_name(struct str text, const struct wire_name *origin, struct wire_name *out);
/* "3600" or "1h30m", each number with its unit then (s m h d w). At most 2^31 - 1. */
MUST_USE bool scan_ttl(struct str text, uint32_t *out);

/* $GENERATE's START-STOP[/STEP]. */
struct scan_range {
    uint64_t start, stop, step;
};
MUST_USE bool scan_range(struct str s, struct scan_range *r);
/* The text of the record that a $GENERATE entry makes for the value i. As in BIND, data that is
 * one quoted string is meant without the quotes. False: a bad ${...}. */
MUST_USE bool scan_generate(const struct entry *e, uint64_t i, struct text *line);

/* --- rdata -------------------------------------------------------------------------------- */

/* 0: no such type. Knows the mnemonics and TYPE65280. */
uint16_t rdata_type(struct str text);
/* Has a type a text form that is known here? */
bool rdata_has_text(uint16_t type);
/* The known type nearest to a misspelt one; NULL: nothing near. */
const char *rdata_nearest_type(struct str text);

/* Where names stand in a type's RDATA, as far as compression, targets and equality need it. */
struct rdata_layout {
    uint16_t type;
    uint8_t fixed_bytes; /* before the first name */
    uint8_t n_names;
    bool is_compressible; /* RFC 3597 section 4 */
    bool is_target;       /* the name's addresses are additional data */
};
/* A type that is read and written here. One letter per field: 4 6 addresses, n name, 2 sixteen
 * bits, u 32 bits, p a period, t strings to the end. NULL: ldns reads the text, we only know where
 * the name stands. */
struct rdata_format {
    struct rdata_layout layout;
    const char *fields;
    const char *labels[7];
};
/* NULL: not one of those. */
const struct rdata_format *rdata_format(uint16_t type);
/* Do these bytes have the fields of the type, so that all later steps may rely on it? */
MUST_USE bool rdata_has_format(const struct rdata_format *f, const uint8_t *bytes, size_t n);
/* NULL: no names that matter. */
const struct rdata_layout *rdata_layout(uint16_t type);
/* The length of the uncompressed name at p, the final zero included. */
static inline size_t rdata_name_bytes(const uint8_t *p)
{
    size_t n = 0;

    while (p[n] != 0)
        n += 1u + p[n];
    return n + 1;
}

enum { RDATA_MAX = 65535, TYPE_LOC = 29 };
/* rdata_fault: what is wrong with well-formed data of a type; NULL: nothing. */
const char *rdata_fault(uint16_t type, const uint8_t *rdata, size_t n);
struct rdata_context {
    const struct source *source;
    struct errors *errors;
    const struct wire_name *origin;
    struct text scratch; /* for ldns; kept between records */
};
void rdata_context_free(struct rdata_context *c);
/* The record's data from its tokens to wire form; type_token is where to point when some are
 * missing. */
MUST_USE struct outcome rdata_parse(struct rdata_context *c, uint16_t type,
                                    const struct token *type_token, const struct entry *rest,
                                    struct writer *out);

/* --- signed zones: chains of NSEC and NSEC3 ----------------------------------------------- */

enum { NSEC3_LABEL = 32, NSEC3_SALT_MAX = 255, NSEC3_ITERATIONS_MAX = 150 };

/* The owners of NSEC or NSEC3 RRsets in canonical order (RFC 4034 section 6.1; hashed names as
 * they are). A key is what comes first in that order, so that a search seldom looks at a name. */
struct zone_chain {
    uint32_t n;
    uint64_t *keys;
    uint32_t *refs; /* as the index has them */
    const uint8_t *base;
    unsigned iterations; /* of NSEC3 */
    uint8_t n_salt;
    uint8_t salt[NSEC3_SALT_MAX];
};

/* How two names of n labels each, lower case, stand to each other: RFC 4034 section 6.1. */
int chain_compare(const uint8_t *a, unsigned a_labels, const uint8_t *b, unsigned b_labels);
/* Such that the keys of two names below the same apex never stand the other way round. */
uint64_t chain_key(const uint8_t *name, unsigned n_labels, unsigned apex_labels);
/* The same for an NSEC3's owner; false: no hash. */
MUST_USE bool chain_hash_key(const uint8_t *label, uint64_t *out);
/* Puts names, by their numbers, into canonical order. */
void chain_sort(const struct draft *d, uint32_t *names, uint32_t n);
void chain_write_hash(const uint8_t hash[SIGN_NSEC3_HASH_BYTES], uint8_t label[1 + NSEC3_LABEL]);
/* NULL: the zone proves nothing. */
struct zone_chain *chain_new(const struct draft *d, enum zone_denial denial, const uint8_t *base);
void chain_free(const struct zone_chain *c);
/* The entry at a name or the last one before it, going round; is_exact: at it. */
const struct zone_node *chain_find(const struct zone_chain *c, const uint8_t *name,
                                   unsigned n_labels, unsigned apex_labels, bool *is_exact);
/* label: the hash in base 32, with its length before it. */
const struct zone_node *chain_find_label(const struct zone_chain *c, const uint8_t *label,
                                         bool *is_exact);
const struct zone_node *chain_find_hash(const struct zone_chain *c,
                                        const uint8_t hash[SIGN_NSEC3_HASH_BYTES], bool *is_exact);

/* sign_zone: takes out what the files have of DNSSEC; signs a draft that has been checked. */
void draft_strip(struct draft *d);
void draft_sign(struct draft *d, const struct sign_signer *s, const struct zone *previous);
/* resign: signatures that another version of the zone has of this data, if all of them are current;
 * 0: none. */
size_t zone_keep_signatures(const struct zone *old, const struct draft_name *owner, uint16_t type,
                            const struct sign_signer *s, const struct sign_rrset *set,
                            struct sign_signature out[SIGN_SIGNATURES_MAX]);
/* resign: the records of an RRset one after the other, uncompressed. */
struct zone_unpacking {
    const struct zone *zone;
    const struct zone_rrset *rrset;
    size_t at;
    unsigned fixup;
    size_t n; /* of rdata */
    uint8_t rdata[RDATA_MAX];
};
bool zone_unpack_next(struct zone_unpacking *u);
/* resign: what a zone was made of, without what signing adds, and back again: signed, with all
 * signatures that stay current. The data has no mistake. */
void draft_take_apart(struct draft *d, const struct zone *old, struct errors *told);
struct zone *draft_put_together(struct draft *d, const struct zone *old,
                                const struct sign_signer *s);
/* build: the zone, which takes over the draft's index and files. */
struct zone *draft_build(struct draft *d);
/* find: the node of a name; NULL: it does not exist. */
const struct zone_node *find_node(const struct zone *z, const struct wire_name *name);

/* What a zone that comes signed lacks. */
void check_signed(struct draft *d);
enum zone_denial draft_denial(const struct draft *d);
/* Such a name is the owner of NSEC3 and nothing else: no question finds it (RFC 5155 section
 * 7.2.8). */
static inline bool draft_is_hash(const struct draft_name *n)
{
    return (n->flags & (DRAFT_HAS_NSEC3 | DRAFT_IS_GONE)) &&
           !(n->flags & (DRAFT_HAS_OTHER | DRAFT_HAS_CNAME | DRAFT_IS_PARENT)) &&
           n->service == ZONE_NO_SERVICE;
}
/* The type that an RRSIG record signs. */
static inline uint16_t draft_covers(const struct draft_record *rrsig)
{
    return rrsig->covers;
}
struct draft_record *draft_first(const struct draft *d, const struct draft_name *n, uint16_t type);
/* serial: of the SOA, which is there. */
uint32_t draft_serial(const struct draft *d);
void draft_set_serial(struct draft *d, uint32_t serial);
/* From that of the file to the one that is served. */
void draft_raise_serial(struct draft *d, const struct sign_signer *s, const struct zone *previous);

/* --- read, check, build ------------------------------------------------------------------- */

/* Reads the file and what it includes into the draft. */
void read_zone(struct draft *d, const struct zone_source *from);
/* Sorts each name's records by type, leaves out duplicates, gives each RRset one TTL, finds the
 * cuts, and reports what is wrong with the zone as a whole; what is missing only when the files
 * were read without a mistake. */
void check_draft(struct draft *d, bool is_whole);
/* Reports addresses in SVCB and HTTPS records that a service should choose. */
void check_hints(struct draft *d);

#endif
