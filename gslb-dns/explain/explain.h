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

/* name: a steered name, or one that CNAME or DNAME lead from to such a name; client: an address or
 * a prefix, as ECS would carry it. Strings in out live in arena or in the generation. Failure:
 * error says why, for people. */
MUST_USE struct outcome explain_answer(const struct explain_world *w, const char *name,
                                       const char *client, struct arena *arena,
                                       struct control_explain *out, struct text *error);

#endif
