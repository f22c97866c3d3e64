#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/2 with visitors: what HTTP/1.1 does, many requests over one connection, flow control both
ways, and an orderly end."""
import hashlib
import os
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import (BLOCK, HOST, IS_SANITIZED, counted, edge_site, logged, memory_kib,  # noqa: E402
                             settled, stream_hash)
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, main)  # noqa: E402
from h2_client import NO_ERROR, H2Client  # noqa: E402

BIG = 40 << 20
PAGE = {"Cache-Control": "max-age=600"}


def edit(config, site):
    config["workers"] = 1
    config["sites"][HOST] = {"aliases": ["example.com", "elsewhere.example.net"],
                             "routes": {"/": "app", "/pass/": {"pool": "app", "cache": False}}}
    config["tls"]["certificates"] = [site.certs.site(HOST, "example.com"),
                                     site.certs.site("elsewhere.example.net")]


def build():
    site = edge_site(edit)
    site.origin.on("/page", lambda x: x.reply(200, PAGE, b"a page"))
    site.origin.on("/1k", lambda x: x.reply(200, PAGE, BLOCK[:1024]))
    site.origin.on("/big", lambda x: x.reply(200, {**PAGE, "Content-Type": "video/mp4"}, BLOCK * 4))
    site.origin.on("/pass/echo", lambda x: x.reply(200, {}, x.request.body))
    return site


def client(site, **how):
    return H2Client(site.edge, site.certs.ca, **how)


def run(*words, text=True):
    return subprocess.run(words, capture_output=True, text=text, check=True, timeout=60 * PATIENCE).stdout


def curl(site, *words, text=True):
    return run("curl", "-sS", "--http2", "--cacert", str(site.certs.ca), "--connect-to",
               f"::{site.edge.address}:{site.edge.https_port}", *words, text=text)


# ---- What HTTP/1.1 does

@case
def a_page_is_fetched_and_then_hit(site):
    with client(site) as c:
        first, second = c.get("/page"), c.get("/page")
        check_equal((first.status, first.body, second.status, second.body), (200, b"a page") * 2)
        check_in("stored", first.header("cache-status"))
        check_in("hit", second.header("cache-status"))
        check_equal([name for name, _ in second.fields if name != name.lower()], [])
        check_equal([second.header(name) for name in ("connection", "transfer-encoding", "keep-alive")],
                    [None] * 3)
        check_equal(second.header("content-length"), "6")


@case
def the_log_and_the_origin_know_the_version(site):
    with client(site) as c:
        c.get("/pass/version")
    check_equal(logged(site.edge, "/pass/version")["protocol"], "HTTP/2.0")
    check_equal(site.origin.seen("/pass/version")[-1].headers["via"], "2.0 edge-1")


@case_table({"HEAD": ("HEAD", {}, 200, b"", "6"), "304": ("GET", {"if-none-match": '"p"'}, 304, b"", None),
             "range": ("GET", {"range": "bytes=2-5"}, 206, b"page", "4"),
             "204": ("OPTIONS", {"max-forwards": "0"}, 204, b"", None)})
def conditions_ranges_and_methods(site, method, headers, status, body, length):
    site.origin.on("/tagged", lambda x: x.reply(200, {**PAGE, "ETag": '"p"'}, b"a page"))
    with client(site) as c:
        c.get("/tagged")
        answer = c.get("/tagged", headers, method=method)
        check_equal((answer.status, answer.body, answer.header("content-length")), (status, body, length))


@case
def answers_of_our_own(site):
    with client(site) as c:
        check_equal(c.get("/", host="nobody.example.org").status, 421)
        check_equal(c.get("/a/../b").status, 400)
        check_equal(c.get("/", method="TRACE").status, 405)
        check_equal(c.get("/page").status, 200, "the connection goes on")


@case
def cookies_become_one_line_again(site):
    """RFC 9113 section 8.2.3."""
    with client(site) as c:
        c.get("/pass/cookies", [("cookie", "a=1"), ("x-between", "y"), ("cookie", "b=2"), ("cookie", "c=3")])
    request = site.origin.seen("/pass/cookies")[-1]
    check_equal([value for name, value in request.fields if name.lower() == "cookie"], ["a=1; b=2; c=3"])
    check_equal(request.headers["x-between"], "y")


@case
def early_hints_come_first(site):
    def hint(x):
        x.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nConnection: x\r\nX: y\r\n\r\n")
        x.reply(200, {}, b"page")
    site.origin.on("/pass/hints", hint)
    with client(site) as c:
        answer = c.get("/pass/hints")
        check_equal(answer.interim, [(103, [("link", "</style.css>; rel=preload")])])
        check_equal((answer.status, answer.body), (200, b"page"))


@case
def continue_is_said_before_the_body(site):
    with client(site) as c:
        stream = c.request("POST", "/pass/echo", {"expect": "100-continue", "content-length": "4"}, end=False)
        c.read_until(lambda: c.answers[stream].interim, "100 Continue")
        check_equal(c.answers[stream].interim, [(100, [])])
        c.data(stream, b"body", end=True)
        check_equal(c.answer(stream).body, b"body")
        check_equal(c.get("/", {"expect": "tea"}).status, 417)


# ---- Bodies

@case
def bodies_of_any_size_arrive_whole(site):
    with client(site) as c:
        for n in (0, 1, 16383, 16384, 16385, 65535, 60000):
            check_equal(c.get("/pass/echo", method="POST", body=None if n == 0 else BLOCK[:n][:16384]).body,
                        BLOCK[:n][:16384])
    for method in ("hit", "miss"):
        got = curl(site, f"https://{HOST}/big", text=False)
        check_equal(hashlib.sha256(got).hexdigest(), stream_hash(len(BLOCK) * 4), method)


@case
def an_upload_is_streamed(site):
    got = {}

    def take(x):
        digest, n = hashlib.sha256(), 0
        while n < BIG:
            if not x.reader.buffer and not x.reader.fill():
                break
            digest.update(x.reader.buffer)
            n += len(x.reader.buffer)
            x.reader.buffer = b""
        got["hash"] = digest.hexdigest()
        x.reply(200, {"Connection": "close"}, b"thanks")
        x.close()
    site.origin.reads_bodies = False
    site.origin.on("/pass/upload", take)
    path = site.folder / "upload"
    with open(path, "wb") as f:
        for _ in range(BIG // len(BLOCK)):
            f.write(BLOCK)
    before = memory_kib(site.edge)
    answer = curl(site, "-T", str(path), f"https://{HOST}/pass/upload")
    site.origin.reads_bodies = True
    check_equal((answer, got["hash"]), ("thanks", stream_hash(BIG)))
    if not IS_SANITIZED:
        check(memory_kib(site.edge) - before < 12 << 10, "the upload was not kept in memory")


@case
def a_slow_origin_holds_the_client_back(site):
    """Credit is given for what the origin has taken, not for what we could store."""
    gate = threading.Event()

    def wait(x):
        gate.wait(30 * PATIENCE)
        x.reader.body(x.request)
        x.reply(200, {}, b"done")
    site.origin.reads_bodies = False
    site.origin.on("/pass/slow-reader", wait)
    path = site.folder / "held"
    path.write_bytes(BLOCK * 24)
    with open(site.folder / "held.out", "w", encoding="ascii") as out:
        upload = subprocess.Popen(["curl", "-sS", "--http2", "--cacert", site.certs.ca, "--connect-to",
                                   f"::{site.edge.address}:{site.edge.https_port}", "-T", str(path),
                                   f"https://{HOST}/pass/slow-reader"], stdout=out)
        received = lambda: site.edge.metrics()["edge_client_received_bytes_total"]  # noqa: E731
        start = received()
        held = settled(received, "what was taken of the upload")
        check(held - start < 16 << 20, f"{held - start} bytes were taken of a body that nobody reads")
        gate.set()
        check_equal(upload.wait(60 * PATIENCE), 0)
    site.origin.reads_bodies = True
    check_equal((site.folder / "held.out").read_text(), "done")


@case
def windows_of_the_client_are_obeyed(site):
    with client(site, credit=False) as c:
        stream = c.request("GET", "/big")
        c.read_until(lambda: len(c.answers[stream].body) == 65535, "a whole window of body")
        c.ping()
        check_equal(len(c.answers[stream].body), 65535)
        c.open_window(0, 1 << 20)
        c.open_window(stream, 1000)
        c.read_until(lambda: len(c.answers[stream].body) == 66535, "what the window allows")
        other = c.request("GET", "/1k")
        check_equal(c.answer(other).body, BLOCK[:1024], "others are not held up")
        check_equal(c.answers[stream].body, BLOCK[:66535])


@case
def a_body_that_breaks_off_is_a_reset(site):
    def cut(x):
        x.send_head(200, {"Content-Length": "100"})
        x.send(b"half")
        x.close()
    site.origin.on("/pass/cut", cut)
    with client(site) as c:
        answer = c.get("/pass/cut")
        check(answer.reset is not None and not answer.is_ended, "no reset")
        check_equal(c.get("/page").status, 200)


@case
def an_answer_does_not_wait_for_the_body(site):
    """RFC 9113 section 8.1: RST_STREAM with NO_ERROR behind it."""
    with client(site) as c:
        stream = c.request("POST", "/", {"content-length": "100000"}, host="nobody.example.org", end=False)
        c.read_until(lambda: c.answers[stream].reset is not None, "a reset")
        answer = c.answers[stream]
        check_equal((answer.status, answer.is_ended, answer.reset), (421, True, NO_ERROR))
        check_equal(c.get("/page").status, 200)


# ---- Many requests

@case
def a_hundred_streams_share_a_connection(site):
    gate = site.origin.gate("/pass/together")
    with client(site) as c:
        streams = [c.request("GET", f"/pass/together?{i}") for i in range(100)]
        gate.wait_for(100)
        gate.open()
        check_equal([c.answer(stream).status for stream in streams], [200] * 100)


@case
def load_is_carried(site):
    with client(site) as c:
        c.get("/1k")
    logged(site.edge, "/1k")
    with counted(site.edge, {r'status="hit"': 20000}):
        told = run("h2load", "-n", "20000", "-c", "8", "-m", "10", "--connect-to",
                   f"{site.edge.address}:{site.edge.https_port}", f"https://{HOST}/1k")
    check_in("20000 succeeded, 0 failed", told)


@case
def answers_to_one_read_leave_in_one_write(site):
    """Twenty requests in one TLS record; the answers come in few."""
    with client(site) as c:
        c.get("/page")
        streams = [c.take_id() for _ in range(20)]
        c.send(*[c.headers_frame(stream, c.fields("GET", "/page")) for stream in streams])
        for stream in streams:
            c.answers[stream] = type(c.answers[1])()
        data = c._recv()
        check(len(data) > 20 * 15, f"one record holds {len(data)} bytes of twenty answers")
        c.buffer += data
        check_equal([c.answer(stream).body for stream in streams], [b"a page"] * 20)


# ---- Priorities (RFC 9218)

def order_of(site, first, second, update=None):
    """Which of two bodies is sent first, by the sequence of DATA frames once the window opens."""
    site.origin.on("/half", lambda x: x.reply(200, PAGE, BLOCK[:1 << 18]))
    with client(site) as c:
        c.get("/half")
    with client(site, credit=False, settings={4: 1 << 20}) as c:
        c.ping()
        filler = c.request("GET", "/big")
        c.read_until(lambda: len(c.answers[filler].body) == 65535, "the connection's window is used up")
        c.reset(filler)
        streams = [c.request("GET", "/half", headers) for headers in (first, second)]
        if update:
            value = update.encode()
            c.send_raw(0x10, 0, 0, streams[1].to_bytes(4, "big") + value)
        c.ping()
        del c.order[:]
        c.open_window(0, 1 << 20)
        for stream in streams:
            c.answer(stream)
        return [streams.index(stream) for stream, n in c.order if n > 0 and stream in streams]


@case
def urgent_answers_go_first(site):
    order = order_of(site, {"priority": "u=5"}, {"priority": "u=1"})
    check_equal(order, sorted(order, reverse=True), "the second is the more urgent one")
    order = order_of(site, {}, {"priority": "u=7"})
    check_equal(order, sorted(order), "the first is the more urgent one")


@case
def a_priority_can_change_on_the_way(site):
    order = order_of(site, {"priority": "u=5"}, {"priority": "u=6"}, update="u=0")
    check_equal(order, sorted(order, reverse=True), "PRIORITY_UPDATE made the second urgent")


@case
def incremental_answers_share(site):
    order = order_of(site, {"priority": "u=3, i"}, {"priority": "u=3, i"})
    check(order != sorted(order) and order != sorted(order, reverse=True), f"they take turns: {order}")
    order = order_of(site, {"priority": "u=3"}, {"priority": "u=3"})
    check_equal(order, sorted(order), "one behind the other without i")


# ---- Which host (checks/http.md 17)

@case_table({"other host": ([("host", "evil.example.org")], 400),
             "same host": ([("host", HOST)], 200),
             "same host, default port": ([("host", HOST + ":443")], 200),
             "same host, other port": ([("host", HOST + ":444")], 400),
             "two hosts": ([("host", HOST), ("host", HOST)], 400)})
def http_check_17_authority_and_host_agree(site, extra, status):
    with client(site) as c:
        answer = c.get("/page", extra)
        check_equal(answer.status if answer.reset is None else 400, status)


@case
def http_check_17_host_alone_will_do(site):
    with client(site) as c:
        stream = c.request_of([(":method", "GET"), (":scheme", "https"), (":path", "/page"), ("host", HOST)])
        check_equal(c.answer(stream).status, 200)
        stream = c.request_of([(":method", "GET"), (":scheme", "https"), (":path", "/page")])
        answer = c.answer(stream)
        check(answer.status == 400 or answer.reset == 1, "no host at all")


@case
def http_check_17_hosts_of_other_certificates_are_misdirected(site):
    """RFC 9110 section 7.4: a name that the shown certificate has may share the connection."""
    with client(site) as c:
        check_equal(c.get("/page", host="example.com").status, 200)
        with counted(site.edge, {r'verdict="host-not-in-certificate"': 1}):
            check_equal(c.get("/page", host="elsewhere.example.net").status, 421)
        check_equal(c.get("/page").status, 200)


@case
def http_check_17_the_same_over_http_1_1(site):
    from http_client import Connection
    with Connection(site.edge.address, site.edge.https_port, ca=site.certs.ca, server_name=HOST) as c:
        check_equal(c.request("GET", "/page", "example.com").status, 200)
        check_equal(c.request("GET", "/page", "elsewhere.example.net").status, 421)


# ---- The end

@case
def http_check_65_goaway_in_two_steps(site):
    """RFC 9113 section 6.8: what is on its way is still served."""
    def edit_once(config, of):
        config["limits"] = {"drain": "20s"}
    with edge_site(edit_once) as own:
        own.origin.on("/page", lambda x: x.reply(200, {}, b"a page"))
        gate = own.origin.gate("/open")
        with H2Client(own.edge, own.certs.ca) as c:
            stream = c.request("GET", "/open")
            gate.wait_for()
            own.edge.program.signal(signal.SIGTERM)
            check_equal(c.wait_goaway(), ((1 << 31) - 1, NO_ERROR))
            late = c.request("GET", "/page")
            check_equal(c.answer(late).body, b"a page", "sent before the second GOAWAY was here")
            c.read_until(lambda: len(c.goaways) == 2, "the second GOAWAY")
            check_equal(c.goaways[1], (late, NO_ERROR))
            gate.open()
            check_equal(c.answer(stream).status, 200)
            c.wait_closed()
        check_equal(own.edge.program.wait_end(), 0)


@case
def http_2_can_be_turned_off(site):
    def edit_once(config, of):
        config["http2"] = {"enabled": False}
    with edge_site(edit_once) as own:
        check_equal(curl(own, "-w", "%{http_version}", "-o", "/dev/null", f"https://{HOST}/"), "1.1")


@case
def idle_connections_are_told_to_go(site):
    def edit_once(config, of):
        config["limits"] = {"keep-alive": "300ms"}
    with edge_site(edit_once) as own:
        with H2Client(own.edge, own.certs.ca) as c:
            check_equal(c.get("/").status, 200)
            check_equal(c.wait_goaway(), (1, NO_ERROR))
            c.wait_closed()


main(build)
