/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a query must pass before it is answered: its cookie is judged, and by UDP its client's
 * address charged.
 *
 *   cookie or TSIG valid, or a stream ─▶ pass, whatever others do in the client's name
 *   cookie demanded           ─▶ BADCOOKIE, with a good one
 *   above the limit           ─▶ BADCOOKIE for a client that knows cookies, else TC or nothing
 *
 * Nothing that goes out in the last case is longer than the query by more than the cookie.
 */
#include "gslb-dns/answer/answer_internal.h"

#include "common/clock/clock.h"

static void count(struct guard *g, enum answer_counter counter)
{
    metrics_add(g->counters, counter, 1);
}

/* Once per batch, and only when somebody asks. */
static void read_clocks(struct guard *g)
{
    if (g->is_timed)
        return;
    g->is_timed = true;
    g->wall_s = (uint32_t)clock_wall_s();
    g->mono_ms = (uint32_t)clock_coarse_ms();
}

static enum cookie_verdict judge_cookie(struct guard *g, struct message *m,
                                        const struct wire_query *q, const struct world *w)
{
    struct ip client = addr_ip(m->io->source);
    enum cookie_verdict verdict =
        cookie_judge(w->cookies, q->cookie, q->cookie_bytes, &client, g->wall_s, m->cookie);

    count(g, ANSWER_COUNTER_COOKIE_ABSENT + verdict);
    return verdict;
}

/* false: not within the limit. */
static bool charge(struct guard *g, const struct message *m, const struct limit *limit)
{
    struct ip client = addr_ip(m->io->source);

    switch (limit_charge(limit, &client, g->mono_ms)) {
    case LIMIT_PASSED:
        count(g, ANSWER_COUNTER_LIMIT_PASSED);
        return true;
    case LIMIT_EXEMPT:
        count(g, ANSWER_COUNTER_LIMIT_EXEMPT);
        return true;
    case LIMIT_BY_ADDRESS:
        count(g, ANSWER_COUNTER_LIMIT_ADDRESS);
        return false;
    case LIMIT_BY_NETWORK:
        count(g, ANSWER_COUNTER_LIMIT_NETWORK);
        return false;
    }
    return true;
}

static enum guard_verdict demand_cookie(struct message *m)
{
    m->rcode = WIRE_BADCOOKIE;
    return GUARD_STOP;
}

static enum guard_verdict hold(struct guard *g, struct message *m, const struct limit *limit)
{
    if (limit->slip == 0 || ++g->n_held % limit->slip != 0) {
        count(g, ANSWER_COUNTER_LIMIT_DROPPED);
        return GUARD_DROP;
    }
    count(g, ANSWER_COUNTER_LIMIT_SLIPPED);
    message_truncate(m);
    return GUARD_STOP;
}

/* By a key of ours: the client is who it says it is. */
static bool is_signed(const struct message *m)
{
    return m->tsig != NULL && m->tsig->verdict == TSIG_OK;
}

enum guard_verdict guard_judge(struct guard *g, struct message *m, const struct wire_query *q,
                               const struct world *w)
{
    bool has_cookie = message_has_cookie(q, w);
    enum cookie_verdict cookie = COOKIE_ABSENT;

    read_clocks(g);
    if (has_cookie)
        cookie = judge_cookie(g, m, q, w);
    if (answer_is_stream(m->io->transport) || cookie == COOKIE_VALID || is_signed(m))
        return GUARD_PASS;
    if (has_cookie && w->cookie_rule == WORLD_COOKIE_ALWAYS && q->has_question)
        return demand_cookie(m);
    if (w->limit == NULL || charge(g, m, w->limit))
        return GUARD_PASS;
    if (has_cookie && w->cookie_rule == WORLD_COOKIE_UNDER_LIMIT) {
        count(g, ANSWER_COUNTER_LIMIT_BADCOOKIE);
        return demand_cookie(m);
    }
    return hold(g, m, w->limit);
}
