/* SPDX-License-Identifier: BSD-2-Clause */
/* SVCB and HTTPS records (RFC 9460) that would contradict a service. */
#include "gslb-dns/zone/zone_internal.h"

enum { IPV4HINT = 4, IPV6HINT = 6 };

/* The SvcParamKey of the first hint; 0: there is none. */
static unsigned find_hint(const struct draft_record *r, const struct rdata_layout *l)
{
    size_t target_bytes = rdata_name_bytes(r->rdata + l->fixed_bytes);
    struct reader params = reader_of(r->rdata, r->rdata_bytes);

    (void)reader_take(&params, l->fixed_bytes + target_bytes);
    while (reader_left(&params) > 0 && !params.is_bad) {
        unsigned key = reader_u16(&params);

        (void)reader_take(&params, reader_u16(&params));
        if (key == IPV4HINT || key == IPV6HINT)
            return key;
    }
    return 0;
}

/* Whose addresses the record is about; DRAFT_NONE: nobody's in this zone. */
static uint32_t find_target(const struct draft *d, uint32_t owner, const struct draft_record *r,
                            const struct rdata_layout *l)
{
    struct wire_name target;

    if (r->rdata[l->fixed_bytes] == 0) /* "." in ServiceMode, RFC 9460 section 2.5.2 */
        return owner;
    draft_target(r, l, &target);
    return draft_match_name(d, &target);
}

static void check_record(struct draft *d, uint32_t owner, const struct draft_record *r)
{
    const struct rdata_layout *l = rdata_layout(r->type);
    uint32_t target = find_target(d, owner, r, l);
    unsigned hint = find_hint(r, l);
    char name[WIRE_NAME_TEXT], type[16];

    if (hint == 0 || target == DRAFT_NONE || d->names[target].service == ZONE_NO_SERVICE)
        return;
    errors_add(d->errors, draft_place(d, r),
               "%s: %s would send every client to the same addresses, but %s is a service, which "
               "sends each to the nearest: take it out, the service's addresses go along with the "
               "answer",
               wire_type_format(r->type, type), hint == IPV4HINT ? "ipv4hint" : "ipv6hint",
               wire_name_format(d->names[target].name, name));
}

/* A browser that believes a hint would go where no health and no place was asked for. */
void check_hints(struct draft *d)
{
    for (uint32_t i = 0; i < d->n_names; i++) {
        for (uint32_t k = d->names[i].first; k != DRAFT_NONE; k = d->records[k].next) {
            if (d->records[k].type == WIRE_SVCB || d->records[k].type == WIRE_HTTPS)
                check_record(d, i, &d->records[k]);
        }
    }
}
