#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The fast path from start to end: reloads and ends that lose no query and leave nothing attached,
rights that are enough and those that are not, several queues, cookies and the rate limit."""
import os
import re
import select
import signal
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from dns_packets import COOKIE, opt, option, packet, question  # noqa: E402
from gslbtest import case, case_table, check, check_equal, check_in, free_port, wait_until  # noqa: E402
from xdp_lab import CLIENT, SERVER, Lab, inside, ip, main_or_skip, socket_in  # noqa: E402

UNIT = os.path.join(os.path.dirname(__file__), "../../deploy/systemd/gslb-dns-xdp.conf")
QUERY = packet(body=question("x.example.com"))
PROXY_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ANSWERED, ATTACHED = "gslb_dns_xdp_answered_total", "xdp: attached interface=v0"


class Asker:
    """Asks one query after the other, in a thread, until it is told to end; counts the lost."""

    def __init__(self):
        self.n_asked = self.n_lost = 0
        self.is_over = threading.Event()
        self.sock = socket_in(CLIENT, socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(("10.77.0.1", 53))
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.is_over.is_set():
            self.n_asked += 1
            self.sock.send(struct.pack("!H", self.n_asked & 0xffff) + QUERY[2:])
            if not select.select([self.sock], [], [], 2)[0] or \
                    self.sock.recv(4096)[:2] != struct.pack("!H", self.n_asked & 0xffff):
                self.n_lost += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()
        self.sock.close()

    def goes_on(self):
        now = self.n_asked
        wait_until(lambda: self.n_asked > now + 20, "more queries")


@case
def reloads_switch_it_without_losing_a_query():
    with Lab() as lab:
        program = lab.start("dns", "{v0: off}")
        check(not lab.attached(), "attached though off")
        check_equal(lab.ask("@10.77.0.1"), "192.0.2.1")
        with Asker() as asker:
            for xdp, log, is_attached in (("{v0: native}", f"{ATTACHED} mode=native", True),
                                          ("{v0: generic}", f"{ATTACHED} mode=generic", True),
                                          ("{v0: generic}", "reloaded", True),
                                          ("{}", "xdp: detached interface=v0", False),
                                          ("{v0: true}", f"{ATTACHED} mode=native", True)):
                mark = program.mark()
                lab.configure("dns", xdp)
                program.signal(signal.SIGHUP)
                program.wait_log(log, since=mark)
                program.wait_log("reloaded zones=1", since=mark)
                asker.goes_on()
                check_equal(lab.attached(), is_attached, xdp)
        check_equal(asker.n_lost, 0, f"lost of {asker.n_asked}")
        program.stop()


@case
def a_reload_moves_it_to_other_ports():
    with Lab() as lab:
        program, other = lab.start("dns", "{v0: native}"), free_port()
        config = lab.configure("dns", "{v0: native}")
        config.write_text(re.sub(r"(listen: .*):53\"\]", rf'\1:53", "10.77.0.1:{other}"]', config.read_text()))
        before, mark = lab.metrics()[ANSWERED], program.mark()
        program.signal(signal.SIGHUP)
        program.wait_log("reloaded zones=1", since=mark)
        check(lab.exchange(QUERY, port=other), "no answer at the new port")
        check(lab.exchange(QUERY), "no answer at the old port")
        check_equal(lab.metrics()[ANSWERED], before + 2)


@case_table({"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM})
def an_end_answers_what_has_come(number):
    with Lab() as lab:
        program = lab.start("dns", "{v0: native}")
        check_equal(lab.ask("@10.77.0.1"), "192.0.2.1")
        with socket_in(CLIENT, socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("10.77.0.1", 53))
            for _ in range(200):
                sock.send(QUERY)
            program.signal(number)
            for n in range(200):
                check(select.select([sock], [], [], 2)[0], f"{n} of 200 were answered")
                sock.recv(4096)
        check_equal(program.wait_end(), 0)
        check(not lab.attached(), "a program is still attached")


@case
def the_next_start_takes_over_after_a_kill():
    with Lab() as lab:
        for _ in range(3):
            program = lab.start("dns", "{v0: native}")
            program.wait_log(ATTACHED)
            check_equal(lab.ask("@10.77.0.1"), "192.0.2.1")
            check_equal(lab.metrics()[ANSWERED], 1)
            program.kill()
            wait_until(lambda: not lab.attached(), "nothing is attached")


@case
def every_queue_is_served():
    with Lab(queues=2) as lab:
        program = lab.start("dns", "{v0: native}")
        program.wait_log(f"{ATTACHED} mode=native queues=2")
        for _ in range(50):  # each from a port of its own
            check(lab.exchange(QUERY), "no answer")
        check_equal(lab.metrics()[ANSWERED], 50)


@case
def of_some_queues_the_others_go_by_the_sockets():
    with Lab(queues=2) as lab:
        program = lab.start("dns", "{v0: {mode: native, queues: 1}}")
        program.wait_log(f"{ATTACHED} mode=native queues=1")
        for _ in range(50):
            check(lab.exchange(QUERY), "no answer")


# ---- Rights

def granted_by_the_unit():
    with open(UNIT, encoding="utf-8") as unit:
        text = unit.read()
    names = re.search(r"^AmbientCapabilities=(.*)$", text, re.M)[1].split()
    check_equal(re.search(r"^CapabilityBoundingSet=(.*)$", text, re.M)[1].split(), names)
    return [name.removeprefix("CAP_").lower() for name in names] + ["net_bind_service"]


def with_only(capabilities):
    """root of just these capabilities, able to read what root owns and to lock 64 MiB."""
    return ("setpriv", "--bounding-set", ",".join(["-all", *(f"+{c}" for c in capabilities)]))


@case
def the_drop_in_of_systemd_grants_enough():
    with Lab() as lab:
        lab.start("dns", "{v0: native}", by=with_only(granted_by_the_unit())).wait_log(ATTACHED)
        check(lab.exchange(QUERY), "no answer")
        check_equal(lab.metrics()[ANSWERED], 1)


@case_table({name: name for name in ("net_admin", "net_raw", "bpf")})
def without_a_right_the_sockets_serve(missing):
    with Lab() as lab:
        rights = [c for c in granted_by_the_unit() if c != missing]
        program = lab.start("dns", "{v0: native}", by=with_only(rights))
        check_in("xdp: v0: ", program.log())
        check_in("not permitted: it takes CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF; sockets serve", program.log())
        check(lab.exchange(QUERY), "no answer")
        check_equal(lab.metrics().get(ANSWERED), 0)


# ---- What guards the sockets guards it too

@case
def the_rate_limit_counts_its_answers():
    with Lab() as lab:
        lab.start("dns", "{v0: native}", more="rate-limit: {per-second: 10, slip: off}\n")
        lab.ask("@10.77.0.1", "+tcp")
        with socket_in(CLIENT, socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("10.77.0.1", 53))
            for _ in range(300):
                sock.send(QUERY)
            wait_until(lambda: lab.metrics()["gslb_dns_xdp_received_total"] == 300, "all have come")
        m = lab.metrics()
        limited = m['gslb_dns_rate_limited_total{action="dropped"}']
        check(limited > 200, f"{limited} of 300 were dropped")
        check_equal(m[ANSWERED], 300 - limited)


@case
def cookies_are_made_and_known():
    with Lab() as lab:
        lab.start("dns", "{v0: native}", more="rate-limit: {per-second: 10, slip: off}\n")
        made = lab.exchange(packet(opt(option(COOKIE, b"12345678")), body=question("x.example.com")))
        cookie = made[made.index(b"12345678"):][:24]
        known = packet(opt(option(COOKIE, cookie)), body=question("x.example.com"))
        for _ in range(100):
            check(lab.exchange(known), "a client with a cookie was limited")
        m = lab.metrics()
        check_equal(m['gslb_dns_cookies_total{cookie="valid"}'], 100)
        check_equal(m[ANSWERED], 101)
        check(lab.exchange(known, SERVER), "no answer by the sockets")
        check_equal(lab.metrics()[ANSWERED], 101)


@case
def clients_that_a_balancer_brings_are_known():
    """PROXY headers are read where cookies and limits are, behind both ways in."""
    with Lab() as lab:
        lab.start("dns", "{v0: native}", more="proxy-protocol: {from: [10.77.0.2]}\n")
        header = PROXY_SIGNATURE + b"\x21\x12" + struct.pack("!H4s4sHH", 12, b"\xc6\x33\x64\7", b"\xc0\0\2\1", 9, 53)
        check_equal(lab.exchange(header + QUERY), lab.exchange(QUERY, SERVER))
        check(lab.exchange(QUERY, timeout_s=0.2) is None, "an answer without a header")
        m = lab.metrics()
        check_equal(m['gslb_dns_udp_dropped_total{reason="proxy_header"}'], 1)
        check_equal(m[ANSWERED], 1)


@case
def a_listener_at_every_address_serves_those_of_the_host():
    with Lab() as lab:
        lab.start("dns", "{v0: native}", listen=("0.0.0.0", "[::]"))
        for host in ("10.77.0.1", "fd77::1"):
            check(lab.exchange(QUERY, host=host), host)
        check_equal(lab.metrics()[ANSWERED], 2)
        ip("-n", SERVER, "addr", "add", "10.77.0.9/24", "dev", "v0")
        check(lab.exchange(QUERY, host="10.77.0.9"), "an address that came later, by the sockets")
        check_equal(lab.metrics()[ANSWERED], 2)
        check_equal(inside(SERVER, "cat", "/sys/class/net/v0/operstate").strip(), "up")


main_or_skip()
