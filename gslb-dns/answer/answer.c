/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Read from the top: a batch goes through three steps, the third of which follows a query to the
 * end of its chain of names.
 *
 *   read_query ─▶ find_name ─▶ compose
 *                               ├─ verdict_answer    what ends before any lookup
 *                               └─ answer_question   a loop over the names of the chain:
 *                                    add_answer | add_steered | add_cname | add_dname |
 *                                    add_referral | add_negative | add_any
 */
#include "gslb-dns/answer/answer_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* So many queries go through the steps together: enough to hide the way to RAM, few enough that
 * what they have read is still in the nearest cache when it is used. */
enum { GROUP = 16 };

enum { HINFO = 13, ANY_TTL_S = 3600 };

/* One query between its steps. */
struct slot {
    enum wire_verdict verdict;
    enum zone_verdict found;
    struct zone_lookup lookup;
    struct ip source; /* read only when steering asks */
    const struct ip *client;
    const struct geo_map *map; /* to be searched for the client; NULL: none is */
    struct wire_query q;
};

/* A name of the chain that has been answered, and with what. */
struct link {
    uint64_t hash;
    const struct zone_rrset *rrset;
};

struct answer_context {
    const struct snapshot_slot *world;
    struct metrics_block *counters;
    struct compact *compact;
    uint64_t random;
    struct guard guard;
    struct wire_name names[2];  /* the chain's current name and the next */
    struct addr clients[GROUP]; /* those that PROXY headers name */
    struct link chain[CHAIN_MAX];
    size_t n_chain;           /* those before the current name */
    struct tsig_session tsig; /* of the query that is being answered, if it is signed */
    struct slot slots[GROUP];
};

/* What became of one name of the chain. */
enum step {
    STEP_DONE,
    STEP_FOLLOW, /* m->name is the next one */
    STEP_FULL,   /* something that the answer needs does not fit */
};

static void read_query(struct answer_context *c, const struct world *w, struct answer_query *io,
                       size_t i);
static void fetch_node(const struct world *w, const struct slot *s);
static void find_name(const struct world *w, const struct answer_query *io, struct slot *s);
static void fetch_place(const struct slot *s);
static uint32_t compose(struct answer_context *c, const struct world *w, struct answer_query *io,
                        struct slot *s);

void answer_batch(struct answer_context *c, struct answer_query *queries, size_t n)
{
    const struct world *w = snapshot_read(c->world);

    c->guard.is_timed = false;
    while (n > 0) {
        size_t group = n < GROUP ? n : GROUP;

        for (size_t i = 0; i < group; i++)
            read_query(c, w, &queries[i], i);
        for (size_t i = 0; i < group; i++)
            fetch_node(w, &c->slots[i]);
        for (size_t i = 0; i < group; i++)
            find_name(w, &queries[i], &c->slots[i]);
        for (size_t i = 0; i < group; i++)
            fetch_place(&c->slots[i]);
        for (size_t i = 0; i < group; i++)
            queries[i].out_bytes = compose(c, w, &queries[i], &c->slots[i]);
        queries += group;
        n -= group;
    }
}

/* ---- step 1 ---- */

static void count(struct answer_context *c, enum answer_counter counter)
{
    metrics_add(c->counters, counter, 1);
}

static void count_query(struct answer_context *c, const struct answer_query *io,
                        const struct slot *s)
{
    bool is_v6 = io->source->sa.sa_family == AF_INET6;

    /* The rows of transports stand in their order, two by two. */
    count(c, (enum answer_counter)(ANSWER_COUNTER_UDP4 + 2 * (unsigned)io->transport + is_v6));
    count(c, ANSWER_COUNTER_WIRE_OK + s->verdict);
    if (s->verdict == WIRE_OK && s->q.has_edns) {
        count(c, ANSWER_COUNTER_EDNS);
        if (s->q.ecs.is_present)
            count(c, ANSWER_COUNTER_ECS);
    }
}

static bool has_lookup(const struct world *w, const struct slot *s)
{
    return s->verdict == WIRE_OK && s->q.has_question && w != NULL;
}

static void read_query(struct answer_context *c, const struct world *w, struct answer_query *io,
                       size_t i)
{
    struct slot *s = &c->slots[i];

    if (unlikely(proxied_is_due(io, w)) && !proxied_take_header(w, io, &c->clients[i])) {
        count(c, ANSWER_COUNTER_UDP_DROP_PROXY);
        s->verdict = WIRE_DROP_RUNT;
        return;
    }
    s->verdict = wire_parse_query(&s->q, io->packet, io->packet_bytes);
    count_query(c, io, s);
    if (has_lookup(w, s))
        zone_prepare(w->zones, &s->q.qname, s->q.qtype, &s->lookup);
}

/* ---- step 2 ---- */

/* Whom the answer is for: the ECS prefix, else where the packet came from. SOURCE 0 asks that
 * neither be used (RFC 7871 section 7.1.2): NULL. */
static const struct ip *find_client(const struct answer_query *io, struct slot *s)
{
    if (s->q.ecs.is_present)
        return s->q.ecs.source_bits > 0 ? &s->q.ecs.address : NULL;
    addr_get_ip(io->source, &s->source);
    return &s->source;
}

/* The index slots are there by now: ask for the nodes that they name. */
static void fetch_node(const struct world *w, const struct slot *s)
{
    if (has_lookup(w, s) && s->lookup.zone != NULL)
        zone_fetch(&s->lookup);
}

static void find_name(const struct world *w, const struct answer_query *io, struct slot *s)
{
    s->map = NULL;
    if (!has_lookup(w, s))
        return;
    s->found =
        s->lookup.zone == NULL ? ZONE_NOT_OURS : zone_find(&s->lookup, &s->q.qname, s->q.qtype);
    if (unlikely(w->acme != NULL))
        s->found = acme_amend(w->acme, &s->lookup, &s->q.qname, s->q.qtype, s->found);
    if (s->found == ZONE_STEERED) {
        s->client = find_client(io, s);
        s->map = s->client == NULL ? NULL : w->services[s->lookup.node->service].map;
        if (s->map != NULL)
            geo_prefetch(s->map, s->client);
    } else if (s->found == ZONE_ANSWER) {
        __builtin_prefetch(s->lookup.rrset->wire);
    }
}

/* And where the client's place is looked for. */
static void fetch_place(const struct slot *s)
{
    if (s->map != NULL)
        geo_prefetch_leaf(s->map, s->client);
}

/* ---- step 3 ---- */

static void answer_question(struct answer_context *c, struct slot *s, struct message *m);

static enum answer_counter rcode_counter(enum wire_rcode rcode)
{
    static const uint8_t counters[] = {
        [WIRE_NOERROR] = ANSWER_COUNTER_NOERROR,   [WIRE_FORMERR] = ANSWER_COUNTER_FORMERR,
        [WIRE_SERVFAIL] = ANSWER_COUNTER_SERVFAIL, [WIRE_NXDOMAIN] = ANSWER_COUNTER_NXDOMAIN,
        [WIRE_NOTIMP] = ANSWER_COUNTER_NOTIMP,     [WIRE_REFUSED] = ANSWER_COUNTER_REFUSED,
        [WIRE_YXDOMAIN] = ANSWER_COUNTER_YXDOMAIN, [WIRE_NOTAUTH] = ANSWER_COUNTER_NOTAUTH,
        [WIRE_BADVERS] = ANSWER_COUNTER_BADVERS,   [WIRE_BADCOOKIE] = ANSWER_COUNTER_BADCOOKIE,
    };
    return counters[rcode];
}

static uint32_t compose(struct answer_context *c, const struct world *w, struct answer_query *io,
                        struct slot *s)
{
    enum guard_verdict guard = GUARD_PASS;
    struct message m;

    if (s->verdict == WIRE_DROP_RUNT || s->verdict == WIRE_DROP_RESPONSE)
        return 0;
    message_begin(&m, io, &s->q, w);
    if (unlikely(s->q.tsig_at != 0))
        message_accept_tsig(&m, &c->tsig, &s->q, w, c->counters);
    if (unlikely(guard_is_due(&s->q, w)))
        guard = guard_judge(&c->guard, &m, &s->q, w);
    if (unlikely(guard == GUARD_DROP)) {
        message_drop(&m);
        return 0;
    }
    if (unlikely(guard == GUARD_STOP) || unlikely(m.rcode != WIRE_NOERROR)) {
        ; /* m is what is due */
    } else if (unlikely(s->verdict == WIRE_TRANSFER)) {
        if (!has_failed(message_begin_transfer(&m, &s->q, w))) {
            count(c, ANSWER_COUNTER_NOERROR);
            return message_send_transfer(&m, io);
        }
    } else if (unlikely(s->verdict == WIRE_NOTIFY)) {
        message_take_notify(&m, &s->q, w, c->counters);
    } else if (s->verdict != WIRE_OK) {
        verdict_answer(&m, s->verdict, &s->q, w);
    } else if (unlikely(w == NULL)) {
        m.rcode = WIRE_SERVFAIL;
        m.ede = EDE_NOT_READY;
    } else if (s->q.has_question) {
        answer_question(c, s, &m);
    }
    count(c, rcode_counter(m.rcode));
    if (unlikely(m.is_truncated))
        count(c, ANSWER_COUNTER_TRUNCATED);
    return message_finish(&m, &s->q, w);
}

/* ---- the chain of names ---- */

static enum step answer_name(struct answer_context *c, struct slot *s, struct message *m);
static enum step add_answer(struct answer_context *c, struct slot *s, struct message *m);
static enum step add_steered(struct answer_context *c, struct slot *s, struct message *m,
                             bool is_v6);
static enum step add_cname(struct answer_context *c, struct slot *s, struct message *m);
static enum step add_dname(struct answer_context *c, struct slot *s, struct message *m);
static enum step add_referral(struct answer_context *c, struct slot *s, struct message *m);
static enum step add_negative(struct answer_context *c, struct slot *s, struct message *m);
static enum step add_any(struct answer_context *c, struct slot *s, struct message *m);

/* The next name of the chain; false: it has been answered, the chain is a loop. A name outside the
 * zone is not looked for, which leaves the last one's hash and ends the chain too. */
static bool find_link(struct answer_context *c, struct slot *s, const struct message *m)
{
    const struct acme_overlay *acme = m->world->acme;

    c->chain[c->n_chain++] = (struct link){s->lookup.hash, s->lookup.rrset};
    s->found = zone_find_next(&s->lookup, m->name, s->q.qtype);
    if (unlikely(acme != NULL))
        s->found = acme_amend(acme, &s->lookup, m->name, s->q.qtype, s->found);
    for (size_t i = 0; i < c->n_chain; i++) {
        if (c->chain[i].hash == s->lookup.hash)
            return false;
    }
    return true;
}

/* The RCODE is that of the last name, RFC 6604 section 3. A chain that leaves the zone, leads back
 * or is longer than CHAIN_MAX, is left to the resolver to follow. */
static void answer_question(struct answer_context *c, struct slot *s, struct message *m)
{
    enum step step;

    if (s->found == ZONE_NOT_OURS) {
        m->rcode = WIRE_REFUSED;
        m->ede = EDE_NOT_AUTHORITATIVE;
        return;
    }
    m->is_authoritative = true;
    m->apex_bytes = s->lookup.zone->apex.length;
    m->apex_at = (uint16_t)(WIRE_HEADER + s->q.qname.length - m->apex_bytes);
    c->n_chain = 0;
    if (unlikely(m->dnssec && s->lookup.zone->denial == ZONE_COMPACT)) {
        compact_begin(c->compact);
        m->compact = c->compact;
        m->is_compact = s->q.has_co;
    }
    step = answer_name(c, s, m);
    while (unlikely(step == STEP_FOLLOW) && c->n_chain + 1 < CHAIN_MAX && find_link(c, s, m))
        step = answer_name(c, s, m);
    if (unlikely(m->is_unproved))
        compact_refuse(m);
    else if (unlikely(step == STEP_FULL) || (unlikely(m->n_proofs > 0) && !dnssec_add_proofs(m)))
        message_truncate(m);
}

static enum step answer_name(struct answer_context *c, struct slot *s, struct message *m)
{
    if (unlikely(m->dnssec) && s->found != ZONE_STEERED)
        dnssec_prove(m, &s->lookup, s->found);
    switch (s->found) {
    case ZONE_ANSWER:
        return add_answer(c, s, m);
    case ZONE_STEERED:
        return add_steered(c, s, m, s->q.qtype == WIRE_AAAA);
    case ZONE_CNAME:
        return add_cname(c, s, m);
    case ZONE_DNAME:
        return add_dname(c, s, m);
    case ZONE_REFERRAL:
        return add_referral(c, s, m);
    case ZONE_NXDOMAIN:
        m->rcode = dnssec_absence_rcode(m, s->lookup.zone);
        return add_negative(c, s, m);
    case ZONE_NODATA:
        return add_negative(c, s, m);
    case ZONE_ANY:
        return add_any(c, s, m);
    case ZONE_NOT_OURS:
        break;
    }
    return STEP_DONE;
}

static uint16_t owner_at(const struct message *m)
{
    return message_suffix_at(m, m->name->length);
}

static uint64_t next_random(struct answer_context *c)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return c->random;
}

/* Addresses of an RRset have one size, so that they can be shuffled without being looked at. */
static bool is_round(const struct zone_rrset *r)
{
    return r->count > 1 && (r->type == WIRE_A || r->type == WIRE_AAAA);
}

/* The addresses of one target, from the first of the RRset's targets that names it. */
static bool has_earlier(const struct zone_rrset *r, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (r->targets[k].node == r->targets[i].node)
            return true;
    }
    return false;
}

/* false: something did not fit. rrset_at: where the RRset with the targets stands. */
static bool add_target(struct answer_context *c, struct slot *s, struct message *m,
                       const struct zone_target *t, uint32_t rrset_at)
{
    static const uint16_t types[] = {WIRE_A, WIRE_AAAA};
    uint32_t name_at = rrset_at + t->offset;
    bool is_whole = true;

    if (unlikely(t->node->service != ZONE_NO_SERVICE))
        return steered_add_target(m, t->node->service, find_client(m->io, s), name_at,
                                  next_random(c));
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        const struct zone_rrset *r = zone_node_rrset(t->node, types[i]);

        if (r != NULL && (name_at >= POINTER_LIMIT ||
                          !message_add_rrset(m, SECTION_ADDITIONAL, r, (uint16_t)name_at)))
            is_whole = false;
    }
    return is_whole;
}

static enum step add_all_round(struct answer_context *c, const struct zone_rrset *r,
                               struct message *m)
{
    struct message_round round = {.wire = r->wire,
                                  .sigs = r->wire + r->wire_bytes,
                                  .count = r->count,
                                  .n = r->count,
                                  .random = next_random(c),
                                  .sig_bytes = r->sig_bytes,
                                  .n_sigs = r->n_sigs,
                                  .is_v6 = r->type == WIRE_AAAA};

    return message_add_round(m, SECTION_ANSWER, &round, owner_at(m)) ? STEP_DONE : STEP_FULL;
}

static enum step add_answer(struct answer_context *c, struct slot *s, struct message *m)
{
    const struct zone_rrset *r = s->lookup.rrset;
    uint32_t rrset_at = m->at;

    if (is_round(r))
        return add_all_round(c, r, m);
    if (!message_add_rrset(m, SECTION_ANSWER, r, owner_at(m)) ||
        (unlikely(m->n_proofs > 0) && !dnssec_add_proofs(m)))
        return STEP_FULL;
    /* What does not fit here is left out in silence, RFC 2181 section 9. */
    for (size_t i = 0; unlikely(i < r->n_targets); i++) {
        if (!has_earlier(r, i))
            (void)add_target(c, s, m, &r->targets[i], rrset_at);
    }
    return STEP_DONE;
}

static void count_steered(struct answer_context *c, const struct slot *s,
                          const struct answer_steering *by)
{
    if (by->mode != WORLD_STEER)
        count(c, ANSWER_COUNTER_ALL_DOWN);
    if (by->reason == ANSWER_BY_LOCATION)
        count(c, s->q.ecs.is_present ? ANSWER_COUNTER_STEERED_ECS : ANSWER_COUNTER_STEERED_SOURCE);
    else if (by->reason == ANSWER_BY_DEFAULT)
        count(c, ANSWER_COUNTER_STEERED_DEFAULT);
}

static enum step add_missing(struct answer_context *c, struct slot *s, struct message *m,
                             bool is_v6)
{
    if (unlikely(m->dnssec))
        dnssec_prove_missing(m, &s->lookup, is_v6 ? WIRE_AAAA : WIRE_A);
    return add_negative(c, s, m);
}

/* A service that has no address of a family anywhere says so to everybody alike, scope 0; a region
 * that has none says it to its own clients (RFC 7871 section 7.4: what exists should not depend on
 * the network, and here it does only as far as the operator made it so). */
static enum step add_steered(struct answer_context *c, struct slot *s, struct message *m,
                             bool is_v6)
{
    uint16_t number = s->lookup.node->service;
    const struct world_service *service = &m->world->services[number];
    struct answer_steering by;
    struct message_round round;

    if (is_v6 ? !service->has_aaaa : !service->has_a)
        return add_missing(c, s, m, is_v6);
    by = answer_steer(m->world, number, s->map != NULL ? s->client : find_client(m->io, s));
    count_steered(c, s, &by);
    m->scope = by.scope;
    if (unlikely(by.mode != WORLD_STEER))
        message_explain(m, "every edge of this service is down");
    if (unlikely(by.mode == WORLD_REFUSE)) {
        m->rcode = WIRE_REFUSED;
        m->is_authoritative = false;
        return STEP_DONE;
    }
    if (unlikely(by.site == NULL))
        return add_missing(c, s, m, is_v6);
    round = steered_round(service, by.site, is_v6, next_random(c));
    if (round.n == 0)
        return add_missing(c, s, m, is_v6);
    if (unlikely(s->lookup.is_wildcard && m->dnssec))
        dnssec_prove(m, &s->lookup, ZONE_ANSWER);
    return message_add_round(m, SECTION_ANSWER, &round, owner_at(m)) ? STEP_DONE : STEP_FULL;
}

/* The other one of the two names than the message's current one. */
static struct wire_name *next_link(struct answer_context *c, const struct message *m)
{
    return m->name == &c->names[0] ? &c->names[1] : &c->names[0];
}

static enum step add_cname(struct answer_context *c, struct slot *s, struct message *m)
{
    struct wire_name *target = next_link(c, m);
    uint32_t cname_at = m->at;

    if (!message_add_rrset(m, SECTION_ANSWER, s->lookup.rrset, owner_at(m)))
        return STEP_FULL;
    zone_target_name(s->lookup.zone, s->lookup.rrset, target);
    m->name = target;
    m->name_at = (uint16_t)(cname_at + RECORD_HEAD);
    return STEP_FOLLOW;
}

/* A DNAME can lead below itself; it still stands in the answer once. */
static bool has_rrset(const struct answer_context *c, const struct zone_rrset *rrset)
{
    for (size_t i = 0; i < c->n_chain; i++) {
        if (c->chain[i].rrset == rrset)
            return true;
    }
    return false;
}

/* The DNAME itself and a CNAME made from it, with the same TTL (RFC 6672 section 3.1). */
static enum step add_dname(struct answer_context *c, struct slot *s, struct message *m)
{
    const struct zone_rrset *dname = s->lookup.rrset;
    uint8_t owner_bytes = s->lookup.node->name_bytes;
    struct wire_name *next = next_link(c, m), target;
    uint32_t cname_at;

    if (!has_rrset(c, dname) &&
        !message_add_rrset(m, SECTION_ANSWER, dname, message_suffix_at(m, owner_bytes)))
        return STEP_FULL;
    zone_target_name(s->lookup.zone, dname, &target);
    if (!answer_substitute(m->name, owner_bytes, &target, next)) {
        m->rcode = WIRE_YXDOMAIN;
        return STEP_DONE;
    }
    cname_at = m->at;
    if (!message_add_record(m, WIRE_CNAME, dname->ttl_s, next->bytes, next->length))
        return STEP_FULL;
    m->name = next;
    m->name_at = (uint16_t)(cname_at + RECORD_HEAD);
    return s->q.qtype == WIRE_CNAME || s->q.qtype == WIRE_ANY ? STEP_DONE : STEP_FOLLOW;
}

/* Glue below the cut is part of the referral; without all of it TC is due (RFC 9471 section 3.1).
 * Other addresses that the zone has for the child's name servers come as far as they fit. */
static enum step add_referral(struct answer_context *c, struct slot *s, struct message *m)
{
    const struct zone_node *cut = s->lookup.node;
    const struct zone_rrset *ns = s->lookup.rrset;
    uint32_t ns_at = m->at;

    if (m->counts[SECTION_ANSWER] == 0)
        m->is_authoritative = false;
    count(c, ANSWER_COUNTER_REFERRAL);
    if (!message_add_rrset(m, SECTION_AUTHORITY, ns, message_suffix_at(m, cut->name_bytes)) ||
        (unlikely(m->dnssec) && !dnssec_add_delegation(m, cut)))
        return STEP_FULL;
    for (int is_required = 1; is_required >= 0; is_required--) {
        for (size_t i = 0; i < ns->n_targets; i++) {
            const struct zone_target *t = &ns->targets[i];

            if ((t->node->cut == cut) == is_required && !has_earlier(ns, i) &&
                !add_target(c, s, m, t, ns_at) && is_required)
                return STEP_FULL;
        }
    }
    return STEP_DONE;
}

static enum step add_negative(struct answer_context *c, struct slot *s, struct message *m)
{
    if (unlikely(!zone_is_available(s->lookup.zone))) {
        message_say_absent(m, s->lookup.zone);
        return STEP_DONE;
    }
    if (m->rcode == WIRE_NOERROR)
        count(c, ANSWER_COUNTER_NODATA);
    return message_add_rrset(m, SECTION_AUTHORITY, s->lookup.zone->negative_soa, m->apex_at) &&
                   (likely(m->n_proofs == 0) || dnssec_add_proofs(m))
               ? STEP_DONE
               : STEP_FULL;
}

/* One RRset of those that are there (RFC 8482 section 4.1), or one's signatures. Where the name has
 * only a service, the HINFO of section 4.2; it has no signature, so in a signed zone one of the
 * service's RRsets. */
static enum step add_any(struct answer_context *c, struct slot *s, struct message *m)
{
    static const uint8_t rfc8482[] = "\x07RFC8482"; /* and an empty string, its final zero */

    if (s->q.qtype == WIRE_RRSIG)
        return dnssec_add_signatures(m, s->lookup.rrset) ? STEP_DONE : STEP_FULL;
    if (s->lookup.rrset != NULL)
        return add_answer(c, s, m);
    if (s->lookup.zone->denial != ZONE_UNSIGNED)
        return add_steered(c, s, m, !m->world->services[s->lookup.node->service].has_a);
    return message_add_record(m, HINFO, ANY_TTL_S, rfc8482, sizeof(rfc8482)) ? STEP_DONE
                                                                             : STEP_FULL;
}

/* ---- the context ---- */

struct answer_context *answer_context_new(const struct snapshot_slot *world,
                                          struct metrics_block *counters)
{
    struct answer_context *c = base_zalloc(1, sizeof(*c));

    c->world = world;
    c->counters = counters;
    c->guard.counters = counters;
    c->compact = compact_new(counters);
    if (getrandom(&c->random, sizeof(c->random), GRND_NONBLOCK) != sizeof(c->random))
        c->random = (uint64_t)(uintptr_t)c;
    c->random |= 1; /* never zero, or it would stay so */
    return c;
}

void answer_context_free(struct answer_context *c)
{
    if (c == NULL)
        return;
    compact_free(c->compact);
    free(c);
}
