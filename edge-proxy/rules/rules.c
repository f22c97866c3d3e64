/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of a generation, field lines, pages. */
#include "edge-proxy/rules/rules_internal.h"

#include <stdlib.h>

/* What a program says of itself, and other addresses than ours for the same site (RFC 7838). */
static const char *const HIDDEN[] = {
    "Server",
    "X-Powered-By",
    "X-AspNet-Version",
    "X-AspNetMvc-Version",
    "X-Backend",
    "X-Backend-Server",
    "X-Generator",
    "X-Runtime",
    "X-Served-By",
    "X-Server",
    "X-Upstream",
    "X-Varnish",
    "X-Envoy-Upstream-Service-Time",
    "Alt-Svc",
};

struct route_rules {
    struct field_names gone;
    size_t n_gone;
    const struct config_line *lines;
    size_t n_lines;
};

struct rules_table {
    struct route_rules (*routes)[2]; /* by the route's index, then by side */
    struct field_names **hidden;     /* by pool; NULL: nothing */
    struct field_names *tags;        /* by site */
    struct arena arena;
};

/* ---- Building ---- */

static void build_names(struct rules_table *t, struct field_names *out, const char *const *names,
                        size_t n)
{
    if (out->others == NULL)
        out->others = arena_alloc(&t->arena, (n + 1) * sizeof(*out->others));
    for (size_t i = 0; i < n; i++)
        field_names_add(out, names[i]);
}

static void build_side(struct rules_table *t, struct route_rules *out,
                       const struct config_field_rules *from)
{
    build_names(t, &out->gone, from->gone, from->n_gone);
    out->n_gone = from->n_gone;
    out->lines = from->lines;
    out->n_lines = from->n_lines;
}

static struct field_names *build_hidden(struct rules_table *t, const struct config_pool *pool)
{
    struct field_names *names;

    if (!pool->is_hidden && pool->n_hidden == 0)
        return NULL;
    names = arena_zalloc(&t->arena, sizeof(*names));
    names->others =
        arena_alloc(&t->arena, (COUNT_OF(HIDDEN) + pool->n_hidden) * sizeof(*names->others));
    if (pool->is_hidden)
        build_names(t, names, HIDDEN, COUNT_OF(HIDDEN));
    build_names(t, names, pool->hidden, pool->n_hidden);
    return names;
}

struct rules_table *rules_table_new(const struct config *config)
{
    struct rules_table *t = base_zalloc(1, sizeof(*t));

    arena_init(&t->arena, 0);
    t->routes = arena_zalloc(&t->arena, config->n_routes * sizeof(*t->routes));
    t->hidden = arena_zalloc(&t->arena, config->n_pools * sizeof(struct field_names *));
    for (size_t i = 0; i < config->n_pools; i++)
        t->hidden[i] = build_hidden(t, &config->pools[i]);
    t->tags = arena_zalloc(&t->arena, config->n_sites * sizeof(t->tags[0]));
    for (size_t i = 0; i < config->n_sites; i++) {
        build_names(t, &t->tags[i], config->sites[i].tag_fields, config->sites[i].n_tag_fields);
        for (size_t k = 0; k < config->sites[i].n_routes; k++) {
            const struct config_route *r = &config->sites[i].routes[k];

            build_side(t, &t->routes[r->index][RULES_REQUEST], &r->request);
            build_side(t, &t->routes[r->index][RULES_RESPONSE], &r->response);
        }
    }
    return t;
}

void rules_table_free(struct rules_table *t)
{
    arena_free(&t->arena);
    free(t);
}

const struct field_names *rules_hidden_names(const struct rules_table *t, uint16_t pool)
{
    return t->hidden[pool];
}

const struct field_names *rules_tag_names(const struct rules_table *t,
                                          const struct config_site *site)
{
    return &t->tags[site->index];
}

/* ---- Field lines ---- */

bool rules_next_line(struct str *rest, struct rules_line *out)
{
    const char *end, *colon;

    if (rest->n == 0)
        return false;
    end = memchr(rest->p, '\n', rest->n);
    ensure(end != NULL);
    out->all = (struct str){rest->p, (size_t)(end - rest->p) + 1};
    colon = memchr(rest->p, ':', out->all.n);
    ensure(colon != NULL);
    out->name = (struct str){rest->p, (size_t)(colon - rest->p)};
    out->value = str_trim((struct str){colon + 1, (size_t)(end - colon) - 2});
    *rest = (struct str){end + 1, rest->n - out->all.n};
    return true;
}

/* Lines with these names leave; the others close ranks. */
static void take_out(const struct field_names *names, struct writer *w, uint8_t *lines)
{
    struct str rest = {(char *)lines, (size_t)(w->p - lines)};
    uint8_t *to = lines;
    struct rules_line line;

    while (rules_next_line(&rest, &line)) {
        if (field_names_has(names, line.name))
            continue;
        if (to != (const uint8_t *)line.all.p)
            memmove(to, line.all.p, line.all.n);
        to += line.all.n;
    }
    w->p = to;
}

void rules_apply(const struct rules_table *t, const struct config_route *route,
                 enum rules_side side, struct writer *w, uint8_t *lines, rules_value_fn *value,
                 void *arg)
{
    const struct route_rules *rules = &t->routes[route->index][side];

    if (w->is_full)
        return;
    if (rules->n_gone > 0)
        take_out(&rules->gone, w, lines);
    for (size_t i = 0; i < rules->n_lines; i++) {
        fields_write_str(w, str_of(rules->lines[i].name));
        fields_write_str(w, STR(": "));
        template_write(&rules->lines[i].value, value, arg, w);
        fields_write_str(w, STR("\r\n"));
    }
}

/* ---- Pages ---- */

const struct config_page *rules_find_page(const struct config_pages *pages, unsigned status)
{
    for (size_t i = 0; i < pages->n; i++)
        if (status >= pages->pages[i].status_low && status <= pages->pages[i].status_high)
            return &pages->pages[i];
    return NULL;
}

bool rules_is_closed(const struct config_site *site, const struct ip *client)
{
    const struct config_maintenance *m = &site->maintenance;

    if (!m->is_on)
        return false;
    for (size_t i = 0; i < m->n_admitted; i++)
        if (prefix_has(&m->admitted[i], client))
            return false;
    return true;
}
