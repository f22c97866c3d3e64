#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Zones that are signed here go out signed, with their steered names: BIND's and Knot's verifiers
find nothing missing, whatever is healthy (check items 34, 37, 38 and 43)."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.query  # noqa: E402
import dns.zone  # noqa: E402

from gslbtest import (PATIENCE, case_table, check, check_equal, check_in, main, run_program,  # noqa: E402
                      wait_until)
from site_under_test import Site  # noqa: E402

ZONE = """$ORIGIN example.com.
$TTL 1h
@       SOA ns1 hostmaster 1 1h 15m 2w 5m
@       NS  ns1
ns1     A   127.0.0.1
static  A   192.0.2.80
alias   CNAME static
*.wild  TXT "wildcard"
deep.empty.terminal A 192.0.2.1
sub     NS  ns.sub
ns.sub  A   192.0.2.53
"""


def configure(site, denial):
    def edit(config):
        keys = site.path("keys")
        keys.mkdir()
        check_equal(run_program("gslb-dns", "keygen", "-d", keys, "example.com").returncode, 0)
        site.path("signed.zone").write_text(ZONE)
        config["zones"] = {"example.com": {"file": str(site.path("signed.zone")),
                                           "dnssec": {"keys": str(keys), "denial": denial},
                                           "allow-transfer": ["127.0.0.1"]}}
        config["services"]["one.example.com"] = {"max-addresses": 1}
        config["services"]["down.example.com"] = {"regions": ["ap-northeast"], "all-down": "nodata"}
    return edit


def transfer(site):
    zone = dns.zone.from_xfr(dns.query.xfr("127.0.0.1", "example.com", port=site.dns.port,
                                           relativize=False, timeout=20 * PATIENCE), relativize=False)
    path = site.path("transferred.zone")
    zone.to_file(str(path), relativize=False)
    return zone, path


def addresses(zone, name):
    return {r.address for r in zone.find_rdataset(name, "A")}


def check_verified(path):
    for argv in (["dnssec-verify", "-z", "-o", "example.com", path],
                 ["kzonecheck", "-d", "on", "-o", "example.com", path]):
        got = subprocess.run(argv, capture_output=True, text=True, check=False,
                             env={**os.environ, "PATH": "/usr/sbin:/usr/bin"})
        check_equal(got.returncode, 0, f"{argv[0]}: {got.stdout}{got.stderr}")


@case_table({"nsec": "nsec", "nsec3": "nsec3"})
def verifiers_miss_nothing(denial):
    site = Site()
    site.add_dns("ns1", configure(site, denial))
    edges = {name: site.add_fake_edge(name) for name in ("us-east-1", "eu-west-1")}
    site.start()
    wait_until(lambda: len(addresses(transfer(site)[0], "www.example.com.")) == 2, "two edges to go out")
    zone, path = transfer(site)
    check_verified(path)
    check_equal(len(addresses(zone, "one.example.com.")), 2, "all, not one answer's")
    check_equal(len(addresses(zone, "down.example.com.")), 1, "what the chain promises")

    edges["eu-west-1"].stop()
    wait_until(lambda: len(addresses(transfer(site)[0], "www.example.com.")) == 1, "one edge to go out")
    check_verified(transfer(site)[1])


@case_table({
    "without steered names": ("nsec", {"steered": "omit"},
                              "services cannot be left out of what is signed"),
    "compact denial": ("compact", {}, "a secondary has no key for that"),
})
def what_a_copy_could_not_prove_is_refused(denial, more, why):
    site = Site()

    def edit(config):
        configure(site, denial)(config)
        config["zones"]["example.com"] |= more
    dns_server = site.add_dns("ns1", edit)
    dns_server.write_config()
    result = run_program("gslb-dns", "--check", "-c", dns_server.config_path)
    check(result.returncode != 0, "taken")
    check_in(why, result.stderr)


main()
