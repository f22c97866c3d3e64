/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listen: where clients come in. Listening sockets, one per worker and address; the TLS contexts
 * for the certificates of the configuration.
 * Place on the path: accepts and opens sessions. Lifetime: sockets live over reloads as long as
 * their address stays configured; TLS contexts are part of a generation.
 * Threads: everything is called on the main thread but what says otherwise.
 */
#ifndef EDGE_PROXY_LISTEN_H
#define EDGE_PROXY_LISTEN_H

#include "common/error/error.h"
#include "common/tls/tls.h"
#include "edge-proxy/config/config.h"
#include "edge-proxy/session/session.h"

/* ---- TLS ---- */

/* The server of all certificates; g, which has its routes and credentials, must outlive it. NULL:
 * errors say why (a missing file, a key that does not match; an expired certificate is a warning),
 * or there are none and no listener needs them: then nothing was added to errors. */
struct tls_server *listen_tls_new(const struct generation *g, struct errors *errors);

/* ---- Listeners ---- */

/* A worker as listen needs it. */
struct listen_worker {
    struct worker *w;
    struct request_worker *requests;
    struct session_worker *sessions;
};

struct listen;
struct listen_change;

struct listen *listen_new(struct listen_worker *workers, unsigned n_workers);
/* Opens what config has and l does not (after asking whether anybody else has it). NULL: errors say
 * why; nothing has changed. */
struct listen_change *listen_prepare(struct listen *l, const struct config *config,
                                     struct errors *errors);
/* Workers accept on the new ones; those that are gone from the configuration are closed. */
void listen_commit(struct listen *l, struct listen_change *change);
void listen_discard(struct listen_change *change);
/* Workers stop accepting and close their sockets. */
void listen_stop(struct listen *l);
/* After the workers' loops have stopped. */
void listen_free(struct listen *l);

struct listen_state {
    char address[ADDR_TEXT];
    bool is_tls, is_open;
};
size_t listen_count(const struct listen *l);
void listen_state(const struct listen *l, size_t i, struct listen_state *out);

#endif
