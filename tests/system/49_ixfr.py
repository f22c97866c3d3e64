#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Who has an older version of a zone gets what changed since (IXFR, RFC 1995), as far as memory
reaches; dnspython applies it strictly, NSD, Knot and BIND take it."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.message  # noqa: E402
import dns.query  # noqa: E402
import dns.rdatatype  # noqa: E402
import dns.xfr  # noqa: E402
import dns.zone  # noqa: E402

from gslbtest import (PATIENCE, case, case_table, check, check_equal, free_port, main,  # noqa: E402
                      run_program, wait_until)
from name_servers import SECRET, SERVERS, start_secondary  # noqa: E402
from site_under_test import Site  # noqa: E402

ZONE = """$ORIGIN example.com.
$TTL 1h
@ SOA ns1 h {serial} 1h 15m 2w 5m
@ NS ns1
ns1 A 127.0.0.1
$GENERATE 1-60 host$ A 192.0.2.$
{more}
"""
INCREMENTAL = "gslb_dns_incremental_transfers_total"


class Primary:
    """A node with one zone, which changes."""

    def __init__(self, denial=None, services=(), **settings):
        self.site, self.serial = Site(), 0
        self.path = self.site.path("changing.zone")
        self.write("")
        zone = {"file": str(self.path), "allow-transfer": ["127.0.0.1", "key backup"], **settings}
        if denial:
            keys = self.site.path("keys")
            keys.mkdir()
            check_equal(run_program("gslb-dns", "keygen", "-d", keys, "example.com").returncode, 0)
            zone["dnssec"] = {"keys": str(keys), "denial": denial}

        def edit(config):
            config["tsig-keys"] = {"backup": {"secret": SECRET}}
            config["zones"] = {"example.com": zone}
            config["services"] = {f"{name}.example.com": {} for name in services}
        self.dns = self.site.add_dns("ns1", edit)
        self.dns.start()

    def write(self, more):
        self.serial += 1
        self.path.write_text(ZONE.format(serial=self.serial, more=more))

    def change(self, more):
        self.write(more)
        self.dns.reload("ctl")

    def whole(self):
        messages = dns.query.xfr("127.0.0.1", "example.com", port=self.dns.port, relativize=False,
                                 timeout=20 * PATIENCE)
        return dns.zone.from_xfr(messages, relativize=False)

    def follow(self, zone, udp=dns.query.UDPMode.NEVER):
        """Brings a copy up to date; what does not fit it exactly is an exception."""
        query, _ = dns.xfr.make_query(zone)
        dns.query.inbound_xfr("127.0.0.1", zone, query, port=self.dns.port, timeout=20 * PATIENCE,
                              lifetime=20 * PATIENCE, udp_mode=udp)

    def is_incremental(self, zone, **how):
        """Follows; was it told what changed alone?"""
        before = self.dns.metric(INCREMENTAL)
        self.follow(zone, **how)
        return self.dns.metric(INCREMENTAL) - before == 1


def copy_of(primary):
    """As Primary.whole, of the class that can be changed in place."""
    zone = dns.zone.Zone("example.com", relativize=False)
    query, _ = dns.xfr.make_query(zone)
    dns.query.inbound_xfr("127.0.0.1", zone, query, port=primary.dns.port, lifetime=20 * PATIENCE)
    return zone


def check_same(copy, primary):
    wanted = primary.whole()
    check_equal(sorted(copy.to_text(relativize=False).splitlines()),
                sorted(wanted.to_text(relativize=False).splitlines()), "the copy")


@case_table({
    "plain": {},
    "signed, nsec": {"denial": "nsec"},
    "signed, nsec3": {"denial": "nsec3"},
    "services": {"services": ["www", "api"]},
    "services that are omitted": {"services": ["www"], "steered": "omit"},
    "signed services": {"denial": "nsec3", "services": ["www"]},
})
def copies_follow_what_changed(settings):
    primary = Primary(**settings)
    with primary.site:
        primary.change("") # what a node sent before its start is not known where services go out
        first = copy_of(primary)
        copy = copy_of(primary)
        for more in ("new A 192.0.2.99", "new A 192.0.2.98\nnew AAAA 2001:db8::1\nsub NS ns.sub\nns.sub A 192.0.2.1",
                     "*.wild TXT w\n@ MX 10 ns1", "", "deep.empty.terminal A 192.0.2.7\nalias CNAME host1"):
            primary.change(more)
            check(primary.is_incremental(copy), f"{more}: the whole zone came")
            check_same(copy, primary)
        check(primary.is_incremental(first), "from the first version: the whole zone came")
        check_same(first, primary)
        check(not primary.is_incremental(first), "nothing is new")


@case
def by_udp_it_comes_if_it_fits():
    primary = Primary()
    with primary.site:
        copy, other = copy_of(primary), copy_of(primary)
        primary.change("new A 192.0.2.99")
        check(primary.is_incremental(copy, udp=dns.query.UDPMode.ONLY), "it fits")
        check_same(copy, primary)
        primary.change("\n".join(f"new{i} A 192.0.2.1" for i in range(50)))
        query, _ = dns.xfr.make_query(other)
        answer = dns.query.udp(query, "127.0.0.1", port=primary.dns.port, timeout=3 * PATIENCE,
                               one_rr_per_rrset=True)
        check_equal([(r.rdtype, r[0].serial) for r in answer.answer], [(dns.rdatatype.SOA, primary.serial)],
                    "RFC 1995 section 2: the SOA alone")
        check(primary.is_incremental(other, udp=dns.query.UDPMode.TRY_FIRST), "by TCP")
        check_same(other, primary)


@case
def the_whole_zone_comes_where_memory_does_not_reach():
    primary = Primary()
    with primary.site:
        copy, old = copy_of(primary), copy_of(primary)
        for i in range(2):
            primary.change("\n".join(f"more{i}-{k} A 192.0.2.1" for k in range(100)))
            check_equal(primary.is_incremental(copy), i == 0, "as long as the difference is less than the zone")
        check_same(copy, primary)
        primary.dns.stop()
        primary.dns.start()
        primary.change("one A 192.0.2.1")
        check(not primary.is_incremental(old), "from before a restart")
        check_same(old, primary)
        primary.dns.config["zones"]["example.com"]["ixfr-history"] = "off"
        primary.dns.reload("ctl")
        primary.change("two A 192.0.2.1")
        check(not primary.is_incremental(copy), "switched off")
        check_same(copy, primary)
        check("gslb_dns_zone_history_bytes" not in str(primary.dns.metrics()), "nothing is kept")


@case
def health_is_no_version():
    """An edge that is down is missing from the zone under the same serial: nobody can say what a copy
    has, so the whole comes."""
    primary = Primary(services=["www"])
    with primary.site:
        site = primary.site
        edges = {name: site.add_fake_edge(name) for name in ("us-east-1", "eu-west-1", "ap-northeast-1")}
        for name in edges:
            site.wait_edge(name, "up")
        primary.change("")
        primary.change("one A 192.0.2.1")
        copy = copy_of(primary)
        primary.change("two A 192.0.2.2")
        check(primary.is_incremental(copy), "all edges are up")
        edges["eu-west-1"].stop()
        site.wait_edge("eu-west-1", "down")
        wait_until(lambda: len(primary.whole().find_rdataset("www.example.com.", "A")) == 2, "the edge to leave")
        primary.change("three A 192.0.2.3")
        check(not primary.is_incremental(copy), "one is down")
        check_same(copy, primary)
        site.add_fake_edge("eu-west-1")
        site.wait_edge("eu-west-1", "up")
        primary.change("four A 192.0.2.4")
        check(not primary.is_incremental(copy), "the version before went out without it")
        check_same(copy, primary)
        primary.change("five A 192.0.2.5")
        check(primary.is_incremental(copy), "all is known again")
        check_same(copy, primary)


@case_table({name: name for name in SERVERS})
def others_take_it(name):
    port = free_port()
    primary = Primary(denial="nsec", services=["www"], notify=[f"127.0.0.1:{port} key backup"])
    with primary.site:
        primary.change("")
        with start_secondary(primary.site, name, primary.dns.port, port) as peer:
            if peer is None:
                return
            wait_until(peer.serial, f"{name} to serve", 30, 0.2)
            for n in range(1, 4):
                primary.change(f"new{n} A 192.0.2.{n}")
                wait_until(lambda host=f"new{n}.example.com": peer.client.addresses(host), f"{name} to follow", 30, 0.2)
                check_equal(peer.client.rcode(f"new{n - 1}.example.com"), "NXDOMAIN", "what went is gone")
                wait_until(lambda wanted=n: primary.dns.metric(INCREMENTAL) == wanted, "it to come as a difference")


main()
