/* SPDX-License-Identifier: BSD-2-Clause */
/* Signed steered answers: every set of addresses that an answer may hold has a signature that ldns
 * verifies with the zone's own keys, whatever the health; and each is made once, by the load. */
#include "gslb-dns/generation/generation_internal.h"

#include "tests/unit/gslb-dns/generation/site.h"
#include "tests/unit/gslb-dns/sign/keys.h"

#include "common/bytes/bytes.h"
#include "common/clock/clock.h"

#include <ldns/ldns.h>

enum { EU, US, PACKET_BYTES = 4096 };

static const uint8_t WWW[] = "\3www\7example\3com";

static void write_config(struct site *s, const char *service)
{
    struct text yaml = {0};

    text_addf(&yaml,
              "listen: [\"127.0.0.1:5300\"]\n"
              "geoip:\n  databases: [geo.mmdb]\n"
              "zones:\n  example.com: {file: example.com.zone, dnssec: {keys: %s}}\n"
              "regions:\n" SITE_REGIONS "services:\n  www.example.com: %s\n",
              keys_folder, service);
    site_write(s, "a.yaml", (struct str){yaml.p, yaml.n});
    text_free(&yaml);
}

static ldns_rr *read_record(const uint8_t *packet, size_t n, size_t *at)
{
    ldns_rr *rr = NULL;

    assert_int_equal(ldns_wire2rr(&rr, packet, n, at, LDNS_SECTION_ANSWER), LDNS_STATUS_OK);
    return rr;
}

static ldns_rr_list *dnskeys_of(const struct sign_signer *s)
{
    ldns_rr_list *keys = ldns_rr_list_new();
    size_t n;
    const struct sign_apex_rrset *apex = sign_apex_rrsets(s, &n);

    for (size_t i = 0; i < apex[0].n; i++) {
        uint8_t wire[512] = "\7example\3com";
        struct writer w = writer_of(wire + 13, sizeof(wire) - 13);
        size_t at = 0;

        writer_u16(&w, WIRE_DNSKEY);
        writer_u16(&w, WIRE_CLASS_IN);
        writer_u32(&w, apex[0].ttl_s);
        writer_u16(&w, apex[0].rdata[i].n);
        writer_add(&w, apex[0].rdata[i].bytes, apex[0].rdata[i].n);
        ldns_rr_list_push_rr(keys, read_record(wire, (size_t)(w.p - wire), &at));
    }
    return keys;
}

static const uint8_t *sigs_of(const struct world_addresses *a, size_t record_bytes)
{
    return a->wire + a->count * record_bytes;
}

/* The answer that holds n addresses from number first on, read and verified as a resolver would. */
static void verify_window(const struct world_addresses *a, size_t record_bytes, size_t first,
                          size_t n, const uint8_t *sigs, ldns_rr_list *keys)
{
    uint8_t packet[PACKET_BYTES] = {0};
    struct writer w = writer_of(packet + 12, sizeof(packet) - 12);
    ldns_rr_list *rrs = ldns_rr_list_new(), *rrsigs = ldns_rr_list_new(),
                 *good = ldns_rr_list_new();
    size_t at;

    writer_add(&w, WWW, sizeof(WWW));
    writer_u32(&w, 0);
    at = (size_t)(w.p - packet);
    for (size_t i = 0; i < n; i++)
        writer_add(&w, a->wire + (first + i) % a->count * record_bytes, record_bytes);
    writer_add(&w, sigs, a->sig_bytes);
    for (size_t i = 0; i < n; i++)
        ldns_rr_list_push_rr(rrs, read_record(packet, (size_t)(w.p - packet), &at));
    for (size_t i = 0; i < a->n_sigs; i++)
        ldns_rr_list_push_rr(rrsigs, read_record(packet, (size_t)(w.p - packet), &at));
    assert_true(packet + at == w.p);
    assert_int_equal(ldns_verify(rrs, rrsigs, keys, good), LDNS_STATUS_OK);
    ldns_rr_list_free(good);
    ldns_rr_list_deep_free(rrs);
    ldns_rr_list_deep_free(rrsigs);
}

/* How many signed sets there were. */
static size_t verify_addresses(const struct world_addresses *a, size_t record_bytes, size_t most,
                               ldns_rr_list *keys)
{
    size_t n_windows = a->count <= most ? 1 : a->count, n = a->count <= most ? a->count : most;

    if (a->count == 0)
        return 0;
    assert_true(a->n_sigs > 0);
    for (size_t w = 0; w < n_windows; w++)
        verify_window(a, record_bytes, w, n, sigs_of(a, record_bytes) + w * a->sig_bytes, keys);
    return n_windows;
}

static size_t verify_world(const struct world *w, size_t most, ldns_rr_list *keys)
{
    const struct world_service_view *v = &w->views[0];
    size_t n_sites = v->mode == WORLD_FALLBACK ? 1 : US + 1, n = 0;

    for (size_t k = 0; v->sites != NULL && k < n_sites; k++) {
        n += verify_addresses(&v->sites[k].a, WORLD_A_BYTES, most, keys);
        n += verify_addresses(&v->sites[k].aaaa, WORLD_AAAA_BYTES, most, keys);
    }
    return n;
}

static struct health *health_of(const struct generation *g, const bool is_down[3])
{
    const struct config *c = generation_config(g);
    struct health_settings settings = {c->health.stale_after_ms, c->health.down_threshold,
                                       c->health.up_threshold, c->health.keep_last_view_ms};
    struct health *h = health_new(c->n_edges, &settings, 1000);

    for (size_t e = 0; e < 3; e++)
        health_on_report(h, e, !is_down[e], "test", 2000);
    return h;
}

static void every_set_is_signed(void **state)
{
    static const struct {
        const char *name, *service;
        bool is_down[3];
        size_t most, n_sets;
    } cases[] = {
        {"all in one answer", "{}", {0}, 8, 4},
        {"one of two at a time", "{max-addresses: 1}", {0}, 1, 5},
        {"one edge down", "{max-addresses: 1}", {0, 1, 0}, 1, 3},
        {"all down: all are served", "{}", {1, 1, 1}, 8, 4},
        {"all down: fallback",
         "{all-down: fallback, fallback: [203.0.113.1, 203.0.113.2]}",
         {1, 1, 1},
         8,
         1},
        {"all down: refused", "{all-down: refuse}", {1, 1, 1}, 8, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct site s;
        struct generation *g;
        struct health *h;
        struct world *w;
        ldns_rr_list *keys;
        size_t n;

        keys_begin();
        keys_make(SIGN_ECDSAP256SHA256, SIGN_FLAGS_SEP, clock_wall_s());
        site_make(&s);
        write_config(&s, cases[i].service);
        g = site_load(&s, NULL);
        keys = dnskeys_of(generation_signer(g, 0));
        h = health_of(g, cases[i].is_down);
        w = generation_make_world(g, h, 1);
        n = verify_world(w, cases[i].most, keys);
        if (n != cases[i].n_sets)
            fail_msg("%s: %zu signed sets, want %zu", cases[i].name, n, cases[i].n_sets);
        generation_free_world(w);
        health_free(h);
        ldns_rr_list_deep_free(keys);
        generation_free(g);
        site_remove(&s);
        keys_end();
    }
}

static struct generation *load_later(const struct site *s, const struct generation *previous)
{
    struct generation *g = site_load(s, previous);

    assert_ptr_equal(g->signatures, previous->signatures);
    return g;
}

/* What the load has signed, a world takes: with all edges up nothing is signed for it, and with one
 * down only the set that is left. A reload keeps it all, and gives the same bytes. */
static void the_load_signs_and_a_reload_keeps(void **state)
{
    static const bool all_up[3] = {0}, one_down[3] = {0, 1, 0};
    struct site s;
    struct generation *g, *next;
    struct health *up, *down;
    struct world *before, *after;
    const struct world_addresses *x, *y;
    uint64_t n;

    (void)state;
    keys_begin();
    keys_make(SIGN_ED25519, SIGN_FLAGS_SEP, clock_wall_s());
    site_make(&s);
    write_config(&s, "{all-down: fallback, fallback: [203.0.113.1, 203.0.113.2]}");
    g = site_load(&s, NULL);
    up = health_of(g, all_up);
    down = health_of(g, one_down);
    n = steered_signatures_made(g->signatures);
    assert_int_equal(n, 5); /* two regions, two families; the fallback */
    before = generation_make_world(g, up, 1);
    generation_free_world(generation_make_world(g, NULL, 1));
    assert_int_equal(steered_signatures_made(g->signatures), n);
    generation_free_world(generation_make_world(g, down, 2));
    assert_int_equal(steered_signatures_made(g->signatures), n + 1);

    next = load_later(&s, g);
    generation_free(g);
    after = generation_make_world(next, up, 3);
    generation_free_world(generation_make_world(next, down, 4));
    assert_int_equal(steered_signatures_made(next->signatures), n + 1);
    x = &before->views[0].sites[US].a;
    y = &after->views[0].sites[US].a;
    assert_int_equal(x->sig_bytes, y->sig_bytes);
    assert_memory_equal(sigs_of(x, WORLD_A_BYTES), sigs_of(y, WORLD_A_BYTES), x->sig_bytes);

    generation_free_world(before);
    generation_free_world(after);
    health_free(up);
    health_free(down);
    generation_free(next);
    site_remove(&s);
    keys_end();
}

/* Other keys sign all anew, also where the bytes take the place of the old ones. */
static void other_keys_sign_anew(void **state)
{
    static const struct {
        const char *name;
        uint8_t before, after;
    } cases[] = {
        {"another key", SIGN_ECDSAP256SHA256, SIGN_ECDSAP256SHA256},
        {"another algorithm", SIGN_ED25519, SIGN_ECDSAP384SHA384},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct site s;
        struct generation *g, *next;
        struct world *w;
        ldns_rr_list *keys;
        uint64_t n;

        keys_begin();
        keys_make(cases[i].before, SIGN_FLAGS_SEP, clock_wall_s());
        site_make(&s);
        write_config(&s, "{}");
        g = site_load(&s, NULL);
        n = steered_signatures_made(g->signatures);
        keys_end();
        keys_begin();
        keys_make(cases[i].after, SIGN_FLAGS_SEP, clock_wall_s());
        write_config(&s, "{}");
        next = load_later(&s, g);
        assert_int_equal(steered_signatures_made(next->signatures), 2 * n);
        keys = dnskeys_of(generation_signer(next, 0));
        w = generation_make_world(next, NULL, 2);
        if (verify_world(w, 8, keys) != n)
            fail_msg("%s", cases[i].name);
        generation_free_world(w);
        ldns_rr_list_deep_free(keys);
        generation_free(g);
        generation_free(next);
        site_remove(&s);
        keys_end();
    }
}

static void an_unsigned_zone_has_no_signatures(void **state)
{
    struct site s;
    struct generation *g;
    struct world *w;

    (void)state;
    site_make(&s);
    g = site_load(&s, NULL);
    w = generation_make_world(g, NULL, 1);
    assert_int_equal(w->views[0].sites[US].a.count, 2);
    assert_int_equal(w->views[0].sites[US].a.n_sigs, 0);
    assert_int_equal(w->views[0].sites[US].a.sig_bytes, 0);
    generation_free_world(w);
    generation_free(g);
    site_remove(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_is_signed),
        cmocka_unit_test(the_load_signs_and_a_reload_keeps),
        cmocka_unit_test(other_keys_sign_anew),
        cmocka_unit_test(an_unsigned_zone_has_no_signatures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
