/* SPDX-License-Identifier: BSD-2-Clause */
/* What a key does at a moment follows from the times in its file and from what the other keys do.
 */
#include "gslb-dns/sign/sign_internal.h"

static bool is_between(int64_t now_s, int64_t from_s, int64_t to_s)
{
    return from_s <= now_s && (to_s == 0 || now_s < to_s);
}

/* A key signs to its Inactive, or as long as it is published. That Inactive may lie after Delete,
 * and Activate before Publish: an algorithm is introduced and withdrawn with signatures outlasting
 * the keys (RFC 6781 section 4.1.4). */
static bool is_active(const struct sign_key_facts *k, int64_t now_s)
{
    const int64_t *t = k->times;

    return is_between(now_s, t[SIGN_ACTIVATE],
                      t[SIGN_INACTIVE] != 0 ? t[SIGN_INACTIVE] : t[SIGN_DELETE]);
}

static bool is_published(const struct sign_key_facts *k, int64_t now_s)
{
    return is_between(now_s, k->times[SIGN_PUBLISH], k->times[SIGN_DELETE]);
}

/* As its file says, or once every cache that holds
 * the zone as it was without the key has dropped that. */
int64_t key_sync_publish_s(const struct sign_key_facts *k, const struct sign_policy *p)
{
    uint32_t ttl_s = p->zone_max_ttl_s > p->dnskey_ttl_s ? p->zone_max_ttl_s : p->dnskey_ttl_s;

    if (k->times[SIGN_SYNC_PUBLISH] != 0 || k->times[SIGN_PUBLISH] == 0)
        return k->times[SIGN_SYNC_PUBLISH];
    return k->times[SIGN_PUBLISH] + ttl_s + p->propagation_delay_s;
}

struct company { /* of one algorithm at this moment */
    bool has_key_signer, has_zone_signer;
};

static struct company find_company(const struct sign_key_facts *keys, size_t n, uint8_t algorithm,
                                   int64_t now_s)
{
    struct company c = {false, false};

    for (size_t i = 0; i < n; i++) {
        if (keys[i].algorithm != algorithm || !is_active(&keys[i], now_s))
            continue;
        if (keys[i].flags != SIGN_FLAGS_SEP)
            c.has_zone_signer = true;
        else if (is_published(&keys[i], now_s))
            c.has_key_signer = true;
    }
    return c;
}

void key_roles(const struct sign_key_facts *keys, size_t n, const struct sign_policy *p,
               int64_t now_s, struct key_role *out)
{
    for (size_t i = 0; i < n; i++) {
        const struct sign_key_facts *k = &keys[i];
        struct company c = find_company(keys, n, k->algorithm, now_s);
        bool is_sep = k->flags == SIGN_FLAGS_SEP, active = is_active(k, now_s);
        struct key_role *r = &out[i];

        r->is_published = is_published(k, now_s);
        /* A key without a companion for the other half does both. */
        r->signs_keys = active && r->is_published && (is_sep || !c.has_key_signer);
        r->signs_data = active && (!is_sep || !c.has_zone_signer);
        r->is_synchronised = r->signs_keys && is_between(now_s, key_sync_publish_s(k, p),
                                                         k->times[SIGN_SYNC_DELETE]);
    }
}

/* Moments that no role depends on are 0, like those that are not set. */
static int64_t moment_of_role(const struct sign_key_facts *k, const struct sign_policy *p,
                              enum sign_time which)
{
    if (which == SIGN_CREATED || which == SIGN_DS_PUBLISH)
        return 0;
    return which == SIGN_SYNC_PUBLISH ? key_sync_publish_s(k, p) : k->times[which];
}

int64_t key_next_change_s(const struct sign_key_facts *k, const struct sign_policy *p,
                          int64_t now_s)
{
    int64_t next_s = INT64_MAX;

    for (unsigned i = 0; i < SIGN_TIME_COUNT; i++) {
        int64_t at_s = moment_of_role(k, p, i);

        if (at_s > now_s && at_s < next_s)
            next_s = at_s;
    }
    return next_s;
}

unsigned key_count_changes(const struct sign_key_facts *k, const struct sign_policy *p,
                           int64_t from_s, int64_t to_s, int64_t *last_s)
{
    unsigned n = 0;

    for (unsigned i = 0; i < SIGN_TIME_COUNT; i++) {
        int64_t at_s = moment_of_role(k, p, i);

        if (at_s <= from_s || at_s > to_s)
            continue;
        *last_s = at_s > *last_s ? at_s : *last_s;
        n++;
    }
    return n;
}
