/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Message heads. The parser goes over the bytes once, in order, and each refusal depends only on
 * the bytes up to it, so the verdict does not depend on how the input was split. When the first
 * pass runs out of input, later calls only look for the head's end or an illegal byte in what is
 * new (gate), and parse again when they have found one: the work stays linear however slowly the
 * bytes drip in.
 *
 * The whole parser is compiled once for each level of vector instructions (see scan.h); the best
 * that the machine has is chosen before main.
 */
#include "edge-proxy/http/http_internal.h"
#include "edge-proxy/http/lines.h"

/* RFC 9112 section 2.2 asks for "at least one" to be ignored. */
#define LEADING_LINES_MAX 4
#define SCHEME_MAX 8

/* ---- Start lines ---- */

/* "HTTP/1.0" or "HTTP/1.1" at s->p. */
static enum http_verdict read_version(struct parse *s, struct http_head *head)
{
    static const char shape[] = "HTTP/d.d";

    for (size_t i = 0; i < 8; i++) {
        const char *at = s->p + i;
        bool is_digit;

        if (at == s->span.end)
            return HTTP_MORE;
        is_digit = (uint8_t)(*at - '0') < 10;
        if (shape[i] == 'd' ? !is_digit : *at != shape[i])
            return blame((uint8_t)*at, HTTP_BAD_VERSION);
    }
    if (s->p[5] != '1' || s->p[7] > '1')
        return HTTP_VERSION_UNSUPPORTED;
    head->minor = (uint8_t)(s->p[7] - '0');
    s->p += 8;
    return HTTP_DONE;
}

ALWAYS_INLINE enum http_verdict read_method(struct parse *s, struct http_head *head,
                                            enum scan_level level)
{
    const char *end = scan(s->p, &s->span, SCAN_TOKEN, level);

    head->method_text = (struct str){s->p, (size_t)(end - s->p)};
    if (unlikely(head->method_text.n > HTTP_METHOD_BYTES_MAX))
        return HTTP_METHOD_TOO_LONG;
    if (unlikely(end == s->span.end))
        return HTTP_MORE;
    if (unlikely(*end != ' ' || head->method_text.n == 0))
        return blame((uint8_t)*end, HTTP_BAD_METHOD);
    head->method = http_method_of(head->method_text);
    s->p = end + 1;
    return head->method == HTTP_METHOD_CONNECT ? HTTP_CONNECT_REFUSED : HTTP_DONE;
}

/* A byte that ended the target and is not the space behind it. */
static enum http_verdict blame_target(const struct parse *s)
{
    const char *at = s->p;

    if (*at == '#')
        return HTTP_TARGET_FRAGMENT;
    if (*at == '\\')
        return HTTP_TARGET_BACKSLASH;
    if (*at == '\r' && at + 1 == s->span.end)
        return HTTP_MORE;
    if (*at == '\r' && at[1] == '\n')
        return HTTP_VERSION_UNSUPPORTED; /* HTTP/0.9 */
    return blame((uint8_t)*at, HTTP_BAD_TARGET);
}

static bool is_too_long(const struct parse *s, const struct http_head *head)
{
    return (size_t)(s->p - head->target.p) > s->limits->target_bytes;
}

/* path [ "?" query ] at s->p, up to the space. */
ALWAYS_INLINE enum http_verdict read_path(struct parse *s, struct http_head *head,
                                          enum scan_level level)
{
    const char *start = s->p;

    s->p = scan(s->p, &s->span, SCAN_PATH, level);
    head->path = (struct str){start, (size_t)(s->p - start)};
    head->query = (struct str){s->p, 0};
    if (s->p < s->span.end && *s->p == '?') {
        start = s->p;
        s->p = scan(s->p, &s->span, SCAN_QUERY, level);
        head->query = (struct str){start, (size_t)(s->p - start)};
    }
    if (unlikely(is_too_long(s, head)))
        return HTTP_TARGET_TOO_LONG;
    if (unlikely(s->p == s->span.end))
        return HTTP_MORE;
    return likely(*s->p == ' ') ? HTTP_DONE : blame_target(s);
}

/* "http://" or "https://" at s->p; the scheme alone may not decide anything (RFC 9110 7.4). */
static enum http_verdict read_scheme(struct parse *s, struct http_head *head)
{
    const char *start = s->p;

    while (s->p < s->span.end && s->p - start < SCHEME_MAX && *s->p != ':') {
        uint8_t c = (uint8_t)*s->p;

        if ((fields_char_class[c] & FIELDS_TCHAR) == 0)
            return c == ' ' || c == '/' ? HTTP_BAD_TARGET_FORM : blame_target(s);
        s->p++;
    }
    head->scheme = (struct str){start, (size_t)(s->p - start)};
    if (head->scheme.n >= SCHEME_MAX)
        return HTTP_BAD_TARGET_FORM;
    for (size_t i = 0; i < 3; i++) {
        if (s->p + i == s->span.end)
            return HTTP_MORE;
        if (s->p[i] != "://"[i])
            return blame((uint8_t)s->p[i], HTTP_BAD_TARGET_FORM);
    }
    s->p += 3;
    if (!str_is_nocase(head->scheme, "http") && !str_is_nocase(head->scheme, "https"))
        return HTTP_BAD_TARGET_FORM;
    return HTTP_DONE;
}

/* Up to the path, the query or the end of the target. */
static enum http_verdict read_authority(struct parse *s, struct http_head *head)
{
    const char *start = s->p;

    while (s->p < s->span.end && *s->p != '/' && *s->p != '?' && *s->p != ' ') {
        if (!scan_is_member((uint8_t)*s->p, SCAN_PATH))
            return blame_target(s);
        s->p++;
        if (is_too_long(s, head))
            return HTTP_TARGET_TOO_LONG;
    }
    if (s->p == s->span.end)
        return HTTP_MORE;
    head->authority = (struct str){start, (size_t)(s->p - start)};
    if (!http_split_authority(head->authority, &head->host, &head->port))
        return HTTP_BAD_AUTHORITY;
    return HTTP_DONE;
}

ALWAYS_INLINE enum http_verdict read_absolute_form(struct parse *s, struct http_head *head,
                                                   enum scan_level level)
{
    enum http_verdict v = read_scheme(s, head);

    head->form = HTTP_ABSOLUTE_FORM;
    if (v == HTTP_DONE)
        v = read_authority(s, head);
    if (v == HTTP_DONE)
        v = read_path(s, head, level);
    if (v != HTTP_DONE)
        return v;
    /* RFC 9112 section 3.2.4: OPTIONS for the server as a whole. */
    if (head->path.n == 0)
        head->path =
            head->method == HTTP_METHOD_OPTIONS && head->query.n == 0 ? STR("*") : STR("/");
    return HTTP_DONE;
}

static enum http_verdict read_asterisk_form(struct parse *s, struct http_head *head)
{
    head->form = HTTP_ASTERISK_FORM;
    head->path = (struct str){s->p, 1};
    head->query = (struct str){s->p + 1, 0};
    s->p++;
    if (s->p == s->span.end)
        return HTTP_MORE;
    if (*s->p != ' ')
        return *s->p == '\r' ? blame_target(s) : HTTP_BAD_TARGET_FORM;
    return HTTP_DONE;
}

ALWAYS_INLINE enum http_verdict read_target(struct parse *s, struct http_head *head,
                                            enum scan_level level)
{
    enum http_verdict v;

    if (unlikely(s->p == s->span.end))
        return HTTP_MORE;
    head->target.p = s->p;
    if (likely(*s->p == '/'))
        v = read_path(s, head, level);
    else if (*s->p == '*')
        v = read_asterisk_form(s, head);
    else if ((uint8_t)((*s->p | 0x20) - 'a') < 26)
        v = read_absolute_form(s, head, level);
    else
        v = *s->p == '\r' ? blame_target(s) : blame((uint8_t)*s->p, HTTP_BAD_TARGET);
    if (unlikely(v != HTTP_DONE))
        return v;
    head->target.n = (size_t)(s->p - head->target.p);
    s->p++;
    return HTTP_DONE;
}

/* HTTP_DONE with nothing read: there is no start line yet. */
static enum http_verdict skip_leading_lines(struct parse *s)
{
    for (unsigned lines = 0;; lines++) {
        enum http_verdict v;

        if (s->p == s->span.end)
            return HTTP_MORE;
        if (*s->p != '\r')
            return HTTP_DONE;
        if (lines == LEADING_LINES_MAX)
            return HTTP_BAD_LEADING_LINES;
        v = take_line_end(s);
        if (v != HTTP_DONE)
            return v;
    }
}

ALWAYS_INLINE enum http_verdict read_request_line(struct parse *s, struct http_head *head,
                                                  enum scan_level level)
{
    enum http_verdict v = read_method(s, head, level);

    if (likely(v == HTTP_DONE))
        v = read_target(s, head, level);
    if (unlikely(v != HTTP_DONE))
        return v;
    if (likely(s->span.end - s->p >= 10 && memcmp(s->p, "HTTP/1.1\r\n", 10) == 0)) {
        head->minor = 1;
        s->p += 10;
        return HTTP_DONE;
    }
    v = read_version(s, head);
    if (v == HTTP_DONE && s->p < s->span.end && *s->p != '\r')
        v = blame((uint8_t)*s->p, HTTP_BAD_VERSION);
    return v == HTTP_DONE ? take_line_end(s) : v;
}

/* The space before an empty reason is often left out, and nobody is misled by that. */
ALWAYS_INLINE enum http_verdict read_status_line(struct parse *s, struct http_head *head,
                                                 enum scan_level level)
{
    enum http_verdict v = read_version(s, head);
    const char *start;

    if (v != HTTP_DONE)
        return v;
    for (size_t i = 0; i < 4; i++) {
        if (s->p + i == s->span.end)
            return HTTP_MORE;
        if (i == 0 ? s->p[i] != ' ' : (uint8_t)(s->p[i] - '0') >= 10)
            return blame((uint8_t)s->p[i], HTTP_BAD_STATUS);
    }
    head->status = (uint16_t)((s->p[1] - '0') * 100 + (s->p[2] - '0') * 10 + (s->p[3] - '0'));
    if (head->status < 100 || head->status > 599)
        return HTTP_BAD_STATUS;
    s->p += 4;
    if (s->p == s->span.end)
        return HTTP_MORE;
    if (*s->p != ' ' && *s->p != '\r')
        return blame((uint8_t)*s->p, HTTP_BAD_STATUS);
    start = s->p += *s->p == ' ';
    s->p = scan(s->p, &s->span, SCAN_VALUE, level);
    head->reason = (struct str){start, (size_t)(s->p - start)};
    return take_line_end(s);
}

/* ---- Whole heads ---- */

/* RFC 9112 section 3.2, and 3.2.2: an absolute-form target overrides Host, which must be fit all
 * the same. */
static enum http_verdict check_host(struct http_head *head)
{
    int i = fields_find(&head->fields, FIELD_HOST);
    struct str value, host;
    uint16_t port;

    if (i < 0)
        return head->minor == 0 ? HTTP_DONE : HTTP_NO_HOST;
    if (fields_next(&head->fields, i) >= 0)
        return HTTP_MANY_HOSTS;
    value = head->fields.v[i].value;
    if (!http_split_authority(value, &host, &port))
        return HTTP_BAD_HOST;
    if (head->form != HTTP_ABSOLUTE_FORM) {
        head->authority = value;
        head->host = host;
        head->port = port;
    }
    return HTTP_DONE;
}

/* Has what is new brought the end of the section or something illegal? Then parsing it all will
 * end in a verdict. */
ALWAYS_INLINE bool has_verdict(struct http_scan *at, const struct scan_span *span,
                               enum scan_level level)
{
    const char *p = span->base + at->bytes, *line = span->base + at->line, *stop;

    for (;; p = line = stop + 2) {
        stop = scan(p, span, SCAN_VALUE, level);
        at->bytes = (uint32_t)(stop - span->base);
        at->line = (uint32_t)(line - span->base);
        if (stop == span->end || (*stop == '\r' && stop + 1 == span->end))
            return false;
        if (*stop != '\r' || stop[1] != '\n' || stop == line)
            return true;
    }
}

ALWAYS_INLINE enum http_verdict read_request(struct parse *s, struct http_head *head,
                                             enum scan_level level)
{
    enum http_verdict v = read_request_line(s, head, level);

    if (unlikely(v != HTTP_DONE))
        return v;
    /* Not before the version was seen: the preface of HTTP/2 is "PRI * HTTP/2.0". */
    if (unlikely(head->form == HTTP_ASTERISK_FORM && head->method != HTTP_METHOD_OPTIONS))
        return HTTP_BAD_TARGET_FORM;
    v = read_lines(s, level);
    if (unlikely(v != HTTP_DONE))
        return v;
    fields_index(&head->fields);
    return check_host(head);
}

ALWAYS_INLINE enum http_verdict read_response(struct parse *s, struct http_head *head,
                                              enum scan_level level)
{
    enum http_verdict v = read_status_line(s, head, level);

    if (v == HTTP_DONE)
        v = read_lines(s, level);
    if (v == HTTP_DONE)
        fields_index(&head->fields);
    return v;
}

/* Is it certain that parsing would come no further than the last time? */
ALWAYS_INLINE bool is_too_early(struct http_head *head, const struct parse *s, bool is_cut,
                                enum scan_level level)
{
    struct http_scan at = {head->scanned_bytes, head->scanned_line};
    bool is_early;

    if (at.bytes == 0 || is_cut)
        return false;
    is_early = !has_verdict(&at, &s->span, level);
    head->scanned_bytes = at.bytes;
    head->scanned_line = at.line;
    return is_early;
}

/* What the parser does not fill in for every message; the index is made at the end. */
ALWAYS_INLINE void clear_rare(struct http_head *head)
{
    head->form = HTTP_ORIGIN_FORM;
    head->scheme = head->authority = head->host = (struct str){NULL, 0};
    head->port = 0;
    head->fields.count = 0;
    head->scanned_bytes = head->scanned_line = 0;
}

ALWAYS_INLINE enum http_verdict parse_head(struct http_head *head, struct str in,
                                           const struct http_limits *limits, bool is_request,
                                           enum scan_level level)
{
    bool is_cut = in.n >= limits->head_bytes;
    struct parse s = {.span = {in.p, in.p + (is_cut ? limits->head_bytes : in.n)},
                      .p = in.p,
                      .limits = limits,
                      .fields = &head->fields,
                      .may_unfold = !is_request};
    enum http_verdict v = HTTP_DONE;

    if (is_too_early(head, &s, is_cut, level))
        return HTTP_MORE;
    clear_rare(head);
    if (is_request)
        v = skip_leading_lines(&s);
    if (likely(v == HTTP_DONE)) {
        const char *start = s.p;

        s.line = start;
        v = is_request ? read_request(&s, head, level) : read_response(&s, head, level);
        if (v == HTTP_MORE) { /* the first byte, if there is one, is legal */
            head->scanned_line = (uint32_t)(s.line - in.p);
            head->scanned_bytes = head->scanned_line > 0 ? head->scanned_line : in.n > 0;
        }
    }
    head->head_bytes = (uint32_t)(s.p - in.p);
    if (likely(v == HTTP_DONE))
        return v;
    fields_clear(&head->fields); /* nobody shall see lines without an index */
    return v == HTTP_MORE && is_cut ? HTTP_HEAD_TOO_LARGE : v;
}

ALWAYS_INLINE enum http_verdict parse_trailers(struct parse *s, struct http_scan *at,
                                               enum scan_level level)
{
    return has_verdict(at, &s->span, level) ? read_lines(s, level) : HTTP_MORE;
}

/* ---- One instance for each level ---- */

struct parser {
    enum http_verdict (*request)(struct http_head *, struct str, const struct http_limits *);
    enum http_verdict (*response)(struct http_head *, struct str, const struct http_limits *);
    enum http_verdict (*trailers)(struct parse *, struct http_scan *);
};

#define PARSER(name, attributes, level)                                                        \
    attributes static enum http_verdict request_##name(struct http_head *head, struct str in,  \
                                                       const struct http_limits *limits)       \
    {                                                                                          \
        return parse_head(head, in, limits, true, level);                                      \
    }                                                                                          \
    attributes static enum http_verdict response_##name(struct http_head *head, struct str in, \
                                                        const struct http_limits *limits)      \
    {                                                                                          \
        return parse_head(head, in, limits, false, level);                                     \
    }                                                                                          \
    attributes static enum http_verdict trailers_##name(struct parse *s, struct http_scan *at) \
    {                                                                                          \
        return parse_trailers(s, at, level);                                                   \
    }                                                                                          \
    static const struct parser parser_##name = {request_##name, response_##name, trailers_##name}

PARSER(plain, , SCAN_PLAIN);
static const struct parser *parser = &parser_plain;

#ifdef __x86_64__
PARSER(sse42, SCAN_TARGET_SSE42, SCAN_SSE42);
PARSER(avx2, SCAN_TARGET_AVX2, SCAN_AVX2);

void http_use_level(unsigned level)
{
    __builtin_cpu_init();
    parser = &parser_plain;
    if (level >= SCAN_SSE42 && __builtin_cpu_supports("sse4.2"))
        parser = &parser_sse42;
    if (level >= SCAN_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi"))
        parser = &parser_avx2;
}

__attribute__((constructor)) static void choose_parser(void)
{
    http_use_level(SCAN_AVX2);
}
#else
void http_use_level(unsigned level)
{
    (void)level;
}
#endif

void http_head_clear(struct http_head *head)
{
    memset(head, 0, offsetof(struct http_head, fields));
    fields_clear(&head->fields);
    head->scanned_bytes = head->scanned_line = 0;
}

enum http_verdict http_parse_request(struct http_head *head, const char *buf, size_t n,
                                     const struct http_limits *limits)
{
    return parser->request(head, (struct str){buf, n}, limits);
}

enum http_verdict http_parse_response(struct http_head *head, char *buf, size_t n,
                                      const struct http_limits *limits)
{
    return parser->response(head, (struct str){buf, n}, limits);
}

enum http_verdict http_read_trailers(struct str in, struct http_scan *at, struct fields *out,
                                     size_t *used)
{
    static const struct http_limits limits = {HTTP_TRAILER_MAX, 0, FIELDS_MAX};
    bool is_cut = in.n >= HTTP_TRAILER_MAX;
    struct parse s = {.span = {in.p, in.p + (is_cut ? HTTP_TRAILER_MAX : in.n)},
                      .p = in.p,
                      .limits = &limits,
                      .fields = out,
                      .is_trailer = true};
    enum http_verdict v;

    if (out != NULL)
        fields_clear(out);
    v = parser->trailers(&s, at);
    *used = v == HTTP_DONE ? (size_t)(s.p - in.p) : 0;
    if (out != NULL && v == HTTP_DONE)
        fields_index(out);
    else if (out != NULL)
        fields_clear(out);
    return v == HTTP_MORE && is_cut ? HTTP_TRAILER_TOO_LARGE : v;
}
