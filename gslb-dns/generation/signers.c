/* SPDX-License-Identifier: BSD-2-Clause */
/* Which zones are signed, by which keys at this moment. */
#include "gslb-dns/generation/generation_internal.h"

#include <stdlib.h>
#include <string.h>

static uint8_t hex_digit(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : text_lower((uint8_t)c) - 'a' + 10);
}

static struct sign_nsec3 nsec3_of(const struct config_dnssec *d)
{
    struct sign_nsec3 out = {.iterations = (uint16_t)d->nsec3_iterations,
                             .is_opt_out = d->is_nsec3_opt_out};
    const char *salt = d->nsec3_salt;

    for (; salt != NULL && salt[0] != '\0'; salt += 2)
        out.salt[out.n_salt++] = (uint8_t)(hex_digit(salt[0]) << 4 | hex_digit(salt[1]));
    return out;
}

static struct sign_policy policy_of(const struct config_dnssec *d)
{
    static const enum sign_denial denials[] = {
        [CONFIG_NSEC] = SIGN_NSEC, [CONFIG_NSEC3] = SIGN_NSEC3, [CONFIG_COMPACT] = SIGN_COMPACT};
    static const enum sign_cds cds[] = {[CONFIG_CDS_YES] = SIGN_CDS_OF_KEYS,
                                        [CONFIG_CDS_NO] = SIGN_CDS_NONE,
                                        [CONFIG_CDS_DELETE] = SIGN_CDS_DELETE};
    static const enum sign_serial serials[] = {[CONFIG_SERIAL_INCREMENT] = SIGN_SERIAL_INCREMENT,
                                               [CONFIG_SERIAL_UNIXTIME] = SIGN_SERIAL_UNIXTIME,
                                               [CONFIG_SERIAL_KEEP] = SIGN_SERIAL_KEEP};

    return (struct sign_policy){
        .directory = d->keys_path,
        .denial = denials[d->denial],
        .nsec3 = nsec3_of(d),
        .cds = cds[d->cds],
        .serial = serials[d->serial],
        .validity_s = d->validity_s,
        .refresh_s = d->refresh_s,
        .dnskey_ttl_s = d->dnskey_ttl_s,
        .zone_max_ttl_s = d->zone_max_ttl_s,
        .propagation_delay_s = d->propagation_delay_s,
        .parent_ds_ttl_s = d->parent_ds_ttl_s,
        .parent_propagation_delay_s = d->parent_propagation_delay_s,
    };
}

static struct sign_keyring *open_keyring(const struct config_zone *zone, struct errors *errors)
{
    struct sign_policy policy = policy_of(&zone->dnssec);

    return sign_keyring_open(zone->name, &policy, zone->dnssec.place, errors);
}

struct sign_keyring *generation_open_keyring(const struct generation *g, const char *zone,
                                             struct errors *errors)
{
    const struct config *c = g->config;
    struct str name = str_of(zone);

    if (name.n > 1 && name.p[name.n - 1] == '.')
        name.n--;
    for (size_t z = 0; z < c->n_zones; z++) {
        if (!str_is_nocase(name, c->zones[z].name))
            continue;
        if (c->zones[z].dnssec.keys_path != NULL)
            return open_keyring(&c->zones[z], errors);
        errors_add(errors, c->zones[z].place,
                   "the zone '%s' is not signed here: it has no dnssec section", c->zones[z].name);
        return NULL;
    }
    errors_add(errors, (struct place){0}, "there is no zone '%.*s'", STR_ARG(name));
    return NULL;
}

static struct sign_signer *open_signer(const struct config_zone *zone, int64_t now_s,
                                       struct errors *errors)
{
    struct place at = zone->dnssec.place;
    struct sign_keyring *ring = open_keyring(zone, errors);
    struct sign_signer *signer = ring != NULL ? sign_signer_new(ring, now_s, at, errors) : NULL;

    sign_keyring_release(ring);
    return signer;
}

struct outcome generation_load_signers(struct generation *g, const struct generation_wish *wish,
                                       const struct generation *previous, int64_t now_s,
                                       struct errors *errors)
{
    const struct config *c = g->config;
    struct outcome outcome = OUTCOME_OK;

    g->signers = base_zalloc(c->n_zones, sizeof(struct sign_signer *));
    for (size_t z = 0; z < c->n_zones; z++) {
        if (c->zones[z].dnssec.keys_path == NULL)
            continue;
        g->signers[z] = open_signer(&c->zones[z], now_s, errors);
        if (g->signers[z] == NULL && wish->path == NULL)
            g->signers[z] = sign_hold(previous->signers[z]);
        if (g->signers[z] == NULL)
            outcome = OUTCOME_FAILED;
    }
    return outcome;
}

int64_t generation_next_renewal_s(const struct generation *g)
{
    int64_t next_s = INT64_MAX;

    for (size_t z = 0; z < g->config->n_zones; z++)
        if (g->signers[z] != NULL && sign_signer_next_s(g->signers[z]) < next_s)
            next_s = sign_signer_next_s(g->signers[z]);
    return next_s;
}

bool generation_is_renewal_due(const struct generation *g, int64_t now_s)
{
    if (generation_next_renewal_s(g) <= now_s)
        return true;
    for (size_t z = 0; z < g->config->n_zones; z++)
        if (g->signers[z] != NULL && !sign_keyring_is_unchanged(sign_signer_keyring(g->signers[z])))
            return true;
    return false;
}

void generation_free_signers(struct generation *g)
{
    for (size_t z = 0; g->signers != NULL && z < g->config->n_zones; z++)
        sign_release(g->signers[z]);
    free(g->signers);
}
