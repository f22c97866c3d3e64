/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes from a peer on the channel: frames come out or the link is closed, never a crash, a
 * leak or more memory than the bounds. */
#include "common/frame/frame.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_closed;

static void on_open(void *arg, struct frame_link *link, const struct tls_identity *peer)
{
}

static void on_frame(void *arg, struct frame_link *link, const Gslb__Frame *frame)
{
    /* What was taken in can be sent on. */
    frame_link_send(link, frame);
}

static void on_close(void *arg, struct frame_link *link, enum frame_close why, const char *detail)
{
    is_closed = true;
}

static void write_whole(struct event_base *base, int fd, const uint8_t *p, size_t n)
{
    uint8_t bin[4096];

    while (n > 0 && !is_closed) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

        if (k > 0) {
            p += k;
            n -= (size_t)k;
        } else if (errno != EAGAIN) {
            return;
        }
        event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        while (recv(fd, bin, sizeof(bin), 0) > 0)
            ;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct frame_hooks hooks = {on_open, on_frame, on_close};
    static struct event_base *base;
    struct frame_options o = {.hooks = &hooks, .handshake_ms = 1000};
    struct frame_link *link;
    int fds[2];

    if (base == NULL)
        base = event_base_new();
    ensure(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    o.base = base;
    is_closed = false;
    link = frame_link_new(&o, fds[0]);
    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    write_whole(base, fds[1], data, n);
    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    if (!is_closed)
        frame_link_close(link, FRAME_CLOSE_STOPPED, NULL);
    close(fds[1]);
    return 0;
}
