/* SPDX-License-Identifier: BSD-2-Clause */
/* Zone text: what is right becomes the records that it says, with ldns as the oracle for one plain
 * record each; what is wrong is reported where it stands. */
#include "tests/unit/gslb-dns/zone/zone_text.h"

#include <ldns/ldns.h>
#include <stdlib.h>

/* --- right -------------------------------------------------------------------------------- */

struct good_case {
    const char *name, *text; /* after APEX */
    const char *want[12];    /* all records besides those of APEX, absolute */
};

static const struct good_case good_cases[] = {
    {"plain", "www 300 IN A 192.0.2.1\n", {"www.example.com. 300 IN A 192.0.2.1"}},
    {"no newline at the end", "www 300 IN A 192.0.2.1", {"www.example.com. 300 IN A 192.0.2.1"}},
    {"class before TTL", "www IN 300 A 192.0.2.1\n", {"www.example.com. 300 IN A 192.0.2.1"}},
    {"lower case class and type", "www in 300 aaaa ::1\n", {"www.example.com. 300 IN AAAA ::1"}},
    {"CLASS1", "www 300 CLASS1 A 192.0.2.1\n", {"www.example.com. 300 IN A 192.0.2.1"}},
    {"TTL of the record before", "a A 192.0.2.1\n", {"a.example.com. 3600 IN A 192.0.2.1"}},
    {"$TTL",
     "$TTL 1h30m\na A 192.0.2.1\nb 5 A 192.0.2.1\nc A 192.0.2.1\n",
     {"a.example.com. 5400 IN A 192.0.2.1", "b.example.com. 5 IN A 192.0.2.1",
      "c.example.com. 5400 IN A 192.0.2.1"}},
    {"TTL in all units",
     "a 1w2d3h4m5s A 192.0.2.1\nb 1W A 192.0.2.1\nc 2147483647 A 192.0.2.1\nd 0 A 192.0.2.1\n",
     {"a.example.com. 788645 IN A 192.0.2.1", "b.example.com. 604800 IN A 192.0.2.1",
      "c.example.com. 2147483647 IN A 192.0.2.1", "d.example.com. 0 IN A 192.0.2.1"}},
    {"blank owner",
     "a 60 A 192.0.2.1\n\t60 A 192.0.2.2\n  60 MX 5 a\n",
     {"a.example.com. 60 IN A 192.0.2.1", "a.example.com. 60 IN A 192.0.2.2",
      "a.example.com. 60 IN MX 5 a.example.com."}},
    {"blank owner after $ORIGIN keeps the owner",
     "a 60 A 192.0.2.1\n$ORIGIN b\n 60 A 192.0.2.2\n",
     {"a.example.com. 60 IN A 192.0.2.1", "a.example.com. 60 IN A 192.0.2.2"}},
    {"at sign",
     "@ 60 A 192.0.2.1\nw 60 CNAME @\n",
     {"example.com. 60 IN A 192.0.2.1", "w.example.com. 60 IN CNAME example.com."}},
    {"relative $ORIGIN",
     "$ORIGIN sub\na 60 A 192.0.2.1\n$ORIGIN deep\nb 60 A 192.0.2.1\n$ORIGIN com.\n"
     "example 60 A 192.0.2.9\n",
     {"a.sub.example.com. 60 IN A 192.0.2.1", "b.deep.sub.example.com. 60 IN A 192.0.2.1",
      "example.com. 60 IN A 192.0.2.9"}},
    {"CRLF and tabs",
     "a\t60\tA\t192.0.2.1\r\n\t60\tA\t192.0.2.2\r\n",
     {"a.example.com. 60 IN A 192.0.2.1", "a.example.com. 60 IN A 192.0.2.2"}},
    {"comments and empty lines",
     "; x\n\n   \n  ; y ( \"\na 60 A 192.0.2.1;z\n",
     {"a.example.com. 60 IN A 192.0.2.1"}},
    {"parentheses",
     "a 60 ( TXT ; one\n\"a\" (\n b ) ; two\n\n  c\n)\nb 60 A 192.0.2.1\n",
     {"a.example.com. 60 IN TXT \"a\" \"b\" \"c\"", "b.example.com. 60 IN A 192.0.2.1"}},
    {"parenthesis next to text", "a 60 MX(10 b)\n", {"a.example.com. 60 IN MX 10 b.example.com."}},
    {"strings",
     "a 60 TXT \"a;b(c)\" \"say \\\"hi\\\"\" un\\;quoted \\097\\\\ \"\"\nb 60 TXT \"x\"\"y\"\n",
     {"a.example.com. 60 IN TXT \"a;b(c)\" \"say \\\"hi\\\"\" \"un;quoted\" \"a\\\\\" \"\"",
      "b.example.com. 60 IN TXT \"x\" \"y\""}},
    {"escapes in names",
     "a\\.b 60 A 192.0.2.1\n\\000\\255 60 CNAME c\\.d.\\@\n",
     {"a\\.b.example.com. 60 IN A 192.0.2.1",
      "\\000\\255.example.com. 60 IN CNAME c\\.d.\\@.example.com."}},
    {"names in data keep their case",
     "a 60 CNAME WwW\nb 60 CNAME X.ExAmPlE.nEt.\n",
     {"a.example.com. 60 IN CNAME WwW.example.com.", "b.example.com. 60 IN CNAME X.ExAmPlE.nEt."}},
    {"owner without case",
     "AbC 60 A 192.0.2.1\nabc 60 A 192.0.2.2\n",
     {"abc.example.com. 60 IN A 192.0.2.1", "abc.example.com. 60 IN A 192.0.2.2"}},
    {"label of 63 bytes",
     "123456789012345678901234567890123456789012345678901234567890123 60 A 192.0.2.1\n",
     {"123456789012345678901234567890123456789012345678901234567890123.example.com. 60 IN A "
      "192.0.2.1"}},
    {"mail", "a 60 MX 0 .\n", {"a.example.com. 60 IN MX 0 ."}},
    {"SRV", "_x._tcp 60 SRV 1 2 3 a\n", {"_x._tcp.example.com. 60 IN SRV 1 2 3 a.example.com."}},
    {"DNAME", "d 60 DNAME other.example.\n", {"d.example.com. 60 IN DNAME other.example."}},
    {"PTR", "1 60 PTR www\n", {"1.example.com. 60 IN PTR www.example.com."}},
    {"HTTPS",
     "a 60 HTTPS 1 . alpn=\"h2,h3\" port=443 ipv4hint=192.0.2.1\n@ 60 HTTPS 0 a\n"
     "b 60 SVCB 1 a port=53\n",
     {"a.example.com. 60 IN HTTPS 1 . alpn=h2,h3 port=443 ipv4hint=192.0.2.1",
      "example.com. 60 IN HTTPS 0 a.example.com.",
      "b.example.com. 60 IN SVCB 1 a.example.com. port=53"}},
    {"HTTPS keys in any order",
     "a 60 HTTPS 1 . port=443 alpn=h2\n",
     {"a.example.com. 60 IN HTTPS 1 . alpn=h2 port=443"}},
    {"CAA",
     "@ 60 CAA 0 issue \"ca.example; x=y\"\n",
     {"example.com. 60 IN CAA 0 issue \"ca.example; x=y\""}},
    {"TLSA over lines",
     "_443._tcp 60 TLSA 3 1 1 (\n 0123456789abcdef\n 0123456789ABCDEF )\n",
     {"_443._tcp.example.com. 60 IN TLSA 3 1 1 0123456789abcdef0123456789abcdef"}},
    {"SSHFP", "a 60 SSHFP 4 2 abcdef\n", {"a.example.com. 60 IN SSHFP 4 2 abcdef"}},
    {"NAPTR",
     "a 60 NAPTR 1 2 \"s\" \"SIP+D2U\" \"\" _sip._udp\n",
     {"a.example.com. 60 IN NAPTR 1 2 \"s\" \"SIP+D2U\" \"\" _sip._udp.example.com."}},
    {"DS and delegation",
     "d 60 NS ns.example.net.\nd 60 DS 12345 13 2 0123456789abcdef\n",
     {"d.example.com. 60 IN DS 12345 13 2 0123456789abcdef",
      "d.example.com. 60 IN NS ns.example.net."}},
    {"LOC",
     "a 60 LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m\n",
     {"a.example.com. 60 IN LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m"}},
    {"URI",
     "a 60 URI 10 1 \"https://example.net/\"\n",
     {"a.example.com. 60 IN URI 10 1 \"https://example.net/\""}},
    {"unknown type",
     "a 60 TYPE65280 \\# 3 ab cdef\nb 60 TYPE65280 \\# 0\n",
     {"a.example.com. 60 IN TYPE65280 \\# 3 abcdef", "b.example.com. 60 IN TYPE65280 \\# 0"}},
    {"known types, generic data",
     "a 60 A \\# 4 c0000201\nb 60 TYPE1 192.0.2.1\n"
     "c 60 TYPE15 \\# 9 000a 0566666666 6600\n",
     {"a.example.com. 60 IN A 192.0.2.1", "b.example.com. 60 IN A 192.0.2.1",
      "c.example.com. 60 IN MX 10 fffff."}},
    {"$GENERATE",
     "$GENERATE 1-3 h$ 60 A 192.0.2.$\n",
     {"h1.example.com. 60 IN A 192.0.2.1", "h2.example.com. 60 IN A 192.0.2.2",
      "h3.example.com. 60 IN A 192.0.2.3"}},
    {"$GENERATE with step and forms",
     "$GENERATE 8-12/2 h${-8,3,d} 60 CNAME x${0,4,x}.${250,0,X}.$$\n",
     {"h000.example.com. 60 IN CNAME x0008.102.\\$.example.com.",
      "h002.example.com. 60 IN CNAME x000a.104.\\$.example.com.",
      "h004.example.com. 60 IN CNAME x000c.106.\\$.example.com."}},
    {"$GENERATE nibbles",
     "$GENERATE 26-27 ${0,7,n} 60 PTR h${0,2,o}\n",
     {"a.1.0.0.example.com. 60 IN PTR h32.example.com.",
      "b.1.0.0.example.com. 60 IN PTR h33.example.com."}},
    {"$GENERATE with quoted data",
     "$GENERATE 5-5 m$ 60 MX \"$ mail$\"\n",
     {"m5.example.com. 60 IN MX 5 mail5.example.com."}},
    {"CAA of an unknown tag",
     "@ 60 CAA 128 unknowntag \"x\"\n",
     {"example.com. 60 IN CAA 128 unknowntag \"x\""}},
    {"TLSA of a whole certificate",
     "_25._tcp 60 TLSA 2 0 0 3082\n",
     {"_25._tcp.example.com. 60 IN TLSA 2 0 0 3082"}},
    {"TLSA by names",
     "_25._tcp 60 TLSA DANE-EE SPKI SHA2-256 ab\n",
     {"_25._tcp.example.com. 60 IN TLSA 3 1 1 ab"}},
    {"LOC at the ends of the world",
     "a 60 LOC 90 S 180 W 0m\n",
     {"a.example.com. 60 IN LOC 90 0 0.000 S 180 0 0.000 W 0.00m 1m 10000m 10m"}},
    {"SMIMEA",
     "a 60 SMIMEA 3 1 1 0123456789abcdef\n",
     {"a.example.com. 60 IN SMIMEA 3 1 1 0123456789abcdef"}},
    {"OPENPGPKEY",
     "a 60 OPENPGPKEY mQINBFnVAMgBEACjhvoJ\n",
     {"a.example.com. 60 IN OPENPGPKEY mQINBFnVAMgBEACjhvoJ"}},
    {"CERT",
     "a 60 CERT PKIX 12345 RSASHA256 AQIDBA==\n",
     {"a.example.com. 60 IN CERT PKIX 12345 RSASHA256 AQIDBA=="}},
    {"SSHFP of SHA-1",
     "a 60 SSHFP 1 1 0123456789abcdef0123456789abcdef01234567\n",
     {"a.example.com. 60 IN SSHFP 1 1 0123456789abcdef0123456789abcdef01234567"}},
    {"CSYNC", "@ 60 CSYNC 66 3 A NS AAAA\n", {"example.com. 60 IN CSYNC 66 3 A NS AAAA"}},
    {"ZONEMD",
     "@ 60 ZONEMD 2026112301 1 1 "
     "ababababababababababababababababababababababababababababababababababababababababababababababa"
     "bab\n",
     {"example.com. 60 IN ZONEMD 2026112301 1 1 "
      "abababababababababababababababababababababababababababababababababababababababababababababab"
      "abab"}},
    {"HINFO", "a 60 HINFO \"PC\" \"Linux\"\n", {"a.example.com. 60 IN HINFO \"PC\" \"Linux\""}},
    {"RP",
     "a 60 RP host.example.com. txt.example.com.\n",
     {"a.example.com. 60 IN RP host.example.com. txt.example.com."}},
    {"AFSDB", "a 60 AFSDB 1 b.example.com.\n", {"a.example.com. 60 IN AFSDB 1 b.example.com."}},
    {"KX", "a 60 KX 10 b.example.com.\n", {"a.example.com. 60 IN KX 10 b.example.com."}},
    {"RT", "a 60 RT 10 b.example.com.\n", {"a.example.com. 60 IN RT 10 b.example.com."}},
    {"X25", "a 60 X25 \"311061700956\"\n", {"a.example.com. 60 IN X25 \"311061700956\""}},
    {"APL",
     "a 60 APL 1:192.0.2.0/24 !1:192.0.2.64/28 2:2001:db8::/32\n",
     {"a.example.com. 60 IN APL 1:192.0.2.0/24 !1:192.0.2.64/28 2:2001:db8::/32"}},
    {"IPSECKEY",
     "a 60 IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb\n",
     {"a.example.com. 60 IN IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb"}},
    {"DHCID",
     "a 60 DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=\n",
     {"a.example.com. 60 IN DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="}},
    {"EUI48 and EUI64",
     "a 60 EUI48 00-00-5e-00-53-2a\n",
     {"a.example.com. 60 IN EUI48 00-00-5e-00-53-2a"}},
    {"EUI64",
     "a 60 EUI64 00-00-5e-ef-10-00-00-2a\n",
     {"a.example.com. 60 IN EUI64 00-00-5e-ef-10-00-00-2a"}},
    {"NID",
     "a 60 NID 10 0014:4fff:ff20:ee64\n",
     {"a.example.com. 60 IN NID 10 0014:4fff:ff20:ee64"}},
    {"L32", "a 60 L32 10 192.0.2.1\n", {"a.example.com. 60 IN L32 10 192.0.2.1"}},
    {"L64",
     "a 60 L64 10 2001:0db8:1140:1000\n",
     {"a.example.com. 60 IN L64 10 2001:0db8:1140:1000"}},
    {"LP", "a 60 LP 10 b.example.com.\n", {"a.example.com. 60 IN LP 10 b.example.com."}},
    {"CDS",
     "@ 60 CDS 12345 13 2 0123456789abcdef\n",
     {"example.com. 60 IN CDS 12345 13 2 0123456789abcdef"}},
    {"CDNSKEY that deletes",
     "@ 60 CDNSKEY 0 3 0 AA==\n",
     {"example.com. 60 IN CDNSKEY 0 3 0 AA=="}},
    {"SPF", "a 60 SPF \"v=spf1 -all\"\n", {"a.example.com. 60 IN SPF \"v=spf1 -all\""}},
    {"SVCB, every key",
     "_x 60 SVCB 1 b.example.com. mandatory=alpn,port alpn=h2,h3 no-default-alpn port=8443 "
     "ipv4hint=192.0.2.1,192.0.2.2 ech=AAQB ipv6hint=2001:db8::1,2001:db8::2\n",
     {"_x.example.com. 60 IN SVCB 1 b.example.com. mandatory=alpn,port alpn=h2,h3 no-default-alpn "
      "port=8443 ipv4hint=192.0.2.1,192.0.2.2 ech=AAQB ipv6hint=2001:db8::1,2001:db8::2"}},
    {"SVCB, unknown key",
     "_x 60 SVCB 1 . key65000=x\n",
     {"_x.example.com. 60 IN SVCB 1 . key65000=x"}},
    {"NAPTR with a pattern",
     "a 60 NAPTR 100 10 \"U\" \"E2U+sip\" \"!^.*$!sip:info@example.com!\" .\n",
     {"a.example.com. 60 IN NAPTR 100 10 \"U\" \"E2U+sip\" \"!^.*$!sip:info@example.com!\" ."}},
    {"LOC in the south",
     "a 60 LOC 33 51 0.000 S 151 12 0.000 W 58.00m 1m 100m 20m\n",
     {"a.example.com. 60 IN LOC 33 51 0.000 S 151 12 0.000 W 58.00m 1m 100m 20m"}},
    {"URI with a query",
     "_x 60 URI 0 65535 \"https://example.net/?a=b;c\"\n",
     {"_x.example.com. 60 IN URI 0 65535 \"https://example.net/?a=b;c\""}},
    {"LOC with defaults",
     "a 60 LOC 52 N 4 E 0m\nb 60 LOC 52 22 N 4 53 E 10m 2m\n",
     {"a.example.com. 60 IN LOC 52 0 0.000 N 4 0 0.000 E 0.00m 1m 10000m 10m",
      "b.example.com. 60 IN LOC 52 22 0.000 N 4 53 0.000 E 10.00m 2m 10000m 10m"}},
    {"names of TYPEnnn",
     "a 60 TYPE257 0 issue \"ca.example\"\nb 60 TYPE65 0 c\nc 60 TYPE65535 \\# 1 00\n",
     {"a.example.com. 60 IN CAA 0 issue \"ca.example\"",
      "b.example.com. 60 IN HTTPS 0 c.example.com.", "c.example.com. 60 IN TYPE65535 \\# 1 00"}},
    {"generic data of types with names",
     "a 60 HTTPS \\# 3 0001 00\n@ 60 CAA \\# 9 00 05 6973737565 3b 3b\n",
     {"a.example.com. 60 IN HTTPS 1 .", "example.com. 60 IN CAA 0 issue \";;\""}},
    {"$TTL again, and $ORIGIN of all forms",
     "$TTL 1m ; comment\n$ORIGIN a.b\n@ TXT x\n$ORIGIN @\nc TXT x\n$ttl 2\n$origin example.com.\nd "
     "TXT x\n",
     {"a.b.example.com. 60 IN TXT x", "c.a.b.example.com. 60 IN TXT x",
      "d.example.com. 2 IN TXT x"}},
    {"duplicates are left out",
     "a 60 CNAME b\na 60 CNAME B\n",
     {"a.example.com. 60 IN CNAME b.example.com."}},
    {"one TTL per RRset",
     "a 60 A 192.0.2.1\na 30 A 192.0.2.2\n",
     {"a.example.com. 30 IN A 192.0.2.1", "a.example.com. 30 IN A 192.0.2.2"}},
};

static bool has_record(const struct zone *z, const struct zone_rrset *r, const uint8_t *rdata,
                       size_t n)
{
    static uint8_t got[65535];

    for (unsigned i = 0; r != NULL && i < r->count; i++) {
        if (expand_rdata(z, r, i, got) == n && memcmp(got, rdata, n) == 0)
            return true;
    }
    return false;
}

static bool holds(const struct zone *z, const char *line)
{
    ldns_rr *rr = NULL;
    uint8_t *wire = NULL;
    size_t n = 0, head;
    struct wire_name name;
    struct zone_lookup l;
    struct zone_set *set = zone_set_new((struct zone *const[]){(struct zone *)z}, 1);
    bool is_there;

    assert_int_equal(ldns_rr_new_frm_str(&rr, line, 0, NULL, NULL), LDNS_STATUS_OK);
    assert_int_equal(ldns_rr2wire(&wire, rr, LDNS_SECTION_ANSWER, &n), LDNS_STATUS_OK);
    assert_true(wire_name_read(wire, n, &name));
    head = name.length + 10u;
    look_up(set, &name, (uint16_t)ldns_rr_get_type(rr), &l);
    is_there = l.node != NULL && strlen(line) > 0;
    if (is_there) {
        const struct zone_rrset *r = zone_node_rrset(l.node, (uint16_t)ldns_rr_get_type(rr));
        is_there =
            r != NULL && r->ttl_s == ldns_rr_ttl(rr) && has_record(z, r, wire + head, n - head);
    }
    ldns_rr_free(rr);
    free(wire);
    zone_set_free(set);
    return is_there;
}

static void test_good_text(void **state)
{
    int failures = 0;

    for (size_t i = 0; i < COUNT_OF(good_cases); i++) {
        const struct good_case *c = &good_cases[i];
        char *text = base_printf(APEX "%s", c->text);
        struct errors errors = {0};
        struct zone *z = load_text("example.com", text, NULL, 0, &errors);
        size_t n = 0;

        if (z == NULL) {
            print_error("%s: not loaded\n", c->name);
            errors_print(&errors, stderr);
            failures++;
        }
        for (; z != NULL && n < COUNT_OF(c->want) && c->want[n] != NULL; n++) {
            if (!holds(z, c->want[n])) {
                print_error("%s: missing %s\n", c->name, c->want[n]);
                failures++;
            }
        }
        if (z != NULL && z->n_records != n + 2) {
            print_error("%s: %zu records, want %zu\n", c->name, z->n_records, n + 2);
            failures++;
        }
        zone_release(z);
        errors_free(&errors);
        free(text);
    }
    assert_int_equal(failures, 0);
}

/* --- wrong -------------------------------------------------------------------------------- */

struct bad_case {
    const char *name, *text; /* as it is */
    const char *want;        /* stands in the report, which has a line for each mistake */
};

static const struct bad_case bad_cases[] = {
    {"unknown type", APEX "a AAA ::1\n", ":3:3: error: unknown type AAA; did you mean AAAA?"},
    {"unknown type far from all", APEX "a FOOBARBAZ x\n", ":3:3: error: unknown type FOOBARBAZ\n"},
    {"ALIAS", APEX "a ALIAS x\n", ":3:3: error: ALIAS is no DNS type; give the name as a service"},
    {"type of queries", APEX "a ANY x\n", ":3:3: error: ANY is for queries"},
    {"meta type", APEX "a AXFR x\n", ":3:3: error: AXFR is for queries"},
    {"class", APEX "a CH A 192.0.2.1\n", ":3:3: error: class CH: only IN is served"},
    {"bad TTL", APEX "a 60x A 192.0.2.1\n", ":3:3: error: 60x is no TTL"},
    {"TTL with a bare rest", APEX "a 1h30 A 192.0.2.1\n", ":3:3: error: 1h30 is no TTL"},
    {"TTL too large", APEX "a 2147483648 A 192.0.2.1\n", ":3:3: error: 2147483648 is no TTL"},
    {"no TTL", "@ SOA a b 1 2 3 4 5\n", ":1:3: error: record without a TTL, and none before it"},
    {"no owner", "  60 A 192.0.2.1\n", ":1:3: error: record without an owner"},
    {"only an owner", APEX "a\n", ":3:1: error: record without a type"},
    {"unknown directive", APEX "$FOO bar\n", ":3:1: error: unknown directive $FOO"},
    {"$TTL alone", "$TTL\n" APEX, ":1:1: error: $TTL needs a time"},
    {"$TTL with more", "$TTL 1 2\n" APEX, ":1:8: error: $TTL takes a time and nothing more"},
    {"$TTL bad", "$TTL 1q\n" APEX, ":1:6: error: 1q is no TTL"},
    {"$ORIGIN bad", "$ORIGIN a..b\n" APEX, ":1:9: error: name has an empty label"},
    {"outside", APEX "a.example.org. 60 A 192.0.2.1\n",
     ":3:1: error: a.example.org. is not in the zone example.com. (the origin here is "
     "example.com.)"},
    {"outside by origin", APEX "$ORIGIN example.net.\na 60 A 192.0.2.1\n",
     ":4:1: error: a.example.net. is not in the zone example.com. (the origin here is "
     "example.net.)"},
    {"address", APEX "a A 192.0.2\n",
     ":3:5: error: 192.0.2 is no IPv4 address; one like 192.0.2.1 is wanted"},
    {"IPv6 for A", APEX "a A ::1\n", ":3:5: error: ::1 is no IPv4 address"},
    {"IPv4 for AAAA", APEX "a AAAA 192.0.2.1\n", ":3:8: error: 192.0.2.1 is no IPv6 address"},
    {"no address", APEX "a A\n", ":3:3: error: A without its IPv4 address"},
    {"more than an address", APEX "a A 192.0.2.1 192.0.2.2\n",
     ":3:15: error: 192.0.2.2 is too much: the A ends before it"},
    {"MX without server", APEX "a MX 10\n", ":3:6: error: MX without its mail server"},
    {"MX without preference", APEX "a MX mail\n", ":3:6: error: mail is no preference; a number"},
    {"MX preference too large", APEX "a MX 65536 mail\n", ":3:6: error: 65536 is no preference"},
    {"SOA over lines", "@ 60 SOA ns host (\n 1\n 3600\n 10x\n 1 1 )\n@ 60 NS ns\n",
     ":4:2: error: 10x is no retry; seconds or a time like 1h30m is wanted"},
    {"SOA too short", "@ 60 SOA ns host (\n 1\n 3600 )\n", ":3:2: error: SOA without its retry"},
    {"empty label", APEX "a..b A 192.0.2.1\n", ":3:1: error: name has an empty label"},
    {"leading dot", APEX ".a A 192.0.2.1\n", ":3:1: error: name has an empty label"},
    {"label too long",
     APEX "1234567890123456789012345678901234567890123456789012345678901234 A 192.0.2.1\n",
     ":3:1: error: name has a label longer than 63 bytes"},
    {"escape", APEX "a\\256 A 192.0.2.1\n", ":3:1: error: name has a bad escape"},
    {"escape in data", APEX "a TXT x \\25\n", ":3:9: error: bad escape"},
    {"backslash at the end", APEX "a TXT x\\\n", ":3:8: error: backslash at the end of a line"},
    {"quote", APEX "a TXT (\n \"a\"\n \"b\n )\nb XYZ 1\n",
     ":5:2: error: quoted string without a closing quote on this line"},
    {"the line after a quote", APEX "a TXT \"a\nb XXXXXXX 1\n",
     ":4:3: error: unknown type XXXXXXX"},
    {"quote in a word", APEX "a TXT a\"b\"\n", ":3:7: error: quote within a word"},
    {"open parenthesis", APEX "a TXT (\n a\n b\n", ":3:7: error: parenthesis is never closed"},
    {"closing parenthesis", APEX "a TXT a )\n",
     ":3:9: error: closing parenthesis without an opening one"},
    {"TLSA over lines", APEX "a TLSA 3 1 1 (\n abcd\n xyz )\n",
     ":5:2: error: xyz is no data; a row of hexadecimal digits is wanted"},
    {"half a byte", APEX "a SSHFP 1 1 abc\n", ":3:13: error: abc is no data; an even number"},
    {"DS key tag", APEX "a DS 99999 8 2 ab\n", ":3:6: error: 99999 is no number up to 65535"},
    {"HTTPS value", APEX "a HTTPS 1 . alpn=h2 port=\n", ":3:21: error: bad HTTPS"},
    {"HTTPS key twice", APEX "a HTTPS 1 . port=1 port=2\n", ":3:3: error: a key is given twice"},
    {"HTTPS mandatory", APEX "a HTTPS 1 . mandatory=alpn port=2\n",
     ":3:3: error: a key is mandatory but not given"},
    {"CAA too short", APEX "a CAA 0 issue\n", ":3:7: error: CAA needs 3 fields, here are 2"},
    {"unknown type, text", APEX "a TYPE65280 x\n", ":3:3: error: TYPE65280 has no text form"},
    {"generic length", APEX "a TYPE65280 \\# 3 abcd\n",
     ":3:16: error: length is 3, but 2 bytes follow"},
    {"generic half", APEX "a TYPE65280 \\# 1 abc\n",
     ":3:16: error: length is 1, but 1 and a half bytes follow"},
    {"generic bytes of a known type", APEX "a A \\# 3 abcdef\n",
     ":3:5: error: these bytes are no A"},
    {"generic bytes with a pointer", APEX "a NS \\# 2 c00c\n",
     ":3:6: error: these bytes are no NS"},
    {"string too long",
     APEX "a TXT "
          "0123456789012345678901234567890123456789012345678901234567890123"
          "0123456789012345678901234567890123456789012345678901234567890123"
          "0123456789012345678901234567890123456789012345678901234567890123"
          "0123456789012345678901234567890123456789012345678901234567890123\n",
     ":3:7: error: string longer than 255 bytes"},
    {"$GENERATE range", APEX "$GENERATE 9-1 h$ A 192.0.2.$\n", ":3:11: error: 9-1 is no range"},
    {"$GENERATE data", APEX "$GENERATE 255-257 h$ A 192.0.2.$\n",
     ":3: error: 192.0.2.256 is no IPv4 address; one like 192.0.2.1 is wanted, in what $GENERATE "
     "makes: h256 A 192.0.2.256"},
    {"$GENERATE counter", APEX "$GENERATE 1-3 h${0,0,q} A 192.0.2.$\n",
     ":3:15: error: bad counter"},
    {"$GENERATE below zero", APEX "$GENERATE 1-3 h${-2} A 192.0.2.$\n",
     ":3:15: error: bad counter for the value 1"},
    {"$GENERATE without data", APEX "$GENERATE 1-3 h$\n", ":3:1: error: $GENERATE needs a range"},
    {"$GENERATE without bound", APEX "$GENERATE 0-2147483647 h$ 60 TYPE999 \\# 0\n",
     ":3:1: error: $GENERATE makes more than 1000000 records"},
    {"$INCLUDE of nothing", APEX "$INCLUDE nowhere.zone\n", ":3:10: error: cannot read "},
    {"$INCLUDE of a device", APEX "$INCLUDE /dev/zero\n",
     ":3:10: error: cannot read /dev/zero: not a regular file"},
    {"$INCLUDE of a folder", APEX "$INCLUDE /\n", ":3:10: error: cannot read /: Is a directory"},
    {"CAA flag", APEX "a CAA 256 issue x\n", ":3:"},
    {"TLSA usage", APEX "a TLSA 256 1 1 ab\n", ":3:8: error: 256 is no number up to 255"},
    {"SSHFP without data", APEX "a SSHFP 1 1\n", ":3:"},
    {"NAPTR order", APEX "a NAPTR x 2 \"s\" \"\" \"\" .\n", ":3:"},
    {"NAPTR too short", APEX "a NAPTR 1 2 \"s\"\n", ":3:"},
    {"LOC degrees", APEX "a LOC 91 N 4 E 0m\n", ":3:3: error: a latitude beyond 90 degrees"},
    {"LOC longitude", APEX "a LOC 52 N 180 0 1 E 0m\n", ":3:3: error: a longitude beyond 180 "},
    {"TLSA selector", APEX "a TLSA 3 999 1 ab\n", ":3:10: error: 999 is no number up to 255"},
    {"DS algorithm", APEX "a DS 1 300 2 ab\n", ":3:8: error: 300 is no number up to 255"},
    {"LOC without a hemisphere", APEX "a LOC 52 4 E 0m\n", ":3:"},
    {"URI without quotes or target", APEX "a URI 10 1\n", ":3:"},
    {"CSYNC flags", APEX "a CSYNC 1 65536 A\n", ":3:"},
    {"ZONEMD without digest", APEX "a ZONEMD 1 1 1\n", ":3:"},
    {"SVCB priority", APEX "a SVCB 65536 .\n", ":3:"},
    {"SVCB hint", APEX "a SVCB 1 . ipv4hint=::1\n", ":3:"},
    {"SVCB unknown key", APEX "a SVCB 1 . colour=red\n", ":3:"},
    {"DNSKEY data", APEX "a DNSKEY 256 3 13 !!\n", ":3:"},
    {"EUI48 too short", APEX "a EUI48 00-00-5e\n", ":3:"},
    {"TYPE beyond 16 bits", APEX "a TYPE65536 \\# 0\n", ":3:3: error: "},
    {"generic length too large", APEX "a TYPE999 \\# 65536 00\n", ":3:"},
    {"generic without length", APEX "a TYPE999 \\#\n", ":3:"},
    {"generic digits", APEX "a TYPE999 \\# 1 zz\n", ":3:"},
    {"$ORIGIN alone", APEX "$ORIGIN\n", ":3:1: error: $ORIGIN "},
    {"$ORIGIN with more", APEX "$ORIGIN a b\n", ":3:11: error: $ORIGIN "},
    {"$INCLUDE alone", APEX "$INCLUDE\n", ":3:1: error: $INCLUDE "},
    {"$INCLUDE with more", APEX "$INCLUDE a b c\n", ":3:14: error: $INCLUDE "},
    {"$INCLUDE origin", APEX "$INCLUDE a b..c\n", ":3:12: error: "},
    {"$GENERATE alone", APEX "$GENERATE\n", ":3:1: error: $GENERATE "},
    {"$GENERATE step", APEX "$GENERATE 1-3/0 h$ A 192.0.2.$\n", ":3:11: error: "},
    {"$GENERATE of a bad type", APEX "$GENERATE 1-3 h$ AA 192.0.2.$\n", ":3:"},
    {"no SOA", "@ 60 NS ns\n", ": error: no SOA record at example.com."},
    {"no NS", SOA, ": error: no NS record at example.com."},
    {"two SOAs", APEX "@ SOA ns host 8 1 1 1 1\n",
     ":3: error: a second SOA record; the first is at line 1"},
    {"SOA below", APEX "a SOA ns host 8 1 1 1 1\n", ":3: error: SOA record at a.example.com."},
    {"CNAME beside", APEX "a CNAME b\na A 192.0.2.1\n",
     ":3: error: CNAME at a.example.com., which has other records (A at line 4)"},
    {"two CNAMEs", APEX "a CNAME b\na CNAME c\n",
     ":4: error: a second CNAME at a.example.com.; the first is at line 3"},
    {"CNAME at the apex", APEX "@ CNAME b\n", ":3: error: CNAME at example.com., which has other"},
    {"two DNAMEs", APEX "a DNAME b\na DNAME c\n", ":4: error: a second DNAME"},
    {"below a DNAME", APEX "a DNAME b\nx.y.a A 192.0.2.1\n",
     ":4: error: x.y.a.example.com. lies below a DNAME"},
    {"DNAME beside NS", APEX "a DNAME b\na NS ns.example.net.\n", ":3: error: DNAME beside NS"},
};

static void test_bad_text(void **state)
{
    int failures = 0;

    for (size_t i = 0; i < COUNT_OF(bad_cases); i++) {
        struct errors errors = {0};
        struct zone *z = load_text("example.com", bad_cases[i].text, NULL, 0, &errors);
        char *report = errors_to_string(&errors);

        if (z != NULL || strstr(report, bad_cases[i].want) == NULL) {
            print_error("%s: want %s\ngot %s\n", bad_cases[i].name, bad_cases[i].want, report);
            failures++;
        }
        free(report);
        errors_free(&errors);
        zone_release(z);
    }
    assert_int_equal(failures, 0);
}

/* --- doubtful ----------------------------------------------------------------------------- */

static const struct bad_case doubtful_cases[] = {
    {"nothing", "a 60 A 192.0.2.1\n", ""},
    {"duplicate", "a 60 A 192.0.2.1\na 60 A 192.0.2.1\n",
     ":4: warning: the same A stands at line 3 already; left out"},
    {"TTLs", "a 60 A 192.0.2.1\na 30 A 192.0.2.2\n",
     ":4: warning: TTL 30, but 60 at line 3: the records of one name and type (A) share one TTL; "
     "taking the lowest, 30"},
    {"CNAME loop", "a CNAME b\nb CNAME c\nc CNAME b\n",
     ":4: warning: the CNAMEs from b.example.com. lead back to it"},
    {"CNAME loop through a wildcard", "*.a CNAME x.a\n", ":3: warning: the CNAMEs from *.a"},
    {"MX to CNAME", "a CNAME b.example.net.\n@ MX 1 a\n",
     ":4: warning: MX points to a.example.com., which is a CNAME"},
    {"NS to CNAME", "a CNAME b.example.net.\n@ 3600 NS a\n", ":4: warning: NS points to a.example"},
    {"SRV to CNAME", "a CNAME b.example.net.\ns SRV 1 1 1 a\n", ":4: warning: SRV points to a"},
    {"MX to nothing", "@ MX 1 a\n",
     ":3: warning: MX points to a.example.com., which has no address here"},
    {"MX to a wildcard", "*.w A 192.0.2.1\n@ MX 1 a.w\n", ""},
    {"no glue", "d NS ns.d\n",
     ":3: warning: delegation of d.example.com. to ns.d.example.com. without glue"},
    {"glue", "d NS ns.d\nns.d A 192.0.2.1\n", ""},
    {"glue of a sibling", "d NS ns.e\ne NS ns.e\nns.e A 192.0.2.1\n", ""},
    {"hidden", "d NS ns.example.net.\na.d TXT x\n",
     ":4: warning: TXT at a.d.example.com. is never answered: the NS records of d.example.com."},
    {"hidden at the cut", "d NS ns.example.net.\nd MX 1 ns.example.net.\n",
     ":4: warning: MX at d.example.com. is never answered"},
    {"NS at a wildcard", "*.d NS ns.example.net.\n", ":3: warning: NS at the wildcard *.d"},
    {"DNAME at a wildcard", "*.d DNAME example.net.\n", ":3: warning: DNAME at the wildcard *.d"},
};

static void test_doubtful_text(void **state)
{
    int failures = 0;

    for (size_t i = 0; i < COUNT_OF(doubtful_cases); i++) {
        const struct bad_case *c = &doubtful_cases[i];
        char *text = base_printf(APEX "%s", c->text), *report;
        struct errors errors = {0};
        struct zone *z = load_text("example.com", text, NULL, 0, &errors);

        report = errors_to_string(&errors);
        if (z == NULL || strstr(report, c->want) == NULL ||
            errors.n_warnings != (c->want[0] != '\0')) {
            print_error("%s: want %s\ngot %s\n", c->name, c->want, report);
            failures++;
        }
        free(report);
        free(text);
        errors_free(&errors);
        zone_release(z);
    }
    assert_int_equal(failures, 0);
}

/* --- whole files -------------------------------------------------------------------------- */

static void test_all_mistakes_of_a_file_in_one_pass(void **state)
{
    struct errors errors = {0};
    struct zone *z = load_text("example.com",
                               "$FOO\n" APEX "a A 1\nb AAA ::1\nc TXT \"x\nd A 192.0.2.1\n"
                               "d CNAME a\n",
                               NULL, 0, &errors);

    assert_null(z);
    assert_int_equal(errors.n_errors, 5);
    assert_int_equal(errors.items[0].line, 1);
    assert_int_equal(errors.items[1].line, 4);
    assert_string_equal(errors.items[1].excerpt, "    a A 1\n        ^");
    assert_int_equal(errors.items[2].line, 5);
    assert_int_equal(errors.items[3].line, 6);
    assert_int_equal(errors.items[4].line, 8);
    errors_free(&errors);
}

static void test_mistakes_are_bounded(void **state)
{
    struct errors errors = {0};

    assert_null(load_text("example.com", "$GENERATE 1-100000 a$ 1 AAA x\n", NULL, 0, &errors));
    assert_true(errors.n_errors > 50 && errors.n_errors < 1100);
    assert_true(errors.n <= ERRORS_KEPT);
    errors_free(&errors);
}

static void test_nul_byte(void **state)
{
    static const char text[] = "@ 1 NS a\nb 1 A 1.\0.2.3\n";
    struct errors errors = {0};

    assert_null(load_bytes("example.com", (struct str){text, sizeof(text) - 1}, NULL, 0, &errors));
    assert_int_equal(errors.n_errors, 1);
    assert_int_equal(errors.items[0].line, 2);
    errors_free(&errors);
}

static void test_long_text(void **state)
{
    enum { STRINGS = 250 };
    struct text t = {0};
    struct zone *z;
    struct zone_set *set;
    struct zone_lookup l;
    struct wire_name name = name_of("a.example.com");

    text_adds(&t, APEX "a 60 TXT");
    for (int i = 0; i < STRINGS; i++)
        text_addf(&t, " \"%0250d\"", i);
    z = load_good("example.com", t.p);
    set = zone_set_new(&z, 1);
    assert_int_equal(look_up(set, &name, WIRE_TXT, &l), ZONE_ANSWER);
    assert_int_equal(l.rrset->wire_bytes, 12 + 251 * STRINGS);
    zone_set_free(set);
    zone_release(z);
    text_free(&t);
}

static void test_rrset_beyond_a_message(void **state)
{
    struct errors errors = {0};

    assert_null(load_text("example.com", APEX "$GENERATE 1-9999 a 60 TXT \"number $\"\n", NULL, 0,
                          &errors));
    assert_int_equal(errors.n_errors, 1);
    assert_non_null(strstr(errors.items[0].message, "a DNS message holds 65000"));
    errors_free(&errors);
}

struct folder {
    char path[64];
};

static void write_file(const struct folder *f, const char *name, const char *text)
{
    char *path = base_printf("%s/%s", f->path, name);
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    free(path);
}

static struct zone *load_file(const struct folder *f, const char *name, struct errors *errors)
{
    char *path = base_printf("%s/%s", f->path, name);
    struct zone *z = zone_load(&(struct zone_source){.name = "example.com", .path = path}, errors);

    free(path);
    return z;
}

static int make_folder(void **state)
{
    struct folder *f = base_zalloc(1, sizeof(*f));

    snprintf(f->path, sizeof(f->path), "/tmp/zone_test.XXXXXX");
    *state = f;
    return mkdtemp(f->path) == NULL;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"main", "one", "two"};
    struct folder *f = *state;

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *path = base_printf("%s/%s", f->path, names[i]);
        unlink(path);
        free(path);
    }
    rmdir(f->path);
    free(f);
    return 0;
}

static void test_include(void **state)
{
    struct folder *f = *state;
    struct errors errors = {0};
    struct zone *z;

    write_file(f, "main",
               APEX "a 60 A 192.0.2.1\n$INCLUDE one sub\n 60 A 192.0.2.2\nb 60 A 192.0.2.3\n");
    write_file(f, "one", "a 60 A 192.0.2.4\n$INCLUDE two\n$ORIGIN x\nb 60 A 192.0.2.6\n");
    write_file(f, "two", "c 60 A 192.0.2.5");
    z = load_file(f, "main", &errors);
    assert_non_null(z);
    assert_true(holds(z, "a.example.com. 60 IN A 192.0.2.1"));
    assert_true(holds(z, "a.example.com. 60 IN A 192.0.2.2"));
    assert_true(holds(z, "b.example.com. 60 IN A 192.0.2.3"));
    assert_true(holds(z, "a.sub.example.com. 60 IN A 192.0.2.4"));
    assert_true(holds(z, "c.sub.example.com. 60 IN A 192.0.2.5"));
    assert_true(holds(z, "b.x.sub.example.com. 60 IN A 192.0.2.6"));
    zone_release(z);
    errors_free(&errors);
}

static void test_mistake_in_an_included_file(void **state)
{
    struct folder *f = *state;
    struct errors errors = {0};

    write_file(f, "main", APEX "$INCLUDE one\n");
    write_file(f, "one", "\na 60 A 192.0.2.4\nb 60 A 192.0.2\n");
    assert_null(load_file(f, "main", &errors));
    assert_int_equal(errors.n_errors, 1);
    assert_non_null(strstr(errors.items[0].file, "/one"));
    assert_int_equal(errors.items[0].line, 3);
    errors_free(&errors);
}

static void test_owner_does_not_enter_an_included_file(void **state)
{
    struct folder *f = *state;
    struct errors errors = {0};

    write_file(f, "main", APEX "$INCLUDE one\n");
    write_file(f, "one", " 60 A 192.0.2.4\n");
    assert_null(load_file(f, "main", &errors));
    assert_non_null(strstr(errors.items[0].message, "record without an owner"));
    errors_free(&errors);
}

static void test_include_of_itself(void **state)
{
    struct folder *f = *state;
    struct errors errors = {0};

    write_file(f, "main", APEX "$INCLUDE main\n");
    assert_null(load_file(f, "main", &errors));
    assert_int_equal(errors.n_errors, 1);
    assert_non_null(strstr(errors.items[0].message, "does one include itself?"));
    errors_free(&errors);
}

static void test_missing_file(void **state)
{
    struct errors errors = {0};

    assert_null(load_file(*state, "none", &errors));
    assert_int_equal(errors.n_errors, 1);
    assert_non_null(strstr(errors.items[0].message, "No such file"));
    errors_free(&errors);
}

static void test_is_unchanged(void **state)
{
    struct folder *f = *state;
    struct errors errors = {0};
    struct zone *z;

    write_file(f, "main", APEX "$INCLUDE one\n");
    write_file(f, "one", "a 60 A 192.0.2.4\n");
    z = load_file(f, "main", &errors);
    assert_non_null(z);
    assert_true(zone_is_unchanged(z));
    write_file(f, "one", "a 60 A 192.0.2.40\n");
    assert_false(zone_is_unchanged(z));
    zone_release(z);
    errors_free(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_text),
        cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_doubtful_text),
        cmocka_unit_test(test_all_mistakes_of_a_file_in_one_pass),
        cmocka_unit_test(test_mistakes_are_bounded),
        cmocka_unit_test(test_nul_byte),
        cmocka_unit_test(test_long_text),
        cmocka_unit_test(test_rrset_beyond_a_message),
        cmocka_unit_test_setup_teardown(test_include, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_mistake_in_an_included_file, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_owner_does_not_enter_an_included_file, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_include_of_itself, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_missing_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_is_unchanged, make_folder, remove_folder),
    };

    return cmocka_run_group_tests_name("zone read", tests, NULL, NULL);
}
