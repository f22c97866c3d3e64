#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""DNS over TLS and over HTTPS: what stock clients see, what is refused, and what is counted; peers
that stall, flood or go away; certificates that are exchanged while clients are connected."""
import base64
import os
import pathlib
import shutil
import socket
import ssl
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.message  # noqa: E402

from dns_client import addresses_of, read_tcp_message, tcp_frame  # noqa: E402
from dns_packets import COOKIE, PADDING, ecs, opt, option, packet, question  # noqa: E402
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, free_port,  # noqa: E402
                      main, run_program, wait_until)
from site_under_test import Site  # noqa: E402

NAME, WANTED = "static.example.com", "192.0.2.80"
HOST = "ns1.example.net"


def build():
    site = Site()
    site.tls_port, site.https_port = free_port(), free_port()
    pair = site.certs.site(HOST)
    site.pair = {kind: site.path(f"dns.{kind}") for kind in pair}
    for kind, path in pair.items():
        shutil.copy(path, site.pair[kind])

    def edit(config):
        config["listen-tls"] = [f"127.0.0.1:{site.tls_port}"]
        config["listen-https"] = [f"127.0.0.1:{site.https_port}"]
        config["tls"] = {"certificates": [{kind: str(path) for kind, path in site.pair.items()}]}
        config["tcp"] = {"threads": 2, "idle-timeout": "5s", "max-connections": 4000}
    site.add_dns("ns1", edit)
    site.start()
    return site


def trust(site, *protocols):
    context = ssl.create_default_context(cafile=str(site.certs.ca))
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def dial(site, port, *protocols, session=None, context=None):
    sock = socket.create_connection(("127.0.0.1", port), 10 * PATIENCE)
    return (context or trust(site, *protocols)).wrap_socket(sock, server_hostname=HOST,
                                                            session=session)


def query(name=NAME, rdtype="A", **how):
    return dns.message.make_query(name, rdtype, **how).to_wire()


def run(*argv, stdin=None):
    return subprocess.run(argv, capture_output=True, timeout=30 * PATIENCE, input=stdin, check=False)


def kdig(site, port, *args):
    result = run("kdig", "@127.0.0.1", "-p", str(port), "+noidn", *args, NAME, "A")
    check_equal(result.returncode, 0, result.stderr.decode())
    return result.stdout.decode()


def curl(site, target, *args, post=None):
    """(status, fields, body) of a request over HTTP/2."""
    argv = ["curl", "-s", "--http2", "--cacert", str(site.certs.ca), "-D", "-", "--resolve",
            f"{HOST}:{site.https_port}:127.0.0.1", *args]
    if post is not None:
        argv += ["--data-binary", "@-"]
    result = run(*argv, f"https://{HOST}:{site.https_port}{target}", stdin=post)
    check_equal(result.returncode, 0, f"curl {args} {target}: {result.stderr}")
    head, _, body = result.stdout.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    check_in("HTTP/2", lines[0])
    return int(lines[0].split()[1]), fields, body


def encode(wire):
    return base64.urlsafe_b64encode(wire).decode().rstrip("=")


def dig(site, port, *args):
    result = run("dig", "@127.0.0.1", "-p", str(port), "+tries=1", "+short", f"+tls-ca={site.certs.ca}",
                 f"+tls-hostname={HOST}", *args, NAME, "A")
    check_equal(result.returncode, 0, result.stdout.decode() + result.stderr.decode())
    return result.stdout.decode().split()


# ---- DNS over TLS ----

@case
def dig_over_tls(site):
    check_equal(dig(site, site.tls_port, "+tls"), [WANTED])


@case
def kdig_over_tls(site):
    text = kdig(site, site.tls_port, "+tls-ca=" + str(site.certs.ca),
                "+tls-hostname=" + HOST, "+short")
    check_equal(text.split(), [WANTED])


@case_table({
    "tls_1_2": (ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
    "tls_1_3": (ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
})
def versions(site, version, wanted):
    context = trust(site, "dot")
    context.minimum_version = context.maximum_version = version
    with dial(site, site.tls_port, context=context) as tls:
        check_equal(tls.version(), wanted)
        check_equal(tls.selected_alpn_protocol(), "dot")
        tls.sendall(tcp_frame(query()))
        check_equal(addresses_of(dns.message.from_wire(read_tcp_message(tls))), {WANTED})


@case
def many_queries_in_one_write_and_byte_by_byte(site):
    before = site.dns.metrics()['gslb_dns_queries_total{transport="tls",family="4"}']
    with dial(site, site.tls_port) as tls:
        tls.sendall(tcp_frame(query()) * 2000)
        for _ in range(2000):
            check_equal(addresses_of(dns.message.from_wire(read_tcp_message(tls))), {WANTED})
        for byte in tcp_frame(query()):
            tls.send(bytes([byte]))
        check_equal(addresses_of(dns.message.from_wire(read_tcp_message(tls))), {WANTED})
        check_equal(site.dns.metrics()['gslb_dns_tcp_connections{transport="tls"}'], 1)
    after = site.dns.metrics()['gslb_dns_queries_total{transport="tls",family="4"}']
    check_equal(after - before, 2001)


@case
def sessions_are_resumed(site):
    before = site.dns.metrics()['gslb_dns_tls_handshakes_total{outcome="resumed"}']
    context = trust(site, "dot")
    with dial(site, site.tls_port, context=context) as tls:
        tls.sendall(tcp_frame(query()))
        read_tcp_message(tls)
        session = tls.session
    with dial(site, site.tls_port, context=context, session=session) as tls:
        check(tls.session_reused, "the ticket is taken")
        tls.sendall(tcp_frame(query()))
        read_tcp_message(tls)
    check_equal(site.dns.metrics()['gslb_dns_tls_handshakes_total{outcome="resumed"}'], before + 1)


@case_table({
    "tls_with_another_protocol": ("tls_port", ["http/1.1"]),
    "https_with_http_1_1": ("https_port", ["http/1.1"]),
})
def other_protocols_are_refused(site, port, protocols):
    row = 'gslb_dns_tls_handshakes_total{outcome="wrong_protocol"}'
    before = site.dns.metrics()[row]
    try:
        dial(site, getattr(site, port), *protocols).close()
    except ssl.SSLError as e:
        check_in("ALERT_NO_APPLICATION_PROTOCOL", str(e).upper().replace(" ", "_"))
    else:
        raise AssertionError("taken")
    wait_until(lambda: site.dns.metrics()[row] == before + 1, "the refusal to be counted")


@case
def https_without_alpn_is_closed(site):
    row = 'gslb_dns_tls_handshakes_total{outcome="wrong_protocol"}'
    before = site.dns.metrics()[row]
    with dial(site, site.https_port) as tls:
        check_equal(tls.recv(1), b"")
    check_equal(site.dns.metrics()[row], before + 1)


@case
def garbage_and_silence_in_place_of_a_handshake(site):
    failed = 'gslb_dns_tls_handshakes_total{outcome="failed"}'
    timeout = 'gslb_dns_tls_handshakes_total{outcome="timeout"}'
    before = site.dns.metrics()
    with socket.create_connection(("127.0.0.1", site.tls_port), 10 * PATIENCE) as sock:
        sock.sendall(tcp_frame(query()) * 10)
        while sock.recv(100):
            pass
    wait_until(lambda: site.dns.metrics()[failed] == before[failed] + 1, "the failure's count")
    with socket.create_connection(("127.0.0.1", site.tls_port), 20 * PATIENCE) as sock:
        check_equal(sock.recv(1), b"", "closed after the deadline")
    wait_until(lambda: site.dns.metrics()[timeout] == before[timeout] + 1, "the deadline's count")


@case
def established_connections_live_through_a_flood_of_handshakes(site):
    with dial(site, site.tls_port) as tls:
        floods = []
        for _ in range(60):
            sock = socket.create_connection(("127.0.0.1", site.tls_port), 10 * PATIENCE)
            sock.sendall(b"\x16\x03\x01")
            floods.append(sock)
        tls.sendall(tcp_frame(query()))
        check_equal(addresses_of(dns.message.from_wire(read_tcp_message(tls))), {WANTED})
        for sock in floods:
            sock.close()


@case
def resets_at_each_step_leave_nothing(site):
    def reset(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    for step in range(4):
        if step == 0:
            reset(socket.create_connection(("127.0.0.1", site.tls_port), 10))
            continue
        tls = dial(site, site.https_port if step == 3 else site.tls_port,
                   *(["h2"] if step == 3 else []))
        if step == 2:
            tls.sendall(tcp_frame(query()) * 100)
        if step == 3:
            tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        reset(tls)
    wait_until(lambda: site.dns.metrics()['gslb_dns_tcp_connections{transport="tls"}'] == 0 and
               site.dns.metrics()['gslb_dns_tcp_connections{transport="https"}'] == 0,
               "all connections to be gone")


@case_table({"tls": ("tls_port", "dot"), "https": ("https_port", "h2")})
def certificates_change_without_a_restart(site, port, protocol):
    """Connections go on with what they began with, new ones see the new certificate."""
    new = site.certs.site(f"renewed-{protocol}.example.net", HOST)
    old = {kind: pathlib.Path(path).read_bytes() for kind, path in site.pair.items()}
    pid = site.dns.program.pid

    def is_answered(connection):
        return connection.recv(9)[3] == 4 if protocol == "h2" else \
            addresses_of(dns.message.from_wire(read_tcp_message(connection))) == {WANTED}
    with dial(site, getattr(site, port), protocol) as tls:
        shown = tls.getpeercert(binary_form=True)
        for kind, path in new.items():
            shutil.copy(path, site.pair[kind])
        site.dns.reload()
        tls.sendall(PREFACE if protocol == "h2" else tcp_frame(query()))
        check(is_answered(tls), "the old connection is served")
        with dial(site, getattr(site, port), protocol) as other:
            check(other.getpeercert(binary_form=True) != shown, "the new certificate is shown")
    check_equal(kdig(site, site.tls_port, "+tls-ca=" + str(site.certs.ca), "+tls-hostname=" + HOST,
                     "+short").split(), [WANTED])
    check_equal(curl(site, "/dns-query?dns=" + encode(query(id=0)))[0], 200)
    for kind, data in old.items():
        pathlib.Path(site.pair[kind]).write_bytes(data)
    site.dns.reload()
    check_equal(site.dns.program.pid, pid, "the same process")


@case
def key_of_another_certificate_is_refused(site):
    key = pathlib.Path(site.pair["key"])
    good = key.read_bytes()
    shutil.copy(site.certs.site("other.example.org")["key"], key)
    result = site.dns.ctl("reload")
    check(result.returncode != 0, "refused")
    check_in("does not belong to the certificate", result.stderr + result.stdout)
    check_equal(kdig(site, site.tls_port, "+tls", "+short").split(), [WANTED])
    result = run_program("gslb-dns", "--check", "-c", str(site.dns.config_path))
    check(result.returncode != 0, "by --check too")
    check_in("does not belong to the certificate", result.stderr)
    key.write_bytes(good)
    site.dns.reload()


# ---- DNS over HTTPS ----

@case_table({"post": ([],), "get": (["+https-get"],)})
def kdig_over_https(site, args):
    text = kdig(site, site.https_port, "+https=/dns-query", *args, "+short")
    check_equal(text.split(), [WANTED])


@case_table({"post": ("+https",), "get": ("+https-get",), "named": ("+https=/dns-query",)})
def dig_over_https(site, how):
    check_equal(dig(site, site.https_port, how), [WANTED])


@case
def curl_resolves_by_doh_url(site):
    """curl looks a host up here (A and AAAA, by POST), and fetches a page from the address it got:
    the metrics, whose port is on loopback."""
    row = 'gslb_dns_queries_total{transport="https",family="4"}'
    before = site.dns.metrics()[row]
    port = site.dns.config["metrics"].rpartition(":")[2]
    result = run("curl", "-s", "--cacert", str(site.certs.ca),
                 "--doh-url", f"https://{HOST}:{site.https_port}/dns-query",
                 "--resolve", f"{HOST}:{site.https_port}:127.0.0.1",
                 f"http://ns1.example.com:{port}/metrics")
    check_equal(result.returncode, 0, result.stderr.decode())
    check_in("gslb_dns_queries_total", result.stdout.decode())
    check(site.dns.metrics()[row] - before >= 1, "it asked here")


@case
def get_is_answered_with_its_freshness(site):
    status, fields, body = curl(site, "/dns-query?dns=" + encode(query(id=0)))
    message = dns.message.from_wire(body)
    check_equal((status, fields["content-type"], int(fields["content-length"])),
                (200, "application/dns-message", len(body)))
    check_equal((message.id, addresses_of(message)), (0, {WANTED}))
    check_equal(fields["cache-control"], f"private, max-age={message.answer[0].ttl}")


@case
def negative_answers_are_fresh_for_as_long_as_the_soa_says(site):
    _, fields, body = curl(site, "/dns-query?dns=" + encode(query("none.example.com", id=0)))
    soa = dns.message.from_wire(body).authority[0]
    check_equal(fields["cache-control"], f"private, max-age={min(soa.ttl, soa[0].minimum)}")


@case
def refused_answers_are_not_stored(site):
    status, fields, _ = curl(site, "/dns-query?dns=" + encode(query("elsewhere.test", id=0)))
    check_equal((status, fields["cache-control"]), (200, "no-store"))


TYPE = ["-H", "Content-Type: application/dns-message"]


@case_table({
    "post": ("/dns-query", TYPE, query(), 200),
    "head": ("/dns-query?dns=" + encode(query(id=0)), ["-I"], None, 200),
    "other_parameters_are_ignored": ("/dns-query?a=b&dns=" + encode(query(id=0)), [], None, 200),
    "elsewhere": ("/", [], None, 404),
    "below": ("/dns-query/x", [], None, 404),
    "nothing_asked": ("/dns-query", [], None, 400),
    "twice": ("/dns-query?dns=AAAA&dns=AAAA", [], None, 400),
    "padded": ("/dns-query?dns=" + base64.urlsafe_b64encode(query() + b"\0" * (2 - len(query()) % 3)
                                                            ).decode() + "=", [], None, 400),
    "standard_base64": ("/dns-query?dns=AA+/", [], None, 400),
    "no_dns_message": ("/dns-query?dns=AAAA", [], None, 400),
    "delete": ("/dns-query", ["-X", "DELETE"], None, 405),
    "wrong_type": ("/dns-query", ["-H", "Content-Type: text/plain"], query(), 415),
    "too_long_a_body": ("/dns-query", TYPE, b"x" * 65536, 413),
    "too_long_a_target": ("/dns-query?dns=" + "A" * 20000, [], None, 414),
    "too_many_fields": ("/dns-query", ["-H", "X: " + "a" * 20000], None, 431),
    "a_response": ("/dns-query", TYPE, query()[:2] + b"\x80" + query()[3:], 400),
})
def statuses(site, target, args, post, wanted):
    status, fields, _ = curl(site, target, *args, post=post)
    check_equal(status, wanted)
    if wanted == 405:
        check_equal(fields["allow"], "get, head, post")


@case
def transfers_are_not_served(site):
    _, _, body = curl(site, "/dns-query?dns=" + encode(query("example.com", "AXFR", id=0)))
    if body:
        check(not dns.message.from_wire(body).answer, "no records")


@case
def one_connection_many_requests(site):
    target = f"https://{HOST}:{site.https_port}/dns-query?dns=" + encode(query(id=0))
    opened = 'gslb_dns_tcp_opened_total'
    before = site.dns.metrics()[opened]
    result = run("curl", "-s", "--http2", "--parallel", "--cacert", str(site.certs.ca), "--resolve",
                 f"{HOST}:{site.https_port}:127.0.0.1", "-w", "%{http_code}\n",
                 *["-o", "/dev/null", target] * 100)
    check_equal(result.stdout.decode().split(), ["200"] * 100, result.stderr.decode())
    check(site.dns.metrics()[opened] - before < 100, "requests share connections")


# ---- what both have that plain transports have not ----

@case_table({"tls": "tls", "post": "post", "get": "get"})
def check_41_padded_queries_get_padded_answers(site, how):
    """Blocks of 468 bytes (RFC 8467 section 4.1), whatever the answer; unasked, nothing."""
    def answer(*options, name=NAME, flags=0):
        asked = packet(opt(*options, flags=flags), body=question(name))
        if how == "tls":
            with dial(site, site.tls_port) as tls:
                tls.sendall(tcp_frame(asked))
                return read_tcp_message(tls)
        if how == "post":
            return curl(site, "/dns-query", *TYPE, post=asked)[2]
        return curl(site, "/dns-query?dns=" + encode(asked))[2]
    for name, rcode in ((NAME, 0), ("none.example.com", 3), ("elsewhere.test", 5)):
        for options in ((), (option(COOKIE, b"12345678"), ecs(1, 24, b"\1\2\3"))):
            got = answer(option(PADDING), *options, name=name, flags=0x8000)
            message = dns.message.from_wire(got)
            check_equal((len(got) % 468, message.rcode()), (0, rcode), name)
            padding = [o.to_wire() for o in message.options if int(o.otype) == PADDING]
            check_equal(len(padding), 1)
            check(not any(padding[0]), "zeros: RFC 7830 section 3")
    check_equal(list(dns.message.from_wire(answer()).options), [], "unasked")


# ---- floods over HTTP/2, by hand ----

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + \
        struct.pack(">I", stream) + payload


def get_headers(stream):
    path = b"/dns-query?dns=" + encode(query(id=0)).encode()
    block = b"\x82\x87" + b"\x04" + bytes([len(path)]) + path + b"\x01" + bytes([len(HOST)]) + \
        HOST.encode()
    return frame(1, 5, stream, block)


def reset_after(stream):
    return get_headers(stream) + frame(3, 0, stream, struct.pack(">I", 8))


def made_to_reset(stream):      # CVE-2025-8671: the window overflows, so that we must reset
    return get_headers(stream) + frame(8, 0, stream, struct.pack(">I", 0x7fffffff))


def endless_headers(stream):
    return frame(1, 0 if stream > 1 else 1, 1, b"\x82") if stream == 1 else frame(9, 0, 1, b"")


@case_table({
    "ping": (lambda i: frame(6, 0, 0, b"12345678"), "flood"),
    "settings": (lambda i: frame(4, 0, 0), "flood"),
    "rapid_reset": (reset_after, "flood"),
    "made_you_reset": (made_to_reset, "flood"),
    "continuation": (endless_headers, None),
    "window_updates": (lambda i: frame(8, 0, 0, struct.pack(">I", 1)), "flood"),
})
def floods_end_the_connection(site, make, reason):
    row = f'gslb_dns_tcp_closed_total{{reason="{reason}"}}'
    before = site.dns.metrics().get(row)
    with dial(site, site.https_port, "h2") as tls:
        try:
            tls.sendall(PREFACE)
            for i in range(0, 4000, 50):
                tls.sendall(b"".join(make(2 * k + 1) for k in range(i, i + 50)))
            while tls.recv(65536):
                pass
        except (OSError, ssl.SSLError):
            pass
    if reason:
        wait_until(lambda: site.dns.metrics()[row] == before + 1, "the flood to be counted")
    wait_until(lambda: site.dns.metrics()['gslb_dns_tcp_connections{transport="https"}'] == 0,
               "the connection to be gone")
    check_equal(curl(site, "/dns-query?dns=" + encode(query(id=0)))[0], 200, "others are served")


@case
def client_that_opens_no_window_is_closed(site):
    with dial(site, site.https_port, "h2") as tls:
        tls.sendall(PREFACE[:24] + frame(4, 0, 0, struct.pack(">HI", 4, 0)) + get_headers(1))
        tls.settimeout(20 * PATIENCE)
        while tls.recv(65536):
            pass
    check_equal(site.dns.metrics()['gslb_dns_tcp_connections{transport="https"}'], 0)


if __name__ == "__main__":
    main(build)
