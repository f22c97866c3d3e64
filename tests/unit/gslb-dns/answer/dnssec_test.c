/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers of zones that come signed: the examples of RFC 4035 appendix B and RFC 5155 appendix B.
 * What counts is which records stand where; the signatures are of no key. */
#include "tests/unit/gslb-dns/answer/served.h"

#include <ldns/ldns.h>

/* "OWNER SIG TYPE LABELS" stands for an RRSIG. */
#define COMMON                                                   \
    "$ORIGIN example.\n"                                         \
    "$TTL 3600\n"                                                \
    "@ SOA ns1 bugs.x.w 1081539377 3600 300 3600000 3600\n"      \
    "@ SIG SOA 1\n"                                              \
    "@ NS ns1\n"                                                 \
    "@ NS ns2\n"                                                 \
    "@ SIG NS 1\n"                                               \
    "@ MX 1 xx\n"                                                \
    "@ SIG MX 1\n"                                               \
    "@ DNSKEY 256 3 13 AAAAAAAA\n"                               \
    "@ SIG DNSKEY 1\n"                                           \
    "a NS ns1.a\n"                                               \
    "a NS ns2.a\n"                                               \
    "a DS 57855 13 1 B6DCD485719ADCA18E5F3D48A2331627FDD3636B\n" \
    "a SIG DS 2\n"                                               \
    "ns1.a A 192.0.2.5\n"                                        \
    "ns2.a A 192.0.2.6\n"                                        \
    "ai A 192.0.2.9\n"                                           \
    "ai SIG A 2\n"                                               \
    "ai HINFO KLH-10 ITS\n"                                      \
    "ai SIG HINFO 2\n"                                           \
    "ai AAAA 2001:db8::f00:baa9\n"                               \
    "ai SIG AAAA 2\n"                                            \
    "ns1 A 192.0.2.1\n"                                          \
    "ns1 SIG A 2\n"                                              \
    "ns2 A 192.0.2.2\n"                                          \
    "ns2 SIG A 2\n"                                              \
    "*.w MX 1 ai\n"                                              \
    "*.w SIG MX 2\n"                                             \
    "x.w MX 1 xx\n"                                              \
    "x.w SIG MX 3\n"                                             \
    "x.y.w MX 1 xx\n"                                            \
    "x.y.w SIG MX 4\n"                                           \
    "xx A 192.0.2.10\n"                                          \
    "xx SIG A 2\n"                                               \
    "xx AAAA 2001:db8::f00:baaa\n"                               \
    "xx SIG AAAA 2\n"

static const char rfc4035_zone[] = COMMON "@ NSEC a NS SOA MX RRSIG NSEC DNSKEY\n"
                                          "@ SIG NSEC 1\n"
                                          "a NSEC ai NS DS RRSIG NSEC\n"
                                          "a SIG NSEC 2\n"
                                          "ai NSEC b A HINFO AAAA RRSIG NSEC\n"
                                          "ai SIG NSEC 2\n"
                                          "b NS ns1.b\n"
                                          "b NS ns2.b\n"
                                          "ns1.b A 192.0.2.7\n"
                                          "ns2.b A 192.0.2.8\n"
                                          "b NSEC ns1 NS RRSIG NSEC\n"
                                          "b SIG NSEC 2\n"
                                          "ns1 NSEC ns2 A RRSIG NSEC\n"
                                          "ns1 SIG NSEC 2\n"
                                          "ns2 NSEC *.w A RRSIG NSEC\n"
                                          "ns2 SIG NSEC 2\n"
                                          "*.w NSEC x.w MX RRSIG NSEC\n"
                                          "*.w SIG NSEC 2\n"
                                          "x.w NSEC x.y.w MX RRSIG NSEC\n"
                                          "x.w SIG NSEC 3\n"
                                          "x.y.w NSEC xx MX RRSIG NSEC\n"
                                          "x.y.w SIG NSEC 4\n"
                                          "xx NSEC @ A AAAA RRSIG NSEC\n"
                                          "xx SIG NSEC 2\n";

static const char rfc5155_zone[] = COMMON
    "c NS ns1.c\n"
    "c NS ns2.c\n"
    "ns1.c A 192.0.2.7\n"
    "ns2.c A 192.0.2.8\n"
    "2t7b4g4vsa5smi47k61mv5bv1a22bojr A 192.0.2.127\n"
    "2t7b4g4vsa5smi47k61mv5bv1a22bojr SIG A 2\n"
    "@ NSEC3PARAM 1 0 12 aabbccdd\n"
    "@ SIG NSEC3PARAM 1\n"
    "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom NSEC3 1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX "
    "DNSKEY NS SOA NSEC3PARAM RRSIG\n"
    "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom SIG NSEC3 2\n"
    "2t7b4g4vsa5smi47k61mv5bv1a22bojr NSEC3 1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A "
    "RRSIG\n"
    "2t7b4g4vsa5smi47k61mv5bv1a22bojr SIG NSEC3 2\n"
    "2vptu5timamqttgl4luu9kg21e0aor3s NSEC3 1 1 12 aabbccdd 35mthgpgcu1qg68fab165klnsnk3dpvl MX "
    "RRSIG\n"
    "2vptu5timamqttgl4luu9kg21e0aor3s SIG NSEC3 2\n"
    "35mthgpgcu1qg68fab165klnsnk3dpvl NSEC3 1 1 12 aabbccdd b4um86eghhds6nea196smvmlo4ors995 NS DS "
    "RRSIG\n"
    "35mthgpgcu1qg68fab165klnsnk3dpvl SIG NSEC3 2\n"
    "b4um86eghhds6nea196smvmlo4ors995 NSEC3 1 1 12 aabbccdd gjeqe526plbf1g8mklp59enfd789njgi MX "
    "RRSIG\n"
    "b4um86eghhds6nea196smvmlo4ors995 SIG NSEC3 2\n"
    "gjeqe526plbf1g8mklp59enfd789njgi NSEC3 1 1 12 aabbccdd ji6neoaepv8b5o6k4ev33abha8ht9fgc HINFO "
    "A AAAA RRSIG\n"
    "gjeqe526plbf1g8mklp59enfd789njgi SIG NSEC3 2\n"
    "ji6neoaepv8b5o6k4ev33abha8ht9fgc NSEC3 1 1 12 aabbccdd k8udemvp1j2f7eg6jebps17vp3n8i58h \n"
    "ji6neoaepv8b5o6k4ev33abha8ht9fgc SIG NSEC3 2\n"
    "k8udemvp1j2f7eg6jebps17vp3n8i58h NSEC3 1 1 12 aabbccdd kohar7mbb8dc2ce8a9qvl8hon4k53uhi \n"
    "k8udemvp1j2f7eg6jebps17vp3n8i58h SIG NSEC3 2\n"
    "kohar7mbb8dc2ce8a9qvl8hon4k53uhi NSEC3 1 1 12 aabbccdd q04jkcevqvmu85r014c7dkba38o0ji5r A "
    "RRSIG\n"
    "kohar7mbb8dc2ce8a9qvl8hon4k53uhi SIG NSEC3 2\n"
    "q04jkcevqvmu85r014c7dkba38o0ji5r NSEC3 1 1 12 aabbccdd r53bq7cc2uvmubfu5ocmm6pers9tk9en A "
    "RRSIG\n"
    "q04jkcevqvmu85r014c7dkba38o0ji5r SIG NSEC3 2\n"
    "r53bq7cc2uvmubfu5ocmm6pers9tk9en NSEC3 1 1 12 aabbccdd t644ebqk9bibcna874givr6joj62mlhv MX "
    "RRSIG\n"
    "r53bq7cc2uvmubfu5ocmm6pers9tk9en SIG NSEC3 2\n"
    "t644ebqk9bibcna874givr6joj62mlhv NSEC3 1 1 12 aabbccdd 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom A "
    "AAAA RRSIG\n"
    "t644ebqk9bibcna874givr6joj62mlhv SIG NSEC3 2\n";

static const char rrsig[] =
    "3600 20440509183619 20240409183619 38519 example. "
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/* The zone as its file has it; for free(). */
static char *expand(const char *zone)
{
    struct text t = {0};

    while (*zone != '\0') {
        char owner[64], type[16];
        unsigned labels;

        if (sscanf(zone, "%63s SIG %15s %u", owner, type, &labels) == 3)
            text_addf(&t, "%s RRSIG %s 13 %u %s\n", owner, type, labels, rrsig);
        else
            text_addf(&t, "%.*s\n", (int)strcspn(zone, "\n"), zone);
        zone += strcspn(zone, "\n") + 1;
    }
    return t.p;
}

static void serve(struct served *s, const char *short_text)
{
    char *text = expand(short_text);

    served_open(s, text, &(struct zone_source){.name = "example"});
    free(text);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "owner TYPE", the records of an RRset as one, a signature as "owner TYPE+". */
static void add_section(struct text *t, const char *title, const ldns_rr_list *rrs)
{
    char *lines[64], *before = NULL;
    size_t n = ldns_rr_list_rr_count(rrs);

    assert_true(n < COUNT_OF(lines));
    for (size_t i = 0; i < n; i++) {
        const ldns_rr *rr = ldns_rr_list_rr(rrs, i);
        char *owner = ldns_rdf2str(ldns_rr_owner(rr));
        bool is_sig = ldns_rr_get_type(rr) == LDNS_RR_TYPE_RRSIG;
        char *type = is_sig ? ldns_rdf2str(ldns_rr_rrsig_typecovered(rr))
                            : ldns_rr_type2str(ldns_rr_get_type(rr));

        if (strlen(owner) > 33)
            owner[6] = '\0'; /* of a hash so much is enough */
        lines[i] = base_printf("%s %s%s", owner, type, is_sig ? "+" : "");
        free(owner);
        free(type);
    }
    qsort(lines, n, sizeof(lines[0]), compare);
    for (size_t i = 0; i < n; i++) {
        if (before == NULL || strcmp(before, lines[i]) != 0)
            text_addf(t, "%s %s", i == 0 ? title : ",", lines[i]);
        before = lines[i];
    }
    for (size_t i = 0; i < n; i++)
        free(lines[i]);
}

static char *show(const uint8_t *wire, size_t n)
{
    struct text t = {0};
    ldns_pkt *p;

    assert_int_equal(ldns_wire2pkt(&p, wire, n), LDNS_STATUS_OK);
    text_addf(&t, "%s", ldns_pkt_get_rcode(p) == LDNS_RCODE_NXDOMAIN ? "NXDOMAIN" : "NOERROR");
    text_adds(&t, ldns_pkt_aa(p) ? " aa" : "");
    text_adds(&t, ldns_pkt_tc(p) ? " tc" : "");
    add_section(&t, " | answer", ldns_pkt_answer(p));
    add_section(&t, " | authority", ldns_pkt_authority(p));
    add_section(&t, " | additional", ldns_pkt_additional(p));
    ldns_pkt_free(p);
    return t.p;
}

struct example {
    const char *name, *qname;
    uint16_t type;
    unsigned how;
    const char *want;
};

static void check_examples(const char *zone, const struct example *examples, size_t n)
{
    static uint8_t out[WIRE_TCP_MAX];
    struct served s;

    serve(&s, zone);
    for (size_t i = 0; i < n; i++) {
        const struct example *e = &examples[i];
        char *have = show(out, served_ask(&s, e->qname, e->type, e->how, out));

        if (strcmp(have, e->want) != 0)
            fail_msg("%s:\nhave %s\nwant %s", e->name, have, e->want);
        free(have);
    }
    served_close(&s);
}

#define SOA_SIGNED "example. SOA, example. SOA+"
#define XX_SIGNED "xx.example. A, xx.example. A+, xx.example. AAAA, xx.example. AAAA+"
#define AI_SIGNED "ai.example. A, ai.example. A+, ai.example. AAAA, ai.example. AAAA+"

static void test_rfc4035(void **state)
{
    static const struct example examples[] = {
        {"B.1 answer", "x.w.example", WIRE_MX, 0,
         "NOERROR aa | answer x.w.example. MX, x.w.example. MX+ | additional " XX_SIGNED},
        {"B.1 without DO", "x.w.example", WIRE_MX, PLAIN,
         "NOERROR aa | answer x.w.example. MX | additional xx.example. A, xx.example. AAAA"},
        {"B.2 name error", "ml.example", WIRE_A, 0,
         "NXDOMAIN aa | authority b.example. NSEC, b.example. NSEC+, example. NSEC, "
         "example. NSEC+, " SOA_SIGNED},
        {"B.2 without DO", "ml.example", WIRE_A, PLAIN, "NXDOMAIN aa | authority example. SOA"},
        {"B.3 no data", "ns1.example", WIRE_MX, 0,
         "NOERROR aa | authority " SOA_SIGNED ", ns1.example. NSEC, ns1.example. NSEC+"},
        {"B.4 referral to a signed zone", "mc.a.example", WIRE_MX, 0,
         "NOERROR | authority a.example. DS, a.example. DS+, a.example. NS | additional "
         "ns1.a.example. A, ns2.a.example. A"},
        {"B.5 referral to an unsigned zone", "mc.b.example", WIRE_MX, 0,
         "NOERROR | authority b.example. NS, b.example. NSEC, b.example. NSEC+ | additional "
         "ns1.b.example. A, ns2.b.example. A"},
        {"B.5 without DO", "mc.b.example", WIRE_MX, PLAIN,
         "NOERROR | authority b.example. NS | additional ns1.b.example. A, ns2.b.example. A"},
        {"B.6 wildcard", "a.z.w.example", WIRE_MX, 0,
         "NOERROR aa | answer a.z.w.example. MX, a.z.w.example. MX+ | authority x.y.w.example. "
         "NSEC, x.y.w.example. NSEC+ | additional " AI_SIGNED},
        {"B.7 wildcard without the type", "a.z.w.example", WIRE_AAAA, 0,
         "NOERROR aa | authority *.w.example. NSEC, *.w.example. NSEC+, " SOA_SIGNED
         ", x.y.w.example. NSEC, x.y.w.example. NSEC+"},
        {"B.8 DS at the apex", "example", WIRE_DS, 0,
         "NOERROR aa | authority example. NSEC, example. NSEC+, " SOA_SIGNED},
        {"DS at a cut", "a.example", WIRE_DS, 0,
         "NOERROR aa | answer a.example. DS, a.example. DS+"},
        {"no DS at a cut", "b.example", WIRE_DS, 0,
         "NOERROR aa | authority b.example. NSEC, b.example. NSEC+, " SOA_SIGNED},
        {"empty non-terminal", "y.w.example", WIRE_A, 0,
         "NOERROR aa | authority " SOA_SIGNED ", x.w.example. NSEC, x.w.example. NSEC+"},
        {"behind the last name", "zz.example", WIRE_A, 0,
         "NXDOMAIN aa | authority example. NSEC, example. NSEC+, " SOA_SIGNED
         ", xx.example. NSEC, xx.example. NSEC+"},
        {"DNSKEY", "example", WIRE_DNSKEY, 0,
         "NOERROR aa | answer example. DNSKEY, example. DNSKEY+"},
        {"NSEC", "ns1.example", WIRE_NSEC, 0,
         "NOERROR aa | answer ns1.example. NSEC, ns1.example. NSEC+"},
        {"RRSIG: those of one RRset", "xx.example", WIRE_RRSIG, PLAIN,
         "NOERROR aa | answer xx.example. A+"},
        {"check 28: ANY", "xx.example", WIRE_ANY, 0,
         "NOERROR aa | answer xx.example. A, xx.example. A+"},
        {"additional gives way first", "example", WIRE_NS, SMALL,
         "NOERROR aa | answer example. NS, example. NS+ | additional ns1.example. A, ns1.example. "
         "A+, ns2.example. A, ns2.example. A+"},
    };
    check_examples(rfc4035_zone, examples, COUNT_OF(examples));
}

static void test_rfc5155(void **state)
{
#define CE "0p9mha NSEC3, 0p9mha NSEC3+, "
    static const struct example examples[] = {
        {"B.1 name error", "a.c.x.w.example", WIRE_A, 0,
         "NXDOMAIN aa | authority " CE
         "35mthg NSEC3, 35mthg NSEC3+, b4um86 NSEC3, b4um86 NSEC3+, " SOA_SIGNED},
        {"B.2 no data", "ns1.example", WIRE_MX, 0,
         "NOERROR aa | authority 2t7b4g NSEC3, 2t7b4g NSEC3+, " SOA_SIGNED},
        {"B.2.1 empty non-terminal", "y.w.example", WIRE_A, 0,
         "NOERROR aa | authority " SOA_SIGNED ", ji6neo NSEC3, ji6neo NSEC3+"},
        {"B.3 referral to an opt-out zone", "mc.c.example", WIRE_MX, 0,
         "NOERROR | authority " CE "35mthg NSEC3, 35mthg NSEC3+, c.example. NS | additional "
         "ns1.c.example. A, ns2.c.example. A"},
        {"B.4 wildcard", "a.z.w.example", WIRE_MX, 0,
         "NOERROR aa | answer a.z.w.example. MX, a.z.w.example. MX+ | authority q04jkc NSEC3, "
         "q04jkc NSEC3+ | additional " AI_SIGNED},
        {"B.5 wildcard without the type", "a.z.w.example", WIRE_AAAA, 0,
         "NOERROR aa | authority " SOA_SIGNED ", k8udem NSEC3, k8udem NSEC3+, q04jkc NSEC3, q04jkc "
         "NSEC3+, r53bq7 NSEC3, r53bq7 NSEC3+"},
        {"B.6 DS at the apex", "example", WIRE_DS, 0,
         "NOERROR aa | authority 0p9mha NSEC3, 0p9mha NSEC3+, " SOA_SIGNED},
        {"no DS at an opt-out cut", "c.example", WIRE_DS, 0,
         "NOERROR aa | authority " CE "35mthg NSEC3, 35mthg NSEC3+, " SOA_SIGNED},
        {"signed referral", "mc.a.example", WIRE_MX, 0,
         "NOERROR | authority a.example. DS, a.example. DS+, a.example. NS | additional "
         "ns1.a.example. A, ns2.a.example. A"},
        {"a name that is a hash too", "2t7b4g4vsa5smi47k61mv5bv1a22bojr.example", WIRE_A, PLAIN,
         "NOERROR aa | answer 2t7b4g A"},
        {"and its NSEC3 is not asked for", "2t7b4g4vsa5smi47k61mv5bv1a22bojr.example", WIRE_NSEC3,
         PLAIN, "NOERROR aa | authority example. SOA"},
        {"7.2.8 a hash is no name", "ji6neoaepv8b5o6k4ev33abha8ht9fgc.example", WIRE_NSEC3, PLAIN,
         "NXDOMAIN aa | authority example. SOA"},
        {"NSEC3PARAM", "example", WIRE_NSEC3PARAM, 0,
         "NOERROR aa | answer example. NSEC3PARAM, example. NSEC3PARAM+"},
        {"proofs that do not fit", "a.z.w.example", WIRE_AAAA, SMALL, "NOERROR aa tc"},
    };
    check_examples(rfc5155_zone, examples, COUNT_OF(examples));
}

/* --- what is said of zones at load -------------------------------------------------------- */

static void test_warnings(void **state)
{
#define TINY                                                            \
    "$ORIGIN example.\n$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns.other.\n" \
    "@ SIG SOA 1\n"                                                     \
    "@ SIG NS 1\n"                                                      \
    "@ SIG NSEC 1\n"
    static const struct {
        const char *name, *zone, *want;
    } cases[] = {
        {"whole", TINY "@ NSEC @ NS SOA RRSIG NSEC\n", NULL},
        {"broken chain", TINY "@ NSEC b NS SOA RRSIG NSEC\n", "chain is broken"},
        {"unsigned RRset", TINY "@ NSEC @ NS SOA RRSIG NSEC\n@ TXT x\n", "is not signed"},
        {"no NSEC at a name",
         TINY "@ NSEC @ NS SOA RRSIG NSEC\na TXT x\n"
              "a SIG TXT 2\n",
         "without NSEC"},
        {"signature of nothing",
         TINY "@ NSEC @ NS SOA RRSIG NSEC\n"
              "@ SIG TXT 1\n",
         "is not there"},
        {"expired",
         TINY "@ NSEC @ NS SOA RRSIG NSEC\n@ TXT x\n@ RRSIG TXT 13 1 60 20200101000000 "
              "20190101000000 1 example. AAAA\n",
         "has expired"},
        {"no chain at all",
         "$ORIGIN example.\n$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns.other.\n"
         "@ SIG SOA 1\n"
         "@ SIG NS 1\n",
         "neither NSEC nor NSEC3PARAM"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct served s;
        char *said = NULL;
        size_t n = 0;
        FILE *to = open_memstream(&said, &n);

        serve(&s, cases[i].zone);
        errors_print(&s.errors, to);
        fclose(to);
        if (cases[i].want == NULL ? n > 0 : strstr(said, cases[i].want) == NULL)
            fail_msg("%s: %s", cases[i].name, said);
        free(said);
        served_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc4035),
        cmocka_unit_test(test_rfc5155),
        cmocka_unit_test(test_warnings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
