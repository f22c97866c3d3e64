/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log: what the operator must know, on standard error, one line each:
 *   2026-11-23T12:00:00.123Z info  health: edge is up edge=eu-west-1 after=5s
 * Under systemd the time is left to the journal and the level goes in its "<3>" prefix.
 * error = the operator must act; warn = degraded; info = a state changed, with the reason;
 * debug = only with -v. Never a line per packet or request. Any thread; a line is one write().
 *
 * progress: how far a long piece of work is, redrawn in place on a terminal and silent elsewhere.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/base/base.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
void log_line(enum log_level level, const char *room, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* "what … 42 %"; total 0: a count without an end. Draws at most ten times a second; a log line that
 * comes meanwhile takes the line's place. One thread at a time draws. */
struct progress {
    const char *what; /* borrowed until the end */
    uint64_t total, done;
    int64_t drawn_ms;
    bool is_shown; /* standard error is a terminal */
};
void progress_start(struct progress *p, const char *what, uint64_t total);
/* done: in all; beyond total is as good as total. */
void progress_step(struct progress *p, uint64_t done);
/* So much more is done. */
void progress_add(struct progress *p, uint64_t more);
void progress_end(struct progress *p); /* wipes the line */

#endif
