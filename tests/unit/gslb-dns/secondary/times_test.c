/* SPDX-License-Identifier: BSD-2-Clause */
/* Timers, serials and NOTIFY, by tables. */
#include "tests/unit/gslb-dns/secondary/messages.h"

#include "tests/unit/gslb-dns/zone/zone_text.h"

/* RFC 1982 section 5.1 and 5.2: (a, b) where a is newer than b; the last two are undefined there,
 * and are no news for us. */
static void serials_go_round(void **state)
{
    static const struct {
        uint32_t a, b;
        bool is_newer;
    } cases[] = {
        {1, 0, true},           {0, 1, false},           {44, 0, true},
        {100, 44, true},        {200, 100, true},        {7, 7, false},
        {0, 4294967295U, true}, {4294967295U, 0, false}, {5, 4000000000U, true},
        {2147483647, 0, true},  {2147483648U, 0, false}, {0, 2147483648U, false},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (serial_is_newer(cases[i].a, cases[i].b) != cases[i].is_newer)
            fail_msg("%u and %u", cases[i].a, cases[i].b);
}

static const struct secondary_settings settings = {.min_wait_s = 30, .max_wait_s = 86400};

static void timers_have_bounds(void **state)
{
    static const struct {
        const char *name;
        struct replica_soa soa;
        int64_t refresh_s, retry_s, expire_s;
    } cases[] = {
        {"as the SOA has them", {1, 3600, 900, 1209600}, 3600, 900, 1209600},
        {"too short", {1, 1, 1, 3}, 30, 30, 60},
        {"too long", {1, 2147483647, 2147483647, 2147483647}, 86400, 86400, 2147483647},
        {"expires before it is refreshed", {1, 3600, 900, 60}, 3600, 900, 4500},
        {"all zero", {1, 0, 0, 0}, 30, 30, 60},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct replica_soa *soa = &cases[i].soa;

        if (times_refresh_ms(&settings, soa, 0) != 1000 * cases[i].refresh_s ||
            times_retry_ms(&settings, soa, 1, 0) != 1000 * cases[i].retry_s ||
            times_expire_ms(&settings, soa) != 1000 * cases[i].expire_s)
            fail_msg("%s", cases[i].name);
    }
}

static void waits_are_cut_by_up_to_a_tenth(void **state)
{
    struct replica_soa soa = {1, 1000, 100, 5000};

    assert_int_equal(times_refresh_ms(&settings, &soa, 0), 1000000);
    assert_int_equal(times_refresh_ms(&settings, &soa, UINT32_MAX), 900001);
    assert_int_equal(times_refresh_ms(&settings, &soa, UINT32_MAX / 2 + 1), 950000);
    assert_int_equal(times_retry_ms(&settings, &soa, 9, UINT32_MAX), 90001);
}

static void a_first_copy_is_tried_for_more_and_more_seldom(void **state)
{
    static const int64_t want_s[] = {2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600};

    for (unsigned i = 0; i < COUNT_OF(want_s); i++)
        assert_int_equal(times_retry_ms(&settings, NULL, i + 1, 0), 1000 * want_s[i]);
}

static void bells_are_one(void **state)
{
    static const struct {
        const char *name;
        struct bell first, second, want;
    } cases[] = {
        {"the first", {0}, {true, true, 7, {{{0}}, 0}}, {true, true, 7, {{{0}}, 0}}},
        {"a newer one",
         {true, true, 7, {{{0}}, 0}},
         {true, true, 9, {{{0}}, 0}},
         {true, true, 9, {{{0}}, 0}}},
        {"an older one",
         {true, true, 7, {{{0}}, 0}},
         {true, true, 5, {{{0}}, 0}},
         {true, true, 7, {{{0}}, 0}}},
        {"one of no serial",
         {true, true, 7, {{{0}}, 0}},
         {true, false, 0, {{{0}}, 0}},
         {true, false, 7, {{{0}}, 0}}},
        {"one after it",
         {true, false, 0, {{{0}}, 0}},
         {true, true, 9, {{{0}}, 0}},
         {true, false, 0, {{{0}}, 0}}},
        {"none", {true, true, 7, {{{0}}, 0}}, {0}, {true, true, 7, {{{0}}, 0}}},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bell bell = cases[i].first;

        bell_add(&bell, &cases[i].second);
        if (bell.is_rung != cases[i].want.is_rung || bell.has_hint != cases[i].want.has_hint ||
            bell.hint != cases[i].want.hint)
            fail_msg("%s", cases[i].name);
    }
}

/* ---- NOTIFY ---- */

#define HINT(serial) "example.com. 0 IN SOA . . " serial " 0 0 0 0\n"

static const struct {
    const char *name, *zone, *source, *records;
    bool is_signed;
    enum secondary_notify want;
} notify_cases[] = {
    {"of a primary", "example.com", "192.0.2.1", "", false, SECONDARY_NOTIFY_TAKEN},
    {"of a serial that is newer", "example.com", "192.0.2.1", HINT("8"), false,
     SECONDARY_NOTIFY_TAKEN},
    {"of the one that is served", "example.com", "192.0.2.1", HINT("7"), false,
     SECONDARY_NOTIFY_CURRENT},
    {"of an older one", "example.com", "192.0.2.1", HINT("6"), false, SECONDARY_NOTIFY_CURRENT},
    {"beyond the end of numbers", "example.com", "192.0.2.1", HINT("3000000000"), false,
     SECONDARY_NOTIFY_CURRENT},
    {"with something that is no SOA", "example.com", "192.0.2.1", "example.com. 0 IN A 192.0.2.1\n",
     false, SECONDARY_NOTIFY_TAKEN},
    {"of a stranger", "example.com", "192.0.2.9", HINT("8"), false, SECONDARY_NOTIFY_STRANGER},
    {"of one with a key, unsigned", "example.com", "192.0.2.2", "", false,
     SECONDARY_NOTIFY_STRANGER},
    {"of one with a key, signed", "example.com", "192.0.2.2", "", true, SECONDARY_NOTIFY_TAKEN},
    {"of a stranger with the key", "example.com", "192.0.2.9", "", true, SECONDARY_NOTIFY_STRANGER},
    {"of a zone that has a file", "file.example", "192.0.2.1", "", false, SECONDARY_NOTIFY_NO_COPY},
    {"of a zone of others", "example.org", "192.0.2.1", "", false, SECONDARY_NOTIFY_NOT_OURS},
    {"of a name in the zone", "www.example.com", "192.0.2.1", "", false, SECONDARY_NOTIFY_NOT_OURS},
};

static void notifies_are_judged(void **state)
{
    struct wire_name key_name = wire_name_of("backup");
    struct tsig_key *key = tsig_key_new(&key_name, "hmac-sha256", (const uint8_t *)"secret", 6);
    struct zone *copy = load_good("example.com", APEX), *file = load_good("file.example", APEX);
    struct world_peer notifiers[2] = {{.key = NULL}, {.key = key}};
    struct world_zone zones[] = {
        {.zone = copy, .notifiers = notifiers, .n_notifiers = 2},
        {.zone = file},
    };
    struct world w = {.zone_list = zones, .n_zones = 2};
    struct tsig_session session = {.key = key_name};

    assert_true(prefix_parse(STR("192.0.2.1"), &notifiers[0].from));
    assert_true(prefix_parse(STR("192.0.2.2"), &notifiers[1].from));
    for (size_t i = 0; i < COUNT_OF(notify_cases); i++) {
        uint8_t packet[MESSAGE_BYTES];
        struct secondary_notice n = {.packet = packet};
        struct wire_query q;
        struct addr source;
        enum secondary_notify v;
        uint32_t hint = 0;
        bool has_hint;

        n.packet_bytes =
            (uint32_t)make_message(notify_cases[i].zone, WIRE_SOA, notify_cases[i].records, packet);
        packet[2] = 4 << 3 | 0x04;
        assert_int_equal(wire_parse_query(&q, packet, n.packet_bytes), WIRE_NOTIFY);
        assert_true(addr_parse(str_of(notify_cases[i].source), 4711, &source));
        n.query = &q;
        n.source = &source;
        n.tsig = notify_cases[i].is_signed ? &session : NULL;
        v = secondary_judge_notify(&w, &n, &has_hint, &hint);
        if (v != notify_cases[i].want)
            fail_msg("%s: verdict %d", notify_cases[i].name, v);
    }
    zone_release(copy);
    zone_release(file);
    tsig_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serials_go_round),
        cmocka_unit_test(timers_have_bounds),
        cmocka_unit_test(waits_are_cut_by_up_to_a_tenth),
        cmocka_unit_test(a_first_copy_is_tried_for_more_and_more_seldom),
        cmocka_unit_test(bells_are_one),
        cmocka_unit_test(notifies_are_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
