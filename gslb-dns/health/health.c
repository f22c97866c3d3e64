/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/health/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An edge as the machine sees it; shown is what others see: state with the drain on top. */
struct edge {
    struct health_edge shown;
    enum health_state state; /* by reports and time alone, never DRAINING */
    int64_t state_since_ms;
    char state_reason[HEALTH_REASON];
    uint32_t n_good, n_bad; /* in a row */
    int64_t counted_ms;     /* newest good report that counted for the run */
    int64_t unlinked_ms;    /* when the link was lost; 0: it was not */
    int64_t lost_ms;        /* when it went from UP by silence or a lost link; 0: otherwise */
    bool is_kept;
    bool is_presumed; /* the node has just started: taken as up until heard, or for stale_after */
    bool is_draining;
    int64_t drain_since_ms;
    char drain_reason[HEALTH_REASON];
};

struct health {
    struct health_settings settings;
    size_t n_edges;
    int64_t now_ms;  /* of the newest call */
    bool is_suspect; /* edges are kept */
    int64_t keep_until_ms;
    int64_t presume_until_ms; /* see is_presumed */
    bool is_ending;           /* an edge was heard again: the others have until keep_until_ms */
    struct edge edges[];
};

static const char *const state_names[] = {
    [HEALTH_UNKNOWN] = "unknown",   [HEALTH_UP] = "up",         [HEALTH_DOWN] = "down",
    [HEALTH_DRAINING] = "draining", [HEALTH_RISING] = "rising",
};

const char *health_state_name(enum health_state s)
{
    ensure((size_t)s < COUNT_OF(state_names));
    return state_names[s];
}

static void set_reason(char to[HEALTH_REASON], const char *reason)
{
    snprintf(to, HEALTH_REASON, "%s", reason ? reason : "");
}

static struct edge *edge_at(struct health *h, size_t i)
{
    ensure(i < h->n_edges);
    return &h->edges[i];
}

/* Works out what others see; true when that changes the answers. */
static bool show(struct edge *e)
{
    struct health_edge *s = &e->shown;
    bool was_usable = s->is_usable;

    s->state = e->is_draining ? HEALTH_DRAINING : e->state;
    s->since_ms = e->is_draining ? e->drain_since_ms : e->state_since_ms;
    memcpy(s->reason, e->is_draining ? e->drain_reason : e->state_reason, sizeof(s->reason));
    s->is_usable = !e->is_draining && (e->state == HEALTH_UP || e->is_kept || e->is_presumed);
    s->is_kept = s->is_usable && e->is_kept;
    return s->is_usable != was_usable;
}

static bool show_all(struct health *h)
{
    bool is_changed = false;

    for (size_t i = 0; i < h->n_edges; i++)
        is_changed |= show(&h->edges[i]);
    return is_changed;
}

static void set_state(struct edge *e, enum health_state state, const char *reason, int64_t now_ms)
{
    if (e->state != state)
        e->state_since_ms = now_ms;
    e->state = state;
    set_reason(e->state_reason, reason);
}

/* While it is linked an edge has stale_after to report; once its link is lost, half of that. */
static int64_t silent_at_ms(const struct health *h, const struct edge *e)
{
    int64_t stale = h->settings.stale_after_ms, at = e->shown.reported_ms + stale;

    if (e->unlinked_ms != 0 && e->unlinked_ms + stale / 2 < at)
        at = e->unlinked_ms + stale / 2;
    return at;
}

static bool is_followed(const struct edge *e)
{
    return e->state == HEALTH_UP || e->state == HEALTH_RISING;
}

/* An edge is heard while a report of it, good or bad, is fresh. */
static bool is_heard(const struct health *h, const struct edge *e)
{
    return e->shown.reported_ms != 0 && h->now_ms < silent_at_ms(h, e);
}

static void lose(struct health *h, struct edge *e)
{
    uint64_t silent_ms = (uint64_t)(h->now_ms - e->shown.reported_ms);
    char reason[HEALTH_REASON];

    snprintf(reason, sizeof(reason), "%s: no report for %llu.%llus",
             e->unlinked_ms != 0 ? "link lost" : "silent", (unsigned long long)(silent_ms / 1000),
             (unsigned long long)(silent_ms % 1000 / 100));
    e->lost_ms = e->state == HEALTH_UP && !e->is_draining ? h->now_ms : 0;
    e->n_good = e->n_bad = 0;
    set_state(e, HEALTH_DOWN, reason, h->now_ms);
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* The time from which on losses stand no further apart than stale_after, up to now; INT64_MAX when
 * there are fewer than two such losses. */
static int64_t first_of_the_losses(const struct health *h)
{
    int64_t *lost = base_zalloc(h->n_edges + 1, sizeof(*lost));
    int64_t first, from = h->now_ms;
    size_t n = 0, i;

    for (i = 0; i < h->n_edges; i++)
        if (h->edges[i].lost_ms != 0)
            lost[n++] = h->edges[i].lost_ms;
    qsort(lost, n, sizeof(*lost), by_time);
    for (i = n; i > 0 && from - lost[i - 1] <= h->settings.stale_after_ms; i--)
        from = lost[i - 1];
    first = n - i >= 2 ? from : INT64_MAX;
    free(lost);
    return first;
}

static void suspect_self(struct health *h)
{
    int64_t first;

    if (h->settings.keep_last_view_ms == 0)
        return;
    for (size_t i = 0; i < h->n_edges; i++)
        if (is_heard(h, &h->edges[i]))
            return;
    first = first_of_the_losses(h);
    if (first == INT64_MAX)
        return;
    for (size_t i = 0; i < h->n_edges; i++)
        h->edges[i].is_kept = h->edges[i].lost_ms >= first && h->edges[i].lost_ms != 0;
    h->is_suspect = true;
    h->is_ending = false;
    h->keep_until_ms = h->now_ms + h->settings.keep_last_view_ms;
}

static void stop_keeping(struct health *h)
{
    h->is_suspect = h->is_ending = false;
    for (size_t i = 0; i < h->n_edges; i++) {
        h->edges[i].is_kept = false;
        h->edges[i].lost_ms = 0;
    }
}

/* Somebody is heard again, so this node is not cut off: what is kept has one more stale_after. */
static void end_suspicion(struct health *h)
{
    int64_t until = h->now_ms + h->settings.stale_after_ms;

    if (!h->is_suspect || h->is_ending)
        return;
    h->is_ending = true;
    if (until < h->keep_until_ms)
        h->keep_until_ms = until;
}

/* Lets time pass: silence, and the end of what is kept. */
static void advance(struct health *h, int64_t now_ms)
{
    int64_t gap = now_ms - h->now_ms;

    if (gap <= 0)
        return;
    h->now_ms = now_ms;
    for (size_t i = 0; i < h->n_edges; i++) {
        struct edge *e = &h->edges[i];

        if (gap > HEALTH_GAP_MS && e->shown.reported_ms != 0) {
            e->shown.reported_ms += gap;
            e->unlinked_ms += e->unlinked_ms ? gap : 0;
        }
        if (is_followed(e) && now_ms >= silent_at_ms(h, e))
            lose(h, e);
    }
    if (now_ms >= h->presume_until_ms)
        for (size_t i = 0; i < h->n_edges; i++)
            h->edges[i].is_presumed = false;
    /* Not only at a loss: the last to fall silent may be an edge that was down already. */
    if (!h->is_suspect)
        suspect_self(h);
    if (h->is_suspect && now_ms >= h->keep_until_ms)
        stop_keeping(h);
}

/* A good report counts for the run when it is not on the heels of the one before. */
static void count_good(struct health *h, struct edge *e)
{
    int64_t apart = h->settings.stale_after_ms / 12;

    if (e->n_good > 0 && h->now_ms - e->counted_ms < apart)
        return;
    e->n_good++;
    e->counted_ms = h->now_ms;
}

static void take_good(struct health *h, struct edge *e)
{
    e->n_bad = 0;
    count_good(h, e);
    if (e->state == HEALTH_UNKNOWN || e->is_kept) {
        set_state(e, HEALTH_UP, e->is_kept ? "heard again" : "first report", h->now_ms);
    } else if (e->state == HEALTH_DOWN) {
        e->n_good = 1;
        set_state(e, HEALTH_RISING, "reports well again", h->now_ms);
    }
    if (e->state == HEALTH_RISING && e->n_good >= h->settings.up_threshold)
        set_state(e, HEALTH_UP, "steady", h->now_ms);
    e->is_kept = false;
}

static void take_bad(struct health *h, struct edge *e, const char *reason)
{
    e->n_good = 0;
    e->n_bad++;
    e->is_kept = false;
    if (e->state != HEALTH_UP || e->n_bad >= h->settings.down_threshold)
        set_state(e, HEALTH_DOWN, reason, h->now_ms);
}

bool health_on_report(struct health *h, size_t edge, bool can_serve, const char *reason,
                      int64_t now_ms)
{
    struct edge *e = edge_at(h, edge);

    advance(h, now_ms);
    e->shown.reported_ms = h->now_ms;
    e->unlinked_ms = 0;
    e->lost_ms = 0;
    e->is_presumed = false;
    if (can_serve)
        take_good(h, e);
    else
        take_bad(h, e, reason);
    end_suspicion(h);
    return show_all(h);
}

bool health_on_connect(struct health *h, size_t edge, int64_t now_ms)
{
    advance(h, now_ms);
    edge_at(h, edge)->shown.is_connected = true;
    return show_all(h);
}

bool health_on_disconnect(struct health *h, size_t edge, const char *why, int64_t now_ms)
{
    struct edge *e = edge_at(h, edge);

    advance(h, now_ms);
    e->shown.is_connected = false;
    if (e->unlinked_ms == 0)
        e->unlinked_ms = h->now_ms;
    if (e->state == HEALTH_RISING)
        set_state(e, HEALTH_DOWN, why, h->now_ms);
    return show_all(h);
}

bool health_set_drain(struct health *h, size_t edge, bool is_on, const char *reason, int64_t now_ms)
{
    struct edge *e = edge_at(h, edge);

    advance(h, now_ms);
    if (is_on && !e->is_draining)
        e->drain_since_ms = h->now_ms;
    e->is_draining = is_on;
    set_reason(e->drain_reason, reason);
    return show_all(h);
}

bool health_tick(struct health *h, int64_t now_ms)
{
    advance(h, now_ms);
    return show_all(h);
}

int64_t health_next_change_ms(const struct health *h)
{
    int64_t next = h->is_suspect ? h->keep_until_ms : INT64_MAX;

    for (size_t i = 0; i < h->n_edges; i++) {
        const struct edge *e = &h->edges[i];

        if (is_followed(e) && silent_at_ms(h, e) < next)
            next = silent_at_ms(h, e);
        if (e->is_presumed && h->presume_until_ms < next)
            next = h->presume_until_ms;
    }
    return next;
}

const struct health_edge *health_edge(const struct health *h, size_t edge)
{
    ensure(edge < h->n_edges);
    return &h->edges[edge].shown;
}

bool health_is_self_suspect(const struct health *h)
{
    return h->is_suspect && !h->is_ending;
}

struct health *health_new(size_t n_edges, const struct health_settings *settings, int64_t now_ms)
{
    struct health *h = base_zalloc(1, sizeof(*h) + n_edges * sizeof(h->edges[0]));

    h->settings = *settings;
    h->n_edges = n_edges;
    h->now_ms = now_ms;
    h->presume_until_ms = now_ms + settings->stale_after_ms;
    for (size_t i = 0; i < n_edges; i++) {
        h->edges[i].state_since_ms = now_ms;
        h->edges[i].is_presumed = true;
        set_reason(h->edges[i].state_reason, "no report yet");
        show(&h->edges[i]);
    }
    return h;
}

struct health *health_take_over(const struct health *old, const size_t *old_index, size_t n_edges,
                                const struct health_settings *settings, int64_t now_ms)
{
    struct health *h = health_new(n_edges, settings, old->now_ms);

    h->is_suspect = old->is_suspect;
    h->is_ending = old->is_ending;
    h->keep_until_ms = old->keep_until_ms;
    h->presume_until_ms = old->presume_until_ms;
    for (size_t i = 0; i < n_edges; i++) {
        h->edges[i].is_presumed = false; /* an edge that is new to a running node shows itself */
        if (old_index[i] == SIZE_MAX)
            continue;
        ensure(old_index[i] < old->n_edges);
        h->edges[i] = old->edges[old_index[i]];
    }
    advance(h, now_ms);
    show_all(h);
    return h;
}

struct health *health_copy(const struct health *h)
{
    size_t bytes = sizeof(*h) + h->n_edges * sizeof(h->edges[0]);

    return memcpy(base_alloc(bytes), h, bytes);
}

void health_imagine(struct health *h, size_t edge, bool is_up)
{
    struct health_edge *e = &h->edges[edge].shown;

    ensure(edge < h->n_edges);
    *e = (struct health_edge){
        .state = is_up ? HEALTH_UP : HEALTH_DOWN, .since_ms = h->now_ms, .is_usable = is_up};
    set_reason(e->reason, "imagined");
}

void health_free(struct health *h)
{
    free(h);
}
