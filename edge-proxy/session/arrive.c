/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Newcomers: who they are, and whether they may come in. Behind a load balancer the first is what
 * its PROXY header says, so that the second has to wait for it. The header is peeked at and only
 * its own bytes are taken, because what follows may be for TLS to read; what is there of one that
 * has not all come is taken, so that no event repeats itself.
 */
#include "edge-proxy/session/session_internal.h"

#include "common/proxy/proxy.h"
#include "common/tls/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The beginning of a header. */
struct proxy_part {
    size_t n;
    uint8_t bytes[PROXY_MAX];
};

/* false: refused, which is counted. *ssl: NULL for a plain connection. */
static bool admit(struct session_worker *sw, const struct ip *ip, bool is_tls, uint64_t *ticket,
                  SSL **ssl)
{
    struct generation *g = request_worker_generation(sw->rw);
    struct guard *guard = request_worker_shared(sw->rw)->guard;

    *ssl = NULL;
    if (guard_admit(guard, g->guard, sw->w, ip, is_tls, ticket) != GUARD_ADMITTED)
        return false;
    if (is_tls && g->tls != NULL)
        *ssl = tls_server_ssl(g->tls);
    if (!is_tls || *ssl != NULL)
        return true;
    worker_count(sw->w, COUNT_ACCEPT_ERRORS);
    guard_leave(guard, *ticket);
    *ticket = 0;
    return false;
}

/* With the first byte of TLS or HTTP. */
static void begin(struct session *s, SSL *ssl)
{
    s->step = ssl != NULL ? SESSION_HANDSHAKE : SESSION_READ_HEAD;
    if (ssl != NULL) {
        session_start_handshake(s, ssl);
        session_set_clock(s, CLOCK_HANDSHAKE, session_limits(s)->handshake_ms);
    } else {
        session_set_clock(s, CLOCK_HEAD, session_limits(s)->header_timeout_ms);
    }
}

static void set_destination(struct session *s, const struct addr *to)
{
    s->client.to_ip = addr_ip(to);
    s->client.to_port = addr_port(to);
}

/* It costs a call to the kernel, which is made where an origin wants to know. */
static void find_destination(struct session *s)
{
    struct addr to = {.length = sizeof(to.storage)};

    if (request_worker_generation(s->sw->rw)->config->has_send_proxy &&
        getsockname(s->wire.fd, &to.sa, &to.length) == 0)
        set_destination(s, &to);
}

void session_open(struct session_worker *sw, int fd, const struct session_arrival *arrival)
{
    struct ip ip = addr_ip(arrival->peer);
    bool is_proxied = arrival->proxy_ms > 0;
    uint64_t ticket = 0;
    struct session *s;
    SSL *ssl = NULL;

    if (!is_proxied && !admit(sw, &ip, arrival->is_tls, &ticket, &ssl)) {
        close(fd);
        return;
    }
    s = session_new(sw, fd);
    worker_count(sw->w, arrival->is_tls ? COUNT_CONNECTIONS_TLS : COUNT_CONNECTIONS_PLAIN);
    s->ticket = ticket;
    s->client = (struct request_client){
        .ip = ip,
        .port = addr_port(arrival->peer),
        .is_tls = arrival->is_tls,
        .protocol = "HTTP/1.1",
    };
    find_destination(s);
    if (is_proxied) {
        s->step = SESSION_READ_PROXY;
        session_set_clock(s, CLOCK_PROXY, arrival->proxy_ms);
    } else {
        begin(s, ssl);
    }
    session_want(s, EV_READ);
}

/* ---- The header ---- */

static enum step_result give_up(struct session *s, enum counter why)
{
    worker_count(s->sw->w, why);
    return STEP_OVER;
}

/* n bytes that were peeked at. */
static enum step_result keep_part(struct session *s, const uint8_t *bytes, size_t n)
{
    struct proxy_part *part = s->proxy_part;

    if (part == NULL) {
        part = s->proxy_part = base_alloc(sizeof(*part));
        part->n = 0;
    }
    memcpy(part->bytes + part->n, bytes, n);
    part->n += n;
    return STEP_WAIT;
}

static enum step_result enter(struct session *s, const struct proxy_header *header, bool has_more)
{
    SSL *ssl;

    worker_count(s->sw->w, COUNT_PROXY_HEADERS);
    free(s->proxy_part);
    s->proxy_part = NULL;
    if (header->has_claim) {
        s->client.ip = addr_ip(&header->source);
        s->client.port = addr_port(&header->source);
        set_destination(s, &header->destination);
    }
    if (!admit(s->sw, &s->client.ip, s->client.is_tls, &s->ticket, &ssl))
        return STEP_OVER;
    begin(s, ssl);
    return has_more ? STEP_AGAIN : STEP_WAIT;
}

/* Takes n bytes that are known to be there. */
static bool take(struct session *s, uint8_t *to, size_t n)
{
    return recv(s->wire.fd, to, n, 0) == (ssize_t)n;
}

enum step_result session_step_read_proxy(struct session *s)
{
    uint8_t *bytes = (uint8_t *)s->sw->w->scratch;
    size_t known = s->proxy_part != NULL ? s->proxy_part->n : 0;
    struct proxy_header header;
    ssize_t n;

    _Static_assert((int)WORKER_SCRATCH_BYTES >= (int)PROXY_MAX, "a header fits");
    if (known > 0)
        memcpy(bytes, s->proxy_part->bytes, known);
    n = recv(s->wire.fd, bytes + known, PROXY_MAX - known, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return STEP_WAIT;
    if (n <= 0)
        return give_up(s, COUNT_PROXY_CLOSED);
    switch (proxy_parse(bytes, known + (size_t)n, PROXY_V1 | PROXY_V2, &header)) {
    case PROXY_OK:
        if (!take(s, bytes, header.bytes - known))
            return give_up(s, COUNT_PROXY_CLOSED);
        return enter(s, &header, known + (size_t)n > header.bytes);
    case PROXY_MORE:
        if (!take(s, bytes + known, (size_t)n))
            return give_up(s, COUNT_PROXY_CLOSED);
        return keep_part(s, bytes + known, (size_t)n);
    case PROXY_BAD_SIGNATURE:
        return give_up(s, COUNT_PROXY_MISSING);
    default:
        return give_up(s, COUNT_PROXY_MALFORMED);
    }
}
