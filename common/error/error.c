/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/error/error.h"

#include "common/text/text.h"

#include <stdlib.h>
#include <string.h>

static void free_item(struct error *x)
{
    free(x->file);
    free(x->message);
    free(x->excerpt);
}

static void drop_last_warning(struct errors *e)
{
    size_t i = e->n;

    while (i > 0 && !e->items[i - 1].is_warning)
        i--;
    if (i == 0)
        return;
    free_item(&e->items[i - 1]);
    memmove(&e->items[i - 1], &e->items[i], (e->n - i) * sizeof(e->items[0]));
    e->n--;
}

/* Whether there is room for one more, if need be that of a warning. */
static bool has_room(struct errors *e, bool is_warning)
{
    if (e->n >= ERRORS_KEPT && !is_warning)
        drop_last_warning(e);
    return e->n < ERRORS_KEPT;
}

static void PRINTF_LIKE(4, 0)
    add(struct errors *e, struct place at, bool is_warning, const char *fmt, va_list args)
{
    struct text message = {0};

    if (is_warning)
        e->n_warnings++;
    else
        e->n_errors++;
    e->is_newest_left_out = !has_room(e, is_warning);
    if (e->is_newest_left_out)
        return;
    text_vaddf(&message, fmt, args);
    BASE_GROW(e->items, e->n, e->cap);
    e->items[e->n++] = (struct error){
        .file = at.file ? base_strdup(at.file) : NULL,
        .line = at.line,
        .column = at.column,
        .is_warning = is_warning,
        .message = message.p,
    };
}

void errors_add(struct errors *e, struct place at, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(e, at, false, fmt, args);
    va_end(args);
}

void errors_warn(struct errors *e, struct place at, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(e, at, true, fmt, args);
    va_end(args);
}

/* Where character number c (from 0) of the line begins: columns count characters. */
static size_t offset_of(const char *line, size_t n, size_t c)
{
    size_t i = 0;

    for (; i < n && (c > 0 || (line[i] & 0xc0) == 0x80); i++)
        c -= (line[i] & 0xc0) != 0x80;
    return i;
}

/* A terminal shall not obey what stands in a file. */
static void add_shown(struct text *t, const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)line[i];

        text_add(t, (c < 0x20 && c != '\t') || c == 0x7f ? "?" : &line[i], 1);
    }
}

static void add_caret(struct text *t, const char *line, size_t n)
{
    text_adds(t, "\n    ");
    for (size_t i = 0; i < n; i++)
        if ((line[i] & 0xc0) != 0x80)
            text_add(t, line[i] == '\t' ? "\t" : " ", 1);
    text_adds(t, "^");
}

void errors_set_excerpt(struct errors *e, const char *line, size_t n)
{
    enum { SHOWN = 160, BEFORE = 100 };
    struct text t = {0};
    struct error *last;
    size_t begin = 0, end, caret;

    if (e->n == 0 || e->is_newest_left_out)
        return;
    last = &e->items[e->n - 1];
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        n--;
    if (last->column > SHOWN)
        begin = offset_of(line, n, last->column - 1 - BEFORE);
    end = begin + offset_of(line + begin, n - begin, SHOWN);
    caret = last->column > 0 ? offset_of(line, n, last->column - 1) : 0;
    text_adds(&t, begin > 0 ? "   …" : "    ");
    add_shown(&t, line + begin, end - begin);
    text_adds(&t, end < n ? "…" : "");
    if (last->column > 0 && caret <= end)
        add_caret(&t, line + begin, caret - begin);
    free(last->excerpt);
    last->excerpt = t.p;
}

void errors_merge(struct errors *e, struct errors *from)
{
    for (size_t i = 0; i < from->n; i++) {
        if (!has_room(e, from->items[i].is_warning))
            continue;
        BASE_GROW(e->items, e->n, e->cap);
        e->items[e->n++] = from->items[i];
        from->items[i] = (struct error){0};
    }
    e->n_errors += from->n_errors;
    e->n_warnings += from->n_warnings;
    errors_free(from);
}

static void describe(const struct error *x, struct text *t)
{
    if (x->file != NULL) {
        text_adds(t, x->file);
        if (x->line > 0)
            text_addf(t, ":%u", x->line);
        if (x->column > 0)
            text_addf(t, ":%u", x->column);
        text_adds(t, ": ");
    }
    text_addf(t, "%s: %s\n", x->is_warning ? "warning" : "error", x->message);
}

static void describe_all(const struct errors *e, bool with_excerpts, struct text *t)
{
    for (size_t i = 0; i < e->n; i++) {
        describe(&e->items[i], t);
        if (with_excerpts && e->items[i].excerpt != NULL)
            text_addf(t, "%s\n", e->items[i].excerpt);
    }
    if (e->n_errors + e->n_warnings > e->n)
        text_addf(t, "… and %zu more\n", e->n_errors + e->n_warnings - e->n);
}

void errors_print(const struct errors *e, FILE *out)
{
    struct text t = {0};

    describe_all(e, true, &t);
    if (t.n > 0)
        fwrite(t.p, 1, t.n, out);
    text_free(&t);
}

char *errors_to_string(const struct errors *e)
{
    struct text t = {0};

    text_adds(&t, "");
    describe_all(e, false, &t);
    return t.p;
}

void errors_free(struct errors *e)
{
    for (size_t i = 0; i < e->n; i++)
        free_item(&e->items[i]);
    free(e->items);
    *e = (struct errors){0};
}
