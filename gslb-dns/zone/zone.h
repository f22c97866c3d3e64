/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * zone: authoritative data, loaded from zone files (RFC 1035 section 5) into ready-made wire
 * RRsets, and found by name. The only room beside sign that uses ldns, and only while loading.
 *
 *   qname ─▶ zone_prepare (which zone, hashes, prefetch) ─▶ zone_find (verdict, node, RRset)
 *
 * A loaded zone is immutable: workers read it inside a snapshot, without lock and without malloc.
 * Its nodes, RRsets and names are one block of memory, the index another; both are freed with the
 * last reference to the zone: generations have one each, and so has a transfer under way.
 *
 * Wire form of an RRset: its records one after the other as they go into a packet, each beginning
 * with a two-byte compression pointer for the owner that says "the question" (0xC00C). Names inside
 * RDATA that RFC 3597 section 4 allows to compress end in a two-byte pointer to the zone's apex
 * where they can; such pointers are listed as fixups, because the apex stands at a place in the
 * question that depends on the QNAME's length. So an answer is: copy, patch few pointers. A signed
 * RRset's RRSIG records stand right behind it, and a signed answer copies a few bytes more.
 */
#ifndef GSLB_DNS_ZONE_H
#define GSLB_DNS_ZONE_H

#include "common/base/base.h"
#include "common/error/error.h"
#include "common/log/log.h"
#include "common/text/text.h"
#include "gslb-dns/sign/sign.h"
#include "gslb-dns/wire/wire.h"

struct zone_node;

/* A name in an RRset's RDATA whose addresses belong into the additional section (NS, MX, SRV,
 * SVCB/HTTPS), at this offset of the wire form. */
struct zone_target {
    const struct zone_node *node;
    uint16_t offset; /* 0: the record's own owner, as SVCB's "." says */
};

struct zone_rrset {
    uint16_t type;
    uint16_t count;
    uint32_t ttl_s; /* also in the wire form */
    uint16_t wire_bytes;
    uint8_t n_fixups;   /* saturates: an RRset with more is stored uncompressed */
    uint8_t n_targets;  /* at most 255 are listed; only those with an address or a service */
    uint8_t n_sigs;     /* RRSIG records in wire form, right behind the RRset's own, */
    uint16_t sig_bytes; /* and their size; they have the RRset's TTL (RFC 4035 section 2.2) */
    const uint8_t *wire;
    const uint16_t *fixups; /* offsets in wire of pointers to the apex; the pointer's stored value
                               is 0xC000, to which the apex's place in the packet is added */
    const struct zone_target *targets;
};

enum { ZONE_NO_SERVICE = 0xffff };

/* A name that exists: has records, is steered, or lies above one that does (an empty non-terminal,
 * RFC 4592 section 2.2.2). */
struct zone_node {
    const struct zone_node *parent;   /* NULL at the apex */
    const struct zone_node *wildcard; /* its child "*", or NULL */
    const struct zone_node *cut;      /* the zone cut at or above it below the apex, or NULL */
    const struct zone_rrset *rrsets;
    uint16_t n_rrsets;
    uint16_t service; /* answers A and AAAA here; ZONE_NO_SERVICE: none */
    uint8_t name_bytes;
    uint8_t n_labels;
    uint8_t n_missing;   /* variants behind its RRsets, see zone_prove_missing */
    uint8_t gives;       /* families that the service can ever give: 1 IPv4, 2 IPv6 */
    const uint8_t *name; /* wire form, lower case, whole */
};

/* How a signed zone proves that something is not there. */
enum zone_denial {
    ZONE_UNSIGNED, /* or without a whole chain: nothing is proved */
    ZONE_NSEC,     /* RFC 4034 section 4 */
    ZONE_NSEC3,    /* RFC 5155 */
    ZONE_COMPACT,  /* RFC 9824: what is not there is signed when it is asked for */
};
struct zone_chain;

/* Why a zone has no data. */
enum zone_absence {
    ZONE_BROKEN,      /* its file cannot be read, or has mistakes */
    ZONE_UNREACHABLE, /* it is a copy, which has expired, or was not there yet */
};

/* A file that a zone was read from, and what it was like then. */
struct zone_file;
struct zone {
    unsigned refs; /* zone_hold, zone_release; atomic */
    struct wire_name apex;
    const struct zone_node *root;          /* the apex' node */
    const struct zone_rrset *soa;          /* as it stands */
    const struct zone_rrset *negative_soa; /* TTL min(SOA TTL, MINIMUM), RFC 2308 section 3 */
    uint32_t serial;
    uint32_t file_serial; /* the same, unless signing raises it (sign_serial) */
    uint64_t digest; /* of all records but the SOA, whatever their order; comparable within this
                        process: has the data changed? */
    size_t n_names, n_records, memory_bytes;
    const struct zone_index *index;
    enum zone_absence absence; /* where it is not available */
    enum zone_denial denial;
    const struct zone_chain *chain; /* NULL: unsigned, or compact */
    struct sign_signer *signer;     /* with compact denial, else NULL */
    struct sign_signer *signed_by;  /* NULL: not signed here */
    uint64_t signed_digest;         /* of what that signed: the data, and where services are */
    struct zone_file *files;        /* the zone file and what it includes */
    size_t n_files;
    void *memory; /* nodes, RRsets, names: one block, freed as one */
};

/* A steered name that a zone must give room to. */
struct zone_service {
    struct wire_name name;
    uint16_t service;
    struct place place;   /* in the configuration, for conflicts with the zone's records */
    bool has_a, has_aaaa; /* can ever be answered: what a signed zone says that stands here */
};

/* What is to be loaded; everything is borrowed for the call. */
struct zone_source {
    const char *name, *path;
    struct str text; /* NULL: path is read; else it is the zone, and path only names it */
    const struct zone_service *services;
    size_t n_services;
    struct progress *progress; /* NULL, or one that was started: it is told zone_effort in all */
    const struct sign_signer *signer; /* NULL: the zone is served as its file has it */
    const struct zone *previous;      /* NULL, or a version whose signatures may be taken over
                                         where data and times are equal */
};

/* Loads one zone, and signs it where there is a signer: then what its files have of DNSKEY, RRSIG,
 * NSEC and the like is left out with a warning, and what denies is made: a chain of NSEC or NSEC3,
 * or with compact denial an NSEC for each name that exists. Everything wrong with the file goes to
 * errors, with file and line; NULL then. services are those whose longest match among the zones is
 * this one; one outside is an error. Checks beyond syntax: SOA once at the apex, NS at the apex,
 * names within the zone, CNAME alone, DNAME rules, one TTL per RRset (warning, the lowest is taken,
 * RFC 2181 section 5.2), glue for in-zone delegations (warning), no A/AAAA/CNAME at a steered name;
 * warnings for duplicates, CNAME loops, signatures that have expired or will soon, RRsets without
 * one in a signed zone, broken chains of NSEC and NSEC3, NS, MX and SRV that point to a CNAME, or
 * in the zone to no address, records that a delegation hides, NS and DNAME at a wildcard (answered
 * as ordinary data).
 * A zone that is signed here has the serial that sign_serial tells, or where previous was another
 * zone under that serial, the next; never a lower one, unless its file's went back. */
struct zone *zone_load(const struct zone_source *from, struct errors *errors);
/* The same data signed by this signer, from memory and not from the files; signatures of old that
 * are current stay. Old is only read. Cannot fail. */
struct zone *zone_resign(const struct zone *old, const struct sign_signer *signer);
/* A TXT record of one string, at most 255 bytes. */
struct zone_text {
    const struct wire_name *name;
    const char *text;
    uint32_t ttl_s;
};
/* The same zone with some TXT records more, signed: its chain says that they are there. Texts at a
 * CNAME, at or below a delegation, below a DNAME or outside the zone are left out. A name that is
 * new would end a wildcard's say over it and what is near (RFC 4592 section 3.3.1): the wildcard's
 * records are put at it and below it too, so that other questions are answered as before (only a
 * wildcard's CNAME cannot stand beside the text). Signatures that are current stay, and so does the
 * serial. Old is only read. Cannot fail. */
struct zone *zone_amend(const struct zone *old, const struct sign_signer *signer,
                        const struct zone_text *texts, size_t n);
/* A record that one of two versions of a zone has; the pointers are good for the call. */
struct zone_difference {
    bool is_new; /* the later version has it */
    uint8_t name_bytes;
    uint16_t type, rdata_bytes;
    uint32_t ttl_s;
    const uint8_t *name, *rdata; /* uncompressed */
};
/* tell returns whether it wants more. */
struct zone_difference_sink {
    bool (*tell)(void *arg, const struct zone_difference *d);
    void *arg;
};
/* Tells the records of all RRsets that differ, in no order: first those of old, then those of now;
 * some may be in both. The SOA is left out, its signatures are not. False: tell wanted no more. */
bool zone_compare(const struct zone *old, const struct zone *now,
                  const struct zone_difference_sink *sink);
/* Tells the SOA, as if it were new. */
void zone_tell_soa(const struct zone *z, const struct zone_difference_sink *sink);
/* A record as a message has it, for a line of a zone file. */
struct zone_wire_record {
    struct wire_name owner;
    uint16_t type;
    uint32_t ttl_s;
    uint16_t rdata_bytes;
    const uint8_t *rdata; /* uncompressed */
};
enum { ZONE_RDATA_MAX = 65535 };
/* Takes the next record of a message, of class IN and a type that zones have. out borrows from the
 * message and from buffer, ZONE_RDATA_MAX bytes. NULL, or what is wrong with it. */
const char *zone_read_record(struct reader *r, const uint8_t *message, uint8_t *buffer,
                             struct zone_wire_record *out);
/* Adds one line that zone_load reads as the same record: "www.example.com. 300 IN A 192.0.2.1\n".
 * What has no text that can be read back is written as RFC 3597 section 5 has it. */
void zone_print_record(const struct zone_wire_record *record, struct text *out);

/* How far loading this file will move a progress; what it includes comes on top. */
uint64_t zone_effort(const char *path);
/* A zone is counted: zone_load gives one reference. Whoever has one, or stands in a world that has,
 * may take another from any thread; the last one given back frees the zone. Any thread. */
const struct zone *zone_hold(const struct zone *z);
void zone_release(const struct zone *z); /* NULL: nothing */
/* Stands for a zone of which no version could be loaded: it has no name but its apex and no record,
 * so what is asked of it is ZONE_NODATA or ZONE_NXDOMAIN, and the answer to that is SERVFAIL. */
struct zone *zone_new_unavailable(const char *name, enum zone_absence why);
static inline bool zone_is_available(const struct zone *z)
{
    return z->soa != NULL;
}
/* Are all of its files as they were (device, inode, size, times)? A reload may then keep the zone,
 * if its services are the same too. */
bool zone_is_unchanged(const struct zone *z);

/* All zones of a world; borrowed, sorted out by longest match. */
struct zone_set;
struct zone_set *zone_set_new(struct zone *const *zones, size_t n);
void zone_set_free(struct zone_set *s); /* not the zones */

enum zone_verdict {
    ZONE_NOT_OURS, /* REFUSED */
    ZONE_ANSWER,   /* rrset holds the answer */
    ZONE_CNAME,    /* rrset is a CNAME and the type asked is another one */
    ZONE_DNAME,    /* rrset is a DNAME above the name: synthesise (RFC 6672) */
    ZONE_STEERED,  /* node->service answers, type A or AAAA */
    ZONE_NODATA,
    ZONE_NXDOMAIN,
    ZONE_REFERRAL, /* rrset is the NS RRset of node, the cut */
    ZONE_ANY,      /* type ANY at a name with data: rrset is one of its RRsets (RFC 8482), or NULL
                      where the node has only a service. Type RRSIG: one that is signed */
};

/* A query's walk through the zones. prepare and find are apart so that a batch can prepare all of
 * its queries, and the memory they need is on its way when find looks: prepare asks for the index
 * slot, fetch (optional) reads the slot and asks for the node. */
struct zone_lookup {
    const struct zone *zone; /* NULL: not ours */
    uint64_t hash;           /* of the whole name */
    const struct zone_node *node;
    const struct zone_rrset *rrset;
    bool is_wildcard; /* node is a wildcard that the name matches */
};

void zone_prepare(const struct zone_set *s, const struct wire_name *qname, uint16_t qtype,
                  struct zone_lookup *out);
void zone_fetch(const struct zone_lookup *l);
enum zone_verdict zone_find(struct zone_lookup *l, const struct wire_name *qname, uint16_t qtype);
/* The next link of a CNAME chain: looks for name in the zone that l found. ZONE_NOT_OURS: it lies
 * outside that zone, the chain ends there. */
enum zone_verdict zone_find_next(struct zone_lookup *l, const struct wire_name *name,
                                 uint16_t qtype);
/* All nodes of a zone, in no order: begin with *at 0; NULL: that was all. */
const struct zone_node *zone_next_node(const struct zone *z, size_t *at);
const struct zone_rrset *zone_node_rrset(const struct zone_node *n, uint16_t type);
/* How long a secondary serves its copy without hearing of us: the SOA's EXPIRE (RFC 1035 section
 * 3.3.13); 0 for a zone that is not available. */
uint32_t zone_expire_s(const struct zone *z);

/* An NSEC or NSEC3 RRset that belongs into the authority section. */
struct zone_proof {
    const struct zone_node *node; /* its owner; an NSEC3's is found by no other way */
    const struct zone_rrset *rrset;
};
enum { ZONE_PROOFS_MAX = 3 };
/* What proves the verdict on a name of l's zone, which is signed: a name that does not exist, a
 * type that is not there, a wildcard's right to answer, a delegation without DS (RFC 4035 section
 * 3.1.3, RFC 5155 section 7.2). With compact denial only what the zone has: of names that do not
 * exist, and those that a wildcard answers for, nothing. None twice; returns how many, 0 also where
 * the verdict needs none. Costs a few comparisons of names, and with NSEC3 up to three hashes. */
unsigned zone_prove(const struct zone_lookup *l, enum zone_verdict verdict,
                    const struct wire_name *name, struct zone_proof out[ZONE_PROOFS_MAX]);
/* The same for a steered name that has no address of this family (type A or AAAA) for this client
 * now. Its NSEC lists what the service can give; the one taken here leaves that type out. */
unsigned zone_prove_missing(const struct zone_lookup *l, uint16_t type,
                            const struct wire_name *name, struct zone_proof out[ZONE_PROOFS_MAX]);
/* Names next to one that has a label, all in wire form and lower case: below it the first, behind
 * it and all below it the first, and one before it after which no name can come but those below
 * that one. They go to out, WIRE_NAME_MAX bytes; returns how many, 0: there is none (before also
 * where only the name above would do). RFC 4471. */
size_t zone_name_below(const uint8_t *name, size_t n, uint8_t *out);
size_t zone_name_behind(const uint8_t *name, size_t n, uint8_t *out);
size_t zone_name_before(const uint8_t *name, size_t n, uint8_t *out);
/* The target of the first record of a CNAME or DNAME RRset of this zone, in wire_name form. */
void zone_target_name(const struct zone *z, const struct zone_rrset *cname, struct wire_name *out);

#endif
