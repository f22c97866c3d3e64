/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections that are open: in use, or idle at their worker. */
#include "edge-proxy/dial/dial_internal.h"

#include "common/clock/clock.h"

#include <stdlib.h>
#include <string.h>

static struct dial_conn *conn_from(void *arg)
{
    struct dial_conn *c = arg;

    ensure(c->magic == DIAL_MAGIC);
    return c;
}

/* ---- What is the same ---- */

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

struct dial_target dial_target_of(const struct addr *addr)
{
    struct ip ip = addr_ip(addr);
    uint64_t half[2] = {0};

    memcpy(half, ip.bytes, sizeof(half));
    return (struct dial_target){*addr, mix(mix(mix(addr_port(addr), half[0]), half[1]), ip.family)};
}

/* The name matters where the identity has none of its own, in the form that SNI wants. */
struct str conn_host(const struct dial_identity *id, struct str host)
{
    if (!identity_needs_host(id) || host.n > 255)
        return (struct str){NULL, 0};
    if (host.n > 2 && host.p[0] == '[')
        return (struct str){host.p + 1, host.n - 2};
    return host;
}

struct conn_key conn_key(const struct dial_target *t, const struct dial_identity *id,
                         struct str host, struct str preface)
{
    uint64_t h = mix(t->hash, id->hash);

    for (size_t i = 0; i < host.n; i++)
        h = mix(h, text_lower((uint8_t)host.p[i]));
    for (size_t i = 0; i < preface.n; i++)
        h = mix(h, (uint8_t)preface.p[i]);
    return (struct conn_key){h, t, id, host, preface};
}

bool conn_is_to(const struct dial_conn *c, const struct conn_key *key)
{
    struct ip ip;

    if (c->hash != key->hash || c->identity != key->identity ||
        c->port != addr_port(&key->target->addr) ||
        !str_eq_nocase((struct str){c->host, c->host_n}, key->host) ||
        !str_eq(conn_preface(c), key->preface))
        return false;
    ip = addr_ip(&key->target->addr);
    return ip_eq(&c->ip, &ip);
}

/* ---- Peers: the connections of one worker that are interchangeable ---- */

static struct dial_peer *find_peer(const struct dial_worker *dw, const struct conn_key *key)
{
    struct dial_peer *p = dw->peers[key->hash % DIAL_BUCKETS];

    while (p != NULL && !(p->hash == key->hash && conn_is_to(TAILQ_FIRST(&p->idle), key)))
        p = p->next;
    return p;
}

static bool are_alike(const struct dial_conn *a, const struct dial_conn *b)
{
    return a->hash == b->hash && a->identity == b->identity && a->port == b->port &&
           ip_eq(&a->ip, &b->ip) && strcasecmp(a->host, b->host) == 0 &&
           str_eq(conn_preface(a), conn_preface(b));
}

static struct dial_peer *peer_of(struct dial_worker *dw, const struct dial_conn *c)
{
    struct dial_peer *p = dw->peers[c->hash % DIAL_BUCKETS];

    while (p != NULL && !are_alike(TAILQ_FIRST(&p->idle), c))
        p = p->next;
    return p;
}

static void remove_peer(struct dial_worker *dw, struct dial_peer *p)
{
    struct dial_peer **link = &dw->peers[p->hash % DIAL_BUCKETS];

    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    p->next = dw->free_peers;
    dw->free_peers = p;
}

/* Peers have at least one idle connection each. */
static void link_idle(struct dial_conn *c)
{
    struct dial_worker *dw = c->dw;
    struct dial_peer *p = peer_of(dw, c);

    if (p == NULL) {
        p = dw->free_peers;
        if (p != NULL)
            dw->free_peers = p->next;
        else
            p = base_alloc(sizeof(*p));
        *p = (struct dial_peer){.hash = c->hash, .next = dw->peers[c->hash % DIAL_BUCKETS]};
        TAILQ_INIT(&p->idle);
        dw->peers[c->hash % DIAL_BUCKETS] = p;
    }
    TAILQ_INSERT_HEAD(&p->idle, c, link);
    c->peer = p;
    p->n_idle++;
    dw->n_idle++;
    if (c->preface_n > 0) {
        TAILQ_INSERT_HEAD(&dw->of_visitors, c, age);
        dw->n_idle_of_visitors++;
    }
    c->state = DIAL_IDLE;
}

static void unlink_idle(struct dial_conn *c)
{
    struct dial_peer *p = c->peer;

    TAILQ_REMOVE(&p->idle, c, link);
    c->dw->n_idle--;
    if (c->preface_n > 0) {
        TAILQ_REMOVE(&c->dw->of_visitors, c, age);
        c->dw->n_idle_of_visitors--;
    }
    if (--p->n_idle == 0)
        remove_peer(c->dw, p);
    c->peer = NULL;
}

/* ---- Events ---- */

/* An idle connection has nothing to say: what comes is its end, or bytes that would be taken for
 * the next request's response (RFC 9112 section 9.2). TLS housekeeping (tickets) passes. */
bool conn_is_quiet(struct worker *w, struct dial_conn *c)
{
    char byte;
    size_t n;
    enum wire_verdict v = wire_read(w, &c->wire, &byte, 1, &n);

    if (v == WIRE_OK)
        worker_count(w, COUNT_UPSTREAM_STRAY);
    return v == WIRE_AGAIN_READ;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct dial_conn *c = conn_from(arg);

    if (c->state == DIAL_OPENING)
        open_on_event(c, what);
    else if (c->state == DIAL_USED)
        c->ops->on_event(c->arg, what);
    else if (!conn_is_quiet(c->dw->w, c))
        dial_close(c);
}

void dial_want(struct dial_conn *c, short interest)
{
    if (c->interest == interest)
        return;
    if (c->interest != 0)
        event_del(&c->event);
    c->interest = interest;
    if (interest == 0)
        return;
    event_assign(&c->event, c->dw->w->base, c->wire.fd, interest | EV_PERSIST, on_event, c);
    ensure(event_add(&c->event, NULL) == 0);
    if (interest & EV_READ && wire_has_pending(&c->wire)) /* the kernel will not tell of it */
        event_active(&c->event, EV_READ, 0);
}

short dial_interest(const struct dial_conn *c)
{
    return c->interest;
}

struct wire *dial_wire(struct dial_conn *c)
{
    return &c->wire;
}

/* No worker has needed it for a while: whichever needs one next may have it. */
static void share(struct dial_conn *c)
{
    struct dial_worker *dw = c->dw;

    unlink_idle(c);
    if (wire_has_rest(&c->wire) || c->preface_n > 0 || store_n_workers(dw->store) == 1) {
        dial_close(c);
        return;
    }
    dial_want(c, 0);
    dial_clear_timeout(c);
    if (!store_put(dw->store, c))
        conn_destroy(dw->w, c);
}

static void on_timer(struct wheel_timer *t)
{
    struct dial_conn *c = CONTAINER_OF(t, struct dial_conn, timer);

    ensure(c->magic == DIAL_MAGIC);
    if (c->state == DIAL_OPENING)
        open_on_timeout(c);
    else if (c->state == DIAL_USED)
        c->ops->on_timeout(c->arg);
    else if (clock_coarse_ms() >= c->idle_until_ms)
        dial_close(c);
    else
        share(c);
}

void dial_set_timeout(struct dial_conn *c, uint32_t ms)
{
    wheel_set(&c->dw->w->wheel, &c->timer, ms, on_timer);
}

void dial_clear_timeout(struct dial_conn *c)
{
    wheel_clear(&c->dw->w->wheel, &c->timer);
}

/* ---- Idle, and back ---- */

static struct dial_conn *use(struct dial_conn *c, const struct dial_ops *ops, void *arg)
{
    c->state = DIAL_USED;
    c->ops = ops;
    c->arg = arg;
    return c;
}

/* From another worker: it moves to this one's loop. One that has had something to say is no good,
 * and there may be better ones behind it. */
static struct dial_conn *take_shared(struct dial_worker *dw, const struct conn_key *key)
{
    struct dial_conn *c;

    while ((c = store_take(dw->store, key)) != NULL) {
        wire_move(dw->w, &c->wire);
        if (conn_is_quiet(dw->w, c)) {
            c->dw = dw;
            worker_count(dw->w, COUNT_UPSTREAM_SHARED);
            return c;
        }
        conn_destroy(dw->w, c);
    }
    return NULL;
}

struct dial_conn *dial_take(struct dial_worker *dw, const struct dial_order *o,
                            const struct dial_ops *ops, void *arg)
{
    struct str host = conn_host(o->identity, o->host);

    for (size_t i = 0; i < o->n_targets; i++) {
        struct conn_key key = conn_key(&o->targets[i], o->identity, host, o->preface);
        struct dial_peer *p = find_peer(dw, &key);

        if (p != NULL) {
            struct dial_conn *c = TAILQ_FIRST(&p->idle);

            unlink_idle(c);
            return use(c, ops, arg);
        }
    }
    for (size_t i = 0; i < o->n_targets && dw->store != NULL && o->preface.n == 0; i++) {
        struct conn_key key = conn_key(&o->targets[i], o->identity, host, o->preface);
        struct dial_conn *c = take_shared(dw, &key);

        if (c != NULL)
            return use(c, ops, arg);
    }
    return NULL;
}

/* What each worker keeps to itself is its part of all, so that all of them together obey the
 * limits without having to ask each other. */
static void trim(struct dial_worker *dw, struct dial_peer *p, uint32_t keep)
{
    uint32_t part = keep / store_n_workers(dw->store), limit = store_worker_limit(dw->store);

    /* A visitor's own is of use to that one only, who may have left: others must not find all room
     * taken by such. */
    if (dw->n_idle_of_visitors > limit / 2)
        dial_close(TAILQ_LAST(&dw->of_visitors, dial_list));
    else if (p->n_idle > (part > 0 ? part : 1))
        share(TAILQ_LAST(&p->idle, dial_list));
    else if (dw->n_idle > limit)
        dial_close(TAILQ_LAST(&p->idle, dial_list));
}

void dial_keep(struct dial_conn *c, uint32_t keep, uint32_t idle_ms)
{
    struct dial_worker *dw = c->dw;
    uint32_t share_ms = idle_ms;

    ensure(c->state == DIAL_USED);
    if (keep == 0 || dw->store == NULL) {
        dial_close(c);
        return;
    }
    if (share_ms > DIAL_SHARE_MS && c->preface_n == 0 && store_n_workers(dw->store) > 1)
        share_ms = DIAL_SHARE_MS;
    c->keep = keep;
    c->idle_until_ms = clock_coarse_ms() + idle_ms;
    link_idle(c);
    dial_want(c, EV_READ);
    dial_set_timeout(c, share_ms);
    trim(dw, c->peer, keep);
}

/* ---- The end ---- */

void conn_destroy(struct worker *w, struct dial_conn *c)
{
    wire_shut_write(w, &c->wire);
    wire_close(w, &c->wire);
    dial_identity_put(c->identity);
    c->magic = 0;
    free(c);
}

void dial_close(struct dial_conn *c)
{
    if (c->state == DIAL_IDLE && c->peer != NULL)
        unlink_idle(c);
    open_stop(c);
    if (c->interest != 0)
        event_del(&c->event);
    dial_clear_timeout(c);
    conn_destroy(c->dw->w, c);
}

/* ---- The worker's side ---- */

struct dial_worker *dial_worker_new(struct worker *w, struct dial_store *store)
{
    struct dial_worker *dw = base_zalloc(1, sizeof(*dw));

    dw->w = w;
    dw->store = store;
    TAILQ_INIT(&dw->of_visitors);
    return dw;
}

void dial_worker_free(struct dial_worker *dw)
{
    for (size_t i = 0; i < DIAL_BUCKETS; i++)
        while (dw->peers[i] != NULL)
            dial_close(TAILQ_FIRST(&dw->peers[i]->idle));
    for (struct dial_peer *p = dw->free_peers, *next; p != NULL; p = next) {
        next = p->next;
        free(p);
    }
    free(dw);
}
