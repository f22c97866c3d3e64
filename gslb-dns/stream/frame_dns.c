/* SPDX-License-Identifier: BSD-2-Clause */
/* Two bytes of length before each message (RFC 1035 section 4.2.2), many on one connection (RFC
 * 7766 section 6.2.1.1), length and message in one write (section 8). */
#include "gslb-dns/stream/stream_internal.h"

#include "common/bytes/bytes.h"
#include "common/proxy/proxy.h"
#include "common/snapshot/snapshot.h"

#include <stdlib.h>

enum { TRANSFER_BYTES = 128 * 1024 }; /* about what one write takes */

/* How long the connection may rest after this answer, as it may be told (RFC 7828 section 3.3.2):
 * whoever is asked to leave room, or finds the server stopping, had better not come back. */
static uint32_t keepalive_ms(const struct worker *w)
{
    return w->is_stopping || shares_total(w->shares) >= w->max_connections ? 0 : w->idle_ms;
}

/* Whole messages at p become queries; how many bytes they take. */
static size_t gather_queries(struct connection *c, const uint8_t *p, size_t n, size_t *n_queries)
{
    struct worker *w = c->worker;
    uint32_t keepalive = keepalive_ms(w);
    size_t at = 0, found = 0;

    while (found < BATCH && n - at >= FRAME) {
        size_t bytes = bytes_get_u16(p + at);

        if (n - at - FRAME < bytes)
            break;
        w->queries[found] = (struct answer_query){.packet = p + at + FRAME,
                                                  .packet_bytes = (uint32_t)bytes,
                                                  .transport = c->transport,
                                                  .source = &c->peer,
                                                  .keepalive_ms = keepalive,
                                                  .out = w->answers[found] + FRAME,
                                                  .out_cap_bytes = MESSAGE_MAX};
        found++;
        at += FRAME + bytes;
    }
    *n_queries = found;
    return at;
}

static struct iovec frame_of(uint8_t *answer, uint32_t bytes)
{
    bytes_put_u16(answer, (uint16_t)bytes);
    return (struct iovec){answer, FRAME + bytes};
}

/* A message that deserves no answer is no DNS query: the stream is not worth reading on. What was
 * asked before it is answered. */
static int answer_queries(struct connection *c, size_t n)
{
    struct worker *w = c->worker;
    size_t frames = 0;
    int end = GOES_ON;

    snapshot_enter();
    w->handler->answer(w->context, w->queries, n);
    snapshot_leave();
    for (size_t i = 0; i < n; i++) {
        if (unlikely(w->queries[i].stream != NULL))
            connection_add_transfer(c, w->queries[i].stream);
    }
    for (; frames < n && w->queries[frames].out_bytes > 0; frames++)
        w->frames[frames] = frame_of(w->answers[frames], w->queries[frames].out_bytes);
    connection_mark_used(c);
    if (frames > 0)
        end = connection_write(c, w->frames, frames);
    return end == GOES_ON && frames < n ? ANSWER_COUNTER_TCP_CLOSED_FRAME : end;
}

/* From a peer that is not believed, a PROXY header would be read as the beginning of a message of
 * 3338 bytes. */
int frame_dns_serve(struct connection *c, const uint8_t *p, size_t n)
{
    if (unlikely(proxy_has_signature(p, n)))
        return ANSWER_COUNTER_TCP_CLOSED_PROXY;
    while (!c->is_blocked && c->n_transfers < TRANSFERS_MAX) {
        size_t n_queries, taken = gather_queries(c, p, n, &n_queries);
        int end;

        if (n_queries == 0)
            break;
        end = answer_queries(c, n_queries);
        if (end != GOES_ON)
            return end;
        p += taken;
        n -= taken;
    }
    rest_keep(&c->in, p, n);
    return GOES_ON;
}

/* Transfers of one connection take turns, message by message. */
int frame_dns_transfer(struct connection *c)
{
    struct worker *w = c->worker;
    size_t n = 0, total = 0;
    struct transfer *t;

    snapshot_enter();
    while (n < BATCH && total < TRANSFER_BYTES && (t = TAILQ_FIRST(&c->transfers)) != NULL) {
        uint32_t bytes =
            w->handler->next(w->context, t->stream, w->answers[n] + FRAME, MESSAGE_MAX);

        TAILQ_REMOVE(&c->transfers, t, link);
        if (bytes == 0) {
            c->n_transfers--;
            free(t);
            continue;
        }
        TAILQ_INSERT_TAIL(&c->transfers, t, link);
        w->frames[n] = frame_of(w->answers[n], bytes);
        total += w->frames[n++].iov_len;
    }
    snapshot_leave();
    if (n == 0)
        return GOES_ON;
    connection_mark_used(c);
    return connection_write(c, w->frames, n);
}
