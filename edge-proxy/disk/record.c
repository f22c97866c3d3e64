/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records as they lie on the ring, and reading them back. Whatever the bytes are, the result is
 * the record that was written at this place in this lap, or RECORD_BAD.
 */
#include "edge-proxy/disk/disk_internal.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { RECORD_MAGIC = 0x4b534944, CHECKSUM_BYTES = sizeof(uint64_t) };

/* ---- The form ---- */

struct record record_of(enum record_kind kind, uint64_t hash, uint16_t variant)
{
    return (struct record){
        .magic = RECORD_MAGIC, .kind = (uint8_t)kind, .variant = variant, .hash = hash};
}

uint64_t record_checksum(const struct ring *g, uint64_t position, const void *bytes, size_t n)
{
    return XXH3_64bits_withSeed(bytes, n, g->id ^ position);
}

void record_seal(const struct ring *g, struct record *r, uint64_t position, uint32_t epoch)
{
    r->position = position;
    r->epoch = epoch;
    r->checksum = record_checksum(g, r->position, r, offsetof(struct record, checksum));
}

uint64_t record_bytes(const struct record *r)
{
    uint64_t pieces = (r->body_bytes + DISK_PIECE - 1) / DISK_PIECE;
    uint64_t bytes = sizeof(*r);

    if (r->kind == RECORD_STORED)
        bytes += r->head_bytes + r->body_bytes + (1 + pieces) * CHECKSUM_BYTES;
    return (bytes + DISK_BLOCK - 1) / DISK_BLOCK * DISK_BLOCK;
}

static bool is_sound(const struct ring *g, const struct record *r, uint64_t position)
{
    return r->magic == RECORD_MAGIC && r->position == position && r->kind >= RECORD_STORED &&
           r->kind <= RECORD_KEY_REMOVED && r->head_bytes <= DISK_HEAD_MAX &&
           r->body_bytes <= g->data_bytes / DISK_BODY_MAX_SHARE &&
           r->checksum == record_checksum(g, position, r, offsetof(struct record, checksum));
}

/* ---- Reading ---- */

/* A walk over one record. */
struct walk {
    const struct ring *ring;
    struct ring_window *window;
    uint64_t at, ahead; /* where it is; how much to read in one go */
    bool has_io_error;
};

/* n bytes at the walk's place, which goes on behind them; NULL: the device failed. */
static const uint8_t *take(struct walk *k, size_t n)
{
    struct ring_window *w = k->window;
    const uint8_t *bytes;
    size_t wanted = k->ahead > n ? (size_t)k->ahead : n;

    if (k->at < w->position || k->at - w->position > w->n || w->n - (k->at - w->position) < n) {
        w->position = k->at;
        w->n = 0;
        if (!ring_read(k->ring, k->at, w->bytes, wanted)) {
            k->has_io_error = true;
            return NULL;
        }
        w->n = wanted;
    }
    bytes = w->bytes + (k->at - w->position);
    k->at += n;
    return bytes;
}

/* n bytes with their checksum behind them. */
static const uint8_t *take_checked(struct walk *k, size_t n)
{
    uint64_t at = k->at, checksum;
    const uint8_t *bytes = take(k, n + CHECKSUM_BYTES);

    if (bytes == NULL)
        return NULL;
    memcpy(&checksum, bytes + n, sizeof(checksum));
    return checksum == record_checksum(k->ring, at, bytes, n) ? bytes : NULL;
}

static enum record_verdict failed(const struct walk *k)
{
    return k->has_io_error ? RECORD_IO_ERROR : RECORD_BAD;
}

/* What follows a sound record, to the sink where there is one. */
static enum record_verdict walk_rest(struct walk *k, const struct record *r,
                                     const struct record_sink *sink)
{
    const uint8_t *bytes = take_checked(k, r->head_bytes);

    if (bytes == NULL)
        return failed(k);
    if (sink != NULL && !sink->head(sink->arg, r, (struct str){(char *)bytes, r->head_bytes}))
        return RECORD_UNWANTED;
    for (uint64_t left = r->body_bytes; left > 0;) {
        size_t n = left < DISK_PIECE ? (size_t)left : DISK_PIECE;

        bytes = take_checked(k, n);
        if (bytes == NULL)
            return failed(k);
        if (sink != NULL && !sink->body(sink->arg, bytes, n))
            return RECORD_UNWANTED;
        left -= n;
    }
    return RECORD_WHOLE;
}

enum record_verdict record_read(const struct ring *g, struct ring_window *w, uint64_t position,
                                uint64_t bytes, struct record *out, const struct record_sink *sink)
{
    struct walk k = {g, w, position, bytes != 0 && bytes < DISK_BUFFER ? bytes : DISK_BUFFER,
                     false};
    const uint8_t *first = take(&k, sizeof(*out));
    enum record_verdict verdict;
    struct walk begin;

    if (first == NULL)
        return RECORD_IO_ERROR;
    memcpy(out, first, sizeof(*out));
    if (!is_sound(g, out, position))
        return RECORD_BAD;
    if (out->kind != RECORD_STORED)
        return RECORD_WHOLE;
    begin = k;
    if (sink != NULL && record_bytes(out) <= DISK_BUFFER) {
        verdict = walk_rest(&k, out, NULL);
        if (verdict != RECORD_WHOLE)
            return verdict;
        k = begin;
    }
    return walk_rest(&k, out, sink);
}
