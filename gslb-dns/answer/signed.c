/* SPDX-License-Identifier: BSD-2-Clause */
/* What other servers ask: queries that are signed, and zones as a whole. */
#include "common/clock/clock.h"
#include "gslb-dns/answer/answer_internal.h"

static enum answer_counter tsig_counter(enum tsig_verdict v)
{
    switch (v) {
    case TSIG_OK:
        return ANSWER_COUNTER_TSIG_OK;
    case TSIG_BADKEY:
        return ANSWER_COUNTER_TSIG_BADKEY;
    case TSIG_BADSIG:
        return ANSWER_COUNTER_TSIG_BADSIG;
    case TSIG_BADTIME:
        return ANSWER_COUNTER_TSIG_BADTIME;
    default:
        return ANSWER_COUNTER_TSIG_OTHER;
    }
}

static enum tsig_verdict judge_tsig(struct message *m, struct tsig_session *session,
                                    const struct wire_query *q, const struct world *w)
{
    const struct answer_query *io = m->io;
    struct tsig_record record;

    if (!tsig_read(io->packet, io->packet_bytes, q->tsig_at, &record))
        return TSIG_MALFORMED;
    tsig_accept(session, w != NULL ? w->tsig_keys : NULL, w != NULL ? w->n_tsig_keys : 0,
                io->packet, &record, (uint64_t)clock_wall_s());
    m->tsig = session;
    m->limit -= (uint32_t)tsig_room(session);
    m->cap -= (uint32_t)tsig_room(session);
    return session->verdict;
}

/* RFC 8945 section 5.2: FORMERR for what is no TSIG, NOTAUTH for what cannot be trusted. */
void message_accept_tsig(struct message *m, struct tsig_session *session,
                         const struct wire_query *q, const struct world *w,
                         struct metrics_block *counters)
{
    enum tsig_verdict v = judge_tsig(m, session, q, w);

    metrics_add(counters, tsig_counter(v), 1);
    if (v != TSIG_OK)
        m->rcode = v == TSIG_MALFORMED ? WIRE_FORMERR : WIRE_NOTAUTH;
}

void message_drop(struct message *m)
{
    if (m->tsig != NULL)
        tsig_end(m->tsig);
}

void message_sign(struct message *m)
{
    m->at = (uint32_t)tsig_sign(m->tsig, m->out, m->at, (uint64_t)clock_wall_s());
    tsig_end(m->tsig);
}

/* RFC 1996 section 4.7: the answer says that it was heard, and nothing else. */
void message_take_notify(struct message *m, const struct wire_query *q, const struct world *w,
                         struct metrics_block *counters)
{
    struct secondary_notice n = {q, m->io->packet, m->io->packet_bytes, m->io->source, m->tsig};
    enum secondary_notify v = SECONDARY_NOTIFY_NOT_OURS;
    bool has_hint = false;
    uint32_t hint;

    if (w != NULL)
        v = secondary_judge_notify(w, &n, &has_hint, &hint);
    if (v == SECONDARY_NOTIFY_TAKEN && w->secondary != NULL)
        secondary_ring(w->secondary, &q->qname, m->io->source, has_hint ? &hint : NULL);
    metrics_add(counters, (enum answer_counter)(ANSWER_COUNTER_NOTIFY_TAKEN + v), 1);
    m->rcode = secondary_notify_rcode(v);
    m->is_authoritative = m->rcode == WIRE_NOERROR;
    if (v == SECONDARY_NOTIFY_STRANGER)
        m->ede = EDE_PROHIBITED;
    else if (v == SECONDARY_NOTIFY_NOT_OURS || v == SECONDARY_NOTIFY_NO_COPY)
        m->ede = EDE_NOT_AUTHORITATIVE;
}

static void refuse(struct message *m, enum transfer_verdict v)
{
    static const struct {
        enum wire_rcode rcode;
        enum ede ede;
    } answers[] = {
        [TRANSFER_NOT_OURS] = {WIRE_NOTAUTH, EDE_NOT_AUTHORITATIVE},
        [TRANSFER_FORBIDDEN] = {WIRE_REFUSED, EDE_PROHIBITED},
        [TRANSFER_BY_TCP] = {WIRE_NOTIMP, EDE_NOT_SUPPORTED},
        [TRANSFER_BUSY] = {WIRE_REFUSED, EDE_NOT_READY},
        [TRANSFER_MALFORMED] = {WIRE_FORMERR, EDE_NONE},
        [TRANSFER_NO_DATA] = {WIRE_SERVFAIL, EDE_INVALID_DATA},
    };

    m->rcode = answers[v].rcode;
    m->ede = answers[v].ede;
}

struct outcome message_begin_transfer(struct message *m, const struct wire_query *q,
                                      const struct world *w)
{
    const struct answer_query *io = m->io;
    struct transfer_request r = {
        .world = w,
        .query = q,
        .packet = io->packet,
        .packet_bytes = io->packet_bytes,
        .source = io->source,
        .is_stream = io->transport == ANSWER_TCP || io->transport == ANSWER_TLS,
        .tsig = m->tsig,
    };
    enum transfer_verdict v = w != NULL ? transfer_begin(&r, &m->stream) : TRANSFER_NO_DATA;

    if (v == TRANSFER_BEGUN)
        return OUTCOME_OK;
    refuse(m, v);
    return OUTCOME_FAILED;
}

uint32_t message_send_transfer(struct message *m, struct answer_query *io)
{
    uint32_t room = m->tsig != NULL ? (uint32_t)tsig_room(m->tsig) : 0;
    uint32_t n = transfer_next(m->stream, m->out, m->cap + room);

    if (transfer_is_done(m->stream))
        transfer_abandon(m->stream);
    else
        io->stream = m->stream;
    return n;
}

uint32_t answer_next(struct answer_context *c, struct answer_stream *s, uint8_t *out, uint32_t cap)
{
    return transfer_next(s, out, cap);
}

void answer_abandon(struct answer_stream *s)
{
    transfer_abandon(s);
}
