/* SPDX-License-Identifier: BSD-2-Clause */
/* frame_internal: what the files of this room share. */
#ifndef COMMON_FRAME_INTERNAL_H
#define COMMON_FRAME_INTERNAL_H

#include "common/frame/frame.h"

#include <event2/event_struct.h>

/* The life of a link, in order; a step returns what the driver does next. */
#define FRAME_STEPS(X)                                              \
    X(CONNECT, connect)     /* the socket's connect is under way */ \
    X(HANDSHAKE, handshake) /* TLS, not on a plain socket */        \
    X(IDENTIFY, identify)   /* who is it; the owner is told */      \
    X(OPEN, open)           /* frames both ways */                  \
    X(CLOSING, closing)     /* the owner is told; then destruction */

enum frame_step {
#define X(name, function) FRAME_STEP_##name,
    FRAME_STEPS(X)
#undef X
};

enum frame_next { FRAME_AGAIN, FRAME_WAIT, FRAME_DONE };

enum { FRAME_DETAIL = 200, FRAME_LINK_MAGIC = 0x6c696e6b };

struct frame_link {
    uint32_t magic;
    struct frame_options options;
    int fd;
    SSL *ssl; /* NULL: plain */
    enum frame_step step;
    bool is_driving; /* callbacks only mark; the driver acts when they return */
    bool is_finishing;
    bool was_opened; /* on_open was called */
    bool has_heard;  /* a frame came */
    bool has_more;   /* frames wait in the in buffer for the next turn */
    bool is_broken;  /* TLS failed: no close_notify may follow */
    short interest;  /* EV_READ, EV_WRITE */
    struct event ready, timer;
    int64_t deadline_ms; /* of connect and handshake, or of finishing */
    int64_t heard_ms;    /* newest whole frame */
    bool was_spared;     /* by the idle deadline since then, to read what was waiting */
    int64_t moved_ms;    /* newest progress of what is sent */
    struct {
        uint8_t *p;
        size_t start, end, cap;
    } in, out;
    struct arena *frame_arena; /* of the frame that is being delivered */
    enum frame_close why;
    char detail[FRAME_DETAIL];
    char remote[64];
};

/* frame_io.c: bytes of the socket, through TLS or not. */
enum frame_io { FRAME_IO_SOME, FRAME_IO_WAIT, FRAME_IO_CLOSED };

/* Reads once into the in buffer. CLOSED: the link is marked as closing. */
enum frame_io frame_io_read(struct frame_link *l);
/* Writes what is queued, all or until the socket is full. */
enum frame_io frame_io_write(struct frame_link *l);
enum frame_io frame_io_handshake(struct frame_link *l);
/* Room for n bytes more in a buffer's tail. */
void frame_io_reserve_in(struct frame_link *l, size_t n);
void frame_io_reserve_out(struct frame_link *l, size_t n);
/* The in buffer is empty. */
void frame_io_rest_in(struct frame_link *l);
void frame_io_free(struct frame_link *l);

/* frame.c: enter the closing step, for the driver to act on. The first reason stands. */
void frame_mark(struct frame_link *l, enum frame_close why, const char *detail);

/* frame_count.c */
void frame_count_close(enum frame_close why);

#endif
