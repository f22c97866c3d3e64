/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools: who may be asked, and in which order. */
#include "edge-proxy/upstream/upstream_internal.h"

#include "common/clock/clock.h"
#include "common/log/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Building ---- */

static uint64_t hash_text(const char *s)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (; *s != '\0'; s++)
        h = (h ^ (uint8_t)*s) * 0x100000001b3u;
    return h ^ h >> 29;
}

static char *make_name(const struct config_origin *c, size_t place)
{
    return c->host != NULL && c->resolve == CONFIG_RESOLVE_ALL
               ? base_printf("%s#%zu", c->name, place + 1)
               : base_strdup(c->name);
}

static const struct upstream_pool *find_pool(const struct upstream_pools *all, const char *name)
{
    for (size_t i = 0; all != NULL && i < all->n; i++)
        if (strcmp(all->pools[i].config->name, name) == 0)
            return &all->pools[i];
    return NULL;
}

static const struct upstream_origin *find_same(const struct upstream_pool *p, const char *key)
{
    for (size_t k = 0; p != NULL && k < p->n_origins; k++)
        if (strcmp(p->origins[k].key, key) == 0)
            return &p->origins[k];
    return NULL;
}

static void inherit_state(struct upstream_origin *o, const struct upstream_origin *old,
                          bool is_active)
{
    o->changed_ms = old->changed_ms;
    atomic_store(&o->why, atomic_load(&old->why));
    memcpy(o->reason, old->reason, sizeof(o->reason));
    balance_inherit(o->pool->balance, o->index, old->pool->balance, old->index);
    if (!is_active) { /* nobody would ever bring it up again */
        balance_set_down(o->pool->balance, o->index, false, o->changed_ms);
        return;
    }
    o->is_checked = old->is_checked;
    o->run = old->run;
    o->is_run_good = old->is_run_good;
}

/* before: the same pool until now, or NULL. */
static void make_origin(struct upstream_pool *p, size_t i, const struct config_origin *c,
                        size_t place, const struct upstream_pool *before)
{
    struct upstream_origin *o = &p->origins[i];
    const struct upstream_origin *old;

    o->config = c;
    o->pool = p;
    o->index = i;
    o->name = make_name(c, place);
    if (c->host == NULL)
        o->target = dial_target_of(&c->address);
    o->key = base_printf("%s %s", o->name, dial_identity_text(p->identity));
    o->changed_ms = clock_mono_ms();
    balance_set(p->balance, i, hash_text(o->name), c->weight, c->priority);
    balance_set_there(p->balance, i, c->host == NULL);
    old = find_same(before, o->key);
    o->slots = old != NULL ? slots_hold(old->slots) : slots_new(c->max_requests);
    if (old != NULL)
        inherit_state(o, old, p->config->check.interval_ms != 0);
    else if (before != NULL)
        balance_ramp(p->balance, i, o->changed_ms);
    if (old != NULL && c->host != NULL)
        origin_inherit_targets(o, old);
}

static size_t count_places(const struct config_pool *config)
{
    size_t n = 0;

    for (size_t k = 0; k < config->n_origins; k++)
        n += origin_places(&config->origins[k]);
    return n;
}

static void make_pool(const struct upstream_pools *all, struct upstream_pool *p,
                      const struct config_pool *config, const struct upstream_pool *before,
                      struct errors *errors)
{
    p->config = config;
    p->all = all;
    p->identity = dial_identity_get(&config->tls, errors);
    if (p->identity == NULL)
        return;
    p->n_origins = count_places(config);
    p->origins = base_zalloc(p->n_origins + 1, sizeof(*p->origins));
    p->balance = balance_new(&config->balance, p->n_origins);
    p->slots = before != NULL ? slots_hold(before->slots) : slots_new(config->max_requests);
    for (size_t k = 0, i = 0; k < config->n_origins; k++)
        for (size_t place = 0; place < origin_places(&config->origins[k]); place++)
            make_origin(p, i++, &config->origins[k], place, before);
}

struct upstream_pools *upstream_pools_new(const struct config *config,
                                          const struct upstream_pools *previous,
                                          struct errors *errors)
{
    struct upstream_pools *all = base_zalloc(1, sizeof(*all));
    size_t before = errors->n_errors;

    all->n = config->n_pools;
    all->resolver_config = &config->resolver;
    all->body_idle_ms = config->limits.body_idle_ms;
    all->tunnel_idle_ms = config->limits.tunnel_idle_ms;
    all->pools = base_zalloc(all->n + 1, sizeof(*all->pools));
    for (size_t i = 0; i < all->n; i++)
        make_pool(all, &all->pools[i], &config->pools[i],
                  find_pool(previous, config->pools[i].name), errors);
    if (errors->n_errors == before)
        return all;
    upstream_pools_free(all);
    return NULL;
}

void upstream_pools_free(struct upstream_pools *all)
{
    resolver_free(all->resolver);
    for (size_t i = 0; i < all->n; i++) {
        struct upstream_pool *p = &all->pools[i];

        for (size_t k = 0; k < p->n_origins; k++) {
            origin_free_targets(&p->origins[k]);
            free(p->origins[k].name);
            free(p->origins[k].key);
            slots_drop(p->origins[k].slots);
        }
        free(p->origins);
        balance_free(p->balance);
        slots_drop(p->slots);
        dial_identity_put(p->identity);
    }
    free(all->pools);
    free(all);
}

void upstream_pools_take_over(struct upstream_pools *all)
{
    for (size_t i = 0; i < all->n; i++) {
        struct upstream_pool *p = &all->pools[i];

        slots_set_limit(p->slots, p->config->max_requests);
        for (size_t k = 0; k < p->n_origins; k++)
            slots_set_limit(p->origins[k].slots, p->origins[k].config->max_requests);
        pool_tell_waiting(p);
    }
}

/* ---- Choosing ---- */

int pool_pick(struct upstream_worker *u, const struct upstream_request *r, uint64_t full)
{
    return balance_pick(r->pools->pools[r->pool].balance, &u->turns[r->pool],
                        &(struct balance_query){
                            .tried = r->tried,
                            .full = full,
                            .key = r->key,
                            .has_key = r->has_key,
                            .seed = u->w->index,
                            .now_ms = clock_coarse_ms(),
                        });
}

int pool_look(const struct upstream_request *r, uint64_t full)
{
    return balance_look(
        r->pools->pools[r->pool].balance,
        &(struct balance_query){.tried = r->tried, .full = full, .now_ms = clock_coarse_ms()});
}

void pool_tell_waiting(const struct upstream_pool *p)
{
    if (slots_waiting(p->slots) > 0)
        slots_wake(p->slots);
}

static const char *const EJECTION_TEXTS[] = {
#define REASON_ROW_(name, label, text) [BALANCE_##name] = text,
    BALANCE_REASONS(REASON_ROW_)
#undef REASON_ROW_
};

void origin_tell_ejection(const struct upstream_origin *o, struct worker *w,
                          enum balance_reason reason)
{
    char text[TEXT_SHORT];
    int64_t left_ms = balance_ejected_until(o->pool->balance, o->index) - clock_coarse_ms();

    worker_count(w, COUNT_EJECTED_FAILURES + (reason - BALANCE_FAILURES));
    log_warn("upstream", "origin is ejected pool=%s origin=%s reason=\"%s\" for=%s",
             o->pool->config->name, o->name, EJECTION_TEXTS[reason],
             text_format_duration_ms(left_ms > 0 ? (uint64_t)left_ms : 0, text));
}

void origin_note(struct upstream_origin *o, struct worker *w, enum balance_result result,
                 int64_t began_ms)
{
    enum balance_reason reason;

    if (result == BALANCE_NO_RESULT)
        return;
    reason = balance_note_result(o->pool->balance, o->index, &o->pool->config->ejection, result,
                                 began_ms, clock_coarse_ms());
    if (reason != BALANCE_NO_REASON)
        origin_tell_ejection(o, w, reason);
}

bool upstream_has_other(const struct upstream_pools *all, uint16_t pool, uint64_t tried)
{
    return balance_has_other(all->pools[pool].balance, tried, clock_coarse_ms());
}

bool upstream_begin_retry(const struct upstream_pools *all, uint16_t pool)
{
    const struct upstream_pool *p = &all->pools[pool];

    return balance_begin_retry(p->balance, &p->config->retry, clock_coarse_ms());
}

void upstream_end_retry(const struct upstream_pools *all, uint16_t pool)
{
    balance_end_retry(all->pools[pool].balance);
}

/* ---- Connecting ---- */

struct dial_order origin_order(struct upstream_origin *o, const struct dial_target *targets,
                               size_t n, struct str host, struct str preface, uint32_t timeout_ms)
{
    return (struct dial_order){
        .targets = targets,
        .n_targets = n,
        .identity = o->pool->identity,
        .memory = &o->memory,
        .host = host,
        .preface = preface,
        .timeout_ms = timeout_ms,
        .stagger_ms = o->pool->config->attempt_delay_ms,
    };
}

/* ---- Status ---- */

size_t upstream_count_origins(const struct upstream_pools *all)
{
    size_t n = 0;

    for (size_t i = 0; i < all->n; i++)
        n += all->pools[i].n_origins;
    return n;
}

static void tell_ejection(const struct upstream_origin *o, enum balance_reason why,
                          char out[UPSTREAM_WHY_TEXT])
{
    dial_why cause = atomic_load_explicit(&o->why, memory_order_relaxed);
    char text[DIAL_WHY_TEXT];

    if (why == BALANCE_FAILURES && cause != 0)
        snprintf(out, UPSTREAM_WHY_TEXT, "%s: %.80s", EJECTION_TEXTS[why],
                 dial_why_text(cause, text));
    else
        snprintf(out, UPSTREAM_WHY_TEXT, "%s", EJECTION_TEXTS[why]);
}

/* One of the name's places has an address. */
static bool has_place(const struct upstream_origin *first)
{
    for (size_t k = 0; k < origin_places(first->config); k++)
        if (balance_is_there(first->pool->balance, first[k].index))
            return true;
    return false;
}

void upstream_origin_state(const struct upstream_pools *all, size_t i,
                           struct upstream_origin_state *out)
{
    const struct upstream_pool *p = all->pools;
    const struct upstream_origin *o;
    int64_t now_ms = clock_coarse_ms();
    enum balance_reason why;

    for (; i >= p->n_origins; p++)
        i -= p->n_origins;
    o = &p->origins[i];
    why = balance_ejected_why(p->balance, i, now_ms);
    *out = (struct upstream_origin_state){
        .pool = p->config->name,
        .name = o->name,
        .is_up = balance_is_usable(p->balance, i, now_ms),
        .reason = o->reason,
        .since_ms = (uint64_t)(clock_mono_ms() - o->changed_ms),
        .connections = balance_in_flight(p->balance, i),
        .share_permille = balance_ramp_permille(p->balance, i, now_ms),
        .is_panic = balance_is_panicking(p->balance, now_ms),
        .waiting = slots_waiting(p->slots),
        .is_there = balance_is_there(p->balance, i),
    };
    if (o->name_reason[0] != '\0' && out->is_there)
        out->stale_reason = o->name_reason;
    if (!out->is_there) {
        out->reason = o->name_reason;
        /* The first place of a name without any stands for it. */
        out->is_there = (o == p->origins || o[-1].config != o->config) && !has_place(o);
    } else if (why != BALANCE_NO_REASON && !balance_is_down(p->balance, i)) {
        tell_ejection(o, why, out->why);
        out->reason = out->why;
        out->since_ms = (uint64_t)(now_ms - balance_ejected_since(p->balance, i));
    }
}

/* Where there are checks, they decide; ejections are a guess. */
static bool is_origin_up(const struct upstream_pool *p, const struct upstream_origin *o)
{
    if (p->config->check.interval_ms != 0)
        return balance_is_there(p->balance, o->index) && !balance_is_down(p->balance, o->index);
    return balance_is_usable(p->balance, o->index, clock_coarse_ms());
}

bool upstream_is_pool_up(const struct upstream_pools *all, uint16_t pool)
{
    const struct upstream_pool *p = &all->pools[pool];

    for (size_t i = 0; i < p->n_origins; i++)
        if (is_origin_up(p, &p->origins[i]))
            return true;
    return false;
}
