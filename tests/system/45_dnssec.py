#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Zones that are signed here: what validators that nobody here wrote say of static and steered
answers, and of what is not there; after a change of health and after a reload. Each way to deny, each
split of keys and each algorithm, on two nodes that have the same keys and so the same answers."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.rcode  # noqa: E402
import dns.rdatatype  # noqa: E402

from gslbtest import case, case_table, check, check_equal, check_in, main, run_program, wait_until  # noqa: E402
from site_under_test import Site  # noqa: E402
from validators import SignedZone, check_secure, delv, fetch_dnskeys, start_unbound  # noqa: E402

ZONE = """$ORIGIN example.com.
$TTL 1h
@       IN SOA ns1 hostmaster 2026112301 1h 15m 2w 5m
        IN NS  ns1
        IN MX  10 mail
ns1     IN A   127.0.0.1
mail    IN A   192.0.2.25
static  IN A   192.0.2.80
        IN AAAA 2001:db8::80
many    IN A   192.0.2.1
many    IN A   192.0.2.2
many    IN A   192.0.2.3
alias   IN CNAME static
cdn     IN CNAME www
www     IN HTTPS 1 . alpn=h2
        IN TXT "beside the service"
mx      IN MX  10 www
nowhere IN CNAME nothing
*.wild  IN TXT "wildcard"
*.walias IN CNAME static
tree    IN DNAME forest
oak.forest IN A 192.0.2.77
deep.empty.terminal IN A 192.0.2.1
sub     IN NS  ns.sub
ns.sub  IN A   192.0.2.53
"""

NAMES = [("example.com", "SOA"), ("example.com", "MX"), ("example.com", "NS"), ("example.com", "DNSKEY"),
         ("static.example.com", "A"), ("static.example.com", "AAAA"), ("many.example.com", "A"),
         ("alias.example.com", "A"), ("cdn.example.com", "A"), ("cdn.example.com", "AAAA"),
         ("www.example.com", "A"), ("www.example.com", "AAAA"), ("www.example.com", "TXT"),
         ("www.example.com", "HTTPS"), ("mx.example.com", "MX"), ("dyn.example.com", "A"),
         ("dyn.example.com", "MX"), ("a.b.wild.example.com", "TXT"), ("down.example.com", "A"),
         ("down.example.com", "AAAA"), ("down.example.com", "MX"), ("a.wild.example.com", "A"),
         ("x.walias.example.com", "A"), ("oak.tree.example.com", "A"), ("terminal.example.com", "A"),
         ("empty.terminal.example.com", "TXT"), ("static.example.com", "TXT"),
         ("static.example.com", "RRSIG"), ("static.example.com", "ANY"),
         ("sub.example.com", "DS"), ("example.com", "DS"), ("example.com", "CDS")]
MISSING = ["nothing.example.com", "x.static.example.com", "zzz.example.com", "a.example.com",
           "nowhere.example.com", "x.empty.terminal.example.com"]


def sign(site, denial, zone=ZONE):
    def edit(config):
        keys = site.path("keys")
        keys.mkdir(exist_ok=True)
        result = run_program("gslb-dns", "keygen", "-d", keys, "example.com")
        check_equal(result.returncode, 0, result.stderr)
        path = site.path("signed.zone")
        path.write_text(zone)
        config["zones"] = {"example.com": {"file": str(path),
                                           "dnssec": {"keys": str(keys), "denial": denial}}}
        config["services"]["down.example.com"] = {"regions": ["ap-northeast"], "all-down": "nodata"}
        config["services"]["dyn.example.com"] = {"ttl": "5s", "max-addresses": 1}
    return edit


def check_all(site, anchor):
    """Every answer proves itself, by UDP and TCP."""
    zone = SignedZone("example.com", anchor)
    for name, rdtype in NAMES + [(name, "A") for name in MISSING]:
        for subnet in (None, "185.2.100.0/24"):
            message = site.dns.client.query(name, rdtype, tcp=True, dnssec=True, subnet=subnet)
            check_equal(zone.faults_of(message), [], f"{name} {rdtype} {subnet}:\n{message}")


@case_table({"nsec": "nsec", "nsec3": "nsec3", "compact": "compact"})
def validators_believe_it(denial):
    site = Site()
    site.add_dns("ns1", sign(site, denial))
    edges = {name: site.add_fake_edge(name) for name in ("us-east-1", "eu-west-1")}
    site.start()
    anchor = fetch_dnskeys(site.dns.client, "example.com")
    check_all(site, anchor)
    resolver = start_unbound(site, "unbound", {"example.com": site.dns.port}, anchors=[anchor],
                             probe="static.example.com")
    for name, rdtype in NAMES:
        if rdtype in ("RRSIG", "ANY") or (name, rdtype) == ("example.com", "DS"):
            continue                    # the parent, which is not here, would be asked for the DS
        check_secure(resolver, name, rdtype)
    for name in MISSING:                # compact denial: as RFC 9824 section 3.1 has it
        check_secure(resolver, name, "A", rcode="NOERROR" if denial == "compact" else "NXDOMAIN")
    check_in("fully validated", delv(site, site.dns.port, anchor, "www.example.com", "A"))
    check_in("fully validated", delv(site, site.dns.port, anchor, "nothing.example.com", "A"))

    before = site.dns.addresses("www.example.com", subnet="185.2.100.0/24")
    edges["eu-west-1"].stop()
    wait_until(lambda: site.dns.addresses("www.example.com", subnet="185.2.100.0/24") != before,
               "the other region to answer")
    check_all(site, anchor)
    site.dns.reload()
    check_all(site, anchor)


# ---- every kind of zone

ALGORITHMS = ("ECDSAP256SHA256", "ECDSAP384SHA384", "ED25519")
KINDS = {f"{denial}-{keys}-{algorithm}.test".lower(): (denial, keys, algorithm)
         for denial in ("nsec", "nsec3", "compact") for keys in ("csk", "split")
         for algorithm in ALGORITHMS}
STEERED = {"www": {"ttl": "5s"}, "dyn": {"ttl": "5s", "max-addresses": 1},
           "down": {"regions": ["ap-northeast"], "all-down": "nodata"},
           "spare": {"regions": ["ap-northeast"], "all-down": "fallback", "max-addresses": 1,
                     "fallback": ["203.0.113.1", "203.0.113.2", "2001:db8::1"]}}
IS_PART = ("dyn", "spare")      # answers are one address of several, by chance
CLIENTS = (None, "185.2.100.0/24", "8.8.8.0/24", "2a00:1450:4001::/48")


def make_kinds(site):
    """Keys and files of all kinds of zones; returns how a node is configured for them."""
    zones, services = {}, {}
    for zone, (denial, keys, algorithm) in KINDS.items():
        folder, path = site.path("keys"), site.path(f"{zone}.zone")
        result = run_program("gslb-dns", "keygen", "-d", folder, "-a", algorithm, f"--{keys}", zone)
        check_equal(result.returncode, 0, result.stderr)
        path.write_text(ZONE.replace("example.com.", f"{zone}."))
        zones[zone] = {"file": str(path), "dnssec": {"keys": str(folder), "denial": denial}}
        services |= {f"{name}.{zone}": dict(service) for name, service in STEERED.items()}

    def edit(config):
        config["zones"], config["services"] = zones, services
        config["regions"]["eu-west"]["edges"]["eu-west-2"] = ["127.0.0.21", "fd00::21"]
    return edit


def questions(zone):
    """(name, type, client): names that are steered for several clients."""
    plain = [(name, rdtype) for name, rdtype in NAMES + [(name, "A") for name in MISSING]
             if name.partition(".")[0] not in STEERED]
    steered = [(f"{name}.example.com", rdtype) for name in [*STEERED, "cdn"]
               for rdtype in ("A", "AAAA", "TXT")]
    for clients, asked in (((None,), plain), (CLIENTS, steered)):
        for name, rdtype in asked:
            for client in clients:
                yield name.replace("example.com", zone), rdtype, client


def records(message):
    """All that is in an answer, its signatures too, without the order of records that goes round."""
    return message.rcode(), [sorted(f"{rrset.name} {rrset.ttl} {record.to_text()}"
                                    for rrset in section for record in rrset)
                             for section in (message.answer, message.authority, message.additional)]


def collect(node, anchors):
    """Asks a node everything, has each answer prove itself; {question: records}."""
    answers = {}
    for zone in KINDS:
        judge = SignedZone(zone, anchors[zone])
        for question in questions(zone):
            name, rdtype, client = question
            message = node.client.query(name, rdtype, tcp=True, dnssec=True, subnet=client)
            check_equal(judge.faults_of(message), [], f"{node.name} {question}:\n{message}")
            if name.partition(".")[0] not in IS_PART:
                answers[question] = records(message)
    return answers


def check_same(one, other, what):
    for question, wanted in one.items():
        check_equal(other[question], wanted, f"{what}: {question}")


def check_resolver(site, anchors):
    """What unbound says of each zone."""
    resolver = start_unbound(site, "unbound", {zone: site.dns.port for zone in KINDS},
                             anchors=anchors.values(), probe=f"static.{next(iter(KINDS))}")
    for zone, (denial, _, _) in KINDS.items():
        for name, rdtype in (("www", "A"), ("dyn", "AAAA"), ("down", "A"), ("spare", "A"), ("cdn", "A"),
                             ("oak.tree", "A"), ("a.wild", "TXT"), ("a.wild", "A"), ("sub", "DS"),
                             ("x.walias", "A"), ("empty.terminal", "A")):
            check_secure(resolver, f"{name}.{zone}", rdtype)
        check_secure(resolver, f"nothing.{zone}", "A",
                     rcode="NOERROR" if denial == "compact" else "NXDOMAIN")


def check_kinds():
    with Site() as site:
        edit = make_kinds(site)
        nodes = [site.add_dns(name, edit) for name in ("ns1", "ns2")]
        edges = {(name, node): site.add_fake_edge(name, node) for node in nodes
                 for name in ("us-east-1", "eu-west-1", "eu-west-2")}
        site.start()
        for name in ("us-east-1", "eu-west-1", "eu-west-2"):
            site.wait_edge(name, "up")
        zone = next(iter(KINDS))
        wait_until(lambda: not any(node.addresses(f"down.{zone}") for node in nodes),
                   "the edge that never reported to be left out")
        anchors = {zone: fetch_dnskeys(site.dns.client, zone) for zone in KINDS}
        for zone, (_, keys, algorithm) in KINDS.items():
            check_equal(len(anchors[zone]), 2 if keys == "split" else 1, f"keys of {zone}")
            check_equal(int(anchors[zone][0].algorithm), 13 + ALGORITHMS.index(algorithm), zone)

        before = collect(nodes[0], anchors)
        check_same(before, collect(nodes[1], anchors), "two nodes")
        check_resolver(site, anchors)

        for name in ("eu-west-1", "us-east-1"):     # one of two in its region, and a region's all
            for node in nodes:
                edges[name, node].stop()
            site.wait_edge(name, "down")
        changed = collect(nodes[0], anchors)
        check(changed[f"www.{zone}", "A", CLIENTS[1]] != before[f"www.{zone}", "A", CLIENTS[1]],
              "the region has lost an edge")
        check_same(changed, collect(nodes[1], anchors), "two nodes after a change of health")

        nodes[0].reload()
        check_same(changed, collect(nodes[0], anchors), "after a reload")
        with open(site.path(f"{zone}.zone"), "a", encoding="ascii") as file:
            file.write("new IN A 192.0.2.99\n")
        nodes[0].reload()
        new = nodes[0].client.query(f"new.{zone}", "A", dnssec=True)
        check_equal(SignedZone(zone, anchors[zone]).faults_of(new), [], "a name that is new")
        after = collect(nodes[0], anchors)
        # Where there is no answer stands the SOA, whose serial the change has raised.
        check_same({question: wanted for question, wanted in changed.items() if wanted[1][0]
                    and (question[2] is not None or question[0].startswith("static."))}, after,
                   "what a change of the file leaves")


@case
def every_kind_of_zone_proves_itself():
    """At the full hour signatures are renewed, on one node a moment before the other; should that
    come between, all is done once more."""
    hour = time.time() // 3600
    try:
        check_kinds()
    except AssertionError:
        if time.time() // 3600 == hour:
            raise
        check_kinds()


main()
