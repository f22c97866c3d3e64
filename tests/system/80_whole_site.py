#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The whole site as its visitors and operators meet it: two DNS nodes, three edges on the same
ports, two origins; curl asks where DNS sends it, wrk goes on while programs are killed."""
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import in_threads  # noqa: E402
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, free_port, main,  # noqa: E402
                      stays_true, wait_until)
from http_client import HttpClient  # noqa: E402
from site_under_test import Site, edge_state  # noqa: E402

NAME = "www.example.com"
# where a visitor is → the edge that is nearest, its address, and who is next
VISITORS = {
    "Ireland": ("193.1.0.0/24", "eu-west-1", "127.0.0.11", "127.0.0.12"),
    "America": ("8.8.8.0/24", "us-east-1", "127.0.0.12", "127.0.0.11"),
    "Japan": ("133.11.0.0/24", "ap-northeast-1", "127.0.0.13", None),
}
LEAVES_S = 4


def build():
    site = Site()
    site.add_origin("origin-1")
    site.add_origin("origin-2")
    for origin in site.origins:
        origin.serve("/page", b"a page\n", cache_control="max-age=1000")
    site.add_dns("ns1")
    site.add_dns("ns2")
    site.http_port, site.https_port = free_port(), free_port()
    for _, edge, _, _ in VISITORS.values():
        site.add_edge(edge)
        put_on_common_ports(site, site.edges[edge])
    return site.start()


def put_on_common_ports(site, edge):
    edge.http_port, edge.https_port = site.http_port, site.https_port
    edge.config["listen"] = [f"{edge.address}:{site.http_port}",
                             {"address": f"{edge.address}:{site.https_port}", "tls": True}]
    edge.http = HttpClient(edge.address, site.http_port)
    edge.https = HttpClient(edge.address, site.https_port, ca=site.certs.ca)


def where(site, visitor, node=0):
    """Where DNS sends a visitor."""
    return site.dns_nodes[node].addresses(NAME, subnet=VISITORS[visitor][0])


def wait_where(site, visitor, addresses, timeout_s=15):
    """On all DNS nodes that run; how long it took."""
    started = time.monotonic()
    wait_until(lambda: all(where(site, visitor, i) == addresses for i, dns in enumerate(site.dns_nodes)
                           if dns.program.is_running()),
               f"visitors from {visitor} to be sent to {addresses}", timeout_s)
    return time.monotonic() - started


def wait_all_home(site):
    for visitor, (_, edge, address, _) in VISITORS.items():
        site.wait_edge(edge, "up")
        wait_where(site, visitor, {address})


def curl(site, address, url, *options):
    port = site.https_port if url.startswith("https") else site.http_port
    usual = 443 if url.startswith("https") else 80
    result = subprocess.run(
        ["curl", "-sS", "--max-time", str(10 * PATIENCE), "--cacert", site.certs.ca, "--connect-to",
         f"{NAME}:{usual}:{address}:{port}", *options, url], capture_output=True, text=True, check=False)
    check_equal((result.returncode, result.stderr), (0, ""), f"curl {url} at {address}")
    return result.stdout


def edge_figures(site, name):
    return next(edge for region in site.dns.status()["regions"] for edge in region["edges"]
                if edge["name"] == name)


@case_table({f"{visitor} over {scheme}": (visitor, scheme) for visitor in VISITORS for scheme in ("http", "https")})
def visitors_are_served_by_the_nearest(site, visitor, scheme):
    _, edge, address, _ = VISITORS[visitor]
    check_equal(where(site, visitor), {address})
    check_equal(where(site, visitor, 1), {address}, "the other DNS node")
    answer = curl(site, address, f"{scheme}://{NAME}/page", "-i")
    check_in("200", answer.split("\n")[0])
    check_in(f"via: 1.1 {edge}", answer.lower())    # names in lower case over HTTP/2
    check_in(f"cache-status: {edge};", answer.lower())
    check_in("a page", answer)


@case
def dig_and_curl_agree(site):
    """What an operator types."""
    dig = subprocess.run(["dig", "+short", "@127.0.0.1", "-p", str(site.dns.port), NAME, "+subnet=193.1.0.0/24"],
                         capture_output=True, text=True, check=True).stdout.split()
    check_equal(dig, ["127.0.0.11"])
    check_equal(curl(site, dig[0], f"https://{NAME}/page"), "a page\n")
    explained = site.ctl("explain", NAME, "193.1.0.1")
    check_equal(explained.returncode, 0, explained.stderr)
    for part in ("eu-west", "us-east", "ap-northeast", "km", "127.0.0.11"):
        check_in(part, explained.stdout)


@case
def status_shows_what_happens(site):
    edge = site.edges["eu-west-1"]
    with edge.http.connect() as c:
        stop = threading.Event()

        def visit():
            n = 0
            while not stop.is_set():
                c.request("GET", "/page" if n % 4 else f"/miss?{n}", NAME)
                n += 1
                stop.wait(0.01)
        visitor = threading.Thread(target=visit)
        visitor.start()
        try:
            wait_until(lambda: 10 < edge_figures(site, "eu-west-1")["requests_per_s"] < 200, "requests/s to show")
            wait_until(lambda: 0.5 < edge_figures(site, "eu-west-1")["cache_hit_ratio"] < 0.95, "the hit ratio")
        finally:
            stop.set()
            visitor.join()
    figures = edge_figures(site, "eu-west-1")
    check_equal({(o["name"], o["is_up"]) for o in figures["report"]["origins"]},
                {(origin.address, True) for origin in site.origins})
    requests = edge.metric("^edge_requests_total")
    wait_until(lambda: edge_figures(site, "eu-west-1")["report"]["requests_total"] >= requests, "the total")
    table = site.ctl("status")
    check_equal(table.returncode, 0, table.stderr)
    for name in ("eu-west-1", "us-east-1", "ap-northeast-1", "up"):
        check_in(name, table.stdout)
    of_edge = edge.ctl("status")
    check_equal(of_edge.returncode, 0, of_edge.stderr)
    for part in ("serving", f"{edge.address}:{site.https_port}", site.origins[0].address):
        check_in(part, of_edge.stdout)


@case
def a_killed_edge_leaves_in_time_and_returns(site):
    edge = site.edges["eu-west-1"]
    marks = [dns.program.mark() for dns in site.dns_nodes]
    edge.kill()
    took_s = wait_where(site, "Ireland", {"127.0.0.12"}, LEAVES_S)
    check(took_s < LEAVES_S * PATIENCE, f"it left after {took_s:.1f} s")
    for dns, mark in zip(site.dns_nodes, marks):
        dns.program.wait_log(r"edge is down edge=eu-west-1", since=mark)
    check_equal(where(site, "Japan"), {"127.0.0.13"}, "others stay where they are")
    check_equal(curl(site, "127.0.0.12", f"https://{NAME}/page"), "a page\n")
    status = site.ctl("status")
    check_equal(status.returncode, 1, "a region without a usable edge is bad news")
    edge.start()
    wait_all_home(site)
    check_equal(curl(site, "127.0.0.11", f"https://{NAME}/page"), "a page\n")


@case
def a_stopped_edge_says_goodbye(site):
    """SIGTERM: it leaves the answers at once, not after a silence."""
    edge = site.edges["us-east-1"]
    edge.stop()
    wait_where(site, "America", {VISITORS["America"][3]}, LEAVES_S)
    edge.start()
    wait_all_home(site)


@case
def a_frozen_edge_leaves_too(site):
    """SIGSTOP: connections stay open and nothing is said."""
    edge = site.edges["eu-west-1"]
    edge.program.signal(signal.SIGSTOP)
    try:
        took_s = wait_where(site, "Ireland", {"127.0.0.12"}, LEAVES_S)
        check(took_s < LEAVES_S * PATIENCE, f"it left after {took_s:.1f} s")
    finally:
        edge.program.signal(signal.SIGCONT)
    wait_all_home(site)


@case
def drain_and_undrain_through_the_node(site):
    check_equal(site.ctl("drain", "eu-west-1", "--reason", "new disks").returncode, 0)
    wait_until(lambda: where(site, "Ireland") == {"127.0.0.12"}, "Ireland to be sent away")
    figures = edge_figures(site, "eu-west-1")
    check_equal(figures["state"], "draining")
    check_in("new disks", str(figures))
    check_equal(curl(site, "127.0.0.11", f"http://{NAME}/page"), "a page\n", "who comes all the same is served")
    check_equal(site.ctl("undrain", "eu-west-1").returncode, 0)
    wait_all_home(site)
    check_equal(site.ctl("drain", "no-such-edge").returncode, 1)


@case
def a_dns_node_dies_and_its_edges_find_it_again(site):
    mark = site.edges["eu-west-1"].program.mark()
    site.dns.kill()
    check_equal(site.dns_nodes[1].addresses(NAME, subnet=VISITORS["Ireland"][0]), {"127.0.0.11"},
                "the other node goes on")
    site.dns.start()
    wait_all_home(site)
    wait_until(lambda: all(edge["is_connected"] for region in site.dns.status()["regions"]
                           for edge in region["edges"]), "all edges to be connected again")
    check(site.edges["eu-west-1"].program.log_lines("control:", since=mark), "the edge says so")


@case
def one_origin_dies_and_nobody_notices(site):
    site.origins[0].stop()
    try:
        statuses = in_threads(3, lambda i: [
            list(site.edges.values())[i].http.get(f"/uncached?{n}").status for n in range(20)])
        check_equal({status for per_edge in statuses for status in per_edge}, {200})
        wait_until(lambda: not all(o["is_up"] for o in edge_figures(site, "eu-west-1")["report"]["origins"]),
                   "status to show the dead origin")
        check_equal(edge_state(site.dns.status(), "eu-west-1"), "up")
    finally:
        site.origins[0].start()
    wait_until(lambda: all(o["is_up"] for o in edge_figures(site, "eu-west-1")["report"]["origins"]),
               "the origin to be back")


@case
def load_through_two_edges_while_the_third_dies(site):
    wrks = [subprocess.Popen(["wrk", "-t1", "-c10", "-d4s", "-H", f"Host: {NAME}",
                              f"http://{site.edges[edge].address}:{site.http_port}/page"],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for edge in ("us-east-1", "ap-northeast-1")]
    site.edges["eu-west-1"].kill()
    wait_where(site, "Ireland", {"127.0.0.12"}, LEAVES_S)
    site.edges["eu-west-1"].start()
    for wrk in wrks:
        output = wrk.communicate(timeout=60 * PATIENCE)[0]
        check(not re.search(r"Socket errors|Non-2xx", output), output)
        check(int(re.search(r"(\d+) requests in", output)[1]) > 100, output)
    wait_all_home(site)


@case
def all_edges_die_and_visitors_still_get_an_answer(site):
    for edge in site.edges.values():
        edge.kill()
    wait_until(lambda: not any(edge["is_connected"] for region in site.dns.status()["regions"]
                               for edge in region["edges"]), "the node to see that all are gone")
    known = {address for _, _, address, _ in VISITORS.values()}
    stays_true(lambda: where(site, "Ireland") and where(site, "Ireland") <= known,
               "DNS has no answer any more", 2.0 * PATIENCE)
    wait_until(lambda: site.ctl("status").returncode == 1, "gslbctl to have bad news")
    check_in("all edges were lost at once", site.ctl("status").stdout)
    for edge in site.edges.values():
        edge.start(wait=False)
    for edge in site.edges.values():
        edge.program.wait_ready()
    wait_all_home(site)
    check_equal(site.ctl("status").returncode, 0)


@case
def everything_dies_and_comes_back(site):
    programs = [*site.dns_nodes, *site.edges.values()]
    for program in programs:
        program.kill()
    for program in programs:
        program.start(wait=False)
    for program in programs:
        program.program.wait_ready()
    wait_all_home(site)
    for _, _, address, _ in VISITORS.values():
        check_equal(curl(site, address, f"https://{NAME}/page"), "a page\n")


main(build)
