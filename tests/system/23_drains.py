#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Edges that operators drain, at the node or at the edge, and what outlives a restart."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from gslbtest import case, case_table, check, check_equal, check_in, main, wait_until  # noqa: E402
from fake_site import answer_of, build_site, fake_of, wait_answer  # noqa: E402
from site_under_test import Site, edge_state, edge_status  # noqa: E402


@case
def drain_and_undrain_by_gslbctl():
    with build_site() as site:
        result = site.ctl("drain", "eu-west-1", "--reason", "new disks")
        check_equal((result.returncode, result.stderr), (0, ""))
        check_in("eu-west-1 is draining", result.stdout)
        wait_answer(site, {"127.0.0.12"}, "the edge to leave", timeout_s=1)
        said = edge_status(site.dns.status(), "eu-west-1")
        check_equal((said["state"], said["reason"], said["is_usable"]), ("draining", "new disks", False))
        fake = fake_of(site, "eu-west-1")
        wait_until(lambda: fake.commands == [(True, "new disks")], "the edge to be told")
        check_in("operator drains edge=eu-west-1", site.dns.program.wait_log("operator drains"))
        out = site.ctl("explain", "www.example.com", "185.2.100.1").stdout
        check(re.search(r"eu-west .*draining.*new disks", out), out)
        check_equal(site.ctl("undrain", "eu-west-1").returncode, 0)
        wait_answer(site, {"127.0.0.11"}, "the edge to be back")
        wait_until(lambda: len(fake.commands) == 2 and not fake.commands[1][0], "the edge to be told")


@case
def drains_are_answered_when_they_are_served():
    def edit(config):
        config["services"].update({f"s{i}.example.com": {} for i in range(300)})
    with build_site(edit=edit) as site:
        for _ in range(5):
            check_equal(site.ctl("drain", "eu-west-1").returncode, 0)
            check_equal(answer_of(site, name="s299.example.com"), {"127.0.0.12"})
            check_equal(site.ctl("undrain", "eu-west-1").returncode, 0)
            wait_answer(site, {"127.0.0.11"}, "the edge to report well again")


@case
def drain_survives_a_restart():
    with build_site() as site:
        check_equal(site.ctl("drain", "eu-west-1", "--reason", "new disks, \"quoted\" ünd").returncode, 0)
        text = (site.path("ns1.state")).read_text()
        check_in("drain eu-west-1 new disks", text)
        site.dns.kill()
        site.dns.start()
        check_equal(edge_state(site.dns.status(), "eu-west-1"), "draining")
        check_equal(answer_of(site), {"127.0.0.12"}, "from the first answer on")
        site.wait_edge("us-east-1", "up")
        # Double quotes would end the reason in a log line: they become single ones.
        check_equal(edge_status(site.dns.status(), "eu-west-1")["reason"], "new disks, 'quoted' ünd")
        check_equal(site.ctl("undrain", "eu-west-1").returncode, 0)
        site.dns.stop()
        site.dns.start()
        wait_answer(site, {"127.0.0.11"}, "the edge, undrained for good")


@case
def drain_ends_when_its_time_is_over():
    with build_site() as site:
        check_equal(site.ctl("drain", "eu-west-1", "--reason", "new disks", "--for", "1h").returncode, 0)
        check(re.fullmatch(r"new disks \(until 20\d\d-\d\d-\d\dT[\d:]+Z\)",
                           edge_status(site.dns.status(), "eu-west-1")["reason"]), "the end is shown")
        text = site.path("ns1.state").read_text()
        end = int(re.search(r"^drain-until (\d+) eu-west-1 new disks$", text, re.M)[1])
        check(abs(end - time.time() - 3600) < 60, text)
        site.dns.stop()
        # While the node was away an hour has passed but for some seconds.
        site.path("ns1.state").write_text(text.replace(str(end), str(int(time.time()) + 8)))
        site.dns.start()
        check_equal(edge_state(site.dns.status(), "eu-west-1"), "draining")
        site.dns.program.wait_log("the time of a drain is over edge=eu-west-1", timeout_s=30)
        site.wait_edge("eu-west-1", "up")
        check("eu-west-1" not in site.path("ns1.state").read_text(), "it is forgotten")
        fake = fake_of(site, "eu-west-1")
        wait_until(lambda: fake.commands and not fake.commands[-1][0], "the edge to be told")
        result = site.ctl("drain", "eu-west-1", "--for", "soon")
        check_equal(result.returncode, 2)
        check_in("--for takes a time such as 30m", result.stderr)


@case
def drain_of_an_edge_that_is_away():
    with build_site(silent=["eu-west-1"]) as site:
        check_in("not connected", site.ctl("drain", "eu-west-1").stdout)
        fake = site.add_fake_edge("eu-west-1")
        wait_until(lambda: fake.commands == [(True, "")], "it to be told")
        check_equal(edge_state(site.dns.status(), "eu-west-1"), "draining")
        fake.stop()
        check_equal(site.ctl("undrain", "eu-west-1").returncode, 0)
        back = site.add_fake_edge("eu-west-1", is_draining=True, drain_reason="as told")
        wait_until(lambda: back.commands == [(False, "")], "it to be told of the undrain")
        site.wait_edge("eu-west-1", "up")


@case
def edge_that_drains_itself():
    with build_site() as site:
        fake = fake_of(site, "eu-west-1")
        fake.say(is_draining=True, drain_reason="edge's own operator")
        wait_answer(site, {"127.0.0.12"}, "the edge to leave")
        check_equal(edge_status(site.dns.status(), "eu-west-1")["reason"], "edge's own operator")
        fake.say(is_draining=False)
        wait_answer(site, {"127.0.0.11"}, "the edge to be back, without a run", timeout_s=1)


@case
def undrain_at_the_edge_counts():
    """The newest word: the node drained it, later somebody undrained it at the edge."""
    with build_site() as site:
        site.ctl("drain", "eu-west-1")
        fake = fake_of(site, "eu-west-1")
        wait_until(lambda: fake.said.get("is_draining"), "the edge to obey")
        fake.wait_acked(2)
        fake.say(is_draining=False)
        wait_answer(site, {"127.0.0.11"}, "the edge to be back")
        site.dns.program.wait_log("undrained elsewhere")
        check("eu-west-1" not in site.path("ns1.state").read_text(), "forgotten in the state file")


@case_table({"typo": ("eu-wset-1", "did you mean 'eu-west-1'"), "unknown": ("nowhere", "no edge 'nowhere'"),
             "region": ("eu-west", "no edge 'eu-west'"), "empty": ("", "no edge ''")})
def drain_of_what_is_no_edge(name, words):
    with Site() as site:
        site.add_dns("ns1").start()
        for command in ("drain", "undrain"):
            result = site.ctl(command, name)
            check_equal(result.returncode, 1)
            check_in(words, result.stderr)


@case
def state_file_with_rubbish_is_skipped_line_by_line():
    with Site() as site:
        site.path("ns1.state").write_text("# ok\nnonsense\ndrain\ndrain eu-west-1 kept\n\0\xff\n")
        site.add_dns("ns1").start()
        check_equal(edge_state(site.dns.status(), "eu-west-1"), "draining")
        check(re.search(r"ns1\.state:2\b", site.dns.program.log()), site.dns.program.log())


main()
