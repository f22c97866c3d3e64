/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk: records in one file or device, used as a ring. What is written goes behind what was written
 * before, many records in one write; the oldest are overwritten. A record has a key, a variant, a
 * head and a body; what they mean is the caller's affair.
 *
 * How a record flows: disk_write queues it, the writer copies it into its buffer, writes the buffer
 * to the ring, and then enters it in the directory, a table of 16 bytes a record in memory.
 * disk_find looks there; disk_read queues a read, which one of the readers' threads answers by the
 * reader's functions. No call of this room waits for the device, except disk_close.
 *
 * What a start finds: the directory is written to the file from time to time and at the end; what
 * was written to the ring after it is read through. Each piece of a record carries a checksum that
 * also knows its place in the ring, so that a record that a crash has torn, or that was overwritten
 * while it was read, is none. Removals are records too: what was removed stays so.
 *
 * Locks: one, for the directory and the queues, never held across I/O.
 *
 * Bounds: the directory is sized by the settings; the queue of writes by DISK_QUEUE_BYTES, that of
 * reads by DISK_READS_MAX; what does not fit is refused and counted. A read that the device does
 * not answer within DISK_LATE_MS is given up. A device that fails again and again is left alone for
 * a while, during which nothing is found. All this is a lower hit ratio, never an error to a
 * visitor.
 */
#ifndef EDGE_PROXY_DISK_H
#define EDGE_PROXY_DISK_H

#include "common/text/text.h"

struct disk;

enum {
    DISK_HEAD_MAX = 128 << 10,
    DISK_BODY_MAX_SHARE = 16, /* a record takes at most one in so many bytes of the ring */
    DISK_QUEUE_BYTES = 32 << 20,
    DISK_READS_MAX = 1024,
    DISK_LATE_MS = 1000,
    DISK_BYTES_MIN = 16 << 20,
    DISK_VARIANTS_MAX = 16, /* that one look-up finds */
};

struct disk_settings {
    const char *path;      /* copied */
    uint64_t bytes;        /* of the file, all told; of a device at most */
    uint32_t record_bytes; /* what a record is expected to take: sizes the directory */
    uint32_t format;       /* of the heads; what was written with another one is given up */
};

/* Opens in the background, and waits there for another process that still uses the file: until it
 * is ready nothing is found and writes are refused. Why a disk is not used goes to the log. */
struct disk *disk_open(const struct disk_settings *s);
/* Ends all reads, writes what is queued and the directory, waits for that, and lets go of the file.
 * The owners of reads and writes are told. Other calls may go on: nothing is found any more. */
void disk_close(struct disk *d);
/* Closes what is still open. No other call may be going on; NULL: nothing. */
void disk_free(struct disk *d);

/* ---- Writing ---- */

/* The caller's memory until done. Zero-initialise the rest. */
struct disk_write {
    struct str key;
    uint16_t variant;
    struct str head; /* at most DISK_HEAD_MAX */
    uint64_t body_bytes;
    /* Copies n bytes of the body; may be called again for the same ones. The writer's thread. */
    void (*copy)(struct disk_write *w, uint64_t offset, void *out, size_t n);
    /* It was written, replaced, removed or could not be written. The writer's thread. */
    void (*done)(struct disk_write *w);
    struct disk_write *next;
    uint64_t hash;
    bool is_cancelled;
};
/* Replaces what is stored for this key and variant. False: refused, and w stays the caller's. */
bool disk_write(struct disk *d, struct disk_write *w);
/* Forgets one variant, also one that is still to be written. Before the disk is ready, too: what
 * is found in the file later is older. */
void disk_remove(struct disk *d, struct str key, uint16_t variant);
/* All variants of a key. */
void disk_remove_key(struct disk *d, struct str key);

/* ---- Reading ---- */

/* Where a record lies. Another key may have the same: the head tells. */
struct disk_place {
    uint64_t hash, position;
    uint32_t blocks;
    uint16_t variant;
};
/* Returns how many of at most DISK_VARIANTS_MAX there are; newest first. */
unsigned disk_find(struct disk *d, struct str key, struct disk_place *out);

struct disk_read;
/* Called on a reader's thread: head, body until all of it has come, end; or only end. */
struct disk_read_ops {
    /* False: not wanted, end follows. */
    bool (*head)(struct disk_read *r, struct str head, uint64_t body_bytes);
    bool (*body)(struct disk_read *r, const void *bytes, size_t n);
    /* Exactly once; is_whole: all was read and nothing refused. A record that is not what it should
     * be has been forgotten. From whatever thread; the memory is the caller's again only after
     * released. */
    void (*end)(struct disk_read *r, bool is_whole);
    /* After end, perhaps much later: the device had not answered. */
    void (*released)(struct disk_read *r);
};
/* The caller's memory until released. Zero-initialise the rest. */
struct disk_read {
    struct disk_place place;
    const struct disk_read_ops *ops;
    struct disk_read *next, **prev;
    int64_t deadline_ms;
    uint8_t step;
    bool is_ended;
};
/* False: refused, and r stays the caller's. */
bool disk_read(struct disk *d, struct disk_read *r);

/* ---- The rest ---- */

#define DISK_STATES(X)           \
    X(DISK_OPENING, "opening")   \
    X(DISK_READY, "ready")       \
    X(DISK_RESTING, "failing")   \
    X(DISK_UNUSABLE, "unusable") \
    X(DISK_CLOSED, "closed")

enum disk_state {
#define X(name, text) name,
    DISK_STATES(X)
#undef X
};
const char *disk_state_text(enum disk_state s);

struct disk_figures {
    enum disk_state state;
    uint64_t bytes, records; /* of the ring, in it */
    uint64_t written_bytes;
    uint64_t writes, writes_refused, write_errors;
    uint64_t reads, reads_refused, reads_late, read_errors, reads_bad;
};
void disk_read_figures(struct disk *d, struct disk_figures *out);

#endif
