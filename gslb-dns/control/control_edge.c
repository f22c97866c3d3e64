/* SPDX-License-Identifier: BSD-2-Clause */
/* control_edge: what edges say, and what this node makes of it. */
#include "common/base/version.h"
#include "common/clock/clock.h"
#include "common/log/log.h"
#include "gslb-dns/control/control_internal.h"

#include <stdio.h>
#include <string.h>

ptrdiff_t control_find_edge(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->n_edges; i++)
        if (strcmp(config->edges[i].name, name) == 0)
            return (ptrdiff_t)i;
    return CONTROL_NO_EDGE;
}

static void log_edge(const struct control *c, size_t i, const struct health_edge *now)
{
    enum health_state was = c->edges[i].logged;
    const char *name = c->config->edges[i].name;

    if (now->state == HEALTH_DOWN)
        log_warn("health", "edge is down edge=%s was=%s reason=\"%s\"%s", name,
                 health_state_name(was), now->reason, now->is_kept ? " kept in the answers" : "");
    else
        log_info("health", "edge is %s edge=%s was=%s reason=\"%s\"", health_state_name(now->state),
                 name, health_state_name(was), now->reason);
}

static void log_suspicion(struct control *c)
{
    bool is_suspect = health_is_self_suspect(c->health);

    if (is_suspect == c->is_suspect_logged)
        return;
    c->is_suspect_logged = is_suspect;
    if (is_suspect)
        log_warn("health",
                 "all edges were lost at once: this node may be cut off, it keeps its "
                 "last good view for=%us",
                 c->config->health.keep_last_view_ms / 1000);
    else
        log_info("health", "the last good view is no longer needed or no longer kept");
}

void control_settle(struct control *c, bool is_changed)
{
    struct timeval after;
    int64_t left;

    control_expire_drains(c); /* which settles too, when one has ended */
    left = health_next_change_ms(c->health) - clock_mono_ms();
    for (size_t i = 0; i < c->config->n_edges; i++) {
        const struct health_edge *now = health_edge(c->health, i);

        if (now->state == c->edges[i].logged)
            continue;
        log_edge(c, i, now);
        c->edges[i].logged = now->state;
    }
    log_suspicion(c);
    if (left > HEALTH_GAP_MS / 2)
        left = HEALTH_GAP_MS / 2;
    if (left < 1)
        left = 1;
    after = (struct timeval){.tv_usec = left * 1000};
    event_add(c->timer, &after);
    if (is_changed)
        control_tell_change(c);
}

void control_edge_open(struct control *c, struct control_peer *peer, size_t i)
{
    struct control_edge *e = &c->edges[i];
    struct control_peer *old = e->peer;
    /* Two processes with one certificate would take each other's link for ever. */
    const char *hint =
        old != NULL ? " replaces=yes hint=\"if this goes on: do two edges share a certificate?\""
                    : "";

    peer->edge = (ptrdiff_t)i;
    e->peer = peer;
    e->is_told = e->has_obeyed = false;
    control_purges_lost(c, i);
    snprintf(e->remote, sizeof(e->remote), "%s", frame_link_remote(peer->link));
    if (old != NULL)
        frame_link_close(old->link, FRAME_CLOSE_REPLACED, NULL);
    log_info("control", "edge connected edge=%s remote=%s%s", peer->id.name, e->remote, hint);
    control_settle(c, health_on_connect(c->health, i, clock_mono_ms()));
}

void control_edge_close(struct control *c, struct control_peer *peer, const char *detail)
{
    size_t i = (size_t)peer->edge;
    struct control_edge *e = &c->edges[i];
    bool is_changed;

    if (e->peer != peer)
        return; /* replaced */
    e->peer = NULL;
    control_purges_lost(c, i);
    e->is_draining_itself = false;
    log_info("control", "edge disconnected edge=%s reason=\"%s\"", peer->id.name, detail);
    is_changed = health_on_disconnect(c->health, i, detail, clock_mono_ms());
    control_settle(c, control_apply_drain(c, i) || is_changed);
}

static void on_hello(struct control *c, struct control_peer *peer, const Gslb__Hello *hello)
{
    struct control_edge *e = &c->edges[peer->edge];
    Gslb__Welcome welcome = GSLB__WELCOME__INIT;
    Gslb__Frame frame = GSLB__FRAME__INIT;
    uint64_t idle_ms = 5 * (uint64_t)hello->report_interval_ms;

    text_clean(e->software, sizeof(e->software), hello->software);
    if (idle_ms < CONTROL_EDGE_IDLE_MS)
        idle_ms = CONTROL_EDGE_IDLE_MS;
    if (idle_ms > CONTROL_OPERATOR_IDLE_MS)
        idle_ms = CONTROL_OPERATOR_IDLE_MS;
    frame_link_set_idle(peer->link, (uint32_t)idle_ms);
    welcome.protocol = FRAME_PROTOCOL;
    welcome.software = "gslb-dns " GSLB_VERSION;
    welcome.node = c->own.name;
    welcome.is_known = true;
    frame.body_case = GSLB__FRAME__BODY_WELCOME;
    frame.welcome = &welcome;
    frame_link_send(peer->link, &frame);
    control_purges_catch_up(c, peer, hello);
    control_tickets_tell(c, peer);
}

static void send_ack(struct control_peer *peer, uint64_t sequence)
{
    Gslb__Ack ack = GSLB__ACK__INIT;
    Gslb__Frame frame = GSLB__FRAME__INIT;

    ack.sequence = sequence;
    frame.body_case = GSLB__FRAME__BODY_ACK;
    frame.ack = &ack;
    frame_link_send(peer->link, &frame);
}

static void on_report(struct control *c, struct control_peer *peer, const Gslb__Report *r)
{
    size_t i = (size_t)peer->edge;
    struct control_edge *e = &c->edges[i];
    int64_t now_ms = clock_mono_ms();
    struct control_sample counters = {.at_ms = now_ms,
                                      .requests = r->requests_total,
                                      .hits = r->cache != NULL ? r->cache->hits_total : 0,
                                      .lookups = r->cache != NULL ? r->cache->lookups_total : 0};
    char reason[HEALTH_REASON];
    bool is_changed;

    control_rate_add(&e->rate, &counters);
    arena_free(&e->report_arena);
    frame_link_keep(peer->link, &e->report_arena);
    e->report = r;
    e->is_draining_itself = r->is_draining;
    send_ack(peer, r->sequence);
    control_follow_drain(c, i);
    text_clean(reason, sizeof(reason), r->reason);
    is_changed = health_on_report(c->health, i, r->can_serve,
                                  reason[0] != '\0' ? reason : "says it cannot serve", now_ms);
    control_settle(c, control_apply_drain(c, i) || is_changed);
}

static void on_result(struct control_edge *e, const struct control_peer *peer,
                      const Gslb__Result *result)
{
    char words[CONTROL_TEXT];

    if (result->id != e->command_id)
        return;
    if (result->error[0] == '\0') {
        e->has_obeyed = true;
        return;
    }
    text_clean(words, sizeof(words), result->error);
    log_warn("control", "edge did not obey edge=%s reason=\"%s\"", peer->id.name, words);
}

void control_edge_frame(struct control *c, struct control_peer *peer, const Gslb__Frame *frame)
{
    switch (frame->body_case) {
    case GSLB__FRAME__BODY_HELLO:
        on_hello(c, peer, frame->hello);
        break;
    case GSLB__FRAME__BODY_REPORT:
        on_report(c, peer, frame->report);
        break;
    case GSLB__FRAME__BODY_RESULT:
        control_purges_result(c, (size_t)peer->edge, frame->result);
        on_result(&c->edges[peer->edge], peer, frame->result);
        break;
    default:
        frame_link_close(peer->link, FRAME_CLOSE_UNEXPECTED, NULL);
    }
}
