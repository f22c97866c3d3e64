/* SPDX-License-Identifier: BSD-2-Clause */
/* A zone that comes signed is served as it is; here is said what a validator would not like. */
#include "gslb-dns/zone/zone_internal.h"

#include <string.h>
#include <time.h>

enum {
    RRSIG_FIXED = 18, /* RFC 4034 section 3.1, before the signer's name */
    SOON_S = 3 * 86400,
};

/* What is told once, with the first place and how many there are. */
struct finding {
    const struct draft_record *first;
    const struct draft_name *name;
    size_t n;
};

static void note(struct finding *f, const struct draft_name *name, const struct draft_record *r)
{
    if (f->n++ == 0) {
        f->first = r;
        f->name = name;
    }
}

static bool has_rrsig(const struct draft *d, const struct draft_name *n, uint16_t type)
{
    const struct draft_record *r = draft_first(d, n, WIRE_RRSIG);

    while (r != NULL && r->type == WIRE_RRSIG) {
        if (draft_covers(r) == type)
            return true;
        r = r->next == DRAFT_NONE ? NULL : &d->records[r->next];
    }
    return false;
}

static bool has_parameters(const struct draft *d)
{
    const struct draft_record *r = draft_first(d, &d->names[0], WIRE_NSEC3PARAM);

    return r != NULL && r->rdata_bytes >= 5 && r->rdata_bytes == 5u + r->rdata[4];
}

enum zone_denial draft_denial(const struct draft *d)
{
    const struct draft_name *apex = &d->names[0];

    if (!has_rrsig(d, apex, WIRE_SOA))
        return ZONE_UNSIGNED;
    if (apex->flags & DRAFT_HAS_NSEC)
        return d->is_compact ? ZONE_COMPACT : ZONE_NSEC;
    return has_parameters(d) ? ZONE_NSEC3 : ZONE_UNSIGNED;
}

/* Does the zone speak for this RRset with authority? Then it has a signature (RFC 4035 section
 * 2.2). */
static bool is_authoritative(const struct draft *d, const struct draft_name *n, uint16_t type)
{
    if (type == WIRE_RRSIG)
        return false;
    return n->cut == DRAFT_NONE ||
           (n == &d->names[n->cut] && (type == WIRE_DS || type == WIRE_NSEC));
}

struct findings {
    struct finding malformed, unsigned_rrset, orphan, expired, soon, no_nsec;
    int64_t now_s;
};

static void look_at_rrsig(const struct draft *d, const struct draft_name *n,
                          const struct draft_record *r, struct findings *f)
{
    if (r->rdata_bytes <= RRSIG_FIXED) {
        note(&f->malformed, n, r);
        return;
    }
    /* RFC 4034 section 3.1.5: serial number arithmetic */
    int32_t left_s = (int32_t)(bytes_get_u32(r->rdata + 8) - (uint32_t)f->now_s);

    if (left_s < 0)
        note(&f->expired, n, r);
    else if (left_s < SOON_S)
        note(&f->soon, n, r);
    if (draft_first(d, n, draft_covers(r)) == NULL)
        note(&f->orphan, n, r);
}

static void look_at_name(const struct draft *d, const struct draft_name *n, enum zone_denial denial,
                         struct findings *f)
{
    uint16_t before = 0;
    bool has_data = false;

    for (uint32_t i = n->first; i != DRAFT_NONE; i = d->records[i].next) {
        const struct draft_record *r = &d->records[i];

        if (r->type == WIRE_RRSIG) {
            look_at_rrsig(d, n, r, f);
        } else if (r->type != before && is_authoritative(d, n, r->type)) {
            has_data = true;
            if (!has_rrsig(d, n, r->type))
                note(&f->unsigned_rrset, n, r);
        }
        before = r->type;
    }
    if ((has_data || n == &d->names[n->cut == DRAFT_NONE ? 0 : n->cut]) && n->first != DRAFT_NONE &&
        denial == ZONE_NSEC && !(n->flags & DRAFT_HAS_NSEC))
        note(&f->no_nsec, n, &d->records[n->first]);
}

static void warn(const struct draft *d, const struct finding *f, const char *what)
{
    char name[WIRE_NAME_TEXT], type[16];
    uint16_t of;

    if (f->n == 0)
        return;
    of = f->first->type == WIRE_RRSIG ? draft_covers(f->first) : f->first->type;
    errors_warn(d->errors, draft_place(d, f->first), "%s %s %s (%zu such in this zone)",
                wire_name_format(f->name->name, name), wire_type_format(of, type), what, f->n);
}

static void tell(const struct draft *d, const struct findings *f)
{
    warn(d, &f->expired,
         "has a signature that has expired; validators refuse it: sign the zone anew");
    warn(d, &f->soon, "has a signature that expires within three days; sign the zone anew");
    warn(d, &f->unsigned_rrset, "is not signed in a zone that is; validators refuse it");
    warn(d, &f->orphan, "is not there, but a signature of it; left out");
    warn(d, &f->no_nsec, "stands at a name without NSEC; what is not there cannot be proved");
    if (f->malformed.n > 0)
        errors_add(d->errors, draft_place(d, f->malformed.first),
                   "RRSIG of %u bytes: too short (RFC 4034 section 3.1)",
                   f->malformed.first->rdata_bytes);
}

static void check_parameters(struct draft *d)
{
    const struct draft_record *r = draft_first(d, &d->names[0], WIRE_NSEC3PARAM);
    unsigned iterations = r->rdata_bytes >= 5 ? bytes_get_u16(r->rdata + 2) : 0;

    if (iterations > NSEC3_ITERATIONS_MAX)
        errors_add(d->errors, draft_place(d, r),
                   "NSEC3 with %u iterations, which validators take for unsigned; 0 is right "
                   "(RFC 9276), %d the most that is served",
                   iterations, NSEC3_ITERATIONS_MAX);
    else if (iterations > 0)
        errors_warn(d->errors, draft_place(d, r),
                    "NSEC3 with %u iterations; 0 is right (RFC 9276 section 3.1)", iterations);
}

/* A service's answers change with health, and nobody here has the keys to sign them. */
static void check_services(struct draft *d)
{
    char name[WIRE_NAME_TEXT];

    for (size_t i = 0; i < d->n_services; i++) {
        errors_add(
            d->errors, d->services[i].place,
            "service %s lies in a zone whose file is signed already, so its answers cannot be "
            "signed; give the zone dnssec: with its keys here, or delegate the name to a "
            "zone of its own",
            wire_name_format(d->services[i].name.bytes, name));
    }
}

void check_signed(struct draft *d)
{
    struct findings f = {.now_s = (int64_t)time(NULL)};
    enum zone_denial denial;
    bool has_signatures = false;

    for (uint32_t i = 0; i < d->n_records && !has_signatures; i++)
        has_signatures = d->records[i].type == WIRE_RRSIG;
    if (!has_signatures)
        return;
    denial = draft_denial(d);
    if (denial == ZONE_UNSIGNED && has_rrsig(d, &d->names[0], WIRE_SOA))
        errors_warn(d->errors, draft_place(d, draft_first(d, &d->names[0], WIRE_SOA)),
                    "the zone is signed, but has neither NSEC nor NSEC3PARAM at its apex: what is "
                    "not there cannot be proved");
    for (uint32_t i = 0; i < d->n_names; i++)
        look_at_name(d, &d->names[i], denial, &f);
    tell(d, &f);
    if (denial == ZONE_NSEC3)
        check_parameters(d);
    check_services(d);
}
