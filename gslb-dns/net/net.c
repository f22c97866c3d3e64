/* SPDX-License-Identifier: BSD-2-Clause */
/* The server: which addresses, which sockets, and how one set of them becomes another. */
#include "gslb-dns/net/net_internal.h"

#include "common/net/net.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TCP_BACKLOG = 1024, PORT_TRIES = 16 };

/* One address with all of its sockets. */
struct endpoint {
    struct addr wanted;              /* as it is configured */
    struct addr bound;               /* with the kernel's port */
    enum answer_transport transport; /* ANSWER_UDP: UDP and TCP */
    int *udp;                        /* one for each worker */
    int *listeners;                  /* one for each TCP thread */
    bool is_kept;                    /* while the set changes */
};

struct net_server {
    struct net_handler handler;
    struct endpoint *endpoints;
    size_t n_endpoints;
    struct udp_worker **workers;
    unsigned n_workers, n_tcp_threads;
    struct stream_server *streams;
};

/* common/net opens non-blocking ones; a worker wants to wait in the call that receives. */
static int bind_worker_socket(const struct addr *at, struct errors *errors, struct place place)
{
    int fd = net_bind_udp(at, addr_is_wildcard(at), errors, place);

    if (fd >= 0)
        (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

static int *closed_sockets(unsigned n)
{
    int *fds = base_alloc(n * sizeof(*fds));

    for (unsigned i = 0; i < n; i++)
        fds[i] = -1;
    return fds;
}

static void close_sockets(int *fds, unsigned n)
{
    for (unsigned i = 0; fds != NULL && i < n; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    free(fds);
}

static void close_endpoint(const struct net_server *s, struct endpoint *e)
{
    close_sockets(e->udp, s->n_workers);
    close_sockets(e->listeners, s->n_tcp_threads);
    e->udp = e->listeners = NULL;
}

/* The first socket tells the port where the kernel chooses it. */
static struct outcome open_sockets(const struct net_server *s, struct endpoint *e,
                                   struct errors *errors, struct place place)
{
    unsigned n_udp = e->transport == ANSWER_UDP ? s->n_workers : 0;

    e->bound = e->wanted;
    e->udp = closed_sockets(s->n_workers);
    e->listeners = closed_sockets(s->n_tcp_threads);
    for (unsigned i = 0; i < n_udp; i++) {
        e->udp[i] = bind_worker_socket(&e->bound, errors, place);
        if (e->udp[i] < 0 || (i == 0 && has_failed(net_local_addr(e->udp[0], &e->bound))))
            return OUTCOME_FAILED;
    }
    for (unsigned i = 0; i < s->n_tcp_threads; i++) {
        e->listeners[i] = net_listen_tcp(&e->bound, TCP_BACKLOG, errors, place);
        if (e->listeners[i] < 0 ||
            (i == 0 && has_failed(net_local_addr(e->listeners[0], &e->bound))))
            return OUTCOME_FAILED;
    }
    return OUTCOME_OK;
}

/* A port that the kernel chose for UDP may be taken for TCP: then another one is tried. */
static struct outcome open_any_port(const struct net_server *s, struct endpoint *e,
                                    struct errors *errors, struct place place)
{
    for (int i = 0; i < PORT_TRIES; i++) {
        struct errors attempt = {0};
        struct outcome outcome = open_sockets(s, e, &attempt, place);

        if (!has_failed(outcome) || i == PORT_TRIES - 1) {
            errors_merge(errors, &attempt);
            return outcome;
        }
        errors_free(&attempt);
        close_endpoint(s, e);
    }
    return OUTCOME_FAILED;
}

static bool has_overlap(const struct endpoint *endpoints, size_t n, const struct addr *at)
{
    for (size_t i = 0; i < n; i++)
        if (addr_overlaps(&endpoints[i].bound, at))
            return true;
    return false;
}

/* fresh[n] becomes open, behind those of the same set that are. A port that we hold ourselves, for
 * all addresses beside one of its own, is not looked at for strangers: the kernel would name us. */
static struct outcome open_endpoint(const struct net_server *s, struct endpoint *fresh, size_t n,
                                    struct place place, struct errors *errors)
{
    struct endpoint *e = &fresh[n];

    if (addr_port(&e->wanted) == 0)
        return open_any_port(s, e, errors, place);
    if (!has_overlap(s->endpoints, s->n_endpoints, &e->wanted) &&
        !has_overlap(fresh, n, &e->wanted) &&
        ((e->transport == ANSWER_UDP &&
          has_failed(net_check_free(&e->wanted, SOCK_DGRAM, errors, place))) ||
         has_failed(net_check_free(&e->wanted, SOCK_STREAM, errors, place))))
        return OUTCOME_FAILED;
    return open_sockets(s, e, errors, place);
}

static struct endpoint *find_endpoint(struct net_server *s, const struct endpoint *wanted)
{
    for (size_t i = 0; i < s->n_endpoints; i++) {
        struct endpoint *e = &s->endpoints[i];

        if (!e->is_kept && e->transport == wanted->transport &&
            addr_eq(&e->wanted, &wanted->wanted))
            return e;
    }
    return NULL;
}

/* A set that is being made. */
struct endpoints {
    struct endpoint *all;
    size_t n;
    struct outcome outcome;
};

/* After a failure it goes on, to name every address that is wrong. */
static void add_endpoints(struct net_server *s, struct endpoints *set,
                          const struct net_addresses *from, enum answer_transport transport,
                          struct errors *errors)
{
    for (size_t i = 0; i < from->n; i++, set->n++) {
        struct endpoint *e = &set->all[set->n], *old;

        e->wanted = from->listen[i];
        e->transport = transport;
        old = find_endpoint(s, e);
        if (old != NULL) {
            old->is_kept = true;
            *e = *old;
        } else if (has_failed(open_endpoint(s, set->all, set->n, from->place, errors))) {
            set->outcome = OUTCOME_FAILED;
        }
    }
}

/* Every new endpoint is opened, or none is. Kept ones are taken over as they are. NULL: failed. */
static struct endpoint *make_endpoints(struct net_server *s, const struct net_settings *settings,
                                       struct errors *errors, size_t *n)
{
    struct net_addresses plain = {settings->listen, settings->n_listen, settings->listen_place};
    size_t total = plain.n + settings->tls.n + settings->https.n;
    struct endpoints set = {.all = base_zalloc(total + 1, sizeof(*set.all)), .outcome = OUTCOME_OK};

    for (size_t i = 0; i < s->n_endpoints; i++)
        s->endpoints[i].is_kept = false;
    add_endpoints(s, &set, &plain, ANSWER_UDP, errors);
    add_endpoints(s, &set, &settings->tls, ANSWER_TLS, errors);
    add_endpoints(s, &set, &settings->https, ANSWER_HTTPS, errors);
    *n = set.n;
    if (!has_failed(set.outcome))
        return set.all;
    for (size_t i = 0; i < set.n; i++) {
        if (!set.all[i].is_kept)
            close_endpoint(s, &set.all[i]);
    }
    free(set.all);
    return NULL;
}

/* Those of UDP; the list is the caller's to free. */
static int *worker_sockets(const struct net_server *s, unsigned worker, size_t *n)
{
    int *sockets = base_alloc((s->n_endpoints + 1) * sizeof(*sockets));

    *n = 0;
    for (size_t i = 0; i < s->n_endpoints; i++) {
        if (s->endpoints[i].transport == ANSWER_UDP)
            sockets[(*n)++] = s->endpoints[i].udp[worker];
    }
    return sockets;
}

/* The list is the caller's to free. */
static struct stream_settings stream_settings(const struct net_server *s,
                                              const struct net_settings *settings,
                                              struct tls_server *tls)
{
    struct stream_listener *listeners = base_zalloc(s->n_endpoints + 1, sizeof(*listeners));

    for (size_t i = 0; i < s->n_endpoints; i++)
        listeners[i] = (struct stream_listener){
            s->endpoints[i].listeners,
            s->endpoints[i].transport == ANSWER_UDP ? ANSWER_TCP : s->endpoints[i].transport};
    return (struct stream_settings){.listeners = listeners,
                                    .n_listeners = s->n_endpoints,
                                    .idle_ms = settings->tcp_idle_ms,
                                    .max_connections = settings->tcp_max_connections,
                                    .tls = tls,
                                    .doh_path = settings->doh_path,
                                    .proxies = settings->proxies,
                                    .n_proxies = settings->n_proxies};
}

/* The sockets are somebody else's to close. */
static void free_endpoint(struct endpoint *e)
{
    free(e->udp);
    free(e->listeners);
}

/* Sockets that are gone from the set are emptied and closed by whoever serves them. */
static void set_endpoints(struct net_server *s, struct endpoint *fresh, size_t n)
{
    for (size_t i = 0; i < s->n_endpoints; i++) {
        if (!s->endpoints[i].is_kept)
            free_endpoint(&s->endpoints[i]);
    }
    free(s->endpoints);
    s->endpoints = fresh;
    s->n_endpoints = n;
}

/* *out stays NULL where nothing listens that needs it. */
static struct outcome make_tls(const struct net_settings *settings, struct tls_server **out,
                               struct errors *errors)
{
    struct tls_server_settings t = {.pairs = settings->certificates,
                                    .n_pairs = settings->n_certificates,
                                    .min_version = settings->min_tls_version,
                                    .name = "gslb-dns",
                                    .alpn = stream_on_alpn};

    if (settings->tls.n == 0 && settings->https.n == 0)
        return OUTCOME_OK;
    *out = tls_server_new(&t, errors);
    return *out != NULL ? OUTCOME_OK : OUTCOME_FAILED;
}

struct outcome net_check(const struct net_settings *settings, struct errors *errors)
{
    struct tls_server *tls = NULL;
    struct outcome outcome = make_tls(settings, &tls, errors);

    tls_server_unref(tls);
    return outcome;
}

static unsigned wanted_workers(const struct net_settings *settings)
{
    return settings->workers > 0 ? settings->workers : net_cpu_count();
}

static unsigned wanted_tcp_threads(const struct net_settings *settings)
{
    return settings->tcp_threads > 0 ? settings->tcp_threads : wanted_workers(settings);
}

struct net_server *net_server_start(const struct net_settings *settings,
                                    const struct net_handler *handler, struct metrics *metrics,
                                    struct errors *errors)
{
    struct net_server *s = base_zalloc(1, sizeof(*s));
    struct endpoint *endpoints;
    struct stream_settings streams;
    struct tls_server *tls = NULL;
    size_t n;

    s->handler = *handler;
    s->n_workers = wanted_workers(settings);
    s->n_tcp_threads = wanted_tcp_threads(settings);
    if (has_failed(make_tls(settings, &tls, errors)) ||
        (endpoints = make_endpoints(s, settings, errors, &n)) == NULL) {
        tls_server_unref(tls);
        free(s);
        return NULL;
    }
    set_endpoints(s, endpoints, n);
    s->workers = base_zalloc(s->n_workers, sizeof(struct udp_worker *));
    for (unsigned i = 0; i < s->n_workers; i++) {
        size_t n_sockets;
        int *sockets = worker_sockets(s, i, &n_sockets);

        s->workers[i] = udp_worker_start(i, sockets, n_sockets, &s->handler, metrics);
        free(sockets);
    }
    streams = stream_settings(s, settings, tls);
    s->streams = stream_server_start(&streams, s->n_tcp_threads, &s->handler, metrics);
    free((void *)streams.listeners);
    tls_server_unref(tls);
    return s;
}

struct outcome net_server_update(struct net_server *s, const struct net_settings *settings,
                                 struct errors *errors)
{
    struct endpoint *endpoints;
    struct stream_settings streams;
    struct tls_server *tls = NULL;
    size_t n;

    if (has_failed(make_tls(settings, &tls, errors)))
        return OUTCOME_FAILED;
    endpoints = make_endpoints(s, settings, errors, &n);
    if (endpoints == NULL) {
        tls_server_unref(tls);
        return OUTCOME_FAILED;
    }
    if (wanted_workers(settings) != s->n_workers)
        errors_warn(errors, settings->listen_place,
                    "the number of workers stays %u until the next start", s->n_workers);
    if (settings->tcp_threads > 0 && settings->tcp_threads != s->n_tcp_threads)
        errors_warn(errors, settings->listen_place,
                    "the number of TCP threads stays %u until the next start", s->n_tcp_threads);
    set_endpoints(s, endpoints, n);
    for (unsigned i = 0; i < s->n_workers; i++) {
        size_t n_sockets;
        int *sockets = worker_sockets(s, i, &n_sockets);

        udp_worker_update(s->workers[i], sockets, n_sockets);
        free(sockets);
    }
    streams = stream_settings(s, settings, tls);
    stream_server_update(s->streams, &streams);
    free((void *)streams.listeners);
    tls_server_unref(tls);
    return OUTCOME_OK;
}

void net_server_stop(struct net_server *s)
{
    stream_server_stop(s->streams);
    for (unsigned i = 0; i < s->n_workers; i++)
        udp_worker_stop(s->workers[i]);
    for (size_t i = 0; i < s->n_endpoints; i++)
        free_endpoint(&s->endpoints[i]);
    free(s->endpoints);
    free(s->workers);
    free(s);
}

struct addr net_server_address(const struct net_server *s, size_t i)
{
    ensure(i < s->n_endpoints);
    return s->endpoints[i].bound;
}

size_t net_server_connections(const struct net_server *s, enum answer_transport transport)
{
    return stream_server_connections(s->streams, transport);
}
