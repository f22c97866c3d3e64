/* SPDX-License-Identifier: BSD-2-Clause */
/* control_purge: purges from the wire to the cache. */
#include "common/base/version.h"
#include "common/clock/clock.h"
#include "common/log/log.h"
#include "edge-proxy/control/control_internal.h"

#include <stdlib.h>
#include <string.h>

/* By the number on the wire. */
static const struct {
    Gslb__PurgeKind wire;
    enum purge_kind kind;
} KINDS[] = {
    {GSLB__PURGE_KIND__PURGE_EVERYTHING, PURGE_ALL}, {GSLB__PURGE_KIND__PURGE_HOST, PURGE_HOST},
    {GSLB__PURGE_KIND__PURGE_PREFIX, PURGE_PREFIX},  {GSLB__PURGE_KIND__PURGE_URL, PURGE_URL},
    {GSLB__PURGE_KIND__PURGE_TAG, PURGE_TAG},
};

static const char *read_one(struct arena *a, const Gslb__Purge *from, struct purge *out)
{
    for (size_t i = 0; i < COUNT_OF(KINDS); i++) {
        if (KINDS[i].wire != from->kind)
            continue;
        out->kind = KINDS[i].kind;
        out->is_soft = from->is_soft;
        return purge_read(out->kind, str_of(from->what), arena_alloc(a, PURGE_BUFFER_BYTES),
                          &out->what);
    }
    return "this edge-proxy (" GSLB_VERSION ") does not know that kind of purge";
}

bool control_purge(struct control *c, Gslb__Purge *const *list, size_t n, struct text *error)
{
    struct arena a;
    struct purge *purges;
    const char *why = NULL;
    char words[CONTROL_TEXT];

    arena_init(&a, 0);
    purges = arena_alloc(&a, (n + 1) * sizeof(*purges));
    for (size_t i = 0; i < n && why == NULL; i++) {
        why = read_one(&a, list[i], &purges[i]);
        text_clean(words, sizeof(words), list[i]->what);
    }
    if (why == NULL)
        purge_log_apply(c->hooks.purges, purges, n, clock_wall_ms(), NULL);
    else
        text_addf(error, "cannot purge '%s': %s", words, why);
    arena_free(&a);
    return why == NULL;
}

/* ---- From a node's journal ---- */

/* Those that can be; *why: why one was not. */
static size_t read_list(struct arena *a, Gslb__Purge *const *from, size_t n, struct purge *out,
                        const char **why)
{
    size_t n_read = 0;

    for (size_t i = 0; i < n; i++) {
        const char *trouble = read_one(a, from[i], &out[n_read]);

        if (trouble == NULL)
            n_read++;
        else
            *why = trouble;
    }
    return n_read;
}

/* Is it known what came between what has taken effect and these? */
static bool reaches_back(const struct purge_source *at, const Gslb__Purges *from)
{
    return !from->is_reset && from->after <= (at->journal == from->journal ? at->sequence : 0);
}

/* How many of these have taken effect already. */
static size_t count_known(const struct purge_source *at, const Gslb__Purges *from)
{
    uint64_t n = at->sequence > from->after ? at->sequence - from->after : 0;

    if (from->is_reset || at->journal != from->journal)
        return 0;
    return n < from->n_purges ? (size_t)n : from->n_purges;
}

const char *control_take_purges(struct control_node *n, const Gslb__Purges *from)
{
    struct purge_log *log = n->control->hooks.purges;
    struct purge_source at = {.node = n->peer_name};
    const char *why = NULL;
    struct purge *list;
    struct arena a;
    size_t n_list = 0, n_known;

    purge_log_position(log, &at);
    n_known = count_known(&at, from);
    arena_init(&a, 0);
    list = arena_alloc(&a, (from->n_purges + 1) * sizeof(*list));
    if (!reaches_back(&at, from)) {
        log_warn("control",
                 "the node's journal does not reach back to what was purged here last: everything "
                 "is purged node=%s name=%s",
                 n->name, n->peer_name);
        list[n_list++] = (struct purge){.kind = PURGE_ALL, .what = STR("")};
    }
    n_list += read_list(&a, from->purges + n_known, from->n_purges - n_known, list + n_list, &why);
    at.journal = from->journal;
    at.sequence = from->after + from->n_purges;
    if (n_known == 0 || n_known < from->n_purges)
        purge_log_apply(log, list, n_list, clock_wall_ms(), &at);
    arena_free(&a);
    return why;
}
