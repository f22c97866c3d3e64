/* SPDX-License-Identifier: BSD-2-Clause */
/* Health, priorities, panic and slow start: what comes before a policy's choice. */
#include "edge-proxy/balance/balance_internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    PERMILLE = 1000,
    RAMP_LEAST = 100 /* permille of its share that an origin begins with */
};

/* ---- Building ---- */

static const struct balance_policy *const POLICIES[] = {
    [CONFIG_POLICY_ROUND_ROBIN] = &balance_round_robin,
    [CONFIG_POLICY_LEAST_REQUESTS] = &balance_least_requests,
    [CONFIG_POLICY_HASH] = &balance_hash,
};

struct balance *balance_new(const struct config_balance *config, size_t n)
{
    struct balance *b;

    ensure(n <= BALANCE_MAX);
    ensure(posix_memalign((void **)&b, CACHE_LINE, sizeof(*b)) == 0);
    memset(b, 0, sizeof(*b));
    b->config = config;
    b->policy = POLICIES[config->policy];
    b->n = n;
    b->there = n == BALANCE_MAX ? UINT64_MAX : balance_bit(n) - 1;
    return b;
}

void balance_free(struct balance *b)
{
    free(b);
}

void balance_set(struct balance *b, size_t i, uint64_t id, uint32_t weight, unsigned priority)
{
    ensure(i < b->n && priority < BALANCE_PRIORITIES);
    b->endpoints[i] = (struct balance_endpoint){id, weight, (uint8_t)priority};
    b->groups[priority] |= balance_bit(i);
    b->is_weighted |= weight != b->endpoints[0].weight;
}

/* ---- What is known of each ---- */

void balance_set_there(struct balance *b, size_t i, bool is_there)
{
    if (is_there)
        atomic_fetch_or(&b->there, balance_bit(i));
    else
        atomic_fetch_and(&b->there, ~balance_bit(i));
}

bool balance_is_there(const struct balance *b, size_t i)
{
    return (balance_all(b) & balance_bit(i)) != 0;
}

void balance_set_down(struct balance *b, size_t i, bool is_down, int64_t now_ms)
{
    bool was_down = atomic_exchange(&b->health[i].is_down, is_down);

    if (was_down && !is_down)
        balance_ramp(b, i, now_ms);
}

bool balance_is_down(const struct balance *b, size_t i)
{
    return atomic_load_explicit(&b->health[i].is_down, memory_order_relaxed);
}

void balance_eject(struct balance *b, size_t i, int64_t until_ms)
{
    if (until_ms != 0)
        balance_ramp(b, i, until_ms);
    atomic_store_explicit(&b->health[i].out_until_ms, until_ms, memory_order_relaxed);
}

int64_t balance_ejected_until(const struct balance *b, size_t i)
{
    return atomic_load_explicit(&b->health[i].out_until_ms, memory_order_relaxed);
}

void balance_ramp(struct balance *b, size_t i, int64_t now_ms)
{
    if (b->config->slow_start_ms != 0)
        atomic_store_explicit(&b->health[i].ramp_from_ms, now_ms, memory_order_relaxed);
}

unsigned balance_ramp_permille(const struct balance *b, size_t i, int64_t now_ms)
{
    int64_t from_ms = atomic_load_explicit(&b->health[i].ramp_from_ms, memory_order_relaxed);
    int64_t passed = (now_ms - from_ms) * PERMILLE;

    if (from_ms == 0 || b->config->slow_start_ms == 0 ||
        passed >= (int64_t)b->config->slow_start_ms * PERMILLE)
        return PERMILLE;
    passed /= b->config->slow_start_ms;
    return passed < RAMP_LEAST ? RAMP_LEAST : (unsigned)passed;
}

bool balance_is_usable(const struct balance *b, size_t i, int64_t now_ms)
{
    return balance_is_there(b, i) && !balance_is_down(b, i) &&
           now_ms >= balance_ejected_until(b, i);
}

void balance_forget(struct balance *b, size_t i, int64_t now_ms)
{
    balance_set_down(b, i, false, now_ms);
    balance_eject(b, i, 0);
    balance_ramp(b, i, now_ms);
    atomic_store(&b->load[i].latency, 0);
    atomic_store(&b->load[i].failures, 0);
    atomic_store(&b->load[i].errors, 0);
}

void balance_inherit(struct balance *b, size_t i, const struct balance *from, size_t k)
{
    const struct balance_health *h = &from->health[k];

    atomic_store(&b->health[i].is_down, atomic_load(&h->is_down));
    atomic_store(&b->health[i].out_until_ms, atomic_load(&h->out_until_ms));
    atomic_store(&b->health[i].ramp_from_ms, atomic_load(&h->ramp_from_ms));
    atomic_store(&b->load[i].latency, atomic_load(&from->load[k].latency));
    atomic_store(&b->load[i].failures, atomic_load(&from->load[k].failures));
    atomic_store(&b->load[i].errors, atomic_load(&from->load[k].errors));
    atomic_store(&b->ejected[i].reason, atomic_load(&from->ejected[k].reason));
    atomic_store(&b->ejected[i].since_ms, atomic_load(&from->ejected[k].since_ms));
}

/* ---- Who may be asked ---- */

static uint64_t find_usable(const struct balance *b, int64_t now_ms)
{
    uint64_t set = 0;

    for (size_t i = 0; i < b->n; i++)
        if (balance_is_usable(b, i, now_ms))
            set |= balance_bit(i);
    return set;
}

static uint64_t find_not_down(const struct balance *b)
{
    uint64_t set = 0;

    for (size_t i = 0; i < b->n; i++)
        if (!balance_is_down(b, i))
            set |= balance_bit(i);
    return set & balance_all(b);
}

uint64_t balance_weigh(const struct balance *b, uint64_t set)
{
    uint64_t weight = 0;

    for (; set != 0; set &= set - 1)
        weight += b->endpoints[balance_first(set)].weight;
    return weight;
}

/* By weight, as the share of the load that is meant for them. */
static bool is_panic(const struct balance *b, uint64_t usable)
{
    return b->config->panic_percent != 0 &&
           balance_weigh(b, usable) * 100 <
               balance_weigh(b, balance_all(b)) * b->config->panic_percent;
}

bool balance_is_panicking(const struct balance *b, int64_t now_ms)
{
    return is_panic(b, find_usable(b, now_ms));
}

/* ---- Which group ---- */

/* The part of all load that a group can take, in permille: all of it while the usable share of its
 * weight is at least spill_percent, and less in proportion below that. */
static unsigned group_capacity(const struct balance *b, uint64_t group, uint64_t usable)
{
    uint64_t whole = balance_weigh(b, group), fit = balance_weigh(b, group & usable), permille;

    if (whole == 0 || fit == 0)
        return 0;
    if (b->config->spill_percent == 0)
        return PERMILLE;
    permille = fit * PERMILLE * 100 / (whole * b->config->spill_percent);
    return permille > PERMILLE ? PERMILLE : (unsigned)permille;
}

/* Each group takes what it can and leaves the rest to those behind it. chance decides in whose part
 * this request falls. */
static uint64_t choose_group(const struct balance *b, uint64_t usable, uint32_t chance)
{
    unsigned parts[BALANCE_PRIORITIES], total = 0, point;

    for (size_t g = 0; g < BALANCE_PRIORITIES; g++) {
        uint64_t group = b->groups[g] & balance_all(b);
        unsigned can = group != 0 ? group_capacity(b, group, usable) : 0;

        parts[g] = can < PERMILLE - total ? can : PERMILLE - total;
        total += parts[g];
    }
    point = (unsigned)((uint64_t)chance * total >> 32);
    for (size_t g = 0; g < BALANCE_PRIORITIES; g++) {
        if (point < parts[g])
            return b->groups[g];
        point -= parts[g];
    }
    return 0;
}

/* The best group that still has somebody left. */
static uint64_t first_group(const struct balance *b, uint64_t left)
{
    for (size_t g = 0; g < BALANCE_PRIORITIES; g++)
        if ((b->groups[g] & left) != 0)
            return b->groups[g] & left;
    return 0;
}

/* ---- Slow start ---- */

/* Those whose luck is within their part. Whom chance leaves out of this request the policy does not
 * see, so that each policy honours slow start by itself; and where chance comes from the key, a key
 * moves to a new origin once and stays. */
static uint64_t admit(const struct balance *b, uint64_t set, uint64_t luck, int64_t now_ms)
{
    uint64_t admitted = 0;

    if (b->config->slow_start_ms == 0)
        return set;
    for (uint64_t rest = set; rest != 0; rest &= rest - 1) {
        unsigned i = balance_first(rest);
        uint32_t chance = (uint32_t)balance_mix(luck ^ b->endpoints[i].id);

        if (((uint64_t)chance * PERMILLE >> 32) < balance_ramp_permille(b, i, now_ms))
            admitted |= balance_bit(i);
    }
    return admitted != 0 ? admitted : set;
}

/* ---- The choice ---- */

static void begin_turn(const struct balance *b, struct balance_turn *t, uint32_t seed)
{
    memset(t, 0, sizeof(*t));
    t->owner = b;
    t->random = balance_mix(seed + UINT64_C(0x9e3779b97f4a7c15)) | 1;
    if (b->n > 0)
        t->arrears[seed % b->n] = 1;
}

/* 0 with those whom to choose from, and those who count in the groups' capacities. */
static int find_left(const struct balance *b, const struct balance_query *q, uint64_t *usable,
                     uint64_t *left)
{
    *usable = find_usable(b, q->now_ms);
    if (is_panic(b, *usable))
        *usable = balance_all(b);
    *left = *usable & ~q->tried;
    if (*left == 0) { /* better one that has just failed than none */
        *usable = find_not_down(b);
        *left = *usable & ~q->tried;
    }
    if (*left == 0)
        return BALANCE_NONE;
    *left &= ~q->full;
    return *left == 0 ? BALANCE_FULL : 0;
}

int balance_look(const struct balance *b, const struct balance_query *q)
{
    uint64_t usable, left;

    return find_left(b, q, &usable, &left);
}

int balance_pick(const struct balance *b, struct balance_turn *t, const struct balance_query *q)
{
    uint64_t usable, left, group, luck;
    int verdict = find_left(b, q, &usable, &left);

    if (t->owner != b)
        begin_turn(b, t, q->seed);
    if (verdict != 0)
        return verdict;
    luck = b->policy->is_by_key && q->has_key ? balance_mix(q->key) : balance_random(t);
    group = (balance_all(b) & ~b->groups[0]) == 0 ? left
                                                  : choose_group(b, usable, (uint32_t)luck) & left;
    if (group == 0)
        group = first_group(b, left);
    return (int)b->policy->pick(b, t, admit(b, group, luck, q->now_ms), q);
}

void balance_start(struct balance *b, size_t i)
{
    atomic_fetch_add_explicit(&b->load[i].in_flight, 1, memory_order_relaxed);
}

void balance_finish(struct balance *b, size_t i)
{
    atomic_fetch_sub_explicit(&b->load[i].in_flight, 1, memory_order_relaxed);
}

uint32_t balance_in_flight(const struct balance *b, size_t i)
{
    return atomic_load_explicit(&b->load[i].in_flight, memory_order_relaxed);
}

bool balance_has_other(const struct balance *b, uint64_t tried, int64_t now_ms)
{
    return (find_usable(b, now_ms) & ~tried) != 0;
}

bool balance_wants_latency(const struct balance *b)
{
    return b->policy->wants_latency;
}

unsigned balance_draw(const struct balance *b, struct balance_turn *t, uint64_t set)
{
    uint64_t point = (uint64_t)((unsigned __int128)balance_random(t) * balance_weigh(b, set) >> 64);

    for (; (set & (set - 1)) != 0; set &= set - 1) {
        unsigned i = balance_first(set);

        if (point < b->endpoints[i].weight)
            return i;
        point -= b->endpoints[i].weight;
    }
    return balance_first(set);
}
