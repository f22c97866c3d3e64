#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Origins that are told whom each connection brings (send-proxy, PROXY protocol 1 and 2): before TLS
too, and on no connection that another visitor has."""
import os
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from dns_packets import proxy_header  # noqa: E402
from edge_under_test import HOST, counted, edge_site  # noqa: E402
from gslbtest import case, case_table, check, check_equal, free_port, has_ipv6, main, wait_until  # noqa: E402
from h2_client import H2Client  # noqa: E402
from http_client import Connection  # noqa: E402
from origin import Origin  # noqa: E402

BALANCER, ANN, BOB = "127.0.0.71", "127.0.0.72", "127.0.0.73"
POOLS = {"v1": (1, False), "v2": (2, False), "v1-tls": (1, True), "v2-tls": (2, True)}
CHECK = {"path": "/health", "interval": "200ms", "timeout": "200ms", "rise": 1, "fall": 2}


def edit(config, site):
    site.port, site.port6 = free_port(), free_port()
    config["listen"].append({"address": f"127.0.0.1:{site.port}", "proxy-protocol": [BALANCER]})
    if has_ipv6():
        config["listen"].append(f"[::1]:{site.port6}")
    for name, (version, is_tls) in POOLS.items():
        pool = {"origins": [site.told[name].address], "send-proxy": f"v{version}", "check": CHECK,
                "idle-timeout": "60s"}
        if is_tls:
            pool["tls"] = {"ca": str(site.certs.ca), "server-name": HOST}
        config["pools"][name] = pool
    config["sites"][HOST]["routes"] = {
        "/": "app", "/cached/": "v2", **{f"/{name}/": {"pool": name, "cache": False} for name in POOLS}}


def add_origins(site):
    pair = site.certs.site(HOST, "example.com")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair["certificate"], pair["key"])
    site.told = {name: Origin(name, tls_context=context if is_tls else None, is_proxied=True)
                 for name, (_, is_tls) in POOLS.items()}


def build():
    return edge_site(edit, build=add_origins)


def newest(site, pool, path):
    return site.told[pool].seen(path)[-1]


@case_table({name: (name,) for name in POOLS})
def origin_learns_the_visitor(site, pool):
    for visitor in (ANN, BOB):
        check_equal(site.edge.get(f"/{pool}/a", source=visitor).status, 200)
        check_equal(newest(site, pool, f"/{pool}/a").proxied, (POOLS[pool][0], visitor, "127.0.0.1"))


@case_table({name: (name,) for name in POOLS})
def over_ipv6_too(site, pool):
    if not has_ipv6():
        return
    with Connection("::1", site.port6) as c:
        check_equal(c.request("GET", f"/{pool}/b", HOST).status, 200)
    check_equal(newest(site, pool, f"/{pool}/b").proxied, (POOLS[pool][0], "::1", "::1"))


@case_table({name: (name,) for name in POOLS})
def whom_a_balancer_named_is_named_on(site, pool):
    with Connection("127.0.0.1", site.port, source=BALANCER, first=proxy_header("203.0.113.7")) as c:
        check_equal(c.request("GET", f"/{pool}/c", HOST).status, 200)
    check_equal(newest(site, pool, f"/{pool}/c").proxied, (POOLS[pool][0], "203.0.113.7", "192.0.2.53"))


@case_table({name: (name,) for name in POOLS})
def one_connection_is_one_visitor_s(site, pool):
    path = f"/{pool}/d"
    with site.edge.http.connect(source=ANN) as ann, site.edge.http.connect(source=BOB) as bob:
        for c in (ann, bob, ann, bob):
            check_equal(c.request("GET", path, HOST).status, 200)
    seen = [(r.proxied[1], r.connection_id) for r in site.told[pool].seen(path)]
    check_equal([visitor for visitor, _ in seen], [ANN, BOB, ANN, BOB])
    check(seen[0] == seen[2] and seen[1] == seen[3], f"each keeps its own: {seen}")
    check(seen[0][1] != seen[1][1], f"not the other's: {seen}")


@case
def two_connections_of_a_visitor_are_two(site):
    """The port is part of what the header says."""
    for _ in range(3):
        check_equal(site.edge.get("/v2/e", source=ANN).status, 200)
    check_equal(len({r.connection_id for r in site.told["v2"].seen("/v2/e")}), 3)


@case
def streams_of_http_2_are_one_visitor_s(site):
    with H2Client(site.edge, site.certs.ca, source=ANN) as c:
        check_equal([c.get("/v1/f").status for _ in range(3)], [200] * 3)
    check_equal({r.proxied[1] for r in site.told["v1"].seen("/v1/f")}, {ANN})


@case
def what_is_cached_names_who_asked_first(site):
    site.told["v2"].serve("/cached/g", b"page", cache_control="max-age=60")
    check_equal([site.edge.get("/cached/g", source=v).text for v in (ANN, BOB)], ["page", "page"])
    check_equal([r.proxied[1] for r in site.told["v2"].seen("/cached/g")], [ANN])


@case_table({name: (name,) for name in POOLS})
def checks_bring_nobody(site, pool):
    """And origins that want a header are up."""
    wait_until(lambda: (POOLS[pool][0], None, None) in site.told[pool].proxy_headers, "a check")
    with counted(site.edge, {"edge_upstream_errors_total": 0}):
        check_equal(site.edge.get(f"/{pool}/h").status, 200)


@case
def pool_without_it_sends_none(site):
    check_equal(site.edge.get("/plain", source=ANN).status, 200)
    check_equal(site.origin.seen("/plain")[-1].proxied, None)


@case
def a_reload_that_begins_to_tell_tells_open_connections_too(site):
    """Where such a visitor came to is not known any more, who it is is."""
    usual = site.edge.config
    silent = {**usual, "pools": {name: {k: v for k, v in pool.items() if k != "send-proxy"}
                                 for name, pool in usual["pools"].items() if name != "v1"}}
    silent["pools"]["v1"] = {**usual["pools"]["v1"]}
    del silent["pools"]["v1"]["send-proxy"]
    site.edge.config = silent
    site.edge.reload()
    try:
        with site.edge.http.connect(source=ANN) as c:
            check_equal(c.request("GET", "/", HOST).status, 200)
            site.edge.config = usual
            site.edge.reload()
            wait_until(lambda: c.request("GET", "/v2/i", HOST).status == 200, "the origin to be up again")
        check_equal(newest(site, "v2", "/v2/i").proxied, (2, ANN, "0.0.0.0"))
    finally:
        site.edge.config = usual
        site.edge.reload()


if __name__ == "__main__":
    main(build)
