/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A zone's way from rest to rest (RFC 1034 section 4.3.5):
 *
 *   rest ─▶ queue ─▶ ask ─▶ take ─▶ load ─▶ keep ─▶ rest
 *                     ├─▶ the next primary, or rest until the time to try again
 *                     └─▶ rest, confirmed
 *
 * EXPIRE is watched over in all steps but load, which brings a version in any case.
 */
#include "gslb-dns/secondary/secondary_internal.h"

#include "common/clock/clock.h"
#include "common/log/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Between two questions for a zone's SOA, whoever asks for them: one who can forge NOTIFYs makes
 * us ask no more often. What comes meanwhile is not lost, but waits. */
enum { PROBE_EVERY_MS = 1000, SAVE_AGAIN_MS = 30000 };

enum step_result { STEP_AGAIN, STEP_WAIT };

static uint32_t draw(void)
{
    uint32_t random = 0;

    (void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
    return random;
}

static const struct secondary_settings *settings_of(const struct copy *c)
{
    return &c->owner->settings;
}

static enum step_result go(struct copy *c, enum zone_step step)
{
    c->step = step;
    return STEP_AGAIN;
}

/* ---- the end of a round ---- */

static void end_round(struct copy *c)
{
    exchange_free(c->exchange);
    c->exchange = NULL;
    if (!c->is_running)
        return;
    c->is_running = false;
    c->owner->n_running--;
    secondary_unqueue(c->owner);
}

/* A primary says that what we have, or have just taken, is the newest. */
static void note_confirmed(struct copy *c)
{
    int64_t now_ms = clock_mono_ms();

    if (c->n_failures > 0)
        log_info("secondary", "current again zone=%s primary=%s serial=%u", c->name, c->primary,
                 c->soa.serial);
    c->n_failures = 0;
    c->error[0] = '\0';
    c->confirmed_s = clock_wall_s();
    c->times.expires_ms = now_ms + times_expire_ms(settings_of(c), &c->soa);
    c->times.next_ms = now_ms + times_refresh_ms(settings_of(c), &c->soa, draw());
}

/* A warning when it begins and when its reason is another one, and not at each RETRY. */
static PRINTF_LIKE(2, 3) void note_error(struct copy *c, const char *fmt, ...)
{
    char text[sizeof(c->error)], error[sizeof(c->error)];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    text_clean(error, sizeof(error), text);
    if (strcmp(error, c->error) == 0)
        return;
    memcpy(c->error, error, sizeof(error));
    log_warn("secondary", "%s zone=%s", error, c->name);
}

static enum step_result fail_round(struct copy *c)
{
    const struct replica_soa *soa = c->has_copy ? &c->soa : NULL;

    end_round(c);
    c->n_failures++;
    c->times.next_ms = clock_mono_ms() + times_retry_ms(settings_of(c), soa, c->n_failures, draw());
    return go(c, ZONE_REST_STEP);
}

/* ---- rest and queue ---- */

static void look_at_expire(struct copy *c, int64_t now_ms)
{
    if (!c->has_copy || c->is_expired || c->step == ZONE_LOAD_STEP || now_ms < c->times.expires_ms)
        return;
    c->is_expired = true;
    secondary_count(c->owner, &c->owner->counters.expired, 1);
    log_error("secondary",
              "expired, answered SERVFAIL until a primary can be reached zone=%s serial=%u "
              "reason=\"%s\"",
              c->name, c->soa.serial, c->error);
    secondary_give(c, NULL);
}

/* A NOTIFY of a serial that we have is no news (RFC 1996 section 3.11 and 4.4). */
static void look_at_bell(struct copy *c)
{
    if (c->bell.is_rung && c->bell.has_hint && c->has_copy && !c->is_expired &&
        !serial_is_newer(c->bell.hint, c->soa.serial))
        c->bell.is_rung = false;
}

static bool is_due(const struct copy *c, int64_t now_ms)
{
    return now_ms >= c->times.next_ms || c->bell.is_rung || c->is_refresh_wanted ||
           c->is_full_wanted;
}

static enum step_result step_rest(struct copy *c)
{
    int64_t now_ms = clock_mono_ms();

    look_at_bell(c);
    if (c->unsaved != NULL && now_ms >= c->times.save_ms)
        return go(c, ZONE_KEEP_STEP);
    if (is_due(c, now_ms) && now_ms >= c->times.earliest_ms)
        return go(c, ZONE_QUEUE_STEP);
    return STEP_WAIT;
}

/* The primary that sent the NOTIFY has what it spoke of; others may not yet. */
static void choose_first(struct copy *c)
{
    struct ip source = addr_ip(&c->bell.source);

    if (c->turn >= c->n_primaries)
        c->turn = 0;
    for (size_t i = 0; c->bell.is_rung && i < c->n_primaries; i++) {
        struct ip ip = addr_ip(&c->primaries[i].at);

        if (ip_eq(&ip, &source)) {
            c->turn = i;
            return;
        }
    }
}

static enum step_result step_queue(struct copy *c)
{
    if (c->owner->n_running >= settings_of(c)->at_once) {
        secondary_queue(c);
        return STEP_WAIT;
    }
    c->is_running = true;
    c->owner->n_running++;
    choose_first(c);
    c->is_full = c->is_full_wanted;
    c->is_full_wanted = c->is_refresh_wanted = c->bell.is_rung = false;
    c->n_asked = 0;
    c->began_ms = clock_mono_ms();
    c->times.earliest_ms = c->began_ms + PROBE_EVERY_MS;
    return go(c, ZONE_ASK_STEP);
}

/* ---- ask ---- */

static void on_exchange_end(void *arg)
{
    copy_run(arg);
}

static void start_exchange(struct copy *c)
{
    const struct secondary_primary *primary = &c->primaries[c->turn % c->n_primaries];
    struct exchange_wish wish = {.apex = c->apex,
                                 .primary = primary,
                                 .settings = settings_of(c),
                                 .has_copy = c->has_copy,
                                 .is_full = c->is_full,
                                 .serial = c->soa.serial,
                                 .has_refused = c->has_refused,
                                 .refused = c->refused};

    addr_format(&primary->at, c->primary);
    secondary_count(c->owner, &c->owner->counters.probes, 1);
    c->exchange = exchange_start(loop_base(c->owner->loop), &wish, on_exchange_end, c);
}

/* The stored copy, where it is not in memory; NULL: it cannot be read any more. */
static struct replica *find_replica(struct copy *c)
{
    struct replica_stored stored;

    if (c->unsaved != NULL)
        return replica_hold(c->unsaved);
    replica_read(c->path, &c->apex, 0, &stored);
    free(stored.why);
    if (stored.replica != NULL && stored.replica->soa.serial == c->soa.serial)
        return stored.replica;
    replica_release(stored.replica);
    return NULL;
}

/* Hands a version to the node. */
static enum step_result give(struct copy *c, struct replica *version)
{
    c->fresh = version;
    c->is_loaded = false;
    c->step = ZONE_LOAD_STEP;
    secondary_give(c, version);
    return STEP_AGAIN;
}

static enum step_result ask_for_all(struct copy *c)
{
    exchange_free(c->exchange);
    c->exchange = NULL;
    c->is_full = true;
    return go(c, ZONE_ASK_STEP);
}

static enum step_result settle_current(struct copy *c)
{
    struct replica *again;

    secondary_count(c->owner, &c->owner->counters.current, 1);
    if (!c->is_expired) {
        note_confirmed(c);
        end_round(c);
        return go(c, ZONE_KEEP_STEP);
    }
    again = find_replica(c);
    return again != NULL ? give(c, again) : ask_for_all(c);
}

static enum step_result settle_failed(struct copy *c)
{
    const struct exchange *x = c->exchange;

    secondary_count(c->owner, &c->owner->counters.failures[x->failure], 1);
    note_error(c, "%s%s%s primary=%s", failure_words(x->failure), x->why[0] ? ": " : "", x->why,
               c->primary);
    exchange_free(c->exchange);
    c->exchange = NULL;
    c->turn = (c->turn + 1) % c->n_primaries;
    return ++c->n_asked < c->n_primaries ? STEP_AGAIN : fail_round(c);
}

static enum step_result step_ask(struct copy *c)
{
    if (c->exchange == NULL) {
        start_exchange(c);
        return STEP_WAIT;
    }
    if (c->exchange->step != EXCHANGE_OVER_STEP)
        return STEP_WAIT;
    secondary_count(c->owner, &c->owner->counters.bytes, c->exchange->n_bytes);
    switch (c->exchange->end) {
    case EXCHANGE_CURRENT:
        return settle_current(c);
    case EXCHANGE_FAILED:
        return settle_failed(c);
    default:
        return go(c, ZONE_TAKE_STEP);
    }
}

/* ---- take and load ---- */

/* NULL: they do not fit what we have, or that cannot be read. */
static struct replica *apply_changes(struct copy *c, struct incoming *in)
{
    struct replica *base = find_replica(c), *amended = NULL;
    char *why = NULL;

    if (base != NULL)
        amended = replica_amend(base, &in->lines, &in->soa, &why);
    if (amended == NULL) {
        secondary_count(c->owner, &c->owner->counters.failures[FAILED_DIFFERENCE], 1);
        log_info("secondary",
                 "differences do not fit, all of it is asked for zone=%s primary=%s serial=%u "
                 "reason=\"%s\"",
                 c->name, c->primary, c->soa.serial,
                 base == NULL ? "the copy on disk cannot be read" : why);
    }
    free(why);
    replica_release(base);
    return amended;
}

static enum step_result step_take(struct copy *c)
{
    bool is_incremental = c->exchange->end == EXCHANGE_CHANGES;
    struct incoming *in = &c->exchange->incoming;
    uint64_t n_bytes = c->exchange->n_bytes;
    struct secondary_counters *counters = &c->owner->counters;
    size_t n_lines = in->lines.n;
    struct replica *version =
        is_incremental ? apply_changes(c, in) : replica_of_lines(&in->lines, &in->soa);

    if (version == NULL)
        return ask_for_all(c);
    secondary_count(c->owner, is_incremental ? &counters->changes : &counters->whole, 1);
    exchange_free(c->exchange);
    c->exchange = NULL;
    log_info("secondary",
             "transferred zone=%s serial=%u primary=%s by=%s came=%zu records=%zu bytes=%" PRIu64
             " took_ms=%" PRId64,
             c->name, version->soa.serial, c->primary, is_incremental ? "IXFR" : "AXFR", n_lines,
             version->n_records, n_bytes, clock_mono_ms() - c->began_ms);
    return give(c, version);
}

static enum step_result settle_refused(struct copy *c)
{
    c->has_refused = true;
    c->refused = c->fresh->soa.serial;
    secondary_count(c->owner, &c->owner->counters.failures[FAILED_BROKEN], 1);
    note_error(c, "%s primary=%s serial=%u: %s", failure_words(FAILED_BROKEN), c->primary,
               c->refused, c->load_error);
    replica_release(c->fresh);
    c->fresh = NULL;
    return fail_round(c);
}

static enum step_result step_load(struct copy *c)
{
    if (!c->is_loaded)
        return STEP_WAIT;
    if (c->load_error != NULL)
        return settle_refused(c);
    c->soa = c->fresh->soa;
    c->has_copy = true;
    c->is_expired = c->has_refused = false;
    replica_release(c->unsaved);
    c->unsaved = c->fresh;
    c->fresh = NULL;
    note_confirmed(c);
    end_round(c);
    return go(c, ZONE_KEEP_STEP);
}

/* ---- keep ---- */

/* Once, until it works again. */
static void note_disk(struct copy *c, int why)
{
    if (why == 0 && c->is_disk_bad)
        log_info("secondary", "the copy is on disk again zone=%s path=%s", c->name, c->path);
    if (why != 0 && !c->is_disk_bad)
        log_error("secondary",
                  "cannot write the copy, a restart would go back to an older one or none; the "
                  "directory is secondary: directory, for the user that gslb-dns runs as zone=%s "
                  "path=%s reason=\"%s\"",
                  c->name, c->path, strerror(why));
    c->is_disk_bad = why != 0;
}

static int64_t expires_s(const struct copy *c)
{
    return c->confirmed_s + times_expire_ms(settings_of(c), &c->soa) / 1000;
}

static void keep_whole(struct copy *c)
{
    if (has_failed(replica_write(c->path, c->unsaved, c->confirmed_s, expires_s(c)))) {
        note_disk(c, errno);
        c->times.save_ms = clock_mono_ms() + SAVE_AGAIN_MS;
        return;
    }
    note_disk(c, 0);
    replica_release(c->unsaved);
    c->unsaved = NULL;
    c->times.save_ms = INT64_MAX;
}

/* A copy that somebody took away is fetched again. */
static void keep_times(struct copy *c)
{
    if (!has_failed(replica_confirm(c->path, c->confirmed_s, expires_s(c)))) {
        note_disk(c, 0);
        return;
    }
    c->is_full_wanted = errno == ENOENT;
    note_disk(c, errno);
}

static enum step_result step_keep(struct copy *c)
{
    if (c->unsaved != NULL)
        keep_whole(c);
    else
        keep_times(c);
    return go(c, ZONE_REST_STEP);
}

/* ---- the driver ---- */

static void set_timer(struct copy *c)
{
    int64_t now_ms = clock_mono_ms(), at_ms = INT64_MAX, left_ms;

    if (c->has_copy && !c->is_expired && c->step != ZONE_LOAD_STEP)
        at_ms = c->times.expires_ms;
    if (c->step == ZONE_REST_STEP) {
        int64_t ask_ms = is_due(c, now_ms) ? c->times.earliest_ms : c->times.next_ms;

        at_ms = ask_ms < at_ms ? ask_ms : at_ms;
        if (c->unsaved != NULL && c->times.save_ms < at_ms)
            at_ms = c->times.save_ms;
    }
    event_del(c->timer);
    if (at_ms == INT64_MAX)
        return;
    left_ms = at_ms > now_ms ? at_ms - now_ms : 1;
    ensure(event_add(c->timer, &(struct timeval){.tv_sec = left_ms / 1000,
                                                 .tv_usec = left_ms % 1000 * 1000}) == 0);
}

void copy_run(struct copy *c)
{
    static enum step_result (*const steps[])(struct copy *) = {
#define X(id, name) step_##name,
        ZONE_STEPS(X)
#undef X
    };

    do
        look_at_expire(c, clock_mono_ms());
    while (steps[c->step](c) == STEP_AGAIN);
    set_timer(c);
    view_update(c);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    copy_run(arg);
}

static void set_aside(struct copy *c)
{
    bool is_moved = !has_failed(replica_set_aside(c->path));

    log_error("secondary",
              "the copy on disk is damaged, it is fetched again zone=%s path=%s%s reason=\"%s\"",
              c->name, c->path, is_moved ? ".damaged" : "", c->damage);
}

void copy_start(struct copy *c)
{
    int64_t now_ms = clock_mono_ms();

    c->timer = event_new(loop_base(c->owner->loop), -1, 0, on_timer, c);
    ensure(c->timer != NULL);
    c->has_copy = c->state == REPLICA_FRESH || c->state == REPLICA_EXPIRED;
    c->is_expired = c->state == REPLICA_EXPIRED;
    /* Nobody knows what was missed: asked for at once. */
    c->times = (struct times){.next_ms = now_ms, .save_ms = INT64_MAX, .expires_ms = INT64_MAX};
    if (c->has_copy)
        c->times.expires_ms = now_ms + 1000 * (c->expires_s - clock_wall_s());
    if (c->state == REPLICA_DAMAGED)
        set_aside(c);
    copy_run(c);
}

void copy_compare(struct copy *c, uint32_t served)
{
    if (c->step != ZONE_REST_STEP || !c->has_copy || c->is_expired || served == c->soa.serial)
        return;
    /* A load of everything has read what is on disk. */
    if (c->unsaved != NULL)
        (void)give(c, replica_hold(c->unsaved));
    else
        c->is_full_wanted = true;
    copy_run(c);
}

void copy_free(struct copy *c)
{
    exchange_free(c->exchange);
    if (c->timer != NULL)
        event_free(c->timer);
    for (size_t i = 0; i < c->n_primaries; i++)
        primary_free(&c->primaries[i]);
    replica_release(c->unsaved);
    replica_release(c->fresh);
    free(c->primaries);
    free(c->load_error);
    free(c->damage);
    free(c->name);
    free(c->path);
    free(c);
}
