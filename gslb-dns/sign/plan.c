/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The plans of roll-overs. Waiting times are those of RFC 7583: what a cache can hold of the zone
 * lives for a TTL after the last server has it no more. With D for the DNSKEY RRset, Z for the
 * zone's data and P for the DS RRset at the parent (TTL plus propagation each):
 *
 *   ZSK        publish new ──D──▶ new signs, old does not ──Z──▶ old leaves
 *   KSK, CSK   publish new, both sign ──D──▶ CDS of new … DS seen ──P──▶ old leaves (not before Z)
 *   algorithm  new signs ──Z──▶ publish new ──D──▶ CDS of new … DS seen ──P──▶ old DNSKEY leaves
 *              ──D──▶ old stops signing
 */
#include "gslb-dns/sign/sign_internal.h"

#include <string.h>

static int64_t dnskey_delay_s(const struct plan *p)
{
    return (int64_t)p->policy->dnskey_ttl_s + p->policy->propagation_delay_s;
}

static int64_t data_delay_s(const struct plan *p)
{
    return (int64_t)p->policy->zone_max_ttl_s + p->policy->propagation_delay_s;
}

static int64_t ds_delay_s(const struct plan *p)
{
    return (int64_t)p->policy->parent_ds_ttl_s + p->policy->parent_propagation_delay_s;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Neither in the zone nor signing any more. */
static bool is_gone(const struct sign_key_facts *k, int64_t now_s)
{
    const int64_t *t = k->times;

    return t[SIGN_DELETE] != 0 && t[SIGN_DELETE] <= now_s && t[SIGN_INACTIVE] <= now_s;
}

static bool is_in_use(const struct sign_key_facts *k, int64_t now_s)
{
    return k->times[SIGN_ACTIVATE] <= now_s && !is_gone(k, now_s);
}

static struct sign_key_facts *find_tag(struct plan *p, uint16_t tag)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->keys[i].tag == tag)
            return &p->keys[i];
    return NULL;
}

/* The key that k replaces, if that is still about. */
static struct sign_key_facts *find_predecessor(struct plan *p, const struct sign_key_facts *k,
                                               int64_t now_s)
{
    struct sign_key_facts *old = k->predecessor != 0 ? find_tag(p, k->predecessor) : NULL;

    return old != NULL && !is_gone(old, now_s) ? old : NULL;
}

static bool is_under_way(struct plan *p, int64_t now_s)
{
    for (size_t i = 0; i < p->n; i++)
        if (!is_gone(&p->keys[i], now_s) && find_predecessor(p, &p->keys[i], now_s) != NULL)
            return true;
    return false;
}

/* ---- Beginning ---- */

static bool has_zsk(const struct plan *p, uint8_t algorithm, int64_t now_s)
{
    for (size_t i = 0; i < p->n_old; i++)
        if (p->keys[i].flags == SIGN_FLAGS_ZSK && p->keys[i].algorithm == algorithm &&
            is_in_use(&p->keys[i], now_s))
            return true;
    return false;
}

/* Is this a key that a roll-over of the kind replaces? */
static bool is_meant(const struct plan *p, const struct sign_key_facts *k, enum sign_roll kind,
                     uint8_t algorithm, int64_t now_s)
{
    bool is_split = has_zsk(p, k->algorithm, now_s);

    if (!is_in_use(k, now_s))
        return false;
    switch (kind) {
    case SIGN_ROLL_ZSK:
        return k->flags == SIGN_FLAGS_ZSK;
    case SIGN_ROLL_KSK:
        return k->flags == SIGN_FLAGS_SEP && is_split;
    case SIGN_ROLL_CSK:
        return k->flags == SIGN_FLAGS_SEP && !is_split;
    case SIGN_ROLL_ALGORITHM:
        return k->algorithm != algorithm;
    }
    return false;
}

static const char *why_none(enum sign_roll kind)
{
    switch (kind) {
    case SIGN_ROLL_ZSK:
        return "there is no zone-signing key in use; with one key for everything, roll csk";
    case SIGN_ROLL_KSK:
        return "there is no key-signing key in use beside a zone-signing one; with one key for "
               "everything, roll csk";
    case SIGN_ROLL_CSK:
        return "there is no key in use that signs everything; with split keys, roll ksk or zsk";
    case SIGN_ROLL_ALGORITHM:
        break;
    }
    return "all keys in use have that algorithm already; to replace them, roll csk, ksk or zsk";
}

const char *plan_fresh(struct plan *p, enum sign_roll kind, uint8_t algorithm, int64_t now_s)
{
    p->n_old = p->n;
    if (is_under_way(p, now_s))
        return "a roll-over is under way; gslbctl keys shows what it waits for, and gslbctl roll "
               "ZONE --abort ends it";
    for (size_t i = 0; i < p->n_old; i++) {
        const struct sign_key_facts *k = &p->keys[i];

        if (!is_meant(p, k, kind, algorithm, now_s))
            continue;
        if (p->n == p->n_old + PLAN_FRESH_MAX)
            return "too many keys are in use";
        p->keys[p->n++] = (struct sign_key_facts){
            .algorithm = kind == SIGN_ROLL_ALGORITHM ? algorithm : k->algorithm,
            .flags = k->flags,
            .predecessor = k->tag,
            .times = {[SIGN_CREATED] = now_s},
        };
    }
    return p->n > p->n_old ? NULL : why_none(kind);
}

static void plan_zsk(const struct plan *p, int64_t *fresh, int64_t *old, int64_t now_s)
{
    fresh[SIGN_PUBLISH] = now_s;
    fresh[SIGN_ACTIVATE] = now_s + dnskey_delay_s(p);
    old[SIGN_INACTIVE] = fresh[SIGN_ACTIVATE];
    old[SIGN_DELETE] = old[SIGN_INACTIVE] + data_delay_s(p);
}

static void plan_ksk(const struct plan *p, int64_t *fresh, int64_t *old, int64_t now_s)
{
    fresh[SIGN_PUBLISH] = fresh[SIGN_ACTIVATE] = now_s;
    fresh[SIGN_SYNC_PUBLISH] = old[SIGN_SYNC_DELETE] = now_s + dnskey_delay_s(p);
}

static void plan_algorithm(const struct plan *p, uint16_t flags, int64_t *fresh, int64_t *old,
                           int64_t now_s)
{
    fresh[SIGN_ACTIVATE] = now_s;
    fresh[SIGN_PUBLISH] = now_s + data_delay_s(p);
    if (flags == SIGN_FLAGS_SEP)
        fresh[SIGN_SYNC_PUBLISH] = old[SIGN_SYNC_DELETE] = fresh[SIGN_PUBLISH] + dnskey_delay_s(p);
}

void plan_roll(struct plan *p, enum sign_roll kind, int64_t now_s)
{
    for (size_t i = p->n_old; i < p->n; i++) {
        int64_t *fresh = p->keys[i].times, *old = find_tag(p, p->keys[i].predecessor)->times;

        if (kind == SIGN_ROLL_ZSK)
            plan_zsk(p, fresh, old, now_s);
        else if (kind == SIGN_ROLL_ALGORITHM)
            plan_algorithm(p, p->keys[i].flags, fresh, old, now_s);
        else
            plan_ksk(p, fresh, old, now_s);
    }
}

/* ---- The parent has the DS ---- */

/* All keys of the old algorithm: DNSKEYs leave once no cache has their DS, signatures once no
 * cache has their DNSKEYs. */
static void retire_algorithm(struct plan *p, uint8_t algorithm, int64_t now_s)
{
    for (size_t i = 0; i < p->n; i++) {
        int64_t *t = p->keys[i].times;

        if (p->keys[i].algorithm != algorithm || is_gone(&p->keys[i], now_s))
            continue;
        t[SIGN_DELETE] = now_s + ds_delay_s(p);
        t[SIGN_INACTIVE] = t[SIGN_DELETE] + dnskey_delay_s(p);
    }
}

const char *plan_confirm_ds(struct plan *p, uint16_t tag, int64_t now_s)
{
    struct sign_key_facts *k = find_tag(p, tag), *old;

    if (k == NULL)
        return "there is no key with this tag";
    if (k->flags != SIGN_FLAGS_SEP)
        return "a zone-signing key has no DS";
    if (is_gone(k, now_s))
        return "that key has left the zone: the parent must not have its DS";
    if (k->times[SIGN_DS_PUBLISH] != 0)
        return "that was told already";
    if (k->times[SIGN_PUBLISH] > now_s || key_sync_publish_s(k, p->policy) > now_s)
        return "it is too early: caches may not have the key yet, and validation would fail. Take "
               "its DS away from the parent; gslbctl keys shows when it may be there";
    k->times[SIGN_DS_PUBLISH] = now_s;
    old = find_predecessor(p, k, now_s);
    if (old == NULL)
        return NULL;
    if (old->algorithm != k->algorithm) {
        retire_algorithm(p, old->algorithm, now_s);
        return NULL;
    }
    /* Data that only the old key signed has gone from caches by then, too. */
    old->times[SIGN_DELETE] =
        later(now_s + ds_delay_s(p), k->times[SIGN_ACTIVATE] + data_delay_s(p));
    old->times[SIGN_INACTIVE] = old->times[SIGN_DELETE];
    return NULL;
}

/* ---- Back ---- */

static bool can_abort(const struct sign_key_facts *k, int64_t now_s)
{
    if (k->flags == SIGN_FLAGS_ZSK && k->times[SIGN_PUBLISH] < k->times[SIGN_ACTIVATE])
        return k->times[SIGN_ACTIVATE] > now_s;
    return k->times[SIGN_DS_PUBLISH] == 0;
}

/* The new key leaves; where it brings an algorithm, its DNSKEY before its signatures. */
static void undo(const struct plan *p, struct sign_key_facts *k, struct sign_key_facts *old,
                 int64_t now_s)
{
    int64_t *t = k->times;
    bool was_published = t[SIGN_PUBLISH] <= now_s, is_other = k->algorithm != old->algorithm;

    t[SIGN_DELETE] = now_s;
    t[SIGN_INACTIVE] = was_published && is_other ? now_s + dnskey_delay_s(p) : now_s;
    t[SIGN_SYNC_DELETE] = t[SIGN_SYNC_PUBLISH] != 0 ? now_s : 0;
    k->predecessor = 0;
    old->times[SIGN_INACTIVE] = old->times[SIGN_DELETE] = old->times[SIGN_SYNC_DELETE] = 0;
}

const char *plan_abort(struct plan *p, int64_t now_s)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++) {
        struct sign_key_facts *old = find_predecessor(p, &p->keys[i], now_s);

        if (old == NULL || is_gone(&p->keys[i], now_s))
            continue;
        if (!can_abort(&p->keys[i], now_s))
            return "it is too late: the new key is in full use. Let it end, then roll again";
        n++;
    }
    for (size_t i = 0; i < p->n; i++) {
        struct sign_key_facts *old = find_predecessor(p, &p->keys[i], now_s);

        if (old != NULL && !is_gone(&p->keys[i], now_s))
            undo(p, &p->keys[i], old, now_s);
    }
    return n > 0 ? NULL : "no roll-over is under way";
}
