/* SPDX-License-Identifier: BSD-2-Clause */
/* control_drain: who drains, by whose word, and until when. */
#include "common/clock/clock.h"
#include "common/log/log.h"
#include "gslb-dns/control/control_internal.h"

#include <stdio.h>
#include <string.h>

const struct control_drain *control_find_drain(const struct control *c, const char *name)
{
    for (size_t i = 0; i < c->n_drains; i++)
        if (strcmp(c->drains[i].name, name) == 0)
            return &c->drains[i];
    return NULL;
}

static void forget_drain(struct control *c, const char *name)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->n_drains; i++)
        if (strcmp(c->drains[i].name, name) != 0)
            c->drains[kept++] = c->drains[i];
    c->n_drains = kept;
}

static void keep_drain(struct control *c, const char *name, const char *reason, int64_t until_s)
{
    struct control_drain *d;

    forget_drain(c, name);
    BASE_GROW(c->drains, c->n_drains, c->cap_drains);
    d = &c->drains[c->n_drains++];
    text_clean(d->name, sizeof(d->name), name);
    text_clean(d->reason, sizeof(d->reason), reason);
    d->until_s = until_s;
}

/* The reason as status shows it, here and by way of the edge at the other nodes: with its end. */
static const char *tell_reason(const struct control_drain *d, char buf[CONTROL_TEXT])
{
    char end[CLOCK_ISO + sizeof(" (until )")], kept[CONTROL_TEXT];

    if (d->until_s == 0)
        return d->reason;
    clock_format_iso(d->until_s, kept);
    snprintf(end, sizeof(end), "%suntil %.*s%s", d->reason[0] ? " (" : "", CLOCK_ISO - 1, kept,
             d->reason[0] ? ")" : "");
    /* Rather less of the reason than of the end, and no part of a character. */
    text_clean(kept, sizeof(kept) - strlen(end), d->reason);
    snprintf(buf, CONTROL_TEXT, "%s%s", kept, end);
    return buf;
}

static void send_drain(struct control *c, struct control_edge *e, bool is_on, const char *reason)
{
    Gslb__Drain drain = GSLB__DRAIN__INIT;
    Gslb__Command command = GSLB__COMMAND__INIT;
    Gslb__Frame frame = GSLB__FRAME__INIT;

    drain.is_on = is_on;
    drain.reason = (char *)reason;
    command.id = e->command_id = ++c->next_command;
    command.action_case = GSLB__COMMAND__ACTION_DRAIN;
    command.drain = &drain;
    frame.body_case = GSLB__FRAME__BODY_COMMAND;
    frame.command = &command;
    e->has_obeyed = false;
    e->is_told = true;
    frame_link_send(e->peer->link, &frame);
}

bool control_apply_drain(struct control *c, size_t i)
{
    const struct control_edge *e = &c->edges[i];
    const struct control_drain *d = control_find_drain(c, c->config->edges[i].name);
    bool is_on = d != NULL || e->is_draining_itself;
    char reason[CONTROL_TEXT], buf[CONTROL_TEXT];

    text_clean(reason, sizeof(reason),
               d != NULL               ? tell_reason(d, buf)
               : e->is_draining_itself ? e->report->drain_reason
                                       : "");
    return health_set_drain(c->health, i, is_on, reason[0] != '\0' ? reason : "drained",
                            clock_mono_ms());
}

/* The edge obeyed, has been running ever since, and does not drain: somebody undrained it. */
static bool was_undrained_elsewhere(const struct control_edge *e, int64_t now_ms)
{
    return e->confirmed_ms != 0 && e->report->uptime_ms > (uint64_t)(now_ms - e->confirmed_ms);
}

void control_follow_drain(struct control *c, size_t i)
{
    struct control_edge *e = &c->edges[i];
    const char *name = c->config->edges[i].name;
    const struct control_drain *d = control_find_drain(c, name);
    int64_t now_ms = clock_mono_ms();

    if (d == NULL) {
        if (e->is_draining_itself && e->is_undrain_due)
            send_drain(c, e, false, "");
        e->is_undrain_due = false;
    } else if (e->is_draining_itself && e->has_obeyed) {
        e->confirmed_ms = now_ms;
    } else if (!e->is_draining_itself && was_undrained_elsewhere(e, now_ms)) {
        log_info("control", "edge was undrained elsewhere edge=%s", name);
        forget_drain(c, name);
        control_save_state(c);
    } else if (!e->is_told) {
        char buf[CONTROL_TEXT];
        send_drain(c, e, true, tell_reason(d, buf));
    }
}

static void say_unknown(const struct config *config, const char *name, struct text *error)
{
    const char *nearest = NULL;
    unsigned best = 4;

    for (size_t i = 0; i < config->n_edges; i++) {
        unsigned d = text_distance(str_of(name), str_of(config->edges[i].name));

        if (d < best) {
            best = d;
            nearest = config->edges[i].name;
        }
    }
    text_addf(error, "no edge '%s' in the configuration", name);
    if (nearest != NULL)
        text_addf(error, "; did you mean '%s'?", nearest);
}

static int64_t end_of(const Gslb__DrainRequest *request)
{
    return request->lifetime_s > 0 ? clock_wall_s() + request->lifetime_s : 0;
}

/* The edge is told, or will be; what is answered from now on goes by it. */
static void follow_word(struct control *c, size_t i)
{
    struct control_edge *e = &c->edges[i];
    const struct control_drain *d = control_find_drain(c, c->config->edges[i].name);
    char buf[CONTROL_TEXT];

    e->confirmed_ms = 0;
    e->is_undrain_due = d == NULL && e->peer == NULL;
    if (e->peer != NULL)
        send_drain(c, e, d != NULL, d != NULL ? tell_reason(d, buf) : "");
    control_settle(c, control_apply_drain(c, i));
}

void control_expire_drains(struct control *c)
{
    int64_t now_s = clock_wall_s();

    for (size_t k = 0; k < c->n_drains;) {
        char name[TLS_NAME];
        ptrdiff_t i;

        if (c->drains[k].until_s == 0 || c->drains[k].until_s > now_s) {
            k++;
            continue;
        }
        memcpy(name, c->drains[k].name, sizeof(name));
        log_info("control", "the time of a drain is over edge=%s", name);
        forget_drain(c, name);
        (void)control_save_state(c);
        i = control_find_edge(c->config, name);
        if (i != CONTROL_NO_EDGE)
            follow_word(c, (size_t)i);
    }
}

void control_drain(struct control *c, const Gslb__DrainRequest *request, struct text *done,
                   struct text *error)
{
    const char *name = request->edge;
    bool is_on = request->is_on;
    ptrdiff_t i = control_find_edge(c->config, name);
    struct control_edge *e;
    struct outcome outcome;

    if (i == CONTROL_NO_EDGE) {
        say_unknown(c->config, name, error);
        return;
    }
    e = &c->edges[i];
    if (is_on)
        keep_drain(c, name, request->reason, end_of(request));
    else
        forget_drain(c, name);
    outcome = control_save_state(c);
    log_info("control", "operator %s edge=%s reason=\"%s\"", is_on ? "drains" : "undrains", name,
             is_on ? control_find_drain(c, name)->reason : "");
    text_addf(done, "%s %s%s", name, is_on ? "is draining" : "is no longer draining",
              e->peer == NULL                   ? " (not connected: it is told when it comes back)"
              : !is_on && e->is_draining_itself ? "; it is back with its next good report"
                                                : "");
    if (has_failed(outcome))
        text_adds(done,
                  "; but the state file could not be written (see the log): this node forgets "
                  "it when it restarts");
    follow_word(c, (size_t)i);
}
