/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acme: short-lived TXT records that stand in no zone file, as a CA's dns-01 challenges want them
 * (RFC 8555 section 8.4).
 *
 *   operators, other nodes ─▶ store (who said what last) ─▶ view: overlay, zones ─world─▶ answers
 *
 * The store knows a (name, value) once, by the newest word about it: its stamp. What was removed
 * stays until its lifetime ends, so that a node that has not heard of the removal does not bring it
 * back. It is bounded: ACME_RECORDS_MAX in all, ACME_PER_NAME_MAX values of a name.
 *
 * The overlay only adds. A name that has values answers TXT with them and with those of the zone
 * file; names above it exist (RFC 8020). Everything else is as the zone has it, and a wildcard goes
 * on answering for other names and types: a certificate for a name that lives by a wildcard must
 * not take the name away.
 *
 * A zone that is signed here gets no overlay, whose records no validator would take: it is made
 * anew with the records in it, signed and in its chain of NSEC or NSEC3. Most of its signatures are
 * those it had. Its serial stays, because secondaries have nothing to fetch.
 *
 * A record is out of the answers ACME_TTL_S before its lifetime ends, so that no cache that keeps
 * to the TTL has it longer.
 *
 * A store belongs to one thread, its copies to others. A view is immutable; any thread reads it as
 * long as its world lives.
 */
#ifndef GSLB_DNS_ACME_H
#define GSLB_DNS_ACME_H

#include "gslb-dns/zone/zone.h"

enum {
    ACME_RECORDS_MAX = 1000,
    ACME_PER_NAME_MAX = 16,
    ACME_VALUE_MAX = 255,
    ACME_TTL_S = 5,
    ACME_LIFETIME_LEAST_S = 10,
    ACME_LIFETIME_MAX_S = 86400,
};

struct acme_record {
    struct wire_name name;
    char value[ACME_VALUE_MAX + 1];
    uint64_t stamp;     /* when this was said, ms of the wall clock of whoever said it */
    int64_t expires_ms; /* by this node's monotonic clock */
    bool is_removed;
};

struct acme_store;
struct acme_store *acme_store_new(void);
void acme_store_free(struct acme_store *s);
struct acme_store *acme_store_copy(const struct acme_store *s);
enum acme_put { ACME_CHANGED, ACME_KNOWN, ACME_FULL };
/* Takes what is newer than what is known of the name and value. ACME_FULL: a bound is reached and
 * nothing was taken. */
enum acme_put acme_store_put(struct acme_store *s, const struct acme_record *r, int64_t now_ms);
/* Drops what has run out; whether answers change by it. */
bool acme_store_expire(struct acme_store *s, int64_t now_ms);
/* When acme_store_expire has something to do next; INT64_MAX: never. */
int64_t acme_store_next_ms(const struct acme_store *s);
/* All of them, removed ones too, in the order of their coming. */
const struct acme_record *acme_store_records(const struct acme_store *s, size_t *n);
/* A stamp for a new word about this name and value: this moment, but newer than what is known. */
uint64_t acme_store_stamp(const struct acme_store *s, const struct wire_name *name,
                          const char *value, int64_t wall_ms);
static inline bool acme_is_answered(const struct acme_record *r, int64_t now_ms)
{
    return !r->is_removed && now_ms < r->expires_ms - 1000 * (int64_t)ACME_TTL_S;
}

/* The zones of a generation; what signs them, NULL where nothing does. Borrowed. */
struct acme_zones {
    const struct zone_set *set;
    const struct zone *const *zones;
    const struct sign_signer *const *signers;
    size_t n;
};

/* What a world needs of the store. Cannot fail; NULL: nothing. previous: the view before, or NULL;
 * what of it is still right is shared. Takes as long as making those zones anew that are signed
 * and whose challenges changed: a second or two for a million names. Any thread. */
struct acme_view;
struct acme_view *acme_view_new(const struct acme_store *s, const struct acme_zones *zones,
                                const struct acme_view *previous, int64_t now_ms);
void acme_view_free(struct acme_view *v); /* NULL: nothing */
/* NULL: no zone without signatures has a challenge. */
const struct acme_overlay *acme_view_overlay(const struct acme_view *v);
/* All zones, those with challenges in their new version; NULL: no signed zone has one. */
const struct zone_set *acme_view_zones(const struct acme_view *v);

struct acme_overlay;
/* What the zones of this set that are not signed need; NULL: nothing. */
struct acme_overlay *acme_overlay_new(const struct acme_store *s, const struct zone_set *zones,
                                      int64_t now_ms);
void acme_overlay_free(struct acme_overlay *o);
static inline bool acme_is_signed(const struct zone *z)
{
    return zone_is_available(z) && z->soa->n_sigs > 0;
}
/* What zone_find's (or zone_find_next's) verdict about name becomes; l is changed with it. */
enum zone_verdict acme_amend(const struct acme_overlay *o, struct zone_lookup *l,
                             const struct wire_name *name, uint16_t qtype, enum zone_verdict found);

#endif
