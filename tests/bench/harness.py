# SPDX-License-Identifier: BSD-2-Clause
"""What the DNS and the HTTP comparison share: servers as processes on a core of their own, samples
with the floor measured right beside them, the table, and the JSON lines."""

import collections
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lib"))
from gslbtest import free_port  # noqa: E402  (its folder is known only now)

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[min(1, len(CORES) - 1)]
NOISE_MAX = 0.05    # of the server's core, spent by others: above it a sample is taken again
TRIES = 3
START_LIMIT_S = 60


class Failed(Exception):
    """This server cannot be measured, or answers wrongly; the others can go on."""


class Options:
    """Of one run: where things are, how long and how often to measure."""

    def __init__(self, arguments, work):
        self.build = pathlib.Path(arguments.build).resolve()
        self.tools = self.build / "bench"
        self.data = self.tools / "data"
        self.work = work
        self.peers = arguments.peers.split()
        self.repeats, self.seconds = arguments.repeats, arguments.seconds
        self.geoip = pathlib.Path(arguments.geoip).resolve()
        self.memory = arguments.memory
        self.only = arguments.only.split()
        self.measure = arguments.measure.split()
        self.results = self.tools / time.strftime("results-%Y%m%d-%H%M%S.jsonl")

    def record(self, **fields):
        with open(self.results, "a", encoding="utf-8") as out:
            out.write(json.dumps(fields) + "\n")


def say(text):
    print(text, file=sys.stderr, flush=True)


def _pin(core):
    """Runs in the child. Priority over other work on the machine helps where it is allowed; the
    child is in a session, and so in a scheduling group, of its own."""
    os.sched_setaffinity(0, {core})
    try:
        pathlib.Path("/proc/self/autogroup").write_text("-10")
        os.nice(-10)
    except OSError:
        pass


def start_pinned(argv, core, **how):
    return subprocess.Popen([str(arg) for arg in argv], start_new_session=True,
                            preexec_fn=lambda: _pin(core), **how)


def descendants(pid):
    """pid and all processes below it."""
    children = collections.defaultdict(list)
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            children[int(stat[stat.rindex(")") + 2:].split()[1])].append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children[found[-1]]
    return found


class Process:
    """A server in the foreground, pinned to a core."""

    def __init__(self, name, argv, folder, core=SERVER_CORE):
        self.name, self.argv, self.core = name, argv, core
        self.log = folder / f"{name}.log"
        self.process = None
        self.started_at = 0.0

    def start(self):
        with open(self.log, "wb") as log:
            self.started_at = time.monotonic()
            self.process = start_pinned(self.argv, self.core, stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log)
        return self

    def wait_answer(self, answers):
        """Seconds from the start to the first right answer."""
        while time.monotonic() < self.started_at + START_LIMIT_S:
            if self.process.poll() is not None:
                raise Failed(f"ended at start with {self.process.returncode}:\n{self.tail()}")
            try:
                if answers():
                    return time.monotonic() - self.started_at
            except OSError:
                pass
            time.sleep(0.002)
        raise Failed(f"no right answer after {START_LIMIT_S} s:\n{self.tail()}")

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def pids(self):
        return descendants(self.process.pid)

    def memory_bytes(self):
        """Resident, what is shared among its processes counted once (PSS)."""
        total = 0
        for pid in self.pids():
            try:
                rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in rollup.splitlines()
                         if line.startswith("Pss:"))
        return total * 1024

    def stop(self):
        if self.process is None:
            return
        pids = self.pids()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        for pid in pids:
            # Only what still is one of ours: the session is that of the process we started.
            try:
                if os.getsid(pid) == self.process.pid:
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.process.wait()
        self.process = None


def run_load(options, tool, arguments, server):
    """One sample by dnsload or httpload: what it printed."""
    argv = [options.tools / tool, *map(str, arguments)]
    if server is not None:
        argv += ["-P", ",".join(map(str, server.pids()))]
    with start_pinned(argv, LOAD_CORE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                      text=True) as load:
        try:
            out, error = load.communicate(timeout=10 * options.seconds + 120)
        except BaseException:
            load.kill()
            raise
    if load.returncode != 0:
        raise Failed(f"{tool}: {error.strip()}")
    sample = json.loads(out)
    if sample["wrong"]:
        raise Failed(f"{sample['wrong']} wrong answers; {error.strip()}")
    return sample


def quiet_sample(take):
    """The least noisy of a few samples, the first one that is quiet enough."""
    samples = []
    while len(samples) < TRIES and (not samples or samples[-1]["noise"] > NOISE_MAX):
        samples.append(take())
    return min(samples, key=lambda sample: sample["noise"])


def median(values):
    return statistics.median(values) if values else None


def number(value, digits):
    return "–" if value is None else f"{value:,.{digits}f}"


def print_table(title, head, rows):
    print(f"\n### {title}\n\n| " + " | ".join(head) + " |")
    print("|---" + "|---:" * (len(head) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()


class Rows:
    """The samples of all repeats, one table for each workload."""

    def __init__(self):
        self.samples = collections.defaultdict(list)    # (workload, server) → [row]
        self.failures = []
        self.starts = collections.defaultdict(list)     # server → [(seconds, bytes, bytes later)]

    def add(self, workload, server, busy, steady, floor, half=None):
        self.samples[workload, server].append({
            "cpu": busy["cpu_us"], "user": busy["user_us"], "max": busy["per_second"],
            "floor": busy["cpu_us"] / floor["cpu_us"] if floor else 1.0,
            "p50": steady and steady["p50_us"], "p99": steady and steady["p99_us"],
            "half": half and half["p99_us"],
            "noise": busy["noise"]})

    def fail(self, server, why):
        say(f"  {server}: FAILED: {why}")
        self.failures.append(f"{server}: {str(why).splitlines()[0]}")

    def print(self, unit, workloads):
        for workload, title, rate in workloads:
            rows = [self._row(server, samples) for (which, server), samples in self.samples.items()
                    if which == workload]
            latency = f"p50 / p99 µs at {rate:,}/s" if rate else "p50 / p99 µs"
            if rows:
                rows.sort(key=lambda row: row[0])
                print_table(title, ["server", f"CPU µs/{unit}", "× floor", "user µs", f"max {unit}s/s",
                                    latency, "p99 µs at half", "noise %"], [row[1] for row in rows])
        self._print_starts()
        for failure in self.failures:
            print(f"\nFAILED: {failure}")

    @staticmethod
    def _row(server, samples):
        middle = {key: median([sample[key] for sample in samples if sample[key] is not None])
                  for key in samples[0]}
        latency = f"{number(middle['p50'], 0)} / {number(middle['p99'], 0)}"
        return middle["floor"], [server, number(middle["cpu"], 2), number(middle["floor"], 2),
                                 number(middle["user"], 2), number(middle["max"], 0), latency,
                                 number(middle["half"], 0),
                                 number(100 * middle["noise"], 0)]

    def _print_starts(self):
        rows = []
        for server, starts in self.starts.items():
            seconds, before, after = (median(column) for column in zip(*starts))
            rows.append([server, number(seconds, 3), number(before / 1e6, 1), number(after / 1e6, 1)])
        if rows:
            print_table("Start and memory", ["server", "start to first answer, s", "MB then",
                                             "MB after the load"], rows)


def choose_peers(options, peers):
    """Those of the wanted peers that are installed; says what is missing."""
    chosen = []
    for peer in peers:
        if peer.name not in options.peers:
            continue
        missing = [program for program in peer.programs if not find_program(program)]
        if missing:
            say(f"{peer.name} is not installed; its Debian package: apt-get install {peer.package}")
        else:
            chosen.append(peer)
    return chosen


def find_program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
