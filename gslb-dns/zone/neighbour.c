/* SPDX-License-Identifier: BSD-2-Clause */
/* Names that stand next to a name in canonical order (RFC 4471), between which and it nothing else
 * can be. A letter never becomes upper case, which would be another place in that order. */
#include "gslb-dns/zone/zone_internal.h"

#include <string.h>

enum { LABEL_MAX = 63, HIGHEST = 0xff };

/* The label, then the labels above the first of name. */
static size_t put_label(uint8_t *out, const uint8_t *label, size_t label_bytes, const uint8_t *name,
                        size_t n)
{
    size_t above = n - 1 - name[0];

    if (label_bytes == 0)
        return 0;
    memmove(out + 1, label, label_bytes);
    out[0] = (uint8_t)label_bytes;
    memcpy(out + 1 + label_bytes, name + 1 + name[0], above);
    return 1 + label_bytes + above;
}

/* Where the label can grow by an octet, that octet is zero. Else nothing is longer, and the next
 * one differs in its last octet that can be raised. */
size_t zone_name_behind(const uint8_t *name, size_t n, uint8_t *out)
{
    uint8_t label[LABEL_MAX];
    size_t k = name[0];

    memcpy(label, name + 1, k);
    if (k < LABEL_MAX && n < WIRE_NAME_MAX) {
        label[k++] = 0;
    } else {
        while (k > 0 && label[k - 1] == HIGHEST)
            k--;
        if (k > 0)
            label[k - 1] = label[k - 1] == '@' ? 'Z' + 1 : (uint8_t)(label[k - 1] + 1);
    }
    return put_label(out, label, k, name, n);
}

/* Where there is no room below it, what is behind is next. */
size_t zone_name_below(const uint8_t *name, size_t n, uint8_t *out)
{
    if (n + 2 > WIRE_NAME_MAX)
        return zone_name_behind(name, n, out);
    out[0] = 1;
    out[1] = 0;
    memcpy(out + 2, name, n);
    return n + 2;
}

/* A label of the highest octets, as long as there is room; in front of a name. */
static size_t put_last_below(uint8_t *out, const uint8_t *label, size_t k, const uint8_t *name,
                             size_t n)
{
    size_t n_above = n - name[0] + k, room = WIRE_NAME_MAX - n_above;
    size_t highest = room > LABEL_MAX + 1 ? LABEL_MAX : room - 1;

    if (room < 2)
        return 0;
    memset(out + 1, HIGHEST, highest);
    out[0] = (uint8_t)highest;
    return 1 + highest + put_label(out + 1 + highest, label, k, name, n);
}

/* A label that ends in zero follows all that lies below the label without it; any other one follows
 * the longest that begins like it and ends one lower. */
size_t zone_name_before(const uint8_t *name, size_t n, uint8_t *out)
{
    uint8_t label[LABEL_MAX];
    size_t k = name[0], room = WIRE_NAME_MAX - n;

    memcpy(label, name + 1, k);
    if (label[k - 1] == 0)
        return k > 1 ? put_last_below(out, label, k - 1, name, n) : 0;
    label[k - 1] = label[k - 1] == 'Z' + 1 ? '@' : (uint8_t)(label[k - 1] - 1);
    for (; k < LABEL_MAX && room > 0; room--)
        label[k++] = HIGHEST;
    return put_label(out, label, k, name, n);
}
