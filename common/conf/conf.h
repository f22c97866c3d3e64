/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conf: reads one YAML file into plain structs under a table of what may stand in it.
 *
 * The table (struct conf_struct and its fields) is the only list of a program's settings: parser,
 * ranges, defaults, messages, the reference in the man page and its test all come from it. Every
 * mistake of a file is reported in one pass, with file:line:column, the line, a caret, what was
 * expected and the nearest known word.
 *
 *   f = conf_open(path, &config->arena, errors);      NULL: not YAML at all, said why
 *   conf_fill(f, &SCHEMA, config);                    values land by offset, strings in the arena
 *   conf_error(f, place, "service '%s': …", …);       the caller's own cross-checks
 *   conf_close(f);                                    the values stay
 *
 * The YAML that is taken is the plain part: mappings, lists and scalars, which are text until the
 * table types them. Anchors, aliases, tags, merge keys and several documents are refused.
 * Control thread, at start and reload; a file belongs to one thread.
 */
#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include "common/addr/addr.h"
#include "common/arena/arena.h"
#include "common/base/base.h"
#include "common/error/error.h"
#include "common/text/text.h"

enum {
    CONF_MAX_BYTES = 64 << 20,
    CONF_MAX_NODES = 20000000, /* keys, values, lists and mappings of one file */
    CONF_MAX_DEPTH = 32,
};

/* What a value is, and the C type of the member that takes it. */
enum conf_kind {
    CONF_STRING,      /* const char *, never empty */
    CONF_BOOL,        /* bool: true, false, yes, no, on, off */
    CONF_BOOL_NOT,    /* bool, stored inverted */
    CONF_NUMBER,      /* uint16_t, uint32_t or uint64_t */
    CONF_DURATION_MS, /* the same, in milliseconds: 250ms, 30s, 5m, 2h, 1d */
    CONF_DURATION_S,  /* the same, in whole seconds */
    CONF_BYTES,       /* the same: 512, 64KiB, 256MiB, 2GiB */
    CONF_DOUBLE,      /* double */
    CONF_ENUM,        /* int or enum: the value of one of choices */
    CONF_WORD,        /* const char *: the name of one of choices */
    CONF_IP,          /* struct ip */
    CONF_PREFIX,      /* struct prefix */
    CONF_ADDR,        /* struct addr */
    CONF_PATH,        /* const char *: relative to the file's folder, made absolute */
    CONF_FILE,        /* the same, and it must be there and readable */
    CONF_STRUCT,      /* a struct described by of */
    CONF_CUSTOM,      /* whatever parse makes of it */
};

/* Where a field's value lands: one member, or an array and its size_t count. */
enum conf_shape { CONF_SHAPE_ONE, CONF_SHAPE_LIST, CONF_SHAPE_MAP };
struct conf_slot {
    enum conf_shape shape;
    size_t offset, size, count_offset;
};
#define CONF_ONE(type, member)                                                    \
    {                                                                             \
        CONF_SHAPE_ONE, offsetof(type, member), sizeof(((type *)NULL)->member), 0 \
    }
#define CONF_ARRAY(shape, type, member, count)                                                  \
    {                                                                                           \
        shape, offsetof(type, member), sizeof(((type *)NULL)->member[0]), offsetof(type, count) \
    }
/* A YAML list. */
#define CONF_LIST(type, member, count) CONF_ARRAY(CONF_SHAPE_LIST, type, member, count)
/* A YAML mapping of names to CONF_STRUCTs, in the order of the file. */
#define CONF_MAP(type, member, count) CONF_ARRAY(CONF_SHAPE_MAP, type, member, count)
/* A mapping that only groups keys: they land in the struct around it. */
#define CONF_SECTION(type)                 \
    {                                      \
        CONF_SHAPE_ONE, 0, sizeof(type), 0 \
    }
/* An optional member: 0 stands for none. */
#define CONF_AT(type, member) (offsetof(type, member) + 1)

/* A word that a CONF_ENUM or CONF_WORD takes; a table of them ends with a NULL name. */
struct conf_choice {
    const char *name;
    int value;
};

/* One key. */
struct conf_field {
    const char *key;
    enum conf_kind kind;
    struct conf_slot slot;
    bool is_required;      /* a list or mapping must then also have an item */
    const char *preset;    /* the default, spelled as in the file; NULL: the member stays zero */
    const char *min, *max; /* of numbers, durations and sizes, spelled as in the file */
    const char *unit;      /* of CONF_NUMBER, for messages: "connections" */
    const char *none;      /* this word, like absence, leaves the member zero: "off", "auto" */
    const char *expects;   /* completes "expected …" when the kind's own words do not do */
    const struct conf_choice *choices;
    const struct conf_struct *of;
    uint16_t port;    /* CONF_ADDR without a port gets this one; 0: it must have one */
    size_t max_items; /* of a list or mapping; 0: any number */
    size_t place;     /* CONF_AT a struct place: of the value, or of the key of a list or mapping */
    size_t item_places; /* CONF_AT a const struct place *: one per item of a list */
    /* NULL, or what is wrong with the text of a CONF_STRING ("must begin with '/'"). */
    const char *(*check)(struct str text);
    /* CONF_CUSTOM: fills owner, the struct with the fields; NULL or what was expected. */
    const char *(*parse)(struct str text, void *owner);
    const char *help; /* one or two sentences for the manual */
};

/* A mapping with known keys. */
struct conf_struct {
    const char *what; /* "region": for messages and the manual */
    size_t size;
    const struct conf_field *fields; /* at most 64 */
    size_t n_fields;
    const char *shorthand; /* a value that is no mapping fills this key alone */
    bool is_tuple;         /* a list fills the keys in their order */
    size_t name;           /* CONF_AT a const char *: the key in a CONF_MAP */
    size_t place;          /* CONF_AT a struct place: of that key, or of a list's item */
    /* NULL, or what is wrong with a name, which it may shorten; NULL itself: conf_check_name. */
    const char *(*check_name)(struct str *name);
};
#define CONF_FIELDS(array) .fields = (array), .n_fields = COUNT_OF(array)

struct conf;

/* Reads and parses the file. Places and strings will live in arena. NULL when there is nothing to
 * fill from: unreadable, too large, not UTF-8, not YAML; errors then say why. */
struct conf *conf_open(const char *path, struct arena *arena, struct errors *errors);
/* The same from memory; path names it in messages and anchors relative paths. */
struct conf *conf_open_text(const char *path, struct str text, struct arena *arena,
                            struct errors *errors);
/* Fills out (zeroed by the caller) from the top of the file. Mistakes go to errors; what could be
 * read is there even so, so that the caller can look for more mistakes. */
void conf_fill(struct conf *f, const struct conf_struct *schema, void *out);
/* A mistake that only the caller can see, shown like the others. */
void conf_error(struct conf *f, struct place at, const char *fmt, ...) PRINTF_LIKE(3, 4);
void conf_warn(struct conf *f, struct place at, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The rule of names (of regions, edges, pools): NULL, or what is wrong with this one. */
const char *conf_check_name(struct str name);
/* A relative path as the file means it, in the arena. */
const char *conf_path(struct conf *f, struct str path);
/* Puts this file's mistakes in the order of their lines; frees all but the values. */
void conf_close(struct conf *f);

/* Names to numbers, for cross-checks that stay linear. Zero-initialise; the names stay the
 * caller's. */
#define CONF_NONE SIZE_MAX
struct conf_index {
    bool is_folded; /* ASCII case does not matter */
    struct conf_index_entry *entries;
    size_t n, cap;
};
/* The number that name already has; or CONF_NONE, and it has value from now on. */
size_t conf_index_put(struct conf_index *x, const char *name, size_t value);
size_t conf_index_get(const struct conf_index *x, const char *name);
/* "; did you mean 'eu-west'?", or "" when nothing is near or f has more mistakes than are shown. */
#define CONF_HINT 128
const char *conf_hint(const struct conf *f, const struct conf_index *x, const char *name,
                      char buf[CONF_HINT]);
void conf_index_free(struct conf_index *x);

/* The reference of all keys, for the manual: mdoc lists, one per struct. */
void conf_describe(const struct conf_struct *schema, struct text *out);

#endif
