/* SPDX-License-Identifier: BSD-2-Clause */
/* What can be wrong with a zone whose lines are all right. Errors are what no server could serve
 * rightly; what it can serve, but the operator hardly meant, is a warning. */
#include "gslb-dns/zone/zone_internal.h"

#include <stdlib.h>
#include <string.h>

enum { RRSET_MAX_BYTES = 65000 }; /* leaves room for header, question and OPT in a message */

static struct draft_record *record_of(const struct draft *d, uint32_t id)
{
    return id == DRAFT_NONE ? NULL : &d->records[id];
}

static const char *show(const struct draft_name *n, char buf[WIRE_NAME_TEXT])
{
    return wire_name_format(n->name, buf);
}

static bool is_next_alike(const struct draft *d, const struct draft_record *r)
{
    return r->next != DRAFT_NONE && d->records[r->next].type == r->type;
}

/* --- RRsets ------------------------------------------------------------------------------- */

/* Equal data: names in it are compared without case (RFC 4034 section 6.2). */
static int compare_rdata(const struct draft_record *a, const struct draft_record *b)
{
    const struct rdata_layout *l = rdata_layout(a->type);
    size_t from = l ? l->fixed_bytes : 0, to = from, i = 0;

    if (a->rdata_bytes != b->rdata_bytes)
        return a->rdata_bytes < b->rdata_bytes ? -1 : 1;
    for (unsigned k = 0; l != NULL && k < l->n_names; k++)
        to += rdata_name_bytes(a->rdata + to);
    for (; i < a->rdata_bytes; i++) {
        bool is_name = i >= from && i < to;
        uint8_t x = is_name ? text_lower(a->rdata[i]) : a->rdata[i];
        uint8_t y = is_name ? text_lower(b->rdata[i]) : b->rdata[i];

        if (x != y)
            return x < y ? -1 : 1;
    }
    return 0;
}

/* Records by their numbers: by type, then as in the files. */
static int by_type(const void *a, const void *b, void *draft)
{
    const struct draft_record *records = ((const struct draft *)draft)->records;
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;

    if (records[i].type != records[k].type)
        return records[i].type < records[k].type ? -1 : 1;
    return i < k ? -1 : i > k;
}

static int by_data(const void *a, const void *b, void *draft)
{
    const struct draft_record *records = ((const struct draft *)draft)->records;
    const struct draft_record *x = &records[*(const uint32_t *)a];
    const struct draft_record *y = &records[*(const uint32_t *)b];
    int order;

    if (x->type != y->type)
        return x->type < y->type ? -1 : 1;
    order = compare_rdata(x, y);
    return order != 0 ? order : x < y ? -1 : x > y;
}

struct record_list {
    uint32_t *items;
    size_t n, cap;
};

static void drop_duplicates(struct draft *d, struct record_list *l)
{
    const struct draft_record *before = NULL;
    size_t kept = 0;
    char buf[16];

    qsort_r(l->items, l->n, sizeof(l->items[0]), by_data, d);
    for (size_t i = 0; i < l->n; i++) {
        const struct draft_record *r = &d->records[l->items[i]];

        if (before != NULL && before->type == r->type && compare_rdata(before, r) == 0) {
            errors_warn(d->errors, draft_place(d, r),
                        "the same %s stands at line %u already; left out",
                        wire_type_format(before->type, buf), before->line);
        } else {
            l->items[kept++] = l->items[i];
            before = r;
        }
    }
    l->n = kept;
}

/* One RRset has one TTL, the lowest (RFC 2181 section 5.2). An RRSIG's belongs to what it signs. */
static void settle_rrset(struct draft *d, const uint32_t *items, size_t n)
{
    struct draft_record *records = d->records, *first = &records[items[0]], *other = NULL;
    uint32_t lowest = first->ttl_s;
    size_t bytes = 0;
    char buf[16];

    for (size_t i = 0; i < n; i++) {
        struct draft_record *r = &records[items[i]];

        bytes += 12u + r->rdata_bytes;
        if (r->ttl_s != first->ttl_s && other == NULL)
            other = r;
        if (r->ttl_s < lowest)
            lowest = r->ttl_s;
    }
    if (other != NULL && first->type != WIRE_RRSIG)
        errors_warn(d->errors, draft_place(d, other),
                    "TTL %u, but %u at line %u: the records of one name and type (%s) share one "
                    "TTL; taking the lowest, %u",
                    other->ttl_s, first->ttl_s, first->line, wire_type_format(first->type, buf),
                    lowest);
    for (size_t i = 0; i < n; i++)
        records[items[i]].ttl_s = lowest;
    if (bytes > RRSET_MAX_BYTES || n > UINT16_MAX)
        errors_add(d->errors, draft_place(d, &records[items[n - 1]]),
                   "the %s records of this name take %zu bytes; a DNS message holds %d",
                   wire_type_format(first->type, buf), bytes, RRSET_MAX_BYTES);
}

static void relink(struct draft *d, struct draft_name *n, const struct record_list *l)
{
    n->first = l->items[0];
    n->last = l->items[l->n - 1];
    for (size_t i = 0; i < l->n; i++)
        d->records[l->items[i]].next = i + 1 < l->n ? l->items[i + 1] : (uint32_t)DRAFT_NONE;
}

static void settle_name(struct draft *d, struct draft_name *n, struct record_list *l)
{
    l->n = 0;
    for (uint32_t i = n->first; i != DRAFT_NONE; i = d->records[i].next) {
        BASE_GROW(l->items, l->n, l->cap);
        l->items[l->n++] = i;
    }
    if (l->n < 2)
        return;
    drop_duplicates(d, l);
    qsort_r(l->items, l->n, sizeof(l->items[0]), by_type, d);
    for (size_t from = 0, to; from < l->n; from = to) {
        uint16_t type = d->records[l->items[from]].type;

        for (to = from + 1; to < l->n && d->records[l->items[to]].type == type;)
            to++;
        settle_rrset(d, l->items + from, to - from);
    }
    relink(d, n, l);
}

static void settle(struct draft *d)
{
    struct record_list l = {0};

    for (uint32_t i = 0; i < d->n_names; i++)
        settle_name(d, &d->names[i], &l);
    free(l.items);
}

/* --- apex --------------------------------------------------------------------------------- */

static void check_apex(struct draft *d)
{
    const struct draft_name *apex = &d->names[0];
    struct place file = {.file = d->files[0].path};
    char buf[WIRE_NAME_TEXT];

    if (!(apex->flags & DRAFT_HAS_SOA))
        errors_add(d->errors, file, "no SOA record at %s", show(apex, buf));
    if (!(apex->flags & DRAFT_HAS_NS))
        errors_add(d->errors, file, "no NS record at %s", show(apex, buf));
}

static void check_soa(struct draft *d)
{
    const struct draft_record *soa = draft_first(d, &d->names[0], WIRE_SOA);
    char buf[WIRE_NAME_TEXT];

    if (soa != NULL && is_next_alike(d, soa))
        errors_add(d->errors, draft_place(d, &d->records[soa->next]),
                   "a second SOA record; the first is at line %u", soa->line);
    for (uint32_t i = 1; i < d->n_names; i++) {
        if (d->names[i].flags & DRAFT_HAS_SOA)
            errors_add(d->errors, draft_place(d, draft_first(d, &d->names[i], WIRE_SOA)),
                       "SOA record at %s, below the zone's apex", show(&d->names[i], buf));
    }
}

/* --- names: CNAME, DNAME, cuts ------------------------------------------------------------ */

static const struct draft_record *first_beside_cname(const struct draft *d,
                                                     const struct draft_name *n)
{
    const struct draft_record *r = record_of(d, n->first);

    while (r != NULL && (r->type == WIRE_CNAME || r->type == WIRE_RRSIG || r->type == WIRE_NSEC))
        r = record_of(d, r->next);
    return r;
}

static void check_cname(struct draft *d, const struct draft_name *n)
{
    const struct draft_record *cname = draft_first(d, n, WIRE_CNAME);
    char name[WIRE_NAME_TEXT], type[16];

    if (is_next_alike(d, cname))
        errors_add(d->errors, draft_place(d, &d->records[cname->next]),
                   "a second CNAME at %s; the first is at line %u", show(n, name), cname->line);
    if (n->flags & DRAFT_HAS_OTHER)
        errors_add(d->errors, draft_place(d, cname),
                   "CNAME at %s, which has other records (%s at line %u); a CNAME stands alone",
                   show(n, name), wire_type_format(first_beside_cname(d, n)->type, type),
                   first_beside_cname(d, n)->line);
}

/* RFC 6672 sections 2.3 and 2.4. */
static void check_dname(struct draft *d, const struct draft_name *n)
{
    const struct draft_record *dname = draft_first(d, n, WIRE_DNAME);
    char name[WIRE_NAME_TEXT];

    if (is_next_alike(d, dname))
        errors_add(d->errors, draft_place(d, &d->records[dname->next]),
                   "a second DNAME at %s; the first is at line %u", show(n, name), dname->line);
    if ((n->flags & DRAFT_HAS_NS) && n->parent != DRAFT_NONE)
        errors_add(d->errors, draft_place(d, dname), "DNAME beside NS at %s, which is not the apex",
                   show(n, name));
    if (n->flags & DRAFT_IS_WILDCARD)
        errors_warn(d->errors, draft_place(d, dname),
                    "DNAME at the wildcard %s redirects only names below the asterisk itself",
                    show(n, name));
}

static void check_below_dname(struct draft *d, const struct draft_name *n)
{
    char name[WIRE_NAME_TEXT];

    if (n->first != DRAFT_NONE)
        errors_add(d->errors, draft_place(d, &d->records[n->first]),
                   "%s lies below a DNAME; nothing may stand there", show(n, name));
}

/* What NS below the apex hide: all at and below the cut but the NS and DS of the cut itself, and
 * addresses, which are glue (RFC 1034 section 4.2.1). */
static void check_hidden(struct draft *d, const struct draft_name *n)
{
    bool is_cut = n == &d->names[n->cut];
    char name[WIRE_NAME_TEXT], cut[WIRE_NAME_TEXT], type[16];

    for (const struct draft_record *r = record_of(d, n->first); r != NULL;
         r = record_of(d, r->next)) {
        if (r->type == WIRE_A || r->type == WIRE_AAAA || r->type == WIRE_RRSIG ||
            r->type == WIRE_NSEC || r->type == WIRE_NSEC3 ||
            (is_cut && (r->type == WIRE_NS || r->type == WIRE_DS)))
            continue;
        errors_warn(d->errors, draft_place(d, r),
                    "%s at %s is never answered: the NS records of %s delegate it away",
                    wire_type_format(r->type, type), show(n, name), show(&d->names[n->cut], cut));
        return;
    }
}

static void check_names(struct draft *d)
{
    char name[WIRE_NAME_TEXT];

    for (uint32_t i = 0; i < d->n_names; i++) {
        struct draft_name *n = &d->names[i];
        const struct draft_name *parent = i > 0 ? &d->names[n->parent] : NULL;

        if (parent != NULL) { /* has a lower number, so it is done */
            n->cut = parent->cut;
            if (parent->flags & (DRAFT_IS_BELOW_DNAME | DRAFT_HAS_DNAME))
                n->flags |= DRAFT_IS_BELOW_DNAME;
            if ((n->flags & DRAFT_HAS_NS) && (n->flags & DRAFT_IS_WILDCARD))
                errors_warn(d->errors, draft_place(d, draft_first(d, n, WIRE_NS)),
                            "NS at the wildcard %s delegates nothing (RFC 4592 section 4.2)",
                            show(n, name));
            else if ((n->flags & DRAFT_HAS_NS) && n->cut == DRAFT_NONE)
                n->cut = i;
        }
        if (n->flags & DRAFT_HAS_CNAME)
            check_cname(d, n);
        if (n->flags & DRAFT_HAS_DNAME)
            check_dname(d, n);
        if (n->flags & DRAFT_IS_BELOW_DNAME)
            check_below_dname(d, n);
        if (n->cut != DRAFT_NONE)
            check_hidden(d, n);
    }
}

/* --- services ----------------------------------------------------------------------------- */

/* An answer to A and AAAA comes from the service; nothing in the zone may say otherwise. */
static void check_service_name(struct draft *d, const struct zone_service *s,
                               const struct draft_name *n)
{
    static const uint16_t excluded[] = {WIRE_A, WIRE_AAAA, WIRE_CNAME};
    char name[WIRE_NAME_TEXT], type[16];

    for (size_t i = 0; i < COUNT_OF(excluded); i++) {
        const struct draft_record *r = draft_first(d, n, excluded[i]);

        if (r != NULL)
            errors_add(d->errors, draft_place(d, r),
                       "%s at %s, which is a service (%s:%u); take one of the two away",
                       wire_type_format(r->type, type), show(n, name),
                       s->place.file ? s->place.file : "configuration", s->place.line);
    }
    if (n->cut != DRAFT_NONE)
        errors_add(d->errors, s->place,
                   "service %s: the zone delegates this name away (NS at %s:%u)", show(n, name),
                   draft_place(d, draft_first(d, &d->names[n->cut], WIRE_NS)).file,
                   draft_first(d, &d->names[n->cut], WIRE_NS)->line);
    if (n->flags & DRAFT_IS_BELOW_DNAME)
        errors_add(d->errors, s->place, "service %s lies below a DNAME of the zone", show(n, name));
}

/* Makes the names of services, before the checks that look at names. */
static void add_services(struct draft *d)
{
    char name[WIRE_NAME_TEXT], apex[WIRE_NAME_TEXT];

    for (size_t i = 0; i < d->n_services; i++) {
        const struct zone_service *s = &d->services[i];
        struct draft_name *n;
        uint32_t at;

        if (!wire_name_is_below(&s->name, &d->apex)) {
            errors_add(d->errors, s->place, "service %s is not in the zone %s",
                       wire_name_format(s->name.bytes, name),
                       wire_name_format(d->apex.bytes, apex));
            continue;
        }
        at = draft_add_name(d, &s->name); /* which may move the names */
        n = &d->names[at];
        if (n->service != ZONE_NO_SERVICE)
            errors_add(d->errors, s->place, "service %s is given twice", show(n, name));
        n->service = s->service;
        n->has_a = s->has_a;
        n->has_aaaa = s->has_aaaa;
    }
}

static void check_services(struct draft *d)
{
    bool is_exact;

    for (size_t i = 0; i < d->n_services; i++) {
        if (wire_name_is_below(&d->services[i].name, &d->apex))
            check_service_name(d, &d->services[i],
                               &d->names[draft_closest_name(d, &d->services[i].name, &is_exact)]);
    }
}

/* --- targets ------------------------------------------------------------------------------ */

static bool has_address(const struct draft_name *n)
{
    return (n->flags & DRAFT_HAS_ADDRESS) || n->service != ZONE_NO_SERVICE;
}

/* A name server at or below the cut is found by nobody without its address (RFC 9471). */
static void check_glue(struct draft *d, const struct draft_name *owner,
                       const struct draft_record *r, const struct wire_name *target)
{
    bool is_exact;
    const struct draft_name *n = &d->names[draft_closest_name(d, target, &is_exact)];
    char name[WIRE_NAME_TEXT], cut[WIRE_NAME_TEXT];

    if (n->cut != (uint32_t)(owner - d->names) || (is_exact && has_address(n)))
        return;
    errors_warn(d->errors, draft_place(d, r),
                "delegation of %s to %s without glue: its address must stand here too",
                show(owner, cut), wire_name_format(target->bytes, name));
}

static void check_target(struct draft *d, const struct draft_name *owner,
                         const struct draft_record *r, const struct rdata_layout *l)
{
    char type[16], name[WIRE_NAME_TEXT];
    struct wire_name target;
    const struct draft_name *n;
    bool is_exact;
    uint32_t id;

    draft_target(r, l, &target);
    if (target.n_labels == 0 || !wire_name_is_below(&target, &d->apex))
        return;
    n = &d->names[draft_closest_name(d, &target, &is_exact)];
    if (n->cut != DRAFT_NONE) {
        if (owner->cut != DRAFT_NONE)
            check_glue(d, owner, r, &target);
        return;
    }
    id = draft_match_name(d, &target);
    if (id != DRAFT_NONE && (d->names[id].flags & DRAFT_HAS_CNAME))
        errors_warn(d->errors, draft_place(d, r),
                    "%s points to %s, which is a CNAME (RFC 2181 section 10.3)",
                    wire_type_format(r->type, type), wire_name_format(target.bytes, name));
    else if ((id == DRAFT_NONE || !has_address(&d->names[id])) &&
             !(n->flags & (DRAFT_HAS_DNAME | DRAFT_IS_BELOW_DNAME)))
        errors_warn(d->errors, draft_place(d, r), "%s points to %s, which has no address here",
                    wire_type_format(r->type, type), wire_name_format(target.bytes, name));
}

static void check_targets(struct draft *d)
{
    for (uint32_t i = 0; i < d->n_names; i++) {
        const struct draft_name *n = &d->names[i];

        if (n->cut != DRAFT_NONE && n->cut != i) /* hidden */
            continue;
        for (const struct draft_record *r = record_of(d, n->first); r != NULL;
             r = record_of(d, r->next)) {
            if (r->type == WIRE_NS || r->type == WIRE_MX || r->type == WIRE_SRV)
                check_target(d, n, r, rdata_layout(r->type));
        }
    }
}

/* --- CNAME loops -------------------------------------------------------------------------- */

/* The name that answers for a CNAME's target; DRAFT_NONE at a chain's end. */
static uint32_t next_in_chain(const struct draft *d, uint32_t id)
{
    const struct draft_record *cname = draft_first(d, &d->names[id], WIRE_CNAME);
    struct wire_name target;

    if (cname == NULL)
        return DRAFT_NONE;
    draft_target(cname, rdata_layout(WIRE_CNAME), &target);
    return draft_match_name(d, &target);
}

/* Every name is left by one CNAME at most: walk each chain once, marking it as being walked; to
 * meet a marked name is to have gone round. */
static void check_loops(struct draft *d)
{
    enum { NEW, WALKING, DONE };
    char name[WIRE_NAME_TEXT];

    for (uint32_t i = 0; i < d->n_names; i++) {
        uint32_t at = i;

        if (!(d->names[i].flags & DRAFT_HAS_CNAME))
            continue;
        for (; at != DRAFT_NONE && d->names[at].mark == NEW; at = next_in_chain(d, at))
            d->names[at].mark = WALKING;
        if (at != DRAFT_NONE && d->names[at].mark == WALKING)
            errors_warn(d->errors, draft_place(d, draft_first(d, &d->names[at], WIRE_CNAME)),
                        "the CNAMEs from %s lead back to it", show(&d->names[at], name));
        for (at = i; at != DRAFT_NONE && d->names[at].mark == WALKING; at = next_in_chain(d, at))
            d->names[at].mark = DONE;
    }
}

/* --- all ---------------------------------------------------------------------------------- */

void check_draft(struct draft *d, bool is_whole)
{
    settle(d);
    add_services(d);
    check_soa(d);
    check_names(d);
    check_services(d);
    check_loops(d);
    if (is_whole) {
        check_apex(d);
        check_targets(d);
    }
    check_hints(d);
    check_signed(d);
}
