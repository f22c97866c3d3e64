#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Cookies, the rate limit, and the names of class CHAOS."""

import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.flags  # noqa: E402
import dns.message  # noqa: E402
import dns.query  # noqa: E402
import dns.rcode  # noqa: E402

from dns_client import addresses_of, records_of  # noqa: E402
from dns_packets import COOKIE, TXT, opt, option, packet, question  # noqa: E402
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, main,  # noqa: E402
                      run_program)
from site_under_test import Site  # noqa: E402

CLIENT = b"12345678"
SECRETS = "00112233445566778899aabbccddeeff\nffeeddccbbaa99887766554433221100 # previous\n"
RATE = 50


def build():
    site = Site()
    secrets = site.path("secrets")
    secrets.write_text(SECRETS)
    secrets.chmod(0o600)

    def edit(config):
        config["cookies"] = {"secrets": "secrets"}
        config["identity"] = {"version": "none of your business", "id": "ns1.ams"}
    site.add_dns("ns1", edit)
    site.add_dns("ns2", lambda config: config.update(
        {"rate-limit": {"per-second": RATE, "exempt": ["127.77.0.0/16"]}, "workers": 2}))
    for edge in ("us-east-1", "eu-west-1", "ap-northeast-1"):
        site.add_fake_edge(edge)
    return site.start()


def ask_from(node, data, source="127.0.0.1", timeout_s=1.0):
    """The answer's bytes, None when there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))
        sock.settimeout(timeout_s)
        sock.sendto(data, ("127.0.0.1", node.port))
        try:
            return sock.recv(65535)
        except socket.timeout:
            return None


def cookie_in(answer):
    for o in dns.message.from_wire(answer).options:
        if int(o.otype) == COOKIE:
            return o.to_wire()
    return None


def with_cookie(cookie, **how):
    return packet(opt(option(COOKIE, cookie)), **how)


def learn(node, source="127.0.0.1", **how):
    got = cookie_in(ask_from(node, with_cookie(CLIENT), source, **how))
    check_equal(len(got), 24)
    check_equal(got[:8], CLIENT, "the client's half")
    return got


# ---- Cookies

@case
def a_cookie_comes_back_and_is_known(site):
    node, before = site.dns, site.dns.metrics()
    got = learn(node)
    check_equal(got[8:12], b"\1\0\0\0", "version 1, reserved 0: RFC 9018 section 4")
    check(abs(struct.unpack("!I", got[12:16])[0] - time.time()) < 10, "the time now")
    check_equal(cookie_in(ask_from(node, with_cookie(got))), got, "kept while it is young")
    check(cookie_in(ask_from(node, with_cookie(got), "127.0.0.2")) != got, "not of another address")
    after = node.metrics()
    for kind, n in (("client", 1), ("valid", 1), ("invalid", 1)):
        name = f'gslb_dns_cookies_total{{cookie="{kind}"}}'
        check_equal(after[name] - before[name], n, name)


@case
def cookies_come_with_every_kind_of_answer(site):
    for how in ({}, {"body": question("no.example.com")}, {"body": question("example.invalid")},
                {"body": question(rdclass=4)}, {"body": b"", "counts": (0, 0, 0, 1)}, {"opcode": 2}):
        check_equal(len(cookie_in(ask_from(site.dns, with_cookie(CLIENT, **how)))), 24, str(how))
    check_equal(cookie_in(ask_from(site.dns, packet(opt()))), None, "but never unasked")
    got = site.dns.client.raw(with_cookie(CLIENT), tcp=True)
    check_equal(len(cookie_in(got)), 24, "by TCP")


@case_table({str(n): n for n in (1, 7, 9, 15, 41)})
def malformed_cookies_are_formerr(site, n):
    check_equal(ask_from(site.dns, with_cookie(b"x" * n))[3] & 15, 1)


@case
def the_first_of_two_cookies_counts(site):
    data = packet(opt(option(COOKIE, CLIENT), option(COOKIE, b"87654321")))
    check_equal(cookie_in(ask_from(site.dns, data))[:8], CLIENT)


@case
def secrets_roll_without_refusing_anybody(site):
    """RFC 9018 section 5; a reload keeps what it should."""
    node = site.dns
    got = learn(node)
    first, second = [line.split()[0] for line in SECRETS.splitlines()]

    def known(cookie):
        before = node.metrics()['gslb_dns_cookies_total{cookie="valid"}']
        ask_from(node, with_cookie(cookie))
        return node.metrics()['gslb_dns_cookies_total{cookie="valid"}'] > before
    site.path("secrets").write_text(f"{second}\n{first}\n")
    node.reload(by="gslbctl")
    check(known(got), "the old one is known")
    fresh = cookie_in(ask_from(node, with_cookie(got)))
    check(fresh != got, "and renewed with the new one")
    site.path("secrets").write_text(f"{second}\n")
    node.reload(by="gslbctl")
    check(not known(got), "until it is gone")
    check(known(fresh), "the new one stays")


@case
def a_made_up_secret_survives_a_reload(site):
    node = site.dns_nodes[1]
    got = learn(node)
    node.reload(by="gslbctl")
    check_equal(cookie_in(ask_from(node, with_cookie(got))), got)


@case_table({
    "readable": ("00112233445566778899aabbccddeeff\n", 0o644, "chmod o="),
    "group may write": ("00112233445566778899aabbccddeeff\n", 0o660, "chmod g-w"),
    "too short": ("\n# one\n0011\n", 0o600, "bad:3"),
    "no secret": ("# nothing yet\n", 0o600, "openssl rand -hex 16"),
    "too many": ("00112233445566778899aabbccddeeff\n" * 5, 0o600, "bad:5"),
})
def mistakes_in_the_file_of_secrets_are_told(site, text, mode, told):
    bad, config = site.path("bad"), site.path("bad.yaml")
    bad.write_text(text)
    bad.chmod(mode)
    config.write_text(f'{{"listen": ["127.0.0.1:53"], "cookies": {{"secrets": "{bad}"}}, '
                      f'"zones": {{"example.com": "{site.dns.zone_path}"}}}}')
    result = run_program("gslb-dns", "--check", "-c", config)
    check(result.returncode != 0, "taken")
    check_in(told, result.stderr)


@case
def cookies_can_be_required_and_switched_off(site):
    node = site.dns
    node.config["cookies"]["require"] = "always"
    node.reload(by="gslbctl")
    got = dns.message.from_wire(ask_from(node, with_cookie(CLIENT)))
    check_equal((dns.rcode.to_text(got.rcode()), len(got.answer)), ("BADCOOKIE", 0))
    good = [o.to_wire() for o in got.options if int(o.otype) == COOKIE][0]
    check_equal(len(addresses_of(dns.message.from_wire(ask_from(node, with_cookie(good))))), 1)
    check_equal(len(addresses_of(dns.message.from_wire(ask_from(node, packet(opt()))))), 1,
                "who knows no cookies is answered")
    check_equal(node.client.raw(with_cookie(CLIENT), tcp=True)[3] & 15, 0, "and so is TCP")
    node.config["cookies"] = {"enabled": False}
    node.reload(by="gslbctl")
    check_equal(cookie_in(ask_from(node, with_cookie(CLIENT))), None)
    node.config["cookies"] = {"secrets": "secrets"}
    node.reload(by="gslbctl")


# ---- The rate limit

def flood(node, source, n, data=None):
    """Sends n queries at once; of each answer whether it has TC, and its RCODE."""
    return [(bool(answer[2] & 2), dns.message.from_wire(answer).rcode())
            for answer in flood_raw(node, source, n, data)]


def flood_raw(node, source, n, data=None):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        sock.bind((source, 0))
        sock.settimeout(0.5)
        got = []
        for _ in range(n):
            sock.sendto(data or packet(opt()), ("127.0.0.1", node.port))
        try:
            while True:
                got.append(sock.recv(65535))
        except socket.timeout:
            return got


@case
def one_client_is_held_to_its_rate(site):
    node, before = site.dns_nodes[1], site.dns_nodes[1].metrics()
    got = flood(node, "127.20.0.1", 400)
    whole = [g for g in got if not g[0]]
    check(RATE <= len(whole) <= 3 * RATE, f"{len(whole)} whole answers")
    truncated, held = len(got) - len(whole), 400 - len(whole)
    check(abs(truncated - held / 2) <= 2, f"{truncated} of {held} slipped")
    after = node.metrics()

    def grown(name):
        return after[name] - before[name]
    check_equal(grown('gslb_dns_rate_limit_total{verdict="passed"}'), len(whole))
    check_equal(grown('gslb_dns_rate_limit_total{verdict="address"}'), held)
    check_equal(grown('gslb_dns_rate_limited_total{action="truncated"}'), truncated)
    check_equal(grown('gslb_dns_rate_limited_total{action="dropped"}'), held - truncated)


@case
def the_exempt_are_not_limited(site):
    check_equal(flood(site.dns_nodes[1], "127.77.0.1", 400), [(False, 0)] * 400)


@case
def tcp_is_not_limited(site):
    node = site.dns_nodes[1]
    flood(node, "127.0.0.1", 400)
    for _ in range(20):
        check_equal(len(node.addresses("static.example.com", tcp=True)), 1)


@case
def above_the_limit_a_client_that_knows_cookies_gets_one(site):
    node = site.dns_nodes[1]
    asked = with_cookie(CLIENT)
    got = flood_raw(node, "127.21.0.1", 300, asked)
    check_equal(len(got), 300, "every query is answered somehow")
    held = [answer for answer in got if dns.message.from_wire(answer).rcode() == dns.rcode.BADCOOKIE]
    check(len(held) > 100, "BADCOOKIE above the limit")
    check_equal({len(answer) for answer in held}, {len(asked) + 16}, "longer by the cookie alone")


@case
def a_flood_touches_no_bystander_with_a_cookie_or_by_tcp(site):
    """Forged in the bystander's own name and in those of 199 others, in his /24 and /18: 16000
    queries."""
    node = site.dns_nodes[1]
    good = learn(node, "127.30.0.9")
    sockets = []
    try:
        for i in range(200):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((f"127.30.{i % 4}.{9 + i // 4}", 0))
            sockets.append(sock)
        for _ in range(20):
            for sock in sockets:
                for _ in range(4):
                    sock.sendto(packet(opt()), ("127.0.0.1", node.port))
            answer = ask_from(node, with_cookie(good), "127.30.0.9")
            check(answer is not None, "the bystander is answered")
            check_equal((answer[2] & 2, len(records_of(dns.message.from_wire(answer)))), (0, 1))
            answer = dns.query.tcp(dns.message.make_query("static.example.com", "A"), "127.0.0.1",
                                   port=node.port, source="127.30.0.9", timeout=5 * PATIENCE)
            check_equal(len(answer.answer), 1, "and by TCP without one")
    finally:
        for sock in sockets:
            sock.close()
    check(node.metric(r'rate_limit_total{verdict="network"') > 0, "the networks were above theirs")


@case
def the_limit_survives_a_reload_and_can_be_taken_away(site):
    node = site.dns_nodes[1]
    flood(node, "127.40.0.1", 400)
    node.reload(by="gslbctl")
    held = node.metric(r'rate_limit_total{verdict="address"')
    flood(node, "127.40.0.1", 100)
    check(node.metric(r'rate_limit_total{verdict="address"') > held, "known from before")
    node.config["rate-limit"] = "off"
    node.reload(by="gslbctl")
    check_equal(flood(node, "127.40.0.1", 300), [(False, 0)] * 300)


# ---- Class CHAOS

@case_table({
    "version.bind": ("version.bind", TXT, "none of your business"),
    "case": ("VERSION.SERVER", TXT, "none of your business"),
    "id.server": ("id.server", TXT, "ns1.ams"),
    "any": ("hostname.bind", 255, "ns1.ams"),
})
def chaos_names_say_who_answers(site, name, rdtype, want):
    got = dns.message.from_wire(ask_from(site.dns, packet(opt(), body=question(name, rdtype, 3))))
    check_equal([(r.rdclass, r.ttl, r[0].strings) for r in got.answer], [(3, 0, (want.encode(),))])
    check(got.flags & dns.flags.AA, "AA")


@case
def chaos_is_refused_unless_configured(site):
    for node, name, rdtype in ((site.dns, "authors.bind", TXT), (site.dns, "version.bind", 1),
                               (site.dns_nodes[1], "version.bind", TXT)):
        check_equal(ask_from(node, packet(opt(), body=question(name, rdtype, 3)))[3] & 15, 5)


if __name__ == "__main__":
    sys.exit(main(build))
