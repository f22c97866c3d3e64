/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cache: stored responses in memory, shared by all workers, within a budget of bytes.
 *
 * How a request flows:
 *
 *   cache_lookup ─▶ HIT         object: serve it (also while it is still being filled)
 *                   STALE       object: serve it; with a lead: refresh it in the background
 *                   REVALIDATE  object and lead: ask the origin if it is current
 *                   FETCH       lead: nothing usable, fetch it
 *                   WAIT        another request is fetching it, or it is read from the disk:
 *                               wake() comes, look up again
 *                   PASS        not for the cache
 *                   UNAVAILABLE only-if-cached and nothing stored: 504
 *
 *   A lead is the duty to end a fetch, in exactly one way: cache_lead_store (a body follows, the
 *   returned object is a fill), cache_lead_refresh (304), cache_lead_pass (not storable) or
 *   cache_lead_fail. Waiters are woken by each of these. A fill is read by any number of readers
 *   while it grows; it ends by cache_fill_end.
 *
 *   A hit that was purged (see purge) is taken out and nothing found; one that was purged softly is
 *   stale from then on. What a fetch brings that began before a purge is subject to it.
 *
 * Locks: the store is cut into shards by the key's hash, each with one mutex that is held for some
 * hundred nanoseconds and never across I/O. Bodies are read without a lock: a reader holds a
 * reference, segments do not move, and the number of readable bytes only grows. The lock of the
 * purges is taken under a shard's by the first look-up of an object since the newest purge.
 *
 * Bounds: memory_bytes over all objects, in use or not, and their bodies, with what the allocator
 * and the index take for each; beside it ghosts, 8 bytes for each 2 KiB, and purges. One object at
 * most max_object_bytes; CACHE_VARIANTS_MAX variants of one key. What does not fit is passed
 * through and counted, never an error. Bodies of 256 KiB and more whose length is known lie in a
 * file in memory each, at most an eighth of the files that may be open; others on the heap.
 * Eviction is S3-FIFO: a hit sets a counter, no list moves.
 */
#ifndef EDGE_PROXY_CACHE_H
#define EDGE_PROXY_CACHE_H

#include "common/loop/loop.h"
#include "edge-proxy/freshness/freshness.h"
#include "edge-proxy/purge/purge.h"

#include <sys/uio.h>

struct cache;
struct disk;
struct cache_object; /* counted reference */
struct cache_lead;
struct cache_reader;
struct cache_waiter;

enum { CACHE_VARIANTS_MAX = 16, CACHE_KEY_MAX = 16384, CACHE_DISK_FORMAT = 2 };

struct cache *cache_new(uint64_t memory_bytes, uint64_t max_object_bytes);
/* New budgets on reload; what is too much goes with the next insertions. Any thread. */
void cache_set_limits(struct cache *c, uint64_t memory_bytes, uint64_t max_object_bytes);
/* Keeps what is asked for again on a disk, too; before the first look-up. The disk stays the
 * caller's, who may close it at any time, and must free it after the cache. It must have been
 * opened for CACHE_DISK_FORMAT. */
void cache_set_disk(struct cache *c, struct disk *d);
/* No references, leads or waiters are left. Closes the disk. */
void cache_free(struct cache *c);
/* Where purges of what is stored are applied. Any thread. */
struct purge_marks *cache_purges(const struct cache *c);

/* ---- Look-up ---- */

/* Why a waiter is woken. */
enum cache_wake {
    CACHE_WAKE_LOOK, /* look up again */
    CACHE_WAKE_PASS, /* the answer was not for sharing: fetch for yourself, without the cache */
    CACHE_WAKE_FAIL, /* the fetch failed: answer as its leader does, with fail_status */
};

/* How a request that must wait is told, on its own loop's thread. */
struct cache_waker {
    struct loop *loop;
    void (*wake)(void *arg, enum cache_wake why, unsigned fail_status);
    void *arg;
};

struct cache_request {
    struct str key; /* http_write_key; longer than CACHE_KEY_MAX: passed */
    enum http_method method;
    const struct fields *fields;
    bool is_reload_obeyed;   /* the site lets clients force a validation */
    bool is_joining_allowed; /* false: PASS instead of WAIT (a second try, an upgrade) */
    int64_t now_s;           /* wall clock */
    struct cache_waker waker;
    struct cache_reader *reader; /* zeroed; opened at the start with HIT and STALE. NULL: none */
};

enum cache_verdict {
    CACHE_HIT,
    CACHE_STALE,
    CACHE_REVALIDATE,
    CACHE_FETCH,
    CACHE_WAIT,
    CACHE_PASS,
    CACHE_UNAVAILABLE,
};

struct cache_result {
    enum cache_verdict verdict;
    struct cache_object *object; /* the caller's reference: cache_object_release */
    struct cache_lead *lead;     /* the caller's duty */
    struct cache_waiter *waiter; /* with WAIT: woken once, unless cancelled before */
    bool is_loading;             /* with WAIT: it comes from the disk */
    const char *forward_reason;  /* Cache-Status fwd: "uri-miss", "vary-miss", "stale", "request",
                                    "bypass", "method" */
};

void cache_lookup(struct cache *c, const struct cache_request *r, struct cache_result *out);
/* The request goes away before it was woken. On its loop's thread. */
void cache_waiter_cancel(struct cache_waiter *w);

/* ---- Stored responses ---- */

/* What there is to say of an object; slices live as long as the reference. */
struct cache_info {
    unsigned status;
    struct str lines; /* stored field lines, each with its CRLF; no Age, no Content-Length, nothing
                         hop-by-hop; always a Date */
    uint64_t body_bytes; /* UINT64_MAX: being filled, length not known */
    struct validators validators;
    struct str last_modified; /* as received; empty: none */
    uint32_t age_s;
    int64_t ttl_s; /* freshness left; negative: stale */
};
void cache_object_info(const struct cache_object *o, int64_t now_s, struct cache_info *out);
bool cache_object_is_usable_on_error(const struct cache_object *o, int64_t now_s);
struct cache_object *cache_object_hold(struct cache_object *o);
void cache_object_release(struct cache_object *o);

/* ---- Leading a fetch ---- */

struct cache_response {
    const struct freshness_exchange *exchange;
    uint64_t body_bytes;            /* as framed; UINT64_MAX: not known */
    enum freshness_verdict verdict; /* set by cache_lead_store when it returns NULL for a reason
                                       of freshness; FRESHNESS_STORE: there was no room */
};

/* Before the next two: the tags of what the origin sends, borrowed until the lead ends. Without any
 * a refreshed response keeps those that it had. */
void cache_lead_tag(struct cache_lead *lead, const struct purge_tags *tags);
/* The head has come. Stores it and returns the object to fill (the caller's reference; a body of
 * length 0 must be ended too), or NULL: not storable or no room, waiters pass from now on. Ends the
 * lead. */
struct cache_object *cache_lead_store(struct cache_lead *lead, struct cache_response *r);
/* 304 to a REVALIDATE or STALE: the stored fields are brought up to date (RFC 9111 section 3.2).
 * Returns the fresh object, which shares the body. Ends the lead. */
struct cache_object *cache_lead_refresh(struct cache_lead *lead,
                                        const struct freshness_exchange *x);
/* Not for the cache after all: waiters, and for a while all requests for the key, pass. */
void cache_lead_pass(struct cache_lead *lead);
/* The origin failed: waiters fail alike. status 0: the leader went away, the next one may try. */
void cache_lead_fail(struct cache_lead *lead, unsigned status);

/* ---- Filling ---- */

/* Adds to the body; copies. Returns false when the readers are so far behind that the filler must
 * stop until resume(arg) is called on its loop (only bodies that outgrew max_object_bytes: they
 * leave the store and stream through a window). */
bool cache_fill_append(struct cache_object *o, const void *bytes, size_t n,
                       const struct cache_waker *resume);
/* The body is whole, or it broke off: then the object leaves the store and readers see an error. */
void cache_fill_end(struct cache_object *o, bool is_whole);
/* Does anybody but the filler still want this body: another reader, or the store? */
bool cache_fill_is_wanted(const struct cache_object *o);

/* ---- Reading ---- */

struct cache_segment;
/* A place in a body. Zero-initialise; embedded in the request; belongs to its thread. */
struct cache_reader {
    struct cache_object *object; /* NULL: closed */
    const struct cache_segment *segment;
    uint64_t position, end; /* the next byte; where to stop (UINT64_MAX: the body's end) */
    size_t segment_offset;
    struct cache_reader *next, **prev; /* readers of a fill */
    bool is_listed;
    struct cache_waiter *waiter;
};

enum cache_read { CACHE_READ_DATA, CACHE_READ_WAIT, CACHE_READ_END, CACHE_READ_BROKEN };

/* From first to end (exclusive; UINT64_MAX: all). Takes a reference of its own. A reader that the
 * look-up has opened on this object is set to that range; one on another object is closed. An
 * object that somebody else fills must be opened by the look-up: see cache_request. */
void cache_reader_open(struct cache_reader *r, struct cache_object *o, uint64_t first,
                       uint64_t end);
/* Slices of what can be read now, without copying; they stay valid until advanced past. */
enum cache_read cache_reader_peek(struct cache_reader *r, struct iovec *iov, int *n_iov);
/* After CACHE_READ_DATA: the same bytes as the first slice, from where sendfile can take them
 * without copying; false: they are in no file. What is sent stays right when the object goes
 * meanwhile. */
bool cache_reader_file(const struct cache_reader *r, int *fd, uint64_t *offset);
void cache_reader_advance(struct cache_reader *r, size_t n);
/* After CACHE_READ_WAIT: waker is called once when there is more, an end or a break. false: there
 * already is, peek again. */
bool cache_reader_wait(struct cache_reader *r, const struct cache_waker *waker);
void cache_reader_close(struct cache_reader *r);

/* ---- The rest ---- */

/* A successful unsafe request: forget the key (RFC 9111 section 4.4). */
void cache_invalidate(struct cache *c, struct str key);

struct cache_figures {
    uint64_t lookups, hits; /* hits: HIT and STALE */
    uint64_t bytes, bytes_limit, objects;
    uint64_t insertions, evictions, no_room, collapsed;
    uint64_t purged, purged_soft; /* found so by look-ups */
};
void cache_read_figures(const struct cache *c, struct cache_figures *out);

#endif
