/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writer: takes what is queued into its buffer, the buffer to the ring, and what has arrived
 * there into the directory. Removals go before writes: a write that is queued after a removal is
 * newer, and one that was queued before it has been cancelled by it.
 */
#include "common/clock/clock.h"
#include "edge-proxy/disk/disk_internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    GATHER_MS = 500,            /* what little there is waits so long for more */
    SNAPSHOT_BYTES = 128 << 20, /* of the ring that a start may have to read through */
    SNAPSHOT_SHARE = 4,         /* and at most one in so many bytes of it */
    SNAPSHOT_MS = 60000,
};

/* ---- To the ring ---- */

/* The buffer has gone out, or has not: its records are in the directory, or are none. */
static void settle_placed(struct disk *d, bool is_written)
{
    struct writer_state *w = &d->writer;

    for (size_t i = 0; i < w->n_placed; i++)
        if (is_written && !w->placed[i].is_cancelled)
            directory_add(&d->directory, &w->placed[i].place);
    if (is_written)
        d->figures.writes += w->n_placed;
    else
        d->figures.write_errors += w->n_placed;
    w->n_placed = 0;
}

/* What it overwrites leaves the directory first, so that nobody begins to read it. */
static bool flush(struct disk *d)
{
    struct writer_state *w = &d->writer;
    bool is_written;

    if (w->used == 0)
        return true;
    pthread_mutex_lock(&d->lock);
    directory_advance(&d->directory, &d->ring, w->position + w->used);
    pthread_mutex_unlock(&d->lock);
    is_written = ring_write(&d->ring, w->position, w->buffer, w->used);
    pthread_mutex_lock(&d->lock);
    disk_note_io(d, is_written);
    d->figures.written_bytes += is_written ? w->used : 0;
    settle_placed(d, is_written);
    pthread_mutex_unlock(&d->lock);
    w->is_broken |= !is_written;
    w->position += w->used;
    w->used = 0;
    return is_written;
}

/* Room for n bytes in one piece, NULL: what went before them could not be written. */
static uint8_t *make_room(struct disk *d, size_t n)
{
    struct writer_state *w = &d->writer;

    if (DISK_BUFFER - w->used < n && !flush(d))
        return NULL;
    w->used += n;
    return w->buffer + w->used - n;
}

/* Puts a checksum behind the n bytes that end where the buffer's use does but for it. */
static void seal(struct disk *d, size_t n)
{
    struct writer_state *w = &d->writer;
    uint8_t *bytes = w->buffer + w->used - sizeof(uint64_t) - n;
    uint64_t checksum =
        record_checksum(&d->ring, w->position + (uint64_t)(bytes - w->buffer), bytes, n);

    memcpy(bytes + n, &checksum, sizeof(checksum));
}

static bool put_body(struct disk *d, struct disk_write *x)
{
    for (uint64_t at = 0; at < x->body_bytes;) {
        size_t n = x->body_bytes - at < DISK_PIECE ? (size_t)(x->body_bytes - at) : DISK_PIECE;
        uint8_t *room = make_room(d, n + sizeof(uint64_t));

        if (room == NULL)
            return false;
        x->copy(x, at, room, n);
        seal(d, n);
        at += n;
    }
    return true;
}

/* Up to where the next record begins. */
static bool pad(struct disk *d)
{
    size_t n = (size_t)(-(d->writer.position + d->writer.used) % DISK_BLOCK);
    uint8_t *room = make_room(d, n);

    if (room != NULL)
        memset(room, 0, n);
    return room != NULL;
}

/* The record's first bytes, at a place where it begins. */
static bool put_record(struct disk *d, struct record *r)
{
    struct writer_state *w = &d->writer;
    uint64_t bytes = record_bytes(r);
    uint8_t *room;

    /* One that fits is written in one go. */
    if (bytes <= DISK_BUFFER && DISK_BUFFER - w->used < bytes && !flush(d))
        return false;
    room = make_room(d, sizeof(*r));
    if (room == NULL)
        return false;
    record_seal(&d->ring, r, w->position + w->used - sizeof(*r), w->epoch);
    memcpy(room, r, sizeof(*r));
    return true;
}

/* False: the ring is not as it should be behind this place; the next record begins anew. */
static bool put_write(struct disk *d, struct disk_write *x, struct disk_place *place)
{
    struct record r = record_of(RECORD_STORED, x->hash, x->variant);
    uint8_t *room;

    r.head_bytes = (uint32_t)x->head.n;
    r.body_bytes = x->body_bytes;
    if (!put_record(d, &r))
        return false;
    *place = (struct disk_place){x->hash, r.position, (uint32_t)(record_bytes(&r) / DISK_BLOCK),
                                 x->variant};
    room = make_room(d, x->head.n + sizeof(uint64_t));
    if (room == NULL)
        return false;
    memcpy(room, x->head.p, x->head.n);
    seal(d, x->head.n);
    return put_body(d, x) && pad(d);
}

/* What a failed flush has left half done. */
static void start_anew(struct disk *d)
{
    struct writer_state *w = &d->writer;

    w->used = 0;
    w->position = (w->position + DISK_BLOCK - 1) / DISK_BLOCK * DISK_BLOCK;
}

/* ---- The queue ---- */

/* With the lock, as all of these. */
static bool is_usable(const struct disk *d)
{
    return d->state == DISK_READY;
}

static struct disk_write *take_write(struct disk *d)
{
    struct disk_write *x = d->first_write;

    d->first_write = x->next;
    if (x->next == NULL)
        d->last_write = &d->first_write;
    d->writer.now = x;
    return x;
}

static void write_one(struct disk *d)
{
    struct writer_state *w = &d->writer;
    struct disk_write *x = take_write(d);
    struct placed placed = {.is_cancelled = false};
    bool is_due = is_usable(d) && !x->is_cancelled, is_placed = false;
    uint64_t bytes = x->head.n + x->body_bytes;

    if (is_due) {
        pthread_mutex_unlock(&d->lock);
        is_placed = put_write(d, x, &placed.place);
        if (!is_placed)
            start_anew(d);
        pthread_mutex_lock(&d->lock);
    }
    placed.is_cancelled = x->is_cancelled;
    if (is_placed) {
        BASE_GROW(w->placed, w->n_placed, w->cap_placed);
        w->placed[w->n_placed++] = placed;
    }
    d->figures.write_errors += is_due && !is_placed;
    d->queued_bytes -= bytes;
    w->now = NULL;
    pthread_mutex_unlock(&d->lock);
    x->done(x);
    pthread_mutex_lock(&d->lock);
}

/* A removal that cannot be written is told by the next copy of the directory. */
static void write_removals(struct disk *d)
{
    struct removal *some = d->removals;
    size_t n = d->n_removals;
    bool is_due = is_usable(d);

    d->removals = NULL;
    d->n_removals = d->cap_removals = 0;
    pthread_mutex_unlock(&d->lock);
    for (size_t i = 0; i < n; i++) {
        struct record r = record_of(some[i].is_key ? RECORD_KEY_REMOVED : RECORD_REMOVED,
                                    some[i].hash, some[i].variant);

        if (!is_due)
            d->writer.is_broken = true;
        else if (!put_record(d, &r) || !pad(d))
            start_anew(d);
    }
    free(some);
    pthread_mutex_lock(&d->lock);
}

/* ---- The thread ---- */

static bool is_snapshot_due(const struct disk *d, int64_t now_ms)
{
    const struct writer_state *w = &d->writer;
    uint64_t behind = w->position - w->snapshot_position;
    uint64_t most = d->ring.data_bytes / SNAPSHOT_SHARE;

    if (most > SNAPSHOT_BYTES)
        most = SNAPSHOT_BYTES;
    return w->is_broken || behind >= most || (behind > 0 && now_ms - w->snapshot_ms >= SNAPSHOT_MS);
}

/* How long there is nothing to do, unless something comes. */
static int64_t next_due_ms(const struct disk *d, int64_t gathered_ms)
{
    const struct writer_state *w = &d->writer;

    if (w->used > 0)
        return gathered_ms + GATHER_MS;
    return w->position > w->snapshot_position ? w->snapshot_ms + SNAPSHOT_MS : INT64_MAX;
}

static void save_directory(struct disk *d)
{
    bool is_written;

    if (!flush(d))
        start_anew(d);
    is_written = snapshot_write(d);
    pthread_mutex_lock(&d->lock);
    disk_note_io(d, is_written);
    pthread_mutex_unlock(&d->lock);
}

/* Flushes and saves what is due. Called and returns with the lock. */
static void settle(struct disk *d, int64_t gathered_ms)
{
    int64_t now_ms = clock_mono_ms();

    if (!is_usable(d))
        return;
    pthread_mutex_unlock(&d->lock);
    if (d->writer.used > 0 && now_ms >= gathered_ms + GATHER_MS && !flush(d))
        start_anew(d);
    if (is_snapshot_due(d, now_ms))
        save_directory(d);
    pthread_mutex_lock(&d->lock);
}

void *writer_main(void *arg)
{
    struct disk *d = arg;
    struct writer_state *w = &d->writer;
    int64_t gathered_ms = 0;

    w->is_broken = true; /* a copy of this epoch must stand before anything is written in it */
    pthread_mutex_lock(&d->lock);
    for (;;) {
        bool was_empty = w->used == 0;

        settle(d, gathered_ms);
        if (d->n_removals > 0)
            write_removals(d);
        else if (d->first_write != NULL)
            write_one(d);
        else if (d->is_closing)
            break;
        else if (is_usable(d))
            disk_wait(&d->to_write, &d->lock, next_due_ms(d, gathered_ms));
        else
            disk_wait(&d->to_write, &d->lock, INT64_MAX);
        if (was_empty && w->used > 0)
            gathered_ms = clock_mono_ms();
    }
    pthread_mutex_unlock(&d->lock);
    save_directory(d);
    return NULL;
}
