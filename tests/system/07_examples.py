#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""deploy/examples and deploy/quickstart are taken by the programs without a complaint, and make
install puts everything where the units look for it."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from gslbtest import BUILD, TOP, case, case_table, check, check_equal, main, run_program  # noqa: E402
from site_under_test import Certs  # noqa: E402

FOLDER = pathlib.Path(tempfile.mkdtemp())


def copy_of(folder):
    """deploy/FOLDER beside geoip, with the certificates that its files name."""
    copy = FOLDER / folder
    if not copy.exists():
        shutil.copytree(TOP / "deploy" / folder, copy)
        (FOLDER / "geoip").exists() or (FOLDER / "geoip").symlink_to(TOP / "deploy/geoip")
        certs = Certs(copy / "certs")
        certs.node("dns", "ns1")
        for edge in ("eu-west-1", "us-east-1", "ap-northeast-1"):
            certs.node("edge", edge)
        certs.site("www.example.com", "example.com")
    return copy


@case_table({
    "example dns": ("gslb-dns", "examples/gslb-dns.yaml"),
    "example of a primary": ("gslb-dns", "examples/primary.yaml"),
    "example of its secondary": ("gslb-dns", "examples/secondary.yaml"),
    "example edge": ("edge-proxy", "examples/edge-proxy.yaml"),
    "quickstart dns": ("gslb-dns", "quickstart/gslb-dns.yaml"),
    "quickstart eu": ("edge-proxy", "quickstart/eu-west-1.yaml"),
    "quickstart us": ("edge-proxy", "quickstart/us-east-1.yaml"),
    "quickstart ap": ("edge-proxy", "quickstart/ap-northeast-1.yaml"),
})
def file_passes_the_check(program, path):
    folder, name = path.split("/")
    result = run_program(program, "-c", copy_of(folder) / name, "--check")
    check_equal(result.returncode, 0, result.stderr)
    check(not re.search(r"\b(error|warning):", result.stderr), result.stderr)


@case
def a_mistake_in_the_zone_has_file_and_line():
    folder = copy_of("examples")
    zone = folder / "zones/example.com.zone"
    text = zone.read_text()
    lines = text.splitlines()
    number = next(n for n, line in enumerate(lines, 1) if line.startswith("mail "))
    zone.write_text(text.replace("IN A    192.0.2.25", "IN A    192.0.2.256"))
    try:
        result = run_program("gslb-dns", "-c", folder / "gslb-dns.yaml", "--check")
    finally:
        zone.write_text(text)
    check_equal(result.returncode, 1, result.stderr)
    check(re.search(rf"example\.com\.zone:{number}:\d+: error: ", result.stderr), result.stderr)


@case
def install_puts_everything_in_its_place():
    root = FOLDER / "root"
    made = subprocess.run(["make", "-s", "install", f"DESTDIR={root}", "PREFIX=/usr",
                           f"BUILD={os.path.relpath(BUILD, TOP)}", *san_flag()],
                          cwd=TOP, capture_output=True, text=True, check=False)
    check_equal(made.returncode, 0, made.stderr)
    for path in ("usr/bin/gslbctl", "usr/sbin/gslb-dns", "usr/sbin/edge-proxy",
                 "usr/share/gslb/certs/make-certs"):
        check(os.access(root / path, os.X_OK), f"{path} is not an executable file")
    for path in ("usr/share/gslb/examples/gslb-dns.yaml", "usr/lib/sysusers.d/gslb.conf",
                 "usr/share/gslb/systemd/gslb-dns-xdp.conf",
                 "usr/share/gslb/geoip/geo-whois-asn-country.mmdb"):
        check((root / path).is_file(), f"{path} is missing")
    for unit in ("gslb-dns", "edge-proxy"):
        text = (root / f"usr/lib/systemd/system/{unit}.service").read_text()
        check("@" not in text.replace("@system-service", "").replace("@privileged", "")
              .replace("@resources", ""), f"something is not filled in in {unit}.service")
        program = re.search(r"^ExecStart=/(\S+)", text, re.M)[1]
        check(os.access(root / program, os.X_OK), f"{unit}.service starts {program}")


def san_flag():
    """The build folder of a sanitizer is named after it."""
    return [f"SAN={BUILD.name}"] if BUILD.name in ("asan", "tsan") else []


main()
