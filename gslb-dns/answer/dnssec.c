/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What DNSSEC adds to an answer with DO=1 (RFC 4035 section 3.1): signatures go with their RRsets
 * (message_add_rrset copies both at once); the proofs of what is not there are gathered along the
 * chain of names and go into the authority section, each once.
 */
#include "gslb-dns/answer/answer_internal.h"

#include <string.h>

static void gather(struct message *m, const struct zone_proof *found, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned k = 0;

        while (k < m->n_proofs && m->proofs[k].rrset != found[i].rrset)
            k++;
        if (k == m->n_proofs && k < COUNT_OF(m->proofs))
            m->proofs[m->n_proofs++] = found[i];
    }
}

/* Of what a zone with compact denial does not have, nor anyone before the question came. */
static bool is_made_online(const struct zone_lookup *l, enum zone_verdict verdict)
{
    return l->zone->denial == ZONE_COMPACT && (verdict == ZONE_NXDOMAIN || l->is_wildcard);
}

static void prove_online(struct message *m, const struct zone_lookup *l, enum zone_verdict verdict,
                         uint16_t missing)
{
    struct zone_proof found;

    if (compact_prove(m->compact, l, verdict, missing, m->name, &found))
        gather(m, &found, 1);
    else
        m->is_unproved = true;
}

void dnssec_prove(struct message *m, const struct zone_lookup *l, enum zone_verdict verdict)
{
    struct zone_proof found[ZONE_PROOFS_MAX];

    if (unlikely(is_made_online(l, verdict)))
        prove_online(m, l, verdict, 0);
    else
        gather(m, found, zone_prove(l, verdict, m->name, found));
}

void dnssec_prove_missing(struct message *m, const struct zone_lookup *l, uint16_t type)
{
    struct zone_proof found[ZONE_PROOFS_MAX];

    if (unlikely(is_made_online(l, ZONE_NODATA)))
        prove_online(m, l, ZONE_NODATA, type);
    else
        gather(m, found, zone_prove_missing(l, type, m->name, found));
}

enum wire_rcode dnssec_absence_rcode(const struct message *m, const struct zone *z)
{
    if (likely(!m->dnssec || z->denial != ZONE_COMPACT))
        return WIRE_NXDOMAIN;
    return m->is_compact ? WIRE_NXDOMAIN : WIRE_NOERROR;
}

/* Where in the question, or in the target that led here, the name of a node stands; 0: nowhere. */
static uint16_t find_owner(const struct message *m, const struct zone_node *node)
{
    size_t n = node->name_bytes;
    uint32_t at;

    if (n > m->name->length || memcmp(m->name->bytes + m->name->length - n, node->name, n) != 0)
        return 0;
    at = message_suffix_at(m, node->name_bytes);
    return at < POINTER_LIMIT ? (uint16_t)at : 0;
}

/* The owner stands nowhere yet: written out once, up to the apex. */
static bool add_with_owner(struct message *m, const struct zone_node *node,
                           const struct zone_rrset *r)
{
    uint32_t label_bytes = node->name_bytes - m->apex_bytes;
    uint32_t bytes = label_bytes + r->wire_bytes + r->sig_bytes;
    uint8_t *to = m->out + m->at;

    if (m->at + bytes > m->limit || m->at + label_bytes >= POINTER_LIMIT)
        return false;
    memcpy(to, node->name, label_bytes);
    memcpy(to + label_bytes, r->wire, (size_t)r->wire_bytes + r->sig_bytes);
    bytes_put_u16(to + label_bytes, (uint16_t)(POINTER_BITS | m->apex_at));
    message_set_owners(to + label_bytes + RECORD_HEAD +
                           bytes_get_u16(to + label_bytes + RECORD_HEAD - 2),
                       to + bytes, (uint16_t)m->at);
    m->at += bytes;
    m->counts[SECTION_AUTHORITY] = (uint16_t)(m->counts[SECTION_AUTHORITY] + r->count + r->n_sigs);
    return true;
}

bool dnssec_add_proofs(struct message *m)
{
    unsigned n = m->n_proofs;

    m->n_proofs = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct zone_proof *p = &m->proofs[i];
        uint16_t owner_at = find_owner(m, p->node);

        if (owner_at != 0 ? !message_add_rrset(m, SECTION_AUTHORITY, p->rrset, owner_at)
                          : !add_with_owner(m, p->node, p->rrset))
            return false;
    }
    return true;
}

bool dnssec_add_delegation(struct message *m, const struct zone_node *cut)
{
    const struct zone_rrset *ds = zone_node_rrset(cut, WIRE_DS);

    return (ds == NULL || ds->n_sigs == 0 ||
            message_add_rrset(m, SECTION_AUTHORITY, ds, message_suffix_at(m, cut->name_bytes))) &&
           dnssec_add_proofs(m);
}

bool dnssec_add_signatures(struct message *m, const struct zone_rrset *r)
{
    struct zone_rrset signatures = *r;

    signatures.wire += r->wire_bytes;
    signatures.wire_bytes = r->sig_bytes;
    signatures.count = r->n_sigs;
    signatures.n_fixups = signatures.n_sigs = 0;
    signatures.sig_bytes = 0;
    return message_add_rrset(m, SECTION_ANSWER, &signatures, message_suffix_at(m, m->name->length));
}
