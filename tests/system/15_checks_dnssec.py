#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What toy authoritative servers get wrong in DNSSEC: of the 48 checks (15_dns_checks.py) those of
signatures and proofs of absence. The zone is signed here, and served with NSEC, with NSEC3, and with
compact denial."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.message  # noqa: E402
import dns.name  # noqa: E402
import dns.rcode  # noqa: E402
import dns.rdatatype  # noqa: E402

from dns_client import addresses_of  # noqa: E402
from dns_packets import opt, packet, question  # noqa: E402
from dnssec_proof import SignedZone, types_of  # noqa: E402
from gslbtest import (case, case_table, check, check_equal, main, run_program,  # noqa: E402
                      wait_until)
from site_under_test import Site  # noqa: E402
from validators import fetch_dnskeys  # noqa: E402

ZONE = """$ORIGIN example.com.
$TTL 1h
@       SOA   ns1 hostmaster 1 1h 15m 30d 5m
        NS    ns1
ns1     A     127.0.0.1
static  A     192.0.2.80
*.wild  TXT   "wildcard"
x.empty A     192.0.2.1
long    30d A 192.0.2.2
www     TXT   "beside the service"
sub     NS    ns.sub
ns.sub  A     192.0.2.53
"""
SOA_EXPIRE_S = LONGEST_TTL_S = 30 * 86400
A, AAAA, TXT, NS, NSEC, NSEC3, RRSIG = (dns.rdatatype.from_text(t) for t in (
    "A", "AAAA", "TXT", "NS", "NSEC", "NSEC3", "RRSIG"))
NXNAME, DO, CO = 128, 0x8000, 0x4000
EU, US = "185.2.100.0/24", "8.8.8.0/24"
CHAINS = {"nsec": "nsec", "nsec3": "nsec3"}
DENIALS = {**CHAINS, "compact": "compact"}


def build():
    site = Site()
    keys, path = site.path("keys"), site.path("signed.zone")
    path.write_text(ZONE)
    result = run_program("gslb-dns", "keygen", "-d", keys, "example.com")
    check_equal(result.returncode, 0, result.stderr)

    def edit(denial):
        def edit(config):
            config["zones"] = {"example.com": {"file": str(path), "dnssec": {"keys": str(keys), "denial": denial}}}
            config["regions"]["eu-west"]["edges"]["eu-west-2"] = ["127.0.0.21"]
            config["services"] = {"www.example.com": {"ttl": "5s"}, "only.example.com": {},
                                  "down.example.com": {"regions": ["ap-northeast"], "all-down": "nodata"}}
        return edit
    site.denying = {denial: site.add_dns(f"ns-{denial}", edit(denial)) for denial in DENIALS}
    site.reporters = {(edge, denial): site.add_fake_edge(edge, node) for denial, node in site.denying.items()
                  for edge in ("us-east-1", "eu-west-1", "eu-west-2")}
    for node in site.denying.values():
        site.add_fake_edge("ap-northeast-1", node, can_serve=False)
    site.start()
    site.zone = SignedZone("example.com", fetch_dnskeys(site.dns.client, "example.com"))
    return site


def ask(site, denial, name, rdtype="A", **how):
    """An answer that proves itself."""
    message = site.denying[denial].client.query(f"{name}.example.com", rdtype, tcp=True, dnssec=True, **how)
    check_equal(site.zone.faults_of(message), [], f"{name} {rdtype} {how}")
    return message


def sets_of(section, rdtype):
    return [rrset for rrset in section if rrset.rdtype == rdtype]


def types_denied_beside(message):
    """All types that the NSEC or NSEC3 at the question's name lists."""
    records = sets_of(message.authority, NSEC) + sets_of(message.authority, NSEC3)
    check_equal(len(records), 1, "one proof of NODATA")
    return types_of(records[0][0])


@case_table(DENIALS)
def check_28_any_is_small_and_signed(site, denial):
    """One RRset, which a validator believes, also where a name has nothing but a service."""
    for name, n in (("static", 1), ("www", 1), ("down", None), ("only", 1), ("x.wild", 1), ("sub", 0)):
        for _ in range(2):
            message = ask(site, denial, name, "ANY")
            sets = [rrset for rrset in message.answer if rrset.rdtype != RRSIG]
            check(n in (len(sets), None), f"{len(sets)} sets at {name}")


@case_table(DENIALS)
def check_34_bitmaps_list_what_a_service_could_have(site, denial):
    """A cache that answers from the bitmap (RFC 8198) would hide a family that is away for now; where
    NODATA is said of that very family, its bit has to be clear."""
    check(types_denied_beside(ask(site, denial, "www", "MX")) >= {A, AAAA, TXT}, "all of www's types")
    check(types_denied_beside(ask(site, denial, "down", "MX")) >= {A, AAAA}, "while all edges are down")
    check_equal(types_denied_beside(ask(site, denial, "down", "A")) & {A, AAAA}, {AAAA}, "NODATA of A")


@case
def check_35_compact_denial(site):
    """RFC 9824: one NSEC at the very name says by its bitmap that it does not exist; NXDOMAIN is for
    those who do not validate, or say by CO that they know better."""
    def denial_of(name, rdtype="A", **how):
        message = ask(site, "compact", name, rdtype, **how)
        proof, = sets_of(message.authority, NSEC)
        check_equal(proof.name, dns.name.from_text(f"{name}.example.com"), "the owner is the name")
        return message.rcode(), proof[0].next.to_text(), types_of(proof[0])
    for name in ("no", "x.y.no"):
        check_equal(denial_of(name), (0, f"\\000.{name}.example.com.", {NXNAME, NSEC, RRSIG}))
    check_equal(denial_of("empty"), (0, "\\000.empty.example.com.", {NSEC, RRSIG}), "an empty non-terminal")
    check_equal(denial_of("static", "TXT"), (0, "\\000.static.example.com.", {A, NSEC, RRSIG}))
    check_equal(denial_of("sub", "DS"), (0, "sub\\000.example.com.", {NS, NSEC, RRSIG}), "of a cut alone")
    client = site.denying["compact"].client
    for flags, rcode in ((0, dns.rcode.NXDOMAIN), (DO, dns.rcode.NOERROR), (DO | CO, dns.rcode.NXDOMAIN)):
        got = dns.message.from_wire(client.raw(packet(opt(flags=flags), body=question("no.example.com"))))
        check_equal((got.rcode(), got.ednsflags), (rcode, flags), f"EDNS flags {flags:#x}")


@case_table(CHAINS)
def check_36_absence_is_proved(site, denial):
    """NXDOMAIN: neither the name nor a wildcard; a wildcard's answer: not the name itself."""
    n = {"nsec": 2, "nsec3": 3}[denial]
    rdtype = {"nsec": NSEC, "nsec3": NSEC3}[denial]
    for name in ("no", "x.no", "zzz", "a.static"):
        message = ask(site, denial, name)
        check_equal(message.rcode(), dns.rcode.NXDOMAIN)
        check(1 <= len(sets_of(message.authority, rdtype)) <= n, message)
    message = ask(site, denial, "a.b.wild", "TXT")
    check_equal([s.labels for rrset in sets_of(message.answer, RRSIG) for s in rrset], [3], "labels of *.wild")
    check_equal(len(sets_of(message.authority, rdtype)), 1)
    check(len(sets_of(ask(site, denial, "a.b.wild").authority, rdtype)) >= 1, "NODATA at a wildcard")
    check_equal(ask(site, denial, "empty").rcode(), dns.rcode.NOERROR, "an empty non-terminal")
    for rrset in sets_of(ask(site, denial, "no").authority, NSEC3):
        check_equal((rrset[0].iterations, rrset[0].salt), (0, b""), "RFC 9276 section 3.1")


@case_table(DENIALS)
def check_37_times_and_ttls_of_signatures(site, denial):
    """A TTL is never above the signed one, and a signature outlives every copy of its data: for the
    longest TTL in caches, for the SOA's expire time on secondaries."""
    now = time.time()
    for name, rdtype, ttl in (("static", "A", 3600), ("www", "A", 5), ("long", "A", LONGEST_TTL_S)):
        message = ask(site, denial, name, rdtype)
        for rrset in sets_of(message.answer, RRSIG):
            check_equal(rrset.ttl, ttl)
            for rrsig in rrset:
                check_equal(rrsig.original_ttl, ttl)
                check(rrsig.inception <= now - 60, "backdated, for clocks that are late")
                check(rrsig.expiration > now + max(LONGEST_TTL_S, SOA_EXPIRE_S), f"{name} {rdtype} {rrsig}")
    message = ask(site, denial, "no")
    check_equal({rrset.ttl for rrset in message.authority}, {300}, "negative: the SOA's MINIMUM")


@case_table(DENIALS)
def check_38_each_tailored_set_has_its_own_signature(site, denial):
    def answer(subnet):
        message = ask(site, denial, "www", subnet=subnet)
        return frozenset(addresses_of(message)), frozenset(
            s.signature for rrset in sets_of(message.answer, RRSIG) for s in rrset)
    both, elsewhere = answer(EU), answer(US)
    check_equal(answer(EU), both, "the same set, the same signature, in whatever order")
    check(len(both[0]) == 2 and both[0] != elsewhere[0], "two sets of addresses")
    check(both[1] != elsewhere[1], "two signatures")
    site.reporters["eu-west-2", denial].say(can_serve=False)
    wait_until(lambda: len(answer(EU)[0]) == 1, "one edge to leave")
    check(not answer(EU)[1] & both[1], "a set with one address less is signed anew")
    site.reporters["eu-west-2", denial].say(can_serve=True)
    wait_until(lambda: answer(EU) == both, "it to come back, with the signature of before")


if __name__ == "__main__":
    sys.exit(main(build))
