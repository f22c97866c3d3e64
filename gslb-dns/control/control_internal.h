/* SPDX-License-Identifier: BSD-2-Clause */
/* control_internal: what the files of this room share. */
#ifndef GSLB_DNS_CONTROL_INTERNAL_H
#define GSLB_DNS_CONTROL_INTERNAL_H

#include "common/exporter/exporter.h"
#include "common/frame/frame.h"
#include "common/ledger/ledger.h"
#include "common/net/acceptor.h"
#include "gslb-dns/acme/acme.h"
#include "gslb-dns/control/control.h"

enum {
    CONTROL_TEXT = 96, /* what is kept of a peer's words */
    CONTROL_HANDSHAKE_MS = 5000,
    CONTROL_OPERATOR_IDLE_MS = 60000,
    CONTROL_EDGE_IDLE_MS = 10000, /* at least; five report intervals when those are longer */
    CONTROL_SPARE_LINKS = 256,    /* beside one per edge */
    CONTROL_NO_EDGE = -1,
};

/* One accepted link. */
struct control_peer {
    struct control_peer *next, *previous; /* newest first */
    struct control *control;
    struct frame_link *link;
    struct tls_identity id;
    bool is_open;
    ptrdiff_t edge;            /* index in the configuration, or CONTROL_NO_EDGE */
    struct control_node *node; /* the gslb-dns node that has connected; NULL: it is none */
    uint64_t ticket;           /* of a reload that it waits for; 0: none */
};

/* A drain that an operator asked for at this node, kept in the state file. */
struct control_drain {
    char name[TLS_NAME];
    char reason[CONTROL_TEXT];
    int64_t until_s; /* wall clock; 0: until somebody says otherwise */
};

/* Counters of one report, by this node's clock. */
struct control_sample {
    int64_t at_ms;
    uint64_t requests, hits, lookups;
};

/* An edge's figures over the newest CONTROL_RATE_MS or so: a single interval jumps too much to be
 * read. One sample a second is kept, however often the edge reports. */
enum { CONTROL_RATE_STEP_MS = 1000, CONTROL_RATE_SAMPLES = 10 };
struct control_rate {
    struct control_sample samples[CONTROL_RATE_SAMPLES]; /* oldest first */
    size_t n;
    double requests_per_s, cache_hit_ratio; /* ratio -1: no lookups */
};

/* What is known of one edge of the configuration. */
struct control_edge {
    struct control_peer *peer; /* NULL: not connected */
    char software[CONTROL_TEXT], remote[ADDR_TEXT];
    struct arena report_arena;
    const Gslb__Report *report; /* the newest; NULL: none */

    struct control_rate rate;

    /* Drains. An edge that has obeyed and later, still the same process, does not drain any more,
     * was told so elsewhere: the newest word counts. */
    bool is_draining_itself; /* says its newest report on this link */
    bool is_undrain_due;     /* undrained while it was away */
    bool is_told;            /* of the drain, on this link */
    bool has_obeyed;         /* its Result to the newest command came */
    uint64_t command_id;
    int64_t confirmed_ms; /* when it last reported the drain after obeying; 0: never */

    enum health_state logged; /* newest state in the log */
    bool has_purges;          /* on this link it was told what it missed */
};

struct control_listener {
    struct addr address; /* as configured; length 0: the Unix socket */
    char *path;
    struct acceptor *acceptor;
};

/* Another gslb-dns node: we connect to it and it to us, and either link will do. */
struct control_node {
    struct control *control;
    char name[TLS_NAME];
    struct addr address;
    struct frame_link *out; /* NULL: waits for the next attempt */
    bool is_out_open;
    struct control_peer *in; /* NULL: it has not connected */
    struct event *timer;     /* the next attempt, or sign of life */
    unsigned n_attempts;
    int64_t opened_ms;
    bool is_trouble_told;
};

struct control_rare {
    int64_t next_ms;
    unsigned suppressed;
};

struct control {
    struct event_base *base;
    struct control_hooks hooks;
    const struct config *config; /* NULL before the first commit */
    struct health *health;
    struct control_edge *edges; /* one per config->edges */
    struct control_drain *drains;
    size_t n_drains, cap_drains;
    bool has_state; /* the state file was read */
    SSL_CTX *tls;
    struct tls_identity own;
    struct control_listener *listeners;
    size_t n_listeners;
    struct exporter *exporter;
    struct addr exporter_at;
    struct control_peer *peers;
    size_t n_peers;
    struct control_node **nodes;
    size_t n_nodes;
    SSL_CTX *node_tls; /* NULL: no nodes */
    uint64_t next_update;
    struct acme_store *acme;
    struct event *acme_timer;
    struct control_wait *waits; /* for other nodes' word */
    struct ledger *journal;     /* of purges; NULL before the first commit */
    struct control_purge_wait *purge_waits;
    struct control_due *due; /* answers, for the world to be published */
    uint64_t n_changes, n_published;
    struct config_ticket_secrets *ticket_secrets; /* made up here, when no file has any */
    struct event *ticket_timer;
    struct event *timer; /* of health */
    uint64_t next_ticket, next_command;
    int64_t started_ms;
    bool is_suspect_logged;
    struct control_rare rare[FRAME_CLOSE_N];
};

/* control_peer.c */
void control_on_tcp(void *arg, int fd);
void control_on_unix(void *arg, int fd);
void control_close_peers(struct control *c);
/* Ends the links of those whom the CA of now does not know. */
void control_verify_peers(struct control *c);

/* control_edge.c: what edges say and are told. */
void control_edge_open(struct control *c, struct control_peer *peer, size_t edge);
void control_edge_frame(struct control *c, struct control_peer *peer, const Gslb__Frame *frame);
void control_edge_close(struct control *c, struct control_peer *peer, const char *detail);
/* After something happened to health: log what changed, tell the owner, set the timer. */
void control_settle(struct control *c, bool is_changed);
ptrdiff_t control_find_edge(const struct config *config, const char *name);

/* control_rate.c */
void control_rate_start(struct control_rate *r);
/* Works the figures out anew with what a report says. */
void control_rate_add(struct control_rate *r, const struct control_sample *now);

/* control_drain.c */
const struct control_drain *control_find_drain(const struct control *c, const char *name);
/* The operator's word; fills reply with what was done, or error. */
void control_drain(struct control *c, const Gslb__DrainRequest *request, struct text *done,
                   struct text *error);
/* Ends those whose time is over. */
void control_expire_drains(struct control *c);
/* Compares an edge's newest report with what was asked of it. */
void control_follow_drain(struct control *c, size_t edge);
/* Tells health whether the edge drains, by the operator's word or its own. */
bool control_apply_drain(struct control *c, size_t edge);

/* control_state.c */
void control_load_state(struct control *c, const char *path, struct errors *errors,
                        struct place place);
/* Failure is in the log; a caller with an operator at hand tells it too. */
struct outcome control_save_state(const struct control *c);

/* control_node.c: links between nodes, whatever is told over them. */
/* Keeps the nodes that stay, by name and address. */
void control_commit_nodes(struct control *c);
void control_free_nodes(struct control *c);
/* A link that a node has opened to us; false: no such node is configured. */
bool control_node_accept(struct control *c, struct control_peer *peer);
void control_node_frame(struct control_peer *peer, const Gslb__Frame *frame);
void control_node_lost(struct control_peer *peer);
void control_node_verify(struct control *c);
static inline bool control_node_is_linked(const struct control_node *n)
{
    return n->is_out_open || n->in != NULL;
}
void control_send_ack(struct frame_link *link, uint64_t sequence, const char *error);
/* Sends it to all nodes that are linked and gives it a sequence, which is returned. */
uint64_t control_tell_nodes(struct control *c, Gslb__Update *update);

/* control_publish.c */
void control_tell_change(struct control *c);
/* Answers now if all changes so far are published, or when they are. */
void control_ack_published(struct control *c, struct frame_link *link, uint64_t sequence,
                           const char *error);
void control_reply_published(struct control *c, struct control_peer *peer, const char *text);
void control_forget_link(struct control *c, const struct frame_link *link);
void control_free_due(struct control *c);

/* control_acme.c: what operators and nodes say of challenges. */
void control_simulate_request(struct control *c, struct control_peer *peer,
                              const Gslb__SimulateRequest *request);
void control_acme_request(struct control *c, struct control_peer *peer,
                          const Gslb__AcmeRequest *request);
/* All that another node should know; lives in a. */
void control_acme_fill(const struct control *c, struct arena *a, Gslb__Update *out);
/* NULL: all was taken; else why not. */
const char *control_acme_take(struct control *c, Gslb__AcmeRecord *const *records, size_t n);
/* A node has answered an Update. */
void control_acme_acked(struct control *c, const struct control_node *node, uint64_t sequence,
                        const char *error);
/* Nobody is waited for any more. */
void control_acme_end_waits(struct control *c);
void control_acme_published(struct control *c);
void control_acme_set_timer(struct control *c);
/* Can a challenge have this text? */
bool control_acme_is_value(const char *value);

/* control_purge.c: what edges are to forget. */
void control_purges_open(struct control *c);
void control_purge_request(struct control *c, struct control_peer *peer,
                           const Gslb__PurgeRequest *request);
/* An edge has said Hello. */
void control_purges_catch_up(struct control *c, struct control_peer *peer,
                             const Gslb__Hello *hello);
void control_purges_result(struct control *c, size_t edge, const Gslb__Result *result);
/* Its link is gone. */
void control_purges_lost(struct control *c, size_t edge);
/* No edge is waited for any more. */
void control_purges_end_waits(struct control *c);

/* control_tickets.c: keys for session tickets. */
/* A new configuration: all edges get its keys. */
void control_tickets_commit(struct control *c);
/* The timer: all edges get what is due. */
void control_tickets_tick(struct control *c);
/* An edge has come. */
void control_tickets_tell(struct control *c, struct control_peer *peer);

/* control_request.c */
void control_request(struct control *c, struct control_peer *peer, const Gslb__Request *request);

#endif
