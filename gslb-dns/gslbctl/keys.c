/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of signed zones, and what the operator must do about them. */
#include "gslb-dns/gslbctl/gslbctl.h"

#include "common/clock/clock.h"

#include <string.h>

static void add_when(struct text *t, int64_t at_s)
{
    char when[CLOCK_ISO];

    text_adds(t, at_s != 0 ? clock_format_iso(at_s, when) : "-");
}

static void show_key(struct table *t, const Gslb__KeyStatus *k)
{
    struct text since = {0}, next = {0};
    bool is_active = strcmp(k->state, "active") == 0;

    add_when(&since, k->since_s);
    if (k->next[0] != '\0') {
        text_addf(&next, "%s ", k->next);
        add_when(&next, k->next_s);
    }
    table_row(t);
    table_cell(t, 1, TABLE_BOLD, "%u", k->tag);
    table_cell(t, 2, TABLE_PLAIN, "%s", k->role);
    table_cell(t, 3, TABLE_PLAIN, "%s", k->algorithm);
    table_cell(t, 4, is_active ? TABLE_GREEN : TABLE_YELLOW, "%s", k->state);
    table_cell(t, 5, TABLE_PLAIN, "%s", since.p);
    table_cell(t, 6, TABLE_PLAIN, "%s", next.p != NULL ? next.p : "");
    text_free(&since);
    text_free(&next);
}

static void show_duties(const Gslb__ZoneStatus *z, const struct view *view, struct text *out)
{
    for (size_t i = 0; i < z->n_keys; i++) {
        struct text line = {0};

        if (!z->keys[i]->wants_ds)
            continue;
        text_addf(&line, "the parent should have this DS; once it has: gslbctl ds-seen %s %u",
                  z->name, z->keys[i]->tag);
        table_line(view, "to do", TABLE_YELLOW, line.p, out);
        table_line(view, "", TABLE_PLAIN, z->keys[i]->ds, out);
        text_free(&line);
    }
}

static void show_zone(const Gslb__ZoneStatus *z, const struct view *view, struct text *out)
{
    static const char *const names[] = {"", "TAG", "ROLE", "ALGORITHM", "STATE", "SINCE", "NEXT"};
    struct table t;

    table_paint(view, TABLE_BOLD, z->name, out);
    text_addf(out, "  serial %u, in its file %u\n", z->serial, z->file_serial);
    table_start(&t, "lrlllll");
    table_row(&t);
    for (size_t i = 1; i < COUNT_OF(names); i++)
        table_cell(&t, i, TABLE_DIM, "%s", names[i]);
    for (size_t i = 0; i < z->n_keys; i++)
        show_key(&t, z->keys[i]);
    table_end(&t, view, out);
    show_duties(z, view, out);
}

/* Zones are asked for with or without the final dot, in any case. */
static bool is_meant(const char *wanted, const char *zone)
{
    struct str w = str_of(wanted != NULL ? wanted : zone);

    if (w.n > 1 && w.p[w.n - 1] == '.')
        w.n--;
    return str_is_nocase(w, zone);
}

enum gslbctl_exit keys_show(const Gslb__StatusReply *s, const char *zone, const struct view *view,
                            struct text *out)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_zones; i++)
        if (s->zones[i]->n_keys > 0 && is_meant(zone, s->zones[i]->name)) {
            text_adds(out, n++ > 0 ? "\n" : "");
            show_zone(s->zones[i], view, out);
        }
    if (n == 0 && zone != NULL)
        text_addf(out, "%s is not a zone that is signed here\n", zone);
    else if (n == 0)
        text_adds(out, "no zone is signed here\n");
    return n > 0 || zone == NULL ? GSLBCTL_FINE : GSLBCTL_BAD_NEWS;
}

static void json_key(struct json *j, const Gslb__KeyStatus *k)
{
    json_open_object(j, NULL);
    json_u64(j, "tag", k->tag);
    json_string(j, "role", k->role);
    json_string(j, "algorithm", k->algorithm);
    json_string(j, "state", k->state);
    json_i64(j, "since_s", k->since_s);
    json_string(j, "next", k->next);
    json_i64(j, "next_s", k->next_s);
    json_bool(j, "wants_ds", k->wants_ds);
    json_string(j, "ds", k->ds);
    json_close_object(j);
}

void json_keys(struct json *j, const Gslb__ZoneStatus *z)
{
    json_open_array(j, "keys");
    for (size_t i = 0; i < z->n_keys; i++)
        json_key(j, z->keys[i]);
    json_close_array(j);
}

void json_of_keys(const Gslb__StatusReply *s, const char *wanted, struct text *out)
{
    struct json j = json_of(out);

    json_open_object(&j, NULL);
    json_open_array(&j, "zones");
    for (size_t i = 0; i < s->n_zones; i++) {
        if (s->zones[i]->n_keys == 0 || !is_meant(wanted, s->zones[i]->name))
            continue;
        json_open_object(&j, NULL);
        json_string(&j, "name", s->zones[i]->name);
        json_u64(&j, "serial", s->zones[i]->serial);
        json_u64(&j, "file_serial", s->zones[i]->file_serial);
        json_keys(&j, s->zones[i]);
        json_close_object(&j);
    }
    json_close_array(&j);
    json_close_object(&j);
    text_adds(out, "\n");
}
