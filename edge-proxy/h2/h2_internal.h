/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of h2 share. */
#ifndef EDGE_PROXY_H2_INTERNAL_H
#define EDGE_PROXY_H2_INTERNAL_H

#include "edge-proxy/h2/h2.h"

#include <nghttp2/nghttp2.h>

enum {
    H2_FRAME_BYTES = 16384,     /* the largest frame, either way: the default that all can read */
    H2_FRAME_HEAD_BYTES = 9,    /* RFC 9113 section 4.1 */
    H2_SMALL_HEAD_BYTES = 2048, /* a stream's own room for its head; a buffer is taken for more */
    H2_FREE_MAX = 256,          /* streams kept for the next requests */
    H2_SLICES = 16,             /* of a body, in one DATA frame */
    H2_LINES_BYTES = 65536,     /* of a response's fields */
    H2_NOTICE_MS = 1000         /* from the first GOAWAY to the second, if no PING comes back */
};

/* ---- Glitches ---- */

enum h2_glitch {
#define H2_GLITCH_ENUM_(name, weight, label) H2_GLITCH_##name,
    EDGE_GLITCHES(H2_GLITCH_ENUM_)
#undef H2_GLITCH_ENUM_
};

/* A bucket that leaks: zero-initialise. */
struct h2_score {
    uint32_t points;
    int64_t leaked_ms; /* until when */
};
/* Adds what a glitch weighs. false: the connection has gone too far. limit 0: never. */
bool h2_score_add(struct h2_score *score, enum h2_glitch glitch, int64_t now_ms,
                  const struct config_http2 *limits);

/* ---- Connections ---- */

struct h2_worker {
    struct request_worker *rw;
    struct worker *w;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    struct h2_stream *free_streams;
    unsigned n_free;
    size_t n_out; /* of out */
    char out[H2_OUT_BYTES + H2_FRAME_HEAD_BYTES + H2_FRAME_BYTES];
    char lines[H2_LINES_BYTES];
};

struct h2 {
    nghttp2_session *session;
    struct h2_worker *hw;
    const struct h2_ops *ops;
    void *arg;
    const struct request_client *client;
    struct h2_stream *streams;
    unsigned n_streams;
    uint64_t bytes_sent; /* of bodies */
    struct h2_score score;
    struct config_http2 limits; /* of when it began */
    bool is_head_open, is_begun, is_abused, is_broken, is_draining, is_ended;
    struct wheel_timer notice;
};

/* ---- Streams ---- */

enum h2_stream_clock { H2_CLOCK_NONE, H2_CLOCK_BODY, H2_CLOCK_SEND };

/* One request. */
struct h2_stream {
    uint32_t magic;
    int32_t id;
    struct h2 *h;
    struct h2_stream *next, **link;
    struct request *r;
    struct wheel_timer timer;
    uint8_t clock;
    uint64_t sent_mark; /* the connection's bytes_sent when the clock was set */
    /* The request */
    bool is_started;  /* handed over */
    bool is_all_here; /* END_STREAM came */
    bool is_broken_off, is_continue_due, is_websocket;
    enum http_verdict refusal; /* HTTP_DONE: none so far */
    uint32_t list_bytes;       /* decoded, as RFC 9113 section 6.5.2 counts them */
    struct http_pseudo pseudo;
    struct str protocol;             /* RFC 8441 */
    struct buffer *body, **body_end; /* not yet consumed */
    uint32_t n_held;                 /* bytes of it */
    struct str trailers;             /* lines, of those that may be passed on */
    /* The response */
    bool is_head_sent, is_deferred, is_whole, is_tunnel, is_reset;
    bool has_left;
    uint64_t left_bytes; /* of a body with a length */
    uint64_t bytes_sent;
    int n_slices; /* of the DATA frame under way; 0: to be asked for again */
    struct iovec slices[H2_SLICES];
    /* The head's bytes: here while they fit */
    struct buffer *large_head;
    uint32_t n_small;
    char websocket_key[25]; /* ours, for an origin that speaks HTTP/1.1 */
    char small_head[H2_SMALL_HEAD_BYTES];
};
enum { H2_STREAM_MAGIC = 0x57e42 };

/* h2.c */
/* Counts it, and ends the connection if that was too much. */
int h2_note(struct h2 *h, enum h2_glitch glitch);
static inline const struct config_limits *h2_limits(const struct h2 *h)
{
    return &request_worker_generation(h->hw->rw)->config->limits;
}

/* h2.c: adds to the client's score. */
void h2_blame(struct h2 *h, enum guard_mischief what);

/* stream.c */
struct h2_stream *h2_stream_open(struct h2 *h, int32_t id);
void h2_stream_close(struct h2_stream *st);
/* Looks at what its request has come to, and submits what is due. */
void h2_stream_look(struct h2_stream *st);
void h2_stream_reset(struct h2_stream *st, uint32_t error);
void h2_stream_take_body(struct h2_stream *st, const uint8_t *bytes, size_t n);
void h2_stream_end_body(struct h2_stream *st);
/* Bytes of a body went one way or the other. */
void h2_stream_move_clock(struct h2_stream *st, enum h2_stream_clock clock, size_t n);
static inline void h2_stream_stop_clock(struct h2_stream *st, enum h2_stream_clock clock)
{
    if (st->clock == clock)
        st->clock = H2_CLOCK_NONE;
}

/* head.c: what came as a field section. */
void h2_head_add(struct h2_stream *st, struct str name, struct str value);
void h2_head_add_trailer(struct h2_stream *st, struct str name, struct str value);
/* All of it is there: hands the request over, or refuses it. */
void h2_head_finish(struct h2_stream *st);
/* n bytes that live as long as the stream; NULL: it has had more than its share. */
char *h2_head_room(struct h2_stream *st, size_t n);

/* respond.c: what goes out as one. */
void h2_respond(struct h2_stream *st);
void h2_send_interim(struct h2_stream *st, unsigned status, struct str lines);
int h2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t n,
                 nghttp2_data_source *source, void *arg);
/* The Sec-WebSocket-Accept for a key (RFC 6455 section 4.2.2). */
enum { H2_ACCEPT_BYTES = 28 };
void h2_websocket_accept(const char key[24], char accept[H2_ACCEPT_BYTES + 1]);

#endif
