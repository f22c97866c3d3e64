# SPDX-License-Identifier: BSD-2-Clause
"""A primary of example.com that says what a test wants it to, over TCP.

    primary = FakePrimary()
    primary.set_zone(1, ["www 60 A 192.0.2.1"])     # serial, records besides SOA and NS
    primary.set_zone(2, ["www 60 A 192.0.2.2"])     # IXFR then leads from 1 to 2
    primary.behave = lambda query, send: ...        # in place of what is honest
    primary.asked                                   # ["SOA", "AXFR", ...]

A behaviour gets the query and a function that sends one message; it returns the messages' end, or
raises to close the connection.
"""

import socket
import struct
import threading

import dns.exception
import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import dns.tsigkeyring

TIMERS = "1 1 30 5"     # refresh, retry, expire, minimum


def read_message(sock):
    head = read_exactly(sock, 2)
    return read_exactly(sock, struct.unpack("!H", head)[0])


def read_exactly(sock, n):
    data = b""
    while len(data) < n:
        got = sock.recv(n - len(data))
        if not got:
            raise ConnectionError("closed")
        data += got
    return data


class FakePrimary:
    def __init__(self, timers=TIMERS, keys=None, port=0):
        self.timers, self.keys = timers, dns.tsigkeyring.from_text(keys) if keys else None
        self.zones, self.serial = {}, None
        self.asked, self.behave, self.has_ixfr = [], None, True
        self.socket = socket.create_server(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.is_over = False
        threading.Thread(target=self.accept, daemon=True).start()

    # ---- the zone

    def set_zone(self, serial, records=()):
        self.zones.pop(serial, None)    # the newest stands last, whatever its number
        self.zones[serial] = [rrset_of(text) for text in ["@ 60 NS ns.example.com.", "ns 60 A 127.0.0.1", *records]]
        self.serial = serial

    def soa(self, serial=None):
        return rrset_of(f"@ 60 SOA ns.example.com. host.example.com. {self.serial if serial is None else serial} {self.timers}")

    def whole(self):
        return [self.soa(), *self.zones[self.serial], self.soa()]

    def differences(self, serial):
        """From that serial to the newest, one after the other (RFC 1995 section 4)."""
        known = list(self.zones)
        steps = known[known.index(serial):]
        records = [self.soa()]
        for old, new in zip(steps, steps[1:]):
            records += [self.soa(old), *minus(self.zones[old], self.zones[new]),
                        self.soa(new), *minus(self.zones[new], self.zones[old])]
        return [*records, self.soa()]

    def answer(self, query):
        """The records of an honest answer."""
        rdtype = dns.rdatatype.to_text(query.question[0].rdtype)
        if rdtype == "SOA":
            return [self.soa()]
        if rdtype == "IXFR":
            have = query.authority[0][0].serial
            if have == self.serial:
                return [self.soa()]
            if self.has_ixfr and have in self.zones:
                return self.differences(have)
        return self.whole()

    # ---- connections

    def accept(self):
        while not self.is_over:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        try:
            with sock:
                while True:
                    wire = read_message(sock)
                    query = dns.message.from_wire(wire, keyring=self.keys)
                    self.asked.append(dns.rdatatype.to_text(query.question[0].rdtype))

                    def send(records, edit=None, query=query):
                        sock.sendall(frame(self.message(query, records, edit)))
                    if self.behave is None or self.behave(query, send) == "honest":
                        send(self.answer(query))
        except (OSError, ConnectionError, dns.exception.DNSException):
            pass

    def message(self, query, records, edit=None):
        """Bytes of one message with these records; edit(message) changes it before that."""
        message = dns.message.make_response(query)
        message.flags |= dns.flags.AA
        message.authority = []
        message.answer = list(records)
        if edit:
            edit(message)
        return message.to_wire(max_size=65535)

    def count(self, *rdtypes):
        return sum(rdtype in rdtypes for rdtype in self.asked)

    def stop(self):
        self.is_over = True
        self.socket.shutdown(socket.SHUT_RDWR)  # accept() in the other thread would keep it open
        self.socket.close()


def rrset_of(text):
    """"www 60 A 192.0.2.1": the owner below example.com, unless it ends in a dot."""
    owner, ttl, rdtype, rdata = text.split(" ", 3)
    name = "example.com." if owner == "@" else owner if owner.endswith(".") else f"{owner}.example.com."
    return dns.rrset.from_text(name, int(ttl), "IN", rdtype, rdata)


def minus(a, b):
    there = {rrset.to_text() for rrset in b}
    return [rrset for rrset in a if rrset.to_text() not in there]


def frame(wire):
    return struct.pack("!H", len(wire)) + wire
