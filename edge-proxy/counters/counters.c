/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge-proxy/counters/counters.h"

static const struct metrics_counter table[] = {
#define ROW_(id, name, help) {name, help},
#define EDGE_GLITCH_ROW_(name, label)                 \
    {"edge_http2_glitches_total{kind=\"" label "\"}", \
     "What HTTP/2 clients did that costs more than it should."},
#define EDGE_VERDICT_ROW_(name, label) \
    {"edge_parser_verdicts_total{verdict=\"" label "\"}", "Requests by the parser's verdict."},
    EDGE_COUNTERS(ROW_)
#undef EDGE_VERDICT_ROW_
#undef EDGE_GLITCH_ROW_
#undef ROW_
};

struct metrics counters_all = {.table = table, .n = COUNT_COUNT};
