/* SPDX-License-Identifier: BSD-2-Clause */
/* The request of an exchange: its head, and its body as fast as the client gives and the origin
 * takes. */
#include "edge-proxy/upstream/upstream_internal.h"

#include <string.h>
#include <sys/socket.h>

static enum wire_verdict send_some(struct upstream_exchange *x, const struct iovec *iov, int n_iov,
                                   size_t *n)
{
    enum wire_verdict v = wire_write(x->u->w, dial_wire(x->c), iov, n_iov, n);

    if (*n > 0)
        x->has_sent = true;
    return v;
}

/* What the kernel did not take of the head waits in a buffer of its own. */
static enum wire_verdict flush_head(struct upstream_exchange *x)
{
    size_t n;
    enum wire_verdict v;

    if (x->out == NULL)
        return WIRE_OK;
    v = send_some(x, &(struct iovec){x->out->bytes + x->out->start, x->out->end - x->out->start}, 1,
                  &n);
    x->out->start += (uint32_t)n;
    if (v == WIRE_OK && x->out->start < x->out->end)
        return WIRE_AGAIN_WRITE;
    if (x->out->start == x->out->end) {
        buffer_give(x->u->w, x->out);
        x->out = NULL;
    }
    return v;
}

/* The slices of the next piece of the body: as it is, or as a chunk. Returns their number. */
static int body_slices(struct upstream_exchange *x, struct str data,
                       struct iovec iov[1 + CHUNKER_SLICES])
{
    struct iovec slice = {(void *)data.p, data.n};

    iov[x->r.is_body_chunked] = slice;
    return x->r.is_body_chunked ? chunker_wrap(&x->chunker, iov, 1) : 1;
}

/* n bytes of those slices were sent. */
static void body_sent(struct upstream_exchange *x, size_t n)
{
    if (x->r.is_body_chunked)
        n = chunker_sent(&x->chunker, n);
    if (n > 0)
        x->r.ops->body_consume(x->r.arg, n);
}

/* The last chunk, through the head's buffer: a few bytes, seldom. */
static void queue_bytes(struct upstream_exchange *x, const char *bytes, size_t n)
{
    if (x->out == NULL)
        x->out = buffer_take(x->u->w);
    memcpy(x->out->bytes + x->out->end, bytes, n);
    x->out->end += (uint32_t)n;
}

/* RFC 9112 section 7.1.2. */
static void queue_last_chunk(struct upstream_exchange *x)
{
    struct writer w;

    queue_bytes(x, HTTP_LAST_CHUNK, sizeof(HTTP_LAST_CHUNK) - 1);
    w = writer_of(x->out->bytes + x->out->end, sizeof(x->out->bytes) - x->out->end - 2);
    x->r.ops->write_trailers(x->r.arg, &w);
    if (!w.is_full) /* else without: there may always be none */
        x->out->end = (uint32_t)((char *)w.p - x->out->bytes);
    queue_bytes(x, "\r\n", 2);
}

static enum wire_verdict end_body(struct upstream_exchange *x)
{
    x->is_request_sent = true;
    if (x->is_tunnel) {
        wire_shut_write(x->u->w, dial_wire(x->c));
        (void)shutdown(dial_wire(x->c)->fd, SHUT_WR);
        return WIRE_OK;
    }
    if (x->r.has_body && x->r.is_body_chunked)
        queue_last_chunk(x);
    if (x->has_head)
        exchange_set_idle(x);
    else
        dial_set_timeout(x->c, x->pool->config->first_byte_timeout_ms);
    return flush_head(x);
}

static enum wire_verdict send_body(struct upstream_exchange *x)
{
    struct iovec iov[1 + CHUNKER_SLICES];
    struct str data = {NULL, 0};
    enum wire_verdict v;
    size_t n;

    for (;;) {
        enum body_verdict b = BODY_DATA;

        data.n = 0;
        if (!chunker_needs_no_data(&x->chunker))
            b = x->r.ops->body_peek(x->r.arg, &data);
        if (b == BODY_WAIT) {
            if (!x->is_tunnel) /* the client's turn, by its own clock */
                dial_clear_timeout(x->c);
            return WIRE_OK;
        }
        if (b == BODY_FAILED)
            return WIRE_ERROR;
        if (b == BODY_END)
            return end_body(x);
        v = send_some(x, iov, body_slices(x, data, iov), &n);
        body_sent(x, n);
        if (v != WIRE_OK)
            return v;
        exchange_set_idle(x);
        if (n == 0)
            return WIRE_AGAIN_WRITE;
    }
}

/* An origin that stops reading may still have an answer to read: not yet a failure. */
void exchange_pump(struct upstream_exchange *x)
{
    enum wire_verdict v;

    if (x->is_request_sent && x->out == NULL && !wire_has_rest(dial_wire(x->c)))
        return;
    v = wire_flush(x->u->w, dial_wire(x->c));
    if (v == WIRE_OK)
        v = flush_head(x);
    if (v == WIRE_OK && !x->is_request_sent)
        v = send_body(x);
    if (v == WIRE_ERROR || v == WIRE_EOF) {
        x->is_request_sent = x->is_request_broken = true;
        buffer_give(x->u->w, x->out);
        x->out = NULL;
        exchange_set_idle(x);
    }
    dial_want(x->c,
              (short)((dial_interest(x->c) & EV_READ) | (v == WIRE_AGAIN_WRITE ? EV_WRITE : 0)));
}

enum wire_verdict exchange_send_head(struct upstream_exchange *x, const char *bytes, size_t n)
{
    size_t sent;
    enum wire_verdict v = send_some(x, &(struct iovec){(void *)bytes, n}, 1, &sent);

    if (v != WIRE_ERROR && v != WIRE_EOF && sent < n)
        queue_bytes(x, bytes + sent, n - sent);
    return v;
}
