#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Purges: by URL, prefix, host and tag, hard and soft, at the socket of an edge."""
import itertools
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, edge_site, total  # noqa: E402
from gslbtest import case, case_table, check, check_equal, check_in, main, wait_until  # noqa: E402

OTHER, SHOWN = "other.example.com", "shown.example.com"


def edit(config, site):
    config["sites"][HOST]["aliases"] += [OTHER]
    config["sites"][SHOWN] = {"tag-fields": ["X-Tags"], "show-tags": True, "routes": {"/": "app"}}


def build():
    return edge_site(edit)


_numbers = itertools.count()


def serve(site, tags="", more=(), path=None):
    """A path whose body says how often the origin has been asked."""
    path = path or f"/dir{next(_numbers)}/page"
    counter = itertools.count(1)
    headers = [("Cache-Control", "max-age=600"), ("ETag", '"1"'), *more]
    if tags:
        headers.append(("Surrogate-Key", tags))
    site.origin.on(path, lambda x: x.reply(200, headers, str(next(counter)).encode()))
    return path


def body(site, path, host=HOST, headers=()):
    return site.edge.http.get(path, headers=headers, host=host).body.decode()


def purge(site, *args, code=0):
    result = site.edge.ctl("purge", *args)
    check_equal(result.returncode, code, f"{args}: {result.stdout}{result.stderr}")
    return result.stdout + result.stderr


@case
def by_url_all_variants(site):
    path = serve(site, more=[("Vary", "X-Kind")])
    query = path + "?q=1"
    for kind in ("a", "b"):
        body(site, path, headers=[("X-Kind", kind)])
    check_equal([body(site, path, headers=[("X-Kind", kind)]) for kind in ("a", "b")], ["1", "2"])
    check_equal(body(site, query), "3")
    check_in("1 item", purge(site, "url", f"https://{HOST}{path}"))
    check_equal([body(site, path, headers=[("X-Kind", kind)]) for kind in ("b", "a")], ["4", "5"])
    check_in("; hit", site.edge.http.get(query).header("cache-status"))


@case
def by_prefix_and_host(site):
    a, b, c = (serve(site, path=path) for path in ("/news/1", "/news/2", "/newspaper"))
    for path in (a, b, c):
        check_equal([body(site, path), body(site, path), body(site, path, OTHER)], ["1", "1", "2"])
    purge(site, "prefix", f"{HOST}/news/")
    check_equal([body(site, path) for path in (a, b, c)], ["3", "3", "1"])
    check_equal([body(site, path, OTHER) for path in (a, b, c)], ["2", "2", "2"])
    purge(site, "host", OTHER.upper())
    check_equal([body(site, path) for path in (a, b, c)], ["3", "3", "1"])
    check_equal([body(site, path, OTHER) for path in (a, b, c)], ["4", "4", "3"])


@case
def by_tag(site):
    a, b, c = serve(site, "page product-1"), serve(site, "page,product-2"), serve(site, "other")
    response = site.edge.http.get(a)
    check_equal((response.header("surrogate-key"), response.body), (None, b"1"), "tags are not for visitors")
    for path in (b, c):
        check_equal(body(site, path), "1")
    check_equal(site.edge.http.get(a).header("surrogate-key"), None)
    purge(site, "tag", "product-1")
    check_equal([body(site, path) for path in (a, b, c)], ["2", "1", "1"])
    check_in("2 items", purge(site, "tag", "product-2", "other"))
    check_equal([body(site, path) for path in (a, b, c)], ["2", "2", "2"])
    purge(site, "tag", "page")
    check_equal([body(site, path) for path in (a, b, c)], ["3", "3", "2"])


@case
def tags_in_other_fields_and_shown(site):
    path = serve(site, "not-a-tag-here", more=[("X-Tags", "t")])
    response = site.edge.http.get(path, host=SHOWN)
    check_equal((response.header("x-tags"), response.header("surrogate-key")), ("t", "not-a-tag-here"))
    purge(site, "tag", "not-a-tag-here")
    check_equal(site.edge.http.get(path, host=SHOWN).header("x-tags"), "t")
    check_equal(body(site, path, SHOWN), "1")
    purge(site, "tag", "t")
    check_equal(body(site, path, SHOWN), "2")


@case
def what_is_not_stored_hides_its_tags_too(site):
    path = f"/dir{next(_numbers)}/page"
    site.origin.on(path, lambda x: x.reply(200, [("Cache-Control", "no-store"), ("Cache-Tag", "t")], b""))
    check_equal(site.edge.http.get(path).header("cache-tag"), None)


@case
def everything(site):
    paths = [serve(site) for _ in range(3)]
    check_equal([body(site, path) for path in paths], ["1"] * 3)
    purge(site, "all")
    check_equal([body(site, path) for path in paths], ["2"] * 3)
    check_equal([body(site, path) for path in paths], ["2"] * 3)


@case
def softly(site):
    """What was purged softly is validated, or serves while it is refreshed, or the origin fails."""
    asked = []
    path = f"/dir{next(_numbers)}/page"

    def answer(x):
        asked.append(x.request.headers.get("if-none-match"))
        x.reply(304 if asked[-1] else 200, [("Cache-Control", "max-age=600"), ("ETag", '"1"')],
                b"" if asked[-1] else b"body")

    site.origin.on(path, answer)
    check_equal(body(site, path), "body")
    purge(site, "url", HOST + path, "--soft")
    response = site.edge.http.get(path)
    check_equal((response.body, asked), (b"body", [None, '"1"']))
    check_in("fwd=stale", response.header("cache-status"))
    check_in("; hit", site.edge.http.get(path).header("cache-status"))

    stale = serve(site, more=[("Cache-Control", "stale-while-revalidate=600")])
    body(site, stale)
    purge(site, "url", HOST + stale, "--soft")
    check_equal(body(site, stale), "1", "the stale one, while it is refreshed")
    wait_until(lambda: body(site, stale) == "2", "the refresh")

    failing = serve(site, "t-failing", more=[("Cache-Control", "stale-if-error=600")])
    body(site, failing)
    site.origin.on(failing, lambda x: x.reply(503, [], b"down"))
    purge(site, "tag", "t-failing", "--soft")
    check_equal(body(site, failing), "1", "the stale one, for want of a better")
    purge(site, "tag", "t-failing")
    check_equal(body(site, failing), "down", "gone is gone")


@case
def a_fetch_under_way_is_subject_to_it(site):
    path = f"/dir{next(_numbers)}/page"
    counter = itertools.count(1)
    headers = [("Cache-Control", "max-age=600"), ("Surrogate-Key", "late")]
    for args in (("url", HOST + path), ("tag", "late")):
        site.origin.on(path, lambda x: x.reply(200, headers, str(next(counter)).encode()))
        gate = site.origin.gate(path)
        bodies = []
        threads = [threading.Thread(target=lambda: bodies.append(body(site, path))) for _ in range(3)]
        threads[0].start()
        gate.wait_for()
        purge(site, *args)
        for thread in threads[1:]:  # they may wait for that fetch, and must not get what it brings
            thread.start()
        gate.open()
        for thread in threads:
            thread.join()
        check(len(set(bodies)) == 2 and len(bodies) == 3, f"{args}: {bodies}")
        purge(site, "url", HOST + path)


@case_table({"what": (["nothing"], "usage", 2), "no url": (["url"], "usage", 2), "all of what": (["all", "x"], "usage", 2),
             "no host": (["url", "/x"], "cannot purge '/x'", 1), "host with path": (["host", "a/b"], "not a host", 1),
             "one of two": (["url", f"{HOST}/kept", "/x"], "cannot purge '/x'", 1),
             "tag": (["tag", "a,b"], "comma", 1)})
def refused(site, args, words, code):
    before = total(site.edge.metrics(), "edge_cache_purges_total")
    check_in(words, purge(site, *args, code=code))
    check_equal(total(site.edge.metrics(), "edge_cache_purges_total"), before)


@case
def counted(site):
    before = site.edge.metrics()
    path = serve(site)
    for args in ([], ["--soft"]):
        body(site, path)
        purge(site, "url", HOST + path, *args)
    body(site, path)
    after = site.edge.metrics()
    for name, more in (("edge_cache_purges_total", 2), ("edge_cache_purged_total", 1),
                       ("edge_cache_purged_softly_total", 1), ("edge_cache_purges_coarsened_total", 0)):
        check_equal(after[name] - before[name], more, name)


if __name__ == "__main__":
    main(build)
