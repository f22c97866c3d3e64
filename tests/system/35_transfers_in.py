#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Zones come in (AXFR, IXFR, NOTIFY, SOA timers) and stay on disk; liars, silence, expiry, damage
and a full disk leave what was good in service (check items 43, 44 and 45)."""
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.flags  # noqa: E402
import dns.message  # noqa: E402
import dns.opcode  # noqa: E402
import dns.query  # noqa: E402
import dns.rcode  # noqa: E402

from dns_client import ede_of  # noqa: E402
from fake_primary import FakePrimary, rrset_of  # noqa: E402
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, free_port,  # noqa: E402
                      main, run_program, stays_true, wait_until)
from name_servers import SECRET, SERVERS, start_primary  # noqa: E402
from site_under_test import Site  # noqa: E402

NO_REACHABLE_AUTHORITY = 22
SECONDARY = {"min-wait": "1s", "timeout": f"{1000 * PATIENCE}ms", "directory": "copies"}


def start(primaries, edit=None, files=None, **secondary):
    """A node that has example.com from these, a list of FakePrimary or of texts."""
    site = Site()
    for name, text in (files or {}).items():
        site.path(name).write_text(text)

    def configure(config):
        config["tsig-keys"] = {"backup": {"secret": SECRET}}
        config["secondary"] = {**SECONDARY, **secondary}
        config["zones"] = {"example.com": {"primaries": [
            p if isinstance(p, str) else f"127.0.0.1:{p.port}" for p in primaries]}}
        config["services"] = {}
        if edit:
            edit(config)
    site.add_dns("ns1", configure).start()
    return site


def zone_status(site, node=None):
    return next(z for z in (node or site.dns).status()["zones"] if z["name"] == "example.com")


def copy_status(site):
    return zone_status(site)["copy"]


def wait_serial(site, serial, timeout_s=15, node=None):
    wait_until(lambda: zone_status(site, node)["serial"] == serial, f"serial {serial}", timeout_s)


def wait_error(site, pattern):
    wait_until(lambda: re.search(pattern, copy_status(site)["error"] or ""), f"the error /{pattern}/", 15)


def copy_path(site):
    return site.path("copies/example.com.zone")


def lines_on_disk(site):
    return [line for line in copy_path(site).read_text().splitlines() if not line.startswith(";")]


def wait_saved(site, serial):
    wait_until(lambda: f" {serial} " in lines_on_disk(site)[0], f"serial {serial} on disk")


def primary_with(*records, **how):
    primary = FakePrimary(**how)
    primary.set_zone(1, records)
    return primary


def addresses(site, name):
    return site.dns.addresses(f"{name}.example.com")


# ---- how zones come

@case
def a_zone_comes_whole_and_then_by_its_differences():
    primary = primary_with("www 60 A 192.0.2.1", "old 60 A 192.0.2.9")
    site = start([primary])
    wait_serial(site, 1)
    check_equal(addresses(site, "www"), {"192.0.2.1"})
    wait_saved(site, 1)
    check_equal(primary.asked[:2], ["SOA", "AXFR"])
    primary.set_zone(2, ["www 60 A 192.0.2.2", "new 60 TXT \"two\""])
    primary.set_zone(3, ["www 60 A 192.0.2.3", "new 60 TXT \"two\""])
    wait_serial(site, 3)
    check_equal(addresses(site, "www"), {"192.0.2.3"})
    check_equal(site.dns.rcode("old.example.com"), "NXDOMAIN")
    check_equal((primary.count("AXFR"), primary.count("IXFR")), (1, 1))
    wait_saved(site, 3)
    check_equal(sorted(lines_on_disk(site)[1:]),
                ["example.com. 60 IN NS ns.example.com.", 'new.example.com. 60 IN TXT "two"',
                 "ns.example.com. 60 IN A 127.0.0.1", "www.example.com. 60 IN A 192.0.2.3"])
    check_equal(site.dns.metric(r'gslb_dns_secondary_transfers_total\{by="ixfr"'), 1)


@case_table({
    "a whole zone for differences": lambda p, query: p.whole(),
    "one SOA, which is newer": lambda p, query: [p.soa()],
    "differences that begin elsewhere": lambda p, query: [p.soa(), p.soa(7), p.soa(), p.soa()],
    "a record goes that is not there": lambda p, query: [
        p.soa(), p.soa(1), rrset_of("no 60 A 192.0.2.1"), p.soa(), p.soa()],
    "a record comes that is there": lambda p, query: [
        p.soa(), p.soa(1), p.soa(), rrset_of("www 60 A 192.0.2.1"), p.soa()],
    "condensed": lambda p, query: [p.soa(), p.soa(1), rrset_of("www 60 A 192.0.2.1"), p.soa(),
                                   rrset_of("www 60 A 192.0.2.2"), p.soa()],
})
def whatever_answers_ixfr_the_zone_is_right_in_the_end(answer):
    primary = primary_with("www 60 A 192.0.2.1")
    site = start([primary])
    wait_serial(site, 1)

    def behave(query, send):
        if query.question[0].rdtype != 251:
            return "honest"
        send(answer(primary, query))
    primary.behave = behave
    primary.set_zone(2, ["www 60 A 192.0.2.2"])
    wait_serial(site, 2)
    check_equal(addresses(site, "www"), {"192.0.2.2"})
    wait_until(lambda: copy_status(site)["error"] is None, "no error")


@case
def a_server_that_does_not_know_ixfr_is_asked_for_all():
    primary = primary_with("www 60 A 192.0.2.1")
    site = start([primary])
    wait_serial(site, 1)

    def behave(query, send):
        if query.question[0].rdtype != 251:
            return "honest"
        send([], lambda message: message.set_rcode(dns.rcode.NOTIMP))
    primary.behave = behave
    primary.set_zone(2, ["www 60 A 192.0.2.2"])
    wait_serial(site, 2)
    check_equal(primary.count("AXFR"), 2)


@case
def serials_go_round():
    """RFC 1982: 4294967295, then 0, then 5 are each newer; half the circle on is not."""
    primary = FakePrimary()
    primary.set_zone(4294967290)
    site = start([primary])
    wait_serial(site, 4294967290)
    for serial in (4294967295, 3):
        primary.set_zone(serial)
        wait_serial(site, serial)
    primary.set_zone(3 + 2**31 + 1)
    wait_error(site, "older than ours")
    check_equal(zone_status(site)["serial"], 3)


@case
def the_second_primary_is_asked_when_the_first_is_not_there():
    gone = FakePrimary()
    gone.stop()
    primary = primary_with("www 60 A 192.0.2.1")
    site = start([gone, primary])
    wait_serial(site, 1)
    check_in(str(primary.port), copy_status(site)["primary"])
    check(site.dns.metric(r'gslb_dns_secondary_failures_total\{reason="connect"') >= 1, "counted")


@case
def one_that_is_behind_is_passed_over():
    behind, primary = primary_with("www 60 A 192.0.2.1"), FakePrimary()
    primary.set_zone(2, ["www 60 A 192.0.2.2"])
    site = start([primary, behind])
    wait_serial(site, 2)
    primary.stop()
    behind.asked.clear()
    wait_error(site, "no connection|closed|older")
    check_equal(addresses(site, "www"), {"192.0.2.2"})


@case
def messages_are_signed_or_not_taken():
    primary = primary_with("www 60 A 192.0.2.1", keys={"backup": SECRET})
    site = start([f"127.0.0.1:{primary.port} key backup"])
    wait_serial(site, 1)
    # From now on it signs nothing.
    primary.behave = lambda query, send: send(primary.answer(query), lambda message: setattr(message, "tsig", None)
                                              or setattr(message, "keyring", None))
    primary.set_zone(2, ["www 60 A 192.0.2.2"])
    wait_error(site, "bad signature: BADSIG")
    check_equal(addresses(site, "www"), {"192.0.2.1"})


@case
def a_wrong_secret_is_told():
    """Our own server as the primary, which says BADSIG, unsigned (RFC 8945 section 5.3.2)."""
    site = Site()
    site.path("p.zone").write_text("$ORIGIN example.com.\n@ 60 SOA ns h 1 1 1 30 5\n@ 60 NS ns\nns 60 A 127.0.0.1\n")

    def as_primary(config):
        config["tsig-keys"] = {"backup": {"secret": SECRET}}
        config["zones"] = {"example.com": {"file": str(site.path("p.zone")), "allow-transfer": ["key backup"]}}
        config["services"] = {}
    primary = site.add_dns("primary", as_primary).start()

    def as_secondary(config):
        config["tsig-keys"] = {"backup": {"secret": "d3Jvbmcgd3JvbmcgIQ=="}}
        config["secondary"] = SECONDARY
        config["zones"] = {"example.com": {"primaries": [f"127.0.0.1:{primary.port} key backup"]}}
        config["services"] = {}
    node = site.add_dns("secondary", as_secondary).start()
    wait_until(lambda: "it does not take our key: BADSIG" in (zone_status(site, node)["copy"]["error"] or ""),
               "the reason")
    check(node.metric(r'gslb_dns_secondary_failures_total\{reason="tsig"') >= 1, "counted")


# ---- who lies

def endless(primary):
    def behave(query, send):
        if query.question[0].rdtype == 6:
            return "honest"
        send([primary.soa(), *primary.zones[primary.serial]])
        while not primary.is_over:
            send([rrset_of(f"x{i} 60 A 192.0.2.1") for i in range(500)])
    return behave


def trickling(primary):
    def behave(query, send):
        if query.question[0].rdtype == 6:
            return "honest"
        send([primary.soa(), *primary.zones[primary.serial]])
        for i in range(10000):
            send([rrset_of(f"x{i} 60 A 192.0.2.1")])
            time.sleep(0.1)
    return behave


def closing(primary):
    def behave(query, send):
        if query.question[0].rdtype == 6:
            return "honest"
        send([primary.soa(), *primary.zones[primary.serial]])
        raise ConnectionError("closed on purpose")
    return behave


def silent(primary):
    def behave(query, send):
        if query.question[0].rdtype == 6:
            return "honest"
        send([primary.soa(), *primary.zones[primary.serial]])
        time.sleep(3600)
    return behave


def instead_of_the_zone(make):
    """A liar that answers AXFR and IXFR with these records."""
    def liar(primary):
        def behave(query, send):
            if query.question[0].rdtype == 6:
                return "honest"
            send(make(primary))
        return behave
    return liar


def edited(edit):
    def liar(primary):
        def behave(query, send):
            if query.question[0].rdtype == 6:
                return "honest"
            send(primary.whole(), edit)
        return behave
    return liar


LIARS = {
    "another SOA at the end": (instead_of_the_zone(lambda p: [p.soa(), *p.zones[2], p.soa(7)]), "another SOA"),
    "records behind the end": (instead_of_the_zone(lambda p: [*p.whole(), rrset_of("x 60 A 192.0.2.1")]),
                               "records follow behind its end"),
    "records of others": (instead_of_the_zone(lambda p: [p.soa(), rrset_of("www.example.org. 60 A 192.0.2.1"),
                                                         p.soa()]), r"outside the zone: www\.example\.org"),
    "no SOA": (instead_of_the_zone(lambda p: p.zones[2]), "does not begin with the zone's SOA"),
    "nothing": (instead_of_the_zone(lambda p: []), "it is empty"),
    "REFUSED": (edited(lambda m: (m.set_rcode(dns.rcode.REFUSED), setattr(m, "answer", []))), "it refuses: REFUSED"),
    "another question": (edited(lambda m: setattr(m, "question", [rrset_of("x 60 A 192.0.2.1")])),
                         "another question"),
    "another ID": (edited(lambda m: setattr(m, "id", m.id ^ 1)), "its ID"),
    "cut short": (edited(lambda m: setattr(m, "flags", m.flags | dns.flags.TC)), "cut short"),
    "without an end": (endless, "more than 5000 records"),
    "a drop at a time": (trickling, "takes too long"),
    "half of it": (closing, "closed the connection"),
    "half of it, then silence": (silent, "does not answer"),
    "a zone that is broken": (instead_of_the_zone(lambda p: [p.soa(), *p.zones[2], rrset_of("x 60 CNAME ns.example.com."),
                                                            rrset_of("x 60 A 192.0.2.1"), p.soa()]), "broken"),
}


@case_table({name: row for name, row in LIARS.items()})
def a_liar_changes_nothing(liar, error):
    """The version before stays, the reason is told, and a primary that mends its ways is heard."""
    primary = primary_with("www 60 A 192.0.2.1")
    site = start([primary], **{"max-time": f"{int(2 * PATIENCE)}s", "max-records": 5000})
    wait_serial(site, 1)
    primary.set_zone(2, ["www 60 A 192.0.2.2"])
    primary.behave = liar(primary)
    wait_error(site, error)
    check_equal((zone_status(site)["serial"], addresses(site, "www")), (1, {"192.0.2.1"}))
    check(site.dns.program.is_running(), "it runs")
    primary.behave = None
    primary.set_zone(3, ["www 60 A 192.0.2.3"])
    wait_serial(site, 3)
    wait_until(lambda: copy_status(site)["error"] is None, "no error any more")


@case
def a_version_that_was_refused_is_not_transferred_again_and_again():
    primary = primary_with("www 60 A 192.0.2.1")
    site = start([primary])
    wait_serial(site, 1)
    primary.set_zone(2, ["x 60 CNAME ns.example.com.", "x 60 A 192.0.2.1"])
    wait_error(site, "the one that was refused")
    before = primary.count("AXFR", "IXFR")
    primary.asked.clear()
    wait_until(lambda: primary.count("SOA") >= 2, "two more looks", 15)
    check_equal(primary.count("AXFR", "IXFR"), 0, f"transfers, after {before}")
    check_in("x.example.com", "\n".join(site.dns.program.log_lines("CNAME")))


# ---- NOTIFY

def notify(site, source="127.0.0.1", serial=None, name="example.com", key=None):
    message = dns.message.make_query(name, "SOA", use_edns=0)
    message.set_opcode(dns.opcode.NOTIFY)
    message.flags |= dns.flags.AA
    if serial:
        message.answer.append(rrset_of(f"@ 60 SOA ns.example.com. host.example.com. {serial} 1 1 1 1"))
    if key:
        message.use_tsig(dns.tsigkeyring.from_text({"backup": key}), "backup")
    return dns.query.udp(message, "127.0.0.1", port=site.dns.port, source=source, timeout=3 * PATIENCE)


def notified(site, verdict):
    return site.dns.metric(rf'gslb_dns_notify_received_total\{{verdict="{verdict}"')


FILE_ZONE = "@ 60 SOA ns h 1 1 1 1 1\n@ 60 NS ns\nns 60 A 127.0.0.1\n"
LAZY = "3600 3600 7200 5"       # whose timers do not come into play


@case
def a_notify_of_a_primary_is_followed_at_once():
    primary = primary_with("www 60 A 192.0.2.1", timers=LAZY)
    site = start([primary])
    wait_serial(site, 1)
    primary.set_zone(2, ["www 60 A 192.0.2.2"])
    answer = notify(site)
    check_equal((answer.rcode(), answer.opcode(), bool(answer.flags & dns.flags.AA)),
                (dns.rcode.NOERROR, dns.opcode.NOTIFY, True))
    wait_serial(site, 2)
    primary.set_zone(3)
    notify(site, serial=3)
    wait_serial(site, 3)
    check_equal(notified(site, "taken"), 2)


@case
def of_a_serial_that_we_have_nothing_is_asked():
    primary = primary_with(timers=LAZY)
    site = start([primary])
    wait_serial(site, 1)
    primary.asked.clear()
    check_equal(notify(site, serial=1).rcode(), dns.rcode.NOERROR)
    check_equal(notified(site, "current"), 1)
    stays_true(lambda: not primary.asked, "nothing is asked", 1.5)


@case
def strangers_and_other_zones_are_refused():
    primary = primary_with(timers=LAZY)
    site = start([primary], lambda config: config["zones"].update(
        {"file.example": "file.example.zone"}), files={"file.example.zone": FILE_ZONE})
    wait_serial(site, 1)
    primary.asked.clear()
    for how, verdict, code in (({"source": "127.0.0.9"}, "stranger", 18), ({"name": "file.example"}, "no_secondary", 20),
                               ({"name": "example.org"}, "not_ours", 20)):
        answer = notify(site, serial=9, **how)
        check_equal((answer.rcode(), ede_of(answer)[0]), (dns.rcode.REFUSED, code), verdict)
        check_equal(notified(site, verdict), 1)
    stays_true(lambda: not primary.asked, "nothing is asked", 1.2)


@case
def where_there_is_a_key_a_notify_needs_it():
    primary = primary_with(timers=LAZY, keys={"backup": SECRET})
    site = start([f"127.0.0.1:{primary.port} key backup"])
    wait_serial(site, 1)
    primary.set_zone(2)
    check_equal(notify(site).rcode(), dns.rcode.REFUSED)
    check_equal(zone_status(site)["serial"], 1)
    answer = notify(site, key=SECRET)
    check_equal((answer.rcode(), answer.had_tsig), (dns.rcode.NOERROR, True))
    wait_serial(site, 2)


@case
def others_may_be_allowed_to_notify():
    primary = primary_with(timers=LAZY)
    site = start([primary], lambda config: config["zones"]["example.com"].update({"allow-notify": ["127.0.0.7"]}))
    wait_serial(site, 1)
    primary.set_zone(2)
    check_equal(notify(site, source="127.0.0.7").rcode(), dns.rcode.NOERROR)
    wait_serial(site, 2)


@case
def a_flood_of_notifies_asks_once_a_second():
    primary = primary_with(timers=LAZY)
    site = start([primary])
    wait_serial(site, 1)
    primary.asked.clear()
    began = time.monotonic()
    while time.monotonic() - began < 2.5:
        notify(site)
    took = time.monotonic() - began
    check(1 <= primary.count("SOA") <= took + 1, f"{primary.count('SOA')} questions in {took:.1f} s")
    check(notified(site, "taken") > 20, "a flood")


@case
def a_notify_during_a_transfer_is_remembered():
    primary = primary_with("www 60 A 192.0.2.1", timers=LAZY)
    go_on, is_under_way = threading.Event(), threading.Event()
    site = start([primary], timeout="60s")
    wait_serial(site, 1)

    def behave(query, send):
        if query.question[0].rdtype == 6:
            return "honest"
        records = primary.answer(query)
        is_under_way.set()
        go_on.wait(60)
        send(records)
    primary.behave = behave
    primary.set_zone(2, ["www 60 A 192.0.2.2"])
    notify(site)
    check(is_under_way.wait(15 * PATIENCE), "the transfer began")
    check_equal(copy_status(site)["state"], "refreshing")
    primary.set_zone(3, ["www 60 A 192.0.2.3"])
    for serial in (None, 3):
        notify(site, serial=serial)
    go_on.set()
    wait_serial(site, 3)


# ---- time

@case
def a_copy_expires_and_comes_back():
    primary = primary_with("www 60 A 192.0.2.1", timers="1 1 3 5")
    site = start([primary])
    wait_serial(site, 1)
    check_equal(copy_status(site)["state"] in ("fresh", "refreshing"), True)
    port = primary.port
    primary.stop()
    wait_until(lambda: site.dns.rcode("www.example.com") == "SERVFAIL", "SERVFAIL", 20)
    answer = site.dns.query("www.example.com")
    check_equal(ede_of(answer)[0], NO_REACHABLE_AUTHORITY)
    check_equal(copy_status(site)["expires_in_s"], 0)
    wait_until(lambda: copy_status(site)["state"] == "expired", "expired")
    result = site.dns.ctl("status")
    check_equal(result.returncode, 1, "bad news")
    check_in("answered SERVFAIL", result.stdout)
    check(site.dns.program.log_lines("error secondary: expired"), "an error in the log")
    again = FakePrimary(timers="1 1 30 5", port=port)
    again.set_zone(1, ["www 60 A 192.0.2.1"])     # the same: it is taken from disk
    wait_until(lambda: addresses(site, "www") == {"192.0.2.1"}, "it is back", 15)
    check_equal(again.count("AXFR"), 0)


@case
def before_the_first_copy_it_is_servfail_and_the_server_starts():
    gone = FakePrimary()
    gone.stop()
    site = start([gone])
    answer = site.dns.query("www.example.com")
    check_equal((answer.rcode(), ede_of(answer)[0]), (dns.rcode.SERVFAIL, NO_REACHABLE_AUTHORITY))
    check_equal(copy_status(site)["state"] in ("empty", "refreshing"), True)


@case_table({"SIGTERM": False, "SIGKILL": True})
def it_is_served_from_disk_after_a_restart(is_killed):
    primary = primary_with("www 60 A 192.0.2.1", timers=LAZY)
    site = start([primary])
    wait_saved(site, 1)
    primary.stop()
    if is_killed:
        site.dns.kill()
    else:
        site.dns.stop()
    site.dns.start()
    check_equal(addresses(site, "www"), {"192.0.2.1"}, "at once")
    check(0 < copy_status(site)["expires_in_s"] <= 7200, "the time goes on")


@case
def what_has_expired_meanwhile_is_not_served():
    primary = primary_with("www 60 A 192.0.2.1", timers=LAZY)
    site = start([primary])
    wait_saved(site, 1)
    primary.stop()
    site.dns.stop()
    path = copy_path(site)
    path.write_bytes(re.sub(rb"confirmed \d+, expires \d+", b"confirmed 0000001700000000, expires 0000001700007200",
                            path.read_bytes()))
    site.dns.start()
    check_equal(site.dns.rcode("www.example.com"), "SERVFAIL")
    wait_until(lambda: copy_status(site)["state"] == "expired", "expired")


@case
def killed_in_the_middle_of_a_transfer_the_old_version_is_there():
    primary = primary_with("www 60 A 192.0.2.1", timers=LAZY)
    site = start([primary], timeout="60s")
    wait_saved(site, 1)
    is_under_way = threading.Event()

    def behave(query, send):
        if query.question[0].rdtype == 6:
            return "honest"
        send([primary.soa(), *primary.zones[2]])
        is_under_way.set()
        time.sleep(3600)
    primary.behave = behave
    primary.set_zone(2, ["www 60 A 192.0.2.2"])
    notify(site)
    check(is_under_way.wait(15 * PATIENCE), "the transfer began")
    site.dns.kill()
    site.dns.start()
    check_equal(addresses(site, "www"), {"192.0.2.1"})
    primary.behave = None
    site.dns.ctl("refresh", "example.com")
    wait_serial(site, 2, 90)


# ---- the disk

@case_table({"a byte": lambda b: b.replace(b"192.0.2.1", b"192.0.2.7"), "cut off": lambda b: b[:-9], "empty": lambda b: b""})
def a_damaged_copy_is_set_aside_and_fetched_again(damage):
    primary = primary_with("www 60 A 192.0.2.1", timers=LAZY)
    site = start([primary])
    wait_saved(site, 1)
    site.dns.stop()
    path = copy_path(site)
    bytes_before = damage(path.read_bytes())
    path.write_bytes(bytes_before)
    site.dns.start()
    wait_serial(site, 1)
    wait_saved(site, 1)
    check_equal(path.with_name("example.com.zone.damaged").read_bytes(), bytes_before)
    check(site.dns.program.log_lines("error secondary: the copy on disk is damaged"), "an error")


@case
def a_copy_that_somebody_removes_is_written_again():
    primary = primary_with("www 60 A 192.0.2.1", timers=LAZY)
    site = start([primary])
    wait_saved(site, 1)
    copy_path(site).unlink()
    check_equal(site.dns.ctl("refresh", "example.com").returncode, 0)
    wait_until(lambda: copy_path(site).exists(), "the file", 15)
    wait_saved(site, 1)


@case
def a_full_disk_costs_no_service():
    if os.geteuid() != 0:
        print("skipped: only root can mount a small disk")
        return
    primary = primary_with(*(f"h{i} 60 TXT \"{'x' * 200}\"" for i in range(200)))
    site = Site()
    disk = site.path("disk")
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], check=True)
    try:
        def edit(config):
            config["secondary"] = {**SECONDARY, "directory": str(disk)}
            config["zones"] = {"example.com": {"primaries": [f"127.0.0.1:{primary.port}"]}}
            config["services"] = {}
        site.add_dns("ns1", edit).start()
        wait_serial(site, 1)
        wait_until(lambda: not copy_status(site)["is_saved"], "not on disk")
        primary.set_zone(2, ["www 60 TXT \"" + "y" * 200 + "\""] + [f"h{i} 60 TXT \"{'x' * 200}\"" for i in range(200)])
        wait_serial(site, 2)
        check_equal(site.dns.query("www.example.com", "TXT").rcode(), 0)
        check_equal(primary.count("AXFR"), 1, "differences are applied to what is in memory")
        check_equal(len(site.dns.program.log_lines("error secondary: cannot write the copy")), 1)
        check_in("No space left", site.dns.program.log_lines("cannot write the copy")[0])
        check_in("not on disk", site.dns.ctl("status").stdout)
        check_equal(list(disk.iterdir()), [], "nothing half-written stays")
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        wait_until(lambda: copy_status(site)["is_saved"], "on disk again", 15)
        check((disk / "example.com.zone").exists(), "the file")
        site.dns.stop()
    finally:
        site.dns.program.stop()
        subprocess.run(["umount", disk], check=True)


# ---- operators

@case
def refresh_asks_and_full_transfers():
    primary = primary_with("www 60 A 192.0.2.1", timers=LAZY)
    site = start([primary])
    wait_serial(site, 1)
    primary.set_zone(2, ["www 60 A 192.0.2.2"])
    check_in("its primaries are asked", site.dns.ctl("refresh", "Example.COM.").stdout)
    wait_serial(site, 2)
    check_equal(primary.count("AXFR"), 1)
    primary.set_zone(1, ["www 60 A 192.0.2.5"])     # back, which no timer would take
    check_in("all of it", site.dns.ctl("refresh", "example.com", "--full").stdout)
    wait_serial(site, 1)
    check_equal(addresses(site, "www"), {"192.0.2.5"})


@case
def gslbctl_says_what_cannot_be():
    primary = primary_with(timers=LAZY)
    site = start([primary])
    for args, said in ((("refresh", "example.org"), "no zone 'example.org'"),
                       (("reload", "example.com"), "gslbctl refresh example.com asks its primaries"),
                       (("refresh",), "usage: gslbctl refresh")):
        result = site.dns.ctl(*args)
        check(result.returncode in (1, 2), f"{args}")
        check_in(said, result.stderr)


@case
def a_reload_leaves_copies_and_takes_new_primaries():
    first, second = primary_with("www 60 A 192.0.2.1", timers=LAZY), FakePrimary(timers=LAZY)
    second.set_zone(2, ["www 60 A 192.0.2.2"])
    site = start([first])
    wait_serial(site, 1)
    site.dns.reload("ctl")
    check_equal(first.count("AXFR"), 1)
    site.dns.config["zones"]["example.com"]["primaries"] = [f"127.0.0.1:{second.port}"]
    site.dns.reload("ctl")
    site.dns.ctl("refresh", "example.com")
    wait_serial(site, 2)
    site.dns.config["zones"] = {"other.example": {"primaries": [f"127.0.0.1:{second.port}"]}}
    site.dns.reload("ctl")
    check_equal(site.dns.rcode("www.example.com"), "REFUSED")


@case_table({
    "a file too": ({"file": "x.zone", "primaries": ["192.0.2.1"]}, {}, "take one of them away"),
    "neither": ({"notify": ["192.0.2.1"]}, {}, "needs 'file' or 'primaries'"),
    "dnssec": ({"primaries": ["192.0.2.1"], "dnssec": "keys"}, {}, "sign it there"),
    "no directory": ({"primaries": ["192.0.2.1"]}, {"secondary": {}}, "say where its copy is kept"),
    "an unknown key": ({"primaries": ["192.0.2.1 key nobody"]}, {}, "unknown key 'nobody'"),
    "no address": ({"primaries": ["key backup"]}, {}, "expected an address"),
    "tls without a name": ({"primaries": ["192.0.2.1 tls"]}, {}, "'tls' is followed by"),
    "a word too many": ({"primaries": ["192.0.2.1 53 53"]}, {}, "expected an address"),
    "allow-notify for a file": ({"file": "x.zone", "allow-notify": ["192.0.2.1"]}, {}, "no 'primaries' to ask"),
    "waits the wrong way round": ({"primaries": ["192.0.2.1"]},
                                  {"secondary": {"directory": "c", "min-wait": "1h", "max-wait": "1m"}}, "min-wait"),
    "a CA that is not there": ({"primaries": ["192.0.2.1 tls ns.example"]},
                               {"secondary": {"directory": "c", "ca": "no.crt"}}, "no.crt"),
})
def mistakes_are_told(zone, more, wanted):
    site = Site()
    path = site.path("bad.yaml")
    site.path("x.zone").write_text("@ 60 SOA ns h 1 1 1 1 1\n@ 60 NS ns.example.net.\n")
    path.write_text(json.dumps({"listen": ["127.0.0.1:5300"], "tsig-keys": {"backup": {"secret": SECRET}},
                                "secondary": {"directory": "copies"}, "zones": {"example.com": zone}, **more}, indent=1))
    result = run_program("gslb-dns", "--check", "-c", path)
    check_equal(result.returncode, 1, result.stderr)
    check_in(wanted, result.stderr)
    check(re.search(r"bad\.yaml:\d+:\d+: error", result.stderr), result.stderr)


# ---- others as primaries, and chains

ZONE = """$ORIGIN example.com.
$TTL 60
@ SOA ns1 h {serial} 3600 3600 7200 5
@ NS ns1
ns1 A 127.0.0.1
www A 192.0.2.{serial}
more TXT "a \\"quoted\\" text; and" "another"
svc HTTPS 1 . alpn=h2
"""


@case_table({name: name for name in SERVERS})
def others_are_its_primary(name):
    """Signed AXFR, then what the server has when it says NOTIFY."""
    site = Site()

    def edit(config):
        config["tsig-keys"] = {"backup": {"secret": SECRET}}
        config["secondary"] = SECONDARY
        config["zones"] = {"example.com": {"primaries": ["127.0.0.1:1 key backup"]}}
        config["services"] = {}
    site.add_dns("ns1", edit)
    with start_primary(site, name, site.dns.port, ZONE.format(serial=1)) as peer:
        if peer is None:
            return
        peer.wait_serial(1)
        site.dns.config["zones"]["example.com"]["primaries"] = [f"127.0.0.1:{peer.port} key backup"]
        site.dns.start()
        wait_serial(site, 1)
        check_equal(addresses(site, "www"), {"192.0.2.1"})
        check_equal(site.dns.query("more.example.com", "TXT").answer[0][0].strings, (b'a "quoted" text; and', b"another"))
        peer.change(ZONE.format(serial=2))
        wait_serial(site, 2, 30)
        check_equal(addresses(site, "www"), {"192.0.2.2"})
        check(notified(site, "taken") >= 1, "told by NOTIFY")
        print(f"by {site.dns.program.log_lines('transferred')[-1]}")


@case
def a_chain_of_three_follows_its_head():
    site = Site()
    site.path("chain.zone").write_text(ZONE.format(serial=1))
    head = site.add_dns("head", None)
    middle, tail = site.add_dns("middle", None), site.add_dns("tail", None)
    for node, zone in (
            (head, {"file": str(site.path("chain.zone")), "notify": [f"127.0.0.1:{middle.port}"],
                    "allow-transfer": ["127.0.0.1"]}),
            (middle, {"primaries": [f"127.0.0.1:{head.port}"], "notify": [f"127.0.0.1:{tail.port}"],
                      "allow-transfer": ["127.0.0.1"]}),
            (tail, {"primaries": [f"127.0.0.1:{middle.port}"]})):
        node.config["secondary"] = {**SECONDARY, "directory": f"copies-{node.name}"}
        node.config["zones"] = {"example.com": zone}
        node.config["services"] = {}
        node.start()
    wait_serial(site, 1, node=tail)
    site.path("chain.zone").write_text(ZONE.format(serial=2))
    head.reload("ctl")
    wait_serial(site, 2, node=tail)
    check_equal(tail.addresses("www.example.com"), {"192.0.2.2"})


# ---- TLS

def tls_pair(name, ca=True):
    """A primary that speaks TLS, and its secondary, which wants it to be of this name."""
    site = Site()
    site.path("tls.zone").write_text(ZONE.format(serial=1))
    primary = site.add_dns("primary", None)
    primary.tls_port = free_port()
    primary.config["listen-tls"] = [f"127.0.0.1:{primary.tls_port}"]
    primary.config["tls"] = {"certificates": [site.certs.site("ns.example.net")]}
    primary.config["zones"] = {"example.com": {"file": str(site.path("tls.zone")), "allow-transfer": ["127.0.0.1 key backup"]}}
    secondary = site.add_dns("secondary", None)
    secondary.config["secondary"] = {**SECONDARY, **({"ca": str(site.certs.ca)} if ca else {})}
    secondary.config["zones"] = {"example.com": {
        "primaries": [f"127.0.0.1:{primary.tls_port} key backup tls {name}"]}}
    for node in (primary, secondary):
        node.config["tsig-keys"] = {"backup": {"secret": SECRET}}
        node.config["services"] = {}
        node.start()
    return site, primary, secondary


@case
def a_zone_comes_over_tls():
    site, primary, secondary = tls_pair("ns.example.net")
    wait_serial(site, 1, node=secondary)
    check_equal(secondary.addresses("www.example.com"), {"192.0.2.1"})
    check(primary.metric(r'gslb_dns_queries_total\{transport="tls"') >= 2, "over TLS")
    check_equal(primary.metric(r'gslb_dns_queries_total\{transport="tcp"'), 0)


@case_table({"another name": ("other.example.net", True, "hostname mismatch"),
             "a CA that we do not know": ("ns.example.net", False, "certificate")})
def a_server_that_is_not_who_it_should_be_is_not_asked(name, ca, error):
    site, primary, secondary = tls_pair(name, ca)
    wait_until(lambda: re.search(f"no TLS: .*{error}", zone_status(site, secondary)["copy"]["error"] or "", re.I),
               "the reason", 15)
    check_equal(primary.metric("gslb_dns_transfers_total"), 0)
    check_equal(secondary.rcode("www.example.com"), "SERVFAIL")


# ---- what the copy serves

@case
def a_zone_that_comes_signed_is_served_so():
    site = Site()
    site.path("signed.zone").write_text(ZONE.format(serial=1))
    keys = site.path("keys")
    keys.mkdir()
    check_equal(run_program("gslb-dns", "keygen", "-d", keys, "example.com").returncode, 0)
    primary, secondary = site.add_dns("primary", None), site.add_dns("secondary", None)
    primary.config["zones"] = {"example.com": {"file": str(site.path("signed.zone")), "dnssec": str(keys),
                                               "allow-transfer": ["127.0.0.1"]}}
    secondary.config["secondary"] = SECONDARY
    secondary.config["zones"] = {"example.com": {"primaries": [f"127.0.0.1:{primary.port}"]}}
    for node in (primary, secondary):
        node.config["services"] = {}
        node.start()
    wait_serial(site, zone_status(site, primary)["serial"], node=secondary)
    for name, rdtype in (("www.example.com", "A"), ("no.example.com", "A"), ("example.com", "DNSKEY"),
                         ("svc.example.com", "HTTPS")):
        answers = [node.query(name, rdtype, dnssec=True, tcp=True) for node in (primary, secondary)]
        check(any(rrset.rdtype == 46 for rrset in answers[1].answer + answers[1].authority), f"{name} unsigned")
        check_equal(*(sorted(rrset.to_text() for rrset in a.answer + a.authority) for a in answers), name)


@case
def services_lie_in_copies_too():
    primary = primary_with("cdn 60 CNAME steered.example.com.", timers=LAZY)
    site = start([primary], lambda config: config["services"].update({"steered.example.com": {"all-down": "serve-all"}}))
    wait_serial(site, 1)
    check_equal(len(addresses(site, "steered")), 1)
    check_equal(addresses(site, "cdn"), addresses(site, "steered"))


main()
