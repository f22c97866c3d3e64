/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening and closing, the keeper's thread, and what callers ask without waiting. */
#include "edge-proxy/disk/disk.h"

#include "common/clock/clock.h"
#include "common/log/log.h"
#include "edge-proxy/disk/disk_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    BUSY_MS = 200,       /* until the file's lock is tried again */
    UNUSABLE_MS = 60000, /* until an unusable file is tried again */
    REST_MS = 30000,     /* of a device that fails */
    EARLY_REMOVALS_MAX = 1 << 16,
    ERRORS_MAX = 5, /* in a row */
};

const char *disk_state_text(enum disk_state s)
{
    static const char *const text[] = {
#define X(name, text) [name] = text,
        DISK_STATES(X)
#undef X
    };

    return text[s];
}

/* Without a seed: the same key is found again after a restart, and known before the file is. Who
 * makes keys collide wastes the places of his own records. */
uint64_t disk_hash(struct str key)
{
    return XXH3_64bits(key.p, key.n);
}

void disk_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ms)
{
    struct timespec t = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};

    if (until_ms == INT64_MAX)
        pthread_cond_wait(cond, lock);
    else
        pthread_cond_timedwait(cond, lock, &t);
}

void disk_note_io(struct disk *d, bool is_fine)
{
    d->errors_in_a_row = is_fine ? 0 : d->errors_in_a_row + 1;
    if (d->state != DISK_READY || d->errors_in_a_row < ERRORS_MAX)
        return;
    d->state = DISK_RESTING;
    d->rest_until_ms = clock_mono_ms() + REST_MS;
    pthread_cond_signal(&d->to_keep);
    log_line(LOG_LEVEL_WARN, "disk", "%s fails or does not answer: not used for %d s",
             d->settings.path, REST_MS / 1000);
}

/* ---- The keeper ---- */

static void rest(struct disk *d, int64_t ms)
{
    int64_t until_ms = clock_mono_ms() + ms;

    pthread_mutex_lock(&d->lock);
    while (!d->is_closing && clock_mono_ms() < until_ms)
        disk_wait(&d->to_keep, &d->lock, until_ms);
    pthread_mutex_unlock(&d->lock);
}

static bool is_closing(struct disk *d)
{
    bool is_closing;

    pthread_mutex_lock(&d->lock);
    is_closing = d->is_closing;
    pthread_mutex_unlock(&d->lock);
    return is_closing;
}

/* The file as it is now; false: why has been said. */
static bool try_open(struct disk *d, int64_t *again_ms)
{
    uint64_t n_buckets = directory_buckets(&d->settings);
    const char *why;
    bool is_busy;

    if (has_failed(ring_open(&d->ring, &d->settings, snapshot_bytes(n_buckets), &why, &is_busy))) {
        *again_ms = is_busy ? BUSY_MS : UNUSABLE_MS;
    } else {
        directory_init(&d->directory, n_buckets);
        if (recover(d))
            return true;
        directory_free(&d->directory);
        ring_close(&d->ring);
        why = "it cannot be read";
        *again_ms = UNUSABLE_MS;
    }
    pthread_mutex_lock(&d->lock);
    if (d->state != DISK_UNUSABLE)
        log_line(is_busy ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "disk", "%s is not used: %s",
                 d->settings.path, why);
    d->state = DISK_UNUSABLE;
    pthread_mutex_unlock(&d->lock);
    return false;
}

static bool open_file(struct disk *d)
{
    int64_t began_ms, again_ms = 0;

    do {
        rest(d, again_ms);
        began_ms = clock_mono_ms();
        if (is_closing(d))
            return false;
    } while (!try_open(d, &again_ms));
    log_line(LOG_LEVEL_INFO, "disk", "%s is ready records=%llu after=%lldms", d->settings.path,
             (unsigned long long)d->directory.n_records, (long long)(clock_mono_ms() - began_ms));
    return true;
}

/* What was removed while the file was not there yet. The writer tells the ring. */
static void apply_removals(struct disk *d)
{
    for (size_t i = 0; i < d->n_removals; i++)
        directory_remove(&d->directory, d->removals[i].hash,
                         d->removals[i].is_key ? NULL : &d->removals[i].variant);
    if (d->has_lost_removals)
        directory_settle(&d->directory, 0);
}

static void start_threads(struct disk *d)
{
    pthread_mutex_lock(&d->lock);
    apply_removals(d);
    d->state = DISK_READY;
    d->has_threads = true;
    ensure(pthread_create(&d->writer.thread, NULL, writer_main, d) == 0);
    for (size_t i = 0; i < DISK_READERS; i++)
        ensure(pthread_create(&d->readers[i], NULL, reader_main, d) == 0);
    pthread_mutex_unlock(&d->lock);
}

static void end_rest(struct disk *d)
{
    d->state = DISK_READY;
    d->errors_in_a_row = 0;
    pthread_cond_signal(&d->to_write);
    log_line(LOG_LEVEL_INFO, "disk", "%s is used again", d->settings.path);
}

static void *keeper_main(void *arg)
{
    struct disk *d = arg;

    if (!open_file(d))
        return NULL;
    start_threads(d);
    pthread_mutex_lock(&d->lock);
    while (!d->is_closing) {
        int64_t now_ms = clock_mono_ms();
        int64_t next_ms = readers_end_late(d, now_ms);

        if (d->state == DISK_RESTING && now_ms >= d->rest_until_ms)
            end_rest(d);
        if (d->state == DISK_RESTING && d->rest_until_ms < next_ms)
            next_ms = d->rest_until_ms;
        if (!d->is_closing)
            disk_wait(&d->to_keep, &d->lock, next_ms);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* ---- Opening and closing ---- */

static void init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

struct disk *disk_open(const struct disk_settings *s)
{
    struct disk *d = base_zalloc(1, sizeof(*d));

    d->settings = *s;
    d->settings.path = base_strdup(s->path);
    d->ring.fd = -1;
    d->last_write = &d->first_write;
    d->last_read = &d->reads;
    d->writer.buffer = base_alloc(DISK_BUFFER);
    pthread_mutex_init(&d->lock, NULL);
    init_cond(&d->to_write);
    init_cond(&d->to_read);
    init_cond(&d->to_keep);
    ensure(pthread_create(&d->keeper, NULL, keeper_main, d) == 0);
    return d;
}

void disk_close(struct disk *d)
{
    pthread_mutex_lock(&d->lock);
    if (d->is_closing) {
        pthread_mutex_unlock(&d->lock);
        return;
    }
    d->is_closing = true;
    pthread_cond_broadcast(&d->to_write);
    pthread_cond_broadcast(&d->to_read);
    pthread_cond_broadcast(&d->to_keep);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->keeper, NULL);
    if (d->has_threads) {
        pthread_join(d->writer.thread, NULL);
        for (size_t i = 0; i < DISK_READERS; i++)
            pthread_join(d->readers[i], NULL);
    }
    pthread_mutex_lock(&d->lock);
    d->state = DISK_CLOSED;
    ring_close(&d->ring);
    directory_free(&d->directory);
    pthread_mutex_unlock(&d->lock);
}

void disk_free(struct disk *d)
{
    if (d == NULL)
        return;
    disk_close(d);
    pthread_cond_destroy(&d->to_write);
    pthread_cond_destroy(&d->to_read);
    pthread_cond_destroy(&d->to_keep);
    pthread_mutex_destroy(&d->lock);
    free(d->removals);
    free(d->writer.placed);
    free(d->writer.buffer);
    free((char *)d->settings.path);
    free(d);
}

/* ---- Writing, removing, finding. Under the lock ---- */

/* Else the keeper has the ring and the directory to itself. */
static bool is_open(const struct disk *d)
{
    return d->state == DISK_READY || d->state == DISK_RESTING;
}

/* With the lock: what is on its way for the key goes nowhere. Was anything copied already? */
static bool cancel_writes(struct disk *d, uint64_t hash, const uint16_t *variant)
{
    struct writer_state *w = &d->writer;
    bool is_any_placed = false;

    for (struct disk_write *x = d->first_write; x != NULL; x = x->next)
        x->is_cancelled |= x->hash == hash && (variant == NULL || x->variant == *variant);
    if (w->now != NULL && w->now->hash == hash && (variant == NULL || w->now->variant == *variant))
        is_any_placed = w->now->is_cancelled = true;
    for (size_t i = 0; i < w->n_placed; i++) {
        struct placed *p = &w->placed[i];

        if (p->place.hash == hash && (variant == NULL || p->place.variant == *variant))
            is_any_placed = p->is_cancelled = true;
    }
    return is_any_placed;
}

bool disk_write(struct disk *d, struct disk_write *w)
{
    bool is_taken;

    pthread_mutex_lock(&d->lock);
    is_taken = d->state == DISK_READY && !d->is_closing && w->head.n <= DISK_HEAD_MAX &&
               w->body_bytes <= d->ring.data_bytes / DISK_BODY_MAX_SHARE &&
               d->queued_bytes + w->head.n + w->body_bytes <= DISK_QUEUE_BYTES;
    if (is_taken) {
        w->hash = disk_hash(w->key);
        w->is_cancelled = false;
        w->next = NULL;
        cancel_writes(d, w->hash, &w->variant);
        *d->last_write = w;
        d->last_write = &w->next;
        d->queued_bytes += w->head.n + w->body_bytes;
        pthread_cond_signal(&d->to_write);
    } else {
        d->figures.writes_refused++;
    }
    pthread_mutex_unlock(&d->lock);
    return is_taken;
}

static void queue_removal(struct disk *d, uint64_t hash, const uint16_t *variant)
{
    BASE_GROW(d->removals, d->n_removals, d->cap_removals);
    d->removals[d->n_removals++] =
        (struct removal){hash, variant != NULL ? *variant : 0, variant == NULL};
    pthread_cond_signal(&d->to_write);
}

static void remove_some(struct disk *d, struct str key, const uint16_t *variant)
{
    uint64_t hash = disk_hash(key);
    bool had_any;

    pthread_mutex_lock(&d->lock);
    if (is_open(d)) {
        had_any = directory_remove(&d->directory, hash, variant);
        had_any |= cancel_writes(d, hash, variant);
        if (had_any)
            queue_removal(d, hash, variant);
    } else if (!d->is_closing && d->n_removals < EARLY_REMOVALS_MAX) {
        queue_removal(d, hash, variant);
    } else {
        d->has_lost_removals = true;
    }
    pthread_mutex_unlock(&d->lock);
}

void disk_remove(struct disk *d, struct str key, uint16_t variant)
{
    remove_some(d, key, &variant);
}

void disk_remove_key(struct disk *d, struct str key)
{
    remove_some(d, key, NULL);
}

unsigned disk_find(struct disk *d, struct str key, struct disk_place *out)
{
    unsigned n = 0;

    pthread_mutex_lock(&d->lock);
    if (d->state == DISK_READY)
        n = directory_find(&d->directory, disk_hash(key), out);
    pthread_mutex_unlock(&d->lock);
    return n;
}

void disk_read_figures(struct disk *d, struct disk_figures *out)
{
    pthread_mutex_lock(&d->lock);
    *out = d->figures;
    out->state = d->state;
    if (is_open(d)) {
        out->bytes = d->ring.data_bytes;
        out->records = d->directory.n_records;
    }
    pthread_mutex_unlock(&d->lock);
}
