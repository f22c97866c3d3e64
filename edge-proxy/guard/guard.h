/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guard: who may come in, how often, and what is turned away first when there is too much.
 *
 *   accept    ─▶ guard_admit    addresses that are denied; connections, handshakes of one client
 *   request   ─▶ guard_allows, guard_charge    networks of a site or route, token buckets
 *   mischief  ─▶ guard_blame    a score for each client, which first makes its limits tighter and
 *                               then keeps it out until it has been forgotten
 *   each turn ─▶ guard_load     how far a worker's loop lags behind
 *
 * A client is a prefix: an IPv4 address and an IPv6 /64, unless configured otherwise. All tables
 * are of fixed size but the census of open connections, which is bounded by their number. Lifetime:
 * the guard lives as long as the process; rules belong to a generation. Threads: any, unless it
 * says otherwise. No call blocks; the census holds a lock for some tens of nanoseconds at the
 * beginning and end of a connection.
 */
#ifndef EDGE_PROXY_GUARD_H
#define EDGE_PROXY_GUARD_H

#include "common/addr/addr.h"
#include "edge-proxy/config/config.h"
#include "edge-proxy/flow/flow.h"

struct guard;
struct guard *guard_new(unsigned n_workers);
void guard_free(struct guard *g);

/* The configuration's lists of networks, ready to be searched. */
struct guard_rules;
struct guard_rules *guard_rules_new(const struct config *config);
void guard_rules_free(struct guard_rules *r);

/* ---- Connections ---- */

/* X(name, counter) */
#define GUARD_REFUSALS(X)               \
    X(DENIED, REFUSED_DENIED)           \
    X(CONNECTIONS, REFUSED_CONNECTIONS) \
    X(RATE, REFUSED_RATE)               \
    X(SCORE, REFUSED_SCORE)             \
    X(LOAD, REFUSED_LOAD)

enum guard_admission {
    GUARD_ADMITTED,
#define GUARD_ENUM_(name, counter) GUARD_REFUSED_##name,
    GUARD_REFUSALS(GUARD_ENUM_)
#undef GUARD_ENUM_
};

/* May ip open a connection on worker w? Refusals are counted. ADMITTED: *ticket is for guard_leave
 * when the connection ends. */
enum guard_admission guard_admit(struct guard *g, const struct guard_rules *rules, struct worker *w,
                                 const struct ip *ip, bool is_tls, uint64_t *ticket);
void guard_leave(struct guard *g, uint64_t ticket);

/* ---- Requests ---- */

/* Do the lists of the site and the route let ip in? */
bool guard_allows(const struct guard_rules *rules, const struct config_site *site,
                  const struct config_route *route, const struct ip *ip);
/* Charges one request of ip to a limit. key: what the limit counts by; empty: the client. Returns
 * 0, or after how many seconds, at least 1, to come again. */
uint32_t guard_charge(struct guard *g, const struct guard_rules *rules,
                      const struct config_rate_limit *limit, struct str key, const struct ip *ip);

/* ---- Mischief ---- */

/* X(name, points, counter, label) */
#define GUARD_MISCHIEF(X)                \
    X(MALFORMED, 10, MISCHIEF_MALFORMED) \
    X(HANDSHAKE, 3, MISCHIEF_HANDSHAKE)  \
    X(SLOW, 5, MISCHIEF_SLOW)            \
    X(STRANGER, 2, MISCHIEF_STRANGER)    \
    X(FORBIDDEN, 2, MISCHIEF_FORBIDDEN)  \
    X(RATE, 1, MISCHIEF_RATE)            \
    X(PROTOCOL, 25, MISCHIEF_PROTOCOL)

enum guard_mischief {
#define GUARD_ENUM_(name, points, counter) GUARD_##name,
    GUARD_MISCHIEF(GUARD_ENUM_)
#undef GUARD_ENUM_
};

/* Adds to ip's score; true: it is over the limit, and this connection, too, should end. */
bool guard_blame(struct guard *g, const struct guard_rules *rules, struct worker *w,
                 const struct ip *ip, enum guard_mischief what);

/* ---- Load ---- */

enum guard_load {
    GUARD_LOAD_FINE,
    GUARD_LOAD_HIGH,    /* most new handshakes are turned away */
    GUARD_LOAD_EXTREME, /* and whatever needs an origin */
};
/* On w's thread, once: from now on its loop's lag is measured. guard_unwatch before the loop goes.
 */
void guard_watch(struct guard *g, struct worker *w);
void guard_unwatch(struct guard *g, struct worker *w);
/* Of the generation that the worker has now: from which lag on its load is high; 0: never. */
void guard_set_lag(struct guard *g, uint32_t lag_ms);
enum guard_load guard_load(const struct guard *g, const struct worker *w);
/* Of the worker that has most. */
enum guard_load guard_highest_load(const struct guard *g);
/* Has it been extreme for so long that visitors should be sent elsewhere? Main thread, about once a
 * second. */
bool guard_is_overloaded(struct guard *g, int64_t now_ms);

#endif
