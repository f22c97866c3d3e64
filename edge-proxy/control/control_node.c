/* SPDX-License-Identifier: BSD-2-Clause */
/* control_node: the link to one gslb-dns node: connect, lose, wait, connect again. */
#include "common/base/version.h"
#include "common/clock/clock.h"
#include "common/log/log.h"
#include "common/net/net.h"
#include "edge-proxy/control/control_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void connect_node(struct control_node *n);

/* Full jitter: anywhere between nothing and a bound that doubles, so that a fleet which lost a
 * node at one moment does not come back at one moment. */
static void wait_to_connect(struct control_node *n)
{
    uint32_t bound = CONTROL_BACKOFF_LAST_MS, ms;
    struct timeval after;

    if (n->n_attempts < 6)
        bound = (uint32_t)CONTROL_BACKOFF_FIRST_MS << n->n_attempts;
    n->n_attempts++;
    ms = CONTROL_BACKOFF_LEAST_MS + arc4random_uniform(bound - CONTROL_BACKOFF_LEAST_MS);
    after = (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    event_add(n->retry, &after);
}

/* Trouble is told when it begins, not at each attempt. */
static void tell_trouble(struct control_node *n, const char *what)
{
    if (!n->is_trouble_told)
        log_warn("control", "no link to the gslb-dns node, trying on node=%s reason=\"%s\"",
                 n->name, what);
    n->is_trouble_told = true;
}

static void send_hello(struct control_node *n)
{
    struct purge_source at = {.node = n->peer_name};
    Gslb__Hello hello = GSLB__HELLO__INIT;
    Gslb__Frame frame = GSLB__FRAME__INIT;

    hello.protocol = FRAME_PROTOCOL;
    hello.software = "edge-proxy " GSLB_VERSION;
    purge_log_position(n->control->hooks.purges, &at);
    hello.purge_journal = at.journal;
    hello.purge_sequence = at.sequence;
    hello.report_interval_ms = n->control->config->control.report_interval_ms;
    frame.body_case = GSLB__FRAME__BODY_HELLO;
    frame.hello = &hello;
    frame_link_send(n->link, &frame);
}

static void on_open(void *arg, struct frame_link *link, const struct tls_identity *peer)
{
    struct control_node *n = arg;

    if (peer->role != TLS_ROLE_DNS) {
        frame_link_close(link, FRAME_CLOSE_WRONG_ROLE, NULL);
        return;
    }
    n->is_open = true;
    n->opened_ms = n->acked_ms = clock_mono_ms();
    memcpy(n->peer_name, peer->name, sizeof(n->peer_name));
    send_hello(n);
    control_report_now(n->control);
}

static void on_welcome(struct control_node *n, const Gslb__Welcome *welcome)
{
    n->is_unknown = !welcome->is_known;
    if (n->is_unknown) {
        tell_trouble(n, "the node's configuration does not list this edge");
        return;
    }
    log_info("control", "linked to the gslb-dns node node=%s name=%s", n->name, n->peer_name);
    n->is_trouble_told = false;
}

static void on_command(struct control_node *n, const Gslb__Command *command)
{
    Gslb__Result result = GSLB__RESULT__INIT;
    Gslb__Frame frame = GSLB__FRAME__INIT;

    result.id = command->id;
    if (command->action_case == GSLB__COMMAND__ACTION_DRAIN)
        control_set_drain(n->control, command->drain->is_on, command->drain->reason);
    else if (command->action_case == GSLB__COMMAND__ACTION_TICKET_KEYS)
        result.error = frame_borrow(control_take_tickets(n, command->ticket_keys));
    else if (command->action_case == GSLB__COMMAND__ACTION_PURGES)
        result.error = frame_borrow(control_take_purges(n, command->purges));
    else
        result.error = "this edge-proxy (" GSLB_VERSION ") does not know that command";
    frame.body_case = GSLB__FRAME__BODY_RESULT;
    frame.result = &result;
    frame_link_send(n->link, &frame);
}

static void on_frame(void *arg, struct frame_link *link, const Gslb__Frame *frame)
{
    struct control_node *n = arg;

    switch (frame->body_case) {
    case GSLB__FRAME__BODY_WELCOME:
        on_welcome(n, frame->welcome);
        break;
    case GSLB__FRAME__BODY_ACK:
        n->acked_ms = clock_mono_ms();
        break;
    case GSLB__FRAME__BODY_COMMAND:
        on_command(n, frame->command);
        break;
    case GSLB__FRAME__BODY__NOT_SET:
        break; /* of a newer version */
    default:
        frame_link_close(link, FRAME_CLOSE_UNEXPECTED, NULL);
    }
}

static void on_close(void *arg, struct frame_link *link, enum frame_close why, const char *detail)
{
    struct control_node *n = arg;

    n->link = NULL;
    if (n->is_open && !n->is_unknown && clock_mono_ms() - n->opened_ms >= CONTROL_STEADY_MS)
        n->n_attempts = 0;
    n->is_open = false;
    if (why != FRAME_CLOSE_STOPPED)
        tell_trouble(n, detail);
    wait_to_connect(n);
}

static void connect_node(struct control_node *n)
{
    static const struct frame_hooks hooks = {on_open, on_frame, on_close};
    struct frame_options options = {
        .base = n->control->base,
        .tls = n->control->tls,
        .side = TLS_CLIENT,
        .handshake_ms = CONTROL_HANDSHAKE_MS,
        .hooks = &hooks,
        .arg = n,
    };
    int fd = net_connect_tcp(&n->address);

    if (fd < 0) {
        tell_trouble(n, strerror(errno));
        wait_to_connect(n);
        return;
    }
    n->link = frame_link_new(&options, fd);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    connect_node(arg);
}

struct control_node *control_node_new(struct control *c, const struct config_peer *peer)
{
    struct control_node *n = base_zalloc(1, sizeof(*n));

    n->control = c;
    n->address = peer->address;
    n->name = base_strdup(peer->name);
    n->retry = evtimer_new(c->base, on_retry, n);
    ensure(n->retry != NULL);
    connect_node(n);
    return n;
}

void control_node_free(struct control_node *n)
{
    if (n->link != NULL)
        frame_link_close(n->link, FRAME_CLOSE_STOPPED, NULL);
    event_free(n->retry);
    free(n->name);
    free(n);
}

static int64_t ack_deadline_ms(const struct control_node *n)
{
    return n->acked_ms + 3 * (int64_t)n->control->config->control.report_interval_ms;
}

void control_node_check(struct control_node *n, int64_t now_ms)
{
    if (n->is_open && now_ms > ack_deadline_ms(n))
        frame_link_close(n->link, FRAME_CLOSE_IDLE, "the node acknowledges no reports");
}

bool control_node_is_heard(const struct control_node *n, int64_t now_ms)
{
    return n->is_open && !n->is_unknown && now_ms <= ack_deadline_ms(n);
}

void control_node_verify(struct control_node *n)
{
    if (n->link != NULL)
        frame_link_verify(n->link, n->control->tls);
}
