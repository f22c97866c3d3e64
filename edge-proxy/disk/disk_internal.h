/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the disk room share.
 *
 * The file: a header of 4 KiB, two places for the directory, which take turns, and the ring. All
 * numbers are as this machine has them: a file that another kind of machine wrote is not ours. */
#ifndef EDGE_PROXY_DISK_INTERNAL_H
#define EDGE_PROXY_DISK_INTERNAL_H

#include "common/error/error.h"
#include "edge-proxy/disk/disk.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    DISK_BLOCK = 512, /* records begin at multiples of it */
    DISK_PAGE = 4096,
    DISK_PIECE = 64 << 10, /* of a body, with a checksum of its own */
    DISK_BUFFER = 1 << 20, /* of the writer, of each reader, of the recovery */
    DISK_BUCKET = 8,       /* entries that may stand in for each other */
    DISK_READERS = 4,
};

/* ---- The ring (ring.c) ---- */

/* Positions count the bytes ever written: the same place of the file has a new one each lap. */
struct ring {
    int fd;
    uint64_t id; /* drawn when the file was laid out; the seed of all its checksums */
    uint64_t directory_at, directory_bytes; /* offset in the file; of one copy, header included */
    uint64_t data_at, data_bytes;
};

/* Opens the file, or lays it out when it is new or was laid out for other settings. Fails with a
 * reason in *why, not to be freed; *is_busy: another process has it. */
struct outcome ring_open(struct ring *g, const struct disk_settings *s, uint64_t directory_bytes,
                         const char **why, bool *is_busy) MUST_USE;
/* Makes all that the file holds nothing. */
bool ring_renew(struct ring *g) MUST_USE;
void ring_close(struct ring *g);
/* All n bytes at a position; false: errno tells. n is at most data_bytes. */
bool ring_read(const struct ring *g, uint64_t position, void *out, size_t n);
bool ring_write(const struct ring *g, uint64_t position, const void *bytes, size_t n);

/* ---- Records (record.c) ---- */

enum record_kind { RECORD_STORED = 1, RECORD_REMOVED, RECORD_KEY_REMOVED };

/* How a record begins. The head follows with its checksum, then the body's pieces, each with its
 * own. */
struct record {
    uint32_t magic;
    uint8_t kind;
    uint8_t zero;
    uint16_t variant;
    uint64_t position, hash;
    uint64_t body_bytes;
    uint32_t head_bytes;
    uint32_t epoch;    /* of the start that wrote it: never falls along the ring */
    uint64_t checksum; /* of what stands before it */
};

struct record record_of(enum record_kind kind, uint64_t hash, uint16_t variant);
/* Gives it its place. */
void record_seal(const struct ring *g, struct record *r, uint64_t position, uint32_t epoch);
uint64_t record_checksum(const struct ring *g, uint64_t position, const void *bytes, size_t n);
/* From its first byte to the next record's. */
uint64_t record_bytes(const struct record *r);

/* What has been read of the ring around a place. */
struct ring_window {
    uint8_t *bytes; /* DISK_BUFFER */
    uint64_t position;
    size_t n;
};
/* What takes a record in; each may be NULL. False: no more is wanted. */
struct record_sink {
    bool (*head)(void *arg, const struct record *r, struct str head);
    bool (*body)(void *arg, const void *bytes, size_t n);
    void *arg;
};
enum record_verdict {
    RECORD_WHOLE,
    RECORD_BAD,
    RECORD_UNWANTED,
    RECORD_IO_ERROR,
};
/* The record at a position, of so many bytes as far as is known (else 0): small ones are checked
 * whole before the sink gets them, large ones piece by piece. */
enum record_verdict record_read(const struct ring *g, struct ring_window *w, uint64_t position,
                                uint64_t bytes, struct record *out, const struct record_sink *sink);

/* ---- The directory (directory.c) ---- */

struct entry {
    uint32_t tag, blocks;      /* blocks 0: free */
    uint64_t position_variant; /* the position in blocks, 48 bits; the variant, 16 */
};
_Static_assert(sizeof(struct entry) == 16, "the door promises it");

struct directory {
    struct entry *entries;
    uint64_t n_buckets, n_records;
    uint64_t oldest; /* what lies before it in the ring has been, or is being, overwritten */
    uint64_t swept;  /* the bucket that is looked at next for such */
};

uint64_t directory_buckets(const struct disk_settings *s);
void directory_init(struct directory *t, uint64_t n_buckets);
void directory_free(struct directory *t);
void directory_add(struct directory *t, const struct disk_place *p);
unsigned directory_find(const struct directory *t, uint64_t hash, struct disk_place *out);
/* What is stored for it, at whatever place; were there any? */
bool directory_remove(struct directory *t, uint64_t hash, const uint16_t *variant);
/* Exactly this record, if it is still the one. */
void directory_forget(struct directory *t, const struct disk_place *p);
/* After a recovery that ended at position: forgets what lies nowhere, and counts. */
void directory_settle(struct directory *t, uint64_t position);
/* The ring goes on to position: what it overwrites is forgotten, by and by. */
void directory_advance(struct directory *t, const struct ring *g, uint64_t position);

/* ---- The disk ---- */

struct removal {
    uint64_t hash;
    uint16_t variant;
    bool is_key; /* all variants */
};

/* A record in the writer's buffer, not yet on the ring. */
struct placed {
    struct disk_place place;
    bool is_cancelled;
};

/* The writer's own but where the lock is named. */
struct writer_state {
    pthread_t thread;
    uint8_t *buffer;
    size_t used;
    uint64_t position;          /* of the buffer's first byte */
    uint64_t snapshot_position; /* the directory in the file is complete up to here */
    int64_t snapshot_ms;
    uint64_t generation; /* of the newest copy of the directory */
    uint32_t epoch;
    bool is_broken;         /* the ring was not written as it should: the next snapshot tells */
    struct disk_write *now; /* being copied. The lock. */
    struct placed *placed;  /* The lock. */
    size_t n_placed, cap_placed;
};

struct disk {
    pthread_mutex_t lock;
    pthread_cond_t to_write, to_read, to_keep; /* CLOCK_MONOTONIC */
    struct disk_settings settings;
    struct ring ring;
    struct directory directory;
    enum disk_state state;
    bool is_closing, has_threads;
    bool has_lost_removals; /* too many before it was ready: what the file holds is given up */
    struct disk_write *first_write, **last_write;
    uint64_t queued_bytes;
    struct removal *removals; /* due after the writes that are queued */
    size_t n_removals, cap_removals;
    struct disk_read *reads, **last_read; /* not taken up yet */
    struct disk_read *running;            /* by a reader */
    unsigned n_reads;
    unsigned errors_in_a_row;
    int64_t rest_until_ms;
    struct disk_figures figures;
    struct writer_state writer;
    pthread_t keeper;
    pthread_t readers[DISK_READERS];
};

uint64_t disk_hash(struct str key);
/* With the lock. The device did as it was told, or did not: enough of these and it rests. */
void disk_note_io(struct disk *d, bool is_fine);
void disk_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ms);

/* recover.c. Fills the directory from the file and tells the writer where the ring goes on; false:
 * it cannot be read. No lock, no other thread yet. */
bool recover(struct disk *d);
/* Writes the directory to the file, complete up to the writer's position. Its thread, without the
 * lock. */
bool snapshot_write(struct disk *d);
uint64_t snapshot_bytes(uint64_t n_buckets);

void *writer_main(void *d);
void *reader_main(void *d);
/* The keeper's: ends reads that are late. Returns when the next one is due, INT64_MAX: none. With
 * the lock, which it leaves meanwhile. */
int64_t readers_end_late(struct disk *d, int64_t now_ms);

#endif
