/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/gslbctl/gslbctl.h"

#include <string.h>

enum { ITEMS_MAX = 128 }; /* of one command */

static bool find_kind(const char *name, Gslb__PurgeKind *out)
{
    static const struct {
        const char *name;
        Gslb__PurgeKind kind;
    } kinds[] = {
        {"url", GSLB__PURGE_KIND__PURGE_URL},        {"prefix", GSLB__PURGE_KIND__PURGE_PREFIX},
        {"host", GSLB__PURGE_KIND__PURGE_HOST},      {"tag", GSLB__PURGE_KIND__PURGE_TAG},
        {"all", GSLB__PURGE_KIND__PURGE_EVERYTHING},
    };

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        *out = kinds[i].kind;
        if (strcmp(kinds[i].name, name) == 0)
            return true;
    }
    return false;
}

bool purge_read_request(struct arena *arena, char **args, int n_args, bool is_soft,
                        Gslb__PurgeRequest *out)
{
    static char nothing[] = "";
    static char *everything[] = {nothing};
    Gslb__PurgeKind kind;
    bool is_all;

    if (n_args < 1 || n_args > ITEMS_MAX + 1 || !find_kind(args[0], &kind))
        return false;
    is_all = kind == GSLB__PURGE_KIND__PURGE_EVERYTHING;
    if (is_all != (n_args == 1))
        return false;
    args = is_all ? everything : args + 1;
    out->n_purges = is_all ? 1 : (size_t)n_args - 1;
    out->purges = arena_alloc(arena, out->n_purges * sizeof(*out->purges));
    for (size_t i = 0; i < out->n_purges; i++) {
        out->purges[i] = arena_alloc(arena, sizeof(*out->purges[i]));
        gslb__purge__init(out->purges[i]);
        out->purges[i]->kind = kind;
        out->purges[i]->what = args[i];
        out->purges[i]->is_soft = is_soft;
    }
    return true;
}
