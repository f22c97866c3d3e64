/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * generation: one load of everything that is configured, and the worlds made of it. A load reads
 * the configuration, the zones and the GeoIP database, and compiles the steering; it takes as long
 * as it takes, on a thread of its own, and changes nothing that runs. A world is a generation seen
 * through the health of this moment; it is made in a millisecond whenever a verdict changes.
 *
 *   config ─▶ zones ───────────┐
 *          └▶ geo ─▶ steer maps ┴▶ generation ──with health──▶ world ──snapshot──▶ answers
 *
 * Zones whose files and steered names have not changed are shared with the generation before, and
 * so is the steering as a whole when neither the database nor any service's policy, regions or
 * their places have changed. Signatures are kept as long as they are current: of zones and of
 * steered answers, which are signed by the load for the case that every edge is up.
 *
 * A zone whose file is broken stops nothing else: it keeps the version of the generation before, or
 * without one its names are answered SERVFAIL (generation_zone_fault says why). A mistake in the
 * configuration itself refuses the load; so does a broken zone whose steered names have changed,
 * since the version that runs was built for the old ones; and so does a load without any zone that
 * can be served.
 *
 * Lifetime: the control thread owns generations; a generation outlives the worlds made of it.
 */
#ifndef GSLB_DNS_GENERATION_H
#define GSLB_DNS_GENERATION_H

#include "common/error/error.h"
#include "gslb-dns/config/config.h"
#include "gslb-dns/health/health.h"
#include "gslb-dns/replica/replica.h"
#include "gslb-dns/world/world.h"

struct generation;
struct sign_keyring;
struct sign_signer;

/* A version of a zone that others are primaries of. */
struct generation_version {
    const char *zone;
    const struct replica *replica; /* NULL: none is to be served */
};

/* What is to be read again. */
struct generation_wish {
    const char *path; /* of the configuration; NULL: it stays as it is, and so does all but zones */
    const char *const *zones; /* names of zones that are read even if their files look unchanged;
                                 those that are not configured are passed over */
    size_t n_zones;
    bool is_trial; /* leaves no trace: what is loaded is only looked at */
    const struct generation_version *versions; /* that have come; other copies stay, or where they
                                                  were not served are read from disk */
    size_t n_versions;
};

/* previous (or NULL, if the wish has a path) is only read, and must live until the call returns.
 * Failure: NULL, everything wrong is in errors. What is wrong with zones that stop nothing is not
 * in errors but with them. Any thread. */
struct generation *generation_reload(const struct generation_wish *wish,
                                     const struct generation *previous, struct errors *errors);
/* All that has changed, of the configuration at path. */
struct generation *generation_load(const char *path, const struct generation *previous,
                                   struct errors *errors);
void generation_free(struct generation *g);

const struct config *generation_config(const struct generation *g);
const struct zone *generation_zone(const struct generation *g, size_t zone);
/* NULL: none is kept. */
const struct history *generation_history(const struct generation *g, size_t zone);
/* NULL: the zone is not signed here. */
const struct sign_signer *generation_signer(const struct generation *g, size_t zone);
/* The index of a configured zone, whatever its case and final dot; SIZE_MAX: there is none. */
size_t generation_find_zone(const struct generation *g, const char *name);
/* Has a step of a key or a window of signatures begun, or a key file changed? Then a load renews
 * what is signed. */
bool generation_is_renewal_due(const struct generation *g, int64_t now_s);
/* Wall clock: when the next one is due, files aside; INT64_MAX: never. */
int64_t generation_next_renewal_s(const struct generation *g);
/* Reads the keys of a zone anew, by its name with or without the final dot. NULL: errors say why
 * not (no such zone, not signed). The caller releases them. */
struct sign_keyring *generation_open_keyring(const struct generation *g, const char *zone,
                                             struct errors *errors);
/* How many of its zones were read, the others being those of the generation before. */
size_t generation_fresh_zones(const struct generation *g);
/* Was this zone read, well or not, by this load? */
bool generation_is_zone_read(const struct generation *g, size_t zone);
/* Why the newest version of a zone's file is not served, with errors only; NULL: it is. The zone is
 * then an older version, or not zone_is_available. */
const struct errors *generation_zone_fault(const struct generation *g, size_t zone);
/* Moves all faults into errors, for those to whom a broken zone is as bad as any mistake. */
void generation_take_faults(struct generation *g, struct errors *errors);
/* What was found on disk of a zone's copy, if this load has looked there. */
struct generation_stored {
    enum replica_state state;
    struct replica_soa soa;
    int64_t confirmed_s, expires_s;
    char *damage;
};
const struct generation_stored *generation_stored(const struct generation *g, size_t zone);
/* How many zones that were read by this load have a fault. */
size_t generation_broken_zones(const struct generation *g);
/* For explain, which wakes it and lets it rest again; NULL: no database is configured. */
struct geo_db *generation_geo(const struct generation *g);
/* The databases and how they were compiled, for people. */
const char *generation_geo_text(const struct generation *g);

/* health: of this generation's edges; NULL: nothing is known of any. number: told in the world,
 * for the curious. The caller publishes it, and frees what was published before. */
struct world *generation_make_world(const struct generation *g, const struct health *health,
                                    uint64_t number);
/* The same to be looked at only: nothing is held against the histories of zones. */
struct world *generation_imagine_world(const struct generation *g, const struct health *health);
void generation_free_world(struct world *w);

#endif
