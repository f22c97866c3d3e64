#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Limits of requests under way, for pools and origins, and the queue of those who wait for a slot.
The edge has three workers: limits and the queue are of all of them together."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, counted, edge_site, in_threads, reset  # noqa: E402
from gslbtest import case, case_table, check, check_equal, main, wait_until  # noqa: E402
from h2_client import H2Client  # noqa: E402

CHECK = {"path": "/health", "interval": "200ms", "timeout": "200ms", "rise": 1, "fall": 1}
FULL, LATE = (f'edge_upstream_errors_total.reason="queue-{why}"' for why in ("full", "timeout"))
QUEUED = "edge_upstream_queued_total"


def pools(site):
    one, two, three = (origin.address for origin in site.origins)
    return {
        "one": {"origins": [one], "max-requests": 1},
        "short": {"origins": [one], "max-requests": 1, "queue": {"length": 1, "timeout": "5m"}},
        "none": {"origins": [one], "max-requests": 1, "queue": 0},
        "late": {"origins": [one], "max-requests": 1,
                 "queue": {"timeout": "300ms"}, "retry": {"try-timeout": "50ms"}},
        "each": {"origins": [{"address": o, "max-requests": 2} for o in (one, two)]},
        "spill": {"origins": [{"address": one, "max-requests": 1}, {"address": two, "priority": 1}]},
        "retry": {"origins": [{"address": one, "max-requests": 1},
                              {"address": two, "max-requests": 1, "priority": 1}],
                  "ejection": "off", "retry": {"on-status": [503], "budget-min": 1000000}},
        "checked": {"origins": [{"address": three, "max-requests": 1}], "check": CHECK},
        "cached": {"origins": [one], "max-requests": 1, "queue": {"timeout": "5m"}},
    }


def edit(config, site):
    config["workers"] = 3
    config["pools"] = pools(site)
    for pool in config["pools"].values():
        pool.setdefault("queue", {"timeout": "5m"})
    config["sites"][HOST]["routes"] = {f"/{pool}/": {"pool": pool, "cache": pool == "cached"}
                                       for pool in config["pools"]}


def build():
    return edge_site(edit, origins=3)


def wait_waiting(site, pool, count):
    wait_until(lambda: site.edge.metric(rf'edge_pool_waiting.pool="{pool}"') == count,
               f"{count} to wait for {pool}")


class Holder:
    """A request that has a slot until it is let go."""

    def __init__(self, site, path, origins=None, body=None):
        self.site, self.path, self.body = site, path, body
        self.gates = [origin.gate(path) for origin in origins or site.origins]

    def __enter__(self):
        self.connection = self.site.edge.http.connect()
        self.connection.send_request("POST" if self.body else "GET", self.path, HOST, body=self.body)
        wait_until(lambda: sum(gate.waiting for gate in self.gates) == 1, "it to arrive")
        return self

    def let_go(self):
        for gate in self.gates:
            gate.open()

    def __exit__(self, *_):
        self.let_go()
        check_equal(self.connection.read_response().status, 200)
        self.connection.close()


def send(site, path, pool, count=1, method="GET", already=0):
    """Connections whose requests wait, one behind the other."""
    opened = []
    for number in range(count):
        c = site.edge.http.connect()
        c.send_request(method, f"{path}{number}" if count > 1 else path, HOST)
        opened.append(c)
        wait_waiting(site, pool, already + number + 1)
    return opened


def close(opened):
    for c in opened:
        c.close()


# ---- Waiting

@case
def the_oldest_goes_first(site):
    with counted(site.edge, {QUEUED: 12, FULL: 0, LATE: 0}):
        with Holder(site, "/one/held") as holder:
            waiting = send(site, "/one/fifo-", "one", 12)
            holder.let_go()
            check_equal([c.read_response().status for c in waiting], [200] * 12)
            close(waiting)
    seen = [r.path for r in site.origin.requests if r.path.startswith("/one/fifo-")]
    check_equal(seen, [f"/one/fifo-{i}" for i in range(12)])
    wait_waiting(site, "one", 0)


@case
def never_more_than_the_limit_at_once(site):
    """All workers, plain and h2: 40 requests through 4 slots."""
    now, most, lock = [0, 0], [0, 0], threading.Lock()

    def serve(number, origin):
        def answer(x):
            with lock:
                now[number] += 1
                most[number] = max(most[number], now[number])
            time.sleep(0.01)
            with lock:
                now[number] -= 1
            origin.default(x)
        return answer

    for number, origin in enumerate(site.origins[:2]):
        origin.on("/each/x", serve(number, origin))

    def ask(i):
        if i % 2:
            with site.edge.http.connect() as c:
                return [c.request("GET", "/each/x", HOST).status for _ in range(5)]
        with H2Client(site.edge, site.certs.ca) as c:
            streams = [c.request(path="/each/x") for _ in range(5)]
            return [c.answer(stream).status for stream in streams]

    check_equal(sum(in_threads(8, ask), []), [200] * 40)
    check(max(most) <= 2, f"{most}")
    wait_waiting(site, "each", 0)


@case
def h2_streams_wait_too(site):
    with H2Client(site.edge, site.certs.ca) as c, Holder(site, "/one/h2-held") as holder:
        first = c.request(path="/one/h2-first")
        wait_waiting(site, "one", 1)
        gone = c.request(path="/one/h2-gone")
        wait_waiting(site, "one", 2)
        c.reset(gone)
        wait_waiting(site, "one", 1)
        holder.let_go()
        check_equal(c.answer(first).status, 200)
    check_equal(sum(origin.count("/one/h2-gone") for origin in site.origins), 0)


# ---- Refusals

@case_table({"one place": ("short", 1), "no place": ("none", 0)})
def beyond_the_queue_it_is_503(site, pool, places):
    with Holder(site, f"/{pool}/held") as holder:
        waiting = send(site, f"/{pool}/waits", pool, places)
        with counted(site.edge, {FULL: 2, 'responses_total.class="5xx"': 2}):
            for path in (f"/{pool}/a", f"/{pool}/b"):
                response = site.edge.http.get(path)
                check_equal(response.status, 503)
                check(int(response.header("retry-after")) > 0, f"{response}")
                check("queue full" in response.header("cache-status"), f"{response}")
        holder.let_go()
        check_equal([c.read_response().status for c in waiting], [200] * places)
        close(waiting)


@case
def who_has_waited_for_too_long_gets_503(site):
    """Not because of the time that one attempt has: it has not begun."""
    with Holder(site, "/late/held", body=b"x") as holder:
        began = time.monotonic()
        with counted(site.edge, {LATE: 1, 'errors_total.reason="first-byte-timeout"': 0}):
            response = site.edge.http.get("/late/waits")
        check_equal(response.status, 503)
        check(int(response.header("retry-after")) > 0, f"{response}")
        check(time.monotonic() - began >= 0.3, "it waited")
        holder.let_go()
    wait_waiting(site, "late", 0)


@case_table({"closes": False, "resets": True})
def who_leaves_makes_room(site, is_reset):
    with Holder(site, f"/short/held-{is_reset}") as holder:
        gone = send(site, "/short/gone", "short")
        if is_reset:
            reset(gone[0])
        else:
            close(gone)
        wait_waiting(site, "short", 0)
        stays = send(site, "/short/stays", "short")
        holder.let_go()
        check_equal(stays[0].read_response().status, 200)
        close(stays)
    check_equal(site.origin.count("/short/gone"), 0)


@case
def a_fetch_for_the_cache_leaves_with_its_client(site):
    """Whoever had joined it takes its place; nobody's is dropped."""
    with Holder(site, "/cached/held") as holder:
        gone = send(site, "/cached/page", "cached")
        before, queued = site.edge.metric("edge_cache_lookups_total"), site.edge.metric(QUEUED)
        joined = site.edge.http.connect()
        joined.send_request("GET", "/cached/page", HOST)
        wait_until(lambda: site.edge.metric("edge_cache_lookups_total") > before, "it to join")
        close(gone)
        wait_until(lambda: site.edge.metric(QUEUED) == queued + 1, "the other to take its place")
        wait_waiting(site, "cached", 1)
        alone = send(site, "/cached/nobody", "cached", already=1)
        close(alone)
        wait_waiting(site, "cached", 1)
        holder.let_go()
        check_equal(joined.read_response().status, 200)
        joined.close()
    check_equal((site.origin.count("/cached/page"), site.origin.count("/cached/nobody")), (1, 0))


# ---- Origins' own limits

@case
def a_full_origin_is_passed_over(site):
    with Holder(site, "/spill/held", site.origins[:1]) as holder:
        with counted(site.edge, {QUEUED: 0}):
            for _ in range(5):
                check_equal(site.edge.http.get("/spill/x").header("x-origin"), "origin-2")
        holder.let_go()
    check_equal(site.edge.http.get("/spill/x").header("x-origin"), "origin-1")


@case
def a_repetition_needs_a_slot_too(site):
    """Its first origin is busy with nothing any more, its second one is full: it waits for that."""
    site.origin.serve("/retry/x", b"tired", 503)
    first = Holder(site, "/retry/first", site.origins[:1])
    with first, Holder(site, "/retry/second", site.origins[1:2]) as second:
        first.let_go()
        wait_until(lambda: not site.edge.metric(f'origin_connections.pool="retry",origin="{site.origin.address}"'),
                   "the first to be free")
        waiting = send(site, "/retry/x", "retry")
        check_equal(site.origin.count("/retry/x"), 1)
        # The first one's slot is free again, for those who have not been there.
        check_equal(site.edge.http.get("/retry/other").header("x-origin"), "origin-1")
        check_equal(site.origins[1].count("/retry/x"), 0)
        second.let_go()
        response = waiting[0].read_response()
        check_equal((response.status, response.header("x-origin")), (200, "origin-2"))
        close(waiting)


# ---- What changes meanwhile

@case
def an_origin_that_goes_down_ends_the_waiting(site):
    origin = site.origins[2]
    with Holder(site, "/checked/held", [origin]) as holder:
        waiting = send(site, "/checked/x", "checked", 3)
        origin.is_healthy = False
        check_equal([c.read_response().status for c in waiting], [503] * 3)
        close(waiting)
        wait_waiting(site, "checked", 0)
        origin.is_healthy = True
        wait_until(lambda: site.edge.metric(rf'edge_origin_up.pool="checked"'), "it to come back")
        holder.let_go()
    check_equal(site.edge.http.get("/checked/x").status, 200)


@case
def a_reload_keeps_count_and_queue(site):
    with Holder(site, "/one/reload-held") as holder:
        waiting = send(site, "/one/old", "one")
        site.edge.reload()
        waiting += send(site, "/one/new", "one", already=1)
        check_equal(sum(o.count("/one/old") + o.count("/one/new") for o in site.origins), 0)
        holder.let_go()
        check_equal([c.read_response().status for c in waiting], [200, 200])
        close(waiting)


@case_table({"raised": 5, "taken away": None})
def a_higher_limit_lets_them_in(site, limit):
    name = f"/one/more-{limit}"
    with Holder(site, f"{name}-held"):
        waiting = send(site, name, "one", 4)
        if limit:
            site.edge.config["pools"]["one"]["max-requests"] = limit
        else:
            del site.edge.config["pools"]["one"]["max-requests"]
        site.edge.reload()
        check_equal([c.read_response().status for c in waiting], [200] * 4)
        close(waiting)
    site.edge.config["pools"]["one"]["max-requests"] = 1
    site.edge.reload()


@case
def the_edge_stops_while_they_wait():
    def edit_impatient(config, site):
        edit(config, site)
        config.setdefault("limits", {})["drain"] = "100ms"

    with edge_site(edit_impatient, origins=3) as site:
        gate = site.origin.gate("/one/held")
        held = site.edge.http.connect()
        held.send_request("GET", "/one/held", HOST)
        gate.wait_for()
        waiting = send(site, "/one/stop", "one", 3)
        site.edge.stop()
        gate.open()
        close([held, *waiting])


main(build)
