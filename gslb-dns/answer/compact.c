/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compact denial of existence (RFC 9824): what a name that is not there gets is signed when it is
 * asked for, on the worker. What the zone itself says of names that are there was signed at load.
 * A few of these records are kept per thread, since names that are missing are asked for again.
 *
 * Who asks for ever new names makes us sign, which costs a hundred times what an answer does. So a
 * thread signs for a quarter of its time at most; what goes beyond that is told to come by TCP, or
 * refused, and all other answers go on as they were.
 */
#include "gslb-dns/answer/answer_internal.h"

#include "common/clock/clock.h"

#include <stdlib.h>
#include <string.h>

enum {
    ENTRIES = 256,
    BITMAP_MAX = 256, /* of a wildcard's types; longer ones are cut off at a window's end */
    WIRE_MAX = RECORD_HEAD + WIRE_NAME_MAX + BITMAP_MAX +
               SIGN_SIGNATURES_MAX * (RECORD_HEAD + SIGN_RRSIG_MAX),
    SHARE = 4,            /* one part in so many of the time may be spent */
    BURST_US = 250000,    /* and so much at once */
    CHARGE_MAX_US = 10000 /* for one RRset; more is the machine's fault */
};

struct entry {
    uint64_t signer;  /* its number, 0: empty */
    uint64_t message; /* the last one that took it */
    uint16_t rdata_bytes;
    struct zone_node node; /* its name is what counts */
    struct zone_rrset rrset;
    uint8_t name[WIRE_NAME_MAX + 1];
    uint8_t wire[WIRE_MAX];
};

struct compact {
    struct sign_context *context;
    struct metrics_block *counters;
    uint64_t message;
    struct entry *entries;
    int64_t counted_us; /* up to this moment time was granted */
    int64_t left_us;    /* for signatures */
};

/* An NSEC that is to be. */
struct plan {
    uint8_t owner[WIRE_NAME_MAX + 1];
    size_t owner_bytes;
    uint8_t rdata[WIRE_NAME_MAX + BITMAP_MAX];
    size_t rdata_bytes;
};

struct compact *compact_new(struct metrics_block *counters)
{
    struct compact *c = base_zalloc(1, sizeof(*c));

    c->counters = counters;
    return c;
}

void compact_free(struct compact *c)
{
    if (c->context != NULL)
        sign_context_free(c->context);
    free(c->entries);
    free(c);
}

void compact_begin(struct compact *c)
{
    c->message++;
}

/* --- plans -------------------------------------------------------------------------------- */

static void put_types(struct plan *p, const uint8_t *bitmap, size_t n)
{
    memcpy(p->rdata + p->rdata_bytes, bitmap, n);
    p->rdata_bytes += n;
}

static const uint8_t nothing[] = {0, 6, 0, 0, 0, 0, 0, 3}; /* RRSIG NSEC */
static const uint8_t no_name[] = {0, 17, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80};

static void put_owner(struct plan *p, const uint8_t *name, size_t n)
{
    memcpy(p->owner, name, n);
    p->owner_bytes = n;
}

/* The types that a node of the zone has, as the NSEC there lists them. */
static void put_types_of(struct plan *p, const struct zone_rrset *nsec)
{
    const uint8_t *bitmap = nsec->wire + RECORD_HEAD, *end = bitmap + bytes_get_u16(bitmap - 2);

    while (*bitmap != 0)
        bitmap += 1u + *bitmap;
    for (bitmap++; bitmap < end; bitmap += 2u + bitmap[1]) {
        if (p->rdata_bytes + 2u + bitmap[1] > sizeof(p->rdata))
            return;
        put_types(p, bitmap, 2u + bitmap[1]);
    }
}

/* Section 3.1: at the name itself stands nothing, and NXNAME says that it does not exist. */
static bool plan_absence(struct plan *p, const struct wire_name *name)
{
    put_owner(p, name->bytes, name->length);
    p->rdata_bytes = zone_name_below(name->bytes, name->length, p->rdata);
    put_types(p, no_name, sizeof(no_name));
    return p->rdata_bytes > sizeof(no_name);
}

/* A wildcard answers for this name, but not with this type: what is proved at the wildcard itself
 * is said of the name. */
static bool plan_wildcard_types(struct plan *p, const struct zone_lookup *l, uint16_t missing,
                                const struct wire_name *name)
{
    struct zone_lookup at = *l;
    struct zone_proof found[ZONE_PROOFS_MAX];
    unsigned n;

    at.is_wildcard = false;
    n = missing != 0 ? zone_prove_missing(&at, missing, name, found)
                     : zone_prove(&at, ZONE_NODATA, name, found);
    put_owner(p, name->bytes, name->length);
    p->rdata_bytes = zone_name_below(name->bytes, name->length, p->rdata);
    if (n == 0 || p->rdata_bytes == 0)
        return false;
    put_types_of(p, found[0].rrset);
    return true;
}

/* A wildcard's answer needs that nothing nearer is there: around the next closer name. Before the
 * first of all names below the encloser there is only that one, with what it has. */
static bool plan_gap(struct plan *p, const struct wire_name *name, const struct zone_node *wildcard)
{
    size_t at = name->offsets[name->n_labels - wildcard->n_labels], n = name->length - at;
    const uint8_t *next_closer = name->bytes + at;
    const struct zone_node *encloser = wildcard->parent;
    const struct zone_rrset *nsec = zone_node_rrset(encloser, WIRE_NSEC);
    bool is_first = next_closer[0] == 1 && next_closer[1] == 0;

    p->rdata_bytes = zone_name_behind(next_closer, n, p->rdata);
    if (is_first)
        put_owner(p, encloser->name, encloser->name_bytes);
    else
        p->owner_bytes = zone_name_before(next_closer, n, p->owner);
    if (p->rdata_bytes == 0 || p->owner_bytes == 0 || nsec == NULL)
        return false;
    if (is_first)
        put_types_of(p, nsec);
    else
        put_types(p, nothing, sizeof(nothing));
    return true;
}

static bool make_plan(struct plan *p, const struct zone_lookup *l, enum zone_verdict verdict,
                      uint16_t missing, const struct wire_name *name)
{
    if (verdict == ZONE_NXDOMAIN)
        return plan_absence(p, name);
    return verdict == ZONE_NODATA ? plan_wildcard_types(p, l, missing, name)
                                  : plan_gap(p, name, l->node);
}

/* --- the time for it ---------------------------------------------------------------------- */

static bool has_time(struct compact *c)
{
    int64_t now_us = clock_mono_us();

    c->left_us += (now_us - c->counted_us) / SHARE;
    if (c->left_us > BURST_US)
        c->left_us = BURST_US;
    c->counted_us = now_us;
    return c->left_us > 0;
}

static void spend_time(struct compact *c)
{
    int64_t spent_us = clock_mono_us() - c->counted_us;

    c->left_us -= spent_us < CHARGE_MAX_US ? spent_us : CHARGE_MAX_US;
}

void compact_refuse(struct message *m)
{
    message_truncate(m);
    if (!answer_is_stream(m->io->transport))
        return;
    m->is_truncated = m->is_authoritative = false;
    m->rcode = WIRE_SERVFAIL;
    message_explain(m, "too much has to be signed at this moment");
}

/* --- signing ------------------------------------------------------------------------------ */

static uint8_t *put_record(uint8_t *p, uint16_t type, uint32_t ttl_s, const uint8_t *rdata,
                           uint16_t n)
{
    bytes_put_u16(p, POINTER_BITS | WIRE_HEADER);
    bytes_put_u16(p + 2, type);
    bytes_put_u16(p + 4, WIRE_CLASS_IN);
    bytes_put_u32(p + 6, ttl_s);
    bytes_put_u16(p + 10, n);
    memcpy(p + RECORD_HEAD, rdata, n);
    return p + RECORD_HEAD + n;
}

static void sign_entry(struct compact *c, struct entry *e, const struct plan *p,
                       const struct zone *z, const struct sign_rrset *set)
{
    struct sign_signature made[SIGN_SIGNATURES_MAX];
    size_t n = sign_rrset(c->context, z->signer, set, made);
    uint8_t *to = put_record(e->wire, WIRE_NSEC, set->ttl_s, p->rdata, (uint16_t)p->rdata_bytes);

    metrics_add(c->counters, ANSWER_COUNTER_ONLINE_SIGNATURES, n);
    e->signer = sign_signer_number(z->signer);
    e->rdata_bytes = (uint16_t)p->rdata_bytes;
    memcpy(e->name, p->owner, p->owner_bytes);
    e->node = (struct zone_node){
        .name = e->name, .name_bytes = (uint8_t)p->owner_bytes, .service = ZONE_NO_SERVICE};
    e->rrset = (struct zone_rrset){.type = WIRE_NSEC,
                                   .count = 1,
                                   .ttl_s = set->ttl_s,
                                   .wire_bytes = (uint16_t)(to - e->wire),
                                   .n_sigs = (uint8_t)n,
                                   .wire = e->wire};
    for (size_t i = 0; i < n; i++)
        to = put_record(to, WIRE_RRSIG, set->ttl_s, made[i].rdata, made[i].n);
    e->rrset.sig_bytes = (uint16_t)(to - e->wire - e->rrset.wire_bytes);
}

static bool is_kept(const struct entry *e, const struct plan *p, const struct zone *z,
                    const struct sign_rrset *set)
{
    const uint8_t *first = e->wire + e->rrset.wire_bytes;

    return e->signer == sign_signer_number(z->signer) && e->rrset.ttl_s == set->ttl_s &&
           e->node.name_bytes == p->owner_bytes && e->rdata_bytes == p->rdata_bytes &&
           memcmp(e->name, p->owner, p->owner_bytes) == 0 &&
           memcmp(e->wire + RECORD_HEAD, p->rdata, p->rdata_bytes) == 0 &&
           e->rrset.n_sigs == sign_count(z->signer, WIRE_NSEC) &&
           sign_is_current(z->signer, set, first + RECORD_HEAD, bytes_get_u16(first + 10));
}

static uint32_t hash_plan(const struct plan *p)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < p->owner_bytes; i++)
        h = (h ^ p->owner[i]) * 16777619u;
    return h ^ h >> 16;
}

bool compact_prove(struct compact *c, const struct zone_lookup *l, enum zone_verdict verdict,
                   uint16_t missing, const struct wire_name *name, struct zone_proof *out)
{
    const struct zone *z = l->zone;
    struct plan p;
    struct sign_rdata rdata;
    struct sign_rrset set = {.owner = p.owner,
                             .type = WIRE_NSEC,
                             .ttl_s = z->negative_soa->ttl_s,
                             .rdata = &rdata,
                             .n = 1,
                             .outlive_s = z->negative_soa->ttl_s};
    struct entry *e;

    if (!make_plan(&p, l, verdict, missing, name))
        return false;
    if (c->entries == NULL) { /* once per thread, and only where there is such a zone */
        c->entries = base_zalloc(ENTRIES, sizeof(c->entries[0]));
        c->context = sign_context_new();
    }
    rdata = (struct sign_rdata){p.rdata, (uint16_t)p.rdata_bytes};
    e = &c->entries[hash_plan(&p) % ENTRIES];
    if (!is_kept(e, &p, z, &set)) {
        if (!has_time(c)) {
            metrics_add(c->counters, ANSWER_COUNTER_ONLINE_REFUSED, 1);
            return false;
        }
        while (e->message == c->message) /* an earlier link of this answer points to it */
            e = e + 1 < c->entries + ENTRIES ? e + 1 : c->entries;
        sign_entry(c, e, &p, z, &set);
        spend_time(c);
    }
    e->message = c->message;
    *out = (struct zone_proof){&e->node, &e->rrset};
    return true;
}
