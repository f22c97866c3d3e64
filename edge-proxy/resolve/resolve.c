/* SPDX-License-Identifier: BSD-2-Clause */
/* Names, when they are asked for, and what their answers mean. */
#include "edge-proxy/resolve/resolve_internal.h"

#include "common/clock/clock.h"
#include "common/log/log.h"

#include <stdlib.h>
#include <string.h>

enum { RETRY_MAX_MS = 30000 };

/* ---- What an answer means ---- */

static int by_bytes(const void *a, const void *b)
{
    const struct ip *x = a, *y = b;

    return memcmp(x->bytes, y->bytes, sizeof(x->bytes));
}

static void add_family(struct resolve_answer *a, struct resolve_family *f)
{
    qsort(f->ips, f->n, sizeof(f->ips[0]), by_bytes);
    for (size_t i = 0; i < f->n && a->n < RESOLVE_ADDRESSES_MAX; i++)
        if (i == 0 || !ip_eq(&f->ips[i], &f->ips[i - 1]))
            a->ips[a->n++] = f->ips[i];
}

static bool is_of_family(const struct ip *ip, size_t family)
{
    return ip->family == (family == RESOLVE_IPV6 ? 6 : 4);
}

/* A family that could not be asked for keeps what it had. */
static bool keep_old(struct resolve_answer *fresh, const struct resolve_answer *old, size_t family)
{
    bool has_any = false;

    for (size_t i = 0; i < old->n && fresh->n < RESOLVE_ADDRESSES_MAX; i++)
        if (is_of_family(&old->ips[i], family)) {
            fresh->ips[fresh->n++] = old->ips[i];
            has_any = true;
        }
    return has_any;
}

/* All addresses were denied: believed once that has lasted. */
static bool is_denial_new(struct resolve_name *name, int64_t now_ms)
{
    if (name->denied_ms == 0)
        name->denied_ms = now_ms;
    return now_ms - name->denied_ms < (int64_t)name->r->config->negative_hold_ms;
}

static void judge(struct resolve_name *name, struct resolve_answer *fresh)
{
    const struct resolve_answer *old = &name->answer;
    bool is_denied = true;

    for (size_t k = 0; k < RESOLVE_FAMILIES; k++) {
        struct resolve_family *f = &name->families[k];

        is_denied &= f->verdict == RESOLVE_DENIED;
        if (f->verdict == RESOLVE_FOUND)
            add_family(fresh, f);
        else if (f->verdict == RESOLVE_FAILED)
            fresh->is_stale |= keep_old(fresh, old, k);
        if (f->verdict != RESOLVE_FOUND && (fresh->why[0] == '\0' || f->verdict == RESOLVE_FAILED))
            snprintf(fresh->why, sizeof(fresh->why), "%s", f->why);
    }
    if (!is_denied) {
        name->denied_ms = 0;
    } else if (old->n > 0 && is_denial_new(name, clock_mono_ms())) {
        memcpy(fresh->ips, old->ips, sizeof(fresh->ips));
        fresh->n = old->n;
        fresh->is_stale = true;
    }
    if (fresh->n > 0 && !fresh->is_stale)
        fresh->why[0] = '\0';
    fresh->has_verdict = true;
}

/* ---- Telling ---- */

static bool are_same(const struct resolve_answer *a, const struct resolve_answer *b)
{
    if (a->n != b->n || a->is_stale != b->is_stale || strcmp(a->why, b->why) != 0)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!ip_eq(&a->ips[i], &b->ips[i]))
            return false;
    return a->has_verdict == b->has_verdict;
}

static void add_ips(struct text *t, const struct resolve_answer *a)
{
    char ip[ADDR_TEXT];

    for (size_t i = 0; i < a->n; i++)
        text_addf(t, "%s%s", i > 0 ? "," : "", ip_format(&a->ips[i], ip));
}

static void log_change(const struct resolve_name *name, const struct resolve_answer *a)
{
    struct text ips = {0};

    add_ips(&ips, a);
    if (a->n == 0)
        log_warn("resolve", "name has no address name=%s reason=\"%s\"", name->host, a->why);
    else if (a->is_stale)
        log_warn("resolve", "keeping old addresses name=%s addresses=%s reason=\"%s\"", name->host,
                 ips.p, a->why);
    else
        log_info("resolve", "resolved name=%s addresses=%s", name->host, ips.p);
    text_free(&ips);
}

static void tell(struct resolve_name *name)
{
    for (size_t i = 0; i < name->n_watchers; i++)
        name->watchers[i].on_change(name->watchers[i].arg, &name->answer);
}

/* ---- Asking ---- */

static void ask(struct wheel_timer *t);

/* A tenth before it runs out, within the operator's bounds; what failed, soon, and ever later. */
static uint32_t next_ms(struct resolve_name *name)
{
    const struct config_resolver *c = name->r->config;
    uint64_t ms = 0;
    bool has_failed = false;

    for (size_t k = 0; k < RESOLVE_FAMILIES; k++) {
        const struct resolve_family *f = &name->families[k];

        has_failed |= f->verdict == RESOLVE_FAILED;
        if (f->verdict == RESOLVE_FOUND && (ms == 0 || f->ttl_s * UINT64_C(900) < ms))
            ms = f->ttl_s * UINT64_C(900);
    }
    name->n_failures = has_failed ? name->n_failures + 1 : 0;
    if (has_failed) {
        unsigned doublings = name->n_failures < 10 ? name->n_failures - 1 : 10;

        ms = (uint64_t)c->min_ttl_ms << doublings;
        if (ms > RETRY_MAX_MS)
            ms = RETRY_MAX_MS;
    }
    if (ms > c->max_ttl_ms)
        ms = c->max_ttl_ms;
    return ms > c->min_ttl_ms ? (uint32_t)ms : c->min_ttl_ms;
}

void resolve_conclude(struct resolve_name *name)
{
    struct resolve_answer fresh = {0};

    judge(name, &fresh);
    wheel_set(name->r->wheel, &name->due, next_ms(name), ask);
    if (are_same(&fresh, &name->answer))
        return;
    log_change(name, &fresh);
    name->answer = fresh;
    tell(name);
}

static void ask(struct wheel_timer *t)
{
    struct resolve_name *name = CONTAINER_OF(t, struct resolve_name, due);

    resolve_query(name);
}

/* ---- The door ---- */

static const struct resolve_name *find_name(const struct resolver *r, const char *host)
{
    const struct resolve_name *name = r != NULL ? r->names : NULL;

    while (name != NULL && strcmp(name->host, host) != 0)
        name = name->next;
    return name;
}

static struct resolve_name *add_name(struct resolver *r, const char *host)
{
    struct resolve_name *name = base_zalloc(1, sizeof(*name));
    const struct resolve_name *old = find_name(r->previous, host);

    name->r = r;
    name->host = host;
    name->next = r->names;
    r->names = name;
    if (old != NULL) {
        name->answer = old->answer;
        name->denied_ms = old->denied_ms;
    }
    resolve_query(name);
    return name;
}

void resolver_watch(struct resolver *r, const char *host,
                    void (*on_change)(void *arg, const struct resolve_answer *a), void *arg)
{
    struct resolve_name *name = (struct resolve_name *)find_name(r, host);

    if (name == NULL)
        name = add_name(r, host);
    BASE_GROW(name->watchers, name->n_watchers, name->cap_watchers);
    name->watchers[name->n_watchers++] = (struct resolve_watcher){on_change, arg};
    if (name->answer.has_verdict)
        on_change(arg, &name->answer);
}

bool resolve_is_waiting(const struct resolver *r)
{
    for (const struct resolve_name *name = r->names; name != NULL; name = name->next)
        if (!name->answer.has_verdict)
            return true;
    return false;
}

void resolver_free(struct resolver *r)
{
    if (r == NULL)
        return;
    resolver_stop(r);
    for (struct resolve_name *name = r->names, *next; name != NULL; name = next) {
        next = name->next;
        free(name->watchers);
        free(name);
    }
    free(r);
}
