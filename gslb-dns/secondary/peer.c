/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages over TCP or TLS to a primary, without waiting. */
#include "gslb-dns/secondary/secondary_internal.h"

#include "common/net/net.h"
#include "common/tls/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_BYTES = 2 + WIRE_TCP_MAX };

static void want(struct peer *l, short interest)
{
    if (interest == l->interest)
        return;
    if (l->interest != 0)
        ensure(event_del(l->event) == 0);
    ensure(event_assign(l->event, event_get_base(l->event), l->fd, interest | EV_PERSIST,
                        event_get_callback(l->event), event_get_callback_arg(l->event)) == 0);
    ensure(event_add(l->event, NULL) == 0);
    l->interest = interest;
}

bool peer_open(struct peer *l, struct event_base *base, const struct addr *to,
               event_callback_fn on_ready, void *arg)
{
    *l = (struct peer){.fd = net_connect_tcp(to)};
    if (l->fd < 0)
        return false;
    l->in = base_alloc(IN_BYTES);
    l->event = event_new(base, l->fd, EV_WRITE | EV_PERSIST, on_ready, arg);
    ensure(l->event != NULL);
    return true;
}

enum peer_result peer_connect(struct peer *l)
{
    struct addr other;

    if (!has_failed(net_peer_addr(l->fd, &other)))
        return PEER_DONE;
    errno = net_take_error(l->fd);
    if (errno != 0)
        return PEER_BROKEN;
    want(l, EV_WRITE);
    return PEER_WAIT;
}

/* ---- TLS ---- */

/* RFC 9103 section 7.1: the protocol is "dot". */
static SSL *new_session(const struct peer *l, SSL_CTX *tls, const char *name)
{
    static const unsigned char dot[] = "\3dot";
    SSL *ssl = SSL_new(tls);

    if (ssl != NULL && SSL_set_fd(ssl, l->fd) == 1 && SSL_set1_host(ssl, name) == 1 &&
        SSL_set_tlsext_host_name(ssl, name) == 1 &&
        SSL_set_alpn_protos(ssl, dot, sizeof(dot) - 1) == 0) {
        SSL_set_connect_state(ssl);
        return ssl;
    }
    SSL_free(ssl);
    return NULL;
}

/* What ended an SSL call that did nothing. */
static enum peer_result ssl_failure(struct peer *l, int result)
{
    switch (SSL_get_error(l->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        want(l, EV_READ);
        return PEER_WAIT;
    case SSL_ERROR_WANT_WRITE:
        want(l, EV_WRITE);
        return PEER_WAIT;
    case SSL_ERROR_ZERO_RETURN:
        return PEER_CLOSED;
    default:
        return PEER_BROKEN;
    }
}

static bool has_protocol(const struct peer *l)
{
    const unsigned char *name;
    unsigned n;

    SSL_get0_alpn_selected(l->ssl, &name, &n);
    return n == 3 && memcmp(name, "dot", 3) == 0;
}

enum peer_result peer_handshake(struct peer *l, SSL_CTX *tls, const char *name, char *why,
                                size_t why_bytes)
{
    char text[TLS_ERROR_TEXT];
    enum peer_result r;
    int result;

    if (l->ssl == NULL)
        l->ssl = new_session(l, tls, name);
    if (l->ssl == NULL) {
        snprintf(why, why_bytes, "%s", tls_take_error(text));
        return PEER_BROKEN;
    }
    errno = 0;
    result = SSL_do_handshake(l->ssl);
    if (result == 1) {
        if (has_protocol(l))
            return PEER_DONE;
        snprintf(why, why_bytes, "the server does not speak \"dot\"");
        return PEER_BROKEN;
    }
    r = ssl_failure(l, result);
    if (r == PEER_WAIT)
        return r;
    snprintf(why, why_bytes, "%s", tls_handshake_error(l->ssl, errno, text));
    ERR_clear_error();
    return PEER_BROKEN;
}

/* ---- bytes ---- */

void peer_put(struct peer *l, const uint8_t *message, size_t n)
{
    ensure(2 + n <= sizeof(l->out));
    bytes_put_u16(l->out, (uint16_t)n);
    memcpy(l->out + 2, message, n);
    l->n_out = 2 + n;
    l->at_out = 0;
}

static enum peer_result plain_failure(struct peer *l, ssize_t n, short interest)
{
    if (n == 0)
        return PEER_CLOSED;
    if (errno != EAGAIN && errno != EINTR)
        return errno == ECONNRESET || errno == EPIPE ? PEER_CLOSED : PEER_BROKEN;
    want(l, interest);
    return PEER_WAIT;
}

enum peer_result peer_flush(struct peer *l)
{
    while (l->at_out < l->n_out) {
        const uint8_t *p = l->out + l->at_out;
        size_t left = l->n_out - l->at_out;
        ssize_t n;

        if (l->ssl != NULL) {
            int taken = SSL_write(l->ssl, p, (int)left);

            if (taken <= 0)
                return ssl_failure(l, taken);
            n = taken;
        } else {
            n = send(l->fd, p, left, MSG_NOSIGNAL);
            if (n <= 0)
                return plain_failure(l, n, EV_WRITE);
        }
        l->at_out += (size_t)n;
    }
    return PEER_DONE;
}

static enum peer_result read_some(struct peer *l)
{
    uint8_t *p = l->in + l->n_in;
    size_t room = IN_BYTES - l->n_in;
    ssize_t n;

    if (l->ssl != NULL) {
        int got = SSL_read(l->ssl, p, (int)room);

        if (got <= 0)
            return ssl_failure(l, got);
        n = got;
    } else {
        n = read(l->fd, p, room);
        if (n <= 0)
            return plain_failure(l, n, EV_READ);
    }
    l->n_in += (size_t)n;
    return PEER_DONE;
}

/* Is there a whole message? */
static bool has_message(const struct peer *l)
{
    return l->n_in >= 2 && l->n_in >= 2u + bytes_get_u16(l->in);
}

enum peer_result peer_read(struct peer *l, const uint8_t **message, size_t *n)
{
    if (l->n_taken > 0) {
        memmove(l->in, l->in + l->n_taken, l->n_in - l->n_taken);
        l->n_in -= l->n_taken;
        l->n_taken = 0;
    }
    while (!has_message(l)) {
        enum peer_result r = read_some(l);

        if (r != PEER_DONE)
            return r;
    }
    *message = l->in + 2;
    *n = bytes_get_u16(l->in);
    l->n_taken = 2 + *n;
    return PEER_DONE;
}

void peer_close(struct peer *l)
{
    if (l->ssl != NULL) {
        if (SSL_is_init_finished(l->ssl))
            (void)SSL_shutdown(l->ssl); /* RFC 8446 section 6.1 */
        ERR_clear_error();
        SSL_free(l->ssl);
    }
    if (l->event != NULL)
        event_free(l->event);
    if (l->fd >= 0)
        close(l->fd);
    free(l->in);
    *l = (struct peer){.fd = -1};
}

SSL_CTX *secondary_tls_new(const char *ca_path, struct place place, struct errors *errors)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    struct tls_files files = {.ca_path = ca_path, .place = place};
    bool is_good;

    ensure(tls != NULL);
    /* RFC 9103 section 7.2: no older one; section 9.3.1: the server is verified. */
    ensure(SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) == 1);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    is_good = ca_path != NULL ? !has_failed(tls_load_ca(tls, &files, errors))
                              : SSL_CTX_set_default_verify_paths(tls) == 1;
    if (is_good)
        return tls;
    if (ca_path == NULL)
        errors_add(errors, place,
                   "the system's CA certificates cannot be read; name a file: secondary: ca");
    SSL_CTX_free(tls);
    return NULL;
}
