/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/answer/answer.h"

const struct metrics_counter answer_counter_table[ANSWER_COUNTER_COUNT] = {
#define X(name, metric, help) [ANSWER_COUNTER_##name] = {metric, help},
    ANSWER_COUNTERS(X)
#undef X
#define X(name, rcode, label)                                                    \
    [ANSWER_COUNTER_##name] = {"gslb_dns_verdicts_total{verdict=\"" label "\"}", \
                               "How queries were read: ok, or why not."},
        WIRE_VERDICTS(X)
#undef X
#define X(name, rcode, label)                                                                  \
    [ANSWER_COUNTER_NOTIFY_##name] = {"gslb_dns_notify_received_total{verdict=\"" label "\"}", \
                                      "NOTIFY messages received, by what became of them."},
            SECONDARY_NOTIFIES(X)
#undef X
};
