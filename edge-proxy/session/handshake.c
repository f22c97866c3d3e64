/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS handshakes, and how many at a time. The first step of one costs a signature and a key
 * exchange, as much as a hundred requests: a burst of newcomers would make everybody wait who is
 * here already. So newcomers have HANDSHAKE_BUDGET_US of each turn of the loop; those beyond wait
 * in a queue, first come, first served, and are not listened to meanwhile. A handshake that has
 * begun goes on at once: what is left of it is cheap, and there are no more of them than the budget
 * let in.
 */
#include "edge-proxy/session/session_internal.h"

#include "common/clock/clock.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

enum { HANDSHAKE_BUDGET_US = 1000, FREE_HANDSHAKES_KEPT = 256 };

struct handshake {
    struct handshake *next; /* in the queue, or the free list */
    struct handshake **link;
    struct session *session;
    struct generation_use *use; /* whose contexts it takes */
    bool has_begun;
};

/* ---- The queue ---- */

static void enqueue(struct handshake_queue *q, struct handshake *h)
{
    h->next = NULL;
    h->link = q->last;
    *q->last = h;
    q->last = &h->next;
    q->n++;
}

static void dequeue(struct handshake_queue *q, struct handshake *h)
{
    if (h->link == NULL)
        return;
    *h->link = h->next;
    if (h->next != NULL)
        h->next->link = h->link;
    else
        q->last = h->link;
    h->link = NULL;
    q->n--;
}

/* Runs when everything else has had its turn: no time passes, but the loop looks at its sockets. */
static void arm(struct handshake_queue *q)
{
    static const struct timeval at_once;

    if (q->first != NULL)
        ensure(event_add(&q->next_turn, &at_once) == 0);
}

/* What this turn of the loop has spent. The loop's cached time tells turns apart. */
static int64_t *spent_us(struct session_worker *sw)
{
    struct handshake_queue *q = &sw->handshakes;
    struct timeval now;

    event_base_gettimeofday_cached(sw->w->base, &now);
    if (now.tv_usec != q->turn.tv_usec || now.tv_sec != q->turn.tv_sec) {
        q->turn = now;
        q->spent_us = 0;
    }
    return &q->spent_us;
}

/* At least one, whatever those who go on have spent. */
static void on_next_turn(evutil_socket_t fd, short what, void *arg)
{
    struct session_worker *sw = arg;
    struct handshake_queue *q = &sw->handshakes;

    do {
        struct handshake *h = q->first;

        if (h == NULL)
            break;
        dequeue(q, h);
        worker_count(sw->w, COUNT_TLS_WAITED_ENOUGH);
        h->has_begun = true;
        session_run(h->session);
    } while (*spent_us(sw) < HANDSHAKE_BUDGET_US);
    arm(q);
}

void session_init_handshakes(struct session_worker *sw)
{
    struct handshake_queue *q = &sw->handshakes;

    q->last = &q->first;
    event_assign(&q->next_turn, sw->w->base, -1, 0, on_next_turn, sw);
}

void session_free_handshakes(struct session_worker *sw)
{
    struct handshake_queue *q = &sw->handshakes;

    event_del(&q->next_turn);
    for (struct handshake *h = q->spare, *next; h != NULL; h = next) {
        next = h->next;
        free(h);
    }
}

/* ---- One handshake ---- */

void session_start_handshake(struct session *s, SSL *ssl)
{
    struct handshake_queue *q = &s->sw->handshakes;
    struct handshake *h = q->spare;

    if (h != NULL) {
        q->spare = h->next;
        q->n_spare--;
    } else {
        h = base_alloc(sizeof(*h));
    }
    *h = (struct handshake){.session = s, .use = request_worker_hold(s->sw->rw)};
    s->handshake = h;
    wire_use_tls(s->sw->w, &s->wire, ssl);
}

void session_end_handshake(struct session *s)
{
    struct handshake_queue *q = &s->sw->handshakes;
    struct handshake *h = s->handshake;

    s->handshake = NULL;
    if (h->link != NULL)
        worker_count(s->sw->w, COUNT_TLS_WAITED_ENOUGH);
    dequeue(q, h);
    request_worker_release(s->sw->rw, h->use);
    if (q->n_spare >= FREE_HANDSHAKES_KEPT) {
        free(h);
        return;
    }
    h->next = q->spare;
    q->spare = h;
    q->n_spare++;
}

static enum counter failure(enum wire_verdict v)
{
    unsigned long error = ERR_peek_error();

    if (v == WIRE_EOF || error == 0 || ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return COUNT_TLS_CLOSED;
    switch (ERR_GET_REASON(error)) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return COUNT_TLS_PLAIN_HTTP;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
        return COUNT_TLS_NO_CIPHER;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return COUNT_TLS_NO_CREDENTIAL;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return COUNT_TLS_BAD_CREDENTIAL;
    case SSL_R_CALLBACK_FAILED:
        return COUNT_TLS_UNKNOWN_NAME;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_VERSION_NUMBER:
        return COUNT_TLS_VERSION;
    default:
        return ERR_GET_REASON(error) >= SSL_AD_REASON_OFFSET ? COUNT_TLS_ALERT : COUNT_TLS_OTHER;
    }
}

static bool is_h2_chosen(const SSL *ssl)
{
    const unsigned char *name;
    unsigned n;

    SSL_get0_alpn_selected(ssl, &name, &n);
    return n == 2 && memcmp(name, "h2", 2) == 0;
}

/* false: what the client has shown is too large to be told to an origin. */
static bool take_credential(struct session *s)
{
    s->client.policy = credential_policy_of(s->wire.ssl);
    if (has_failed(credential_take(s->wire.ssl, &s->client.certificate))) {
        worker_count(s->sw->w, COUNT_TLS_BAD_CREDENTIAL);
        return false;
    }
    if (s->client.certificate != NULL)
        worker_count(s->sw->w, COUNT_TLS_CREDENTIALS);
    return true;
}

static enum step_result go_on_with_http(struct session *s)
{
    struct worker *w = s->sw->w;

    if (!take_credential(s))
        return STEP_OVER;
    worker_count(w, COUNT_TLS_HANDSHAKES);
    if (SSL_session_reused(s->wire.ssl))
        worker_count(w, COUNT_TLS_RESUMED);
    s->client.tls_version = SSL_get_version(s->wire.ssl);
    session_end_handshake(s);
    session_want(s, EV_READ);
    session_set_clock(s, CLOCK_HEAD, session_limits(s)->header_timeout_ms);
    if (is_h2_chosen(s->wire.ssl)) {
        session_start_h2(s);
        return STEP_AGAIN;
    }
    s->step = SESSION_READ_HEAD;
    return wire_has_pending(&s->wire) ? STEP_AGAIN : STEP_WAIT;
}

/* Not now: WAIT, in the queue; or OVER, when that is full. */
static enum step_result wait_for_turn(struct session *s)
{
    struct handshake_queue *q = &s->sw->handshakes;

    if (q->n >= session_limits(s)->waiting_handshakes) {
        worker_count(s->sw->w, COUNT_REFUSED_HANDSHAKES);
        return STEP_OVER;
    }
    worker_count(s->sw->w, COUNT_TLS_WAITED);
    session_want(s, 0);
    enqueue(q, s->handshake);
    if (q->n == 1)
        arm(q);
    return STEP_WAIT;
}

enum step_result session_step_handshake(struct session *s)
{
    struct worker *w = s->sw->w;
    int64_t *spent = spent_us(s->sw), began_us;
    enum counter why;
    enum wire_verdict v;

    if (!s->handshake->has_begun &&
        (s->sw->handshakes.first != NULL || *spent >= HANDSHAKE_BUDGET_US))
        return wait_for_turn(s);
    s->handshake->has_begun = true;
    began_us = clock_mono_us();
    v = wire_handshake(w, &s->wire);
    *spent += clock_mono_us() - began_us;
    switch (v) {
    case WIRE_OK:
        return go_on_with_http(s);
    case WIRE_AGAIN_READ:
        session_want(s, EV_READ);
        return STEP_WAIT;
    case WIRE_AGAIN_WRITE:
        session_want(s, EV_WRITE);
        return STEP_WAIT;
    default:
        why = failure(v);
        worker_count(w, why);
        if (why != COUNT_TLS_CLOSED)
            session_blame(s, GUARD_HANDSHAKE);
        ERR_clear_error();
        return STEP_OVER;
    }
}
