/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/addr/addr.h"
#include "common/bytes/bytes.h"
#include "common/clock/clock.h"
#include "common/frame/frame_internal.h"
#include "common/net/net.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Frames of one link in one turn of the loop; the others get theirs then. */
enum { FRAMES_PER_TURN = 32 };

static struct frame_link *link_from(void *arg)
{
    struct frame_link *l = arg;

    ensure(l != NULL && l->magic == FRAME_LINK_MAGIC);
    return l;
}

void frame_mark(struct frame_link *l, enum frame_close why, const char *detail)
{
    if (l->step == FRAME_STEP_CLOSING)
        return;
    l->step = FRAME_STEP_CLOSING;
    l->why = why;
    snprintf(l->detail, sizeof(l->detail), "%s", detail ? detail : frame_close_words(why));
}

static void note_remote(struct frame_link *l)
{
    struct addr peer;
    char text[ADDR_TEXT];

    if (has_failed(net_peer_addr(l->fd, &peer)))
        return;
    snprintf(l->remote, sizeof(l->remote), "%s",
             peer.sa.sa_family == AF_UNIX ? "unix" : addr_format(&peer, text));
}

static enum frame_next step_connect(struct frame_link *l)
{
    int why = net_take_error(l->fd);
    struct addr peer;

    if (why != 0) {
        frame_mark(l, FRAME_CLOSE_CONNECT, strerror(why));
        return FRAME_AGAIN;
    }
    if (has_failed(net_peer_addr(l->fd, &peer))) {
        l->interest |= EV_WRITE;
        return FRAME_WAIT;
    }
    note_remote(l);
    l->step = l->ssl != NULL ? FRAME_STEP_HANDSHAKE : FRAME_STEP_IDENTIFY;
    return FRAME_AGAIN;
}

static enum frame_next step_handshake(struct frame_link *l)
{
    switch (frame_io_handshake(l)) {
    case FRAME_IO_WAIT:
        return FRAME_WAIT;
    case FRAME_IO_SOME:
        l->step = FRAME_STEP_IDENTIFY;
        break;
    case FRAME_IO_CLOSED:
        break;
    }
    return FRAME_AGAIN;
}

static enum frame_next step_identify(struct frame_link *l)
{
    struct tls_identity peer = {.role = TLS_ROLE_OPERATOR};

    if (l->ssl != NULL)
        peer = tls_peer_identity(l->ssl);
    if (peer.role == TLS_ROLE_NONE) {
        frame_mark(l, FRAME_CLOSE_NO_IDENTITY, NULL);
        return FRAME_AGAIN;
    }
    l->step = FRAME_STEP_OPEN;
    l->was_opened = true;
    l->heard_ms = l->moved_ms = clock_mono_ms();
    l->options.hooks->on_open(l->options.arg, l, &peer);
    return FRAME_AGAIN;
}

static void deliver(struct frame_link *l, const uint8_t *bytes, size_t n)
{
    struct arena arena;
    const Gslb__Frame *frame;

    arena_init(&arena, 4096);
    frame = frame_unpack(bytes, n, &arena);
    if (frame == NULL) {
        frame_mark(l, FRAME_CLOSE_MALFORMED, NULL);
    } else {
        l->has_heard = true;
        l->heard_ms = clock_mono_ms();
        l->was_spared = false;
        l->frame_arena = &arena;
        l->options.hooks->on_frame(l->options.arg, l, frame);
        l->frame_arena = NULL;
    }
    arena_free(&arena);
}

/* Delivers the next whole frame of the in buffer; WAIT: there is none yet, and room for the rest of
 * it has been made. */
static enum frame_next take_frame(struct frame_link *l)
{
    size_t have = l->in.end - l->in.start, body = 0;

    if (have >= FRAME_HEAD_BYTES) {
        body = bytes_get_u32(l->in.p + l->in.start);
        if (body > FRAME_MAX_BYTES) {
            frame_mark(l, FRAME_CLOSE_OVERSIZED, NULL);
            return FRAME_AGAIN;
        }
    }
    if (have < FRAME_HEAD_BYTES || have - FRAME_HEAD_BYTES < body) {
        /* Only as far as bytes really come: a length alone must not cost its memory. */
        if (l->in.end == l->in.cap || l->in.cap == 0)
            frame_io_reserve_in(l, have < 4096 ? 4096 : have);
        return FRAME_WAIT;
    }
    l->in.start += FRAME_HEAD_BYTES + body;
    deliver(l, l->in.p + l->in.start - body, body);
    if (l->in.start == l->in.end)
        frame_io_rest_in(l);
    return FRAME_AGAIN;
}

/* Reads and delivers until the socket is empty or the turn is over. */
static enum frame_next read_frames(struct frame_link *l)
{
    unsigned delivered = 0;

    l->has_more = false;
    while (l->step == FRAME_STEP_OPEN && !l->is_finishing) {
        if (take_frame(l) == FRAME_AGAIN) {
            if (++delivered < FRAMES_PER_TURN)
                continue;
            l->has_more = true;
            return FRAME_WAIT;
        }
        if (frame_io_read(l) == FRAME_IO_WAIT)
            return FRAME_WAIT;
    }
    return l->step == FRAME_STEP_OPEN ? FRAME_WAIT : FRAME_AGAIN;
}

static enum frame_next step_open(struct frame_link *l)
{
    if (read_frames(l) == FRAME_AGAIN)
        return FRAME_AGAIN;
    switch (frame_io_write(l)) {
    case FRAME_IO_CLOSED:
        return FRAME_AGAIN;
    case FRAME_IO_WAIT:
        break;
    case FRAME_IO_SOME:
        if (!l->is_finishing)
            break;
        frame_mark(l, l->why, NULL);
        return FRAME_AGAIN;
    }
    if (!l->is_finishing)
        l->interest |= EV_READ;
    return FRAME_WAIT;
}

static enum frame_next step_closing(struct frame_link *l)
{
    frame_count_close(l->why);
    l->options.hooks->on_close(l->options.arg, l, l->why, l->detail);
    return FRAME_DONE;
}

static enum frame_next (*const steps[])(struct frame_link *l) = {
#define X(name, function) step_##function,
    FRAME_STEPS(X)
#undef X
};

static void destroy(struct frame_link *l)
{
    event_del(&l->ready);
    event_del(&l->timer);
    if (l->ssl != NULL) {
        if (!l->is_broken && l->was_opened)
            SSL_shutdown(l->ssl);
        SSL_free(l->ssl);
        ERR_clear_error();
    }
    close(l->fd);
    frame_io_free(l);
    l->magic = 0;
    free(l);
}

static int64_t next_deadline_ms(const struct frame_link *l)
{
    int64_t idle_ms = l->options.idle_ms, at = INT64_MAX;

    if (l->step != FRAME_STEP_OPEN || l->is_finishing)
        return l->deadline_ms;
    if (idle_ms == 0)
        return at;
    at = l->heard_ms + idle_ms;
    if (l->out.end > l->out.start && l->moved_ms + idle_ms < at)
        at = l->moved_ms + idle_ms;
    return at;
}

static void set_timer(struct frame_link *l)
{
    int64_t at = next_deadline_ms(l), left = at - clock_mono_ms();
    struct timeval after;

    if (at == INT64_MAX) {
        event_del(&l->timer);
        return;
    }
    if (left < 1)
        left = 1;
    after = (struct timeval){.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
    event_add(&l->timer, &after);
}

static void on_ready(evutil_socket_t fd, short what, void *arg);

static void set_interest(struct frame_link *l, short interest)
{
    event_del(&l->ready);
    event_assign(&l->ready, l->options.base, l->fd, (short)(interest | EV_PERSIST), on_ready, l);
    event_add(&l->ready, NULL);
}

static void drive(struct frame_link *l)
{
    short before = l->interest;
    enum frame_next next;

    ensure(!l->is_driving);
    l->is_driving = true;
    l->interest = 0;
    do
        next = steps[l->step](l);
    while (next == FRAME_AGAIN);
    l->is_driving = false;
    if (next == FRAME_DONE) {
        destroy(l);
        return;
    }
    if (l->interest != before)
        set_interest(l, l->interest);
    if (l->has_more)
        event_active(&l->ready, EV_READ, 0);
    set_timer(l);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    drive(link_from(arg));
}

/* After a pause in which this program itself did not run the deadline comes first, and what the
 * peer sent meanwhile second: it is read before the peer is judged. */
static bool is_unread(const struct frame_link *l)
{
    char byte;

    return recv(l->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct frame_link *l = link_from(arg);
    int64_t now = clock_mono_ms();

    if (next_deadline_ms(l) > now) {
        set_timer(l);
        return;
    }
    if (l->step == FRAME_STEP_OPEN && !l->is_finishing && !l->was_spared && is_unread(l)) {
        l->was_spared = true;
        drive(l);
        return;
    }
    if (l->step != FRAME_STEP_OPEN)
        frame_mark(l, FRAME_CLOSE_DEADLINE, NULL);
    else if (l->is_finishing ||
             (l->out.end > l->out.start && l->moved_ms + l->options.idle_ms <= now))
        frame_mark(l, FRAME_CLOSE_NOT_READING, NULL);
    else
        frame_mark(l, FRAME_CLOSE_IDLE, NULL);
    drive(l);
}

static SSL *open_tls(const struct frame_options *options, int fd)
{
    SSL *ssl = SSL_new(options->tls);

    ensure(ssl != NULL && SSL_set_fd(ssl, fd) == 1);
    if (options->side == TLS_SERVER)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    return ssl;
}

struct frame_link *frame_link_new(const struct frame_options *options, int fd)
{
    struct frame_link *l = base_zalloc(1, sizeof(*l));

    ensure(fd >= 0 && options->hooks != NULL);
    *l = (struct frame_link){
        .magic = FRAME_LINK_MAGIC,
        .options = *options,
        .fd = fd,
        .ssl = options->tls ? open_tls(options, fd) : NULL,
        .step = FRAME_STEP_CONNECT,
        .deadline_ms = clock_mono_ms() + options->handshake_ms,
        .interest = EV_WRITE,
        .remote = "?",
    };
    note_remote(l);
    ensure(event_assign(&l->ready, options->base, fd, EV_WRITE | EV_PERSIST, on_ready, l) == 0);
    ensure(evtimer_assign(&l->timer, options->base, on_timer, l) == 0);
    event_add(&l->ready, NULL);
    set_timer(l);
    return l;
}

void frame_link_send(struct frame_link *l, const Gslb__Frame *frame)
{
    size_t n = 0, queued = l->out.end - l->out.start;
    uint8_t *bytes;

    if (l->step != FRAME_STEP_OPEN || l->is_finishing)
        return;
    bytes = frame_pack(frame, &n);
    if (bytes == NULL || queued + n > FRAME_QUEUE_BYTES) {
        frame_link_close(l, bytes ? FRAME_CLOSE_NOT_READING : FRAME_CLOSE_OVERSIZED, NULL);
        free(bytes);
        return;
    }
    if (queued == 0)
        l->moved_ms = clock_mono_ms();
    frame_io_reserve_out(l, n);
    memcpy(l->out.p + l->out.end, bytes, n);
    l->out.end += n;
    explicit_bzero(bytes, n); /* it may hold keys */
    free(bytes);
    if (!l->is_driving)
        event_active(&l->ready, EV_WRITE, 0);
}

void frame_link_close(struct frame_link *l, enum frame_close why, const char *detail)
{
    frame_mark(l, why, detail);
    if (!l->is_driving)
        drive(l);
}

void frame_link_finish(struct frame_link *l, enum frame_close why)
{
    if (l->step != FRAME_STEP_OPEN) {
        frame_link_close(l, why, NULL);
        return;
    }
    l->is_finishing = true;
    l->why = why;
    l->deadline_ms = clock_mono_ms() + l->options.handshake_ms;
    if (!l->is_driving)
        event_active(&l->ready, EV_WRITE, 0);
}

void frame_link_keep(struct frame_link *l, struct arena *into)
{
    ensure(l->frame_arena != NULL);
    *into = *l->frame_arena;
    arena_init(l->frame_arena, 0);
}

void frame_link_set_idle(struct frame_link *l, uint32_t idle_ms)
{
    l->options.idle_ms = idle_ms;
    l->heard_ms = clock_mono_ms();
    if (!l->is_driving)
        set_timer(l);
}

void *frame_link_arg(const struct frame_link *l)
{
    return l->options.arg;
}

void frame_link_set_arg(struct frame_link *l, void *arg)
{
    l->options.arg = arg;
}

void frame_link_verify(struct frame_link *l, const SSL_CTX *now)
{
    if (l->ssl == NULL || SSL_get_SSL_CTX(l->ssl) == now)
        return;
    /* A handshake that began under the old CA has nothing to show yet: it begins again. */
    if (now == NULL || !tls_is_peer_trusted(l->ssl, now))
        frame_link_close(l, FRAME_CLOSE_UNTRUSTED, NULL);
}

const char *frame_link_remote(const struct frame_link *l)
{
    return l->remote;
}
