/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of dial share. */
#ifndef EDGE_PROXY_DIAL_INTERNAL_H
#define EDGE_PROXY_DIAL_INTERNAL_H

#include "edge-proxy/dial/dial.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

enum {
    DIAL_BUCKETS = 256,          /* of a worker's peers */
    DIAL_SHARE_MS = 200,         /* unused for so long, an idle connection is for all workers */
    DIAL_MEMORY_MS = 10 * 60000, /* for which a family that failed goes second */
    DIAL_SESSIONS = 256          /* TLS sessions kept for an identity */
};

/* ---- Identities ---- */

struct dial_session {
    struct ip ip;
    uint16_t port;
    char *host;
    SSL_SESSION *session; /* NULL: none */
};

struct dial_identity {
    struct dial_identity *next;
    _Atomic uint32_t n_holders;
    uint64_t hash;
    char *text;
    SSL_CTX *ssl_ctx;  /* NULL: plain */
    char *server_name; /* NULL: that of the order */
    bool is_unverified;
    pthread_mutex_t lock; /* of the sessions: taken at handshakes only */
    struct dial_session sessions[DIAL_SESSIONS];
};

/* A connection's TLS, with the name to ask for and to verify, and a session to resume. */
SSL *identity_new_ssl(struct dial_identity *id, struct dial_conn *c);
static inline bool identity_needs_host(const struct dial_identity *id)
{
    return id->ssl_ctx != NULL && id->server_name == NULL;
}

/* ---- Connections ---- */

TAILQ_HEAD(dial_list, dial_conn);

/* The idle connections of one worker that are interchangeable; there is at least one. */
struct dial_peer {
    struct dial_peer *next;
    struct dial_list idle; /* newest first */
    uint32_t n_idle;
    uint64_t hash;
};

enum dial_state { DIAL_OPENING, DIAL_USED, DIAL_IDLE, DIAL_SHARED };

struct dial_conn {
    uint32_t magic;
    uint8_t state;
    short interest; /* EV_READ, EV_WRITE as registered */
    struct wire wire;
    struct dial_worker *dw;
    const struct dial_ops *ops;
    void *arg;
    struct event event;
    struct wheel_timer timer;
    struct dial_race *race; /* while opening */
    TAILQ_ENTRY(dial_conn) link;
    /* While idle. */
    struct dial_peer *peer;     /* at its worker */
    TAILQ_ENTRY(dial_conn) age; /* of a visitor's own */
    uint32_t keep;
    int64_t idle_until_ms;
    uint64_t ticket; /* names it among those in the store */
    /* What it is a connection to. */
    struct dial_identity *identity;
    uint64_t hash; /* of all of it */
    struct ip ip;
    uint16_t port;
    uint8_t host_n; /* 0: the identity names the host, or nobody does */
    uint8_t preface_n;
    char host[]; /* terminated; then what was said before all else */
};
static inline struct str conn_preface(const struct dial_conn *c)
{
    return (struct str){c->host + c->host_n + 1, c->preface_n};
}

/* What a connection is to. */
struct conn_key {
    uint64_t hash;
    const struct dial_target *target;
    const struct dial_identity *identity;
    struct str host, preface;
};
enum { DIAL_MAGIC = 0x0c0117ec };

struct dial_worker {
    struct worker *w;
    struct dial_store *store;
    uint32_t n_idle, n_idle_of_visitors; /* of those, visitors' own: with a preface */
    struct dial_list of_visitors;        /* the longest idle last */
    struct dial_peer *peers[DIAL_BUCKETS], *free_peers;
};

/* open.c */
void open_on_event(struct dial_conn *c, short what);
void open_on_timeout(struct dial_conn *c);
/* The race, where it still goes on. */
void open_stop(struct dial_conn *c);

/* conn.c */
struct conn_key conn_key(const struct dial_target *t, const struct dial_identity *id,
                         struct str host, struct str preface);
struct str conn_host(const struct dial_identity *id, struct str host);
bool conn_is_to(const struct dial_conn *c, const struct conn_key *key);
/* What an idle connection has to say: false: that it has ended. */
bool conn_is_quiet(struct worker *w, struct dial_conn *c);
/* Closes what no loop watches. */
void conn_destroy(struct worker *w, struct dial_conn *c);

/* store.c */
/* Takes c over; whether it has room for it. */
bool store_put(struct dial_store *s, struct dial_conn *c);
struct dial_conn *store_take(struct dial_store *s, const struct conn_key *key);
uint32_t store_worker_limit(const struct dial_store *s);
unsigned store_n_workers(const struct dial_store *s);

#endif
