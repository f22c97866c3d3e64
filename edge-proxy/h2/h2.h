/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * h2: HTTP/2 with a client (RFC 9113), by nghttp2, over bytes that somebody else carries: what came
 * goes in, what is to be sent is collected. Each stream is a request, which does not know.
 * Place on the path: session carries the bytes and keeps the connection's clock; below is request.
 * Lifetime: an h2 belongs to its connection; streams end by themselves.
 * Threads: the worker's own.
 *
 *   bytes ─▶ h2_receive ─▶ nghttp2 ─▶ head.c: fields ─▶ request
 *   bytes ◀─ h2_collect ◀─ nghttp2 ◀─ respond.c: response, body as windows and priorities allow
 *
 * What a client can do that costs us more than it costs the client is weighed (glitches.c); a
 * connection over its limit is ended.
 */
#ifndef EDGE_PROXY_H2_H
#define EDGE_PROXY_H2_H

#include "edge-proxy/request/request.h"

enum { H2_OUT_BYTES = 8 * 16384 }; /* collected at once: whole TLS records */

/* A worker's buffers and free streams. */
struct h2_worker;
struct h2_worker *h2_worker_new(struct request_worker *rw);
void h2_worker_free(struct h2_worker *hw);

struct h2_ops {
    /* There may be something to collect, from now on. Also called from inside h2_receive and
     * h2_collect. */
    void (*wake)(void *arg);
    /* Is this connection the right one for the host (RFC 9110 section 7.4)? */
    bool (*is_host_served)(void *arg, struct str host);
};

struct h2;
/* client, ops and arg must outlive it. */
struct h2 *h2_open(struct h2_worker *hw, const struct h2_ops *ops, void *arg,
                   const struct request_client *client);
/* Ends all its requests. */
void h2_free(struct h2 *h);

void h2_receive(struct h2 *h, const char *bytes, size_t n);
/* What is to be sent next, at most H2_OUT_BYTES; valid until the next call. Empty: nothing now. */
struct str h2_collect(struct h2 *h);
/* Nothing more will be sent, and nothing that comes is of interest. */
bool h2_is_over(const struct h2 *h);

/* What the connection as a whole waits for; streams have clocks of their own. */
enum h2_wait {
    H2_WAIT_STREAMS, /* somebody else's turn */
    H2_WAIT_HEAD,    /* the first frames, or the rest of a field section that has begun */
    H2_WAIT_IDLE,    /* the next request */
};
enum h2_wait h2_waits_for(const struct h2 *h);
unsigned h2_count_streams(const struct h2 *h);

/* Asks the client to go: GOAWAY in two steps, so that no request on its way is lost (RFC 9113
 * section 6.8). It is over when the last stream has ended. */
void h2_drain(struct h2 *h);
/* The same in one step, for a connection without streams. */
void h2_end_idle(struct h2 *h);

#endif
