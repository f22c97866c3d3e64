#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Behind load balancers that say whom they bring (PROXY protocol, versions 1 and 2): whom the header
names is the visitor; who is listed must send one, others may not."""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from dns_packets import PROXY_SIGNATURE, proxy_header  # noqa: E402
from edge_under_test import HOST, connections, counted, edge_site, logged, reset  # noqa: E402
from gslbtest import case, case_table, check, check_equal, free_port, main, wait_until  # noqa: E402
from h2_client import H2Client  # noqa: E402
from http_client import Connection  # noqa: E402

BALANCER, STRANGER = "127.0.0.71", "127.0.0.81"
VISITOR, VISITOR6, OTHER, DENIED, CROWD = ("203.0.113.7", "2001:db8:7::7", "192.0.2.7", "198.51.100.7",
                                           "192.0.2.99")
FAILED = r'proxy_header_failures_total\{reason="%s"'


def version_1(source):
    protocol, target = ("TCP6", "2001:db8::53") if ":" in source else ("TCP4", "192.0.2.53")
    return f"PROXY {protocol} {source} {target} 4660 53\r\n".encode()


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def with_checksum(source, error=0):
    start, end = b"\x03\x00\x04", b"\x04\x00\x03abc"
    zero = proxy_header(source, tlvs=start + bytes(4) + end)
    return proxy_header(source, tlvs=start + (crc32c(zero) ^ error).to_bytes(4, "big") + end)


HEADERS = {"v1": version_1, "v2": proxy_header, "v2_with_a_checksum": with_checksum}


def edit(config, site):
    site.ports = {"plain": free_port(), "tls": free_port(), "open": free_port()}
    strict = {"from": [BALANCER, "127.0.0.72/30"], "timeout": "1s"}
    config["listen"] += [
        {"address": f"127.0.0.1:{site.ports['plain']}", "proxy-protocol": strict},
        {"address": f"127.0.0.1:{site.ports['tls']}", "tls": True, "proxy-protocol": strict},
        {"address": f"127.0.0.1:{site.ports['open']}", "proxy-protocol": {"from": [BALANCER], "others": "serve"}},
    ]
    config["clients"] = {"max-connections": 40, "deny": [f"{DENIED}/32"]}
    config["trusted-proxies"] = [BALANCER]
    config["sites"][HOST] = {"routes": {"/": {"pool": "app", "cache": False},
                                        "/inside/": {"pool": "app", "allow": ["203.0.113.0/24"]}}}


def build():
    return edge_site(edit)


def connect(site, way, first, source=BALANCER, **how):
    ca = site.certs.ca if way == "tls" else None
    return Connection("127.0.0.1", site.ports[way], ca=ca, server_name=HOST, source=source, first=first, **how)


def seen_by_origin(site, path):
    """The X-Forwarded-For of the newest request for path."""
    return [r for r in site.origin.requests if r.target == path][-1].headers["x-forwarded-for"]


def get(site, way, first, path="/", headers=(), **how):
    with connect(site, way, first, **how) as c:
        return c.request("GET", path, HOST, headers)


# ---- Whom the header names

@case_table({f"{name} {visitor} {way}": (HEADERS[name], visitor, way)
             for name in HEADERS for visitor in (VISITOR, VISITOR6) for way in ("plain", "tls")})
def visitor_that_is_named_is_the_visitor(site, header, visitor, way):
    path = f"/named/{header.__name__}/{visitor}/{way}".replace(":", ".")
    with counted(site.edge, {r"^edge_proxy_headers_total": 1, FAILED % ".*": 0}):
        check_equal(get(site, way, header(visitor), path, {"X-Forwarded-For": "10.9.9.9"}).status, 200)
    check_equal(seen_by_origin(site, path), visitor)
    check_equal(logged(site.edge, path)["client"], visitor)


@case
def http_2_comes_behind_a_header_too(site):
    with H2Client(site.edge, site.certs.ca, port=site.ports["tls"], source=BALANCER,
                  first=version_1(VISITOR)) as c:
        check_equal([c.get(f"/h2/{n}").status for n in range(3)], [200] * 3)
    check_equal({seen_by_origin(site, f"/h2/{n}") for n in range(3)}, {VISITOR})


@case_table({f"{name} {way}": (HEADERS[name], way) for name in HEADERS for way in ("plain", "tls")})
def header_may_come_in_pieces(site, header, way):
    path = f"/pieces/{header.__name__}/{way}"
    with Connection("127.0.0.1", site.ports[way], source=BALANCER) as c:
        c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in header(VISITOR):
            c.send(bytes([byte]))
        if way == "tls":
            c.start_tls(site.certs.ca, HOST)
        check_equal(c.request("GET", path, HOST).status, 200)
    check_equal(seen_by_origin(site, path), VISITOR)


@case
def requests_right_behind_the_header_are_of_the_visitor(site):
    head = f"GET /behind HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    with connect(site, "plain", version_1(VISITOR) + head + head) as c:
        check_equal([c.read_response().status for _ in range(2)], [200, 200])
        check_equal(c.request("GET", "/behind", HOST).status, 200, "on the same connection")
    check_equal([r.headers["x-forwarded-for"] for r in site.origin.requests if r.target == "/behind"],
                [VISITOR] * 3)


@case_table({
    "v1 unknown": (b"PROXY UNKNOWN\r\n", "plain"),
    "v1 unknown with addresses": (b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n", "tls"),
    "v2 local": (proxy_header(VISITOR, command=0x20), "tls"),
    "v2 of no family": (PROXY_SIGNATURE + b"\x21\0\0\0", "plain"),
})
def balancer_speaks_for_itself(site, first, way):
    check_equal(get(site, way, first, "/itself").status, 200)
    check_equal(seen_by_origin(site, "/itself"), BALANCER)


# ---- Limits and networks are of the visitor

@case_table({"plain": ("plain",), "tls": ("tls",)})
def denied_visitor_is_closed_behind_any_balancer(site, way):
    with counted(site.edge, {r'refused_total\{reason="denied"': 1}):
        check(is_closed(site, way, proxy_header(DENIED)), "closed")


@case
def routes_have_networks_of_visitors(site):
    got = {visitor: get(site, "plain", version_1(visitor), "/inside/x").status for visitor in (VISITOR, OTHER)}
    check_equal(got, {VISITOR: 200, OTHER: 403})


@case
def connections_are_counted_by_visitor(site):
    """A balancer has more than a visitor may, and each of its visitors what a visitor may."""
    held = [connect(site, "plain", version_1(f"192.0.2.{n}")) for n in range(100, 145)]
    for c in held:
        check_equal(c.request("GET", "/", HOST).status, 200)
    crowd = [connect(site, "plain", proxy_header(CROWD)) for _ in range(40)]
    for c in crowd:
        check_equal(c.request("GET", "/", HOST).status, 200)
    with counted(site.edge, {r'refused_total\{reason="client-connections"': 1}):
        check(is_closed(site, "plain", version_1(CROWD)), "one too many")
    crowd.pop().close()
    wait_until(lambda: get(site, "plain", version_1(CROWD)).status == 200, "a free place")
    for c in held + crowd:
        c.close()


# ---- What is wrong

def is_closed(site, way, first, source=BALANCER):
    """Without a byte of an answer."""
    try:
        with socket.create_connection(("127.0.0.1", site.ports[way]), 20, source_address=(source, 0)) as sock:
            sock.sendall(first)
            return sock.recv(1) == b""
    except ConnectionResetError:
        return True


GET = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


@case_table({
    "none": ("plain", GET, "missing"),
    "none but a POST": ("plain", b"POST" + GET[3:], "missing"),
    "none before TLS": ("tls", b"\x16\x03\x01\x02\0\x01", "missing"),
    "v1 of another family": ("plain", b"PROXY UNIX a b 1 2\r\n" + GET, "malformed"),
    "v1 with a wrong address": ("tls", b"PROXY TCP4 192.0.2.1 192.0.2.300 1 2\r\n", "malformed"),
    "v1 that does not end": ("plain", b"PROXY UNKNOWN " + b"x" * 200, "malformed"),
    "v2 with half a TLV": ("plain", proxy_header(VISITOR, tlvs=b"\x04\x00\x09x") + GET, "malformed"),
    "v2 with a wrong checksum": ("tls", with_checksum(VISITOR, error=1), "malformed"),
    "v2 too long": ("plain", PROXY_SIGNATURE + b"\x21\x11\xff\xff", "malformed"),
    "v3": ("plain", PROXY_SIGNATURE + b"\x31\x11\0\x0c" + bytes(12), "malformed"),
})
def wrong_header_ends_the_connection(site, way, first, why):
    with counted(site.edge, {FAILED % why: 1, r"^edge_requests_total": 0, r"mischief_total": 0}):
        check(is_closed(site, way, first), "closed")


@case
def balancer_that_only_looks_is_no_error_of_the_visitors(site):
    """Load balancers check by connecting; and one goes with half a header."""
    with counted(site.edge, {FAILED % "closed": 3, r"mischief_total": 0}):
        for first in (b"", version_1(VISITOR)[:20], proxy_header(VISITOR)[:20]):
            connect(site, "plain", first).close()
        wait_until(lambda: connections(site.edge) == 0, "the ends")


@case
def balancer_that_resets_costs_nothing(site):
    c = connect(site, "plain", version_1(VISITOR)[:20])
    reset(c)
    wait_until(lambda: connections(site.edge) == 0, "the end")


@case_table({"nothing": (b"",), "half of v1": (b"PROXY TCP4",), "half of v2": (PROXY_SIGNATURE,)})
def header_has_a_deadline(site, first):
    with counted(site.edge, {FAILED % "timeout": 1}):
        start = time.monotonic()
        check(is_closed(site, "tls", first), "closed")
        check(time.monotonic() - start > 0.8, "not before its time")


# ---- Everybody else

@case_table({"with a header": (version_1(VISITOR) + GET,), "without": (GET,)})
def others_are_refused(site, first):
    with counted(site.edge, {r'refused_total\{reason="no-proxy"': 1, r"^edge_requests_total": 0}):
        check(is_closed(site, "plain", first, source=STRANGER), "closed")


@case
def others_are_served_where_they_may_come(site):
    check_equal(get(site, "open", b"", "/open", source=STRANGER).status, 200)
    check_equal(seen_by_origin(site, "/open"), STRANGER)
    check_equal(get(site, "open", version_1(VISITOR), "/open").status, 200)
    check_equal(seen_by_origin(site, "/open"), VISITOR)


@case_table({"v1": (version_1(VISITOR) + GET,), "v2": (proxy_header(VISITOR) + GET,)})
def others_are_not_believed(site, first):
    before = len(site.origin.requests)
    with connect(site, "open", first, source=STRANGER) as c:
        check_equal(c.read_response().status, 400)
    check_equal([r for r in site.origin.requests[before:] if r.target == "/"], [])


@case
def reload_changes_who_is_listed(site):
    usual = site.edge.config
    changed = {**usual, "listen": [dict(x) for x in usual["listen"]]}
    plain, strict_open = changed["listen"][2], changed["listen"][4]
    del plain["proxy-protocol"]
    strict_open["proxy-protocol"] = {"from": [STRANGER]}
    with connect(site, "plain", version_1(VISITOR)) as kept:
        check_equal(kept.request("GET", "/kept", HOST).status, 200)
        site.edge.config = changed
        site.edge.reload()
        try:
            check_equal(kept.request("GET", "/kept", HOST).status, 200, "an open connection goes on")
            check_equal(seen_by_origin(site, "/kept"), VISITOR)
            check_equal(get(site, "plain", b"", "/bare").status, 200)
            check_equal(seen_by_origin(site, "/bare"), BALANCER)
            check_equal(get(site, "open", version_1(OTHER), "/listed", source=STRANGER).status, 200)
            check_equal(seen_by_origin(site, "/listed"), OTHER)
            check(is_closed(site, "open", version_1(OTHER) + GET), "no longer listed")
        finally:
            site.edge.config = usual
            site.edge.reload()
    check(is_closed(site, "plain", GET), "listed again")


if __name__ == "__main__":
    main(build)
