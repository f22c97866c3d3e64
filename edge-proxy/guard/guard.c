/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients: admission, rates, scores. */
#include "edge-proxy/guard/guard_internal.h"

#include "common/clock/clock.h"

#include <stdlib.h>
#include <string.h>

enum {
    RATE_SETS_BITS = 15,  /* 2 MiB: 131,072 buckets */
    SCORE_SETS_BITS = 13, /* 512 KiB: 32,768 clients that have done something */
    /* A client whose score is at so many per mille of the limit has a half, or a quarter, of what
     * others have. */
    SCORE_HALF = 500,
    SCORE_QUARTER = 750,
    SCORE_FULL = 1000,
};

/* Kinds of keys in one table; limits of routes count on from RATE_LIMITS. */
enum rate_kind { RATE_CONNECTIONS, RATE_HANDSHAKES, RATE_LIMITS };

/* The lists of a site or a route. */
struct access {
    struct networks allowed, denied;
};

struct guard_rules {
    const struct config_clients *clients;
    struct networks exempt, denied;
    struct access *sites, *routes; /* by their index */
    size_t n_sites, n_routes;
};

struct guard *guard_new(unsigned n_workers)
{
    struct guard *g = base_zalloc(1, sizeof(*g));

    g->rates = buckets_new(RATE_SETS_BITS);
    g->scores = buckets_new(SCORE_SETS_BITS);
    g->census = census_new();
    g->load = load_new(n_workers);
    return g;
}

void guard_free(struct guard *g)
{
    buckets_free(g->rates);
    buckets_free(g->scores);
    census_free(g->census);
    load_free(g->load);
    free(g);
}

/* ---- Rules ---- */

static void build_access(struct access *out, const struct config_access *from)
{
    networks_build(&out->allowed, from->allowed, from->n_allowed);
    networks_build(&out->denied, from->denied, from->n_denied);
}

static void free_access(struct access *a)
{
    networks_free(&a->allowed);
    networks_free(&a->denied);
}

struct guard_rules *guard_rules_new(const struct config *config)
{
    struct guard_rules *r = base_zalloc(1, sizeof(*r));

    r->clients = &config->clients;
    networks_build(&r->exempt, config->clients.exempt, config->clients.n_exempt);
    networks_build(&r->denied, config->clients.denied, config->clients.n_denied);
    r->n_sites = config->n_sites;
    r->n_routes = config->n_routes;
    r->sites = base_zalloc(r->n_sites + 1, sizeof(*r->sites));
    r->routes = base_zalloc(r->n_routes + 1, sizeof(*r->routes));
    for (size_t i = 0; i < config->n_sites; i++) {
        const struct config_site *site = &config->sites[i];

        build_access(&r->sites[site->index], &site->access);
        for (size_t k = 0; k < site->n_routes; k++)
            build_access(&r->routes[site->routes[k].index], &site->routes[k].access);
    }
    return r;
}

void guard_rules_free(struct guard_rules *r)
{
    for (size_t i = 0; i < r->n_sites; i++)
        free_access(&r->sites[i]);
    for (size_t i = 0; i < r->n_routes; i++)
        free_access(&r->routes[i]);
    networks_free(&r->exempt);
    networks_free(&r->denied);
    free(r->sites);
    free(r->routes);
    free(r);
}

static bool admits(const struct access *a, const struct ip *ip)
{
    if (networks_have(&a->denied, ip))
        return false;
    return (a->allowed.n_v4 == 0 && a->allowed.n_v6 == 0) || networks_have(&a->allowed, ip);
}

bool guard_allows(const struct guard_rules *rules, const struct config_site *site,
                  const struct config_route *route, const struct ip *ip)
{
    return admits(&rules->sites[site->index], ip) &&
           (route == NULL || admits(&rules->routes[route->index], ip));
}

/* ---- Clients ---- */

/* Whom ip counts as. */
static struct ip client_of(const struct guard_rules *rules, const struct ip *ip)
{
    struct ip client = *ip;

    ip_mask(&client, ip->family == 4 ? rules->clients->prefix_v4 : rules->clients->prefix_v6);
    return client;
}

static uint64_t hash_of(const struct buckets *b, uint64_t kind, const struct ip *client)
{
    return buckets_hash(b, kind, client->bytes, ip_bits(client) / 8);
}

static bool is_exempt(const struct guard_rules *rules, const struct ip *ip)
{
    return networks_have(&rules->exempt, ip);
}

static unsigned spend_score(struct guard *g, const struct guard_rules *rules, const struct ip *ip,
                            unsigned points)
{
    struct ip client = client_of(rules, ip);

    if (rules->clients->score.token_us == 0 || is_exempt(rules, ip))
        return 0;
    return buckets_spend(g->scores, hash_of(g->scores, 0, &client), &rules->clients->score, points,
                         (uint64_t)clock_mono_us());
}

/* By how much less than others a client with this score may do. */
static unsigned tightness(unsigned score)
{
    return score >= SCORE_QUARTER ? 4 : score >= SCORE_HALF ? 2 : 1;
}

bool guard_blame(struct guard *g, const struct guard_rules *rules, struct worker *w,
                 const struct ip *ip, enum guard_mischief what)
{
    static const struct {
        unsigned points;
        enum counter counter;
    } known[] = {
#define GUARD_ROW_(name, points, counter) {points, COUNT_##counter},
        GUARD_MISCHIEF(GUARD_ROW_)
#undef GUARD_ROW_
    };

    worker_count(w, known[what].counter);
    return spend_score(g, rules, ip, known[what].points) > SCORE_FULL;
}

/* ---- Connections ---- */

static bool has_rate(struct guard *g, const struct buckets_rate *rate, enum rate_kind kind,
                     const struct ip *client, unsigned n)
{
    return rate->token_us == 0 || buckets_take(g->rates, hash_of(g->rates, kind, client), rate, n,
                                               (uint64_t)clock_mono_us()) == 0;
}

/* Whoever is not exempt. *ticket stays 0 where nothing counts connections. */
static enum guard_admission judge(struct guard *g, const struct guard_rules *rules,
                                  const struct ip *ip, bool is_tls, uint64_t *ticket)
{
    const struct config_clients *c = rules->clients;
    struct ip client = client_of(rules, ip);
    unsigned score = spend_score(g, rules, ip, 0), tight = tightness(score);

    if (networks_have(&rules->denied, ip))
        return GUARD_REFUSED_DENIED;
    if (score > SCORE_FULL)
        return GUARD_REFUSED_SCORE;
    if (!has_rate(g, &c->connections, RATE_CONNECTIONS, &client, tight) ||
        (is_tls && !has_rate(g, &c->handshakes, RATE_HANDSHAKES, &client, tight)))
        return GUARD_REFUSED_RATE;
    if (c->max_connections != 0) {
        uint32_t most = c->max_connections / tight;

        *ticket = hash_of(g->rates, RATE_CONNECTIONS, &client) | 1; /* never 0 */
        if (!census_enter(g->census, *ticket, most > 0 ? most : 1)) {
            *ticket = 0;
            return GUARD_REFUSED_CONNECTIONS;
        }
    }
    return GUARD_ADMITTED;
}

enum guard_admission guard_admit(struct guard *g, const struct guard_rules *rules, struct worker *w,
                                 const struct ip *ip, bool is_tls, uint64_t *ticket)
{
    static const enum counter counters[] = {
#define GUARD_ROW_(name, counter) [GUARD_REFUSED_##name] = COUNT_##counter,
        GUARD_REFUSALS(GUARD_ROW_)
#undef GUARD_ROW_
    };
    enum guard_admission a = GUARD_ADMITTED;

    *ticket = 0;
    if (is_exempt(rules, ip))
        return a;
    a = load_refuses(g->load, w, is_tls) ? GUARD_REFUSED_LOAD : judge(g, rules, ip, is_tls, ticket);
    if (a != GUARD_ADMITTED)
        worker_count(w, counters[a]);
    return a;
}

void guard_leave(struct guard *g, uint64_t ticket)
{
    if (ticket != 0)
        census_leave(g->census, ticket);
}

/* ---- Requests ---- */

uint32_t guard_charge(struct guard *g, const struct guard_rules *rules,
                      const struct config_rate_limit *limit, struct str key, const struct ip *ip)
{
    struct ip client = client_of(rules, ip);
    uint64_t hash, wait_us;

    if (is_exempt(rules, ip))
        return 0;
    hash = key.n > 0 ? buckets_hash(g->rates, RATE_LIMITS + limit->id, key.p, key.n)
                     : hash_of(g->rates, RATE_LIMITS + limit->id, &client);
    wait_us = buckets_take(g->rates, hash, &limit->rate, tightness(spend_score(g, rules, ip, 0)),
                           (uint64_t)clock_mono_us());
    return (uint32_t)((wait_us + 999999) / 1000000);
}
