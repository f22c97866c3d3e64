/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/conf/conf_internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* A text that is being read for a field: from the file, or (node NULL) the table's default. */
struct source {
    struct conf *f;
    const struct conf_field *field;
    const struct node *node;
    struct str text;
};

/* As much of a value as a message can take. */
static int shown(struct str s)
{
    return s.n > 80 ? 80 : (int)s.n;
}

static void describe_choices(const struct conf_choice *choices, struct text *out)
{
    text_adds(out, "one of");
    for (const struct conf_choice *c = choices; c->name != NULL; c++)
        text_addf(out, "%s %s", c == choices ? "" : ",", c->name);
}

void conf_describe_kind(const struct conf_field *field, struct text *out)
{
    static const char *const words[] = {
        [CONF_STRING] = "text",
        [CONF_BOOL] = "true or false",
        [CONF_BOOL_NOT] = "true or false",
        [CONF_NUMBER] = "a whole number",
        [CONF_DURATION_MS] = "a duration such as 30s (units: ms, s, m, h, d)",
        [CONF_DURATION_S] = "a duration such as 30s (units: s, m, h, d)",
        [CONF_BYTES] = "a size such as 64MiB (units: KiB, MiB, GiB)",
        [CONF_DOUBLE] = "a number",
        [CONF_IP] = "an IP address such as 192.0.2.1 or \"2001:db8::1\"",
        [CONF_PREFIX] = "a prefix such as 10.0.0.0/8",
        [CONF_ADDR] = "an IP address with port such as 192.0.2.1:80 or \"[2001:db8::1]:80\"",
        [CONF_PATH] = "the path of a file",
        [CONF_FILE] = "the path of a file",
        [CONF_STRUCT] = "a mapping (key: value)",
    };

    if (field->expects != NULL)
        text_adds(out, field->expects);
    else if (field->kind == CONF_ENUM || field->kind == CONF_WORD)
        describe_choices(field->choices, out);
    else if (field->kind == CONF_ADDR && field->port != 0)
        text_addf(out, "an IP address, with a port unless it is %u", field->port);
    else
        text_adds(out, words[field->kind] ? words[field->kind] : "a value");
    if (field->none != NULL)
        text_addf(out, ", or %s", field->none);
}

static void report_unexpected(const struct source *s, const char *more)
{
    struct text expected = {0};

    conf_describe_kind(s->field, &expected);
    conf_error(s->f, conf_place_of(s->f, s->node), "%s: expected %s, found '%.*s'%s", s->field->key,
               expected.p, shown(s->text), s->text.p, more);
    text_free(&expected);
}

static bool parse_number(enum conf_kind kind, struct str text, uint64_t *out)
{
    switch (kind) {
    case CONF_DURATION_MS:
        return text_parse_duration_ms(text, out);
    case CONF_DURATION_S:
        if (!text_parse_duration_ms(text, out) || *out % 1000 != 0)
            return false;
        *out /= 1000;
        return true;
    case CONF_BYTES:
        return text_parse_bytes(text, out);
    default:
        return text_parse_u64(text, out);
    }
}

/* One end of a field's range; its spelling comes from the table. */
static uint64_t bound(const struct conf_field *field, const char *spelling, uint64_t otherwise)
{
    uint64_t value;

    if (spelling == NULL)
        return otherwise;
    ensure(parse_number(field->kind, str_of(spelling), &value));
    return value;
}

static void report_range(const struct source *s)
{
    const struct conf_field *d = s->field;
    const char *gap = d->unit ? " " : "", *unit = d->unit ? d->unit : "";
    struct place at = conf_place_of(s->f, s->node);
    int n = shown(s->text);

    if (d->min != NULL && d->max != NULL)
        conf_error(s->f, at, "%s: %.*s is out of range (%s to %s%s%s)", d->key, n, s->text.p,
                   d->min, d->max, gap, unit);
    else if (d->min != NULL)
        conf_error(s->f, at, "%s: %.*s is out of range (at least %s%s%s)", d->key, n, s->text.p,
                   d->min, gap, unit);
    else if (d->max != NULL)
        conf_error(s->f, at, "%s: %.*s is out of range (at most %s%s%s)", d->key, n, s->text.p,
                   d->max, gap, unit);
    else
        conf_error(s->f, at, "%s: %.*s is too large", d->key, n, s->text.p);
}

static bool is_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

/* Digits that parse_number refuses: too many of them, or their unit is missing. */
static void report_number(const struct source *s)
{
    char hint[64] = "";
    enum conf_kind kind = s->field->kind;

    if (is_digits(s->text) && (kind == CONF_DURATION_MS || kind == CONF_DURATION_S)) {
        if (s->text.n < 12)
            snprintf(hint, sizeof(hint), "; its unit is missing: %.*ss?", shown(s->text),
                     s->text.p);
        report_unexpected(s, hint);
    } else if (is_digits(s->text)) {
        report_range(s);
    } else {
        report_unexpected(s, "");
    }
}

static struct outcome store_number(const struct source *s, void *out)
{
    size_t size = s->field->slot.size;
    uint64_t value, largest = size == 8 ? UINT64_MAX : ((uint64_t)1 << (8 * size)) - 1;

    ensure(size == 2 || size == 4 || size == 8);
    if (!parse_number(s->field->kind, s->text, &value)) {
        report_number(s);
        return OUTCOME_FAILED;
    }
    if (value < bound(s->field, s->field->min, 0) ||
        value > bound(s->field, s->field->max, largest) || value > largest) {
        report_range(s);
        return OUTCOME_FAILED;
    }
    memcpy(out, &value, size); /* little-endian: the low bytes come first */
    return OUTCOME_OK;
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "store_number copies low bytes");

static struct outcome store_double(const struct source *s, double *out)
{
    double low = 0, high = 0;
    const struct conf_field *d = s->field;

    if (!text_parse_double(s->text, out)) {
        report_unexpected(s, "");
        return OUTCOME_FAILED;
    }
    ensure(d->min == NULL || text_parse_double(str_of(d->min), &low));
    ensure(d->max == NULL || text_parse_double(str_of(d->max), &high));
    if ((d->min != NULL && *out < low) || (d->max != NULL && *out > high)) {
        report_range(s);
        return OUTCOME_FAILED;
    }
    return OUTCOME_OK;
}

static struct outcome store_bool(const struct source *s, bool *out)
{
    static const struct conf_choice words[] = {
        {"true", 1}, {"yes", 1}, {"on", 1}, {"false", 0}, {"no", 0}, {"off", 0},
    };

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (!str_is_nocase(s->text, words[i].name))
            continue;
        *out = words[i].value == (s->field->kind == CONF_BOOL);
        return OUTCOME_OK;
    }
    report_unexpected(s, "");
    return OUTCOME_FAILED;
}

static struct outcome store_choice(const struct source *s, void *out)
{
    const struct conf_choice *choices = s->field->choices;
    struct conf_index names = {0};
    char hint[CONF_HINT];

    for (size_t i = 0; choices[i].name != NULL; i++) {
        if (!str_is(s->text, choices[i].name))
            continue;
        if (s->field->kind == CONF_WORD)
            *(const char **)out = choices[i].name;
        else
            *(int *)out = choices[i].value;
        return OUTCOME_OK;
    }
    for (size_t i = 0; choices[i].name != NULL; i++)
        conf_index_put(&names, choices[i].name, i);
    report_unexpected(s, conf_hint(s->f, &names, s->text.p, hint));
    conf_index_free(&names);
    return OUTCOME_FAILED;
}

static struct outcome store_prefix(const struct source *s, struct prefix *out)
{
    char buf[ADDR_TEXT], hint[ADDR_TEXT + 64] = "";

    if (prefix_parse(s->text, out))
        return OUTCOME_OK;
    if (out->ip.family != 0 && memchr(s->text.p, '/', s->text.n) != NULL && out->length != 0) {
        ip_mask(&out->ip, out->length);
        snprintf(hint, sizeof(hint), "; did you mean %s/%u?", ip_format(&out->ip, buf),
                 out->length);
    }
    report_unexpected(s, hint);
    return OUTCOME_FAILED;
}

static struct outcome store_string(const struct source *s, const char **out)
{
    const char *wrong = s->field->check ? s->field->check(s->text) : NULL;

    if (s->text.n == 0)
        wrong = "must not be empty";
    if (wrong != NULL) {
        conf_error(s->f, conf_place_of(s->f, s->node), "%s: '%.*s' %s", s->field->key,
                   shown(s->text), s->text.p, wrong);
        return OUTCOME_FAILED;
    }
    *out = arena_strndup(s->f->out, s->text.p, s->text.n);
    return OUTCOME_OK;
}

static struct outcome store_path(const struct source *s, const char **out)
{
    if (s->text.n == 0) {
        report_unexpected(s, "");
        return OUTCOME_FAILED;
    }
    *out = conf_path(s->f, s->text);
    if (s->field->kind == CONF_FILE && access(*out, R_OK) != 0) {
        conf_error(s->f, conf_place_of(s->f, s->node), "%s: %s cannot be read: %s", s->field->key,
                   *out, strerror(errno));
        return OUTCOME_FAILED;
    }
    return OUTCOME_OK;
}

static struct outcome store_custom(const struct source *s, void *owner)
{
    const char *expected = s->field->parse(s->text, owner);

    if (expected == NULL)
        return OUTCOME_OK;
    conf_error(s->f, conf_place_of(s->f, s->node), "%s: expected %s, found '%.*s'", s->field->key,
               expected, shown(s->text), s->text.p);
    return OUTCOME_FAILED;
}

static struct outcome unexpected_unless(bool is_fine, const struct source *s)
{
    if (is_fine)
        return OUTCOME_OK;
    report_unexpected(s, "");
    return OUTCOME_FAILED;
}

static struct outcome store(const struct source *s, void *out, void *owner)
{
    switch (s->field->kind) {
    case CONF_STRING:
        return store_string(s, out);
    case CONF_BOOL:
    case CONF_BOOL_NOT:
        return store_bool(s, out);
    case CONF_NUMBER:
    case CONF_DURATION_MS:
    case CONF_DURATION_S:
    case CONF_BYTES:
        return store_number(s, out);
    case CONF_DOUBLE:
        return store_double(s, out);
    case CONF_ENUM:
    case CONF_WORD:
        return store_choice(s, out);
    case CONF_IP:
        return unexpected_unless(ip_parse(s->text, out), s);
    case CONF_PREFIX:
        return store_prefix(s, out);
    case CONF_ADDR:
        return unexpected_unless(addr_parse(s->text, s->field->port, out), s);
    case CONF_PATH:
    case CONF_FILE:
        return store_path(s, out);
    case CONF_CUSTOM:
        return store_custom(s, owner);
    case CONF_STRUCT:
        break;
    }
    ensure(!"a struct is no scalar");
}

struct outcome conf_store_scalar(struct conf *f, const struct conf_field *field,
                                 const struct node *node, void *out, void *owner)
{
    struct source s = {f, field, node, node->text};

    if (!has_failed(store(&s, out, owner)))
        return OUTCOME_OK;
    /* Later checks shall see something sane, not half a value; a missing file still has its name.
     */
    if (field->kind != CONF_CUSTOM && field->kind != CONF_FILE)
        memset(out, 0, field->slot.size);
    if (field->slot.shape == CONF_SHAPE_ONE)
        conf_store_preset(f, field, out, owner);
    return OUTCOME_FAILED;
}

void conf_store_preset(struct conf *f, const struct conf_field *field, void *out, void *owner)
{
    struct source s = {f, field, NULL, STR("")};

    if (field->preset == NULL)
        return;
    s.text = str_of(field->preset);
    ensure(!has_failed(store(&s, out, owner)));
}
