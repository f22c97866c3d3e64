/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world: everything that answers depend on, in one immutable value: zones, steering and what is
 * healthy. A query sees one world from its first step to its last.
 *
 *   reload ──▶ zones, services ─┐
 *                               ├──▶ struct world ──snapshot──▶ answer (workers, read only)
 *   health ──▶ view ────────────┘
 *
 * This half is what the answer path reads. It holds what a query needs as bytes that are ready to
 * copy; whoever builds it has decided everything that does not depend on the client.
 *
 * Lifetime: zones, services and their maps belong to a generation (a reload); a view and the world
 * that carries it are made anew whenever a verdict on an edge changes, and freed when no batch can
 * still hold them. Threads: built by one, read by any number.
 */
#ifndef GSLB_DNS_WORLD_H
#define GSLB_DNS_WORLD_H

#include "common/base/base.h"
#include "gslb-dns/acme/acme.h"
#include "gslb-dns/cookie/cookie.h"
#include "gslb-dns/geo/geo.h"
#include "gslb-dns/history/history.h"
#include "gslb-dns/limit/limit.h"
#include "gslb-dns/steer/steer.h"
#include "gslb-dns/tsig/tsig.h"
#include "gslb-dns/zone/zone.h"

#include <string.h>

/* The addresses of one family, ready-made: count records of equal size one after the other, each
 * with the owner pointer 0xC00C, type, class IN and the service's TTL. count 0: no address. More
 * records than an answer may carry are allowed: the answer starts at a random one, goes round, and
 * takes at most the service's max_addresses. */
struct world_addresses {
    const uint8_t *wire;
    uint32_t count;
    /* In a signed zone, signatures stand right behind the records: of all of them, or where there
     * are more than an answer takes, of each part that one can be, by its first record. */
    uint16_t sig_bytes; /* of one part's; 0: unsigned */
    uint8_t n_sigs;     /* records in them */
};

enum { WORLD_A_BYTES = 16, WORLD_AAAA_BYTES = 28 };

/* Where a client may be sent: one region's healthy edges, or the fallback. A site is chosen for a
 * client before the family is looked at, so A and AAAA always name the same site. */
struct world_site {
    struct world_addresses a, aaaa;
};

/* How a service answers at this moment. */
enum world_mode {
    WORLD_STEER,     /* the nearest usable region */
    WORLD_SERVE_ALL, /* every edge is down: steer over all regions, with all their addresses */
    WORLD_FALLBACK,  /* every edge is down: sites[0], for everybody, scope 0 */
    WORLD_NODATA,    /* every edge is down: no answer, scope 0 */
    WORLD_REFUSE,    /* every edge is down: REFUSED */
};

/* What of a service changes with health. */
struct world_service_view {
    enum world_mode mode;
    const uint64_t *usable;         /* STEER_BITMAP_WORDS(n_regions): regions with an address of
                                       any family in sites */
    const struct world_site *sites; /* by the service's region index */
    struct world_site whole;        /* what the name is in a zone transfer: the addresses of all
                                       sites, each once; none where the zone does not go out */
};

/* What of a service stays as it is configured. Its regions are those of its steer_map. */
struct world_service {
    const struct steer_map *steer;
    const struct geo_map *map; /* NULL: the policy does not look where a client is; class 0 */
    uint32_t ttl_s;            /* also in the wire form */
    uint8_t max_addresses;     /* of one family in one answer, at least 1 */
    bool is_drawn;             /* the policy draws, by the client's prefix */
    bool has_a, has_aaaa;      /* some edge of it has such an address, healthy or not. Without:
                                  NODATA, scope 0, for everybody */
};

/* When a client that knows cookies must show a valid one by UDP. */
enum world_cookie_rule { WORLD_COOKIE_NEVER, WORLD_COOKIE_UNDER_LIMIT, WORLD_COOKIE_ALWAYS };

/* Who may do something with a zone as a whole: from there, signed by that key. */
struct world_peer {
    struct prefix from;         /* family 0: from anywhere */
    const struct tsig_key *key; /* NULL: unsigned will do */
};

/* How many addresses a service sends in a transfer with every edge up. */
struct world_full {
    uint32_t n_a, n_aaaa;
};

/* What of a zone is not asked for by ordinary queries. */
struct world_zone {
    const struct zone *zone;
    size_t number;                     /* in the configuration */
    const struct world_peer *transfer; /* may transfer it from here */
    size_t n_transfer;
    const struct world_peer *notifiers;  /* whose NOTIFY is taken: a copy's primaries, and others */
    size_t n_notifiers;                  /* 0: it is nobody's copy */
    const struct zone_service *services; /* the steered names in it */
    size_t n_services;
    bool omits_steered;            /* from transfers */
    const struct history *history; /* NULL: none is kept */
    const struct world_full *full; /* by services; with a history, and unless they are omitted */
};

/* The order of a world's zone_list: by apex, because the zones that it names are those of the
 * files, and zones may hold others for a while (acme). */
static inline int world_compare_apexes(const struct wire_name *a, const struct wire_name *b)
{
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return memcmp(a->bytes, b->bytes, a->length);
}

struct world {
    const struct zone_set *zones;
    const struct acme_overlay *acme;        /* NULL: no challenge is under way */
    const struct world_service *services;   /* zone_node.service is an index here */
    const struct world_service_view *views; /* by the same index */
    size_t n_services;
    const struct world_zone *zone_list; /* sorted by world_compare_apexes */
    size_t n_zones;
    const struct tsig_key *const *tsig_keys;
    size_t n_tsig_keys;
    struct secondary *secondary;          /* whom answer tells of NOTIFYs; NULL: nobody */
    uint16_t udp_payload_bytes;           /* the largest UDP answer, and what we announce */
    const char *nsid;                     /* answers a NSID request (RFC 5001); NULL: not told */
    const char *chaos_version, *chaos_id; /* answer class CHAOS (RFC 4892); NULL: REFUSED */
    const struct cookie_secrets *cookies; /* NULL: cookies are not known here */
    enum world_cookie_rule cookie_rule;
    const struct limit *limit;    /* NULL: none */
    const struct prefix *proxies; /* whose queries by UDP come with a PROXY header */
    size_t n_proxies;
    uint64_t generation;
};

/* Does a transfer of the zone have all addresses of its services now? */
static inline bool world_sends_all(const struct world *w, const struct world_zone *z)
{
    for (size_t i = 0; z->full != NULL && i < z->n_services; i++) {
        const struct world_service_view *view = &w->views[z->services[i].service];

        if (view->mode == WORLD_FALLBACK || view->whole.a.count != z->full[i].n_a ||
            view->whole.aaaa.count != z->full[i].n_aaaa)
            return false;
    }
    return true;
}

#endif
