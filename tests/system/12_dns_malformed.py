#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Thousands of mutated and random messages: the server answers what it should, counts the rest,
keeps its memory, and serves others meanwhile. The seed is printed; GSLB_SEED repeats a run."""
import os
import random
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.message  # noqa: E402

from dns_client import addresses_of, tcp_frame  # noqa: E402
from gslbtest import PATIENCE, case, check, check_equal, main, wait_until  # noqa: E402
from site_under_test import Site  # noqa: E402

SEED = int(os.environ.get("GSLB_SEED", random.randrange(1 << 32)))
PACKETS = 20000
RSS_SLACK_KIB = 4096


def build():
    print(f"GSLB_SEED={SEED}")
    site = Site()
    site.add_dns("ns1")
    for edge in ("us-east-1", "eu-west-1"):
        site.add_fake_edge(edge)
    site.dns.start()
    return site


def seeds():
    """Well-formed queries of many kinds, to be bent."""
    names = ["www.example.com", "static.example.com", "x.y.sub.example.com", "cdn.example.com",
             "a.wild.example.com", "empty.terminal.example.com", "no.example.com", "other.test", "."]
    out = []
    for name in names:
        for rdtype in ("A", "AAAA", "MX", "TXT", "ANY", "SOA", "DS", "TYPE65280"):
            out.append(dns.message.make_query(name, rdtype).to_wire())
            out.append(dns.message.make_query(name, rdtype, use_edns=0, want_dnssec=True).to_wire())
        ecs = dns.message.make_query(name, "A")
        ecs.use_edns(0, payload=1232, options=[dns.edns.ECSOption("185.2.100.0", 24)])
        out.append(ecs.to_wire())
        ecs.use_edns(0, payload=4096, options=[
            dns.edns.ECSOption("2a02:8080::", 48), dns.edns.GenericOption(10, b"12345678"),
            dns.edns.GenericOption(3, b""), dns.edns.GenericOption(12, b"\0" * 40)])
        out.append(ecs.to_wire())
    return out


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        kind = rng.randrange(8)
        at = rng.randrange(len(data)) if data else 0
        if kind == 0 and data:
            data[at] = rng.randrange(256)
        elif kind == 1 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at:at + rng.randrange(1, 9)]
        elif kind == 4:
            data[at:at] = rng.randbytes(rng.randrange(1, 12))
        elif kind == 5 and len(data) >= 12:
            count = rng.choice((4, 6, 8, 10))
            struct.pack_into("!H", data, count, rng.choice((0, 1, 2, 255, 65535)))
        elif kind == 6:
            data += data[at:]
        elif data:
            data[at] = rng.choice((0, 0x3f, 0x40, 0xc0, 0xff))
    return bytes(data[:4000])


def bent_packets(n):
    rng = random.Random(SEED)
    originals = seeds()
    for i in range(n):
        if i % 10 == 0:
            yield rng.randbytes(rng.choice((0, 1, 11, 12, 13, 40, 300, 1400)))
        else:
            yield mutate(rng, rng.choice(originals))


def rss_kib(site):
    with open(f"/proc/{site.dns.program.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def check_alive(site):
    for tcp in (False, True):
        check_equal(site.dns.addresses("static.example.com", tcp=tcp), {"192.0.2.80"})


def check_answer(query, answer):
    """What holds for every answer to anything."""
    check(len(query) >= 12, f"a runt was answered: {query!r}")
    check(not query[2] & 0x80, f"a response was answered: {query!r}")
    check_equal(answer[:2], query[:2], "the id")
    check(answer[2] & 0x80, "QR")
    check_equal(answer[2] & 0x79, query[2] & 0x79, "opcode and RD")
    check_equal(answer[3] & 0xf0, 0, "RA, Z, AD, CD")
    try:
        # dnspython does not know every opcode.
        message = dns.message.from_wire(answer[:2] + bytes([answer[2] & 0x87]) + answer[3:])
    except Exception as error:
        raise AssertionError(f"{query!r} got what cannot be read: {answer!r}: {error}") from error
    check(message.rcode() in (0, 1, 3, 4, 5, 6, 9, 16), f"rcode {message.rcode()} for {query!r}")


def send_all_udp(site, packets):
    """Never more than 64 on the way, so that no buffer overflows; the answers are checked."""
    n_answers = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", site.dns.port))
        packets = list(packets)
        for start in range(0, len(packets), 64):
            waiting = {}
            for packet in packets[start:start + 64]:
                # An id of its own for each, so that answers are told apart.
                if len(packet) >= 12:
                    packet = struct.pack("!H", len(waiting)) + packet[2:]
                    waiting[packet[:2]] = packet
                sock.send(packet)
            marker = b"\xff\xff" + b"\0" * 10     # a question-less query: FORMERR, the last one
            sock.send(marker)
            # Two threads share the sockets by flow, so this flow's answers come in order.
            until = time.monotonic() + 5 * PATIENCE
            while True:
                check(select.select([sock], [], [], max(0, until - time.monotonic()))[0],
                      f"no answer behind {packets[start:start + 64]!r}")
                answer = sock.recv(65535)
                if answer[:2] == b"\xff\xff":
                    break
                check(answer[:2] in waiting, "an answer nobody asked for, or a second one")
                check_answer(waiting.pop(answer[:2]), answer)
                n_answers += 1
            for left in waiting.values():
                check(left[2] & 0x80, f"no answer to {left!r}")
    return n_answers


@case
def udp_survives(site):
    send_all_udp(site, bent_packets(1000))      # buffers grow to their size once
    before, rss = site.dns.metrics(), rss_kib(site)
    n_answers = send_all_udp(site, bent_packets(PACKETS))
    check(n_answers > PACKETS // 2, f"{n_answers} answers to {PACKETS} packets")
    check_alive(site)
    check(rss_kib(site) - rss < RSS_SLACK_KIB * PATIENCE, f"memory: {rss} KiB, then {rss_kib(site)} KiB")
    now = site.dns.metrics()
    for verdict in ("ok", "runt", "response", "opcode", "count", "name", "record", "trailing", "opt",
                    "ecs", "version", "class", "metatype"):
        name = f'gslb_dns_verdicts_total{{verdict="{verdict}"}}'
        check(now[name] > before[name], f"{name} has not moved")


@case
def each_packet_is_counted_once(site):
    before = site.dns.metrics()
    packets = [p for p in bent_packets(640)]
    send_all_udp(site, packets)

    def is_counted():
        now = site.dns.metrics()
        n = sum(now[name] - before[name] for name in now if name.startswith("gslb_dns_verdicts_total"))
        check_equal(n, len(packets) + 10, "verdicts")
        return True
    wait_until(is_counted, "the counters")


@case
def tcp_survives(site):
    rng = random.Random(SEED + 1)
    rss = rss_kib(site)
    packets = bent_packets(3000)
    for _ in range(150):
        burst = b"".join(tcp_frame(packet) for packet, _ in zip(packets, range(20)))
        if rng.random() < 0.5:      # the framing itself goes wrong
            burst = mutate(rng, burst[:4000])
        try:
            with site.dns.client.connect() as sock:
                sock.sendall(burst)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65535):
                    pass
        except ConnectionError:
            pass        # closed on us, as it may
    check_alive(site)
    check(rss_kib(site) - rss < RSS_SLACK_KIB * PATIENCE, f"memory: {rss} KiB, then {rss_kib(site)} KiB")


@case
def tcp_frame_too_short_for_a_header_ends_the_connection(site):
    for stream in (b"\0\0", b"\0\1x", b"\0\x0b" + b"\0" * 11):
        with site.dns.client.connect() as sock:
            sock.sendall(stream)
            try:
                check_equal(sock.recv(10), b"", "closed")
            except ConnectionResetError:
                pass
    check_alive(site)


@case
def tcp_largest_message_is_read(site):
    query = bytearray(dns.message.make_query("static.example.com", "A").to_wire())
    struct.pack_into("!H", query, 10, 1)
    padding = 65535 - len(query) - 11 - 4
    query += struct.pack("!BHHIHHH", 0, 41, 1232, 0, padding + 4, 12, padding) + bytes(padding)
    check_equal(len(query), 65535)
    answer = dns.message.from_wire(site.dns.client.raw(bytes(query), tcp=True, timeout_s=3))
    check_equal(addresses_of(answer), {"192.0.2.80"})


@case
def udp_packets_of_jumbo_size_are_answered(site):
    """RFC 8906 section 3: FORMERR, and never silence, though no query need be so long."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", site.dns.port))
        sock.settimeout(5 * PATIENCE)
        for size in (512, 1500, 1600, 9000, 60000):
            query = dns.message.make_query("static.example.com", "A").to_wire()
            sock.send(query + bytes(size))
            answer = sock.recv(65535)
            check_equal((answer[:2], answer[2] & 0x80, answer[3] & 15), (query[:2], 0x80, 1), f"{size} bytes more")
    check_alive(site)


@case
def compression_pointers_in_the_records_of_a_query(site):
    # RFC 9267: loops, forward pointers, pointers past the end
    head = struct.pack("!HHHHHH", 7, 0, 1, 0, 0, 1) + b"\6static\7example\3com\0\0\1\0\1"
    opt = struct.pack("!HHIH", 41, 1232, 0, 0)
    at = len(head)
    for owner in (struct.pack("!H", 0xc000 | at), struct.pack("!H", 0xc000 | at + 2), b"\xff\xff",
                  struct.pack("!H", 0xc000 | at + 1), b"\x01a" * 130 + b"\0", b"\x80\0", b"\xc0"):
        answer = site.dns.client.raw(head + owner + opt)
        check_equal(answer[3] & 15, 1, f"owner {owner[:4]!r}")


@case
def logs_stay_silent(site):
    lines = site.dns.program.log_lines("warn|error")
    check(len(lines) < 5, "\n".join(lines))


main(build)
