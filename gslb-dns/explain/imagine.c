/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/explain/explain_internal.h"

#include <string.h>

/* The edges of that name's region, or the edge itself. false: there is none. */
static bool imagine_name(const struct config *c, struct health *h, const char *name, bool is_up)
{
    bool is_found = false;

    for (size_t i = 0; i < c->n_edges; i++)
        if (strcmp(c->edges[i].name, name) == 0 ||
            strcmp(c->regions[c->edges[i].region].name, name) == 0) {
            health_imagine(h, i, is_up);
            is_found = true;
        }
    return is_found;
}

static struct outcome imagine_word(const struct config *c, struct health *h, const char *word,
                                   struct text *error)
{
    bool is_up = strncmp(word, "up=", 3) == 0, is_down = strncmp(word, "down=", 5) == 0;
    const char *name = word + (is_up ? 3 : 5);

    if (!is_up && !is_down) {
        text_addf(error, "'%s' is not of the form down=NAME or up=NAME", word);
        return OUTCOME_FAILED;
    }
    if (imagine_name(c, h, name, is_up))
        return OUTCOME_OK;
    text_addf(error, "no region or edge is named '%s'", name);
    return OUTCOME_FAILED;
}

struct outcome explain_imagine(const struct explain_world *w, char *const *what_if, size_t n,
                               struct explain_world *out, struct text *error)
{
    struct health *h = health_copy(w->health);

    for (size_t i = 0; i < n; i++)
        if (has_failed(imagine_word(generation_config(w->generation), h, what_if[i], error))) {
            health_free(h);
            return OUTCOME_FAILED;
        }
    *out = *w;
    out->health = h;
    out->world = generation_imagine_world(w->generation, h);
    return OUTCOME_OK;
}

void explain_forget(struct explain_world *imagined)
{
    generation_free_world((struct world *)imagined->world);
    health_free((struct health *)imagined->health);
}
