/* SPDX-License-Identifier: BSD-2-Clause */
/* control_purge: purges from the wire to the cache. */
#include "common/base/version.h"
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
        c->hooks.purge(c->hooks.arg, purges, n);
    else
        text_addf(error, "cannot purge '%s': %s", words, why);
    arena_free(&a);
    return why == NULL;
}
