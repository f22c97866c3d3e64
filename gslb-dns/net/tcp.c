/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One loop serves all connections (RFC 7766). What a connection costs while it waits is its struct
 * and nothing else: it reads into a buffer that all share, and memory of its own appears only for
 * the rest of a message that came in part, or of answers that the peer did not take at once.
 *
 *   readable ─▶ read once ─▶ answer whole messages, at most BATCH ─▶ one writev ─▶ next BATCH
 *                                                                     └ not all taken: keep the
 *                                      rest, stop reading, go on when writable (back-pressure)
 *
 * Connections stand in a list by when they last did something useful: a whole query came, or held
 * back answers were taken. Its head is the first to time out, and the one to go when a new one
 * comes and the limit is reached (RFC 7766 section 6.2.3). No address may hold more than its share.
 */
#include "gslb-dns/net/net_internal.h"

#include "common/bytes/bytes.h"
#include "common/clock/clock.h"
#include "common/loop/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    FRAME = 2,
    MESSAGE_MAX = 65535,
    BATCH = 32,
    READ_BYTES = 2 * (FRAME + MESSAGE_MAX),
    CLIENT_BUCKETS = 4096,
    CLIENT_SHARE = 8, /* one address may hold an eighth of all connections, … */
    CLIENT_LEAST = 8, /* … and this many in any case */
    ACCEPTS_AT_ONCE = 64,
    ACCEPTS_AT_END = 2048, /* more than wait for a listener that closes */
    TICK_MS = 250,
    FAST_OPEN_QUEUE = 256,
};

/* Bytes that wait: of a message that is not whole yet, or of answers. */
struct rest {
    uint8_t *p;
    size_t n;
};

struct connection {
    TAILQ_ENTRY(connection) by_use;
    LIST_ENTRY(connection) by_client;
    struct tcp_server *server;
    struct event *readable, *writable;
    int fd;
    bool is_blocked; /* answers wait for the peer to read */
    int64_t used_ms;
    struct rest in, out;
    struct addr peer;
};

struct listener {
    int fd;
    struct event *event;
};

struct tcp_server {
    struct loop *loop;
    const struct net_handler *handler;
    void *context;
    struct metrics_block *counters;
    struct listener *listeners;
    size_t n_listeners;
    bool is_paused; /* out of descriptors: no accepts until the next tick */
    uint32_t idle_ms, max_connections;
    size_t n_connections;
    uint32_t client_seed;
    struct event *tick;
    TAILQ_HEAD(, connection) by_use; /* the one idle longest first */
    LIST_HEAD(client_bucket, connection) by_client[CLIENT_BUCKETS];
    struct answer_query queries[BATCH];
    struct iovec frames[BATCH];
    uint8_t read_buffer[READ_BYTES];
    uint8_t answers[BATCH][FRAME + MESSAGE_MAX + 1];
};

/* Whether a connection goes on after a step, and if not, under which counter it ends. */
enum { GOES_ON = -1 };

static void count(struct tcp_server *s, int counter)
{
    metrics_add(s->counters, (size_t)counter, 1);
}

/* ---- a connection's life ---- */

static void close_connection(struct connection *c, int why)
{
    struct tcp_server *s = c->server;

    count(s, why);
    TAILQ_REMOVE(&s->by_use, c, by_use);
    LIST_REMOVE(c, by_client);
    __atomic_store_n(&s->n_connections, s->n_connections - 1, __ATOMIC_RELAXED);
    event_free(c->readable);
    event_free(c->writable);
    close(c->fd);
    free(c->in.p);
    free(c->out.p);
    free(c);
}

static void mark_used(struct connection *c)
{
    c->used_ms = clock_coarse_ms();
    TAILQ_REMOVE(&c->server->by_use, c, by_use);
    TAILQ_INSERT_TAIL(&c->server->by_use, c, by_use);
}

/* n bytes at p become the rest, of which p may be a part. */
static void keep_rest(struct rest *r, const uint8_t *p, size_t n)
{
    uint8_t *old = r->p;

    r->n = n;
    r->p = n > 0 ? memcpy(base_alloc(n), p, n) : NULL;
    free(old);
}

/* ---- writing ---- */

/* A peer that reset its connection shows here or at the next read; both are plain ends. */
static int error_counter(void)
{
    return errno == ECONNRESET || errno == EPIPE ? ANSWER_COUNTER_TCP_CLOSED_PEER
                                                 : ANSWER_COUNTER_TCP_CLOSED_ERROR;
}

/* What the peer did not take is kept; it must be taken before the next message is looked at. */
static void keep_unsent(struct connection *c, const struct iovec *frames, size_t n, size_t sent)
{
    size_t total = 0, at = 0;

    for (size_t i = 0; i < n; i++)
        total += frames[i].iov_len;
    c->out.n = total - sent;
    if (c->out.n == 0)
        return;
    c->out.p = base_alloc(c->out.n);
    for (size_t i = 0; i < n; i++) {
        size_t skip = sent < frames[i].iov_len ? sent : frames[i].iov_len;

        memcpy(c->out.p + at, (uint8_t *)frames[i].iov_base + skip, frames[i].iov_len - skip);
        at += frames[i].iov_len - skip;
        sent -= skip;
    }
    c->is_blocked = true;
    event_del(c->readable);
    event_add(c->writable, NULL);
}

static int write_frames(struct connection *c, struct iovec *frames, size_t n)
{
    struct msghdr m = {.msg_iov = frames, .msg_iovlen = n};
    ssize_t sent = sendmsg(c->fd, &m, MSG_NOSIGNAL);

    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            return error_counter();
        sent = 0;
    }
    keep_unsent(c, frames, n, (size_t)sent);
    return GOES_ON;
}

/* ---- answering ---- */

/* Whole messages at p become queries; how many bytes they take. */
static size_t gather_queries(struct connection *c, const uint8_t *p, size_t n, size_t *n_queries)
{
    struct tcp_server *s = c->server;
    size_t at = 0, found = 0;

    while (found < BATCH && n - at >= FRAME) {
        size_t bytes = bytes_get_u16(p + at);

        if (n - at - FRAME < bytes)
            break;
        s->queries[found] = (struct answer_query){.packet = p + at + FRAME,
                                                  .packet_bytes = (uint32_t)bytes,
                                                  .transport = ANSWER_TCP,
                                                  .source = &c->peer,
                                                  .out = s->answers[found] + FRAME,
                                                  .out_cap_bytes = MESSAGE_MAX};
        found++;
        at += FRAME + bytes;
    }
    *n_queries = found;
    return at;
}

/* A message that deserves no answer is no DNS query: the stream is not worth reading on. What was
 * asked before it is answered. */
static int answer_queries(struct connection *c, size_t n)
{
    struct tcp_server *s = c->server;
    size_t frames = 0;
    int end = GOES_ON;

    snapshot_enter();
    s->handler->answer(s->context, s->queries, n);
    snapshot_leave();
    for (; frames < n && s->queries[frames].out_bytes > 0; frames++) {
        uint32_t bytes = s->queries[frames].out_bytes;

        bytes_put_u16(s->answers[frames], (uint16_t)bytes);
        s->frames[frames] = (struct iovec){s->answers[frames], FRAME + bytes};
    }
    mark_used(c);
    if (frames > 0)
        end = write_frames(c, s->frames, frames);
    return end == GOES_ON && frames < n ? ANSWER_COUNTER_TCP_CLOSED_FRAME : end;
}

/* Answers what is whole among n bytes at p and keeps the rest. */
static int serve_bytes(struct connection *c, const uint8_t *p, size_t n)
{
    while (!c->is_blocked) {
        size_t n_queries, taken = gather_queries(c, p, n, &n_queries);
        int end;

        if (n_queries == 0)
            break;
        end = answer_queries(c, n_queries);
        if (end != GOES_ON)
            return end;
        p += taken;
        n -= taken;
    }
    keep_rest(&c->in, p, n);
    return GOES_ON;
}

/* One read: other connections wait. The rest of last time comes before what is read. */
static int read_and_serve(struct connection *c)
{
    struct tcp_server *s = c->server;
    ssize_t n;

    ensure(c->in.n < FRAME + MESSAGE_MAX);
    n = read(c->fd, s->read_buffer + c->in.n, READ_BYTES - c->in.n);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? GOES_ON : error_counter();
    if (n == 0) /* also of a half-closed stream: what was asked on it has been answered */
        return ANSWER_COUNTER_TCP_CLOSED_PEER;
    if (c->in.n > 0)
        memcpy(s->read_buffer, c->in.p, c->in.n);
    return serve_bytes(c, s->read_buffer, c->in.n + (size_t)n);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;
    int end = read_and_serve(c);

    (void)fd;
    (void)what;
    if (end != GOES_ON)
        close_connection(c, end);
}

/* Flushes what was kept; then the messages that had to wait for it. */
static int write_and_serve(struct connection *c)
{
    ssize_t sent = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);

    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? GOES_ON : error_counter();
    mark_used(c);
    keep_rest(&c->out, c->out.p + sent, c->out.n - (size_t)sent);
    if (c->out.n > 0)
        return GOES_ON;
    c->is_blocked = false;
    event_del(c->writable);
    event_add(c->readable, NULL);
    return serve_bytes(c, c->in.p, c->in.n);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;
    int end = write_and_serve(c);

    (void)fd;
    (void)what;
    if (end != GOES_ON)
        close_connection(c, end);
}

/* ---- accepting ---- */

/* Whom a connection is counted for: an IPv4 address, an IPv6 /64. */
static struct client_bucket *client_bucket(struct tcp_server *s, const struct ip *client)
{
    uint64_t hash = s->client_seed;

    for (size_t i = 0; i < 8; i++)
        hash = (hash ^ client->bytes[i]) * 0x9e3779b97f4a7c15u;
    return &s->by_client[hash >> 52 & (CLIENT_BUCKETS - 1)];
}

static struct ip client_of(const struct addr *peer)
{
    struct ip ip = addr_ip(peer);

    if (ip.family == 6)
        ip_mask(&ip, 64);
    return ip;
}

static bool has_share_left(struct tcp_server *s, const struct ip *client)
{
    size_t limit = s->max_connections / CLIENT_SHARE, n = 0;
    struct connection *c;

    if (limit < CLIENT_LEAST)
        limit = CLIENT_LEAST;
    LIST_FOREACH(c, client_bucket(s, client), by_client)
    {
        struct ip other = client_of(&c->peer);
        if (ip_eq(client, &other))
            n++;
    }
    return n < limit;
}

static void open_connection(struct tcp_server *s, int fd, const struct addr *peer)
{
    struct event_base *base = loop_base(s->loop);
    struct ip client = client_of(peer);
    struct connection *c;

    count(s, ANSWER_COUNTER_TCP_OPENED);
    if (!has_share_left(s, &client)) {
        count(s, ANSWER_COUNTER_TCP_CLOSED_CLIENT);
        close(fd);
        return;
    }
    while (s->n_connections >= s->max_connections && !TAILQ_EMPTY(&s->by_use))
        close_connection(TAILQ_FIRST(&s->by_use), ANSWER_COUNTER_TCP_CLOSED_EVICTED);
    c = base_zalloc(1, sizeof(*c));
    c->server = s;
    c->fd = fd;
    c->peer = *peer;
    c->used_ms = clock_coarse_ms();
    c->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    ensure(c->readable != NULL && c->writable != NULL);
    event_add(c->readable, NULL);
    TAILQ_INSERT_TAIL(&s->by_use, c, by_use);
    LIST_INSERT_HEAD(client_bucket(s, &client), c, by_client);
    __atomic_store_n(&s->n_connections, s->n_connections + 1, __ATOMIC_RELAXED);
}

static void pause_accepting(struct tcp_server *s)
{
    s->is_paused = true;
    for (size_t i = 0; i < s->n_listeners; i++)
        event_del(s->listeners[i].event);
}

static void resume_accepting(struct tcp_server *s)
{
    s->is_paused = false;
    for (size_t i = 0; i < s->n_listeners; i++)
        event_add(s->listeners[i].event, NULL);
}

/* Without descriptors a listener stays readable: the one idle longest makes room, or else
 * accepting rests until the next tick. */
static void on_accept_failure(struct tcp_server *s)
{
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
        return;
    if (!TAILQ_EMPTY(&s->by_use))
        close_connection(TAILQ_FIRST(&s->by_use), ANSWER_COUNTER_TCP_CLOSED_EVICTED);
    else
        pause_accepting(s);
}

static void accept_at_most(struct tcp_server *s, int fd, int n)
{
    while (n-- > 0) {
        struct addr peer = {.length = sizeof(peer.storage)};
        int accepted = accept4(fd, &peer.sa, &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (accepted < 0) {
            on_accept_failure(s);
            return;
        }
        open_connection(s, accepted, &peer);
    }
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    accept_at_most(arg, fd, ACCEPTS_AT_ONCE);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct tcp_server *s = arg;
    int64_t limit_ms = clock_coarse_ms() - s->idle_ms;
    struct connection *c;

    (void)fd;
    (void)what;
    if (s->is_paused)
        resume_accepting(s);
    while ((c = TAILQ_FIRST(&s->by_use)) != NULL && c->used_ms <= limit_ms)
        close_connection(c, c->is_blocked ? ANSWER_COUNTER_TCP_CLOSED_SLOW
                                          : ANSWER_COUNTER_TCP_CLOSED_IDLE);
}

/* ---- settings, start and stop: on the loop's thread, while the control thread waits ---- */

struct order {
    struct tcp_server *server;
    const struct tcp_settings *settings;
    sem_t done;
};

static void give_order(struct tcp_server *s, void (*run)(void *), const struct tcp_settings *what)
{
    struct order order = {.server = s, .settings = what};

    sem_init(&order.done, 0, 0);
    loop_post(s->loop, run, &order);
    while (sem_wait(&order.done) != 0)
        continue;
    sem_destroy(&order.done);
}

/* Connections that the kernel has accepted are ours to serve. */
static void close_listener(struct tcp_server *s, struct listener *l)
{
    accept_at_most(s, l->fd, ACCEPTS_AT_END);
    event_free(l->event);
    close(l->fd);
}

static bool has_listener(const struct tcp_settings *settings, int fd)
{
    for (size_t i = 0; i < settings->n_listeners; i++) {
        if (settings->listeners[i] == fd)
            return true;
    }
    return false;
}

static struct event *take_event(struct tcp_server *s, int fd)
{
    struct event *event;
    int queue = FAST_OPEN_QUEUE;

    for (size_t i = 0; i < s->n_listeners; i++) {
        if (s->listeners[i].fd == fd)
            return s->listeners[i].event;
    }
    /* RFC 7413; a kernel without it costs a round trip, no more. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
    event = event_new(loop_base(s->loop), fd, EV_READ | EV_PERSIST, on_accept, s);
    ensure(event != NULL);
    event_add(event, NULL);
    return event;
}

static void apply_settings(void *arg)
{
    struct order *order = arg;
    struct tcp_server *s = order->server;
    const struct tcp_settings *settings = order->settings;
    struct listener *fresh = base_zalloc(settings->n_listeners + 1, sizeof(*fresh));

    s->idle_ms = settings->idle_ms;
    s->max_connections = settings->max_connections > 0 ? settings->max_connections : 1;
    for (size_t i = 0; i < settings->n_listeners; i++)
        fresh[i] = (struct listener){settings->listeners[i], take_event(s, settings->listeners[i])};
    for (size_t i = 0; i < s->n_listeners; i++) {
        if (!has_listener(settings, s->listeners[i].fd))
            close_listener(s, &s->listeners[i]);
    }
    free(s->listeners);
    s->listeners = fresh;
    s->n_listeners = settings->n_listeners;
    while (s->n_connections > s->max_connections)
        close_connection(TAILQ_FIRST(&s->by_use), ANSWER_COUNTER_TCP_CLOSED_EVICTED);
    sem_post(&order->done);
}

static void begin_serving(void *arg)
{
    struct order *order = arg;
    struct tcp_server *s = order->server;
    static const struct timeval tick = {.tv_usec = TICK_MS * 1000};

    snapshot_reader_start();
    s->tick = event_new(loop_base(s->loop), -1, EV_PERSIST, on_tick, s);
    ensure(s->tick != NULL);
    event_add(s->tick, &tick);
    apply_settings(arg);
}

/* What has been received is answered once more, then everything is closed. */
static void end_serving(void *arg)
{
    struct order *order = arg;
    struct tcp_server *s = order->server;
    struct connection *c;

    for (size_t i = 0; i < s->n_listeners; i++)
        close_listener(s, &s->listeners[i]);
    s->n_listeners = 0;
    while ((c = TAILQ_FIRST(&s->by_use)) != NULL) {
        int end = c->is_blocked ? write_and_serve(c) : read_and_serve(c);
        close_connection(c, end != GOES_ON ? end : ANSWER_COUNTER_TCP_CLOSED_STOP);
    }
    event_free(s->tick);
    snapshot_reader_stop();
    sem_post(&order->done);
}

struct tcp_server *tcp_server_start(const struct tcp_settings *settings,
                                    const struct net_handler *handler, struct metrics *metrics)
{
    struct tcp_server *s = base_zalloc(1, sizeof(*s));

    s->handler = handler;
    s->counters = metrics_add_block(metrics);
    s->context = handler->open(handler->arg, s->counters);
    if (getrandom(&s->client_seed, sizeof(s->client_seed), GRND_NONBLOCK) < 0)
        s->client_seed = (uint32_t)(uintptr_t)s;
    TAILQ_INIT(&s->by_use);
    s->loop = loop_new("dns-tcp");
    loop_start(s->loop);
    give_order(s, begin_serving, settings);
    return s;
}

void tcp_server_update(struct tcp_server *s, const struct tcp_settings *settings)
{
    give_order(s, apply_settings, settings);
}

void tcp_server_stop(struct tcp_server *s)
{
    give_order(s, end_serving, NULL);
    loop_stop(s->loop);
    loop_join(s->loop);
    loop_free(s->loop);
    s->handler->close(s->context);
    free(s->listeners);
    free(s);
}

size_t tcp_server_connections(const struct tcp_server *s)
{
    return __atomic_load_n(&s->n_connections, __ATOMIC_RELAXED);
}
