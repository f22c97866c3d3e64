#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Origins that fail: found by checks and by requests, gone around while another is there, told to
the DNS node when none is, and trusted over TLS only with the right certificate."""
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, counted, edge_site, in_threads, logged  # noqa: E402
from gslbtest import (PATIENCE, TOP, case, case_table, check, check_equal, check_in, free_port,  # noqa: E402
                      main, wait_until)
from origin import Origin  # noqa: E402
from site_under_test import Certs, Site, edge_state  # noqa: E402

CHECK = {"path": "/health", "interval": "200ms", "timeout": "200ms"}
IRELAND = "193.1.0.0/24"


def edit(config, site):
    one, two = site.origins[:2]
    nobody = f"127.0.0.1:{free_port()}"
    config["pools"] = {
        "app": {"origins": [one.address, two.address], "check": {**CHECK, "rise": 2, "fall": 3}},
        "unchecked": {"origins": [one.address, two.address], "connect-timeout": "500ms",
                      "first-byte-timeout": f"{1000 * PATIENCE}ms"},
        "half": {"origins": [nobody, two.address]},
        "nobody": {"origins": [nobody]},
        "weighted": {"origins": [{"address": one.address, "weight": 3}, two.address]},
    }
    config["sites"][HOST]["routes"] = {"/": {"pool": "app", "cache": False}}
    for pool in ("unchecked", "half", "nobody", "weighted"):
        config["sites"][HOST]["routes"][f"/{pool}/"] = {"pool": pool, "cache": False}


def build():
    return edge_site(edit, origins=2)


def up(site, origin, pool="app"):
    return site.edge.metric(rf'edge_origin_up\{{pool="{pool}",origin="{origin.address}"') == 1


def wait_up(site, origin, is_up):
    wait_until(lambda: up(site, origin) == is_up, f"{origin.name} to be {'up' if is_up else 'down'}")


def asked(site, count, path="/"):
    """Which origins answered count requests."""
    with site.edge.http.connect() as c:
        return [c.request("GET", path, HOST).header("x-origin") for _ in range(count)]


# ---- Checks

@case
def both_are_asked_in_turns(site):
    answers = asked(site, 40)
    check_equal((answers.count("origin-1"), answers.count("origin-2")), (20, 20))


@case
def weights_count(site):
    answers = asked(site, 40, "/weighted/x")
    check_equal((answers.count("origin-1"), answers.count("origin-2")), (30, 10))


@case
def checks_find_the_sick_one_and_bring_it_back(site):
    one = site.origins[0]
    mark = site.edge.program.mark()
    one.is_healthy = False
    wait_up(site, one, False)
    check_equal(set(asked(site, 10)), {"origin-2"})
    line = site.edge.program.wait_log("origin is down", since=mark)
    for part in ("pool=app", f"origin={one.address}", 'reason="status 503"'):
        check_in(part, line)
    status = json.loads(site.edge.ctl("status", "--json").stdout)
    check_in("status 503", json.dumps(status))
    one.is_healthy = True
    wait_up(site, one, True)
    site.edge.program.wait_log("origin is up", since=mark)
    check_equal(set(asked(site, 10)), {"origin-1", "origin-2"})


@case
def it_takes_fall_bad_checks_and_rise_good_ones(site):
    """Checks are let through one by one, so that they can be counted."""
    one, verdicts, seen = site.origins[0], [], threading.Semaphore(0)
    state = {"status": 200}

    def health(x):
        verdicts.append(state["status"])
        x.reply(state["status"], (), b"")
        seen.release()
    one.on("/health", health)

    def wait_checks(n):
        for _ in range(n):
            check(seen.acquire(timeout=10 * PATIENCE), "a check comes")
    try:
        wait_checks(2)
        state["status"] = 500
        wait_until(lambda: not up(site, one), "it to be down")
        check(verdicts.count(500) >= 3, f"down after {verdicts.count(500)} bad checks")
        verdicts.clear()
        state["status"] = 204
        wait_until(lambda: up(site, one), "it to be up")
        check(verdicts.count(204) >= 2, f"up after {verdicts.count(204)} good checks")
    finally:
        one._handlers.pop("/health")


@case_table({"is gone": "stop", "stalls": "stall", "talks nonsense": "nonsense", "resets": "reset"})
def checks_see_that_it(site, how):
    one, hold = site.origins[0], threading.Event()
    if how == "stop":
        one.stop()
    else:
        one.on("/health", {"stall": lambda x: hold.wait(30 * PATIENCE), "reset": lambda x: x.reset(),
                           "nonsense": lambda x: (x.send(b"no http\r\n\r\n"), x.close())}[how])
    try:
        wait_up(site, one, False)
        check_equal(set(asked(site, 6)), {"origin-2"})
    finally:
        hold.set()
        if how == "stop":
            one.start()
        else:
            one._handlers.pop("/health")
    wait_up(site, one, True)


# ---- Requests

@case
def a_dead_origin_is_gone_around_without_checks(site):
    before = site.edge.metric('upstream_errors_total.reason="connect"')
    check_equal(set(asked(site, 10, "/half/x")), {"origin-2"})
    check_equal(site.edge.http.request("POST", "/half/x", body=b"x").status, 200, "nothing was sent yet")
    check(site.edge.metric('upstream_errors_total.reason="connect"') > before, "the failures are counted")
    entry = logged(site.edge, "/half/x", 11)
    check_equal((entry["status"], entry["upstream"]), (200, site.origins[1].address))


@case_table({"resets": lambda x: x.reset(), "closes": lambda x: x.close()})
def a_get_is_tried_again_elsewhere(site, misbehave):
    path = "/unchecked/get"
    site.origins[0].on(path, misbehave)
    before = site.origins[0].count(path)
    with counted(site.edge, {'responses_total.class="2xx"': 6, 'responses_total.class="5xx"': 0}):
        check_equal(set(asked(site, 6, path)), {"origin-2"})
    check(site.origins[0].count(path) > before, "the bad one was asked")
    check(site.edge.metric("edge_upstream_retries_total") > 0, "the retry is counted")


@case_table({"POST": "POST", "PATCH": "PATCH", "an unknown method": "FROB"})
def what_may_have_been_done_is_not_done_twice(site, method):
    """checks/http.md 21."""
    path = f"/unchecked/{method}"
    for origin in site.origins:
        origin.on(path, lambda x: x.reset())
    for body in (b"x", None):
        before = sum(origin.count(path) for origin in site.origins)
        check_equal(site.edge.http.request(method, path, body=body).status, 502)
        check_equal(sum(origin.count(path) for origin in site.origins) - before, 1)


@case
def a_kept_connection_that_the_origin_closed_costs_nobody_an_error(site):
    """The origin may close an idle connection at any time; a request that meets that is sent anew,
    if it was never answered and may be."""
    for _ in range(20):
        check_equal(site.edge.http.get("/unchecked/kept").status, 200)
        for origin in site.origins:
            origin.drop_connections()


@case
def never_again_after_the_first_byte(site):
    """checks/http.md 21."""
    path = "/unchecked/first-byte"
    for origin in site.origins:
        origin.on(path, lambda x: (x.send(b"HTTP/1.1 200"), x.reset()))
    check_equal(site.edge.http.get(path).status, 502)
    check_equal(sum(origin.count(path) for origin in site.origins), 1)


@case
def a_stalled_origin_is_answered_for(site):
    path, hold = "/unchecked/stall", threading.Event()
    for origin in site.origins:
        origin.on(path, lambda x: hold.wait(30 * PATIENCE))
    try:
        response = site.edge.http.request("POST", path, body=b"x")
    finally:
        hold.set()
    check_equal(response.status, 504)


@case
def errors_of_the_origin_are_its_own(site):
    site.origins[0].serve("/unchecked/503", b"tired", 503, retry_after="9")
    site.origins[1].serve("/unchecked/503", b"tired", 503, retry_after="9")
    response = site.edge.http.get("/unchecked/503")
    check_equal((response.status, response.text, response.header("retry-after")), (503, "tired", "9"))


@case
def nobody_there_is_told_without_names(site):
    with counted(site.edge, {"edge_own_errors_total": 1}):
        response = site.edge.http.get("/nobody/x")
    check_equal(response.status, 502)
    text = str(response.fields) + response.text
    for secret in ("127.0.0.1", "nobody", "refused"):
        check(secret not in text.replace("/nobody/x", ""), f"{secret!r} in {text}")
    check_in("no-store", response.header("cache-control"))


@case
def all_down_by_checks_is_503_with_retry_after(site):
    for origin in site.origins:
        origin.is_healthy = False
    for origin in site.origins:
        wait_up(site, origin, False)
    before = [len(origin.requests) for origin in site.origins]
    with counted(site.edge, {'upstream_errors_total.reason="no-origin-up"': 1}):
        response = site.edge.http.get("/all-down")
    check_equal((response.status, response.header("retry-after") is not None), (503, True))
    check_equal([len(origin.requests) for origin in site.origins], before)
    check_equal(site.edge.metric("edge_can_serve"), 0)
    for origin in site.origins:
        origin.is_healthy = True
        wait_up(site, origin, True)
    wait_until(lambda: site.edge.http.get("/back").status == 200, "it to serve again")


@case
def an_origin_that_dies_under_load_costs_no_get(site):
    """Origins as processes of their own, as they are in life; one is killed while visitors ask."""
    origins = [OriginProcess(), OriginProcess()]
    try:
        site.edge.config["pools"]["processes"] = {"origins": [o.address for o in origins],
                                                  "check": {**CHECK, "rise": 1, "fall": 1}}
        site.edge.config["sites"][HOST]["routes"]["/hello"] = {"pool": "processes", "cache": False}
        site.edge.reload()
        stop, failures = threading.Event(), []

        def visit(_):
            count = 0
            with site.edge.http.connect() as c:
                while not stop.is_set():
                    status = c.request("GET", f"/hello?{count}", HOST).status
                    count += 1
                    if status != 200:
                        failures.append(status)
            return count
        counts = []
        visitors = threading.Thread(target=lambda: counts.extend(in_threads(4, visit)))
        visitors.start()
        before = site.edge.metric("edge_upstream_requests_total")
        wait_until(lambda: site.edge.metric("edge_upstream_requests_total") > before + 200, "some load")
        origins[0].kill()
        wait_until(lambda: site.edge.metric(rf'edge_origin_up.*{origins[0].address}') == 0, "the check to notice")
        stop.set()
        visitors.join()
        check_equal(failures, [])
        check(sum(counts) > 200, f"{counts} requests")
    finally:
        for origin in origins:
            origin.kill()


class OriginProcess:
    """The origin of the quick start."""

    def __init__(self):
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.process = subprocess.Popen([TOP / "deploy/quickstart/origin", "origin", self.address],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: is_listening(port), "the origin to listen")

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def is_listening(port):
    with socket.create_connection(("127.0.0.1", port), 1):
        return True


# ---- The DNS node hears of it

@case
def an_edge_whose_origins_are_down_leaves_the_answers_and_returns():
    with Site() as site:
        one, other = site.add_origin("one"), site.add_origin("other")
        site.add_dns()
        site.add_edge("eu-west-1", [one])
        site.add_edge("us-east-1", [other])
        site.start()
        answer = lambda: site.dns.addresses("www.example.com", subnet=IRELAND)  # noqa: E731
        check_equal(answer(), {"127.0.0.11"})
        one.is_healthy = False
        started = time.monotonic()
        wait_until(lambda: answer() == {"127.0.0.12"}, "Ireland to be sent away", 4)
        check(time.monotonic() - started < 4 * PATIENCE, "within 4 seconds")
        edge = next(e for r in site.dns.status()["regions"] for e in r["edges"] if e["name"] == "eu-west-1")
        check(edge["state"] != "up", f"{edge}")
        check_in("origin", json.dumps(edge).lower())
        check_equal(edge_state(site.dns.status(), "us-east-1"), "up")
        one.is_healthy = True
        wait_until(lambda: answer() == {"127.0.0.11"}, "Ireland to come home")


# ---- TLS to origins

def server_context(pair):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair["certificate"], pair["key"])
    return context


@case_table({
    "the right authority": (True, {}, 200),
    "a name of its own": (True, {"server-name": "example.com"}, 200),
    "another authority": (False, {}, 502),
    "another name": (True, {"server-name": "elsewhere.example.net"}, 502),
    "not verified, by the operator's wish": (False, {"verify": False}, 200),
})
def tls_to_the_origin_is_verified(is_ours, tls, status):
    def edit_tls(config, site):
        config["pools"]["app"] = {"origins": [site.origins[0].address],
                                  "tls": {"ca": str(site.certs.ca), **tls}, "check": CHECK}

    def more(site):
        certs = site.certs if is_ours else Certs(site.path("others"))
        site.origins.append(Origin("secret", tls_context=server_context(certs.site(HOST, "example.com"))))
    with edge_site(edit_tls, origins=0, build=more) as site:
        if status == 200 and "server-name" in tls or "verify" in tls:
            wait_until(lambda: site.edge.metric('edge_checks_total.result="ok"') > 0, "a check to pass")
        site.edge.config["pools"]["app"]["check"] = "off"
        site.edge.reload()
        response = site.edge.get("/tls")
        check_equal(response.status, status)
        if status == 200:
            check_equal(response.text, "secret /tls\n")
            check_equal(site.edge.http.request("POST", "/tls", body=b"x" * 300000).status, 200)
            check_equal(len(site.origins[0].seen("/tls")[-1].body), 300000)
        else:
            check_equal(site.origins[0].count("/tls"), 0)
            check(site.edge.metric('upstream_errors_total.reason="tls"') > 0, "it is counted")
            check_equal(logged(site.edge, "/tls")["upstream_error"], "tls failed")


main(build)
