/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/explain/explain_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* "192.0.2.1" or "192.0.2.0/24": the address that geo looks up. */
struct outcome explain_read_client(const char *text, struct ip *out, struct text *error)
{
    struct prefix prefix;

    if (prefix_parse(str_of(text), &prefix)) {
        *out = prefix.ip;
        return OUTCOME_OK;
    }
    text_addf(error, "'%s' is neither an IP address nor a prefix such as 192.0.2.0/24", text);
    return OUTCOME_FAILED;
}

/* What a name is that leads to no service. */
static void say_unsteered(const struct answer_explanation *x, const char *name, struct text *error)
{
    char zone[WIRE_NAME_TEXT], last[WIRE_NAME_TEXT];

    if (x->zone == NULL) {
        text_addf(error, "no zone served here contains %s", name);
        return;
    }
    wire_name_format(x->zone->apex.bytes, zone);
    wire_name_format(x->name.bytes, last);
    switch (x->verdict) {
    case ZONE_NXDOMAIN:
        text_addf(error, "%s is no steered name: it does not exist in the zone %s", last, zone);
        break;
    case ZONE_REFERRAL:
        text_addf(error, "%s is no steered name: the zone %s delegates it away", last, zone);
        break;
    case ZONE_NOT_OURS:
        text_addf(error, "%s leads to %s, which the zone %s does not contain: resolvers ask on",
                  name, last, zone);
        break;
    case ZONE_CNAME:
    case ZONE_DNAME:
        text_addf(error, "%s leads to more names than one answer holds, or to one that is too long",
                  name);
        break;
    default:
        text_addf(error, "%s is no steered name: it answers from the zone file of %s", last, zone);
    }
}

/* The service behind a name, directly or by way of other names. */
struct outcome explain_find_service(const struct explain_world *w, const char *name,
                                    const struct ip *client, struct answer_explanation *out,
                                    struct text *error)
{
    struct wire_name wire;

    if (!wire_name_parse(str_of(name), &wire)) {
        text_addf(error, "'%s' is not a domain name", name);
        return OUTCOME_FAILED;
    }
    answer_explain(w->world, &wire, WIRE_A, client, out);
    if (out->verdict == ZONE_STEERED)
        return OUTCOME_OK;
    say_unsteered(out, name, error);
    return OUTCOME_FAILED;
}

/* The name asked about, when other names led from it to the service. */
static const char *tell_asked(const char *name, const struct answer_explanation *x,
                              struct arena *arena)
{
    struct wire_name wire;

    if (!wire_name_parse(str_of(name), &wire) ||
        (wire.length == x->name.length && memcmp(wire.bytes, x->name.bytes, wire.length) == 0))
        return NULL;
    return arena_strndup(arena, name, strlen(name));
}

/* Where the database has this client; why it is nowhere, or NULL. */
static const char *locate(struct geo_db *db, const struct ip *client, struct geo_location *where)
{
    unsigned prefix_bits;
    bool is_found;

    if (db == NULL)
        return "no database is configured";
    if (has_failed(geo_wake(db))) {
        geo_rest(db);
        return "the database was written to since it was loaded; reload, then ask again";
    }
    is_found = geo_locate(db, client, where, &prefix_bits);
    geo_rest(db);
    return is_found ? NULL : "not in the database";
}

/* Is anything known? */
static bool tell_location(const struct explain_world *w, const struct ip *client,
                          struct geo_location *where, struct arena *arena,
                          struct control_explain *out)
{
    *where = (struct geo_location){0};
    out->location_source = locate(generation_geo(w->generation), client, where);
    if (out->location_source != NULL)
        return false;
    out->country = arena_strndup(arena, where->country, strlen(where->country));
    out->location_source = "country known, its place is not";
    if (!where->has_coordinates)
        return true;
    out->has_location = true;
    out->latitude = where->latitude;
    out->longitude = where->longitude;
    out->location_source = where->is_country_center ? "database: the country's population centre"
                                                    : "database: coordinates";
    return true;
}

/* Why no edge of a region is given out: the state of each. */
static const char *tell_edges(const struct explain_world *w, const struct config_region *region,
                              struct arena *arena)
{
    const struct config *c = generation_config(w->generation);
    struct text t = {0};
    const char *copy;

    text_adds(&t, region->n_edges == 0 ? "no edges" : "no usable edge: ");
    for (size_t e = region->first_edge; e < region->first_edge + region->n_edges; e++) {
        const struct health_edge *edge = health_edge(w->health, e);
        char since[TEXT_SHORT];

        text_addf(&t, "%s%s is %s", e > region->first_edge ? ", " : "", c->edges[e].name,
                  health_state_name(edge->state));
        if (edge->state != HEALTH_UNKNOWN)
            text_addf(&t, " for %s",
                      text_format_duration_ms((uint64_t)(w->now_ms - edge->since_ms), since));
        if (edge->reason[0] != '\0')
            text_addf(&t, " (%s)", edge->reason);
    }
    copy = arena_strndup(arena, t.p, t.n);
    text_free(&t);
    return copy;
}

static void tell_regions(const struct explain_world *w, const struct answer_explanation *x,
                         const struct geo_location *where, struct arena *arena,
                         struct control_explain *out)
{
    const struct config *c = generation_config(w->generation);
    const struct config_service *service = &c->services[x->service];
    const struct world_service_view *view = &w->world->views[x->service];
    size_t n = service->n_regions;
    struct steer_choice *choices = arena_alloc(arena, n * sizeof(choices[0]));
    struct control_explain_region *regions = arena_zalloc(arena, n * sizeof(regions[0]));

    n = steer_explain(w->world->services[x->service].steer, x->steering.class_id,
                      out->has_location ? where : NULL, choices);
    for (size_t i = 0; i < n; i++) {
        size_t k = choices[i].region;
        const struct config_region *region = &c->regions[service->regions[k]];
        bool is_usable = view->usable != NULL && (view->usable[k / 64] >> (k % 64) & 1);

        regions[i] = (struct control_explain_region){
            .name = region->name,
            .distance_km = isnan(choices[i].distance_km) ? -1 : choices[i].distance_km,
            .is_usable = is_usable && view->mode == WORLD_STEER,
            .verdict = !is_usable || view->mode != WORLD_STEER ? tell_edges(w, region, arena)
                       : k == x->steering.region               ? "chosen"
                                                               : "usable, ranked behind",
        };
    }
    out->regions = regions;
    out->n_regions = n;
    if (x->steering.region != STEER_NONE)
        out->chosen = c->regions[service->regions[x->steering.region]].name;
}

/* What each policy decided; where the service has but one, the verdict has said it. */
static void tell_steps(const struct explain_world *w, const struct answer_explanation *x,
                       const struct ip *client, const struct geo_location *where,
                       struct arena *arena, struct control_explain *out)
{
    const struct config *c = generation_config(w->generation);
    const struct world_service *s = &w->world->services[x->service];
    const struct world_service_view *view = &w->world->views[x->service];
    struct steer_draw draw = answer_draw(s, client);
    struct text t = {0};
    const char **steps;

    if (view->usable == NULL ||
        (!s->is_drawn && c->services[x->service].own_policy == CONFIG_NO_POLICY))
        return;
    steer_trace(s->steer, client, where, view->usable, &draw, &t);
    steps = arena_alloc(arena, t.n * sizeof(steps[0]));
    for (const char *line = t.p, *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
        steps[out->n_steps++] = arena_strndup(arena, line, (size_t)(end - line));
    out->steps = steps;
    text_free(&t);
}

static size_t read_addresses(const struct world_addresses *from, uint8_t family, struct ip *out)
{
    size_t record_bytes = family == 4 ? WORLD_A_BYTES : WORLD_AAAA_BYTES;
    size_t address_bytes = family == 4 ? 4 : 16;

    for (size_t i = 0; i < from->count; i++) {
        out[i] = (struct ip){.family = family};
        memcpy(out[i].bytes, from->wire + (i + 1) * record_bytes - address_bytes, address_bytes);
    }
    return from->count;
}

static void tell_addresses(const struct answer_steering *s, struct arena *arena,
                           struct control_explain *out)
{
    struct ip *addresses;
    size_t n;

    if (s->site == NULL)
        return;
    n = (size_t)s->site->a.count + s->site->aaaa.count;
    addresses = arena_alloc(arena, n * sizeof(addresses[0]));
    n = read_addresses(&s->site->a, 4, addresses);
    n += read_addresses(&s->site->aaaa, 6, addresses + n);
    out->addresses = addresses;
    out->n_addresses = n;
}

/* Clients whose own order is the default one share its class, so that the reason alone does not
 * tell whether their location is known. */
static const char *tell_verdict(const struct answer_steering *s, const char *policy,
                                bool has_location)
{
    switch (s->mode) {
    case WORLD_SERVE_ALL:
        return "every edge is down: all are given out (all-down: serve-all)";
    case WORLD_FALLBACK:
        return "every edge is down: the fallback (all-down: fallback)";
    case WORLD_NODATA:
        return "every edge is down: an empty answer (all-down: nodata)";
    case WORLD_REFUSE:
        return "every edge is down: REFUSED (all-down: refuse)";
    case WORLD_STEER:
        break;
    }
    if (strcmp(policy, "failover") == 0)
        return "the first usable region of the service's list";
    if (strcmp(policy, "nearest") != 0)
        return "as the policy has it";
    return has_location || s->reason == ANSWER_BY_LOCATION
               ? "the nearest usable region"
               : "no location: the first usable region of the region order";
}

static const char *tell_scope(const struct ip *client, uint8_t scope, struct arena *arena)
{
    struct ip masked = *client;
    char text[ADDR_TEXT], *prefix;
    const char *copy;

    ip_mask(&masked, scope);
    prefix = base_printf("%s/%u", ip_format(&masked, text), scope);
    copy = arena_strndup(arena, prefix, strlen(prefix));
    free(prefix);
    return copy;
}

struct outcome explain_answer(const struct explain_world *w, const char *name, const char *client,
                              struct arena *arena, struct control_explain *out, struct text *error)
{
    const struct config_service *service;
    struct answer_explanation x;
    struct geo_location where;
    struct ip ip;
    bool has_place;

    *out = (struct control_explain){0};
    if (has_failed(explain_read_client(client, &ip, error)) ||
        has_failed(explain_find_service(w, name, &ip, &x, error)))
        return OUTCOME_FAILED;
    service = &generation_config(w->generation)->services[x.service];
    out->name = service->name;
    out->asked = tell_asked(name, &x, arena);
    out->policy = service->policy;
    out->client = arena_strndup(arena, client, strlen(client));
    out->ttl_s = service->ttl_s;
    out->scope_bits = x.steering.scope;
    out->scope_prefix = tell_scope(&ip, x.steering.scope, arena);
    has_place = tell_location(w, &ip, &where, arena, out);
    out->verdict = tell_verdict(&x.steering, service->policy, out->has_location);
    tell_regions(w, &x, &where, arena, out);
    tell_steps(w, &x, &ip, has_place ? &where : NULL, arena, out);
    tell_addresses(&x.steering, arena, out);
    return OUTCOME_OK;
}
