/* SPDX-License-Identifier: BSD-2-Clause */
/* Who gets what: a transfer is begun here, and written elsewhere (message.c). */
#include "common/bytes/bytes.h"
#include "common/metrics/metrics.h"
#include "gslb-dns/transfer/transfer_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECORD_HEAD = 10,    /* type, class, TTL, length of RDATA */
    UNDER_WAY_MAX = 100, /* of all clients together */
};

static struct {
    _Atomic uint64_t begun, finished, abandoned, refused, bytes, under_way, incremental;
} totals;

struct transfer_counters transfer_count(void)
{
    return (struct transfer_counters){
        .begun = totals.begun,
        .finished = totals.finished,
        .abandoned = totals.abandoned,
        .refused = totals.refused,
        .incremental = totals.incremental,
        .bytes = totals.bytes,
        .under_way = totals.under_way,
    };
}

void transfer_write_metrics(struct text *out)
{
    struct transfer_counters c = transfer_count();
    const char *family = "gslb_dns_transfers_total";

    metrics_write_head(out, family, "counter", "Outgoing zone transfers, by outcome.");
    text_addf(out, "%s{outcome=\"finished\"} %" PRIu64 "\n", family, c.finished);
    text_addf(out, "%s{outcome=\"abandoned\"} %" PRIu64 "\n", family, c.abandoned);
    text_addf(out, "%s{outcome=\"refused\"} %" PRIu64 "\n", family, c.refused);
    metrics_write_head(out, "gslb_dns_incremental_transfers_total", "counter",
                       "Outgoing zone transfers of what changed alone (IXFR, RFC 1995).");
    text_addf(out, "gslb_dns_incremental_transfers_total %" PRIu64 "\n", c.incremental);
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

/* Takes over the walk; NULL: the zone goes out, or its SOA alone. */
static enum transfer_verdict begin(const struct transfer_request *r, const struct world_zone *z,
                                   bool is_single, struct history_walk *walk,
                                   struct answer_stream **out)
{
    struct answer_stream *s;

    if (!is_single && totals.under_way >= UNDER_WAY_MAX) {
        history_walk_free(walk);
        return TRANSFER_BUSY;
    }
    s = base_zalloc(1, sizeof(*s));
    s->zone = zone_hold(z->zone);
    s->is_single = is_single;
    s->is_one_message = !r->is_stream;
    s->walk = walk;
    s->has_edns = r->query->has_edns;
    s->id = r->query->id;
    s->flags_high = r->query->flags_high;
    s->question_bytes = r->query->question_bytes;
    memcpy(s->question, r->packet + WIRE_HEADER, s->question_bytes);
    if (!is_single && walk == NULL)
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

/* NULL: by UDP that the client shall ask by TCP, else that it gets the zone. What services give is
 * known of a version only while all of it is given. */
static struct history_walk *find_way(const struct transfer_request *r, const struct world_zone *z,
                                     uint32_t client)
{
    if (z->history == NULL || !world_sends_all(r->world, z))
        return NULL;
    return history_walk_new(z->history, client);
}

static enum transfer_verdict begin_ixfr(const struct transfer_request *r,
                                        const struct world_zone *z, struct answer_stream **out)
{
    struct history_walk *walk;
    uint32_t client;

    if (!read_client_serial(r, &client))
        return TRANSFER_MALFORMED;
    if (is_current(client, z->zone->serial))
        return begin(r, z, true, NULL, out);
    walk = find_way(r, z, client);
    return begin(r, z, walk == NULL && !r->is_stream, walk, out);
}

static enum transfer_verdict judge(const struct transfer_request *r, struct answer_stream **out)
{
    bool is_ixfr = r->query->qtype == WIRE_IXFR;
    const struct world_zone *z;

    if (!r->is_stream && !is_ixfr)
        return TRANSFER_BY_TCP;
    z = transfer_find_zone(r->world, &r->query->qname);
    if (z == NULL)
        return TRANSFER_NOT_OURS;
    if (!transfer_is_peer(z->transfer, z->n_transfer, r->source, r->tsig))
        return TRANSFER_FORBIDDEN;
    if (!zone_is_available(z->zone))
        return TRANSFER_NO_DATA;
    return is_ixfr ? begin_ixfr(r, z, out) : begin(r, z, false, NULL, out);
}

enum transfer_verdict transfer_begin(const struct transfer_request *r, struct answer_stream **out)
{
    enum transfer_verdict v = judge(r, out);

    if (v != TRANSFER_BEGUN)
        totals.refused++;
    return v;
}

/* ---- its life ---- */

static void free_stream(struct answer_stream *s)
{
    tsig_end(&s->tsig);
    history_walk_free(s->walk);
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
    uint32_t n;

    if (transfer_is_done(s)) {
        totals.finished++;
        free_stream(s);
        return 0;
    }
    n = transfer_write_message(s, out, cap);
    totals.bytes += n;
    totals.incremental += transfer_is_done(s) && s->walk != NULL && !s->is_single;
    return n;
}

void transfer_abandon(struct answer_stream *s)
{
    if (transfer_is_done(s))
        totals.finished++;
    else
        totals.abandoned++;
    free_stream(s);
}
