/* SPDX-License-Identifier: BSD-2-Clause */
/* For conf's tests: a table with every kind of value, and loading a text under it. */
#ifndef TESTS_CONF_SAMPLE_H
#define TESTS_CONF_SAMPLE_H

#include "common/conf/conf.h"

#include <stdlib.h>
#include <string.h>

struct point {
    double x, y;
};

struct thing {
    const char *name;
    struct place place;
    uint32_t size;
    const char *color;
};

struct inner {
    uint32_t wait_ms;
    uint16_t small;
};

struct sample {
    const char *text;
    bool yes, no;
    uint32_t count;
    uint64_t big, bytes;
    uint32_t wait_ms, wait_s;
    double ratio;
    int color;
    const char *word;
    struct ip ip;
    struct prefix prefix;
    struct addr addr, addr53;
    const char *path, *file;
    struct inner inner, gone;
    struct point point;
    const uint16_t *numbers;
    const struct place *number_places;
    size_t n_numbers;
    const struct thing *list, *map;
    size_t n_list, n_map;
    uint32_t even;
    struct place text_place;
};

enum { RED = 7, GREEN = 9 };
static const struct conf_choice COLORS[] = {{"red", RED}, {"green", GREEN}, {NULL, 0}};

static const char *check_lower(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= 'A' && s.p[i] <= 'Z')
            return "has capitals";
    return NULL;
}

static const char *parse_even(struct str s, void *owner)
{
    uint64_t v;

    if (!text_parse_u64(s, &v) || v % 2 != 0)
        return "an even number";
    ((struct sample *)owner)->even = (uint32_t)v;
    return NULL;
}

static const struct conf_field INNER_FIELDS[] = {
    {.key = "wait",
     .kind = CONF_DURATION_MS,
     .slot = CONF_ONE(struct inner, wait_ms),
     .preset = "3s",
     .min = "100ms",
     .max = "1h",
     .help = "Waits. A long help that has to be broken over more than one line of the manual page, "
             "since it is long."},
    {.key = "small", .kind = CONF_NUMBER, .slot = CONF_ONE(struct inner, small), .help = "Small."},
};
static const struct conf_struct INNER = {
    .what = "inner", .size = sizeof(struct inner), CONF_FIELDS(INNER_FIELDS)};

static const struct conf_field POINT_FIELDS[] = {
    {.key = "x",
     .kind = CONF_DOUBLE,
     .slot = CONF_ONE(struct point, x),
     .is_required = true,
     .help = "X."},
    {.key = "y",
     .kind = CONF_DOUBLE,
     .slot = CONF_ONE(struct point, y),
     .min = "-90",
     .max = "90",
     .help = "Y."},
};
static const struct conf_struct POINT = {
    .what = "point", .size = sizeof(struct point), CONF_FIELDS(POINT_FIELDS), .is_tuple = true};

static const struct conf_field THING_FIELDS[] = {
    {.key = "size",
     .kind = CONF_NUMBER,
     .slot = CONF_ONE(struct thing, size),
     .is_required = true,
     .max = "10",
     .help = "Size."},
    {.key = "color",
     .kind = CONF_WORD,
     .slot = CONF_ONE(struct thing, color),
     .choices = COLORS,
     .preset = "green",
     .help = "Color."},
};
static const struct conf_struct THING = {.what = "thing",
                                         .size = sizeof(struct thing),
                                         CONF_FIELDS(THING_FIELDS),
                                         .shorthand = "size",
                                         .name = CONF_AT(struct thing, name),
                                         .place = CONF_AT(struct thing, place)};

static const struct conf_field FIELDS[] = {
    {.key = "text",
     .kind = CONF_STRING,
     .slot = CONF_ONE(struct sample, text),
     .place = CONF_AT(struct sample, text_place),
     .check = check_lower,
     .help = "Text."},
    {.key = "yes", .kind = CONF_BOOL, .slot = CONF_ONE(struct sample, yes), .help = "Yes."},
    {.key = "no", .kind = CONF_BOOL_NOT, .slot = CONF_ONE(struct sample, no), .help = "No."},
    {.key = "count",
     .kind = CONF_NUMBER,
     .slot = CONF_ONE(struct sample, count),
     .preset = "4",
     .min = "1",
     .max = "256",
     .unit = "threads",
     .none = "auto",
     .help = "Count."},
    {.key = "big", .kind = CONF_NUMBER, .slot = CONF_ONE(struct sample, big), .help = "Big."},
    {.key = "bytes",
     .kind = CONF_BYTES,
     .slot = CONF_ONE(struct sample, bytes),
     .min = "1MiB",
     .help = "Bytes."},
    {.key = "wait",
     .kind = CONF_DURATION_MS,
     .slot = CONF_ONE(struct sample, wait_ms),
     .max = "1h",
     .help = "Wait."},
    {.key = "ttl", .kind = CONF_DURATION_S, .slot = CONF_ONE(struct sample, wait_s), .help = "T."},
    {.key = "ratio",
     .kind = CONF_DOUBLE,
     .slot = CONF_ONE(struct sample, ratio),
     .min = "0",
     .max = "1",
     .help = "Ratio."},
    {.key = "color",
     .kind = CONF_ENUM,
     .slot = CONF_ONE(struct sample, color),
     .choices = COLORS,
     .preset = "red",
     .help = "Color."},
    {.key = "word",
     .kind = CONF_WORD,
     .slot = CONF_ONE(struct sample, word),
     .choices = COLORS,
     .help = "Word."},
    {.key = "ip", .kind = CONF_IP, .slot = CONF_ONE(struct sample, ip), .help = "IP."},
    {.key = "prefix", .kind = CONF_PREFIX, .slot = CONF_ONE(struct sample, prefix), .help = "P."},
    {.key = "addr",
     .kind = CONF_ADDR,
     .slot = CONF_ONE(struct sample, addr),
     .none = "off",
     .help = "A."},
    {.key = "addr53",
     .kind = CONF_ADDR,
     .slot = CONF_ONE(struct sample, addr53),
     .port = 53,
     .help = "A."},
    {.key = "path", .kind = CONF_PATH, .slot = CONF_ONE(struct sample, path), .help = "Path."},
    {.key = "file", .kind = CONF_FILE, .slot = CONF_ONE(struct sample, file), .help = "File."},
    {.key = "inner",
     .kind = CONF_STRUCT,
     .slot = CONF_ONE(struct sample, inner),
     .of = &INNER,
     .help = "Inner."},
    {.key = "gone",
     .kind = CONF_STRUCT,
     .slot = CONF_ONE(struct sample, gone),
     .of = &INNER,
     .none = "off",
     .help = "Gone."},
    {.key = "point",
     .kind = CONF_STRUCT,
     .slot = CONF_ONE(struct sample, point),
     .of = &POINT,
     .expects = "[x, y]",
     .help = "Point."},
    {.key = "numbers",
     .kind = CONF_NUMBER,
     .slot = CONF_LIST(struct sample, numbers, n_numbers),
     .item_places = CONF_AT(struct sample, number_places),
     .max_items = 3,
     .help = "Numbers."},
    {.key = "list",
     .kind = CONF_STRUCT,
     .slot = CONF_LIST(struct sample, list, n_list),
     .of = &THING,
     .help = "List."},
    {.key = "map",
     .kind = CONF_STRUCT,
     .slot = CONF_MAP(struct sample, map, n_map),
     .of = &THING,
     .help = "Map."},
    {.key = "even",
     .kind = CONF_CUSTOM,
     .slot = CONF_ONE(struct sample, even),
     .parse = parse_even,
     .expects = "an even number",
     .preset = "2",
     .help = "Even."},
};
static const struct conf_struct SCHEMA = {
    .what = "sample", .size = sizeof(struct sample), CONF_FIELDS(FIELDS)};

/* ---- Loading from memory, with what was said as one text ---- */

struct loaded {
    struct arena arena;
    struct errors errors;
    struct sample sample;
    struct text said; /* "line:column message" per mistake, warnings with "warning: " */
};

static void load_str(struct loaded *l, const struct conf_struct *schema, struct str yaml)
{
    struct conf *f;

    *l = (struct loaded){0};
    arena_init(&l->arena, 0);
    f = conf_open_text("/etc/demo/a.yaml", yaml, &l->arena, &l->errors);
    if (f != NULL) {
        conf_fill(f, schema, &l->sample);
        conf_close(f);
    }
    text_adds(&l->said, "");
    for (size_t i = 0; i < l->errors.n; i++) {
        const struct error *e = &l->errors.items[i];

        text_addf(&l->said, "%u:%u %s%s\n", e->line, e->column, e->is_warning ? "warning: " : "",
                  e->message);
    }
}

static void load(struct loaded *l, const char *yaml)
{
    load_str(l, &SCHEMA, str_of(yaml));
}

static void unload(struct loaded *l)
{
    arena_free(&l->arena);
    errors_free(&l->errors);
    text_free(&l->said);
}

#endif
