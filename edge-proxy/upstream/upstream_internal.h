/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of upstream share. */
#ifndef EDGE_PROXY_UPSTREAM_INTERNAL_H
#define EDGE_PROXY_UPSTREAM_INTERNAL_H

#include "edge-proxy/balance/balance.h"
#include "edge-proxy/upstream/upstream.h"

#include <event2/event_struct.h>
#include <stdatomic.h>

enum {
    UPSTREAM_AVOID_AFTER = 3, /* connect failures in a row, after which an origin ... */
    UPSTREAM_AVOID_MS = 2000, /* ... is tried last for so long */
    UPSTREAM_REASON_BYTES = 96
};

/* ---- Pools ---- */

/* Whether it may be asked, and how much it has to do, stands in the pool's balance. */
struct upstream_origin {
    const struct config_origin *config;
    struct upstream_pool *pool;
    size_t index; /* in its pool and in balance */
    char *key;    /* address and TLS identity: connections with equal keys are interchangeable */
    uint64_t key_hash;
    /* By active checks. */
    bool is_checked; /* at least once */
    unsigned run;    /* equal results in a row */
    bool is_run_good;
    int64_t changed_ms;
    char reason[UPSTREAM_REASON_BYTES];
    /* By what workers see. */
    _Atomic uint32_t failures; /* to connect, in a row */
};

struct upstream_pool {
    const struct config_pool *config;
    SSL_CTX *ssl_ctx; /* NULL: plain */
    struct upstream_origin *origins;
    size_t n_origins;
    struct balance *balance;
};

struct upstream_pools {
    struct upstream_pool *pools;
    size_t n;
    uint32_t body_idle_ms;   /* a body that makes no progress for so long is given up */
    uint32_t tunnel_idle_ms; /* and so is a tunnel */
};

struct upstream_worker;
/* Whom to ask; NULL: nobody is left. */
struct upstream_origin *pool_pick(struct upstream_worker *u, const struct upstream_request *r);
void origin_note_failure(struct upstream_origin *o);
void origin_note_success(struct upstream_origin *o);
/* A checked and connected name for this connection, on a fresh SSL. */
SSL *pool_new_ssl(const struct upstream_pool *p, struct str host);

/* ---- Connections ---- */

struct upstream_conn {
    uint32_t magic;
    bool is_idle;
    short interest; /* EV_READ, EV_WRITE as registered */
    struct wire wire;
    struct upstream_worker *u;
    struct upstream_exchange *exchange; /* NULL while idle */
    struct event event;
    struct wheel_timer timer;
    struct upstream_conn *next, **link; /* in its idle bucket */
    uint64_t key_hash;
    struct str host; /* SNI that it was opened with; empty: the pool's own */
    char key[];      /* terminated; host behind it */
};
enum { CONN_MAGIC = 0x0c0117ec };

enum { IDLE_BUCKETS = 256 };
struct upstream_worker {
    struct worker *w;
    struct upstream_conn *idle[IDLE_BUCKETS];
    struct upstream_exchange *free_exchanges;
    struct balance_turn *turns; /* by pool */
    size_t n_turns;
};

struct upstream_conn *conn_open(struct upstream_worker *u, const struct upstream_pool *p,
                                const struct upstream_origin *o, struct str host);
/* The newest idle one to this origin, or NULL. */
struct upstream_conn *conn_reuse(struct upstream_worker *u, const struct upstream_pool *p,
                                 const struct upstream_origin *o, struct str host);
/* Back among the idle ones: as many, and as long, as the pool wants. */
void conn_keep(struct upstream_conn *c, const struct config_pool *pool);
void conn_close(struct upstream_conn *c);
void conn_want(struct upstream_conn *c, short interest);
/* For wheel_set on c->timer. */
void conn_on_timer(struct wheel_timer *t);

/* ---- Exchanges ---- */

#define EXCHANGE_STEPS(X)   \
    X(CONNECT, connect)     \
    X(HANDSHAKE, handshake) \
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
    const struct upstream_pool *pool;
    struct upstream_origin *origin; /* NULL: none was up */
    int64_t started_us;             /* where latencies matter */
    struct upstream_conn *c;        /* NULL: given back, or none */
    enum exchange_step step;
    enum upstream_failure failure;
    bool is_reused, has_sent, has_answered, is_request_sent, is_request_broken, has_head, is_tunnel;
    struct chunker chunker;
    struct buffer *in;  /* the response */
    struct buffer *out; /* what is left of the request head, NULL: nothing */
    struct body body;
    struct http_framing framing;
    struct http_head head;
};

/* exchange.c: what happens on a connection in use. */
void exchange_on_event(struct upstream_exchange *x, short what);
void exchange_on_timeout(struct upstream_exchange *x);
void exchange_set_timeout(struct upstream_exchange *x, uint32_t ms);
/* For what comes next of a body or a tunnel. */
void exchange_set_idle(struct upstream_exchange *x);

/* exchange_send.c: the request. */
/* WIRE_OK and WIRE_AGAIN_WRITE: what could not be sent is kept and goes out with the body. */
enum wire_verdict exchange_send_head(struct upstream_exchange *x, const char *bytes, size_t n);
/* As much of what is left as goes. */
void exchange_pump(struct upstream_exchange *x);

#endif
