/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/main/node_internal.h"

#include <stdlib.h>
#include <string.h>

static void free_versions(struct generation_version *versions, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        replica_release((struct replica *)versions[i].replica);
        free((char *)versions[i].zone);
    }
    free(versions);
}

void wish_add_zone(struct wish *w, const char *name)
{
    for (size_t i = 0; i < w->n_zones; i++)
        if (strcmp(w->zones[i], name) == 0)
            return;
    BASE_GROW(w->zones, w->n_zones, w->cap_zones);
    w->zones[w->n_zones++] = base_strdup(name);
}

/* The newest version of a zone is the only one that matters. */
void wish_add_version(struct wish *w, const char *zone, struct replica *version)
{
    struct generation_version *v = NULL;

    for (size_t i = 0; i < w->n_versions; i++)
        if (strcmp(w->versions[i].zone, zone) == 0)
            v = &w->versions[i];
    if (v == NULL) {
        BASE_GROW(w->versions, w->n_versions, w->cap_versions);
        v = &w->versions[w->n_versions++];
        *v = (struct generation_version){.zone = base_strdup(zone)};
    }
    replica_release((struct replica *)v->replica);
    v->replica = version != NULL ? replica_hold(version) : NULL;
}

void wish_take_versions(struct wish *w, struct wish *from)
{
    struct wish newer = *w;

    if (from->n_versions == 0)
        return;
    w->versions = from->versions;
    w->n_versions = from->n_versions;
    w->cap_versions = from->cap_versions;
    from->versions = NULL;
    from->n_versions = from->cap_versions = 0;
    for (size_t i = 0; i < newer.n_versions; i++)
        wish_add_version(w, newer.versions[i].zone, (struct replica *)newer.versions[i].replica);
    free_versions(newer.versions, newer.n_versions);
}

struct outcome wish_check_zone(const struct generation *g, const char *name, struct text *why)
{
    size_t zone = generation_find_zone(g, name);

    if (zone == SIZE_MAX)
        text_addf(why, "no zone '%s' in the configuration that runs", name);
    else if (generation_config(g)->zones[zone].transfers.n_primaries > 0)
        text_addf(why, "zone '%s' has no file to be read: gslbctl refresh %s asks its primaries",
                  name, name);
    else
        return OUTCOME_OK;
    return OUTCOME_FAILED;
}

void wish_free(struct wish *w)
{
    free_versions(w->versions, w->n_versions);
    for (size_t i = 0; i < w->n_zones; i++)
        free(w->zones[i]);
    free(w->zones);
    *w = (struct wish){0};
}

/* ---- what became of it ---- */

static void add_count(struct text *t, size_t n, const char *what)
{
    text_addf(t, ", %zu %s%s", n, what, n == 1 ? "" : "s");
}

/* "example.com (serial 7, 5 names, 9 records)" for each zone that was asked for. */
static void describe_zones(const struct wish *w, const struct generation *g, struct text *t)
{
    for (size_t i = 0; i < w->n_zones; i++) {
        size_t zone = generation_find_zone(g, w->zones[i]);
        const struct zone *z;

        if (zone == SIZE_MAX) /* a reload that came between has removed it */
            continue;
        z = generation_zone(g, zone);
        text_addf(t, "%s%s (serial %u, %zu names, %zu records)", i > 0 ? ", " : "",
                  generation_config(g)->zones[zone].name, z->serial, z->n_names, z->n_records);
    }
    text_adds(t, "\n");
}

char *wish_describe(const struct wish *w, const struct generation *g, const struct errors *errors,
                    int64_t took_ms)
{
    const struct config *c = generation_config(g);
    char took[TEXT_SHORT], *warned = errors_to_string(errors);
    struct text t = {0};

    text_addf(&t, "reloaded in %s: ", text_format_duration_ms((uint64_t)took_ms, took));
    if (w->is_full) {
        text_addf(&t, "%zu zone%s (%zu changed)", c->n_zones, c->n_zones == 1 ? "" : "s",
                  generation_fresh_zones(g));
        add_count(&t, c->n_services, "service");
        add_count(&t, c->n_regions, "region");
        add_count(&t, c->n_edges, "edge");
        text_adds(&t, "\n");
    } else {
        describe_zones(w, g, &t);
    }
    faults_describe(g, &t);
    text_adds(&t, warned);
    free(warned);
    return t.p;
}
