/* SPDX-License-Identifier: BSD-2-Clause */
/* Listening sockets: opened and closed by the main thread's wish, accepted from by the workers. */
#include "edge-proxy/listen/listen.h"

#include "common/log/log.h"
#include "common/net/net.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACCEPT_BATCH = 16,    /* connections, before established ones have their turn */
    ACCEPT_PAUSE_MS = 100 /* without free file descriptors */
};
/* The kernel takes the smaller of this and net.core.somaxconn. */
static const int BACKLOG = 4096;

/* What is spoken on new connections, and who may open them. */
struct terms {
    bool is_tls, are_others_refused;
    uint32_t proxy_ms;
    size_t n_proxies;
    struct prefix proxies[];
};

/* One worker's socket. The worker's thread, once it was posted there. */
struct acceptor {
    struct listen_worker *worker;
    struct terms *terms; /* its own: they change while a generation does */
    int fd;
    bool is_added;
    struct event event;
    struct wheel_timer pause;
};

/* One address. The main thread. */
struct listener {
    struct addr address;
    bool is_tls;
    struct acceptor **acceptors; /* one per worker, or more: those of a process before with more */
    size_t n_acceptors;
};

struct listen {
    struct listen_worker *workers;
    unsigned n_workers;
    struct listener **listeners;
    size_t n, cap;
};

struct listen_change {
    struct listen *l;
    struct listener **next; /* those of the new configuration: kept and new */
    bool *is_new;
    struct terms **terms; /* of the kept ones */
    size_t n;
};

/* ---- Accepting (workers) ---- */

static void on_pause_over(struct wheel_timer *t)
{
    struct acceptor *a = CONTAINER_OF(t, struct acceptor, pause);

    ensure(event_add(&a->event, NULL) == 0);
}

/* Waiting for the kernel to have room is better than spinning on its refusal: connections stay in
 * the backlog meanwhile. */
static void pause_accepting(struct acceptor *a)
{
    struct worker *w = a->worker->w;

    worker_count(w, COUNT_REFUSED_FILES);
    session_worker_make_room(a->worker->sessions);
    event_del(&a->event);
    wheel_set(&w->wheel, &a->pause, ACCEPT_PAUSE_MS, on_pause_over);
}

/* Capacity is refused in so many words (RFC 9110 section 15.6.4); over TLS these would cost the
 * handshake that the limit is there to save. */
static void refuse(struct acceptor *a, int fd, enum counter why)
{
    struct str answer = http_busy_answer();

    worker_count(a->worker->w, why);
    if (!a->terms->is_tls)
        (void)send(fd, answer.p, answer.n, MSG_NOSIGNAL);
    close(fd);
}

static bool is_listed(const struct terms *t, const struct addr *peer)
{
    struct ip ip = addr_ip(peer);

    for (size_t i = 0; i < t->n_proxies; i++)
        if (prefix_has(&t->proxies[i], &ip))
            return true;
    return false;
}

static void open_session(struct acceptor *a, int fd, const struct addr *peer)
{
    struct generation *g = request_worker_generation(a->worker->requests);
    struct request_shared *shared = request_worker_shared(a->worker->requests);
    const struct terms *t = a->terms;
    bool is_proxy = t->n_proxies > 0 && is_listed(t, peer);

    if (t->are_others_refused && !is_proxy) {
        worker_count(a->worker->w, COUNT_REFUSED_UNLISTED);
        close(fd);
        return;
    }
    if (atomic_load_explicit(&shared->connections, memory_order_relaxed) >=
        g->config->limits.max_connections) {
        refuse(a, fd, COUNT_REFUSED_LIMIT);
        return;
    }
    if (buffers_are_short_for_visitors()) {
        refuse(a, fd, COUNT_REFUSED_MEMORY);
        return;
    }
    session_open(a->worker->sessions, fd,
                 &(struct session_arrival){peer, t->is_tls, is_proxy ? t->proxy_ms : 0});
}

static void on_acceptable(evutil_socket_t listener, short what, void *arg)
{
    struct acceptor *a = arg;

    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct addr peer = {.length = sizeof(peer.storage)};
        int fd = accept4(listener, &peer.sa, &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            open_session(a, fd, &peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_accepting(a);
        else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            worker_count(a->worker->w, COUNT_ACCEPT_ERRORS);
        return;
    }
}

static void start_acceptor(void *arg)
{
    struct acceptor *a = arg;

    event_assign(&a->event, a->worker->w->base, a->fd, EV_READ | EV_PERSIST, on_acceptable, a);
    ensure(event_add(&a->event, NULL) == 0);
    a->is_added = true;
}

static void free_acceptor(void *arg)
{
    struct acceptor *a = arg;

    if (a->is_added) {
        wheel_clear(&a->worker->w->wheel, &a->pause);
        event_del(&a->event);
    }
    close(a->fd);
    free(a->terms);
    free(a);
}

/* ---- Opening and closing (main) ---- */

static struct terms *terms_new(const struct config_listener *c)
{
    size_t n = c->proxies.n_from;
    struct terms *t = base_zalloc(1, sizeof(*t) + n * sizeof(t->proxies[0]));

    t->is_tls = c->is_tls;
    t->are_others_refused = n > 0 && c->proxies.others == CONFIG_OTHERS_REFUSED;
    t->proxy_ms = c->proxies.timeout_ms;
    t->n_proxies = n;
    if (n > 0)
        memcpy(t->proxies, c->proxies.from, n * sizeof(t->proxies[0]));
    return t;
}

static struct terms *terms_copy(const struct terms *t)
{
    size_t bytes = sizeof(*t) + t->n_proxies * sizeof(t->proxies[0]);

    return memcpy(base_alloc(bytes), t, bytes);
}

static void free_listener(struct listener *x)
{
    for (size_t i = 0; i < x->n_acceptors; i++)
        free_acceptor(x->acceptors[i]);
    free(x->acceptors);
    free(x);
}

/* Workers close their own sockets: they may be accepting from them just now. */
static void close_listener(struct listen *l, struct listener *x)
{
    char text[ADDR_TEXT];

    log_info("listen", "closed address=%s", addr_format(&x->address, text));
    for (size_t i = 0; i < x->n_acceptors; i++)
        loop_post(x->acceptors[i]->worker->w->loop, free_acceptor, x->acceptors[i]);
    free(x->acceptors);
    free(x);
}

/* The next worker in turn accepts from fd. */
static void add_acceptor(struct listen *l, struct listener *x, const struct config_listener *c,
                         int fd)
{
    struct acceptor *a = base_zalloc(1, sizeof(*a));

    *a = (struct acceptor){
        .worker = &l->workers[x->n_acceptors % l->n_workers], .terms = terms_new(c), .fd = fd};
    x->acceptors = base_realloc(x->acceptors, (x->n_acceptors + 1) * sizeof(struct acceptor *));
    x->acceptors[x->n_acceptors++] = a;
}

static struct listener *open_listener(struct listen *l, const struct config_listener *c,
                                      struct errors *errors)
{
    struct listener *x;
    int fd;

    if (has_failed(net_check_free(&c->address, SOCK_STREAM, errors, c->place)))
        return NULL;
    x = base_zalloc(1, sizeof(*x));
    x->address = c->address;
    x->is_tls = c->is_tls;
    for (unsigned i = 0; i < l->n_workers; i++) {
        fd = net_listen_tcp(&c->address, BACKLOG, errors, c->place);
        if (fd < 0) {
            free_listener(x);
            return NULL;
        }
        add_acceptor(l, x, c, fd);
    }
    /* Each has a queue of its own: closing one would reset who waits there. */
    while ((fd = net_take_inherited(&c->address)) >= 0)
        add_acceptor(l, x, c, fd);
    return x;
}

static struct listener *find_listener(const struct listen *l, const struct config_listener *c)
{
    for (size_t i = 0; i < l->n; i++)
        if (addr_eq(&l->listeners[i]->address, &c->address))
            return l->listeners[i];
    return NULL;
}

struct listen *listen_new(struct listen_worker *workers, unsigned n_workers)
{
    struct listen *l = base_zalloc(1, sizeof(*l));

    l->workers = workers;
    l->n_workers = n_workers;
    return l;
}

struct listen_change *listen_prepare(struct listen *l, const struct config *config,
                                     struct errors *errors)
{
    struct listen_change *change = base_zalloc(1, sizeof(*change));
    bool has_all = true;

    change->l = l;
    change->next = base_zalloc(config->n_listeners + 1, sizeof(change->next[0]));
    change->is_new = base_zalloc(config->n_listeners + 1, sizeof(change->is_new[0]));
    change->terms = base_zalloc(config->n_listeners + 1, sizeof(change->terms[0]));
    for (size_t i = 0; i < config->n_listeners; i++) {
        struct listener *x = find_listener(l, &config->listeners[i]);

        change->is_new[change->n] = x == NULL;
        if (x == NULL)
            x = open_listener(l, &config->listeners[i], errors);
        else
            change->terms[change->n] = terms_new(&config->listeners[i]);
        if (x != NULL)
            change->next[change->n++] = x;
        else
            has_all = false;
    }
    if (has_all)
        return change;
    listen_discard(change);
    return NULL;
}

static void free_change(struct listen_change *change)
{
    for (size_t i = 0; i < change->n; i++)
        free(change->terms[i]);
    free(change->terms);
    free(change->is_new);
    free(change);
}

void listen_discard(struct listen_change *change)
{
    for (size_t i = 0; i < change->n; i++)
        if (change->is_new[i])
            free_listener(change->next[i]);
    free(change->next);
    free_change(change);
}

static bool is_in(const struct listen_change *change, const struct listener *x)
{
    for (size_t i = 0; i < change->n; i++)
        if (change->next[i] == x)
            return true;
    return false;
}

static void start_listener(struct listen *l, struct listener *x)
{
    char text[ADDR_TEXT];

    log_info("listen", "open address=%s tls=%s", addr_format(&x->address, text),
             x->is_tls ? "yes" : "no");
    for (size_t i = 0; i < x->n_acceptors; i++)
        loop_post(x->acceptors[i]->worker->w->loop, start_acceptor, x->acceptors[i]);
}

struct new_terms {
    struct acceptor *acceptor;
    struct terms *terms;
};

/* The socket stays, its next connections are under these. */
static void take_terms(void *arg)
{
    struct new_terms *new = arg;

    free(new->acceptor->terms);
    new->acceptor->terms = new->terms;
    free(new);
}

static void change_terms(struct listener *x, const struct terms *terms)
{
    x->is_tls = terms->is_tls;
    for (size_t i = 0; i < x->n_acceptors; i++) {
        struct new_terms *new = base_alloc(sizeof(*new));

        *new = (struct new_terms){x->acceptors[i], terms_copy(terms)};
        loop_post(x->acceptors[i]->worker->w->loop, take_terms, new);
    }
}

void listen_commit(struct listen *l, struct listen_change *change)
{
    for (size_t i = 0; i < l->n; i++)
        if (!is_in(change, l->listeners[i]))
            close_listener(l, l->listeners[i]);
    for (size_t i = 0; i < change->n; i++)
        if (change->is_new[i])
            start_listener(l, change->next[i]);
        else
            change_terms(change->next[i], change->terms[i]);
    free(l->listeners);
    l->listeners = change->next;
    l->n = change->n;
    free_change(change);
}

void listen_stop(struct listen *l)
{
    for (size_t i = 0; i < l->n; i++)
        close_listener(l, l->listeners[i]);
    l->n = 0;
}

void listen_free(struct listen *l)
{
    for (size_t i = 0; i < l->n; i++)
        free_listener(l->listeners[i]);
    free(l->listeners);
    free(l);
}

size_t listen_count(const struct listen *l)
{
    return l->n;
}

void listen_state(const struct listen *l, size_t i, struct listen_state *out)
{
    addr_format(&l->listeners[i]->address, out->address);
    out->is_tls = l->listeners[i]->is_tls;
    out->is_open = true;
}
