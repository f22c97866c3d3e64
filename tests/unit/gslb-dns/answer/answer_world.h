/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small world, made by hand, for the tests, the fuzzer and the measurement of the answer path:
 * one zone with a name of every kind, and services over two regions, eu (10.0.0.x) and us
 * (10.1.0.x). Clients in 192.0.2.0/24 and 2001:db8:1::/48 are in eu, those in 198.51.100.0/25 and
 * 2001:db8:2::/48 in us, others nowhere: the default order says us first.
 */
#ifndef TESTS_ANSWER_WORLD_H
#define TESTS_ANSWER_WORLD_H

#include "common/bytes/bytes.h"
#include "gslb-dns/answer/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EU, US, N_REGIONS };
enum { WWW, V4ONLY, EMPTY, REFUSING, FALLBACK, MANY, SERVE_ALL, N_SERVICES };

static const char *const answer_world_names[N_SERVICES] = {
    [WWW] = "www.example.com",           [V4ONLY] = "v4only.example.com",
    [EMPTY] = "empty.example.com",       [REFUSING] = "refusing.example.com",
    [FALLBACK] = "fallback.example.com", [MANY] = "many.example.com",
    [SERVE_ALL] = "serveall.example.com"};

struct answer_world {
    struct world world;
    struct snapshot_slot slot;
    struct zone *zone;
    struct zone_set *set;
    struct world_zone zone_list[1];
    struct steer_map *steer;
    struct geo_map *map;
    struct world_service services[N_SERVICES];
    struct world_service_view views[N_SERVICES];
    struct world_site sites[N_SERVICES][N_REGIONS];
    uint64_t usable[1];
    uint8_t records[2 * N_REGIONS * N_SERVICES][20 * WORLD_AAAA_BYTES];
    size_t n_records;
    struct metrics metrics;
};

static inline struct world_addresses answer_world_addresses(struct answer_world *w, uint16_t type,
                                                            int region, uint16_t n)
{
    size_t address_bytes = type == WIRE_A ? 4 : 16, record_bytes = 12 + address_bytes;
    uint8_t *wire = w->records[w->n_records++];

    for (uint16_t i = 0; i < n; i++) {
        uint8_t *p = wire + i * record_bytes;

        bytes_put_u16(p, 0xc00c);
        bytes_put_u16(p + 2, type);
        bytes_put_u16(p + 4, WIRE_CLASS_IN);
        bytes_put_u32(p + 6, 30);
        bytes_put_u16(p + 10, (uint16_t)address_bytes);
        memset(p + 12, 0, address_bytes);
        memcpy(p + 12, type == WIRE_A ? "\x0a" : "\xfd", 1);
        p[13] = (uint8_t)region;
        p[11 + address_bytes] = (uint8_t)(i + 1);
    }
    return (struct world_addresses){.wire = wire, .count = n};
}

static inline void answer_world_steering(struct answer_world *w)
{
    static const struct steer_region regions[N_REGIONS] = {{50, 8}, {40, -75}};
    static const uint16_t order[N_REGIONS] = {US, EU};
    struct geo_location eu = {.has_coordinates = true, .latitude = 48, .longitude = 2};
    struct geo_location us = {.has_coordinates = true, .latitude = 40, .longitude = -80};
    static const char *const prefixes[] = {"192.0.2.0/24", "2001:db8:1::/48", "198.51.100.0/25",
                                           "2001:db8:2::/48"};
    struct geo_override overrides[COUNT_OF(prefixes)];
    struct geo_plan plan = {
        .classify = steer_classify, .overrides = overrides, .n_overrides = COUNT_OF(prefixes)};
    struct errors errors = {0};

    w->steer = steer_map_new(&steer_nearest, regions, N_REGIONS, order);
    plan.arg = w->steer;
    for (size_t i = 0; i < COUNT_OF(prefixes); i++) {
        ensure(prefix_parse(str_of(prefixes[i]), &overrides[i].prefix));
        overrides[i].class_id = steer_classify(w->steer, i < 2 ? &eu : &us);
    }
    w->map = geo_compile(NULL, &plan, NULL, &errors);
    ensure(w->map != NULL);
}

static inline void answer_world_services(struct answer_world *w)
{
    static const enum world_mode modes[N_SERVICES] = {[EMPTY] = WORLD_NODATA,
                                                      [REFUSING] = WORLD_REFUSE,
                                                      [FALLBACK] = WORLD_FALLBACK,
                                                      [SERVE_ALL] = WORLD_SERVE_ALL};
    w->usable[0] = 1u << EU | 1u << US;
    for (int i = 0; i < N_SERVICES; i++) {
        w->services[i] = (struct world_service){.steer = w->steer,
                                                .map = w->map,
                                                .ttl_s = 30,
                                                .max_addresses = 8,
                                                .has_a = true,
                                                .has_aaaa = i != V4ONLY};
        w->views[i] = (struct world_service_view){
            .mode = modes[i], .usable = w->usable, .sites = w->sites[i]};
        for (int r = 0; r < N_REGIONS; r++) {
            w->sites[i][r].a = answer_world_addresses(w, WIRE_A, r, i == MANY ? 20 : 2);
            /* us has no IPv6 */
            if (i != V4ONLY && r == EU)
                w->sites[i][r].aaaa = answer_world_addresses(w, WIRE_AAAA, r, 1);
        }
    }
}

static inline struct zone *answer_world_load(const char *text)
{
    struct zone_service services[N_SERVICES];
    struct errors errors = {0};
    char path[] = "/tmp/answer_world_XXXXXX";
    int fd = mkstemp(path);
    struct zone *zone;

    ensure(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    for (uint16_t i = 0; i < N_SERVICES; i++) {
        services[i] = (struct zone_service){.service = i};
        ensure(wire_name_parse(str_of(answer_world_names[i]), &services[i].name));
    }
    zone = zone_load(
        &(struct zone_source){
            .name = "example.com", .path = path, .services = services, .n_services = N_SERVICES},
        &errors);
    errors_print(&errors, stderr);
    errors_free(&errors);
    unlink(path);
    ensure(zone != NULL);
    return zone;
}

static inline void answer_world_open(struct answer_world *w, const char *zone_text)
{
    memset(w, 0, sizeof(*w));
    w->zone = answer_world_load(zone_text);
    w->set = zone_set_new(&w->zone, 1);
    answer_world_steering(w);
    answer_world_services(w);
    w->zone_list[0] = (struct world_zone){.zone = w->zone};
    w->world = (struct world){.zones = w->set,
                              .zone_list = w->zone_list,
                              .n_zones = 1,
                              .services = w->services,
                              .views = w->views,
                              .n_services = N_SERVICES,
                              .udp_payload_bytes = 1232,
                              .nsid = "node-1"};
    w->slot.current = &w->world;
    w->metrics = (struct metrics){.table = answer_counter_table, .n = ANSWER_COUNTER_COUNT};
}

static inline void answer_world_close(struct answer_world *w)
{
    zone_set_free(w->set);
    zone_release(w->zone);
    geo_map_free(w->map);
    steer_map_free(w->steer);
    metrics_free(&w->metrics);
}

/* The zone, but for names that single tests want. */
static const char answer_world_zone[] =
    "$ORIGIN example.com.\n"
    "$TTL 300\n"
    "@ SOA ns1 hostmaster 1 7200 3600 1209600 60\n"
    "@ NS ns1\n"
    "@ NS ns2.elsewhere.org.\n"
    "@ MX 10 mail\n"
    "ns1 A 192.0.2.53\n"
    "ns1 AAAA 2001:db8::53\n"
    "mail A 192.0.2.25\n"
    "host A 192.0.2.1\n"
    "multi A 192.0.2.2\n"
    "multi A 192.0.2.3\n"
    "multi A 192.0.2.4\n"
    "alias CNAME host\n"
    "alias2 CNAME alias\n"
    "outside CNAME www.elsewhere.org.\n"
    "dangling CNAME nothing\n"
    "nodata CNAME mail\n"
    "loop1 CNAME loop2\n"
    "loop2 CNAME loop1\n"
    "*.wildloop CNAME x.wildloop\n"
    "geo CNAME www\n"
    "www TXT \"beside\"\n"
    "*.wild A 192.0.2.99\n"
    "*.wildalias CNAME host\n"
    "blocked.wild TXT \"blocks\"\n"
    "a.b.ent TXT \"below\"\n"
    "child NS ns.child\n"
    "child NS ns1\n"
    "child NS ns.other-child\n"
    "child DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000\n"
    "ns.child A 192.0.2.100\n"
    "other-child NS ns.other-child\n"
    "ns.other-child A 192.0.2.101\n"
    "tochild CNAME deep.child\n"
    "tree DNAME forest\n"
    "growing DNAME a.growing\n"
    "ping DNAME pong\n"
    "pong DNAME ping\n"
    "oak.forest A 192.0.2.77\n"
    "away DNAME elsewhere.org.\n"
    "_sip._tcp SRV 1 2 5060 host\n"
    "www HTTPS 1 . alpn=h2\n"
    "to MX 10 www\n";

#endif
