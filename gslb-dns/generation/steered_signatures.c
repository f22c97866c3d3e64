/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signatures of steered answers, made ahead: for each set of addresses that an answer can be. They
 * are kept from world to world and from generation to generation, so that a change of health signs
 * only sets that were not there before, and a renewal only what is due; where it is full, all is
 * forgotten and made anew as it is needed.
 */
#include "gslb-dns/generation/generation_internal.h"

#include "common/bytes/bytes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    ENTRIES_MAX = 65536,
    RECORD_HEAD = 12,
    ADDRESS_MAX = 16,
};

/* What was signed, and the RRSIG records in wire form. */
struct entry {
    uint64_t hash;
    const uint8_t *key; /* NULL: empty */
    uint8_t *wire;
    uint32_t key_bytes;
    uint16_t wire_bytes;
    uint8_t n_sigs;
};

struct steered_signatures {
    _Atomic unsigned refs;
    pthread_mutex_t lock; /* one generation is loaded while another makes worlds */
    struct sign_context *context;
    struct arena arena;
    struct entry *entries; /* by hash, half full at most */
    uint32_t mask, n;
    uint8_t *key; /* of the set that is looked for */
    size_t key_cap;
    uint64_t n_made;
};

static void start(struct steered_signatures *s)
{
    arena_init(&s->arena, 65536);
    s->mask = 1023;
    s->n = 0;
    s->entries = base_zalloc(s->mask + 1u, sizeof(s->entries[0]));
}

static void stop(struct steered_signatures *s)
{
    arena_free(&s->arena);
    free(s->entries);
}

struct steered_signatures *steered_signatures_new(void)
{
    struct steered_signatures *s = base_zalloc(1, sizeof(*s));

    s->refs = 1;
    pthread_mutex_init(&s->lock, NULL);
    s->context = sign_context_new();
    start(s);
    return s;
}

struct steered_signatures *steered_signatures_hold(struct steered_signatures *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void steered_signatures_release(struct steered_signatures *s)
{
    if (s == NULL || atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    stop(s);
    sign_context_free(s->context);
    pthread_mutex_destroy(&s->lock);
    free(s->key);
    free(s);
}

uint64_t steered_signatures_made(const struct steered_signatures *s)
{
    return s != NULL ? s->n_made : 0;
}

/* --- looking ------------------------------------------------------------------------------ */

/* Nobody chooses these keys but the operator. */
static uint64_t hash_key(const uint8_t *p, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h ^ h >> 32;
}

static struct entry *find_slot(const struct steered_signatures *s, uint64_t hash,
                               const uint8_t *key, size_t n)
{
    uint32_t at = (uint32_t)hash & s->mask;

    for (;; at = (at + 1) & s->mask) {
        struct entry *e = &s->entries[at];

        if (e->key == NULL || (e->hash == hash && e->key_bytes == n && memcmp(e->key, key, n) == 0))
            return e;
    }
}

static void grow(struct steered_signatures *s)
{
    struct entry *old = s->entries;
    uint32_t n = s->mask + 1;

    if (s->n >= ENTRIES_MAX) {
        stop(s);
        start(s);
        return;
    }
    s->mask = 2 * n - 1;
    s->entries = base_zalloc(s->mask + 1u, sizeof(s->entries[0]));
    for (uint32_t i = 0; i < n; i++) {
        if (old[i].key != NULL)
            *find_slot(s, old[i].hash, old[i].key, old[i].key_bytes) = old[i];
    }
    free(old);
}

/* --- making ------------------------------------------------------------------------------- */

static int by_bytes4(const void *a, const void *b)
{
    return memcmp(a, b, 4);
}

static int by_bytes16(const void *a, const void *b)
{
    return memcmp(a, b, ADDRESS_MAX);
}

/* Type, TTL, owner and the addresses in order; its length. */
static size_t write_key(struct steered_signatures *s, const struct steered_set *set)
{
    size_t address_bytes = set->type == WIRE_A ? 4 : ADDRESS_MAX;
    size_t record_bytes = RECORD_HEAD + address_bytes, need;
    size_t head = 6u + set->owner->length;
    uint8_t *p;

    need = head + set->n * address_bytes;
    if (need > s->key_cap) {
        free(s->key);
        s->key = base_alloc(need);
        s->key_cap = need;
    }
    p = s->key;
    bytes_put_u16(p, set->type);
    bytes_put_u32(p + 2, set->ttl_s);
    memcpy(p + 6, set->owner->bytes, set->owner->length);
    for (size_t i = 0; i < set->n; i++) {
        size_t record = (set->first + i) % set->count;

        memcpy(p + head + i * address_bytes, set->wire + record * record_bytes + RECORD_HEAD,
               address_bytes);
    }
    qsort(p + head, set->n, address_bytes, address_bytes == 4 ? by_bytes4 : by_bytes16);
    return need;
}

/* The set as the signer takes it; the addresses are those of the key, rdata has room for them. */
static struct sign_rrset rrset_of(const struct steered_signatures *s, const struct steered_set *set,
                                  size_t key_bytes, struct sign_rdata *rdata)
{
    size_t address_bytes = set->type == WIRE_A ? 4 : ADDRESS_MAX;
    const uint8_t *addresses = s->key + key_bytes - set->n * address_bytes;

    for (size_t i = 0; i < set->n; i++)
        rdata[i] = (struct sign_rdata){addresses + i * address_bytes, (uint16_t)address_bytes};
    return (struct sign_rrset){.owner = set->owner->bytes,
                               .type = set->type,
                               .ttl_s = set->ttl_s,
                               .rdata = rdata,
                               .n = set->n,
                               .outlive_s = set->outlive_s};
}

/* Would signing now give the same? */
static bool is_current(const struct entry *e, const struct sign_signer *signer,
                       const struct sign_rrset *r)
{
    const uint8_t *p = e->wire;

    if (e->n_sigs != sign_count(signer, r->type))
        return false;
    for (unsigned i = 0; i < e->n_sigs; i++) {
        uint16_t n = bytes_get_u16(p + RECORD_HEAD - 2);

        if (!sign_is_current(signer, r, p + RECORD_HEAD, n))
            return false;
        p += RECORD_HEAD + n;
    }
    return true;
}

/* Where an entry had as many bytes before, they are written over: worlds have copies. */
static void sign(struct steered_signatures *s, const struct sign_signer *signer,
                 const struct sign_rrset *r, struct entry *e)
{
    struct sign_signature made[SIGN_SIGNATURES_MAX];
    size_t n = sign_rrset(s->context, signer, r, made), bytes = 0;
    uint8_t *p;

    for (size_t i = 0; i < n; i++)
        bytes += RECORD_HEAD + made[i].n;
    if (e->wire == NULL || e->wire_bytes != bytes)
        e->wire = arena_alloc_packed(&s->arena, bytes);
    p = e->wire;
    for (size_t i = 0; i < n; i++) {
        bytes_put_u16(p, 0xc000 | WIRE_HEADER);
        bytes_put_u16(p + 2, WIRE_RRSIG);
        bytes_put_u16(p + 4, WIRE_CLASS_IN);
        bytes_put_u32(p + 6, r->ttl_s);
        bytes_put_u16(p + 10, made[i].n);
        memcpy(p + RECORD_HEAD, made[i].rdata, made[i].n);
        p += RECORD_HEAD + made[i].n;
    }
    e->wire_bytes = (uint16_t)bytes;
    e->n_sigs = (uint8_t)n;
    s->n_made++;
}

static const struct entry *get_entry(struct steered_signatures *s, const struct steered_set *set)
{
    struct sign_rdata *rdata = base_alloc(set->n * sizeof(rdata[0]));
    size_t key_bytes = write_key(s, set);
    uint64_t hash = hash_key(s->key, key_bytes);
    struct entry *e = find_slot(s, hash, s->key, key_bytes);
    struct sign_rrset r = rrset_of(s, set, key_bytes, rdata);

    if (e->key == NULL || !is_current(e, set->signer, &r))
        sign(s, set->signer, &r, e);
    if (e->key == NULL) {
        e->hash = hash;
        e->key_bytes = (uint32_t)key_bytes;
        e->key = memcpy(arena_alloc_packed(&s->arena, key_bytes), s->key, key_bytes);
        s->n++;
    }
    free(rdata);
    return e;
}

size_t steered_signatures_get(struct steered_signatures *s, const struct steered_set *set,
                              uint8_t *out, uint8_t *n_sigs)
{
    const struct entry *e;
    size_t n;

    pthread_mutex_lock(&s->lock);
    if (2 * (s->n + 1) > s->mask)
        grow(s);
    e = get_entry(s, set);
    n = e->wire_bytes;
    memcpy(out, e->wire, n);
    *n_sigs = e->n_sigs;
    pthread_mutex_unlock(&s->lock);
    return n;
}

size_t steered_signatures_bound(const struct sign_signer *signer)
{
    size_t n, bytes = sign_rrsig_bytes_max(signer, &n);

    return n * (RECORD_HEAD + bytes);
}
