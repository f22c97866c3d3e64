/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/gslbctl/gslbctl.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { GAP = 2, LABEL_WIDTH = 10 };

static const char *const codes[] = {
    [TABLE_PLAIN] = "",         [TABLE_BOLD] = "\033[1m",    [TABLE_DIM] = "\033[2m",
    [TABLE_GREEN] = "\033[32m", [TABLE_YELLOW] = "\033[33m", [TABLE_RED] = "\033[31m",
};

/* The next character of s: its bytes and columns. Bytes that are not UTF-8, and characters that a
 * terminal would obey rather than show, have no columns. */
static size_t next_char(const char *s, int *width)
{
    mbstate_t state = {0};
    wchar_t c;
    size_t n = mbrtowc(&c, s, strlen(s), &state);

    *width = -1;
    if (n == 0 || n == (size_t)-1 || n == (size_t)-2)
        return 1;
    *width = wcwidth(c);
    return n;
}

/* What comes from peers could hold escape sequences. */
static char *clean(const char *s)
{
    struct text t = {0};
    int width;

    text_adds(&t, "");
    for (size_t n; *s != '\0'; s += n) {
        n = next_char(s, &width);
        if (width < 0)
            text_adds(&t, "?");
        else
            text_add(&t, s, n);
    }
    return t.p;
}

static size_t columns_of(const char *s)
{
    size_t columns = 0;
    int width;

    for (; *s != '\0'; columns += width > 0 ? (size_t)width : 0)
        s += next_char(s, &width);
    return columns;
}

/* Bytes of s that fit into so many columns. */
static size_t bytes_within(const char *s, size_t columns)
{
    size_t used = 0, at = 0;
    int width;

    while (s[at] != '\0') {
        size_t n = next_char(s + at, &width);

        used += width > 0 ? (size_t)width : 0;
        if (used > columns)
            break;
        at += n;
    }
    return at;
}

static void paint(const struct view *view, enum table_colour colour, struct str s, struct text *out)
{
    bool is_painted = view->has_colour && colour != TABLE_PLAIN && s.n > 0;

    if (is_painted)
        text_adds(out, codes[colour]);
    text_add(out, s.p, s.n);
    if (is_painted)
        text_adds(out, "\033[0m");
}

void table_paint(const struct view *view, enum table_colour colour, const char *s, struct text *out)
{
    char *cleaned = clean(s);

    paint(view, colour, str_of(cleaned), out);
    free(cleaned);
}

/* Bytes of s for one line: up to the last space that fits, else as much as fits. */
static size_t line_within(const char *s, size_t columns)
{
    size_t n = bytes_within(s, columns), at = n;

    if (s[n] == '\0')
        return n;
    while (at > 0 && s[at] != ' ')
        at--;
    return at > 0 ? at : n > 0 ? n : strlen(s);
}

void table_line(const struct view *view, const char *label, enum table_colour colour, const char *s,
                struct text *out)
{
    size_t indent = GAP + LABEL_WIDTH;
    size_t room = view->columns > 2 * indent ? view->columns - indent : SIZE_MAX;
    char *cleaned = clean(s), *p = cleaned;

    do {
        size_t n = line_within(p, room);

        text_addf(out, "%*s", GAP, "");
        paint(view, TABLE_DIM, str_of(label), out);
        text_addf(out, "%*s", (int)(LABEL_WIDTH - strlen(label)), "");
        paint(view, colour, (struct str){p, n}, out);
        text_adds(out, "\n");
        label = "";
        p += n + strspn(p + n, " ");
    } while (*p != '\0');
    free(cleaned);
}

const char *table_age(uint64_t ms, char buf[TEXT_SHORT])
{
    if (ms < 1000)
        return memcpy(buf, "0s", sizeof("0s"));
    return text_format_duration_ms(ms / 1000 * 1000, buf);
}

void table_start(struct table *t, const char *right)
{
    *t = (struct table){.right = right, .n_columns = strlen(right)};
    ensure(t->n_columns <= TABLE_COLUMNS);
}

void table_row(struct table *t)
{
    BASE_GROW(t->rows, t->n, t->cap);
    memset(t->rows[t->n++], 0, sizeof(t->rows[0]));
}

void table_cell(struct table *t, size_t column, enum table_colour colour, const char *fmt, ...)
{
    struct text raw = {0};
    va_list args;

    ensure(t->n > 0 && column < t->n_columns);
    va_start(args, fmt);
    text_vaddf(&raw, fmt, args);
    va_end(args);
    free(t->rows[t->n - 1][column].text);
    t->rows[t->n - 1][column] = (struct table_cell){clean(raw.p ? raw.p : ""), colour};
    text_free(&raw);
}

static void measure(const struct table *t, size_t widths[TABLE_COLUMNS])
{
    memset(widths, 0, TABLE_COLUMNS * sizeof(widths[0]));
    for (size_t i = 0; i < t->n; i++)
        for (size_t k = 0; k < t->n_columns; k++) {
            size_t n = t->rows[i][k].text ? columns_of(t->rows[i][k].text) : 0;

            if (n > widths[k])
                widths[k] = n;
        }
}

static void end_cell(const struct view *view, const struct table_cell *cell, size_t room,
                     struct text *out)
{
    size_t n = strlen(cell->text);

    if (view->columns > 0 && columns_of(cell->text) > room) {
        n = bytes_within(cell->text, room > 0 ? room - 1 : 0);
        paint(view, cell->colour, (struct str){cell->text, n}, out);
        text_adds(out, room > 0 ? "…" : "");
        return;
    }
    paint(view, cell->colour, (struct str){cell->text, n}, out);
}

static void draw_row(const struct table *t, size_t row, const size_t widths[TABLE_COLUMNS],
                     const struct view *view, struct text *out)
{
    size_t at = 0, due = 0; /* due: spaces that are only written before something */

    for (size_t k = 0; k < t->n_columns; k++) {
        const struct table_cell *cell = &t->rows[row][k];
        size_t n = cell->text ? columns_of(cell->text) : 0;
        size_t pad = widths[k] - n, before = t->right[k] == 'r' ? pad : 0;

        if (n > 0) {
            text_addf(out, "%*s", (int)(due + before), "");
            if (k + 1 == t->n_columns)
                end_cell(view, cell, view->columns > at ? view->columns - at : 0, out);
            else
                paint(view, cell->colour, str_of(cell->text), out);
            due = 0;
        } else {
            due += before;
        }
        due += pad - before + GAP;
        at += widths[k] + GAP;
    }
    text_adds(out, "\n");
}

void table_end(struct table *t, const struct view *view, struct text *out)
{
    size_t widths[TABLE_COLUMNS];

    measure(t, widths);
    for (size_t i = 0; i < t->n; i++)
        draw_row(t, i, widths, view, out);
    for (size_t i = 0; i < t->n; i++)
        for (size_t k = 0; k < t->n_columns; k++)
            free(t->rows[i][k].text);
    free(t->rows);
    *t = (struct table){0};
}
