/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the secondary room share.
 *
 *   secondary  the door, the thread, the queue ─▶ refresh     a zone's steps from rest to rest
 *   notified   NOTIFY, and the bells it rings     ├▶ times    when what is due
 *   view       status and counters                └▶ exchange one conversation with a primary
 *                                                    ├▶ peer      bytes over TCP or TLS
 *                                                    └▶ incoming  what the messages say
 */
#ifndef GSLB_DNS_SECONDARY_INTERNAL_H
#define GSLB_DNS_SECONDARY_INTERNAL_H

#include "common/bytes/bytes.h"
#include "gslb-dns/secondary/secondary.h"

#include <event2/event.h>
#include <pthread.h>

/* RFC 1982 section 3.2: is a newer than b? Where that is not defined, half the circle away, no. */
static inline bool serial_is_newer(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

/* Name, label, words: why nothing could be taken from a primary. */
#define SECONDARY_FAILURES(X)                                  \
    X(NONE, "none", "")                                        \
    X(CONNECT, "connect", "no connection")                     \
    X(TLS, "tls", "no TLS")                                    \
    X(SILENT, "silent", "it does not answer")                  \
    X(SLOW, "slow", "the transfer takes too long")             \
    X(CLOSED, "closed", "it closed the connection")            \
    X(RCODE, "rcode", "it refuses")                            \
    X(TSIG, "tsig", "bad signature")                           \
    X(MALFORMED, "malformed", "its message is malformed")      \
    X(WRONG, "wrong", "its answer is wrong")                   \
    X(OUTSIDE, "outside", "it sends records outside the zone") \
    X(LARGE, "large", "the zone is larger than it may be")     \
    X(DIFFERENCE, "difference", "its differences do not fit")  \
    X(OLDER, "older", "its version is older than ours")        \
    X(BROKEN, "broken", "the zone that it sends is broken")

enum failure {
#define X(name, label, words) FAILED_##name,
    SECONDARY_FAILURES(X)
#undef X
        FAILED_COUNT
};
const char *failure_words(enum failure f);

/* ---- incoming: what a primary's messages say; pure ---- */

enum incoming_kind { INCOMING_SOA, INCOMING_IXFR, INCOMING_AXFR };

enum incoming_verdict {
    INCOMING_MORE,    /* messages follow */
    INCOMING_SEEN,    /* the SOA that was asked for */
    INCOMING_CURRENT, /* of IXFR: there is nothing newer */
    INCOMING_WHOLE,   /* lines are the zone without its SOA */
    INCOMING_CHANGES, /* lines are differences */
    INCOMING_NO_IXFR, /* no such differences are to be had: ask for AXFR, on a new connection */
    INCOMING_BAD,     /* failure and why tell */
};

/* Where in an answer the next record stands (RFC 5936 section 2.2, RFC 1995 section 4). */
enum incoming_place {
    PLACE_FIRST,   /* the SOA that all begin with */
    PLACE_SECOND,  /* of IXFR: another SOA, or a zone as a whole */
    PLACE_RECORDS, /* of a whole zone, until the first SOA comes again */
    PLACE_GOING,   /* of a difference, until its new SOA */
    PLACE_COMING,  /* of a difference, until the next one's old SOA, or the first SOA */
    PLACE_END,
};

enum { SOA_RDATA_MAX = 2 * WIRE_NAME_MAX + 20 };

struct incoming {
    enum incoming_kind kind;
    struct wire_name apex;
    uint16_t id;
    uint32_t have; /* of IXFR: the serial that the differences begin at */
    uint64_t max_bytes, max_records;
    enum incoming_place place;
    uint64_t n_bytes, n_records;
    bool is_incremental;
    uint32_t at_serial;          /* of a difference: the version that it leads to */
    struct zone_wire_record soa; /* with its data below */
    struct replica_soa facts;
    uint8_t soa_rdata[SOA_RDATA_MAX];
    struct replica_lines lines;
    uint8_t *buffer;
    enum failure failure;
    char why[160];
};
void incoming_begin(struct incoming *in, enum incoming_kind kind, const struct wire_name *apex);
/* One message, without its TSIG. */
enum incoming_verdict incoming_take(struct incoming *in, const uint8_t *message, size_t n);
void incoming_end(struct incoming *in);
/* Writes the query that in waits for; cap: 512. */
size_t incoming_write_query(const struct incoming *in, uint8_t *out);

/* ---- peer: messages over a connection ---- */

enum peer_result { PEER_DONE, PEER_WAIT, PEER_CLOSED, PEER_BROKEN };

struct peer {
    int fd; /* -1: none */
    SSL *ssl;
    struct event *event;
    short interest;
    uint8_t *in;          /* 2 + 65535: a message and its length */
    size_t n_in, n_taken; /* bytes there; of the message that was given last */
    uint8_t out[1024];
    size_t n_out, at_out;
};
/* Begins to connect; false: errno. The callback is called whenever a function that said PEER_WAIT
 * may go on. */
MUST_USE bool peer_open(struct peer *l, struct event_base *base, const struct addr *to,
                        event_callback_fn on_ready, void *arg);
/* Is the connection there? PEER_BROKEN: errno. */
enum peer_result peer_connect(struct peer *l);
/* A TLS session with the server of this name. PEER_BROKEN: why says. */
enum peer_result peer_handshake(struct peer *l, SSL_CTX *tls, const char *name, char *why,
                                size_t why_bytes);
/* Queues a message with its length before it (RFC 1035 section 4.2.2). */
void peer_put(struct peer *l, const uint8_t *message, size_t n);
enum peer_result peer_flush(struct peer *l);
/* The next whole message, which stays until the next call. */
enum peer_result peer_read(struct peer *l, const uint8_t **message, size_t *n);
void peer_close(struct peer *l);

/* ---- exchange: one conversation ---- */

/* The name and the key are copied too. */
struct secondary_primary primary_copy(const struct secondary_primary *from);
void primary_free(struct secondary_primary *p);

struct exchange_wish {
    struct wire_name apex;
    const struct secondary_primary *primary; /* copied */
    const struct secondary_settings *settings;
    bool has_copy; /* of this serial */
    bool is_full;  /* transfer in any case, by AXFR */
    uint32_t serial;
    bool has_refused; /* a version that could not be loaded is not transferred again */
    uint32_t refused;
};

enum exchange_end {
    EXCHANGE_CURRENT, /* the primary has what we have */
    EXCHANGE_WHOLE,   /* incoming has the lines */
    EXCHANGE_CHANGES, /* incoming has differences */
    EXCHANGE_FAILED,
};

#define EXCHANGE_STEPS(X)   \
    X(CONNECT, connect)     \
    X(HANDSHAKE, handshake) \
    X(ASK_SOA, ask_soa)     \
    X(READ_SOA, read_soa)   \
    X(ASK_ZONE, ask_zone)   \
    X(READ_ZONE, read_zone) \
    X(OVER, over)

enum exchange_step {
#define X(id, name) EXCHANGE_##id##_STEP,
    EXCHANGE_STEPS(X)
#undef X
};

struct exchange {
    struct exchange_wish wish;
    struct secondary_primary primary; /* the exchange's own */
    struct event_base *base;
    struct event *silence, *deadline;
    void (*on_end)(void *arg);
    void *arg;
    enum exchange_step step;
    struct peer peer;
    bool is_begun, is_open;
    bool is_axfr; /* no more IXFR */
    struct incoming incoming;
    struct tsig_session tsig;
    enum exchange_end end;
    enum failure failure;
    char why[200];
    uint64_t n_bytes;
};
/* on_end is called later, once; then the exchange is read, and freed. */
struct exchange *exchange_start(struct event_base *base, const struct exchange_wish *wish,
                                void (*on_end)(void *arg), void *arg);
void exchange_free(struct exchange *x); /* NULL: nothing; also before its end */

/* ---- refresh: a zone ---- */

#define ZONE_STEPS(X) \
    X(REST, rest)     \
    X(QUEUE, queue)   \
    X(ASK, ask)       \
    X(TAKE, take)     \
    X(LOAD, load)     \
    X(KEEP, keep)

enum zone_step {
#define X(id, name) ZONE_##id##_STEP,
    ZONE_STEPS(X)
#undef X
};

/* What NOTIFYs said since a zone was last looked at. */
struct bell {
    bool is_rung, has_hint;
    uint32_t hint; /* the newest serial that they brought; without has_hint one brought none */
    struct addr source;
};

/* When what is due; monotonic milliseconds, INT64_MAX: never. */
struct times {
    int64_t next_ms;     /* the SOA is asked for */
    int64_t earliest_ms; /* not before, whoever says so */
    int64_t expires_ms;
    int64_t save_ms; /* the disk is tried again */
};

struct copy {
    struct secondary *owner;
    char *name, *path;
    struct wire_name apex;
    struct secondary_primary *primaries;
    size_t n_primaries;
    struct event *timer;
    enum zone_step step;
    struct times times;
    struct bell bell;
    bool is_refresh_wanted, is_full_wanted; /* by an operator, or because something is missing */
    bool is_full;                           /* this round: AXFR, whatever the serial */
    bool has_copy;                          /* of soa; it is served unless it has expired */
    bool is_expired;
    bool has_refused; /* refused is a serial that could not be loaded */
    bool is_disk_bad; /* which was told */
    bool is_loaded;   /* the node has said what became of the version */
    uint32_t refused;
    struct replica_soa soa;
    int64_t confirmed_s;
    struct replica *unsaved; /* what is served, and not on disk; NULL: it is there */
    struct replica *fresh;   /* what is being loaded */
    struct exchange *exchange;
    size_t turn, n_asked; /* the primary that is asked; how many were in this round */
    unsigned n_failures;  /* rounds without success in a row */
    bool is_running;      /* it holds a place among the transfers, */
    bool is_queued;       /* or waits for one */
    struct copy *next_queued;
    int64_t began_ms;
    char *load_error;
    char error[200];
    char primary[ADDR_TEXT];
    /* Of an update, for a zone that is new. */
    enum replica_state state;
    int64_t expires_s;
    char *damage;
    uint32_t served;
    bool is_listed; /* in the update under way */
};

/* Bounds and jitter of the SOA's timers; random: any number. Pure. */
int64_t times_refresh_ms(const struct secondary_settings *s, const struct replica_soa *soa,
                         uint32_t random);
/* soa NULL: there is no copy yet, and the wait doubles with each failure. */
int64_t times_retry_ms(const struct secondary_settings *s, const struct replica_soa *soa,
                       unsigned n_failures, uint32_t random);
int64_t times_expire_ms(const struct secondary_settings *s, const struct replica_soa *soa);
/* Two NOTIFYs as one. */
void bell_add(struct bell *to, const struct bell *from);

/* Does what is due. */
void copy_run(struct copy *c);
/* Takes up a zone that is new here, as it was found. */
void copy_start(struct copy *c);
/* Of one that stays: is what is served what we have? */
void copy_compare(struct copy *c, uint32_t served);
void copy_free(struct copy *c);

/* ---- secondary ---- */

struct secondary_counters {
    uint64_t probes, current, whole, changes, bytes, expired;
    uint64_t failures[FAILED_COUNT];
};

/* What of a copy other threads look at. */
struct zone_view {
    struct wire_name apex;
    struct copy *copy; /* for our own thread */
    struct bell bell;
    struct secondary_status status;
    int64_t next_ms, expires_ms; /* monotonic, for the status */
};

struct secondary {
    struct loop *control, *loop;
    struct secondary_hooks hooks;
    struct secondary_settings settings;
    struct copy **copies; /* sorted by their names */
    size_t n;
    uint32_t n_running;
    struct copy *first_queued, **last_queued;
    /* Below: for any thread, under the lock, which nobody holds for longer than a look. */
    pthread_mutex_t lock;
    struct secondary_counters counters;
    struct zone_view *views; /* sorted by apex */
    size_t n_views;
    bool is_woken;                                        /* a letter about bells is on its way */
    struct version_letter *first_version, **last_version; /* for the control thread */
};

/* With the lock. NULL: there is none. */
struct zone_view *view_find(const struct secondary *s, const struct wire_name *apex);
/* Anew for all copies; the bells stay. */
void views_make(struct secondary *s);
/* Shows the copy as it is now. */
void view_update(const struct copy *c);
void secondary_count(struct secondary *s, uint64_t *counter, uint64_t n);
struct copy *secondary_find(const struct secondary *s, const char *name);
/* Posted when a bell was rung. */
void secondary_on_bells(void *arg);
void secondary_queue(struct copy *c);
/* A place is free. */
void secondary_unqueue(struct secondary *s);
/* Tells the control thread. */
void secondary_give(struct copy *c, struct replica *version);

#endif
