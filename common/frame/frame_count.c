/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/frame/frame_internal.h"
#include "common/metrics/metrics.h"

static const struct {
    const char *label, *words;
} closes[] = {
#define X(name, label, words) {label, words},
    FRAME_CLOSES(X)
#undef X
};

static uint64_t counts[FRAME_CLOSE_N];

const char *frame_close_words(enum frame_close why)
{
    ensure((size_t)why < COUNT_OF(closes));
    return closes[why].words;
}

void frame_count_close(enum frame_close why)
{
    ensure((size_t)why < COUNT_OF(counts));
    __atomic_fetch_add(&counts[why], 1, __ATOMIC_RELAXED);
}

uint64_t frame_closed_count(enum frame_close why)
{
    ensure((size_t)why < COUNT_OF(counts));
    return __atomic_load_n(&counts[why], __ATOMIC_RELAXED);
}

void frame_write_metrics(struct text *out)
{
    metrics_write_head(out, "gslb_channel_closes_total", "counter",
                       "Links of the control channel that ended, by reason.");
    for (size_t i = 0; i < COUNT_OF(closes); i++)
        text_addf(out, "gslb_channel_closes_total{reason=\"%s\"} %llu\n", closes[i].label,
                  (unsigned long long)frame_closed_count((enum frame_close)i));
}
