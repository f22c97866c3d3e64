/* SPDX-License-Identifier: BSD-2-Clause */
/* control_peer: accepted links: who may stay, and to whom their frames go. */
#include "common/clock/clock.h"
#include "common/log/log.h"
#include "gslb-dns/control/control_internal.h"

#include <stdlib.h>
#include <unistd.h>

enum { RARE_MS = 10000 };

/* A refused peer is worth a line, a thousand of them are not worth a thousand. */
static void warn_rarely(struct control *c, enum frame_close why, const struct control_peer *peer,
                        const char *detail)
{
    struct control_rare *r = &c->rare[why];
    int64_t now = clock_mono_ms();

    if (now < r->next_ms) {
        r->suppressed++;
        return;
    }
    log_warn("control", "link closed: %s peer=%s/%s remote=%s suppressed=%u", detail,
             tls_role_name(peer->id.role), peer->id.name, frame_link_remote(peer->link),
             r->suppressed);
    r->suppressed = 0;
    r->next_ms = now + RARE_MS;
}

static void forget_peer(struct control_peer *peer)
{
    struct control *c = peer->control;

    if (peer->previous != NULL)
        peer->previous->next = peer->next;
    else
        c->peers = peer->next;
    if (peer->next != NULL)
        peer->next->previous = peer->previous;
    c->n_peers--;
    free(peer);
}

static void open_edge(struct control *c, struct control_peer *peer)
{
    ptrdiff_t edge = control_find_edge(c->config, peer->id.name);

    if (edge != CONTROL_NO_EDGE) {
        control_edge_open(c, peer, (size_t)edge);
    } else {
        Gslb__Welcome welcome = GSLB__WELCOME__INIT;
        Gslb__Frame frame = GSLB__FRAME__INIT;

        /* It is told, so that the edge's own log names the mistake. */
        welcome.protocol = FRAME_PROTOCOL;
        welcome.node = c->own.name;
        frame.body_case = GSLB__FRAME__BODY_WELCOME;
        frame.welcome = &welcome;
        frame_link_send(peer->link, &frame);
        frame_link_finish(peer->link, FRAME_CLOSE_UNKNOWN_NAME);
    }
}

static void on_open(void *arg, struct frame_link *link, const struct tls_identity *id)
{
    struct control_peer *peer = arg;

    peer->id = *id;
    peer->is_open = true;
    if (id->role == TLS_ROLE_EDGE)
        open_edge(peer->control, peer);
    else if (id->role == TLS_ROLE_DNS && peer->control->n_nodes > 0) {
        if (!control_node_accept(peer->control, peer))
            frame_link_close(link, FRAME_CLOSE_UNKNOWN_NAME, NULL);
    } else if (id->role != TLS_ROLE_OPERATOR)
        frame_link_close(link, FRAME_CLOSE_WRONG_ROLE, NULL);
}

static void on_frame(void *arg, struct frame_link *link, const Gslb__Frame *frame)
{
    struct control_peer *peer = arg;

    if (frame->body_case == GSLB__FRAME__BODY__NOT_SET)
        return; /* of a newer version */
    if (peer->edge != CONTROL_NO_EDGE)
        control_edge_frame(peer->control, peer, frame);
    else if (peer->node != NULL)
        control_node_frame(peer, frame);
    else if (peer->id.role == TLS_ROLE_OPERATOR && frame->body_case == GSLB__FRAME__BODY_REQUEST &&
             peer->ticket == 0)
        control_request(peer->control, peer, frame->request);
    else
        frame_link_close(link, FRAME_CLOSE_UNEXPECTED, NULL);
}

static bool is_quiet(enum frame_close why)
{
    return why == FRAME_CLOSE_PEER || why == FRAME_CLOSE_STOPPED || why == FRAME_CLOSE_REPLACED;
}

static void on_close(void *arg, struct frame_link *link, enum frame_close why, const char *detail)
{
    struct control_peer *peer = arg;
    struct control *c = peer->control;

    if (!is_quiet(why))
        warn_rarely(c, why, peer, detail);
    if (peer->edge != CONTROL_NO_EDGE)
        control_edge_close(c, peer, detail);
    if (peer->node != NULL)
        control_node_lost(peer);
    control_forget_link(peer->control, peer->link);
    forget_peer(peer);
}

/* Whom to drop first: the oldest that has not yet shown who it is, else the oldest operator. */
static struct control_peer *find_victim(const struct control *c)
{
    struct control_peer *stranger = NULL, *operator= NULL;

    for (struct control_peer *p = c->peers; p != NULL; p = p->next) {
        if (!p->is_open)
            stranger = p;
        else if (p->edge == CONTROL_NO_EDGE && p->node == NULL)
            operator= p;
    }
    return stranger != NULL ? stranger : operator;
}

static void make_room(struct control *c)
{
    struct control_peer *victim;

    if (c->n_peers < c->config->n_edges + CONTROL_SPARE_LINKS)
        return;
    victim = find_victim(c);
    if (victim != NULL)
        frame_link_close(victim->link, FRAME_CLOSE_LIMIT, NULL);
}

static void accept_peer(struct control *c, int fd, SSL_CTX *tls)
{
    static const struct frame_hooks hooks = {on_open, on_frame, on_close};
    struct control_peer *peer;
    struct frame_options options = {
        .base = c->base,
        .tls = tls,
        .side = TLS_SERVER,
        .handshake_ms = CONTROL_HANDSHAKE_MS,
        .idle_ms = CONTROL_OPERATOR_IDLE_MS,
        .hooks = &hooks,
    };

    make_room(c);
    peer = base_zalloc(1, sizeof(*peer));
    peer->control = c;
    peer->edge = CONTROL_NO_EDGE;
    peer->next = c->peers;
    if (c->peers != NULL)
        c->peers->previous = peer;
    c->peers = peer;
    c->n_peers++;
    options.arg = peer;
    peer->link = frame_link_new(&options, fd);
}

void control_on_tcp(void *arg, int fd)
{
    struct control *c = arg;

    ensure(c->tls != NULL);
    accept_peer(c, fd, c->tls);
}

void control_on_unix(void *arg, int fd)
{
    accept_peer(arg, fd, NULL);
}

void control_close_peers(struct control *c)
{
    while (c->peers != NULL)
        frame_link_close(c->peers->link, FRAME_CLOSE_STOPPED, NULL);
}

void control_verify_peers(struct control *c)
{
    for (struct control_peer *peer = c->peers, *next; peer != NULL; peer = next) {
        next = peer->next;
        frame_link_verify(peer->link, c->tls);
    }
    control_node_verify(c);
}
