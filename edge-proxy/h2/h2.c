/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection: frames in and out of nghttp2, and its end. */
#include "edge-proxy/h2/h2_internal.h"

#include "common/clock/clock.h"

#include <stdlib.h>
#include <string.h>

/* From here on an increment is worth its frame. */
enum { WINDOW_UPDATE_MIN = 128 };

/* ---- Abuse ---- */

int h2_note(struct h2 *h, enum h2_glitch glitch)
{
    worker_count(h->hw->w, COUNT_GLITCH_RESET + (int)glitch);
    if (!h2_score_add(&h->score, glitch, clock_coarse_ms(), &h->limits))
        h->is_abused = true;
    return h->is_abused ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* ---- What nghttp2 tells of what came ---- */

static struct h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    struct h2_stream *st = id > 0 ? nghttp2_session_get_stream_user_data(session, id) : NULL;

    ensure(st == NULL || st->magic == H2_STREAM_MAGIC);
    return st;
}

/* By their heads alone: nothing of these is of use to us. */
static int note_head(struct h2 *h, const nghttp2_frame_hd *head)
{
    switch (head->type) {
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_GOAWAY:
    case NGHTTP2_WINDOW_UPDATE:
        return 0;
    case NGHTTP2_CONTINUATION:
        return h2_note(h, H2_GLITCH_CONTINUATION);
    case NGHTTP2_SETTINGS:
        return h->is_begun && !(head->flags & NGHTTP2_FLAG_ACK) ? h2_note(h, H2_GLITCH_SETTINGS)
                                                                : 0;
    case NGHTTP2_PING:
        return head->flags & NGHTTP2_FLAG_ACK ? 0 : h2_note(h, H2_GLITCH_PING);
    case NGHTTP2_PRIORITY:
    case NGHTTP2_PRIORITY_UPDATE:
        return h2_note(h, H2_GLITCH_PRIORITY);
    default:
        return h2_note(h, H2_GLITCH_UNKNOWN_FRAME);
    }
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head, void *arg)
{
    struct h2 *h = arg;

    /* Once the second GOAWAY has gone out, nghttp2 drops new heads without a word. */
    if (head->type == NGHTTP2_HEADERS)
        h->is_head_open = !h->is_ended;
    else if (head->type != NGHTTP2_CONTINUATION)
        h->is_head_open = false;
    return note_head(h, head);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    struct h2_stream *st;

    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    st = h2_stream_open(h, frame->hd.stream_id);
    (void)nghttp2_session_set_stream_user_data(session, st->id, st);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags, void *arg)
{
    struct h2_stream *st = stream_of(session, frame->hd.stream_id);
    struct h2 *h = arg;

    if (st == NULL || st->is_reset)
        return 0;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        h2_head_add(st, (struct str){(const char *)name, n_name},
                    (struct str){(const char *)value, n_value});
    else
        h2_head_add_trailer(st, (struct str){(const char *)name, n_name},
                            (struct str){(const char *)value, n_value});
    return h->is_abused ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* nghttp2 would leave the line out and go on; we do not guess what a client meant (RFC 9113 section
 * 8.2.1). */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t n_name, const uint8_t *value,
                             size_t n_value, uint8_t flags, void *arg)
{
    struct h2_stream *st = stream_of(session, frame->hd.stream_id);

    if (st != NULL)
        h2_stream_reset(st, NGHTTP2_PROTOCOL_ERROR);
    return 0;
}

static int take_headers(struct h2 *h, struct h2_stream *st, const nghttp2_frame *frame)
{
    h->is_head_open = false;
    if (st == NULL || st->is_reset)
        return 0;
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        st->is_all_here = true;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        h2_head_finish(st);
    else if (st->is_all_here)
        h2_stream_end_body(st);
    return h->is_abused ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int take_data_end(struct h2 *h, struct h2_stream *st, const nghttp2_frame *frame)
{
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        if (st != NULL) {
            st->is_all_here = true;
            h2_stream_end_body(st);
        }
        return 0;
    }
    return frame->hd.length <= frame->data.padlen ? h2_note(h, H2_GLITCH_EMPTY_DATA) : 0;
}

/* A request that was given up while an origin works on it is the dearest. */
static int take_reset(struct h2 *h, struct h2_stream *st)
{
    if (st == NULL || st->is_whole)
        return 0;
    return h2_note(h,
                   st->is_started && !st->is_head_sent ? H2_GLITCH_RESET_AT_WORK : H2_GLITCH_RESET);
}

static void finish_drain(struct h2 *h)
{
    if (h->is_ended)
        return;
    h->is_ended = true;
    (void)nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(h->session),
                                NGHTTP2_NO_ERROR, NULL, 0);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    struct h2_stream *st = stream_of(session, frame->hd.stream_id);

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        return take_headers(h, st, frame);
    case NGHTTP2_DATA:
        return take_data_end(h, st, frame);
    case NGHTTP2_RST_STREAM:
        return take_reset(h, st);
    case NGHTTP2_SETTINGS:
        h->is_begun = true;
        return 0;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK && h->is_draining)
            finish_drain(h);
        return 0;
    case NGHTTP2_WINDOW_UPDATE:
        return frame->window_update.window_size_increment < WINDOW_UPDATE_MIN
                   ? h2_note(h, H2_GLITCH_SMALL_WINDOW_UPDATE)
                   : 0;
    default:
        return 0;
    }
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                            void *arg)
{
    struct h2 *h = arg;

    if (frame->hd.type == NGHTTP2_HEADERS)
        h->is_head_open = false;
    return error == NGHTTP2_ERR_REFUSED_STREAM ? h2_note(h, H2_GLITCH_REFUSED) : 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                         size_t n, void *arg)
{
    struct h2_stream *st = stream_of(session, id);

    if (st != NULL && !st->is_reset)
        h2_stream_take_body(st, bytes, n);
    else
        (void)nghttp2_session_consume(session, id, n);
    return 0;
}

/* Frames of types that nobody knows are to be ignored (RFC 9113 section 5.5), but not overlooked:
 * nghttp2 tells only of those that it is asked for. */
static int on_unknown_frame(nghttp2_session *session, void **payload, const nghttp2_frame_hd *head,
                            void *arg)
{
    return NGHTTP2_ERR_CANCEL;
}

/* ---- What nghttp2 tells of what went ---- */

/* Not by its own wish but by ours, for something that the client did (MadeYouReset). */
void h2_blame(struct h2 *h, enum guard_mischief what)
{
    struct request_worker *rw = h->hw->rw;

    (void)guard_blame(request_worker_shared(rw)->guard, request_worker_generation(rw)->guard,
                      h->hw->w, &h->client->ip, what);
}

static bool is_clients_error(uint32_t error)
{
    return error != NGHTTP2_NO_ERROR && error != NGHTTP2_INTERNAL_ERROR &&
           error != NGHTTP2_REFUSED_STREAM && error != NGHTTP2_CANCEL;
}

static void note_goaway(struct h2 *h, uint32_t error)
{
    if (error == NGHTTP2_NO_ERROR) { /* those that asked for it count it */
        /* nghttp2 would let a PING overtake the notice. When it is back, the client has read both.
         */
        if (h->is_draining && !h->is_ended)
            (void)nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
        return;
    }
    worker_count(h->hw->w, error == NGHTTP2_ENHANCE_YOUR_CALM ? COUNT_HTTP2_GOAWAY_ABUSE
                                                              : COUNT_HTTP2_GOAWAY_ERROR);
    if (is_clients_error(error))
        h2_blame(h, GUARD_PROTOCOL);
    h->is_ended = true;
}

static void note_sent(struct h2_stream *st, const nghttp2_frame_hd *head)
{
    st->bytes_sent += H2_FRAME_HEAD_BYTES + head->length;
    if (!(head->flags & NGHTTP2_FLAG_END_STREAM))
        return;
    st->is_whole = true;
    h2_stream_stop_clock(st, H2_CLOCK_BODY);
    if (!st->is_all_here) /* the rest of its body is of no use: RFC 9113 section 8.1 */
        h2_stream_reset(st, NGHTTP2_NO_ERROR);
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    struct h2_stream *st;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        st = stream_of(session, frame->hd.stream_id);
        if (st != NULL)
            note_sent(st, &frame->hd);
        return 0;
    case NGHTTP2_RST_STREAM:
        return is_clients_error(frame->rst_stream.error_code) ? h2_note(h, H2_GLITCH_STREAM_ERROR)
                                                              : 0;
    case NGHTTP2_GOAWAY:
        note_goaway(h, frame->goaway.error_code);
        return 0;
    default:
        return 0;
    }
}

/* A head that HTTP/2 cannot carry. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *arg)
{
    struct h2_stream *st = stream_of(session, frame->hd.stream_id);

    if (frame->hd.type == NGHTTP2_HEADERS && st != NULL)
        h2_stream_reset(st, NGHTTP2_INTERNAL_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    struct h2_stream *st = stream_of(session, id);

    if (st != NULL)
        h2_stream_close(st);
    return 0;
}

/* ---- Workers ---- */

static nghttp2_session_callbacks *new_callbacks(void)
{
    nghttp2_session_callbacks *c;

    ensure(nghttp2_session_callbacks_new(&c) == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(c, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(c, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_frame_not_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(c, h2_send_data);
    nghttp2_session_callbacks_set_unpack_extension_callback(c, on_unknown_frame);
    return c;
}

static void ask_for_unknown_frames(nghttp2_option *o)
{
    for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
        if (type != NGHTTP2_PRIORITY_UPDATE)
            nghttp2_option_set_user_recv_extension_type(o, (uint8_t)type);
}

static nghttp2_option *new_option(void)
{
    nghttp2_option *o;

    ensure(nghttp2_option_new(&o) == 0);
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_settings(o, 16);
    nghttp2_option_set_max_outbound_ack(o, 100);
    nghttp2_option_set_builtin_recv_extension_type(o, NGHTTP2_PRIORITY_UPDATE);
    ask_for_unknown_frames(o);
    return o;
}

struct h2_worker *h2_worker_new(struct request_worker *rw)
{
    struct h2_worker *hw = base_alloc(sizeof(*hw));

    memset(hw, 0, offsetof(struct h2_worker, out));
    hw->rw = rw;
    hw->w = request_worker_flow(rw);
    hw->callbacks = new_callbacks();
    hw->option = new_option();
    return hw;
}

void h2_worker_free(struct h2_worker *hw)
{
    for (struct h2_stream *st = hw->free_streams, *next; st != NULL; st = next) {
        next = st->next;
        free(st);
    }
    nghttp2_option_del(hw->option);
    nghttp2_session_callbacks_del(hw->callbacks);
    free(hw);
}

/* ---- Connections ---- */

static void submit_settings(struct h2 *h)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->limits.streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, h->limits.stream_bytes},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, h2_limits(h)->head_bytes},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };

    ensure(nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, COUNT_OF(settings)) ==
           0);
    ensure(nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)h->limits.connection_bytes) == 0);
}

struct h2 *h2_open(struct h2_worker *hw, const struct h2_ops *ops, void *arg,
                   const struct request_client *client)
{
    struct h2 *h = base_zalloc(1, sizeof(*h));

    h->hw = hw;
    h->ops = ops;
    h->arg = arg;
    h->client = client;
    h->limits = request_worker_generation(hw->rw)->config->http2;
    ensure(nghttp2_session_server_new2(&h->session, hw->callbacks, h, hw->option) == 0);
    submit_settings(h);
    worker_count(hw->w, COUNT_HTTP2_CONNECTIONS);
    return h;
}

void h2_free(struct h2 *h)
{
    while (h->streams != NULL)
        h2_stream_close(h->streams);
    wheel_clear(&h->hw->w->wheel, &h->notice);
    nghttp2_session_del(h->session);
    free(h);
}

/* What nghttp2 gave up on, or we: the client is told why, and nothing else any more. */
static void judge_failure(struct h2 *h, ssize_t error)
{
    if (h->is_broken)
        return;
    h->is_broken = true;
    if (error == NGHTTP2_ERR_FLOODED || error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
        h->is_abused = true;
    (void)nghttp2_session_terminate_session(h->session, h->is_abused ? NGHTTP2_ENHANCE_YOUR_CALM
                                                                     : NGHTTP2_PROTOCOL_ERROR);
}

void h2_receive(struct h2 *h, const char *bytes, size_t n)
{
    ssize_t taken;

    if (h->is_broken)
        return;
    taken = nghttp2_session_mem_recv(h->session, (const uint8_t *)bytes, n);
    if (taken < 0)
        judge_failure(h, taken);
}

/* Those that could send and cannot: by whose will, their clock finds out. */
static void watch_streams(struct h2 *h)
{
    for (struct h2_stream *st = h->streams; st != NULL; st = st->next)
        if (st->is_head_sent && !st->is_whole && !st->is_deferred && st->clock == H2_CLOCK_NONE)
            h2_stream_move_clock(st, H2_CLOCK_SEND, 0);
}

struct str h2_collect(struct h2 *h)
{
    struct h2_worker *hw = h->hw;
    const uint8_t *bytes;
    ssize_t n;

    hw->n_out = 0;
    while (hw->n_out < H2_OUT_BYTES && !(h->is_broken && h->is_ended)) {
        n = nghttp2_session_mem_send(h->session, &bytes);
        if (n == 0 || (n < 0 && h->is_broken))
            break;
        if (n < 0) { /* the GOAWAY is still to be sent */
            judge_failure(h, n);
            continue;
        }
        memcpy(hw->out + hw->n_out, bytes, (size_t)n);
        hw->n_out += (size_t)n;
    }
    if (hw->n_out == 0)
        watch_streams(h);
    return (struct str){hw->out, hw->n_out};
}

bool h2_is_over(const struct h2 *h)
{
    if (h->is_broken)
        return h->is_ended;
    return !nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session);
}

enum h2_wait h2_waits_for(const struct h2 *h)
{
    if (h->is_head_open || !h->is_begun)
        return H2_WAIT_HEAD;
    return h->streams != NULL ? H2_WAIT_STREAMS : H2_WAIT_IDLE;
}

unsigned h2_count_streams(const struct h2 *h)
{
    return h->n_streams;
}

/* ---- Leaving ---- */

static void on_notice_over(struct wheel_timer *t)
{
    struct h2 *h = CONTAINER_OF(t, struct h2, notice);

    finish_drain(h);
    h->ops->wake(h->arg);
}

void h2_drain(struct h2 *h)
{
    if (h->is_draining || h->is_ended)
        return;
    h->is_draining = true;
    worker_count(h->hw->w, COUNT_HTTP2_GOAWAY_DRAIN);
    (void)nghttp2_submit_shutdown_notice(h->session);
    wheel_set(&h->hw->w->wheel, &h->notice, H2_NOTICE_MS, on_notice_over);
}

void h2_end_idle(struct h2 *h)
{
    if (h->is_ended)
        return;
    h->is_ended = true;
    worker_count(h->hw->w, COUNT_HTTP2_GOAWAY_IDLE);
    (void)nghttp2_session_terminate_session(h->session, NGHTTP2_NO_ERROR);
}
