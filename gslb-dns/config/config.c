/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads the file, then looks for what the table cannot see: names that refer to each other. */
#include "gslb-dns/config/config_internal.h"

#include <stdlib.h>
#include <string.h>

struct check {
    struct conf *f;
    struct file *file;
    struct config *config; /* being built */
    struct arena *arena;
    struct conf_index regions; /* name to index */
    struct policy_names policies;
};

static void check_addresses(struct conf *f, const char *key, const struct addr *a, size_t n,
                            const struct place *places)
{
    struct conf_index seen = {0};
    char(*names)[ADDR_TEXT] = base_alloc((n ? n : 1) * sizeof(*names));

    for (size_t i = 0; i < n; i++)
        if (conf_index_put(&seen, addr_format(&a[i], names[i]), i) != CONF_NONE)
            conf_error(f, places[i], "%s: %s stands here twice", key, names[i]);
    conf_index_free(&seen);
    free(names);
}

/* Connections of one address cannot be of two kinds. */
static void check_transports(struct check *k)
{
    const struct config *c = k->config;
    char text[ADDR_TEXT];

    check_addresses(k->f, "listen-tls", c->listen_tls, c->n_listen_tls, k->file->tls_places);
    check_addresses(k->f, "listen-https", c->listen_https, c->n_listen_https,
                    k->file->https_places);
    for (size_t i = 0; i < c->n_listen_tls + c->n_listen_https; i++) {
        bool is_tls = i < c->n_listen_tls;
        size_t at = is_tls ? i : i - c->n_listen_tls;
        const struct addr *a = is_tls ? &c->listen_tls[at] : &c->listen_https[at];
        struct place place = is_tls ? k->file->tls_places[at] : k->file->https_places[at];
        bool is_taken = false;

        for (size_t m = 0; m < c->n_listen; m++)
            is_taken = is_taken || addr_eq(a, &c->listen[m]);
        for (size_t m = 0; !is_tls && m < c->n_listen_tls; m++)
            is_taken = is_taken || addr_eq(a, &c->listen_tls[m]);
        if (is_taken)
            conf_error(k->f, place,
                       "%s serves another transport already: give this one a port of "
                       "its own",
                       addr_format(a, text));
        else if (c->n_certificates == 0)
            conf_error(k->f, place, "%s speaks TLS, but tls has no certificates",
                       addr_format(a, text));
    }
}

static void check_control(struct check *k)
{
    const struct config_control *c = &k->config->control;
    struct place at = c->listen_place;

    check_addresses(k->f, "listen", c->listen, c->n_listen, k->file->control_places);
    for (size_t i = 0; i < c->n_peers && c->n_listen == 0; i++)
        conf_error(k->f, c->peers[i].place,
                   "peers need 'listen', 'certificate', 'key' and 'ca' in control too");
    if (c->n_listen == 0)
        return;
    if (c->certificate_path == NULL)
        conf_error(k->f, at, "control listens, so 'certificate' is required");
    if (c->key_path == NULL)
        conf_error(k->f, at, "control listens, so 'key' is required");
    if (c->ca_path == NULL)
        conf_error(k->f, at, "control listens, so 'ca' is required");
}

/* What two edges must not share. */
struct taken {
    struct conf_index names, addresses;
};

static void check_edge(struct check *k, const struct file_edge *e, uint32_t index,
                       struct taken *taken)
{
    size_t before = conf_index_put(&taken->names, e->name, index);

    if (before != CONF_NONE)
        conf_error(k->f, e->place, "edge '%s' stands already in region '%s'", e->name,
                   k->config->regions[k->config->edges[before].region].name);
    for (size_t i = 0; i < e->n_addresses; i++) {
        char buf[ADDR_TEXT];
        const char *text = ip_format(&e->addresses[i], buf);

        before =
            conf_index_put(&taken->addresses, arena_strndup(k->arena, text, strlen(text)), index);
        if (before == index)
            conf_error(k->f, e->address_places[i], "addresses: %s stands here twice", text);
        else if (before != CONF_NONE)
            conf_warn(k->f, e->address_places[i],
                      "%s is also an address of edge '%s': if one is down, clients still get it "
                      "from the other",
                      text, k->config->edges[before].name);
    }
}

static void build_regions(struct check *k)
{
    const struct file *file = k->file;
    struct config_region *regions = arena_zalloc(k->arena, file->n_regions * sizeof(*regions));
    struct config_edge *edges;
    struct taken taken = {0};
    size_t n_edges = 0, next = 0;

    for (size_t i = 0; i < file->n_regions; i++)
        n_edges += file->regions[i].n_edges;
    edges = arena_zalloc(k->arena, n_edges * sizeof(*edges));
    k->config->regions = regions;
    k->config->n_regions = file->n_regions;
    k->config->edges = edges;
    k->config->n_edges = n_edges;
    for (size_t i = 0; i < file->n_regions; i++) {
        const struct file_region *r = &file->regions[i];

        conf_index_put(&k->regions, r->name, i);
        regions[i] = (struct config_region){r->name, r->location.latitude, r->location.longitude,
                                            (uint32_t)next, (uint32_t)r->n_edges};
        for (size_t j = 0; j < r->n_edges; j++, next++) {
            const struct file_edge *e = &r->edges[j];

            edges[next] = (struct config_edge){e->name, (uint16_t)i, e->addresses, e->n_addresses};
            check_edge(k, e, (uint32_t)next, &taken);
        }
    }
    conf_index_free(&taken.names);
    conf_index_free(&taken.addresses);
}

/* A list of names of regions as indices, each once; the arena's. */
struct region_list {
    const char *owner; /* "region-order", "service 'www.example.com'" */
    const char *const *names;
    const struct place *places;
    size_t n;
};

/* Appends to out, which has room for all regions; is_taken has a flag for each. Returns how many.
 */
static size_t resolve_regions(struct check *k, const struct region_list *list, uint16_t *out,
                              bool *is_taken)
{
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++) {
        size_t region = conf_index_get(&k->regions, list->names[i]);
        char hint[CONF_HINT];

        if (region == CONF_NONE)
            conf_error(k->f, list->places[i], "%s: unknown region '%s'%s", list->owner,
                       list->names[i], conf_hint(k->f, &k->regions, list->names[i], hint));
        else if (is_taken[region])
            conf_error(k->f, list->places[i], "%s: region '%s' stands here twice", list->owner,
                       list->names[i]);
        else
            out[n++] = (uint16_t)region, is_taken[region] = true;
    }
    return n;
}

static void build_region_order(struct check *k)
{
    const struct file *file = k->file;
    struct region_list list = {"region-order", file->region_order, file->order_places,
                               file->n_order};
    size_t n_regions = k->config->n_regions, n;
    uint16_t *order = arena_zalloc(k->arena, n_regions * sizeof(*order));
    bool *is_taken = base_zalloc(n_regions + 1, sizeof(*is_taken));

    n = resolve_regions(k, &list, order, is_taken);
    for (size_t i = 0; i < n_regions; i++)
        if (!is_taken[i])
            order[n++] = (uint16_t)i;
    free(is_taken);
    k->config->region_order = order;
}

static bool has_address(const struct config *c, const struct config_service *s)
{
    for (size_t i = 0; i < s->n_regions; i++) {
        const struct config_region *r = &c->regions[s->regions[i]];

        for (uint32_t j = 0; j < r->n_edges; j++)
            if (c->edges[r->first_edge + j].n_addresses > 0)
                return true;
    }
    return false;
}

static void check_service(struct check *k, const struct file_service *from,
                          const struct config_service *s)
{
    if (s->all_down == CONFIG_FALLBACK && s->n_fallback == 0)
        conf_error(k->f, s->place, "service '%s': all-down: fallback needs the key 'fallback'",
                   s->name);
    if (s->all_down != CONFIG_FALLBACK && s->n_fallback > 0)
        conf_warn(k->f, from->fallback_place,
                  "service '%s': fallback is never used without all-down: fallback", s->name);
    if (k->config->n_regions == 0 && from->regions == NULL)
        conf_error(k->f, s->place, "service '%s' has no region: the file has no regions", s->name);
    else if (from->regions != NULL && from->n_regions == 0)
        conf_error(k->f, s->place,
                   "service '%s' has an empty list of regions; without the list "
                   "it has all",
                   s->name);
    else if (s->n_regions > 0 && !has_address(k->config, s))
        conf_error(k->f, s->place, "service '%s': none of its regions has an address", s->name);
}

static void build_service(struct check *k, const struct file_service *from,
                          struct config_service *out, bool *is_taken)
{
    char owner[CONF_HINT + 200];
    struct region_list list = {owner, from->regions, from->region_places, from->n_regions};
    uint16_t *regions;

    *out = from->service;
    if (config_find_policy(k->f, k->arena, k->config, &k->policies, from, out))
        ; /* which names its regions */
    else if (from->regions == NULL) {
        /* Like the default order, of which all such services share one copy. */
        out->regions = k->config->region_order;
        out->n_regions = k->config->n_regions;
    } else {
        snprintf(owner, sizeof(owner), "service '%.253s'", out->name);
        regions = arena_alloc(k->arena, from->n_regions * sizeof(*regions));
        out->n_regions = resolve_regions(k, &list, regions, is_taken);
        out->regions = regions;
        for (size_t i = 0; i < out->n_regions; i++)
            is_taken[regions[i]] = false;
    }
    check_service(k, from, out);
}

static void build_services(struct check *k)
{
    const struct file *file = k->file;
    struct config_service *services = arena_zalloc(k->arena, file->n_services * sizeof(*services));
    bool *is_taken = base_zalloc(k->config->n_regions + 1, sizeof(*is_taken));
    struct conf_index names = {.is_folded = true};

    for (size_t i = 0; i < file->n_services; i++) {
        size_t before = conf_index_put(&names, file->services[i].service.name, i);

        build_service(k, &file->services[i], &services[i], is_taken);
        if (before != CONF_NONE)
            conf_error(k->f, services[i].place, "service '%s' is the same name as '%s' in line %u",
                       services[i].name, services[before].name, services[before].place.line);
    }
    conf_index_free(&names);
    free(is_taken);
    k->config->services = services;
    k->config->n_services = file->n_services;
}

static void check_dnssec(struct check *k, const struct config_dnssec *d)
{
    bool has_nsec3 = d->nsec3_salt != NULL || d->nsec3_iterations > 0 || d->is_nsec3_opt_out;

    if (d->keys_path == NULL)
        return;
    if (d->refresh_s >= d->validity_s)
        conf_error(k->f, d->place,
                   "signature-refresh must be less than signature-validity, or signatures would be "
                   "replaced as soon as they are made");
    if (d->denial != CONFIG_NSEC3 && has_nsec3)
        conf_warn(k->f, d->place, "nsec3 is never used without denial: nsec3");
    if (d->nsec3_iterations > 0 && d->denial == CONFIG_NSEC3)
        conf_warn(k->f, d->place,
                  "nsec3: iterations should be 0; validators may treat the zone as unsigned "
                  "(RFC 9276 section 3.2)");
}

static void check_zones(struct check *k)
{
    const struct config *c = k->config;
    struct conf_index names = {.is_folded = true};

    for (size_t i = 0; i < c->n_zones; i++) {
        size_t before = conf_index_put(&names, c->zones[i].name, i);

        check_dnssec(k, &c->zones[i].dnssec);
        if (before != CONF_NONE)
            conf_error(k->f, c->zones[i].place, "zone '%s' is the same as '%s' in line %u",
                       c->zones[i].name, c->zones[before].name, c->zones[before].place.line);
    }
    conf_index_free(&names);
}

/* A unit may have several, the first is ours. */
static void find_geo_cache(struct check *k)
{
    const char **path = &k->config->geo_cache_path;
    const char *given = getenv(&CONFIG_CACHE_OF_UNIT[1]), *name;

    if (*path == NULL)
        return;
    name = strrchr(*path, '/');
    if (strcmp(name != NULL ? name + 1 : *path, CONFIG_CACHE_OF_UNIT) != 0)
        return;
    *path = given != NULL && given[0] == '/' ? arena_strndup(k->arena, given, strcspn(given, ":"))
                                             : NULL;
}

static void build(struct check *k)
{
    find_geo_cache(k);
    check_addresses(k->f, "listen", k->config->listen, k->config->n_listen, k->file->listen_places);
    check_transports(k);
    check_control(k);
    build_regions(k);
    build_region_order(k);
    k->policies.regions = &k->regions;
    config_read_policies(k->f, k->arena, k->file, k->config, &k->policies);
    build_services(k);
    conf_index_free(&k->policies.policies);
    config_check_use(k->f, k->config);
    check_zones(k);
    config_read_transfers(k->f, k->arena, k->config);
    conf_index_free(&k->regions);
}

struct config *config_load(const char *path, struct errors *errors)
{
    struct file file = {0};
    struct config *c = base_zalloc(1, sizeof(*c));
    size_t n_before = errors->n_errors;
    struct check k = {.file = &file, .config = c};
    struct arena arena;

    arena_init(&arena, 0);
    k.arena = &arena;
    k.f = conf_open(path, &arena, errors);
    if (k.f != NULL) {
        conf_fill(k.f, &config_schema, &file);
        *c = file.config;
        c->path = arena_strndup(&arena, path, strlen(path));
        build(&k);
        config_read_secrets(k.f, c, errors);
        conf_close(k.f);
    }
    c->arena = arena;
    if (errors->n_errors == n_before)
        return c;
    config_free(c);
    return NULL;
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    tls_secret_free(c->control.ticket_secrets, sizeof(*c->control.ticket_secrets));
    arena_free(&c->arena);
    free(c);
}

void config_describe(struct text *out)
{
    conf_describe(&config_schema, out);
}
