/* SPDX-License-Identifier: BSD-2-Clause */
/* The draft of a zone: its names and records as they are read, one after the other. */
#include "gslb-dns/zone/zone_internal.h"

#include <stdlib.h>
#include <string.h>

static uint32_t find_suffix(const struct draft *d, uint64_t hash, const uint8_t *name, size_t n)
{
    const struct zone_index *x = &d->index;
    uint32_t tag = index_tag(hash), at = tag & x->mask;

    for (; x->slots[at].ref != 0; at = (at + 1) & x->mask) {
        const struct draft_name *found = &d->names[x->slots[at].ref - 1];

        if (x->slots[at].tag == tag && found->name_bytes == n && memcmp(found->name, name, n) == 0)
            return x->slots[at].ref - 1;
    }
    return DRAFT_NONE;
}

/* The lowest existing name from n_labels upwards. */
static uint32_t find_closest(const struct draft *d, const struct wire_name *name,
                             const uint64_t *hashes, unsigned *n_labels)
{
    for (;; --*n_labels) {
        unsigned at = name->offsets[name->n_labels - *n_labels];
        uint32_t found = find_suffix(d, hashes[*n_labels], name->bytes + at, name->length - at);

        if (found != DRAFT_NONE)
            return found;
        ensure(*n_labels > d->apex.n_labels);
    }
}

static uint32_t new_name(struct draft *d, uint32_t parent, const uint8_t *wire, size_t n,
                         uint64_t hash)
{
    uint32_t id = d->n_names;
    uint8_t *copy = arena_alloc_packed(&d->arena, n);
    bool is_wildcard = parent != DRAFT_NONE && wire[0] == 1 && wire[1] == '*';

    memcpy(copy, wire, n);
    BASE_GROW(d->names, d->n_names, d->names_cap);
    d->names[d->n_names++] = (struct draft_name){
        .name = copy,
        .parent = parent,
        .first = DRAFT_NONE,
        .last = DRAFT_NONE,
        .cut = DRAFT_NONE,
        .wildcard = DRAFT_NONE,
        .service = ZONE_NO_SERVICE,
        .name_bytes = (uint8_t)n,
        .n_labels =
            parent == DRAFT_NONE ? d->apex.n_labels : (uint8_t)(d->names[parent].n_labels + 1),
        .flags = is_wildcard ? DRAFT_IS_WILDCARD : 0,
    };
    if (parent != DRAFT_NONE)
        d->names[parent].flags |= DRAFT_IS_PARENT;
    if (is_wildcard)
        d->names[parent].wildcard = id;
    if (d->names[id].n_labels > d->index.max_labels)
        d->index.max_labels = d->names[id].n_labels;
    index_insert(&d->index, hash, id + 1);
    return id;
}

uint32_t draft_add_name(struct draft *d, const struct wire_name *name)
{
    uint64_t hashes[WIRE_LABELS_MAX + 1];
    unsigned n = name->n_labels;
    uint32_t at;

    zone_hash_suffixes(name, hashes);
    at = find_closest(d, name, hashes, &n);
    while (n < name->n_labels) {
        unsigned offset = name->offsets[name->n_labels - ++n];

        at = new_name(d, at, name->bytes + offset, name->length - offset, hashes[n]);
    }
    return at;
}

uint32_t draft_closest_name(const struct draft *d, const struct wire_name *name, bool *is_exact)
{
    uint64_t hashes[WIRE_LABELS_MAX + 1];
    unsigned n = name->n_labels;
    uint32_t found;

    zone_hash_suffixes(name, hashes);
    found = find_closest(d, name, hashes, &n);
    *is_exact = n == name->n_labels;
    return found;
}

uint32_t draft_match_name(const struct draft *d, const struct wire_name *name)
{
    bool is_exact;
    uint32_t found;

    if (!wire_name_is_below(name, &d->apex))
        return DRAFT_NONE;
    found = draft_closest_name(d, name, &is_exact);
    if (is_exact)
        return found;
    return d->names[found].cut == DRAFT_NONE ? d->names[found].wildcard : DRAFT_NONE;
}

void draft_target(const struct draft_record *r, const struct rdata_layout *l, struct wire_name *out)
{
    ensure(wire_name_read(r->rdata + l->fixed_bytes, (size_t)r->rdata_bytes - l->fixed_bytes, out));
}

static uint16_t flag_of(uint16_t type)
{
    switch (type) {
    case WIRE_CNAME:
        return DRAFT_HAS_CNAME;
    case WIRE_DNAME:
        return DRAFT_HAS_DNAME | DRAFT_HAS_OTHER;
    case WIRE_NS:
        return DRAFT_HAS_NS | DRAFT_HAS_OTHER;
    case WIRE_SOA:
        return DRAFT_HAS_SOA | DRAFT_HAS_OTHER;
    case WIRE_A:
    case WIRE_AAAA:
        return DRAFT_HAS_ADDRESS | DRAFT_HAS_OTHER;
    case WIRE_NSEC3:
        return DRAFT_HAS_NSEC3;
    case WIRE_NSEC:
        return DRAFT_HAS_NSEC;
    case WIRE_RRSIG:
        return 0; /* the only ones beside a CNAME: RFC 4034 section 3 */
    default:
        return DRAFT_HAS_OTHER;
    }
}

void draft_add_record(struct draft *d, uint32_t name, const struct draft_record *r)
{
    struct draft_name *n = &d->names[name];
    uint32_t id = d->n_records;
    uint8_t *rdata = arena_alloc_packed(&d->arena, r->rdata_bytes);

    memcpy(rdata, r->rdata, r->rdata_bytes);
    BASE_GROW(d->records, d->n_records, d->records_cap);
    d->records[d->n_records++] = *r;
    d->records[id].rdata = rdata;
    d->records[id].next = DRAFT_NONE;
    if (r->type == WIRE_RRSIG && r->covers == 0 && r->rdata_bytes >= 2)
        d->records[id].covers = bytes_get_u16(rdata);
    if (n->first == DRAFT_NONE)
        n->first = id;
    else
        d->records[n->last].next = id;
    n->last = id;
    if (r->type != WIRE_SOA)
        d->digest +=
            zone_digest_record(n->name, n->name_bytes, r->type, r->ttl_s, rdata, r->rdata_bytes);
    n->flags |= draft_is_variant(r->type) ? 0 : flag_of(r->type);
    d->has_hashes = d->has_hashes || r->type == WIRE_NSEC3;
}

struct draft_record *draft_first(const struct draft *d, const struct draft_name *n, uint16_t type)
{
    for (uint32_t i = n->first; i != DRAFT_NONE; i = d->records[i].next) {
        if (d->records[i].type == type)
            return &d->records[i];
    }
    return NULL;
}

struct place draft_place(const struct draft *d, const struct draft_record *r)
{
    return (struct place){.file = d->files[r->file].path, .line = r->line};
}

void draft_init(struct draft *d, const struct wire_name *apex, struct errors *errors)
{
    uint64_t hashes[WIRE_LABELS_MAX + 1];

    *d = (struct draft){.apex = *apex, .errors = errors};
    arena_init(&d->arena, 256 * 1024);
    zone_hash_suffixes(apex, hashes);
    new_name(d, DRAFT_NONE, apex->bytes, apex->length, hashes[apex->n_labels]);
}

void zone_files_free(struct zone_file *files, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(files[i].path);
    free(files);
}

void draft_free(struct draft *d)
{
    arena_free(&d->arena);
    free(d->names);
    free(d->records);
    free(d->index.slots);
    zone_files_free(d->files, d->n_files);
}
