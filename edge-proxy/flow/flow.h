/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow: how bytes move through a worker. What each worker thread has (loop, timers, buffers,
 * counters), a connection's plain or TLS transport, and the reader that takes a message body out
 * of its framing.
 * Place on the path: below session (clients) and upstream (origins), above http.
 * Lifetime: a worker lives as long as the process; the rest belongs to a connection.
 * Threads: everything here is used on the worker's own thread only.
 */
#ifndef EDGE_PROXY_FLOW_H
#define EDGE_PROXY_FLOW_H

#include "common/loop/loop.h"
#include "common/wheel/wheel.h"
#include "edge-proxy/counters/counters.h"
#include "edge-proxy/http/http.h"

#include <openssl/ssl.h>
#include <sys/uio.h>

/* ---- Workers ---- */

enum {
    BUFFER_BYTES = 65536,           /* what one direction of one connection holds at most */
    WORKER_SCRATCH_BYTES = 131072,  /* heads are composed here and written at once */
    WORKER_TLS_BATCH_BYTES = 262144 /* TLS records collected for one write() */
};

struct buffer;
struct worker {
    unsigned index;
    struct loop *loop;
    struct event_base *base;
    struct metrics_block *counters;
    struct wheel wheel;
    struct buffer *free_buffers;
    unsigned n_free_buffers;
    int n_untold_buffers; /* taken, less given back, since all workers' sum was told */
    char *scratch;        /* valid until the next call into another room */
    char *tls_batch;      /* records of the SSL_write under way */
    size_t n_tls_batch;
};

void worker_init(struct worker *w, unsigned index, struct loop *loop);
void worker_stop(struct worker *w);
static inline void worker_count(struct worker *w, enum counter c)
{
    metrics_add(w->counters, c, 1);
}

/* ---- Buffers ---- */

/* Bytes that came and are not yet dealt with: [start, end). What lies before floor (a message's
 * head) stays where it is. */
struct buffer {
    struct buffer *next;
    uint32_t floor, start, end;
    char bytes[BUFFER_BYTES];
};
struct buffer *buffer_take(struct worker *w);
/* All workers' buffers count against one budget, give or take a few of each worker. What has begun
 * may go on; whoever begins something new asks first, visitors before the budget is quite used up,
 * so that the requests that they have brought can still reach an origin. */
void buffers_set_budget(uint64_t bytes); /* any thread */
bool buffers_are_short_for_visitors(void);
bool buffers_are_short_for_origins(void);
void buffer_give(struct worker *w, struct buffer *b);
static inline struct str buffer_data(const struct buffer *b)
{
    return (struct str){b->bytes + b->start, b->end - b->start};
}

/* ---- Transports ---- */

struct wire {
    int fd;
    SSL *ssl;              /* NULL: plain */
    struct tls_rest *rest; /* encrypted bytes that the kernel did not take yet */
};
enum wire_verdict {
    WIRE_OK,
    WIRE_AGAIN_READ,  /* wait until readable */
    WIRE_AGAIN_WRITE, /* wait until writable */
    WIRE_EOF,
    WIRE_ERROR,
};
/* Once, before any worker runs. */
void wire_prepare(void);
/* Makes ssl write through the worker's batch: one write() for many records. Takes over ssl. */
void wire_use_tls(struct worker *worker, struct wire *w, SSL *ssl);
/* From now on it is worker's: no event of another's loop watches it. */
void wire_move(struct worker *worker, struct wire *w);
/* At most room bytes; *n says how many with WIRE_OK. */
enum wire_verdict wire_read(struct worker *worker, struct wire *w, void *to, size_t room,
                            size_t *n);
/* As much as goes; *n, also with WIRE_AGAIN_WRITE, is what need not be offered again. */
enum wire_verdict wire_write(struct worker *worker, struct wire *w, const struct iovec *iov,
                             int n_iov, size_t *n);
/* The same of one slice; what does not go is kept, so that all of it counts as written. Nothing
 * else may be kept yet. */
enum wire_verdict wire_write_all(struct worker *worker, struct wire *w, struct str bytes);
/* The same as wire_write for a plain wire, as front and then bytes of a file, which the kernel need
 * not copy. */
struct wire_file {
    int fd;
    uint64_t offset;
    size_t n;
};
enum wire_verdict wire_send_file(struct wire *w, struct str front, const struct wire_file *file,
                                 size_t *n);
static inline bool wire_is_plain(const struct wire *w)
{
    return w->ssl == NULL;
}
/* Is a client's connection the right one for this host (RFC 9110 section 7.4): the one that it
 * asked for by SNI, or another that the certificate it was shown is good for? Yes, if it asked for
 * none. */
bool wire_is_host_served(const struct wire *w, struct str host);
/* One step of SSL_accept or SSL_connect. On WIRE_ERROR OpenSSL's queue holds why. */
enum wire_verdict wire_handshake(struct worker *worker, struct wire *w);
/* Bytes that OpenSSL holds, or the peer's goodbye that came right behind others: the kernel will
 * not tell of them. */
static inline bool wire_has_pending(const struct wire *w)
{
    return w->ssl != NULL &&
           (SSL_has_pending(w->ssl) || SSL_get_shutdown(w->ssl) & SSL_RECEIVED_SHUTDOWN);
}
static inline bool wire_has_rest(const struct wire *w)
{
    return w->rest != NULL;
}
size_t wire_rest_bytes(const struct wire *w);
/* Sends what the kernel did not take before. WIRE_OK: nothing is left. */
enum wire_verdict wire_flush(struct worker *worker, struct wire *w);
/* Says goodbye (close_notify), best effort. */
void wire_shut_write(struct worker *worker, struct wire *w);
void wire_close(struct worker *worker, struct wire *w);

/* ---- Bodies ---- */

enum body_verdict { BODY_DATA, BODY_WAIT, BODY_END, BODY_FAILED };

/* A body on its way through a buffer. Decoded bytes lie in [ready, ready_end), in front of the
 * buffer's start. */
struct body {
    enum http_body kind;
    bool is_ended, is_eof;
    enum http_verdict failure; /* with BODY_FAILED: why, HTTP_DONE: broken off */
    uint32_t ready, ready_end;
    uint32_t trailers, trailer_bytes; /* where they lie in the buffer, once it is_ended */
    uint64_t left_bytes;              /* of HTTP_BODY_LENGTH */
    struct http_chunked chunked;
};
/* The body begins at b->start, which becomes the floor. */
void body_start(struct body *body, struct buffer *b, enum http_body kind, uint64_t length);
/* What is there of it, as one slice; valid until body_consume or body_room. */
enum body_verdict body_peek(struct body *body, struct buffer *b, struct str *data);
void body_consume(struct body *body, struct buffer *b, size_t n);
/* After BODY_END: the trailer lines that may be passed on, with their CRLF. */
void body_write_trailers(const struct body *body, const struct buffer *b, struct writer *w);
/* Free space behind b->end, moving what is there to the floor if that helps. 0: stop reading. */
size_t body_room(struct body *body, struct buffer *b);
/* The peer has closed: ends a body that lasts until then, breaks off any other. */
static inline void body_set_eof(struct body *body)
{
    body->is_eof = true;
}

/* How long a body that moves by n bytes may take for the next ones, its timer t being set: bytes
 * buy time at the least rate that is put up with (0: any), so that one now and then does not hold a
 * connection for ever. At most most_ms. */
uint32_t body_time_ms(const struct wheel_timer *t, size_t n, uint32_t min_rate_bytes,
                      uint32_t most_ms);

/* ---- Chunked coding, outwards ---- */

enum { CHUNKER_SLICES = 2 }; /* around the data: chunk head, CRLF */

/* The chunk under way. Zero-initialise. */
struct chunker {
    uint8_t head_bytes, head_sent, tail_left;
    uint64_t left_bytes; /* of its data */
    char head[HTTP_CHUNK_HEAD_MAX];
};
/* Only the CRLF of the chunk is still to be sent: it needs no data. */
static inline bool chunker_needs_no_data(const struct chunker *c)
{
    return c->left_bytes == 0 && c->tail_left > 0;
}
/* iov[1] to iov[n] hold data (at least what is left of the chunk under way, if there is one);
 * iov[0] and iov[n + 1] are for the framing. Data beyond the chunk is cut off. Returns the number
 * of slices from iov[0] on. */
int chunker_wrap(struct chunker *c, struct iovec *iov, int n);
/* n bytes of those slices were sent; returns how many bytes of data are among them. */
size_t chunker_sent(struct chunker *c, size_t n);

#endif
