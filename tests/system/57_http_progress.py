#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Requests go on when they can and cost nothing while they cannot: visitors that are ahead or half
closed, uploads that end long before their answer begins."""
import os
import socket
import ssl
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, edge_site, logged  # noqa: E402
from gslbtest import PATIENCE, case, case_table, check, check_equal, main, wait_until  # noqa: E402

BODY_S = 0.6 * min(PATIENCE, 2)
ANSWER_S = 3 * BODY_S


def edit(config, site):
    config["limits"] = {"body-idle": f"{int(BODY_S * 1000)}ms"}
    config["workers"] = 1  # which origin connection is used again is no matter of chance
    config["pools"]["app"]["first-byte-timeout"] = "30s"
    config["pools"]["secure"] = {"origins": [site.secure.address],
                                 "tls": {"ca": str(site.certs.ca), "server-name": HOST}}
    config["pools"]["dead"] = {"origins": ["127.0.0.1:1"]}
    config["sites"][HOST]["routes"].update({"/pass/": {"pool": "app", "cache": False}, "/dead/": "dead",
                                            "/secure/": "secure",
                                            "/secure/pass/": {"pool": "secure", "cache": False}})


def build():
    def more(site):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair = site.certs.site(HOST)
        context.load_cert_chain(pair["certificate"], pair["key"])
        site.secure = site.add_origin("secure", tls_context=context)
    return edge_site(edit, build=more)


def cpu_s(site):
    with open(f"/proc/{site.edge.program.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stalling(gate):
    def answer(x):
        x.send_head(200, {"Content-Length": "8", "Cache-Control": "no-store"})
        x.send(b"half")
        gate.wait()
        x.send(b"done")
    return answer


def pipelines(c):
    c.send_request("GET", "/pass/ahead", HOST)


def half_closes(c):
    c.sock.shutdown(socket.SHUT_WR)


@case_table({"one that pipelines": pipelines, "one that half closes": half_closes})
def visitor_ahead_of_a_slow_response_costs_no_time(site, ahead):
    gate = site.origin.gate("/gate")
    site.origin.on("/pass/stalls", stalling(gate))
    site.origin.serve("/pass/ahead", b"next", cache_control="no-store")
    with site.edge.http.connect() as c:
        c.send_request("GET", "/pass/stalls", HOST)
        response = c.read_head()
        check_equal(c.take(4), b"half")
        ahead(c)
        before, until = cpu_s(site), time.monotonic() + BODY_S / 2
        wait_until(lambda: time.monotonic() > until, "some time to pass")
        spent = cpu_s(site) - before
        gate.open()
        check_equal((response.status, c.take(4)), (200, b"done"))
        check(spent < BODY_S / 4, f"{spent:.2f} s of CPU while nothing happened")
        if ahead is pipelines:
            check_equal(c.read_response().body, b"next")


@case_table({"length": {"Content-Length": "5"}, "chunks": {"Transfer-Encoding": "chunked"}})
def half_closed_after_the_upload_is_answered(site, framing):
    site.secure.on("/secure/pass/half", lambda x: x.reply(200, {}, x.request.body))
    site.secure.drop_connections()  # the next one takes a while to open
    body = b"5\r\nhello\r\n0\r\n\r\n" if "Transfer-Encoding" in framing else b"hello"
    with site.edge.http.connect() as c:
        c.send_request("POST", "/secure/pass/half", HOST, framing, body)
        c.sock.shutdown(socket.SHUT_WR)
        got = c.read_response()
        check_equal((got.status, got.body), (200, b"hello"))


@case
def half_closed_within_the_upload_is_given_up(site):
    with site.edge.http.connect() as c:
        c.send_request("POST", "/pass/cut", HOST, {"Content-Length": "9"})
        c.send(b"hel")
        c.sock.shutdown(socket.SHUT_WR)
        check(b" 200 " not in c.read_to_end(), "half of an upload is none")
    wait_until(lambda: not site.origin.seen("/pass/cut") or site.origin.seen("/pass/cut")[-1].body_error,
               "the origin to see the break")


@case_table({"length": ({"Content-Length": "5"}, [b"hel", b"lo"]),
             "last chunk apart": ({"Transfer-Encoding": "chunked"}, [b"5\r\nhello\r\n", b"0\r\n\r\n"])})
def upload_that_is_done_waits_for_its_answer(site, framing, parts):
    """The clock of the upload is not the clock of the answer."""
    gate = site.origin.gate("/pass/think")
    with site.edge.http.connect() as c:
        c.send_request("POST", "/pass/think", HOST, framing)
        pause_until = time.monotonic()
        for part in parts:
            pause_until += 0.1
            wait_until(lambda: time.monotonic() > pause_until, "a moment between the parts")
            c.send(part)
        gate.wait_for(1)
        until = time.monotonic() + ANSWER_S
        wait_until(lambda: time.monotonic() > until, "longer than an upload may stall")
        gate.open()
        check_equal(c.read_response().status, 200)


@case
def old_protocol_is_logged_as_what_it_is(site):
    site.edge.http.raw(f"GET /pass/old HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
    check_equal(logged(site.edge, "/pass/old")["protocol"], "HTTP/1.0")


@case_table({"no such site": (b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n", 421),
             "a broken head": (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
             "a method": (f"TRACE / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(), 405),
             "a dead origin": (f"GET /dead/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(), 502)})
def own_answers_are_dated_named_and_not_kept(site, request, status):
    with site.edge.http.connect() as c:
        c.send(request)
        got = c.read_response()
    check_equal(got.status, status)
    check_equal(got.header("cache-control"), "no-store")
    check(got.header("date"), "a Date")
    check_equal(got.header("cache-status").split(";")[0], "edge-1")
    for said in [got.text, *(value for _, value in got.fields)]:
        check("127.0.0.1" not in said and "app" not in said, f"names what is behind it: {said}")


main(build)
