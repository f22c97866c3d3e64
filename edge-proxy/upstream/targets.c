/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where origins are. One with an address is there for good. One with a name has the addresses that
 * the name has now: all of them as one origin, or one for each of its places, which are there while
 * they have an address. The control thread changes them, workers read them without a lock.
 */
#include "edge-proxy/upstream/upstream_internal.h"

#include "common/clock/clock.h"
#include "common/log/log.h"
#include "common/snapshot/snapshot.h"

#include <stdlib.h>
#include <string.h>

/* Immutable. */
struct upstream_targets {
    size_t n;
    struct dial_target targets[];
};

/* ---- Reading ---- */

size_t origin_targets(struct upstream_origin *o, struct dial_target out[DIAL_TARGETS_MAX])
{
    const struct upstream_targets *now;
    size_t n, first;

    if (o->config->host == NULL) {
        out[0] = o->target;
        return 1;
    }
    snapshot_enter();
    now = snapshot_read(&o->targets);
    n = now != NULL ? now->n : 0;
    /* Each time another one goes first. */
    first = n > 1 ? atomic_fetch_add_explicit(&o->turn, 1, memory_order_relaxed) % n : 0;
    for (size_t i = 0; i < n; i++)
        out[i] = now->targets[(first + i) % n];
    snapshot_leave();
    return n;
}

/* The control thread is who changes them. */
static const struct upstream_targets *look(const struct upstream_origin *o)
{
    return snapshot_read(&o->targets);
}

size_t upstream_origin_addresses(const struct upstream_pools *all, size_t i,
                                 struct addr out[UPSTREAM_ADDRESSES_MAX])
{
    const struct upstream_pool *p = all->pools;
    const struct upstream_targets *now;

    for (; i >= p->n_origins; p++)
        i -= p->n_origins;
    now = look(&p->origins[i]);
    for (size_t k = 0; now != NULL && k < now->n; k++)
        out[k] = now->targets[k].addr;
    return now != NULL ? now->n : 0;
}

/* ---- Changing ---- */

static void publish(struct upstream_origin *o, const struct ip *ips, size_t n)
{
    struct upstream_targets *fresh = base_alloc(sizeof(*fresh) + n * sizeof(fresh->targets[0]));

    fresh->n = n;
    for (size_t i = 0; i < n; i++) {
        struct addr a = addr_of_ip(&ips[i], o->config->port);

        fresh->targets[i] = dial_target_of(&a);
    }
    free(snapshot_publish(&o->targets, fresh));
    balance_set_there(o->pool->balance, o->index, n > 0);
}

static bool is_at(const struct upstream_origin *o, const struct ip *ip)
{
    const struct upstream_targets *now = look(o);
    struct ip own;

    if (now == NULL || now->n == 0)
        return false;
    own = addr_ip(&now->targets[0].addr);
    return ip_eq(&own, ip);
}

static bool has_ip(const struct resolve_answer *a, const struct upstream_origin *o)
{
    for (size_t i = 0; i < a->n; i++)
        if (is_at(o, &a->ips[i]))
            return true;
    return false;
}

/* Whoever comes to a place is a stranger: nothing that is known of the one before is true of it. */
static void settle(struct upstream_origin *o, const struct ip *ip)
{
    o->is_checked = false;
    o->changed_ms = clock_mono_ms();
    o->reason[0] = '\0';
    balance_forget(o->pool->balance, o->index, clock_coarse_ms());
    publish(o, ip, 1);
}

/* places[0] to places[n - 1]: one address each. Those that stay keep their place. */
static void assign(struct upstream_origin *places, size_t n, const struct resolve_answer *a)
{
    size_t n_left = 0;

    for (size_t k = 0; k < n; k++)
        if (look(&places[k]) == NULL || !has_ip(a, &places[k]))
            publish(&places[k], NULL, 0);
    for (size_t i = 0; i < a->n; i++) {
        size_t k = 0;
        bool is_placed = false;

        for (k = 0; k < n && !is_placed; k++)
            is_placed = is_at(&places[k], &a->ips[i]);
        for (k = 0; k < n && !is_placed; k++)
            if (look(&places[k])->n == 0) {
                settle(&places[k], &a->ips[i]);
                is_placed = true;
            }
        n_left += !is_placed;
    }
    if (n_left > 0)
        log_warn("upstream",
                 "a name has more addresses than places pool=%s origin=%s left_out=%zu: "
                 "raise max-addresses",
                 places->pool->config->name, places->config->name, n_left);
}

/* arg: the first of the name's places. */
static void on_resolved(void *arg, const struct resolve_answer *a)
{
    struct upstream_origin *first = arg;

    if (first->config->resolve == CONFIG_RESOLVE_ALL)
        assign(first, first->config->max_addresses, a);
    else
        publish(first, a->ips, a->n);
    for (size_t k = 0; k < origin_places(first->config); k++)
        snprintf(first[k].name_reason, sizeof(first->name_reason), "%s", a->why);
    pool_tell_waiting(first->pool);
    if (first->pool->all->on_change != NULL)
        first->pool->all->on_change(first->pool->all->on_change_arg);
}

/* ---- With a generation ---- */

size_t origin_places(const struct config_origin *c)
{
    return c->host != NULL && c->resolve == CONFIG_RESOLVE_ALL ? c->max_addresses : 1;
}

/* What the same place had before a reload. */
void origin_inherit_targets(struct upstream_origin *o, const struct upstream_origin *old)
{
    const struct upstream_targets *now = look(old);
    struct ip ips[DIAL_TARGETS_MAX];

    for (size_t i = 0; now != NULL && i < now->n; i++)
        ips[i] = addr_ip(&now->targets[i].addr);
    publish(o, ips, now != NULL ? now->n : 0);
}

void origin_free_targets(struct upstream_origin *o)
{
    free(o->targets.current);
}

static bool has_names(const struct upstream_pools *all)
{
    for (size_t i = 0; i < all->n; i++)
        for (size_t k = 0; k < all->pools[i].n_origins; k++)
            if (all->pools[i].origins[k].config->host != NULL)
                return true;
    return false;
}

static void watch_pool(struct upstream_pools *all, struct upstream_pool *p)
{
    for (size_t k = 0; k < p->n_origins; k += origin_places(p->origins[k].config))
        if (p->origins[k].config->host != NULL)
            resolver_watch(all->resolver, p->origins[k].config->host, on_resolved, &p->origins[k]);
}

static void warn_of_lost(const struct upstream_pool *p, struct errors *errors)
{
    for (size_t k = 0; k < p->n_origins; k += origin_places(p->origins[k].config)) {
        const struct upstream_origin *o = &p->origins[k];
        const struct upstream_targets *now = look(o);

        if (o->config->host != NULL && (now == NULL || now->n == 0))
            errors_warn(errors, o->config->place,
                        "origin %s has no address yet (%s): it is down until it has one",
                        o->config->name,
                        o->name_reason[0] != '\0' ? o->name_reason : "no answer in time");
    }
}

void upstream_pools_resolve(struct upstream_pools *all, const struct upstream_pools *previous,
                            struct worker *w, struct errors *errors)
{
    if (!has_names(all))
        return;
    all->resolver = resolver_new(all->resolver_config, w->base, &w->wheel,
                                 previous != NULL ? previous->resolver : NULL);
    ensure(all->resolver != NULL);
    for (size_t i = 0; i < all->n; i++)
        watch_pool(all, &all->pools[i]);
    resolver_wait(all->resolver, all->resolver_config->start_timeout_ms);
    for (size_t i = 0; i < all->n; i++)
        warn_of_lost(&all->pools[i], errors);
}

void upstream_pools_retire(struct upstream_pools *all)
{
    atomic_store(&all->is_retired, true);
    if (all->resolver != NULL)
        resolver_stop(all->resolver);
}
