/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answer_bench [GEOIP-DATABASE...]    nanoseconds of the answer path without the kernel: queries in
 * memory, answers into memory, in batches as net has them. The best of several rounds, because
 * other work on the machine only ever adds.
 */
#include "tests/unit/gslb-dns/answer/answer_world.h"

#include "common/clock/clock.h"

#include <time.h>

enum { NAMES = 100000, QUERIES = 65536, BATCH = 64, ROUNDS = 15, PACKET_MAX = 92, OUT_MAX = 4160 };

struct load {
    const char *name;
    const char *pattern; /* %u: a number below NAMES, at random */
    uint16_t type;
    bool has_edns, has_ecs;
};

static const struct load loads[] = {
    {"static A, random of 100k names", "host-%u.example.com", WIRE_A, false, false},
    {"static A, EDNS", "host-%u.example.com", WIRE_A, true, false},
    {"static A, one name", "host.example.com", WIRE_A, false, false},
    {"NXDOMAIN", "nothing-%u.example.com", WIRE_A, false, false},
    {"CNAME chain of two", "alias2.example.com", WIRE_A, false, false},
    {"steered A by source", "www.example.com", WIRE_A, true, false},
    {"steered A, ECS", "www.example.com", WIRE_A, true, true},
};

struct packet {
    uint8_t bytes[PACKET_MAX];
    uint32_t n;
};

static uint32_t next_random(void)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

static void put_opt(struct writer *w, bool has_ecs)
{
    uint32_t address = next_random();

    writer_add(w, "\0\0\x29\x04\xd0\0\0\0\0", 9);
    writer_u16(w, has_ecs ? 11 : 0);
    if (has_ecs) {
        writer_add(w, "\0\x08\0\x07\0\x01\x18\0", 8);
        writer_add(w, &address, 3);
    }
}

static void build_packet(struct packet *p, const struct load *load)
{
    struct writer w = writer_of(p->bytes, sizeof(p->bytes));
    struct wire_name name;
    char text[64];

/* The patterns are the constants above. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof(text), load->pattern, next_random() % NAMES);
#pragma GCC diagnostic pop
    ensure(wire_name_parse(str_of(text), &name));
    writer_add(&w, "\x12\x34\x01\0\0\1\0\0\0\0\0", 11);
    writer_u8(&w, load->has_edns);
    writer_add(&w, name.bytes, name.length);
    writer_u16(&w, load->type);
    writer_u16(&w, WIRE_CLASS_IN);
    if (load->has_edns)
        put_opt(&w, load->has_ecs);
    ensure(!w.is_full);
    p->n = (uint32_t)(w.p - p->bytes);
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The kernel has just written them when net hands them on. */
static void touch(const struct packet *packet, const struct addr *source)
{
    for (size_t i = 0; i < sizeof(*packet); i += 32)
        (void)*(const volatile uint8_t *)&packet->bytes[i];
    (void)*(const volatile sa_family_t *)&source->sa.sa_family;
}

static double measure_parse(const struct packet *packets)
{
    static struct wire_query queries[16];
    int64_t best = INT64_MAX;

    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = clock_mono_us(), took;
        unsigned bad = 0;

        for (size_t i = 0; i < QUERIES; i++)
            bad += wire_parse_query(&queries[i % 16], packets[i].bytes, packets[i].n) != WIRE_OK;
        took = clock_mono_us() - start;
        ensure(bad == 0);
        best = took < best ? took : best;
    }
    return 1000.0 * (double)best / QUERIES;
}

/* Of each batch the best round counts: what disturbs hits other batches each time. */
static double measure_answers(struct answer_context *c, const struct packet *packets)
{
    static uint8_t out[BATCH][OUT_MAX];
    static int64_t best_ns[QUERIES / BATCH];
    static struct addr sources[QUERIES];
    int64_t sum_ns = 0;

    for (size_t i = 0; i < QUERIES; i++) {
        struct ip ip = {.family = 4};
        uint32_t address = next_random();

        memcpy(ip.bytes, &address, sizeof(address));
        sources[i] = addr_of_ip(&ip, 4242);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t at = 0; at < QUERIES; at += BATCH) {
            struct answer_query queries[BATCH];
            int64_t start_ns, took_ns;

            for (size_t i = 0; i < BATCH; i++) {
                queries[i] = (struct answer_query){.packet = packets[at + i].bytes,
                                                   .packet_bytes = packets[at + i].n,
                                                   .source = &sources[at + i],
                                                   .out = out[i],
                                                   .out_cap_bytes = OUT_MAX};
                touch(&packets[at + i], &sources[at + i]);
            }
            start_ns = now_ns();
            answer_batch(c, queries, BATCH);
            took_ns = now_ns() - start_ns;
            ensure(queries[0].out_bytes > WIRE_HEADER);
            if (round == 0 || took_ns < best_ns[at / BATCH])
                best_ns[at / BATCH] = took_ns;
        }
    }
    for (size_t i = 0; i < COUNT_OF(best_ns); i++)
        sum_ns += best_ns[i];
    return (double)sum_ns / QUERIES;
}

static void use_database(struct answer_world *w, const char *const *paths, size_t n)
{
    static const struct steer_region regions[] = {
        {50, 8}, {40, -75}, {37.77, -122.42}, {35.68, 139.69}, {-23.55, -46.63}, {-33.92, 18.42}};
    struct errors errors = {0};
    struct geo_db *db = geo_open(paths, n, &errors, (struct place){0});
    struct geo_plan plan = {.classify = steer_classify};
    struct geo_places *places;

    errors_print(&errors, stderr);
    ensure(db != NULL);
    /* More regions than have edges, for prefixes as many as a site of this size has. */
    steer_map_free(w->steer);
    w->steer = steer_map_new(&steer_nearest, regions, COUNT_OF(regions), NULL);
    plan.arg = w->steer;
    geo_map_free(w->map);
    places = geo_places_read(db, NULL, &errors);
    ensure(places != NULL);
    w->map = geo_compile(places, &plan, NULL, &errors);
    ensure(w->map != NULL);
    geo_places_free(places);
    geo_close(db);
    for (size_t i = 0; i < N_SERVICES; i++)
        w->services[i].map = w->map, w->services[i].steer = w->steer;
}

int main(int argc, char **argv)
{
    struct text zone = {0};
    struct packet *packets = base_zalloc(QUERIES, sizeof(*packets));
    struct answer_world *w = base_zalloc(1, sizeof(*w));
    struct answer_context *c;

    text_adds(&zone, answer_world_zone);
    for (unsigned i = 0; i < NAMES; i++)
        text_addf(&zone, "host-%u A 10.%u.%u.%u\n", i, i >> 16, i >> 8 & 255, i & 255);
    answer_world_open(w, zone.p);
    if (argc > 1)
        use_database(w, (const char *const *)argv + 1, (size_t)argc - 1);
    c = answer_context_new(&w->slot, metrics_add_block(&w->metrics));
    printf("%-34s %10s %10s\n", "ns per query", "parse", "answer");
    for (size_t l = 0; l < COUNT_OF(loads); l++) {
        for (size_t i = 0; i < QUERIES; i++)
            build_packet(&packets[i], &loads[l]);
        printf("%-34s %10.1f %10.1f\n", loads[l].name, measure_parse(packets),
               measure_answers(c, packets));
    }
    answer_context_free(c);
    answer_world_close(w);
    text_free(&zone);
    free(packets);
    free(w);
    return 0;
}
