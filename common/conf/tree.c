/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From bytes to a tree, by libyaml's events. Not by its documents: those lose anchors, and grow
 * without bound before anybody can look.
 */
#include "common/conf/conf_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

struct level {
    struct node *node;
    struct node *last;      /* child */
    const struct node *key; /* of a mapping: read, its value is due */
};

struct builder {
    struct conf *f;
    yaml_parser_t parser;
    struct level levels[CONF_MAX_DEPTH];
    unsigned depth;
    size_t n_nodes, n_documents;
};

static struct place place_of_mark(const struct conf *f, yaml_mark_t mark)
{
    return (struct place){f->path, (unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

/* What libyaml stumbles over most often, and how to mend it. */
static const char *advice(const yaml_parser_t *p)
{
    const char *problem = p->problem ? p->problem : "", *context = p->context ? p->context : "";

    if (strstr(context, "alias") != NULL || strstr(context, "anchor") != NULL)
        return " (a value that begins with '*' or '&' needs quotes)";
    if (strstr(problem, "expected node content") != NULL)
        return " (an IPv6 address needs quotes)";
    if (strstr(problem, "cannot start any token") != NULL)
        return " (indent by spaces, not by tabs; a value that begins with '@', '`' or '%' needs "
               "quotes)";
    if (strstr(problem, "mapping values are not allowed") != NULL)
        return " (wrong indentation, or a value with ': ' that needs quotes)";
    if (strstr(problem, "expected key") != NULL || strstr(problem, "expected '-'") != NULL ||
        strstr(problem, "<block end>") != NULL)
        return " (check the indentation; an IPv6 address in brackets needs quotes)";
    if (strstr(problem, "expected ',' or") != NULL)
        return " (a bracket is not closed, or an IPv6 address needs quotes)";
    if (strstr(problem, "could not find expected ':'") != NULL)
        return " (this line is no 'key: value')";
    return "";
}

static void report_syntax(struct builder *b)
{
    const yaml_parser_t *p = &b->parser;

    if (p->error == YAML_READER_ERROR) {
        struct place at = conf_place_at(b->f, p->problem_offset);

        if (strstr(p->problem, "control") != NULL)
            errors_add(b->f->errors, at, "control character 0x%02x; a text file cannot hold it",
                       (unsigned)p->problem_value);
        else
            errors_add(b->f->errors, at, "not UTF-8: %s 0x%02x", p->problem,
                       (unsigned)p->problem_value & 0xff);
        return;
    }
    if (p->context != NULL && p->context_mark.line != p->problem_mark.line)
        conf_error(b->f, place_of_mark(b->f, p->problem_mark),
                   "not valid YAML: %s %s that begins in line %zu%s", p->problem, p->context,
                   p->context_mark.line + 1, advice(p));
    else
        conf_error(b->f, place_of_mark(b->f, p->problem_mark), "not valid YAML: %s%s%s%s",
                   p->problem ? p->problem : "unreadable", p->context ? " " : "",
                   p->context ? p->context : "", advice(p));
}

static void attach(struct builder *b, struct node *n)
{
    struct level *up;

    if (b->depth == 0) {
        b->f->root = n;
        return;
    }
    up = &b->levels[b->depth - 1];
    if (up->node->kind == NODE_MAP && up->key == NULL) {
        if (n->kind == NODE_LIST || n->kind == NODE_MAP)
            conf_error(b->f, conf_place_of(b->f, n), "a key must be one word, not a %s",
                       n->kind == NODE_MAP ? "mapping" : "list");
        up->key = n;
        return;
    }
    n->key = up->key;
    up->key = NULL;
    *(up->last ? &up->last->next : &up->node->first) = n;
    up->last = n;
    up->node->n_children++;
}

static struct node *add_node(struct builder *b, enum node_kind kind, yaml_mark_t mark)
{
    struct node *n = arena_zalloc(&b->f->nodes, sizeof(*n));

    n->kind = kind;
    n->line = (uint32_t)mark.line + 1;
    n->column = (uint32_t)mark.column + 1;
    b->n_nodes++;
    attach(b, n);
    return n;
}

static void refuse_extras(struct builder *b, yaml_mark_t mark, const yaml_char_t *anchor,
                          const yaml_char_t *tag)
{
    if (anchor != NULL)
        conf_error(b->f, place_of_mark(b->f, mark),
                   "anchor '&%s': anchors are not supported, write the value out", anchor);
    if (tag != NULL)
        conf_error(b->f, place_of_mark(b->f, mark),
                   "tag '%s': tags are not supported, every key knows its own type", tag);
}

static void add_scalar(struct builder *b, const yaml_event_t *e)
{
    const char *text = (const char *)e->data.scalar.value;
    size_t n = e->data.scalar.length;
    struct node *node = add_node(b, NODE_SCALAR, e->start_mark);

    refuse_extras(b, e->start_mark, e->data.scalar.anchor, e->data.scalar.tag);
    node->is_plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = (struct str){arena_strndup(&b->f->nodes, text, n), n};
    for (size_t i = 0; i < n; i++) {
        if ((uint8_t)text[i] >= 0x20 && text[i] != 0x7f)
            continue;
        conf_error(b->f, conf_place_of(b->f, node),
                   "a text with a line break or control character (0x%02x) fits no key",
                   (uint8_t)text[i]);
        node->kind = NODE_REFUSED;
        break;
    }
}

static struct outcome open_level(struct builder *b, enum node_kind kind, const yaml_event_t *e)
{
    struct node *n = add_node(b, kind, e->start_mark);

    if (kind == NODE_LIST)
        refuse_extras(b, e->start_mark, e->data.sequence_start.anchor, e->data.sequence_start.tag);
    else
        refuse_extras(b, e->start_mark, e->data.mapping_start.anchor, e->data.mapping_start.tag);
    if (b->depth == CONF_MAX_DEPTH) {
        conf_error(b->f, conf_place_of(b->f, n), "nested deeper than %d levels", CONF_MAX_DEPTH);
        return OUTCOME_FAILED;
    }
    b->levels[b->depth++] = (struct level){.node = n};
    return OUTCOME_OK;
}

static struct outcome take_event(struct builder *b, const yaml_event_t *e)
{
    if (b->n_nodes > CONF_MAX_NODES) {
        conf_error(b->f, place_of_mark(b->f, e->start_mark), "more than %d values in one file",
                   CONF_MAX_NODES);
        return OUTCOME_FAILED;
    }
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->n_documents++ == 0)
            return OUTCOME_OK;
        conf_error(b->f, place_of_mark(b->f, e->start_mark),
                   "a second document begins here; one file holds one configuration");
        return OUTCOME_FAILED;
    case YAML_ALIAS_EVENT:
        conf_error(b->f, place_of_mark(b->f, e->start_mark),
                   "alias '*%s': aliases are not supported, write the value out, or in quotes if "
                   "it is meant to begin with '*'",
                   e->data.alias.anchor);
        add_node(b, NODE_REFUSED, e->start_mark)->text = STR("");
        return OUTCOME_OK;
    case YAML_SCALAR_EVENT:
        add_scalar(b, e);
        return OUTCOME_OK;
    case YAML_SEQUENCE_START_EVENT:
        return open_level(b, NODE_LIST, e);
    case YAML_MAPPING_START_EVENT:
        return open_level(b, NODE_MAP, e);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return OUTCOME_OK;
    default:
        return OUTCOME_OK;
    }
}

static struct outcome take_events(struct builder *b)
{
    struct outcome done = OUTCOME_OK;
    bool is_last = false;

    while (!is_last && !has_failed(done)) {
        yaml_event_t e;

        if (!yaml_parser_parse(&b->parser, &e)) {
            report_syntax(b);
            return OUTCOME_FAILED;
        }
        is_last = e.type == YAML_STREAM_END_EVENT;
        done = take_event(b, &e);
        yaml_event_delete(&e);
    }
    return done;
}

struct outcome conf_parse_tree(struct conf *f)
{
    struct builder b = {.f = f};
    struct outcome done;

    ensure(yaml_parser_initialize(&b.parser));
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)f->text.p, f->text.n);
    done = take_events(&b);
    yaml_parser_delete(&b.parser);
    if (!has_failed(done) &&
        (f->root == NULL || (f->root->kind == NODE_SCALAR && f->root->text.n == 0))) {
        errors_add(f->errors, (struct place){f->path, 0, 0}, "the file is empty");
        return OUTCOME_FAILED;
    }
    return done;
}

/* The absolute folder of path. */
static const char *folder_of(struct conf *f, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + 1 : 0; /* with the slash */
    char *here, *folder;
    struct text t = {0};

    if (path[0] == '/')
        return arena_strndup(&f->nodes, path, n > 1 ? n - 1 : n);
    here = getcwd(NULL, 0);
    text_adds(&t, here ? here : ".");
    if (n > 0)
        text_addf(&t, "/%.*s", (int)n - 1, path);
    folder = arena_strndup(&f->nodes, t.p, t.n);
    text_free(&t);
    free(here);
    return folder;
}

const char *conf_path(struct conf *f, struct str path)
{
    struct text t = {0};
    const char *out;

    if (path.n > 0 && path.p[0] == '/')
        return arena_strndup(f->out, path.p, path.n);
    text_addf(&t, "%s/%.*s", str_is(str_of(f->folder), "/") ? "" : f->folder, STR_ARG(path));
    out = arena_strndup(f->out, t.p, t.n);
    text_free(&t);
    return out;
}

struct conf *conf_open_text(const char *path, struct str text, struct arena *arena,
                            struct errors *errors)
{
    struct conf *f = base_zalloc(1, sizeof(*f));

    arena_init(&f->nodes, 0);
    f->out = arena;
    f->path = arena_strndup(arena, path, strlen(path));
    f->folder = folder_of(f, path);
    f->errors = errors;
    f->first_error = errors->n;
    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
        text = (struct str){text.p + 3, text.n - 3};
    f->text = text;
    if (has_failed(conf_parse_tree(f))) {
        conf_close(f);
        return NULL;
    }
    return f;
}

struct conf *conf_open(const char *path, struct arena *arena, struct errors *errors)
{
    struct place at = {path, 0, 0};
    struct conf *f;
    char *bytes;
    size_t n;

    if (has_failed(text_read_file(path, CONF_MAX_BYTES, &bytes, &n))) {
        if (errno == EFBIG)
            errors_add(errors, at, "larger than %d MiB", CONF_MAX_BYTES >> 20);
        else
            errors_add(errors, at, "cannot be read: %s", strerror(errno));
        return NULL;
    }
    f = conf_open_text(path, (struct str){bytes, n}, arena, errors);
    if (f == NULL)
        free(bytes);
    else
        f->owned = bytes;
    return f;
}

static bool is_after(const struct error *a, const struct error *b)
{
    return a->line != b->line ? a->line > b->line : a->column > b->column;
}

/* By insertion: there are at most ERRORS_KEPT, and equals keep their order. */
static void sort_errors(struct errors *e, size_t first)
{
    for (size_t i = first + 1; i < e->n; i++) {
        struct error x = e->items[i];
        size_t j = i;

        for (; j > first && is_after(&e->items[j - 1], &x); j--)
            e->items[j] = e->items[j - 1];
        e->items[j] = x;
    }
}

void conf_close(struct conf *f)
{
    if (f->first_error < f->errors->n)
        sort_errors(f->errors, f->first_error);
    free(f->lines);
    free(f->owned);
    arena_free(&f->nodes);
    free(f);
}
