/* SPDX-License-Identifier: BSD-2-Clause */
/* The table as a chapter of a manual, in mdoc(7). */
#include "common/conf/conf_internal.h"

#include <string.h>

enum { LINE_WIDTH = 76 };

/* One word of running text; a line ends with a sentence (mandoc wants it so) or when it is full. */
static void add_word(struct text *out, size_t *column, const char *word, size_t n)
{
    if (*column > 0 && *column + 1 + n > LINE_WIDTH) {
        text_adds(out, "\n");
        *column = 0;
    }
    if (*column > 0)
        text_adds(out, " ");
    else if (word[0] == '.' || word[0] == '\'')
        text_adds(out, "\\&");
    text_add(out, word, n);
    *column += n + 1;
    if (word[n - 1] == '.') {
        text_adds(out, "\n");
        *column = 0;
    }
}

static void add_prose(struct text *out, const char *prose)
{
    size_t column = 0;

    while (*prose != '\0') {
        size_t n = strcspn(prose, " ");

        if (n > 0)
            add_word(out, &column, prose, n);
        prose += n + (prose[n] == ' ');
    }
    if (column > 0)
        text_adds(out, "\n");
}

static void add_plural(struct text *out, const char *before, const char *word)
{
    size_t n = strlen(word);
    bool is_hissed = strchr("sx", word[n - 1]) != NULL || strcmp(word + n - 2, "ch") == 0;

    if (word[n - 1] == 'y' && strchr("aeiou", word[n - 2]) == NULL)
        text_addf(out, "%s%.*sies", before, (int)n - 1, word);
    else
        text_addf(out, "%s%s%s", before, word, is_hissed ? "es" : "s");
}

static void add_type(struct text *out, const struct conf_field *field)
{
    static const char *const words[] = {
        [CONF_STRING] = "text",   [CONF_BOOL] = "boolean",         [CONF_BOOL_NOT] = "boolean",
        [CONF_NUMBER] = "number", [CONF_DURATION_MS] = "duration", [CONF_DURATION_S] = "duration",
        [CONF_BYTES] = "size",    [CONF_DOUBLE] = "number",        [CONF_IP] = "ip",
        [CONF_PREFIX] = "prefix", [CONF_ADDR] = "address",         [CONF_PATH] = "path",
        [CONF_FILE] = "file",     [CONF_STRUCT] = "section",       [CONF_CUSTOM] = "text",
    };

    if (field->slot.shape == CONF_SHAPE_MAP) {
        add_plural(out, "mapping of names to ", field->of->what);
        return;
    }
    if (field->slot.shape == CONF_SHAPE_LIST)
        add_plural(out, "list of ",
                   field->kind == CONF_STRUCT ? field->of->what : words[field->kind]);
    else if (field->kind == CONF_ENUM || field->kind == CONF_WORD)
        for (const struct conf_choice *c = field->choices; c->name != NULL; c++)
            text_addf(out, "%s%s", c == field->choices ? "" : " | ", c->name);
    else
        text_adds(out, words[field->kind]);

    if (field->none != NULL)
        text_addf(out, " | %s", field->none);
}

static void add_range(struct text *out, const struct conf_field *field)
{
    if (field->min != NULL && field->max != NULL)
        text_addf(out, "%s to %s", field->min, field->max);
    else if (field->min != NULL)
        text_addf(out, "At least %s", field->min);
    else if (field->max != NULL)
        text_addf(out, "At most %s", field->max);
    if ((field->min != NULL || field->max != NULL) && field->unit != NULL)
        text_addf(out, " %s", field->unit);
}

static void add_field(struct text *out, const struct conf_field *field)
{
    struct text facts = {0};
    const char *preset = field->preset ? field->preset : field->none;

    text_addf(out, ".It Ic %s : Ar ", field->key);
    add_type(out, field);
    text_adds(out, "\n");
    add_prose(out, field->help);
    add_range(&facts, field);
    if (preset != NULL)
        text_addf(&facts, "%s%s", facts.n ? "; default " : "Default ", preset);
    if (field->is_required)
        text_addf(&facts, "%s", facts.n ? "; required" : "Required");
    if (field->kind == CONF_ADDR && field->port != 0)
        text_addf(&facts, "%s %u", facts.n ? "; default port" : "Default port", field->port);
    if (facts.n > 0) {
        text_adds(&facts, ".");
        add_prose(out, facts.p);
    }
    text_free(&facts);
}

static void add_struct(struct text *out, const struct conf_struct *s, const char *path)
{
    text_addf(out, ".Ss %s\n.Bl -tag -width Ds\n", path);
    for (size_t i = 0; i < s->n_fields; i++)
        add_field(out, &s->fields[i]);
    text_adds(out, ".El\n");
    for (size_t i = 0; i < s->n_fields; i++) {
        const struct conf_field *field = &s->fields[i];
        struct text below = {0};

        if (field->kind != CONF_STRUCT)
            continue;
        if (strcmp(path, "Top level") != 0)
            text_addf(&below, "%s.", path);
        text_addf(&below, "%s%s", field->key,
                  field->slot.shape == CONF_SHAPE_MAP    ? ".NAME"
                  : field->slot.shape == CONF_SHAPE_LIST ? ".ITEM"
                                                         : "");
        add_struct(out, field->of, below.p);
        text_free(&below);
    }
}

void conf_describe(const struct conf_struct *schema, struct text *out)
{
    add_struct(out, schema, "Top level");
}
