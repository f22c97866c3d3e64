#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The GeoIP database kept in a form that loads fast: used when it is of this database, written when it
is not, and never in the way."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from gslbtest import case, case_table, check, check_equal, check_in, main, run_program, wait_until  # noqa: E402
from mmdb import write_mmdb  # noqa: E402
from site_under_test import Site  # noqa: E402

READ, FROM_CACHE = r"geo: test\.mmdb .*, read in \d+ ms", r"geo: test\.mmdb .*, read from the cache in \d+ ms"
CACHED, NOT_CACHED = r"geo: cached for the next start file=", r"geo: not cached: "
ADDRESSES = {"IE": {"127.0.0.11"}, "JP": {"127.0.0.12"}}


def write_database(site, country):
    """192.0.2.0/24 is of this country; a new file, renamed into place."""
    fresh = site.path("fresh.mmdb")
    write_mmdb(fresh, {"192.0.2.0/24": {"country": {"iso_code": country}}})
    fresh.rename(site.path("test.mmdb"))


def new_site(cache="cache", env=None):
    site = Site()
    write_database(site, "IE")

    def edit(config):
        config["geoip"] = {"databases": [str(site.path("test.mmdb"))], **({"cache": cache} if cache else {})}
        config["regions"] = {"dublin": {"location": [53.35, -6.26], "edges": {"d1": ["127.0.0.11"]}},
                             "tokyo": {"location": [35.68, 139.69], "edges": {"t1": ["127.0.0.12"]}}}
        config.pop("region-order", None)
        config["services"] = {"www.example.com": {"policy": "nearest"}}
    site.add_dns("ns1", edit)
    site.dns.program.env = {**site.dns.program.env, **(env or {})}
    return site


def check_answer(site, country):
    check_equal(site.dns.addresses("www.example.com", subnet="192.0.2.0/24"), ADDRESSES[country], country)


def run_once(site, country, wanted):
    """Starts, asks, stops: where the places came from is in the log."""
    site.dns.start()
    check_answer(site, country)
    check(site.dns.program.log_lines(wanted), site.dns.program.log())
    log = site.dns.program.log()
    site.dns.stop()
    return log


def start_until_cached(site, country="IE", wanted=READ):
    """A database that was written within a tenth of a second before it is read is not cached, as it
    may be written once more and look the same."""
    def is_cached():
        site.dns.start()
        check_answer(site, country)
        check(site.dns.program.log_lines(wanted), site.dns.program.log())
        wait_until(lambda: site.dns.program.log_lines(f"{CACHED}|{NOT_CACHED}"), "an outcome")
        done = bool(site.dns.program.log_lines(CACHED))
        site.dns.stop()
        return done
    wait_until(is_cached, "the cache to be written", every_s=0.1)


def files_of(site, folder="cache"):
    return sorted(path for path in site.path(folder).iterdir())


@case
def second_start_reads_no_database():
    with new_site() as site:
        start_until_cached(site)
        check_equal(len(files_of(site)), 1, "one file, and no beginning of another")
        log = run_once(site, "IE", FROM_CACHE)
        check("cached for" not in log, "it is there already: nothing is written")
        site.dns.start()
        explained = site.ctl("explain", "www.example.com", "192.0.2.1").stdout
        check_in("IE", explained, "explain reads the database itself")
        status = site.ctl("status").stdout
        check_in("from the cache", status)


@case
def changed_database_is_read():
    with new_site() as site:
        start_until_cached(site)
        write_database(site, "JP")
        log = run_once(site, "JP", READ)
        check_in("the cache is not used: ", log)
        check_in("the database has changed", log)
        start_until_cached(site, "JP")
        run_once(site, "JP", FROM_CACHE)


@case
def reload_of_a_changed_database():
    with new_site() as site:
        start_until_cached(site)
        site.dns.start()
        check_answer(site, "IE")
        write_database(site, "JP")
        site.dns.reload()
        check_answer(site, "JP")
        wait_until(lambda: site.dns.program.log_lines(f"{CACHED}|{NOT_CACHED}"), "an outcome")


@case
def other_regions_need_no_other_cache():
    with new_site() as site:
        start_until_cached(site)
        site.dns.config["regions"]["dublin"]["location"] = [-33.87, 151.21]  # farther than Tokyo
        run_once(site, "JP", FROM_CACHE)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@case_table({
    "a flipped bit": (flip, "damaged"),
    "cut short": (lambda path: os.truncate(path, path.stat().st_size - 100), "damaged"),
    "empty": (lambda path: os.truncate(path, 0), "no such file"),
    "something else": (lambda path: path.write_text("hello\n" * 1000), "no such file"),
    "a link to elsewhere": (lambda path: (path.unlink(), path.symlink_to("/etc/passwd")), "symbolic link"),
})
def damaged_cache(damage, reason):
    with new_site() as site:
        start_until_cached(site)
        damage(files_of(site)[0])
        site.dns.start()
        check_answer(site, "IE")
        site.dns.program.wait_log(CACHED)
        log = site.dns.program.log()
        check_in("the cache is not used: ", log)
        check_in(reason, log)
        check("warn" not in log, log)
        site.dns.stop()
        run_once(site, "IE", FROM_CACHE)


@case
def cache_that_cannot_be_written():
    with new_site(cache="taken/cache") as site:
        site.path("taken").write_text("a file where a folder should be")
        site.dns.start()
        check_answer(site, "IE")
        wait_until(lambda: site.dns.program.log_lines(f"warn .*geo: cannot cache|{NOT_CACHED}"), "a warning")
        site.dns.stop()


@case_table({"by the unit": (None, True), "off": ("off", False)})
def directory_of_the_unit(cache, is_used):
    with Site() as folder:
        given = folder.path("given")
        with new_site(cache=cache, env={"CACHE_DIRECTORY": f"{given}:/nonexistent"}) as site:
            if is_used:
                start_until_cached(site)
                check_equal(len(files_of(folder, "given")), 1)
                run_once(site, "IE", FROM_CACHE)
            else:
                run_once(site, "IE", READ)
                log = run_once(site, "IE", READ)
                check("cache" not in log, log)
                check(not given.exists(), "nothing is made")


@case
def check_leaves_no_trace():
    with new_site() as site:
        site.dns.write_config()
        result = run_program("gslb-dns", "--check", "-c", site.dns.config_path)
        check_equal(result.returncode, 0, result.stderr)
        check(not site.path("cache").exists(), "no cache")


main()
