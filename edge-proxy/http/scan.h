/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scan: finds the first byte that may not stand in a token, path, query or value, 32 bytes at a
 * time. Each search exists for AVX2, SSE4.2 and plain C; `level` is a constant wherever it is used,
 * so that the compiler keeps one. No search reads outside [base, end): the last, short step loads
 * the last whole block again and shifts the known bytes out of the answer.
 */
#ifndef EDGE_PROXY_HTTP_SCAN_H
#define EDGE_PROXY_HTTP_SCAN_H

#include "edge-proxy/fields/fields.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum scan_level { SCAN_PLAIN, SCAN_SSE42, SCAN_AVX2 };

/* What a search stops at is everything that is not in its class. */
enum scan_class {
    SCAN_TOKEN, /* token characters */
    SCAN_PATH,  /* 0x21 to 0x7e but '?', '#' and backslash */
    SCAN_QUERY, /* 0x21 to 0x7e but '#' */
    SCAN_VALUE, /* HT, 0x20 to 0x7e, 0x80 to 0xff */
};

struct scan_span {
    const char *base, *end;
};

ALWAYS_INLINE bool scan_is_member(uint8_t c, enum scan_class class)
{
    switch (class) {
    case SCAN_TOKEN:
        return fields_char_class[c] & FIELDS_TCHAR;
    case SCAN_PATH:
        return c > 0x20 && c < 0x7f && c != '?' && c != '#' && c != '\\';
    case SCAN_QUERY:
        return c > 0x20 && c < 0x7f && c != '#';
    case SCAN_VALUE:
        break;
    }
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

ALWAYS_INLINE const char *scan_plain(const char *p, const char *end, enum scan_class class)
{
    while (p < end && scan_is_member((uint8_t)*p, class))
        p++;
    return p;
}

#ifdef __x86_64__
#include <immintrin.h>

/*
 * Membership of an ASCII class by two look-ups: row[low nibble] holds one bit for each of the eight
 * high nibbles. Token characters by column, high nibble 2 to 7 as bits 2 to 7:
 */
#define SCAN_TOKEN_ROWS -24, -4, -8, -4, -4, -4, -4, -4, -8, -8, -12, 84, -48, 84, -12, 112
#define SCAN_COLUMNS 1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0

#define SCAN_TARGET_SSE42 __attribute__((target("sse4.2")))
#define SCAN_TARGET_AVX2 __attribute__((target("avx2,bmi")))

SCAN_TARGET_SSE42 static inline uint32_t scan_stops_sse42(const char *p, enum scan_class class)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p), bad, good;

    if (class == SCAN_TOKEN) {
        const __m128i rows = _mm_setr_epi8(SCAN_TOKEN_ROWS);
        const __m128i columns = _mm_setr_epi8(SCAN_COLUMNS);
        __m128i high = _mm_and_si128(_mm_srli_epi16(v, 4), _mm_set1_epi8(0x0f));

        good = _mm_and_si128(_mm_shuffle_epi8(rows, v), _mm_shuffle_epi8(columns, high));
        bad = _mm_cmpeq_epi8(good, _mm_setzero_si128());
    } else if (class == SCAN_VALUE) {
        bad = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
        bad = _mm_andnot_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\t')), bad);
        bad = _mm_or_si128(bad, _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f)));
    } else {
        __m128i up = _mm_sub_epi8(v, _mm_set1_epi8(0x21));

        bad = _mm_cmpeq_epi8(_mm_max_epu8(up, _mm_set1_epi8(0x5e)), up);
        bad = _mm_or_si128(bad, _mm_cmpeq_epi8(v, _mm_set1_epi8('#')));
        if (class == SCAN_PATH) {
            bad = _mm_or_si128(bad, _mm_cmpeq_epi8(v, _mm_set1_epi8('?')));
            bad = _mm_or_si128(bad, _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
        }
    }
    return (uint32_t)_mm_movemask_epi8(bad);
}

SCAN_TARGET_AVX2 static inline uint32_t scan_stops_avx2(const char *p, enum scan_class class)
{
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p), bad, good;

    if (class == SCAN_TOKEN) {
        const __m256i rows = _mm256_setr_epi8(SCAN_TOKEN_ROWS, SCAN_TOKEN_ROWS);
        const __m256i columns = _mm256_setr_epi8(SCAN_COLUMNS, SCAN_COLUMNS);
        __m256i high = _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0f));

        good = _mm256_and_si256(_mm256_shuffle_epi8(rows, v), _mm256_shuffle_epi8(columns, high));
        bad = _mm256_cmpeq_epi8(good, _mm256_setzero_si256());
    } else if (class == SCAN_VALUE) {
        bad = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v);
        bad = _mm256_andnot_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('\t')), bad);
        bad = _mm256_or_si256(bad, _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f)));
    } else {
        __m256i up = _mm256_sub_epi8(v, _mm256_set1_epi8(0x21));

        bad = _mm256_cmpeq_epi8(_mm256_max_epu8(up, _mm256_set1_epi8(0x5e)), up);
        bad = _mm256_or_si256(bad, _mm256_cmpeq_epi8(v, _mm256_set1_epi8('#')));
        if (class == SCAN_PATH) {
            bad = _mm256_or_si256(bad, _mm256_cmpeq_epi8(v, _mm256_set1_epi8('?')));
            bad = _mm256_or_si256(bad, _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\')));
        }
    }
    return (uint32_t)_mm256_movemask_epi8(bad);
}

/* The loop around one width. */
#define SCAN_BLOCKS(p, span, class, width, stops)                   \
    do {                                                            \
        const char *last = (span)->end - (width);                   \
        uint32_t found;                                             \
                                                                    \
        if (last < (span)->base)                                    \
            return scan_plain(p, (span)->end, class);               \
        for (; p <= last; p += (width)) {                           \
            found = stops(p, class);                                \
            if (found != 0)                                         \
                return p + __builtin_ctz(found);                    \
        }                                                           \
        if (p == (span)->end)                                       \
            return p;                                               \
        found = stops(last, class) >> (p - last);                   \
        return found != 0 ? p + __builtin_ctz(found) : (span)->end; \
    } while (0)

SCAN_TARGET_SSE42 static inline const char *scan_sse42(const char *p, const struct scan_span *span,
                                                       enum scan_class class)
{
    SCAN_BLOCKS(p, span, class, 16, scan_stops_sse42);
}

SCAN_TARGET_AVX2 static inline const char *scan_avx2(const char *p, const struct scan_span *span,
                                                     enum scan_class class)
{
    SCAN_BLOCKS(p, span, class, 32, scan_stops_avx2);
}
#endif

/* First byte from p on that is not of the class, or span->end. */
ALWAYS_INLINE const char *scan(const char *p, const struct scan_span *span, enum scan_class class,
                               enum scan_level level)
{
#ifdef __x86_64__
    if (level == SCAN_AVX2)
        return scan_avx2(p, span, class);
    if (level == SCAN_SSE42)
        return scan_sse42(p, span, class);
#endif
    return scan_plain(p, span->end, class);
}

#endif
