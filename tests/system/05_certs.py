#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""deploy/certs/make-certs: whose certificates it makes, what it refuses, how it renews."""
import os
import pathlib
import re
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from gslbtest import TOP, case, case_table, check, check_equal, check_in, main  # noqa: E402

MAKE_CERTS = TOP / "deploy/certs/make-certs"
FOLDER = pathlib.Path(tempfile.mkdtemp())

# file stem → (arguments, subject alternative name, purposes that openssl must grant)
CERTIFICATES = {
    "ns1": (("node", "dns", "ns1"), "URI:gslb://dns/ns1", ("sslserver", "sslclient")),
    "eu-west-1": (("node", "edge", "eu-west-1"), "URI:gslb://edge/eu-west-1",
                  ("sslserver", "sslclient")),
    "ann": (("operator", "ann"), "URI:gslb://operator/ann", ("sslserver", "sslclient")),
    "site-www.example.com": (("site", "www.example.com", "*.example.com"),
                             "DNS:www.example.com, DNS:*.example.com", ("sslserver",)),
}


def make_certs(*args, folder=FOLDER):
    return subprocess.run([MAKE_CERTS, "-d", folder, *args], capture_output=True, text=True,
                          check=False)


def openssl(*args):
    return subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, check=False)


def field(path, *what):
    return openssl("x509", "-in", path, "-noout", *what).stdout


@case
def the_ca_comes_first():
    result = make_certs("node", "edge", "eu-west-1")
    check_equal(result.returncode, 1, "without a CA")
    check_in("make-certs", result.stderr)
    check_equal(make_certs("ca", "test").returncode, 0)
    check_equal(openssl("verify", "-CAfile", FOLDER / "ca.crt", FOLDER / "ca.crt").returncode, 0)
    check_in("CA:TRUE, pathlen:0", field(FOLDER / "ca.crt", "-ext", "basicConstraints"))


@case_table({stem: (stem, *row) for stem, row in CERTIFICATES.items()})
def certificate_is_what_was_asked_for(stem, args, alt_name, purposes):
    result = make_certs(*args)
    check_equal(result.returncode, 0, result.stderr)
    certificate = FOLDER / f"{stem}.crt"
    check_in(alt_name, field(certificate, "-ext", "subjectAltName"))
    check_in("CA:FALSE", field(certificate, "-ext", "basicConstraints"))
    check_in("prime256v1", field(certificate, "-text"))
    for purpose in purposes:
        verdict = openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile",
                          FOLDER / "ca.crt", certificate)
        check_equal(verdict.returncode, 0, f"{purpose}: {verdict.stdout} {verdict.stderr}")
    key = FOLDER / f"{stem}.key"
    check_equal(stat.S_IMODE(key.stat().st_mode), 0o600, "the key's mode")
    check_equal(openssl("pkey", "-in", key, "-pubout").stdout, field(certificate, "-pubkey"),
                "the key belongs to the certificate")


@case
def visitors_certificate_is_no_client():
    verdict = openssl("verify", "-purpose", "sslclient", "-CAfile", FOLDER / "ca.crt",
                      FOLDER / "site-www.example.com.crt")
    check(verdict.returncode != 0, "a visitors' certificate must not open the control channel")


@case
def another_ca_does_not_verify():
    with tempfile.TemporaryDirectory() as other:
        check_equal(make_certs("ca", folder=other).returncode, 0)
        verdict = openssl("verify", "-CAfile", pathlib.Path(other) / "ca.crt", FOLDER / "ns1.crt")
    check(verdict.returncode != 0, "verified under a stranger's CA")


@case_table({" ".join(args): (args,) for args in
             [("ca",), ("node", "dns", "ns1"), ("node", "edge", "ns1"), ("operator", "ns1"),
              ("site", "www.example.com")]})
def nothing_is_overwritten(args):
    before = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    result = make_certs(*args)
    check_equal(result.returncode, 1)
    check_in("exists", result.stderr)
    check_equal({path.name: path.read_bytes() for path in FOLDER.iterdir()}, before)


@case_table({"path": ("node", "edge", "../evil"), "space": ("operator", "ann example"),
             "empty": ("node", "dns", ""), "too long": ("node", "dns", "n" * 64),
             "option": ("operator", "-ann"), "newline": ("operator", "a\nb"),
             "the CA's": ("operator", "ca"), "role": ("node", "root", "x"),
             "alt names": ("site", "a,URI:gslb://dns/ns1"), "days": ("-t", "many", "ca")})
def bad_name_is_refused(*args):
    before = sorted(path.name for path in FOLDER.iterdir())
    result = make_certs(*args)
    check_equal(result.returncode, 1, result.stdout)
    check(result.stderr.startswith("make-certs: "), result.stderr)
    check_equal(sorted(path.name for path in FOLDER.iterdir()), before)


@case
def list_names_everyone_with_the_time_left():
    result = make_certs("list")
    check_equal(result.returncode, 0, result.stderr)
    for stem in CERTIFICATES:
        check(re.search(rf"^{stem}.crt .* 39[67] days left$", result.stdout, re.M), result.stdout)
    check(re.search(r"^ca.crt +the private CA .* (3649|3650) days left$", result.stdout, re.M),
          result.stdout)


@case_table({"node": "eu-west-1", "visitors": "site-www.example.com"})
def renewal_keeps_identity_and_key(stem):
    certificate = FOLDER / f"{stem}.crt"
    before = {what: field(certificate, *what) for what in
              [("-serial",), ("-pubkey",), ("-ext", "subjectAltName"), ("-subject",)]}
    check_equal(make_certs("-t", "30", "renew", stem).returncode, 0)
    check(field(certificate, "-serial") != before.pop(("-serial",)), "a new serial number")
    for what, value in before.items():
        check_equal(field(certificate, *what), value)
    check_equal(openssl("verify", "-CAfile", FOLDER / "ca.crt", certificate).returncode, 0)
    check(re.search(rf"^{stem}.crt .* (29|30) days left$", make_certs("list").stdout, re.M),
          "the new time is listed")


@case
def an_expired_certificate_is_shown():
    request = FOLDER / "old.csr"
    openssl("req", "-new", "-key", FOLDER / "ann.key", "-subj", "/CN=old", "-out", request)
    made = openssl("x509", "-req", "-in", request, "-signkey", FOLDER / "ann.key", "-days", "-1",
                   "-out", FOLDER / "old.crt")
    check_equal(made.returncode, 0, made.stderr)
    check(re.search(r"^old.crt .*EXPIRED$", make_certs("list").stdout, re.M), "not shown")


main()
