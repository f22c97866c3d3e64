/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/clock/clock.h"
#include "common/frame/frame_internal.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { FIRST_BYTES = 4096, KEPT_BYTES = 65536 };

/* Moves what is there to the front, and grows when that is not enough. */
#define RESERVE(b, n)                                               \
    do {                                                            \
        if ((b).cap - (b).end >= (n))                               \
            break;                                                  \
        if ((b).start > 0) {                                        \
            memmove((b).p, (b).p + (b).start, (b).end - (b).start); \
            (b).end -= (b).start;                                   \
            (b).start = 0;                                          \
        }                                                           \
        while ((b).cap - (b).end < (n))                             \
            (b).cap = (b).cap ? 2 * (b).cap : FIRST_BYTES;          \
        (b).p = base_realloc((b).p, (b).cap);                       \
    } while (0)

void frame_io_reserve_in(struct frame_link *l, size_t n)
{
    RESERVE(l->in, n);
}

void frame_io_reserve_out(struct frame_link *l, size_t n)
{
    RESERVE(l->out, n);
}

/* An empty buffer keeps nothing of what was said, which may have been keys, and gives the memory
 * back that it needed for a large frame. */
#define REST(b)                             \
    do {                                    \
        if ((b).end > 0)                    \
            explicit_bzero((b).p, (b).end); \
        (b).start = (b).end = 0;            \
        if ((b).cap > KEPT_BYTES) {         \
            free((b).p);                    \
            (b).p = NULL;                   \
            (b).cap = 0;                    \
        }                                   \
    } while (0)

void frame_io_rest_in(struct frame_link *l)
{
    REST(l->in);
}

void frame_io_free(struct frame_link *l)
{
    REST(l->in);
    REST(l->out);
    free(l->in.p);
    free(l->out.p);
}

/* The peer has closed; in the middle of a frame that is a mistake of its own. */
static enum frame_io closed_by_peer(struct frame_link *l)
{
    bool is_cut = l->in.end > l->in.start;

    frame_mark(l, is_cut ? FRAME_CLOSE_CUT : FRAME_CLOSE_PEER, NULL);
    return FRAME_IO_CLOSED;
}

static enum frame_io broken(struct frame_link *l, int why)
{
    l->is_broken = true;
    frame_mark(l, FRAME_CLOSE_RESET, strerror(why));
    return FRAME_IO_CLOSED;
}

/* What SSL_get_error means for a call that did not succeed. A TLS 1.3 client learns only here,
 * after its own handshake, that the server refused its certificate. */
static enum frame_io tls_failed(struct frame_link *l, int result)
{
    int why = errno;
    char text[TLS_ERROR_TEXT];

    switch (SSL_get_error(l->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        l->interest |= EV_READ;
        return FRAME_IO_WAIT;
    case SSL_ERROR_WANT_WRITE:
        l->interest |= EV_WRITE;
        return FRAME_IO_WAIT;
    case SSL_ERROR_ZERO_RETURN:
        return closed_by_peer(l);
    case SSL_ERROR_SYSCALL:
        if (why != 0)
            return broken(l, why);
        l->is_broken = true;
        return closed_by_peer(l);
    default:
        l->is_broken = true;
        if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
            ERR_clear_error();
            return closed_by_peer(l);
        }
        frame_mark(l, l->has_heard ? FRAME_CLOSE_RESET : FRAME_CLOSE_HANDSHAKE,
                   tls_handshake_error(l->ssl, 0, text));
        return FRAME_IO_CLOSED;
    }
}

enum frame_io frame_io_handshake(struct frame_link *l)
{
    char text[TLS_ERROR_TEXT];
    int result, why;

    ERR_clear_error();
    errno = 0;
    result = SSL_do_handshake(l->ssl);
    if (result == 1)
        return FRAME_IO_SOME;
    why = errno;
    switch (SSL_get_error(l->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        l->interest |= EV_READ;
        return FRAME_IO_WAIT;
    case SSL_ERROR_WANT_WRITE:
        l->interest |= EV_WRITE;
        return FRAME_IO_WAIT;
    default:
        l->is_broken = true;
        frame_mark(l, FRAME_CLOSE_HANDSHAKE, tls_handshake_error(l->ssl, why, text));
        return FRAME_IO_CLOSED;
    }
}

enum frame_io frame_io_read(struct frame_link *l)
{
    uint8_t *p = l->in.p + l->in.end;
    size_t room = l->in.cap - l->in.end;
    ssize_t n;

    ensure(room > 0);
    errno = 0;
    if (l->ssl != NULL) {
        ERR_clear_error();
        n = SSL_read(l->ssl, p, room > INT_MAX ? INT_MAX : (int)room);
        if (n <= 0)
            return tls_failed(l, (int)n);
    } else {
        n = recv(l->fd, p, room, 0);
        if (n == 0)
            return closed_by_peer(l);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            l->interest |= EV_READ;
            return FRAME_IO_WAIT;
        }
        if (n < 0)
            return broken(l, errno);
    }
    l->in.end += (size_t)n;
    return FRAME_IO_SOME;
}

static ssize_t write_once(struct frame_link *l, const uint8_t *p, size_t n)
{
    errno = 0;
    if (l->ssl == NULL)
        return send(l->fd, p, n, MSG_NOSIGNAL);
    ERR_clear_error();
    return SSL_write(l->ssl, p, n > INT_MAX ? INT_MAX : (int)n);
}

enum frame_io frame_io_write(struct frame_link *l)
{
    while (l->out.start < l->out.end) {
        ssize_t n = write_once(l, l->out.p + l->out.start, l->out.end - l->out.start);

        if (n <= 0 && l->ssl != NULL)
            return tls_failed(l, (int)n);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            l->interest |= EV_WRITE;
            return FRAME_IO_WAIT;
        }
        if (n < 0)
            return broken(l, errno);
        l->out.start += (size_t)n;
        l->moved_ms = clock_mono_ms();
    }
    REST(l->out);
    return FRAME_IO_SOME;
}
