/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/gslb-dns/generation/site.h"

#include "common/bytes/bytes.h"
#include "gslb-dns/answer/answer.h"

#include <pthread.h>

enum { EU, US };

static struct health *health_of(const struct generation *g)
{
    const struct config *c = generation_config(g);
    struct health_settings settings = {c->health.stale_after_ms, c->health.down_threshold,
                                       c->health.up_threshold, c->health.keep_last_view_ms};

    return health_new(c->n_edges, &settings, 1000);
}

static unsigned usable_regions(const struct world *w, size_t service)
{
    return w->views[service].usable != NULL ? (unsigned)w->views[service].usable[0] : 0;
}

/* Edges leave and come back one by one; what is left decides the service's mode. */
static void a_world_follows_health(void **state)
{
    static const struct {
        const char *name, *all_down;
        bool is_down[3], is_drained[3];
        enum world_mode mode;
        unsigned usable, n_eu, n_us;
    } cases[] = {
        {"all up", "serve-all", {0}, {0}, WORLD_STEER, 3, 1, 2},
        {"one of two down", "serve-all", {0, 1, 0}, {0}, WORLD_STEER, 3, 1, 1},
        {"a region down", "serve-all", {1, 0, 0}, {0}, WORLD_STEER, 2, 0, 2},
        {"a region drained", "serve-all", {0}, {0, 1, 1}, WORLD_STEER, 1, 1, 0},
        {"all down", "serve-all", {1, 1, 1}, {0}, WORLD_SERVE_ALL, 3, 1, 2},
        {"all down, one drained", "serve-all", {1, 1, 1}, {1, 0, 0}, WORLD_SERVE_ALL, 2, 0, 2},
        {"all drained", "serve-all", {0}, {1, 1, 1}, WORLD_SERVE_ALL, 3, 1, 2},
        {"all down", "refuse", {1, 1, 1}, {0}, WORLD_REFUSE, 0, 0, 0},
        {"all down", "nodata", {1, 1, 1}, {0}, WORLD_NODATA, 0, 0, 0},
        {"all down", "fallback", {1, 1, 1}, {0}, WORLD_FALLBACK, 0, 2, 0},
    };
    size_t n_wrong = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct site s;
        struct text yaml = {0};
        struct generation *g;
        struct health *h;
        struct world *w;
        const struct world_service_view *v;

        site_make(&s);
        text_addf(&yaml, "%s%sservices:\n  www.example.com: {all-down: %s%s}\n", SITE_HEAD,
                  SITE_REGIONS, cases[i].all_down,
                  strcmp(cases[i].all_down, "fallback") == 0
                      ? ", fallback: [203.0.113.1, 203.0.113.2]"
                      : "");
        site_write(&s, "a.yaml", (struct str){yaml.p, yaml.n});
        g = site_load(&s, NULL);
        h = health_of(g);
        for (size_t e = 0; e < 3; e++) {
            health_on_report(h, e, !cases[i].is_down[e], "test", 2000);
            health_set_drain(h, e, cases[i].is_drained[e], "test", 2000);
        }
        w = generation_make_world(g, h, 1);
        v = &w->views[0];
        if (v->mode != cases[i].mode || usable_regions(w, 0) != cases[i].usable ||
            (v->sites != NULL && v->sites[EU].a.count != cases[i].n_eu) ||
            (v->usable != NULL && v->sites[US].a.count != cases[i].n_us)) {
            print_error("%s (%s): mode %d usable %u\n", cases[i].name, cases[i].all_down, v->mode,
                        usable_regions(w, 0));
            n_wrong++;
        }
        generation_free_world(w);
        health_free(h);
        generation_free(g);
        text_free(&yaml);
        site_remove(&s);
    }
    assert_int_equal(n_wrong, 0);
}

/* A region may hold more addresses than 16 bits count. */
static void a_large_region_keeps_all_addresses(void **state)
{
    enum { EDGES = 1100, PER_EDGE = 64 };
    struct text yaml = {0};
    struct generation *g;
    struct world *w;
    struct site s;

    (void)state;
    site_make(&s);
    text_addf(&yaml, "%s  eu:\n    location: [50, 8]\n    edges:\n", SITE_HEAD);
    for (unsigned e = 0; e < EDGES; e++) {
        text_addf(&yaml, "      e%u: [", e);
        for (unsigned i = 0; i < PER_EDGE; i++)
            text_addf(&yaml, "%s10.%u.%u.%u", i ? "," : "", e >> 8, e & 255, i);
        text_addf(&yaml, "]\n");
    }
    text_addf(&yaml, "services:\n  www.example.com: {}\n");
    site_write(&s, "a.yaml", (struct str){yaml.p, yaml.n});
    g = site_load(&s, NULL);
    w = generation_make_world(g, NULL, 1);
    assert_int_equal(w->views[0].sites[0].a.count, EDGES * PER_EDGE);
    generation_free_world(w);
    generation_free(g);
    text_free(&yaml);
    site_remove(&s);
}

/* Zones stay what they were while neither their file nor their services change. */
static void unchanged_zones_are_shared(void **state)
{
    struct generation *one, *two, *three, *four;
    struct site s;

    (void)state;
    site_make(&s);
    one = site_load(&s, NULL);
    two = site_load(&s, one);
    assert_ptr_equal(generation_zone(one, 0), generation_zone(two, 0));
    generation_free(one);
    site_write(&s, "a.yaml", STR(SITE_HEAD SITE_REGIONS "services:\n  a.example.com: {}\n"));
    three = site_load(&s, two);
    assert_ptr_not_equal(generation_zone(two, 0), generation_zone(three, 0));
    generation_free(two);
    site_write(&s, "example.com.zone", STR(SITE_ZONE "new A 192.0.2.1\n"));
    four = site_load(&s, three);
    assert_ptr_not_equal(generation_zone(three, 0), generation_zone(four, 0));
    assert_true(generation_zone(four, 0)->n_records > generation_zone(three, 0)->n_records);
    generation_free(four);
    generation_free(three);
    site_remove(&s);
}

/* The database is compiled again only when it, a region's place or a policy has changed. */
static void unchanged_steering_is_shared(void **state)
{
    static const struct {
        const char *name, *yaml;
        bool is_other_database, is_shared;
    } steps[] = {
        {"nothing", SITE_CONFIG, false, true},
        {"a time to live", SITE_HEAD SITE_REGIONS "services:\n  www.example.com: {ttl: 9s}\n",
         false, true},
        {"a service's name", SITE_HEAD SITE_REGIONS "services:\n  a.example.com: {}\n", false,
         true},
        {"the database", SITE_CONFIG, true, false},
        {"a policy", SITE_HEAD SITE_REGIONS "services:\n  www.example.com: {policy: failover}\n",
         false, false},
        {"and back", SITE_CONFIG, false, false},
        {"the order", SITE_CONFIG "region-order: [us]\n", false, false},
        {"a place",
         SITE_HEAD "  eu: {location: [51, 8], edges: {eu-1: [10.0.0.1]}}\n"
                   "  us: {location: [40, -75], edges: {us-1: [10.1.0.1]}}\n"
                   "services:\n  www.example.com: {}\n",
         false, false},
        {"an address",
         SITE_HEAD "  eu: {location: [51, 8], edges: {eu-1: [10.0.0.9]}}\n"
                   "  us: {location: [40, -75], edges: {us-1: [10.1.0.1]}}\n"
                   "services:\n  www.example.com: {}\n",
         false, true},
        {"no services", SITE_HEAD SITE_REGIONS, false, false},
    };
    struct generation *now;
    struct site s;

    (void)state;
    site_make(&s);
    now = site_load(&s, NULL);
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct generation *next;

        site_write(&s, "a.yaml", str_of(steps[i].yaml));
        if (steps[i].is_other_database)
            site_write_geo(&s, "Test-Town");
        next = site_load(&s, now);
        if ((generation_geo(next) == generation_geo(now)) != steps[i].is_shared)
            fail_msg("%s: %s", steps[i].name, steps[i].is_shared ? "compiled anew" : "shared");
        generation_free(now);
        now = next;
    }
    generation_free(now);
    site_remove(&s);
}

/* All that is wrong is told at once, whichever room finds it. */
static void mistakes_are_told_together(void **state)
{
    struct errors errors = {0};
    struct site s;
    char *text;

    (void)state;
    site_make(&s);
    site_write(&s, "a.yaml", STR(SITE_HEAD SITE_REGIONS "services:\n  www.example.org: {}\n"));
    site_write(&s, "example.com.zone", STR(SITE_ZONE "www CNAM x\n"));
    site_write(&s, "geo.mmdb", STR("no database"));
    assert_null(generation_load(site_path(&s, "a.yaml"), NULL, &errors));
    text = errors_to_string(&errors);
    assert_non_null(strstr(text, "no zone here contains the service 'www.example.org'"));
    assert_non_null(strstr(text, "example.com.zone:4:5: error: unknown type CNAM"));
    assert_non_null(strstr(text, "geo.mmdb\": it is not a MaxMind DB file"));
    free(text);
    errors_free(&errors);
    site_remove(&s);
}

#define TWO_ZONES                                                                               \
    "listen: [\"127.0.0.1:5300\"]\nzones:\n  example.com: {file: example.com.zone%s}\n"         \
    "  example.net: example.net.zone\nregions:\n" SITE_REGIONS "services:\n  www.example.com: " \
    "{}\n%s"

static void write_two(struct site *s, const char *setting, const char *more)
{
    char yaml[1024];

    snprintf(yaml, sizeof(yaml), TWO_ZONES, setting, more);
    site_write(s, "a.yaml", str_of(yaml));
}

/* One of two zones changes to this text; what is then said of it, and what is served. */
static void a_broken_zone_stops_nothing_else(void **state)
{
    static const struct {
        const char *name, *text, *setting, *services;
        const char *fault, *error, *warning; /* NULL: none */
        uint32_t serial;                     /* of what is served then; 0: the load is refused */
    } cases[] = {
        {"good", "@ 60 SOA a b 8 1 1 1 1\n@ 60 NS ns.example.net.\n", "", "", NULL, NULL, NULL, 8},
        {"syntax", "@ 60 SOA a b 8 1 1 1 1\n@ 60 NS x.\ny 60 AA 1\n", "", "",
         "example.com.zone:3:6: error: unknown type AA", NULL, NULL, 7},
        {"no SOA", "@ 60 NS x.\n", "", "", "SOA", NULL, NULL, 7},
        {"missing", NULL, "", "", "cannot read the zone file: No such file", NULL, NULL, 7},
        {"missing include", "@ 60 SOA a b 8 1 1 1 1\n@ 60 NS x.\n$INCLUDE none\n", "", "",
         "example.com.zone:3:10: error: cannot read", NULL, NULL, 7},
        {"broken, other services", "@ 60 NS x.\n", "", "  b.example.com: {}\n", NULL,
         "zone 'example.com' cannot keep the version that runs", NULL, 0},
        {"same serial", SITE_ZONE "new A 192.0.2.1\n", "", "", NULL, NULL, "serial is still 7", 7},
        {"serial goes back", "@ 60 SOA a b 5 1 1 1 1\n@ 60 NS x.\n", "", "", NULL, NULL,
         "serial went back from 7 to 5", 5},
        {"serial wraps", "@ 60 SOA a b 2147483654 1 1 1 1\n@ 60 NS x.\n", "", "", NULL, NULL, NULL,
         2147483654},
        {"serial too far", "@ 60 SOA a b 2147483656 1 1 1 1\n@ 60 NS x.\n", "", "", NULL, NULL,
         "serial went back", 2147483656},
        {"only the serial goes back",
         "$TTL 60\n@ SOA ns host 6 3600 600 86400 300\n@ NS ns.example.net.\n", "", "", NULL, NULL,
         "the serial of zone example.com went back from 7 to 6", 6},
        {"only the serial grows",
         "$TTL 60\n@ SOA ns host 8 3600 600 86400 300\n@ NS ns.example.net.\n", "", "", NULL, NULL,
         NULL, 8},
        {"same data", SITE_ZONE "; a remark\n", "", "", NULL, NULL, NULL, 7},
        {"any serial", SITE_ZONE "new A 192.0.2.1\n", ", serial: any", "", NULL, NULL, NULL, 7},
        {"strict", SITE_ZONE "new A 192.0.2.1\n", ", serial: strict", "",
         "serial is still 7; raise it", NULL, NULL, 7},
        {"strict and good", "@ 60 SOA a b 8 1 1 1 1\n@ 60 NS x.\n", ", serial: strict", "", NULL,
         NULL, NULL, 8},
    };
    size_t n_wrong = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct errors errors = {0};
        struct generation *before, *now;
        char *said, *fault = NULL;
        uint32_t serial = 0;
        struct site s;

        site_make(&s);
        write_two(&s, "", "");
        site_write(&s, "example.net.zone", STR("@ 60 SOA a b 1 1 1 1 1\n@ 60 NS x.\n"));
        before = site_load(&s, NULL);
        write_two(&s, cases[i].setting, cases[i].services);
        site_write(&s, "example.net.zone", STR("@ 60 SOA a b 2 1 1 1 1\n@ 60 NS x.\n"));
        if (cases[i].text != NULL)
            site_write(&s, "example.com.zone", str_of(cases[i].text));
        else
            unlink(site_path(&s, "example.com.zone"));
        now = generation_load(site_path(&s, "a.yaml"), before, &errors);
        said = errors_to_string(&errors);
        if (now != NULL) {
            serial = generation_zone(now, 0)->serial;
            fault = generation_zone_fault(now, 0) != NULL
                        ? errors_to_string(generation_zone_fault(now, 0))
                        : NULL;
            assert_int_equal(generation_zone(now, 1)->serial, 2);
            assert_int_equal(generation_broken_zones(now), cases[i].fault != NULL);
        }
        if (serial != cases[i].serial || (fault != NULL) != (cases[i].fault != NULL) ||
            (fault != NULL && strstr(fault, cases[i].fault) == NULL) ||
            (errors.n_errors > 0) != (cases[i].error != NULL) ||
            (cases[i].error != NULL && strstr(said, cases[i].error) == NULL) ||
            (cases[i].warning == NULL && strstr(said, "serial") != NULL) ||
            (cases[i].warning != NULL && strstr(said, cases[i].warning) == NULL)) {
            print_error("%s: serial %u\nfault %s\nsaid %s\n", cases[i].name, serial,
                        fault ? fault : "-", said);
            n_wrong++;
        }
        free(fault);
        free(said);
        errors_free(&errors);
        generation_free(now);
        generation_free(before);
        site_remove(&s);
    }
    assert_int_equal(n_wrong, 0);
}

/* A zone with no version at all is there, and answered SERVFAIL; the next load looks again. */
static void a_zone_without_a_version_is_unavailable(void **state)
{
    struct errors errors = {0};
    struct generation *one, *two;
    struct site s;

    (void)state;
    site_make(&s);
    write_two(&s, "", "");
    site_write(&s, "example.net.zone", STR("@ 60 NS x.\n"));
    one = generation_load(site_path(&s, "a.yaml"), NULL, &errors);
    assert_non_null(one);
    assert_int_equal(errors.n_errors, 0);
    assert_true(zone_is_available(generation_zone(one, 0)));
    assert_false(zone_is_available(generation_zone(one, 1)));
    assert_non_null(generation_zone_fault(one, 1));
    site_write(&s, "example.net.zone", STR("@ 60 SOA a b 1 1 1 1 1\n@ 60 NS x.\n"));
    two = site_load(&s, one);
    assert_true(zone_is_available(generation_zone(two, 1)));
    assert_null(generation_zone_fault(two, 1));
    assert_ptr_equal(generation_zone(two, 0), generation_zone(one, 0));
    generation_free(two);
    generation_free(one);
    site_remove(&s);
}

/* Named zones are read whether they changed or not; the others, broken or not, are left alone. */
static void named_zones_alone_are_read(void **state)
{
    const char *net[] = {"Example.NET.", "other.test"};
    struct generation_wish wish = {.zones = net, .n_zones = 2};
    struct errors errors = {0};
    struct generation *one, *two, *three;
    struct site s;

    (void)state;
    site_make(&s);
    write_two(&s, "", "");
    site_write(&s, "example.net.zone", STR("@ 60 SOA a b 1 1 1 1 1\n@ 60 NS x.\n"));
    one = site_load(&s, NULL);
    site_write(&s, "example.com.zone", STR("broken"));
    two = generation_load(site_path(&s, "a.yaml"), one, &errors);
    assert_int_equal(generation_broken_zones(two), 1);
    site_write(&s, "a.yaml", STR("nothing good"));
    three = generation_reload(&wish, two, &errors);
    assert_non_null(three);
    assert_int_equal(generation_fresh_zones(three), 1);
    assert_int_equal(generation_broken_zones(three), 0);
    assert_ptr_equal(generation_config(three), generation_config(two));
    assert_ptr_equal(generation_zone(three, 0), generation_zone(two, 0));
    assert_ptr_not_equal(generation_zone(three, 1), generation_zone(two, 1));
    assert_non_null(generation_zone_fault(three, 0));
    assert_int_equal(errors.n_errors + errors.n_warnings, 0);
    generation_free(one);
    generation_free(two);
    generation_free(three);
    site_remove(&s);
}

/* A service's number has 16 bits, and one of them stands for none. */
static void too_many_services_are_refused(void **state)
{
    struct errors errors = {0};
    struct text yaml = {0};
    struct site s;
    char *text;

    (void)state;
    site_make(&s);
    text_addf(&yaml, "%s%sservices:\n", SITE_HEAD, SITE_REGIONS);
    for (unsigned i = 0; i <= ZONE_NO_SERVICE; i++)
        text_addf(&yaml, "  s%u.example.com: {}\n", i);
    site_write(&s, "a.yaml", (struct str){yaml.p, yaml.n});
    assert_null(generation_load(site_path(&s, "a.yaml"), NULL, &errors));
    text = errors_to_string(&errors);
    assert_non_null(strstr(text, "services"));
    free(text);
    errors_free(&errors);
    text_free(&yaml);
    site_remove(&s);
}

/* ---- reloads under queries ---- */

enum { ASKERS = 2, RELOADS = 24, BATCH = 8 };

struct asker {
    pthread_t thread;
    const struct snapshot_slot *slot;
    struct metrics_block *counters;
    const bool *is_over;
    size_t n_batches, n_mixed;
};

/* A question for NAME.example.com with the client subnet 192.0.2.0/24. */
static uint32_t write_query(uint8_t *out, const char *name, uint16_t type)
{
    static const uint8_t head[] = {0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1};
    static const uint8_t edns[] = {0, 0, 41, 4, 208, 0, 0,  0, 0,   0, 11,
                                   0, 8, 0,  7, 0,   1, 24, 0, 192, 0, 2};
    struct wire_name wire;
    uint8_t *p = out;

    assert_true(wire_name_parse(str_of(name), &wire));
    p = (uint8_t *)mempcpy(p, head, sizeof(head));
    p = (uint8_t *)mempcpy(p, wire.bytes, wire.length);
    bytes_put_u16(p, type);
    bytes_put_u16(p + 2, WIRE_CLASS_IN);
    p = (uint8_t *)mempcpy(p + 4, edns, sizeof(edns));
    return (uint32_t)(p - out);
}

/* Even queries ask for the service, odd ones for the text record of the same load. */
static bool is_of_one_world(const struct answer_query *queries)
{
    uint8_t version = 0;

    for (size_t i = 0; i < BATCH; i++) {
        uint32_t rdata = queries[i].packet_bytes - 22 + 12; /* behind question and record head */
        uint8_t seen;

        if (queries[i].out_bytes <= rdata + 2 || (queries[i].out[3] & 0x0f) != 0)
            return false;
        seen = queries[i].out[rdata + 1];
        if (i % 2 == 1)
            seen = (uint8_t)(seen - '0');
        if (i > 0 && seen != version)
            return false;
        version = seen;
    }
    return true;
}

static void *ask_worlds(void *arg)
{
    struct asker *r = arg;
    struct answer_context *c = answer_context_new(r->slot, r->counters);
    struct addr source = addr_of_ip(&(struct ip){.family = 4, .bytes = {127, 0, 0, 1}}, 99);
    struct answer_query queries[BATCH];
    uint8_t in[BATCH][128], out[BATCH][512];

    for (size_t i = 0; i < BATCH; i++)
        queries[i] = (struct answer_query){
            .packet = in[i],
            .packet_bytes = i % 2 == 0 ? write_query(in[i], "www.example.com", WIRE_A)
                                       : write_query(in[i], "txt.example.com", WIRE_TXT),
            .source = &source,
            .out = out[i],
            .out_cap_bytes = sizeof(out[i])};
    snapshot_reader_start();
    while (!__atomic_load_n(r->is_over, __ATOMIC_RELAXED)) {
        snapshot_enter();
        answer_batch(c, queries, BATCH);
        snapshot_leave();
        r->n_mixed += !is_of_one_world(queries);
        __atomic_add_fetch(&r->n_batches, 1, __ATOMIC_RELAXED);
    }
    snapshot_reader_stop();
    answer_context_free(c);
    return NULL;
}

/* Version k of everything: addresses 10.k.x.y, one more region and service each time, another
 * database, a zone that says k. */
static void write_version(struct site *s, unsigned k)
{
    struct text yaml = {0}, zone = {0};

    text_addf(&yaml, "%s", SITE_HEAD);
    for (unsigned i = 0; i <= k % 5; i++)
        text_addf(&yaml, "  r%u: {location: [%u, %u], edges: {e%u: [10.%u.%u.1]}}\n", i, 50 - i,
                  8 + 10 * i, i, k, i);
    text_addf(&yaml, "services:\n  www.example.com: {policy: %s}\n",
              k % 3 == 0 ? "failover" : "nearest");
    for (unsigned i = 0; i < k % 4; i++)
        text_addf(&yaml, "  s%u.example.com: {regions: [r%u]}\n", i, i % (k % 5 + 1));
    text_addf(&zone, "%stxt TXT \"%c\"\n", SITE_ZONE, '0' + (char)k);
    site_write(s, "a.yaml", (struct str){yaml.p, yaml.n});
    site_write(s, "example.com.zone", (struct str){zone.p, zone.n});
    site_write_geo(s, k % 2 ? "Test-City" : "Test-Town");
    text_free(&yaml);
    text_free(&zone);
}

struct load {
    const struct site *site;
    const struct generation *previous;
    struct generation *fresh;
};

static void *load_on_a_thread(void *arg)
{
    struct load *l = arg;

    l->fresh = site_load(l->site, l->previous);
    return NULL;
}

/* Loads version k on a thread of its own, and beside it publishes views of what runs, as the node
 * does when health changes. */
static struct generation *load_beside(const struct site *s, struct generation *now,
                                      struct snapshot_slot *slot)
{
    struct load load = {.site = s, .previous = now};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, load_on_a_thread, &load), 0);
    for (int i = 0; now != NULL && i < 4; i++)
        generation_free_world(snapshot_publish(slot, generation_make_world(now, NULL, 0)));
    pthread_join(thread, NULL);
    generation_free_world(snapshot_publish(slot, generation_make_world(load.fresh, NULL, 0)));
    generation_free(now);
    return load.fresh;
}

static void reloads_do_not_disturb_queries(void **state)
{
    struct metrics metrics = {.table = answer_counter_table, .n = ANSWER_COUNTER_COUNT};
    struct asker askers[ASKERS] = {0};
    struct snapshot_slot slot = {NULL};
    struct generation *now;
    bool is_over = false;
    struct site s;

    (void)state;
    site_make(&s);
    write_version(&s, 0);
    now = load_beside(&s, NULL, &slot);
    for (size_t i = 0; i < ASKERS; i++) {
        askers[i] = (struct asker){
            .slot = &slot, .counters = metrics_add_block(&metrics), .is_over = &is_over};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_worlds, &askers[i]), 0);
    }
    for (unsigned k = 1; k <= RELOADS; k++) {
        size_t before = __atomic_load_n(&askers[0].n_batches, __ATOMIC_RELAXED);

        write_version(&s, k);
        now = load_beside(&s, now, &slot);
        while (__atomic_load_n(&askers[0].n_batches, __ATOMIC_RELAXED) == before)
            sched_yield();
    }
    __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
    for (size_t i = 0; i < ASKERS; i++) {
        pthread_join(askers[i].thread, NULL);
        assert_true(askers[i].n_batches >= RELOADS);
        assert_int_equal(askers[i].n_mixed, 0);
    }
    generation_free_world(snapshot_publish(&slot, NULL));
    generation_free(now);
    metrics_free(&metrics);
    site_remove(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_world_follows_health),
        cmocka_unit_test(a_large_region_keeps_all_addresses),
        cmocka_unit_test(unchanged_zones_are_shared),
        cmocka_unit_test(unchanged_steering_is_shared),
        cmocka_unit_test(a_broken_zone_stops_nothing_else),
        cmocka_unit_test(a_zone_without_a_version_is_unavailable),
        cmocka_unit_test(named_zones_alone_are_read),
        cmocka_unit_test(mistakes_are_told_together),
        cmocka_unit_test(too_many_services_are_refused),
        cmocka_unit_test(reloads_do_not_disturb_queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
