#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""gslbctl acme-dns-01: TXT records that stand in no zone file, on all nodes, for a while; and the links
between nodes that carry them."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from gslbtest import PATIENCE, TOP, case, case_table, check, check_equal, check_in, main, program_path, run_program, wait_until  # noqa: E402
from site_under_test import Site  # noqa: E402

MORE = """_acme-challenge.static IN TXT "of the zone"
_acme-challenge.cdn IN CNAME challenges.wild
*.dom IN A 192.0.2.9
_acme-challenge.away IN CNAME x.example.net.
"""


def link(a, b):
    """a lists b among its peers."""
    a.config["control"].setdefault("peers", {})[b.name] = f"127.0.0.1:{b.control_port}"


def is_linked(node, other):
    return node.metrics().get(f'gslb_channel_peer_connected{{peer="{other.name}"}}') == 1


def build():
    site = Site()
    nodes = [site.add_dns(name) for name in ("ns1", "ns2", "ns3")]
    for node in nodes:
        node.zone_path.write_text(node.zone_path.read_text() + MORE)
        for other in nodes:
            if other is not node:
                link(node, other)
    for node in nodes:
        node.start()
    for node in nodes:
        for other in nodes:
            if other is not node:
                wait_until(lambda: is_linked(node, other), f"{node.name} to be linked to {other.name}")
    return site


def texts(node, name):
    return {text.decode() for rrset in node.query(name, "TXT").answer for r in rrset if r.rdtype == 16
            for text in r.strings}


def acme(node, *args, code=0):
    result = node.ctl("acme-dns-01", *args)
    check_equal(result.returncode, code, f"{args}: {result.stdout}{result.stderr}")
    return result.stdout + result.stderr


@case
def a_challenge_is_on_all_nodes_when_the_command_returns(site):
    said = acme(site.dns_nodes[1], "add", "www.example.com", "token-1")
    check_in("_acme-challenge.www.example.com. TXT token-1 added at 3 nodes", said)
    for node in site.dns_nodes:
        answer = node.query("_acme-challenge.www.example.com", "TXT")
        check_equal([rrset.ttl for rrset in answer.answer], [5])
        check(answer.flags & 0x0400, "authoritative")
        check_equal(texts(node, "_acme-challenge.WWW.example.com"), {"token-1"})
    acme(site.dns_nodes[2], "add", "*.www.example.com", "token-2")
    for node in site.dns_nodes:
        check_equal(texts(node, "_acme-challenge.www.example.com"), {"token-1", "token-2"})
        check_in("TXT token-2  for ", acme(node, "list"))
    acme(site.dns_nodes[0], "remove", "www.example.com", "token-1")
    for node in site.dns_nodes:
        check_equal(texts(node, "_acme-challenge.www.example.com"), {"token-2"})
    acme(site.dns_nodes[0], "remove", "www.example.com")
    for node in site.dns_nodes:
        check_equal(node.rcode("_acme-challenge.www.example.com", "TXT"), "NXDOMAIN")
        check_equal(node.metrics()["gslb_dns_acme_records"], 0)


@case
def beside_what_the_zone_has(site):
    ns1 = site.dns_nodes[0]
    check_equal(ns1.rcode("a.b.example.com"), "NXDOMAIN")
    acme(ns1, "add", "a.b.example.com", "t")
    for name in ("b.example.com", "a.b.example.com", "_acme-challenge.a.b.example.com"):
        check_equal((ns1.rcode(name), ns1.query(name).answer), ("NOERROR", []), name)
    check_equal(ns1.rcode("c.b.example.com"), "NXDOMAIN")
    acme(ns1, "add", "static.example.com", "t")
    check_equal(texts(ns1, "_acme-challenge.static.example.com"), {"t", "of the zone"})
    check_equal(len(ns1.query("_acme-challenge.static.example.com", "ANY").answer), 1)
    # A wildcard goes on answering, for the names above the challenge too.
    acme(ns1, "add", "shop.dom.example.com", "t")
    check_equal(texts(ns1, "_acme-challenge.shop.dom.example.com"), {"t"})
    check_equal(ns1.addresses("shop.dom.example.com"), {"192.0.2.9"})
    check_equal(texts(ns1, "x.wild.example.com"), {"wildcard"})
    # Where a CNAME leads, under a wildcard.
    check_in("challenges.wild.example.com. TXT t added", acme(ns1, "add", "cdn.example.com", "t"))
    check_equal(texts(ns1, "_acme-challenge.cdn.example.com"), {"t"})
    for name in ("a.b", "static", "shop.dom", "cdn"):
        acme(ns1, "remove", f"{name}.example.com")
    check_equal(ns1.rcode("b.example.com"), "NXDOMAIN")
    check_equal(texts(ns1, "_acme-challenge.static.example.com"), {"of the zone"})


@case_table({"elsewhere": (["add", "www.example.net", "t"], "not in a zone of this node", 1),
             "delegated": (["add", "x.sub.example.com", "t"], "it is delegated", 1),
             "alias to elsewhere": (["add", "away.example.com", "t"], "x.example.net. is not in a zone", 1),
             "bad name": (["add", "a..b", "t"], "no domain name", 1),
             "bad text": (["add", "www.example.com", "a b"], "printable", 1),
             "long text": (["add", "www.example.com", "x" * 256], "255", 1),
             "short life": (["add", "www.example.com", "t", "--lifetime", "5s"], "10 s", 1),
             "long life": (["add", "www.example.com", "t", "--lifetime", "2d"], "86400", 1),
             "no life": (["add", "www.example.com", "t", "--lifetime", "soon"], "usage", 2),
             "no text": (["add", "www.example.com"], "usage", 2), "no action": (["nothing"], "usage", 2)})
def refused(site, args, words, code):
    check_in(words, acme(site.dns_nodes[0], *args, code=code))


@case
def too_many_for_one_name(site):
    ns1 = site.dns_nodes[0]
    for i in range(16):
        acme(ns1, "add", "many.example.com", f"t{i}")
    check_in("too many", acme(ns1, "add", "many.example.com", "t16", code=1))
    check_equal(len(texts(ns1, "_acme-challenge.many.example.com")), 16)
    acme(ns1, "remove", "many.example.com")


@case
def it_goes_by_itself_and_survives_reloads(site):
    for node in site.dns_nodes:
        node.reload()
    acme(site.dns_nodes[0], "add", "www.example.com", "short", "--lifetime", "10s")
    acme(site.dns_nodes[0], "add", "www.example.com", "long", "--lifetime", "1h")
    for node in site.dns_nodes:
        node.reload()
        check_in("long", texts(node, "_acme-challenge.www.example.com"))
    for node in site.dns_nodes:
        wait_until(lambda: texts(node, "_acme-challenge.www.example.com") == {"long"}, "the short one to go", 15)
    acme(site.dns_nodes[0], "remove", "www.example.com")


@case
def a_node_that_was_away_is_named_and_told_later(site):
    ns1, ns2, ns3 = site.dns_nodes
    acme(ns1, "add", "www.example.com", "old")
    acme(ns1, "add", "www.example.com", "gone")
    ns2.kill()
    for node in (ns1, ns3):
        wait_until(lambda: not is_linked(node, ns2), "the link to be lost")
    check_in("ns2 is not connected", acme(ns1, "add", "www.example.com", "new", code=1))
    acme(ns3, "remove", "www.example.com", "gone", code=1)
    check_equal(texts(ns3, "_acme-challenge.www.example.com"), {"old", "new"})
    ns2.start()
    wait_until(lambda: texts(ns2, "_acme-challenge.www.example.com") == {"old", "new"}, "ns2 to know all", 15)
    for node in (ns1, ns3):
        wait_until(lambda: is_linked(node, ns2), "the link to be there again", 15)
    check_in("removed at 3 nodes", acme(ns2, "remove", "www.example.com"))


@case
def it_survives_a_restart_of_all_nodes(site):
    """From their state files; and what was removed stays so."""
    acme(site.dns_nodes[0], "add", "www.example.com", "kept", "--lifetime", "1h")
    acme(site.dns_nodes[0], "add", "www.example.com", "short", "--lifetime", "12s")
    acme(site.dns_nodes[1], "add", "www.example.com", "gone")
    acme(site.dns_nodes[2], "remove", "www.example.com", "gone")
    for node in site.dns_nodes:
        node.kill()
    for node in site.dns_nodes:
        check_equal(run_program("gslb-dns", "-c", node.config_path, "--check").stderr, "")
        node.start()
        check_in(texts(node, "_acme-challenge.www.example.com"), ({"kept", "short"}, {"kept"}))
    for node in site.dns_nodes:
        wait_until(lambda: texts(node, "_acme-challenge.www.example.com") == {"kept"}, "the short one to go", 15)
        for other in site.dns_nodes:
            if other is not node:
                wait_until(lambda: is_linked(node, other), "the link to be there again", 15)
    check_in("removed at 3 nodes", acme(site.dns_nodes[1], "remove", "www.example.com"))


@case
def lines_of_a_state_file_that_mean_nothing(site):
    """They are skipped with a warning each, and the others are taken."""
    node = site.dns_nodes[2]
    node.kill()
    end = int(time.time() * 1000) + 600000
    long = "x" * 256
    bad = ["challenge", "challenge x.example.com", f"challenge a..b t 1 {end} add", f"challenge x.example.com t x {end} add",
           f"challenge x.example.com t 1 {end} perhaps", f"challenge x.example.com {long} 1 {end} add",
           f'challenge x.example.com a"b 1 {end} add', f"challenge {'x' * 1500} t 1 {end} add"]
    site.path("ns3.state").write_text("\n".join([*bad, f"challenge x.example.com. t 1 {end} add",
                                                "challenge x.example.com. over 1 1000 add", ""]))
    node.start()
    check_equal(len(node.program.log_lines(r"ns3\.state:\d+: .*not understood")), len(bad))
    check_equal(texts(node, "x.example.com"), {"t"})
    for other in site.dns_nodes[:2]:
        wait_until(lambda: is_linked(node, other) and is_linked(other, node), "the links", 15)
    wait_until(lambda: texts(site.dns_nodes[0], "x.example.com") == {"t"}, "others to know it")
    node.stop()
    site.path("ns3.state").unlink()
    node.start()
    for other in site.dns_nodes[:2]:
        wait_until(lambda: is_linked(node, other) and is_linked(other, node), "the links", 15)


@case
def a_peer_with_a_wrong_certificate(site):
    """Another name than listed, or another role, is no peer, whoever connects."""
    ns1, ns2, _ = site.dns_nodes
    stranger = site.add_dns("ns9")
    link(stranger, ns1)
    mark = ns1.program.mark()
    stranger.start()
    check_in("peer=dns/ns9", ns1.program.wait_log("name that the configuration does not list", since=mark))
    check_in("ns1 has not confirmed", acme(stranger, "add", "www.example.com", "evil", code=1)
             .replace("is not connected (it is told when it comes back)", "has not confirmed"))
    check_equal(ns1.rcode("_acme-challenge.www.example.com", "TXT"), "NXDOMAIN")
    # Dialled under a name that is not its own.
    mark = ns2.program.mark()
    ns2.config["control"]["peers"]["ns8"] = f"127.0.0.1:{stranger.control_port}"
    ns2.reload()
    check_in("gslb://dns/ns9", ns2.program.wait_log("no link to the peer.* peer=ns8", since=mark))
    del ns2.config["control"]["peers"]["ns8"]
    ns2.reload()
    stranger.stop()


@case_table({"dehydrated": (["deploy_challenge", "www.example.com", "file", "tok"], {},
                            ["clean_challenge", "www.example.com", "file", "tok"], {}),
             "uacme": (["begin", "dns-01", "www.example.com", "x", "tok"], {},
                       ["done", "dns-01", "www.example.com", "x", "tok"], {}),
             "certbot": ([], {"CERTBOT_DOMAIN": "www.example.com", "CERTBOT_VALIDATION": "tok"}, [],
                         {"CERTBOT_DOMAIN": "www.example.com", "CERTBOT_VALIDATION": "tok",
                          "CERTBOT_AUTH_OUTPUT": ""})})
def hook(site, add, add_env, remove, remove_env):
    ns1 = site.dns_nodes[0]
    env = {"PATH": f"{os.path.dirname(program_path('gslbctl'))}:{os.environ['PATH']}",
           "GSLBCTL_SOCKET": str(ns1.socket)}
    subprocess.run([TOP / "deploy/examples/acme-hook", *add], env=env | add_env, check=True, timeout=20 * PATIENCE)
    check_equal(texts(site.dns_nodes[2], "_acme-challenge.www.example.com"), {"tok"})
    subprocess.run([TOP / "deploy/examples/acme-hook", *remove], env=env | remove_env, check=True,
                   timeout=20 * PATIENCE)
    check_equal(texts(site.dns_nodes[2], "_acme-challenge.www.example.com"), set())


main(build)
