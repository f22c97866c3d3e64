/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a configuration: they are refused or taken, never crash, leak or hang. */
#include "common/conf/conf.h"

#include <stdlib.h>

struct thing {
    const char *name;
    struct place place;
    const struct ip *ips;
    const struct place *ip_places;
    size_t n_ips;
    double at[2];
};

struct top {
    uint32_t number, wait_ms, wait_s;
    uint64_t bytes;
    bool flag;
    int color;
    const char *text, *path;
    struct addr addr;
    struct prefix prefix;
    const struct thing *map, *list;
    size_t n_map, n_list;
};

static const struct conf_choice COLORS[] = {{"red", 1}, {"green", 2}, {NULL, 0}};

static const struct conf_field AT_FIELDS[] = {
    {.key = "x", .kind = CONF_DOUBLE, .slot = {CONF_SHAPE_ONE, 0, sizeof(double), 0}},
    {.key = "y", .kind = CONF_DOUBLE, .slot = {CONF_SHAPE_ONE, sizeof(double), sizeof(double), 0}},
};
static const struct conf_struct AT = {
    .what = "point", .size = 2 * sizeof(double), CONF_FIELDS(AT_FIELDS), .is_tuple = true};

static const struct conf_field THING_FIELDS[] = {
    {.key = "ips",
     .kind = CONF_IP,
     .slot = CONF_LIST(struct thing, ips, n_ips),
     .item_places = CONF_AT(struct thing, ip_places),
     .is_required = true},
    {.key = "at", .kind = CONF_STRUCT, .slot = CONF_ONE(struct thing, at), .of = &AT},
};
static const struct conf_struct THING = {.what = "thing",
                                         .size = sizeof(struct thing),
                                         CONF_FIELDS(THING_FIELDS),
                                         .shorthand = "ips",
                                         .name = CONF_AT(struct thing, name),
                                         .place = CONF_AT(struct thing, place)};

static const struct conf_field FIELDS[] = {
    {.key = "n",
     .kind = CONF_NUMBER,
     .slot = CONF_ONE(struct top, number),
     .none = "auto",
     .min = "1",
     .max = "9"},
    {.key = "w", .kind = CONF_DURATION_MS, .slot = CONF_ONE(struct top, wait_ms), .preset = "3s"},
    {.key = "s", .kind = CONF_DURATION_S, .slot = CONF_ONE(struct top, wait_s)},
    {.key = "b", .kind = CONF_BYTES, .slot = CONF_ONE(struct top, bytes)},
    {.key = "f", .kind = CONF_BOOL, .slot = CONF_ONE(struct top, flag)},
    {.key = "c", .kind = CONF_ENUM, .slot = CONF_ONE(struct top, color), .choices = COLORS},
    {.key = "t", .kind = CONF_STRING, .slot = CONF_ONE(struct top, text)},
    {.key = "p", .kind = CONF_PATH, .slot = CONF_ONE(struct top, path)},
    {.key = "a", .kind = CONF_ADDR, .slot = CONF_ONE(struct top, addr), .port = 53},
    {.key = "x", .kind = CONF_PREFIX, .slot = CONF_ONE(struct top, prefix)},
    {.key = "m", .kind = CONF_STRUCT, .slot = CONF_MAP(struct top, map, n_map), .of = &THING},
    {.key = "l", .kind = CONF_STRUCT, .slot = CONF_LIST(struct top, list, n_list), .of = &THING},
};
static const struct conf_struct SCHEMA = {
    .what = "top", .size = sizeof(struct top), CONF_FIELDS(FIELDS)};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct errors errors = {0};
    struct top top = {0};
    struct conf *f;

    arena_init(&arena, 4096);
    f = conf_open_text("/fuzz/a.yaml", (struct str){(const char *)data, size}, &arena, &errors);
    if (f != NULL) {
        conf_fill(f, &SCHEMA, &top);
        conf_close(f);
        ensure(top.number <= 9);
        for (size_t i = 0; i < top.n_map; i++)
            ensure(top.map[i].name != NULL && top.map[i].place.line > 0);
    } else {
        ensure(errors.n_errors > 0);
    }
    free(errors_to_string(&errors));
    errors_free(&errors);
    arena_free(&arena);
    return 0;
}
