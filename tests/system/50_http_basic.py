#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a visitor and an origin see of an ordinary edge: connections, routing, bodies of any size in
both directions, the fields that are added and taken away."""
import email.utils
import hashlib
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import (HOST, IS_SANITIZED, connections, counted, drink, edge_site, logged,  # noqa: E402
                             memory_kib, settled, stream_body, stream_hash)
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, free_port,  # noqa: E402
                      has_ipv6, main, wait_until)
from http_client import Connection, HttpClient  # noqa: E402

BIG = 100 << 20         # bytes of a large body
SMALL_MEMORY = 12 << 10  # KiB that a streamed body may add to the program
TRUSTED = "127.0.0.77"  # a peer in trusted-proxies


def edit(config, site):
    second, raw = site.origins[1], site.origins[2]
    config["pools"]["second"] = {"origins": [second.address]}
    config["pools"]["raw"] = {"origins": [raw.address], "host": "internal.example"}
    config["sites"]["www.example.com"] = {
        "aliases": ["example.com", "*.example.com"],
        "routes": {"/": "app", "/raw/": {"pool": "raw", "cache": False},
                   "/api": {"pool": "second", "cache": False}, "/api/v2/": "app"}}
    config["sites"]["img.example.com"] = {"routes": {"/": "second"}}
    config["sites"]["secure.example.net"] = {"redirect-to-https": True, "routes": {"/": "app"}}
    config["tls"]["certificates"].append(site.certs.site("secure.example.net"))
    config["sites"]["paths.example.net"] = {"routes": {"/only": "app"}}
    if has_ipv6():
        site.ipv6_port = free_port()
        config["listen"].append({"address": f"[::1]:{site.ipv6_port}"})
    config["forwarded"] = "both"
    config["trusted-proxies"] = [TRUSTED]


def build():
    def more(site):
        site.add_origin("second")
        site.add_origin("raw").reads_bodies = False
    site = edge_site(edit, build=more)
    site.raw = site.origins[2]
    return site


def get(site, path="/", host=HOST, headers=(), **how):
    return site.edge.http.get(path, host=host, headers=headers, **how)


def newest(origin, path):
    check(origin.seen(path), f"{origin.name} was not asked for {path}")
    return origin.seen(path)[-1]


# ---- Connections

@case
def one_connection_carries_many_requests(site):
    with counted(site.edge, {r"connections_total\{listener=.plain": 1, r'requests_total\{method="GET"': 5}):
        with site.edge.http.connect() as c:
            for i in range(5):
                response = c.request("GET", f"/keep/{i}", HOST)
                check_equal((response.status, response.text), (200, f"origin-1 /keep/{i}\n"))
                check_equal(response.header("connection"), None, "Connection")
    check_equal(len({r.connection_id for r in site.origin.requests if r.path.startswith("/keep/")}), 1,
                "connections to the origin")


@case
def pipelined_requests_are_answered_in_order(site):
    """checks/http.md 20."""
    gate = site.origin.gate("/pipe/0")
    with site.edge.http.connect() as c:
        for i in range(20):
            c.send_request("GET", f"/pipe/{i}", HOST)
        gate.wait_for()
        gate.open()
        for i in range(20):
            check_equal(c.read_response().text, f"origin-1 /pipe/{i}\n")


@case
def hundreds_of_pipelined_requests_in_small_pieces(site):
    site.origin.serve("/pipe/small", b"x" * 100, cache_control="max-age=60")
    get(site, "/pipe/small")
    data = f"GET /pipe/small HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode() * 500
    with site.edge.http.connect() as c:
        sender = threading.Thread(target=lambda: [c.send(data[i:i + 777]) for i in range(0, len(data), 777)])
        sender.start()
        for _ in range(500):
            check_equal(c.read_response().body, b"x" * 100)
        sender.join()
    check_equal(site.origin.count("/pipe/small"), 1)


@case
def head_has_the_fields_and_no_body(site):
    with site.edge.http.connect() as c:
        response = c.request("HEAD", "/head", HOST)
        check_equal((response.status, response.header("content-length")), (200, str(len("origin-1 /head\n"))))
        check_equal(c.request("GET", "/head", HOST).text, "origin-1 /head\n", "the next answer is whole")


@case
def connection_close_is_obeyed_and_said(site):
    with site.edge.http.connect() as c:
        response = c.request("GET", "/close", HOST, {"Connection": "close"})
        check_equal(response.header("connection"), "close")
        check(c.is_closed_by_peer(), "the edge closes")


@case
def http_1_0_closes_unless_kept_alive(site):
    with site.edge.http.connect() as c:
        c.send(f"GET /one-zero HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
        response = c.read_response()
        check_equal((response.status, response.version, response.header("connection")),
                    (200, "HTTP/1.1", "close"))
        check(c.is_closed_by_peer(), "the edge closes")
    with site.edge.http.connect() as c:
        for _ in range(2):
            c.send(f"GET /one-zero HTTP/1.0\r\nHost: {HOST}\r\nConnection: keep-alive\r\n\r\n".encode())
            response = c.read_response()
            check_equal((response.text, response.header("connection")),
                        ("origin-1 /one-zero\n", "keep-alive"))


@case
def http_1_0_gets_no_chunks(site):
    site.origin.on("/chunks10", lambda x: x.send_chunks([b"abc", b"def"]))
    answer = site.edge.http.raw(f"GET /chunks10 HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
    head, body = answer.split(b"\r\n\r\n", 1)
    check_equal(body, b"abcdef")
    check(b"ransfer-" not in head, f"no Transfer-Encoding for HTTP/1.0: {head}")


@case
def half_closed_clients_get_their_answer(site):
    with site.edge.http.connect() as c:
        c.send_request("GET", "/half", HOST)
        c.sock.shutdown(1)
        check_equal(c.read_response().text, "origin-1 /half\n")
        check(c.is_closed_by_peer(), "then the edge closes too")


@case
def empty_lines_before_a_request_are_skipped(site):
    """RFC 9112 section 2.2."""
    with site.edge.http.connect() as c:
        c.send(f"\r\n\r\nGET /empty-lines HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        check_equal(c.read_response().status, 200)


# ---- Routing

@case_table({
    "site": ("www.example.com", "origin-1"),
    "upper case": ("WWW.Example.COM", "origin-1"),
    "with its port": ("www.example.com:8080", "origin-1"),
    "with the root's dot": ("www.example.com.", "origin-1"),
    "alias": ("example.com", "origin-1"),
    "wildcard": ("anything.example.com", "origin-1"),
    "wildcard, deeper": ("a.b.example.com", "origin-1"),
    "an exact name beats a wildcard": ("img.example.com", "second"),
})
def hosts(site, host, origin):
    check_equal(get(site, "/host", host).text, f"{origin} /host\n")


@case_table({"unknown": "www.example.org", "suffix only": "evilexample.com", "address": "127.0.0.1"})
def unknown_hosts_are_misdirected(site, host):
    response = get(site, "/misdirected", host)
    check_equal(response.status, 421)
    check_in("no-store", response.header("cache-control"))
    check_equal(sum(origin.count("/misdirected") for origin in site.origins), 0)


@case_table({
    "longest prefix": ("/api/v2/x", "origin-1"),
    "shorter prefix": ("/api/v1/x", "second"),
    "the prefix itself": ("/api", "second"),
    "not on a border of segments": ("/apix", "origin-1"),
    "with a query": ("/api?x=1", "second"),
})
def prefixes(site, path, origin):
    check_equal(get(site, path).text, f"{origin} {path}\n")


@case
def paths_without_a_route_are_not_found(site):
    with counted(site.edge, {'responses_total.class="4xx"': 1}):
        check_equal(get(site, "/other", "paths.example.net").status, 404)
    check_equal(get(site, "/only/this", "paths.example.net").status, 200)


@case_table({"GET": ("GET", 301), "HEAD": ("HEAD", 301), "POST": ("POST", 308)})
def plain_requests_are_redirected_where_configured(site, method, status):
    response = site.edge.http.request(method, "/a/b?c=d", host="secure.example.net",
                                      body=b"x" if method == "POST" else None)
    check_equal((response.status, response.header("location")),
                (status, f"https://secure.example.net:{site.edge.https_port}/a/b?c=d"))


@case
def redirects_do_not_loop(site):
    with Connection(site.edge.address, site.edge.https_port, ca=site.certs.ca,
                    server_name="secure.example.net") as c:
        check_equal(c.request("GET", "/tls", "secure.example.net").text, "origin-1 /tls\n")


@case_table({"TRACE": (b"TRACE / HTTP/1.1", 405), "CONNECT": (b"CONNECT www.example.com:443 HTTP/1.1", 501),
             "PURGE": (b"PURGE / HTTP/1.1", 405)})
def methods_that_are_not_for_visitors(site, line, status):
    """checks/http.md 18, 29."""
    before = len(site.origin.requests)
    with site.edge.http.connect() as c:
        c.send(line + f"\r\nHost: {HOST}\r\n\r\n".encode())
        check_equal(c.read_response().status, status)
    check_equal(len(site.origin.requests), before)


@case_table({"unknown": "FROB", "lower case is another method": "get", "PATCH": "PATCH",
             "DELETE": "DELETE"})
def other_methods_pass(site, method):
    """checks/http.md 18."""
    check_equal(site.edge.http.request(method, f"/method/{method}").status, 200)
    check_equal(newest(site.origin, f"/method/{method}").method, method)


@case
def options_counts_down_max_forwards(site):
    """checks/http.md 29."""
    check_equal(site.edge.http.request("OPTIONS", "/opt", headers={"Max-Forwards": "0"}).status, 204)
    check_equal(site.origin.count("/opt"), 0)
    check_equal(site.edge.http.request("OPTIONS", "/opt", headers={"Max-Forwards": "4"}).status, 200)
    check_equal(newest(site.origin, "/opt").headers["max-forwards"], "3")


# ---- Bodies

@case_table({"length": {"Content-Length": str(BIG)}, "until close": {"Connection": "close"}})
def big_downloads_stream(site, framing):
    path = f"/big-down/{len(framing)}{sorted(framing)[0]}"

    def answer(x):
        x.send_head(200, {"Cache-Control": "no-store", **framing})
        stream_body(x.send, BIG)
        x.close()
    site.origin.on(path, answer)
    get(site, "/")
    before = memory_kib(site.edge)
    with site.edge.http.connect(timeout_s=30) as c:
        c.send_request("GET", path, HOST)
        response = c.read_head()
        check_equal(response.status, 200)
        if "Content-Length" in framing:
            check_equal(drink(c.sock, BIG, c.buffer), stream_hash(BIG))
        else:
            check_equal(response.header("transfer-encoding"), "chunked")
            check_equal(len(c.read_chunks()), BIG)
    check(IS_SANITIZED or memory_kib(site.edge) - before < SMALL_MEMORY,
          f"the edge grew by {memory_kib(site.edge) - before} KiB")


@case
def bodies_larger_than_an_object_may_be_stream_although_cacheable(site):
    def answer(x):
        x.send_head(200, {"Cache-Control": "max-age=60", "Content-Length": str(BIG)})
        stream_body(x.send, BIG)
    site.origin.on("/big-cacheable", answer)
    before = memory_kib(site.edge)
    with site.edge.http.connect(timeout_s=30) as c:
        c.send_request("GET", "/big-cacheable", HOST)
        c.read_head()
        check_equal(drink(c.sock, BIG, c.buffer), stream_hash(BIG))
    check(IS_SANITIZED or memory_kib(site.edge) - before < 40 << 10,
          f"the edge grew by {memory_kib(site.edge) - before} KiB")


@case
def a_slow_reader_stops_the_origin(site):
    """Back-pressure: what the kernel's buffers hold is all that moves."""
    sent = [0]

    def answer(x):
        x.send_head(200, {"Cache-Control": "no-store", "Content-Length": str(BIG)})
        stream_body(x.send, BIG, sent)
    site.origin.on("/slow-reader", answer)
    before = memory_kib(site.edge)
    with site.edge.http.connect(timeout_s=30) as c:
        c.send_request("GET", "/slow-reader", HOST)
        c.read_head()
        wait_until(lambda: sent[0] > 0, "the origin to send")
        held = settled(lambda: sent[0], "the origin's progress")
        check(held < BIG // 2, f"the origin could send {held} bytes to a reader that does not read")
        check(IS_SANITIZED or memory_kib(site.edge) - before < SMALL_MEMORY, "the edge holds it")
        check_equal(get(site, "/meanwhile").status, 200)
        check_equal(drink(c.sock, BIG, c.buffer), stream_hash(BIG), "the rest comes")


@case_table({"length": False, "chunked": True})
def big_uploads_stream(site, is_chunked):
    path = f"/raw/upload-{is_chunked}"
    got = {}

    def answer(x):
        if is_chunked:
            digest, n = hashlib.sha256(), 0
            while (size := int(x.reader.line().split(";")[0], 16)) > 0:
                digest.update(x.reader.take(size))
                x.reader.take(2)
                n += size
            x.reader.line()
            got.update(bytes=n, hash=digest.hexdigest())
        else:
            got.update(bytes=int(x.request.headers["content-length"]),
                       hash=drink(x.sock, BIG, x.reader.buffer))
            x.reader.buffer = b""
        x.reply(200, (), b"taken")
    site.raw.on(path, answer)
    before = memory_kib(site.edge)
    with site.edge.http.connect(timeout_s=30) as c:
        if is_chunked:
            c.send_request("POST", path, HOST, {"Transfer-Encoding": "chunked"})
            stream_body(lambda b: c.send(b"%x\r\n%s\r\n" % (len(b), b)), BIG)
            c.send(b"0\r\n\r\n")
        else:
            c.send_request("POST", path, HOST, {"Content-Length": str(BIG)})
            stream_body(c.send, BIG)
        check_equal(c.read_response().text, "taken")
        check_equal(c.request("GET", "/after-upload", HOST).status, 200, "the connection goes on")
    check_equal(got, {"bytes": BIG, "hash": stream_hash(BIG)})
    check(IS_SANITIZED or memory_kib(site.edge) - before < SMALL_MEMORY,
          f"the edge grew by {memory_kib(site.edge) - before} KiB")


@case
def a_slow_origin_stops_the_uploader(site):
    gate, sent, got = threading.Event(), [0], {}

    def answer(x):
        gate.wait(60 * PATIENCE)
        got["hash"] = drink(x.sock, BIG, x.reader.buffer)
        x.reader.buffer = b""
        x.reply(200, (), b"taken")
    site.raw.on("/raw/slow-upload", answer)
    before = memory_kib(site.edge)
    with site.edge.http.connect(timeout_s=30) as c:
        c.send_request("PUT", "/raw/slow-upload", HOST, {"Content-Length": str(BIG)})
        sender = threading.Thread(target=stream_body, args=(c.send, BIG, sent))
        sender.start()
        wait_until(lambda: sent[0] > 0, "the client to send")
        held = settled(lambda: sent[0], "the client's progress")
        check(held < BIG // 2, f"{held} bytes went to an origin that does not read")
        check(IS_SANITIZED or memory_kib(site.edge) - before < SMALL_MEMORY, "the edge holds it")
        gate.set()
        check_equal(c.read_response().text, "taken")
        sender.join()
    check_equal(got["hash"], stream_hash(BIG))


@case
def chunks_come_through_as_they_are_sent(site):
    step = threading.Event()

    def answer(x):
        x.send_head(200, {"Transfer-Encoding": "chunked", "Cache-Control": "no-store"})
        x.send(b"5;ext=1\r\nfirst\r\n")
        step.wait(30 * PATIENCE)
        x.send(b"6\r\nsecond\r\n0\r\nX-Trailer: 1\r\n\r\n")
    site.origin.on("/drip", answer)
    with site.edge.http.connect() as c:
        c.send_request("GET", "/drip", HOST)
        c.read_head()
        check_equal(c.take(int(c.take_line(), 16)), b"first")   # and no extension, checks/http.md 10
        check_equal(c.take(2), b"\r\n")
        step.set()
        check_equal(c.read_chunks(), b"second")


@case
def a_chunked_request_is_framed_anew(site):
    """checks/http.md 10 to 12: no extension and no trailer gets through."""
    with site.edge.http.connect() as c:
        c.send(f"POST /rechunk HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        c.send(b"3;name=value\r\nabc\r\n000004;q=\"x\"\r\ndefg\r\n0\r\nX-Trailer: no\r\nHost: evil\r\n\r\n")
        check_equal(c.read_response().status, 200)
    request = newest(site.origin, "/rechunk")
    check_equal((request.body, request.headers["transfer-encoding"]), (b"abcdefg", "chunked"))
    check("x-trailer" not in request.headers and request.headers["host"] == HOST, request.fields)


@case
def get_with_a_body_is_framed(site):
    """checks/http.md 15."""
    with site.edge.http.connect() as c:
        check_equal(c.request("GET", "/fat-get", HOST, (), b"body").status, 200)
        check_equal(c.request("DELETE", "/fat-delete", HOST).status, 200)
    check_equal(newest(site.origin, "/fat-get").body, b"body")
    check("content-length" not in newest(site.origin, "/fat-delete").headers, "no length without a body")


@case
def expect_100_continue(site):
    """checks/http.md 25: asked for when the origin wants the body, and not sent on."""
    with site.edge.http.connect() as c:
        c.send_request("POST", "/expect", HOST, {"Expect": "100-continue", "Content-Length": "4"})
        check_equal(c.read_response(keep_interim=True).status, 100)
        c.send(b"body")
        check_equal(c.read_response(keep_interim=True).status, 200)
    request = newest(site.origin, "/expect")
    check_equal(request.body, b"body")
    check("expect" not in request.headers, "Expect is not sent on")


@case
def no_100_when_the_body_is_not_wanted(site):
    with site.edge.http.connect() as c:
        c.send_request("POST", "/x", "unknown.example", {"Expect": "100-continue", "Content-Length": "4"})
        response = c.read_response(keep_interim=True)
        check_equal((response.status, response.header("connection")), (421, "close"))


@case
def an_early_answer_ends_the_upload(site):
    """checks/http.md 14: the body's rest is not the next request."""
    site.raw.on("/raw/early", lambda x: (x.reply(403, {"Connection": "close"}, b"no"), x.close()))
    smuggled = f"GET /smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    with site.edge.http.connect() as c:
        c.send_request("POST", "/raw/early", HOST, {"Content-Length": str(1000 + len(smuggled))})
        response = c.read_response()
        check_equal((response.status, response.header("connection")), (403, "close"))
        try:
            c.send(b"x" * 1000 + smuggled)
        except OSError:
            pass
        check_equal(c.read_to_end(), b"")
    check_equal(site.origin.count("/smuggled"), 0)


@case
def a_body_for_an_answer_of_our_own_is_no_request(site):
    smuggled = f"GET /smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    with site.edge.http.connect() as c:
        c.send_request("POST", "/x", "unknown.example", (), smuggled)
        check_equal(c.read_response().status, 421)
        c.send_request("GET", "/after-421", HOST)
        try:
            check_equal(c.read_response().text, "origin-1 /after-421\n")
        except ConnectionError:
            pass  # to close is right as well
    check_equal(site.origin.count("/smuggled"), 0)


@case
def early_hints_come_before_the_answer(site):
    """checks/http.md 24: any number, none to HTTP/1.0."""
    def answer(x):
        for i in range(2):
            x.send(b"HTTP/1.1 103 Early Hints\r\nLink: </s%d.css>; rel=preload\r\n\r\n" % i)
        x.reply(200, {"Cache-Control": "no-store"}, b"page")
    site.origin.on("/hints", answer)
    with site.edge.http.connect() as c:
        c.send_request("GET", "/hints", HOST)
        for i in range(2):
            hint = c.read_response(keep_interim=True)
            check_equal((hint.status, hint.header("link")), (103, f"</s{i}.css>; rel=preload"))
        check_equal(c.read_response(keep_interim=True).text, "page")
    check_in(b"200 OK", site.edge.http.raw(f"GET /hints HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())[:20])


# ---- Upgrade

def websocket(c, path, extra=""):
    c.send(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           f"Sec-WebSocket-Key: a2V5\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n".encode())
    return c.read_head()


@case
def a_tunnel_opens_after_101(site):
    """checks/http.md 26."""
    def answer(x):
        x.send_head(101, {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Accept": "b2s"},
                    "Switching Protocols")
        while data := x.sock.recv(65536):
            x.send(data.upper())
        x.close()
    site.origin.on("/ws", answer)
    with counted(site.edge, {"edge_tunnels_total": 1}):
        with site.edge.http.connect() as c:
            response = websocket(c, "/ws")
            check_equal((response.status, response.header("upgrade"), response.header("connection")),
                        (101, "websocket", "Upgrade"))
            check_equal(response.header("sec-websocket-accept"), "b2s")
            for message in (b"hello", b"x" * 200000, b"bye"):
                c.send(message)
                check_equal(c.take(len(message)), message.upper())
            c.sock.shutdown(1)
            check(c.is_closed_by_peer(), "the end comes through too")
    headers = newest(site.origin, "/ws").headers
    check_equal((headers["upgrade"], headers["connection"].lower()), ("websocket", "upgrade"))


@case
def no_tunnel_without_101(site):
    """checks/http.md 26: what follows a refused upgrade is the next request, not a tunnel's data."""
    with counted(site.edge, {"edge_tunnels_total": 0}):
        with site.edge.http.connect() as c:
            check_equal(websocket(c, "/ws-refused").status, 200)
            c.take(len("origin-1 /ws-refused\n"))
            c.send(b"\x81\x05hello\r\n\r\n")
            check_equal(c.read_response().status, 400)


@case
def other_protocols_are_not_asked_for(site):
    """checks/http.md 22, 26: h2c and unknown upgrades stay with us."""
    response = get(site, "/h2c", headers={"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c",
                                         "HTTP2-Settings": "AAMAAABk"})
    check_equal(response.status, 200)
    headers = newest(site.origin, "/h2c").headers
    for name in ("upgrade", "http2-settings", "connection"):
        check(name not in headers, f"{name} is not sent on: {headers}")


@case
def an_origin_that_switches_unasked_is_at_fault(site):
    site.origin.on("/switch", lambda x: x.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
    check_equal(get(site, "/switch").status, 502)


# ---- Fields

@case
def hop_by_hop_fields_stay_on_their_hop(site):
    """checks/http.md 22, 33."""
    site.origin.on("/hop", lambda x: x.reply(200, {
        "Connection": "X-Private-Answer, keep-alive", "Keep-Alive": "timeout=5", "X-Private-Answer": "1",
        "Proxy-Connection": "keep-alive", "X-Public": "1", "Cache-Control": "no-store"}, b"x"))
    response = get(site, "/hop", headers=[
        ("Connection", "X-Private, Keep-Alive, TE"), ("X-Private", "1"), ("Keep-Alive", "timeout=9"),
        ("TE", "trailers, gzip"), ("Proxy-Connection", "keep-alive"), ("Trailer", "X"),
        ("Proxy", "http://evil"), ("X_Under", "1"), ("X-Public", "1")])
    headers = newest(site.origin, "/hop").headers
    for name in ("connection", "x-private", "keep-alive", "te", "proxy-connection", "proxy", "x_under"):
        check(name not in headers, f"{name} is not sent on: {headers}")
    check_equal(headers["x-public"], "1")
    for name in ("connection", "keep-alive", "x-private-answer", "proxy-connection"):
        check_equal(response.header(name), None, name)
    check_equal(response.header("x-public"), "1")


@case_table({"Host": "Host", "Cookie": "Cookie", "Authorization": "Authorization",
             "X-Forwarded-For": "X-Forwarded-For"})
def connection_cannot_nominate_what_matters(site, name):
    """checks/http.md 22."""
    path = "/nominate-" + name.lower()
    get(site, path, headers={"Connection": f"close, {name}", "Cookie": "a=b", "Authorization": "Basic eA=="})
    check_in(name.lower(), newest(site.origin, path).headers)


@case
def the_way_is_written_down(site):
    """checks/http.md 30, 32."""
    response = get(site, "/way", headers={"Via": "1.1 before"})
    headers = newest(site.origin, "/way").headers
    check_equal(headers["via"], "1.1 before, 1.1 edge-1")
    check_equal(headers["cdn-loop"], "edge-1")
    check_equal(headers["host"], HOST)
    check_equal((headers["x-forwarded-for"], headers["x-forwarded-proto"], headers["x-forwarded-host"]),
                ("127.0.0.1", "http", HOST))
    check_equal(headers["forwarded"], f"for=127.0.0.1;host={HOST};proto=http")
    check_equal(response.header("via"), "1.1 edge-1")
    check_in("fwd=", response.header("cache-status"))
    check_equal(site.edge.https.get("/way-tls").status, 200)
    check_equal(newest(site.origin, "/way-tls").headers["x-forwarded-proto"], "https")


@case
def visitors_come_over_ipv6_too(site):
    if not has_ipv6():
        return
    check_equal(HttpClient("::1", site.ipv6_port).get("/six").status, 200)
    headers = newest(site.origin, "/six").headers
    check_equal((headers["x-forwarded-for"], headers["forwarded"]),
                ("::1", f'for="[::1]";host={HOST};proto=http'))
    check_equal(logged(site.edge, "/six")["client"], "::1")


@case
def strangers_cannot_say_who_they_are(site):
    """checks/http.md 32, 37."""
    get(site, "/spoof", headers={
        "X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil",
        "Forwarded": "for=10.0.0.1", "X-Real-IP": "10.0.0.1", "X-Forwarded-Ssl": "on",
        "X-Original-URL": "/admin", "X-Rewrite-URL": "/admin", "X-HTTP-Method-Override": "DELETE"})
    headers = newest(site.origin, "/spoof").headers
    check_equal((headers["x-forwarded-for"], headers["x-forwarded-proto"], headers["x-forwarded-host"]),
                ("127.0.0.1", "http", HOST))
    check("10.0.0.1" not in str(headers) and "admin" not in str(headers), f"{headers}")
    check("x-http-method-override" not in headers, f"{headers}")


@case
def trusted_proxies_are_believed(site):
    get(site, "/trusted", source=TRUSTED, headers={
        "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", "Forwarded": "for=192.0.2.7"})
    headers = newest(site.origin, "/trusted").headers
    check_equal((headers["x-forwarded-for"], headers["x-forwarded-proto"]),
                (f"192.0.2.7, {TRUSTED}", "https"))
    check_equal(headers["forwarded"], f"for=192.0.2.7, for={TRUSTED};host={HOST};proto=http")


@case
def loops_are_found(site):
    """checks/http.md 30."""
    check_equal(get(site, "/loop", headers={"CDN-Loop": "other, edge-1"}).status, 508)
    check_equal(site.origin.count("/loop"), 0)


@case
def a_pool_can_have_a_host_of_its_own(site):
    get(site, "/raw/host")
    headers = newest(site.raw, "/raw/host").headers
    check_equal((headers["host"], headers["x-forwarded-host"]), ("internal.example", HOST))


@case
def absolute_form_says_the_host(site):
    """checks/http.md 16."""
    with site.edge.http.connect() as c:
        c.send(b"GET http://img.example.com/abs?q HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
        check_equal(c.read_response().text, "second /abs?q\n")
    check_equal(newest(site.origins[1], "/abs").headers["host"], "img.example.com")


@case
def the_same_bytes_are_forwarded(site):
    """checks/http.md 19, 35."""
    for target in ("/a%2Fb%3f%20c;d=1//e?x=%zz&y[]=1", "/caf%C3%A9", "/~%7e", "/?"):
        check_equal(get(site, target).text, f"origin-1 {target}\n")


@case
def date_is_added_when_missing_and_kept_otherwise(site):
    """checks/http.md 31."""
    response = get(site, "/dated")
    now = email.utils.parsedate_to_datetime(response.header("date")).timestamp()
    check(abs(now - time.time()) < 3 * PATIENCE, response.header("date"))
    site.origin.serve("/old", b"x", date="Tue, 15 Nov 1994 08:12:31 GMT", cache_control="no-store")
    check_equal(get(site, "/old").header("date"), "Tue, 15 Nov 1994 08:12:31 GMT")


@case
def statuses_without_a_body(site):
    """checks/http.md 28."""
    site.origin.on("/204", lambda x: x.reply(204, {"Content-Length": "0"}))
    site.origin.on("/304", lambda x: x.reply(304, {"ETag": '"x"'}))
    with site.edge.http.connect() as c:
        for path, status in (("/204", 204), ("/304", 304)):
            c.send_request("GET", path, HOST, {"Cache-Control": "no-store", "If-None-Match": '"x"'})
            response = c.read_response()
            check_equal(response.status, status)
            check_equal(response.header("transfer-encoding"), None)
            check(status == 304 or response.header("content-length") is None, "204 has no length")
        check_equal(c.request("GET", "/after-204", HOST).status, 200)


@case
def requests_are_logged(site):
    site.edge.http.request("POST", '/log"me\x7f'.replace("\x7f", "%7f") + "?a=b",
                           headers={"User-Agent": 'tool "1"', "Referer": "http://x/"}, body=b"1")
    entry = logged(site.edge, '/log"me%7f?a=b')
    check_equal((entry["client"], entry["method"], entry["host"], entry["protocol"], entry["status"]),
                ("127.0.0.1", "POST", HOST, "HTTP/1.1", 200))
    check_equal((entry["user_agent"], entry["referer"], entry["cache"], entry["upstream"]),
                ('tool "1"', "http://x/", "pass", site.origin.address))
    check_equal(entry["request_id"], site.origin.seen('/log"me%7f')[-1].headers["x-request-id"])
    check(entry["bytes"] > 0 and entry["duration_ms"] >= 0, f"{entry}")
    entry = logged(site.edge, "/way-tls")
    check_equal(entry["tls"], "TLSv1.3")


@case
def nothing_is_left_open(site):
    wait_until(lambda: connections(site.edge) == 0, "all client connections to be closed")
    m = site.edge.metrics()
    check_equal(sum(v for k, v in m.items() if k.startswith("edge_accept_errors")), 0)


main(build)
