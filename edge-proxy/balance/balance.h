/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * balance: which of a pool's origins the next request goes to. From the state of all of them to the
 * index of one, in three narrowing steps:
 *
 *   who may be asked (health, tried) ─▶ which group (priorities) ─▶ which of it (slow start,
 * policy)
 *
 * An origin is out either by active checks (never asked) or by ejection (asked when there is nobody
 * else, for a guess about a few requests must not close a site).
 * Place on the path: below upstream, which tells what becomes of requests.
 * Lifetime: a balance is part of a pool and thus of a generation.
 * Threads: configured by one thread; from then on all functions may be called by any. The choice
 * takes no lock and allocates nothing. What changes with every request (struct balance_load) has a
 * cache line for each origin, apart from what every choice reads (struct balance_health).
 */
#ifndef EDGE_PROXY_BALANCE_H
#define EDGE_PROXY_BALANCE_H

#include "common/base/base.h"
#include "edge-proxy/config/config.h"

#include <stdatomic.h>

enum {
    BALANCE_MAX = 64,      /* origins of a pool: sets of them are bits of one word */
    BALANCE_PRIORITIES = 8 /* groups */
};

/* What one worker keeps for one pool. Zero-initialise; begins anew when the pool is another. */
struct balance_turn {
    const struct balance *owner;
    uint64_t random;              /* state of xorshift64 */
    int64_t arrears[BALANCE_MAX]; /* round robin: what each is owed, in weights */
};

struct balance_query {
    uint64_t tried; /* not these, as bits */
    uint64_t full;  /* nor these, but only because of what they have to do */
    uint64_t key;   /* for CONFIG_POLICY_HASH */
    bool has_key;
    uint32_t seed; /* the worker's number, so that workers begin their turns apart */
    int64_t now_ms;
};

struct balance;

/* config must outlive it. */
struct balance *balance_new(const struct config_balance *config, size_t n);
void balance_free(struct balance *b);
/* Once for each i < n. id tells it from others and stays the same on all edges and over reloads. */
void balance_set(struct balance *b, size_t i, uint64_t id, uint32_t weight, unsigned priority);

/* ---- What is known of each ---- */

/* Whether there is such an origin at all, as one that has an address; all are there at first. Who
 * is not is never asked and counts in no share. */
void balance_set_there(struct balance *b, size_t i, bool is_there);
bool balance_is_there(const struct balance *b, size_t i);
/* Another origin has come to its place: what is known of the one before is not true of it. */
void balance_forget(struct balance *b, size_t i, int64_t now_ms);

void balance_set_down(struct balance *b, size_t i, bool is_down, int64_t now_ms);
bool balance_is_down(const struct balance *b, size_t i);
/* Until then it is asked only when nobody else is left; 0 ends it. */
void balance_eject(struct balance *b, size_t i, int64_t until_ms);
int64_t balance_ejected_until(const struct balance *b, size_t i);
/* Its share begins small from now on (slow start, if configured). */
void balance_ramp(struct balance *b, size_t i, int64_t now_ms);
/* Part of its share that it gets now, in permille. */
unsigned balance_ramp_permille(const struct balance *b, size_t i, int64_t now_ms);
/* Neither down nor ejected. */
bool balance_is_usable(const struct balance *b, size_t i, int64_t now_ms);
/* So few are usable that health no longer counts. */
bool balance_is_panicking(const struct balance *b, int64_t now_ms);
/* The same of another balance: after a reload. */
void balance_inherit(struct balance *b, size_t i, const struct balance *from, size_t k);

/* ---- Requests ---- */

/* Index, or which is negative: none is left, or those who are left are full. Who is out is not
 * asked because the others are full. */
enum { BALANCE_NONE = -1, BALANCE_FULL = -2 };
int balance_pick(const struct balance *b, struct balance_turn *t, const struct balance_query *q);
/* The same without a choice: 0 where there is one. */
int balance_look(const struct balance *b, const struct balance_query *q);
void balance_start(struct balance *b, size_t i);
void balance_finish(struct balance *b, size_t i);
uint32_t balance_in_flight(const struct balance *b, size_t i);
/* From the request's start to the head of its answer. A failure counts as BALANCE_FAILED_US at
 * least: an origin that fails fast must not look like a fast one. */
enum { BALANCE_FAILED_US = 1000000 };
void balance_note_latency(struct balance *b, size_t i, uint64_t us, int64_t now_ms);
/* Peak EWMA of the latency as it counts now, microseconds. */
double balance_latency_us(const struct balance *b, size_t i, int64_t now_ms);
/* Somebody whom tried leaves out is neither down nor ejected. */
bool balance_has_other(const struct balance *b, uint64_t tried, int64_t now_ms);
/* Whether somebody looks at latencies: else they need not be measured. */
bool balance_wants_latency(const struct balance *b);

/* ---- Results, and what follows from them ---- */

enum balance_result {
    BALANCE_NO_RESULT,     /* says nothing about the origin */
    BALANCE_FINE,          /* an answer below 500 */
    BALANCE_SERVER_ERROR,  /* another 5xx */
    BALANCE_GATEWAY_ERROR, /* no answer, or 502, 503, 504 */
    BALANCE_UNREACHABLE    /* no connection */
};

/* X(name, label, "origin is ejected: …") */
#define BALANCE_REASONS(X)                                                \
    X(FAILURES, "failures", "too many failures in a row")                 \
    X(SERVER_ERRORS, "server-errors", "too many answers of 5xx in a row") \
    X(OUTLIER, "outlier", "fails more often than the others")
enum balance_reason {
    BALANCE_NO_REASON,
#define BALANCE_REASON_ENUM_(name, label, text) BALANCE_##name,
    BALANCE_REASONS(BALANCE_REASON_ENUM_)
#undef BALANCE_REASON_ENUM_
};

/* began_ms: of the request, by clock_coarse_ms. The reason if this ejects the origin. */
enum balance_reason balance_note_result(struct balance *b, size_t i,
                                        const struct config_ejection *c, enum balance_result result,
                                        int64_t began_ms, int64_t now_ms);
/* Looks at the results since the last look; those that it ejects, as bits. One thread. */
uint64_t balance_find_outliers(struct balance *b, const struct config_ejection *c, int64_t now_ms);
/* Of the ejection under way; BALANCE_NO_REASON: there is none. */
enum balance_reason balance_ejected_why(const struct balance *b, size_t i, int64_t now_ms);
int64_t balance_ejected_since(const struct balance *b, size_t i);

/* ---- Retries ---- */

/* false: the budget is used up. Else balance_end_retry when it is over. */
MUST_USE bool balance_begin_retry(struct balance *b, const struct config_retry *budget,
                                  int64_t now_ms);
void balance_end_retry(struct balance *b);

#endif
