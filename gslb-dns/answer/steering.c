/* SPDX-License-Identifier: BSD-2-Clause */
/* Which site a client is sent to, for queries and for explain. */
#include "gslb-dns/answer/answer_internal.h"

#include "common/clock/clock.h"

#include <string.h>

struct steer_draw answer_draw(const struct world_service *s, const struct ip *client)
{
    struct steer_draw draw = {.prefix = steer_draw_prefix(client)};

    if (steer_is_rotating(s->steer))
        draw.window = (uint64_t)clock_wall_s() / (s->ttl_s > 0 ? s->ttl_s : 1);
    return draw;
}

/* What was drawn holds for the prefix that drew. */
struct drawn {
    uint16_t region;
    uint8_t bits;
};

/* By value, so that those who do not draw keep their answer in registers. */
static __attribute__((cold, noinline)) struct drawn
draw_region(const struct world_service *s, const struct world_service_view *view,
            const struct ip *client, uint32_t class_id)
{
    struct steer_draw draw = answer_draw(s, client);
    struct drawn d = {0};
    bool has_drawn;

    d.region = steer_pick_drawn(s->steer, class_id, view->usable, &draw, &has_drawn);
    if (has_drawn && client != NULL)
        d.bits = client->family == 4 ? STEER_DRAW_BITS_V4 : STEER_DRAW_BITS_V6;
    return d;
}

/* The site is chosen before anybody asks which family is wanted: a region that lacks the family
 * asked for gives NODATA rather than another region, so that A and AAAA agree. */
struct answer_steering answer_steer(const struct world *w, uint16_t service,
                                    const struct ip *client)
{
    const struct world_service *s = &w->services[service];
    const struct world_service_view *view = &w->views[service];
    struct answer_steering r = {
        .reason = ANSWER_BY_NOTHING, .mode = view->mode, .region = STEER_NONE};

    if (unlikely(view->mode == WORLD_NODATA || view->mode == WORLD_REFUSE))
        return r;
    if (unlikely(view->mode == WORLD_FALLBACK)) {
        r.reason = ANSWER_BY_FALLBACK;
        r.site = &view->sites[0];
        return r;
    }
    if (s->map != NULL && client != NULL) {
        struct geo_class found = geo_find(s->map, client);
        r.class_id = found.class_id;
        r.scope = found.scope;
    }
    if (unlikely(s->is_drawn)) {
        struct drawn d = draw_region(s, view, client, r.class_id);

        r.region = d.region;
        r.scope = r.scope > d.bits ? r.scope : d.bits;
    } else {
        r.region = steer_pick(s->steer, r.class_id, view->usable);
    }
    if (r.region == STEER_NONE)
        return r;
    r.reason = r.class_id == 0 ? ANSWER_BY_DEFAULT : ANSWER_BY_LOCATION;
    r.site = &view->sites[r.region];
    return r;
}

struct message_round steered_round(const struct world_service *service,
                                   const struct world_site *site, bool is_v6, uint64_t random)
{
    const struct world_addresses *a = is_v6 ? &site->aaaa : &site->a;
    size_t record_bytes = is_v6 ? WORLD_AAAA_BYTES : WORLD_A_BYTES;
    struct message_round r = {.wire = a->wire,
                              .count = a->count,
                              .n = a->count < service->max_addresses ? a->count
                                                                     : service->max_addresses,
                              .sig_bytes = a->sig_bytes,
                              .n_sigs = a->n_sigs,
                              .is_v6 = is_v6};

    message_draw_round(&r, random);
    r.sigs = a->wire + a->count * record_bytes + r.first * a->sig_bytes;
    return r;
}

/* RFC 9460 section 4.1: the same choice as an answer to A or AAAA of the target. It depends on the
 * client as that one does, and so does the scope of the whole message (RFC 7871 section 7.2.1). */
bool steered_add_target(struct message *m, uint16_t service, const struct ip *client,
                        uint32_t name_at, uint64_t random)
{
    struct answer_steering by = answer_steer(m->world, service, client);
    bool is_whole = true;

    if (by.site == NULL)
        return true;
    m->scope = by.scope > m->scope ? by.scope : m->scope;
    for (int is_v6 = 0; is_v6 <= 1; is_v6++) {
        struct message_round r =
            steered_round(&m->world->services[service], by.site, is_v6 != 0, random);

        if (r.n > 0 && (name_at >= POINTER_LIMIT ||
                        !message_add_round(m, SECTION_ADDITIONAL, &r, (uint16_t)name_at)))
            is_whole = false;
    }
    return is_whole;
}

bool answer_substitute(const struct wire_name *name, uint8_t owner_bytes,
                       const struct wire_name *target, struct wire_name *out)
{
    size_t kept = (size_t)(name->length - owner_bytes);
    uint8_t wire[2 * WIRE_NAME_MAX];

    memcpy(wire, name->bytes, kept);
    memcpy(wire + kept, target->bytes, target->length);
    return kept + target->length <= WIRE_NAME_MAX &&
           wire_name_read(wire, kept + target->length, out);
}

/* The next name of a chain; false: this one is its end. */
static bool follow(const struct zone_lookup *lookup, enum zone_verdict verdict,
                   struct wire_name *name)
{
    struct wire_name target, from = *name;

    if (verdict != ZONE_CNAME && verdict != ZONE_DNAME)
        return false;
    zone_target_name(lookup->zone, lookup->rrset, &target);
    if (verdict == ZONE_DNAME)
        return answer_substitute(&from, lookup->node->name_bytes, &target, name);
    *name = target;
    return true;
}

void answer_explain(const struct world *w, const struct wire_name *name, uint16_t qtype,
                    const struct ip *client, struct answer_explanation *out)
{
    struct zone_lookup lookup;

    *out = (struct answer_explanation){.name = *name, .service = ZONE_NO_SERVICE};
    zone_prepare(w->zones, name, qtype, &lookup);
    out->verdict = lookup.zone == NULL ? ZONE_NOT_OURS : zone_find(&lookup, &out->name, qtype);
    for (int links = 1; links < CHAIN_MAX && follow(&lookup, out->verdict, &out->name); links++)
        out->verdict = zone_find_next(&lookup, &out->name, qtype);
    out->zone = lookup.zone;
    if (out->verdict != ZONE_STEERED)
        return;
    out->service = lookup.node->service;
    out->steering = answer_steer(w, out->service, client);
}
