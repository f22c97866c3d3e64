#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What toy servers get wrong, check by check: transport, negative answers, wildcards, chains, cuts,
TTLs, and service bindings (checks 12, 13, 16 to 24, 46)."""
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.flags  # noqa: E402
import dns.message  # noqa: E402
import dns.rdatatype  # noqa: E402

from dns_client import (addresses_of, ecs_of, flags_of, read_tcp_message, records_of,  # noqa: E402
                        tcp_frame, ttls_of)
from gslbtest import PATIENCE, case, check, check_equal, main  # noqa: E402
from site_under_test import Site  # noqa: E402

ZONE = """$ORIGIN checks.test.
$TTL 1h
@          SOA   ns.checks.test. hostmaster.checks.test. 1 1h 15m 2w 5m
@          NS    ns
@          HTTPS 0 svc
ns         A     192.0.2.53
a          A     192.0.2.1
a          TXT   "only"
below.ent  TXT   "ent is empty"
*.wild     A     192.0.2.99
*.wild     MX    5 a
there.wild TXT   "blocks"
x.ent.wild TXT   "makes ent.wild"
*.walias   CNAME a
one        300 CNAME two
two        200 CNAME a
tonx       CNAME nosuch
tonodata   CNAME a2
a2         AAAA  2001:db8::2
loop1      CNAME loop2
loop2      CNAME loop1
tosteered  CNAME www
away       CNAME www.elsewhere.test.
d          600 DNAME target
x.target   A     192.0.2.5
dlong      DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
cut        NS    ns.cut
cut        NS    ns.elsewhere.test.
ns.cut     A     192.0.2.10
ns.cut     AAAA  2001:db8::10
dscut      NS    ns.elsewhere.test.
dscut      DS    1 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
many       A     192.0.2.1
many       A     192.0.2.2
many       A     192.0.2.3
svc        HTTPS 2 b alpn=h3 port=8443
svc        HTTPS 1 a port=443 alpn=h2 ipv4hint=192.0.2.1
_s._tcp    SVCB  1 a mandatory=alpn,port port=853 alpn=dot
"""
EARLY_SOA = """@ 30 SOA ns.checks.test. h.checks.test. 1 1h 15m 2w 600
@ 3600 NS ns.checks.test.
"""
SOA = "checks.test. SOA ns.checks.test. hostmaster.checks.test. 1 3600 900 1209600 300"


def build():
    site = Site()
    site.path("checks.zone").write_text(ZONE)
    site.path("early.zone").write_text(EARLY_SOA)

    def edit(config):
        config["zones"].update({"checks.test": str(site.path("checks.zone")),
                                "early.test": str(site.path("early.zone"))})
        config["services"].update({"www.checks.test": {"ttl": "5s"}, "v4.checks.test": {},
                                   "x.only.dyn.checks.test": {}})
    site.add_dns("ns1", edit)
    for edge in ("us-east-1", "eu-west-1", "ap-northeast-1"):
        site.add_fake_edge(edge)
    return site.start()


def has_soa(message, what):
    check_equal(records_of(message, "authority"), {SOA}, what)


def is_nodata(site, name, rdtype="A"):
    message = site.dns.query(name, rdtype)
    check_equal((message.rcode(), message.answer), (0, []), f"{name} {rdtype}")
    has_soa(message, name)


def is_nxdomain(site, name, rdtype="A"):
    message = site.dns.query(name, rdtype)
    check_equal((message.rcode(), message.answer), (3, []), f"{name} {rdtype}")
    has_soa(message, name)


@case
def check_12_tcp_says_what_udp_says(site):
    for name, rdtype in (("a", "A"), ("nosuch", "A"), ("cut", "A"), ("one", "A"), ("www", "A"), ("wild", "MX")):
        udp, tcp = (site.dns.query(f"{name}.checks.test", rdtype, tcp=tcp) for tcp in (False, True))
        for section in ("answer", "authority", "additional"):
            check_equal(records_of(tcp, section), records_of(udp, section), f"{name} {rdtype} {section}")
        check_equal((tcp.rcode(), flags_of(tcp)), (udp.rcode(), flags_of(udp)), f"{name} {rdtype}")


def queries_of(n):
    return [(i, dns.message.make_query("a.checks.test", "A", id=i).to_wire()) for i in range(1, n + 1)]


@case
def check_13_pipelined_queries_are_all_answered_on_one_connection(site):
    with site.dns.client.connect() as sock:
        sock.sendall(b"".join(tcp_frame(packet) for _, packet in queries_of(100)))
        answers = [dns.message.from_wire(read_tcp_message(sock)) for _ in range(100)]
        check_equal({answer.id for answer in answers}, set(range(1, 101)), "an answer for each, in any order")
        # And it stays open behind them.
        sock.sendall(tcp_frame(queries_of(1)[0][1]))
        check_equal(dns.message.from_wire(read_tcp_message(sock)).id, 1)


@case
def check_13_a_query_may_come_byte_by_byte_and_an_answer_in_one_segment(site):
    with site.dns.client.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in tcp_frame(queries_of(1)[0][1]):
            sock.sendall(bytes([byte]))
        first = sock.recv(65535)
        check_equal(struct.unpack("!H", first[:2])[0], len(first) - 2, "length and message come together")


@case
def check_13_who_stops_in_the_middle_is_put_out(site):
    started = time.monotonic()
    with site.dns.client.connect(timeout_s=60) as sock:
        sock.sendall(tcp_frame(queries_of(1)[0][1])[:5])
        check_equal(sock.recv(1), b"", "the server closes")
    check(time.monotonic() - started < 50 * PATIENCE, "within its idle time")
    check_equal(site.dns.rcode("a.checks.test"), "NOERROR", "and serves on")


@case
def check_16_a_name_with_any_type_is_nodata(site):
    is_nodata(site, "a.checks.test", "AAAA")
    is_nodata(site, "cut2.wild.checks.test", "TXT")
    is_nxdomain(site, "nosuch.checks.test")
    is_nxdomain(site, "below.a.checks.test")
    is_nodata(site, "www.checks.test", "TXT")


@case
def check_16_a_steered_name_without_addresses_of_a_family_is_nodata():
    """Resolvers keep an NXDOMAIN for all types: the IPv4 addresses would be gone too."""
    def edit(config):
        for region in config["regions"].values():
            region["edges"] = {name: [a for a in addresses if ":" not in a]
                               for name, addresses in region["edges"].items()}
    with Site() as site:
        site.add_dns("ns1", edit)
        site.dns.start()
        message = site.dns.query("www.example.com", "AAAA")
        check_equal((message.rcode(), message.answer), (0, []))
        check(ttls_of(message, "authority"), "a SOA")
        check(site.dns.addresses("www.example.com"), "IPv4 goes on")


@case
def check_17_negative_ttl_is_the_lesser_of_soa_ttl_and_minimum(site):
    for name in ("nosuch.checks.test", "a.checks.test"):
        check_equal(ttls_of(site.dns.query(name, "SRV"), "authority"), {"checks.test. SOA": 300}, "MINIMUM")
    check_equal(ttls_of(site.dns.query("nosuch.early.test"), "authority"), {"early.test. SOA": 30}, "the TTL")
    check_equal(ttls_of(site.dns.query("checks.test", "SOA")), {"checks.test. SOA": 3600}, "asked for itself")


@case
def check_18_empty_non_terminals_exist(site):
    for name in ("ent", "wild", "ent.wild", "_tcp", "only.dyn", "dyn"):
        is_nodata(site, f"{name}.checks.test")
    is_nxdomain(site, "y.only.dyn.checks.test")


@case
def check_19_wildcards_stand_for_what_does_not_exist_only(site):
    check_equal(records_of(site.dns.query("any.wild.checks.test")), {"any.wild.checks.test. A 192.0.2.99"})
    check_equal(records_of(site.dns.query("a.b.wild.checks.test")), {"a.b.wild.checks.test. A 192.0.2.99"})
    check_equal(records_of(site.dns.query("*.wild.checks.test")), {"*.wild.checks.test. A 192.0.2.99"})
    is_nodata(site, "there.wild.checks.test")
    is_nodata(site, "ent.wild.checks.test")
    is_nxdomain(site, "y.ent.wild.checks.test")
    is_nxdomain(site, "y.there.wild.checks.test")
    is_nodata(site, "any.wild.checks.test", "TXT")
    check_equal(records_of(site.dns.query("x.walias.checks.test")),
                {"x.walias.checks.test. CNAME a.checks.test.", "a.checks.test. A 192.0.2.1"})


@case
def check_20_chains_are_followed_and_the_last_name_gives_the_rcode(site):
    message = site.dns.query("one.checks.test")
    check_equal(ttls_of(message), {"one.checks.test. CNAME": 300, "two.checks.test. CNAME": 200,
                                   "a.checks.test. A": 3600})
    for name, rcode in (("tonx", 3), ("tonodata", 0)):
        message = site.dns.query(f"{name}.checks.test")
        check_equal((message.rcode(), len(message.answer)), (rcode, 1), name)
        has_soa(message, name)
    message = site.dns.query("loop1.checks.test")
    check_equal((message.rcode(), len(message.answer)), (0, 2), "each link of a loop once")
    message = site.dns.query("away.checks.test")
    check_equal(records_of(message), {"away.checks.test. CNAME www.elsewhere.test."})
    check_equal(records_of(site.dns.query("one.checks.test", "CNAME")),
                {"one.checks.test. CNAME two.checks.test."}, "asked for, it is not followed")


@case
def check_20_a_cname_beside_other_data_is_refused_at_load(site):
    bad = site.path("bad.zone")
    bad.write_text(EARLY_SOA + "x 60 CNAME y\nx 60 A 192.0.2.1\n")
    site.dns.config["zones"]["early.test"] = str(bad)
    site.dns.write_config()
    result = site.dns.ctl("reload")
    site.dns.config["zones"]["early.test"] = str(site.path("early.zone"))
    site.dns.write_config()
    check("CNAME" in result.stderr and "bad.zone" in result.stderr, f"{result.stdout}{result.stderr}")


@case
def check_21_a_chain_to_a_steered_name_has_the_scope_of_the_tailored_part(site):
    direct = site.dns.query("www.checks.test", subnet="185.2.100.0/24")
    chain = site.dns.query("tosteered.checks.test", subnet="185.2.100.0/24")
    check_equal(addresses_of(chain), addresses_of(direct), "the same choice")
    check(ecs_of(direct).scopelen > 0, "tailored")
    check_equal(ecs_of(chain).scopelen, ecs_of(direct).scopelen, "the longest scope of the chain")


@case
def check_22_a_dname_makes_cnames(site):
    message = site.dns.query("x.d.checks.test")
    check_equal(records_of(message), {"d.checks.test. DNAME target.checks.test.",
                                      "x.d.checks.test. CNAME x.target.checks.test.",
                                      "x.target.checks.test. A 192.0.2.5"})
    check_equal(ttls_of(message)["x.d.checks.test. CNAME"], 600, "the DNAME's TTL")
    is_nodata(site, "d.checks.test")
    label = "c" * 63
    message = site.dns.query(f"{label}.{label}.dlong.checks.test")
    check_equal(message.rcode(), 6, "YXDOMAIN where the name gets too long")
    check_equal(len(message.answer), 1, "with the DNAME that did it")


@case
def check_23_referrals_have_glue_and_no_authority(site):
    for name in ("cut.checks.test", "x.y.cut.checks.test"):
        message = site.dns.query(name)
        check(not message.flags & dns.flags.AA and not message.answer, f"{name}: {message}")
        check_equal(records_of(message, "authority"), {"cut.checks.test. NS ns.cut.checks.test.",
                                                       "cut.checks.test. NS ns.elsewhere.test."})
        check_equal(records_of(message, "additional"), {"ns.cut.checks.test. A 192.0.2.10",
                                                        "ns.cut.checks.test. AAAA 2001:db8::10"})
    message = site.dns.query("dscut.checks.test", "DS")
    check(message.flags & dns.flags.AA and len(message.answer) == 1, f"DS is the parent's: {message}")
    message = site.dns.query("cut.checks.test", "DS")
    check(message.flags & dns.flags.AA and message.rcode() == 0, f"NODATA from the parent: {message}")
    has_soa(message, "no DS")
    check(not site.dns.query("ns.cut.checks.test").flags & dns.flags.AA, "glue is not answered as data")


@case
def check_24_one_ttl_for_a_set_and_none_above_31_bits(site):
    path = site.path("ttl.zone")
    path.write_text(EARLY_SOA + "x 60 A 192.0.2.1\nx 50 A 192.0.2.2\n")
    site.dns.config["zones"]["ttl.test"] = str(path)
    site.dns.reload(by="gslbctl")
    check_equal(ttls_of(site.dns.query("x.ttl.test")), {"x.ttl.test. A": 50}, "the lowest for all")
    # Resolvers take a TTL with its highest bit set for 0: better told at load than found out there.
    path.write_text(EARLY_SOA + "y 2147483648 A 192.0.2.3\n")
    result = site.dns.ctl("reload")
    check("ttl.zone:3:" in result.stderr and "TTL" in result.stderr, f"refused with its line: {result.stderr}")
    del site.dns.config["zones"]["ttl.test"]
    site.dns.reload()
    message = site.dns.query("many.checks.test")
    check_equal((len(message.answer), len(message.answer[0])), (1, 3), "three records of one set")


@case
def check_46_service_bindings_are_well_formed_and_bring_addresses(site):
    packet = site.dns.client.raw(dns.message.make_query("_s._tcp.checks.test", "SVCB").to_wire())
    rdata = dns.message.from_wire(packet).answer[0][0]
    check_equal(list(rdata.params), sorted(rdata.params), "keys ascend")
    check_equal([int(key) for key in rdata.params], [0, 1, 3], "mandatory, alpn, port")
    at = packet.index(b"\0\1\1a", 40) if b"\0\1\1a" in packet[40:] else None
    check(at is not None, "the target is not compressed")
    check_equal(records_of(site.dns.query("checks.test", "HTTPS")), {"checks.test. HTTPS 0 svc.checks.test."},
                "alias mode at the apex")
    message = site.dns.query("svc.checks.test", "HTTPS")
    check_equal({str(rdata.target) for rdata in message.answer[0]}, {"a.checks.test.", "b.checks.test."})
    check("a.checks.test. A 192.0.2.1" in records_of(message, "additional"), "the target's address")


main(build)
