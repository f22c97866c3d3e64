/* SPDX-License-Identifier: BSD-2-Clause */
/* RRsets as they are signed: canonical form and order (RFC 4034 section 6). */
#include "gslb-dns/sign/sign_internal.h"

#include "common/bytes/bytes.h"

#include <stdlib.h>
#include <string.h>

/* Types whose RDATA has names that are lower-cased (RFC 4034 section 6.2, less NSEC, RFC 6840
 * section 5.1; HINFO stands there by mistake and has none). What comes before the end of the last
 * name: a digit skips so many bytes, s is a character string, n a name, a an A6 address with its
 * name. */
static const struct {
    uint16_t type;
    const char *layout;
} LOWERED[] = {
    {WIRE_NS, "n"},
    {3, "n"},
    {4, "n"},
    {WIRE_CNAME, "n"},
    {WIRE_SOA, "nn"},
    {7, "n"},
    {8, "n"},
    {9, "n"},
    {WIRE_PTR, "n"},
    {14, "nn"},
    {WIRE_MX, "2n"},
    {17, "nn"},
    {18, "2n"},
    {21, "2n"},
    {24, "99n"},
    {26, "2nn"},
    {30, "n"},
    {WIRE_SRV, "6n"},
    {WIRE_NAPTR, "4sssn"},
    {36, "2n"},
    {38, "a"},
    {WIRE_DNAME, "n"},
    {WIRE_RRSIG, "99n"},
};

static const char *find_layout(uint16_t type)
{
    for (size_t i = 0; i < COUNT_OF(LOWERED); i++)
        if (LOWERED[i].type == type)
            return LOWERED[i].layout;
    return NULL;
}

size_t canonical_name_bytes(const uint8_t *name)
{
    size_t n = 1;

    while (name[n - 1] != 0)
        n += name[n - 1] + 1u;
    return n;
}

/* Lower-cases the name at p and returns its end; NULL: it does not end before end. */
static uint8_t *lower_name(uint8_t *p, uint8_t *end)
{
    for (;;) {
        uint8_t n;

        if (p == end)
            return NULL;
        n = *p++;
        if (n == 0)
            return p;
        if (end - p < n)
            return NULL;
        for (uint8_t i = 0; i < n; i++, p++)
            *p = text_lower(*p);
    }
}

static size_t a6_bytes(uint8_t prefix_bits)
{
    return 1 + (prefix_bits < 128 ? (128u - prefix_bits + 7) / 8 : 0);
}

/* RDATA that does not have the form of its type stays as it is from there on. */
static void lower_rdata(uint8_t *p, size_t n, const char *layout)
{
    uint8_t *end = p + n;

    for (; *layout != '\0' && p != NULL && p < end; layout++) {
        size_t skip = *layout == 's'   ? 1u + *p
                      : *layout == 'a' ? a6_bytes(*p)
                                       : (size_t)(*layout - '0');

        if (*layout == 'n')
            p = lower_name(p, end);
        else if ((size_t)(end - p) < skip)
            return;
        else
            p = *layout == 'a' && *p != 0 ? lower_name(p + skip, end) : p + skip;
    }
}

int canonical_compare(const void *x, const void *y)
{
    const struct sign_rdata *a = x, *b = y;
    size_t n = a->n < b->n ? a->n : b->n;
    int order = n > 0 ? memcmp(a->bytes, b->bytes, n) : 0;

    return order != 0 ? order : (int)a->n - (int)b->n;
}

static void reserve(struct scratch *s, size_t n_bytes, size_t n_order)
{
    if (s->cap < n_bytes) {
        s->cap = n_bytes + n_bytes / 2;
        s->bytes = base_realloc(s->bytes, s->cap);
    }
    if (s->cap_order < n_order) {
        s->cap_order = n_order + n_order / 2;
        s->order = base_realloc(s->order, s->cap_order * sizeof(s->order[0]));
    }
}

/* Copies of all RDATA in canonical form, from to on; s->order points to them in order. */
static void order_rdata(struct scratch *s, const struct sign_rrset *r, uint8_t *to)
{
    const char *layout = find_layout(r->type);

    for (size_t i = 0; i < r->n; i++) {
        memcpy(to, r->rdata[i].bytes, r->rdata[i].n);
        if (layout != NULL)
            lower_rdata(to, r->rdata[i].n, layout);
        s->order[i] = (struct sign_rdata){to, r->rdata[i].n};
        to += r->rdata[i].n;
    }
    if (r->n > 1)
        qsort(s->order, r->n, sizeof(s->order[0]), canonical_compare);
}

void canonical_rrset(struct scratch *s, const uint8_t *head, size_t n_head,
                     const struct sign_rrset *r)
{
    size_t n_owner = canonical_name_bytes(r->owner), rdata_bytes = 0, whole;
    struct writer w;

    for (size_t i = 0; i < r->n; i++)
        rdata_bytes += r->rdata[i].n;
    whole = n_head + r->n * (n_owner + 10) + rdata_bytes;
    reserve(s, whole + rdata_bytes, r->n);
    order_rdata(s, r, s->bytes + whole);
    w = writer_of(s->bytes, whole);
    writer_add(&w, head, n_head);
    for (size_t i = 0; i < r->n; i++) {
        if (i > 0 && canonical_compare(&s->order[i - 1], &s->order[i]) == 0)
            continue;
        writer_add(&w, r->owner, n_owner);
        writer_u16(&w, r->type);
        writer_u16(&w, WIRE_CLASS_IN);
        writer_u32(&w, r->ttl_s);
        writer_u16(&w, s->order[i].n);
        writer_add(&w, s->order[i].bytes, s->order[i].n);
    }
    ensure(!w.is_full);
    s->n = (size_t)(w.p - s->bytes);
}

void scratch_free(struct scratch *s)
{
    free(s->bytes);
    free(s->order);
    *s = (struct scratch){0};
}
