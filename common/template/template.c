/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/template/template.h"

static bool find_name(const char *const *names, struct str name, unsigned *index)
{
    for (unsigned i = 0; names[i] != NULL; i++) {
        if (str_is(name, names[i])) {
            *index = i;
            return true;
        }
    }
    return false;
}

/* The first piece of *text, which is not empty. */
static const char *next_piece(struct str *text, const char *const *names,
                              struct template_piece *out)
{
    const char *brace = memchr(text->p, '{', text->n);
    const char *end;
    size_t n = brace != NULL ? (size_t)(brace - text->p) : text->n;

    *out = (struct template_piece){.text = {text->p, n}};
    if (n == 0 && text->n > 1 && text->p[1] == '{') {
        out->text = (struct str){text->p, 1};
        n = 2;
    } else if (n == 0) {
        end = memchr(text->p, '}', text->n);
        if (end == NULL)
            return "has a '{' without its '}'; a brace itself is written \"{{\"";
        n = (size_t)(end - text->p) + 1;
        out->text = (struct str){NULL, 0};
        if (!find_name(names, (struct str){text->p + 1, n - 2}, &out->variable))
            return "has a variable that does not exist; a brace itself is written \"{{\"";
    }
    *text = (struct str){text->p + n, text->n - n};
    return NULL;
}

const char *template_parse(struct str text, const char *const *names, struct arena *arena,
                           struct template *out)
{
    struct template_piece piece, *pieces;
    struct str rest = text;
    size_t n = 0;

    while (rest.n > 0) {
        const char *wrong = next_piece(&rest, names, &piece);

        if (wrong != NULL)
            return wrong;
        n++;
    }
    if (out == NULL)
        return NULL;
    pieces = arena_alloc(arena, n * sizeof(*pieces));
    *out = (struct template){pieces, n};
    for (size_t i = 0; i < n; i++)
        (void)next_piece(&text, names, &pieces[i]);
    return NULL;
}

void template_write(const struct template *t,
                    void (*value)(void *arg, unsigned variable, struct writer *w), void *arg,
                    struct writer *w)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->pieces[i].text.n > 0)
            writer_add(w, t->pieces[i].text.p, t->pieces[i].text.n);
        else
            value(arg, t->pieces[i].variable, w);
    }
}
