#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Zones that are signed here: what validators that nobody here wrote say of static and steered
answers, and of what is not there; after a change of health and after a reload."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.rcode  # noqa: E402
import dns.rdatatype  # noqa: E402

from gslbtest import case_table, check, check_equal, check_in, main, run_program, wait_until  # noqa: E402
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


main()
