/* SPDX-License-Identifier: BSD-2-Clause */
/* c-ares on libevent: its sockets and its clock become events, its answers verdicts. */
#include "edge-proxy/resolve/resolve_internal.h"

#include "common/clock/clock.h"

#include <ares.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* ---- Its sockets and its clock ---- */

struct resolve_socket {
    struct resolve_socket *next;
    struct resolver *r;
    int fd;
    struct event event;
};

/* After whatever may have changed when c-ares next wants to be called. */
static void set_clock(struct resolver *r)
{
    struct timeval longest = {3600, 0}, wait = longest;

    if (r->channel != NULL && ares_timeout(r->channel, &longest, &wait) != NULL)
        ensure(event_add(&r->timer, &wait) == 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct resolver *r = arg;

    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_clock(r);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct resolver *r = ((struct resolve_socket *)arg)->r;

    ares_process_fd(r->channel, what & EV_READ ? fd : ARES_SOCKET_BAD,
                    what & EV_WRITE ? fd : ARES_SOCKET_BAD);
    set_clock(r);
}

static void forget_socket(struct resolver *r, int fd)
{
    for (struct resolve_socket **link = &r->sockets; *link != NULL; link = &(*link)->next)
        if ((*link)->fd == fd) {
            struct resolve_socket *s = *link;

            *link = s->next;
            event_del(&s->event);
            free(s);
            return;
        }
}

static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = arg;
    short what = (short)(EV_PERSIST | (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
    struct resolve_socket *s;

    forget_socket(r, fd);
    if (!readable && !writable)
        return;
    s = base_zalloc(1, sizeof(*s));
    *s = (struct resolve_socket){.next = r->sockets, .r = r, .fd = fd};
    r->sockets = s;
    event_assign(&s->event, r->base, fd, what, on_socket, s);
    ensure(event_add(&s->event, NULL) == 0);
}

/* ---- Answers ---- */

static enum resolve_verdict verdict_of(int status)
{
    if (status == ARES_SUCCESS)
        return RESOLVE_FOUND;
    return status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME
               ? RESOLVE_DENIED
               : RESOLVE_FAILED;
}

static const char *status_text(int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
        return "no such name (NXDOMAIN)";
    case ARES_ENODATA:
        return "the name has no address";
    case ARES_ESERVFAIL:
        return "the name servers failed (SERVFAIL)";
    case ARES_EREFUSED:
        return "the name servers refused";
    case ARES_ETIMEOUT:
        return "no answer from the name servers";
    case ARES_ECONNREFUSED:
        return "no name server could be reached";
    default:
        return ares_strerror(status);
    }
}

static void add_address(struct resolve_family *f, const struct ares_addrinfo_node *node)
{
    struct addr a = {.length = node->ai_addrlen};

    if (f->n == RESOLVE_ADDRESSES_MAX || node->ai_addrlen > sizeof(a.storage))
        return;
    memcpy(&a.storage, node->ai_addr, node->ai_addrlen);
    f->ips[f->n++] = addr_ip(&a);
    if (f->ttl_s > (uint32_t)node->ai_ttl)
        f->ttl_s = node->ai_ttl > 0 ? (uint32_t)node->ai_ttl : 0;
}

/* The answer is good for as long as the shortest of its records. */
static void read_answer(struct resolve_family *f, int status, const struct ares_addrinfo *found)
{
    *f = (struct resolve_family){.verdict = verdict_of(status), .ttl_s = UINT32_MAX};
    snprintf(f->why, sizeof(f->why), "%s", status_text(status));
    if (status != ARES_SUCCESS)
        return;
    for (const struct ares_addrinfo_node *n = found->nodes; n != NULL; n = n->ai_next)
        add_address(f, n);
    for (const struct ares_addrinfo_cname *c = found->cnames; c != NULL; c = c->next)
        if (c->ttl >= 0 && (uint32_t)c->ttl < f->ttl_s)
            f->ttl_s = (uint32_t)c->ttl;
    if (f->n == 0)
        f->verdict = RESOLVE_DENIED;
}

static void take_answer(struct resolve_name *name, size_t family, int status,
                        struct ares_addrinfo *found)
{
    if (status != ARES_EDESTRUCTION)
        read_answer(&name->families[family], status, found);
    if (found != NULL)
        ares_freeaddrinfo(found);
    if (status != ARES_EDESTRUCTION && --name->n_open == 0)
        resolve_conclude(name);
}

static void on_ipv6(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    take_answer(arg, RESOLVE_IPV6, status, found);
}

static void on_ipv4(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    take_answer(arg, RESOLVE_IPV4, status, found);
}

/* Two questions rather than one for both families: so it is known which of them failed. */
void resolve_query(struct resolve_name *name)
{
    /* The connection's own race sorts them (RFC 8305). */
    struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT, .ai_socktype = SOCK_STREAM};
    struct resolver *r = name->r;

    ensure(name->n_open == 0);
    if (r->channel == NULL)
        return;
    name->n_open = RESOLVE_FAMILIES;
    hints.ai_family = AF_INET6;
    ares_getaddrinfo(r->channel, name->host, NULL, &hints, on_ipv6, name);
    hints.ai_family = AF_INET;
    ares_getaddrinfo(r->channel, name->host, NULL, &hints, on_ipv4, name);
    set_clock(r);
}

/* ---- Start, wait, stop ---- */

static void use_servers(struct resolver *r)
{
    struct text list = {0};
    char address[ADDR_TEXT];

    for (size_t i = 0; i < r->config->n_servers; i++)
        text_addf(&list, "%s%s", i > 0 ? "," : "", addr_format(&r->config->servers[i], address));
    if (list.n > 0)
        ensure(ares_set_servers_ports_csv(r->channel, list.p) == ARES_SUCCESS);
    text_free(&list);
}

struct resolver *resolver_new(const struct config_resolver *config, struct event_base *base,
                              struct wheel *wheel, const struct resolver *previous)
{
    static bool is_ready;
    struct resolver *r = base_zalloc(1, sizeof(*r));
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH, /* names stand in the configuration as they are meant */
        .timeout = (int)config->timeout_ms,
        .tries = (int)config->tries,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = r,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;

    if (!is_ready) {
        ensure(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
        is_ready = true;
    }
    r->config = config;
    r->base = base;
    r->wheel = wheel;
    r->previous = previous;
    if (ares_init_options(&r->channel, &options, mask) != ARES_SUCCESS) {
        free(r);
        return NULL;
    }
    evtimer_assign(&r->timer, base, on_timer, r);
    use_servers(r);
    return r;
}

/* By poll, for the loop is not ours to turn here. */
void resolver_wait(struct resolver *r, uint32_t at_most_ms)
{
    int64_t until_ms = clock_mono_ms() + at_most_ms;

    r->previous = NULL;
    while (resolve_is_waiting(r) && clock_mono_ms() < until_ms) {
        struct timeval longest = {0, 20000}, wait;
        struct pollfd fds[ARES_GETSOCK_MAXNUM];
        ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
        int which = ares_getsock(r->channel, sockets, ARES_GETSOCK_MAXNUM);
        nfds_t n = 0;

        for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
            short events = (short)((ARES_GETSOCK_READABLE(which, i) ? POLLIN : 0) |
                                   (ARES_GETSOCK_WRITABLE(which, i) ? POLLOUT : 0));

            if (events != 0)
                fds[n++] = (struct pollfd){.fd = sockets[i], .events = events};
        }
        (void)ares_timeout(r->channel, &longest, &wait);
        (void)poll(fds, n, (int)(longest.tv_usec / 1000));
        for (nfds_t i = 0; i < n; i++)
            ares_process_fd(r->channel,
                            fds[i].revents & (POLLIN | POLLERR | POLLHUP) ? fds[i].fd
                                                                          : ARES_SOCKET_BAD,
                            fds[i].revents & POLLOUT ? fds[i].fd : ARES_SOCKET_BAD);
        ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
    set_clock(r);
}

void resolver_stop(struct resolver *r)
{
    if (r->channel == NULL)
        return;
    for (struct resolve_name *name = r->names; name != NULL; name = name->next)
        wheel_clear(r->wheel, &name->due);
    ares_destroy(r->channel);
    r->channel = NULL;
    event_del(&r->timer);
    while (r->sockets != NULL)
        forget_socket(r, r->sockets->fd);
}
