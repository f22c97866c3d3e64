/* SPDX-License-Identifier: BSD-2-Clause */
/* How much of what a client did is too much (RFC 9113 section 10.5). */
#include "edge-proxy/h2/h2_internal.h"

static const uint16_t weights[] = {
#define WEIGHT_(name, weight, label) [H2_GLITCH_##name] = (weight),
    EDGE_GLITCHES(WEIGHT_)
#undef WEIGHT_
};

static void leak(struct h2_score *score, int64_t now_ms, uint32_t per_s)
{
    uint64_t gone = (uint64_t)(now_ms - score->leaked_ms) * per_s / 1000;

    if (gone == 0) /* not a whole point yet: the time counts on */
        return;
    score->points = gone < score->points ? score->points - (uint32_t)gone : 0;
    score->leaked_ms = now_ms;
}

bool h2_score_add(struct h2_score *score, enum h2_glitch glitch, int64_t now_ms,
                  const struct config_http2 *limits)
{
    if (score->points == 0)
        score->leaked_ms = now_ms;
    else
        leak(score, now_ms, limits->abuse_leak);
    score->points += weights[glitch];
    return limits->abuse_limit == 0 || score->points <= limits->abuse_limit;
}
