/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cache-Control (RFC 9111 section 5.2), its targeted form (RFC 9213) and Age. The two have
 * different grammars: the first is a lenient list where the first of duplicates counts, the second
 * a structured dictionary (RFC 8941 section 4.2.2) where one error voids the whole field and the
 * last of duplicates counts.
 */
#include "edge-proxy/fields/fields.h"

enum kind { FLAG, SECONDS, NAMES };

static const struct {
    const char *name;
    enum kind kind;
} directives[CC_COUNT] = {
#define DIRECTIVE_(id, name, kind) [CC_##id] = {name, kind},
    FIELDS_DIRECTIVES(DIRECTIVE_)
#undef DIRECTIVE_
};

static int find_directive(struct str name)
{
    for (int d = 0; d < CC_COUNT; d++) {
        if (str_is_nocase(name, directives[d].name))
            return d;
    }
    return -1;
}

static void set_present(struct cache_control *cc, int directive)
{
    cc->present |= (uint32_t)1 << directive;
}

/* delta-seconds; overflow is 2^31, anything else 0, which is stale (RFC 9111 section 4.2.1). */
static uint32_t read_seconds(struct str s)
{
    uint64_t v = 0;

    for (size_t i = 0; i < s.n; i++) {
        if ((fields_char_class[(uint8_t)s.p[i]] & FIELDS_DIGIT) == 0)
            return 0;
        if (v < FIELDS_SECONDS_MAX)
            v = v * 10 + (unsigned)(s.p[i] - '0');
    }
    return v < FIELDS_SECONDS_MAX ? (uint32_t)v : FIELDS_SECONDS_MAX;
}

/* The qualified form restricts only some fields; said without names, or twice, it restricts all. */
static void add_names(struct cache_control *cc, int directive, struct str names)
{
    struct str *slot = directive == CC_NO_CACHE ? &cc->no_cache_names : &cc->private_names;
    struct str rest = names, element;

    if (!fields_next_element(&rest, &element) || (slot->p != NULL && !str_eq(*slot, names)))
        set_present(cc, directive);
    else
        *slot = names;
}

static void add_directive(struct cache_control *cc, const struct field_param *param)
{
    struct str name = str_trim(param->name);
    int d = find_directive(name);

    if (d < 0)
        return;
    if (directives[d].kind == NAMES && param->has_value) {
        add_names(cc, d, param->value);
        return;
    }
    if (directives[d].kind == SECONDS && !cc_has(cc, (enum cache_directive)d)) {
        /* "max-age =5" is not delta-seconds of max-age. */
        bool is_clean = param->has_value && name.n == param->name.n;

        cc->seconds[d] = is_clean ? read_seconds(param->value) : 0;
        if (d == CC_MAX_STALE && !param->has_value)
            cc->seconds[d] = FIELDS_SECONDS_MAX;
    }
    set_present(cc, d);
}

void fields_read_cache_control(const struct fields *f, struct cache_control *out)
{
    *out = (struct cache_control){0};
    for (int i = fields_find(f, FIELD_CACHE_CONTROL); i >= 0; i = fields_next(f, i)) {
        struct str rest = f->v[i].value;
        struct field_param param;

        while (fields_next_param(&rest, ',', &param))
            add_directive(out, &param);
    }
}

uint32_t fields_read_age(const struct fields *f)
{
    return read_seconds(fields_value(f, FIELD_AGE));
}

/* ---- The structured dictionary ---- */

struct sf_value {
    enum { SF_BOOLEAN, SF_INTEGER, SF_STRING, SF_OTHER } type;
    struct str text; /* integers: with the sign; strings: without the quotes */
    bool is_true;
};

static char sf_peek(struct str s)
{
    return s.n > 0 ? s.p[0] : '\0';
}

static void sf_skip(struct str *s, size_t n)
{
    s->p += n;
    s->n -= n;
}

static void sf_skip_spaces(struct str *s, bool with_tabs)
{
    while (sf_peek(*s) == ' ' || (with_tabs && sf_peek(*s) == '\t'))
        sf_skip(s, 1);
}

static bool is_sf_key_char(char c, bool is_first)
{
    bool is_lower = c >= 'a' && c <= 'z';

    if (is_lower || c == '*')
        return true;
    return !is_first && ((c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.');
}

static bool sf_take_key(struct str *s, struct str *key)
{
    size_t n = 0;

    while (n < s->n && is_sf_key_char(s->p[n], n == 0))
        n++;
    *key = (struct str){s->p, n};
    sf_skip(s, n);
    return n > 0;
}

static bool sf_take_number(struct str *s, struct sf_value *v)
{
    size_t sign = sf_peek(*s) == '-', n = sign, point = 0;

    for (; n < s->n; n++) {
        if (s->p[n] == '.' && point == 0 && n > sign)
            point = n;
        else if ((fields_char_class[(uint8_t)s->p[n]] & FIELDS_DIGIT) == 0)
            break;
    }
    v->type = point ? SF_OTHER : SF_INTEGER;
    v->text = (struct str){s->p, n};
    sf_skip(s, n);
    if (point)
        return n - point - 1 >= 1 && n - point - 1 <= 3 && point - sign <= 12;
    return n - sign >= 1 && n - sign <= 15;
}

static bool sf_take_string(struct str *s, struct sf_value *v)
{
    for (size_t i = 1; i < s->n; i++) {
        uint8_t c = (uint8_t)s->p[i];

        if (c == '"') {
            *v = (struct sf_value){.type = SF_STRING, .text = {s->p + 1, i - 1}};
            sf_skip(s, i + 1);
            return true;
        }
        if (c == '\\' && (++i >= s->n || (s->p[i] != '"' && s->p[i] != '\\')))
            return false;
        if (c < 0x20 || c > 0x7e)
            return false;
    }
    return false;
}

static bool sf_take_bytes(struct str *s)
{
    const char *end = memchr(s->p + 1, ':', s->n - 1);

    if (end == NULL)
        return false;
    for (const char *p = s->p + 1; p < end; p++) {
        bool is_alnum = (fields_char_class[(uint8_t)*p] & FIELDS_HOSTCHAR) && *p != '-' &&
                        *p != '.' && *p != '_';

        if (!is_alnum && *p != '+' && *p != '/' && *p != '=')
            return false;
    }
    sf_skip(s, (size_t)(end - s->p) + 1);
    return true;
}

static void sf_take_token(struct str *s)
{
    size_t n = 1;

    while (n < s->n && ((fields_char_class[(uint8_t)s->p[n]] & FIELDS_TCHAR) || s->p[n] == ':' ||
                        s->p[n] == '/'))
        n++;
    sf_skip(s, n);
}

static bool sf_take_bare_item(struct str *s, struct sf_value *v)
{
    char c = sf_peek(*s);

    *v = (struct sf_value){.type = SF_OTHER};
    if (c == '-' || (c >= '0' && c <= '9'))
        return sf_take_number(s, v);
    if (c == '"')
        return sf_take_string(s, v);
    if (c == ':')
        return sf_take_bytes(s);
    if (c == '?') {
        if (s->n < 2 || (s->p[1] != '0' && s->p[1] != '1'))
            return false;
        *v = (struct sf_value){.type = SF_BOOLEAN, .is_true = s->p[1] == '1'};
        sf_skip(s, 2);
        return true;
    }
    if (c != '*' && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
        return false;
    sf_take_token(s);
    return true;
}

static bool sf_take_params(struct str *s)
{
    while (sf_peek(*s) == ';') {
        struct str key;
        struct sf_value ignored;

        sf_skip(s, 1);
        sf_skip_spaces(s, false);
        if (!sf_take_key(s, &key))
            return false;
        if (sf_peek(*s) == '=') {
            sf_skip(s, 1);
            if (!sf_take_bare_item(s, &ignored))
                return false;
        }
    }
    return true;
}

static bool sf_take_inner_list(struct str *s)
{
    struct sf_value ignored;

    sf_skip(s, 1);
    for (;;) {
        sf_skip_spaces(s, false);
        if (sf_peek(*s) == ')') {
            sf_skip(s, 1);
            return true;
        }
        if (!sf_take_bare_item(s, &ignored) || !sf_take_params(s))
            return false;
        if (sf_peek(*s) != ' ' && sf_peek(*s) != ')')
            return false;
    }
}

static bool sf_take_member(struct str *s, struct str *key, struct sf_value *v)
{
    *v = (struct sf_value){.type = SF_BOOLEAN, .is_true = true};
    if (!sf_take_key(s, key))
        return false;
    if (sf_peek(*s) == '=') {
        sf_skip(s, 1);
        if (sf_peek(*s) == '(') {
            v->type = SF_OTHER;
            if (!sf_take_inner_list(s))
                return false;
        } else if (!sf_take_bare_item(s, v)) {
            return false;
        }
    }
    return sf_take_params(s);
}

static void set_member(struct cache_control *cc, struct str key, const struct sf_value *v)
{
    int d = find_directive(key);

    if (d < 0)
        return;
    cc->present &= ~((uint32_t)1 << d);
    if (directives[d].kind == NAMES)
        *(d == CC_NO_CACHE ? &cc->no_cache_names : &cc->private_names) = (struct str){NULL, 0};
    if (v->type == SF_BOOLEAN && !v->is_true)
        return;
    if (directives[d].kind == NAMES && v->type == SF_STRING) {
        add_names(cc, d, v->text);
        return;
    }
    cc->seconds[d] = v->type == SF_INTEGER ? read_seconds(v->text) : 0;
    set_present(cc, d);
}

static bool read_dictionary_line(struct str s, struct cache_control *out)
{
    for (;;) {
        struct str key;
        struct sf_value v;

        if (!sf_take_member(&s, &key, &v))
            return false;
        set_member(out, key, &v);
        sf_skip_spaces(&s, true);
        if (s.n == 0)
            return true;
        if (sf_peek(s) != ',')
            return false;
        sf_skip(&s, 1);
        sf_skip_spaces(&s, true);
    }
}

bool fields_read_cdn_cache_control(const struct fields *f, struct cache_control *out)
{
    int i = fields_find(f, FIELD_CDN_CACHE_CONTROL);
    bool is_found = i >= 0;

    *out = (struct cache_control){0};
    for (; i >= 0; i = fields_next(f, i)) {
        if (!read_dictionary_line(f->v[i].value, out))
            return false;
    }
    return is_found;
}
