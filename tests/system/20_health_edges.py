#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Edges that fall silent, confess, lie, flap, drain and come back, and what clients are answered."""
import json
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.rcode  # noqa: E402

from dns_client import addresses_of, ede_of, records_of  # noqa: E402
from fake_site import AMERICAN, EDGES, IRISH, answer_of, build_site, fake_of, wait_answer  # noqa: E402
from fake_edge import ChannelLink, frame, hello, message, report  # noqa: E402
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, main,  # noqa: E402
                      wait_until)
from site_under_test import Site, edge_state, edge_status  # noqa: E402

def default_thresholds(config):
    config["health"] = {"keep-last-view": "off"}


@case_table({"killed": lambda fake: fake.stop(), "stalled": lambda fake: fake.mute(),
             "cannot serve": lambda fake: fake.say(can_serve=False, reason="all origins down")})
def leaves_within_4_seconds(fail):
    with build_site(default_thresholds) as site:
        check_equal(answer_of(site), {"127.0.0.11"}, "before")
        fail(fake_of(site, "eu-west-1"))
        took = wait_answer(site, {"127.0.0.12"}, "the edge to leave", timeout_s=5)
        check(took < 4 or PATIENCE > 1, f"it took {took:.1f} s")
        site.wait_edge("eu-west-1", "down")
        check_equal(answer_of(site, AMERICAN), {"127.0.0.12"}, "others are not touched")
        line = site.dns.program.wait_log(r"health: edge is down edge=eu-west-1 was=up reason=")
        said = edge_status(site.dns.status(), "eu-west-1")
        check_in(said["reason"].split(":")[0], line)
        check_equal((said["state"], said["is_usable"]), ("down", False))
        check_equal(site.dns.metrics()['gslb_edge_usable{edge="eu-west-1",region="eu-west"}'], 0)
        check_equal(site.dns.metrics()['gslb_edge_state{edge="eu-west-1",region="eu-west"}'], 2)


@case
def confession_takes_effect_at_once():
    with build_site(default_thresholds) as site:
        fake_of(site, "eu-west-1").say(can_serve=False, reason="disk full")
        took = wait_answer(site, {"127.0.0.12"}, "the edge to leave")
        check(took < 0.5 * PATIENCE, f"it took {took:.2f} s")
        check_equal(edge_status(site.dns.status(), "eu-west-1")["reason"], "disk full")


@case
def comes_back_after_a_steady_run():
    with build_site(lambda c: c["health"].update({"up-threshold": 6})) as site:
        fake = fake_of(site, "eu-west-1")
        fake.say(can_serve=False, reason="x")
        wait_answer(site, {"127.0.0.12"}, "the edge to leave")
        since = fake.sequence
        fake.say(can_serve=True)
        site.wait_edge("eu-west-1", "rising")
        check_equal(answer_of(site), {"127.0.0.12"}, "not yet")
        wait_answer(site, {"127.0.0.11"}, "the edge to be back")
        check(fake.sequence - since >= 6, f"after {fake.sequence - since} reports")
        lines = site.dns.program.log_lines("health: edge is .*eu-west-1")
        states = [re.search(r"edge is (\w+)", line)[1] for line in lines]
        check_equal(states, ["up", "down", "rising", "up"])


@case
def burst_of_good_reports_does_not_lift_an_edge():
    """A stuck link that delivers what had queued up."""
    with build_site(lambda c: c["health"].update({"up-threshold": 5}), silent=["eu-west-1"]) as site:
        with ChannelLink(site.dns, site.certs.node("edge", "eu-west-1")) as link:
            link.send(frame(hello=hello()) + frame(report=report(1, can_serve=False, reason="x")))
            site.wait_edge("eu-west-1", "down")
            link.send(b"".join(frame(report=report(i)) for i in range(2, 40)))
            site.wait_edge("eu-west-1", "rising")
            check_equal(answer_of(site), {"127.0.0.12"})


@case
def down_threshold_forgives_single_bad_reports():
    with build_site(lambda c: c["health"].update({"down-threshold": 3})) as site:
        fake = fake_of(site, "eu-west-1")
        fake.every_s = 60
        for _ in range(4):
            fake.say(can_serve=False, reason="hiccup")
            fake.say(can_serve=False)
            fake.say(can_serve=True)
        fake.wait_acked(0)
        check_equal(edge_state(site.dns.status(), "eu-west-1"), "up")
        for _ in range(3):
            fake.say(can_serve=False, reason="real")
        site.wait_edge("eu-west-1", "down")


@case
def reconnecting_edge_stays():
    with build_site(lambda c: c["health"].update({"stale-after": "4s"})) as site:
        fake = fake_of(site, "eu-west-1")
        for n in range(2, 6):
            fake.link.close()
            wait_until(lambda n=n: fake.connects >= n, "it to connect again")
            fake.wait_acked()
            check_equal(answer_of(site), {"127.0.0.11"})
        check_equal(edge_state(site.dns.status(), "eu-west-1"), "up")
        check(not site.dns.program.log_lines("edge is down"), "it never was down")


@case
def second_edge_of_a_region_takes_over():
    def edit(config):
        config["regions"]["eu-west"]["edges"]["eu-west-2"] = ["127.0.0.21"]
    with build_site(edit) as site:
        site.add_fake_edge("eu-west-2")
        site.wait_edge("eu-west-2", "up")
        wait_answer(site, {"127.0.0.11", "127.0.0.21"}, "both")
        fake_of(site, "eu-west-1").stop()
        wait_answer(site, {"127.0.0.21"}, "the other one")
        check_equal(site.ctl("status").returncode, 0, "no region is without a usable edge")
        fake_of(site, "eu-west-2").stop()
        wait_answer(site, {"127.0.0.12"}, "the next region")
        check_equal(site.ctl("status").returncode, 1, "exit code of status")


def all_down_services(config):
    zone = config["zones"]["example.com"]
    with open(zone, "a", encoding="ascii") as out:
        out.write("to-refuse CNAME refuse\n")
    config["services"] = {
        "www.example.com": {"ttl": "5s"},
        "refuse.example.com": {"all-down": "refuse"},
        "nodata.example.com": {"all-down": "nodata"},
        "fallback.example.com": {"all-down": "fallback", "fallback": ["192.0.2.99", "2001:db8::99"]},
        "fallback4.example.com": {"all-down": "fallback", "fallback": ["192.0.2.98"]}}


@case
def each_all_down_setting():
    with build_site(all_down_services) as site:
        for fake in site.fakes:
            fake.say(can_serve=False, reason="gone")
        for name in EDGES:
            site.wait_edge(name, "down")
        before = site.dns.metrics()["gslb_dns_all_down_total"]
        got = site.dns.query("www.example.com", subnet=IRISH)
        check_equal(addresses_of(got), {"127.0.0.11"}, "serve-all: as if all were up")
        check_in("every edge", ede_of(got)[1])
        got = site.dns.query("refuse.example.com", subnet=IRISH)
        check_equal((dns.rcode.to_text(got.rcode()), records_of(got)), ("REFUSED", set()))
        check(not got.flags & 0x0400, "not authoritative")
        got = site.dns.query("nodata.example.com")
        check_equal((dns.rcode.to_text(got.rcode()), records_of(got)), ("NOERROR", set()))
        check_equal([str(r.name) for r in got.authority], ["example.com."], "SOA")
        check_equal(site.dns.addresses("fallback.example.com"), {"192.0.2.99"})
        check_equal(site.dns.addresses("fallback.example.com", "AAAA"), {"2001:db8::99"})
        check_equal(site.dns.addresses("fallback4.example.com"), {"192.0.2.98"})
        got = site.dns.query("fallback4.example.com", "AAAA")
        check_equal((dns.rcode.to_text(got.rcode()), records_of(got)), ("NOERROR", set()))
        check_equal(site.dns.query("to-refuse.example.com").rcode(), 5, "at the end of a chain")
        check_equal(site.dns.query("nodata.example.com", "TXT").rcode(), 0, "other types as ever")
        wait_until(lambda: site.dns.metrics()["gslb_dns_all_down_total"] >= before + 8, "the counter")
        for name, words in (("www", "serve-all"), ("refuse", "REFUSED"), ("nodata", "empty answer"),
                            ("fallback", "fallback")):
            out = site.ctl("explain", f"{name}.example.com", "185.2.100.1").stdout
            check_in(words, out, "explain")
        for fake in site.fakes:
            fake.say(can_serve=True)
        for name in EDGES:
            site.wait_edge(name, "up")
        check_equal(site.dns.addresses("refuse.example.com", subnet=IRISH), {"127.0.0.11"})


@case
def fail_static_when_all_fall_silent_at_once():
    def edit(config):
        config["health"]["keep-last-view"] = "10m"
    with build_site(edit) as site:
        fake_of(site, "ap-northeast-1").say(can_serve=False, reason="truly down")
        site.wait_edge("ap-northeast-1", "down")
        for fake in site.fakes:
            fake.mute()
        site.dns.program.wait_log("all edges were lost at once")
        status = site.dns.status()
        check(status["is_self_suspect"], "the status says so")
        check_equal([edge_status(status, n)["is_kept"] for n in EDGES], [True, True, False])
        check_equal(answer_of(site), {"127.0.0.11"}, "the last good view")
        check_equal(answer_of(site, "133.11.0.0/16") & {"127.0.0.13"}, set(), "not who was down before")
        check_equal(site.dns.metrics()["gslb_health_self_suspect"], 1)
        text = site.ctl("status").stdout
        check_in("keeps its last good view", text)
        check(re.search(r"us-east-1 +down \(kept\)", text), text)
        for fake in site.fakes:
            fake.mute(False)
        site.wait_edge("eu-west-1", "up")
        site.wait_edge("us-east-1", "up")
        wait_until(lambda: not site.dns.status()["is_self_suspect"], "the suspicion to end")
        check_equal(answer_of(site), {"127.0.0.11"})


@case
def fail_static_ends_after_keep_last_view():
    def edit(config):
        config["health"]["keep-last-view"] = f"{1500 * PATIENCE}ms"
        config["services"]["www.example.com"]["all-down"] = "refuse"
    with build_site(edit) as site:
        for fake in site.fakes:
            fake.mute()
        site.dns.program.wait_log("all edges were lost at once")
        check_equal(answer_of(site), {"127.0.0.11"}, "kept")
        wait_until(lambda: site.dns.rcode("www.example.com") == "REFUSED", "the end of it")
        check(not site.dns.status()["is_self_suspect"], "no suspicion any more")


@case
def fail_static_can_be_off():
    with build_site(lambda c: c["services"]["www.example.com"].update({"all-down": "refuse"})) as site:
        for fake in site.fakes:
            fake.mute()
        wait_until(lambda: site.dns.rcode("www.example.com") == "REFUSED", "all down")
        check(not site.dns.program.log_lines("lost at once"), "nothing is kept")


@case
def node_that_was_stopped_does_not_blame_the_edges():
    with build_site() as site:
        site.dns.program.signal(signal.SIGSTOP)
        # Longer than stale-after: so many reports go unheard.
        for fake in site.fakes:
            wait_until(lambda f=fake: (f.sequence - f.acked) * f.every_s > 2.5 * PATIENCE,
                       f"reports of {fake.name} that nobody acknowledges")
        site.dns.program.signal(signal.SIGCONT)
        check_equal(answer_of(site), {"127.0.0.11"})
        for fake in site.fakes:
            fake.wait_acked(2)
        check(not site.dns.program.log_lines("edge is down"), "\n".join(
            site.dns.program.log_lines("edge is")))


@case
def starting_node_presumes_edges_up_for_a_while():
    with Site() as site:
        site.add_dns("ns1", lambda c: c["services"]["www.example.com"].update(
            {"all-down": "refuse"})).start()
        check_equal(answer_of(site), {"127.0.0.11"}, "at once")
        wait_until(lambda: site.dns.rcode("www.example.com") == "REFUSED", "until stale-after")
        check_equal(edge_state(site.dns.status(), "eu-west-1"), "unknown")


# ---- Lies

@case
def absurd_figures_do_no_harm():
    top = (1 << 64) - 1
    with build_site(silent=["eu-west-1"]) as site:
        with ChannelLink(site.dns, site.certs.node("edge", "eu-west-1")) as link:
            link.send(frame(hello=message({1: top, 2: "x" * 100000, 3: (1 << 32) - 1})))
            more = message({7: message({1: 0xffffffff, 4: 0xffffffff}), 10: top, 11: top,
                            13: [message({1: "\x1b]0;title\x07", 2: 1})] * 50})
            for uptime in (top, 0, top):
                link.send(frame(report=report(top, uptime_ms=uptime, hits=top, lookups=1,
                                              reason="\x1b[31m\n\tred", more=more,
                                              origins=[("p" * 300, "o\n", True, "w")] * 200)))
            link.send(frame(report=message({3: True, 4: b"\xff\xfe not UTF-8 \xc3"})))
            link.send(frame(report=message({3: False, 4: b"\xff\xfe not UTF-8 \xc3"})))
            site.wait_edge("eu-west-1", "down")     # reads the JSON
            text = site.ctl("status").stdout
            check("\x1b" not in text and "\t" not in text, "nothing that a terminal would obey")
            check(site.dns.metrics(), "metrics can be read")
            check("\x1b" not in site.dns.program.log(), "nor in the log")
        check_equal(answer_of(site), {"127.0.0.12"})


@case
def second_link_of_an_edge_replaces_the_first():
    with build_site(silent=["eu-west-1"]) as site:
        files = site.certs.node("edge", "eu-west-1")
        with ChannelLink(site.dns, files) as first, ChannelLink(site.dns, files) as second:
            second.send(frame(hello=hello()) + frame(report=report()))
            site.wait_edge("eu-west-1", "up")
            check(first.is_closed_by_peer(), "the first is closed")
            key = 'gslb_channel_closes_total{reason="replaced"}'
            wait_until(lambda: site.dns.metrics()[key] == 1, "it to be counted")
            check(edge_status(site.dns.status(), "eu-west-1")["is_connected"], "connected by the second")


@case
def rates_are_worked_out_here():
    with build_site() as site:
        fake = fake_of(site, "eu-west-1")
        for n in range(8):
            fake.say(requests=n * 100, hits=n * 75, lookups=n * 100)
            fake.wait_acked()
        said = wait_until(lambda: (lambda e: e if e["requests_per_s"] > 0 else None)(
            edge_status(site.dns.status(), "eu-west-1")), "a rate")
        check(100 < said["requests_per_s"] < 2000, f"{said['requests_per_s']} requests/s")
        check(abs(said["cache_hit_ratio"] - 0.75) < 0.01, f"ratio {said['cache_hit_ratio']}")
        fake.say(requests=5, hits=1, lookups=2)     # it has started anew
        fake.wait_acked(2)
        check(edge_status(site.dns.status(), "eu-west-1")["requests_per_s"] < 100, "no absurd rate")


@case
def status_json_is_one_document():
    with build_site() as site:
        status = json.loads(site.ctl("status", "--json").stdout)
        check_equal([r["name"] for r in status["regions"]], ["us-east", "eu-west", "ap-northeast"])


main()
