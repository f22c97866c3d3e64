/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge-proxy/flow/flow.h"

#include "common/clock/clock.h"

#include <string.h>

void body_start(struct body *body, struct buffer *b, enum http_body kind, uint64_t length)
{
    *body = (struct body){.kind = kind, .left_bytes = length};
    b->floor = body->ready = body->ready_end = b->start;
    body->is_ended = kind == HTTP_BODY_NONE || (kind == HTTP_BODY_LENGTH && length == 0);
}

static void take_plain(struct body *body, struct buffer *b, uint64_t most)
{
    size_t n = b->end - b->start;

    if (n > most)
        n = (size_t)most;
    b->start += (uint32_t)n;
    body->ready_end += (uint32_t)n;
    if (body->kind == HTTP_BODY_LENGTH) {
        body->left_bytes -= n;
        body->is_ended = body->left_bytes == 0;
    }
}

/* Chunks are joined in place: data moves to the front, over the framing before it. */
static void take_chunks(struct body *body, struct buffer *b)
{
    struct str in = buffer_data(b), data;
    enum http_verdict v;

    while ((v = http_chunked_next(&body->chunked, &in, &data, NULL)) == HTTP_DATA) {
        uint32_t at = (uint32_t)(data.p - b->bytes);

        if (body->ready == body->ready_end)
            body->ready = body->ready_end = at;
        else if (at != body->ready_end)
            memmove(b->bytes + body->ready_end, data.p, data.n);
        body->ready_end += (uint32_t)data.n;
    }
    b->start = (uint32_t)(in.p - b->bytes);
    body->is_ended = v == HTTP_DONE;
    if (body->is_ended) {
        body->trailer_bytes = body->chunked.trailer_bytes;
        body->trailers = b->start - body->trailer_bytes;
    }
    if (http_is_refusal(v))
        body->failure = v;
}

static void take_more(struct body *body, struct buffer *b)
{
    if (body->is_ended || b->start == b->end || http_is_refusal(body->failure))
        return;
    if (body->ready == body->ready_end)
        body->ready = body->ready_end = b->start;
    if (body->kind == HTTP_BODY_CHUNKED)
        take_chunks(body, b);
    else
        take_plain(body, b,
                   body->kind == HTTP_BODY_LENGTH ? body->left_bytes : (uint64_t)UINT32_MAX);
}

enum body_verdict body_peek(struct body *body, struct buffer *b, struct str *data)
{
    take_more(body, b);
    if (body->ready < body->ready_end) {
        *data = (struct str){b->bytes + body->ready, body->ready_end - body->ready};
        return BODY_DATA;
    }
    if (body->is_ended)
        return BODY_END;
    if (http_is_refusal(body->failure))
        return BODY_FAILED;
    if (!body->is_eof)
        return BODY_WAIT;
    body->is_ended = body->kind == HTTP_BODY_UNTIL_CLOSE;
    return body->is_ended ? BODY_END : BODY_FAILED;
}

void body_consume(struct body *body, struct buffer *b, size_t n)
{
    ensure(n <= body->ready_end - body->ready);
    body->ready += (uint32_t)n;
    if (body->ready < body->ready_end)
        return;
    /* Nothing is held: the next read starts at the floor again. */
    if (b->start == b->end)
        b->start = b->end = b->floor;
    body->ready = body->ready_end = b->start;
}

/* Nothing is read into the buffer behind a body that has ended, so they still lie there. */
void body_write_trailers(const struct body *body, const struct buffer *b, struct writer *w)
{
    if (body->is_ended && body->trailer_bytes > 2)
        http_write_trailers(w, (struct str){b->bytes + body->trailers, body->trailer_bytes});
}

size_t body_room(struct body *body, struct buffer *b)
{
    uint32_t held = body->ready_end - body->ready, raw = b->end - b->start;
    uint32_t gap = b->start - body->ready_end, total = held + gap + raw;

    if (b->end < BUFFER_BYTES && sizeof(b->bytes) - b->end >= sizeof(b->bytes) / 4)
        return sizeof(b->bytes) - b->end;
    if (body->ready > b->floor) {
        memmove(b->bytes + b->floor, b->bytes + body->ready, total);
        body->ready = b->floor;
        body->ready_end = b->floor + held;
        b->start = body->ready_end + gap;
        b->end = b->start + raw;
    }
    return sizeof(b->bytes) - b->end;
}

uint32_t body_time_ms(const struct wheel_timer *t, size_t n, uint32_t min_rate_bytes,
                      uint32_t most_ms)
{
    int64_t left_ms = t->deadline_ms - clock_coarse_ms();
    uint64_t ms;

    if (min_rate_bytes == 0)
        return most_ms;
    ms = (left_ms > 0 ? (uint64_t)left_ms : 0) + (uint64_t)n * 1000 / min_rate_bytes;
    return ms < most_ms ? (uint32_t)ms : most_ms;
}
