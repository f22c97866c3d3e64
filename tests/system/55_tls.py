#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""HTTPS: versions, certificates by name, resumption, what is refused, and certificates that are
exchanged while visitors are connected."""
import hashlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import (BLOCK, HOST, counted, drink, edge_site, logged, settled, stream_body,  # noqa: E402
                             stream_hash, wait_connections)
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, main,  # noqa: E402
                      run_program, wait_until)
from http_client import Connection  # noqa: E402

BIG = 50 << 20


def edit(config, site):
    config["tls"]["certificates"] += [site.certs.site("*.wild.example.net", "wild.example.net"),
                                      site.certs.site("other.example.org")]
    config["sites"][HOST]["aliases"] += ["*"]


def build():
    site = edge_site(edit)
    site.trust = ssl.create_default_context(cafile=site.certs.ca)
    return site


def context_for(site, **attributes):
    context = ssl.create_default_context(cafile=site.certs.ca)
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


def dial(site, context, server_name=HOST, session=None):
    sock = socket.create_connection((site.edge.address, site.edge.https_port), 10 * PATIENCE)
    try:
        return context.wrap_socket(sock, server_hostname=server_name, session=session)
    except BaseException:
        sock.close()
        raise


def connection_over(tls):
    c = Connection.__new__(Connection)
    c.sock, c.buffer = tls, b""
    return c


def get_over(tls, path="/", host=HOST):
    return connection_over(tls).request("GET", path, host)


def names_of(tls):
    return {name for kind, name in tls.getpeercert()["subjectAltName"] if kind == "DNS"}


V = ssl.TLSVersion
warnings.simplefilter("ignore", DeprecationWarning)     # old versions are asked for on purpose


@case_table({"1.2": (V.TLSv1_2, "TLSv1.2"), "1.3": (V.TLSv1_3, "TLSv1.3")})
def versions(site, version, name):
    with counted(site.edge, {"tls_handshakes_total": 1, 'connections_total.listener="tls"': 1}):
        with dial(site, context_for(site, minimum_version=version, maximum_version=version)) as tls:
            check_equal(tls.version(), name)
            check_equal(get_over(tls, f"/v{name}").status, 200)
    check_equal(logged(site.edge, f"/v{name}")["tls"], name)


@case
def old_versions_are_refused(site):
    context = context_for(site, minimum_version=V.TLSv1, maximum_version=V.TLSv1_1)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with counted(site.edge, {'tls_failures_total.reason="version"': 1}):
        try:
            dial(site, context)
            check(False, "TLS 1.1 was taken")
        except ssl.SSLError:
            pass


@case
def weak_ciphers_are_refused(site):
    context = context_for(site, maximum_version=V.TLSv1_2)
    context.set_ciphers("AES128-SHA")
    with counted(site.edge, {'tls_failures_total.reason="no-shared-cipher"': 1}):
        try:
            dial(site, context)
            check(False, "a cipher without forward secrecy was taken")
        except ssl.SSLError:
            pass


@case_table({
    "first certificate": ("www.example.com", "www.example.com"),
    "its second name": ("example.com", "www.example.com"),
    "in capitals": ("OTHER.example.ORG", "other.example.org"),
    "wildcard": ("a.wild.example.net", "*.wild.example.net"),
    "another of the wildcard": ("b.wild.example.net", "*.wild.example.net"),
    "the wildcard's parent": ("wild.example.net", "*.wild.example.net"),
})
def certificates_by_name(site, server_name, certificate):
    with dial(site, site.trust, server_name) as tls:    # which verifies the name
        check_in(certificate, names_of(tls))
        check_equal(get_over(tls, "/sni", server_name.lower()).status, 200)


@case_table({"unknown name": "unknown.example", "two labels below the wildcard": "a.b.wild.example.net",
             "no name": None})
def other_names_get_the_first_certificate(site, server_name):
    context = context_for(site, check_hostname=False)
    with dial(site, context, server_name) as tls:
        check_in("www.example.com", names_of(tls))


@case_table({"1.2": V.TLSv1_2, "1.3": V.TLSv1_3})
def sessions_resume_on_every_worker(site, version):
    context = context_for(site, minimum_version=version, maximum_version=version)
    with dial(site, context) as tls:
        get_over(tls)
        session = tls.session
        check(not tls.session_reused, "the first handshake is a full one")
    with counted(site.edge, {"tls_resumed_total": 8}):
        for _ in range(8):      # two workers: both have the ticket's key
            with dial(site, context, session=session) as tls:
                check(tls.session_reused, "the session is resumed")
                check_equal(get_over(tls).status, 200)
                session = tls.session


@case
def tickets_survive_a_reload(site):
    context = context_for(site)
    with dial(site, context) as tls:
        get_over(tls)
        session = tls.session
    site.edge.reload()
    with dial(site, context, session=session) as tls:
        check(tls.session_reused, "the session is resumed")


@case
def alpn_picks_http_2_where_it_is_offered(site):
    for offer, wanted in ((["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1")):
        context = context_for(site)
        context.set_alpn_protocols(offer)
        with dial(site, context) as tls:
            check_equal(tls.selected_alpn_protocol(), wanted)
    with dial(site, site.trust) as tls:
        check_equal(tls.selected_alpn_protocol(), None)


@case
def unknown_alpn_is_refused(site):
    context = context_for(site)
    context.set_alpn_protocols(["spdy/3"])
    try:
        with dial(site, context):
            check(False, "a protocol that we do not speak was agreed on")
    except ssl.SSLError as error:
        check_in("ALERT", str(error).upper())


@case_table({"garbage": (b"\0\1\2\3 this is no TLS\r\n\r\n", None), "a plain request": (b"GET / HTTP/1.1\r\n\r\n", "plain-http"),
             "an early end": (b"\x16\x03\x01\x02\x00\x01", "closed")})
def bad_handshakes(site, data, reason):
    with counted(site.edge, {"tls_failures_total" + (f'.reason="{reason}"' if reason else ""): 1}):
        with socket.create_connection((site.edge.address, site.edge.https_port), 5 * PATIENCE) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            try:
                while sock.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    check_equal(site.edge.https.get("/after-garbage").status, 200)


@case
def a_client_that_does_not_trust_us_is_counted(site):
    with counted(site.edge, {'tls_failures_total.reason="(peer-alert|closed)"': 1}):
        try:
            with dial(site, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)):   # trusts nobody
                check(False, "an unknown authority was trusted")
        except ssl.SSLError:
            pass


@case
def handshakes_in_single_bytes(site):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = site.trust.wrap_bio(incoming, outgoing, server_hostname=HOST)
    with socket.create_connection((site.edge.address, site.edge.https_port), 10 * PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def pump(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    for byte in outgoing.read():
                        sock.send(bytes([byte]))
                    data = sock.recv(65536)
                    check(data, "closed")
                    incoming.write(data)
        pump(tls.do_handshake)
        tls.write(f"GET /single HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        check_in(b"200 OK", pump(lambda: tls.read(65536)))


@case
def big_bodies_both_ways(site):
    def answer(x):
        x.send_head(200, {"Content-Length": str(BIG), "Cache-Control": "no-store"})
        stream_body(x.send, BIG)
    site.origin.on("/big", answer)
    with dial(site, site.trust) as tls:
        c = connection_over(tls)
        c.send_request("GET", "/big", HOST)
        c.read_head()
        check_equal(drink(tls, BIG, c.buffer), stream_hash(BIG))
        c.buffer = b""
        check_equal(c.request("POST", "/upload", HOST, (), BLOCK * 8).status, 200)
    check(site.origin.seen("/upload")[-1].body == BLOCK * 8, "the upload arrived whole")


@case
def a_slow_reader_stops_the_origin(site):
    sent = [0]

    def answer(x):
        x.send_head(200, {"Content-Length": str(BIG), "Cache-Control": "no-store"})
        stream_body(x.send, BIG, sent)
    site.origin.on("/slow", answer)
    with dial(site, site.trust) as tls:
        c = connection_over(tls)
        c.send_request("GET", "/slow", HOST)
        c.read_head()
        held = settled(lambda: sent[0], "the origin's progress")
        check(0 < held < BIG * 3 // 4, f"{held} bytes went to a reader that does not read")
        check_equal(drink(tls, BIG, c.buffer), stream_hash(BIG))


@case
def pipelined_requests_in_one_record(site):
    site.origin.serve("/record", b"r", cache_control="max-age=100")
    with dial(site, site.trust) as tls:
        c = connection_over(tls)
        for count in (3, 400):     # within one record, and over several
            c.send(f"GET /record HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode() * count)
            for _ in range(count):
                check_equal(c.read_response().body, b"r")


@case
def curl_agrees(site):
    for version, http, wanted in (("--tlsv1.2", "--http2", "200 2"), ("--tlsv1.3", "--http2", "200 2"),
                                  ("--tlsv1.3", "--http1.1", "200 1.1")):
        result = subprocess.run(
            ["curl", "-sS", version, http, "--cacert", site.certs.ca, "--connect-to",
             f"{HOST}:443:{site.edge.address}:{site.edge.https_port}", "-w", "%{http_code} %{http_version}",
             "-o", "/dev/null", f"https://{HOST}/curl"], capture_output=True, text=True, check=False,
            timeout=20 * PATIENCE)
        check_equal((result.stdout, result.stderr), (wanted, ""))


@case
def a_minimum_version_is_obeyed(site):
    site.edge.config["tls"]["min-version"] = "1.3"
    site.edge.reload()
    try:
        with dial(site, context_for(site)) as tls:
            check_equal(tls.version(), "TLSv1.3")
        try:
            dial(site, context_for(site, maximum_version=V.TLSv1_2))
            check(False, "TLS 1.2 was taken")
        except ssl.SSLError:
            pass
    finally:
        del site.edge.config["tls"]["min-version"]
        site.edge.reload()


# ---- Certificates that change

@case
def a_new_certificate_does_not_disturb_anybody(site):
    gate = threading.Event()

    def answer(x):
        x.send_head(200, {"Content-Length": str(BIG), "Cache-Control": "no-store"})
        stream_body(x.send, BIG // 2)
        gate.wait(30 * PATIENCE)
        stream_body(x.send, BIG // 2)
    site.origin.on("/during", answer)
    idle, busy = dial(site, site.trust), connection_over(dial(site, site.trust))
    silent = socket.create_connection((site.edge.address, site.edge.https_port), 10 * PATIENCE)
    old = idle.getpeercert()["serialNumber"]
    busy.send_request("GET", "/during", HOST)
    busy.read_head()
    site.edge.config["tls"]["certificates"][0] = site.certs.site("example.com", HOST)
    mark = site.edge.program.mark()
    site.edge.reload()
    for _ in range(3):      # the old contexts are gone for good
        site.edge.reload(by="gslbctl")
    with dial(site, site.trust) as tls:
        check(tls.getpeercert()["serialNumber"] != old, "new visitors see the new certificate")
    check_equal(get_over(idle, "/kept").status, 200, "the connection from before")
    gate.set()
    check_equal(drink(busy.sock, BIG, busy.buffer), stream_hash_of_halves())
    # It was accepted before the reload and shakes hands only now.
    with site.trust.wrap_socket(silent, server_hostname=HOST) as tls:
        check_equal(get_over(tls, "/silent").status, 200)
    check(not site.edge.program.log_lines("error", mark), "nothing went wrong")
    idle.close()
    busy.close()


def stream_hash_of_halves():
    digest = hashlib.sha256()
    for _ in range(2):
        stream_body(digest.update, BIG // 2)
    return digest.hexdigest()


@case
def a_bad_pair_is_refused_with_its_place(site):
    config = site.edge.config["tls"]["certificates"]
    good = dict(config[0])
    config[0]["key"] = site.certs.node("edge", "somebody-else")["key"]
    try:
        site.edge.write_config()
        result = site.edge.ctl("reload")
        check_equal(result.returncode, 1, "gslbctl's exit code")
        for text in (result.stdout + result.stderr, run_program(
                "edge-proxy", "-c", site.edge.config_path, "--check").stderr):
            check_in("error:", text)
            check_in("edge-1.yaml:", text)
            check_in("key", text)
        check_equal(site.edge.https.get("/still").status, 200)
    finally:
        config[0] = good
        site.edge.reload()


@case
def nothing_is_left_open(site):
    wait_connections(site.edge, 0)
    wait_until(lambda: site.edge.https.get("/last").status == 200, "the edge to serve")


main(build)
