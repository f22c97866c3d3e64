#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""edge-proxy beside nginx, HAProxy and Varnish: what does each make of a malformed message?

    http.py [-k TEXT] [NAME...]

Plays every request and every answer of http_cases.py through each proxy that is installed, or those
named, to an origin that keeps the bytes it gets, and prints as a table of Markdown what each sent on.
The sign ⚠ marks what several readers (http_readers.py) understand differently. From edge-proxy there
must be none: a case is refused, or what is sent on is spelled in the one canonical way.
-k: only cases whose name contains TEXT, with all bytes.
"""

import argparse
import collections
import os
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
# Without the script's own folder, where this file would be taken for Python's http.
sys.path[:1] = [str(TESTS), str(TESTS / "lib")]
from differential.http_cases import ANSWERS, REQUESTS  # noqa: E402
from differential.http_peers import PEERS, Ours, play_answers, play_requests  # noqa: E402
from gslbtest import cleanups  # noqa: E402
from site_under_test import Site  # noqa: E402

LANES = max(2, len(os.sched_getaffinity(0)))


def choose(names):
    known = {kind.name: kind for kind in [Ours, *PEERS]}
    if unknown := set(names) - set(known):
        sys.exit(f"no proxy {', '.join(unknown)}; they are {', '.join(known)}")
    chosen = []
    for kind in known.values():
        if names and kind.name not in names:
            continue
        if kind is Ours or kind.find():
            chosen.append(kind)
        else:
            print(f"skipped {kind.name}: not installed (Debian package {kind.package})")
    return chosen


def print_table(title, kinds, results, sketch):
    print(f"\n## {title}\n\n| case | {' | '.join(kind.name for kind in kinds)} |")
    print("|---" * (len(kinds) + 1) + "|")
    for name in results[kinds[0]]:
        cells = [str(played) if isinstance(played, OSError) else sketch(played)
                 for played in (results[kind][name] for kind in kinds)]
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in [name, *cells]) + " |")


def print_sums(kinds, results, sketch):
    print(f"\n| of {len(results[kinds[0]])} cases | {' | '.join(kind.name for kind in kinds)} |")
    print("|---" * (len(kinds) + 1) + "|")
    sums = {kind: collections.Counter(
        "ambiguous" if "⚠" in sketch(played) else "refused or lost" if refused(played) else "passed on, in one meaning"
        for played in results[kind].values() if not isinstance(played, OSError)) for kind in kinds}
    for row in ("refused or lost", "passed on, in one meaning", "ambiguous"):
        print(f"| {row} | {' | '.join(str(sums[kind][row]) for kind in kinds)} |")


def refused(played):
    statuses = played.statuses()
    return not statuses or statuses[0] >= b"400"


def show_bytes(kinds, results):
    for name in results[kinds[0]]:
        for kind in kinds:
            played = results[kind][name]
            print(f"{kind.name}: {name}\n  to the origin   {played.forwarded}\n  to the visitor  {played.answered!r}")


def find_doubts(played_by_name, judge):
    found = []
    for name, played in played_by_name.items():
        if isinstance(played, OSError):
            found.append(f"{name}: {played!r}")
        elif what := judge(played):
            found.append(f"{name}: {what}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", default="", metavar="TEXT", help="only cases whose name contains TEXT")
    parser.add_argument("names", nargs="*", metavar="NAME", help="proxies (default: all that are installed)")
    options = parser.parse_args()
    kinds, found = choose(options.names), []
    with Site() as site:
        lanes = {kind: [kind(site, number).start() for number in range(LANES)] for kind in kinds}
        for title, cases, play, judge, sketch in (
                ("Requests, as the origin gets them", REQUESTS, play_requests, "request_doubts", "sketch_request"),
                ("Answers, as the visitor gets them", ANSWERS, play_answers, "answer_doubts", "sketch_answer")):
            chosen = {name: case for name, case in cases.items() if options.k in name}
            if not chosen:
                continue
            results = {kind: play(lanes[kind], chosen) for kind in kinds}
            results = {kind: {name: played[name] for name in chosen} for kind, played in results.items()}
            if options.k:
                show_bytes(kinds, results)
            print_table(title, kinds, results, lambda played, sketch=sketch: getattr(played, sketch)())
            print_sums(kinds, results, lambda played, sketch=sketch: getattr(played, sketch)())
            if Ours in results:
                found += find_doubts(results[Ours], lambda played, judge=judge: getattr(played, judge)())
    print("\n" + "\n".join(found + [f"{len(found)} doubts about what edge-proxy sent"]))
    return 1 if found else 0


if __name__ == "__main__":
    try:
        code = main()
    finally:
        for clean_up in cleanups:
            clean_up()
    sys.exit(code)
