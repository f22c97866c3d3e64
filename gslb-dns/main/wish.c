/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/main/node_internal.h"

#include <stdlib.h>
#include <string.h>

void wish_add_zone(struct wish *w, const char *name)
{
    for (size_t i = 0; i < w->n_zones; i++)
        if (strcmp(w->zones[i], name) == 0)
            return;
    BASE_GROW(w->zones, w->n_zones, w->cap_zones);
    w->zones[w->n_zones++] = base_strdup(name);
}

void wish_free(struct wish *w)
{
    for (size_t i = 0; i < w->n_zones; i++)
        free(w->zones[i]);
    free(w->zones);
    *w = (struct wish){0};
}
