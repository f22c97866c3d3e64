/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_node: links between the gslb-dns nodes of a site. Each connects to each, so that between
 * two of them there are two links; an Update goes over one, that which we opened if it is open.
 * What an Update carries is the business of others (control_acme).
 */
#include "common/base/version.h"
#include "common/clock/clock.h"
#include "common/log/log.h"
#include "common/net/net.h"
#include "gslb-dns/control/control_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BACKOFF_LEAST_MS = 50,
    BACKOFF_FIRST_MS = 200,
    BACKOFF_LAST_MS = 5000,
    STEADY_MS = 10000,
    LIFE_MS = 5000, /* between signs of life */
    SILENCE_MS = 15000,
};

static void set_timer(struct control_node *n, uint32_t ms)
{
    struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    event_add(n->timer, &after);
}

/* Full jitter, as edges have it. */
static void wait_to_connect(struct control_node *n)
{
    uint32_t bound = BACKOFF_LAST_MS;

    if (n->n_attempts < 5)
        bound = (uint32_t)BACKOFF_FIRST_MS << n->n_attempts;
    n->n_attempts++;
    set_timer(n, BACKOFF_LEAST_MS + arc4random_uniform(bound - BACKOFF_LEAST_MS));
}

/* Trouble is told when it begins, not at each attempt. */
static void tell_trouble(struct control_node *n, const char *what)
{
    if (!n->is_trouble_told)
        log_warn("control", "no link to the peer, trying on peer=%s reason=\"%s\"", n->name, what);
    n->is_trouble_told = true;
}

static void send_update(struct frame_link *link, const Gslb__Update *update)
{
    Gslb__Frame frame = GSLB__FRAME__INIT;

    frame.body_case = GSLB__FRAME__BODY_UPDATE;
    frame.update = (Gslb__Update *)update;
    frame_link_send(link, &frame);
}

/* All that a node that was away may have missed. */
static void send_all(struct control *c, struct frame_link *link)
{
    Gslb__Update update = GSLB__UPDATE__INIT;
    struct arena a;

    arena_init(&a, 0);
    update.sequence = ++c->next_update;
    control_acme_fill(c, &a, &update);
    send_update(link, &update);
    arena_free(&a);
}

void control_send_ack(struct frame_link *link, uint64_t sequence, const char *error)
{
    Gslb__Ack ack = GSLB__ACK__INIT;
    Gslb__Frame frame = GSLB__FRAME__INIT;

    ack.sequence = sequence;
    ack.error = frame_borrow(error);
    frame.body_case = GSLB__FRAME__BODY_ACK;
    frame.ack = &ack;
    frame_link_send(link, &frame);
}

uint64_t control_tell_nodes(struct control *c, Gslb__Update *update)
{
    update->sequence = ++c->next_update;
    for (size_t i = 0; i < c->n_nodes; i++) {
        const struct control_node *n = c->nodes[i];

        if (control_node_is_linked(n))
            send_update(n->is_out_open ? n->out : n->in->link, update);
    }
    return update->sequence;
}

/* ---- Frames, of either link ---- */

static void send_hello(struct frame_link *link)
{
    Gslb__Hello hello = GSLB__HELLO__INIT;
    Gslb__Frame frame = GSLB__FRAME__INIT;

    hello.protocol = FRAME_PROTOCOL;
    hello.software = "gslb-dns " GSLB_VERSION;
    frame.body_case = GSLB__FRAME__BODY_HELLO;
    frame.hello = &hello;
    frame_link_send(link, &frame);
}

static void send_welcome(const struct control *c, struct frame_link *link)
{
    Gslb__Welcome welcome = GSLB__WELCOME__INIT;
    Gslb__Frame frame = GSLB__FRAME__INIT;

    welcome.protocol = FRAME_PROTOCOL;
    welcome.software = "gslb-dns " GSLB_VERSION;
    welcome.node = frame_borrow(c->own.name);
    welcome.is_known = true;
    frame.body_case = GSLB__FRAME__BODY_WELCOME;
    frame.welcome = &welcome;
    frame_link_send(link, &frame);
}

static void take_frame(struct control_node *n, struct frame_link *link, const Gslb__Frame *frame)
{
    struct control *c = n->control;

    switch (frame->body_case) {
    case GSLB__FRAME__BODY_HELLO:
        send_welcome(c, link);
        send_all(c, link);
        break;
    case GSLB__FRAME__BODY_UPDATE:
        control_ack_published(c, link, frame->update->sequence,
                              control_acme_take(c, frame->update->acme, frame->update->n_acme));
        break;
    case GSLB__FRAME__BODY_ACK:
        control_acme_acked(c, n, frame->ack->sequence, frame->ack->error);
        break;
    case GSLB__FRAME__BODY_WELCOME:
    case GSLB__FRAME__BODY__NOT_SET: /* of a newer version */
        break;
    default:
        frame_link_close(link, FRAME_CLOSE_UNEXPECTED, NULL);
    }
}

/* ---- The link that the node opened ---- */

static struct control_node *find_node(const struct control *c, const char *name)
{
    for (size_t i = 0; i < c->n_nodes; i++)
        if (strcmp(c->nodes[i]->name, name) == 0)
            return c->nodes[i];
    return NULL;
}

bool control_node_accept(struct control *c, struct control_peer *peer)
{
    struct control_node *n = find_node(c, peer->id.name);
    struct control_peer *old;

    if (n == NULL)
        return false;
    old = n->in;
    peer->node = n;
    n->in = peer;
    if (old != NULL)
        frame_link_close(old->link, FRAME_CLOSE_REPLACED, NULL);
    frame_link_set_idle(peer->link, SILENCE_MS);
    return true;
}

void control_node_frame(struct control_peer *peer, const Gslb__Frame *frame)
{
    take_frame(peer->node, peer->link, frame);
}

void control_node_lost(struct control_peer *peer)
{
    if (peer->node->in == peer)
        peer->node->in = NULL;
    peer->node = NULL;
}

/* ---- The link that we open ---- */

static void on_open(void *arg, struct frame_link *link, const struct tls_identity *id)
{
    struct control_node *n = arg;
    char words[2 * TLS_NAME + 64];

    if (id->role != TLS_ROLE_DNS || strcmp(id->name, n->name) != 0) {
        snprintf(words, sizeof(words), "its certificate is that of gslb://%s/%s",
                 tls_role_name(id->role), id->name);
        frame_link_close(
            link, id->role != TLS_ROLE_DNS ? FRAME_CLOSE_WRONG_ROLE : FRAME_CLOSE_UNKNOWN_NAME,
            words);
        return;
    }
    n->is_out_open = true;
    n->opened_ms = clock_mono_ms();
    n->is_trouble_told = false;
    log_info("control", "linked to the peer peer=%s", n->name);
    send_hello(link);
    send_all(n->control, link);
    set_timer(n, LIFE_MS);
}

static void on_frame(void *arg, struct frame_link *link, const Gslb__Frame *frame)
{
    take_frame(arg, link, frame);
}

static void on_close(void *arg, struct frame_link *link, enum frame_close why, const char *detail)
{
    struct control_node *n = arg;

    n->out = NULL;
    control_forget_link(n->control, link);
    if (n->is_out_open && clock_mono_ms() - n->opened_ms >= STEADY_MS)
        n->n_attempts = 0;
    n->is_out_open = false;
    if (why == FRAME_CLOSE_STOPPED)
        return;
    tell_trouble(n, detail);
    wait_to_connect(n);
}

static void connect_node(struct control_node *n)
{
    static const struct frame_hooks hooks = {on_open, on_frame, on_close};
    struct frame_options options = {
        .base = n->control->base,
        .tls = n->control->node_tls,
        .side = TLS_CLIENT,
        .handshake_ms = CONTROL_HANDSHAKE_MS,
        .idle_ms = SILENCE_MS,
        .hooks = &hooks,
        .arg = n,
    };
    int fd = net_connect_tcp(&n->address);

    if (fd < 0) {
        tell_trouble(n, strerror(errno));
        wait_to_connect(n);
        return;
    }
    n->out = frame_link_new(&options, fd);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct control_node *n = arg;
    Gslb__Update life = GSLB__UPDATE__INIT;

    if (n->out == NULL) {
        connect_node(n);
    } else if (n->is_out_open) {
        life.sequence = ++n->control->next_update;
        send_update(n->out, &life);
        set_timer(n, LIFE_MS);
    }
}

/* ---- Which nodes there are ---- */

static struct control_node *new_node(struct control *c, const struct config_peer *config)
{
    struct control_node *n = base_zalloc(1, sizeof(*n));

    n->control = c;
    n->address = config->address;
    snprintf(n->name, sizeof(n->name), "%s", config->name);
    n->timer = evtimer_new(c->base, on_timer, n);
    ensure(n->timer != NULL);
    return n;
}

static void free_node(struct control_node *n)
{
    struct control_peer *in = n->in;

    if (in != NULL) {
        n->in = NULL;
        in->node = NULL;
        frame_link_close(in->link, FRAME_CLOSE_UNKNOWN_NAME, "removed from the configuration");
    }
    if (n->out != NULL)
        frame_link_close(n->out, FRAME_CLOSE_STOPPED, NULL);
    event_free(n->timer);
    free(n);
}

static struct control_node *take_over(struct control *c, const struct config_peer *config)
{
    for (size_t i = 0; i < c->n_nodes; i++) {
        struct control_node *n = c->nodes[i];

        if (n == NULL || strcmp(n->name, config->name) != 0 ||
            !addr_eq(&n->address, &config->address))
            continue;
        c->nodes[i] = NULL;
        return n;
    }
    return NULL;
}

void control_commit_nodes(struct control *c)
{
    const struct config_control *config = &c->config->control;
    struct control_node **now = base_zalloc(config->n_peers, sizeof(now[0]));

    control_acme_end_waits(c);
    for (size_t i = 0; i < config->n_peers; i++)
        now[i] = take_over(c, &config->peers[i]);
    control_free_nodes(c);
    c->nodes = now;
    c->n_nodes = config->n_peers;
    for (size_t i = 0; i < c->n_nodes; i++) {
        if (now[i] != NULL)
            continue;
        now[i] = new_node(c, &config->peers[i]);
        connect_node(now[i]);
    }
}

void control_free_nodes(struct control *c)
{
    for (size_t i = 0; i < c->n_nodes; i++)
        if (c->nodes[i] != NULL)
            free_node(c->nodes[i]);
    free(c->nodes);
    c->nodes = NULL;
    c->n_nodes = 0;
}

void control_node_verify(struct control *c)
{
    for (size_t i = 0; i < c->n_nodes; i++)
        if (c->nodes[i]->out != NULL)
            frame_link_verify(c->nodes[i]->out, c->node_tls);
}
