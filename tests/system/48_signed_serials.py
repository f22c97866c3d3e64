#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The serial of a zone that is signed here grows with its signatures: secondaries fetch new ones
without an operator's hand, and nodes with equal files and keys agree on it (check item 38)."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.rdatatype  # noqa: E402

from gslbtest import (case, case_table, check, check_equal, check_in, free_port, main,  # noqa: E402
                      run_program, wait_until)
from name_servers import SECRET, SERVERS, start_secondary  # noqa: E402
from site_under_test import Site  # noqa: E402

ZONE = """$ORIGIN example.com.
$TTL 1
@ SOA ns1 h {serial} 1h 15m 2w 1
@ NS ns1
ns1 A 127.0.0.1
"""
# Steps of a roll-over follow each other in seconds.
SHORT = {"dnskey-ttl": "1s", "max-zone-ttl": "1s", "propagation-delay": "2s", "parent-ds-ttl": 0,
         "parent-propagation-delay": 0}


def make_keys(site, *args):
    folder = site.path("keys")
    result = run_program("gslb-dns", "keygen", "-d", folder, *args, "example.com")
    check_equal(result.returncode, 0, result.stderr)
    return folder


def configure(site, keys, notify=(), file=7, **dnssec):
    path = site.path("signed.zone")
    path.write_text(ZONE.format(serial=file))

    def edit(config):
        config["tsig-keys"] = {"backup": {"secret": SECRET}}
        config["zones"] = {"example.com": {"file": str(path), "notify": list(notify),
                                           "dnssec": {"keys": str(keys), **SHORT, **dnssec},
                                           "allow-transfer": ["key backup"]}}
        config["services"] = {}
    return edit


def soa_serial(client):
    answer = client.query("example.com", "SOA", timeout_s=1)
    return answer.answer[0][0].serial if answer.answer else None


def signers(client):
    """The tags of the keys that have signed the address of ns1."""
    answer = client.query("ns1.example.com", "A", dnssec=True, timeout_s=1)
    return {rr.key_tag for rrset in answer.answer if rrset.rdtype == dns.rdatatype.RRSIG for rr in rrset}


def zsks(site):
    zone = json.loads(site.ctl("keys", "example.com", "--json").stdout)["zones"][0]
    return {key["tag"]: key["state"] for key in zone["keys"] if key["role"] == "zsk"}


@case_table({name: name for name in SERVERS})
def secondaries_fetch_new_signatures(name):
    port = free_port()
    with Site() as site:
        keys = make_keys(site, "--split")
        site.add_dns("ns1", configure(site, keys, [f"127.0.0.1:{port} key backup"])).start()
        with start_secondary(site, name, site.dns.port, port) as peer:
            if peer is None:
                return
            client = peer.client
            wait_until(lambda: soa_serial(client), f"{name} to serve the zone", 30, 0.2)
            old, = zsks(site)
            before = soa_serial(client)
            wait_until(lambda: signers(client) == {old}, "signatures of the first key", 30, 0.2)
            check_equal(site.ctl("roll", "example.com", "zsk").returncode, 0)
            wait_until(lambda: len(zsks(site)) == 2, "the second key")
            new, = set(zsks(site)) - {old}
            # From here on nobody lifts a hand.
            wait_until(lambda: signers(client) == {new}, f"{name} to have the new signatures", 60, 0.2)
            wait_until(lambda: soa_serial(client) == soa_serial(site.dns.client), "the newest serial", 60, 0.2)
            check(soa_serial(client) - before > 0, "it grew")


@case
def nodes_agree_and_need_no_memory():
    with Site() as site:
        keys = make_keys(site)
        nodes = [site.add_dns(name, configure(site, keys)) for name in ("ns1", "ns2")]
        for node in nodes:
            node.start()

        def answers():
            return [node.query("example.com", "SOA", dnssec=True).answer for node in nodes]

        def agree():
            one, two = answers()
            return one == two
        wait_until(agree, "both to be in the same hour", 10)
        before = soa_serial(nodes[0].client)
        site.path("signed.zone").write_text(ZONE.format(serial=8))
        for node in nodes:
            node.reload("ctl")
        wait_until(agree, "equal answers after a reload", 10)
        check(soa_serial(nodes[0].client) >= before + 1, "it grew with the file's")

        # The step of a key is a moment that both read in its files, whenever they look.
        check_equal(nodes[0].ctl("roll", "example.com", "csk").returncode, 0)
        wait_until(lambda: soa_serial(nodes[0].client) > before + 1, "the roll-over to raise it")
        nodes[1].stop()
        nodes[1].start()
        wait_until(agree, "equal answers after a restart", 10)


@case
def both_serials_are_shown():
    with Site() as site:
        site.add_dns("ns1", configure(site, make_keys(site))).start()
        served = soa_serial(site.dns.client)
        check(served > int(time.time()) // 3600 * 64, "raised by 64 an hour")
        zone = site.dns.status()["zones"][0]
        check_equal((zone["serial"], zone["file_serial"]), (served, 7))
        check_in(f"serial {served}, in its file 7", site.ctl("keys").stdout)
        check_in("serial of the file 7", site.ctl("status").stdout)
        check_equal(site.dns.metric("gslb_dns_zone_serial"), served)


@case_table({"keep": ("keep", 7, 7), "unixtime": ("unixtime", 7, None),
             "unixtime, a younger file": ("unixtime", int(time.time()) + 1000, int(time.time()) + 1000)})
def other_laws(law, file, wanted):
    with Site() as site:
        begun = int(time.time())
        site.add_dns("ns1", configure(site, make_keys(site), file=file, serial=law)).start()
        served = soa_serial(site.dns.client)
        if wanted is not None:
            check(abs(served - wanted) <= 1, f"{served}, not {wanted}")
            return
        check(begun - 3700 <= served <= time.time(), f"{served} is a moment of the last hour")


@case
def a_date_is_no_moment():
    with Site() as site:
        node = site.add_dns("ns1", configure(site, make_keys(site), file=2026113001, serial="unixtime"))
        node.write_config()
        result = run_program("gslb-dns", "--check", "-c", node.config_path)
        check(result.returncode != 0, "taken")
        check_in("choose increment", result.stderr)


main()
