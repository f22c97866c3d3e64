/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * httpfloor -p PORT [-s TLS-PORT -c CERTIFICATE -k KEY] [-f FORWARD-PORT -o ORIGIN-PORT]
 *
 * The least an HTTP server can cost. On PORT a read brings a request and one write its answer,
 * chosen by two bytes of the path; on TLS-PORT the same through OpenSSL; on FORWARD-PORT bytes are
 * carried to the origin and back, an origin connection for each client's.
 */
#include "tests/bench/tool.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, BUFFER = 64 << 10 };

enum kind { LISTEN_PLAIN, LISTEN_TLS, LISTEN_FORWARD, PLAIN, TLS, FORWARD };

struct conn {
    enum kind kind;
    int fd;
    SSL *ssl;
    struct conn *peer; /* FORWARD: the other side's connection */
    const char *rest;  /* of the answer */
    size_t rest_n;
    bool is_waiting; /* for room in the socket */
    bool has_ended;  /* freed behind the batch of events it may still be in */
};

static int epoll_fd;
static uint16_t origin_port;
static SSL_CTX *tls;
static struct page pages[3];
static char buffer[BUFFER];
static struct conn *ended[2 * EVENTS];
static size_t n_ended;

static struct conn *add(enum kind kind, int fd)
{
    struct conn *c = base_zalloc(1, sizeof(*c));

    c->kind = kind;
    c->fd = fd;
    tool_watch(epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, c);
    return c;
}

static void end_one(struct conn *c)
{
    if (c->ssl) {
        SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
    }
    close(c->fd);
    c->has_ended = true;
    ended[n_ended++] = c;
}

static void end(struct conn *c)
{
    if (c->peer)
        end_one(c->peer);
    end_one(c);
}

static void free_ended(void)
{
    while (n_ended)
        free(ended[--n_ended]);
}

static void join_origin(struct conn *c)
{
    struct sockaddr_in origin = tool_loopback(origin_port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (fd < 0 || connect(fd, (struct sockaddr *)&origin, sizeof(origin)))
        tool_die("cannot connect to the origin");
    c->peer = add(FORWARD, fd);
    c->peer->peer = c;
}

static void accept_all(const struct conn *listener)
{
    static const enum kind kinds[] = {PLAIN, TLS, FORWARD};
    int fd;

    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = add(kinds[listener->kind], fd);

        if (c->kind == TLS) {
            c->ssl = SSL_new(tls);
            SSL_set_fd(c->ssl, fd);
            SSL_set_accept_state(c->ssl);
        } else if (c->kind == FORWARD) {
            join_origin(c);
        }
    }
}

/* read and write on either kind: how many bytes, 0: later, -1: the connection is done for. */
static ssize_t judge(const struct conn *c, ssize_t n, int again)
{
    if (n > 0)
        return n;
    if (c->ssl)
        return SSL_get_error(c->ssl, (int)n) == again ? 0 : -1;
    return n < 0 && errno == EAGAIN ? 0 : -1;
}

static ssize_t receive(struct conn *c)
{
    ssize_t n = c->ssl ? SSL_read(c->ssl, buffer, BUFFER) : read(c->fd, buffer, BUFFER);

    return judge(c, n, SSL_ERROR_WANT_READ);
}

static ssize_t transmit(struct conn *c)
{
    ssize_t n =
        c->ssl ? SSL_write(c->ssl, c->rest, (int)c->rest_n) : write(c->fd, c->rest, c->rest_n);

    return judge(c, n, SSL_ERROR_WANT_WRITE);
}

static void send_rest(struct conn *c)
{
    bool was_waiting = c->is_waiting;
    ssize_t n = 1;

    while (c->rest_n && (n = transmit(c)) > 0) {
        c->rest += n;
        c->rest_n -= (size_t)n;
    }
    if (n < 0) {
        end(c);
        return;
    }
    c->is_waiting = c->rest_n > 0;
    if (c->is_waiting != was_waiting)
        tool_watch(epoll_fd, EPOLL_CTL_MOD, c->fd, c->is_waiting ? EPOLLOUT : EPOLLIN, c);
}

static void answer(struct conn *c)
{
    ssize_t n = receive(c);

    if (n < 0) {
        end(c);
    } else if (n > 0) {
        const struct page *page = &pages[page_index(buffer)];

        c->rest = page->bytes;
        c->rest_n = page->n;
        send_rest(c);
    }
}

/* Requests and 1 KiB answers fit into any socket buffer: what does not is an error here. */
static void forward(struct conn *c)
{
    ssize_t n = receive(c);

    if (n < 0 || (n > 0 && write(c->peer->fd, buffer, (size_t)n) != n))
        end(c);
}

static void handle(struct conn *c)
{
    if (c->has_ended)
        return;
    if (c->kind <= LISTEN_FORWARD)
        accept_all(c);
    else if (c->kind == FORWARD)
        forward(c);
    else if (c->is_waiting)
        send_rest(c);
    else
        answer(c);
}

static void open_tls(uint16_t port, const char *certificate, const char *key)
{
    tls = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_read_ahead(tls, 1);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
    errno = 0;
    if (certificate == NULL || key == NULL ||
        SSL_CTX_use_certificate_chain_file(tls, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)
        tool_die("-s needs -c and -k, a certificate and its key in PEM");
    add(LISTEN_TLS, tool_listen(port));
}

static void serve(void)
{
    struct epoll_event events[EVENTS];

    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);

        for (int i = 0; i < n; i++)
            handle(events[i].data.ptr);
        free_ended();
    }
}

int main(int argc, char **argv)
{
    uint16_t tls_port = 0;
    const char *certificate = NULL, *key = NULL;
    int c;

    signal(SIGPIPE, SIG_IGN);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    while ((c = getopt(argc, argv, "p:s:c:k:f:o:")) != -1) {
        if (c == 'p')
            add(LISTEN_PLAIN, tool_listen((uint16_t)tool_number(optarg, 1, 65535)));
        else if (c == 's')
            tls_port = (uint16_t)tool_number(optarg, 1, 65535);
        else if (c == 'c')
            certificate = optarg;
        else if (c == 'k')
            key = optarg;
        else if (c == 'f')
            add(LISTEN_FORWARD, tool_listen((uint16_t)tool_number(optarg, 1, 65535)));
        else if (c == 'o')
            origin_port = (uint16_t)tool_number(optarg, 1, 65535);
        else
            return 2;
    }
    for (size_t i = 0; i < COUNT_OF(pages); i++)
        pages[i] = page_make(page_bytes[i], "max-age=3600");
    if (tls_port)
        open_tls(tls_port, certificate, key);
    serve();
}
