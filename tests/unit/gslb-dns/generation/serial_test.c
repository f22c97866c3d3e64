/* SPDX-License-Identifier: BSD-2-Clause */
/* Serials of a zone that is signed here, from load to load: what secondaries see grows with all
 * that changes, and what is said of serials is said of the file's. */
#include "tests/unit/gslb-dns/generation/site.h"
#include "tests/unit/gslb-dns/sign/keys.h"

#include "common/clock/clock.h"

static void write_site(struct site *s, unsigned serial, const char *more, const char *dnssec,
                       const char *services)
{
    struct text yaml = {0}, zone = {0};

    text_addf(&yaml,
              "listen: [\"127.0.0.1:5300\"]\n"
              "geoip:\n  databases: [geo.mmdb]\n"
              "zones:\n  example.com: {file: example.com.zone, dnssec: {keys: %s%s}}\n"
              "regions:\n" SITE_REGIONS "services:\n  www.example.com: {}\n%s",
              keys_folder, dnssec, services);
    site_write(s, "a.yaml", (struct str){yaml.p, yaml.n});
    text_addf(&zone, "$TTL 60\n@ SOA ns host %u 3600 600 86400 300\n@ NS ns.example.net.\n%s",
              serial, more);
    site_write(s, "example.com.zone", (struct str){zone.p, zone.n});
    text_free(&yaml);
    text_free(&zone);
}

/* What grows, and by what law. */
enum law { SAME, BY_FILE, BY_CHANGE, FILE_ALONE, BROKEN };

static uint32_t expect(enum law law, const struct zone *before, const struct sign_signer *s,
                       unsigned file)
{
    uint32_t computed = sign_serial(s, file); /* another tick may have begun meanwhile */

    switch (law) {
    case SAME:
        return (int32_t)(computed - before->serial) > 0 ? computed : before->serial;
    case BY_CHANGE:
        return (int32_t)(computed - before->serial) > 0 ? computed : before->serial + 1;
    case BY_FILE:
        return computed;
    case FILE_ALONE:
        return file;
    case BROKEN:
        break;
    }
    return before->serial;
}

static void serials_grow_with_all_that_changes(void **state)
{
    static const struct {
        const char *name;
        unsigned serial;
        const char *more, *dnssec, *services;
        enum law law;
        const char *said; /* NULL: nothing of serials */
    } cases[] = {
        {"nothing changes", 7, "", "", "", SAME, NULL},
        {"the file's is raised", 8, "", "", "", BY_FILE, NULL},
        {"so is its data", 8, "new A 192.0.2.1\n", "", "", BY_FILE, NULL},
        {"its data alone changes", 7, "new A 192.0.2.1\n", "", "", BY_CHANGE,
         "the data of zone example.com changed, but its serial is still 7"},
        {"other settings", 7, "", ", denial: nsec3", "", BY_CHANGE, NULL},
        {"another service", 7, "", "", "  b.example.com: {}\n", BY_CHANGE, NULL},
        {"the file's goes back", 6, "", "", "", BY_FILE,
         "the serial of zone example.com went back from 7 to 6"},
        {"RFC 1982: the file's is raised as far as can be", 2147483654, "", "", "", BY_FILE, NULL},
        {"kept from now on", 7, "", ", serial: keep", "", FILE_ALONE,
         "the served serial of zone example.com goes back"},
        {"moments, and the file's is none", 2026113001, "", ", serial: unixtime", "", BROKEN,
         "the serial 2026113001 of zone example.com is no moment that has been"},
    };
    size_t n_wrong = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct errors errors = {0};
        struct generation *before, *now;
        uint32_t want;
        struct site s;
        char *said;

        keys_begin();
        keys_make(SIGN_ED25519, SIGN_FLAGS_SEP, clock_wall_s() - 86400);
        site_make(&s);
        write_site(&s, 7, "", "", "");
        before = site_load(&s, NULL);
        assert_int_equal(generation_zone(before, 0)->serial,
                         sign_serial(generation_signer(before, 0), 7));
        write_site(&s, cases[i].serial, cases[i].more, cases[i].dnssec, cases[i].services);
        now = generation_load(site_path(&s, "a.yaml"), before, &errors);
        assert_non_null(now);
        assert_int_equal(generation_broken_zones(now), cases[i].law == BROKEN);
        want = expect(cases[i].law, generation_zone(before, 0), generation_signer(now, 0),
                      cases[i].serial);
        generation_take_faults(now, &errors);
        said = errors_to_string(&errors);
        if (generation_zone(now, 0)->serial != want ||
            (cases[i].said == NULL && strstr(said, "serial") != NULL) ||
            (cases[i].said != NULL && strstr(said, cases[i].said) == NULL)) {
            print_error("%s: serial %u, not %u; said %s\n", cases[i].name,
                        generation_zone(now, 0)->serial, want, said);
            n_wrong++;
        }
        free(said);
        errors_free(&errors);
        generation_free(now);
        generation_free(before);
        site_remove(&s);
        keys_end();
    }
    assert_int_equal(n_wrong, 0);
}

/* A change that no clock tells is not lost when the zone is signed anew from memory; and nodes
 * without that past agree again with the next tick. */
static void what_was_raised_stays_raised(void **state)
{
    struct generation_wish renewal = {0};
    struct errors errors = {0};
    struct generation *one, *two, *three;
    struct site s;

    (void)state;
    keys_begin();
    keys_make(SIGN_ED25519, SIGN_FLAGS_SEP, clock_wall_s() - 86400);
    site_make(&s);
    write_site(&s, 7, "", "", "");
    one = site_load(&s, NULL);
    write_site(&s, 7, "new A 192.0.2.1\n", "", "");
    two = site_load(&s, one);
    three = generation_reload(&renewal, two, &errors);
    assert_non_null(three);
    assert_int_equal(generation_zone(three, 0)->file_serial, 7);
    assert_int_equal(generation_zone(three, 0)->serial,
                     expect(SAME, generation_zone(two, 0), generation_signer(three, 0), 7));
    errors_free(&errors);
    generation_free(three);
    generation_free(two);
    generation_free(one);
    site_remove(&s);
    keys_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serials_grow_with_all_that_changes),
        cmocka_unit_test(what_was_raised_stays_raised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
