/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The directory's copies in the file, and a start from them: the newest copy that is whole, then
 * all records that the ring holds from there on. Two copies take turns, so that one is always
 * whole.
 *
 * A start after a crash goes on where the last whole record ends; what the crash left behind that
 * place is of an older epoch than what is written now, and is never taken for it.
 */
#include "common/clock/clock.h"
#include "edge-proxy/disk/disk_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { SNAPSHOT_MAGIC = 0x44495253, ENTRIES_AT_ONCE = 1 << 16 };

struct snapshot {
    uint32_t magic, epoch;
    uint64_t ring_id, generation;
    uint64_t position; /* complete up to here */
    uint64_t n_buckets;
    uint64_t entries_checksum;
    uint64_t checksum; /* of what stands before it */
};

uint64_t snapshot_bytes(uint64_t n_buckets)
{
    return DISK_PAGE + n_buckets * DISK_BUCKET * sizeof(struct entry);
}

static uint64_t offset_of(const struct ring *g, uint64_t generation)
{
    return g->directory_at + generation % 2 * g->directory_bytes;
}

static uint64_t checksum_of(const struct snapshot *s)
{
    return XXH3_64bits(s, offsetof(struct snapshot, checksum));
}

static bool write_all(int fd, const void *bytes, size_t n, uint64_t at)
{
    const uint8_t *p = bytes;

    while (n > 0) {
        ssize_t k = pwrite(fd, p, n, (off_t)at);

        if (k <= 0)
            return false;
        p += k;
        at += (uint64_t)k;
        n -= (size_t)k;
    }
    return true;
}

/* Some entries as they are now. Those that change later do so by records behind the position. */
static void copy_entries(struct disk *d, uint64_t from, size_t n, struct entry *out)
{
    pthread_mutex_lock(&d->lock);
    memcpy(out, d->directory.entries + from, n * sizeof(out[0]));
    pthread_mutex_unlock(&d->lock);
}

bool snapshot_write(struct disk *d)
{
    struct writer_state *w = &d->writer;
    struct snapshot s = {.magic = SNAPSHOT_MAGIC,
                         .epoch = w->epoch,
                         .ring_id = d->ring.id,
                         .generation = w->generation + 1,
                         .position = w->position,
                         .n_buckets = d->directory.n_buckets};
    uint64_t n_entries = s.n_buckets * DISK_BUCKET, at = offset_of(&d->ring, s.generation);
    struct entry *some = base_alloc(ENTRIES_AT_ONCE * sizeof(some[0]));
    XXH3_state_t *hash = XXH3_createState();
    bool is_fine = true;

    ensure(hash != NULL);
    XXH3_64bits_reset(hash);
    for (uint64_t i = 0; i < n_entries && is_fine; i += ENTRIES_AT_ONCE) {
        size_t n = n_entries - i < ENTRIES_AT_ONCE ? (size_t)(n_entries - i) : ENTRIES_AT_ONCE;

        copy_entries(d, i, n, some);
        XXH3_64bits_update(hash, some, n * sizeof(some[0]));
        is_fine =
            write_all(d->ring.fd, some, n * sizeof(some[0]), at + DISK_PAGE + i * sizeof(some[0]));
    }
    s.entries_checksum = XXH3_64bits_digest(hash);
    s.checksum = checksum_of(&s);
    is_fine = is_fine && write_all(d->ring.fd, &s, sizeof(s), at);
    XXH3_freeState(hash);
    free(some);
    if (is_fine) {
        w->generation = s.generation;
        w->snapshot_position = s.position;
        w->is_broken = false;
    }
    w->snapshot_ms = clock_mono_ms();
    return is_fine;
}

/* ---- Recovery ---- */

static bool read_all(int fd, void *out, size_t n, uint64_t at)
{
    uint8_t *p = out;

    while (n > 0) {
        ssize_t k = pread(fd, p, n, (off_t)at);

        if (k <= 0)
            return false;
        p += k;
        at += (uint64_t)k;
        n -= (size_t)k;
    }
    return true;
}

/* The header of one copy; false: there is none. */
static bool read_snapshot(const struct disk *d, unsigned which, struct snapshot *s)
{
    return read_all(d->ring.fd, s, sizeof(*s), offset_of(&d->ring, which)) &&
           s->magic == SNAPSHOT_MAGIC && s->checksum == checksum_of(s) &&
           s->ring_id == d->ring.id && s->n_buckets == d->directory.n_buckets &&
           s->generation % 2 == which && s->position % DISK_BLOCK == 0;
}

static bool read_entries(struct disk *d, const struct snapshot *s)
{
    size_t bytes = (size_t)(s->n_buckets * DISK_BUCKET * sizeof(struct entry));

    return read_all(d->ring.fd, d->directory.entries, bytes,
                    offset_of(&d->ring, s->generation) + DISK_PAGE) &&
           s->entries_checksum == XXH3_64bits(d->directory.entries, bytes);
}

/* The newest copy that is whole, in the directory; false: none. */
static bool load_newest(struct disk *d, struct snapshot *out)
{
    struct snapshot s[2];
    bool has[2] = {read_snapshot(d, 0, &s[0]), read_snapshot(d, 1, &s[1])};
    unsigned newest = has[1] && (!has[0] || s[1].generation > s[0].generation);

    for (unsigned i = 0; i < 2; i++, newest ^= 1)
        if (has[newest] && read_entries(d, &s[newest])) {
            *out = s[newest];
            return true;
        }
    memset(d->directory.entries, 0,
           (size_t)(d->directory.n_buckets * DISK_BUCKET * sizeof(struct entry)));
    return false;
}

static void apply(struct disk *d, const struct record *r)
{
    struct disk_place p = {r->hash, r->position, (uint32_t)(record_bytes(r) / DISK_BLOCK),
                           r->variant};

    if (r->kind == RECORD_STORED)
        directory_add(&d->directory, &p);
    else
        directory_remove(&d->directory, r->hash,
                         r->kind == RECORD_KEY_REMOVED ? NULL : &r->variant);
}

/* Goes through what the copy does not know. */
static bool read_through(struct disk *d, const struct snapshot *s)
{
    struct ring_window window = {.bytes = base_alloc(DISK_BUFFER)};
    enum record_verdict verdict;
    uint64_t position = s->position;
    uint32_t epoch = s->epoch;
    struct record r;

    for (;;) {
        verdict = record_read(&d->ring, &window, position, 0, &r, NULL);
        if (verdict != RECORD_WHOLE || r.epoch < epoch)
            break;
        epoch = r.epoch;
        position += record_bytes(&r);
        directory_advance(&d->directory, &d->ring, position);
        apply(d, &r);
    }
    free(window.bytes);
    d->writer.position = position;
    d->writer.epoch = epoch + 1;
    d->writer.generation = s->generation;
    return verdict != RECORD_IO_ERROR;
}

bool recover(struct disk *d)
{
    struct snapshot s = {0};

    if (!load_newest(d, &s) && !ring_renew(&d->ring))
        return false;
    if (!read_through(d, &s))
        return false;
    directory_settle(&d->directory, d->writer.position);
    return true;
}
