#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Clients that nobody here wrote: dig, kdig, host, and an unbound resolver that recurses to us."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from dns_client import addresses_of, ecs_of  # noqa: E402
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, main,  # noqa: E402
                      wait_until)
from site_under_test import Site  # noqa: E402
from validators import start_unbound  # noqa: E402

# A network of each region's country: US, IE, JP.
CLIENTS = {"8.8.8.0/24": "127.0.0.12", "185.2.100.0/24": "127.0.0.11", "133.11.0.0/16": "127.0.0.13"}
CLIENTS6 = {"2600:1f00::/32": "fd00::12", "2a01:b600::/32": "fd00::11", "2400:2410::/32": "fd00::13"}


def build():
    site = Site()

    def edit(config):
        zone = site.path("ns1.zone")
        big = " ".join(f'"{"x" * 200}"' for _ in range(20))
        zone.write_text(zone.read_text() + f"big TXT {big}\n"
                        "d DNAME static\nx.static A 192.0.2.5\nchain CNAME alias\n")
    site.add_dns("ns1", edit)
    for edge in ("us-east-1", "eu-west-1", "ap-northeast-1"):
        site.add_fake_edge(edge)
    site.start()
    zones, probe = {"example.com": site.dns.port}, "static.example.com"
    site.unbound = start_unbound(site, "unbound", zones, probe=probe)
    site.unbound_ecs = start_unbound(
        site, "unbound-ecs", zones, probe=probe, more="module-config: \"subnetcache iterator\"\n"
        "  send-client-subnet: 127.0.0.1\n  max-client-subnet-ipv4: 32\n"
        "  max-client-subnet-ipv6: 64\n")
    return site


def run(*argv, code=0):
    result = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False,
                            timeout=20 * PATIENCE)
    check_equal(result.returncode, code, f"{argv}: {result.stdout}{result.stderr}")
    return result.stdout


def dig(site, *args):
    return run("dig", "@127.0.0.1", "-p", site.dns.port, "+tries=1", "+norec", *args)


def kdig(site, *args):
    return run("kdig", "@127.0.0.1", "-p", site.dns.port, "+retry=0", "+norec", *args)


@case_table(CLIENTS)
def dig_with_subnet(site, *_):
    for subnet, wanted in CLIENTS.items():
        out = dig(site, "www.example.com", f"+subnet={subnet}")
        check(re.search(rf"^www\.example\.com\.\s+5\s+IN\s+A\s+{re.escape(wanted)}$", out, re.M), out)
        check(re.search(rf"CLIENT-SUBNET: {re.escape(subnet)}/\d+$", out, re.M), out)
        check("WARNING" not in out and "status: NOERROR" in out, out)


@case
def kdig_with_subnet(site):
    for subnet, wanted in {**CLIENTS, **CLIENTS6}.items():
        rdtype = "AAAA" if ":" in wanted else "A"
        out = kdig(site, "www.example.com", rdtype, f"+subnet={subnet}")
        check(re.search(rf"\s{rdtype}\s+{re.escape(wanted)}$", out, re.M), out)
        check_in("CLIENT-SUBNET", out)
        check("WARNING" not in out and "status: NOERROR" in out, out)


@case
def dig_without_subnet_gets_the_default_order(site):
    for client in (dig, kdig):
        out = client(site, "www.example.com", "+short")
        check_equal(out.strip(), "127.0.0.12")
        check("CLIENT-SUBNET" not in client(site, "www.example.com"), "no option unasked")


@case_table({"A": ("static.example.com", "A", "192.0.2.80"), "MX": ("example.com", "MX", "10 mail.example.com."),
             "TXT": ("example.com", "TXT", '"a site in three regions"'),
             "wildcard": ("x.wild.example.com", "TXT", '"wildcard"'),
             "SOA": ("example.com", "SOA", "ns1.example.com. hostmaster.example.com. 2026112301 3600 900 1209600 300")})
def dig_and_kdig_agree(site, name, rdtype, wanted):
    for how in ((), ("+tcp",), ("+noedns",), ("+dnssec",), ("+nsid",), ("+cookie",), ("+ignore",)):
        check_equal(dig(site, name, rdtype, "+short", *how).strip(), wanted, f"dig {how}")
    for how in ((), ("+tcp",), ("+noedns",), ("+dnssec",), ("+nsid",), ("+padding=128",)):
        check_equal(kdig(site, name, rdtype, "+short", *how).strip(), wanted, f"kdig {how}")


@case
def dig_falls_back_to_tcp(site):
    out = dig(site, "big.example.com", "TXT")
    check_in("Truncated, retrying in TCP mode", out)
    check_in("status: NOERROR", out)
    check(len(out) > 4000, "the whole answer")
    check_in("TC", kdig(site, "big.example.com", "TXT", "+ignore").upper())


@case
def dig_shows_nothing_odd(site):
    for args in (["+ednsopt=65001:abcd"], ["+ednsflags=0x40"], ["+dnssec", "+cd"], ["+ad"], ["+zflag"],
                 ["+keepalive", "+tcp"], ["+keepopen", "+tcp", "-q", "mail.example.com"]):
        out = dig(site, "static.example.com", *args)
        for bad in ("WARNING", "FORMERR", "MBZ", "malformed", "extra bytes"):
            check(bad not in out, f"{args}: {out}")
    check_in("status: BADVERS", dig(site, "static.example.com", "+edns=3", "+noednsneg"))
    check_in("status: NOTIMP", dig(site, "static.example.com", "+opcode=2"))
    check_in("status: REFUSED", dig(site, "example.org"))
    check_in("Transfer failed", dig(site, "example.com", "AXFR"))
    check_in("EDE: 20", dig(site, "example.org"))


@case
def dig_reads_a_batch_over_one_connection(site):
    path = site.path("batch")
    path.write_text("".join(f"n{i}.wild.example.com TXT\n" for i in range(200)))
    out = run("kdig", "@127.0.0.1", "-p", site.dns.port, "+tcp", "+keepopen", "+short",
              *[arg for i in range(100) for arg in ("-q", f"n{i}.wild.example.com", "-t", "TXT")])
    check_equal(out.count('"wildcard"'), 100)
    out = run("dig", "@127.0.0.1", "-p", site.dns.port, "+short", "-f", path)
    check_equal(out.count('"wildcard"'), 200)


@case
def host_reads_all_types(site):
    out = run("host", "-p", site.dns.port, "example.com", "127.0.0.1")
    check_in("example.com mail is handled by 10 mail.example.com", out)
    out = run("host", "-p", site.dns.port, "www.example.com", "127.0.0.1")
    check_in("www.example.com has address 127.0.0.12", out)
    check_in("www.example.com has IPv6 address fd00::12", out)


@case_table({"static": ("static.example.com", "A", {"192.0.2.80"}),
             "alias": ("alias.example.com", "A", {"192.0.2.80"}),
             "two aliases": ("chain.example.com", "A", {"192.0.2.80"}),
             "service": ("www.example.com", "A", {"127.0.0.12"}),
             "service, IPv6": ("www.example.com", "AAAA", {"fd00::12"}),
             "alias of a service": ("cdn.example.com", "A", {"127.0.0.12"}),
             "DNAME": ("x.d.example.com", "A", {"192.0.2.5"}),
             "deep below an empty non-terminal": ("deep.empty.terminal.example.com", "A", {"192.0.2.1"})})
def unbound_recurses(site, name, rdtype, wanted):
    for resolver in (site.unbound, site.unbound_ecs):
        got = resolver.query(name, rdtype, flags=0x100)
        check_equal(addresses_of(got, rdtype), wanted)
        check_equal(got.rcode(), 0)


@case_table({"no name": ("nosuch.example.com", "A", 3), "no type": ("static.example.com", "MX", 0),
             "empty non-terminal": ("terminal.example.com", "A", 0), "big": ("big.example.com", "TXT", 0),
             "apex SOA": ("example.com", "SOA", 0)})
def unbound_gets_the_rcode(site, name, rdtype, rcode):
    got = site.unbound.query(name, rdtype, flags=0x100, tcp=True)
    check_equal(got.rcode(), rcode)
    if rcode == 3 or name != "big.example.com" and rdtype != "SOA":
        check_equal([str(r.name) for r in got.authority], ["example.com."], "the SOA for caching")


@case
def unbound_passes_the_subnet_and_caches_by_scope(site):
    for subnet, wanted in {**CLIENTS, **{"2.16.0.0/16": None}}.items():
        got = site.unbound_ecs.query("www.example.com", subnet=subnet, flags=0x100)
        check_equal(len(addresses_of(got)), 1, subnet)
        if wanted:
            check_equal(addresses_of(got), {wanted}, subnet)
        check_equal(ecs_of(got).srclen, int(subnet.partition("/")[2]))
    before = site.dns.metrics()["gslb_dns_queries_ecs_total"]
    # Within the scope of an answer that it has, unbound need not ask again.
    for host in range(1, 20):
        got = site.unbound_ecs.query("www.example.com", subnet=f"133.11.0.{host}/32", flags=0x100)
        check_equal(addresses_of(got), {"127.0.0.13"})
    asked = site.dns.metrics()["gslb_dns_queries_ecs_total"] - before
    check(asked < 8, f"19 clients of one network cost {asked} queries")


@case
def unbound_caches_a_static_name_for_everybody(site):
    # Scope 0: the first client's answer serves all the others.
    site.unbound_ecs.query("mail.example.com", subnet="8.8.8.0/24", flags=0x100)
    before = site.dns.metrics()["gslb_dns_queries_ecs_total"]
    for subnet in CLIENTS:
        check_equal(addresses_of(site.unbound_ecs.query("mail.example.com", subnet=subnet, flags=0x100)),
                    {"192.0.2.25"})
    check_equal(site.dns.metrics()["gslb_dns_queries_ecs_total"], before)


@case
def unbound_sees_a_failover_when_the_ttl_has_passed(site):
    site.unbound.query("www.example.com", flags=0x100)
    edge = next(fake for fake in site.fakes if fake.name == "us-east-1")
    edge.say(can_serve=False, reason="test")
    wait_until(lambda: addresses_of(site.unbound.query("www.example.com", flags=0x100)) == {"127.0.0.11"},
               "the resolver to follow (TTL 5 s)", 9)
    edge.say(can_serve=True)
    site.wait_edge("us-east-1", "up")


@case
def unbound_is_content_with_us(site):
    for program in site.programs:
        if program.name.startswith("unbound"):
            lines = program.log_lines(r"error|capsforid|lame|sanitize|THROWAWAY")
            check_equal(lines, [], program.name)


main(build)
