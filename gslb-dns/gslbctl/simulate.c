/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/gslbctl/gslbctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS_MAX = 5000 }; /* what one request has room for */

static struct str next_word(struct str *line)
{
    struct str word;

    while (line->n > 0 && (line->p[0] == ' ' || line->p[0] == '\t' || line->p[0] == '\r'))
        line->p++, line->n--;
    word = (struct str){line->p, 0};
    while (word.n < line->n && memchr(" \t\r#", line->p[word.n], 4) == NULL)
        word.n++;
    line->p += word.n;
    line->n -= word.n;
    return word;
}

static bool read_weight(struct str word, double *out)
{
    char buf[32], *end;

    *out = 1;
    if (word.n == 0)
        return true;
    if (word.n >= sizeof(buf))
        return false;
    memcpy(buf, word.p, word.n);
    buf[word.n] = '\0';
    *out = strtod(buf, &end);
    return *end == '\0' && *out > 0;
}

/* true: nothing is wrong with the line. */
static bool read_line(struct arena *arena, struct str line, Gslb__SimulateRequest *out,
                      struct text *error)
{
    struct str client = next_word(&line), weight = next_word(&line);

    if (client.n == 0)
        return true;
    if (out->n_clients == CLIENTS_MAX) {
        text_addf(error, " more than %d clients", CLIENTS_MAX);
        return false;
    }
    if (!read_weight(weight, &out->weights[out->n_weights])) {
        text_addf(error, " '%.*s' is no weight above 0", (int)weight.n, weight.p);
        return false;
    }
    out->n_weights++;
    out->clients[out->n_clients++] = arena_strndup(arena, client.p, client.n);
    return true;
}

bool simulate_read_clients(struct arena *arena, struct str text, Gslb__SimulateRequest *out,
                           struct text *error)
{
    out->clients = arena_alloc(arena, CLIENTS_MAX * sizeof(out->clients[0]));
    out->weights = arena_alloc(arena, CLIENTS_MAX * sizeof(out->weights[0]));
    for (unsigned number = 1; text.n > 0; number++) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end != NULL ? (size_t)(end - text.p) : text.n;
        struct text wrong = {0};

        if (!read_line(arena, (struct str){text.p, n}, out, &wrong)) {
            text_addf(error, "%u:%s", number, wrong.p);
            text_free(&wrong);
            return false;
        }
        n += end != NULL;
        text.p += n;
        text.n -= n;
    }
    return true;
}

static void show_share(struct table *t, size_t at, double share, double km)
{
    table_cell(t, at, TABLE_PLAIN, "%.1f %%", 100 * share);
    if (km >= 0)
        table_cell(t, at + 1, TABLE_PLAIN, "%.0f km", km);
    else
        table_cell(t, at + 1, TABLE_DIM, "-");
}

static void show_row(struct table *t, const Gslb__SimulateReply *s, const Gslb__SimulateShare *x)
{
    table_row(t);
    table_cell(t, 1, TABLE_BOLD, "%s", x->region[0] ? x->region : "(none)");
    show_share(t, 2, x->share, x->km);
    if (s->has_then)
        show_share(t, 4, x->then_share, x->then_km);
}

enum gslbctl_exit simulate_show(const Gslb__SimulateReply *s, const struct view *view,
                                struct text *out)
{
    static const char *const names[] = {"", "REGION", "NOW", "DISTANCE", "THEN", "DISTANCE"};
    Gslb__SimulateShare all = GSLB__SIMULATE_SHARE__INIT;
    struct table t;

    table_paint(view, TABLE_BOLD, s->name, out);
    text_addf(out, ": %llu clients, %llu without a place", (unsigned long long)s->n_clients,
              (unsigned long long)s->n_unlocated);
    if (s->has_then)
        text_addf(out, "; %.1f %% would move", 100 * s->moved);
    text_adds(out, "\n\n");
    table_start(&t, s->has_then ? "llrrrr" : "llrr");
    table_row(&t);
    for (size_t i = 1; i < (s->has_then ? COUNT_OF(names) : 4); i++)
        table_cell(&t, i, TABLE_DIM, "%s", names[i]);
    for (size_t i = 0; i < s->n_shares; i++)
        show_row(&t, s, s->shares[i]);
    all.region = (char *)"all";
    all.share = all.then_share = 1;
    all.km = s->km;
    all.then_km = s->then_km;
    show_row(&t, s, &all);
    table_end(&t, view, out);
    return GSLBCTL_FINE;
}
