/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame: one link of the control channel: protobuf frames, each preceded by its length, over a
 * non-blocking socket with or without TLS, on raw events. Used by gslb-dns (edges and operators
 * connect to it), edge-proxy (connects to the nodes; operators connect to it) and gslbctl.
 *
 * A link is a row of steps (listed in frame_internal.h): connect → handshake → identify → open →
 * closing. Its driver alone destroys it: everybody else says frame_link_close, on_close is called
 * once as the last thing, and then the link is gone.
 *
 * A peer can cost no more than its bounds: a frame of FRAME_MAX_BYTES, FRAME_ARENA_BYTES for what
 * is unpacked from it, FRAME_QUEUE_BYTES that it has not read yet, and its deadlines.
 *
 * A link lives on the loop of its event base; every call comes from that thread. The process
 * ignores SIGPIPE (daemon_open_signals does): TLS writes cannot ask for that themselves.
 */
#ifndef COMMON_FRAME_H
#define COMMON_FRAME_H

#include "common/arena/arena.h"
#include "common/base/base.h"
#include "common/text/text.h"
#include "common/tls/tls.h"

#include "proto/channel.pb-c.h"

#include <event2/event.h>

enum {
    FRAME_PROTOCOL = 1,
    FRAME_HEAD_BYTES = 4,
    FRAME_MAX_BYTES = 1 << 20,
    FRAME_ARENA_BYTES = 4 << 20,
    FRAME_QUEUE_BYTES = 4 << 20,
};

/* Why a link ended. X(NAME, label in metrics, words) */
#define FRAME_CLOSES(X)                                                                      \
    X(PEER, "peer", "closed by the peer")                                                    \
    X(STOPPED, "stopped", "closed by this program")                                          \
    X(RESET, "reset", "connection broken")                                                   \
    X(CONNECT, "connect", "cannot connect")                                                  \
    X(DEADLINE, "deadline", "connect or handshake took too long")                            \
    X(HANDSHAKE, "handshake", "TLS handshake failed")                                        \
    X(NO_IDENTITY, "no_identity", "certificate without a gslb:// URI in its subjectAltName") \
    X(WRONG_ROLE, "wrong_role", "certificate of a wrong role")                               \
    X(UNKNOWN_NAME, "unknown_name", "name that the configuration does not list")             \
    X(UNTRUSTED, "untrusted", "certificate of a CA that is trusted no more")                 \
    X(OVERSIZED, "oversized", "frame above 1 MiB")                                           \
    X(MALFORMED, "malformed", "frame that does not parse")                                   \
    X(UNEXPECTED, "unexpected", "frame that this peer may not send now")                     \
    X(CUT, "cut", "closed in the middle of a frame")                                         \
    X(IDLE, "idle", "no whole frame for too long")                                           \
    X(NOT_READING, "not_reading", "peer does not read")                                      \
    X(REPLACED, "replaced", "replaced by a newer connection of the same edge")               \
    X(LIMIT, "limit", "too many connections")

enum frame_close {
#define X(name, label, words) FRAME_CLOSE_##name,
    FRAME_CLOSES(X)
#undef X
        FRAME_CLOSE_N
};

const char *frame_close_words(enum frame_close why);
/* Links closed so far in this process for this reason. Any thread. */
uint64_t frame_closed_count(enum frame_close why);
/* All of them as Prometheus text, family gslb_channel_closes_total. Any thread. */
void frame_write_metrics(struct text *out);

struct frame_link;

/* What the owner is told. A callback may call any function here, frame_link_close included. */
struct frame_hooks {
    /* Handshake done; peer is TLS_ROLE_OPERATOR with an empty name on a link without TLS. */
    void (*on_open)(void *arg, struct frame_link *link, const struct tls_identity *peer);
    /* frame is valid until the return, unless frame_link_keep is called. */
    void (*on_frame)(void *arg, struct frame_link *link, const Gslb__Frame *frame);
    /* Once, also for links that never opened; the link is gone after it. detail: words for a log
     * line, never NULL. */
    void (*on_close)(void *arg, struct frame_link *link, enum frame_close why, const char *detail);
};

struct frame_options {
    struct event_base *base;
    SSL_CTX *tls; /* NULL: plain (Unix socket) */
    enum tls_side side;
    uint32_t handshake_ms; /* connect and handshake together */
    uint32_t idle_ms;      /* without a whole frame from the peer, or without progress of what is
                              sent; 0: for ever */
    const struct frame_hooks *hooks; /* must outlive the link */
    void *arg;
};

/* A link over fd, which it owns from now on; its connect may still be under way. Nothing is called
 * before the loop runs. */
struct frame_link *frame_link_new(const struct frame_options *options, int fd);
/* Queues a frame; what is queued in one turn of the loop leaves together. A peer whose queue
 * is full is closed (NOT_READING). Copies. */
void frame_link_send(struct frame_link *link, const Gslb__Frame *frame);
/* Ends the link: at once, or when its callback has returned. detail NULL: the reason's words. */
void frame_link_close(struct frame_link *link, enum frame_close why, const char *detail);
/* Ends the link for this reason when all that was queued is sent, at the latest after its
 * handshake_ms. */
void frame_link_finish(struct frame_link *link, enum frame_close why);
/* From on_frame only: the frame's memory is now the caller's, freed by arena_free(into). */
void frame_link_keep(struct frame_link *link, struct arena *into);
void frame_link_set_idle(struct frame_link *link, uint32_t idle_ms);
/* After the CA may have changed: ends the link (UNTRUSTED) when its peer has a certificate that
 * this context would refuse. A key that was lost must not live on in a link that was there before.
 */
void frame_link_verify(struct frame_link *link, const SSL_CTX *now);
void *frame_link_arg(const struct frame_link *link);
void frame_link_set_arg(struct frame_link *link, void *arg);
/* The peer's address, "unix" on a Unix socket. */
const char *frame_link_remote(const struct frame_link *link);

/* The answer to a Request: whole, or words and why not (NULL: neither). */
void frame_link_reply(struct frame_link *link, Gslb__Reply *reply);
void frame_link_reply_text(struct frame_link *link, const char *text, const char *error);
/* protobuf-c's structs take char *, and never write to it; NULL becomes "". */
static inline char *frame_borrow(const char *s)
{
    return s != NULL ? (char *)s : (char *)"";
}

/* The codec alone. Packs frame with its length in front; the caller frees. Frames above
 * FRAME_MAX_BYTES are not made (NULL). */
uint8_t *frame_pack(const Gslb__Frame *frame, size_t *n);
/* Unpacks a frame (without its length) into arena, taking at most FRAME_ARENA_BYTES; NULL: does
 * not parse or would take more. */
Gslb__Frame *frame_unpack(const uint8_t *bytes, size_t n, struct arena *arena);

#endif
