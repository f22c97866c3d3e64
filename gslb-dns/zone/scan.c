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
