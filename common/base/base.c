/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void base_fail(const char *file, int line, const char *func, const char *what)
{
    fprintf(stderr, "%s:%d: bug in %s: not so: %s\n", file, line, func, what);
    abort();
}

static void *or_die(void *p)
{
    if (unlikely(p == NULL)) {
        fprintf(stderr, "out of memory\n");
        abort();
    }
    return p;
}

void *base_alloc(size_t bytes)
{
    return or_die(malloc(bytes ? bytes : 1));
}

void *base_zalloc(size_t count, size_t bytes)
{
    return or_die(calloc(count ? count : 1, bytes ? bytes : 1));
}

void *base_realloc(void *old, size_t bytes)
{
    return or_die(realloc(old, bytes ? bytes : 1));
}

void *base_alloc_large(size_t bytes)
{
    enum { LARGE = 4 << 20, PAGE = 4096 };
    uint8_t *p =
        or_die(aligned_alloc(CACHE_LINE, (bytes + CACHE_LINE) & ~(size_t)(CACHE_LINE - 1)));
    uintptr_t from = ((uintptr_t)p + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
    uintptr_t to = ((uintptr_t)p + bytes) & ~(uintptr_t)(PAGE - 1);

    if (bytes >= LARGE)
        (void)madvise((void *)from, to - from, MADV_HUGEPAGE); /* a wish */
    return p;
}

char *base_strdup(const char *s)
{
    return or_die(strdup(s));
}

char *base_strndup(const char *s, size_t n)
{
    return or_die(strndup(s, n));
}

char *base_printf(const char *fmt, ...)
{
    va_list args;
    char *out = NULL;

    va_start(args, fmt);
    ensure(vasprintf(&out, fmt, args) >= 0);
    va_end(args);
    return out;
}
