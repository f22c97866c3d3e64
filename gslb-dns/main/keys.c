/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/main/keys.h"

#include "common/clock/clock.h"
#include "gslb-dns/sign/sign.h"

#include <stdlib.h>
#include <string.h>

enum { DS_SHA256 = 2 };

static const struct {
    const char *name;
    enum sign_roll kind;
} KINDS[] = {
    {"zsk", SIGN_ROLL_ZSK},
    {"ksk", SIGN_ROLL_KSK},
    {"csk", SIGN_ROLL_CSK},
    {"algorithm", SIGN_ROLL_ALGORITHM},
};

/* ---- Status ---- */

static const char *ds_of(const struct sign_keyring *ring, size_t i, struct arena *arena)
{
    struct text t = {0};
    const char *copy;

    sign_write_ds(ring, i, DS_SHA256, &t);
    copy = arena_strndup(arena, t.p, t.n - 1);
    text_free(&t);
    return copy;
}

size_t keys_describe(const struct generation *g, size_t zone, struct arena *arena,
                     const struct control_key_status **out)
{
    const struct sign_signer *signer = generation_signer(g, zone);
    const struct sign_keyring *ring = signer != NULL ? sign_signer_keyring(signer) : NULL;
    const struct sign_key_facts *facts;
    size_t n = ring != NULL ? sign_keyring_keys(ring, &facts) : 0;
    struct control_key_status *keys = arena_zalloc(arena, n * sizeof(keys[0]));

    for (size_t i = 0; i < n; i++) {
        struct sign_key_state state;

        sign_describe_key(ring, i, clock_wall_s(), &state);
        keys[i] = (struct control_key_status){
            .tag = facts[i].tag,
            .algorithm = sign_algorithm_name(facts[i].algorithm),
            .role = state.role,
            .state = state.state,
            .since_s = state.since_s,
            .next = state.next,
            .next_s = state.next_s,
            .wants_ds = state.wants_ds,
            .ds = facts[i].flags == SIGN_FLAGS_SEP ? ds_of(ring, i, arena) : NULL,
        };
    }
    *out = keys;
    return n;
}

/* ---- Roll-overs ---- */

static struct outcome begin(struct sign_keyring *ring, const struct control_roll *r,
                            struct text *done, struct text *error)
{
    const char *name = r->algorithm[0] != '\0' ? r->algorithm : "ECDSAP256SHA256";
    uint8_t algorithm = sign_algorithm_parse(str_of(name));

    if (algorithm == 0) {
        text_addf(error,
                  "'%.40s' is no algorithm to sign with: ECDSAP256SHA256, ECDSAP384SHA384 or "
                  "ED25519",
                  name);
        return OUTCOME_FAILED;
    }
    for (size_t i = 0; i < COUNT_OF(KINDS); i++)
        if (strcmp(KINDS[i].name, r->kind) == 0)
            return sign_roll_begin(ring, KINDS[i].kind, algorithm, clock_wall_s(), done, error);
    text_addf(error, "'%.40s' cannot be rolled: zsk, ksk, csk or algorithm", r->kind);
    return OUTCOME_FAILED;
}

struct outcome keys_roll(const struct generation *g, const struct control_roll *r,
                         struct text *done, struct text *error)
{
    struct errors errors = {0};
    struct sign_keyring *ring = generation_open_keyring(g, r->zone, &errors);
    struct outcome outcome = OUTCOME_FAILED;

    if (ring == NULL) {
        char *said = errors_to_string(&errors);

        text_adds(error, said);
        free(said);
    } else if (r->ds_seen_tag != 0)
        outcome = sign_roll_confirm_ds(ring, r->ds_seen_tag, clock_wall_s(), done, error);
    else if (r->is_abort)
        outcome = sign_roll_abort(ring, clock_wall_s(), done, error);
    else
        outcome = begin(ring, r, done, error);
    sign_keyring_release(ring);
    errors_free(&errors);
    return outcome;
}

const char *keys_action(const struct control_roll *r)
{
    if (r->ds_seen_tag != 0)
        return "the parent has the new DS";
    return r->is_abort ? "roll-over of keys given up" : "roll-over of keys begun";
}
