/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/explain/explain_internal.h"

/* What a crowd adds up to in one region, in one of two worlds. */
struct sum {
    double weight, located, km;
};

struct simulation {
    const struct explain_world *worlds[2];
    uint16_t service;
    size_t n_regions;
    struct geo_db *db;   /* NULL: nobody's place is known */
    struct sum *sums[2]; /* by the service's region index, none last */
    double weight, moved;
    uint64_t n_clients, n_unlocated;
};

static const struct config_region *region_of(const struct simulation *s, size_t k)
{
    const struct config *c = generation_config(s->worlds[0]->generation);

    return &c->regions[c->services[s->service].regions[k]];
}

static void add_client(struct simulation *s, const struct ip *client, double weight,
                       const struct geo_location *where)
{
    bool is_located = where != NULL && where->has_coordinates;
    size_t chosen[2];

    for (size_t i = 0; i < 2 && s->worlds[i] != NULL; i++) {
        struct answer_steering by = answer_steer(s->worlds[i]->world, s->service, client);
        size_t k = by.region == STEER_NONE ? s->n_regions : by.region;
        struct sum *sum = &s->sums[i][k];

        chosen[i] = k;
        sum->weight += weight;
        if (is_located && k < s->n_regions) {
            const struct config_region *r = region_of(s, k);

            sum->located += weight;
            sum->km += weight * steer_distance_km(where->latitude, where->longitude, r->latitude,
                                                  r->longitude);
        }
    }
    s->weight += weight;
    s->moved += s->worlds[1] != NULL && chosen[0] != chosen[1] ? weight : 0;
    s->n_clients++;
    s->n_unlocated += !is_located;
}

/* One address of each /16 that the database knows, somewhere in its middle. */
static void add_database(struct simulation *s)
{
    for (uint32_t net = 0; s->db != NULL && net < 65536; net++) {
        uint32_t host = net * 40503u & 0xffff;
        struct ip ip = {
            .family = 4,
            .bytes = {(uint8_t)(net >> 8), (uint8_t)net, (uint8_t)(host >> 8), (uint8_t)host}};
        struct geo_location where;
        unsigned bits;

        if (geo_locate(s->db, &ip, &where, &bits))
            add_client(s, &ip, 1, &where);
    }
}

static struct outcome add_list(struct simulation *s, const struct control_crowd *crowd,
                               struct text *error)
{
    for (size_t i = 0; i < crowd->n_clients; i++) {
        struct geo_location where;
        unsigned bits;
        struct ip ip;

        if (has_failed(explain_read_client(crowd->clients[i], &ip, error)))
            return OUTCOME_FAILED;
        if (!(crowd->weights[i] > 0) || crowd->weights[i] > 1e15) {
            text_addf(error, "the weight of %s must be above 0", crowd->clients[i]);
            return OUTCOME_FAILED;
        }
        add_client(s, &ip, crowd->weights[i],
                   s->db != NULL && geo_locate(s->db, &ip, &where, &bits) ? &where : NULL);
    }
    return OUTCOME_OK;
}

static double mean(double km, double weight)
{
    return weight > 0 ? km / weight : -1;
}

static double mean_of_all(const struct simulation *s, size_t i)
{
    double km = 0, weight = 0;

    for (size_t k = 0; k < s->n_regions; k++)
        km += s->sums[i][k].km, weight += s->sums[i][k].located;
    return mean(km, weight);
}

static void tell_simulation(const struct simulation *s, struct arena *arena,
                            struct control_simulation *out)
{
    struct control_share *shares = arena_zalloc(arena, (s->n_regions + 1) * sizeof(shares[0]));

    for (size_t k = 0; k <= s->n_regions; k++) {
        const struct sum *now = &s->sums[0][k], *then = &s->sums[1][k];

        if (k == s->n_regions && !(now->weight > 0) && !(then->weight > 0))
            break;
        shares[out->n_shares++] =
            (struct control_share){.region = k < s->n_regions ? region_of(s, k)->name : "",
                                   .share = now->weight / s->weight,
                                   .then_share = then->weight / s->weight,
                                   .km = mean(now->km, now->located),
                                   .then_km = mean(then->km, then->located)};
    }
    out->shares = shares;
    out->n_clients = s->n_clients;
    out->n_unlocated = s->n_unlocated;
    out->moved = s->moved / s->weight;
    out->has_then = s->worlds[1] != NULL;
    out->km = mean_of_all(s, 0);
    out->then_km = mean_of_all(s, 1);
}

struct outcome explain_simulate(const struct explain_world *w, const struct explain_world *then,
                                const struct control_crowd *crowd, struct arena *arena,
                                struct control_simulation *out, struct text *error)
{
    struct simulation s = {.worlds = {w, then}, .db = generation_geo(w->generation)};
    struct outcome outcome = OUTCOME_OK;
    struct answer_explanation x;

    *out = (struct control_simulation){0};
    if (has_failed(explain_find_service(w, crowd->question.name, NULL, &x, error)))
        return OUTCOME_FAILED;
    s.service = x.service;
    out->name = generation_config(w->generation)->services[s.service].name;
    s.n_regions = generation_config(w->generation)->services[s.service].n_regions;
    for (size_t i = 0; i < 2; i++)
        s.sums[i] = arena_zalloc(arena, (s.n_regions + 1) * sizeof(s.sums[i][0]));
    if (s.db != NULL && has_failed(geo_wake(s.db))) {
        geo_rest(s.db);
        text_adds(error, "the database was written to since it was loaded; reload, then ask again");
        return OUTCOME_FAILED;
    }
    if (crowd->n_clients > 0)
        outcome = add_list(&s, crowd, error);
    else
        add_database(&s);
    if (s.db != NULL)
        geo_rest(s.db);
    if (!has_failed(outcome) && s.n_clients == 0) {
        text_adds(error, "there are no clients: give some, or configure a database");
        return OUTCOME_FAILED;
    }
    if (!has_failed(outcome))
        tell_simulation(&s, arena, out);
    return outcome;
}
