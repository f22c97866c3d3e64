#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The fast path over a veth pair between two network namespaces, beside the same server's sockets and
Knot with and without XDP, if it is installed. Root only; no packet leaves the machine.

    bench_xdp.py [--build DIR] [--repeats N] [--seconds S]

A veth pair has no hardware: what comes in is worked on in the context of the sender, so CPU time is
shown for the server and for both ends together. In a round the servers take turns, and what others
take of the server's core meanwhile is shown; figures are medians of the rounds, with their range.
"""
import argparse
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "../lib")]
os.environ.setdefault("GSLB_BUILD", str(HERE / "../../build"))
from dns_data import encode_query, make_hosts, write_queries  # noqa: E402
from gslbtest import Program, wait_until  # noqa: E402
from xdp_lab import CLIENT, SERVER, Lab, what_is_missing  # noqa: E402

NAMES, QUERIES, SERVER_CORE, LOAD_CORE = 10_000, 1 << 14, "1", "0"
ADDRESS, APEX = "10.77.0.1", "example.com"
PINNED = ("taskset", "-c", SERVER_CORE)
KNOT = """
server:
    rundir: {folder}
    listen: {address}@53
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
{xdp}
log:
  - target: stderr
    any: info
database:
    storage: {folder}/db
zone:
  - domain: {apex}
    file: {folder}/zone
"""
KNOT_XDP = """xdp:
    listen: v0
"""


def start_ours(mode):
    def start(lab, zone):
        program = lab.start("dns", f"{{v0: {mode}}}", more="workers: 1\n", zone=zone, by=PINNED)
        if mode != "off":
            program.wait_log(f"xdp: attached interface=v0 mode={mode}")
        return program, program.log()
    return start


def start_knot(xdp):
    def start(lab, zone):
        (lab.folder / "db").mkdir(exist_ok=True)
        (lab.folder / "zone").write_text(zone)
        config = lab.folder / "knot.conf"
        config.write_text(KNOT.format(folder=lab.folder, address=ADDRESS, xdp=xdp, apex=APEX))
        program = Program("knot", ["ip", "netns", "exec", SERVER, *PINNED, "knotd", "-c", config],
                          lab.folder / "knot.log", is_ours=False)
        lab.programs.append(program)
        program.start()
        wait_until(lambda: lab.exchange(encode_query(f"probe.{APEX}"), timeout_s=0.2), "Knot to answer")
        return program, program.log()
    return start


SERVERS = {"gslb-dns, sockets": start_ours("off"), "gslb-dns, XDP native": start_ours("native"),
           "gslb-dns, XDP generic": start_ours("generic"), "Knot, sockets": start_knot(""),
           "Knot, XDP": start_knot(KNOT_XDP)}


def load(lab, tools, pid, seconds):
    argv = ["ip", "netns", "exec", CLIENT, "taskset", "-c", LOAD_CORE, tools / "dnsload", "-a", ADDRESS,
            "-p", "53", "-f", lab.folder / "queries", "-d", str(seconds), "-R", "0", "-A", "1", "-P", str(pid)]
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    sample = json.loads(done.stdout)
    if sample["wrong"]:
        raise RuntimeError(f"{sample['wrong']} wrong answers")
    sample["both_us"] = sample["cpu_us"] + 1e6 * sample["load_share"] / sample["per_second"]
    return sample


def measure(name, start, tools, seconds):
    rng = random.Random(1)
    with Lab() as lab:
        write_queries(lab.folder / "queries", [encode_query(f"h{rng.randrange(NAMES):06}.{APEX}")
                                               for _ in range(QUERIES)])
        program, log = start(lab, make_hosts(APEX, NAMES))
        sample = load(lab, tools, program.pid, seconds)
        if "Knot, XDP" in name:
            sample["mode"] = re.findall(r".*XDP.*", log)[-1:]
        return sample


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--build", type=pathlib.Path, default=HERE / "../../build")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--seconds", type=float, default=2)
    options = options.parse_args()
    if (missing := what_is_missing()) is not None:
        sys.exit(f"XDP cannot be measured here: {missing}")
    samples, failed = {name: [] for name in SERVERS}, {}
    for _ in range(options.repeats):
        for name, start in SERVERS.items():
            if name in failed:
                continue
            try:
                samples[name].append(measure(name, start, options.build.resolve() / "bench", options.seconds))
            except (AssertionError, RuntimeError, OSError) as e:
                failed[name] = str(e).strip().splitlines()[-1]
    print(f"{'':24}{'server us':>10}{'range':>16}{'user us':>9}{'both us':>9}{'queries/s':>11}{'lost':>6}{'others':>8}")
    for name, of in samples.items():
        if not of:
            print(f"{name:24}not measured: {failed[name]}")
            continue
        cpu = [s["cpu_us"] for s in of]
        print(f"{name:24}{statistics.median(cpu):10.3f}{f'{min(cpu):.3f}-{max(cpu):.3f}':>16}"
              f"{statistics.median(s['user_us'] for s in of):9.3f}"
              f"{statistics.median(s['both_us'] for s in of):9.3f}{statistics.median(s['per_second'] for s in of):11.0f}"
              f"{sum(s['lost'] for s in of):6}{statistics.median(s['noise'] for s in of):8.0%}"
              f"  {' '.join(of[-1].get('mode', []))}")


main()
