/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The threads, and how connections come to them. A thread's connections stand in a list by when
 * they last did something useful: a whole query came, or held back answers were taken. Its head is
 * the first to time out, and the one to go when a new one comes and the limit is reached (RFC 7766
 * section 6.2.3). No address may hold more than its share.
 */
#include "gslb-dns/stream/stream_internal.h"

#include "common/clock/clock.h"
#include "common/loop/loop.h"
#include "common/snapshot/snapshot.h"
#include "common/tls/tls.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ACCEPTS_AT_ONCE = 64,
    ACCEPTS_AT_END = 2048, /* more than wait for a listener that closes */
    TICK_MS = 250,
    STOP_MS = 2000, /* for transfers that are under way when the server stops */
    FAST_OPEN_QUEUE = 256,
};

struct listener {
    struct worker *worker;
    int fd;
    enum answer_transport transport;
    struct event *event;
};

struct stream_server {
    struct shares *shares;
    struct worker **workers;
    unsigned n_workers;
};

/* ---- the limit ---- */

static void give_up_one(void *arg)
{
    worker_keep_limit(arg, 0);
}

/* A thread that cannot give up one of its own asks the next, which may pass it on. */
void worker_keep_limit(struct worker *w, size_t least)
{
    while (shares_total(w->shares) > w->max_connections && w->n_connections > least)
        connection_close(connection_oldest(w), ANSWER_COUNTER_TCP_CLOSED_EVICTED);
    if (shares_total(w->shares) > w->max_connections && !w->is_stopping && w->next != w)
        loop_post(w->next->loop, give_up_one, w->next);
}

/* ---- accepting ---- */

static void pause_accepting(struct worker *w)
{
    w->is_paused = true;
    for (size_t i = 0; i < w->n_listeners; i++)
        event_del(w->listeners[i].event);
}

static void resume_accepting(struct worker *w)
{
    w->is_paused = false;
    for (size_t i = 0; i < w->n_listeners; i++)
        event_add(w->listeners[i].event, NULL);
}

/* Without descriptors a listener stays readable: the one idle longest makes room, or else
 * accepting rests until the next tick. */
static void on_accept_failure(struct worker *w)
{
    struct connection *oldest = connection_oldest(w);

    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
        return;
    if (oldest != NULL)
        connection_close(oldest, ANSWER_COUNTER_TCP_CLOSED_EVICTED);
    else
        pause_accepting(w);
}

static void accept_at_most(const struct listener *l, int n)
{
    while (n-- > 0) {
        struct addr peer = {.length = sizeof(peer.storage)};
        int accepted = accept4(l->fd, &peer.sa, &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (accepted < 0) {
            on_accept_failure(l->worker);
            return;
        }
        connection_open(l->worker, accepted, &peer, l->transport);
    }
}

/* The listener is found anew: an update may have moved it. */
static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;

    (void)what;
    for (size_t i = 0; i < w->n_listeners; i++) {
        if (w->listeners[i].fd == fd) {
            accept_at_most(&w->listeners[i], ACCEPTS_AT_ONCE);
            return;
        }
    }
}

/* ---- settings, start and stop: on the worker's thread, while the control thread waits ---- */

struct order {
    struct worker *worker;
    const struct stream_settings *settings;
    unsigned number; /* of the worker */
    sem_t done;
};

/* All threads at once; returns when the last has done it. */
static void give_orders(struct stream_server *s, void (*run)(void *),
                        const struct stream_settings *settings)
{
    struct order *orders = base_zalloc(s->n_workers, sizeof(*orders));

    for (unsigned i = 0; i < s->n_workers; i++) {
        orders[i] = (struct order){.worker = s->workers[i], .settings = settings, .number = i};
        sem_init(&orders[i].done, 0, 0);
        loop_post(s->workers[i]->loop, run, &orders[i]);
    }
    for (unsigned i = 0; i < s->n_workers; i++) {
        while (sem_wait(&orders[i].done) != 0)
            continue;
        sem_destroy(&orders[i].done);
    }
    free(orders);
}

static void finish_stop(struct worker *w)
{
    struct connection *c;

    while ((c = connection_oldest(w)) != NULL)
        connection_close(c, ANSWER_COUNTER_TCP_CLOSED_STOP);
    event_free(w->tick);
    event_free(w->turn);
    tls_server_unref(w->tls);
    snapshot_reader_stop();
    sem_post(&w->stop->done);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    connection_take_turns(arg);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    int64_t now_ms = clock_coarse_ms();

    (void)fd;
    (void)what;
    if (w->is_paused)
        resume_accepting(w);
    connection_end_idle(w, now_ms);
    if (w->is_first)
        tls_tickets_rotate(clock_wall_s(), TLS_TICKET_S);
    if (w->is_stopping && (w->n_connections == 0 || now_ms >= w->stop_at_ms))
        finish_stop(w);
}

/* Connections that the kernel has accepted are ours to serve. */
static void close_listener(const struct listener *l)
{
    accept_at_most(l, ACCEPTS_AT_END);
    event_free(l->event);
    close(l->fd);
}

static bool has_listener(const struct order *order, int fd)
{
    for (size_t i = 0; i < order->settings->n_listeners; i++) {
        if (order->settings->listeners[i].fds[order->number] == fd)
            return true;
    }
    return false;
}

static struct event *take_event(struct worker *w, int fd)
{
    struct event *event;
    int queue = FAST_OPEN_QUEUE;

    for (size_t i = 0; i < w->n_listeners; i++) {
        if (w->listeners[i].fd == fd)
            return w->listeners[i].event;
    }
    /* RFC 7413; a kernel without it costs a round trip, no more. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
    event = event_new(loop_base(w->loop), fd, EV_READ | EV_PERSIST, on_accept, w);
    ensure(event != NULL);
    event_add(event, NULL);
    return event;
}

static void take_listeners(struct worker *w, const struct order *order)
{
    const struct stream_settings *settings = order->settings;
    struct listener *fresh = base_zalloc(settings->n_listeners + 1, sizeof(*fresh));

    for (size_t i = 0; i < settings->n_listeners; i++) {
        int fd = settings->listeners[i].fds[order->number];

        fresh[i] = (struct listener){w, fd, settings->listeners[i].transport, take_event(w, fd)};
    }
    for (size_t i = 0; i < w->n_listeners; i++) {
        if (!has_listener(order, w->listeners[i].fd))
            close_listener(&w->listeners[i]);
    }
    free(w->listeners);
    w->listeners = fresh;
    w->n_listeners = settings->n_listeners;
}

static void apply_settings(void *arg)
{
    struct order *order = arg;
    struct worker *w = order->worker;
    const struct stream_settings *settings = order->settings;

    w->idle_ms = settings->idle_ms;
    w->max_connections = settings->max_connections > 0 ? settings->max_connections : 1;
    tls_server_unref(w->tls);
    w->tls = settings->tls != NULL ? tls_server_ref(settings->tls) : NULL;
    w->doh_path = settings->doh_path;
    w->proxies = settings->proxies;
    w->n_proxies = settings->n_proxies;
    take_listeners(w, order);
    worker_keep_limit(w, w->max_connections / w->n_workers);
    sem_post(&order->done);
}

static void begin_serving(void *arg)
{
    struct order *order = arg;
    struct worker *w = order->worker;
    static const struct timeval tick = {.tv_usec = TICK_MS * 1000};

    snapshot_reader_start();
    w->tick = event_new(loop_base(w->loop), -1, EV_PERSIST, on_tick, w);
    w->turn = event_new(loop_base(w->loop), -1, 0, on_turn, w);
    ensure(w->tick != NULL && w->turn != NULL);
    event_add(w->tick, &tick);
    apply_settings(arg);
}

/* What has been received is answered once more, then everything is closed; a transfer has until
 * stop_at_ms to end. */
static void end_serving(void *arg)
{
    struct order *order = arg;
    struct worker *w = order->worker;
    struct connection *c, *next;

    for (size_t i = 0; i < w->n_listeners; i++)
        close_listener(&w->listeners[i]);
    w->n_listeners = 0;
    w->is_stopping = true;
    w->stop_at_ms = clock_coarse_ms() + STOP_MS;
    w->stop = order;
    while ((c = TAILQ_FIRST(&w->unfinished)) != NULL)
        connection_stop(c);
    for (c = TAILQ_FIRST(&w->by_use); c != NULL; c = next) {
        next = TAILQ_NEXT(c, by_use);
        connection_stop(c);
    }
    if (w->n_connections == 0)
        finish_stop(w);
}

static struct worker *make_worker(const struct stream_server *s, unsigned number,
                                  const struct net_handler *handler, struct metrics *metrics)
{
    struct worker *w = base_zalloc(1, sizeof(*w));
    char name[24];

    w->handler = handler;
    w->counters = metrics_add_block(metrics);
    w->context = handler->open(handler->arg, w->counters);
    w->shares = s->shares;
    w->n_workers = s->n_workers;
    w->is_first = number == 0;
    TAILQ_INIT(&w->by_use);
    TAILQ_INIT(&w->unfinished);
    TAILQ_INIT(&w->waiting);
    snprintf(name, sizeof(name), "dns-tcp-%u", number);
    w->loop = loop_new(name);
    return w;
}

struct stream_server *stream_server_start(const struct stream_settings *settings,
                                          unsigned n_threads, const struct net_handler *handler,
                                          struct metrics *metrics)
{
    struct stream_server *s = base_zalloc(1, sizeof(*s));

    ensure(n_threads > 0);
    s->shares = shares_new();
    s->n_workers = n_threads;
    s->workers = base_zalloc(n_threads, sizeof(struct worker *));
    for (unsigned i = 0; i < n_threads; i++)
        s->workers[i] = make_worker(s, i, handler, metrics);
    for (unsigned i = 0; i < n_threads; i++) {
        s->workers[i]->next = s->workers[(i + 1) % n_threads];
        loop_start(s->workers[i]->loop);
    }
    give_orders(s, begin_serving, settings);
    return s;
}

void stream_server_update(struct stream_server *s, const struct stream_settings *settings)
{
    give_orders(s, apply_settings, settings);
}

static void free_worker(struct worker *w)
{
    loop_join(w->loop);
    loop_free(w->loop);
    w->handler->close(w->context);
    free(w->listeners);
    free(w);
}

void stream_server_stop(struct stream_server *s)
{
    give_orders(s, end_serving, NULL);
    for (unsigned i = 0; i < s->n_workers; i++)
        loop_stop(s->workers[i]->loop);
    for (unsigned i = 0; i < s->n_workers; i++)
        free_worker(s->workers[i]);
    shares_free(s->shares);
    free(s->workers);
    free(s);
}

size_t stream_server_connections(const struct stream_server *s, enum answer_transport transport)
{
    return shares_of(s->shares, transport);
}
