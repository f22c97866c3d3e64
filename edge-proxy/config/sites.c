/* SPDX-License-Identifier: BSD-2-Clause */
/* The second look at sites: hosts, routes, what is done to fields, pages. */
#include "common/siphash/siphash.h"
#include "edge-proxy/config/config_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_MAX_BYTES = 1 << 20, DEFAULT_REDIRECT = 302 };

/* ---- Rules about fields ---- */

static bool is_named(const struct file_field_rules *rules, const char *name)
{
    struct str s = str_of(name);

    for (size_t i = 0; i < rules->n_remove; i++)
        if (str_is_nocase(s, rules->remove[i]))
            return true;
    for (size_t i = 0; i < rules->n_set; i++)
        if (str_is_nocase(s, rules->set[i].name))
            return true;
    return false;
}

static void add_names(const char **names, size_t *n, const struct file_field_rules *from)
{
    for (size_t i = 0; i < from->n_remove; i++)
        names[(*n)++] = from->remove[i];
    for (size_t i = 0; i < from->n_set; i++)
        names[(*n)++] = from->set[i].name;
}

/* over: the rules of the route, which has the last word on a name. */
static void add_lines(struct check *k, struct config_line *lines, size_t *n,
                      const struct file_line *from, size_t n_from,
                      const struct file_field_rules *over)
{
    for (size_t i = 0; i < n_from; i++) {
        struct config_line *line = &lines[*n];

        if (from[i].value == NULL || (over != NULL && is_named(over, from[i].name)))
            continue;
        line->name = from[i].name;
        if (template_parse(str_of(from[i].value), config_variable_names, k->arena, &line->value) ==
            NULL)
            (*n)++;
    }
}

static struct config_field_rules merge_rules(struct check *k, const struct file_field_rules *site,
                                             const struct file_field_rules *route)
{
    size_t n_names = site->n_remove + site->n_set + route->n_remove + route->n_set;
    size_t n_lines = site->n_set + site->n_add + route->n_set + route->n_add;
    const char **names = arena_zalloc(k->arena, n_names * sizeof(*names));
    struct config_line *lines = arena_zalloc(k->arena, n_lines * sizeof(*lines));
    struct config_field_rules out = {.gone = names, .lines = lines};

    add_names(names, &out.n_gone, site);
    add_names(names, &out.n_gone, route);
    add_lines(k, lines, &out.n_lines, site->set, site->n_set, route);
    add_lines(k, lines, &out.n_lines, site->add, site->n_add, route);
    add_lines(k, lines, &out.n_lines, route->set, route->n_set, NULL);
    add_lines(k, lines, &out.n_lines, route->add, route->n_add, NULL);
    return out;
}

/* ---- Pages ---- */

static const char *content_type_of(const char *path)
{
    static const struct {
        const char *suffix, *type;
    } known[] = {
        {".html", "text/html; charset=utf-8"},
        {".htm", "text/html; charset=utf-8"},
        {".json", "application/json"},
        {".xml", "application/xml"},
        {".svg", "image/svg+xml"},
    };
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot != NULL && i < COUNT_OF(known); i++)
        if (str_is_nocase(str_of(dot), known[i].suffix))
            return known[i].type;
    return "text/plain; charset=utf-8";
}

static void read_page(struct check *k, const char *path, struct place at, struct config_page *out)
{
    char *bytes;
    size_t n;

    if (path == NULL)
        return;
    if (has_failed(text_read_file(path, PAGE_MAX_BYTES, &bytes, &n))) {
        if (errno == EFBIG) /* all else the table has seen */
            conf_error(k->f, at, "%s is larger than 1MiB, too much for such a page", path);
        return;
    }
    out->body = (struct str){arena_strndup(k->arena, bytes, n), n};
    out->content_type = content_type_of(path);
    free(bytes);
}

static int by_width(const void *a, const void *b)
{
    const struct config_page *x = a, *y = b;

    return (x->status_high - x->status_low) - (y->status_high - y->status_low);
}

/* inherited: those that count where these say nothing. */
static struct config_pages build_pages(struct check *k, const struct file_page *from, size_t n,
                                       const struct config_pages *inherited)
{
    struct config_page *pages = arena_zalloc(k->arena, (n + inherited->n) * sizeof(*pages));
    struct conf_index seen = {0};

    for (size_t i = 0; i < n; i++) {
        struct config_page *p = &pages[i];

        if (conf_index_put(&seen, from[i].status, i) != CONF_NONE)
            conf_error(k->f, from[i].place, "error-pages: %s stands here twice", from[i].status);
        p->status_low = (uint16_t)((from[i].status[0] - '0') * 100);
        p->status_high = (uint16_t)(p->status_low + 99);
        if (from[i].status[1] != 'x')
            p->status_low = p->status_high = (uint16_t)strtoul(from[i].status, NULL, 10);
        read_page(k, from[i].path, from[i].place, p);
    }
    conf_index_free(&seen);
    qsort(pages, n, sizeof(*pages), by_width);
    if (inherited->n > 0)
        memcpy(pages + n, inherited->pages, inherited->n * sizeof(*pages));
    return (struct config_pages){pages, n + inherited->n};
}

static void build_maintenance(struct check *k, const struct file_site *from,
                              struct config_site *out)
{
    out->maintenance = from->maintenance;
    out->maintenance.page.status_low = out->maintenance.page.status_high = 503;
    read_page(k, from->maintenance_path, from->maintenance_place, &out->maintenance.page);
}

/* ---- Routes ---- */

static int by_length_down(const void *a, const void *b)
{
    const struct config_route *x = a, *y = b;
    size_t n = strlen(x->prefix), m = strlen(y->prefix);

    return n != m ? (n < m ? 1 : -1) : strcmp(x->prefix, y->prefix);
}

static void find_pool(struct check *k, const struct file_route *from, struct config_route *out)
{
    size_t pool = conf_index_get(&k->pools, from->pool);
    char hint[CONF_HINT];

    if (pool != CONF_NONE)
        out->pool = (uint16_t)pool, k->is_used[pool] = true;
    else
        conf_error(k->f, from->pool_place, "route '%s': unknown pool '%s'%s", out->prefix,
                   from->pool, conf_hint(k->f, &k->pools, from->pool, hint));
}

/* What is not written has its route's place. */
static bool is_absent(const struct file_route *route, struct place at)
{
    return at.line == route->place.line && at.column == route->place.column;
}

/* A route leads to a pool or elsewhere. */
static void find_target(struct check *k, const struct file_route *from, struct config_route *out)
{
    if (from->redirect != NULL) {
        out->redirect_status =
            from->redirect_status != 0 ? from->redirect_status : DEFAULT_REDIRECT;
        (void)template_parse(str_of(from->redirect), config_variable_names, k->arena,
                             &out->redirect); /* the table has checked it */
    } else if (from->redirect_status != 0) {
        conf_error(k->f, from->place, "route '%s': redirect-status without redirect", out->prefix);
    }
    if (from->pool != NULL)
        find_pool(k, from, out);
    if (from->pool != NULL && from->redirect != NULL)
        conf_error(k->f, from->redirect_place,
                   "route '%s': it leads to a pool already; a route has pool or redirect",
                   out->prefix);
    if (from->pool == NULL && is_absent(from, from->redirect_place))
        conf_error(k->f, from->place, "route '%s': required key 'pool' is missing (or redirect)",
                   out->prefix);
    if (from->redirect != NULL && out->replacement != NULL)
        conf_error(k->f, from->replacement_place,
                   "route '%s': replace-prefix is for origins; a redirect says where it leads "
                   "itself, by {path}",
                   out->prefix);
}

/* Reloads that leave a limit where it is leave its buckets as they are. */
static uint64_t limit_id(const struct file_site *site, const char *prefix, const char *name)
{
    static const struct siphash_key seed = {0, 0};
    struct text t = {0};
    uint64_t id;

    text_addf(&t, "%s %s %s", site->name, prefix, name);
    id = siphash_24(&seed, t.p, t.n);
    text_free(&t);
    return id;
}

static void build_limits(struct check *k, const struct file_site *site,
                         const struct file_route *from, struct config_route *out)
{
    struct config_rate_limit *limits =
        arena_zalloc(k->arena, from->n_rate_limits * sizeof(*limits));

    for (size_t i = 0; i < from->n_rate_limits; i++) {
        const struct file_rate_limit *l = &from->rate_limits[i];

        limits[i] = l->limit;
        config_split_key(l->by != NULL ? l->by : "client", &limits[i].key, &limits[i].key_name);
        if (l->burst != 0)
            limits[i].rate.burst = l->burst;
        limits[i].id = limit_id(site, out->prefix, limits[i].name);
    }
    out->rate_limits = limits;
    out->n_rate_limits = from->n_rate_limits;
}

static void build_routes(struct check *k, const struct file_site *from, struct config_site *out)
{
    struct config_route *routes = arena_zalloc(k->arena, from->n_routes * sizeof(*routes));

    for (size_t i = 0; i < from->n_routes; i++) {
        const struct file_route *r = &from->routes[i];

        routes[i] = r->route;
        routes[i].index = (uint32_t)k->config->n_routes++;
        find_target(k, r, &routes[i]);
        build_limits(k, from, r, &routes[i]);
        routes[i].request = merge_rules(k, &from->request, &r->request);
        routes[i].response = merge_rules(k, &from->response, &r->response);
    }
    qsort(routes, from->n_routes, sizeof(*routes), by_length_down);
    out->routes = routes;
    out->n_routes = from->n_routes;
}

/* ---- Sites ---- */

static bool has_tls_listener(const struct config *c)
{
    for (size_t i = 0; i < c->n_listeners; i++)
        if (c->listeners[i].is_tls)
            return true;
    return false;
}

const char *config_lower_case(struct check *k, const char *s)
{
    size_t n = strlen(s);
    char *out = arena_strndup(k->arena, s, n);

    for (size_t i = 0; i < n; i++)
        out[i] = (char)text_lower((uint8_t)out[i]);
    return out;
}

/* hosts: all hosts so far, to their sites. */
static void take_host(struct check *k, struct conf_index *hosts, const char *host,
                      struct place place, size_t site)
{
    size_t before = conf_index_put(hosts, host, site);

    if (before == site)
        conf_error(k->f, place, "host '%s' stands in this site twice", host);
    else if (before != CONF_NONE)
        conf_error(k->f, place, "host '%s' stands already in site '%s'", host,
                   k->file->sites[before].name);
}

/* Those that origins of other caches send already. */
static const char *const TAG_FIELDS[] = {"Surrogate-Key", "Cache-Tag"};

static void build_tags(const struct file_site *from, struct config_site *out)
{
    bool is_usual = from->n_tag_fields == 0;

    out->tag_fields = is_usual ? TAG_FIELDS : from->tag_fields;
    out->n_tag_fields = is_usual ? COUNT_OF(TAG_FIELDS) : from->n_tag_fields;
    out->has_shown_tags = from->has_shown_tags;
}

static void build_site(struct check *k, size_t i, struct config_site *out, struct conf_index *hosts)
{
    const struct file_site *from = &k->file->sites[i];
    const char **names = arena_alloc(k->arena, (from->n_aliases + 1) * sizeof(*names));

    out->name = from->name;
    out->index = (uint32_t)i;
    out->access = from->access;
    out->hosts = names;
    out->is_redirect_https = from->is_redirect_https;
    build_tags(from, out);
    out->credentials = from->credentials;
    if (from->credentials.n_ca == 0) /* absent, which verify's default does not know */
        out->credentials.verify = CONFIG_VERIFY_OFF;
    out->pages = build_pages(k, from->pages, from->n_pages, &k->config->pages);
    build_maintenance(k, from, out);
    names[out->n_hosts++] = config_lower_case(k, from->name);
    take_host(k, hosts, names[0], from->place, i);
    for (size_t j = 0; j < from->n_aliases; j++) {
        names[out->n_hosts] = config_lower_case(k, from->aliases[j]);
        take_host(k, hosts, names[out->n_hosts++], from->alias_places[j], i);
    }
    build_routes(k, from, out);
    if (from->is_redirect_https && !has_tls_listener(k->config))
        conf_warn(k->f, from->redirect_place,
                  "site '%s' redirects to https, but no listener here speaks TLS", from->name);
    if (out->credentials.verify != CONFIG_VERIFY_OFF && !has_tls_listener(k->config))
        conf_warn(k->f, out->credentials.place,
                  "site '%s' asks for certificates, but no listener here speaks TLS", from->name);
}

void config_build_sites(struct check *k)
{
    const struct file *file = k->file;
    struct config_site *sites = arena_zalloc(k->arena, file->n_sites * sizeof(*sites));
    struct conf_index hosts = {0};

    k->config->pages = build_pages(k, file->pages, file->n_pages, &(struct config_pages){0});
    for (size_t i = 0; i < file->n_sites; i++)
        build_site(k, i, &sites[i], &hosts);
    conf_index_free(&hosts);
    k->config->sites = sites;
    k->config->n_sites = file->n_sites;
}
