#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The cache: what is stored and for how long, what is confirmed with the origin, how many fetches
many visitors cost, and how much memory it takes. Numbers in names of cases are those of the list
of checks for HTTP. Age and Date of the origin's answers stand for the time that passes."""
import email.utils
import itertools
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import (HOST, IS_SANITIZED, counted, drink, edge_site, in_threads, logged,  # noqa: E402
                             memory_kib, reset, stream_body, stream_hash, total, wait_connections)
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, main,  # noqa: E402
                      wait_until)

MEMORY_MIB = 24
CLIENTS = 50


def edit(config, site):
    config["cache"] = {"memory": f"{MEMORY_MIB}MiB", "max-object": "2MiB"}
    config["sites"][HOST]["aliases"] += ["other.example.com"]
    config["sites"][HOST]["routes"].update({
        "/obey/": {"pool": "app", "client-no-cache": True},
        "/ttl/": {"pool": "app", "default-ttl": "60s"},
        "/off/": {"pool": "app", "cache": False}})


def build():
    return edge_site(edit)


def date(ago_s=0):
    return email.utils.formatdate(time.time() - ago_s, usegmt=True)


def get(site, path, headers=(), **how):
    return site.edge.http.get(path, headers=headers, **how)


def is_hit(response):
    return "; hit" in response.header("cache-status")


_numbers = itertools.count()


def fresh_path(name="/x"):
    """A path that no other case has."""
    return f"{name}/{next(_numbers)}"


def serve(site, headers, status=200, body=b"body", path=None):
    path = path or fresh_path()
    site.origin.on(path, lambda x: x.reply(status, headers, body))
    return path


def pairs(text):
    """"A: 1 | B: 2" → pairs; DATE-n stands for the date n seconds ago."""
    out = []
    for line in filter(None, text.split(" | ")):
        name, value = line.split(": ", 1)
        while "DATE" in value:
            before, _, rest = value.partition("DATE")
            digits = "".join(itertools.takewhile(lambda c: c in "+-0123456789", rest))
            value = before + date(-int(digits or "0")) + rest[len(digits):]
        out.append((name, value))
    return out


# ---- What is stored

STORED = {
    "max-age": "Cache-Control: max-age=60",
    "s-maxage": "Cache-Control: s-maxage=60",
    "43 s-maxage beats max-age": "Cache-Control: max-age=0, s-maxage=60",
    "43 max-age beats Expires": "Cache-Control: max-age=60 | Expires: 0",
    "43 max-age in quotes": 'Cache-Control: max-age="60"',
    "43 Expires": "Date: DATE | Expires: DATE+60",
    "43 Expires, all in the future": "Date: DATE+100 | Expires: DATE+200",
    "44 heuristics for a 200": "Last-Modified: DATE-864000",
    "45 unknown directives": "Cache-Control: xno-store, no-storey, foo=\"no-store, private\", max-age=60",
    "45 case and spaces": "CACHE-control:  PUBLIC ,, Max-Age=60 ",
    "45 two lines": "Cache-Control: public | Cache-Control: max-age=60",
    "42 an Age below the lifetime": "Cache-Control: max-age=60 | Age: 30",
    "42 an Age that is none": "Cache-Control: max-age=60 | Age: -1x",
    "targeted at CDNs": "Cache-Control: no-store | CDN-Cache-Control: max-age=60",
    "a lifetime beyond all numbers": "Cache-Control: max-age=99999999999999999999",
    "must-revalidate": "Cache-Control: max-age=60, must-revalidate",
    "47 must-understand": "Cache-Control: must-understand, no-store, max-age=60",
}
NOT_STORED = {
    "no-store": "Cache-Control: no-store, max-age=60",
    "private": "Cache-Control: private, max-age=60",
    "45 private fields": 'Cache-Control: private="x", max-age=60',
    "43 max-age=0": "Cache-Control: max-age=0",
    "43 s-maxage=0 beats max-age": "Cache-Control: s-maxage=0, max-age=60",
    "43 Expires: 0": "Expires: 0",
    "43 Expires in the past": "Expires: DATE-60",
    "43 Expires equals Date": "Date: DATE+60 | Expires: DATE+60",
    "nothing said": "X: y",
    "38 Vary: *": "Cache-Control: max-age=60 | Vary: *",
    "38 Vary: * in a list": "Cache-Control: max-age=60 | Vary: Accept, *",
    "38 Vary: * in a second line": "Cache-Control: max-age=60 | Vary: Accept | Vary: *",
    "41 Set-Cookie": "Cache-Control: max-age=60 | Set-Cookie: a=b",
    "42 older than its lifetime": "Cache-Control: max-age=60 | Age: 61",
    "42 an old Date": "Cache-Control: max-age=60 | Date: DATE-61",
    "targeted at CDNs": "Cache-Control: max-age=60 | CDN-Cache-Control: no-store",
    "45 no-cache without a validator": "Cache-Control: no-cache, max-age=60",
}


@case_table(STORED)
def is_stored(site, headers):
    path = serve(site, pairs(headers))
    with counted(site.edge, {'edge_cache_total.status="miss"': 1, 'edge_cache_total.status="hit"': 2}):
        first = get(site, path)
        check(not is_hit(first) and first.body == b"body", f"{first}")
        for _ in range(2):
            hit = get(site, path)
            check(is_hit(hit), f"{hit}")
            check_equal((hit.body, hit.status), (b"body", 200))
            check(int(hit.header("age")) >= 0, "a hit has an Age")
    check_equal(site.origin.count(path), 1)


@case_table(NOT_STORED)
def is_not_stored(site, headers):
    path = serve(site, pairs(headers))
    for _ in range(3):
        response = get(site, path)
        check(not is_hit(response), f"{response}")
        check_equal(response.body, b"body")
    check_equal(site.origin.count(path), 3)


@case_table({"404 with a lifetime": (404, "Cache-Control: max-age=60", True),
             "410 with a lifetime": (410, "Cache-Control: max-age=60", True),
             "301 with a lifetime": (301, "Cache-Control: max-age=60 | Location: /", True),
             "302 with a lifetime": (302, "Cache-Control: max-age=60 | Location: /", True),
             "302 without": (302, "Last-Modified: DATE-864000 | Location: /", False),
             "204": (204, "Cache-Control: max-age=60", True),
             "55 500 without": (500, "Last-Modified: DATE-864000", False),
             "55 404 without": (404, "X: y", False),
             "206 unasked": (206, "Cache-Control: max-age=60 | Content-Range: bytes 0-3/9", False)})
def statuses(site, status, headers, stored):
    path = serve(site, pairs(headers), status, b"" if status == 204 else b"body")
    check_equal([get(site, path).status for _ in range(3)], [status] * 3)
    check_equal(site.origin.count(path), 1 if stored else 3)


@case
def stored_fields_come_back_as_they_were(site):
    path = serve(site, [("Cache-Control", "max-age=60"), ("Content-Type", "text/x"), ("X-Two", "1"), ("X-Two", "2"),
                        ("Date", "Tue, 15 Nov 1994 08:12:31 GMT"), ("Expires", "0"), ("Age", "5"),
                        ("Cache-Control", "s-maxage=999999999")])
    miss, hit = get(site, path), get(site, path)
    for response in (miss, hit):
        check_equal(response.all("x-two"), ["1", "2"])
        check_equal((response.header("content-type"), response.header("date"), response.header("content-length")),
                    ("text/x", "Tue, 15 Nov 1994 08:12:31 GMT", "4"))
        check_equal(len(response.all("age")), 1, "lines of Age")
    check(int(hit.header("age")) >= 5, "an Age from before is counted")


@case
def age_is_what_the_origin_said_and_more(site):
    """checks/http.md 42."""
    path = serve(site, pairs("Cache-Control: max-age=1000 | Age: 100"))
    get(site, path)
    check(100 <= int(get(site, path).header("age")) <= 100 + 30 * PATIENCE, "Age")
    path = serve(site, pairs("Cache-Control: max-age=1000 | Date: DATE-200"))
    get(site, path)
    check(200 <= int(get(site, path).header("age")) <= 230 * PATIENCE, "Age by Date")


@case
def a_lifetime_ends(site):
    path = serve(site, pairs("Cache-Control: max-age=2"))
    get(site, path)
    wait_until(lambda: not is_hit(get(site, path)), "the response to get stale", 8)
    check_equal(site.origin.count(path), 2)


@case
def connection_nominated_fields_are_not_stored(site):
    """checks/http.md 23."""
    path = serve(site, {"Cache-Control": "max-age=60", "Connection": "X-Hop", "X-Hop": "1", "X-Kept": "1"})
    get(site, path)
    hit = get(site, path)
    check(is_hit(hit) and hit.header("x-hop") is None and hit.header("x-kept") == "1", f"{hit}")


@case
def authorized_requests(site):
    """checks/http.md 40."""
    for extra, stored in (("", False), (", public", True), (", s-maxage=60", True), (", must-revalidate", True)):
        path = serve(site, {"Cache-Control": "max-age=60" + extra})
        for _ in range(2):
            get(site, path, {"Authorization": "Basic eA=="})
        check_equal(site.origin.count(path), 1 if stored else 2, f"stored with max-age=60{extra}")


@case
def requests_with_no_store_or_a_body_are_not_stored(site):
    """checks/http.md 37: the body of a GET is no part of the key."""
    path = serve(site, {"Cache-Control": "max-age=60"})
    get(site, path, {"Cache-Control": "no-store"})
    site.edge.http.request("GET", path, body=b"fat")
    check_equal(is_hit(get(site, path)), False)
    check_equal(site.origin.count(path), 3)


@case
def routes_can_switch_it_off_or_give_a_lifetime(site):
    off = serve(site, {"Cache-Control": "max-age=60"}, path="/off/x")
    given = serve(site, {"ETag": '"1"'}, path="/ttl/validator")
    none = serve(site, {}, path="/ttl/nothing")
    said = serve(site, {"ETag": '"1"', "Cache-Control": "no-store"}, path="/ttl/said")
    for path, count in ((off, 2), (given, 1), (none, 2), (said, 2)):
        get(site, path)
        get(site, path)
        check_equal(site.origin.count(path), count, path)


# ---- Keys

@case
def keys_have_scheme_host_path_and_query(site):
    """checks/http.md 34, 35."""
    path = serve(site, {"Cache-Control": "max-age=60"})
    get(site, path)
    for other in (path + "?", path + "?a", path + "%41", path + "/"):
        check(not is_hit(get(site, other)), other)
    check(not is_hit(get(site, path, host="other.example.com")), "another host")
    check(not is_hit(site.edge.https.get(path)), "another scheme")
    check(is_hit(get(site, path, host="WWW.Example.com")), "the case of the host does not matter")
    check(is_hit(get(site, path, host="www.example.com:80")), "the usual port does not matter")


@case
def vary_keeps_variants_apart(site):
    """checks/http.md 38."""
    path = fresh_path()
    site.origin.on(path, lambda x: x.reply(200, [("Cache-Control", "max-age=60"), ("Vary", "X-A, x-b"), ("Vary", "X-C")],
                                           repr(sorted(f for f in x.request.fields if f[0].startswith("X-") and len(f[0]) == 3)).encode()))
    requests = [(), {"X-A": "1"}, {"X-A": "2"}, {"X-B": "1"}, {"X-A": "1", "X-B": "1"}, {"X-C": "1"}]
    for _ in range(2):
        for headers in requests:
            check_equal(get(site, path, headers).text, repr(sorted(dict(headers).items())))
    check_equal(site.origin.count(path), len(requests))
    check(is_hit(get(site, path, {"X-A": "1", "X-Unrelated": "9"})), "other fields do not matter")


@case
def accept_encoding_is_keyed_by_what_it_means(site):
    """checks/http.md 39."""
    path = serve(site, {"Cache-Control": "max-age=60", "Vary": "Accept-Encoding", "Content-Encoding": "gzip"})
    get(site, path, {"Accept-Encoding": "gzip, br"})
    check(is_hit(get(site, path, {"Accept-Encoding": "br,gzip"})), "the order does not matter")
    check(not is_hit(get(site, path, {"Accept-Encoding": "identity"})), "another coding")


@case
def variants_of_one_path_are_bounded(site):
    """checks/http.md 38."""
    path = serve(site, {"Cache-Control": "max-age=60", "Vary": "X-V"})
    before = site.edge.metric("edge_cache_objects")
    for i in range(60):
        get(site, path, {"X-V": str(i)})
    check(site.edge.metric("edge_cache_objects") - before <= 16, "60 variants of one path are kept")
    check(is_hit(get(site, path, {"X-V": "59"})), "the newest is kept")


# ---- Conditional requests of visitors

ETAG, OLD, NEW = '"v1"', "Tue, 15 Nov 1994 08:12:31 GMT", "Wed, 16 Nov 1994 08:12:31 GMT"


@case_table({
    "51 the same tag": ({"If-None-Match": '"v1"'}, 304),
    "51 weakly the same": ({"If-None-Match": 'W/"v1"'}, 304),
    "51 in a list": ({"If-None-Match": '"a", "v1" , "b"'}, 304),
    "51 any": ({"If-None-Match": "*"}, 304),
    "51 another tag": ({"If-None-Match": '"v2"'}, 200),
    "51 another tag beats the date": ({"If-None-Match": '"v2"', "If-Modified-Since": NEW}, 200),
    "51 the same tag beats the date": ({"If-None-Match": '"v1"', "If-Modified-Since": "Mon, 01 Jan 1990 00:00:00 GMT"}, 304),
    "the same date": ({"If-Modified-Since": OLD}, 304),
    "a later date": ({"If-Modified-Since": NEW}, 304),
    "an earlier date": ({"If-Modified-Since": "Mon, 14 Nov 1994 08:12:31 GMT"}, 200),
    "no date": ({"If-Modified-Since": "yesterday"}, 200),
})
def conditions(site, headers, status):
    path = serve(site, {"Cache-Control": "max-age=60", "ETag": ETAG, "Last-Modified": OLD, "Content-Type": "text/x"},
                 path="/conditions")
    check_equal(get(site, path).status, 200)
    with site.edge.http.connect() as c:
        response = c.request("GET", path, HOST, headers)
        check_equal(response.status, status)
        check_equal(response.header("etag"), ETAG)
        check(is_hit(response), "the origin is not asked")
        if status == 304:
            check_equal((response.body, response.header("content-type")), (b"", None))
        check_equal(c.request("GET", path, HOST).body, b"body", "the connection goes on")
    check_equal(site.origin.count(path), 1)


@case
def a_condition_on_a_miss_fetches_the_whole(site):
    path = serve(site, {"Cache-Control": "max-age=60", "ETag": ETAG})
    check_equal(get(site, path, {"If-None-Match": ETAG}).status, 304)
    check("if-none-match" not in site.origin.seen(path)[0].headers, "the visitor's condition stays with us")
    check_equal(get(site, path).body, b"body")
    check_equal(site.origin.count(path), 1)


@case_table({
    "52 the first bytes": ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
    "52 from the middle": ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
    "52 the last bytes": ("bytes=-2", 206, b"89", "bytes 8-9/10"),
    "52 more than there is": ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
    "52 unsatisfiable": ("bytes=10-", 416, b"", "bytes */10"),
    "52 several": ("bytes=0-1,3-4", 200, b"0123456789", None),
    "52 another unit": ("lines=0-1", 200, b"0123456789", None),
    "52 nonsense": ("bytes=5-2", 200, b"0123456789", None),
    "52 a great many": ("bytes=" + ",".join(["0-"] * 500), 200, b"0123456789", None),
})
def ranges(site, value, status, body, content_range):
    path = serve(site, {"Cache-Control": "max-age=60", "ETag": ETAG}, body=b"0123456789", path="/ranges")
    for _ in range(2):
        response = get(site, path, {"Range": value})
        check_equal((response.status, response.body, response.header("content-range")), (status, body, content_range))
    check_equal(site.origin.count(path), 1)
    check("range" not in site.origin.seen(path)[0].headers, "the whole is fetched")


@case_table({"the same tag": (ETAG, 206), "a weak tag": ("W/" + ETAG, 200), "another tag": ('"v2"', 200),
             "the exact date": (OLD, 206), "another date": (NEW, 200)})
def if_range(site, value, status):
    """checks/http.md 52."""
    path = serve(site, {"Cache-Control": "max-age=60", "ETag": ETAG, "Last-Modified": OLD,
                        "Date": date()}, body=b"0123456789", path="/if-range")
    check_equal(get(site, path, {"Range": "bytes=0-1", "If-Range": value}).status, status)


@case
def ranges_pass_where_nothing_is_cached(site):
    """checks/http.md 53: and a part never answers for the whole."""
    path = "/off/part"
    site.origin.on(path, lambda x: x.reply(206, {"Content-Range": "bytes 0-1/10", "Cache-Control": "max-age=60"}, b"01"))
    response = get(site, path, {"Range": "bytes=0-1"})
    check_equal((response.status, response.body, response.header("content-range")), (206, b"01", "bytes 0-1/10"))
    check_equal(site.origin.seen(path)[0].headers["range"], "bytes=0-1")


@case
def head_comes_from_a_stored_get(site):
    """checks/http.md 27."""
    path = serve(site, {"Cache-Control": "max-age=60"})
    response = site.edge.http.request("HEAD", path)
    check_equal((response.status, response.header("content-length")), (200, "4"))
    check_equal(get(site, path).body, b"body", "a HEAD is not stored as a GET")
    response = site.edge.http.request("HEAD", path)
    check_equal((is_hit(response), response.header("content-length"), response.body), (True, "4", b""))
    check_equal([r.method for r in site.origin.seen(path)], ["HEAD", "GET"])


@case
def only_if_cached(site):
    """checks/http.md 48."""
    path = serve(site, {"Cache-Control": "max-age=60"})
    check_equal(get(site, path, {"Cache-Control": "only-if-cached"}).status, 504)
    check_equal(site.origin.count(path), 0)
    get(site, path)
    check_equal(get(site, path, {"Cache-Control": "only-if-cached"}).body, b"body")


@case
def visitors_cannot_force_the_origin_unless_allowed(site):
    """checks/http.md 48."""
    for prefix, count in (("/x", 1), ("/obey", 3)):
        path = serve(site, {"Cache-Control": "max-age=60", "ETag": ETAG}, path=fresh_path(prefix))
        get(site, path)
        get(site, path, {"Cache-Control": "no-cache"})
        get(site, path, {"Pragma": "no-cache"})
        check_equal(site.origin.count(path), count, path)


# ---- Asking the origin again

def validating(site, fields, tag=ETAG, on_304=()):
    """An origin that knows its tag; its body counts how often the whole was sent."""
    path, sent = fresh_path(), itertools.count(1)

    def answer(x):
        if x.request.headers.get("if-none-match") == tag:
            x.reply(304, [("ETag", tag), *on_304])
        else:
            x.reply(200, [("ETag", tag), *pairs(fields)], b"body %d" % next(sent))
    site.origin.on(path, answer)
    return path


@case
def a_stale_response_is_confirmed(site):
    """checks/http.md 50."""
    path = validating(site, "Cache-Control: max-age=10 | Age: 20 | X-Old: 1 | Content-Type: a/b",
                      on_304=pairs("Cache-Control: max-age=60 | X-New: 2 | Content-Length: 999"))
    check_equal(get(site, path).text, "body 1")
    with counted(site.edge, {'edge_cache_total.status="revalidated"': 1}):
        response = get(site, path)
    check_equal((response.status, response.text, response.header("content-length")), (200, "body 1", "6"))
    check_equal((response.header("x-old"), response.header("x-new"), response.header("content-type")), ("1", "2", "a/b"))
    check_in("fwd=stale", response.header("cache-status"))
    check_in("fwd-status=304", response.header("cache-status"))
    check(is_hit(get(site, path)), "fresh again")
    check_equal(site.origin.count(path), 2)
    logged(site.edge, path, 3)
    check_equal({line["cache"] for line in site.edge.access_log() if line["path"] == path},
                {"miss", "revalidated", "hit"})


@case
def a_changed_response_replaces_the_stale_one(site):
    path = serve(site, pairs('Cache-Control: max-age=10 | Age: 20 | ETag: "old"'))
    get(site, path)
    serve(site, pairs('Cache-Control: max-age=60 | ETag: "new"'), body=b"changed", path=path)
    check_equal(get(site, path).body, b"changed")
    check_equal(site.origin.seen(path)[-1].headers["if-none-match"], '"old"')
    check(is_hit(get(site, path)), "the new one is stored")


@case
def no_cache_is_confirmed_each_time(site):
    path = validating(site, "Cache-Control: no-cache")
    for count in range(1, 4):
        check_equal(get(site, path).text, "body 1")
        check_equal(site.origin.count(path), count)


@case
def last_modified_confirms_too(site):
    path = fresh_path()
    site.origin.on(path, lambda x: x.reply(304 if x.request.headers.get("if-modified-since") == OLD else 200,
                                           {"Last-Modified": OLD, "Cache-Control": "max-age=0"}, b"dated"))
    check_equal([get(site, path).status for _ in range(3)], [200, 200, 200])
    check_equal(site.origin.seen(path)[-1].headers["if-modified-since"], OLD)


@case
def a_304_to_the_visitor_after_confirmation(site):
    path = validating(site, "Cache-Control: max-age=10 | Age: 20")
    get(site, path)
    check_equal(get(site, path, {"If-None-Match": ETAG}).status, 304)


@case
def stale_while_revalidate(site):
    path = validating(site, "Cache-Control: max-age=10, stale-while-revalidate=100 | Age: 20",
                      on_304=pairs("Cache-Control: max-age=60"))
    get(site, path)
    gate = site.origin.gate(path)
    with counted(site.edge, {'edge_cache_total.status="stale"': 3}):
        for _ in range(3):      # nobody waits, and one refresh is enough
            check(is_hit(get(site, path)), "the stale one is served")
        gate.wait_for()
        gate.open()
    wait_until(lambda: "ttl=-" not in get(site, path).header("cache-status"), "the refresh")
    check_equal(site.origin.count(path), 2)


@case_table({"the origin answers 503": 503, "the origin is gone": 0})
def stale_if_error(site, status):
    path = serve(site, pairs(f'Cache-Control: max-age=10, stale-if-error=100 | Age: 20 | ETag: {ETAG}'))
    get(site, path)
    site.origin.on(path, lambda x: x.reply(status, (), b"oops") if status else x.reset())
    response = get(site, path)
    check_equal((response.status, response.body), (200, b"body"))
    check_equal(get(site, path).body, b"body", "55: the error did not replace it")
    serve(site, pairs("Cache-Control: max-age=60"), body=b"back", path=path)
    check_equal(get(site, path).body, b"back")


@case_table({"must-revalidate": "must-revalidate", "proxy-revalidate": "proxy-revalidate", "s-maxage": "s-maxage=10",
             "nothing said": "max-age=10"})
def no_stale_where_it_is_forbidden(site, directive):
    """checks/http.md 46."""
    swr = "" if directive == "max-age=10" else ", stale-if-error=100, stale-while-revalidate=100"
    path = serve(site, pairs(f"Cache-Control: max-age=10{swr}, {directive} | Age: 20 | ETag: {ETAG}"))
    get(site, path)
    site.origin.on(path, lambda x: x.reset())
    check(get(site, path).status in (502, 504), "an error instead of the stale response")


@case_table({"POST": ("POST", 200, True), "PUT": ("PUT", 201, True), "DELETE": ("DELETE", 204, True),
             "an unknown method": ("FROB", 200, True), "a redirect after POST": ("POST", 303, True),
             "a POST that failed": ("POST", 500, False), "a POST that was refused": ("POST", 403, False),
             "OPTIONS is safe": ("OPTIONS", 200, False)})
def unsafe_methods_invalidate(site, method, status, is_gone):
    """checks/http.md 49."""
    path = fresh_path()
    site.origin.on(path, lambda x: x.reply(200, {"Cache-Control": "max-age=60"}, b"body")
                   if x.request.method == "GET" else x.reply(status, (), b""))
    get(site, path)
    check(is_hit(get(site, path)), "stored")
    check_equal(site.edge.http.request(method, path, body=b"x").status, status)
    check_equal(is_hit(get(site, path)), not is_gone)


# ---- One fetch for many

@case
def many_visitors_cost_one_fetch(site):
    """checks/http.md 54."""
    path = serve(site, {"Cache-Control": "max-age=60"}, body=b"x" * 300_000)
    gate = site.origin.gate(path)

    def ask(_):
        return get(site, path, timeout_s=30)
    waiter = threading.Thread(target=lambda: (gate.wait_for(),
                                              wait_until(lambda: site.edge.metric("^edge_connections$") >= CLIENTS,
                                                         "all visitors to be there", 20), gate.open()))
    with counted(site.edge, {'edge_cache_total.status="miss"': 1, "edge_upstream_requests_total": 1}):
        waiter.start()
        responses = in_threads(CLIENTS, ask)
        waiter.join()
    check(all(r.body == b"x" * 300_000 for r in responses), "everybody has it whole")
    check_equal(site.origin.count(path), 1)
    check(any("collapsed" in r.header("cache-status") for r in responses), "those who waited say so")


@case
def a_body_streams_to_all_while_it_is_fetched(site):
    path, gate = fresh_path(), threading.Event()
    half = 400_000

    def answer(x):
        x.send_head(200, {"Cache-Control": "max-age=60", "Transfer-Encoding": "chunked"})
        x.send(b"%x\r\n%s\r\n" % (half, b"a" * half))
        gate.wait(30 * PATIENCE)
        x.send(b"%x\r\n%s\r\n0\r\n\r\n" % (half, b"b" * half))
    site.origin.on(path, answer)
    visitors = [site.edge.http.connect() for _ in range(5)]
    for c in visitors:
        c.send_request("GET", path, HOST)
    for c in visitors:
        c.read_head()
        got = b""
        while len(got) < half:      # before the origin has sent the rest
            got += c.take(int(c.take_line(), 16))
            c.take(2)
    gate.set()
    for c in visitors:
        check_equal(c.read_chunks(), b"b" * half)
        c.close()
    check_equal(get(site, path).body, b"a" * half + b"b" * half)
    check_equal(site.origin.count(path), 1)


@case
def a_fetch_outlives_its_first_visitor(site):
    """checks/http.md 54."""
    path = serve(site, {"Cache-Control": "max-age=60"})
    gate = site.origin.gate(path)
    wait_connections(site.edge, 0)
    looked_up = site.edge.metric("edge_cache_lookups_total")
    leader, follower = site.edge.http.connect(), site.edge.http.connect()
    leader.send_request("GET", path, HOST)
    gate.wait_for()
    follower.send_request("GET", path, HOST)
    wait_until(lambda: site.edge.metric("edge_cache_lookups_total") >= looked_up + 2, "the follower to wait")
    reset(leader)
    wait_connections(site.edge, 1)
    gate.open()
    check_equal(follower.read_response().body, b"body")
    follower.close()
    check_equal(site.origin.count(path), 1)


@case
def a_fill_outlives_all_its_visitors(site):
    """checks/http.md 54."""
    path, gate = fresh_path(), threading.Event()

    def answer(x):
        x.send_head(200, {"Cache-Control": "max-age=60", "Content-Length": "200000"})
        x.send(b"a" * 100000)
        gate.wait(30 * PATIENCE)
        x.send(b"b" * 100000)
    site.origin.on(path, answer)
    c = site.edge.http.connect()
    c.send_request("GET", path, HOST)
    c.read_head()
    reset(c)
    wait_connections(site.edge, 0)
    gate.set()
    check_equal(get(site, path).body, b"a" * 100000 + b"b" * 100000)
    check_equal(site.origin.count(path), 1)


@case
def uncacheable_keys_do_not_queue(site):
    """checks/http.md 54."""
    path = serve(site, {"Cache-Control": "no-store"})
    get(site, path)
    gate = site.origin.gate(path)
    opener = threading.Thread(target=lambda: (gate.wait_for(20), gate.open()))
    opener.start()
    check(all(r.status == 200 for r in in_threads(20, lambda _: get(site, path))), "all are answered")
    opener.join()


@case_table({"private": "Cache-Control: private", "a cookie": "Cache-Control: max-age=60 | Set-Cookie: id={}",
             "Vary: Cookie": "Cache-Control: max-age=60 | Vary: Cookie"})
def nobody_gets_what_was_meant_for_another(site, headers):
    """checks/http.md 54: visitors who waited for an answer that is not for sharing."""
    path = fresh_path()
    site.origin.on(path, lambda x: x.reply(200, pairs(headers.format(x.request.headers["cookie"])),
                                           x.request.headers["cookie"].encode()))
    gate = site.origin.gate(path)
    waiter = threading.Thread(target=lambda: (gate.wait_for(1), wait_until(
        lambda: site.edge.metric("^edge_connections$") >= 20, "all visitors to be there", 20), gate.open()))
    waiter.start()
    responses = in_threads(20, lambda i: get(site, path, {"Cookie": f"id={i}"}))
    waiter.join()
    check_equal([r.text for r in responses], [f"id={i}" for i in range(20)])
    for i, response in enumerate(responses):
        cookie = response.header("set-cookie")
        check(cookie in (None, f"id=id={i}"), f"visitor {i} got the cookie {cookie}")


@case
def when_a_fetch_fails_all_who_waited_are_told(site):
    path = fresh_path()
    site.origin.on(path, lambda x: x.reset())
    gate = site.origin.gate(path)
    opener = threading.Thread(target=lambda: (gate.wait_for(), gate.open()))
    opener.start()
    check_equal({r.status for r in in_threads(10, lambda _: get(site, path))}, {502})
    opener.join()
    serve(site, {"Cache-Control": "max-age=60"}, path=path)
    check_equal(get(site, path).body, b"body", "and the next one tries again")


# ---- Memory

def flood(site, count, size, prefix):
    """count different objects of size bytes, over a few kept connections."""
    body = b"x" * size
    handler = site.origin.default
    site.origin.default = lambda x: x.reply(200, {"Cache-Control": "max-age=1000"}, body)
    def some(worker):
        with site.edge.http.connect(timeout_s=30) as c:
            for i in range(worker, count, 4):
                check_equal(len(c.request("GET", f"{prefix}/{i}", HOST).body), size)
    try:
        in_threads(4, some)
    finally:
        site.origin.default = handler


@case_table({"large objects": (400, 500_000), "small objects": (4000, 1000)})
def a_flood_of_objects_stays_within_the_budget(site, count, size):
    hot = serve(site, {"Cache-Control": "max-age=1000"}, body=b"hot", path=f"/hot/{size}")
    for _ in range(5):
        get(site, hot)
    flood(site, count, size, f"/flood/{size}")
    m = site.edge.metrics()
    check_equal(m["edge_cache_limit_bytes"], MEMORY_MIB << 20)
    check(0 < m["edge_cache_bytes"] <= MEMORY_MIB << 20, f"{m['edge_cache_bytes']} bytes stored")
    check(IS_SANITIZED or memory_kib(site.edge) < (MEMORY_MIB + 40) << 10, f"{memory_kib(site.edge)} KiB in all")
    if count * size > MEMORY_MIB << 20:
        check(total(m, "edge_cache_evictions_total") > 0, "something was evicted")
    check(is_hit(get(site, hot)), "what is often asked for stays")


@case
def the_budget_can_shrink_by_a_reload(site):
    flood(site, 40, 500_000, "/before-shrink")
    site.edge.config["cache"] = {"memory": "4MiB", "max-object": "1MiB"}
    site.edge.reload()
    flood(site, 20, 500_000, "/after-shrink")
    check_equal(site.edge.metric("edge_cache_limit_bytes"), 4 << 20)
    wait_until(lambda: site.edge.metric("edge_cache_bytes") <= 4 << 20, "the cache to shrink")
    site.edge.config["cache"] = {"memory": f"{MEMORY_MIB}MiB", "max-object": "2MiB"}
    site.edge.reload()


@case_table({"length": True, "chunked": False})
def what_is_too_large_is_passed_through(site, has_length):
    size = 5 << 20
    path = fresh_path()

    def answer(x):
        if has_length:
            x.send_head(200, {"Cache-Control": "max-age=60", "Content-Length": str(size)})
            stream_body(x.send, size)
        else:
            x.send_head(200, {"Cache-Control": "max-age=60", "Connection": "close"})
            stream_body(x.send, size)
            x.close()
    site.origin.on(path, answer)
    for _ in range(2):
        with site.edge.http.connect() as c:
            c.send_request("GET", path, HOST, {"Connection": "close"})
            response = c.read_head()
            if response.header("content-length"):
                check_equal(drink(c.sock, size, c.buffer), stream_hash(size))
            else:
                check_equal(len(c.read_chunks()), size)
    check_equal(site.origin.count(path), 2)


@case
def a_slow_reader_of_a_huge_fill_holds_up_nobody_else_for_ever(site):
    """A body that outgrew the limit streams through a window; a reader that stands still is cut off
    or waits, but the edge serves others and its memory stays bounded."""
    size, path = 30 << 20, fresh_path()
    site.origin.on(path, lambda x: (x.send_head(200, {"Cache-Control": "max-age=60", "Connection": "close"}),
                                    stream_body(x.send, size), x.close()))
    before = memory_kib(site.edge)
    with site.edge.http.connect() as lazy:
        lazy.send_request("GET", path, HOST)
        lazy.read_head()
        check_equal(get(site, serve(site, {"Cache-Control": "max-age=60"})).body, b"body")
        check(IS_SANITIZED or memory_kib(site.edge) - before < 24 << 10, "memory")
    wait_connections(site.edge, 0)


main(build)
