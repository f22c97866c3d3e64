/* SPDX-License-Identifier: BSD-2-Clause */
/* The compiled map: the class and scope of single addresses in small databases, then an audit of
 * every scope that the shipped database leads to. */
#include "gslb-dns/geo/geo.h"
#include "tests/unit/gslb-dns/geo/mmdb_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define SHIPPED "deploy/geoip/geo-whois-asn-country.mmdb"

static struct ip ip_of(const char *text)
{
    struct ip ip;

    assert_true(ip_parse(str_of(text), &ip));
    return ip;
}

static struct geo_db *open_bytes(struct text bytes)
{
    struct errors errors = {0};
    int fd = memfd_create("test", MFD_CLOEXEC);
    char name[32];
    const char *path = name;
    struct geo_db *db;

    assert_int_equal(write(fd, bytes.p, bytes.n), bytes.n);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    db = geo_open(&path, 1, &errors, (struct place){0});
    if (db == NULL)
        errors_print(&errors, stderr);
    assert_non_null(db);
    close(fd);
    return db;
}

static struct geo_db *open_mmdb(struct mmdb *m)
{
    struct text bytes = mmdb_finish(m);
    struct geo_db *db = open_bytes(bytes);

    text_free(&bytes);
    return db;
}

/* Each country is a class of its own: DE is what class_of("DE") says. arg counts the calls. */
static uint32_t class_of(const char *country)
{
    return 1 + (uint32_t)(country[0] - 'A') * 26 + (uint32_t)(country[1] - 'A');
}

static uint32_t by_country(void *arg, const struct geo_location *where)
{
    ++*(unsigned *)arg;
    return where == NULL || !where->has_country ? 0 : class_of(where->country);
}

static struct geo_map *compile(const struct geo_db *db, const struct geo_override *overrides,
                               size_t n, unsigned *calls)
{
    struct geo_plan plan = {
        .classify = by_country, .arg = calls, .overrides = overrides, .n_overrides = n};
    struct errors errors = {0};
    struct geo_places *places = db == NULL ? NULL : geo_places_read(db, NULL, &errors);
    struct geo_map *map;

    *calls = 0;
    map = geo_compile(places, &plan, NULL, &errors);
    geo_places_free(places); /* the map stands alone */
    assert_non_null(map);
    assert_int_equal(errors.n_errors + errors.n_warnings, 0);
    return map;
}

struct want {
    const char *ip;
    const char *country; /* NULL: no location */
    unsigned scope;
};

static void expect(const struct geo_map *map, const struct want *wants, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct ip ip = ip_of(wants[i].ip);
        struct geo_class found;

        geo_prefetch(map, &ip);
        found = geo_find(map, &ip);
        if (found.scope != wants[i].scope ||
            found.class_id != (wants[i].country == NULL ? 0 : class_of(wants[i].country)))
            fail_msg("%s: class %u, scope %u", wants[i].ip, found.class_id, found.scope);
    }
}

static void test_no_database(void **state)
{
    static const struct want wants[] = {
        {"192.0.2.1", NULL, 0}, {"2001:db8::1", NULL, 3}, {"::ffff:192.0.2.1", NULL, 96}};
    unsigned calls;
    struct geo_map *map = compile(NULL, NULL, 0, &calls);
    struct ip v6 = ip_of("8000::1");

    expect(map, wants, 1);
    assert_int_equal(geo_find(map, &v6).class_id, 0);
    assert_int_equal(calls, 1);
    assert_int_equal(geo_map_get_stats(map).leaves_v4, 1);
    geo_map_free(map);
}

static void test_siblings_join(void **state)
{
    static const struct want wants[] = {
        {"10.0.0.0", "DE", 22},                           /* 0, 1, 2 and 3 are one */
        {"10.0.3.255", "DE", 22},                         /* … to its end */
        {"10.0.4.0", "FR", 24},                           /* not joined across: 5 differs */
        {"10.0.5.0", "DE", 24},   {"10.0.6.0", "DE", 23}, /* two records, one class */
        {"10.0.8.0", NULL, 21},                           /* the hole up to the next power of two */
        {"11.0.0.0", NULL, 8},    {"255.255.255.255", NULL, 1}, {"192.0.2.1", NULL, 1},
    };
    struct mmdb m = mmdb_new(4, 24, "Test");
    uint32_t de = mmdb_put_flat(&m, "DE", 0, 0, 0), fr = mmdb_put_flat(&m, "FR", 0, 0, 0);
    uint32_t too = mmdb_put_flat(&m, "DE", 'd', 48.1, 11.5);
    struct geo_db *db;
    struct geo_map *map;
    struct geo_map_stats stats;
    unsigned calls;

    mmdb_add(&m, "10.0.0.0/24", de);
    mmdb_add(&m, "10.0.1.0/24", too);
    mmdb_add(&m, "10.0.2.0/23", de);
    mmdb_add(&m, "10.0.4.0/24", fr);
    mmdb_add(&m, "10.0.5.0/24", de);
    mmdb_add(&m, "10.0.6.0/24", too);
    mmdb_add(&m, "10.0.7.0/24", de);
    db = open_mmdb(&m);
    map = compile(db, NULL, 0, &calls);
    geo_close(db);
    expect(map, wants, COUNT_OF(wants));
    stats = geo_map_get_stats(map);
    assert_int_equal(stats.records, 3);
    assert_int_equal(stats.places, 3);
    assert_int_equal(calls, 4);
    assert_int_equal(stats.damaged_records, 0);
    assert_true(stats.bytes > 2 * 65536 * 4);
    geo_map_free(map);
}

/* Each depth, so that every step of the search and its last bits are passed. */
static void test_every_depth(void **state)
{
    for (unsigned family = 4; family <= 6; family += 2) {
        unsigned bits = family == 4 ? 32 : 128;
        const char *base =
            family == 4 ? "203.85.170.85" : "fd55:aaaa:5555:aaaa:5555:aaaa:5555:aaab";
        /* Beside 8000::/1 lies the embedded IPv4. */
        for (unsigned length = family == 4 ? 1 : 2; length <= bits; length++) {
            struct mmdb m = mmdb_new(family, 28, "Test");
            struct ip ip = ip_of(base), other;
            char net[ADDR_TEXT], prefix[ADDR_TEXT + 8];
            struct geo_db *db;
            struct geo_map *map;
            struct geo_class found;
            unsigned calls;

            ip_mask(&ip, length);
            snprintf(prefix, sizeof(prefix), "%s/%u", ip_format(&ip, net), length);
            mmdb_add(&m, prefix, mmdb_put_flat(&m, "DE", 0, 0, 0));
            db = open_mmdb(&m);
            map = compile(db, NULL, 0, &calls);
            found = geo_find(map, &ip);
            if (found.class_id != class_of("DE") || found.scope != length)
                fail_msg("%s: class %u, scope %u", prefix, found.class_id, found.scope);
            other = ip;
            other.bytes[(length - 1) / 8] ^= (uint8_t)(0x80 >> (length - 1) % 8);
            found = geo_find(map, &other);
            if (found.class_id != 0 || found.scope != length)
                fail_msg("beside %s: class %u, scope %u", prefix, found.class_id, found.scope);
            geo_map_free(map);
            geo_close(db);
        }
    }
}

static void test_embedded(void **state)
{
    static const struct want wants[] = {
        {"192.0.2.1", "DE", 24},
        {"::192.0.2.1", "DE", 120},
        {"::ffff:192.0.2.1", "DE", 120},
        {"::ffff:0:192.0.2.1", "DE", 120},
        {"64:ff9b::192.0.2.1", "DE", 120},
        {"2002:c000:201::1", "DE", 40},
        {"2002:c000:301::1", NULL, 40},
        {"2001:0:1:2:3:4:3fff:fdfe", "DE", 120}, /* 192.0.2.1 inverted */
        {"2001:0:1:2::", NULL, 99},              /* cut short: the scope says what is missing */
        {"2001:db8::1", "JP", 32},
        {"2003::", NULL, 16},
    };
    struct mmdb m = mmdb_new(6, 28, "Test");
    struct geo_db *db;
    struct geo_map *map;
    unsigned calls;

    mmdb_add(&m, "2001:db8::/32", mmdb_put_flat(&m, "JP", 0, 0, 0));
    mmdb_add(&m, "192.0.2.0/24", mmdb_put_flat(&m, "DE", 0, 0, 0));
    mmdb_link(&m, "2002::/16", mmdb_v4_root(&m)); /* as MaxMind's files have it */
    mmdb_link(&m, "::ffff:0:0/96", mmdb_v4_root(&m));
    db = open_mmdb(&m);
    map = compile(db, NULL, 0, &calls);
    expect(map, wants, COUNT_OF(wants));
    geo_map_free(map);
    geo_close(db);
}

static void test_overrides(void **state)
{
    static const struct {
        const char *prefix, *country;
    } rows[] = {
        {"192.0.2.64/26", "US"},   {"192.0.0.0/16", "BR"}, {"192.0.2.65/32", "CA"},
        {"198.51.100.0/24", "FR"}, {"2001::/16", "AU"},    {"2002:c000:200:1::/64", "NZ"},
        {"198.51.100.0/24", "IT"}, /* the later one of two */
        {"203.0.113.0/25", "DE"},
    };
    static const struct want wants[] = {
        {"192.0.2.64", "US", 32},
        {"192.0.2.65", "CA", 32},
        {"192.0.2.66", "US", 31},
        {"192.0.2.1", "BR", 26}, /* the override covers the database's DE */
        {"192.0.255.1", "BR", 17},
        {"192.1.0.0", NULL, 16},
        {"198.51.100.7", "IT", 24},
        {"203.0.113.0", "DE", 24}, /* joins with what the database says beside it */
        {"2001:db8::1", "AU", 21},
        {"2001:0:1:2:3:4:3fff:fdbe", "CA", 128}, /* Teredo stays longer than 2001::/16 */
        {"2002:c000:200:1::5", "NZ", 64},
        {"2002:c000:200::5", "BR", 64},
        {"2002:c000:241::5", "CA", 48},
    };
    struct geo_override overrides[COUNT_OF(rows)];
    struct mmdb m = mmdb_new(6, 24, "Test");
    struct geo_db *db;
    struct geo_map *map;
    unsigned calls;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_true(prefix_parse(str_of(rows[i].prefix), &overrides[i].prefix));
        overrides[i].class_id = class_of(rows[i].country);
    }
    mmdb_add(&m, "192.0.2.0/24", mmdb_put_flat(&m, "DE", 0, 0, 0));
    mmdb_add(&m, "203.0.113.128/25", mmdb_put_flat(&m, "DE", 0, 0, 0));
    db = open_mmdb(&m);
    map = compile(db, overrides, COUNT_OF(overrides), &calls);
    expect(map, wants, COUNT_OF(wants));
    geo_map_free(map);
    geo_close(db);
}

/* Inside an override the class goes by the place and by the override. */
static uint32_t by_both(void *arg, const struct geo_location *where, uint32_t number)
{
    ++*(unsigned *)arg;
    return number * 1000 + (where == NULL ? 0 : class_of(where->country));
}

static void test_within_overrides(void **state)
{
    static const struct {
        const char *prefix;
        uint32_t number;
    } rows[] = {{"192.0.0.0/16", 1}, {"192.0.2.64/26", 2}, {"2001:db8::/32", 3}};
    static const struct {
        const char *ip;
        uint32_t number;
        const char *country; /* NULL: none */
        uint8_t scope;
    } wants[] = {
        {"192.0.0.1", 1, NULL, 23},      {"192.0.2.1", 1, "DE", 26},
        {"192.0.2.65", 2, "DE", 26},     {"192.0.2.130", 1, "FR", 25},
        {"192.1.0.1", 0, NULL, 16},      {"2001:db8:1::1", 3, NULL, 48},
        {"2001:db8:0:5::", 3, "DE", 48}, {"::ffff:192.0.2.65", 2, "DE", 122},
    };
    struct geo_override overrides[COUNT_OF(rows)];
    unsigned calls = 0;
    struct geo_plan plan = {by_country, &calls, by_both, overrides, COUNT_OF(rows)};
    struct mmdb m = mmdb_new(6, 24, "Test");
    struct errors errors = {0};
    struct geo_places *places;
    struct geo_db *db;
    struct geo_map *map;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_true(prefix_parse(str_of(rows[i].prefix), &overrides[i].prefix));
        overrides[i].class_id = rows[i].number;
    }
    mmdb_add(&m, "192.0.2.0/25", mmdb_put_flat(&m, "DE", 0, 0, 0));
    mmdb_add(&m, "192.0.2.128/25", mmdb_put_flat(&m, "FR", 0, 0, 0));
    mmdb_add(&m, "2001:db8::/48", mmdb_put_flat(&m, "DE", 0, 0, 0));
    db = open_mmdb(&m);
    places = geo_places_read(db, NULL, &errors);
    map = geo_compile(places, &plan, NULL, &errors);
    assert_non_null(map);
    for (size_t i = 0; i < COUNT_OF(wants); i++) {
        struct ip ip = ip_of(wants[i].ip);
        struct geo_class found = geo_find(map, &ip);
        uint32_t want =
            wants[i].number * 1000 + (wants[i].country ? class_of(wants[i].country) : 0);

        if (found.class_id != want || found.scope != wants[i].scope)
            fail_msg("%s: class %u, scope %u; not %u, %u", wants[i].ip, found.class_id, found.scope,
                     want, wants[i].scope);
    }
    geo_map_free(map);
    geo_places_free(places);
    geo_close(db);
}

/* ---- damage that opening does not see ---- */

static void expect_refused(struct geo_db *db, const char *part)
{
    struct errors errors = {0};

    assert_null(geo_places_read(db, NULL, &errors));
    assert_int_equal(errors.n_errors, 1);
    if (strstr(errors.items[0].message, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", errors.items[0].message, part);
    errors_free(&errors);
    geo_close(db);
}

static void test_loops(void **state)
{
    struct mmdb m = mmdb_new(4, 24, "Test"), n = mmdb_new(6, 24, "Test");
    int64_t at = 1;

    /* The node below 0.0.0.0/1 is its own child. */
    mmdb_add(&m, "10.0.0.0/8", mmdb_put_flat(&m, "DE", 0, 0, 0));
    mmdb_link(&m, "64.0.0.0/2", 1);
    expect_refused(open_mmdb(&m), "deeper than an address");
    /* No loop, but every node twice in the next: without a limit 2^60 visits. */
    mmdb_add(&n, "4000::/2", mmdb_put_flat(&n, "DE", 0, 0, 0));
    for (unsigned i = 0; i < 60; i++) {
        int64_t next = mmdb_add_node(&n);
        n.nodes[at].child[0] = n.nodes[at].child[1] = next;
        at = next;
    }
    mmdb_add(&n, "8000::/1", mmdb_put_flat(&n, "DE", 0, 0, 0));
    expect_refused(open_mmdb(&n), "search tree is damaged");
}

static void test_record_outside(void **state)
{
    struct mmdb m = mmdb_new(4, 24, "Test");

    mmdb_add(&m, "10.0.0.0/8", mmdb_put_flat(&m, "DE", 0, 0, 0));
    mmdb_add(&m, "192.0.2.0/24", 1000000);
    expect_refused(open_mmdb(&m), "points outside the file");
}

static void test_damaged_record(void **state)
{
    struct mmdb m = mmdb_new(4, 24, "Test");
    unsigned calls = 0;
    struct geo_plan plan = {.classify = by_country, .arg = &calls};
    struct errors errors = {0};
    struct geo_db *db;
    struct geo_places *places;
    struct geo_map *map;
    struct ip ip = ip_of("192.0.2.1");
    uint32_t bad;

    mmdb_add(&m, "10.0.0.0/8", mmdb_put_flat(&m, "DE", 0, 0, 0));
    bad = (uint32_t)m.data.n;
    mmdb_map(&m.data, 1);
    mmdb_pointer(&m.data, bad + 3); /* the key is a pointer to a pointer */
    mmdb_pointer(&m.data, bad + 1);
    mmdb_add(&m, "192.0.2.0/24", bad);
    db = open_mmdb(&m);
    places = geo_places_read(db, NULL, &errors);
    assert_non_null(places);
    map = geo_compile(places, &plan, NULL, &errors);
    geo_places_free(places);
    assert_non_null(map);
    assert_int_equal(geo_map_get_stats(map).damaged_records, 1);
    assert_int_equal(errors.n_warnings, 1);
    assert_int_equal(geo_find(map, &ip).class_id, 0);
    errors_free(&errors);
    geo_map_free(map);
    geo_close(db);
}

/* ---- the audit ---- */

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Any address in a prefix. */
static struct ip random_ip_in(const struct prefix *p)
{
    struct ip ip = p->ip;

    for (unsigned i = p->length; i < ip_bits(&ip); i++)
        ip.bytes[i / 8] |= (uint8_t)((next_random() & 1) << (7 - i % 8));
    return ip;
}

static struct ip last_ip_in(const struct prefix *p)
{
    struct ip ip = p->ip;

    for (unsigned i = p->length; i < ip_bits(&ip); i++)
        ip.bytes[i / 8] |= (uint8_t)(0x80 >> i % 8);
    return ip;
}

/* Whether b begins at the address after a's last one. */
static bool is_next(const struct ip *last, const struct ip *first)
{
    struct ip next = *last;

    for (unsigned i = ip_bits(last) / 8; i-- > 0;)
        if (++next.bytes[i] != 0)
            break;
    return ip_eq(&next, first);
}

struct audit {
    const struct geo_map *map;
    const struct geo_db *db;
    unsigned leaves, located;
    struct prefix before;
    uint32_t class_before;
    struct prefix *all; /* where random addresses are then taken from */
    size_t n_all, all_cap;
};

static void audit_leaf(void *arg, const struct prefix *leaf, uint32_t class_id)
{
    struct audit *a = arg;
    struct ip ends[3] = {leaf->ip, last_ip_in(leaf), random_ip_in(leaf)}, start = leaf->ip;
    struct ip last_before = last_ip_in(&a->before), parents[2] = {leaf->ip, a->before.ip};

    ip_mask(&start, leaf->length);
    assert_true(ip_eq(&start, &leaf->ip));
    if (a->leaves++ > 0)
        assert_true(is_next(&last_before, &leaf->ip));
    for (size_t i = 0; i < COUNT_OF(ends) && class_id != GEO_CLASS_EMBEDDED; i++) {
        struct geo_class found = geo_find(a->map, &ends[i]);
        assert_int_equal(found.class_id, class_id);
        assert_int_equal(found.scope, leaf->length);
    }
    if (a->leaves > 1 && a->before.length == leaf->length && a->class_before == class_id &&
        class_id != GEO_CLASS_EMBEDDED) {
        ip_mask(&parents[0], leaf->length - 1u);
        ip_mask(&parents[1], leaf->length - 1u);
        assert_false(ip_eq(&parents[0], &parents[1])); /* siblings of one class are joined */
    }
    a->before = *leaf;
    a->class_before = class_id;
    BASE_GROW(a->all, a->n_all, a->all_cap);
    a->all[a->n_all++] = *leaf;
}

/* The map's answer against the database's own, and the whole scope against both. */
static void audit_address(struct audit *a, const struct ip *ip)
{
    struct geo_class found = geo_find(a->map, ip), again;
    struct geo_location where;
    struct prefix scope = {*ip, found.scope};
    unsigned bits, calls = 0;
    bool is_located = geo_locate(a->db, ip, &where, &bits);
    struct ip other;

    assert_int_equal(found.class_id, by_country(&calls, is_located ? &where : NULL));
    a->located += is_located;
    ip_mask(&scope.ip, scope.length);
    other = random_ip_in(&scope);
    again = geo_find(a->map, &other);
    assert_int_equal(again.class_id, found.class_id);
    assert_int_equal(again.scope, found.scope);
}

static void audit_family(struct audit *a, int family, unsigned expected_leaves)
{
    struct ip end;
    static const uint8_t ones[16] = {255, 255, 255, 255, 255, 255, 255, 255,
                                     255, 255, 255, 255, 255, 255, 255, 255};

    a->leaves = a->located = 0;
    a->n_all = 0;
    geo_map_visit(a->map, family, audit_leaf, a);
    assert_int_equal(a->leaves, expected_leaves);
    end = last_ip_in(&a->before);
    assert_memory_equal(end.bytes, ones, family == 4 ? 4 : 16);
    for (unsigned i = 0; i < 150000; i++) {
        struct ip ip = random_ip_in(&a->all[next_random() % a->n_all]);
        audit_address(a, &ip);
    }
    assert_true(a->located > 50000);
    print_message("IPv%d: %u leaves, %u of 150000 addresses have a location\n", family, a->leaves,
                  a->located);
}

static void test_audit(void **state)
{
    const char *path = SHIPPED;
    struct errors errors = {0};
    struct geo_db *db = geo_open(&path, 1, &errors, (struct place){0});
    unsigned calls;
    struct geo_map *map;
    struct geo_map_stats stats;
    struct audit a = {0};

    assert_non_null(db);
    map = compile(db, NULL, 0, &calls);
    stats = geo_map_get_stats(map);
    assert_int_equal(calls, stats.places + 1);
    a.map = map;
    a.db = db;
    audit_family(&a, 4, stats.leaves_v4);
    audit_family(&a, 6, stats.leaves_v6);
    for (unsigned i = 0; i < 50000; i++) {
        struct ip ip = {.family = 4};
        uint64_t r = next_random();
        memcpy(ip.bytes, &r, 4);
        audit_address(&a, &ip);
    }
    free(a.all);
    geo_map_free(map);
    geo_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_database),    cmocka_unit_test(test_siblings_join),
        cmocka_unit_test(test_every_depth),    cmocka_unit_test(test_embedded),
        cmocka_unit_test(test_overrides),      cmocka_unit_test(test_within_overrides),
        cmocka_unit_test(test_loops),          cmocka_unit_test(test_record_outside),
        cmocka_unit_test(test_damaged_record), cmocka_unit_test(test_audit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
