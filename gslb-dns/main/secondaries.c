/* SPDX-License-Identifier: BSD-2-Clause */
/* Whom notify has to tell of which zone, and what is kept for those whom it tells. */
#include "common/metrics/metrics.h"
#include "gslb-dns/history/history.h"
#include "gslb-dns/main/node_internal.h"
#include "gslb-dns/notify/notify.h"

#include <stdlib.h>

static size_t count_targets(const struct config *c)
{
    size_t n = 0;

    for (size_t z = 0; z < c->n_zones; z++)
        n += c->zones[z].transfers.n_notify;
    return n;
}

void secondaries_write_metrics(const struct generation *g, struct text *out)
{
    const struct config *c = generation_config(g);

    metrics_write_head(out, "gslb_dns_zone_history_bytes", "gauge",
                       "Memory for what changed in each zone that goes out (IXFR).");
    for (size_t z = 0; z < c->n_zones; z++)
        if (generation_history(g, z) != NULL)
            text_addf(out, "gslb_dns_zone_history_bytes{zone=\"%s\"} %zu\n", c->zones[z].name,
                      history_bytes(generation_history(g, z)));
}

void secondaries_tell(struct notify *notify, const struct generation *g, const struct world *w)
{
    const struct config *c = generation_config(g);
    struct notify_target *targets = base_zalloc(count_targets(c) + 1, sizeof(targets[0]));
    size_t n = 0;

    for (size_t z = 0; z < c->n_zones; z++) {
        const struct config_zone_transfers *t = &c->zones[z].transfers;
        const struct zone *zone = generation_zone(g, z);

        for (size_t i = 0; zone_is_available(zone) && i < t->n_notify; i++)
            targets[n++] = (struct notify_target){
                .zone = zone->apex,
                .at = t->notify[i].at,
                .key = t->notify[i].key != CONFIG_NO_KEY ? w->tsig_keys[t->notify[i].key] : NULL,
                .serial = zone->serial};
    }
    notify_update(notify, targets, n);
    free(targets);
}
