#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Who may not use the control channel, and what strangers can cost: each is turned away with a
counted reason, and the node keeps serving."""
import contextlib
import os
import re
import socket
import ssl
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from fake_edge import (ChannelLink, client_context, enclose, field, frame, hello,  # noqa: E402
                       message, report, request, varint)
from fake_site import build_site  # noqa: E402
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, main,  # noqa: E402
                      run_program, wait_until)
from site_under_test import Certs, edge_state  # noqa: E402

DAY_S = 86400


def build():
    def edit(config):
        config["health"]["stale-after"] = f"{8 * PATIENCE}s"
        # Far from everybody, and without a fake edge of its own.
        config["regions"]["spare"] = {"location": [-80, 0], "edges": {"spare-1": ["127.0.0.99"]}}
    site = build_site(edit)
    site.strangers = Certs(site.path("other"))
    return site


def closes(site, reason):
    return site.dns.metrics()[f'gslb_channel_closes_total{{reason="{reason}"}}']


@contextlib.contextmanager
def counted(site, reason, times=1):
    """What happens inside ends links for this reason; the edges keep their links and the answers."""
    before = closes(site, reason)
    yield
    wait_until(lambda: closes(site, reason) >= before + times, f"{times} closes for {reason}")
    check_equal(closes(site, reason), before + times, reason)
    check_serving(site)


def check_serving(site):
    check_equal(site.dns.addresses("www.example.com", subnet="185.2.100.0/24"), {"127.0.0.11"})
    check_equal(edge_state(site.dns.status(), "eu-west-1"), "up")


def check_greeted(link):
    """What Hello is answered by: Welcome, and Commands with what to purge and with ticket keys."""
    got = [link.receive() for _ in range(3)]
    check_equal([list(body) for body in got], [[2], [5], [5]], "Welcome and Commands")
    check_equal([[number for number in body[5] if number != 1] for body in got[1:]], [[40], [20]],
                "actions")


def knock(site, **how):
    """Connects, says Hello and a Report, and reads until it is thrown out."""
    try:
        with ChannelLink(site.dns, **how) as link:
            link.send(frame(hello=hello()) + frame(report=report()))
            check(link.is_closed_by_peer(), "it was let in")
    except (ssl.SSLError, ConnectionError):
        pass


def odd_certificate(site, name, san, days="30", usage="clientAuth"):
    """A certificate of the site's own CA that make-certs would not make."""
    folder = site.certs.folder
    key, crt = site.path(f"{name}.key"), site.path(f"{name}.crt")
    san_line = f"subjectAltName={san}\n" if san else ""
    site.path("ext").write_text(f"extendedKeyUsage={usage}\n{san_line}")
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", key, "-subj", f"/CN={name}", "-out", site.path("csr")],
                   check=True, capture_output=True)
    subprocess.run(["openssl", "x509", "-req", "-in", site.path("csr"), "-CA", folder / "ca.crt",
                    "-CAkey", folder / "ca.key", "-set_serial", "77", "-days", days, "-out", crt,
                    "-extfile", site.path("ext")], check=True, capture_output=True)
    return {"certificate": str(crt), "key": str(key)}


# ---- Certificates

@case
def certificate_of_another_ca(site):
    with counted(site, "handshake"):
        knock(site, files=site.strangers.node("edge", "eu-west-1"))
    check(site.dns.program.log_lines(r"link closed: certificate: .*issuer"), site.dns.program.tail(5))


@case
def no_certificate(site):
    with counted(site, "handshake"):
        knock(site, files=None)


@case
def self_made_certificate(site):
    key, crt = site.path("self.key"), site.path("self.crt")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", key, "-out", crt, "-subj", "/CN=eu-west-1",
                    "-addext", "subjectAltName=URI:gslb://edge/eu-west-1"], check=True, capture_output=True)
    with counted(site, "handshake"):
        knock(site, files={"certificate": str(crt), "key": str(key)})


@case
def expired_certificate(site):
    # -days of x509 cannot lie in the past before OpenSSL 3.4; the CA's own way can.
    files = odd_certificate(site, "expired", "URI:gslb://edge/eu-west-1", days="-1")
    with counted(site, "handshake"):
        knock(site, files=files)


@case_table({"no name at all": (None, "no_identity"), "a host name": ("DNS:eu-west-1", "no_identity"),
             "another scheme": ("URI:https://edge/eu-west-1", "no_identity"),
             "unknown role": ("URI:gslb://king/eu-west-1", "no_identity"),
             "path in the name": ("URI:gslb://edge/../x", "no_identity"),
             "empty name": ("URI:gslb://edge/", "no_identity"),
             "a DNS node": ("URI:gslb://dns/eu-west-1", "wrong_role"),
             "an edge that is not listed": ("URI:gslb://edge/nobody", "unknown_name"),
             "case matters": ("URI:gslb://edge/EU-WEST-1", "unknown_name")})
def certificate_with_odd_identity(site, san, reason):
    name = "odd" + re.sub(r"\W", "", san or "none")
    with counted(site, reason):
        knock(site, files=odd_certificate(site, name, san))


@case
def certificate_for_servers_only(site):
    files = odd_certificate(site, "server", "URI:gslb://edge/eu-west-1", usage="serverAuth")
    with counted(site, "handshake"):
        knock(site, files=files)


@case
def tls_1_2(site):
    files = site.certs.node("edge", "eu-west-1")
    with counted(site, "handshake"):
        knock(site, context=client_context(files, ssl.TLSVersion.TLSv1_2))


@case_table({"HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "a frame": frame(hello=hello()),
             "zeros": bytes(1000), "half a record": b"\x16\x03\x01\x40\x00" + bytes(100)})
def plain_text(site, data):
    with counted(site, "handshake"):
        with ChannelLink(site.dns, is_plain=True) as link:
            try:
                link.send(data)
                link.sock.shutdown(socket.SHUT_WR)
                while link.sock.recv(100):
                    pass
            except OSError:
                pass        # closed on us already


@case
def stalled_handshake(site):
    with counted(site, "deadline", 3):
        links = [ChannelLink(site.dns, is_plain=True) for _ in range(3)]
        links[1].send(b"\x16")
        links[2].send(b"\x16\x03\x01\x02\x00\x01")
        check_serving(site)
        for link in links:
            link.sock.settimeout(8 * PATIENCE)
            check_equal(link.sock.recv(1), b"", "closed within the deadline of 5 s")
            link.close()


# ---- Frames

def edge_link(site, name="spare-1"):
    return ChannelLink(site.dns, site.certs.node("edge", name))


FRAMES = {
    "length of 4 GiB": (struct.pack("!I", 0xffffffff), "oversized"),
    "one byte above 1 MiB": (struct.pack("!I", (1 << 20) + 1), "oversized"),
    "not protobuf": (enclose(b"\xff" * 50), "malformed"),
    "cut varint": (enclose(b"\x08\xff"), "malformed"),
    "field longer than the frame": (enclose(varint(3 << 3 | 2) + varint(1000) + b"x"), "malformed"),
    "wire type 7": (enclose(b"\x1f"), "malformed"),
    "field number 0": (enclose(b"\x02\x00"), "malformed"),
    "a report with a wrong inside": (enclose(field(3, b"\x3a\xff\xff\xff\xff\x0f")), "malformed"),
    "a million empty origins": (enclose(field(3, field(8, b"") * 400000)), "malformed"),
    "an operator's request": (frame(request=request("drain", edge="us-east-1", is_on=True)), "unexpected"),
    "a reload": (frame(request=request("reload")), "unexpected"),
    "a node's welcome": (frame(welcome=message({1: 1})), "unexpected"),
    "a reply": (frame(reply=message({1: "x"})), "unexpected"),
    "a command": (frame(command=message({1: 1, 2: message({1: 1})})), "unexpected"),
}


@case_table(FRAMES)
def frame_of_an_edge(site, data, reason):
    before = closes(site, reason)
    with edge_link(site) as link:
        link.send(frame(hello=hello()) + data)
        check(link.is_closed_by_peer(), "it was accepted")
    wait_until(lambda: closes(site, reason) == before + 1, reason)
    check_serving(site)
    check_equal(edge_state(site.dns.status(), "us-east-1"), "up", "an edge cannot drain another")


@case
def frame_cut_in_the_middle(site):
    before = closes(site, "cut")
    with edge_link(site) as link:
        link.send(frame(report=report())[:-3])
        link.sock.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: closes(site, "cut") == before + 1, "cut")
    check_serving(site)


@case
def unknown_fields_are_skipped(site):
    """An edge of a newer version."""
    with edge_link(site) as link:
        link.send(enclose(field(99, "of a newer version")))
        link.send(frame(hello=hello() + field(77, "x") + field(78, 5)))
        link.send(frame(report=report(7) + field(200, b"\1\2\3") + field(201, 1)))
        check_greeted(link)
        check_equal(link.receive(), {4: {1: [7]}}, "Ack, with the sequence number")


@case
def frames_byte_by_byte(site):
    with edge_link(site) as link:
        for byte in frame(hello=hello()) + frame(report=report(9)):
            link.send(bytes([byte]))
        check_greeted(link)
        check_equal(link.receive()[4][1], [9])


@case
def many_frames_in_one_write(site):
    with edge_link(site) as link:
        link.send(frame(hello=hello()) + b"".join(frame(report=report(i)) for i in range(1, 2001)))
        check_greeted(link)
        check_equal([link.receive()[4][1][0] for _ in range(2000)], list(range(1, 2001)))


@case
def edge_that_never_reads(site):
    """Acks pile up: at 4 MiB the link is closed, and memory with it."""
    before = closes(site, "not_reading")
    with edge_link(site) as link:
        burst = frame(report=message({1: 1 << 62, 3: True})) * 2000
        try:
            for _ in range(1000):
                link.send(burst)
        except OSError:
            pass
    wait_until(lambda: closes(site, "not_reading") == before + 1, "it to be thrown out")
    check_serving(site)


@case
def operator_that_speaks_as_an_edge(site):
    files = site.certs.node("operator", "alice")
    for data in (frame(hello=hello()), frame(report=report(can_serve=False))):
        with counted(site, "unexpected"):
            with ChannelLink(site.dns, files) as link:
                link.send(data)
                check(link.is_closed_by_peer(), "it was accepted")


@case
def edge_certificate_is_no_operator(site):
    """gslbctl with an edge's certificate."""
    files = site.certs.node("edge", "ap-northeast-1")
    before = closes(site, "unexpected")
    result = run_program("gslbctl", "-S", f"127.0.0.1:{site.dns.control_port}", "--certificate",
                         files["certificate"], "--key", files["key"], "--ca", files["ca"],
                         "drain", "us-east-1")
    check_equal(result.returncode, 3, result.stderr)
    check_in("operator", result.stderr)
    wait_until(lambda: closes(site, "unexpected") == before + 1, "it to be counted")
    check_equal(edge_state(site.dns.status(), "us-east-1"), "up")


@case
def nobody_may_say_who_it_is(site):
    """An edge's name is that of its certificate: a report cannot speak for another edge."""
    with edge_link(site) as link:
        link.send(frame(hello=hello() + field(3, "eu-west-1")) +
                  frame(report=report(1, can_serve=False, reason="I am eu-west-1")))
        link.receive()
        site.wait_edge("spare-1", "down")
        check_serving(site)


@case
def crowd_of_strangers_does_not_push_out_the_edges(site):
    before = [fake.connects for fake in site.fakes[:2]]
    crowd = []
    try:
        for _ in range(400):
            crowd.append(ChannelLink(site.dns, is_plain=True))
        wait_until(lambda: closes(site, "limit") > 100, "the oldest strangers to be dropped")
        check_serving(site)
        check_equal([fake.connects for fake in site.fakes[:2]], before, "edges keep their links")
        check_in("spare-1", site.ctl("status").stdout, "operators get in")
    finally:
        for link in crowd:
            link.close()


@case
def warnings_are_rare(site):
    lines = site.dns.program.log_lines("link closed")
    check(3 < len(lines) < 120, f"{len(lines)} lines")
    check(site.dns.program.log_lines(r"link closed: .* remote=127\.0\.0\.1:\d+"), "who it was")


@case
def renewed_certificate_takes_effect_by_a_reload(site):
    before = site.dns.metrics()["gslb_channel_certificate_expires_seconds"]
    check(300 * DAY_S < before < 400 * DAY_S, f"{before} s")
    site.certs.make("-t", "800", "renew", "ns1")
    connects = [fake.connects for fake in site.fakes]
    site.dns.reload()
    check(site.dns.metrics()["gslb_channel_certificate_expires_seconds"] > 700 * DAY_S, "the new one")
    check_equal([fake.connects for fake in site.fakes], connects, "links stay")
    check_serving(site)


@case
def ca_that_is_taken_back_ends_the_links_it_let_in(site):
    """As make-certs --help has it: both CAs for a while, then the new one alone."""
    both = site.path("both.crt")
    both.write_text(site.certs.ca.read_text() + site.strangers.ca.read_text())
    control = site.dns.config["control"]
    own = control["ca"]
    control["ca"] = str(both)
    site.dns.reload()
    connects = [fake.connects for fake in site.fakes]
    with ChannelLink(site.dns, site.strangers.node("edge", "spare-1")) as link:
        link.send(frame(hello=hello()) + frame(report=report()))
        wait_until(lambda: edge_state(site.dns.status(), "spare-1") in ("up", "rising"), "it to be let in")
        control["ca"] = own
        with counted(site, "untrusted"):
            site.dns.reload()
            check(link.is_closed_by_peer(), "its link lives on")
    check_equal([fake.connects for fake in site.fakes], connects, "the others' links stay")


main(build)
