# SPDX-License-Identifier: BSD-2-Clause
"""The comparison: everybody is asked, the answers are held against each other and against what no
answer may be."""

import collections
import dataclasses

from differential.differences import is_below, judge
from differential.message import TYPES, Answer, Malformed, name_text, type_text
from differential.servers import PAYLOAD
from differential.transport import WINDOW

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
