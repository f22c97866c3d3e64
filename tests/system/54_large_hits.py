#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Large bodies from the cache, which the kernel sends from a file in memory: whole, in parts, over
TLS, to a reader that is slow, and while the object goes."""
import os
import random
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, counted, edge_site  # noqa: E402
from gslbtest import case, case_table, check, check_equal, main, wait_until  # noqa: E402

BODY = random.Random(1).randbytes(3 << 20)


def build():
    site = edge_site()
    for path in ("/large", "/going"):
        site.origin.serve(path, BODY, cache_control="max-age=600")
        check(site.edge.http.get(path, host=HOST).body == BODY, "the origin's body differs")
    return site


@case_table({"plain": "http", "over TLS": "https"})
def twice_on_one_connection(site, scheme):
    client = getattr(site.edge, scheme)
    check(client.get("/large", host=HOST).body == BODY, "http and https are two keys")
    with counted(site.edge, {r'\{status="hit"\}': 2}), client.connect() as c:
        for _ in range(2):
            c.send_request("GET", "/large", HOST)
            response = c.read_head()
            check_equal(response.header("content-length"), str(len(BODY)))
            check(c.read_body(response) == BODY, "the body differs")


@case_table({
    "from the start": (0, 99), "large": (1000, 2_000_000), "small": (2_500_000, 2_500_100),
    "to the end": (len(BODY) - 300_001, len(BODY) - 1)})
def parts(site, first, last):
    response = site.edge.http.get("/large", host=HOST, headers={"Range": f"bytes={first}-{last}"})
    check_equal(response.status, 206)
    check(response.body == BODY[first:last + 1], "the part differs")


@case
def a_slow_reader_gets_all_of_an_object_that_goes(site):
    files = f"/proc/{site.edge.program.pid}/fd"

    def held():
        return sum("memfd:cache" in os.readlink(f"{files}/{fd}") for fd in os.listdir(files))
    before = held()
    check(before >= 2, "large bodies have files")
    with site.edge.http.connect(timeout_s=30) as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        c.send_request("GET", "/going", HOST)
        response = c.read_head()
        # A successful unsafe request invalidates what is stored (RFC 9111 section 4.4).
        check_equal(site.edge.http.request("POST", "/going", host=HOST, body=b"x").status, 200)
        site.origin.serve("/next", bytes(len(BODY)), cache_control="max-age=600")
        site.edge.http.get("/next", host=HOST)
        check(c.read_body(response) == BODY, "the body differs")
    wait_until(lambda: held() == before, "the file of the object that went to be closed")


main(build)
