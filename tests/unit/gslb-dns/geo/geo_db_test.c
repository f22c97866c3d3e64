/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening databases: every layout, and what is wrong with those that cannot be used. */
#include "gslb-dns/geo/geo.h"
#include "tests/unit/gslb-dns/geo/mmdb_writer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define SHIPPED "deploy/geoip/geo-whois-asn-country.mmdb"

/* libmaxminddb 1.7 leaks some kilobytes each time it refuses damaged metadata. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libmaxminddb";
}

/* A file that exists only as a descriptor, opened by its name in /proc. */
struct temporary {
    int fd;
    char path[32];
};

static struct temporary file_of(struct text bytes)
{
    struct temporary t = {.fd = memfd_create("test", MFD_CLOEXEC)};

    assert_true(t.fd >= 0);
    assert_int_equal(write(t.fd, bytes.p, bytes.n), bytes.n);
    snprintf(t.path, sizeof(t.path), "/proc/self/fd/%d", t.fd);
    return t;
}

static struct geo_db *open_bytes(struct text bytes, struct errors *errors)
{
    struct temporary file = file_of(bytes);
    const char *path = file.path;
    struct geo_db *db = geo_open(&path, 1, errors, (struct place){"test.yaml", 3, 7});

    close(file.fd);
    return db;
}

static struct ip ip_of(const char *text)
{
    struct ip ip;

    assert_true(ip_parse(str_of(text), &ip));
    return ip;
}

/* ---- layouts ---- */

static void add_same(struct mmdb *m, const char *prefix, char kind)
{
    uint32_t at = kind == 'c'   ? mmdb_put_city(m, "de", "EU", 52.5, -13.25)
                  : kind == 'n' ? mmdb_put_country(m, "country", "DE")
                  : kind == 'r' ? mmdb_put_country(m, "registered_country", "DE")
                  : kind == '0' ? mmdb_put_flat(m, "DE", 0, 0, 0)
                                : mmdb_put_flat(m, "DE", kind, 52.5, -13.25);
    mmdb_add(m, prefix, at);
}

static void test_layouts(void **state)
{
    static const struct {
        const char *name;
        unsigned ip_version, record_bits;
        char kind;
        bool is_center;
    } cases[] = {
        {"MaxMind City, 24 bits", 6, 24, 'c', false},
        {"MaxMind City, 28 bits", 6, 28, 'c', false},
        {"MaxMind City, 32 bits", 6, 32, 'c', false},
        {"MaxMind City, IPv4 only", 4, 28, 'c', false},
        {"MaxMind Country", 6, 28, 'n', true},
        {"MaxMind Country, registered only", 6, 24, 'r', true},
        {"flat, double", 6, 24, 'd', false},
        {"flat, float", 6, 28, 'f', false},
        {"flat, text", 6, 32, 't', false},
        {"flat, country only", 4, 24, '0', true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct mmdb m = mmdb_new(cases[i].ip_version, cases[i].record_bits, "Test");
        struct text bytes;
        struct errors errors = {0};
        struct geo_location where;
        struct ip ip = ip_of("192.0.2.77"), other = ip_of("198.51.100.1");
        unsigned bits = 99;
        struct geo_db *db;

        add_same(&m, "192.0.2.0/24", cases[i].kind);
        bytes = mmdb_finish(&m);
        print_message("%s\n", cases[i].name);
        db = open_bytes(bytes, &errors);
        assert_non_null(db);
        assert_int_equal(errors.n_errors, 0);
        assert_true(geo_locate(db, &ip, &where, &bits));
        assert_int_equal(bits, 24);
        assert_true(where.has_country);
        assert_string_equal(where.country, "DE");
        assert_true(where.has_coordinates);
        assert_int_equal(where.is_country_center, cases[i].is_center);
        if (!cases[i].is_center) {
            assert_true(where.latitude == 52.5 && where.longitude == -13.25);
        } else {
            assert_string_equal(where.continent, "EU");
            assert_true(fabs(where.latitude - 50.8) < 0.5 && fabs(where.longitude - 9.6) < 0.9);
        }
        assert_false(geo_locate(db, &other, &where, &bits));
        assert_false(where.has_coordinates);
        geo_close(db);
        text_free(&bytes);
        errors_free(&errors);
    }
}

static void test_no_coordinates(void **state)
{
    static const struct {
        const char *name, *country;
        char kind;
        double latitude, longitude;
        bool has_location, has_country;
    } cases[] = {
        {"0, 0 stands for unknown", "", 'd', 0, 0, false, false},
        {"0, 0 with a country falls back on its centre", "BR", 'd', 0, 0, true, true},
        {"on the equator", "", 'd', 0, 32.5, true, false},
        {"on the prime meridian", "", 'd', 51.5, 0, true, false},
        {"north of the pole", "", 'd', 90.01, 10, false, false},
        {"not a number", "", 'd', NAN, 10, false, false},
        {"infinite", "", 'f', 10, INFINITY, false, false},
        {"a country that is none", "ZZ", 0, 0, 0, false, true},
        {"a dash for unknown", "-", 0, 0, 0, false, false},
        {"a country by its name", "Brazil", 0, 0, 0, false, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct mmdb m = mmdb_new(4, 24, "Test");
        struct text bytes;
        struct errors errors = {0};
        struct geo_location where;
        struct ip ip = ip_of("192.0.2.1");
        unsigned bits;
        struct geo_db *db;

        mmdb_add(&m, "10.0.0.0/8", mmdb_put_flat(&m, "FR", 'd', 48.8, 2.3));
        mmdb_add(&m, "192.0.2.0/24",
                 mmdb_put_flat(&m, cases[i].country, cases[i].kind, cases[i].latitude,
                               cases[i].longitude));
        bytes = mmdb_finish(&m);
        print_message("%s\n", cases[i].name);
        db = open_bytes(bytes, &errors);
        assert_non_null(db);
        assert_int_equal(geo_locate(db, &ip, &where, &bits),
                         cases[i].has_location || cases[i].has_country);
        assert_int_equal(where.has_coordinates, cases[i].has_location);
        assert_int_equal(where.has_country, cases[i].has_country);
        geo_close(db);
        text_free(&bytes);
        errors_free(&errors);
    }
}

static void test_pointers(void **state)
{
    struct mmdb m = mmdb_new(4, 24, "Test");
    uint32_t code = (uint32_t)m.data.n, country, record;
    struct text bytes;
    struct errors errors = {0};
    struct geo_location where;
    struct ip ip = ip_of("192.0.2.1");
    unsigned bits;
    struct geo_db *db;

    mmdb_text(&m.data, "JP");
    country = (uint32_t)m.data.n;
    mmdb_map(&m.data, 1);
    mmdb_text(&m.data, "iso_code");
    mmdb_pointer(&m.data, code);
    record = (uint32_t)m.data.n;
    mmdb_map(&m.data, 1);
    mmdb_text(&m.data, "country");
    mmdb_pointer(&m.data, country);
    mmdb_add(&m, "192.0.2.0/24", record);
    bytes = mmdb_finish(&m);
    db = open_bytes(bytes, &errors);
    assert_non_null(db);
    assert_true(geo_locate(db, &ip, &where, &bits));
    assert_string_equal(where.country, "JP");
    assert_true(where.is_country_center);
    geo_close(db);
    text_free(&bytes);
}

/* ---- families ---- */

static struct text family_file(unsigned ip_version, const char *prefix, const char *country)
{
    struct mmdb m = mmdb_new(ip_version, 24, "Test");

    mmdb_add(&m, prefix, mmdb_put_flat(&m, country, 0, 0, 0));
    return mmdb_finish(&m);
}

static void test_families(void **state)
{
    struct text v4 = family_file(4, "192.0.2.0/24", "DE");
    struct text v6 = family_file(6, "2001:db8::/32", "JP");
    struct temporary file4 = file_of(v4), file6 = file_of(v6);
    const char *orders[][2] = {{file4.path, file6.path}, {file6.path, file4.path}};
    struct ip ip4 = ip_of("192.0.2.1"), ip6 = ip_of("2001:db8::1");

    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        struct errors errors = {0};
        struct geo_location where;
        unsigned bits;
        struct geo_db *db = geo_open(orders[i], 2, &errors, (struct place){0});
        char *text;

        assert_non_null(db);
        assert_true(geo_locate(db, &ip4, &where, &bits));
        assert_string_equal(where.country, "DE");
        assert_int_equal(bits, 24);
        assert_true(geo_locate(db, &ip6, &where, &bits));
        assert_string_equal(where.country, "JP");
        assert_int_equal(bits, 32);
        text = geo_describe(db);
        assert_non_null(strstr(text, "(Test), built 2026-09-21, "));
        free(text);
        geo_close(db);
    }
    close(file4.fd);
    close(file6.fd);
    text_free(&v4);
    text_free(&v6);
}

static void test_embedded(void **state)
{
    static const struct {
        const char *name, *ip;
        unsigned bits; /* 0: no location */
    } cases[] = {
        {"mapped", "::ffff:192.0.2.1", 120},
        {"compatible", "::192.0.2.1", 120},
        {"translated", "::ffff:0:192.0.2.1", 120},
        {"NAT64", "64:ff9b::192.0.2.1", 120},
        {"6to4", "2002:c000:201::1", 40},
        {"Teredo", "2001:0:1:2:3:4:3fff:fdfe", 120},
        {"not Teredo", "2001:1:1:2:3:4:3fff:fdfe", 0},
        {"beside NAT64", "64:ff9b:1::192.0.2.1", 0},
    };
    struct text bytes = family_file(4, "192.0.2.0/24", "DE");
    struct errors errors = {0};
    struct geo_db *db = open_bytes(bytes, &errors);

    assert_non_null(db);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct geo_location where;
        struct ip ip = ip_of(cases[i].ip);
        unsigned bits;

        print_message("%s\n", cases[i].name);
        assert_int_equal(geo_locate(db, &ip, &where, &bits), cases[i].bits > 0);
        if (cases[i].bits > 0)
            assert_int_equal(bits, cases[i].bits);
    }
    geo_close(db);
    text_free(&bytes);
}

/* ---- what cannot be used ---- */

static void expect_error(struct errors *errors, const char *part)
{
    assert_int_equal(errors->n_errors, 1);
    if (strstr(errors->items[0].message, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", errors->items[0].message, part);
    assert_string_equal(errors->items[0].file, "test.yaml");
    assert_int_equal(errors->items[0].line, 3);
    errors_free(errors);
}

static struct text asn_file(void)
{
    struct mmdb m = mmdb_new(4, 24, "Test-ASN");
    uint32_t at = (uint32_t)m.data.n;

    mmdb_map(&m.data, 1);
    mmdb_text(&m.data, "autonomous_system_number");
    mmdb_u32(&m.data, 64496);
    mmdb_add(&m, "192.0.2.0/24", at);
    return mmdb_finish(&m);
}

static void test_unusable(void **state)
{
    struct text good = family_file(4, "192.0.2.0/24", "DE"), asn = asn_file();
    const struct {
        const char *name;
        struct text bytes;
        const char *part;
    } cases[] = {
        {"empty", {"", 0, 0}, "cut short or damaged"},
        {"some text", {"hello, world\n", 13, 0}, "not a MaxMind DB file"},
        {"cut in the tree", {good.p, 20, 0}, "cut short"},
        {"cut in the metadata", {good.p, good.n - 150, 0}, "cut short"},
        {"compressed", {"\x1f\x8b\x08 and so on", 13, 0}, "gunzip it first"},
        {"an ASN database", asn, "(Test-ASN) has neither countries nor coordinates"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct errors errors = {0};

        print_message("%s\n", cases[i].name);
        assert_null(open_bytes(cases[i].bytes, &errors));
        expect_error(&errors, cases[i].part);
    }
    text_free(&good);
    text_free(&asn);
}

static void test_unusable_paths(void **state)
{
    struct text v4 = family_file(4, "192.0.2.0/24", "DE");
    struct temporary file = file_of(v4);
    const char *three[] = {file.path, file.path, file.path};
    static const struct {
        const char *name, *path, *part;
    } cases[] = {
        {"missing", "/nonexistent/city.mmdb", "No such file or directory"},
        {"a folder", "/proc/self", "not a regular file"},
        {"a device", "/dev/null", "not a regular file"},
    };
    struct errors errors = {0};
    struct place place = {"test.yaml", 3, 7};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        print_message("%s\n", cases[i].name);
        assert_null(geo_open(&cases[i].path, 1, &errors, place));
        expect_error(&errors, cases[i].part);
    }
    assert_null(geo_open(three, 2, &errors, place));
    expect_error(&errors, "are both IPv4 databases");
    assert_null(geo_open(three, 3, &errors, place));
    expect_error(&errors, "3 GeoIP databases");
    close(file.fd);
    text_free(&v4);
}

/* Every cut and every flipped bit of a small file: refused or read, never a crash. */
static void test_damage(void **state)
{
    struct text good = family_file(6, "192.0.2.0/24", "DE");
    struct ip ip = ip_of("192.0.2.1");
    unsigned refused = 0;

    for (size_t bit = 0; bit < good.n * 8; bit++) {
        struct errors errors = {0};
        struct geo_location where;
        struct geo_db *db;
        unsigned bits;

        good.p[bit / 8] ^= (char)(1 << bit % 8);
        db = open_bytes(good, &errors);
        good.p[bit / 8] ^= (char)(1 << bit % 8);
        if (db == NULL)
            refused++;
        else
            geo_locate(db, &ip, &where, &bits);
        assert_int_equal(db == NULL, errors.n_errors > 0);
        geo_close(db);
        errors_free(&errors);
    }
    assert_true(refused > 100);
    for (size_t n = 0; n < good.n; n++) {
        struct errors errors = {0};
        struct geo_db *db = open_bytes((struct text){good.p, n, 0}, &errors);

        assert_int_equal(db == NULL, errors.n_errors > 0);
        geo_close(db);
        errors_free(&errors);
    }
    text_free(&good);
}

/* A file cut short under the server's feet. */
static void test_rewritten(void **state)
{
    struct text bytes = family_file(4, "192.0.2.0/24", "DE");
    struct temporary file = file_of(bytes);
    const char *path = file.path;
    struct errors errors = {0};
    struct geo_db *db = geo_open(&path, 1, &errors, (struct place){0});
    struct ip ip = ip_of("192.0.2.1");
    struct geo_location where;
    unsigned bits;

    assert_non_null(db);
    assert_int_equal(ftruncate(file.fd, 0), 0);
    assert_true(geo_locate(db, &ip, &where, &bits));
    assert_string_equal(where.country, "DE");
    geo_close(db);
    close(file.fd);
    text_free(&bytes);
}

/* A database that rests is read again, as long as its file is what it was. */
static void test_rest(void **state)
{
    struct text bytes = family_file(4, "192.0.2.0/24", "DE");
    char path_of[] = "/tmp/gslb-geo-XXXXXX";
    const char *path = path_of;
    int fd = mkstemp(path_of);
    struct errors errors = {0};
    struct ip ip = ip_of("192.0.2.1");
    struct geo_location where;
    struct geo_db *db;
    unsigned bits;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.p, bytes.n), bytes.n);
    db = geo_open(&path, 1, &errors, (struct place){0});
    assert_non_null(db);
    for (int i = 0; i < 3; i++) {
        geo_rest(db);
        geo_rest(db);
        if (i == 1)
            assert_int_equal(unlink(path), 0);
        assert_false(has_failed(geo_wake(db)));
        assert_false(has_failed(geo_wake(db)));
        assert_true(geo_locate(db, &ip, &where, &bits));
        assert_string_equal(where.country, "DE");
    }
    geo_rest(db);
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    assert_true(has_failed(geo_wake(db)));
    geo_rest(db);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_true(has_failed(geo_wake(db)));
    geo_close(db);
    close(fd);
    text_free(&bytes);
}

static void test_shipped(void **state)
{
    const char *path = SHIPPED;
    struct errors errors = {0};
    struct geo_db *db = geo_open(&path, 1, &errors, (struct place){0});
    static const struct {
        const char *ip, *country;
    } cases[] = {
        {"193.0.6.139", "NL"}, {"202.12.29.211", "AU"}, {"2001:67c:2e8:22::c100:68b", "NL"}};

    assert_non_null(db);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ip ip = ip_of(cases[i].ip);
        struct geo_location where;
        unsigned bits;

        print_message("%s\n", cases[i].ip);
        assert_true(geo_locate(db, &ip, &where, &bits));
        assert_string_equal(where.country, cases[i].country);
        assert_true(where.is_country_center);
    }
    geo_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts),        cmocka_unit_test(test_no_coordinates),
        cmocka_unit_test(test_pointers),       cmocka_unit_test(test_families),
        cmocka_unit_test(test_embedded),       cmocka_unit_test(test_unusable),
        cmocka_unit_test(test_unusable_paths), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_rewritten),      cmocka_unit_test(test_shipped),
        cmocka_unit_test(test_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
