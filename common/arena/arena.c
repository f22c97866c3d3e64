/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/arena/arena.h"

#include <stdlib.h>
#include <string.h>

struct arena_block {
    struct arena_block *next;
    size_t pad; /* keeps what follows aligned to 16 */
};

void arena_init(struct arena *a, size_t block_bytes)
{
    *a = (struct arena){.block_bytes = block_bytes ? block_bytes : 65536};
}

void arena_init_fixed(struct arena *a, void *buffer, size_t bytes)
{
    *a = (struct arena){.p = buffer, .end = (uint8_t *)buffer + bytes};
}

/* A fresh block that holds at least bytes; a large object gets a block of its own and the open
 * block stays open. */
static void *alloc_slow(struct arena *a, size_t bytes)
{
    bool is_large = bytes > a->block_bytes / 4;
    size_t size = is_large ? bytes : a->block_bytes;
    struct arena_block *b;
    uint8_t *data;

    if (a->block_bytes == 0) {
        a->is_full = true;
        return NULL;
    }
    b = base_alloc(sizeof(*b) + size);
    a->total_bytes += sizeof(*b) + size;
    b->next = a->blocks;
    a->blocks = b;
    data = (uint8_t *)(b + 1);
    if (!is_large) {
        a->p = data + bytes;
        a->end = data + size;
    }
    return data;
}

void *arena_alloc_packed(struct arena *a, size_t bytes)
{
    uint8_t *at = a->p;

    if (unlikely((size_t)(a->end - at) < bytes || at == NULL))
        return alloc_slow(a, bytes);
    a->p += bytes;
    return at;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    size_t skip = (size_t)(-(uintptr_t)a->p & 7);

    if (unlikely(a->p == NULL || (size_t)(a->end - a->p) < bytes + skip))
        return alloc_slow(a, bytes);
    a->p += skip;
    return arena_alloc_packed(a, bytes);
}

void *arena_zalloc(struct arena *a, size_t bytes)
{
    void *p = arena_alloc(a, bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

void *arena_copy(struct arena *a, const void *bytes, size_t n)
{
    void *p = arena_alloc(a, n);
    return p && n ? memcpy(p, bytes, n) : p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *p = arena_alloc_packed(a, n + 1);

    if (p != NULL) {
        memcpy(p, s, n);
        p[n] = '\0';
    }
    return p;
}

void arena_free(struct arena *a)
{
    for (struct arena_block *b = a->blocks, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    *a = (struct arena){.block_bytes = a->block_bytes};
}
