# SPDX-License-Identifier: BSD-2-Clause
"""A DNS client for tests: whole messages by dnspython, raw packets by sockets."""

import socket
import struct

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from gslbtest import PATIENCE


class DnsClient:
    """Asks one server. Every query returns dnspython's Message."""

    def __init__(self, host, port):
        self.host, self.port = host, port

    def query(self, name, rdtype="A", subnet=None, tcp=False, edns=True, timeout_s=3.0, **options):
        """options: payload, dnssec (the DO bit), flags, source. subnet: "203.0.113.0/24"."""
        message = self.make_query(name, rdtype, subnet, edns, options.pop("payload", 1232),
                                  options.pop("dnssec", False))
        message.flags = options.pop("flags", 0)
        return self.send(message, tcp, timeout_s, options.pop("source", None))

    @staticmethod
    def make_query(name, rdtype="A", subnet=None, edns=True, payload=1232, dnssec=False):
        message = dns.message.make_query(name, rdtype)
        if subnet is not None:
            address, _, bits = subnet.partition("/")
            bits = int(bits) if bits else (128 if ":" in address else 32)
            options = [dns.edns.ECSOption(address, bits)]
            message.use_edns(0, payload=payload, options=options)
        elif edns:
            message.use_edns(0, payload=payload)
        if dnssec:
            message.want_dnssec()
        return message

    def send(self, message, tcp=False, timeout_s=3.0, source=None):
        ask = dns.query.tcp if tcp else dns.query.udp
        try:
            return ask(message, self.host, timeout=timeout_s * PATIENCE, port=self.port,
                       source=source)
        except dns.exception.Timeout as error:
            raise TimeoutError(f"no answer to {message.question[0]}") from error

    def addresses(self, name, rdtype="A", **how):
        """The set of addresses in the answer section."""
        return addresses_of(self.query(name, rdtype, **how), rdtype)

    def rcode(self, name, rdtype="A", **how):
        return dns.rcode.to_text(self.query(name, rdtype, **how).rcode())

    def raw(self, packet, tcp=False, timeout_s=1.0):
        """Sends bytes, returns the bytes of the answer, None when there is none in that time."""
        if tcp:
            return self.raw_tcp(struct.pack("!H", len(packet)) + packet, timeout_s)
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout_s * PATIENCE)
            sock.connect((self.host, self.port))
            sock.send(packet)
            try:
                return sock.recv(65535)
            except (socket.timeout, ConnectionRefusedError):
                return None

    def raw_tcp(self, stream, timeout_s=1.0):
        """Sends bytes with whatever length prefix they carry; the first answer, or None."""
        with self.connect(timeout_s) as sock:
            sock.sendall(stream)
            try:
                return read_tcp_message(sock)
            except (socket.timeout, ConnectionError):
                return None

    def connect(self, timeout_s=3.0):
        return socket.create_connection((self.host, self.port), timeout_s * PATIENCE)


def read_tcp_message(sock):
    """One length-prefixed message; ConnectionError when the peer closes before it is whole."""
    length = struct.unpack("!H", _read_exactly(sock, 2))[0]
    return _read_exactly(sock, length)


def _read_exactly(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        if not more:
            raise ConnectionError("closed in the middle of a message")
        data += more
    return data


def addresses_of(message, rdtype="A"):
    wanted = dns.rdatatype.from_text(rdtype)
    return {record.address for rrset in message.answer if rrset.rdtype == wanted for record in rrset}


def ecs_of(message):
    """The Client Subnet option of a message: .address, .srclen, .scopelen; None: it has none."""
    for option in message.options:
        if option.otype == dns.edns.ECS:
            return option
    return None


def flags_of(message):
    return dns.flags.to_text(message.flags).split()


def records_of(message, section="answer"):
    """The records of a section as {"name TYPE rdata"}, names relative to nothing."""
    return {f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
            for rrset in getattr(message, section) for rdata in rrset}


def ttls_of(message, section="answer"):
    """{"name TYPE": TTL}"""
    return {f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)}": rrset.ttl
            for rrset in getattr(message, section)}


def ede_of(message):
    """(INFO-CODE, text) of the Extended DNS Error, or None."""
    for option in message.options:
        if option.otype == dns.edns.EDE:
            return int(option.code), option.text or ""
    return None


def tcp_frame(packet):
    return struct.pack("!H", len(packet)) + packet
