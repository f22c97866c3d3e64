/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the generation room share. */
#ifndef GSLB_DNS_GENERATION_INTERNAL_H
#define GSLB_DNS_GENERATION_INTERNAL_H

#include "gslb-dns/generation/generation.h"
#include "gslb-dns/sign/sign.h"

#include <stdatomic.h>

/* A zone that several generations may hold. */
struct shared_zone {
    _Atomic unsigned refs;
    struct zone *zone;
    struct zone_service *services; /* what it was loaded with, sorted as in the configuration */
    size_t n_services;
};

/* A configuration that several generations may hold. */
struct shared_config {
    _Atomic unsigned refs;
    struct config *config;
};

/* What is wrong with a zone's file, which several generations may have to say. */
struct zone_fault {
    _Atomic unsigned refs;
    struct errors errors;
};

/* What a set of services with equal policy and regions is steered by. */
struct steering {
    struct steer_map *steer;
    struct geo_map *map; /* NULL: the policy does not ask where a client is */
};

/* The database and all that was compiled from it, which several generations may hold. */
struct shared_steering {
    _Atomic unsigned refs;
    struct geo_db *geo;
    char *geo_text;
    struct steering *items; /* in the order in which services first name them */
    size_t n;
    struct place_keeper *keeper; /* NULL: nothing was to be kept */
};

/* The limiter's table and the cookie secret that this process made up, which its generations hold.
 */
struct shared_guard {
    _Atomic unsigned refs;
    struct siphash_key secret;
    struct ratelimit *table; /* NULL: no generation so far had a limit */
};

struct generation {
    struct shared_config *shared_config;
    const struct config *config;
    struct sign_signer **signers; /* by the configuration's index; NULL: the zone is not signed */
    struct shared_zone **zones;   /* by the same */
    struct zone_fault **faults;   /* NULL: the zone is as its file */
    bool *is_read;                /* by this load */
    struct generation_stored *stored;
    struct zone **zone_array;
    struct zone_set *zone_set;
    struct tsig_key **tsig_keys;  /* by the configuration's index */
    struct history **histories;   /* by the configuration's index; NULL: none is kept */
    struct world_full **full;     /* of its services, by the same; NULL: they do not go out */
    struct world_zone *zone_list; /* sorted by where the zones lie */
    size_t n_fresh_zones, n_broken_zones;
    struct shared_steering *steering;
    struct world_service *services;
    struct shared_guard *guard;
    struct cookie_secrets secrets;
    struct limit limit; /* table NULL: no limit */
    size_t *homes;      /* the zone of each service */
    struct steered_signatures *signatures;
};

/* A set of addresses that an answer can be: n of count records in world's wire form, from the
 * first one on and going round. */
struct steered_set {
    const struct sign_signer *signer;
    const struct wire_name *owner; /* with its "*" */
    const uint8_t *wire;
    size_t count, first, n;
    uint32_t ttl_s, outlive_s; /* as struct sign_rrset has it */
    uint16_t type;
};
struct steered_signatures *steered_signatures_new(void);
struct steered_signatures *steered_signatures_hold(struct steered_signatures *s);
void steered_signatures_release(struct steered_signatures *s); /* NULL: nothing */
/* Writes the set's RRSIG records, signing it if none are there that are current; returns the bytes,
 * at most those of steered_signatures_bound. Any thread. */
size_t steered_signatures_get(struct steered_signatures *s, const struct steered_set *set,
                              uint8_t *out, uint8_t *n_sigs);
size_t steered_signatures_bound(const struct sign_signer *signer);
/* How many sets were signed and not only looked up. */
uint64_t steered_signatures_made(const struct steered_signatures *s);
/* Does the service have an address of the family at all, of an edge or the fallback? */
bool generation_has_family(const struct config *c, const struct config_service *s, uint8_t family);

/* Reads the keys of all signed zones and fills g->signers for this moment. A zone whose keys cannot
 * be read, or sign nothing, is an error; where the configuration stays, it keeps the signer that it
 * has, and the error is told. */
MUST_USE struct outcome generation_load_signers(struct generation *g,
                                                const struct generation_wish *wish,
                                                const struct generation *previous, int64_t now_s,
                                                struct errors *errors);
void generation_free_signers(struct generation *g);

/* Fills what g has of zones. */
MUST_USE struct outcome generation_load_zones(struct generation *g,
                                              const struct generation_wish *wish,
                                              const struct generation *previous,
                                              struct errors *errors);
void generation_free_zones(struct generation *g);

/* NULL: none has come for this zone. */
const struct generation_version *generation_find_version(const struct generation_wish *wish,
                                                         const char *zone);
static inline bool generation_is_copy(const struct config_zone *z)
{
    return z->transfers.n_primaries > 0;
}
/* The zone, which is not available where there is no version to serve; NULL: errors say why not.
 * source's text and path are ours to set. */
struct zone *generation_load_copy(struct zone_source *source, const struct generation_wish *wish,
                                  struct generation_stored *stored, struct errors *errors);

/* Makes g->tsig_keys of the configuration's secrets. */
MUST_USE struct outcome generation_load_tsig_keys(struct generation *g, struct errors *errors);
/* Fills g->histories and g->full with what has changed since previous. */
void generation_keep_histories(struct generation *g, const struct generation *previous);
void generation_free_histories(struct generation *g);
/* What the service sends in transfers with every edge up. */
struct world_site generation_make_full(struct arena *a, const struct generation *g, size_t service);
/* Fills g->zone_list, when the zones and the keys are there. */
void generation_list_zones(struct generation *g);
void generation_free_transfers(struct generation *g);

/* Those of db, which may rest, and is awake afterwards unless they were in the cache. */
struct geo_places *generation_load_places(const struct config *c, struct geo_db *db,
                                          bool *is_from_cache, struct errors *errors);
/* Puts them into the cache on a thread of its own, and frees them then. */
struct place_keeper *generation_keep_places(const struct config *c, struct geo_places *places);
void generation_stop_keeping(struct place_keeper *k); /* waits for it; NULL: nothing */

/* What the service is steered by; nothing of the configuration is needed afterwards. */
struct steer_map *generation_make_steer_map(const struct config *c, const struct config_service *s);
/* Fills g->steering and g->services. */
MUST_USE struct outcome generation_load_steering(struct generation *g,
                                                 const struct generation_wish *wish,
                                                 const struct generation *previous,
                                                 struct errors *errors);
void generation_free_steering(struct generation *g);

/* Signs the sets that a world of g holds while every edge is up, and the fallbacks: what a change
 * of health wants next is then there, or little. */
void generation_sign_steered(const struct generation *g);

/* Fills g->guard, g->secrets and g->limit. */
void generation_load_guard(struct generation *g, const struct generation *previous);
void generation_free_guard(struct generation *g);
/* Tells the world of them. */
void generation_guard_world(const struct generation *g, struct world *w);

#endif
