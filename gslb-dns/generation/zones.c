/* SPDX-License-Identifier: BSD-2-Clause */
/* Which steered name lies in which zone, and which zones are read: on all cores, into errors of
 * their own, which are settled when all are there. */
#include "common/clock/clock.h"
#include "common/net/net.h"
#include "gslb-dns/generation/generation_internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* For each service, the zone that it lies in by longest match; SIZE_MAX: none, which is said. */
static size_t find_home(const struct wire_name *service, const struct wire_name *zones, size_t n)
{
    size_t best = SIZE_MAX;

    for (size_t z = 0; z < n; z++)
        if (wire_name_is_below(service, &zones[z]) &&
            (best == SIZE_MAX || zones[z].n_labels > zones[best].n_labels))
            best = z;
    return best;
}

struct homes {
    struct wire_name *zones;
    struct wire_name *services;
    size_t *home; /* by service */
};

static struct outcome find_homes(const struct config *c, struct homes *out, struct errors *errors)
{
    struct outcome outcome = OUTCOME_OK;

    out->zones = base_zalloc(c->n_zones, sizeof(out->zones[0]));
    out->services = base_zalloc(c->n_services, sizeof(out->services[0]));
    out->home = base_zalloc(c->n_services, sizeof(out->home[0]));
    for (size_t z = 0; z < c->n_zones; z++)
        ensure(wire_name_parse(str_of(c->zones[z].name), &out->zones[z]));
    for (size_t s = 0; s < c->n_services; s++) {
        ensure(wire_name_parse(str_of(c->services[s].name), &out->services[s]));
        out->home[s] = find_home(&out->services[s], out->zones, c->n_zones);
        if (out->home[s] == SIZE_MAX) {
            errors_add(errors, c->services[s].place,
                       "no zone here contains the service '%s'; add its zone under zones:",
                       c->services[s].name);
            outcome = OUTCOME_FAILED;
        }
    }
    return outcome;
}

static void free_homes(struct homes *h)
{
    free(h->zones);
    free(h->services);
}

static void collect_services(const struct config *c, const struct homes *homes, size_t zone,
                             struct shared_zone *out)
{
    size_t n = 0;

    for (size_t s = 0; s < c->n_services; s++)
        n += homes->home[s] == zone;
    out->services = base_zalloc(n, sizeof(out->services[0]));
    for (size_t s = 0; s < c->n_services; s++) {
        if (homes->home[s] != zone)
            continue;
        out->services[out->n_services++] = (struct zone_service){
            .name = homes->services[s],
            .service = (uint16_t)s,
            .place = c->services[s].place,
            .has_a = generation_has_family(c, &c->services[s], 4),
            .has_aaaa = generation_has_family(c, &c->services[s], 6),
        };
    }
}

static bool has_same_services(const struct shared_zone *a, const struct shared_zone *b)
{
    if (a->n_services != b->n_services)
        return false;
    for (size_t i = 0; i < a->n_services; i++)
        if (a->services[i].service != b->services[i].service ||
            a->services[i].has_a != b->services[i].has_a ||
            a->services[i].has_aaaa != b->services[i].has_aaaa ||
            a->services[i].name.length != b->services[i].name.length ||
            memcmp(a->services[i].name.bytes, b->services[i].name.bytes,
                   a->services[i].name.length) != 0)
            return false;
    return true;
}

static void release_zone(struct shared_zone *z)
{
    if (z == NULL || atomic_fetch_sub(&z->refs, 1) > 1)
        return;
    zone_release(z->zone);
    free(z->services);
    free(z);
}

static void release_fault(struct zone_fault *f)
{
    if (f == NULL || atomic_fetch_sub(&f->refs, 1) > 1)
        return;
    errors_free(&f->errors);
    free(f);
}

/* ---- What is to be read ---- */

/* All that the loading of a generation's zones needs, its threads too. */
struct zone_work {
    struct generation *g;
    const struct generation_wish *wish;
    const struct generation *previous;
    size_t *old;           /* the zone's index in previous; SIZE_MAX: it is new */
    struct errors *errors; /* by zone */
    size_t *queue, n;      /* zones to be read */
    _Atomic size_t next;   /* of the queue */
    bool is_alone;         /* one thread works, and may draw how far it is */
    pthread_mutex_t lock;  /* of progress */
    struct progress progress;
};

/* Mostly at the place where it was. */
static size_t find_old(const struct zone_work *w, size_t zone)
{
    const char *name = w->g->config->zones[zone].name;
    size_t n = w->previous != NULL ? w->previous->config->n_zones : 0;

    for (size_t i = 0; i < n; i++) {
        size_t z = (zone + i) % n;

        if (strcmp(w->previous->config->zones[z].name, name) == 0)
            return z;
    }
    return SIZE_MAX;
}

/* What ran before under this name and can answer; NULL: nothing. */
static struct shared_zone *find_served(const struct zone_work *w, size_t zone)
{
    struct shared_zone *old = w->old[zone] != SIZE_MAX ? w->previous->zones[w->old[zone]] : NULL;

    return old != NULL && zone_is_available(old->zone) ? old : NULL;
}

static bool *find_forced(const struct zone_work *w)
{
    bool *is_forced = base_zalloc(w->g->config->n_zones, sizeof(is_forced[0]));

    for (size_t i = 0; i < w->wish->n_zones; i++) {
        size_t z = generation_find_zone(w->g, w->wish->zones[i]);

        if (z != SIZE_MAX)
            is_forced[z] = true;
    }
    for (size_t z = 0; w->wish->n_versions > 0 && z < w->g->config->n_zones; z++)
        is_forced[z] |= generation_find_version(w->wish, w->g->config->zones[z].name) != NULL;
    return is_forced;
}

/* Whether the zone may go on as it is. */
static bool is_as_before(const struct zone_work *w, size_t zone, const struct shared_zone *fresh)
{
    const struct shared_zone *old = find_served(w, zone);
    const struct config_zone *now = &w->g->config->zones[zone], *before;

    if (w->old[zone] == SIZE_MAX)
        return false;
    if (w->wish->path == NULL) /* not asked about, broken or not */
        return true;
    before = &w->previous->config->zones[w->old[zone]];
    return old != NULL && strcmp(before->path, now->path) == 0 &&
           generation_is_copy(before) == generation_is_copy(now) && has_same_services(old, fresh) &&
           (generation_is_copy(now) || zone_is_unchanged(old->zone));
}

/* Signed, or no longer: that is not the data's business, but the zone is another one. */
static bool is_signed_as_before(const struct zone_work *w, size_t zone)
{
    return w->g->signers[zone] == NULL && w->previous->signers[w->old[zone]] == NULL;
}

/* The data goes on, but keys or the time for signatures may have changed: signed anew from memory,
 * which keeps every signature that is current. */
static bool is_to_be_resigned(const struct zone_work *w, size_t zone)
{
    return w->g->signers[zone] != NULL && find_served(w, zone) != NULL;
}

/* Takes over what may go on, and queues the rest. */
static void plan_zone(struct zone_work *w, const struct homes *homes, size_t zone, bool is_forced)
{
    struct generation *g = w->g;
    struct shared_zone *fresh = base_zalloc(1, sizeof(*fresh));

    fresh->refs = 1;
    collect_services(g->config, homes, zone, fresh);
    g->zones[zone] = fresh;
    w->old[zone] = find_old(w, zone);
    if (is_forced || !is_as_before(w, zone, fresh) ||
        (!is_signed_as_before(w, zone) && !is_to_be_resigned(w, zone))) {
        g->is_read[zone] = true;
        w->queue[w->n++] = zone;
        return;
    }
    if (is_signed_as_before(w, zone)) {
        release_zone(fresh);
        g->zones[zone] = w->previous->zones[w->old[zone]];
        atomic_fetch_add(&g->zones[zone]->refs, 1);
    } else {
        w->queue[w->n++] = zone;
    }
    if (w->wish->path == NULL)
        g->faults[zone] = w->previous->faults[w->old[zone]];
    if (g->faults[zone] != NULL)
        atomic_fetch_add(&g->faults[zone]->refs, 1);
}

/* ---- Reading ---- */

static void load_zone(struct zone_work *w, size_t zone)
{
    const struct shared_zone *old = find_served(w, zone);
    struct shared_zone *shared = w->g->zones[zone];
    const struct config_zone *c = &w->g->config->zones[zone];
    struct zone_source source = {.name = c->name,
                                 .path = c->path,
                                 .services = shared->services,
                                 .n_services = shared->n_services,
                                 .progress = w->is_alone ? &w->progress : NULL,
                                 .signer = w->g->signers[zone],
                                 .previous = old != NULL ? old->zone : NULL};

    if (w->g->is_read[zone] && generation_is_copy(c))
        shared->zone =
            generation_load_copy(&source, w->wish, &w->g->stored[zone], &w->errors[zone]);
    else if (w->g->is_read[zone])
        shared->zone = zone_load(&source, &w->errors[zone]);
    else
        shared->zone = zone_resign(old->zone, source.signer);
    if (w->is_alone)
        return;
    pthread_mutex_lock(&w->lock);
    progress_add(&w->progress, zone_effort(c->path));
    pthread_mutex_unlock(&w->lock);
}

static void *load_some(void *arg)
{
    struct zone_work *w = arg;
    size_t i;

    while ((i = atomic_fetch_add(&w->next, 1)) < w->n)
        load_zone(w, w->queue[i]);
    return NULL;
}

static void load_on_all_cores(struct zone_work *w)
{
    size_t n = net_cpu_count() < w->n ? net_cpu_count() : w->n;
    pthread_t *threads = base_zalloc(n, sizeof(threads[0]));

    w->is_alone = n <= 1;
    for (size_t i = 1; i < n; i++) {
        ensure(pthread_create(&threads[i], NULL, load_some, w) == 0);
        pthread_setname_np(threads[i], "load-zones");
    }
    load_some(w);
    for (size_t i = 1; i < n; i++)
        pthread_join(threads[i], NULL);
    free(threads);
}

static void load_queue(struct zone_work *w)
{
    const struct config_zone *zones = w->g->config->zones;
    uint64_t effort = 0;
    char *what = w->n == 1 ? base_printf("loading the zone %s", zones[w->queue[0]].name)
                           : base_printf("loading %zu zones", w->n);

    for (size_t i = 0; i < w->n; i++)
        effort += zone_effort(zones[w->queue[i]].path);
    progress_start(&w->progress, what, effort);
    load_on_all_cores(w);
    progress_end(&w->progress);
    free(what);
}

/* ---- What became of it ---- */

/* What secondaries see went back, though the file's did not: they fetch nothing until it has grown
 * past what they have. */
static void check_served_serial(struct zone_work *w, size_t zone, const struct zone *old)
{
    const struct config_zone *c = &w->g->config->zones[zone];
    const struct zone *now = w->g->zones[zone]->zone;

    if ((int32_t)(now->serial - old->serial) < 0 &&
        (int32_t)(now->file_serial - old->file_serial) >= 0)
        errors_warn(&w->errors[zone], (struct place){.file = c->path},
                    "the served serial of zone %s goes back from %u to %u, for it is signed in "
                    "another way or no longer: secondaries will not notice until the file's is "
                    "greater than the first",
                    c->name, old->serial, now->serial);
}

/* A serial that did not grow with its data is one that secondaries do not follow (RFC 1982, RFC
 * 1996 section 3.11); one that went back lets them pass over the next changes too. */
static void check_serial(struct zone_work *w, size_t zone)
{
    const struct config_zone *c = &w->g->config->zones[zone];
    const struct zone *now = w->g->zones[zone]->zone;
    const struct shared_zone *old = find_served(w, zone);
    struct place at = {.file = c->path};
    uint32_t before = old != NULL ? old->zone->file_serial : 0;
    bool is_back, has_changed;
    char *words;

    if (old == NULL || c->serial == CONFIG_SERIAL_ANY || !zone_is_available(now))
        return;
    check_served_serial(w, zone, old->zone);
    is_back = now->file_serial != before;
    has_changed = now->digest != old->zone->digest;
    if ((int32_t)(now->file_serial - before) > 0 || (!is_back && !has_changed))
        return;
    words = is_back ? base_printf("%s zone %s %s from %u to %u",
                                  has_changed ? "the data of" : "the serial of", c->name,
                                  has_changed ? "changed, but its serial went back" : "went back",
                                  before, now->file_serial)
                    : base_printf("the data of zone %s changed, but its serial is still %u",
                                  c->name, now->file_serial);
    if (c->serial == CONFIG_SERIAL_STRICT)
        errors_add(&w->errors[zone], at, "%s; raise it (serial: strict)", words);
    else
        errors_warn(&w->errors[zone], at, "%s: secondaries will not notice", words);
    free(words);
}

/* Moments that are signed under lie behind such a serial for years. */
static void check_unixtime(struct zone_work *w, size_t zone)
{
    enum { LEAD_MAX_S = 86400 };
    const struct config_zone *c = &w->g->config->zones[zone];
    const struct zone *now = w->g->zones[zone]->zone;
    uint32_t now_s = (uint32_t)clock_wall_s();

    if ((w->g->is_read[zone] || w->wish->path != NULL) && w->g->signers[zone] != NULL &&
        c->dnssec.serial == CONFIG_SERIAL_UNIXTIME &&
        (int32_t)(now->file_serial - now_s) > LEAD_MAX_S)
        errors_add(&w->errors[zone], (struct place){.file = c->path},
                   "the serial %u of zone %s is no moment that has been (it is %u now), as dnssec: "
                   "serial: unixtime wants it; choose increment, or another serial",
                   now->file_serial, c->name, now_s);
}

/* The zone keeps the version that ran, or has none. */
static struct outcome settle_broken(struct zone_work *w, size_t zone, struct errors *errors)
{
    struct generation *g = w->g;
    const struct config_zone *c = &g->config->zones[zone];
    struct shared_zone *old = find_served(w, zone);
    struct zone_fault *fault;

    if (old != NULL && !has_same_services(old, g->zones[zone])) {
        errors_merge(errors, &w->errors[zone]);
        errors_add(errors, c->place,
                   "zone '%s' cannot keep the version that runs, which was built for other "
                   "services: mend its file, or change services later",
                   c->name);
        return OUTCOME_FAILED;
    }
    fault = base_zalloc(1, sizeof(*fault));
    fault->refs = 1;
    errors_merge(&fault->errors, &w->errors[zone]);
    g->faults[zone] = fault;
    g->n_broken_zones++;
    if (old != NULL) {
        release_zone(g->zones[zone]);
        g->zones[zone] = old;
        atomic_fetch_add(&old->refs, 1);
    } else {
        g->zones[zone]->zone = zone_new_unavailable(c->name, ZONE_BROKEN);
    }
    return OUTCOME_OK;
}

static struct outcome settle(struct zone_work *w, struct errors *errors)
{
    struct outcome outcome = OUTCOME_OK;

    for (size_t i = 0; i < w->n; i++) {
        size_t zone = w->queue[i];
        struct shared_zone *shared = w->g->zones[zone];

        if (shared->zone != NULL) {
            check_serial(w, zone);
            check_unixtime(w, zone);
        }
        if (w->errors[zone].n_errors == 0) {
            errors_merge(errors, &w->errors[zone]);
            w->g->n_fresh_zones += w->g->is_read[zone];
            continue;
        }
        zone_release(shared->zone);
        shared->zone = NULL;
        if (has_failed(settle_broken(w, zone, errors)))
            outcome = OUTCOME_FAILED;
    }
    return outcome;
}

void generation_take_faults(struct generation *g, struct errors *errors)
{
    for (size_t z = 0; z < g->config->n_zones; z++) {
        if (g->faults[z] == NULL)
            continue;
        errors_merge(errors, &g->faults[z]->errors);
        release_fault(g->faults[z]);
        g->faults[z] = NULL;
    }
}

/* A server without any zone that it could serve is a mistake, and no service. */
static struct outcome check_any_available(const struct generation *g)
{
    for (size_t z = 0; z < g->config->n_zones; z++)
        if (g->zones[z]->zone == NULL || zone_is_available(g->zones[z]->zone) ||
            generation_is_copy(&g->config->zones[z]))
            return OUTCOME_OK;
    return g->config->n_zones > 0 ? OUTCOME_FAILED : OUTCOME_OK;
}

static void plan(struct zone_work *w, const struct homes *homes)
{
    size_t n = w->g->config->n_zones;
    bool *is_forced = find_forced(w);

    w->old = base_zalloc(n, sizeof(w->old[0]));
    w->queue = base_zalloc(n, sizeof(w->queue[0]));
    w->errors = base_zalloc(n, sizeof(w->errors[0]));
    for (size_t z = 0; z < n; z++)
        plan_zone(w, homes, z, is_forced[z]);
    free(is_forced);
}

static void end_work(struct zone_work *w)
{
    for (size_t z = 0; z < w->g->config->n_zones; z++)
        errors_free(&w->errors[z]);
    free(w->errors);
    free(w->queue);
    free(w->old);
    pthread_mutex_destroy(&w->lock);
}

struct outcome generation_load_zones(struct generation *g, const struct generation_wish *wish,
                                     const struct generation *previous, struct errors *errors)
{
    size_t n = g->config->n_zones;
    struct zone_work w = {.g = g, .wish = wish, .previous = previous};
    struct homes homes;
    struct outcome outcome = find_homes(g->config, &homes, errors);

    pthread_mutex_init(&w.lock, NULL);
    g->zones = base_zalloc(n, sizeof(g->zones[0]));
    g->zone_array = base_zalloc(n, sizeof(g->zone_array[0]));
    g->faults = base_zalloc(n, sizeof(g->faults[0]));
    g->is_read = base_zalloc(n, sizeof(g->is_read[0]));
    g->stored = base_zalloc(n, sizeof(g->stored[0]));
    plan(&w, &homes);
    g->homes = homes.home;
    free_homes(&homes);
    load_queue(&w);
    if (has_failed(settle(&w, errors)) || has_failed(check_any_available(g)))
        outcome = OUTCOME_FAILED;
    end_work(&w);
    for (size_t z = 0; z < n; z++)
        g->zone_array[z] = g->zones[z]->zone;
    if (!has_failed(outcome))
        g->zone_set = zone_set_new(g->zone_array, n);
    return outcome;
}

void generation_free_zones(struct generation *g)
{
    free(g->homes);
    if (g->zone_set != NULL)
        zone_set_free(g->zone_set);
    for (size_t z = 0; g->zones != NULL && z < g->config->n_zones; z++) {
        release_zone(g->zones[z]);
        release_fault(g->faults[z]);
        free(g->stored[z].damage);
    }
    free(g->stored);
    free(g->zones);
    free(g->zone_array);
    free(g->faults);
    free(g->is_read);
}
