/* SPDX-License-Identifier: BSD-2-Clause */
/* What a loaded zone says to a name and a type. */
#include "tests/unit/gslb-dns/zone/zone_text.h"

#include <stdlib.h>

static const char *const verdict_names[] = {
    [ZONE_NOT_OURS] = "not ours", [ZONE_ANSWER] = "answer",     [ZONE_CNAME] = "CNAME",
    [ZONE_DNAME] = "DNAME",       [ZONE_STEERED] = "steered",   [ZONE_NODATA] = "NODATA",
    [ZONE_NXDOMAIN] = "NXDOMAIN", [ZONE_REFERRAL] = "referral", [ZONE_ANY] = "ANY",
};

struct look_case {
    const char *qname;
    uint16_t qtype;
    enum zone_verdict want;
    const char *node; /* NULL: not looked at; a wildcard's "*" says that it was matched as one */
};

static int run_cases(const struct zone_set *set, const struct look_case *cases, size_t n)
{
    char got[WIRE_NAME_TEXT], type[16];
    int failures = 0;

    for (size_t i = 0; i < n; i++) {
        const struct look_case *c = &cases[i];
        struct wire_name qname = name_of(c->qname), node;
        struct zone_lookup l;
        enum zone_verdict verdict = look_up(set, &qname, c->qtype, &l);
        bool is_good = verdict == c->want;

        if (is_good && c->node != NULL) {
            node = name_of(c->node);
            is_good = l.node != NULL && l.node->name_bytes == node.length &&
                      memcmp(l.node->name, node.bytes, node.length) == 0 &&
                      (verdict == ZONE_REFERRAL || verdict == ZONE_NXDOMAIN ||
                       verdict == ZONE_DNAME || l.is_wildcard == (strcmp(c->node, c->qname) != 0));
        }
        if (verdict == ZONE_ANSWER)
            is_good = is_good && l.rrset != NULL && l.rrset->type == c->qtype;
        if (verdict == ZONE_REFERRAL)
            is_good = is_good && l.rrset != NULL && l.rrset->type == WIRE_NS;
        if (is_good)
            continue;
        failures++;
        print_error("%s %s: %s at %s, want %s at %s\n", c->qname, wire_type_format(c->qtype, type),
                    verdict_names[verdict], l.node ? wire_name_format(l.node->name, got) : "-",
                    verdict_names[c->want], c->node ? c->node : "any");
    }
    return failures;
}

static void check_zone(const char *origin, const char *text, const struct look_case *cases,
                       size_t n)
{
    struct zone *z = load_good(origin, text);
    struct zone_set *set = zone_set_new(&z, 1);
    int failures = run_cases(set, cases, n);

    zone_set_free(set);
    zone_release(z);
    assert_int_equal(failures, 0);
}

/* RFC 4592 section 2.2.1, the zone and every example. */
static void test_rfc4592(void **state)
{
    static const char text[] = "$TTL 3600\n" SOA "@ NS ns.example.com.\n"
                               "  NS ns.example.net.\n"
                               "* TXT \"this is a wildcard\"\n"
                               "* MX 10 host1.example.\n"
                               "sub.* TXT \"this is not a wildcard\"\n"
                               "host1 A 192.0.2.1\n"
                               "_ssh._tcp.host1 SRV 1 1 22 host1\n"
                               "_ssh._tcp.host2 SRV 1 1 22 host1\n"
                               "subdel NS ns.example.com.\n"
                               "subdel NS ns.example.net.\n";
    static const struct look_case cases[] = {
        {"host3.example.", WIRE_MX, ZONE_ANSWER, "*.example."},
        {"host3.example.", WIRE_A, ZONE_NODATA, "*.example."},
        {"foo.bar.example.", WIRE_TXT, ZONE_ANSWER, "*.example."},
        {"host1.example.", WIRE_MX, ZONE_NODATA, "host1.example."},
        {"sub.*.example.", WIRE_MX, ZONE_NODATA, "sub.*.example."},
        {"_telnet._tcp.host1.example.", WIRE_SRV, ZONE_NXDOMAIN, "_tcp.host1.example."},
        {"host.subdel.example.", WIRE_A, ZONE_REFERRAL, "subdel.example."},
        {"ghost.*.example.", WIRE_MX, ZONE_NXDOMAIN, "*.example."},
        /* The asterisk asked for by name (section 2.3), and empty non-terminals. */
        {"*.example.", WIRE_TXT, ZONE_ANSWER, "*.example."},
        {"*.example.", WIRE_A, ZONE_NODATA, "*.example."},
        {"sub.*.example.", WIRE_TXT, ZONE_ANSWER, "sub.*.example."},
        {"host2.example.", WIRE_MX, ZONE_NODATA, "host2.example."},
        {"_tcp.host2.example.", WIRE_A, ZONE_NODATA, "_tcp.host2.example."},
        {"x.host2.example.", WIRE_MX, ZONE_NXDOMAIN, "host2.example."},
        {"x.host1.example.", WIRE_MX, ZONE_NXDOMAIN, "host1.example."},
        {"example.", WIRE_NS, ZONE_ANSWER, "example."},
        {"a.b.c.d.e.f.g.example.", WIRE_TXT, ZONE_ANSWER, "*.example."},
        {"host3.example.", WIRE_ANY, ZONE_ANY, "*.example."},
        {"host2.example.", WIRE_ANY, ZONE_NODATA, "host2.example."},
        {"org.", WIRE_A, ZONE_NOT_OURS, NULL},
        {".", WIRE_NS, ZONE_NOT_OURS, NULL},
        {"notexample.", WIRE_A, ZONE_NOT_OURS, NULL},
    };

    check_zone("example", text, cases, COUNT_OF(cases));
}

/* Delegations (RFC 1034 section 4.3.2, RFC 4035 section 3.1.4.1). */
static void test_delegations(void **state)
{
    static const char text[] = "$TTL 60\n" APEX "d NS ns.d\n"
                               "d NS ns.example.net.\n"
                               "d DS 1 13 2 ab\n"
                               "ns.d A 192.0.2.1\n"
                               "*.d A 192.0.2.2\n"
                               "a.d TXT hidden\n"
                               "in.d NS ns.in.d\n"
                               "ns.in.d A 192.0.2.3\n"
                               "u NS ns.example.net.\n"
                               "x.e.f NS ns.example.net.\n"
                               "*.w NS ns.example.net.\n";
    static const struct look_case cases[] = {
        {"d.example.com", WIRE_A, ZONE_REFERRAL, "d.example.com"},
        {"d.example.com", WIRE_NS, ZONE_REFERRAL, "d.example.com"},
        {"d.example.com", WIRE_SOA, ZONE_REFERRAL, "d.example.com"},
        {"d.example.com", WIRE_ANY, ZONE_REFERRAL, "d.example.com"},
        {"d.example.com", WIRE_DS, ZONE_ANSWER, "d.example.com"},
        {"u.example.com", WIRE_DS, ZONE_NODATA, "u.example.com"},
        {"a.d.example.com", WIRE_DS, ZONE_REFERRAL, "d.example.com"},
        {"a.d.example.com", WIRE_TXT, ZONE_REFERRAL, "d.example.com"},
        {"ns.d.example.com", WIRE_A, ZONE_REFERRAL, "d.example.com"},
        {"b.d.example.com", WIRE_A, ZONE_REFERRAL, "d.example.com"},
        {"a.b.c.d.example.com", WIRE_A, ZONE_REFERRAL, "d.example.com"},
        {"in.d.example.com", WIRE_DS, ZONE_REFERRAL, "d.example.com"},
        {"x.in.d.example.com", WIRE_A, ZONE_REFERRAL, "d.example.com"},
        {"e.f.example.com", WIRE_A, ZONE_NODATA, "e.f.example.com"},
        {"y.e.f.example.com", WIRE_A, ZONE_NXDOMAIN, NULL},
        {"y.x.e.f.example.com", WIRE_A, ZONE_REFERRAL, "x.e.f.example.com"},
        {"q.w.example.com", WIRE_A, ZONE_NODATA, "*.w.example.com"},
        {"q.w.example.com", WIRE_NS, ZONE_ANSWER, "*.w.example.com"},
        {"example.com", WIRE_NS, ZONE_ANSWER, "example.com"},
        {"example.com", WIRE_DS, ZONE_NODATA, "example.com"},
    };

    check_zone("example.com", text, cases, COUNT_OF(cases));
}

/* RFC 6672 section 2.2's redirections; the owner itself is not redirected. */
static void test_dnames(void **state)
{
    static const char text[] = "$TTL 60\n" APEX "d DNAME example.net.\n"
                               "d A 192.0.2.1\n"
                               "e.f DNAME frobozz.\n"
                               "*.g DNAME example.net.\n";
    static const struct look_case cases[] = {
        {"d.example.com", WIRE_A, ZONE_ANSWER, "d.example.com"},
        {"d.example.com", WIRE_DNAME, ZONE_ANSWER, "d.example.com"},
        {"d.example.com", WIRE_MX, ZONE_NODATA, "d.example.com"},
        {"a.d.example.com", WIRE_A, ZONE_DNAME, "d.example.com"},
        {"a.d.example.com", WIRE_DNAME, ZONE_DNAME, "d.example.com"},
        {"a.b.c.d.example.com", WIRE_ANY, ZONE_DNAME, "d.example.com"},
        {"ad.example.com", WIRE_A, ZONE_NXDOMAIN, NULL},
        {"f.example.com", WIRE_A, ZONE_NODATA, "f.example.com"},
        {"x.e.f.example.com", WIRE_A, ZONE_DNAME, "e.f.example.com"},
        {"x.g.example.com", WIRE_DNAME, ZONE_ANSWER, "*.g.example.com"},
    };

    check_zone("example.com", text, cases, COUNT_OF(cases));
}

static void test_dname_at_the_apex(void **state)
{
    static const struct look_case cases[] = {
        {"example.com", WIRE_SOA, ZONE_ANSWER, "example.com"},
        {"a.b.example.com", WIRE_A, ZONE_DNAME, "example.com"},
    };

    check_zone("example.com", APEX "@ DNAME example.net.\n", cases, COUNT_OF(cases));
}

static void test_cnames(void **state)
{
    static const char text[] = "$TTL 60\n" APEX "a CNAME b\n"
                               "*.w CNAME b\n"
                               "b A 192.0.2.1\n";
    static const struct look_case cases[] = {
        {"a.example.com", WIRE_A, ZONE_CNAME, "a.example.com"},
        {"a.example.com", WIRE_CNAME, ZONE_ANSWER, "a.example.com"},
        {"a.example.com", WIRE_ANY, ZONE_ANY, "a.example.com"},
        {"x.w.example.com", WIRE_A, ZONE_CNAME, "*.w.example.com"},
        {"x.w.example.com", WIRE_CNAME, ZONE_ANSWER, "*.w.example.com"},
        {"w.example.com", WIRE_A, ZONE_NODATA, "w.example.com"},
        {"x.a.example.com", WIRE_A, ZONE_NXDOMAIN, "a.example.com"},
    };

    check_zone("example.com", text, cases, COUNT_OF(cases));
}

static void test_odd_names(void **state)
{
    static const char label63[] = "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz-";
    char *longest = base_printf("%s.%s.%s.%.49s.example.com", label63, label63, label63, label63);
    char *too_long_above =
        base_printf("x.%s.%s.%s.%.47s.example.com", label63, label63, label63, label63);
    char *text = base_printf("$TTL 60\n" APEX "a\\.b A 192.0.2.1\n\\000\\001\\255 A 192.0.2.1\n"
                             "%s A 192.0.2.1\n%s. A 192.0.2.1\n*.m A 192.0.2.1\n",
                             label63, longest);
    const struct look_case cases[] = {
        {"a\\.b.example.com", WIRE_A, ZONE_ANSWER, "a\\.b.example.com"},
        {"a.b.example.com", WIRE_A, ZONE_NXDOMAIN, NULL},
        {"A\\.B.EXAMPLE.com", WIRE_A, ZONE_ANSWER, NULL},
        {"\\000\\001\\255.example.com", WIRE_A, ZONE_ANSWER, "\\000\\001\\255.example.com"},
        {"\\000\\001\\254.example.com", WIRE_A, ZONE_NXDOMAIN, NULL},
        {"abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz-.example.com", WIRE_A,
         ZONE_ANSWER, NULL},
        {longest, WIRE_A, ZONE_ANSWER, longest},
        {too_long_above, WIRE_A, ZONE_NXDOMAIN, NULL},
        {"\\*.m.example.com", WIRE_A, ZONE_ANSWER, "*.m.example.com"}, /* no wildcard match */
    };
    struct zone *z = load_good("example.com", text);
    struct zone_set *set = zone_set_new(&z, 1);
    struct wire_name name = name_of(longest);

    assert_int_equal(name.length, 255);
    assert_int_equal(run_cases(set, cases, COUNT_OF(cases) - 1), 0);
    zone_set_free(set);
    zone_release(z);
    free(text);
    free(longest);
    free(too_long_above);
}

/* --- services ----------------------------------------------------------------------------- */

static void test_services(void **state)
{
    static const char text[] = "$TTL 60\n" APEX "www MX 10 mail.example.net.\n"
                               "*.w A 192.0.2.1\n";
    const struct zone_service services[] = {
        {.name = name_of("www.example.com"), .service = 0},
        {.name = name_of("a.b.c.example.com"), .service = 1},
        {.name = name_of("*.cdn.example.com"), .service = 2},
        {.name = name_of("example.com"), .service = 3},
        {.name = name_of("x.w.example.com"), .service = 4},
    };
    static const struct look_case cases[] = {
        {"www.example.com", WIRE_A, ZONE_STEERED, "www.example.com"},
        {"www.example.com", WIRE_AAAA, ZONE_STEERED, "www.example.com"},
        {"www.example.com", WIRE_MX, ZONE_ANSWER, "www.example.com"},
        {"www.example.com", WIRE_TXT, ZONE_NODATA, "www.example.com"},
        {"www.example.com", WIRE_ANY, ZONE_ANY, "www.example.com"},
        {"a.b.c.example.com", WIRE_ANY, ZONE_ANY, "a.b.c.example.com"},
        {"b.c.example.com", WIRE_A, ZONE_NODATA, "b.c.example.com"},
        {"c.example.com", WIRE_A, ZONE_NODATA, "c.example.com"},
        {"x.c.example.com", WIRE_A, ZONE_NXDOMAIN, NULL},
        {"cdn.example.com", WIRE_A, ZONE_NODATA, "cdn.example.com"},
        {"q.cdn.example.com", WIRE_A, ZONE_STEERED, "*.cdn.example.com"},
        {"q.r.cdn.example.com", WIRE_AAAA, ZONE_STEERED, "*.cdn.example.com"},
        {"q.cdn.example.com", WIRE_MX, ZONE_NODATA, "*.cdn.example.com"},
        {"*.cdn.example.com", WIRE_A, ZONE_STEERED, "*.cdn.example.com"},
        {"example.com", WIRE_A, ZONE_STEERED, "example.com"},
        {"example.com", WIRE_SOA, ZONE_ANSWER, "example.com"},
        {"x.w.example.com", WIRE_A, ZONE_STEERED, "x.w.example.com"},
        {"y.w.example.com", WIRE_A, ZONE_ANSWER, "*.w.example.com"},
    };
    struct errors errors = {0};
    struct zone *z = load_text("example.com", text, services, COUNT_OF(services), &errors);
    struct zone_set *set;
    struct zone_lookup l;

    assert_non_null(z);
    set = zone_set_new(&z, 1);
    assert_int_equal(run_cases(set, cases, COUNT_OF(cases)), 0);
    for (size_t i = 0; i < COUNT_OF(services); i++) {
        assert_int_equal(look_up(set, &services[i].name, WIRE_A, &l), ZONE_STEERED);
        assert_int_equal(l.node->service, services[i].service);
    }
    assert_int_equal(look_up(set, &services[1].name, WIRE_ANY, &l), ZONE_ANY);
    assert_null(l.rrset);
    zone_set_free(set);
    zone_release(z);
    errors_free(&errors);
}

static void test_services_in_the_way(void **state)
{
    static const struct {
        const char *text, *service, *want;
    } cases[] = {
        {"www A 192.0.2.1\n", "www.example.com",
         ":4: error: A at www.example.com., which is a "
         "service (gslb.yaml:7)"},
        {"www AAAA ::1\n", "www.example.com", ":4: error: AAAA at www.example.com., which is"},
        {"www CNAME x\n", "www.example.com", ":4: error: CNAME at www.example.com., which is"},
        {"d NS ns.example.net.\n", "a.d.example.com",
         "gslb.yaml:7: error: service a.d.example.com.: the zone delegates this name away"},
        {"d DNAME example.net.\n", "a.d.example.com",
         "gslb.yaml:7: error: service a.d.example.com. lies below a DNAME"},
        {"www HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1\n", "www.example.com",
         ":4: error: HTTPS: ipv4hint would send every client to the same addresses, but "
         "www.example.com. is a service"},
        {"@ HTTPS 1 www ipv6hint=::1\n", "www.example.com", ":4: error: HTTPS: ipv6hint would"},
        {"s SVCB 1 a.cdn port=1 ipv4hint=192.0.2.1\n", "*.cdn.example.com",
         ":4: error: SVCB: ipv4hint would"},
        {"", "www.example.org", "gslb.yaml:7: error: service www.example.org. is not in the zone"},
    };
    int failures = 0;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct zone_service s = {.name = name_of(cases[i].service),
                                 .place = {.file = "gslb.yaml", .line = 7}};
        char *text = base_printf("$TTL 60\n" APEX "%s", cases[i].text), *report;
        struct errors errors = {0};
        struct zone *z = load_text("example.com", text, &s, 1, &errors);

        report = errors_to_string(&errors);
        if (z != NULL || strstr(report, cases[i].want) == NULL) {
            print_error("%s: want %s\ngot %s\n", cases[i].service, cases[i].want, report);
            failures++;
        }
        free(report);
        free(text);
        errors_free(&errors);
        zone_release(z);
    }
    assert_int_equal(failures, 0);
}

/* --- several zones ------------------------------------------------------------------------ */

static void test_longest_match(void **state)
{
    struct zone *zones[] = {
        load_good("example.com", "$TTL 60\n" APEX "sub NS ns.sub\nns.sub A 192.0.2.1\n"
                                 "sub DS 1 13 2 ab\nsubs A 192.0.2.1\n"),
        load_good("sub.example.com", "$TTL 60\n" APEX "a A 192.0.2.2\n"),
        load_good("example.net", "$TTL 60\n" APEX),
        load_good("x.example.net", "$TTL 60\n" APEX),
        load_good("orphan.test", "$TTL 60\n" APEX),
    };
    static const struct {
        const char *qname;
        uint16_t qtype;
        int zone; /* -1: none */
    } cases[] = {
        {"example.com", WIRE_A, 0},
        {"subs.example.com", WIRE_A, 0},
        {"sub.example.com", WIRE_A, 1},
        {"a.sub.example.com", WIRE_DS, 1},
        {"sub.example.com", WIRE_DS, 0}, /* RFC 4035 section 3.1.4.1: the parent's */
        {"example.com", WIRE_DS, 0},     /* no parent here */
        {"orphan.test", WIRE_DS, 4},
        {"x.example.net", WIRE_NS, 3},
        {"x.example.net", WIRE_DS, 2},
        {"ax.example.net", WIRE_A, 2},
        {"com", WIRE_A, -1},
        {"test", WIRE_A, -1},
        {".", WIRE_NS, -1},
    };
    struct zone_set *set = zone_set_new(zones, COUNT_OF(zones));
    int failures = 0;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct wire_name qname = name_of(cases[i].qname);
        struct zone_lookup l;

        zone_prepare(set, &qname, cases[i].qtype, &l);
        if (l.zone != (cases[i].zone < 0 ? NULL : zones[cases[i].zone])) {
            print_error("%s: another zone\n", cases[i].qname);
            failures++;
        }
    }
    zone_set_free(set);
    for (size_t i = 0; i < COUNT_OF(zones); i++)
        zone_release(zones[i]);
    assert_int_equal(failures, 0);
}

static void test_root_zone(void **state)
{
    static const struct look_case cases[] = {
        {".", WIRE_SOA, ZONE_ANSWER, "."},         {"com.", WIRE_A, ZONE_REFERRAL, "com."},
        {"x.com.", WIRE_A, ZONE_REFERRAL, "com."}, {"com.", WIRE_DS, ZONE_NODATA, "com."},
        {"org.", WIRE_A, ZONE_NXDOMAIN, "."},      {"a.b.org.", WIRE_A, ZONE_NXDOMAIN, "."},
    };

    check_zone(".", "$TTL 60\n" SOA "@ NS a.root.example.\ncom NS ns.com\nns.com A 192.0.2.1\n",
               cases, COUNT_OF(cases));
}

static void test_no_zone(void **state)
{
    struct zone_set *set = zone_set_new(NULL, 0);
    struct wire_name qname = name_of("example.com");
    struct zone_lookup l;

    assert_int_equal(look_up(set, &qname, WIRE_A, &l), ZONE_NOT_OURS);
    zone_set_free(set);
}

/* --- what an answer is made of ------------------------------------------------------------ */

static void test_chain(void **state)
{
    struct zone *z = load_good("example.com", "$TTL 60\n" APEX "a CNAME B.c\n*.c CNAME d\n"
                                              "d A 192.0.2.1\ne CNAME x.example.net.\n"
                                              "n DNAME c\n");
    struct zone_set *set = zone_set_new(&z, 1);
    struct wire_name name = name_of("a.example.com"), want = name_of("b.c.example.com");
    struct zone_lookup l;

    assert_int_equal(look_up(set, &name, WIRE_A, &l), ZONE_CNAME);
    zone_target_name(z, l.rrset, &name);
    assert_int_equal(name.length, want.length);
    assert_memory_equal(name.bytes, want.bytes, want.length);
    assert_int_equal(zone_find_next(&l, &name, WIRE_A), ZONE_CNAME);
    assert_true(l.is_wildcard);
    zone_target_name(z, l.rrset, &name);
    assert_int_equal(zone_find_next(&l, &name, WIRE_A), ZONE_ANSWER);
    assert_false(l.is_wildcard);
    name = name_of("e.example.com");
    assert_int_equal(look_up(set, &name, WIRE_A, &l), ZONE_CNAME);
    zone_target_name(z, l.rrset, &name);
    assert_int_equal(zone_find_next(&l, &name, WIRE_A), ZONE_NOT_OURS);
    name = name_of("q.n.example.com");
    want = name_of("c.example.com");
    assert_int_equal(look_up(set, &name, WIRE_A, &l), ZONE_DNAME);
    assert_int_equal(l.rrset->n_fixups, 0); /* RFC 6672 section 2.5: not compressed */
    zone_target_name(z, l.rrset, &name);
    assert_memory_equal(name.bytes, want.bytes, want.length);
    zone_set_free(set);
    zone_release(z);
}

static void test_wire_form(void **state)
{
    static const uint8_t want[] = "\xc0\x0c\0\x0f\0\1\0\0\0\x3c\0\x09"
                                  "\0\x0a\4Mail\xc0\0"
                                  "\xc0\x0c\0\x0f\0\1\0\0\0\x3c\0\x11"
                                  "\0\x14\1b\7example\3net";
    struct zone *z =
        load_good("example.com", "$TTL 60\n" APEX "a MX 10 Mail\na MX 20 b.example.net.\n"
                                 "mail A 192.0.2.1\n");
    struct zone_set *set = zone_set_new(&z, 1);
    struct wire_name name = name_of("a.example.com");
    struct zone_lookup l;

    assert_int_equal(look_up(set, &name, WIRE_MX, &l), ZONE_ANSWER);
    assert_int_equal(l.rrset->count, 2);
    assert_int_equal(l.rrset->wire_bytes, sizeof(want));
    assert_memory_equal(l.rrset->wire, want, sizeof(want));
    assert_int_equal(l.rrset->n_fixups, 1);
    assert_int_equal(l.rrset->fixups[0], 19);
    assert_int_equal(l.rrset->n_targets, 1);
    assert_int_equal(l.rrset->targets[0].offset, 14);
    zone_set_free(set);
    zone_release(z);
}

static void test_negative_soa(void **state)
{
    static const struct {
        const char *text;
        uint32_t want_s;
    } cases[] = {{"@ 3600 SOA a b 4294967295 1 1 1 300\n@ 1 NS a\n", 300},
                 {"@ 100 SOA a b 4294967295 1 1 1 300\n@ 1 NS a\n", 100}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct zone *z = load_good("example.com", cases[i].text);
        const uint8_t *wire = z->negative_soa->wire;

        assert_int_equal(z->negative_soa->ttl_s, cases[i].want_s);
        assert_int_equal(wire[8] << 8 | wire[9], cases[i].want_s);
        assert_int_equal(z->soa->ttl_s, i == 0 ? 3600 : 100);
        assert_int_equal(z->serial, UINT32_MAX);
        zone_release(z);
    }
}

struct target_case {
    const char *owner;
    uint16_t type;
    const char *want[3];
};

static void test_targets(void **state)
{
    static const char text[] = "$TTL 60\n" SOA "@ NS ns\n@ NS ns.example.net.\nns A 192.0.2.1\n"
                               "m MX 1 ns\nm MX 2 NS\nm MX 3 q.w\nm MX 4 nothing\nm MX 5 www\n"
                               "*.w AAAA ::1\nd NS a.d\nd NS ns\na.d A 192.0.2.2\n"
                               "_s SRV 1 1 1 ns\nh HTTPS 1 . port=1\nh A 192.0.2.1\ni HTTPS 0 h\nj "
                               "HTTPS 1 .\nk HTTPS 0 .\n"
                               "k A 192.0.2.1\nz MX 0 .\n";
    static const struct target_case cases[] = {
        {"example.com", WIRE_NS, {"ns.example.com"}},
        {"m.example.com", WIRE_MX, {"ns.example.com", "*.w.example.com", "www.example.com"}},
        {"_s.example.com", WIRE_SRV, {"ns.example.com"}},
        {"d.example.com", WIRE_NS, {"a.d.example.com", "ns.example.com"}},
        {"h.example.com", WIRE_HTTPS, {"h.example.com"}},
        {"i.example.com", WIRE_HTTPS, {"h.example.com"}},
        {"j.example.com", WIRE_HTTPS, {NULL}},
        {"k.example.com", WIRE_HTTPS, {NULL}},
        {"z.example.com", WIRE_MX, {NULL}},
    };
    struct zone_service service = {.name = name_of("www.example.com")};
    struct errors errors = {0};
    struct zone *z = load_text("example.com", text, &service, 1, &errors);
    struct zone_set *set = zone_set_new(&z, 1);
    int failures = 0;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct wire_name owner = name_of(cases[i].owner);
        struct zone_lookup l;
        const struct zone_rrset *r;
        unsigned n = 0;

        look_up(set, &owner, cases[i].type, &l);
        r = zone_node_rrset(l.node, cases[i].type);
        assert_non_null(r);
        for (; n < 3 && cases[i].want[n] != NULL; n++) {
            struct wire_name want = name_of(cases[i].want[n]);

            if (n >= r->n_targets || r->targets[n].node->name_bytes != want.length ||
                memcmp(r->targets[n].node->name, want.bytes, want.length) != 0) {
                print_error("%s: target %s\n", cases[i].owner, cases[i].want[n]);
                failures++;
            }
        }
        if (r->n_targets != n) {
            print_error("%s: %u targets\n", cases[i].owner, r->n_targets);
            failures++;
        }
    }
    zone_set_free(set);
    zone_release(z);
    errors_free(&errors);
    assert_int_equal(failures, 0);
}

static void test_many_fixups(void **state)
{
    struct zone *z =
        load_good("example.com", "$TTL 60\n" APEX "$GENERATE 1-255 a MX \"$ m$.example.org.\"\n"
                                 "$GENERATE 1-255 b MX \"$ m$\"\n"
                                 "$GENERATE 1-256 c MX \"$ m$\"\n");
    static const unsigned want[] = {0, 255, 0};
    struct zone_set *set = zone_set_new(&z, 1);

    for (size_t i = 0; i < COUNT_OF(want); i++) {
        char text[] = {
            (char)('a' + i), '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'c', 'o', 'm', '\0'};
        struct wire_name name = name_of(text);
        struct zone_lookup l;
        static uint8_t rdata[65535];

        assert_int_equal(look_up(set, &name, WIRE_MX, &l), ZONE_ANSWER);
        assert_int_equal(l.rrset->n_fixups, want[i]);
        assert_int_equal(expand_rdata(z, l.rrset, 254, rdata), 2 + 5 + 13);
    }
    zone_set_free(set);
    zone_release(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc4592),       cmocka_unit_test(test_delegations),
        cmocka_unit_test(test_dnames),        cmocka_unit_test(test_dname_at_the_apex),
        cmocka_unit_test(test_cnames),        cmocka_unit_test(test_odd_names),
        cmocka_unit_test(test_services),      cmocka_unit_test(test_services_in_the_way),
        cmocka_unit_test(test_longest_match), cmocka_unit_test(test_root_zone),
        cmocka_unit_test(test_no_zone),       cmocka_unit_test(test_chain),
        cmocka_unit_test(test_wire_form),     cmocka_unit_test(test_negative_soa),
        cmocka_unit_test(test_targets),       cmocka_unit_test(test_many_fixups),
    };

    return cmocka_run_group_tests_name("zone find", tests, NULL, NULL);
}
