/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * purge: which stored responses an operator has purged, without a walk over them. A purge leaves a
 * mark with a stamp; a response is purged when a mark that fits its key or one of its tags is newer
 * than the fetch that brought it. cache asks at a hit: most often two numbers tell that nothing has
 * been purged since it asked for this response the last time.
 *
 * Stamps are ms of the wall clock, made to grow by one at least with each purge, and mean nothing
 * beyond this edge. Whoever keeps responses over a restart keeps their stamps with them.
 *
 * Bounds: PURGE_BUCKETS * PURGE_WAYS marks for hosts, URLs and tags, PURGE_PREFIXES for prefixes,
 * some 0.5 MiB in all. A mark that has to give way goes on in a coarser form: one of the table as
 * the floor of its bucket, a prefix as its whole host. Then more of what is as old is purged than
 * was asked for, never less.
 *
 * Threads: any. One read-write lock, which no look-up takes that has nothing new to see.
 */
#ifndef EDGE_PROXY_PURGE_H
#define EDGE_PROXY_PURGE_H

#include "common/text/text.h"

enum {
    PURGE_BUCKETS = 4096,
    PURGE_WAYS = 4,
    PURGE_PREFIXES = 256,
    PURGE_TAGS_MAX = 128,  /* of one response; of more, any purge by tag purges it */
    PURGE_TEXT_MAX = 2048, /* what is named */
    PURGE_BUFFER_BYTES = PURGE_TEXT_MAX + 1,
    PURGE_NODE_BYTES = 64,
    PURGE_LOG_LINES = 4096, /* at least so many purges are kept for a restart */
};

#define PURGE_KINDS(X)        \
    X(PURGE_ALL, "all")       \
    X(PURGE_HOST, "host")     \
    X(PURGE_PREFIX, "prefix") \
    X(PURGE_URL, "url")       \
    X(PURGE_TAG, "tag")

enum purge_kind {
#define X(name, text) name,
    PURGE_KINDS(X)
#undef X
};

struct purge {
    enum purge_kind kind;
    struct str what; /* as purge_read gives it */
    bool is_soft;    /* what fits becomes stale, rather than gone */
};

/* Makes of what an operator wrote what marks are compared by: a URL or prefix loses its scheme and
 * the usual port, a host its port, both get lower-case hosts. buffer: PURGE_BUFFER_BYTES, which out
 * points into. Not NULL: why it cannot be purged. */
const char *purge_read(enum purge_kind kind, struct str text, char *buffer, struct str *out);

struct purge_marks;
/* n_buckets: PURGE_BUCKETS, less for tests. */
struct purge_marks *purge_marks_new(size_t n_buckets);
void purge_marks_free(struct purge_marks *p);

/* When it returns, all look-ups that begin heed them. The list counts as one purge. */
void purge_apply(struct purge_marks *p, const struct purge *list, size_t n, int64_t now_ms);

/* The same with a stamp that it had before. */
void purge_apply_at(struct purge_marks *p, const struct purge *list, size_t n, uint64_t stamp);

/* The newest purge's stamp: that of a fetch which begins now. */
uint64_t purge_now(const struct purge_marks *p);

/* The tags of one response, as numbers. Zero-initialise. */
struct purge_tags {
    uint64_t v[PURGE_TAGS_MAX];
    uint16_t n;
    bool has_more;
};
/* Tags of a field's value, between spaces or commas. */
void purge_tags_add(struct purge_tags *tags, struct str value);

/* Of the newest marks that fit; 0: none. */
struct purge_stamps {
    uint64_t hard, soft;
};
/* What is stored under this key. tags may be unaligned. A key is a URL, and what a site adds to it
 * behind a control character. */
struct purge_subject {
    struct str key;
    const void *tags;
    uint16_t n_tags;
    bool has_more_tags;
};
void purge_find(struct purge_marks *p, const struct purge_subject *s, struct purge_stamps *out);

/* ---- What outlasts the process ---- */

/* Who has asked: how far in a node's journal, whose id is never 0. */
struct purge_source {
    const char *node; /* its name, shorter than PURGE_NODE_BYTES, without space */
    uint64_t journal, sequence;
};

/* Where purges go through on their way to the marks. One thread at a time. */
struct purge_log;
/* Has marks heed what the file says was purged before; path NULL: there is none, nor will be. */
struct purge_log *purge_log_open(struct purge_marks *marks, const char *path);
void purge_log_close(struct purge_log *l);
/* Applies the purges and keeps them, with how far the node's journal has come (NULL: it is no
 * node's). n may be 0. */
void purge_log_apply(struct purge_log *l, const struct purge *list, size_t n, int64_t now_ms,
                     const struct purge_source *from);
/* How far the journal of out->node has come; zeros: nothing of it has. */
void purge_log_position(const struct purge_log *l, struct purge_source *out);

struct purge_figures {
    uint64_t purges;
    uint64_t coarsened; /* marks that gave way */
};
void purge_read_figures(struct purge_marks *p, struct purge_figures *out);

#endif
