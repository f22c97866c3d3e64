/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge-proxy/route/route.h"

#include "edge-proxy/http/http.h"

#include <stdlib.h>
#include <string.h>

enum { HOST_MAX = 255 };

/* "www.example.com", or ".example.com" for what was written "*.example.com". */
struct entry {
    struct str host;
    const struct config_site *site;
};

struct route_table {
    struct entry *entries; /* open addressing; a power of two, at most half full */
    size_t mask;
    const struct config_site *any; /* of host "*" */
};

static uint64_t hash_host(struct str host)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < host.n; i++)
        h = (h ^ (uint8_t)host.p[i]) * 0x100000001b3u;
    return h ^ h >> 32;
}

static struct entry *find_entry(const struct route_table *t, struct str host)
{
    size_t i = hash_host(host) & t->mask;

    while (t->entries[i].site != NULL && !str_eq(t->entries[i].host, host))
        i = (i + 1) & t->mask;
    return &t->entries[i];
}

static void add_host(struct route_table *t, const char *host, const struct config_site *site)
{
    struct str key = str_of(host);
    struct entry *e;

    if (str_is(key, "*")) {
        t->any = site;
        return;
    }
    if (key.n > 1 && key.p[0] == '*')
        key = (struct str){key.p + 1, key.n - 1};
    e = find_entry(t, key);
    if (e->site == NULL)
        *e = (struct entry){key, site};
}

struct route_table *route_table_new(const struct config *config)
{
    struct route_table *t = base_zalloc(1, sizeof(*t));
    size_t n_hosts = 0, size = 8;

    for (size_t i = 0; i < config->n_sites; i++)
        n_hosts += config->sites[i].n_hosts;
    while (size < 2 * n_hosts + 1)
        size *= 2;
    t->entries = base_zalloc(size, sizeof(*t->entries));
    t->mask = size - 1;
    for (size_t i = 0; i < config->n_sites; i++)
        for (size_t k = 0; k < config->sites[i].n_hosts; k++)
            add_host(t, config->sites[i].hosts[k], &config->sites[i]);
    return t;
}

void route_table_free(struct route_table *t)
{
    free(t->entries);
    free(t);
}

const struct config_site *route_find_site(const struct route_table *t, struct str host)
{
    char lower[HOST_MAX + 1];
    const struct config_site *site;

    if (host.n > 0 && host.p[host.n - 1] == '.') /* the root may be written out */
        host.n--;
    if (host.n == 0 || host.n > HOST_MAX)
        return t->any;
    for (size_t i = 0; i < host.n; i++)
        lower[i] = (char)text_lower((uint8_t)host.p[i]);
    host.p = lower;
    site = find_entry(t, host)->site;
    /* "*.b.c" for "a.b.c", then "*.c": the longest suffix is met first. */
    for (size_t i = 0; site == NULL && i < host.n; i++)
        if (lower[i] == '.')
            site = find_entry(t, (struct str){lower + i, host.n - i})->site;
    return site != NULL ? site : t->any;
}

enum route_verdict route_find(const struct route_table *t, struct str host, struct str path,
                              struct route *out)
{
    out->site = route_find_site(t, host);
    out->route = NULL;
    if (out->site == NULL)
        return ROUTE_NO_SITE;
    for (size_t i = 0; i < out->site->n_routes; i++) {
        const struct config_route *r = &out->site->routes[i];

        if (http_path_has_prefix(path, str_of(r->prefix))) {
            out->route = r;
            return ROUTE_FOUND;
        }
    }
    return ROUTE_NO_PATH;
}
