/* SPDX-License-Identifier: BSD-2-Clause */
/* control_publish: what answers depend on changes here and is published elsewhere, a moment later.
 * Who asked for a change, an operator or another node, is answered when the answers have it. */
#include "gslb-dns/control/control_internal.h"

#include <stdlib.h>

/* An answer that is due when the world has the change of this number. */
struct control_due {
    struct control_due *next;
    uint64_t change;
    uint64_t ticket; /* of an operator */
    char *text;
    struct frame_link *link; /* of a node; NULL: it is an operator's */
    uint64_t sequence;
    const char *error;
};

void control_tell_change(struct control *c)
{
    c->n_changes++;
    c->hooks.on_health_change(c->hooks.arg);
}

uint64_t control_changes(const struct control *c)
{
    return c->n_changes;
}

static void answer(struct control *c, const struct control_due *d)
{
    if (d->link != NULL)
        control_send_ack(d->link, d->sequence, d->error);
    else
        control_finish_reload(c, d->ticket, true, d->text);
}

static void free_due(struct control_due *d)
{
    free(d->text);
    free(d);
}

static void answer_due(struct control *c)
{
    struct control_due *d;

    while ((d = c->due) != NULL && d->change <= c->n_published) {
        c->due = d->next;
        answer(c, d);
        free_due(d);
    }
}

void control_published(struct control *c, uint64_t changes)
{
    c->n_published = changes;
    answer_due(c);
    control_acme_published(c);
}

/* In order; most often it is the only one. */
static void add(struct control *c, const struct control_due *due)
{
    struct control_due *d = base_alloc(sizeof(*d)), **at = &c->due;

    *d = *due;
    d->change = c->n_changes;
    while (*at != NULL)
        at = &(*at)->next;
    *at = d;
    answer_due(c);
}

void control_ack_published(struct control *c, struct frame_link *link, uint64_t sequence,
                           const char *error)
{
    add(c, &(struct control_due){.link = link, .sequence = sequence, .error = error});
}

void control_reply_published(struct control *c, struct control_peer *peer, const char *text)
{
    peer->ticket = ++c->next_ticket;
    add(c, &(struct control_due){.ticket = peer->ticket, .text = base_strdup(text)});
}

void control_forget_link(struct control *c, const struct frame_link *link)
{
    struct control_due **at = &c->due, *d;

    while ((d = *at) != NULL) {
        if (d->link != link) {
            at = &d->next;
            continue;
        }
        *at = d->next;
        free_due(d);
    }
}

void control_free_due(struct control *c)
{
    struct control_due *d;

    while ((d = c->due) != NULL) {
        c->due = d->next;
        free_due(d);
    }
}
