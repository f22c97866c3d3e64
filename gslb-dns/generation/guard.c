/* SPDX-License-Identifier: BSD-2-Clause */
/* What protects against abuse: cookie secrets and the limiter. Its table and the random secret of
 * a process live on in the next generation, so that a reload forgets nobody. */
#include "gslb-dns/generation/generation_internal.h"

#include <stdlib.h>

enum { TABLE_BUCKET_BITS = 15 }; /* 2 MiB: 327,680 addresses and networks at a time */

static struct shared_guard *new_guard(const struct siphash_key *secret)
{
    struct shared_guard *s = base_zalloc(1, sizeof(*s));

    s->refs = 1;
    s->secret = secret != NULL ? *secret : siphash_key_random();
    return s;
}

static struct shared_guard *share_guard(const struct generation *previous, bool needs_table)
{
    struct shared_guard *s = previous != NULL ? previous->guard : NULL;

    if (s != NULL && (s->table != NULL || !needs_table)) {
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
        return s;
    }
    s = new_guard(s != NULL ? &s->secret : NULL);
    if (needs_table)
        s->table = ratelimit_new(TABLE_BUCKET_BITS);
    return s;
}

void generation_load_guard(struct generation *g, const struct generation *previous)
{
    const struct config_rate_limit *from = &g->config->rate_limit;
    const struct config_cookies *cookies = &g->config->cookies;

    g->guard = share_guard(previous, from->per_second > 0);
    g->secrets = cookies->secrets;
    if (g->secrets.n == 0)
        g->secrets = (struct cookie_secrets){.keys = {g->guard->secret}, .n = 1};
    if (from->per_second == 0)
        return;
    g->limit = (struct limit){.table = g->guard->table,
                              .slip = from->slip,
                              .exempt = from->exempt,
                              .n_exempt = from->n_exempt};
    limit_set_rate(&g->limit, from->per_second);
}

void generation_free_guard(struct generation *g)
{
    if (g->guard == NULL ||
        atomic_fetch_sub_explicit(&g->guard->refs, 1, memory_order_acq_rel) != 1)
        return;
    ratelimit_free(g->guard->table);
    free(g->guard);
}

void generation_guard_world(const struct generation *g, struct world *w)
{
    static const enum world_cookie_rule rules[] = {
        [CONFIG_COOKIE_NEVER] = WORLD_COOKIE_NEVER,
        [CONFIG_COOKIE_UNDER_LIMIT] = WORLD_COOKIE_UNDER_LIMIT,
        [CONFIG_COOKIE_ALWAYS] = WORLD_COOKIE_ALWAYS,
    };

    w->cookies = g->config->cookies.is_off ? NULL : &g->secrets;
    w->cookie_rule = rules[g->config->cookies.require];
    w->limit = g->limit.table != NULL ? &g->limit : NULL;
    w->proxies = g->config->proxies;
    w->n_proxies = g->config->n_proxies;
    w->chaos_version = g->config->identity.version;
    w->chaos_id = g->config->identity.id;
}
