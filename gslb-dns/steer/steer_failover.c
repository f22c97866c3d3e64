/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/steer/steer_internal.h"

static void write_failover(struct steer_writer *w, size_t node)
{
    const struct steer_tree_node *n = &w->map->nodes[node];

    for (uint32_t i = 0; i < n->n; i++)
        steer_write_branch(w, n->first + i);
}

const struct steer_policy steer_failover = {
    .name = "failover",
    .summary = "the first usable branch in the configured order",
    .write = write_failover,
};
