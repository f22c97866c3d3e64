/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Roll-overs, walked through by a clock that jumps. At every step every validator that the TTLs
 * allow must be able to validate: with any DNSKEY set, any signatures and any DS set that a cache
 * or a slow server can still have. The validator is a strict one: each algorithm of the DS set must
 * sign the DNSKEY set, each algorithm of the DNSKEY set the data (RFC 4035 section 2.2).
 */
#include "gslb-dns/sign/sign_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { STEP_S = 900, START_S = 1800000000, STEPS_MAX = 60 * 86400 / STEP_S };

static const struct sign_policy POLICY = {
    .dnskey_ttl_s = 7200,
    .zone_max_ttl_s = 86400,
    .propagation_delay_s = 3600,
    .parent_ds_ttl_s = 43200,
    .parent_propagation_delay_s = 7200,
};

/* Sets of keys as bits by their place in the plan. */
struct moment {
    uint8_t dnskeys, key_signers, data_signers, ds, cds;
};

static struct moment history[STEPS_MAX];
static size_t n_history;

static struct moment look(const struct plan *p, int64_t now_s, uint8_t ds)
{
    struct key_role roles[PLAN_KEYS_MAX + PLAN_FRESH_MAX];
    struct moment m = {.ds = ds};

    key_roles(p->keys, p->n, p->policy, now_s, roles);
    for (size_t i = 0; i < p->n; i++) {
        m.dnskeys |= (uint8_t)(roles[i].is_published << i);
        m.key_signers |= (uint8_t)(roles[i].signs_keys << i);
        m.data_signers |= (uint8_t)(roles[i].signs_data << i);
        m.cds |= (uint8_t)(roles[i].is_synchronised << i);
    }
    return m;
}

static uint8_t of_algorithm(const struct plan *p, uint8_t algorithm)
{
    uint8_t set = 0;

    for (size_t i = 0; i < p->n; i++)
        set |= (uint8_t)((p->keys[i].algorithm == algorithm) << i);
    return set;
}

/* Does each algorithm of set have a key in signers? */
static bool covers(const struct plan *p, uint8_t set, uint8_t signers)
{
    for (size_t i = 0; i < p->n; i++)
        if ((set >> i & 1) && !(signers & of_algorithm(p, p->keys[i].algorithm)))
            return false;
    return set != 0;
}

static bool validates(const struct plan *p, struct moment keys, uint8_t data_signers, uint8_t ds)
{
    return covers(p, ds, ds & keys.dnskeys & keys.key_signers) &&
           covers(p, keys.dnskeys, data_signers & keys.dnskeys);
}

/* The different moments of the last so many seconds. */
static size_t distinct(int64_t window_s, struct moment out[16])
{
    size_t n = 0, back = (size_t)(window_s / STEP_S);

    for (size_t i = n_history; i > 0 && n_history - i <= back; i--) {
        size_t j = 0;

        while (j < n && memcmp(&out[j], &history[i - 1], sizeof(out[0])) != 0)
            j++;
        if (j < n)
            continue;
        assert_true(n < 16);
        out[n++] = history[i - 1];
    }
    return n;
}

/* Whether every validator that there can be validates now. */
static bool all_validate(const struct plan *p)
{
    struct moment keys[16], data[16], ds[16];
    size_t n_keys = distinct(POLICY.dnskey_ttl_s + POLICY.propagation_delay_s - STEP_S, keys);
    size_t n_data = distinct(POLICY.zone_max_ttl_s + POLICY.propagation_delay_s - STEP_S, data);
    size_t n_ds = distinct(POLICY.parent_ds_ttl_s + POLICY.parent_propagation_delay_s - STEP_S, ds);

    for (size_t k = 0; k < n_keys; k++)
        for (size_t d = 0; d < n_data; d++)
            for (size_t s = 0; s < n_ds; s++)
                if (!validates(p, keys[k], data[d].data_signers, ds[s].ds))
                    return false;
    return true;
}

/* ---- The zone and its operator ---- */

struct zone {
    struct plan plan;
    int64_t now_s;
    uint8_t ds;    /* at the parent */
    bool is_valid; /* so far, for everybody */
};

static void add_key(struct zone *z, uint8_t algorithm, uint16_t flags)
{
    int64_t past_s = START_S - 100 * 86400;
    struct plan *p = &z->plan;

    p->keys[p->n] = (struct sign_key_facts){
        .algorithm = algorithm,
        .flags = flags,
        .tag = (uint16_t)(100 + p->n),
        .times = {[SIGN_CREATED] = past_s, [SIGN_PUBLISH] = past_s, [SIGN_ACTIVATE] = past_s},
    };
    if (flags == SIGN_FLAGS_SEP) {
        p->keys[p->n].times[SIGN_DS_PUBLISH] = past_s + 86400;
        z->ds = (uint8_t)(1 << p->n);
    }
    p->n++;
}

static struct zone make_zone(bool is_split)
{
    struct zone z = {.plan = {.policy = &POLICY}, .now_s = START_S, .is_valid = true};

    n_history = 0;
    add_key(&z, SIGN_ECDSAP256SHA256, SIGN_FLAGS_SEP);
    if (is_split)
        add_key(&z, SIGN_ECDSAP256SHA256, SIGN_FLAGS_ZSK);
    return z;
}

static void walk(struct zone *z, int64_t for_s)
{
    for (int64_t end_s = z->now_s + for_s; z->now_s < end_s; z->now_s += STEP_S) {
        assert_true(n_history < STEPS_MAX);
        history[n_history++] = look(&z->plan, z->now_s, z->ds);
        z->is_valid &= all_validate(&z->plan);
    }
}

static void roll(struct zone *z, enum sign_roll kind, uint8_t algorithm)
{
    assert_null(plan_fresh(&z->plan, kind, algorithm, z->now_s));
    for (size_t i = z->plan.n_old; i < z->plan.n; i++)
        z->plan.keys[i].tag = (uint16_t)(100 + i);
    plan_roll(&z->plan, kind, z->now_s);
}

/* The new key that shall have a DS; its place. */
static size_t fresh_sep(const struct zone *z)
{
    for (size_t i = z->plan.n_old; i < z->plan.n; i++)
        if (z->plan.keys[i].flags == SIGN_FLAGS_SEP)
            return i;
    fail();
    return 0;
}

/* The parent takes over the CDS set, as RFC 7344 has it; the operator says so after a while. */
static void swap_ds(struct zone *z, int64_t wait_s, int64_t tell_after_s)
{
    size_t fresh = fresh_sep(z);
    int64_t sync_s = z->plan.keys[fresh].times[SIGN_SYNC_PUBLISH];

    assert_string_equal(
        plan_confirm_ds(&z->plan, z->plan.keys[fresh].tag, z->now_s) != NULL ? "no" : "yes",
        "no"); /* too early */
    walk(z, sync_s - z->now_s + STEP_S + wait_s);
    assert_int_equal(history[n_history - 1].cds, 1 << fresh);
    z->ds = history[n_history - 1].cds;
    walk(z, tell_after_s);
    assert_null(plan_confirm_ds(&z->plan, z->plan.keys[fresh].tag, z->now_s));
}

static const struct {
    const char *name;
    bool is_split;
    enum sign_roll kind;
    uint8_t algorithm;
    int64_t wait_s, tell_after_s;
} rolls[] = {
    {"zsk", true, SIGN_ROLL_ZSK, 0, 0, 0},
    {"ksk", true, SIGN_ROLL_KSK, 0, 0, 0},
    {"ksk, slow operator", true, SIGN_ROLL_KSK, 0, 9 * 86400, 5 * 86400},
    {"csk", false, SIGN_ROLL_CSK, 0, 0, 0},
    {"csk, slow operator", false, SIGN_ROLL_CSK, 0, 5 * 86400, 86400},
    {"algorithm, csk", false, SIGN_ROLL_ALGORITHM, SIGN_ED25519, 0, 0},
    {"algorithm, split", true, SIGN_ROLL_ALGORITHM, SIGN_ECDSAP384SHA384, 0, 0},
    {"algorithm, slow operator", true, SIGN_ROLL_ALGORITHM, SIGN_ED25519, 7 * 86400, 86400},
};

/* Twice in a row, so that what one leaves behind does not stand in the next one's way. */
static void everyone_validates_at_every_step(void **state)
{
    for (size_t i = 0; i < COUNT_OF(rolls); i++) {
        struct zone z = make_zone(rolls[i].is_split);
        struct moment first, last;

        print_message("%s\n", rolls[i].name);
        walk(&z, 2 * 86400);
        first = history[n_history - 1];
        roll(&z, rolls[i].kind, rolls[i].algorithm);
        assert_non_null(plan_fresh(&z.plan, rolls[i].kind, rolls[i].algorithm, z.now_s));
        z.plan.n_old = rolls[i].is_split ? 2 : 1;
        if (rolls[i].kind != SIGN_ROLL_ZSK)
            swap_ds(&z, rolls[i].wait_s, rolls[i].tell_after_s);
        walk(&z, 5 * 86400);
        assert_true(z.is_valid);
        last = history[n_history - 1];
        assert_int_equal(__builtin_popcount(last.dnskeys), __builtin_popcount(first.dnskeys));
        assert_int_equal(__builtin_popcount(last.data_signers), 1);
        assert_true((last.key_signers & last.ds) == last.ds);
        assert_true(last.dnskeys != first.dnskeys);
        if (rolls[i].kind == SIGN_ROLL_ALGORITHM)
            continue;
        roll(&z, rolls[i].kind, rolls[i].algorithm);
        if (rolls[i].kind != SIGN_ROLL_ZSK)
            swap_ds(&z, 0, 0);
        walk(&z, 4 * 86400);
        assert_true(z.is_valid);
    }
}

/* What goes wrong when a step comes an hour early: the simulation must see it. */
static const struct {
    const char *name;
    size_t roll; /* in rolls */
    bool is_old;
    enum sign_time which;
} hasty[] = {
    {"zsk signs early", 0, false, SIGN_ACTIVATE},
    {"zsk leaves early", 0, true, SIGN_DELETE},
    {"ksk leaves early", 1, true, SIGN_DELETE},
    {"csk leaves early", 3, true, SIGN_DELETE},
    {"algorithm published early", 5, false, SIGN_PUBLISH},
    {"algorithm's keys leave early", 5, true, SIGN_DELETE},
    {"algorithm's signatures leave early", 5, true, SIGN_INACTIVE},
};

static void haste_is_seen(void **state)
{
    for (size_t i = 0; i < COUNT_OF(hasty); i++) {
        size_t r = hasty[i].roll;
        struct zone z = make_zone(rolls[r].is_split);
        size_t old = rolls[r].kind == SIGN_ROLL_ZSK ? 1 : 0;
        size_t key;

        print_message("%s\n", hasty[i].name);
        walk(&z, 2 * 86400);
        roll(&z, rolls[r].kind, rolls[r].algorithm);
        key = hasty[i].is_old ? old : z.plan.n - 1;
        if (hasty[i].which == SIGN_PUBLISH || hasty[i].which == SIGN_ACTIVATE)
            z.plan.keys[key].times[hasty[i].which] -= 7200;
        if (hasty[i].which == SIGN_ACTIVATE)
            z.plan.keys[old].times[SIGN_INACTIVE] -= 7200;
        if (rolls[r].kind != SIGN_ROLL_ZSK)
            swap_ds(&z, 86400, 0);
        if (hasty[i].is_old)
            z.plan.keys[key].times[hasty[i].which] -= 7200;
        walk(&z, 5 * 86400);
        assert_false(z.is_valid);
    }
}

/* ---- Back, at any time before the parent is asked ---- */

static void abort_is_safe(void **state)
{
    static const int64_t after_s[] = {0, 3600, 86400, 2 * 86400, 5 * 86400};

    for (size_t i = 0; i < COUNT_OF(rolls); i++)
        for (size_t j = 0; j < COUNT_OF(after_s); j++) {
            struct zone z = make_zone(rolls[i].is_split);
            uint8_t before;

            walk(&z, 2 * 86400);
            before = history[n_history - 1].dnskeys;
            roll(&z, rolls[i].kind, rolls[i].algorithm);
            walk(&z, after_s[j]);
            if (rolls[i].kind == SIGN_ROLL_ZSK && after_s[j] >= 86400) {
                assert_non_null(plan_abort(&z.plan, z.now_s));
                continue;
            }
            assert_null(plan_abort(&z.plan, z.now_s));
            walk(&z, 5 * 86400);
            assert_true(z.is_valid);
            assert_int_equal(history[n_history - 1].dnskeys, before);
            assert_int_equal(history[n_history - 1].cds, z.ds);
            roll(&z, rolls[i].kind, rolls[i].algorithm); /* and again */
        }
}

static void what_cannot_be_done_is_said(void **state)
{
    struct zone csk = make_zone(false), split = make_zone(true);

    assert_non_null(plan_fresh(&csk.plan, SIGN_ROLL_ZSK, 0, START_S));
    assert_non_null(plan_fresh(&csk.plan, SIGN_ROLL_KSK, 0, START_S));
    assert_non_null(plan_fresh(&csk.plan, SIGN_ROLL_ALGORITHM, SIGN_ECDSAP256SHA256, START_S));
    assert_non_null(plan_fresh(&split.plan, SIGN_ROLL_CSK, 0, START_S));
    assert_non_null(plan_abort(&split.plan, START_S));
    assert_non_null(plan_confirm_ds(&split.plan, 100, START_S)); /* was told already */
    assert_non_null(plan_confirm_ds(&split.plan, 101, START_S)); /* a ZSK */
    assert_non_null(plan_confirm_ds(&split.plan, 999, START_S));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everyone_validates_at_every_step),
        cmocka_unit_test(haste_is_seen),
        cmocka_unit_test(abort_is_safe),
        cmocka_unit_test(what_cannot_be_done_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
