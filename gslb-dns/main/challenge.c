/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/main/node_internal.h"

enum { ALIASES_MAX = 16 };

/* A CNAME at the name of a challenge sends the CA elsewhere (RFC 8555 section 8.4 lets it follow):
 * so do we, while the target is ours. One that a wildcard gives is no hint where to put a record.
 */
struct outcome challenge_find(const struct world *w, const struct wire_name *name,
                              struct wire_name *out, struct text *error)
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
            return OUTCOME_OK;
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
