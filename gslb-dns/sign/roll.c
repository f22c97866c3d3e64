/* SPDX-License-Identifier: BSD-2-Clause */
/* Roll-overs on key files: plans are made of what the files say and written back. */
#include "gslb-dns/sign/sign_internal.h"

#include "common/clock/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct outcome fail(struct text *error, const char *why)
{
    text_adds(error, why);
    return OUTCOME_FAILED;
}

static struct outcome make_plan(const struct sign_keyring *k, struct plan *p, struct text *error)
{
    *p = (struct plan){.policy = &k->policy, .n = k->n, .n_old = k->n};
    if (k->n > PLAN_KEYS_MAX)
        return fail(error, "there are too many keys; move those that have left elsewhere");
    memcpy(p->keys, k->facts, k->n * sizeof(k->facts[0]));
    return OUTCOME_OK;
}

static struct outcome write_key(struct sign_key *key, const struct sign_key_facts *facts,
                                const struct wire_name *zone, struct text *error)
{
    struct errors errors = {0};
    struct outcome outcome;
    char *said;

    key->facts = *facts;
    outcome = key_write(key, zone, &errors);
    if (has_failed(outcome)) {
        said = errors_to_string(&errors);
        text_adds(error, said);
        free(said);
    }
    errors_free(&errors);
    return outcome;
}

/* Writes those that the plan has changed. */
static struct outcome write_old(const struct sign_keyring *k, const struct plan *p,
                                struct text *error)
{
    for (size_t i = 0; i < p->n_old; i++)
        if (memcmp(&p->keys[i], &k->facts[i], sizeof(p->keys[i])) != 0 &&
            has_failed(write_key(k->keys[i], &p->keys[i], &k->zone, error)))
            return OUTCOME_FAILED;
    return OUTCOME_OK;
}

static void tell_wait(const struct sign_keyring *k, const struct sign_key *key, struct text *done)
{
    char zone[WIRE_NAME_TEXT], when[CLOCK_ISO];
    int64_t sync_s = key->facts.times[SIGN_SYNC_PUBLISH];

    text_addf(done, "key %u (%s) follows key %u\n", key->facts.tag,
              sign_algorithm_name(key->facts.algorithm), key->facts.predecessor);
    if (sync_s == 0)
        return;
    wire_name_format(k->zone.bytes, zone);
    text_addf(done,
              "from %s on, not earlier, replace the DS at the parent; then: gslbctl ds-seen "
              "%s %u\n",
              clock_format_iso(sync_s, when), zone, key->facts.tag);
}

struct outcome sign_roll_begin(struct sign_keyring *k, enum sign_roll kind, uint8_t algorithm,
                               int64_t now_s, struct text *done, struct text *error)
{
    struct sign_key *fresh[PLAN_FRESH_MAX] = {NULL};
    struct outcome outcome = OUTCOME_OK;
    struct plan p;
    const char *why;

    if (has_failed(make_plan(k, &p, error)))
        return OUTCOME_FAILED;
    why = plan_fresh(&p, kind, algorithm, now_s);
    if (why != NULL)
        return fail(error, why);
    for (size_t i = p.n_old; i < p.n; i++) {
        struct sign_key *key = key_make(&k->zone, k->policy.directory,
                                        algorithm_find(p.keys[i].algorithm), p.keys[i].flags);

        p.keys[i].tag = key->facts.tag;
        fresh[i - p.n_old] = key;
    }
    plan_roll(&p, kind, now_s);
    /* New ones first: should the rest fail, both keys sign, which is valid. */
    for (size_t i = p.n_old; i < p.n && !has_failed(outcome); i++)
        outcome = write_key(fresh[i - p.n_old], &p.keys[i], &k->zone, error);
    if (!has_failed(outcome))
        outcome = write_old(k, &p, error);
    for (size_t i = 0; i < p.n - p.n_old; i++) {
        if (!has_failed(outcome))
            tell_wait(k, fresh[i], done);
        key_free(fresh[i]);
    }
    return outcome;
}

static struct outcome finish(struct sign_keyring *k, const struct plan *p, const char *why,
                             struct text *error)
{
    return why != NULL ? fail(error, why) : write_old(k, p, error);
}

struct outcome sign_roll_confirm_ds(struct sign_keyring *k, uint16_t tag, int64_t now_s,
                                    struct text *done, struct text *error)
{
    struct plan p;
    char when[CLOCK_ISO];

    if (has_failed(make_plan(k, &p, error)) ||
        has_failed(finish(k, &p, plan_confirm_ds(&p, tag, now_s), error)))
        return OUTCOME_FAILED;
    for (size_t i = 0; i < p.n; i++)
        if (p.keys[i].times[SIGN_DELETE] > now_s)
            text_addf(done, "key %u leaves the zone at %s\n", p.keys[i].tag,
                      clock_format_iso(p.keys[i].times[SIGN_DELETE], when));
    if (done->n == 0)
        text_adds(done, "noted\n");
    return OUTCOME_OK;
}

struct outcome sign_roll_abort(struct sign_keyring *k, int64_t now_s, struct text *done,
                               struct text *error)
{
    struct plan p;

    if (has_failed(make_plan(k, &p, error)) ||
        has_failed(finish(k, &p, plan_abort(&p, now_s), error)))
        return OUTCOME_FAILED;
    text_adds(done, "the keys before stay; the parent must not have the DS of the new one\n");
    return OUTCOME_OK;
}

/* ---- For people ---- */

static const struct {
    enum sign_time which;
    const char *next;
} STEPS[] = {
    {SIGN_PUBLISH, "is published"},         {SIGN_ACTIVATE, "begins to sign"},
    {SIGN_SYNC_PUBLISH, "asks for its DS"}, {SIGN_SYNC_DELETE, "asks for its DS no more"},
    {SIGN_INACTIVE, "stops signing"},       {SIGN_DELETE, "leaves the zone"},
};

static void find_next(const struct sign_key_facts *k, const struct sign_policy *p, int64_t now_s,
                      struct sign_key_state *out)
{
    for (size_t i = 0; i < COUNT_OF(STEPS); i++) {
        bool is_sync = STEPS[i].which == SIGN_SYNC_PUBLISH;
        int64_t at_s = is_sync ? key_sync_publish_s(k, p) : k->times[STEPS[i].which];

        if (at_s <= now_s || (is_sync && k->flags != SIGN_FLAGS_SEP) ||
            (out->next != NULL && out->next_s < at_s))
            continue;
        out->next = STEPS[i].next;
        out->next_s = at_s;
    }
}

static void find_state(const struct sign_key_facts *k, const struct key_role *r, int64_t now_s,
                       struct sign_key_state *out)
{
    const int64_t *t = k->times;
    bool signs = r->signs_keys || r->signs_data,
         has_left = t[SIGN_DELETE] != 0 && t[SIGN_DELETE] <= now_s;
    bool was_active = t[SIGN_INACTIVE] != 0 && t[SIGN_INACTIVE] <= now_s;

    if (has_left) {
        out->state = signs ? "withdrawn, still signing" : "removed";
        out->since_s = t[SIGN_DELETE];
    } else if (!r->is_published) {
        out->state = signs ? "signing, not yet published" : "made";
        out->since_s = signs ? t[SIGN_ACTIVATE] : t[SIGN_CREATED];
    } else if (was_active || !signs) {
        out->state = was_active ? "retired" : "published";
        out->since_s = was_active ? t[SIGN_INACTIVE] : t[SIGN_PUBLISH];
    } else {
        out->state = t[SIGN_DELETE] != 0 || t[SIGN_INACTIVE] != 0 ? "active, retiring" : "active";
        out->since_s = t[SIGN_PUBLISH] > t[SIGN_ACTIVATE] ? t[SIGN_PUBLISH] : t[SIGN_ACTIVATE];
    }
}

void sign_describe_key(const struct sign_keyring *k, size_t i, int64_t now_s,
                       struct sign_key_state *out)
{
    const struct sign_key_facts *facts = &k->facts[i];
    struct key_role *roles = base_zalloc(k->n, sizeof(roles[0]));
    bool is_split = false;

    for (size_t j = 0; j < k->n; j++)
        is_split |=
            k->facts[j].algorithm == facts->algorithm && k->facts[j].flags == SIGN_FLAGS_ZSK;
    key_roles(k->facts, k->n, &k->policy, now_s, roles);
    *out = (struct sign_key_state){
        .role = facts->flags == SIGN_FLAGS_ZSK ? "zsk"
                : is_split                     ? "ksk"
                                               : "csk",
        .wants_ds = facts->flags == SIGN_FLAGS_SEP && roles[i].is_synchronised &&
                    facts->times[SIGN_DS_PUBLISH] == 0,
    };
    find_state(facts, &roles[i], now_s, out);
    find_next(facts, &k->policy, now_s, out);
    free(roles);
}
