/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The zone made of a draft. A node's RRsets, their wire forms and its name
 * stand right behind it in the block, so a plain answer touches the index and two or three
 * neighbouring cache lines.
 */
#include "gslb-dns/zone/zone_internal.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { TRIM_RECORDS = 10000 };

/* --- RRsets to wire ----------------------------------------------------------------------- */

enum { FIXUPS_MAX = 255, RECORD_HEAD = 12 };

/* An RRset on its way into the block. */
struct packing {
    struct draft *draft;
    uint16_t denial_type; /* NSEC or NSEC3 */
    struct arena block;
    uint8_t wire[RDATA_MAX];
    uint8_t sigs[RDATA_MAX];
    struct writer out;
    uint16_t fixups[FIXUPS_MAX];
    unsigned n_fixups;
};

/* Where the apex begins in an uncompressed name of n bytes; n: it does not end in the apex. */
static size_t apex_in(const uint8_t *name, size_t n, const struct wire_name *apex)
{
    size_t at = 0;

    while (n - at > apex->length && name[at] != 0)
        at += 1u + name[at];
    if (n - at != apex->length)
        return n;
    for (size_t i = 0; i < apex->length; i++) {
        if (text_lower(name[at + i]) != apex->bytes[i])
            return n;
    }
    return at;
}

static void write_name(struct packing *p, const uint8_t *name, size_t n, bool is_compressed)
{
    const struct wire_name *apex = &p->draft->apex;
    size_t at = is_compressed && apex->length > 2 ? apex_in(name, n, apex) : n;

    writer_add(&p->out, name, at);
    if (at == n)
        return;
    if (p->n_fixups < FIXUPS_MAX)
        p->fixups[p->n_fixups] = (uint16_t)(p->out.p - p->wire);
    p->n_fixups++;
    writer_u16(&p->out, 0xc000);
}

static void write_record(struct packing *p, const struct draft_record *r,
                         const struct rdata_layout *l, bool is_compressed)
{
    const uint8_t *from = r->rdata, *end = r->rdata + r->rdata_bytes;
    uint8_t *length;

    writer_u16(&p->out, 0xc00c);
    writer_u16(&p->out, draft_is_variant(r->type) ? p->denial_type : r->type);
    writer_u16(&p->out, WIRE_CLASS_IN);
    writer_u32(&p->out, r->ttl_s);
    length = writer_make(&p->out, 2);
    ensure(length != NULL); /* check_draft refuses what is larger */
    if (l != NULL) {
        writer_add(&p->out, from, l->fixed_bytes);
        from += l->fixed_bytes;
        for (unsigned i = 0; i < l->n_names; i++) {
            size_t n = rdata_name_bytes(from);

            write_name(p, from, n, is_compressed);
            from += n;
        }
    }
    writer_add(&p->out, from, (size_t)(end - from));
    bytes_put_u16(length, (uint16_t)(p->out.p - length - 2));
}

static unsigned write_records(struct packing *p, const struct draft_record *first,
                              const struct rdata_layout *l, bool is_compressed)
{
    const struct draft_record *r = first;
    unsigned n = 0;

    p->out = writer_of(p->wire, sizeof(p->wire));
    p->n_fixups = 0;
    for (;; r = &p->draft->records[r->next]) {
        write_record(p, r, l, is_compressed);
        n++;
        if (r->next == DRAFT_NONE || p->draft->records[r->next].type != first->type)
            return n;
    }
}

/* The RRSIG records of a name that sign a type, to p->sigs. */
static size_t write_signatures(struct packing *p, const struct draft_name *name,
                               struct zone_rrset *out)
{
    struct writer w = writer_of(p->sigs, sizeof(p->sigs));
    const struct draft_record *r = draft_first(p->draft, name, WIRE_RRSIG);

    for (; r != NULL && r->type == WIRE_RRSIG;
         r = r->next == DRAFT_NONE ? NULL : &p->draft->records[r->next]) {
        if (draft_covers(r) != out->type || out->n_sigs == UINT8_MAX)
            continue;
        writer_u16(&w, 0xc00c);
        writer_u16(&w, WIRE_RRSIG);
        writer_u16(&w, WIRE_CLASS_IN);
        writer_u32(&w, out->ttl_s);
        writer_u16(&w, r->rdata_bytes);
        writer_add(&w, r->rdata, r->rdata_bytes);
        out->n_sigs++;
    }
    ensure(!w.is_full); /* check_draft refuses what is larger */
    return (size_t)(w.p - p->sigs);
}

static void pack_rrset(struct packing *p, const struct draft_name *name,
                       const struct draft_record *first, struct zone_rrset *out)
{
    uint8_t *wire;
    const struct rdata_layout *l = rdata_layout(first->type);
    unsigned n = write_records(p, first, l, l != NULL && l->is_compressible);

    if (p->n_fixups > FIXUPS_MAX)
        n = write_records(p, first, l, false);
    ensure(!p->out.is_full && out != NULL);
    *out = (struct zone_rrset){.type = first->type,
                               .count = (uint16_t)n,
                               .ttl_s = first->ttl_s,
                               .wire_bytes = (uint16_t)(p->out.p - p->wire),
                               .n_fixups = (uint8_t)p->n_fixups};
    if (l != NULL && l->is_target) { /* filled when all nodes are there */
        out->n_targets = (uint8_t)(n > 255 ? 255 : n);
        out->targets = arena_alloc(&p->block, out->n_targets * sizeof(*out->targets));
    }
    if (p->n_fixups > 0)
        out->fixups = arena_copy(&p->block, p->fixups, p->n_fixups * sizeof(p->fixups[0]));
    out->sig_bytes = (uint16_t)write_signatures(p, name, out);
    wire = arena_alloc_packed(&p->block, (size_t)out->wire_bytes + out->sig_bytes);
    memcpy(wire, p->wire, out->wire_bytes);
    memcpy(wire + out->wire_bytes, p->sigs, out->sig_bytes);
    out->wire = wire;
}

/* --- nodes -------------------------------------------------------------------------------- */

static unsigned count_rrsets(const struct draft *d, const struct draft_name *name)
{
    unsigned n = 0, type = 0;

    for (uint32_t i = name->first; i != DRAFT_NONE; i = d->records[i].next) {
        n += d->records[i].type != type && d->records[i].type != WIRE_RRSIG;
        type = d->records[i].type;
    }
    return n;
}

static unsigned count_variants(const struct draft *d, const struct draft_name *name)
{
    unsigned n = 0;

    for (uint32_t i = name->first; i != DRAFT_NONE; i = d->records[i].next)
        n += draft_is_variant(d->records[i].type);
    return n;
}

static void pack_rrsets(struct packing *p, const struct draft_name *name, struct zone_rrset *out)
{
    const struct draft_record *records = p->draft->records;
    unsigned type = 0;

    for (uint32_t i = name->first; i != DRAFT_NONE; i = records[i].next) {
        if (records[i].type != type && records[i].type != WIRE_RRSIG)
            pack_rrset(p, name, &records[i], out++);
        type = records[i].type;
    }
}

static void pack_node(struct packing *p, struct draft_name *name)
{
    const struct draft_name *names = p->draft->names;
    struct zone_node *node = arena_alloc(&p->block, sizeof(*node));
    unsigned n = count_rrsets(p->draft, name), n_missing = count_variants(p->draft, name);
    struct zone_rrset *rrsets = n ? arena_alloc(&p->block, n * sizeof(*rrsets)) : NULL;

    ensure(node != NULL && (n == 0 || rrsets != NULL));
    name->node = node;
    *node =
        (struct zone_node){.parent = name->parent == DRAFT_NONE ? NULL : names[name->parent].node,
                           .cut = name->cut == DRAFT_NONE ? NULL : names[name->cut].node,
                           .rrsets = rrsets,
                           .n_rrsets = (uint16_t)(n - n_missing),
                           .n_missing = (uint8_t)n_missing,
                           .gives = (uint8_t)(name->has_a | name->has_aaaa << 1),
                           .service = name->service,
                           .name_bytes = name->name_bytes,
                           .n_labels = name->n_labels};
    node->name =
        memcpy(arena_alloc_packed(&p->block, name->name_bytes), name->name, name->name_bytes);
    if (name->flags & DRAFT_IS_WILDCARD)
        names[name->parent].node->wildcard = node;
    pack_rrsets(p, name, rrsets);
}

/* --- targets ------------------------------------------------------------------------------ */

/* Whose addresses this record asks for; NULL: nobody's in this zone. */
static const struct zone_node *target_of(const struct draft *d, const struct draft_name *owner,
                                         const struct draft_record *r, const struct rdata_layout *l,
                                         bool *is_owner)
{
    struct wire_name name;
    uint32_t id;

    *is_owner = false;
    if (r->rdata[l->fixed_bytes] == 0) {
        /* "." is the owner in SVCB's ServiceMode (RFC 9460 section 2.5.2), else nobody. */
        *is_owner = r->type == WIRE_SVCB || r->type == WIRE_HTTPS;
        if (!*is_owner || bytes_get_u16(r->rdata) == 0)
            return NULL;
        id = (uint32_t)(owner - d->names);
    } else {
        draft_target(r, l, &name);
        id = draft_match_name(d, &name);
    }
    if (id == DRAFT_NONE ||
        (!(d->names[id].flags & DRAFT_HAS_ADDRESS) && d->names[id].service == ZONE_NO_SERVICE))
        return NULL;
    return d->names[id].node;
}

static bool is_listed(const struct zone_target *targets, unsigned n, const struct zone_node *node)
{
    while (n > 0) {
        if (targets[--n].node == node)
            return true;
    }
    return false;
}

static void fill_targets(const struct draft *d, const struct draft_name *owner,
                         const struct draft_record *r, struct zone_rrset *rrset)
{
    struct zone_target *targets = (struct zone_target *)rrset->targets;
    const struct rdata_layout *l = rdata_layout(r->type);
    unsigned room = rrset->n_targets, at = 0, n = 0;

    for (unsigned i = 0; i < rrset->count && n < room; i++, r = &d->records[r->next]) {
        bool is_owner;
        const struct zone_node *node = target_of(d, owner, r, l, &is_owner);

        if (node != NULL && !is_listed(targets, n, node))
            targets[n++] = (struct zone_target){
                node, (uint16_t)(is_owner ? 0 : at + RECORD_HEAD + l->fixed_bytes)};
        at += RECORD_HEAD + bytes_get_u16(rrset->wire + at + RECORD_HEAD - 2u);
    }
    rrset->n_targets = (uint8_t)n;
}

static void fill_all_targets(const struct draft *d)
{
    for (uint32_t i = 0; i < d->n_names; i++) {
        struct zone_rrset *rrsets = (struct zone_rrset *)d->names[i].node->rrsets;
        uint32_t r = d->names[i].first;

        for (unsigned k = 0; k < d->names[i].node->n_rrsets; k++) {
            while (d->records[r].type != rrsets[k].type) /* RRSIGs, or the RRset before */
                r = d->records[r].next;
            if (rrsets[k].targets != NULL)
                fill_targets(d, &d->names[i], &d->records[r], &rrsets[k]);
        }
    }
}

/* --- the zone ----------------------------------------------------------------------------- */

/* More than the block can need; what is left goes back: trim_block. */
static size_t block_bound(const struct draft *d)
{
    enum { ALIGNMENT = 8 };
    size_t n = 0;

    for (uint32_t i = 0; i < d->n_names; i++)
        n += sizeof(struct zone_node) + d->names[i].name_bytes + 2u * ALIGNMENT;
    for (uint32_t i = 0; i < d->n_records; i++) {
        n += sizeof(struct zone_rrset) + RECORD_HEAD + d->records[i].rdata_bytes;
        n += sizeof(struct zone_target) + 2 * sizeof(uint16_t) + 3u * ALIGNMENT;
        if (d->records[i].type == WIRE_SOA ||
            (d->records[i].type == WIRE_RRSIG && draft_covers(&d->records[i]) == WIRE_SOA))
            /* negative_soa */
            n += sizeof(struct zone_rrset) + RECORD_HEAD + d->records[i].rdata_bytes + ALIGNMENT;
    }
    return n;
}

/* The pages from used on hold nothing, but they may be some that a draft wrote to before. */
static void trim_block(uint8_t *used, const uint8_t *end)
{
    uintptr_t from = ((uintptr_t)used + 4095) & ~(uintptr_t)4095;
    uintptr_t to = (uintptr_t)end & ~(uintptr_t)4095;

    if (to > from)
        (void)madvise((void *)from, to - from, MADV_DONTNEED); /* a wish */
}

/* RFC 2308 section 3: an answer that says no lives as long as the SOA and its MINIMUM allow. */
static const struct zone_rrset *make_negative_soa(struct packing *p, const struct zone_rrset *soa)
{
    struct zone_rrset *negative = arena_copy(&p->block, soa, sizeof(*soa));
    size_t bytes = (size_t)soa->wire_bytes + soa->sig_bytes;
    uint8_t *wire = arena_copy(&p->block, soa->wire, bytes);
    uint32_t minimum = bytes_get_u32(wire + soa->wire_bytes - 4);

    negative->ttl_s = minimum < soa->ttl_s ? minimum : soa->ttl_s;
    for (size_t at = 0; at < bytes; at += RECORD_HEAD + bytes_get_u16(wire + at + 10))
        bytes_put_u32(wire + at + 6, negative->ttl_s);
    negative->wire = wire;
    return negative;
}

/* Without the owners of NSEC3, which no question may find. */
static void drop_hashes(struct draft *d)
{
    struct zone_index old = d->index;

    d->index = (struct zone_index){.max_labels = old.max_labels};
    for (uint32_t i = 0; i <= old.mask; i++) {
        if (old.slots[i].ref != 0 && !draft_is_hash(&d->names[old.slots[i].ref - 1]))
            index_insert(&d->index, (uint64_t)old.slots[i].tag << 32, old.slots[i].ref);
    }
    free(old.slots);
}

static struct zone_index *finish_index(struct draft *d, const uint8_t *base)
{
    struct zone_index *x = base_alloc(sizeof(*x));

    if (d->has_hashes)
        drop_hashes(d);
    *x = d->index;
    d->index = (struct zone_index){0};
    x->base = base;
    for (uint32_t i = 0; i <= x->mask; i++) {
        const struct draft_name *name;

        if (x->slots[i].ref == 0)
            continue;
        name = &d->names[x->slots[i].ref - 1];
        x->slots[i].ref = (uint32_t)(((const uint8_t *)name->node - base) / 8) + 1;
    }
    return x;
}

static void pack_nodes(struct packing *p)
{
    enum { NAMES_PER_STEP = 16384 };
    struct draft *d = p->draft;
    uint64_t effort = (uint64_t)d->files[0].as_read.st_size * EFFORT_TO_BUILD;

    for (uint32_t i = 0; i < d->n_names; i++) {
        pack_node(p, &d->names[i]);
        if (d->progress != NULL && i % NAMES_PER_STEP == NAMES_PER_STEP - 1)
            progress_add(d->progress, effort * NAMES_PER_STEP / d->n_names);
    }
}

struct zone *draft_build(struct draft *d)
{
    struct packing *p = base_zalloc(1, sizeof(*p));
    size_t bound = block_bound(d);
    uint8_t *block = base_alloc_large(bound);
    struct zone *z = base_zalloc(1, sizeof(*z));
    struct zone_index *index;

    p->draft = d;
    arena_init_fixed(&p->block, block, bound);
    p->denial_type = draft_denial(d) == ZONE_NSEC3 ? WIRE_NSEC3 : WIRE_NSEC;
    pack_nodes(p);
    fill_all_targets(d);
    index = finish_index(d, block);
    *z = (struct zone){.refs = 1,
                       .apex = d->apex,
                       .root = d->names[0].node,
                       .n_names = index->n,
                       .denial = draft_denial(d),
                       .index = index,
                       .files = d->files,
                       .n_files = d->n_files,
                       .digest = d->digest,
                       .memory = block};
    for (uint32_t i = 0; i < d->n_names; i++) {
        for (unsigned k = 0; k < d->names[i].node->n_rrsets; k++)
            z->n_records += d->names[i].node->rrsets[k].count + d->names[i].node->rrsets[k].n_sigs;
    }
    z->chain = chain_new(d, z->denial, block);
    z->signer = d->is_compact ? sign_hold(d->signer) : NULL;
    z->signed_by = d->signer != NULL ? sign_hold(d->signer) : NULL;
    z->signed_digest = d->signed_digest;
    z->soa = zone_node_rrset(z->root, WIRE_SOA);
    z->negative_soa = make_negative_soa(p, z->soa);
    z->serial = draft_serial(d);
    z->file_serial = d->signer != NULL ? d->file_serial : z->serial;
    ensure(!p->block.is_full);
    trim_block(p->block.p, block + bound);
    z->memory_bytes = sizeof(*z) + (size_t)(p->block.p - block) + sizeof(*index) +
                      ((size_t)index->mask + 1) * sizeof(index->slots[0]) +
                      (z->chain ? z->chain->n * (sizeof(uint64_t) + sizeof(uint32_t)) : 0);
    d->files = NULL;
    d->n_files = 0;
    free(p);
    return z;
}

struct zone *zone_load(const struct zone_source *from, struct errors *errors)
{
    size_t errors_before = errors->n_errors;
    struct zone *z = NULL;
    struct wire_name apex;
    struct draft d;

    if (!wire_name_parse(str_of(from->name), &apex)) {
        errors_add(errors, (struct place){.file = from->path}, "%s is no domain name", from->name);
        return NULL;
    }
    draft_init(&d, &apex, errors);
    d.services = from->services;
    d.n_services = from->n_services;
    d.progress = from->progress;
    read_zone(&d, from);
    if (from->signer != NULL)
        draft_strip(&d);
    if (d.n_files > 0)
        check_draft(&d, errors->n_errors == errors_before);
    if (from->signer != NULL && errors->n_errors == errors_before)
        draft_sign(&d, from->signer, from->previous);
    if (errors->n_errors == errors_before)
        z = draft_build(&d);
    draft_free(&d);
    if (z != NULL && z->n_records > TRIM_RECORDS)
        malloc_trim(0); /* the draft was larger than the zone */
    return z;
}

uint64_t zone_effort(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (uint64_t)st.st_size * (EFFORT_TO_READ + EFFORT_TO_BUILD) : 0;
}

const struct zone *zone_hold(const struct zone *z)
{
    __atomic_fetch_add(&((struct zone *)z)->refs, 1, __ATOMIC_RELAXED);
    return z;
}

void zone_release(const struct zone *shared)
{
    struct zone *z = (struct zone *)shared;

    if (z == NULL || __atomic_fetch_sub(&z->refs, 1, __ATOMIC_ACQ_REL) > 1)
        return;
    chain_free(z->chain);
    sign_release(z->signer);
    sign_release(z->signed_by);
    free(z->index->slots);
    free((struct zone_index *)z->index);
    zone_files_free(z->files, z->n_files);
    free(z->memory);
    free(z);
}
