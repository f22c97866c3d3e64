/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole answers, read by ldns and written as one line each, against what they should say. */
#include "tests/unit/gslb-dns/answer/answer_world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <ldns/ldns.h>

static struct answer_world world;
static struct answer_context *context;

/* ---- asking ---- */

enum {
    DO = 1,
    NSID = 2,
    KEEPALIVE = 4,
    TCP = 8,
    TLS = 256,
    PADDED = 512,
    EDNS = 16,
    V1 = 32,
    UNKNOWN_OPTION = 64,
    COOKIE = 128
};

struct question {
    const char *name; /* as it is written, case kept */
    uint16_t type;
    unsigned flags;
    const char *ecs;    /* "192.0.2.0/24", with EDNS then */
    const char *source; /* of the packet, 203.0.113.9 when NULL */
    uint16_t payload;   /* 1232 when 0 */
};

#define Q(q_name, q_type, ...)                          \
    {                                                   \
        .name = (q_name), .type = (q_type), __VA_ARGS__ \
    }

static void put_option(struct writer *w, uint16_t code, const void *bytes, size_t n)
{
    writer_u16(w, code);
    writer_u16(w, (uint16_t)n);
    writer_add(w, bytes, n);
}

static void put_ecs(struct writer *w, const char *text)
{
    const char *slash = strchr(text, '/');
    unsigned bits = (unsigned)strtoul(slash + 1, NULL, 10);
    struct ip ip;
    uint8_t option[20];

    assert_true(ip_parse((struct str){text, (size_t)(slash - text)}, &ip));
    bytes_put_u16(option, ip.family == 4 ? 1 : 2);
    option[2] = (uint8_t)bits;
    option[3] = 0;
    memcpy(option + 4, ip.bytes, 16);
    put_option(w, 8, option, 4 + (bits + 7) / 8);
}

static void put_name(struct writer *w, const char *name)
{
    while (*name != '\0') {
        size_t n = strcspn(name, ".");

        writer_u8(w, (uint8_t)n);
        writer_add(w, name, n);
        name += n + (name[n] == '.');
    }
    writer_u8(w, 0);
}

static size_t build_query(const struct question *q, uint8_t *out, size_t cap)
{
    struct writer w = writer_of(out, cap);
    bool has_edns = q->ecs != NULL || (q->flags & ~(unsigned)(TCP | TLS)) != 0 || q->payload != 0;
    uint8_t *rdata_at;

    writer_add(&w, "\x12\x34\x01\0\0\1\0\0\0\0\0", 11);
    writer_u8(&w, has_edns);
    put_name(&w, q->name);
    writer_u16(&w, q->type);
    writer_u16(&w, WIRE_CLASS_IN);
    if (has_edns) {
        writer_u8(&w, 0);
        writer_u16(&w, WIRE_OPT);
        writer_u16(&w, q->payload != 0 ? q->payload : 1232);
        writer_u16(&w, (q->flags & V1) != 0 ? 1 : 0);
        writer_u16(&w, (q->flags & DO) != 0 ? 0x8000 : 0);
        rdata_at = w.p;
        writer_u16(&w, 0);
        if (q->ecs != NULL)
            put_ecs(&w, q->ecs);
        if ((q->flags & NSID) != 0)
            put_option(&w, 3, NULL, 0);
        if ((q->flags & KEEPALIVE) != 0)
            put_option(&w, 11, NULL, 0);
        if ((q->flags & UNKNOWN_OPTION) != 0)
            put_option(&w, 4242, "abc", 3);
        if ((q->flags & COOKIE) != 0)
            put_option(&w, 10, "12345678", 8);
        if ((q->flags & PADDED) != 0)
            put_option(&w, 12, NULL, 0);
        bytes_put_u16(rdata_at, (uint16_t)(w.p - rdata_at - 2));
    }
    assert_false(w.is_full);
    return (size_t)(w.p - out);
}

static size_t ask(const struct question *q, uint8_t out[WIRE_TCP_MAX])
{
    uint8_t packet[600];
    struct ip ip;
    struct addr source;
    struct answer_query io = {.packet = packet,
                              .packet_bytes = (uint32_t)build_query(q, packet, sizeof(packet)),
                              .transport = (q->flags & TLS) != 0   ? ANSWER_TLS
                                           : (q->flags & TCP) != 0 ? ANSWER_TCP
                                                                   : ANSWER_UDP,
                              .keepalive_ms = 10000,
                              .source = &source,
                              .out = out,
                              .out_cap_bytes = WIRE_TCP_MAX};

    assert_true(ip_parse(str_of(q->source != NULL ? q->source : "203.0.113.9"), &ip));
    source = addr_of_ip(&ip, 4242);
    answer_batch(context, &io, 1);
    /* check 25: the question comes back as it went, byte for byte */
    if (io.out_bytes > WIRE_HEADER && bytes_get_u16(out + 4) == 1)
        assert_memory_equal(out + WIRE_HEADER, packet + WIRE_HEADER, strlen(q->name) + 2 + 4);
    return io.out_bytes;
}

/* ---- reading ---- */

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "owner ttl type rdata" */
static char *read_record(const ldns_rr *rr)
{
    char *line = ldns_rr2str(rr), *class_in;

    line[strcspn(line, "\n")] = '\0';
    for (char *p = line; *p != '\0'; p++)
        *p = *p == '\t' ? ' ' : *p;
    class_in = strstr(line, " IN ");
    assert_non_null(class_in);
    memmove(class_in, class_in + 3, strlen(class_in + 3) + 1);
    return line;
}

/* The records of a section in the order of the alphabet. */
static void add_section(struct text *t, const char *name, const ldns_rr_list *rrs)
{
    size_t n = ldns_rr_list_rr_count(rrs);
    char **lines = base_alloc((n + 1) * sizeof(*lines));

    for (size_t i = 0; i < n; i++)
        lines[i] = read_record(ldns_rr_list_rr(rrs, i));
    qsort(lines, n, sizeof(*lines), compare_lines);
    if (n > 0)
        text_addf(t, " | %s", name);
    for (size_t i = 0; i < n; i++) {
        text_addf(t, "%s %s", i > 0 ? "," : "", lines[i]);
        free(lines[i]);
    }
    free(lines);
}

static void add_options(struct text *t, const ldns_pkt *p)
{
    const ldns_rdf *rdf = ldns_pkt_edns_data(p);
    struct reader r;

    text_addf(t, " | opt %u", ldns_pkt_edns_udp_size(p));
    if (ldns_pkt_edns_do(p))
        text_adds(t, " do");
    assert_int_equal(ldns_pkt_edns_version(p), 0);
    r = reader_of(rdf != NULL ? ldns_rdf_data(rdf) : NULL, rdf != NULL ? ldns_rdf_size(rdf) : 0);
    while (reader_left(&r) > 0) {
        unsigned code = reader_u16(&r), n = reader_u16(&r);
        const uint8_t *data = reader_take(&r, n);

        assert_false(r.is_bad);
        if (code == 8)
            text_addf(t, " ecs %u/%u/%u", data[1], data[2], data[3]);
        else if (code == 15)
            text_addf(t, " ede %u", bytes_get_u16(data));
        else if (code == 3)
            text_addf(t, " nsid %.*s", (int)n, (const char *)data);
        else if (code == 11)
            text_addf(t, " keepalive %u", bytes_get_u16(data));
        else
            text_addf(t, " option%u", code);
    }
}

/* "NOERROR aa | answer … | authority … | additional … | opt …"; for free(). */
static char *read_answer(const uint8_t *wire, size_t n)
{
    static const char *const rcodes[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                         "NOTIMP",  "REFUSED", "YXDOMAIN"};
    ldns_pkt *p;
    struct text t = {0};
    unsigned rcode;

    assert_int_equal(ldns_wire2pkt(&p, wire, n), LDNS_STATUS_OK);
    assert_int_equal(ldns_pkt_id(p), 0x1234);
    assert_true(ldns_pkt_qr(p) && ldns_pkt_rd(p));
    assert_false(ldns_pkt_ra(p) || ldns_pkt_ad(p) || ldns_pkt_cd(p)); /* check 9 */
    rcode = (unsigned)ldns_pkt_get_rcode(p) | (unsigned)ldns_pkt_edns_extended_rcode(p) << 4;
    text_adds(&t, rcode < COUNT_OF(rcodes) ? rcodes[rcode] : rcode == 16 ? "BADVERS" : "other");
    text_adds(&t, ldns_pkt_aa(p) ? " aa" : "");
    text_adds(&t, ldns_pkt_tc(p) ? " tc" : "");
    add_section(&t, "answer", ldns_pkt_answer(p));
    add_section(&t, "authority", ldns_pkt_authority(p));
    add_section(&t, "additional", ldns_pkt_additional(p));
    if (ldns_pkt_edns(p))
        add_options(&t, p);
    ldns_pkt_free(p);
    return t.p;
}

/* ---- the table ---- */

#define SOA                                                                                  \
    " | authority example.com. 60 SOA ns1.example.com. hostmaster.example.com. 1 7200 3600 " \
    "1209600 60"
#define CHILD                                                                                  \
    " | authority child.example.com. 300 NS ns.child.example.com., child.example.com. 300 NS " \
    "ns.other-child.example.com., child.example.com. 300 NS ns1.example.com. | additional "    \
    "ns.child.example.com. 300 A 192.0.2.100, ns.other-child.example.com. 300 A 192.0.2.101, " \
    "ns1.example.com. 300 A 192.0.2.53, ns1.example.com. 300 AAAA 2001:db8::53"
#define HOST "host.example.com. 300 A 192.0.2.1"
#define US_A(owner) owner " 30 A 10.1.0.1, " owner " 30 A 10.1.0.2"
#define EU_A(owner) owner " 30 A 10.0.0.1, " owner " 30 A 10.0.0.2"
/* us is also the default order, with which its networks merge: scope 6, not 25 */
#define WWW_NAME "www.example.com."

static const struct {
    const char *name;
    struct question question;
    const char *want;
} cases[] = {
    {"static", Q("host.example.com", WIRE_A), "NOERROR aa | answer " HOST},
    {"check 25: mixed case", Q("HoSt.ExAmPlE.cOm", WIRE_A),
     "NOERROR aa | answer HoSt.ExAmPlE.cOm. 300 A 192.0.2.1"},
    {"several", Q("multi.example.com", WIRE_A),
     "NOERROR aa | answer multi.example.com. 300 A 192.0.2.2, multi.example.com. 300 A 192.0.2.3, "
     "multi.example.com. 300 A 192.0.2.4"},
    {"apex SOA keeps its TTL", Q("example.com", WIRE_SOA),
     "NOERROR aa | answer example.com. 300 SOA ns1.example.com. hostmaster.example.com. 1 7200 "
     "3600 1209600 60"},
    {"MX with its address", Q("example.com", WIRE_MX),
     "NOERROR aa | answer example.com. 300 MX 10 mail.example.com. | additional "
     "mail.example.com. 300 A 192.0.2.25"},
    {"SRV with its address", Q("_sip._tcp.example.com", WIRE_SRV),
     "NOERROR aa | answer _sip._tcp.example.com. 300 SRV 1 2 5060 host.example.com. | "
     "additional " HOST},
    {"NS with glue", Q("example.com", WIRE_NS),
     "NOERROR aa | answer example.com. 300 NS ns1.example.com., example.com. 300 NS "
     "ns2.elsewhere.org. | additional ns1.example.com. 300 A 192.0.2.53, ns1.example.com. 300 "
     "AAAA 2001:db8::53"},
    {"check 16: NODATA", Q("host.example.com", WIRE_AAAA), "NOERROR aa" SOA},
    {"check 10: unknown type", Q("host.example.com", 65280), "NOERROR aa" SOA},
    {"check 16: NXDOMAIN", Q("nothing.example.com", WIRE_A), "NXDOMAIN aa" SOA},
    {"check 18: empty non-terminal", Q("b.ent.example.com", WIRE_A), "NOERROR aa" SOA},
    {"check 18: and above", Q("ent.example.com", WIRE_A), "NOERROR aa" SOA},
    {"check 11: not ours", Q("example.org", WIRE_A), "REFUSED"},
    {"check 11: not ours, EDNS", Q("example.org", WIRE_A, .flags = EDNS),
     "REFUSED | opt 1232 ede 20"},
    {"check 11: above us", Q("com", WIRE_A), "REFUSED"},
    {"check 19: wildcard", Q("x.wild.example.com", WIRE_A),
     "NOERROR aa | answer x.wild.example.com. 300 A 192.0.2.99"},
    {"check 19: two labels", Q("y.x.wild.example.com", WIRE_A),
     "NOERROR aa | answer y.x.wild.example.com. 300 A 192.0.2.99"},
    {"check 19: blocked", Q("x.blocked.wild.example.com", WIRE_A), "NXDOMAIN aa" SOA},
    {"check 19: the name itself", Q("*.wild.example.com", WIRE_A),
     "NOERROR aa | answer *.wild.example.com. 300 A 192.0.2.99"},
    {"check 19: wildcard CNAME", Q("x.wildalias.example.com", WIRE_A),
     "NOERROR aa | answer " HOST ", x.wildalias.example.com. 300 CNAME host.example.com."},
    {"check 20: CNAME asked for", Q("alias.example.com", WIRE_CNAME),
     "NOERROR aa | answer alias.example.com. 300 CNAME host.example.com."},
    {"check 20: chain", Q("alias2.example.com", WIRE_A),
     "NOERROR aa | answer alias.example.com. 300 CNAME host.example.com., alias2.example.com. 300 "
     "CNAME alias.example.com., " HOST},
    {"check 20: RCODE of the last name", Q("dangling.example.com", WIRE_A),
     "NXDOMAIN aa | answer dangling.example.com. 300 CNAME nothing.example.com." SOA},
    {"check 20: NODATA of the last name", Q("nodata.example.com", WIRE_AAAA),
     "NOERROR aa | answer nodata.example.com. 300 CNAME mail.example.com." SOA},
    {"check 20: out of the zone", Q("outside.example.com", WIRE_A),
     "NOERROR aa | answer outside.example.com. 300 CNAME www.elsewhere.org."},
    {"check 23: referral", Q("x.child.example.com", WIRE_A), "NOERROR" CHILD},
    {"check 23: DS from the parent", Q("child.example.com", WIRE_DS),
     "NOERROR aa | answer child.example.com. 300 DS 1 13 2 "
     "0000000000000000000000000000000000000000000000000000000000000000"},
    {"check 23: no DS", Q("other-child.example.com", WIRE_DS), "NOERROR aa" SOA},
    {"referral at the end of a chain", Q("tochild.example.com", WIRE_MX),
     "NOERROR aa | answer tochild.example.com. 300 CNAME deep.child.example.com." CHILD},
    {"check 22: DNAME", Q("oak.tree.example.com", WIRE_A),
     "NOERROR aa | answer oak.forest.example.com. 300 A 192.0.2.77, oak.tree.example.com. 300 "
     "CNAME oak.forest.example.com., tree.example.com. 300 DNAME forest.example.com."},
    {"check 22: DNAME, no such name", Q("elm.tree.example.com", WIRE_A),
     "NXDOMAIN aa | answer elm.tree.example.com. 300 CNAME elm.forest.example.com., "
     "tree.example.com. 300 DNAME forest.example.com." SOA},
    {"check 20: a CNAME loop, each link once", Q("loop1.example.com", WIRE_A),
     "NOERROR aa | answer loop1.example.com. 300 CNAME loop2.example.com., "
     "loop2.example.com. 300 CNAME loop1.example.com."},
    {"a wildcard's CNAME loop", Q("a.wildloop.example.com", WIRE_A),
     "NOERROR aa | answer a.wildloop.example.com. 300 CNAME x.wildloop.example.com., "
     "x.wildloop.example.com. 300 CNAME x.wildloop.example.com."},
    {"a DNAME loop", Q("a.ping.example.com", WIRE_A),
     "NOERROR aa | answer a.ping.example.com. 300 CNAME a.pong.example.com., "
     "a.pong.example.com. 300 CNAME a.ping.example.com., "
     "ping.example.com. 300 DNAME pong.example.com., "
     "pong.example.com. 300 DNAME ping.example.com."},
    {"check 22: DNAME away", Q("x.away.example.com", WIRE_A),
     "NOERROR aa | answer away.example.com. 300 DNAME elsewhere.org., x.away.example.com. 300 "
     "CNAME x.elsewhere.org."},
    {"check 28: ANY at a service", Q("v4only.example.com", WIRE_ANY),
     "NOERROR aa | answer v4only.example.com. 3600 HINFO \"RFC8482\" \"\""},

    {"check 2: OPT for OPT", Q("host.example.com", WIRE_A, .flags = EDNS),
     "NOERROR aa | answer " HOST " | opt 1232"},
    {"check 6: DO", Q("host.example.com", WIRE_A, .flags = DO),
     "NOERROR aa | answer " HOST " | opt 1232 do"},
    {"check 1: version 1", Q("host.example.com", WIRE_A, .flags = V1), "BADVERS | opt 1232"},
    {"check 1: version 1 with DO", Q("host.example.com", WIRE_A, .flags = V1 | DO),
     "BADVERS | opt 1232 do"},
    {"check 4: unknown option", Q("host.example.com", WIRE_A, .flags = UNKNOWN_OPTION),
     "NOERROR aa | answer " HOST " | opt 1232"},
    {"cookies are not ours to give", Q("host.example.com", WIRE_A, .flags = COOKIE),
     "NOERROR aa | answer " HOST " | opt 1232"},
    {"check 42: NSID", Q("host.example.com", WIRE_A, .flags = NSID),
     "NOERROR aa | answer " HOST " | opt 1232 nsid node-1"},
    {"check 14: keepalive by UDP", Q("host.example.com", WIRE_A, .flags = KEEPALIVE),
     "NOERROR aa | answer " HOST " | opt 1232"},
    {"check 14: keepalive by TCP", Q("host.example.com", WIRE_A, .flags = KEEPALIVE | TCP),
     "NOERROR aa | answer " HOST " | opt 1232 keepalive 100"},
    {"check 43: AXFR", Q("example.com", WIRE_AXFR, .flags = TCP | EDNS),
     "REFUSED | opt 1232 ede 18"},
    {"check 10: NXNAME", Q("example.com", WIRE_NXNAME, .flags = EDNS), "FORMERR | opt 1232 ede 30"},

    {"steered, nobody known", Q("www.example.com", WIRE_A), "NOERROR aa | answer " US_A(WWW_NAME)},
    {"steered by source", Q("www.example.com", WIRE_A, .source = "192.0.2.77"),
     "NOERROR aa | answer " EU_A(WWW_NAME)},
    {"check 29: no ECS, none back",
     Q("www.example.com", WIRE_A, .flags = EDNS, .source = "192.0.2.77"),
     "NOERROR aa | answer " EU_A(WWW_NAME) " | opt 1232"},
    {"steered by IPv6 source", Q("www.example.com", WIRE_A, .source = "2001:db8:1::1"),
     "NOERROR aa | answer " EU_A(WWW_NAME)},
    {"steered by ECS", Q("www.example.com", WIRE_A, .ecs = "192.0.2.0/24"),
     "NOERROR aa | answer " EU_A(WWW_NAME) " | opt 1232 ecs 1/24/24"},
    {"ECS before source",
     Q("www.example.com", WIRE_A, .ecs = "198.51.100.0/24", .source = "192.0.2.77"),
     "NOERROR aa | answer " US_A(WWW_NAME) " | opt 1232 ecs 1/24/6"},
    {"check 32: scope shorter than source", Q("www.example.com", WIRE_A, .ecs = "192.0.2.128/32"),
     "NOERROR aa | answer " EU_A(WWW_NAME) " | opt 1232 ecs 1/32/24"},
    {"check 32: scope beyond source", Q("www.example.com", WIRE_A, .ecs = "192.0.0.0/16"),
     "NOERROR aa | answer " US_A(WWW_NAME) " | opt 1232 ecs 1/16/23"},
    {"steered by IPv6 ECS", Q("www.example.com", WIRE_A, .ecs = "2001:db8:1::/56"),
     "NOERROR aa | answer " EU_A(WWW_NAME) " | opt 1232 ecs 2/56/48"},
    {"check 31: SOURCE 0 uses nobody's address",
     Q("www.example.com", WIRE_A, .ecs = "0.0.0.0/0", .source = "192.0.2.77"),
     "NOERROR aa | answer " US_A(WWW_NAME) " | opt 1232 ecs 1/0/0"},
    {"check 31: static with ECS", Q("host.example.com", WIRE_A, .ecs = "192.0.2.0/24"),
     "NOERROR aa | answer " HOST " | opt 1232 ecs 1/24/0"},
    {"check 31: NXDOMAIN with ECS", Q("nothing.example.com", WIRE_A, .ecs = "192.0.2.0/24"),
     "NXDOMAIN aa" SOA " | opt 1232 ecs 1/24/0"},
    {"check 31: other type at a service", Q("www.example.com", WIRE_TXT, .ecs = "192.0.2.0/24"),
     "NOERROR aa | answer www.example.com. 300 TXT \"beside\" | opt 1232 ecs 1/24/0"},
    {"check 29: ECS in a refusal", Q("example.org", WIRE_A, .ecs = "192.0.2.0/24"),
     "REFUSED | opt 1232 ecs 1/24/0 ede 20"},
    {"check 21: chain to a service", Q("geo.example.com", WIRE_A, .ecs = "192.0.2.0/24"),
     "NOERROR aa | answer geo.example.com. 300 CNAME www.example.com., " EU_A(
         WWW_NAME) " | opt 1232 ecs 1/24/24"},
    {"check 47: AAAA from the same site", Q("www.example.com", WIRE_AAAA, .ecs = "192.0.2.0/24"),
     "NOERROR aa | answer www.example.com. 30 AAAA fd00::1 | opt 1232 ecs 1/24/24"},
    {"check 47: the site has no IPv6", Q("www.example.com", WIRE_AAAA, .ecs = "198.51.100.0/24"),
     "NOERROR aa" SOA " | opt 1232 ecs 1/24/6"},
    {"check 16: no IPv6 anywhere", Q("v4only.example.com", WIRE_AAAA, .ecs = "192.0.2.0/24"),
     "NOERROR aa" SOA " | opt 1232 ecs 1/24/0"},
    {"check 46: the addresses beside HTTPS are the client's",
     Q("www.example.com", WIRE_HTTPS, .ecs = "192.0.2.0/24"),
     "NOERROR aa | answer www.example.com. 300 HTTPS 1 . alpn=h2 | additional " EU_A(
         WWW_NAME) ", www.example.com. 30 AAAA fd00::1 | opt 1232 ecs 1/24/24"},
    {"check 46: another client's", Q("www.example.com", WIRE_HTTPS, .ecs = "198.51.100.0/24"),
     "NOERROR aa | answer www.example.com. 300 HTTPS 1 . alpn=h2 | additional " US_A(
         WWW_NAME) " | opt 1232 ecs 1/24/6"},
    {"a service as an exchange", Q("to.example.com", WIRE_MX, .source = "192.0.2.77"),
     "NOERROR aa | answer to.example.com. 300 MX 10 www.example.com. | additional " EU_A(
         WWW_NAME) ", www.example.com. 30 AAAA fd00::1"},
    {"all down: NODATA", Q("empty.example.com", WIRE_A, .ecs = "192.0.2.0/24"),
     "NOERROR aa" SOA " | opt 1232 ecs 1/24/0 ede 0"},
    {"all down: REFUSED", Q("refusing.example.com", WIRE_A, .ecs = "192.0.2.0/24"),
     "REFUSED | opt 1232 ecs 1/24/0 ede 0"},
    {"all down: fallback", Q("fallback.example.com", WIRE_A, .ecs = "198.51.100.0/24"),
     "NOERROR aa | answer " EU_A("fallback.example.com.") " | opt 1232 ecs 1/24/0 ede 0"},
    {"all down: serve all", Q("serveall.example.com", WIRE_A, .ecs = "192.0.2.0/24"),
     "NOERROR aa | answer " EU_A("serveall.example.com.") " | opt 1232 ecs 1/24/24 ede 0"},
};

static void test_answers(void **state)
{
    static uint8_t out[WIRE_TCP_MAX];
    int n_wrong = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t n = ask(&cases[i].question, out);
        char *got = read_answer(out, n);

        if (strcmp(got, cases[i].want) != 0) {
            print_error("%s:\n got  %s\n want %s\n", cases[i].name, got, cases[i].want);
            n_wrong++;
        }
        free(got);
    }
    assert_int_equal(n_wrong, 0);
}

/* ---- what a table of lines cannot say ---- */

static void test_any_is_one_rrset(void **state)
{
    static uint8_t out[WIRE_TCP_MAX];
    struct question q = Q("ns1.example.com", WIRE_ANY);

    (void)state;
    assert_true(ask(&q, out) > 0);
    assert_int_equal(bytes_get_u16(out + 6), 1); /* A or AAAA, not both */
}

static void test_chain_has_an_end(void **state)
{
    static uint8_t out[WIRE_TCP_MAX];
    struct question q = Q("x.growing.example.com", WIRE_A, .flags = TCP);

    (void)state;
    assert_true(ask(&q, out) > 0);
    assert_int_equal(bytes_get_u16(out + 6), 1 + 16); /* the DNAME, and a CNAME for each link */
    assert_int_equal(out[3] & 15, WIRE_NOERROR);
}

/* check 22: substitution that makes a name too long */
static void test_dname_overflow(void **state)
{
    static uint8_t out[WIRE_TCP_MAX];
    char name[256];
    struct question q = Q(name, WIRE_A);

    (void)state;
    for (size_t i = 0; i < 236; i++)
        name[i] = i % 2 == 0 ? 'a' : '.';
    memcpy(name + 236, "tree.example.com", 17);
    assert_true(ask(&q, out) > 0);
    assert_int_equal(out[3] & 15, WIRE_YXDOMAIN);
    assert_int_equal(bytes_get_u16(out + 6), 1);
}

/* check 48: so many of many, all of them in their turn first. */
static void test_many_addresses(void **state)
{
    static uint8_t out[WIRE_TCP_MAX];
    struct question q = Q("many.example.com", WIRE_A);
    unsigned firsts[21] = {0};

    (void)state;
    for (int i = 0; i < 2000; i++) {
        size_t n = ask(&q, out), first = WIRE_HEADER + strlen(q.name) + 2 + 4;

        assert_int_equal(bytes_get_u16(out + 6), 8);
        assert_int_equal(n, first + 8 * 16);
        firsts[out[first + 15]]++;
    }
    for (int i = 1; i <= 20; i++)
        assert_in_range(firsts[i], 50, 200); /* 100 is the mean */
}

/* check 48: every order alike often, so that whoever stands behind one who fails does not get all
 * of his share. */
static void test_static_addresses_are_shuffled(void **state)
{
    static uint8_t out[WIRE_TCP_MAX];
    struct question q = Q("multi.example.com", WIRE_A);
    unsigned orders[5 * 5] = {0}, n_orders = 0;

    (void)state;
    for (int i = 0; i < 600; i++) {
        const uint8_t *last = out + WIRE_HEADER + strlen(q.name) + 2 + 4 + 15;

        (void)ask(&q, out);
        orders[last[0] * 5 + last[16]]++;
        assert_int_equal(last[0] + last[16] + last[32], 2 + 3 + 4);
    }
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        if (orders[i] > 0)
            assert_in_range(orders[i], 50, 150);
        n_orders += orders[i] > 0;
    }
    assert_int_equal(n_orders, 6);
}

/* check 15 and 33: at each size the whole answer or, with TC, none of it; TCP always has it. */
static void test_truncation(void **state)
{
    static const uint16_t payloads[] = {0, 100, 512, 513, 1000, 1232, 1400, 4096, 65535};
    static const uint16_t maxima[] = {512, 1232, 4096};
    static uint8_t out[WIRE_TCP_MAX];
    struct text zone = {0};
    struct answer_world big;
    struct answer_context *before = context;

    (void)state;
    text_adds(&zone, answer_world_zone);
    for (int n = 1; n <= 60; n++) {
        for (int i = 0; i < n; i++)
            text_addf(&zone, "t%d TXT \"%060d\"\n", n, i);
    }
    answer_world_open(&big, zone.p);
    context = answer_context_new(&big.slot, metrics_add_block(&big.metrics));
    for (int n = 1; n <= 60; n++) {
        char name[32];
        struct question q = Q(name, WIRE_TXT, .flags = TCP | EDNS, .ecs = "192.0.2.0/24");
        size_t whole;

        snprintf(name, sizeof(name), "t%d.example.com", n);
        whole = ask(&q, out);
        assert_int_equal(bytes_get_u16(out + 6), n);
        q.flags = EDNS;
        for (size_t k = 0; k < COUNT_OF(payloads) * COUNT_OF(maxima); k++) {
            uint16_t max = maxima[k / COUNT_OF(payloads)];
            size_t limit, got;

            q.payload = payloads[k % COUNT_OF(payloads)];
            limit = q.payload == 0 ? 1232 : q.payload < 512 ? 512 : q.payload;
            limit = limit < max ? limit : max;
            big.world.udp_payload_bytes = max;
            got = ask(&q, out);
            if (whole <= limit) {
                assert_int_equal(got, whole);
                assert_int_equal(out[2] & 2, 0);
            } else {
                assert_int_equal(out[2] & 2, 2);
                assert_int_equal(bytes_get_u16(out + 6), 0);
                assert_int_equal(bytes_get_u16(out + 10), 1); /* OPT with ECS */
                assert_true(got <= limit);
            }
        }
    }
    assert_true(metrics_sum(&big.metrics, ANSWER_COUNTER_TRUNCATED) > 0);
    answer_context_free(context);
    answer_world_close(&big);
    text_free(&zone);
    context = before;
}

/* RFC 9471 section 3.1: required glue that does not fit is TC, other addresses are not. */
static void test_glue_truncation(void **state)
{
    static uint8_t out[WIRE_TCP_MAX];
    struct text zone = {0};
    struct answer_world big;
    struct answer_context *before = context;
    struct question q = Q("x.inside.example.com", WIRE_A);

    (void)state;
    text_adds(&zone, answer_world_zone);
    for (int i = 0; i < 13; i++) {
        text_addf(&zone, "inside NS a-long-label-for-a-name-server-%d.inside\n", i);
        text_addf(&zone, "a-long-label-for-a-name-server-%d.inside A 192.0.2.%d\n", i, i);
        text_addf(&zone, "beside NS name-server-%d\n", i);
        text_addf(&zone, "name-server-%d A 192.0.2.%d\n", i, i);
        text_addf(&zone, "name-server-%d AAAA 2001:db8::%d\n", i, i);
    }
    answer_world_open(&big, zone.p);
    context = answer_context_new(&big.slot, metrics_add_block(&big.metrics));
    assert_true(ask(&q, out) <= 512);
    assert_int_equal(out[2] & 2, 2);
    q.name = "x.beside.example.com";
    assert_true(ask(&q, out) <= 512);
    assert_int_equal(out[2] & 2, 0);
    assert_int_equal(bytes_get_u16(out + 8), 13);
    assert_true(bytes_get_u16(out + 10) > 0);
    answer_context_free(context);
    answer_world_close(&big);
    text_free(&zone);
    context = before;
}

/* check 40: an explanation that would need TC is left out. */
static void test_ede_gives_way(void **state)
{
    static uint8_t out[WIRE_TCP_MAX];
    char name[254];
    struct question q = Q(name, WIRE_A, .flags = EDNS | NSID, .payload = 512);

    (void)state;
    for (size_t i = 0; i < 253; i++)
        name[i] = i % 2 == 0 ? 'a' : '.';
    name[253] = '\0';
    assert_true(ask(&q, out) <= 512);
    assert_int_equal(out[2] & 2, 0);
    assert_int_equal(out[3] & 15, WIRE_REFUSED);
}

/* check 41: blocks of 468 bytes, where it is encrypted and the query was padded. */
static void test_padding(void **state)
{
    static uint8_t out[WIRE_TCP_MAX];
    static const struct {
        struct question question;
        bool is_padded;
    } padded[] = {
        {Q("host.example.com", WIRE_A, .flags = TLS | PADDED), true},
        {Q("nothing.example.com", WIRE_A, .flags = TLS | PADDED | NSID | KEEPALIVE), true},
        {Q("example.org", WIRE_A, .flags = TLS | PADDED | DO), true},
        {Q("host.example.com", WIRE_A, .flags = TLS | EDNS), false},
        {Q("host.example.com", WIRE_A, .flags = TCP | PADDED), false},
        {Q("host.example.com", WIRE_A, .flags = PADDED), false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(padded); i++)
        assert_int_equal(ask(&padded[i].question, out) % 468 == 0, padded[i].is_padded);
}

static void test_no_world_yet(void **state)
{
    static uint8_t out[WIRE_TCP_MAX];
    struct question q = Q("host.example.com", WIRE_A, .flags = EDNS);
    char *got;

    (void)state;
    world.slot.current = NULL;
    got = read_answer(out, ask(&q, out));
    assert_string_equal(got, "SERVFAIL | opt 512 ede 14");
    free(got);
    world.slot.current = &world.world;
}

/* A batch larger than the groups it goes through, with packets of every kind among the good. */
static void test_batch(void **state)
{
    enum { N = 64, CAP = 1232 };
    static uint8_t packets[N][100], out[N][CAP];
    struct answer_query io[N];
    struct ip ip;
    struct addr source;

    (void)state;
    assert_true(ip_parse(str_of("192.0.2.1"), &ip));
    source = addr_of_ip(&ip, 1);
    for (size_t i = 0; i < N; i++) {
        struct question q = Q(i % 2 == 0 ? "host.example.com" : "nothing.example.com", WIRE_A);

        io[i] = (struct answer_query){.packet = packets[i],
                                      .packet_bytes =
                                          (uint32_t)build_query(&q, packets[i], sizeof(packets[i])),
                                      .source = &source,
                                      .out = out[i],
                                      .out_cap_bytes = CAP};
        packets[i][1] = (uint8_t)i;
        if (i % 7 == 6)
            io[i].packet_bytes = (uint32_t)i % 12; /* runts */
    }
    answer_batch(context, io, N);
    for (size_t i = 0; i < N; i++) {
        if (i % 7 == 6) {
            assert_int_equal(io[i].out_bytes, 0);
            continue;
        }
        assert_true(io[i].out_bytes > WIRE_HEADER);
        assert_int_equal(out[i][1], i);
        assert_int_equal(out[i][3], i % 2 == 0 ? WIRE_NOERROR : WIRE_NXDOMAIN);
    }
}

static void test_explain(void **state)
{
    struct wire_name name;
    struct answer_explanation e;
    struct ip client;

    (void)state;
    assert_true(wire_name_parse(str_of("geo.example.com"), &name));
    assert_true(ip_parse(str_of("192.0.2.9"), &client));
    answer_explain(&world.world, &name, WIRE_AAAA, &client, &e);
    assert_int_equal(e.verdict, ZONE_STEERED);
    assert_int_equal(e.service, WWW);
    assert_int_equal(e.steering.region, EU);
    assert_int_equal(e.steering.scope, 24);
    assert_int_equal(e.steering.reason, ANSWER_BY_LOCATION);
    assert_int_equal(e.steering.site->aaaa.count, 1);
    assert_true(wire_name_parse(str_of("example.org"), &name));
    answer_explain(&world.world, &name, WIRE_A, &client, &e);
    assert_int_equal(e.verdict, ZONE_NOT_OURS);
    assert_null(e.zone);
}

static void test_counters(void **state)
{
    static uint8_t out[WIRE_TCP_MAX];
    static const struct {
        struct question question;
        enum answer_counter counter;
    } counted[] = {
        {Q("host.example.com", WIRE_A), ANSWER_COUNTER_UDP4},
        {Q("host.example.com", WIRE_A, .source = "2001:db8::1"), ANSWER_COUNTER_UDP6},
        {Q("host.example.com", WIRE_A, .flags = TCP), ANSWER_COUNTER_TCP4},
        {Q("host.example.com", WIRE_A, .flags = EDNS), ANSWER_COUNTER_EDNS},
        {Q("host.example.com", WIRE_A, .ecs = "192.0.2.0/24"), ANSWER_COUNTER_ECS},
        {Q("host.example.com", WIRE_A), ANSWER_COUNTER_NOERROR},
        {Q("host.example.com", WIRE_A), ANSWER_COUNTER_WIRE_OK},
        {Q("host.example.com", WIRE_AAAA), ANSWER_COUNTER_NODATA},
        {Q("nothing.example.com", WIRE_A), ANSWER_COUNTER_NXDOMAIN},
        {Q("example.org", WIRE_A), ANSWER_COUNTER_REFUSED},
        {Q("x.child.example.com", WIRE_A), ANSWER_COUNTER_REFERRAL},
        {Q("example.com", WIRE_AXFR), ANSWER_COUNTER_WIRE_TRANSFER},
        {Q("www.example.com", WIRE_A), ANSWER_COUNTER_STEERED_DEFAULT},
        {Q("www.example.com", WIRE_A, .ecs = "192.0.2.0/24"), ANSWER_COUNTER_STEERED_ECS},
        {Q("www.example.com", WIRE_A, .source = "192.0.2.1"), ANSWER_COUNTER_STEERED_SOURCE},
        {Q("fallback.example.com", WIRE_A), ANSWER_COUNTER_ALL_DOWN},
        {Q("host.example.com", WIRE_A, .flags = V1), ANSWER_COUNTER_BADVERS},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(counted); i++) {
        uint64_t before = metrics_sum(&world.metrics, counted[i].counter);

        (void)ask(&counted[i].question, out);
        if (metrics_sum(&world.metrics, counted[i].counter) != before + 1)
            fail_msg("%s", answer_counter_table[counted[i].counter].name);
    }
}

static int open_world(void **state)
{
    (void)state;
    answer_world_open(&world, answer_world_zone);
    context = answer_context_new(&world.slot, metrics_add_block(&world.metrics));
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    answer_context_free(context);
    answer_world_close(&world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_any_is_one_rrset),
        cmocka_unit_test(test_chain_has_an_end),
        cmocka_unit_test(test_dname_overflow),
        cmocka_unit_test(test_many_addresses),
        cmocka_unit_test(test_static_addresses_are_shuffled),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_glue_truncation),
        cmocka_unit_test(test_ede_gives_way),
        cmocka_unit_test(test_no_world_yet),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_explain),
        cmocka_unit_test(test_counters),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
