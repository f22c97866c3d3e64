/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of session share. */
#ifndef EDGE_PROXY_SESSION_INTERNAL_H
#define EDGE_PROXY_SESSION_INTERNAL_H

#include "edge-proxy/h2/h2.h"
#include "edge-proxy/session/session.h"

#include <event2/event_struct.h>

enum {
    SESSION_BURST = 64,             /* pipelined requests, before others have their turn */
    SESSION_FILE_MIN = 64 << 10,    /* a smaller rest of a file is better copied */
    SESSION_SLICES = 16,            /* of a body, in one writev */
    SESSION_DRAIN_IDLE_MS = 1000,   /* at the end, idle connections are closed after it */
    SESSION_LINGER_MS = 2000,       /* for an unread body after the response ... */
    SESSION_LINGER_BYTES = 1 << 20, /* ... and at most so much of it */
    SESSION_ROOM = 32,              /* closed at once when files run out */
    SESSION_FREE_MAX = 1024         /* kept for the next connections */
};

/* Only the driver destroys: a step says OVER. */
#define SESSION_STEPS(X)                                                 \
    X(READ_PROXY, read_proxy) /* whom a load balancer brings */          \
    X(HANDSHAKE, handshake)   /* TLS */                                  \
    X(READ_HEAD, read_head)   /* of the next request; idle in between */ \
    X(AWAIT, await)           /* the request works on its answer */      \
    X(SEND_HEAD, send_head)   /* with the first of the body */           \
    X(SEND_BODY, send_body)                                              \
    X(FINISH, finish)     /* log, then the next request or the end */    \
    X(CARRY_H2, carry_h2) /* HTTP/2: bytes both ways */                  \
    X(LINGER, linger)     /* let the client read before we close */

enum session_step {
#define SESSION_STEP_ENUM_(id, name) SESSION_##id,
    SESSION_STEPS(SESSION_STEP_ENUM_)
#undef SESSION_STEP_ENUM_
};
enum step_result { STEP_AGAIN, STEP_WAIT, STEP_OVER };

/* What the timer is for. */
enum session_clock {
    CLOCK_NONE, /* an old deadline may still be in the wheel: nothing happens */
    CLOCK_IDLE,
    CLOCK_PROXY,
    CLOCK_HANDSHAKE,
    CLOCK_HEAD,
    CLOCK_BODY,
    CLOCK_SEND,
    CLOCK_LINGER,
};

/* One request and its response. Attached only while there is one. */
struct turn {
    struct turn *next_free;
    struct request *r;
    struct body body;       /* of the request */
    struct chunker chunker; /* of the response */
    struct buffer *out;     /* what the kernel did not take of heads */
    uint64_t bytes_sent;
    bool is_body_wanted, is_started, is_head_sent, is_continue_due;
    bool is_close, is_chunked, is_last_chunk_due, is_tunnel, is_whole, is_refused;
};

struct session {
    uint32_t magic;
    uint8_t step, clock;
    short interest, events; /* as registered; as they came */
    bool is_running, is_woken, is_peer_done, has_unparsed, is_reset;
    uint8_t burst;
    struct session_worker *sw;
    struct wire wire;
    struct buffer *in;
    union {
        struct proxy_part *proxy_part; /* READ_PROXY; NULL: nothing came yet */
        struct turn *turn;             /* NULL: idle */
        struct handshake *handshake;   /* HANDSHAKE */
        struct h2 *h2;                 /* CARRY_H2 */
    };
    struct session *next, **link;
    struct request_client client;
    uint32_t lingered_bytes;
    size_t rest_bytes; /* CARRY_H2: unsent when the clock was set */
    uint64_t ticket;   /* of guard */
    struct wheel_timer timer;
    struct event event;
};
enum { SESSION_MAGIC = 0x5e5510 };

/* Handshakes that wait for their turn, and what this turn of the loop has spent on others. */
struct handshake_queue {
    struct handshake *first, **last, *spare;
    unsigned n, n_spare;
    struct timeval turn;
    int64_t spent_us;
    struct event next_turn;
};

struct session_worker {
    struct request_worker *rw;
    struct worker *w;
    struct h2_worker *h2;
    char *h2_in; /* WORKER_SCRATCH_BYTES: what was read, while h2 works on it */
    struct session *sessions, *free_sessions;
    struct turn *free_turns;
    struct handshake_queue handshakes;
    unsigned n_sessions, n_free;
    bool is_draining;
};

/* arrive.c */
enum step_result session_step_read_proxy(struct session *s);

/* session.c */
/* One that is listed and counted, but has neither a step nor a clock. */
struct session *session_new(struct session_worker *sw, int fd);
void session_run(struct session *s);
void session_want(struct session *s, short interest);
void session_set_clock(struct session *s, enum session_clock clock, uint32_t ms);
/* The same for a body: n bytes more buy time at the least rate per second that is put up with (0:
 * any), so that one byte now and then does not hold a connection for ever. */
void session_move_clock(struct session *s, enum session_clock clock, size_t n, uint32_t least_rate);
/* Adds to the client's score. */
void session_blame(struct session *s, enum guard_mischief what);
struct turn *turn_open(struct session *s);
/* Ends its request. */
void turn_close(struct session *s);
static inline const struct config_limits *session_limits(const struct session *s)
{
    return &request_worker_generation(s->sw->rw)->config->limits;
}

/* Half closed: the client has the response and a moment to read it (RFC 9112 section 9.6). */
enum step_result session_start_linger(struct session *s);

/* handshake.c */
void session_init_handshakes(struct session_worker *sw);
void session_free_handshakes(struct session_worker *sw);
/* Takes over ssl. */
void session_start_handshake(struct session *s, SSL *ssl);
void session_end_handshake(struct session *s);
enum step_result session_step_handshake(struct session *s);

/* h2_carry.c */
void session_start_h2(struct session *s);
enum step_result session_step_carry_h2(struct session *s);
/* Nothing was asked for a while: says goodbye. */
void session_end_idle_h2(struct session *s);
void session_drain_h2(struct session *s);

/* h1_read.c */
enum step_result session_step_read_head(struct session *s);
/* More of the request's body, if it is wanted and came; and whether the client is still there. */
enum step_result session_read_body(struct session *s);
extern const struct stream_ops session_h1_ops;

/* h1_write.c */
enum step_result session_step_send_head(struct session *s);
enum step_result session_step_send_body(struct session *s);
/* What waits besides a response. */
enum step_result session_flush(struct session *s);
/* A response of 1xx in at most SESSION_INTERIM_PARTS parts: written now, or queued in front of what
 * follows. Without room for all of it none is sent: clients can do without. */
enum { SESSION_INTERIM_PARTS = 3 };
void session_send_interim(struct session *s, const struct str *parts, int n);

#endif
