#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Secondaries are told of new serials (RFC 1996, check item 44), until they answer; NSD, Knot and
BIND take the new zone long before they would have asked."""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.flags  # noqa: E402
import dns.message  # noqa: E402
import dns.opcode  # noqa: E402
import dns.rcode  # noqa: E402
import dns.tsigkeyring  # noqa: E402

from gslbtest import (PATIENCE, case, case_table, check, check_equal, free_port, main,  # noqa: E402
                      wait_until)
from name_servers import SECRET, SERVERS, start_secondary  # noqa: E402
from site_under_test import Site  # noqa: E402

ZONE = """$ORIGIN example.com.
$TTL 1h
@ SOA ns1 h {serial} 1h 15m 2w 5m
@ NS ns1
ns1 A 127.0.0.1
"""
KEYS = dns.tsigkeyring.from_text({"backup": SECRET})


class FakeSecondary:
    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(15 * PATIENCE)
        self.port = self.socket.getsockname()[1]

    def receive(self):
        packet, self.peer = self.socket.recvfrom(2048)
        return dns.message.from_wire(packet, keyring=KEYS)

    def answer(self, message, rcode=dns.rcode.NOERROR):
        answer = dns.message.make_response(message)
        answer.set_rcode(rcode)
        answer.flags |= dns.flags.AA
        self.socket.sendto(answer.to_wire(), self.peer)


def start(notify):
    site = Site()
    site.path("notify.zone").write_text(ZONE.format(serial=1))

    def edit(config):
        config["tsig-keys"] = {"backup": {"secret": SECRET}}
        config["zones"] = {"example.com": {"file": str(site.path("notify.zone")), "notify": notify,
                                           "allow-transfer": ["key backup"]}}
        config["services"] = {}
    site.add_dns("ns1", edit).start()
    return site


def change(site, serial):
    site.path("notify.zone").write_text(ZONE.format(serial=serial))
    site.dns.reload("ctl")


def outcome(site, name):
    return site.dns.metric(rf'gslb_dns_notify_total\{{outcome="{name}"')


@case
def each_new_serial_is_told_once():
    plain, keyed = FakeSecondary(), FakeSecondary()
    site = start([f"127.0.0.1:{plain.port}", f"127.0.0.1:{keyed.port} key backup"])
    for n_told, serial in ((0, None), (2, 2), (4, 3)):
        if serial:
            change(site, serial)
        for fake in (plain, keyed):
            message = fake.receive()
            check_equal((message.opcode(), message.question[0].to_text()),
                        (dns.opcode.NOTIFY, "example.com. IN SOA"))
            check(message.flags & dns.flags.AA, "AA")
            check_equal(message.had_tsig, fake is keyed)
            fake.answer(message)
        wait_until(lambda told=n_told: outcome(site, "told") == told + 2, "both to be told")
    site.dns.reload("ctl")          # nothing is new
    check_equal(site.dns.metric("gslb_dns_notify_sent_total"), 6)


@case
def who_does_not_answer_is_asked_again():
    fake = FakeSecondary()
    site = start([f"127.0.0.1:{fake.port}"])
    first, second = fake.receive(), fake.receive()
    check(first.id != second.id, "the same id twice")
    fake.answer(first)              # too late: it was asked anew
    fake.answer(second, dns.rcode.REFUSED)
    wait_until(lambda: outcome(site, "refused") == 1, "the refusal to be counted")
    check_equal(outcome(site, "told"), 0)


@case_table({name: name for name in SERVERS})
def others_follow_at_once(name):
    port = free_port()
    site = start([f"127.0.0.1:{port} key backup"])
    with start_secondary(site, name, site.dns.port, port) as peer:
        if peer is None:
            return
        peer.wait_serial(1)
        change(site, 2)
        peer.wait_serial(2)


main()
