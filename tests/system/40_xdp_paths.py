#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The fast path over a veth pair between two network namespaces: answers in both modes, what goes
to the kernel, and nothing attached when the server is gone. Skipped where that is not permitted."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from gslbtest import Program, case, case_table, check, check_equal, check_in, main, parse_metrics, program_path  # noqa: E402

SERVER, CLIENT = f"gslb-xs-{os.getpid()}", f"gslb-xc-{os.getpid()}"
ZONE = "@ 60 SOA a. b. 1 1 1 1 1\n@ 60 NS a.\nx 60 A 192.0.2.1\n"


def ip(*args):
    return subprocess.run(["ip", *args], capture_output=True, text=True, check=False)


def inside(namespace, *args):
    return subprocess.run(["ip", "netns", "exec", namespace, *args], capture_output=True, text=True,
                          check=False, timeout=20).stdout


class Lab:
    """The server's namespace with 10.77.0.1 and fd77::1 on v0, the client's with .2 on v1."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.programs = []
        for namespace in (SERVER, CLIENT):
            ip("netns", "add", namespace)
        ip("link", "add", "v0", "netns", SERVER, "type", "veth", "peer", "name", "v1", "netns", CLIENT)
        for namespace, link, host in ((SERVER, "v0", "1"), (CLIENT, "v1", "2")):
            ip("-n", namespace, "addr", "add", f"10.77.0.{host}/24", "dev", link)
            ip("-n", namespace, "addr", "add", f"fd77::{host}/64", "dev", link, "nodad")
            ip("-n", namespace, "link", "set", link, "up")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in self.programs:
            program.kill()
        for namespace in (SERVER, CLIENT):
            ip("netns", "del", namespace)
        shutil.rmtree(self.folder)

    def start(self, name, xdp, port=53):
        (self.folder / "zone").write_text(ZONE)
        config = self.folder / f"{name}.yaml"
        config.write_text(f'listen: ["10.77.0.1:{port}", "[fd77::1]:{port}"]\nxdp: {xdp}\n'
                          f'metrics: 10.77.0.1:{port + 9000}\nzones: {{example.com: zone}}\n')
        program = Program(name, ["ip", "netns", "exec", SERVER, program_path("gslb-dns"), "-c", config],
                          self.folder / f"{name}.log")
        self.programs.append(program)
        return program.start().wait_ready()

    def ask(self, *args):
        return inside(CLIENT, "dig", "+short", "+time=2", "+tries=2", *args, "x.example.com").strip()

    def metrics(self):
        return parse_metrics(inside(CLIENT, "curl", "-s", "http://10.77.0.1:9053/metrics"))

    def attached(self):
        return "xdp" in ip("-n", SERVER, "link", "show", "v0").stdout


def is_permitted():
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    permitted = ip("netns", "add", f"{SERVER}-try").returncode == 0
    ip("netns", "del", f"{SERVER}-try")
    return permitted


@case_table({"native": "native", "generic": "generic", "auto": "true"})
def answers_and_counts(mode):
    with Lab() as lab:
        program = lab.start("dns", f"{{v0: {mode}}}")
        program.wait_log("xdp: attached interface=v0")
        for server in ("@10.77.0.1", "@fd77::1"):
            check_equal(lab.ask(server), "192.0.2.1", server)
        m = lab.metrics()
        check_equal(m["gslb_dns_xdp_received_total"], 2)
        check_equal(m["gslb_dns_xdp_answered_total"], 2)
        check_equal(lab.ask("+tcp", "@10.77.0.1"), "192.0.2.1", "TCP goes to the kernel")
        check(lab.metrics()["gslb_dns_xdp_passed_total"] > m["gslb_dns_xdp_passed_total"], "passed")
        program.stop()
        check(not lab.attached(), "a program is still attached")


@case
def nothing_stays_attached_after_a_kill():
    with Lab() as lab:
        program = lab.start("dns", "{v0: native}")
        check(lab.attached(), "nothing is attached")
        program.kill()
        check(not lab.attached(), "a program is still attached")


@case
def a_second_instance_serves_by_sockets():
    with Lab() as lab:
        lab.start("first", "{v0: native}")
        second = lab.start("second", "{v0: native}", port=54)
        check_in("sockets serve", second.log())
        check_equal(lab.ask("-p", "54", "@10.77.0.1"), "192.0.2.1")


@case
def an_absent_interface_is_a_warning():
    with Lab() as lab:
        program = lab.start("dns", "{nowhere0: true}")
        check_in("xdp: nowhere0: there is no such interface; sockets serve", program.log())
        check_equal(lab.ask("@10.77.0.1"), "192.0.2.1")


if not is_permitted():
    print("skip: network namespaces need root and iproute2")
    print("ok skipped_without_rights")
    sys.exit(0)
main()
