/* SPDX-License-Identifier: BSD-2-Clause */
/* Zones that others are primaries of: out of memory when a version has come, else from disk. */
#include "gslb-dns/generation/generation_internal.h"

#include "common/clock/clock.h"

#include <stdlib.h>
#include <string.h>

const struct generation_version *generation_find_version(const struct generation_wish *wish,
                                                         const char *zone)
{
    for (size_t i = 0; i < wish->n_versions; i++)
        if (strcmp(wish->versions[i].zone, zone) == 0)
            return &wish->versions[i];
    return NULL;
}

/* Mistakes are told at lines of what was sent, since the file is another version. */
static struct zone *load_version(struct zone_source *source, const struct replica *version,
                                 struct errors *errors)
{
    char *name = base_printf("%s, as its primary has sent it", source->name);
    struct zone *z;

    source->path = name;
    source->text = (struct str){version->text, version->n};
    z = zone_load(source, errors);
    free(name);
    return z;
}

static struct zone *load_stored(struct zone_source *source, struct generation_stored *stored,
                                struct errors *errors)
{
    struct replica_stored found;
    struct wire_name apex;
    struct zone *z = NULL;

    ensure(wire_name_parse(str_of(source->name), &apex));
    replica_read(source->path, &apex, clock_wall_s(), &found);
    *stored = (struct generation_stored){.state = found.state,
                                         .confirmed_s = found.confirmed_s,
                                         .expires_s = found.expires_s,
                                         .damage = found.why};
    if (found.replica != NULL) {
        stored->soa = found.replica->soa;
        source->text = (struct str){found.replica->text, found.replica->n};
    }
    z = found.state == REPLICA_FRESH ? zone_load(source, errors)
                                     : zone_new_unavailable(source->name, ZONE_UNREACHABLE);
    replica_release(found.replica);
    return z;
}

struct zone *generation_load_copy(struct zone_source *source, const struct generation_wish *wish,
                                  struct generation_stored *stored, struct errors *errors)
{
    const struct generation_version *version = generation_find_version(wish, source->name);

    if (version == NULL)
        return load_stored(source, stored, errors);
    return version->replica != NULL ? load_version(source, version->replica, errors)
                                    : zone_new_unavailable(source->name, ZONE_UNREACHABLE);
}

const struct generation_stored *generation_stored(const struct generation *g, size_t zone)
{
    return &g->stored[zone];
}
