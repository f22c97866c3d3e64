/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock: two times, never mixed. Monotonic for intervals and deadlines, wall for what people and
 * protocols read. Milliseconds and seconds as signed 64 bits. Any thread.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_wall_s(void);
int64_t clock_wall_ms(void);
/* The kernel's coarse monotonic clock: good to a tick (1 to 4 ms), a fifth of the cost. */
int64_t clock_coarse_ms(void);

/* "2026-11-23T12:00:00Z" */
#define CLOCK_ISO 32
const char *clock_format_iso(int64_t wall_s, char buf[CLOCK_ISO]);

#endif
