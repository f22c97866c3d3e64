/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * request: what happens to one request, from its parsed head to its log line:
 *
 *   route ─▶ cache lookup ─▶ hit | join | fetch | revalidate | pass ─▶ deliver ─▶ finish
 *
 * It does not know the protocol: a session hands it a head, is woken when there is something to
 * look at, asks for the response's head and body as it can send them, and ends it.
 * Lifetime: from request_new to request_end; what must go on without its client (a fetch that
 * others wait for) goes on by itself.
 * Threads: all of a request happens on its worker's thread.
 */
#ifndef EDGE_PROXY_REQUEST_H
#define EDGE_PROXY_REQUEST_H

#include "common/addr/addr.h"
#include "edge-proxy/cache/cache.h"
#include "edge-proxy/config/config.h"
#include "edge-proxy/credential/credential.h"
#include "edge-proxy/flow/flow.h"
#include "edge-proxy/guard/guard.h"
#include "edge-proxy/route/route.h"
#include "edge-proxy/rules/rules.h"
#include "edge-proxy/upstream/upstream.h"

#include <stdatomic.h>

/* ---- Generations ---- */

/* Everything that a load of the configuration made. Immutable; freed when no worker holds it. */
struct generation {
    struct config *config;
    struct route_table *routes;
    struct rules_table *rules;
    struct guard_rules *guard;
    struct upstream_pools *pools;
    struct credential_table *credentials;
    struct tls_server *tls; /* NULL: no TLS listener */
    uint16_t https_port;    /* where redirects to https lead; 0: nowhere */
    unsigned n_workers;     /* that still hold it; main thread only */
};

/* ---- The access log ---- */

/* Lines gather per worker and are written by a thread of its own: a full disk or a stuck reader
 * costs lines, which are counted, and never a worker's time. */
struct access_log;
struct access_log *access_log_new(void);
/* Opens path ("-": standard output) for access_log_use; -1: errors say why. */
int access_log_open(const char *path, struct errors *errors, struct place place);
/* Main thread: from now on lines go there. Takes over fd; path NULL: nowhere. */
void access_log_use(struct access_log *l, const char *path, int fd);
/* Main thread: opens its file anew, after it was moved away. */
void access_log_reopen(struct access_log *l);
/* Writes what is queued, waiting at most wait_ms for a stuck file. */
void access_log_free(struct access_log *l, unsigned wait_ms);

/* ---- Workers ---- */

/* What all workers share. */
struct request_shared {
    struct cache *cache;
    struct guard *guard;
    struct access_log *log;
    struct dial_store *idle_origins; /* idle connections to origins, for any worker */
    _Atomic bool is_draining;        /* clients are asked to go: Connection: close */
    _Atomic uint32_t connections;    /* of clients, for the limit and the report */
    /* Any thread: a worker let go of g. */
    void (*on_generation_unused)(void *arg, struct generation *g);
    void *arg;
};

struct request_worker;
struct request_worker *request_worker_new(struct worker *w, struct request_shared *shared,
                                          struct generation *first);
/* From now on requests begin with g. */
void request_worker_adopt(struct request_worker *rw, struct generation *g);
struct generation *request_worker_generation(const struct request_worker *rw);
/* Keeps the present generation from being freed until it is let go (a handshake needs its TLS
 * contexts). */
struct generation_use *request_worker_hold(struct request_worker *rw);
void request_worker_release(struct request_worker *rw, struct generation_use *use);
struct request_shared *request_worker_shared(const struct request_worker *rw);
struct worker *request_worker_flow(const struct request_worker *rw);
/* Breaks such fetches off and hands the log over. No session is left. */
void request_worker_stop(struct request_worker *rw);
void request_worker_free(struct request_worker *rw);

/* ---- Streams: what a session does for its request ---- */

struct stream_ops {
    /* The response's head, more of its body, its end or its failure is there. Not called from
     * inside a call to request. */
    void (*wake)(void *stream);
    /* The request's body. The first peek asks the client for it (100 Continue). */
    enum body_verdict (*body_peek)(void *stream, struct str *data);
    void (*body_consume)(void *stream, size_t n);
    /* After BODY_END: trailer lines that may be passed on, each with its CRLF. */
    void (*write_trailers)(void *stream, struct writer *w);
    /* A response of 1xx: 103 Early Hints and its kin, forwarded. fields: lines with their CRLF. */
    void (*send_interim)(void *stream, unsigned status, struct str fields);
};

/* Of the connection that a request came on. */
struct request_client {
    struct ip ip;
    struct ip to_ip; /* where it came to; family 0: not known, nobody was to be told when it came */
    uint16_t port, to_port;
    bool is_tls;
    const char *protocol;    /* "HTTP/1.1"; until request_start a guess */
    const char *tls_version; /* "TLSv1.3"; NULL: plain */
    uint64_t policy;         /* of credential: what was asked of the client */
    const char *certificate; /* the value of Client-Cert; NULL: none was shown */
};

enum request_state {
    REQUEST_WAITING,  /* no head yet */
    REQUEST_ANSWERED, /* the head can be written, then the body */
    REQUEST_BROKEN,   /* no answer can be given: close the stream */
};

struct request_response {
    unsigned status;
    bool has_length;      /* of the body, or of the one that HEAD stands for */
    bool has_body;        /* a body follows (it may turn out empty) */
    bool is_close_wanted; /* nothing more after this, on this connection */
    bool is_misdirected;  /* it belongs on a connection of its own: this one should end */
    uint64_t length;
};

struct request;
/* client must live as long as the stream. Starts the clock for the log. */
struct request *request_new(struct request_worker *rw, const struct stream_ops *ops, void *stream,
                            const struct request_client *client);
/* To be filled by the session before request_start: a cleared head, its framing. Slices must stay
 * until request_end. */
struct http_head *request_head(struct request *r);
struct http_framing *request_framing(struct request *r);
const struct config_limits *request_limits(const struct request *r);
/* The head is whole and well framed. May answer at once. protocol: for the log, "HTTP/1.0". */
void request_start(struct request *r, const char *protocol);
/* The head, or later the body, cannot be read: answer with this status (0 and BROKEN when an answer
 * has begun). */
void request_refuse(struct request *r, enum http_verdict why);
void request_refuse_status(struct request *r, unsigned status);
/* It waits until origins may have it: a client that says no more has left the queue. */
bool request_is_queued(const struct request *r);
/* The body has more, has ended or has broken off. */
void request_on_body(struct request *r);

enum request_state request_state(const struct request *r);
const struct request_response *request_response(const struct request *r);
/* All field lines but those of framing and connection. */
void request_write_fields(struct request *r, struct writer *w);
/* At most *n slices of the body; *n says how many. They stay until consumed. BODY_WAIT: wake()
 * comes. */
enum body_verdict request_body_peek(struct request *r, struct iovec *iov, int *n);
/* After BODY_DATA: where the first slice can be sent from without copying, if it can. */
bool request_body_file(const struct request *r, int *fd, uint64_t *offset);
void request_body_consume(struct request *r, size_t n);
/* After BODY_END: the response's trailer lines (those of an exchange that goes past the cache). */
void request_write_trailers(const struct request *r, struct writer *w);

/* Counts, logs and lets go. is_whole: the client got all of it. */
void request_end(struct request *r, bool is_whole, uint64_t bytes_sent);

#endif
