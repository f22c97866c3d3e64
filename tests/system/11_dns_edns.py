#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""EDNS, Client Subnet and the questions that no zone answers, byte by byte.

A number in a case's name is that of the behaviour in RFC 8906's and RFC 7871's spirit that many
servers get wrong; the RFC sections stand beside the cases.
"""
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.edns  # noqa: E402
import dns.flags  # noqa: E402
import dns.message  # noqa: E402
import dns.rcode  # noqa: E402

from dns_client import addresses_of, ecs_of, ede_of, records_of  # noqa: E402
from dns_packets import (A, ANY, COOKIE, DEFAULT_NAME, ECS, KEEPALIVE, NSID, PADDING, TXT,  # noqa: E402
                         ecs, opt, option, packet, question, wire_name)
from gslbtest import case, case_table, check, check_equal, main, wait_until  # noqa: E402
from site_under_test import Site  # noqa: E402

STATIC = DEFAULT_NAME


def build():
    site = Site()

    def edit(config):
        # Answers of 130 to 9000 bytes, to be cut at any size.
        zone = site.path("ns1.zone")
        big = [f'big{n} TXT ' + " ".join(f'"{"x" * 60}{i:03}"' for i in range(n))
               for n in (2, 7, 8, 18, 19, 60, 140)]
        many = [f"many A 198.51.100.{i}" for i in range(1, 101)]
        glue = [line for i in range(30)
                for line in (f"cut NS ns{i}.cut", f"ns{i}.cut A 203.0.113.{i}",
                             f"ns{i}.cut AAAA 2001:db8::{i}")]
        fat = [line for i in range(20)
               for line in (f"fat MX {i} mail{i}", f"mail{i} A 203.0.113.{i}")]
        zone.write_text(zone.read_text() + "\n".join(big + many + glue + fat) + "\n")
        config["services"]["fleet.example.com"] = {}
        config["services"]["few.example.com"] = {"max-addresses": 3}
        config["services"]["v4.example.com"] = {"regions": ["v4only"]}
        fleet = {f"f{i}": [f"198.18.0.{i}", f"fd00:f::{i:x}"] for i in range(1, 33)}
        config["regions"]["fleet"] = {"location": [-33.9, 18.4], "edges": fleet}
        config["regions"]["v4only"] = {"location": [0, -170], "edges": {"v4": ["198.18.1.1"]}}
        for name in ("fleet", "few"):
            config["services"][f"{name}.example.com"]["regions"] = ["fleet"]
        config["services"]["www.example.com"]["regions"] = ["us-east", "eu-west", "ap-northeast"]
        config["health"]["stale-after"] = "40s"
        config["nsid"] = "ns1.ams"
    site.add_dns("ns1", edit)
    for edge in ("us-east-1", "eu-west-1", "ap-northeast-1"):
        site.add_fake_edge(edge)
    return site.start()


def ask(site, data, tcp=False):
    answer = site.dns.client.raw(data, tcp=tcp)
    check(answer is not None, "no answer")
    return dns.message.from_wire(answer, ignore_trailing=False)


def rcode_of(message):
    return dns.rcode.to_text(message.rcode())


def verdicts(site, verdict):
    return site.dns.metrics()[f'gslb_dns_verdicts_total{{verdict="{verdict}"}}']


# ---- EDNS itself

@case_table({"version 1": 1, "version 255": 255})
def no01_unknown_version_is_badvers(site, version):
    # RFC 6891 section 6.1.3
    for options in ((), (option(65001, b"x"),), (ecs(1, 24, b"\1\2\3"),)):
        got = ask(site, packet(opt(*options, version=version)))
        check_equal(rcode_of(got), "BADVERS")
        check_equal(got.edns, 0, "the version that is spoken here")
        check(not got.answer and not got.authority, "nothing else")


@case
def no01_unknown_version_with_do_and_unknown_flags(site):
    got = ask(site, packet(opt(version=100, flags=0xffff)))
    check_equal((rcode_of(got), got.ednsflags & 0xffff), ("BADVERS", 0x8000))


@case_table({"NOERROR": (STATIC, "NOERROR"), "NXDOMAIN": ("no.example.com", "NXDOMAIN"),
             "REFUSED": ("example.invalid", "REFUSED"), "referral": ("x.sub.example.com", "NOERROR")})
def no02_opt_when_asked_and_only_then(site, name, rcode):
    for tcp in (False, True):
        got = ask(site, packet(opt(), body=question(name)), tcp)
        check_equal((rcode_of(got), got.edns), (rcode, 0))
        check_equal(got.payload, 1232)
        got = ask(site, packet(body=question(name)), tcp)
        check_equal((rcode_of(got), got.edns), (rcode, -1))


@case_table({"FORMERR": lambda: packet(opt(), opt()), "NOTIMP": lambda: packet(opt(), opcode=2),
             "bad class": lambda: packet(opt(), body=question(rdclass=4))})
def no02_errors_answer_once(site, make):
    got = site.dns.client.raw(make())
    check_equal(struct.unpack("!H", got[10:12])[0] <= 1, True, "at most one OPT")


@case_table({
    "two OPTs": (lambda: packet(opt(), opt()), "opt"),
    "OPT with an owner": (lambda: packet(opt(owner=b"\1x\0")), "opt"),
    "OPT in the answer section": (lambda: packet(opt(), counts=(1, 1, 0, 0)), "count"),
    "OPT cut short": (lambda: packet(opt()[:-1]), "record"),
    "option longer than OPT": (lambda: packet(opt(struct.pack("!HH", 9, 8) + b"abc")), "opt"),
    "option head cut": (lambda: packet(opt(b"\0\1\0")), "opt"),
    "record counted but absent": (lambda: packet(counts=(1, 0, 0, 1)), "record"),
    "garbage behind": (lambda: packet(opt()) + b"x", "trailing"),
    "no question": (lambda: packet(opt(), body=b"", counts=(0, 0, 0, 1)), "count"),
    "two questions (08)": (lambda: packet(body=question() * 2, counts=(2, 0, 0, 0)), "count"),
    "answer in a query": (lambda: packet(b"\0" + struct.pack("!HHIH", A, 1, 0, 4) + b"\1\2\3\4",
                                         counts=(1, 1, 0, 0)), "count"),
    "compressed question": (lambda: packet(body=b"\xc0\x0c\0\1\0\1"), "name"),
    "label of 64": (lambda: packet(body=b"\x40" + b"a" * 64 + b"\0\0\1\0\1"), "name"),
    "name of 256": (lambda: packet(body=(b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1"), "name"),
    "name without an end (26)": (lambda: packet(body=b"\3www\7example"), "name"),
    "name and no type": (lambda: packet(body=wire_name(STATIC) + b"\0\1"), "name"),
    "cookie of 7 bytes": (lambda: packet(opt(option(COOKIE, b"1234567"))), "cookie"),
    "cookie of 12 bytes": (lambda: packet(opt(option(COOKIE, b"123456789012"))), "cookie"),
    "cookie of 41 bytes": (lambda: packet(opt(option(COOKIE, b"x" * 41))), "cookie"),
})
def no03_malformed_is_formerr(site, make, verdict):
    before = verdicts(site, verdict)
    for tcp in (False, True):
        got = site.dns.client.raw(make(), tcp=tcp)
        check(got is not None, "no answer")
        check_equal(got[:2], b"\x12\x34", "the id")
        check_equal((got[2] >> 7, got[3] & 15), (1, 1), "QR and FORMERR")
    wait_until(lambda: verdicts(site, verdict) == before + 2, f"verdict {verdict}")


@case
def no04_unknown_options_and_flags_are_ignored(site):
    # RFC 6891 sections 6.1.2 and 6.1.4
    got = ask(site, packet(opt(option(65001, b"hello"), option(100), option(PADDING, b"\0" * 50),
                               flags=0x7fff)))
    check_equal(addresses_of(got), {"192.0.2.80"})
    check_equal(list(got.options), [], "not echoed")
    check_equal(got.ednsflags & 0x7fff, 0, "flags cleared")


@case_table({"0": 0, "1": 1, "511": 511, "512": 512})
def no05_small_payload_means_512(site, payload):
    got = site.dns.client.raw(packet(opt(payload=payload), body=question("big7.example.com", TXT)))
    check(400 < len(got) <= 512, f"{len(got)} bytes")
    check_equal(got[2] & 2, 0, "not truncated")
    got = site.dns.client.raw(packet(opt(payload=payload), body=question("big8.example.com", TXT)))
    check_equal(got[2] & 2, 2, "truncated")


@case
def no05_the_server_caps_at_1232(site):
    got = site.dns.client.raw(packet(opt(payload=65535), body=question("big18.example.com", TXT)))
    check(1150 < len(got) <= 1232, f"{len(got)} bytes")
    got = site.dns.client.raw(packet(opt(payload=65535), body=question("big60.example.com", TXT)))
    check(len(got) < 512 and got[2] & 2, "truncated above its own limit")


@case
def no06_do_is_copied(site):
    for flags in (0, 0x8000):
        for name in (STATIC, "no.example.com", "www.example.com"):
            got = ask(site, packet(opt(flags=flags), body=question(name)))
            check_equal(got.ednsflags & 0x8000, flags, name)


@case_table({f"opcode {n}": n for n in range(1, 16) if n != 4})
def no07_unknown_opcode_is_notimp(site, opcode):
    got = site.dns.client.raw(packet(opcode=opcode))
    check_equal((got[2] >> 7, got[2] >> 3 & 15, got[3] & 15), (1, opcode, 4))
    got = site.dns.client.raw(packet(body=b"", counts=(0, 0, 0, 0), opcode=opcode))
    check_equal(got[3] & 15, 4, "header only")


@case
def no07_responses_and_runts_are_dropped(site):
    before = verdicts(site, "response"), verdicts(site, "runt")
    for data in (packet(flags=0x8000), packet(flags=0x8180), b"x", b"\0" * 11):
        check_equal(site.dns.client.raw(data, timeout_s=0.15), None)
    check_equal((verdicts(site, "response"), verdicts(site, "runt")), (before[0] + 2, before[1] + 2))


@case
def no08_question_less_query_needs_a_cookie(site):
    got = ask(site, packet(opt(option(COOKIE, b"12345678")), body=b"", counts=(0, 0, 0, 1)))
    check_equal(rcode_of(got), "NOERROR")
    check(not got.question and not got.answer, "empty")


@case_table({"128 NXNAME": (128, "FORMERR"), "129": (129, "FORMERR"), "249 TKEY": (249, "FORMERR"),
             "250 TSIG": (250, "FORMERR"),
             "253 MAILB": (253, "FORMERR"), "254 MAILA": (254, "FORMERR"), "41 OPT": (41, "FORMERR"),
             "0": (0, "NOERROR"), "99 SPF": (99, "NOERROR"), "256": (256, "NOERROR"),
             "65535": (65535, "NOERROR")})
def no10_odd_types(site, rdtype, rcode):
    for tcp in (False, True):
        got = ask(site, packet(opt(), body=question(rdtype=rdtype)), tcp)
        check_equal(rcode_of(got), rcode)
        if rcode == "NOERROR":
            check_equal([str(r.name) for r in got.authority], ["example.com."], "SOA")


@case
def no43_axfr_is_not_for_udp_nor_for_strangers(site):
    for tcp, name, rcode in ((False, "example.com", "NOTIMP"), (True, "example.com", "REFUSED"),
                             (True, STATIC, "NOTAUTH")):
        check_equal(rcode_of(ask(site, packet(opt(), body=question(name, 252)), tcp)), rcode)


@case
def no10_nxname_is_explained(site):
    # RFC 9824 section 3.5: EDE 30
    check_equal(ede_of(ask(site, packet(opt(), body=question(rdtype=128))))[0], 30)


@case_table({"CH": 3, "HS": 4, "NONE": 254, "ANY": 255, "0": 0})
def no11_other_classes_are_refused(site, rdclass):
    got = site.dns.client.raw(packet(opt(), body=question(rdclass=rdclass)))
    check_equal(got[3] & 15, 5)


@case
def no12_same_answer_over_tcp(site):
    for name, rdtype in ((STATIC, "A"), ("no.example.com", "A"), ("mail.example.com", "MX"),
                         ("x.sub.example.com", "A"), ("fat.example.com", "MX")):
        both = [site.dns.query(name, rdtype, tcp=tcp, payload=1232) for tcp in (False, True)]
        for section in ("answer", "authority"):
            check_equal(*(records_of(b, section) for b in both), f"{section} of {name}")
        check_equal(*(b.flags for b in both), f"flags of {name}")


@case
def no14_keepalive_only_over_tcp(site):
    # RFC 7828 section 3: in units of 100 ms; the idle timeout is 10 s
    got = ask(site, packet(opt(option(KEEPALIVE))), tcp=True)
    check_equal([(int(o.otype), o.to_wire()) for o in got.options], [(KEEPALIVE, b"\0\x64")])
    check_equal(list(ask(site, packet(opt(option(KEEPALIVE)))).options), [], "not by UDP")
    check_equal(list(ask(site, packet(opt()), tcp=True).options), [], "not unasked")


# ---- Truncation

@case
def no15_truncated_answers_are_empty_and_whole_over_tcp(site):
    for name, rdtype, n in (("big60.example.com", "TXT", 1), ("many.example.com", "A", 100),
                            ("big140.example.com", "TXT", 1)):
        for edns in (True, False):
            got = site.dns.query(name, rdtype, edns=edns)
            check(got.flags & dns.flags.TC, f"TC for {name}")
            check_equal(len(got.answer), 0, "no partial RRset")
            check_equal(rcode_of(got), "NOERROR")
            check_equal(got.edns, 0 if edns else -1, "OPT stays")
            got = site.dns.query(name, rdtype, edns=edns, tcp=True)
            check(not got.flags & dns.flags.TC, "no TC over TCP")
            check_equal(len(records_of(got)), n)


@case
def no15_glue_is_required(site):
    # RFC 9471: all in-domain glue, or TC
    got = site.dns.query("x.cut.example.com", payload=1232)
    check(got.flags & dns.flags.TC, "glue that does not fit truncates")
    got = site.dns.query("x.cut.example.com", tcp=True)
    check_equal(len(records_of(got, "additional")), 60)


@case
def no15_other_additional_records_are_left_out_silently(site):
    got = site.dns.query("fat.example.com", "MX", edns=False)
    check_equal((len(records_of(got)), bool(got.flags & dns.flags.TC)), (20, False))
    check(len(records_of(got, "additional")) < 20, "some are left out")


@case
def no15_every_payload_size_is_kept(site):
    for payload in range(512, 1233, 24):
        for name, rdtype in (("big18.example.com", TXT), ("cut.example.com", A),
                             ("fat.example.com", 15), ("fleet.example.com", A)):
            got = site.dns.client.raw(packet(opt(ecs(2, 128, b"\x20" * 16), payload=payload),
                                             body=question(name, rdtype)))
            check(len(got) <= payload, f"{name}: {len(got)} bytes for {payload}")
            check_equal(ecs_of(dns.message.from_wire(got)).srclen, 128, "ECS is never dropped (33)")


@case
def truncation_is_counted(site):
    before = site.dns.metrics()["gslb_dns_truncated_total"]
    site.dns.query("many.example.com")
    wait_until(lambda: site.dns.metrics()["gslb_dns_truncated_total"] == before + 1, "the counter")


# ---- Client Subnet

SUBNETS = {"/24": "185.2.100.0/24", "/32": "185.2.100.9/32", "/17": "185.2.0.0/17", "/1": "128.0.0.0/1",
           "/0": "0.0.0.0/0", "IPv6 /56": "2a02:8080:0:ff00::/56", "IPv6 /128": "2a02:8080::1/128",
           "IPv6 /0": "::/0", "IPv6 /33": "2a02:8080:8000::/33"}


@case_table(SUBNETS)
def no29_ecs_is_echoed(site, subnet):
    for name in ("www.example.com", STATIC, "no.example.com", "sub.example.com", "example.invalid"):
        asked = site.dns.client.make_query(name, "A", subnet)
        got = ecs_of(site.dns.client.send(asked))
        sent = ecs_of(asked)
        check(got is not None, f"no option for {name}")
        check_equal((got.family, got.srclen, got.address), (sent.family, sent.srclen, sent.address))


@case
def no29_no_option_unasked(site):
    for name in ("www.example.com", STATIC):
        check_equal(ecs_of(site.dns.query(name)), None, name)
        check_equal(site.dns.query(name, edns=False).edns, -1)


@case_table({
    "family 0": ecs(0, 0, b""), "family 3": ecs(3, 8, b"\1"),
    "address too short": ecs(1, 24, b"\1\2"), "address too long": ecs(1, 24, b"\1\2\3\4"),
    "bits behind the source": ecs(1, 20, b"\1\2\xff"), "source 33": ecs(1, 33, b"\1\2\3\4\5"),
    "IPv6 source 129": ecs(2, 129, b"\1" * 17), "scope in a query": ecs(1, 24, b"\1\2\3", scope=24),
    "three bytes": option(ECS, b"\0\1\0"), "empty": option(ECS), "with source 0 an address": ecs(1, 0, b"\1"),
})
def no30_malformed_ecs_is_formerr(site, data):
    before = verdicts(site, "ecs")
    got = ask(site, packet(opt(data), body=question("www.example.com")))
    check_equal((rcode_of(got), got.edns), ("FORMERR", 0))
    wait_until(lambda: verdicts(site, "ecs") == before + 1, "the verdict")


@case
def no30_two_subnets_are_formerr(site):
    got = ask(site, packet(opt(ecs(1, 24, b"\1\2\3"), ecs(1, 24, b"\1\2\3"))))
    check_equal(rcode_of(got), "FORMERR")


@case_table({"static": (STATIC, "A"), "SOA": ("example.com", "SOA"), "NS": ("example.com", "NS"),
             "NXDOMAIN": ("no.example.com", "A"), "referral": ("x.sub.example.com", "A"),
             "NODATA of a service": ("www.example.com", "MX"), "MX at a steered apex": ("example.com", "MX"),
             "CNAME alone": ("cdn.example.com", "CNAME"), "not ours": ("example.invalid", "A"),
             "NODATA: the service has no IPv6": ("v4.example.com", "AAAA")})
def no31_scope_0(site, name, rdtype):
    for subnet in ("185.2.100.0/24", "2a02:8080::/56"):
        check_equal(ecs_of(site.dns.query(name, rdtype, subnet=subnet)).scopelen, 0)


@case
def no31_source_0_gets_the_default_order_at_scope_0(site):
    for subnet in ("0.0.0.0/0", "::/0"):
        got = site.dns.query("www.example.com", subnet=subnet)
        check_equal((rcode_of(got), ecs_of(got).scopelen, addresses_of(got)),
                    ("NOERROR", 0, {"127.0.0.12"}))


@case
def no33_scope_does_not_depend_on_truncation_or_transport(site):
    udp = site.dns.query("www.example.com", subnet="185.2.100.0/24")
    tcp = site.dns.query("www.example.com", subnet="185.2.100.0/24", tcp=True)
    check_equal(ecs_of(udp).scopelen, ecs_of(tcp).scopelen)
    check(ecs_of(udp).scopelen > 0, "tailored")


@case
def no40_ede_only_with_opt(site):
    check_equal(ede_of(ask(site, packet(opt(), body=question("example.invalid"))))[0], 20)
    check_equal(ede_of(ask(site, packet(opt(), body=question("example.com", 252)), tcp=True))[0], 18)
    check_equal(ask(site, packet(body=question("example.invalid"))).edns, -1)


@case
def no42_nsid_only_when_asked(site):
    got = ask(site, packet(opt(option(NSID))))
    ids = [o.to_wire() for o in got.options if int(o.otype) == NSID]
    check_equal(ids, [b"ns1.ams"])
    check_equal(list(ask(site, packet(opt())).options), [])


@case
def no47_both_families_pick_one_site(site):
    # Hundreds of networks: the IPv4 and the IPv6 address belong to the same edge.
    for i in range(300):
        subnet = f"{(i * 7) % 223 + 1}.{(i * 31) % 256}.0.0/16"
        v4 = site.dns.addresses("www.example.com", subnet=subnet)
        v6 = site.dns.addresses("www.example.com", "AAAA", subnet=subnet)
        check_equal({a.rpartition(".")[2] for a in v4}, {a.rpartition("::")[2] for a in v6}, subnet)


@case
def no48_addresses_are_capped_and_shuffled(site):
    sets, firsts = set(), set()
    for _ in range(100):
        rrset = site.dns.query("fleet.example.com").answer[0]
        check_equal(len(rrset), 8, "the default cap")
        firsts.add(rrset[0].address)
        sets.add(frozenset(r.address for r in rrset))
    check(len(firsts) > 20 and len(sets) > 20, f"{len(firsts)} first addresses in 100 answers")
    check_equal(len(site.dns.query("few.example.com", "AAAA").answer[0]), 3, "max-addresses")


@case
def tsig_is_refused_in_its_own_way(site):
    # No keys here: NOTAUTH, RFC 8945 section 5.2.1
    rdata = wire_name("hmac-sha256") + b"\0" * 6 + struct.pack("!HH", 300, 0) + b"\x12\x34\0\0\0\0"
    tsig = wire_name("key") + struct.pack("!HHIH", 250, 255, 0, len(rdata)) + rdata
    check_equal(site.dns.client.raw(packet(tsig))[3] & 15, 9)


@case
def queries_with_edns_and_ecs_are_counted(site):
    before = site.dns.metrics()
    site.dns.query("www.example.com", subnet="185.2.100.0/24")
    site.dns.query("www.example.com")

    def is_counted():
        now = site.dns.metrics()
        for name, by in (("gslb_dns_queries_edns_total", 2), ("gslb_dns_queries_ecs_total", 1),
                         ('gslb_dns_steered_total{by="ecs"}', 1),
                         ('gslb_dns_steered_total{by="default"}', 1)):
            check_equal(now[name] - before[name], by, name)
        return True
    wait_until(is_counted, "the counters")


main(build)
