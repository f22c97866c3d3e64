/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * session: clients' connections. Speaks HTTP/1.1 to the client (RFC 9112), hands each request to
 * request and sends what comes back; or, where ALPN says so, carries bytes for h2. In front of all
 * that may be a load balancer's PROXY header; whom it names is the visitor from then on.
 * Place on the path: listen opens sessions; below it are h2 and request, which knows no protocol.
 * Lifetime: from session_open until the connection ends, which the session decides itself.
 * Threads: the worker's own.
 */
#ifndef EDGE_PROXY_SESSION_H
#define EDGE_PROXY_SESSION_H

#include "edge-proxy/request/request.h"

struct session_worker;
struct session_worker *session_worker_new(struct request_worker *rw);

/* A connection as it was accepted. */
struct session_arrival {
    const struct addr *peer;
    bool is_tls;
    uint32_t
        proxy_ms; /* within which peer says by a PROXY header whom it brings; 0: it brings itself */
};
/* Takes over fd, which is closed at once if guard refuses the visitor. Counts itself in
 * request_shared.connections. */
void session_open(struct session_worker *sw, int fd, const struct session_arrival *arrival);
/* Connections close after their response, idle ones after a moment. */
void session_worker_drain(struct session_worker *sw);
/* Files have run out: some connections that rest between requests close, those opened first. */
void session_worker_make_room(struct session_worker *sw);
unsigned session_worker_count(const struct session_worker *sw);
/* Cuts off what is left, and frees. */
void session_worker_free(struct session_worker *sw);

#endif
