/* SPDX-License-Identifier: BSD-2-Clause */
/* Zones with primaries: what the configuration says of them, what was found on disk, what has come.
 */
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "gslb-dns/control/control.h"
#include "gslb-dns/main/node_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool is_copy(const struct config_zone *z)
{
    return z->transfers.n_primaries > 0;
}

static bool has_tls(const struct config *c)
{
    for (size_t z = 0; z < c->n_zones; z++)
        for (size_t i = 0; i < c->zones[z].transfers.n_primaries; i++)
            if (c->zones[z].transfers.primaries[i].tls_name != NULL)
                return true;
    return false;
}

struct outcome copies_prepare(const struct config *c, SSL_CTX **tls, struct errors *errors)
{
    *tls = NULL;
    if (!has_tls(c))
        return OUTCOME_OK;
    *tls = secondary_tls_new(c->secondary.ca_path, c->secondary.place, errors);
    return *tls != NULL ? OUTCOME_OK : OUTCOME_FAILED;
}

void copies_check(const struct config *c, struct errors *errors)
{
    SSL_CTX *tls;

    if (!has_failed(copies_prepare(c, &tls, errors)))
        SSL_CTX_free(tls);
}

static struct secondary_primary *list_primaries(const struct config_zone *z, const struct world *w)
{
    const struct config_zone_transfers *t = &z->transfers;
    struct secondary_primary *primaries = base_zalloc(t->n_primaries, sizeof(primaries[0]));

    for (size_t i = 0; i < t->n_primaries; i++) {
        const struct config_server *from = &t->primaries[i];

        primaries[i] = (struct secondary_primary){
            .at = from->at,
            .key = from->key != CONFIG_NO_KEY ? w->tsig_keys[from->key] : NULL,
            .tls_name = from->tls_name};
    }
    return primaries;
}

/* A copy on disk that cannot be loaded is as good as none. */
static struct secondary_zone describe(const struct generation *g, const struct world *w,
                                      size_t zone)
{
    const struct config_zone *z = &generation_config(g)->zones[zone];
    const struct generation_stored *stored = generation_stored(g, zone);
    bool is_broken = generation_zone_fault(g, zone) != NULL;

    return (struct secondary_zone){
        .name = z->name,
        .path = z->path,
        .primaries = list_primaries(z, w),
        .n_primaries = z->transfers.n_primaries,
        .state = is_broken ? REPLICA_NONE : stored->state,
        .soa = stored->soa,
        .confirmed_s = stored->confirmed_s,
        .expires_s = stored->expires_s,
        .damage = stored->damage,
        .served = generation_zone(g, zone)->serial,
    };
}

void copies_update(struct secondary *s, const struct generation *g, const struct world *w,
                   SSL_CTX *tls)
{
    const struct config *c = generation_config(g);
    struct secondary_settings settings = {
        .at_once = c->secondary.transfers,
        .silence_ms = c->secondary.timeout_ms,
        .transfer_ms = c->secondary.max_time_s * 1000,
        .max_bytes = c->secondary.max_bytes,
        .max_records = c->secondary.max_records,
        .min_wait_s = c->secondary.min_wait_s,
        .max_wait_s = c->secondary.max_wait_s,
        .tls = tls,
    };
    struct secondary_zone *zones = base_zalloc(c->n_zones, sizeof(zones[0]));
    size_t n = 0;

    for (size_t z = 0; z < c->n_zones; z++)
        if (is_copy(&c->zones[z]))
            zones[n++] = describe(g, w, z);
    secondary_update(s, &settings, zones, n);
    for (size_t i = 0; i < n; i++)
        free((void *)zones[i].primaries);
    free(zones);
}

void copies_loaded(struct secondary *s, const struct wish *w, const struct generation *g)
{
    for (size_t i = 0; i < w->n_versions; i++) {
        const char *name = w->versions[i].zone;
        size_t zone = g != NULL ? generation_find_zone(g, name) : SIZE_MAX;
        struct arena arena;

        if (w->versions[i].replica == NULL)
            continue;
        arena_init(&arena, 0);
        secondary_loaded(s, name,
                         zone != SIZE_MAX ? faults_of_zone(g, zone, &arena)
                                          : "nothing could be loaded; see the log");
        arena_free(&arena);
    }
}

const struct control_copy_status *copies_describe(struct secondary *s, const struct config_zone *z,
                                                  struct arena *arena)
{
    struct secondary_status status;

    if (!is_copy(z))
        return NULL;
    secondary_status(s, z->name, &status);
    return arena_copy(arena,
                      &(struct control_copy_status){
                          .state = status.state,
                          .primary = arena_strndup(arena, status.primary, strlen(status.primary)),
                          .error = arena_strndup(arena, status.error, strlen(status.error)),
                          .confirmed_s = status.confirmed_s,
                          .refresh_in_s = status.refresh_in_s,
                          .expires_in_s = status.expires_in_s,
                          .is_saved = status.is_saved,
                      },
                      sizeof(struct control_copy_status));
}

struct outcome copies_refresh(struct secondary *s, const struct generation *g, const char *zone,
                              bool is_full, struct text *done, struct text *error)
{
    size_t i = generation_find_zone(g, zone);
    const struct config_zone *z = i != SIZE_MAX ? &generation_config(g)->zones[i] : NULL;

    if (z == NULL) {
        text_addf(error, "no zone '%s' in the configuration that runs", zone);
        return OUTCOME_FAILED;
    }
    if (!is_copy(z)) {
        text_addf(error, "zone '%s' has no primaries; gslbctl reload %s reads its file", z->name,
                  z->name);
        return OUTCOME_FAILED;
    }
    log_info("secondary", "refresh asked for zone=%s full=%s", z->name, is_full ? "yes" : "no");
    secondary_refresh(s, z->name, is_full);
    text_addf(done,
              is_full ? "%s: all of it is asked for; gslbctl status tells what became of it"
                      : "%s: its primaries are asked; gslbctl status tells what became of it",
              z->name);
    return OUTCOME_OK;
}

/* What a copy's state is as a number, for each zone. */
static void write_gauges(struct secondary *s, const struct config *c, const char *name,
                         const char *help, int64_t (*value)(const struct secondary_status *status),
                         struct text *out)
{
    metrics_write_head(out, name, "gauge", help);
    for (size_t z = 0; z < c->n_zones; z++) {
        struct secondary_status status;

        if (!is_copy(&c->zones[z]))
            continue;
        secondary_status(s, c->zones[z].name, &status);
        text_addf(out, "%s{zone=\"%s\"} %" PRId64 "\n", name, c->zones[z].name, value(&status));
    }
}

static int64_t confirmed_s(const struct secondary_status *status)
{
    return status->confirmed_s;
}

static int64_t expires_in_s(const struct secondary_status *status)
{
    return status->expires_in_s;
}

static int64_t is_saved(const struct secondary_status *status)
{
    return status->is_saved;
}

void copies_write_metrics(struct secondary *s, const struct config *c, struct text *out)
{
    secondary_write_metrics(s, out);
    write_gauges(s, c, "gslb_dns_secondary_confirmed_timestamp_seconds",
                 "When a primary last said that the copy is current; 0: never.", confirmed_s, out);
    write_gauges(s, c, "gslb_dns_secondary_expires_seconds",
                 "How long the copy may still be served; 0: it may not.", expires_in_s, out);
    write_gauges(s, c, "gslb_dns_secondary_saved", "Whether the copy is on disk as it is served.",
                 is_saved, out);
}
