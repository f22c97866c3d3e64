/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/main/node_internal.h"

#include "common/clock/clock.h"

#include <stdlib.h>

enum { ALIASES_MAX = 16 };

/* A zone that comes signed cannot be given a record: nobody here can sign it. */
static struct outcome check_zone(const struct generation *g, const struct zone *z,
                                 struct text *error)
{
    char apex[WIRE_NAME_TEXT];
    size_t i = generation_find_zone(g, wire_name_format(z->apex.bytes, apex));

    if (!acme_is_signed(z) || (i != SIZE_MAX && generation_signer(g, i) != NULL))
        return OUTCOME_OK;
    text_addf(error,
              "the zone %s comes signed, and this node has no key to sign a record more; let a "
              "CNAME lead from the challenge to another zone",
              apex);
    return OUTCOME_FAILED;
}

struct acme_view *challenge_view(const struct generation *g, const struct acme_store *s,
                                 const struct world *w, const struct acme_view *previous)
{
    size_t n = generation_config(g)->n_zones;
    const struct zone **zones = base_zalloc(n, sizeof(zones[0]));
    const struct sign_signer **signers = base_zalloc(n, sizeof(signers[0]));
    struct acme_view *view;

    for (size_t i = 0; i < n; i++) {
        zones[i] = generation_zone(g, i);
        signers[i] = generation_signer(g, i);
    }
    view = acme_view_new(
        s, &(struct acme_zones){.set = w->zones, .zones = zones, .signers = signers, .n = n},
        previous, clock_mono_ms());
    free(zones);
    free(signers);
    return view;
}

/* A CNAME at the name of a challenge sends the CA elsewhere (RFC 8555 section 8.4 lets it follow):
 * so do we, while the target is ours. One that a wildcard gives is no hint where to put a record.
 */
struct outcome challenge_find(const struct generation *g, const struct world *w,
                              const struct wire_name *name, struct wire_name *out,
                              struct text *error)
{
    char text[WIRE_NAME_TEXT];

    *out = *name;
    for (unsigned i = 0; i < ALIASES_MAX; i++) {
        struct zone_lookup l;
        enum zone_verdict found;

        zone_prepare(w->zones, out, WIRE_TXT, &l);
        found = zone_find(&l, out, WIRE_TXT);
        if (found == ZONE_CNAME && !l.is_wildcard) {
            zone_target_name(l.zone, l.rrset, out);
            continue;
        }
        if (found != ZONE_NOT_OURS && found != ZONE_REFERRAL && found != ZONE_DNAME)
            return check_zone(g, l.zone, error);
        text_addf(error, "%s is not in a zone of this node%s", wire_name_format(out->bytes, text),
                  found == ZONE_REFERRAL ? ": it is delegated"
                  : found == ZONE_DNAME  ? ": a DNAME leads away"
                                         : "");
        return OUTCOME_FAILED;
    }
    text_addf(error, "%s is an alias of an alias of an alias…",
              wire_name_format(name->bytes, text));
    return OUTCOME_FAILED;
}
