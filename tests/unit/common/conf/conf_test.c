/* SPDX-License-Identifier: BSD-2-Clause */
/* conf: what a file may say, and how each mistake is reported. */
#include "common/conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- A table with every kind of value ---- */

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

static const struct conf_field NEEDY_FIELDS[] = {
    {.key = "text",
     .kind = CONF_STRING,
     .slot = CONF_ONE(struct sample, text),
     .is_required = true,
     .help = "Text."},
    {.key = "numbers",
     .kind = CONF_NUMBER,
     .slot = CONF_LIST(struct sample, numbers, n_numbers),
     .is_required = true,
     .help = "Numbers."},
};
static const struct conf_struct NEEDY = {
    .what = "needy", .size = sizeof(struct sample), CONF_FIELDS(NEEDY_FIELDS)};

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

/* ---- Mistakes ---- */

static const struct mistake {
    const char *name, *yaml, *want;
} MISTAKES[] = {
    /* The YAML that is refused. */
    {"empty", "", "0:0 the file is empty\n"},
    {"only a comment", "# nothing\n", "0:0 the file is empty\n"},
    {"null document", "---\n", "0:0 the file is empty\n"},
    {"two documents", "text: a\n---\ntext: b\n",
     "2:1 a second document begins here; one file holds one configuration\n"},
    {"scalar at the top", "hello\n",
     "1:1 expected a mapping (key: value) at the top, found text\n"},
    {"list at the top", "- a\n", "1:1 expected a mapping (key: value) at the top, found a list\n"},
    {"anchor", "text: &x abc\n",
     "1:7 anchor '&x': anchors are not supported, write the value out\n"},
    {"alias", "text: &x abc\nword: *x\n",
     "1:7 anchor '&x': anchors are not supported, write the value out\n"
     "2:7 alias '*x': aliases are not supported, write the value out, or in quotes if it is meant "
     "to begin with '*'\n"},
    {"tag", "text: !!str abc\n",
     "1:7 tag 'tag:yaml.org,2002:str': tags are not supported, every key knows its own type\n"},
    {"merge key", "inner: {<<: {wait: 1s}}\n",
     "1:9 merge keys ('<<') are not supported, write the keys out\n"},
    {"collection as key", "{[a]: b, {c: d}: e}\n",
     "1:2 a key must be one word, not a list\n1:10 a key must be one word, not a mapping\n"},
    {"tab", "inner:\n\twait: 1s\n",
     "2:1 not valid YAML: found character that cannot start any token while scanning for the next "
     "token (indent by spaces, not by tabs; a value that begins with '@', '`' or '%' needs "
     "quotes)\n"},
    {"bare star", "text: *.example.com\n",
     "1:8 not valid YAML: did not find expected alphabetic or numeric character while scanning an "
     "alias (a value that begins with '*' or '&' needs quotes)\n"},
    {"colon in a value", "text: a: b\n",
     "1:8 not valid YAML: mapping values are not allowed in this context (wrong indentation, or a "
     "value with ': ' that needs quotes)\n"},
    {"bracket left open", "numbers: [1,\ntext: b\n",
     "3:1 not valid YAML: did not find expected ',' or ']' while parsing a flow sequence that "
     "begins in line 1 (a bracket is not closed, or an IPv6 address needs quotes)\n"},
    {"IPv6 without quotes", "ip: [::1]\n",
     "1:6 not valid YAML: did not find expected node content while parsing a flow node (an IPv6 "
     "address needs quotes)\n"},
    {"line without colon", "text: a\nwords\nyes: on\n",
     "3:1 not valid YAML: could not find expected ':' while scanning a simple key that begins in "
     "line 2 (this line is no 'key: value')\n"},
    {"not UTF-8", "text: a\nword: \xff\n", "2:7 not UTF-8: invalid leading UTF-8 octet 0xff\n"},
    {"control character", "text: a\nword: \x01\n",
     "2:7 control character 0x01; a text file cannot hold it\n"},
    {"line break in a text", "text: \"a\\nb\"\n",
     "1:7 a text with a line break or control character (0x0a) fits no key\n"},
    {"NUL in a text", "text: \"a\\0b\"\n",
     "1:7 a text with a line break or control character (0x00) fits no key\n"},
    /* Keys. */
    {"unknown key, near", "cuont: 3\n", "1:1 unknown key 'cuont'; did you mean 'count'?\n"},
    {"unknown key, far", "inner: {zebra: 3}\n",
     "1:9 unknown key 'zebra' in inner; known here: wait, small\n"},
    {"unknown key of a named thing", "map: {a: {size: 1, colour: red}}\n",
     "1:20 unknown key 'colour' in thing 'a'; did you mean 'color'?\n"},
    {"key twice", "count: 3\ntext: a\ncount: 4\n",
     "3:1 key 'count' stands here twice, first in line 1\n"},
    {"name twice", "map:\n  a: 1\n  b: 2\n  a: 3\n",
     "4:3 map: 'a' stands here twice, first in line 2\n"},
    {"name with a space", "map: {a b: 1}\n",
     "1:7 thing name 'a b' is not a name: letters, digits, '-', '_' and '.' only\n"},
    {"name empty", "map: {\"\": 1}\n", "1:7 thing name '' is empty\n"},
    {"key without value", "count:\ntext: ~\n",
     "1:1 'count' has no value; remove the line or give it one\n"
     "2:1 'text' has no value; remove the line or give it one\n"},
    {"name without value", "map: {a: }\n", "1:7 'a' has no value\n"},
    {"item without value", "numbers:\n  - 1\n  -\n", "3:4 numbers: an item without a value\n"},
    {"required of an item", "map: {a: {color: red}}\n",
     "1:7 required key 'size' is missing in thing 'a'\n"},
    {"required of a list's item", "list: [{color: red}]\n",
     "1:8 required key 'size' is missing in thing\n"},
    /* Kinds of nodes. */
    {"text for a section", "inner: 5\n", "1:8 inner: expected a mapping (key: value), found '5'\n"},
    {"list for a section", "inner: [5]\n",
     "1:8 inner: expected a mapping (key: value), found a list\n"},
    {"text for a list", "numbers: 5\n",
     "1:10 numbers: expected a list, each item a whole number: write [5]\n"},
    {"mapping for a list", "numbers: {a: 5}\n",
     "1:10 numbers: expected a list, each item a whole number, found a mapping\n"},
    {"list for names", "map: [a]\n", "1:6 map: expected a mapping (NAME: thing), found a list\n"},
    {"list for a number", "count: [1]\n",
     "1:8 count: expected a whole number, or auto, found a list\n"},
    {"bracket address", "addr: [a]\n",
     "1:7 addr: expected an IP address with port such as 192.0.2.1:80 or \"[2001:db8::1]:80\", or "
     "off, found a list (an IPv6 address in brackets needs quotes)\n"},
    {"list for a shorthand", "map: {a: [1]}\n",
     "1:10 size: expected a whole number, found a list\n"},
    {"too many items", "numbers: [1, 2, 3, 4]\n",
     "1:10 numbers: 4 items are too many (at most 3)\n"},
    {"short tuple", "point: [1]\n", "1:8 point: expected [x, y], found a list of 1\n"},
    /* Values. */
    {"number", "count: four\n", "1:8 count: expected a whole number, or auto, found 'four'\n"},
    {"number negative", "count: -1\n", "1:8 count: expected a whole number, or auto, found '-1'\n"},
    {"number with unit", "big: 10k\n", "1:6 big: expected a whole number, found '10k'\n"},
    {"number above", "count: 100000\n", "1:8 count: 100000 is out of range (1 to 256 threads)\n"},
    {"number below", "count: 0\n", "1:8 count: 0 is out of range (1 to 256 threads)\n"},
    {"number beyond 64 bits", "big: 18446744073709551616\n",
     "1:6 big: 18446744073709551616 is too large\n"},
    {"number beyond its member", "inner: {small: 65536}\n", "1:16 small: 65536 is too large\n"},
    {"in a list", "numbers: [1, x, 70000]\n",
     "1:14 numbers: expected a whole number, found 'x'\n1:17 numbers: 70000 is too large\n"},
    {"duration without unit", "wait: 30\n",
     "1:7 wait: expected a duration such as 30s (units: ms, s, m, h, d), found '30'; its unit is "
     "missing: 30s?\n"},
    {"duration", "wait: soon\n",
     "1:7 wait: expected a duration such as 30s (units: ms, s, m, h, d), found 'soon'\n"},
    {"duration above", "wait: 2h\n", "1:7 wait: 2h is out of range (at most 1h)\n"},
    {"duration below", "inner: {wait: 99ms}\n", "1:15 wait: 99ms is out of range (100ms to 1h)\n"},
    {"duration beyond its member", "ttl: 60000d\n", "1:6 ttl: 60000d is too large\n"},
    {"parts of a second", "ttl: 1500ms\n",
     "1:6 ttl: expected a duration such as 30s (units: s, m, h, d), found '1500ms'\n"},
    {"size", "bytes: 1.5MiB\n",
     "1:8 bytes: expected a size such as 64MiB (units: KiB, MiB, GiB), found '1.5MiB'\n"},
    {"size below", "bytes: 512k\n", "1:8 bytes: 512k is out of range (at least 1MiB)\n"},
    {"bool", "yes: maybe\n", "1:6 yes: expected true or false, found 'maybe'\n"},
    {"bool of YAML 1.1", "yes: y\n", "1:6 yes: expected true or false, found 'y'\n"},
    {"double", "ratio: half\n", "1:8 ratio: expected a number, found 'half'\n"},
    {"double not finite", "ratio: .nan\n", "1:8 ratio: expected a number, found '.nan'\n"},
    {"double above", "ratio: 1.01\n", "1:8 ratio: 1.01 is out of range (0 to 1)\n"},
    {"tuple's range", "point: [1, -91]\n", "1:12 y: -91 is out of range (-90 to 90)\n"},
    {"enum, near", "color: gren\n",
     "1:8 color: expected one of red, green, found 'gren'; did you mean 'green'?\n"},
    {"enum, far", "color: ultraviolet\n",
     "1:8 color: expected one of red, green, found 'ultraviolet'\n"},
    {"enum's case", "word: RED\n", "1:7 word: expected one of red, green, found 'RED'\n"},
    {"ip", "ip: 192.0.2.256\n",
     "1:5 ip: expected an IP address such as 192.0.2.1 or \"2001:db8::1\", found '192.0.2.256'\n"},
    {"prefix's host bits", "prefix: 10.1.2.3/8\n",
     "1:9 prefix: expected a prefix such as 10.0.0.0/8, found '10.1.2.3/8'; did you mean "
     "10.0.0.0/8?\n"},
    {"prefix too long", "prefix: 10.0.0.0/33\n",
     "1:9 prefix: expected a prefix such as 10.0.0.0/8, found '10.0.0.0/33'\n"},
    {"address without port", "addr: 10.0.0.1\n",
     "1:7 addr: expected an IP address with port such as 192.0.2.1:80 or \"[2001:db8::1]:80\", or "
     "off, found '10.0.0.1'\n"},
    {"address by name", "addr53: localhost\n",
     "1:9 addr53: expected an IP address, with a port unless it is 53, found 'localhost'\n"},
    {"port too large", "addr53: 10.0.0.1:65536\n",
     "1:9 addr53: expected an IP address, with a port unless it is 53, found '10.0.0.1:65536'\n"},
    {"empty text", "text: \"\"\n", "1:7 text: '' must not be empty\n"},
    {"text's own rule", "text: aB\n", "1:7 text: 'aB' has capitals\n"},
    {"empty path", "path: ''\n", "1:7 path: expected the path of a file, found ''\n"},
    {"missing file", "file: nix/da\n",
     "1:7 file: /etc/demo/nix/da cannot be read: No such file or directory\n"},
    {"custom", "even: 3\n", "1:7 even: expected an even number, found '3'\n"},
    {"column in characters", "{text: \"äöü\", word: gren}\n",
     "1:21 word: expected one of red, green, found 'gren'; did you mean 'green'?\n"},
    {"many at once, in the order of lines",
     "cuont: 4\ncount: four\nmap: {a: 11, b: x}\ninner:\n  wait: 5\nyes: 1\n",
     "1:1 unknown key 'cuont'; did you mean 'count'?\n"
     "2:8 count: expected a whole number, or auto, found 'four'\n"
     "3:10 size: 11 is out of range (at most 10)\n"
     "3:17 size: expected a whole number, found 'x'\n"
     "5:9 wait: expected a duration such as 30s (units: ms, s, m, h, d), found '5'; its unit is "
     "missing: 5s?\n"
     "6:6 yes: expected true or false, found '1'\n"},
};

static void mistakes_are_reported(void **state)
{
    size_t n_wrong = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(MISTAKES); i++) {
        struct loaded l;

        load(&l, MISTAKES[i].yaml);
        if (strcmp(l.said.p, MISTAKES[i].want) != 0) {
            print_error("%s:\nsaid   %swanted %s", MISTAKES[i].name, l.said.p, MISTAKES[i].want);
            n_wrong++;
        }
        unload(&l);
    }
    assert_int_equal(n_wrong, 0);
}

static void required_keys_are_missed(void **state)
{
    struct loaded l;

    (void)state;
    load_str(&l, &NEEDY, STR("# nothing of use\n{}\n"));
    assert_string_equal(l.said.p, "2:1 required key 'text' is missing\n"
                                  "2:1 required key 'numbers' is missing\n");
    unload(&l);
    load_str(&l, &NEEDY, STR("text: a\nnumbers: []\n"));
    assert_string_equal(l.said.p, "2:10 numbers: must not be empty\n");
    unload(&l);
}

static void the_line_is_shown_with_a_caret(void **state)
{
    struct loaded l;

    (void)state;
    load(&l, "text: a\ninner: {wiat: 3s}\n");
    assert_int_equal(l.errors.n, 1);
    assert_string_equal(l.errors.items[0].excerpt, "    inner: {wiat: 3s}\n            ^");
    assert_string_equal(l.errors.items[0].file, "/etc/demo/a.yaml");
    unload(&l);
}

/* ---- What is fine ---- */

static void values_land_typed(void **state)
{
    struct loaded l;
    const struct sample *s = &l.sample;
    char buf[ADDR_TEXT];

    (void)state;
    load(&l, "\xef\xbb\xbf# a byte order mark goes before\n"
             "text: null-ish\nyes: ON\nno: no\ncount: 256\nbig: 18446744073709551615\n"
             "bytes: 2GiB\nwait: 250ms\nttl: 2m\nratio: 0.25\ncolor: green\nword: \"red\"\n"
             "ip: \"2001:db8::1\"\nprefix: 10.0.0.0/8\naddr: \"[::1]:80\"\naddr53: 10.0.0.1\n"
             "path: run/x.sock\nfile: /dev/null\ninner: {small: 65535}\npoint: [1.5, -90]\n"
             "numbers:\n- 1\n- 65535\nlist: [5, {size: 6, color: red}]\n"
             "map: {b: 1, a: {size: 2}}\neven: 8\n");
    assert_string_equal(l.said.p, "");
    assert_string_equal(s->text, "null-ish");
    assert_int_equal(s->text_place.line, 2);
    assert_int_equal(s->text_place.column, 7);
    assert_true(s->yes);
    assert_true(s->no); /* stored inverted */
    assert_int_equal(s->count, 256);
    assert_true(s->big == UINT64_MAX);
    assert_true(s->bytes == (uint64_t)2 << 30);
    assert_int_equal(s->wait_ms, 250);
    assert_int_equal(s->wait_s, 120);
    assert_true(s->ratio == 0.25);
    assert_int_equal(s->color, GREEN);
    assert_string_equal(s->word, "red");
    assert_string_equal(ip_format(&s->ip, buf), "2001:db8::1");
    assert_int_equal(s->prefix.length, 8);
    assert_string_equal(addr_format(&s->addr, buf), "[::1]:80");
    assert_string_equal(addr_format(&s->addr53, buf), "10.0.0.1:53");
    assert_string_equal(s->path, "/etc/demo/run/x.sock");
    assert_string_equal(s->file, "/dev/null");
    assert_int_equal(s->inner.small, 65535);
    assert_int_equal(s->inner.wait_ms, 3000);
    assert_true(s->point.x == 1.5 && s->point.y == -90);
    assert_int_equal(s->n_numbers, 2);
    assert_int_equal(s->numbers[1], 65535);
    assert_int_equal(s->number_places[1].line, 23);
    assert_int_equal(s->even, 8);
    unload(&l);
}

static void things_come_short_and_long(void **state)
{
    struct loaded l;
    const struct sample *s = &l.sample;

    (void)state;
    load(&l, "list: [5, {size: 6, color: red}]\nmap: {b: 1, a: {size: 2}}\n");
    assert_string_equal(l.said.p, "");
    assert_int_equal(s->n_list, 2);
    assert_int_equal(s->list[0].size, 5);
    assert_string_equal(s->list[0].color, "green");
    assert_int_equal(s->list[1].size, 6);
    assert_string_equal(s->list[1].color, "red");
    assert_int_equal(s->list[1].place.column, 11);
    assert_int_equal(s->n_map, 2);
    assert_string_equal(s->map[0].name, "b");
    assert_int_equal(s->map[0].size, 1);
    assert_string_equal(s->map[1].name, "a");
    assert_int_equal(s->map[1].place.line, 2);
    unload(&l);
}

static void absence_has_defaults(void **state)
{
    struct loaded l;

    (void)state;
    load(&l, "{}\n");
    assert_string_equal(l.said.p, "");
    assert_int_equal(l.sample.count, 4);
    assert_int_equal(l.sample.color, RED);
    assert_int_equal(l.sample.even, 2);
    assert_null(l.sample.text);
    assert_int_equal(l.sample.text_place.line, 1); /* still a place for later mistakes */
    assert_int_equal(l.sample.inner.wait_ms, 3000);
    assert_int_equal(l.sample.gone.wait_ms, 0); /* a section that can be off is off */
    unload(&l);
    load(&l, "gone: {}\ncount: auto\naddr: off\n");
    assert_string_equal(l.said.p, "");
    assert_int_equal(l.sample.gone.wait_ms, 3000);
    assert_int_equal(l.sample.count, 0);
    assert_int_equal(l.sample.addr.length, 0);
    unload(&l);
    load(&l, "gone: off\n");
    assert_string_equal(l.said.p, "");
    assert_int_equal(l.sample.gone.wait_ms, 0);
    unload(&l);
}

static void a_wrong_value_leaves_the_default(void **state)
{
    struct loaded l;

    (void)state;
    load(&l, "count: many\ncolor: blue\neven: 3\ninner: {wait: 1ms}\nnumbers: [x, 3]\n");
    assert_int_equal(l.errors.n_errors, 5);
    assert_int_equal(l.sample.count, 4);
    assert_int_equal(l.sample.color, RED);
    assert_int_equal(l.sample.even, 2);
    assert_int_equal(l.sample.inner.wait_ms, 3000);
    assert_int_equal(l.sample.n_numbers, 1);
    assert_int_equal(l.sample.numbers[0], 3);
    unload(&l);
}

/* ---- Bounds ---- */

static void nesting_is_bounded(void **state)
{
    struct text t = {0};
    struct loaded l;

    (void)state;
    text_adds(&t, "text: ");
    for (int i = 0; i < 40; i++)
        text_adds(&t, "[");
    for (int i = 0; i < 40; i++)
        text_adds(&t, "]");
    load(&l, t.p);
    assert_string_equal(l.said.p, "1:38 nested deeper than 32 levels\n");
    unload(&l);
    text_free(&t);
}

static void many_mistakes_are_counted(void **state)
{
    struct text t = {0};
    struct loaded l;

    (void)state;
    text_adds(&t, "map:\n");
    for (int i = 0; i < 100000; i++)
        text_addf(&t, "  n%d: x\n", i);
    load(&l, t.p);
    assert_int_equal(l.errors.n_errors, 100000);
    assert_int_equal(l.errors.n, ERRORS_KEPT);
    assert_int_equal(l.sample.n_map, 100000);
    unload(&l);
    text_free(&t);
}

static void unreadable_files_say_why(void **state)
{
    static const struct {
        const char *path, *want;
    } CASES[] = {
        {"/tmp", "cannot be read: Is a directory"},
        {"/nix/da.yaml", "cannot be read: No such file or directory"},
        {"/dev/zero", "larger than 64 MiB"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct arena arena;
        struct errors errors = {0};

        arena_init(&arena, 0);
        assert_null(conf_open(CASES[i].path, &arena, &errors));
        assert_int_equal(errors.n, 1);
        assert_string_equal(errors.items[0].message, CASES[i].want);
        assert_string_equal(errors.items[0].file, CASES[i].path);
        errors_free(&errors);
        arena_free(&arena);
    }
}

/* ---- The index ---- */

static void index_finds_and_hints(void **state)
{
    struct conf_index x = {.is_folded = true};
    char buf[CONF_HINT], names[1000][8];
    struct loaded l;
    struct conf *f;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(names[i], sizeof(names[i]), "n%zu", i);
        assert_true(conf_index_put(&x, names[i], i) == CONF_NONE);
    }
    assert_int_equal(conf_index_put(&x, "N7", 9999), 7);
    assert_int_equal(conf_index_get(&x, "n999"), 999);
    assert_true(conf_index_get(&x, "n1000") == CONF_NONE);
    conf_index_free(&x);
    assert_true(conf_index_get(&x, "n1") == CONF_NONE);

    load(&l, "{}");
    f = conf_open_text("a", STR("{}"), &l.arena, &l.errors);
    conf_index_put(&x, "us-east", 0);
    conf_index_put(&x, "us-west", 1);
    assert_string_equal(conf_hint(f, &x, "us-eats", buf), "; did you mean 'us-east'?");
    assert_string_equal(conf_hint(f, &x, "antarctica", buf), "");
    conf_close(f);
    conf_index_free(&x);
    unload(&l);
}

static void paths_are_relative_to_the_file(void **state)
{
    static const struct {
        const char *file, *path, *want;
    } CASES[] = {
        {"/etc/a.yaml", "b", "/etc/b"},
        {"/a.yaml", "b", "/b"},
        {"/etc/a.yaml", "/b", "/b"},
        {"/etc/x/a.yaml", "../b", "/etc/x/../b"},
    };
    char want[4200], *here = getcwd(NULL, 0);

    (void)state;
    for (size_t i = 0; i <= COUNT_OF(CASES); i++) {
        bool is_last = i == COUNT_OF(CASES);
        struct arena arena;
        struct errors errors = {0};
        struct conf *f;

        arena_init(&arena, 0);
        f = conf_open_text(is_last ? "sub/a.yaml" : CASES[i].file, STR("{}"), &arena, &errors);
        assert_non_null(f);
        snprintf(want, sizeof(want), "%s/sub/b", here);
        assert_string_equal(conf_path(f, str_of(is_last ? "b" : CASES[i].path)),
                            is_last ? want : CASES[i].want);
        conf_close(f);
        arena_free(&arena);
    }
    free(here);
}

static void the_reference_lists_every_key(void **state)
{
    struct text t = {0};

    (void)state;
    conf_describe(&SCHEMA, &t);
    for (size_t i = 0; i < COUNT_OF(FIELDS); i++) {
        char line[64];

        snprintf(line, sizeof(line), ".It Ic %s : Ar ", FIELDS[i].key);
        assert_non_null(strstr(t.p, line));
    }
    assert_non_null(strstr(t.p, ".It Ic count : Ar number | auto\nCount.\n1 to 256 threads; "
                                "default 4.\n"));
    assert_non_null(strstr(t.p, ".Ss map.NAME\n"));
    assert_non_null(strstr(t.p, ".Ss list.ITEM\n"));
    assert_non_null(strstr(t.p, ".It Ic numbers : Ar list of numbers\n"));
    for (const char *p = t.p, *end; (end = strchr(p, '\n')) != NULL; p = end + 1)
        assert_true(end - p <= 80 || p[0] == '.');
    text_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_land_typed),
        cmocka_unit_test(things_come_short_and_long),
        cmocka_unit_test(absence_has_defaults),
        cmocka_unit_test(mistakes_are_reported),
        cmocka_unit_test(required_keys_are_missed),
        cmocka_unit_test(the_line_is_shown_with_a_caret),
        cmocka_unit_test(a_wrong_value_leaves_the_default),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(many_mistakes_are_counted),
        cmocka_unit_test(unreadable_files_say_why),
        cmocka_unit_test(index_finds_and_hints),
        cmocka_unit_test(paths_are_relative_to_the_file),
        cmocka_unit_test(the_reference_lists_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
