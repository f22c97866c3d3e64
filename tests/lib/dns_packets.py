# SPDX-License-Identifier: BSD-2-Clause
"""DNS queries byte by byte, well formed or not, for DnsClient.raw()."""

import socket
import struct

OPT, A, TXT, ANY, NSID, ECS, COOKIE, KEEPALIVE, PADDING = 41, 1, 16, 255, 3, 8, 10, 11, 12
DEFAULT_NAME = "static.example.com"


def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def question(name=DEFAULT_NAME, rdtype=A, rdclass=1):
    return wire_name(name) + struct.pack("!HH", rdtype, rdclass)


def option(code, data=b""):
    return struct.pack("!HH", code, len(data)) + data


def opt(*options, payload=1232, version=0, flags=0, owner=b"\0", rcode=0):
    data = b"".join(options)
    return owner + struct.pack("!HHBBHH", OPT, payload, rcode, version, flags, len(data)) + data


def packet(*records, body=None, flags=0, opcode=0, counts=None, ident=0x1234):
    """A query with these additional records; counts overrides the header's."""
    body = question() if body is None else body
    counts = counts or (1, 0, 0, len(records))
    return struct.pack("!HHHHHH", ident, flags | opcode << 11, *counts) + body + b"".join(records)


def ecs(family, source, data, scope=0):
    return option(ECS, struct.pack("!HBB", family, source, scope) + data)


PROXY_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def proxy_header(source, command=0x21, tlvs=b""):
    """What a load balancer sends before a client's bytes, PROXY protocol version 2."""
    is_v6 = ":" in source
    family = socket.AF_INET6 if is_v6 else socket.AF_INET
    target = "2001:db8::53" if is_v6 else "192.0.2.53"
    body = socket.inet_pton(family, source) + socket.inet_pton(family, target) + \
        struct.pack("!HH", 4660, 53) + tlvs
    return PROXY_SIGNATURE + struct.pack("!BBH", command, 0x21 if is_v6 else 0x11, len(body)) + body
