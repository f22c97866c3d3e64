#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Who is let in, how often, and what is turned away first: limits of one visitor, networks, rates by
several keys, scores, too much load."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, counted, edge_site, total  # noqa: E402
from gslbtest import case, case_table, check, check_equal, check_in, main, run_program, wait_until  # noqa: E402

LOUD, BUSY, KNOCKING, DENIED, EXEMPT, RUDE, SLOW = (f"127.0.0.{n}" for n in range(61, 68))


def edit(config, site):
    app = {"pool": "app", "cache": False}
    config["clients"] = {"max-connections": 20, "new-connections": "500/s", "new-handshakes": "30/h",
                         "max-score": "100/h", "deny": [DENIED], "exempt": [EXEMPT, "127.0.0.1"]}
    config["limits"] = {**config.get("limits", {}), "body-idle": "1s", "min-send-rate": "1MiB",
                        "header-timeout": "1s"}
    config["sites"][HOST] = {
        "routes": {
            "/": "app",
            "/login": {**app, "rate-limits": {"tries": "3/h"}},
            "/api/": {**app, "rate-limits": {"keys": {"rate": "2/h", "burst": 4, "by": "header X-Key"},
                                             "all": {"rate": "1000/s", "by": "path"}}},
            "/cart/": {**app, "rate-limits": {"carts": {"rate": "2/h", "by": "cookie cart"}}},
            "/admin/": {**app, "allow": ["127.0.0.0/30"], "deny": ["127.0.0.2"]},
        }}
    config["sites"]["closed.example.com"] = {"deny": ["127.0.0.0/8"], "routes": {"/": "app"}}


def build():
    return edge_site(edit)


def get(site, path, source=None, host=HOST, headers=(), **how):
    return site.edge.http.get(path, host=host, headers=headers, source=source, **how)


def statuses(site, path, count, source, **how):
    return [get(site, path, source, **how).status for _ in range(count)]


# ---- Rates of requests

@case
def a_client_has_its_rate(site):
    with counted(site.edge, {r'mischief_total\{kind="rate"': 2}):
        check_equal(statuses(site, "/login", 5, LOUD), [200, 200, 200, 429, 429])
    response = get(site, "/login", LOUD)
    check(1000 < int(response.header("retry-after")) <= 1200, response.header("retry-after"))
    check_equal(response.header("cache-control"), "no-store")
    check_equal(get(site, "/login", BUSY).status, 200, "another client")
    check_equal(get(site, "/", LOUD).status, 200, "another route")


@case
def a_key_has_its_rate_whoever_brings_it(site):
    got = [get(site, "/api/x", source, headers={"X-Key": "one"}).status
           for source in (LOUD, BUSY, LOUD, BUSY, LOUD, BUSY)]
    check_equal(got, [200, 200, 200, 200, 429, 429])
    check_equal(get(site, "/api/x", LOUD, headers={"X-Key": "two"}).status, 200)


@case
def requests_without_the_key_count_by_client(site):
    check_equal(statuses(site, "/cart/", 3, BUSY), [200, 200, 429])
    check_equal(get(site, "/cart/", BUSY, headers={"Cookie": "a=b; cart=7"}).status, 200)


@case
def the_exempt_have_none(site):
    check_equal(set(statuses(site, "/login", 10, EXEMPT)), {200})


@case
def a_reload_forgets_no_rate(site):
    site.edge.reload()
    check_equal(get(site, "/login", LOUD).status, 429)


# ---- Networks

@case_table({
    "inside": ("127.0.0.1", "/admin/", 200),
    "denied inside": ("127.0.0.2", "/admin/", 403),
    "outside": (BUSY, "/admin/", 403),
    "elsewhere": (BUSY, "/", 200),
})
def routes_have_networks(site, source, path, status):
    check_equal(get(site, path, source).status, status)


@case
def sites_have_networks(site):
    check_equal(get(site, "/", host="closed.example.com").status, 403)


# ---- Connections

def is_closed_at_once(site, source, edge_client=None):
    try:
        with (edge_client or site.edge.http).connect(source=source) as c:
            c.send_request("GET", "/", HOST, {"Connection": "close"})
            return c.read_to_end() == b""
    except (ConnectionError, OSError):
        return True


@case
def denied_connections_are_closed(site):
    with counted(site.edge, {r'refused_total\{reason="denied"': 1}):
        check(is_closed_at_once(site, DENIED), "closed")


@case
def connections_of_one_client_are_bounded(site):
    held = []
    try:
        for _ in range(20):
            c = site.edge.http.connect(source=BUSY)
            held.append(c)
            check_equal(c.request("GET", "/", HOST).status, 200)
        with counted(site.edge, {r'refused_total\{reason="client-connections"': 1}):
            check(is_closed_at_once(site, BUSY), "one too many is closed")
        check_equal(get(site, "/", KNOCKING).status, 200, "others come in")
        held.pop().close()
        wait_until(lambda: not is_closed_at_once(site, BUSY) or None, "room for one more")
    finally:
        for c in held:
            c.close()


@case
def handshakes_of_one_client_have_a_rate(site):
    for _ in range(30):
        check_equal(site.edge.https.get("/", source=KNOCKING).status, 200)
    with counted(site.edge, {r'refused_total\{reason="client-rate"': 1}):
        check(is_closed_at_once(site, KNOCKING, site.edge.https), "closed")
    check_equal(get(site, "/", KNOCKING).status, 200, "without TLS it may come")


# ---- Scores

@case
def whoever_breaks_http_is_shut_out(site):
    """Ten points each, of a hundred."""
    def rude():
        with site.edge.http.connect(source=RUDE) as c:
            c.send(b"GET / HTTP/1.1\r\nbad header\r\n\r\n")
            return c.read_to_end()
    for _ in range(10):
        check_in(b" 400 ", rude())
    check_in(b" 400 ", rude() or b" 400 ")
    with counted(site.edge, {r'refused_total\{reason="client-score"': 1}):
        check(is_closed_at_once(site, RUDE), "kept out")
    check_equal(get(site, "/", LOUD).status, 200, "others are not")


@case
def slow_readers_are_cut_off(site):
    """Less than min-send-rate for longer than body-idle."""
    site.origin.serve("/big", b"x" * (32 << 20), cache_control="max-age=60")
    get(site, "/big")
    with counted(site.edge, {r'timeouts_total\{at="response"': 1, r'mischief_total\{kind="slow"': 1}):
        with site.edge.http.connect(source=SLOW) as c:
            c.send_request("GET", "/big", HOST)
            got, ended = 0, time.monotonic() + 30
            try:
                while time.monotonic() < ended:
                    data = c.sock.recv(10000)
                    if not data:
                        break
                    got += len(data)
                    time.sleep(0.05)
            except ConnectionResetError:
                pass
            check(got < 32 << 20, "not all of it came")


@case
def slow_heads_are_blamed_and_idle_connections_are_not(site):
    with counted(site.edge, {r'timeouts_total\{at="head"': 2, r'mischief_total\{kind="slow"': 1}):
        with site.edge.http.connect(source=SLOW) as silent, site.edge.http.connect(source=SLOW) as slow:
            slow.send(b"GET / HT")
            check_in(b" 408 ", slow.read_to_end())
            silent.read_to_end()


# ---- Load

@case
def too_much_load_sheds_fetches_first_and_is_reported(site):
    """The program is stopped and let go on by turns: to its loops that is too much work."""
    site.origin.serve("/stored", b"stored", cache_control="max-age=600")
    get(site, "/stored")
    pid = site.edge.program.pid
    ended = time.monotonic() + 60

    def level():
        return max(value for name, value in site.edge.metrics().items() if "load_level" in name)
    while level() < 2:
        check(time.monotonic() < ended, "the load was never seen")
        for _ in range(4):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.5)
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.03)
    sheds = total(site.edge.metrics(), "shed_fetches_total")
    answers = [get(site, "/fresh/%d" % n) for n in range(6)]
    if level() >= 1 and total(site.edge.metrics(), "shed_fetches_total") > sheds:
        shed = [a for a in answers if a.status == 503]
        check_in("overload", shed[0].header("cache-status"))
        check(shed[0].header("retry-after"), "Retry-After")
    check_equal(get(site, "/stored").text, "stored", "hits go on")
    wait_until(lambda: level() == 0, "the load to be over", 30)
    check_equal(get(site, "/fresh/after").status, 200)


# ---- The operator

@case
def mistakes_are_told(site):
    path = site.folder / "wrong.yaml"
    path.write_text("name: e\nlisten: [127.0.0.1:80]\npools: {app: {origins: [127.0.0.1:1]}}\n"
                    "clients: {new-connections: 5, max-score: 10/w, deny: [10.0.0.1/8]}\n"
                    "sites: {a.org: {routes: {/: {pool: app, rate-limits: {x: {rate: fast, by: header}}}}}}\n")
    result = run_program("edge-proxy", "--check", "-c", str(path))
    check_equal(result.returncode, 1)
    for words in (":4:28: error: new-connections: expected a rate such as 10/s", ":4:42: error: max-score: expected",
                  "expected a prefix", "5:65: error: rate: expected a rate", "lacks the name"):
        check_in(words, result.stderr)


main(build)
