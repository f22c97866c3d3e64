/* SPDX-License-Identifier: BSD-2-Clause */
/* What changed in zones from load to load, for secondaries that ask for that. */
#include "gslb-dns/generation/generation_internal.h"

#include "common/bytes/bytes.h"

#include <stdlib.h>
#include <string.h>

/* The records that services of a zone add to it in transfers. */
struct additions {
    struct history_record *records;
    size_t n, cap;
};

static void add_records(struct additions *to, const struct wire_name *owner,
                        const struct world_addresses *a, size_t record_bytes)
{
    enum { RECORD_HEAD = 12 };
    const uint8_t *p = a->wire, *end = p + a->count * record_bytes + a->sig_bytes;

    while (a->count > 0 && p < end) {
        struct history_record r = {.name = owner->bytes,
                                   .name_bytes = owner->length,
                                   .wire = p,
                                   .wire_bytes = RECORD_HEAD + bytes_get_u16(p + 10)};

        BASE_GROW(to->records, to->n, to->cap);
        to->records[to->n++] = r;
        p += r.wire_bytes;
    }
}

static void add_services(struct generation *g, size_t zone, struct arena *a, struct additions *to)
{
    const struct shared_zone *z = g->zones[zone];

    g->full[zone] = base_zalloc(z->n_services, sizeof(g->full[zone][0]));
    for (size_t i = 0; i < z->n_services; i++) {
        struct world_site full = generation_make_full(a, g, z->services[i].service);

        g->full[zone][i] = (struct world_full){full.a.count, full.aaaa.count};
        add_records(to, &z->services[i].name, &full.a, WORLD_A_BYTES);
        add_records(to, &z->services[i].name, &full.aaaa, WORLD_AAAA_BYTES);
    }
}

static struct history *make_history(const struct generation *g, size_t zone,
                                    const struct generation *previous,
                                    const struct history_extra *extra)
{
    const struct zone *now = g->zones[zone]->zone;
    size_t max_bytes = g->config->zones[zone].transfers.history_bytes;
    size_t old =
        previous != NULL ? generation_find_zone(previous, g->config->zones[zone].name) : SIZE_MAX;

    if (old == SIZE_MAX || previous->histories[old] == NULL)
        return history_new(now, extra);
    return history_next(previous->histories[old], previous->zones[old]->zone, now, extra,
                        max_bytes);
}

static void keep_history(struct generation *g, size_t zone, const struct generation *previous)
{
    const struct config_zone_transfers *t = &g->config->zones[zone].transfers;
    struct additions add = {0};
    struct arena a;

    arena_init(&a, 16384);
    if (g->zones[zone]->n_services > 0 && t->steered == CONFIG_STEERED_ADDRESSES)
        add_services(g, zone, &a, &add);
    g->histories[zone] =
        make_history(g, zone, previous, &(struct history_extra){add.records, add.n});
    free(add.records);
    arena_free(&a);
}

void generation_keep_histories(struct generation *g, const struct generation *previous)
{
    size_t n = g->config->n_zones;

    g->histories = base_zalloc(n, sizeof(g->histories[0]));
    g->full = base_zalloc(n, sizeof(g->full[0]));
    for (size_t z = 0; z < n; z++) {
        const struct config_zone_transfers *t = &g->config->zones[z].transfers;

        if (t->n_allow > 0 && t->history_bytes > 0 && zone_is_available(g->zones[z]->zone))
            keep_history(g, z, previous);
    }
}

void generation_free_histories(struct generation *g)
{
    for (size_t z = 0; g->histories != NULL && z < g->config->n_zones; z++) {
        history_release(g->histories[z]);
        free(g->full[z]);
    }
    free(g->histories);
    free(g->full);
}

const struct history *generation_history(const struct generation *g, size_t zone)
{
    return g->histories[zone];
}
