#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""make run: a site that starts, says what to try, survives what it invites to, and stops."""
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from dns_client import DnsClient  # noqa: E402
from gslbtest import (BUILD, PATIENCE, TOP, Program, case, check, check_equal, check_in, main,  # noqa: E402
                      wait_until)
from http_client import HttpClient  # noqa: E402

VISITORS = {"193.1.0.0/24": "127.0.0.11", "8.8.8.0/24": "127.0.0.12", "133.11.0.0/24": "127.0.0.13"}


class Demo:
    """One run, in a folder of its own that borrows the programs."""

    def __init__(self, name):
        self.folder = tempfile.mkdtemp(prefix="q")
        os.symlink(BUILD / "bin", f"{self.folder}/bin")
        self.program = Program(name, [TOP / "deploy/quickstart/run"], f"{self.folder}/{name}.log",
                               env={"BUILD": self.folder}, is_ours=True)

    def start(self):
        self.program.start()
        wait_until(lambda: self.program.log_lines("^ready$") or not self.program.is_running(),
                   "the demo to be ready", 60)
        check(self.program.is_running(), f"the demo ended: {self.program.tail()}")
        port = int(re.search(r"gslb-dns on port (\d+)", self.program.log())[1])
        self.dns = DnsClient("127.0.0.1", port)
        self.http_port = int(re.search(r"http://www.example.com:(\d+)/", self.program.log())[1])
        return self

    def read(self, name):
        with open(f"{self.folder}/run/{name}", encoding="utf-8") as file:
            return file.read()

    def pid_of(self, what):
        return int(re.search(rf"kill -9 (\d+) +# .*{what}", self.program.log())[1])

    def close(self):
        if self.program.is_running():
            self.program.signal(signal.SIGTERM)
            self.program.wait_end(60)


def port_is_held(port):
    """Has somebody else on that port, unless somebody already is."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.11", port))
        sock.listen()
    except OSError:
        pass
    return sock


@case
def it_runs_says_what_to_try_and_stops():
    demo = Demo("demo").start()
    try:
        for subnet, address in VISITORS.items():
            check_equal(demo.dns.addresses("www.example.com", subnet=subnet), {address}, subnet)
            page = HttpClient(address, demo.http_port).get("/")
            check_equal(page.status, 200, f"the page from {address}")
            check_in("origin-", page.text)
        for word in ("status", "explain", "drain", "kill -9", "curl", "dig"):
            check_in(word, demo.program.log())
    finally:
        demo.close()
    check_in("stopped", demo.program.log())
    check_equal(demo.program.process.returncode, 0, "exit code")
    for name in ("gslb-dns", "eu-west-1", "us-east-1", "ap-northeast-1"):
        check("bug in" not in demo.read(f"{name}.log"), f"{name} reports a bug")
        check("ERROR: " not in demo.read(f"{name}.log"), f"{name} has a sanitizer's report")


@case
def a_killed_edge_leaves_the_answers_and_returns():
    demo = Demo("killed").start()
    try:
        os.kill(demo.pid_of("the edge eu-west-1"), signal.SIGKILL)
        wait_until(lambda: demo.dns.addresses("www.example.com", subnet="193.1.0.0/24")
                   == {"127.0.0.12"}, "Ireland to be sent to us-east", 5)
        wait_until(lambda: demo.dns.addresses("www.example.com", subnet="193.1.0.0/24")
                   == {"127.0.0.11"}, "Ireland to be sent home again", 40)
        check_in("eu-west-1 was killed by SIGKILL", demo.program.log())
    finally:
        demo.close()


@case
def two_run_beside_each_other_and_a_taken_port_is_named():
    held = port_is_held(8080)
    first, second = Demo("first"), Demo("second")
    try:
        first.start()
        check_in("port 8080 is taken by another program", first.program.log())
        second.start()
        check(first.dns.port != second.dns.port, "two demos share a port")
        for demo in (first, second):
            check_equal(demo.dns.addresses("www.example.com", subnet="8.8.8.0/24"), {"127.0.0.12"})
            check_equal(HttpClient("127.0.0.12", demo.http_port).get("/").status, 200)
        again = subprocess.run([TOP / "deploy/quickstart/run"], capture_output=True, text=True,
                               env={**os.environ, "BUILD": first.folder}, check=False,
                               timeout=30 * PATIENCE)
        check_equal(again.returncode, 1, "a second run in the same folder")
        check_in("runs already", again.stderr)
    finally:
        first.close()
        second.close()
        held.close()


@case
def a_program_that_does_not_start_is_named_with_its_last_words():
    demo = Demo("broken")
    os.remove(f"{demo.folder}/bin")
    os.mkdir(f"{demo.folder}/bin")
    for name in ("gslb-dns", "gslbctl"):
        os.symlink(BUILD / "bin" / name, f"{demo.folder}/bin/{name}")
    with open(f"{demo.folder}/bin/edge-proxy", "w", encoding="utf-8") as script:
        script.write("#!/bin/sh\necho 'no edge today' >&2\nexit 3\n")
    os.chmod(f"{demo.folder}/bin/edge-proxy", 0o755)
    result = subprocess.run([TOP / "deploy/quickstart/run"], capture_output=True, text=True,
                            env={**os.environ, "BUILD": demo.folder}, check=False,
                            timeout=60 * PATIENCE)
    check_equal(result.returncode, 1, "exit code")
    check(re.search(r"(eu-west|us-east|ap-northeast)-1 ended with code 3", result.stderr), result.stderr)
    check_in("no edge today", result.stderr)
    check_in("stopped", result.stdout)


main()
