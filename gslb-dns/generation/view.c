/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A generation seen through health: for each service and region the addresses to be given, as wire
 * records. Everything of one world lies in one arena.
 */
#include "gslb-dns/generation/generation_internal.h"

#include "common/bytes/bytes.h"

#include <stdlib.h>
#include <string.h>

struct whole_world {
    struct world world; /* first: freed by its address */
    struct arena arena;
};

/* Which edges may be given out. */
enum edge_choice {
    EDGES_USABLE,
    EDGES_NOT_DRAINED, /* every edge is down: all but those that an operator took out */
    EDGES_ALL,
};

static bool is_chosen(const struct health *h, size_t edge, enum edge_choice choice)
{
    if (choice == EDGES_ALL)
        return true;
    if (h == NULL)
        return choice == EDGES_NOT_DRAINED;
    if (choice == EDGES_USABLE)
        return health_edge(h, edge)->is_usable;
    return health_edge(h, edge)->state != HEALTH_DRAINING;
}

static uint8_t *write_record(uint8_t *p, const struct ip *ip, uint32_t ttl_s)
{
    uint16_t address_bytes = ip->family == 4 ? 4 : 16;

    bytes_put_u16(p, 0xc000 | WIRE_HEADER);
    bytes_put_u16(p + 2, ip->family == 4 ? WIRE_A : WIRE_AAAA);
    bytes_put_u16(p + 4, WIRE_CLASS_IN);
    bytes_put_u32(p + 6, ttl_s);
    bytes_put_u16(p + 10, address_bytes);
    memcpy(p + 12, ip->bytes, address_bytes);
    return p + 12 + address_bytes;
}

/* Where addresses for a site come from: one region's chosen edges, or a list. */
struct source {
    const struct config_edge *edges;
    size_t first_edge, n_edges;
    const struct ip *list;
    size_t n_list;
    const struct health *health;
    enum edge_choice choice;
    /* In a signed zone; NULL: not */
    struct steered_signatures *signatures;
    const struct sign_signer *signer;
    struct wire_name owner;
    uint32_t expire_s; /* of its copies on secondaries */
    size_t max_addresses;
};

/* Writes a record for each address of the family; returns how many. out NULL: only counts. */
static uint32_t gather(const struct source *s, uint8_t family, uint32_t ttl_s, uint8_t *out)
{
    uint32_t n = 0;

    for (size_t i = 0; i < s->n_list; i++)
        if (s->list[i].family == family) {
            n++;
            out = out ? write_record(out, &s->list[i], ttl_s) : NULL;
        }
    for (size_t e = s->first_edge; e < s->first_edge + s->n_edges; e++) {
        if (!is_chosen(s->health, e, s->choice))
            continue;
        for (size_t i = 0; i < s->edges[e].n_addresses; i++)
            if (s->edges[e].addresses[i].family == family) {
                n++;
                out = out ? write_record(out, &s->edges[e].addresses[i], ttl_s) : NULL;
            }
    }
    return n;
}

/* Signatures behind the records: of the whole, or of each part that an answer can be, as
 * message_add_round takes them. */
static void add_signatures(const struct source *s, uint16_t type, uint32_t ttl_s, uint8_t *wire,
                           size_t record_bytes, struct world_addresses *out)
{
    bool is_part = out->count > s->max_addresses;
    struct steered_set set = {.signer = s->signer,
                              .owner = &s->owner,
                              .wire = wire,
                              .count = out->count,
                              .n = is_part ? s->max_addresses : out->count,
                              .ttl_s = ttl_s,
                              .outlive_s = ttl_s + s->expire_s,
                              .type = type};
    uint8_t *p = wire + out->count * record_bytes;

    for (set.first = 0; set.first < (is_part ? out->count : 1); set.first++) {
        out->sig_bytes = (uint16_t)steered_signatures_get(s->signatures, &set, p, &out->n_sigs);
        p += out->sig_bytes; /* each has as many: one signer, one owner */
    }
}

static struct world_addresses make_addresses(struct arena *a, const struct source *s,
                                             uint8_t family, uint32_t ttl_s)
{
    size_t record_bytes = family == 4 ? WORLD_A_BYTES : WORLD_AAAA_BYTES, sig_bytes = 0;
    struct world_addresses out = {.count = gather(s, family, ttl_s, NULL)};
    uint8_t *wire;

    if (out.count == 0)
        return out;
    if (s->signer != NULL)
        sig_bytes =
            steered_signatures_bound(s->signer) * (out.count > s->max_addresses ? out.count : 1);
    out.wire = wire = arena_alloc(a, out.count * record_bytes + sig_bytes);
    gather(s, family, ttl_s, wire);
    if (s->signer != NULL)
        add_signatures(s, family == 4 ? WIRE_A : WIRE_AAAA, ttl_s, wire, record_bytes, &out);
    return out;
}

static struct world_site make_site(struct arena *a, const struct source *s, uint32_t ttl_s)
{
    return (struct world_site){
        .a = make_addresses(a, s, 4, ttl_s),
        .aaaa = make_addresses(a, s, 6, ttl_s),
    };
}

/* Sites of all regions by a choice of edges; whether any region has an address. */
static bool make_sites(struct arena *a, const struct generation *g,
                       const struct config_service *service, const struct source *from,
                       struct world_service_view *out)
{
    struct world_site *sites = arena_zalloc(a, service->n_regions * sizeof(sites[0]));
    uint64_t *usable = arena_zalloc(a, STEER_BITMAP_WORDS(service->n_regions) * sizeof(usable[0]));
    bool has_any = false;

    for (size_t k = 0; k < service->n_regions; k++) {
        const struct config_region *r = &g->config->regions[service->regions[k]];
        struct source s = *from;

        s.first_edge = r->first_edge;
        s.n_edges = r->n_edges;
        sites[k] = make_site(a, &s, service->ttl_s);
        if (sites[k].a.count + sites[k].aaaa.count == 0)
            continue;
        usable[k / 64] |= (uint64_t)1 << (k % 64);
        has_any = true;
    }
    out->sites = sites;
    out->usable = usable;
    return has_any;
}

/* Every edge of the service is down: what its all-down setting says. */
static void make_all_down(struct arena *a, const struct generation *g,
                          const struct config_service *service, struct source *from,
                          struct world_service_view *out)
{
    *out = (struct world_service_view){0}; /* nothing of what the search for edges left there */
    switch (service->all_down) {
    case CONFIG_REFUSE:
        out->mode = WORLD_REFUSE;
        return;
    case CONFIG_NODATA:
        out->mode = WORLD_NODATA;
        return;
    case CONFIG_FALLBACK: {
        struct source list = *from;
        struct world_site *site = arena_alloc(a, sizeof(*site));

        list.list = service->fallback;
        list.n_list = service->n_fallback;
        list.n_edges = 0;
        *site = make_site(a, &list, service->ttl_s);
        out->mode = WORLD_FALLBACK;
        out->sites = site;
        return;
    }
    case CONFIG_SERVE_ALL:
        out->mode = WORLD_SERVE_ALL;
        from->choice = EDGES_NOT_DRAINED;
        if (!make_sites(a, g, service, from, out)) {
            from->choice = EDGES_ALL;
            make_sites(a, g, service, from, out);
        }
        return;
    }
}

/* ---- As a whole, for transfers ---- */

/* Adds records that are not there yet. */
static uint8_t *add_new(uint8_t *begin, uint8_t *end, const struct world_addresses *from,
                        size_t record_bytes)
{
    for (uint32_t i = 0; i < from->count; i++) {
        const uint8_t *record = from->wire + i * record_bytes, *p = begin;

        while (p < end && memcmp(p, record, record_bytes) != 0)
            p += record_bytes;
        if (p == end) {
            memcpy(end, record, record_bytes);
            end += record_bytes;
        }
    }
    return end;
}

static struct world_addresses unite(struct arena *a, const struct source *from, uint32_t ttl_s,
                                    const struct world_site *sites, size_t n, uint8_t family)
{
    size_t record_bytes = family == 4 ? WORLD_A_BYTES : WORLD_AAAA_BYTES, count = 0;
    size_t sig_bytes = from->signer != NULL ? steered_signatures_bound(from->signer) : 0;
    struct world_addresses out = {0};
    struct source whole = *from;
    uint8_t *wire, *end;

    for (size_t i = 0; i < n; i++)
        count += family == 4 ? sites[i].a.count : sites[i].aaaa.count;
    if (count == 0)
        return out;
    out.wire = wire = end = arena_alloc(a, count * record_bytes + sig_bytes);
    for (size_t i = 0; i < n; i++)
        end = add_new(wire, end, family == 4 ? &sites[i].a : &sites[i].aaaa, record_bytes);
    out.count = (uint32_t)((size_t)(end - wire) / record_bytes);
    whole.max_addresses = out.count;
    if (from->signer != NULL)
        add_signatures(&whole, family == 4 ? WIRE_A : WIRE_AAAA, ttl_s, wire, record_bytes, &out);
    return out;
}

/* All that the service could ever give of a family. */
static struct world_addresses unite_all(struct arena *a, const struct generation *g,
                                        const struct source *from,
                                        const struct config_service *service, uint8_t family)
{
    struct source all = *from;
    struct world_service_view view;
    struct world_addresses out;
    struct world_site fallback;

    all.choice = EDGES_ALL;
    make_sites(a, g, service, &all, &view);
    out = unite(a, from, service->ttl_s, view.sites, service->n_regions, family);
    if (out.count > 0)
        return out;
    all.list = service->fallback;
    all.n_list = service->n_fallback;
    fallback = make_site(a, &all, service->ttl_s);
    return unite(a, from, service->ttl_s, &fallback, 1, family);
}

/* A signed zone's chain promises the families that the service has; where none of one is healthy,
 * all of it goes out rather than a zone that contradicts itself. */
static void make_whole(struct arena *a, const struct generation *g, const struct source *from,
                       const struct config_service *service, struct world_service_view *out)
{
    size_t n = out->mode == WORLD_FALLBACK ? 1 : service->n_regions;

    if (out->sites != NULL) {
        out->whole.a = unite(a, from, service->ttl_s, out->sites, n, 4);
        out->whole.aaaa = unite(a, from, service->ttl_s, out->sites, n, 6);
    }
    if (from->signer == NULL)
        return;
    if (out->whole.a.count == 0)
        out->whole.a = unite_all(a, g, from, service, 4);
    if (out->whole.aaaa.count == 0)
        out->whole.aaaa = unite_all(a, g, from, service, 6);
}

static struct source source_of(const struct generation *g, size_t i, const struct health *health)
{
    const struct config_service *service = &g->config->services[i];
    struct source from = {.edges = g->config->edges,
                          .health = health,
                          .choice = EDGES_USABLE,
                          .signatures = g->signatures,
                          .signer = g->signers[g->homes[i]],
                          .expire_s = zone_expire_s(g->zones[g->homes[i]]->zone),
                          .max_addresses = service->max_addresses};

    if (from.signer != NULL)
        ensure(wire_name_parse(str_of(service->name), &from.owner));
    return from;
}

struct world_site generation_make_full(struct arena *a, const struct generation *g, size_t service)
{
    const struct config_service *c = &g->config->services[service];
    struct source from = source_of(g, service, NULL);
    struct world_service_view view = {.mode = WORLD_STEER};

    from.choice = EDGES_ALL;
    make_sites(a, g, c, &from, &view);
    make_whole(a, g, &from, c, &view);
    return view.whole;
}

static bool goes_out(const struct generation *g, size_t service)
{
    const struct config_zone_transfers *t = &g->config->zones[g->homes[service]].transfers;

    return t->n_allow > 0 && t->steered == CONFIG_STEERED_ADDRESSES;
}

static void make_view(struct arena *a, const struct generation *g, const struct health *health,
                      size_t i, struct world_service_view *out)
{
    const struct config_service *service = &g->config->services[i];
    struct source from = source_of(g, i, health);

    out->mode = WORLD_STEER;
    if (!make_sites(a, g, service, &from, out))
        make_all_down(a, g, service, &from, out);
    if (goes_out(g, i))
        make_whole(a, g, &from, service, out);
}

void generation_sign_steered(const struct generation *g)
{
    for (size_t i = 0; i < g->config->n_services; i++) {
        const struct config_service *service = &g->config->services[i];
        struct source from = source_of(g, i, NULL);
        struct world_service_view unused;
        struct arena a;

        if (from.signer == NULL)
            continue;
        arena_init(&a, 16384);
        from.choice = EDGES_ALL;
        make_sites(&a, g, service, &from, &unused);
        if (service->all_down == CONFIG_FALLBACK)
            make_all_down(&a, g, service, &from, &unused);
        arena_free(&a);
    }
}

/* Who fetches a zone now does not get what its serial stands for. */
static void blur_histories(const struct world *w)
{
    for (size_t i = 0; i < w->n_zones; i++)
        if (w->zone_list[i].history != NULL && !world_sends_all(w, &w->zone_list[i]))
            history_blur(w->zone_list[i].history);
}

static struct whole_world *make_world(const struct generation *g, const struct health *health,
                                      uint64_t number)
{
    const struct config *c = g->config;
    struct whole_world *w = base_zalloc(1, sizeof(*w));
    struct world_service_view *views;

    arena_init(&w->arena, 16384);
    views = arena_zalloc(&w->arena, (c->n_services + 1) * sizeof(views[0]));
    for (size_t i = 0; i < c->n_services; i++)
        make_view(&w->arena, g, health, i, &views[i]);
    w->world = (struct world){
        .zones = g->zone_set,
        .services = g->services,
        .views = views,
        .n_services = c->n_services,
        .zone_list = g->zone_list,
        .n_zones = c->n_zones,
        .tsig_keys = (const struct tsig_key *const *)g->tsig_keys,
        .n_tsig_keys = c->n_tsig_keys,
        .udp_payload_bytes = (uint16_t)c->udp_payload_bytes,
        .nsid = c->nsid,
        .generation = number,
    };
    generation_guard_world(g, &w->world);
    return w;
}

struct world *generation_make_world(const struct generation *g, const struct health *health,
                                    uint64_t number)
{
    struct world *w = &make_world(g, health, number)->world;

    blur_histories(w);
    return w;
}

struct world *generation_imagine_world(const struct generation *g, const struct health *health)
{
    return &make_world(g, health, 0)->world;
}

void generation_free_world(struct world *world)
{
    struct whole_world *w = (struct whole_world *)world;

    if (w == NULL)
        return;
    arena_free(&w->arena);
    free(w);
}
