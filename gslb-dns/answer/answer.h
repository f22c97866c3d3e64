/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answer: from a query's bytes to the answer's bytes. The coordinator of the DNS path: answer.c
 * names every step and does none of them itself.
 *
 *   net ─batch─▶ parse (wire) ─▶ find (zone) ─▶ compose: static | steered | chain | referral |
 *                                                        negative ─▶ truncate ─▶ OPT ─▶ net
 *
 * A batch goes through each step together, so that the memory which the next step needs is on its
 * way from RAM while other queries are worked on. No allocation, no lock, no system call.
 *
 * What is minimal about the answers: authority holds only SOA (negative) or NS (referral),
 * additional only the addresses of targets that the zone itself has, and OPT.
 *
 * Lifetime: a context belongs to one thread and lives as long as it; queries and their buffers are
 * the caller's. The world is read once per batch, inside the caller's snapshot_enter/leave.
 */
#ifndef GSLB_DNS_ANSWER_H
#define GSLB_DNS_ANSWER_H

#include "common/addr/addr.h"
#include "common/base/base.h"
#include "common/metrics/metrics.h"
#include "common/snapshot/snapshot.h"
#include "gslb-dns/secondary/secondary.h"
#include "gslb-dns/wire/wire.h"
#include "gslb-dns/world/world.h"

/* Name, Prometheus name, help: the counters of the DNS path, those of net above it included. The
 * verdicts of wire and those on NOTIFY follow as rows of their own, ANSWER_COUNTER_WIRE_… and
 * ANSWER_COUNTER_NOTIFY_… */
#define ANSWER_COUNTERS(X)                                                                         \
    X(UDP4, "gslb_dns_queries_total{transport=\"udp\",family=\"4\"}", "Queries received.")         \
    X(UDP6, "gslb_dns_queries_total{transport=\"udp\",family=\"6\"}", "Queries received.")         \
    X(TCP4, "gslb_dns_queries_total{transport=\"tcp\",family=\"4\"}", "Queries received.")         \
    X(TCP6, "gslb_dns_queries_total{transport=\"tcp\",family=\"6\"}", "Queries received.")         \
    X(TLS4, "gslb_dns_queries_total{transport=\"tls\",family=\"4\"}", "Queries received.")         \
    X(TLS6, "gslb_dns_queries_total{transport=\"tls\",family=\"6\"}", "Queries received.")         \
    X(HTTPS4, "gslb_dns_queries_total{transport=\"https\",family=\"4\"}", "Queries received.")     \
    X(HTTPS6, "gslb_dns_queries_total{transport=\"https\",family=\"6\"}", "Queries received.")     \
    X(EDNS, "gslb_dns_queries_edns_total", "Queries with EDNS.")                                   \
    X(ECS, "gslb_dns_queries_ecs_total", "Queries with EDNS Client Subnet.")                       \
    X(NOERROR, "gslb_dns_answers_total{rcode=\"NOERROR\"}", "Answers by RCODE.")                   \
    X(FORMERR, "gslb_dns_answers_total{rcode=\"FORMERR\"}", "Answers by RCODE.")                   \
    X(SERVFAIL, "gslb_dns_answers_total{rcode=\"SERVFAIL\"}", "Answers by RCODE.")                 \
    X(NXDOMAIN, "gslb_dns_answers_total{rcode=\"NXDOMAIN\"}", "Answers by RCODE.")                 \
    X(NOTIMP, "gslb_dns_answers_total{rcode=\"NOTIMP\"}", "Answers by RCODE.")                     \
    X(REFUSED, "gslb_dns_answers_total{rcode=\"REFUSED\"}", "Answers by RCODE.")                   \
    X(YXDOMAIN, "gslb_dns_answers_total{rcode=\"YXDOMAIN\"}", "Answers by RCODE.")                 \
    X(NOTAUTH, "gslb_dns_answers_total{rcode=\"NOTAUTH\"}", "Answers by RCODE.")                   \
    X(BADVERS, "gslb_dns_answers_total{rcode=\"BADVERS\"}", "Answers by RCODE.")                   \
    X(BADCOOKIE, "gslb_dns_answers_total{rcode=\"BADCOOKIE\"}", "Answers by RCODE.")               \
    X(COOKIE_ABSENT, "gslb_dns_cookies_total{cookie=\"client\"}",                                  \
      "Queries with a cookie, by whether it is good: client asks for one.")                        \
    X(COOKIE_VALID, "gslb_dns_cookies_total{cookie=\"valid\"}",                                    \
      "Queries with a cookie, by whether it is good: client asks for one.")                        \
    X(COOKIE_INVALID, "gslb_dns_cookies_total{cookie=\"invalid\"}",                                \
      "Queries with a cookie, by whether it is good: client asks for one.")                        \
    X(LIMIT_PASSED, "gslb_dns_rate_limit_total{verdict=\"passed\"}",                               \
      "Answers that the limit was asked about.")                                                   \
    X(LIMIT_EXEMPT, "gslb_dns_rate_limit_total{verdict=\"exempt\"}",                               \
      "Answers that the limit was asked about.")                                                   \
    X(LIMIT_ADDRESS, "gslb_dns_rate_limit_total{verdict=\"address\"}",                             \
      "Answers that the limit was asked about.")                                                   \
    X(LIMIT_NETWORK, "gslb_dns_rate_limit_total{verdict=\"network\"}",                             \
      "Answers that the limit was asked about.")                                                   \
    X(LIMIT_DROPPED, "gslb_dns_rate_limited_total{action=\"dropped\"}",                            \
      "Answers above the limit: what was done.")                                                   \
    X(LIMIT_SLIPPED, "gslb_dns_rate_limited_total{action=\"truncated\"}",                          \
      "Answers above the limit: what was done.")                                                   \
    X(LIMIT_BADCOOKIE, "gslb_dns_rate_limited_total{action=\"badcookie\"}",                        \
      "Answers above the limit: what was done.")                                                   \
    X(TSIG_OK, "gslb_dns_tsig_total{verdict=\"ok\"}", "Signed queries, by verdict.")               \
    X(TSIG_BADKEY, "gslb_dns_tsig_total{verdict=\"badkey\"}", "Signed queries, by verdict.")       \
    X(TSIG_BADSIG, "gslb_dns_tsig_total{verdict=\"badsig\"}", "Signed queries, by verdict.")       \
    X(TSIG_BADTIME, "gslb_dns_tsig_total{verdict=\"badtime\"}", "Signed queries, by verdict.")     \
    X(TSIG_OTHER, "gslb_dns_tsig_total{verdict=\"malformed\"}", "Signed queries, by verdict.")     \
    X(NODATA, "gslb_dns_nodata_total", "NOERROR answers that say: no records of this type.")       \
    X(REFERRAL, "gslb_dns_referrals_total", "Answers that refer to a child zone.")                 \
    X(TRUNCATED, "gslb_dns_truncated_total", "Answers with TC, to be asked again by TCP.")         \
    X(STEERED_ECS, "gslb_dns_steered_total{by=\"ecs\"}", "Steered answers, by what.")              \
    X(STEERED_SOURCE, "gslb_dns_steered_total{by=\"source\"}", "Steered answers, by what.")        \
    X(STEERED_DEFAULT, "gslb_dns_steered_total{by=\"default\"}",                                   \
      "Steered answers, by what.") /* see ANSWER_BY_DEFAULT */                                     \
    X(ALL_DOWN, "gslb_dns_all_down_total", "Steered answers while every edge was down.")           \
    X(ONLINE_SIGNATURES, "gslb_dns_online_signatures_total",                                       \
      "Signatures made for one answer, in zones with compact denial.")                             \
    X(ONLINE_REFUSED, "gslb_dns_online_signatures_refused_total",                                  \
      "Answers with TC or SERVFAIL, the time for such signatures being spent.")                    \
    X(UDP_DROP_PORT, "gslb_dns_udp_dropped_total{reason=\"port_0\"}", "UDP packets not answered.") \
    X(UDP_DROP_SEND, "gslb_dns_udp_dropped_total{reason=\"send_failed\"}",                         \
      "UDP packets not answered.")                                                                 \
    X(UDP_DROP_PROXY, "gslb_dns_udp_dropped_total{reason=\"proxy_header\"}",                       \
      "UDP packets not answered.")                                                                 \
    X(UDP_BATCHES, "gslb_dns_udp_batches_total", "Calls that received UDP queries.")               \
    X(TCP_OPENED, "gslb_dns_tcp_opened_total", "TCP connections accepted.")                        \
    X(TCP_CLOSED_PEER, "gslb_dns_tcp_closed_total{reason=\"peer\"}",                               \
      "TCP connections closed, by reason.")                                                        \
    X(TCP_CLOSED_ERROR, "gslb_dns_tcp_closed_total{reason=\"error\"}",                             \
      "TCP connections closed, by reason.")                                                        \
    X(TCP_CLOSED_IDLE, "gslb_dns_tcp_closed_total{reason=\"idle\"}",                               \
      "TCP connections closed, by reason.")                                                        \
    X(TCP_CLOSED_SLOW, "gslb_dns_tcp_closed_total{reason=\"slow_reader\"}",                        \
      "TCP connections closed, by reason.")                                                        \
    X(TCP_CLOSED_EVICTED, "gslb_dns_tcp_closed_total{reason=\"evicted\"}",                         \
      "TCP connections closed, by reason.")                                                        \
    X(TCP_CLOSED_CLIENT, "gslb_dns_tcp_closed_total{reason=\"client_limit\"}",                     \
      "TCP connections closed, by reason.")                                                        \
    X(TCP_CLOSED_FRAME, "gslb_dns_tcp_closed_total{reason=\"frame\"}",                             \
      "TCP connections closed, by reason.")                                                        \
    X(TCP_CLOSED_HANDSHAKE, "gslb_dns_tcp_closed_total{reason=\"handshake\"}",                     \
      "TCP connections closed, by reason.")                                                        \
    X(TCP_CLOSED_PROXY, "gslb_dns_tcp_closed_total{reason=\"proxy_header\"}",                      \
      "TCP connections closed, by reason.")                                                        \
    X(TCP_CLOSED_FLOOD, "gslb_dns_tcp_closed_total{reason=\"flood\"}",                             \
      "TCP connections closed, by reason.")                                                        \
    X(TCP_CLOSED_STOP, "gslb_dns_tcp_closed_total{reason=\"stop\"}",                               \
      "TCP connections closed, by reason.")                                                        \
    X(HANDSHAKE_FULL, "gslb_dns_tls_handshakes_total{outcome=\"full\"}",                           \
      "TLS handshakes of DNS over TLS and HTTPS.")                                                 \
    X(HANDSHAKE_RESUMED, "gslb_dns_tls_handshakes_total{outcome=\"resumed\"}",                     \
      "TLS handshakes of DNS over TLS and HTTPS.")                                                 \
    X(HANDSHAKE_FAILED, "gslb_dns_tls_handshakes_total{outcome=\"failed\"}",                       \
      "TLS handshakes of DNS over TLS and HTTPS.")                                                 \
    X(HANDSHAKE_ALPN, "gslb_dns_tls_handshakes_total{outcome=\"wrong_protocol\"}",                 \
      "TLS handshakes of DNS over TLS and HTTPS.")                                                 \
    X(HANDSHAKE_TIMEOUT, "gslb_dns_tls_handshakes_total{outcome=\"timeout\"}",                     \
      "TLS handshakes of DNS over TLS and HTTPS.")                                                 \
    X(HTTP_OK, "gslb_dns_http_responses_total{status=\"200\"}", "Responses of DNS over HTTPS.")    \
    X(HTTP_BAD, "gslb_dns_http_responses_total{status=\"4xx\"}", "Responses of DNS over HTTPS.")

enum answer_counter {
#define X(name, metric, help) ANSWER_COUNTER_##name,
    ANSWER_COUNTERS(X)
#undef X
#define X(name, rcode, label) ANSWER_COUNTER_##name,
        WIRE_VERDICTS(X)
#undef X
#define X(name, rcode, label) ANSWER_COUNTER_NOTIFY_##name,
            SECONDARY_NOTIFIES(X)
#undef X
                ANSWER_COUNTER_COUNT
};

/* The table of these rows, for a struct metrics. */
extern const struct metrics_counter answer_counter_table[ANSWER_COUNTER_COUNT];

/* How a message came: what may be said, how long an answer may be, and to whom. */
enum answer_transport {
    ANSWER_UDP, /* the source address may be forged */
    ANSWER_TCP,
    ANSWER_TLS,   /* RFC 7858 */
    ANSWER_HTTPS, /* RFC 8484 */
};

static inline bool answer_is_stream(enum answer_transport t)
{
    return t != ANSWER_UDP;
}

static inline bool answer_is_encrypted(enum answer_transport t)
{
    return t == ANSWER_TLS || t == ANSWER_HTTPS;
}

/* The rest of an answer of several messages. */
struct answer_stream;

/* One message in, at most one out; by a stream, more may follow. */
struct answer_query {
    const uint8_t *packet;
    uint32_t packet_bytes;
    enum answer_transport transport;
    const struct addr *source;
    uint32_t keepalive_ms;  /* of streams: how long the peer may rest after the answer, RFC 7828 */
    uint8_t *out;           /* for the answer, apart from the packet */
    uint32_t out_cap_bytes; /* at least WIRE_UDP_MIN */
    uint32_t out_bytes;     /* the answer's size; 0: none is due */
    struct answer_stream *stream; /* with what follows; NULL: out is all */
};

struct answer_context;

/* world is read with each batch; counters: a block over answer_counter_table, this thread's own. */
struct answer_context *answer_context_new(const struct snapshot_slot *world,
                                          struct metrics_block *counters);
void answer_context_free(struct answer_context *c);

/* Answers n queries; each one's out and out_bytes are set. Before the first world is published
 * everything is SERVFAIL. Hot path. */
void answer_batch(struct answer_context *c, struct answer_query *queries, size_t n);

/* The messages that follow the one in a query's out, as struct net_handler wants them. */
uint32_t answer_next(struct answer_context *c, struct answer_stream *s, uint8_t *out, uint32_t cap);
void answer_abandon(struct answer_stream *s);

/* Why a client gets what it gets: the path that answer_batch takes, without the bytes. */
enum answer_reason {
    ANSWER_BY_LOCATION, /* the client's location class has an order of its own */
    ANSWER_BY_DEFAULT,  /* no location, or the policy does not ask: the default order. Also
                            where a location's own order is the same: they are one class */
    ANSWER_BY_FALLBACK, /* every edge is down: the configured fallback */
    ANSWER_BY_NOTHING,  /* every edge is down, and that is refused or empty; or none usable */
};

struct answer_steering {
    enum answer_reason reason;
    enum world_mode mode;
    uint32_t class_id;
    uint8_t scope;                 /* bits of the client's address that decided */
    uint16_t region;               /* the service's region index, STEER_NONE: none */
    const struct world_site *site; /* NULL: none */
};

/* What a service answers a client with; client NULL: an address that may not be used (SOURCE 0).
 * The one function that both the hot path and explain go through. */
struct answer_steering answer_steer(const struct world *w, uint16_t service,
                                    const struct ip *client);

/* Who draws, at this moment, where the service's policy does. */
struct steer_draw answer_draw(const struct world_service *s, const struct ip *client);

struct answer_explanation {
    enum zone_verdict verdict; /* of the last name of the chain */
    struct wire_name name;     /* that name */
    const struct zone *zone;   /* NULL: not ours */
    uint16_t service;          /* with ZONE_STEERED */
    struct answer_steering steering;
};

/* Follows the chain of CNAMEs and DNAMEs as far as an answer would hold it. */
void answer_explain(const struct world *w, const struct wire_name *name, uint16_t qtype,
                    const struct ip *client, struct answer_explanation *out);

#endif
