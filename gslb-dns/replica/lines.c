/* SPDX-License-Identifier: BSD-2-Clause */
/* Replicas in memory. To apply differences, all lines are put into a table by their hash; a line
 * that goes is marked, one that comes stands behind the others. */
#include "gslb-dns/replica/replica_internal.h"

#include "common/bytes/bytes.h"
#include "common/siphash/siphash.h"

#include <stdlib.h>
#include <string.h>

bool replica_read_soa(const uint8_t *rdata, size_t n, struct replica_soa *out)
{
    enum { NUMBERS = 20 };
    const uint8_t *p = rdata + n - NUMBERS;

    if (n < NUMBERS)
        return false;
    *out = (struct replica_soa){bytes_get_u32(p), bytes_get_u32(p + 4), bytes_get_u32(p + 8),
                                bytes_get_u32(p + 12)};
    return out->refresh_s <= INT32_MAX && out->retry_s <= INT32_MAX && out->expire_s <= INT32_MAX &&
           bytes_get_u32(p + 16) <= INT32_MAX;
}

struct replica *replica_hold(struct replica *r)
{
    atomic_fetch_add(&r->refs, 1);
    return r;
}

void replica_release(struct replica *r)
{
    if (r == NULL || atomic_fetch_sub(&r->refs, 1) > 1)
        return;
    free(r->text);
    free(r);
}

struct replica *replica_new(struct text *text, size_t n_records, const struct replica_soa *soa)
{
    struct replica *r = base_zalloc(1, sizeof(*r));

    r->refs = 1;
    r->soa = *soa;
    r->n_records = n_records;
    r->text = text->p;
    r->n = text->n;
    *text = (struct text){0};
    return r;
}

/* ---- whole ---- */

void replica_lines_free(struct replica_lines *l)
{
    text_free(&l->text);
    l->n = 0;
}

void replica_add(struct replica_lines *l, const struct zone_wire_record *record)
{
    zone_print_record(record, &l->text);
    l->n++;
}

void replica_add_change(struct replica_lines *l, bool is_added,
                        const struct zone_wire_record *record)
{
    text_adds(&l->text, is_added ? "+" : "-");
    replica_add(l, record);
}

/* The SOA's line alone, with room for what follows. */
static struct text begin_text(const struct zone_wire_record *soa, struct replica_soa *out)
{
    struct text text = {0};

    ensure(soa->type == WIRE_SOA && replica_read_soa(soa->rdata, soa->rdata_bytes, out));
    zone_print_record(soa, &text);
    return text;
}

struct replica *replica_of_lines(struct replica_lines *l, const struct zone_wire_record *soa)
{
    struct replica_soa facts;
    struct text text = begin_text(soa, &facts);
    size_t n = text.n, whole = n + l->text.n;
    struct replica *r;

    /* One block: the SOA's line moves in front of the others. */
    text_add(&l->text, text.p, n);
    memmove(l->text.p + n, l->text.p, whole - n);
    memcpy(l->text.p, text.p, n);
    l->text.p[whole] = '\0';
    l->text.n = whole;
    text_free(&text);
    r = replica_new(&l->text, l->n + 1, &facts);
    replica_lines_free(l);
    return r;
}

/* ---- changed ---- */

struct line {
    const char *p;
    size_t n; /* without its newline */
    bool is_gone;
};

struct table {
    struct siphash_key key; /* so that no primary can make lines collide */
    struct line *lines;
    size_t n, n_left;
    uint32_t *slots; /* a line's number + 1; 0: empty */
    size_t mask;
};

static size_t slot_of(const struct table *t, const char *p, size_t n)
{
    size_t slot = siphash_24(&t->key, p, n) & t->mask;

    while (t->slots[slot] != 0) {
        const struct line *l = &t->lines[t->slots[slot] - 1];

        if (l->n == n && memcmp(l->p, p, n) == 0)
            break;
        slot = (slot + 1) & t->mask;
    }
    return slot;
}

/* One that has gone may come again, at its old place. False: it is there. */
static bool put_line(struct table *t, const char *p, size_t n)
{
    size_t slot = slot_of(t, p, n);
    uint32_t number = t->slots[slot];

    if (number != 0 && !t->lines[number - 1].is_gone)
        return false;
    if (number == 0) {
        t->lines[t->n++] = (struct line){p, n, false};
        t->slots[slot] = (uint32_t)t->n;
    } else {
        t->lines[number - 1].is_gone = false;
    }
    t->n_left++;
    return true;
}

static bool drop_line(struct table *t, const char *p, size_t n)
{
    uint32_t number = t->slots[slot_of(t, p, n)];

    if (number == 0 || t->lines[number - 1].is_gone)
        return false;
    t->lines[number - 1].is_gone = true;
    t->n_left--;
    return true;
}

static void table_init(struct table *t, size_t cap)
{
    *t = (struct table){.key = siphash_key_random(), .mask = 15};
    while (t->mask < 2 * cap)
        t->mask = 2 * t->mask + 1;
    t->lines = base_alloc((cap + 1) * sizeof(t->lines[0]));
    t->slots = base_zalloc(t->mask + 1, sizeof(t->slots[0]));
}

static void table_free(struct table *t)
{
    free(t->lines);
    free(t->slots);
}

/* All lines but the SOA's. A record that a primary sent twice is there once. */
static void put_base(struct table *t, const struct replica *base)
{
    const char *end = base->text + base->n, *p = memchr(base->text, '\n', base->n);

    for (p = p != NULL ? p + 1 : end; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((newline != NULL ? newline : end) - p);

        (void)put_line(t, p, n);
        p += n + 1;
    }
}

static struct outcome change(struct table *t, const struct replica_lines *changes, char **why)
{
    const char *p = changes->text.p, *end = p + changes->text.n;

    while (p < end) {
        size_t n = (size_t)((const char *)memchr(p, '\n', (size_t)(end - p)) - p);
        bool is_added = *p == '+';

        if (is_added ? !put_line(t, p + 1, n - 1) : !drop_line(t, p + 1, n - 1)) {
            *why = base_printf(is_added ? "a record is to come that is there: %.*s"
                                        : "a record is to go that is not there: %.*s",
                               (int)(n > 200 ? 200 : n) - 1, p + 1);
            return OUTCOME_FAILED;
        }
        p += n + 1;
    }
    return OUTCOME_OK;
}

static struct replica *gather(const struct table *t, const struct zone_wire_record *soa)
{
    struct replica_soa facts;
    struct text text = begin_text(soa, &facts);
    size_t n = text.n;

    for (size_t i = 0; i < t->n; i++)
        n += t->lines[i].is_gone ? 0 : t->lines[i].n + 1;
    text.p = base_realloc(text.p, n + 1);
    text.cap = n + 1;
    for (size_t i = 0; i < t->n; i++) {
        if (t->lines[i].is_gone)
            continue;
        text_add(&text, t->lines[i].p, t->lines[i].n);
        text_add(&text, "\n", 1);
    }
    return replica_new(&text, t->n_left + 1, &facts);
}

struct replica *replica_amend(const struct replica *base, const struct replica_lines *changes,
                              const struct zone_wire_record *soa, char **why)
{
    struct replica *r = NULL;
    struct table t;

    table_init(&t, base->n_records + changes->n);
    put_base(&t, base);
    if (!has_failed(change(&t, changes, why)))
        r = gather(&t, soa);
    table_free(&t);
    return r;
}
