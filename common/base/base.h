/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * base: what every room may lean on. Assertions that stay on in production, results that cannot
 * be ignored, allocation that cannot fail silently. No state; any thread.
 */
#ifndef COMMON_BASE_H
#define COMMON_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE __attribute__((warn_unused_result))
#define NORETURN __attribute__((noreturn))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define CACHE_LINE 64

/* A bug in this program: prints file, line and the broken condition, then aborts. Always on.
 * Never for a value that a peer or an operator controls. */
#define ensure(cond)                                        \
    do {                                                    \
        if (unlikely(!(cond)))                              \
            base_fail(__FILE__, __LINE__, __func__, #cond); \
    } while (0)

void base_fail(const char *file, int line, const char *func, const char *what) NORETURN;

/* The result of something that can fail and has said why elsewhere (an errors list, a log line).
 * A struct, so that it is neither a bool nor an int by accident. */
struct outcome {
    bool is_failure;
};
#define OUTCOME_OK ((struct outcome){false})
#define OUTCOME_FAILED ((struct outcome){true})
static inline MUST_USE bool has_failed(struct outcome o)
{
    return o.is_failure;
}

/* malloc and its kin for set-up and control paths. Running out of memory there ends the program
 * with a message: nothing sensible can go on. Memory is the caller's, for free(). */
void *base_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *base_zalloc(size_t count, size_t bytes) __attribute__((malloc, returns_nonnull));
void *base_realloc(void *old, size_t bytes) __attribute__((returns_nonnull));
/* base_alloc of memory that is read here and there: in large pages where it is large enough, so
 * that a random place costs no page walk. It is taken from the system as it is touched;
 * base_realloc to a smaller size gives the rest back. */
void *base_alloc_large(size_t bytes) __attribute__((malloc, returns_nonnull));
char *base_strdup(const char *s) __attribute__((malloc, returns_nonnull));
char *base_strndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
/* printf into fresh memory. */
char *base_printf(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((malloc, returns_nonnull));

/* Makes room for one more element in a growing array: doubles *cap when count == *cap. */
#define BASE_GROW(array, count, cap)                                             \
    do {                                                                         \
        if ((count) == (cap)) {                                                  \
            (cap) = (cap) ? 2 * (cap) : 8;                                       \
            (array) = base_realloc((array), (size_t)(cap) * sizeof((array)[0])); \
        }                                                                        \
    } while (0)

#endif
