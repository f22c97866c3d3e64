/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Worlds are made on a thread of their own, because much may have to be signed for one: the loop
 * only takes copies of what it changes itself (health, challenges), and publishes what comes back.
 * One is made at a time; whatever changes meanwhile is in the next one, all of it.
 */
#include "common/clock/clock.h"
#include "common/loop/loop.h"
#include "gslb-dns/main/node_internal.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

/* A world on its way. */
struct making {
    struct worlds *worlds;
    pthread_t thread;
    const struct generation *generation;
    struct generation *garbage; /* to be freed first; NULL: none */
    struct health *health;
    struct acme_store *challenges;
    const struct acme_view *previous;
    uint64_t number, changes;
    struct world *world;
    struct acme_view *view;
};

struct worlds {
    struct loop *loop;
    struct control *control;
    struct snapshot_slot *slot;
    struct secondary *secondary;
    struct event *begin;
    const struct generation *generation; /* of the world that is published; NULL: none is */
    struct world *world;
    struct acme_view *view;
    struct generation *garbage;
    uint64_t n_made;
    bool is_wanted;
    struct making *making, *prepared;
    const struct generation *fresh; /* a world of it is due, or under way */
    void (*on_prepared)(void *arg);
    void *arg;
};

/* ---- One world ---- */

static struct making *new_making(struct worlds *w, const struct generation *g)
{
    struct making *m = base_zalloc(1, sizeof(*m));

    m->worlds = w;
    m->generation = g;
    m->health = control_foresee_health(w->control, generation_config(g));
    m->challenges = acme_store_copy(control_acme(w->control));
    m->changes = control_changes(w->control);
    m->previous = w->view;
    m->number = ++w->n_made;
    m->garbage = w->garbage;
    w->garbage = NULL;
    return m;
}

static void free_making(struct making *m)
{
    if (m == NULL)
        return;
    generation_free_world(m->world);
    acme_view_free(m->view);
    health_free(m->health);
    acme_store_free(m->challenges);
    free(m);
}

static void make(struct making *m)
{
    if (m->garbage != NULL) {
        generation_free(m->garbage);
        malloc_trim(0); /* a load needs for a moment more than what comes of it */
    }
    m->world = generation_make_world(m->generation, m->health, m->number);
    m->world->secondary = m->worlds->secondary;
    m->view = challenge_view(m->generation, m->challenges, m->world, m->previous);
    m->world->acme = acme_view_overlay(m->view);
    if (acme_view_zones(m->view) != NULL)
        m->world->zones = acme_view_zones(m->view);
}

static void publish(struct worlds *w, struct making *m)
{
    uint64_t changes = m->changes;
    struct acme_view *view = w->view;

    w->generation = m->generation;
    w->world = m->world;
    w->view = m->view;
    generation_free_world(snapshot_publish(w->slot, w->world));
    acme_view_free(view);
    m->world = NULL;
    m->view = NULL;
    free_making(m);
    control_published(w->control, changes);
}

/* ---- The thread ---- */

static void begin_next(struct worlds *w);

static void on_made(void *arg)
{
    struct making *m = arg;
    struct worlds *w = m->worlds;

    pthread_join(m->thread, NULL);
    w->making = NULL;
    if (m->generation != w->fresh) {
        publish(w, m);
    } else {
        w->prepared = m;
        w->fresh = NULL;
        w->on_prepared(w->arg);
        ensure(w->prepared == NULL);
    }
    begin_next(w);
}

static void *make_main(void *arg)
{
    struct making *m = arg;

    make(m);
    loop_post(m->worlds->loop, on_made, m);
    return NULL;
}

static void begin_next(struct worlds *w)
{
    const struct generation *g = w->fresh != NULL ? w->fresh : w->generation;

    if (w->making != NULL || g == NULL || (w->fresh == NULL && !w->is_wanted))
        return;
    if (w->fresh == NULL)
        w->is_wanted = false;
    w->making = new_making(w, g);
    ensure(pthread_create(&w->making->thread, NULL, make_main, w->making) == 0);
    pthread_setname_np(w->making->thread, "world");
}

static void on_begin(evutil_socket_t fd, short what, void *arg)
{
    begin_next(arg);
}

/* ---- What the node asks for ---- */

struct worlds *worlds_new(struct loop *loop, struct control *control, struct secondary *secondary,
                          struct snapshot_slot *slot)
{
    struct worlds *w = base_zalloc(1, sizeof(*w));

    w->loop = loop;
    w->control = control;
    w->slot = slot;
    w->secondary = secondary;
    w->begin = event_new(loop_base(loop), -1, 0, on_begin, w);
    ensure(w->begin != NULL);
    return w;
}

void worlds_refresh(struct worlds *w)
{
    w->is_wanted = true;
    event_active(w->begin, EV_TIMEOUT, 0); /* what comes in the same turn of the loop goes along */
}

void worlds_prepare(struct worlds *w, const struct generation *fresh,
                    void (*on_prepared)(void *arg), void *arg)
{
    ensure(w->fresh == NULL);
    w->fresh = fresh;
    w->on_prepared = on_prepared;
    w->arg = arg;
    begin_next(w);
}

void worlds_put(struct worlds *w, struct generation *old, const struct generation *g)
{
    struct making *m = w->prepared;

    if (m == NULL) {
        m = new_making(w, g);
        make(m);
    }
    ensure(m->generation == g);
    w->prepared = NULL;
    publish(w, m);
    w->garbage = old;
    worlds_refresh(w);
}

void worlds_drop(struct worlds *w)
{
    free_making(w->prepared);
    w->prepared = NULL;
}

const struct world *worlds_newest(const struct worlds *w)
{
    return w->world;
}

void worlds_free(struct worlds *w)
{
    if (w == NULL)
        return;
    if (w->making != NULL)
        pthread_join(w->making->thread, NULL);
    free_making(w->making);
    generation_free_world(snapshot_publish(w->slot, NULL));
    acme_view_free(w->view);
    generation_free(w->garbage);
    event_free(w->begin);
    free(w);
}
