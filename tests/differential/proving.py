# SPDX-License-Identifier: BSD-2-Clause
"""Every answer of a signed zone must prove itself: the validator of single answers over all that was
collected, and resolvers that validate over a sample."""

import re

import dns.exception
import dns.message
import dns.name
import dns.rcode

from differential.differences import zone_of
from differential.message import TYPES, labels_of
from dnssec_proof import SignedZone
from validators import delv, fetch_dnskeys, find_tool, start_unbound

RD = 0x100
MANY_LABELS = 60    # unbound closes the connection on some names of more
N_SAMPLED = {"unbound": 300, "delv": 25}
# What a resolver cannot be asked for, or will not pass on.
UNASKABLE = {TYPES[name] for name in ("ANY", "RRSIG", "NSEC3", "TYPE0", "TKEY", "TSIG", "OPT", "AXFR", "IXFR",
                                      "MAILA", "MAILB", "NXNAME", "DS", "SIG", "KEY", "NXT")}


class Prover:
    """The keys of all signed zones, as the server under test publishes them."""

    def __init__(self, client, apexes, signed):
        """apexes: of all zones that are served, as text; signed: those among them with keys."""
        names = {apex: dns.name.from_text(apex) for apex in apexes}
        self.anchors = {apex: fetch_dnskeys(client, apex) for apex in signed}
        self.zones = {}
        for apex, keys in self.anchors.items():
            below = [name for name in names.values() if name != names[apex] and name.is_subdomain(names[apex])]
            self.zones[names[apex].to_wire().lower()] = SignedZone(names[apex], keys, elsewhere=below)

    def zone_for(self, query):
        """The zone whose keys count: for DS at an apex, the parent's."""
        name = query.name.lower()
        apex = zone_of(name)
        if query.rdtype == TYPES["DS"] and apex == name:
            above = zone_of(name[1 + name[0]:]) if name != b"\0" else b"\0"
            apex = above if above != b"\0" else apex
        return self.zones.get(apex)

    def faults_of(self, query, answer):
        """What is wrong with the proofs in an answer; [] too where none is due."""
        zone = self.zone_for(query)
        if zone is None or answer is None or not query.edns or not query.edns["do"]:
            return []
        try:
            return zone.faults_of(dns.message.from_wire(answer.packet, question_only=False))
        except dns.exception.DNSException as error:
            return [f"dnspython cannot read it: {error!r}"]


def prove(findings, prover, name, asked):
    """All collected answers of one server; returns how many there were to prove."""
    n = 0
    for query, answer in asked:
        if query.traits or answer is None:
            continue
        n += prover.zone_for(query) is not None and bool(query.edns and query.edns["do"])
        for fault in prover.faults_of(query, answer):
            # Without the names, which would make every fault a kind of its own.
            kind = re.sub(r"\S*\.(?=\s|$|,)", "NAME", fault)
            findings.add(f"{name}: no proof: {kind}", query, **{name.split()[0]: answer})
    return n


def is_askable(query, answer):
    return (answer is not None and not query.traits and query.rdtype not in UNASKABLE and query.rdclass == 1
            and len(labels_of(query.name)) < MANY_LABELS and answer.rcode in (0, 3) and "tc" not in answer.flags and "aa" in answer.flags
            and not any(rdtype in (TYPES["CNAME"], TYPES["DNAME"]) for _, rdtype, _ in answer.sections["answer"]))


def is_doubtful_for_delv(answer):
    """Below an opt-out span all is insecure, and under additional iterations delv takes it for so
    (RFC 9276 section 3.2): it then looks for a DS at every name."""
    return any(rdtype == TYPES["NSEC3"] and any(rdata[1] & 1 or rdata[2:4] != b"\0\0" for rdata in rdatas)
               for (_, rdtype, _), (_, rdatas) in answer.sections["authority"].items())


def sample(rng, prover, asked, n):
    """Of each zone some, without chains, which can lead to where no resolver of ours finds anything."""
    fit = [(query, answer) for query, answer in asked
           if prover.zone_for(query) is not None and is_askable(query, answer)]
    return rng.sample(fit, min(n, len(fit)))


def ask_validators(findings, site, rng, prover, port, asked):
    """A sample through unbound, which must not find it bogus and come to the same RCODE, and through
    delv. Returns how many questions they had."""
    if not prover.anchors:
        return 0
    # It would make NXDOMAIN of its own from the NSEC over a wildcard that is an empty non-terminal.
    more = "target-fetch-policy: \"0 0 0 0 0\"\n  outgoing-range: 64\n  aggressive-nsec: no\n"
    anchors = list(prover.anchors.values())
    resolver = start_unbound(site, "unbound", {apex.rstrip("."): port for apex in prover.anchors}, anchors, more)
    asked_unbound = sample(rng, prover, asked, N_SAMPLED["unbound"])
    for query, answer in asked_unbound:
        name = dns.name.from_wire(query.name, 0)[0]
        try:
            got = resolver.query(name, query.rdtype, flags=RD, dnssec=True, tcp=True, timeout_s=20)
        except (EOFError, OSError) as error:
            findings.add(f"unbound: no answer: {error!r}", query, ours=answer)
            continue
        if got.rcode() != answer.rcode:
            findings.add(f"unbound: {dns.rcode.to_text(got.rcode())} for what we answer with "
                         f"{dns.rcode.to_text(answer.rcode)}", query, ours=answer)
    find_tool("delv", "bind9-dnsutils")
    asked_delv = sample(rng, prover, [(query, answer) for query, answer in asked
                                      if answer is not None and not is_doubtful_for_delv(answer)], N_SAMPLED["delv"])
    for query, answer in asked_delv:
        zone = prover.zone_for(query)
        anchor = zone.keys_rrset
        said = delv(site, port, anchor, dns.name.from_wire(query.name, 0)[0].to_text(), f"TYPE{query.rdtype}")
        if "validated" not in said and "unsigned" not in said:
            findings.add("delv: " + " ".join(line for line in said.splitlines() if line.startswith(";;"))[:60],
                         query, ours=answer)
    return len(asked_unbound) + len(asked_delv)
