/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * secondary: zones that others are primaries of, kept as new as these have them (RFC 1034 section
 * 4.3.5): asked for by the timers of their SOA and by NOTIFY (RFC 1996), transferred by IXFR (RFC
 * 1995) or AXFR (RFC 5936), over TCP or TLS (RFC 9103), signed or not (RFC 8945).
 *
 *   NOTIFY, timer, operator ─▶ ask a primary's SOA ─▶ newer ─▶ transfer ─▶ replica ─▶ on_version
 *                                                 └▶ current: confirmed until EXPIRE     │
 *   secondary_loaded (taken: to disk; refused: the old one stays) ◀── the node's load ◀──┘
 *
 * One transfer at a time per zone, and so many in all; each is limited in time, bytes and records.
 * The primaries of a zone are asked in turn, first the one that sent the NOTIFY or answered last;
 * when none could be taken from, the zone rests for its RETRY.
 *
 * Threads: all of it happens on a thread of its own, which may wait for the disk. The door's
 * functions are the control thread's, but for secondary_judge_notify and secondary_ring, which are
 * any thread's; hooks run on the control thread. Lifetime: as long as the node.
 */
#ifndef GSLB_DNS_SECONDARY_H
#define GSLB_DNS_SECONDARY_H

#include "common/arena/arena.h"
#include "common/loop/loop.h"
#include "common/text/text.h"
#include "gslb-dns/replica/replica.h"
#include "gslb-dns/tsig/tsig.h"
#include "gslb-dns/wire/wire.h"
#include "gslb-dns/world/world.h"

#include <openssl/ssl.h>

struct secondary;

struct secondary_hooks {
    void *arg;
    /* Serve this version of the zone from now on; NULL: it has expired, serve none. The hook takes
     * a reference of its own. What became of it is told by secondary_loaded. */
    void (*on_version)(void *arg, const char *zone, struct replica *version);
};

/* Limits, for all zones. */
struct secondary_settings {
    uint32_t at_once;     /* transfers */
    uint32_t silence_ms;  /* of a primary, until it is given up */
    uint32_t transfer_ms; /* a whole one */
    uint64_t max_bytes, max_records;
    uint32_t min_wait_s, max_wait_s; /* bounds of REFRESH and RETRY */
    SSL_CTX *tls;                    /* a reference is taken; NULL: no primary speaks TLS */
};
/* A client's context for RFC 9103; ca_path NULL: the system's. NULL: errors say why. */
SSL_CTX *secondary_tls_new(const char *ca_path, struct place place, struct errors *errors);

struct secondary_primary {
    struct addr at;
    const struct tsig_key *key; /* copied; NULL: messages are not signed */
    const char *tls_name;       /* NULL: TCP */
};

/* All is copied. */
struct secondary_zone {
    const char *name, *path; /* of the copy */
    const struct secondary_primary *primaries;
    size_t n_primaries;
    /* What was found on disk when the zone was loaded, for a zone that is new here. */
    enum replica_state state;
    struct replica_soa soa;
    int64_t confirmed_s, expires_s;
    const char *damage; /* with REPLICA_DAMAGED */
    uint32_t served;    /* the serial that is; of a zone that is not new here */
};

/* hooks run by posting to this loop. */
struct secondary *secondary_new(struct loop *control, const struct secondary_hooks *hooks);
/* All zones of now; of those that stay, what is under way goes on. */
void secondary_update(struct secondary *s, const struct secondary_settings *settings,
                      const struct secondary_zone *zones, size_t n);
/* error NULL: the version that on_version gave is served. */
void secondary_loaded(struct secondary *s, const char *zone, const char *error);
/* An operator wants it asked for now, or transferred whole. */
void secondary_refresh(struct secondary *s, const char *zone, bool is_full);
void secondary_free(struct secondary *s);

/* ---- NOTIFY ---- */

/* Name, RCODE, label. What becomes of one. */
#define SECONDARY_NOTIFIES(X)                                                                \
    X(TAKEN, WIRE_NOERROR, "taken")          /* a primary is asked soon */                   \
    X(CURRENT, WIRE_NOERROR, "current")      /* it brings a serial that is served already */ \
    X(STRANGER, WIRE_REFUSED, "stranger")    /* neither a primary nor somebody who may */    \
    X(NO_COPY, WIRE_REFUSED, "no_secondary") /* the zone is ours, and nobody's copy */       \
    X(NOT_OURS, WIRE_REFUSED, "not_ours")

enum secondary_notify {
#define X(name, rcode, label) SECONDARY_NOTIFY_##name,
    SECONDARY_NOTIFIES(X)
#undef X
        SECONDARY_NOTIFY_COUNT
};
enum wire_rcode secondary_notify_rcode(enum secondary_notify v);

/* A NOTIFY as it came. */
struct secondary_notice {
    const struct wire_query *query;
    const uint8_t *packet;
    uint32_t packet_bytes;
    const struct addr *source;
    const struct tsig_session *tsig; /* NULL: not signed; else verified */
};
/* Pure; *hint gets the serial that it brings, if has_hint (RFC 1996 section 3.7). */
enum secondary_notify secondary_judge_notify(const struct world *w,
                                             const struct secondary_notice *n, bool *has_hint,
                                             uint32_t *hint);
/* One was taken. As many as come until the zone is next looked at count as one. */
void secondary_ring(struct secondary *s, const struct wire_name *zone, const struct addr *source,
                    const uint32_t *hint);

/* ---- for people ---- */

struct secondary_status {
    bool is_known;             /* false: the zone is none of ours */
    bool is_expired, is_saved; /* is_saved: on disk as it is served */
    uint32_t serial;           /* 0 without a copy */
    const char *state;         /* "fresh", "refreshing", "retrying", "expired", "empty" */
    char primary[ADDR_TEXT];   /* asked last; "": none yet */
    int64_t confirmed_s;       /* wall clock; 0: never */
    int64_t refresh_in_s;      /* until it is asked for next */
    int64_t expires_in_s;      /* 0 without a copy */
    char error[200];           /* "": all was well the last time */
};
void secondary_status(struct secondary *s, const char *zone, struct secondary_status *out);
/* Counters as Prometheus text. */
void secondary_write_metrics(struct secondary *s, struct text *out);

#endif
