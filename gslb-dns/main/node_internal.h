/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the main room share. */
#ifndef GSLB_DNS_NODE_INTERNAL_H
#define GSLB_DNS_NODE_INTERNAL_H

#include "common/snapshot/snapshot.h"
#include "common/text/text.h"
#include "gslb-dns/control/control.h"
#include "gslb-dns/generation/generation.h"
#include "gslb-dns/secondary/secondary.h"

/* wish.c: what was asked for and is not loaded yet. Zero-initialise. */
struct wish {
    bool is_full;    /* the configuration, and every zone that has changed */
    bool is_renewal; /* of what is signed */
    char **zones;    /* to be read in any case; names, owned */
    size_t n_zones, cap_zones;
    struct generation_version *versions; /* of copies; names and references owned */
    size_t n_versions, cap_versions;
};
void wish_add_zone(struct wish *w, const char *name);
/* The newest of each zone counts; version NULL: none is to be served. A reference is taken. */
void wish_add_version(struct wish *w, const char *zone, struct replica *version);
/* Moves those of from that are not in w in a newer version. */
void wish_take_versions(struct wish *w, struct wish *from);
/* Is there a file of this zone to be read? */
MUST_USE struct outcome wish_check_zone(const struct generation *g, const char *name,
                                        struct text *why);
/* For the operator who asked: what of it was taken, and what it was warned of; the caller frees. */
char *wish_describe(const struct wish *w, const struct generation *g, const struct errors *warned,
                    int64_t took_ms);
static inline bool wish_is_empty(const struct wish *w)
{
    return !w->is_full && !w->is_renewal && w->n_zones == 0 && w->n_versions == 0;
}
void wish_free(struct wish *w);

/* faults.c: zones whose newest version is not served. */
void faults_log(const struct generation *g);
/* A line for each zone that this load has read and found broken, and what is wrong with it. */
void faults_describe(const struct generation *g, struct text *out);
/* The first thing that is wrong with it, with its place; NULL: nothing is. */
const char *faults_of_zone(const struct generation *g, size_t zone, struct arena *arena);
void faults_write_metrics(const struct generation *g, struct text *out);
/* renewal.c: calls on_due when what the generation has signed is to be renewed. */
struct event_base;
struct renewal;
struct renewal *renewal_new(struct event_base *base, void (*on_due)(void *arg), void *arg);
/* g: from now on, until the next call. */
void renewal_watch(struct renewal *r, const struct generation *g);
void renewal_free(struct renewal *r);

/* challenge.c: where a CA will look for a challenge of this name. Failure: in no zone here, or in
 * one that nobody here can sign. */
struct outcome challenge_find(const struct generation *g, const struct world *w,
                              const struct wire_name *name, struct wire_name *out,
                              struct text *error);
/* What a world of this generation, not yet published, shows of the store; as acme_view_new. */
struct acme_view *challenge_view(const struct generation *g, const struct acme_store *s,
                                 const struct world *w, const struct acme_view *previous);

/* secondaries.c: tells those that a zone's notify names. */
struct notify;
void secondaries_tell(struct notify *notify, const struct generation *g, const struct world *w);
void secondaries_write_metrics(const struct generation *g, struct text *out);

/* worlds.c: the world that is published, and the next ones. Control thread. */
struct worlds;
struct worlds *worlds_new(struct loop *loop, struct control *control, struct secondary *secondary,
                          struct snapshot_slot *slot);
/* What answers depend on has changed: a world that has it is published soon. */
void worlds_refresh(struct worlds *w);
/* Makes a world of a generation that is not served yet, which must live until then: on_prepared has
 * it published by worlds_put, or forgotten by worlds_drop. */
void worlds_prepare(struct worlds *w, const struct generation *fresh,
                    void (*on_prepared)(void *arg), void *arg);
/* Publishes a world of g: the one that was prepared, else one that is made at once. Takes over old,
 * the generation before (or NULL). */
void worlds_put(struct worlds *w, struct generation *old, const struct generation *g);
void worlds_drop(struct worlds *w);
const struct world *worlds_newest(const struct worlds *w);
/* The slot is empty then. Before the generations are freed. */
void worlds_free(struct worlds *w);

/* copies.c: zones with primaries, between the configuration, the secondary room and the loads. */
struct control_copy_status;
/* *tls: for the update; NULL where no primary speaks TLS. */
MUST_USE struct outcome copies_prepare(const struct config *c, SSL_CTX **tls,
                                       struct errors *errors);
void copies_check(const struct config *c, struct errors *errors);
void copies_update(struct secondary *s, const struct generation *g, const struct world *w,
                   SSL_CTX *tls);
/* This load has brought the wish's versions; g NULL: it has refused all. */
void copies_loaded(struct secondary *s, const struct wish *w, const struct generation *g);
/* NULL: the zone is nobody's copy. */
const struct control_copy_status *copies_describe(struct secondary *s, const struct config_zone *z,
                                                  struct arena *arena);
struct outcome copies_refresh(struct secondary *s, const struct generation *g, const char *zone,
                              bool is_full, struct text *done, struct text *error);
void copies_write_metrics(struct secondary *s, const struct config *c, struct text *out);

/* node.c */
void node_log_errors(const struct errors *errors);

#endif
