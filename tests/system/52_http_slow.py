#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Slow, silent and vanishing peers on both sides, and more of them than the edge takes."""
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import (HOST, IS_SANITIZED, connections, counted, edge_site, logged,  # noqa: E402
                             memory_kib, open_files, reset, stream_body, wait_connections)
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, main, wait_until)  # noqa: E402
from site_under_test import Site  # noqa: E402

HEADER_S, BODY_S, IDLE_S, FIRST_BYTE_S, HANDSHAKE_S = (s * min(PATIENCE, 2) for s in (1.0, 1.2, 1.5, 1.0, 2.0))
MANY = 400
BIG = 64 << 20


def ms(seconds):
    return f"{int(seconds * 1000)}ms"


def edit(config, site):
    config["limits"] = {"header-timeout": ms(HEADER_S), "body-idle": ms(BODY_S), "keep-alive": ms(IDLE_S),
                        "handshake-timeout": ms(HANDSHAKE_S), "drain": "2s"}
    config["pools"]["app"].update({"first-byte-timeout": ms(FIRST_BYTE_S), "idle-timeout": ms(BODY_S),
                                   "connect-timeout": "500ms"})
    # A backlog of one that nobody accepts from: connections to it hang.
    config["pools"]["hanging"] = {"origins": [f"127.0.0.1:{site.hanging.getsockname()[1]}"],
                                  "connect-timeout": "300ms", "first-byte-timeout": ms(FIRST_BYTE_S)}
    config["sites"][HOST]["routes"].update({"/nocache/": {"pool": "app", "cache": False},
                                            "/hanging/": {"pool": "hanging", "cache": False}})


def build():
    def more(site):
        site.hanging = socket.socket()
        site.hanging.bind(("127.0.0.1", 0))
        site.hanging.listen(1)
    return edge_site(edit, build=more)


def gone(c, within_s):
    """What came until the edge closed, and after how long."""
    started = time.monotonic()
    c.sock.settimeout(within_s + 5 * PATIENCE)
    data = c.read_to_end()
    took_s = time.monotonic() - started
    check(took_s < within_s + 3 * PATIENCE, f"closed after {took_s:.1f} s only")
    return data, took_s


# ---- Slow visitors

@case
def a_head_has_a_deadline_that_bytes_do_not_move(site):
    """checks/http.md 64."""
    with counted(site.edge, {'client_timeouts_total.at="head"': 1}):
        with site.edge.http.connect() as c:
            started = time.monotonic()
            try:
                for byte in f"GET / HTTP/1.1\r\nHost: {HOST}\r\nX: {'a' * 1000}".encode():
                    c.send(bytes([byte]))
                    c.sock.settimeout(0.02)
                    try:
                        if answer := c.sock.recv(4096):
                            break
                    except TimeoutError:
                        continue
            except OSError:
                answer = b""
            took_s = time.monotonic() - started
            check(HEADER_S * 0.7 < took_s < HEADER_S + 3 * PATIENCE, f"cut off after {took_s:.1f} s")
            check_in(b" 408 ", answer)
            check_in(b"Connection: close", answer)


@case
def a_connection_that_says_nothing_is_closed(site):
    with site.edge.http.connect() as c:
        data, took_s = gone(c, max(HEADER_S, IDLE_S))
        check_equal(data, b"")
        check(took_s > HEADER_S * 0.5, f"after {took_s:.1f} s")


@case
def an_idle_connection_is_closed_after_keep_alive(site):
    with site.edge.http.connect() as c:
        check_equal(c.request("GET", "/", HOST).status, 200)
        data, took_s = gone(c, IDLE_S)
        check_equal(data, b"")
        check(took_s > IDLE_S * 0.7, f"after {took_s:.1f} s")


@case
def a_second_head_has_a_deadline_too(site):
    with site.edge.http.connect() as c:
        check_equal(c.request("GET", "/", HOST).status, 200)
        c.send(b"GET /half-a-head HT")
        data, _ = gone(c, HEADER_S)
        check_in(b" 408 ", data)


@case
def a_body_that_stands_still_is_given_up(site):
    """checks/http.md 64."""
    with counted(site.edge, {'client_timeouts_total.at="body"': 1}):
        with site.edge.http.connect() as c:
            c.send_request("POST", "/slow-body", HOST, {"Content-Length": "100"})
            c.send(b"some")
            data, took_s = gone(c, BODY_S)
            check_in(b" 408 ", data)
            check(took_s > BODY_S * 0.7, f"after {took_s:.1f} s")
    wait_until(lambda: site.origin.seen("/slow-body")[-1].body_error, "the origin to see the break")


@case
def a_body_that_moves_is_not_cut_off(site):
    with site.edge.http.connect() as c:
        c.send_request("POST", "/moving-body", HOST, {"Content-Length": "800"})
        pause = threading.Event()
        for _ in range(8):
            c.send(100 * b"x")
            pause.wait(BODY_S / 4)  # the time that passes is what is tested
        check_equal(c.read_response().status, 200)


@case
def a_body_that_drips_is_given_up(site):
    """checks/http.md 64: a clock that each byte winds up again would never run out."""
    with counted(site.edge, {'client_timeouts_total.at="body"': 1}):
        with site.edge.http.connect() as c:
            c.send_request("POST", "/dripping-body", HOST, {"Content-Length": "100000"})
            c.sock.settimeout(BODY_S / 8)
            until, answer = time.monotonic() + 5 * BODY_S * PATIENCE, b""
            while not answer and time.monotonic() < until:
                try:
                    c.send(b"x")
                    answer = c.sock.recv(4096)
                except TimeoutError:
                    continue
            check_in(b" 408 ", answer)


@case_table({"from the origin": "/nocache/unread", "into the cache": "/unread"})
def a_reader_that_does_not_read_is_given_up(site, path):
    """checks/http.md 63."""
    def answer(x):
        x.send_head(200, {"Content-Length": str(BIG), "Cache-Control": "max-age=60"})
        try:
            stream_body(x.send, BIG)
        finally:
            x.close()
    site.origin.on(path, answer)
    with counted(site.edge, {'client_timeouts_total.at="response"': 1, "edge_responses_aborted_total": 1}):
        with site.edge.http.connect() as c:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            c.send_request("GET", path, HOST)
            wait_until(lambda: logged(site.edge, path)["aborted"], "the edge to give up", BODY_S + 5)
    check_equal(site.edge.get("/after").status, 200)


@case
def a_tls_handshake_has_a_deadline(site):
    with counted(site.edge, {'tls_failures_total.reason="timeout"': 1}):
        with socket.create_connection((site.edge.address, site.edge.https_port)) as sock:
            sock.sendall(b"\x16\x03\x01")
            sock.settimeout(HANDSHAKE_S + 5 * PATIENCE)
            check_equal(sock.recv(100), b"")


# ---- Visitors that vanish

def after_connect(site, c):
    pass


def in_the_head(site, c):
    c.send(b"GET /x HTTP/1.1\r\nHos")


def after_the_head(site, c):
    c.send_request("GET", "/vanish/wait", HOST)
    site.vanish_gate.wait_for(1)


def in_the_body(site, c):
    c.send_request("POST", "/vanish/body", HOST, {"Content-Length": "100"})
    c.send(b"half")


def in_a_chunk(site, c):
    c.send_request("POST", "/vanish/chunk", HOST, {"Transfer-Encoding": "chunked"})
    c.send(b"ff\r\nhalf")


def in_the_response(site, c):
    c.send_request("GET", "/vanish/big", HOST)
    c.fill()


def in_a_hit(site, c):
    c.send_request("GET", "/vanish/hit", HOST)
    c.fill()


def before_100(site, c):
    c.send_request("POST", "/vanish/100", HOST, {"Expect": "100-continue", "Content-Length": "4"})
    c.fill()


def in_a_pipeline(site, c):
    for _ in range(50):
        c.send_request("GET", "/vanish/hit", HOST)


STEPS = (after_connect, in_the_head, after_the_head, in_the_body, in_a_chunk, in_the_response,
         in_a_hit, before_100, in_a_pipeline)


@case_table({f"{step.__name__} by {name}": (step, end)
             for step in STEPS for name, end in (("reset", reset), ("close", lambda c: c.close()))})
def visitors_vanish(site, step, end):
    site.vanish_gate = site.origin.gate("/vanish/wait")
    site.origin.serve("/vanish/hit", b"x" * 4_000_000, cache_control="max-age=100")
    site.origin.on("/vanish/big", lambda x: (x.send_head(200, {"Content-Length": str(BIG)}),
                                             stream_body(x.send, BIG)))
    site.edge.get("/vanish/hit")
    c = site.edge.http.connect()
    step(site, c)
    end(c)
    wait_connections(site.edge, 0)
    site.vanish_gate.open()
    check_equal(site.edge.get("/still-there").status, 200)


# ---- Origins that stand still

@case
def an_origin_that_does_not_answer(site):
    gate = site.origin.gate("/nocache/silent")
    with counted(site.edge, {'upstream_errors_total.reason="first-byte-timeout"': 1}):
        started = time.monotonic()
        response = site.edge.http.request("POST", "/nocache/silent", body=b"x")
        took_s = time.monotonic() - started
    gate.open()
    check_equal(response.status, 504)
    check(FIRST_BYTE_S * 0.7 < took_s < FIRST_BYTE_S + 3 * PATIENCE, f"after {took_s:.1f} s")
    check(site.origin.address not in str(response.fields) + response.text, "the origin is not named")
    check_equal(logged(site.edge, "/nocache/silent")["upstream_error"], "no answer in time")


@case
def an_origin_that_does_not_accept(site):
    # Fills its backlog, so that the kernel lets further connections hang.
    plugs = []
    for _ in range(8):
        plug = socket.socket()
        plug.setblocking(False)
        plug.connect_ex(site.hanging.getsockname())
        plugs.append(plug)
    try:
        with counted(site.edge, {'upstream_errors_total.reason="connect-timeout"': 1}):
            check_equal(site.edge.http.request("POST", "/hanging/x", body=b"x").status, 504)
    finally:
        for plug in plugs:
            plug.close()


@case_table({"in the head": b"HTTP/1.1 200 OK\r\nContent-Le", "after interim": b"HTTP/1.1 103 Early Hints\r\n\r\n"})
def an_origin_that_stops_in_the_head(site, answer):
    hold = threading.Event()
    site.origin.on("/nocache/half-head", lambda x: (x.send(answer), hold.wait(60 * PATIENCE), x.close()))
    check_equal(site.edge.http.request("POST", "/nocache/half-head", body=b"x").status, 504)
    hold.set()


@case_table({"length": True, "chunked": False})
def an_origin_that_stops_in_the_body(site, has_length):
    hold = threading.Event()

    def answer(x):
        if has_length:
            x.send_head(200, {"Content-Length": "100", "Cache-Control": "max-age=60"})
            x.send(b"half")
        else:
            x.send_head(200, {"Transfer-Encoding": "chunked", "Cache-Control": "max-age=60"})
            x.send(b"4\r\nhalf\r\n")
        hold.wait(60 * PATIENCE)
        x.close()
    path = f"/half-body/{has_length}"
    site.origin.on(path, answer)
    with counted(site.edge, {'upstream_errors_total.reason="idle-timeout"': 1}):
        with site.edge.http.connect() as c:
            c.send_request("GET", path, HOST)
            c.read_head()
            data, _ = gone(c, BODY_S)
            check_in(b"half", data)
            check(not data.endswith(b"0\r\n\r\n"), "it does not look whole")
    hold.set()
    site.origin.serve(path, b"whole", cache_control="max-age=60")
    check_equal(site.edge.get(path).text, "whole", "the half was not stored")


@case
def an_origin_that_does_not_read_the_body(site):
    hold = threading.Event()
    site.origin.reads_bodies = False
    site.origin.on("/nocache/unread-body", lambda x: (hold.wait(60 * PATIENCE), x.close()))
    try:
        with site.edge.http.connect() as c:
            c.send_request("POST", "/nocache/unread-body", HOST, {"Content-Length": str(BIG)})
            sender = threading.Thread(target=lambda: ignore(lambda: stream_body(c.send, BIG)))
            sender.start()
            data, _ = gone(c, max(BODY_S, FIRST_BYTE_S))
            check_in(b" 504 ", data)
            sender.join()
    finally:
        site.origin.reads_bodies = True
        hold.set()


def ignore(function):
    try:
        function()
    except OSError:
        pass


# ---- Many

class Crowd:
    """Connections that have begun a request and leave it at that."""

    def __init__(self, edge, count):
        self.edge, self.socks = edge, []
        for _ in range(count):
            self.socks.append(socket.create_connection((edge.address, edge.http_port)))
            self.socks[-1].sendall(b"GET / HTTP/1.1\r\nHo")
        wait_connections(edge, count)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in self.socks:
            sock.close()


def patient_edge(config, _site):
    config["limits"] = {"max-connections": MANY + 50}


@case
def many_open_connections_cost_little_and_nobody_waits():
    with edge_site(patient_edge) as site:
        before = memory_kib(site.edge)
        with Crowd(site.edge, MANY):
            check(IS_SANITIZED or memory_kib(site.edge) - before < MANY * 32,
                  f"{(memory_kib(site.edge) - before) / MANY:.1f} KiB for each connection")
            started = time.monotonic()
            check_equal(site.edge.get("/beside-them").status, 200)
            check(time.monotonic() - started < 1 * PATIENCE, "a visitor beside them waits")
        wait_connections(site.edge, 0)


@case
def more_than_max_connections_are_refused_counted_and_forgotten():
    with edge_site(patient_edge) as site:
        with Crowd(site.edge, MANY + 50), \
                counted(site.edge, {'connections_refused_total.reason="limit"': 20}):
            for _ in range(20):
                with socket.create_connection((site.edge.address, site.edge.http_port)) as extra:
                    extra.settimeout(5 * PATIENCE)
                    said = extra.recv(4096)
                    check_in(b" 503 ", said)
                    check_in(b"\r\nRetry-After: ", said)
                    check_equal(extra.recv(10), b"", "a refused connection")
            check_equal(connections(site.edge), MANY + 50)
        wait_connections(site.edge, 0)
        check_equal(site.edge.get("/room-again").status, 200)


@case
def without_file_descriptors_the_edge_waits_and_recovers():
    with Site() as site:
        edge = site.add_edge("edge-1", [site.add_origin()])
        edge.program.argv = ["/bin/sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *edge.program.argv]
        site.start()
        socks = [socket.create_connection((edge.address, edge.http_port)) for _ in range(100)]
        wait_until(lambda: open_files(edge) >= 62, "its files to run out")
        for sock in socks:
            sock.close()
        wait_until(lambda: edge.get("/").status == 200, "it to serve again")
        check(edge.metric('connections_refused_total.reason="no-files"') > 0, "it was counted")


main(build)
