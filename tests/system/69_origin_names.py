#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Origins by name: resolved at the start and again and again, raced or balanced, kept when the name
servers fail, and down when the name is gone."""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, edge_site  # noqa: E402
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, free_port, has_ipv6, main,  # noqa: E402
                      stays_true, wait_until)
from name_server import NameServer  # noqa: E402
from origin import Origin  # noqa: E402

HOSTS = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
NAME = "app.test"


def build(**pool):
    """An edge before NAME, whose three addresses answer on one port."""
    port, server = free_port(), NameServer()
    server.set(NAME, a=HOSTS[:1], ttl=1)

    def more(site):
        site.server = server
        site.named = [Origin(host, host=host, port=port) for host in HOSTS]
        site.origins.extend(site.named)

    def edit(config, site):
        config["workers"] = 2
        config["resolver"] = {"servers": [server.address], "timeout": "200ms", "tries": 1,
                              "min-ttl": "100ms", "negative-hold": "1s", "start-timeout": "1s",
                              **pool.pop("resolver", {})}
        config["pools"]["app"] = {"origins": [{"address": f"{NAME}:{port}", **pool.pop("origin", {})}],
                                  "keep-idle": 0, **pool}
        config["sites"][HOST]["routes"] = {"/": {"pool": "app", "cache": False}}
    return edge_site(edit, origins=0, build=more)


def asked(site, count=12):
    return {site.edge.get("/").header("x-origin") for _ in range(count)}


def state(site):
    status = site.edge.ctl("status", "--json")
    import json
    edge = json.loads(status.stdout)
    found = []

    def walk(x):
        if isinstance(x, dict):
            if "addresses" in x and "pool" in x:
                found.append(x)
            for y in x.values():
                walk(y)
        elif isinstance(x, list):
            for y in x:
                walk(y)
    walk(edge)
    check(found, f"no origins in {status.stdout}")
    return found


def addresses(site):
    return {a.rpartition(":")[0] for origin in state(site) for a in origin["addresses"]}


def settle(site):
    """As every case finds it."""
    site.server.set(NAME, a=HOSTS[:1], ttl=1)
    wait_until(lambda: addresses(site) == set(HOSTS[:1]), "the first address alone")


@case
def a_new_address_is_followed(site):
    settle(site)
    check_equal(asked(site), {HOSTS[0]})
    site.server.set(NAME, a=[HOSTS[1]], ttl=1)
    wait_until(lambda: asked(site, 2) == {HOSTS[1]}, "requests to go to the new address")
    check_equal(addresses(site), {HOSTS[1]})
    site.edge.program.wait_log(r"resolve: resolved name=app.test addresses=127.0.0.2")


@case
def connections_begin_with_each_in_turn(site):
    settle(site)
    site.server.set(NAME, a=HOSTS, ttl=1)
    wait_until(lambda: addresses(site) == set(HOSTS), "three addresses")
    wait_until(lambda: asked(site) == set(HOSTS), "all of them to be asked")
    check_equal(len(state(site)), 1)


@case
def one_that_refuses_costs_nothing(site):
    """Of two addresses one has no listener: the other is taken by the same request."""
    settle(site)
    site.server.set(NAME, a=[HOSTS[0], "127.0.0.9"], aaaa=["::1"], ttl=1)
    wait_until(lambda: len(addresses(site)) == 3, "three addresses")
    check_equal(asked(site, 20), {HOSTS[0]})
    check_equal(site.edge.metric('upstream_errors_total.reason="connect"'), 0)


class Stalling:
    """Nobody accepts at this address, and its queue is full: the kernel drops what comes."""

    def __init__(self, host, port):
        self.sockets = [socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)]
        self.sockets[0].bind((host, port))
        self.sockets[0].listen(0)
        for _ in range(3):
            self.sockets.append(socket.socket(self.sockets[0].family))
            self.sockets[-1].setblocking(False)
            self.sockets[-1].connect_ex((host, port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in self.sockets:
            sock.close()


@case
def the_other_family_helps_when_one_stalls():
    """RFC 8305: IPv6 goes first, IPv4 joins after attempt-delay, and goes first for a while then."""
    if not has_ipv6():
        return
    with build(**{"attempt-delay": "500ms"}) as site, Stalling("::1", site.named[0].port):
        site.server.set(NAME, a=HOSTS[:1], aaaa=["::1"], ttl=1)
        wait_until(lambda: len(addresses(site)) == 2, "both families")
        times = []
        for _ in range(6):
            start = time.monotonic()
            check_equal(asked(site, 1), {HOSTS[0]})
            times.append(time.monotonic() - start)
        check_equal(site.edge.metric('upstream_errors_total.reason="connect-timeout"'), 0)
    check(times[0] >= 0.45, f"IPv6 had its time: {times}")
    check(min(times[1:]) < 0.45, f"it is not tried again at once: {times}")


@case
def ipv6_goes_first():
    if not has_ipv6():
        return
    with build() as site:
        six = socket.create_server(("::1", site.named[0].port), family=socket.AF_INET6)
        site.server.set(NAME, a=HOSTS[:1], aaaa=["::1"], ttl=1)
        wait_until(lambda: len(addresses(site)) == 2, "both families")
        with site.edge.http.connect() as c:
            c.send_request("GET", "/", HOST)
            six.settimeout(10 * PATIENCE)
            origin, _ = six.accept()
            origin.recv(65536)
            origin.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nsix")
            check_equal(c.read_response().text, "six")
            origin.close()
        six.close()


@case_table({how: how for how in ("SERVFAIL", "REFUSED", "silent")})
def what_was_known_stays_when_the_servers_fail(site, how):
    settle(site)
    mark = site.edge.program.mark()
    site.server.fail(NAME, how)
    site.edge.program.wait_log("resolve: keeping old addresses name=app.test", since=mark)
    check_equal(asked(site, 3), {HOSTS[0]})
    check_in("old addresses", state(site)[0]["reason"])
    check(state(site)[0]["is_up"], "it is up")
    stays_true(lambda: len(site.edge.program.log_lines("keeping old", mark)) == 1, "one line of it", 0.5)
    settle(site)
    wait_until(lambda: not state(site)[0]["reason"], "the reason to go")


@case_table({"the name is gone": "NXDOMAIN", "it has no address": None})
def a_denied_name_is_dropped_after_a_while(site, how):
    settle(site)
    started = time.monotonic()
    if how:
        site.server.fail(NAME, how)
    else:
        site.server.set(NAME, ttl=1)
    wait_until(lambda: site.edge.get("/").status == 503, "no origin to be left")
    check(time.monotonic() - started > 1, "not before negative-hold has passed")
    check(not state(site)[0]["is_up"], "it is down")
    check_in("name", state(site)[0]["reason"])
    settle(site)
    check_equal(asked(site, 3), {HOSTS[0]})


@case
def a_long_answer_is_fetched_by_tcp(site):
    settle(site)
    site.server.set(NAME, a=[HOSTS[2]], ttl=1)
    site.server.fail(NAME, "truncated")
    wait_until(lambda: asked(site, 2) == {HOSTS[2]}, "the answer by TCP")


@case
def the_ttl_decides_when_it_is_asked_again(site):
    settle(site)
    site.server.set(NAME, a=HOSTS[:1], ttl=3600)
    time.sleep(1.5)
    before = site.server.count(NAME)
    stays_true(lambda: site.server.count(NAME) == before, "no question while the answer is good", 1.5)
    site.edge.reload()          # asks again, and knows meanwhile
    wait_until(lambda: site.server.count(NAME) > before, "a reload to ask")
    check_equal(asked(site, 3), {HOSTS[0]})


@case
def an_alias_is_followed(site):
    site.server.set(NAME, a=[HOSTS[1]], ttl=1, cname="real.test.")
    site.edge.reload()
    wait_until(lambda: asked(site, 2) == {HOSTS[1]}, "the alias's address")
    settle(site)


# ---- Starts and reloads

@case
def an_unknown_name_is_a_warning_and_comes_up_later():
    server = NameServer()
    server.fail(NAME, "silent")
    port = free_port()

    def more(site):
        site.origins.append(Origin("late", port=port))

    def edit(config, site):
        config["resolver"] = {"servers": [server.address], "timeout": "100ms", "tries": 1,
                              "min-ttl": "100ms", "start-timeout": "300ms"}
        config["pools"]["app"] = {"origins": [f"{NAME}:{port}"]}
        config["sites"][HOST]["routes"] = {"/": {"pool": "app", "cache": False}}
    with edge_site(edit, origins=0, build=more) as site:
        check_in("has no address yet", site.edge.program.log())
        check_equal(site.edge.get("/").status, 503)
        server.set(NAME, a=["127.0.0.1"], ttl=1)
        wait_until(lambda: site.edge.get("/").status == 200, "it to come up", 10)


@case_table({
    "no port": ("app.test", "has no port"),
    "no name": (":80", "no address"),
    "no address": ("10.0.0.256:80", "neither an IP address nor a name"),
    "port 0": ("app.test:0", "port"),
    "no brackets": ("2001:db8::1:80", ""),
})
def mistakes_are_refused(site, address, wanted):
    before = site.edge.config["pools"]["app"]["origins"]
    site.edge.config["pools"]["app"]["origins"] = [address]
    site.edge.write_config()
    result = site.edge.ctl("reload")
    check(result.returncode != 0, "it is refused")
    check_in(wanted, result.stdout + result.stderr)
    site.edge.config["pools"]["app"]["origins"] = before
    site.edge.reload()


# ---- An origin for each address

@case
def each_address_is_an_origin_of_its_own():
    check_every = {"path": "/health", "interval": "200ms", "timeout": "200ms", "rise": 1, "fall": 1}
    with build(origin={"resolve": "all", "max-addresses": 4}, check=check_every) as site:
        check_equal([origin["name"].rpartition("#")[2] for origin in state(site)], ["1"])
        site.server.set(NAME, a=HOSTS, ttl=1)
        wait_until(lambda: len(state(site)) == 3, "three origins")
        wait_until(lambda: asked(site) == set(HOSTS), "all to be asked")
        site.named[1].is_healthy = False
        wait_until(lambda: [o["is_up"] for o in state(site)].count(False) == 1, "one to be down")
        check_equal(asked(site), {HOSTS[0], HOSTS[2]})
        places = {o["name"]: o["addresses"] for o in state(site)}
        site.server.set(NAME, a=[HOSTS[2], HOSTS[0]], ttl=1)
        wait_until(lambda: len(state(site)) == 2, "two origins")
        for origin in state(site):
            check_equal(origin["addresses"], places[origin["name"]], "it keeps its place")
        site.edge.reload()
        check_equal({o["name"] for o in state(site)},
                    {name for name, at in places.items() if not at[0].startswith(HOSTS[1])})
        check_equal(asked(site), {HOSTS[0], HOSTS[2]})
        site.named[1].is_healthy = True


@case
def places_are_bounded():
    with build(origin={"resolve": "all", "max-addresses": 2}) as site:
        site.server.set(NAME, a=HOSTS, ttl=1)
        site.edge.program.wait_log(r"more addresses than places pool=app .* left_out=1")
        check_equal(len(state(site)), 2)
        check_equal(len(asked(site)), 2)
        site.edge.config["pools"]["app"]["origins"] = [
            {"address": f"n{i}.test:80", "resolve": "all", "max-addresses": 16} for i in range(5)]
        site.edge.write_config()
        result = site.edge.ctl("reload")
        check(result.returncode != 0, "it is refused")
        check_in("80 origins; 64 are possible", result.stdout + result.stderr)


main(build)
