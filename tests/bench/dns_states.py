# SPDX-License-Identifier: BSD-2-Clause
"""What users ask beside speed: memory and start at large zones, what a reload costs those who ask
meanwhile, and what many changes of health cost them."""

import pathlib
import socket
import sys
import threading
import time

from dns_data import NAMES, REGIONS, TOP, ask, encode_query, make_hosts
from dns_servers import SIGNED, GslbDns, Site
from harness import Failed, Process, free_port, number, print_table, say

sys.path.insert(0, str(TOP / "tests/lib"))
from fake_edge import ChannelLink, frame, hello, report  # noqa: E402
from site_under_test import Certs  # noqa: E402

MEASURES = ["sizes", "reload", "health"]
SIZES = [100_000, 1_000_000]
RATE = 20_000
CHANGES_PER_S = 1000
LOAD_S = 4.0


class Run:
    """One server at work in a folder of its own."""

    def __init__(self, options, entry, name, **site):
        folder = pathlib.Path(options.work, name)
        folder.mkdir()
        self.site = Site(options, folder, free_port(), **site)
        self.server = Process(entry.name, entry.configure(self.site), folder)

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.server.stop()


def measure_size(options, entry, names, is_signed, answers_last_name):
    """One row: a zone of so many names and nothing else."""
    with Run(options, entry, f"{entry.name}-{names}-{int(is_signed)}", names=names, is_signed=is_signed,
             is_bare=True) as run:
        seconds = run.server.wait_answer(lambda: answers_last_name(run.site))
        memory = run.server.memory_bytes()
    options.record(bench="dns", measure="sizes", server=entry.name, names=names, signed=is_signed,
                   seconds=seconds, bytes=memory)
    return [f"{entry.name}{', signed' if is_signed else ''}", f"{names:,}", number(seconds, 3),
            number(memory / 1e6, 1), number(memory / names, 0)]


def sizes(options, entries, load, answers_last_name, failures):
    rows = []
    for names in SIZES:
        for entry in entries:
            for is_signed in (False, True):
                if is_signed and not set(SIGNED) & set(entry.workloads):
                    continue
                say(f"dns: {entry.name} with {names:,} names{', signed' if is_signed else ''}")
                try:
                    rows.append(measure_size(options, entry, names, is_signed, answers_last_name))
                except Failed as why:
                    failures.append(f"{entry.name}: {why}")
    print_table("Memory and start", ["server", "names", "start to first answer, s", "MB", "bytes a name"], rows)


class Background:
    """A load of LOAD_S seconds beside whatever else is done."""

    def __init__(self, load, options, workload, run):
        self.sample, self.error = None, None

        def work():
            try:
                self.sample = load(options, workload, run.site.port, run.server, rate=RATE, seconds=LOAD_S)
            except Failed as why:
                self.error = why
        self.thread = threading.Thread(target=work)
        self.thread.start()

    def wait(self):
        self.thread.join()
        if self.error:
            raise self.error
        return self.sample


def show_pair(name, quiet, busy, more):
    """What it was without, and what it is with the disturbance."""
    return [name, number(quiet["p99_us"], 0), number(busy["p99_us"], 0), number(busy["p999_us"], 0),
            str(busy["lost"]), number(busy["cpu_us"] / quiet["cpu_us"], 2), more]


PAIR = ["server", "p99 µs in peace", "p99 µs", "p99.9 µs", "lost", "CPU × peace"]


def measure_reload(options, entry, load, answers_last_name):
    zone = options.data / f"reload-{entry.name}.zone"
    zone.write_text(make_hosts("static.test", probe="192.0.2.1"))
    probe = encode_query("probe.static.test")
    with Run(options, entry, f"{entry.name}-reload", zone=zone, is_bare=True) as run:
        run.server.wait_answer(lambda: answers_last_name(run.site))
        quiet = load(options, "static", run.site.port, run.server, rate=RATE, seconds=LOAD_S)
        under_load = Background(load, options, "static", run)
        time.sleep(LOAD_S / 4)
        zone.write_text(make_hosts("static.test", serial=2, probe="192.0.2.2"))
        started = time.monotonic()
        run.server.process.send_signal(entry.reload)
        seen_after = None
        while seen_after is None and time.monotonic() < started + 30:
            if ask(run.site.port, probe)[1] == ["192.0.2.2"]:
                seen_after = time.monotonic() - started
            time.sleep(0.002)
        busy = under_load.wait()
    if seen_after is None:
        raise Failed("the new zone was not served after 30 s")
    options.record(bench="dns", measure="reload", server=entry.name, seen_after_s=seen_after, quiet=quiet, busy=busy)
    return show_pair(entry.name, quiet, busy, number(seen_after, 3))


def reload(options, entries, load, answers_last_name, failures):
    rows = []
    for entry in entries:
        if entry.reload is None:
            continue
        say(f"dns: {entry.name}, a reload under load")
        try:
            rows.append(measure_reload(options, entry, load, answers_last_name))
        except Failed as why:
            failures.append(f"{entry.name}: {why}")
    print_table(f"A zone of {NAMES:,} names replaced under {RATE:,} queries a second",
                [*PAIR, "seen after, s"], rows)


def link_edges(node, certs):
    links = [ChannelLink(node, certs.node("edge", f"{region}-1")) for region in REGIONS]
    for link in links:
        link.send(frame(hello=hello(interval_ms=100)))
    return links


def change_health(links, port, until):
    """Each edge in turn says that it can serve, and that it cannot, CHANGES_PER_S in all. Returns how
    often, and which answers a client of one place has seen meanwhile."""
    n, started, seen = 0, time.monotonic(), set()
    probe = encode_query("www.steered.test", socket.inet_aton("193.1.0.0")[:3])
    while time.monotonic() < until:
        turn, which = divmod(n, len(links))
        links[which].send(frame(report=report(sequence=turn + 1, can_serve=turn % 2 == 0, reason="bench")))
        n += 1
        if n % 97 == 0:
            seen.add(tuple(ask(port, probe)[1]))
        time.sleep(max(0, started + n / CHANGES_PER_S - time.monotonic()))
    for link in links:
        link.sock.close()
    return n, seen


class Node:
    """What ChannelLink wants to know of a node."""

    def __init__(self, control_port):
        self.control_port = control_port


def health(options, entries, load, answers_last_name, failures):
    """Of gslb-dns alone: no peer is told of health."""
    say("dns: gslb-dns, changes of health under load")
    certs, node = Certs.shared(), Node(free_port())
    more = {"control": {"listen": [f"127.0.0.1:{node.control_port}"], "socket": "ctl.sock",
                        **certs.node("dns", "ns1")},
            "health": {"up-threshold": 1, "stale-after": "10s"}}
    try:
        with Run(options, GslbDns, "gslb-dns-health", more=more) as run:
            run.server.wait_answer(lambda: answers_last_name(run.site))
            quiet = load(options, "ecs", run.site.port, run.server, rate=RATE, seconds=LOAD_S)
            links = link_edges(node, certs)
            under_load = Background(load, options, "ecs", run)
            n, seen = change_health(links, run.site.port, time.monotonic() + LOAD_S)
            busy = under_load.wait()
            if len(seen) < 2:
                raise Failed(f"{n} changes, and always the same answer: {seen}")
    except (Failed, OSError) as why:
        failures.append(f"gslb-dns: changes of health: {why}")
        return
    options.record(bench="dns", measure="health", server="gslb-dns", changes=n, quiet=quiet, busy=busy)
    print_table(f"Changes of health under {RATE:,} queries a second", [*PAIR, "changes a second"],
                [show_pair("gslb-dns", quiet, busy, number(n / LOAD_S, 0))])


def run(options, entries, load, answers_last_name):
    """What of these was chosen; returns what failed."""
    failures = []
    for name, measure in (("sizes", sizes), ("reload", reload), ("health", health)):
        if name in options.measure:
            measure(options, entries, load, answers_last_name, failures)
    for failure in failures:
        print(f"\nFAILED: {failure}")
    return failures
