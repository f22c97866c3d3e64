/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A site in a folder of its own, for tests of what is loaded as a whole: configuration, zone files
 * and a GeoIP database. Two regions, eu (50 N 8 E) and us (40 N 75 W); 192.0.2.0/24 and
 * 2001:db8:1::/48 lie in Paris, 198.51.100.0/25 and 2001:db8:2::/48 in Pittsburgh.
 */
#ifndef TESTS_SITE_H
#define TESTS_SITE_H

#include "gslb-dns/generation/generation.h"

#include "tests/unit/gslb-dns/geo/mmdb_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct site {
    char folder[32];
    char names[8][32]; /* of its files */
    size_t n_names;
};

#define SITE_ZONE                                          \
    "$TTL 60\n@ SOA ns host 7 3600 600 86400 300\n@ NS ns" \
    ".example.net.\n"
#define SITE_HEAD                               \
    "listen: [\"127.0.0.1:5300\"]\n"            \
    "geoip:\n  databases: [geo.mmdb]\n"         \
    "zones:\n  example.com: example.com.zone\n" \
    "regions:\n"
#define SITE_REGIONS                                                      \
    "  eu: {location: [50, 8], edges: {eu-1: [10.0.0.1, \"fd00::1\"]}}\n" \
    "  us: {location: [40, -75], edges: {us-1: [10.1.0.1, \"fd01::1\"], us-2: [10.1.0.2]}}\n"
#define SITE_CONFIG SITE_HEAD SITE_REGIONS "services:\n  www.example.com: {}\n"

static inline const char *site_path(const struct site *s, const char *name)
{
    static _Thread_local char path[80];

    snprintf(path, sizeof(path), "%s/%s", s->folder, name);
    return path;
}

/* As an operator should: a reader sees the old file or the new one. */
static inline void site_write(struct site *s, const char *name, struct str text)
{
    char fresh[80], *to = base_strdup(site_path(s, name));
    FILE *f;
    size_t i = 0;

    snprintf(fresh, sizeof(fresh), "%s/.fresh", s->folder);
    f = fopen(fresh, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
    fclose(f);
    assert_int_equal(rename(fresh, to), 0);
    free(to);
    while (i < s->n_names && strcmp(s->names[i], name) != 0)
        i++;
    if (i < s->n_names)
        return;
    assert_true(s->n_names < COUNT_OF(s->names));
    snprintf(s->names[s->n_names++], sizeof(s->names[0]), "%s", name);
}

static inline void site_write_geo(struct site *s, const char *type)
{
    struct mmdb m = mmdb_new(6, 28, type);
    uint32_t paris = mmdb_put_city(&m, "FR", "EU", 48.85, 2.35);
    uint32_t pittsburgh = mmdb_put_city(&m, "US", "NA", 40.44, -79.99);
    struct text file;

    mmdb_add(&m, "192.0.2.0/24", paris);
    mmdb_add(&m, "2001:db8:1::/48", paris);
    mmdb_add(&m, "198.51.100.0/25", pittsburgh);
    mmdb_add(&m, "2001:db8:2::/48", pittsburgh);
    file = mmdb_finish(&m);
    site_write(s, "geo.mmdb", (struct str){file.p, file.n});
    text_free(&file);
}

static inline void site_make(struct site *s)
{
    *s = (struct site){.folder = "/tmp/gslb-site-XXXXXX"};
    assert_non_null(mkdtemp(s->folder));
    site_write(s, "example.com.zone", STR(SITE_ZONE));
    site_write(s, "a.yaml", STR(SITE_CONFIG));
    site_write_geo(s, "Test-City");
}

static inline void site_remove(struct site *s)
{
    for (size_t i = 0; i < s->n_names; i++)
        unlink(site_path(s, s->names[i]));
    assert_int_equal(rmdir(s->folder), 0);
}

static inline struct generation *site_load(const struct site *s, const struct generation *previous)
{
    struct errors errors = {0};
    struct generation *g = generation_load(site_path(s, "a.yaml"), previous, &errors);

    errors_print(&errors, stderr);
    errors_free(&errors);
    assert_non_null(g);
    return g;
}

#endif
