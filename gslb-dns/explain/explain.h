/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * explain: why a client gets the addresses it gets. Runs the very functions of the answer path and
 * says in words what each step found. For operators, over the control channel; control thread.
 */
#ifndef GSLB_DNS_EXPLAIN_H
#define GSLB_DNS_EXPLAIN_H

#include "gslb-dns/control/control.h"
#include "gslb-dns/generation/generation.h"

/* What there is to explain with: the world that is published, and what it was made of. */
struct explain_world {
    const struct generation *generation;
    const struct world *world;
    const struct health *health;
    int64_t now_ms; /* monotonic */
};

/* A world that is not: "down=NAME" and "up=NAME" of regions and edges, the later over the earlier.
 * explain_forget it. Failure: error says what is wrong. */
MUST_USE struct outcome explain_imagine(const struct explain_world *w, char *const *what_if,
                                        size_t n, struct explain_world *out, struct text *error);
void explain_forget(struct explain_world *imagined);

/* Where clients go, each asked about by the functions of the answer path, in w and (unless it is
 * NULL) in then. Takes some microseconds for each. */
MUST_USE struct outcome explain_simulate(const struct explain_world *w,
                                         const struct explain_world *then,
                                         const struct control_crowd *crowd, struct arena *arena,
                                         struct control_simulation *out, struct text *error);

/* name: a steered name, or one that CNAME or DNAME lead from to such a name; client: an address or
 * a prefix, as ECS would carry it. Strings in out live in arena or in the generation. Failure:
 * error says why, for people. */
MUST_USE struct outcome explain_answer(const struct explain_world *w, const char *name,
                                       const char *client, struct arena *arena,
                                       struct control_explain *out, struct text *error);

#endif
