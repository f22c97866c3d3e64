/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plain TCP, or TLS (RFC 7858). A handshake costs as much as a thousand queries: those that could
 * go on wait in a queue, of which each turn of the loop takes a few, so that a flood of them does
 * not keep established connections waiting. Unfinished ones have a deadline and a limit of their
 * own.
 */
#include "gslb-dns/stream/stream_internal.h"

#include "common/proxy/proxy.h"
#include "common/tls/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <unistd.h>

/* ---- plain ---- */

static ssize_t plain_result(ssize_t n)
{
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? IO_WAIT : IO_BROKEN;
}

/* ---- TLS ---- */

/* What ended an SSL call that did nothing. */
static ssize_t tls_failure(struct connection *c, int result)
{
    switch (SSL_get_error(c->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return IO_WAIT;
    case SSL_ERROR_ZERO_RETURN:
        return IO_END;
    default:
        c->is_broken = true;
        /* Without close_notify, or with garbage: as if it had been reset. */
        if (errno == 0 || ERR_peek_error() != 0)
            errno = ECONNRESET;
        ERR_clear_error();
        return IO_BROKEN;
    }
}

/* Every record that has come: what SSL holds back, no poll would tell. */
static ssize_t tls_read(struct connection *c, uint8_t *p, size_t n)
{
    size_t at = 0;
    ssize_t why = IO_WAIT;

    c->has_more = false;
    while (at < n) {
        int got;

        errno = 0;
        got = SSL_read(c->ssl, p + at, (int)(n - at));
        if (got <= 0) {
            why = tls_failure(c, got);
            break;
        }
        at += (size_t)got;
    }
    c->has_more = at == n || (at > 0 && why != IO_WAIT); /* an end is found again */
    return at > 0 ? (ssize_t)at : why;
}

/* One record, and so one write, for what fits one. */
static ssize_t tls_write(struct connection *c, const struct iovec *pieces, size_t n)
{
    uint8_t *record = c->worker->record;
    size_t sent = 0, piece = 0, skip = 0;

    while (piece < n) {
        size_t bytes = 0, at_piece = piece, at_skip = skip;
        int taken;

        while (at_piece < n && bytes < RECORD_BYTES) {
            size_t left = pieces[at_piece].iov_len - at_skip;
            size_t part = left < RECORD_BYTES - bytes ? left : RECORD_BYTES - bytes;

            memcpy(record + bytes, (uint8_t *)pieces[at_piece].iov_base + at_skip, part);
            bytes += part;
            at_skip += part;
            if (at_skip == pieces[at_piece].iov_len) {
                at_piece++;
                at_skip = 0;
            }
        }
        errno = 0;
        taken = SSL_write(c->ssl, record, (int)bytes);
        if (taken <= 0) {
            ssize_t why = tls_failure(c, taken);

            return why == IO_WAIT ? (ssize_t)sent : IO_BROKEN;
        }
        ensure((size_t)taken == bytes); /* a record is taken whole */
        sent += bytes;
        piece = at_piece;
        skip = at_skip;
    }
    return (ssize_t)sent;
}

ssize_t transport_read(struct connection *c, uint8_t *p, size_t n)
{
    return c->ssl != NULL ? tls_read(c, p, n) : plain_result(read(c->fd, p, n));
}

ssize_t transport_write(struct connection *c, struct iovec *pieces, size_t n)
{
    struct msghdr m = {.msg_iov = pieces, .msg_iovlen = n};

    return c->ssl != NULL ? tls_write(c, pieces, n)
                          : plain_result(sendmsg(c->fd, &m, MSG_NOSIGNAL));
}

/* ---- the PROXY protocol ---- */

int transport_read_header(struct connection *c, bool *is_done)
{
    struct proxy_header header;
    enum proxy_verdict verdict = PROXY_MORE;
    uint8_t *buf = c->worker->record;

    _Static_assert((int)RECORD_BYTES >= (int)PROXY_MAX, "a header fits");
    if (c->in.n > 0)
        memcpy(buf, c->in.p, c->in.n);
    while (verdict == PROXY_MORE) {
        ssize_t n = read(c->fd, buf + c->in.n, proxy_bytes_wanted(buf, c->in.n) - c->in.n);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return GOES_ON;
        if (n <= 0)
            return ANSWER_COUNTER_TCP_CLOSED_PROXY;
        rest_keep(&c->in, buf, c->in.n + (size_t)n);
        verdict = proxy_parse(buf, c->in.n, PROXY_V2, &header);
    }
    if (verdict != PROXY_OK)
        return ANSWER_COUNTER_TCP_CLOSED_PROXY;
    rest_keep(&c->in, NULL, 0);
    if (header.has_claim)
        c->peer = header.source;
    *is_done = true;
    return GOES_ON;
}

/* ---- handshakes ---- */

/* RFC 7301: "dot" is of RFC 7858, "h2" all that RFC 8484 is served by here. A client of DNS over
 * TLS need not say; one that says something else means another protocol. */
int stream_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *offered, unsigned n, void *arg)
{
    static const unsigned char dot[] = "\3dot", h2[] = "\2h2";
    struct connection *c = SSL_get_app_data(ssl);
    bool is_https = c->transport == ANSWER_HTTPS;

    (void)arg;
    if (SSL_select_next_proto((unsigned char **)out, out_n, is_https ? h2 : dot,
                              is_https ? sizeof(h2) - 1 : sizeof(dot) - 1, offered,
                              n) == OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_OK;
    c->has_wrong_alpn = true;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

bool transport_begin_tls(struct connection *c)
{
    c->ssl = c->worker->tls != NULL ? tls_server_ssl(c->worker->tls) : NULL;
    if (c->ssl == NULL)
        return false;
    c->tls = tls_server_ref(c->worker->tls);
    SSL_set_app_data(c->ssl, c);
    return SSL_set_fd(c->ssl, c->fd) == 1;
}

static bool has_protocol(const struct connection *c)
{
    const unsigned char *name;
    unsigned n;

    SSL_get0_alpn_selected(c->ssl, &name, &n);
    return c->transport != ANSWER_HTTPS || n > 0;
}

int transport_handshake(struct connection *c, bool *is_done)
{
    struct worker *w = c->worker;
    int result;

    errno = 0;
    result = SSL_do_handshake(c->ssl);
    *is_done = result == 1;
    if (result != 1 && tls_failure(c, result) == IO_WAIT)
        return GOES_ON;
    if (c->has_wrong_alpn || (result == 1 && !has_protocol(c))) {
        worker_count(w, ANSWER_COUNTER_HANDSHAKE_ALPN);
        return ANSWER_COUNTER_TCP_CLOSED_HANDSHAKE;
    }
    if (result != 1) {
        worker_count(w, ANSWER_COUNTER_HANDSHAKE_FAILED);
        return ANSWER_COUNTER_TCP_CLOSED_HANDSHAKE;
    }
    worker_count(w, SSL_session_reused(c->ssl) ? ANSWER_COUNTER_HANDSHAKE_RESUMED
                                               : ANSWER_COUNTER_HANDSHAKE_FULL);
    tls_server_unref(c->tls);
    c->tls = NULL;
    return GOES_ON;
}

void transport_close(struct connection *c)
{
    if (c->ssl != NULL) {
        /* RFC 8446 section 6.1: the peer learns that nothing is missing. */
        if (SSL_is_init_finished(c->ssl) && !c->is_broken)
            (void)SSL_shutdown(c->ssl);
        ERR_clear_error();
        SSL_free(c->ssl);
    }
    tls_server_unref(c->tls);
    close(c->fd);
}
