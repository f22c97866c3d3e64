#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Frames that the fast path must answer, drop, or leave to the kernel, in both modes; its answers
beside those of the sockets, byte by byte; neighbours, routes and links that change."""
import os
import select
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import xdp_frames as fr  # noqa: E402
from dns_packets import ANY, COOKIE, ECS, NSID, PADDING, TXT, ecs, opt, option, packet, question  # noqa: E402
from gslbtest import PATIENCE, case, case_table, check, check_equal, wait_until  # noqa: E402
from xdp_lab import CLIENT, SERVER, ZONE, Lab, inside, ip, main_or_skip, socket_in  # noqa: E402

MODES = {"native": "native", "generic": "generic"}
QUERY = packet(body=question("x.example.com"))
ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA, VLAN_VALID = 3, 263, 8, 0x10
BIG = "".join(f'big 60 TXT "{"x" * 200}{n:02}"\n' for n in range(12))
FULL_ZONE = ZONE + BIG + ("v 60 AAAA 2001:db8::1\nc 60 CNAME x\nout 60 CNAME www.example.net.\n*.w 60 TXT hi\n"
                          "sub 60 NS ns.sub\nns.sub 60 A 192.0.2.9\n")
STEERED = """regions:
  us-east: {location: [39, -77], edges: {us-1: [198.51.100.1, "2001:db8:1::1"]}}
  eu-west: {location: [53, -6], edges: {eu-1: [203.0.113.1, "2001:db8:2::1"]}}
region-order: [us-east, eu-west]
services:
  www.example.com: {regions: [us-east, eu-west]}
"""


def q(name, *records, rdtype=1, **how):
    return packet(*records, body=question(f"{name}.example.com" if name else "example.com", rdtype), **how)


EQUAL = {
    "plain": q("x"), "AAAA": q("v", rdtype=28), "no data": q("x", rdtype=28), "no such name": q("nowhere"),
    "mixed case": packet(body=question("X.eXample.COM")), "CNAME": q("c"), "CNAME that leaves": q("out"),
    "wildcard": q("a.w", rdtype=TXT), "referral": q("a.sub"), "SOA": q("", rdtype=6), "ANY": q("x", rdtype=ANY),
    "truncated": q("big", rdtype=TXT), "truncated at 1232": q("big", opt(payload=4096), rdtype=TXT),
    "whole at 4096": q("big", opt(payload=1400), rdtype=TXT), "EDNS": q("x", opt()), "DO": q("x", opt(flags=0x8000)),
    "NSID": q("x", opt(option(NSID))), "ECS": q("x", opt(ecs(1, 24, b"\xc0\0\2"))),
    "ECS, broken": q("x", opt(option(ECS, b"\0"))), "EDNS version 1": q("x", opt(version=1)),
    "two OPT": q("x", opt(), opt()), "padding": q("x", opt(option(PADDING, b"\0" * 100))),
    "cookie of 9 bytes": q("x", opt(option(COOKIE, b"123456789"))),
    "steered, Europe": q("www", opt(ecs(1, 24, socket.inet_aton("185.12.64.0")[:3]))),
    "steered, America": q("www", opt(ecs(1, 24, socket.inet_aton("8.8.8.0")[:3]))),
    "steered, by source": q("www"), "steered, AAAA": q("www", rdtype=28),
    "refused": packet(body=question("example.net")), "class CH": packet(body=question("version.bind", TXT, 3)),
    "NOTIFY": q("", rdtype=6, opcode=4), "UPDATE": q("", rdtype=6, opcode=5), "opcode 9": q("x", opcode=9),
    "AXFR": q("", rdtype=252), "no question": packet(body=b"", counts=(0, 0, 0, 0)), "cut short": q("x")[:20],
}


@case_table(MODES)
def answers_equal_those_of_the_sockets(mode):
    with Lab() as lab:
        lab.start("dns", f"{{v0: {mode}}}", zone=FULL_ZONE, more=STEERED + "nsid: here\n")
        for name, query in EQUAL.items():
            wanted = lab.exchange(query, SERVER)
            check(wanted is not None, f"{name}: no answer by the sockets")
            for host in ("10.77.0.1", "fd77::1"):
                got = lab.exchange(query, host=host)
                check_equal(got and got.hex(), wanted.hex(), f"{name} at {host}")
        check_equal(lab.metrics()["gslb_dns_xdp_answered_total"], 2 * len(EQUAL))


# ---- Single frames: what comes back, and which counter tells

class Wire:
    """Frames into v1, and what comes out of it."""

    def __init__(self, lab):
        self.server, self.client = lab.mac(SERVER, "v0"), lab.mac(CLIENT, "v1")
        self.sock = socket_in(CLIENT, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.sock.bind(("v1", ETH_P_ALL))

    def close(self):
        self.sock.close()

    def answer(self, timeout_s=2.0):
        end = time.monotonic() + timeout_s * PATIENCE
        while (left := end - time.monotonic()) > 0 and select.select([self.sock], [], [], left)[0]:
            frame, about, _, where = self.sock.recvmsg(65535, 256)
            if where[2] == socket.PACKET_OUTGOING:
                continue
            try:
                answer = fr.Answer(frame)
            except (ValueError, IndexError, struct.error) as e:
                check("sum" not in str(e), f"{e}: {frame.hex()}")
                continue
            status, tag = struct.unpack_from("=I12xH", about[0][2])  # the kernel has taken the tag off
            answer.tags += [tag] if status & VLAN_VALID else []
            if answer.sport == 53:
                return answer
        return None

    def frame4(self, data=None, tags=(), to=None, source=fr.CLIENT4, **how):
        sums = {k: how.pop(k) for k in ("checksum", "sport", "dport", "length") if k in how}
        data = fr.udp(QUERY, source, fr.SERVER4, **sums) if data is None else data
        return fr.ether(fr.ipv4(data, source, **how), to or self.server, self.client, tags=tags)

    def frame6(self, data=None, header=fr.UDP, tags=(), source=fr.CLIENT6, **sums):
        data = fr.udp(QUERY, source, fr.SERVER6, **sums) if data is None else data
        return fr.ether(fr.ipv6(data, source, header=header), self.server, self.client, fr.IPV6, tags)


def fragments4(w):
    whole = fr.udp(QUERY, fr.CLIENT4, fr.SERVER4)
    return [w.frame4(whole[:16], fragment=0x2000), w.frame4(whole[16:], fragment=2)]


def fragments6(w):
    whole = fr.udp(QUERY, fr.CLIENT6, fr.SERVER6)

    def part(at, end, more):
        head = struct.pack("!BBHI", fr.UDP, 0, at | more, 77)
        return w.frame6(head + whole[at:end], header=fr.FRAGMENT)
    return [part(0, 16, 1), part(16, len(whole), 0)]


BY_XDP, BY_KERNEL, NOBODY = "xdp", "kernel", "nobody"
PASSED = "gslb_dns_xdp_passed_total"


def dropped(reason):
    return f'gslb_dns_xdp_dropped_total{{reason="{reason}"}}'


# What is sent, who answers, the counter that moves.
FRAMES = {
    "IPv4": (lambda w: [w.frame4()], BY_XDP, "gslb_dns_xdp_answered_total"),
    "IPv6": (lambda w: [w.frame6()], BY_XDP, "gslb_dns_xdp_answered_total"),
    "IPv4 without a UDP checksum": (lambda w: [w.frame4(checksum="none")], BY_XDP, "gslb_dns_xdp_answered_total"),
    "a sum left to hardware": (lambda w: [w.frame4(checksum="partial")], BY_XDP, "gslb_dns_xdp_answered_total"),
    "the same of IPv6, left": (lambda w: [w.frame6(checksum="partial")], BY_XDP, "gslb_dns_xdp_answered_total"),
    "Ethernet padding": (lambda w: [w.frame4() + b"\xff" * 9], BY_XDP, "gslb_dns_xdp_answered_total"),
    "a priority tag": (lambda w: [w.frame4(tags=(0xe000,))], BY_XDP, "gslb_dns_xdp_answered_total"),
    "the same of IPv6": (lambda w: [w.frame6(tags=(0x2000,))], BY_XDP, "gslb_dns_xdp_answered_total"),
    "another UDP port": (lambda w: [w.frame4(dport=5353)], NOBODY, PASSED),
    "a VLAN that is not ours": (lambda w: [w.frame4(tags=(5,))], NOBODY, PASSED),
    "two tags": (lambda w: [w.frame4(tags=(0, 5))], NOBODY, PASSED),
    "to everybody's MAC": (lambda w: [w.frame4(to=b"\xff" * 6)], BY_KERNEL, PASSED),
    "to another's MAC": (lambda w: [w.frame4(to=b"\2\0\0\0\0\x63")], NOBODY, PASSED),
    "IPv4 options": (lambda w: [w.frame4(options=b"\1\1\1\0")], BY_KERNEL, PASSED),
    "IPv4 fragments": (fragments4, BY_KERNEL, PASSED),
    "IPv6 fragments": (fragments6, BY_KERNEL, PASSED),
    "IPv6 destination options": (
        lambda w: [w.frame6(bytes([fr.UDP, 0, 1, 4, 0, 0, 0, 0]) + fr.udp(QUERY, fr.CLIENT6, fr.SERVER6),
                            header=fr.DESTINATION_OPTIONS)], BY_KERNEL, PASSED),
    "a wrong UDP checksum": (lambda w: [w.frame4(checksum="bad")], NOBODY, dropped("checksum")),
    "the same of IPv6, wrong": (lambda w: [w.frame6(checksum="bad")], NOBODY, dropped("checksum")),
    "IPv6 without a UDP checksum": (lambda w: [w.frame6(checksum="none")], NOBODY, dropped("checksum")),
    "source port 0": (lambda w: [w.frame4(sport=0)], NOBODY, dropped("port_0")),
    "from 127.0.0.1": (lambda w: [w.frame4(source="127.0.0.1")], NOBODY, dropped("source")),
    "from a group": (lambda w: [w.frame4(source="224.0.0.1")], NOBODY, dropped("source")),
    "from itself": (lambda w: [w.frame4(source=fr.SERVER4)], NOBODY, dropped("source")),
    "from ::1": (lambda w: [w.frame6(source="::1")], NOBODY, dropped("source")),
    "UDP longer than IP": (lambda w: [w.frame4(length=len(QUERY) + 9)], NOBODY, dropped("malformed")),
    "UDP shorter than its header": (lambda w: [w.frame4(length=7)], NOBODY, dropped("malformed")),
}


@case_table(MODES)
def each_frame_goes_where_it_belongs(mode):
    with Lab() as lab:
        lab.start("dns", f"{{v0: {mode}}}")
        check_equal(lab.ask("@10.77.0.1"), "192.0.2.1")  # neighbours know each other
        check_equal(lab.ask("@fd77::1"), "192.0.2.1")
        wire = Wire(lab)
        for name, (make, who, counter) in FRAMES.items():
            before = lab.metrics()
            frames = make(wire)
            for frame in frames:
                wire.sock.send(frame)
            if who == NOBODY:
                wait_until(lambda: lab.metrics()[counter] > before[counter], f"{name}: {counter}")
                check(wire.answer(0.05) is None, f"{name}: was answered")
                continue
            answer = wire.answer()
            check(answer is not None, f"{name}: no answer")
            check_equal(answer.payload.hex(), lab.exchange(QUERY, SERVER).hex(), name)
            check_equal((answer.to, answer.sender, answer.dport), (wire.client, wire.server, 4660), name)
            check_equal(answer.is_by_kernel, who == BY_KERNEL, f"{name}: whose sum")
            check(lab.metrics()[counter] > before[counter], f"{name}: {counter} did not move")
            if who == BY_XDP:
                tag = [struct.unpack_from("!H", frames[0], 14)[0]] if frames[0][12:14] == b"\x81\0" else []
                check_equal(answer.tags, tag, f"{name}: tags")
        wire.close()


@case_table(MODES)
def vlans_are_answered_with_their_tag(mode):
    with Lab() as lab:
        if ip("-n", SERVER, "link", "add", "v0.5", "link", "v0", "type", "vlan", "id", "5").returncode != 0:
            print("skip: this kernel has no VLAN devices (8021q)")
            return
        inside(SERVER, "ethtool", "-K", "v0", "rxvlan", "off")
        ip("-n", SERVER, "link", "set", "v0.5", "up")
        lab.start("dns", f"{{v0: {mode}}}")
        wire = Wire(lab)
        wire.sock.send(wire.frame4(tags=(5,)))
        answer = wire.answer()
        check(answer is not None, "no answer")
        check_equal(answer.tags, [5])
        wire.close()


# ---- What changes around it

@case_table(MODES)
def answers_go_where_the_query_came_from(mode):
    """Neighbours and routes of the server play no part; see xdp.h."""
    with Lab() as lab:
        lab.start("dns", f"{{v0: {mode}}}")
        check_equal(lab.ask("@10.77.0.1"), "192.0.2.1")
        ip("-n", CLIENT, "link", "set", "v1", "address", "02:00:00:00:77:02")
        check_equal(lab.ask("@10.77.0.1"), "192.0.2.1", "the client has another MAC address")
        ip("-n", SERVER, "neigh", "replace", "10.77.0.2", "lladdr", "02:00:00:00:00:99", "dev", "v0")
        check_equal(lab.ask("@10.77.0.1"), "192.0.2.1", "the server's neighbour table is wrong")
        ip("-n", SERVER, "neigh", "del", "10.77.0.2", "dev", "v0")
        ip("-n", SERVER, "route", "add", "blackhole", "10.77.0.2/32")
        check_equal(lab.ask("@10.77.0.1"), "192.0.2.1", "the server has no route back")
        ip("-n", SERVER, "route", "del", "blackhole", "10.77.0.2/32")
        ip("-n", CLIENT, "addr", "add", "10.99.0.5/32", "dev", "v1")
        check_equal(lab.ask("-b", "10.99.0.5", "@10.77.0.1"), "192.0.2.1", "a client behind a router")
        ip("-n", SERVER, "link", "set", "v0", "down")
        check(lab.exchange(QUERY, timeout_s=0.2) is None, "a link that is down answers")
        ip("-n", SERVER, "link", "set", "v0", "up")
        wait_until(lambda: lab.exchange(QUERY, timeout_s=0.5), "an answer after the link is up again")
        m = lab.metrics()
        check_equal(m["gslb_dns_xdp_answered_total"], m["gslb_dns_xdp_received_total"])


@case
def an_interface_that_goes_is_told_and_taken_again():
    with Lab() as lab:
        program = lab.start("dns", "{v0: native}")
        gauge = 'gslb_dns_xdp_attached{interface="v0",mode="native"}'
        check_equal(lab.metrics()[gauge], 1)
        lab.join("link", "del", "v0")
        wait_until(lambda: lab.metrics()[gauge] == 0, "the gauge says: not attached")
        check_equal(lab.ask("@10.77.0.1"), "192.0.2.1", "by the sockets")
        mark = program.mark()
        program.signal(signal.SIGHUP)
        program.wait_log("xdp: attached interface=v0", since=mark)
        before = lab.metrics()
        check_equal(before[gauge], 1)
        check_equal(lab.ask("@10.77.0.1"), "192.0.2.1")
        check_equal(lab.metrics()["gslb_dns_xdp_answered_total"], before["gslb_dns_xdp_answered_total"] + 1)


main_or_skip()
