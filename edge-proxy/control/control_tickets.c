/* SPDX-License-Identifier: BSD-2-Clause */
/* control_tickets: keys for session tickets on their way from a node to TLS. */
#include "common/clock/clock.h"
#include "common/log/log.h"
#include "edge-proxy/control/control_internal.h"

#include <string.h>

enum { PERIOD_MAX_MS = 7 * 86400 * 1000 }; /* RFC 8446 section 4.6.1: no ticket lives longer */

static bool take_bytes(uint8_t *to, size_t n, const ProtobufCBinaryData *from)
{
    if (from->len != n)
        return false;
    memcpy(to, from->data, n);
    return true;
}

static bool take_key(struct tls_ticket_key *out, const Gslb__TicketKey *from, int64_t now_ms)
{
    if (from->period_ms == 0 || from->period_ms > PERIOD_MAX_MS ||
        from->begins_in_ms > PERIOD_MAX_MS || from->begins_in_ms < -2 * (int64_t)PERIOD_MAX_MS)
        return false;
    out->period_ms = (int64_t)from->period_ms;
    out->is_taken_only = from->is_taken_only;
    out->begins_ms = now_ms + from->begins_in_ms;
    return take_bytes(out->name, sizeof(out->name), &from->name) &&
           take_bytes(out->cipher, sizeof(out->cipher), &from->cipher) &&
           take_bytes(out->mac, sizeof(out->mac), &from->mac);
}

static const char *share(const struct control_node *n, const Gslb__TicketKeys *from,
                         struct tls_ticket_key *keys)
{
    int64_t now_ms = clock_mono_ms();

    for (size_t i = 0; i < from->n_keys; i++)
        if (!take_key(&keys[i], from->keys[i], now_ms))
            return "a ticket key is not what one looks like";
    if (tls_tickets_share(keys, from->n_keys))
        log_info("control", "new keys for session tickets node=%s name=%s keys=%zu", n->name,
                 n->peer_name, from->n_keys);
    return NULL;
}

const char *control_take_tickets(const struct control_node *n, const Gslb__TicketKeys *from)
{
    struct tls_ticket_key keys[TLS_TICKET_KEYS_MAX];
    const char *error;

    error = from->n_keys > COUNT_OF(keys) ? "too many ticket keys" : share(n, from, keys);
    OPENSSL_cleanse(keys, sizeof(keys));
    for (size_t i = 0; i < from->n_keys; i++) {
        OPENSSL_cleanse(from->keys[i]->cipher.data, from->keys[i]->cipher.len);
        OPENSSL_cleanse(from->keys[i]->mac.data, from->keys[i]->mac.len);
    }
    return error;
}

Gslb__TicketKeyStatus **control_list_tickets(struct arena *arena, size_t *n)
{
    struct tls_ticket_state states[TLS_TICKET_STATES_MAX];
    Gslb__TicketKeyStatus **list;

    *n = tls_tickets_list(states);
    list = arena_alloc(arena, (*n + 1) * sizeof(*list));
    for (size_t i = 0; i < *n; i++) {
        list[i] = arena_alloc(arena, sizeof(*list[i]));
        gslb__ticket_key_status__init(list[i]);
        list[i]->id = arena_strndup(arena, states[i].id, strlen(states[i].id));
        list[i]->is_shared = states[i].is_shared;
        list[i]->is_making = states[i].is_making;
        list[i]->begins_in_ms = states[i].begins_in_ms;
        list[i]->ends_in_ms = states[i].ends_in_ms;
    }
    return list;
}
