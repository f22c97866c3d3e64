/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/log/log.h"

#include "common/clock/clock.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static _Atomic int max_level = LOG_LEVEL_INFO;
/* Whose progress stands on the last line; others are not drawn meanwhile. */
static struct progress *_Atomic drawn;
#define WIPE "\r\033[K"

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&max_level, (int)level, memory_order_relaxed);
}

static int format_head(char *buf, size_t cap, enum log_level level, const char *room)
{
    static const char *const names[] = {"error", "warn ", "info ", "debug"};
    static const char *const journal[] = {"<3>", "<4>", "<6>", "<7>"};
    struct timespec now;
    struct tm tm;
    int n;

    if (getenv("JOURNAL_STREAM") != NULL)
        return snprintf(buf, cap, "%s%s: ", journal[level], room);
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    n = (int)strftime(buf, cap, "%Y-%m-%dT%H:%M:%S", &tm);
    return n + snprintf(buf + n, cap - (size_t)n, ".%03ldZ %s %s: ", now.tv_nsec / 1000000,
                        names[level], room);
}

void log_line(enum log_level level, const char *room, const char *fmt, ...)
{
    char line[2048];
    va_list args;
    int n, m, first;

    if ((int)level > atomic_load_explicit(&max_level, memory_order_relaxed))
        return;
    n = atomic_load_explicit(&drawn, memory_order_relaxed) != NULL
            ? snprintf(line, sizeof(line), WIPE)
            : 0;
    first = n;
    n += format_head(line + n, sizeof(line) - (size_t)n, level, room);
    va_start(args, fmt);
    m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, args);
    va_end(args);
    n += m < 0 ? 0 : m;
    if (n > (int)sizeof(line) - 2)
        n = (int)sizeof(line) - 2;
    /* A value may carry a line break from a file; a log line stays one line. */
    for (int i = first; i < n; i++)
        if ((unsigned char)line[i] < 0x20)
            line[i] = ' ';
    line[n++] = '\n';
    while (write(STDERR_FILENO, line, (size_t)n) < 0)
        break; /* nowhere to complain to */
}

void progress_start(struct progress *p, const char *what, uint64_t total)
{
    *p = (struct progress){.what = what, .total = total, .is_shown = isatty(STDERR_FILENO)};
}

void progress_step(struct progress *p, uint64_t done)
{
    struct progress *nobody = NULL;
    int64_t now;

    p->done = done < p->total || p->total == 0 ? done : p->total;
    if (!p->is_shown)
        return;
    now = clock_mono_ms();
    if (now - p->drawn_ms < 100 ||
        (!atomic_compare_exchange_strong(&drawn, &nobody, p) && nobody != p))
        return;
    p->drawn_ms = now;
    if (p->total > 0)
        fprintf(stderr, "\r%s … %u %%\033[K", p->what, (unsigned)(p->done * 100 / p->total));
    else
        fprintf(stderr, "\r%s … %llu\033[K", p->what, (unsigned long long)p->done);
}

void progress_add(struct progress *p, uint64_t more)
{
    progress_step(p, p->done + more);
}

void progress_end(struct progress *p)
{
    if (atomic_load(&drawn) != p)
        return;
    fputs(WIPE, stderr);
    atomic_store(&drawn, NULL);
}
