/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control: the edge's end of the control channel. Keeps a link to every gslb-dns node of the
 * configuration (reconnecting with jittered back-off), reports each interval and at once when the
 * verdict changes, obeys drains, answers gslbctl on the local socket, serves the metrics page.
 * What is reported comes through control_hooks, in plain structs.
 *
 * A configuration takes effect in two steps, as in gslb-dns: control_prepare opens what is new or
 * refuses; control_commit applies it, keeping the links to nodes that stay.
 *
 * Control thread only: everything here, and all hooks, run on the loop's thread.
 */
#ifndef EDGE_PROXY_CONTROL_H
#define EDGE_PROXY_CONTROL_H

#include "common/arena/arena.h"
#include "common/error/error.h"
#include "common/loop/loop.h"
#include "common/text/text.h"
#include "edge-proxy/config/config.h"
#include "edge-proxy/purge/purge.h"

struct control_origin {
    const char *pool, *name;
    bool is_up;
    const char *reason; /* of the newest change; NULL: none */
    uint64_t since_ms;  /* in this state for so long */
    uint32_t connections;
    const char *const *addresses; /* of one with a name */
    size_t n_addresses;
};

struct control_listener {
    const char *address;
    bool is_tls, is_open;
};

struct control_certificate {
    const char *path, *name, *kind;
    int64_t expires_in_s;
};

/* One report. Strings and arrays live in arena (or longer); counters are since the start. Draining
 * is control's own to tell. */
struct control_report {
    struct arena *arena;
    bool can_serve;     /* the verdict, apart from draining */
    const char *reason; /* why not; NULL: none */
    uint32_t connections, connections_target, connections_limit, cpu_permille;
    const struct control_origin *origins;
    size_t n_origins;
    uint64_t cache_hits, cache_lookups, cache_bytes, cache_bytes_limit, cache_objects;
    uint64_t requests, bytes_sent, errors;
    const struct control_listener *listeners;
    size_t n_listeners;
    bool is_for_operator; /* who asked, and gets what follows too; the nodes do not */
    const struct control_certificate *certificates;
    size_t n_certificates;
};

struct control_hooks {
    void *arg;
    /* Fills report (zeroed but for arena). Called each interval and for status. */
    void (*fill)(void *arg, struct control_report *report);
    /* This edge is to drain (finish what is open, ask clients to go) or to stop draining. */
    void (*on_drain)(void *arg, bool is_on, const char *reason);
    struct purge_log *purges; /* where purges go */
    /* An operator wants a reload: answer, now or later, by control_finish_reload(ticket). */
    void (*reload)(void *arg, uint64_t ticket);
    /* The program's own counters; control adds its own and those of the channel. */
    void (*metrics)(void *arg, struct text *out);
};

struct control;
struct control_change;

struct control *control_new(struct loop *loop, const struct control_hooks *hooks);
/* Closes all links and listeners. */
void control_free(struct control *c);

/* For --check: certificates and key are read and judged; nothing is opened. */
void control_check(const struct config *config, struct errors *errors);
/* NULL: refused, errors say why. */
struct control_change *control_prepare(struct control *c, const struct config *config,
                                       struct errors *errors);
void control_commit(struct control *c, struct control_change *change);
void control_discard(struct control_change *change);

/* The verdict may have changed: reports are sent now rather than at the next interval. */
void control_report_now(struct control *c);
/* Another process is this edge now: links to the nodes, the socket and the metrics page are its
 * own.
 */
void control_hand_over(struct control *c);
/* Whether, and why, this edge drains. */
bool control_is_draining(const struct control *c);
/* Drains by this program's own decision (shutdown), told to all nodes at once. */
void control_set_drain(struct control *c, bool is_on, const char *reason);
/* Nodes that have answered within the last three intervals. */
size_t control_connected_nodes(const struct control *c);

/* The answer to hooks.reload: text is what changed, or the errors when it was refused. */
void control_finish_reload(struct control *c, uint64_t ticket, bool is_taken, const char *text);
void control_write_metrics(const struct control *c, struct text *out);

#endif
