/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of a zone at one moment: what they publish, and signatures by them. */
#include "gslb-dns/sign/sign_internal.h"

#include "common/bytes/bytes.h"
#include "common/clock/clock.h"

#include <stdlib.h>
#include <string.h>

enum {
    RRSIG_FIXED = 18,
    BACKDATED_S = 3600, /* clocks of validators may be slow, RFC 6781 section 4.4.2 */
    APEX_RRSETS = 3,
    DS_DIGEST_SHA256 = 2,
    DS_MAX = 4 + SIGN_DIGEST_MAX,
};

struct signing_key {
    const struct sign_key *key;
    struct key_role role;
};

struct sign_signer {
    _Atomic unsigned refs;
    uint64_t number;
    struct sign_keyring *keyring;
    struct signing_key *keys; /* that do something */
    size_t n_keys;
    int64_t now_s, next_s;
    int64_t changed_s; /* when the tick began, or a key took its last step in it */
    uint32_t n_steps;  /* of keys in this tick */
    struct sign_apex_rrset apex[APEX_RRSETS];
    size_t n_apex;
    struct sign_rdata *rdata; /* of the apex, then the bytes of what no key holds */
    uint8_t *ds;
};

/* ---- The apex ---- */

static void add_apex(struct sign_signer *s, uint16_t type, struct sign_rdata *rdata, size_t n)
{
    if (n == 0)
        return;
    qsort(rdata, n, sizeof(rdata[0]), canonical_compare);
    s->apex[s->n_apex++] =
        (struct sign_apex_rrset){type, s->keyring->policy.dnskey_ttl_s, rdata, n};
}

static struct sign_rdata make_ds(const struct sign_signer *s, const struct sign_key *k, uint8_t *to)
{
    const struct wire_name *zone = &s->keyring->zone;
    size_t n;

    bytes_put_u16(to, k->facts.tag);
    to[2] = k->facts.algorithm;
    to[3] = DS_DIGEST_SHA256;
    n = crypto_ds_digest(DS_DIGEST_SHA256, zone->bytes, zone->length, k->dnskey, k->n_dnskey,
                         to + 4);
    return (struct sign_rdata){to, (uint16_t)(4 + n)};
}

/* RFC 8078 section 4: the parent shall have no DS any more. */
static void add_unsign(struct sign_signer *s, struct sign_rdata *rdata)
{
    static const uint8_t cds[5] = {0}, cdnskey[5] = {0, 0, 3, 0, 0};

    rdata[0] = (struct sign_rdata){cds, sizeof(cds)};
    rdata[1] = (struct sign_rdata){cdnskey, sizeof(cdnskey)};
    add_apex(s, SIGN_TYPE_CDS, &rdata[0], 1);
    add_apex(s, SIGN_TYPE_CDNSKEY, &rdata[1], 1);
}

static void add_sync(struct sign_signer *s, struct sign_rdata *rdata)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_keys; i++)
        if (s->keys[i].role.is_synchronised) {
            rdata[n] = make_ds(s, s->keys[i].key, s->ds + n * DS_MAX);
            n++;
        }
    add_apex(s, SIGN_TYPE_CDS, rdata, n);
    rdata += n;
    n = 0;
    for (size_t i = 0; i < s->n_keys; i++)
        if (s->keys[i].role.is_synchronised)
            rdata[n++] = (struct sign_rdata){s->keys[i].key->dnskey, s->keys[i].key->n_dnskey};
    add_apex(s, SIGN_TYPE_CDNSKEY, rdata, n);
}

static void make_apex(struct sign_signer *s)
{
    struct sign_rdata *rdata = base_zalloc(3 * s->n_keys + 2, sizeof(rdata[0]));
    enum sign_cds cds = s->keyring->policy.cds;
    size_t n = 0;

    s->rdata = rdata;
    s->ds = base_zalloc(s->n_keys, DS_MAX);
    for (size_t i = 0; i < s->n_keys; i++)
        if (s->keys[i].role.is_published)
            rdata[n++] = (struct sign_rdata){s->keys[i].key->dnskey, s->keys[i].key->n_dnskey};
    add_apex(s, WIRE_DNSKEY, rdata, n);
    if (cds == SIGN_CDS_DELETE)
        add_unsign(s, rdata + n);
    else if (cds == SIGN_CDS_OF_KEYS)
        add_sync(s, rdata + n);
}

/* ---- Making a signer ---- */

static void find_moments(struct sign_signer *s)
{
    const struct sign_keyring *k = s->keyring;
    int64_t tick_s = s->now_s / SIGN_TICK_S * SIGN_TICK_S;

    s->changed_s = tick_s;
    s->next_s = tick_s + SIGN_TICK_S;
    for (size_t i = 0; i < k->n; i++) {
        int64_t next_s = key_next_change_s(&k->facts[i], &k->policy, s->now_s);

        s->next_s = next_s < s->next_s ? next_s : s->next_s;
        s->n_steps += key_count_changes(&k->facts[i], &k->policy, tick_s, s->now_s, &s->changed_s);
    }
}

static void take_keys(struct sign_signer *s)
{
    const struct sign_keyring *k = s->keyring;
    struct key_role *roles = base_zalloc(k->n, sizeof(roles[0]));

    key_roles(k->facts, k->n, &k->policy, s->now_s, roles);
    s->keys = base_zalloc(k->n, sizeof(s->keys[0]));
    for (size_t i = 0; i < k->n; i++)
        if (roles[i].is_published || roles[i].signs_data)
            s->keys[s->n_keys++] = (struct signing_key){k->keys[i], roles[i]};
    free(roles);
}

static bool signs(const struct signing_key *k, uint16_t type)
{
    bool is_of_keys = type == WIRE_DNSKEY || type == SIGN_TYPE_CDS || type == SIGN_TYPE_CDNSKEY;

    return is_of_keys ? k->role.signs_keys : k->role.signs_data;
}

static size_t count_signatures(const struct sign_signer *s, uint16_t type)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_keys; i++)
        n += signs(&s->keys[i], type);
    return n;
}

/* When the first key begins to sign; INT64_MAX: none will. */
static int64_t first_activation_s(const struct sign_keyring *k, int64_t now_s)
{
    int64_t first_s = INT64_MAX;

    for (size_t i = 0; i < k->n; i++) {
        int64_t at_s = k->keys[i]->facts.times[SIGN_ACTIVATE];

        if (at_s > now_s && at_s < first_s)
            first_s = at_s;
    }
    return first_s;
}

static struct outcome judge(const struct sign_signer *s, struct place at, struct errors *errors)
{
    size_t n_keys = count_signatures(s, WIRE_DNSKEY), n_data = count_signatures(s, WIRE_A);
    int64_t first_s = first_activation_s(s->keyring, s->now_s);
    char zone[WIRE_NAME_TEXT], when[CLOCK_ISO];

    wire_name_format(s->keyring->zone.bytes, zone);
    if (n_keys > SIGN_SIGNATURES_MAX || n_data > SIGN_SIGNATURES_MAX)
        errors_add(errors, at, "%s has %zu active keys in %s; at most %d can sign at a time", zone,
                   n_data > n_keys ? n_data : n_keys, s->keyring->policy.directory,
                   SIGN_SIGNATURES_MAX);
    else if (n_keys > 0 && n_data > 0)
        return OUTCOME_OK;
    else if (first_s != INT64_MAX)
        errors_add(errors, at, "no key of %s in %s signs yet; the first is to from %s on", zone,
                   s->keyring->policy.directory, clock_format_iso(first_s, when));
    else
        errors_add(errors, at,
                   "no key of %s in %s signs any more; make one: gslb-dns keygen -d %s %s", zone,
                   s->keyring->policy.directory, s->keyring->policy.directory, zone);
    return OUTCOME_FAILED;
}

struct sign_signer *sign_signer_new(struct sign_keyring *k, int64_t now_s, struct place at,
                                    struct errors *errors)
{
    static _Atomic uint64_t n_signers;
    struct sign_signer *s = base_zalloc(1, sizeof(*s));

    s->refs = 1;
    s->number = atomic_fetch_add(&n_signers, 1) + 1;
    s->keyring = sign_keyring_hold(k);
    s->now_s = now_s;
    find_moments(s);
    take_keys(s);
    make_apex(s);
    if (!has_failed(judge(s, at, errors)))
        return s;
    sign_release(s);
    return NULL;
}

static bool is_same_apex(const struct sign_signer *a, const struct sign_signer *b)
{
    if (a->n_apex != b->n_apex)
        return false;
    for (size_t i = 0; i < a->n_apex; i++) {
        const struct sign_apex_rrset *x = &a->apex[i], *y = &b->apex[i];

        if (x->type != y->type || x->ttl_s != y->ttl_s || x->n != y->n)
            return false;
        for (size_t r = 0; r < x->n; r++)
            if (canonical_compare(&x->rdata[r], &y->rdata[r]) != 0)
                return false;
    }
    return true;
}

static bool is_same_policy(const struct sign_policy *a, const struct sign_policy *b)
{
    return a->denial == b->denial && a->nsec3.iterations == b->nsec3.iterations &&
           a->nsec3.is_opt_out == b->nsec3.is_opt_out && a->nsec3.n_salt == b->nsec3.n_salt &&
           memcmp(a->nsec3.salt, b->nsec3.salt, a->nsec3.n_salt) == 0 && a->serial == b->serial &&
           a->validity_s == b->validity_s && a->refresh_s == b->refresh_s;
}

bool sign_is_same(const struct sign_signer *a, const struct sign_signer *b)
{
    if (a->now_s / SIGN_TICK_S != b->now_s / SIGN_TICK_S || a->n_keys != b->n_keys ||
        !is_same_policy(&a->keyring->policy, &b->keyring->policy))
        return false;
    for (size_t i = 0; i < a->n_keys; i++) {
        const struct signing_key *x = &a->keys[i], *y = &b->keys[i];

        if (x->role.signs_keys != y->role.signs_keys || x->role.signs_data != y->role.signs_data ||
            x->key->n_dnskey != y->key->n_dnskey ||
            memcmp(x->key->dnskey, y->key->dnskey, x->key->n_dnskey) != 0)
            return false;
    }
    return is_same_apex(a, b);
}

struct sign_signer *sign_hold(const struct sign_signer *s)
{
    struct sign_signer *held = (struct sign_signer *)s;

    atomic_fetch_add(&held->refs, 1);
    return held;
}

void sign_release(const struct sign_signer *s)
{
    struct sign_signer *held = (struct sign_signer *)s;

    if (held == NULL || atomic_fetch_sub(&held->refs, 1) > 1)
        return;
    sign_keyring_release(held->keyring);
    free(held->keys);
    free(held->rdata);
    free(held->ds);
    free(held);
}

const struct sign_keyring *sign_signer_keyring(const struct sign_signer *s)
{
    return s->keyring;
}

int64_t sign_signer_next_s(const struct sign_signer *s)
{
    return s->next_s;
}

uint64_t sign_signer_number(const struct sign_signer *s)
{
    return s->number;
}

enum sign_denial sign_signer_denial(const struct sign_signer *s)
{
    return s->keyring->policy.denial;
}

const struct sign_nsec3 *sign_signer_nsec3(const struct sign_signer *s)
{
    return &s->keyring->policy.nsec3;
}

const struct sign_apex_rrset *sign_apex_rrsets(const struct sign_signer *s, size_t *n)
{
    *n = s->n_apex;
    return s->apex;
}

/* ---- Serials ---- */

bool sign_raises_serial(const struct sign_signer *s)
{
    return s->keyring->policy.serial != SIGN_SERIAL_KEEP;
}

/* Windows begin with ticks, keys take steps at any second. */
static uint32_t increment(const struct sign_signer *s)
{
    enum { PER_TICK = 64 };

    return (uint32_t)(s->now_s / SIGN_TICK_S * PER_TICK) +
           (s->n_steps < PER_TICK ? s->n_steps : PER_TICK - 1u);
}

uint32_t sign_serial(const struct sign_signer *s, uint32_t file_serial)
{
    uint32_t changed_s = (uint32_t)s->changed_s;

    switch (s->keyring->policy.serial) {
    case SIGN_SERIAL_INCREMENT:
        return file_serial + increment(s);
    case SIGN_SERIAL_UNIXTIME:
        return (int32_t)(changed_s - file_serial) > 0 ? changed_s : file_serial;
    case SIGN_SERIAL_KEEP:
        break;
    }
    return file_serial;
}

/* ---- Windows ---- */

struct window {
    uint32_t inception, expiration;
};

static uint64_t hash_owner(const uint8_t *owner, uint16_t type)
{
    uint64_t h = 0xcbf29ce484222325 ^ type; /* FNV-1a */
    size_t n = canonical_name_bytes(owner);

    for (size_t i = 0; i < n; i++)
        h = (h ^ owner[i]) * 0x100000001b3;
    return h ^ h >> 32;
}

/* Windows follow each other at the distance of validity less refresh, in whole ticks; where they
 * begin is shifted by owner and type, so that each tick renews an equal share of a zone. A window's
 * signature is valid from an hour before it to a refresh after it. */
static struct window find_window(const struct sign_signer *s, const struct sign_rrset *r)
{
    const struct sign_policy *p = &s->keyring->policy;
    int64_t ticks = p->validity_s > p->refresh_s + SIGN_TICK_S
                        ? (p->validity_s - p->refresh_s) / SIGN_TICK_S
                        : 1;
    int64_t length_s = ticks * SIGN_TICK_S;
    int64_t shift_s = (int64_t)(hash_owner(r->owner, r->type) % (uint64_t)ticks) * SIGN_TICK_S;
    int64_t begin_s = (s->now_s + shift_s) / length_s * length_s - shift_s;
    int64_t after_s = p->validity_s > length_s ? p->validity_s - length_s : 0;

    if (after_s < (int64_t)r->outlive_s + SIGN_TICK_S)
        after_s = (int64_t)r->outlive_s + SIGN_TICK_S;
    return (struct window){(uint32_t)(begin_s - BACKDATED_S),
                           (uint32_t)(begin_s + length_s + after_s)};
}

/* ---- Signatures ---- */

struct sign_context {
    struct crypto *crypto;
    struct scratch scratch;
};

struct sign_context *sign_context_new(void)
{
    struct sign_context *c = base_zalloc(1, sizeof(*c));

    c->crypto = crypto_new();
    return c;
}

void sign_context_free(struct sign_context *c)
{
    if (c == NULL)
        return;
    crypto_free(c->crypto);
    scratch_free(&c->scratch);
    free(c);
}

/* RFC 4034 section 3.1.3: without the root, without a leading "*". */
static uint8_t count_labels(const uint8_t *owner)
{
    uint8_t n = 0;

    if (owner[0] == 1 && owner[1] == '*')
        owner += 2;
    for (; owner[0] != 0; owner += owner[0] + 1)
        n++;
    return n;
}

/* RDATA up to the signature (RFC 4034 section 3.1); its bytes. */
static size_t write_head(const struct sign_signer *s, const struct sign_key *k,
                         const struct sign_rrset *r, uint8_t *to)
{
    const struct wire_name *zone = &s->keyring->zone;
    struct window w = find_window(s, r);

    bytes_put_u16(to, r->type);
    to[2] = k->facts.algorithm;
    to[3] = count_labels(r->owner);
    bytes_put_u32(to + 4, r->ttl_s);
    bytes_put_u32(to + 8, w.expiration);
    bytes_put_u32(to + 12, w.inception);
    bytes_put_u16(to + 16, k->facts.tag);
    memcpy(to + RRSIG_FIXED, zone->bytes, zone->length);
    return RRSIG_FIXED + zone->length;
}

size_t sign_rrset(struct sign_context *c, const struct sign_signer *s, const struct sign_rrset *r,
                  struct sign_signature out[SIGN_SIGNATURES_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_keys; i++) {
        const struct sign_key *k = s->keys[i].key;
        size_t n_head;

        if (!signs(&s->keys[i], r->type))
            continue;
        n_head = write_head(s, k, r, out[n].rdata);
        if (n == 0)
            canonical_rrset(&c->scratch, out[n].rdata, n_head, r);
        else
            memcpy(c->scratch.bytes, out[n].rdata, n_head);
        crypto_sign(c->crypto, k->secret, c->scratch.bytes, c->scratch.n, out[n].rdata + n_head);
        out[n].n = (uint16_t)(n_head + k->algorithm->signature_bytes);
        n++;
    }
    return n;
}

bool sign_is_current(const struct sign_signer *s, const struct sign_rrset *r, const uint8_t *rdata,
                     uint16_t n)
{
    uint8_t head[RRSIG_FIXED + WIRE_NAME_MAX];

    for (size_t i = 0; i < s->n_keys; i++) {
        const struct sign_key *k = s->keys[i].key;
        size_t n_head;

        if (!signs(&s->keys[i], r->type))
            continue;
        n_head = write_head(s, k, r, head);
        if (n == n_head + k->algorithm->signature_bytes && memcmp(rdata, head, n_head) == 0)
            return true;
    }
    return false;
}

size_t sign_count(const struct sign_signer *s, uint16_t type)
{
    return count_signatures(s, type);
}

size_t sign_rrsig_bytes_max(const struct sign_signer *s, size_t *n_per_rrset)
{
    size_t most = 0, n_keys = count_signatures(s, WIRE_DNSKEY),
           n_data = count_signatures(s, WIRE_A);

    for (size_t i = 0; i < s->n_keys; i++)
        if (s->keys[i].key->algorithm->signature_bytes > most)
            most = s->keys[i].key->algorithm->signature_bytes;
    *n_per_rrset = n_data > n_keys ? n_data : n_keys;
    return RRSIG_FIXED + s->keyring->zone.length + most;
}
