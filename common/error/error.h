/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * error: the mistakes of one set-up (a configuration, a zone file), gathered so that all are
 * reported at once, each with its place. Lives on the control paths; one thread at a time.
 */
#ifndef COMMON_ERROR_H
#define COMMON_ERROR_H

#include "common/base/base.h"

#include <stdarg.h>
#include <stdio.h>

/* A place in an operator's file; line and column from 1, 0 where there is none. */
struct place {
    const char *file;
    unsigned line, column;
};

struct error {
    char *file; /* NULL: no file */
    unsigned line, column;
    bool is_warning;
    char *message;
    char *excerpt; /* the line itself with a caret below, or NULL */
};

/* Zero-initialise. Keeps the first ERRORS_KEPT, counts the rest; an error takes the place of a
 * warning, so that what stands in the way is shown however many warnings came before it. */
enum { ERRORS_KEPT = 50 };
struct errors {
    struct error *items;
    size_t n, cap;
    size_t n_errors, n_warnings; /* all that were added */
    bool is_newest_left_out;
};

void errors_add(struct errors *e, struct place at, const char *fmt, ...) PRINTF_LIKE(3, 4);
void errors_warn(struct errors *e, struct place at, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Gives the newest error its source line and a caret under the column, which counts characters; of
 * a long line the part around it. Copies line. */
void errors_set_excerpt(struct errors *e, const char *line, size_t n);
/* Takes over from's items (and empties it). */
void errors_merge(struct errors *e, struct errors *from);
/* "file:line:column: error: message", one line each, excerpts below; then how many were left out.
 */
void errors_print(const struct errors *e, FILE *out);
/* The same without excerpts as one fresh string (for a reply over the control channel). */
char *errors_to_string(const struct errors *e);
void errors_free(struct errors *e);

#endif
