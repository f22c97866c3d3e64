#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Changing a running edge without a visitor noticing: reloads under load, refused configurations,
listeners that come and go, the access log, and the end."""
import copy
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import (HOST, counted, drink, edge_site, logged, stream_body, stream_hash)  # noqa: E402
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, free_port, main,  # noqa: E402
                      run_program, wait_until)

BIG = 20 << 20
SECOND = "second.example.net"


def edit(config, site):
    config["pools"]["second"] = {"origins": [site.second.address]}
    config["sites"][SECOND] = {"routes": {"/": {"pool": "second", "cache": False}}}


def build():
    def more(site):
        site.second = site.add_origin("second")
    site = edge_site(edit, build=more)
    site.origin.serve("/hit", b"hit" * 100, cache_control="max-age=1000")
    return site


class Load:
    """Visitors over kept connections who take no excuse: any status but 200, any closed connection
    fails the case."""

    def __init__(self, edge, paths=("/hit", "/miss?{}"), visitors=4):
        self.edge, self.paths, self.failures, self.counts = edge, paths, [], [0] * visitors
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.visit, args=(i,)) for i in range(visitors)]

    def visit(self, i):
        try:
            with self.edge.http.connect(timeout_s=20) as c:
                while not self.stop.is_set():
                    path = self.paths[self.counts[i] % len(self.paths)].format(f"{i}-{self.counts[i]}")
                    response = c.request("GET", path, HOST)
                    check_equal(response.status, 200, path)
                    check_equal(response.header("connection"), None, "Connection")
                    self.counts[i] += 1
        except Exception as error:
            self.failures.append(error)

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


# ---- Reloads

@case_table({"SIGHUP": "signal", "gslbctl": "gslbctl"})
def reload_under_load_loses_nothing(site, how):
    with Load(site.edge) as load:
        for i in range(8):
            site.edge.config["sites"][HOST]["aliases"] = ["example.com", f"alias-{how}-{i}.example.com"]
            site.edge.reload(by=how)
            check_equal(site.edge.get("/x", host=f"alias-{how}-{i}.example.com").status, 200)
            load.wait_more(50)


@case
def a_browsers_load_by_wrk_sees_no_error(site):
    wrk = subprocess.Popen(["wrk", "-t1", "-c20", "-d3s", "-H", f"Host: {HOST}",
                            f"http://{site.edge.address}:{site.edge.http_port}/hit"],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while wrk.poll() is None:
        site.edge.reload()
    output = wrk.stdout.read()
    check_equal(wrk.returncode, 0, output)
    check(not re.search(r"Socket errors|Non-2xx", output), output)
    check(int(re.search(r"(\d+) requests in", output)[1]) > 100, output)


@case
def the_cache_survives_a_reload(site):
    with counted(site.edge, {'edge_cache_total.status="hit"': 1}):
        site.edge.reload()
        check_equal(site.edge.get("/hit").status, 200)


@case
def new_routes_act_on_kept_connections(site):
    routes = site.edge.config["sites"][HOST]["routes"]
    with site.edge.http.connect() as c:
        check_equal(c.request("GET", "/new/x", HOST).header("x-origin"), "origin-1")
        routes["/new/"] = {"pool": "second", "cache": False}
        site.edge.reload()
        check_equal(c.request("GET", "/new/x", HOST).header("x-origin"), "second")
        del routes["/new/"]
        site.edge.reload()
        check_equal(c.request("GET", "/new/x", HOST).header("x-origin"), "origin-1")


@case
def requests_under_way_end_as_they_began(site):
    """Their pool and their site are gone from the configuration meanwhile."""
    gate = site.second.gate("/wait")
    config = copy.deepcopy(site.edge.config)
    waiting = site.edge.http.connect()
    waiting.send_request("GET", "/wait", SECOND)
    gate.wait_for()
    collapsed_gate = site.origin.gate("/collapsed")
    collapsed = [site.edge.http.connect() for _ in range(3)]
    before = site.edge.metric("edge_cache_lookups_total")
    for c in collapsed:
        c.send_request("GET", "/collapsed", HOST)
    wait_until(lambda: site.edge.metric("edge_cache_lookups_total") >= before + 3, "them to wait")
    del site.edge.config["sites"][SECOND], site.edge.config["pools"]["second"]
    site.edge.config["pools"] = {"zz": site.edge.config["pools"]["app"]}
    site.edge.config["sites"][HOST]["routes"] = {"/": "zz"}
    for _ in range(3):
        site.edge.reload()
    check_equal(site.edge.get("/", host=SECOND).status, 421)
    gate.open()
    collapsed_gate.open()
    check_equal(waiting.read_response().header("x-origin"), "second")
    check_equal(waiting.request("GET", "/", SECOND).status, 421, "the next request on that connection")
    for c in [waiting, *collapsed]:
        if c is not waiting:
            check_equal(c.read_response().status, 200)
        c.close()
    site.edge.config = config
    site.edge.reload()


@case
def listeners_come_and_go(site):
    config, port = site.edge.config, free_port()
    with site.edge.http.connect() as kept, Load(site.edge):
        check_equal(kept.request("GET", "/hit", HOST).status, 200)
        config["listen"].append({"address": f"127.0.0.1:{port}"})
        site.edge.reload()
        new = type(site.edge.http)("127.0.0.1", port)
        check_equal(new.get("/hit").status, 200)
        on_new = new.connect()
        on_new.request("GET", "/hit", HOST)
        del config["listen"][-1]
        mark = site.edge.program.mark()
        site.edge.reload()
        site.edge.program.wait_log("listen: closed", since=mark)
        wait_until(lambda: refuses(port), "the listener to be closed")
        check_equal(on_new.request("GET", "/hit", HOST).status, 200, "a connection from before")
        on_new.close()
        check_equal(kept.request("GET", "/hit", HOST).status, 200)


def refuses(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 1).close()
    except ConnectionRefusedError:
        return True
    return False


@case
def a_listener_can_become_tls(site):
    port = free_port()
    listeners = site.edge.config["listen"]
    listeners.append({"address": f"127.0.0.1:{port}"})
    site.edge.reload()
    check_equal(type(site.edge.http)("127.0.0.1", port).get("/hit").status, 200)
    listeners[-1] = {"address": f"127.0.0.1:{port}", "tls": True}
    site.edge.reload()
    wait_until(lambda: type(site.edge.http)("127.0.0.1", port, ca=site.certs.ca).get("/hit").status == 200,
               "TLS on that port")
    listeners.pop()
    site.edge.reload()


# ---- Refused configurations

def put(*path_and_value):
    *path, value = path_and_value

    def change(config):
        for key in path[:-1]:
            config = config[key]
        config[path[-1]] = value
    return change


# name: (change, what stands on the line that is named, a part of the message)
MISTAKES = {
    "an unknown key": (put("cach", {}), '"cach"', "cache"),
    "an unknown key deep down": (put("pools", "app", "check", "intervall", "1s"), '"intervall"', "interval"),
    "a wrong type": (put("sites", HOST, "redirect-to-https", "perhaps"), '"perhaps"', "true"),
    "a number out of range": (put("workers", 5000), "5000", "1024"),
    "a unit that is none": (put("limits", {"drain": "3 parsecs"}), "parsecs", "s"),
    "a pool that is not there": (put("sites", HOST, "routes", {"/": "apq"}), '"apq"', "apq"),
    "a file that is missing": (put("tls", "certificates", 0, "certificate", "/nonexistent.crt"),
                               "/nonexistent.crt", "No such file"),
    "an address without port": (put("listen", 0, "address", "127.0.0.1"), '"127.0.0.1"', "port"),
    "a host name to listen on": (put("listen", 0, "address", "edge.example.com:80"), "edge.example.com:80", "address"),
    "an origin twice": (put("pools", "app", "origins", ["127.0.0.1:1", "127.0.0.1:1"]), "127.0.0.1:1", "127.0.0.1:1"),
    "the same host twice": (put("sites", SECOND, "aliases", [HOST]), f'"{HOST}"', HOST),
    "a log that cannot be opened": (put("access-log", "/nonexistent/access.log"), "/nonexistent/access.log",
                                    "No such file"),
    "a name that is none": (put("name", "edge one"), '"edge one"', "name"),
}


@case_table(MISTAKES)
def a_mistake_is_refused_with_its_place_and_nothing_changes(site, change, marker, reason):
    good = site.edge.config
    config = site.edge.config = copy.deepcopy(good)
    change(config)
    try:
        site.edge.write_config()
        lines = site.edge.config_path.read_text().splitlines()
        places = [n for n, line in enumerate(lines, 1) if marker in line]
        mark = site.edge.program.mark()
        by_ctl = site.edge.ctl("reload")
        check_equal(by_ctl.returncode, 1, "gslbctl's exit code")
        site.edge.program.signal(signal.SIGHUP)
        wait_until(lambda: len(site.edge.program.log_lines("reload refused", since=mark)) == 2, "both to be refused")
        texts = {"gslbctl": by_ctl.stdout + by_ctl.stderr, "the log": site.edge.program.log()[mark:]}
        if "access-log" not in config or config["access-log"] == good["access-log"]:
            checked = run_program("edge-proxy", "-c", site.edge.config_path, "--check")
            check_equal(checked.returncode, 1, "exit code of --check")
            texts["--check"] = checked.stderr
        for who, text in texts.items():
            found = re.findall(r"edge-1\.yaml:(\d+):\d+: error: (.*)", text)
            check(any(int(n) in places for n, _ in found), f"{who} names none of the lines {places}: {text}")
            check_in(reason, text, who)
        check_equal(site.edge.get("/hit").status, 200)
    finally:
        site.edge.config = good
        site.edge.write_config()
    site.edge.reload()


@case
def all_mistakes_are_told_at_once(site):
    config = copy.deepcopy(site.edge.config)
    for change in (MISTAKES["an unknown key"], MISTAKES["a wrong type"], MISTAKES["a number out of range"]):
        change[0](config)
    path = site.path("three.yaml")
    path.write_text(json.dumps(config, indent=2))
    result = run_program("edge-proxy", "-c", path, "--check")
    check_equal(len(re.findall(r": error: ", result.stderr)), 3, result.stderr)


@case
def a_good_file_passes_the_check_without_disturbing_the_running_one(site):
    result = run_program("edge-proxy", "-c", site.edge.config_path, "--check")
    check_equal((result.returncode, result.stderr), (0, ""))


@case
def a_port_that_somebody_else_has_is_refused(site):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port, spare = other.getsockname()[1], free_port()
        site.edge.config["listen"] += [{"address": f"127.0.0.1:{spare}"}, {"address": f"127.0.0.1:{port}"}]
        site.edge.write_config()
        result = site.edge.ctl("reload")
        check_equal(result.returncode, 1, "exit code")
        check_in(str(port), result.stdout + result.stderr)
        check(refuses(spare), "the good listener of a refused file was opened all the same")
        del site.edge.config["listen"][-2:]
    site.edge.reload()
    check_equal(site.edge.get("/hit").status, 200)


@case
def an_edge_that_cannot_start_says_why():
    with socket.socket() as other, edge_site() as site:
        other.bind(("127.0.0.1", 0))
        other.listen()
        config = {**site.edge.config, "listen": [f"127.0.0.1:{other.getsockname()[1]}"], "metrics": "off"}
        config["control"] = {k: v for k, v in config["control"].items() if k != "socket"}
        path = site.path("taken.yaml")
        path.write_text(json.dumps(config, indent=2))
        result = run_program("edge-proxy", "-c", path)
        check_equal(result.returncode, 1, "exit code")
        check(re.search(r"taken\.yaml:\d+:\d+: error: .*in use|taken", result.stderr), result.stderr)


# ---- The access log

def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@case_table({"SIGUSR1": signal.SIGUSR1, "SIGHUP": signal.SIGHUP})
def the_log_is_opened_anew_and_no_line_is_lost(site, number):
    log, old = site.edge.access_log_path, site.path(f"old-{number}.log")
    prefix = f"/rotate-by-{number.name}"
    with Load(site.edge, (prefix + "?{}",), visitors=2) as load:
        load.wait_more(50)
        log.rename(old)
        site.edge.program.signal(number)
        wait_until(log.exists, "the new file")
        load.wait_more(50)
    requests = sum(load.counts)

    def both():
        return [line for path in (old, log) for line in lines_of(path) if line["path"].startswith(prefix)]
    wait_until(lambda: len(both()) >= requests, "all lines")
    check_equal(len(both()), requests)
    check(any(line["path"].startswith(prefix) for line in lines_of(log)), "the new file is used")


@case
def a_full_disk_stalls_nobody():
    with edge_site(lambda config, _: config.update({"access-log": "/dev/full"})) as site:
        with Load(site.edge, ("/full?{}",)) as load:
            load.wait_more(300)
            site.edge.program.wait_log("access log: cannot write: No space left on device")
        check_equal(len(site.edge.program.log_lines("cannot write")), 1, "complaints, not one for each line")


@case
def a_reader_that_stands_still_stalls_nobody():
    with edge_site() as site:
        pipe = site.path("pipe")
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        site.edge.config["access-log"] = str(pipe)
        site.edge.reload()
        path = "/" + "a" * 900
        with Load(site.edge, (path + "?{}",)) as load:
            load.wait_more(500)     # far more than a pipe holds
        reader_is_there = os.read(reader, 4096)
        check_in(b'"status":200', reader_is_there)
        # Lines that wait for the reader are let go in the end: the program must still stop in time.
        site.edge.stop()
        os.close(reader)


@case
def a_pipe_that_nobody_reads_is_refused():
    with edge_site() as site:
        pipe = site.path("unread")
        os.mkfifo(pipe)
        site.edge.config["access-log"] = str(pipe)
        site.edge.write_config()
        result = site.edge.ctl("reload")
        check_equal(result.returncode, 1, "exit code")
        check_in(str(pipe), result.stdout + result.stderr)
        check_equal(site.edge.get("/").status, 200)


# ---- Drain and the end

@case
def a_drained_edge_serves_on_and_asks_visitors_to_go(site):
    check_equal(site.edge.ctl("drain", "edge-1", "--reason", "maintenance").returncode, 0)
    try:
        with site.edge.http.connect() as c:
            def asked_to_go():
                with site.edge.http.connect() as c:
                    response = c.request("GET", "/hit", HOST)
                    check_equal(response.status, 200)
                    return response.header("connection") == "close"
            wait_until(asked_to_go, "visitors to be asked to go")
    finally:
        check_equal(site.edge.ctl("undrain", "edge-1").returncode, 0)
    wait_until(lambda: site.edge.get("/hit").header("connection") is None, "the drain to end")


def slow_download(site, gate):
    def answer(x):
        x.send_head(200, {"Content-Length": str(BIG), "Cache-Control": "no-store"})
        stream_body(x.send, 1 << 20)
        gate.wait(30 * PATIENCE)
        stream_body(x.send, BIG - (1 << 20))
    site.origin.on("/download", answer)
    c = site.edge.http.connect(timeout_s=20)
    c.send_request("GET", "/download", HOST)
    c.read_head()
    return c


@case
def sigterm_lets_open_requests_finish():
    with edge_site() as site:
        gate = threading.Event()
        site.origin.serve("/hit", b"hit", cache_control="max-age=1000")
        download = slow_download(site, gate)
        idle = site.edge.http.connect()
        idle.request("GET", "/hit", HOST)
        wait_gate = site.origin.gate("/wait")
        waiting = site.edge.http.connect()
        waiting.send_request("GET", "/wait", HOST)
        wait_gate.wait_for()
        site.edge.program.signal(signal.SIGTERM)
        check(idle.is_closed_by_peer(), "an idle connection is closed")
        wait_until(lambda: refuses(site.edge.http_port, site.edge.address), "no new connection to be taken")
        wait_gate.open()
        response = waiting.read_response()
        check_equal((response.status, response.header("connection")), (200, "close"))
        check(site.edge.program.is_running(), "it waits for the download")
        gate.set()
        check_equal(drink(download.sock, BIG, download.buffer), stream_hash(BIG))
        for c in (idle, download, waiting):
            c.close()
        check_equal(site.edge.program.wait_end(), 0, "exit code")
        check_in("stopped", site.edge.program.log())
        logged(site.edge, "/download")


@case
def a_drain_has_an_end():
    with edge_site(lambda config, _: config.update({"limits": {"drain": "500ms"}})) as site:
        gate = threading.Event()
        download = slow_download(site, gate)
        site.edge.program.signal(signal.SIGTERM)
        check_equal(site.edge.program.wait_end(8), 0, "exit code")
        gate.set()
        check(len(download.read_to_end()) < BIG, "the download is cut off")


@case
def a_second_sigterm_stops_at_once():
    with edge_site() as site:
        gate = threading.Event()
        slow_download(site, gate)
        site.edge.program.signal(signal.SIGTERM)
        site.edge.program.wait_log("stopping")
        site.edge.program.signal(signal.SIGTERM)
        check_equal(site.edge.program.wait_end(8), 0, "exit code")
        gate.set()


@case
def it_starts_again_at_once_on_the_same_ports():
    with edge_site() as site:
        for how in ("stop", "kill"):
            with site.edge.http.connect() as c:
                c.request("GET", "/", HOST)
                getattr(site.edge, how)()
            site.edge.start()
            check_equal(site.edge.get("/").status, 200)


main(build)
