/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the sign room share. */
#ifndef GSLB_DNS_SIGN_INTERNAL_H
#define GSLB_DNS_SIGN_INTERNAL_H

#include "gslb-dns/sign/sign.h"
#include "gslb-dns/wire/wire.h"

#include <stdatomic.h>
#include <sys/types.h>

enum {
    SIGN_PRIVATE_MAX = 48,
    SIGN_PUBLIC_MAX = 96,
    SIGN_SIGNATURE_MAX = 96,
    SIGN_DNSKEY_MAX = 4 + SIGN_PUBLIC_MAX,
    SIGN_DIGEST_MAX = 48,
    SIGN_TYPE_CDS = 59,
    SIGN_TYPE_CDNSKEY = 60,
};

/* ---- crypto.c: what OpenSSL does for us ---- */

/* An algorithm that signs here. Sizes in bytes, as in DNSKEY and RRSIG (RFC 6605, 8080). */
struct algorithm {
    uint8_t number;
    int curve; /* OpenSSL's NID; 0: Ed25519 */
    uint8_t private_bytes, public_bytes, signature_bytes;
};
const struct algorithm *algorithm_find(uint8_t number); /* NULL: none of ours */

/* A private key with its public one, in the secure heap. */
struct secret;
/* From its bytes as key files have them; NULL: not a key of this algorithm. */
struct secret *secret_from_bytes(const struct algorithm *a, const uint8_t *bytes, size_t n);
struct secret *secret_generate(const struct algorithm *a);
void secret_free(struct secret *s);
void secret_public(const struct secret *s, uint8_t out[SIGN_PUBLIC_MAX]);
/* The caller wipes it. */
void secret_private(const struct secret *s, uint8_t out[SIGN_PRIVATE_MAX]);

struct crypto; /* one thread's contexts of OpenSSL */
struct crypto *crypto_new(void);
void crypto_free(struct crypto *c);
/* As RRSIG holds it; algorithm's signature_bytes. Deterministic. */
void crypto_sign(struct crypto *c, const struct secret *s, const uint8_t *data, size_t n,
                 uint8_t out[SIGN_SIGNATURE_MAX]);
void crypto_wipe(void *p, size_t n);
/* Of a DS (RFC 4509, 6605); digest_type 2 or 4. Returns its bytes. */
size_t crypto_ds_digest(uint8_t digest_type, const uint8_t *owner, size_t n_owner,
                        const uint8_t *dnskey, size_t n_dnskey, uint8_t out[SIGN_DIGEST_MAX]);

/* ---- canonical.c: RFC 4034 section 6 ---- */

/* Memory that signing an RRset needs; grows and stays. */
struct scratch {
    uint8_t *bytes;
    size_t n, cap;
    struct sign_rdata *order;
    size_t cap_order;
};
void scratch_free(struct scratch *s);
/* The bytes to be signed (RFC 4034 section 3.1.8.1): the RRSIG's RDATA up to the signature, which
 * is head, then the RRset in canonical form and order; in s->bytes, s->n. */
void canonical_rrset(struct scratch *s, const uint8_t *head, size_t n_head,
                     const struct sign_rrset *r);
/* Of two struct sign_rdata, for qsort (RFC 4034 section 6.3): as left-justified bytes, the shorter
 * first. */
int canonical_compare(const void *x, const void *y);
size_t canonical_name_bytes(const uint8_t *name);

/* ---- encoding.c ---- */

/* Whitespace may stand in between. The bytes read, -1: not base64, or more than cap. */
ssize_t base64_read(struct str text, uint8_t *out, size_t cap);
/* Terminated; out has 4 * ((n + 2) / 3) + 1 bytes. */
void base64_write(const uint8_t *bytes, size_t n, char *out);

/* ---- keyfile.c: a key and its two files ---- */

struct sign_key {
    struct sign_key_facts facts;
    const struct algorithm *algorithm;
    struct secret *secret;
    uint16_t n_dnskey;
    uint8_t dnskey[SIGN_DNSKEY_MAX]; /* RDATA */
    char *base;                      /* path of both files without their endings */
};
/* A new key that no file holds yet; facts.times are the caller's to set. */
struct sign_key *key_generate(const struct algorithm *a, uint16_t flags);
/* Reads base.private and base.key, of this zone. NULL: errors say why. */
struct sign_key *key_read(const char *base, const struct wire_name *zone, struct errors *errors);
/* Writes both files, each whole or not at all; base names them. */
MUST_USE struct outcome key_write(const struct sign_key *k, const struct wire_name *zone,
                                  struct errors *errors);
void key_free(struct sign_key *k);
/* "DIR/Kexample.com.+013+": what the files of a zone's keys begin with; free() it. */
char *key_file_prefix(const char *directory, const struct wire_name *zone);

/* ---- keyring.c ---- */

struct sign_keyring {
    _Atomic unsigned refs;
    struct wire_name zone;
    struct sign_policy policy;    /* its directory is the keyring's */
    struct sign_key **keys;       /* by algorithm and tag */
    struct sign_key_facts *facts; /* of each */
    uint64_t stamp;               /* of the directory and the files */
    size_t n, cap;
};

/* A new key whose tag no other key of the zone has, with the path that its files will have. */
struct sign_key *key_make(const struct wire_name *zone, const char *directory,
                          const struct algorithm *a, uint16_t flags);

/* ---- roles.c: what each key does at a moment, by its times and the other keys ---- */

struct key_role {
    bool is_published;    /* its DNSKEY is in the zone */
    bool signs_keys;      /* DNSKEY, CDS, CDNSKEY */
    bool signs_data;      /* all else */
    bool is_synchronised; /* the parent is asked for its DS by CDS and CDNSKEY */
};
/* out: one role per key. Pure. */
void key_roles(const struct sign_key_facts *keys, size_t n, const struct sign_policy *p,
               int64_t now_s, struct key_role *out);
/* When the parent may be asked for a key's DS; 0: never. */
int64_t key_sync_publish_s(const struct sign_key_facts *k, const struct sign_policy *p);
/* The next moment after now_s at which a role can change; INT64_MAX: never. */
int64_t key_next_change_s(const struct sign_key_facts *k, const struct sign_policy *p,
                          int64_t now_s);
/* How many there are after from_s, up to to_s; *last_s is set to the last of them, if it is later.
 */
unsigned key_count_changes(const struct sign_key_facts *k, const struct sign_policy *p,
                           int64_t from_s, int64_t to_s, int64_t *last_s);

/* ---- plan.c: roll-overs as moments in the lives of keys. Pure. ---- */

enum { PLAN_KEYS_MAX = 32, PLAN_FRESH_MAX = 4 };

/* The keys of a zone, those that exist first. */
struct plan {
    const struct sign_policy *policy;
    struct sign_key_facts keys[PLAN_KEYS_MAX + PLAN_FRESH_MAX];
    size_t n, n_old;
};
/* Which keys a roll-over needs, as facts without a tag, appended beyond n_old; NULL, or why not. */
const char *plan_fresh(struct plan *p, enum sign_roll kind, uint8_t algorithm, int64_t now_s);
/* Sets the moments of fresh and old keys, whose tags are known by now. */
void plan_roll(struct plan *p, enum sign_roll kind, int64_t now_s);
/* NULL, or why not. */
const char *plan_confirm_ds(struct plan *p, uint16_t tag, int64_t now_s);
const char *plan_abort(struct plan *p, int64_t now_s);

#endif
