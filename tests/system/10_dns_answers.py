#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Ordinary names: what zone files say is what resolvers get, by UDP and TCP, IPv4 and IPv6."""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.flags  # noqa: E402
import dns.message  # noqa: E402
import dns.rcode  # noqa: E402

from dns_client import (DnsClient, addresses_of, ecs_of, flags_of, read_tcp_message,  # noqa: E402
                        records_of, tcp_frame, ttls_of)
from gslbtest import case, case_table, check, check_equal, check_in, main, wait_until  # noqa: E402
from site_under_test import Site  # noqa: E402

RICH = r"""$ORIGIN rich.test.
$TTL 2h
@        SOA   ns.rich.test. host\.master.rich.test. 7 1h 15m 2w 10m
@        NS    ns
@        NS    ns.elsewhere.test.
@        MX    10 mail
@        MX    20 mail.elsewhere.test.
@        TXT   "two" "strings"
@        CAA   0 issue "ca.example.net"
@        HTTPS 1 . alpn=h2 port=8443
ns       A     192.0.2.53
mail     300 A 192.0.2.25
mail     AAAA  2001:db8::25
$INCLUDE included.zone
$INCLUDE included.zone sub
multi    A     192.0.2.1
multi    A     192.0.2.2
multi    A     192.0.2.3
_sip._tcp SRV  5 10 5060 mail
naptr    NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:info@rich.test!" .
ptr      PTR   target.rich.test.
hinfo    HINFO "PC" "Linux"
ssh      SSHFP 4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789
_443._tcp TLSA 3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971
loc      LOC   52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
uri      URI   10 1 "https://example.com/"
odd      TYPE65280 \# 4 0a0b0c0d
svc      SVCB  1 mail.rich.test. port=8443
alias0   SVCB  0 mail.rich.test.
child.with.ent TXT "deep"
*.wild   A     192.0.2.99
*.wild   MX    5 mail
there.wild TXT "blocks the wildcard"
below.ent.wild TXT "makes ent.wild an empty non-terminal"
*.cwild  CNAME multi
one      CNAME two
two      CNAME three
three    CNAME multi
away     CNAME www.elsewhere.test.
tonx     CNAME nosuch
tonodata CNAME there.wild
loopa    CNAME loopb
loopb    CNAME loopa
tocdn    CNAME www.example.com.
d        DNAME other
x.other  A     192.0.2.77
deleg    NS    ns.deleg
deleg    NS    ns2.deleg
deleg    NS    ns.rich.test.
ns.deleg A     192.0.2.201
ns.deleg AAAA  2001:db8::201
ns2.deleg A    192.0.2.202
signed   NS    ns.signed
signed   DS    12345 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
ns.signed A    192.0.2.203
\065\.b  TXT   "a dot in a label"
sp\ ace  TXT   "a space"
ttl0     0 A   192.0.2.10
big      TXT   ( "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" )
"""
INCLUDED = 'inc A 192.0.2.44\nincm MX 10 inc\n'
REVERSE = """$TTL 1d
@   SOA ns.rich.test. hostmaster.rich.test. 1 1h 15m 2w 1h
    NS  ns.rich.test.
80  PTR static.example.com.
"""
SOA_RICH = r"rich.test. SOA ns.rich.test. host\.master.rich.test. 7 3600 900 1209600 600"


def build():
    site = Site()
    site.path("included.zone").write_text(INCLUDED)
    site.path("rich.zone").write_text(RICH)
    site.path("reverse.zone").write_text(REVERSE)
    site.path("child.zone").write_text("@ 60 SOA ns.rich.test. h.rich.test. 1 1 1 1 30\n"
                                       "@ 60 NS ns.rich.test.\nhost 60 A 192.0.2.61\n")

    def edit(config):
        config["zones"].update({
            "rich.test": str(site.path("rich.zone")),
            "kid.rich.test": {"file": str(site.path("child.zone"))},
            "2.0.192.in-addr.arpa": str(site.path("reverse.zone"))})
        config["services"].update({"steered.rich.test": {}, "rich.test": {"ttl": "20s"},
                                   "x.only.dyn.rich.test": {}})
    site.add_dns("ns1", edit)
    for edge in ("us-east-1", "eu-west-1", "ap-northeast-1"):
        site.add_fake_edge(edge)
    return site.start()


TYPES = {
    "A": ("ns.rich.test", "A", {"ns.rich.test. A 192.0.2.53"}),
    "AAAA": ("mail.rich.test", "AAAA", {"mail.rich.test. AAAA 2001:db8::25"}),
    "RRset of three": ("multi.rich.test", "A", {f"multi.rich.test. A 192.0.2.{i}" for i in (1, 2, 3)}),
    "MX": ("rich.test", "MX", {"rich.test. MX 10 mail.rich.test.",
                               "rich.test. MX 20 mail.elsewhere.test."}),
    "NS": ("rich.test", "NS", {"rich.test. NS ns.rich.test.", "rich.test. NS ns.elsewhere.test."}),
    "SOA": ("rich.test", "SOA", {SOA_RICH}),
    "TXT": ("rich.test", "TXT", {'rich.test. TXT "two" "strings"'}),
    "CAA": ("rich.test", "CAA", {'rich.test. CAA 0 issue "ca.example.net"'}),
    "HTTPS": ("rich.test", "HTTPS", {'rich.test. HTTPS 1 . alpn="h2" port="8443"'}),
    "SVCB": ("svc.rich.test", "SVCB", {'svc.rich.test. SVCB 1 mail.rich.test. port="8443"'}),
    "SVCB alias": ("alias0.rich.test", "SVCB", {"alias0.rich.test. SVCB 0 mail.rich.test."}),
    "SRV": ("_sip._tcp.rich.test", "SRV", {"_sip._tcp.rich.test. SRV 5 10 5060 mail.rich.test."}),
    "NAPTR": ("naptr.rich.test", "NAPTR",
              {'naptr.rich.test. NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:info@rich.test!" .'}),
    "PTR": ("80.2.0.192.in-addr.arpa", "PTR", {"80.2.0.192.in-addr.arpa. PTR static.example.com."}),
    "HINFO": ("hinfo.rich.test", "HINFO", {'hinfo.rich.test. HINFO "PC" "Linux"'}),
    "SSHFP": ("ssh.rich.test", "SSHFP", {"ssh.rich.test. SSHFP 4 2 123456789abcdef67890123456789abc"
                                         "def67890123456789abcdef123456789"}),
    "TLSA": ("_443._tcp.rich.test", "TLSA",
             {"_443._tcp.rich.test. TLSA 3 1 1 "
              "d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971"}),
    "LOC": ("loc.rich.test", "LOC",
            {"loc.rich.test. LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000.00m 10.00m"}),
    "URI": ("uri.rich.test", "URI", {'uri.rich.test. URI 10 1 "https://example.com/"'}),
    "unknown type": ("odd.rich.test", "TYPE65280", {r"odd.rich.test. TYPE65280 \# 4 0a0b0c0d"}),
    "DS at the cut (23)": ("signed.rich.test", "DS",
                           {"signed.rich.test. DS 12345 13 2 "
                            "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"}),
    "$INCLUDE": ("inc.rich.test", "A", {"inc.rich.test. A 192.0.2.44"}),
    "$INCLUDE with an origin": ("incm.sub.rich.test", "MX",
                                {"incm.sub.rich.test. MX 10 inc.sub.rich.test."}),
    "another zone": ("static.example.com", "A", {"static.example.com. A 192.0.2.80"}),
    "zone below a zone": ("host.kid.rich.test", "A", {"host.kid.rich.test. A 192.0.2.61"}),
    "escaped dot": (r"A\.b.rich.test", "TXT", {r'A\.b.rich.test. TXT "a dot in a label"'}),
    "escaped space": (r"sp\ ace.rich.test", "TXT", {r'sp\032ace.rich.test. TXT "a space"'}),
    "wildcard": ("any.wild.rich.test", "A", {"any.wild.rich.test. A 192.0.2.99"}),
    "wildcard, several labels": ("a.b.c.wild.rich.test", "A",
                                 {"a.b.c.wild.rich.test. A 192.0.2.99"}),
    "wildcard, another type": ("any.wild.rich.test", "MX",
                               {"any.wild.rich.test. MX 5 mail.rich.test."}),
    "the wildcard itself (19)": ("*.wild.rich.test", "A", {"*.wild.rich.test. A 192.0.2.99"}),
    "wildcard CNAME": ("x.cwild.rich.test", "A",
                       {"x.cwild.rich.test. CNAME multi.rich.test."}
                       | {f"multi.rich.test. A 192.0.2.{i}" for i in (1, 2, 3)}),
    "CNAME chain": ("one.rich.test", "A",
                    {"one.rich.test. CNAME two.rich.test.", "two.rich.test. CNAME three.rich.test.",
                     "three.rich.test. CNAME multi.rich.test."}
                    | {f"multi.rich.test. A 192.0.2.{i}" for i in (1, 2, 3)}),
    "CNAME asked for": ("one.rich.test", "CNAME", {"one.rich.test. CNAME two.rich.test."}),
    "CNAME that leaves": ("away.rich.test", "A", {"away.rich.test. CNAME www.elsewhere.test."}),
    "DNAME (22)": ("x.d.rich.test", "A", {"d.rich.test. DNAME other.rich.test.",
                                          "x.d.rich.test. CNAME x.other.rich.test.",
                                          "x.other.rich.test. A 192.0.2.77"}),
    "DNAME asked for": ("d.rich.test", "DNAME", {"d.rich.test. DNAME other.rich.test."}),
    "MX beside a service at the apex": ("example.com", "MX", {"example.com. MX 10 mail.example.com."}),
}


@case_table(TYPES)
def answer(site, name, rdtype, wanted):
    for tcp in (False, True):
        got = site.dns.query(name, rdtype, tcp=tcp)
        check_equal(dns.rcode.to_text(got.rcode()), "NOERROR", "rcode")
        check_equal(records_of(got), wanted)
        check_equal(records_of(got, "authority"), set(), "authority")
        check_in("AA", flags_of(got))


NOT_THERE = {
    "name": ("nosuch.rich.test", "A", "NXDOMAIN"),
    "name below a name": ("x.ns.rich.test", "A", "NXDOMAIN"),
    "type (16)": ("ns.rich.test", "MX", "NOERROR"),
    "unknown type at a name (10)": ("ns.rich.test", "TYPE65399", "NOERROR"),
    "empty non-terminal (18)": ("with.ent.rich.test", "A", "NOERROR"),
    "empty non-terminal, two up": ("ent.rich.test", "TXT", "NOERROR"),
    "empty non-terminal made by a service only (18)": ("dyn.rich.test", "A", "NOERROR"),
    "sibling of a wildcard blocks it (19)": ("x.there.wild.rich.test", "A", "NXDOMAIN"),
    "name beside a wildcard": ("there.wild.rich.test", "A", "NOERROR"),
    "empty non-terminal blocks a wildcard (19)": ("ent.wild.rich.test", "A", "NOERROR"),
    "below it too": ("x.ent.wild.rich.test", "A", "NXDOMAIN"),
    "type that the wildcard lacks": ("x.wild.rich.test", "TXT", "NOERROR"),
    "DNAME's own name": ("d.rich.test", "A", "NOERROR"),
    "service, other type": ("steered.rich.test", "MX", "NOERROR"),
    "below a service": ("x.steered.rich.test", "A", "NXDOMAIN"),
    "DS of a delegation without (23)": ("deleg.rich.test", "DS", "NOERROR"),
}


@case_table(NOT_THERE)
def negative(site, name, rdtype, rcode):
    got = site.dns.query(name, rdtype)
    check_equal(dns.rcode.to_text(got.rcode()), rcode)
    check_equal(records_of(got), set(), "answer")
    check_equal(records_of(got, "authority"), {SOA_RICH})
    # (17) min(TTL of the SOA, MINIMUM)
    check_equal(ttls_of(got, "authority"), {"rich.test. SOA": 600})
    check_in("AA", flags_of(got))


@case_table({"NXDOMAIN at the end (20)": ("tonx", "A", "NXDOMAIN", "nosuch"),
             "NODATA at the end": ("tonodata", "A", "NOERROR", "there.wild")})
def cname_to_nothing(site, name, rdtype, rcode, target):
    got = site.dns.query(f"{name}.rich.test", rdtype)
    check_equal(dns.rcode.to_text(got.rcode()), rcode)
    check_equal(records_of(got), {f"{name}.rich.test. CNAME {target}.rich.test."})
    check_equal(records_of(got, "authority"), {SOA_RICH})


@case
def cname_loop_ends(site):
    got = site.dns.query("loopa.rich.test", "A")
    check("loopa.rich.test. CNAME loopb.rich.test." in records_of(got), "the first link")
    check(len(got.to_wire()) < 4096, "a loop is cut")


@case
def dname_that_makes_a_name_too_long_is_yxdomain(site):
    # (22) other.rich.test. is longer than d.rich.test. by 4
    label = "a" * 61
    name = ".".join([label] * 3) + "." + "b" * 53 + ".d.rich.test"
    got = site.dns.query(name, "A")
    check_equal(dns.rcode.to_text(got.rcode()), "YXDOMAIN")
    check_in("d.rich.test. DNAME other.rich.test.", records_of(got))


@case_table({"in-bailiwick glue (23)": ("deleg.rich.test", "A"),
             "name below the cut": ("a.b.deleg.rich.test", "AAAA"),
             "glue is not authoritative": ("ns.deleg.rich.test", "A"),
             "NS of the child": ("deleg.rich.test", "NS")})
def delegation(site, name, rdtype):
    got = site.dns.query(name, rdtype)
    check_equal(dns.rcode.to_text(got.rcode()), "NOERROR")
    check_equal(records_of(got), set(), "answer")
    check_equal(records_of(got, "authority"),
                {"deleg.rich.test. NS ns.deleg.rich.test.", "deleg.rich.test. NS ns2.deleg.rich.test.",
                 "deleg.rich.test. NS ns.rich.test."})
    check("AA" not in flags_of(got), "a referral is not authoritative")
    glue = records_of(got, "additional")
    for wanted in ("ns.deleg.rich.test. A 192.0.2.201", "ns.deleg.rich.test. AAAA 2001:db8::201",
                   "ns2.deleg.rich.test. A 192.0.2.202"):
        check_in(wanted, glue)


@case
def referral_of_a_signed_child(site):
    got = site.dns.query("x.signed.rich.test", "A")
    check_in("signed.rich.test. NS ns.signed.rich.test.", records_of(got, "authority"))
    check_in("ns.signed.rich.test. A 192.0.2.203", records_of(got, "additional"))


@case
def ttls_are_those_of_the_file(site):
    check_equal(ttls_of(site.dns.query("mail.rich.test", "A")), {"mail.rich.test. A": 300})
    check_equal(ttls_of(site.dns.query("mail.rich.test", "AAAA")), {"mail.rich.test. AAAA": 7200})
    check_equal(ttls_of(site.dns.query("ttl0.rich.test", "A")), {"ttl0.rich.test. A": 0})
    check_equal(ttls_of(site.dns.query("rich.test", "A")), {"rich.test. A": 20})


@case_table({"MX": ("rich.test", "MX", {"mail.rich.test. A 192.0.2.25",
                                        "mail.rich.test. AAAA 2001:db8::25"}),
             "SRV": ("_sip._tcp.rich.test", "SRV", {"mail.rich.test. A 192.0.2.25",
                                                    "mail.rich.test. AAAA 2001:db8::25"}),
             "NS": ("rich.test", "NS", {"ns.rich.test. A 192.0.2.53"})})
def additional_addresses(site, name, rdtype, wanted):
    check_equal(records_of(site.dns.query(name, rdtype), "additional"), wanted)


@case_table({"foreign name": ("www.elsewhere.test", "A"), "the root": (".", "NS"),
             "parent of a zone": ("test", "SOA"), "sibling": ("richer.test", "A"),
             "suffix without a dot": ("notrich.test", "A")})
def refused_outside_its_zones(site, name, rdtype):
    # (11)
    for edns in (False, True):
        got = site.dns.query(name, rdtype, edns=edns)
        check_equal(dns.rcode.to_text(got.rcode()), "REFUSED")
        check("AA" not in flags_of(got), "not authoritative")
        check_equal(got.edns >= 0, edns, "OPT as in the query")
        check(not got.answer and not got.authority and not got.additional, "no upward referral")


@case
def any_gives_one_rrset(site):
    # (28) RFC 8482
    for name in ("rich.test", "mail.rich.test", "steered.rich.test", "www.example.com"):
        got = site.dns.query(name, "ANY")
        check_equal(dns.rcode.to_text(got.rcode()), "NOERROR", name)
        check_equal(len(got.answer), 1, f"RRsets for {name}")
    check_equal(dns.rcode.to_text(site.dns.query("nosuch.rich.test", "ANY").rcode()), "NXDOMAIN")


@case
def name_with_a_service_keeps_its_other_types(site):
    for name in ("example.com", "rich.test"):
        check_equal(len(site.dns.query(name, "SOA").answer), 1, f"SOA of {name}")
    check_equal(len(site.dns.addresses("rich.test")), 1, "the apex is steered")
    check_equal(len(site.dns.addresses("rich.test", "AAAA")), 1, "for IPv6 too")
    check_equal(len(site.dns.addresses("x.only.dyn.rich.test")), 1, "a service with no other record")


@case
def cname_to_a_service_in_the_zone_is_followed(site):
    got = site.dns.query("cdn.example.com", subnet="185.2.100.0/24")
    check_in("cdn.example.com. CNAME www.example.com.", records_of(got))
    direct = site.dns.query("www.example.com", subnet="185.2.100.0/24")
    check_equal(addresses_of(got), addresses_of(direct))
    # (21) the scope of the chain is that of its tailored part
    check_equal(ecs_of(got).scopelen, ecs_of(direct).scopelen)


@case
def cname_to_a_service_in_another_zone_is_left_to_the_resolver(site):
    check_equal(records_of(site.dns.query("tocdn.rich.test")),
                {"tocdn.rich.test. CNAME www.example.com."})


@case
def case_of_the_question_is_kept(site):
    # (25) 0x20
    query = dns.message.make_query("MaIl.RiCh.TeSt", "A")
    wire = query.to_wire()
    answer = site.dns.client.raw(wire)
    start = wire.index(b"\x04MaIl")
    check_equal(answer[12:12 + 16], wire[start:start + 16], "the question's bytes")
    check_equal(addresses_of(dns.message.from_wire(answer)), {"192.0.2.25"})
    check_equal(str(dns.message.from_wire(answer).answer[0].name), "MaIl.RiCh.TeSt.")


@case
def header_bits(site):
    # (9)
    for flags in (0, dns.flags.RD, dns.flags.AD, dns.flags.CD, 0x0040, dns.flags.RD | dns.flags.CD):
        got = site.dns.query("ns.rich.test", flags=flags)
        check_equal(addresses_of(got), {"192.0.2.53"}, f"flags {flags:#x}")
        check_equal(got.flags & ~dns.flags.RD, dns.flags.QR | dns.flags.AA, f"flags {flags:#x}")
        check_equal(got.flags & dns.flags.RD, flags & dns.flags.RD, "RD is copied")


@case
def ipv6_listener_answers(site):
    if not site.has_ipv6:
        return
    client = DnsClient("::1", site.dns.port)
    before = site.dns.metrics()
    for tcp in (False, True):
        check_equal(client.addresses("mail.rich.test", tcp=tcp), {"192.0.2.25"})
    key = 'gslb_dns_queries_total{transport="%s",family="6"}'
    wait_until(lambda: all(site.dns.metrics()[key % t] > before[key % t] for t in ("udp", "tcp")),
               "IPv6 queries to be counted")


@case
def pipelined_tcp(site):
    # (13) forty queries in one write; all answered, by id, on the one connection
    queries = {i: ("mail.rich.test", "multi.rich.test", "nosuch.rich.test", "www.example.com")[i % 4]
               for i in range(40)}
    with site.dns.client.connect() as sock:
        stream = b""
        for i, name in queries.items():
            query = dns.message.make_query(name, "A")
            query.id = i
            stream += tcp_frame(query.to_wire())
        sock.sendall(stream)
        answers = [dns.message.from_wire(read_tcp_message(sock)) for _ in queries]
        check_equal({a.id for a in answers}, set(queries), "ids")
        for a in answers:
            check_equal(str(a.question[0].name), queries[a.id] + ".")
        sock.sendall(tcp_frame(dns.message.make_query("mail.rich.test", "A").to_wire()))
        check_equal(addresses_of(dns.message.from_wire(read_tcp_message(sock))), {"192.0.2.25"},
                    "and once more")


@case
def tcp_byte_by_byte(site):
    wire = tcp_frame(dns.message.make_query("mail.rich.test", "A").to_wire())
    with site.dns.client.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in wire:
            sock.send(bytes([byte]))
        check_equal(addresses_of(dns.message.from_wire(read_tcp_message(sock))), {"192.0.2.25"})
        # A query and a half, then the other half.
        sock.sendall(wire + wire[:9])
        read_tcp_message(sock)
        sock.sendall(wire[9:])
        check_equal(addresses_of(dns.message.from_wire(read_tcp_message(sock))), {"192.0.2.25"})


@case
def tcp_half_close_still_gets_answers(site):
    with site.dns.client.connect() as sock:
        sock.sendall(tcp_frame(dns.message.make_query("mail.rich.test", "A").to_wire()) * 3)
        sock.shutdown(socket.SHUT_WR)
        for _ in range(3):
            check_equal(addresses_of(dns.message.from_wire(read_tcp_message(sock))), {"192.0.2.25"})
        check_equal(sock.recv(1), b"", "then it closes")


@case
def idle_tcp_connection_is_closed(site):
    def edit(config):
        config["tcp"] = {"idle-timeout": "300ms"}
        config["zones"] = {"example.com": str(site.dns.zone_path)}
    with Site() as other:
        other.add_dns("ns1", edit).start()
        with other.dns.client.connect(10) as sock:
            sock.sendall(b"\0")
            check_equal(sock.recv(1), b"")
        wait_until(lambda: other.dns.metrics()['gslb_dns_tcp_closed_total{reason="idle"}'] == 1,
                   "the closing to be counted")


@case
def tcp_connections_above_the_limit_push_out_the_idlest(site):
    with Site() as other:
        other.add_dns("ns1", lambda config: config.update(tcp={"max-connections": 4})).start()
        socks = [other.dns.client.connect() for _ in range(8)]
        query = tcp_frame(dns.message.make_query("static.example.com", "A").to_wire())
        socks[-1].sendall(query)
        check_equal(addresses_of(dns.message.from_wire(read_tcp_message(socks[-1]))),
                    {"192.0.2.80"}, "the newest is served")
        wait_until(lambda: other.dns.metrics()['gslb_dns_tcp_closed_total{reason="evicted"}'] == 4,
                   "four to be evicted")
        for sock in socks:
            sock.close()


@case
def peer_that_never_reads_is_closed(site):
    def edit(config):
        config["tcp"] = {"idle-timeout": "500ms"}
    with Site() as other:
        other.add_dns("ns1", edit).start()
        sock = other.dns.client.connect(2)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream = tcp_frame(dns.message.make_query("example.com", "TXT").to_wire()) * 1000
        try:
            for _ in range(400):
                sock.sendall(stream)
        except OSError:
            pass
        wait_until(lambda: other.dns.metrics()['gslb_dns_tcp_closed_total{reason="slow_reader"}'],
                   "the slow reader to be counted")
        check_equal(other.dns.addresses("static.example.com", tcp=True), {"192.0.2.80"})
        sock.close()


@case
def answers_come_from_the_address_asked(site):
    # (27) a node that listens on every address
    def edit(config):
        port = config["listen"][0].rpartition(":")[2]
        config["listen"] = [f"0.0.0.0:{port}"]
    with Site() as other:
        other.add_dns("ns1", edit).start()
        for host in ("127.0.0.1", "127.0.0.53", "127.8.9.10"):
            # The socket is connected: another source address would not be heard.
            client = DnsClient(host, other.dns.port)
            check(client.raw(dns.message.make_query("static.example.com", "A").to_wire()),
                  f"no answer from {host}")


@case
def rrsets_of_addresses_go_round(site):
    # (48)
    firsts = {site.dns.query("multi.rich.test").answer[0][0].address for _ in range(60)}
    check_equal(len(firsts), 3, "each address comes first now and then")


@case
def queries_and_answers_are_counted(site):
    before = site.dns.metrics()
    for _ in range(10):
        site.dns.query("nosuch.rich.test", edns=False)
        site.dns.query("ns.rich.test", "MX", tcp=True)
        site.dns.query("deleg.rich.test")
        site.dns.query("elsewhere.test")

    def is_counted():
        now = site.dns.metrics()
        moved = {name: now[name] - before[name] for name in now if name in before}
        for name, by in (('gslb_dns_queries_total{transport="udp",family="4"}', 30),
                         ('gslb_dns_queries_total{transport="tcp",family="4"}', 10),
                         ('gslb_dns_queries_edns_total', 30),
                         ('gslb_dns_answers_total{rcode="NXDOMAIN"}', 10),
                         ('gslb_dns_answers_total{rcode="REFUSED"}', 10),
                         ('gslb_dns_answers_total{rcode="NOERROR"}', 20),
                         ('gslb_dns_nodata_total', 10), ('gslb_dns_referrals_total', 10),
                         ('gslb_dns_verdicts_total{verdict="ok"}', 40)):
            check_equal(moved[name], by, name)
        return True
    wait_until(is_counted, "the counters")


@case
def nothing_is_logged_per_query(site):
    check_equal(site.dns.program.log_lines("answer|query|wire|192.0.2|NXDOMAIN"), [])


main(build)
