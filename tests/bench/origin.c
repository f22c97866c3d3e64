/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * origin PORT    the origin behind the proxies: /1k, /64k and /1m may be cached for an hour,
 * /nostore may not, /count tells how many pages were fetched so far. Any query string is ignored.
 */
#include "tests/bench/tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 64, HEAD_MAX = 4096 };

struct conn {
    int fd;
    size_t head_n;
    char head[HEAD_MAX];
    const char *rest; /* of the answer */
    size_t rest_n;
    bool is_waiting; /* for room in the socket */
};

struct origin {
    int epoll_fd, listener;
    struct page pages[3], uncached, count;
    uint64_t n_fetched;
};

static void end(struct conn *c)
{
    close(c->fd);
    free(c);
}

static void accept_all(struct origin *o)
{
    int fd;

    while ((fd = accept4(o->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = base_zalloc(1, sizeof(*c));

        c->fd = fd;
        tool_watch(o->epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, c);
    }
}

static bool starts_with(const char *head, const char *start)
{
    return strncmp(head, start, strlen(start)) == 0;
}

static const struct page *make_count(struct origin *o)
{
    char body[32];

    free(o->count.bytes);
    snprintf(body, sizeof(body), "%020lu", o->n_fetched);
    o->count = page_make(strlen(body), "no-store");
    memcpy(o->count.bytes + o->count.n - strlen(body), body, strlen(body));
    return &o->count;
}

static const struct page *choose_page(struct origin *o, const char *head)
{
    if (starts_with(head, "GET /count"))
        return make_count(o);
    o->n_fetched++;
    if (starts_with(head, "GET /nostore"))
        return &o->uncached;
    return &o->pages[page_index(head)];
}

/* Sends what the socket takes and waits for room for the rest. */
static void send_rest(struct origin *o, struct conn *c)
{
    bool was_waiting = c->is_waiting;
    ssize_t n = send(c->fd, c->rest, c->rest_n, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN) {
        end(c);
        return;
    }
    c->rest += n > 0 ? n : 0;
    c->rest_n -= n > 0 ? (size_t)n : 0;
    c->is_waiting = c->rest_n > 0;
    if (c->is_waiting != was_waiting)
        tool_watch(o->epoll_fd, EPOLL_CTL_MOD, c->fd, c->is_waiting ? EPOLLOUT : EPOLLIN, c);
}

/* Answers what has arrived whole; a proxy sends its next request after the answer to this one. */
static void answer(struct origin *o, struct conn *c)
{
    const struct page *page;

    if (memmem(c->head, c->head_n, "\r\n\r\n", 4) == NULL)
        return;
    page = choose_page(o, c->head);
    c->head_n = 0;
    c->rest = page->bytes;
    c->rest_n = page->n;
    send_rest(o, c);
}

static void receive(struct origin *o, struct conn *c)
{
    ssize_t n = read(c->fd, c->head + c->head_n, HEAD_MAX - c->head_n);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        end(c);
        return;
    }
    c->head_n += (size_t)n;
    answer(o, c);
}

int main(int argc, char **argv)
{
    struct origin o = {.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    struct epoll_event events[EVENTS];

    if (argc != 2)
        tool_die("usage: origin PORT");
    for (size_t i = 0; i < COUNT_OF(o.pages); i++)
        o.pages[i] = page_make(page_bytes[i], "max-age=3600");
    o.uncached = page_make(page_bytes[0], "no-store");
    o.listener = tool_listen((uint16_t)tool_number(argv[1], 1, 65535));
    tool_watch(o.epoll_fd, EPOLL_CTL_ADD, o.listener, EPOLLIN, NULL);
    for (;;) {
        int n = epoll_wait(o.epoll_fd, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;

            if (c == NULL)
                accept_all(&o);
            else if (c->is_waiting)
                send_rest(&o, c);
            else
                receive(&o, c);
        }
    }
}
