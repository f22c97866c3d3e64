/* SPDX-License-Identifier: BSD-2-Clause */
/* NOTIFY from primaries (RFC 1996): judged on the thread that received it, told to ours by a bell.
 */
#include "gslb-dns/secondary/secondary_internal.h"

#include "gslb-dns/transfer/transfer.h"

#include <stdlib.h>

enum wire_rcode secondary_notify_rcode(enum secondary_notify v)
{
    static const uint8_t rcodes[] = {
#define X(name, rcode, label) [SECONDARY_NOTIFY_##name] = rcode,
        SECONDARY_NOTIFIES(X)
#undef X
    };

    ensure(v < SECONDARY_NOTIFY_COUNT);
    return rcodes[v];
}

/* The SOA that it may bring in the answer section (section 3.7). What is no such SOA is no hint. */
static bool read_hint(const struct secondary_notice *n, uint32_t *out)
{
    struct reader r = reader_of(n->packet, n->packet_bytes);
    uint8_t name[WIRE_NAME_MAX];
    const uint8_t *fixed;
    struct reader rdata;

    if (bytes_get_u16(n->packet + 6) != 1)
        return false;
    r.p += WIRE_HEADER + n->query->question_bytes;
    if (!wire_skip_name(&r, n->packet) || (fixed = reader_take(&r, 10)) == NULL ||
        bytes_get_u16(fixed) != WIRE_SOA || bytes_get_u16(fixed + 2) != WIRE_CLASS_IN)
        return false;
    rdata = reader_of(fixed + 10, bytes_get_u16(fixed + 8));
    if (reader_take(&r, reader_left(&rdata)) == NULL ||
        wire_unpack_name(&rdata, n->packet, name) == 0 ||
        wire_unpack_name(&rdata, n->packet, name) == 0)
        return false;
    *out = reader_u32(&rdata);
    return !rdata.is_bad;
}

enum secondary_notify secondary_judge_notify(const struct world *w,
                                             const struct secondary_notice *n, bool *has_hint,
                                             uint32_t *hint)
{
    const struct world_zone *z = transfer_find_zone(w, &n->query->qname);

    *has_hint = false;
    if (z == NULL)
        return SECONDARY_NOTIFY_NOT_OURS;
    if (z->n_notifiers == 0)
        return SECONDARY_NOTIFY_NO_COPY;
    if (!transfer_is_peer(z->notifiers, z->n_notifiers, n->source, n->tsig))
        return SECONDARY_NOTIFY_STRANGER;
    *has_hint = read_hint(n, hint);
    return *has_hint && zone_is_available(z->zone) && !serial_is_newer(*hint, z->zone->serial)
               ? SECONDARY_NOTIFY_CURRENT
               : SECONDARY_NOTIFY_TAKEN;
}

/* ---- bells ---- */

/* A lock on the path of a message: of one that a primary sent, and held for a search. */
void secondary_ring(struct secondary *s, const struct wire_name *zone, const struct addr *source,
                    const uint32_t *hint)
{
    struct bell bell = {.is_rung = true,
                        .has_hint = hint != NULL,
                        .hint = hint != NULL ? *hint : 0,
                        .source = *source};
    struct zone_view *v;
    bool is_asleep = false;

    pthread_mutex_lock(&s->lock);
    v = view_find(s, zone);
    if (v != NULL) {
        bell_add(&v->bell, &bell);
        is_asleep = !s->is_woken;
        s->is_woken = true;
    }
    pthread_mutex_unlock(&s->lock);
    if (is_asleep)
        loop_post(s->loop, secondary_on_bells, s);
}

/* Moves the bells that were rung to their copies; the copies are NULL-terminated, and the caller's
 * to free. */
static struct copy **take_bells(struct secondary *s)
{
    struct copy **rung = base_alloc((s->n + 1) * sizeof(struct copy *));
    size_t n = 0;

    pthread_mutex_lock(&s->lock);
    s->is_woken = false;
    for (size_t i = 0; i < s->n_views; i++) {
        struct zone_view *v = &s->views[i];

        if (!v->bell.is_rung)
            continue;
        bell_add(&v->copy->bell, &v->bell);
        v->bell.is_rung = false;
        rung[n++] = v->copy;
    }
    pthread_mutex_unlock(&s->lock);
    rung[n] = NULL;
    return rung;
}

void secondary_on_bells(void *arg)
{
    struct copy **rung = take_bells(arg);

    for (struct copy **c = rung; *c != NULL; c++)
        copy_run(*c);
    free(rung);
}
