/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control: the node's end of the control channel. Accepts edges and operators (TLS listeners, the
 * local Unix socket, the metrics page), links to the site's other nodes, keeps each edge's link and
 * newest report, drives health with what it hears, keeps drains in the state file, answers gslbctl.
 * It knows nothing of zones, geo or answers: those come up through control_hooks.
 *
 * A configuration takes effect in two steps, so that a bad one changes nothing:
 *
 *     change = control_prepare(c, config, errors);      opens what is new; NULL: refused
 *     …prepare zones, geo…
 *     control_commit(c, change);   or   control_discard(change);
 *
 * Commit keeps the links of edges that stay, closes those of edges that went, replaces listeners
 * and certificates (open links keep the ones they were made with), carries health over, and calls
 * on_health_change. From then on control refers to the new config (for its names and places), and
 * the old one may be freed.
 *
 * Control thread only: everything here, and all hooks, run on the loop's thread.
 */
#ifndef GSLB_DNS_CONTROL_H
#define GSLB_DNS_CONTROL_H

#include "common/arena/arena.h"
#include "common/error/error.h"
#include "common/loop/loop.h"
#include "common/text/text.h"
#include "gslb-dns/acme/acme.h"
#include "gslb-dns/config/config.h"
#include "gslb-dns/health/health.h"

/* What explain shows; strings live in the arena that is handed with it, or longer. NULL strings
 * are shown as empty. */
struct control_explain_region {
    const char *name;
    double distance_km; /* -1: no location */
    bool is_usable;
    const char *verdict;
};

/* What an operator wants to know. */
struct control_question {
    const char *name, *client;
    char *const *what_if; /* "down=eu-west", "up=eu-west-1" */
    size_t n_what_if;
};

struct control_explain {
    const char *name, *policy, *client;
    const char *asked; /* the name asked about, where CNAME or DNAME led from it to name */
    bool has_location;
    double latitude, longitude;
    const char *country, *location_source;
    const struct control_explain_region *regions; /* ranked */
    size_t n_regions;
    const struct ip *addresses; /* of the answer, all families */
    size_t n_addresses;
    uint32_t ttl_s;
    uint32_t scope_bits;
    const char *scope_prefix, *chosen, *verdict;
    const char *const *steps; /* what each policy on the way decided */
    size_t n_steps;
};

/* Clients, and what they are to be thought to ask. */
struct control_crowd {
    struct control_question question; /* no client */
    char *const *clients;             /* addresses or prefixes; none: those of the database */
    const double *weights;            /* by clients */
    size_t n_clients;
};

/* Where a crowd goes: now, and as the question's what-if has it. */
struct control_share {
    const char *region; /* "": none */
    double share, then_share;
    double km, then_km; /* the mean of those whose place is known; -1: of nobody */
};
struct control_simulation {
    const char *name;
    const struct control_share *shares;
    size_t n_shares;
    uint64_t n_clients, n_unlocated;
    double moved; /* the share whose region is another one then */
    double km, then_km;
    bool has_then;
};

/* A key of a zone that is signed here. */
struct control_key_status {
    uint16_t tag;
    const char *role, *algorithm, *state;
    int64_t since_s;  /* wall clock, 0: not known */
    const char *next; /* NULL: nothing is planned */
    int64_t next_s;
    bool wants_ds;
    const char *ds; /* NULL: it has none */
};

/* How a copy of others' zone is; ends of waits in seconds from now. */
struct control_copy_status {
    const char *state, *primary, *error;
    int64_t confirmed_s; /* wall clock, 0: never */
    int64_t refresh_in_s, expires_in_s;
    bool is_saved;
};

/* What status shows beyond edges. */
struct control_zone_status {
    const char *name;
    uint32_t serial, file_serial;
    uint64_t names, records;
    const char *error; /* NULL: the newest version of its file is served */
    bool is_missing;   /* no version could be loaded: answered SERVFAIL */
    const struct control_key_status *keys;
    size_t n_keys;
    const struct control_copy_status *copy; /* NULL: it has a file */
};

/* What an operator wants done with a zone's keys. */
struct control_roll {
    const char *zone, *kind, *algorithm; /* never NULL */
    bool is_abort;
    uint16_t ds_seen_tag; /* not 0: the DS of this key is at the parent, and no more is asked */
};

struct control_status {
    int64_t loaded_at_s;    /* wall clock */
    const char *load_error; /* NULL: the newest load was taken */
    const char *geo;
    const struct control_zone_status *zones;
    size_t n_zones;
    /* For each service of the config in order, one bool per region of it in order. */
    const bool *const *service_usable;
};

struct control_hooks {
    void *arg;
    /* What answers depend on has changed: publish it, now or soon, then say control_published. */
    void (*on_health_change)(void *arg);
    /* An operator wants a reload: of the configuration and all that has changed, or of the named
     * zones alone whether they have changed or not (the names are borrowed). Answer at once or
     * later (a load may take long and this thread must go on) by control_finish_reload(ticket). */
    void (*reload)(void *arg, uint64_t ticket, char *const *zones, size_t n_zones);
    /* Failure: error says why ("no such service"). */
    struct outcome (*explain)(void *arg, const struct control_question *q, struct arena *arena,
                              struct control_explain *out, struct text *error);
    struct outcome (*simulate)(void *arg, const struct control_crowd *crowd, struct arena *arena,
                               struct control_simulation *out, struct text *error);
    void (*status)(void *arg, struct arena *arena, struct control_status *out);
    /* Keys of zones. done: what comes next; failure: error says why. */
    struct outcome (*roll)(void *arg, const struct control_roll *roll, struct text *done,
                           struct text *error);
    /* The primaries of this zone are to be asked now; is_full: all of it is to be transferred. */
    struct outcome (*refresh)(void *arg, const char *zone, bool is_full, struct text *done,
                              struct text *error);
    /* Where a challenge for this name is looked for: the name itself, or where CNAMEs lead from it.
     * Failure: it lies in no zone here; error says so. */
    struct outcome (*find_challenge)(void *arg, const struct wire_name *name, struct wire_name *out,
                                     struct text *error);
    /* The program's own counters; control adds its own and those of the channel. */
    void (*metrics)(void *arg, struct text *out);
};

struct control;
struct control_change;

/* The loop need not run yet. hooks are copied. Nothing listens before the first commit. */
struct control *control_new(struct loop *loop, const struct control_hooks *hooks);
/* Closes all links and listeners. */
void control_free(struct control *c);

/* For --check: certificates, key and state file are read and judged; nothing is opened. */
void control_check(const struct config *config, struct errors *errors);
/* Reads certificates, opens listeners that are not open already. NULL: refused, errors say why. */
struct control_change *control_prepare(struct control *c, const struct config *config,
                                       struct errors *errors);
void control_commit(struct control *c, struct control_change *change);
void control_discard(struct control_change *change);

/* Of the committed configuration, edges by their index there; valid until the next commit. */
const struct health *control_health(const struct control *c);
/* A copy of it, as it would be if that configuration were committed now; the caller's. */
struct health *control_foresee_health(const struct control *c, const struct config *config);

/* How many changes on_health_change has told. What is taken now of health and challenges has them
 * all; once it is published, control_published says so with this number, and those who asked for
 * these changes are answered. */
uint64_t control_changes(const struct control *c);
void control_published(struct control *c, uint64_t changes);

/* The answer to hooks.reload: text is what changed, or what an operator must know when not all went
 * well: it was refused, or a zone is broken. Tickets of operators that have gone are ignored. */
void control_finish_reload(struct control *c, uint64_t ticket, bool is_fine, const char *text);

/* Challenges under way: part of what answers depend on. */
const struct acme_store *control_acme(const struct control *c);

/* Where listener i of the configuration listens (the kernel's port for port 0); for tests. */
struct addr control_listen_addr(const struct control *c, size_t i);
/* What the metrics page and gslbctl metrics show, hooks.metrics included. */
void control_write_metrics(const struct control *c, struct text *out);

#endif
