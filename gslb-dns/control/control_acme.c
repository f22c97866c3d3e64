/* SPDX-License-Identifier: BSD-2-Clause */
/* control_acme: challenges that operators add, told to the other nodes. An operator is answered
 * when all of them have confirmed, or have had their time. */
#include "common/clock/clock.h"
#include "common/log/log.h"
#include "gslb-dns/control/control_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIRM_MS = 3000, LIFETIME_S = 600 };

/* An operator who waits for the nodes' word. */
struct control_wait {
    struct control_wait *next;
    struct control *control;
    uint64_t ticket, sequence, change;
    struct text done;    /* what this node has done */
    struct text trouble; /* with nodes that have answered otherwise, or were not there to ask */
    bool *is_awaited;    /* by node */
    size_t n_awaited, n_nodes;
    struct event *deadline;
};

const struct acme_store *control_acme(const struct control *c)
{
    return c->acme;
}

void control_acme_set_timer(struct control *c)
{
    int64_t left = acme_store_next_ms(c->acme);
    struct timeval after;

    if (left == INT64_MAX)
        return;
    left -= clock_mono_ms();
    left = left < 1 ? 1 : left;
    after = (struct timeval){.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
    event_add(c->acme_timer, &after);
}

static void settle(struct control *c, bool is_changed)
{
    control_acme_set_timer(c);
    if (!is_changed)
        return;
    (void)control_save_state(c); /* it has said so if it could not */
    control_tell_change(c);
}

/* ---- Waiting ---- */

static void end_wait(struct control_wait *w)
{
    struct control_wait **at = &w->control->waits;
    bool is_fine;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    for (size_t i = 0; i < w->n_nodes; i++)
        if (w->is_awaited[i])
            text_addf(&w->trouble, "%s%s has not confirmed", w->trouble.n > 0 ? "; " : "",
                      w->control->nodes[i]->name);
    if (w->change > w->control->n_published)
        text_addf(&w->trouble, "%sthis node is still signing", w->trouble.n > 0 ? "; " : "");
    is_fine = w->trouble.n == 0;
    if (is_fine)
        text_addf(&w->done, " at %zu node%s", w->n_nodes + 1, w->n_nodes == 0 ? "" : "s");
    else
        text_addf(&w->done, " at this node, but not everywhere: %s", w->trouble.p);
    control_finish_reload(w->control, w->ticket, is_fine, w->done.p);
    event_free(w->deadline);
    text_free(&w->done);
    text_free(&w->trouble);
    free(w->is_awaited);
    free(w);
}

void control_acme_end_waits(struct control *c)
{
    while (c->waits != NULL)
        end_wait(c->waits);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    end_wait(arg);
}

/* Do all have it in their answers? */
static bool is_everywhere(const struct control_wait *w)
{
    return w->n_awaited == 0 && w->change <= w->control->n_published;
}

void control_acme_published(struct control *c)
{
    struct control_wait *w = c->waits;

    while (w != NULL) {
        struct control_wait *next = w->next;

        if (is_everywhere(w))
            end_wait(w);
        w = next;
    }
}

void control_acme_acked(struct control *c, const struct control_node *node, uint64_t sequence,
                        const char *error)
{
    struct control_wait *w = c->waits;
    char words[CONTROL_TEXT];

    while (w != NULL && w->sequence != sequence)
        w = w->next;
    for (size_t i = 0; w != NULL && i < w->n_nodes; i++) {
        if (c->nodes[i] != node || !w->is_awaited[i])
            continue;
        w->is_awaited[i] = false;
        if (error[0] != '\0') {
            text_clean(words, sizeof(words), error);
            text_addf(&w->trouble, "%s%s says: %s", w->trouble.n > 0 ? "; " : "", node->name,
                      words);
        }
        w->n_awaited--;
        if (is_everywhere(w)) {
            end_wait(w);
            return;
        }
    }
}

/* Tells the nodes, and answers the operator when they have answered. Takes over done. */
static void tell_and_wait(struct control *c, struct control_peer *peer, Gslb__Update *update,
                          struct text *done)
{
    static const struct timeval after = {.tv_sec = CONFIRM_MS / 1000};
    struct control_wait *w = base_zalloc(1, sizeof(*w));

    peer->ticket = ++c->next_ticket;
    *w = (struct control_wait){.next = c->waits,
                               .control = c,
                               .ticket = peer->ticket,
                               .change = c->n_changes,
                               .done = *done,
                               .n_nodes = c->n_nodes,
                               .is_awaited = base_zalloc(c->n_nodes, sizeof(bool))};
    c->waits = w;
    w->deadline = evtimer_new(c->base, on_deadline, w);
    ensure(w->deadline != NULL);
    for (size_t i = 0; i < c->n_nodes; i++) {
        w->is_awaited[i] = control_node_is_linked(c->nodes[i]);
        w->n_awaited += w->is_awaited[i];
        if (!w->is_awaited[i])
            text_addf(&w->trouble, "%s%s is not connected (it is told when it comes back)",
                      w->trouble.n > 0 ? "; " : "", c->nodes[i]->name);
    }
    w->sequence = control_tell_nodes(c, update);
    if (is_everywhere(w))
        end_wait(w);
    else
        event_add(w->deadline, &after);
}

/* ---- Records on the wire ---- */

static Gslb__AcmeRecord *on_wire(struct arena *a, const struct acme_record *r, int64_t now_ms)
{
    Gslb__AcmeRecord *w = arena_alloc(a, sizeof(*w));
    char name[WIRE_NAME_TEXT];

    gslb__acme_record__init(w);
    wire_name_format(r->name.bytes, name);
    w->name = arena_strndup(a, name, strlen(name));
    w->value = frame_borrow(r->value);
    w->stamp = r->stamp;
    w->remaining_ms = r->expires_ms > now_ms ? (uint64_t)(r->expires_ms - now_ms) : 0;
    w->is_removed = r->is_removed;
    return w;
}

void control_acme_fill(const struct control *c, struct arena *a, Gslb__Update *out)
{
    size_t n;
    const struct acme_record *records = acme_store_records(c->acme, &n);
    int64_t now_ms = clock_mono_ms();

    out->acme = arena_alloc(a, (n + 1) * sizeof(*out->acme));
    for (size_t i = 0; i < n; i++)
        out->acme[i] = on_wire(a, &records[i], now_ms);
    out->n_acme = n;
}

/* What a CA asks for is base64url; no more is let in than a log line or a table can take. */
bool control_acme_is_value(const char *value)
{
    size_t n = strlen(value);

    for (size_t i = 0; i < n; i++)
        if (value[i] <= ' ' || value[i] > '~' || value[i] == '"' || value[i] == '\\')
            return false;
    return n > 0 && n <= ACME_VALUE_MAX;
}

const char *control_acme_take(struct control *c, Gslb__AcmeRecord *const *records, size_t n)
{
    int64_t now_ms = clock_mono_ms();
    const char *trouble = NULL;
    bool is_changed = false;

    for (size_t i = 0; i < n; i++) {
        const Gslb__AcmeRecord *from = records[i];
        struct acme_record r = {.stamp = from->stamp, .is_removed = from->is_removed};
        uint64_t most = 1000 * (uint64_t)ACME_LIFETIME_MAX_S;

        if (!wire_name_parse(str_of(from->name), &r.name) || !control_acme_is_value(from->value)) {
            trouble = "a record that is none";
            continue;
        }
        snprintf(r.value, sizeof(r.value), "%s", from->value);
        r.expires_ms = now_ms + (int64_t)(from->remaining_ms < most ? from->remaining_ms : most);
        switch (acme_store_put(c->acme, &r, now_ms)) {
        case ACME_CHANGED:
            is_changed = true;
            break;
        case ACME_FULL:
            trouble = "it has too many challenges";
            break;
        case ACME_KNOWN:
            break;
        }
    }
    settle(c, is_changed);
    return trouble;
}

/* ---- What operators ask ---- */

/* "_acme-challenge." before the name, unless it is there; "*." is the name without it (RFC 8555
 * section 8.4). */
static bool read_name(struct control *c, const char *text, struct wire_name *out,
                      struct text *error)
{
    static const char label[] = "_acme-challenge.";
    struct wire_name name;
    char *whole;
    bool is_name;

    if (strncmp(text, "*.", 2) == 0)
        text += 2;
    whole = strncasecmp(text, label, sizeof(label) - 1) == 0 ? base_strdup(text)
                                                             : base_printf("%s%s", label, text);
    is_name = text[0] != '\0' && wire_name_parse(str_of(whole), &name);
    if (!is_name)
        text_addf(error, "'%s' is no domain name", text);
    free(whole);
    return is_name && !has_failed(c->hooks.find_challenge(c->hooks.arg, &name, out, error));
}

static void on_list(struct control *c, struct control_peer *peer)
{
    size_t n;
    const struct acme_record *records = acme_store_records(c->acme, &n);
    int64_t now_ms = clock_mono_ms();
    char name[WIRE_NAME_TEXT];
    struct text t = {0};

    text_adds(&t, "");
    for (size_t i = 0; i < n; i++)
        if (acme_is_answered(&records[i], now_ms))
            text_addf(&t, "%s TXT %s  for %lld s\n", wire_name_format(records[i].name.bytes, name),
                      records[i].value, (long long)(records[i].expires_ms - now_ms) / 1000);
    frame_link_reply_text(peer->link, t.p, NULL);
    text_free(&t);
}

static bool add_challenge(struct control *c, const struct wire_name *name,
                          const Gslb__AcmeRequest *request, struct text *error)
{
    uint32_t lifetime_s = request->lifetime_s != 0 ? request->lifetime_s : LIFETIME_S;
    int64_t now_ms = clock_mono_ms();
    struct acme_record r = {.name = *name, .expires_ms = now_ms + 1000 * (int64_t)lifetime_s};

    if (!control_acme_is_value(request->value)) {
        text_addf(error, "the text must have 1 to %d printable characters without space, \" and \\",
                  ACME_VALUE_MAX);
        return false;
    }
    if (lifetime_s < ACME_LIFETIME_LEAST_S || lifetime_s > ACME_LIFETIME_MAX_S) {
        text_addf(error, "the lifetime must be %d s to %d s", ACME_LIFETIME_LEAST_S,
                  ACME_LIFETIME_MAX_S);
        return false;
    }
    snprintf(r.value, sizeof(r.value), "%s", request->value);
    r.stamp = acme_store_stamp(c->acme, name, r.value, clock_wall_s() * 1000);
    if (acme_store_put(c->acme, &r, now_ms) != ACME_FULL)
        return true;
    text_addf(error, "there are too many challenges: at most %d, and %d of one name",
              ACME_RECORDS_MAX, ACME_PER_NAME_MAX);
    return false;
}

static size_t remove_challenges(struct control *c, const struct wire_name *name, const char *value)
{
    size_t n, n_removed = 0;
    const struct acme_record *records = acme_store_records(c->acme, &n);
    int64_t now_ms = clock_mono_ms();

    for (size_t i = 0; i < n; i++) {
        struct acme_record r = records[i];

        if (r.is_removed || r.name.length != name->length ||
            memcmp(r.name.bytes, name->bytes, name->length) != 0 ||
            (value[0] != '\0' && strcmp(r.value, value) != 0))
            continue;
        r.is_removed = true;
        r.stamp = acme_store_stamp(c->acme, name, r.value, clock_wall_s() * 1000);
        n_removed += acme_store_put(c->acme, &r, now_ms) == ACME_CHANGED;
    }
    return n_removed;
}

static bool change(struct control *c, const Gslb__AcmeRequest *request, struct text *done,
                   struct text *error)
{
    struct wire_name name;
    char text[WIRE_NAME_TEXT];
    size_t n;

    if (!read_name(c, request->name, &name, error))
        return false;
    wire_name_format(name.bytes, text);
    if (request->action == GSLB__ACME_ACTION__ACME_ADD) {
        if (!add_challenge(c, &name, request, error))
            return false;
        text_addf(done, "%s TXT %s added", text, request->value);
        log_info("acme", "challenge added name=%s", text);
        return true;
    }
    n = remove_challenges(c, &name, request->value);
    text_addf(done, "%s: %zu record%s removed", text, n, n == 1 ? "" : "s");
    log_info("acme", "challenges removed name=%s records=%zu", text, n);
    return true;
}

void control_acme_request(struct control *c, struct control_peer *peer,
                          const Gslb__AcmeRequest *request)
{
    Gslb__Update update = GSLB__UPDATE__INIT;
    struct text done = {0}, error = {0};
    struct arena a;

    if (request->action == GSLB__ACME_ACTION__ACME_LIST) {
        on_list(c, peer);
        return;
    }
    if (!change(c, request, &done, &error)) {
        frame_link_reply_text(peer->link, NULL, error.p);
        text_free(&error);
        return;
    }
    settle(c, true);
    arena_init(&a, 0);
    control_acme_fill(c, &a, &update);
    tell_and_wait(c, peer, &update, &done);
    arena_free(&a);
}
