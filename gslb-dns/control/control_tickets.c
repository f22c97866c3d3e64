/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_tickets: the keys by which edges make session tickets, so that a visitor of one edge can
 * resume at another (after a failover, or when DNS sends it elsewhere). They are derived from a
 * secret and the epoch, wall clock / period: nodes with the same secret make the same keys, without
 * a word between them; a node that has none makes one up, and edges then choose the same key out of
 * what several nodes send. Keys go out one period before they are used, so that neither a node's
 * restart nor a link that is down for a while is noticed.
 */
#include "common/clock/clock.h"
#include "common/log/log.h"
#include "gslb-dns/control/control_internal.h"

#include <openssl/rand.h>
#include <string.h>

enum {
    EPOCHS = 3, /* the one before, that of now, the next */
    KEYS_MAX = EPOCHS * CONFIG_TICKET_SECRETS_MAX,
    LOOK_MS = 3600000,
};

static void init_key(Gslb__TicketKey *out, struct tls_ticket_key *key)
{
    gslb__ticket_key__init(out);
    out->name = (ProtobufCBinaryData){sizeof(key->name), key->name};
    out->cipher = (ProtobufCBinaryData){sizeof(key->cipher), key->cipher};
    out->mac = (ProtobufCBinaryData){sizeof(key->mac), key->mac};
    out->begins_in_ms = key->begins_ms;
    out->period_ms = (uint64_t)key->period_ms;
    out->is_taken_only = key->is_taken_only;
}

/* Tickets are made by keys of the first secret; of the others they are only taken. */
static size_t derive_keys(const struct control *c, struct tls_ticket_key *out)
{
    const struct config_ticket_secrets *secrets = c->config->control.ticket_secrets;
    int64_t period_ms = (int64_t)c->config->control.ticket_period_s * 1000;
    int64_t now_ms = clock_wall_ms(), epoch = now_ms / period_ms;
    size_t n = 0;

    if (secrets == NULL)
        secrets = c->ticket_secrets;
    for (size_t i = 0; i < secrets->n; i++)
        for (int64_t e = epoch - 1; e < epoch - 1 + EPOCHS; e++) {
            tls_ticket_derive(secrets->secrets[i], period_ms / 1000, e, &out[n]);
            out[n].is_taken_only = i > 0;
            out[n].period_ms = period_ms;
            out[n++].begins_ms = e * period_ms - now_ms;
        }
    return n;
}

static void send_command(struct control *c, struct frame_link *link, Gslb__TicketKeys *keys)
{
    Gslb__Command command = GSLB__COMMAND__INIT;
    Gslb__Frame frame = GSLB__FRAME__INIT;

    command.id = ++c->next_command;
    command.action_case = GSLB__COMMAND__ACTION_TICKET_KEYS;
    command.ticket_keys = keys;
    frame.body_case = GSLB__FRAME__BODY_COMMAND;
    frame.command = &command;
    frame_link_send(link, &frame);
}

/* To one edge, or to all that are linked (link NULL). */
static void send_keys(struct control *c, struct frame_link *link)
{
    struct tls_ticket_key keys[KEYS_MAX];
    Gslb__TicketKey wire[KEYS_MAX], *list[KEYS_MAX];
    Gslb__TicketKeys message = GSLB__TICKET_KEYS__INIT;

    message.n_keys = derive_keys(c, keys);
    message.keys = list;
    for (size_t i = 0; i < message.n_keys; i++) {
        init_key(&wire[i], &keys[i]);
        list[i] = &wire[i];
    }
    if (link != NULL)
        send_command(c, link, &message);
    for (size_t i = 0; link == NULL && i < c->config->n_edges; i++)
        if (c->edges[i].peer != NULL)
            send_command(c, c->edges[i].peer->link, &message);
    OPENSSL_cleanse(keys, sizeof(keys));
}

/* When the next epoch begins, and the key after it is due. */
static void set_timer(struct control *c)
{
    int64_t period_ms = (int64_t)c->config->control.ticket_period_s * 1000;
    int64_t left_ms = period_ms - clock_wall_ms() % period_ms + 1;
    struct timeval after;

    /* The wall clock may be set meanwhile: an hour late is early enough. */
    if (left_ms > LOOK_MS)
        left_ms = LOOK_MS;
    after = (struct timeval){.tv_sec = left_ms / 1000, .tv_usec = left_ms % 1000 * 1000};
    event_add(c->ticket_timer, &after);
}

void control_tickets_tick(struct control *c)
{
    send_keys(c, NULL);
    set_timer(c);
}

void control_tickets_tell(struct control *c, struct control_peer *peer)
{
    if (c->config->control.ticket_period_s != 0)
        send_keys(c, peer->link);
}

static void log_keys(const struct control *c)
{
    struct tls_ticket_key keys[KEYS_MAX];
    char now[TLS_TICKET_ID], next[TLS_TICKET_ID];

    (void)derive_keys(c, keys);
    tls_ticket_id(&keys[1], now);
    tls_ticket_id(&keys[2], next);
    OPENSSL_cleanse(keys, sizeof(keys));
    log_info("control", "keys for the edges' session tickets now=%s next=%s secret=%s", now, next,
             c->config->control.ticket_secrets != NULL ? "file" : "random");
}

void control_tickets_commit(struct control *c)
{
    if (c->ticket_secrets == NULL) {
        c->ticket_secrets = tls_secret_alloc(sizeof(*c->ticket_secrets));
        ensure(RAND_bytes(c->ticket_secrets->secrets[0], TLS_TICKET_SECRET_BYTES) == 1);
        c->ticket_secrets->n = 1;
    }
    event_del(c->ticket_timer);
    if (c->config->control.ticket_period_s == 0 || c->config->control.n_listen == 0)
        return;
    log_keys(c);
    control_tickets_tick(c);
}
