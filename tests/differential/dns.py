#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""gslb-dns beside NSD, Knot and BIND: the same zones, the same queries, the same answers?

    SEED=N COUNT=N dns.py [NAME...]    NAME: peers to compare with, all that are installed by default

Every difference must be one that differences.py lists with its reason; anything else is shown, one
example for each kind, and fails the test. Beside that, each of our answers must be well formed, be
the same over UDP and TCP, and be truncated only where it does not fit.
"""

import collections
import dataclasses
import os
import pathlib
import random
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
# Without the script's own folder, where this file would be taken for dnspython.
sys.path[:1] = [str(TESTS), str(TESTS / "lib")]
from differential.differences import APEXES, KNOWN, is_below, judge  # noqa: E402
from differential.message import TYPES, Answer, Malformed, name_text, type_text  # noqa: E402
from differential.queries import Generator  # noqa: E402
from differential.servers import PAYLOAD, PEERS, Ours  # noqa: E402
from differential.transport import WINDOW, Asker  # noqa: E402
from differential.zones import make_zones  # noqa: E402
from gslbtest import cleanups  # noqa: E402
from site_under_test import Site  # noqa: E402

SEED = int(os.environ.get("SEED", "1"))
COUNT = int(os.environ.get("COUNT", "20000"))
N_RANDOM_ZONES = 12
SHOWN = 2  # examples of each kind of difference


class Findings:
    """Differences by kind, with examples; how often each known one was met."""

    def __init__(self):
        self.examples, self.counts = collections.defaultdict(list), collections.Counter()
        self.used = collections.Counter()

    def add(self, kind, query, **answers):
        self.counts[kind] += 1
        if len(self.examples[kind]) < SHOWN:
            self.examples[kind].append((query, answers))

    def show(self):
        for kind, n in self.counts.most_common():
            print(f"FAIL {kind}: {n} times")
            for query, answers in self.examples[kind]:
                print(f"  {show_query(query)}")
                for name, answer in answers.items():
                    print(f"    {name:8} " + str(answer or "no answer").replace("\n", "\n             "))


def show_query(query):
    traits = " ".join(sorted(query.traits))
    return (f"{name_text(query.name)} {type_text(query.rdtype)} class {query.rdclass} "
            f"{'TCP' if query.tcp else 'UDP'} edns={query.edns} {traits}\n"
            f"    packet 0000{query.packet.hex() if query.traits or len(query.packet) < 60 else '…'}")


def read(packet):
    return None if packet is None else Answer(packet)


def check_ours(findings, query, ours):
    """What needs no peer to be wrong."""
    if ours is None:
        return
    for oddity in ours.oddities:
        findings.add(f"ours alone: {oddity}", query, ours=ours)
    if ours.question and ours.question != query.packet[10:10 + len(ours.question)]:
        findings.add("ours alone: the question is not echoed as it came", query, ours=ours)
    if not query.traits and not query.tcp and ours.n_bytes > udp_limit(query):
        findings.add("ours alone: an answer above the client's size", query, ours=ours)
    if "tc" in ours.flags and not ours.is_empty():
        findings.add("ours alone: a truncated answer that is not empty", query, ours=ours)


def essential_bytes(answer):
    """The message without the additional data that may be left out: addresses, whose owner is a
    pointer, but for glue below the cut in a referral."""
    cuts = [owner for owner, rdtype, _ in answer.sections["authority"] if rdtype == TYPES["NS"]]
    return answer.n_bytes - sum(
        12 + len(rdata) for (owner, _, _), (_, rdatas) in answer.sections["additional"].items()
        if not any(is_below(owner, cut) for cut in cuts) for rdata in rdatas)


def udp_limit(query):
    return min(max(512, query.edns["size"] if query.edns else 0), PAYLOAD)


def check_transports(findings, asker, asked):
    """What UDP answered, TCP must answer too; TC is right only where the whole does not fit."""
    udp = [(query, ours) for query, ours in asked if not query.tcp and not query.traits and ours]
    for start in range(0, len(udp), WINDOW):
        part = udp[start:start + WINDOW]
        for (query, ours), packet in zip(part, asker.ask([over_tcp(query) for query, _ in part])):
            whole = read(packet)
            if whole is None or "tc" in whole.flags or whole.rcode != ours.rcode and "tc" not in ours.flags:
                findings.add("ours alone: TCP says something else than UDP", query, udp=ours, tcp=whole)
            elif "tc" not in ours.flags:
                if any(whole.sections[s] != ours.sections[s] for s in ("answer", "authority")):
                    findings.add("ours alone: TCP holds something else than UDP", query, udp=ours, tcp=whole)
            elif essential_bytes(whole) <= udp_limit(query):
                findings.add("ours alone: truncated, and yet the whole answer fits", query, udp=ours,
                             tcp=whole)


def over_tcp(query):
    return dataclasses.replace(query, tcp=True)


def compare(findings, query, ours, answers):
    for peer, theirs in answers.items():
        left, used = judge(peer, query, ours, theirs)
        for row in used:
            findings.used[row.name, peer] += 1
        if left:
            trait = " ".join(sorted(query.traits)) or "ordinary"
            kind = f"{peer}: {' '.join(sorted(left))} ({trait})"
            findings.add(kind, query, ours=ours, **{peer: theirs})


def ask_all(findings, askers, queries):
    """Asks everybody and compares; returns [(query, our answer)], and what to ask again by TCP."""
    asked, truncated = [], []
    for start in range(0, len(queries), WINDOW):
        part = queries[start:start + WINDOW]
        packets = {name: asker.ask(part) for name, asker in askers.items()}
        for i, query in enumerate(part):
            answers = {}
            for name in askers:
                try:
                    answers[name] = read(packets[name][i])
                except Malformed as error:
                    findings.add(f"{name}: malformed answer: {error}", query)
            if "ours" not in answers:
                continue
            ours = answers.pop("ours")
            check_ours(findings, query, ours)
            compare(findings, query, ours, answers)
            asked.append((query, ours))
            if not query.tcp and not query.traits and any(
                    answer and "tc" in answer.flags for answer in [ours, *answers.values()]):
                truncated.append(over_tcp(query))
    return asked, truncated


def choose_peers():
    peers, wanted = [], sys.argv[1:] or [peer.name for peer in PEERS]
    unknown = set(wanted) - {peer.name for peer in PEERS}
    if unknown:
        sys.exit(f"no peer {', '.join(unknown)}; they are {', '.join(peer.name for peer in PEERS)}")
    for peer in PEERS:
        if peer.name not in wanted:
            continue
        if peer.is_installed():
            peers.append(peer)
        else:
            print(f"skipped {peer.name}: not installed (Debian package {peer.package})")
    return peers


def run(site, peers):
    rng = random.Random(SEED)
    zones = make_zones(rng, N_RANDOM_ZONES)
    site.path("zones").mkdir()
    files = {apex: site.path("zones") / f"{apex}zone" for apex in zones}
    for apex, text in zones.items():
        files[apex].write_text(text)
    servers = {"ours": Ours(site, files).start()}
    servers.update({peer.name: peer(site, files).start() for peer in peers})

    generator = Generator(rng, zones)
    APEXES.update(apex.lower() for apex in generator.apexes)
    sentinel = generator._make(b"\7example\0", TYPES["SOA"], None).packet
    askers = {name: Asker(server, sentinel) for name, server in servers.items()}
    started, findings = time.monotonic(), Findings()
    queries = [generator.query() for _ in range(COUNT)]
    asked, truncated = ask_all(findings, askers, [query for query in queries if not query.tcp])
    ask_all(findings, askers, truncated + [query for query in queries if query.tcp])
    check_transports(findings, askers["ours"], asked)
    for asker in askers.values():
        asker.close()
    site.stop()
    report(findings, zones, queries, [peer.name for peer in peers], time.monotonic() - started)
    return not findings.counts


def report(findings, zones, queries, peers, seconds):
    print("known differences:")
    for row in KNOWN:
        met = {peer: findings.used[row.name, peer] for peer in peers if findings.used[row.name, peer]}
        print(f"  {row.name}: {' '.join(f'{peer} {n}' for peer, n in met.items()) or 'not met'}")
    findings.show()
    print(f"{len(queries)} queries to {len(zones)} zones, compared with {', '.join(peers)}, seed {SEED}, "
          f"{seconds:.0f} s: {len(findings.counts)} kinds of unknown differences")


def main():
    peers = choose_peers()
    if not peers:
        print("skipped: there is nothing to compare with; install nsd, knot or bind9")
        return
    try:
        with Site() as site:
            has_passed = run(site, peers)
    finally:
        for clean_up in cleanups:
            clean_up()
    sys.exit(0 if has_passed else 1)


main()
