/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a GeoIP database: opened, compiled, searched; refused or read, never a crash, and
 * never long. Its first seed is a small file of the real kind. */
#include "gslb-dns/geo/geo.h"
#include "tests/unit/gslb-dns/geo/mmdb_writer.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* libmaxminddb 1.7 leaks some kilobytes each time it refuses damaged metadata. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libmaxminddb";
}

static uint32_t by_first_letter(void *arg, const struct geo_location *where)
{
    return where == NULL ? 0 : 1 + (uint8_t)where->country[0];
}

static void check_leaf(void *arg, const struct prefix *leaf, uint32_t class_id)
{
    ensure(class_id == GEO_CLASS_EMBEDDED || geo_find(arg, &leaf->ip).scope == leaf->length);
}

static void search(const struct geo_db *db, struct geo_map *map)
{
    static const char *const ips[] = {"192.0.2.1", "10.0.0.1", "2001:db8::1", "2002:c000:201::1"};

    for (size_t i = 0; i < COUNT_OF(ips); i++) {
        struct geo_location where;
        struct ip ip;
        unsigned bits;

        ensure(ip_parse(str_of(ips[i]), &ip));
        geo_locate(db, &ip, &where, &bits);
        ensure(bits <= ip_bits(&ip) && geo_find(map, &ip).scope <= ip_bits(&ip));
    }
    geo_map_visit(map, 4, check_leaf, map);
    geo_map_visit(map, 6, check_leaf, map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    char name[32];
    const char *path = name;
    struct errors errors = {0};
    struct geo_plan plan = {.classify = by_first_letter};
    struct geo_places *places = NULL;
    struct geo_map *map = NULL;
    struct geo_db *db;

    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    ensure(write(fd, data, size) == (ssize_t)size);
    db = geo_open(&path, 1, &errors, (struct place){0});
    close(fd);
    if (db != NULL)
        places = geo_places_read(db, NULL, &errors);
    if (places != NULL)
        map = geo_compile(places, &plan, NULL, &errors);
    ensure(map != NULL || errors.n_errors > 0);
    if (map != NULL) {
        free(geo_describe(db));
        search(db, map);
    }
    geo_map_free(map);
    geo_places_free(places);
    geo_close(db);
    errors_free(&errors);
    return 0;
}

static struct text seed_file(unsigned seed)
{
    struct mmdb m = mmdb_new(seed & 1 ? 6 : 4, 24 + seed / 2 % 3 * 4, "Fuzz");

    mmdb_add(&m, "192.0.2.0/24", mmdb_put_city(&m, "DE", "EU", 52.5, 13.4));
    mmdb_add(&m, "192.0.3.0/24", mmdb_put_flat(&m, "FR", "dft"[seed / 8 % 3], 48.8, 2.3));
    if (seed & 1)
        mmdb_add(&m, "2001:db8::/32", mmdb_put_country(&m, "country", "JP"));
    return mmdb_finish(&m);
}

/* Starts from a well-formed file when there is nothing to mutate: chance writes no metadata. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (size < 64) {
        struct text file = seed_file(seed);
        size = file.n < max_size ? file.n : max_size;
        memcpy(data, file.p, size);
        text_free(&file);
    }
    return LLVMFuzzerMutate(data, size, max_size);
}
