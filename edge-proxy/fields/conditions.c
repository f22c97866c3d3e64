/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entity tags, conditional requests and ranges (RFC 9110 sections 8.8, 13 and 14). If-Match and
 * If-Unmodified-Since are for the origin; a cache does not evaluate them (RFC 9111 section 4.3.2).
 */
#include "edge-proxy/fields/fields.h"

/* ---- Entity tags ---- */

/* entity-tag at the front of s; it is taken off. Backslash has no meaning in it. */
static bool take_etag(struct str *s, struct etag *out)
{
    size_t start = 0, i;

    out->is_weak = s->n >= 2 && s->p[0] == 'W' && s->p[1] == '/';
    if (out->is_weak)
        start = 2;
    if (start >= s->n || s->p[start] != '"')
        return false;
    for (i = start + 1; i < s->n && s->p[i] != '"'; i++) {
        if ((uint8_t)s->p[i] < 0x21 || s->p[i] == 0x7f)
            return false;
    }
    if (i == s->n)
        return false;
    out->opaque = (struct str){s->p + start, i + 1 - start};
    s->p += i + 1;
    s->n -= i + 1;
    return true;
}

bool fields_parse_etag(struct str s, struct etag *out)
{
    return take_etag(&s, out) && s.n == 0;
}

bool fields_etag_is_strong_match(const struct etag *a, const struct etag *b)
{
    return !a->is_weak && !b->is_weak && str_eq(a->opaque, b->opaque);
}

bool fields_etag_is_weak_match(const struct etag *a, const struct etag *b)
{
    return str_eq(a->opaque, b->opaque);
}

/* ---- Conditions ---- */

static void skip_commas(struct str *s)
{
    while (s->n > 0 && (s->p[0] == ',' || s->p[0] == ' ' || s->p[0] == '\t')) {
        s->p++;
        s->n--;
    }
}

/* Does one line of If-None-Match name the tag? What follows an error in it counts for nothing. */
static bool has_etag(struct str list, const struct etag *wanted)
{
    struct etag tag;

    for (skip_commas(&list); take_etag(&list, &tag); skip_commas(&list)) {
        if (fields_etag_is_weak_match(&tag, wanted))
            return true;
        list = str_trim(list);
        if (list.n > 0 && list.p[0] != ',')
            return false;
    }
    return false;
}

static bool is_none_match(const struct fields *request, const struct validators *v)
{
    struct etag stored = {0};
    bool has_stored = fields_parse_etag(v->etag, &stored);

    for (int i = fields_find(request, FIELD_IF_NONE_MATCH); i >= 0; i = fields_next(request, i)) {
        struct str value = request->v[i].value;

        if (str_is(value, "*") || (has_stored && has_etag(value, &stored)))
            return false;
    }
    return true;
}

bool fields_is_not_modified(const struct fields *request, const struct validators *v, int64_t now_s)
{
    int i = fields_find(request, FIELD_IF_MODIFIED_SINCE);
    int64_t since_s;

    if (fields_has(request, FIELD_IF_NONE_MATCH))
        return !is_none_match(request, v);
    if (i < 0 || fields_next(request, i) >= 0 || v->last_modified_s < 0)
        return false;
    if (!fields_parse_date(request->v[i].value, now_s, &since_s))
        return false;
    return v->last_modified_s <= since_s;
}

bool fields_is_range_current(const struct fields *request, const struct validators *v,
                             int64_t now_s)
{
    int i = fields_find(request, FIELD_IF_RANGE);
    struct etag asked, stored;
    int64_t date_s;

    if (i < 0)
        return true;
    if (fields_next(request, i) >= 0)
        return false;
    if (fields_parse_etag(request->v[i].value, &asked))
        return fields_parse_etag(v->etag, &stored) && fields_etag_is_strong_match(&asked, &stored);
    /* A date is strong only when the representation was a second old at least (8.8.2.2). */
    return v->last_modified_s >= 0 && v->date_s > v->last_modified_s &&
           fields_parse_date(request->v[i].value, now_s, &date_s) && date_s == v->last_modified_s;
}

/* ---- Ranges ---- */

/* 1*DIGIT; a number beyond 64 bits lies beyond every representation and is read as the largest. */
static bool parse_position(struct str s, uint64_t *out)
{
    if (fields_parse_digits(s, out))
        return true;
    for (size_t i = 0; i < s.n; i++) {
        if ((fields_char_class[(uint8_t)s.p[i]] & FIELDS_DIGIT) == 0)
            return false;
    }
    *out = UINT64_MAX;
    return s.n > 0;
}

/* false: malformed. *fits: it selects bytes of a representation of this size. */
static bool parse_range_spec(struct str spec, uint64_t size, struct byte_range *out, bool *fits)
{
    const char *dash = memchr(spec.p, '-', spec.n);
    struct str left, right;
    uint64_t suffix;

    if (dash == NULL)
        return false;
    left = (struct str){spec.p, (size_t)(dash - spec.p)};
    right = (struct str){dash + 1, spec.n - left.n - 1};
    if (left.n == 0) {
        if (!parse_position(right, &suffix))
            return false;
        *fits = suffix > 0 && size > 0;
        *out = (struct byte_range){suffix < size ? size - suffix : 0, size - 1};
        return true;
    }
    out->last = UINT64_MAX;
    if (!parse_position(left, &out->first) || (right.n > 0 && !parse_position(right, &out->last)) ||
        out->first > out->last)
        return false;
    *fits = out->first < size;
    if (*fits && out->last >= size)
        out->last = size - 1;
    return true;
}

static bool has_overlap(const struct byte_range *ranges, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = i + 1; j < count; j++) {
            if (ranges[i].first <= ranges[j].last && ranges[j].first <= ranges[i].last)
                return true;
        }
    }
    return false;
}

enum range_verdict fields_read_ranges(const struct fields *request, uint64_t size_bytes,
                                      struct byte_range out[FIELDS_RANGES_MAX], unsigned *count)
{
    int i = fields_find(request, FIELD_RANGE);
    const struct str unit = STR("bytes=");
    struct str rest, spec;
    unsigned specs = 0;

    *count = 0;
    if (i < 0 || fields_next(request, i) >= 0)
        return RANGE_IGNORE;
    rest = request->v[i].value;
    if (rest.n <= unit.n || !str_eq_nocase((struct str){rest.p, unit.n}, unit))
        return RANGE_IGNORE;
    rest = (struct str){rest.p + unit.n, rest.n - unit.n};
    while (fields_next_element(&rest, &spec)) {
        struct byte_range range;
        bool fits;

        if (++specs > FIELDS_RANGES_MAX || !parse_range_spec(spec, size_bytes, &range, &fits))
            return RANGE_IGNORE;
        if (fits)
            out[(*count)++] = range;
    }
    if (specs == 0 || has_overlap(out, *count))
        return RANGE_IGNORE;
    return *count > 0 ? RANGE_SATISFIABLE : RANGE_UNSATISFIABLE;
}

void fields_write_content_range(struct writer *w, const struct byte_range *range,
                                uint64_t size_bytes)
{
    fields_write_str(w, STR("bytes "));
    if (range == NULL) {
        writer_u8(w, '*');
    } else {
        fields_write_u64(w, range->first);
        writer_u8(w, '-');
        fields_write_u64(w, range->last);
    }
    writer_u8(w, '/');
    fields_write_u64(w, size_bytes);
}

bool fields_parse_content_range(struct str s, struct byte_range *range, uint64_t *size_bytes)
{
    const struct str unit = STR("bytes ");
    const char *dash, *slash;

    if (s.n <= unit.n || !str_eq_nocase((struct str){s.p, unit.n}, unit))
        return false;
    s = (struct str){s.p + unit.n, s.n - unit.n};
    slash = memchr(s.p, '/', s.n);
    if (slash == NULL)
        return false;
    dash = memchr(s.p, '-', (size_t)(slash - s.p));
    if (dash == NULL ||
        !fields_parse_digits((struct str){s.p, (size_t)(dash - s.p)}, &range->first) ||
        !fields_parse_digits((struct str){dash + 1, (size_t)(slash - dash - 1)}, &range->last))
        return false;
    s = (struct str){slash + 1, s.n - (size_t)(slash + 1 - s.p)};
    if (str_is(s, "*"))
        *size_bytes = UINT64_MAX;
    else if (!fields_parse_digits(s, size_bytes))
        return false;
    return range->first <= range->last && range->last < *size_bytes;
}
