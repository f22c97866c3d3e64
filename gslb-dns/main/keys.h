/* SPDX-License-Identifier: BSD-2-Clause */
/* keys: what operators see of zones' keys and do with them while the node runs. Control thread.
 * Private to main. */
#ifndef GSLB_DNS_KEYS_H
#define GSLB_DNS_KEYS_H

#include "gslb-dns/control/control.h"
#include "gslb-dns/generation/generation.h"

/* The keys of a zone for its status; what is in the arena's. Returns how many. */
size_t keys_describe(const struct generation *g, size_t zone, struct arena *arena,
                     const struct control_key_status **out);
/* Begins, confirms or aborts a roll-over in the key files. The caller then has the signatures
 * renewed. */
MUST_USE struct outcome keys_roll(const struct generation *g, const struct control_roll *r,
                                  struct text *done, struct text *error);

/* What was done, for the log. */
const char *keys_action(const struct control_roll *r);

#endif
