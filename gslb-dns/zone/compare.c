/* SPDX-License-Identifier: BSD-2-Clause */
/* What two versions of a zone differ in. Nearly all RRsets are equal, and that is seen by a look at
 * their bytes; of the others all records are told, and whoever is told finds the equal ones. */
#include "gslb-dns/zone/zone_internal.h"

#include <stdlib.h>
#include <string.h>

struct comparison {
    struct zone_difference_sink sink;
    struct zone_unpacking *unpacking;
    struct zone_difference told;
};

static const struct zone_node *find_counterpart(const struct zone *z, const struct zone_node *node)
{
    const struct zone_node *found;
    struct wire_name name;
    bool is_exact = false;

    ensure(wire_name_read(node->name, node->name_bytes, &name));
    found = find_node(z, &name);
    if (found != NULL || z->denial != ZONE_NSEC3 || z->chain->n == 0 ||
        node->name[0] != NSEC3_LABEL)
        return found;
    found = chain_find_label(z->chain, node->name, &is_exact);
    return is_exact && found->name_bytes == node->name_bytes ? found : NULL;
}

static bool tell_record(struct comparison *c, const uint8_t *rdata, size_t n)
{
    c->told.rdata = rdata;
    c->told.rdata_bytes = (uint16_t)n;
    return c->sink.tell(c->sink.arg, &c->told);
}

static bool tell_records(struct comparison *c, const struct zone *z, const struct zone_rrset *r)
{
    *c->unpacking = (struct zone_unpacking){.zone = z, .rrset = r};
    c->told.type = r->type;
    while (zone_unpack_next(c->unpacking))
        if (!tell_record(c, c->unpacking->rdata, c->unpacking->n))
            return false;
    return true;
}

static bool tell_signatures(struct comparison *c, const struct zone_rrset *r)
{
    const uint8_t *p = r->wire + r->wire_bytes, *end = p + r->sig_bytes;

    c->told.type = WIRE_RRSIG;
    for (; p < end; p += c->told.rdata_bytes + 12u)
        if (!tell_record(c, p + 12, bytes_get_u16(p + 10)))
            return false;
    return true;
}

static bool tell_rrset(struct comparison *c, bool is_new, const struct zone *z,
                       const struct zone_node *node, const struct zone_rrset *r,
                       const struct zone_rrset *other)
{
    bool has_data = other == NULL || r->wire_bytes != other->wire_bytes ||
                    r->n_fixups != other->n_fixups ||
                    memcmp(r->wire, other->wire, r->wire_bytes) != 0;
    bool has_sigs =
        other == NULL || r->sig_bytes != other->sig_bytes ||
        memcmp(r->wire + r->wire_bytes, other->wire + other->wire_bytes, r->sig_bytes) != 0;

    c->told.is_new = is_new;
    c->told.name = node->name;
    c->told.name_bytes = node->name_bytes;
    c->told.ttl_s = r->ttl_s;
    if (has_data && r != z->soa && !tell_records(c, z, r))
        return false;
    return !has_sigs || tell_signatures(c, r);
}

/* What z has of a node and the other version does not. */
static bool tell_node(struct comparison *c, bool is_new, const struct zone *z,
                      const struct zone_node *node, const struct zone_node *other)
{
    for (unsigned i = 0; i < node->n_rrsets; i++) {
        const struct zone_rrset *r = &node->rrsets[i];
        const struct zone_rrset *there = other != NULL ? zone_node_rrset(other, r->type) : NULL;

        if (!tell_rrset(c, is_new, z, node, r, there))
            return false;
    }
    return true;
}

static bool tell_all(struct comparison *c, bool is_new, const struct zone *z,
                     const struct zone *other)
{
    const struct zone_node *node;
    size_t at = 0;

    while ((node = zone_next_node(z, &at)) != NULL)
        if (node->n_rrsets > 0 && !tell_node(c, is_new, z, node, find_counterpart(other, node)))
            return false;
    return true;
}

void zone_tell_soa(const struct zone *z, const struct zone_difference_sink *sink)
{
    struct comparison c = {.sink = *sink, .unpacking = base_alloc(sizeof(*c.unpacking))};

    c.told = (struct zone_difference){.is_new = true,
                                      .name = z->root->name,
                                      .name_bytes = z->root->name_bytes,
                                      .ttl_s = z->soa->ttl_s};
    (void)tell_records(&c, z, z->soa);
    free(c.unpacking);
}

bool zone_compare(const struct zone *old, const struct zone *now,
                  const struct zone_difference_sink *sink)
{
    struct comparison c = {.sink = *sink, .unpacking = base_alloc(sizeof(*c.unpacking))};
    bool is_whole = tell_all(&c, false, old, now) && tell_all(&c, true, now, old);

    free(c.unpacking);
    return is_whole;
}
