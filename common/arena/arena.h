/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arena: memory with one lifetime. Two kinds: a growing one for a generation (a configuration, a
 * zone), freed at once with it; and a fixed one over somebody's buffer for a query or request,
 * whose overflow is a sticky flag seen once. Not locked: one thread at a time.
 */
#ifndef COMMON_ARENA_H
#define COMMON_ARENA_H

#include "common/base/base.h"

struct arena_block;
struct arena {
    uint8_t *p, *end;
    struct arena_block *blocks; /* growing kind only */
    size_t block_bytes;         /* 0: the fixed kind */
    size_t total_bytes;         /* taken from malloc, for status */
    bool is_full;               /* fixed kind: something did not fit */
};

/* A growing arena that takes block_bytes at a time (65536 when 0). */
void arena_init(struct arena *a, size_t block_bytes);
void arena_init_fixed(struct arena *a, void *buffer, size_t bytes);
/* Growing: never NULL. Fixed: NULL and is_full when it does not fit. Aligned to 8 bytes. */
void *arena_alloc(struct arena *a, size_t bytes);
void *arena_zalloc(struct arena *a, size_t bytes);
void *arena_copy(struct arena *a, const void *bytes, size_t n);
/* Not aligned, for packed bytes. */
void *arena_alloc_packed(struct arena *a, size_t bytes);
char *arena_strndup(struct arena *a, const char *s, size_t n);
void arena_free(struct arena *a);

#endif
