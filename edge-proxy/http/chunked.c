/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chunked bodies (RFC 9112 section 7.1), read strictly: no byte is skipped without being looked at,
 * sizes are hexadecimal digits directly followed by ";" or CRLF, and what ends a line or a chunk is
 * CR and LF. Extensions are dropped, within bounds.
 */
#include "edge-proxy/http/http_internal.h"

/* 16 digits hold every size that is not an overflow; more are a trick, even zeros. */
#define SIZE_DIGITS_MAX 16

enum state { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, ENDED };

static inline int hex_digit(uint8_t c)
{
    if ((uint8_t)(c - '0') < 10)
        return c - '0';
    c |= 0x20;
    return (uint8_t)(c - 'a') < 6 ? c - 'a' + 10 : -1;
}

static enum http_verdict read_size(struct http_chunked *c, uint8_t byte)
{
    int digit = hex_digit(byte);

    if (digit >= 0) {
        if (++c->digits > SIZE_DIGITS_MAX || c->left_bytes > (uint64_t)INT64_MAX >> 4)
            return HTTP_CHUNK_TOO_LARGE;
        c->left_bytes = c->left_bytes << 4 | (unsigned)digit;
        return HTTP_MORE;
    }
    if (c->digits == 0)
        return HTTP_BAD_CHUNK_SIZE;
    if (byte == '\r')
        c->state = SIZE_LF;
    else if (byte == ';')
        c->state = EXTENSION;
    else
        return byte == '\n' ? HTTP_BAD_LINE_END : HTTP_BAD_CHUNK_SIZE;
    c->extension_bytes = 0;
    return HTTP_MORE;
}

static enum http_verdict read_extension(struct http_chunked *c, uint8_t byte)
{
    if (byte == '\r') {
        c->state = SIZE_LF;
        return HTTP_MORE;
    }
    if (byte == '\n')
        return HTTP_BAD_LINE_END;
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
        return HTTP_BAD_CHUNK_EXTENSION;
    if (++c->extension_bytes > HTTP_CHUNK_EXTENSION_MAX ||
        ++c->extension_total_bytes > HTTP_CHUNK_EXTENSIONS_MAX)
        return HTTP_CHUNK_EXTENSION_TOO_LONG;
    return HTTP_MORE;
}

static enum http_verdict read_framing(struct http_chunked *c, uint8_t byte)
{
    switch ((enum state)c->state) {
    case SIZE:
        return read_size(c, byte);
    case EXTENSION:
        return read_extension(c, byte);
    case SIZE_LF:
        if (byte != '\n')
            return HTTP_BAD_LINE_END;
        c->state = c->left_bytes > 0 ? DATA : TRAILER;
        return HTTP_MORE;
    case DATA_CR:
        if (byte != '\r')
            return HTTP_BAD_CHUNK_END;
        c->state = DATA_LF;
        return HTTP_MORE;
    case DATA_LF:
        if (byte != '\n')
            return HTTP_BAD_CHUNK_END;
        c->state = SIZE;
        c->digits = 0;
        return HTTP_MORE;
    case DATA:
    case TRAILER:
    case ENDED:
        break;
    }
    base_fail(__FILE__, __LINE__, __func__, "no framing byte is due");
}

static void skip(struct str *in, size_t n)
{
    in->p += n;
    in->n -= n;
}

static enum http_verdict read_trailers(struct http_chunked *c, struct str *in, struct fields *out)
{
    struct http_scan at = {c->trailer_scanned, c->trailer_line};
    size_t used = 0;
    enum http_verdict v = HTTP_MORE;

    if (in->n > 0)
        v = http_read_trailers(*in, &at, out, &used);
    c->trailer_scanned = at.bytes;
    c->trailer_line = at.line;
    if (v == HTTP_DONE) {
        c->state = ENDED;
        c->trailer_bytes = (uint32_t)used;
    }
    skip(in, used);
    return v;
}

enum http_verdict http_chunked_next(struct http_chunked *c, struct str *in, struct str *data,
                                    struct fields *trailers)
{
    *data = (struct str){NULL, 0};
    while (c->state != TRAILER && c->state != ENDED && in->n > 0) {
        enum http_verdict v;

        if (c->state == DATA) {
            *data = (struct str){in->p, c->left_bytes < in->n ? (size_t)c->left_bytes : in->n};
            skip(in, data->n);
            c->left_bytes -= data->n;
            if (c->left_bytes == 0)
                c->state = DATA_CR;
            return HTTP_DATA;
        }
        v = read_framing(c, (uint8_t)in->p[0]);
        if (v != HTTP_MORE)
            return v;
        skip(in, 1);
    }
    if (c->state == TRAILER)
        return read_trailers(c, in, trailers);
    return c->state == ENDED ? HTTP_DONE : HTTP_MORE;
}

void http_write_trailers(struct writer *w, struct str section)
{
    struct http_scan at = {0};
    struct fields f;
    size_t used;

    if (http_read_trailers(section, &at, &f, &used) == HTTP_DONE)
        http_write_forwardable(w, &f, NULL);
}

void http_write_chunk_head(struct writer *w, uint64_t n)
{
    char text[HTTP_CHUNK_HEAD_MAX], *p = text + sizeof(text);

    *--p = '\n';
    *--p = '\r';
    do {
        *--p = "0123456789abcdef"[n & 15];
        n >>= 4;
    } while (n > 0);
    writer_add(w, p, (size_t)(text + sizeof(text) - p));
}
