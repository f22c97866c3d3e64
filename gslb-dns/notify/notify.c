/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/notify/notify.h"

#include "common/bytes/bytes.h"
#include "common/clock/clock.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TRIES_MAX = 5,
    FIRST_WAIT_MS = 3000, /* doubled with each try */
    TICK_MS = 100,
    PER_TICK = 64, /* a server of very many zones does not flood when it starts */
    PACKET_MAX = 1232,
    OPCODE_NOTIFY = 4 << 3,
    FLAG_QR = 0x80,
    FLAG_AA = 0x04,
};

enum state { NOTIFY_TOLD, NOTIFY_DUE, NOTIFY_WAITING, NOTIFY_LEFT };

struct entry {
    struct notify_target target;
    enum state state;
    unsigned tries;
    int64_t next_ms; /* when it is due, or given up */
    uint16_t id;
    struct tsig_session tsig;
};

struct notify {
    struct event_base *base;
    struct event *timer, *readable[2];
    int fds[2]; /* IPv4, IPv6; -1: not open */
    struct entry *entries;
    size_t n;
    uint64_t n_sent, n_told, n_refused, n_left;
};

static void on_timer(evutil_socket_t fd, short what, void *arg);

struct notify *notify_new(struct event_base *base)
{
    struct notify *n = base_zalloc(1, sizeof(*n));

    n->base = base;
    n->fds[0] = n->fds[1] = -1;
    n->timer = event_new(base, -1, 0, on_timer, n);
    ensure(n->timer != NULL);
    return n;
}

static void wake(struct notify *n)
{
    ensure(event_add(n->timer, &(struct timeval){.tv_usec = TICK_MS * 1000}) == 0);
}

/* ---- what is to be told ---- */

static int by_target(const void *a, const void *b)
{
    const struct notify_target *x = &((const struct entry *)a)->target;
    const struct notify_target *y = &((const struct entry *)b)->target;
    int order = x->zone.length - y->zone.length;

    if (order == 0)
        order = memcmp(x->zone.bytes, y->zone.bytes, x->zone.length);
    if (order == 0)
        order = (int)x->at.length - (int)y->at.length;
    return order != 0 ? order : memcmp(&x->at.storage, &y->at.storage, x->at.length);
}

static void take_old(struct entry *fresh, struct entry *old)
{
    struct notify_target target = fresh->target;

    if (old == NULL || old->target.serial != target.serial)
        return;
    *fresh = *old;
    fresh->target = target;
    old->tsig.mac = NULL; /* it moved */
}

static void free_entries(struct entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tsig_end(&entries[i].tsig);
    free(entries);
}

void notify_update(struct notify *n, const struct notify_target *targets, size_t n_targets)
{
    struct entry *fresh = base_zalloc(n_targets + 1, sizeof(fresh[0]));

    for (size_t i = 0; i < n_targets; i++) {
        fresh[i] = (struct entry){.target = targets[i], .state = NOTIFY_DUE};
        if (n->n > 0)
            take_old(&fresh[i], bsearch(&fresh[i], n->entries, n->n, sizeof(fresh[0]), by_target));
    }
    qsort(fresh, n_targets, sizeof(fresh[0]), by_target);
    free_entries(n->entries, n->n);
    n->entries = fresh;
    n->n = n_targets;
    if (n_targets > 0)
        wake(n);
}

/* ---- sending ---- */

static void on_readable(evutil_socket_t fd, short what, void *arg);

static int socket_for(struct notify *n, const struct addr *to)
{
    bool is_v6 = to->sa.sa_family == AF_INET6;

    if (n->fds[is_v6] >= 0)
        return n->fds[is_v6];
    n->fds[is_v6] = socket(to->sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (n->fds[is_v6] < 0)
        return -1;
    n->readable[is_v6] = event_new(n->base, n->fds[is_v6], EV_READ | EV_PERSIST, on_readable, n);
    ensure(n->readable[is_v6] != NULL && event_add(n->readable[is_v6], NULL) == 0);
    return n->fds[is_v6];
}

static size_t write_query(struct entry *e, uint8_t *p)
{
    size_t n = WIRE_HEADER;

    ensure(getrandom(&e->id, sizeof(e->id), 0) == (ssize_t)sizeof(e->id));
    memset(p, 0, WIRE_HEADER);
    bytes_put_u16(p, e->id);
    p[2] = OPCODE_NOTIFY | FLAG_AA;
    bytes_put_u16(p + 4, 1);
    memcpy(p + n, e->target.zone.bytes, e->target.zone.length);
    n += e->target.zone.length;
    bytes_put_u16(p + n, WIRE_SOA);
    bytes_put_u16(p + n + 2, WIRE_CLASS_IN);
    n += 4;
    tsig_end(&e->tsig);
    e->tsig = (struct tsig_session){0};
    if (e->target.key != NULL)
        n = tsig_ask(&e->tsig, e->target.key, p, n, (uint64_t)clock_wall_s());
    return n;
}

static void send_one(struct notify *n, struct entry *e, int64_t now_ms)
{
    uint8_t packet[PACKET_MAX];
    int fd = socket_for(n, &e->target.at);
    size_t bytes = write_query(e, packet);

    if (fd >= 0) /* what the network refuses now it may take with the next try */
        (void)!sendto(fd, packet, bytes, 0, &e->target.at.sa, e->target.at.length);
    n->n_sent++;
    e->state = NOTIFY_WAITING;
    e->next_ms = now_ms + ((int64_t)FIRST_WAIT_MS << e->tries++);
}

static void leave(struct notify *n, struct entry *e)
{
    char zone[WIRE_NAME_TEXT], at[ADDR_TEXT];

    e->state = NOTIFY_LEFT;
    n->n_left++;
    log_warn("notify", "no answer, left to its timers zone=%s secondary=%s tries=%u",
             wire_name_format(e->target.zone.bytes, zone), addr_format(&e->target.at, at),
             e->tries);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct notify *n = arg;
    int64_t now_ms = clock_mono_ms();
    size_t sent = 0;
    bool is_busy = false;

    for (size_t i = 0; i < n->n; i++) {
        struct entry *e = &n->entries[i];

        if (e->state != NOTIFY_DUE && e->state != NOTIFY_WAITING)
            continue;
        is_busy = true;
        if (e->next_ms > now_ms)
            continue;
        if (e->tries >= TRIES_MAX)
            leave(n, e);
        else if (sent++ < PER_TICK)
            send_one(n, e, now_ms);
    }
    if (is_busy)
        wake(n);
}

/* ---- answers ---- */

static struct entry *find_asked(struct notify *n, uint16_t id, const struct addr *from)
{
    for (size_t i = 0; i < n->n; i++) {
        struct entry *e = &n->entries[i];

        if (e->state == NOTIFY_WAITING && e->id == id && addr_eq(&e->target.at, from))
            return e;
    }
    return NULL;
}

/* RFC 1996 section 4.7: any answer ends it, since asking again would bring the same one. */
static void take_answer(struct notify *n, struct entry *e, const uint8_t *p, size_t bytes)
{
    char zone[WIRE_NAME_TEXT], at[ADDR_TEXT];
    size_t proper;
    unsigned rcode = p[3] & 0x0f;

    if (e->target.key != NULL &&
        tsig_check(&e->tsig, p, bytes, (uint64_t)clock_wall_s(), &proper) != TSIG_OK &&
        rcode != WIRE_NOTAUTH)
        return; /* anybody may have sent that */
    wire_name_format(e->target.zone.bytes, zone);
    addr_format(&e->target.at, at);
    e->state = NOTIFY_TOLD;
    if (rcode == WIRE_NOERROR) {
        n->n_told++;
        log_info("notify", "told zone=%s serial=%u secondary=%s", zone, e->target.serial, at);
        return;
    }
    n->n_refused++;
    log_warn("notify", "refused zone=%s secondary=%s rcode=%u; does it know us as a primary?", zone,
             at, rcode);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct notify *n = arg;
    uint8_t packet[PACKET_MAX];
    struct addr from = {.length = sizeof(from.storage)};
    ssize_t got;

    while ((got = recvfrom(fd, packet, sizeof(packet), 0, &from.sa, &from.length)) >= 0) {
        struct entry *e;

        if (got >= WIRE_HEADER && (packet[2] & (FLAG_QR | 0x78)) == (FLAG_QR | OPCODE_NOTIFY) &&
            (e = find_asked(n, bytes_get_u16(packet), &from)) != NULL)
            take_answer(n, e, packet, (size_t)got);
        from.length = sizeof(from.storage);
    }
}

/* ---- ---- */

void notify_write_metrics(const struct notify *n, struct text *out)
{
    metrics_write_head(out, "gslb_dns_notify_sent_total", "counter", "NOTIFY messages sent.");
    text_addf(out, "gslb_dns_notify_sent_total %" PRIu64 "\n", n->n_sent);
    metrics_write_head(out, "gslb_dns_notify_total", "counter",
                       "Secondaries told of a serial, by outcome.");
    text_addf(out, "gslb_dns_notify_total{outcome=\"told\"} %" PRIu64 "\n", n->n_told);
    text_addf(out, "gslb_dns_notify_total{outcome=\"refused\"} %" PRIu64 "\n", n->n_refused);
    text_addf(out, "gslb_dns_notify_total{outcome=\"no_answer\"} %" PRIu64 "\n", n->n_left);
}

void notify_free(struct notify *n)
{
    if (n == NULL)
        return;
    for (unsigned i = 0; i < 2; i++)
        if (n->fds[i] >= 0) {
            event_free(n->readable[i]);
            close(n->fds[i]);
        }
    event_free(n->timer);
    free_entries(n->entries, n->n);
    free(n);
}
