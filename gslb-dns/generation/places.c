/* SPDX-License-Identifier: BSD-2-Clause */
/* The places of the GeoIP database: from the cache if it has them, else read, and put there beside
 * what runs then. */
#include "common/clock/clock.h"
#include "gslb-dns/generation/generation_internal.h"

#include <pthread.h>
#include <stdlib.h>

struct place_keeper {
    pthread_t thread;
    struct geo_places *places;
    char *directory;
    _Atomic bool stop;
};

static struct geo_places *find_kept(const struct config *c, struct geo_db *db,
                                    struct errors *errors)
{
    struct geo_places *places;
    char *why;

    if (c->geo_cache_path == NULL)
        return NULL;
    places = geo_places_load(db, c->geo_cache_path, errors, &why);
    if (why != NULL)
        log_info("geo", "the cache is not used: %s", why);
    free(why);
    return places;
}

struct geo_places *generation_load_places(const struct config *c, struct geo_db *db,
                                          bool *is_from_cache, struct errors *errors)
{
    struct progress progress; /* geo_places_read starts and ends it */
    struct geo_places *places = find_kept(c, db, errors);

    *is_from_cache = places != NULL;
    if (places != NULL)
        return places;
    if (has_failed(geo_read(db, errors, c->geo_place)))
        return NULL;
    return geo_places_read(db, &progress, errors);
}

static void *keep(void *arg)
{
    struct place_keeper *k = arg;
    int64_t started_ms = clock_mono_ms();
    char *what;

    switch (geo_places_keep(k->places, k->directory, &k->stop, &what)) {
    case GEO_KEPT:
        log_info("geo", "cached for the next start file=%s took=%dms", what,
                 (int)(clock_mono_ms() - started_ms));
        break;
    case GEO_KEPT_NOT:
        log_info("geo", "not cached: %s", what);
        break;
    case GEO_KEPT_FAILED:
        log_warn("geo", "cannot cache, so that the next start takes as long: %s", what);
    }
    free(what);
    geo_places_free(k->places);
    k->places = NULL;
    return NULL;
}

struct place_keeper *generation_keep_places(const struct config *c, struct geo_places *places)
{
    struct place_keeper *k = base_zalloc(1, sizeof(*k));

    k->places = places;
    k->directory = base_strdup(c->geo_cache_path);
    ensure(pthread_create(&k->thread, NULL, keep, k) == 0);
    pthread_setname_np(k->thread, "keep-geoip");
    return k;
}

void generation_stop_keeping(struct place_keeper *k)
{
    if (k == NULL)
        return;
    k->stop = true;
    pthread_join(k->thread, NULL);
    free(k->directory);
    free(k);
}
