#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A crash leaves no private keys behind, unless the operator wants to see what it left."""
import os
import pathlib
import re
import resource
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from gslbtest import case_table, check, check_equal, main  # noqa: E402
from site_under_test import Site  # noqa: E402

# What starts with a limit of zero anyway would show nothing; nor would a sanitizer that sets one.
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
for name in ("ASAN_OPTIONS", "TSAN_OPTIONS"):
    os.environ[name] = ":".join(filter(None, (os.environ.get(name), "disable_coredump=0")))


def core_limit(pid):
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    return re.search(r"^Max core file size +(\S+)", limits, re.M)[1]


def build(program, *options):
    """A site with one of these; returns the site and its node."""
    site = Site()
    origin = site.add_origin()
    if program == "gslb-dns":
        node = site.add_dns("ns1")
    else:
        node = site.add_edge("eu-west-1", [origin])
    node.program.argv += options
    node.start()
    return site, node


@case_table({"gslb-dns": "gslb-dns", "edge-proxy": "edge-proxy"})
def crash_leaves_no_core(program):
    check(core_limit(os.getpid()) != "0", "the test itself may leave one")
    site, node = build(program)
    with site:
        check_equal(core_limit(node.program.pid), "0", "limit")
        os.kill(node.program.pid, signal.SIGABRT)
        end = os.waitid(os.P_PID, node.program.pid, os.WEXITED | os.WNOWAIT)
        check_equal((end.si_status, end.si_code), (signal.SIGABRT, os.CLD_KILLED),
                    "killed, and not dumped")
        node.kill()


@case_table({"gslb-dns": "gslb-dns", "edge-proxy": "edge-proxy"})
def operator_may_want_one(program):
    site, node = build(program, "--core-dumps")
    with site:
        check_equal(core_limit(node.program.pid), core_limit(os.getpid()), "limit")


main()
