/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dial: connections to origins, until they can be used and while nobody uses them. Opens one to the
 * first of several addresses that answers (RFC 8305), says whom it brings (PROXY protocol), speaks
 * TLS to it; keeps idle ones, first with the worker that used them, then for all workers:
 *
 *   dial_open ─▶ connect (race) ─▶ TLS ─▶ used ─▶ dial_keep ─▶ idle at its worker ─▶ idle for all
 *                                          ▲                            │                 │
 *                                          └───────────── dial_take ────┴─────────────────┘
 *
 * An idle connection is taken only for the same address under the same identity: everything that
 * decides what is on the other end and who we are to it (name, authorities, certificate, verifying
 * or not, protocol). One that has said whom it brings is taken for the same visitor's connection
 * only, and stays with its worker, where the visitor is.
 * Lifetime: identities are counted and outlive generations; connections live as long as they please
 * both sides.
 * Threads: identities are made by the control thread; a connection belongs to one worker at a time,
 * or to the store.
 */
#ifndef EDGE_PROXY_DIAL_H
#define EDGE_PROXY_DIAL_H

#include "common/error/error.h"
#include "edge-proxy/config/config.h"
#include "edge-proxy/flow/flow.h"

#include <event2/event_struct.h>

/* ---- Identities ---- */

struct dial_identity;
/* Equal settings and unchanged files give the same one: what was opened before a reload stays good.
 * NULL: errors say why (a file that cannot be read, a key that does not match). */
struct dial_identity *dial_identity_get(const struct config_origin_tls *tls, struct errors *errors);
/* Any thread. */
struct dial_identity *dial_identity_hold(struct dial_identity *id);
void dial_identity_put(struct dial_identity *id);
bool dial_identity_is_tls(const struct dial_identity *id);
/* All that it was made from, for whoever has to tell two apart. */
const char *dial_identity_text(const struct dial_identity *id);

/* ---- Addresses ---- */

enum { DIAL_TARGETS_MAX = 16 };
struct dial_target {
    struct addr addr;
    uint64_t hash;
};
struct dial_target dial_target_of(const struct addr *addr);

/* Which family worked lately, of one origin. Zero-initialise. */
struct dial_memory {
    _Atomic int64_t ipv4_until_ms; /* IPv6 was tried and was worse: the other goes first so long */
};

/* ---- Why it did not open ---- */

enum dial_verdict {
    DIAL_FINE,
    DIAL_NO_FILES, /* ours are used up, or the kernel's memory */
    DIAL_NO_PORTS, /* all local ports are in use towards this address */
    DIAL_CONNECT,
    DIAL_TIMEOUT,
    DIAL_TLS
};
/* Our own limits, which say nothing about the other side. */
static inline bool dial_is_own_fault(enum dial_verdict v)
{
    return v == DIAL_NO_FILES || v == DIAL_NO_PORTS;
}
/* A verdict and its cause in one word, so that it can be kept in an atomic. 0: fine. */
typedef uint64_t dial_why;
enum dial_verdict dial_verdict(dial_why why);
/* "connect: Connection refused", "certificate: self-signed certificate" */
enum { DIAL_WHY_TEXT = 128 }; /* no more than upstream.h has room for */
const char *dial_why_text(dial_why why, char buf[DIAL_WHY_TEXT]);

/* ---- What all workers share ---- */

struct dial_store;
/* w: the control thread's, which watches over what lies there. */
struct dial_store *dial_store_new(struct worker *w);
/* At most so many idle connections in the whole process, those at the workers included. */
void dial_store_set_limit(struct dial_store *s, uint32_t max_idle, unsigned n_workers);
/* Closes what is left; no worker is left. */
void dial_store_free(struct dial_store *s);

struct dial_worker;
/* store NULL: nothing is kept. */
struct dial_worker *dial_worker_new(struct worker *w, struct dial_store *store);
void dial_worker_free(struct dial_worker *dw);

/* ---- Connections (their worker's thread) ---- */

struct dial_conn;
/* None of them is called from inside a call to dial. */
struct dial_ops {
    void (*on_open)(void *arg, dial_why why); /* 0: usable. Else it is to be closed */
    void (*on_event)(void *arg, short what);
    void (*on_timeout)(void *arg);
};

enum { DIAL_PREFACE_MAX = 107 };
struct dial_order {
    const struct dial_target *targets; /* raced in this order, families taking turns */
    size_t n_targets;                  /* at least one */
    struct dial_identity *identity;
    struct dial_memory *memory; /* stays until it is open */
    struct str host;            /* for SNI and verifying, where the identity names none */
    uint32_t timeout_ms;        /* to open, TLS included */
    uint32_t stagger_ms;        /* before the next address is tried beside those before it */
    struct str preface;         /* sent before all else, TLS too: at most DIAL_PREFACE_MAX */
};

/* The newest idle one that fits, in use from now on; NULL: none. */
struct dial_conn *dial_take(struct dial_worker *dw, const struct dial_order *o,
                            const struct dial_ops *ops, void *arg);
/* on_open comes later. NULL: not even a start could be made; *why tells. */
struct dial_conn *dial_open(struct dial_worker *dw, const struct dial_order *o,
                            const struct dial_ops *ops, void *arg, dial_why *why);
/* Nobody uses it now: back among the idle ones, at most keep to this address, for at most idle_ms.
 */
void dial_keep(struct dial_conn *c, uint32_t keep, uint32_t idle_ms);
void dial_close(struct dial_conn *c);
struct wire *dial_wire(struct dial_conn *c);
/* EV_READ, EV_WRITE, both or none. */
void dial_want(struct dial_conn *c, short interest);
short dial_interest(const struct dial_conn *c);
void dial_set_timeout(struct dial_conn *c, uint32_t ms);
void dial_clear_timeout(struct dial_conn *c);

#endif
