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
 * their places have changed.
 *
 * Lifetime: the control thread owns generations; a generation outlives the worlds made of it.
 */
#ifndef GSLB_DNS_GENERATION_H
#define GSLB_DNS_GENERATION_H

#include "common/error/error.h"
#include "gslb-dns/config/config.h"
#include "gslb-dns/health/health.h"
#include "gslb-dns/world/world.h"

struct generation;
struct sign_signer;

/* Loads what the file at path says. previous (or NULL) is only read, and must live until the call
 * returns. Failure: NULL, everything wrong is in errors. Any thread. */
struct generation *generation_load(const char *path, const struct generation *previous,
                                   struct errors *errors);
void generation_free(struct generation *g);

const struct config *generation_config(const struct generation *g);
const struct zone *generation_zone(const struct generation *g, size_t zone);
/* NULL: the zone is not signed here. */
const struct sign_signer *generation_signer(const struct generation *g, size_t zone);
/* How many of its zones were read, the others being those of the generation before. */
size_t generation_fresh_zones(const struct generation *g);
/* For explain, which wakes it and lets it rest again; NULL: no database is configured. */
struct geo_db *generation_geo(const struct generation *g);
/* The databases and how they were compiled, for people. */
const char *generation_geo_text(const struct generation *g);

/* health: of this generation's edges; NULL: nothing is known of any. number: told in the world,
 * for the curious. The caller publishes it, and frees what was published before. */
struct world *generation_make_world(const struct generation *g, const struct health *health,
                                    uint64_t number);
void generation_free_world(struct world *w);

#endif
