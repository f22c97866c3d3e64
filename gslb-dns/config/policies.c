/* SPDX-License-Identifier: BSD-2-Clause */
/* Policies of the operator's own: their keys, and what is wrong with the trees that they make. */
#include "gslb-dns/config/config_internal.h"

#include <stdlib.h>
#include <string.h>

/* Two capital letters. */
static const char *check_code(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < 'A' || text.p[i] > 'Z')
            return "must be two capital letters";
    return text.n == 2 ? NULL : "must be two capital letters";
}

static const char *check_continent(struct str text)
{
    static const char codes[][3] = {"AF", "AN", "AS", "EU", "NA", "OC", "SA"};

    for (size_t i = 0; i < COUNT_OF(codes); i++)
        if (str_is(text, codes[i]))
            return NULL;
    return "must be one of AF, AN, AS, EU, NA, OC and SA";
}

static const struct conf_field BRANCH_FIELDS[] = {
    {
        .key = "to",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct file_branch, to),
        .is_required = true,
        .expects = "the name of a region or a policy",
        .help = "A region, or another policy. May stand for the whole branch: to: [eu-west, "
                "us-east].",
    },
    {
        .key = "weight",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct file_branch, weight),
        .preset = "1",
        .min = "1",
        .max = "1000000",
        .help = "With weighted and sticky: the share of the clients, beside the other branches' "
                "weights.",
    },
    {
        .key = "bias",
        .kind = CONF_DOUBLE,
        .slot = CONF_ONE(struct file_branch, bias_km),
        .preset = "0",
        .min = "-20000",
        .max = "20000",
        .help = "With nearest: kilometres that are added to the region's distance; below 0 draws "
                "clients in.",
    },
    {
        .key = "networks",
        .kind = CONF_PREFIX,
        .slot = CONF_LIST(struct file_branch, networks, n_networks),
        .item_places = CONF_AT(struct file_branch, network_places),
        .help = "With geo: clients in these networks. The longest that fits decides.",
    },
    {
        .key = "countries",
        .kind = CONF_STRING,
        .slot = CONF_LIST(struct file_branch, countries, n_countries),
        .item_places = CONF_AT(struct file_branch, country_places),
        .check = check_code,
        .expects = "an ISO 3166-1 code, as DE",
        .help = "With geo: clients that the database has in these countries, by their ISO 3166-1 "
                "codes of two letters, unless a network fits.",
    },
    {
        .key = "continents",
        .kind = CONF_STRING,
        .slot = CONF_LIST(struct file_branch, continents, n_continents),
        .item_places = CONF_AT(struct file_branch, continent_places),
        .check = check_continent,
        .expects = "the code of a continent",
        .help = "With geo: the same of continents (AF, AN, AS, EU, NA, OC, SA), unless a network "
                "or a country fits.",
    },
};
static const struct conf_struct BRANCH = {
    .what = "branch",
    .size = sizeof(struct file_branch),
    CONF_FIELDS(BRANCH_FIELDS),
    .shorthand = "to",
    .place = CONF_AT(struct file_branch, place),
};

/* steer's policies; a unit test keeps the two lists alike. */
static const struct conf_choice TYPES[] = {{"nearest", 0},  {"failover", 0}, {"geo", 0},
                                           {"weighted", 0}, {"sticky", 0},   {NULL, 0}};

static const struct conf_field POLICY_FIELDS[] = {
    {
        .key = "type",
        .kind = CONF_WORD,
        .slot = CONF_ONE(struct file_policy, type),
        .choices = TYPES,
        .is_required = true,
        .help = "How one of the branches is chosen, among those that have a healthy region: "
                "nearest: the region nearest to the client; failover: the first; geo: the one "
                "whose networks, countries or continents the client is in, else the one without "
                "any of these; weighted: at random by weight, and at random again when the "
                "service's TTL has passed; sticky: by weight, always the same one for a client's "
                "/24 or /48, so that a branch that goes takes only its own clients along.",
    },
    {
        .key = "to",
        .kind = CONF_STRUCT,
        .slot = CONF_LIST(struct file_policy, branches, n_branches),
        .of = &BRANCH,
        .is_required = true,
        .max_items = 10000,
        .help = "The branches.",
    },
};
const struct conf_struct config_policy_schema = {
    .what = "policy",
    .size = sizeof(struct file_policy),
    CONF_FIELDS(POLICY_FIELDS),
    .name = CONF_AT(struct file_policy, name),
    .place = CONF_AT(struct file_policy, place),
};

/* ---- names and rules ---- */

struct reading {
    struct conf *f;
    struct arena *arena;
    const struct config *c;
    const struct policy_names *names;
    const struct file_policy *from;
};

static bool is_type(const struct file_policy *p, const char *type)
{
    return p->type != NULL && strcmp(p->type, type) == 0;
}

/* Codes one after the other; seen: which branch has which. */
static const char *join_codes(const struct reading *r, const char *const *codes,
                              const struct place *places, size_t n, struct conf_index *seen)
{
    char *out;

    if (n == 0)
        return NULL;
    out = arena_alloc(r->arena, 2 * n + 1);
    for (size_t i = 0; i < n; i++) {
        memcpy(out + 2 * i, codes[i], 2);
        if (conf_index_put(seen, codes[i], i) != CONF_NONE)
            conf_error(r->f, places[i], "policy '%s': %s stands here twice", r->from->name,
                       codes[i]);
    }
    out[2 * n] = '\0';
    return out;
}

struct seen {
    struct conf_index networks, countries, continents, targets;
};

static void check_networks(const struct reading *r, const struct file_branch *b, struct seen *seen)
{
    for (size_t i = 0; i < b->n_networks; i++) {
        char text[ADDR_TEXT], *name;

        name = base_printf("%s/%u", ip_format(&b->networks[i].ip, text), b->networks[i].length);
        if (conf_index_put(&seen->networks, arena_strndup(r->arena, name, strlen(name)), i) !=
            CONF_NONE)
            conf_error(r->f, b->network_places[i], "policy '%s': %s stands here twice",
                       r->from->name, name);
        free(name);
    }
}

/* Keys that this type of policy does not look at. */
static void check_keys(const struct reading *r, const struct file_branch *b)
{
    bool is_drawn = is_type(r->from, "weighted") || is_type(r->from, "sticky");
    bool has_rule = b->n_networks + b->n_countries + b->n_continents > 0;

    if (r->from->type == NULL)
        return;
    if (b->weight > 1 && !is_drawn)
        conf_error(r->f, b->place, "policy '%s': weight is for types weighted and sticky, not %s",
                   r->from->name, r->from->type);
    if ((b->bias_km < 0 || b->bias_km > 0) && !is_type(r->from, "nearest"))
        conf_error(r->f, b->place, "policy '%s': bias is for type nearest, not %s", r->from->name,
                   r->from->type);
    if (has_rule && !is_type(r->from, "geo"))
        conf_error(r->f, b->place,
                   "policy '%s': networks, countries and continents are for type geo, not %s",
                   r->from->name, r->from->type);
}

static bool has_address(const struct config *c, size_t region)
{
    const struct config_region *r = &c->regions[region];

    for (uint32_t i = r->first_edge; i < r->first_edge + r->n_edges; i++)
        if (c->edges[i].n_addresses > 0)
            return true;
    return false;
}

static void find_target(const struct reading *r, const struct file_branch *b,
                        struct config_branch *out)
{
    size_t region = conf_index_get(r->names->regions, b->to);
    size_t policy = conf_index_get(&r->names->policies, b->to);
    char hint[CONF_HINT];

    out->is_policy = region == CONF_NONE;
    if (region != CONF_NONE) {
        out->target = (uint32_t)region;
        if (!has_address(r->c, region))
            conf_error(r->f, b->place, "policy '%s': region '%s' has no address", r->from->name,
                       b->to);
    } else if (policy != CONF_NONE) {
        out->target = (uint32_t)policy;
        if (is_type(r->from, "nearest"))
            conf_error(r->f, b->place,
                       "policy '%s': nearest ranks regions, and '%s' is a policy; type failover "
                       "takes policies one after the other",
                       r->from->name, b->to);
    } else {
        out->target = CONFIG_NO_POLICY;
        conf_hint(r->f, r->names->regions, b->to, hint);
        if (hint[0] == '\0')
            conf_hint(r->f, &r->names->policies, b->to, hint);
        conf_error(r->f, b->place, "policy '%s': no region or policy is named '%s'%s",
                   r->from->name, b->to, hint);
    }
}

static void read_branch(const struct reading *r, const struct file_branch *b,
                        struct config_branch *out, struct seen *seen)
{
    *out = (struct config_branch){.to = b->to,
                                  .weight = b->weight,
                                  .bias_km = b->bias_km,
                                  .networks = b->networks,
                                  .n_networks = b->n_networks,
                                  .target = CONFIG_NO_POLICY,
                                  .is_policy = true};
    if (b->to == NULL)
        return;
    check_keys(r, b);
    check_networks(r, b, seen);
    out->countries =
        join_codes(r, b->countries, b->country_places, b->n_countries, &seen->countries);
    out->continents =
        join_codes(r, b->continents, b->continent_places, b->n_continents, &seen->continents);
    find_target(r, b, out);
    if (!is_type(r->from, "geo") && conf_index_put(&seen->targets, b->to, 0) != CONF_NONE)
        conf_error(r->f, b->place, "policy '%s': '%s' stands here twice", r->from->name, b->to);
}

static void check_default(const struct reading *r)
{
    const struct file_branch *first = NULL;

    if (!is_type(r->from, "geo"))
        return;
    for (size_t i = 0; i < r->from->n_branches; i++) {
        const struct file_branch *b = &r->from->branches[i];

        if (b->n_networks + b->n_countries + b->n_continents > 0)
            continue;
        if (first != NULL)
            conf_error(r->f, b->place,
                       "policy '%s': this branch is never reached, for another one without "
                       "networks, countries and continents stands in line %u",
                       r->from->name, first->place.line);
        first = first != NULL ? first : b;
    }
    if (first == NULL)
        conf_error(r->f, r->from->place,
                   "policy '%s' needs a branch without networks, countries and continents, for all "
                   "other clients",
                   r->from->name);
}

static void read_policy(const struct reading *r, struct config_policy *out)
{
    struct config_branch *branches =
        arena_zalloc(r->arena, (r->from->n_branches + 1) * sizeof(branches[0]));
    struct seen seen = {0};

    for (size_t i = 0; i < r->from->n_branches; i++)
        read_branch(r, &r->from->branches[i], &branches[i], &seen);
    check_default(r);
    conf_index_free(&seen.networks);
    conf_index_free(&seen.countries);
    conf_index_free(&seen.continents);
    conf_index_free(&seen.targets);
    *out = (struct config_policy){.name = r->from->name,
                                  .type = r->from->type,
                                  .place = r->from->place,
                                  .branches = branches,
                                  .n_branches = r->from->n_branches};
}

/* ---- trees ---- */

enum { DEPTH_MAX = 16, NODES_MAX = 1000 };

/* A walk from one policy: its nodes, shared ones counted as often as they are reached. */
struct climb {
    struct conf *f;
    const struct file *file;
    const struct config *c;
    uint32_t path[DEPTH_MAX];
    size_t depth, n_nodes;
    bool is_broken;
};

static void say_cycle(struct climb *k, uint32_t policy)
{
    struct text t = {0};
    size_t from = 0;

    while (k->path[from] != policy)
        from++;
    for (; from < k->depth; from++)
        text_addf(&t, "%s -> ", k->c->policies[k->path[from]].name);
    conf_error(k->f, k->c->policies[policy].place, "policy '%s' leads back to itself: %s%s",
               k->c->policies[policy].name, t.p, k->c->policies[policy].name);
    text_free(&t);
}

static void climb(struct climb *k, uint32_t policy)
{
    const struct config_policy *p = &k->c->policies[policy];

    for (size_t i = 0; i < k->depth; i++)
        if (k->path[i] == policy) {
            k->is_broken = true;
            if (i == 0) /* the others have it told from where they begin */
                say_cycle(k, policy);
            return;
        }
    if (k->depth == DEPTH_MAX || ++k->n_nodes > NODES_MAX) {
        if (!k->is_broken)
            conf_error(k->f, k->c->policies[k->path[0]].place,
                       "policy '%s' is too large: at most %d policies one below the other, %d in "
                       "all",
                       k->c->policies[k->path[0]].name, DEPTH_MAX, NODES_MAX);
        k->is_broken = true;
        return;
    }
    k->path[k->depth++] = policy;
    for (size_t i = 0; i < p->n_branches && !k->is_broken; i++)
        if (p->branches[i].is_policy && p->branches[i].target != CONFIG_NO_POLICY)
            climb(k, p->branches[i].target);
    k->depth--;
}

/* Marks the regions that a branch may lead to; or with is_sure those that it looks at whoever
 * asks. */
static void mark_regions(const struct config *c, const struct config_branch *b, bool is_sure,
                         bool *marks)
{
    const struct config_policy *p;

    if (b->target == CONFIG_NO_POLICY)
        return;
    if (!b->is_policy) {
        marks[b->target] = true;
        return;
    }
    p = &c->policies[b->target];
    if (is_sure && strcmp(p->type, "geo") == 0)
        return; /* who is in none of its rules looks at one branch alone */
    for (size_t i = 0; i < p->n_branches; i++)
        mark_regions(c, &p->branches[i], is_sure, marks);
}

/* What stands behind regions that are all tried before. */
static void check_reach(struct conf *f, const struct file *file, const struct config *c,
                        uint32_t policy)
{
    const struct config_policy *p = &c->policies[policy];
    bool *before = base_zalloc(c->n_regions + 1, sizeof(bool)), *here;

    here = base_zalloc(c->n_regions + 1, sizeof(bool));
    for (size_t i = 0; i < p->n_branches; i++) {
        bool is_new = p->branches[i].target == CONFIG_NO_POLICY;

        memset(here, 0, c->n_regions);
        mark_regions(c, &p->branches[i], false, here);
        for (size_t k = 0; k < c->n_regions; k++)
            is_new |= here[k] && !before[k];
        if (!is_new)
            conf_error(f, file->policies[policy].branches[i].place,
                       "policy '%s': '%s' is never reached, for all its regions stand before it",
                       p->name, p->branches[i].to);
        mark_regions(c, &p->branches[i], true, before);
    }
    free(before);
    free(here);
}

void config_read_policies(struct conf *f, struct arena *a, const struct file *file,
                          struct config *c, struct policy_names *names)
{
    struct config_policy *policies = arena_zalloc(a, (file->n_policies + 1) * sizeof(policies[0]));
    bool is_broken = false;

    for (size_t i = 0; i < file->n_policies; i++) {
        const struct file_policy *p = &file->policies[i];

        for (size_t k = 0; TYPES[k].name != NULL; k++)
            if (strcmp(p->name, TYPES[k].name) == 0)
                conf_error(f, p->place, "policy '%s' has the name of a type; give it another",
                           p->name);
        if (conf_index_get(names->regions, p->name) != CONF_NONE)
            conf_error(f, p->place, "policy '%s' has the name of a region; give it another",
                       p->name);
        conf_index_put(&names->policies, p->name, i);
    }
    for (size_t i = 0; i < file->n_policies; i++)
        read_policy(&(struct reading){f, a, c, names, &file->policies[i]}, &policies[i]);
    c->policies = policies;
    c->n_policies = file->n_policies;
    for (uint32_t i = 0; i < c->n_policies; i++) {
        struct climb k = {.f = f, .file = file, .c = c};

        climb(&k, i);
        is_broken |= k.is_broken || policies[i].type == NULL;
    }
    for (uint32_t i = 0; i < c->n_policies && !is_broken; i++)
        if (strcmp(policies[i].type, "failover") == 0)
            check_reach(f, file, c, i);
    if (is_broken)
        c->n_policies = 0; /* for what looks at trees below */
}

/* ---- services ---- */

static bool is_own_word(const char *policy)
{
    for (size_t i = 0; TYPES[i].name != NULL; i++)
        if (strcmp(policy, TYPES[i].name) == 0)
            return strcmp(policy, "geo") != 0;
    return false;
}

bool config_find_policy(struct conf *f, struct arena *a, const struct config *c,
                        const struct policy_names *names, const struct file_service *from,
                        struct config_service *out)
{
    size_t number;
    char hint[CONF_HINT];
    bool *marks;
    uint16_t *regions;

    out->own_policy = CONFIG_NO_POLICY;
    if (out->policy == NULL || is_own_word(out->policy))
        return false;
    number = conf_index_get(&names->policies, out->policy);
    if (number == CONF_NONE) {
        conf_error(f, from->policy_place,
                   "service '%s': expected nearest, failover, weighted, sticky or one of policies, "
                   "not '%s'%s",
                   out->name, out->policy, conf_hint(f, &names->policies, out->policy, hint));
        return false;
    }
    if (from->regions != NULL)
        conf_error(f, from->region_places[0],
                   "service '%s': policy '%s' names its regions; take the key 'regions' away",
                   out->name, out->policy);
    out->own_policy = (uint32_t)number;
    if (number >= c->n_policies)
        return true; /* it is broken, and that was told */
    marks = base_zalloc(c->n_regions + 1, sizeof(*marks));
    regions = arena_alloc(a, (c->n_regions + 1) * sizeof(*regions));
    mark_regions(c, &(struct config_branch){.is_policy = true, .target = (uint32_t)number}, false,
                 marks);
    out->n_regions = 0;
    for (size_t i = 0; i < c->n_regions; i++)
        if (marks[i])
            regions[out->n_regions++] = (uint16_t)i;
    out->regions = regions;
    free(marks);
    return true;
}

static void mark_policies(const struct config *c, uint32_t policy, bool *is_used)
{
    const struct config_policy *p = &c->policies[policy];

    is_used[policy] = true;
    for (size_t i = 0; i < p->n_branches; i++)
        if (p->branches[i].is_policy && p->branches[i].target != CONFIG_NO_POLICY &&
            !is_used[p->branches[i].target])
            mark_policies(c, p->branches[i].target, is_used);
}

void config_check_use(struct conf *f, const struct config *c)
{
    bool *is_used = base_zalloc(c->n_policies + 1, sizeof(*is_used));

    for (size_t i = 0; i < c->n_services; i++)
        if (c->services[i].own_policy < c->n_policies)
            mark_policies(c, c->services[i].own_policy, is_used);
    for (size_t i = 0; i < c->n_policies; i++)
        if (!is_used[i])
            conf_warn(f, c->policies[i].place, "policy '%s' is used by no service",
                      c->policies[i].name);
    free(is_used);
}
