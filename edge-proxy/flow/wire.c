/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge-proxy/flow/flow.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECORD_BYTES = SSL3_RT_MAX_PLAIN_LENGTH, RECORD_OVERHEAD = 256 };

/* ---- The batch: a BIO that collects what SSL_write makes (one write() where OpenSSL's own socket
 * BIO makes one for each record of 16 KiB) ---- */

static int batch_write(BIO *bio, const char *bytes, int n)
{
    struct worker *w = BIO_get_data(bio);

    if (n <= 0)
        return 0;
    if (w->n_tls_batch + (size_t)n > WORKER_TLS_BATCH_BYTES) {
        BIO_set_retry_write(bio);
        return -1;
    }
    memcpy(w->tls_batch + w->n_tls_batch, bytes, (size_t)n);
    w->n_tls_batch += (size_t)n;
    return n;
}

static long batch_control(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *batch_method(void)
{
    static BIO_METHOD *method; /* made by the first caller: listen, before the workers run */

    if (method == NULL) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "batch");
        ensure(method != NULL && BIO_meth_set_write(method, batch_write) == 1 &&
               BIO_meth_set_ctrl(method, batch_control) == 1);
    }
    return method;
}

void wire_prepare(void)
{
    (void)batch_method();
}

void wire_use_tls(struct worker *worker, struct wire *w, SSL *ssl)
{
    BIO *bio = BIO_new(batch_method());

    ensure(bio != NULL && SSL_set_rfd(ssl, w->fd) == 1);
    BIO_set_data(bio, worker);
    BIO_set_init(bio, 1);
    SSL_set0_wbio(ssl, bio);
    w->ssl = ssl;
}

void wire_move(struct worker *worker, struct wire *w)
{
    if (w->ssl != NULL)
        BIO_set_data(SSL_get_wbio(w->ssl), worker);
}

/* ---- What the kernel did not take ---- */

struct tls_rest {
    size_t start, end;
    char bytes[];
};

static void keep_rest(struct wire *w, const char *bytes, size_t n)
{
    w->rest = base_alloc(sizeof(*w->rest) + n);
    w->rest->start = 0;
    w->rest->end = n;
    memcpy(w->rest->bytes, bytes, n);
}

static enum wire_verdict send_batch(struct worker *worker, struct wire *w)
{
    size_t n = worker->n_tls_batch;
    ssize_t sent;

    worker->n_tls_batch = 0;
    if (n == 0)
        return WIRE_OK;
    ensure(w->rest == NULL);
    sent = send(w->fd, worker->tls_batch, n, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return WIRE_ERROR;
    if (sent == (ssize_t)n)
        return WIRE_OK;
    if (sent < 0)
        sent = 0;
    keep_rest(w, worker->tls_batch + sent, n - (size_t)sent);
    return WIRE_AGAIN_WRITE;
}

size_t wire_rest_bytes(const struct wire *w)
{
    return w->rest != NULL ? w->rest->end - w->rest->start : 0;
}

enum wire_verdict wire_flush(struct worker *worker, struct wire *w)
{
    struct tls_rest *rest = w->rest;
    ssize_t sent;

    if (rest == NULL)
        return WIRE_OK;
    sent = send(w->fd, rest->bytes + rest->start, rest->end - rest->start, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? WIRE_AGAIN_WRITE : WIRE_ERROR;
    rest->start += (size_t)sent;
    if (rest->start < rest->end)
        return WIRE_AGAIN_WRITE;
    w->rest = NULL;
    free(rest);
    return WIRE_OK;
}

/* ---- Reading ---- */

static enum wire_verdict ssl_verdict(struct wire *w, int result)
{
    switch (SSL_get_error(w->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return WIRE_AGAIN_READ;
    case SSL_ERROR_WANT_WRITE:
        return WIRE_AGAIN_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return WIRE_EOF;
    default:
        return WIRE_ERROR;
    }
}

static enum wire_verdict read_tls(struct worker *worker, struct wire *w, char *to, size_t room,
                                  size_t *n)
{
    enum wire_verdict v = WIRE_OK;

    ERR_clear_error();
    do {
        int got = SSL_read(w->ssl, to + *n, (int)(room - *n));

        if (got <= 0) {
            v = ssl_verdict(w, got);
            break;
        }
        *n += (size_t)got;
    } while (*n < room && SSL_has_pending(w->ssl));
    /* What the peer asked of TLS itself may want an answer: an alert, say. It cannot overtake what
     * the kernel has not taken yet, and a peer that asks without reading is not worth a queue. */
    if (worker->n_tls_batch > 0 && w->rest != NULL) {
        worker->n_tls_batch = 0;
        return WIRE_ERROR;
    }
    if (send_batch(worker, w) == WIRE_ERROR)
        return WIRE_ERROR;
    return *n > 0 ? WIRE_OK : v;
}

enum wire_verdict wire_read(struct worker *worker, struct wire *w, void *to, size_t room, size_t *n)
{
    ssize_t got;

    *n = 0;
    if (w->ssl != NULL)
        return read_tls(worker, w, to, room, n);
    got = recv(w->fd, to, room, 0);
    if (got > 0) {
        *n = (size_t)got;
        return WIRE_OK;
    }
    if (got == 0)
        return WIRE_EOF;
    return errno == EAGAIN || errno == EINTR ? WIRE_AGAIN_READ : WIRE_ERROR;
}

/* ---- Writing ---- */

/* The next record's worth at place *i, *offset of the slices: in place where it is contiguous,
 * else gathered. */
static struct str next_record(const struct iovec *iov, int n_iov, int *i, size_t *offset)
{
    static _Thread_local char gathered[RECORD_BYTES];
    size_t n = 0;

    while (*i < n_iov && n < RECORD_BYTES) {
        const char *at = (const char *)iov[*i].iov_base + *offset;
        size_t left = iov[*i].iov_len - *offset, take = RECORD_BYTES - n;

        if (n == 0 && (left >= RECORD_BYTES || *i == n_iov - 1)) {
            take = left < RECORD_BYTES ? left : RECORD_BYTES;
            *offset += take;
            return (struct str){at, take};
        }
        if (take > left)
            take = left;
        memcpy(gathered + n, at, take);
        n += take;
        *offset += take;
        if (*offset == iov[*i].iov_len) {
            ++*i;
            *offset = 0;
        }
    }
    return (struct str){gathered, n};
}

static enum wire_verdict write_tls(struct worker *worker, struct wire *w, const struct iovec *iov,
                                   int n_iov, size_t *n)
{
    enum wire_verdict v = wire_flush(worker, w);
    size_t offset = 0;
    int i = 0;

    if (v != WIRE_OK)
        return v;
    ERR_clear_error();
    while (worker->n_tls_batch + RECORD_BYTES + RECORD_OVERHEAD <= WORKER_TLS_BATCH_BYTES) {
        struct str record = next_record(iov, n_iov, &i, &offset);
        int sent;

        if (record.n == 0)
            break;
        sent = SSL_write(w->ssl, record.p, (int)record.n);
        if (sent <= 0) {
            worker->n_tls_batch = 0;
            return WIRE_ERROR;
        }
        *n += (size_t)sent;
    }
    return send_batch(worker, w);
}

static enum wire_verdict judge_send(ssize_t sent)
{
    if (sent >= 0)
        return WIRE_OK;
    return errno == EAGAIN || errno == EINTR ? WIRE_AGAIN_WRITE : WIRE_ERROR;
}

enum wire_verdict wire_write(struct worker *worker, struct wire *w, const struct iovec *iov,
                             int n_iov, size_t *n)
{
    ssize_t sent;

    *n = 0;
    if (w->ssl != NULL)
        return write_tls(worker, w, iov, n_iov, n);
    if (n_iov == 1) {
        sent = send(w->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);
    } else {
        struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n_iov};

        sent = sendmsg(w->fd, &message, MSG_NOSIGNAL);
    }
    *n = sent > 0 ? (size_t)sent : 0;
    return judge_send(sent);
}

enum wire_verdict wire_write_all(struct worker *worker, struct wire *w, struct str bytes)
{
    struct iovec slice = {(void *)(uintptr_t)bytes.p, bytes.n};
    enum wire_verdict v;
    size_t n;

    ensure(w->rest == NULL);
    v = wire_write(worker, w, &slice, 1, &n);
    if (v == WIRE_ERROR || v == WIRE_EOF || n == bytes.n)
        return v;
    ensure(w->rest == NULL); /* in front of which it would be sent */
    keep_rest(w, bytes.p + n, bytes.n - n);
    return WIRE_AGAIN_WRITE;
}

enum wire_verdict wire_send_file(struct wire *w, struct str front, const struct wire_file *file,
                                 size_t *n)
{
    off_t offset = (off_t)file->offset;
    ssize_t sent = 0;

    *n = 0;
    if (front.n > 0) {
        sent = send(w->fd, front.p, front.n, MSG_NOSIGNAL | MSG_MORE);
        if (sent < 0 || (size_t)sent < front.n) {
            *n = sent > 0 ? (size_t)sent : 0;
            return judge_send(sent);
        }
    }
    sent = sendfile(w->fd, file->fd, &offset, file->n);
    *n = front.n + (sent > 0 ? (size_t)sent : 0);
    return sent < 0 ? judge_send(sent) : WIRE_OK;
}

enum wire_verdict wire_handshake(struct worker *worker, struct wire *w)
{
    enum wire_verdict v = wire_flush(worker, w), sent;
    int result;

    if (v != WIRE_OK)
        return v;
    ERR_clear_error();
    result = SSL_do_handshake(w->ssl);
    v = result == 1 ? WIRE_OK : ssl_verdict(w, result);
    sent = send_batch(worker, w);
    if (v == WIRE_ERROR || v == WIRE_EOF || sent == WIRE_OK)
        return v;
    return sent;
}

bool wire_is_host_served(const struct wire *w, struct str host)
{
    const char *name =
        w->ssl != NULL ? SSL_get_servername(w->ssl, TLSEXT_NAMETYPE_host_name) : NULL;
    X509 *certificate;

    if (name == NULL || str_is_nocase(host, name))
        return true;
    certificate = SSL_get_certificate(w->ssl);
    return certificate != NULL && X509_check_host(certificate, host.p, host.n, 0, NULL) == 1;
}

void wire_shut_write(struct worker *worker, struct wire *w)
{
    if (w->ssl == NULL || w->rest != NULL || !SSL_is_init_finished(w->ssl))
        return;
    ERR_clear_error();
    (void)SSL_shutdown(w->ssl);
    (void)send_batch(worker, w);
}

void wire_close(struct worker *worker, struct wire *w)
{
    if (w->ssl != NULL) {
        /* Not a truncation: the session may be resumed (SSL_free would spoil it otherwise). */
        SSL_set_shutdown(w->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(w->ssl);
    }
    free(w->rest);
    if (w->fd >= 0)
        close(w->fd);
    *w = (struct wire){.fd = -1};
}
