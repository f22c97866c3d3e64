#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Requests that are sent again: only when that is safe, elsewhere, and within a budget.
What retries have always done is in 65_origins.py."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, counted, edge_site, in_threads, logged  # noqa: E402
from gslbtest import PATIENCE, case, case_table, check, check_equal, main  # noqa: E402

RETRIES, REFUSED, BY_STATUS = (f"edge_upstream_{name}_total" for name in
                               ("retries", "retries_refused", "status_retries"))


def edit(config, site):
    addresses = [origin.address for origin in site.origins]
    retries = {
        "statuses": {"on-status": [502, 503], "budget-min": 1000000},
        "once": 1,
        "timeout": {"try-timeout": f"{200 * PATIENCE}ms", "budget-min": 1000000},
        "frugal": {"on-status": [503], "budget-min": 0, "budget": 0},
        "share": {"on-status": [503], "budget-min": 0, "budget": 50},
    }
    config["pools"] = {name: {"origins": addresses, "retry": retry, "ejection": "off"}
                       for name, retry in retries.items()}
    config["sites"][HOST]["routes"] = {f"/{pool}/": {"pool": pool, "cache": False} for pool in retries}
    config["sites"][HOST]["routes"]["/cached/"] = "statuses"


def build():
    return edge_site(edit, origins=3)


def counts(site, path):
    return [origin.count(path) for origin in site.origins]


@case_table({"GET": "GET", "HEAD": "HEAD", "PUT without a body": "PUT", "DELETE": "DELETE"})
def a_bad_answer_is_not_taken_while_another_is_there(site, method):
    path = f"/statuses/{method}"
    for origin in site.origins[:2]:
        origin.serve(path, b"tired", 503)
    before = [site.edge.metric(name) for name in (RETRIES, BY_STATUS)]
    with counted(site.edge, {'responses_total.class="2xx"': 6, 'responses_total.class="5xx"': 0}):
        for _ in range(6):
            check_equal(site.edge.http.request(method, path).status, 200)
    bad = sum(counts(site, path)[:2])
    check(bad > 0, "the bad ones were asked")
    check_equal(counts(site, path)[2], 6)
    check_equal([site.edge.metric(name) for name in (RETRIES, BY_STATUS)], [n + bad for n in before])


@case
def the_last_answer_is_passed_on(site):
    path = "/statuses/all"
    for origin in site.origins:
        origin.serve(path, b"tired", 503, retry_after="9")
    response = site.edge.http.get(path)
    check_equal((response.status, response.text, response.header("retry-after")), (503, "tired", "9"))
    check_equal(counts(site, path), [1, 1, 1], "each was asked once")


@case_table({"another status": ("GET", 500, None), "POST": ("POST", 503, None),
             "a body that is gone": ("PUT", 503, b"x"), "PATCH": ("PATCH", 502, None)})
def some_answers_are_final(site, method, status, body):
    """checks/http.md 21."""
    path = f"/statuses/final-{method}-{status}"
    for origin in site.origins:
        origin.serve(path, b"no", status)
    with counted(site.edge, {RETRIES: 0}):
        check_equal(site.edge.http.request(method, path, body=body).status, status)
    check_equal(sum(counts(site, path)), 1)


@case
def the_cache_gets_the_good_answer(site):
    path = "/cached/page"
    for origin in site.origins[:2]:
        origin.serve(path, b"tired", 503)
    site.origins[2].serve(path, b"fresh", cache_control="max-age=60")
    for _ in range(3):
        check_equal(site.edge.http.get(path).text, "fresh")
    check(sum(counts(site, path)) <= 3, f"{counts(site, path)}")


@case
def one_attempt_is_one(site):
    path = "/once/reset"
    for origin in site.origins:
        origin.on(path, lambda x: x.reset())
    with counted(site.edge, {RETRIES: 0}):
        check_equal(site.edge.http.get(path).status, 502)
    check_equal(sum(counts(site, path)), 1)


@case
def each_try_has_its_time(site):
    path, hold = "/timeout/x", threading.Event()
    for origin in site.origins[:2]:
        origin.on(path, lambda x: hold.wait(30 * PATIENCE))
    try:
        for _ in range(3):
            check_equal(site.edge.http.get(path).header("x-origin"), "origin-3")
        before = sum(counts(site, path))
        with counted(site.edge, {RETRIES: 0}):
            statuses = [site.edge.http.request("POST", path).status for _ in range(3)]
        check_equal(set(statuses), {200, 504})
        check_equal(sum(counts(site, path)), before + 3)
    finally:
        hold.set()


@case
def an_answer_that_goes_on_is_not_cut(site):
    """The time of a try ends with the head."""
    path, hold = "/timeout/long", threading.Event()
    for origin in site.origins:
        origin.on(path, lambda x: (x.send_head(200, {"Content-Length": "4"}), hold.wait(0.6 * PATIENCE),
                                   x.send(b"body")))
    check_equal(site.edge.http.get(path).text, "body")


@case
def without_a_budget_failures_are_passed_on(site):
    path = "/frugal/x"
    for origin in site.origins:
        origin.serve(path, b"tired", 503)
    with counted(site.edge, {RETRIES: 0, REFUSED: 5}):
        check_equal([site.edge.http.get(path).status for _ in range(5)], [503] * 5)
    check_equal(sum(counts(site, path)), 5)
    # What no origin has seen costs them nothing.
    for origin in site.origins[:2]:
        origin.stop()
    try:
        check_equal([site.edge.http.get("/frugal/y").status for _ in range(5)], [200] * 5)
    finally:
        for origin in site.origins[:2]:
            origin.start()


@case
def a_pool_in_trouble_gets_little_more_than_it_is_asked(site):
    path = "/share/x"
    for origin in site.origins:
        origin.serve(path, b"tired", 503)

    def visit(_):
        with site.edge.http.connect() as c:
            return [c.request("GET", path, HOST).status for _ in range(25)]
    statuses = sum(in_threads(8, visit), [])
    check_equal(statuses, [503] * 200)
    check(sum(counts(site, path)) < 400, f"{sum(counts(site, path))} for 200 requests; unbounded: 600")
    check_equal(logged(site.edge, path, 200)["status"], 503)


main(build)
