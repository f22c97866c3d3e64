#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Starts that fail and say why, ends of every kind, and what a node finds when it is back."""
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.message  # noqa: E402

from dns_client import addresses_of, read_tcp_message, tcp_frame  # noqa: E402
from fake_site import build_site  # noqa: E402
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, free_port,  # noqa: E402
                      main, program_path, run_program, wait_until)
from site_under_test import Certs, Site, edge_state  # noqa: E402


def start_and_fail(node, code=1):
    """Starts a node that cannot run; returns what it says."""
    node.write_config()
    result = run_program("gslb-dns", "-c", node.config_path)
    check_equal(result.returncode, code, result.stderr)
    check_equal(result.stdout, "", "stdout")
    return result.stderr


@case
def killed_node_is_back_at_once():
    with build_site() as site:
        for _ in range(3):
            site.dns.kill()
            started = time.monotonic()
            site.dns.start()
            check_equal(site.dns.addresses("www.example.com", subnet="185.2.100.0/24"), {"127.0.0.11"},
                        "from the first answer on")
            check(time.monotonic() - started < 5 * PATIENCE, "soon")
            for fake in site.fakes:
                site.wait_edge(fake.name, "up")
        check_in("ns1: gslb-dns", site.ctl("status").stdout, "the dead one's socket is no obstacle")


@case_table({"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT})
def ends_well(number):
    with build_site() as site:
        with site.dns.client.connect() as sock:
            sock.sendall(tcp_frame(dns.message.make_query("static.example.com", "A").to_wire()))
            read_tcp_message(sock)
            site.dns.program.signal(number)
            check_equal(sock.recv(1), b"", "connections are closed")
        check_equal(site.dns.program.wait_end(), 0)
        check_in("stopping signal=", site.dns.program.log())
        check(not site.dns.socket.exists(), "the socket is taken away")
        site.dns.program.check_clean()
        site.dns.program.process = None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", site.dns.port))


@case
def ignored_signals():
    with Site() as site:
        site.add_dns("ns1").start()
        for number in (signal.SIGPIPE,):
            site.dns.program.signal(number)
            check_equal(site.dns.addresses("static.example.com"), {"192.0.2.80"})


@case_table({"UDP port of a stranger": (socket.SOCK_DGRAM, "listen"),
             "TCP port of a stranger": (socket.SOCK_STREAM, "listen"),
             "control port of a stranger": (socket.SOCK_STREAM, "control"),
             "metrics port of a stranger": (socket.SOCK_STREAM, "metrics")})
def port_is_taken(kind, key):
    with Site() as site, socket.socket(socket.AF_INET, kind) as squatter:
        squatter.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            squatter.listen()
        address = f"127.0.0.1:{squatter.getsockname()[1]}"
        node = site.add_dns("ns1")
        if key == "control":
            node.config["control"]["listen"] = [address]
        else:
            node.config[key] = [address] if key == "listen" else address
        said = start_and_fail(node)
        check(re.search(rf"ns1\.yaml:\d+:\d+: error: .*{re.escape(address)}.*in use", said), said)
        check_in("another program has it", said)
        check(not node.socket.exists(), "nothing is left behind")


@case
def second_node_on_the_same_ports():
    """Two of the same must not share the port by SO_REUSEPORT and half of the queries each."""
    with Site() as site:
        site.add_dns("ns1").start()
        other = site.add_dns("ns2")
        other.config["listen"] = site.dns.config["listen"]
        check_in("in use", start_and_fail(other))
        other.config["listen"] = [f"127.0.0.1:{free_port()}"]
        other.config["control"]["socket"] = str(site.dns.socket)
        said = start_and_fail(other)
        check_in("ns1.sock", said)
        check_in("ns1: gslb-dns", site.ctl("status").stdout, "the first keeps its socket")


@case
def socket_path_of_another_file_is_left_alone():
    with Site() as site:
        node = site.add_dns("ns1")
        node.socket.write_text("precious")
        said = start_and_fail(node)
        check_in("ns1.sock", said)
        check_equal(node.socket.read_text(), "precious")


MISSING = {
    "zone file": (lambda c: c["zones"].update({"example.com": "gone.zone"}), "gone.zone"),
    "certificate": (lambda c: c["control"].update(certificate="gone.crt"), "gone.crt"),
    "key": (lambda c: c["control"].update(key="gone.key"), "gone.key"),
    "CA": (lambda c: c["control"].update(ca="gone.ca"), "gone.ca"),
    "database": (lambda c: c["geoip"].update(databases=["gone.mmdb"]), "gone.mmdb"),
    "folder of the socket": (lambda c: c["control"].update(socket="no/such/folder.sock"), "folder.sock"),
    "certificate of an edge": (lambda c: None, "gslb://dns/NAME"),
    "key of another certificate": (lambda c: None, "does not belong to the certificate"),
    "CA of others": (lambda c: None, "does not stand up to the CA"),
}


@case_table({name: (name, *rest) for name, rest in MISSING.items()})
def start_fails_for_want_of(name, change, words):
    with Site() as site:
        node = site.add_dns("ns1")
        control = node.config["control"]
        if name == "certificate of an edge":
            control.update(site.certs.node("edge", "eu-west-1"))
        elif name == "key of another certificate":
            control["key"] = site.certs.node("edge", "eu-west-1")["key"]
        elif name == "CA of others":
            control["ca"] = str(Certs(site.path("other")).ca)
        change(node.config)
        said = start_and_fail(node)
        check_in(words, said)
        check(re.search(r"(ns1\.yaml:\d+:\d+|gone\.zone): error: ", said), said)
        check_in("not started", said)


@case
def state_file_that_cannot_be_written():
    """The drain works, and says that it will not last."""
    with Site() as site:
        node = site.add_dns("ns1")
        node.config["state"] = "no/such/folder/state"
        node.start()
        site.add_fake_edge("eu-west-1")
        site.wait_edge("eu-west-1", "up")
        result = site.ctl("drain", "eu-west-1")
        check_equal(result.returncode, 0, result.stderr)
        check_equal(edge_state(node.status(), "eu-west-1"), "draining")
        line = node.program.wait_log("cannot write the state file")
        check_in("No such file or directory", line)
        check_in("forgotten at the next start", line)


@case
def state_file_that_is_a_folder():
    with Site() as site:
        node = site.add_dns("ns1")
        site.path("ns1.state").mkdir()
        node.start()
        check(node.program.log_lines("state file"), node.program.log())
        check_equal(node.addresses("static.example.com"), {"192.0.2.80"})


@case
def logs_to_a_full_disk():
    with Site() as site:
        node = site.add_dns("ns1")
        node.write_config()
        with open("/dev/full", "wb") as full:
            process = subprocess.Popen([program_path("gslb-dns"), "-c", node.config_path], stdout=full,
                                       stderr=full)
        try:
            wait_until(lambda: node.addresses("static.example.com", timeout_s=0.5) == {"192.0.2.80"},
                       "an answer")
            process.send_signal(signal.SIGHUP)
            check_equal(site.ctl("reload").returncode, 0)
            check_equal(node.addresses("static.example.com"), {"192.0.2.80"})
        finally:
            process.terminate()
            code = process.wait(20 * PATIENCE)
        check_equal(code, 0)


@case
def logs_to_a_closed_pipe():
    with Site() as site:
        node = site.add_dns("ns1")
        node.write_config()
        process = subprocess.Popen([program_path("gslb-dns"), "-c", node.config_path],
                                   stderr=subprocess.PIPE)
        try:
            process.stderr.close()
            wait_until(lambda: node.addresses("static.example.com", timeout_s=0.5) == {"192.0.2.80"},
                       "an answer")
            check_equal(site.ctl("reload").returncode, 0)
        finally:
            process.terminate()
            code = process.wait(20 * PATIENCE)
        check_equal(code, 0)


@case
def progress_is_for_terminals_only():
    with Site() as site:
        node = site.add_dns("ns1").start()
        check("\r" not in node.program.log() and "\x1b" not in node.program.log(), "no progress in a pipe")


@case
def relative_paths_are_relative_to_the_file():
    """Whatever the working directory is."""
    with Site() as site:
        node = site.add_dns("ns1")
        node.config["zones"]["example.com"] = "ns1.zone"
        node.write_config()
        for folder in ("/", "/tmp", str(site.folder)):
            result = run_program("gslb-dns", "-c", node.config_path, "--check", cwd=folder)
            check_equal(result.returncode, 0, result.stderr)
        result = run_program("gslb-dns", "-c", "ns1.yaml", "--check", cwd=str(site.folder))
        check_equal(result.returncode, 0, result.stderr)


@case
def smallest_configuration():
    """A plain authoritative server: no control, no GeoIP, no services."""
    with Site() as site:
        node = site.add_dns("ns1")
        node.config = {"listen": node.config["listen"], "zones": node.config["zones"]}
        node.start()
        check_equal(node.addresses("static.example.com"), {"192.0.2.80"})
        result = site.ctl("status", socket=site.path("ns1.sock"))
        check_equal(result.returncode, 3, "there is no socket")
        node.reload()


@case
def descriptor_limit_does_not_stop_udp():
    """A flood of TCP connections uses up what descriptors there are."""
    with Site() as site:
        node = site.add_dns("ns1", lambda c: c.update(tcp={"max-connections": 100000}))
        node.program.argv = ["/bin/sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *node.program.argv]
        node.start()
        socks = []
        try:
            for _ in range(120):
                socks.append(node.client.connect(1))
            for _ in range(20):
                check_equal(node.addresses("static.example.com"), {"192.0.2.80"})
        finally:
            for sock in socks:
                sock.close()
        wait_until(lambda: addresses_of(node.query("static.example.com", tcp=True, timeout_s=0.5)),
                   "TCP to be back")
        check(len(node.program.log_lines("warn|error")) < 20, "without a flood of log lines")


main()
