/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A transfer is a walk: the SOA, each record of each node, those of steered names, the SOA again.
 * Where it stands is told by a few numbers, so that a message ends where the next record does not
 * fit and the next one goes on there.
 *
 * In each message the question stands first, its name is the apex, and all that ends in the apex
 * points there: the RRsets of a zone are made for that.
 */
#include "gslb-dns/transfer/transfer.h"

#include "common/bytes/bytes.h"
#include "common/clock/clock.h"
#include "common/metrics/metrics.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECORD_HEAD = 10, /* type, class, TTL, length of RDATA */
    OWNER_POINTER = 2,
    POINTER_BITS = 0xc000,
    APEX_POINTER = POINTER_BITS | WIRE_HEADER,
    OPT_BYTES = 11,
    UNDER_WAY_MAX = 100, /* of all clients together */
    MESSAGE_MAX = 65535,
};

enum part { PART_FIRST_SOA, PART_NODES, PART_STEERED, PART_LAST_SOA, PART_END };

/* A steered name as it goes out: records with the owner 0xC00C. */
struct steered {
    const struct wire_name *name; /* the zone's source of services holds it */
    uint32_t records_at, records_bytes;
};

struct answer_stream {
    const struct zone *zone;
    struct tsig_session tsig;
    enum part part;
    size_t slot;                  /* where in the zone's nodes */
    const struct zone_node *node; /* NULL: the next one is due */
    unsigned rrset, fixup;
    uint32_t record_at; /* in the RRset's wire */
    struct steered *steered;
    size_t n_steered, i_steered;
    uint32_t steered_at;
    uint8_t *steered_wire;
    struct wire_name *steered_names;
    bool is_single; /* the SOA alone says all */
    bool has_edns, has_sent;
    uint16_t id;
    uint8_t flags_high;
    uint16_t question_bytes;
    uint8_t question[WIRE_NAME_MAX + 4];
};

static struct {
    _Atomic uint64_t begun, finished, abandoned, refused, bytes, under_way;
} totals;

struct transfer_counters transfer_count(void)
{
    return (struct transfer_counters){totals.begun,   totals.finished, totals.abandoned,
                                      totals.refused, totals.bytes,    totals.under_way};
}

void transfer_write_metrics(struct text *out)
{
    struct transfer_counters c = transfer_count();
    const char *family = "gslb_dns_transfers_total";

    metrics_write_head(out, family, "counter", "Outgoing zone transfers, by outcome.");
    text_addf(out, "%s{outcome=\"finished\"} %" PRIu64 "\n", family, c.finished);
    text_addf(out, "%s{outcome=\"abandoned\"} %" PRIu64 "\n", family, c.abandoned);
    text_addf(out, "%s{outcome=\"refused\"} %" PRIu64 "\n", family, c.refused);
    metrics_write_head(out, "gslb_dns_transfers_under_way", "gauge",
                       "Outgoing zone transfers that are under way.");
    text_addf(out, "gslb_dns_transfers_under_way %" PRIu64 "\n", c.under_way);
    metrics_write_head(out, "gslb_dns_transfer_bytes_total", "counter",
                       "Bytes of outgoing zone transfers.");
    text_addf(out, "gslb_dns_transfer_bytes_total %" PRIu64 "\n", c.bytes);
}

/* ---- who may ---- */

bool transfer_is_peer(const struct world_peer *peers, size_t n, const struct addr *source,
                      const struct tsig_session *tsig)
{
    struct ip ip = addr_ip(source);

    for (size_t i = 0; i < n; i++) {
        const struct world_peer *p = &peers[i];
        const struct wire_name *key = p->key != NULL ? tsig_key_name(p->key) : NULL;

        if (p->from.ip.family != 0 && !prefix_has(&p->from, &ip))
            continue;
        if (key == NULL || (tsig != NULL && tsig->key.length == key->length &&
                            memcmp(tsig->key.bytes, key->bytes, key->length) == 0))
            return true;
    }
    return false;
}

static int by_apex(const void *key, const void *item)
{
    const struct wire_name *a = key, *b = &((const struct world_zone *)item)->zone->apex;

    return world_compare_apexes(a, b);
}

const struct world_zone *transfer_find_zone(const struct world *w, const struct wire_name *apex)
{
    return bsearch(apex, w->zone_list, w->n_zones, sizeof(w->zone_list[0]), by_apex);
}

/* ---- the beginning ---- */

/* The serial that the client has: of the SOA in the authority section (RFC 1995 section 3). */
static bool read_client_serial(const struct transfer_request *r, uint32_t *out)
{
    struct reader in = reader_of(r->packet, r->packet_bytes);
    const uint8_t *fixed;

    if (bytes_get_u16(r->packet + 6) != 0 || bytes_get_u16(r->packet + 8) != 1)
        return false;
    in.p += WIRE_HEADER + r->query->question_bytes;
    if (!wire_skip_name(&in, r->packet) || (fixed = reader_take(&in, RECORD_HEAD)) == NULL ||
        bytes_get_u16(fixed) != WIRE_SOA)
        return false;
    if (!wire_skip_name(&in, r->packet) || !wire_skip_name(&in, r->packet))
        return false;
    *out = reader_u32(&in);
    return !in.is_bad;
}

/* RFC 1982: is what the client has as new as ours, or newer? */
static bool is_current(uint32_t client, uint32_t ours)
{
    return (int32_t)(client - ours) >= 0;
}

static size_t whole_bytes(const struct world_addresses *a, size_t record_bytes)
{
    return a->count > 0 ? a->count * record_bytes + a->sig_bytes : 0;
}

/* Copied, since the world that they are in is gone before the transfer is. */
static void add_addresses(struct writer *w, const struct world_addresses *a, size_t record_bytes)
{
    writer_add(w, a->wire, whole_bytes(a, record_bytes));
}

static void take_steered(struct answer_stream *s, const struct world *w, const struct world_zone *z)
{
    size_t bytes = 0;
    struct writer out;

    if (z->omits_steered || z->n_services == 0)
        return;
    for (size_t i = 0; i < z->n_services; i++) {
        const struct world_site *whole = &w->views[z->services[i].service].whole;

        bytes += whole_bytes(&whole->a, WORLD_A_BYTES);
        bytes += whole_bytes(&whole->aaaa, WORLD_AAAA_BYTES);
    }
    s->steered = base_zalloc(z->n_services, sizeof(s->steered[0]));
    s->steered_names = base_alloc(z->n_services * sizeof(s->steered_names[0]));
    s->steered_wire = base_alloc(bytes + 1);
    out = writer_of(s->steered_wire, bytes);
    for (size_t i = 0; i < z->n_services; i++) {
        const struct world_site *whole = &w->views[z->services[i].service].whole;
        struct steered *x = &s->steered[s->n_steered++];

        s->steered_names[i] = z->services[i].name;
        x->name = &s->steered_names[i];
        x->records_at = (uint32_t)(out.p - s->steered_wire);
        add_addresses(&out, &whole->a, WORLD_A_BYTES);
        add_addresses(&out, &whole->aaaa, WORLD_AAAA_BYTES);
        x->records_bytes = (uint32_t)(out.p - s->steered_wire) - x->records_at;
    }
}

static enum transfer_verdict begin(const struct transfer_request *r, const struct world_zone *z,
                                   bool is_single, struct answer_stream **out)
{
    struct answer_stream *s;

    if (!is_single && totals.under_way >= UNDER_WAY_MAX)
        return TRANSFER_BUSY;
    s = base_zalloc(1, sizeof(*s));
    s->zone = zone_hold(z->zone);
    s->is_single = is_single;
    s->has_edns = r->query->has_edns;
    s->id = r->query->id;
    s->flags_high = r->query->flags_high;
    s->question_bytes = r->query->question_bytes;
    memcpy(s->question, r->packet + WIRE_HEADER, s->question_bytes);
    if (!is_single)
        take_steered(s, r->world, z);
    if (r->tsig != NULL) {
        s->tsig = *r->tsig;
        r->tsig->mac = NULL;
    }
    totals.begun++;
    totals.under_way++;
    *out = s;
    return TRANSFER_BEGUN;
}

static enum transfer_verdict judge(const struct transfer_request *r, struct answer_stream **out)
{
    bool is_ixfr = r->query->qtype == WIRE_IXFR;
    const struct world_zone *z;
    uint32_t client;

    if (!r->is_stream && !is_ixfr)
        return TRANSFER_BY_TCP;
    z = transfer_find_zone(r->world, &r->query->qname);
    if (z == NULL)
        return TRANSFER_NOT_OURS;
    if (!transfer_is_peer(z->transfer, z->n_transfer, r->source, r->tsig))
        return TRANSFER_FORBIDDEN;
    if (!zone_is_available(z->zone))
        return TRANSFER_NO_DATA;
    if (!is_ixfr)
        return begin(r, z, false, out);
    if (!read_client_serial(r, &client))
        return TRANSFER_MALFORMED;
    /* By UDP the SOA alone says: ask by TCP (RFC 1995 section 2). */
    return begin(r, z, !r->is_stream || is_current(client, z->zone->serial), out);
}

enum transfer_verdict transfer_begin(const struct transfer_request *r, struct answer_stream **out)
{
    enum transfer_verdict v = judge(r, out);

    if (v != TRANSFER_BEGUN)
        totals.refused++;
    return v;
}

/* ---- a message ---- */

struct message {
    uint8_t *out;
    uint32_t at, limit;
    uint16_t count;
    const struct zone_node *owner; /* of the records written last; NULL: none */
    uint16_t owner_at;             /* where its name stands; 0: nowhere yet */
};

/* The labels above the apex, then a pointer to it. */
static uint32_t put_name(const struct answer_stream *s, uint8_t *p, const uint8_t *name,
                         uint32_t name_bytes)
{
    uint32_t own = name_bytes - s->zone->apex.length;

    memcpy(p, name, own);
    bytes_put_u16(p + own, APEX_POINTER);
    return own + OWNER_POINTER;
}

/* Of a record that stands in the ready-made form: at record, bytes long with its owner's pointer.
 * NULL: it does not fit. Else where its type is. */
static uint8_t *put_record(struct answer_stream *s, struct message *m, const uint8_t *name,
                           uint32_t name_bytes, const uint8_t *record, uint32_t bytes)
{
    uint32_t own = name_bytes - s->zone->apex.length;
    uint32_t owner = m->owner_at != 0 ? OWNER_POINTER : own + OWNER_POINTER;
    uint8_t *p = m->out + m->at;

    if (m->at + owner + bytes - OWNER_POINTER > m->limit)
        return NULL;
    if (m->owner_at != 0)
        bytes_put_u16(p, (uint16_t)(POINTER_BITS | m->owner_at));
    else
        put_name(s, p, name, name_bytes);
    if (m->owner_at == 0 && m->at < 0x4000)
        m->owner_at = own == 0 ? WIRE_HEADER : (uint16_t)m->at;
    memcpy(p + owner, record + OWNER_POINTER, bytes - OWNER_POINTER);
    m->at += owner + bytes - OWNER_POINTER;
    m->count++;
    return p + owner;
}

static uint32_t record_bytes(const uint8_t *record)
{
    return OWNER_POINTER + RECORD_HEAD + bytes_get_u16(record + OWNER_POINTER + RECORD_HEAD - 2u);
}

/* One record of an RRset, with its pointers to the apex set right; false: it does not fit. */
static bool put_of_rrset(struct answer_stream *s, struct message *m, const struct zone_node *node,
                         const struct zone_rrset *r)
{
    uint32_t at = s->record_at, bytes = record_bytes(r->wire + at);
    uint8_t *to = put_record(s, m, node->name, node->name_bytes, r->wire + at, bytes);

    if (to == NULL)
        return false;
    for (; s->fixup < r->n_fixups && r->fixups[s->fixup] < at + bytes; s->fixup++)
        bytes_put_u16(to + r->fixups[s->fixup] - at - OWNER_POINTER, APEX_POINTER);
    s->record_at += bytes;
    return true;
}

static bool put_soa(struct answer_stream *s, struct message *m)
{
    s->record_at = 0;
    s->fixup = 0;
    m->owner_at = 0;
    return put_of_rrset(s, m, s->zone->root, s->zone->soa);
}

/* All of an RRset that is left, then its signatures; false: the message is full. */
static bool put_rrset(struct answer_stream *s, struct message *m, const struct zone_rrset *r)
{
    while (s->record_at < (uint32_t)r->wire_bytes + r->sig_bytes)
        if (!put_of_rrset(s, m, s->node, r))
            return false;
    s->rrset++;
    s->record_at = 0;
    s->fixup = 0;
    return true;
}

static bool put_node(struct answer_stream *s, struct message *m)
{
    while (s->rrset < s->node->n_rrsets) {
        const struct zone_rrset *r = &s->node->rrsets[s->rrset];

        if (r == s->zone->soa && s->record_at < r->wire_bytes) {
            s->record_at = r->wire_bytes; /* it frames the transfer; its signatures stand here */
            s->fixup = r->n_fixups;
        }
        if (!put_rrset(s, m, r))
            return false;
    }
    return true;
}

static bool put_nodes(struct answer_stream *s, struct message *m)
{
    for (;;) {
        if (s->node == NULL) {
            s->node = zone_next_node(s->zone, &s->slot);
            s->rrset = 0;
            s->record_at = 0;
            s->fixup = 0;
            m->owner_at = 0;
        }
        if (s->node == NULL)
            return true;
        if (!put_node(s, m))
            return false;
        s->node = NULL;
    }
}

static bool put_steered(struct answer_stream *s, struct message *m)
{
    for (; s->i_steered < s->n_steered; s->i_steered++) {
        const struct steered *x = &s->steered[s->i_steered];

        m->owner_at = 0;
        while (s->steered_at < x->records_bytes) {
            const uint8_t *record = s->steered_wire + x->records_at + s->steered_at;

            if (put_record(s, m, x->name->bytes, x->name->length, record, record_bytes(record)) ==
                NULL)
                return false;
            s->steered_at += record_bytes(record);
        }
        s->steered_at = 0;
    }
    return true;
}

/* Each part in turn until one does not fit. */
static void put_parts(struct answer_stream *s, struct message *m)
{
    bool has_room = true;

    while (has_room && s->part != PART_END) {
        switch (s->part) {
        case PART_FIRST_SOA:
            has_room = put_soa(s, m);
            s->record_at = 0;
            s->fixup = 0;
            break;
        case PART_NODES:
            has_room = put_nodes(s, m);
            break;
        case PART_STEERED:
            has_room = put_steered(s, m);
            break;
        case PART_LAST_SOA:
            has_room = put_soa(s, m);
            break;
        case PART_END:
            break;
        }
        if (has_room)
            s->part = s->is_single ? PART_END : s->part + 1;
    }
}

/* RFC 5936 section 2.2.5: an OPT in the first message is enough. */
static void put_opt(struct message *m)
{
    uint8_t *p = m->out + m->at;

    memset(p, 0, OPT_BYTES);
    bytes_put_u16(p + 1, WIRE_OPT);
    bytes_put_u16(p + 3, 1232);
    m->at += OPT_BYTES;
}

static void put_header(const struct answer_stream *s, const struct message *m, bool has_opt)
{
    enum { QR_AA = 0x84, RD = 0x01 };
    uint8_t *p = m->out;

    memset(p, 0, WIRE_HEADER);
    bytes_put_u16(p, s->id);
    p[2] = (uint8_t)(QR_AA | (s->flags_high & RD));
    bytes_put_u16(p + 4, 1);
    bytes_put_u16(p + 6, m->count);
    bytes_put_u16(p + 10, has_opt);
}

static void free_stream(struct answer_stream *s)
{
    tsig_end(&s->tsig);
    zone_release(s->zone);
    free(s->steered);
    free(s->steered_names);
    free(s->steered_wire);
    free(s);
    totals.under_way--;
}

bool transfer_is_done(const struct answer_stream *s)
{
    return s->part == PART_END;
}

uint32_t transfer_next(struct answer_stream *s, uint8_t *out, uint32_t cap)
{
    struct message m = {.out = out, .at = WIRE_HEADER + s->question_bytes};
    bool has_opt = s->has_edns && !s->has_sent;

    if (transfer_is_done(s)) {
        totals.finished++;
        free_stream(s);
        return 0;
    }
    m.limit = cap < MESSAGE_MAX ? cap : MESSAGE_MAX;
    m.limit -= has_opt ? OPT_BYTES : 0;
    m.limit -= s->tsig.mac != NULL ? (uint32_t)tsig_room(&s->tsig) : 0;
    memcpy(out + WIRE_HEADER, s->question, s->question_bytes);
    put_parts(s, &m);
    ensure(m.count > 0); /* check_draft lets no record be longer than a message */
    if (has_opt)
        put_opt(&m);
    put_header(s, &m, has_opt);
    s->has_sent = true;
    if (s->tsig.mac != NULL)
        m.at = (uint32_t)tsig_sign(&s->tsig, out, m.at, (uint64_t)clock_wall_s());
    totals.bytes += m.at;
    return m.at;
}

void transfer_abandon(struct answer_stream *s)
{
    if (transfer_is_done(s))
        totals.finished++;
    else
        totals.abandoned++;
    free_stream(s);
}
