/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes small MaxMind DB files (format 2.0) for tests: any layout, family and record size, and
 * wrong ones on purpose. https://maxmind.github.io/MaxMind-DB/ describes the format.
 *
 *   struct mmdb m = mmdb_new(6, 28, "Test-City");
 *   mmdb_add(&m, "192.0.2.0/24", mmdb_put_city(&m, "DE", "EU", 52.5, 13.4));
 *   struct text file = mmdb_finish(&m);
 */
#ifndef TESTS_MMDB_WRITER_H
#define TESTS_MMDB_WRITER_H

#include "common/addr/addr.h"
#include "common/base/base.h"
#include "common/text/text.h"

#include <stdlib.h>
#include <string.h>

#define MMDB_EMPTY (-1)
#define MMDB_AT_DATA(offset) (-2 - (int64_t)(offset))

struct mmdb {
    unsigned ip_version, record_bits;
    const char *type;
    struct {
        int64_t child[2]; /* a node, MMDB_EMPTY, or MMDB_AT_DATA() */
    } * nodes;
    size_t n, cap;
    struct text data;
};

static inline int64_t mmdb_add_node(struct mmdb *m)
{
    BASE_GROW(m->nodes, m->n, m->cap);
    m->nodes[m->n].child[0] = m->nodes[m->n].child[1] = MMDB_EMPTY;
    return (int64_t)m->n++;
}

static inline struct mmdb mmdb_new(unsigned ip_version, unsigned record_bits, const char *type)
{
    struct mmdb m = {.ip_version = ip_version, .record_bits = record_bits, .type = type};

    mmdb_add_node(&m);
    return m;
}

/* ---- data ---- */

static inline void mmdb_u8(struct text *t, unsigned byte)
{
    uint8_t b = (uint8_t)byte;
    text_add(t, &b, 1);
}

static inline void mmdb_big_endian(struct text *t, uint64_t value, unsigned bytes)
{
    while (bytes-- > 0)
        mmdb_u8(t, (unsigned)(value >> (8 * bytes)) & 0xff);
}

static inline void mmdb_map(struct text *t, unsigned pairs)
{
    mmdb_u8(t, 7 << 5 | pairs);
}

static inline void mmdb_text(struct text *t, const char *s)
{
    ensure(strlen(s) < 29);
    mmdb_u8(t, 2 << 5 | (unsigned)strlen(s));
    text_adds(t, s);
}

static inline void mmdb_double(struct text *t, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    mmdb_u8(t, 3 << 5 | 8);
    mmdb_big_endian(t, bits, 8);
}

static inline void mmdb_float(struct text *t, float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    mmdb_u8(t, 4); /* extended type 15 */
    mmdb_u8(t, 15 - 7);
    mmdb_big_endian(t, bits, 4);
}

static inline void mmdb_u16(struct text *t, unsigned value)
{
    mmdb_u8(t, 5 << 5 | 2);
    mmdb_big_endian(t, value, 2);
}

static inline void mmdb_u32(struct text *t, uint32_t value)
{
    mmdb_u8(t, 6 << 5 | 4);
    mmdb_big_endian(t, value, 4);
}

static inline void mmdb_u64(struct text *t, uint64_t value)
{
    mmdb_u8(t, 8);
    mmdb_u8(t, 9 - 7);
    mmdb_big_endian(t, value, 8);
}

/* A pointer to an offset below 2048. */
static inline void mmdb_pointer(struct text *t, unsigned offset)
{
    ensure(offset < 2048);
    mmdb_u8(t, 1 << 5 | offset >> 8);
    mmdb_u8(t, offset & 0xff);
}

static inline uint32_t mmdb_put_country(struct mmdb *m, const char *key, const char *code)
{
    uint32_t at = (uint32_t)m->data.n;

    mmdb_map(&m->data, 1);
    mmdb_text(&m->data, key);
    mmdb_map(&m->data, 1);
    mmdb_text(&m->data, "iso_code");
    mmdb_text(&m->data, code);
    return at;
}

static inline uint32_t mmdb_put_city(struct mmdb *m, const char *code, const char *continent,
                                     double latitude, double longitude)
{
    uint32_t at = (uint32_t)m->data.n;

    mmdb_map(&m->data, 3);
    mmdb_text(&m->data, "country");
    mmdb_map(&m->data, 1);
    mmdb_text(&m->data, "iso_code");
    mmdb_text(&m->data, code);
    mmdb_text(&m->data, "continent");
    mmdb_map(&m->data, 1);
    mmdb_text(&m->data, "code");
    mmdb_text(&m->data, continent);
    mmdb_text(&m->data, "location");
    mmdb_map(&m->data, 2);
    mmdb_text(&m->data, "latitude");
    mmdb_double(&m->data, latitude);
    mmdb_text(&m->data, "longitude");
    mmdb_double(&m->data, longitude);
    return at;
}

static inline void mmdb_degrees(struct text *t, char kind, double value)
{
    char digits[32];

    snprintf(digits, sizeof(digits), "%.4f", value);
    if (kind == 'd')
        mmdb_double(t, value);
    else if (kind == 'f')
        mmdb_float(t, (float)value);
    else
        mmdb_text(t, digits);
}

/* kind: d double, f float, t text; 0: no coordinates. */
static inline uint32_t mmdb_put_flat(struct mmdb *m, const char *code, char kind, double latitude,
                                     double longitude)
{
    uint32_t at = (uint32_t)m->data.n;

    mmdb_map(&m->data, kind ? 3 : 1);
    mmdb_text(&m->data, "country_code");
    mmdb_text(&m->data, code);
    if (kind == 0)
        return at;
    mmdb_text(&m->data, "latitude");
    mmdb_degrees(&m->data, kind, latitude);
    mmdb_text(&m->data, "longitude");
    mmdb_degrees(&m->data, kind, longitude);
    return at;
}

/* ---- the tree ---- */

static inline unsigned mmdb_bit(const struct mmdb *m, const struct prefix *p, unsigned i)
{
    if (m->ip_version == 6 && p->ip.family == 4) {
        if (i < 96)
            return 0;
        i -= 96;
    }
    return p->ip.bytes[i / 8] >> (7 - i % 8) & 1;
}

/* Puts a record, or MMDB_AT_DATA(offset), or a node for a link, at a prefix; the longer prefix wins
 * in any order. */
static inline void mmdb_link(struct mmdb *m, const char *prefix, int64_t record)
{
    struct prefix p;
    unsigned length;
    int64_t at = 0;

    ensure(prefix_parse(str_of(prefix), &p));
    length = p.length + (m->ip_version == 6 && p.ip.family == 4 ? 96 : 0);
    ensure(length > 0);
    for (unsigned i = 0; i + 1 < length; i++) {
        unsigned side = mmdb_bit(m, &p, i);
        int64_t next = m->nodes[at].child[side];
        if (next < 0) {
            int64_t fresh = mmdb_add_node(m);
            m->nodes[fresh].child[0] = m->nodes[fresh].child[1] = next;
            m->nodes[at].child[side] = next = fresh;
        }
        at = next;
    }
    m->nodes[at].child[mmdb_bit(m, &p, length - 1)] = record;
}

static inline void mmdb_add(struct mmdb *m, const char *prefix, uint32_t data)
{
    mmdb_link(m, prefix, MMDB_AT_DATA(data));
}

/* The node at 96 zero bits, for mmdb_link to embed IPv4 elsewhere as MaxMind does. */
static inline int64_t mmdb_v4_root(const struct mmdb *m)
{
    int64_t at = 0;

    for (unsigned i = 0; i < 96; i++)
        at = m->nodes[at].child[0];
    return at;
}

/* ---- the file ---- */

static inline uint64_t mmdb_record(const struct mmdb *m, int64_t child)
{
    if (child >= 0)
        return (uint64_t)child;
    return child == MMDB_EMPTY ? m->n : m->n + 16 + (uint64_t)(-2 - child);
}

static inline void mmdb_metadata(struct text *t, const struct mmdb *m)
{
    text_adds(t, "\xab\xcd\xef"
                 "MaxMind.com");
    mmdb_map(t, 9);
    mmdb_text(t, "node_count");
    mmdb_u32(t, (uint32_t)m->n);
    mmdb_text(t, "record_size");
    mmdb_u16(t, m->record_bits);
    mmdb_text(t, "ip_version");
    mmdb_u16(t, m->ip_version);
    mmdb_text(t, "database_type");
    mmdb_text(t, m->type);
    mmdb_text(t, "languages");
    mmdb_u8(t, 0); /* an array of none */
    mmdb_u8(t, 11 - 7);
    mmdb_text(t, "binary_format_major_version");
    mmdb_u16(t, 2);
    mmdb_text(t, "binary_format_minor_version");
    mmdb_u16(t, 0);
    mmdb_text(t, "build_epoch");
    mmdb_u64(t, 1790000000);
    mmdb_text(t, "description");
    mmdb_map(t, 0);
}

/* The whole file; frees m. */
static inline struct text mmdb_finish(struct mmdb *m)
{
    struct text t = {0};

    for (size_t i = 0; i < m->n; i++) {
        uint64_t left = mmdb_record(m, m->nodes[i].child[0]);
        uint64_t right = mmdb_record(m, m->nodes[i].child[1]);
        if (m->record_bits == 28) {
            mmdb_big_endian(&t, left & 0xffffff, 3);
            mmdb_u8(&t, (unsigned)(left >> 24 << 4 | right >> 24));
            mmdb_big_endian(&t, right & 0xffffff, 3);
        } else {
            mmdb_big_endian(&t, left, m->record_bits / 8);
            mmdb_big_endian(&t, right, m->record_bits / 8);
        }
    }
    mmdb_big_endian(&t, 0, 8);
    mmdb_big_endian(&t, 0, 8);
    text_add(&t, m->data.p, m->data.n);
    mmdb_metadata(&t, m);
    free(m->nodes);
    text_free(&m->data);
    return t;
}

#endif
