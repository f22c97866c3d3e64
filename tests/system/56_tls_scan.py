#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What external scanners find in an edge as it comes: nothing weak. Those that are not installed are
passed over."""
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, edge_site  # noqa: E402
from gslbtest import PATIENCE, case, check, check_equal, check_in, main  # noqa: E402
from tls_lab import issue  # noqa: E402

# Mozilla's guidelines, "intermediate", in the order that the server prefers.
CIPHERS = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
           "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
           "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"]
RESPONDER = "authorityInfoAccess=OCSP;URI:http://127.0.0.1:1/"
# What only a CA or a zone can mend, here without either; staples have a test of their own.
NOT_OURS = re.compile("OCSP_stapling|DNS_CAArecord|certificate_transparency|scanTime")


def edit(config, site):
    config["tls"]["certificates"] = [
        issue(site.folder, site.certs.folder, name, [HOST], rsa=rsa, extensions=[RESPONDER])
        for name, rsa in (("ec", False), ("rsa", True))]


def build():
    return edge_site(edit)


def run(*args):
    return subprocess.run([*map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=240 * PATIENCE)


@case
def sslscan_finds_nothing_weak(site):
    if not shutil.which("sslscan"):
        return
    text = run("sslscan", "--no-colour", f"--sni-name={HOST}",
               f"{site.edge.address}:{site.edge.https_port}").stdout
    offered = dict(re.findall(r"^(SSLv\d|TLSv1\.\d) +(enabled|disabled)$", text, re.M))
    check_equal(offered, {"SSLv2": "disabled", "SSLv3": "disabled", "TLSv1.0": "disabled",
                          "TLSv1.1": "disabled", "TLSv1.2": "enabled", "TLSv1.3": "enabled"})
    accepted = re.findall(r"^(?:Preferred|Accepted) +TLSv1\.\d +\d+ bits +(\S+) +Curve 25519", text, re.M)
    check_equal(accepted, CIPHERS, "in order of preference, all with X25519")
    for line in ("Server supports TLS Fallback SCSV", "Session renegotiation not supported",
                 "TLSv1.3 not vulnerable to heartbleed", "TLSv1.2 not vulnerable to heartbleed"):
        check_in(line, text)


@case
def testssl_finds_nothing_weak(site):
    program = shutil.which("testssl") or shutil.which("testssl.sh")
    if not program:
        return
    report = site.path("testssl.json")
    result = run(program, "--fast", "--quiet", "--color", 0, "--warnings", "batch", "--nodns", "none", "--ip",
                 site.edge.address, "--add-ca", site.certs.ca, "--jsonfile", report, "-p", "-S", "-U",
                 f"{HOST}:{site.edge.https_port}")
    check(report.exists(), f"testssl said {result.stdout[-2000:]} {result.stderr[-2000:]}")
    findings = json.loads(report.read_text())
    check(len(findings) > 50, f"testssl got only so far: {findings}")
    weak = [f"{f['id']} {f['severity']}: {f['finding']}" for f in findings
            if f["severity"] in ("LOW", "MEDIUM", "HIGH", "CRITICAL", "FATAL") and not NOT_OURS.search(f["id"])]
    check_equal(weak, [])


@case
def nothing_early_and_nothing_compressed(site):
    text = run("openssl", "s_client", "-connect", f"{site.edge.address}:{site.edge.https_port}", "-servername", HOST,
               "-CAfile", site.certs.ca, "-tls1_2").stdout
    check_in("Secure Renegotiation IS supported", text)
    check_in("Compression: NONE", text)
    # A ticket of 1.3 would say so (RFC 8446 section 4.2.10).
    result = subprocess.run(["openssl", "s_client", "-connect", f"{site.edge.address}:{site.edge.https_port}",
                             "-servername", HOST, "-CAfile", str(site.certs.ca), "-tls1_3", "-ign_eof"],
                            input=f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n",
                            capture_output=True, text=True, check=False, timeout=30 * PATIENCE)
    check_in("Max Early Data: 0", result.stdout)


main(build)
