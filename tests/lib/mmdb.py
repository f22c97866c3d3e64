# SPDX-License-Identifier: BSD-2-Clause
"""A reader of MaxMind DB files (maxmind.github.io/MaxMind-DB), independent of libmaxminddb."""

import ipaddress
import struct

METADATA = b"\xab\xcd\xefMaxMind.com"


class Mmdb:
    def __init__(self, path):
        self.data = open(path, "rb").read()
        start = self.data.rindex(METADATA) + len(METADATA)
        self.base = start
        self.metadata = self._value(start)[0]
        self.record_bits = self.metadata["record_size"]
        self.n_nodes = self.metadata["node_count"]
        self.base = self.n_nodes * self.record_bits // 4 + 16
        self.cache = {}

    def find(self, address):
        """(record or None, length of its network in bits of the address's own family)"""
        ip = ipaddress.ip_address(address)
        bits, value = (32, int(ip)) if ip.version == 4 else (128, int(ip))
        skipped = 0
        if ip.version == 4 and self.metadata["ip_version"] == 6:
            bits, skipped = 128, 96
        node = depth = 0
        while depth < bits and node < self.n_nodes:
            node = self._child(node, value >> (bits - 1 - depth) & 1)
            depth += 1
        if node <= self.n_nodes:
            return None, max(0, depth - skipped)
        return self._record(node), max(0, depth - skipped)

    def networks(self, version):
        """(first address as int, length, record) for every network of the family with a record."""
        bits = 32 if version == 4 else 128
        root = depth = 0
        if version == 4 and self.metadata["ip_version"] == 6:
            for _ in range(96):
                root = self._child(root, 0)
        stack = [(root, 0, depth)]
        while stack:
            node, first, depth = stack.pop()
            if node > self.n_nodes:
                yield first, depth, self._record(node)
            elif node < self.n_nodes:
                # ::/96 and its alias 2002::/16 hold the IPv4 addresses again.
                if version == 6 and depth == 96 and first == 0:
                    continue
                stack.append((self._child(node, 1), first | 1 << (bits - 1 - depth), depth + 1))
                stack.append((self._child(node, 0), first, depth + 1))

    def _child(self, node, side):
        size = self.record_bits // 4
        raw = self.data[node * size:(node + 1) * size]
        if self.record_bits == 28:
            middle = raw[3]
            high = middle >> 4 if side == 0 else middle & 15
            part = raw[0:3] if side == 0 else raw[4:7]
            return high << 24 | int.from_bytes(part, "big")
        half = size // 2
        return int.from_bytes(raw[side * half:(side + 1) * half], "big")

    def _record(self, node):
        if node not in self.cache:
            self.cache[node] = self._value(self.base + node - self.n_nodes - 16)[0]
        return self.cache[node]

    def _value(self, at):
        control = self.data[at]
        at += 1
        kind = control >> 5
        if kind == 1:
            return self._pointer(control, at)
        if kind == 0:
            kind = 7 + self.data[at]
            at += 1
        size = control & 31
        if size >= 29:
            more = size - 28
            size = (29, 285, 65821)[more - 1] + int.from_bytes(self.data[at:at + more], "big")
            at += more
        if kind == 7:
            result = {}
            for _ in range(size):
                key, at = self._value(at)
                result[key], at = self._value(at)
            return result, at
        if kind == 11:
            items = []
            for _ in range(size):
                item, at = self._value(at)
                items.append(item)
            return items, at
        if kind == 14:
            return size != 0, at
        raw, at = self.data[at:at + size], at + size
        if kind == 2:
            return raw.decode(), at
        if kind == 3:
            return struct.unpack("!d", raw)[0], at
        if kind == 15:
            return struct.unpack("!f", raw)[0], at
        if kind == 4:
            return raw, at
        return int.from_bytes(raw, "big", signed=kind == 8), at

    def _pointer(self, control, at):
        more = (control >> 3 & 3) + 1
        raw = self.data[at:at + more]
        value = int.from_bytes(raw, "big")
        if more < 4:
            value |= (control & 7) << 8 * more
        value += {1: 0, 2: 2048, 3: 526336, 4: 0}[more]
        return self._value(self.base + value)[0], at + more


def write_mmdb(path, networks, version=6, record_bits=24, database_type="test-City"):
    """A database of {"192.0.2.0/24": record}; records are dicts of dicts, texts and floats. The
    longest prefix wins, wherever it stands."""
    nodes = [[None, None]]          # children: a node's index, (record,) or None
    for text, record in sorted(networks.items(), key=lambda item: int(item[0].rpartition("/")[2])):
        network = ipaddress.ip_network(text)
        value, length, bits = int(network.network_address), network.prefixlen, network.max_prefixlen
        if network.version == 4 and version == 6:
            bits, length = 128, length + 96
        _insert(nodes, value, length, bits, (record,))
    data, offsets = bytearray(), {}
    for _, record in ((None, child[0]) for node in nodes for child in node if isinstance(child, tuple)):
        if repr(record) not in offsets:
            offsets[repr(record)] = len(data)
            data += _encode(record)
    tree = bytearray()
    for node in nodes:
        values = [child if isinstance(child, int)
                  else len(nodes) if child is None
                  else len(nodes) + 16 + offsets[repr(child[0])] for child in node]
        tree += _pack_node(values, record_bits)
    metadata = {"binary_format_major_version": 2, "binary_format_minor_version": 0,
                "build_epoch": 1790000000, "database_type": database_type, "description": {},
                "ip_version": version, "languages": [], "node_count": len(nodes),
                "record_size": record_bits}
    with open(path, "wb") as out:
        out.write(tree + bytes(16) + data + METADATA + _encode(metadata))


def _insert(nodes, value, length, bits, leaf):
    node = 0
    for depth in range(length - 1):
        side = value >> (bits - 1 - depth) & 1
        child = nodes[node][side]
        if not isinstance(child, int):
            nodes.append([child, child])
            nodes[node][side] = len(nodes) - 1
        node = nodes[node][side]
    nodes[node][value >> (bits - length) & 1] = leaf


def _pack_node(values, record_bits):
    left, right = values
    if record_bits == 28:
        return (left.to_bytes(4, "big")[1:] + bytes([left >> 24 << 4 | right >> 24])
                + right.to_bytes(4, "big")[1:])
    size = record_bits // 8
    return left.to_bytes(size, "big") + right.to_bytes(size, "big")


# The metadata's numbers have types of their own: 5 is 16 bits, 6 32 bits, 9 64 bits.
KINDS = {"node_count": 6, "build_epoch": 9}


def _encode(value, kind=5):
    if isinstance(value, str):
        return _head(2, len(value.encode())) + value.encode()
    if isinstance(value, float):
        return _head(3, 8) + struct.pack("!d", value)
    if isinstance(value, int):
        raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
        return _head(kind, len(raw)) + raw
    if isinstance(value, list):
        return _head(11, len(value)) + b"".join(_encode(item) for item in value)
    return _head(7, len(value)) + b"".join(
        _encode(name) + _encode(item, KINDS.get(name, 5)) for name, item in value.items())


def _head(kind, size):
    assert size < 29
    return bytes([kind << 5 | size]) if kind < 8 else bytes([size, kind - 7])
