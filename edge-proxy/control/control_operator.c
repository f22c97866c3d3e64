/* SPDX-License-Identifier: BSD-2-Clause */
/* control_operator: gslbctl on the edge's own socket. */
#include "common/base/version.h"
#include "edge-proxy/control/control_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_open(void *arg, struct frame_link *link, const struct tls_identity *peer)
{
    /* Whoever may open the socket is an operator; it speaks first. */
}

static void on_status(struct control *c, struct frame_link *link)
{
    Gslb__Reply reply = GSLB__REPLY__INIT;
    struct arena a;

    arena_init(&a, 0);
    reply.body_case = GSLB__REPLY__BODY_EDGE_STATUS;
    reply.edge_status = control_build_report(c, &a, true);
    frame_link_reply(link, &reply);
    arena_free(&a);
}

static void on_drain(struct control *c, struct frame_link *link, const Gslb__DrainRequest *request)
{
    const char *name = c->config != NULL ? c->config->name : "";

    /* Whoever names another edge has the wrong socket. */
    if (request->edge[0] != '\0' && strcmp(request->edge, name) != 0) {
        struct text error = {0};

        text_addf(&error, "this is the edge '%s', not '%s'", name, request->edge);
        frame_link_reply_text(link, NULL, error.p);
        text_free(&error);
        return;
    }
    if (request->lifetime_s > 0) {
        frame_link_reply_text(link, NULL,
                              "an edge's own drain does not end by itself: ask a gslb-dns node");
        return;
    }
    control_set_drain(c, request->is_on, request->reason);
    frame_link_reply_text(
        link, request->is_on ? "this edge is draining" : "this edge is no longer draining", NULL);
}

static void on_reload(struct control_operator *o)
{
    o->ticket = ++o->control->next_ticket;
    frame_link_set_idle(o->link, 0); /* the answer is ours to give */
    o->control->hooks.reload(o->control->hooks.arg, o->ticket);
}

static void on_purge(struct control *c, struct frame_link *link, const Gslb__PurgeRequest *request)
{
    struct text done = {0}, error = {0};

    if (!control_purge(c, request->purges, request->n_purges, &error)) {
        frame_link_reply_text(link, NULL, error.p);
    } else {
        text_addf(&done, "purged at this edge: %zu item%s", request->n_purges,
                  request->n_purges == 1 ? "" : "s");
        frame_link_reply_text(link, done.p, NULL);
    }
    text_free(&done);
    text_free(&error);
}

static void on_metrics(struct control *c, struct frame_link *link)
{
    struct text t = {0};

    control_write_metrics(c, &t);
    frame_link_reply_text(link, t.p, NULL);
    text_free(&t);
}

static void on_request(struct control_operator *o, const Gslb__Request *request)
{
    switch (request->action_case) {
    case GSLB__REQUEST__ACTION_STATUS:
        on_status(o->control, o->link);
        break;
    case GSLB__REQUEST__ACTION_DRAIN:
        on_drain(o->control, o->link, request->drain);
        break;
    case GSLB__REQUEST__ACTION_RELOAD:
        on_reload(o);
        break;
    case GSLB__REQUEST__ACTION_METRICS:
        on_metrics(o->control, o->link);
        break;
    case GSLB__REQUEST__ACTION_PURGE:
        on_purge(o->control, o->link, request->purge);
        break;
    case GSLB__REQUEST__ACTION_EXPLAIN:
        frame_link_reply_text(o->link, NULL,
                              "an edge does not steer: ask a gslb-dns node to explain");
        break;
    default:
        frame_link_reply_text(o->link, NULL,
                              "this edge-proxy (" GSLB_VERSION ") does not know that request");
    }
}

static void on_frame(void *arg, struct frame_link *link, const Gslb__Frame *frame)
{
    struct control_operator *o = arg;

    if (frame->body_case == GSLB__FRAME__BODY_REQUEST && o->ticket == 0)
        on_request(o, frame->request);
    else if (frame->body_case != GSLB__FRAME__BODY__NOT_SET)
        frame_link_close(link, FRAME_CLOSE_UNEXPECTED, NULL);
}

static void on_close(void *arg, struct frame_link *link, enum frame_close why, const char *detail)
{
    struct control_operator *o = arg;

    if (o->previous != NULL)
        o->previous->next = o->next;
    else
        o->control->operators = o->next;
    if (o->next != NULL)
        o->next->previous = o->previous;
    o->control->n_operators--;
    free(o);
}

void control_on_unix(void *arg, int fd)
{
    static const struct frame_hooks hooks = {on_open, on_frame, on_close};
    struct control *c = arg;
    struct control_operator *o;
    struct frame_options options = {
        .base = c->base,
        .handshake_ms = CONTROL_HANDSHAKE_MS,
        .idle_ms = CONTROL_OPERATOR_IDLE_MS,
        .hooks = &hooks,
    };

    if (c->n_operators >= CONTROL_OPERATORS) {
        close(fd);
        return;
    }
    o = base_zalloc(1, sizeof(*o));
    o->control = c;
    o->next = c->operators;
    if (o->next != NULL)
        o->next->previous = o;
    c->operators = o;
    c->n_operators++;
    options.arg = o;
    o->link = frame_link_new(&options, fd);
}

void control_close_operators(struct control *c)
{
    while (c->operators != NULL)
        frame_link_close(c->operators->link, FRAME_CLOSE_STOPPED, NULL);
}

void control_finish_reload(struct control *c, uint64_t ticket, bool is_taken, const char *text)
{
    for (struct control_operator *o = c->operators; o != NULL; o = o->next) {
        if (o->ticket != ticket || ticket == 0)
            continue;
        o->ticket = 0;
        frame_link_set_idle(o->link, CONTROL_OPERATOR_IDLE_MS);
        if (is_taken)
            frame_link_reply_text(o->link, text, NULL);
        else
            frame_link_reply_text(o->link, NULL,
                                  text != NULL && text[0] != '\0' ? text : "refused");
        return;
    }
}
