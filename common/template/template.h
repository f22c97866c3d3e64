/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * template: text that an operator writes once and that is written many times, with {variables} in
 * it: "https://{host}{path}". Which names there are is the caller's table, and what they stand for
 * its function. "{{" is a brace.
 * Lifetime: pieces lie in the caller's arena, their text where the template was read from.
 * Threads: immutable once parsed; any thread.
 */
#ifndef COMMON_TEMPLATE_H
#define COMMON_TEMPLATE_H

#include "common/arena/arena.h"
#include "common/bytes/bytes.h"
#include "common/text/text.h"

struct template_piece {
    struct str text;   /* as it stands */
    unsigned variable; /* with an empty text: the index of its name */
};
struct template
{
    const struct template_piece *pieces;
    size_t n;
};

/* NULL, or what is wrong with text, as the end of a sentence that it begins. names ends with NULL.
 * arena and out NULL: only a look. */
const char *template_parse(struct str text, const char *const *names, struct arena *arena,
                           struct template *out);
/* Each piece in turn; value(arg, variable, w) writes what a variable stands for. */
void template_write(const struct template *t,
                    void (*value)(void *arg, unsigned variable, struct writer *w), void *arg,
                    struct writer *w);

#endif
