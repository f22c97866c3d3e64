# SPDX-License-Identifier: BSD-2-Clause
"""DNS messages: queries made byte by byte, answers read into a form that can be compared.

The decoder is our own, because dnspython normalises away what is to be compared (several RRsets of
one name, bytes behind the message, two OPT) and takes ten times as long. Names are wire form in
lower case, also inside RDATA.
"""

import string
import struct

import dns.name
import dns.rcode
import dns.rdatatype

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "NULL": 10, "PTR": 12, "HINFO": 13, "MX": 15, "TXT": 16,
         "RP": 17, "AFSDB": 18, "SIG": 24, "KEY": 25, "AAAA": 28, "LOC": 29, "NXT": 30, "SRV": 33,
         "NAPTR": 35, "CERT": 37, "DNAME": 39, "OPT": 41, "DS": 43, "SSHFP": 44, "RRSIG": 46, "NSEC": 47,
         "DNSKEY": 48, "NSEC3": 50, "NSEC3PARAM": 51, "TLSA": 52, "SVCB": 64, "HTTPS": 65, "SPF": 99,
         "NXNAME": 128, "TKEY": 249, "TSIG": 250, "IXFR": 251, "AXFR": 252, "MAILB": 253, "MAILA": 254,
         "ANY": 255, "URI": 256, "CAA": 257, "TYPE0": 0, "TYPE65280": 65280, "TYPE65535": 65535}
OPT, RRSIG = TYPES["OPT"], TYPES["RRSIG"]

# type → (bytes before the first name, names). Beyond those that may be compressed, some whose case
# not every server keeps.
NAMES_IN_RDATA = {2: (0, 1), 5: (0, 1), 6: (0, 2), 12: (0, 1), 15: (2, 1), 17: (0, 2), 18: (2, 1),
                  33: (6, 1), 36: (2, 1), 39: (0, 1), 46: (18, 1), 47: (0, 1), 64: (2, 1), 65: (2, 1)}
AA, TC, RD, RA, Z, AD, CD = 0x400, 0x200, 0x100, 0x80, 0x40, 0x20, 0x10
FLAGS = {"aa": AA, "tc": TC, "rd": RD, "ra": RA, "z": Z, "ad": AD, "cd": CD}
PLAIN = frozenset(string.ascii_letters + string.digits + "-_*")
SECTIONS = ("answer", "authority", "additional")


class Malformed(Exception):
    """An answer that is no DNS message."""


def read_name(packet, at, end=None):
    """(the name in lower-case wire form, the offset behind it)"""
    out, behind, limit = bytearray(), None, at
    while True:
        if at >= len(packet):
            raise Malformed("a name goes past the end")
        n = packet[at]
        if n >= 0xc0:
            if at + 1 >= len(packet):
                raise Malformed("a pointer goes past the end")
            behind = behind or at + 2
            at = (n & 0x3f) << 8 | packet[at + 1]
            if at >= limit:
                raise Malformed("a pointer does not lead backwards")
            limit = at
            continue
        if n > 63:
            raise Malformed("a label of no known kind")
        out += packet[at:at + 1 + n]
        at += 1 + n
        if len(out) > 255:
            raise Malformed("a name is too long")
        if n == 0:
            return bytes(out).lower(), behind or at


def _layout(packet, rdtype, at, end):
    """(bytes before the first name, names) of RDATA, or None."""
    if rdtype != TYPES["NAPTR"]:
        return NAMES_IN_RDATA.get(rdtype)
    fixed = 4
    for _ in range(3):
        fixed += 1 + packet[at + fixed] if at + fixed < end else 1
    return fixed, 1


def _read_rdata(packet, rdtype, at, end):
    layout = _layout(packet, rdtype, at, end)
    if layout is None or at == end:
        return packet[at:end]
    fixed, names = layout
    out = packet[at:at + fixed]
    at += fixed
    for _ in range(names):
        name, at = read_name(packet, at)
        out += name
    if at > end:
        raise Malformed("a name goes past its RDATA")
    return out + packet[at:end]


class Answer:
    """One answer: .id .opcode .flags .rcode .question (bytes) .sections .edns (None or dict)
    .n_bytes .packet. A section is {(owner, type, class): (TTL, frozenset of RDATA)}, where an RRSIG
    has the type that it covers above its class; .oddities lists what no answer should have."""

    def __init__(self, packet):
        if len(packet) < 12:
            raise Malformed("shorter than a header")
        self.n_bytes, self.oddities, self.packet = len(packet), [], packet
        self.id, bits, *self.counts = struct.unpack_from("!6H", packet)
        self.opcode, self.rcode = bits >> 11 & 15, bits & 15
        self.flags = {name for name, bit in FLAGS.items() if bits & bit}
        if not bits & 0x8000:
            self.oddities.append("QR is clear")
        self.edns, self.sections = None, {}
        at = 12
        for _ in range(self.counts[0]):
            at = read_name(packet, at)[1] + 4
        self.question = packet[12:at]
        for section, n in zip(SECTIONS, self.counts[1:]):
            at = self._read_section(packet, section, n, at)
        if at != len(packet):
            self.oddities.append(f"{len(packet) - at} bytes behind the message")

    def _read_section(self, packet, section, n, at):
        sets, closed, last = {}, set(), None
        for _ in range(n):
            owner, at = read_name(packet, at)
            if at + 10 > len(packet):
                raise Malformed("a record goes past the end")
            rdtype, rdclass, ttl, length = struct.unpack_from("!HHIH", packet, at)
            at += 10
            if at + length > len(packet):
                raise Malformed("RDATA goes past the end")
            rdata = _read_rdata(packet, rdtype, at, at + length)
            at += length
            if rdtype == OPT:
                self._read_opt(section, owner, rdclass, ttl, rdata)
                continue
            if rdtype == RRSIG and length > 2:
                rdclass |= struct.unpack_from("!H", rdata)[0] << 16
            key = (owner, rdtype, rdclass)
            if key != last and key in closed:
                self.oddities.append("an RRset in two pieces")
            closed.add(key)
            last = key
            seen_ttl, seen = sets.setdefault(key, (ttl, []))
            if seen_ttl != ttl:
                self.oddities.append("an RRset with two TTLs")
            if rdata in seen:
                self.oddities.append(f"a record twice in {section}")
            seen.append(rdata)
        self.sections[section] = {key: (ttl, frozenset(rdatas)) for key, (ttl, rdatas) in sets.items()}
        return at

    def _read_opt(self, section, owner, payload, ttl, rdata):
        if self.edns is not None or section != "additional" or owner != b"\0":
            self.oddities.append("an OPT that should not be there")
        options, at = [], 0
        while at + 4 <= len(rdata):
            code, length = struct.unpack_from("!HH", rdata, at)
            options.append(code)
            at += 4 + length
        if at != len(rdata):
            self.oddities.append("broken EDNS options")
        self.rcode |= ttl >> 24 << 4
        self.edns = {"size": payload, "version": ttl >> 16 & 0xff, "do": bool(ttl & 0x8000),
                     "z": ttl & 0x7fff, "options": options}

    def is_empty(self):
        return not any(self.sections.values())

    def is_referral(self):
        return (self.rcode == 0 and "aa" not in self.flags and not self.sections["answer"]
                and any(key[1] == TYPES["NS"] for key in self.sections["authority"]))

    def __str__(self):
        lines = [f"{dns.rcode.to_text(self.rcode)} opcode={self.opcode} {' '.join(sorted(self.flags))} "
                 f"edns={self.edns} {self.n_bytes} bytes"
                 + (f" ODD: {', '.join(self.oddities)}" if self.oddities else "")]
        for section, sets in self.sections.items():
            for (owner, rdtype, rdclass), (ttl, rdatas) in sets.items():
                what = f"{name_text(owner)} {ttl} {type_text(rdtype)}{class_text(rdclass)}"
                shown = sorted(rdata_text(rdtype, rdata) for rdata in rdatas)
                lines.append(f"  {section}: {what} {' | '.join(shown[:4])}"
                             + (f" … {len(shown)}" if len(shown) > 4 else ""))
        return "\n".join(lines)


def class_text(rdclass):
    covered = type_text(rdclass >> 16) if rdclass >> 16 else ""
    return f" {covered}" if covered else "" if rdclass == 1 else f" CLASS{rdclass}"


def name_text(wire):
    return dns.name.from_wire(wire, 0)[0].to_text()


def type_text(rdtype):
    return dns.rdatatype.to_text(rdtype)


def rdata_text(rdtype, rdata):
    layout = _layout(rdata, rdtype, 0, len(rdata))
    if layout is None or not rdata or len(rdata) > 300:
        return rdata[:40].hex() + ("…" if len(rdata) > 40 else "")
    name, behind = read_name(rdata, layout[0])
    return " ".join(filter(None, [rdata[:layout[0]].hex(), name_text(name), rdata[behind:].hex()]))


def name_wire(labels):
    """Wire form of a name, given its labels as bytes; the root is the empty list."""
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def labels_of(wire):
    labels, at = [], 0
    while wire[at]:
        labels.append(wire[at + 1:at + 1 + wire[at]])
        at += 1 + wire[at]
    return labels


def escape(label):
    """A label as zone files want it, RFC 1035 section 5.1."""
    return "".join(chr(c) if chr(c) in PLAIN else f"\\{c:03}" for c in label)


def text_of(labels):
    return "".join(escape(label) + "." for label in labels) or "."
