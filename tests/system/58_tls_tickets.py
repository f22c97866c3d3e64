#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Session tickets that every edge of the site takes: keys from the nodes, their rotation, what is
left without nodes, and that no key is ever shown."""
import hashlib
import hmac
import json
import os
import re
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from gslbtest import PATIENCE, case, case_table, check, check_equal, check_in, main, run_program, wait_until  # noqa: E402
from site_under_test import Site  # noqa: E402
from tls_lab import V, context_for, dial, get_over  # noqa: E402

SECRETS = ["00112233445566778899aabbccddeeff" * 2, "ffeeddccbbaa99887766554433221100" * 2]


def build(secrets=True, period=None, nodes=2):
    site = Site()
    site.add_origin("one")
    site.secrets = site.path("ticket.secrets")
    site.secrets.write_text(f"# of all nodes\n{SECRETS[0]}\n")
    site.secrets.chmod(0o600)

    def edit(config):
        if secrets:
            config["control"]["ticket-secrets"] = str(site.secrets)
        if period:
            config["control"]["ticket-period"] = period
    for n in range(nodes):
        site.add_dns(f"ns{n + 1}", edit=edit)
    for name in ("eu-west-1", "us-east-1"):
        site.add_edge(name)
    site.start()
    return site


def keys_of(edge):
    return json.loads(edge.ctl("status", "--json").stdout)["ticket_keys"]


def making(edge):
    found = [k for k in keys_of(edge) if k["is_making"]]
    check_equal(len(found), 1, "keys that make tickets")
    return found[0]


def wait_shared(site):
    def look():
        makers = [making(edge) for edge in site.edges.values()]
        return all(k["is_shared"] for k in makers) and len({k["id"] for k in makers}) == 1
    wait_until(look, "the edges to make tickets by one key of the site")


def derive(secret, period_s, epoch):
    """RFC 5869, as nodes do it: name, cipher, mac."""
    key = hmac.new(b"gslb session tickets, version 1", bytes.fromhex(secret), hashlib.sha256).digest()
    info, out, block = struct.pack("!QQ", period_s, epoch), b"", b""
    for i in range(1, 4):
        block = hmac.new(key, block + info + bytes([i]), hashlib.sha256).digest()
        out += block
    return out[:16], out[16:48], out[48:80]


def session_from(site, edge, context):
    with dial(edge, context) as tls:
        get_over(tls)
        return tls.session


def resumes(edge, context, session):
    with dial(edge, context, session=session) as tls:
        check_equal(get_over(tls).status, 200)
        return tls.session_reused


def context_of(site, version):
    return context_for(site, minimum_version=version, maximum_version=version)


@case_table({"1.2": V.TLSv1_2, "1.3": V.TLSv1_3})
def a_ticket_of_one_edge_resumes_at_another(site, version):
    wait_shared(site)
    first, second = site.edges.values()
    context = context_of(site, version)
    check(resumes(second, context, session_from(site, first, context)), "from the first at the second")
    check(resumes(first, context, session_from(site, second, context)), "and the other way")


@case
def keys_are_those_of_the_epoch(site):
    period_s = 12 * 3600
    epoch = int(time.time()) // period_s
    ids = {derive(SECRETS[0], period_s, e)[0].hex()[:8]: e - epoch for e in range(epoch - 1, epoch + 3)}
    for edge in site.edges.values():
        shared = [k for k in keys_of(edge) if k["is_shared"]]
        check_equal(sorted(ids[k["id"]] for k in shared), [-1, 0, 1], "both nodes sent the same")
        check_equal(ids[making(edge)["id"]], 0)
        following = next(k for k in shared if ids[k["id"]] == 1)
        check(0 < following["begins_in_ms"] <= period_s * 1000, "when it begins")
    check_in("ticket    " + making(edge)["id"] + " shared, for ", edge.ctl("status").stdout)


@case
def a_reload_and_a_restarted_node_keep_tickets_valid(site):
    first, second = site.edges.values()
    context = context_for(site)
    session = session_from(site, first, context)
    site.dns.stop()
    site.dns.start()
    second.reload()
    site.start()
    check(resumes(second, context, session), "resumed")


@case
def no_key_is_shown(site):
    period_s = 12 * 3600
    keys = derive(SECRETS[0], period_s, int(time.time()) // period_s)
    texts = [program.log_path.read_text() for program in site.programs]
    for node in [*site.dns_nodes, *site.edges.values()]:
        texts += [node.ctl("status", "--json").stdout, node.ctl("metrics").stdout]
        # "dd": not in a core dump (proc(5)).
        with open(f"/proc/{node.program.pid}/smaps", encoding="ascii") as maps:
            check(any(" dd" in line for line in maps if line.startswith("VmFlags:")), "pages that are not dumped")
    for text in texts:
        for secret in (SECRETS[0], *[key.hex() for key in keys[1:]]):
            check(secret not in text and secret.upper() not in text, "a secret is shown")


@case
def a_new_secret_is_rolled_in_without_a_break(site):
    """As the manual tells: staged behind the first, then before it, one node after the other."""
    first, second = site.edges.values()
    context = context_for(site)
    old = making(first)["id"]
    session = session_from(site, first, context)
    site.secrets.write_text("\n".join(SECRETS) + "\n")
    for node in site.dns_nodes:
        node.reload()
    wait_until(lambda: len([k for k in keys_of(second) if k["is_shared"]]) == 6, "keys of both secrets")
    check_equal(making(first)["id"], old, "the first secret makes tickets")
    site.secrets.write_text("\n".join(reversed(SECRETS)) + "\n")
    for node in site.dns_nodes:
        node.reload()
        wait_until(lambda: making(first)["id"] == making(second)["id"], "the edges to agree")
        check(resumes(second, context, session), "an old ticket")
        session = session_from(site, first, context)
        check(resumes(second, context, session), "a new ticket")
        session = session_from(site, first, context)


@case_table({
    "too short": ("abc\n", 0o600, "expected a secret of 64 hexadecimal digits"),
    "not hexadecimal": ("x" * 64 + "\n", 0o600, "expected a secret of 64 hexadecimal digits"),
    "empty": ("# nothing\n", 0o600, "openssl rand -hex 32"),
    "too many": ((SECRETS[0] + "\n") * 5, 0o600, "more than 4 secrets"),
    "open to all": (SECRETS[0] + "\n", 0o644, "chmod o="),
})
def a_bad_file_is_refused(site, text, mode, said):
    good = site.secrets.read_text()
    site.secrets.write_text(text)
    site.secrets.chmod(mode)
    try:
        for output in (site.dns.ctl("reload").stderr,
                       run_program("gslb-dns", "-c", site.dns.config_path, "--check").stderr):
            check_in(said, output)
            check(SECRETS[0] not in output, "the secret is shown")
        check(making(site.edges["eu-west-1"])["is_shared"], "keys stay")
    finally:
        site.secrets.write_text(good)
        site.secrets.chmod(0o600)


@case
def nodes_without_secrets_agree_too():
    with build(secrets=False) as site:
        wait_shared(site)
        first, second = site.edges.values()
        wait_until(lambda: all(len([k for k in keys_of(edge) if k["is_shared"]]) == 6 for edge in (first, second)),
                   "keys of both nodes")
        context = context_for(site)
        check(resumes(second, context, session_from(site, first, context)), "resumed")


@case
def keys_rotate():
    with build(period="4s", nodes=1) as site:
        wait_shared(site)
        first, second = site.edges.values()
        context = context_for(site, maximum_version=V.TLSv1_2)
        session = session_from(site, first, context)
        begun, old = time.monotonic(), making(first)["id"]
        wait_until(lambda: making(second)["id"] != old, "another key")
        is_resumed = resumes(second, context, session)
        check(is_resumed or time.monotonic() - begun > 7, "a ticket by the key before is good")
        wait_until(lambda: not any(k["id"] == old for k in keys_of(second)), "the old key to go")
        check(not resumes(second, context, session), "its tickets are not good any more")
        # The node goes: the key that was sent ahead is used, then the edge's own.
        site.dns.stop()
        wait_until(lambda: not making(first)["is_shared"], "the edge to make its own")
        own = session_from(site, first, context)
        check(resumes(first, context, own), "its own ticket")
        check(not resumes(second, context, own), "which nobody else takes")
        site.start()
        wait_shared(site)


@case
def off_leaves_edges_their_own():
    with build(secrets=False, period="off", nodes=1) as site:
        first, second = site.edges.values()
        check_equal([k["is_shared"] for k in keys_of(first)], [False])
        first.config["tls"]["ticket-period"] = "2s"
        first.reload()
        context = context_for(site, maximum_version=V.TLSv1_2)
        session = session_from(site, first, context)
        check(not resumes(second, context, session), "keys are not shared")
        old = keys_of(first)[0]["id"]
        wait_until(lambda: keys_of(first)[0]["id"] != old, "a new key of its own")
        wait_until(lambda: not resumes(first, context, session), "the ticket to run out", 20 * PATIENCE)
        check(not re.search("keys for the edges", site.dns.program.tail(100)), "the node makes none")


main(build)
