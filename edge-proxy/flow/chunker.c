/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge-proxy/flow/flow.h"

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void begin_chunk(struct chunker *c, const struct iovec *iov, int n)
{
    struct writer w = writer_of(c->head, sizeof(c->head));

    for (int i = 1; i <= n; i++)
        c->left_bytes += iov[i].iov_len;
    http_write_chunk_head(&w, c->left_bytes);
    c->head_bytes = (uint8_t)((char *)w.p - c->head);
    c->head_sent = 0;
    c->tail_left = 2;
}

int chunker_wrap(struct chunker *c, struct iovec *iov, int n)
{
    uint64_t left;

    if (c->left_bytes == 0 && c->tail_left == 0)
        begin_chunk(c, iov, n);
    left = c->left_bytes;
    for (int i = 1; i <= n; i++) {
        iov[i].iov_len = (size_t)least(iov[i].iov_len, left);
        left -= iov[i].iov_len;
    }
    iov[0] = (struct iovec){c->head + c->head_sent, (size_t)(c->head_bytes - c->head_sent)};
    iov[n + 1] = (struct iovec){&HTTP_CHUNK_END[2 - c->tail_left], c->tail_left};
    return n + 2;
}

size_t chunker_sent(struct chunker *c, size_t n)
{
    size_t head = least(n, (size_t)(c->head_bytes - c->head_sent));
    size_t data = least(n - head, c->left_bytes);

    c->head_sent = (uint8_t)(c->head_sent + head);
    c->left_bytes -= data;
    c->tail_left = (uint8_t)(c->tail_left - (n - head - data));
    return data;
}
