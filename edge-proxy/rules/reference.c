/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Paths on their way to the origin, and references to origins on their way to the visitor.
 *
 *   visitor        https://www.example.com/app/x      route /app/, replace-prefix /v2/
 *   origin         http://10.0.0.1:8080/v2/x
 *   its Location   http://10.0.0.1:8080/v2/login      or /v2/login
 *   the visitor's  https://www.example.com/app/login
 */
#include "edge-proxy/http/http.h"
#include "edge-proxy/rules/rules_internal.h"

static struct str without_slash(struct str s)
{
    return s.n > 0 && s.p[s.n - 1] == '/' ? (struct str){s.p, s.n - 1} : s;
}

/* from's place in front of path is taken by to, whichever of them is written with a slash. */
static void write_replaced(struct str path, struct str from, struct str to, struct writer *w)
{
    struct str rest = {path.p + without_slash(from).n, path.n - without_slash(from).n};

    to = without_slash(to);
    fields_write_str(w, to);
    fields_write_str(w, to.n + rest.n > 0 ? rest : STR("/"));
}

void rules_write_path(const struct config_route *route, struct str path, struct writer *w)
{
    if (route->replacement == NULL)
        fields_write_str(w, path);
    else
        write_replaced(path, str_of(route->prefix), str_of(route->replacement), w);
}

/* ---- References ---- */

/* A URI reference (RFC 3986 section 4.1), as far as it says whom it names. */
struct reference {
    struct str scheme, authority; /* empty: none */
    struct str rest;              /* path, query and fragment */
};

static struct reference split_reference(struct str s)
{
    struct reference out = {.rest = s};
    const char *colon = memchr(s.p, ':', s.n), *slash = memchr(s.p, '/', s.n);
    size_t n = 0;

    if (colon != NULL && slash == colon + 1)
        out.scheme = (struct str){s.p, (size_t)(colon - s.p)};
    else if (slash != s.p)
        return out; /* no authority without its two slashes */
    s = (struct str){slash, s.n - (size_t)(slash - s.p)};
    if (s.n < 2 || s.p[1] != '/')
        return out;
    s = (struct str){s.p + 2, s.n - 2};
    while (n < s.n && s.p[n] != '/' && s.p[n] != '?' && s.p[n] != '#')
        n++;
    out.authority = (struct str){s.p, n};
    out.rest = (struct str){s.p + n, s.n - n};
    return out;
}

static bool is_same_host(const char *authority, struct str host)
{
    struct str own;
    uint16_t port;

    if (authority == NULL)
        return false;
    if (!http_split_authority(str_of(authority), &own, &port))
        own = str_of(authority);
    return str_eq_nocase(own, host);
}

/* An origin's machine is none of the visitor's business, whatever the port. */
static bool names_origin(const struct config_pool *pool, struct str authority,
                         const struct rules_place *place)
{
    struct str host, own;
    uint16_t port;

    if (!http_split_authority(authority, &host, &port))
        return false;
    /* The site's own name leads where it says, to another scheme perhaps. */
    if (http_split_authority(place->authority, &own, &port) && str_eq_nocase(own, host))
        return false;
    if (is_same_host(pool->host_header, host) || is_same_host(pool->tls.server_name, host))
        return true;
    for (size_t i = 0; i < pool->n_origins; i++)
        if (is_same_host(pool->origins[i].name, host))
            return true;
    return false;
}

static bool has_replacement(const struct config_route *route, struct str path)
{
    return route->replacement != NULL && path.n > 0 && path.p[0] == '/' &&
           http_path_has_prefix(path, str_of(route->replacement));
}

static void write_turned(const struct config_route *route, const struct rules_place *place,
                         const struct reference *ref, struct str name, struct writer *w)
{
    fields_write_str(w, name);
    fields_write_str(w, STR(": "));
    if (ref->authority.n > 0) {
        fields_write_str(w, place->scheme);
        fields_write_str(w, STR("://"));
        fields_write_str(w, place->authority);
    }
    if (has_replacement(route, ref->rest))
        write_replaced(ref->rest, str_of(route->replacement), str_of(route->prefix), w);
    else
        fields_write_str(w, ref->rest);
    fields_write_str(w, STR("\r\n"));
}

/* Writes the line anew behind all others, if it must change. */
static bool turn_line(const struct config_pool *pool, const struct config_route *route,
                      const struct rules_place *place, const struct rules_line *line,
                      struct writer *w)
{
    struct reference ref = split_reference(line->value);
    bool is_origin =
        ref.authority.n > 0 && pool->is_hidden && names_origin(pool, ref.authority, place);

    if (ref.authority.n > 0 ? !is_origin || place->authority.n == 0
                            : !has_replacement(route, ref.rest))
        return false;
    write_turned(route, place, &ref, line->name, w);
    return !w->is_full;
}

void rules_turn_back(const struct config_pool *pool, const struct config_route *route,
                     const struct rules_place *place, struct writer *w, uint8_t *lines)
{
    struct str rest = {(char *)lines, (size_t)(w->p - lines)};
    struct rules_line line;

    if (w->is_full)
        return;
    while (rules_next_line(&rest, &line)) {
        enum field_id id = fields_identify(line.name);

        if ((id != FIELD_LOCATION && id != FIELD_CONTENT_LOCATION) ||
            !turn_line(pool, route, place, &line, w))
            continue;
        /* The old line goes; what stands behind it, the new one included, moves up. */
        memmove((char *)line.all.p, line.all.p + line.all.n,
                (size_t)((char *)w->p - (line.all.p + line.all.n)));
        w->p -= line.all.n;
        rest.p = line.all.p;
    }
}
