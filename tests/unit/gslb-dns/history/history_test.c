/* SPDX-License-Identifier: BSD-2-Clause */
/* Differences between versions of a zone (RFC 1995): told as the fewest records that lead from one
 * to the newest, as far as memory reaches. */
#include "gslb-dns/history/history.h"

#include "common/bytes/bytes.h"
#include "common/clock/clock.h"
#include "common/text/text.h"
#include "tests/unit/gslb-dns/zone/zone_text.h"

#include <stdlib.h>

enum { PLENTY = 1 << 20 };
static const struct history_extra NO_EXTRA = {0};

#define HEAD "@ 60 SOA a b %u 1 1 1 1\n@ 60 NS x.\n@ 60 TXT \"%200s\"\n"

static struct zone *make_zone(uint32_t serial, const char *records)
{
    struct text t = {0};
    struct zone *z;

    text_addf(&t, HEAD "%s", serial, "room for differences", records);
    z = load_good("example.com", t.p);
    text_free(&t);
    return z;
}

/* "a A 1" of a.example.com's address 192.0.2.1, with the TTL unless it is 60. */
static void describe(const struct history_record *r, struct text *out)
{
    uint32_t ttl_s = bytes_get_u32(r->wire + 6);

    text_addf(out, "%.*s %u %u", r->name[0], r->name + 1, bytes_get_u16(r->wire + 2),
              r->wire[r->wire_bytes - 1]);
    if (ttl_s != 60)
        text_addf(out, "/%u", ttl_s);
}

/* "-a 1 1 +a 1 2", or "none": there is no way. */
static char *tell(const struct history *h, uint32_t serial)
{
    struct history_walk *w = history_walk_new(h, serial);
    struct history_record r;
    struct text t = {0};

    text_adds(&t, w == NULL ? "none" : "");
    for (int is_new = 0; w != NULL && is_new <= 1; is_new++) {
        history_walk_begin(w, is_new);
        for (; history_walk_peek(w, &r); history_walk_advance(w)) {
            text_adds(&t, t.n > 0 ? " " : "");
            text_adds(&t, is_new ? "+" : "-");
            describe(&r, &t);
        }
    }
    history_walk_free(w);
    return t.p;
}

enum { VERSIONS_MAX = 4 };

static void the_fewest_records_are_told(void **state)
{
    static const struct {
        const char *name;
        const char *versions[VERSIONS_MAX]; /* their serials are 1, 2, … */
        const char *from[VERSIONS_MAX];     /* what is told to who has that */
    } cases[] = {
        {"a record comes", {"", "a 60 A 192.0.2.1\n"}, {"+a 1 1", "none"}},
        {"a record goes", {"a 60 A 192.0.2.1\n", ""}, {"-a 1 1"}},
        {"one of an RRset changes",
         {"a 60 A 192.0.2.1\na 60 A 192.0.2.2\n", "a 60 A 192.0.2.1\na 60 A 192.0.2.3\n"},
         {"-a 1 2 +a 1 3"}},
        {"a TTL changes", {"a 60 A 192.0.2.1\n", "a 5 A 192.0.2.1\n"}, {"-a 1 1 +a 1 1/5"}},
        {"a name changes", {"a 60 A 192.0.2.1\n", "b 60 A 192.0.2.1\n"}, {"-a 1 1 +b 1 1"}},
        {"a type changes",
         {"a 60 A 192.0.2.1\n", "a 60 TYPE65280 \\# 1 07\n"},
         {"-a 1 1 +a 65280 7"}},
        {"only the SOA", {"a 60 A 192.0.2.1\n", "a 60 A 192.0.2.1\n"}, {""}},
        {"one comes and goes again", {"", "a 60 A 192.0.2.1\n", ""}, {"", "-a 1 1"}},
        {"one goes and comes again",
         {"a 60 A 192.0.2.1\n", "", "a 60 A 192.0.2.1\n"},
         {"", "+a 1 1"}},
        {"one changes twice",
         {"a 60 A 192.0.2.1\n", "a 60 A 192.0.2.2\n", "a 60 A 192.0.2.3\n"},
         {"-a 1 1 +a 1 3", "-a 1 2 +a 1 3"}},
        {"there and back, and something else",
         {"", "a 60 A 192.0.2.1\n", "b 60 A 192.0.2.2\n", "b 60 A 192.0.2.2\nc 60 A 192.0.2.3\n"},
         {"+b 1 2 +c 1 3", "-a 1 1 +b 1 2 +c 1 3", "+c 1 3"}},
    };
    size_t n_wrong = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct zone *old = make_zone(1, cases[i].versions[0]);
        struct history *h = history_new(old, &NO_EXTRA);

        for (uint32_t v = 1; v < VERSIONS_MAX && cases[i].versions[v] != NULL; v++) {
            struct zone *now = make_zone(v + 1, cases[i].versions[v]);
            struct history *next = history_next(h, old, now, &NO_EXTRA, PLENTY);

            history_release(h);
            zone_release(old);
            h = next;
            old = now;
        }
        for (uint32_t v = 0; v < VERSIONS_MAX && cases[i].from[v] != NULL; v++) {
            char *got = tell(h, v + 1);

            if (strcmp(got, cases[i].from[v]) != 0) {
                print_error("%s, from %u: \"%s\", not \"%s\"\n", cases[i].name, v + 1, got,
                            cases[i].from[v]);
                n_wrong++;
            }
            free(got);
        }
        history_release(h);
        zone_release(old);
    }
    assert_int_equal(n_wrong, 0);
}

/* ---- Random versions ---- */

enum { NAMES = 64 };

static struct zone *zone_of(uint32_t serial, uint64_t has)
{
    struct text t = {0};
    struct zone *z;

    text_adds(&t, "");
    for (unsigned i = 0; i < NAMES; i++)
        if (has >> i & 1) /* two addresses at each of 32 names */
            text_addf(&t, "n%u 60 A 192.0.2.%u\n", i / 2, i);
    z = make_zone(serial, t.p);
    text_free(&t);
    return z;
}

static uint64_t collect(struct history_walk *w, bool is_new)
{
    struct history_record r;
    uint64_t bits = 0;

    history_walk_begin(w, is_new);
    for (; history_walk_peek(w, &r); history_walk_advance(w)) {
        uint64_t bit = UINT64_C(1) << r.wire[r.wire_bytes - 1];

        assert_int_equal(bits & bit, 0);
        bits |= bit;
    }
    return bits;
}

static uint64_t random_bits(void)
{
    static uint64_t x = 88172645463325252u; /* the same each time */

    x ^= x << 13;
    x ^= x >> 7;
    return x ^= x << 17;
}

static void every_way_leads_to_the_newest(void **state)
{
    enum { VERSIONS = 60 };
    uint64_t has[VERSIONS + 1] = {[1] = random_bits()};
    struct zone *old = zone_of(1, has[1]);
    struct history *h = history_new(old, &NO_EXTRA);
    unsigned n_ways = 0;

    (void)state;
    for (uint32_t v = 2; v <= VERSIONS; v++) {
        struct zone *now;
        struct history *next;

        has[v] = has[v - 1] ^ (random_bits() & random_bits() & random_bits() & random_bits());
        now = zone_of(v, has[v]);
        next = history_next(h, old, now, &NO_EXTRA, PLENTY);
        history_release(h);
        zone_release(old);
        h = next;
        old = now;
        for (uint32_t from = 1; from < v; from++) {
            struct history_walk *w = history_walk_new(h, from);
            uint64_t gone, come;

            if (w == NULL) /* the zone is less */
                continue;
            n_ways++;
            gone = collect(w, false);
            come = collect(w, true);
            assert_int_equal(gone & ~has[from], 0);
            assert_int_equal(come & has[from], 0);
            assert_int_equal((has[from] & ~gone) | come, has[v]);
            history_walk_free(w);
        }
    }
    assert_true(n_ways > 200);
    history_release(h);
    zone_release(old);
}

/* ---- Bounds ---- */

/* n versions with one name more each. */
static struct history *grow(uint32_t n, size_t max_bytes)
{
    struct zone *old = zone_of(1, 0);
    struct history *h = history_new(old, &NO_EXTRA);

    for (uint32_t v = 2; v <= n; v++) {
        struct zone *now = zone_of(v, UINT64_C(1) << v % NAMES);
        struct history *next = history_next(h, old, now, &NO_EXTRA, max_bytes);

        history_release(h);
        zone_release(old);
        h = next;
        old = now;
    }
    zone_release(old);
    return h;
}

static void memory_is_bounded(void **state)
{
    struct history *h = grow(50, 2000), *many = grow(300, PLENTY);
    char *newest = tell(h, 49), *oldest = tell(h, 1);

    (void)state;
    assert_true(history_bytes(h) <= 2000);
    assert_true(history_versions(h) > 2 && history_versions(h) < 40);
    assert_string_equal(newest, "-n24 1 49 +n25 1 50");
    assert_string_equal(oldest, "none");
    assert_int_equal(history_versions(many), HISTORY_VERSIONS_MAX);
    free(newest);
    free(oldest);
    history_release(h);
    history_release(many);
}

static void there_is_no_way(void **state)
{
    static const struct {
        const char *name;
        uint32_t before, now; /* serials */
        const char *records;
        size_t max_bytes;
        const char *want;
    } cases[] = {
        {"RFC 1982: over the end", UINT32_MAX, 1, "a 60 A 192.0.2.1\n", PLENTY, "+a 1 1"},
        {"the serial stayed", 5, 5, "a 60 A 192.0.2.1\n", PLENTY, "none"},
        {"the serial went back", 5, 4, "a 60 A 192.0.2.1\n", PLENTY, "none"},
        {"too large for memory", 5, 6, "a 60 A 192.0.2.1\n", 50, "none"},
        {"larger than the zone", 5, 6,
         "$GENERATE 1-50 a$ 60 A 192.0.2.1\n$GENERATE 1-50 b$ 60 A 192.0.2.1\n", PLENTY, "none"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        /* What goes is as much as what comes. */
        struct zone *old = make_zone(
            cases[i].before, i == COUNT_OF(cases) - 1 ? "$GENERATE 1-300 c$ 60 A 192.0.2.1\n" : "");
        struct zone *now = make_zone(cases[i].now, cases[i].records);
        struct history *h = history_new(old, &NO_EXTRA);
        struct history *next = history_next(h, old, now, &NO_EXTRA, cases[i].max_bytes);
        char *got = tell(next, cases[i].before);

        print_message("%s\n", cases[i].name);
        assert_string_equal(got, cases[i].want);
        free(got);
        history_release(h);
        history_release(next);
        zone_release(old);
        zone_release(now);
    }
}

static void what_stays_makes_no_version(void **state)
{
    struct zone *one = make_zone(7, "a 60 A 192.0.2.1\n"),
                *two = make_zone(7, "a 60 A 192.0.2.1\n");
    struct history *h = history_new(one, &NO_EXTRA);
    struct history *same = history_next(h, one, one, &NO_EXTRA, PLENTY);
    struct history *equal = history_next(h, one, two, &NO_EXTRA, PLENTY);

    (void)state;
    assert_ptr_equal(same, h);
    assert_ptr_equal(equal, h);
    history_release(equal);
    history_release(same);
    history_release(h);
    zone_release(one);
    zone_release(two);
}

/* ---- Services ---- */

static struct history_record address(uint8_t last)
{
    static uint8_t wire[256][16];

    memcpy(wire[last], "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2", 15);
    wire[last][15] = last;
    return (struct history_record){(const uint8_t *)"\3www\7example\3com", wire[last], 16, 17};
}

static void services_are_part_of_versions(void **state)
{
    struct zone *z[4];
    struct history_record records[3] = {address(1), address(2), address(3)};
    const struct history_extra extras[] = {
        {records, 2}, {records, 2}, {records + 1, 2}, {records + 1, 2}};
    struct history *h[4];
    char *got;

    (void)state;
    for (uint32_t i = 0; i < COUNT_OF(z); i++) {
        z[i] = make_zone(i + 1, "");
        h[i] = i == 0 ? history_new(z[0], &extras[0])
                      : history_next(h[i - 1], z[i - 1], z[i], &extras[i], PLENTY);
    }
    got = tell(h[1], 1); /* nobody knows what a server before this one sent */
    assert_string_equal(got, "none");
    free(got);
    got = tell(h[3], 2);
    assert_string_equal(got, "-www 1 1 +www 1 3");
    free(got);
    history_blur(h[1]); /* version 2 went out without an address, which was seen late */
    got = tell(h[3], 2);
    assert_string_equal(got, "none");
    free(got);
    got = tell(h[3], 3);
    assert_string_equal(got, "");
    free(got);
    for (size_t i = 0; i < COUNT_OF(z); i++) {
        history_release(h[i]);
        zone_release(z[i]);
    }
}

/* ---- Speed ---- */

static void a_large_zone_is_compared_in_no_time(void **state)
{
    enum { MOST_MS = 2000 }; /* of a sanitizer's build on a busy machine; 100 ms are usual */
    struct zone *old = make_zone(1, "$GENERATE 1-100000 n$ 60 A 192.0.2.1\n");
    struct zone *now = make_zone(2, "$GENERATE 1-100000 n$ 60 A 192.0.2.1\nnew 60 A 192.0.2.1\n");
    struct history *h = history_new(old, &NO_EXTRA), *next;
    int64_t began_ms = clock_mono_ms();
    char *got;

    (void)state;
    next = history_next(h, old, now, &NO_EXTRA, PLENTY);
    print_message("100,000 names compared in %lld ms\n", (long long)(clock_mono_ms() - began_ms));
    assert_true(clock_mono_ms() - began_ms < MOST_MS);
    got = tell(next, 1);
    assert_string_equal(got, "+new 1 1");
    free(got);
    history_release(h);
    history_release(next);
    zone_release(old);
    zone_release(now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fewest_records_are_told),
        cmocka_unit_test(every_way_leads_to_the_newest),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(there_is_no_way),
        cmocka_unit_test(what_stays_makes_no_version),
        cmocka_unit_test(services_are_part_of_versions),
        cmocka_unit_test(a_large_zone_is_compared_in_no_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
