#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""gslbctl acme-dns-01 in signed zones: a validator takes the challenge, and nothing that is said of
other names denies it."""
import os
import sys
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.query  # noqa: E402
import dns.zone  # noqa: E402

from gslbtest import case, case_table, check, check_equal, check_in, main, run_program, wait_until  # noqa: E402
from site_under_test import Site  # noqa: E402
from validators import SignedZone, check_secure, fetch_dnskeys, start_unbound  # noqa: E402

ZONE = """$ORIGIN example.com.
$TTL 1h
@       IN SOA ns1 hostmaster 2026112301 1h 15m 2w 5m
        IN NS  ns1
ns1     IN A   127.0.0.1
static  IN A   192.0.2.80
_acme-challenge.static IN TXT "of the zone"
*.dom   IN A   192.0.2.9
        IN MX  10 ns1
*.walias IN CNAME static
deep.empty.terminal IN A 192.0.2.1
sub     IN NS  ns.sub
ns.sub  IN A   192.0.2.53
"""
# Every kind of name beside, above and below the challenges.
NAMES = ["_acme-challenge.www", "_acme-challenge.a.b", "a.b", "b", "x.b", "x.a.b", "y._acme-challenge.a.b", "www",
         "_acme-challenge.static", "static", "shop.dom", "x.shop.dom", "_acme-challenge.shop.dom",
         "x._acme-challenge.shop.dom", "other.dom", "dom", "*.dom", "shop.walias", "x.shop.walias",
         "_acme-challenge.shop.walias", "_acme-challenge.empty.terminal", "empty.terminal", "terminal", "zzz", "_b",
         "x.sub", "sub", "@"]
TYPES = ["TXT", "A", "MX", "AAAA", "CNAME"]
CHALLENGED = ["www", "a.b", "static", "shop.dom", "shop.walias", "empty.terminal"]


def build(denial):
    site = Site()
    keys = site.path("keys")
    keys.mkdir()
    check_equal(run_program("gslb-dns", "keygen", "-d", keys, "example.com").returncode, 0)
    nodes = [site.add_dns(name) for name in ("ns1", "ns2")]
    for node, other in (nodes, nodes[::-1]):
        node.zone_path.write_text(ZONE)
        node.config["zones"] = {"example.com": {"file": str(node.zone_path),
                                                "dnssec": {"keys": str(keys), "denial": denial}}}
        if denial != "compact":
            node.config["zones"]["example.com"]["allow-transfer"] = ["127.0.0.1"]
        node.config["control"]["peers"] = {other.name: f"127.0.0.1:{other.control_port}"}
    for node in nodes:
        node.start()
    for node, other in (nodes, nodes[::-1]):
        wait_until(lambda: node.metrics().get(f'gslb_channel_peer_connected{{peer="{other.name}"}}') == 1, "the link")
    return site


def whole(name):
    return "example.com" if name == "@" else f"{name}.example.com"


def ask(node, name, rdtype):
    return node.client.query(whole(name), rdtype, tcp=True, dnssec=True)


def what_is_said(node):
    """By name and type, without what proves it: RCODE and data."""
    def data(message):
        return sorted((rrset.rdtype, r.to_text()) for rrset in message.answer for r in rrset if rrset.rdtype != 46)
    return {(name, rdtype): (m.rcode(), data(m)) for name in NAMES for rdtype in TYPES
            for m in [ask(node, name, rdtype)]}


def texts(node, name):
    return {text.decode() for rrset in ask(node, name, "TXT").answer if rrset.rdtype == 16
            for r in rrset for text in r.strings}


def acme(node, *args):
    result = node.ctl("acme-dns-01", *args)
    check_equal(result.returncode, 0, f"{args}: {result.stdout}{result.stderr}")
    return result.stdout


def check_proofs(node, zone):
    for name in NAMES:
        for rdtype in TYPES:
            message = ask(node, name, rdtype)
            check_equal(zone.faults_of(message), [], f"{name} {rdtype}:\n{message}")


@case_table({"nsec": "nsec", "nsec3": "nsec3", "compact": "compact"})
def every_answer_proves_itself(denial):
    site = build(denial)
    ns1, ns2 = site.dns_nodes
    zone = SignedZone("example.com", fetch_dnskeys(ns1.client, "example.com"))
    check_proofs(ns1, zone)
    before = what_is_said(ns1)
    for name in CHALLENGED:
        check_in("at 2 nodes", acme(ns1, "add", f"{name}.example.com", f"text-{name}"))
    acme(ns2, "add", "shop.dom.example.com", "second")
    for node in (ns1, ns2):
        for name in CHALLENGED:
            check_in(f"text-{name}", texts(node, f"_acme-challenge.{name}"))
        check_equal(texts(node, "_acme-challenge.shop.dom"), {"text-shop.dom", "second"})
        check_equal(texts(node, "_acme-challenge.static"), {"text-static", "of the zone"})
        check_proofs(node, zone)
    # All else is as it was: names above a challenge exist now, the wildcard still answers.
    now = what_is_said(ns2)
    changed = {key for key in before if before[key] != now[key]}
    held = {f"_acme-challenge.{name}" for name in CHALLENGED} | {"a.b", "b"}
    check_equal({name for name, _ in changed} - held, set(), "changed")
    check_equal(ns1.addresses("x.shop.dom.example.com"), {"192.0.2.9"})
    check_equal(ns1.rcode("b.example.com"), "NOERROR")
    # Verdicts of health and reloads make new worlds; they keep the challenges.
    for by in ("signal", "ctl"):
        ns2.reload(by)
        check_equal(texts(ns2, "_acme-challenge.www"), {"text-www"})
    ns2.zone_path.write_text(ZONE.replace("2026112301", "2026112302") + "new IN A 192.0.2.5\n")
    ns2.reload()
    check_equal(ns2.addresses("new.example.com"), {"192.0.2.5"})
    check_equal(texts(ns2, "_acme-challenge.www"), {"text-www"})
    check_proofs(ns2, zone)
    for name in CHALLENGED:
        acme(ns2, "remove", f"{name}.example.com")
    check_equal(what_is_said(ns1), before)
    check_proofs(ns1, zone)


@case_table({"nsec": "nsec", "nsec3": "nsec3", "compact": "compact"})
def a_validating_resolver_takes_it(denial):
    """One that answers from what it was told of the neighbours, RFC 8198."""
    site = build(denial)
    ns1 = site.dns_nodes[0]
    anchor = fetch_dnskeys(ns1.client, "example.com")
    acme(ns1, "add", "www.example.com", "token")
    acme(ns1, "add", "shop.dom.example.com", "token")
    resolver = start_unbound(site, "unbound", {"example.com": ns1.port}, anchors=[anchor],
                             more="aggressive-nsec: yes", probe="static.example.com")
    for name in ("_.example.com", "_z.example.com", "x.example.com", "_acme-challenge.x.example.com"):
        check_secure(resolver, name, "TXT", rcode="NOERROR" if denial == "compact" else "NXDOMAIN")
    for name in ("_acme-challenge.www", "_acme-challenge.shop.dom"):
        message = check_secure(resolver, whole(name), "TXT")
        check(message is None or message.answer, name)
    check_secure(resolver, "shop.dom.example.com", "A")
    check_secure(resolver, "x.shop.dom.example.com", "MX")


@case
def it_goes_by_itself_and_survives_a_restart():
    site = build("nsec")
    ns1, ns2 = site.dns_nodes
    zone = SignedZone("example.com", fetch_dnskeys(ns1.client, "example.com"))
    before = what_is_said(ns1)
    acme(ns1, "add", "www.example.com", "token", "--lifetime", "15s")
    ns1.kill()
    ns2.kill()
    ns1.start()
    check_equal(texts(ns1, "_acme-challenge.www"), {"token"})
    check_proofs(ns1, zone)
    wait_until(lambda: texts(ns1, "_acme-challenge.www") == set(), "the challenge to go", 20)
    check_equal(what_is_said(ns1), before)
    check_proofs(ns1, zone)


@case
def a_burst_amid_reloads_is_answered_when_it_is_served():
    """Worlds are made beside the control loop: each command returns when its text is in the answers of
    both nodes, whatever comes between, and status is answered meanwhile."""
    site = build("nsec")
    ns1, ns2 = site.dns_nodes
    zone = SignedZone("example.com", fetch_dnskeys(ns1.client, "example.com"))

    def add(i):
        acme(site.dns_nodes[i % 2], "add", f"n{i % 4}.example.com", f"text-{i}")
        for node in (ns1, ns2):
            check_in(f"text-{i}", texts(node, f"_acme-challenge.n{i % 4}"))

    def reload(i):
        result = ns1.ctl("reload", "example.com")
        check_equal(result.returncode, 0, result.stderr)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(add, i) for i in range(16)] + [pool.submit(reload, i) for i in range(4)]:
            done.result()
    for i in range(4):
        check_equal(texts(ns1, f"_acme-challenge.n{i}"), {f"text-{k}" for k in range(i, 16, 4)})
        check_equal(zone.faults_of(ask(ns1, f"_acme-challenge.n{i}", "TXT")), [])
    check_equal(ns1.status()["node"], "ns1")


@case
def secondaries_get_the_zone_without_it():
    """Its serial stays, so that no secondary would learn when the challenge goes."""
    site = build("nsec")
    ns1 = site.dns_nodes[0]

    def copy():
        messages = dns.query.xfr("127.0.0.1", "example.com", port=ns1.port, timeout=20, relativize=False)
        return dns.zone.from_xfr(messages, relativize=False)

    before = copy()
    acme(ns1, "add", "www.example.com", "token")
    check_equal(texts(ns1, "_acme-challenge.www"), {"token"})
    check_equal(set(copy().nodes), set(before.nodes))


@case
def a_zone_that_comes_signed():
    """Nobody here can sign one record more: that is said, and the zone stays as it is."""
    site = build("nsec")
    ns1, ns2 = site.dns_nodes
    zone = SignedZone("example.com", fetch_dnskeys(ns1.client, "example.com"))
    lines = []
    for rrset in [r for name in ["@", "ns1", "static", "_acme-challenge.static"]
                  for rdtype in ("SOA", "NS", "A", "TXT", "DNSKEY")
                  for r in ask(ns1, name, rdtype).answer]:
        lines.append(rrset.to_text())
    ns2.zone_path.write_text("\n".join(dict.fromkeys(lines)) + "\n")
    ns2.config["zones"] = {"example.com": str(ns2.zone_path)}
    ns2.config["services"] = {}
    ns2.stop()
    ns2.start()
    result = ns2.ctl("acme-dns-01", "add", "www.example.com", "token")
    check_equal(result.returncode, 1)
    check_in("comes signed", result.stderr)
    check_equal(ns2.rcode("_acme-challenge.www.example.com", "TXT"), "NXDOMAIN")
    check_equal(zone.faults_of(ask(ns2, "static", "A")), [])


main()
