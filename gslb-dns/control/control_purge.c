/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_purge: purges of what edges have stored, in the order in which operators made them, kept
 * in a journal. An edge that is linked gets each at once; one that was away says with its Hello how
 * far it has come and gets the rest before anything else. An operator is answered when all linked
 * edges have said that the purge has taken effect, or have had their time.
 */
#include "common/clock/clock.h"
#include "common/log/log.h"
#include "gslb-dns/control/control_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    JOURNAL_LINES = 4096, /* at least so many are there for edges that were away */
    PURGE_BYTES_MAX = 2048,
    PURGES_PER_COMMAND = 128, /* of that size they are a quarter of a frame */
    CONFIRM_MS = 5000,
};

enum edge_answer { EDGE_AWAY, EDGE_AWAITED, EDGE_DONE, EDGE_REFUSED };

/* An operator who waits for the edges' word. */
struct control_purge_wait {
    struct control_purge_wait *next;
    struct control *control;
    uint64_t ticket, command;
    int64_t started_ms;
    struct {
        enum edge_answer answer;
        int64_t after_ms;
        char words[CONTROL_TEXT];
    } * edges;
    size_t n_edges, n_awaited;
    struct event *deadline;
};

/* ---- Lines of the journal: "KIND hard|soft WHAT", KIND as on the wire ---- */

static char *make_line(const Gslb__Purge *p)
{
    return base_printf("%d %s %s", (int)p->kind, p->is_soft ? "soft" : "hard", p->what);
}

/* A line that is not understood, of another version, is no purge that an edge could know. */
static Gslb__Purge *parse_line(struct arena *a, const char *line)
{
    Gslb__Purge *p = arena_alloc(a, sizeof(*p));
    int kind = 0, at = 0;
    char how[8] = "";

    gslb__purge__init(p);
    if (sscanf(line, "%d %7s%n", &kind, how, &at) != 2 || line[at] != ' ')
        return p;
    p->kind = (Gslb__PurgeKind)kind;
    p->is_soft = how[0] == 's';
    p->what = arena_strndup(a, line + at + 1, strlen(line + at + 1));
    return p;
}

static const char *judge(const Gslb__Purge *p)
{
    size_t n = strlen(p->what);

    if (p->kind < GSLB__PURGE_KIND__PURGE_EVERYTHING || p->kind > GSLB__PURGE_KIND__PURGE_TAG)
        return "this gslb-dns does not know that kind of purge";
    if (n > PURGE_BYTES_MAX)
        return "it is too long";
    if ((p->kind == GSLB__PURGE_KIND__PURGE_EVERYTHING) != (n == 0))
        return n == 0 ? "it is empty" : "a purge of everything names nothing";
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)p->what[i] <= ' ' || p->what[i] == 0x7f)
            return "it has a space or a control character";
    return NULL;
}

/* ---- To the edges ---- */

static void send_purges(struct control_peer *peer, uint64_t id, Gslb__Purges *purges)
{
    Gslb__Command command = GSLB__COMMAND__INIT;
    Gslb__Frame frame = GSLB__FRAME__INIT;

    command.id = id;
    command.action_case = GSLB__COMMAND__ACTION_PURGES;
    command.purges = purges;
    frame.body_case = GSLB__FRAME__BODY_COMMAND;
    frame.command = &command;
    frame_link_send(peer->link, &frame);
}

/* Some of what comes after; returns the number of the last. */
static uint64_t send_some(struct control *c, struct control_peer *peer, uint64_t after,
                          bool is_reset)
{
    Gslb__Purges purges = GSLB__PURGES__INIT;
    Gslb__Purge *list[PURGES_PER_COMMAND];
    struct arena a;

    arena_init(&a, 0);
    purges.journal = ledger_id(c->journal);
    purges.after = after;
    purges.is_reset = is_reset;
    purges.purges = list;
    while (purges.n_purges < PURGES_PER_COMMAND && after < ledger_last(c->journal))
        list[purges.n_purges++] = parse_line(&a, ledger_line(c->journal, ++after));
    send_purges(peer, ++c->next_command, &purges);
    arena_free(&a);
    return after;
}

/* Whether what the edge has missed is still known. A journal that is in no file begins anew with
 * each start, and then nobody knows: what was purged meanwhile has to be purged again. */
static bool reaches_back(const struct control *c, const Gslb__Hello *hello, uint64_t after)
{
    bool is_other = hello->purge_journal != 0 && hello->purge_journal != ledger_id(c->journal);

    if (is_other && ledger_is_in_file(c->journal))
        return false;
    return after + 1 >= ledger_first(c->journal) && after <= ledger_last(c->journal);
}

void control_purges_catch_up(struct control *c, struct control_peer *peer, const Gslb__Hello *hello)
{
    bool is_same = hello->purge_journal == ledger_id(c->journal), is_reset;
    uint64_t after = is_same ? hello->purge_sequence : 0;

    is_reset = !reaches_back(c, hello, after);
    if (is_reset) {
        log_warn("control",
                 "the journal of purges does not reach back to what this edge has: it purges "
                 "everything edge=%s",
                 peer->id.name);
        after = ledger_last(c->journal);
    }
    do {
        after = send_some(c, peer, after, is_reset);
        is_reset = false;
    } while (after < ledger_last(c->journal));
    c->edges[peer->edge].has_purges = true;
}

/* ---- Waiting ---- */

static void add_words(const struct control_purge_wait *w, size_t i, struct text *out)
{
    text_addf(out, "\n  %s: ", w->control->config->edges[i].name);
    switch (w->edges[i].answer) {
    case EDGE_AWAY:
        text_adds(out, "not connected; it is told when it comes back, before all else");
        break;
    case EDGE_AWAITED:
        text_adds(out, "has not answered yet");
        break;
    case EDGE_DONE:
        text_addf(out, "purged after %lld ms", (long long)w->edges[i].after_ms);
        break;
    case EDGE_REFUSED:
        text_addf(out, "%s", w->edges[i].words);
        break;
    }
}

static void end_wait(struct control_purge_wait *w)
{
    struct control_purge_wait **at = &w->control->purge_waits;
    struct text said = {0};
    size_t n_done = 0;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    for (size_t i = 0; i < w->n_edges; i++)
        n_done += w->edges[i].answer == EDGE_DONE;
    text_addf(&said, "purged at %zu of %zu edge%s", n_done, w->n_edges, w->n_edges == 1 ? "" : "s");
    for (size_t i = 0; i < w->n_edges; i++)
        add_words(w, i, &said);
    control_finish_reload(w->control, w->ticket, n_done == w->n_edges, said.p);
    event_free(w->deadline);
    text_free(&said);
    free(w->edges);
    free(w);
}

void control_purges_end_waits(struct control *c)
{
    while (c->purge_waits != NULL)
        end_wait(c->purge_waits);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    end_wait(arg);
}

static void take_answer(struct control_purge_wait *w, size_t i, enum edge_answer answer)
{
    w->edges[i].answer = answer;
    w->edges[i].after_ms = clock_mono_ms() - w->started_ms;
    if (--w->n_awaited == 0)
        end_wait(w);
}

void control_purges_result(struct control *c, size_t edge, const Gslb__Result *result)
{
    for (struct control_purge_wait *w = c->purge_waits, *next; w != NULL; w = next) {
        next = w->next;
        if (w->command != result->id || w->edges[edge].answer != EDGE_AWAITED)
            continue;
        text_clean(w->edges[edge].words, sizeof(w->edges[edge].words), result->error);
        take_answer(w, edge, result->error[0] == '\0' ? EDGE_DONE : EDGE_REFUSED);
    }
}

void control_purges_lost(struct control *c, size_t edge)
{
    c->edges[edge].has_purges = false;
    for (struct control_purge_wait *w = c->purge_waits, *next; w != NULL; w = next) {
        next = w->next;
        if (w->edges[edge].answer == EDGE_AWAITED)
            take_answer(w, edge, EDGE_AWAY);
    }
}

/* ---- From operators ---- */

static struct control_purge_wait *begin_wait(struct control *c, struct control_peer *peer)
{
    static const struct timeval after = {.tv_sec = CONFIRM_MS / 1000};
    struct control_purge_wait *w = base_zalloc(1, sizeof(*w));

    peer->ticket = ++c->next_ticket;
    w->next = c->purge_waits;
    w->control = c;
    w->ticket = peer->ticket;
    w->command = ++c->next_command;
    w->started_ms = clock_mono_ms();
    w->n_edges = c->config->n_edges;
    w->edges = base_zalloc(w->n_edges, sizeof(w->edges[0]));
    w->deadline = evtimer_new(c->base, on_deadline, w);
    ensure(w->deadline != NULL);
    event_add(w->deadline, &after);
    c->purge_waits = w;
    return w;
}

static bool keep(struct control *c, const Gslb__PurgeRequest *request)
{
    char **lines = base_zalloc(request->n_purges, sizeof(lines[0]));
    struct outcome outcome;

    for (size_t i = 0; i < request->n_purges; i++)
        lines[i] = make_line(request->purges[i]);
    outcome = ledger_append(c->journal, (const char *const *)lines, request->n_purges);
    for (size_t i = 0; i < request->n_purges; i++)
        free(lines[i]);
    free(lines);
    return !has_failed(outcome);
}

static bool is_right(struct control_peer *peer, const Gslb__PurgeRequest *request)
{
    const char *why = request->n_purges == 0                   ? "there is nothing to purge"
                      : request->n_purges > PURGES_PER_COMMAND ? "these are too many at once"
                                                               : NULL;
    char words[CONTROL_TEXT] = "";
    struct text error = {0};

    for (size_t i = 0; why == NULL && i < request->n_purges; i++) {
        text_clean(words, sizeof(words), request->purges[i]->what);
        why = judge(request->purges[i]);
    }
    if (why == NULL)
        return true;
    text_addf(&error, "cannot purge '%s': %s", words, why);
    frame_link_reply_text(peer->link, NULL, error.p);
    text_free(&error);
    return false;
}

void control_purge_request(struct control *c, struct control_peer *peer,
                           const Gslb__PurgeRequest *request)
{
    Gslb__Purges purges = GSLB__PURGES__INIT;
    struct control_purge_wait *w;

    if (!is_right(peer, request))
        return;
    if (!keep(c, request)) {
        log_error("control", "cannot write the journal of purges reason=\"%s\"", strerror(errno));
        frame_link_reply_text(peer->link, NULL,
                              "nothing is purged: the journal cannot be written (see the log)");
        return;
    }
    purges.journal = ledger_id(c->journal);
    purges.purges = request->purges;
    purges.n_purges = request->n_purges;
    purges.after = ledger_last(c->journal) - request->n_purges;
    log_info("control", "operator purges items=%zu sequence=%llu", request->n_purges,
             (unsigned long long)ledger_last(c->journal));
    w = begin_wait(c, peer);
    for (size_t i = 0; i < w->n_edges; i++) {
        if (c->edges[i].peer == NULL || !c->edges[i].has_purges)
            continue;
        w->edges[i].answer = EDGE_AWAITED;
        w->n_awaited++;
    }
    /* A link that breaks in the middle of it ends the wait of its edge, not the loop. */
    w->n_awaited++;
    for (size_t i = 0; i < c->config->n_edges; i++)
        if (c->edges[i].peer != NULL && c->edges[i].has_purges)
            send_purges(c->edges[i].peer, w->command, &purges);
    if (--w->n_awaited == 0)
        end_wait(w);
}

/* ---- The journal's file ---- */

void control_purges_open(struct control *c)
{
    const char *state = c->config->state_path;
    char *path = state != NULL ? base_printf("%s.purges", state) : NULL;

    if (c->journal != NULL && (path == NULL || ledger_is_in_file(c->journal))) {
        free(path);
        return; /* its file changes with the next start */
    }
    if (c->journal != NULL)
        ledger_close(c->journal);
    c->journal = ledger_open(path, JOURNAL_LINES, "control");
    free(path);
}
