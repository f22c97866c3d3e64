#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The cache's disk: what was asked for twice outlives memory, restarts, crashes and upgrades; what was
replaced or invalidated does not; and a disk that is full, damaged, foreign or gone costs hits only."""
import contextlib
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import edge_site, in_threads  # noqa: E402
from gslbtest import case, case_table, check, check_equal, check_in, main, wait_until  # noqa: E402

KEEPS = "max-age=3600"
SIZE = 48 << 20
STATE = 'edge_cache_disk_state{state="%s"}'


def edit(config, site):
    config["cache"] = {"memory": "8MiB", "max-object": "2MiB",
                       "disk": {"file": str(store(site)), "size": SIZE, "object-size": "4KiB"}}


def build():
    return edge_site(edit)


def store(site):
    return site.path("store")


def body_of(path, version, n):
    return random.Random(f"{path} {version}").randbytes(n)


def serve(site, path, version=1, n=3000):
    body = body_of(path, version, n)
    site.origin.serve(path, body, cache_control=KEEPS)
    return body


def get(site, path, headers=()):
    return site.edge.http.get(path, headers=headers)


def is_ready(site):
    return site.edge.metrics()[STATE % "ready"] == 1


def wait_ready(site):
    wait_until(lambda: is_ready(site), "the disk to be ready")


def wait_written(site, n):
    """Until n more responses than before are on the disk."""
    before = site.edge.metrics()["edge_cache_disk_writes_total"]
    yield
    wait_until(lambda: site.edge.metrics()["edge_cache_disk_writes_total"] >= before + n, "it to be written")


written = contextlib.contextmanager(wait_written)


def fill(site, paths, n=3000, version=1):
    """Asks for each twice, so that the disk has it."""
    bodies = {}
    with written(site, len(paths)):
        for path in paths:
            bodies[path] = serve(site, path, version, n)
            for _ in range(2):
                check_equal(get(site, path).body, bodies[path])
    return bodies


def restart(site, crash=False):
    site.edge.kill() if crash else site.edge.stop()
    site.edge.start()
    wait_ready(site)


def check_hits(site, bodies, least=None):
    """All (or so many at least) are served without the origin, and none is other than it was."""
    hits = 0
    asked = sum(site.origin.count(path) for path in bodies)
    for path, body in bodies.items():
        answer = get(site, path)
        check_equal(answer.body, body, path)
        hits += "; hit" in answer.header("cache-status")
    check(hits >= (len(bodies) if least is None else least), f"{hits} hits of {len(bodies)}")
    check_equal(sum(site.origin.count(path) for path in bodies) - asked, len(bodies) - hits)


# ---- What stays

@case_table({
    "after a stop": False,
    "after kill -9": True,
})
def a_restart_is_warm(site, crash):
    bodies = fill(site, [f"/warm/{crash}/{i}" for i in range(40)])
    bodies |= fill(site, [f"/warm/{crash}/empty"], n=0)
    bodies |= fill(site, [f"/warm/{crash}/large"], n=1_900_000)
    restart(site, crash)
    check_hits(site, bodies)
    check_hits(site, bodies)            # now from memory


@case
def what_was_asked_for_once_is_not_written(site):
    with written(site, 1):
        serve(site, "/once")
        get(site, "/once")
        fill(site, ["/twice"])
    restart(site)
    check("; hit" not in get(site, "/once").header("cache-status"), "/once was on the disk")


@case
def what_memory_has_no_room_for_comes_from_the_disk(site):
    bodies = fill(site, [f"/many/{i}" for i in range(120)], n=200_000)     # 24 MB
    check_hits(site, bodies, least=100)
    check(site.edge.metrics()["edge_cache_disk_reads_total"] > 50, "they came from the disk")


@case
def many_visitors_cost_one_read(site):
    bodies = fill(site, ["/crowd"], n=500_000)
    restart(site)
    before = site.edge.metrics()["edge_cache_disk_reads_total"]
    answers = in_threads(20, lambda i: get(site, "/crowd"))
    check_equal({a.body for a in answers}, set(bodies.values()))
    check_equal(site.origin.count("/crowd"), 1)
    check_equal(site.edge.metrics()["edge_cache_disk_reads_total"] - before, 1)


@case
def fields_age_and_variants_are_kept(site):
    def answer(x):
        lang = x.request.headers.get("accept-language", "none")
        x.reply(200, {"Cache-Control": KEEPS, "Vary": "Accept-Language", "ETag": f'"{lang}"', "X-Lang": lang,
                      "Age": "100", "Last-Modified": "Mon, 23 Nov 2026 10:00:00 GMT"}, lang.encode())
    site.origin.on("/vary", answer)
    with written(site, 2):
        for _ in range(2):
            for lang in ("de", "fr"):
                get(site, "/vary", headers=[("Accept-Language", lang)])
    restart(site)
    asked = site.origin.count("/vary")
    for lang in ("de", "fr"):
        r = get(site, "/vary", headers=[("Accept-Language", lang)])
        check_equal((r.body, r.header("x-lang"), r.header("etag")), (lang.encode(), lang, f'"{lang}"'))
        check(int(r.header("age")) >= 100, f"Age: {r.header('age')}")
        r = get(site, "/vary", headers=[("Accept-Language", lang), ("If-None-Match", f'"{lang}"')])
        check_equal(r.status, 304)
    check_equal(site.origin.count("/vary"), asked)
    # A variant that the disk has not is fetched.
    check_equal(get(site, "/vary", headers=[("Accept-Language", "nl")]).body, b"nl")


@case
def ranges_are_served_from_it(site):
    bodies = fill(site, ["/range"], n=300_000)
    restart(site)
    r = get(site, "/range", headers=[("Range", "bytes=70000-70009")])
    check_equal((r.status, r.body), (206, bodies["/range"][70000:70010]))


# ---- What does not

@case_table({
    "after a stop": False,
    "after kill -9": True,
})
def what_was_replaced_does_not_come_back(site, crash):
    path = f"/replaced/{crash}"
    fill(site, [path], version=1)
    site.origin.on(path, lambda x: x.reply(200, {"Cache-Control": KEEPS}, b"posted"))
    check_equal(site.edge.http.request("POST", path, body=b"x").status, 200)      # RFC 9111 section 4.4
    bodies = fill(site, [path], version=2)
    restart(site, crash)
    check_hits(site, bodies)


@case
def what_was_invalidated_does_not_come_back(site):
    fill(site, ["/gone", "/stays"])
    site.origin.on("/gone", lambda x: x.reply(200, {"Cache-Control": "no-store"}, b"new"))
    check_equal(site.edge.http.request("POST", "/gone", body=b"x").status, 200)
    check_equal(get(site, "/gone").body, b"new")
    restart(site)
    check_equal(get(site, "/gone").body, b"new")
    check_in("; hit", get(site, "/stays").header("cache-status"))


# ---- What may go wrong

@case
def a_damaged_file_serves_nothing_wrong(site):
    bodies = fill(site, [f"/damage/{i}" for i in range(60)], n=20_000)
    site.edge.kill()
    rng = random.Random(7)
    with open(store(site), "r+b") as f:
        for _ in range(3000):
            f.seek(rng.randrange(4096, SIZE // 4))
            f.write(rng.randbytes(1))
    site.edge.start()
    wait_ready(site)
    check_hits(site, bodies, least=0)


@case
def the_file_goes_while_it_is_used(site):
    bodies = fill(site, [f"/unlinked/{i}" for i in range(10)])
    os.unlink(store(site))
    check_hits(site, bodies, least=10)
    restart(site)                       # with a new one
    check_hits(site, bodies, least=0)


@case
def a_file_of_something_else_is_left_alone(site):
    site.edge.stop()
    other = site.path("precious")
    other.write_bytes(b"not a cache")
    site.edge.config["cache"]["disk"]["file"] = str(other)
    site.edge.start()
    site.edge.program.wait_log(r"precious is not used: it holds something else")
    body = serve(site, "/foreign")
    for _ in range(3):
        check_equal(get(site, "/foreign").body, body)
    check_equal(other.read_bytes(), b"not a cache")
    site.edge.stop()
    site.edge.config["cache"]["disk"]["file"] = str(store(site))
    site.edge.start()
    wait_ready(site)


@case
def a_file_system_without_room_costs_hits_only(site):
    site.edge.stop()
    site.edge.config["cache"]["disk"].update({"size": "64TiB", "object-size": "1MiB"})
    site.edge.start()
    site.edge.program.wait_log(r"store is not used: (No space left|File too large)")
    body = serve(site, "/no-room")
    for _ in range(3):
        check_equal(get(site, "/no-room").body, body)
    site.edge.stop()
    site.edge.config["cache"]["disk"].update({"size": SIZE, "object-size": "4KiB"})
    site.edge.start()
    wait_ready(site)


@case
def a_new_size_is_told_and_counts_from_the_next_start(site):
    mark = site.edge.program.mark()
    site.edge.config["cache"]["disk"]["size"] = SIZE // 2
    site.edge.reload()
    site.edge.program.wait_log(r"the cache's disk changes with the next start or upgrade", since=mark)
    check_equal(os.stat(store(site)).st_size, SIZE)
    restart(site)
    check_equal(os.stat(store(site)).st_size, SIZE // 2)


if __name__ == "__main__":
    main(build)
