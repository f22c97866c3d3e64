/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as places kept in a file whose checksum is right: refused, or compiled into a map that
 * covers each family whole. */
#include "gslb-dns/geo/geo_internal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint32_t by_first_letter(void *arg, const struct geo_location *where)
{
    return where == NULL ? 0 : 1 + (uint8_t)where->country[0];
}

struct cover {
    const struct geo_map *map;
    struct geo_position end;
};

static void check_leaf(void *arg, const struct prefix *leaf, uint32_t class_id)
{
    struct cover *c = arg;

    ensure(class_id == GEO_CLASS_EMBEDDED ||
           (class_id <= 300 && geo_find(c->map, &leaf->ip).scope == leaf->length));
    c->end = geo_end_of(c->end, leaf->length);
}

static void check_family(const struct geo_map *map, int family)
{
    struct cover c = {.map = map};

    geo_map_visit(map, family, check_leaf, &c);
    ensure(c.end.high == 0 && c.end.low == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct geo_override override = {{{6, {0x20, 1, 0xd, 0xb8}}, 40}, 300};
    struct geo_plan plan = {.classify = by_first_letter, .overrides = &override, .n_overrides = 1};
    struct errors errors = {0};
    char *file = malloc(n ? n : 1); /* of just this size: a sanitizer sees every byte beyond */
    struct geo_places *p;
    struct geo_map *map;

    ensure(file != NULL);
    memcpy(file, data, n);
    p = geo_places_parse(file, n);
    if (p == NULL)
        return 0;
    ensure(strlen(geo_places_text(p)) < n);
    plan.n_overrides = n & 1;
    map = geo_compile(p, &plan, NULL, &errors);
    ensure(map != NULL);
    check_family(map, 4);
    check_family(map, 6);
    geo_map_free(map);
    geo_places_free(p);
    return 0;
}
