/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/gslbctl/gslbctl.h"

static void show_client(const Gslb__ExplainReply *e, const struct view *view, struct text *out)
{
    struct text line = {0};

    if (e->has_location)
        text_addf(&line, "%.4f, %.4f%s%s (%s)", e->latitude, e->longitude,
                  e->country[0] ? " in " : "", e->country, e->location_source);
    else
        text_addf(&line, "none (%s)", e->location_source);
    table_line(view, "client", TABLE_PLAIN, e->client, out);
    table_line(view, "location", e->has_location ? TABLE_PLAIN : TABLE_YELLOW, line.p, out);
    text_free(&line);
}

static void show_answer(const Gslb__ExplainReply *e, const struct view *view, struct text *out)
{
    struct text line = {0};

    for (size_t i = 0; i < e->n_addresses; i++)
        text_addf(&line, "%s%s", i ? ", " : "", e->addresses[i]);
    if (e->n_addresses == 0)
        text_adds(&line, "none");
    text_addf(&line, "  (TTL %u s)", e->ttl_s);
    table_line(view, "answer", e->n_addresses ? TABLE_GREEN : TABLE_RED, line.p, out);
    text_free(&line);
    text_addf(&line, "/%u%s%s%s", e->scope_bits, e->scope_prefix[0] ? ": all of " : "",
              e->scope_prefix, e->scope_prefix[0] ? " gets this answer" : "");
    table_line(view, "ECS scope", TABLE_PLAIN, line.p, out);
    text_free(&line);
    text_addf(&line, "%s%s%s", e->chosen, e->chosen[0] ? ": " : "", e->verdict);
    for (size_t i = 0; i < e->n_steps; i++)
        table_line(view, i == 0 ? "steps" : "", TABLE_PLAIN, e->steps[i], out);
    table_line(view, "chosen", e->chosen[0] ? TABLE_GREEN : TABLE_YELLOW, line.p, out);
    text_free(&line);
}

static void show_ranking(const Gslb__ExplainReply *e, const struct view *view, struct text *out)
{
    static const char *const names[] = {"", "RANK", "REGION", "DISTANCE", "USABLE", "VERDICT"};
    struct table t;

    text_adds(out, "\n");
    table_start(&t, "lrlrll");
    table_row(&t);
    for (size_t i = 1; i < COUNT_OF(names); i++)
        table_cell(&t, i, TABLE_DIM, "%s", names[i]);
    for (size_t i = 0; i < e->n_regions; i++) {
        const Gslb__ExplainRegion *r = e->regions[i];

        table_row(&t);
        table_cell(&t, 1, TABLE_PLAIN, "%zu", i + 1);
        table_cell(&t, 2, TABLE_BOLD, "%s", r->name);
        if (r->distance_km >= 0)
            table_cell(&t, 3, TABLE_PLAIN, "%.0f km", r->distance_km);
        else
            table_cell(&t, 3, TABLE_DIM, "-");
        table_cell(&t, 4, r->is_usable ? TABLE_GREEN : TABLE_RED, "%s",
                   r->is_usable ? "yes" : "no");
        table_cell(&t, 5, TABLE_PLAIN, "%s", r->verdict);
    }
    table_end(&t, view, out);
}

enum gslbctl_exit explain_show(const Gslb__ExplainReply *e, const struct view *view,
                               struct text *out)
{
    table_paint(view, TABLE_BOLD, e->name, out);
    if (e->asked[0] != '\0') {
        text_adds(out, ", which ");
        table_paint(view, TABLE_PLAIN, e->asked, out);
        text_adds(out, " leads to");
    }
    text_adds(out, " (policy ");
    table_paint(view, TABLE_PLAIN, e->policy, out);
    text_adds(out, ")\n");
    show_client(e, view, out);
    show_answer(e, view, out);
    show_ranking(e, view, out);
    return e->n_addresses > 0 ? GSLBCTL_FINE : GSLBCTL_BAD_NEWS;
}
