/* SPDX-License-Identifier: BSD-2-Clause */
/* control_internal: what the files of this room share. */
#ifndef EDGE_PROXY_CONTROL_INTERNAL_H
#define EDGE_PROXY_CONTROL_INTERNAL_H

#include "common/exporter/exporter.h"
#include "common/frame/frame.h"
#include "common/net/acceptor.h"
#include "edge-proxy/control/control.h"

enum {
    CONTROL_TEXT = 96,
    CONTROL_HANDSHAKE_MS = 5000,
    CONTROL_OPERATOR_IDLE_MS = 60000,
    CONTROL_OPERATORS = 32,
    CONTROL_BACKOFF_FIRST_MS = 250,
    CONTROL_BACKOFF_LAST_MS = 3000, /* a node that is back takes who is silent for longer as down */
    CONTROL_BACKOFF_LEAST_MS = 20,
    CONTROL_STEADY_MS = 10000, /* a link that lived for so long resets the back-off */
    CONTROL_URGENT_MS = 100,   /* reports out of turn come at most so often */
};

/* One gslb-dns node of the configuration. */
struct control_node {
    struct control *control;
    struct addr address;
    char *name;              /* as configured */
    struct frame_link *link; /* NULL: waiting to connect */
    struct event *retry;
    unsigned n_attempts; /* since the last steady link */
    bool is_open;
    bool is_unknown;      /* it does not list this edge */
    bool is_trouble_told; /* its newest trouble is in the log */
    int64_t opened_ms, acked_ms;
    char peer_name[TLS_NAME];
};

/* One gslbctl on the Unix socket. */
struct control_operator {
    struct control_operator *next, *previous;
    struct control *control;
    struct frame_link *link;
    uint64_t ticket;
};

struct control {
    struct event_base *base;
    struct control_hooks hooks;
    const struct config *config; /* NULL before the first commit */
    SSL_CTX *tls;
    struct control_node **nodes;
    size_t n_nodes;
    struct event *timer; /* of reports */
    int64_t reported_ms;
    uint64_t sequence;
    int64_t started_ms;
    bool is_draining;
    char drain_reason[CONTROL_TEXT];
    char *socket_path;
    struct acceptor *acceptor;
    struct control_operator *operators;
    size_t n_operators;
    uint64_t next_ticket;
    struct exporter *exporter;
    struct addr exporter_at;
};

/* control_node.c */
struct control_node *control_node_new(struct control *c, const struct config_peer *peer);
/* Ends the link when the CA of now does not know the node; it is tried again. */
void control_node_verify(struct control_node *n);
void control_node_free(struct control_node *n);
/* Closes a link whose node has not acknowledged reports for three intervals. */
void control_node_check(struct control_node *n, int64_t now_ms);
bool control_node_is_heard(const struct control_node *n, int64_t now_ms);

/* control_report.c: one report on the wire, built in arena; for an operator, who gets more, or for
 * the nodes. */
Gslb__Report *control_build_report(struct control *c, struct arena *arena, bool is_for_operator);

/* control_tickets.c: keys for session tickets that a node shares. NULL: taken; else why not. They
 * are wiped either way. */
const char *control_take_tickets(const struct control_node *n, const Gslb__TicketKeys *keys);
Gslb__TicketKeyStatus **control_list_tickets(struct arena *arena, size_t *n);

/* control_purge.c. false: none was done, error says why. */
bool control_purge(struct control *c, Gslb__Purge *const *list, size_t n, struct text *error);
/* Out of a node's journal. Not NULL: why not all of them. */
const char *control_take_purges(struct control_node *n, const Gslb__Purges *purges);

/* control_operator.c */
void control_on_unix(void *arg, int fd);
void control_close_operators(struct control *c);

#endif
