/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/metrics/metrics.h"

#include "common/base/version.h"

#include <stdlib.h>
#include <string.h>

struct metrics_block *metrics_add_block(struct metrics *m)
{
    /* On lines of its own: two threads' counters never share a cache line. */
    size_t bytes = sizeof(struct metrics_block) + m->n * sizeof(uint64_t) + 2 * CACHE_LINE;
    struct metrics_block *b = base_zalloc(1, bytes);

    b->n = m->n;
    b->next = __atomic_load_n(&m->blocks, __ATOMIC_ACQUIRE);
    while (!__atomic_compare_exchange_n(&m->blocks, &b->next, b, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
        ;
    return b;
}

void metrics_free(struct metrics *m)
{
    for (struct metrics_block *b = m->blocks, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    m->blocks = NULL;
}

uint64_t metrics_sum(const struct metrics *m, size_t counter)
{
    uint64_t sum = 0;

    for (const struct metrics_block *b = __atomic_load_n(&m->blocks, __ATOMIC_ACQUIRE); b != NULL;
         b = b->next)
        sum += __atomic_load_n(&b->values[counter], __ATOMIC_RELAXED);
    return sum;
}

static size_t family_length(const char *name)
{
    return strcspn(name, "{");
}

void metrics_write_head(struct text *out, const char *family, const char *type, const char *help)
{
    text_addf(out, "# HELP %s %s\n# TYPE %s %s\n", family, help, family, type);
}

void metrics_write(const struct metrics *m, struct text *out)
{
    const char *previous = "";

    for (size_t i = 0; i < m->n; i++) {
        const char *name = m->table[i].name;
        size_t n = family_length(name);

        if (n != family_length(previous) || memcmp(name, previous, n) != 0) {
            char *family = base_strndup(name, n);

            metrics_write_head(out, family, "counter", m->table[i].help);
            free(family);
        }
        previous = name;
        text_addf(out, "%s %llu\n", name, (unsigned long long)metrics_sum(m, i));
    }
}

void metrics_write_build(struct text *out, const char *program)
{
    metrics_write_head(out, "gslb_build_info", "gauge", "What runs; the value is always 1.");
    text_addf(out, "gslb_build_info{program=\"%s\",version=\"%s\"} 1\n", program, GSLB_VERSION);
}
