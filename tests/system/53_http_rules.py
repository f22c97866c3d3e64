#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the operator has done to messages: header fields that go and come, hidden origins, redirects,
replaced prefixes, pages for errors, closed sites."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, counted, edge_site, logged  # noqa: E402
from gslbtest import case, case_table, check, check_equal, check_in, main, run_program, wait_until  # noqa: E402

CLOSED = "closed.example.com"
ADMITTED = "127.0.0.66"


def edit(config, site):
    pages = site.folder / "pages"
    pages.mkdir(exist_ok=True)
    (pages / "404.html").write_text("<h1>nothing here</h1>\n")
    (pages / "5xx.json").write_text('{"error": "later"}\n')
    (pages / "closed.html").write_text("<h1>back at noon</h1>\n")
    (pages / "421.txt").write_text("not ours\n")
    app = {"pool": "app", "cache": False}
    config["pools"]["app"]["host"] = "app.internal"
    config["pools"]["app"]["hide"] = ["X-Secret"]
    config["pools"]["open"] = {"origins": [site.origin.address], "hide-origin": False}
    config["pools"]["dead"] = {"origins": [site.dead.address]}
    config["error-pages"] = {"421": str(pages / "421.txt")}
    config["sites"][HOST] = {
        "response-headers": {"set": {"Strict-Transport-Security": "max-age=3600"}, "remove": ["X-Debug"]},
        "request-headers": {"set": {"X-Edge": "{edge}"}},
        "error-pages": {"404": str(pages / "404.html"), "5xx": str(pages / "5xx.json")},
        "routes": {
            "/": "app",
            "/open/": {"pool": "open", "cache": False},
            "/dead/": {"pool": "dead", "cache": False},
            "/old/": {"redirect": "https://{host}/new{path}{query}", "redirect-status": 308},
            "/moved": {"redirect": "/elsewhere"},
            "/v/": {**app, "replace-prefix": "/internal/v2/"},
            "/own/": {"pool": "app", "own-errors": True},
            "/rules/": {**app,
                        "request-headers": {"set": {"X-Client": "{client} {method} {scheme}", "Accept": "x/y"},
                                            "add": {"X-Path": "{path}{query}"}, "remove": ["Cookie"]},
                        "response-headers": {"set": {"Cache-Control": "no-cache", "X-Id": "{request-id}"},
                                             "add": {"X-Many": "2"}, "remove": ["ETag"]}},
        }}
    config["sites"][CLOSED] = {
        "maintenance": {"active": True, "page": str(pages / "closed.html"), "retry-after": "1h",
                        "admit": [ADMITTED + "/32"]},
        "routes": {"/": "app"}}


def build():
    def more(site):
        site.dead = site.add_origin("dead")
        site.dead.stop()
    return edge_site(edit, build=more)


def get(site, path, host=HOST, headers=(), **how):
    return site.edge.http.get(path, host=host, headers=headers, **how)


# ---- Fields

@case
def requests_get_what_the_rules_say(site):
    response = get(site, "/rules/a?b=c", headers={"Cookie": "session=1", "Accept": "*/*", "X-Path": "mine",
                                                  "X-Edge": "forged"})
    check_equal(response.status, 200)
    request = site.origin.seen("/rules/a")[-1]
    check_equal(request.headers["x-client"], "127.0.0.1 GET http")
    check_equal(request.headers["x-path"], "mine, /rules/a?b=c")
    check_equal(request.headers["accept"], "x/y")
    check_equal(request.headers["x-edge"], "edge-1")
    check("cookie" not in request.headers, "the cookie was removed")
    check_equal(request.headers["host"], "app.internal")


@case
def responses_get_what_the_rules_say(site):
    site.origin.serve("/rules/r", b"hello", etag='"1"', cache_control="max-age=5", x_many="1", x_debug="trace",
                      strict_transport_security="max-age=1")
    response = get(site, "/rules/r")
    check_equal(response.header("cache-control"), "no-cache")
    check_equal(response.all("x-many"), ["1", "2"])
    check_equal(response.header("etag"), None)
    check_equal(response.header("x-debug"), None)
    check_equal(response.header("strict-transport-security"), "max-age=3600")
    check_equal(response.header("x-id"), logged(site.edge, "/rules/r")["request_id"])
    check_equal(response.body, b"hello")


@case
def cached_responses_too(site):
    site.origin.serve("/cached", b"hello", cache_control="max-age=60", x_debug="trace")
    for want in ("fwd=uri-miss", "hit"):
        response = get(site, "/cached")
        check_in(want, response.header("cache-status"))
        check_equal(response.header("strict-transport-security"), "max-age=3600")
        check_equal(response.header("x-debug"), None)
    check_equal(site.origin.count("/cached"), 1)


@case
def answers_of_our_own_too(site):
    check_equal(get(site, "/moved").header("strict-transport-security"), "max-age=3600")


# ---- Origins stay hidden

@case
def what_the_origin_is_stays_hidden_and_unstored(site):
    site.origin.serve("/hidden", b"x", cache_control="max-age=60", server="nginx/1.2", x_powered_by="PHP/5",
                      alt_svc='h3=":443"', x_secret="1", x_aspnet_version="4")
    for _ in range(2):
        response = get(site, "/hidden")
        for name in ("server", "x-powered-by", "alt-svc", "x-secret", "x-aspnet-version"):
            check_equal(response.header(name), None, name)


@case
def unless_it_may_be_seen(site):
    site.origin.serve("/open/page", b"x", server="nginx/1.2", location=f"http://{site.origin.address}/y")
    check_equal(get(site, "/open/page").header("server"), "nginx/1.2")


@case
def http_check_31_redirects_to_the_origin_lead_back(site):
    """checks/http.md 31: the origin's address is in no Location."""
    port = site.edge.http.port
    for number, (location, want) in enumerate({
            f"http://{site.origin.address}/login?a=b": f"http://{HOST}:{port}/login?a=b",
            "https://app.internal/x": f"http://{HOST}:{port}/x",
            "/relative": "/relative",
            "https://accounts.example.org/": "https://accounts.example.org/"}.items()):
        path = f"/redirect/{number}"
        site.origin.serve(path, b"", status=302, location=location)
        check_equal(get(site, path, host=f"{HOST}:{port}").header("location"), want)


@case
def http_check_31_a_stored_redirect_leads_back_too(site):
    site.origin.serve("/redirect/stored", b"", status=301, location=f"http://{site.origin.address}/there",
                      cache_control="max-age=60")
    for want in ("fwd=uri-miss", "hit"):
        response = get(site, "/redirect/stored")
        check_in(want, response.header("cache-status"))
        check_equal(response.header("location"), f"http://{HOST}/there")


@case
def http_check_31_failures_do_not_name_the_origin(site):
    response = get(site, "/dead/x")
    check_equal(response.status, 502)
    check("127.0.0.1" not in repr(response) and str(site.dead.port) not in repr(response), "the answer names nobody")


# ---- Redirects and prefixes

@case_table({
    "with its status and query": ("/old/a?b=c", 308, f"https://{HOST}/new/old/a?b=c"),
    "302 by itself": ("/moved", 302, "/elsewhere"),
    "below it": ("/moved/x", 302, "/elsewhere"),
})
def routes_redirect(site, path, status, location):
    with counted(site.edge, {r"upstream_requests_total": 0}):
        response = get(site, path)
    check_equal((response.status, response.header("location")), (status, location))


@case
def prefixes_are_replaced_on_the_way_and_turned_back(site):
    site.origin.serve("/internal/v2/login", b"", status=302, location="/internal/v2/welcome")
    response = get(site, "/v/login?a=1")
    check_equal(site.origin.seen("/internal/v2/login")[-1].target, "/internal/v2/login?a=1")
    check_equal(response.header("location"), "/v/welcome")
    check_equal(get(site, "/v/x%2Fy").status, 200)
    check(site.origin.seen("/internal/v2/x%2Fy"), "escapes go on as they came")


# ---- Pages

@case
def own_errors_have_the_operators_page(site):
    response = get(site, "/dead/page")
    check_equal((response.status, response.text), (502, '{"error": "later"}\n'))
    check_equal(response.header("content-type"), "application/json")
    check_equal(response.header("cache-control"), "no-store")


@case
def head_of_a_page_has_its_length(site):
    with site.edge.http.connect() as c:
        response = c.request("HEAD", "/dead/page", HOST)
        check_equal((response.status, response.header("content-length")), (502, "19"))
        check_equal(c.request("GET", "/cached2", HOST).status, 200, "the next answer is whole")


@case
def requests_to_no_site_have_everybodys_page(site):
    response = get(site, "/", host="stranger.example.org")
    check_equal((response.status, response.text), (421, "not ours\n"))


@case
def an_origins_errors_pass_where_nobody_asked(site):
    site.origin.serve("/plain", b"the origin's", status=404)
    check_equal(get(site, "/plain").text, "the origin's")


@case
def or_have_our_page_where_asked(site):
    for number, (status, body) in enumerate([(404, "<h1>nothing here</h1>\n"), (500, '{"error": "later"}\n'),
                                             (403, "the origin's"), (401, "the origin's"), (200, "the origin's")]):
        path = f"/own/{number}"
        site.origin.serve(path, b"the origin's", status=status)
        response = get(site, path)
        check_equal((response.status, response.text), (status, body))


@case
def cached_errors_have_our_page_too(site):
    site.origin.serve("/own/cached", b"the origin's" * 10000, status=404, cache_control="max-age=60")
    for _ in range(3):
        response = get(site, "/own/cached")
        check_equal((response.status, response.text), (404, "<h1>nothing here</h1>\n"))
    check_equal(site.origin.count("/own/cached"), 1, "it was stored")


@case
def a_page_in_place_of_an_answer_to_a_body_keeps_the_connection_right(site):
    site.origin.serve("/own/post", b"no", status=500)
    with site.edge.http.connect() as c:
        response = c.request("POST", "/own/post", HOST, body=b"x" * 1000)
        check_equal((response.status, response.text), (500, '{"error": "later"}\n'))
        if response.header("connection") != "close":
            check_equal(c.request("GET", "/after", HOST).status, 200)


# ---- Maintenance

@case
def a_closed_site_answers_503(site):
    with counted(site.edge, {r"upstream_requests_total": 0}):
        response = get(site, "/any", host=CLOSED)
    check_equal((response.status, response.text), (503, "<h1>back at noon</h1>\n"))
    check_equal(response.header("retry-after"), "3600")


@case
def some_are_admitted(site):
    check_equal(get(site, "/any", host=CLOSED, source=ADMITTED).status, 200)


@case
def a_reload_opens_it(site):
    config = site.edge.config
    config["sites"][CLOSED]["maintenance"]["active"] = False
    site.edge.reload()
    wait_until(lambda: get(site, "/any", host=CLOSED).status == 200, "the site to open")


@case
def mistakes_are_told_with_their_place(site):
    path = site.folder / "wrong.yaml"
    path.write_text("name: e\nlisten: [127.0.0.1:80]\npools: {app: {origins: [127.0.0.1:1]}}\n"
                    "sites:\n  a.org:\n    response-headers: {set: {Connection: close}}\n"
                    "    routes: {/: app, /x: {redirect: \"/{nowhere}\"}}\n")
    result = run_program("edge-proxy", "--check", "-c", str(path))
    check_equal(result.returncode, 1)
    check_in(f"{path}:6:", result.stderr)
    check_in("writes it itself", result.stderr)
    check_in(f"{path}:7:", result.stderr)
    check_in("a variable that does not exist", result.stderr)


main(build)
