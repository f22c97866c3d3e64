/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bytes: cursors over wire data in network byte order. A cursor that runs past its end becomes
 * bad and stays so; reads then give zeros and writes nothing, so a parser checks once at the end.
 * No state; any thread; inlined for the hot paths.
 */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include "common/base/base.h"

#include <string.h>

static inline uint16_t bytes_get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t bytes_get_u24(const uint8_t *p)
{
    return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static inline uint32_t bytes_get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void bytes_put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void bytes_put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

struct reader {
    const uint8_t *p, *end;
    bool is_bad;
};

static inline struct reader reader_of(const void *p, size_t n)
{
    return (struct reader){p, (const uint8_t *)p + n, false};
}

static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->p);
}

/* n bytes at the cursor, which moves past them; NULL (and bad) when there are fewer. */
static inline const uint8_t *reader_take(struct reader *r, size_t n)
{
    const uint8_t *at = r->p;

    if (unlikely(r->is_bad || reader_left(r) < n)) {
        r->is_bad = true;
        r->p = r->end;
        return NULL;
    }
    r->p += n;
    return at;
}

static inline uint8_t reader_u8(struct reader *r)
{
    const uint8_t *p = reader_take(r, 1);
    return p ? *p : 0;
}

static inline uint16_t reader_u16(struct reader *r)
{
    const uint8_t *p = reader_take(r, 2);
    return p ? bytes_get_u16(p) : 0;
}

static inline uint32_t reader_u32(struct reader *r)
{
    const uint8_t *p = reader_take(r, 4);
    return p ? bytes_get_u32(p) : 0;
}

struct writer {
    uint8_t *p, *end;
    bool is_full;
};

static inline struct writer writer_of(void *p, size_t cap)
{
    return (struct writer){p, (uint8_t *)p + cap, false};
}

static inline size_t writer_room(const struct writer *w)
{
    return (size_t)(w->end - w->p);
}

/* Space for n bytes, to be filled by the caller; NULL (and full) when there is less. */
static inline uint8_t *writer_make(struct writer *w, size_t n)
{
    uint8_t *at = w->p;

    if (unlikely(w->is_full || writer_room(w) < n)) {
        w->is_full = true;
        return NULL;
    }
    w->p += n;
    return at;
}

static inline void writer_add(struct writer *w, const void *bytes, size_t n)
{
    uint8_t *p = writer_make(w, n);
    if (p != NULL && n > 0)
        memcpy(p, bytes, n);
}

static inline void writer_u8(struct writer *w, uint8_t v)
{
    uint8_t *p = writer_make(w, 1);
    if (p != NULL)
        *p = v;
}

static inline void writer_u16(struct writer *w, uint16_t v)
{
    uint8_t *p = writer_make(w, 2);
    if (p != NULL)
        bytes_put_u16(p, v);
}

static inline void writer_u32(struct writer *w, uint32_t v)
{
    uint8_t *p = writer_make(w, 4);
    if (p != NULL)
        bytes_put_u32(p, v);
}

#endif
