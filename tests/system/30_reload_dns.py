#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Reloads under load lose no query and give no wrong answer; what is wrong is refused with its place
and reason, by the running node and by --check alike, and what ran goes on."""
import json
import os
import re
import select
import signal
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.message  # noqa: E402

from dns_client import DnsClient, read_tcp_message, tcp_frame  # noqa: E402
from fake_site import build_site  # noqa: E402
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, free_port,  # noqa: E402
                      main, run_program, wait_until)
from site_under_test import ZONE, edge_state  # noqa: E402


def build():
    return build_site()


class Load:
    """Some hundred queries a second on several sockets, each answer checked; one lost or wrong is
    a failure. Names and what is allowed for each: {"www.example.com": {frozenset of addresses}}."""

    def __init__(self, port, allowed, host="127.0.0.1", n_threads=3, every_s=0.008):
        self.port, self.host, self.allowed, self.every_s = port, host, allowed, every_s
        self.wrong, self.n_answers = [], 0
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=run, daemon=True)
                        for run in [self._udp] * n_threads + [self._tcp]]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join()
        if kind is None:
            check(not self.wrong, f"{len(self.wrong)} of {self.n_answers}: {self.wrong[:5]}")
            check(self.n_answers > 50, f"only {self.n_answers} answers")

    def wait_more(self, n=100):
        wanted = self.n_answers + n
        wait_until(lambda: self.n_answers >= wanted or self.wrong, "more answers", 20)

    def _queries(self):
        wires = {name: dns.message.make_query(name, "A").to_wire() for name in self.allowed}
        i = 0
        while not self.is_over.is_set():
            for name, wire in wires.items():
                i = i + 1 & 0xffff
                yield name, struct.pack("!H", i) + wire[2:]
            self.is_over.wait(self.every_s)

    def _check(self, name, query, answer):
        self.n_answers += 1
        message = dns.message.from_wire(answer)
        got = frozenset(r.to_text() for rrset in message.answer for r in rrset) or message.rcode()
        if answer[:2] != query[:2] or got not in self.allowed[name]:
            self.wrong.append(f"{name}: {got}")

    def _udp(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((self.host, self.port))
            for name, query in self._queries():
                try:
                    sock.send(query)
                    if not select.select([sock], [], [], 2 * PATIENCE)[0]:
                        self.wrong.append(f"{name}: lost")
                        continue
                    self._check(name, query, sock.recv(65535))
                except ConnectionRefusedError:
                    self.wrong.append(f"{name}: refused")

    def _tcp(self):
        with socket.create_connection((self.host, self.port), 2 * PATIENCE) as sock:
            for name, query in self._queries():
                try:
                    sock.sendall(tcp_frame(query))
                    self._check(name, query, read_tcp_message(sock))
                except OSError as error:
                    self.wrong.append(f"{name} over TCP: {error}")
                    return


def address_set(*addresses):
    return frozenset(addresses)


STATIC, WWW = address_set("192.0.2.80"), address_set("127.0.0.12")


def write_zone(site, serial, address="192.0.2.80", more=""):
    text = ZONE.replace("2026112301", str(serial)).replace("192.0.2.80", address)
    site.dns.zone_path.write_text(text + more)


# ---- Good changes under load

@case
def nothing_changed(site):
    with Load(site.dns.port, {"static.example.com": {STATIC}, "www.example.com": {WWW}}) as load:
        for by in ("signal", "gslbctl") * 4:
            site.dns.reload(by)
            load.wait_more(20)


@case
def zone_data_changes_at_once_and_whole(site):
    """Two names change together; old and new answers are right, mixtures of SOA and data are not
    looked for here, NXDOMAIN in between is wrong."""
    allowed = {"static.example.com": {address_set(f"192.0.2.{n}") for n in range(80, 90)}}
    with Load(site.dns.port, allowed) as load:
        for n in range(81, 90):
            write_zone(site, 2026112301 + n, f"192.0.2.{n}")
            site.dns.reload("gslbctl" if n % 2 else "signal")
            # What the reload said is true from then on.
            check_equal(site.dns.addresses("static.example.com"), {f"192.0.2.{n}"})
            check_equal(site.dns.metrics()['gslb_dns_zone_serial{zone="example.com"}'], 2026112301 + n)
            load.wait_more(10)
    write_zone(site, 2026112399)
    site.dns.reload()


@case
def services_and_zones_come_and_go(site):
    path = site.path("net.zone")
    path.write_text("@ 60 SOA a. b. 1 1 1 1 1\n@ 60 NS a.\nx 60 A 192.0.2.1\n")
    with Load(site.dns.port, {"static.example.com": {STATIC}, "www.example.com": {WWW},
                              "x.example.net": {address_set("192.0.2.1"), 5},
                              "new.example.com": {WWW, 3}}) as load:
        for _ in range(3):
            site.dns.config["zones"]["example.net"] = str(path)
            site.dns.config["services"]["new.example.com"] = {}
            site.dns.reload()
            check_equal(site.dns.rcode("new.example.com"), "NOERROR")
            check_equal(site.dns.rcode("x.example.net"), "NOERROR")
            load.wait_more(20)
            del site.dns.config["zones"]["example.net"]
            del site.dns.config["services"]["new.example.com"]
            site.dns.reload()
            check_equal(site.dns.rcode("new.example.com"), "NXDOMAIN")
            check_equal(site.dns.rcode("x.example.net"), "REFUSED")
            load.wait_more(20)
        check_equal(len(site.dns.status()["zones"]), 1)


@case
def edges_and_regions_come_and_go_and_health_stays(site):
    fakes = {fake.name: fake.connects for fake in site.fakes}
    with Load(site.dns.port, {"www.example.com": {WWW}}) as load:
        site.dns.config["regions"]["antarctica"] = {"location": [-80, 0], "edges": {"ice-1": ["127.0.0.77"]}}
        site.dns.reload()
        check_equal(edge_state(site.dns.status(), "ice-1"), "unknown")
        with_ice = site.add_fake_edge("ice-1")
        site.wait_edge("ice-1", "up")
        load.wait_more(20)
        del site.dns.config["regions"]["antarctica"]
        site.dns.reload()
        wait_until(lambda: site.dns.metrics()['gslb_channel_closes_total{reason="unknown_name"}'] > 0,
                   "the edge that went to be closed")
        with_ice.stop()
    check_equal({fake.name: fake.connects for fake in site.fakes[:3]}, fakes, "links of the others stay")
    for name in fakes:
        check_equal(edge_state(site.dns.status(), name), "up")


@case
def listen_addresses_come_and_go(site):
    """Queries to the address that stays are never lost."""
    old = list(site.dns.config["listen"])
    port = free_port()
    with Load(site.dns.port, {"static.example.com": {STATIC}}) as load:
        for _ in range(3):
            site.dns.config["listen"] = [*old, f"127.0.0.1:{port}"]
            site.dns.reload()
            for tcp in (False, True):
                check_equal(DnsClient("127.0.0.1", port).addresses("static.example.com", tcp=tcp),
                            {"192.0.2.80"})
            load.wait_more(10)
            with Load(port, {"static.example.com": {STATIC}}, n_threads=1) as there:
                there.wait_more(60)
            site.dns.config["listen"] = old
            site.dns.reload()

            def is_gone():
                try:
                    DnsClient("127.0.0.1", port).connect(1).close()
                except ConnectionRefusedError:
                    return True
                return False
            wait_until(is_gone, "the address to be closed")


@case
def control_and_metrics_addresses_move(site):
    control = site.dns.config["control"]
    old, site.dns.control_port = site.dns.control_port, free_port()
    control["listen"].append(f"127.0.0.1:{site.dns.control_port}")
    metrics, site.dns.config["metrics"] = site.dns.config["metrics"], f"127.0.0.1:{free_port()}"
    site.dns.reload()
    check(site.dns.metrics(), "metrics at the new address")
    for fake in site.fakes[:3]:
        fake.wait_acked()
    control["listen"].pop()
    site.dns.control_port, site.dns.config["metrics"] = old, metrics
    site.dns.reload()
    check(site.dns.metrics(), "metrics at the old address")
    check_equal(edge_state(site.dns.status(), "eu-west-1"), "up")


@case
def thresholds_and_ttl_take_effect(site):
    site.dns.config["services"]["www.example.com"]["ttl"] = "77s"
    site.dns.reload()
    check_equal(site.dns.query("www.example.com").answer[0].ttl, 77)
    site.dns.config["services"]["www.example.com"]["ttl"] = "5s"
    site.dns.config["udp-payload-size"] = 700
    site.dns.reload()
    check_equal(site.dns.query("www.example.com").payload, 700)
    del site.dns.config["udp-payload-size"]
    site.dns.reload()


@case
def workers_cannot_change_and_that_is_said(site):
    mark = site.dns.program.mark()
    site.dns.config["workers"] = 1
    site.dns.reload()
    check_in("worker", site.dns.program.wait_log("warn", since=mark))
    site.dns.config["workers"] = 2
    site.dns.reload()


@case
def many_reloads_at_once(site):
    """Ten signals and five operators: all are served, each gets an answer."""
    before = site.dns.metrics()['gslb_dns_reloads_total{outcome="taken"}']
    results = []
    operators = [threading.Thread(target=lambda: results.append(site.ctl("reload"))) for _ in range(5)]
    with Load(site.dns.port, {"static.example.com": {STATIC}}) as load:
        for operator in operators:
            operator.start()
        for _ in range(10):
            site.dns.program.signal(signal.SIGHUP)
        for operator in operators:
            operator.join()
        load.wait_more(60)
    check_equal([r.returncode for r in results], [0] * 5, str(results))
    wait_until(lambda: site.dns.metrics()['gslb_dns_reloads_total{outcome="taken"}'] > before, "a reload")


@case
def memory_does_not_grow_with_reloads(site):
    def rss_kib():
        with open(f"/proc/{site.dns.program.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * 4
    big = "".join(f"n{i} A 192.0.2.1\n" for i in range(5000))
    for n in range(4):
        write_zone(site, 3000000000 + n, more=big)
        site.dns.reload()
    before = rss_kib()
    for n in range(4, 20):
        write_zone(site, 3000000000 + n, more=big)
        site.dns.reload()
    if PATIENCE == 1:  # a sanitizer keeps what was freed, to catch its use
        check(rss_kib() - before < 8192, f"{before} KiB, then {rss_kib()} KiB")
    write_zone(site, 3000000099)
    site.dns.reload()


# ---- Bad files

def broken_zone(text, line, words):
    def edit(site, config):
        if text is not None:
            site.path("bad.zone").write_text(text)
        config["zones"]["bad.test"] = str(site.path("bad.zone"))
    # A mistake of a whole record has a line, one of the whole file neither line nor column.
    return edit, rf"bad\.zone:{line}:(\d+:)? " if line else r"bad\.zone: ", words


def broken_config(change, words):
    return (lambda site, config: change(config)), r"ns1\.yaml:\d+:\d+: ", words


def set_at(*path, to):
    def change(config):
        for key in path[:-1]:
            config = config[key]
        config[path[-1]] = to
    return change


HEAD = "@ 60 SOA a. b. 1 1 1 1 1\n@ 60 NS a.\n"
BAD = {
    "unknown key": broken_config(set_at("lisen", to=["127.0.0.1:1"]), "did you mean|listen"),
    "unknown key below": broken_config(set_at("health", "stale-afer", to="1s"), "stale-after"),
    "bad type": broken_config(set_at("workers", to="many"), "workers|number"),
    "out of range": broken_config(set_at("workers", to=5000), "1024"),
    "no unit": broken_config(set_at("health", "stale-after", to=3), "unit|duration|3s"),
    "latitude": broken_config(set_at("regions", "us-east", "location", to=[91, 0]), "90"),
    "missing certificate": broken_config(set_at("control", "certificate", to="/nonexistent.crt"),
                                         "No such file"),
    "missing database": broken_config(set_at("geoip", "databases", to=["/nonexistent.mmdb"]),
                                      "No such file"),
    "service outside the zones": broken_config(set_at("services", "www.elsewhere.test", to={}),
                                               "no zone here contains"),
    "unknown region of a service": broken_config(
        set_at("services", "www.example.com", "regions", to=["eu-wset"]), "eu-west"),
    "unknown policy": broken_config(set_at("services", "www.example.com", "policy", to="nearset"),
                                    "nearest"),
    "fallback without addresses": broken_config(
        set_at("services", "www.example.com", "all-down", to="fallback"), "fallback"),
    "edge twice": broken_config(
        lambda c: c["regions"].update(other={"location": [0, 0], "edges": {"eu-west-1": ["127.0.0.3"]}}),
        "eu-west-1.*(twice|already|also)"),
    "address that is not here": broken_config(set_at("listen", to=["203.0.113.77:5353"]),
                                              "203.0.113.77|assign"),
    "no zones": broken_config(lambda c: c.pop("zones"), "zones"),
    "service at a CNAME": (lambda site, config: config["services"].update({"alias.example.com": {}}),
                           r"ns1\.zone:\d+: .*ns1\.yaml:\d+", "CNAME"),
    "service below a delegation": broken_config(set_at("services", "x.sub.example.com", to={}),
                                                "sub.example.com|delegat"),
    "wildcard service": broken_config(set_at("services", "*.example.com", to={}), "wildcard"),
}


@case_table(BAD)
def refused(site, edit, place, words):
    good = json.dumps(site.dns.config)
    before = site.dns.metrics()['gslb_dns_reloads_total{outcome="refused"}']
    config = json.loads(good)
    edit(site, config)
    site.dns.config = config
    try:
        site.dns.write_config()
        checked = run_program("gslb-dns", "-c", site.dns.config_path, "--check")
        is_address = "203.0.113.77" in json.dumps(config)       # whether it can be bound is seen by doing it
        if not is_address:
            check_equal(checked.returncode, 1, "--check")
            check(re.search(place, checked.stderr), f"no place in {checked.stderr}")
            check(re.search(words, checked.stderr), f"no {words} in {checked.stderr}")
            check_equal(checked.stdout, "")
        with Load(site.dns.port, {"static.example.com": {STATIC}, "www.example.com": {WWW}}, n_threads=1,
                  every_s=0.002) as load:
            mark = site.dns.program.mark()
            result = site.ctl("reload")
            check_equal(result.returncode, 1, "gslbctl reload")
            check(re.search(place, result.stderr), f"no place in {result.stderr}")
            check(re.search(words, result.stderr), f"no {words} in {result.stderr}")
            site.dns.program.wait_log("reload refused, the running state stays", since=mark)
            check(site.dns.program.log_lines(r"error config: .*" + place, mark),
                  f"not in the log: {site.dns.program.log()[mark:]}")
            load.wait_more(51)
        check(re.search(words, site.dns.status()["load_error"]), "the status says why")
        now = site.dns.metrics()
        check_equal(now['gslb_dns_reloads_total{outcome="refused"}'], before + 1)
        check_equal(now["gslb_dns_last_reload_successful"], 0)
    finally:
        site.dns.config = json.loads(good)
        site.dns.reload()
    check_equal(site.dns.status()["load_error"], None, "and good again")


BROKEN = {
    "missing": broken_zone(None, None, "No such file"),
    "no SOA": broken_zone("@ 60 NS a.\n", None, "SOA"),
    "bad address": broken_zone(HEAD + "\nx 60 A 1.2.3.400\n", 4, "1.2.3.400|address"),
    "unknown type": broken_zone(HEAD + "x 60 AA 1.2.3.4\n", 3, "AA"),
    "CNAME and other data": broken_zone(HEAD + "x 60 A 1.2.3.4\nx 60 CNAME y\n", r"\d", "CNAME"),
    "name outside": broken_zone(HEAD + "x.other. 60 A 1.2.3.4\n", 3, "other|outside"),
    "$INCLUDE of nothing": broken_zone(HEAD + "$INCLUDE nothing.zone\n", 3, "nothing.zone"),
    "open parenthesis": broken_zone(HEAD + "x 60 TXT ( \"a\"\n", r"\d", r"\(|parenthes|bracket"),
    "open quote": broken_zone(HEAD + "x 60 TXT \"a\n", r"\d", "quote|\""),
    "unknown directive": broken_zone(HEAD + "$INCLUD x\n", 3, r"\$INCLUD"),
    "two SOAs": broken_zone(HEAD + "@ 60 SOA a. b. 2 1 1 1 1\n", 3, "SOA"),
    "label of 64": broken_zone(HEAD + "a" * 64 + " 60 A 1.2.3.4\n", 3, "63|label"),
    "binary": broken_zone("\0\1\2\3" * 100, 1, ""),
}


@case_table(BROKEN)
def a_broken_zone_alone_is_left_out(site, edit, place, words):
    """A new zone that is broken is answered SERVFAIL; the rest of the reload is taken."""
    good = json.dumps(site.dns.config)
    config = json.loads(good)
    edit(site, config)
    config["nsid"] = "taken"
    site.dns.config = config
    try:
        site.dns.write_config()
        checked = run_program("gslb-dns", "-c", site.dns.config_path, "--check")
        check_equal(checked.returncode, 1, "--check")
        check(re.search(place, checked.stderr), f"no place in {checked.stderr}")
        mark = site.dns.program.mark()
        result = site.ctl("reload")
        check_equal(result.returncode, 1, "gslbctl reload")
        check(re.search(place + ".*" + words, result.stderr, re.S), f"no {words} in {result.stderr}")
        check_in("zone bad.test is broken and has no version to serve", result.stderr)
        check(site.dns.program.log_lines(r"error config: .*" + place, mark), "not in the log")
        check_in("zone=bad.test", site.dns.program.wait_log("error zone: zone is broken", since=mark))
        check_equal(site.dns.rcode("bad.test"), "SERVFAIL")
        check_equal(site.dns.rcode("x.bad.test", "TXT"), "SERVFAIL")
        check_equal(site.dns.addresses("static.example.com"), {"192.0.2.80"})
        status = {zone["name"]: zone for zone in site.dns.status()["zones"]}
        check(re.search(place, status["bad.test"]["error"] + " "), status["bad.test"]["error"])
        check_equal([z["is_missing"] for z in status.values()], [False, True])
        check_equal(site.dns.metrics()['gslb_dns_zone_available{zone="bad.test"}'], 0)
    finally:
        site.dns.config = json.loads(good)
        site.path("bad.zone").unlink(missing_ok=True)
        site.dns.reload()


@case
def a_zone_that_breaks_keeps_its_version(site):
    """Its own, and nothing else: another zone changes in the same reload. A named reload reads one zone
    and leaves the other as it was; when the file is mended all is as if nothing had been."""
    other = site.path("other.zone")
    other.write_text(HEAD + "x 60 A 192.0.2.1\n")
    site.dns.config["zones"]["other.test"] = str(other)
    site.dns.reload("gslbctl")
    broken = 'gslb_dns_zone_broken{zone="example.com"}'
    with Load(site.dns.port, {"static.example.com": {STATIC}, "www.example.com": {WWW},
                              "x.other.test": {address_set("192.0.2.1"), address_set("192.0.2.2")}}) as load:
        write_zone(site, 3100000000, "192.0.2.99", more="y AA 1\n")
        other.write_text(HEAD.replace("b. 1", "b. 2") + "x 60 A 192.0.2.2\n")
        result = site.ctl("reload")
        check_equal(result.returncode, 1)
        check(re.search(r"zone example.com is broken and keeps serial \d+:\n\S*ns1\.zone:\d+:\d+: error: unknown "
                        r"type AA", result.stderr), result.stderr)
        check_equal(site.dns.addresses("x.other.test"), {"192.0.2.2"})
        check_equal(site.dns.metrics()[broken], 1)
        status = site.dns.status()["zones"][0]
        check(re.search(r"ns1\.zone:\d+: unknown type AA", status["error"]), status["error"])
        result = site.ctl("reload", "OTHER.test.")
        check_equal((result.returncode, result.stderr), (0, ""))
        check_in("other.test (serial 2, 3 names, 3 records)".replace("3 names", "2 names"), result.stdout)
        check_equal(site.dns.metrics()[broken], 1)
        load.wait_more(50)
        check_equal(site.ctl("reload", "example.com").returncode, 1, "still broken")
        result = site.ctl("reload", "nothing.test")
        check_equal(result.returncode, 1)
        check_in("no zone 'nothing.test'", result.stderr)
        write_zone(site, 3100000001)
        check_equal(site.ctl("reload", "example.com").returncode, 0)
        check_equal(site.dns.metrics()[broken], 0)
        load.wait_more(50)
    del site.dns.config["zones"]["other.test"]
    site.dns.reload()


@case
def a_serial_that_stays_is_warned_of(site):
    write_zone(site, 3100000002, "192.0.2.80")
    site.dns.reload("gslbctl")
    write_zone(site, 3100000002, "192.0.2.80", more="new A 192.0.2.7\n")
    result = site.ctl("reload")
    check_equal(result.returncode, 0)
    check_in("serial is still 3100000002: secondaries will not notice", result.stdout)
    write_zone(site, 3100000003)
    site.dns.reload()


@case_table({"not YAML": ("listen: [\n", r"ns1\.yaml:\d+:\d+: "), "empty": ("", r"ns1\.yaml"),
             "a list": ("- a\n- b\n", r"ns1\.yaml:\d+:\d+: "), "tabs": ("\tlisten: x\n", r"ns1\.yaml:1:"),
             "key twice": ("workers: 1\nworkers: 2\n", r"ns1\.yaml:2:\d+: .*workers"),
             "two documents": ("---\nworkers: 1\n---\nworkers: 2\n", r"ns1\.yaml"),
             "alias": ("a: &x 1\nb: *x\n", r"ns1\.yaml:\d+:\d+: "), "not UTF-8": ("\udcff\udcfe: 1\n", r"ns1\.yaml")})
def broken_yaml(site, text, place):
    site.dns.config_path.write_bytes(text.encode(errors="surrogateescape"))
    try:
        checked = run_program("gslb-dns", "-c", site.dns.config_path, "--check")
        check_equal(checked.returncode, 1, checked.stderr)
        check(re.search(place, checked.stderr), checked.stderr)
        result = site.ctl("reload")
        check_equal(result.returncode, 1)
        check(re.search(place, result.stderr), result.stderr)
        check_equal(site.dns.addresses("static.example.com"), {"192.0.2.80"})
    finally:
        site.dns.reload()


@case
def all_mistakes_are_told_in_one_pass(site):
    config = json.loads(json.dumps(site.dns.config))
    config.update({"workers": 0, "lisen": 1, "health": {"stale-after": "x", "up-threshold": 0}})
    site.path("many.yaml").write_text(json.dumps(config, indent=1))
    result = run_program("gslb-dns", "-c", site.path("many.yaml"), "--check")
    check_equal(len(re.findall(r"many\.yaml:\d+:\d+: error", result.stderr)), 4, result.stderr)


@case
def configuration_that_vanished(site):
    site.dns.config_path.unlink()
    result = site.ctl("reload")
    check_equal(result.returncode, 1)
    check_in("No such file", result.stderr)
    check_equal(site.dns.addresses("static.example.com"), {"192.0.2.80"})
    site.dns.reload()


@case
def port_taken_at_reload_is_refused_whole(site):
    old = list(site.dns.config["listen"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
        squatter.bind(("127.0.0.1", 0))
        taken = squatter.getsockname()[1]
        site.dns.config["listen"] = [*old, f"127.0.0.1:{taken}"]
        site.dns.config["services"]["half.example.com"] = {}
        site.dns.write_config()
        result = site.ctl("reload")
        check_equal(result.returncode, 1)
        check_in(str(taken), result.stderr)
        check_equal(site.dns.rcode("half.example.com"), "NXDOMAIN", "all or nothing")
    site.dns.config["listen"] = old
    del site.dns.config["services"]["half.example.com"]
    site.dns.reload()


@case
def check_of_a_good_file(site):
    site.dns.write_config()
    result = run_program("gslb-dns", "-c", site.dns.config_path, "--check")
    check_equal((result.returncode, result.stderr), (0, ""))
    check_in("fine", result.stdout)


main(build)
