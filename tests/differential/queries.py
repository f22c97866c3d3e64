# SPDX-License-Identifier: BSD-2-Clause
"""What is asked: names that exist, names near them, all types, all EDNS variants, broken packets."""

import dataclasses
import struct

import dns.name

from differential.message import (AA, AD, CD, OPT, RA, RD, TC, TYPES, Malformed, Z, labels_of,
                                  name_wire, read_name)
from differential.zones import names_of

COMMON = ["A", "A", "A", "AAAA", "MX", "NS", "TXT", "CNAME", "SOA", "SRV", "PTR", "DS"]
RARE = [*TYPES, "ANY", "ANY", "ANY"]
NEAR = [b"a", b"zz", b"*", b"www", b"ns", b"\0", b"x" * 63, b"\xff", b"A.b"]


@dataclasses.dataclass
class Query:
    packet: bytes          # without the id, which the sender sets
    name: bytes = b"\0"    # in wire form, as asked
    rdtype: int = 1
    rdclass: int = 1
    tcp: bool = False
    traits: frozenset = frozenset()  # what is unusual about it
    edns: dict = None      # version, size, do; None: no OPT

    @property
    def opcode(self):
        return self.packet[0] >> 3 & 15 if self.packet else 0


def opt_record(size=1232, version=0, flags=0, options=b"", owner=b"\0"):
    return owner + struct.pack("!HHBBHH", OPT, size, 0, version, flags, len(options)) + options


def option(code, data=b""):
    return struct.pack("!HH", code, len(data)) + data


# name → (bytes, whether FORMERR is due)
OPTIONS = {
    "option-unknown": option(65001, b"abcd"), "option-nsid": option(3), "option-empty": option(65002),
    "option-padding": option(12, bytes(31)), "option-expire": option(9),
    "option-dau": option(5, b"\x08\x0d"), "option-keytag": option(14, b"\x4a\x5c"),
    "option-chain": option(13, b"\0"), "option-two": option(65001) + option(65001, b"x" * 200),
}
BROKEN_OPTIONS = {
    "option-short": option(65001, b"abcd")[:-2], "option-stub": b"\0\3\0",
    "cookie-short": option(10, b"1234567"), "cookie-long": option(10, b"c" * 41),
    "ecs-family": option(8, b"\0\7\x18\0\x0a\1\2"), "ecs-long": option(8, b"\0\1\x18\0\x0a\1\2\3"),
    "ecs-scope": option(8, b"\0\1\x18\x18\x0a\1\2"), "ecs-bits": option(8, b"\0\1\x17\0\x0a\1\3"),
    "ecs-source": option(8, b"\0\1\x21\0\x0a\1\2\3\4"), "ecs-stub": option(8, b"\0\1"),
}


class Generator:
    """Queries for some zones. The same rng state gives the same queries. For signed zones, all are
    ordinary and most have DO set."""

    def __init__(self, rng, zones, is_signed=False):
        self.rng, self.is_signed = rng, is_signed
        self.apexes = [dns.name.from_text(apex).to_wire() for apex in zones]
        self.pools = []
        for apex, text in zones.items():
            pool = {dns.name.from_text(name).to_wire() for name in names_of(apex, text)}
            self.pools.append(sorted(pool | {above for name in pool for above in _above(name)}))

    def name(self):
        """A name that exists, or one near it."""
        rng = self.rng
        labels = labels_of(rng.choice(rng.choice(self.pools)))
        for _ in range(rng.choice([0, 0, 0, 1, 1, 1, 2])):
            labels = self._step_aside(labels)
        while len(name_wire(labels)) > 255:
            labels.pop(rng.randrange(len(labels)))
        if rng.random() < 0.3:
            labels = [bytes(c ^ 0x20 if chr(c).isascii() and chr(c).isalpha() and rng.random() < 0.5 else c
                            for c in label) for label in labels]
        return name_wire(labels)

    def _step_aside(self, labels):
        rng = self.rng
        change = rng.randrange(9)
        if change < 3 or not labels:
            return [rng.choice(NEAR), *labels]
        if change == 3:
            return [b"*", *labels]
        if change == 4:
            return [rng.choice(NEAR), *labels[1:]]
        if change == 5:
            return labels[1:]
        if change == 6:
            return [b"d"] * rng.randrange(1, 120) + labels
        if change == 7:
            return [bytes([rng.randrange(256)]) * rng.choice([1, 1, 62, 63]), *labels]
        return [labels[0][:-1] + bytes([labels[0][-1] ^ 1]), *labels[1:]]

    def query(self):
        """Most are ordinary; the rest are unusual in one way."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.72 or self.is_signed:
            return self.ordinary()
        if kind < 0.80:
            return self.with_header()
        if kind < 0.90:
            return self.with_edns()
        if kind < 0.93:
            return self.with_class_or_counts()
        return self.mutated()

    def _question(self):
        rng = self.rng
        rdtype = TYPES[rng.choice(COMMON if rng.random() < 0.75 else RARE)]
        return self.name(), rdtype

    def ordinary(self, tcp=None):
        rng = self.rng
        name, rdtype = self._question()
        edns = None
        if rng.random() < (0.9 if self.is_signed else 0.6):
            edns = {"version": 0, "do": rng.random() < (0.85 if self.is_signed else 0.2),
                    "size": rng.choice([0, 100, 512, 600, 800, 1100, 1232, 1232, 4096, 65535])}
        tcp = rng.random() < 0.2 if tcp is None else tcp
        return self._make(name, rdtype, edns, tcp=tcp, flags=rng.choice([0, 0, RD]))

    def _make(self, name, rdtype, edns, tcp=False, flags=0, options=b"", traits=(), rdclass=1, opcode=0):
        packet = struct.pack("!5H", flags | opcode << 11, 1, 0, 0, 1 if edns else 0)
        packet += name + struct.pack("!HH", rdtype, rdclass)
        if edns:
            packet += opt_record(edns["size"], edns["version"],
                                 (0x8000 if edns["do"] else 0) | edns.get("z", 0), options)
        return Query(packet, name, rdtype, rdclass, tcp, frozenset(traits), edns)

    def with_header(self):
        """Flags that a query has no business with, and other opcodes."""
        rng = self.rng
        name, rdtype = self._question()
        if rng.random() < 0.5:
            flag = rng.choice([AA, TC, RA, Z, AD, CD, AD | CD | RD | RA | Z | AA])
            return self._make(name, rdtype, None, flags=flag, traits=["flags"])
        edns = rng.choice([None, {"version": 0, "do": False, "size": 1232}])
        return self._make(name, rdtype, edns, opcode=rng.randrange(1, 16), traits=["opcode"])

    def with_edns(self):
        rng = self.rng
        name, rdtype = self._question()
        edns, options, traits = {"version": 0, "do": rng.random() < 0.3, "size": 1232}, b"", []
        kind = rng.randrange(5)
        if kind == 0:
            edns["version"] = rng.choice([1, 2, 255])
            traits = ["version"]
        elif kind == 1:
            edns["z"] = rng.choice([1, 0x4000, 0x7fff])
            traits = ["edns-z"]
        elif kind < 4:
            which = rng.choice(list(OPTIONS))
            options, traits = OPTIONS[which], [which]
        else:
            which = rng.choice(list(BROKEN_OPTIONS))
            options, traits = BROKEN_OPTIONS[which], ["broken-option", which]
        return self._make(name, rdtype, edns, options=options, traits=traits, tcp=rng.random() < 0.2)

    def with_class_or_counts(self):
        rng = self.rng
        name, rdtype = self._question()
        kind = rng.randrange(6)
        if kind < 2:
            return self._make(name, rdtype, None, rdclass=rng.choice([0, 3, 4, 254, 255, 999]),
                              traits=["class"])
        if kind == 2:
            rdclass, asked = 3, rng.choice([b"\7version\4bind\0", b"\x08hostname\4bind\0",
                                            b"\2id\6server\0", b"\7version\6server\0"])
            return self._make(asked, TYPES["TXT"], None, rdclass=rdclass, traits=["class", "chaos"])
        question = name + struct.pack("!HH", rdtype, 1)
        if kind == 3:
            packet = struct.pack("!5H", 0, 0, 0, 0, 0)
            return Query(packet, traits=frozenset(["no-question"]))
        if kind == 4:
            packet = struct.pack("!5H", 0, 2, 0, 0, 0) + 2 * question
            return Query(packet, name, rdtype, traits=frozenset(["two-questions"]))
        return self._with_records(question, name, rdtype)

    def _with_records(self, question, name, rdtype):
        """Records where a query has none: two OPT, an OPT elsewhere, data in any section."""
        rng = self.rng
        record = b"\0" + struct.pack("!HHIH", 1, 1, 60, 4) + b"\x0a\1\2\3"
        counts, records, trait = rng.choice([
            ((0, 0, 2), opt_record() * 2, "two-opt"),
            ((0, 0, 1), opt_record(owner=b"\1x\0"), "opt-owner"),
            ((1, 0, 0), opt_record(), "opt-in-answer"), ((1, 0, 0), record, "answer-in-query"),
            ((0, 1, 0), record, "authority-in-query"), ((0, 0, 1), record, "additional-in-query"),
            ((0, 0, 2), record + opt_record(), "additional-in-query"),
            ((0, 0, 0), b"trailing", "trailing"), ((0, 0, 0), opt_record(), "trailing"),
            ((0, 0, 2), opt_record(), "counts")])
        packet = struct.pack("!5H", 0, 1, *counts) + question + records
        return Query(packet, name, rdtype, traits=frozenset(["records", trait]))

    def mutated(self):
        """A query with broken bytes, behind the id."""
        rng = self.rng
        base = self.ordinary(tcp=False)
        packet = bytearray(base.packet)
        kind = rng.randrange(4)
        if kind == 0:
            del packet[rng.randrange(len(packet)):]
        elif kind == 1:
            for _ in range(rng.choice([1, 1, 2, 5])):
                packet[rng.randrange(len(packet))] = rng.randrange(256)
        elif kind == 2:
            at = rng.randrange(len(packet))
            packet[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 8)))
        else:
            at = rng.randrange(10, len(packet))
            packet[at:at + 2] = struct.pack("!H", 0xc000 | rng.randrange(40))
        return Query(bytes(packet), *_question_of(packet, base), traits=frozenset(["mutated"]))


def _question_of(packet, base):
    """Name, type and class that a broken packet still asks for, else those of the one it was."""
    try:
        name, at = read_name(packet, 10)
        return (name, *struct.unpack_from("!HH", packet, at))
    except (Malformed, struct.error):
        return base.name, base.rdtype, base.rdclass


def _above(name):
    """The names above a name, down to two labels."""
    labels = labels_of(name)
    return [name_wire(labels[i:]) for i in range(1, max(1, len(labels) - 1))]
