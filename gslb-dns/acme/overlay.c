/* SPDX-License-Identifier: BSD-2-Clause */
/* Names by the hash that zone_prepare has worked out already; open addressing, at most half full.
 * Made anew, with its few names, whenever the store or the zones change. */
#include "common/arena/arena.h"
#include "common/bytes/bytes.h"
#include "gslb-dns/acme/acme.h"

#include <stdlib.h>
#include <string.h>

enum { RECORD_HEAD = 12, STATIC_MAX_BYTES = 40000 };

struct entry {
    uint64_t hash;
    const uint8_t *name; /* NULL: the slot is empty */
    uint8_t name_bytes;
    struct zone_rrset rrset; /* count 0: a name above others, without records */
};

struct acme_overlay {
    struct arena arena;
    struct entry *slots;
    size_t mask, n;
};

static struct entry *slot_of(const struct acme_overlay *o, uint64_t hash, const uint8_t *name,
                             size_t n)
{
    size_t at = (size_t)hash & o->mask;

    for (; o->slots[at].name != NULL; at = (at + 1) & o->mask) {
        const struct entry *e = &o->slots[at];

        if (e->hash == hash && e->name_bytes == n && memcmp(e->name, name, n) == 0)
            break;
    }
    return &o->slots[at];
}

/* The entry of a name of one of the zones, made when new; NULL: not ours, another's below a
 * delegation, or in a signed zone. */
static struct entry *add_name(struct acme_overlay *o, const struct zone_set *zones,
                              const struct wire_name *name, struct zone_lookup *l,
                              enum zone_verdict *found)
{
    struct entry *e;

    zone_prepare(zones, name, WIRE_TXT, l);
    *found = zone_find(l, name, WIRE_TXT);
    if (l->zone == NULL || *found == ZONE_REFERRAL || *found == ZONE_DNAME ||
        !zone_is_available(l->zone) || acme_is_signed(l->zone))
        return NULL;
    e = slot_of(o, l->hash, name->bytes, name->length);
    if (e->name == NULL) {
        e->hash = l->hash;
        e->name = arena_copy(&o->arena, name->bytes, name->length);
        e->name_bytes = name->length;
        o->n++;
    }
    return e;
}

/* Names between this one and the apex exist now. */
static void add_names_above(struct acme_overlay *o, const struct zone_set *zones,
                            const struct wire_name *name, const struct zone *zone)
{
    for (unsigned i = 1; name->n_labels - i > zone->apex.n_labels; i++) {
        unsigned at = name->offsets[i];
        struct wire_name above;
        struct zone_lookup l;
        enum zone_verdict found;

        ensure(wire_name_read(name->bytes + at, (size_t)name->length - at, &above));
        (void)add_name(o, zones, &above, &l, &found);
    }
}

static uint8_t *put_record(uint8_t *p, const char *value)
{
    size_t n = strlen(value);

    bytes_put_u16(p, 0xc00c);
    bytes_put_u16(p + 2, WIRE_TXT);
    bytes_put_u16(p + 4, WIRE_CLASS_IN);
    bytes_put_u32(p + 6, ACME_TTL_S);
    bytes_put_u16(p + 10, (uint16_t)(n + 1));
    p[RECORD_HEAD] = (uint8_t)n;
    memcpy(p + RECORD_HEAD + 1, value, n);
    return p + RECORD_HEAD + 1 + n;
}

/* The zone file's own, with our TTL: an RRset has one (RFC 2181 section 5.2). */
static void put_static(uint8_t *p, const struct zone_rrset *rrset)
{
    memcpy(p, rrset->wire, rrset->wire_bytes);
    for (unsigned i = 0; i < rrset->count; i++) {
        bytes_put_u32(p + 6, ACME_TTL_S);
        p += RECORD_HEAD + bytes_get_u16(p + 10);
    }
}

static void add_value(struct acme_overlay *o, struct entry *e, const struct zone_rrset *own,
                      const char *value)
{
    size_t more = RECORD_HEAD + 1 + strlen(value), before = e->rrset.wire_bytes;
    uint8_t *wire;

    if (e->rrset.count == 0 && own != NULL && own->wire_bytes <= STATIC_MAX_BYTES)
        before = own->wire_bytes;
    wire = arena_alloc(&o->arena, before + more);
    if (e->rrset.count > 0)
        memcpy(wire, e->rrset.wire, before);
    else if (before > 0)
        put_static(wire, own);
    put_record(wire + before, value);
    e->rrset = (struct zone_rrset){
        .type = WIRE_TXT,
        .count = (uint16_t)(e->rrset.count > 0 ? e->rrset.count + 1
                            : before > 0       ? own->count + 1
                                               : 1),
        .ttl_s = ACME_TTL_S,
        .wire_bytes = (uint16_t)(before + more),
        .wire = wire,
    };
}

static void add_record(struct acme_overlay *o, const struct zone_set *zones,
                       const struct acme_record *r)
{
    struct zone_lookup l;
    enum zone_verdict found;
    struct entry *e = add_name(o, zones, &r->name, &l, &found);

    if (e == NULL)
        return;
    add_value(o, e, found == ZONE_ANSWER && !l.is_wildcard ? l.rrset : NULL, r->value);
    add_names_above(o, zones, &r->name, l.zone);
}

struct acme_overlay *acme_overlay_new(const struct acme_store *s, const struct zone_set *zones,
                                      int64_t now_ms)
{
    struct acme_overlay *o;
    const struct acme_record *records;
    size_t n, n_names = 0, size = 16;

    records = acme_store_records(s, &n);
    for (size_t i = 0; i < n; i++)
        if (acme_is_answered(&records[i], now_ms))
            n_names += records[i].name.n_labels;
    if (n_names == 0)
        return NULL;
    while (size < 2 * n_names)
        size *= 2;
    o = base_zalloc(1, sizeof(*o));
    arena_init(&o->arena, 4096);
    o->slots = base_zalloc(size, sizeof(o->slots[0]));
    o->mask = size - 1;
    for (size_t i = 0; i < n; i++)
        if (acme_is_answered(&records[i], now_ms))
            add_record(o, zones, &records[i]);
    if (o->n > 0)
        return o;
    acme_overlay_free(o);
    return NULL;
}

void acme_overlay_free(struct acme_overlay *o)
{
    if (o == NULL)
        return;
    arena_free(&o->arena);
    free(o->slots);
    free(o);
}

enum zone_verdict acme_amend(const struct acme_overlay *o, struct zone_lookup *l,
                             const struct wire_name *name, uint16_t qtype, enum zone_verdict found)
{
    const struct entry *e;

    if (found == ZONE_NOT_OURS || found == ZONE_REFERRAL || found == ZONE_DNAME)
        return found;
    e = slot_of(o, l->hash, name->bytes, name->length);
    if (likely(e->name == NULL))
        return found;
    if (e->rrset.count > 0 && (qtype == WIRE_TXT || (qtype == WIRE_ANY && found != ZONE_ANY))) {
        l->rrset = &e->rrset;
        l->is_wildcard = false;
        return qtype == WIRE_TXT ? ZONE_ANSWER : ZONE_ANY;
    }
    return found == ZONE_NXDOMAIN ? ZONE_NODATA : found;
}
