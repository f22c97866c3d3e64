/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What proves that something is not there, in a zone whose chain of NSEC or NSEC3 is known. Each
 * proof is a list of records that say one of two things of a name: "at it stands this and no more"
 * (matches), or "between here and there is nothing" (covers).
 */
#include "gslb-dns/zone/zone_internal.h"

#include <string.h>

struct proof_list {
    const struct zone *zone;
    struct zone_proof *items;
    unsigned n;
    uint16_t missing; /* of a steered name: the type that is not there now */
};

/* A name in wire form, lower case. */
struct plain_name {
    const uint8_t *bytes;
    unsigned n_labels;
};

static void add(struct proof_list *l, const struct zone_node *node)
{
    const struct zone_rrset *r =
        zone_node_rrset(node, l->zone->denial == ZONE_NSEC3 ? WIRE_NSEC3 : WIRE_NSEC);

    for (unsigned i = 0; i < l->n; i++) {
        if (l->items[i].node == node)
            return;
    }
    if (r != NULL && l->n < ZONE_PROOFS_MAX)
        l->items[l->n++] = (struct zone_proof){node, r};
}

/* The last n_labels labels of a name. */
static struct plain_name suffix_of(struct plain_name name, unsigned n_labels)
{
    while (name.n_labels > n_labels) {
        name.bytes += 1u + name.bytes[0];
        name.n_labels--;
    }
    return name;
}

static struct plain_name name_of(const struct zone_node *node)
{
    return (struct plain_name){node->name, node->n_labels};
}

/* "*" below an encloser; buf holds it. There is room: something with a label lies below it. */
static struct plain_name wildcard_of(const struct zone_node *encloser,
                                     uint8_t buf[WIRE_NAME_MAX + 2])
{
    buf[0] = 1;
    buf[1] = '*';
    memcpy(buf + 2, encloser->name, encloser->name_bytes);
    return (struct plain_name){buf, encloser->n_labels + 1u};
}

/* What matches the name itself. */
static void add_at(struct proof_list *l, const struct zone_node *node)
{
    uint16_t wanted = l->missing == WIRE_A ? DRAFT_WITHOUT_A : DRAFT_WITHOUT_AAAA;

    add(l, node);
    for (unsigned i = 0; l->missing != 0 && l->n > 0 && i < node->n_missing; i++) {
        const struct zone_rrset *r = &node->rrsets[node->n_rrsets + i];

        if (r->type == wanted && l->items[l->n - 1].node == node)
            l->items[l->n - 1].rrset = r;
    }
}

/* --- NSEC --------------------------------------------------------------------------------- */

/* The NSEC at the name, or the one that covers it. */
static void add_nsec(struct proof_list *l, struct plain_name name)
{
    bool is_exact;

    add(l,
        chain_find(l->zone->chain, name.bytes, name.n_labels, l->zone->apex.n_labels, &is_exact));
}

/* RFC 4035 section 3.1.3; at an empty non-terminal the NSEC before it is what proves. */
static void prove_by_nsec(struct proof_list *l, const struct zone_lookup *found,
                          enum zone_verdict verdict, struct plain_name name)
{
    uint8_t buf[WIRE_NAME_MAX + 2];

    if (verdict == ZONE_NXDOMAIN) {
        add_nsec(l, name);
        add_nsec(l, wildcard_of(found->node, buf));
        return;
    }
    if (verdict == ZONE_NODATA || verdict == ZONE_REFERRAL) {
        if (zone_node_rrset(found->node, WIRE_NSEC) != NULL)
            add_at(l, found->node);
        else
            add_nsec(l, name_of(found->node));
    }
    if (found->is_wildcard)
        add_nsec(l, name);
}

/* --- NSEC3 -------------------------------------------------------------------------------- */

static const struct zone_node *find_hash(const struct zone *z, struct plain_name name,
                                         bool *is_exact)
{
    const struct zone_chain *c = z->chain;
    uint8_t hash[SIGN_NSEC3_HASH_BYTES];

    sign_nsec3_hash(name.bytes, rdata_name_bytes(name.bytes), c->salt, c->n_salt, c->iterations,
                    hash);
    return chain_find_hash(c, hash, is_exact);
}

/* NULL: no NSEC3 matches. */
static const struct zone_node *match(const struct zone *z, struct plain_name name)
{
    bool is_exact;
    const struct zone_node *node = find_hash(z, name, &is_exact);

    return is_exact ? node : NULL;
}

static void cover(struct proof_list *l, struct plain_name name)
{
    bool is_exact;
    const struct zone_node *node = find_hash(l->zone, name, &is_exact);

    if (!is_exact)
        add(l, node);
}

/* RFC 5155 section 7.2.1: the closest encloser that has an NSEC3 (with opt-out not every one has),
 * and that the next closer name has none. Returns that encloser. */
static const struct zone_node *
prove_encloser(struct proof_list *l, const struct zone_node *encloser, struct plain_name name)
{
    const struct zone_node *hashed = match(l->zone, name_of(encloser));

    while (hashed == NULL && encloser->parent != NULL) {
        encloser = encloser->parent;
        hashed = match(l->zone, name_of(encloser));
    }
    if (hashed != NULL)
        add(l, hashed);
    cover(l, suffix_of(name, encloser->n_labels + 1u));
    return encloser;
}

/* Sections 7.2.3 and 7.2.4; the same at a delegation without DS (7.2.7). */
static void prove_no_type(struct proof_list *l, const struct zone_node *node)
{
    const struct zone_node *hashed = match(l->zone, name_of(node));

    if (hashed != NULL)
        add_at(l, hashed);
    else if (node->parent != NULL)
        prove_encloser(l, node->parent, name_of(node));
}

static void prove_by_nsec3(struct proof_list *l, const struct zone_lookup *found,
                           enum zone_verdict verdict, struct plain_name name)
{
    const struct zone_node *node = found->node, *hashed;
    uint8_t buf[WIRE_NAME_MAX + 2];

    if (verdict == ZONE_NXDOMAIN) { /* section 7.2.2 */
        node = prove_encloser(l, node, name);
        cover(l, wildcard_of(node, buf));
    } else if (!found->is_wildcard) {
        if (verdict == ZONE_NODATA || verdict == ZONE_REFERRAL)
            prove_no_type(l, node);
    } else if (verdict == ZONE_NODATA) { /* section 7.2.5 */
        prove_encloser(l, node->parent, name);
        hashed = match(l->zone, name_of(node));
        if (hashed != NULL)
            add_at(l, hashed);
    } else { /* section 7.2.6 */
        cover(l, suffix_of(name, node->n_labels));
    }
}

/* --- all ---------------------------------------------------------------------------------- */

static unsigned prove(const struct zone_lookup *l, enum zone_verdict verdict, uint16_t missing,
                      const struct wire_name *name, struct zone_proof out[ZONE_PROOFS_MAX])
{
    struct proof_list list = {l->zone, out, 0, missing};
    struct plain_name plain = {name->bytes, name->n_labels};

    if (verdict == ZONE_REFERRAL && zone_node_rrset(l->node, WIRE_DS) != NULL)
        return 0;
    if (l->zone->denial == ZONE_COMPACT && !l->is_wildcard &&
        (verdict == ZONE_NODATA || verdict == ZONE_REFERRAL))
        add_at(&list, l->node);
    if (l->zone->chain == NULL || l->zone->chain->n == 0)
        return list.n;
    if (l->zone->denial == ZONE_NSEC3)
        prove_by_nsec3(&list, l, verdict, plain);
    else
        prove_by_nsec(&list, l, verdict, plain);
    return list.n;
}

unsigned zone_prove(const struct zone_lookup *l, enum zone_verdict verdict,
                    const struct wire_name *name, struct zone_proof out[ZONE_PROOFS_MAX])
{
    return prove(l, verdict, 0, name, out);
}

unsigned zone_prove_missing(const struct zone_lookup *l, uint16_t type,
                            const struct wire_name *name, struct zone_proof out[ZONE_PROOFS_MAX])
{
    return prove(l, ZONE_NODATA, type, name, out);
}
