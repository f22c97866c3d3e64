#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""How an edge leaves: a newer program takes its place without a refused or reset connection, and a
shutdown lets visitors in until the DNS nodes send them elsewhere."""
import ctypes
import hashlib
import os
import re
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, stream_hash, BLOCK  # noqa: E402
from gslbtest import PATIENCE, case, check, check_equal, check_in, main, wait_until  # noqa: E402
from site_under_test import Site, edge_state  # noqa: E402

PR_SET_CHILD_SUBREAPER = 36
BIG = 24 << 20


class Successor:
    """A program that another one has started: what Popen is for our own."""

    def __init__(self, pid):
        self.pid, self.returncode = pid, None

    def poll(self):
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout=60):
        wait_until(lambda: self.poll() is not None, f"{self.pid} to end", timeout / PATIENCE)
        return self.returncode

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)


def build():
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # successors become ours when their parent ends
    site = Site()
    try:
        site.origin = site.add_origin("origin-1")
        site.add_dns("ns1")
        def edit(config):
            config["limits"] = {"drain-notice": "3s", "drain": "20s"}
            config["cache"] = {"disk": {"file": str(site.path("store")), "size": "16MiB"}}
            config["sites"][HOST]["routes"]["/nocache/"] = {"pool": "app", "cache": False}
        site.edge = site.add_edge("eu-west-1", edit=edit)
        site.start()
    except BaseException:
        site.print_logs()
        site.close()
        raise
    site.origin.serve("/hit", b"hit" * 100, cache_control="max-age=1000")
    return site


def begin_handover(edge):
    """SIGUSR2; returns the old process, and the new one, which serves."""
    program = edge.program
    mark, old = program.mark(), program.process
    program.signal(signal.SIGUSR2)
    line = program.wait_log(r"started the new program", since=mark)
    program.wait_log(r"handed over", since=mark)
    program.process = Successor(int(re.search(r"pid=(\d+)", line)[1]))
    return old, program.process


def hand_over(edge):
    old, new = begin_handover(edge)
    check_equal(old.wait(20 * PATIENCE), 0, "the old process's end")
    return new


class Load:
    """Visitors over kept and over new connections who take no excuse. A kept one that is asked to go
    goes."""

    def __init__(self, edge):
        self.edge, self.failures, self.counts = edge, [], [0] * 6
        self.stop = threading.Event()
        visits = [self.visit_kept] * 3 + [self.visit_anew] * 3
        self.threads = [threading.Thread(target=self.visit, args=(visit, i)) for i, visit in enumerate(visits)]

    def visit(self, visit, i):
        try:
            while not self.stop.is_set():
                visit(i)
        except Exception as error:
            self.failures.append(error)

    def visit_anew(self, i):
        client = self.edge.https if i == 5 else self.edge.http
        check_equal(client.get("/hit", headers={"Connection": "close"}).status, 200)
        self.counts[i] += 1

    def visit_kept(self, i):
        with self.edge.http.connect(timeout_s=20) as c:
            while not self.stop.is_set():
                path = "/hit" if self.counts[i] % 2 else f"/nocache/{i}-{self.counts[i]}"
                response = c.request("GET", path, HOST)
                check_equal(response.status, 200, path)
                self.counts[i] += 1
                if response.header("connection") == "close":
                    return

    def wait_more(self, n):
        until = sum(self.counts) + n
        wait_until(lambda: sum(self.counts) >= until or self.failures, f"{n} more requests", 30)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.wait_more(20)
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        check_equal(self.failures, [])


# ---- A newer program

@case
def nobody_is_refused_or_reset(site):
    with Load(site.edge) as load:
        for _ in range(3):
            before = site.edge.program.pid
            hand_over(site.edge)
            check(site.edge.program.pid != before, "another process serves")
            load.wait_more(100)


@case
def control_and_metrics_move(site):
    hand_over(site.edge)
    site.wait_edge("eu-west-1", "up")
    result = site.edge.ctl("status")
    check_equal(result.returncode, 0, result.stderr)
    check_in("serving", result.stdout)
    check(site.edge.metrics(), "the metrics page")
    check(site.edge.socket.exists(), "the socket's path was left in place")


@case
def the_dns_node_never_misses_it(site):
    seen = []
    stop = threading.Event()

    def watch():
        while not stop.is_set():
            seen.append(edge_state(site.dns.status(), "eu-west-1"))
            time.sleep(0.02)
    watcher = threading.Thread(target=watch)
    watcher.start()
    hand_over(site.edge)
    site.wait_edge("eu-west-1", "up")
    stop.set()
    watcher.join()
    check_equal(set(seen), {"up"})


@case
def what_is_open_is_finished_by_the_old_one(site):
    site.origin.on("/download", lambda x: x.reply(200, {"Cache-Control": "no-store"}, (BLOCK * 24)[:BIG]))
    with site.edge.http.connect(timeout_s=30) as c:
        c.send_request("GET", "/download", HOST)
        head = c.read_head()
        check_equal(head.status, 200)
        old, _ = begin_handover(site.edge)
        check_equal(site.edge.get("/hit").status, 200)
        check(old.poll() is None, "the old process is still there")
        digest = hashlib.sha256()
        left = int(head.header("content-length"))
        while left > 0:
            data = c.take(min(left, 1 << 20))
            digest.update(data)
            left -= len(data)
        check_equal(digest.hexdigest(), stream_hash(BIG))
    check_equal(old.wait(20 * PATIENCE), 0)


@case
def the_disk_of_the_cache_moves(site):
    """While what is open is still being finished by the old one."""
    def on_disk(name):
        return site.edge.metrics()[name]
    site.origin.serve("/kept", b"kept", cache_control="max-age=1000")
    wait_until(lambda: site.edge.get("/kept").body == b"kept" and on_disk("edge_cache_disk_writes_total") > 0,
               "it to be written")
    gate = site.origin.gate("/nocache/slow")
    with site.edge.http.connect(timeout_s=30) as c:
        c.send_request("GET", "/nocache/slow", HOST)
        gate.wait_for()
        old, _ = begin_handover(site.edge)
        wait_until(lambda: on_disk('edge_cache_disk_state{state="ready"}') == 1, "the new one to have the disk")
        check_equal(site.edge.get("/kept").body, b"kept")
        check_equal(site.origin.count("/kept"), 1)
        check(old.poll() is None, "the old process is still there")
        gate.open()
        check_equal(c.read_response().status, 200)
    check_equal(old.wait(20 * PATIENCE), 0)


@case
def fewer_workers_leave_nobody_in_a_queue(site):
    with Load(site.edge) as load:
        for workers in (1, 3, 2):
            site.edge.config["workers"] = workers
            site.edge.write_config()
            hand_over(site.edge)
            load.wait_more(60)
    check_equal(site.edge.metrics()["edge_workers"], 2)


@case
def sockets_that_are_no_longer_configured_are_closed(site):
    extra = socket.socket()
    extra.bind(("127.0.0.1", 0))
    port = extra.getsockname()[1]
    extra.close()
    site.edge.config["listen"].append({"address": f"127.0.0.1:{port}"})
    site.edge.reload()
    wait_until(lambda: socket.create_connection(("127.0.0.1", port)).close() is None, "the new listener")
    site.edge.config["listen"].pop()
    site.edge.write_config()
    hand_over(site.edge)
    check_in("closed sockets that nothing here listens on", site.edge.program.log())
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        raise AssertionError("still open")
    except ConnectionRefusedError:
        pass


@case
def a_new_program_that_cannot_start_changes_nothing(site):
    good = site.edge.config_path.read_text()
    site.edge.config_path.write_text(good.replace('"name"', '"nome"'))
    try:
        with Load(site.edge) as load:
            program, mark = site.edge.program, site.edge.program.mark()
            program.signal(signal.SIGUSR2)
            program.wait_log(r"ended before it was ready", since=mark)
            check_in("unknown key 'nome'", program.log()[mark:])
            load.wait_more(50)
    finally:
        site.edge.config_path.write_text(good)
    hand_over(site.edge)
    check_equal(site.edge.get("/hit").status, 200)


@case
def the_new_one_reloads_and_is_told_to_go_like_any_other(site):
    site.edge.reload()
    site.edge.config["sites"][HOST]["aliases"].append("late.example.com")
    site.edge.reload(by="gslbctl")
    check_equal(site.edge.get("/hit", host="late.example.com").status, 200)


# ---- A shutdown

@case
def visitors_are_let_in_while_dns_sends_them_elsewhere(site):
    began = time.monotonic()
    site.edge.program.signal(signal.SIGTERM)
    wait_until(lambda: edge_state(site.dns.status(), "eu-west-1") == "draining", "the DNS node to know")
    told = time.monotonic()
    with site.edge.http.connect() as idle:
        response = site.edge.get("/hit")
        check_equal((response.status, response.header("connection")), (200, "close"))
        check_equal(idle.request("GET", "/hit", HOST).header("connection"), "close")
    check(told - began < 3 * PATIENCE, "the node knew before the doors closed")
    check_equal(site.edge.program.wait_end(20), 0)
    check(time.monotonic() - began >= 3, "the notice was kept")
    site.edge.start()
    site.wait_edge("eu-west-1", "up")


@case
def ctrl_c_needs_no_notice(site):
    began = time.monotonic()
    site.edge.program.signal(signal.SIGINT)
    check_equal(site.edge.program.wait_end(20), 0)
    check(time.monotonic() - began < 3 * PATIENCE, "at once")
    site.edge.start()
    site.wait_edge("eu-west-1", "up")


main(build)
