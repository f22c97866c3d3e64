/* SPDX-License-Identifier: BSD-2-Clause */
/* Walks the tree and the table side by side. */
#include "common/conf/conf_internal.h"

#include <string.h>

static struct outcome fill_value(struct conf *f, const struct conf_field *field,
                                 const struct node *node, void *out, void *owner);

static const struct conf_field *find_field(const struct conf_struct *s, const char *key)
{
    for (size_t i = 0; i < s->n_fields; i++)
        if (strcmp(s->fields[i].key, key) == 0)
            return &s->fields[i];
    return NULL;
}

static void *member(void *owner, size_t at_plus_one)
{
    return (char *)owner + at_plus_one - 1;
}

/* What absent keys get: their defaults, and the place where they could have stood. A struct that is
 * absent has its fields' defaults, unless absence has a word of its own. */
static void preset_fields(struct conf *f, const struct conf_struct *s, char *out, uint64_t seen,
                          struct place at)
{
    for (size_t i = 0; i < s->n_fields; i++) {
        const struct conf_field *field = &s->fields[i];
        char *target = out + field->slot.offset;

        if (seen & (uint64_t)1 << i)
            continue;
        if (field->place != 0)
            *(struct place *)member(out, field->place) = at;
        if (field->slot.shape != CONF_SHAPE_ONE)
            continue;
        if (field->kind != CONF_STRUCT)
            conf_store_preset(f, field, target, out);
        else if (field->none == NULL)
            preset_fields(f, field->of, target, 0, at);
    }
}

static const char *kind_name(const struct node *node)
{
    return node->kind == NODE_LIST ? "a list" : node->kind == NODE_MAP ? "a mapping" : "text";
}

/* "in pool 'app'", "in health", "" at the top. */
static const char *context(const struct conf *f, const struct conf_struct *s,
                           const struct node *node, char buf[CONF_HINT])
{
    buf[0] = '\0';
    if (node == f->root)
        return buf;
    if (s->name != 0 && node->key != NULL)
        snprintf(buf, CONF_HINT, " in %s '%.60s'", s->what, node->key->text.p);
    else
        snprintf(buf, CONF_HINT, " in %s", s->what);
    return buf;
}

static void report_unknown(struct conf *f, const struct conf_struct *s, const struct node *map,
                           const struct node *key)
{
    char where[CONF_HINT], hint[CONF_HINT] = "";
    struct conf_index names = {0};
    struct text known = {0};

    for (size_t i = 0; i < s->n_fields; i++) {
        conf_index_put(&names, s->fields[i].key, i);
        text_addf(&known, "%s%s", i ? ", " : "; known here: ", s->fields[i].key);
    }
    conf_hint(f, &names, key->text.p, hint);
    if (strcmp(key->text.p, "<<") == 0)
        conf_error(f, conf_place_of(f, key),
                   "merge keys ('<<') are not supported, write the keys out");
    else
        conf_error(f, conf_place_of(f, key), "unknown key '%.80s'%s%s", key->text.p,
                   context(f, s, map, where), hint[0] ? hint : known.p);
    text_free(&known);
    conf_index_free(&names);
}

/* A collection where text should stand, or the other way round. */
static void report_kind(struct conf *f, const struct conf_field *field, const struct node *node)
{
    struct text expected = {0};

    if (field->slot.shape == CONF_SHAPE_LIST) {
        text_adds(&expected, "a list, each item ");
        conf_describe_kind(field, &expected);
    } else if (field->slot.shape == CONF_SHAPE_MAP) {
        text_addf(&expected, "a mapping (NAME: %s)", field->of->what);
    } else {
        conf_describe_kind(field, &expected);
    }
    if (node->kind != NODE_SCALAR)
        conf_error(f, conf_place_of(f, node), "%s: expected %s, found %s%s", field->key, expected.p,
                   kind_name(node),
                   field->kind == CONF_ADDR && node->kind == NODE_LIST
                       ? " (an IPv6 address in brackets needs quotes)"
                       : "");
    else if (field->slot.shape == CONF_SHAPE_LIST)
        conf_error(f, conf_place_of(f, node), "%s: expected %s: write [%.80s]", field->key,
                   expected.p, node->text.p);
    else
        conf_error(f, conf_place_of(f, node), "%s: expected %s, found '%.80s'", field->key,
                   expected.p, node->text.p);
    text_free(&expected);
}

static bool is_same_text(const struct node *node, const char *word)
{
    return node->kind == NODE_SCALAR && str_is(node->text, word);
}

/* "key:" with nothing behind it, or YAML's two spellings of nothing. */
static bool is_null(const struct node *node)
{
    return node->kind == NODE_SCALAR && node->is_plain &&
           (node->text.n == 0 || str_is(node->text, "~") || str_is(node->text, "null"));
}

static void fill_list(struct conf *f, const struct conf_field *field, const struct node *node,
                      char *owner)
{
    const struct conf_slot *slot = &field->slot;
    char *items = arena_zalloc(f->out, node->n_children * slot->size);
    struct place *places = NULL;
    size_t n = 0;

    if (field->item_places != 0) {
        places = arena_alloc(f->out, node->n_children * sizeof(*places));
        *(const struct place **)member(owner, field->item_places) = places;
    }
    for (const struct node *child = node->first; child != NULL; child = child->next) {
        if (child->kind == NODE_REFUSED)
            continue;
        if (is_null(child)) {
            conf_error(f, conf_place_of(f, child), "%s: an item without a value", field->key);
            continue;
        }
        if (places != NULL)
            places[n] = conf_place_of(f, child);
        if (!has_failed(fill_value(f, field, child, items + n * slot->size, owner)))
            n++;
    }
    *(char **)(owner + slot->offset) = items;
    *(size_t *)(owner + slot->count_offset) = n;
}

const char *conf_check_name(struct str name)
{
    if (name.n > 63)
        return "is longer than 63 characters";
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = (uint8_t)name.p[i];

        if ((uint8_t)(text_lower(c) - 'a') >= 26 && (uint8_t)(c - '0') >= 10 &&
            strchr("-_.", c) == NULL)
            return "is not a name: letters, digits, '-', '_' and '.' only";
    }
    return NULL;
}

/* The name of a mapping's item; says what is wrong with it. */
static const char *take_name(struct conf *f, const struct conf_struct *s, const struct node *key)
{
    struct str name = key->text;
    const char *wrong = name.n == 0     ? "is empty"
                        : s->check_name ? s->check_name(&name)
                                        : conf_check_name(name);

    if (wrong != NULL)
        conf_error(f, conf_place_of(f, key), "%s name '%.80s' %s", s->what, key->text.p, wrong);
    return arena_strndup(f->out, name.p, name.n);
}

static void fill_map(struct conf *f, const struct conf_field *field, const struct node *node,
                     char *owner)
{
    const struct conf_struct *s = field->of;
    char *items = arena_zalloc(f->out, node->n_children * s->size);
    struct conf_index names = {0};
    size_t n = 0;

    ensure(s->name != 0 && field->slot.size == s->size);
    for (const struct node *child = node->first; child != NULL; child = child->next) {
        char *item = items + n * s->size;
        const char *name;
        size_t first_line;

        if (child->key->kind != NODE_SCALAR)
            continue;
        first_line = conf_index_put(&names, child->key->text.p, child->key->line);
        if (first_line != CONF_NONE) {
            conf_error(f, conf_place_of(f, child->key),
                       "%s: '%.80s' stands here twice, first in line %zu", field->key,
                       child->key->text.p, first_line);
            continue;
        }
        name = take_name(f, s, child->key);
        *(const char **)member(item, s->name) = name;
        if (s->place != 0)
            *(struct place *)member(item, s->place) = conf_place_of(f, child->key);
        n++;
        if (is_null(child))
            conf_error(f, conf_place_of(f, child->key), "'%.80s' has no value", name);
        else
            fill_value(f, field, child, item, owner);
    }
    conf_index_free(&names);
    *(char **)(owner + field->slot.offset) = items;
    *(size_t *)(owner + field->slot.count_offset) = n;
}

static bool fits_shape(const struct conf_field *field, const struct node *node)
{
    if (field->slot.shape == CONF_SHAPE_LIST)
        return node->kind == NODE_LIST;
    return field->slot.shape != CONF_SHAPE_MAP || node->kind == NODE_MAP;
}

static void check_count(struct conf *f, const struct conf_field *field, const struct node *node)
{
    if (field->slot.shape == CONF_SHAPE_ONE)
        return;
    if (field->is_required && node->n_children == 0)
        conf_error(f, conf_place_of(f, node), "%s: must not be empty", field->key);
    if (field->max_items != 0 && node->n_children > field->max_items)
        conf_error(f, conf_place_of(f, node), "%s: %u items are too many (at most %zu)", field->key,
                   node->n_children, field->max_items);
}

/* The value of one key, key being NULL for a shorthand. */
static void fill_field(struct conf *f, const struct conf_field *field, const struct node *node,
                       const struct node *key, char *owner)
{
    if (field->place != 0)
        *(struct place *)member(owner, field->place) =
            conf_place_of(f, node->kind == NODE_SCALAR || key == NULL ? node : key);
    if (is_null(node))
        conf_error(f, conf_place_of(f, key ? key : node),
                   "'%s' has no value; remove the line or give it one", field->key);
    if (is_null(node) || node->kind == NODE_REFUSED) {
        if (field->slot.shape == CONF_SHAPE_ONE && field->kind != CONF_STRUCT)
            conf_store_preset(f, field, owner + field->slot.offset, owner);
        return;
    }
    if (field->none != NULL && is_same_text(node, field->none))
        return;
    if (!fits_shape(field, node)) {
        report_kind(f, field, node);
        return;
    }
    check_count(f, field, node);
    if (field->slot.shape == CONF_SHAPE_LIST)
        fill_list(f, field, node, owner);
    else if (field->slot.shape == CONF_SHAPE_MAP)
        fill_map(f, field, node, owner);
    else
        fill_value(f, field, node, owner + field->slot.offset, owner);
}

/* Reports the required keys that did not come, gives the others their defaults. */
static void finish_struct(struct conf *f, const struct conf_struct *s, const struct node *node,
                          char *out, uint64_t seen)
{
    struct place at = conf_place_of(f, node->key ? node->key : node);
    char where[CONF_HINT];

    for (size_t i = 0; i < s->n_fields; i++)
        if (s->fields[i].is_required && !(seen & (uint64_t)1 << i))
            conf_error(f, at, "required key '%s' is missing%s", s->fields[i].key,
                       context(f, s, node, where));
    preset_fields(f, s, out, seen, at);
}

static void fill_keys(struct conf *f, const struct conf_struct *s, const struct node *map,
                      char *out)
{
    const struct node *keys[64];
    uint64_t seen = 0;

    for (const struct node *child = map->first; child != NULL; child = child->next) {
        const struct conf_field *field;
        size_t i;

        if (child->key->kind != NODE_SCALAR)
            continue;
        field = find_field(s, child->key->text.p);
        if (field == NULL) {
            report_unknown(f, s, map, child->key);
            continue;
        }
        i = (size_t)(field - s->fields);
        if (seen & (uint64_t)1 << i) {
            conf_error(f, conf_place_of(f, child->key),
                       "key '%s' stands here twice, first in line %u", field->key, keys[i]->line);
            continue;
        }
        seen |= (uint64_t)1 << i;
        keys[i] = child->key;
        fill_field(f, field, child, child->key, out);
    }
    finish_struct(f, s, map, out, seen);
}

static void fill_tuple(struct conf *f, const struct conf_field *field, const struct node *list,
                       char *out)
{
    const struct conf_struct *s = field->of;
    size_t i = 0;

    if (list->n_children != s->n_fields) {
        struct text expected = {0};

        conf_describe_kind(field, &expected);
        conf_error(f, conf_place_of(f, list), "%s: expected %s, found a list of %u", field->key,
                   expected.p, list->n_children);
        text_free(&expected);
        return;
    }
    for (const struct node *child = list->first; child != NULL; child = child->next)
        fill_field(f, &s->fields[i++], child, NULL, out);
}

static void fill_struct(struct conf *f, const struct conf_field *field, const struct node *node,
                        char *out)
{
    const struct conf_struct *s = field->of;
    const struct conf_field *alone = s->shorthand ? find_field(s, s->shorthand) : NULL;

    ensure(s->n_fields <= 64 && field->slot.size == s->size);
    if (s->place != 0 && field->slot.shape == CONF_SHAPE_LIST)
        *(struct place *)member(out, s->place) = conf_place_of(f, node);
    if (node->kind == NODE_MAP) {
        fill_keys(f, s, node, out);
    } else if (s->is_tuple && node->kind == NODE_LIST) {
        fill_tuple(f, field, node, out);
    } else if (alone != NULL) {
        fill_field(f, alone, node, node->key, out);
        finish_struct(f, s, node, out, (uint64_t)1 << (alone - s->fields));
    } else {
        struct conf_field one = *field;

        one.slot.shape = CONF_SHAPE_ONE; /* the item, not the list, is of the wrong kind */
        report_kind(f, &one, node);
        preset_fields(f, s, out, 0, conf_place_of(f, node));
    }
}

/* Fails when there is nothing that a list should keep. */
static struct outcome fill_value(struct conf *f, const struct conf_field *field,
                                 const struct node *node, void *out, void *owner)
{
    struct conf_field one;

    if (node->kind == NODE_REFUSED)
        return OUTCOME_FAILED;
    if (field->kind == CONF_STRUCT) {
        fill_struct(f, field, node, out);
        return OUTCOME_OK;
    }
    if (node->kind == NODE_SCALAR)
        return conf_store_scalar(f, field, node, out, owner);
    one = *field;
    one.slot.shape = CONF_SHAPE_ONE; /* the item, not the list, is of the wrong kind */
    report_kind(f, &one, node);
    if (field->slot.shape == CONF_SHAPE_ONE)
        conf_store_preset(f, field, out, owner);
    return OUTCOME_FAILED;
}

void conf_fill(struct conf *f, const struct conf_struct *schema, void *out)
{
    struct place top = {f->path, 1, 1};

    if (f->root->kind == NODE_MAP)
        fill_keys(f, schema, f->root, out);
    else if (f->root->kind != NODE_REFUSED)
        conf_error(f, top, "expected a mapping (key: value) at the top, found %s",
                   kind_name(f->root));
}
