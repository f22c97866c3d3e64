/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections to origins: opened, kept while idle, closed. */
#include "edge-proxy/upstream/upstream_internal.h"

#include "common/net/net.h"

#include <stdlib.h>
#include <string.h>

static struct upstream_conn *conn_from(void *arg)
{
    struct upstream_conn *c = arg;

    ensure(c->magic == CONN_MAGIC);
    return c;
}

static void unlink_idle(struct upstream_conn *c)
{
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    c->link = NULL;
    c->is_idle = false;
}

void conn_close(struct upstream_conn *c)
{
    if (c->is_idle)
        unlink_idle(c);
    if (c->interest != 0)
        event_del(&c->event);
    wheel_clear(&c->u->w->wheel, &c->timer);
    wire_shut_write(c->u->w, &c->wire);
    wire_close(c->u->w, &c->wire);
    c->magic = 0;
    free(c);
}

/* An idle connection has nothing to say: what comes is its end, or bytes that would be taken for
 * the next request's response (RFC 9112 section 9.2). TLS housekeeping (tickets) passes. */
static void on_idle_event(struct upstream_conn *c)
{
    char byte;
    size_t n;
    enum wire_verdict v = wire_read(c->u->w, &c->wire, &byte, 1, &n);

    if (v == WIRE_AGAIN_READ)
        return;
    if (v == WIRE_OK)
        worker_count(c->u->w, COUNT_UPSTREAM_STRAY);
    conn_close(c);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct upstream_conn *c = conn_from(arg);

    if (c->is_idle)
        on_idle_event(c);
    else
        exchange_on_event(c->exchange, what);
}

void conn_on_timer(struct wheel_timer *t)
{
    struct upstream_conn *c = CONTAINER_OF(t, struct upstream_conn, timer);

    ensure(c->magic == CONN_MAGIC);
    if (c->is_idle)
        conn_close(c);
    else
        exchange_on_timeout(c->exchange);
}

void conn_want(struct upstream_conn *c, short interest)
{
    if (c->interest == interest)
        return;
    if (c->interest != 0)
        event_del(&c->event);
    c->interest = interest;
    if (interest == 0)
        return;
    event_assign(&c->event, c->u->w->base, c->wire.fd, interest | EV_PERSIST, on_event, c);
    ensure(event_add(&c->event, NULL) == 0);
    if (interest & EV_READ && wire_has_pending(&c->wire)) /* the kernel will not tell of it */
        event_active(&c->event, EV_READ, 0);
}

struct upstream_conn *conn_open(struct upstream_worker *u, const struct upstream_pool *p,
                                const struct upstream_origin *o, struct str host)
{
    size_t key_bytes = strlen(o->key) + 1;
    bool has_own_name = p->ssl_ctx != NULL && p->config->tls.server_name == NULL;
    struct upstream_conn *c;
    int fd = net_connect_tcp(&o->config->address);

    if (fd < 0)
        return NULL;
    if (!has_own_name)
        host.n = 0;
    c = base_alloc(sizeof(*c) + key_bytes + host.n);
    memset(c, 0, sizeof(*c));
    c->magic = CONN_MAGIC;
    c->u = u;
    c->wire.fd = fd;
    c->key_hash = o->key_hash;
    memcpy(c->key, o->key, key_bytes);
    if (host.n > 0)
        memcpy(c->key + key_bytes, host.p, host.n);
    c->host = (struct str){c->key + key_bytes, host.n};
    if (p->ssl_ctx != NULL)
        wire_use_tls(u->w, &c->wire, pool_new_ssl(p, host));
    return c;
}

static bool is_to(const struct upstream_conn *c, const struct upstream_origin *o, struct str host)
{
    return c->key_hash == o->key_hash && strcmp(c->key, o->key) == 0 &&
           (c->host.n == 0 || str_eq_nocase(c->host, host));
}

struct upstream_conn *conn_reuse(struct upstream_worker *u, const struct upstream_pool *p,
                                 const struct upstream_origin *o, struct str host)
{
    struct upstream_conn *c = u->idle[o->key_hash % IDLE_BUCKETS];

    while (c != NULL && !is_to(c, o, host))
        c = c->next;
    if (c != NULL)
        unlink_idle(c);
    return c;
}

/* The oldest beyond keep goes: the list is in order of last use. */
static void trim_bucket(struct upstream_conn *newest, uint32_t keep)
{
    struct upstream_conn *oldest = NULL;
    uint32_t n = 0;

    for (struct upstream_conn *c = newest; c != NULL; c = c->next) {
        if (c->key_hash != newest->key_hash)
            continue;
        n++;
        oldest = c;
    }
    if (n > keep)
        conn_close(oldest);
}

void conn_keep(struct upstream_conn *c, const struct config_pool *pool)
{
    struct upstream_conn **bucket = &c->u->idle[c->key_hash % IDLE_BUCKETS];

    if (pool->keep_idle == 0) {
        conn_close(c);
        return;
    }
    c->exchange = NULL;
    c->is_idle = true;
    c->next = *bucket;
    c->link = bucket;
    if (*bucket != NULL)
        (*bucket)->link = &c->next;
    *bucket = c;
    conn_want(c, EV_READ);
    wheel_set(&c->u->w->wheel, &c->timer, pool->idle_timeout_ms, conn_on_timer);
    trim_bucket(c, pool->keep_idle);
}

/* ---- The worker's side ---- */

struct upstream_worker *upstream_worker_new(struct worker *w)
{
    struct upstream_worker *u = base_zalloc(1, sizeof(*u));

    u->w = w;
    return u;
}

void upstream_worker_adopt(struct upstream_worker *u, size_t n_pools)
{
    if (n_pools <= u->n_turns)
        return;
    u->turns = base_realloc(u->turns, n_pools * sizeof(*u->turns));
    memset(u->turns + u->n_turns, 0, (n_pools - u->n_turns) * sizeof(*u->turns));
    u->n_turns = n_pools;
}
