/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads: queued, taken up by one of the readers' threads, told to their owner piece by piece. The
 * keeper ends what takes too long; the reader that is stuck with it finds that out when the device
 * lets it go.
 */
#include "common/clock/clock.h"
#include "edge-proxy/disk/disk_internal.h"

#include <stdlib.h>

enum { READ_QUEUED, READ_RUNNING, READ_TELLING, READ_ENDING };

/* One read as its record's sink. */
struct reading {
    struct disk *disk;
    struct disk_read *read;
};

/* ---- Telling ---- */

/* False: it has been ended meanwhile. */
static bool begin_telling(struct reading *x)
{
    bool is_wanted;

    pthread_mutex_lock(&x->disk->lock);
    is_wanted = !x->read->is_ended;
    if (is_wanted)
        x->read->step = READ_TELLING;
    pthread_mutex_unlock(&x->disk->lock);
    return is_wanted;
}

static void end_telling(struct reading *x)
{
    pthread_mutex_lock(&x->disk->lock);
    x->read->step = READ_RUNNING;
    x->read->deadline_ms = clock_mono_ms() + DISK_LATE_MS;
    pthread_mutex_unlock(&x->disk->lock);
}

static bool tell_head(void *arg, const struct record *r, struct str head)
{
    struct reading *x = arg;
    bool goes_on;

    if (r->hash != x->read->place.hash || !begin_telling(x))
        return false;
    goes_on = x->read->ops->head(x->read, head, r->body_bytes);
    end_telling(x);
    return goes_on;
}

static bool tell_body(void *arg, const void *bytes, size_t n)
{
    struct reading *x = arg;
    bool goes_on;

    if (!begin_telling(x))
        return false;
    goes_on = x->read->ops->body(x->read, bytes, n);
    end_telling(x);
    return goes_on;
}

/* ---- The queue. With the lock ---- */

static void link_running(struct disk *d, struct disk_read *r)
{
    r->next = d->running;
    r->prev = &d->running;
    if (r->next != NULL)
        r->next->prev = &r->next;
    d->running = r;
}

static void unlink_read(struct disk *d, struct disk_read *r)
{
    *r->prev = r->next;
    if (r->next != NULL)
        r->next->prev = r->prev;
    else if (d->last_read == &r->next)
        d->last_read = r->prev;
}

bool disk_read(struct disk *d, struct disk_read *r)
{
    bool is_taken;

    pthread_mutex_lock(&d->lock);
    is_taken = d->state == DISK_READY && !d->is_closing && d->n_reads < DISK_READS_MAX;
    if (is_taken) {
        r->step = READ_QUEUED;
        r->is_ended = false;
        r->deadline_ms = clock_mono_ms() + DISK_LATE_MS;
        r->next = NULL;
        r->prev = d->last_read;
        *d->last_read = r;
        d->last_read = &r->next;
        pthread_cond_signal(&d->to_read);
        if (d->n_reads++ == 0)
            pthread_cond_signal(&d->to_keep);
    } else {
        d->figures.reads_refused++;
    }
    pthread_mutex_unlock(&d->lock);
    return is_taken;
}

static void count(struct disk *d, const struct disk_read *r, enum record_verdict verdict)
{
    d->figures.reads++;
    disk_note_io(d, verdict != RECORD_IO_ERROR);
    if (verdict == RECORD_IO_ERROR)
        d->figures.read_errors++;
    /* One that was overwritten meanwhile is no fault. */
    if (verdict == RECORD_BAD && r->place.position >= d->directory.oldest)
        d->figures.reads_bad++;
    if (verdict == RECORD_BAD)
        directory_forget(&d->directory, &r->place);
}

static void run(struct disk *d, struct disk_read *r, struct ring_window *window)
{
    struct reading x = {d, r};
    struct record_sink sink = {tell_head, tell_body, &x};
    struct record record;
    enum record_verdict verdict;
    bool was_ended;

    pthread_mutex_unlock(&d->lock);
    window->n = 0; /* what it holds may have been written since */
    verdict = record_read(&d->ring, window, r->place.position,
                          (uint64_t)r->place.blocks * DISK_BLOCK, &record, &sink);
    pthread_mutex_lock(&d->lock);
    while (r->step == READ_ENDING)
        disk_wait(&d->to_read, &d->lock, INT64_MAX);
    count(d, r, verdict);
    unlink_read(d, r);
    d->n_reads--;
    was_ended = r->is_ended;
    r->is_ended = true;
    pthread_mutex_unlock(&d->lock);
    if (!was_ended)
        r->ops->end(r, verdict == RECORD_WHOLE);
    r->ops->released(r);
    pthread_mutex_lock(&d->lock);
}

/* ---- The threads ---- */

void *reader_main(void *arg)
{
    struct disk *d = arg;
    struct ring_window window = {.bytes = base_alloc(DISK_BUFFER)};

    pthread_mutex_lock(&d->lock);
    for (;;) {
        struct disk_read *r = d->reads;

        if (r != NULL) {
            unlink_read(d, r);
            r->step = READ_RUNNING;
            link_running(d, r);
            run(d, r, &window);
        } else if (d->is_closing) {
            break;
        } else {
            disk_wait(&d->to_read, &d->lock, INT64_MAX);
        }
    }
    pthread_mutex_unlock(&d->lock);
    free(window.bytes);
    return NULL;
}

static struct disk_read *first_late(struct disk_read *list, int64_t now_ms)
{
    for (struct disk_read *r = list; r != NULL; r = r->next)
        if (!r->is_ended && r->step != READ_TELLING && r->deadline_ms <= now_ms)
            return r;
    return NULL;
}

static void end_late(struct disk *d, struct disk_read *r)
{
    bool is_queued = r->step == READ_QUEUED;

    r->step = READ_ENDING; /* its reader must not release it meanwhile */
    r->is_ended = true;
    d->figures.reads_late++;
    disk_note_io(d, false);
    if (is_queued) {
        unlink_read(d, r);
        d->n_reads--;
    }
    pthread_mutex_unlock(&d->lock);
    r->ops->end(r, false);
    if (is_queued)
        r->ops->released(r);
    pthread_mutex_lock(&d->lock);
    if (!is_queued) {
        r->step = READ_RUNNING;
        pthread_cond_broadcast(&d->to_read);
    }
}

int64_t readers_end_late(struct disk *d, int64_t now_ms)
{
    struct disk_read *r;

    while ((r = first_late(d->reads, now_ms)) != NULL ||
           (r = first_late(d->running, now_ms)) != NULL)
        end_late(d, r);
    return d->n_reads > 0 ? now_ms + DISK_LATE_MS / 10 : INT64_MAX;
}
