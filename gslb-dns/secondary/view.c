/* SPDX-License-Identifier: BSD-2-Clause */
/* What other threads see of the zones: their state and the counters, under the lock. */
#include "gslb-dns/secondary/secondary_internal.h"

#include "common/clock/clock.h"
#include "common/metrics/metrics.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int by_apex(const void *a, const void *b)
{
    return world_compare_apexes(&((const struct zone_view *)a)->apex,
                                &((const struct zone_view *)b)->apex);
}

static int by_key(const void *key, const void *item)
{
    return world_compare_apexes(key, &((const struct zone_view *)item)->apex);
}

struct zone_view *view_find(const struct secondary *s, const struct wire_name *apex)
{
    return s->n_views > 0 ? bsearch(apex, s->views, s->n_views, sizeof(s->views[0]), by_key) : NULL;
}

void views_make(struct secondary *s)
{
    struct zone_view *fresh = base_zalloc(s->n + 1, sizeof(fresh[0])), *old;

    for (size_t i = 0; i < s->n; i++)
        fresh[i] = (struct zone_view){.apex = s->copies[i]->apex, .copy = s->copies[i]};
    qsort(fresh, s->n, sizeof(fresh[0]), by_apex);
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n; i++) {
        const struct zone_view *before = view_find(s, &fresh[i].apex);

        if (before == NULL)
            continue;
        fresh[i].bell = before->bell;
        if (before->copy == fresh[i].copy)
            fresh[i].status = before->status;
    }
    old = s->views;
    s->views = fresh;
    s->n_views = s->n;
    pthread_mutex_unlock(&s->lock);
    free(old);
}

static const char *state_of(const struct copy *c)
{
    if (c->step != ZONE_REST_STEP)
        return "refreshing";
    if (!c->has_copy)
        return "empty";
    if (c->is_expired)
        return "expired";
    return c->n_failures > 0 ? "retrying" : "fresh";
}

void view_update(const struct copy *c)
{
    struct secondary *s = c->owner;
    struct zone_view *v;

    pthread_mutex_lock(&s->lock);
    v = view_find(s, &c->apex);
    if (v != NULL && v->copy == c) {
        v->status.is_known = true;
        v->status.is_expired = c->is_expired;
        v->status.serial = c->has_copy ? c->soa.serial : 0;
        v->status.state = state_of(c);
        v->status.confirmed_s = c->confirmed_s;
        v->status.is_saved = c->has_copy && !c->is_disk_bad;
        memcpy(v->status.primary, c->primary, sizeof(c->primary));
        memcpy(v->status.error, c->error, sizeof(c->error));
        v->next_ms = c->times.next_ms;
        v->expires_ms = c->has_copy ? c->times.expires_ms : INT64_MAX;
    }
    pthread_mutex_unlock(&s->lock);
}

static int64_t seconds_until(int64_t at_ms, int64_t now_ms)
{
    return at_ms == INT64_MAX || at_ms <= now_ms ? 0 : (at_ms - now_ms + 999) / 1000;
}

void secondary_status(struct secondary *s, const char *zone, struct secondary_status *out)
{
    const struct zone_view *v = NULL;
    int64_t now_ms = clock_mono_ms();
    struct wire_name apex;

    *out = (struct secondary_status){.state = "empty"};
    pthread_mutex_lock(&s->lock);
    if (wire_name_parse(str_of(zone), &apex))
        v = view_find(s, &apex);
    if (v != NULL && v->status.is_known) {
        *out = v->status;
        out->refresh_in_s = seconds_until(v->next_ms, now_ms);
        out->expires_in_s = seconds_until(v->expires_ms, now_ms);
    }
    pthread_mutex_unlock(&s->lock);
}

/* ---- counters ---- */

void secondary_count(struct secondary *s, uint64_t *counter, uint64_t n)
{
    pthread_mutex_lock(&s->lock);
    *counter += n;
    pthread_mutex_unlock(&s->lock);
}

static void write_one(struct text *out, const char *name, const char *help, uint64_t n)
{
    metrics_write_head(out, name, "counter", help);
    text_addf(out, "%s %" PRIu64 "\n", name, n);
}

static void write_failures(const struct secondary_counters *c, struct text *out)
{
    static const char *const labels[] = {
#define X(name, label, words) [FAILED_##name] = label,
        SECONDARY_FAILURES(X)
#undef X
    };
    const char *family = "gslb_dns_secondary_failures_total";

    metrics_write_head(out, family, "counter",
                       "Primaries that nothing could be taken from, by reason.");
    for (size_t i = FAILED_NONE + 1; i < FAILED_COUNT; i++)
        text_addf(out, "%s{reason=\"%s\"} %" PRIu64 "\n", family, labels[i], c->failures[i]);
}

void secondary_write_metrics(struct secondary *s, struct text *out)
{
    const char *family = "gslb_dns_secondary_transfers_total";
    struct secondary_counters c;

    pthread_mutex_lock(&s->lock);
    c = s->counters;
    pthread_mutex_unlock(&s->lock);
    write_one(out, "gslb_dns_secondary_probes_total", "Conversations begun with primaries.",
              c.probes);
    write_one(out, "gslb_dns_secondary_current_total",
              "Conversations by which a copy was the newest.", c.current);
    metrics_write_head(out, family, "counter", "Incoming zone transfers, by how they came.");
    text_addf(out, "%s{by=\"axfr\"} %" PRIu64 "\n", family, c.whole);
    text_addf(out, "%s{by=\"ixfr\"} %" PRIu64 "\n", family, c.changes);
    write_one(out, "gslb_dns_secondary_bytes_total", "Bytes of messages from primaries.", c.bytes);
    write_one(out, "gslb_dns_secondary_expired_total", "Copies that have expired.", c.expired);
    write_failures(&c, out);
}
