/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The purges that took effect here, kept for a restart beside responses that outlast one, and how
 * far each node's journal has come. A line is "STAMP NODE JOURNAL SEQUENCE KIND hard|soft WHAT",
 * NODE "-" for a purge that was asked for here. Where the lines no longer reach back, what is as
 * old as those that are missing is purged.
 */
#include "edge-proxy/purge/purge.h"

#include "common/ledger/ledger.h"
#include "common/log/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = PURGE_BUFFER_BYTES + PURGE_NODE_BYTES + 128 };

struct position {
    char node[PURGE_NODE_BYTES];
    uint64_t journal, sequence;
};

struct purge_log {
    struct purge_marks *marks;
    struct ledger *ledger; /* NULL: nothing outlasts this process */
    struct position *positions;
    size_t n_positions, cap_positions;
};

static const char *const KIND_NAMES[] = {
#define X(name, text) [name] = text,
    PURGE_KINDS(X)
#undef X
};

static struct position *find_position(const struct purge_log *l, const char *node)
{
    for (size_t i = 0; i < l->n_positions; i++)
        if (strcmp(l->positions[i].node, node) == 0)
            return &l->positions[i];
    return NULL;
}

static void set_position(struct purge_log *l, const struct purge_source *from)
{
    struct position *p = find_position(l, from->node);

    if (p == NULL) {
        BASE_GROW(l->positions, l->n_positions, l->cap_positions);
        p = &l->positions[l->n_positions++];
        snprintf(p->node, sizeof(p->node), "%s", from->node);
    }
    p->journal = from->journal;
    p->sequence = from->sequence;
}

void purge_log_position(const struct purge_log *l, struct purge_source *out)
{
    const struct position *p = find_position(l, out->node);

    out->journal = p != NULL ? p->journal : 0;
    out->sequence = p != NULL ? p->sequence : 0;
}

/* ---- At the start ---- */

static bool read_line(const char *line, uint64_t *stamp, char node[PURGE_NODE_BYTES],
                      struct purge_source *from, struct purge *out)
{
    char kind[8], how[8];
    int at = 0;

    if (sscanf(line, "%" SCNu64 " %63s %" SCNx64 " %" SCNu64 " %7s %7s%n", stamp, node,
               &from->journal, &from->sequence, kind, how, &at) != 6 ||
        line[at] != ' ')
        return false;
    for (size_t i = 0; i < COUNT_OF(KIND_NAMES); i++) {
        if (strcmp(kind, KIND_NAMES[i]) != 0)
            continue;
        *out = (struct purge){
            .kind = (enum purge_kind)i, .what = str_of(line + at + 1), .is_soft = how[0] == 's'};
        return out->what.n < PURGE_BUFFER_BYTES;
    }
    return false;
}

_Static_assert(PURGE_NODE_BYTES == 64, "read_line");

static void replay(struct purge_log *l)
{
    static const struct purge everything = {.kind = PURGE_ALL};
    uint64_t first = ledger_first(l->ledger);
    struct purge purge;
    uint64_t stamp;

    for (uint64_t i = first; i <= ledger_last(l->ledger); i++) {
        char node[PURGE_NODE_BYTES];
        struct purge_source from = {.node = node};

        if (!read_line(ledger_line(l->ledger, i), &stamp, node, &from, &purge)) {
            log_warn("purge", "a purge that was kept is not understood: everything is purged");
            purge_apply(l->marks, &everything, 1, 0);
            continue;
        }
        if (i == first && first > 1)
            purge_apply_at(l->marks, &everything, 1, stamp - 1);
        purge_apply_at(l->marks, &purge, 1, stamp);
        if (strcmp(node, "-") != 0)
            set_position(l, &from);
    }
}

struct purge_log *purge_log_open(struct purge_marks *marks, const char *path)
{
    struct purge_log *l = base_zalloc(1, sizeof(*l));

    l->marks = marks;
    if (path == NULL)
        return l;
    l->ledger = ledger_open(path, PURGE_LOG_LINES, "purge");
    replay(l);
    return l;
}

void purge_log_close(struct purge_log *l)
{
    if (l == NULL)
        return;
    if (l->ledger != NULL)
        ledger_close(l->ledger);
    free(l->positions);
    free(l);
}

/* ---- Afterwards ---- */

static void write_line(char out[LINE_MAX_BYTES], uint64_t stamp, const struct purge_source *from,
                       const struct purge *p)
{
    snprintf(out, LINE_MAX_BYTES, "%" PRIu64 " %s %" PRIx64 " %" PRIu64 " %s %s %.*s", stamp,
             from != NULL ? from->node : "-", from != NULL ? from->journal : 0,
             from != NULL ? from->sequence : 0, KIND_NAMES[p->kind], p->is_soft ? "soft" : "hard",
             (int)p->what.n, p->what.p);
}

static void keep(struct purge_log *l, uint64_t stamp, const struct purge_source *from,
                 const struct purge *list, size_t n)
{
    char(*text)[LINE_MAX_BYTES] = base_alloc((n + 1) * sizeof(*text));
    const char **lines = base_alloc((n + 1) * sizeof(lines[0]));

    for (size_t i = 0; i < n; i++) {
        write_line(text[i], stamp, from, &list[i]);
        lines[i] = text[i];
    }
    if (has_failed(ledger_append(l->ledger, lines, n)))
        log_error("purge", "a purge cannot be kept for the next start reason=\"%s\"",
                  strerror(errno));
    free(text);
    free(lines);
}

void purge_log_apply(struct purge_log *l, const struct purge *list, size_t n, int64_t now_ms,
                     const struct purge_source *from)
{
    purge_apply(l->marks, list, n, now_ms);
    if (from != NULL)
        set_position(l, from);
    if (l->ledger != NULL && n > 0)
        keep(l, purge_now(l->marks), from, list, n);
}
