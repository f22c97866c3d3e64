#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Purges by way of the nodes: at all edges, reported for each; what an edge missed while it was away, in
order; nodes that restart, and a journal that is lost."""
import itertools
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from gslbtest import case, check, check_equal, check_in, main, wait_until  # noqa: E402
from site_under_test import Site  # noqa: E402

EDGES = ("eu-west-1", "us-east-1")
HOST = "www.example.com"


def with_disk(site, name):
    def edit(config):
        config["cache"]["disk"] = {"file": str(site.path(f"{name}.store")), "size": 32 << 20}
    return edit


def build():
    site = Site()
    for name in ("ns1", "ns2"):
        site.add_dns(name, edit=only_edges)
    site.add_origin("origin-1")
    site.origin = site.origins[0]
    for name in EDGES:
        site.add_edge(name, origins=site.origins, edit=with_disk(site, name))
    site.start()
    site.both = [site.edges[name] for name in EDGES]
    for node in site.dns_nodes:
        wait_linked(node)
    return site


def only_edges(config):
    for region in config["regions"].values():
        region["edges"] = {name: at for name, at in region["edges"].items() if name in EDGES}
    config["regions"] = {name: region for name, region in config["regions"].items() if region["edges"]}
    config["region-order"] = list(config["regions"])


def is_up(node, name):
    return any(edge["name"] == name and edge["state"] == "up"
               for region in node.status()["regions"] for edge in region["edges"])


def wait_linked(node):
    for edge in EDGES:
        wait_until(lambda: is_up(node, edge), f"{edge} to be up at {node.name}")


_numbers = itertools.count()


def serve(site):
    path, counter = f"/dir{next(_numbers)}/page", itertools.count(1)
    site.origin.on(path, lambda x: x.reply(200, [("Cache-Control", "max-age=600"), ("Surrogate-Key", "tag")],
                                           str(next(counter)).encode()))
    return path


def body(edge, path):
    return edge.http.get(path, host=HOST).body.decode()


def purge(node, *args, code=0):
    result = node.ctl("purge", *args)
    said = result.stdout + result.stderr
    check_equal(result.returncode, code, f"{args}: {said}")
    return said


@case
def at_all_edges_when_the_command_returns(site):
    path = serve(site)
    for node, args in zip(site.dns_nodes * 2, (["url", HOST + path], ["tag", "tag"], ["all"], ["host", HOST])):
        before = [body(edge, path) for edge in site.both]
        check_equal([body(edge, path) for edge in site.both], before)
        said = purge(node, *args)
        check_in("purged at 2 of 2 edges", said)
        for edge in EDGES:
            check(re.search(rf"{edge}: purged after \d+ ms", said), said)
        after = [body(edge, path) for edge in site.both]
        check(not set(after) & set(before), f"{args}: {before}, then {after}")


@case
def what_an_edge_cannot_purge_is_told(site):
    said = purge(site.dns_nodes[0], "url", "/no-host", code=1)
    check_in("purged at 0 of 2 edges", said)
    check_in("it is not HOST/PATH", said)
    check_in("cannot purge", purge(site.dns_nodes[0], "url", "a b", code=1))
    check_in("purged at 2 of 2 edges", purge(site.dns_nodes[0], "tag", "another"))


@case
def an_edge_that_was_away_gets_what_it_missed(site):
    """Its disk brings back what memory had, and must not bring back what was purged meanwhile."""
    away = site.both[0]
    kept, gone = serve(site), serve(site)
    wait_until(lambda: away.metrics()['edge_cache_disk_state{state="ready"}'] == 1, "the disk")
    written = away.metrics()["edge_cache_disk_writes_total"]
    for path in (kept, gone) * 3:
        body(away, path)
    wait_until(lambda: away.metrics()["edge_cache_disk_writes_total"] >= written + 2, "both to be written")
    check_equal([body(away, kept), body(away, gone)], ["1", "1"])
    away.stop()
    wait_until(lambda: not is_up(site.dns_nodes[0], away.name), "the edge to be gone")
    said = purge(site.dns_nodes[0], "url", HOST + gone, code=1)
    check_in("purged at 1 of 2 edges", said)
    check_in(f"{away.name}: not connected", said)
    away.start()
    wait_linked(site.dns_nodes[0])
    wait_until(lambda: away.metrics()['edge_cache_disk_state{state="ready"}'] == 1, "the disk")
    check_equal([body(away, kept), body(away, gone)], ["1", "2"])
    # And what it has purged itself stays so over the next restart.
    purge(away, "url", HOST + kept)
    away.stop()
    away.start()
    wait_until(lambda: away.metrics()['edge_cache_disk_state{state="ready"}'] == 1, "the disk")
    check_equal(body(away, kept), "2")
    wait_linked(site.dns_nodes[0])


@case
def a_node_that_restarts_knows_its_journal(site):
    ns1, edge = site.dns_nodes[0], site.both[0]
    path = serve(site)
    purge(ns1, "tag", "x")
    body(edge, path)
    ns1.kill()
    ns1.start()
    wait_linked(ns1)
    check_equal(body(edge, path), "1", "nothing was missed, so nothing is purged")
    check_in("purged at 2 of 2", purge(ns1, "url", HOST + path))
    check_equal(body(edge, path), "2")


@case
def a_lost_journal_purges_everything(site):
    ns1, edge = site.dns_nodes[0], site.both[0]
    path = serve(site)
    purge(ns1, "tag", "x")
    check_equal(body(edge, path), "1")
    ns1.kill()
    site.path("ns1.state.purges").unlink()
    ns1.start()
    wait_linked(ns1)
    check_equal(body(edge, path), "2")
    ns1.kill()
    site.path("ns1.state.purges").write_text("not a journal")
    ns1.start()
    wait_linked(ns1)
    check_equal(body(edge, path), "3")
    check(site.path("ns1.state.purges.bad").exists(), "it is put aside")


if __name__ == "__main__":
    main(build)
