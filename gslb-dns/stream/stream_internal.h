/* SPDX-License-Identifier: BSD-2-Clause */
/* stream, inside: a thread, its connections, and the hands that move their bytes. */
#ifndef GSLB_DNS_STREAM_INTERNAL_H
#define GSLB_DNS_STREAM_INTERNAL_H

#include "gslb-dns/stream/stream.h"

#include <event2/event.h>
#include <openssl/ssl.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
    FRAME = 2,
    MESSAGE_MAX = 65535,
    BATCH = 32,
    READ_BYTES = 2 * (FRAME + MESSAGE_MAX),
    RECORD_BYTES = 16384, /* the most of a TLS record, RFC 8446 section 5.1 */
    TRANSFERS_MAX = 8,    /* of one connection; until one ends, no more queries are read from it */
};

/* Whether a connection goes on after a step, and if not, under which counter it ends. */
enum { GOES_ON = -1 };

/* Bytes that wait: of a message that is not whole yet, or of answers. */
struct rest {
    uint8_t *p;
    size_t n;
};

/* An answer of several messages that is being sent. */
struct transfer {
    TAILQ_ENTRY(transfer) link;
    struct answer_stream *stream;
};

struct connection {
    TAILQ_ENTRY(connection) by_use;
    struct worker *worker;
    struct client *client; /* for whom it is counted; NULL while a PROXY header is awaited */
    struct event *readable, *writable;
    int fd;
    enum answer_transport transport;
    SSL *ssl;               /* NULL: plain */
    struct tls_server *tls; /* until the handshake has ended */
    struct h2 *h2;          /* with ANSWER_HTTPS, when there is something to frame */
    TAILQ_ENTRY(connection) waiting;
    bool is_waiting;             /* for its turn to go on with the handshake */
    bool is_unfinished;          /* before the first query can come; in the list of that name */
    bool needs_header;           /* of the PROXY protocol, before anything else */
    bool has_wrong_alpn;         /* the client offered other protocols only */
    bool is_broken;              /* nothing can be sent any more */
    bool has_more;               /* SSL holds bytes that no poll would tell */
    bool is_reading, is_writing; /* which of the two is waited for */
    bool is_blocked;             /* answers wait for the peer to read */
    bool is_ended;               /* the peer has closed its half; transfers are still sent */
    int64_t used_ms;
    struct rest in, out;
    size_t n_transfers;
    TAILQ_HEAD(, transfer) transfers; /* the one whose turn it is first */
    struct addr peer;
};

TAILQ_HEAD(connections, connection);

/* One thread. */
struct worker {
    struct loop *loop;
    const struct net_handler *handler;
    void *context;
    struct metrics_block *counters;
    struct shares *shares; /* of all threads */
    unsigned n_workers;
    struct worker *next; /* all of them in a ring */
    struct listener *listeners;
    size_t n_listeners;
    bool is_first;    /* it renews what is everybody's */
    bool is_paused;   /* out of descriptors: no accepts until the next tick */
    bool is_stopping; /* until the transfers have ended, or it is stop_at_ms */
    int64_t stop_at_ms;
    struct order *stop;
    uint32_t idle_ms, max_connections;
    size_t n_connections;
    struct event *tick;
    struct connections by_use;     /* the one idle longest first */
    struct connections unfinished; /* the oldest first */
    struct connections waiting;    /* of these, those that can go on */
    size_t n_unfinished;
    struct event *turn; /* takes some of waiting */
    struct tls_server *tls;
    const char *doh_path;
    const struct prefix *proxies;
    size_t n_proxies;
    struct answer_query queries[BATCH];
    struct iovec frames[BATCH];
    uint8_t record[RECORD_BYTES];
    uint8_t read_buffer[READ_BYTES];
    uint8_t answers[BATCH][FRAME + MESSAGE_MAX + 1];
};

static inline void worker_count(struct worker *w, enum answer_counter counter)
{
    metrics_add(w->counters, counter, 1);
}

/* Gives up connections, the one idle longest first, until there are no more than may be, or no more
 * than least on this thread: then others give up theirs. */
void worker_keep_limit(struct worker *w, size_t least);

/* ---- shares.c: who holds how many, over all threads ---- */

struct shares *shares_new(void);
void shares_free(struct shares *s);
/* One more connection is open; for whom, shares_claim says. */
void shares_enter(struct shares *s, enum answer_transport t);
/* NULL: this client has as many as it may, by a limit of so many for all. */
struct client *shares_claim(struct shares *s, const struct addr *peer, uint32_t max_connections);
/* client NULL: nobody had been said. */
void shares_return(struct shares *s, struct client *client, enum answer_transport t);
size_t shares_total(const struct shares *s);
size_t shares_of(const struct shares *s, enum answer_transport t);

/* ---- connection.c: a connection's life ---- */

/* Takes over fd, at once or not at all. */
void connection_open(struct worker *w, int fd, const struct addr *peer,
                     enum answer_transport transport);
void connection_close(struct connection *c, int why);
/* Something useful came or went: the connection is the last to be given up. */
void connection_mark_used(struct connection *c);
/* The one to give up: unfinished ones where they are many, else the one idle longest; NULL: there
 * is none. */
struct connection *connection_oldest(struct worker *w);
/* One more step for what has been received or is to be sent, before the server stops; ends it but
 * for its transfers. */
void connection_stop(struct connection *c);
/* Sends, and keeps what the peer does not take: then the connection is blocked. */
MUST_USE int connection_write(struct connection *c, struct iovec *pieces, size_t n);
/* n bytes at p become the rest, of which p may be a part. */
void rest_keep(struct rest *r, const uint8_t *p, size_t n);
void connection_add_transfer(struct connection *c, struct answer_stream *stream);

/* Goes on with some of the handshakes that wait. */
void connection_take_turns(struct worker *w);
/* Closes what has been idle, or unfinished, for too long. */
void connection_end_idle(struct worker *w, int64_t now_ms);

/* ---- transport.c: plain or TLS ---- */

/* Reads the header that a proxy sends first, and not a byte more. Whom it brings becomes the peer.
 */
MUST_USE int transport_read_header(struct connection *c, bool *is_done);

enum { IO_END = 0, IO_WAIT = -1, IO_BROKEN = -2 }; /* with IO_BROKEN, errno says why */

ssize_t transport_read(struct connection *c, uint8_t *p, size_t n);
/* How many bytes the peer has taken. */
ssize_t transport_write(struct connection *c, struct iovec *pieces, size_t n);
MUST_USE bool transport_begin_tls(struct connection *c);
MUST_USE int transport_handshake(struct connection *c, bool *is_done);
/* Also closes the socket. */
void transport_close(struct connection *c);

/* ---- frame_h2.c ---- */

/* Takes n bytes at p, answers every whole request among them. */
MUST_USE int frame_h2_serve(struct connection *c, const uint8_t *p, size_t n);
/* Sends on, as far as the peer takes it. */
MUST_USE int frame_h2_flush(struct connection *c);
/* Says that no more requests are taken. */
void frame_h2_goaway(struct connection *c);
void frame_h2_free(struct connection *c);

/* ---- doh.c: what RFC 8484 puts into HTTP ---- */

/* Base64url, strictly; out has text.n bytes or more. */
MUST_USE bool doh_decode(struct str text, uint8_t *out, size_t *n);
enum doh_target { DOH_HERE, DOH_ELSEWHERE, DOH_BAD };
/* dns: the value of that parameter; p is NULL when there is none. */
enum doh_target doh_split(struct str target, const char *path, struct str *dns);
/* For how long an answer is good; -1: not at all. */
int64_t doh_max_age_s(const uint8_t *message, size_t n);

/* ---- frame_dns.c ---- */

/* Answers what is whole among n bytes at p and keeps the rest. */
MUST_USE int frame_dns_serve(struct connection *c, const uint8_t *p, size_t n);
/* The next messages of the connection's transfers, as many as make one write. */
MUST_USE int frame_dns_transfer(struct connection *c);

#endif
