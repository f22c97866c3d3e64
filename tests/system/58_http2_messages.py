#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Messages that have more than a head and a body, over HTTP/2 and from one version to the other: trailers
(gRPC lives on them), WebSockets (RFC 8441), and a browser's page of many objects."""
import base64
import hashlib
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import BLOCK, HOST, counted, edge_site, wait_connections  # noqa: E402
from gslbtest import PATIENCE, case, case_table, check, check_equal, main, wait_until  # noqa: E402
from h2_client import CANCEL, NO_ERROR, H2Client  # noqa: E402
from http_client import Connection  # noqa: E402

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
OBJECTS = 150


def edit(config, site):
    config["workers"] = 1
    config["sites"][HOST] = {"routes": {"/": "app", "/pass/": {"pool": "app", "cache": False}}}
    config["limits"] = {"body-idle": "1s"}


def build():
    return edge_site(edit)


def client(site, **how):
    return H2Client(site.edge, site.certs.ca, **how)


# ---- Trailers

def answer_like_grpc(x):
    x.send_chunks([b"one", b"two"], 200, {"Content-Type": "application/grpc", "Trailer": "Grpc-Status"},
                  {"Grpc-Status": "0", "Grpc-Message": "fine", "Content-Length": "5", "Transfer-Encoding": "x",
                   "Host": "evil", "Set-Cookie": "a=b"})


@case
def trailers_of_responses_end_the_stream(site):
    """RFC 9110 section 6.5.1: what frames, routes or authenticates is none."""
    site.origin.on("/pass/grpc", answer_like_grpc)
    with client(site) as c:
        answer = c.get("/pass/grpc", {"te": "trailers"}, method="POST", body=b"question")
        check_equal((answer.status, answer.body), (200, b"onetwo"))
        check_equal(answer.trailers, [("grpc-status", "0"), ("grpc-message", "fine")])
        check_equal(answer.header("trailer"), None)
    request = site.origin.seen("/pass/grpc")[-1]
    check_equal((request.headers["te"], request.headers["connection"]), ("trailers", "TE"))


@case
def trailers_of_responses_over_http_1_1(site):
    """Only to those who say that they look at them (RFC 9110 section 10.1.4)."""
    site.origin.on("/pass/grpc", answer_like_grpc)
    for te, wanted in (("trailers", b"0\r\nGrpc-Status: 0\r\nGrpc-Message: fine\r\n\r\n"), ("gzip", b"0\r\n\r\n")):
        with Connection(site.edge.address, site.edge.http_port) as c:
            c.send(f"GET /pass/grpc HTTP/1.1\r\nHost: {HOST}\r\nTE: {te}\r\nConnection: close, TE\r\n\r\n".encode())
            while c.fill():
                pass
            check(c.buffer.endswith(b"\r\n" + wanted), f"{te}: {c.buffer[-80:]}")


@case
def trailers_of_requests_reach_the_origin(site):
    site.origin.on("/pass/upload", lambda x: x.reply(200, {}, x.request.body))
    wanted = [("grpc-timeout-left", "5"), ("x-checksum", "abc")]
    lines = [*wanted, ("content-length", "9"), ("host", "evil"), ("authorization", "x"), ("te", "trailers")]
    with client(site) as c:
        stream = c.request("POST", "/pass/upload", {"te": "trailers"}, end=False)
        c.data(stream, b"body")
        c.send(c.headers_frame(stream, [line for line in lines if line[0] in ("grpc-timeout-left", "x-checksum", "authorization")]))
        check_equal(c.answer(stream).body, b"body")
    check_equal(site.origin.seen("/pass/upload")[-1].trailers, wanted)
    with Connection(site.edge.address, site.edge.http_port) as c:
        tail = "".join(f"{name}: {value}\r\n" for name, value in lines)
        c.send(f"POST /pass/upload HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n"
               f"4\r\nbody\r\n0\r\n{tail}\r\nGET /pass/next HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        check_equal(c.read_response().body, b"body")
        check_equal(c.read_response().status, 200, "the next request begins behind the trailers")
    check_equal(site.origin.seen("/pass/upload")[-1].trailers, wanted)
    check_equal(len(site.origin.seen("/pass/upload")), 2)


@case
def trailers_are_bounded(site):
    with client(site) as c:
        stream = c.request("POST", "/pass/upload", end=False)
        c.data(stream, b"body")
        c.send(c.headers_frame(stream, [(f"x-{i}", "y" * 100) for i in range(90)], huffman=False))
        check(c.answer(stream).reset is not None, "too many of them")
        check_equal(c.get("/").status, 200)


@case
def both_ways_at_once(site):
    """As gRPC streams: each side speaks when it likes."""
    def talk(x):
        x.send_head(200, {"Content-Type": "application/grpc", "Transfer-Encoding": "chunked"})
        while (size := int(x.reader.line(), 16)) > 0:
            word = x.reader.take(size)
            x.reader.take(2)
            x.send(b"%x\r\n%s\r\n" % (len(word), word.upper()))
        x.reader.line()
        x.send(b"0\r\ngrpc-status: 0\r\n\r\n")
    site.origin.reads_bodies = False
    site.origin.on("/pass/talk", talk)
    with client(site) as c:
        stream = c.request("POST", "/pass/talk", {"te": "trailers"}, end=False)
        for i in range(20):
            c.data(stream, b"word%d " % i)
            wanted = b"".join(b"WORD%d " % j for j in range(i + 1))
            c.read_until(lambda: c.answers[stream].body == wanted, "the echo")
        c.data(stream, b"", end=True)
        check_equal(c.answer(stream).trailers, [("grpc-status", "0")])
    site.origin.reads_bodies = True


# ---- WebSockets

def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def echo(x, accept=None):
    headers = x.request.headers
    x.send(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           f"Sec-WebSocket-Accept: {accept or accept_of(headers['sec-websocket-key'])}\r\n"
           f"Sec-WebSocket-Protocol: chat\r\n\r\n".encode())
    try:
        while data := x.sock.recv(65536):
            x.send(data)
    except OSError:
        pass
    x.close()


def connect(c, path, protocol="websocket", headers=()):
    return c.request_of([(":method", "CONNECT"), (":protocol", protocol), (":scheme", "https"), (":path", path),
                         (":authority", HOST), ("sec-websocket-version", "13"), *headers], end=False)


@case
def http_check_26_websockets_by_extended_connect(site):
    """RFC 8441: the origin sees an ordinary WebSocket of HTTP/1.1, with a key of ours."""
    site.origin.on("/pass/ws", echo)
    with counted(site.edge, {"edge_tunnels_total": 1}):
        with client(site) as c:
            c.ping()
            check_equal(c.settings[8], 1, "ENABLE_CONNECT_PROTOCOL")
            stream = connect(c, "/pass/ws")
            c.data(stream, b"early ")
            c.read_until(lambda: c.answers[stream].status is not None, "an answer")
            answer = c.answers[stream]
            check_equal((answer.status, answer.header("sec-websocket-protocol")), (200, "chat"))
            names = {name for name, _ in answer.fields}
            check_equal(names & {"sec-websocket-accept", "upgrade", "connection"}, set())
            for i in range(10):
                c.data(stream, b"%d" % i)
            c.read_until(lambda: answer.body == b"early 0123456789", "the echo")
            check_equal(c.get("/").status, 200, "others go on beside it")
            c.data(stream, BLOCK[:100000][:16384])
            c.read_until(lambda: len(answer.body) == 16 + 16384, "more of the echo")
            c.data(stream, b"", end=True)
            check_equal(c.answer(stream).is_ended, True)
    request = site.origin.seen("/pass/ws")[-1]
    check_equal((request.method, request.headers["upgrade"].lower(), len(request.headers["sec-websocket-key"])),
                ("GET", "websocket", 24))


@case_table({"the wrong key's": (lambda x: echo(x, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), 502),
             "a refusal": (lambda x: x.reply(403, {}, b"no"), 403),
             "a success that is no tunnel": (lambda x: x.reply(200, {}, b"a page"), 502)})
def http_check_26_only_the_right_101_makes_a_tunnel(site, handler, status):
    site.origin.on("/pass/ws", handler)
    with counted(site.edge, {"edge_tunnels_total": 0}):
        with client(site) as c:
            stream = connect(c, "/pass/ws")
            c.read_until(lambda: c.answers[stream].is_ended, "the end")
            check_equal(c.answers[stream].status, status)
            check_equal(c.get("/").status, 200)


@case
def http_check_26_other_protocols_are_refused(site):
    with client(site) as c:
        stream = connect(c, "/pass/ws", "connect-udp")
        c.read_until(lambda: c.answers[stream].is_ended, "the end")
        check_equal(c.answers[stream].status, 501)


@case
def a_silent_websocket_is_no_slow_body(site):
    """body-idle is one second here."""
    site.origin.on("/pass/ws", echo)
    with client(site) as c:
        stream = connect(c, "/pass/ws")
        c.read_until(lambda: c.answers[stream].status is not None, "an answer")
        other = c.request("POST", "/pass/slow", {"content-length": "9"}, end=False)
        check_equal(c.answer(other).status, 408, "so much time has passed")
        c.data(stream, b"still here")
        c.read_until(lambda: c.answers[stream].body == b"still here", "the echo")
        c.reset(stream, CANCEL)
    wait_connections(site.edge, 0)


# ---- A browser

def find_browser():
    return shutil.which("chromium") or shutil.which("chromium-browser")


@case
def a_browser_loads_a_page_of_many_objects(site):
    """With Debian's chromium, which is too large to be installed for this alone: without it there is nothing
    to see here, and the case says so."""
    browser = find_browser()
    if browser is None:
        print("# no chromium: skipped")
        return
    page = ("<html><body>" + "".join(f"<img id=i{i} src=/object/{i}.svg>" for i in range(OBJECTS)) +
            "<script>onload=()=>{document.title=[...document.images].filter(i=>i.naturalWidth==7).length+' '+"
            "performance.getEntriesByType('resource').filter(e=>e.nextHopProtocol=='h2').length}</script>")
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"><!--' + b"x" * 3000 + b"--></svg>"
    cached = {"Cache-Control": "max-age=600"}
    site.origin.on("/many", lambda x: x.reply(200, {**cached, "Content-Type": "text/html"}, page.encode()))
    for i in range(OBJECTS):
        site.origin.on(f"/object/{i}.svg", lambda x: x.reply(200, {**cached, "Content-Type": "image/svg+xml"}, svg))
    spki = subprocess.run(f"openssl x509 -in {site.certs.site(HOST)['certificate']} -pubkey -noout | openssl pkey -pubin "
                          "-outform der | openssl dgst -sha256 -binary | base64", shell=True, check=True,
                          capture_output=True, text=True).stdout.strip()
    result = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={site.folder}/browser",
         f"--ignore-certificate-errors-spki-list={spki}", "--virtual-time-budget=20000", "--dump-dom",
         f"--host-resolver-rules=MAP {HOST} {site.edge.address}", f"https://{HOST}:{site.edge.https_port}/many"],
        capture_output=True, text=True, check=False, timeout=120 * PATIENCE)
    check(f"<title>{OBJECTS} {OBJECTS}</title>" in result.stdout, result.stdout[-200:] + result.stderr[-500:])
    lines = [line for line in site.edge.access_log() if line["path"].startswith("/object/")]
    check_equal({line["protocol"] for line in lines}, {"HTTP/2.0"})


main(build)
