/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * upstream: origins. Chooses a healthy one of a pool, keeps idle connections to it, sends one
 * request and reads one response, both streamed with back-pressure; checks origins' health.
 * Place on the path: request starts an exchange, is told when something happened, looks, and ends
 * it. Below it are dial, flow and http.
 * Lifetime: pools are part of a generation; an exchange belongs to one request; connections outlive
 * both and stay with their worker.
 * Threads: an exchange lives on its worker's thread; checks and the listing of origins run on the
 * control loop; an origin's state is atomic and read by all.
 */
#ifndef EDGE_PROXY_UPSTREAM_H
#define EDGE_PROXY_UPSTREAM_H

#include "common/error/error.h"
#include "edge-proxy/balance/balance.h"
#include "edge-proxy/config/config.h"
#include "edge-proxy/flow/flow.h"

/* ---- Pools and their health (control thread) ---- */

struct upstream_pools;

/* previous (or NULL): origins that are there again keep their state. NULL: errors say why (a CA
 * file that cannot be read). config must outlive the pools. */
struct upstream_pools *upstream_pools_new(const struct config *config,
                                          const struct upstream_pools *previous,
                                          struct errors *errors);
void upstream_pools_free(struct upstream_pools *p);

/* Finds the addresses of origins that have names, and goes on doing so on w's loop; waits for the
 * first ones, but not for long. errors gets a warning for each that has none yet. */
void upstream_pools_resolve(struct upstream_pools *p, const struct upstream_pools *previous,
                            struct worker *w, struct errors *errors);
/* From now on their limits hold, also for what began before. */
void upstream_pools_take_over(struct upstream_pools *p);
/* Others have taken over: its names are not asked for any more. */
void upstream_pools_retire(struct upstream_pools *p);

struct upstream_checks;
/* Checks all origins of the pools, on w's loop, until stopped. on_change(arg): an origin went up
 * or down. */
struct upstream_checks *upstream_checks_start(struct worker *w, struct upstream_pools *p,
                                              void (*on_change)(void *arg), void *arg);
void upstream_checks_stop(struct upstream_checks *c);

enum { UPSTREAM_WHY_TEXT = 128 };
struct upstream_origin_state {
    const char *pool, *name;
    bool is_up;
    const char *reason; /* of the newest change, "" at first; lives as long as the pools and this */
    uint64_t since_ms;  /* in this state for so long */
    uint32_t connections;
    const char *stale_reason;    /* its addresses are old, because; NULL: they are not */
    bool is_there;               /* false: a place without address that nobody needs to see */
    uint32_t share_permille;     /* of its weight: less while it starts slowly */
    bool is_panic;               /* its pool asks all, whatever their health */
    uint32_t waiting;            /* in its pool's queue */
    char why[UPSTREAM_WHY_TEXT]; /* room for the reason */
};
size_t upstream_count_origins(const struct upstream_pools *p);
void upstream_origin_state(const struct upstream_pools *p, size_t i,
                           struct upstream_origin_state *out);
/* The present addresses of one with a name; 0: none, or it has a fixed one. */
enum { UPSTREAM_ADDRESSES_MAX = 16 };
size_t upstream_origin_addresses(const struct upstream_pools *p, size_t i,
                                 struct addr out[UPSTREAM_ADDRESSES_MAX]);
bool upstream_is_pool_up(const struct upstream_pools *p, uint16_t pool);
/* A healthy origin that is not among tried. */
bool upstream_has_other(const struct upstream_pools *p, uint16_t pool, uint64_t tried);
/* Of the pool's budget for sending what an origin may have seen once more; false: used up. Any
 * thread; ends with upstream_end_retry. */
MUST_USE bool upstream_begin_retry(const struct upstream_pools *p, uint16_t pool);
void upstream_end_retry(const struct upstream_pools *p, uint16_t pool);

/* ---- A worker's side ---- */

struct upstream_worker;
struct dial_store;
/* store: where idle connections go that other workers may have. */
struct upstream_worker *upstream_worker_new(struct worker *w, struct dial_store *store);
/* A new generation has n_pools pools. */
void upstream_worker_adopt(struct upstream_worker *u, size_t n_pools);
/* Closes the idle connections; no exchange is open. */
void upstream_worker_free(struct upstream_worker *u);

/* ---- Exchanges ---- */

/* X(name, status for the client, counter, label, what it says about the origin) */
#define UPSTREAM_FAILURES(X)                                                          \
    X(NONE_UP, 503, UPSTREAM_NONE_UP, "no origin up", NO_RESULT)                      \
    X(QUEUE_FULL, 503, UPSTREAM_QUEUE_FULL, "queue full", NO_RESULT)                  \
    X(QUEUE_TIMEOUT, 503, UPSTREAM_QUEUE_TIMEOUT, "queue timeout", NO_RESULT)         \
    X(NO_FILES, 503, UPSTREAM_NO_FILES, "no file descriptor left", NO_RESULT)         \
    X(NO_MEMORY, 503, UPSTREAM_NO_MEMORY, "buffers used up", NO_RESULT)               \
    X(NO_PORTS, 503, UPSTREAM_NO_PORTS, "no local port left", NO_RESULT)              \
    X(CONNECT, 502, UPSTREAM_CONNECT_FAILED, "connect failed", UNREACHABLE)           \
    X(CONNECT_TIMEOUT, 504, UPSTREAM_CONNECT_TIMEOUT, "connect timeout", UNREACHABLE) \
    X(TLS, 502, UPSTREAM_TLS, "tls failed", UNREACHABLE)                              \
    X(RESET, 502, UPSTREAM_RESET, "closed without an answer", GATEWAY_ERROR)          \
    X(FIRST_BYTE, 504, UPSTREAM_FIRST_BYTE, "no answer in time", GATEWAY_ERROR)       \
    X(IDLE, 504, UPSTREAM_IDLE, "stalled", NO_RESULT)                                 \
    X(TRUNCATED, 502, UPSTREAM_TRUNCATED, "broken off", NO_RESULT)                    \
    X(PROTOCOL, 502, UPSTREAM_PROTOCOL, "not valid HTTP", GATEWAY_ERROR)

enum upstream_failure {
    UPSTREAM_FINE,
#define UPSTREAM_ENUM_(name, status, counter, label, result) UPSTREAM_FAILED_##name,
    UPSTREAM_FAILURES(UPSTREAM_ENUM_)
#undef UPSTREAM_ENUM_
};
unsigned upstream_failure_status(enum upstream_failure f);
const char *upstream_failure_label(enum upstream_failure f);

/* What a request says before its fields. */
struct upstream_start {
    struct str method;
    struct str authority; /* whom it is for; empty: an HTTP/1.0 request that does not say */
    bool takes_trailers;
};

/* What the exchange asks of its request. None of them is called from inside a call to upstream,
 * but those that write and the body's, which must not call back. */
struct upstream_ops {
    /* The slices are good until the call into upstream or the loop's is over. */
    void (*describe)(void *arg, struct upstream_start *out);
    void (*write_target)(void *arg, struct writer *w); /* path and query */
    /* Field lines, but for those that each version of HTTP has its own way of saying: whom it is
     * for, where a body without Content-Length ends, and what concerns one connection. */
    void (*write_fields)(void *arg, struct writer *w);
    enum body_verdict (*body_peek)(void *arg, struct str *data);
    void (*body_consume)(void *arg, size_t n);
    void (*write_trailers)(void *arg, struct writer *w); /* behind a chunked body: lines */
    /* A head with 1xx but 101 came. */
    void (*on_interim)(void *arg, const struct http_head *head);
    /* A head, some body, an end or a failure: look. The exchange may be ended from here. */
    void (*on_progress)(void *arg);
};

struct upstream_request {
    const struct upstream_ops *ops;
    void *arg;
    const struct upstream_pools *pools;
    uint16_t pool;
    enum http_method method;
    bool has_body, is_body_chunked; /* peek tells where it ends */
    struct str host;                /* as sent: for SNI where the pool names none */
    uint64_t tried;                 /* origins of the pool that are not to be asked, as bits */
    uint64_t key;                   /* of a pool that hashes: equal ones go to one origin */
    bool has_key;
    bool is_fresh_wanted; /* not over a kept connection */
    bool is_upgrade;      /* 101 is an answer that we asked for */
    struct str preface; /* first on its connection, before TLS; until upstream_start has returned */
};

struct upstream_exchange;

/* Never fails here: a failure is there to be seen at once by upstream_failure(). */
struct upstream_exchange *upstream_start(struct upstream_worker *u,
                                         const struct upstream_request *r);
/* Ends it in any state: keeps the connection if the response was read whole, else closes it. */
void upstream_end(struct upstream_exchange *x);
enum upstream_failure upstream_failure(const struct upstream_exchange *x);
/* It waits until its pool's limits let it begin. Its time has not begun either. */
bool upstream_is_queued(const struct upstream_exchange *x);
/* The final head (or a 101); NULL: not yet. */
const struct http_head *upstream_head(const struct upstream_exchange *x);
/* Of that head, lines with these names are not to be forwarded or stored. */
void upstream_hide_fields(struct upstream_exchange *x, const struct field_names *names);
const struct http_framing *upstream_framing(const struct upstream_exchange *x);
/* Of the body, before any of it is consumed: as framed, or because it has all come already.
 * UINT64_MAX: not known. */
uint64_t upstream_body_bytes(const struct upstream_exchange *x);
enum body_verdict upstream_body_peek(struct upstream_exchange *x, struct str *data);
void upstream_body_consume(struct upstream_exchange *x, size_t n);
/* After BODY_END: the trailer lines that may be passed on. */
void upstream_write_trailers(const struct upstream_exchange *x, struct writer *w);
/* Its time is up, by the caller's clock: from now on a failure. */
void upstream_time_out(struct upstream_exchange *x);
/* The request's body has more, or has ended. */
void upstream_pump(struct upstream_exchange *x);
/* Which origin of its pool: its bit for upstream_request.tried, and its name for the log. */
uint64_t upstream_origin_bit(const struct upstream_exchange *x);
const char *upstream_origin_name(const struct upstream_exchange *x); /* NULL: none was chosen */
/* It failed before any byte of the response: on a kept connection, which the origin may just have
 * closed, or before anything was sent. */
bool upstream_was_reused(const struct upstream_exchange *x);
bool upstream_has_answered(const struct upstream_exchange *x);
bool upstream_has_sent(const struct upstream_exchange *x);

#endif
