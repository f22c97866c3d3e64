# SPDX-License-Identifier: BSD-2-Clause
"""Ethernet frames with DNS queries in them, byte by byte, whole or broken in one place."""
import ipaddress
import socket
import struct

UDP, FRAGMENT, DESTINATION_OPTIONS = 17, 44, 60
IPV4, IPV6, VLAN = 0x0800, 0x86dd, 0x8100
SERVER4, CLIENT4, SERVER6, CLIENT6 = "10.77.0.1", "10.77.0.2", "fd77::1", "fd77::2"


def fold(data, start=0):
    """RFC 1071: the ones' complement sum."""
    data += b"\0" * (len(data) % 2)
    total = start + sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def pseudo(source, destination, length):
    return fold(ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
                + struct.pack("!HH", UDP, length))


def udp(payload, source, destination, sport=4660, dport=53, checksum="good", length=None):
    length = len(payload) + 8 if length is None else length
    head = struct.pack("!HHHH", sport, dport, length, 0)
    start = pseudo(source, destination, len(payload) + 8)
    value = {"good": (~fold(head + payload, start) & 0xffff) or 0xffff, "none": 0, "partial": start,
             "bad": fold(head + payload, start) ^ 0x5555}[checksum]
    return struct.pack("!HHHH", sport, dport, length, value) + payload


def ipv4(data, source=CLIENT4, destination=SERVER4, options=b"", fragment=0, protocol=UDP, ident=7):
    def head(checksum):
        return struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, 20 + len(options) + len(data), ident,
                           fragment, 64, protocol, checksum, socket.inet_aton(source),
                           socket.inet_aton(destination)) + options
    return head(~fold(head(0)) & 0xffff) + data


def ipv6(data, source=CLIENT6, destination=SERVER6, header=UDP):
    return struct.pack("!IHBB", 6 << 28, len(data), header, 64) + socket.inet_pton(socket.AF_INET6, source) \
        + socket.inet_pton(socket.AF_INET6, destination) + data


def ether(packet, to, sender, kind=IPV4, tags=()):
    return to + sender + b"".join(struct.pack("!HH", VLAN, tag) for tag in tags) + struct.pack("!H", kind) + packet


class Answer:
    """A frame with UDP in it, read and its sums checked; ValueError for any other."""

    def __init__(self, frame):
        self.to, self.sender, at = frame[:6], frame[6:12], 12
        self.tags = []
        while frame[at:at + 2] == struct.pack("!H", VLAN):
            self.tags.append(struct.unpack_from("!H", frame, at + 2)[0])
            at += 4
        kind, = struct.unpack_from("!H", frame, at)
        packet = frame[at + 2:]
        if kind == IPV4 and packet[9] == UDP:
            size, = struct.unpack_from("!H", packet, 2)
            data, addresses = packet[20:size], packet[12:20]
            if fold(packet[:20]) != 0xffff:
                raise ValueError("the sum of the IPv4 header")
        elif kind == IPV6 and packet[6] == UDP:
            size, = struct.unpack_from("!H", packet, 4)
            data, addresses = packet[40:40 + size], packet[8:40]
        else:
            raise ValueError("not UDP")
        half = len(addresses) // 2
        self.source, self.destination = (str(ipaddress.ip_address(a)) for a in (addresses[:half], addresses[half:]))
        self.sport, self.dport, length, self.checksum = struct.unpack_from("!HHHH", data)
        self.payload = data[8:length]
        start = pseudo(self.source, self.destination, length)
        # The stack of a veth leaves the sum to hardware that is not there: the pseudo-header alone.
        self.is_by_kernel = self.checksum == start
        if not self.is_by_kernel and fold(data[:length], start) != 0xffff:
            raise ValueError("the sum of UDP")
