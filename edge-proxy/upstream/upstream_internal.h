/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of upstream share. */
#ifndef EDGE_PROXY_UPSTREAM_INTERNAL_H
#define EDGE_PROXY_UPSTREAM_INTERNAL_H

#include "edge-proxy/balance/balance.h"
#include "edge-proxy/upstream/upstream.h"

#include "common/snapshot/snapshot.h"
#include "edge-proxy/dial/dial.h"
#include "edge-proxy/resolve/resolve.h"
#include "edge-proxy/slots/slots.h"

#include <stdatomic.h>

enum { UPSTREAM_REASON_BYTES = 96 };

/* ---- Pools ---- */

/* Whether it may be asked, and how much it has to do, stands in the pool's balance. */
struct upstream_origin {
    const struct config_origin *config;
    struct upstream_pool *pool;
    size_t index;                 /* in its pool and in balance */
    char *name;                   /* for logs and status: of a place, the name with its number */
    struct dial_target target;    /* where it is, if its address is given; else ... */
    struct snapshot_slot targets; /* ... struct upstream_targets */
    _Atomic uint32_t turn;        /* which of them goes first */
    char name_reason[RESOLVE_WHY_TEXT]; /* why it has no (new) addresses; control thread */
    char *key; /* address and identity: what makes it the same after a reload */
    /* By active checks. */
    bool is_checked; /* at least once */
    unsigned run;    /* equal results in a row */
    bool is_run_good;
    int64_t changed_ms;
    char reason[UPSTREAM_REASON_BYTES];
    /* By what workers see. */
    _Atomic dial_why why; /* of the newest connection, if it did not open */
    struct dial_memory memory;
    struct slots
        *slots; /* counted in pools with limits; shared with generations before and after */
};

struct upstream_pools;

struct upstream_pool {
    const struct config_pool *config;
    const struct upstream_pools *all;
    struct dial_identity *identity;
    struct upstream_origin *origins;
    size_t n_origins;
    struct balance *balance;
    struct slots *slots; /* as the origins'; with the queue */
};

struct upstream_pools {
    const struct config_resolver *resolver_config;
    struct resolver *resolver;    /* NULL: no name, or not yet resolved */
    void (*on_change)(void *arg); /* an origin's addresses changed; by checks */
    void *on_change_arg;
    struct upstream_pool *pools;
    size_t n;
    uint32_t body_idle_ms;   /* a body that makes no progress for so long is given up */
    uint32_t tunnel_idle_ms; /* and so is a tunnel */
    _Atomic bool is_retired; /* others have taken over */
};

struct upstream_worker;
/* Whom to ask, by index, other than those who are full; or what balance_pick says. */
int pool_pick(struct upstream_worker *u, const struct upstream_request *r, uint64_t full);
/* The same without a choice. */
int pool_look(const struct upstream_request *r, uint64_t full);
/* Something about its origins has changed: those who wait for one look again. */
void pool_tell_waiting(const struct upstream_pool *p);
/* What became of a request that began then, by clock_coarse_ms. */
void origin_note(struct upstream_origin *o, struct worker *w, enum balance_result result,
                 int64_t began_ms);
/* Counts and logs. */
void origin_tell_ejection(const struct upstream_origin *o, struct worker *w,
                          enum balance_reason reason);
/* How a connection to it is opened: to targets[0] to targets[n - 1]. */
struct dial_order origin_order(struct upstream_origin *o, const struct dial_target *targets,
                               size_t n, struct str host, struct str preface, uint32_t timeout_ms);

/* targets.c: where origins are. */
/* Copies its addresses, one or more; 0: it has none (any more). */
size_t origin_targets(struct upstream_origin *o, struct dial_target out[DIAL_TARGETS_MAX]);
/* How many origins stand for this one of the configuration. */
size_t origin_places(const struct config_origin *c);
void origin_inherit_targets(struct upstream_origin *o, const struct upstream_origin *old);
void origin_free_targets(struct upstream_origin *o);

/* ---- A worker's side ---- */

struct upstream_worker {
    struct worker *w;
    struct dial_worker *dial;
    struct upstream_exchange *free_exchanges;
    struct balance_turn *turns; /* by pool */
    size_t n_turns;
};

/* ---- Exchanges ---- */

/* A version of HTTP. What it finds out it writes into the exchange; who waits for that is told by
 * the loop, never from inside one of these. */
struct exchange_ops {
    /* To o's targets. Has failed, or goes on by itself. */
    void (*open)(struct upstream_exchange *x, const struct dial_order *o);
    /* The request's body has more, or has ended. */
    void (*pump)(struct upstream_exchange *x);
    /* n bytes of the response's body were taken. */
    void (*resume)(struct upstream_exchange *x, size_t n);
    /* Gives up what it has open, in any state. */
    void (*drop)(struct upstream_exchange *x);
};

#define EXCHANGE_STEPS(X)   \
    X(OPEN, open)           \
    X(QUEUE, queue)         \
    X(SEND_HEAD, send_head) \
    X(EXCHANGE, exchange)   \
    X(OVER, over)

enum exchange_step {
#define STEP_ENUM_(id, name) STEP_##id,
    EXCHANGE_STEPS(STEP_ENUM_)
#undef STEP_ENUM_
};

struct upstream_exchange {
    struct upstream_exchange *next_free;
    struct upstream_worker *u;
    struct upstream_request r;
    const struct exchange_ops *ops;
    const struct upstream_pool *pool;
    struct upstream_origin *origin; /* NULL: none was up */
    int64_t began_ms;
    int64_t started_us; /* where latencies matter */
    enum exchange_step step;
    enum upstream_failure failure;
    bool is_counted;             /* among the origin's requests under way */
    bool has_slots;              /* one of the pool, one of the origin */
    struct slots_waiter *waiter; /* STEP_QUEUE */
    struct wheel_timer queue_timer;
    bool is_reused, has_sent, has_answered, is_request_sent, is_request_broken, has_head, is_tunnel;
    /* HTTP/1.1 */
    struct dial_conn *c; /* NULL: given back, or none */
    struct chunker chunker;
    struct buffer *out; /* what is left of the request head, NULL: nothing */
    /* The response */
    struct buffer *in;
    struct body body;
    struct http_framing framing;
    struct http_head head;
    char preface[DIAL_PREFACE_MAX]; /* while it waits */
};

/* exchange.c: what each version of HTTP does alike. */
/* Its origin is chosen: opens it. */
void exchange_open(struct upstream_exchange *x);
/* Unless it has failed already. The exchange is over. */
void exchange_fail(struct upstream_exchange *x, enum upstream_failure why);
void exchange_fail_open(struct upstream_exchange *x, dial_why why);
/* It is open. */
void exchange_note_open(struct upstream_exchange *x);
/* The final head is there, and was framed. */
void exchange_note_head(struct upstream_exchange *x);
/* It is no longer one of the origin's requests under way, nor waits to be one. */
void exchange_leave(struct upstream_exchange *x);

/* wait.c */
/* Chooses an origin and goes on with exchange_open, at once or later; or fails. */
void exchange_find_origin(struct upstream_exchange *x);
/* Gives slots back, or leaves the queue. */
void exchange_let_go(struct upstream_exchange *x);

/* http1.c */
extern const struct exchange_ops exchange_http1;
/* The request's head. */
void http1_write_head(const struct upstream_request *r, struct writer *w);

#endif
