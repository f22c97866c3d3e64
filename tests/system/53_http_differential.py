#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A third of the malformed and ambiguous messages of tests/differential, which also asks the peers:
each is refused, or what is sent on is spelled in the one canonical way and is the same message to a
strict reader and to two lenient ones that decide every doubt in opposite ways."""
import os
import sys

sys.path[:0] = [os.path.join(os.path.dirname(__file__), ".."), os.path.join(os.path.dirname(__file__), "../lib")]
from differential.http_cases import ANSWERS, REQUESTS  # noqa: E402
from differential.http_peers import Ours, play_answers, play_requests  # noqa: E402
from differential.http_readers import deviations, doubts  # noqa: E402
from gslbtest import case, case_table, check, check_equal, main  # noqa: E402
from site_under_test import Site  # noqa: E402

PLAIN = b"POST / HTTP/1.1\r\nHost: a\r\n"


def build():
    site = Site()
    site.lanes = [Ours(site, number).start() for number in range(4)]
    return site


def third(cases):
    return {name: cases[name] for number, name in enumerate(cases) if number % 3 == 0 or name.startswith("00")}


@case_table({
    "two lengths": (PLAIN + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy", "framed twice"),
    "a length and a coding": (PLAIN + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "framed twice"),
    "a sign": (PLAIN + b"Content-Length: +1\r\n\r\nx", "length"), "a fold": (PLAIN + b"X: 1\r\n 2\r\n\r\n", "field line"),
    "an alias": (PLAIN + b"Content_Length: 1\r\n\r\nx", "read as"), "bare LF": (PLAIN + b"X: 1\nY: 2\r\n\r\n", "field line"),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", "hosts"), "a chunk size": (PLAIN + b"Transfer-Encoding: chunked\r\n\r\n 0\r\n\r\n", "chunk size"),
})
def the_readers_see(data, what):
    check(what in (doubts(data, True) or ""), f"{doubts(data, True)}")


@case_table({
    "a padded size": PLAIN + b"Transfer-Encoding: chunked\r\n\r\n01\r\nx\r\n0\r\n\r\n", "no space": PLAIN + b"X:1\r\n\r\n",
    "an absolute target": b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
})
def another_spelling_is_no_doubt(data):
    check_equal(doubts(data, True), None)
    check("not canonical" in deviations(data, True), f"{deviations(data, True)}")


def check_all(played, judge):
    found = [f"{name}: {judge(one) if not isinstance(one, OSError) else one!r}" for name, one in played.items()
             if isinstance(one, OSError) or judge(one)]
    check(not found, "\n".join(found))


@case
def requests(site):
    played = play_requests(site.lanes, third(REQUESTS))
    check_all(played, lambda one: one.request_doubts())
    for name in ("00 plain", "00 chunked", "00 with a length"):
        check_equal((len(played[name].forwarded), played[name].statuses()), (2, [b"200"] * 2), name)
    check(sum(not one.forwarded for one in played.values()) > 50, "many are refused")


@case
def answers(site):
    played = play_answers(site.lanes, third(ANSWERS))
    check_all(played, lambda one: one.answer_doubts())
    for name in ("00 plain", "00 chunked", "00 until it closes", "00 HEAD"):
        check_equal(played[name].statuses()[:1], [b"200"], name)
    check(sum(one.statuses()[:1] == [b"502"] for one in played.values()) > 40, "many are refused")


main(build)
