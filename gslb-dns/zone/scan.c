/* SPDX-License-Identifier: BSD-2-Clause */
/* Zone text to entries (RFC 1035 section 5.1). A mistake within an entry is reported where it
 * stands; the entry is then read to its end, so that one mistake makes one message. */
#include "gslb-dns/zone/zone_internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum kind { WORD, SPACE, NEWLINE, COMMENT, OPEN, CLOSE, QUOTE, ESCAPE };

static const uint8_t kinds[256] = {
    [' '] = SPACE, ['\t'] = SPACE, ['\r'] = SPACE, ['\n'] = NEWLINE, [';'] = COMMENT,
    ['('] = OPEN,  [')'] = CLOSE,  ['"'] = QUOTE,  ['\\'] = ESCAPE,
};

static enum kind kind_of(char c)
{
    return kinds[(uint8_t)c];
}

/* The line of the source's text that p stands in. */
static struct str line_around(const struct source *s, const char *p)
{
    const char *begin = p, *end = memchr(p, '\n', (size_t)(s->end - p));

    while (begin > s->text && begin[-1] != '\n')
        begin--;
    return (struct str){begin, (size_t)((end ? end : s->end) - begin)};
}

void scan_complain(const struct source *s, const struct token *at, struct errors *errors,
                   const char *fmt, ...)
{
    const char *begin = at->is_quoted ? at->s.p - 1 : at->s.p;
    struct str line = line_around(s, begin);
    struct place place = {.file = s->path, .line = at->line};
    char *message = NULL;
    va_list args;

    va_start(args, fmt);
    ensure(vasprintf(&message, fmt, args) >= 0);
    va_end(args);
    if (s->is_generated) {
        errors_add(errors, place, "%s, in what $GENERATE makes: %.*s", message,
                   (int)(line.n > 200 ? 200 : line.n), line.p);
    } else {
        place.column = (unsigned)(begin - line.p) + 1;
        errors_add(errors, place, "%s", message);
        errors_set_excerpt(errors, line.p, line.n);
    }
    free(message);
}

static void complain(const struct source *s, struct entry *e, const char *p, struct errors *errors,
                     const char *what)
{
    struct token at = {.s = {p, 1}, .line = s->line};

    e->is_bad = true;
    scan_complain(s, &at, errors, "%s", what);
}

/* From behind an opening quote to behind the closing one, or to the line's end when there is none.
 */
static const char *skip_quoted(struct source *s, struct entry *e, const char *p,
                               struct errors *errors)
{
    const char *open = p - 1;

    for (; p < s->end && *p != '\n'; p++) {
        if (*p == '"')
            return p + 1;
        if (*p == '\\' && p + 1 < s->end && p[1] != '\n')
            p++;
    }
    complain(s, e, open, errors, "quoted string without a closing quote on this line");
    return p;
}

static struct token *add_token(const struct source *s, struct entry *e)
{
    BASE_GROW(e->tokens, e->n, e->cap);
    e->tokens[e->n] = (struct token){.line = s->line};
    return &e->tokens[e->n++];
}

static void scan_quoted(struct source *s, struct entry *e, struct errors *errors)
{
    struct token *t = add_token(s, e);
    const char *begin = s->p + 1, *after = skip_quoted(s, e, begin, errors);

    t->is_quoted = true;
    t->s = (struct str){begin, (size_t)(after - begin)};
    if (t->s.n > 0 && after[-1] == '"' && !e->is_bad)
        t->s.n--;
    s->p = after;
}

/* A quote within a word belongs to it: alpn="h2,h3". */
static void scan_word(struct source *s, struct entry *e, struct errors *errors)
{
    struct token *t = add_token(s, e);
    const char *p = s->p;

    for (; p < s->end; p++) {
        enum kind kind = kind_of(*p);

        if (likely(kind == WORD))
            continue;
        if (kind == QUOTE) {
            p = skip_quoted(s, e, p + 1, errors) - 1;
        } else if (kind == ESCAPE) {
            if (p + 1 == s->end || p[1] == '\n' || p[1] == '\r')
                complain(s, e, p, errors, "backslash at the end of a line");
            else
                p++;
        } else {
            break;
        }
    }
    t->s = (struct str){s->p, (size_t)(p - s->p)};
    s->p = p;
}

struct nesting {
    unsigned depth;
    struct token open; /* the outermost parenthesis */
};

static void scan_parenthesis(struct source *s, struct entry *e, struct nesting *n,
                             struct errors *errors)
{
    if (*s->p == '(') {
        if (n->depth++ == 0)
            n->open = (struct token){.s = {s->p, 1}, .line = s->line};
    } else if (n->depth == 0) {
        complain(s, e, s->p, errors, "closing parenthesis without an opening one");
    } else {
        n->depth--;
    }
    s->p++;
}

/* Up to the line's end, or beyond it as long as a parenthesis is open. */
static void scan_tokens(struct source *s, struct entry *e, struct errors *errors)
{
    struct nesting nesting = {0};

    while (s->p < s->end) {
        switch (kind_of(*s->p)) {
        case SPACE:
            s->p++;
            break;
        case NEWLINE:
            s->p++;
            s->line += !s->is_generated;
            if (nesting.depth == 0)
                return;
            break;
        case COMMENT: {
            const char *newline = memchr(s->p, '\n', (size_t)(s->end - s->p));
            s->p = newline ? newline : s->end;
            break;
        }
        case OPEN:
        case CLOSE:
            scan_parenthesis(s, e, &nesting, errors);
            break;
        case QUOTE:
            scan_quoted(s, e, errors);
            break;
        case WORD:
        case ESCAPE:
            scan_word(s, e, errors);
            break;
        }
    }
    if (nesting.depth > 0) {
        e->is_bad = true;
        scan_complain(s, &nesting.open, errors, "parenthesis is never closed");
    }
}

bool scan_entry(struct source *s, struct entry *e, struct errors *errors)
{
    e->n = 0;
    e->is_bad = false;
    while (s->p < s->end && e->n == 0 && !e->is_bad) {
        e->has_owner = kind_of(*s->p) != SPACE;
        scan_tokens(s, e, errors);
    }
    return e->n > 0 || e->is_bad;
}

/* --- names and times ---------------------------------------------------------------------- */

static const char *append_origin(struct wire_name *out, size_t at, const struct wire_name *origin)
{
    if (at + origin->length > WIRE_NAME_MAX)
        return "name is longer than 255 bytes with its origin";
    memcpy(out->bytes + at, origin->bytes, origin->length);
    for (size_t i = 0; i <= origin->n_labels; i++) /* the root's zero has an offset, too */
        out->offsets[out->n_labels + i] = (uint8_t)(at + origin->offsets[i]);
    out->n_labels += origin->n_labels;
    out->length = (uint8_t)(at + origin->length);
    return NULL;
}

const char *scan_name(struct str text, const struct wire_name *origin, struct wire_name *out)
{
    static const struct wire_name root = {.length = 1};
    const char *p = text.p, *end = text.p + text.n;
    size_t at = 1, label = 0; /* of the label's length byte */

    out->n_labels = 0;
    if (text.n == 0)
        return "name is empty";
    if (text.n == 1 && (*p == '@' || *p == '.'))
        return append_origin(out, 0, *p == '@' ? origin : &root);
    while (p < end) {
        if (*p == '.') {
            if (at - label == 1)
                return "name has an empty label";
            out->bytes[label] = (uint8_t)(at - label - 1);
            out->offsets[out->n_labels++] = (uint8_t)label;
            label = at++;
            p++;
        } else {
            if (at - label > 63)
                return "name has a label longer than 63 bytes";
            if (!scan_character(&p, end, &out->bytes[at++]))
                return "name has a bad escape: it is \\. or \\DDD, up to \\255";
        }
        if (at > WIRE_NAME_MAX)
            return "name is longer than 255 bytes";
    }
    if (at - label == 1)
        return append_origin(out, label, &root);
    out->bytes[label] = (uint8_t)(at - label - 1);
    out->offsets[out->n_labels++] = (uint8_t)label;
    return append_origin(out, at, origin);
}

static uint32_t seconds_of_unit(char c)
{
    switch (text_lower((uint8_t)c)) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    case 'w':
        return 604800;
    default:
        return 0;
    }
}

bool scan_ttl(struct str text, uint32_t *out)
{
    uint64_t total = 0;
    size_t i = 0;

    while (i < text.n) {
        size_t first = i;
        uint64_t value = 0;

        for (; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++) {
            value = 10 * value + (uint64_t)(text.p[i] - '0');
            if (value > INT32_MAX) /* RFC 2181 section 8 */
                return false;
        }
        if (i == first)
            return false;
        if (i == text.n) {
            if (first > 0)
                return false;
        } else {
            uint32_t unit = seconds_of_unit(text.p[i++]);
            if (unit == 0)
                return false;
            value *= unit;
        }
        total += value;
        if (total > INT32_MAX)
            return false;
    }
    *out = (uint32_t)total;
    return text.n > 0;
}

/* --- $GENERATE ---------------------------------------------------------------------------- */

bool scan_range(struct str s, struct scan_range *r)
{
    const char *dash = memchr(s.p, '-', s.n), *slash = memchr(s.p, '/', s.n);
    size_t stop_at = dash ? (size_t)(dash + 1 - s.p) : 0;
    size_t stop_end = slash ? (size_t)(slash - s.p) : s.n;

    r->step = 1;
    return dash != NULL && stop_end > stop_at &&
           text_parse_u64((struct str){s.p, stop_at - 1}, &r->start) &&
           text_parse_u64((struct str){s.p + stop_at, stop_end - stop_at}, &r->stop) &&
           (slash == NULL ||
            text_parse_u64((struct str){slash + 1, s.n - stop_end - 1}, &r->step)) &&
           r->start <= r->stop && r->stop <= INT32_MAX && r->step > 0 && r->step <= INT32_MAX;
}

/* A number of $GENERATE's ${offset,width,base}: as bases go in BIND, d o x X, and n N for nibbles
 * in reverse order with dots between. */
struct counter_form {
    int64_t offset;
    uint64_t width;
    char base;
};

static bool parse_counter_form(struct str s, struct counter_form *f)
{
    struct str parts[3] = {{0}};
    size_t n = 0;
    uint64_t offset;
    bool is_negative;

    *f = (struct counter_form){.base = 'd'};
    for (size_t i = 0, from = 0; i <= s.n; i++) {
        if (i < s.n && s.p[i] != ',')
            continue;
        if (n == COUNT_OF(parts))
            return false;
        parts[n++] = (struct str){s.p + from, i - from};
        from = i + 1;
    }
    is_negative = parts[0].n > 0 && parts[0].p[0] == '-';
    if (is_negative || (parts[0].n > 0 && parts[0].p[0] == '+'))
        parts[0].p++, parts[0].n--;
    if (!text_parse_u64(parts[0], &offset) || offset > INT32_MAX ||
        (n > 1 && (!text_parse_u64(parts[1], &f->width) || f->width > 63)))
        return false;
    f->offset = is_negative ? -(int64_t)offset : (int64_t)offset;
    if (n == 3) {
        if (parts[2].n != 1 || strchr("doxXnN", parts[2].p[0]) == NULL)
            return false;
        f->base = parts[2].p[0];
    }
    return true;
}

static void add_nibbles(struct text *t, const struct counter_form *f, uint64_t value)
{
    const char *digits = f->base == 'n' ? "0123456789abcdef" : "0123456789ABCDEF";
    uint64_t width = f->width;

    do { /* the width counts the dots too */
        text_add(t, &digits[value & 15], 1);
        value >>= 4;
        width -= width > 0;
        if (width > 0 || value > 0) {
            text_adds(t, ".");
            width -= width > 0;
        }
    } while (width > 0 || value > 0);
}

static bool add_counter(struct text *t, const struct counter_form *f, uint64_t i)
{
    int64_t value = (int64_t)i + f->offset;
    int width = (int)f->width;

    if (value < 0)
        return false;
    switch (f->base) {
    case 'o':
        text_addf(t, "%0*llo", width, (unsigned long long)value);
        break;
    case 'x':
        text_addf(t, "%0*llx", width, (unsigned long long)value);
        break;
    case 'X':
        text_addf(t, "%0*llX", width, (unsigned long long)value);
        break;
    case 'n':
    case 'N':
        add_nibbles(t, f, (uint64_t)value);
        break;
    default:
        text_addf(t, "%0*lld", width, (long long)value);
    }
    return true;
}

/* $ is the value, $$ and \$ a dollar sign. False: a bad ${...}. */
static bool add_generated(struct text *t, struct str pattern, uint64_t i)
{
    const char *p = pattern.p, *end = p + pattern.n;

    while (p < end) {
        struct counter_form f = {.base = 'd'};
        const char *close;

        if (*p == '\\' && p + 1 < end) {
            text_add(t, p[1] == '$' ? p + 1 : p, p[1] == '$' ? 1 : 2);
            p += 2;
        } else if (*p != '$') {
            text_add(t, p++, 1);
        } else if (p + 1 < end && p[1] == '$') {
            text_add(t, p, 1);
            p += 2;
        } else if (p + 1 < end && p[1] == '{') {
            close = memchr(p, '}', (size_t)(end - p));
            if (close == NULL ||
                !parse_counter_form((struct str){p + 2, (size_t)(close - p - 2)}, &f) ||
                !add_counter(t, &f, i))
                return false;
            p = close + 1;
        } else {
            p++;
            add_counter(t, &f, i);
        }
    }
    return true;
}

bool scan_generate(const struct entry *e, uint64_t i, struct text *line)
{
    bool is_one = e->tokens[e->n - 1].is_quoted;

    for (size_t k = 2; k < e->n - 1 && is_one; k++)
        is_one = !e->tokens[k].is_quoted;
    line->n = 0;
    for (size_t k = 2; k < e->n; k++) {
        bool is_quoted = e->tokens[k].is_quoted && !is_one;

        text_adds(line, k > 2 ? " " : "");
        text_adds(line, is_quoted ? "\"" : "");
        if (!add_generated(line, e->tokens[k].s, i))
            return false;
        text_adds(line, is_quoted ? "\"" : "");
    }
    return true;
}
