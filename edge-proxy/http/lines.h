/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lines: field lines, of heads and of trailer sections alike; the inner loop of head.c, which is
 * compiled once for each level of vector instructions.
 */
#ifndef EDGE_PROXY_HTTP_LINES_H
#define EDGE_PROXY_HTTP_LINES_H

#include "edge-proxy/http/http.h"
#include "edge-proxy/http/scan.h"

struct parse {
    struct scan_span span;
    const char *p;    /* everything before is read */
    const char *line; /* start of the field line at hand */
    const struct http_limits *limits;
    struct fields *fields; /* NULL: check only */
    bool may_unfold, is_trailer;
};

/* What is wrong with a byte that no part of a head may hold here; otherwise `other`. */
static inline enum http_verdict blame(uint8_t c, enum http_verdict other)
{
    if (c == '\r' || c == '\n')
        return HTTP_BAD_LINE_END;
    if ((c < 0x20 && c != '\t') || c == 0x7f)
        return HTTP_BAD_BYTE;
    return other;
}

/* CR at p->p, then LF. */
ALWAYS_INLINE enum http_verdict take_line_end(struct parse *s)
{
    if (s->p == s->span.end)
        return HTTP_MORE;
    if (*s->p != '\r')
        return blame((uint8_t)*s->p, HTTP_BAD_LINE_END);
    if (s->p + 1 == s->span.end)
        return HTTP_MORE;
    if (s->p[1] != '\n')
        return HTTP_BAD_LINE_END;
    s->p += 2;
    return HTTP_DONE;
}

/* ---- Field lines ---- */

static inline enum http_verdict blame_name(const struct parse *s, const char *at, const char *start)
{
    if (*at == '\r' && at + 1 == s->span.end)
        return HTTP_MORE;
    if (*at == '\r' && at[1] == '\n')
        return HTTP_NO_COLON;
    if (at > start && (*at == ' ' || *at == '\t'))
        return HTTP_SPACE_BEFORE_COLON;
    return blame((uint8_t)*at, HTTP_BAD_FIELD_NAME);
}

/* The value from s->p on, over folded lines if they may be unfolded (RFC 9112 section 5.2). */
ALWAYS_INLINE enum http_verdict read_value(struct parse *s, struct str *value,
                                           enum scan_level level)
{
    const char *start, *stop;

    while (s->p < s->span.end && (*s->p == ' ' || *s->p == '\t'))
        s->p++;
    start = s->p;
    for (;;) {
        enum http_verdict v;

        s->p = stop = scan(s->p, &s->span, SCAN_VALUE, level);
        v = take_line_end(s);
        if (unlikely(v != HTTP_DONE))
            return v;
        if (unlikely(s->p == s->span.end))
            return HTTP_MORE;
        if (likely(*s->p != ' ' && *s->p != '\t'))
            break;
        if (!s->may_unfold)
            return HTTP_OBS_FOLD;
        memset((char *)(uintptr_t)stop, ' ', 3); /* http_parse_response has them writable */
    }
    while (start < stop && (*start == ' ' || *start == '\t')) /* after a fold */
        start++;
    while (stop > start && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    *value = (struct str){start, (size_t)(stop - start)};
    return HTTP_DONE;
}

/* A line to be indexed when all are read. A trailer that is not allowed is left out. */
ALWAYS_INLINE bool store_line(struct parse *s, struct str name, struct str value)
{
    struct field *line;

    if (s->is_trailer && (s->fields == NULL || !fields_is_trailer_allowed(fields_identify(name))))
        return true;
    if (s->fields->count >= s->limits->fields)
        return false;
    line = &s->fields->v[s->fields->count++];
    line->name = name;
    line->value = value;
    return true;
}

ALWAYS_INLINE enum http_verdict read_line(struct parse *s, enum scan_level level)
{
    const char *name_end = scan(s->p, &s->span, SCAN_TOKEN, level);
    struct str name = {s->p, (size_t)(name_end - s->p)}, value;
    enum http_verdict v;

    if (unlikely(name_end == s->span.end))
        return HTTP_MORE;
    if (unlikely(*name_end != ':' || name.n == 0))
        return blame_name(s, name_end, s->p);
    s->p = name_end + 1;
    v = read_value(s, &value, level);
    if (unlikely(v != HTTP_DONE))
        return v;
    return likely(store_line(s, name, value)) ? HTTP_DONE : HTTP_TOO_MANY_FIELDS;
}

/* Up to and with the empty line. */
ALWAYS_INLINE enum http_verdict read_lines(struct parse *s, enum scan_level level)
{
    const char *first = s->p;
    enum http_verdict v;

    for (;;) {
        s->line = s->p;
        if (unlikely(s->p == s->span.end))
            return HTTP_MORE;
        if (*s->p == '\r')
            return take_line_end(s);
        if (unlikely(s->p == first && (*s->p == ' ' || *s->p == '\t')))
            return HTTP_LEADING_SPACE;
        v = read_line(s, level);
        if (unlikely(v != HTTP_DONE))
            return v;
    }
}

#endif
