/* SPDX-License-Identifier: BSD-2-Clause */
/* Responses: their fields as HTTP/2 has them, their body in DATA frames as nghttp2 asks for it. */
#include "edge-proxy/h2/h2_internal.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

enum { LINES_MAX = FIELDS_MAX + 16 };

/* ---- Field sections ---- */

/* Fields as nghttp2 takes them. */
struct section {
    size_t n;
    bool has_too_many;
    char status[3];
    nghttp2_nv v[LINES_MAX];
};

static void add(struct section *s, struct str name, struct str value, uint8_t flags)
{
    if (s->n == COUNT_OF(s->v)) {
        s->has_too_many = true;
        return;
    }
    s->v[s->n++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.p,
                                .value = (uint8_t *)(uintptr_t)value.p,
                                .namelen = name.n,
                                .valuelen = value.n,
                                .flags = flags};
}

static void add_status(struct section *s, unsigned status)
{
    s->status[0] = (char)('0' + status / 100);
    s->status[1] = (char)('0' + status / 10 % 10);
    s->status[2] = (char)('0' + status % 10);
    add(s, STR(":status"), (struct str){s->status, 3}, NGHTTP2_NV_FLAG_NONE);
}

/* Cookies are secrets: no table entry that a later guess could be compared with (RFC 7541 section
 * 7.1.3). */
static uint8_t flags_of(struct str name)
{
    return str_eq(name, STR("set-cookie")) ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
}

/* Lines as HTTP/1.1 has them, "Name: value" with CRLF; the names become lower case in place. */
static void add_lines(struct section *s, char *lines, size_t n)
{
    char *end = lines + n;

    while (lines < end) {
        char *stop = memchr(lines, '\n', (size_t)(end - lines)), *p = lines;
        struct str name;

        ensure(stop != NULL);
        for (; *p != ':'; p++)
            *p = (char)text_lower((uint8_t)*p);
        name = (struct str){lines, (size_t)(p - lines)};
        add(s, name, str_trim((struct str){p + 1, (size_t)(stop - 1 - (p + 1))}), flags_of(name));
        lines = stop + 1;
    }
}

/* ---- WebSocket ---- */

void h2_websocket_accept(const char key[24], char accept[H2_ACCEPT_BYTES + 1])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[SHA_DIGEST_LENGTH];
    char text[24 + sizeof(guid) - 1];

    memcpy(text, key, 24);
    memcpy(text + 24, guid, sizeof(guid) - 1);
    ensure(EVP_Digest(text, sizeof(text), digest, NULL, EVP_sha1(), NULL) == 1);
    (void)EVP_EncodeBlock((unsigned char *)accept, digest, sizeof(digest));
}

/* Takes the answer to our key out, which is none of the client's business; is it the right one? */
static bool take_accept(struct h2_stream *st, struct section *s)
{
    char wanted[H2_ACCEPT_BYTES + 1];

    h2_websocket_accept(st->websocket_key, wanted);
    for (size_t i = 0; i < s->n; i++) {
        const nghttp2_nv *v = &s->v[i];

        if (!str_eq((struct str){(char *)v->name, v->namelen}, STR("sec-websocket-accept")))
            continue;
        if (!str_eq((struct str){(char *)v->value, v->valuelen}, str_of(wanted)))
            return false;
        s->v[i] = s->v[--s->n];
        return true;
    }
    return false;
}

/* ---- Bodies ---- */

/* RFC 9113 section 8.1: trailers end the stream in place of the last DATA frame. */
static ssize_t end_body(struct h2_stream *st, uint32_t *flags)
{
    struct h2_worker *hw = st->h->hw;
    struct writer w = writer_of(hw->lines, sizeof(hw->lines));
    struct section s;

    *flags |= NGHTTP2_DATA_FLAG_EOF;
    request_write_trailers(st->r, &w);
    s.n = 0;
    s.has_too_many = w.is_full;
    add_lines(&s, hw->lines, w.is_full ? 0 : (size_t)((char *)w.p - hw->lines));
    if (s.n > 0 && !s.has_too_many && nghttp2_submit_trailer(st->h->session, st->id, s.v, s.n) == 0)
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return 0;
}

static size_t count_slices(struct h2_stream *st, size_t most)
{
    size_t n = 0;

    for (int i = 0; i < st->n_slices; i++) {
        if (st->slices[i].iov_len > most - n)
            st->slices[i].iov_len = most - n;
        n += st->slices[i].iov_len;
    }
    return n;
}

/* How much there is; h2_send_data then copies it, once, to where TLS takes it from. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t most,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct h2_stream *st = source->ptr;
    size_t n;

    st->n_slices = H2_SLICES;
    switch (request_body_peek(st->r, st->slices, &st->n_slices)) {
    case BODY_WAIT:
        h2_stream_stop_clock(st, H2_CLOCK_SEND);
        st->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    case BODY_FAILED:
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    case BODY_END:
        return end_body(st, flags);
    case BODY_DATA:
        break;
    }
    n = count_slices(st, most);
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (st->has_left && n == st->left_bytes)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

int h2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t n,
                 nghttp2_data_source *source, void *arg)
{
    struct h2_stream *st = source->ptr;
    struct h2_worker *hw = st->h->hw;
    size_t left = n;
    char *p = hw->out + hw->n_out;

    if (hw->n_out + H2_FRAME_HEAD_BYTES + n > H2_OUT_BYTES)
        return NGHTTP2_ERR_WOULDBLOCK;
    memcpy(p, head, H2_FRAME_HEAD_BYTES);
    p += H2_FRAME_HEAD_BYTES;
    for (int i = 0; left > 0; i++) {
        size_t part = st->slices[i].iov_len < left ? st->slices[i].iov_len : left;

        ensure(i < st->n_slices);
        memcpy(p, st->slices[i].iov_base, part);
        p += part;
        left -= part;
    }
    hw->n_out += H2_FRAME_HEAD_BYTES + n;
    st->h->bytes_sent += n;
    st->left_bytes -= n;
    request_body_consume(st->r, n);
    if (st->clock == H2_CLOCK_SEND)
        h2_stream_move_clock(st, H2_CLOCK_SEND, n);
    return 0;
}

/* ---- Heads ---- */

static void write_lines(struct h2_stream *st, const struct request_response *response,
                        struct section *s)
{
    struct h2_worker *hw = st->h->hw;
    struct writer w = writer_of(hw->lines, sizeof(hw->lines));

    request_write_fields(st->r, &w);
    if (response->has_length)
        http_write_known_u64(&w, FIELD_CONTENT_LENGTH, response->length);
    add_lines(s, hw->lines, w.is_full ? 0 : (size_t)((char *)w.p - hw->lines));
    s->has_too_many |= w.is_full;
}

static void submit(struct h2_stream *st, const struct section *s, bool has_body)
{
    nghttp2_data_provider body = {.source.ptr = st, .read_callback = read_body};

    st->is_head_sent = true;
    if (nghttp2_submit_response(st->h->session, st->id, s->v, s->n, has_body ? &body : NULL) != 0)
        h2_stream_reset(st, NGHTTP2_INTERNAL_ERROR);
}

/* An answer that means something else here: a 2xx would be the client's tunnel. */
static void fail_websocket(struct h2_stream *st)
{
    struct section s = {.n = 0};

    add_status(&s, 502);
    submit(st, &s, false);
}

static void start_tunnel(struct h2_stream *st, struct section *s)
{
    if (!st->is_websocket || !take_accept(st, s)) {
        fail_websocket(st);
        return;
    }
    st->is_tunnel = true;
    worker_count(st->h->hw->w, COUNT_TUNNELS);
    submit(st, s, true);
    request_on_body(st->r);
}

void h2_respond(struct h2_stream *st)
{
    const struct request_response *response = request_response(st->r);
    bool is_tunnel = response->status == 101;
    struct section s;

    s.n = 0;
    s.has_too_many = false;
    if (response->is_misdirected ||
        atomic_load_explicit(&request_worker_shared(st->h->hw->rw)->is_draining,
                             memory_order_relaxed))
        h2_drain(st->h);
    h2_stream_stop_clock(st, H2_CLOCK_BODY);
    add_status(&s, is_tunnel ? 200 : response->status);
    write_lines(st, response, &s);
    if (s.has_too_many) {
        h2_stream_reset(st, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    st->has_left = response->has_length && response->has_body;
    st->left_bytes = response->length;
    if (is_tunnel)
        start_tunnel(st, &s);
    else if (st->is_websocket && response->status < 300)
        fail_websocket(st);
    else
        submit(st, &s, response->has_body && (!response->has_length || response->length > 0));
}

/* RFC 9113 section 8.1: a HEADERS frame without END_STREAM. */
void h2_send_interim(struct h2_stream *st, unsigned status, struct str lines)
{
    struct h2_worker *hw = st->h->hw;
    struct section s;

    if (st->is_head_sent || st->is_reset || lines.n > sizeof(hw->lines))
        return;
    s.n = 0;
    s.has_too_many = false;
    add_status(&s, status);
    if (lines.n > 0)
        memcpy(hw->lines, lines.p, lines.n);
    add_lines(&s, hw->lines, lines.n);
    if (s.has_too_many)
        return;
    worker_count(hw->w, COUNT_RESPONSES_1XX);
    (void)nghttp2_submit_headers(st->h->session, NGHTTP2_FLAG_NONE, st->id, NULL, s.v, s.n, NULL);
}
