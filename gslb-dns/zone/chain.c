/* SPDX-License-Identifier: BSD-2-Clause */
/* The owners of NSEC and NSEC3 RRsets in their order, and what stands before a name there. */
#include "gslb-dns/zone/zone_internal.h"

#include <stdlib.h>
#include <string.h>

/* --- order -------------------------------------------------------------------------------- */

static void find_labels(const uint8_t *name, unsigned n_labels, uint8_t *offsets)
{
    size_t at = 0;

    for (unsigned i = 0; i < n_labels; i++) {
        offsets[i] = (uint8_t)at;
        at += 1u + name[at];
    }
}

int chain_compare(const uint8_t *a, unsigned a_labels, const uint8_t *b, unsigned b_labels)
{
    uint8_t a_at[WIRE_LABELS_MAX + 1], b_at[WIRE_LABELS_MAX + 1];
    unsigned n = a_labels < b_labels ? a_labels : b_labels;

    find_labels(a, a_labels, a_at);
    find_labels(b, b_labels, b_at);
    for (unsigned i = 1; i <= n; i++) {
        const uint8_t *x = a + a_at[a_labels - i], *y = b + b_at[b_labels - i];
        int order = memcmp(x + 1, y + 1, x[0] < y[0] ? x[0] : y[0]);

        if (order != 0)
            return order;
        if (x[0] != y[0])
            return x[0] < y[0] ? -1 : 1;
    }
    return a_labels < b_labels ? -1 : a_labels > b_labels;
}

/* The labels below the apex, the highest first, each with an end that sorts before any octet; an
 * octet is one more than itself, and the greatest two are one, which only makes keys equal. */
uint64_t chain_key(const uint8_t *name, unsigned n_labels, unsigned apex_labels)
{
    uint8_t at[WIRE_LABELS_MAX + 1];
    uint64_t key = 0;
    unsigned room = sizeof(key);

    find_labels(name, n_labels, at);
    for (unsigned i = n_labels - apex_labels; i > 0 && room > 0; i--) {
        const uint8_t *label = name + at[i - 1];

        for (unsigned k = 1; k <= label[0] && room > 0; k++, room--)
            key = key << 8 | (label[k] < UINT8_MAX ? label[k] + 1u : UINT8_MAX);
        if (room > 0) {
            key <<= 8;
            room--;
        }
    }
    return room < sizeof(key) ? key << (8 * room) : 0;
}

/* Base 32 with the extended hex alphabet, which keeps the order (RFC 4648 section 7). */
static int digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'v' ? c - 'a' + 10 : -1;
}

bool chain_hash_key(const uint8_t *label, uint64_t *out)
{
    uint64_t key = 0;

    if (label[0] != NSEC3_LABEL)
        return false;
    for (unsigned i = 1; i <= NSEC3_LABEL; i++) {
        int digit = digit_of(label[i]);

        if (digit < 0)
            return false;
        if (i <= 12)
            key = key << 5 | (unsigned)digit;
        else if (i == 13)
            key = key << 4 | (unsigned)digit >> 1;
    }
    *out = key;
    return true;
}

enum { HASH_LABEL_BYTES = 1 + NSEC3_LABEL };

void chain_write_hash(const uint8_t hash[SIGN_NSEC3_HASH_BYTES], uint8_t label[HASH_LABEL_BYTES])
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
    uint32_t bits = 0;
    unsigned n_bits = 0, n = 0;

    label[n++] = NSEC3_LABEL;
    for (unsigned i = 0; i < SIGN_NSEC3_HASH_BYTES; i++) {
        bits = bits << 8 | hash[i];
        for (n_bits += 8; n_bits >= 5; n_bits -= 5)
            label[n++] = (uint8_t)digits[bits >> (n_bits - 5) & 31];
    }
}

/* --- making ------------------------------------------------------------------------------- */

struct entry_of_chain {
    uint64_t key;
    const struct draft_name *name;
};

static int by_order(const void *a, const void *b)
{
    const struct entry_of_chain *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return chain_compare(x->name->name, x->name->n_labels, y->name->name, y->name->n_labels);
}

void chain_sort(const struct draft *d, uint32_t *names, uint32_t n)
{
    struct entry_of_chain *entries = base_zalloc(n, sizeof(entries[0]));

    for (uint32_t i = 0; i < n; i++) {
        const struct draft_name *name = &d->names[names[i]];

        entries[i].name = name;
        entries[i].key = chain_key(name->name, name->n_labels, d->apex.n_labels);
    }
    qsort(entries, n, sizeof(entries[0]), by_order);
    for (uint32_t i = 0; i < n; i++)
        names[i] = (uint32_t)(entries[i].name - d->names);
    free(entries);
}

static bool is_entry(const struct draft_name *n, enum zone_denial denial)
{
    return n->flags & (denial == ZONE_NSEC3 ? DRAFT_HAS_NSEC3 : DRAFT_HAS_NSEC);
}

/* Does what an NSEC or NSEC3 says comes next? */
static bool is_next(const struct draft *d, const struct draft_name *at,
                    const struct draft_name *next, enum zone_denial denial)
{
    const struct draft_record *r =
        draft_first(d, at, denial == ZONE_NSEC3 ? WIRE_NSEC3 : WIRE_NSEC);
    uint8_t label[HASH_LABEL_BYTES];
    size_t n;

    if (denial == ZONE_NSEC3) { /* RFC 5155 section 3.2 */
        n = r->rdata_bytes > 5 ? 6u + r->rdata[4] : r->rdata_bytes;
        if (n + SIGN_NSEC3_HASH_BYTES > r->rdata_bytes || r->rdata[n - 1] != SIGN_NSEC3_HASH_BYTES)
            return false;
        chain_write_hash(r->rdata + n, label);
        return memcmp(label, next->name, 1 + NSEC3_LABEL) == 0;
    }
    if (r->rdata_bytes < next->name_bytes)
        return false;
    for (n = 0; n < next->name_bytes; n++) {
        if (text_lower(r->rdata[n]) != next->name[n])
            return false;
    }
    return true;
}

static void check_links(const struct draft *d, const struct entry_of_chain *entries, uint32_t n,
                        enum zone_denial denial)
{
    char name[WIRE_NAME_TEXT], next[WIRE_NAME_TEXT];

    for (uint32_t i = 0; i < n; i++) {
        const struct draft_name *at = entries[i].name, *then = entries[(i + 1) % n].name;

        if (is_next(d, at, then, denial))
            continue;
        errors_warn(
            d->errors,
            draft_place(d, draft_first(d, at, denial == ZONE_NSEC3 ? WIRE_NSEC3 : WIRE_NSEC)),
            "the chain is broken: behind %s comes %s, but its %s says otherwise; "
            "validators may refuse what this zone says is not there: sign it anew",
            wire_name_format(at->name, name), wire_name_format(then->name, next),
            denial == ZONE_NSEC3 ? "NSEC3" : "NSEC");
        return;
    }
}

static void set_parameters(struct zone_chain *c, const struct draft *d)
{
    const struct draft_record *r = draft_first(d, &d->names[0], WIRE_NSEC3PARAM);

    c->iterations = bytes_get_u16(r->rdata + 2);
    c->n_salt = r->rdata[4];
    memcpy(c->salt, r->rdata + 5, c->n_salt);
}

struct zone_chain *chain_new(const struct draft *d, enum zone_denial denial, const uint8_t *base)
{
    struct entry_of_chain *entries;
    struct zone_chain *c;

    if (denial == ZONE_UNSIGNED || denial == ZONE_COMPACT)
        return NULL;
    c = base_zalloc(1, sizeof(*c));
    c->base = base;
    entries = base_zalloc(d->n_names, sizeof(entries[0]));
    for (uint32_t i = 0; i < d->n_names; i++) {
        const struct draft_name *n = &d->names[i];
        struct entry_of_chain *e = &entries[c->n];

        if (!is_entry(n, denial))
            continue;
        e->name = n;
        e->key = chain_key(n->name, n->n_labels, d->apex.n_labels);
        if (denial == ZONE_NSEC && n->node != NULL)
            c->n++;
        else if (chain_hash_key(n->name, &e->key))
            c->n++;
    }
    qsort(entries, c->n, sizeof(entries[0]), by_order);
    check_links(d, entries, c->n, denial);
    c->keys = base_zalloc(c->n + 1u, sizeof(c->keys[0]));
    c->refs = base_zalloc(c->n + 1u, sizeof(c->refs[0]));
    for (uint32_t i = 0; i < c->n; i++) {
        c->keys[i] = entries[i].key;
        c->refs[i] = (uint32_t)(((const uint8_t *)entries[i].name->node - base) / 8) + 1;
    }
    free(entries);
    if (denial == ZONE_NSEC3)
        set_parameters(c, d);
    return c;
}

void chain_free(const struct zone_chain *c)
{
    if (c == NULL)
        return;
    free(c->keys);
    free(c->refs);
    free((struct zone_chain *)c);
}

/* --- looking ------------------------------------------------------------------------------ */

static const struct zone_node *node_of(const struct zone_chain *c, uint32_t i)
{
    return (const struct zone_node *)(const void *)(c->base + 8 * (size_t)(c->refs[i] - 1));
}

/* How many keys are smaller. */
static uint32_t count_below(const struct zone_chain *c, uint64_t key)
{
    const uint64_t *from = c->keys;
    uint32_t n = c->n;

    while (n > 0) { /* without a jump that depends on a key */
        uint32_t half = n / 2;
        bool is_right = from[half] < key;

        from += is_right ? half + 1 : 0;
        n = is_right ? n - half - 1 : half;
    }
    return (uint32_t)(from - c->keys);
}

/* Among equal keys, from..to: how many names come before or at this one; the last of them at it? */
static const struct zone_node *pick(const struct zone_chain *c, uint64_t key, const uint8_t *name,
                                    unsigned n_labels, bool *is_exact)
{
    uint32_t from = count_below(c, key);
    uint32_t to = key < UINT64_MAX && from < c->n && c->keys[from] == key ? count_below(c, key + 1)
                  : from < c->n && c->keys[from] == key                   ? c->n
                                                                          : from;

    *is_exact = false;
    while (from < to) { /* the answer is the entry before the first one that is greater */
        uint32_t middle = from + (to - from) / 2;
        const struct zone_node *node = node_of(c, middle);
        int order = chain_compare(node->name, node->n_labels, name, n_labels);

        if (order == 0) {
            *is_exact = true;
            return node;
        }
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return node_of(c, from > 0 ? from - 1 : c->n - 1);
}

const struct zone_node *chain_find(const struct zone_chain *c, const uint8_t *name,
                                   unsigned n_labels, unsigned apex_labels, bool *is_exact)
{
    return pick(c, chain_key(name, n_labels, apex_labels), name, n_labels, is_exact);
}

const struct zone_node *chain_find_label(const struct zone_chain *c, const uint8_t *label,
                                         bool *is_exact)
{
    const struct zone_node *before = NULL;
    uint64_t key = 0;

    *is_exact = false;
    if (!chain_hash_key(label, &key))
        return NULL;
    /* Two hashes with equal keys are as good as never there. */
    for (uint32_t i = count_below(c, key); i < c->n && c->keys[i] == key; i++) {
        const struct zone_node *node = node_of(c, i);
        int order = memcmp(node->name, label, 1 + NSEC3_LABEL);

        if (order > 0)
            break;
        *is_exact = order == 0;
        before = node;
        if (order == 0)
            return node;
    }
    if (before == NULL) {
        uint32_t i = count_below(c, key);

        before = node_of(c, i > 0 ? i - 1 : c->n - 1);
    }
    return before;
}

const struct zone_node *chain_find_hash(const struct zone_chain *c,
                                        const uint8_t hash[SIGN_NSEC3_HASH_BYTES], bool *is_exact)
{
    uint8_t label[HASH_LABEL_BYTES];

    chain_write_hash(hash, label);
    return chain_find_label(c, label, is_exact);
}
