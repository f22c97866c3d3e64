/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/exporter/exporter.h"

#include "common/net/acceptor.h"
#include "common/net/net.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct client {
    struct client *next, **at; /* in exporter.clients */
    struct exporter *exporter;
    int fd;
    struct event ready, deadline;
    char head[EXPORTER_HEAD_BYTES];
    size_t n_head;
    struct text out; /* empty: still reading */
    size_t sent;
};

struct exporter {
    struct exporter_options options;
    struct acceptor *acceptor;
    struct client *clients;
    size_t n_clients;
};

static void client_free(struct client *c)
{
    *c->at = c->next;
    if (c->next != NULL)
        c->next->at = c->at;
    c->exporter->n_clients--;
    event_del(&c->ready);
    event_del(&c->deadline);
    close(c->fd);
    text_free(&c->out);
    free(c);
}

static void respond(struct client *c, const char *status, struct str body, bool is_head)
{
    text_addf(&c->out,
              "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
              "Content-Length: %zu\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
              status, body.n);
    if (!is_head)
        text_add(&c->out, body.p, body.n);
}

static bool has_prefix(const struct client *c, const char *z)
{
    size_t n = strlen(z);

    return c->n_head >= n && memcmp(c->head, z, n) == 0;
}

static void answer(struct client *c)
{
    bool is_head = has_prefix(c, "HEAD "), is_get = has_prefix(c, "GET ");
    const char *target = c->head + (is_head ? 5 : 4);
    struct text page = {0};

    if (!is_head && !is_get) {
        respond(c, "405 Method Not Allowed", STR("GET /metrics is all there is\n"), false);
        return;
    }
    if (strncmp(target, "/metrics ", 9) != 0 && strncmp(target, "/metrics?", 9) != 0) {
        respond(c, "404 Not Found", STR("GET /metrics is all there is\n"), is_head);
        return;
    }
    c->exporter->options.write(c->exporter->options.arg, &page);
    respond(c, "200 OK", (struct str){page.p, page.n}, is_head);
    text_free(&page);
}

/* False: the client is gone. */
static bool read_head(struct client *c)
{
    size_t room = sizeof(c->head) - 1 - c->n_head;
    ssize_t n = recv(c->fd, c->head + c->n_head, room, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    c->n_head += (size_t)n;
    c->head[c->n_head] = '\0';
    if (strstr(c->head, "\r\n\r\n") != NULL || strstr(c->head, "\n\n") != NULL)
        answer(c);
    else if (c->n_head == sizeof(c->head) - 1)
        respond(c, "431 Request Header Fields Too Large", STR("head too large\n"), false);
    return true;
}

static bool write_out(struct client *c)
{
    ssize_t n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    c->sent += (size_t)n;
    return c->sent < c->out.n;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct client *c = arg;
    bool is_reading = c->out.n == 0;

    if (is_reading ? !read_head(c) : !write_out(c)) {
        client_free(c);
        return;
    }
    if (is_reading && c->out.n > 0) {
        event_del(&c->ready);
        event_assign(&c->ready, c->exporter->options.base, c->fd, EV_WRITE | EV_PERSIST, on_ready,
                     c);
        event_add(&c->ready, NULL);
    }
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    client_free(arg);
}

static void on_accept(void *arg, int fd)
{
    static const struct timeval deadline = {.tv_sec = EXPORTER_DEADLINE_MS / 1000,
                                            .tv_usec = EXPORTER_DEADLINE_MS % 1000 * 1000};
    struct exporter *e = arg;
    struct client *c;

    if (e->n_clients >= EXPORTER_CLIENTS) {
        close(fd);
        return;
    }
    c = base_zalloc(1, sizeof(*c));
    c->exporter = e;
    c->fd = fd;
    c->next = e->clients;
    c->at = &e->clients;
    if (c->next != NULL)
        c->next->at = &c->next;
    e->clients = c;
    e->n_clients++;
    event_assign(&c->ready, e->options.base, fd, EV_READ | EV_PERSIST, on_ready, c);
    evtimer_assign(&c->deadline, e->options.base, on_deadline, c);
    event_add(&c->ready, NULL);
    event_add(&c->deadline, &deadline);
}

struct exporter *exporter_new(const struct exporter_options *options, struct errors *errors)
{
    struct exporter *e;
    int fd;

    /* SO_REUSEPORT would let a second instance share the port in silence. */
    if (addr_port(&options->address) != 0 &&
        has_failed(net_check_free(&options->address, SOCK_STREAM, errors, options->place)))
        return NULL;
    fd = net_listen_tcp(&options->address, 64, errors, options->place);
    if (fd < 0)
        return NULL;
    e = base_zalloc(1, sizeof(*e));
    e->options = *options;
    e->acceptor = acceptor_new(options->base, fd, on_accept, e);
    return e;
}

struct addr exporter_address(const struct exporter *e)
{
    struct addr at;

    ensure(!has_failed(net_local_addr(acceptor_fd(e->acceptor), &at)));
    return at;
}

void exporter_free(struct exporter *e)
{
    if (e == NULL)
        return;
    while (e->clients != NULL)
        client_free(e->clients);
    acceptor_free(e->acceptor);
    free(e);
}
