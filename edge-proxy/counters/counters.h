/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * counters: everything that edge-proxy counts, listed once. Each worker adds to a block of its own
 * (common/metrics); report sums them up. Lives as long as the process; any thread may read.
 */
#ifndef EDGE_PROXY_COUNTERS_H
#define EDGE_PROXY_COUNTERS_H

#include "common/metrics/metrics.h"
#include "edge-proxy/http/http.h"

#define EDGE_CONNECTIONS_ "edge_connections_total"
#define EDGE_REFUSED_ "edge_connections_refused_total"
#define EDGE_TLS_ "edge_tls_failures_total"
#define EDGE_PROXY_ "edge_proxy_header_failures_total"
#define EDGE_REQUESTS_ "edge_requests_total"
#define EDGE_RESPONSES_ "edge_responses_total"
#define EDGE_CACHE_ "edge_cache_total"
#define EDGE_UPSTREAM_ "edge_upstream_errors_total"
#define EDGE_MISCHIEF_ "edge_client_mischief_total"
#define EDGE_TIMEOUTS_ "edge_client_timeouts_total"

#define EDGE_GOAWAY_ "edge_http2_goaway_total"

/* What HTTP/2 lets a client do that costs us more than it costs the client. X(name, what one of
 * them adds to its connection's score, label). The limit is for bursts that honest clients have: a
 * browser that leaves a page resets a hundred streams at once. */
#define EDGE_GLITCHES(X)                                                      \
    X(RESET, 2, "stream-reset-by-client")                                     \
    X(RESET_AT_WORK, 8, "stream-reset-before-answer")    /* CVE-2023-44487 */ \
    X(STREAM_ERROR, 16, "stream-reset-for-client-error") /* CVE-2025-8671 */  \
    X(REFUSED, 8, "stream-above-limit")                                       \
    X(MALFORMED, 16, "request-malformed")                                     \
    X(LIST_TOO_LARGE, 64, "field-list-too-large")                             \
    X(CONTINUATION, 8, "continuation")                                        \
    X(PING, 4, "ping")                                                        \
    X(SETTINGS, 8, "settings")                                                \
    X(PRIORITY, 2, "priority")                                                \
    X(EMPTY_DATA, 8, "empty-data")                                            \
    X(SMALL_WINDOW_UPDATE, 1, "small-window-update")                          \
    X(UNKNOWN_FRAME, 2, "unknown-frame")

#define EDGE_COUNTERS(X)                                                                           \
    X(CONNECTIONS_PLAIN, EDGE_CONNECTIONS_ "{listener=\"plain\"}", "Client connections accepted.") \
    X(CONNECTIONS_TLS, EDGE_CONNECTIONS_ "{listener=\"tls\"}", "Client connections accepted.")     \
    X(CONNECTIONS_CLOSED, "edge_connections_closed_total", "Client connections ended.")            \
    X(CONNECTIONS_MADE_ROOM, "edge_connections_made_room_total",                                   \
      "Of those, closed between requests because files had run out.")                              \
    X(REFUSED_LIMIT, EDGE_REFUSED_ "{reason=\"limit\"}", "Connections refused.")                   \
    X(REFUSED_FILES, EDGE_REFUSED_ "{reason=\"no-files\"}", "Connections refused.")                \
    X(REFUSED_HANDSHAKES, EDGE_REFUSED_ "{reason=\"handshakes\"}", "Connections refused.")         \
    X(REFUSED_DENIED, EDGE_REFUSED_ "{reason=\"denied\"}", "Connections refused.")                 \
    X(REFUSED_CONNECTIONS, EDGE_REFUSED_ "{reason=\"client-connections\"}",                        \
      "Connections refused.")                                                                      \
    X(REFUSED_RATE, EDGE_REFUSED_ "{reason=\"client-rate\"}", "Connections refused.")              \
    X(REFUSED_SCORE, EDGE_REFUSED_ "{reason=\"client-score\"}", "Connections refused.")            \
    X(REFUSED_LOAD, EDGE_REFUSED_ "{reason=\"load\"}", "Connections refused.")                     \
    X(REFUSED_UNLISTED, EDGE_REFUSED_ "{reason=\"no-proxy\"}", "Connections refused.")             \
    X(PROXY_HEADERS, "edge_proxy_headers_total", "PROXY headers taken from load balancers.")       \
    X(PROXY_MISSING, EDGE_PROXY_ "{reason=\"missing\"}", "Load balancers' connections closed.")    \
    X(PROXY_MALFORMED, EDGE_PROXY_ "{reason=\"malformed\"}",                                       \
      "Load balancers' connections closed.")                                                       \
    X(PROXY_CLOSED, EDGE_PROXY_ "{reason=\"closed\"}", "Load balancers' connections closed.")      \
    X(PROXY_TIMEOUT, EDGE_PROXY_ "{reason=\"timeout\"}", "Load balancers' connections closed.")    \
    X(MISCHIEF_MALFORMED, EDGE_MISCHIEF_ "{kind=\"malformed\"}", "What adds to clients' scores.")  \
    X(MISCHIEF_HANDSHAKE, EDGE_MISCHIEF_ "{kind=\"handshake\"}", "What adds to clients' scores.")  \
    X(MISCHIEF_SLOW, EDGE_MISCHIEF_ "{kind=\"slow\"}", "What adds to clients' scores.")            \
    X(MISCHIEF_STRANGER, EDGE_MISCHIEF_ "{kind=\"unknown-host\"}",                                 \
      "What adds to clients' scores.")                                                             \
    X(MISCHIEF_FORBIDDEN, EDGE_MISCHIEF_ "{kind=\"forbidden\"}", "What adds to clients' scores.")  \
    X(MISCHIEF_RATE, EDGE_MISCHIEF_ "{kind=\"rate\"}", "What adds to clients' scores.")            \
    X(MISCHIEF_PROTOCOL, EDGE_MISCHIEF_ "{kind=\"protocol\"}", "What adds to clients' scores.")    \
    X(SHED_FETCHES, "edge_shed_fetches_total",                                                     \
      "Requests that were not forwarded because of too much load.")                                \
    X(REFUSED_MEMORY, EDGE_REFUSED_ "{reason=\"memory\"}", "Connections refused.")                 \
    X(ACCEPT_ERRORS, "edge_accept_errors_total", "accept() failed for another reason.")            \
    X(TLS_HANDSHAKES, "edge_tls_handshakes_total", "TLS handshakes completed.")                    \
    X(TLS_RESUMED, "edge_tls_resumed_total", "Of those, resumed by a ticket.")                     \
    X(TLS_CREDENTIALS, "edge_tls_client_certificates_total",                                       \
      "TLS handshakes in which the client showed a good certificate.")                             \
    X(TLS_WAITED, "edge_tls_handshakes_delayed_total",                                             \
      "TLS handshakes that waited, lest established connections do.")                              \
    X(TLS_WAITED_ENOUGH, "edge_tls_handshakes_delayed_over_total", "Of those, waiting no more.")   \
    X(TLS_TIMEOUT, EDGE_TLS_ "{reason=\"timeout\"}", "TLS handshakes that failed.")                \
    X(TLS_CLOSED, EDGE_TLS_ "{reason=\"closed\"}", "TLS handshakes that failed.")                  \
    X(TLS_PLAIN_HTTP, EDGE_TLS_ "{reason=\"plain-http\"}", "TLS handshakes that failed.")          \
    X(TLS_NO_CIPHER, EDGE_TLS_ "{reason=\"no-shared-cipher\"}", "TLS handshakes that failed.")     \
    X(TLS_UNKNOWN_NAME, EDGE_TLS_ "{reason=\"unknown-name\"}", "TLS handshakes that failed.")      \
    X(TLS_VERSION, EDGE_TLS_ "{reason=\"version\"}", "TLS handshakes that failed.")                \
    X(TLS_NO_CREDENTIAL, EDGE_TLS_ "{reason=\"no-client-certificate\"}",                           \
      "TLS handshakes that failed.")                                                               \
    X(TLS_BAD_CREDENTIAL, EDGE_TLS_ "{reason=\"bad-client-certificate\"}",                         \
      "TLS handshakes that failed.")                                                               \
    X(TLS_ALERT, EDGE_TLS_ "{reason=\"peer-alert\"}", "TLS handshakes that failed.")               \
    X(TLS_OTHER, EDGE_TLS_ "{reason=\"protocol\"}", "TLS handshakes that failed.")                 \
    X(REQUESTS_GET, EDGE_REQUESTS_ "{method=\"GET\"}", "Requests by method.")                      \
    X(REQUESTS_HEAD, EDGE_REQUESTS_ "{method=\"HEAD\"}", "Requests by method.")                    \
    X(REQUESTS_POST, EDGE_REQUESTS_ "{method=\"POST\"}", "Requests by method.")                    \
    X(REQUESTS_OTHER, EDGE_REQUESTS_ "{method=\"other\"}", "Requests by method.")                  \
    X(MISDIRECTED, "edge_requests_misdirected_total",                                              \
      "Requests on a connection that was asked for other client certificates than the site asks "  \
      "for.")                                                                                      \
    X(RESPONSES_1XX, EDGE_RESPONSES_ "{class=\"1xx\"}", "Responses by class of status.")           \
    X(RESPONSES_2XX, EDGE_RESPONSES_ "{class=\"2xx\"}", "Responses by class of status.")           \
    X(RESPONSES_3XX, EDGE_RESPONSES_ "{class=\"3xx\"}", "Responses by class of status.")           \
    X(RESPONSES_4XX, EDGE_RESPONSES_ "{class=\"4xx\"}", "Responses by class of status.")           \
    X(RESPONSES_5XX, EDGE_RESPONSES_ "{class=\"5xx\"}", "Responses by class of status.")           \
    X(RESPONSES_ABORTED, "edge_responses_aborted_total",                                           \
      "Responses that ended early: the client left or the origin broke off.")                      \
    X(OWN_ERRORS, "edge_own_errors_total", "Responses of 500 and above that this edge made.")      \
    X(BYTES_RECEIVED, "edge_client_received_bytes_total", "Bytes of clients' requests.")           \
    X(BYTES_SENT, "edge_client_sent_bytes_total", "Bytes of responses, heads included.")           \
    X(CACHE_HIT, EDGE_CACHE_ "{status=\"hit\"}", "Requests by how the cache dealt with them.")     \
    X(CACHE_STALE, EDGE_CACHE_ "{status=\"stale\"}", "Requests by how the cache dealt with them.") \
    X(CACHE_REVALIDATED, EDGE_CACHE_ "{status=\"revalidated\"}",                                   \
      "Requests by how the cache dealt with them.")                                                \
    X(CACHE_MISS, EDGE_CACHE_ "{status=\"miss\"}", "Requests by how the cache dealt with them.")   \
    X(CACHE_COLLAPSED, EDGE_CACHE_ "{status=\"collapsed\"}",                                       \
      "Requests by how the cache dealt with them.")                                                \
    X(CACHE_PASS, EDGE_CACHE_ "{status=\"pass\"}", "Requests by how the cache dealt with them.")   \
    X(CACHE_NONE, EDGE_CACHE_ "{status=\"none\"}", "Requests by how the cache dealt with them.")   \
    X(UPSTREAM_REQUESTS, "edge_upstream_requests_total", "Requests sent to origins.")              \
    X(UPSTREAM_CONNECTS, "edge_upstream_connects_total", "Connections opened to origins.")         \
    X(UPSTREAM_REUSES, "edge_upstream_reuses_total", "Requests on a kept origin connection.")      \
    X(UPSTREAM_SHARED, "edge_upstream_shared_total",                                               \
      "Of those, on one that another worker had opened or used.")                                  \
    X(UPSTREAM_TLS_RESUMED, "edge_upstream_tls_resumed_total",                                     \
      "Origin connections whose TLS session was resumed.")                                         \
    X(UPSTREAM_RETRIES, "edge_upstream_retries_total", "Requests that were sent a second time.")   \
    X(UPSTREAM_RETRY_STATUS, "edge_upstream_status_retries_total",                                 \
      "Of those, because of the status of an answer.")                                             \
    X(UPSTREAM_RETRY_REFUSED, "edge_upstream_retries_refused_total",                               \
      "Requests that were not sent again because the budget was used up.")                         \
    X(UPSTREAM_QUEUED, "edge_upstream_queued_total",                                               \
      "Requests that waited because a pool's or its origins' limits were reached.")                \
    X(EJECTED_FAILURES, "edge_upstream_ejections_total{reason=\"failures\"}",                      \
      "Origins left out for a while.")                                                             \
    X(EJECTED_SERVER_ERRORS, "edge_upstream_ejections_total{reason=\"server-errors\"}",            \
      "Origins left out for a while.")                                                             \
    X(EJECTED_OUTLIER, "edge_upstream_ejections_total{reason=\"outlier\"}",                        \
      "Origins left out for a while.")                                                             \
    X(UPSTREAM_CONNECT_FAILED, EDGE_UPSTREAM_ "{reason=\"connect\"}",                              \
      "Exchanges with origins that failed.")                                                       \
    X(UPSTREAM_CONNECT_TIMEOUT, EDGE_UPSTREAM_ "{reason=\"connect-timeout\"}",                     \
      "Exchanges with origins that failed.")                                                       \
    X(UPSTREAM_TLS, EDGE_UPSTREAM_ "{reason=\"tls\"}", "Exchanges with origins that failed.")      \
    X(UPSTREAM_RESET, EDGE_UPSTREAM_ "{reason=\"reset\"}", "Exchanges with origins that failed.")  \
    X(UPSTREAM_FIRST_BYTE, EDGE_UPSTREAM_ "{reason=\"first-byte-timeout\"}",                       \
      "Exchanges with origins that failed.")                                                       \
    X(UPSTREAM_IDLE, EDGE_UPSTREAM_ "{reason=\"idle-timeout\"}",                                   \
      "Exchanges with origins that failed.")                                                       \
    X(UPSTREAM_TRUNCATED, EDGE_UPSTREAM_ "{reason=\"truncated\"}",                                 \
      "Exchanges with origins that failed.")                                                       \
    X(UPSTREAM_PROTOCOL, EDGE_UPSTREAM_ "{reason=\"protocol\"}",                                   \
      "Exchanges with origins that failed.")                                                       \
    X(UPSTREAM_NO_FILES, EDGE_UPSTREAM_ "{reason=\"no-files\"}",                                   \
      "Exchanges with origins that failed.")                                                       \
    X(UPSTREAM_NO_MEMORY, EDGE_UPSTREAM_ "{reason=\"no-memory\"}",                                 \
      "Exchanges with origins that failed.")                                                       \
    X(UPSTREAM_NO_PORTS, EDGE_UPSTREAM_ "{reason=\"no-ports\"}",                                   \
      "Exchanges with origins that failed.")                                                       \
    X(UPSTREAM_QUEUE_FULL, EDGE_UPSTREAM_ "{reason=\"queue-full\"}",                               \
      "Exchanges with origins that failed.")                                                       \
    X(UPSTREAM_QUEUE_TIMEOUT, EDGE_UPSTREAM_ "{reason=\"queue-timeout\"}",                         \
      "Exchanges with origins that failed.")                                                       \
    X(UPSTREAM_NONE_UP, EDGE_UPSTREAM_ "{reason=\"no-origin-up\"}",                                \
      "Exchanges with origins that failed.")                                                       \
    X(UPSTREAM_STRAY, "edge_upstream_stray_total",                                                 \
      "Kept origin connections closed because bytes came unasked.")                                \
    X(CHECKS_OK, "edge_checks_total{result=\"ok\"}", "Health checks of origins.")                  \
    X(CHECKS_FAILED, "edge_checks_total{result=\"failed\"}", "Health checks of origins.")          \
    X(CHECKS_SKIPPED, "edge_checks_total{result=\"skipped\"}", "Health checks of origins.")        \
    X(TIMEOUT_HEADER, EDGE_TIMEOUTS_ "{at=\"head\"}", "Clients that were too slow.")               \
    X(TIMEOUT_BODY, EDGE_TIMEOUTS_ "{at=\"body\"}", "Clients that were too slow.")                 \
    X(TIMEOUT_SEND, EDGE_TIMEOUTS_ "{at=\"response\"}", "Clients that were too slow.")             \
    X(TIMEOUT_TUNNEL, EDGE_TIMEOUTS_ "{at=\"tunnel\"}", "Clients that were too slow.")             \
    X(TUNNELS, "edge_tunnels_total", "Connections switched to another protocol by a 101.")         \
    X(LOG_LINES, "edge_access_log_lines_total", "Access log lines written.")                       \
    X(LOG_DROPPED, "edge_access_log_dropped_total",                                                \
      "Access log lines lost: the log could not keep up, or not be written.")                      \
    X(HTTP2_CONNECTIONS, "edge_http2_connections_total", "Client connections that spoke HTTP/2.")  \
    X(HTTP2_GOAWAY_ABUSE, EDGE_GOAWAY_ "{reason=\"abuse\"}", "HTTP/2 connections ended by us.")    \
    X(HTTP2_GOAWAY_ERROR, EDGE_GOAWAY_ "{reason=\"error\"}", "HTTP/2 connections ended by us.")    \
    X(HTTP2_GOAWAY_IDLE, EDGE_GOAWAY_ "{reason=\"idle\"}", "HTTP/2 connections ended by us.")      \
    X(HTTP2_GOAWAY_DRAIN, EDGE_GOAWAY_ "{reason=\"drain\"}", "HTTP/2 connections ended by us.")    \
    EDGE_GLITCHES(EDGE_GLITCH_COUNTER_)                                                            \
    HTTP_VERDICTS(EDGE_VERDICT_COUNTER_)

/* A row for each verdict of the HTTP/1.1 parser on clients' requests. */
#define EDGE_VERDICT_COUNTER_(name, status, label) EDGE_VERDICT_ROW_(name, label)

#define EDGE_GLITCH_COUNTER_(name, weight, label) EDGE_GLITCH_ROW_(name, label)

/* The table holds rows of several kinds, so the other tables' parts are expanded apart. */
enum counter {
#define EDGE_GLITCH_ROW_(name, label) COUNT_GLITCH_##name,
#define EDGE_ENUM_(id, name, help) COUNT_##id,
#define EDGE_VERDICT_ROW_(name, label) COUNT_VERDICT_##name,
    EDGE_COUNTERS(EDGE_ENUM_)
#undef EDGE_VERDICT_ROW_
#undef EDGE_GLITCH_ROW_
#undef EDGE_ENUM_
        COUNT_COUNT
};

extern struct metrics counters_all;

/* The counter of a refusal. */
static inline enum counter counters_of_verdict(enum http_verdict v)
{
    return (enum counter)(COUNT_VERDICT_DONE + (int)v);
}

#endif
