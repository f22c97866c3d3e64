/* SPDX-License-Identifier: BSD-2-Clause */
/* A zone that is there already, taken apart: to be signed anew without its files, and for the
 * signatures that are as good as new ones. */
#include "gslb-dns/zone/zone_internal.h"

#include <stdlib.h>
#include <string.h>

/* --- RRsets, uncompressed ----------------------------------------------------------------- */

bool zone_unpack_next(struct zone_unpacking *u)
{
    const struct zone_rrset *r = u->rrset;
    size_t end, k = u->at + 12;

    if (u->at >= r->wire_bytes)
        return false;
    end = k + bytes_get_u16(r->wire + k - 2);
    for (u->n = 0; k < end;) {
        size_t stop =
            u->fixup < r->n_fixups && r->fixups[u->fixup] < end ? r->fixups[u->fixup] : end;

        memcpy(u->rdata + u->n, r->wire + k, stop - k);
        u->n += stop - k;
        k = stop;
        if (k == end)
            break;
        memcpy(u->rdata + u->n, u->zone->apex.bytes, u->zone->apex.length);
        u->n += u->zone->apex.length;
        k += 2;
        u->fixup++;
    }
    u->at = end;
    return true;
}

/* --- signatures that may stay ------------------------------------------------------------- */

static const struct zone_node *find_owner(const struct zone *z, const struct draft_name *n,
                                          uint16_t type)
{
    struct wire_name name;
    bool is_exact = false;
    const struct zone_node *node = NULL;

    if (z->denial == ZONE_NSEC3 && (type == WIRE_NSEC3 || draft_is_variant(type))) {
        node = z->chain->n > 0 ? chain_find_label(z->chain, n->name, &is_exact) : NULL;
        return is_exact ? node : NULL;
    }
    ensure(wire_name_read(n->name, n->name_bytes, &name));
    return find_node(z, &name);
}

/* Variants too, which zone_node_rrset does not see. */
static const struct zone_rrset *find_rrset(const struct zone_node *node, uint16_t type)
{
    for (unsigned i = 0; i < node->n_rrsets + (unsigned)node->n_missing; i++) {
        if (node->rrsets[i].type == type)
            return &node->rrsets[i];
    }
    return NULL;
}

static bool has_equal_data(struct zone_unpacking *u, const struct sign_rrset *set)
{
    if (u->rrset->count != set->n || u->rrset->ttl_s != set->ttl_s)
        return false;
    for (size_t i = 0; i < set->n; i++) {
        if (!zone_unpack_next(u) || u->n != set->rdata[i].n ||
            memcmp(u->rdata, set->rdata[i].bytes, u->n) != 0)
            return false;
    }
    return true;
}

size_t zone_keep_signatures(const struct zone *old, const struct draft_name *owner, uint16_t type,
                            const struct sign_signer *s, const struct sign_rrset *set,
                            struct sign_signature out[SIGN_SIGNATURES_MAX])
{
    const struct zone_node *node = find_owner(old, owner, type);
    const struct zone_rrset *r = node != NULL ? find_rrset(node, type) : NULL;
    struct zone_unpacking *u;
    const uint8_t *p;
    bool is_equal;

    if (r == NULL || r->n_sigs != sign_count(s, set->type) || r->n_sigs > SIGN_SIGNATURES_MAX)
        return 0;
    u = base_alloc(sizeof(*u));
    *u = (struct zone_unpacking){.zone = old, .rrset = r};
    is_equal = has_equal_data(u, set);
    free(u);
    if (!is_equal)
        return 0;
    p = r->wire + r->wire_bytes;
    for (unsigned i = 0; i < r->n_sigs; i++) {
        out[i].n = bytes_get_u16(p + 10);
        if (out[i].n > SIGN_RRSIG_MAX || !sign_is_current(s, set, p + 12, out[i].n))
            return 0;
        memcpy(out[i].rdata, p + 12, out[i].n);
        p += 12u + out[i].n;
    }
    return r->n_sigs;
}

/* --- the zone anew ------------------------------------------------------------------------ */

static void add_rrset(struct draft *d, uint32_t name, struct zone_unpacking *u)
{
    while (zone_unpack_next(u))
        draft_add_record(d, name,
                         &(struct draft_record){.rdata = u->rdata,
                                                .rdata_bytes = (uint16_t)u->n,
                                                .type = u->rrset->type,
                                                .ttl_s = u->rrset->ttl_s});
}

static void add_node(struct draft *d, const struct zone *z, const struct zone_node *node,
                     struct zone_unpacking *u)
{
    struct wire_name name;
    uint32_t id;

    ensure(wire_name_read(node->name, node->name_bytes, &name));
    id = draft_add_name(d, &name);
    d->names[id].service = node->service;
    d->names[id].has_a = node->gives & 1;
    d->names[id].has_aaaa = node->gives & 2;
    for (unsigned i = 0; i < node->n_rrsets; i++) {
        *u = (struct zone_unpacking){.zone = z, .rrset = &node->rrsets[i]};
        add_rrset(d, id, u);
    }
}

static void copy_files(struct draft *d, const struct zone *z)
{
    for (size_t i = 0; i < z->n_files; i++) {
        BASE_GROW(d->files, d->n_files, d->files_cap);
        d->files[d->n_files++] =
            (struct zone_file){base_strdup(z->files[i].path), z->files[i].as_read};
    }
}

void draft_take_apart(struct draft *d, const struct zone *old, struct errors *told)
{
    struct zone_unpacking *u = base_alloc(sizeof(*u));

    draft_init(d, &old->apex, told);
    copy_files(d, old);
    for (uint32_t i = 0; i <= old->index->mask; i++) {
        if (old->index->slots[i].ref != 0)
            add_node(d, old, index_node(old->index, old->index->slots[i].ref), u);
    }
    free(u);
    draft_strip(d);
}

struct zone *draft_put_together(struct draft *d, const struct zone *old,
                                const struct sign_signer *s)
{
    struct zone *z;

    check_draft(d, false);
    d->digest = old->digest;
    draft_set_serial(d, old->file_serial);
    draft_sign(d, s, old);
    ensure(d->errors->n_errors == 0);
    z = draft_build(d);
    draft_free(d);
    return z;
}

struct zone *zone_resign(const struct zone *old, const struct sign_signer *s)
{
    struct errors told = {0}; /* all of it was told when the zone was loaded */
    struct draft d;
    struct zone *z;

    draft_take_apart(&d, old, &told);
    z = draft_put_together(&d, old, s);
    errors_free(&told);
    return z;
}
