/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the bytes of bodies lie: on the heap, or, for a large body of known length, in a file in
 * memory (memfd), from which the kernel sends without copying. Pages that a socket still holds
 * when the body goes stay what they are until they are sent: the file's are given back, never
 * written again. That is why each such body has a file of its own; their number is limited.
 */
#include "edge-proxy/cache/cache_internal.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The beginning of such a file, mapped. */
struct segment_file {
    size_t mapped_bytes;
    int fd;
    struct cache_segment segment;
};

static struct segment_file *file_of(const struct cache_segment *s)
{
    return CONTAINER_OF(s, struct segment_file, segment);
}

/* NULL: no file is to be had. */
static struct segment_file *map_file(size_t bytes)
{
    int fd = memfd_create("cache", MFD_CLOEXEC);
    struct segment_file *f;

    if (fd < 0)
        return NULL;
    f = ftruncate(fd, (off_t)bytes) == 0
            ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
            : MAP_FAILED;
    if (f == MAP_FAILED) {
        close(fd);
        return NULL;
    }
    f->mapped_bytes = bytes;
    f->fd = fd;
    return f;
}

static struct cache_segment *new_in_file(struct cache *c, size_t cap)
{
    struct segment_file *f = NULL;

    if (atomic_fetch_add_explicit(&c->n_files, 1, memory_order_relaxed) < c->files_max)
        f = map_file(sizeof(*f) + cap);
    if (f != NULL)
        return &f->segment;
    atomic_fetch_sub_explicit(&c->n_files, 1, memory_order_relaxed);
    return NULL;
}

struct cache_segment *segment_new(struct cache_body *b, size_t cap)
{
    bool is_file = b->first == NULL && b->expected_bytes != UINT64_MAX && cap >= CACHE_FILE_MIN;
    struct cache_segment *s = is_file ? new_in_file(b->cache, cap) : NULL;

    b->is_file |= s != NULL;
    if (b->has_inline) {
        ensure(b->first == NULL);
        s = (struct cache_segment *)(b + 1);
    } else if (s == NULL) {
        s = base_alloc(sizeof(*s) + cap);
    }
    s->next = NULL;
    s->cap = cap;
    return s;
}

void segment_free(struct cache_body *b, struct cache_segment *s)
{
    struct segment_file *f;

    if (b->has_inline)
        return;
    if (!b->is_file) {
        free(s);
        return;
    }
    f = file_of(s);
    close(f->fd);
    munmap(f, f->mapped_bytes);
    atomic_fetch_sub_explicit(&b->cache->n_files, 1, memory_order_relaxed);
}

bool cache_reader_file(const struct cache_reader *r, int *fd, uint64_t *offset)
{
    const struct segment_file *f;

    if (!r->object->body->is_file)
        return false;
    f = file_of(r->segment);
    *fd = f->fd;
    *offset = (uint64_t)((const char *)r->segment->bytes - (const char *)f) + r->position;
    return true;
}
