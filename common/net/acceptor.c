/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/net/acceptor.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPTS_PER_TURN = 16, REST_MS = 200 };

struct acceptor {
    int fd;
    struct event ready, rest;
    void (*on_accept)(void *arg, int fd);
    void *arg;
};

/* Errors that will not go away by trying again at once. */
static bool is_shortage(int why)
{
    return why == EMFILE || why == ENFILE || why == ENOBUFS || why == ENOMEM;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct acceptor *a = arg;
    struct timeval rest = {.tv_usec = REST_MS * 1000};

    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (got >= 0) {
            a->on_accept(a->arg, got);
        } else if (is_shortage(errno)) {
            event_del(&a->ready);
            event_add(&a->rest, &rest);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
    struct acceptor *a = arg;

    event_add(&a->ready, NULL);
}

struct acceptor *acceptor_new(struct event_base *base, int fd, void (*on_accept)(void *arg, int fd),
                              void *arg)
{
    struct acceptor *a = base_zalloc(1, sizeof(*a));

    *a = (struct acceptor){.fd = fd, .on_accept = on_accept, .arg = arg};
    ensure(event_assign(&a->ready, base, fd, EV_READ | EV_PERSIST, on_ready, a) == 0);
    ensure(evtimer_assign(&a->rest, base, on_rested, a) == 0);
    event_add(&a->ready, NULL);
    return a;
}

int acceptor_fd(const struct acceptor *a)
{
    return a->fd;
}

void acceptor_free(struct acceptor *a)
{
    event_del(&a->ready);
    event_del(&a->rest);
    close(a->fd);
    free(a);
}
