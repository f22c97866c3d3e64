#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a reload reads and what it leaves alone: files that changed, zones by name; and serials that do
not grow with their zone."""
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from gslbtest import case, case_table, check_equal, check_in, main  # noqa: E402
from site_under_test import Site  # noqa: E402


def zone_text(serial, address="192.0.2.1", more=""):
    return f"$TTL 60\n@ SOA ns.x. h.x. {serial} 1 1 1 1\n@ NS ns.x.\nw A {address}\n{more}"


def write(site, name, text):
    site.path(f"{name}.zone").write_text(text)


def build():
    site = Site()
    write(site, "one.test", zone_text(1))
    write(site, "two.test", zone_text(1, more="$INCLUDE two.more\n"))
    site.path("two.more").write_text("i A 192.0.2.1\n")
    write(site, "three.test", zone_text(1))

    def edit(config):
        config["zones"] = {name: str(site.path(f"{name}.zone")) for name in ("one.test", "two.test", "three.test")}
        config["services"] = {}
    site.add_dns("ns1", edit).start()
    return site


def changed_by_signal(site):
    """How many zones a SIGHUP has read."""
    mark = site.dns.program.mark()
    site.dns.program.signal(signal.SIGHUP)
    line = site.dns.program.wait_log(r"reloaded zones=", since=mark)
    return int(re.search(r"changed_zones=(\d+)", line[0] if isinstance(line, list) else line)[1])


def rewrite_in_place(site):
    """Same size, same times: only the inode differs."""
    path, fresh = site.path("one.test.zone"), site.path("one.fresh")
    before = path.stat()
    fresh.write_text(zone_text(2, "192.0.2.3"))
    os.utime(fresh, ns=(before.st_atime_ns, before.st_mtime_ns))
    fresh.rename(path)


@case_table({
    "nothing": (lambda site: None, 0),
    "one file": (lambda site: write(site, "one.test", zone_text(1, "192.0.2.2")), 1),
    "a file that replaces it": (rewrite_in_place, 1),
    "what a zone includes": (lambda site: site.path("two.more").write_text("i A 192.0.2.22\n"), 1),
    "two of three": (lambda site: (write(site, "one.test", zone_text(5)), write(site, "three.test", zone_text(5))), 2),
    "only the time": (lambda site: os.utime(site.path("three.test.zone")), 1),
    "a file that no zone has": (lambda site: write(site, "other", zone_text(1)), 0)})
def a_signal_reads_what_changed(site, change, n):
    check_equal(changed_by_signal(site), 0, "before")
    change(site)
    check_equal(changed_by_signal(site), n)
    check_equal(changed_by_signal(site), 0, "after")


@case
def what_was_read_is_served(site):
    write(site, "one.test", zone_text(10, "192.0.2.10"))
    site.path("two.more").write_text("i A 192.0.2.11\n")
    check_equal(changed_by_signal(site), 2)
    check_equal(site.dns.addresses("w.one.test"), {"192.0.2.10"})
    check_equal(site.dns.addresses("i.two.test"), {"192.0.2.11"})


@case
def a_zone_by_name_reads_only_that(site):
    """Others wait for a reload of all, even when their files have changed."""
    write(site, "one.test", zone_text(20, "192.0.2.20"))
    write(site, "three.test", zone_text(20, "192.0.2.20"))
    result = site.ctl("reload", "one.test")
    check_equal(result.returncode, 0, result.stderr)
    check_in("one.test (serial 20, 2 names, 3 records)", result.stdout)
    check_equal(site.dns.addresses("w.one.test"), {"192.0.2.20"})
    check_equal(site.dns.addresses("w.three.test"), {"192.0.2.1"})
    check_equal(site.dns.metrics()['gslb_dns_zone_serial{zone="three.test"}'], 5)
    # The zone is read though its file has not changed, and several at a time are.
    check_equal(site.ctl("reload", "one.test").returncode, 0)
    result = site.ctl("reload", "THREE.test.", "two.test")
    check_in("three.test (serial 20", result.stdout)
    check_in("two.test (serial 1", result.stdout)
    check_equal(site.dns.addresses("w.three.test"), {"192.0.2.20"})
    # A change of the configuration is not taken with it.
    site.dns.config["nsid"] = "new"
    site.dns.write_config()
    check_equal(site.ctl("reload", "one.test").returncode, 0)
    check_equal(changed_by_signal(site), 0)
    for names, words in ((["none.test"], "no zone 'none.test'"), (["one.test", "none.test"], "none.test")):
        result = site.ctl("reload", *names)
        check_equal(result.returncode, 1)
        check_in(words, result.stderr)


STAYS, BACK, ALONE = "changed, but its serial is still", "changed, but its serial went back from", "serial of zone one.test went back"
TOP, HALF = 4294967295, 2147483648


# By rule, serials before and after, whether the data changes: what is said, whether it is taken.
@case_table({
    "grows": ("warn", 7, 8, True, None, True),
    "stays": ("warn", 7, 7, True, STAYS, True),
    "stays, and so does the data": ("warn", 7, 7, False, None, True),
    "goes back": ("warn", 7, 6, True, BACK, True),
    "goes back alone": ("warn", 7, 6, False, ALONE, True),
    "wraps": ("warn", TOP, 0, True, None, True),
    "wraps back": ("warn", 0, TOP, True, BACK, True),
    "the most": ("warn", 7, 7 + HALF - 1, True, None, True),
    "more than the most": ("warn", 7, 7 + HALF + 1, True, BACK, True),
    "strict, grows": ("strict", 7, 8, True, None, True),
    "strict, stays": ("strict", 7, 7, True, STAYS, False),
    "strict, goes back": ("strict", 7, 6, True, BACK, False),
    "strict, goes back alone": ("strict", 7, 6, False, ALONE, False),
    "strict, wraps": ("strict", TOP, 3, True, None, True),
    "strict, only a remark": ("strict", 7, 7, False, None, True),
    "any, stays": ("any", 7, 7, True, None, True),
    "any, goes back": ("any", 7, 3, True, None, True)})
def serials(site, rule, before, after, has_changed, words, is_taken):
    zones = site.dns.config["zones"]
    zones["one.test"] = {"file": str(site.path("one.test.zone")), "serial": "any"}
    write(site, "one.test", zone_text(before))
    site.dns.reload("gslbctl")
    zones["one.test"]["serial"] = rule
    site.dns.reload("gslbctl")
    write(site, "one.test", zone_text(after, "192.0.2.9" if has_changed else "192.0.2.1", "; a remark\n"))
    mark = site.dns.program.mark()
    result = site.ctl("reload", "one.test")
    said = result.stdout + result.stderr
    check_equal(result.returncode, 0 if is_taken else 1, said)
    check_equal(re.findall("serial (?:is still|went back)|serial of zone one.test went back", said) != [],
                words is not None, said)
    if words is not None:
        check_in(words, said)
        check_in("one.test.zone: " + ("warning" if is_taken else "error"), said)
        site.dns.program.wait_log(("warn " if is_taken else "error") + " config: .*" + words, since=mark)
    check_equal(site.dns.metrics()['gslb_dns_zone_serial{zone="one.test"}'], after if is_taken else before)
    check_equal(site.dns.addresses("w.one.test"), {"192.0.2.9" if has_changed and is_taken else "192.0.2.1"})


main(build)
