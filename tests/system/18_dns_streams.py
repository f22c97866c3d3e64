#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Many connections, some of them hostile: how long one may rest (RFC 7828), how many a client may
hold, who gives way, and what a peer that stalls costs the others. In a network namespace of its
own, where clients have addresses to choose from, and TCP Fast Open is on."""
import contextlib
import ctypes
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.message  # noqa: E402

from dns_client import addresses_of, read_tcp_message, tcp_frame  # noqa: E402
from dns_packets import KEEPALIVE, TXT, opt, option, packet, question  # noqa: E402
from gslbtest import (PATIENCE, case, case_table, check, check_equal, free_port, main,  # noqa: E402
                      wait_until)
from site_under_test import Site  # noqa: E402

CLONE_NEWNET = 0x40000000
HOST = "ns1.example.net"
QUERY, WANTED = tcp_frame(packet()), {"192.0.2.80"}
V6_CLIENTS = ("fd00:1::1", "fd00:1::2", "fd00:2::1")
CLIENT_HELLO = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"     # the beginning of one
UNUSED = "127.0.9.9"    # an address that holds no connections


def enter_namespace():
    """false: it takes rights that are not there."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        return False
    for args in [("link", "set", "lo", "up")] + \
            [("-6", "addr", "add", f"{a}/64", "dev", "lo", "nodad") for a in V6_CLIENTS]:
        subprocess.run(["ip", *args], check=True)
    pathlib.Path("/proc/sys/net/ipv4/tcp_fastopen").write_text("3")
    return True


def build():
    site = Site()
    site.ports = {"tls": free_port(), "https": free_port()}

    def edit(config):
        config["listen-tls"] = [f"127.0.0.1:{site.ports['tls']}"]
        config["listen-https"] = [f"127.0.0.1:{site.ports['https']}"]
        config["tls"] = {"certificates": [site.certs.site(HOST)]}
        config["tcp"] = {"threads": 1, "idle-timeout": "8s", "max-connections": 160}
    site.add_dns("ns1", edit)
    site.ports["tcp"] = site.dns.port
    return site.start()


def count(site, name):
    return site.dns.metrics()[name]


def closed(site, reason):
    return count(site, f'gslb_dns_tcp_closed_total{{reason="{reason}"}}')


def opened_now(site):
    return sum(count(site, f'gslb_dns_tcp_connections{{transport="{t}"}}') for t in site.ports)


def dial(site, transport, source="127.0.0.1"):
    """A connection; with TLS, before its handshake."""
    host = "::1" if ":" in source else "127.0.0.1"
    return socket.create_connection((host, site.ports[transport]), 20 * PATIENCE, (source, 0))


def secure(site, sock, protocol="dot"):
    context = ssl.create_default_context(cafile=str(site.certs.ca))
    context.set_alpn_protocols([protocol])
    return context.wrap_socket(sock, server_hostname=HOST)


def usable(site, transport, source="127.0.0.1"):
    sock = dial(site, transport, source)
    return secure(site, sock) if transport == "tls" else sock


def ask(sock, query=QUERY):
    sock.sendall(query)
    return dns.message.from_wire(read_tcp_message(sock))


def is_served(sock):
    """Whether an answer comes, or the connection has been closed."""
    try:
        return addresses_of(ask(sock)) == WANTED
    except OSError:
        return False


@contextlib.contextmanager
def nothing_open(site):
    """Sockets that are put into the list are closed at the end, and gone from the server."""
    socks = []
    wait_until(lambda: opened_now(site) == 0, "former connections to be gone")
    try:
        yield socks
    finally:
        for sock in socks:
            sock.close()
        wait_until(lambda: opened_now(site) == 0, "connections to be gone")


# ---- edns-tcp-keepalive, RFC 7828 ----

ASKS = tcp_frame(packet(opt(option(KEEPALIVE))))
TELLS = tcp_frame(packet(opt(option(KEEPALIVE, b"\0\x64"))))


def told(message):
    return [(int(o.otype), int.from_bytes(o.to_wire(), "big")) for o in message.options]


@case_table({"tcp": ("tcp",), "tls": ("tls",)})
def edns_tcp_keepalive_tells_the_idle_timeout(site, transport):
    with nothing_open(site) as socks:
        socks.append(usable(site, transport))
        check_equal(told(ask(socks[0], ASKS)), [(KEEPALIVE, 80)], "in units of 100 ms")
        check_equal(told(ask(socks[0])), [], "only who asks is told")
        check_equal(told(ask(socks[0], TELLS)), [], "a client has nothing to tell (section 3.2.1)")
        check_equal(told(ask(socks[0], ASKS)), [(KEEPALIVE, 80)], "and the connection lives")


@case
def edns_tcp_keepalive_is_0_when_room_is_wanted(site):
    """RFC 7828 section 3.3.2: the client is asked to close."""
    with nothing_open(site) as socks:
        for i in range(160):
            socks.append(dial(site, "tcp", f"127.0.1.{i // 20 + 1}"))
        check_equal(told(ask(socks[-1], ASKS)), [(KEEPALIVE, 0)])
        socks.pop().close()
        wait_until(lambda: opened_now(site) == 159, "one to be gone")
        check_equal(told(ask(socks[-1], ASKS)), [(KEEPALIVE, 80)])


@case
def edns_tcp_keepalive_follows_a_reload(site):
    usual = site.dns.config["tcp"]
    with nothing_open(site) as socks:
        socks.append(dial(site, "tcp"))
        check_equal(told(ask(socks[0], ASKS)), [(KEEPALIVE, 80)])
        site.dns.config["tcp"] = {**usual, "idle-timeout": "1h"}
        site.dns.reload()
        check_equal(told(ask(socks[0], ASKS)), [(KEEPALIVE, 36000)])
        site.dns.config["tcp"] = usual
        site.dns.reload()


# ---- how many ----

@case_table({
    "one_ipv4_address": (["127.0.2.1"], ["127.0.2.2"]),
    "one_ipv6_64": (list(V6_CLIENTS[:2]), [V6_CLIENTS[2]]),
})
def client_prefix_holds_exactly_its_share(site, sources, others):
    """An eighth of all, 20 of 160; one more is closed, until one goes."""
    before = closed(site, "client_limit")
    with nothing_open(site) as socks:
        for i in range(20):
            socks.append(dial(site, "tcp", sources[i % len(sources)]))
            check(is_served(socks[-1]), f"connection {i + 1}")
        with dial(site, "tcp", sources[-1]) as sock:
            check_equal(is_served(sock), False, "the 21st is closed")
        check_equal(closed(site, "client_limit"), before + 1)
        for other in others:
            socks.append(dial(site, "tcp", other))
            check(is_served(socks[-1]), "its neighbour has a share of its own")
        socks.pop(0).close()
        wait_until(lambda: opened_now(site) == 20, "one to be gone")
        socks.append(dial(site, "tcp", sources[-1]))
        check(is_served(socks[-1]), "the place is free again")
        check(all(is_served(sock) for sock in socks), "and nobody else lost one")


@case
def client_prefix_has_one_share_over_all_transports(site):
    before = closed(site, "client_limit")
    with nothing_open(site) as socks:
        for i in range(20):
            socks.append(usable(site, ("tcp", "tls")[i % 2]))
        for transport in site.ports:
            with dial(site, transport) as sock:
                check_equal(sock.recv(1), b"", transport)
        check_equal(closed(site, "client_limit"), before + 3)


@case
def longest_idle_gives_way(site):
    before = closed(site, "evicted")
    with nothing_open(site) as socks:
        for i in range(160):
            socks.append(dial(site, "tcp", f"127.0.1.{i // 20 + 1}"))
            check(is_served(socks[-1]), f"connection {i + 1}")
        check(is_served(socks[0]), "the first is not idle any more")
        socks.append(dial(site, "tcp", UNUSED))
        check(is_served(socks[-1]), "a new one is served")
        check_equal(closed(site, "evicted"), before + 1)
        check_equal(socks[1].recv(1), b"", "the second has given way")
        check(is_served(socks[0]), "the first has not")


# ---- who stalls ----

@case_table({"tcp": ("tcp",), "tls": ("tls",)})
def slow_reader_is_evicted(site, transport):
    """Who asks and does not read is closed after the idle timeout; others are answered meanwhile."""
    before = closed(site, "slow_reader")
    with nothing_open(site) as socks:
        socks += [usable(site, transport), usable(site, transport, UNUSED)]
        socks[0].settimeout(2 * PATIENCE)
        questions = tcp_frame(packet(body=question("example.com", TXT))) * 1000
        with contextlib.suppress(OSError):
            for _ in range(400):
                socks[0].sendall(questions)
        check(is_served(socks[1]), "others are served")
        wait_until(lambda: closed(site, "slow_reader") == before + 1, "it to be closed", 30)


@case
def stalled_handshakes_leave_room(site):
    """They may be a quarter of all connections; the oldest of them goes first, and who has come
    through, by TLS or TCP, stays."""
    before = closed(site, "evicted")
    with nothing_open(site) as socks:
        settled = [usable(site, "tls", UNUSED), usable(site, "tcp", UNUSED)]
        socks += settled
        for i in range(120):
            socks.append(dial(site, "tls", f"127.0.1.{i // 15 + 1}"))
            socks[-1].sendall(CLIENT_HELLO)
        wait_until(lambda: closed(site, "evicted") >= before + 80, "the oldest to give way")
        check(opened_now(site) <= 42, "a quarter of 160, and two")
        for transport in ("tls", "tcp"):
            socks.append(usable(site, transport, UNUSED))
            check(is_served(socks[-1]), f"a new client by {transport}")
        check(all(is_served(sock) for sock in settled), "the settled ones are there")
    wait_until(lambda: opened_now(site) == 0, "all to be gone")


@case
def flood_of_handshakes_stops_nobody(site):
    """One thread serves all; between handshakes it answers those who have come through."""
    is_over = threading.Event()
    shaken = []

    def flood(source):
        while not is_over.is_set() and len(shaken) < 2000:
            with contextlib.suppress(OSError), usable(site, "tls", source):
                shaken.append(source)
    with nothing_open(site) as socks:
        socks += [usable(site, "tls"), usable(site, "tcp")]
        flooders = [threading.Thread(target=flood, args=(f"127.0.3.{i}",)) for i in range(8)]
        for flooder in flooders:
            flooder.start()
        try:
            wait_until(lambda: len(shaken) > 20, "the flood to begin")
            while len(shaken) < 200:
                for sock in socks[:2]:
                    check(is_served(sock), "settled ones are answered")
                with usable(site, "tcp", UNUSED) as sock:
                    check(is_served(sock), "new ones get in")
                with usable(site, "tls", UNUSED) as sock:
                    check(is_served(sock), "by TLS too")
        finally:
            is_over.set()
            for flooder in flooders:
                flooder.join()


# ---- TCP Fast Open, RFC 7413 ----

def passive_opens():
    """Connections of this namespace that came with data in their SYN."""
    rows = [line.split() for line in pathlib.Path("/proc/thread-self/net/netstat").read_text().splitlines()
            if line.startswith("TcpExt:")]
    return int(dict(zip(*rows))["TCPFastOpenPassive"])


@case
def tcp_fast_open_takes_the_query_with_the_syn(site):
    before = passive_opens()
    for _ in range(3):      # the first gets the cookie
        with socket.socket() as sock:
            # Blocking, so that the first, without a cookie, sends what it could not send at once.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 10 * PATIENCE, 0))
            sock.sendto(QUERY, socket.MSG_FASTOPEN, ("127.0.0.1", site.ports["tcp"]))
            check_equal(addresses_of(dns.message.from_wire(read_tcp_message(sock))), WANTED)
            check(is_served(sock), "and goes on")
    check_equal(passive_opens(), before + 2)


if __name__ == "__main__":
    if enter_namespace():
        main(build)
    print("skip: a network namespace takes root")
    print("ok skipped_without_rights")
