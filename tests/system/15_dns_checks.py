#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What toy authoritative servers get wrong: 48 behaviours that resolvers, validators and operators
rely on, one function each, check_NN_what, in the order of their numbers; here and in the files
whose names begin like this one's. tests/lib/list-checks lists them.

Each asks the running program the one question that tells; the files beside this one, one per area,
go into every corner.
"""

import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.flags  # noqa: E402
import dns.message  # noqa: E402
import dns.rcode  # noqa: E402

from dns_client import DnsClient, addresses_of, ecs_of, ede_of, records_of  # noqa: E402
from dns_packets import (A, ANY, COOKIE, DEFAULT_NAME, KEEPALIVE, NSID, PADDING, TXT,  # noqa: E402
                         ecs, opt, option, packet, question)
from gslbtest import TOP, case, check, check_equal, main, wait_until  # noqa: E402
from site_under_test import Site  # noqa: E402

MX, SRV, NAPTR, NXNAME = 15, 33, 35, 128
EU = "185.2.100.0/24"


def build():
    site = Site()

    def edit(config):
        zone = site.path("ns1.zone")
        long = [f'big{n} TXT ' + " ".join(f'"{"x" * 60}{i:03}"' for i in range(n)) for n in (8, 60)]
        fat = [line for i in range(20)
               for line in (f"fat MX {i} mail{i}", f"mail{i} A 203.0.113.{i}")]
        glue = [line for i in range(30) for line in (f"cut NS ns{i}.cut", f"ns{i}.cut A 203.0.113.{i}")]
        zone.write_text(zone.read_text() + "\n".join(long + fat + glue + [
            "srv SRV 0 0 443 static", 'naptr NAPTR 1 1 "u" "" "" static', "www HTTPS 1 . alpn=h2",
            *(f"many A 192.0.2.{i}" for i in range(1, 5)), ""]))
        config["services"]["www.example.com"]["regions"] = ["us-east", "eu-west", "ap-northeast"]
        config["regions"]["eu-west"]["edges"]["eu-west-1"] += ["127.0.0.21", "127.0.0.22", "fd00::21"]
        config["services"]["only.example.com"] = {}
        config["services"]["us.example.com"] = {"regions": ["us-east"], "all-down": "nodata"}
        config["health"]["stale-after"] = "60s"
        config["nsid"] = "ns1.ams"
    site.add_dns("ns1", edit)
    site.path("broken.zone").write_text("@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\nns A 192.0.2.256\n")
    site.add_dns("ns2", lambda config: config.update(
        {"listen": [f"0.0.0.0:{config['listen'][0].rpartition(':')[2]}"],
         "zones": {**config["zones"], "broken.example": str(site.path("broken.zone"))}}))
    for edge in ("us-east-1", "eu-west-1", "ap-northeast-1"):
        site.add_fake_edge(edge)
    return site.start()


def ask(site, data, tcp=False):
    """The answer to bytes, read strictly."""
    answer = site.dns.client.raw(data, tcp=tcp)
    check(answer is not None, "no answer")
    return dns.message.from_wire(answer)


def rcode_of(message):
    return dns.rcode.to_text(message.rcode())


def rcode_in(answer):
    return answer[3] & 15


def name_at(answer, at):
    """Where a name in an answer ends, and whether it holds a compression pointer."""
    while answer[at] != 0:
        if answer[at] >= 0xc0:
            return at + 2, True
        at += 1 + answer[at]
    return at + 1, False


@case
def every_check_has_a_test():
    result = subprocess.run([TOP / "tests/lib/list-checks", "dns"], capture_output=True, text=True, check=False)
    check_equal(result.returncode, 0, result.stdout)


@case
def check_01_unknown_edns_version_is_badvers(site):
    got = ask(site, packet(opt(version=1)))
    check_equal((rcode_of(got), got.edns, len(got.answer)), ("BADVERS", 0, 0))


@case
def check_02_opt_in_every_answer_to_one_that_has_it(site):
    for body in (question(), question("no.example.com"), question("example.invalid"),
                 question(rdclass=4), question(rdtype=NXNAME), question("x.sub.example.com")):
        check_equal(ask(site, packet(opt(), body=body)).edns, 0)
        check_equal(ask(site, packet(body=body)).edns, -1)


@case
def check_03_two_opts_or_an_owner_are_formerr(site):
    for data in (packet(opt(), opt()), packet(opt(owner=b"\1x\0"))):
        check_equal(rcode_in(site.dns.client.raw(data)), 1)


@case
def check_04_unknown_options_and_flags_are_ignored(site):
    got = ask(site, packet(opt(option(65001, b"hello"), option(100), flags=0x7fff)))
    check_equal((rcode_of(got), list(got.options), got.ednsflags), ("NOERROR", [], 0))


@case
def check_05_payload_sizes(site):
    """Below 512 means 512; above 1232 our own limit holds; the kernel may fragment."""
    check(ask(site, packet(opt(payload=100), body=question("fat.example.com", MX))).answer, "512 hold it")
    got = site.dns.client.raw(packet(opt(payload=65535), body=question("big60.example.com", TXT)))
    check(len(got) <= 1232 and got[2] & 2, "truncated above 1232")


@case
def check_06_do_is_copied(site):
    check_equal([ask(site, packet(opt(flags=flags))).ednsflags for flags in (0, 0x8000)], [0, 0x8000])


@case
def check_07_opcodes_responses_and_runts(site):
    """Opcodes that name no service here are NOTIMP; a response or half a header gets none."""
    for opcode in (1, 2, 3, 5, 6, 15):
        check_equal(rcode_in(site.dns.client.raw(packet(opcode=opcode))), 4, f"opcode {opcode}")
    for data in (packet(flags=0x8000), b"\0" * 11):
        check_equal(site.dns.client.raw(data, timeout_s=0.2), None)


@case
def check_08_number_of_questions(site):
    check_equal(rcode_in(site.dns.client.raw(packet(body=question() * 2, counts=(2, 0, 0, 0)))), 1)
    check_equal(rcode_in(site.dns.client.raw(packet(body=b"", counts=(0, 0, 0, 0)))), 1)
    got = ask(site, packet(opt(option(COOKIE, b"12345678")), body=b"", counts=(0, 0, 0, 1)))
    check_equal((rcode_of(got), len(got.question)), ("NOERROR", 0))


@case
def check_09_header_bits(site):
    """RD comes back; RA, Z, AD and CD do not, and change nothing."""
    for flags, back in ((0, 0x8400), (0x100, 0x8500), (0x80, 0x8400), (0x40, 0x8400), (0x20, 0x8400),
                        (0x10, 0x8400)):
        got = site.dns.client.raw(packet(flags=flags))
        check_equal(struct.unpack("!H", got[2:4])[0], back, f"flags {flags:#x}")
        check_equal(struct.unpack("!H", got[6:8])[0], 1, "an answer")


@case
def check_10_types(site):
    for rdtype in (65280, 99, 256):
        got = ask(site, packet(body=question(rdtype=rdtype)))
        check_equal((rcode_of(got), [str(r.name) for r in got.authority]), ("NOERROR", ["example.com."]))
    for rdtype in (128, 129, 249, 253, 254):
        check_equal(rcode_in(site.dns.client.raw(packet(body=question(rdtype=rdtype)))), 1)
    check_equal(ede_of(ask(site, packet(opt(), body=question(rdtype=NXNAME))))[0], 30)


@case
def check_11_what_is_not_served_is_refused(site):
    for body in (question("example.invalid"), question("."), question("com"), question(rdclass=3),
                 question(rdclass=4), question(rdclass=255)):
        got = ask(site, packet(opt(), body=body))
        check_equal((rcode_of(got), len(got.authority), got.edns), ("REFUSED", 0, 0))


@case
def check_14_keepalive(site):
    asked = packet(opt(option(KEEPALIVE)))
    check_equal([int(o.otype) for o in ask(site, asked, tcp=True).options], [KEEPALIVE])
    check_equal(list(ask(site, asked).options), [], "never by UDP")
    check_equal(list(ask(site, packet(opt()), tcp=True).options), [], "never unasked")


@case
def check_15_truncation(site):
    """TC for what is required alone, and nothing half."""
    got = ask(site, packet(opt(), body=question("big60.example.com", TXT)))
    check_equal((bool(got.flags & dns.flags.TC), len(got.answer), got.edns), (True, 0, 0))
    got = ask(site, packet(body=question("x.cut.example.com")))
    check(got.flags & dns.flags.TC, "glue is required")
    got = ask(site, packet(body=question("fat.example.com", MX)))
    check_equal((bool(got.flags & dns.flags.TC), len(records_of(got))), (False, 20))
    check(len(records_of(got, "additional")) < 20, "addresses of exchanges are not")


@case
def check_25_case_of_the_question_comes_back(site):
    asked = "sTaTiC.eXaMpLe.CoM"
    got = site.dns.client.raw(packet(body=question(asked)))
    check_equal(got[12:12 + len(asked) + 6], question(asked), "byte by byte")
    check_equal(str(dns.message.from_wire(got).answer[0].name), asked + ".", "and the answer points there")


@case
def check_26_names_on_the_wire(site):
    for body in (b"\xc0\x0c\0\1\0\1", b"\xc0\xff\0\1\0\1", b"\x40" + b"a" * 64 + b"\0\0\1\0\1",
                 (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1", b"\3www\7example"):
        check_equal(rcode_in(site.dns.client.raw(packet(body=body))), 1)
    for name, rdtype, fixed in (("srv", SRV, 6), ("naptr", NAPTR, 8)):
        asked = question(f"{name}.example.com", rdtype)
        got = site.dns.client.raw(packet(body=asked))
        at = 12 + len(asked) + 12 + fixed
        check_equal(name_at(got, at)[1], False, f"no compression within {name.upper()}")


@case
def check_27_answers_come_from_where_the_query_went(site):
    """Of a socket on all addresses, too; a connected client hears nobody else."""
    node = site.dns_nodes[1]
    for host in ("127.0.0.1", "127.1.2.3"):
        check_equal(DnsClient(host, node.port).raw(packet())[3] & 15, 0, host)


@case
def check_28_any_is_small(site):
    for tcp in (False, True):
        got = ask(site, packet(body=question(rdtype=ANY)), tcp)
        check_equal((rcode_of(got), len(got.answer)), ("NOERROR", 1))
        got = ask(site, packet(body=question("only.example.com", ANY)), tcp)
        check_equal(str(got.answer[0][0]), '"RFC8482" ""')


@case
def check_29_ecs_is_echoed(site):
    for name in ("www.example.com", DEFAULT_NAME, "no.example.com", "example.invalid"):
        got = ecs_of(site.dns.query(name, subnet=EU))
        check_equal((got.family, got.srclen, got.address), (1, 24, "185.2.100.0"))
        check_equal(ecs_of(site.dns.query(name)), None, "and never unasked")


@case
def check_30_malformed_ecs_is_formerr(site):
    for data in (ecs(0, 0, b""), ecs(3, 8, b"\1"), ecs(1, 24, b"\1\2"), ecs(1, 24, b"\1\2\3\4"),
                 ecs(1, 20, b"\1\2\x3f"), ecs(1, 33, b"\1\2\3\4\0"), ecs(2, 129, b"\0" * 17),
                 ecs(1, 24, b"\1\2\3", scope=24)):
        check_equal(rcode_of(ask(site, packet(opt(data)))), "FORMERR")


@case
def check_31_ecs_scope_0(site):
    for name, rdtype in ((DEFAULT_NAME, "A"), ("example.com", "SOA"), ("example.com", "NS"),
                         ("x.sub.example.com", "A"), ("no.example.com", "A"), ("www.example.com", "TXT")):
        check_equal(ecs_of(site.dns.query(name, rdtype, subnet=EU)).scopelen, 0, name)
    got = site.dns.query("www.example.com", subnet="0.0.0.0/0")
    check_equal((rcode_of(got), ecs_of(got).scopelen), ("NOERROR", 0))


@case
def check_32_ecs_answers_do_not_overlap(site):
    """Whoever lies in the scope that an answer names gets the same answer and the same scope."""
    for subnet in (EU, "8.8.8.0/24", "133.11.0.0/24", "10.0.0.0/24", "1.0.0.0/24"):
        got = site.dns.query("www.example.com", subnet=subnet)
        scope = ecs_of(got).scopelen
        check(scope > 0, "tailored")
        first = struct.unpack("!I", bytes(map(int, subnet.split("/")[0].split("."))))[0]
        first &= -1 << 32 - scope & 0xffffffff
        for offset in (0, (1 << 32 - scope) - 1, (1 << 32 - scope) // 3):
            address = ".".join(map(str, struct.pack("!I", first + offset)))
            other = site.dns.query("www.example.com", subnet=f"{address}/32")
            check_equal(addresses_of(other), addresses_of(got), address)
            check_equal(ecs_of(other).scopelen, scope, address)


@case
def check_33_ecs_survives_truncation(site):
    got = ask(site, packet(opt(ecs(2, 128, b"\x20" * 16)), body=question("big60.example.com", TXT)))
    check_equal((bool(got.flags & dns.flags.TC), ecs_of(got).srclen), (True, 128))


@case
def check_39_cookies(site):
    """One comes back, in the common layout, with every RCODE; a length that is none is FORMERR."""
    def cookie(*how, **more):
        return [o.to_wire() for o in ask(site, packet(opt(option(COOKIE, *how)), **more)).options]
    got = cookie(b"12345678")
    check_equal([(len(c), c[:12]) for c in got], [(24, b"12345678\1\0\0\0")])
    check_equal(cookie(got[0]), got, "a good one stays")
    check_equal(len(cookie(b"12345678", body=question("example.invalid"))[0]), 24)
    for n in (0, 7, 9, 15, 41):
        check_equal(rcode_in(site.dns.client.raw(packet(opt(option(COOKIE, b"x" * n))))), 1, f"{n} bytes")


@case
def check_40_errors_are_explained(site):
    """Only to those who speak EDNS, and never at the price of TC."""
    for how, code in (({"body": question("example.invalid")}, 20), ({"body": question(rdclass=4)}, 21),
                      ({"body": question(rdclass=3)}, 20), ({"opcode": 2}, 21),
                      ({"body": question(rdtype=252)}, 21), ({"body": question(rdtype=253)}, 30)):
        check_equal(ede_of(ask(site, packet(opt(), **how)))[0], code, str(how))
        check_equal(ask(site, packet(**how)).edns, -1)
    got = ask(site, packet(opt(), body=question("example.com", 252)), tcp=True)
    check_equal((rcode_of(got), ede_of(got)[0]), ("REFUSED", 18), "a transfer that is not allowed")
    got = site.dns_nodes[1].query("x.broken.example")
    check_equal((rcode_of(got), ede_of(got)[0]), ("SERVFAIL", 24), "a zone that could not be read")
    site.fakes[0].say(can_serve=False)
    wait_until(lambda: not site.dns.addresses("us.example.com"), "the service to be down")
    code, text = ede_of(site.dns.query("us.example.com"))
    check_equal((code, "every edge" in text), (0, True))
    site.fakes[0].say(can_serve=True)
    wait_until(lambda: site.dns.addresses("us.example.com"), "it to come back")
    long = ".".join(["a" * 61] * 4)
    got = site.dns.client.raw(packet(opt(payload=512), body=question(long)))
    check_equal((got[2] & 2, rcode_in(got)), (0, 5))


@case
def check_41_no_padding_in_the_clear(site):
    for tcp in (False, True):
        check_equal(list(ask(site, packet(opt(option(PADDING, b"\0" * 50))), tcp).options), [])


@case
def check_42_nsid(site):
    def told(*options):
        return [o.to_wire() for o in ask(site, packet(opt(*options))).options]
    check_equal(told(option(NSID)), [b"ns1.ams"])
    check_equal(told(option(NSID, b"what it holds is nobody's business")), [b"ns1.ams"])
    check_equal(told(), [])


@case
def check_46_https_and_addresses_agree(site):
    """Beside HTTPS stand the addresses that the client would be given for A and AAAA, and the scope
    says so."""
    for subnet in (EU, "8.8.8.0/24"):
        got = site.dns.query("www.example.com", "HTTPS", subnet=subnet)
        beside = {r.split()[-1] for r in records_of(got, "additional")}
        want = set()
        for rdtype in ("A", "AAAA"):
            answer = site.dns.query("www.example.com", rdtype, subnet=subnet)
            want |= addresses_of(answer, rdtype)
        check_equal((beside, ecs_of(got).scopelen), (want, ecs_of(answer).scopelen), subnet)


@case
def check_47_families_agree_on_the_site(site):
    """A and AAAA of one client name the same region."""
    for subnet, region in ((EU, "1"), ("8.8.8.0/24", "2"), ("133.11.0.0/24", "3")):
        v4 = site.dns.addresses("www.example.com", "A", subnet=subnet)
        v6 = site.dns.addresses("www.example.com", "AAAA", subnet=subnet)
        check(f"127.0.0.1{region}" in v4 and f"fd00::1{region}" in v6, f"{subnet}: {v4} and {v6}")


@case
def check_48_several_addresses(site):
    """Resolvers get all addresses of a site that an answer may hold."""
    for _ in range(8):
        check_equal(len(site.dns.addresses("www.example.com", subnet=EU)), 3)
    orders = {tuple(r.address for r in site.dns.query("many.example.com").answer[0])
              for _ in range(60)}
    check(len(orders) > 4, "shuffled, not only turned")


if __name__ == "__main__":
    sys.exit(main(build))
