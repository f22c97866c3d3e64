/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/conf/conf_internal.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of the line break at p, 0: none. The same set as libyaml's, so that lines agree. */
static size_t break_length(const char *p, size_t left)
{
    if (p[0] == '\n')
        return 1;
    if (p[0] == '\r')
        return left > 1 && p[1] == '\n' ? 2 : 1;
    if (left > 1 && memcmp(p, "\xc2\x85", 2) == 0)
        return 2;
    if (left > 2 && (memcmp(p, "\xe2\x80\xa8", 3) == 0 || memcmp(p, "\xe2\x80\xa9", 3) == 0))
        return 3;
    return 0;
}

static void find_lines(struct conf *f)
{
    size_t cap = 0;

    if (f->lines != NULL)
        return;
    BASE_GROW(f->lines, f->n_lines, cap);
    f->lines[f->n_lines++] = 0;
    for (size_t i = 0; i < f->text.n;) {
        size_t n = break_length(f->text.p + i, f->text.n - i);

        i += n ? n : 1;
        if (n > 0) {
            BASE_GROW(f->lines, f->n_lines, cap);
            f->lines[f->n_lines++] = i;
        }
    }
}

struct place conf_place_of(const struct conf *f, const struct node *node)
{
    return (struct place){f->path, node->line, node->column};
}

struct place conf_place_at(struct conf *f, size_t offset)
{
    size_t low = 0, high;
    unsigned column = 1;

    find_lines(f);
    for (high = f->n_lines; high - low > 1;) {
        size_t middle = low + (high - low) / 2;

        if (f->lines[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    for (size_t i = f->lines[low]; i < offset && i < f->text.n; i++)
        column += (f->text.p[i] & 0xc0) != 0x80;
    return (struct place){f->path, (unsigned)low + 1, column};
}

static void show_line(struct conf *f, struct place at)
{
    size_t begin, end;

    if (at.line == 0 || at.file == NULL || strcmp(at.file, f->path) != 0 || conf_is_crowded(f))
        return;
    find_lines(f);
    if (at.line > f->n_lines)
        return;
    begin = f->lines[at.line - 1];
    end = at.line < f->n_lines ? f->lines[at.line] : f->text.n;
    errors_set_excerpt(f->errors, f->text.p + begin, end - begin);
}

void conf_error(struct conf *f, struct place at, const char *fmt, ...)
{
    struct text message = {0};
    va_list args;

    va_start(args, fmt);
    text_vaddf(&message, fmt, args);
    va_end(args);
    errors_add(f->errors, at, "%s", message.p);
    show_line(f, at);
    text_free(&message);
}

void conf_warn(struct conf *f, struct place at, const char *fmt, ...)
{
    struct text message = {0};
    va_list args;

    va_start(args, fmt);
    text_vaddf(&message, fmt, args);
    va_end(args);
    errors_warn(f->errors, at, "%s", message.p);
    show_line(f, at);
    text_free(&message);
}

unsigned conf_slip(size_t n)
{
    return n <= 3 ? 1 : n <= 7 ? 2 : 3;
}

bool conf_is_crowded(const struct conf *f)
{
    return f->errors->n_errors + f->errors->n_warnings > f->errors->n;
}
