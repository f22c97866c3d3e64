#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/2 from clients that mean harm: floods of what costs us more than them, bombs, requests for
others to split, and answers that are never read. Each ends its own connection, and nothing else."""
import os
import socket
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from hyperframe.frame import (ContinuationFrame, HeadersFrame, PingFrame, RstStreamFrame,  # noqa: E402
                              SettingsFrame, WindowUpdateFrame)
from edge_under_test import (BLOCK, HOST, IS_SANITIZED, counted, edge_site,  # noqa: E402
                             memory_kib, total, wait_connections)
from gslbtest import PATIENCE, case, case_table, check, check_equal, check_in, main, wait_until  # noqa: E402
from h2_client import (CANCEL, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, PROTOCOL_ERROR,  # noqa: E402
                       PREFACE, REFUSED_STREAM, STREAM_CLOSED, Answer, H2Client)

PAGE = {"Cache-Control": "max-age=600"}


def edit(config, site):
    config["workers"] = 1
    config["sites"][HOST] = {"routes": {"/": "app", "/pass/": {"pool": "app", "cache": False}}}
    config["limits"] = {"header-timeout": "2s", "body-idle": "2s", "min-rate": "1KiB", "keep-alive": "5s"}


def build():
    site = edge_site(edit)
    site.origin.on("/page", lambda x: x.reply(200, PAGE, b"a page"))
    site.origin.on("/big", lambda x: x.reply(200, PAGE, BLOCK * 4))
    with H2Client(site.edge, site.certs.ca) as c:
        c.get("/page")
        c.get("/big")
    return site


def client(site, **how):
    return H2Client(site.edge, site.certs.ca, **how)


def still_serves(site):
    with client(site) as c:
        check_equal(c.get("/page").status, 200, "others are served as before")


def is_ended(c, error=ENHANCE_YOUR_CALM):
    """Reads to the end, which the server makes. A client that goes on sending may lose the GOAWAY by the
    reset that answers what nobody reads any more."""
    try:
        c.wait_closed()
    except (ConnectionError, OSError):
        pass
    check_in(c.goaway and c.goaway[1], (None, error), "the GOAWAY's error")


def flood(site, kind, at_most, send, error=ENHANCE_YOUR_CALM):
    """send(c, i) over and over ends the connection after less than at_most times, counted."""
    reason = "abuse" if error == ENHANCE_YOUR_CALM else "error"
    before = total(site.edge.metrics(), kind)
    with counted(site.edge, {rf'^edge_http2_goaway_total\{{reason="{reason}"': 1}):
        with client(site) as c:
            sender = threading.Thread(target=send_all, args=(c, send, at_most), daemon=True)
            sender.start()
            is_ended(c, error)
            sender.join(20 * PATIENCE)
    seen = total(site.edge.metrics(), kind) - before
    check(0 < seen < at_most, f"{seen:g} of {kind} were put up with")
    still_serves(site)


def send_all(c, send, count):
    try:
        for i in range(count):
            send(c, i)
    except (OSError, ValueError):
        pass


# ---- Resets

@case
def http_check_59_rapid_reset(site):
    """CVE-2023-44487: the work at the origin ends with the stream, and so does the connection."""
    gate = site.origin.gate("/pass/work")

    def send(c, i):
        stream = c.take_id()
        c.send(c.headers_frame(stream, c.fields("GET", "/pass/work")), RstStreamFrame(stream, error_code=CANCEL))
    flood(site, 'kind="stream-reset-before-answer"', 3000, send)
    gate.open()


@case
def http_check_59_a_reset_cancels_the_origins_work(site):
    gone = threading.Event()

    def watch(x):
        x.sock.settimeout(20 * PATIENCE)
        try:
            if x.sock.recv(1) == b"":
                gone.set()
        except OSError:
            gone.set()
        x.close()
    site.origin.on("/pass/watched", watch)
    with client(site) as c:
        stream = c.request("GET", "/pass/watched")
        wait_until(lambda: site.origin.seen("/pass/watched"), "the request at the origin")
        c.reset(stream)
        check(gone.wait(10 * PATIENCE), "the origin was let go")
        check_equal(c.get("/page").status, 200)


@case
def http_check_59_a_fill_for_others_goes_on(site):
    gate = site.origin.gate("/shared")
    site.origin.on("/shared", lambda x: (gate.wait(), x.reply(200, PAGE, b"shared")))
    with client(site) as first, client(site) as second:
        one = first.request("GET", "/shared")
        gate.wait_for()
        two = second.request("GET", "/shared")
        second.ping()
        first.reset(one)
        first.ping()
        gate.open()
        check_equal(second.answer(two).body, b"shared")
    check_equal(site.origin.count("/shared"), 1)


@case
def http_check_59_a_page_left_is_forgiven(site):
    """What a browser does when its user goes elsewhere: a hundred resets at once."""
    gate = site.origin.gate("/pass/left")
    with client(site) as c:
        streams = [c.request("GET", f"/pass/left?{i}") for i in range(100)]
        gate.wait_for(100)
        for stream in streams:
            c.reset(stream)
        check_equal(c.get("/page").status, 200)
    gate.open()


@case
def http_check_59_made_you_reset(site):
    """CVE-2025-8671: resets that we are made to send count as the client's own."""
    gate = site.origin.gate("/pass/made")

    def send(c, i):
        stream = c.request("GET", "/pass/made")
        c.open_window(stream, (1 << 31) - 1)
        while c.answers[stream].reset is None and not c.goaway:
            c.read_frame()
        check_in(c.answers[stream].reset, (None, FLOW_CONTROL_ERROR))
    with counted(site.edge, {r'goaway_total\{reason="abuse"': 1}):
        with client(site) as c:
            send_all(c, send, 1000)
            is_ended(c)
        check(c.goaway[0] < 600, f"{c.goaway[0] // 2} streams were put up with")
    still_serves(site)
    gate.open()


@case_table({
    "data after the end": (lambda c, stream: c.data(stream, b"more"), STREAM_CLOSED),
    "a second head": (lambda c, stream: c.send(c.headers_frame(stream, [("a", "b")])), STREAM_CLOSED),
    "zero increment": (lambda c, stream: c.send_raw(8, 0, stream, bytes(4)), PROTOCOL_ERROR)})
def http_check_59_what_nghttp2_ends_at_once(site, provoke, error):
    """The same CVE; these are taken for errors of the whole connection."""
    gate = site.origin.gate("/pass/behind")
    with client(site) as c:
        stream = c.request("GET", "/pass/behind")
        provoke(c, stream)
        is_ended(c, error)
    still_serves(site)
    gate.open()


@case
def streams_above_the_limit_are_refused(site):
    """Before the client can know the limit; afterwards it is an error of the connection."""
    gate = site.origin.gate("/pass/many")
    with client(site) as c:
        with counted(site.edge, {r'kind="stream-above-limit"': 5}):
            streams = [c.take_id() for _ in range(105)]
            c.send(*[c.headers_frame(stream, c.fields("GET", f"/pass/many?{stream}")) for stream in streams])
            for stream in streams:
                c.answers[stream] = Answer()
            check_equal([c.answer(stream).reset for stream in streams[100:]], [REFUSED_STREAM] * 5)
        check_equal(c.settings[3], 100, "MAX_CONCURRENT_STREAMS")
        gate.wait_for(100)
        c.request("GET", "/page")
        is_ended(c, PROTOCOL_ERROR)
    gate.open()


# ---- Field sections

@case
def http_check_60_continuation_flood(site):
    """RFC 9113 section 10.5: a field section that never ends."""
    with counted(site.edge, {r'goaway_total\{reason="abuse"': 1}):
        with client(site) as c:
            head = HeadersFrame(1, c.encoder.encode(c.fields("GET", "/")))
            c.send(head)
            send_all(c, lambda c, i: c.send(ContinuationFrame(1, b"")), 2000)
            is_ended(c)
    still_serves(site)


@case
def http_check_60_continuations_with_much_in_them(site):
    with client(site) as c:
        c.send(HeadersFrame(1, c.encoder.encode(c.fields("GET", "/"))))
        before = memory_kib(site.edge)
        filler = c.encoder.encode([(f"x-{i}", "y" * 100) for i in range(100)], huffman=False)
        send_all(c, lambda c, i: c.send(ContinuationFrame(1, filler)), 500)
        is_ended(c)
        if not IS_SANITIZED:
            check(memory_kib(site.edge) - before < 4 << 10, "nothing of it is kept")
    still_serves(site)


@case
def http_check_60_a_few_continuations_are_fine(site):
    with client(site) as c:
        block = c.encoder.encode(c.fields("GET", "/page", {"x-long": "y" * 3000}), huffman=False)
        parts = [block[i:i + 1000] for i in range(0, len(block), 1000)]
        head = HeadersFrame(1, parts[0])
        head.flags.add("END_STREAM")
        frames = [head, *[ContinuationFrame(1, part) for part in parts[1:]]]
        frames[-1].flags.add("END_HEADERS")
        c.answers[1] = Answer()
        c.send(*frames)
        check_equal(c.answer(1).status, 200)


@case
def http_check_61_hpack_bomb(site):
    """A large entry of the table, named by one byte over and over: measured as it unfolds."""
    with client(site) as c:
        c.ping()
        check_equal((c.settings.get(1, 4096), c.settings[6]), (4096, 32768), "table and list size")
        stream = c.take_id()
        c.send(c.headers_frame(stream, c.fields("GET", "/page", {"x-bomb": "y" * 3800})))
        c.answers[stream] = Answer()
        check_equal(c.answer(stream).status, 200)
        before = memory_kib(site.edge)
        with counted(site.edge, {r'kind="field-list-too-large"': 1, r'goaway_total\{reason="abuse"': 1}):
            bomb = HeadersFrame(c.take_id(), c.encoder.encode(c.fields("GET", "/")) +
                                c.encoder.encode([("x-bomb", "y" * 3800)]) * 10000)
            bomb.flags |= {"END_HEADERS", "END_STREAM"}
            c.send(bomb)
            is_ended(c)
        if not IS_SANITIZED:
            check(memory_kib(site.edge) - before < 4 << 10, "nothing of it is kept")
    still_serves(site)


@case_table({"one line": ([("x-long", "y" * 33000)],), "many lines": ([(f"x-{i}", "y" * 300) for i in range(100)],),
             "cookies": ([("cookie", "c" * 1000)] * 40,)})
def http_check_61_lists_above_the_limit(site, fields):
    """Counted decoded, cookies included: 431, and the connection goes on."""
    with client(site) as c:
        block = c.encoder.encode(c.fields("GET", "/page", fields), huffman=False)
        parts = [block[i:i + 16000] for i in range(0, len(block), 16000)]
        head = HeadersFrame(1, parts[0])
        head.flags.add("END_STREAM")
        frames = [head, *[ContinuationFrame(1, part) for part in parts[1:]]]
        frames[-1].flags.add("END_HEADERS")
        c.answers[1], c.next_id = Answer(), 3
        with counted(site.edge, {r'verdict="head-too-large"': 1}):
            c.send(*frames)
            check_equal(c.answer(1).status, 431)
        check_equal(c.get("/page").status, 200)


@case
def http_check_61_too_many_fields(site):
    with client(site) as c:
        check_equal(c.get("/page", [(f"x-{i}", "y") for i in range(101)]).status, 431)
        check_equal(c.get("/page", [(f"x-{i}", "y") for i in range(90)]).status, 200)


@case
def http_check_61_cookies_are_never_indexed(site):
    """RFC 7541 section 7.1.3."""
    site.origin.on("/pass/secret", lambda x: x.reply(200, {"Set-Cookie": "id=secret"}, b""))
    with client(site) as c:
        stream = c.request("GET", "/pass/secret")
        raw = b""
        while not c.answers[stream].is_ended:
            frame = c.read_frame()
            if isinstance(frame, HeadersFrame):
                raw = frame.data
        check_equal(c.answers[stream].header("set-cookie"), "id=secret")
        check_in(b"\x1f\x28", raw, "set-cookie (static 55) as a literal never indexed")


@case_table({
    "names": ([("X-Upper", "a")],), "line breaks": ([("x-a", "b\r\nx-smuggled: c")],),
    "space in front": ([("x-a", " b")],), "space behind": ([("x-a", "b ")],), "NUL": ([("x-a", "b\0")],)})
def http_check_56_nothing_of_it_reaches_the_origin(site, fields):
    with client(site) as c:
        before = len(site.origin.requests)
        answer = c.get("/pass/smuggled", fields)
        check(answer.reset == PROTOCOL_ERROR or answer.status == 400, f"{answer.status} {answer.reset}")
        check_equal(len(site.origin.requests), before)
        check_equal(c.get("/page").status, 200)


@case
def http_check_57_hop_by_hop_fields_do_not_come_through(site):
    with client(site) as c:
        for name, value in (("connection", "x"), ("transfer-encoding", "chunked"), ("upgrade", "h2c"),
                            ("keep-alive", "5"), ("proxy-connection", "x"), ("te", "gzip")):
            check_equal(c.get("/page", {name: value}).reset, PROTOCOL_ERROR, name)
        site.origin.on("/pass/hops", lambda x: x.reply(200, {"Connection": "X-Hop", "X-Hop": "1", "Keep-Alive": "5",
                                                             "Upgrade": "h2c", "X-End": "2"}, b""))
        names = {name for name, _ in c.get("/pass/hops").fields}
        check_equal(names & {"connection", "x-hop", "keep-alive", "upgrade", "x-end"}, {"x-end"})


@case_table({"more": (b"12345", "4"), "less": (b"123", "4")})
def http_check_58_bodies_of_another_length(site, body, length):
    """Before it is forwarded whole the origin does not see the end of it."""
    with client(site) as c:
        before = len(site.origin.requests)
        answer = c.get("/pass/length", {"content-length": length}, method="POST", body=body)
        check_equal(answer.reset, PROTOCOL_ERROR)
        check(all(len(request.body) < 5 for request in site.origin.requests[before:]), "nothing too much")
        check_equal(c.get("/page").status, 200)


# ---- Floods

@case_table({
    "ping": ('kind="ping"', lambda c, i: c.send(PingFrame(0, b"12345678"))),
    "settings": ('kind="settings"', lambda c, i: c.send(SettingsFrame(0, settings={3: i}))),
    "priority": ('kind="priority"', lambda c, i: c.send_raw(2, 0, 1, b"\0\0\0\0\x10")),
    "priority update": ('kind="priority"', lambda c, i: c.send_raw(16, 0, 0, b"\0\0\0\1u=1")),
    "small window updates": ('kind="small-window-update"', lambda c, i: c.open_window(0, 1)),
    "unknown frames": ('kind="unknown-frame"', lambda c, i: c.send_raw(99, 0, 0, b"x"))})
def http_check_62_floods(site, kind, send):
    flood(site, kind, 20000, send)


@case
def http_check_62_empty_data(site):
    def send(c, i):
        if i == 0:
            c.request("POST", "/pass/echo", end=False)
        c.data(1, b"")
    flood(site, 'kind="empty-data"', 20000, send)


@case
def http_check_62_pings_whose_answers_nobody_reads(site):
    """What we owe does not pile up."""
    before = memory_kib(site.edge)
    with client(site) as c:
        c.sock.settimeout(5 * PATIENCE)
        send_all(c, lambda c, i: c.send(*[PingFrame(0, b"12345678")] * 100), 2000)
        if not IS_SANITIZED:
            check(memory_kib(site.edge) - before < 4 << 10, "answers piled up")
    still_serves(site)


@case
def http_check_62_a_zero_increment_of_the_connection(site):
    with client(site) as c:
        c.send_raw(8, 0, 0, bytes(4))
        is_ended(c, PROTOCOL_ERROR)


@case_table({"reserved stream": (lambda c: c.send(c.headers_frame(2, c.fields("GET", "/"))), PROTOCOL_ERROR),
             "data before a head": (lambda c: c.data(1, b"x"), PROTOCOL_ERROR),
             "oversized frame": (lambda c: c.send_raw(0, 0, 1, b"x" * 16385), 6),
             "push": (lambda c: c.send_raw(5, 4, 1, b"\0\0\0\2"), PROTOCOL_ERROR),
             "bad compression": (lambda c: c.send_raw(1, 5, 1, b"\xff\xff\xff\xff\xff"), 9)})
def errors_of_the_connection_end_it(site, send, error):
    with counted(site.edge, {r'goaway_total\{reason="error"': 1}):
        with client(site) as c:
            send(c)
            is_ended(c, error)
    still_serves(site)


# ---- Slowness

@case
def http_check_63_a_window_that_stays_shut(site):
    with counted(site.edge, {r'timeouts_total\{at="response"': 1}):
        with client(site, credit=False) as c:
            stream = c.request("GET", "/big")
            c.read_until(lambda: c.answers[stream].reset is not None, "the reset")
            check_equal((c.answers[stream].reset, len(c.answers[stream].body)), (CANCEL, 65535))
            c.open_window(0, 1 << 20)
            check_equal(c.get("/page").status, 200, "the connection itself is fine")


@case
def http_check_63_an_initial_window_of_nothing(site):
    with client(site, settings={4: 0}) as c:
        c.ping()
        streams = [c.request("GET", "/page") for _ in range(3)]
        for stream in streams:
            check_equal(c.answer(stream).reset, CANCEL)


@case
def http_check_63_a_window_of_a_byte_now_and_then(site):
    """Slower than min-rate, however steadily."""
    with client(site, credit=False) as c:
        stream = c.request("GET", "/big")
        c.read_until(lambda: len(c.answers[stream].body) == 65535, "the first window")
        c.open_window(0, 1 << 20)

        def drip(c, i):
            c.open_window(stream, 20)
            time.sleep(0.05)
        threading.Thread(target=send_all, args=(c, drip, 800), daemon=True).start()
        c.read_until(lambda: c.answers[stream].reset is not None, "the reset")


@case
def http_check_63_answers_that_are_never_read(site):
    """The socket itself is full: nothing more is taken in, and the connection is reset."""
    wait_connections(site.edge, 0)
    with counted(site.edge, {r'timeouts_total\{at="response"': 1}):
        with client(site, credit=False, settings={4: 1 << 24}) as c:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            c.open_window(0, 1 << 28)
            for _ in range(20):
                c.request("GET", "/big")
            wait_connections(site.edge, 0)


@case
def http_check_63_the_origin_is_held_back(site):
    """Windows of the client's reach through to the origin: no more is read of it than is stated."""
    sent = [0]

    def pour(x):
        x.send_head(200, {"Content-Length": str(64 << 20)})
        try:
            for _ in range(64):
                x.send(BLOCK)
                sent[0] += len(BLOCK)
        except OSError:
            pass
        x.close()
    site.origin.on("/pass/pour", pour)
    with client(site, credit=False) as c:
        stream = c.request("GET", "/pass/pour")
        c.read_until(lambda: c.answers[stream].reset is not None, "its end")
        check(sent[0] < 32 << 20, f"the origin could send {sent[0]} bytes to a client that takes none")


def begin(site):
    """Just TLS."""
    context = ssl.create_default_context(cafile=str(site.certs.ca))
    context.set_alpn_protocols(["h2"])
    raw = socket.create_connection((site.edge.address, site.edge.https_port), 10 * PATIENCE)
    return context.wrap_socket(raw, server_hostname=HOST)


@case_table({"nothing": (b"",), "half a preface": (b"PRI * HT",), "half a head": (PREFACE + b"\0\0\0\4\0\0\0\0\0" +
                                                                              b"\0\0\x64\1\5\0\0\0\1abc",)})
def http_check_64_heads_have_a_deadline(site, data):
    with counted(site.edge, {r'timeouts_total\{at="head"': 1}):
        with begin(site) as tls:
            tls.sendall(data)
            while tls.recv(65536):
                pass


@case
def http_check_64_a_head_in_continuations_has_one_deadline(site):
    """Each CONTINUATION is timely; all of them are not."""
    with counted(site.edge, {r'timeouts_total\{at="head"': 1}):
        with client(site) as c:
            c.ping()
            c.send(HeadersFrame(1, c.encoder.encode(c.fields("GET", "/"))))

            def drip(c, i):
                time.sleep(0.6)
                c.send(ContinuationFrame(1, b""))
            threading.Thread(target=send_all, args=(c, drip, 8), daemon=True).start()
            c.wait_closed()


@case_table({"nothing of it": (0,), "a byte now and then": (80,)})
def http_check_64_a_body_has_a_least_rate(site, bytes_sent):
    with client(site) as c:
        with counted(site.edge, {r'timeouts_total\{at="body"': 1}):
            stream = c.request("POST", "/pass/echo", {"content-length": "1000"}, end=False)

            def drip(c, i):
                c.data(stream, b"x")
                time.sleep(0.1)
            threading.Thread(target=send_all, args=(c, drip, bytes_sent), daemon=True).start()
            check_equal(c.answer(stream).status, 408)
        c.read_until(lambda: c.answers[stream].reset is not None, "the rest is not wanted")
        check_equal(c.get("/page").status, 200)


@case
def nothing_is_left_behind(site):
    wait_connections(site.edge, 0)


main(build)
