#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What breaks around an edge, and what it makes of it: origins that reset, lie about their length or
trickle, files, memory and ports that run out. Each is answered or refused in so many words, counted,
and over when its cause is. Visitors that vanish and origins that stand still are in 52_http_slow."""
import contextlib
import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import (HOST, IS_SANITIZED, connections, counted, edge_site, in_threads, logged,  # noqa: E402
                             memory_kib, open_files, total, wait_connections)
from gslbtest import PATIENCE, case, case_table, check, check_equal, check_in, free_port, main, wait_until  # noqa: E402
from http_client import Connection  # noqa: E402
from site_under_test import Site  # noqa: E402

KEEPS = "max-age=60"
FIRST_BYTE_S = 1.0 * PATIENCE


def edit(config, _site):
    config["pools"]["app"].update({"first-byte-timeout": f"{int(FIRST_BYTE_S * 1000)}ms", "retry": {"attempts": 1}})
    config["limits"] = {"body-idle": f"{int(1500 * PATIENCE)}ms"}


def build():
    return edge_site(edit)


def reset_after(*data):
    def answer(x):
        for part in data:
            x.send(part)
            time.sleep(0.05)        # so that it goes out before the reset, which overtakes
        x.reset()
    return answer


def outcome(site, path, method="GET", **how):
    """(status, body) or (status, None) when the body did not come whole."""
    with site.edge.http.connect() as c:
        c.send_request(method, path, HOST, **how)
        response = c.read_head()
        while response.status < 200:
            response = c.read_head()
        try:
            return response.status, c.read_body(response, method)
        except OSError:
            return response.status, None


HEAD = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"


# ---- Origins that reset, and that lie about their length

@case_table({
    "before a byte": ((), (502, None), "reset"),
    "in the status line": ((b"HTTP/1.1 20",), (502, None), "reset"),
    "in the head": ((HEAD,), (502, None), "reset"),
    "after interim": ((b"HTTP/1.1 103 Early Hints\r\n\r\n",), (502, None), "reset"),
    "after the head": ((HEAD + b"Content-Length: 5\r\n\r\n",), (200, None), "truncated"),
    "in the body": ((HEAD + b"Content-Length: 5\r\n\r\n", b"he"), (200, None), "truncated"),
    "in a chunk": ((HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhe"), (200, None), "truncated"),
    "between chunks": ((HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nhe\r\n"), (200, None), "truncated"),
    "before the last chunk's end": ((HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nhe\r\n0\r\n"), (200, None), "truncated"),
    "in a body until the close": ((HEAD + b"\r\n", b"he"), (200, None), "truncated"),
})
def an_origin_resets(site, data, wanted, reason):
    path = f"/reset/{abs(hash(data))}"
    site.origin.on(path, reset_after(*data))
    with counted(site.edge, {f'upstream_errors_total.reason="{reason}"': 1}):
        status, body = outcome(site, path)
    check_equal(status, wanted[0])
    check(status != 200 or body is None, f"taken for whole: {body!r}")
    site.origin.serve(path, b"whole", cache_control=KEEPS)
    check_equal(outcome(site, path), (200, b"whole"), "nothing of it was stored")


@case_table({
    "while the body comes": ("POST", 2_000_000), "before the body": ("POST", 10),
})
def an_origin_resets_an_upload(site, method, size):
    site.origin.reads_bodies = False
    site.origin.on("/upload", lambda x: x.reset())
    try:
        with counted(site.edge, {'upstream_errors_total.reason="reset"': 1}):
            with site.edge.http.connect() as c:
                with contextlib.suppress(OSError):
                    c.send_request(method, "/upload", HOST, body=b"x" * size)
                check_in(b" 502 ", c.read_to_end())
    finally:
        site.origin.reads_bodies = True


@case_table({
    "shorter than it says": (b"Content-Length: 10\r\n\r\nshort", (200, None), "truncated", 1),
    "longer than it says": (b"Content-Length: 4\r\n\r\nlonger", (200, b"long"), "truncated", 0),
    "a chunk shorter than it says": (b"Transfer-Encoding: chunked\r\n\r\na\r\nshort\r\n0\r\n\r\n", (200, None), "truncated", 1),
    "a chunk longer than it says": (b"Transfer-Encoding: chunked\r\n\r\n2\r\nlonger\r\n0\r\n\r\n", None, "protocol", 1),
    "bytes where none may be": (b"Content-Length: 0\r\n\r\nsurplus", (200, b""), "truncated", 0),
})
def an_origin_lies_about_its_length(site, rest, wanted, reason, count):
    path = f"/lie/{abs(hash(rest))}"
    site.origin.on(path, lambda x: (x.send(HEAD + rest), x.close()))
    with counted(site.edge, {f'upstream_errors_total.reason="{reason}"': count}):
        try:
            got = outcome(site, path)
        except OSError:     # broken off with the head
            got = None
    check(got == wanted or (wanted is None and (got is None or got[1] is None or got[0] == 502)), f"{got}")
    with counted(site.edge, {"upstream_errors": 0}):
        for i in range(3):
            check_equal(outcome(site, f"/behind/{i}"), (200, f"origin-1 /behind/{i}\n".encode()), "others are served")


# ---- Origins that trickle

@case
def an_origin_that_trickles_is_passed_on_as_it_comes(site):
    def answer(x):
        x.send_head(200, {"Content-Length": "12", "Cache-Control": KEEPS})
        for byte in b"drop by drop":
            time.sleep(0.05)
            x.send(bytes([byte]))
    site.origin.on("/trickle", answer)
    with site.edge.http.connect() as c:
        c.send_request("GET", "/trickle", HOST)
        response, arrived = c.read_head(), []
        for _ in range(12):
            arrived.append((c.take(1), time.monotonic()))
    check_equal((response.status, b"".join(byte for byte, _ in arrived)), (200, b"drop by drop"))
    check(arrived[-1][1] - arrived[0][1] > 0.3, "they came as they were sent")
    check_equal(outcome(site, "/trickle"), (200, b"drop by drop"))
    check_equal(site.origin.count("/trickle"), 1, "and it was stored")


@case
def an_origin_that_trickles_its_head_has_a_deadline(site):
    def answer(x):
        with contextlib.suppress(OSError):
            for byte in HEAD * 100:
                x.send(bytes([byte]))
                time.sleep(0.02)
        x.close()
    site.origin.on("/trickled-head", answer)
    with counted(site.edge, {'upstream_errors_total.reason="first-byte-timeout"': 1}):
        started = time.monotonic()
        check_equal(outcome(site, "/trickled-head", "POST", body=b"x")[0], 504)
    check(time.monotonic() - started < FIRST_BYTE_S + 3 * PATIENCE, "bytes do not move it")


@case
def interim_answers_without_end_have_it_too(site):
    def answer(x):
        with contextlib.suppress(OSError):
            for _ in range(500):
                x.send(b"HTTP/1.1 102 Processing\r\n\r\n")
                time.sleep(0.02)
        x.close()
    site.origin.on("/interim", answer)
    with counted(site.edge, {'upstream_errors_total.reason="first-byte-timeout"': 1}):
        with site.edge.http.connect() as c:
            c.send_request("POST", "/interim", HOST, body=b"x")
            check_equal(c.read_response().status, 504)


# ---- Files

def limit_files(edge, n):
    edge.program.argv = ["/bin/sh", "-c", f'ulimit -n {n}; exec "$@"', "sh", *edge.program.argv]


@case
def without_file_descriptors_origins_are_not_blamed():
    """Visitors take all but a few: requests are refused, the origin stays up, and all is well after."""
    with Site() as site:
        edge = site.add_edge("edge-1", [site.add_origin()])
        limit_files(edge, 96)
        edge.config["cache"] = {"memory": "off"}
        edge.config["pools"]["app"]["check"]["timeout"] = edge.config["pools"]["app"]["check"]["interval"] = "400ms"
        site.start()
        gate = site.origins[0].gate("/held")
        crowd = [Connection(edge.address, edge.http_port) for _ in range(60)]
        for c in crowd:
            with contextlib.suppress(OSError):
                c.send_request("GET", "/held", HOST)
        wait_until(lambda: open_files(edge) >= 94, "its files to run out")
        gate.open()
        answers = [c.read_response().status for c in crowd]
        check(set(answers) <= {200, 503} and 200 in answers, f"{answers}")
        for c in crowd:
            c.close()
        check_equal(wait_until(lambda: edge.get("/").status == 200 and 200, "it to serve again"), 200)
        wait_connections(edge, 0)
        m = edge.metrics()
        check_equal(total(m, 'upstream_errors_total.reason="no-files"'), answers.count(503))
        check(total(m, 'reason="no-files"') > 0, "it was counted")
        check(not edge.program.log_lines("origin is down"), "the origin was not blamed")


@case
def without_file_descriptors_resting_connections_give_way():
    """Each newcomer is served, though there are more who stay than there are files for."""
    with Site() as site:
        edge = site.add_edge("edge-1", [site.add_origin()])
        limit_files(edge, 96)
        site.start()
        site.origins[0].serve("/hit", b"stored", cache_control=KEEPS)
        with contextlib.ExitStack() as crowd:
            for _ in range(150):
                c = crowd.enter_context(Connection(edge.address, edge.http_port))
                c.send_request("GET", "/hit", HOST)
                check_equal(c.read_response().status, 200)
        check(edge.metric("edge_connections_made_room_total") >= 150 - 96, "the oldest were closed")


# ---- Memory

@case
def buffers_have_a_budget():
    """400 visitors that hold a buffer each want three times what there is."""
    with edge_site(lambda config, site: config.update(
            {"limits": {"buffers": "8MiB", "header-timeout": "60s"}, "cache": {"memory": "8MiB"}})) as site:
        edge = site.edge
        site.origin.serve("/hit", b"stored", cache_control=KEEPS)
        check_equal(edge.get("/hit").status, 200)
        before = memory_kib(edge)
        begun = [Connection(edge.address, edge.http_port) for _ in range(400)]

        def begin(c):
            c.send(b"GET /hit HTTP/1.1\r\nHost: www.exa")
        for c in begun:
            begin(c)
        wait_until(lambda: edge.metric('refused_total.reason="memory"') > 200, "refusals")
        used = memory_kib(edge) - before
        check(used < 16 << 10 or IS_SANITIZED, f"{used} KiB")
        refused = edge.get("/hit")
        check_equal((refused.status, refused.header("retry-after"), refused.header("connection")), (503, "5", "close"))
        for c in begun:
            c.close()
        wait_connections(edge, 0)
        check_equal(wait_until(lambda: edge.get("/hit").status == 200 and 200, "it to serve again"), 200)
        check(connections(edge) <= 1, "nothing is left")


@case
def a_tiny_cache_serves_all_the_same():
    with edge_site(lambda config, site: config.update({"cache": {"memory": "1MiB", "max-object": "64KiB"}})) as site:
        for i in range(100):
            site.origin.serve(f"/o/{i}", bytes([i]) * 60000, cache_control=KEEPS)

        def fetch(worker):
            for i in range(worker, 100, 4):
                check_equal(site.edge.get(f"/o/{i}").body, bytes([i]) * 60000)
        for _ in range(2):
            in_threads(4, fetch)
        check(site.edge.metric("^edge_cache_bytes") <= 1 << 20, "the budget holds")


# ---- Ports

def in_tiny_namespace():
    """Is this process in a network namespace with 12 local ports? Else it runs this file in one."""
    return os.environ.get("GSLB_TINY_NAMESPACE") == "yes"


@case
def local_ports_run_out():
    if in_tiny_namespace():
        return
    if os.geteuid() != 0:
        print("not root: no network namespace")
        return
    result = subprocess.run(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo 40000 40011 >/proc/sys/net/ipv4/ip_local_port_range"
         f" && exec /usr/bin/python3 {__file__} inside"],
        env={**os.environ, "GSLB_TINY_NAMESPACE": "yes"}, capture_output=True, text=True, check=False, timeout=120 * PATIENCE)
    check_equal(result.returncode, 0, result.stdout + result.stderr)
    check_in("ok ports_run_out_inside", result.stdout)


@case
def ports_run_out_inside():
    """Visitors bring ports of their own; towards the origin there are a dozen."""
    if not in_tiny_namespace():
        return
    with edge_site(lambda config, site: config["pools"]["app"]["check"].update({"interval": "400ms", "timeout": "400ms"})) as site:
        gate = site.origin.gate("/held")
        visitors = []
        for i in range(20):
            sock = socket.socket()
            sock.bind(("127.0.0.9", free_port()))
            sock.settimeout(20 * PATIENCE)
            sock.connect((site.edge.address, site.edge.http_port))
            sock.sendall(f"GET /held?{i} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            visitors.append(sock)

        def refused():
            return len(logged_statuses(site, 503))
        wait_until(lambda: refused() >= 4, "refusals")
        gate.open()
        answers = sorted(sock.recv(65536).split(b" ")[1] for sock in visitors)
        check_equal((answers.count(b"200") + answers.count(b"503"), answers.count(b"200") >= 8), (20, True), f"{answers}")
        for sock in visitors:
            sock.close()
        lines = [line for line in site.edge.access_log() if line["status"] == 503]
        check_equal({line["upstream_error"] for line in lines}, {"no local port left"})
        check(not site.edge.program.log_lines("origin is down"), "the origin was not blamed")
        with socket.socket() as sock:
            sock.bind(("127.0.0.9", free_port()))
            sock.connect((site.edge.address, site.edge.http_port))
            sock.sendall(f"GET /after HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            check_in(b" 200 ", sock.recv(65536)[:20])


def logged_statuses(site, status):
    return [line for line in site.edge.access_log() if line["status"] == status]


@case
def the_edge_goes_on(site):
    check_equal(site.edge.get("/after").status, 200)
    check_equal(logged(site.edge, "/after")["status"], 200)
    wait_connections(site.edge, 0)


main(build)
