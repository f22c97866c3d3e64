/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * text: what operators write and read. Slices, numbers with units, near misses, and a growing
 * builder for the control paths (status, metrics, JSON). No state; any thread.
 */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include "common/base/base.h"

#include <stdarg.h>

/* A slice of somebody else's bytes, not terminated. */
struct str {
    const char *p;
    size_t n;
};
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_ARG(s) (int)(s).n, (s).p /* for "%.*s" */

struct str str_of(const char *z);
bool str_eq(struct str a, struct str b);
bool str_is(struct str a, const char *z);
/* ASCII case folded, as DNS names, HTTP field names and host names want it. */
bool str_is_nocase(struct str a, const char *z);
bool str_eq_nocase(struct str a, struct str b);
/* Without spaces and tabs at both ends. */
struct str str_trim(struct str s);

static inline uint8_t text_lower(uint8_t c)
{
    return (uint8_t)(c - 'A') < 26 ? (uint8_t)(c | 0x20) : c;
}

/* Numbers. All read the whole slice, accept no sign, no overflow, and no space but one
 * before a unit; false: not that. */
MUST_USE bool text_parse_u64(struct str s, uint64_t *out);
/* "250ms", "30s", "5m", "2h", "1d"; a bare 0 is 0. Milliseconds. */
MUST_USE bool text_parse_duration_ms(struct str s, uint64_t *out_ms);
/* "512", "64KiB", "64k", "256MiB", "2GiB" (powers of 1024). */
MUST_USE bool text_parse_bytes(struct str s, uint64_t *out_bytes);
/* Exactly 2 n hexadecimal digits; else false, and out may be half written. */
MUST_USE bool text_parse_hex(struct str s, uint8_t *out, size_t n);
MUST_USE bool text_parse_double(struct str s, double *out);

/* Shortest spellings, for messages and status: "1.5 GiB", "2h 3m". buf is returned. */
#define TEXT_SHORT 32
const char *text_format_bytes(uint64_t bytes, char buf[TEXT_SHORT]);
const char *text_format_duration_ms(uint64_t ms, char buf[TEXT_SHORT]);

/* Copies what a peer or an operator wrote, cut to size, so that it can stand between double quotes
 * in a log line and in a table: control characters become '?', double quotes single ones. */
void text_clean(char *to, size_t size, const char *from);

/* Edits (insert, delete, replace, swap) from a to b; for "did you mean". Long strings: 255. */
unsigned text_distance(struct str a, struct str b);

/* The growing builder. Zero-initialise; p is always terminated once something was added. */
struct text {
    char *p;
    size_t n, cap;
};
void text_add(struct text *t, const void *bytes, size_t n);
void text_adds(struct text *t, const char *z);
void text_addf(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void text_vaddf(struct text *t, const char *fmt, va_list args) PRINTF_LIKE(2, 0);
void text_free(struct text *t); /* and back to zero */

/* Reads a whole file of at most max bytes; the caller frees *out (terminated by a zero beyond *n).
 * Fails with errno set (EFBIG when longer). */
MUST_USE struct outcome text_read_file(const char *path, size_t max, char **out, size_t *n);
/* Replaces a file by these pieces, with mode if it is new: written to PATH.new, synced, renamed
 * over it, and the folder synced, so that a crash leaves the old one or the new one. Fails with
 * errno set, and the old one stays. */
MUST_USE struct outcome text_replace_file(const char *path, const struct str *pieces, size_t n,
                                          unsigned mode);

#endif
