#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Which origin gets a request: policies, priorities, slow start, panic, seen from both ends."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, edge_site, in_threads  # noqa: E402
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, main,  # noqa: E402
                      wait_until)

CHECK = {"path": "/health", "interval": "200ms", "timeout": "200ms", "rise": 1, "fall": 1}


def edit(config, site):
    addresses = [origin.address for origin in site.origins]
    one, two, three = addresses
    config["pools"] = {
        "least": {"origins": addresses, "balance": "least-requests"},
        "client": {"origins": addresses, "balance": {"policy": "hash", "hash-key": "client"}},
        "path": {"origins": addresses, "balance": {"policy": "hash"}, "check": CHECK},
        "header": {"origins": addresses, "balance": {"policy": "hash", "hash-key": "header X-User"}},
        "cookie": {"origins": addresses, "balance": {"policy": "hash", "hash-key": "cookie user"}},
        "bound": {"origins": addresses, "balance": {"policy": "hash", "hash-bound": 150}},
        "groups": {"origins": [one, {"address": two, "priority": 1}, {"address": three, "priority": 7}],
                   "check": CHECK},
        "panic": {"origins": addresses, "check": CHECK, "balance": {"panic-below": 50}},
    }
    config["sites"][HOST]["routes"] = {f"/{pool}/" if pool != "path" else "/":
                                       {"pool": pool, "cache": False} for pool in config["pools"]}


def build():
    return edge_site(edit, origins=3)


def ask(site, path, headers=(), count=1):
    with site.edge.http.connect() as c:
        return [c.request("GET", path, HOST, headers).header("x-origin") for _ in range(count)]


def wait_up(site, pool, origin, is_up):
    name = rf'edge_origin_up\{{pool="{pool}",origin="{origin.address}"'
    wait_until(lambda: site.edge.metric(name) == is_up, f"{origin.name} to be {'up' if is_up else 'down'}")


# ---- Policies

@case
def the_slow_one_is_spared(site):
    slow = site.origins[0]
    slow.on("/least/x", lambda x: (time.sleep(0.5 * PATIENCE), slow.default(x)))
    answers = ask(site, "/least/x", count=60)
    check(answers.count("origin-1") <= 6, f"{answers}")
    check(min(answers.count("origin-2"), answers.count("origin-3")) > 0, f"{answers}")


@case_table({
    "client": ("/client/{}", lambda i: {}, 1),
    "path": ("/one-path?{}", lambda i: {}, 1),
    "header": ("/header/{}", lambda i: {"X-User": "alice"}, 1),
    "cookie": ("/cookie/{}", lambda i: {"Cookie": f"other={i}; user=alice; more=user=bob"}, 1),
    "many paths": ("/path-{}", lambda i: {}, 3),
    "many headers": ("/header/{}", lambda i: {"X-User": f"user-{i}"}, 3),
    "many cookies": ("/cookie/{}", lambda i: {"Cookie": f"user={i}"}, 3),
    "no such header": ("/header/{}", lambda i: {}, 3),
    "no such cookie": ("/cookie/{}", lambda i: {"Cookie": "users=alice; User=alice"}, 3),
})
def equal_keys_go_to_one(site, path, headers, origins):
    met = {ask(site, path.format(i), headers(i))[0] for i in range(40)}
    check_equal(len(met), origins, f"met {met}")


@case
def all_workers_and_clients_agree(site):
    met = in_threads(8, lambda _: set(ask(site, "/agreed", count=5)))
    check_equal(len(set().union(*met)), 1)


@case
def one_that_goes_takes_only_its_keys(site):
    paths = [f"/keys-{i}" for i in range(40)]
    before = {path: ask(site, path)[0] for path in paths}
    gone = site.origins[1]
    gone.is_healthy = False
    wait_up(site, "path", gone, False)
    moved = {path for path in paths if ask(site, path)[0] != before[path]}
    check_equal(moved, {path for path in paths if before[path] == gone.name})
    gone.is_healthy = True
    wait_up(site, "path", gone, True)
    check_equal({path: ask(site, path)[0] for path in paths}, before)


@case
def a_popular_key_overflows(site):
    """Twelve requests with one key at once: without a bound one origin has them all."""
    gates = [origin.gate("/bound/hot") for origin in site.origins]
    connections = [site.edge.http.connect() for _ in range(12)]
    try:
        for number, c in enumerate(connections):
            c.send_request("GET", "/bound/hot", HOST)
            wait_until(lambda: sum(gate.waiting for gate in gates) == number + 1, "it to arrive")
        check(max(gate.waiting for gate in gates) in (6, 7), f"{[gate.waiting for gate in gates]}")
    finally:
        for gate in gates:
            gate.open()
        for c in connections:
            c.close()


# ---- Priorities, slow start, panic

@case
def the_next_group_takes_over_and_gives_back(site):
    one, two, three = site.origins
    check_equal(set(ask(site, "/groups/x", count=20)), {"origin-1"})
    one.is_healthy = False
    wait_up(site, "groups", one, False)
    check_equal(set(ask(site, "/groups/x", count=20)), {"origin-2"})
    two.is_healthy = False
    wait_up(site, "groups", two, False)
    check_equal(set(ask(site, "/groups/x", count=20)), {"origin-3"})
    for origin in (one, two):
        origin.is_healthy = True
        wait_up(site, "groups", origin, True)
    check_equal(set(ask(site, "/groups/x", count=20)), {"origin-1"})


def edit_slow(config, site):
    config["pools"]["app"].update({"check": CHECK, "balance": {"slow-start": "1h"}})
    config["sites"][HOST]["routes"] = {"/": {"pool": "app", "cache": False}}


@case
def who_comes_back_starts_slowly():
    with edge_site(edit_slow, origins=3) as site:
        one = site.origins[0]
        check_equal(ask(site, "/x", count=60).count("origin-1"), 20, "at the start nobody is new")
        one.is_healthy = False
        wait_up(site, "app", one, False)
        one.is_healthy = True
        wait_up(site, "app", one, True)
        share = site.edge.metric(rf'edge_origin_share_permille\{{pool="app",origin="{one.address}"')
        check_equal(share, 100)
        count = ask(site, "/x", count=300).count("origin-1")
        check(0 < count < 80, f"{count} of 300; in its turn it would have 100")


@case
def in_panic_all_are_asked_and_status_says_so(site):
    one, two, three = site.origins
    two.is_healthy = three.is_healthy = False
    for origin in (two, three):
        wait_up(site, "panic", origin, False)
    check_equal(site.edge.metric('edge_pool_panic.pool="panic"'), 1)
    check_equal(set(ask(site, "/panic/x", count=30)), {"origin-1", "origin-2", "origin-3"})
    check_in("panic: all of the pool are asked", site.edge.ctl("status", "--json").stdout)
    two.is_healthy = three.is_healthy = True
    for origin in (two, three):
        wait_up(site, "panic", origin, True)
    check_equal(site.edge.metric('edge_pool_panic.pool="panic"'), 0)


# ---- Mistakes of the operator

@case_table({
    "policy": ({"policy": "least"}, "least-requests"),
    "key": ({"policy": "hash", "hash-key": "url"}, "'header NAME'"),
    "no name": ({"policy": "hash", "hash-key": "cookie"}, "lacks the name"),
    "bound": ({"policy": "hash", "hash-bound": 100}, "101"),
    "spill": ({"spill-below": 101}, "100"),
})
def a_wrong_balance_is_refused(site, balance, said):
    pool = site.edge.config["pools"]["least"]
    before = pool["balance"]
    pool["balance"] = balance
    try:
        site.edge.write_config()
        result = site.edge.ctl("reload")
        check(result.returncode != 0, "it was taken")
        check_in(said, result.stderr + result.stdout)
        check(re.search(r"yaml:\d+:\d+:", result.stderr + result.stdout), result.stderr)
    finally:
        pool["balance"] = before
        site.edge.write_config()


main(build)
