/* SPDX-License-Identifier: BSD-2-Clause */
/* One branch for each client, by the most particular rule: the longest network, then the country,
 * then the continent, then the default. */
#include "gslb-dns/steer/steer_internal.h"

#include <string.h>

static bool has_code(const char *codes, const char *code)
{
    if (codes == NULL || code[0] == '\0')
        return false;
    for (; codes[0] != '\0'; codes += 2)
        if (codes[0] == code[0] && codes[1] == code[1])
            return true;
    return false;
}

static uint32_t find_default(const struct steer_map *map, const struct steer_tree_node *n)
{
    for (uint32_t i = n->first; i < n->first + n->n; i++)
        if (map->branches[i].is_default)
            return i;
    ensure(false); /* there is one */
    return n->first;
}

uint32_t steer_geo_branch(const struct steer_writer *w, size_t node, const char **why)
{
    const struct steer_map *map = w->map;
    const struct steer_tree_node *n = &map->nodes[node];
    uint16_t rule = map->contexts[w->context * map->n_geo + n->geo_number];

    *why = "by network";
    if (rule != STEER_NO_RULE)
        return n->first + rule;
    *why = "by country";
    for (uint32_t i = n->first; w->where != NULL && i < n->first + n->n; i++)
        if (has_code(map->branches[i].countries, w->where->country))
            return i;
    *why = "by continent";
    for (uint32_t i = n->first; w->where != NULL && i < n->first + n->n; i++)
        if (has_code(map->branches[i].continents, w->where->continent))
            return i;
    *why = "by default";
    return find_default(map, n);
}

static void write_geo(struct steer_writer *w, size_t node)
{
    const char *why;

    steer_write_branch(w, steer_geo_branch(w, node, &why));
}

const struct steer_policy steer_geo = {
    .name = "geo",
    .summary = "the branch whose rule fits the client best: longest network, country, continent",
    .is_by_location = true,
    .write = write_geo,
};
