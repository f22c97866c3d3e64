/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/steer/steer_internal.h"

#include <string.h>

static void rank_failover(const struct steer_map *map, const struct geo_location *where,
                          uint16_t *ranked)
{
    memcpy(ranked, map->default_order, map->n * sizeof(*ranked));
}

const struct steer_policy steer_failover = {
    .name = "failover",
    .summary = "the first usable region in the configured order, for every client",
    .is_by_location = false,
    .rank = rank_failover,
};
