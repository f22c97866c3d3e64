#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Whether an origin is fit: what checks look at, and what follows from the requests themselves.
The plain cases of checks are in 65_origins.py."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, counted, edge_site, total  # noqa: E402
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, main,  # noqa: E402
                      wait_until)

PACE = f"{100 * PATIENCE}ms"
BODY = {"path": "/body", "interval": PACE, "timeout": PACE, "rise": 1, "fall": 1}


def edit(config, site):
    addresses = [origin.address for origin in site.origins]
    config["pools"] = {
        "text": {"origins": addresses[:1], "check": {**BODY, "body": "all is well"}},
        "pattern": {"origins": addresses[:1], "check": {**BODY, "body-pattern": "^status: (ok|good)$|well\\.$"}},
        "head": {"origins": addresses[:1], "check": {**BODY, "path": "/head", "method": "HEAD", "status": 204}},
        "fast": {"origins": addresses[:1], "check": {**BODY, "path": "/fast", "interval": f"{2 * PATIENCE}s", "timeout": "1s",
                                                     "fast-interval": "100ms", "fall": 5}},
        "failures": {"origins": addresses, "ejection": {"failures": 3, "time": "1h", "max-time": "1h"}},
        "errors": {"origins": addresses, "ejection": {"failures": "off", "server-errors": 3, "time": "1h",
                                                      "max-time": "1h"}},
        "outlier": {"origins": addresses, "ejection": {
            "failures": "off", "outlier-below": 80, "outlier-interval": "300ms", "outlier-requests": 5,
            "time": "1h", "max-time": "1h"}},
        "brief": {"origins": addresses, "ejection": {"failures": 2, "time": "300ms"}},
        "off": {"origins": addresses, "ejection": "off"},
    }
    config["sites"][HOST]["routes"] = {f"/{pool}/": {"pool": pool, "cache": False}
                                       for pool in config["pools"]}


def build():
    def prepare(site):
        site.origins[0].serve("/body", b"all is well.")
        site.origins[0].serve("/head", b"", 204)
    return edge_site(edit, origins=3, build=prepare)


def up(site, pool, origin):
    return site.edge.metric(rf'edge_origin_up\{{pool="{pool}",origin="{origin.address}"')


def reason(site, pool, origin):
    """As gslbctl shows it."""
    text = site.edge.ctl("status").stdout
    return next(line for line in text.splitlines() if pool in line and origin.address in line)


def ask(site, path, count):
    """What came, as (status, origin)."""
    with site.edge.http.connect() as c:
        answers = [c.request("GET", path, HOST) for _ in range(count)]
        return [(a.status, a.header("x-origin")) for a in answers]


# ---- What checks look at

@case_table({
    "the text": ("text", "body lacks the text", lambda x: x.reply(200, {}, b"<p>all is well</p>"),
                 lambda x: x.reply(200, {}, b"all is bad")),
    "in chunks, cut in the middle": ("text", "body lacks the text",
                                     lambda x: x.send_chunks([b"all is", b" well"]),
                                     lambda x: x.send_chunks([b"all is", b"  well"])),
    "until the end": ("text", "body lacks the text",
                      lambda x: (x.send_head(200), x.send(b"all is well"), x.close()),
                      lambda x: (x.send_head(200), x.send(b"all is"), x.close())),
    "within the first part of a large one": (
        "text", "body lacks the text", lambda x: x.reply(200, {}, b"." * 30000 + b"all is well" + b"." * 300000),
        lambda x: x.reply(200, {}, b"." * 40000 + b"all is well" + b"." * 300000)),
    "a body that breaks off": ("text", "broke off", lambda x: x.reply(200, {}, b"all is well"),
                               lambda x: (x.send_head(200, {"Content-Length": "99"}),
                                          x.send(b"all is well"), x.close())),
    "a status that is bad whatever the body": ("text", "status 500", lambda x: x.reply(200, {}, b"all is well"),
                                               lambda x: x.reply(500, {}, b"all is well")),
    "interim answers": ("text", "not valid HTTP", lambda x: (x.send_head(103), x.reply(200, {}, b"all is well")),
                        lambda x: (x.send_head(103), x.send(b"nonsense\r\n\r\n"), x.close())),
    "a pattern": ("pattern", "body does not match", lambda x: x.reply(200, {}, b"status: good"),
                  lambda x: x.reply(200, {}, b"status: good, nearly")),
})
def a_check_looks_into_the_body(site, pool, said, good, bad):
    one = site.origins[0]
    one.on("/body", good)
    wait_until(lambda: up(site, pool, one) == 1, "it to be up")
    one.on("/body", bad)
    wait_until(lambda: up(site, pool, one) == 0, "it to be down")
    check_in(said, reason(site, pool, one))
    one.on("/body", good)
    wait_until(lambda: up(site, pool, one) == 1, "it to be up again")


@case
def a_check_asks_by_its_method(site):
    wait_until(lambda: site.origins[0].count("/head") > 0, "a check")
    check_equal({x.method for x in site.origins[0].seen("/head")}, {"HEAD"})
    check_equal(up(site, "head", site.origins[0]), 1)


@case
def in_doubt_checks_come_faster(site):
    """Five bad ones take it out: at the ordinary pace that would be eight seconds."""
    one = site.origins[0]
    began = time.monotonic()
    one.serve("/fast", b"", 500)
    wait_until(lambda: up(site, "fast", one) == 0, "it to be down")
    check(one.count("/fast") >= 5 and time.monotonic() - began < 8 * PATIENCE, "it took five, quickly")
    one.serve("/fast", b"", 200)
    wait_until(lambda: up(site, "fast", one) == 1, "it to be up")


@case_table({
    "a body without a path": ({"body": "x"}, "add a path"),
    "a body by HEAD": ({"path": "/", "method": "HEAD", "body": "x"}, "use GET"),
    "a pattern that is none": ({"path": "/", "body-pattern": "(x"}, "regular expression"),
    "a method": ({"path": "/", "method": "POST"}, "OPTIONS"),
})
def a_wrong_check_is_refused(site, wrong, said):
    pool = site.edge.config["pools"]["text"]
    before, pool["check"] = pool["check"], wrong
    try:
        site.edge.write_config()
        result = site.edge.ctl("reload")
        check(result.returncode != 0, "it was taken")
        check_in(said, result.stderr + result.stdout)
    finally:
        pool["check"] = before
        site.edge.write_config()


# ---- What requests tell

@case_table({
    "503": ("failures", "failures", lambda x: x.reply(503)),
    "resets": ("failures", "failures", lambda x: x.reset()),
    "500": ("errors", "server-errors", lambda x: x.reply(500)),
})
def who_fails_is_left_out(site, pool, label, misbehave):
    fresh(site)
    path, one = f"/{pool}/x", site.origins[0]
    one.on(path, misbehave)
    with counted(site.edge, {rf'edge_upstream_ejections_total.reason="{label}"': 1}):
        wait_until(lambda: (ask(site, path, 3), up(site, pool, one) == 0)[1], "it to be ejected")
    check_in("in a row", reason(site, pool, one))
    check_equal(set(ask(site, path, 20)), {(200, "origin-2"), (200, "origin-3")})
    site.edge.program.wait_log(rf"origin is ejected pool={pool} origin={one.address}")


def fresh(site):
    """The origins' addresses stay, what is known of them goes."""
    pools = site.edge.config["pools"]
    kept = {name: pools[name] for name in ("failures", "errors")}
    routes = site.edge.config["sites"][HOST]["routes"]
    for name in kept:
        pools.pop(name)
        routes.pop(f"/{name}/")
    site.edge.reload()
    pools.update(kept)
    routes.update({f"/{name}/": {"pool": name, "cache": False} for name in kept})
    site.edge.reload()


@case
def other_errors_are_no_failures(site):
    fresh(site)
    for origin in site.origins:
        origin.serve("/failures/500", b"", 500)
        origin.serve("/failures/404", b"", 404)
    ask(site, "/failures/500", 30)
    ask(site, "/failures/404", 30)
    for origin in site.origins:
        check_equal(up(site, "failures", origin), 1)


@case
def who_fails_more_than_the_others_is_left_out(site):
    bad, path = site.origins[1], "/outlier/x"
    turns = iter(range(10**9))
    bad.on(path, lambda x: x.reply(500 if next(turns) % 2 else 200, {"X-Origin": "origin-2"}))
    wait_until(lambda: (ask(site, path, 30), up(site, "outlier", bad) == 0)[1], "it to be ejected")
    check_in("more often than the others", reason(site, "outlier", bad))
    check_equal({name for _, name in ask(site, path, 20)}, {"origin-1", "origin-3"})


@case
def it_returns_by_itself_and_stays_longer_away_each_time(site):
    one, path = site.origins[0], "/brief/x"
    one.serve(path, b"", 503)
    for _ in range(3):
        wait_until(lambda: (ask(site, path, 6), up(site, "brief", one) == 0)[1], "it to be ejected")
        wait_until(lambda: up(site, "brief", one) == 1, "it to return")
    lasted = [line.split("for=")[1].strip() for line in site.edge.program.log_lines("ejected pool=brief")]
    check(len(lasted) >= 3 and len(set(lasted)) > 1, f"{lasted}")


@case
def all_ejected_are_asked_all_the_same(site):
    path = "/brief/all"
    for origin in site.origins:
        origin.serve(path, b"sorry", 503)
    for _ in range(20):
        check_equal([status for status, _ in ask(site, path, 3)], [503] * 3)


@case
def it_can_be_off(site):
    path, one = "/off/x", site.origins[0]
    one.serve(path, b"", 503)
    statuses = [status for status, _ in ask(site, path, 60)]
    check_equal(statuses.count(503), 20)
    check_equal(total(site.edge.metrics(), r"edge_origin_up.pool=.off"), 3)


main(build)
