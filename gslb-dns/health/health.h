/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * health: what this node believes of each edge. A pure state machine: reports, lost links, drains
 * and the passing of time go in; states, with since when and why, come out. No I/O and no clock:
 * every call is told the time (monotonic milliseconds). Control thread only; the world room turns
 * its verdicts into the view that the answers use.
 *
 *   UNKNOWN ──first good report──▶ UP                 UNKNOWN ──first bad report──▶ DOWN
 *   UP ──bad × down_threshold, or silent for stale_after, or unlinked for half of that──▶ DOWN
 *   DOWN ──first good──▶ RISING ──good × up_threshold──▶ UP
 *   RISING ──bad, silent or unlinked──▶ DOWN
 *   any ──drain──▶ DRAINING ──undrain──▶ what the reports said meanwhile
 *
 * The first good report of an edge that was never heard of makes it UP at once: a node that starts
 * (or restarts) beside a healthy fleet must not answer "all down" for up_threshold seconds. Until
 * then, and for stale_after at most, a node that has just started presumes all of its edges up:
 * else the first edge to connect would get the whole world's visitors until the others have.
 *
 * A run of good reports must be steady: reports that come within a twelfth of stale_after of each
 * other count once, so that a link which was stuck and now delivers what had queued up cannot lift
 * an edge in an instant.
 *
 * A lost link is a bad sign (a killed edge's kernel closes it at once), not yet a verdict: an edge
 * that comes back and reports within half of stale_after (a renewed certificate, a node's reload)
 * stays UP.
 *
 * Time in which this node itself did not run is not held against the edges: when two calls are
 * more than HEALTH_GAP_MS apart, everything that was heard counts as heard that much later.
 *
 * Fail static: the node suspects itself rather than the world when
 *   - no edge is heard any more at all (not even one that says it cannot serve), and
 *   - at least two edges that were UP were lost by silence or a lost link, each within stale_after
 *     of the next. (One edge alone that dies is far likelier than one node alone that is cut off.)
 * It then keeps those edges in the answers for keep_last_view and says so. An edge that said it
 * cannot serve, or that drains, is never kept. When an edge is heard again the suspicion is over:
 * it is UP at once if it was kept, and the other kept ones have stale_after to be heard too.
 */
#ifndef GSLB_DNS_HEALTH_H
#define GSLB_DNS_HEALTH_H

#include "common/base/base.h"

enum health_state { HEALTH_UNKNOWN, HEALTH_UP, HEALTH_DOWN, HEALTH_DRAINING, HEALTH_RISING };

enum { HEALTH_REASON = 96, HEALTH_GAP_MS = 1000 };

struct health_settings {
    uint32_t stale_after_ms, down_threshold, up_threshold, keep_last_view_ms;
};

/* One edge as it stands. */
struct health_edge {
    enum health_state state;
    int64_t since_ms; /* monotonic */
    char reason[HEALTH_REASON];
    bool is_connected;
    bool is_usable;      /* in the answers: UP, kept by fail static, or presumed at start */
    bool is_kept;        /* in the answers by fail static only */
    int64_t reported_ms; /* newest report, 0: none */
};

struct health;

struct health *health_new(size_t n_edges, const struct health_settings *settings, int64_t now_ms);
void health_free(struct health *h);

/* What happened to an edge. Each returns whether anything that answers depend on has changed. */
bool health_on_report(struct health *h, size_t edge, bool can_serve, const char *reason,
                      int64_t now_ms);
bool health_on_connect(struct health *h, size_t edge, int64_t now_ms);
bool health_on_disconnect(struct health *h, size_t edge, const char *why, int64_t now_ms);
/* The operator's drain at this node, or the edge's own word that it drains. A drained edge's
 * reports are followed all the while. */
bool health_set_drain(struct health *h, size_t edge, bool is_on, const char *reason,
                      int64_t now_ms);
/* Time passes: call it when health_next_change_ms says, and at least every HEALTH_GAP_MS / 2. */
bool health_tick(struct health *h, int64_t now_ms);
/* When the next state could change by time alone; INT64_MAX: never. */
int64_t health_next_change_ms(const struct health *h);

/* For what is not: a copy, in which edges are made up or down at will. It is only looked at. */
struct health *health_copy(const struct health *h);
void health_imagine(struct health *h, size_t edge, bool is_up);

const struct health_edge *health_edge(const struct health *h, size_t edge);
/* The node has lost all edges at once and serves its last good view. */
bool health_is_self_suspect(const struct health *h);
const char *health_state_name(enum health_state s);

/* A reload: the edges of the new configuration take over the states of the same edges of the old
 * one; old_index[i] is edge i's place in old, or SIZE_MAX. */
struct health *health_take_over(const struct health *old, const size_t *old_index, size_t n_edges,
                                const struct health_settings *settings, int64_t now_ms);

#endif
