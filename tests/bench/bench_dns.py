# SPDX-License-Identifier: BSD-2-Clause
"""gslb-dns beside other authoritative DNS servers: zones of 100,000 names, plain and signed, and one
steered name."""

import pathlib
import random
import socket

import dns_states
from dns_data import (KNOWN, NAMES, ask, ask_types, encode_query, make_data, region_address,
                      static_address)
from dns_servers import PEERS, PLAIN, SIGNED, GslbDns, Site
from harness import Failed, Process, Rows, choose_peers, free_port, quiet_sample, run_load, say

RATE = 20_000
WINDOW = 128
RRSIG, NSEC = 46, 47

# (key, title, rate of the open loop); for each key the query file and dnsload's options
WORKLOADS = [
    ("static", "DNS: a static A, random of 100,000 names", RATE),
    ("nxdomain", "DNS: NXDOMAIN", RATE),
    ("ecs", "DNS: steered A, a random /24 as client subnet", RATE),
    ("source", "DNS: steered A, random source address in 127.0.0.0/8", RATE),
    ("signed-static", "DNS: a signed A with DO, random of 100,000 names", RATE),
    ("signed-nxdomain", "DNS: signed NXDOMAIN with DO", RATE),
    ("signed-steered", "DNS: signed steered A with DO, a random /24 as client subnet", RATE),
]
LOADS = {"static": ("static", ["-R", 0, "-A", 1], []), "nxdomain": ("nxdomain", ["-R", 3], []),
         "ecs": ("ecs", ["-R", 0, "-A", 1], []), "source": ("source", ["-R", 0, "-A", 1], ["-S"]),
         "signed-static": ("signed-static", ["-R", 0, "-A", 2], []),
         "signed-nxdomain": ("signed-nxdomain", ["-R", 3], []),
         "signed-steered": ("signed-steered", ["-R", 0, "-A", 2], [])}


def answers_last_name(site):
    rcode, addresses = ask(site.port, encode_query(f"h{site.names - 1:06}.{site.apex}"))
    return rcode == 0 and addresses == [static_address(site.names - 1)]


def check_answers(site, workloads):
    """Before anything is measured: are the answers right?"""
    rng = random.Random(1)
    for i in rng.sample(range(site.names), 20):
        got = ask_types(site.port, encode_query(f"h{i:06}.{site.apex}", dnssec=site.is_signed))
        if got[:2] != (0, [static_address(i)]) or site.is_signed and RRSIG not in got[2]:
            raise Failed(f"h{i:06}.{site.apex}: rcode, addresses and types {got}")
    got = ask_types(site.port, encode_query(f"none.{site.apex}", dnssec=site.is_signed))
    if got[0] != 3 or site.is_signed and not {RRSIG, NSEC} <= got[2]:
        raise Failed(f"none.{site.apex} is not NXDOMAIN, or proves nothing: {got}")
    for subnet, region in KNOWN.items() if {"ecs", "signed-steered"} & set(workloads) else ():
        got = ask_types(site.port, encode_query("www.steered.test", socket.inet_aton(subnet)[:3],
                                                dnssec=site.is_signed))
        if got[:2] != (0, [region_address(region)]) or site.is_signed and RRSIG not in got[2]:
            raise Failed(f"www.steered.test for {subnet}/24: {got}, not {region}")
    if "source" in workloads:
        got = ask(site.port, encode_query("www.steered.test", has_edns=True))
        if got != (0, [region_address("us-east")]):
            raise Failed(f"www.steered.test for 127.0.0.1: {got}, not the default region")


def load(options, workload, port, server, is_floor=False, rate=None, seconds=None):
    queries, checks, sources = LOADS[workload]
    arguments = ["-p", port, "-f", options.data / f"{queries}.queries", "-d", seconds or options.seconds,
                 *sources, *([] if is_floor else checks)]
    arguments += ["-r", rate] if rate else ["-w", WINDOW]
    return run_load(options, "dnsload", arguments, server)


class Floor:
    """A process that stays blocked but for its own samples."""

    def __init__(self, options):
        self.options, self.port = options, free_port()
        self.process = Process("dnsfloor", [options.tools / "dnsfloor", self.port], options.work).start()
        self.process.wait_answer(lambda: ask(self.port, encode_query("floor.test")))

    def sample(self, workload):
        return load(self.options, workload, self.port, self.process, is_floor=True,
                    seconds=max(0.5, self.options.seconds / 2))


def measure(options, floor, entry, rows, folder, is_signed):
    workloads = chosen_workloads(options, entry, SIGNED if is_signed else PLAIN)
    if not workloads:
        return
    folder.mkdir()
    site = Site(options, folder, free_port(), is_signed)
    server = Process(entry.name, entry.configure(site), folder)
    try:
        server.start()
        seconds = server.wait_answer(lambda: answers_last_name(site))
        check_answers(site, workloads)
        memory = server.memory_bytes()
        for workload in workloads:
            measure_workload(options, floor, entry, rows, (server, site.port, workload))
        rows.starts[f"{entry.name}, signed zones" if is_signed else entry.name].append(
            (seconds, memory, server.memory_bytes()))
    finally:
        server.stop()


def measure_workload(options, floor, entry, rows, what):
    """At saturation, at half of that, and at the rate that is the same for all."""
    server, port, workload = what
    beside = floor.sample(workload)
    busy = quiet_sample(lambda: load(options, workload, port, server))
    half = load(options, workload, port, server, rate=max(1, int(busy["per_second"] / 2)))
    steady = load(options, workload, port, server, rate=RATE)
    rows.add(workload, entry.name, busy, steady, beside, half)
    options.record(bench="dns", server=entry.name, workload=workload, floor=beside, busy=busy, half=half,
                   steady=steady)


def chosen_workloads(options, entry, among):
    chosen = []
    for workload in entry.workloads:
        if workload not in among or options.only and workload not in options.only:
            continue
        reason = entry.cannot(options, workload) if hasattr(entry, "cannot") else None
        if reason:
            say(f"  {entry.name}: {workload} left out: {reason}")
        else:
            chosen.append(workload)
    return chosen


def measure_floor(options, floor, rows):
    for workload, _, rate in WORKLOADS:
        if not options.only or workload in options.only:
            busy = floor.sample(workload)
            steady = load(options, workload, floor.port, floor.process, is_floor=True, rate=rate)
            rows.add(workload, "(floor)", busy, steady, None)
            options.record(bench="dns", server="floor", workload=workload, busy=busy, steady=steady)


def measure_loads(options, entries, rows):
    floor = Floor(options)
    try:
        for repeat in range(options.repeats):
            measure_floor(options, floor, rows)
            for entry in entries:
                for is_signed in (False, True):
                    say(f"dns {repeat + 1}/{options.repeats}: {entry.name}{', signed' if is_signed else ''}")
                    folder = pathlib.Path(options.work, f"{entry.name}-{repeat}-{int(is_signed)}")
                    try:
                        measure(options, floor, entry, rows, folder, is_signed)
                    except Failed as why:
                        rows.fail(entry.name, why)
    finally:
        floor.process.stop()
    rows.print("answer", WORKLOADS)


def run(options):
    """True: every server could be measured."""
    make_data(options.data)
    rows, entries = Rows(), [GslbDns, *choose_peers(options, PEERS)]
    if "load" in options.measure:
        measure_loads(options, entries, rows)
    failures = rows.failures + dns_states.run(options, entries, load, answers_last_name)
    return not failures
