/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One conversation with one primary, over one connection: its SOA first, and if that is newer, the
 * zone. Where IXFR leads nowhere a second connection asks for all of it, because nobody knows what
 * still comes over the first.
 */
#include "gslb-dns/secondary/secondary_internal.h"

#include "common/clock/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum step_result { STEP_AGAIN, STEP_WAIT };

const char *failure_words(enum failure f)
{
    static const char *const words[] = {
#define X(name, label, text) [FAILED_##name] = text,
        SECONDARY_FAILURES(X)
#undef X
    };

    ensure(f < FAILED_COUNT);
    return words[f];
}

static enum step_result finish(struct exchange *x, enum exchange_end end)
{
    x->end = end;
    x->step = EXCHANGE_OVER_STEP;
    return STEP_AGAIN;
}

static PRINTF_LIKE(3, 4) enum step_result
    fail(struct exchange *x, enum failure failure, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(x->why, sizeof(x->why), fmt, args);
    va_end(args);
    x->failure = failure;
    return finish(x, EXCHANGE_FAILED);
}

/* Of whatever was waited for the next has come. */
static void note_life(struct exchange *x)
{
    uint32_t ms = x->wish.settings->silence_ms;

    ensure(event_add(x->silence,
                     &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}) == 0);
}

static enum step_result fail_by_peer(struct exchange *x, enum peer_result r)
{
    if (r == PEER_CLOSED)
        return fail(x, FAILED_CLOSED, "%s", "");
    return fail(x, FAILED_CLOSED, "%s", errno != 0 ? strerror(errno) : "");
}

/* ---- steps ---- */

static void on_ready(evutil_socket_t fd, short what, void *arg);

static enum step_result step_connect(struct exchange *x)
{
    enum peer_result r;

    if (!x->is_open) {
        note_life(x);
        if (!peer_open(&x->peer, x->base, &x->primary.at, on_ready, x))
            return fail(x, FAILED_CONNECT, "%s", strerror(errno));
        x->is_open = true;
    }
    r = peer_connect(&x->peer);
    if (r == PEER_WAIT)
        return STEP_WAIT;
    if (r != PEER_DONE)
        return fail(x, FAILED_CONNECT, "%s", strerror(errno));
    x->step = x->primary.tls_name != NULL ? EXCHANGE_HANDSHAKE_STEP
              : x->is_axfr                ? EXCHANGE_ASK_ZONE_STEP
                                          : EXCHANGE_ASK_SOA_STEP;
    return STEP_AGAIN;
}

static enum step_result step_handshake(struct exchange *x)
{
    char why[120] = "";

    switch (
        peer_handshake(&x->peer, x->wish.settings->tls, x->primary.tls_name, why, sizeof(why))) {
    case PEER_WAIT:
        return STEP_WAIT;
    case PEER_DONE:
        x->step = x->is_axfr ? EXCHANGE_ASK_ZONE_STEP : EXCHANGE_ASK_SOA_STEP;
        return STEP_AGAIN;
    default:
        return fail(x, FAILED_TLS, "%s", why);
    }
}

static void begin_question(struct exchange *x, enum incoming_kind kind)
{
    uint8_t message[WIRE_UDP_MIN + TSIG_ROOM];
    size_t n;

    incoming_end(&x->incoming);
    incoming_begin(&x->incoming, kind, &x->wish.apex);
    x->incoming.have = x->wish.serial;
    x->incoming.max_bytes = x->wish.settings->max_bytes;
    x->incoming.max_records = x->wish.settings->max_records;
    ensure(getrandom(&x->incoming.id, sizeof(x->incoming.id), 0) ==
           (ssize_t)sizeof(x->incoming.id));
    n = incoming_write_query(&x->incoming, message);
    tsig_end(&x->tsig);
    x->tsig = (struct tsig_session){0};
    if (x->primary.key != NULL)
        n = tsig_ask(&x->tsig, x->primary.key, message, n, (uint64_t)clock_wall_s());
    peer_put(&x->peer, message, n);
}

/* What is queued goes out, then the answer is read. */
static enum step_result send_question(struct exchange *x, enum exchange_step then)
{
    enum peer_result r = peer_flush(&x->peer);

    if (r == PEER_WAIT)
        return STEP_WAIT;
    if (r != PEER_DONE)
        return fail_by_peer(x, r);
    x->step = then;
    return STEP_AGAIN;
}

static bool has_queued(const struct exchange *x)
{
    return x->peer.n_out > x->peer.at_out;
}

static enum step_result step_ask_soa(struct exchange *x)
{
    if (!has_queued(x))
        begin_question(x, INCOMING_SOA);
    return send_question(x, EXCHANGE_READ_SOA_STEP);
}

static enum step_result step_ask_zone(struct exchange *x)
{
    if (!has_queued(x))
        begin_question(x, x->is_axfr ? INCOMING_AXFR : INCOMING_IXFR);
    return send_question(x, EXCHANGE_READ_ZONE_STEP);
}

/* RFC 8945 section 5.3.2: an error that concerns our key comes unsigned. */
static enum step_result fail_by_tsig(struct exchange *x, enum tsig_verdict v,
                                     const uint8_t *message, size_t n)
{
    bool is_refusal = n >= WIRE_HEADER && (message[3] & 0x0f) == WIRE_NOTAUTH;

    return fail(x, FAILED_TSIG, is_refusal ? "it does not take our key: %s" : "%s",
                tsig_verdict_name(v));
}

/* One message that is signed as it should be, read by incoming. False: there is none yet, or the
 * exchange is over; *result says how it goes on. */
static bool take_message(struct exchange *x, enum incoming_verdict *verdict,
                         enum step_result *result)
{
    const uint8_t *message;
    enum peer_result r;
    size_t n, proper;

    r = peer_read(&x->peer, &message, &n);
    if (r != PEER_DONE) {
        *result = r == PEER_WAIT ? STEP_WAIT : fail_by_peer(x, r);
        return false;
    }
    note_life(x);
    x->n_bytes += n;
    proper = n;
    if (x->tsig.mac != NULL) {
        enum tsig_verdict v = tsig_check(&x->tsig, message, n, (uint64_t)clock_wall_s(), &proper);

        if (v != TSIG_OK) {
            *result = fail_by_tsig(x, v, message, n);
            return false;
        }
    }
    *verdict = incoming_take(&x->incoming, message, proper);
    if (*verdict == INCOMING_BAD) {
        *result = fail(x, x->incoming.failure, "%s", x->incoming.why);
        return false;
    }
    /* Nothing is believed before its signature has come: RFC 8945 section 5.3.1 lets messages
     * between the first and the last go without. */
    if (*verdict != INCOMING_MORE && *verdict != INCOMING_NO_IXFR && x->tsig.mac != NULL &&
        !tsig_is_settled(&x->tsig)) {
        *result = fail(x, FAILED_TSIG, "the last message is not signed");
        return false;
    }
    return true;
}

static enum step_result judge_soa(struct exchange *x)
{
    uint32_t serial = x->incoming.facts.serial;

    if (x->wish.is_full || !x->wish.has_copy) {
        x->is_axfr = true;
    } else if (serial == x->wish.serial) {
        return finish(x, EXCHANGE_CURRENT);
    } else if (!serial_is_newer(serial, x->wish.serial)) {
        return fail(x, FAILED_OLDER, "serial %u", serial);
    }
    if (x->wish.has_refused && x->wish.refused == serial && !x->wish.is_full)
        return fail(x, FAILED_BROKEN, "serial %u is the one that was refused", serial);
    x->step = EXCHANGE_ASK_ZONE_STEP;
    return STEP_AGAIN;
}

static enum step_result step_read_soa(struct exchange *x)
{
    enum incoming_verdict verdict;
    enum step_result result;

    return take_message(x, &verdict, &result) ? judge_soa(x) : result;
}

/* All of it, over a new connection. */
static enum step_result ask_for_all(struct exchange *x)
{
    peer_close(&x->peer);
    x->is_open = false;
    x->is_axfr = true;
    x->step = EXCHANGE_CONNECT_STEP;
    return STEP_AGAIN;
}

static enum step_result step_read_zone(struct exchange *x)
{
    /* So many, then others have their turn: data that has come is there the next time too. */
    enum { AT_ONCE = 32 };

    for (unsigned i = 0; i < AT_ONCE; i++) {
        enum incoming_verdict verdict;
        enum step_result result;

        if (!take_message(x, &verdict, &result))
            return result;
        switch (verdict) {
        case INCOMING_WHOLE:
            return finish(x, EXCHANGE_WHOLE);
        case INCOMING_CHANGES:
            return finish(x, EXCHANGE_CHANGES);
        case INCOMING_CURRENT:
            return finish(x, EXCHANGE_CURRENT);
        case INCOMING_NO_IXFR:
            return ask_for_all(x);
        default:
            break;
        }
    }
    event_active(x->peer.event, EV_READ, 0);
    return STEP_WAIT;
}

static enum step_result step_over(struct exchange *x)
{
    return STEP_WAIT;
}

/* ---- the driver ---- */

static void run(struct exchange *x)
{
    static enum step_result (*const steps[])(struct exchange *) = {
#define X(id, name) step_##name,
        EXCHANGE_STEPS(X)
#undef X
    };

    while (steps[x->step](x) == STEP_AGAIN)
        continue;
    if (x->step == EXCHANGE_OVER_STEP)
        x->on_end(x->arg); /* frees x */
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    run(arg);
}

static void on_silence(evutil_socket_t fd, short what, void *arg)
{
    struct exchange *x = arg;

    if (!x->is_begun) { /* the first turn, which exchange_start did not take itself */
        x->is_begun = true;
    } else if (x->step <= EXCHANGE_HANDSHAKE_STEP) {
        (void)fail(x, FAILED_CONNECT, "no answer in %u ms", x->wish.settings->silence_ms);
    } else {
        (void)fail(x, FAILED_SILENT, "for %u ms", x->wish.settings->silence_ms);
    }
    run(x);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct exchange *x = arg;

    (void)fail(x, FAILED_SLOW, "more than %u s (max-time)", x->wish.settings->transfer_ms / 1000);
    run(x);
}

struct secondary_primary primary_copy(const struct secondary_primary *from)
{
    return (struct secondary_primary){
        .at = from->at,
        .key = from->key != NULL ? tsig_key_dup(from->key) : NULL,
        .tls_name = from->tls_name != NULL ? base_strdup(from->tls_name) : NULL};
}

void primary_free(struct secondary_primary *p)
{
    tsig_key_free((struct tsig_key *)p->key);
    free((char *)p->tls_name);
}

struct exchange *exchange_start(struct event_base *base, const struct exchange_wish *wish,
                                void (*on_end)(void *arg), void *arg)
{
    struct exchange *x = base_zalloc(1, sizeof(*x));
    uint32_t ms = wish->settings->transfer_ms;

    x->wish = *wish;
    x->primary = primary_copy(wish->primary);
    x->wish.primary = &x->primary;
    x->base = base;
    x->on_end = on_end;
    x->arg = arg;
    x->peer.fd = -1;
    x->silence = event_new(base, -1, 0, on_silence, x);
    x->deadline = event_new(base, -1, 0, on_deadline, x);
    ensure(x->silence != NULL && x->deadline != NULL);
    ensure(event_add(x->deadline,
                     &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}) == 0);
    event_active(x->silence, EV_TIMEOUT, 0);
    return x;
}

void exchange_free(struct exchange *x)
{
    if (x == NULL)
        return;
    peer_close(&x->peer);
    event_free(x->silence);
    event_free(x->deadline);
    incoming_end(&x->incoming);
    tsig_end(&x->tsig);
    primary_free(&x->primary);
    free(x);
}
