#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Behind load balancers that say whom they bring (PROXY protocol, version 2): by UDP in each
datagram, on connections once and before TLS. Who is listed must say it, others must not."""
import os
import socket
import ssl
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.message  # noqa: E402

from dns_client import addresses_of, read_tcp_message, tcp_frame  # noqa: E402
from dns_packets import (COOKIE, PROXY_SIGNATURE, opt, option, packet, proxy_header,  # noqa: E402
                         question)
from gslbtest import (PATIENCE, case, case_table, check, check_equal, free_port, main,  # noqa: E402
                      wait_until)
from site_under_test import Site  # noqa: E402

HOST = "ns1.example.net"
STATIC, WANTED = packet(), {"192.0.2.80"}
STEERED = packet(body=question("www.example.com"))
CLIENTS = {"dublin": "185.2.100.1", "ashburn": "8.8.8.8", "tokyo_v6": "2400:2410::1"}
DUBLIN = CLIENTS["dublin"]


def build():
    site = Site()
    site.tls_port = free_port()

    def edit(config):
        config["listen-tls"] = [f"127.0.0.1:{site.tls_port}"]
        config["tls"] = {"certificates": [site.certs.site(HOST)]}
        config["tcp"] = {"idle-timeout": "3s"}
        config["services"]["www.example.com"]["regions"] = ["us-east", "eu-west", "ap-northeast"]
    site.add_dns("ns1", edit)
    for edge in ("us-east-1", "eu-west-1", "ap-northeast-1"):
        site.add_fake_edge(edge)
    return site.start()


class Listed:
    """While these are load balancers."""

    def __init__(self, site, *proxies, **more):
        self.dns, self.usual = site.dns, site.dns.config
        self.changed = {**self.usual, "proxy-protocol": {"from": list(proxies)}, **more}

    def __enter__(self):
        self.dns.config = self.changed
        self.dns.reload()

    def __exit__(self, *_):
        self.dns.config = self.usual
        self.dns.reload()


def dial(port):
    return socket.create_connection(("127.0.0.1", port), 20 * PATIENCE)


def ask_by_udp(site, data, header):
    return site.dns.client.raw(header + data)


def ask_by_tcp(site, data, header):
    with dial(site.dns.port) as sock:
        sock.sendall(header + tcp_frame(data))
        return read_tcp_message(sock)


def ask_by_tls(site, data, header):
    with dial(site.tls_port) as sock:
        for byte in header:
            sock.send(bytes([byte]))
        context = ssl.create_default_context(cafile=str(site.certs.ca))
        with context.wrap_socket(sock, server_hostname=HOST) as tls:
            tls.sendall(tcp_frame(data))
            return read_tcp_message(tls)


WAYS = {"udp": ask_by_udp, "tcp": ask_by_tcp, "tls": ask_by_tls}


def asked(site, way, data, header):
    answer = WAYS[way](site, data, header)
    check(answer is not None, "an answer")
    return addresses_of(dns.message.from_wire(answer))


@case_table({way: (way,) for way in WAYS})
def client_that_is_named_is_steered(site, way):
    wanted = {ip: site.dns.addresses("www.example.com", subnet=f"{ip}/{128 if ':' in ip else 32}")
              for ip in CLIENTS.values()}
    check_equal(len(set(map(frozenset, wanted.values()))), 3, f"steering tells them apart: {wanted}")
    with Listed(site, "127.0.0.1"):
        for ip, addresses in wanted.items():
            check_equal(asked(site, way, STEERED, proxy_header(ip)), addresses, ip)


@case_table({way: (way,) for way in WAYS})
def balancer_speaks_for_itself(site, way):
    with Listed(site, "127.0.0.1"):
        check_equal(asked(site, way, STATIC, proxy_header(DUBLIN, command=0x20)), WANTED)


@case_table({way: (way,) for way in WAYS})
def what_else_a_header_tells_is_skipped(site, way):
    with Listed(site, "127.0.0.0/8"):
        tlvs = b"\x04" + struct.pack("!H", 200) + b"x" * 200
        check_equal(asked(site, way, STATIC, proxy_header(DUBLIN, tlvs=tlvs)), WANTED)


WRONG = {
    "none_from_a_balancer": ("127.0.0.1", b"", STATIC),
    "version_1": ("127.0.0.1", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", b""),
    "from_anybody_else": ("192.0.2.0/24", proxy_header(DUBLIN), STATIC),
    "broken": ("127.0.0.1", PROXY_SIGNATURE + b"\x21\x11\0\1x", b""),
    "longer_than_the_packet": ("127.0.0.1", proxy_header(DUBLIN)[:-4], b""),
}


@case_table({name: row for name, row in WRONG.items() if name != "longer_than_the_packet"})
def wrong_header_ends_the_connection(site, proxies, header, data):
    row = 'gslb_dns_tcp_closed_total{reason="proxy_header"}'
    with Listed(site, proxies):
        before = site.dns.metrics()[row]
        with dial(site.dns.port) as sock:
            sock.sendall(header + (tcp_frame(data) if data else b""))
            try:
                check_equal(sock.recv(1), b"")
            except ConnectionResetError:
                pass
        wait_until(lambda: site.dns.metrics()[row] == before + 1, "the refusal to be counted")


@case
def balancer_that_sends_nothing_is_given_up(site):
    row = 'gslb_dns_tcp_closed_total{reason="proxy_header"}'
    with Listed(site, "127.0.0.1"):
        before = site.dns.metrics()[row]
        with dial(site.dns.port) as sock:
            sock.sendall(PROXY_SIGNATURE)
            check_equal(sock.recv(1), b"")
        check_equal(site.dns.metrics()[row], before + 1)


@case_table(WRONG)
def wrong_header_in_a_datagram_is_dropped(site, proxies, header, data):
    row = 'gslb_dns_udp_dropped_total{reason="proxy_header"}'
    with Listed(site, proxies):
        before = site.dns.metrics()[row]
        check_equal(site.dns.client.raw(header + data, timeout_s=0.2), None)
        wait_until(lambda: site.dns.metrics()[row] == before + 1, "the drop to be counted")


@case
def others_ask_as_before(site):
    with Listed(site, "192.0.2.0/24", "2001:db8::/32"):
        for way in WAYS:
            check_equal(asked(site, way, STATIC, b""), WANTED, way)


@case
def cookie_is_of_the_client_that_is_named(site):
    """A cookie that one client got is good for it, and for nobody else behind the balancer."""
    def cookie_of(data, client):
        message = dns.message.from_wire(ask_by_udp(site, data, proxy_header(client)))
        return message.options[0].to_wire()

    def count(verdict):
        return site.dns.metrics()[f'gslb_dns_cookies_total{{cookie="{verdict}"}}']
    with Listed(site, "127.0.0.1"):
        given = packet(opt(option(COOKIE, cookie_of(packet(opt(option(COOKIE, b"12345678"))), DUBLIN))))
        valid, invalid = count("valid"), count("invalid")
        cookie_of(given, DUBLIN)
        check_equal((count("valid"), count("invalid")), (valid + 1, invalid))
        cookie_of(given, CLIENTS["ashburn"])
        check_equal((count("valid"), count("invalid")), (valid + 1, invalid + 1))


@case
def rate_limit_is_of_the_client_that_is_named(site):
    with Listed(site, "127.0.0.1", **{"rate-limit": {"per-second": 5, "slip": "off"}}):
        def is_answered(client):
            return site.dns.client.raw(proxy_header(client) + STATIC, timeout_s=0.2) is not None
        wait_until(lambda: not is_answered(DUBLIN), "one client to be above the limit")
        check(is_answered(CLIENTS["ashburn"]), "its neighbour behind the balancer is not")


@case
def connections_are_counted_for_the_client_that_is_named(site):
    """One client may hold 8 of so few; what the balancer itself holds is not asked."""
    row = 'gslb_dns_tcp_closed_total{reason="client_limit"}'
    with Listed(site, "127.0.0.1", tcp={"idle-timeout": "10s", "max-connections": 64}):
        before = site.dns.metrics()[row]
        socks = [dial(site.dns.port) for _ in range(17)]
        for i, sock in enumerate(socks[:16]):
            sock.sendall(proxy_header(("192.0.2.1", "192.0.2.2")[i % 2]) + tcp_frame(STATIC))
            check_equal(addresses_of(dns.message.from_wire(read_tcp_message(sock))), WANTED)
        socks[16].sendall(proxy_header("192.0.2.1"))
        check_equal(socks[16].recv(1), b"")
        check_equal(site.dns.metrics()[row], before + 1)
        for sock in socks:
            sock.close()


if __name__ == "__main__":
    main(build)
