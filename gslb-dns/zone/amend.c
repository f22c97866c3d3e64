/* SPDX-License-Identifier: BSD-2-Clause */
/* A zone with records more, in memory. */
#include "gslb-dns/zone/zone_internal.h"

#include <string.h>

/* May data stand at the name? closest: it, or the lowest name above it. */
static bool is_free(const struct draft *d, uint32_t closest, bool is_exact)
{
    const struct draft_name *n = &d->names[closest];

    if (is_exact && (n->flags & DRAFT_HAS_CNAME))
        return false;
    for (uint32_t i = closest; i != DRAFT_NONE; i = n->parent) {
        n = &d->names[i];
        if ((n->flags & DRAFT_HAS_NS) && n->parent != DRAFT_NONE && !(n->flags & DRAFT_IS_WILDCARD))
            return false;
        if ((n->flags & DRAFT_HAS_DNAME) && !(is_exact && i == closest) &&
            !(n->flags & DRAFT_IS_WILDCARD))
            return false;
    }
    return true;
}

/* What would mean something else at an ordinary name than at a wildcard. */
static bool is_copied(const struct draft_record *r, bool is_for_text)
{
    if (r->type == WIRE_NS || r->type == WIRE_DNAME || r->type == WIRE_DS)
        return false;
    return !is_for_text || (r->type != WIRE_TXT && r->type != WIRE_CNAME);
}

static void copy_records(struct draft *d, uint32_t from, uint32_t to, bool is_for_text)
{
    for (uint32_t i = d->names[from].first; i != DRAFT_NONE; i = d->records[i].next) {
        struct draft_record copy = d->records[i];

        if (is_copied(&copy, is_for_text))
            draft_add_record(d, to, &copy);
    }
}

/* The last n_labels of a name, with "*" before them if there is room. */
static bool read_suffix(const struct wire_name *name, unsigned n_labels, bool has_star,
                        struct wire_name *out)
{
    uint8_t bytes[WIRE_NAME_MAX + 2] = {1, '*'};
    unsigned from = name->offsets[name->n_labels - n_labels], n = name->length - from;
    unsigned star = has_star ? 2 : 0;

    memcpy(bytes + star, name->bytes + from, n);
    return n + star <= WIRE_NAME_MAX && wire_name_read(bytes, n + star, out);
}

/* The name and those between it and its closest encloser come into being: what the encloser's
 * wildcard said for them, they say for themselves from now on. */
static void add_below_wildcard(struct draft *d, uint32_t encloser, const struct wire_name *name)
{
    uint32_t wildcard = d->names[encloser].wildcard;
    unsigned above = d->names[encloser].n_labels;

    for (unsigned n = above + 1; n <= name->n_labels; n++) {
        struct wire_name at;

        ensure(read_suffix(name, n, false, &at));
        copy_records(d, wildcard, draft_add_name(d, &at), n == name->n_labels);
        if (read_suffix(name, n, true, &at))
            copy_records(d, wildcard, draft_add_name(d, &at), false);
    }
}

static void add_text(struct draft *d, const struct zone_text *t)
{
    uint8_t rdata[256];
    size_t n = strlen(t->text);
    bool is_exact;
    uint32_t closest;

    if (!wire_name_is_below(t->name, &d->apex))
        return;
    closest = draft_closest_name(d, t->name, &is_exact);
    if (!is_free(d, closest, is_exact))
        return;
    if (!is_exact && d->names[closest].wildcard != DRAFT_NONE)
        add_below_wildcard(d, closest, t->name);
    ensure(n < sizeof(rdata));
    rdata[0] = (uint8_t)n;
    memcpy(rdata + 1, t->text, n);
    draft_add_record(
        d, draft_add_name(d, t->name),
        &(struct draft_record){
            .rdata = rdata, .rdata_bytes = (uint16_t)(n + 1), .type = WIRE_TXT, .ttl_s = t->ttl_s});
}

struct zone *zone_amend(const struct zone *old, const struct sign_signer *s,
                        const struct zone_text *texts, size_t n)
{
    struct errors told = {0}; /* duplicates and TTLs, which are as they should be */
    struct draft d;
    struct zone *z;

    draft_take_apart(&d, old, &told);
    for (size_t i = 0; i < n; i++)
        add_text(&d, &texts[i]);
    z = draft_put_together(&d, old, s);
    errors_free(&told);
    return z;
}
