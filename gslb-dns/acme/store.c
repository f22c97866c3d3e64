/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/acme/acme.h"

#include <stdlib.h>
#include <string.h>

struct acme_store {
    struct acme_record *records;
    size_t n, cap;
};

struct acme_store *acme_store_new(void)
{
    return base_zalloc(1, sizeof(struct acme_store));
}

void acme_store_free(struct acme_store *s)
{
    if (s == NULL)
        return;
    free(s->records);
    free(s);
}

struct acme_store *acme_store_copy(const struct acme_store *s)
{
    struct acme_store *copy = acme_store_new();

    if (s->n == 0)
        return copy;
    copy->n = copy->cap = s->n;
    copy->records = base_alloc(s->n * sizeof(s->records[0]));
    memcpy(copy->records, s->records, s->n * sizeof(s->records[0]));
    return copy;
}

static bool is_same_name(const struct wire_name *a, const struct wire_name *b)
{
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

/* The record of this name and value, or NULL; n_of_name: how many values the name has. */
static struct acme_record *find(const struct acme_store *s, const struct wire_name *name,
                                const char *value, size_t *n_of_name)
{
    struct acme_record *found = NULL;

    *n_of_name = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (!is_same_name(&s->records[i].name, name))
            continue;
        ++*n_of_name;
        if (strcmp(s->records[i].value, value) == 0)
            found = &s->records[i];
    }
    return found;
}

enum acme_put acme_store_put(struct acme_store *s, const struct acme_record *r, int64_t now_ms)
{
    size_t n_of_name;
    struct acme_record *known = find(s, &r->name, r->value, &n_of_name);
    int64_t latest_ms = now_ms + 1000 * (int64_t)ACME_LIFETIME_MAX_S;

    if (r->expires_ms <= now_ms || (known != NULL && known->stamp >= r->stamp))
        return ACME_KNOWN;
    if (known == NULL) {
        if (s->n >= ACME_RECORDS_MAX || n_of_name >= ACME_PER_NAME_MAX)
            return ACME_FULL;
        BASE_GROW(s->records, s->n, s->cap);
        known = &s->records[s->n++];
    }
    *known = *r;
    if (known->expires_ms > latest_ms)
        known->expires_ms = latest_ms;
    return ACME_CHANGED;
}

/* Its next change: it leaves the answers, then the store. */
static int64_t next_of(const struct acme_record *r)
{
    return r->is_removed ? r->expires_ms : r->expires_ms - 1000 * (int64_t)ACME_TTL_S;
}

bool acme_store_expire(struct acme_store *s, int64_t now_ms)
{
    size_t kept = 0, before = s->n;

    for (size_t i = 0; i < s->n; i++)
        if (now_ms < next_of(&s->records[i]))
            s->records[kept++] = s->records[i];
    s->n = kept;
    return kept != before;
}

int64_t acme_store_next_ms(const struct acme_store *s)
{
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < s->n; i++)
        if (next_of(&s->records[i]) < next)
            next = next_of(&s->records[i]);
    return next;
}

const struct acme_record *acme_store_records(const struct acme_store *s, size_t *n)
{
    *n = s->n;
    return s->records;
}

uint64_t acme_store_stamp(const struct acme_store *s, const struct wire_name *name,
                          const char *value, int64_t wall_ms)
{
    size_t n_of_name;
    const struct acme_record *known = find(s, name, value, &n_of_name);

    return known != NULL && known->stamp >= (uint64_t)wall_ms ? known->stamp + 1
                                                              : (uint64_t)wall_ms;
}
