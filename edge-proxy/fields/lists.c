/* SPDX-License-Identifier: BSD-2-Clause */
/* Characters, tokens, comma lists, parameters (RFC 9110 section 5.6), Accept-Encoding. */
#include "edge-proxy/fields/fields.h"

#define T FIELDS_TCHAR
#define ALNUM (FIELDS_TCHAR | FIELDS_UNRESERVED | FIELDS_HOSTCHAR)

/* HOSTCHAR is narrower than the reg-name of RFC 3986: sub-delims and %-escapes have no honest use
 * in a host name, and recipients disagree about them. */
const uint8_t fields_char_class[256] = {
    ['0' ... '9'] = ALNUM | FIELDS_DIGIT | FIELDS_HEX,
    ['A' ... 'F'] = ALNUM | FIELDS_HEX,
    ['G' ... 'Z'] = ALNUM,
    ['a' ... 'f'] = ALNUM | FIELDS_HEX,
    ['g' ... 'z'] = ALNUM,
    ['-'] = ALNUM,
    ['.'] = ALNUM,
    ['_'] = ALNUM,
    ['~'] = T | FIELDS_UNRESERVED,
    ['!'] = T,
    ['#'] = T,
    ['$'] = T,
    ['%'] = T,
    ['&'] = T,
    ['\''] = T,
    ['*'] = T,
    ['+'] = T,
    ['^'] = T,
    ['`'] = T,
    ['|'] = T,
};

bool fields_is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((fields_char_class[(uint8_t)s.p[i]] & FIELDS_TCHAR) == 0)
            return false;
    }
    return s.n > 0;
}

/* Length of the quoted string that s starts with; an open one goes on to the end. */
static size_t quoted_length(struct str s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            return i + 1;
    }
    return s.n;
}

static bool next_piece(struct str *rest, char separator, struct str *piece)
{
    while (rest->n > 0) {
        size_t i = 0;

        while (i < rest->n && rest->p[i] != separator)
            i += rest->p[i] == '"' ? quoted_length((struct str){rest->p + i, rest->n - i}) : 1;
        *piece = str_trim((struct str){rest->p, i});
        i += i < rest->n;
        rest->p += i;
        rest->n -= i;
        if (piece->n > 0)
            return true;
    }
    return false;
}

bool fields_next_element(struct str *rest, struct str *element)
{
    return next_piece(rest, ',', element);
}

bool fields_next_param(struct str *rest, char separator, struct field_param *out)
{
    struct str piece;
    const char *equals;

    if (!next_piece(rest, separator, &piece))
        return false;
    *out = (struct field_param){.name = piece};
    equals = memchr(piece.p, '=', piece.n);
    if (equals == NULL)
        return true;
    out->has_value = true;
    out->name.n = (size_t)(equals - piece.p);
    out->value = (struct str){equals + 1, piece.n - out->name.n - 1};
    if (out->value.n >= 2 && out->value.p[0] == '"' && quoted_length(out->value) == out->value.n &&
        out->value.p[out->value.n - 1] == '"') {
        out->is_quoted = true;
        out->value = (struct str){out->value.p + 1, out->value.n - 2};
    }
    return true;
}

bool fields_has_token(const struct fields *f, enum field_id id, const char *token)
{
    for (int i = fields_find(f, id); i >= 0; i = fields_next(f, i)) {
        struct str rest = f->v[i].value, element;

        while (fields_next_element(&rest, &element)) {
            if (str_is_nocase(element, token))
                return true;
        }
    }
    return false;
}

bool fields_parse_digits(struct str s, uint64_t *out)
{
    uint64_t v = 0;

    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(uint8_t)s.p[i] - '0';

        if (digit > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    *out = v;
    return s.n > 0;
}

/* qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ) */
static bool parse_qvalue(struct str s, bool *is_zero)
{
    *is_zero = true;
    if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (i == 1)
            continue;
        if ((fields_char_class[(uint8_t)s.p[i]] & FIELDS_DIGIT) == 0)
            return false;
        if (i > 1 && s.p[0] == '1' && s.p[i] != '0')
            return false;
        if (s.p[i] != '0')
            *is_zero = false;
    }
    return true;
}

static unsigned coding_bit(struct str name)
{
    static const struct {
        const char *name;
        unsigned bit;
    } codings[] = {
        {"gzip", CODING_GZIP}, {"x-gzip", CODING_GZIP},       {"br", CODING_BR},
        {"zstd", CODING_ZSTD}, {"identity", CODING_IDENTITY},
    };

    for (size_t i = 0; i < COUNT_OF(codings); i++) {
        if (str_is_nocase(name, codings[i].name))
            return codings[i].bit;
    }
    return 0;
}

struct accepted {
    unsigned yes, no; /* codings named with a weight above 0, with a weight of 0 */
    bool has_star, is_star_zero;
};

static void read_coding(struct str element, struct accepted *a)
{
    struct field_param part;
    struct str rest = element, name;
    bool is_zero = false;

    if (!fields_next_param(&rest, ';', &part))
        return;
    name = str_trim(part.name);
    while (fields_next_param(&rest, ';', &part)) {
        if (str_is_nocase(part.name, "q") && !parse_qvalue(part.value, &is_zero))
            return; /* malformed: as if it were not there */
    }
    if (str_is(name, "*")) {
        a->has_star = true;
        a->is_star_zero = is_zero;
    } else if (is_zero) {
        a->no |= coding_bit(name);
    } else {
        a->yes |= coding_bit(name);
    }
}

unsigned fields_read_accept_encoding(const struct fields *request)
{
    struct accepted a = {0};
    unsigned unnamed;

    for (int i = fields_find(request, FIELD_ACCEPT_ENCODING); i >= 0; i = fields_next(request, i)) {
        struct str rest = request->v[i].value, element;

        while (fields_next_element(&rest, &element))
            read_coding(element, &a);
    }
    unnamed = ~(a.yes | a.no) & (CODING_GZIP | CODING_BR | CODING_ZSTD | CODING_IDENTITY);
    if (!a.has_star)
        a.yes |= unnamed & CODING_IDENTITY;
    else if (!a.is_star_zero)
        a.yes |= unnamed;
    return a.yes & ~a.no;
}

/* ---- Cookies (RFC 6265 section 4.2.1, read as leniently as origins do) ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

bool fields_next_cookie(struct str *rest, struct str *pair)
{
    const char *end;

    while (rest->n > 0 && (is_space(*rest->p) || *rest->p == ';'))
        *rest = (struct str){rest->p + 1, rest->n - 1};
    if (rest->n == 0)
        return false;
    end = memchr(rest->p, ';', rest->n);
    *pair = (struct str){rest->p, end != NULL ? (size_t)(end - rest->p) : rest->n};
    *rest = (struct str){rest->p + pair->n, rest->n - pair->n};
    while (pair->n > 0 && is_space(pair->p[pair->n - 1]))
        pair->n--;
    return true;
}

bool fields_find_cookie(const struct fields *f, struct str name, struct str *value)
{
    for (int i = fields_find(f, FIELD_COOKIE); i >= 0; i = fields_next(f, i)) {
        struct str rest = f->v[i].value, pair;

        while (fields_next_cookie(&rest, &pair))
            if (pair.n > name.n && pair.p[name.n] == '=' && memcmp(pair.p, name.p, name.n) == 0) {
                *value = (struct str){pair.p + name.n + 1, pair.n - name.n - 1};
                return true;
            }
    }
    return false;
}
