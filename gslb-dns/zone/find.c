/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A name's way to its node. Hashes are built label by label from the right, so the hashes of all
 * names above come for free: they find the zone, and where the name does not exist, its closest
 * encloser. Names above an existing one exist too (empty non-terminals are nodes), so the encloser
 * is found by bisection: a name with many labels costs a few probes more, not one per label.
 */
#include "gslb-dns/zone/zone_internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* --- hashes ------------------------------------------------------------------------------- */

/* Secret of this process, so that nobody can choose names that collide. */
static struct {
    uint64_t start, factor;
} seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
    ensure(getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed));
    seed.factor |= 1;
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Up to 8 bytes at p, of which n belong to the label; end is the buffer's. */
static inline uint64_t load(const uint8_t *p, size_t n, const uint8_t *end)
{
    uint64_t word = 0;

    if (likely(end - p >= 8)) {
        memcpy(&word, p, 8);
        return n >= 8 ? word : word & ((UINT64_C(1) << (8 * n)) - 1);
    }
    memcpy(&word, p, n < 8 ? n : 8);
    return word;
}

/* The hash of a name from its first label, length byte included, and the rest's hash. */
static inline uint64_t hash_label(uint64_t rest, const uint8_t *label, const uint8_t *end)
{
    size_t n = 1u + label[0];
    uint64_t h = rest;

    for (;;) {
        h = mix(h ^ load(label, n, end), seed.factor);
        if (likely(n <= 8))
            return h;
        label += 8;
        n -= 8;
    }
}

void zone_hash_suffixes(const struct wire_name *name, uint64_t hashes[WIRE_LABELS_MAX + 1])
{
    const uint8_t *end = name->bytes + sizeof(name->bytes);
    uint64_t h;

    pthread_once(&seed_once, make_seed);
    h = hashes[0] = seed.start;
    for (unsigned i = 1; i <= name->n_labels; i++)
        hashes[i] = h = hash_label(h, name->bytes + name->offsets[name->n_labels - i], end);
}

static uint64_t hash_bytes(uint64_t h, const uint8_t *p, size_t n)
{
    for (; n > 0; p += n < 8 ? n : 8, n -= n < 8 ? n : 8)
        h = mix(h ^ load(p, n, p + n) ^ n, seed.factor);
    return h;
}

uint64_t zone_digest_record(const uint8_t *name, size_t name_bytes, uint16_t type, uint32_t ttl_s,
                            const uint8_t *rdata, size_t rdata_bytes)
{
    uint64_t h = mix(seed.start ^ ((uint64_t)type << 32 | ttl_s), seed.factor);

    return hash_bytes(hash_bytes(h, name, name_bytes), rdata, rdata_bytes);
}

/* --- the index ---------------------------------------------------------------------------- */

static unsigned put(struct zone_index *x, struct zone_slot slot)
{
    uint32_t at = slot.tag & x->mask;
    unsigned steps = 0;

    for (; x->slots[at].ref != 0; at = (at + 1) & x->mask)
        steps++;
    x->slots[at] = slot;
    return steps;
}

static void grow(struct zone_index *x)
{
    struct zone_slot *old = x->slots;
    uint32_t n = old ? x->mask + 1 : 0;

    x->mask = n ? 2 * n - 1 : 15;
    x->slots = base_zalloc((size_t)x->mask + 1, sizeof(*x->slots));
    for (uint32_t i = 0; i < n; i++) {
        if (old[i].ref != 0)
            put(x, old[i]);
    }
    free(old);
}

void index_insert(struct zone_index *x, uint64_t hash, uint32_t ref)
{
    /* A half full table has runs of some 30 slots at most, whatever the names, as long as the seed
     * is secret. Longer ones make it grow, up to an eighth full. */
    enum { STEPS_MAX = 64 };
    unsigned steps;

    if (x->slots == NULL || 2 * (uint64_t)x->n > x->mask)
        grow(x);
    steps = put(x, (struct zone_slot){index_tag(hash), ref});
    x->n++;
    if (steps > STEPS_MAX && 8 * (uint64_t)x->n > x->mask)
        grow(x);
}

static inline const struct zone_node *get(const struct zone_index *x, uint64_t hash,
                                          const uint8_t *name, size_t n)
{
    uint32_t tag = index_tag(hash), at = tag & x->mask;

    for (; x->slots[at].ref != 0; at = (at + 1) & x->mask) {
        const struct zone_node *node;

        if (x->slots[at].tag != tag)
            continue;
        node = index_node(x, x->slots[at].ref);
        if (likely(node->name_bytes == n && memcmp(node->name, name, n) == 0))
            return node;
    }
    return NULL;
}

/* --- which zone --------------------------------------------------------------------------- */

struct zone_set {
    uint32_t mask;
    bool has_depth[WIRE_LABELS_MAX + 1]; /* some apex has so many labels */
    struct zone_set_slot {
        uint64_t hash;
        const struct zone *zone; /* NULL: empty */
    } slots[];
};

struct zone_set *zone_set_new(struct zone *const *zones, size_t n)
{
    uint64_t hashes[WIRE_LABELS_MAX + 1];
    struct zone_set *s;
    size_t size = 2;

    while (size < 2 * n)
        size *= 2;
    s = base_zalloc(1, sizeof(*s) + size * sizeof(s->slots[0]));
    s->mask = (uint32_t)size - 1;
    for (size_t i = 0; i < n; i++) {
        const struct wire_name *apex = &zones[i]->apex;
        uint32_t at;

        zone_hash_suffixes(apex, hashes);
        at = (uint32_t)hashes[apex->n_labels] & s->mask;
        while (s->slots[at].zone != NULL)
            at = (at + 1) & s->mask;
        s->slots[at] = (struct zone_set_slot){hashes[apex->n_labels], zones[i]};
        s->has_depth[apex->n_labels] = true;
    }
    return s;
}

void zone_set_free(struct zone_set *s)
{
    free(s);
}

static const struct zone *find_zone(const struct zone_set *s, uint64_t hash, const uint8_t *name,
                                    size_t n)
{
    uint32_t at = (uint32_t)hash & s->mask;

    for (; s->slots[at].zone != NULL; at = (at + 1) & s->mask) {
        const struct zone *z = s->slots[at].zone;

        if (s->slots[at].hash == hash && z->apex.length == n && memcmp(z->apex.bytes, name, n) == 0)
            return z;
    }
    return NULL;
}

void zone_prepare(const struct zone_set *s, const struct wire_name *qname, uint16_t qtype,
                  struct zone_lookup *out)
{
    const uint8_t *end = qname->bytes + sizeof(qname->bytes);
    unsigned n = qname->n_labels;
    uint64_t h = seed.start; /* made when the zones were */

    *out = (struct zone_lookup){.zone = NULL};
    for (unsigned depth = 0;; depth++) {
        /* DS stands on the parent's side of a cut (RFC 4035 section 3.1.4.1). */
        if (s->has_depth[depth] && !(depth == n && qtype == WIRE_DS && out->zone != NULL)) {
            unsigned at = qname->offsets[n - depth];
            const struct zone *z = find_zone(s, h, qname->bytes + at, qname->length - at);

            out->zone = z ? z : out->zone;
        }
        if (depth == n)
            break;
        h = hash_label(h, qname->bytes + qname->offsets[n - depth - 1], end);
    }
    out->hash = h;
    if (out->zone != NULL)
        __builtin_prefetch(&out->zone->index->slots[index_tag(h) & out->zone->index->mask]);
}

void zone_fetch(const struct zone_lookup *l)
{
    const struct zone_index *x;
    uint32_t tag = index_tag(l->hash), at;

    if (l->zone == NULL)
        return;
    x = l->zone->index;
    for (at = tag & x->mask; x->slots[at].ref != 0; at = (at + 1) & x->mask) {
        if (x->slots[at].tag == tag) { /* the node, and its RRsets and name behind it */
            const uint8_t *node = (const uint8_t *)index_node(x, x->slots[at].ref);

            __builtin_prefetch(node);
            __builtin_prefetch(node + CACHE_LINE);
            return;
        }
    }
}

/* --- what is there ------------------------------------------------------------------------ */

/* Is a node of the chain, the owner of an NSEC3, in the index too? */
static bool is_listed(const struct zone *z, const struct zone_node *node)
{
    struct wire_name name;

    return wire_name_read(node->name, node->name_bytes, &name) && find_node(z, &name) == node;
}

/* Those of the index, then those that no question finds. */
const struct zone_node *zone_next_node(const struct zone *z, size_t *at)
{
    const struct zone_index *x = z->index;
    size_t n_chain = z->denial == ZONE_NSEC3 ? z->chain->n : 0;

    while (*at <= x->mask) {
        uint32_t ref = x->slots[(*at)++].ref;

        if (ref != 0)
            return index_node(x, ref);
    }
    while (*at - x->mask - 1 < n_chain) {
        const struct zone_node *node = index_node(x, z->chain->refs[(*at)++ - x->mask - 1]);

        if (!is_listed(z, node))
            return node;
    }
    return NULL;
}

const struct zone_rrset *zone_node_rrset(const struct zone_node *n, uint16_t type)
{
    for (unsigned i = 0; i < n->n_rrsets; i++) {
        if (n->rrsets[i].type == type)
            return &n->rrsets[i];
    }
    return NULL;
}

uint32_t zone_expire_s(const struct zone *z)
{
    return zone_is_available(z) ? bytes_get_u32(z->soa->wire + z->soa->wire_bytes - 8) : 0;
}

static enum zone_verdict answer(struct zone_lookup *l, enum zone_verdict verdict,
                                const struct zone_node *node, const struct zone_rrset *rrset)
{
    l->node = node;
    l->rrset = rrset;
    return verdict;
}

static enum zone_verdict look_for_signatures(struct zone_lookup *l, const struct zone_node *node)
{
    for (unsigned i = 0; i < node->n_rrsets; i++) {
        if (node->rrsets[i].n_sigs > 0)
            return answer(l, ZONE_ANY, node, &node->rrsets[i]);
    }
    return answer(l, ZONE_NODATA, node, NULL);
}

/* RFC 1034 section 4.3.2 step 3: at a node that has the name, or its wildcard. */
static enum zone_verdict look_at(struct zone_lookup *l, const struct zone_node *node,
                                 uint16_t qtype)
{
    const struct zone_rrset *rrset;

    if (unlikely(node->cut != NULL) && !(node == node->cut && qtype == WIRE_DS))
        return answer(l, ZONE_REFERRAL, node->cut, zone_node_rrset(node->cut, WIRE_NS));
    if (node->service != ZONE_NO_SERVICE && (qtype == WIRE_A || qtype == WIRE_AAAA))
        return answer(l, ZONE_STEERED, node, NULL);
    if (unlikely(qtype == WIRE_RRSIG)) /* those of one RRset: RFC 8482 section 7 */
        return look_for_signatures(l, node);
    if (unlikely(qtype == WIRE_NSEC3)) /* not there for questions: RFC 5155 section 7.2.8 */
        return answer(l, ZONE_NODATA, node, NULL);
    if (unlikely(qtype == WIRE_ANY)) {
        bool has_data = node->n_rrsets > 0 || node->service != ZONE_NO_SERVICE;
        return answer(l, has_data ? ZONE_ANY : ZONE_NODATA, node,
                      node->n_rrsets > 0 ? &node->rrsets[0] : NULL);
    }
    rrset = zone_node_rrset(node, qtype);
    if (likely(rrset != NULL))
        return answer(l, ZONE_ANSWER, node, rrset);
    rrset = zone_node_rrset(node, WIRE_CNAME);
    return answer(l, rrset != NULL ? ZONE_CNAME : ZONE_NODATA, node, rrset);
}

static const struct zone_node *closest_encloser(const struct zone *z, const struct wire_name *name)
{
    unsigned exists = z->apex.n_labels, absent = name->n_labels;
    const struct zone_node *found = z->root;
    uint64_t hashes[WIRE_LABELS_MAX + 1];

    if (absent > z->index->max_labels + 1u)
        absent = z->index->max_labels + 1u;
    if (absent - exists <= 1)
        return found;
    zone_hash_suffixes(name, hashes);
    while (absent - exists > 1) {
        unsigned middle = (exists + absent) / 2, at = name->offsets[name->n_labels - middle];
        const struct zone_node *node =
            get(z->index, hashes[middle], name->bytes + at, name->length - at);

        if (node != NULL) {
            found = node;
            exists = middle;
        } else {
            absent = middle;
        }
    }
    return found;
}

static enum zone_verdict look_above(struct zone_lookup *l, const struct wire_name *qname,
                                    uint16_t qtype)
{
    const struct zone_node *encloser = closest_encloser(l->zone, qname);
    const struct zone_rrset *dname;

    if (encloser->cut != NULL)
        return answer(l, ZONE_REFERRAL, encloser->cut, zone_node_rrset(encloser->cut, WIRE_NS));
    dname = zone_node_rrset(encloser, WIRE_DNAME);
    if (unlikely(dname != NULL)) /* RFC 6672 section 3.2 step 3C */
        return answer(l, ZONE_DNAME, encloser, dname);
    if (encloser->wildcard == NULL)
        return answer(l, ZONE_NXDOMAIN, encloser, NULL);
    l->is_wildcard = true; /* RFC 4592 section 3.3.1 */
    return look_at(l, encloser->wildcard, qtype);
}

enum zone_verdict zone_find(struct zone_lookup *l, const struct wire_name *qname, uint16_t qtype)
{
    const struct zone_node *node;

    l->is_wildcard = false;
    if (l->zone == NULL)
        return answer(l, ZONE_NOT_OURS, NULL, NULL);
    node = get(l->zone->index, l->hash, qname->bytes, qname->length);
    return likely(node != NULL) ? look_at(l, node, qtype) : look_above(l, qname, qtype);
}

const struct zone_node *find_node(const struct zone *z, const struct wire_name *name)
{
    uint64_t hashes[WIRE_LABELS_MAX + 1];

    zone_hash_suffixes(name, hashes);
    return get(z->index, hashes[name->n_labels], name->bytes, name->length);
}

enum zone_verdict zone_find_next(struct zone_lookup *l, const struct wire_name *name,
                                 uint16_t qtype)
{
    uint64_t hashes[WIRE_LABELS_MAX + 1];

    if (l->zone == NULL || !wire_name_is_below(name, &l->zone->apex)) {
        l->is_wildcard = false;
        return answer(l, ZONE_NOT_OURS, NULL, NULL);
    }
    zone_hash_suffixes(name, hashes);
    l->hash = hashes[name->n_labels];
    return zone_find(l, name, qtype);
}

/* A compressed name in an RRset ends at a pointer to the apex. */
void zone_target_name(const struct zone *z, const struct zone_rrset *cname, struct wire_name *out)
{
    const uint8_t *p = cname->wire + 12;
    uint8_t wire[WIRE_NAME_MAX];
    size_t n = 0;

    while (p[n] != 0 && p[n] < 0xc0)
        n += 1u + p[n];
    ensure(n + z->apex.length <= WIRE_NAME_MAX || p[n] == 0);
    memcpy(wire, p, n);
    if (p[n] == 0)
        wire[n] = 0;
    else
        memcpy(wire + n, z->apex.bytes, z->apex.length);
    ensure(wire_name_read(wire, p[n] == 0 ? n + 1 : n + z->apex.length, out));
}
