/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sign: keys of zones, and signatures made with them (RFC 4034, 6605, 8080, 6781, 7583). Knows wire
 * form and nothing of zones: it is handed RRsets and gives RRSIG RDATA.
 *
 *   key files ─▶ keyring ──at a time──▶ signer ──per thread: context──▶ RRSIGs
 *
 * Signatures are a function of key, RRset and time window alone: nonces are derived (RFC 6979;
 * Ed25519 by nature), inception and expiration come from fixed windows, shifted by a hash of owner
 * and type (that is the jitter). So several nodes with equal keys give equal answers, and a
 * signature that is still current need not be made again.
 *
 * Private keys lie in OpenSSL's secure heap (locked, left out of core dumps), their text is wiped
 * after reading, and no message holds any of it.
 *
 * Lifetime: keyrings and signers are immutable and counted; zones, worlds and answer contexts may
 * hold a signer. Any thread; a context belongs to one thread at a time.
 */
#ifndef GSLB_DNS_SIGN_H
#define GSLB_DNS_SIGN_H

#include "common/base/base.h"
#include "common/error/error.h"
#include "common/text/text.h"

enum {
    SIGN_SIGNATURES_MAX = 4,        /* of one RRset: keys that are active at a time */
    SIGN_RRSIG_MAX = 18 + 255 + 96, /* RDATA: fixed part, signer's name, signature */
    SIGN_TICK_S = 3600,             /* windows begin and end at multiples of it */
    SIGN_NSEC3_HASH_BYTES = 20,
};

/* ---- Keys ---- */

enum sign_algorithm {
    SIGN_ECDSAP256SHA256 = 13,
    SIGN_ECDSAP384SHA384 = 14,
    SIGN_ED25519 = 15,
};
/* By IANA's mnemonic in any case, or its number; 0: not one that signs here. */
uint8_t sign_algorithm_parse(struct str text);
/* "ECDSAP256SHA256"; also of algorithms that do not sign here; "?" of unknown ones. */
const char *sign_algorithm_name(uint8_t number);

enum { SIGN_FLAGS_ZSK = 256, SIGN_FLAGS_SEP = 257 }; /* RFC 4034 section 2.1.1 */

/* The moments in a key's life that its files hold, under BIND's names. */
#define SIGN_TIMES(X)                                                                 \
    X(SIGN_CREATED, "Created")                                                        \
    X(SIGN_PUBLISH, "Publish")   /* its DNSKEY is in the zone from here */            \
    X(SIGN_ACTIVATE, "Activate") /* it signs from here */                             \
    X(SIGN_REVOKE, "Revoke")                                                          \
    X(SIGN_INACTIVE, "Inactive")        /* it signs up to here */                     \
    X(SIGN_DELETE, "Delete")            /* its DNSKEY leaves the zone */              \
    X(SIGN_DS_PUBLISH, "DSPublish")     /* an operator saw its DS at the parent */    \
    X(SIGN_SYNC_PUBLISH, "SyncPublish") /* its CDS and CDNSKEY from here, RFC 7344 */ \
    X(SIGN_SYNC_DELETE, "SyncDelete")   /* and up to here */

enum sign_time {
#define X(name, tag) name,
    SIGN_TIMES(X)
#undef X
        SIGN_TIME_COUNT
};

/* What a key file says besides the key itself. Times are seconds of wall clock, 0: not set. */
struct sign_key_facts {
    uint8_t algorithm;
    uint16_t flags, tag;
    uint16_t predecessor; /* the key that this one follows, 0: none */
    int64_t times[SIGN_TIME_COUNT];
};

/* Makes a key of the zone that is published and signs from now_s on, and writes its two files into
 * directory. Returns their path without the endings, the caller's to free; NULL: errors say why
 * not. */
char *sign_keygen(const char *zone, const char *directory, uint8_t algorithm, uint16_t flags,
                  int64_t now_s, struct errors *errors);

/* How one zone is signed. Borrowed for the calls that take it; durations in seconds. */
enum sign_denial { SIGN_NSEC, SIGN_NSEC3, SIGN_COMPACT };
enum sign_cds { SIGN_CDS_OF_KEYS, SIGN_CDS_NONE, SIGN_CDS_DELETE /* RFC 8078 section 4 */ };
enum sign_serial { SIGN_SERIAL_INCREMENT, SIGN_SERIAL_UNIXTIME, SIGN_SERIAL_KEEP };
struct sign_nsec3 {
    uint8_t n_salt;
    uint8_t salt[255];
    uint16_t iterations; /* RFC 9276: 0 */
    bool is_opt_out;
};
struct sign_policy {
    const char *directory; /* of the key files */
    enum sign_denial denial;
    struct sign_nsec3 nsec3;
    enum sign_cds cds;
    enum sign_serial serial;
    uint32_t validity_s;          /* of a new signature */
    uint32_t refresh_s;           /* what is left of it when it is replaced */
    uint32_t dnskey_ttl_s;        /* of DNSKEY, CDS and CDNSKEY */
    uint32_t zone_max_ttl_s;      /* the greatest TTL of the zone's data */
    uint32_t propagation_delay_s; /* until all servers of the zone have a change */
    uint32_t parent_ds_ttl_s, parent_propagation_delay_s;
};

struct sign_keyring; /* all keys of a zone that its directory holds */

/* Reads K<zone>.+<algorithm>+<tag>.{key,private}, BIND's format v1.2 and v1.3. What is wrong with
 * any of them, or that there is none, goes to errors: NULL then. zone: without the final dot, or
 * with it. at: where the configuration names the directory. The caller releases it. */
struct sign_keyring *sign_keyring_open(const char *zone, const struct sign_policy *policy,
                                       struct place at, struct errors *errors);
/* Its keys by algorithm and tag, times that the files leave out filled in; the keyring's. */
size_t sign_keyring_keys(const struct sign_keyring *k, const struct sign_key_facts **out);
/* "example.com. IN DS 12345 13 2 ABCD…" of key i and a newline; digest_type 2 (SHA-256) or 4
 * (SHA-384). */
void sign_write_ds(const struct sign_keyring *k, size_t i, uint8_t digest_type, struct text *out);
/* Are the files as they were when they were read (a few stat calls)? */
bool sign_keyring_is_unchanged(const struct sign_keyring *k);
struct sign_keyring *sign_keyring_hold(struct sign_keyring *k);
void sign_keyring_release(struct sign_keyring *k);

/* ---- Roll-overs (RFC 6781 section 4.1, RFC 7583) ----
 *
 * A roll-over is a plan of moments in the key files. What a key does follows from them alone, so
 * the plan goes on after a restart, and on every node that has the files. The one moment that
 * cannot be planned, when the parent has the new DS, is the operator's to tell. */

enum sign_roll {
    SIGN_ROLL_ZSK,       /* pre-publish, RFC 6781 section 4.1.1.1 */
    SIGN_ROLL_KSK,       /* double-KSK, RFC 7583 section 3.3.1 */
    SIGN_ROLL_CSK,       /* double signature, RFC 6781 section 4.1.3 */
    SIGN_ROLL_ALGORITHM, /* the conservative way, RFC 6781 section 4.1.4 */
};

/* Each reads k, which was just opened, makes and writes keys, and adds to done what comes next.
 * Failure: error says why, and no file was changed unless one could not be written. Nodes pick the
 * change up when they open the keyring the next time. */
MUST_USE struct outcome sign_roll_begin(struct sign_keyring *k, enum sign_roll kind,
                                        uint8_t algorithm, int64_t now_s, struct text *done,
                                        struct text *error);
/* An operator saw the DS of the key with this tag at the parent. */
MUST_USE struct outcome sign_roll_confirm_ds(struct sign_keyring *k, uint16_t tag, int64_t now_s,
                                             struct text *done, struct text *error);
/* Back to the keys before, as long as that is safe. */
MUST_USE struct outcome sign_roll_abort(struct sign_keyring *k, int64_t now_s, struct text *done,
                                        struct text *error);

/* A key for people. The strings live as long as the program. */
struct sign_key_state {
    const char *role;  /* "csk", "ksk", "zsk" */
    const char *state; /* "active", … */
    int64_t since_s;   /* 0: not known */
    const char *next;  /* what it does at next_s; NULL: nothing is planned */
    int64_t next_s;
    bool wants_ds; /* its DS belongs at the parent, which nobody has seen there */
};
void sign_describe_key(const struct sign_keyring *k, size_t i, int64_t now_s,
                       struct sign_key_state *out);

/* ---- Signers: the keys of one zone as they stand at one moment ---- */

struct sign_signer;

/* NULL: no key signs at this moment; errors say so, and when one will. */
struct sign_signer *sign_signer_new(struct sign_keyring *k, int64_t now_s, struct place at,
                                    struct errors *errors);
struct sign_signer *sign_hold(const struct sign_signer *s);
void sign_release(const struct sign_signer *s); /* NULL is fine */
/* The keys that it was made of, borrowed from it. */
const struct sign_keyring *sign_signer_keyring(const struct sign_signer *s);
/* Wall clock: when a new signer is due, for the step of a key or the next window. */
int64_t sign_signer_next_s(const struct sign_signer *s);
/* That no other signer of this process has had. */
uint64_t sign_signer_number(const struct sign_signer *s);
enum sign_denial sign_signer_denial(const struct sign_signer *s);
/* Parameters for denial by NSEC3; the signer's. */
const struct sign_nsec3 *sign_signer_nsec3(const struct sign_signer *s);

struct sign_rdata {
    const uint8_t *bytes; /* wire form, no name in it compressed */
    uint16_t n;
};

/* Would both give the same signatures and the same apex? */
bool sign_is_same(const struct sign_signer *a, const struct sign_signer *b);

/* The SOA serial of a zone whose file has this one, signed so. It follows from the file, the keys
 * and the clock alone, so that nodes agree on it and need not remember it, and grows with each of
 * them (RFC 1982). increment adds 64 for each hour of Unix time, and 1 for each step of a key in
 * this hour; unixtime is the moment when the hour began or a key took its last step, or the file's
 * if that is later; keep is the file's. */
uint32_t sign_serial(const struct sign_signer *s, uint32_t file_serial);
/* May two versions of a zone have different serials because of their signatures? */
bool sign_raises_serial(const struct sign_signer *s);

/* What the apex publishes: DNSKEY, CDS, CDNSKEY (RFC 7344), by type; the signer's. */
struct sign_apex_rrset {
    uint16_t type;
    uint32_t ttl_s;
    const struct sign_rdata *rdata;
    size_t n;
};
const struct sign_apex_rrset *sign_apex_rrsets(const struct sign_signer *s, size_t *n);

/* ---- Signatures ---- */

/* One RRset to be signed. It is brought into canonical form and order here (RFC 4034 section 6):
 * names in RDATA of the types listed there lower-cased, RDATA sorted, duplicates gone. */
struct sign_rrset {
    const uint8_t *owner; /* uncompressed, lower case; of a wildcard with its "*" */
    uint16_t type;
    uint32_t ttl_s; /* original TTL */
    const struct sign_rdata *rdata;
    size_t n;
    /* How long copies may live elsewhere after this signature was replaced here: the zone's
     * greatest TTL plus its SOA's EXPIRE. The signature stays valid beyond that. 0: as the policy's
     * refresh has it. */
    uint32_t outlive_s;
};
struct sign_signature {
    uint16_t n;
    uint8_t rdata[SIGN_RRSIG_MAX];
};

/* Scratch memory and OpenSSL's contexts for one thread. */
struct sign_context *sign_context_new(void);
void sign_context_free(struct sign_context *c);

/* One signature per key that signs this type at this time (KSKs: DNSKEY, CDS, CDNSKEY; ZSKs: the
 * rest; CSKs: all); returns how many. */
size_t sign_rrset(struct sign_context *c, const struct sign_signer *s, const struct sign_rrset *r,
                  struct sign_signature out[SIGN_SIGNATURES_MAX]);
/* Would signing now give a signature with the times and key of this one? Then an old signature over
 * equal data may be kept. Looks at no data and verifies nothing. */
bool sign_is_current(const struct sign_signer *s, const struct sign_rrset *r, const uint8_t *rdata,
                     uint16_t n);
/* How many signatures an RRset of this type gets. */
size_t sign_count(const struct sign_signer *s, uint16_t type);
/* The most bytes that one signature's RDATA has, and the most signatures of an RRset: for memory
 * bounds. */
size_t sign_rrsig_bytes_max(const struct sign_signer *s, size_t *n_per_rrset);

/* RFC 5155 section 5. name: lower case wire form of n bytes. */
void sign_nsec3_hash(const uint8_t *name, size_t n, const uint8_t *salt, size_t n_salt,
                     unsigned iterations, uint8_t out[SIGN_NSEC3_HASH_BYTES]);

#endif
