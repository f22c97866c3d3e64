/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/clock/clock.h"
#include "gslb-dns/gslbctl/gslbctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum table_colour colour;
} states[] = {
    [GSLB__EDGE_STATE__EDGE_UNKNOWN] = {"unknown", TABLE_YELLOW},
    [GSLB__EDGE_STATE__EDGE_UP] = {"up", TABLE_GREEN},
    [GSLB__EDGE_STATE__EDGE_DOWN] = {"down", TABLE_RED},
    [GSLB__EDGE_STATE__EDGE_DRAINING] = {"draining", TABLE_YELLOW},
    [GSLB__EDGE_STATE__EDGE_RISING] = {"rising", TABLE_YELLOW},
};

enum { NAME, STATE, SINCE, LOAD, REQUESTS, HITS, ORIGINS, WHY };

/* What a region's edges come to. */
struct totals {
    uint64_t connections, target;
    double requests_per_s, hit_weight, hits;
    size_t origins, origins_up;
    bool has_report;
};

size_t status_usable_edges(const Gslb__RegionStatus *r)
{
    size_t n = 0;

    for (size_t i = 0; i < r->n_edges; i++)
        n += r->edges[i]->is_usable;
    return n;
}

static size_t origins_up(const Gslb__Report *r)
{
    size_t n = 0;

    for (size_t i = 0; i < r->n_origins; i++)
        n += r->origins[i]->is_up;
    return n;
}

static void add_up(struct totals *t, const Gslb__EdgeStatus *e)
{
    double weight = e->requests_per_s > 0 ? e->requests_per_s : 1e-9;

    if (e->report == NULL || !e->is_connected)
        return;
    t->has_report = true;
    if (e->report->load != NULL) {
        t->connections += e->report->load->connections;
        t->target += e->report->load->connections_target;
    }
    t->requests_per_s += e->requests_per_s;
    if (e->cache_hit_ratio >= 0) {
        t->hit_weight += weight;
        t->hits += weight * e->cache_hit_ratio;
    }
    t->origins += e->report->n_origins;
    t->origins_up += origins_up(e->report);
}

static void figures(struct table *t, const struct totals *x, enum table_colour colour)
{
    if (!x->has_report)
        return;
    if (x->target > 0)
        table_cell(t, LOAD, colour, "%llu/%llu", (unsigned long long)x->connections,
                   (unsigned long long)x->target);
    else
        table_cell(t, LOAD, colour, "%llu", (unsigned long long)x->connections);
    table_cell(t, REQUESTS, colour, "%.1f", x->requests_per_s);
    if (x->hit_weight > 0)
        table_cell(t, HITS, colour, "%.1f %%", 100 * x->hits / x->hit_weight);
    else
        table_cell(t, HITS, colour, "-");
    if (x->origins > 0)
        table_cell(t, ORIGINS, x->origins_up < x->origins ? TABLE_RED : colour, "%zu/%zu",
                   x->origins_up, x->origins);
}

static void edge_row(struct table *t, const Gslb__EdgeStatus *e)
{
    size_t state = (size_t)e->state < COUNT_OF(states) ? (size_t)e->state : 0;
    struct totals x = {0};
    char since[TEXT_SHORT];

    add_up(&x, e);
    table_row(t);
    table_cell(t, NAME, TABLE_PLAIN, "  %s", e->name);
    table_cell(t, STATE, states[state].colour, "%s%s", states[state].name,
               e->is_kept ? " (kept)" : "");
    table_cell(t, SINCE, TABLE_PLAIN, "%s", table_age(e->since_ms, since));
    figures(t, &x, TABLE_PLAIN);
    table_cell(t, WHY, TABLE_DIM, "%s%s", e->reason, e->is_connected ? "" : " [not connected]");
}

static void region_rows(struct table *t, const Gslb__RegionStatus *r)
{
    size_t usable = status_usable_edges(r);
    struct totals x = {0};

    for (size_t i = 0; i < r->n_edges; i++)
        add_up(&x, r->edges[i]);
    table_row(t);
    table_cell(t, NAME, TABLE_BOLD, "%s", r->name);
    table_cell(t, STATE, usable > 0 ? TABLE_BOLD : TABLE_RED, "%zu of %zu", usable, r->n_edges);
    figures(t, &x, TABLE_BOLD);
    if (usable == 0)
        table_cell(t, WHY, TABLE_RED, "no usable edge");
    for (size_t i = 0; i < r->n_edges; i++)
        edge_row(t, r->edges[i]);
}

static void heads(struct table *t, const char *const *names)
{
    table_row(t);
    for (size_t i = 0; i < t->n_columns; i++)
        table_cell(t, i, TABLE_DIM, "%s", names[i]);
}

static void show_regions(const Gslb__StatusReply *s, const struct view *view, struct text *out)
{
    static const char *const names[] = {"REGION / EDGE", "STATE", "SINCE",   "LOAD",
                                        "REQ/S",         "HITS",  "ORIGINS", "WHY"};
    struct table t;

    table_start(&t, "llrrrrrl");
    heads(&t, names);
    for (size_t i = 0; i < s->n_regions; i++)
        region_rows(&t, s->regions[i]);
    table_end(&t, view, out);
}

static void show_services(const Gslb__StatusReply *s, const struct view *view, struct text *out)
{
    static const char *const names[] = {"SERVICE", "POLICY", "TTL", "USABLE", "REGIONS"};
    struct table t;

    if (s->n_services == 0)
        return;
    text_adds(out, "\n");
    table_start(&t, "llrrl");
    heads(&t, names);
    for (size_t i = 0; i < s->n_services; i++) {
        const Gslb__ServiceStatus *v = s->services[i];
        struct text regions = {0};
        size_t usable = 0;

        for (size_t k = 0; k < v->n_regions; k++) {
            bool is_usable = k < v->n_is_usable && v->is_usable[k];

            usable += is_usable;
            text_addf(&regions, "%s%s%s", k ? ", " : "", v->regions[k],
                      is_usable || v->n_is_usable == 0 ? "" : " (out)");
        }
        table_row(&t);
        table_cell(&t, 0, TABLE_PLAIN, "%s", v->name);
        table_cell(&t, 1, TABLE_PLAIN, "%s", v->policy);
        table_cell(&t, 2, TABLE_PLAIN, "%u s", v->ttl_s);
        if (v->n_is_usable > 0)
            table_cell(&t, 3, usable ? TABLE_GREEN : TABLE_RED, "%zu/%zu", usable, v->n_regions);
        table_cell(&t, 4, TABLE_PLAIN, "%s", regions.p ? regions.p : "");
        text_free(&regions);
    }
    table_end(&t, view, out);
}

/* Each key that is about, and whether something waits for the operator. */
static void show_signing(struct table *t, const Gslb__ZoneStatus *z)
{
    struct text keys = {0};
    bool waits = false;

    for (size_t i = 0; i < z->n_keys; i++) {
        const Gslb__KeyStatus *k = z->keys[i];

        waits |= k->wants_ds;
        if (strcmp(k->state, "removed") != 0)
            text_addf(&keys, "%s%s %u %s", keys.n > 0 ? ", " : "signed: ", k->role, k->tag,
                      k->state);
    }
    if (z->serial != z->file_serial)
        text_addf(&keys, "; serial of the file %u", z->file_serial);
    table_cell(t, 4, waits ? TABLE_YELLOW : TABLE_PLAIN, "%s%s", keys.p != NULL ? keys.p : "",
               waits ? "; a DS is to be confirmed: gslbctl keys" : "");
    text_free(&keys);
}

static void add_wait(struct text *t, const char *what, int64_t in_s)
{
    char age[TEXT_SHORT];

    text_addf(t, ", %s in %s", what, table_age((uint64_t)in_s * 1000, age));
}

/* "copy of 192.0.2.1:53: fresh, refresh in 50m, expires in 13d" */
static void show_copy(struct table *t, const Gslb__CopyStatus *c)
{
    bool is_good = c->error[0] == '\0' && c->is_saved, is_served = c->expires_in_s > 0;
    struct text line = {0};

    text_addf(&line, "copy%s%s: %s", c->primary[0] ? " of " : "", c->primary, c->state);
    if (c->refresh_in_s > 0)
        add_wait(&line, "refresh", c->refresh_in_s);
    if (is_served)
        add_wait(&line, "expires", c->expires_in_s);
    else
        text_adds(&line, ", answered SERVFAIL");
    if (is_served && !c->is_saved)
        text_adds(&line, ", not on disk");
    if (c->error[0] != '\0')
        text_addf(&line, "; %s", c->error);
    table_cell(t, 4, is_good ? TABLE_PLAIN : is_served ? TABLE_YELLOW : TABLE_RED, "%s", line.p);
    text_free(&line);
}

static void show_zones(const Gslb__StatusReply *s, const struct view *view, struct text *out)
{
    static const char *const names[] = {"ZONE", "SERIAL", "NAMES", "RECORDS", ""};
    struct table t;

    if (s->n_zones == 0)
        return;
    text_adds(out, "\n");
    table_start(&t, "lrrrl");
    heads(&t, names);
    for (size_t i = 0; i < s->n_zones; i++) {
        const Gslb__ZoneStatus *z = s->zones[i];

        table_row(&t);
        table_cell(&t, 0, TABLE_PLAIN, "%s", z->name);
        table_cell(&t, 1, TABLE_PLAIN, "%u", z->serial);
        table_cell(&t, 2, TABLE_PLAIN, "%llu", (unsigned long long)z->names);
        table_cell(&t, 3, TABLE_PLAIN, "%llu", (unsigned long long)z->records);
        if (z->error[0] != '\0')
            table_cell(&t, 4, TABLE_RED, "%s: %s",
                       z->is_missing ? "answered SERVFAIL" : "newer version refused", z->error);
        else if (z->copy != NULL)
            show_copy(&t, z->copy);
        else if (z->n_keys > 0)
            show_signing(&t, z);
    }
    table_end(&t, view, out);
}

/* A refused load can have many mistakes, a line each. */
static void show_refusal(const char *mistakes, const struct view *view, struct text *out)
{
    for (const char *p = mistakes; *p != '\0';) {
        size_t n = strcspn(p, "\n");
        char *line = base_strndup(p, n);

        table_line(view, p == mistakes ? "refused" : "", TABLE_RED, line, out);
        free(line);
        p += n + (p[n] == '\n');
    }
}

static void show_head(const Gslb__StatusReply *s, const struct view *view, struct text *out)
{
    char up[TEXT_SHORT], loaded[CLOCK_ISO];
    struct text line = {0};

    text_addf(&line, "%s%s%s", s->node, s->node[0] ? ": " : "", s->software);
    table_paint(view, TABLE_BOLD, line.p, out);
    text_addf(out, ", up %s", table_age(s->uptime_ms, up));
    if (s->loaded_at_s > 0)
        text_addf(out, ", configuration of %s", clock_format_iso(s->loaded_at_s, loaded));
    text_adds(out, "\n");
    if (s->geo[0] != '\0')
        table_line(view, "geo", TABLE_PLAIN, s->geo, out);
    if (s->is_self_suspect)
        table_line(view, "suspect", TABLE_YELLOW,
                   "all edges were lost at once: this node may be cut off and keeps its last good "
                   "view",
                   out);
    show_refusal(s->load_error, view, out);
    text_adds(out, "\n");
    text_free(&line);
}

enum gslbctl_exit status_show(const Gslb__StatusReply *s, const struct view *view, struct text *out)
{
    enum gslbctl_exit news = s->is_self_suspect ? GSLBCTL_BAD_NEWS : GSLBCTL_FINE;

    show_head(s, view, out);
    show_regions(s, view, out);
    show_services(s, view, out);
    show_zones(s, view, out);
    for (size_t i = 0; i < s->n_regions; i++)
        if (status_usable_edges(s->regions[i]) == 0)
            news = GSLBCTL_BAD_NEWS;
    for (size_t i = 0; i < s->n_zones; i++)
        if (s->zones[i]->is_missing)
            news = GSLBCTL_BAD_NEWS;
    return news;
}

/* Where a name leads now, one to a line. */
static void add_addresses(struct table *t, const Gslb__Origin *o)
{
    for (size_t k = 0; k < o->n_addresses; k++) {
        table_row(t);
        table_cell(t, 1, TABLE_DIM, "  %s", o->addresses[k]);
    }
}

static void show_origins(const Gslb__Report *r, const struct view *view, struct text *out)
{
    static const char *const names[] = {"POOL", "ORIGIN", "STATE", "SINCE", "CONNS", "WHY"};
    struct table t;

    text_adds(out, "\n");
    table_start(&t, "lllrrl");
    heads(&t, names);
    for (size_t i = 0; i < r->n_origins; i++) {
        const Gslb__Origin *o = r->origins[i];
        char since[TEXT_SHORT];

        table_row(&t);
        table_cell(&t, 0, TABLE_PLAIN, "%s", o->pool);
        table_cell(&t, 1, TABLE_PLAIN, "%s", o->name);
        table_cell(&t, 2, o->is_up ? TABLE_GREEN : TABLE_RED, "%s", o->is_up ? "up" : "down");
        table_cell(&t, 3, TABLE_PLAIN, "%s", table_age(o->since_ms, since));
        table_cell(&t, 4, TABLE_PLAIN, "%u", o->connections);
        table_cell(&t, 5, TABLE_DIM, "%s", o->reason);
        add_addresses(&t, o);
    }
    table_end(&t, view, out);
}

static void line_of(const struct view *view, const char *label, struct text *line, struct text *out)
{
    table_line(view, label, TABLE_PLAIN, line->p, out);
    text_free(line);
}

static void show_figures(const Gslb__Report *r, const struct view *view, struct text *out)
{
    char have[TEXT_SHORT], limit[TEXT_SHORT];
    struct text line = {0};

    if (r->load != NULL) {
        text_addf(&line, "%u connections (target %u, limit %u), CPU %.1f %%", r->load->connections,
                  r->load->connections_target, r->load->connections_limit,
                  r->load->cpu_permille / 10.0);
        line_of(view, "load", &line, out);
    }
    text_addf(&line, "%llu requests, %llu errors, %s sent", (unsigned long long)r->requests_total,
              (unsigned long long)r->errors_total, text_format_bytes(r->bytes_sent_total, have));
    line_of(view, "served", &line, out);
    if (r->cache != NULL) {
        text_addf(&line, "%llu of %llu lookups hit, %llu objects, %s of %s",
                  (unsigned long long)r->cache->hits_total,
                  (unsigned long long)r->cache->lookups_total,
                  (unsigned long long)r->cache->objects, text_format_bytes(r->cache->bytes, have),
                  text_format_bytes(r->cache->bytes_limit, limit));
        line_of(view, "cache", &line, out);
    }
    for (size_t i = 0; i < r->n_listeners; i++) {
        const Gslb__Listener *l = r->listeners[i];

        text_addf(&line, "%s %s%s", l->is_tls ? "https" : "http", l->address,
                  l->is_open ? "" : " (closed)");
        line_of(view, "listener", &line, out);
    }
}

static void show_certificates(const Gslb__Report *r, const struct view *view, struct text *out)
{
    struct text line = {0};

    for (size_t i = 0; i < r->n_certificates; i++) {
        const Gslb__Certificate *c = r->certificates[i];
        int64_t left_s = c->expires_in_s;
        char age[TEXT_SHORT];

        text_addf(&line, "%s %s, ", c->name[0] != '\0' ? c->name : "(no name)", c->key);
        text_addf(&line, left_s < 0 ? "expired %s ago" : "%s left",
                  table_age((uint64_t)(left_s < 0 ? -left_s : left_s) * 1000, age));
        text_addf(&line, ", %s", c->path);
        line_of(view, "certificate", &line, out);
    }
}

static void show_tickets(const Gslb__Report *r, const struct view *view, struct text *out)
{
    struct text line = {0};

    for (size_t i = 0; i < r->n_ticket_keys; i++) {
        const Gslb__TicketKeyStatus *k = r->ticket_keys[i];
        int64_t begins_ms = k->begins_in_ms;
        char age[TEXT_SHORT];

        text_addf(&line, "%s %s", k->id, k->is_shared ? "shared" : "this edge's own");
        if (k->is_shared)
            text_addf(&line, begins_ms > 0 ? ", begins in %s" : ", for %s",
                      table_age((uint64_t)(begins_ms > 0 ? begins_ms : -begins_ms), age));
        if (k->is_making)
            text_adds(&line, ", makes tickets");
        line_of(view, "ticket", &line, out);
    }
}

enum gslbctl_exit status_show_edge(const Gslb__Report *r, const struct view *view, struct text *out)
{
    char up[TEXT_SHORT];
    bool is_good = r->can_serve && !r->is_draining;

    table_paint(view, is_good ? TABLE_GREEN : TABLE_RED,
                r->is_draining ? "draining"
                : r->can_serve ? "serving"
                               : "cannot serve",
                out);
    text_addf(out, ", up %s\n", table_age(r->uptime_ms, up));
    if (r->is_draining)
        table_line(view, "drain", TABLE_YELLOW, r->drain_reason, out);
    if (!r->can_serve)
        table_line(view, "why", TABLE_RED, r->reason, out);
    show_figures(r, view, out);
    show_certificates(r, view, out);
    show_tickets(r, view, out);
    if (r->n_origins > 0)
        show_origins(r, view, out);
    return r->can_serve ? GSLBCTL_FINE : GSLBCTL_BAD_NEWS;
}
