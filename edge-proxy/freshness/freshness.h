/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * freshness: may a response be stored, for how long may it be used, what does a request allow.
 * Pure functions over fields (RFC 9111, RFC 5861, RFC 9213), called by cache once per fetch and,
 * for requests, once per look-up. No state; any thread.
 */
#ifndef EDGE_PROXY_FRESHNESS_H
#define EDGE_PROXY_FRESHNESS_H

#include "edge-proxy/http/http.h"

/* Why a response is not stored; the text goes to Cache-Status' detail. */
#define FRESHNESS_VERDICTS(X)                   \
    X(FRESHNESS_STORE, "stored")                \
    X(FRESHNESS_METHOD, "method")               \
    X(FRESHNESS_STATUS, "status")               \
    X(FRESHNESS_NO_STORE, "no-store")           \
    X(FRESHNESS_PRIVATE, "private")             \
    X(FRESHNESS_AUTHORIZATION, "authorization") \
    X(FRESHNESS_SET_COOKIE, "set-cookie")       \
    X(FRESHNESS_VARY, "vary")                   \
    X(FRESHNESS_NOTHING, "no-freshness")

enum freshness_verdict {
#define X(name, text) name,
    FRESHNESS_VERDICTS(X)
#undef X
};
const char *freshness_verdict_text(enum freshness_verdict v);

/* How long a stored response lives (seconds). Kept with it. */
struct freshness {
    uint32_t lifetime_s;    /* freshness lifetime, RFC 9111 section 4.2.1 */
    uint32_t initial_age_s; /* corrected_initial_age, section 4.2.3 */
    uint32_t stale_while_revalidate_s, stale_if_error_s;
    bool always_validates; /* no-cache: never used without asking the origin */
    bool never_stale;      /* must-revalidate and its kin forbid stale use, section 4.2.4 */
};

struct freshness_exchange {
    enum http_method method;
    const struct fields *request;
    unsigned status;
    const struct fields *response;
    int64_t request_s, response_s; /* wall clock: the request was sent, the head came */
    uint32_t default_ttl_s;        /* the site's, for responses that carry no freshness but a
                                      validator */
};

/* Storable? Then *out is filled. */
enum freshness_verdict freshness_of_response(const struct freshness_exchange *x,
                                             struct freshness *out);

/* What the request asks of a cache (RFC 9111 section 5.2.1). A shared edge lets clients choose only
 * what cannot be used against it: reload directives count where is_obeyed (the site's wish). */
struct freshness_request {
    bool is_lookup_allowed; /* the method and the fields let a stored response answer */
    bool is_no_store;
    bool is_validation_wanted; /* no-cache, Pragma: no-cache, max-age=0 */
    bool is_only_if_cached;
};
void freshness_of_request(enum http_method method, const struct fields *request, bool is_obeyed,
                          struct freshness_request *out);

/* Age now, with resident_s seconds in the store (RFC 9111 section 4.2.3), at most 2^31. */
uint32_t freshness_age_s(const struct freshness *f, int64_t resident_s);

enum freshness_use {
    FRESHNESS_FRESH,
    FRESHNESS_STALE_USABLE, /* within stale-while-revalidate */
    FRESHNESS_STALE,
};
enum freshness_use freshness_use(const struct freshness *f, int64_t resident_s);
/* The origin fails: may the stored response stand in (stale-if-error, RFC 5861 section 4)? */
bool freshness_is_usable_on_error(const struct freshness *f, int64_t resident_s);

#endif
