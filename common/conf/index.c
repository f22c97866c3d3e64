/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/conf/conf_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct conf_index_entry {
    const char *name; /* NULL: free */
    size_t value;
};

/* FNV-1a: names come from the operator, who does not attack himself. */
static uint64_t hash(const struct conf_index *x, const char *name)
{
    uint64_t h = 0xcbf29ce484222325;

    for (; *name != '\0'; name++)
        h = (h ^ (x->is_folded ? text_lower((uint8_t)*name) : (uint8_t)*name)) * 0x100000001b3;
    return h ^ h >> 29;
}

static bool is_same(const struct conf_index *x, const char *a, const char *b)
{
    return x->is_folded ? str_eq_nocase(str_of(a), str_of(b)) : strcmp(a, b) == 0;
}

/* The entry of name, or the free one where it belongs. cap is a power of two and never full. */
static struct conf_index_entry *find(const struct conf_index *x, const char *name)
{
    size_t i = hash(x, name) & (x->cap - 1);

    while (x->entries[i].name != NULL && !is_same(x, x->entries[i].name, name))
        i = (i + 1) & (x->cap - 1);
    return &x->entries[i];
}

static void grow(struct conf_index *x)
{
    struct conf_index old = *x;

    x->cap = old.cap ? 2 * old.cap : 16;
    x->entries = base_zalloc(x->cap, sizeof(*x->entries));
    for (size_t i = 0; i < old.cap; i++)
        if (old.entries[i].name != NULL)
            *find(x, old.entries[i].name) = old.entries[i];
    free(old.entries);
}

size_t conf_index_put(struct conf_index *x, const char *name, size_t value)
{
    struct conf_index_entry *e;

    if (2 * (x->n + 1) > x->cap)
        grow(x);
    e = find(x, name);
    if (e->name != NULL)
        return e->value;
    *e = (struct conf_index_entry){name, value};
    x->n++;
    return CONF_NONE;
}

size_t conf_index_get(const struct conf_index *x, const char *name)
{
    const struct conf_index_entry *e;

    if (x->n == 0)
        return CONF_NONE;
    e = find(x, name);
    return e->name ? e->value : CONF_NONE;
}

const char *conf_hint(const struct conf *f, const struct conf_index *x, const char *name,
                      char buf[CONF_HINT])
{
    struct str wanted = str_of(name);
    unsigned best = conf_slip(wanted.n) + 1;
    const char *nearest = NULL;

    buf[0] = '\0';
    if (conf_is_crowded(f))
        return buf;
    for (size_t i = 0; i < x->cap; i++) {
        const char *other = x->entries[i].name;
        struct str candidate;
        unsigned distance;

        if (other == NULL)
            continue;
        candidate = str_of(other);
        if (candidate.n + best <= wanted.n || wanted.n + best <= candidate.n)
            continue;
        distance = text_distance(wanted, candidate);
        if (distance < best || (distance == best && nearest && strcmp(other, nearest) < 0)) {
            best = distance;
            nearest = other;
        }
    }
    if (nearest != NULL)
        snprintf(buf, CONF_HINT, "; did you mean '%.80s'?", nearest);
    return buf;
}

void conf_index_free(struct conf_index *x)
{
    free(x->entries);
    *x = (struct conf_index){.is_folded = x->is_folded};
}
