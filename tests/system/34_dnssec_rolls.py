#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Roll-overs of keys as an operator starts, watches, confirms and gives them up."""
import json
import os
import re
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from gslbtest import (case, case_table, check, check_equal, check_in, main, run_program,  # noqa: E402
                      wait_until)
from site_under_test import Site  # noqa: E402

ZONE = "example.com"
SHORT = {"dnskey-ttl": "1s", "max-zone-ttl": "1s", "propagation-delay": 0, "parent-ds-ttl": 0,
         "parent-propagation-delay": 0}


def build_site(*keygen, **settings):
    """A node that signs its zone; returns site and the folder of the keys."""
    site = Site()
    folder = site.path("keys")
    result = run_program("gslb-dns", "keygen", "-d", folder, *keygen, ZONE)
    check_equal(result.returncode, 0, result.stderr)

    def edit(config):
        zone = config["zones"][ZONE]
        file = zone if isinstance(zone, str) else zone["file"]
        config["zones"][ZONE] = {"file": file, "dnssec": {"keys": str(folder), **settings}}
    site.add_dns("ns1", edit).start()
    return site, folder


def keys_of(site):
    result = site.ctl("keys", ZONE, "--json")
    check_equal(result.returncode, 0, result.stderr)
    return json.loads(result.stdout)["zones"][0]["keys"]


def states_of(site):
    return {(key["role"], key["algorithm"], key["state"]) for key in keys_of(site)}


def fresh_key(site, before):
    tags = {key["tag"] for key in before}
    return next((key for key in keys_of(site) if key["tag"] not in tags), None)


def roll(site, *what):
    result = site.ctl("roll", ZONE, *what)
    check_equal(result.returncode, 0, result.stderr)
    return result.stdout


P256 = "ECDSAP256SHA256"


@case_table({
    "csk": ([], {("csk", P256, "active")}),
    "split": (["--split"], {("ksk", P256, "active"), ("zsk", P256, "active")}),
    "ed25519": (["-a", "ED25519"], {("csk", "ED25519", "active")}),
})
def keys_are_shown(keygen, wanted):
    site, _ = build_site(*keygen)
    with site:
        check_equal(states_of(site), wanted)
        shown = site.ctl("keys").stdout
        for key in keys_of(site):
            check_in(str(key["tag"]), shown)
            check(abs(key["since_s"] - time.time()) < 600, "since now")
        status = json.loads(site.ctl("status", "--json").stdout)
        check_equal(status["zones"][0]["keys"], keys_of(site), "status has them too")
        check_equal(site.ctl("keys", "example.net").returncode, 1, "no such zone")


@case
def zsk_is_replaced_without_help():
    site, folder = build_site("--split", **SHORT)
    with site:
        before = keys_of(site)
        roll(site, "zsk")
        wait_until(lambda: fresh_key(site, before), "the new key is shown")
        new = fresh_key(site, before)["tag"]
        text = next(folder.glob(f"*+{new:05}.private")).read_text()
        check(re.search(r"^Activate: \d{14}$", text, re.M), text)
        old = next(key["tag"] for key in before if key["role"] == "zsk")
        check_in(f"Predecessor: {old}", text)

        def is_done():
            by_tag = {key["tag"]: key for key in keys_of(site)}
            return by_tag[new]["state"] == "active" and by_tag[old]["state"] == "removed"
        wait_until(is_done, "the roll-over has ended by itself", timeout_s=20)


@case_table({"ksk": ["--split"], "csk": []})
def parent_is_waited_for(keygen):
    role = "ksk" if keygen else "csk"
    site, _ = build_site(*keygen, **SHORT)
    with site:
        before = keys_of(site)
        old = next(key["tag"] for key in before if key["role"] == role)
        check_in("gslbctl ds-seen", roll(site, role))
        check_equal(site.ctl("roll", ZONE, role).returncode, 1, "one at a time")
        wait_until(lambda: (fresh_key(site, before) or {}).get("wants_ds"), "the DS is asked for",
                   timeout_s=20)
        new = fresh_key(site, before)
        check(re.match(rf"example\.com\. IN DS {new['tag']} 13 2 [0-9A-F]{{64}}$", new["ds"]), new)
        shown = site.ctl("keys").stdout
        check_in(new["ds"], shown)
        check_in(f"gslbctl ds-seen {ZONE} {new['tag']}", shown)
        result = site.ctl("ds-seen", ZONE, str(new["tag"]))
        check_equal(result.returncode, 0, result.stderr)

        def is_done():
            by_tag = {key["tag"]: key for key in keys_of(site)}
            return by_tag[new["tag"]]["state"] == "active" and by_tag[old]["state"] == "removed"
        wait_until(is_done, "the old key has left", timeout_s=20)


@case
def algorithm_is_replaced():
    site, _ = build_site("--split", **SHORT)
    with site:
        before = keys_of(site)
        roll(site, "algorithm", "--algorithm", "ed25519")
        wait_until(lambda: any(key["wants_ds"] for key in keys_of(site)
                               if key["algorithm"] == "ED25519"), "the DS is asked for", timeout_s=20)
        new = next(key for key in keys_of(site) if key["wants_ds"] and key["algorithm"] == "ED25519")
        check_equal(site.ctl("ds-seen", ZONE, str(new["tag"])).returncode, 0, "confirmed")
        wait_until(lambda: {key["state"] for key in keys_of(site) if key["algorithm"] == P256}
                   == {"removed"}, "the old algorithm has left", timeout_s=20)
        check_equal({(key["role"], key["state"]) for key in keys_of(site)
                     if key["algorithm"] == "ED25519"}, {("ksk", "active"), ("zsk", "active")})
        check_equal(len(keys_of(site)), 2 * len(before), "as many as before")


@case
def confirmation_too_early_is_refused():
    site, _ = build_site()
    with site:
        before = keys_of(site)
        roll(site, "csk")
        wait_until(lambda: fresh_key(site, before), "the new key is shown")
        result = site.ctl("ds-seen", ZONE, str(fresh_key(site, before)["tag"]))
        check_equal(result.returncode, 1, "exit code")
        check_in("too early", result.stderr)


@case
def abort_brings_the_old_key_back():
    site, _ = build_site()
    with site:
        before = keys_of(site)
        roll(site, "csk")
        wait_until(lambda: fresh_key(site, before), "the new key is shown")
        roll(site, "--abort")
        wait_until(lambda: fresh_key(site, before)["state"] == "removed", "the new key is gone")
        check_equal([key["state"] for key in keys_of(site) if key["tag"] == before[0]["tag"]],
                    ["active"])
        check_equal(site.ctl("roll", ZONE, "--abort").returncode, 1, "nothing left to give up")


@case
def roll_over_survives_a_restart():
    site, _ = build_site()
    with site:
        before = keys_of(site)
        roll(site, "csk")
        wait_until(lambda: fresh_key(site, before), "the new key is shown")
        told = keys_of(site)
        site.dns.kill()
        site.dns.start()
        check_equal(keys_of(site), told, "as before")


@case
def other_nodes_follow_by_the_files():
    """Files are copied, as rsync would; the second node finds them within a minute, or at once when
    it is told to reload."""
    site, folder = build_site("--split")
    with site:
        copy = site.path("keys2")
        shutil.copytree(folder, copy)

        def edit(config):
            zone = config["zones"][ZONE]
            config["zones"][ZONE] = {"file": zone if isinstance(zone, str) else zone["file"],
                                     "dnssec": {"keys": str(copy)}}
        other = site.add_dns("ns2", edit).start()
        roll(site, "zsk")
        wait_until(lambda: len(keys_of(site)) == 3, "the new key is shown")
        for path in folder.iterdir():
            shutil.copy2(path, copy)
        check_equal(other.ctl("reload").returncode, 0, "reload")
        told = json.loads(other.ctl("keys", "--json").stdout)["zones"][0]["keys"]
        check_equal(told, keys_of(site), "the same keys, states and moments")


@case
def broken_files_do_not_stop_a_roll_over():
    """Neither the configuration nor the zone file is read again for a step of a key."""
    site, _ = build_site("--split", **SHORT)
    with site:
        before = keys_of(site)
        site.dns.config_path.write_text("listen: [")
        site.dns.zone_path.write_text("broken")
        roll(site, "zsk")
        wait_until(lambda: (fresh_key(site, before) or {}).get("state") == "active",
                   "the new key signs", timeout_s=20)
        check_equal(site.dns.addresses("static.example.com"), {"192.0.2.80"}, "the zone is served")


@case
def a_key_that_cannot_be_read_changes_nothing():
    site, folder = build_site()
    with site:
        before = keys_of(site)
        private = next(folder.glob("*.private"))
        private.chmod(0o644)
        site.dns.program.signal(signal.SIGHUP)
        site.dns.program.wait_log("can be read by others")
        check_equal(keys_of(site), before, "the key that was read stays")
        private.chmod(0o600)
        check_equal(site.ctl("reload").returncode, 0, "reload")


@case_table({
    "unknown zone": (["roll", "example.net", "csk"], 1, "no zone 'example.net'"),
    "unknown kind": (["roll", ZONE, "dnskey"], 1, "zsk, ksk, csk or algorithm"),
    "no kind": (["roll", ZONE], 2, "--abort"),
    "kind that is not there": (["roll", ZONE, "zsk"], 1, "roll csk"),
    "bad algorithm": (["roll", ZONE, "algorithm", "--algorithm", "RSASHA1"], 1, "no algorithm"),
    "the same algorithm": (["roll", ZONE, "algorithm"], 1, "have that algorithm already"),
    "unknown tag": (["ds-seen", ZONE, "1"], 1, "no key with this tag"),
    "not a tag": (["ds-seen", ZONE, "x"], 2, "no key tag"),
})
def mistakes_are_told(args, code, wanted):
    site, folder = build_site()
    with site:
        files = sorted(folder.iterdir())
        result = site.ctl(*args)
        check_equal(result.returncode, code, result.stderr)
        check_in(wanted, result.stderr)
        check_equal(sorted(folder.iterdir()), files, "no file was made")


@case
def secrets_are_in_no_log():
    site, folder = build_site("--split")
    with site:
        roll(site, "ksk")
        wait_until(lambda: len(keys_of(site)) == 3, "the new key is shown")
        log = site.path("ns1.log").read_text()
        said = site.ctl("keys").stdout + site.ctl("status", "--json").stdout + log
        for path in folder.glob("*.private"):
            secret = re.search(r"PrivateKey: (\S+)", path.read_text())[1]
            check(secret not in said, "the secret stays in its file")
            check_equal(oct(path.stat().st_mode & 0o777), "0o600", "mode")


if __name__ == "__main__":
    sys.exit(main())
