/* SPDX-License-Identifier: BSD-2-Clause */
/* Compact denial of existence (RFC 9824), its records signed as they are asked for: what they say,
 * that ldns verifies them, that asking again costs nothing, and that random names cost little. */
#include "tests/unit/gslb-dns/answer/served.h"
#include "tests/unit/gslb-dns/sign/keys.h"

#include "common/clock/clock.h"

#include <ldns/ldns.h>

enum { A = 1, TXT = 16, AAAA = 28, DS = 43, SERVICE = 0 };

static const char zone_text[] = "$TTL 3600\n"
                                "@ SOA ns1 hostmaster 1 7200 3600 1209600 300\n"
                                "@ NS ns1\n"
                                "ns1 A 192.0.2.53\n"
                                "host A 192.0.2.1\n"
                                "host TXT \"x\"\n"
                                "a.b.ent TXT \"x\"\n"
                                "sub NS ns.sub\n"
                                "ns.sub A 192.0.2.54\n"
                                "safe NS ns1\n"
                                "safe DS 1 13 2 "
                                "0000000000000000000000000000000000000000000000000000000000000000\n"
                                "tree DNAME forest\n"
                                "oak.forest A 192.0.2.77\n"
                                "dangling CNAME nothing\n"
                                "*.wild TXT \"x\"\n"
                                "b.wild A 192.0.2.2\n"
                                "x.b.wild A 192.0.2.3\n"
                                "*.walias CNAME host\n"
                                "*.wlost CNAME nothing\n";

static uint8_t out[WIRE_TCP_MAX];
static struct served served;
static struct world_service service = {.has_a = true};
static ldns_rr_list *dnskeys;

static int begin(void **state)
{
    struct sign_policy policy;
    struct sign_signer *signer;
    struct zone_service steered = {.service = SERVICE, .has_a = true, .has_aaaa = true};
    ldns_pkt *p;

    (void)state;
    keys_begin();
    keys_make(SIGN_ECDSAP256SHA256, SIGN_FLAGS_SEP, clock_wall_s());
    policy = keys_policy();
    policy.denial = SIGN_COMPACT;
    signer = keys_signer(&policy, clock_wall_s(), NULL);
    ensure(wire_name_parse(STR("*.geo.example.com"), &steered.name));
    served_open(
        &served, zone_text,
        &(struct zone_source){
            .name = "example.com", .signer = signer, .services = &steered, .n_services = 1});
    served.world.services = &service;
    served.world.n_services = 1;
    sign_release(signer);
    assert_int_equal(
        ldns_wire2pkt(&p, out, served_ask(&served, "example.com", WIRE_DNSKEY, 0, out)),
        LDNS_STATUS_OK);
    dnskeys = ldns_pkt_rr_list_by_type(p, LDNS_RR_TYPE_DNSKEY, LDNS_SECTION_ANSWER);
    ldns_pkt_free(p);
    return 0;
}

static int end(void **state)
{
    (void)state;
    ldns_rr_list_deep_free(dnskeys);
    served_close(&served);
    keys_end();
    return 0;
}

/* --- what an answer says ------------------------------------------------------------------ */

/* Runs of \255 as one and a star. */
static void add_short(struct text *t, const char *s)
{
    while (*s != '\0') {
        bool is_highest = strncmp(s, "\\255", 4) == 0;

        text_addf(t, is_highest ? "\\255*" : "%c", *s);
        s += is_highest ? 0 : 1;
        while (is_highest && strncmp(s, "\\255", 4) == 0)
            s += 4;
    }
}

static void add_rdf(struct text *t, const ldns_rdf *f)
{
    char *s = ldns_rdf2str(f);
    size_t n = strlen(s);

    while (n > 0 && s[n - 1] == ' ')
        s[--n] = '\0';
    text_adds(t, " ");
    add_short(t, s);
    free(s);
}

static void verify(const ldns_pkt *p, const ldns_rr *rr)
{
    ldns_rr_list *all = ldns_pkt_all_noquestion(p), *set = ldns_rr_list_new(),
                 *sigs = ldns_rr_list_new(), *good = ldns_rr_list_new();

    for (size_t i = 0; i < ldns_rr_list_rr_count(all); i++) {
        ldns_rr *other = ldns_rr_list_rr(all, i);

        if (ldns_rdf_compare(ldns_rr_owner(other), ldns_rr_owner(rr)) != 0)
            continue;
        if (ldns_rr_get_type(other) == ldns_rr_get_type(rr))
            ldns_rr_list_push_rr(set, other);
        else if (ldns_rr_get_type(other) == LDNS_RR_TYPE_RRSIG &&
                 ldns_rdf2rr_type(ldns_rr_rrsig_typecovered(other)) == ldns_rr_get_type(rr))
            ldns_rr_list_push_rr(sigs, other);
    }
    assert_int_equal(ldns_verify(set, sigs, dnskeys, good), LDNS_STATUS_OK);
    ldns_rr_list_deep_free(all);
    ldns_rr_list_free(set);
    ldns_rr_list_free(sigs);
    ldns_rr_list_free(good);
}

/* Answers by owner and type, NSECs whole, others of authority not at all; what is signed must
 * verify. */
static char *show(size_t n)
{
    struct text t = {0};
    ldns_pkt *p;
    ldns_rr_list *rrs;

    assert_int_equal(ldns_wire2pkt(&p, out, n), LDNS_STATUS_OK);
    text_adds(&t, ldns_pkt_get_rcode(p) == LDNS_RCODE_NXDOMAIN   ? "NXDOMAIN"
                  : ldns_pkt_get_rcode(p) == LDNS_RCODE_SERVFAIL ? "SERVFAIL"
                                                                 : "NOERROR");
    text_adds(&t, ldns_pkt_tc(p) ? " tc" : "");
    text_adds(&t, ldns_pkt_edns_z(p) & 0x4000 ? " co" : "");
    rrs = ldns_pkt_answer(p);
    for (size_t i = 0; i < ldns_rr_list_rr_count(rrs); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(rrs, i);
        char *type = ldns_rr_type2str(ldns_rr_get_type(rr));

        if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_RRSIG) {
            text_adds(&t, " |");
            add_rdf(&t, ldns_rr_owner(rr));
            text_addf(&t, " %s", type);
        }
        free(type);
    }
    rrs = ldns_pkt_authority(p);
    for (size_t i = 0; i < ldns_rr_list_rr_count(rrs); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(rrs, i);

        if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_NSEC)
            continue;
        verify(p, rr);
        assert_int_equal(ldns_rr_ttl(rr), 300);
        text_adds(&t, " | NSEC");
        add_rdf(&t, ldns_rr_owner(rr));
        add_rdf(&t, ldns_rr_rdf(rr, 0));
        add_rdf(&t, ldns_rr_rdf(rr, 1));
    }
    ldns_pkt_free(p);
    return t.p;
}

#define OF(owner, types) " | NSEC " owner " \\000." owner " " types
#define IS_ABSENT(owner) OF(owner, "RRSIG NSEC TYPE128")

static void test_cases(void **state)
{
    static const struct {
        const char *name, *qname;
        uint16_t type;
        unsigned how;
        const char *want;
    } cases[] = {
        {"3.1 no such name", "nothing.example.com", A, 0,
         "NOERROR" IS_ABSENT("nothing.example.com.")},
        {"3.1 far below what is there", "a.b.host.example.com", A, 0,
         "NOERROR" IS_ABSENT("a.b.host.example.com.")},
        {"3.1 another type, the same record", "nothing.example.com", TXT, 0,
         "NOERROR" IS_ABSENT("nothing.example.com.")},
        {"5.1 asked by one who knows", "nothing.example.com", A, CO,
         "NXDOMAIN co" IS_ABSENT("nothing.example.com.")},
        {"without DO", "nothing.example.com", A, PLAIN, "NXDOMAIN"},
        {"without DO the flag means nothing", "nothing.example.com", A, PLAIN | CO, "NXDOMAIN"},
        {"3.2 no such type", "host.example.com", AAAA, 0,
         "NOERROR" OF("host.example.com.", "A TXT RRSIG NSEC")},
        {"3.2 at the apex", "example.com", AAAA, CO,
         "NOERROR co" OF("example.com.", "NS SOA RRSIG NSEC DNSKEY")},
        {"3.2 at a wildcard's name", "x.y.wild.example.com", A, 0,
         "NOERROR" OF("x.y.wild.example.com.", "TXT RRSIG NSEC")},
        {"3.2 at the wildcard itself", "*.wild.example.com", A, 0,
         "NOERROR" OF("*.wild.example.com.", "TXT RRSIG NSEC")},
        {"3.3 empty non-terminal", "ent.example.com", A, 0,
         "NOERROR" OF("ent.example.com.", "RRSIG NSEC")},
        {"3.3 lower empty non-terminal", "b.ent.example.com", A, 0,
         "NOERROR" OF("b.ent.example.com.", "RRSIG NSEC")},
        {"3.4 unsigned delegation", "www.sub.example.com", A, 0,
         "NOERROR | NSEC sub.example.com. sub\\000.example.com. NS RRSIG NSEC"},
        {"3.4 signed delegation", "www.safe.example.com", A, 0, "NOERROR"},
        {"no DS at a delegation", "sub.example.com", DS, 0,
         "NOERROR | NSEC sub.example.com. sub\\000.example.com. NS RRSIG NSEC"},
        {"a DNAME to what is there", "oak.tree.example.com", A, 0,
         "NOERROR | tree.example.com. DNAME | oak.tree.example.com. CNAME | "
         "oak.forest.example.com. A"},
        {"a DNAME to what is not", "elm.tree.example.com", A, 0,
         "NOERROR | tree.example.com. DNAME | elm.tree.example.com. CNAME" IS_ABSENT(
             "elm.forest.example.com.")},
        {"a CNAME to what is not", "dangling.example.com", A, CO,
         "NXDOMAIN co | dangling.example.com. CNAME" IS_ABSENT("nothing.example.com.")},
        {"a wildcard answers", "foo.wild.example.com", TXT, 0,
         "NOERROR | foo.wild.example.com. TXT | NSEC fon\\255*.wild.example.com. "
         "foo\\000.wild.example.com. RRSIG NSEC"},
        {"a wildcard answers far below", "a.b.foo.wild.example.com", TXT, 0,
         "NOERROR | a.b.foo.wild.example.com. TXT | NSEC fon\\255*.wild.example.com. "
         "foo\\000.wild.example.com. RRSIG NSEC"},
        {"a wildcard answers behind a name that has names below it", "b\\000.wild.example.com", TXT,
         0,
         "NOERROR | b\\000.wild.example.com. TXT | NSEC \\255*.b.wild.example.com. "
         "b\\000\\000.wild.example.com. RRSIG NSEC"},
        {"a wildcard answers for the first of all names", "\\000.wild.example.com", TXT, 0,
         "NOERROR | \\000.wild.example.com. TXT | NSEC wild.example.com. "
         "\\000\\000.wild.example.com. RRSIG NSEC"},
        {"a wildcard's CNAME", "x.walias.example.com", A, 0,
         "NOERROR | x.walias.example.com. CNAME | host.example.com. A | NSEC "
         "w\\255*.walias.example.com. x\\000.walias.example.com. RRSIG NSEC"},
        {"a wildcard's CNAME to what is not", "x.wlost.example.com", A, 0,
         "NOERROR | x.wlost.example.com. CNAME | NSEC w\\255*.wlost.example.com. "
         "x\\000.wlost.example.com. RRSIG NSEC" IS_ABSENT("nothing.example.com.")},
        {"a steered wildcard without the type here", "x.geo.example.com", AAAA, 0,
         "NOERROR" OF("x.geo.example.com.", "A RRSIG NSEC")},
        {"a steered wildcard never had the type", "x.geo.example.com", TXT, 0,
         "NOERROR" OF("x.geo.example.com.", "A AAAA RRSIG NSEC")},
    };

    (void)state;
    for (size_t turn = 0; turn < 2; turn++) { /* signed, then remembered */
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            char *have =
                show(served_ask(&served, cases[i].qname, cases[i].type, cases[i].how, out));

            if (strcmp(have, cases[i].want) != 0)
                fail_msg("%s:\nhave %s\nwant %s", cases[i].name, have, cases[i].want);
            free(have);
        }
    }
}

static uint64_t n_signed(void)
{
    return metrics_sum(&served.metrics, ANSWER_COUNTER_ONLINE_SIGNATURES);
}

static void test_signs_once(void **state)
{
    static uint8_t first[WIRE_TCP_MAX];
    uint64_t before = n_signed();
    size_t n = served_ask(&served, "once.example.com", A, 0, first);

    (void)state;
    assert_int_equal(n_signed(), before + 1);
    assert_int_equal(served_ask(&served, "once.example.com", TXT, 0, out), n);
    assert_int_equal(served_ask(&served, "once.example.com", A, 0, out), n);
    assert_memory_equal(out, first, n);
    served_ask(&served, "host.example.com", AAAA, 0, out);
    served_ask(&served, "once.example.com", A, PLAIN, out);
    assert_int_equal(n_signed(), before + 1);
}

/* A name as long as names can be has none below it, but one behind it. */
static void test_longest_names(void **state)
{
    struct wire_name apex, name;

    (void)state;
    assert_true(wire_name_parse(STR("example.com"), &apex));
    for (size_t length = 250; length <= WIRE_NAME_MAX; length++) {
        uint8_t bytes[WIRE_NAME_MAX];
        size_t at = 0;
        char *have;

        while (at < length - apex.length) {
            size_t label = length - apex.length - at - 1;

            label = label > 63 ? 61 : label;
            bytes[at++] = (uint8_t)label;
            memset(bytes + at, 'a', label);
            at += label;
        }
        memcpy(bytes + at, apex.bytes, apex.length);
        assert_true(wire_name_read(bytes, length, &name));
        have = show(served_ask_name(&served, &name, A, 0, out));
        if (strstr(have, " RRSIG NSEC TYPE128") == NULL)
            fail_msg("%zu bytes: %s", length, have);
        free(have);
    }
}

/* Asks for new names until one is refused, and how. */
static void check_refusal(const char *want, unsigned how, unsigned long *n)
{
    uint64_t before = metrics_sum(&served.metrics, ANSWER_COUNTER_ONLINE_REFUSED);
    int64_t end_ms = clock_mono_ms() + 60000;
    char name[64], *have;
    size_t bytes;

    do {
        assert_true(clock_mono_ms() < end_ms);
        snprintf(name, sizeof(name), "r%lu.example.com", (*n)++);
        bytes = served_ask(&served, name, A, how, out);
    } while (metrics_sum(&served.metrics, ANSWER_COUNTER_ONLINE_REFUSED) == before);
    have = show(bytes);
    assert_string_equal(have, want);
    free(have);
}

/* For ever new names the time runs out: then TC, by TCP SERVFAIL, while all that needs no signature
 * goes on. */
static void test_random_names(void **state)
{
    unsigned long n = 0;
    char *have;

    (void)state;
    check_refusal("NXDOMAIN tc co", CO, &n);
    check_refusal("NOERROR tc", 0, &n);
    check_refusal("SERVFAIL", TCP, &n);
    have = show(served_ask(&served, "host.example.com", AAAA, 0, out));
    assert_string_equal(have, "NOERROR" OF("host.example.com.", "A TXT RRSIG NSEC"));
    free(have);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_signs_once),
        cmocka_unit_test(test_longest_names),
        cmocka_unit_test(test_random_names),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
