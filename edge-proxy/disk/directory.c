/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The directory: buckets of eight entries, found by the hash's upper half, told apart by its lower
 * one. Its size never changes. A full bucket gives up what will be overwritten soonest. With the
 * disk's lock, all of it.
 */
#include "edge-proxy/disk/disk_internal.h"

#include <stdlib.h>
#include <string.h>

enum { VARIANT_BITS = 16, SWEEP = 4096 };

uint64_t directory_buckets(const struct disk_settings *s)
{
    /* A quarter more than the records expected: buckets fill unevenly. */
    return s->bytes / s->record_bytes * 5 / 4 / DISK_BUCKET + 1;
}

void directory_init(struct directory *t, uint64_t n_buckets)
{
    *t = (struct directory){.n_buckets = n_buckets};
    t->entries = base_zalloc(n_buckets * DISK_BUCKET, sizeof(t->entries[0]));
}

void directory_free(struct directory *t)
{
    free(t->entries);
    *t = (struct directory){0};
}

static struct entry *bucket_of(const struct directory *t, uint64_t hash)
{
    return t->entries + (uint64_t)((unsigned __int128)hash * t->n_buckets >> 64) * DISK_BUCKET;
}

static uint64_t position_of(const struct entry *e)
{
    return (e->position_variant >> VARIANT_BITS) * DISK_BLOCK;
}

static uint16_t variant_of(const struct entry *e)
{
    return (uint16_t)e->position_variant;
}

static bool is_free(const struct directory *t, const struct entry *e)
{
    return e->blocks == 0 || position_of(e) < t->oldest;
}

static void wipe(struct directory *t, struct entry *e)
{
    if (e->blocks != 0)
        t->n_records--;
    *e = (struct entry){0};
}

void directory_add(struct directory *t, const struct disk_place *p)
{
    struct entry *bucket = bucket_of(t, p->hash), *place = NULL;

    directory_remove(t, p->hash, &p->variant);
    for (struct entry *e = bucket; e < bucket + DISK_BUCKET; e++)
        if (place == NULL || is_free(t, e) ||
            (!is_free(t, place) && position_of(e) < position_of(place)))
            place = e;
    wipe(t, place);
    *place = (struct entry){(uint32_t)p->hash, p->blocks,
                            p->position / DISK_BLOCK << VARIANT_BITS | p->variant};
    t->n_records++;
}

unsigned directory_find(const struct directory *t, uint64_t hash, struct disk_place *out)
{
    const struct entry *bucket = bucket_of(t, hash);
    unsigned n = 0;

    _Static_assert((int)DISK_VARIANTS_MAX >= (int)DISK_BUCKET, "a bucket's entries fit");
    for (const struct entry *e = bucket; e < bucket + DISK_BUCKET; e++) {
        unsigned i = n;

        if (is_free(t, e) || e->tag != (uint32_t)hash)
            continue;
        for (; i > 0 && out[i - 1].position < position_of(e); i--)
            out[i] = out[i - 1];
        out[i] = (struct disk_place){hash, position_of(e), e->blocks, variant_of(e)};
        n++;
    }
    return n;
}

bool directory_remove(struct directory *t, uint64_t hash, const uint16_t *variant)
{
    struct entry *bucket = bucket_of(t, hash);
    bool had_any = false;

    for (struct entry *e = bucket; e < bucket + DISK_BUCKET; e++)
        if (e->blocks != 0 && e->tag == (uint32_t)hash &&
            (variant == NULL || variant_of(e) == *variant)) {
            had_any |= !is_free(t, e);
            wipe(t, e);
        }
    return had_any;
}

void directory_forget(struct directory *t, const struct disk_place *p)
{
    struct entry *bucket = bucket_of(t, p->hash);

    for (struct entry *e = bucket; e < bucket + DISK_BUCKET; e++)
        if (e->blocks != 0 && e->tag == (uint32_t)p->hash && position_of(e) == p->position)
            wipe(t, e);
}

void directory_advance(struct directory *t, const struct ring *g, uint64_t position)
{
    uint64_t n = t->n_buckets < SWEEP ? t->n_buckets : SWEEP;

    if (position > g->data_bytes && position - g->data_bytes > t->oldest)
        t->oldest = position - g->data_bytes;
    for (; n > 0; n--) {
        struct entry *bucket = t->entries + t->swept * DISK_BUCKET;

        for (struct entry *e = bucket; e < bucket + DISK_BUCKET; e++)
            if (e->blocks != 0 && is_free(t, e))
                wipe(t, e);
        t->swept = (t->swept + 1) % t->n_buckets;
    }
}

void directory_settle(struct directory *t, uint64_t position)
{
    t->n_records = 0;
    for (uint64_t i = 0; i < t->n_buckets * DISK_BUCKET; i++) {
        struct entry *e = &t->entries[i];

        if (e->blocks != 0 && (is_free(t, e) || position_of(e) >= position))
            *e = (struct entry){0};
        t->n_records += e->blocks != 0;
    }
}
