/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening: the addresses race (RFC 8305 section 5), the winner speaks TLS. Until there is a winner
 * each attempt has a socket and an event of its own; the connection takes over the winner's.
 */
#include "edge-proxy/dial/dial_internal.h"

#include "common/clock/clock.h"
#include "common/net/net.h"
#include "common/tls/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct attempt {
    struct dial_conn *c;
    int fd; /* -1: not begun, or failed */
    bool has_failed;
    struct event event;
};

struct dial_race {
    struct dial_conn *c;
    struct wheel_timer stagger;
    uint32_t stagger_ms;
    struct dial_memory *memory;
    dial_why why; /* of the newest failure */
    size_t n, n_begun;
    struct dial_target targets[DIAL_TARGETS_MAX];
    struct attempt attempts[DIAL_TARGETS_MAX];
};

/* ---- Why ---- */

static dial_why why_of(enum dial_verdict v, unsigned kind, unsigned long code)
{
    return (dial_why)v << 56 | (dial_why)kind << 48 | (code & 0xffffffffffffu);
}

enum { WHY_ERRNO, WHY_CERTIFICATE, WHY_OPENSSL };

enum dial_verdict dial_verdict(dial_why why)
{
    return (enum dial_verdict)(why >> 56);
}

const char *dial_why_text(dial_why why, char buf[DIAL_WHY_TEXT])
{
    static const char *const names[] = {
        [DIAL_FINE] = "",
        [DIAL_NO_FILES] = "no file descriptor left",
        [DIAL_NO_PORTS] = "no local port left",
        [DIAL_CONNECT] = "connect",
        [DIAL_TIMEOUT] = "timeout",
        [DIAL_TLS] = "TLS",
    };
    const char *name = names[dial_verdict(why)], *detail = NULL;
    long code = (long)(why & 0xffffffffffffu);
    unsigned kind = why >> 48 & 0xff;

    if (kind == WHY_CERTIFICATE)
        name = "certificate", detail = X509_verify_cert_error_string(code);
    else if (kind == WHY_OPENSSL)
        detail = ERR_reason_error_string((unsigned long)code);
    else if (code != 0)
        detail = strerror((int)code);
    if (dial_verdict(why) == DIAL_TIMEOUT)
        snprintf(buf, DIAL_WHY_TEXT, "%s timeout", code == 0 ? "connect" : "TLS handshake");
    else if (detail == NULL)
        snprintf(buf, DIAL_WHY_TEXT, "%s", name);
    else
        snprintf(buf, DIAL_WHY_TEXT, "%s: %s", name, detail);
    return buf;
}

static dial_why why_of_errno(int why)
{
    enum dial_verdict verdict = DIAL_CONNECT;

    if (why == EMFILE || why == ENFILE || why == ENOBUFS || why == ENOMEM)
        verdict = DIAL_NO_FILES;
    else if (why == EADDRNOTAVAIL)
        verdict = DIAL_NO_PORTS;
    return why_of(verdict, WHY_ERRNO, (unsigned long)why);
}

/* The verification's verdict if there is one, else what OpenSSL says, else the system. */
static dial_why why_of_handshake(SSL *ssl, int why)
{
    long verdict = SSL_get_verify_result(ssl);
    unsigned long code = ERR_peek_last_error();

    ERR_clear_error();
    if (verdict != X509_V_OK && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE)
        return why_of(DIAL_TLS, WHY_CERTIFICATE, (unsigned long)verdict);
    if (code != 0 && ERR_reason_error_string(code) != NULL)
        return why_of(DIAL_TLS, WHY_OPENSSL, code);
    return why_of(DIAL_TLS, WHY_ERRNO, (unsigned long)why);
}

static void finish(struct dial_conn *c, dial_why why)
{
    open_stop(c);
    if (why == 0)
        c->state = DIAL_USED;
    c->ops->on_open(c->arg, why);
}

/* ---- The race ---- */

/* Families take turns, the better one first (RFC 8305 section 4); within a family the caller's
 * order stays. */
static void order_targets(struct dial_race *race, const struct dial_order *o)
{
    int64_t until_ms = o->memory != NULL ? atomic_load(&o->memory->ipv4_until_ms) : 0;
    bool is_ipv6_turn = clock_coarse_ms() >= until_ms;
    size_t next[2] = {0, 0}; /* by family: where to look on */

    while (race->n < o->n_targets && race->n < DIAL_TARGETS_MAX) {
        size_t i = next[is_ipv6_turn];

        while (i < o->n_targets && (o->targets[i].addr.sa.sa_family == AF_INET6) != is_ipv6_turn)
            i++;
        next[is_ipv6_turn] = i + 1;
        if (i < o->n_targets)
            race->targets[race->n++] = o->targets[i];
        is_ipv6_turn = !is_ipv6_turn;
    }
}

/* Which family to begin with next time. */
static void remember(const struct dial_race *race, size_t winner)
{
    bool is_ipv6 = race->targets[winner].addr.sa.sa_family == AF_INET6;
    bool has_ipv6 = false;

    if (race->memory == NULL || race->n == 1)
        return;
    for (size_t i = 0; i < race->n_begun; i++)
        has_ipv6 |= race->targets[i].addr.sa.sa_family == AF_INET6;
    if (is_ipv6 && atomic_load_explicit(&race->memory->ipv4_until_ms, memory_order_relaxed) != 0)
        atomic_store(&race->memory->ipv4_until_ms, 0);
    else if (!is_ipv6 && has_ipv6)
        atomic_store(&race->memory->ipv4_until_ms, clock_coarse_ms() + DIAL_MEMORY_MS);
}

static void stop_attempt(struct attempt *a)
{
    if (a->fd < 0)
        return;
    event_del(&a->event);
    close(a->fd);
    a->fd = -1;
}

void open_stop(struct dial_conn *c)
{
    struct dial_race *race = c->race;

    if (race == NULL)
        return;
    for (size_t i = 0; i < race->n_begun; i++)
        stop_attempt(&race->attempts[i]);
    wheel_clear(&c->dw->w->wheel, &race->stagger);
    free(race);
    c->race = NULL;
}

/* Nothing is in its way: a connection that has just opened has room for more. What comes next, TLS
 * or HTTP, leaves with it. */
static bool send_preface(struct dial_conn *c)
{
    struct str preface = conn_preface(c);

    return preface.n == 0 ||
           send(c->wire.fd, preface.p, preface.n, MSG_NOSIGNAL | MSG_MORE) == (ssize_t)preface.n;
}

static void win(struct attempt *a)
{
    struct dial_conn *c = a->c;
    struct dial_race *race = c->race;
    size_t winner = (size_t)(a - race->attempts);

    remember(race, winner);
    c->wire.fd = a->fd;
    c->ip = addr_ip(&race->targets[winner].addr);
    c->port = addr_port(&race->targets[winner].addr);
    c->hash = conn_key(&race->targets[winner], c->identity, (struct str){c->host, c->host_n},
                       conn_preface(c))
                  .hash;
    event_del(&a->event);
    a->fd = -1;
    open_stop(c);
    if (!send_preface(c)) {
        finish(c, why_of_errno(errno));
        return;
    }
    if (!dial_identity_is_tls(c->identity)) {
        finish(c, 0);
        return;
    }
    wire_use_tls(c->dw->w, &c->wire, identity_new_ssl(c->identity, c));
    open_on_event(c, EV_WRITE);
}

static bool is_any_open(const struct dial_race *race)
{
    for (size_t i = 0; i < race->n_begun; i++)
        if (race->attempts[i].fd >= 0)
            return true;
    return false;
}

static void on_attempt(evutil_socket_t fd, short what, void *arg);

/* The next address that gets as far as a socket. false: none is left. */
static bool begin_next(struct dial_race *race)
{
    while (race->n_begun < race->n) {
        struct attempt *a = &race->attempts[race->n_begun];

        a->c = race->c;
        a->fd = net_connect_tcp(&race->targets[race->n_begun++].addr);
        if (a->fd < 0) {
            race->why = why_of_errno(errno);
            continue;
        }
        event_assign(&a->event, race->c->dw->w->base, a->fd, EV_WRITE, on_attempt, a);
        ensure(event_add(&a->event, NULL) == 0);
        return true;
    }
    return false;
}

/* RFC 8305 section 5: the next one starts beside those that have not answered. */
static void on_stagger(struct wheel_timer *t)
{
    struct dial_race *race = CONTAINER_OF(t, struct dial_race, stagger);

    if (begin_next(race) && race->n_begun < race->n)
        wheel_set(&race->c->dw->w->wheel, &race->stagger, race->stagger_ms, on_stagger);
}

static void on_attempt(evutil_socket_t fd, short what, void *arg)
{
    struct attempt *a = arg;
    struct dial_race *race = a->c->race;
    int why = net_take_error(a->fd);

    if (why == 0) {
        win(a);
        return;
    }
    race->why = why_of_errno(why);
    stop_attempt(a);
    if (begin_next(race)) /* at once: there is nothing to wait for */
        wheel_set(&race->c->dw->w->wheel, &race->stagger, race->stagger_ms, on_stagger);
    else if (!is_any_open(race))
        finish(race->c, race->why);
}

/* ---- TLS ---- */

void open_on_event(struct dial_conn *c, short what)
{
    enum wire_verdict v = wire_handshake(c->dw->w, &c->wire);

    if (v == WIRE_OK) {
        dial_want(c, 0);
        if (SSL_session_reused(c->wire.ssl))
            worker_count(c->dw->w, COUNT_UPSTREAM_TLS_RESUMED);
        finish(c, 0);
    } else if (v == WIRE_ERROR || v == WIRE_EOF) {
        finish(c, why_of_handshake(c->wire.ssl, v == WIRE_EOF ? 0 : errno));
    } else {
        dial_want(c, v == WIRE_AGAIN_READ ? EV_READ : EV_WRITE);
    }
}

void open_on_timeout(struct dial_conn *c)
{
    finish(c, why_of(DIAL_TIMEOUT, WHY_ERRNO, c->race == NULL));
}

/* ---- The door ---- */

static struct dial_conn *conn_new(struct dial_worker *dw, const struct dial_order *o)
{
    struct str host = conn_host(o->identity, o->host);
    struct dial_conn *c = base_alloc(sizeof(*c) + host.n + 1 + o->preface.n);

    memset(c, 0, sizeof(*c));
    c->magic = DIAL_MAGIC;
    c->state = DIAL_OPENING;
    c->dw = dw;
    c->wire.fd = -1;
    c->identity = dial_identity_hold(o->identity);
    c->host_n = (uint8_t)host.n;
    for (size_t i = 0; i < host.n; i++)
        c->host[i] = (char)text_lower((uint8_t)host.p[i]);
    c->host[host.n] = '\0';
    ensure(o->preface.n <= DIAL_PREFACE_MAX);
    c->preface_n = (uint8_t)o->preface.n;
    if (o->preface.n > 0)
        memcpy(c->host + host.n + 1, o->preface.p, o->preface.n);
    return c;
}

struct dial_conn *dial_open(struct dial_worker *dw, const struct dial_order *o,
                            const struct dial_ops *ops, void *arg, dial_why *why)
{
    struct dial_race *race = base_alloc(sizeof(*race));
    struct dial_conn *c = conn_new(dw, o);

    memset(race, 0, offsetof(struct dial_race, targets));
    race->c = c;
    race->memory = o->memory;
    race->stagger_ms = o->stagger_ms;
    order_targets(race, o);
    c->race = race;
    c->ops = ops;
    c->arg = arg;
    if (!begin_next(race)) {
        *why = race->why;
        dial_close(c);
        return NULL;
    }
    if (race->n > 1)
        wheel_set(&dw->w->wheel, &race->stagger, o->stagger_ms, on_stagger);
    dial_set_timeout(c, o->timeout_ms);
    return c;
}
