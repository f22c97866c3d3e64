/* SPDX-License-Identifier: BSD-2-Clause */
/* The door: letters between the control thread and ours, the list of zones, the queue of those that
 * wait for a place among the transfers. */
#include "gslb-dns/secondary/secondary_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- letters to the control thread ---- */

struct version_letter {
    struct version_letter *next;
    char *zone;
    struct replica *version;
};

static void free_version(struct version_letter *l)
{
    replica_release(l->version);
    free(l->zone);
    free(l);
}

/* The oldest that has not been taken; they come in order. */
static struct version_letter *take_version(struct secondary *s)
{
    struct version_letter *l;

    pthread_mutex_lock(&s->lock);
    l = s->first_version;
    if (l != NULL)
        s->first_version = l->next;
    if (s->first_version == NULL)
        s->last_version = &s->first_version;
    pthread_mutex_unlock(&s->lock);
    return l;
}

static void on_version_letter(void *arg)
{
    struct secondary *s = arg;
    struct version_letter *l = take_version(s);

    s->hooks.on_version(s->hooks.arg, l->zone, l->version);
    free_version(l);
}

void secondary_give(struct copy *c, struct replica *version)
{
    struct secondary *s = c->owner;
    struct version_letter *l = base_zalloc(1, sizeof(*l));

    l->zone = base_strdup(c->name);
    l->version = version != NULL ? replica_hold(version) : NULL;
    pthread_mutex_lock(&s->lock);
    *s->last_version = l;
    s->last_version = &l->next;
    pthread_mutex_unlock(&s->lock);
    loop_post(s->control, on_version_letter, s);
}

/* ---- the queue ---- */

void secondary_queue(struct copy *c)
{
    struct secondary *s = c->owner;

    if (c->is_queued)
        return;
    c->is_queued = true;
    c->next_queued = NULL;
    *s->last_queued = c;
    s->last_queued = &c->next_queued;
}

static void take_from_queue(struct copy *c)
{
    struct secondary *s = c->owner;
    struct copy **at = &s->first_queued;

    if (!c->is_queued)
        return;
    while (*at != c)
        at = &(*at)->next_queued;
    *at = c->next_queued;
    if (*at == NULL)
        s->last_queued = at;
    c->is_queued = false;
}

/* Later: it is called from within another zone's steps. */
static void on_place(void *arg)
{
    struct secondary *s = arg;
    struct copy *c;

    while ((c = s->first_queued) != NULL && s->n_running < s->settings.at_once) {
        take_from_queue(c);
        copy_run(c);
    }
}

void secondary_unqueue(struct secondary *s)
{
    if (s->first_queued != NULL)
        loop_post(s->loop, on_place, s);
}

/* ---- the list of zones ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct copy *const *)a)->name, (*(struct copy *const *)b)->name);
}

struct copy *secondary_find(const struct secondary *s, const char *name)
{
    struct copy key = {.name = (char *)name}, *wanted = &key, **found;

    found = s->n > 0 ? bsearch(&wanted, s->copies, s->n, sizeof(struct copy *), by_name) : NULL;
    return found != NULL ? *found : NULL;
}

struct update {
    struct secondary *s;
    struct secondary_settings settings;
    struct copy **copies; /* not begun */
    size_t n;
};

static void remove_copy(struct copy *c)
{
    struct secondary *s = c->owner;

    take_from_queue(c);
    if (c->is_running) {
        s->n_running--;
        secondary_unqueue(s);
    }
    copy_free(c);
}

/* What is under way goes on with what it began with. */
static void renew(struct copy *old, struct copy *fresh)
{
    struct secondary_primary *primaries = old->primaries;
    size_t n = old->n_primaries;

    old->primaries = fresh->primaries;
    old->n_primaries = fresh->n_primaries;
    old->turn %= old->n_primaries;
    fresh->primaries = primaries;
    fresh->n_primaries = n;
    copy_free(fresh);
}

/* Settles which of the fresh ones stand for zones that were there; those go on. */
static void merge(struct secondary *s, struct update *u, bool *is_new)
{
    for (size_t i = 0; i < u->n; i++) {
        struct copy *fresh = u->copies[i], *old = secondary_find(s, fresh->name);

        is_new[i] = old == NULL || strcmp(old->path, fresh->path) != 0;
        if (is_new[i])
            continue;
        old->served = fresh->served;
        u->copies[i] = old;
        old->is_listed = true;
        renew(old, fresh);
    }
    for (size_t i = 0; i < s->n; i++)
        if (!s->copies[i]->is_listed)
            remove_copy(s->copies[i]);
    for (size_t i = 0; i < u->n; i++)
        u->copies[i]->is_listed = false;
}

static void on_update(void *arg)
{
    struct update *u = arg;
    struct secondary *s = u->s;
    bool *is_new = base_zalloc(u->n + 1, sizeof(is_new[0]));

    SSL_CTX_free(s->settings.tls);
    s->settings = u->settings;
    merge(s, u, is_new);
    free(s->copies);
    s->copies = u->copies;
    s->n = u->n;
    views_make(s);
    for (size_t i = 0; i < s->n; i++) {
        if (is_new[i])
            copy_start(s->copies[i]);
        else
            copy_compare(s->copies[i], s->copies[i]->served);
    }
    free(is_new);
    free(u);
}

static struct copy *new_copy(struct secondary *s, const struct secondary_zone *from)
{
    struct copy *c = base_zalloc(1, sizeof(*c));

    c->owner = s;
    c->name = base_strdup(from->name);
    c->path = base_strdup(from->path);
    ensure(wire_name_parse(str_of(from->name), &c->apex));
    c->primaries = base_zalloc(from->n_primaries, sizeof(c->primaries[0]));
    c->n_primaries = from->n_primaries;
    for (size_t i = 0; i < from->n_primaries; i++)
        c->primaries[i] = primary_copy(&from->primaries[i]);
    c->state = from->state;
    c->soa = from->soa;
    c->confirmed_s = from->confirmed_s;
    c->expires_s = from->expires_s;
    c->damage = from->damage != NULL ? base_strdup(from->damage) : NULL;
    c->served = from->served;
    return c;
}

void secondary_update(struct secondary *s, const struct secondary_settings *settings,
                      const struct secondary_zone *zones, size_t n)
{
    struct update *u = base_zalloc(1, sizeof(*u));

    u->s = s;
    u->settings = *settings;
    if (settings->tls != NULL)
        ensure(SSL_CTX_up_ref(settings->tls) == 1);
    u->copies = base_zalloc(n + 1, sizeof(u->copies[0]));
    u->n = n;
    for (size_t i = 0; i < n; i++)
        u->copies[i] = new_copy(s, &zones[i]);
    qsort(u->copies, n, sizeof(u->copies[0]), by_name);
    loop_post(s->loop, on_update, u);
}

/* ---- letters from the control thread ---- */

struct zone_letter {
    struct secondary *s;
    char *zone, *error;
    bool is_full;
};

static struct zone_letter *new_letter(struct secondary *s, const char *zone)
{
    struct zone_letter *l = base_zalloc(1, sizeof(*l));

    l->s = s;
    l->zone = base_strdup(zone);
    return l;
}

static void free_letter(struct zone_letter *l)
{
    free(l->zone);
    free(l->error);
    free(l);
}

static void on_loaded(void *arg)
{
    struct zone_letter *l = arg;
    struct copy *c = secondary_find(l->s, l->zone);

    if (c != NULL && c->step == ZONE_LOAD_STEP) {
        free(c->load_error);
        c->load_error = l->error;
        l->error = NULL;
        c->is_loaded = true;
        copy_run(c);
    }
    free_letter(l);
}

void secondary_loaded(struct secondary *s, const char *zone, const char *error)
{
    struct zone_letter *l = new_letter(s, zone);

    l->error = error != NULL ? base_strdup(error) : NULL;
    loop_post(s->loop, on_loaded, l);
}

static void on_refresh(void *arg)
{
    struct zone_letter *l = arg;
    struct copy *c = secondary_find(l->s, l->zone);

    if (c != NULL) {
        c->is_refresh_wanted = true;
        c->is_full_wanted |= l->is_full;
        copy_run(c);
    }
    free_letter(l);
}

void secondary_refresh(struct secondary *s, const char *zone, bool is_full)
{
    struct zone_letter *l = new_letter(s, zone);

    l->is_full = is_full;
    loop_post(s->loop, on_refresh, l);
}

/* ---- start and stop ---- */

struct secondary *secondary_new(struct loop *control, const struct secondary_hooks *hooks)
{
    struct secondary *s = base_zalloc(1, sizeof(*s));

    s->control = control;
    s->hooks = *hooks;
    s->last_queued = &s->first_queued;
    s->last_version = &s->first_version;
    pthread_mutex_init(&s->lock, NULL);
    s->loop = loop_new("secondary");
    loop_start(s->loop);
    return s;
}

void secondary_free(struct secondary *s)
{
    struct version_letter *l;

    if (s == NULL)
        return;
    loop_stop(s->loop);
    loop_join(s->loop);
    for (size_t i = 0; i < s->n; i++)
        copy_free(s->copies[i]);
    while ((l = take_version(s)) != NULL) /* which the control thread will not read any more */
        free_version(l);
    loop_free(s->loop);
    SSL_CTX_free(s->settings.tls);
    pthread_mutex_destroy(&s->lock);
    free(s->copies);
    free(s->views);
    free(s);
}
